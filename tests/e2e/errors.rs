//! Every error of the catalogue in docs/commands.md that a user can meet, as it is printed.

use crate::instances::Home;
use crate::support::tool;

/// Compares all of stderr; numbers that differ from run to run stand as N.
#[track_caller]
fn check(home: &Home, line: &str, exit: i32, expected: &str) {
    let error = home.fails(line, exit);
    let path = home.path().display().to_string();
    let error = error.replace(&path, "HOME");
    let numbers = without_numbers(&error);
    let news = |line: &&str| !line.contains(" INFO ");
    let shown: Vec<&str> = numbers.lines().filter(news).collect();
    assert_eq!(shown.join("\n"), expected, "{line}");
}

/// Ports, process ids and ages become N.
fn without_numbers(text: &str) -> String {
    let number =
        regex::Regex::new(r"(port |process |--api-port |after |since )\d+(ms|s|m)?").unwrap();
    number.replace_all(text, "${1}N").into_owned()
}

#[test]
fn errors_before_anything_runs() {
    let home = Home::new();
    let write = |name: &str, text: &str| std::fs::write(home.path().join(name), text).unwrap();
    check(
        &home,
        "status",
        6,
        "error[E021]: no playground is running in instance \"default\"\n  hint: capim up -d",
    );
    check(
        &home,
        "restart",
        6,
        "error[E021]: no playground is running in instance \"default\"\n  hint: capim up -d",
    );
    check(
        &home,
        "logs",
        4,
        "error[E030]: instance \"default\" has no log\n  HOME/capim/default/log/capim.log does not exist",
    );
    check(
        &home,
        "attach",
        2,
        "error[E003]: a dashboard needs a terminal, but stdin is no terminal\n  hint: capim status",
    );
    check(
        &home,
        "examples nosuch",
        4,
        "error[E026]: there is no example \"nosuch\"\n  hint: capim examples",
    );
    let error = home.fails("get clusters --kubeconfig nosuch", 1);
    assert!(error.starts_with("error[E022]: failed to use kubeconfig nosuch: "), "{error}");
    write("capim.yaml", "up:\n  cluster: 3\n");
    check(
        &home,
        "ls",
        2,
        "error[E090]: unknown key \"cluster\" in ./capim.yaml line 2; did you mean \"clusters\"?\n  hint: capim config schema     what a file may say",
    );
    write("capim.yaml", "up:\n  wait: forever\n");
    check(
        &home,
        "ls",
        2,
        "error[E091]: up.wait in ./capim.yaml line 2: invalid value 'forever' for '--wait <WAIT>'\n  hint: capim config schema     what a file may say",
    );
    std::fs::remove_file(home.path().join("capim.yaml")).unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
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
    write("bad.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: 3\n");
    let error = home.fails("up --headless --api-port 0 -f bad.yaml -- true", 1);
    assert!(error.contains("error[E080]: bad.yaml, document 1: ConfigMap \"a\": "), "{error}");
    write("webhook.yaml", WEBHOOK);
    let error = home.fails("up --headless --api-port 0 -f webhook.yaml -- true", 1);
    assert!(error.contains("error[E061]: webhook.yaml, document "), "{error}");
    assert!(
        error.contains(
            "hint: capim up --webhook capd-system/capd-webhook-service=https://127.0.0.1:9443"
        ),
        "{error}"
    );
    let error = home.fails("up --headless --api-port 0 -- /no/such/program", 1);
    assert!(error.contains("error[E004]: failed to run \"/no/such/program\""), "{error}");
    let mut command = home.command("up -d");
    let output = command.env("XDG_STATE_HOME", "/proc/nowhere").output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(8), "{error}");
    assert!(error.starts_with("error[E013]: failed to use /proc/nowhere/capim/default"), "{error}");
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
fn errors_while_one_runs() {
    let home = Home::new();
    home.ok("up -d --api-port 0 --workload-ports 27600-27699");
    home.ok("create cluster prod-eu --workers 0");
    check(
        &home,
        "describe cluster prod-ue",
        4,
        "error[E030]: cluster \"prod-ue\" not found in namespace \"default\"\n  help: did you mean \"prod-eu\"?",
    );
    check(
        &home,
        "create cluster prod-eu",
        5,
        "error[E031]: cluster \"prod-eu\" exists in namespace \"default\"\n  hint: capim delete cluster prod-eu",
    );
    check(
        &home,
        "create cluster a --class nosuch",
        4,
        "error[E030]: clusterclass \"nosuch\" not found in namespace \"default\"\n  hint: capim get clusterclasses -A",
    );
    check(
        &home,
        "get machnes",
        4,
        "error[E032]: the server has no kind \"machnes\"\n  help: did you mean \"machines\"?",
    );
    check(
        &home,
        "up --seed 7",
        5,
        "error[E014]: instance \"default\" is running with other flags\n  --seed 7: it runs with its default\n  hint: capim down                stops it; its objects are lost\n  hint: capim -i NAME up ...          starts another one beside it",
    );
    check(&home, "kubeconfig --all", 2, "error[E002]: --all needs either --dir DIR or --merge");
    let error = home.fails("wait cluster/prod-eu --timeout 0s", 3);
    assert!(error.starts_with("error[E041]: timed out after 0ns\n  cluster/prod-eu   "), "{error}");
    home.ok("pause kcp/prod-eu-cp");
    let error = home.fails("rollout restart prod-eu", 5);
    assert!(error.starts_with("error[E033]: "), "{error}");
    // One context of the same name that is somebody else's.
    std::fs::write(
        home.path().join("other"),
        "apiVersion: v1\nkind: Config\nclusters:\n- name: capim\n  cluster: {server: https://x}\n",
    )
    .unwrap();
    check(
        &home,
        "kubeconfig --merge --into other",
        5,
        "error[E051]: kubeconfig HOME/other has another cluster \"capim\"\n  hint: kubectl config delete-cluster capim     if it is not needed\n  hint: leave out --merge: export KUBECONFIG instead",
    );
    std::fs::write(home.path().join("broken"), "[").unwrap();
    let error = home.fails("kubeconfig --merge --into broken", 8);
    assert!(
        error.contains("error[E052]: kubeconfig ") && error.contains("cannot be read"),
        "{error}"
    );
    std::fs::write(home.path().join("locked.lock"), "").unwrap();
    check(
        &home,
        "kubeconfig --merge --into locked",
        5,
        "error[E050]: kubeconfig HOME/locked is locked since N (locked.lock)\n  cause: another program is writing it, or a crashed kubectl, kind or capim left the lock\n  hint: rm HOME/locked.lock    or leave out --merge",
    );
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
    assert_eq!(home.ok("bug-report --to report.tar.gz"), "report.tar.gz\n");
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
