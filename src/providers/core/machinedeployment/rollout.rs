//! Brings the MachineSets of a MachineDeployment in line: which one is current, how many Machines
//! each may have, and when old ones go.
//! (CAPI v1.14: machinedeployment_rollout_{planner,rollingupdate,ondelete}.go, mdutil)

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::super::template;
use super::machinesets::{REVISION_HISTORY, new_set, revision, shape, suffix};
use super::{MachineDeploymentReconciler, Scope};
use crate::api::core::{MachineSet, MachineSetStatus};
use crate::client::{ObjectKey, Propagation};
use crate::contract::labels;
use crate::runtime::{EventType, Patched, ReconcileError, patch_object};

/// How far a rolling update may stray from the wanted number of Machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Machines above the wanted number.
    pub surge: i32,
    /// Machines that may be missing.
    pub unavailable: i32,
}

impl Limits {
    /// Limits of a deployment; both zero unless its strategy is RollingUpdate.
    pub(super) fn of(scope: &Scope) -> Self {
        let none = Self { surge: 0, unavailable: 0 };
        let Some(strategy) = scope.strategy().filter(|strategy| strategy.type_ == "RollingUpdate")
        else {
            return none;
        };
        let replicas = scope.replicas();
        let limits = strategy.rolling_update.clone().unwrap_or_default();
        let surge = scaled(limits.max_surge.as_ref(), replicas, Rounding::Up);
        let unavailable = scaled(limits.max_unavailable.as_ref(), replicas, Rounding::Down);
        let unavailable = if surge == 0 && unavailable == 0 { 1 } else { unavailable };
        let unavailable = if replicas == 0 { 0 } else { unavailable.min(replicas) };
        Self { surge, unavailable }
    }
}

#[derive(Clone, Copy)]
enum Rounding {
    Up,
    Down,
}

/// A number, or a percentage of the wanted Machines.
fn scaled(value: Option<&IntOrString>, replicas: i32, rounding: Rounding) -> i32 {
    match value {
        None => 0,
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(text)) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            let product = percent * i64::from(replicas);
            let scaled = match rounding {
                Rounding::Up => (product + 99) / 100,
                Rounding::Down => product / 100,
            };
            i32::try_from(scaled).unwrap_or(i32::MAX)
        }
    }
}

impl MachineDeploymentReconciler {
    /// Finds or makes the current MachineSet, scales all, and deletes old ones that are empty.
    pub(super) async fn roll_out(&self, scope: &mut Scope) -> Result<(), ReconcileError> {
        let originals = scope.sets().to_vec();
        let current = self.current(scope, &originals);
        let is_paused = scope.deployment.spec.paused == Some(true);
        let templates_exist =
            !scope.is_infrastructure_template_missing && !scope.is_bootstrap_template_missing;
        if current.is_none() && !is_paused && !templates_exist {
            let message = "cannot create a MachineSet when templates do not exist";
            return Err(ReconcileError::Other(message.to_owned()));
        }
        let mut plan = self.plan(scope, &originals, current, is_paused);
        if is_paused {
            scale_paused(scope, &mut plan);
        } else {
            scale(scope, &mut plan);
        }
        self.write(scope, &originals, &mut plan).await?;
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
                (-set.spec.replicas.unwrap_or(0), created, set.metadata.name.clone())
            })
            .cloned()
    }

    fn plan(
        &self,
        scope: &Scope,
        sets: &[Arc<MachineSet>],
        current: Option<Arc<MachineSet>>,
        is_paused: bool,
    ) -> Plan {
        let is_current = |set: &Arc<MachineSet>| {
            current.as_ref().is_some_and(|current| Arc::ptr_eq(current, set))
        };
        let is_on_delete = scope.strategy().is_some_and(|strategy| strategy.type_ == "OnDelete");
        let old: Vec<MachineSet> = sets
            .iter()
            .filter(|set| !is_current(set))
            .map(|set| {
                let mut set = reshaped(scope, set);
                disable_creation(&mut set, is_on_delete);
                set
            })
            .collect();
        let max_old = old.iter().map(|set| revision(&set.metadata)).max().unwrap_or(0);
        let current = match current {
            Some(set) => Some(reshaped(scope, &set)),
            None if is_paused => None,
            None => Some(new_set(scope, &self.new_suffix(scope, &old))),
        };
        let current = current.map(|mut set| {
            disable_creation(&mut set, false);
            set_revision(&mut set, max_old + 1);
            set
        });
        Plan { current, old }
    }

    fn new_suffix(&self, scope: &Scope, old: &[MachineSet]) -> String {
        let seed = self.context.seed;
        let generation = scope.deployment.metadata.generation.unwrap_or(0).to_string();
        let key = &scope.key;
        for attempt in 0_u32.. {
            let attempt = attempt.to_string();
            let parts = [&key.namespace, "MachineDeployment", &key.name, &generation, &attempt];
            let random = suffix(seed.number(&parts));
            let name = format!("{}-{random}", key.name);
            let is_taken = old.iter().any(|set| set.metadata.name.as_deref() == Some(&name))
                || self.context.sets.get(&key.namespace, &name).is_some();
            if !is_taken {
                return random;
            }
        }
        String::new()
    }

    async fn write(
        &self,
        scope: &Scope,
        originals: &[Arc<MachineSet>],
        plan: &mut Plan,
    ) -> Result<(), ReconcileError> {
        for set in plan.current.iter_mut().chain(&mut plan.old) {
            let original = originals.iter().find(|held| held.metadata.name == set.metadata.name);
            match original {
                Some(original) => self.update(scope, original, set).await?,
                None => self.create(scope, set).await?,
            }
        }
        Ok(())
    }

    async fn create(&self, scope: &Scope, set: &mut MachineSet) -> Result<(), ReconcileError> {
        let key = ObjectKey::of(set);
        let about = &scope.deployment;
        match self.context.client.create(set).await {
            Ok(created) => {
                let replicas = set.spec.replicas.unwrap_or(0);
                let message = format!("Created MachineSet {key} with {replicas} replicas");
                self.recorder.event(about, EventType::Normal, "SuccessfulCreate", message);
                *set = created;
                Ok(())
            }
            Err(error) => {
                let message = format!("Failed to create MachineSet {key}: {error}");
                self.recorder.event(about, EventType::Warning, "FailedCreate", message);
                Err(error.into())
            }
        }
    }

    async fn update(
        &self,
        scope: &Scope,
        original: &Arc<MachineSet>,
        set: &mut MachineSet,
    ) -> Result<(), ReconcileError> {
        let about = &scope.deployment;
        match patch_object(&self.context.client, &**original, set).await {
            Ok(Patched::Changed(patched)) => *set = patched.decode()?,
            Ok(Patched::Unchanged) => {}
            Err(error) => {
                let key = ObjectKey::of(&**original);
                let message = format!("Failed to update MachineSet {key}: {error}");
                self.recorder.event(about, EventType::Warning, "FailedUpdate", message);
                return Err(error.into());
            }
        }
        let name = set.metadata.name.as_deref().unwrap_or_default();
        let (old, new) = (original.spec.replicas.unwrap_or(0), set.spec.replicas.unwrap_or(0));
        let verb = match new.cmp(&old) {
            std::cmp::Ordering::Less => "down",
            std::cmp::Ordering::Greater => "up",
            std::cmp::Ordering::Equal => return Ok(()),
        };
        let message = format!("Scaled {verb} MachineSet {name}: {old} -> {new}");
        self.recorder.event(about, EventType::Normal, "SuccessfulScale", message);
        Ok(())
    }

    /// Deletes old MachineSets that have no Machines and want none.
    async fn delete_old(&self, scope: &Scope) -> Result<(), ReconcileError> {
        for set in scope.sets() {
            let name = set.metadata.name.clone().unwrap_or_default();
            let is_alive = set.metadata.deletion_timestamp.is_none();
            let is_empty = status_of(set).replicas.unwrap_or(0) == 0
                && set.spec.replicas.unwrap_or(0) == 0
                && set.metadata.generation <= status_of(set).observed_generation;
            if scope.current.as_ref() == Some(&name) || !is_alive || !is_empty {
                continue;
            }
            let key = ObjectKey::of(&**set);
            self.context.client.delete::<MachineSet>(&key, Propagation::Default).await?;
            let message = format!("Deleted MachineSet {name:?}");
            let about = &scope.deployment;
            self.recorder.event(about, EventType::Normal, "SuccessfulDelete", message);
        }
        Ok(())
    }
}

/// MachineSets as they shall be.
struct Plan {
    current: Option<MachineSet>,
    old: Vec<MachineSet>,
}

fn reshaped(scope: &Scope, set: &MachineSet) -> MachineSet {
    let mut wanted = set.clone();
    let held = set.metadata.labels.as_ref().and_then(|held| held.get(labels::TEMPLATE_HASH));
    // An adopted MachineSet has no hash of its own making: its shape is left alone.
    if let Some(unique) = held {
        shape(scope, &mut wanted, unique);
    }
    wanted
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

fn status_of(set: &MachineSet) -> MachineSetStatus {
    set.status.clone().unwrap_or_default()
}

fn wanted_of(set: &MachineSet) -> i32 {
    set.spec.replicas.unwrap_or(0)
}

/// Machines that a set has or is about to have.
fn size_of(set: &MachineSet) -> i32 {
    wanted_of(set).max(status_of(set).replicas.unwrap_or(0))
}

fn available_of(set: &MachineSet) -> i32 {
    status_of(set).available_replicas.unwrap_or(0)
}

/// Scales the current set up as far as the surge allows, and the old ones down as far as enough
/// Machines stay available. OnDelete never scales old sets down below what they have.
fn scale(scope: &Scope, plan: &mut Plan) {
    let replicas = scope.replicas();
    let limits = Limits::of(scope);
    let is_on_delete = scope.strategy().is_some_and(|strategy| strategy.type_ == "OnDelete");
    let Plan { current: Some(current), old } = plan else { return };
    let have = wanted_of(current);
    let total: i32 = size_of(current) + old.iter().map(size_of).sum::<i32>();
    let max = replicas + limits.surge;
    let wanted =
        if have > replicas { replicas } else { have + (max - total).clamp(0, replicas - have) };
    current.spec.replicas = Some(wanted);
    if is_on_delete {
        // Machines of old sets go when somebody deletes them; the sets shrink with them.
        for set in old {
            let left = status_of(set).replicas.unwrap_or(0).min(wanted_of(set));
            set.spec.replicas = Some(left);
        }
        return;
    }
    scale_down_old(replicas - limits.unavailable, current, old);
}

fn scale_down_old(min_available: i32, current: &MachineSet, old: &mut [MachineSet]) {
    old.sort_by_key(|set| {
        (set.metadata.creation_timestamp.as_ref().map(|time| time.0), set.metadata.name.clone())
    });
    let total: i32 = wanted_of(current) + old.iter().map(wanted_of).sum::<i32>();
    let current_unavailable = wanted_of(current) - available_of(current).min(wanted_of(current));
    let mut budget = total - min_available - current_unavailable;
    // Machines that serve nobody go first.
    for set in old.iter_mut() {
        let wanted = wanted_of(set);
        let going = (wanted - available_of(set).min(wanted)).min(budget.max(0));
        set.spec.replicas = Some(wanted - going);
        budget -= going;
    }
    let available: i32 = available_of(current).min(wanted_of(current))
        + old.iter().map(|set| available_of(set).min(wanted_of(set))).sum::<i32>();
    let mut spare = (available - min_available).max(0);
    for set in old.iter_mut() {
        let going = wanted_of(set).min(spare);
        set.spec.replicas = Some(wanted_of(set) - going);
        spare -= going;
    }
}

/// While rollouts are paused, scaling still works on the only set that has Machines.
fn scale_paused(scope: &Scope, plan: &mut Plan) {
    let replicas = scope.replicas();
    let is_active = |set: &MachineSet| wanted_of(set) > 0;
    let active = plan.current.iter().chain(&plan.old).filter(|set| is_active(set)).count();
    let mut sets: Vec<&mut MachineSet> = plan.current.iter_mut().chain(&mut plan.old).collect();
    match active {
        0 => {
            if let Some(first) = sets.first_mut() {
                first.spec.replicas = Some(replicas);
            }
        }
        1 => {
            if let Some(only) = sets.into_iter().find(|set| is_active(set)) {
                only.spec.replicas = Some(replicas);
            }
        }
        _ => {}
    }
}

/// Whether all wanted Machines are up to date and available, and no others are left.
fn is_complete(scope: &Scope) -> bool {
    let sum = |count: fn(&MachineSetStatus) -> Option<i32>| -> i32 {
        scope.sets().iter().map(|set| count(&status_of(set)).unwrap_or(0)).sum()
    };
    let replicas = scope.replicas();
    sum(|status| status.up_to_date_replicas) == replicas
        && sum(|status| status.replicas) == replicas
        && sum(|status| status.available_replicas) == replicas
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(replicas: i32, available: i32) -> MachineSet {
        let mut set = MachineSet::default();
        set.spec.replicas = Some(replicas);
        let status = set.status.get_or_insert_default();
        status.replicas = Some(replicas);
        status.available_replicas = Some(available);
        set
    }

    #[test]
    fn percentages_round_surge_up_and_unavailable_down() {
        let half = IntOrString::String("50%".into());
        assert_eq!(scaled(Some(&half), 3, Rounding::Up), 2);
        assert_eq!(scaled(Some(&half), 3, Rounding::Down), 1);
        assert_eq!(scaled(Some(&IntOrString::Int(4)), 3, Rounding::Up), 4);
    }

    #[test]
    fn old_machines_go_only_when_enough_new_ones_are_available() {
        let mut old = [set(3, 3)];
        scale_down_old(3, &set(1, 0), &mut old);
        assert_eq!(wanted_of(&old[0]), 3);
        let mut old = [set(3, 3)];
        scale_down_old(3, &set(1, 1), &mut old);
        assert_eq!(wanted_of(&old[0]), 2);
        let mut old = [set(1, 1)];
        scale_down_old(3, &set(3, 3), &mut old);
        assert_eq!(wanted_of(&old[0]), 0);
    }

    #[test]
    fn unavailable_old_machines_go_first() {
        let mut old = [set(2, 2), set(2, 0)];
        scale_down_old(2, &set(1, 1), &mut old);
        assert_eq!(old.iter().map(wanted_of).collect::<Vec<_>>(), [1, 0]);
    }

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
