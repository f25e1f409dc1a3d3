//! Table tests of the decision.

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
    control_plane.status().initialization.get_or_insert_default().control_plane_initialized =
        Some(true);
    for (second, owned) in control_plane.machines.iter_mut().enumerate() {
        owned.machine.metadata.creation_timestamp = Some(Time(at(second as i64)));
    }
    control_plane
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn next(control_plane: &ControlPlane) -> Step {
    next_step(control_plane).step
}

/// Deletes a machine that does not lead.
fn drop(machine: &str) -> Step {
    drop_leader(machine, &[])
}

fn drop_leader(machine: &str, successors: &[&str]) -> Step {
    let successors = successors.iter().map(|name| (*name).to_owned()).collect();
    Step::ScaleDown { machine: machine.to_owned(), successors }
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
        (&["a", "b", "c"], 1, drop_leader("a", &["c", "b"])),
    ] {
        assert_eq!(next(&ready(names, replicas)), expected, "{names:?} -> {replicas}");
    }
}

#[test]
fn machine_without_node_blocks_the_next_one() {
    let mut control_plane = ready(&["a"], 3);
    control_plane.machines[0].machine.status.get_or_insert_default().node_ref = None;
    let Step::Wait(preflight) = next(&control_plane) else { panic!("must wait") };
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
    let Step::Wait(preflight) = next(&control_plane) else { panic!("must wait") };
    let failure = "Machine a reports SchedulerPodHealthy condition is unknown (why)";
    assert_eq!(preflight.failures, [failure]);
    assert!(!preflight.etcd_not_healthy);
}

#[test]
fn machine_that_goes_may_be_unhealthy() {
    let mut control_plane = ready(&["a", "b", "c"], 1);
    let new = New::no("EtcdPodHealthy", "Failed", "x");
    control_plane.machines[0].set(new, Timestamp::UNIX_EPOCH);
    assert_eq!(next(&control_plane), drop_leader("a", &["c", "b"]));
    let annotations = [(labels::DELETE_MACHINE.to_owned(), String::new())];
    control_plane.machines[2].machine.metadata.annotations = Some(annotations.into());
    assert!(matches!(next(&control_plane), Step::Wait(_)), "a now counts");
}

#[test]
fn deleted_machine_goes_when_it_waits_for_the_hook() {
    let mut control_plane = ready(&["a", "b", "c"], 3);
    delete(&mut control_plane, 0, "DrainingNode");
    assert_eq!(next(&control_plane), Step::AwaitDeletion);
    delete(&mut control_plane, 0, "WaitingForPreTerminateHook");
    let Step::Release { machine, member, .. } = next(&control_plane) else {
        panic!("must be released")
    };
    assert_eq!((machine.as_str(), member.map(|member| member.id)), ("a", Some(1)));
    control_plane.machines[1].set(New::no(ETCD_MEMBER, "NotHealthy", ""), Timestamp::UNIX_EPOCH);
    assert_eq!(next(&control_plane), Step::AwaitDeletion, "quorum");
}

#[test]
fn last_machine_goes_without_etcd() {
    let mut control_plane = ready(&["a"], 1);
    delete(&mut control_plane, 0, "WaitingForPreTerminateHook");
    let expected = Step::Release { machine: "a".into(), successors: vec![], member: None };
    assert_eq!(next(&control_plane), expected);
}

#[test]
fn rollout_surges_first_and_then_drops_the_outdated_machine() {
    let mut control_plane = ready(&["a", "b"], 1);
    control_plane.machines[1].outdated.push("Version v1.33.0, v1.34.0 required".into());
    assert_eq!(next(&control_plane), drop("b"));
    control_plane.kcp.spec.replicas = Some(2);
    assert!(matches!(next(&control_plane), Step::ScaleUp { .. }));
}

#[test]
fn topology_version_that_is_still_to_come_blocks() {
    let mut control_plane = ready(&["a"], 3);
    let mut cluster = Cluster::default();
    cluster.spec.topology.version = "v1.35.0".into();
    control_plane.cluster = Arc::new(cluster);
    let Step::Wait(preflight) = next(&control_plane) else { panic!("must wait") };
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
    assert_eq!(next(&control_plane), Step::ScaleUp { failure_domain: "y".into() });
    control_plane.kcp.spec.replicas = Some(1);
    assert_eq!(next(&control_plane), drop("b"));
}

/// Marks a machine as a health check does.
fn give_up(control_plane: &mut ControlPlane, at: usize) {
    let now = control_plane.now;
    let owned = &mut control_plane.machines[at];
    owned.set(New::no("HealthCheckSucceeded", "UnhealthyNode", ""), now);
    owned.set(New::no("OwnerRemediated", "WaitingForRemediation", ""), now);
}

fn refusal(control_plane: &ControlPlane) -> (&'static str, String) {
    let refusal = next_step(control_plane).refusal.expect("a refusal");
    (refusal.reason, refusal.message)
}

/// Carries out steps as if all went well at once, until nothing is left to do; answers what was done.
fn run(control_plane: &mut ControlPlane) -> Vec<String> {
    let mut done = Vec::new();
    for _ in 0..40 {
        match next(control_plane) {
            Step::Nothing => return done,
            Step::ScaleUp { .. } | Step::Initialize { .. } => {
                let serial = control_plane.kcp.metadata.generation.unwrap_or(0) + 1;
                control_plane.kcp.metadata.generation = Some(serial);
                let name = format!("new{serial}");
                join(control_plane, &name, 1000 + serial);
                done.push(format!("+{name}"));
            }
            Step::ScaleDown { machine, successors }
            | Step::Remediate { machine, successors, .. } => {
                lead(control_plane, &successors);
                let index = control_plane.machines.iter().position(|o| o.name() == machine);
                delete(control_plane, index.unwrap(), "WaitingForPreTerminateHook");
                done.push(format!("-{machine}"));
            }
            Step::Release { machine, successors, member } => {
                lead(control_plane, &successors);
                let etcd = &mut control_plane.workload.as_mut().unwrap().etcd;
                let id = member.map_or(0, |member| member.id);
                assert_ne!(etcd.leader_id, id, "the leader leaves only when it has moved");
                etcd.members.retain(|member| member.id != id);
                control_plane.machines.retain(|owned| owned.name() != machine);
            }
            other => panic!("{other:?} after {done:?}"),
        }
    }
    panic!("no end: {done:?}");
}

fn lead(control_plane: &mut ControlPlane, successors: &[String]) {
    let etcd = &mut control_plane.workload.as_mut().unwrap().etcd;
    if let Some(name) = successors.first() {
        etcd.leader_id = etcd.members.iter().find(|member| member.name == *name).unwrap().id;
    }
}

fn join(control_plane: &mut ControlPlane, name: &str, second: i64) {
    let mut other = healthy(&[name]);
    let mut owned = other.machines.remove(0);
    owned.machine.metadata.creation_timestamp = Some(Time(at(second)));
    control_plane.machines.push(owned);
    let workload = control_plane.workload.as_mut().unwrap();
    let joined = other.workload.unwrap();
    workload.nodes.extend(joined.nodes);
    let id = u64::try_from(second).unwrap();
    workload.etcd.members.extend(joined.etcd.members.into_iter().map(|m| EtcdMember { id, ..m }));
    super::super::remediation::end(control_plane);
}

#[test]
fn replicas_go_up_and_down_one_at_a_time() {
    let mut control_plane = ready(&["a"], 3);
    assert_eq!(run(&mut control_plane), ["+new1", "+new2"]);
    control_plane.kcp.spec.replicas = Some(5);
    assert_eq!(run(&mut control_plane).len(), 2);
    control_plane.kcp.spec.replicas = Some(3);
    assert_eq!(run(&mut control_plane), ["-a", "-new1"], "the oldest go first");
    assert_eq!(control_plane.members().unwrap().members.len(), 3);
}

#[test]
fn a_rollout_without_surge_deletes_before_it_makes() {
    let mut control_plane = ready(&["a", "b", "c"], 3);
    let rollout = json!({"strategy": {"rollingUpdate": {"maxSurge": 0}}});
    control_plane.kcp.spec.rollout = serde_json::from_value(rollout).unwrap();
    for owned in &mut control_plane.machines {
        owned.outdated.push("Version v1.33.0, v1.34.0 required".into());
    }
    assert_eq!(run(&mut control_plane), ["-a", "+new1", "-b", "+new2", "-c", "+new3"]);
}

#[test]
fn a_rollout_with_surge_makes_before_it_deletes() {
    let mut control_plane = ready(&["a", "b", "c"], 3);
    for owned in &mut control_plane.machines {
        owned.outdated.push("KubeadmConfig is not up-to-date".into());
    }
    let done = run(&mut control_plane);
    let signs: String = done.iter().map(|step| &step[..1]).collect();
    assert_eq!(signs, "+-+-+-", "{done:?}");
}

#[test]
fn a_broken_machine_of_three_is_replaced() {
    let mut control_plane = ready(&["a", "b", "c"], 3);
    control_plane.machines[0].set(New::no(ETCD_MEMBER, "NotHealthy", "x"), Timestamp::UNIX_EPOCH);
    give_up(&mut control_plane, 0);
    let Step::Remediate { machine, successors, record } = next(&control_plane) else {
        panic!("must be remediated")
    };
    assert_eq!((machine.as_str(), successors), ("a", vec!["c".to_owned(), "b".to_owned()]));
    let text = r#"{"machine":"a","timestamp":"1970-01-01T00:00:00Z","retryCount":0}"#;
    assert_eq!(record.text(), text);
    assert_eq!(run(&mut control_plane), ["-a", "+new1"]);
}

#[test]
fn nothing_is_remediated_without_quorum() {
    let mut control_plane = ready(&["a", "b", "c"], 3);
    for at in [0, 1] {
        let broken = New::no(ETCD_MEMBER, "NotHealthy", "x");
        control_plane.machines[at].set(broken, Timestamp::UNIX_EPOCH);
    }
    give_up(&mut control_plane, 0);
    let lost = "KubeadmControlPlane can't remediate this Machine because this could result in \
                loosing Kubernetes control plane components or in etcd quorum loss";
    assert_eq!(refusal(&control_plane), ("CannotBeRemediated", lost.to_owned()));
    // Of five, two may be broken.
    let mut control_plane = ready(&["a", "b", "c", "d", "e"], 5);
    for at in [0, 1] {
        let broken = New::no(ETCD_MEMBER, "NotHealthy", "x");
        control_plane.machines[at].set(broken, Timestamp::UNIX_EPOCH);
    }
    give_up(&mut control_plane, 0);
    assert!(matches!(next(&control_plane), Step::Remediate { .. }));
    control_plane.workload.as_mut().unwrap().etcd.leader_id = 0;
    let unknown = "Failed to check etcd cluster health before remediation";
    assert_eq!(refusal(&control_plane), ("RemediationDeferred", unknown.to_owned()));
}

#[test]
fn remediation_waits_for_what_is_under_way() {
    let mut only = ready(&["a"], 1);
    give_up(&mut only, 0);
    let few = "KubeadmControlPlane can't remediate if current replicas are less or equal to 1";
    assert_eq!(refusal(&only), ("CannotBeRemediated", few.to_owned()));
    // Before anything is initialised the only machine may go.
    only.status().initialization = None;
    assert!(matches!(next(&only), Step::Remediate { .. }));

    let mut joining = ready(&["a", "b", "c"], 3);
    give_up(&mut joining, 0);
    joining.machines[2].machine.status.get_or_insert_default().node_ref = None;
    let provisioning = "KubeadmControlPlane waiting for control plane Machine provisioning to \
                        complete before triggering remediation";
    assert_eq!(refusal(&joining), ("RemediationDeferred", provisioning.to_owned()));

    let mut upgrading = ready(&["a", "b", "c"], 3);
    give_up(&mut upgrading, 0);
    let mut cluster = Cluster::default();
    cluster.spec.topology.version = "v1.35.0".into();
    upgrading.cluster = Arc::new(cluster);
    let version = "KubeadmControlPlane can't remediate while waiting for a version upgrade to \
                   v1.35.0 to be propagated from Cluster.spec.topology";
    assert_eq!(refusal(&upgrading), ("RemediationDeferred", version.to_owned()));
}

#[test]
fn the_limits_of_remediation_hold() {
    let check = |limits: serde_json::Value, second: i64, expected: Result<i32, &str>| {
        let mut control_plane = ready(&["a", "b", "c"], 3);
        control_plane.kcp.spec.remediation = serde_json::from_value(limits.clone()).unwrap();
        control_plane.now = at(second);
        let before = r#"{"machine":"z","timestamp":"1970-01-01T00:00:00Z","retryCount":2}"#;
        control_plane.machines[1].machine.metadata.annotations = Some(
            [("controlplane.cluster.x-k8s.io/remediation-for".to_owned(), before.to_owned())]
                .into(),
        );
        give_up(&mut control_plane, 1);
        let plan = next_step(&control_plane);
        let got = match plan.step {
            Step::Remediate { record, .. } => Ok(record.retry_count),
            _ => Err(plan.refusal.expect("a refusal").message),
        };
        assert_eq!(got, expected.map_err(ToOwned::to_owned), "{limits} after {second} s");
    };
    check(json!({}), 60, Ok(3));
    check(json!({}), 3600, Ok(0));
    check(json!({"minHealthyPeriodSeconds": 30}), 60, Ok(0));
    let early = "KubeadmControlPlane can't remediate this machine because the operation already \
                 failed in the latest 5m0s (RetryPeriodSeconds)";
    check(json!({"retryPeriodSeconds": 300}), 299, Err(early));
    check(json!({"retryPeriodSeconds": 300}), 300, Ok(3));
    let enough = "KubeadmControlPlane can't remediate this machine because the operation already \
                  failed 2 times (MaxRetry)";
    check(json!({"maxRetry": 2}), 60, Err(enough));
    check(json!({"maxRetry": 3}), 60, Ok(3));
}

#[test]
fn a_successor_may_join_while_others_are_broken() {
    let mut control_plane = ready(&["a", "b", "c", "d"], 5);
    let broken = New::no("SchedulerPodHealthy", "Failed", "x");
    control_plane.machines[0].set(broken, Timestamp::UNIX_EPOCH);
    assert!(matches!(next(&control_plane), Step::Wait(_)));
    let record = r#"{"machine":"z","timestamp":"1970-01-01T00:00:00Z","retryCount":0}"#;
    let mark = "controlplane.cluster.x-k8s.io/remediation-in-progress".to_owned();
    control_plane.kcp.metadata.annotations = Some([(mark, record.to_owned())].into());
    assert!(matches!(next(&control_plane), Step::ScaleUp { .. }));
    // One more that fails would cost the quorum.
    let broken = New::no(ETCD_MEMBER, "NotHealthy", "x");
    control_plane.machines[1].set(broken.clone(), Timestamp::UNIX_EPOCH);
    control_plane.machines[2].set(broken, Timestamp::UNIX_EPOCH);
    let Step::Wait(preflight) = next(&control_plane) else { panic!("must wait") };
    let failure = "adding a new control plane Machine can lead to etcd quorum loss. Please check \
                   the etcd status";
    assert_eq!(preflight.failures, [failure]);
    assert!(preflight.etcd_not_healthy && !preflight.components_not_healthy);
}

#[test]
fn leadership_goes_to_the_most_reliable_machine() {
    let mut control_plane = ready(&["a", "b", "c", "d"], 3);
    let none = Timestamp::UNIX_EPOCH;
    control_plane.machines[3].set(New::no("UpToDate", "NotUpToDate", "x"), none);
    give_up(&mut control_plane, 2);
    control_plane.machines[2].set(New::yes("UpToDate", "UpToDate"), none);
    for at in [1, 3] {
        control_plane.machines[at].set(New::yes("HealthCheckSucceeded", "x"), none);
    }
    let leaving = control_plane.machines[0].clone();
    let successors = super::super::etcd::successors(&control_plane, &leaving).unwrap();
    assert_eq!(successors, ["b", "d", "c"]);
    let follower = control_plane.machines[1].clone();
    assert_eq!(super::super::etcd::successors(&control_plane, &follower), Ok(Vec::new()));
    control_plane.machines.truncate(1);
    let nobody = super::super::etcd::successors(&control_plane, &leaving).unwrap_err();
    assert!(nobody.contains("no candidate machines"), "{nobody}");
}

#[test]
fn the_most_broken_machine_goes_first() {
    let mut control_plane = ready(&["a", "b", "c", "d", "e"], 5);
    for at in [1, 2, 3] {
        give_up(&mut control_plane, at);
    }
    let first = |control_plane: &ControlPlane| match next(control_plane) {
        Step::Remediate { machine, .. } => machine,
        other => panic!("{other:?}"),
    };
    assert_eq!(first(&control_plane), "b", "the oldest of equals");
    let broken = New::no("SchedulerPodHealthy", "Failed", "x");
    control_plane.machines[2].set(broken, Timestamp::UNIX_EPOCH);
    assert_eq!(first(&control_plane), "c");
    let broken = New::no(ETCD_MEMBER, "NotHealthy", "x");
    control_plane.machines[3].set(broken, Timestamp::UNIX_EPOCH);
    assert_eq!(first(&control_plane), "d");
    control_plane.machines[1].machine.metadata.annotations =
        Some([(labels::REMEDIATE_MACHINE.to_owned(), String::new())].into());
    assert_eq!(first(&control_plane), "b", "what the user named");
}

#[test]
fn external_etcd_is_left_alone() {
    let mut control_plane = ready(&["a", "b", "c"], 1);
    control_plane.kcp.spec.kubeadm_config_spec.cluster_configuration =
        Some(json!({"etcd": {"external": {"endpoints": ["https://e:2379"]}}}));
    assert_eq!(next(&control_plane), drop("a"));
    delete(&mut control_plane, 0, "WaitingForPreTerminateHook");
    let released = Step::Release { machine: "a".into(), successors: vec![], member: None };
    assert_eq!(next(&control_plane), released);
}
