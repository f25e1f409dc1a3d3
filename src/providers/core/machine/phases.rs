//! Bootstrap and infrastructure of a Machine: owning them and taking over what they report.
//! (CAPI v1.14: machine_controller_phases.go)

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::super::externals::{External, Lookup};
use super::super::{GROUP, v1beta1_status};
use super::{MachineReconciler, Scope};
use crate::api::conditions::V1Beta1Condition;
use crate::api::core::ContractRef;
use crate::contract::conditions::v1beta1;
use crate::contract::{labels, machines, owners};
use crate::machinery::gvk::split_api_version;
use crate::runtime::ReconcileError;

impl MachineReconciler {
    /// Finds and owns the bootstrap object; takes over the name of the data secret.
    pub(super) async fn reconcile_bootstrap(
        &self,
        scope: &mut Scope,
    ) -> Result<(), ReconcileError> {
        let Some(reference) = scope.machine.spec.bootstrap.config_ref.clone() else {
            return Ok(());
        };
        scope.bootstrap = Lookup::Unreadable;
        scope.bootstrap = self.look_up(scope, &reference).await?;
        let Some(external) = scope.bootstrap.found().cloned() else { return Ok(()) };
        external.take_over_failure(&mut scope.status().deprecated);
        let now = self.context.clock.now();
        if scope.machine.spec.bootstrap.data_secret_name.is_some() {
            set_bootstrap_data_created(scope);
            scope.set_v1beta1(v1beta1::yes("BootstrapReady"), now);
            return Ok(());
        }
        let is_created = external.object.is_data_secret_created(external.kind.contract);
        let ready = mirror(scope, &external, "BootstrapReady", is_created, "WaitingForDataSecret");
        scope.set_v1beta1(ready, now);
        if external.object.is_deleting() || !is_created {
            return Ok(());
        }
        let secret = external.object.status.data_secret_name.clone();
        if secret.is_empty() {
            return Err(ReconcileError::Other(format!(
                "got empty status.dataSecretName field from {} {}",
                external.kind.resource.kind,
                external.key()
            )));
        }
        scope.machine.spec.bootstrap.data_secret_name = Some(secret);
        set_bootstrap_data_created(scope);
        Ok(())
    }

    /// Finds and owns the infrastructure object; takes over provider id, addresses and failure
    /// domain once it is provisioned.
    pub(super) async fn reconcile_infrastructure(
        &self,
        scope: &mut Scope,
    ) -> Result<(), ReconcileError> {
        let reference = scope.machine.spec.infrastructure_ref.clone();
        scope.infrastructure = Lookup::Unreadable;
        scope.infrastructure = self.look_up(scope, &reference).await?;
        let Some(external) = scope.infrastructure.found().cloned() else {
            return missing_infrastructure(scope, &reference);
        };
        external.take_over_failure(&mut scope.status().deprecated);
        let is_provisioned = external.object.is_provisioned(external.kind.contract);
        let ready = mirror(
            scope,
            &external,
            "InfrastructureReady",
            is_provisioned,
            "WaitingForInfrastructure",
        );
        scope.set_v1beta1(ready, self.context.clock.now());
        let was_provisioned = scope.is_infrastructure_provisioned();
        if external.object.is_deleting() || !(is_provisioned || was_provisioned) {
            return Ok(());
        }
        let object = &external.object;
        if object.spec.provider_id.is_empty() {
            return Ok(());
        }
        if !object.status.addresses.is_empty() {
            scope.status().addresses.clone_from(&object.status.addresses);
        }
        if !object.spec.failure_domain.is_empty() {
            scope.machine.spec.failure_domain.clone_from(&object.spec.failure_domain);
        }
        if !object.status.failure_domain.is_empty() {
            scope.status().failure_domain.clone_from(&object.status.failure_domain);
        }
        scope.machine.spec.provider_id.clone_from(&object.spec.provider_id);
        scope.status().initialization.get_or_insert_default().infrastructure_provisioned =
            Some(true);
        Ok(())
    }

    async fn look_up(
        &self,
        scope: &Scope,
        reference: &ContractRef,
    ) -> Result<Lookup, ReconcileError> {
        let found = self.context.find(reference, &scope.key.namespace).await?;
        let Some(external) = found else { return Ok(Lookup::Missing) };
        let mut wanted = external.labelled(&scope.machine.spec.cluster_name);
        own(scope, &external, &mut wanted)?;
        external.write_ownership(&self.context.client, &wanted).await?;
        Ok(Lookup::Found(external))
    }
}

/// Makes the Machine the controller and drops the owner that created the object.
fn own(scope: &Scope, external: &External, wanted: &mut ObjectMeta) -> Result<(), ReconcileError> {
    let control_plane = scope
        .cluster
        .spec
        .control_plane_ref
        .as_ref()
        .filter(|_| machines::is_control_plane(&scope.machine));
    if let Some(held) = &mut wanted.owner_references {
        held.retain(|owner| {
            let group = split_api_version(&owner.api_version).0;
            let is_set = group == GROUP && owner.kind == "MachineSet";
            let is_control_plane = control_plane.is_some_and(|reference| {
                reference.api_group == group && reference.kind == owner.kind
            });
            !is_set && !is_control_plane
        });
    }
    let uid = scope.machine.metadata.uid.as_deref().unwrap_or_default();
    if let Some(other) = owners::controlling(wanted).filter(|owner| owner.uid != uid) {
        return Err(ReconcileError::Other(format!(
            "Object {} is already owned by another {} controller {}",
            external.key(),
            other.kind,
            other.name
        )));
    }
    owners::ensure(wanted, owners::controller_of(&scope.machine));
    Ok(())
}

fn missing_infrastructure(
    scope: &mut Scope,
    reference: &ContractRef,
) -> Result<(), ReconcileError> {
    if scope.is_deleting() || !scope.is_infrastructure_provisioned() {
        return Ok(());
    }
    let name = format!("{} {}/{}", reference.kind, scope.key.namespace, reference.name);
    let deprecated = v1beta1_status(&mut scope.status().deprecated);
    deprecated.failure_reason = Some("InvalidConfiguration".to_owned());
    deprecated.failure_message = Some(format!(
        "Machine infrastructure resource {name} has been deleted after provisioning was completed"
    ));
    Err(ReconcileError::Other(format!("could not find {name} for Machine {}", scope.key)))
}

fn set_bootstrap_data_created(scope: &mut Scope) {
    scope.status().initialization.get_or_insert_default().bootstrap_data_secret_created =
        Some(true);
}

fn mirror(
    scope: &Scope,
    external: &External,
    target: &str,
    is_milestone_reached: bool,
    waiting: &str,
) -> V1Beta1Condition {
    v1beta1::mirror(external.object.v1beta1_condition("Ready"), target, || {
        let reason = if scope.is_deleting() { "Deleting" } else { waiting };
        if is_milestone_reached {
            v1beta1::yes(target)
        } else {
            v1beta1::no(target, reason, "Info", "")
        }
    })
}

/// Control plane Machines show when their certificates expire: from their own annotation, or from
/// their bootstrap object's.
///
/// # Errors
/// The annotation holds no time.
pub(super) fn take_over_certificates_expiry(scope: &mut Scope) -> Result<(), ReconcileError> {
    if !machines::is_control_plane(&scope.machine) {
        return Ok(());
    }
    let annotation = |metadata: &ObjectMeta| {
        metadata.annotations.as_ref()?.get(labels::CERTIFICATES_EXPIRY).cloned()
    };
    let bootstrap = scope.bootstrap.found();
    let expiry = annotation(&scope.machine.metadata)
        .or_else(|| bootstrap.and_then(|external| annotation(&external.object.metadata)));
    let parsed = match &expiry {
        None => None,
        Some(text) => Some(Time(text.parse::<Timestamp>().map_err(|error| {
            ReconcileError::Other(format!(
                "failed to reconcile certificates expiry: failed to parse expiry date {text:?} of Machine {}: {error}",
                scope.key
            ))
        })?)),
    };
    scope.status().certificates_expiry_date = parsed;
    Ok(())
}
