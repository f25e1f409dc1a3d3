//! What a control plane needs to know of infrastructure objects, whatever their kind.

use std::collections::HashMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use parking_lot::Mutex;
use serde_json::Value;

use super::scope::{ClonedFrom, ControlPlane};
use crate::api::core::{ContractRef, Machine};
use crate::client::{Client, ObjectKey};
use crate::clock::Clock;
use crate::contract::owners;
use crate::contract::versions::ContractVersions;
use crate::runtime::{ReconcileError, patch_metadata};

/// How long a look at a template is trusted: upstream's resync period. The machine's clone always
/// looks again.
const TRUST: Duration = Duration::from_secs(600);

/// Whether the infrastructure template is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TemplateState {
    /// It is.
    Found,
    /// It is not.
    Missing,
}

/// Reads infrastructure templates and machines.
pub(super) struct Infrastructure {
    client: Client,
    clock: Clock,
    versions: ContractVersions,
    /// Template that a control plane (by key) is known to have, with its Cluster's uid and the
    /// time of the look. Written and read by reconciles; an entry goes with its control plane.
    templates: Mutex<HashMap<ObjectKey, (ContractRef, String, Duration)>>,
    /// Metadata of the infrastructure machine of a Machine (by uid) as it was seen first or written
    /// last. Written and read by reconciles; an entry goes with its Machine.
    machines: Mutex<HashMap<String, ObjectMeta>>,
}

impl Infrastructure {
    pub(super) fn new(client: Client, clock: Clock, versions: ContractVersions) -> Self {
        Self { client, clock, versions, templates: Mutex::default(), machines: Mutex::default() }
    }

    /// Forgets a control plane that is gone.
    pub(super) fn forget(&self, key: &ObjectKey) {
        self.templates.lock().remove(key);
    }

    /// Forgets a Machine that is gone.
    pub(super) fn forget_machine(&self, uid: &str) {
        self.machines.lock().remove(uid);
    }

    /// Reads an object by reference; `None` if it does not exist.
    ///
    /// # Errors
    /// The request's, or an unknown kind.
    async fn get(
        &self,
        namespace: &str,
        reference: &ContractRef,
    ) -> Result<Option<Value>, ReconcileError> {
        let kind = self.versions.resolve(reference);
        let kind = kind.map_err(|error| ReconcileError::Other(error.to_string()))?;
        let key = ObjectKey::new(namespace, &reference.name);
        Ok(self.client.get_dynamic(&kind.resource, &key).await?)
    }

    /// The template of a control plane's machines.
    ///
    /// # Errors
    /// The request's, or an unknown kind.
    pub(super) async fn template(
        &self,
        control_plane: &ControlPlane,
    ) -> Result<Option<Value>, ReconcileError> {
        let namespace = control_plane.kcp.metadata.namespace.as_deref().unwrap_or_default();
        self.get(namespace, &control_plane.kcp.spec.machine_template.spec.infrastructure_ref).await
    }

    /// Makes the Cluster an owner of the template, so that they are deleted together.
    ///
    /// # Errors
    /// The requests', or an unknown kind.
    pub(super) async fn own_template(
        &self,
        control_plane: &ControlPlane,
    ) -> Result<TemplateState, ReconcileError> {
        let reference = &control_plane.kcp.spec.machine_template.spec.infrastructure_ref;
        if !reference.kind.ends_with("Template") {
            return Ok(TemplateState::Found);
        }
        let key = control_plane.key();
        let uid = control_plane.cluster.metadata.uid.clone().unwrap_or_default();
        let now = self.clock.elapsed();
        let known = self.templates.lock().get(&key).cloned();
        if known.is_some_and(|(r, u, since)| r == *reference && u == uid && now < since + TRUST) {
            return Ok(TemplateState::Found);
        }
        let Some(template) = self.template(control_plane).await? else {
            return Ok(TemplateState::Missing);
        };
        let before: ObjectMeta =
            serde_json::from_value(template["metadata"].clone()).map_err(|error| {
                ReconcileError::Other(format!("failed to read a template: {error}"))
            })?;
        let mut after = before.clone();
        owners::ensure(&mut after, owners::owner_of(&*control_plane.cluster));
        let kind = self.versions.resolve(reference);
        let kind = kind.map_err(|error| ReconcileError::Other(error.to_string()))?;
        patch_metadata(&self.client, &kind.resource, &before, &after).await?;
        self.templates.lock().insert(key, (reference.clone(), uid, now));
        Ok(TemplateState::Found)
    }

    /// The template that a Machine's infrastructure machine was cloned from.
    ///
    /// # Errors
    /// The request's, or an unknown kind.
    pub(super) async fn cloned_from(
        &self,
        machine: &Machine,
    ) -> Result<Option<ClonedFrom>, ReconcileError> {
        let uid = machine.metadata.uid.clone().unwrap_or_default();
        if let Some(known) = self.machines.lock().get(&uid) {
            return Ok(ClonedFrom::of(known));
        }
        let namespace = machine.metadata.namespace.as_deref().unwrap_or_default();
        let Some(mut object) = self.get(namespace, &machine.spec.infrastructure_ref).await? else {
            return Ok(None);
        };
        let mut metadata: ObjectMeta =
            serde_json::from_value(object["metadata"].take()).map_err(|error| {
                let kind = &machine.spec.infrastructure_ref.kind;
                ReconcileError::Other(format!("failed to read a {kind}: {error}"))
            })?;
        metadata.managed_fields = None;
        let from = ClonedFrom::of(&metadata);
        self.machines.lock().insert(uid, metadata);
        Ok(from)
    }

    /// Changes the metadata of a Machine's infrastructure machine. What somebody else changed there
    /// since the last look is not seen.
    ///
    /// # Errors
    /// The request's, or an unknown kind.
    pub(super) async fn change_metadata(
        &self,
        machine: &Machine,
        change: impl FnOnce(&mut ObjectMeta),
    ) -> Result<(), ReconcileError> {
        let uid = machine.metadata.uid.clone().unwrap_or_default();
        let Some(before) = self.machines.lock().get(&uid).cloned() else { return Ok(()) };
        let mut after = before.clone();
        change(&mut after);
        if after == before {
            return Ok(());
        }
        let kind = self.versions.resolve(&machine.spec.infrastructure_ref);
        let kind = kind.map_err(|error| ReconcileError::Other(error.to_string()))?;
        match patch_metadata(&self.client, &kind.resource, &before, &after).await {
            Ok(_) => {}
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        self.machines.lock().insert(uid, after);
        Ok(())
    }

    /// Creates an infrastructure machine.
    ///
    /// # Errors
    /// The request's, or an unknown kind.
    pub(super) async fn create(
        &self,
        reference: &ContractRef,
        object: &Value,
    ) -> Result<(), ReconcileError> {
        let kind = self.versions.resolve(reference);
        let kind = kind.map_err(|error| ReconcileError::Other(error.to_string()))?;
        self.client.create_dynamic(&kind.resource, object).await?;
        Ok(())
    }

    /// Deletes an infrastructure machine that was made in vain.
    ///
    /// # Errors
    /// The request's, or an unknown kind.
    pub(super) async fn delete(
        &self,
        reference: &ContractRef,
        key: &ObjectKey,
    ) -> Result<(), ReconcileError> {
        let kind = self.versions.resolve(reference);
        let kind = kind.map_err(|error| ReconcileError::Other(error.to_string()))?;
        let propagation = crate::client::Propagation::Default;
        self.client.delete_dynamic(&kind.resource, key, propagation).await?;
        Ok(())
    }
}
