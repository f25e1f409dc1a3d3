//! The kubeadm control plane provider: keeps the machines of a control plane.
//! (CAPI v1.14: controlplane/kubeadm)
//!
//! A reconcile reads everything into a [`scope::ControlPlane`], lets one pure function decide the
//! next step, carries it out, and writes the status once. It is woken by its own objects, by
//! Machines, by the Cluster, and by control plane Nodes and Pods of the workload cluster.

mod addons;
mod available;
mod corefile;
mod desired;
mod etcd;
mod health;
mod image;
mod infrastructure;
mod inspect;
mod operate;
mod reconcile;
mod scope;
mod secrets;
mod status;
mod step;
mod up_to_date;
mod upgrade;

use std::sync::Arc;

use parking_lot::Mutex;

use crate::api::bootstrap::KubeadmConfig;
use crate::api::controlplane::KubeadmControlPlane;
use crate::api::core::{Cluster, Machine};
use crate::client::ObjectKey;
use crate::clock::Seed;
use crate::contract::owners;
use crate::contract::versions::ContractVersions;
use crate::pki::KeyAlgorithm;
use crate::runtime::{Change, Controller, Informer, Manager, RemoteInformers, RemoteObject};
use infrastructure::Infrastructure;
use reconcile::{Caches, KcpReconciler};
use secrets::Secrets;
use upgrade::Settled;

/// Index of Machines by `namespace/cluster`.
const MACHINES_BY_CLUSTER: &str = "controlplane-cluster";

/// Adds the KubeadmControlPlane controller. Names of machines are drawn from `seed`; keys are of
/// `algorithm` unless a control plane names another one.
pub fn add_controllers(
    manager: &Manager,
    remote: &RemoteInformers,
    versions: &ContractVersions,
    seed: Seed,
    algorithm: KeyAlgorithm,
) {
    let control_planes = manager.informer::<KubeadmControlPlane>();
    let clusters = manager.informer::<Cluster>();
    let machines = manager.informer::<Machine>();
    machines.add_index(MACHINES_BY_CLUSTER, |machine| {
        let namespace = machine.metadata.namespace.as_deref().unwrap_or_default();
        vec![format!("{namespace}/{}", machine.spec.cluster_name)]
    });
    let client = manager.client().with_field_manager("capi-kubeadmcontrolplane");
    let clock = manager.clock().clone();
    let reconciler = Arc::new(KcpReconciler {
        seed,
        caches: Caches {
            control_planes: control_planes.clone(),
            clusters: clusters.clone(),
            machines: machines.clone(),
            configs: manager.informer::<KubeadmConfig>(),
        },
        remote: remote.clone(),
        recorder: manager.recorder("kubeadmcontrolplane-controller"),
        secrets: Secrets::new(client.clone(), clock.clone(), algorithm),
        infrastructure: Infrastructure::new(client.clone(), clock.clone(), versions.clone()),
        lost: Mutex::default(),
        told: Mutex::default(),
        settled: Settled::default(),
        client,
        clock,
    });
    let controller = Controller::new("kubeadmcontrolplane", reconciler.clone())
        .for_kind(&control_planes)
        .watches(&machines, {
            let (clusters, control_planes) = (clusters.clone(), control_planes.clone());
            move |change: &Change<Machine>| {
                if let (None, Some(uid)) = (&change.new, &change.object().metadata.uid) {
                    reconciler.infrastructure.forget_machine(uid);
                }
                of_machine(change, &clusters, &control_planes)
            }
        })
        .watches(&clusters, |change: &Change<Cluster>| {
            let is_relevant = match (&change.old, &change.new) {
                (Some(old), Some(new)) => reconcile::matters(old, new),
                (_, new) => new.is_some(),
            };
            if is_relevant { of_cluster(change.object()).into_iter().collect() } else { Vec::new() }
        });
    remote.notify(controller.trigger(), move |cluster, object| {
        if let Some(RemoteObject::Node(node)) = object
            && !inspect::has_role(node)
        {
            return Vec::new();
        }
        let cluster = clusters.get(&cluster.namespace, &cluster.name);
        cluster.and_then(|cluster| of_cluster(&cluster)).into_iter().collect()
    });
    manager.add(controller);
}

/// The KubeadmControlPlane of a Cluster.
fn of_cluster(cluster: &Cluster) -> Option<ObjectKey> {
    let reference = cluster.spec.control_plane_ref.as_ref()?;
    (reference.kind == scope::KIND).then(|| {
        ObjectKey::new(cluster.metadata.namespace.clone().unwrap_or_default(), &reference.name)
    })
}

/// The control plane that owns a Machine; and, when a worker is gone, the control plane of its
/// Cluster if it waits for that to be deleted itself.
fn of_machine(
    change: &Change<Machine>,
    clusters: &Informer<Cluster>,
    control_planes: &Informer<KubeadmControlPlane>,
) -> Vec<ObjectKey> {
    let machine = change.object();
    let namespace = machine.metadata.namespace.as_deref().unwrap_or_default();
    if let Some(owner) = owners::controller(&machine.metadata, scope::GROUP, scope::KIND) {
        return vec![ObjectKey::new(namespace, &owner.name)];
    }
    if change.new.is_some() {
        return Vec::new();
    }
    let cluster = clusters.get(namespace, &machine.spec.cluster_name);
    let key = cluster.and_then(|cluster| of_cluster(&cluster)).filter(|key| {
        let control_plane = control_planes.get(&key.namespace, &key.name);
        control_plane.is_some_and(|kcp| kcp.metadata.deletion_timestamp.is_some())
    });
    key.into_iter().collect()
}
