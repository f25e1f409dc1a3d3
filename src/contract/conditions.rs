//! Conditions of both families: setting, mirroring, summarising, aggregating.
//! (CAPI v1.14: util/conditions and util/conditions/deprecated/v1beta1)
//!
//! `set` is the only way a metav1 condition enters an object, so that order, transition times and
//! observed generation follow one rule. `merge` computes a condition out of others; `v1beta1` does
//! the same for the older family.

pub mod merge;
pub mod v1beta1;

use jiff::{Timestamp, Unit};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::conditions::{Condition, V1Beta1Condition};

/// Reason of a condition that stands for a missing one.
pub const NOT_YET_REPORTED: &str = "NotYetReported";
/// Reason given to a mirrored condition that has none.
pub const NO_REASON_REPORTED: &str = "NoReasonReported";

/// A condition to be set; the transition time is taken care of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct New {
    /// Condition type.
    pub type_: &'static str,
    /// `True`, `False` or `Unknown`.
    pub status: ConditionStatus,
    /// Reason.
    pub reason: String,
    /// Message, may be empty.
    pub message: String,
}

impl New {
    /// A condition from its parts.
    pub fn with_status(
        type_: &'static str,
        status: ConditionStatus,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self { type_, status, reason: reason.into(), message: message.into() }
    }

    /// `True` with a reason and no message.
    pub fn yes(type_: &'static str, reason: &str) -> Self {
        Self::with_status(type_, ConditionStatus::True, reason, "")
    }

    /// `False` with a reason and a message.
    pub fn no(type_: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self::with_status(type_, ConditionStatus::False, reason, message)
    }

    /// `Unknown` with a reason and a message.
    pub fn unknown(type_: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self::with_status(type_, ConditionStatus::Unknown, reason, message)
    }
}

/// Status of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionStatus {
    /// True.
    True,
    /// False.
    False,
    /// Unknown.
    Unknown,
}

impl ConditionStatus {
    /// As written into objects.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }

    /// As read from objects; anything else than `True` and `False` is unknown.
    pub fn parse(text: &str) -> Self {
        match text {
            "True" => Self::True,
            "False" => Self::False,
            _ => Self::Unknown,
        }
    }

    /// `True` for true, `False` for false.
    pub fn of(claim: bool) -> Self {
        if claim { Self::True } else { Self::False }
    }
}

/// Types in the order in which they are written. Types that are not listed come where the empty
/// string stands, by name. (CAPI v1.14: util/conditions/sort.go)
const ORDER: [&str; 37] = [
    "Available",
    "Ready",
    "UpToDate",
    "RemoteConnectionProbe",
    "BootstrapConfigReady",
    "InfrastructureReady",
    "ControlPlaneInitialized",
    "ControlPlaneAvailable",
    "WorkersAvailable",
    "CertificatesAvailable",
    "Initialized",
    "EtcdClusterHealthy",
    "ControlPlaneComponentsHealthy",
    "NodeHealthy",
    "NodeReady",
    "NodeKubeadmLabelsAndTaintsSet",
    "EtcdPodHealthy",
    "EtcdMemberHealthy",
    "APIServerPodHealthy",
    "ControllerManagerPodHealthy",
    "SchedulerPodHealthy",
    "HealthCheckSucceeded",
    "OwnerRemediated",
    "TopologyReconciled",
    "Updating",
    "RollingOut",
    "Remediating",
    "ScalingDown",
    "ScalingUp",
    "MachinesReady",
    "ControlPlaneMachinesReady",
    "WorkerMachinesReady",
    "MachinesUpToDate",
    "ControlPlaneMachinesUpToDate",
    "WorkerMachinesUpToDate",
    "",
    "Paused",
];

/// Position of a condition type; `Deleting` is always last.
fn position(type_: &str) -> usize {
    if type_ == "Deleting" {
        return ORDER.len();
    }
    let unlisted = ORDER.len() - 2;
    ORDER.iter().position(|listed| *listed == type_).unwrap_or(unlisted)
}

/// Sorts conditions as upstream writes them.
pub fn sort(conditions: &mut [Condition]) {
    conditions.sort_by(|a, b| (position(&a.type_), &a.type_).cmp(&(position(&b.type_), &b.type_)));
}

/// A time as conditions carry it: whole seconds.
pub fn whole_seconds(now: Timestamp) -> Time {
    Time(
        now.round(jiff::TimestampRound::new().smallest(Unit::Second).mode(jiff::RoundMode::Trunc))
            .unwrap_or(now),
    )
}

/// Sets a metav1 condition. `lastTransitionTime` (whole seconds) moves to `now` only when the
/// status changes; a mirrored condition passes its source's transition time as `now`.
/// `observedGeneration` is set to `generation`. Conditions keep upstream's order.
/// (CAPI v1.14: util/conditions/setter.go)
pub fn set(conditions: &mut Vec<Condition>, new: New, generation: Option<i64>, now: Timestamp) {
    let status = new.status.as_str();
    match conditions.iter_mut().find(|condition| condition.type_ == new.type_) {
        Some(condition) => {
            if condition.status != status {
                status.clone_into(&mut condition.status);
                condition.last_transition_time = whole_seconds(now);
            }
            condition.reason = new.reason;
            condition.message = new.message;
            condition.observed_generation = generation;
        }
        None => conditions.push(Condition {
            type_: new.type_.to_owned(),
            status: status.to_owned(),
            reason: new.reason,
            message: new.message,
            observed_generation: generation,
            last_transition_time: whole_seconds(now),
        }),
    }
    sort(conditions);
}

/// Removes a condition by type.
pub fn remove(conditions: &mut Vec<Condition>, type_: &str) {
    conditions.retain(|condition| condition.type_ != type_);
}

/// A condition by type.
pub fn get<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether a condition is there and True.
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    get(conditions, type_).is_some_and(|condition| condition.status == "True")
}

/// Whether a condition is there and False.
pub fn is_false(conditions: &[Condition], type_: &str) -> bool {
    get(conditions, type_).is_some_and(|condition| condition.status == "False")
}

/// A condition's state under another type, with the transition time of its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirrored {
    /// What to set.
    pub new: New,
    /// Transition time of the source; pass it to [`set`] as `now`.
    pub since: Timestamp,
}

/// Mirrors a condition as `target`; a missing one is Unknown/NotYetReported, a missing reason is
/// `NoReasonReported`. (CAPI v1.14: util/conditions/mirror.go)
pub fn mirror(
    source: Option<&Condition>,
    source_type: &str,
    target: &'static str,
    now: Timestamp,
) -> Mirrored {
    let Some(condition) = source else {
        let message = format!("Condition {source_type} not yet reported");
        return Mirrored { new: New::unknown(target, NOT_YET_REPORTED, message), since: now };
    };
    let reason =
        if condition.reason.is_empty() { NO_REASON_REPORTED } else { condition.reason.as_str() };
    Mirrored {
        new: New::with_status(
            target,
            ConditionStatus::parse(&condition.status),
            reason,
            &condition.message,
        ),
        since: condition.last_transition_time.0,
    }
}

/// Sets a v1beta1 condition to True (no reason, no severity).
pub fn set_v1beta1_true(conditions: &mut Vec<V1Beta1Condition>, type_: &str, now: Timestamp) {
    let new = V1Beta1Condition {
        type_: type_.to_owned(),
        status: "True".to_owned(),
        ..V1Beta1Condition::default()
    };
    set_v1beta1(conditions, new, now);
}

/// Sets a v1beta1 condition to False with a severity (`Error`, `Warning`, `Info`).
pub fn set_v1beta1_false(
    conditions: &mut Vec<V1Beta1Condition>,
    type_: &str,
    reason: &str,
    severity: &str,
    message: &str,
    now: Timestamp,
) {
    let new = V1Beta1Condition {
        type_: type_.to_owned(),
        status: "False".to_owned(),
        severity: severity.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: None,
    };
    set_v1beta1(conditions, new, now);
}

/// Sets a v1beta1 condition as given (status, reason, severity, message), keeping the transition
/// time if nothing changed; `Ready` comes first, the rest by name. A transition time in `new`
/// counts only for a condition that was not there (a mirrored one).
pub fn set_v1beta1(conditions: &mut Vec<V1Beta1Condition>, new: V1Beta1Condition, now: Timestamp) {
    match conditions.iter_mut().find(|condition| condition.type_ == new.type_) {
        Some(condition) => {
            let same = condition.status == new.status
                && condition.reason == new.reason
                && condition.severity == new.severity
                && condition.message == new.message;
            if !same {
                *condition =
                    V1Beta1Condition { last_transition_time: Some(whole_seconds(now)), ..new };
            }
        }
        None => {
            let since = new.last_transition_time.clone().unwrap_or_else(|| whole_seconds(now));
            conditions.push(V1Beta1Condition { last_transition_time: Some(since), ..new });
        }
    }
    v1beta1::sort(conditions);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn conditions_keep_upstreams_order() {
        let mut conditions = Vec::new();
        for type_ in ["Deleting", "Paused", "Zed", "ScalingUp", "Ready", "Available", "Alpha"] {
            set(&mut conditions, New::yes(type_, "R"), Some(1), at(1));
        }
        let types: Vec<&str> = conditions.iter().map(|c| c.type_.as_str()).collect();
        assert_eq!(
            types,
            ["Available", "Ready", "ScalingUp", "Alpha", "Zed", "Paused", "Deleting"]
        );
    }

    #[test]
    fn transition_time_moves_with_the_status_only() {
        let mut conditions = Vec::new();
        set(&mut conditions, New::yes("Ready", "A"), Some(1), at(1));
        set(&mut conditions, New::yes("Ready", "B"), Some(2), at(5));
        assert_eq!(conditions[0].last_transition_time, Time(at(1)));
        assert_eq!(
            (conditions[0].reason.as_str(), conditions[0].observed_generation),
            ("B", Some(2))
        );
        set(&mut conditions, New::no("Ready", "C", "m"), Some(2), at(9));
        assert_eq!(conditions[0].last_transition_time, Time(at(9)));
    }

    #[test]
    fn v1beta1_transition_time_moves_with_any_change() {
        let mut conditions = Vec::new();
        set_v1beta1_false(&mut conditions, "A", "R", "Info", "", at(1));
        set_v1beta1_true(&mut conditions, "Ready", at(1));
        set_v1beta1_false(&mut conditions, "A", "R", "Info", "", at(2));
        assert_eq!(conditions[0].type_, "Ready");
        assert_eq!(conditions[1].last_transition_time, Some(Time(at(1))));
        set_v1beta1_false(&mut conditions, "A", "R", "Info", "new", at(3));
        assert_eq!(conditions[1].last_transition_time, Some(Time(at(3))));
    }

    #[test]
    fn mirror_of_a_missing_condition_is_not_yet_reported() {
        let mirrored = mirror(None, "Ready", "InfrastructureReady", at(1));
        assert_eq!(mirrored.new.reason, "NotYetReported");
        assert_eq!(mirrored.new.message, "Condition Ready not yet reported");
    }
}
