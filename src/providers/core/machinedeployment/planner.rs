//! How many Machines each MachineSet of a rollout may have. Pure: counters in, numbers out.
//! (CAPI v1.14: machinedeployment_rollout_{rollingupdate,ondelete}.go)
//!
//! A MachineSet chooses by itself which of its Machines go; therefore every Machine that goes
//! counts as an available one, unless its set has none.

use std::collections::BTreeMap;

use super::limits::Limits;
use crate::api::core::{MachineSet, MachineSetStatus};

/// The MachineSets of a deployment while a rollout is planned.
pub(super) struct Planner<'a> {
    /// Wanted Machines.
    pub replicas: i32,
    /// How far the rollout may stray from that.
    pub limits: Limits,
    /// The MachineSet of the present template.
    pub current: &'a MachineSet,
    /// All others; they are sorted on the way, the oldest first.
    pub old: &'a mut [MachineSet],
    /// New sizes by name; sets that are not here keep theirs.
    pub intents: BTreeMap<String, i32>,
    /// What is known of updates in place.
    pub in_place: InPlace,
}

/// What a plan has to know of updates in place.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct InPlace {
    /// Old sets hand their Machines to the current one instead of deleting them.
    pub is_possible: bool,
    /// A Machine is being updated.
    pub is_any_updating: bool,
}

/// Status of a set; the empty one without.
pub(super) fn status_of(set: &MachineSet) -> MachineSetStatus {
    set.status.clone().unwrap_or_default()
}

/// Machines that a set is to have.
pub(super) fn wanted_of(set: &MachineSet) -> i32 {
    set.spec.replicas.unwrap_or(0)
}

/// Machines that a set has.
pub(super) fn present_of(set: &MachineSet) -> i32 {
    set.status.as_ref().and_then(|status| status.replicas).unwrap_or(0)
}

/// Available Machines of a set.
pub(super) fn available_of(set: &MachineSet) -> i32 {
    set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0)
}

/// Name of a set.
pub(super) fn name_of(set: &MachineSet) -> &str {
    set.metadata.name.as_deref().unwrap_or_default()
}

/// The oldest first; equal ages by name.
pub(super) fn sort_by_age(sets: &mut [MachineSet]) {
    sets.sort_by_key(|set| {
        (set.metadata.creation_timestamp.as_ref().map(|time| time.0), set.metadata.name.clone())
    });
}

fn sum(sets: &[MachineSet], count: impl Fn(&MachineSet) -> i32) -> i32 {
    sets.iter().map(count).sum()
}

/// Machines that a set has or is about to have.
fn size_of(set: &MachineSet) -> i32 {
    wanted_of(set).max(present_of(set))
}

impl Planner<'_> {
    /// One step of a rolling update.
    pub(super) fn plan_rolling_update(&mut self) {
        let room = self.replicas + self.limits.surge - self.total_size();
        self.scale_current(room.min(self.replicas - wanted_of(self.current)));
        self.scale_down_old();
        self.prefer_in_place();
        self.break_deadlock();
    }

    /// One step where old Machines go only when somebody deletes them.
    pub(super) fn plan_on_delete(&mut self) {
        self.scale_current(self.replicas - self.total_size());
        self.shrink_old_to_what_is_left();
    }

    fn total_size(&self) -> i32 {
        size_of(self.current) + sum(self.old, size_of)
    }

    /// Scales the current set by what there is room for, or down to the wanted number.
    fn scale_current(&mut self, room: i32) {
        let have = wanted_of(self.current);
        let wanted = if have > self.replicas { self.replicas } else { have + room.max(0) };
        if have != self.replicas && wanted != have {
            self.intents.insert(name_of(self.current).to_owned(), wanted);
        }
    }

    fn scale_down_old(&mut self) {
        if sum(self.old, wanted_of) == 0 {
            return;
        }
        let min_available = (self.replicas - self.limits.unavailable).max(0);
        let total = wanted_of(self.current) + sum(self.old, wanted_of);
        let available = available_of(self.current) + sum(self.old, available_of);
        let pending =
            self.pending(self.current) + self.old.iter().map(|set| self.pending(set)).sum::<i32>();
        // Machines of the current set that do not come up must stop the rollout.
        let missing = (wanted_of(self.current) - available_of(self.current)).max(0);
        let budget = (total - pending - min_available - missing).max(0);
        if budget == 0 {
            return;
        }
        sort_by_age(self.old);
        let left = Left { budget, available, min_available };
        let left = self.take_from_old(left, |set, size| (size - available_of(set)).max(0));
        self.take_from_old(left, |_, size| size);
    }

    /// Machines of a set that still go.
    fn pending(&self, set: &MachineSet) -> i32 {
        let wanted = wanted_of(set);
        let goal = self.intents.get(name_of(set)).map_or(wanted, |intent| wanted.min(*intent));
        (present_of(set) - goal).max(0)
    }

    /// Takes Machines from old sets, from each at most what `share` says of it.
    fn take_from_old(&mut self, mut left: Left, share: impl Fn(&MachineSet, i32) -> i32) -> Left {
        for set in self.old.iter() {
            let size = self.intents.get(name_of(set)).copied().unwrap_or(wanted_of(set));
            if left.budget <= 0 {
                break;
            }
            let going = share(set, size).min(left.budget);
            if size <= 0 || going == 0 {
                continue;
            }
            let going = left.take(set, size, going);
            if going > 0 {
                self.intents.insert(name_of(set).to_owned(), (size - going).max(0));
                left.budget = (left.budget - going).max(0);
            }
        }
        left
    }

    /// Where Machines can be updated in place, no more are made than are wanted in the end: one at
    /// most, if nothing else moves, so that enough stay available.
    fn prefer_in_place(&mut self) {
        let (name, have) = (name_of(self.current).to_owned(), wanted_of(self.current));
        let Some(intent) = self.intents.get(&name).copied() else { return };
        let up = intent - have;
        let without_surge = (up - self.limits.surge).max(0);
        if !self.in_place.is_possible || up <= 0 || up == without_surge {
            return;
        }
        let needs_one = without_surge == 0 && !self.is_scaling_or_updating();
        let up = if needs_one { 1 } else { without_surge };
        if up == 0 {
            self.intents.remove(&name);
        } else {
            self.intents.insert(name, have + up);
        }
    }

    fn is_scaling_or_updating(&self) -> bool {
        let wanted = wanted_of(self.current);
        let is_shrinking = |set: &MachineSet| {
            let goal = self.intents.get(name_of(set)).copied();
            wanted_of(set) < present_of(set) || goal.is_some_and(|goal| goal < wanted_of(set))
        };
        let up_to_date = status_of(self.current).up_to_date_replicas.unwrap_or(0);
        wanted != present_of(self.current)
            || self.old.iter().any(is_shrinking)
            || wanted != up_to_date
            || self.in_place.is_any_updating
            || wanted != available_of(self.current)
    }

    /// Old Machines that are not available can hold a rollout for ever, because they are counted
    /// as if they were when they go: if nothing else moves, one goes nevertheless.
    fn break_deadlock(&mut self) {
        let present = sum(self.old, present_of);
        if present == 0 || present == sum(self.old, available_of) {
            return;
        }
        let is_moving = |set: &MachineSet| {
            wanted_of(set) != present_of(set) || self.intents.contains_key(name_of(set))
        };
        let is_current_coming = available_of(self.current) != present_of(self.current);
        if is_moving(self.current) || self.old.iter().any(is_moving) || is_current_coming {
            return;
        }
        let stuck = |set: &&MachineSet| available_of(set) != present_of(set) && wanted_of(set) != 0;
        if let Some(set) = self.old.iter().find(stuck) {
            self.intents.insert(name_of(set).to_owned(), (wanted_of(set) - 1).max(0));
        }
    }

    /// Old sets shrink with their Machines, and further if more are left than are wanted.
    fn shrink_old_to_what_is_left(&mut self) {
        if sum(self.old, wanted_of) == 0 {
            return;
        }
        let name = name_of(self.current);
        let current = self.intents.get(name).copied().unwrap_or(wanted_of(self.current));
        let mut excess = (sum(self.old, wanted_of) + current - self.replicas).max(0);
        sort_by_age(self.old);
        for set in self.old.iter() {
            let gone = (wanted_of(set) - present_of(set)).max(0);
            if gone > 0 {
                self.intents.insert(name_of(set).to_owned(), wanted_of(set) - gone);
                excess -= gone;
            }
        }
        for set in self.old.iter() {
            let size = self.intents.get(name_of(set)).copied().unwrap_or(wanted_of(set));
            let going = size.min(excess);
            if going > 0 {
                // As upstream: counted from the wanted size, not from what the first loop left.
                let size = (wanted_of(set) - going).max(0);
                self.intents.insert(name_of(set).to_owned(), size);
                excess -= going;
            }
        }
    }
}

/// What may still go.
struct Left {
    budget: i32,
    available: i32,
    min_available: i32,
}

impl Left {
    /// How many of `going` Machines may really go from a set of `size`, so that enough stay
    /// available.
    fn take(&mut self, set: &MachineSet, size: i32, going: i32) -> i32 {
        if available_of(set) <= 0 {
            return going;
        }
        let present = present_of(set);
        let deleted = (present - (size - going).max(0)).max(0);
        if deleted == 0 {
            return going;
        }
        if self.available - self.min_available >= deleted {
            self.available -= available_of(set).min(deleted);
            return going;
        }
        let most = (self.available - self.min_available).max(0);
        let goal = (present - most).min(size);
        self.available -= available_of(set).min((present - goal).max(0));
        (size - goal).max(0)
    }
}

#[cfg(test)]
#[path = "planner_tests.rs"]
mod tests;
