//! When a control plane changes by time alone. Pure.
//!
//! Upstream looks at everything every ten minutes at the latest; we at the moment when something is
//! due.

use std::time::Duration;

use jiff::Timestamp;

use super::scope::{ControlPlane, OwnedMachine};
use super::{available, etcd, status, up_to_date};
use crate::contract::conditions;

/// Time until the next change.
pub(super) fn next_change(control_plane: &ControlPlane) -> Option<Duration> {
    let now = control_plane.now;
    let mut due: Vec<Timestamp> = control_plane.again.into_iter().collect();
    due.extend(up_to_date::due(control_plane));
    for owned in &control_plane.machines {
        let deleted = owned.machine.metadata.deletion_timestamp.as_ref();
        due.extend(deleted.and_then(|time| time.0.checked_add(status::STALE_DELETION).ok()));
        due.extend(available_due(control_plane, owned));
    }
    due.extend(etcd::grace_ends(control_plane));
    due.into_iter()
        // The rules ask whether a time is past, and not just reached.
        .filter_map(|time| time.checked_add(Duration::from_secs(1)).ok())
        .filter(|time| *time > now)
        .min()
        .and_then(|time| Duration::try_from(time.duration_since(now)).ok())
}

/// When trouble of a Machine becomes worth telling.
fn available_due(
    control_plane: &ControlPlane,
    owned: &OwnedMachine,
) -> impl Iterator<Item = Timestamp> {
    let types = available::health_types(control_plane);
    types
        .into_iter()
        .filter_map(|type_| conditions::get(owned.conditions(), type_))
        .filter(|condition| condition.status != "True")
        .filter_map(|condition| {
            condition.last_transition_time.0.checked_add(available::TELL_AFTER).ok()
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::etcd::tests::healthy;
    use super::super::scope::ETCD_MEMBER;
    use super::*;
    use crate::contract::conditions::New;

    #[test]
    fn a_settled_control_plane_sleeps_until_a_rollout_is_due() {
        let mut control_plane = healthy(&["a"]);
        assert_eq!(next_change(&control_plane), None);
        let rollout = json!({"after": "1970-01-01T01:00:00Z"});
        control_plane.kcp.spec.rollout = serde_json::from_value(rollout).unwrap();
        assert_eq!(next_change(&control_plane), Some(Duration::from_secs(3601)));
        control_plane.now += Duration::from_secs(3601);
        assert_eq!(next_change(&control_plane), None);
    }

    #[test]
    fn trouble_is_told_after_ten_seconds() {
        let mut control_plane = healthy(&["a"]);
        let broken = New::no(ETCD_MEMBER, "NotHealthy", "x");
        control_plane.machines[0].set(broken, Timestamp::UNIX_EPOCH);
        assert_eq!(next_change(&control_plane), Some(Duration::from_secs(11)));
    }
}
