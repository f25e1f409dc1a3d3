//! Decides what a control plane does next: one operation at a time, pure.
//! (CAPI v1.14: reconcile, scale.go, update.go and preflight.go of controlplane/kubeadm)

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::etcd::{self, Change};
use super::remediation::{self, Decision, Record, Refusal};
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
    ScaleDown {
        /// Machine.
        machine: String,
        /// Members that may take over etcd's leadership, the best first; empty if it does not lead.
        successors: Vec<String>,
    },
    /// Delete a machine that a health check gave up.
    Remediate {
        /// Machine.
        machine: String,
        /// Members that may take over etcd's leadership.
        successors: Vec<String>,
        /// What its successor has to know.
        record: Record,
    },
    /// A machine has to be remediated, but etcd's leadership cannot be moved away from it.
    CannotRemediate {
        /// Machine.
        machine: String,
        /// Why.
        error: &'static str,
    },
    /// The control plane is not stable enough for an operation.
    Wait(Preflight),
    /// Remove an etcd member that belongs to no machine.
    RemoveMember(EtcdMember),
    /// Let a deleted machine go, after its etcd member if it has one.
    Release {
        /// Machine.
        machine: String,
        /// Members that may take over etcd's leadership.
        successors: Vec<String>,
        /// Its member.
        member: Option<EtcdMember>,
    },
    /// A machine is being deleted and nothing can be done for it now.
    AwaitDeletion,
    /// A machine changes in place.
    AwaitUpdate,
    /// Something has to be mended by hand first.
    Fail(String),
}

/// What to do next, and why a remediation is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The operation.
    pub(super) step: Step,
    /// The remediation that was put off; other operations go on meanwhile.
    pub(super) refusal: Option<Refusal>,
}

impl From<Step> for Plan {
    fn from(step: Step) -> Self {
        Self { step, refusal: None }
    }
}

/// What to do next. The conditions of this reconcile must be set already.
pub(super) fn next_step(control_plane: &ControlPlane) -> Plan {
    match etcd::unexpected_member(control_plane) {
        Ok(None) => {}
        Ok(Some(member)) => return Step::RemoveMember(member).into(),
        Err(error) => return Step::Fail(error).into(),
    }
    if control_plane.machines.iter().any(OwnedMachine::is_deleting) {
        return release(control_plane).into();
    }
    let refusal = match remediation::decide(control_plane) {
        Ok(Decision::None) => None,
        Ok(Decision::Refuse(refusal)) => Some(refusal),
        Ok(Decision::Delete { machine, successors, record }) => {
            return Step::Remediate { machine, successors, record }.into();
        }
        Ok(Decision::Fail { machine, error }) => {
            return Step::CannotRemediate { machine, error }.into();
        }
        Err(error) => return Step::Fail(error).into(),
    };
    Plan { step: operation(control_plane), refusal }
}

/// Rollout and scaling.
fn operation(control_plane: &ControlPlane) -> Step {
    if control_plane.machines.iter().any(OwnedMachine::is_updating_in_place) {
        return Step::AwaitUpdate;
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
    let successors = if control_plane.is_etcd_managed() {
        match etcd::successors(control_plane, machine) {
            Ok(successors) => successors,
            Err(error) => return Step::Fail(error.to_owned()),
        }
    } else {
        Vec::new()
    };
    Step::ScaleDown { machine: machine.name().to_owned(), successors }
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
    if operation == Operation::ScaleUp && control_plane.is_remediating() && !preflight.is_passed() {
        return preflight_of_successor(control_plane);
    }
    preflight
}

/// A successor may join what is not healthy as a whole, if one set of components works and etcd can
/// bear a member that never starts. (CAPI v1.14: checkHealthinessWhileRemediationInProgress)
fn preflight_of_successor(control_plane: &ControlPlane) -> Preflight {
    let mut preflight = Preflight::default();
    // Without a name to leave out, all count.
    if !leaves_healthy_components(control_plane, "") {
        preflight.components_not_healthy = true;
        preflight.failures.push(
            "cannot add a new control plane Machine when there are no control plane Machines with all \
             Kubernetes control plane components in healthy state. Please check Kubernetes control \
             plane component status"
                .to_owned(),
        );
    }
    if !control_plane.is_etcd_managed() {
        return preflight;
    }
    let has_members = control_plane.members().is_some_and(|etcd| !etcd.members.is_empty());
    if !has_members {
        let message = "cannot check etcd cluster health before scale up, etcd member list is empty";
        preflight.failures.push(message.to_owned());
    } else if !etcd::keeps_quorum(control_plane, Change::Add) {
        preflight.etcd_not_healthy = true;
        preflight.failures.push(
            "adding a new control plane Machine can lead to etcd quorum loss. Please check the etcd \
             status"
                .to_owned(),
        );
    }
    preflight
}

/// The version that the topology will still bring, if the control plane has to wait for it.
pub(super) fn awaited_version(control_plane: &ControlPlane) -> Option<String> {
    let wanted = Some(&control_plane.cluster.spec.topology.version).filter(|v| !v.is_empty())?;
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
    let without_member = |machine| Step::Release { machine, successors: Vec::new(), member: None };
    if control_plane.machines.len() <= 1 {
        return without_member(machine);
    }
    if !leaves_healthy_components(control_plane, owned.name()) {
        return Step::AwaitDeletion;
    }
    if !control_plane.is_etcd_managed() {
        return without_member(machine);
    }
    let Some(etcd) = control_plane.members() else {
        let message = "unable to remove pre-terminate hook, etcd member list is empty";
        return Step::Fail(message.to_owned());
    };
    let Some(name) = etcd::member_name(control_plane, owned) else {
        return without_member(machine);
    };
    if !etcd::keeps_quorum(control_plane, Change::Remove(&name)) {
        return Step::AwaitDeletion;
    }
    // The leader moved before the deletion; it may have come back since, or somebody else deleted.
    match etcd::successors(control_plane, owned) {
        Ok(successors) => {
            let member = etcd.members.iter().find(|member| member.name == name).cloned();
            Step::Release { machine, successors, member }
        }
        Err(error) => Step::Fail(error.to_owned()),
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
/// (CAPI v1.14: targetKubernetesControlPlaneComponentsHealthy)
pub(super) fn leaves_healthy_components(control_plane: &ControlPlane, without: &str) -> bool {
    control_plane.machines.iter().any(|owned| {
        owned.name() != without
            && control_plane.pod_conditions().iter().all(|(type_, _)| owned.is_true(type_))
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
            let is_false = |type_: &str| conditions::is_false(owned.conditions(), type_);
            control_plane.pod_conditions().iter().any(|(type_, _)| is_false(type_))
                || (control_plane.is_etcd_managed() && is_false(ETCD_MEMBER))
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
    // By eligible machines first, then by all. (CAPI v1.14: failuredomains.PickMost)
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for owned in &control_plane.machines {
        counts.entry(domain_of(owned)).or_default().1 += 1;
    }
    for owned in &eligible {
        counts.entry(domain_of(owned)).or_default().0 += 1;
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
mod tests;
