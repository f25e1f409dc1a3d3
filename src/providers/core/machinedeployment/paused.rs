//! Scaling while rollouts are paused. (CAPI v1.14: machinedeployment_sync.go, scale)
//!
//! A change of the deployment's size still reaches its MachineSets: the only one that has Machines,
//! or all of them in proportion.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::limits::{Limits, strategy};
use super::planner::{available_of, name_of, wanted_of};
use crate::api::core::{MachineDeployment, MachineSet};
use crate::contract::labels;

/// New sizes by name; sets that are not here keep theirs.
pub(super) fn scale(
    deployment: &MachineDeployment,
    current: Option<&MachineSet>,
    old: &[MachineSet],
) -> BTreeMap<String, i32> {
    let replicas = deployment.spec.replicas.unwrap_or(0);
    let mut active: Vec<&MachineSet> =
        old.iter().chain(current).filter(|set| wanted_of(set) > 0).collect();
    let size = |set: &MachineSet, size: i32| (name_of(set).to_owned(), size);
    let newest = || old.iter().max_by_key(|set| (created(set), name_of(set)));
    match active.as_slice() {
        [] => return current.or_else(newest).map(|set| size(set, replicas)).into_iter().collect(),
        [only] => return [size(only, replicas)].into(),
        _ => {}
    }
    if current.is_some_and(|set| is_saturated(set, replicas)) {
        let is_current = |set: &&&MachineSet| current.is_some_and(|c| std::ptr::eq(c, **set));
        return active.iter().filter(|set| !is_current(set)).map(|set| size(set, 0)).collect();
    }
    if strategy(deployment).is_none_or(|strategy| strategy.type_ != "RollingUpdate") {
        return BTreeMap::new();
    }
    let surge = Limits::of(deployment).surge;
    let allowed = if replicas > 0 { replicas + surge } else { 0 };
    let to_add = allowed - active.iter().map(|set| wanted_of(set)).sum::<i32>();
    match to_add.signum() {
        1 => active.sort_by_key(|set| (Reverse(wanted_of(set)), Reverse(created(set)))),
        -1 => active.sort_by_key(|set| (Reverse(wanted_of(set)), created(set))),
        _ => return BTreeMap::new(),
    }
    let mut added = 0;
    let mut sizes: Vec<(String, i32)> = Vec::with_capacity(active.len());
    for set in &active {
        let share = proportion(set, replicas, replicas + surge, to_add - added);
        sizes.push(size(set, wanted_of(set) + share));
        added += share;
    }
    // What is left over goes to the largest set.
    sizes[0].1 = (sizes[0].1 + to_add - added).max(0);
    sizes.into_iter().collect()
}

fn created(set: &MachineSet) -> Option<jiff::Timestamp> {
    set.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

fn annotated(set: &MachineSet, annotation: &str) -> Option<i32> {
    set.metadata.annotations.as_ref()?.get(annotation)?.parse().ok()
}

/// Whether a set has all Machines that are wanted, and knows it.
fn is_saturated(set: &MachineSet, replicas: i32) -> bool {
    annotated(set, labels::DESIRED_REPLICAS) == Some(replicas)
        && wanted_of(set) == replicas
        && available_of(set) == replicas
}

/// A set's share of the change: as much as it had of the size before, and never more than `left`.
fn proportion(set: &MachineSet, replicas: i32, goal: i32, left: i32) -> i32 {
    let have = wanted_of(set);
    if have == 0 || left == 0 {
        return 0;
    }
    let share = if replicas == 0 {
        -have
    } else {
        let before = annotated(set, labels::MAX_REPLICAS).filter(|before| *before > 0);
        let before = f64::from(before.unwrap_or(goal));
        // Sizes are far below what a float cannot count.
        (f64::from(have) * f64::from(goal) / before).round() as i32 - have
    };
    if left > 0 { share.min(left) } else { share.max(left) }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::json;

    use super::*;

    fn set(name: &str, created: i64, replicas: i32, max: i32) -> MachineSet {
        let annotations = json!({labels::MAX_REPLICAS: max.to_string(),
            labels::DESIRED_REPLICAS: "4"});
        let mut set: MachineSet = serde_json::from_value(json!({
            "metadata": {"name": name, "annotations": annotations},
            "spec": {"replicas": replicas}, "status": {"availableReplicas": replicas}}))
        .unwrap();
        let time = jiff::Timestamp::from_second(created).unwrap();
        set.metadata.creation_timestamp = Some(Time(time));
        set
    }

    fn check(
        replicas: i32,
        current: Option<MachineSet>,
        old: &[MachineSet],
        expected: &[(&str, i32)],
    ) {
        let deployment = serde_json::from_value(json!({"spec": {"replicas": replicas,
            "rollout": {"strategy": {"type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}}}}));
        let sizes = scale(&deployment.unwrap(), current.as_ref(), old);
        let sizes: Vec<(&str, i32)> =
            sizes.iter().map(|(name, size)| (name.as_str(), *size)).collect();
        assert_eq!(sizes, expected);
    }

    #[test]
    fn the_only_active_set_or_the_newest_gets_everything() {
        check(5, None, &[set("a", 1, 0, 4), set("b", 2, 0, 4)], &[("b", 5)]);
        check(5, Some(set("c", 3, 0, 4)), &[set("a", 1, 3, 4)], &[("a", 5)]);
        check(5, None, &[], &[]);
    }

    #[test]
    fn several_sets_share_the_change() {
        // Both know of 5 Machines at most; 11 are allowed now, the largest gets the rest.
        check(10, Some(set("b", 2, 2, 5)), &[set("a", 1, 3, 5)], &[("a", 7), ("b", 4)]);
        check(4, Some(set("b", 2, 2, 5)), &[set("a", 1, 3, 5)], &[]);
        check(0, Some(set("b", 2, 2, 5)), &[set("a", 1, 3, 5)], &[("a", 0), ("b", 0)]);
        check(4, Some(set("b", 2, 4, 5)), &[set("a", 1, 1, 5)], &[("a", 0)]);
    }
}
