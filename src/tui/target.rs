//! What acts are about: the marked rows, or the object in sight.

use super::acting::Target;
use super::action::Subject;
use super::commands::{cluster_in_sight, object, object_of, row};
use super::dialog::Sizes;
use super::model::row::{Object, Row};
use super::state::{ObjectRef, State};
use super::views::Scene;
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
    if subjects.is_empty() {
        let cluster = cluster_in_sight(state, scene);
        subjects.extend(object(state, scene).and_then(|it| subject(it, cluster.as_ref())));
    }
    let (mut sizes, mut paused) = (Sizes::default(), false);
    if let [subject] = subjects.as_slice()
        && let Some(object) = known(state, scene, subject)
    {
        sizes = sizes_of(object);
        paused = is_paused(object);
    }
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
fn known<'a>(state: &State, scene: &'a Scene, subject: &Subject) -> Option<&'a Object> {
    let key = ObjectKey::new(&*subject.namespace, &*subject.name);
    let model = scene.model;
    let found = match () {
        () if subject.is_cluster() => model.clusters.get(&key),
        () if subject.is_control_plane() => model.control_planes.get(&key),
        () => row(state, model).filter(|row| row.key.name == key.name),
    };
    found.map(|row| &row.object)
}

fn sizes_of(object: &Object) -> Sizes {
    let number = |count: Option<i32>| count.and_then(|count| u32::try_from(count).ok());
    match object {
        Object::Cluster(cluster) => {
            let status = cluster.status.as_ref();
            let workers = status.and_then(|status| status.workers.as_ref());
            let control_plane = status.and_then(|status| status.control_plane.as_ref());
            Sizes {
                workers: number(workers.and_then(|it| it.desired_replicas)),
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
