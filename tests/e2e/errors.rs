//! Every error of the catalogue (`capim explain`) as a user meets it, compared as a whole: what
//! failed, why, and what to type next.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::instances::Home;
use crate::pty::Pty;
use crate::support::{repository, tool};

/// Compares all of stderr but news; what differs from run to run stands as N.
#[track_caller]
fn check(home: &Home, line: &str, exit: i32, expected: &str) {
    let error = home.fails(line, exit);
    assert_eq!(shown(home, &error), expected, "{line}");
}

/// The error without news, and without what differs from run to run.
fn shown(home: &Home, error: &str) -> String {
    let error = error.replace(&home.path().display().to_string(), "HOME");
    let numbers = without_numbers(&error);
    let news = |line: &&str| !line.contains(" INFO ") && !line.starts_with(" ✓ ");
    numbers.lines().filter(news).collect::<Vec<_>>().join("\n")
}

/// Ports, process ids and ages become N.
fn without_numbers(text: &str) -> String {
    let number = regex::Regex::new(
        r"(port |process |--api-port |since |127\.0\.0\.1:|kill -9 |capim_)[0-9a-f]+(ms|s|m)?",
    );
    number.unwrap().replace_all(text, "${1}N").into_owned()
}

fn write(home: &Home, name: &str, text: &str) {
    std::fs::write(home.path().join(name), text).unwrap();
}

#[test]
fn errors_before_anything_runs() {
    let home = Home::new();
    let no_playground =
        "error[E021]: no playground is running in instance \"default\"\n  hint: capim up -d";
    for (line, exit, expected) in [
        ("status", 6, no_playground),
        ("restart", 6, no_playground),
        ("get clusters", 6, no_playground),
        (
            "logs",
            4,
            "error[E030]: instance \"default\" has no log\n  HOME/capim/default/log/capim.log does not exist",
        ),
        (
            "attach",
            2,
            "error[E003]: a dashboard needs a terminal, but stdin is no terminal\n  hint: capim status",
        ),
        (
            "examples nosuch",
            4,
            "error[E026]: there is no example \"nosuch\"\n  hint: capim examples",
        ),
        (
            "explain E0112",
            4,
            "error[E030]: there is no error code \"E0112\"\n  help: did you mean \"E012\"?\n  hint: capim explain                lists all codes",
        ),
        (
            "get clusters --kubeconfig nosuch",
            1,
            "error[E022]: failed to use kubeconfig nosuch: failed to read kubeconfig from '\"nosuch\"': No such file or directory (os error 2)\n  hint: kubectl config view --minify       shows what is in it",
        ),
        (
            "generate cluster a --from nosuch",
            4,
            "error[E001]: failed to read the template nosuch: No such file or directory (os error 2)",
        ),
        (
            "--config nosuch config view",
            2,
            "error[E092]: failed to read nosuch: No such file or directory (os error 2)\n  hint: capim config path     where settings are looked for",
        ),
        (
            "up --headless --api-port 0 -- /no/such/program",
            1,
            "error[E004]: failed to run \"/no/such/program\": No such file or directory (os error 2)\n  hint: command -v /no/such/program",
        ),
        (
            "up --headless --api-port 0 --webhook a/b=https://127.0.0.1:1 --webhook-cert-dir /proc/nowhere -- true",
            8,
            "error[E062]: failed to write /proc/nowhere/tls.key: No such file or directory (os error 2)\n  hint: --webhook-cert-dir DIR     a directory that you may write to",
        ),
    ] {
        check(&home, line, exit, expected);
    }
    let output = home.command("up -d").env("XDG_STATE_HOME", "/proc/nowhere").output().unwrap();
    assert_eq!(output.status.code(), Some(8));
    assert_eq!(
        shown(&home, &String::from_utf8_lossy(&output.stderr)),
        "error[E013]: failed to use /proc/nowhere/capim/default/log/capim.log: No such file or directory (os error 2)"
    );
}

#[test]
fn errors_of_settings() {
    let home = Home::new();
    for (text, expected) in [
        (
            "up:\n  cluster: 3\n",
            "error[E090]: unknown key \"cluster\" in ./capim.yaml line 2; did you mean \"clusters\"?",
        ),
        (
            "up:\n  wait: forever\n",
            "error[E091]: up.wait in ./capim.yaml line 2: invalid value 'forever' for '--wait <WAIT>'",
        ),
    ] {
        write(&home, "capim.yaml", text);
        let hint = "\n  hint: capim config schema     what a file may say";
        check(&home, "config view", 2, &format!("{expected}{hint}"));
    }
}

#[test]
fn errors_of_ports_and_limits() {
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    check(
        &home,
        &format!("up --headless --api-port {port} -- true"),
        5,
        &format!(
            "error[E012]: port N is in use by process N (e2e-{})\n  hint: capim up --api-port N        any free port\n  hint: capim up --api-port N",
            test_binary()
        ),
    );
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -n 64 && exec \"$0\" up --headless --api-port 0 -- true"]);
    let output = command
        .arg(env!("CARGO_BIN_EXE_capim"))
        .env("XDG_STATE_HOME", home.path())
        .current_dir(home.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(8));
    assert_eq!(
        shown(&home, &String::from_utf8_lossy(&output.stderr)),
        "error[E070]: file limit too low: need about 128, hard limit is 64\n  hint: ulimit -Hn 8192   (systemd: LimitNOFILE=8192)"
    );
}

/// The end of this test program's name, as far as the kernel keeps it (15 bytes).
fn test_binary() -> String {
    let name = std::fs::read_to_string("/proc/self/comm").unwrap_or_default();
    name.trim().trim_start_matches("e2e-").to_owned()
}

/// A webhook of a Service that nobody serves, and an object that it wants to see. The ConfigMap is
/// tried with a dry run before the configuration is there, and refused when it is written.
const WEBHOOK: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: capd}
webhooks:
  - name: validation.example.com
    admissionReviewVersions: [v1]
    sideEffects: None
    failurePolicy: Fail
    clientConfig:
      service: {namespace: capd-system, name: capd-webhook-service, path: /validate}
    rules:
      - {apiGroups: [""], apiVersions: [v1], resources: [configmaps], operations: [CREATE]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: seen}
"#;

#[test]
fn errors_of_webhooks() {
    let home = Home::new();
    write(&home, "webhook.yaml", WEBHOOK);
    check(
        &home,
        "up --headless --api-port 0 -f webhook.yaml -- true",
        1,
        "error[E061]: webhook.yaml, document 2: ConfigMap \"seen\": Internal error occurred: failed calling webhook \"validation.example.com\": failed to call webhook: Post \"https://capd-webhook-service.capd-system.svc:443/validate?timeout=10s\": service \"capd-webhook-service\" not found\n  --> webhook.yaml:15:1\n  note: the webhook is that of Service capd-system/capd-webhook-service, but nothing runs Pods here\n  hint: capim up --webhook capd-system/capd-webhook-service=https://127.0.0.1:N",
    );
}

/// Whoever writes a manifest is told the place in it: of the value that is refused, of the name that
/// nobody knows, of what lacks something.
#[test]
fn errors_of_manifests_name_the_place() {
    let home = Home::new();
    let quick_start = std::fs::read_to_string(repository("examples/quick-start.yaml")).unwrap();
    let line_of =
        |text: &str, what: &str| 1 + text.lines().position(|line| line.contains(what)).expect(what);
    let jitter = quick_start.replacen("startupJitter: \"0.2\"", "startupJitter: \"20%\"", 1);
    let unknown = quick_start.replacen("clusterNetwork:", "clusterNetwrok:", 1);
    let typed = quick_start.replacen("replicas: 1", "replicas: many", 1);
    let (at_jitter, at_unknown, at_typed) = (
        line_of(&jitter, "\"20%\""),
        line_of(&unknown, "clusterNetwrok"),
        line_of(&typed, "replicas: many"),
    );
    let column = |text: &str, line: usize, what: &str| {
        1 + text.lines().nth(line - 1).unwrap().find(what).unwrap()
    };
    let cases = [
        (
            jitter.as_str(),
            "DevMachineTemplate \"quick-start-cp\": DevMachineTemplate.infrastructure.cluster.x-k8s.io \"quick-start-cp\" is invalid: spec.template.spec.backend.inMemory.vm.provisioning.startupJitter: Invalid value: \"20%\": must be a string with a non-negative number, the fraction of the duration that is added at most, e.g. \"0.2\"; write 20% as \"0.2\"",
            (at_jitter, column(&jitter, at_jitter, "\"20%\"")),
        ),
        (
            &unknown,
            "Cluster \"quick-start\": failed to create typed patch object (default/quick-start; cluster.x-k8s.io/v1beta2, Kind=Cluster): .spec.clusterNetwrok: field not declared in schema",
            (at_unknown, column(&unknown, at_unknown, "clusterNetwrok")),
        ),
        (
            &typed,
            "KubeadmControlPlane \"quick-start-cp\": failed to create typed patch object (default/quick-start-cp; controlplane.cluster.x-k8s.io/v1beta2, Kind=KubeadmControlPlane): .spec.replicas: expected numeric (int or float), got string",
            (at_typed, column(&typed, at_typed, "many")),
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: 3\n",
            "ConfigMap \"a\": failed to create typed patch object (default/a; /v1, Kind=ConfigMap): .data: expected map, got &{3}",
            (4, 7),
        ),
        ("# none\n---\napiVersion: v1\nkind: [\n", "unclosed bracket '['", (4, 7)),
        (
            "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: a}\n",
            "no matches for kind \"Thing\" in version \"example.com/v1\"",
            (2, 7),
        ),
        ("---\n# a\nkind: A\n", "the document has no apiVersion", (3, 1)),
    ];
    let document = regex::Regex::new("document [0-9]+").unwrap();
    for (manifest, expected, (line, column)) in cases {
        write(&home, "bad.yaml", manifest);
        for command in [
            "up --headless --api-port 0 -f bad.yaml -- true",
            "topology plan --offline -f bad.yaml",
        ] {
            let error = shown(&home, &home.fails(command, 1));
            let error = document.replace(&error, "document N");
            assert_eq!(
                error,
                format!(
                    "error[E080]: bad.yaml, document N: {expected}\n  --> bad.yaml:{line}:{column}"
                ),
                "{command}"
            );
        }
    }
    let error = home.fails("topology plan --offline -f bad.yaml -o json", 1);
    let error: Value = serde_json::from_str(&error).expect(&error);
    assert_eq!(error["code"], "E080");
    assert_eq!(error["place"], json!({"file": "bad.yaml", "line": 3, "column": 1}));
}

#[test]
fn errors_while_one_runs() {
    let home = Home::new();
    home.ok("up -d --api-port 0 --workload-ports 27600-27699");
    home.ok("create cluster prod-eu --workers 0");
    home.ok("pause kcp/prod-eu-cp");
    // Entries of the same name that are somebody else's.
    write(
        &home,
        "other",
        "apiVersion: v1\nkind: Config\nclusters:\n- name: capim\n  cluster: {server: https://x}\n",
    );
    write(&home, "broken", "- a\n");
    write(&home, "locked.lock", "");
    for (line, exit, expected) in [
        (
            "describe cluster prod-ue",
            4,
            "error[E030]: cluster \"prod-ue\" not found in namespace \"default\"\n  help: did you mean \"prod-eu\"?",
        ),
        (
            "create cluster prod-eu",
            5,
            "error[E031]: cluster \"prod-eu\" exists in namespace \"default\"\n  hint: capim delete cluster prod-eu",
        ),
        (
            "create cluster a --class nosuch",
            4,
            "error[E030]: clusterclass \"nosuch\" not found in namespace \"default\"\n  hint: capim get clusterclasses -A",
        ),
        (
            "get machnes",
            4,
            "error[E032]: the server has no kind \"machnes\"\n  help: did you mean \"machines\"?",
        ),
        (
            "up --seed 7",
            5,
            "error[E014]: instance \"default\" is running with other flags\n  --seed 7: it runs with its default\n  hint: capim down                stops it; its objects are lost\n  hint: capim -i NAME up ...          starts another one beside it",
        ),
        ("kubeconfig --all", 2, "error[E002]: --all needs either --dir DIR or --merge"),
        (
            "wait cluster/nosuch --timeout 0s --for created",
            3,
            "error[E041]: timed out after 0ns\n  cluster/nosuch   it does not exist\n  hint: capim why cluster/nosuch",
        ),
        (
            "rollout restart prod-eu",
            5,
            "error[E033]: kubeadmcontrolplane \"prod-eu-cp\" is paused\n  hint: capim resume kubeadmcontrolplane/prod-eu-cp",
        ),
        (
            "kubeconfig --merge --into other",
            5,
            "error[E051]: kubeconfig HOME/other has another cluster \"capim\"\n  hint: kubectl config delete-cluster capim     if it is not needed\n  hint: leave out --merge: export KUBECONFIG instead",
        ),
        (
            "kubeconfig --merge --into broken",
            8,
            "error[E052]: kubeconfig HOME/broken cannot be read: it is no YAML mapping\n  hint: leave out --merge: export KUBECONFIG instead",
        ),
        (
            "kubeconfig --merge --into locked",
            5,
            "error[E050]: kubeconfig HOME/locked is locked since N (locked.lock)\n  cause: another program is writing it, or a crashed kubectl, kind or capim left the lock\n  hint: rm HOME/locked.lock    or leave out --merge",
        ),
    ] {
        check(&home, line, exit, expected);
    }
    home.ok("resume kcp/prod-eu-cp");
    home.ok("pause prod-eu");
    check(
        &home,
        "rollout restart prod-eu --kcp",
        5,
        "error[E033]: cluster \"prod-eu\" is paused\n  nothing of a paused cluster is reconciled\n  hint: capim resume prod-eu",
    );
    // A kubeconfig of the instance that leads elsewhere.
    let kubeconfig = home.instance("default").join("kubeconfig");
    let own = std::fs::read_to_string(&kubeconfig).unwrap();
    std::fs::write(&kubeconfig, at_port(&own, unused_port())).unwrap();
    check(
        &home,
        "get clusters",
        1,
        "error[E024]: the playground does not answer\n  HOME/capim/default/kubeconfig leads nowhere: Connection refused (os error 111)\n  hint: capim logs",
    );
}

/// A port where nothing listens.
fn unused_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn at_port(kubeconfig: &str, port: u16) -> String {
    let address = regex::Regex::new(r"127\.0\.0\.1:\d+").unwrap();
    address.replace_all(kubeconfig, format!("127.0.0.1:{port}")).into_owned()
}

/// Errors of playgrounds that do not end, or end too early.
#[test]
fn errors_of_processes() {
    let home = Home::new();
    home.ok("up -d --api-port 0 --workload-ports 28000-28099");
    home.stop("default");
    check(&home, "down", 1, "error[E016]: process N does not end\n  hint: kill -9 N");
    home.kill("default");
    // It reads stdin before anything else, and is killed while it does.
    let mut command = home.command("up -d --api-port 0 -f -");
    command.stdin(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let starting = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    let started = wait_for(|| child_of(starting.id()));
    kill_process(started, Signal::KILL).unwrap();
    let output = starting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        shown(&home, &String::from_utf8_lossy(&output.stderr)),
        "error[E015]: the playground ended while it started: signal: 9 (SIGKILL)\n  hint: capim logs"
    );
}

/// Asks the system until it answers.
pub fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let start = std::time::Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed().as_secs() < 60, "it does not come");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// The child of a process that runs capim, too.
fn child_of(parent: u32) -> Option<Pid> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut numbers =
        processes.filter_map(|it| it.file_name().to_str().and_then(|it| it.parse::<i32>().ok()));
    numbers.find_map(|number| {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{number}/{file}")).ok();
        let stat = read("stat")?;
        let of: u32 = stat.rsplit(") ").next()?.split(' ').nth(1)?.parse().ok()?;
        let environment = read("environ")?;
        let is_child = of == parent && environment.contains("CAPIM_BACKGROUND_CHILD=up");
        if is_child { Pid::from_raw(number) } else { None }
    })
}

#[test]
fn a_watch_that_ends_says_so() {
    let home = Home::new();
    home.ok("up -d --api-port 0 -c 1 --instant --workload-ports 28100-28199");
    let mut command = home.command("get clusters -w -o name");
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut watching = command.spawn().unwrap();
    let mut first = String::new();
    BufReader::new(watching.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert_eq!(first, "cluster/demo-1\n");
    home.kill("default");
    let output = watching.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    // How a connection ends is the system's affair.
    let error = shown(&home, &String::from_utf8_lossy(&output.stderr));
    let (first, rest) = error.split_once('\n').unwrap();
    assert!(first.starts_with("error[E023]: the watch ended: "), "{first}");
    assert_eq!(rest, "  hint: is the playground still running? capim get clusters");
}

#[test]
fn a_provider_that_loses_its_lease_says_so() {
    let Some(_) = tool("kubectl") else { return };
    let home = Home::new();
    home.ok("up -d --api-port 0 --external infra --workload-ports 28200-28299");
    let kubeconfig = home.instance("default").join("kubeconfig").display().to_string();
    let line = format!("provider infra --workload-ports 28300-28399 --kubeconfig {kubeconfig}");
    let provider = home.command(&line).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let kubectl = |arguments: &str| {
        let mut command = std::process::Command::new("kubectl");
        command.args(arguments.split(' ')).env("KUBECONFIG", &kubeconfig);
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let lease = wait_for(|| {
        let (found, names) = kubectl("get leases -n capd-system -o name");
        names.lines().next().filter(|_| found).map(str::to_owned)
    });
    let patch = r#"patch --type=merge -n capd-system -p {"spec":{"holderIdentity":"other"}}"#;
    assert!(kubectl(&format!("{patch} {lease}")).0);
    let output = provider.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(
        shown(&home, &String::from_utf8_lossy(&output.stderr)),
        "error[E025]: leader election lost: lease capd-system/controller-leader-election-capd was taken over by other\n  what this process had is rebuilt by the next leader, from objects"
    );
}

/// A server that answers every request with what the function says of its path.
fn answering(answer: fn(&str) -> (u16, Value)) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = move |stream: TcpStream| -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let request = lines.next().unwrap_or(Ok(String::new()))?;
        while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        let path = request.split(' ').nth(1).unwrap_or_default();
        let (code, body) = answer(path.split('?').next().unwrap_or_default());
        let (body, mut stream) = (body.to_string(), stream);
        write!(
            stream,
            "HTTP/1.1 {code} x\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    std::thread::spawn(move || {
        // Whoever hangs up has seen enough.
        listener.incoming().flatten().for_each(|stream| drop(serve(stream)));
    });
    port
}

fn status(code: u16, reason: &str, message: &str) -> (u16, Value) {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code});
    (code, status)
}

const NAMESPACE: &str = "/api/v1/namespaces/kube-system";

fn namespace() -> (u16, Value) {
    let metadata = json!({"name": "kube-system", "uid": "1"});
    (200, json!({"kind": "Namespace", "apiVersion": "v1", "metadata": metadata}))
}

#[test]
fn errors_of_management_clusters_that_cannot_be_shown() {
    let home = Home::new();
    let foreign = answering(|_| (200, json!({"hello": "world"})));
    let strange = answering(|_| status(401, "Unauthorized", "Unauthorized"));
    let bare = answering(|path| match path {
        NAMESPACE => namespace(),
        _ => status(404, "NotFound", "the server could not find the requested resource"),
    });
    let old = answering(|path| match path {
        NAMESPACE => namespace(),
        "/apis/cluster.x-k8s.io" => (
            200,
            json!({"kind": "APIGroup", "name": "cluster.x-k8s.io",
            "versions": [{"groupVersion": "cluster.x-k8s.io/v1beta1", "version": "v1beta1"}]}),
        ),
        _ => status(404, "NotFound", "the server could not find the requested resource"),
    });
    let closed = answering(|path| match path {
        NAMESPACE => namespace(),
        _ => status(403, "Forbidden", "clusters is forbidden"),
    });
    for (port, exit, expected) in [
        (
            unused_port(),
            6,
            "error[E034]: failed to reach http://127.0.0.1:N: Connection refused (os error 111)\n  hint: kubectl --kubeconfig HOME/kubeconfig cluster-info     is it up, is a tunnel needed?\n  hint: capim up                                  starts a playground here",
        ),
        (
            foreign,
            1,
            "error[E035]: http://127.0.0.1:N is no Kubernetes API server: its answer is no Namespace\n  hint: kubectl --kubeconfig HOME/kubeconfig config view --minify     which server it names",
        ),
        (
            strange,
            1,
            "error[E036]: http://127.0.0.1:N does not accept the credentials: Unauthorized: Unauthorized\n  hint: kubectl --kubeconfig HOME/kubeconfig auth whoami     whether they are accepted elsewhere",
        ),
        (
            bare,
            4,
            "error[E037]: http://127.0.0.1:N has no Cluster API: it does not know clusters.cluster.x-k8s.io\n  hint: clusterctl init                           installs Cluster API there\n  hint: capim up                                  starts a playground that has it",
        ),
        (
            old,
            1,
            "error[E038]: http://127.0.0.1:N serves cluster.x-k8s.io in v1beta1, not in v1beta2 (Cluster API 1.11 and later)\n  hint: clusterctl upgrade plan                   shows what to upgrade to",
        ),
        (
            closed,
            1,
            "error[E039]: http://127.0.0.1:N does not allow to list clusters: clusters is forbidden: Forbidden\n  hint: -n NAMESPACE                              if only one namespace may be read",
        ),
    ] {
        write(
            &home,
            "kubeconfig",
            &format!(
                "{{apiVersion: v1, kind: Config, current-context: a, clusters: [{{name: a, cluster: {{server: 'http://127.0.0.1:{port}'}}}}], users: [{{name: a, user: {{}}}}], contexts: [{{name: a, context: {{cluster: a, user: a}}}}]}}"
            ),
        );
        let file = home.path().join("kubeconfig");
        let Some((code, error)) =
            in_terminal(&home, &format!("dashboard --kubeconfig {}", file.display()))
        else {
            return;
        };
        assert_eq!((code, error.as_str()), (Some(exit), expected));
    }
    std::fs::create_dir_all(home.path().join("config/capim")).unwrap();
    write(&home, "config/capim/keys.yaml", "keys:\n  scal: S\n");
    let (code, error) = in_terminal(&home, "up --api-port 0").unwrap();
    assert_eq!(
        (code, error.as_str()),
        (
            Some(2),
            "error[E093]: HOME/config/capim/keys.yaml:2: unknown command \"scal\"; did you mean \"scale\"?\n  hint: mv HOME/config/capim/keys.yaml HOME/config/capim/keys.yaml.off     starts with the usual keys"
        )
    );
}

/// Exit code and error of a command in a terminal; `None` if there can be none.
fn in_terminal(home: &Home, line: &str) -> Option<(Option<i32>, String)> {
    let mut pty = Pty::start(&home.command(line), (200, 30))?;
    let code = pty.ends().code();
    pty.assert_given_back();
    let output = pty.output().replace("\r\n", "\n");
    Some((code, shown(home, &output)))
}

/// Errors of commands that were asked for JSON are JSON, and nothing else is on stderr.
#[test]
fn errors_are_json_for_those_who_ask_for_json() {
    let home = Home::new();
    for (line, exit, expected) in [
        (
            "get clusters -o json",
            6,
            json!({"code": "E021", "message": "no playground is running in instance \"default\"",
                "causes": [], "notes": [], "hints": ["capim up -d"]}),
        ),
        (
            "get clusters -o json --kubeconfg x",
            2,
            json!({"code": "E002", "message": "unexpected argument '--kubeconfg' found",
                "causes": [], "notes": [], "help": "did you mean \"--kubeconfig\"?",
                "hints": ["--help"]}),
        ),
    ] {
        let error = home.fails(line, exit);
        let mut expected = expected;
        expected["apiVersion"] = "cli.capim.dev/v1alpha1".into();
        expected["kind"] = "Error".into();
        expected["exitCode"] = exit.into();
        let found: Value = serde_json::from_str(&error).expect(&error);
        assert_eq!(found, expected, "{line}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn every_code_is_explained() {
    let home = Home::new();
    let list = home.ok("explain");
    assert!(list.contains("E012  a port is taken\n"), "{list}");
    for line in list.lines() {
        let (code, title) = line.split_once("  ").unwrap();
        let text = home.ok(&format!("explain {}", code.to_lowercase()));
        assert!(text.starts_with(&format!("{code}: {title}\n\ncauses:\n  ")), "{text}");
        assert!(text.contains("\n\nnext steps:\n  "), "{text}");
    }
    let json: Value = serde_json::from_str(&home.ok("explain E012 -o json")).unwrap();
    assert_eq!(json["kind"], "ErrorCodeList");
    assert_eq!(json["items"][0]["code"], "E012");
}

#[test]
fn a_bug_report_lists_what_it_holds_and_holds_no_secrets() {
    let home = Home::new();
    home.ok("up -d --api-port 0 -c 1 --instant --workload-ports 27700-27799");
    let list = home.ok("bug-report --list");
    for expected in [
        "version.txt",
        "instance/server.json",
        "instance/capim.log",
        "objects/secrets.json",
        "objects/clusters.cluster.x-k8s.io.json",
        "metrics.txt",
    ] {
        assert!(list.contains(expected), "{expected}\n---\n{list}");
    }
    std::fs::write(home.path().join("report.tar.gz"), "older").unwrap();
    let error = home.fails("bug-report --to report.tar.gz", 2);
    assert!(error.contains("error[E002]: Replace report.tar.gz? stdin is no terminal"), "{error}");
    assert_eq!(home.ok("bug-report --yes --to report.tar.gz"), "report.tar.gz\n");
    let mode = std::os::unix::fs::MetadataExt::mode(
        &std::fs::metadata(home.path().join("report.tar.gz")).unwrap(),
    );
    assert_eq!(mode & 0o777, 0o600);
    let mut command = std::process::Command::new("tar");
    let output =
        command.args(["-xzOf", "report.tar.gz"]).current_dir(home.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("\"demo-1-ca\"") && text.contains("sha256:"), "no secrets at all");
    let keys =
        std::fs::read_to_string(home.instance("default").join("identity/admin.key")).unwrap();
    for secret in ["PRIVATE KEY", "LS0tLS1", keys.lines().nth(1).unwrap()] {
        assert!(!text.contains(secret), "{secret} is in the archive");
    }
}

#[test]
fn clusters_of_a_class_take_its_variables() {
    let Some(_) = tool("kubectl") else { return };
    let home = Home::new();
    home.ok("up -d --api-port 0 --workload-ports 27800-27899");
    let class = home.ok("examples instant");
    let class = class.rsplit_once("---\n").unwrap().0;
    std::fs::write(home.path().join("class.yaml"), class).unwrap();
    let output =
        home.command("exec -- kubectl apply --server-side -f class.yaml").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    home.ok("create cluster blue --class instant --workers 2 --wait --timeout 60s");
    assert!(home.ok("get machines -o name").lines().count() == 3);
    let dry = home.ok("create cluster red --class instant --dry-run");
    assert!(dry.contains("class: default-worker") && dry.contains("name: instant"), "{dry}");
    let error = home.fails("create cluster red --class instant --set nosuch=1", 4);
    assert!(
        error.starts_with("error[E030]: clusterclass \"instant\" has no variable \"nosuch\""),
        "{error}"
    );
}
