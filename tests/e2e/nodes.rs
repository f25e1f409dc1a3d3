//! Nodes and Pods of workload clusters: kubectl drain, logs and top, and kubelets that stop.

use std::sync::Arc;
use std::time::Duration;

use capim::api::core::{Machine, MachineDeployment};
use capim::api::infrastructure::DevMachine;
use capim::client::{ObjectKey, Propagation};
use capim::clock::Clock;
use capim::playground::sample::{SampleCluster, Startup};
use capim::playground::{Manifest, Playground, apply_manifests};
use k8s_openapi::api::core::v1::{Node, Pod, Secret};
use k8s_openapi::api::storage::v1::VolumeAttachment;
use serde_json::json;

use crate::support::{playground, texts, tool, virtual_playground};

const LIMIT: Duration = Duration::from_secs(60);

fn key() -> ObjectKey {
    ObjectKey::new("default", "a")
}

/// Cluster `a` with one control plane machine and two workers.
async fn create(playground: &Playground) {
    let sample = SampleCluster {
        name: "a".to_owned(),
        namespace: "default".to_owned(),
        control_planes: 1,
        workers: 2,
        version: capim::playground::KUBERNETES_VERSION.to_owned(),
        startup: Startup::instant(),
    };
    let wrap = |object| Manifest::made(object, "sample");
    let manifests: Vec<Manifest> = sample.manifests().into_iter().map(wrap).collect();
    apply_manifests(playground.client(), "default", &manifests).await.unwrap();
    playground.readiness().expecting([key()]).wait(LIMIT).await.unwrap();
}

/// The first machine of the control plane, or the first of the workers, and its Node's name.
fn machine(playground: &Playground, is_control_plane: bool) -> (Arc<Machine>, String) {
    let wanted = |machine: &Arc<Machine>| {
        let labels = machine.metadata.labels.as_ref().unwrap();
        labels.contains_key("cluster.x-k8s.io/control-plane") == is_control_plane
    };
    let machine = playground.sources().machines.list().into_iter().find(wanted).unwrap();
    let node = machine.status.as_ref().unwrap().node_ref.as_ref().unwrap().name.clone();
    (machine, node)
}

/// kubectl with the kubeconfig that the Cluster's Secret holds.
struct Kubectl {
    home: tempfile::TempDir,
}

impl Kubectl {
    async fn of(playground: &Playground) -> Self {
        let secret = ObjectKey::new("default", "a-kubeconfig");
        let secret: Secret = playground.client().get(&secret).await.unwrap().unwrap();
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("kubeconfig"), &secret.data.unwrap()["value"].0).unwrap();
        Self { home }
    }

    /// Exit code, standard output and standard error of a line.
    async fn run(&self, line: &str) -> (Option<i32>, String, String) {
        let output = tokio::process::Command::new("sh")
            .args(["-c", &format!("kubectl {line}")])
            .env("HOME", self.home.path())
            .env("KUBECONFIG", self.home.path().join("kubeconfig"))
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(LIMIT, output).await;
        let output = output.unwrap_or_else(|_| panic!("{line}: no end in sight")).unwrap();
        let (stdout, stderr) = texts(&output);
        (output.status.code(), stdout, stderr)
    }

    async fn ok(&self, line: &str) -> String {
        let (code, stdout, stderr) = self.run(line).await;
        assert_eq!(code, Some(0), "{line}: {stdout}{stderr}");
        stdout
    }

    async fn fails(&self, line: &str, expected: &str) {
        let (code, stdout, stderr) = self.run(line).await;
        assert_eq!(code, Some(1), "{line}: {stdout}{stderr}");
        assert!(stderr.contains(expected), "{line}: {stdout}{stderr}");
    }

    async fn pod(&self, name: &str, node: &str) {
        let overrides = json!({"spec": {"nodeName": node}});
        self.ok(&format!(
            "run {name} --image=registry.k8s.io/pause --labels=app=a --overrides='{overrides}'"
        ))
        .await;
        self.ok(&format!("wait --for=condition=Ready pod/{name} --timeout=30s")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_waits_for_the_budget() {
    if tool("kubectl").is_none() {
        return;
    }
    let playground = playground(Clock::wall(), 1).await;
    create(&playground).await;
    let kubectl = Kubectl::of(&playground).await;
    let names = kubectl.ok("get nodes -l '!node-role.kubernetes.io/control-plane' -o name").await;
    let names: Vec<&str> = names.lines().filter_map(|name| name.strip_prefix("node/")).collect();
    let [first, second] = names[..] else { panic!("{names:?}") };
    kubectl.ok("create pdb b --selector=app=a --min-available=1").await;
    kubectl.pod("one", first).await;
    let owner = "get ds kube-proxy -n kube-system -o jsonpath='{.metadata.uid}'";
    let owner = json!({
        "metadata": {"ownerReferences": [{
            "apiVersion": "apps/v1", "kind": "DaemonSet", "name": "kube-proxy",
            "uid": kubectl.ok(owner).await, "controller": true,
        }]},
        "spec": {"nodeName": first},
    });
    kubectl
        .ok(&format!(
            "run proxy -n kube-system --image=registry.k8s.io/pause --overrides='{owner}'"
        ))
        .await;

    let drain = format!("drain {first} --force");
    let expected = "cannot delete DaemonSet-managed Pods";
    kubectl.fails(&drain, expected).await;
    let drain = format!("{drain} --ignore-daemonsets");
    let refused = "Cannot evict pod as it would violate the pod's disruption budget.";
    kubectl.fails(&format!("{drain} --timeout=8s"), refused).await;
    kubectl.pod("two", second).await;
    let drained = kubectl.ok(&format!("{drain} --timeout=30s")).await;
    assert!(drained.contains("pod/one evicted"), "{drained}");
    assert!(drained.contains(&format!("node/{first} drained")), "{drained}");
    let list = format!("get pods -A -o name --field-selector=spec.nodeName={first}");
    assert_eq!(kubectl.ok(&list).await.trim_end(), "pod/proxy");
    let table = kubectl.ok(&format!("get node {first} --no-headers")).await;
    assert!(table.contains("Ready,SchedulingDisabled"), "{table}");
    kubectl.ok(&format!("uncordon {first}")).await;
    playground.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn static_pods_have_logs_and_nobody_has_metrics() {
    if tool("kubectl").is_none() {
        return;
    }
    let playground = playground(Clock::wall(), 1).await;
    create(&playground).await;
    let kubectl = Kubectl::of(&playground).await;
    let master = kubectl.ok("get nodes -l node-role.kubernetes.io/control-plane -o name").await;
    let master = master.trim_end().trim_start_matches("node/");
    let etcd = kubectl.ok(&format!("logs -n kube-system etcd-{master}")).await;
    assert!(etcd.contains("became the leader"), "{etcd}");
    let tail = format!("logs -n kube-system etcd-{master} --tail=1 --timestamps");
    assert_eq!(kubectl.ok(&tail).await.lines().count(), 1);
    for component in ["kube-apiserver", "kube-scheduler", "kube-controller-manager"] {
        let log = kubectl.ok(&format!("logs -n kube-system {component}-{master}")).await;
        assert!(log.contains(&format!("Starting {component}")), "{log}");
    }
    let follow = format!("logs -n kube-system etcd-{master} -f --limit-bytes=50");
    assert_eq!(kubectl.ok(&follow).await.len(), 50);
    let invalid = format!("logs -n kube-system etcd-{master} --limit-bytes=-1");
    kubectl.fails(&invalid, "--limit-bytes must be greater than 0").await;
    let previous = format!("logs -n kube-system etcd-{master} --previous");
    kubectl.fails(&previous, "previous terminated container \"etcd\" in pod").await;
    kubectl.pod("own", master).await;
    assert_eq!(kubectl.ok("logs own").await, "");
    kubectl.fails("top nodes", "error: Metrics API not available").await;
    kubectl.fails("top pods", "error: Metrics API not available").await;
    // The Pods of the control plane stay: their manifests lie on the machine.
    for how in ["", "--force --grace-period=0"] {
        let pod = format!("-n kube-system pod/etcd-{master}");
        kubectl.ok(&format!("delete {pod} {how}")).await;
        kubectl.ok(&format!("wait --for=create {pod} --timeout=30s")).await;
        kubectl.ok(&format!("wait --for=condition=Ready {pod} --timeout=30s")).await;
    }
    let drained = kubectl.ok(&format!("drain {master} --force --ignore-daemonsets")).await;
    assert!(drained.contains("pod/own evicted"), "{drained}");
    assert!(!drained.contains("etcd"), "{drained}");
    playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_annotation_stops_the_kubelet_of_a_machine() {
    let playground = virtual_playground(1).await;
    create(&playground).await;
    let (machine, name) = machine(&playground, false);
    let infrastructure = ObjectKey::new("default", &*machine.spec.infrastructure_ref.name);
    let remote = playground.connections().get(&key()).unwrap().client;
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"nodeName": name, "containers": [{"name": "c", "image": "c"}]},
    }))
    .unwrap();
    remote.create(&pod).await.unwrap();
    let patch = json!({"metadata": {"annotations": {"capim.dev/kubelet": "stopped"}}});
    playground.client().merge_patch::<DevMachine>(&infrastructure, "", &patch).await.unwrap();
    let clock = playground.clock().clone();
    let node = ObjectKey::new("", &*name);
    let ready = async || {
        let node: Node = remote.get(&node).await.unwrap().unwrap();
        let conditions = node.status.unwrap().conditions.unwrap();
        conditions.into_iter().find(|it| it.type_ == "Ready").unwrap().status
    };
    let start = clock.elapsed();
    while ready().await != "Unknown" {
        assert!(clock.elapsed() - start < Duration::from_secs(60), "the Node is still Ready");
        clock.sleep(Duration::from_millis(100)).await;
    }
    clock.sleep(Duration::from_secs(301)).await;
    let pod: Pod = remote.get(&ObjectKey::new("default", "p")).await.unwrap().unwrap();
    assert!(pod.metadata.deletion_timestamp.is_some(), "the Pod was evicted");
    let patch = json!({"metadata": {"annotations": {"capim.dev/kubelet": null}}});
    playground.client().merge_patch::<DevMachine>(&infrastructure, "", &patch).await.unwrap();
    clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(ready().await, "True");
    let pod: Option<Pod> = remote.get(&ObjectKey::new("default", "p")).await.unwrap();
    assert!(pod.is_none(), "the kubelet confirmed the end of the Pod");
    playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_annotation_stops_components_of_a_control_plane() {
    let playground = virtual_playground(1).await;
    create(&playground).await;
    let (machine, name) = machine(&playground, true);
    let infrastructure = ObjectKey::new("default", &*machine.spec.infrastructure_ref.name);
    let remote = playground.connections().get(&key()).unwrap();
    let clock = playground.clock().clone();
    let ready = async |component: &str| {
        let key = ObjectKey::new("kube-system", format!("{component}-{name}"));
        let pod: Pod = remote.client.get(&key).await.unwrap().unwrap();
        let conditions = pod.status.unwrap().conditions.unwrap();
        conditions.into_iter().find(|it| it.type_ == "Ready").unwrap().status
    };
    for (annotation, etcd, scheduler) in [
        (json!("etcd, kube-scheduler"), "False", "False"),
        (json!("kube-scheduler"), "True", "False"),
        (json!(null), "True", "True"),
    ] {
        let patch = json!({"metadata": {"annotations": {"capim.dev/stopped": annotation}}});
        playground.client().merge_patch::<DevMachine>(&infrastructure, "", &patch).await.unwrap();
        clock.sleep(Duration::from_secs(1)).await;
        assert_eq!(ready("etcd").await, etcd, "{annotation}");
        assert_eq!(ready("kube-scheduler").await, scheduler, "{annotation}");
        assert_eq!(remote.etcd().leader_id == 0, etcd == "False", "{annotation}");
    }
    playground.stop().await;
}

/// CAPI v1.14: test/e2e/node_drain_test.go, attachments without a driver.
#[tokio::test(start_paused = true)]
async fn a_machine_waits_for_attached_volumes_until_the_timeout() {
    let playground = virtual_playground(1).await;
    create(&playground).await;
    let (machine, node) = machine(&playground, false);
    let machine = ObjectKey::of(&*machine);
    let remote = playground.connections().get(&key()).unwrap().client;
    let attachment: VolumeAttachment = serde_json::from_value(json!({
        "metadata": {"name": "va", "finalizers": ["test.cluster.x-k8s.io/block"]},
        "spec": {"attacher": "manual", "nodeName": node, "source": {"persistentVolumeName": "foo"}},
    }))
    .unwrap();
    remote.create(&attachment).await.unwrap();
    let attached = json!({"status": {"attached": true}});
    let va = ObjectKey::new("", "va");
    remote.merge_patch::<VolumeAttachment>(&va, "status", &attached).await.unwrap();

    let client = playground.client();
    client.delete::<Machine>(&machine, Propagation::Default).await.unwrap();
    let clock = playground.clock().clone();
    clock.sleep(Duration::from_secs(60)).await;
    let waiting: Machine = client.get(&machine).await.unwrap().expect("it waits");
    let conditions = waiting.status.unwrap().conditions;
    let deleting = conditions.iter().find(|it| it.type_ == "Deleting").unwrap();
    assert_eq!(deleting.reason, "WaitingForVolumeDetach");
    let expected = "\n* VolumeAttachment with .spec.source.persistentVolumeName not matching a \
                    PersistentVolume: foo";
    assert!(deleting.message.ends_with(expected), "{}", deleting.message);
    // The timeout reaches Machines that are being deleted already.
    let deployments: Vec<MachineDeployment> = client.list("default", "").await.unwrap();
    let timeout = json!({"nodeVolumeDetachTimeoutSeconds": 1});
    let patch = json!({"spec": {"template": {"spec": {"deletion": timeout}}}});
    let deployment = ObjectKey::of(&deployments[0]);
    client.merge_patch::<MachineDeployment>(&deployment, "", &patch).await.unwrap();
    clock.sleep(Duration::from_secs(60)).await;
    assert!(client.get::<Machine>(&machine).await.unwrap().is_none(), "the time is over");
    let va: Option<VolumeAttachment> = remote.get(&va).await.unwrap();
    assert!(va.is_some(), "nobody detaches what nobody here attached");
    playground.stop().await;
}
