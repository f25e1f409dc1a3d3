//! `capim dashboard`: management clusters that lack something, and connections that break.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use capim::client::Client;
use capim::clock::Clock;
use capim::embed::ControlPlane;
use capim::tui::{self, ConnectError, ConnectOptions, ConnectionState, Sources};
use serde_json::json;

use crate::pty::Pty;
use crate::support::{capim, playground, texts};

fn options() -> ConnectOptions {
    ConnectOptions {
        clock: Clock::wall(),
        url: "https://test".to_owned(),
        kubeconfig: "test.yaml".to_owned(),
        namespace: None,
        read_only: false,
    }
}

async fn connect(kubeconfig: &str) -> Result<Sources, ConnectError> {
    let client = Client::from_kubeconfig(kubeconfig, "test").await.unwrap();
    tui::connect(client, options()).await
}

/// A definition that takes any object.
fn definition(kind: &str, group: &str, version: &str) -> serde_json::Value {
    let plural = format!("{}s", kind.to_lowercase());
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group,
            "names": {"kind": kind, "plural": plural},
            "scope": "Namespaced",
            "versions": [{"name": version, "served": true, "storage": true, "schema": {
                "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            }}],
        },
    })
}

async fn define(client: &Client, kind: &str, group: &str, version: &str) {
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    client.create_json(path, &definition(kind, group, version)).await.unwrap();
    let path = format!("/apis/{group}/{version}/{}s", kind.to_lowercase());
    while client.get_json(&path).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_server_without_cluster_api_is_refused_and_half_of_it_is_enough() {
    let server = ControlPlane::start().await.unwrap();
    let kubeconfig = server.kubeconfig();
    let client = Client::from_kubeconfig(&kubeconfig, "test").await.unwrap();
    let error = connect(&kubeconfig).await.err().unwrap();
    assert!(matches!(error, ConnectError::NoClusterApi { .. }), "{error}");

    define(&client, "Cluster", "cluster.x-k8s.io", "v1beta2").await;
    let cluster = json!({"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster",
        "metadata": {"name": "a"}, "spec": {}});
    let path = "/apis/cluster.x-k8s.io/v1beta2/namespaces/default/clusters";
    client.create_json(path, &cluster).await.unwrap();
    let sources = connect(&kubeconfig).await.unwrap();
    assert_eq!(sources.clusters.len(), 1);
    let missing = sources.connection.missing();
    assert_eq!(missing, ["machines (not served)", "kubeadmcontrolplanes (not served)"],);
    drop(sources);
    server.stop().await;
}

#[tokio::test]
async fn an_older_cluster_api_is_named_with_its_version() {
    let server = ControlPlane::start().await.unwrap();
    let kubeconfig = server.kubeconfig();
    let client = Client::from_kubeconfig(&kubeconfig, "test").await.unwrap();
    define(&client, "Cluster", "cluster.x-k8s.io", "v1beta1").await;
    let error = connect(&kubeconfig).await.err().unwrap();
    assert!(error.to_string().contains("serves cluster.x-k8s.io in v1beta1"), "{error}");
    server.stop().await;
}

#[tokio::test]
async fn somebody_who_may_not_list_clusters_is_told_so() {
    let server = ControlPlane::start().await.unwrap();
    let client = Client::from_kubeconfig(&server.kubeconfig(), "test").await.unwrap();
    define(&client, "Cluster", "cluster.x-k8s.io", "v1beta2").await;
    let error = connect(&server.kubeconfig_of("jane", &[]).unwrap()).await.err().unwrap();
    assert!(matches!(error, ConnectError::Forbidden { .. }), "{error}");
    assert!(error.to_string().contains("jane"), "{error}");
    server.stop().await;
}

/// Passes connections on until it is cut.
struct Proxy {
    address: SocketAddr,
    is_cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (is_cut, open) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (cut, streams) = (is_cut.clone(), open.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if cut.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let pair = [(&stream, &server), (&server, &stream)];
                for (from, to) in pair {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    streams.lock().unwrap().push(from.try_clone().unwrap());
                    std::thread::spawn(move || {
                        let mut piece = [0; 8192];
                        while let Ok(count @ 1..) = from.read(&mut piece) {
                            if to.write_all(&piece[..count]).is_err() {
                                break;
                            }
                        }
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Self { address, is_cut, open }
    }

    fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn mend(&self) {
        self.is_cut.store(false, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_connection_is_named_and_recovers_with_all_that_happened_meanwhile() {
    let playground = playground(Clock::wall(), 1).await;
    let port = playground.url().rsplit(':').next().unwrap().parse().unwrap();
    let proxy = Proxy::to(port);
    let kubeconfig =
        playground.kubeconfig().replace(&format!(":{port}"), &format!(":{}", proxy.address.port()));
    let sources = connect(&kubeconfig).await.unwrap();
    let mut connection = sources.connection.clone();
    assert_eq!(connection.state(), ConnectionState::Connected);
    assert_eq!(connection.missing(), Vec::<String>::new());

    proxy.cut();
    connection.changed().await;
    let ConnectionState::Disconnected { reason, .. } = connection.state() else { panic!() };
    assert!(!reason.is_empty() && !reason.contains('\n'), "{reason}");

    let object = json!({"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster",
        "metadata": {"name": "meanwhile"}, "spec": {"paused": true,
        "infrastructureRef": {"apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "DevCluster", "name": "meanwhile"}}});
    let path = "/apis/cluster.x-k8s.io/v1beta2/namespaces/default/clusters";
    playground.client().create_json(path, &object).await.unwrap();
    assert_eq!(sources.clusters.len(), 0);
    proxy.mend();
    let mut version = sources.clusters.version();
    while sources.clusters.is_empty() {
        version.changed().await.unwrap();
    }
    while connection.state() != ConnectionState::Connected {
        connection.changed().await;
    }
    drop(sources);
    playground.stop().await;
}

/// Exit code and output of `capim dashboard` in a terminal.
fn dashboard(state: &Path, kubeconfig: &str) -> Option<(Option<i32>, String)> {
    let file = state.join("kubeconfig.yaml");
    std::fs::write(&file, kubeconfig).unwrap();
    let mut command = capim(state);
    command.arg("dashboard").arg("--kubeconfig").arg(file);
    let mut pty = Pty::start(&command, (120, 30))?;
    let code = pty.ends().code();
    pty.assert_given_back();
    Some((code, pty.output()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_shown_is_named_with_the_next_step() {
    let state = tempfile::tempdir().unwrap();
    let server = ControlPlane::start().await.unwrap();
    let kubeconfig = server.kubeconfig();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let unreachable = kubeconfig.replace(&format!(":{}", server.port()), &format!(":{free}"));
    for (kubeconfig, code, expected) in [
        (
            unreachable.as_str(),
            6,
            ["error[E034]: failed to reach https://127.0.0.1", "hint: kubectl"],
        ),
        (kubeconfig.as_str(), 4, ["error[E037]", "hint: clusterctl init"]),
        ("not: [yaml", 1, ["error[E022]: failed to use kubeconfig", "hint: kubectl config view"]),
    ] {
        let Some((ended, output)) = dashboard(state.path(), kubeconfig) else { return };
        assert_eq!(ended, Some(code), "{output}");
        for text in expected {
            assert!(output.contains(text), "{text:?} is not in:\n{output}");
        }
        assert!(!output.contains("\x1b[?1049h"), "the screen was taken for nothing");
    }
    server.stop().await;
}

#[test]
fn without_a_terminal_nothing_is_written_to_stdout() {
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("kubeconfig.yaml");
    let text = "apiVersion: v1\nkind: Config\nclusters: [{name: a, cluster: {server: 'https://127.0.0.1:1'}}]\ncontexts: [{name: a, context: {cluster: a, user: a}}]\nusers: [{name: a, user: {}}]\ncurrent-context: a\n";
    std::fs::write(&file, text).unwrap();
    let run = |arguments: &[&str]| {
        let output = capim(state.path())
            .arg("dashboard")
            .arg("--kubeconfig")
            .arg(&file)
            .args(arguments)
            .output();
        let output = output.unwrap();
        let (stdout, stderr) = texts(&output);
        assert_eq!(stdout, "");
        (output.status.code(), stderr)
    };
    let (code, stderr) = run(&[]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("error[E003]: a dashboard needs a terminal, but std"), "{stderr}");
    assert!(stderr.contains("hint: capim get clusters -A --kubeconfig"), "{stderr}");
    let (code, stderr) = run(&["--context", "b"]);
    assert_eq!(code, Some(4), "{stderr}");
    assert!(stderr.contains("has no context \"b\""), "{stderr}");
    let (code, stderr) = run(&["--theme", "pink"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("high-contrast"), "{stderr}");
}

#[test]
fn an_expired_client_certificate_is_told_before_it_is_tried() {
    let state = tempfile::tempdir().unwrap();
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
    parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2021, 2, 3);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    let pem = state.path().join("client.crt");
    std::fs::write(&pem, certificate.pem()).unwrap();
    let key_file = state.path().join("client.key");
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let file = state.path().join("kubeconfig.yaml");
    let text = format!(
        "apiVersion: v1\nkind: Config\nclusters: [{{name: a, cluster: {{server: 'https://127.0.0.1:1'}}}}]\ncontexts: [{{name: a, context: {{cluster: a, user: a}}}}]\nusers: [{{name: a, user: {{client-certificate: {}, client-key: {}}}}}]\ncurrent-context: a\n",
        pem.display(),
        key_file.display()
    );
    std::fs::write(&file, text).unwrap();
    let output =
        capim(state.path()).arg("dashboard").arg("--kubeconfig").arg(&file).output().unwrap();
    let (_, stderr) = texts(&output);
    assert!(stderr.contains("error[E036]: the client certificate of"), "{stderr}");
    assert!(stderr.contains("expired on 2021-02-03"), "{stderr}");
}
