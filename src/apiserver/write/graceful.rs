//! Graceful deletion: pods are told to go, and go when their kubelet says so.
//! (kubernetes 1.36: apiserver/pkg/registry/rest/delete.go, BeforeDelete;
//! pkg/registry/core/pod/strategy.go, CheckGracefulDelete)

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::metadata;
use crate::apiserver::options::DeleteOptions;

/// What a deletion did to the time that a pod has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grace {
    /// Nothing.
    None,
    /// It was set.
    Begun,
    /// It was made shorter.
    Shortened,
}

/// Sets when a pod has to be gone, or makes it sooner.
pub(super) fn mark(options: &DeleteOptions, now: Timestamp, pod: &mut Value) -> Grace {
    let wanted = options.grace_period_seconds;
    let deadline = pod["metadata"]["deletionTimestamp"].as_str().and_then(|it| it.parse().ok());
    let Some(deadline) = deadline else {
        set(pod, now, period(pod, wanted));
        return Grace::Begun;
    };
    let given = pod["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
    match wanted {
        Some(seconds) if seconds < given => {
            let begun: Timestamp = deadline;
            let begun = begun.checked_sub(SignedDuration::from_secs(given)).unwrap_or(begun);
            set(pod, begun, seconds);
            Grace::Shortened
        }
        _ => Grace::None,
    }
}

/// Whether a marked pod has no time left.
pub(super) fn is_over(pod: &Value) -> bool {
    pod["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
}

fn set(pod: &mut Value, begun: Timestamp, seconds: i64) {
    let deadline = begun.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(begun);
    let members = metadata::members(pod);
    members.insert("deletionTimestamp".to_owned(), metadata::timestamp(deadline).into());
    members.insert("deletionGracePeriodSeconds".to_owned(), seconds.into());
}

/// Seconds that a pod gets. One that never ran, or ended, needs none.
fn period(pod: &Value, wanted: Option<i64>) -> i64 {
    let spec = &pod["spec"];
    let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if spec["nodeName"].as_str().unwrap_or_default().is_empty() || ended {
        return 0;
    }
    let seconds = wanted.or(spec["terminationGracePeriodSeconds"].as_i64()).unwrap_or(0);
    if seconds < 0 { 1 } else { seconds }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_that_run_get_time() {
        let pod = |node: &str, phase: &str| {
            json!({"spec": {"nodeName": node, "terminationGracePeriodSeconds": 30},
                   "status": {"phase": phase}})
        };
        assert_eq!(period(&pod("", "Pending"), None), 0);
        assert_eq!(period(&pod("n", "Running"), None), 30);
        assert_eq!(period(&pod("n", "Running"), Some(5)), 5);
        assert_eq!(period(&pod("n", "Succeeded"), Some(5)), 0);
    }
}
