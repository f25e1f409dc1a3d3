//! Clusters that use a class hold what they use of it.
//! (CAPI v1.14: core/webhooks/admission/clusterclass.go)

use serde_json::Value;

use super::{CLUSTERS, managed};
use crate::api::core::Cluster;
use crate::api::topology::{ClusterClass, HealthCheckTopology};
use crate::machinery::definition::{DeletionRefusal, Objects};
use crate::machinery::selector::LabelSelector;
use crate::machinery::status::{Cause, quote};

/// Clusters that a refusal names.
const NAMED_MAX: usize = 3;

/// The Clusters of a class, in any namespace.
pub(super) fn clusters_of(class: &ClusterClass, objects: &dyn Objects) -> Vec<Cluster> {
    let namespace = class.metadata.namespace.as_deref().unwrap_or_default();
    let key = (namespace, class.metadata.name.as_deref().unwrap_or_default());
    let clusters = objects.list(CLUSTERS, None, &LabelSelector::default());
    let managed = clusters.iter().filter_map(managed);
    managed.filter(|cluster| cluster.class_key() == Some(key)).collect()
}

/// A class in use stays.
pub(super) fn refuse_deletion(class: &Value, objects: &dyn Objects) -> Option<DeletionRefusal> {
    let class: ClusterClass = serde_json::from_value(class.clone()).ok()?;
    let clusters = clusters_of(&class, objects);
    if clusters.is_empty() {
        return None;
    }
    let shown = |cluster: &Cluster| {
        let metadata = &cluster.metadata;
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        format!("{namespace}/{}", metadata.name.as_deref().unwrap_or_default())
    };
    let mut names: Vec<String> = clusters.iter().take(NAMED_MAX).map(shown).collect();
    if clusters.len() > NAMED_MAX {
        names.push(format!("... ({} more)", clusters.len() - NAMED_MAX));
    }
    let names = names.join(", ");
    let why = format!("ClusterClass cannot be deleted because it is used by Cluster(s): {names}");
    Some(DeletionRefusal { webhook: "validation.clusterclass.cluster.x-k8s.io", why })
}

/// Checks that a changed class still has what its Clusters use.
pub(super) fn validate(old: &ClusterClass, new: &ClusterClass, clusters: &[Cluster]) -> Vec<Cause> {
    let mut causes = versions(new, clusters);
    causes.extend(removed_classes(old, new, clusters));
    causes.extend(removed_health_checks(old, new, clusters));
    for cluster in clusters {
        causes.extend(super::values::validate_autoscaling(cluster, Some(new)));
    }
    causes
}

fn name(cluster: &Cluster) -> &str {
    cluster.metadata.name.as_deref().unwrap_or_default()
}

fn versions(new: &ClusterClass, clusters: &[Cluster]) -> Vec<Cause> {
    let known = &new.spec.kubernetes_versions;
    if known.is_empty() {
        return Vec::new();
    }
    let missing = clusters.iter().filter(|one| !known.contains(&one.spec.topology.version));
    let refuse = |cluster: &Cluster| {
        let (version, name) = (&cluster.spec.topology.version, quote(name(cluster)));
        let detail = format!(
            "Kubernetes Version {version} is used by Cluster {name} but not set in ClusterClass"
        );
        Cause::forbidden("spec.kubernetesVersions", &detail)
    };
    missing.map(refuse).collect()
}

fn removed_classes(old: &ClusterClass, new: &ClusterClass, clusters: &[Cluster]) -> Vec<Cause> {
    let (old, new) = (&old.spec.workers, &new.spec.workers);
    let mut causes = Vec::new();
    let mut check =
        |kind: &str, list: &str, is_removed: &dyn Fn(&str) -> bool, used: Vec<(&str, &str)>| {
            for (class, cluster) in used {
                if is_removed(class) {
                    let detail = format!(
                        "{kind}Class {} cannot be deleted because it is used by Cluster {}",
                        quote(class),
                        quote(cluster)
                    );
                    causes.push(Cause::forbidden(format!("spec.workers.{list}"), &detail));
                }
            }
        };
    let used = clusters.iter().flat_map(|cluster| {
        let workers = cluster.spec.topology.workers.machine_deployments.iter();
        workers.map(|one| (one.class.as_str(), name(cluster)))
    });
    let is_removed = |class: &str| {
        old.machine_deployments.iter().any(|one| one.class == class)
            && !new.machine_deployments.iter().any(|one| one.class == class)
    };
    check("MachineDeployment", "machineDeployments", &is_removed, used.collect());
    let used = clusters.iter().flat_map(|cluster| {
        let workers = cluster.spec.topology.workers.machine_pools.iter();
        workers.map(|one| (one.class.as_str(), name(cluster)))
    });
    let is_removed = |class: &str| {
        old.machine_pools.iter().any(|one| one.class == class)
            && !new.machine_pools.iter().any(|one| one.class == class)
    };
    check("MachinePool", "machinePools", &is_removed, used.collect());
    causes
}

/// Whether a Cluster wants the class's health check.
fn relies(check: &HealthCheckTopology) -> bool {
    check.enabled == Some(true) && !check.is_defined()
}

fn removed_health_checks(
    old: &ClusterClass,
    new: &ClusterClass,
    clusters: &[Cluster],
) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut refuse = |path: String, users: Vec<&str>| {
        if !users.is_empty() {
            let users = quote(&users.join(","));
            let detail =
                format!("healthCheck cannot be deleted because it is used by Cluster(s) {users}");
            causes.push(Cause::forbidden(path, &detail));
        }
    };
    let (was, is) = (&old.spec.control_plane.health_check, &new.spec.control_plane.health_check);
    if was.is_defined() && !is.is_defined() {
        let users = clusters.iter();
        let users = users.filter(|one| relies(&one.spec.topology.control_plane.health_check));
        refuse("spec.controlPlane.healthCheck".to_owned(), users.map(name).collect());
    }
    for class in &new.spec.workers.machine_deployments {
        let mut known = old.spec.workers.machine_deployments.iter();
        let Some(before) = known.find(|one| one.class == class.class) else { continue };
        if !before.health_check.is_defined() || class.health_check.is_defined() {
            continue;
        }
        let users = clusters.iter().filter(|cluster| {
            let mut workers = cluster.spec.topology.workers.machine_deployments.iter();
            workers.any(|one| one.class == class.class && relies(&one.health_check))
        });
        let path = format!("spec.workers.machineDeployments[{}].healthCheck", class.class);
        refuse(path, users.map(name).collect());
    }
    causes
}
