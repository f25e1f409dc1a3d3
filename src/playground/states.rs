//! Gauges of clusters and machines by state, counted when somebody looks.

use std::collections::BTreeMap;

use crate::api::core::{Cluster, Machine};
use crate::contract::conditions;
use crate::metrics::Registry;
use crate::runtime::Informer;

/// Phases that Cluster API gives. Others, which anybody can write into a status, count as Unknown:
/// labels are never what a client made up. (CAPI v1.14: api/core/v1beta2/{cluster,machine}_phase_types.go)
const CLUSTER_PHASES: [&str; 6] =
    ["Pending", "Provisioning", "Provisioned", "Deleting", "Failed", "Unknown"];
const MACHINE_PHASES: [&str; 9] = [
    "Pending",
    "Provisioning",
    "Provisioned",
    "Running",
    "Updating",
    "Deleting",
    "Deleted",
    "Failed",
    "Unknown",
];

/// Shows the gauges on `metrics`.
pub(super) fn publish(
    metrics: &Registry,
    clusters: &Informer<Cluster>,
    machines: &Informer<Machine>,
) {
    let (clusters, machines) = (clusters.clone(), machines.clone());
    metrics.before_render(move |metrics| {
        let all = clusters.list();
        let phase = |it: &Cluster| it.status.as_ref().map(|status| status.phase.clone());
        let phases = all.iter().map(|cluster| phase(cluster).unwrap_or_default());
        for (phase, count) in counted(&CLUSTER_PHASES, phases) {
            let help = "Clusters by phase";
            metrics.gauge("capim_clusters", help, &[("phase", phase)]).set(count);
        }
        let is_available = |cluster: &Cluster| {
            let status = cluster.status.as_ref();
            let conditions = status.map_or(&[][..], |status| status.conditions.as_slice());
            conditions::get(conditions, "Available").is_some_and(|it| it.status == "True")
        };
        let available = all.iter().filter(|cluster| is_available(cluster)).count();
        let help = "Clusters whose condition Available is True";
        metrics.gauge("capim_clusters_available", help, &[]).set(available);
        let phase = |it: &Machine| it.status.as_ref().map(|status| status.phase.clone());
        let phases = machines.list();
        let phases = phases.iter().map(|machine| phase(machine).unwrap_or_default());
        for (phase, count) in counted(&MACHINE_PHASES, phases) {
            let help = "Machines by phase";
            metrics.gauge("capim_machines", help, &[("phase", phase)]).set(count);
        }
    });
}

/// How many there are of each known phase; no phase yet is Pending.
fn counted<const N: usize>(
    known: &[&'static str; N],
    phases: impl Iterator<Item = String>,
) -> BTreeMap<&'static str, usize> {
    let mut counts: BTreeMap<&'static str, usize> = known.iter().map(|name| (*name, 0)).collect();
    for phase in phases {
        let name = if phase.is_empty() { "Pending" } else { phase.as_str() };
        let name = known.iter().find(|it| **it == name).copied().unwrap_or("Unknown");
        *counts.entry(name).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_that_nobody_knows_are_one() {
        let phases = ["Running", "", "made up", "other"].map(str::to_owned);
        let counts = counted(&MACHINE_PHASES, phases.into_iter());
        assert_eq!((counts["Running"], counts["Pending"], counts["Unknown"]), (1, 1, 2));
        assert_eq!(counts.len(), MACHINE_PHASES.len());
    }
}
