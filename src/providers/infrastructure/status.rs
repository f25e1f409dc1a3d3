//! The conditions of an infrastructure machine, in both families, from the state of its stages.

use jiff::Timestamp;

use super::kinds::{InfraMachine, Kind};
use super::stages::Stage;
use crate::contract::conditions::merge::{Reasons, Summary};
use crate::contract::conditions::{self, New, v1beta1};

/// Reason while the duration of a stage runs.
pub(super) const WAITING_FOR_STARTUP_TIMEOUT: &str = "WaitingForStartupTimeout";

/// Type of the summary.
pub(super) const READY: &str = "Ready";

/// What a machine's start waits for before anything begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blocker {
    /// The cluster's infrastructure.
    ClusterInfrastructure,
    /// The control plane (workers only).
    ControlPlane,
    /// The bootstrap data.
    BootstrapData,
}

/// State of one stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing has begun (VM only).
    Blocked(Blocker),
    /// The VM must come first.
    WaitingForVm,
    /// The Node must come first.
    WaitingForNode,
    /// The duration runs.
    Starting,
    /// Something is wrong; the message says what.
    Failed(String),
    /// Over.
    Provisioned,
}

impl State {
    /// Reason of the metav1 condition.
    fn reason(&self) -> &'static str {
        match self {
            Self::Blocked(Blocker::ClusterInfrastructure) => "WaitingForClusterInfrastructureReady",
            Self::Blocked(Blocker::ControlPlane) => "WaitingForControlPlaneInitialized",
            Self::Blocked(Blocker::BootstrapData) => "WaitingForBootstrapData",
            Self::WaitingForVm => "WaitingForVMProvisioned",
            Self::WaitingForNode => "WaitingForNodeProvisioned",
            Self::Starting => WAITING_FOR_STARTUP_TIMEOUT,
            Self::Failed(_) => "InternalError",
            Self::Provisioned => "Provisioned",
        }
    }

    /// Reason and severity of the v1beta1 condition; `None` if upstream sets none in this state.
    fn v1beta1_reason(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Blocked(Blocker::ClusterInfrastructure) => {
                Some(("WaitingForClusterInfrastructure", "Info"))
            }
            Self::Blocked(Blocker::ControlPlane) => {
                Some(("WaitingControlPlaneInitialized", "Info"))
            }
            Self::Blocked(Blocker::BootstrapData) => Some(("WaitingForBootstrapData", "Info")),
            Self::Starting => Some((WAITING_FOR_STARTUP_TIMEOUT, "Info")),
            Self::Failed(_) => Some(("InternalError", "Error")),
            Self::WaitingForVm | Self::WaitingForNode | Self::Provisioned => None,
        }
    }
}

/// When and about which generation conditions speak.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// Now.
    pub(super) now: Timestamp,
    /// Generation that the object will have once it is written.
    pub(super) generation: Option<i64>,
}

/// Sets the conditions of all stages of a machine and their summary.
pub(super) fn report<K: InfraMachine>(machine: &mut K, states: &[(Stage, State)], moment: Moment) {
    let types: Vec<&'static str> = states.iter().map(|(stage, _)| stage.condition()).collect();
    if let Some(conditions) = machine.conditions_mut() {
        for (stage, state) in states {
            let new = match state {
                State::Provisioned => New::yes(stage.condition(), state.reason()),
                State::Failed(message) => {
                    New::no(stage.condition(), state.reason(), message.as_str())
                }
                _ => New::no(stage.condition(), state.reason(), ""),
            };
            conditions::set(conditions, new, moment.generation, moment.now);
        }
        let reasons = Reasons { issue: "NotReady", unknown: "ReadyUnknown", info: "Ready" };
        let summary = Summary { types: &types, reasons, ..Default::default() };
        let ready = summary.of(conditions).named(READY);
        conditions::set(conditions, ready, moment.generation, moment.now);
    }
    report_v1beta1(machine, states, &types, moment.now);
}

fn report_v1beta1<K: InfraMachine>(
    machine: &mut K,
    states: &[(Stage, State)],
    types: &[&str],
    now: Timestamp,
) {
    // The step counter shows until the provider id is set.
    let count_steps_of = machine.provider_id().is_empty().then_some(types);
    let conditions = machine.v1beta1_mut();
    for (stage, state) in states {
        if *state == State::Provisioned {
            conditions::set_v1beta1_true(conditions, stage.condition(), now);
        } else if let Some((reason, severity)) = state.v1beta1_reason() {
            let message = if let State::Failed(message) = state { message } else { "" };
            let type_ = stage.condition();
            conditions::set_v1beta1_false(conditions, type_, reason, severity, message, now);
        }
    }
    let options = v1beta1::SummaryOptions { types, count_steps_of };
    if let Some(ready) = v1beta1::summary(conditions, options) {
        conditions::set_v1beta1(conditions, ready, now);
    }
}

/// Says why an object cannot be served, as `Ready`; `Ok` takes an earlier report back.
pub(super) fn report_problem<K: Kind>(
    object: &mut K,
    problem: Result<(), (&'static str, &str)>,
    moment: Moment,
) {
    let was_reported =
        object.conditions_mut().is_some_and(|list| conditions::get(list, READY).is_some())
            || v1beta1::get(object.v1beta1(), READY).is_some();
    if problem.is_ok() && !was_reported {
        return;
    }
    let Moment { now, generation } = moment;
    if let Some(list) = object.conditions_mut() {
        let new = match problem {
            Ok(()) => New::yes(READY, "Provisioned"),
            Err((reason, message)) => New::no(READY, reason, message),
        };
        conditions::set(list, new, generation, now);
        return;
    }
    match problem {
        Ok(()) => conditions::set_v1beta1_true(object.v1beta1_mut(), READY, now),
        Err((reason, message)) => {
            let list = object.v1beta1_mut();
            conditions::set_v1beta1_false(list, READY, reason, "Warning", message, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::infrastructure::{DevMachine, InMemoryMachine};

    fn moment() -> Moment {
        Moment { now: Timestamp::UNIX_EPOCH, generation: Some(1) }
    }

    fn waiting(blocker: Blocker) -> Vec<(Stage, State)> {
        vec![
            (Stage::Vm, State::Blocked(blocker)),
            (Stage::Node, State::WaitingForVm),
            (Stage::Etcd, State::WaitingForVm),
            (Stage::ApiServer, State::WaitingForVm),
        ]
    }

    fn seen(machine: &DevMachine) -> Vec<String> {
        let conditions = &machine.status.as_ref().expect("status").conditions;
        conditions
            .iter()
            .map(|condition| {
                format!("{}={}/{}", condition.type_, condition.status, condition.reason)
            })
            .collect()
    }

    fn seen_v1beta1<K: Kind>(machine: &K) -> Vec<String> {
        machine
            .v1beta1()
            .iter()
            .map(|c| format!("{}={}/{}/{}/{}", c.type_, c.status, c.reason, c.severity, c.message))
            .collect()
    }

    #[test]
    fn a_control_plane_machine_without_data_says_so_as_recorded() {
        let mut machine = DevMachine::default();
        report(&mut machine, &waiting(Blocker::BootstrapData), moment());
        assert_eq!(
            seen(&machine),
            [
                "Ready=False/NotReady",
                "APIServerProvisioned=False/WaitingForVMProvisioned",
                "EtcdProvisioned=False/WaitingForVMProvisioned",
                "NodeProvisioned=False/WaitingForVMProvisioned",
                "VMProvisioned=False/WaitingForBootstrapData",
            ]
        );
        assert_eq!(
            machine.status.as_ref().expect("status").conditions[0].message,
            "* VMProvisioned: WaitingForBootstrapData\n\
             * NodeProvisioned: WaitingForVMProvisioned\n\
             * EtcdProvisioned: WaitingForVMProvisioned\n\
             * APIServerProvisioned: WaitingForVMProvisioned"
        );
        assert_eq!(
            seen_v1beta1(&machine),
            [
                "Ready=False/WaitingForBootstrapData/Info/0 of 4 completed",
                "VMProvisioned=False/WaitingForBootstrapData/Info/",
            ]
        );
    }

    #[test]
    fn the_v1beta1_reasons_of_a_waiting_worker_are_the_old_ones() {
        let mut machine = DevMachine::default();
        let states = &waiting(Blocker::ControlPlane)[..2];
        report(&mut machine, states, moment());
        assert_eq!(
            seen_v1beta1(&machine),
            [
                "Ready=False/WaitingControlPlaneInitialized/Info/0 of 2 completed",
                "VMProvisioned=False/WaitingControlPlaneInitialized/Info/",
            ]
        );
        assert!(
            seen(&machine)
                .contains(&"VMProvisioned=False/WaitingForControlPlaneInitialized".to_owned())
        );
    }

    #[test]
    fn the_step_counter_goes_when_the_provider_id_is_set() {
        let mut machine = DevMachine::default();
        report(&mut machine, &waiting(Blocker::BootstrapData), moment());
        machine.set_provisioned("in-memory://a".to_owned(), "");
        let states = [
            (Stage::Vm, State::Provisioned),
            (Stage::Node, State::Starting),
            (Stage::Etcd, State::WaitingForNode),
            (Stage::ApiServer, State::WaitingForNode),
        ];
        report(&mut machine, &states, moment());
        assert_eq!(
            seen_v1beta1(&machine),
            [
                "Ready=False/WaitingForStartupTimeout/Info/",
                "NodeProvisioned=False/WaitingForStartupTimeout/Info/",
                "VMProvisioned=True///",
            ]
        );
        assert_eq!(
            machine.status.as_ref().expect("status").conditions[0].message,
            "* NodeProvisioned: WaitingForStartupTimeout\n\
             * EtcdProvisioned: WaitingForNodeProvisioned\n\
             * APIServerProvisioned: WaitingForNodeProvisioned"
        );
    }

    #[test]
    fn a_started_machine_is_ready_in_both_families() {
        let states: Vec<(Stage, State)> =
            Stage::CONTROL_PLANE.iter().map(|stage| (*stage, State::Provisioned)).collect();
        let mut machine = DevMachine::default();
        machine.set_provisioned("in-memory://a".to_owned(), "");
        report(&mut machine, &states, moment());
        assert_eq!(
            seen(&machine),
            [
                "Ready=True/Ready",
                "APIServerProvisioned=True/Provisioned",
                "EtcdProvisioned=True/Provisioned",
                "NodeProvisioned=True/Provisioned",
                "VMProvisioned=True/Provisioned",
            ]
        );
        assert_eq!(
            seen_v1beta1(&machine),
            [
                "Ready=True///",
                "APIServerProvisioned=True///",
                "EtcdProvisioned=True///",
                "NodeProvisioned=True///",
                "VMProvisioned=True///",
            ]
        );
    }

    #[test]
    fn the_old_kind_has_one_family_only() {
        let mut machine = InMemoryMachine::default();
        report(&mut machine, &waiting(Blocker::ClusterInfrastructure), moment());
        assert_eq!(
            seen_v1beta1(&machine),
            [
                "Ready=False/WaitingForClusterInfrastructure/Info/0 of 4 completed",
                "VMProvisioned=False/WaitingForClusterInfrastructure/Info/",
            ]
        );
    }

    #[test]
    fn a_problem_is_shown_and_taken_back() {
        let mut machine = DevMachine::default();
        report_problem(&mut machine, Ok(()), moment());
        assert_eq!(machine.status.as_ref().map(|status| status.conditions.len()), Some(0));
        report_problem(&mut machine, Err(("Broken", "why")), moment());
        assert_eq!(seen(&machine), ["Ready=False/Broken"]);
        report_problem(&mut machine, Ok(()), moment());
        assert_eq!(seen(&machine), ["Ready=True/Provisioned"]);
    }
}
