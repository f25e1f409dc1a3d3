//! Taints and tolerations, and when a tainted Node loses a Pod. Pure.
//! (kubernetes 1.36: pkg/controller/tainteviction, component-helpers/scheduling/corev1)

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// When a Pod has to leave its Node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// It may stay.
    Never,
    /// At this time; at once if that is past.
    At(Timestamp),
}

/// When the taints of a Node drive a Pod with these tolerations away.
pub(super) fn leave(taints: &Value, tolerations: &Value, now: Timestamp) -> Leave {
    let mut seconds: Option<i64> = None;
    let mut since: Option<Timestamp> = None;
    for taint in items(taints).filter(|taint| taint["effect"] == "NoExecute") {
        let added = taint["timeAdded"].as_str().and_then(|time| time.parse().ok()).unwrap_or(now);
        since = Some(since.map_or(added, |since| since.max(added)));
        let Some(toleration) = items(tolerations).find(|it| tolerates(it, taint)) else {
            return Leave::At(now);
        };
        if let Some(limit) = toleration["tolerationSeconds"].as_i64() {
            let limit = limit.max(0);
            seconds = Some(seconds.map_or(limit, |known| known.min(limit)));
        }
    }
    match (seconds, since) {
        (Some(seconds), Some(since)) => {
            let end = since.checked_add(SignedDuration::from_secs(seconds));
            end.map_or(Leave::Never, Leave::At)
        }
        _ => Leave::Never,
    }
}

/// Whether all taints that keep Pods off a Node are tolerated.
pub(super) fn may_run(taints: &Value, tolerations: &Value) -> bool {
    items(taints)
        .filter(|taint| taint["effect"] == "NoSchedule" || taint["effect"] == "NoExecute")
        .all(|taint| items(tolerations).any(|toleration| tolerates(toleration, taint)))
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let text = |object: &'_ Value, field: &str| -> String {
        object[field].as_str().unwrap_or_default().to_owned()
    };
    let effect = text(toleration, "effect");
    let key = text(toleration, "key");
    if !effect.is_empty() && effect != text(taint, "effect") {
        return false;
    }
    if !key.is_empty() && key != text(taint, "key") {
        return false;
    }
    match text(toleration, "operator").as_str() {
        "Exists" => true,
        "" | "Equal" => text(toleration, "value") == text(taint, "value"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn pods_leave_when_their_toleration_ends() {
        let taints = json!([
            {"key": "a", "effect": "NoSchedule"},
            {"key": "b", "effect": "NoExecute", "timeAdded": "1970-01-01T00:00:10Z"},
        ]);
        let tolerating = |seconds: Value| {
            json!([{"key": "b", "operator": "Exists", "effect": "NoExecute",
                    "tolerationSeconds": seconds}])
        };
        assert_eq!(leave(&taints, &json!([]), at(20)), Leave::At(at(20)));
        assert_eq!(leave(&taints, &tolerating(json!(300)), at(20)), Leave::At(at(310)));
        assert_eq!(leave(&taints, &tolerating(Value::Null), at(20)), Leave::Never);
        assert_eq!(leave(&taints, &tolerating(json!(-5)), at(20)), Leave::At(at(10)));
        assert_eq!(leave(&json!([]), &json!([]), at(20)), Leave::Never);
        assert!(!may_run(&taints, &tolerating(Value::Null)));
        assert!(may_run(&taints, &json!([{"operator": "Exists"}])));
    }

    #[test]
    fn values_count_unless_existence_is_enough() {
        let taint = json!({"key": "a", "value": "1", "effect": "NoExecute"});
        let check = |toleration: Value| tolerates(&toleration, &taint);
        assert!(check(json!({"key": "a", "value": "1"})));
        assert!(!check(json!({"key": "a", "value": "2", "operator": "Equal"})));
        assert!(!check(json!({"key": "a", "operator": "Exists", "effect": "NoSchedule"})));
        assert!(!check(json!({"key": "b", "operator": "Exists"})));
    }
}
