//! Decides what a control plane does next: one operation at a time, pure.
//! (CAPI v1.14: reconcile, scale.go, update.go and preflight.go of controlplane/kubeadm)

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::etcd;
use super::scope::{ControlPlane, ETCD_MEMBER, OwnedMachine, PRE_TERMINATE_HOOK, Preflight};
use crate::client::EtcdMember;
use crate::contract::version::Version;
use crate::contract::{conditions, labels};

/// Annotation of a Cluster whose control plane is at an intermediate version of an upgrade.
const UPGRADE_STEP: &str = "topology.internal.cluster.x-k8s.io/upgrade-step";

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// All is as it should be.
    Nothing,
    /// Make the first machine.
    Initialize {
        /// Failure domain, may be empty.
        failure_domain: String,
    },
    /// Make one more machine that joins.
    ScaleUp {
        /// Failure domain, may be empty.
        failure_domain: String,
    },
    /// Delete this machine.
    ScaleDown(String),
    /// The control plane is not stable enough for an operation.
    Wait(Preflight),
    /// Remove an etcd member that belongs to no machine.
    RemoveMember(EtcdMember),
    /// Let a deleted machine go, after its etcd member if it has one.
    Release {
        /// Machine.
        machine: String,
        /// Its member.
        member: Option<EtcdMember>,
    },
    /// A machine is being deleted and nothing can be done for it now.
    AwaitDeletion,
}

/// What to do next. The conditions of this reconcile must be set already.
pub(super) fn next_step(control_plane: &ControlPlane) -> Step {
    if let Some(member) = etcd::unexpected_member(control_plane) {
        return Step::RemoveMember(member);
    }
    if control_plane.machines.iter().any(OwnedMachine::is_deleting) {
        return release(control_plane);
    }
    let current = control_plane.machines.len();
    let desired = control_plane.desired_replicas();
    let outdated: Vec<&OwnedMachine> =
        control_plane.machines.iter().filter(|owned| !owned.outdated.is_empty()).collect();
    if !outdated.is_empty() {
        return if current < desired + max_surge(control_plane) {
            scale_up(control_plane)
        } else {
            scale_down(control_plane, &outdated)
        };
    }
    if current == 0 && desired > 0 {
        Step::Initialize { failure_domain: next_failure_domain(control_plane) }
    } else if current < desired {
        scale_up(control_plane)
    } else if current > desired {
        scale_down(control_plane, &[])
    } else {
        Step::Nothing
    }
}

fn scale_up(control_plane: &ControlPlane) -> Step {
    let preflight = preflight(control_plane, Operation::ScaleUp);
    if !preflight.is_passed() {
        return Step::Wait(preflight);
    }
    Step::ScaleUp { failure_domain: next_failure_domain(control_plane) }
}

fn scale_down(control_plane: &ControlPlane, outdated: &[&OwnedMachine]) -> Step {
    let Some(machine) = select_for_scale_down(control_plane, outdated) else {
        return Step::Nothing;
    };
    let preflight = preflight(control_plane, Operation::ScaleDown(machine.name()));
    if !preflight.is_passed() {
        return Step::Wait(preflight);
    }
    Step::ScaleDown(machine.name().to_owned())
}

/// `rollout.strategy.rollingUpdate.maxSurge`: 1 unless it is 0.
fn max_surge(control_plane: &ControlPlane) -> usize {
    let strategy = control_plane.kcp.spec.rollout.as_ref().and_then(|r| r.strategy.as_ref());
    let surge = strategy.and_then(|s| s.rolling_update.as_ref()).and_then(|r| r.max_surge.as_ref());
    match surge {
        Some(IntOrString::Int(0)) => 0,
        Some(IntOrString::String(text)) if text == "0" => 0,
        _ => 1,
    }
}

/// Which operation a preflight check is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation<'a> {
    ScaleUp,
    /// The machine that goes; its own health does not count.
    ScaleDown(&'a str),
}

fn preflight(control_plane: &ControlPlane, operation: Operation<'_>) -> Preflight {
    let mut preflight = Preflight::default();
    if control_plane.machines.is_empty() {
        return preflight;
    }
    if awaited_version(control_plane).is_some() {
        preflight.topology_version_mismatch = true;
        return preflight;
    }
    if operation == Operation::ScaleUp && !control_plane.is_true("CertificatesAvailable") {
        preflight.certificate_missing = true;
        return preflight;
    }
    for owned in &control_plane.machines {
        if operation != Operation::ScaleDown(owned.name()) {
            check_machine(control_plane, owned, &mut preflight);
        }
    }
    preflight
}

/// The version that the topology will still bring, if the control plane has to wait for it.
pub(super) fn awaited_version(control_plane: &ControlPlane) -> Option<String> {
    let wanted = control_plane.cluster.spec.topology["version"].as_str()?;
    let annotations = control_plane.cluster.metadata.annotations.as_ref();
    let step = annotations.and_then(|a| a.get(UPGRADE_STEP)).filter(|step| !step.is_empty());
    let version = &control_plane.kcp.spec.version;
    if wanted == version || step == Some(version) {
        return None;
    }
    Some(step.cloned().unwrap_or_else(|| wanted.to_owned()))
}

fn check_machine(control_plane: &ControlPlane, owned: &OwnedMachine, preflight: &mut Preflight) {
    let name = owned.name();
    if !owned.has_node() {
        preflight.failures.push(format!(
            "Machine {name} does not have a corresponding Node yet (Machine.status.nodeRef not set)"
        ));
        preflight.components_not_healthy = true;
        preflight.etcd_not_healthy |= control_plane.is_etcd_managed();
        return;
    }
    let pods = control_plane.pod_conditions().iter().map(|(type_, _)| *type_);
    let member = control_plane.is_etcd_managed().then_some(ETCD_MEMBER);
    for type_ in pods.chain(member) {
        let failure = match conditions::get(owned.conditions(), type_) {
            None => format!("Machine {name} does not have {type_} condition"),
            Some(condition) => match condition.status.as_str() {
                "True" => continue,
                "False" => format!(
                    "Machine {name} reports {type_} condition is false ({})",
                    condition.message
                ),
                _ => format!(
                    "Machine {name} reports {type_} condition is unknown ({})",
                    condition.message
                ),
            },
        };
        if type_ == ETCD_MEMBER {
            preflight.etcd_not_healthy = true;
        } else {
            preflight.components_not_healthy = true;
        }
        preflight.failures.push(failure);
    }
}

/// Lets the machine go whose deletion was asked for first, as soon as it waits for nothing but us.
fn release(control_plane: &ControlPlane) -> Step {
    let deleting = || control_plane.machines.iter().filter(|owned| owned.is_deleting());
    let has_hook =
        |owned: &OwnedMachine| labels::has_annotation(&owned.machine.metadata, PRE_TERMINATE_HOOK);
    if deleting().any(|owned| !has_hook(owned)) {
        return Step::AwaitDeletion;
    }
    let Some(owned) = deleting()
        .min_by_key(|owned| owned.machine.metadata.deletion_timestamp.clone().map(|time| time.0))
    else {
        return Step::AwaitDeletion;
    };
    let waits_for_hook = conditions::get(owned.conditions(), "Deleting").is_some_and(|condition| {
        condition.status == "True" && condition.reason == "WaitingForPreTerminateHook"
    });
    if !waits_for_hook || (kubelet_needs_us_last(control_plane) && has_other_hooks(owned)) {
        return Step::AwaitDeletion;
    }
    let machine = owned.name().to_owned();
    if control_plane.machines.len() <= 1 {
        return Step::Release { machine, member: None };
    }
    if !leaves_healthy_components(control_plane, owned.name()) {
        return Step::AwaitDeletion;
    }
    if !control_plane.is_etcd_managed() {
        return Step::Release { machine, member: None };
    }
    let Some(etcd) = control_plane.members() else { return Step::AwaitDeletion };
    let member = etcd.members.iter().find(|m| owned.has_node() && m.name == owned.node_name());
    match member {
        None => Step::Release { machine, member: None },
        Some(member) if etcd::keeps_quorum(control_plane, &member.name) => {
            Step::Release { machine, member: Some(member.clone()) }
        }
        Some(_) => Step::AwaitDeletion,
    }
}

/// From Kubernetes 1.31 on, a kubelet speaks to its own API server, which dies with the member.
fn kubelet_needs_us_last(control_plane: &ControlPlane) -> bool {
    Version::parse(&control_plane.kcp.spec.version)
        .is_some_and(|version| (version.major, version.minor) >= (1, 31))
}

fn has_other_hooks(owned: &OwnedMachine) -> bool {
    let annotations = owned.machine.metadata.annotations.as_ref();
    annotations.into_iter().flatten().any(|(key, _)| {
        key.starts_with(labels::PRE_TERMINATE_HOOK_PREFIX) && key != PRE_TERMINATE_HOOK
    })
}

/// Whether some machine beside `without` has all its components healthy.
fn leaves_healthy_components(control_plane: &ControlPlane, without: &str) -> bool {
    control_plane.machines.iter().any(|owned| {
        owned.name() != without
            && control_plane.pod_conditions().iter().all(|(type_, _)| owned.is_true(type_))
            && (!control_plane.is_etcd_managed() || owned.is_true(ETCD_MEMBER))
    })
}

/// The oldest machine, by the user's wish first, in the failure domain with most machines.
fn select_for_scale_down<'a>(
    control_plane: &'a ControlPlane,
    outdated: &[&'a OwnedMachine],
) -> Option<&'a OwnedMachine> {
    let all: Vec<&OwnedMachine> = control_plane.machines.iter().collect();
    let marked = |from: &[&'a OwnedMachine]| -> Vec<&'a OwnedMachine> {
        let is_marked = |o: &&&OwnedMachine| {
            labels::has_annotation(&o.machine.metadata, labels::DELETE_MACHINE)
        };
        from.iter().filter(is_marked).copied().collect()
    };
    let unhealthy: Vec<&OwnedMachine> = outdated
        .iter()
        .filter(|owned| {
            !control_plane.pod_conditions().iter().all(|(type_, _)| owned.is_true(type_))
                || (control_plane.is_etcd_managed() && !owned.is_true(ETCD_MEMBER))
        })
        .copied()
        .collect();
    let eligible = [marked(outdated), marked(&all), unhealthy, outdated.to_vec(), all]
        .into_iter()
        .find(|candidates| !candidates.is_empty())?;
    let domains = failure_domains(control_plane);
    let domain_of = |owned: &OwnedMachine| owned.machine.spec.failure_domain.clone();
    // A machine in a domain that is no more goes first; without domains that is every machine.
    if let Some(stray) = eligible.iter().find(|owned| !domains.contains(&domain_of(owned))) {
        return Some(stray);
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for owned in &control_plane.machines {
        *counts.entry(domain_of(owned)).or_default() += 1;
    }
    let most = eligible.iter().map(|owned| counts[&domain_of(owned)]).max()?;
    eligible.into_iter().find(|owned| counts[&domain_of(owned)] == most)
}

fn failure_domains(control_plane: &ControlPlane) -> Vec<String> {
    let status = control_plane.cluster.status.as_ref();
    status
        .into_iter()
        .flat_map(|status| &status.failure_domains)
        .filter(|domain| domain.control_plane == Some(true))
        .map(|domain| domain.name.clone())
        .collect()
}

/// The failure domain with fewest machines that are up to date, then with fewest at all.
fn next_failure_domain(control_plane: &ControlPlane) -> String {
    let count = |domain: &str, is_counted: &dyn Fn(&OwnedMachine) -> bool| {
        let in_domain = |o: &&OwnedMachine| o.machine.spec.failure_domain == domain;
        control_plane.machines.iter().filter(in_domain).filter(|o| is_counted(o)).count()
    };
    failure_domains(control_plane)
        .into_iter()
        .min_by_key(|domain| {
            let current = count(domain, &|o| o.outdated.is_empty() && !o.is_deleting());
            (current, count(domain, &|_| true), domain.clone())
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::json;

    use super::super::etcd::tests::healthy;
    use super::*;
    use crate::api::core::{Cluster, FailureDomain};
    use crate::contract::conditions::New;

    fn ready(names: &[&str], replicas: i32) -> ControlPlane {
        let mut control_plane = healthy(names);
        control_plane.kcp.spec.replicas = Some(replicas);
        control_plane.kcp.spec.version = "v1.34.0".into();
        control_plane.set(New::yes("CertificatesAvailable", "Available"));
        control_plane.set(New::yes("EtcdClusterHealthy", "Healthy"));
        control_plane
    }

    fn delete(control_plane: &mut ControlPlane, at: usize, reason: &str) {
        let owned = &mut control_plane.machines[at];
        owned.machine.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        owned.machine.metadata.annotations =
            Some([(PRE_TERMINATE_HOOK.to_owned(), String::new())].into());
        let deleting = New { reason: reason.into(), ..New::yes("Deleting", "") };
        owned.set(deleting, Timestamp::UNIX_EPOCH);
    }

    #[test]
    fn replicas_decide_in_a_stable_control_plane() {
        let scale_up = Step::ScaleUp { failure_domain: String::new() };
        for (names, replicas, expected) in [
            (&[][..], 3, Step::Initialize { failure_domain: String::new() }),
            (&["a"], 1, Step::Nothing),
            (&["a"], 3, scale_up.clone()),
            (&["a", "b", "c"], 1, Step::ScaleDown("a".into())),
        ] {
            assert_eq!(next_step(&ready(names, replicas)), expected, "{names:?} -> {replicas}");
        }
    }

    #[test]
    fn machine_without_node_blocks_the_next_one() {
        let mut control_plane = ready(&["a"], 3);
        control_plane.machines[0].machine.status.get_or_insert_default().node_ref = None;
        let Step::Wait(preflight) = next_step(&control_plane) else { panic!("must wait") };
        assert_eq!(
            preflight.failures,
            ["Machine a does not have a corresponding Node yet (Machine.status.nodeRef not set)"]
        );
        assert!(preflight.components_not_healthy && preflight.etcd_not_healthy);
    }

    #[test]
    fn unhealthy_component_is_named_with_its_message() {
        let mut control_plane = ready(&["a"], 3);
        let new = New::unknown("SchedulerPodHealthy", "InspectionFailed", "why");
        control_plane.machines[0].set(new, Timestamp::UNIX_EPOCH);
        let Step::Wait(preflight) = next_step(&control_plane) else { panic!("must wait") };
        let failure = "Machine a reports SchedulerPodHealthy condition is unknown (why)";
        assert_eq!(preflight.failures, [failure]);
        assert!(!preflight.etcd_not_healthy);
    }

    #[test]
    fn machine_that_goes_may_be_unhealthy() {
        let mut control_plane = ready(&["a", "b", "c"], 1);
        let new = New::no("EtcdPodHealthy", "Failed", "x");
        control_plane.machines[0].set(new, Timestamp::UNIX_EPOCH);
        assert_eq!(next_step(&control_plane), Step::ScaleDown("a".into()));
        let annotations = [(labels::DELETE_MACHINE.to_owned(), String::new())];
        control_plane.machines[2].machine.metadata.annotations = Some(annotations.into());
        assert!(matches!(next_step(&control_plane), Step::Wait(_)), "a now counts");
    }

    #[test]
    fn deleted_machine_goes_when_it_waits_for_the_hook() {
        let mut control_plane = ready(&["a", "b", "c"], 3);
        delete(&mut control_plane, 0, "DrainingNode");
        assert_eq!(next_step(&control_plane), Step::AwaitDeletion);
        delete(&mut control_plane, 0, "WaitingForPreTerminateHook");
        let Step::Release { machine, member } = next_step(&control_plane) else {
            panic!("must be released")
        };
        assert_eq!((machine.as_str(), member.map(|member| member.id)), ("a", Some(1)));
        control_plane.machines[1]
            .set(New::no(ETCD_MEMBER, "NotHealthy", ""), Timestamp::UNIX_EPOCH);
        assert_eq!(next_step(&control_plane), Step::AwaitDeletion, "quorum");
    }

    #[test]
    fn last_machine_goes_without_etcd() {
        let mut control_plane = ready(&["a"], 1);
        delete(&mut control_plane, 0, "WaitingForPreTerminateHook");
        let expected = Step::Release { machine: "a".into(), member: None };
        assert_eq!(next_step(&control_plane), expected);
    }

    #[test]
    fn rollout_surges_first_and_then_drops_the_outdated_machine() {
        let mut control_plane = ready(&["a", "b"], 1);
        control_plane.machines[1].outdated.push("Version v1.33.0, v1.34.0 required".into());
        assert_eq!(next_step(&control_plane), Step::ScaleDown("b".into()));
        control_plane.kcp.spec.replicas = Some(2);
        assert!(matches!(next_step(&control_plane), Step::ScaleUp { .. }));
    }

    #[test]
    fn topology_version_that_is_still_to_come_blocks() {
        let mut control_plane = ready(&["a"], 3);
        let mut cluster = Cluster::default();
        cluster.spec.topology = json!({"version": "v1.35.0"});
        control_plane.cluster = Arc::new(cluster);
        let Step::Wait(preflight) = next_step(&control_plane) else { panic!("must wait") };
        assert!(preflight.topology_version_mismatch);
        assert_eq!(awaited_version(&control_plane).as_deref(), Some("v1.35.0"));
    }

    #[test]
    fn machines_spread_over_failure_domains() {
        let mut control_plane = ready(&["a", "b", "c"], 5);
        let mut cluster = Cluster::default();
        let domain = |name: &str| FailureDomain {
            name: name.into(),
            control_plane: Some(true),
            ..FailureDomain::default()
        };
        cluster.status.get_or_insert_default().failure_domains = vec![domain("x"), domain("y")];
        control_plane.cluster = Arc::new(cluster);
        for (owned, domain) in control_plane.machines.iter_mut().zip(["y", "x", "x"]) {
            owned.machine.spec.failure_domain = domain.into();
        }
        assert_eq!(next_step(&control_plane), Step::ScaleUp { failure_domain: "y".into() });
        control_plane.kcp.spec.replicas = Some(1);
        assert_eq!(next_step(&control_plane), Step::ScaleDown("b".into()));
    }
}
