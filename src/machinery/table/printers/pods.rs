//! Pods.

use serde_json::{Value, json};

use super::{age, integer, is_deleting, items, text, text_or, time};

/// What the Ready, Status and Restarts cells are computed from.
struct Summary {
    ready: usize,
    total: usize,
    reason: String,
    restarts: i64,
    last_restart: Option<i64>,
}

pub(in super::super) fn ready(pod: &Value, _: i64) -> Value {
    let summary = summarize(pod);
    format!("{}/{}", summary.ready, summary.total).into()
}

pub(in super::super) fn status(pod: &Value, _: i64) -> Value {
    summarize(pod).reason.into()
}

pub(in super::super) fn restarts(pod: &Value, now_seconds: i64) -> Value {
    let summary = summarize(pod);
    match (summary.restarts, summary.last_restart) {
        (0, _) | (_, None) => summary.restarts.to_string().into(),
        (restarts, last) => format!("{restarts} ({} ago)", age(last, now_seconds)).into(),
    }
}

pub(in super::super) fn ip(pod: &Value, _: i64) -> Value {
    match text(pod, "/status/podIPs/0/ip") {
        "" => text_or(pod, "/status/podIP", "<none>"),
        ip => ip.into(),
    }
}

pub(in super::super) fn node(pod: &Value, _: i64) -> Value {
    text_or(pod, "/spec/nodeName", "<none>")
}

pub(in super::super) fn nominated_node(pod: &Value, _: i64) -> Value {
    text_or(pod, "/status/nominatedNodeName", "<none>")
}

pub(in super::super) fn readiness_gates(pod: &Value, _: i64) -> Value {
    let gates = items(pod, "/spec/readinessGates");
    if gates.is_empty() {
        return "<none>".into();
    }
    let open = gates.iter().filter(|gate| has_condition(pod, text(gate, "/conditionType"))).count();
    format!("{open}/{}", gates.len()).into()
}

/// Row conditions of pods that are done, by which kubectl can hide them.
pub(in super::super) fn row_conditions(pod: &Value) -> Option<Value> {
    let phase = text(pod, "/status/phase");
    let message = match phase {
        "Succeeded" => "The pod has completed successfully.",
        "Failed" => "The pod failed.",
        _ => return None,
    };
    Some(json!([{"type": "Completed", "status": "True", "reason": phase, "message": message}]))
}

fn has_condition(pod: &Value, kind: &str) -> bool {
    items(pod, "/status/conditions")
        .iter()
        .any(|condition| text(condition, "/type") == kind && text(condition, "/status") == "True")
}

fn summarize(pod: &Value) -> Summary {
    let init_containers = items(pod, "/spec/initContainers");
    let is_sidecar = |name: &str| {
        init_containers
            .iter()
            .any(|c| text(c, "/name") == name && text(c, "/restartPolicy") == "Always")
    };
    let sidecars = init_containers.iter().filter(|c| is_sidecar(text(c, "/name"))).count();
    let phase = text(pod, "/status/phase");
    let mut reason = match text(pod, "/status/reason") {
        "" => phase.to_owned(),
        reason => reason.to_owned(),
    };
    let is_gated = |condition: &Value| {
        text(condition, "/type") == "PodScheduled"
            && text(condition, "/reason") == "SchedulingGated"
    };
    if items(pod, "/status/conditions").iter().any(is_gated) {
        reason = "SchedulingGated".to_owned();
    }
    let mut summary = Summary {
        ready: 0,
        total: items(pod, "/spec/containers").len() + sidecars,
        reason,
        restarts: 0,
        last_restart: None,
    };
    let (initializing, sidecar_restarts) = init_phase(pod, &mut summary, is_sidecar);
    if !initializing || has_condition(pod, "Initialized") {
        (summary.restarts, summary.last_restart) = sidecar_restarts;
        main_phase(pod, &mut summary);
    }
    if is_deleting(pod) {
        if text(pod, "/status/reason") == "NodeLost" {
            summary.reason = "Unknown".to_owned();
        } else if !matches!(phase, "Succeeded" | "Failed") {
            summary.reason = "Terminating".to_owned();
        }
    }
    summary
}

type Restarts = (i64, Option<i64>);

fn init_phase(
    pod: &Value,
    summary: &mut Summary,
    is_sidecar: impl Fn(&str) -> bool,
) -> (bool, Restarts) {
    let mut sidecars: Restarts = (0, None);
    let count = items(pod, "/spec/initContainers").len();
    for (index, container) in items(pod, "/status/initContainerStatuses").iter().enumerate() {
        let sidecar = is_sidecar(text(container, "/name"));
        let finished = time(container, "/lastState/terminated/finishedAt");
        summary.restarts += integer(container, "/restartCount");
        summary.last_restart = summary.last_restart.max(finished);
        if sidecar {
            sidecars.0 += integer(container, "/restartCount");
            sidecars.1 = sidecars.1.max(finished);
        }
        let terminated = container.pointer("/state/terminated");
        if terminated.is_some_and(|state| integer(state, "/exitCode") == 0) {
            continue;
        }
        if sidecar && container.get("started") == Some(&Value::Bool(true)) {
            summary.ready += usize::from(container.get("ready") == Some(&Value::Bool(true)));
            continue;
        }
        let waiting = text(container, "/state/waiting/reason");
        summary.reason = match terminated {
            Some(state) => format!("Init:{}", exit_reason(state)),
            None if !waiting.is_empty() && waiting != "PodInitializing" => {
                format!("Init:{waiting}")
            }
            None => format!("Init:{index}/{count}"),
        };
        return (true, sidecars);
    }
    (false, sidecars)
}

fn main_phase(pod: &Value, summary: &mut Summary) {
    let mut has_running = false;
    for container in items(pod, "/status/containerStatuses").iter().rev() {
        summary.restarts += integer(container, "/restartCount");
        let finished = time(container, "/lastState/terminated/finishedAt");
        summary.last_restart = summary.last_restart.max(finished);
        let waiting = text(container, "/state/waiting/reason");
        if !waiting.is_empty() {
            summary.reason = waiting.to_owned();
        } else if let Some(state) = container.pointer("/state/terminated") {
            summary.reason = exit_reason(state);
        } else if container.get("ready") == Some(&Value::Bool(true))
            && container.pointer("/state/running").is_some()
        {
            has_running = true;
            summary.ready += 1;
        }
    }
    if summary.reason == "Completed" && has_running {
        let ready = has_condition(pod, "Ready");
        summary.reason = if ready { "Running" } else { "NotReady" }.to_owned();
    }
}

fn exit_reason(terminated: &Value) -> String {
    match (text(terminated, "/reason"), integer(terminated, "/signal")) {
        ("", 0) => format!("ExitCode:{}", integer(terminated, "/exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}
