//! When the machines of a cluster came and what they spent their time on, as conditions tell it.
//!
//! A stage ends when its condition became True. A condition that has changed again since tells the
//! time of its last change only; such a stage seems to end late.

use jiff::Timestamp;
use serde_json::Value;

use super::object::{self, conditions, find};

/// Stages of a machine's start, in order, with the condition that ends each.
pub const STAGES: [(&str, &str); 4] = [
    ("bootstrap", "BootstrapConfigReady"),
    ("infrastructure", "InfrastructureReady"),
    ("node", "NodeHealthy"),
    ("ready", "Ready"),
];

/// The start of one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Machine.
    pub machine: String,
    /// Whether it is of the control plane.
    pub is_control_plane: bool,
    /// Creation.
    pub created: Timestamp,
    /// Stages up to the first one that has not ended.
    pub stages: Vec<Stage>,
}

/// One stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Name.
    pub name: &'static str,
    /// When the one before it ended.
    pub start: Timestamp,
    /// When it ended; `None` if it runs.
    pub end: Option<Timestamp>,
}

impl Start {
    /// When the machine was ready.
    pub fn ready(&self) -> Option<Timestamp> {
        self.stages.iter().find(|stage| stage.name == "ready").and_then(|stage| stage.end)
    }
}

/// Starts of machines, the first created first.
pub fn starts(machines: &[Value]) -> Vec<Start> {
    let mut starts: Vec<Start> = machines.iter().filter_map(start).collect();
    starts.sort_by(|a, b| (a.created, &a.machine).cmp(&(b.created, &b.machine)));
    starts
}

fn start(machine: &Value) -> Option<Start> {
    let created: Timestamp =
        machine["metadata"]["creationTimestamp"].as_str().and_then(|time| time.parse().ok())?;
    let all = conditions(machine);
    let reached =
        |type_: &str| find(&all, type_).filter(|condition| condition.status == "True")?.since;
    Some(Start {
        machine: object::name(machine).to_owned(),
        is_control_plane: object::is_control_plane_machine(machine),
        created,
        stages: stages(created, reached),
    })
}

/// Stages of a machine that was created then. `reached` answers since when a condition is True.
pub fn stages(created: Timestamp, reached: impl Fn(&str) -> Option<Timestamp>) -> Vec<Stage> {
    let mut stages = Vec::with_capacity(STAGES.len());
    let mut begin = created;
    for (name, type_) in STAGES {
        let end = reached(type_).map(|since| since.max(begin));
        stages.push(Stage { name, start: begin, end });
        match end {
            Some(end) => begin = end,
            None => break,
        }
    }
    stages
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn stages_follow_each_other_and_end_with_their_conditions() {
        let at = |second: u32| format!("2026-01-01T00:00:{second:02}Z");
        let condition = |type_: &str, status: &str, second: u32| json!({"type": type_, "status": status, "lastTransitionTime": at(second)});
        let machine = |name: &str, created: u32, conditions: Value| {
            json!({"metadata": {"name": name, "creationTimestamp": at(created)},
                "status": {"conditions": conditions}})
        };
        let machines = vec![
            machine("b", 5, json!([condition("BootstrapConfigReady", "False", 5)])),
            machine(
                "a",
                1,
                json!([
                    condition("BootstrapConfigReady", "True", 2),
                    condition("InfrastructureReady", "True", 12),
                    condition("NodeHealthy", "True", 11),
                    condition("Ready", "True", 14),
                ]),
            ),
            json!({"metadata": {"creationTimestamp": "never"}}),
        ];

        let starts = starts(&machines);
        let seconds = |start: &Start| -> Vec<Option<i64>> {
            let length =
                |stage: &Stage| stage.end.map(|end| end.as_second() - stage.start.as_second());
            start.stages.iter().map(length).collect()
        };
        assert_eq!(starts.len(), 2);
        assert_eq!(
            (starts[0].machine.as_str(), seconds(&starts[0])),
            ("a", vec![Some(1), Some(10), Some(0), Some(2)])
        );
        assert_eq!(starts[0].ready(), at(14).parse().ok());
        assert_eq!((starts[1].machine.as_str(), seconds(&starts[1])), ("b", vec![None]));
    }
}
