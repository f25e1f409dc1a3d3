//! The steps of rollouts.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use super::*;

/// A set by name (which is also its age), wanted, present and available Machines.
fn set(name: &str, wanted: i32, present: i32, available: i32) -> MachineSet {
    let mut set: MachineSet = serde_json::from_value(json!({
        "metadata": {"name": name}, "spec": {"replicas": wanted},
        "status": {"replicas": present, "availableReplicas": available}}))
    .unwrap();
    let age = i64::from(name.as_bytes()[0]);
    set.metadata.creation_timestamp = Some(Time(jiff::Timestamp::from_second(age).unwrap()));
    set
}

struct Case<'a> {
    replicas: i32,
    limits: (i32, i32),
    current: MachineSet,
    old: Vec<MachineSet>,
    expected: &'a [(&'a str, i32)],
}

fn run(case: Case<'_>, act: impl Fn(&mut Planner<'_>)) {
    let mut old = case.old;
    let mut planner = Planner {
        replicas: case.replicas,
        limits: Limits { surge: case.limits.0, unavailable: case.limits.1 },
        current: &case.current,
        old: &mut old,
        intents: BTreeMap::new(),
        in_place: InPlace::default(),
    };
    act(&mut planner);
    let intents: Vec<(&str, i32)> =
        planner.intents.iter().map(|(name, size)| (name.as_str(), *size)).collect();
    assert_eq!(intents, case.expected);
}

fn rolling(
    replicas: i32,
    limits: (i32, i32),
    current: (i32, i32, i32),
    old: &[(i32, i32, i32)],
    expected: &[(&str, i32)],
) {
    let current = set("n", current.0, current.1, current.2);
    let names = ["a", "b", "c"];
    let old = old.iter().zip(names).map(|(o, name)| set(name, o.0, o.1, o.2)).collect();
    run(Case { replicas, limits, current, old, expected }, |planner| planner.plan_rolling_update());
}

#[test]
fn a_first_rollout_makes_all_machines_at_once() {
    rolling(3, (1, 0), (0, 0, 0), &[], &[("n", 3)]);
    rolling(3, (1, 0), (3, 0, 0), &[], &[]);
    rolling(2, (1, 0), (3, 3, 3), &[], &[("n", 2)]);
    rolling(5, (1, 0), (3, 3, 3), &[], &[("n", 5)]);
}

#[test]
fn surge_comes_first_and_old_machines_go_for_available_ones() {
    rolling(3, (1, 0), (0, 0, 0), &[(3, 3, 3)], &[("n", 1)]);
    rolling(3, (1, 0), (1, 1, 0), &[(3, 3, 3)], &[]);
    rolling(3, (1, 0), (1, 1, 1), &[(3, 3, 3)], &[("a", 2)]);
    rolling(3, (1, 0), (1, 1, 1), &[(2, 3, 3)], &[]);
    rolling(3, (1, 0), (1, 1, 1), &[(2, 2, 2)], &[("n", 2)]);
    rolling(3, (1, 0), (3, 3, 3), &[(1, 1, 1)], &[("a", 0)]);
}

#[test]
fn without_surge_old_machines_go_first() {
    rolling(3, (0, 1), (0, 0, 0), &[(3, 3, 3)], &[("a", 2)]);
    rolling(3, (0, 1), (0, 0, 0), &[(2, 2, 2)], &[("n", 1)]);
    rolling(3, (0, 3), (0, 0, 0), &[(3, 3, 3)], &[("a", 0)]);
    rolling(6, (3, 1), (0, 0, 0), &[(6, 6, 6)], &[("a", 5), ("n", 3)]);
}

#[test]
fn unavailable_machines_of_the_current_set_hold_the_rollout() {
    rolling(3, (1, 1), (2, 2, 0), &[(2, 2, 2)], &[]);
}

#[test]
fn sets_without_available_machines_go_first() {
    rolling(4, (1, 0), (1, 1, 1), &[(2, 2, 2), (2, 2, 0)], &[("b", 1)]);
    rolling(3, (1, 0), (1, 1, 1), &[(1, 1, 0), (2, 2, 2)], &[("a", 0)]);
    rolling(3, (1, 1), (2, 2, 2), &[(1, 1, 1), (1, 1, 1)], &[("a", 0), ("b", 0)]);
}

#[test]
fn a_set_that_may_lose_either_kind_of_machine_is_scaled_carefully() {
    // One of three old Machines is not available; the set might delete one that is. Nothing else
    // moves, so one goes nevertheless.
    rolling(3, (1, 0), (1, 1, 1), &[(3, 3, 2)], &[("a", 2)]);
    // While the new one is not available, nothing is forced.
    rolling(3, (1, 0), (1, 1, 0), &[(3, 3, 2)], &[]);
    // Machines that are wanted but do not exist are dropped at once.
    rolling(3, (1, 0), (1, 1, 1), &[(3, 2, 2)], &[("a", 2)]);
}

fn on_delete(replicas: i32, current: (i32, i32), old: &[(i32, i32)], expected: &[(&str, i32)]) {
    let current = set("n", current.0, current.1, current.1);
    let names = ["a", "b", "c"];
    let old = old.iter().zip(names).map(|(o, name)| set(name, o.0, o.1, o.1)).collect();
    let limits = (0, 0);
    run(Case { replicas, limits, current, old, expected }, |planner| planner.plan_on_delete());
}

#[test]
fn on_delete_replaces_what_somebody_deleted() {
    on_delete(3, (0, 0), &[(3, 3)], &[]);
    on_delete(3, (0, 0), &[(3, 2)], &[("a", 2)]);
    on_delete(3, (0, 0), &[(2, 2)], &[("n", 1)]);
    on_delete(3, (1, 1), &[(2, 2)], &[]);
    on_delete(2, (1, 1), &[(1, 1), (1, 1)], &[("a", 0)]);
    on_delete(5, (1, 1), &[(2, 2)], &[("n", 3)]);
    on_delete(0, (1, 1), &[(2, 2)], &[("a", 0), ("n", 0)]);
}

#[test]
fn no_machines_are_made_where_old_ones_can_be_updated() {
    let check = |limits, current: (i32, i32, i32), is_any_updating, expected: &[(&str, i32)]| {
        let current = set("n", current.0, current.1, current.2);
        let old = vec![set("a", 3, 3, 3)];
        run(Case { replicas: 3, limits, current, old, expected }, |planner| {
            planner.in_place = InPlace { is_possible: true, is_any_updating };
            planner.plan_rolling_update();
        });
    };
    // One Machine more keeps enough available, whatever the surge allows.
    check((1, 0), (0, 0, 0), false, &[("n", 1)]);
    check((3, 0), (0, 0, 0), false, &[("n", 1)]);
    // While something moves, none.
    check((1, 0), (0, 0, 0), true, &[]);
    // Unavailable Machines are room enough.
    check((0, 1), (0, 0, 0), false, &[("a", 2)]);
    check((1, 1), (0, 0, 0), false, &[("a", 2)]);
}
