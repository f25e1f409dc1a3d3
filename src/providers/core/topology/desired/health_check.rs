//! Health checks of a topology's Machines.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::blueprint::{HealthCheck, health_check};
use super::super::labels::{DEPLOYMENT_NAME, OWNED};
use super::super::scope::Scope;
use super::super::tree;
use super::template;
use crate::api::topology::{MachineDeploymentClass, MachineDeploymentTopology};
use crate::contract::labels;

/// Seconds that a Node may take to appear, unless told otherwise. (CAPI v1.14: MachineHealthCheck's
/// defaulting)
const NODE_STARTUP_SECONDS: i32 = 600;

/// The control plane's health check.
pub(super) fn of_control_plane(scope: &Scope, control_plane: &Value) -> Option<Value> {
    let check = scope.blueprint.control_plane_health_check(&scope.topology)?;
    let selector = [(OWNED, ""), (labels::CONTROL_PLANE, "")].into();
    Some(object(scope, control_plane, &selector, check))
}

/// A MachineDeployment's health check.
pub(super) fn of_deployment(
    scope: &Scope,
    class: &MachineDeploymentClass,
    topology: &MachineDeploymentTopology,
    deployment: &Value,
) -> Option<Value> {
    let of_class = &class.health_check;
    let of_class =
        of_class.is_defined().then(|| (of_class.checks.clone(), of_class.remediation.clone()));
    let check = health_check(&topology.health_check, of_class)?;
    let selector = [(OWNED, ""), (DEPLOYMENT_NAME, topology.name.as_str())].into();
    Some(object(scope, deployment, &selector, check))
}

/// A health check with the name of what it looks after. Defaults are filled in, so that it equals
/// what is stored.
fn object(
    scope: &Scope,
    target: &Value,
    selector: &BTreeMap<&str, &str>,
    (mut checks, remediation): HealthCheck,
) -> Value {
    checks.node_startup_timeout_seconds.get_or_insert(NODE_STARTUP_SECONDS);
    let mut spec = json!({
        "clusterName": scope.name(),
        "selector": {"matchLabels": selector},
        "checks": checks,
    });
    let trigger = json!(remediation.trigger_if);
    if trigger != json!({}) {
        tree::set(&mut spec, &["remediation", "triggerIf"], trigger);
    }
    let template_ref = json!(remediation.template_ref);
    if template_ref != json!({}) {
        tree::set(&mut spec, &["remediation", "templateRef"], template_ref);
    }
    json!({
        "apiVersion": "cluster.x-k8s.io/v1beta2",
        "kind": "MachineHealthCheck",
        "metadata": {
            "name": tree::name(target),
            "namespace": tree::namespace(target),
            "labels": {labels::CLUSTER_NAME: scope.name(), OWNED: ""},
            "ownerReferences": [template::owner(scope)],
        },
        "spec": spec,
    })
}
