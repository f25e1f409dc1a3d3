//! The Node of a Machine: finding it, taking over what it reports, and handing labels on.
//! (CAPI v1.14: machine_controller_noderef.go)

use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;

use super::node_patch;
use super::{MachineReconciler, Scope};
use crate::api::core::NodeRef;
use crate::client::ObjectKey;
use crate::contract::conditions::{ConditionStatus, v1beta1};
use crate::runtime::{EventType, ReconcileError};

const NODE_HEALTHY: &str = "NodeHealthy";

impl MachineReconciler {
    /// Finds the Node by provider id, sets `nodeRef` and `nodeInfo`, and writes labels,
    /// annotations and taints to the Node in one patch.
    pub(super) async fn reconcile_node(&self, scope: &mut Scope) -> Result<(), ReconcileError> {
        let now = self.context.clock.now();
        if scope.machine.spec.provider_id.is_empty() {
            scope.set_v1beta1(v1beta1::no(NODE_HEALTHY, "WaitingForNodeRef", "Info", ""), now);
            return Ok(());
        }
        if !scope.probe.is_connected {
            // The connection's return wakes the Machine.
            scope.is_node_unreadable = true;
            return Ok(());
        }
        let Some(node) = self.find_node(scope) else {
            if !scope.is_deleting() {
                let condition = if scope.node_name().is_some() {
                    v1beta1::no(NODE_HEALTHY, "NodeNotFound", "Error", "")
                } else {
                    let message = "Waiting for a node with matching ProviderID to exist";
                    v1beta1::no(NODE_HEALTHY, "NodeProvisioning", "Warning", message)
                };
                scope.set_v1beta1(condition, now);
            }
            return Ok(());
        };
        scope.node = Some(node.clone());
        self.take_over(scope, &node);
        self.patch_node(scope, &node).await?;
        let is_infrastructure_going =
            scope.infrastructure.found().is_none_or(|external| external.object.is_deleting());
        let condition = if is_infrastructure_going {
            v1beta1::no(NODE_HEALTHY, "Deleting", "Info", "")
        } else {
            health(&node)
        };
        scope.set_v1beta1(condition, now);
        Ok(())
    }

    /// The Node with the Machine's provider id: usually the one that `nodeRef` names.
    pub(super) fn find_node(&self, scope: &Scope) -> Option<Arc<Node>> {
        let provider_id = scope.machine.spec.provider_id.as_str();
        let has_id = |node: &Arc<Node>| {
            let spec = node.spec.as_ref();
            spec.and_then(|spec| spec.provider_id.as_deref()) == Some(provider_id)
        };
        let remote = &self.context.remote;
        let known = scope.node_name().and_then(|name| remote.node(&scope.cluster_key, name));
        known.filter(has_id).or_else(|| remote.nodes(&scope.cluster_key).into_iter().find(has_id))
    }

    fn take_over(&self, scope: &mut Scope, node: &Node) {
        if scope.node_name().is_none() {
            let name = node.metadata.name.clone().unwrap_or_default();
            self.recorder.event(
                &scope.machine,
                EventType::Normal,
                "SuccessfulSetNodeRef",
                name.clone(),
            );
            scope.status().node_ref = Some(NodeRef { name });
        }
        let info = node.status.as_ref().and_then(|status| status.node_info.as_ref());
        scope.status().node_info = info.and_then(|info| serde_json::to_value(info).ok());
    }

    async fn patch_node(&self, scope: &Scope, node: &Node) -> Result<(), ReconcileError> {
        let is_interruptible = scope
            .infrastructure
            .found()
            .is_some_and(|external| external.object.status.interruptible == Some(true));
        let wanted = node_patch::Wanted::of(&scope.machine, is_interruptible)
            .outdated(node_patch::is_outdated(scope.set.as_deref(), scope.deployment.as_deref()));
        let Some(patch) = node_patch::patch(node, &wanted) else { return Ok(()) };
        let Some(remote) = self.context.remote.clusters().get(&scope.cluster_key) else {
            return Ok(());
        };
        let key = ObjectKey::new("", node.metadata.name.as_deref().unwrap_or_default());
        remote.client.merge_patch::<Node>(&key, "", &patch).await?;
        if is_interruptible && !node_patch::is_interruptible(node) {
            self.recorder.event(
                &scope.machine,
                EventType::Normal,
                "SuccessfulSetInterruptibleNodeLabel",
                key.name,
            );
        }
        Ok(())
    }
}

/// The v1beta1 NodeHealthy condition of a Node that is there.
fn health(node: &Node) -> crate::api::conditions::V1Beta1Condition {
    let mut bad = 0;
    let mut unknown = 0;
    let mut messages = Vec::new();
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref());
    for condition in conditions.unwrap_or_default() {
        let good = match condition.type_.as_str() {
            "Ready" => ConditionStatus::True,
            "MemoryPressure" | "DiskPressure" | "PIDPressure" => ConditionStatus::False,
            _ => continue,
        };
        let status = ConditionStatus::parse(&condition.status);
        if status == good {
            continue;
        }
        messages.push(format!("Node condition {} is {}", condition.type_, condition.status));
        if status == ConditionStatus::Unknown {
            unknown += 1;
        } else {
            bad += 1;
        }
    }
    let message = messages.join(". ");
    if bad > 0 {
        v1beta1::no(NODE_HEALTHY, "NodeConditionsFailed", "Warning", &message)
    } else if unknown < 4 {
        v1beta1::yes(NODE_HEALTHY)
    } else {
        v1beta1::unknown(NODE_HEALTHY, "NodeConditionsFailed", &message)
    }
}
