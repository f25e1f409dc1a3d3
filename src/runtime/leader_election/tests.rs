use serde_json::Value;

use super::*;
use crate::runtime::fake::{Memory, Script, Step, clock};

const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/capd-system/leases/leader";

fn candidate(client: Client, clock: &Clock, identity: &str) -> LeaderElection {
    let lease = ObjectKey::new("capd-system", "leader");
    LeaderElection::new(client, clock.clone(), lease, identity.to_owned())
}

fn holder(memory: &Memory) -> Value {
    memory.object(PATH).unwrap()["spec"]["holderIdentity"].clone()
}

#[tokio::test(start_paused = true)]
async fn one_leads_and_the_other_follows_when_the_lease_is_released() {
    let (memory, clock) = (Memory::default(), clock());
    let mut first = candidate(memory.client(), &clock, "first");
    let mut second = candidate(memory.client(), &clock, "second");
    first.acquire().await.unwrap();
    assert_eq!(holder(&memory), "first");
    let seconds = Duration::from_secs(60);
    tokio::select! {
        lost = first.keep() => panic!("{lost}"),
        _ = second.acquire() => panic!("two leaders"),
        () = clock.sleep(seconds) => {}
    }
    assert_eq!(second.holder(), Some("first"));
    first.release().await;
    assert_eq!(holder(&memory), "");
    let before = clock.elapsed();
    second.acquire().await.unwrap();
    assert!(clock.elapsed() - before <= RETRY_PERIOD, "{:?}", clock.elapsed() - before);
    assert_eq!(holder(&memory), "second");
    let spec = memory.object(PATH).unwrap()["spec"].clone();
    assert_eq!(spec["leaseTransitions"], 1);
    assert_eq!(spec["leaseDurationSeconds"], 15);
}

#[tokio::test(start_paused = true)]
async fn a_dead_leader_is_followed_after_the_lease_has_run_out() {
    let (memory, clock) = (Memory::default(), clock());
    candidate(memory.client(), &clock, "dead").acquire().await.unwrap();
    let before = clock.elapsed();
    candidate(memory.client(), &clock, "next").acquire().await.unwrap();
    let waited = clock.elapsed() - before;
    assert!(waited >= LEASE_DURATION && waited <= LEASE_DURATION + RETRY_PERIOD, "{waited:?}");
    assert_eq!(holder(&memory), "next");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_was_replaced_stops() {
    let (memory, clock) = (Memory::default(), clock());
    let mut leader = candidate(memory.client(), &clock, "first");
    leader.acquire().await.unwrap();
    let mut lease = memory.object(PATH).unwrap();
    lease["spec"]["holderIdentity"] = "thief".into();
    memory.put(PATH, lease);
    let lost = leader.keep().await.to_string();
    assert_eq!(lost, "lease capd-system/leader was taken over by thief");
}

#[tokio::test(start_paused = true)]
async fn a_leader_without_a_server_stops_before_another_may_start() {
    let clock = clock();
    let lease = serde_json::json!({
        "metadata": {"name": "leader", "namespace": "capd-system", "resourceVersion": "1"},
        "spec": {"holderIdentity": "me", "leaseDurationSeconds": 15},
    });
    // Read and written once; then every request is refused with 503.
    let script = Script::new([Step::Answer(200, lease.clone()), Step::Answer(200, lease)]);
    let mut leader = candidate(script.client(), &clock, "me");
    leader.acquire().await.unwrap();
    let before = clock.elapsed();
    let lost = leader.keep().await.to_string();
    assert!(lost.contains("could not be renewed within 10s"), "{lost}");
    assert!(clock.elapsed() - before < LEASE_DURATION, "{:?}", clock.elapsed() - before);
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_are_told_at_once() {
    let clock = clock();
    let status = serde_json::json!({"kind": "Status", "status": "Failure", "code": 401,
        "reason": "Unauthorized", "message": "Unauthorized"});
    let script = Script::new([Step::Answer(401, status)]);
    let refused = candidate(script.client(), &clock, "me").acquire().await.unwrap_err();
    assert!(matches!(refused, LeaderError::Refused { .. }), "{refused}");
    assert_eq!(script.asked().len(), 1);
}
