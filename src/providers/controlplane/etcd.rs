//! Reads etcd's membership into conditions, and judges what a change would do to it.
//! (CAPI v1.14: workload_cluster_conditions.go, remediation.go of controlplane/kubeadm)

use std::time::Duration;

use jiff::Timestamp;

use super::health::{self, Aggregation};
use super::inspect;
use super::scope::{ControlPlane, ETCD_MEMBER, OwnedMachine};
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
    let now = control_plane.now;
    for owned in &mut control_plane.machines {
        set_member_condition(owned, members.as_ref(), now);
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

fn set_member_condition(owned: &mut OwnedMachine, etcd: Option<&EtcdStatus>, now: Timestamp) {
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
    // Without an answer the last known state stays, as upstream leaves it.
    let Some(etcd) = etcd else { return };
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
    created.is_some_and(|created| created.0 + MEMBER_GRACE < control_plane.now)
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

/// A member that belongs to no Machine and may be removed: none while a Machine is provisioning,
/// because the member may be its own. (CAPI v1.14: reconcileEtcdMembers)
pub(super) fn unexpected_member(control_plane: &ControlPlane) -> Option<EtcdMember> {
    let etcd = control_plane.members()?;
    if control_plane.is_true("EtcdClusterHealthy")
        || control_plane.machines.iter().any(|owned| !owned.has_node())
    {
        return None;
    }
    let mut unexpected: Vec<&EtcdMember> = etcd
        .members
        .iter()
        .filter(|member| !control_plane.machines.iter().any(|owned| is_of(member, owned)))
        .collect();
    unexpected.sort_by(|a, b| a.name.cmp(&b.name));
    unexpected
        .into_iter()
        .find(|member| member.name.is_empty() || keeps_quorum(control_plane, &member.name))
        .cloned()
}

/// Whether etcd keeps its quorum without a member. (CAPI v1.14: targetEtcdClusterHealthy)
pub(super) fn keeps_quorum(control_plane: &ControlPlane, without: &str) -> bool {
    let Some(etcd) = control_plane.members() else { return false };
    let (mut voting, mut healthy) = (0_usize, 0_usize);
    for member in etcd.members.iter().filter(|member| member.name != without) {
        if member.is_learner || member.name.is_empty() {
            return false;
        }
        voting += 1;
        let owner = control_plane.machines.iter().find(|owned| is_of(member, owned));
        healthy += usize::from(match owner {
            Some(owned) => owned.is_true(ETCD_MEMBER),
            None => member.alarms.is_empty(),
        });
    }
    voting > 0 && healthy > voting / 2
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
        assert_eq!(unexpected_member(&control_plane).map(|member| member.name), Some("b".into()));
        control_plane.machines.push(OwnedMachine::default());
        assert_eq!(unexpected_member(&control_plane), None);
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
        assert!(keeps_quorum(&control_plane, "a"));
        control_plane.machines[1]
            .set(New::no(ETCD_MEMBER, "NotHealthy", "x"), Timestamp::UNIX_EPOCH);
        assert!(!keeps_quorum(&control_plane, "a"));
        assert!(keeps_quorum(&control_plane, "b"));
    }
}
