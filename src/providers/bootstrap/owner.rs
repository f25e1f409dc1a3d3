//! Who boots from a KubeadmConfig: a Machine, or all machines of a MachinePool.
//! (CAPI v1.14: bootstrap/kubeadm/reconcilers/kubeadmconfig/configowner.go)

use std::sync::Arc;

use crate::api::core::Machine;
use crate::api::pools::MachinePool;
use crate::contract::labels;

/// The owner of a KubeadmConfig.
#[derive(Clone, Debug)]
pub(super) enum ConfigOwner {
    /// One machine.
    Machine(Arc<Machine>),
    /// A pool of workers.
    Pool(Arc<MachinePool>),
}

impl ConfigOwner {
    /// Whether it is a machine of a control plane.
    pub(super) fn is_control_plane(&self) -> bool {
        match self {
            Self::Machine(machine) => {
                let labels = machine.metadata.labels.as_ref();
                labels.is_some_and(|labels| labels.contains_key(labels::CONTROL_PLANE))
            }
            Self::Pool(_) => false,
        }
    }

    /// Whether it is a MachinePool.
    pub(super) fn is_pool(&self) -> bool {
        matches!(self, Self::Pool(_))
    }

    /// Name.
    pub(super) fn name(&self) -> &str {
        let metadata = match self {
            Self::Machine(machine) => &machine.metadata,
            Self::Pool(pool) => &pool.metadata,
        };
        metadata.name.as_deref().unwrap_or_default()
    }

    /// Name of its Cluster.
    pub(super) fn cluster_name(&self) -> &str {
        match self {
            Self::Machine(machine) => &machine.spec.cluster_name,
            Self::Pool(pool) => &pool.spec.cluster_name,
        }
    }

    /// Kubernetes version.
    pub(super) fn version(&self) -> &str {
        match self {
            Self::Machine(machine) => &machine.spec.version,
            Self::Pool(pool) => &pool.spec.template.spec.version,
        }
    }

    /// The Secret with the data that a Machine names. Upstream does not look for that of a pool.
    pub(super) fn data_secret_name(&self) -> Option<&str> {
        match self {
            Self::Machine(machine) => machine.spec.bootstrap.data_secret_name.as_deref(),
            Self::Pool(_) => None,
        }
    }

    /// Whether its Node, or as many Nodes as it has replicas, have joined.
    pub(super) fn has_nodes(&self) -> bool {
        match self {
            Self::Machine(machine) => {
                machine.status.as_ref().is_some_and(|status| status.node_ref.is_some())
            }
            Self::Pool(pool) => {
                let expected = usize::try_from(pool.spec.replicas.unwrap_or(1));
                let found = pool.status.as_ref().map_or(0, |status| status.node_refs.len());
                expected == Ok(found)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::pools::{MachinePoolStatus, PoolNodeRef};

    #[test]
    fn a_pool_has_its_nodes_when_all_have_joined() {
        let mut pool = MachinePool::default();
        pool.spec.replicas = Some(2);
        let with = |nodes: usize| {
            let node_refs = vec![PoolNodeRef::default(); nodes];
            let status = Some(MachinePoolStatus { node_refs, ..MachinePoolStatus::default() });
            ConfigOwner::Pool(Arc::new(MachinePool { status, ..pool.clone() }))
        };
        assert!(!with(1).has_nodes());
        assert!(with(2).has_nodes());
        assert!(!with(2).is_control_plane());
        assert_eq!(with(2).data_secret_name(), None);
    }
}
