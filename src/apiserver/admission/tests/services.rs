//! Addresses and node ports of Services.

use serde_json::{Value, json};

use super::harness::Engine;

const SERVICES: &str = "/api/v1/namespaces/a/services";

fn service(name: &str, changes: Value) -> Value {
    let mut spec = json!({"ports": [{"port": 80}]});
    for (name, value) in changes.as_object().unwrap() {
        spec[name] = value.clone();
    }
    json!({"metadata": {"name": name}, "spec": spec})
}

#[tokio::test]
async fn addresses_are_given_once_and_given_back() {
    let engine = Engine::new().await;
    let first = engine.post(SERVICES, service("s", json!({}))).await.ok();
    let address = first["spec"]["clusterIP"].clone();
    let twin = service("t", json!({"clusterIP": address}));
    let shown = address.as_str().unwrap();
    let message = format!(
        "Service \"t\" is invalid: spec.clusterIPs: Invalid value: [\"{shown}\"]: failed to \
         allocate IP {shown}: provided IP is already allocated"
    );
    assert_eq!(
        engine.post(SERVICES, twin.clone()).await.refused(),
        (422, "Invalid", message.as_str())
    );
    engine.delete(&format!("{SERVICES}/s")).await.ok();
    engine.post(SERVICES, twin).await.ok();
    // What the name of `s` proposes is taken now: it gets another one.
    let again = engine.post(SERVICES, service("s", json!({}))).await.ok();
    assert_ne!(again["spec"]["clusterIP"], address);
    assert_eq!(again["spec"]["clusterIPs"], json!([again["spec"]["clusterIP"]]));
}

#[tokio::test]
async fn addresses_outside_of_the_range_are_refused() {
    let engine = Engine::new().await;
    let answer = engine.post(SERVICES, service("s", json!({"clusterIP": "1.2.3.4"}))).await;
    let message = "Service \"s\" is invalid: spec.clusterIPs: Invalid value: [\"1.2.3.4\"]: failed \
                   to allocate IP 1.2.3.4: the provided network does not match the current range";
    assert_eq!(answer.refused(), (422, "Invalid", message));
    engine.post(SERVICES, service("s", json!({"clusterIP": "None"}))).await.ok();
}

#[tokio::test]
async fn refused_and_tried_writes_hold_nothing() {
    let engine = Engine::new().await;
    let wanted = || json!({"clusterIP": "10.0.0.77"});
    engine.post(&format!("{SERVICES}?dryRun=All"), service("s", wanted())).await.ok();
    let mut invalid = service("s", wanted());
    invalid["metadata"]["labels"] = json!({"-": "x"});
    assert_eq!(engine.post(SERVICES, invalid).await.code, 422);
    engine.post(SERVICES, service("t", wanted())).await.ok();
}

#[tokio::test]
async fn node_ports_are_given_once() {
    let engine = Engine::new().await;
    let ports = |port: u32| json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]});
    engine.post(SERVICES, service("s", ports(30080))).await.ok();
    let answer = engine.post(SERVICES, service("t", ports(30080))).await;
    let message = "Service \"t\" is invalid: spec.ports[0].nodePort: Invalid value: 30080: provided \
                   port is already allocated";
    assert_eq!(answer.refused(), (422, "Invalid", message));
    let answer = engine.post(SERVICES, service("t", ports(80))).await;
    let message = "Service \"t\" is invalid: spec.ports[0].nodePort: Invalid value: 80: provided \
                   port is not in the valid range. The range of valid ports is 30000-32767";
    assert_eq!(answer.refused(), (422, "Invalid", message));
    let one = format!("{SERVICES}/s");
    engine.merge(&one, json!({"spec": {"ports": [{"port": 80, "nodePort": 30081}]}})).await.ok();
    engine.post(SERVICES, service("t", ports(30080))).await.ok();
    // What others have is not given back along the way.
    let answer = engine.post(SERVICES, service("u", ports(30081))).await;
    assert_eq!(answer.code, 422);
    engine.delete(&one).await.ok();
    engine.post(SERVICES, service("u", ports(30081))).await.ok();
    assert_eq!(engine.post(SERVICES, service("v", ports(30080))).await.code, 422);
}
