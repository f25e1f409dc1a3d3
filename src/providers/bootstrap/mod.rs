//! The kubeadm bootstrap provider: turns KubeadmConfigs into Secrets with cloud-init or Ignition data.
//! (CAPI v1.14: bootstrap/kubeadm)
//!
//! A KubeadmConfig is reconciled when it, its Machine or its Cluster changes, and when its
//! workload cluster becomes reachable; only the refresh of bootstrap tokens goes by time.

mod certificates;
mod clc;
mod cloud_init;
mod data;
mod discovery;
mod files;
mod ignition;
mod lock;
mod owner;
mod reconcile;
mod status;
mod token;

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::bootstrap::KubeadmConfig;
use crate::api::core::{Cluster, ContractRef, Machine};
use crate::api::pools::MachinePool;
use crate::client::ObjectKey;
use crate::contract::conditions;
use crate::contract::versions::ContractVersions;
use crate::machinery::kubeadm::is_empty;
use crate::pki::KeyAlgorithm;
use crate::runtime::{Change, Controller, Manager, RemoteInformers};
use reconcile::KubeadmConfigReconciler;

/// Index of Machines by `namespace/cluster`.
const MACHINES_BY_CLUSTER: &str = "bootstrap-cluster";
/// Index of MachinePools by `namespace/cluster`.
const POOLS_BY_CLUSTER: &str = "bootstrap-pool-cluster";

/// Adds the KubeadmConfig controller. `remote` tells when workload clusters come and go; keys that
/// are made here are of `algorithm` unless a KubeadmConfig names another one.
pub fn add_controllers(
    manager: &Manager,
    remote: &RemoteInformers,
    versions: &ContractVersions,
    algorithm: KeyAlgorithm,
) {
    let configs = manager.informer::<KubeadmConfig>();
    let machines = manager.informer::<Machine>();
    let clusters = manager.informer::<Cluster>();
    machines.add_index(MACHINES_BY_CLUSTER, |it| cluster_of(&it.metadata, &it.spec.cluster_name));
    let pools = manager.informer::<MachinePool>();
    pools.add_index(POOLS_BY_CLUSTER, |it| cluster_of(&it.metadata, &it.spec.cluster_name));
    let reconciler = Arc::new(KubeadmConfigReconciler::new(
        manager.client().with_field_manager("capi-kubeadm-bootstrap"),
        manager.clock().clone(),
        reconcile::Caches {
            configs: configs.clone(),
            machines: machines.clone(),
            pools: pools.clone(),
            clusters: clusters.clone(),
        },
        remote.clusters().clone(),
        versions.clone(),
        algorithm,
    ));
    let of_cluster = {
        let (machines, pools) = (machines.clone(), pools.clone());
        move |cluster: &ObjectKey| -> Vec<ObjectKey> {
            let value = cluster.to_string();
            let machines = machines.by_index(MACHINES_BY_CLUSTER, &value);
            let pools = pools.by_index(POOLS_BY_CLUSTER, &value);
            let of_machines = machines.iter().filter_map(|machine| config_of(machine));
            of_machines.chain(pools.iter().filter_map(|pool| config_of_pool(pool))).collect()
        }
    };
    let controller = Controller::new("kubeadmconfig", reconciler)
        .for_kind(&configs)
        .watches(&machines, |change: &Change<Machine>| {
            config_of(change.object()).into_iter().collect()
        })
        .watches(&pools, |change: &Change<MachinePool>| {
            config_of_pool(change.object()).into_iter().collect()
        })
        .watches(&clusters, {
            let of_cluster = of_cluster.clone();
            move |change: &Change<Cluster>| {
                if matters_to_configs(change) {
                    of_cluster(&ObjectKey::of(&**change.object()))
                } else {
                    Vec::new()
                }
            }
        });
    remote.notify(controller.trigger(), move |cluster, object| {
        // Nodes and Pods say nothing about bootstrap data.
        if object.is_some() {
            return Vec::new();
        }
        let mut keys = of_cluster(cluster);
        keys.retain(|key| {
            // Those that have their data may have a token to look after.
            configs
                .get(&key.namespace, &key.name)
                .is_some_and(|config| !status::is_created(&config) || has_token(&config))
        });
        keys
    });
    manager.add(controller);
}

/// Value of the indexes by Cluster.
fn cluster_of(metadata: &ObjectMeta, name: &str) -> Vec<String> {
    vec![format!("{}/{name}", metadata.namespace.as_deref().unwrap_or_default())]
}

/// The KubeadmConfig that a Machine boots from.
fn config_of(machine: &Machine) -> Option<ObjectKey> {
    named(&machine.metadata, machine.spec.bootstrap.config_ref.as_ref()?)
}

/// The KubeadmConfig that all machines of a pool boot from.
fn config_of_pool(pool: &MachinePool) -> Option<ObjectKey> {
    named(&pool.metadata, pool.spec.template.spec.bootstrap.config_ref.as_ref()?)
}

fn named(metadata: &ObjectMeta, reference: &ContractRef) -> Option<ObjectKey> {
    let is_ours =
        reference.kind == "KubeadmConfig" && reference.api_group == "bootstrap.cluster.x-k8s.io";
    let namespace = || metadata.namespace.clone().unwrap_or_default();
    is_ours.then(|| ObjectKey::new(namespace(), &reference.name))
}

/// Whether a KubeadmConfig joins with a bootstrap token.
fn has_token(config: &KubeadmConfig) -> bool {
    let join = config.spec.join_configuration.as_ref();
    join.is_some_and(|join| !is_empty(&join["discovery"]["bootstrapToken"]))
}

/// Whether a change of a Cluster can let its KubeadmConfigs go on.
fn matters_to_configs(change: &Change<Cluster>) -> bool {
    let (Some(old), Some(new)) = (&change.old, &change.new) else { return change.new.is_some() };
    let gates = |cluster: &Cluster| {
        (
            cluster.spec.paused.unwrap_or(false),
            status::is_infrastructure_provisioned(cluster),
            cluster.status.as_ref().is_some_and(|status| {
                conditions::is_true(&status.conditions, "ControlPlaneInitialized")
            }),
        )
    };
    gates(old) != gates(new) || old.spec.control_plane_endpoint != new.spec.control_plane_endpoint
}
