//! Values that classes and topologies have in common.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::json;

use crate::api::core::{Cluster, RolloutStrategy, TemplateMeta};
use crate::api::topology::ClusterClass;
use crate::machinery::status::{Cause, quote};

const AUTOSCALER_BOUNDS: [&str; 2] = [
    "cluster.x-k8s.io/cluster-api-autoscaler-node-group-min-size",
    "cluster.x-k8s.io/cluster-api-autoscaler-node-group-max-size",
];

/// A number or a percentage. (CAPI v1.14: core/webhooks/admission/machinedeployment.go)
pub(super) fn validate_count(count: Option<&IntOrString>, path: &str) -> Option<Cause> {
    let Some(IntOrString::String(text)) = count else { return None };
    let error = match text.strip_suffix('%') {
        None => "invalid type: string is not a percentage".to_owned(),
        Some(number) if number.parse::<i64>().is_ok() => return None,
        Some(number) => format!(
            "invalid value {}: strconv.Atoi: parsing {}: invalid syntax",
            quote(text),
            quote(number)
        ),
    };
    let detail =
        format!("must be either an int or a percentage: invalid value for IntOrString: {error}");
    Some(Cause::invalid(path, &json!(text), &detail))
}

/// `path` is the strategy's.
pub(super) fn validate_rollout(strategy: &RolloutStrategy, path: &str) -> Vec<Cause> {
    let Some(limits) = &strategy.rolling_update else { return Vec::new() };
    let at = format!("{path}.rollingUpdate");
    let (unavailable, surge) = (limits.max_unavailable.as_ref(), limits.max_surge.as_ref());
    let mut causes = Vec::new();
    causes.extend(validate_count(unavailable, &format!("{at}.maxUnavailable")));
    causes.extend(validate_count(surge, &format!("{at}.maxSurge")));
    let is_zero = |count: Option<&IntOrString>| matches!(count, Some(IntOrString::Int(0)));
    if is_zero(unavailable) && is_zero(surge) {
        let detail = "maxUnavailable and maxSurge cannot both be 0";
        causes.push(Cause::invalid(at, &json!("0"), detail));
    }
    causes
}

/// Replicas and the bounds of an autoscaler exclude each other, in a Cluster and with its class.
pub(super) fn validate_autoscaling(cluster: &Cluster, class: Option<&ClusterClass>) -> Vec<Cause> {
    let is_bounded = |metadata: &TemplateMeta| {
        metadata.annotations.keys().any(|key| AUTOSCALER_BOUNDS.contains(&key.as_str()))
    };
    let name = quote(cluster.metadata.name.as_deref().unwrap_or_default());
    let namespace = quote(cluster.metadata.namespace.as_deref().unwrap_or_default());
    let mut causes = Vec::new();
    for deployment in &cluster.spec.topology.workers.machine_deployments {
        let Some(replicas) = deployment.replicas else { continue };
        let at = format!("spec.topology.workers.machineDeployments[{}].replicas", deployment.name);
        let mut refuse = |because: String| {
            let detail = format!(
                "cannot be set for cluster {name} in namespace {namespace} if the {because} has \
                 autoscaler annotations"
            );
            causes.push(Cause::invalid(at.as_str(), &json!(replicas), &detail));
        };
        if is_bounded(&deployment.metadata) {
            refuse("same MachineDeploymentTopology".to_owned());
        }
        let classes = class.iter().flat_map(|class| &class.spec.workers.machine_deployments);
        for one in classes.filter(|one| one.class == deployment.class) {
            if is_bounded(&one.metadata) {
                let class = quote(&deployment.class);
                refuse(format!("source class {class} of this MachineDeploymentTopology"));
            }
        }
    }
    causes
}
