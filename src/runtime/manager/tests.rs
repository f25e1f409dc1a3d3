use k8s_openapi::api::core::v1::{ConfigMap, Event, Node};
use serde_json::json;

use super::*;
use crate::client::ObjectKey;
use crate::runtime::fake::{Memory, clock};
use crate::runtime::{EventType, Outcome, ReconcileError, Reconciler};

struct Counting {
    nodes: Informer<Node>,
    seen: Mutex<Vec<usize>>,
}

impl Reconciler for Counting {
    async fn reconcile(&self, _key: &ObjectKey) -> Result<Outcome, ReconcileError> {
        self.seen.lock().push(self.nodes.len());
        Ok(Outcome::Done)
    }
}

fn spawn(manager: &Arc<Manager>) -> (CancellationToken, tokio::task::JoinHandle<()>) {
    let stop = CancellationToken::new();
    let (manager, token) = (manager.clone(), stop.clone());
    (stop, tokio::spawn(async move { manager.run(token).await }))
}

#[tokio::test(start_paused = true)]
async fn controllers_start_on_complete_copies_and_everything_ends() {
    let memory = Memory::default();
    for name in ["a", "b", "c"] {
        memory.put(&format!("/api/v1/nodes/{name}"), json!({"metadata": {"name": name}}));
    }
    let manager = Arc::new(Manager::new(memory.client(), clock()));
    let nodes = manager.informer::<Node>();
    let reconciler = Arc::new(Counting { nodes: nodes.clone(), seen: Mutex::default() });
    manager.add(Controller::new("node", reconciler.clone()).for_kind(&nodes));
    let (stop, task) = spawn(&manager);
    manager.started().await;
    manager.clock().sleep(Duration::from_secs(1)).await;
    assert_eq!(*reconciler.seen.lock(), [3, 3, 3]);
    stop.cancel();
    task.await.unwrap();
    assert_eq!(manager.clock().elapsed().as_secs(), 1, "nothing had to be waited for");
}

#[tokio::test(start_paused = true)]
async fn stopping_before_the_copies_are_complete_ends_at_once() {
    let script = crate::runtime::fake::Script::default();
    let manager = Arc::new(Manager::new(script.client(), clock()));
    manager.informer::<Node>();
    let (stop, task) = spawn(&manager);
    manager.clock().sleep(Duration::from_secs(7)).await;
    stop.cancel();
    task.await.unwrap();
    assert_eq!(manager.clock().elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_kind_has_one_informer_and_late_ones_start_on_the_spot() {
    let memory = Memory::default();
    let manager = Arc::new(Manager::new(memory.client(), clock()));
    manager.informer::<Node>().add_index("x", |_| vec!["x".to_owned()]);
    let (stop, task) = spawn(&manager);
    manager.started().await;
    memory.put("/api/v1/nodes/a", json!({"metadata": {"name": "a"}}));
    let again = manager.informer::<Node>();
    again.wait_for(1).await;
    assert_eq!(again.by_index("x", "x").len(), 1);
    let late = manager.informer::<ConfigMap>();
    late.synced().await;
    assert!(late.is_empty());
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn equal_events_within_ten_minutes_are_counted() {
    let memory = Memory::default();
    let manager = Arc::new(Manager::new(memory.client(), clock()));
    let recorder = manager.recorder("node-controller");
    let mut node = Node::default();
    node.metadata.name = Some("n".into());
    node.metadata.uid = Some("u".into());
    let (stop, task) = spawn(&manager);
    for delay in [0, 60, 60, 1200] {
        manager.clock().sleep(Duration::from_secs(delay)).await;
        recorder.event(&node, EventType::Warning, "Odd", "something");
        recorder.event(&node, EventType::Normal, "Odd", format!("after {delay}"));
    }
    stop.cancel();
    task.await.unwrap();
    let events: Vec<Event> = memory
        .objects("/api/v1/namespaces/default/events/")
        .into_iter()
        .map(|event| serde_json::from_value(event).unwrap())
        .filter(|event: &Event| event.type_.as_deref() == Some("Warning"))
        .collect();
    let counts: Vec<_> = events.iter().filter_map(|event| event.count).collect();
    assert_eq!(counts, [3, 1]);
    let first = &events[0];
    assert_eq!(first.involved_object.kind.as_deref(), Some("Node"));
    assert_eq!(first.source.as_ref().unwrap().component.as_deref(), Some("node-controller"));
    let seconds =
        first.last_timestamp.as_ref().unwrap().0 - first.first_timestamp.as_ref().unwrap().0;
    assert_eq!(seconds.get_seconds(), 120);
}
