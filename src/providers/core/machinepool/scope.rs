//! What a reconcile of a MachinePool has read and found out.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;

use super::super::externals::External;
use super::super::{Context, index};
use crate::api::core::{Cluster, Machine};
use crate::api::pools::{MachinePool, MachinePoolStatus};
use crate::client::ObjectKey;
use crate::contract::names::label_value;
use crate::contract::owners;

/// State of one reconcile of a MachinePool.
pub(super) struct Scope {
    /// The MachinePool as it shall be.
    pub pool: MachinePool,
    /// Its key.
    pub key: ObjectKey,
    /// The Cluster.
    pub cluster: Arc<Cluster>,
    /// Key of the Cluster.
    pub cluster_key: ObjectKey,
    /// The infrastructure, once it was read and owned.
    pub infrastructure: Option<External>,
    /// Nodes of the workload cluster by provider id; `None` while it does not answer.
    pub nodes: Option<BTreeMap<String, Arc<Node>>>,
    /// Machines of the pool, but not those that somebody else controls.
    pub machines: Vec<Arc<Machine>>,
    /// Whether the reconcile is to be taken up again when something that is watched changes; the
    /// status does not speak of this generation then.
    pub is_waiting: bool,
}

impl Scope {
    /// Reads what the caches know.
    pub(super) fn read(context: &Context, pool: &MachinePool, cluster: Arc<Cluster>) -> Self {
        let cluster_key = ObjectKey::of(&*cluster);
        let nodes = context.probe(&cluster_key).is_connected.then(|| {
            let nodes = context.remote.nodes(&cluster_key).into_iter();
            nodes.filter_map(|node| Some((provider_id(&node)?.to_owned(), node))).collect()
        });
        Self {
            pool: pool.clone(),
            key: ObjectKey::of(pool),
            cluster,
            cluster_key,
            infrastructure: None,
            nodes,
            machines: Vec::new(),
            is_waiting: false,
        }
    }

    /// Index value of what carries the labels of the pool.
    pub(super) fn pool_value(&self) -> String {
        index::in_pool(&self.cluster_key, &self.label())
    }

    /// The pool's name as a label value.
    pub(super) fn label(&self) -> String {
        label_value(&self.key.name)
    }

    /// Reads the Machines that carry the labels of the pool.
    pub(super) fn read_machines(&mut self, context: &Context) {
        let uid = self.pool.metadata.uid.as_deref().unwrap_or_default();
        let mut found = context.machines.by_index(index::POOL, &self.pool_value());
        found.retain(|machine| {
            owners::controlling(&machine.metadata).is_none_or(|owner| owner.uid == uid)
        });
        self.machines = found;
    }

    /// The status to write.
    pub(super) fn status(&mut self) -> &mut MachinePoolStatus {
        self.pool.status.get_or_insert_default()
    }

    /// Whether the MachinePool is being deleted.
    pub(super) fn is_deleting(&self) -> bool {
        self.pool.metadata.deletion_timestamp.is_some()
    }

    /// Whether the infrastructure was ready when it was last seen.
    pub(super) fn is_infrastructure_provisioned(&self) -> bool {
        let status = self.pool.status.as_ref();
        let done = status.and_then(|status| status.initialization.as_ref());
        done.is_some_and(|done| done.infrastructure_provisioned == Some(true))
    }

    /// Existing replicas, as the infrastructure last said.
    pub(super) fn replicas(&self) -> i32 {
        self.pool.status.as_ref().and_then(|status| status.replicas).unwrap_or(0)
    }

    /// Ready Nodes, as the v1beta1 status counts them.
    pub(super) fn ready_nodes(&self) -> i32 {
        let deprecated = self.pool.status.as_ref().and_then(|status| status.deprecated.as_ref());
        let old = deprecated.and_then(|deprecated| deprecated.v1beta1.as_ref());
        old.and_then(|old| old.ready_replicas).unwrap_or(0)
    }
}

/// The provider id of a Node.
pub(super) fn provider_id(node: &Node) -> Option<&str> {
    let id = node.spec.as_ref()?.provider_id.as_deref()?;
    (!id.is_empty()).then_some(id)
}
