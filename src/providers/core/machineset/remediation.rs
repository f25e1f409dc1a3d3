//! Remediation of unhealthy Machines: they are deleted, and others are made in their place.
//! (CAPI v1.14: machineset_controller.go, reconcileUnhealthyMachines)

use std::sync::Arc;

use jiff::Timestamp;

use super::super::scaled::{Rounding, scaled, show};
use super::super::v1beta1_status;
use super::{MachineSetReconciler, Scope};
use crate::api::conditions::V1Beta1Condition;
use crate::api::core::Machine;
use crate::client::{ObjectKey, Propagation};
use crate::contract::conditions::{self, New, set, set_v1beta1, v1beta1};
use crate::contract::{labels, machines};
use crate::runtime::{ReconcileError, patch_object};

const REMEDIATED: &str = "OwnerRemediated";

/// What happens to the Machines that wait for remediation.
#[derive(Debug, Default, PartialEq)]
struct Plan {
    /// Names of those that are deleted now, if the preflight checks pass.
    now: Vec<String>,
    /// Names of those that wait, and why.
    later: Vec<String>,
    reason: &'static str,
    message: String,
}

impl MachineSetReconciler {
    /// Forgets remediation of Machines that are healthy again and remediates unhealthy ones.
    pub(super) async fn remediate(&self, scope: &mut Scope) -> Result<(), ReconcileError> {
        let now = self.context.clock.now();
        self.forget_healed(scope).await?;
        let plan = plan(scope).map_err(ReconcileError::Other)?;
        if !plan.later.is_empty() {
            let new = New::no(REMEDIATED, plan.reason, plan.message.as_str());
            self.put(scope, &plan.later, &new, None, now).await?;
        }
        if plan.now.is_empty() {
            return Ok(());
        }
        let (checks, failure) = match self.preflight(scope, "Machine remediation").await {
            Ok(checks) => (checks, None),
            Err(error) => (vec![error.to_string()], Some(error)),
        };
        if !checks.is_empty() {
            let lines: Vec<String> = checks.iter().map(|check| format!("* {check}")).collect();
            let new = New::no(REMEDIATED, "RemediationDeferred", lines.join("\n"));
            let older =
                v1beta1::no(REMEDIATED, "WaitingForRemediation", "Warning", &checks.join("; "));
            self.put(scope, &plan.now, &new, Some(&older), now).await?;
            return failure.map_or(Ok(()), Err);
        }
        // First the condition: a Machine that goes is no longer looked at.
        let new = New::no(REMEDIATED, "MachineDeleting", "Machine is deleting");
        self.put(scope, &plan.now, &new, Some(&v1beta1::yes(REMEDIATED)), now).await?;
        for name in &plan.now {
            let key = ObjectKey::new(scope.key.namespace.as_str(), name.as_str());
            self.context.client.delete::<Machine>(&key, Propagation::Default).await?;
        }
        Ok(())
    }

    async fn forget_healed(&self, scope: &mut Scope) -> Result<(), ReconcileError> {
        let mut kept = Vec::with_capacity(scope.machines().len());
        for machine in scope.machines() {
            let mut wanted = (**machine).clone();
            if machines::is_deleting(machine) || !forget(&mut wanted) {
                kept.push(machine.clone());
                continue;
            }
            patch_object(&self.context.client, &**machine, &wanted).await?;
            kept.push(Arc::new(wanted));
        }
        scope.machines = Some(kept);
        Ok(())
    }

    /// Sets conditions of the named Machines, on the server and in the scope.
    async fn put(
        &self,
        scope: &mut Scope,
        names: &[String],
        new: &New,
        older: Option<&V1Beta1Condition>,
        now: Timestamp,
    ) -> Result<(), ReconcileError> {
        let mut all = scope.machines().to_vec();
        let is_named = |machine: &Machine| names.iter().any(|name| name == machines::name(machine));
        for machine in all.iter_mut().filter(|machine| is_named(machine)) {
            let mut wanted = (**machine).clone();
            let generation = wanted.metadata.generation;
            let status = wanted.status.get_or_insert_default();
            set(&mut status.conditions, new.clone(), generation, now);
            if let Some(older) = older {
                let held = &mut v1beta1_status(&mut status.deprecated).conditions;
                set_v1beta1(held, older.clone(), now);
            }
            patch_object(&self.context.client, &**machine, &wanted).await?;
            *machine = Arc::new(wanted);
        }
        scope.machines = Some(all);
        Ok(())
    }
}

/// Drops OwnerRemediated=False of a Machine whose health check succeeds; answers whether there was
/// one, in either family.
fn forget(machine: &mut Machine) -> bool {
    const CHECKED: &str = "HealthCheckSucceeded";
    let Some(status) = &mut machine.status else { return false };
    let held = &mut status.conditions;
    let is_healed = conditions::is_true(held, CHECKED) && conditions::is_false(held, REMEDIATED);
    if is_healed {
        conditions::remove(held, REMEDIATED);
    }
    let older = status.deprecated.as_mut().and_then(|deprecated| deprecated.v1beta1.as_mut());
    let Some(older) = older.map(|older| &mut older.conditions) else { return is_healed };
    let waits = v1beta1::get(older, REMEDIATED).is_some_and(|held| held.status == "False");
    let is_healed_too = v1beta1::is_true(older, CHECKED) && waits;
    if is_healed_too {
        older.retain(|condition| condition.type_ != REMEDIATED);
    }
    is_healed || is_healed_too
}

/// Who is remediated now: only Machines of the current revision, and no more at once than the
/// MachineDeployment allows.
fn plan(scope: &Scope) -> Result<Plan, String> {
    let mut waiting: Vec<&Arc<Machine>> = scope
        .machines()
        .iter()
        .filter(|machine| machines::is_unhealthy_and_owner_remediated(machine))
        .filter(|machine| !machines::is_deleting(machine))
        .collect();
    if waiting.is_empty() {
        return Ok(Plan::default());
    }
    waiting.sort_by_key(|machine| {
        let is_asked_for = labels::has_annotation(&machine.metadata, labels::REMEDIATE_MACHINE);
        let created = machine.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (!is_asked_for, std::cmp::Reverse(created), machines::name(machine).to_owned())
    });
    let mut names: Vec<String> =
        waiting.iter().map(|machine| machines::name(machine).to_owned()).collect();
    let Some(deployment) = &scope.deployment else {
        return Ok(Plan { now: names, ..Plan::default() });
    };
    let revision = |held: &Option<std::collections::BTreeMap<String, String>>| {
        held.as_ref().and_then(|held| held.get(labels::REVISION)).cloned().unwrap_or_default()
    };
    if revision(&deployment.metadata.annotations) != revision(&scope.set.metadata.annotations) {
        let message = "Machine won't be remediated because it is pending removal due to rollout";
        return Ok(Plan {
            later: names,
            reason: "CannotBeRemediated",
            message: message.to_owned(),
            ..Plan::default()
        });
    }
    let limits = deployment.spec.remediation.as_ref();
    let Some(limit) = limits.and_then(|limits| limits.max_in_flight.as_ref()) else {
        return Ok(Plan { now: names, ..Plan::default() });
    };
    let replicas = deployment.spec.replicas.unwrap_or(1);
    let max = scaled(limit, replicas, Rounding::Up).map_err(|error| {
        format!("failed to calculate maxInFlight to remediate machines: {error}")
    })?;
    let room = usize::try_from(max).unwrap_or(0).saturating_sub(in_flight(scope.machines()));
    let later = names.split_off(room.min(names.len()));
    let message = format!(
        "Waiting because there are already too many remediations in progress \
         (spec.strategy.remediation.maxInFlight is {})",
        show(limit)
    );
    Ok(Plan { now: names, later, reason: "RemediationDeferred", message })
}

/// Machines that go because they are remediated.
fn in_flight(machines: &[Arc<Machine>]) -> usize {
    let is_remediated = |machine: &&Arc<Machine>| {
        let condition = conditions::get(machines::conditions_of(machine), REMEDIATED);
        machines::is_deleting(machine)
            && condition.is_some_and(|condition| {
                condition.status == "False" && condition.reason == "MachineDeleting"
            })
    };
    machines.iter().filter(is_remediated).count()
}

#[cfg(test)]
#[path = "remediation_tests.rs"]
mod tests;
