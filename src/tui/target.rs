//! What acts are about: the marked rows, or the object in sight.

use super::acting::Target;
use super::action::Subject;
use super::commands::{cluster_in_sight, object, object_of};
use super::dialog::Sizes;
use super::model::row::{Object, Row};
use super::state::{ObjectRef, State};
use super::views::Scene;
use crate::api::core::Cluster;
use crate::client::ObjectKey;
use crate::contract::labels;

/// What is marked, or in sight, with what is known about it. Objects inside workload clusters are
/// only looked at.
pub(super) fn target(state: &State, scene: &Scene) -> Target {
    let screen = state.screen();
    let mut subjects: Vec<Subject> = Vec::new();
    if let Some(view) = screen.view() {
        let table = scene.model.table(view);
        let marked = screen.marked.iter().filter_map(|key| table.get(key));
        subjects.extend(
            marked.filter_map(|row| subject(object_of(state, row)?, cluster_of(row).as_ref())),
        );
    }
    // Nothing else is meant where the marked rows cannot be acted on.
    if screen.marked.is_empty() {
        let cluster = cluster_in_sight(state, scene);
        subjects.extend(object(state, scene).and_then(|it| subject(it, cluster.as_ref())));
    }
    let known = |subject: &Subject| known(scene, subject);
    let sizes = match subjects.as_slice() {
        [subject] => known(subject).map(|object| sizes_of(scene, object)).unwrap_or_default(),
        _ => Sizes::default(),
    };
    let paused = !subjects.is_empty()
        && subjects.iter().all(|subject| known(subject).is_some_and(is_paused));
    let cluster = subjects.first().and_then(Subject::workload_cluster);
    let version = cluster.and_then(|cluster| version_of(scene, &cluster)).unwrap_or_default();
    Target { subjects, sizes, paused, next_version: next_minor(&version) }
}

fn subject(object: ObjectRef, cluster: Option<&ObjectKey>) -> Option<Subject> {
    if object.within.is_some() || object.key.name.is_empty() {
        return None;
    }
    let subject = Subject::of_kind(&object.api_version, &object.kind, &object.key);
    Some(match cluster {
        Some(cluster) if !subject.is_cluster() => subject.of_cluster(&cluster.name),
        _ => subject,
    })
}

fn cluster_of(row: &Row) -> Option<ObjectKey> {
    let metadata = row.object.metadata()?;
    let label = metadata.labels.as_ref()?.get(labels::CLUSTER_NAME)?;
    Some(ObjectKey::new(metadata.namespace.clone()?, label.clone()))
}

/// The object behind a subject, from the lists.
fn known<'a>(scene: &'a Scene, subject: &Subject) -> Option<&'a Object> {
    let key = ObjectKey::new(&*subject.namespace, &*subject.name);
    let model = scene.model;
    let worker = |kind: &str| {
        model.workers.get(&ObjectKey::new(&*key.namespace, format!("{} {kind}", key.name)))
    };
    let found = match subject.resource.as_str() {
        _ if subject.is_cluster() => model.clusters.get(&key),
        _ if subject.is_control_plane() => model.control_planes.get(&key),
        _ if subject.is_deployment() => worker("MachineDeployment"),
        "machines.cluster.x-k8s.io" => model.machines.get(&key),
        "machinesets.cluster.x-k8s.io" => worker("MachineSet"),
        "machinepools.cluster.x-k8s.io" => worker("MachinePool"),
        "clusterclasses.cluster.x-k8s.io" => model.classes.get(&key),
        _ => None,
    };
    found.map(|row| &row.object)
}

/// Machines of a cluster's only MachineDeployment, which is what scaling a cluster changes; none
/// where there are several workers.
fn only_deployment(scene: &Scene, cluster: &Cluster) -> Option<i32> {
    if !cluster.spec.topology.class_ref.name.is_empty() {
        let workers = &cluster.spec.topology.workers;
        let [only] = workers.machine_deployments.as_slice() else { return None };
        return only.replicas.filter(|_| workers.machine_pools.is_empty());
    }
    let metadata = &cluster.metadata;
    let key = ObjectKey::new(metadata.namespace.as_deref()?, metadata.name.as_deref()?);
    let workers: Vec<&Object> = scene.model.workers.group(&key).map(|row| &row.object).collect();
    let pools = workers.iter().any(|object| matches!(object, Object::Pool(_)));
    let mut deployments = workers.iter().filter_map(|object| match object {
        Object::Deployment(deployment) => Some(deployment.spec.replicas),
        _ => None,
    });
    match (deployments.next(), deployments.next()) {
        (Some(replicas), None) if !pools => replicas,
        (Some(_), _) => None,
        // The list of workers was not asked for.
        (None, _) => cluster.status.as_ref()?.workers.as_ref()?.desired_replicas.filter(|_| !pools),
    }
}

fn sizes_of(scene: &Scene, object: &Object) -> Sizes {
    let number = |count: Option<i32>| count.and_then(|count| u32::try_from(count).ok());
    match object {
        Object::Cluster(cluster) => {
            let status = cluster.status.as_ref();
            let control_plane = status.and_then(|status| status.control_plane.as_ref());
            Sizes {
                workers: number(only_deployment(scene, cluster)),
                control_planes: number(control_plane.and_then(|it| it.desired_replicas)),
            }
        }
        Object::ControlPlane(control_plane) => {
            Sizes { workers: None, control_planes: number(control_plane.spec.replicas) }
        }
        Object::Deployment(deployment) => {
            Sizes { workers: number(deployment.spec.replicas), control_planes: None }
        }
        Object::Machine(_)
        | Object::Set(_)
        | Object::Pool(_)
        | Object::Class(_)
        | Object::Event(_)
        | Object::Client(_)
        | Object::Named { .. } => Sizes::default(),
    }
}

fn is_paused(object: &Object) -> bool {
    let by_spec =
        matches!(object, Object::Cluster(cluster) if cluster.spec.paused.unwrap_or_default());
    let annotations = object.metadata().and_then(|metadata| metadata.annotations.as_ref());
    by_spec || annotations.is_some_and(|it| it.contains_key("cluster.x-k8s.io/paused"))
}

/// Version of a cluster's control plane, or of its topology.
fn version_of(scene: &Scene, cluster: &ObjectKey) -> Option<String> {
    let control_plane =
        scene.model.control_planes.group(cluster).find_map(|row| match &row.object {
            Object::ControlPlane(control_plane) => Some(control_plane.spec.version.clone()),
            _ => None,
        });
    control_plane.filter(|version| !version.is_empty())
}

/// The first release of the next minor version; an upgrade leaves none out.
fn next_minor(version: &str) -> String {
    let mut parts = version.trim_start_matches('v').split('.');
    let mut number = || parts.next()?.parse::<u32>().ok();
    match (number(), number()) {
        (Some(major), Some(minor)) => format!("v{major}.{}.0", minor.saturating_add(1)),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upgrades_lead_to_the_next_minor_version() {
        assert_eq!(next_minor("v1.36.1"), "v1.37.0");
        assert_eq!(next_minor("1.9"), "v1.10.0");
        assert_eq!(next_minor(""), "");
        assert_eq!(next_minor("latest"), "");
    }
}
