//! Providers switched off, and run in a process of their own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Secret};
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Api, ResourceExt};

use crate::support::{capim, repository, texts};

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A capim that runs beside the test; killed when dropped.
struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    seen: Vec<String>,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines, seen: Vec::new() }
    }

    /// Reads stderr up to a line with this text.
    #[track_caller]
    fn until(&mut self, text: &str) -> String {
        loop {
            let Ok(line) = self.lines.recv_timeout(LIMIT) else {
                panic!("no {text:?} in {:#?}", self.seen);
            };
            self.seen.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Sends SIGTERM and waits; answers the exit code and how long it took.
    fn terminate(mut self) -> (Option<i32>, Duration) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let asked = std::time::Instant::now();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        (status.code(), asked.elapsed())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A management playground without some providers.
struct Management {
    state: tempfile::TempDir,
    up: Running,
}

impl Management {
    fn start(arguments: &[&str]) -> Self {
        let state = tempfile::tempdir().unwrap();
        let mut command = capim(state.path());
        command.args(["up", "--headless", "--api-port", "0"]).args(arguments);
        let mut up = Running::start(&mut command);
        up.until("use: export KUBECONFIG=");
        Self { state, up }
    }

    fn kubeconfig(&self) -> PathBuf {
        self.state.path().join("capim/default/kubeconfig")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        capim(self.state.path()).args(arguments).output().unwrap()
    }

    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let (stdout, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}\n{stdout}\n{stderr}");
        stdout
    }

    /// The provider process, working.
    fn provider(&self, arguments: &[&str]) -> Running {
        let mut command = capim(self.state.path());
        command.args(["provider"]).args(arguments);
        let mut provider = Running::start(&mut command);
        provider.until("running providers=");
        provider
    }

    async fn client(&self) -> kube::Client {
        client_of(&std::fs::read_to_string(self.kubeconfig()).unwrap()).await
    }
}

async fn client_of(kubeconfig: &str) -> kube::Client {
    let kubeconfig = kube::config::Kubeconfig::from_yaml(kubeconfig).unwrap();
    let options = Default::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    kube::Client::try_from(config).unwrap()
}

/// Names of the Nodes behind a kubeconfig, as soon as there are as many. Whoever watches tries
/// again while nobody answers.
async fn nodes(kubeconfig: &str, count: usize) -> Vec<String> {
    let api: Api<Node> = Api::all(client_of(kubeconfig).await);
    let (reader, writer) = reflector::store();
    let watched = reflector(writer, watcher(api, Default::default()).default_backoff());
    let complete = watched.filter(|_| std::future::ready(reader.len() == count));
    let seen = tokio::time::timeout(LIMIT, std::pin::pin!(complete).next()).await;
    let mut names: Vec<String> = reader.state().iter().map(|node| node.name_any()).collect();
    assert!(seen.is_ok(), "{names:?}");
    names.sort();
    names
}

/// Within which a process of providers ends, on the slowest machine.
const END_MAX: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn infrastructure_runs_in_a_process_of_its_own() {
    let management = Management::start(&["--external", "infra"]);
    assert!(management.up.seen.iter().any(|line| line.contains("external=infra")));
    // Ports that nobody else takes while neither process runs.
    const PORTS: &str = "26000-26099";
    // Without election, so that nobody has to wait for the Lease of a dead process.
    let first =
        management.provider(&["infra", "--leader-elect", "false", "--workload-ports", PORTS]);
    management.ok(&["create", "cluster", "demo", "--instant", "--wait"]);
    let kubeconfig = management.ok(&["kubeconfig", "demo"]);
    let before = nodes(&kubeconfig, 2).await;

    let secrets: Api<Secret> = Api::namespaced(management.client().await, "default");
    let ca = secrets.get("demo-ca").await.unwrap().data.unwrap().remove("tls.key").unwrap();
    let ca = String::from_utf8(ca.0).unwrap();
    assert!(ca.contains("RSA PRIVATE KEY") || rsa_in_pkcs8(&ca), "{}", &ca[..40]);

    // Killed, and started again: the same port, the same Nodes, from objects alone.
    drop(first);
    let second = management.provider(&["infra", "--workload-ports", PORTS]);
    assert_eq!(management.ok(&["kubeconfig", "demo"]), kubeconfig);
    assert_eq!(nodes(&kubeconfig, 2).await, before);

    management.ok(&["delete", "cluster", "demo", "--yes", "--wait"]);
    let (code, took) = second.terminate();
    assert_eq!(code, Some(143));
    assert!(took < END_MAX, "{took:?}");
    let leases: Api<Lease> = Api::namespaced(management.client().await, "capd-system");
    let lease = leases.get("controller-leader-election-capd").await.unwrap();
    assert_eq!(lease.spec.unwrap().holder_identity.unwrap_or_default(), "");
}

/// Whether a PKCS#8 key is RSA's: 2,048 bits make it over 1,600 characters long.
fn rsa_in_pkcs8(pem: &str) -> bool {
    pem.contains("BEGIN PRIVATE KEY") && pem.len() > 1600
}

#[tokio::test(flavor = "multi_thread")]
async fn all_providers_can_run_elsewhere() {
    let management = Management::start(&["--external", "all"]);
    let output =
        management.run(&["create", "cluster", "demo", "--instant", "--wait", "--timeout", "1s"]);
    assert_eq!(output.status.code(), Some(3), "{:?}", texts(&output));
    // The objects only wait: nothing wrote to them.
    let stdout = management.ok(&["get", "clusters", "-o", "json"]);
    let list: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let cluster = &list["items"][0];
    assert_eq!(cluster["metadata"]["name"], "demo");
    assert_eq!(cluster.get("status"), None, "{cluster}");
    assert_eq!(cluster["metadata"].get("finalizers"), None, "{cluster}");
    assert_eq!(management.ok(&["get", "machines", "-o", "name"]), "");

    let provider = management.provider(&["all"]);
    management.ok(&["create", "cluster", "other", "--instant", "--wait"]);
    nodes(&management.ok(&["kubeconfig", "demo"]), 2).await;
    management.ok(&["delete", "cluster", "--all", "--yes", "--wait"]);
    let (code, took) = provider.terminate();
    assert_eq!(code, Some(143));
    assert!(took < END_MAX, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_provider_in_a_process_of_its_own() {
    let management = Management::start(&["--external", "all"]);
    let names = ["core", "kubeadm-bootstrap", "kubeadm-control-plane", "infra"];
    let _processes = names.map(|name| management.provider(&[name]));
    management.ok(&["create", "cluster", "demo", "--instant", "--cp", "3", "--wait"]);
    nodes(&management.ok(&["kubeconfig", "demo"]), 4).await;
    management.ok(&["delete", "cluster", "demo", "--yes", "--wait"]);
}

#[test]
fn what_a_provider_process_lacks_is_named() {
    let state = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = capim(state.path()).args(["provider"]).args(arguments).output().unwrap();
        (output.status.code(), texts(&output).1)
    };
    let (code, stderr) = run(&["infra", "--kubeconfig", "/nowhere"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("error[E022]") && stderr.contains("/nowhere"), "{stderr}");

    let (code, stderr) = run(&["infrastructur"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("a similar value exists: 'infra"), "{stderr}");

    // A server that is gone, and one without Cluster API.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let start = || runtime.block_on(capim::embed::ControlPlane::start()).unwrap();
    let server = start();
    let file = state.path().join("kubeconfig");
    std::fs::write(&file, server.kubeconfig()).unwrap();
    let path = file.to_str().unwrap();
    let (code, stderr) = run(&["infra", "--kubeconfig", path]);
    assert_eq!(code, Some(4), "{stderr}");
    assert!(stderr.contains("error[E037]"), "{stderr}");
    assert!(stderr.contains("devmachines.infrastructure.cluster.x-k8s.io in v1beta2"), "{stderr}");

    let stranger = start();
    let foreign = stranger.kubeconfig_of("jane", &[]).unwrap();
    let mixed = with_credentials_of(&server.kubeconfig(), &foreign);
    std::fs::write(&file, mixed).unwrap();
    let (code, stderr) = run(&["infra", "--kubeconfig", path]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("error[E036]"), "{stderr}");

    std::fs::write(&file, server.kubeconfig()).unwrap();
    runtime.block_on(server.stop());
    runtime.block_on(stranger.stop());
    let (code, stderr) = run(&["infra", "--kubeconfig", path]);
    assert_eq!(code, Some(6), "{stderr}");
    assert!(stderr.contains("error[E021]"), "{stderr}");
}

/// A kubeconfig of one server with the user of another.
fn with_credentials_of(to: &str, user: &str) -> String {
    let mut config: serde_json::Value = serde_saphyr::from_str(to).unwrap();
    let other: serde_json::Value = serde_saphyr::from_str(user).unwrap();
    config["users"][0]["user"] = other["users"][0]["user"].clone();
    config.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inventory_is_there_from_the_start_and_names_who_runs_here() {
    use k8s_openapi::api::apps::v1::Deployment;
    use k8s_openapi::api::core::v1::Pod;
    use kube::api::{ApiResource, DynamicObject, ListParams};

    let management = Management::start(&["--external", "core"]);
    let client = management.client().await;
    let resource = ApiResource {
        group: "clusterctl.cluster.x-k8s.io".to_owned(),
        version: "v1alpha3".to_owned(),
        api_version: "clusterctl.cluster.x-k8s.io/v1alpha3".to_owned(),
        kind: "Provider".to_owned(),
        plural: "providers".to_owned(),
    };
    let all = ListParams::default();
    let providers: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let found = providers.list(&all).await.unwrap();
    let names: Vec<String> = found
        .iter()
        .map(|it| {
            let namespace = it.metadata.namespace.as_deref().unwrap();
            format!("{namespace}/{} {}", it.metadata.name.as_deref().unwrap(), it.data["version"])
        })
        .collect();
    assert_eq!(
        names,
        [
            r#"capd-system/infrastructure-docker "v1.14.0""#,
            r#"capi-kubeadm-bootstrap-system/bootstrap-kubeadm "v1.14.0""#,
            r#"capi-kubeadm-control-plane-system/control-plane-kubeadm "v1.14.0""#,
            r#"capi-system/cluster-api "v1.14.0""#,
        ]
    );
    let labelled = ListParams::default().labels("cluster.x-k8s.io/provider");
    let deployments: Api<Deployment> = Api::all(client.clone());
    let managers = deployments.list(&labelled).await.unwrap();
    let is_available = |it: &Deployment| {
        let conditions = it.status.as_ref().and_then(|status| status.conditions.as_ref());
        conditions
            .is_some_and(|all| all.iter().any(|it| it.type_ == "Available" && it.status == "True"))
    };
    assert_eq!(managers.items.len(), 3, "none for the external provider");
    assert!(managers.iter().all(is_available), "{managers:?}");
    let controllers = ListParams::default().labels("control-plane=controller-manager");
    let pods: Api<Pod> = Api::namespaced(client.clone(), "capd-system");
    let pods = pods.list(&controllers).await.unwrap();
    let phases: Vec<_> = pods.iter().filter_map(|it| it.status.as_ref()?.phase.clone()).collect();
    assert_eq!(phases, ["Running"]);
}

#[test]
fn webhooks_of_services_get_a_certificate() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("certs");
    let management = Management::start(&[
        "--webhook",
        "capi-system/capi-webhook-service=https://127.0.0.1:9443",
        "--webhook-cert-dir",
        path.to_str().unwrap(),
    ]);
    let line = format!("webhooks use: --webhook-cert-dir={}", path.display());
    assert!(management.up.seen.iter().any(|seen| seen.contains(&line)), "{:?}", management.up.seen);
    for name in ["tls.crt", "tls.key", "ca.crt"] {
        let file = std::fs::metadata(path.join(name)).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600, "{name}");
    }
}

#[test]
fn listening_everywhere_is_warned_of_and_the_advertised_name_is_in_the_kubeconfig() {
    let management =
        Management::start(&["--listen", "0.0.0.0", "--advertise", "localhost", "--san", "play"]);
    assert!(management.up.seen.iter().any(|line| line.contains("WARN listening on 0.0.0.0")));
    let text = std::fs::read_to_string(management.kubeconfig()).unwrap();
    assert!(text.contains("server: https://localhost:"), "{text}");
    management.ok(&["create", "cluster", "demo", "--instant", "--wait"]);
    let kubeconfig = management.ok(&["kubeconfig", "demo"]);
    assert!(kubeconfig.contains("server: https://localhost:"), "{kubeconfig}");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert_eq!(runtime.block_on(nodes(&kubeconfig, 2)).len(), 2);
}

#[test]
fn everything_works_over_ipv6() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("skipped: no IPv6 here");
        return;
    }
    let management = Management::start(&["--listen", "::1"]);
    let text = std::fs::read_to_string(management.kubeconfig()).unwrap();
    assert!(text.contains("https://[::1]:"), "{text}");
    management.ok(&["create", "cluster", "demo", "--instant", "--wait"]);
    let kubeconfig = management.ok(&["kubeconfig", "demo"]);
    assert!(kubeconfig.contains("https://[::1]:"), "{kubeconfig}");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert_eq!(runtime.block_on(nodes(&kubeconfig, 2)).len(), 2);
}

#[test]
fn help_names_providers_and_examples() {
    let help =
        |verb: &str| texts(&capim(Path::new("/")).args([verb, "--help"]).output().unwrap()).0;
    let up = help("up");
    assert!(up.contains("capim up --external infra"), "{up}");
    assert!(up.contains("kubeadm-control-plane"), "{up}");
    assert!(help("provider").contains("capim provider core,kubeadm-bootstrap"));
}

#[test]
fn commands_of_the_page_are_understood() {
    use clap::Parser;
    let page = std::fs::read_to_string(repository("docs/external-providers.md")).unwrap();
    let blocks = page.split("```").skip(1).step_by(2);
    let commands: Vec<&str> =
        blocks.flat_map(str::lines).filter(|line| line.starts_with("capim ")).collect();
    assert!(commands.len() >= 8, "{commands:?}");
    for command in commands {
        let parsed = capim::cli::arguments::Arguments::try_parse_from(command.split_whitespace());
        assert!(parsed.is_ok(), "{command}: {parsed:?}");
    }
}
