use std::sync::atomic::{AtomicUsize, Ordering};

use k8s_openapi::api::core::v1::Node;
use parking_lot::Mutex;
use serde_json::json;

use super::*;
use crate::client::Client;
use crate::runtime::Manager;
use crate::runtime::fake::{Memory, clock};

/// Runs a closure for each key and notes when.
struct Noting<F> {
    clock: Clock,
    runs: Mutex<Vec<(String, Duration)>>,
    act: F,
}

impl<F, R> Reconciler for Noting<F>
where
    F: Fn(ObjectKey, usize) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Outcome, ReconcileError>> + Send,
{
    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, ReconcileError> {
        let run = {
            let mut runs = self.runs.lock();
            runs.push((key.name.clone(), self.clock.elapsed()));
            runs.iter().filter(|(name, _)| *name == key.name).count()
        };
        (self.act)(key.clone(), run).await
    }
}

impl<F> Noting<F> {
    fn new(clock: &Clock, act: F) -> Arc<Self> {
        Arc::new(Self { clock: clock.clone(), runs: Mutex::default(), act })
    }

    fn millis(&self) -> Vec<u128> {
        self.runs.lock().iter().map(|(_, when)| when.as_millis()).collect()
    }
}

fn runtime(clock: &Clock) -> Runtime {
    Runtime { clock: clock.clone(), kinds: Arc::default(), metrics: Registry::default() }
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("", name)
}

/// Runs a controller with these keys for some (virtual) time.
async fn run(controller: Controller, keys: &[&str], runtime: Runtime, time: Duration) {
    for name in keys {
        controller.trigger().enqueue(key(name));
    }
    let stop = CancellationToken::new();
    let clock = runtime.clock.clone();
    let task = tokio::spawn(controller.run(runtime, stop.clone()));
    clock.sleep(time).await;
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn errors_back_off_and_success_forgets_them() {
    let clock = clock();
    let reconciler = Noting::new(&clock, |_, run| async move {
        match run {
            1..=3 => Err(ReconcileError::Other("no".into())),
            4 => Ok(Outcome::RequeueAfter(Duration::from_secs(1))),
            5 => Err(ReconcileError::Other("no".into())),
            _ => Ok(Outcome::Done),
        }
    });
    let controller = Controller::new("test", reconciler.clone());
    let runtime = runtime(&clock);
    let metrics = runtime.metrics.clone();
    run(controller, &["a"], runtime, Duration::from_secs(60)).await;
    assert_eq!(reconciler.millis(), [0, 5, 15, 35, 1035, 1040]);
    let text = metrics.render();
    assert!(text.contains("controller_runtime_reconcile_errors_total{controller=\"test\"} 4"));
    assert!(text.contains("{controller=\"test\",result=\"success\"} 1"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_counted_and_retried() {
    let clock = clock();
    let reconciler = Noting::new(&clock, |_, run| async move {
        assert!(run > 1, "first run");
        Ok(Outcome::Done)
    });
    let controller = Controller::new("test", reconciler.clone());
    let runtime = runtime(&clock);
    let metrics = runtime.metrics.clone();
    run(controller, &["a"], runtime, Duration::from_secs(1)).await;
    assert_eq!(reconciler.millis(), [0, 5]);
    assert!(metrics.render().contains("reconcile_panics_total{controller=\"test\"} 1"));
}

#[tokio::test(start_paused = true)]
async fn no_more_keys_are_in_hand_than_allowed() {
    let clock = clock();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let reconciler = Noting::new(&clock, {
        let (clock, now, most) = (clock.clone(), now.clone(), most.clone());
        move |_, _| {
            let (clock, now, most) = (clock.clone(), now.clone(), most.clone());
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                clock.sleep(Duration::from_secs(1)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(Outcome::Done)
            }
        }
    });
    let controller = Controller::new("test", reconciler.clone()).concurrency(2);
    run(controller, &["a", "b", "c", "d", "e"], runtime(&clock), Duration::from_secs(10)).await;
    assert_eq!(most.load(Ordering::SeqCst), 2);
    assert_eq!(reconciler.millis(), [0, 0, 1000, 1000, 2000]);
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_the_keys_in_hand() {
    let clock = clock();
    let ended = Arc::new(AtomicUsize::new(0));
    let reconciler = Noting::new(&clock, {
        let (clock, ended) = (clock.clone(), ended.clone());
        move |_, _| {
            let (clock, ended) = (clock.clone(), ended.clone());
            async move {
                clock.sleep(Duration::from_secs(5)).await;
                ended.fetch_add(1, Ordering::SeqCst);
                Ok(Outcome::Done)
            }
        }
    });
    let controller = Controller::new("test", reconciler).concurrency(1);
    run(controller, &["a", "b"], runtime(&clock), Duration::from_secs(1)).await;
    assert_eq!(ended.load(Ordering::SeqCst), 1);
}

type Ran = Result<Outcome, ReconcileError>;
type Act = Box<dyn Fn(ObjectKey, usize) -> BoxFuture<'static, Ran> + Send + Sync>;

/// A manager with one controller of Nodes that labels each Node at its first run.
fn labelling(memory: &Memory, clock: &Clock) -> (Arc<Manager>, Arc<Noting<Act>>, Trigger) {
    let manager = Arc::new(Manager::new(memory.client(), clock.clone()));
    let nodes = manager.informer::<Node>();
    let client: Client = manager.client().clone();
    let act: Act = Box::new(move |key, run| {
        let client = client.clone();
        async move {
            if run == 1 {
                let patch = json!({"metadata": {"labels": {"seen": "true"}}});
                client.merge_patch::<Node>(&key, "", &patch).await?;
            }
            Ok(Outcome::Done)
        }
        .boxed()
    });
    let reconciler = Noting::new(clock, act);
    let controller = Controller::new("node", reconciler.clone()).concurrency(1).for_kind(&nodes);
    let trigger = controller.trigger();
    manager.add(controller);
    (manager, reconciler, trigger)
}

#[tokio::test(start_paused = true)]
async fn a_key_waits_until_the_copy_contains_its_own_writes() {
    let (memory, clock) = (Memory::default(), clock());
    memory.put("/api/v1/nodes/a", json!({"metadata": {"name": "a"}}));
    memory.put("/api/v1/nodes/b", json!({"metadata": {"name": "b"}}));
    let (manager, reconciler, trigger) = labelling(&memory, &clock);
    let stop = CancellationToken::new();
    memory.hold_watches();
    let task = tokio::spawn({
        let (manager, stop) = (manager.clone(), stop.clone());
        async move { manager.run(stop).await }
    });
    manager.started().await;
    clock.sleep(Duration::from_secs(3)).await;
    // Both have run: a key that is held takes no place.
    assert_eq!(reconciler.millis(), [0, 0]);
    trigger.enqueue(key("a"));
    clock.sleep(Duration::from_secs(3)).await;
    assert_eq!(reconciler.runs.lock().len(), 2, "held until the copy has caught up");
    memory.release_watches();
    clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(reconciler.millis(), [0, 0, 6000, 6000]);
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_own_writes_has_a_deadline() {
    let (memory, clock) = (Memory::default(), clock());
    memory.put("/api/v1/nodes/a", json!({"metadata": {"name": "a"}}));
    let (manager, reconciler, trigger) = labelling(&memory, &clock);
    memory.hold_watches();
    let stop = CancellationToken::new();
    let task = tokio::spawn({
        let (manager, stop) = (manager.clone(), stop.clone());
        async move { manager.run(stop).await }
    });
    manager.started().await;
    clock.sleep(Duration::from_secs(1)).await;
    trigger.enqueue(key("a"));
    clock.sleep(Duration::from_secs(20)).await;
    assert_eq!(reconciler.millis(), [0, 10_000]);
    stop.cancel();
    task.await.unwrap();
}
