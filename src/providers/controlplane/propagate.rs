//! Brings labels and annotations of the machine template to what belongs to a Machine, without a
//! rollout. (CAPI v1.14: syncMachines of controlplane/kubeadm)
//!
//! What leaves the template leaves the objects too. Upstream reads from managed fields what it put
//! there; we remember it, so that what was taken out of a template while nobody ran stays.

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use parking_lot::Mutex;

use super::desired;
use super::reconcile::KcpReconciler;
use super::scope::{ControlPlane, OwnedMachine};
use crate::api::bootstrap::KubeadmConfig;
use crate::contract::owners;
use crate::runtime::{ReconcileError, patch_object};

/// Labels and annotations of the template as they were brought to a Machine's objects, by the
/// Machine's uid. Written and read by reconciles; an entry goes with its Machine.
pub(super) type Propagated = Mutex<HashMap<String, Marks>>;

/// Labels and annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

impl Marks {
    fn of(control_plane: &ControlPlane) -> Self {
        Self {
            labels: desired::machine_labels(control_plane),
            annotations: desired::machine_annotations(&control_plane.kcp),
        }
    }

    /// Puts these marks onto an object and takes off what only `before` had.
    pub(super) fn apply(&self, before: Option<&Self>, metadata: &mut ObjectMeta) {
        let empty = Self::default();
        let before = before.unwrap_or(&empty);
        put(&mut metadata.labels, &before.labels, &self.labels);
        put(&mut metadata.annotations, &before.annotations, &self.annotations);
    }
}

fn put(
    held: &mut Option<BTreeMap<String, String>>,
    before: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
) {
    if let Some(held) = held {
        held.retain(|key, _| now.contains_key(key) || !before.contains_key(key));
    }
    if !now.is_empty() {
        held.get_or_insert_default().extend(now.clone());
    }
}

impl KcpReconciler {
    /// Brings what may change in place to the Machines (in memory), and labels and annotations to
    /// their KubeadmConfigs and infrastructure machines.
    ///
    /// # Errors
    /// The requests'.
    pub(super) async fn propagate(
        &self,
        control_plane: &mut ControlPlane,
    ) -> Result<(), ReconcileError> {
        let mut synced = std::mem::take(&mut control_plane.machines);
        let marks = Marks::of(control_plane);
        for owned in &mut synced {
            if owned.is_deleting() {
                desired::sync_machine(control_plane, &mut owned.machine);
                continue;
            }
            let uid = owned.machine.metadata.uid.clone().unwrap_or_default();
            let before = self.propagated.lock().get(&uid).cloned();
            if let Err(error) = self.propagate_to_others(owned, before.as_ref(), &marks).await {
                control_plane.machines = synced;
                return Err(error);
            }
            let metadata = &mut owned.machine.metadata;
            marks.apply(before.as_ref(), metadata);
            owners::ensure(metadata, owners::controller_of(&control_plane.kcp));
            desired::sync_machine(control_plane, &mut owned.machine);
            if before.as_ref() != Some(&marks) {
                self.propagated.lock().insert(uid, marks.clone());
            }
        }
        control_plane.machines = synced;
        Ok(())
    }

    async fn propagate_to_others(
        &self,
        owned: &OwnedMachine,
        before: Option<&Marks>,
        marks: &Marks,
    ) -> Result<(), ReconcileError> {
        let apply = |metadata: &mut ObjectMeta| marks.apply(before, metadata);
        self.infrastructure.change_metadata(&owned.machine, apply).await?;
        let Some(config) = &owned.config else { return Ok(()) };
        let mut after = KubeadmConfig::clone(config);
        apply(&mut after.metadata);
        match patch_object(&self.client, &**config, &after).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_the_template_leaves_the_objects() {
        let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let marks = |labels: &[(&str, &str)]| Marks { labels: map(labels), ..Marks::default() };
        let mut metadata =
            ObjectMeta { labels: Some(map(&[("own", "1"), ("a", "1")])), ..ObjectMeta::default() };
        marks(&[("a", "2")]).apply(None, &mut metadata);
        assert_eq!(metadata.labels, Some(map(&[("own", "1"), ("a", "2")])));
        marks(&[("b", "1")]).apply(Some(&marks(&[("a", "2")])), &mut metadata);
        assert_eq!(metadata.labels, Some(map(&[("own", "1"), ("b", "1")])));
        assert_eq!(metadata.annotations, None);
    }
}
