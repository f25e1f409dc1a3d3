//! Phases of MachinePools.

use serde_json::{Value, json};

use super::status::phase_of;
use crate::api::pools::MachinePool;

fn check(change: Value, phase: &str) {
    let mut pool = json!({"metadata": {"name": "mp"}, "spec": {"replicas": 2}, "status": {}});
    crate::machinery::patch::merge::apply(&mut pool, &change);
    let pool: MachinePool = serde_json::from_value(pool).unwrap();
    assert_eq!(phase_of(&pool), phase, "{change}");
}

#[test]
fn the_phase_follows_bootstrap_infrastructure_and_nodes() {
    let created = json!({"bootstrapDataSecretCreated": true});
    let provisioned = json!({"infrastructureProvisioned": true});
    let ready = |ready: i32| json!({"v1beta1": {"readyReplicas": ready}});
    check(json!({}), "Pending");
    check(json!({"status": {"phase": "Running"}}), "Running");
    check(json!({"status": {"phase": "Nonsense"}}), "Pending");
    check(json!({"status": {"initialization": created}}), "Provisioning");
    check(
        json!({"status": {"initialization": created, "nodeRefs": [{"name": "a"}]}}),
        "Provisioned",
    );
    let at = |count| json!({"status": {"initialization": provisioned, "deprecated": ready(count)}});
    check(at(0), "ScalingUp");
    check(at(2), "Running");
    check(at(3), "ScalingDown");
    let mut managed = at(3);
    managed["metadata"] =
        json!({"annotations": {"cluster.x-k8s.io/replicas-managed-by": "external-autoscaler"}});
    check(managed, "Scaling");
    let mut deleting = at(2);
    deleting["metadata"] = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
    check(deleting, "Deleting");
}
