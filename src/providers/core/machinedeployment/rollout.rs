//! Brings the MachineSets of a MachineDeployment in line: which one is current, how many Machines
//! each may have, and when old ones go.
//! (CAPI v1.14: machinedeployment_rollout_planner.go, machinedeployment_controller.go, mdutil)

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::template;
use super::limits::{Limits, strategy};
use super::machinesets::{REVISION_HISTORY, existing_set, new_name, new_set, revision, suffix};
use super::planner::{InPlace, Planner, name_of, present_of, sort_by_age, status_of, wanted_of};
use super::{MachineDeploymentReconciler, Scope, in_place, paused};
use crate::api::core::{MachineSet, MachineSetStatus};
use crate::client::{ObjectKey, Propagation};
use crate::contract::labels;
use crate::runtime::{EventType, ReconcileError};

impl MachineDeploymentReconciler {
    /// Finds or makes the current MachineSet, scales all, and deletes old ones that are empty.
    pub(super) async fn roll_out(&self, scope: &mut Scope) -> Result<(), ReconcileError> {
        let originals = scope.sets().to_vec();
        let is_paused = scope.deployment.spec.paused == Some(true);
        let mut plan = self.plan(scope, &originals, is_paused).map_err(ReconcileError::Other)?;
        let mut candidates = BTreeSet::new();
        if !is_paused && self.context.extensions.is_in_use() {
            in_place::acknowledge(scope, &mut plan);
            candidates = self.in_place_candidates(scope, &plan).await?;
        }
        let in_place = InPlace {
            is_possible: !candidates.is_empty(),
            is_any_updating: in_place::is_any_updating(scope),
        };
        let sizes = sizes(scope, &mut plan, is_paused, in_place).map_err(ReconcileError::Other)?;
        in_place::mark(&mut plan, candidates);
        for set in plan.current.iter_mut().chain(&mut plan.old) {
            if let Some(size) = sizes.get(name_of(set)) {
                set.spec.replicas = Some(*size);
            }
        }
        self.write(scope, &originals, &mut plan, is_paused).await?;
        scope.current = plan.current.as_ref().and_then(|set| set.metadata.name.clone());
        if let Some(current) = &plan.current {
            let revision = revision(&current.metadata).to_string();
            let annotations =
                scope.deployment.metadata.annotations.get_or_insert_with(Default::default);
            annotations.insert(labels::REVISION.to_owned(), revision);
        }
        let mut sets: Vec<Arc<MachineSet>> =
            plan.old.into_iter().chain(plan.current).map(Arc::new).collect();
        sets.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        scope.sets = Some(sets);
        scope.is_rolled_out = true;
        if !is_paused && is_complete(scope) {
            self.delete_old(scope).await?;
        }
        Ok(())
    }

    /// The MachineSet of the present template: of several the one with most replicas, then the
    /// oldest.
    fn current(&self, scope: &Scope, sets: &[Arc<MachineSet>]) -> Option<Arc<MachineSet>> {
        let now = self.context.clock.now();
        let wanted = &scope.deployment.spec.template;
        sets.iter()
            .filter(|set| template::differences(&set.spec.template, wanted).is_empty())
            .filter(|set| !template::is_rollout_due(&scope.deployment, set, now))
            .min_by_key(|set| {
                let created = set.metadata.creation_timestamp.as_ref().map(|time| time.0);
                (-wanted_of(set), created, set.metadata.name.clone())
            })
            .cloned()
    }

    /// The MachineSets as they shall be, with the sizes that they have.
    fn plan(
        &self,
        scope: &Scope,
        sets: &[Arc<MachineSet>],
        is_paused: bool,
    ) -> Result<Plan, String> {
        let current = self.current(scope, sets);
        let templates_exist =
            !scope.is_infrastructure_template_missing && !scope.is_bootstrap_template_missing;
        if current.is_none() && !is_paused && !templates_exist {
            return Err("cannot create a MachineSet when templates do not exist".to_owned());
        }
        let is_on_delete =
            strategy(&scope.deployment).is_some_and(|strategy| strategy.type_ == "OnDelete");
        let mut old = Vec::with_capacity(sets.len());
        for set in sets {
            if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, set)) {
                continue;
            }
            let mut set = existing_set(scope, set)?;
            disable_creation(&mut set, is_on_delete);
            old.push(set);
        }
        let current = match current {
            Some(set) => Some(existing_set(scope, &set)?),
            None if is_paused => None,
            None => Some(new_set(scope, &self.new_suffix(scope, &old))),
        };
        let max_old = old.iter().map(|set| revision(&set.metadata)).max().unwrap_or(0);
        let current = current.map(|mut set| {
            disable_creation(&mut set, false);
            set_revision(&mut set, max_old + 1);
            set
        });
        Ok(Plan { current, old })
    }

    fn new_suffix(&self, scope: &Scope, old: &[MachineSet]) -> String {
        let seed = self.context.seed;
        let generation = scope.deployment.metadata.generation.unwrap_or(0).to_string();
        let key = &scope.key;
        for attempt in 0_u32.. {
            let attempt = attempt.to_string();
            let parts = [&key.namespace, "MachineDeployment", &key.name, &generation, &attempt];
            let random = suffix(seed.number(&parts));
            let name = new_name(&key.name, &random);
            let is_taken = old.iter().any(|set| name_of(set) == name)
                || self.context.sets.get(&key.namespace, &name).is_some();
            if !is_taken {
                return random;
            }
        }
        String::new()
    }

    /// Writes the current MachineSet and then the old ones.
    async fn write(
        &self,
        scope: &Scope,
        originals: &[Arc<MachineSet>],
        plan: &mut Plan,
        is_paused: bool,
    ) -> Result<(), ReconcileError> {
        for set in plan.current.iter_mut().chain(&mut plan.old) {
            let original = originals.iter().find(|held| held.metadata.name == set.metadata.name);
            match original {
                Some(original) => self.update(scope, original, set, is_paused).await?,
                None => self.create(scope, set).await?,
            }
        }
        Ok(())
    }

    async fn create(&self, scope: &Scope, set: &mut MachineSet) -> Result<(), ReconcileError> {
        let key = ObjectKey::of(set);
        let about = &scope.deployment;
        match self.context.deployment_applied.apply(set, None).await {
            Ok(created) => {
                let message = format!("Created MachineSet {key} with {} replicas", wanted_of(set));
                self.recorder.event(about, EventType::Normal, "SuccessfulCreate", message);
                if let Some(created) = created {
                    *set = created;
                }
                Ok(())
            }
            Err(error) => {
                let message = format!("Failed to create MachineSet {key}: {error}");
                self.recorder.event(about, EventType::Warning, "FailedCreate", message);
                Err(ReconcileError::Other(format!("failed to create MachineSet {key}: {error}")))
            }
        }
    }

    async fn update(
        &self,
        scope: &Scope,
        original: &Arc<MachineSet>,
        set: &mut MachineSet,
        is_paused: bool,
    ) -> Result<(), ReconcileError> {
        let about = &scope.deployment;
        let key = ObjectKey::of(&**original);
        match self.context.deployment_applied.apply(set, Some(&**original)).await {
            Ok(Some(applied)) => *set = applied,
            Ok(None) => *set = (**original).clone(),
            // A set that goes may be gone.
            Err(ReconcileError::Client(error))
                if original.metadata.deletion_timestamp.is_some()
                    && (error.is_not_found() || error.is_conflict()) =>
            {
                return Ok(());
            }
            Err(error) => {
                let message = format!("Failed to update MachineSet {key}: {error}");
                self.recorder.event(about, EventType::Warning, "FailedUpdate", message);
                return Err(ReconcileError::Other(format!(
                    "failed to update MachineSet {key}: {error}"
                )));
            }
        }
        let (old, new) = (wanted_of(original), wanted_of(set));
        let subject = match (is_paused, new.cmp(&old)) {
            (_, std::cmp::Ordering::Equal) => return Ok(()),
            (true, _) => format!("Scaled MachineSet {key}"),
            (false, std::cmp::Ordering::Less) => format!("Scaled down MachineSet {}", key.name),
            (false, std::cmp::Ordering::Greater) => format!("Scaled up MachineSet {}", key.name),
        };
        let message = format!("{subject}: {old} -> {new}");
        self.recorder.event(about, EventType::Normal, "SuccessfulScale", message);
        Ok(())
    }

    /// Deletes old MachineSets that have no Machines and want none, the oldest first.
    async fn delete_old(&self, scope: &Scope) -> Result<(), ReconcileError> {
        let mut old: Vec<MachineSet> = scope.sets().iter().map(|set| (**set).clone()).collect();
        old.retain(|set| scope.current.as_deref() != Some(name_of(set)));
        sort_by_age(&mut old);
        for set in &old {
            let name = name_of(set);
            let is_observed = set.metadata.generation <= status_of(set).observed_generation;
            let is_empty = present_of(set) == 0 && wanted_of(set) == 0 && is_observed;
            if set.metadata.deletion_timestamp.is_some() || !is_empty {
                continue;
            }
            let key = ObjectKey::of(set);
            let about = &scope.deployment;
            let deleted = self.context.client.delete::<MachineSet>(&key, Propagation::Default);
            if let Err(error) = deleted.await {
                let message = format!("Failed to delete MachineSet {name:?}: {error}");
                self.recorder.event(about, EventType::Warning, "FailedDelete", message);
                return Err(error.into());
            }
            let message = format!("Deleted MachineSet {name:?}");
            self.recorder.event(about, EventType::Normal, "SuccessfulDelete", message);
        }
        Ok(())
    }
}

/// MachineSets as they shall be.
pub(super) struct Plan {
    /// Of the present template.
    pub current: Option<MachineSet>,
    /// All others.
    pub old: Vec<MachineSet>,
}

/// New sizes of MachineSets by name.
fn sizes(
    scope: &Scope,
    plan: &mut Plan,
    is_paused: bool,
    in_place: InPlace,
) -> Result<BTreeMap<String, i32>, String> {
    let deployment = &scope.deployment;
    let current = match &plan.current {
        Some(current) if !is_paused => current,
        current => return Ok(paused::scale(deployment, current.as_ref(), &plan.old)),
    };
    let mut planner = Planner {
        replicas: scope.replicas(),
        limits: Limits::of(deployment),
        current,
        old: &mut plan.old,
        intents: BTreeMap::new(),
        in_place,
    };
    match strategy(deployment).map(|strategy| strategy.type_.as_str()) {
        Some("RollingUpdate") => planner.plan_rolling_update(),
        Some("OnDelete") => planner.plan_on_delete(),
        other => {
            let other = other.unwrap_or_default();
            return Err(format!("unexpected deployment strategy type: {other}"));
        }
    }
    Ok(planner.intents)
}

fn disable_creation(set: &mut MachineSet, is_disabled: bool) {
    let annotations = set.metadata.annotations.get_or_insert_with(Default::default);
    annotations.insert(labels::DISABLE_MACHINE_CREATE.to_owned(), is_disabled.to_string());
}

/// The current MachineSet has the highest revision; former ones of its own are remembered.
fn set_revision(set: &mut MachineSet, wanted: i64) {
    let held = revision(&set.metadata);
    if held >= wanted {
        return;
    }
    let annotations = set.metadata.annotations.get_or_insert_with(Default::default);
    if held > 0 {
        let history = annotations.get(REVISION_HISTORY).filter(|history| !history.is_empty());
        let history = match history {
            Some(history) => format!("{history},{held}"),
            None => held.to_string(),
        };
        annotations.insert(REVISION_HISTORY.to_owned(), history);
    }
    annotations.insert(labels::REVISION.to_owned(), wanted.to_string());
}

/// Whether all wanted Machines are up to date and available, no others are left, and the last
/// reconcile has said so of the present spec.
fn is_complete(scope: &Scope) -> bool {
    let sum = |count: fn(&MachineSetStatus) -> Option<i32>| -> i32 {
        scope.sets().iter().map(|set| count(&status_of(set)).unwrap_or(0)).sum()
    };
    let replicas = scope.replicas();
    let observed = scope.deployment.status.as_ref().and_then(|status| status.observed_generation);
    sum(|status| status.up_to_date_replicas) == replicas
        && sum(|status| status.replicas) == replicas
        && sum(|status| status.available_replicas) == replicas
        && observed >= scope.deployment.metadata.generation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revived_set_gets_the_next_revision_and_remembers_its_own() {
        let mut set = MachineSet::default();
        set_revision(&mut set, 1);
        assert_eq!(revision(&set.metadata), 1);
        set_revision(&mut set, 3);
        let annotations = set.metadata.annotations.unwrap();
        assert_eq!(annotations[labels::REVISION], "3");
        assert_eq!(annotations[REVISION_HISTORY], "1");
    }
}
