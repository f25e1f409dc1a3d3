use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::json;

use super::*;
use crate::client::{EtcdStatus, RemoteCluster};
use crate::runtime::fake::{Memory, clock};
use crate::runtime::{Controller, Outcome, ReconcileError, Reconciler};

struct Idle;

impl Reconciler for Idle {
    async fn reconcile(&self, _key: &ObjectKey) -> Result<Outcome, ReconcileError> {
        Ok(Outcome::Done)
    }
}

/// Waits until nothing else can run.
async fn settle(clock: &Clock) {
    clock.sleep(std::time::Duration::from_millis(1)).await;
}

fn remote(memory: &Memory) -> RemoteCluster {
    RemoteCluster::new(memory.client(), Arc::new(EtcdStatus::default))
}

struct Running {
    informers: RemoteInformers,
    clusters: ClusterCache,
    clock: Clock,
    /// `cluster: what`.
    told: Arc<Mutex<Vec<String>>>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

fn start() -> Running {
    let (clusters, clock, stop) = (ClusterCache::new(), clock(), CancellationToken::new());
    let informers = RemoteInformers::new(clusters.clone(), clock.clone());
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = told.clone();
    let controller = Controller::new("test", Arc::new(Idle));
    informers.notify(controller.trigger(), move |cluster, object| {
        let what = match object {
            None => "cluster".to_owned(),
            Some(RemoteObject::Node(node)) => format!("node {}", ObjectKey::of(node.as_ref())),
            Some(RemoteObject::Pod(pod)) => format!("pod {}", ObjectKey::of(pod.as_ref())),
        };
        log.lock().push(format!("{}: {what}", cluster.name));
        vec![cluster.clone()]
    });
    let task = tokio::spawn({
        let (informers, stop) = (informers.clone(), stop.clone());
        async move { informers.run(stop).await }
    });
    Running { informers, clusters, clock, told, stop, task }
}

#[tokio::test(start_paused = true)]
async fn copies_live_as_long_as_their_cluster_can_be_reached() {
    let running = start();
    let (informers, key) = (&running.informers, ObjectKey::new("ns", "c"));
    settle(&running.clock).await;
    assert!(!informers.is_synced(&key));

    let memory = Memory::default();
    memory.put("/api/v1/nodes/n", json!({"metadata": {"name": "n"}}));
    running.clusters.register(&key, remote(&memory));
    settle(&running.clock).await;
    assert!(informers.is_synced(&key));
    assert_eq!(informers.nodes(&key).len(), 1);
    let pod = json!({"metadata": {"name": "etcd-n", "namespace": "kube-system"}});
    memory.put("/api/v1/namespaces/kube-system/pods/etcd-n", pod);
    settle(&running.clock).await;
    assert!(informers.pod(&key, "etcd-n").is_some());
    assert!(informers.node(&key, "n").is_some());

    running.clusters.touch(&key);
    running.clusters.remove(&key);
    settle(&running.clock).await;
    assert!(!informers.is_synced(&key));
    assert!(informers.nodes(&key).is_empty());
    let told = running.told.lock().clone();
    assert_eq!(told[..3], ["c: cluster", "c: node n", "c: pod kube-system/etcd-n"]);
    assert_eq!(told[3..], ["c: cluster", "c: cluster"]);

    running.stop.cancel();
    running.task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_comes_back_is_read_anew() {
    let running = start();
    let (informers, key) = (&running.informers, ObjectKey::new("ns", "c"));
    let (one, two) = (Memory::default(), Memory::default());
    one.put("/api/v1/nodes/old", json!({"metadata": {"name": "old"}}));
    two.put("/api/v1/nodes/new", json!({"metadata": {"name": "new"}}));
    running.clusters.register(&key, remote(&one));
    settle(&running.clock).await;
    running.clusters.register(&key, remote(&two));
    settle(&running.clock).await;
    assert!(informers.node(&key, "old").is_none());
    assert!(informers.node(&key, "new").is_some());
    running.stop.cancel();
    running.task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_quiet_watch_is_small() {
    let nodes = Informer::<Node>::new(Source {
        target: Target::of::<Node>(&()),
        namespace: "".into(),
        label_selector: "",
    });
    let watch = nodes.run(Memory::default().client(), clock(), CancellationToken::new());
    assert!(size_of_val(&watch) < 2048, "{} bytes", size_of_val(&watch));
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_lags_looks_at_all_clusters() {
    let running = start();
    let memory = Memory::default();
    let keys: Vec<_> = (0..5000).map(|i| ObjectKey::new("ns", format!("c{i}"))).collect();
    for key in &keys {
        running.clusters.touch(key);
    }
    running.clusters.register(&keys[0], remote(&memory));
    settle(&running.clock).await;
    assert!(running.informers.is_synced(&keys[0]));
    running.stop.cancel();
    running.task.await.unwrap();
}
