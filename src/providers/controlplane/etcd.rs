//! Reads etcd's membership into conditions, and judges what a change would do to it.
//! (CAPI v1.14: workload_cluster_conditions.go, remediation.go of controlplane/kubeadm)

use std::time::Duration;

use jiff::Timestamp;

use super::health::{self, Aggregation};
use super::inspect;
use super::scope::{ControlPlane, ETCD_MEMBER, OwnedMachine, later};
use crate::client::{EtcdMember, EtcdStatus};
use crate::contract::conditions::{New, v1beta1};

/// A Node without its member is reported after this time, so that a join does not flicker.
const MEMBER_GRACE: Duration = Duration::from_secs(120);

/// Conditions about etcd members, of the Machines and of the control plane as a whole.
pub(super) fn set_conditions(control_plane: &mut ControlPlane) {
    if !control_plane.is_etcd_managed() {
        control_plane.set_v1beta1(v1beta1::yes("EtcdClusterHealthy"));
        return;
    }
    let members = control_plane.members().cloned();
    let silence = Silence::of(control_plane);
    let now = control_plane.now;
    for owned in &mut control_plane.machines {
        set_member_condition(owned, members.as_ref(), silence, now);
    }
    let errors = compare(control_plane, members.as_ref());
    health::aggregate(
        control_plane,
        &Aggregation {
            machine_conditions: &[ETCD_MEMBER],
            errors,
            condition: "EtcdClusterHealthy",
            v1beta1_unhealthy: "EtcdClusterUnhealthy",
            v1beta1_unknown: "EtcdClusterUnknown",
            note: "etcd member",
        },
    );
}

/// Why etcd did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Silence {
    /// It did, or nothing is known.
    None,
    /// No Machine that stays has a Node through which to ask.
    NoNode,
    /// There is no leader, and without one a member does not list the others.
    NoLeader,
}

impl Silence {
    fn of(control_plane: &ControlPlane) -> Self {
        let Some(workload) = &control_plane.workload else { return Self::None };
        let stays = |owned: &&OwnedMachine| owned.has_node() && !owned.is_deleting();
        let mut staying = control_plane.machines.iter().filter(stays);
        if !staying.any(|owned| workload.node(owned.node_name()).is_some()) {
            return Self::NoNode;
        }
        let etcd = &workload.etcd;
        match etcd.leader_id {
            0 if !etcd.members.is_empty() => Self::NoLeader,
            _ => Self::None,
        }
    }
}

/// The condition of a member that nobody could ask about. Without a leader upstream's client waits
/// until its deadline. What a start does to etcd is no reason: the last known state stays then.
fn set_silence(owned: &mut OwnedMachine, silence: Silence, now: Timestamp) {
    let (old, new) = match silence {
        Silence::None => return,
        Silence::NoNode => (
            "Etcd member reports the cluster is composed by members [], but the member hosted on \
             this Machine is not included",
            New::no(
                ETCD_MEMBER,
                "NotHealthy",
                format!(
                    "Etcd reports the cluster is composed by [], but the etcd member hosted on \
                     Machine {} ({}) is not included",
                    owned.name(),
                    owned.node_name()
                ),
            ),
        ),
        Silence::NoLeader => (
            "Failed to get etcd members",
            New::unknown(
                ETCD_MEMBER,
                "InspectionFailed",
                "Failed to get etcd members: context deadline exceeded",
            ),
        ),
    };
    owned.set_v1beta1(v1beta1::no(ETCD_MEMBER, "EtcdMemberUnhealthy", "Error", old), now);
    owned.set(new, now);
}

fn set_member_condition(
    owned: &mut OwnedMachine,
    etcd: Option<&EtcdStatus>,
    silence: Silence,
    now: Timestamp,
) {
    let is_member =
        |etcd: &EtcdStatus| etcd.members.iter().any(|member| member.name == owned.node_name());
    let is_removed = owned.has_node() && etcd.is_some_and(|etcd| !is_member(etcd));
    // Deleting is said until the member is removed.
    if owned.is_deleting() && !is_removed {
        owned.set_v1beta1(v1beta1::no(ETCD_MEMBER, "Deleting", "Info", ""), now);
        owned.set(New::no(ETCD_MEMBER, "Deleting", "Machine is deleting"), now);
        return;
    }
    if !owned.has_node() {
        let message = inspect::waits_for(owned);
        owned.set(New::unknown(ETCD_MEMBER, "InspectionFailed", message), now);
        return;
    }
    let Some(etcd) = etcd else { return set_silence(owned, silence, now) };
    let problem = match etcd.members.iter().find(|member| member.name == owned.node_name()) {
        None => Some((
            "Missing etcd member".to_owned(),
            format!("Etcd doesn't have an etcd member for Node {}", owned.node_name()),
        )),
        Some(member) if member.is_learner => {
            let message = "Waiting for learner etcd member to be promoted".to_owned();
            Some((message.clone(), message))
        }
        Some(member) if !member.alarms.is_empty() => {
            let alarms = member.alarms.join(", ");
            Some((
                format!("Etcd member reports alarms: {alarms}"),
                format!("Etcd reports alarms: {alarms}"),
            ))
        }
        Some(_) => None,
    };
    match problem {
        Some((old, new)) => {
            owned.set_v1beta1(v1beta1::no(ETCD_MEMBER, "EtcdMemberUnhealthy", "Error", &old), now);
            owned.set(New::no(ETCD_MEMBER, "NotHealthy", new), now);
        }
        None => {
            owned.set_v1beta1(v1beta1::yes(ETCD_MEMBER), now);
            owned.set(New::yes(ETCD_MEMBER, "Healthy"), now);
        }
    }
}

/// Compares members with Machines; answers problems that belong to no Machine.
fn compare(control_plane: &mut ControlPlane, etcd: Option<&EtcdStatus>) -> Vec<String> {
    let Some(etcd) = etcd else {
        control_plane.members_match = !control_plane.machines.iter().any(OwnedMachine::has_node);
        return Vec::new();
    };
    let mut matches = true;
    for owned in control_plane.machines.iter().filter(|m| m.has_node() && !m.is_deleting()) {
        let has_member = etcd.members.iter().any(|member| member.name == owned.node_name());
        if !has_member && is_old_node(control_plane, owned) {
            matches = false;
        }
    }
    let is_provisioning = control_plane.machines.iter().any(|owned| !owned.has_node());
    let mut errors = Vec::new();
    for member in &etcd.members {
        if control_plane.machines.iter().any(|owned| is_of(member, owned)) {
            continue;
        }
        errors.push(format!("Etcd member {} does not have a corresponding Machine", named(member)));
        matches &= is_provisioning;
    }
    control_plane.members_match = matches;
    errors
}

fn is_old_node(control_plane: &ControlPlane, owned: &OwnedMachine) -> bool {
    let node = control_plane.workload.as_ref().and_then(|w| w.node(owned.node_name()));
    let created = node.and_then(|node| node.metadata.creation_timestamp.as_ref());
    created.is_some_and(|created| later(created.0, MEMBER_GRACE) < control_plane.now)
}

/// When Nodes without a member stop being new.
pub(super) fn grace_ends(control_plane: &ControlPlane) -> Vec<Timestamp> {
    let (Some(workload), Some(etcd)) = (&control_plane.workload, control_plane.members()) else {
        return Vec::new();
    };
    let mut ends = Vec::new();
    for owned in control_plane.machines.iter().filter(|m| m.has_node() && !m.is_deleting()) {
        if etcd.members.iter().any(|member| is_of(member, owned)) {
            continue;
        }
        let node = workload.node(owned.node_name());
        let created = node.and_then(|node| node.metadata.creation_timestamp.as_ref());
        ends.extend(created.and_then(|created| created.0.checked_add(MEMBER_GRACE).ok()));
    }
    ends
}

fn is_of(member: &EtcdMember, owned: &OwnedMachine) -> bool {
    owned.has_node() && member.name == owned.node_name()
}

fn named(member: &EtcdMember) -> String {
    match member.name.as_str() {
        "" => format!("{} (Name not yet assigned)", member.id),
        name => name.to_owned(),
    }
}

/// A member that belongs to no Machine and has to go: none while a Machine is provisioning, because
/// the member may be its own. (CAPI v1.14: reconcileEtcdMembers)
///
/// # Errors
/// Upstream's message if etcd could lose its quorum.
pub(super) fn unexpected_member(
    control_plane: &ControlPlane,
) -> Result<Option<EtcdMember>, String> {
    let Some(etcd) = control_plane.members() else { return Ok(None) };
    if control_plane.is_true("EtcdClusterHealthy")
        || control_plane.machines.iter().any(|owned| !owned.has_node())
    {
        return Ok(None);
    }
    let unexpected = etcd
        .members
        .iter()
        .filter(|member| !control_plane.machines.iter().any(|owned| is_of(member, owned)))
        .min_by(|a, b| a.name.cmp(&b.name));
    match unexpected {
        // One without a name has not started and never will: nothing hangs on it.
        Some(member)
            if !member.name.is_empty()
                && !keeps_quorum(control_plane, Change::Remove(&member.name)) =>
        {
            Err(format!(
                "etcd member {} does not have a corresponding Machine, it must be removed from the \
                 cluster but this operation can lead to quorum loss. Please check the etcd status",
                member.name
            ))
        }
        found => Ok(found.cloned()),
    }
}

/// A change of membership that is judged before it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change<'a> {
    /// One more member.
    Add,
    /// The member of this name goes.
    Remove(&'a str),
}

/// Whether etcd keeps its quorum through a change, if the worst is assumed of a new member. A
/// learner makes it wait. (CAPI v1.14: targetEtcdClusterHealthy)
pub(super) fn keeps_quorum(control_plane: &ControlPlane, change: Change<'_>) -> bool {
    let Some(etcd) = control_plane.members() else { return false };
    let (mut voting, mut unhealthy) = (0_usize, 0_usize);
    if change == Change::Add {
        voting += 1;
        // From one member to two nothing can be lost that one could have kept.
        unhealthy += usize::from(etcd.members.len() > 1);
    }
    for member in &etcd.members {
        if member.name.is_empty() {
            return false;
        }
        if change == Change::Remove(&member.name) {
            continue;
        }
        if member.is_learner {
            return false;
        }
        voting += 1;
        let owner = control_plane.machines.iter().find(|owned| is_of(member, owned));
        unhealthy += usize::from(match owner {
            Some(owned) => !owned.is_true(ETCD_MEMBER),
            None => !member.alarms.is_empty(),
        });
    }
    voting.saturating_sub(unhealthy) > voting / 2
}

/// Name of a machine's member: its Node's, also where the Machine does not know its Node yet.
pub(super) fn member_name(control_plane: &ControlPlane, owned: &OwnedMachine) -> Option<String> {
    if owned.has_node() {
        return Some(owned.node_name().to_owned());
    }
    let id = owned.machine.spec.provider_id.as_str();
    let nodes = &control_plane.workload.as_ref()?.nodes;
    let of_machine = nodes.iter().find(|node| {
        let spec = node.spec.as_ref();
        !id.is_empty() && spec.and_then(|spec| spec.provider_id.as_deref()) == Some(id)
    })?;
    of_machine.metadata.name.clone()
}

/// Members that may take over from a machine that goes, the most reliable first; none if it does
/// not lead. (CAPI v1.14: forwardEtcdLeadership)
///
/// # Errors
/// Upstream's messages: nobody leads, or nobody could take over.
pub(super) fn successors(
    control_plane: &ControlPlane,
    leaving: &OwnedMachine,
) -> Result<Vec<String>, &'static str> {
    let leader = control_plane
        .members()
        .and_then(|etcd| etcd.members.iter().find(|member| member.id == etcd.leader_id));
    let leader = leader.ok_or("unable to move etcd leadership, failed to detect etcd leader")?;
    if !is_of(leader, leaving) {
        return Ok(Vec::new());
    }
    let mut candidates: Vec<&OwnedMachine> = control_plane
        .machines
        .iter()
        .filter(|owned| owned.has_node() && !owned.is_deleting() && owned.name() != leaving.name())
        .collect();
    candidates.sort_by_key(|owned| {
        let created = owned.machine.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (
            ["EtcdMemberHealthy", "HealthCheckSucceeded", "UpToDate"]
                .map(|type_| !owned.is_true(type_)),
            std::cmp::Reverse(created),
        )
    });
    if candidates.is_empty() {
        return Err(
            "unable to move etcd leadership, no candidate machines for etcd leadership found",
        );
    }
    Ok(candidates.into_iter().map(|owned| owned.node_name().to_owned()).collect())
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use k8s_openapi::api::core::v1::Node;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::api::core::NodeRef;
    use crate::providers::controlplane::scope::Workload;

    /// A control plane whose Machines all have Nodes and healthy members.
    pub(in crate::providers::controlplane) fn healthy(names: &[&str]) -> ControlPlane {
        let mut control_plane =
            ControlPlane { now: Timestamp::UNIX_EPOCH, ..ControlPlane::default() };
        let mut workload = Workload::default();
        for (index, name) in names.iter().enumerate() {
            let mut owned = OwnedMachine::default();
            owned.machine.metadata.name = Some((*name).into());
            owned.machine.spec.provider_id = format!("x://{name}");
            owned.machine.status.get_or_insert_default().node_ref =
                Some(NodeRef { name: (*name).into() });
            for (type_, _) in control_plane.pod_conditions() {
                owned.set(New::yes(type_, "Running"), Timestamp::UNIX_EPOCH);
            }
            owned.set(New::yes(ETCD_MEMBER, "Healthy"), Timestamp::UNIX_EPOCH);
            owned.set(New::yes("UpToDate", "UpToDate"), Timestamp::UNIX_EPOCH);
            control_plane.machines.push(owned);
            let mut node = Node::default();
            node.metadata.name = Some((*name).into());
            workload.nodes.push(Arc::new(node));
            let id = index as u64 + 1;
            workload.etcd.members.push(EtcdMember {
                id,
                name: (*name).into(),
                ..EtcdMember::default()
            });
        }
        workload.etcd.leader_id = 1;
        control_plane.workload = Some(workload);
        control_plane.members_match = true;
        control_plane.kcp.spec.replicas = i32::try_from(names.len()).ok();
        control_plane
    }

    #[test]
    fn member_without_machine_is_removed_only_when_no_machine_provisions() {
        let mut control_plane = healthy(&["a", "b", "c"]);
        control_plane.machines.remove(1);
        set_conditions(&mut control_plane);
        assert!(!control_plane.members_match);
        let found = unexpected_member(&control_plane).unwrap();
        assert_eq!(found.map(|member| member.name), Some("b".into()));
        let unhealthy = New::no(ETCD_MEMBER, "NotHealthy", "x");
        control_plane.machines[0].set(unhealthy, Timestamp::UNIX_EPOCH);
        let error = unexpected_member(&control_plane).unwrap_err();
        assert!(error.contains("etcd member b does not have a corresponding Machine"), "{error}");
        control_plane.machines.push(OwnedMachine::default());
        assert_eq!(unexpected_member(&control_plane), Ok(None));
    }

    #[test]
    fn a_deleting_machine_says_so_until_its_member_is_removed() {
        let mut control_plane = healthy(&["a", "b"]);
        control_plane.machines[1].machine.metadata.deletion_timestamp =
            Some(Time(Timestamp::UNIX_EPOCH));
        let reason = |control_plane: &ControlPlane| {
            let status = control_plane.machines[1].machine.status.as_ref().unwrap();
            let held = status.conditions.iter().find(|held| held.type_ == ETCD_MEMBER);
            held.unwrap().reason.clone()
        };
        set_conditions(&mut control_plane);
        assert_eq!(reason(&control_plane), "Deleting");
        control_plane.workload.as_mut().unwrap().etcd.members.remove(1);
        set_conditions(&mut control_plane);
        assert_eq!(reason(&control_plane), "NotHealthy");
    }

    #[test]
    fn quorum_counts_healthy_voters_only() {
        let mut control_plane = healthy(&["a", "b", "c"]);
        assert!(keeps_quorum(&control_plane, Change::Remove("a")));
        control_plane.machines[1]
            .set(New::no(ETCD_MEMBER, "NotHealthy", "x"), Timestamp::UNIX_EPOCH);
        assert!(!keeps_quorum(&control_plane, Change::Remove("a")));
        assert!(keeps_quorum(&control_plane, Change::Remove("b")));
    }
}
