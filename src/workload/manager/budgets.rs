//! PodDisruptionBudgets: how many Pods are healthy, and how many may be disrupted.
//! (kubernetes 1.36: pkg/controller/disruption/disruption.go)

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde_json::{Map, Value, json};

use super::site::{
    BUDGETS, DEPLOYMENTS, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS, Site,
    condition, conditions_of, is_deleting, is_true, patch, selects, set_condition,
};
use crate::client::ClientError;
use crate::store::ResourceKey;
use crate::workload::node::seconds;

/// How long an eviction counts whose Pod has not begun to go. (DeletionTimeout)
const DELETION_TIMEOUT: SignedDuration = SignedDuration::from_secs(2 * 60);

/// What a budget's Pods come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Count {
    expected: i64,
    desired: i64,
    healthy: i64,
    /// Evicted Pods that have not begun to go, and since when.
    disrupted: BTreeMap<String, String>,
}

/// Writes the status of all budgets of a namespace.
pub(super) async fn count(
    site: &Site<'_>,
    namespace: &str,
) -> Result<Option<Duration>, ClientError> {
    if site.count(&BUDGETS) == 0 {
        return Ok(None);
    }
    let budgets = site.list(&BUDGETS, Some(namespace));
    if budgets.is_empty() {
        return Ok(None);
    }
    let now = site.now();
    let pods = site.list(&PODS, Some(namespace));
    let mut wait: Option<Duration> = None;
    for budget in &budgets {
        let selector = &budget["spec"]["selector"];
        let pods: Vec<&Value> = pods.iter().filter(|pod| selects(selector, pod)).collect();
        let scale = expected(&pods, |kind, name| find(site, namespace, kind, name));
        let (disrupted, next) = disrupted(budget, &pods, now);
        let count = weigh(budget, &pods, scale, disrupted);
        if let Some(status) = status(budget, &count, now) {
            let patch_ = json!({"status": status});
            patch::<PodDisruptionBudget>(&site.as_manager(), budget, "status", &patch_).await?;
        }
        wait = [wait, next].into_iter().flatten().min();
    }
    Ok(wait)
}

fn find(site: &Site<'_>, namespace: &str, kind: &str, name: &str) -> Option<Value> {
    let resource: &ResourceKey = match kind {
        "Deployment" => &DEPLOYMENTS,
        "ReplicaSet" => &REPLICA_SETS,
        "StatefulSet" => &STATEFUL_SETS,
        "ReplicationController" => &REPLICATION_CONTROLLERS,
        _ => return None,
    };
    site.get(resource, (namespace, name))
}

fn controller(object: &Value) -> Option<&Value> {
    let owners = object["metadata"]["ownerReferences"].as_array();
    owners.into_iter().flatten().find(|owner| owner["controller"] == true)
}

/// Replicas that the controllers of Pods want, each counted once.
fn expected(pods: &[&Value], find: impl Fn(&str, &str) -> Option<Value>) -> i64 {
    let mut scales = BTreeMap::new();
    for owner in pods.iter().filter_map(|pod| controller(pod)) {
        let text =
            |owner: &Value, field: &str| owner[field].as_str().unwrap_or_default().to_owned();
        let Some(mut scaled) = find(&text(owner, "kind"), &text(owner, "name")) else { continue };
        if let Some(above) = controller(&scaled).cloned()
            && let Some(deployment) = find(&text(&above, "kind"), &text(&above, "name"))
        {
            scaled = deployment;
        }
        let uid = text(&scaled["metadata"], "uid");
        scales.insert(uid, scaled["spec"]["replicas"].as_i64().unwrap_or(1));
    }
    scales.values().sum()
}

/// The evictions that still count, and when the next of them ends.
fn disrupted(
    budget: &Value,
    pods: &[&Value],
    now: Timestamp,
) -> (BTreeMap<String, String>, Option<Duration>) {
    let mut kept = BTreeMap::new();
    let mut next: Option<SignedDuration> = None;
    let known = budget["status"]["disruptedPods"].as_object();
    for (name, since) in known.into_iter().flatten() {
        let pod = pods.iter().find(|pod| pod["metadata"]["name"] == **name);
        let Some(since) = since.as_str() else { continue };
        let Ok(begun) = since.parse::<Timestamp>() else { continue };
        let left = DELETION_TIMEOUT - now.duration_since(begun);
        if left <= SignedDuration::ZERO || pod.is_none_or(|pod| is_deleting(pod)) {
            continue;
        }
        kept.insert(name.clone(), since.to_owned());
        next = Some(next.map_or(left, |next| next.min(left)));
    }
    (kept, next.map(|next| Duration::try_from(next).unwrap_or_default()))
}

fn weigh(
    budget: &Value,
    pods: &[&Value],
    scale: i64,
    disrupted: BTreeMap<String, String>,
) -> Count {
    let number = i64::try_from(pods.len()).unwrap_or(i64::MAX);
    let (available, unavailable) =
        (&budget["spec"]["minAvailable"], &budget["spec"]["maxUnavailable"]);
    let (expected, desired) = if !unavailable.is_null() {
        (scale, (scale - amount(unavailable, scale)).max(0))
    } else if available.is_string() {
        (scale, amount(available, scale))
    } else {
        (number, available.as_i64().unwrap_or(0))
    };
    let is_healthy = |pod: &&&Value| {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        !is_deleting(pod) && !disrupted.contains_key(name) && is_true(pod, "Ready")
    };
    let healthy = i64::try_from(pods.iter().filter(is_healthy).count()).unwrap_or(i64::MAX);
    Count { expected, desired, healthy, disrupted }
}

/// A number, or a share of `whole` rounded up.
fn amount(value: &Value, whole: i64) -> i64 {
    let share = value.as_str().and_then(|text| text.strip_suffix('%')?.parse::<i64>().ok());
    match share {
        Some(percent) => {
            percent.saturating_mul(whole).div_euclid(100)
                + i64::from(percent.saturating_mul(whole).rem_euclid(100) > 0)
        }
        None => value.as_i64().unwrap_or(0),
    }
}

/// A merge patch of a budget's status; `None` if that says so already.
fn status(budget: &Value, count: &Count, now: Timestamp) -> Option<Value> {
    let generation = budget["metadata"]["generation"].as_i64().unwrap_or(0);
    let spare = count.healthy - count.desired;
    let allowed = if count.expected <= 0 { 0 } else { spare.max(0) };
    let held = &budget["status"];
    let (status, reason) =
        if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let known = condition(budget, "DisruptionAllowed");
    let mut conditions = conditions_of(budget);
    let since = match known {
        Some(known) if known["status"] == status => known["lastTransitionTime"].clone(),
        _ => seconds(now).into(),
    };
    let condition = json!({
        "type": "DisruptionAllowed", "status": status, "reason": reason, "message": "",
        "observedGeneration": generation, "lastTransitionTime": since,
    });
    set_condition(&mut conditions, condition);
    let mut wanted = json!({
        "conditions": conditions,
        "currentHealthy": count.healthy,
        "desiredHealthy": count.desired,
        "disruptionsAllowed": allowed,
        "expectedPods": count.expected,
        "observedGeneration": generation,
    });
    let is_right =
        wanted.as_object().into_iter().flatten().all(|(field, value)| &held[field] == value);
    let known = held["disruptedPods"].as_object().cloned().unwrap_or_default();
    let kept: Map<String, Value> =
        count.disrupted.iter().map(|(name, since)| (name.clone(), since.as_str().into())).collect();
    if is_right && known == kept {
        return None;
    }
    if known != kept {
        let gone = known.keys().map(|name| (name.clone(), Value::Null));
        let mut changes: Map<String, Value> = gone.collect();
        changes.extend(kept);
        wanted["disruptedPods"] = changes.into();
    }
    Some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, ready: bool) -> Value {
        json!({
            "metadata": {"name": name, "ownerReferences": [
                {"kind": "ReplicaSet", "name": "r", "controller": true},
            ]},
            "status": {"conditions": [
                {"type": "Ready", "status": if ready { "True" } else { "False" }},
            ]},
        })
    }

    fn check(spec: Value, ready: &[bool], wanted: (i64, i64, i64, i64)) {
        let budget = json!({"metadata": {"generation": 3}, "spec": spec});
        let pods: Vec<Value> =
            ready.iter().enumerate().map(|(at, ready)| pod(&at.to_string(), *ready)).collect();
        let pods: Vec<&Value> = pods.iter().collect();
        let scale = expected(&pods, |kind, name| {
            let owner = json!([{"kind": "Deployment", "name": "d", "controller": true}]);
            match (kind, name) {
                ("ReplicaSet", "r") => Some(json!({
                    "metadata": {"uid": "1", "ownerReferences": owner}, "spec": {"replicas": 9}
                })),
                ("Deployment", "d") => {
                    Some(json!({"metadata": {"uid": "2"}, "spec": {"replicas": 4}}))
                }
                _ => None,
            }
        });
        let count = weigh(&budget, &pods, scale, BTreeMap::new());
        let status = status(&budget, &count, Timestamp::UNIX_EPOCH).unwrap();
        let number = |field: &str| status[field].as_i64().unwrap();
        let found = (
            number("expectedPods"),
            number("desiredHealthy"),
            number("currentHealthy"),
            number("disruptionsAllowed"),
        );
        assert_eq!(found, wanted, "{}", budget["spec"]);
        assert_eq!(status["observedGeneration"], 3);
    }

    #[test]
    fn budgets_are_counted_as_upstream_counts() {
        check(json!({"minAvailable": 1}), &[true, true, false], (3, 1, 2, 1));
        check(json!({"minAvailable": 2}), &[true, true], (2, 2, 2, 0));
        check(json!({"minAvailable": "30%"}), &[true, true], (4, 2, 2, 0));
        check(json!({"maxUnavailable": 1}), &[true; 4], (4, 3, 4, 1));
        check(json!({"maxUnavailable": "50%"}), &[true; 4], (4, 2, 4, 2));
        check(json!({"maxUnavailable": 9}), &[true; 4], (4, 0, 4, 4));
        check(json!({"minAvailable": 0}), &[], (0, 0, 0, 0));
    }

    #[test]
    fn evictions_count_until_their_pod_goes_or_for_two_minutes() {
        let budget = json!({"metadata": {"generation": 1}, "spec": {"minAvailable": 1}, "status": {
            "disruptedPods": {"a": "1970-01-01T00:00:00Z", "b": "1970-01-01T00:00:00Z",
                              "gone": "1970-01-01T00:00:00Z"},
        }});
        let mut going = pod("b", true);
        going["metadata"]["deletionTimestamp"] = "1970-01-01T00:00:30Z".into();
        let staying = pod("a", true);
        let pods = [&staying, &going];
        let minute = Timestamp::from_second(60).unwrap();
        let (kept, next) = disrupted(&budget, &pods, minute);
        assert_eq!(kept.keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(next, Some(Duration::from_secs(60)));
        let count = weigh(&budget, &pods, 0, kept);
        assert_eq!(count.healthy, 0);
        let patch = status(&budget, &count, minute).unwrap();
        assert_eq!(patch["disruptedPods"]["gone"], Value::Null);
        assert_eq!(patch["disruptedPods"]["a"], "1970-01-01T00:00:00Z");
        let (kept, next) = disrupted(&budget, &pods, Timestamp::from_second(120).unwrap());
        assert!(kept.is_empty() && next.is_none());
    }

    #[test]
    fn a_status_that_is_right_is_not_written_again() {
        let mut budget = json!({"metadata": {"generation": 1}, "spec": {"minAvailable": 1}});
        let count = Count { expected: 2, desired: 1, healthy: 2, ..Count::default() };
        budget["status"] = status(&budget, &count, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(status(&budget, &count, Timestamp::from_second(9).unwrap()), None);
    }
}
