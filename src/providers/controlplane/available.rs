//! The `Available` condition: certificates, etcd's quorum and one healthy set of components.
//! (CAPI v1.14: status.go of controlplane/kubeadm)

use std::time::Duration;

use super::scope::{ControlPlane, ETCD_MEMBER, OwnedMachine, later};
use crate::contract::conditions::{self, New};

/// A problem of an available control plane is told after this time, so that it does not flicker.
pub(super) const TELL_AFTER: Duration = Duration::from_secs(10);
/// A fresh control plane has this time until missing members are a problem.
const MEMBERS_GRACE: Duration = Duration::from_secs(120);

/// Computes the condition out of the Machines' conditions of this reconcile.
pub(super) fn available(control_plane: &ControlPlane) -> New {
    let no = |message: &str| New::no("Available", "NotAvailable", message);
    if !control_plane.is_initialized() {
        return no("Control plane not yet initialized");
    }
    if control_plane.is_etcd_managed() {
        if control_plane.members().is_none() {
            let initialized = conditions::get(control_plane.conditions(), "Initialized");
            let is_fresh = initialized.is_some_and(|condition| {
                condition.status == "True"
                    && control_plane.now < later(condition.last_transition_time.0, MEMBERS_GRACE)
            });
            return if is_fresh {
                no("Waiting for etcd to report the list of members")
            } else {
                New::unknown("Available", "InspectionFailed", "Failed to get etcd members")
            };
        }
        if !control_plane.members_match {
            return no("The list of etcd members does not match the list of Machines and Nodes");
        }
    }
    let machines = components(control_plane);
    let etcd = members(control_plane);
    let has_certificates = control_plane.is_true("CertificatesAvailable");
    if !control_plane.is_deleting()
        && etcd.has_quorum()
        && machines.healthy >= 1
        && has_certificates
    {
        let message = notes(control_plane, &machines, &etcd).join("\n");
        return New { message, ..New::yes("Available", "Available") };
    }
    let mut messages = Vec::new();
    if control_plane.is_deleting() {
        messages.push("* Control plane metadata.deletionTimestamp is set".to_owned());
    }
    if !has_certificates {
        messages.push("* Control plane certificates are not available".to_owned());
    }
    if !etcd.has_quorum() {
        messages.push(etcd.told(etcd.counts.healthy));
    }
    if machines.healthy < 1 {
        let message =
            "* There are no Machines with healthy control plane components, at least 1 required";
        messages.push(message.to_owned());
    }
    no(&messages.join("\n"))
}

/// Problems of an available control plane.
fn notes(control_plane: &ControlPlane, machines: &Counts, etcd: &Etcd) -> Vec<String> {
    let mut messages = Vec::new();
    if etcd.is_managed && etcd.counts.unhealthy > 0 {
        messages.push(etcd.told(etcd.counts.healthy + etcd.counts.not_told));
    }
    if machines.unhealthy > 0 {
        let good = machines.healthy + machines.not_told;
        let verb = if good == 1 { "has" } else { "have" };
        messages.push(format!(
            "* {good} of {} Machines {verb} healthy control plane components, at least 1 required",
            control_plane.machines.len()
        ));
    }
    messages
}

/// How many are healthy, unhealthy, or unhealthy for too short a time to tell.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    healthy: usize,
    unhealthy: usize,
    not_told: usize,
}

impl Counts {
    fn add(&mut self, control_plane: &ControlPlane, owned: &OwnedMachine, types: &[&str]) {
        if types.iter().all(|type_| owned.is_true(type_)) {
            self.healthy += 1;
        } else if is_lasting(control_plane, owned, types) {
            self.unhealthy += 1;
        } else {
            self.not_told += 1;
        }
    }
}

fn is_lasting(control_plane: &ControlPlane, owned: &OwnedMachine, types: &[&str]) -> bool {
    let since = types
        .iter()
        .filter_map(|type_| conditions::get(owned.conditions(), type_))
        .filter(|condition| condition.status != "True")
        .map(|condition| condition.last_transition_time.0)
        .min();
    since.is_some_and(|since| later(since, TELL_AFTER) < control_plane.now)
}

/// Conditions of Machines that make a control plane available.
pub(super) fn health_types(control_plane: &ControlPlane) -> Vec<&'static str> {
    let mut types: Vec<&str> =
        control_plane.pod_conditions().iter().map(|(type_, _)| *type_).collect();
    if control_plane.is_etcd_managed() {
        types.push(ETCD_MEMBER);
    }
    types
}

/// Machines by their components; those without infrastructure do not count.
fn components(control_plane: &ControlPlane) -> Counts {
    let types = health_types(control_plane);
    let mut counts = Counts::default();
    for owned in &control_plane.machines {
        if !owned.machine.spec.provider_id.is_empty() {
            counts.add(control_plane, owned, &types);
        }
    }
    counts
}

#[derive(Clone, Copy, Debug, Default)]
struct Etcd {
    is_managed: bool,
    voting: usize,
    learners: usize,
    counts: Counts,
}

impl Etcd {
    fn quorum(&self) -> usize {
        self.voting / 2 + 1
    }

    fn has_quorum(&self) -> bool {
        !self.is_managed || self.counts.healthy >= self.quorum()
    }

    fn told(&self, good: usize) -> String {
        let total = self.voting + self.learners;
        let learners = match self.learners {
            0 => String::new(),
            learners => format!(" {learners} learner etcd member,"),
        };
        let start = match good {
            0 => "* There are no healthy etcd member".to_owned(),
            1 => format!("* 1 of {total} etcd members is healthy"),
            good => format!("* {good} of {total} etcd members are healthy"),
        };
        let quorum = self.quorum();
        format!("{start},{learners} at least {quorum} healthy member required for etcd quorum")
    }
}

/// Members by the health of their Machines. A single Machine without a Node yet is taken for the
/// owner of a member that matches no other.
fn members(control_plane: &ControlPlane) -> Etcd {
    let mut etcd = Etcd { is_managed: control_plane.is_etcd_managed(), ..Etcd::default() };
    let Some(status) = control_plane.members() else { return etcd };
    let mut provisioning: Vec<&OwnedMachine> =
        control_plane.machines.iter().filter(|owned| !owned.has_node()).collect();
    for member in &status.members {
        if member.is_learner || member.name.is_empty() {
            etcd.learners += 1;
        } else {
            etcd.voting += 1;
        }
        if member.name.is_empty() {
            etcd.counts.healthy += 1;
            continue;
        }
        let owner = control_plane.machines.iter().find(|owned| owned.node_name() == member.name);
        let owner = match (owner, provisioning.as_slice()) {
            (Some(owner), _) => Some(owner),
            (None, [only]) => {
                let only = *only;
                provisioning.clear();
                Some(only)
            }
            (None, _) => None,
        };
        match owner {
            Some(owned) => etcd.counts.add(control_plane, owned, &[ETCD_MEMBER]),
            None => etcd.counts.unhealthy += 1,
        }
    }
    etcd
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::etcd::tests::healthy;
    use super::*;

    fn ready(names: &[&str]) -> ControlPlane {
        let mut control_plane = healthy(names);
        control_plane.status().initialization.get_or_insert_default().control_plane_initialized =
            Some(true);
        control_plane.set(New::yes("CertificatesAvailable", "Available"));
        control_plane.set(New::yes("Initialized", "Initialized"));
        control_plane
    }

    fn check(control_plane: &ControlPlane, status: &str, message: &str) {
        let new = available(control_plane);
        assert_eq!((new.status.as_str(), new.message.as_str()), (status, message));
    }

    #[test]
    fn available_needs_initialisation_members_and_components() {
        let mut control_plane = ControlPlane::default();
        check(&control_plane, "False", "Control plane not yet initialized");
        control_plane = ready(&["a"]);
        check(&control_plane, "True", "");
        control_plane.workload = None;
        check(&control_plane, "False", "Waiting for etcd to report the list of members");
        control_plane.now += Duration::from_secs(121);
        check(&control_plane, "Unknown", "Failed to get etcd members");
    }

    #[test]
    fn one_broken_machine_of_three_is_told_after_ten_seconds() {
        let mut control_plane = ready(&["a", "b", "c"]);
        let broken = New::no(ETCD_MEMBER, "NotHealthy", "x");
        control_plane.machines[0].set(broken, Timestamp::UNIX_EPOCH);
        check(&control_plane, "True", "");
        control_plane.now += Duration::from_secs(11);
        check(
            &control_plane,
            "True",
            "* 2 of 3 etcd members are healthy, at least 2 healthy member required for etcd quorum\n\
             * 2 of 3 Machines have healthy control plane components, at least 1 required",
        );
    }

    #[test]
    fn deletion_and_missing_certificates_make_it_unavailable() {
        let mut control_plane = ready(&["a"]);
        control_plane.kcp.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH));
        let deleting = "* Control plane metadata.deletionTimestamp is set";
        check(&control_plane, "False", deleting);
        control_plane.set(New::no("CertificatesAvailable", "NotAvailable", ""));
        let both = format!("{deleting}\n* Control plane certificates are not available");
        check(&control_plane, "False", &both);
    }
}
