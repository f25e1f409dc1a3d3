//! Health checks of classes and topologies.
//! (CAPI v1.14: core/webhooks/admission/{cluster,clusterclass,machinehealthcheck}.go)

use serde_json::json;

use super::values::validate_count;
use crate::api::core::Cluster;
use crate::api::health_check::HealthChecks;
use crate::api::topology::{ClusterClass, HealthCheckRemediation};
use crate::machinery::status::Cause;

const MIN_STARTUP_SECONDS: i32 = 30;
const CONTROL_PLANE: &str = "healthCheck";

fn validate(checks: &HealthChecks, remediation: &HealthCheckRemediation, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    if let Some(seconds) = checks.node_startup_timeout_seconds
        && seconds != 0
        && seconds < MIN_STARTUP_SECONDS
    {
        let at = format!("{path}.checks.nodeStartupTimeoutSeconds");
        causes.push(Cause::invalid(at, &json!(seconds), "must be at least 30s"));
    }
    let limit = remediation.trigger_if.unhealthy_less_than_or_equal_to.as_ref();
    let at = format!("{path}.remediation.triggerIf.unhealthyLessThanOrEqualTo");
    causes.extend(validate_count(limit, &at));
    let limit = remediation.max_in_flight.as_ref();
    causes.extend(validate_count(limit, &format!("{path}.remediation.maxInFlight")));
    causes
}

/// Checks those of a class.
pub(super) fn validate_class(class: &ClusterClass) -> Vec<Cause> {
    let spec = &class.spec;
    let mut causes = Vec::new();
    let check = &spec.control_plane.health_check;
    if check.is_defined() {
        let path = format!("spec.controlPlane.{CONTROL_PLANE}");
        causes.extend(validate(&check.checks, &check.remediation, &path));
        if !spec.control_plane.machine_infrastructure.template_ref.is_defined() {
            let detail = "can be only set if spec.controlPlane.machineInfrastructure is set";
            causes.push(Cause::forbidden(path, detail));
        }
    }
    for deployment in &spec.workers.machine_deployments {
        let check = &deployment.health_check;
        if check.is_defined() {
            let path = format!("spec.workers.machineDeployments[{}].healthCheck", deployment.class);
            causes.extend(validate(&check.checks, &check.remediation, &path));
        }
    }
    causes
}

/// Checks those of a Cluster; one that is switched on must be somewhere.
pub(super) fn validate_cluster(cluster: &Cluster, class: &ClusterClass) -> Vec<Cause> {
    let topology = &cluster.spec.topology;
    let mut causes = Vec::new();
    let check = &topology.control_plane.health_check;
    let path = "spec.topology.controlPlane.healthCheck";
    let nowhere = |path: &str| {
        let detail = "cannot be set to true as healthCheck definition is not available in the \
                      Cluster topology or the ClusterClass";
        Cause::forbidden(format!("{path}.enable"), detail)
    };
    let of_class = &class.spec.control_plane;
    if check.is_defined() {
        if !of_class.machine_infrastructure.template_ref.is_defined() {
            let detail =
                "can be only set if spec.controlPlane.machineInfrastructure is set in ClusterClass";
            causes.push(Cause::forbidden(path, detail));
        }
        causes.extend(validate(&check.checks, &check.remediation, path));
    }
    if check.enabled == Some(true) && !check.is_defined() && !of_class.health_check.is_defined() {
        causes.push(nowhere(path));
    }
    for deployment in &topology.workers.machine_deployments {
        let check = &deployment.health_check;
        let path =
            format!("spec.topology.workers.machineDeployments[{}].healthCheck", deployment.name);
        if check.is_defined() {
            causes.extend(validate(&check.checks, &check.remediation, &path));
        }
        let mut classes = class.spec.workers.machine_deployments.iter();
        let of_class = classes.find(|one| one.class == deployment.class);
        if check.enabled == Some(true)
            && !check.is_defined()
            && of_class.is_some_and(|of_class| !of_class.health_check.is_defined())
        {
            causes.push(nowhere(&path));
        }
    }
    causes
}
