//! The kubeadm control plane provider: keeps the machines of a control plane.
//! (CAPI v1.14: controlplane/kubeadm)
//!
//! A reconcile reads everything into a [`scope::ControlPlane`], lets one pure function decide the
//! next step, carries it out, and writes the status once. It is woken by its own objects, by
//! Machines, by the Cluster, and by control plane Nodes and Pods of the workload cluster.

mod addons;
mod adoption;
mod available;
mod desired;
mod etcd;
mod health;
mod image;
mod infrastructure;
mod inspect;
mod operate;
mod propagate;
mod reconcile;
mod remediation;
mod scope;
mod secrets;
mod status;
mod step;
mod up_to_date;
mod upgrade;
mod wake;

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use parking_lot::Mutex;

use crate::api::bootstrap::KubeadmConfig;
use crate::api::controlplane::KubeadmControlPlane;
use crate::api::core::{Cluster, Machine};
use crate::api::pools::MachinePool;
use crate::client::ObjectKey;
use crate::clock::Seed;
use crate::contract::versions::ContractVersions;
use crate::contract::{labels, machines, owners};
use crate::pki::KeyAlgorithm;
use crate::runtime::{Change, Controller, Manager, RemoteInformers, RemoteObject};
use infrastructure::Infrastructure;
use reconcile::{Caches, KcpReconciler};
use secrets::Secrets;
use upgrade::Settled;

/// What is kept of Secrets: not what they hold.
type SecretMetadata = PartialObjectMeta<Secret>;

/// Index of Machines by `namespace/cluster`.
const MACHINES_BY_CLUSTER: &str = "controlplane-cluster";

/// Index of MachinePools by `namespace/cluster`.
const POOLS_BY_CLUSTER: &str = "controlplane-pool-cluster";

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
    let pools = manager.informer::<MachinePool>();
    pools.add_index(POOLS_BY_CLUSTER, |pool| {
        let namespace = pool.metadata.namespace.as_deref().unwrap_or_default();
        vec![format!("{namespace}/{}", pool.spec.cluster_name)]
    });
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
            pools: pools.clone(),
        },
        remote: remote.clone(),
        recorder: manager.recorder("kubeadmcontrolplane-controller"),
        secrets: Secrets::new(client.clone(), clock.clone(), algorithm),
        infrastructure: Infrastructure::new(client.clone(), clock.clone(), versions.clone()),
        lost: Mutex::default(),
        told: Mutex::default(),
        propagated: Mutex::default(),
        settled: Settled::default(),
        client,
        clock,
    });
    let secrets = manager.informer::<SecretMetadata>();
    let [of_machines, of_pools, of_secrets] = [(); 3].map(|()| reconciler.clone());
    let controller = Controller::new("kubeadmcontrolplane", reconciler)
        .for_kind(&control_planes)
        .watches(&machines, move |change: &Change<Machine>| of_machine(change, &of_machines))
        .watches(&pools, move |change: &Change<MachinePool>| of_pool(change, &of_pools.caches))
        .watches(&secrets, move |change: &Change<SecretMetadata>| of_secret(change, &of_secrets))
        .watches(&clusters, of_changed_cluster);
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

/// The control plane of a Cluster that changed in what matters to it.
fn of_changed_cluster(change: &Change<Cluster>) -> Vec<ObjectKey> {
    let is_relevant = match (&change.old, &change.new) {
        (Some(old), Some(new)) => reconcile::matters(old, new),
        (_, new) => new.is_some(),
    };
    if is_relevant { of_cluster(change.object()).into_iter().collect() } else { Vec::new() }
}

/// The control plane that waits for a MachinePool that is gone.
fn of_pool(change: &Change<MachinePool>, caches: &Caches) -> Vec<ObjectKey> {
    if change.new.is_some() {
        return Vec::new();
    }
    let pool = change.object();
    let namespace = pool.metadata.namespace.as_deref().unwrap_or_default();
    waiting_for_workers(namespace, &pool.spec.cluster_name, caches).into_iter().collect()
}

/// The control plane whose Secret lost its owner or went; it looks at all of them again.
fn of_secret(change: &Change<SecretMetadata>, reconciler: &KcpReconciler) -> Vec<ObjectKey> {
    let owners = |secret: &SecretMetadata| secret.metadata.owner_references.clone();
    let key = change.old.as_ref().and_then(|old| {
        if change.new.as_ref().is_some_and(|new| owners(new) == owners(old)) {
            return None;
        }
        let cluster = old.metadata.labels.as_ref()?.get(labels::CLUSTER_NAME)?;
        let namespace = old.metadata.namespace.as_deref().unwrap_or_default();
        of_cluster(&*reconciler.caches.clusters.get(namespace, cluster)?)
    });
    if let Some(key) = &key {
        reconciler.secrets.distrust(key);
    }
    key.into_iter().collect()
}

/// The control plane that owns a Machine, or did before the change; that of the Cluster for a control
/// plane Machine that nobody controls; and, when a worker is gone, the control plane of its Cluster
/// if it waits for that to be deleted itself.
fn of_machine(change: &Change<Machine>, reconciler: &KcpReconciler) -> Vec<ObjectKey> {
    let machine = change.object();
    if let (None, Some(uid)) = (&change.new, &machine.metadata.uid) {
        reconciler.infrastructure.forget_machine(uid);
        reconciler.propagated.lock().remove(uid);
    }
    let namespace = machine.metadata.namespace.as_deref().unwrap_or_default();
    let owner = [&change.new, &change.old]
        .into_iter()
        .flatten()
        .find_map(|machine| owners::controller(&machine.metadata, scope::GROUP, scope::KIND));
    if let Some(owner) = owner {
        return vec![ObjectKey::new(namespace, &owner.name)];
    }
    let (name, caches) = (&machine.spec.cluster_name, &reconciler.caches);
    if change.new.is_none() {
        return waiting_for_workers(namespace, name, caches).into_iter().collect();
    }
    let is_orphan =
        machines::is_control_plane(machine) && owners::controlling(&machine.metadata).is_none();
    let cluster = caches.clusters.get(namespace, name).filter(|_| is_orphan);
    cluster.and_then(|cluster| of_cluster(&cluster)).into_iter().collect()
}

/// The control plane of a Cluster if it waits for workers to be deleted itself.
fn waiting_for_workers(namespace: &str, cluster: &str, caches: &Caches) -> Option<ObjectKey> {
    let key = of_cluster(&*caches.clusters.get(namespace, cluster)?)?;
    let control_plane = caches.control_planes.get(&key.namespace, &key.name)?;
    control_plane.metadata.deletion_timestamp.is_some().then_some(key)
}
