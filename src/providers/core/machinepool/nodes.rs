//! Nodes of a MachinePool. (CAPI v1.14: machinepool_controller_noderef.go)

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;

use super::super::v1beta1_status;
use super::scope::provider_id;
use super::{MachinePoolReconciler, Scope};
use crate::api::pools::{MachinePool, PoolNodeRef};
use crate::client::{Client, ObjectKey, Propagation};
use crate::contract::conditions::v1beta1;
use crate::contract::labels;
use crate::runtime::{EventType, ReconcileError, patch_object};

const READY: &str = "ReplicasReady";

/// Whether a Node is one of a pool's, or could become one.
pub(super) fn concerns(pool: &MachinePool, node: &Node) -> bool {
    let name = node.metadata.name.as_deref().unwrap_or_default();
    let mut known = pool.status.iter().flat_map(|status| &status.node_refs);
    let is_listed = |id: &str| pool.spec.provider_id_list.iter().any(|listed| listed == id);
    known.any(|known| known.name == name) || provider_id(node).is_some_and(is_listed)
}

impl MachinePoolReconciler {
    /// Finds the Nodes by provider id, counts them and hands annotations on.
    pub(super) async fn reconcile_nodes(&self, scope: &mut Scope) -> Result<(), ReconcileError> {
        if self.is_settled(scope) {
            self.set_v1beta1(scope, v1beta1::yes(READY));
            return Ok(());
        }
        if scope.pool.spec.provider_id_list.is_empty() && scope.pool.spec.replicas != Some(0) {
            return Ok(());
        }
        let remote = self.context.remote.clusters().get(&scope.cluster_key);
        let (Some(remote), Some(nodes)) = (remote, scope.nodes.clone()) else {
            // The workload cluster's next answer wakes the pool.
            scope.is_waiting = true;
            return Ok(());
        };
        self.delete_retired(scope, &remote.client).await?;
        let ids = scope.pool.spec.provider_id_list.clone();
        let found: Vec<Arc<Node>> = ids.iter().filter_map(|id| nodes.get(id).cloned()).collect();
        if found.is_empty() && !ids.is_empty() {
            return Ok(());
        }
        let now = self.context.clock.now();
        let seconds = scope.pool.spec.template.spec.min_ready_seconds.unwrap_or(0);
        let minimum = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        let since: Vec<Timestamp> = found.iter().filter_map(|node| ready_since(node)).collect();
        let available =
            since.iter().filter(|since| now.duration_since(**since).unsigned_abs() >= minimum);
        let (ready, available) = (count(since.len()), count(available.count()));
        let references: Vec<PoolNodeRef> = found.iter().map(|node| reference(node)).collect();
        if scope.status().node_refs != references {
            let shown = shown(&references);
            let event = "SuccessfulSetNodeRefs";
            self.recorder.event(&scope.pool, EventType::Normal, event, shown);
        }
        scope.status().node_refs = references;
        let replicas = scope.replicas();
        let old = v1beta1_status(&mut scope.status().deprecated);
        old.ready_replicas = Some(ready);
        old.available_replicas = Some(available);
        old.unavailable_replicas = Some(replicas - available);
        for node in &found {
            annotate(scope, node, &remote.client).await?;
        }
        let condition = if replicas == ready && count(found.len()) == ready {
            v1beta1::yes(READY)
        } else {
            v1beta1::no(READY, "WaitingForReplicasReady", "Info", "")
        };
        self.set_v1beta1(scope, condition);
        Ok(())
    }

    /// Whether all replicas were ready when last counted, and their Nodes are still the same.
    fn is_settled(&self, scope: &Scope) -> bool {
        let known = scope.pool.status.as_ref().map_or(&[][..], |status| &status.node_refs);
        let ready = scope.ready_nodes();
        let Some(nodes) = &scope.nodes else { return false };
        scope.replicas() == ready
            && count(known.len()) == ready
            && known.iter().all(|known| {
                nodes.values().any(|node| {
                    node.metadata.name.as_ref() == Some(&known.name)
                        && node.metadata.uid.as_ref() == Some(&known.uid)
                })
            })
    }

    /// Deletes Nodes that were the pool's and whose machines are gone.
    pub(super) async fn delete_retired(
        &self,
        scope: &Scope,
        remote: &Client,
    ) -> Result<(), ReconcileError> {
        let known = scope.pool.status.iter().flat_map(|status| &status.node_refs);
        for reference in known {
            let node = self.context.remote.node(&scope.cluster_key, &reference.name);
            let id = node.as_deref().and_then(provider_id);
            let is_retired = id.is_some_and(|id| {
                scope.pool.spec.provider_id_list.iter().all(|listed| listed != id)
            });
            if is_retired {
                let key = ObjectKey::new("", &reference.name);
                remote.delete::<Node>(&key, Propagation::Default).await?;
            }
        }
        Ok(())
    }
}

/// Since when a Node is Ready, if it is.
fn ready_since(node: &Node) -> Option<Timestamp> {
    let conditions = node.status.as_ref()?.conditions.as_ref()?;
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready")?;
    let since = ready.last_transition_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    (ready.status == "True").then_some(since)
}

fn reference(node: &Node) -> PoolNodeRef {
    PoolNodeRef {
        api_version: "v1".to_owned(),
        kind: "Node".to_owned(),
        name: node.metadata.name.clone().unwrap_or_default(),
        uid: node.metadata.uid.clone().unwrap_or_default(),
    }
}

/// Node references as Go prints them in the Event.
fn shown(references: &[PoolNodeRef]) -> String {
    let mut text = String::from("[");
    for (index, reference) in references.iter().enumerate() {
        let PoolNodeRef { api_version, kind, name, uid } = reference;
        let gap = if index == 0 { "" } else { " " };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "{gap}{{Kind:{kind} Namespace: Name:{name} UID:{uid} APIVersion:{api_version} \
             ResourceVersion: FieldPath:}}"
        );
    }
    text.push(']');
    text
}

/// Says on a Node whose it is, and takes the taint of Nodes that nobody knows.
async fn annotate(scope: &Scope, before: &Node, remote: &Client) -> Result<(), ReconcileError> {
    let mut node = before.clone();
    let annotations = node.metadata.annotations.get_or_insert_default();
    let wanted = [
        (labels::NODE_CLUSTER_NAME, scope.pool.spec.cluster_name.as_str()),
        (labels::NODE_CLUSTER_NAMESPACE, &scope.key.namespace),
        (labels::NODE_OWNER_KIND, "MachinePool"),
        (labels::NODE_OWNER_NAME, &scope.key.name),
    ];
    for (annotation, value) in wanted {
        annotations.insert(annotation.to_owned(), value.to_owned());
    }
    if let Some(taints) = node.spec.as_mut().and_then(|spec| spec.taints.as_mut()) {
        taints.retain(|taint| {
            taint.key != labels::NODE_UNINITIALIZED_TAINT || taint.effect != "NoSchedule"
        });
    }
    patch_object(remote, before, &node).await?;
    Ok(())
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_references_read_like_gos() {
        let of = |name: &str| PoolNodeRef {
            api_version: "v1".to_owned(),
            kind: "Node".to_owned(),
            name: name.to_owned(),
            uid: "u".to_owned(),
        };
        assert_eq!(
            shown(&[of("a"), of("b")]),
            "[{Kind:Node Namespace: Name:a UID:u APIVersion:v1 ResourceVersion: FieldPath:} \
             {Kind:Node Namespace: Name:b UID:u APIVersion:v1 ResourceVersion: FieldPath:}]"
        );
    }
}
