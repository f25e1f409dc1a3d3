//! What a kubelet does next with a Pod of its Node. Pure.
//! (kubernetes 1.36: pkg/kubelet/{pod_workers,status})
//!
//! Containers start at once and run until they are told to stop; they stop when their `preStop`
//! sleep is over, or when the time they were given is. One whose Pod carries the annotation
//! [`STUBBORN`] uses that up.

use std::net::IpAddr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::containers;
use super::site::{condition, conditions_of, is_true, set_condition};
use crate::workload::cluster::Kubelet;
use crate::workload::node::seconds;

/// Annotation of Pods whose containers do not heed the request to stop.
pub(super) const STUBBORN: &str = "capim.dev/ignores-sigterm";

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Nothing.
    Rest,
    /// Look again later.
    Wait(Duration),
    /// Start the containers.
    Start,
    /// Write these fields of the status.
    Report(Value),
    /// Take the Pod out of the API: nothing of it runs.
    Remove,
}

/// The next step.
pub(super) fn step(pod: &Value, now: Timestamp) -> Step {
    let has_ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if let Some(deadline) = time(&pod["metadata"]["deletionTimestamp"]) {
        return end(pod, deadline, now, has_ended);
    }
    if has_ended {
        return Step::Rest;
    }
    if !pod["status"]["containerStatuses"].is_array() {
        return Step::Start;
    }
    keep_ready(pod, now)
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// Stops a Pod that is being deleted.
fn end(pod: &Value, deadline: Timestamp, now: Timestamp, has_ended: bool) -> Step {
    let given = pod["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
    let begun = deadline.checked_sub(SignedDuration::from_secs(given)).unwrap_or(deadline);
    let wanted = if pod["metadata"]["annotations"][STUBBORN] == "true" {
        given
    } else {
        pre_stop_seconds(pod).min(given)
    };
    let stop = begun.checked_add(SignedDuration::from_secs(wanted)).unwrap_or(deadline);
    let is_running = pod["status"]["containerStatuses"].is_array() && !has_ended;
    if is_running && now < stop {
        return Step::Wait(Duration::try_from(stop.duration_since(now)).unwrap_or_default());
    }
    let is_held = pod["metadata"]["finalizers"].as_array().is_some_and(|held| !held.is_empty());
    match (is_held, is_running) {
        // Somebody still looks at it.
        (true, true) => Step::Report(stopped(pod, now)),
        (true, false) if given == 0 => Step::Rest,
        _ => Step::Remove,
    }
}

/// The longest `preStop` sleep of a Pod's containers.
fn pre_stop_seconds(pod: &Value) -> i64 {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let seconds = containers
        .filter_map(|container| container["lifecycle"]["preStop"]["sleep"]["seconds"].as_i64());
    seconds.max().unwrap_or(0)
}

/// Readiness follows the readiness gates, and comes back after the Node was silent.
fn keep_ready(pod: &Value, now: Timestamp) -> Step {
    if !is_true(pod, "ContainersReady") {
        return Step::Rest;
    }
    let wanted = readiness(pod);
    let held = condition(pod, "Ready");
    if held.is_some_and(|held| held["status"] == wanted["status"]) {
        return Step::Rest;
    }
    let mut conditions = conditions_of(pod);
    set_condition(&mut conditions, at(wanted, pod, &seconds(now)));
    Step::Report(json!({"conditions": conditions}))
}

/// The Ready condition of a Pod whose containers are ready.
fn readiness(pod: &Value) -> Value {
    let gates = pod["spec"]["readinessGates"].as_array().into_iter().flatten();
    let mut missing = Vec::new();
    for kind in gates.filter_map(|gate| gate["conditionType"].as_str()) {
        match condition(pod, kind) {
            Some(held) if held["status"] == "True" => {}
            Some(_) => missing.push(format!(
                "the status of pod readiness gate {kind:?} is not \"True\", but False"
            )),
            None => missing.push(format!(
                "corresponding condition of pod readiness gate {kind:?} does not exist."
            )),
        }
    }
    if missing.is_empty() {
        return json!({"type": "Ready", "status": "True"});
    }
    let message = missing.join(", ");
    json!({"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady",
           "message": message})
}

/// A condition with its times, as it is written.
fn at(mut condition: Value, pod: &Value, now: &str) -> Value {
    condition["lastProbeTime"] = Value::Null;
    condition["lastTransitionTime"] = now.into();
    if let Some(generation) = pod["metadata"]["generation"].as_i64() {
        condition["observedGeneration"] = generation.into();
    }
    condition
}

/// The status of a Pod that has just started.
pub(super) fn started(pod: &Value, kubelet: &Kubelet, address: IpAddr, now: Timestamp) -> Value {
    let now = seconds(now);
    let mut conditions = conditions_of(pod);
    for kind in ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"] {
        let wanted =
            if kind == "Ready" { readiness(pod) } else { json!({"type": kind, "status": "True"}) };
        set_condition(&mut conditions, at(wanted, pod, &now));
    }
    if !is_true(pod, "PodScheduled") {
        let scheduled = json!({"type": "PodScheduled", "status": "True"});
        set_condition(&mut conditions, at(scheduled, pod, &now));
    }
    let host = kubelet.address.to_string();
    let mut status = json!({
        "phase": "Running",
        "conditions": conditions,
        "hostIP": host,
        "hostIPs": [{"ip": host}],
        "podIP": address.to_string(),
        "podIPs": [{"ip": address.to_string()}],
        "startTime": now,
    });
    if let Some(generation) = pod["metadata"]["generation"].as_i64() {
        status["observedGeneration"] = generation.into();
    }
    extend(&mut status, containers::statuses(pod, &now));
    status
}

fn stopped(pod: &Value, now: Timestamp) -> Value {
    let now = seconds(now);
    let mut conditions = conditions_of(pod);
    for kind in ["Ready", "ContainersReady"] {
        let wanted = json!({"type": kind, "status": "False", "reason": "PodCompleted"});
        set_condition(&mut conditions, at(wanted, pod, &now));
    }
    let mut status = json!({"phase": "Succeeded", "conditions": conditions});
    extend(&mut status, containers::stopped(pod, &now));
    status
}

fn extend(status: &mut Value, fields: Vec<(&'static str, Value)>) {
    let Value::Object(members) = status else { return };
    let fields: Map<String, Value> =
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    members.extend(fields);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// A running Pod that is told at second 0 to go within 30 seconds, with changes.
    fn going(change: Value) -> Value {
        let mut pod = json!({
            "metadata": {"deletionTimestamp": "1970-01-01T00:00:30Z",
                         "deletionGracePeriodSeconds": 30},
            "spec": {"containers": [{"name": "a"}]},
            "status": {"phase": "Running", "containerStatuses": [
                {"name": "a", "state": {"running": {"startedAt": "t"}}},
            ]},
        });
        crate::machinery::patch::merge::apply(&mut pod, &change);
        pod
    }

    #[test]
    fn containers_stop_when_they_are_told_to() {
        assert_eq!(step(&going(json!({})), at_second(0)), Step::Remove);
        let sleeping = json!({"spec": {"containers": [
            {"name": "a", "lifecycle": {"preStop": {"sleep": {"seconds": 5}}}},
        ]}});
        let wait = |seconds| Step::Wait(Duration::from_secs(seconds));
        assert_eq!(step(&going(sleeping.clone()), at_second(2)), wait(3));
        assert_eq!(step(&going(sleeping), at_second(5)), Step::Remove);
        let stubborn = json!({"metadata": {"annotations": {STUBBORN: "true"}}});
        assert_eq!(step(&going(stubborn.clone()), at_second(1)), wait(29));
        assert_eq!(step(&going(stubborn), at_second(30)), Step::Remove);
    }

    #[test]
    fn a_pod_with_finalizers_shows_that_it_stopped() {
        let held = json!({"metadata": {"finalizers": ["x/y"]}});
        let Step::Report(status) = step(&going(held.clone()), at_second(0)) else {
            panic!("the status is reported")
        };
        assert_eq!(status["phase"], "Succeeded");
        let state = &status["containerStatuses"][0]["state"]["terminated"];
        assert_eq!(state["exitCode"], 0);
        let mut ended = going(held);
        ended["status"]["phase"] = "Succeeded".into();
        assert_eq!(step(&ended, at_second(0)), Step::Remove);
        ended["metadata"]["deletionGracePeriodSeconds"] = 0.into();
        assert_eq!(step(&ended, at_second(0)), Step::Rest);
    }

    #[test]
    fn readiness_follows_the_gates() {
        let mut pod = json!({
            "metadata": {"generation": 1},
            "spec": {"containers": [{"name": "a", "image": "a"}],
                     "readinessGates": [{"conditionType": "x/y"}]},
            "status": {"phase": "Pending"},
        });
        assert_eq!(step(&pod, at_second(0)), Step::Start);
        let kubelet = Kubelet {
            address: IpAddr::from([172, 18, 0, 2]),
            pod_block: "10.244.0.0/24".to_owned(),
            started: at_second(0),
            stopped: None,
        };
        pod["status"] = started(&pod, &kubelet, IpAddr::from([10, 244, 0, 2]), at_second(0));
        assert_eq!(condition(&pod, "Ready").unwrap()["reason"], "ReadinessGatesNotReady");
        assert_eq!(step(&pod, at_second(1)), Step::Rest);
        let conditions = pod["status"]["conditions"].as_array_mut().unwrap();
        conditions.push(json!({"type": "x/y", "status": "True"}));
        let Step::Report(status) = step(&pod, at_second(1)) else {
            panic!("the status is reported")
        };
        pod["status"]["conditions"] = status["conditions"].clone();
        assert!(is_true(&pod, "Ready") && is_true(&pod, "PodScheduled"));
    }
}
