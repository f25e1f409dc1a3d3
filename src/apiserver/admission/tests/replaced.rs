//! Cluster API's own rules and those of a provider that runs elsewhere.

use serde_json::{Value, json};

use super::harness::{Engine, MUTATING, VALIDATING, allowing, patching, webhook};
use crate::apiserver::crds::install_builtin_crds;

const CLUSTERS: &str = "/apis/cluster.x-k8s.io/v1beta2/namespaces/a/clusters";
const MACHINES: &str = "/apis/cluster.x-k8s.io/v1beta2/namespaces/a/machines";

async fn engine() -> Engine {
    let engine = Engine::new().await;
    let definitions = crate::api::definitions::definitions();
    install_builtin_crds(&engine.server, &definitions, crate::api::definitions::labels);
    engine
}

/// A Cluster that Cluster API's own checks refuse: it refers to nothing.
fn bad_cluster(name: &str) -> Value {
    json!({
        "apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster",
        "metadata": {"name": name}, "spec": {"clusterNetwork": {"serviceDomain": "d"}},
    })
}

/// A Machine whose version Cluster API's own defaults would change.
fn machine(name: &str) -> Value {
    json!({"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Machine",
        "metadata": {"name": name}, "spec": {
        "clusterName": "c", "version": "1.36.1",
        "bootstrap": {"dataSecretName": "s"},
        "infrastructureRef": {
            "apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "DevMachine", "name": "m"},
    }})
}

fn rules(resource: &str, operation: &str) -> Value {
    json!({"rules": [{
        "operations": [operation], "apiGroups": ["cluster.x-k8s.io"], "apiVersions": ["v1beta2"],
        "resources": [resource],
    }]})
}

#[tokio::test]
async fn own_checks_step_aside_for_validating_webhooks_and_come_back() {
    let engine = engine().await;
    assert_eq!(engine.post(CLUSTERS, bad_cluster("before")).await.code, 422);
    let hook = allowing().await;
    // Of another kind, for another operation, and by wildcard: our own rules stay.
    for (name, changes) in [
        ("machines", rules("machines", "CREATE")),
        ("update", rules("clusters", "UPDATE")),
        (
            "wildcard",
            json!({"rules": [{"operations": ["*"], "apiGroups": ["*"],
            "apiVersions": ["*"], "resources": ["*"]}]}),
        ),
    ] {
        engine.configure(VALIDATING, name, webhook(hook.config("/"), changes)).await;
        assert_eq!(engine.post(CLUSTERS, bad_cluster(name)).await.code, 422, "{name}");
    }
    // One that leads nowhere is nobody's.
    let nowhere = json!({"service": {"namespace": "none", "name": "none"}});
    let mut ignored = rules("clusters", "CREATE");
    ignored["failurePolicy"] = "Ignore".into();
    engine.configure(VALIDATING, "nowhere", webhook(nowhere, ignored)).await;
    assert_eq!(engine.post(CLUSTERS, bad_cluster("nowhere")).await.code, 422);
    let before = hook.calls();
    let own = webhook(hook.config("/"), rules("clusters", "CREATE"));
    engine.configure(VALIDATING, "own", own).await;
    engine.post(CLUSTERS, bad_cluster("theirs")).await.ok();
    assert!(hook.calls() > before);
    engine.delete(&format!("{VALIDATING}/own")).await.ok();
    assert_eq!(engine.post(CLUSTERS, bad_cluster("after")).await.code, 422);
}

#[tokio::test]
async fn own_defaults_step_aside_for_mutating_webhooks_and_come_back() {
    let engine = engine().await;
    let created = engine.post(MACHINES, machine("before")).await.ok();
    assert_eq!(created["spec"]["version"], "v1.36.1");
    let hook = patching(json!([
        {"op": "add", "path": "/metadata/labels", "value": {"seen": "yes"}},
    ]))
    .await;
    let own = webhook(hook.config("/"), rules("machines", "CREATE"));
    engine.configure(MUTATING, "own", own).await;
    // The checks are still our own, and want the version as the defaults would have made it.
    let theirs = engine.post(MACHINES, machine("theirs")).await;
    assert_eq!(theirs.code, 422, "{theirs:?}");
    let checks = allowing().await;
    let own = webhook(checks.config("/"), rules("machines", "CREATE"));
    engine.configure(VALIDATING, "own", own).await;
    let theirs = engine.post(MACHINES, machine("theirs")).await.ok();
    assert_eq!(theirs["spec"]["version"], "1.36.1");
    assert_eq!(theirs["metadata"]["labels"]["seen"], "yes");
    engine.delete(&format!("{MUTATING}/own")).await.ok();
    let created = engine.post(MACHINES, machine("after")).await.ok();
    assert_eq!(created["spec"]["version"], "v1.36.1");
}
