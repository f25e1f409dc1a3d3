//! Values of a topology's variables: defaults of the class, and whether they fit. The webhook does
//! the same, unless the class came after the Cluster. (CAPI v1.14: DefaultAndValidateVariables)

use crate::api::topology::variables::{
    default_overrides, default_values, validate_overrides, validate_values,
};
use crate::api::topology::{ClusterVariable, StatusVariable, Topology};
use crate::machinery::status::{Cause, Status};

/// Fills in defaults.
///
/// # Errors
/// The refusal of values that do not fit, as a webhook would word it.
pub(super) fn default_and_validate(
    cluster: &str,
    topology: &mut Topology,
    definitions: &[StatusVariable],
) -> Result<(), String> {
    const PATH: &str = "spec.topology.variables";
    let mut causes = Vec::new();
    match default_values(&topology.variables, definitions, PATH) {
        Ok(values) => topology.variables = values,
        Err(found) => causes.extend(found),
    }
    let all = overrides(topology);
    for (path, values) in all {
        match default_overrides(values, definitions, &path) {
            Ok(made) => *values = made,
            Err(found) => causes.extend(found),
        }
    }
    if causes.is_empty() {
        causes = validate_values(&topology.variables, &[], definitions, PATH);
        for (path, values) in overrides(topology) {
            causes.extend(validate_overrides(values, &[], definitions, &path));
        }
    }
    refused(cluster, causes)
}

/// All lists of overrides that are not empty, with their paths.
fn overrides(topology: &mut Topology) -> Vec<(String, &mut Vec<ClusterVariable>)> {
    let control_plane = &mut topology.control_plane.variables.overrides;
    let mut all =
        vec![("spec.topology.controlPlane.variables.overrides".to_owned(), control_plane)];
    let workers = |kind: &str, name: &str| {
        format!("spec.topology.workers.{kind}[{name}].variables.overrides")
    };
    for one in &mut topology.workers.machine_deployments {
        all.push((workers("machineDeployments", &one.name), &mut one.variables.overrides));
    }
    for one in &mut topology.workers.machine_pools {
        all.push((workers("machinePools", &one.name), &mut one.variables.overrides));
    }
    all.retain(|(_, values)| !values.is_empty());
    all
}

fn refused(cluster: &str, causes: Vec<Cause>) -> Result<(), String> {
    if causes.is_empty() {
        return Ok(());
    }
    Err(Status::invalid("cluster.x-k8s.io", "Cluster", cluster, causes).message)
}
