//! Carries out a step: makes machines, deletes them, lets them go.
//! (CAPI v1.14: scale.go and helpers.go of controlplane/kubeadm)

use serde_json::json;

use super::desired::{self, Mode};
use super::reconcile::KcpReconciler;
use super::remediation::{self, Record};
use super::scope::{ControlPlane, PRE_TERMINATE_HOOK};
use super::secrets::serving_certificate_expiry;
use super::step::Step;
use crate::api::bootstrap::KubeadmConfig;
use crate::api::core::{ContractRef, Machine};
use crate::client::{EtcdMember, ObjectKey, Propagation};
use crate::contract::conditions::v1beta1;
use crate::contract::labels;
use crate::runtime::{EventType, ReconcileError, patch_object};

/// Why a machine could not be made, with the v1beta1 reason.
struct CreationFailure {
    reason: &'static str,
    error: ReconcileError,
}

impl KcpReconciler {
    /// The part of a step that must come before the Machines are written: a deleted machine is
    /// let go once its etcd member is removed.
    ///
    /// # Errors
    /// A message if the workload cluster's connection cannot remove members.
    pub(super) fn prepare(
        &self,
        control_plane: &mut ControlPlane,
        step: &Step,
    ) -> Result<(), ReconcileError> {
        match step {
            Step::RemoveMember(member) => self.remove_member(control_plane, member),
            Step::Release { machine, successors, member } => {
                self.forward_leadership(control_plane, successors)?;
                if let Some(member) = member {
                    self.remove_member(control_plane, member)?;
                }
                if let Some(owned) = control_plane.machine_mut(machine) {
                    remove_hook(&mut owned.machine);
                }
                Ok(())
            }
            Step::CannotRemediate { machine, error } => {
                let now = control_plane.now;
                if let Some(owned) = control_plane.machine_mut(machine) {
                    remediation::mark_failed(owned, ("CannotBeRemediated", error), error, now);
                }
                Ok(())
            }
            Step::Nothing
            | Step::Initialize { .. }
            | Step::ScaleUp { .. }
            | Step::ScaleDown { .. }
            | Step::Remediate { .. }
            | Step::Wait(_)
            | Step::AwaitDeletion
            | Step::AwaitUpdate
            | Step::Fail(_) => Ok(()),
        }
    }

    /// Makes the first of the candidates that can etcd's leader.
    fn forward_leadership(
        &self,
        control_plane: &ControlPlane,
        candidates: &[String],
    ) -> Result<(), ReconcileError> {
        if candidates.is_empty() {
            return Ok(());
        }
        let remote = self.remote.clusters().get(&control_plane.cluster_key());
        if candidates.iter().any(|name| remote.as_ref().is_some_and(|r| r.move_etcd_leader(name))) {
            return Ok(());
        }
        Err(ReconcileError::Other("failed to move etcd leadership".to_owned()))
    }

    fn remove_member(
        &self,
        control_plane: &ControlPlane,
        member: &EtcdMember,
    ) -> Result<(), ReconcileError> {
        let remote = self.remote.clusters().get(&control_plane.cluster_key());
        if remote.is_some_and(|remote| remote.remove_etcd_member(&member.name)) {
            return Ok(());
        }
        Err(ReconcileError::Other(format!(
            "failed to remove etcd member {}: the workload cluster {} has none of that name",
            member.name,
            control_plane.cluster_key()
        )))
    }

    /// Carries out a step after the Machines were written.
    ///
    /// # Errors
    /// The requests', after an Event that tells of them.
    pub(super) async fn execute(
        &self,
        control_plane: &mut ControlPlane,
        step: Step,
    ) -> Result<(), ReconcileError> {
        let cluster = control_plane.cluster_key();
        let is_rollout = control_plane.machines.iter().any(|owned| !owned.outdated.is_empty())
            && matches!(step, Step::Wait(_) | Step::ScaleUp { .. } | Step::ScaleDown { .. });
        if is_rollout && !self.prepare_rollout(control_plane).await? {
            return Ok(());
        }
        if !matches!(step, Step::Wait(_)) {
            self.told.lock().remove(&control_plane.key());
        }
        match step {
            Step::Nothing => {
                self.update_addons(control_plane).await?;
                self.note_certificate_expiries(control_plane).await
            }
            Step::RemoveMember(_)
            | Step::Release { .. }
            | Step::AwaitDeletion
            | Step::AwaitUpdate => Ok(()),
            Step::Fail(error) => Err(ReconcileError::Other(error)),
            Step::CannotRemediate { error, .. } => Err(ReconcileError::Other(error.to_owned())),
            Step::Remediate { machine, successors, record } => {
                self.remediate(control_plane, &machine, &successors, &record).await
            }
            Step::Wait(preflight) => {
                self.tell(control_plane, &preflight.failures);
                control_plane.preflight = preflight;
                Ok(())
            }
            Step::Initialize { failure_domain } => {
                let waiting = v1beta1::no("Available", "WaitingForKubeadmInit", "Info", "");
                control_plane.set_v1beta1(waiting);
                let made = self.create_machine(control_plane, Mode::Init, &failure_domain).await;
                self.report(control_plane, made, "FailedInitialization", |error| {
                    format!(
                        "Failed to create initial control plane Machine for cluster {cluster} \
                         control plane: {error}"
                    )
                })
            }
            Step::ScaleUp { failure_domain } => {
                let made = self.create_machine(control_plane, Mode::Join, &failure_domain).await;
                self.report(control_plane, made, "FailedScaleUp", |error| {
                    format!(
                        "Failed to create additional control plane Machine for cluster {cluster}: \
                         {error}"
                    )
                })
            }
            Step::ScaleDown { machine, successors } => {
                self.forward_leadership(control_plane, &successors)?;
                let key = ObjectKey::new(&cluster.namespace, &machine);
                let deleted = self.client.delete::<Machine>(&key, Propagation::Default).await;
                if let Err(error) = &deleted {
                    let message = format!(
                        "Failed to delete control plane Machine {machine} for cluster {cluster} \
                         control plane: {error}"
                    );
                    self.warn(control_plane, "FailedScaleDown", message);
                }
                Ok(deleted?)
            }
        }
    }

    /// Deletes a Machine that a health check gave up, and keeps what its successor has to know.
    async fn remediate(
        &self,
        control_plane: &mut ControlPlane,
        name: &str,
        successors: &[String],
        record: &Record,
    ) -> Result<(), ReconcileError> {
        let now = control_plane.now;
        let key = ObjectKey::new(control_plane.key().namespace, name);
        let result = match self.forward_leadership(control_plane, successors) {
            Ok(()) => {
                let deleted = self.client.delete::<Machine>(&key, Propagation::Default).await;
                deleted.map_err(|error| {
                    let internal = ("InternalError", "Please check controller logs for errors");
                    (internal, error.to_string())
                })
            }
            Err(error) => {
                Err((("CannotBeRemediated", "failed to move etcd leadership"), error.to_string()))
            }
        };
        if result.is_ok() {
            remediation::begin(control_plane, record);
        }
        let Some(owned) = control_plane.machine_mut(name) else { return Ok(()) };
        let written = owned.machine.clone();
        match &result {
            Ok(()) => remediation::mark_deleting(owned, now),
            Err((told, error)) => remediation::mark_failed(owned, *told, error, now),
        }
        patch_object(&self.client, &written, &owned.machine).await?;
        result.map_err(|(_, error)| {
            ReconcileError::Other(format!("failed to delete unhealthy machine {name}: {error}"))
        })
    }

    /// An Event about failed preflight checks, unless the last one said the same.
    fn tell(&self, control_plane: &ControlPlane, failures: &[String]) {
        if failures.is_empty() {
            return;
        }
        let message = format!(
            "Waiting for control plane to pass preflight checks to continue reconciliation: {}",
            aggregated(failures)
        );
        let last = self.told.lock().insert(control_plane.key(), message.clone());
        if last.as_ref() != Some(&message) {
            self.warn(control_plane, "ControlPlaneUnhealthy", message);
        }
    }

    pub(super) fn warn(&self, control_plane: &ControlPlane, reason: &str, message: String) {
        self.recorder.event(&control_plane.kcp, EventType::Warning, reason, message);
    }

    fn report(
        &self,
        control_plane: &mut ControlPlane,
        made: Result<(), CreationFailure>,
        event: &str,
        message: impl FnOnce(&ReconcileError) -> String,
    ) -> Result<(), ReconcileError> {
        let Err(failure) = made else { return Ok(()) };
        let error = format!("failed to create Machine: {}", failure.error);
        control_plane.set_v1beta1(v1beta1::no("MachinesCreated", failure.reason, "Error", &error));
        let error = ReconcileError::Other(error);
        self.warn(control_plane, event, message(&error));
        Err(error)
    }

    /// Infrastructure machine, KubeadmConfig, Machine: in this order, and all or nothing.
    async fn create_machine(
        &self,
        control_plane: &mut ControlPlane,
        mode: Mode,
        failure_domain: &str,
    ) -> Result<(), CreationFailure> {
        let failed = |reason| move |error| CreationFailure { reason, error };
        let key = control_plane.key();
        let time = control_plane.now.to_string();
        let random = self.seed.number(&[&key.namespace, "KubeadmControlPlane", &key.name, &time]);
        let name = desired::machine_name(control_plane, random)
            .map_err(ReconcileError::Other)
            .map_err(failed("MachineGenerationFailed"))?;
        let cloning = "InfrastructureTemplateCloningFailed";
        let template =
            self.infrastructure.template(control_plane).await.map_err(failed(cloning))?;
        let Some(template) = template else {
            control_plane.is_template_missing = true;
            let reference = &control_plane.kcp.spec.machine_template.spec.infrastructure_ref;
            let message = format!("{} {} not found", reference.kind, reference.name);
            return Err(failed(cloning)(ReconcileError::Other(message)));
        };
        let infrastructure = desired::infrastructure_machine(control_plane, &template, &name);
        let machine = desired::machine(control_plane, &infrastructure, &name, failure_domain);
        let reference = machine.spec.infrastructure_ref.clone();
        let created = self.infrastructure.create(&reference, &infrastructure).await;
        created.map_err(failed(cloning))?;
        let config = desired::kubeadm_config(control_plane, mode, &name);
        let key = ObjectKey::of(&config);
        if let Err(error) = self.client.create(&config).await {
            self.clean_up(&reference, &key).await;
            return Err(failed("BootstrapTemplateCloningFailed")(error.into()));
        }
        if let Err(error) = self.client.create(&machine).await {
            self.clean_up(&reference, &key).await;
            return Err(failed("MachineGenerationFailed")(error.into()));
        }
        // The successor of a remediated Machine carries the record on.
        remediation::end(control_plane);
        Ok(())
    }

    /// Best effort: what stays behind is owned by the control plane and goes with it.
    async fn clean_up(&self, infrastructure: &ContractRef, key: &ObjectKey) {
        if let Err(error) = self.infrastructure.delete(infrastructure, key).await {
            tracing::warn!(object = %key, %error, "failed to delete an infrastructure machine without Machine");
        }
        if let Err(error) = self.client.delete::<KubeadmConfig>(key, Propagation::Default).await {
            tracing::warn!(object = %key, %error, "failed to delete a KubeadmConfig without Machine");
        }
    }

    /// Writes the end of a serving certificate's life onto the KubeadmConfig, once a machine.
    async fn note_certificate_expiries(
        &self,
        control_plane: &ControlPlane,
    ) -> Result<(), ReconcileError> {
        let Some(workload) = &control_plane.workload else { return Ok(()) };
        for owned in control_plane.machines.iter().filter(|owned| owned.has_node()) {
            let Some(config) = &owned.config else { continue };
            let annotations = config.metadata.annotations.as_ref();
            let is_noted = annotations.is_some_and(|a| a.contains_key(labels::CERTIFICATES_EXPIRY));
            if is_noted || owned.is_deleting() {
                continue;
            }
            let node = workload.node(owned.node_name());
            let created = node.and_then(|node| node.metadata.creation_timestamp.as_ref());
            let created = created.map_or(control_plane.now, |created| created.0);
            let expiry = serving_certificate_expiry(&control_plane.kcp, created);
            let patch = json!({"metadata": {"annotations": {labels::CERTIFICATES_EXPIRY: expiry}}});
            let key = ObjectKey::of(&**config);
            match self.client.merge_patch::<KubeadmConfig>(&key, "", &patch).await {
                Ok(_) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Drops the hook that holds a deleted machine.
pub(super) fn remove_hook(machine: &mut Machine) {
    if let Some(annotations) = &mut machine.metadata.annotations {
        annotations.remove(PRE_TERMINATE_HOOK);
    }
}

/// Errors as apimachinery prints an aggregate.
fn aggregated(errors: &[String]) -> String {
    let mut unique: Vec<&str> = Vec::with_capacity(errors.len());
    for error in errors {
        if !unique.contains(&error.as_str()) {
            unique.push(error);
        }
    }
    match unique.as_slice() {
        [only] => (*only).to_owned(),
        all => format!("[{}]", all.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_error_stands_alone_and_several_in_brackets() {
        assert_eq!(aggregated(&["a".to_owned(), "a".to_owned()]), "a");
        assert_eq!(aggregated(&["a".to_owned(), "b".to_owned()]), "[a, b]");
    }
}
