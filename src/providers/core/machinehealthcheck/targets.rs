//! What a health check finds out about one Machine.
//! (CAPI v1.14: machinehealthcheck_targets.go)

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;

use super::super::v1beta1_status;
use crate::api::core::{Cluster, Machine};
use crate::api::health_check::{HealthChecks, MachineHealthCheck, UnhealthyCondition};
use crate::contract::conditions::{self, New, set, set_v1beta1, v1beta1};
use crate::contract::{labels, machines};
use crate::machinery::duration;

/// Type of the condition that tells of health, in both families.
pub(super) const HEALTHY: &str = "HealthCheckSucceeded";
/// How long a Node may take to appear unless the check says otherwise.
const NODE_STARTUP_SECONDS: i32 = 600;
/// Conditions are looked at again this much after they have lasted too long.
const SLACK: Duration = Duration::from_secs(1);

/// A Machine that is checked.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// The Machine as read.
    pub before: Arc<Machine>,
    /// The Machine as it shall be; only conditions change.
    pub machine: Machine,
    /// Its Node, where it can be seen.
    pub node: Option<Arc<Node>>,
    /// The Machine names a Node that does not exist.
    pub is_node_missing: bool,
}

/// What is to be thought of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It needs remediation.
    Unhealthy,
    /// Nobody knows yet: look again after this time.
    Pending(Duration),
    /// All is well.
    Healthy,
    /// Nothing can be told, and nothing changes with time alone.
    Unknown,
}

/// Whether health checks leave a Machine alone.
pub(super) fn is_skipped(machine: &Machine) -> bool {
    [labels::PAUSED, labels::SKIP_REMEDIATION]
        .iter()
        .any(|annotation| labels::has_annotation(&machine.metadata, annotation))
}

/// Why a target is unhealthy.
struct Failure {
    reason: &'static str,
    v1beta1_reason: &'static str,
    lines: Vec<String>,
}

/// What a group of checks found: failures, or when to look again.
#[derive(Default)]
struct Findings {
    lines: Vec<String>,
    next: Option<Duration>,
}

impl Target {
    /// A target that has not been looked at.
    pub(super) fn new(machine: Arc<Machine>) -> Self {
        let copy = (*machine).clone();
        Self { before: machine, machine: copy, node: None, is_node_missing: false }
    }

    /// Checks the target and sets its conditions.
    pub(super) fn check(
        &mut self,
        check: &MachineHealthCheck,
        cluster: &Cluster,
        now: Timestamp,
    ) -> Verdict {
        match self.needs_remediation(check, cluster, now) {
            Ok(Some(next)) => Verdict::Pending(next),
            Ok(None) if !machines::is_deleting(&self.machine) && self.node.is_some() => {
                self.put(New::yes(HEALTHY, HEALTHY), v1beta1::yes(HEALTHY), now);
                Verdict::Healthy
            }
            Ok(None) => Verdict::Unknown,
            Err(failure) => {
                self.fail(&failure, now);
                Verdict::Unhealthy
            }
        }
    }

    /// When to look again, if time alone may make the target unhealthy; an error if it is.
    fn needs_remediation(
        &self,
        check: &MachineHealthCheck,
        cluster: &Cluster,
        now: Timestamp,
    ) -> Result<Option<Duration>, Failure> {
        if labels::has_annotation(&self.machine.metadata, labels::REMEDIATE_MACHINE) {
            return Err(Failure {
                reason: "HasRemediateAnnotation",
                v1beta1_reason: "HasRemediateMachineAnnotation",
                lines: Vec::new(),
            });
        }
        let is = |type_: &str| is_true_since(cluster, type_).is_some();
        let waits_for_control_plane =
            !is("ControlPlaneInitialized") && !machines::is_control_plane(&self.machine);
        if waits_for_control_plane || !is("InfrastructureReady") {
            // A change of the Cluster wakes the check.
            return Ok(None);
        }
        let empty = HealthChecks::default();
        let checks = check.spec.checks.as_ref().unwrap_or(&empty);
        let mut of_machine = self.machine_checks(checks, now);
        let of_node = self.node_checks(checks, cluster, now);
        let (mut reason, mut v1beta1_reason) = match &of_node {
            Err(failure) => (failure.reason, failure.v1beta1_reason),
            Ok(_) => ("", ""),
        };
        if !of_machine.lines.is_empty() {
            (reason, v1beta1_reason) = ("UnhealthyMachine", "UnhealthyMachineCondition");
        }
        match of_node {
            Ok(next) if of_machine.lines.is_empty() => {
                Ok(of_machine.next.into_iter().chain(next).min())
            }
            found => {
                of_machine.lines.extend(found.err().into_iter().flat_map(|failure| failure.lines));
                Err(Failure { reason, v1beta1_reason, lines: of_machine.lines })
            }
        }
    }

    fn machine_checks(&self, checks: &HealthChecks, now: Timestamp) -> Findings {
        let held = machines::conditions_of(&self.machine);
        let find = |type_: &str| {
            let condition = conditions::get(held, type_)?;
            let since = condition.last_transition_time.0;
            Some((condition.status.as_str(), condition.reason.as_str(), since))
        };
        look("Machine", &checks.unhealthy_machine_conditions, find, now)
    }

    fn node_checks(
        &self,
        checks: &HealthChecks,
        cluster: &Cluster,
        now: Timestamp,
    ) -> Result<Option<Duration>, Failure> {
        if self.is_node_missing {
            let name = self.machine.status.as_ref().and_then(|status| status.node_ref.as_ref());
            let name = name.map_or("", |node| node.name.as_str());
            return Err(Failure {
                reason: "NodeDeleted",
                v1beta1_reason: "NodeNotFound",
                lines: vec![format!("Node {name} has been deleted")],
            });
        }
        let Some(node) = &self.node else { return self.startup_check(checks, cluster, now) };
        let held = node.status.as_ref().and_then(|status| status.conditions.as_deref());
        let find = |type_: &str| {
            let condition = held?.iter().find(|condition| condition.type_ == type_)?;
            let since =
                condition.last_transition_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |t| t.0);
            Some((condition.status.as_str(), condition.reason.as_deref().unwrap_or(""), since))
        };
        let found = look("Node", &checks.unhealthy_node_conditions, find, now);
        if found.lines.is_empty() {
            return Ok(found.next);
        }
        Err(Failure {
            reason: "UnhealthyNode",
            v1beta1_reason: "UnhealthyNodeCondition",
            lines: found.lines,
        })
    }

    /// How long the Node may still take to appear, counted from the last thing it had to wait for.
    fn startup_check(
        &self,
        checks: &HealthChecks,
        cluster: &Cluster,
        now: Timestamp,
    ) -> Result<Option<Duration>, Failure> {
        let seconds = checks.node_startup_timeout_seconds.unwrap_or(NODE_STARTUP_SECONDS);
        if seconds == 0 {
            return Ok(None);
        }
        let limit = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        let created = self.machine.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let infrastructure =
            conditions::get(machines::conditions_of(&self.machine), "InfrastructureReady")
                .filter(|condition| condition.status == "True")
                .map(|condition| condition.last_transition_time.0);
        let start = [
            created,
            is_true_since(cluster, "ControlPlaneInitialized"),
            is_true_since(cluster, "InfrastructureReady"),
            infrastructure,
        ];
        let start = start.into_iter().flatten().max().unwrap_or(now);
        match left(start, limit, now) {
            Some(next) => Ok(Some(next)),
            None => Err(Failure {
                reason: "NodeStartupTimeout",
                v1beta1_reason: "NodeStartupTimeout",
                lines: vec![format!(
                    "Node failed to report startup in {}",
                    duration::format(limit)
                )],
            }),
        }
    }

    fn fail(&mut self, failure: &Failure, now: Timestamp) {
        let (message, v1beta1_message) = match failure.reason {
            "HasRemediateAnnotation" => (
                format!(
                    "Health check failed: marked for remediation via {} annotation",
                    labels::REMEDIATE_MACHINE
                ),
                "Marked for remediation via remediate-machine annotation".to_owned(),
            ),
            _ => {
                let lines: Vec<String> =
                    failure.lines.iter().map(|line| format!("  * {line}")).collect();
                // The older family never said more about a Node that is gone.
                let short = match failure.v1beta1_reason {
                    "NodeNotFound" => String::new(),
                    _ => failure.lines.join("; "),
                };
                (format!("Health check failed:\n{}", lines.join("\n")), short)
            }
        };
        let reason = failure.v1beta1_reason;
        let older = v1beta1::no(HEALTHY, reason, "Warning", &v1beta1_message);
        self.put(New::no(HEALTHY, failure.reason, message), older, now);
    }

    /// Sets a condition in both families.
    pub(super) fn put(
        &mut self,
        new: New,
        older: crate::api::conditions::V1Beta1Condition,
        now: Timestamp,
    ) {
        let generation = self.machine.metadata.generation;
        let status = self.machine.status.get_or_insert_default();
        set(&mut status.conditions, new, generation, now);
        set_v1beta1(&mut v1beta1_status(&mut status.deprecated).conditions, older, now);
    }
}

/// Since when a condition of the Cluster has been True, if it is.
fn is_true_since(cluster: &Cluster, type_: &str) -> Option<Timestamp> {
    conditions::get(&cluster.status.as_ref()?.conditions, type_)
        .filter(|condition| condition.status == "True")
        .map(|condition| condition.last_transition_time.0)
}

/// Time until something that began at `start` has lasted longer than `limit`, and a second more;
/// `None` if it has.
fn left(start: Timestamp, limit: Duration, now: Timestamp) -> Option<Duration> {
    let lasted = Duration::try_from(now.duration_since(start)).unwrap_or_default();
    (lasted <= limit).then(|| limit - lasted + SLACK)
}

/// Compares conditions with those that mean ill health; `find` gives status, reason and time of
/// the last change of a condition.
fn look<'a>(
    of: &str,
    unhealthy: &[UnhealthyCondition],
    find: impl Fn(&str) -> Option<(&'a str, &'a str, Timestamp)>,
    now: Timestamp,
) -> Findings {
    let mut found = Findings::default();
    for wanted in unhealthy {
        let Some((status, reason, since)) = find(&wanted.type_) else { continue };
        if status != wanted.status {
            continue;
        }
        let seconds = u64::try_from(wanted.timeout_seconds.unwrap_or(0)).unwrap_or(0);
        let limit = Duration::from_secs(seconds);
        match left(since, limit, now) {
            Some(next) => found.next = found.next.into_iter().chain([next]).min(),
            None => found.lines.push(format!(
                "Condition {} on {of} is reporting status {status} with reason {reason} for more \
                 than {}",
                wanted.type_,
                duration::format(limit)
            )),
        }
    }
    if !found.lines.is_empty() {
        found.next = None;
    }
    found
}

#[cfg(test)]
#[path = "targets_tests.rs"]
mod tests;
