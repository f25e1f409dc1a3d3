use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use parking_lot::Mutex;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::runtime::fake::{Script, Step, clock, end_of_list};

fn line(event: &str, name: &str, version: u64) -> String {
    let object = json!({"kind": "Node", "apiVersion": "v1", "metadata": {"name": name,
        "resourceVersion": version.to_string(), "labels": {"zone": format!("z{}", version % 2)},
        "managedFields": [{"manager": "m", "fieldsV1": {"f:a": {}}}]}});
    format!("{}\n", json!({"type": event, "object": object}))
}

fn zone(node: &Node) -> Vec<String> {
    node.metadata.labels.iter().flat_map(|labels| labels.get("zone").cloned()).collect()
}

fn names(nodes: &[Arc<Node>]) -> Vec<&str> {
    nodes.iter().filter_map(|node| node.metadata.name.as_deref()).collect()
}

struct Running {
    informer: Informer<Node>,
    clock: Clock,
    /// Changes as `+a`, `~a`, `-a`.
    told: Arc<Mutex<Vec<String>>>,
    stop: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn start(script: &Script) -> Running {
    let informer = Informer::<Node>::new(Source {
        target: Target::of::<Node>(&()),
        namespace: "".into(),
        label_selector: "",
    });
    informer.add_index("zone", zone);
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = told.clone();
    informer.on_change(move |change| {
        let sign = match (&change.old, &change.new) {
            (None, _) => '+',
            (Some(_), Some(_)) => '~',
            (Some(_), None) => '-',
        };
        let name = change.object().metadata.name.clone().unwrap_or_default();
        log.lock().push(format!("{sign}{name}"));
    });
    let (clock, stop) = (clock(), CancellationToken::new());
    tokio::spawn(informer.clone().run(script.client(), clock.clone(), stop.clone()));
    Running { informer, clock, told, stop }
}

#[tokio::test(start_paused = true)]
async fn a_streaming_list_becomes_visible_at_its_end_and_events_follow() {
    let script = Script::new([Step::Stays(vec![
        line("ADDED", "b", 4) + &line("ADDED", "a", 3),
        end_of_list(7),
        line("MODIFIED", "b", 8) + &line("ADDED", "c", 9)[..20],
        line("ADDED", "c", 9)[20..].to_owned(),
        line("DELETED", "a", 10),
    ])]);
    let running = start(&script);
    running.informer.synced().await;
    running.informer.wait_for(10).await;
    assert_eq!(names(&running.informer.list()), ["b", "c"]);
    assert_eq!(*running.told.lock(), ["+b", "+a", "~b", "+c", "-a"]);
    let b = running.informer.get("", "b").unwrap();
    assert_eq!(b.metadata.resource_version.as_deref(), Some("8"));
    assert!(b.metadata.managed_fields.is_none());
    assert_eq!(names(&running.informer.by_index("zone", "z0")), ["b"]);
    assert_eq!(names(&running.informer.by_index("zone", "z1")), ["c"]);
    let first = &script.asked()[0];
    assert!(first.contains("sendInitialEvents=true&resourceVersionMatch=NotOlderThan"), "{first}");
}

#[tokio::test(start_paused = true)]
async fn an_ended_watch_resumes_after_the_last_bookmark() {
    let bookmark = json!({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "20"}}});
    let script = Script::new([
        Step::Ends(vec![end_of_list(7), format!("{bookmark}\n")]),
        Step::Stays(vec![line("ADDED", "a", 21)]),
    ]);
    let running = start(&script);
    running.informer.wait_for(20).await;
    running.informer.wait_for(21).await;
    assert!(script.asked()[1].contains("&resourceVersion=20"));
    assert!(!script.asked()[1].contains("sendInitialEvents"));
    assert_eq!(running.informer.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_expired_watch_lists_anew_and_tells_only_differences() {
    let expired = json!({"type": "ERROR", "object": {"kind": "Status", "code": 410,
        "reason": "Expired", "status": "Failure", "message": "too old resource version"}});
    let script = Script::new([
        Step::Ends(vec![
            line("ADDED", "a", 1) + &line("ADDED", "b", 2) + &line("ADDED", "c", 3),
            end_of_list(3),
            format!("{expired}\n"),
        ]),
        Step::Stays(vec![
            line("ADDED", "b", 2) + &line("ADDED", "c", 9) + &line("ADDED", "d", 8),
            end_of_list(30),
        ]),
    ]);
    let running = start(&script);
    running.informer.wait_for(30).await;
    assert_eq!(names(&running.informer.list()), ["b", "c", "d"]);
    assert_eq!(*running.told.lock(), ["+a", "+b", "+c", "-a", "~c", "+d"]);
    assert!(script.asked()[1].contains("sendInitialEvents=true"));
}

#[tokio::test(start_paused = true)]
async fn a_server_without_streaming_lists_is_listed_page_by_page() {
    let item = |name: &str| json!({"metadata": {"name": name, "resourceVersion": "2"}});
    let script = Script::new([
        Step::Answer(422, json!({"kind": "Status", "reason": "Invalid", "code": 422})),
        Step::Answer(
            200,
            json!({"metadata": {"resourceVersion": "5", "continue": "t=1"},
            "items": [item("a")]}),
        ),
        Step::Answer(200, json!({"metadata": {"resourceVersion": "5"}, "items": [item("b")]})),
        Step::Stays(vec![line("ADDED", "c", 6)]),
    ]);
    let running = start(&script);
    running.informer.wait_for(6).await;
    assert_eq!(names(&running.informer.list()), ["a", "b", "c"]);
    let asked = script.asked();
    assert!(asked[2].ends_with("&continue=t%3D1"), "{}", asked[2]);
    assert!(asked[3].contains("&resourceVersion=5"), "{}", asked[3]);
    assert_eq!(running.clock.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn failures_are_retried_with_a_growing_delay() {
    let refuse = || Step::Answer(503, json!({}));
    let script = Script::new([refuse(), refuse(), Step::Stays(vec![end_of_list(1)])]);
    let running = start(&script);
    running.informer.synced().await;
    assert_eq!(running.clock.elapsed().as_millis(), 800 + 1600);
}

#[tokio::test(start_paused = true)]
async fn late_handlers_and_indexes_see_what_is_there() {
    let script = Script::new([Step::Stays(vec![line("ADDED", "a", 3), end_of_list(7)])]);
    let running = start(&script);
    running.informer.synced().await;
    let count = Arc::new(Mutex::new(0));
    let counted = count.clone();
    running.informer.on_change(move |_| *counted.lock() += 1);
    running.informer.add_index("name", |node| node.metadata.name.iter().cloned().collect());
    assert_eq!(*count.lock(), 1);
    assert_eq!(names(&running.informer.by_index("name", "a")), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_cannot_be_decoded_is_left_out() {
    let odd = |version: u64| {
        let object = json!({"metadata": {"name": "odd", "resourceVersion": version.to_string()},
            "spec": "not an object"});
        format!("{}\n", json!({"type": "ADDED", "object": object}))
    };
    let script = Script::new([Step::Stays(vec![
        odd(1) + &line("ADDED", "a", 2),
        end_of_list(3),
        odd(4) + &line("ADDED", "b", 5) + &odd(6),
    ])]);
    let running = start(&script);
    running.informer.on_change(|_| panic!("a broken handler"));
    running.informer.wait_for(6).await;
    assert_eq!(names(&running.informer.list()), ["a", "b"]);
    assert_eq!(script.asked().len(), 1);
}
