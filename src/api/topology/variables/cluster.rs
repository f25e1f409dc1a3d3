//! All variables of a Cluster at once. (CAPI v1.14: core/webhooks/admission/cluster.go,
//! DefaultAndValidateVariables)

use super::{default_overrides, default_values, validate_overrides, validate_values};
use crate::api::core::Cluster;
use crate::api::topology::{ClusterVariable, StatusVariable};
use crate::machinery::status::Cause;

const PATH: &str = "spec.topology.variables";

/// Gives a Cluster's variables and overrides their defaults and checks them. `old` is the Cluster
/// as it was, for rules on transitions.
pub fn default_and_validate(
    cluster: &mut Cluster,
    old: Option<&Cluster>,
    definitions: &[StatusVariable],
) -> Vec<Cause> {
    let mut causes = default_all(cluster, definitions);
    causes.extend(validate_all(cluster, old, definitions));
    causes
}

/// Gives a Cluster's variables and overrides their defaults; those that cannot have any stay.
pub fn default_all(cluster: &mut Cluster, definitions: &[StatusVariable]) -> Vec<Cause> {
    let mut causes = Vec::new();
    let held = &mut cluster.spec.topology.variables;
    match default_values(held, definitions, PATH) {
        Ok(values) => *held = values,
        Err(found) => causes.extend(found),
    }
    for (path, held) in overrides_mut(cluster) {
        if held.is_empty() {
            continue;
        }
        match default_overrides(held, definitions, &path) {
            Ok(values) => *held = values,
            Err(found) => causes.extend(found),
        }
    }
    causes
}

fn validate_all(
    cluster: &Cluster,
    old: Option<&Cluster>,
    definitions: &[StatusVariable],
) -> Vec<Cause> {
    let none: &[ClusterVariable] = &[];
    let before = old.map_or(none, |old| &old.spec.topology.variables);
    let mut causes = validate_values(&cluster.spec.topology.variables, before, definitions, PATH);
    let before = old.map(overrides).unwrap_or_default();
    for (path, held) in overrides(cluster) {
        if held.is_empty() {
            continue;
        }
        // Overrides correspond by the names in their paths.
        let before = before.iter().find(|(known, _)| *known == path).map_or(none, |(_, held)| held);
        causes.extend(validate_overrides(held, before, definitions, &path));
    }
    causes
}

const CONTROL_PLANE: &str = "spec.topology.controlPlane.variables.overrides";

fn path_of(list: &str, name: &str) -> String {
    format!("spec.topology.workers.{list}[{name}].variables.overrides")
}

/// All overrides with their paths.
fn overrides(cluster: &Cluster) -> Vec<(String, &[ClusterVariable])> {
    let topology = &cluster.spec.topology;
    let mut found: Vec<(String, &[ClusterVariable])> =
        vec![(CONTROL_PLANE.to_owned(), &topology.control_plane.variables.overrides)];
    for one in &topology.workers.machine_deployments {
        found.push((path_of("machineDeployments", &one.name), &one.variables.overrides));
    }
    for one in &topology.workers.machine_pools {
        found.push((path_of("machinePools", &one.name), &one.variables.overrides));
    }
    found
}

fn overrides_mut(cluster: &mut Cluster) -> Vec<(String, &mut Vec<ClusterVariable>)> {
    let topology = &mut cluster.spec.topology;
    let mut found =
        vec![(CONTROL_PLANE.to_owned(), &mut topology.control_plane.variables.overrides)];
    for one in &mut topology.workers.machine_deployments {
        found.push((path_of("machineDeployments", &one.name), &mut one.variables.overrides));
    }
    for one in &mut topology.workers.machine_pools {
        found.push((path_of("machinePools", &one.name), &mut one.variables.overrides));
    }
    found
}
