//! A playground with workload clusters, for programs that speak to them.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use capim::client::ObjectKey;
use capim::clock::Clock;
use capim::playground::sample::{SampleCluster, Startup};
use capim::playground::{Playground, apply_manifests, read_manifests};
use k8s_openapi::api::core::v1::Secret;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::support::{playground, texts};

const NAMESPACE: &str = "default";
/// Longest that a program may keep a test waiting.
pub const LIMIT: Duration = Duration::from_secs(60);

/// The playground and a directory with a kubeconfig for each cluster, under its name, and one of
/// the management API, `management`.
pub struct WorkloadClusters {
    pub playground: Playground,
    pub directory: tempfile::TempDir,
}

/// A running `kubectl port-forward`, ended when dropped.
pub struct Forward {
    pub port: u16,
    child: Child,
}

impl WorkloadClusters {
    /// Clusters by name, with so many machines in the control plane. They are ready.
    pub async fn start(clusters: &[(&str, u32)]) -> Self {
        let playground = playground(Clock::wall(), 7).await;
        let files = tempfile::tempdir().unwrap();
        let (mut keys, mut paths) = (Vec::new(), Vec::new());
        for (name, control_planes) in clusters {
            let sample = SampleCluster {
                name: (*name).to_owned(),
                namespace: NAMESPACE.to_owned(),
                control_planes: *control_planes,
                workers: 1,
                version: "v1.36.1".to_owned(),
                startup: Startup::instant(),
            };
            let objects: Vec<String> = sample.manifests().iter().map(ToString::to_string).collect();
            let path = files.path().join(format!("{name}.yaml"));
            std::fs::write(&path, objects.join("\n---\n")).unwrap();
            paths.push(path);
            keys.push(ObjectKey::new(NAMESPACE, *name));
        }
        let manifests = read_manifests(&paths).unwrap();
        apply_manifests(playground.client(), NAMESPACE, &manifests).await.unwrap();
        playground.readiness().expecting(keys).wait(LIMIT).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let started = Self { playground, directory };
        started.file("management", started.playground.kubeconfig().as_bytes());
        for (name, _) in clusters {
            let kubeconfig = started.secret(&format!("{name}-kubeconfig"), "value").await;
            started.file(name, &kubeconfig);
        }
        started
    }

    /// Data of a Secret of the management API.
    pub async fn secret(&self, name: &str, key: &str) -> Vec<u8> {
        let client = self.playground.client().kube().clone();
        let secrets = kube::Api::<Secret>::namespaced(client, NAMESPACE);
        let mut secret = secrets.get(name).await.unwrap();
        secret.data.as_mut().unwrap().remove(key).unwrap().0
    }

    /// A file in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file into the directory.
    pub fn file(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    /// A line of sh for a cluster: exit code, standard output and standard error.
    pub async fn run(&self, cluster: &str, line: &str) -> (Option<i32>, String, String) {
        let output = self.command(cluster, "sh").args(["-c", line]).output();
        let output = tokio::time::timeout(LIMIT, output).await;
        let output = output.unwrap_or_else(|_| panic!("{line}: no end in sight")).unwrap();
        let (stdout, stderr) = texts(&output);
        (output.status.code(), stdout, stderr)
    }

    /// Standard output of a line that succeeds.
    pub async fn ok(&self, cluster: &str, line: &str) -> String {
        let (code, stdout, stderr) = self.run(cluster, line).await;
        assert_eq!(code, Some(0), "{line}\n{stdout}\n{stderr}");
        stdout
    }

    /// The name of a cluster's only Pod of a component.
    pub async fn static_pod(&self, cluster: &str, component: &str) -> String {
        let line = format!("kubectl get pods -n kube-system -l component={component} -o name");
        let names = self.ok(cluster, &line).await;
        names.lines().next().unwrap().trim_start_matches("pod/").to_owned()
    }

    /// Forwards a port of a Pod to a free port of this machine.
    pub async fn forward(
        &self,
        cluster: &str,
        (namespace, pod): (&str, &str),
        port: u16,
        environment: &[(&str, &str)],
    ) -> Forward {
        let mut child = self
            .command(cluster, "kubectl")
            .args(["port-forward", "--address", "127.0.0.1", "-n", namespace, pod])
            .arg(format!(":{port}"))
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(LIMIT, lines.next_line()).await.unwrap().unwrap();
        let Some(line) = line else { panic!("{}", rest_of(&mut child).await) };
        let local = line
            .strip_prefix("Forwarding from 127.0.0.1:")
            .and_then(|rest| rest.strip_suffix(&format!(" -> {port}")))
            .unwrap_or_else(|| panic!("{line}"));
        // Nobody else reads what it goes on to say.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Forward { port: local.parse().unwrap(), child }
    }

    fn command(&self, cluster: &str, program: &str) -> Command {
        let home = self.directory.path();
        let mut command = Command::new(program);
        command
            .current_dir(home)
            .env("HOME", home)
            .env("KUBECONFIG", home.join(cluster))
            .kill_on_drop(true);
        command
    }
}

impl Forward {
    /// What it says on standard error, once it has ended.
    pub async fn complaint(mut self) -> String {
        rest_of(&mut self.child).await
    }
}

async fn rest_of(child: &mut Child) -> String {
    let mut text = String::new();
    let read = child.stderr.as_mut().unwrap().read_to_string(&mut text);
    tokio::time::timeout(LIMIT, read).await.unwrap().unwrap();
    text
}
