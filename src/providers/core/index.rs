//! Indexes of the informers of the core kinds, and the keys they use.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Context;
use crate::api::core::{Cluster, ContractRef, Machine, MachineDeployment, MachineSet};
use crate::api::health_check::MachineHealthCheck;
use crate::api::pools::MachinePool;
use crate::client::ObjectKey;
use crate::contract::names::label_value;
use crate::contract::{labels, owners};

/// Objects by `namespace/cluster`.
pub(super) const CLUSTER: &str = "core/cluster";
/// Objects by uid of their controlling owner; without one by [`orphans_of`] their Cluster.
pub(super) const CONTROLLER: &str = "core/controller";
/// Objects by the provider objects they refer to.
pub(super) const EXTERNAL: &str = "core/external";
/// Machines and the infrastructure of machines by the MachinePool that their labels name, see
/// [`in_pool`].
pub(super) const POOL: &str = "core/pool";
/// MachineSets by `namespace/deployment`.
pub(super) const DEPLOYMENT: &str = "core/deployment";
/// Machines by `namespace/cluster/node`.
pub(super) const NODE: &str = "core/node";
/// Machines by `namespace/cluster/provider id`.
pub(super) const PROVIDER_ID: &str = "core/provider-id";

/// Registers all indexes; before the informers start.
pub(super) fn register(context: &Context) {
    context.clusters.add_index(EXTERNAL, cluster_externals);
    context.machines.add_index(CLUSTER, |machine: &Machine| {
        vec![of_cluster(&machine.metadata, &machine.spec.cluster_name)]
    });
    context.machines.add_index(CONTROLLER, |machine: &Machine| {
        controller_uid(&machine.metadata, &machine.spec.cluster_name)
    });
    context.machines.add_index(EXTERNAL, machine_externals);
    context.machines.add_index(NODE, machine_node);
    context.machines.add_index(POOL, |machine: &Machine| of_pool(&machine.metadata));
    context.pools.add_index(CLUSTER, |pool: &MachinePool| {
        vec![of_cluster(&pool.metadata, &pool.spec.cluster_name)]
    });
    context.pools.add_index(EXTERNAL, |pool: &MachinePool| {
        templates(&pool.metadata, &pool.spec.template.spec)
    });
    context.pools.add_index(POOL, |pool: &MachinePool| {
        let name = pool.metadata.name.as_deref().unwrap_or_default();
        vec![in_pool(&cluster_key(&pool.metadata, &pool.spec.cluster_name), &label_value(name))]
    });
    context.machines.add_index(PROVIDER_ID, machine_provider_id);
    context.sets.add_index(CLUSTER, |set: &MachineSet| {
        vec![of_cluster(&set.metadata, &set.spec.cluster_name)]
    });
    context.sets.add_index(CONTROLLER, |set: &MachineSet| {
        controller_uid(&set.metadata, &set.spec.cluster_name)
    });
    context.sets.add_index(DEPLOYMENT, set_deployment);
    context
        .sets
        .add_index(EXTERNAL, |set: &MachineSet| templates(&set.metadata, &set.spec.template.spec));
    context.deployments.add_index(CLUSTER, |deployment: &MachineDeployment| {
        vec![of_cluster(&deployment.metadata, &deployment.spec.cluster_name)]
    });
    context.health_checks.add_index(CLUSTER, |check: &MachineHealthCheck| {
        vec![of_cluster(&check.metadata, &check.spec.cluster_name)]
    });
    context.deployments.add_index(EXTERNAL, |deployment: &MachineDeployment| {
        templates(&deployment.metadata, &deployment.spec.template.spec)
    });
}

/// Index value of a Cluster's members.
pub(super) fn of_cluster(metadata: &ObjectMeta, cluster: &str) -> String {
    format!("{}/{cluster}", namespace(metadata))
}

/// Index value of a provider object.
pub(super) fn external(namespace: &str, group: &str, kind: &str, name: &str) -> String {
    format!("{namespace}/{group}/{kind}/{name}")
}

/// Index value of a Node or provider id of a Cluster.
pub(super) fn in_cluster(cluster: &ObjectKey, name: &str) -> String {
    format!("{cluster}/{name}")
}

/// Index value of what belongs to a MachinePool; `label` is its name as a label value.
pub(super) fn in_pool(cluster: &ObjectKey, label: &str) -> String {
    format!("{cluster}/{label}")
}

/// [`in_pool`] of an object that carries the labels of a pool.
pub(super) fn of_pool(metadata: &ObjectMeta) -> Vec<String> {
    let label = |key: &str| metadata.labels.as_ref()?.get(key).map(String::as_str);
    match (label(labels::CLUSTER_NAME), label(labels::POOL_NAME)) {
        (Some(cluster), Some(pool)) => vec![in_pool(&cluster_key(metadata, cluster), pool)],
        (None, _) | (_, None) => Vec::new(),
    }
}

/// The Cluster that an object belongs to.
pub(super) fn cluster_key(metadata: &ObjectMeta, cluster: &str) -> ObjectKey {
    ObjectKey::new(namespace(metadata), cluster)
}

fn namespace(metadata: &ObjectMeta) -> &str {
    metadata.namespace.as_deref().unwrap_or_default()
}

fn controller_uid(metadata: &ObjectMeta, cluster: &str) -> Vec<String> {
    vec![match owners::controlling(metadata) {
        Some(owner) => owner.uid.clone(),
        None => orphans_of(&cluster_key(metadata, cluster)),
    }]
}

/// Index value of a Cluster's objects that no owner controls.
pub(super) fn orphans_of(cluster: &ObjectKey) -> String {
    format!("none:{cluster}")
}

fn references<'a>(
    metadata: &ObjectMeta,
    references: impl Iterator<Item = &'a ContractRef>,
) -> Vec<String> {
    references
        .filter(|reference| !reference.name.is_empty())
        .map(|reference| {
            external(namespace(metadata), &reference.api_group, &reference.kind, &reference.name)
        })
        .collect()
}

fn cluster_externals(cluster: &Cluster) -> Vec<String> {
    let spec = &cluster.spec;
    references(&cluster.metadata, spec.infrastructure_ref.iter().chain(&spec.control_plane_ref))
}

fn machine_externals(machine: &Machine) -> Vec<String> {
    templates(&machine.metadata, &machine.spec)
}

fn templates(metadata: &ObjectMeta, spec: &crate::api::core::MachineSpec) -> Vec<String> {
    references(
        metadata,
        std::iter::once(&spec.infrastructure_ref).chain(&spec.bootstrap.config_ref),
    )
}

fn machine_node(machine: &Machine) -> Vec<String> {
    let node = machine.status.as_ref().and_then(|status| status.node_ref.as_ref());
    let cluster = cluster_key(&machine.metadata, &machine.spec.cluster_name);
    node.map(|node| in_cluster(&cluster, &node.name)).into_iter().collect()
}

fn machine_provider_id(machine: &Machine) -> Vec<String> {
    if machine.spec.provider_id.is_empty() {
        return Vec::new();
    }
    let cluster = cluster_key(&machine.metadata, &machine.spec.cluster_name);
    vec![in_cluster(&cluster, &machine.spec.provider_id)]
}

fn set_deployment(set: &MachineSet) -> Vec<String> {
    let label = set
        .metadata
        .labels
        .as_ref()
        .and_then(|held: &BTreeMap<String, String>| held.get(labels::DEPLOYMENT_NAME));
    label.map(|name| format!("{}/{name}", namespace(&set.metadata))).into_iter().collect()
}
