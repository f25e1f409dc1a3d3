//! Which of this provider's objects a change elsewhere concerns.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::kinds::{GROUP, InfraMachine, Kind};
use crate::api::core::{Cluster, ContractRef, Machine};
use crate::client::ObjectKey;
use crate::contract::{conditions, labels};
use crate::runtime::{Change, Informer};

/// Index of infrastructure machines: `namespace/cluster`.
pub(super) const BY_CLUSTER: &str = "infrastructure-cluster-name";

/// Values of [`BY_CLUSTER`].
pub(super) fn cluster_of<K: kube::Resource>(object: &K) -> Vec<String> {
    let meta = object.meta();
    label(meta, labels::CLUSTER_NAME)
        .map(|cluster| format!("{}/{cluster}", meta.namespace.as_deref().unwrap_or_default()))
        .into_iter()
        .collect()
}

/// Value of a label.
pub(super) fn label<'a>(meta: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    meta.labels.as_ref()?.get(name).map(String::as_str)
}

/// The infrastructure cluster of a Cluster that appeared, went, was paused or resumed.
pub(super) fn infrastructure_of_cluster<K: Kind>(change: &Change<Cluster>) -> Vec<ObjectKey> {
    let cluster = change.object();
    let is_relevant = match (&change.old, &change.new) {
        (Some(old), Some(new)) => is_paused(old) != is_paused(new),
        (None, _) | (_, None) => true,
    };
    let reference = cluster.spec.infrastructure_ref.as_ref();
    reference
        .filter(|reference| is_relevant && refers_to::<K>(reference))
        .map(|reference| key(&cluster.metadata, &reference.name))
        .into_iter()
        .collect()
}

/// The infrastructure machines of a Cluster whose infrastructure or control plane came up, or that
/// appeared, was paused or resumed.
pub(super) fn machines_of_cluster<K: InfraMachine>(
    change: &Change<Cluster>,
    machines: &Informer<K>,
) -> Vec<ObjectKey> {
    let is_relevant = match (&change.old, &change.new) {
        (Some(old), Some(new)) => {
            is_paused(old) != is_paused(new)
                || is_infrastructure_provisioned(old) != is_infrastructure_provisioned(new)
                || is_control_plane_initialized(old) != is_control_plane_initialized(new)
        }
        (None, _) => true,
        (_, None) => false,
    };
    if !is_relevant {
        return Vec::new();
    }
    let cluster = ObjectKey::of(&**change.object());
    machines
        .by_index(BY_CLUSTER, &cluster.to_string())
        .iter()
        .map(|machine| ObjectKey::of(&**machine))
        .collect()
}

/// The infrastructure machine of a Machine that appeared or got its bootstrap data.
pub(super) fn infrastructure_of_machine<K: Kind>(change: &Change<Machine>) -> Vec<ObjectKey> {
    let machine = change.object();
    let is_relevant = match (&change.old, &change.new) {
        (Some(old), Some(new)) => {
            old.spec.bootstrap.data_secret_name != new.spec.bootstrap.data_secret_name
                || old.spec.infrastructure_ref != new.spec.infrastructure_ref
        }
        // When it went, its infrastructure machine may have to let go of the finalizer.
        (None, _) | (_, None) => true,
    };
    let reference = &machine.spec.infrastructure_ref;
    if is_relevant && refers_to::<K>(reference) {
        vec![key(&machine.metadata, &reference.name)]
    } else {
        Vec::new()
    }
}

/// Whether a reference names an object of a kind.
fn refers_to<K: Kind>(reference: &ContractRef) -> bool {
    reference.api_group == GROUP && reference.kind == K::KIND && !reference.name.is_empty()
}

fn key(referrer: &ObjectMeta, name: &str) -> ObjectKey {
    ObjectKey::new(referrer.namespace.clone().unwrap_or_default(), name)
}

fn is_paused(cluster: &Cluster) -> bool {
    cluster.spec.paused == Some(true)
}

/// Whether the Cluster's infrastructure exists.
pub(super) fn is_infrastructure_provisioned(cluster: &Cluster) -> bool {
    let initialization = cluster.status.as_ref().and_then(|status| status.initialization.as_ref());
    initialization.is_some_and(|done| done.infrastructure_provisioned == Some(true))
}

/// Whether the Cluster's control plane has answered once.
pub(super) fn is_control_plane_initialized(cluster: &Cluster) -> bool {
    let status = cluster.status.as_ref();
    status.is_some_and(|status| conditions::is_true(&status.conditions, "ControlPlaneInitialized"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::api::core::{ClusterInitialization, ClusterStatus};
    use crate::api::infrastructure::{DevCluster, DevMachine, InMemoryCluster};

    fn cluster(paused: bool, provisioned: bool) -> Arc<Cluster> {
        let mut cluster = Cluster::default();
        cluster.metadata.namespace = Some("ns".to_owned());
        cluster.metadata.name = Some("bar".to_owned());
        cluster.spec.paused = Some(paused);
        cluster.spec.infrastructure_ref = Some(ContractRef {
            api_group: GROUP.to_owned(),
            kind: "DevCluster".to_owned(),
            name: "infra".to_owned(),
        });
        cluster.status = Some(ClusterStatus {
            initialization: Some(ClusterInitialization {
                infrastructure_provisioned: Some(provisioned),
                ..Default::default()
            }),
            ..Default::default()
        });
        Arc::new(cluster)
    }

    #[test]
    fn only_pausing_and_resuming_wakes_the_infrastructure_cluster() {
        let key = ObjectKey::new("ns", "infra");
        let change = |old, new| Change { old, new };
        let appeared = change(None, Some(cluster(false, false)));
        assert_eq!(infrastructure_of_cluster::<DevCluster>(&appeared), std::slice::from_ref(&key));
        assert!(infrastructure_of_cluster::<InMemoryCluster>(&appeared).is_empty());
        let provisioned = change(Some(cluster(false, false)), Some(cluster(false, true)));
        assert!(infrastructure_of_cluster::<DevCluster>(&provisioned).is_empty());
        let paused = change(Some(cluster(false, true)), Some(cluster(true, true)));
        assert_eq!(infrastructure_of_cluster::<DevCluster>(&paused), [key]);
    }

    #[test]
    fn bootstrap_data_wakes_the_infrastructure_machine() {
        let mut machine = Machine::default();
        machine.metadata.namespace = Some("ns".to_owned());
        machine.spec.infrastructure_ref = ContractRef {
            api_group: GROUP.to_owned(),
            kind: "DevMachine".to_owned(),
            name: "m".to_owned(),
        };
        let mut with_data = machine.clone();
        with_data.spec.bootstrap.data_secret_name = Some("m".to_owned());
        let mut labelled = machine.clone();
        labelled.metadata.labels = Some([("a".to_owned(), "b".to_owned())].into());
        let woken = |new: &Machine| {
            let (old, new) = (Some(Arc::new(machine.clone())), Some(Arc::new(new.clone())));
            infrastructure_of_machine::<DevMachine>(&Change { old, new })
        };
        assert_eq!(woken(&with_data), [ObjectKey::new("ns", "m")]);
        assert!(woken(&labelled).is_empty());
    }

    #[test]
    fn machines_are_found_by_the_name_of_their_cluster() {
        let mut machine = DevMachine::default();
        machine.metadata.namespace = Some("ns".to_owned());
        assert!(cluster_of(&machine).is_empty());
        machine.metadata.labels =
            Some([(labels::CLUSTER_NAME.to_owned(), "bar".to_owned())].into());
        assert_eq!(cluster_of(&machine), ["ns/bar"]);
    }
}
