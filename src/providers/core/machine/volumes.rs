//! Volumes that are still attached to a Machine's Node. (CAPI v1.14:
//! core/reconcilers/machine/machine_controller.go, shouldWaitForNodeVolumes)
//!
//! Two sources tell of them: the Node's status and VolumeAttachments. Volumes of Pods that stay
//! on the Node are not waited for.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, PersistentVolume, Pod};
use k8s_openapi::api::storage::v1::VolumeAttachment;

use super::super::owned::shortened;
use super::{MachineReconciler, Scope};
use crate::client::{Client, ObjectKey};
use crate::runtime::ReconcileError;

/// Names in one line of a message.
const NAMES_MAX: usize = 5;

/// What is attached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Attached {
    /// Claims, `namespace/name`.
    claims: BTreeSet<String>,
    /// PersistentVolumes that no claim is bound to.
    unclaimed: BTreeSet<String>,
    /// Names in the Node's status that belong to no PersistentVolume.
    unknown_volumes: BTreeSet<String>,
    /// PersistentVolumes that only a VolumeAttachment names.
    unknown_attachments: BTreeSet<String>,
}

impl Attached {
    /// Whether there is nothing to wait for.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The Deleting condition's message.
    pub(super) fn message(&self, started: Timestamp) -> String {
        let started = started.round(jiff::Unit::Second).unwrap_or(started);
        let mut message = format!("Waiting for Node volumes to be detached (started at {started})");
        for (subject, names) in [
            ("PersistentVolumeClaims", &self.claims),
            (
                "PersistentVolumes without a .spec.claimRef to a PersistentVolumeClaim",
                &self.unclaimed,
            ),
            (
                "Node with .status.volumesAttached entries not matching a PersistentVolume",
                &self.unknown_volumes,
            ),
            (
                "VolumeAttachment with .spec.source.persistentVolumeName not matching a \
                 PersistentVolume",
                &self.unknown_attachments,
            ),
        ] {
            if !names.is_empty() {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                message.push_str(&format!("\n* {subject}: {}", shortened(&names, NAMES_MAX)));
            }
        }
        message
    }

    /// What the names on a Node stand for; claims in `ignored` do not count.
    fn of(
        mut on_node: BTreeSet<String>,
        mut by_attachment: BTreeSet<String>,
        volumes: &[PersistentVolume],
        ignored: &BTreeSet<String>,
    ) -> Self {
        let (nodes, attachments) = (on_node.clone(), by_attachment.clone());
        let mut attached = Self::default();
        for volume in volumes {
            let name = volume.metadata.name.clone().unwrap_or_default();
            let spec = volume.spec.as_ref();
            let csi = spec.and_then(|spec| spec.csi.as_ref());
            let csi =
                csi.map(|csi| format!("kubernetes.io/csi/{}^{}", csi.driver, csi.volume_handle));
            let is_on_node = csi.as_ref().is_some_and(|csi| nodes.contains(csi));
            if !is_on_node && !attachments.contains(&name) {
                continue;
            }
            if let Some(csi) = &csi {
                on_node.remove(csi);
            }
            by_attachment.remove(&name);
            let claim = spec.and_then(|spec| spec.claim_ref.as_ref());
            match claim.filter(|claim| claim.kind.as_deref() == Some("PersistentVolumeClaim")) {
                None => drop(attached.unclaimed.insert(name)),
                Some(claim) => {
                    let namespace = claim.namespace.as_deref().unwrap_or_default();
                    let name = claim.name.as_deref().unwrap_or_default();
                    attached.claims.insert(format!("{namespace}/{name}"));
                }
            }
        }
        attached.claims.retain(|claim| !ignored.contains(claim));
        attached.unknown_volumes = on_node;
        attached.unknown_attachments = by_attachment;
        attached
    }
}

impl MachineReconciler {
    /// What is attached to a Machine's Node. Volumes of Pods that stay there do not count.
    ///
    /// # Errors
    /// A failed request, a VolumeAttachment without a PersistentVolume, or a senseless drain rule.
    pub(super) async fn attached(
        &self,
        scope: &Scope,
        client: &Client,
        node: &Node,
    ) -> Result<Attached, ReconcileError> {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        let status = node.status.as_ref().and_then(|status| status.volumes_attached.as_ref());
        let on_node: BTreeSet<String> =
            status.into_iter().flatten().map(|volume| volume.name.clone()).collect();
        let by_attachment = attachments(client, name).await?;
        if on_node.is_empty() && by_attachment.is_empty() {
            return Ok(Attached::default());
        }
        let staying = self.sort_pods(scope, client, node).await?.staying;
        let ignored = staying.iter().flat_map(claims_of).collect();
        let volumes = client.list::<PersistentVolume>("", "").await?;
        Ok(Attached::of(on_node, by_attachment, &volumes, &ignored))
    }
}

/// PersistentVolumes that VolumeAttachments attach to a Node.
async fn attachments(client: &Client, node: &str) -> Result<BTreeSet<String>, ReconcileError> {
    let mut found = BTreeSet::new();
    for attachment in client.list::<VolumeAttachment>("", "").await? {
        let is_attached = attachment.status.as_ref().is_some_and(|status| status.attached);
        if !is_attached || attachment.spec.node_name != node {
            continue;
        }
        let Some(volume) = attachment.spec.source.persistent_volume_name else {
            let name = attachment.metadata.name.unwrap_or_default();
            return Err(ReconcileError::Other(format!(
                "spec.source.persistentVolumeName for VolumeAttachment {name} is not set"
            )));
        };
        found.insert(volume);
    }
    Ok(found)
}

/// Claims that a Pod uses, `namespace/name`.
fn claims_of(pod: &Pod) -> Vec<String> {
    let namespace = ObjectKey::of(pod).namespace;
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
    let claims = volumes.into_iter().flatten().filter_map(|volume| {
        let claim = volume.persistent_volume_claim.as_ref()?;
        Some(format!("{namespace}/{}", claim.claim_name))
    });
    claims.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn volume(name: &str, claim: Option<&str>) -> PersistentVolume {
        let mut volume = json!({
            "metadata": {"name": name},
            "spec": {"csi": {"driver": "d", "volumeHandle": name}},
        });
        if let Some(claim) = claim {
            volume["spec"]["claimRef"] =
                json!({"kind": "PersistentVolumeClaim", "namespace": "default", "name": claim});
        }
        serde_json::from_value(volume).unwrap()
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_is_attached_is_told_by_claims() {
        let volumes = [
            volume("a", Some("data-a")),
            volume("b", Some("data-b")),
            volume("c", None),
            volume("d", Some("data-d")),
        ];
        let attached = Attached::of(
            set(&["kubernetes.io/csi/d^a", "kubernetes.io/csi/d^x"]),
            set(&["a", "b", "c", "foo"]),
            &volumes,
            &set(&["default/data-b"]),
        );
        let expected = "Waiting for Node volumes to be detached (started at 1970-01-01T00:00:00Z)\n\
                        * PersistentVolumeClaims: default/data-a\n\
                        * PersistentVolumes without a .spec.claimRef to a PersistentVolumeClaim: \
                        c\n\
                        * Node with .status.volumesAttached entries not matching a \
                        PersistentVolume: kubernetes.io/csi/d^x\n\
                        * VolumeAttachment with .spec.source.persistentVolumeName not matching a \
                        PersistentVolume: foo";
        assert_eq!(attached.message(Timestamp::UNIX_EPOCH), expected);
        let ignored = set(&["default/data-a"]);
        assert!(Attached::of(set(&[]), set(&["a"]), &volumes, &ignored).is_empty());
    }
}
