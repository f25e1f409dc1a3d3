//! kubectl against a cluster with add-ons and against one whose workers are a MachinePool.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use capim::client::ObjectKey;
use capim::clock::Clock;
use capim::playground::{Playground, apply_manifests, read_manifests};
use k8s_openapi::api::core::v1::Secret;

use crate::support::{playground, repository, texts, tool};

const LIMIT: Duration = Duration::from_secs(120);

/// A playground with an example, and a directory with the kubeconfigs `management` and `workload`.
struct Example {
    playground: Playground,
    directory: tempfile::TempDir,
}

impl Example {
    /// `None` without kubectl.
    async fn start(example: &str, cluster: &str) -> Option<Self> {
        tool("kubectl")?;
        let playground = playground(Clock::wall(), 9).await;
        let manifests = read_manifests(&[repository(example)]).unwrap();
        apply_manifests(playground.client(), "default", &manifests).await.unwrap();
        let key = ObjectKey::new("default", cluster);
        playground.readiness().expecting([key]).wait(LIMIT).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let secret = ObjectKey::new("default", format!("{cluster}-kubeconfig"));
        let secret: Secret = playground.client().get(&secret).await.unwrap().unwrap();
        let kubeconfig = secret.data.unwrap().remove("value").unwrap().0;
        std::fs::write(directory.path().join("workload"), kubeconfig).unwrap();
        std::fs::write(directory.path().join("management"), playground.kubeconfig()).unwrap();
        Some(Self { playground, directory })
    }

    async fn kubectl(&self, kubeconfig: &str, arguments: &[&str]) -> String {
        let home = self.directory.path().to_owned();
        let kubeconfig = home.join(kubeconfig);
        let words: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        let output =
            tokio::task::spawn_blocking(move || run(&home, &kubeconfig, &words)).await.unwrap();
        let (stdout, stderr) = texts(&output);
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        stdout
    }
}

fn run(home: &Path, kubeconfig: &Path, arguments: &[String]) -> Output {
    Command::new("kubectl")
        .args(arguments)
        .env("HOME", home)
        .env("KUBECONFIG", kubeconfig)
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_sees_what_a_cluster_resource_set_applied() {
    let Some(example) = Example::start("examples/cluster-resource-set.yaml", "addons").await else {
        return;
    };
    let applied = ["wait", "clusterresourceset/calico", "--for=condition=ResourcesApplied"];
    example.kubectl("management", &[&applied[..], &["--timeout=60s"]].concat()).await;
    let sets = example.kubectl("management", &["get", "clusterresourcesets"]).await;
    assert!(sets.starts_with("NAME     APPLIED   AGE\ncalico   True "), "{sets}");
    let bindings = example.kubectl("management", &["get", "clusterresourcesetbindings"]).await;
    assert!(bindings.starts_with("NAME     CLUSTER   AGE\naddons   addons "), "{bindings}");
    let value = ["get", "configmap", "calico-config", "-n", "calico-system", "-o"];
    let output = ["jsonpath={.data.veth_mtu}"];
    let mtu = example.kubectl("workload", &[&value[..], &output].concat()).await;
    assert_eq!(mtu, "1440");
    let strategy = r#"{"spec":{"strategy":"ApplyOnce"}}"#;
    let words = ["patch", "clusterresourceset", "calico", "--type=merge", "-p", strategy];
    let home = example.directory.path().to_owned();
    let refused = run(&home, &home.join("management"), &words.map(str::to_owned));
    let (_, stderr) = texts(&refused);
    assert!(stderr.contains("spec.strategy: Invalid value: \"ApplyOnce\": field is immutable"));
    example.playground.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_scales_a_machine_pool() {
    let Some(example) = Example::start("examples/machine-pool.yaml", "pool").await else { return };
    let running = |replicas: u32| {
        vec![
            "wait".to_owned(),
            "machinepool/pool-mp-0".to_owned(),
            format!("--for=jsonpath={{.status.readyReplicas}}={replicas}"),
            "--timeout=60s".to_owned(),
        ]
    };
    let wait = async |replicas: u32| {
        let words = running(replicas);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        example.kubectl("management", &words).await;
    };
    wait(2).await;
    example.kubectl("management", &["scale", "machinepool", "pool-mp-0", "--replicas=3"]).await;
    wait(3).await;
    let pools = example.kubectl("management", &["get", "mp"]).await;
    let header = "NAME        CLUSTER   DESIRED   CURRENT   READY   AVAILABLE   UP-TO-DATE   PHASE";
    assert!(pools.starts_with(header), "{pools}");
    assert!(pools.lines().nth(1).is_some_and(|line| line.starts_with("pool-mp-0   pool      3 ")));
    let nodes = example.kubectl("workload", &["get", "nodes", "-o", "name"]).await;
    assert_eq!(nodes.lines().filter(|line| line.starts_with("node/worker-")).count(), 3, "{nodes}");
    let selector = ["-l", "cluster.x-k8s.io/pool-name=pool-mp-0", "-o", "name"];
    let machines = ["get", "machines"];
    let machines = example.kubectl("management", &[&machines[..], &selector].concat()).await;
    assert_eq!(machines.lines().count(), 3, "{machines}");
    example.playground.stop().await;
}
