//! What controller-runtime's envtest does with the programs that it starts as `etcd` and
//! `kube-apiserver`: flags, files, health checks, users, definitions, the end.
//! (controller-runtime 0.24: pkg/internal/testing/controlplane)

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use capim::embed::Credentials;
use capim::pki::{CertificateAuthority, KeyAlgorithm, LeafRequest, Usage};
use k8s_openapi::api::core::v1::{Namespace, Secret, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::PostParams;
use kube::runtime::wait::{await_condition, conditions};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A directory as KUBEBUILDER_ASSETS names it.
fn assets(directory: &Path) {
    for name in ["etcd", "kube-apiserver"] {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_capim"), directory.join(name)).unwrap();
    }
}

/// A port that was free a moment ago, as envtest finds one.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A process that is ended with the test.
struct Process(Child);

impl Process {
    fn start(path: &Path, arguments: &[String]) -> Self {
        let child = Command::new(path).args(arguments).stderr(Stdio::null()).spawn().unwrap();
        Self(child)
    }

    /// SIGTERM; the exit code.
    fn terminate(&mut self) -> Option<i32> {
        let pid = i32::try_from(self.0.id()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.0.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks again and again, as envtest does, until the answer is good.
async fn poll<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    let asking = async {
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        loop {
            pause.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    let limit = Duration::from_secs(20);
    tokio::time::timeout(limit, asking).await.unwrap_or_else(|_| panic!("{what}: no answer"))
}

/// GET over plain HTTP; the whole answer.
async fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

/// A client that presents a certificate and does not look at the server's.
fn client(port: u16, certificate: Option<&capim::pki::CertifiedKey>) -> kube::Client {
    let url = format!("https://127.0.0.1:{port}").parse().unwrap();
    let mut config = kube::Config::new(url);
    config.accept_invalid_certs = true;
    if let Some(certificate) = certificate {
        use base64::Engine as _;
        let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        config.auth_info.client_certificate_data = Some(encode(&certificate.certificate_pem));
        config.auth_info.client_key_data = Some(encode(&certificate.key_pem).into());
    }
    kube::Client::try_from(config).unwrap()
}

/// A client that presents a token.
fn bearer(port: u16, token: &str) -> kube::Client {
    let mut config = kube::Config::new(format!("https://127.0.0.1:{port}").parse().unwrap());
    config.accept_invalid_certs = true;
    config.auth_info.token = Some(token.to_owned().into());
    kube::Client::try_from(config).unwrap()
}

async fn text(client: &kube::Client, path: &str) -> Option<String> {
    let request = http::Request::get(path).body(Vec::new()).unwrap();
    client.request_text(request).await.ok()
}

fn user(authority: &CertificateAuthority, name: &str, group: &str) -> capim::pki::CertifiedKey {
    let request = LeafRequest {
        common_name: name.to_owned(),
        organizations: vec![group.to_owned()],
        dns_names: Vec::new(),
        addresses: Vec::new(),
        usage: Usage::Client,
        validity: Duration::from_secs(3600),
    };
    authority.issue(&request, KeyAlgorithm::EcdsaP256).unwrap()
}

/// The files that envtest writes before it starts the server.
fn write_files(directory: &Path) -> CertificateAuthority {
    let serving = Credentials::generate([127, 0, 0, 1].into()).unwrap();
    let keys = CertificateAuthority::generate("sa-signer", KeyAlgorithm::EcdsaP256).unwrap();
    let authority = CertificateAuthority::generate("test-ca", KeyAlgorithm::EcdsaP256).unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.join(name), text).unwrap();
    write("apiserver.crt", &serving.serving().certificate_pem);
    write("apiserver.key", &serving.serving().key_pem);
    write("sa-signer.crt", keys.certificate_pem());
    write("sa-signer.key", keys.key_pem());
    write("client-cert-auth-ca.crt", authority.certificate_pem());
    authority
}

fn apiserver_flags(directory: &Path, port: u16, etcd: u16) -> Vec<String> {
    let file = |name: &str| directory.join(name).display().to_string();
    vec![
        "--allow-privileged=true".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--cert-dir={}", directory.display()),
        format!("--client-ca-file={}", file("client-cert-auth-ca.crt")),
        "--disable-admission-plugins=ServiceAccount".to_owned(),
        format!("--etcd-servers=http://127.0.0.1:{etcd}"),
        format!("--secure-port={port}"),
        format!("--service-account-issuer=https://127.0.0.1:{port}/"),
        format!("--service-account-key-file={}", file("sa-signer.crt")),
        format!("--service-account-signing-key-file={}", file("sa-signer.key")),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
    ]
}

fn definition() -> CustomResourceDefinition {
    serde_json::from_value(json!({
        "metadata": {"name": "foos.bar.example.com"},
        "spec": {
            "group": "bar.example.com", "scope": "Namespaced",
            "names": {"plural": "foos", "kind": "Foo"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {
                "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
        },
    }))
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envtest_starts_uses_and_stops_a_control_plane() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    assets(directory);
    let (etcd_port, port) = (free_port(), free_port());
    let urls = format!("http://127.0.0.1:{etcd_port}");
    let arguments = [
        format!("--advertise-client-urls={urls}"),
        format!("--data-dir={}", directory.display()),
        format!("--listen-client-urls={urls}"),
        "--listen-peer-urls=http://127.0.0.1:0".to_owned(),
        "--unsafe-no-fsync=true".to_owned(),
    ];
    let mut etcd = Process::start(&directory.join("etcd"), &arguments);
    let health = poll("etcd", async || get(etcd_port, "/health").await).await;
    assert!(health.starts_with("HTTP/1.1 200 OK") && health.contains(r#""health":"true""#));

    let authority = write_files(directory);
    let flags = apiserver_flags(directory, port, etcd_port);
    let mut server = Process::start(&directory.join("kube-apiserver"), &flags);
    let anonymous = client(port, None);
    assert_eq!(poll("healthz", async || text(&anonymous, "/healthz").await).await, "ok");

    let admin = client(port, Some(&user(&authority, "admin", "system:masters")));
    let namespaces: Api<Namespace> = Api::all(admin.clone());
    assert_eq!(namespaces.get("default").await.unwrap().metadata.name.as_deref(), Some("default"));
    let definitions: Api<CustomResourceDefinition> = Api::all(admin.clone());
    definitions.create(&PostParams::default(), &definition()).await.unwrap();
    let established = conditions::is_crd_established();
    let waiting = await_condition(definitions, "foos.bar.example.com", established);
    tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap().unwrap();
    let foos = text(&admin, "/apis/bar.example.com/v1/foos").await.unwrap();
    assert!(foos.contains(r#""kind":"FooList""#), "{foos}");

    // Users without rights are known, and refused.
    let joe = client(port, Some(&user(&authority, "joe", "devs")));
    let refused = Api::<Secret>::default_namespaced(joe).list(&Default::default()).await;
    assert!(refused.unwrap_err().to_string().contains(r#"User "joe" cannot list"#));

    // Tokens are signed by the key of the flags, and hold.
    let accounts: Api<ServiceAccount> = Api::default_namespaced(admin.clone());
    let account: ServiceAccount =
        serde_json::from_value(json!({"metadata": {"name": "robot"}})).unwrap();
    accounts.create(&PostParams::default(), &account).await.unwrap();
    let request = serde_json::from_value(json!({"spec": {"audiences": []}})).unwrap();
    let token = accounts.create_token_request("robot", &PostParams::default(), &request).await;
    let token = token.unwrap().status.unwrap().token.unwrap();
    let robot = Api::<Secret>::default_namespaced(bearer(port, &token));
    let refused = robot.list(&Default::default()).await.unwrap_err().to_string();
    assert!(refused.contains(r#""system:serviceaccount:default:robot" cannot list"#), "{refused}");

    // No controllers: a namespace that is deleted stays.
    let gone: Namespace = serde_json::from_value(json!({"metadata": {"name": "gone"}})).unwrap();
    namespaces.create(&PostParams::default(), &gone).await.unwrap();
    namespaces.delete("gone", &Default::default()).await.unwrap();
    let status = namespaces.get("gone").await.unwrap().status.unwrap();
    assert_eq!(status.phase.as_deref(), Some("Terminating"));

    assert_eq!(server.terminate(), Some(0));
    assert_eq!(etcd.terminate(), Some(0));
}

#[test]
fn both_programs_have_help_and_refuse_unknown_flags() {
    let directory = tempfile::tempdir().unwrap();
    assets(directory.path());
    let run = |name: &str, argument: &str| {
        let path = directory.path().join(name);
        let output = Command::new(path).arg(argument).output().unwrap();
        (output.status.code(), crate::support::texts(&output))
    };
    let (code, (help, _)) = run("kube-apiserver", "--help");
    assert_eq!(code, Some(0));
    assert!(help.lines().any(|line| line.trim_start().starts_with("--secure-port ")), "{help}");
    assert!(!help.contains("--insecure-port"), "{help}");
    assert_eq!(run("etcd", "--help").0, Some(0));
    let (code, (_, error)) = run("kube-apiserver", "--insecure-port=0");
    assert_eq!((code, error.trim_end()), (Some(1), "Error: unknown flag: --insecure-port"));
    assert_eq!(run("kube-apiserver", "--version").1.0.trim_end(), "Kubernetes v1.36.1");
}

#[test]
fn a_command_runs_with_the_servers_kubeconfig() {
    let directory = tempfile::tempdir().unwrap();
    let certificates = directory.path().join("certificates");
    let output = Command::new(env!("CARGO_BIN_EXE_capim"))
        .args(["apiserver", "--secure-port=0", "--cert-dir"])
        .arg(&certificates)
        .args(["--", "sh", "-c", "cat $KUBECONFIG; exit 7"])
        .output()
        .unwrap();
    let (stdout, stderr) = crate::support::texts(&output);
    assert_eq!(output.status.code(), Some(7), "{stderr}");
    assert!(stdout.contains("server: https://127.0.0.1:"), "{stdout}");
    assert!(stderr.contains("serving api=https://127.0.0.1:"), "{stderr}");
    for file in ["apiserver.crt", "apiserver.key"] {
        assert!(certificates.join(file).is_file(), "{file}");
    }
}
