//! The status of a KubeadmControlPlane, both families, out of what a reconcile has seen.
//! (CAPI v1.14: status.go of controlplane/kubeadm)

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::scope::{ControlPlane, OwnedMachine, later, listed};
use super::{available, inspect, remediation, step};
use crate::contract::conditions::merge::{GENERIC_REASONS, Polarity, Reasons, Source, aggregate};
use crate::contract::conditions::{self, New, v1beta1};
use crate::contract::machines;

/// A new Machine counts for `MachinesUpToDate` at this age at the latest.
const UP_TO_DATE_GRACE: Duration = Duration::from_secs(10);
/// A deletion is told as stale after this time.
pub(super) const STALE_DELETION: Duration = Duration::from_secs(15 * 60);
/// A drain is suspected to hold it up after this time.
const SLOW_DRAIN: Duration = Duration::from_secs(5 * 60);

/// Computes the whole status.
pub(super) fn update(control_plane: &mut ControlPlane) {
    let cluster = control_plane.cluster.metadata.name.clone().unwrap_or_default();
    control_plane.status().selector =
        format!("cluster.x-k8s.io/cluster-name={cluster},cluster.x-k8s.io/control-plane");
    set_versions(control_plane);
    set_initialized(control_plane);
    set_replicas(control_plane);
    let rolling_out = rolling_out(control_plane);
    control_plane.set(rolling_out);
    let scaling_up = scaling_up(control_plane);
    control_plane.set(scaling_up);
    let scaling_down = scaling_down(control_plane);
    control_plane.set(scaling_down);
    let ready = machines_ready(control_plane);
    control_plane.set(ready);
    let up_to_date = machines_up_to_date(control_plane);
    control_plane.set(up_to_date);
    let remediating = remediating(control_plane);
    control_plane.set(remediating);
    let deleting = if control_plane.is_deleting() {
        let (reason, message) = control_plane.deleting.clone();
        New { message, ..New::yes("Deleting", reason) }
    } else {
        New::no("Deleting", "NotDeleting", "")
    };
    control_plane.set(deleting);
    let available = available::available(control_plane);
    control_plane.set(available);
    if let Some(last) = remediation::last(control_plane) {
        control_plane.status().last_remediation = Some(last);
    }
    update_v1beta1(control_plane);
}

fn set_versions(control_plane: &mut ControlPlane) {
    let held = control_plane.machines.iter().map(|owned| Arc::new(owned.machine.clone()));
    let versions = machines::versions(&held.collect::<Vec<_>>());
    let status = control_plane.status();
    if let Some(lowest) = versions.first() {
        status.version.clone_from(&lowest.version);
    }
    status.versions = versions;
}

/// kubeadm's ConfigMap shows that the first machine is done. A last machine that is on its way
/// out does not count: its successor has to initialise again.
fn set_initialized(control_plane: &mut ControlPlane) {
    let is_going = match control_plane.machines.as_slice() {
        [only] => only.is_deleting() || machines::is_unhealthy_and_owner_remediated(&only.machine),
        _ => false,
    };
    if control_plane.has_kubeadm_config && !is_going {
        control_plane.status().initialization.get_or_insert_default().control_plane_initialized =
            Some(true);
    }
    let new = if control_plane.is_initialized() {
        New::yes("Initialized", "Initialized")
    } else {
        New::no("Initialized", "NotInitialized", "")
    };
    control_plane.set(new);
}

fn count(control_plane: &ControlPlane, is_counted: impl Fn(&OwnedMachine) -> bool) -> Option<i32> {
    i32::try_from(control_plane.machines.iter().filter(|owned| is_counted(owned)).count()).ok()
}

fn set_replicas(control_plane: &mut ControlPlane) {
    let all = count(control_plane, |_| true);
    let ready = count(control_plane, |owned| owned.is_true("Ready"));
    let available = count(control_plane, |owned| owned.is_true("Available"));
    let up_to_date = count(control_plane, |owned| owned.is_true("UpToDate"));
    let status = control_plane.status();
    status.replicas = all;
    status.ready_replicas = ready;
    status.available_replicas = available;
    status.up_to_date_replicas = up_to_date;
}

fn rolling_out(control_plane: &ControlPlane) -> New {
    let mut replicas = 0;
    let mut reasons = BTreeSet::new();
    for owned in &control_plane.machines {
        let Some(condition) = conditions::get(owned.conditions(), "UpToDate") else { continue };
        if condition.status == "False" {
            replicas += 1;
            reasons.extend(condition.message.lines().map(ToOwned::to_owned));
        }
    }
    if replicas == 0 {
        return New::no("RollingOut", "NotRollingOut", "");
    }
    let mut lines = vec![format!("Rolling out {replicas} not up-to-date replicas")];
    let (versions, others): (Vec<String>, Vec<String>) =
        reasons.into_iter().partition(|reason| reason.starts_with("* Version"));
    lines.extend(versions);
    lines.extend(others);
    New { message: lines.join("\n"), ..New::yes("RollingOut", "RollingOut") }
}

/// Replicas now and wanted.
fn replicas(control_plane: &ControlPlane) -> (usize, usize) {
    let desired = if control_plane.is_deleting() { 0 } else { control_plane.desired_replicas() };
    (control_plane.machines.len(), desired)
}

fn scaling_up(control_plane: &ControlPlane) -> New {
    let (current, desired) = replicas(control_plane);
    let kind = &control_plane.kcp.spec.machine_template.spec.infrastructure_ref.kind;
    let missing = control_plane.is_template_missing.then(|| format!("{kind} does not exist"));
    if current >= desired {
        let message =
            missing.map(|missing| format!("Scaling up would be blocked because {missing}"));
        return New::no("ScalingUp", "NotScalingUp", message.unwrap_or_default());
    }
    let mut blockers = preflight_messages(control_plane);
    blockers.extend(missing.map(|missing| format!("* {missing}")));
    let message = format!("Scaling up from {current} to {desired} replicas");
    New { message: blocked(message, &blockers), ..New::yes("ScalingUp", "ScalingUp") }
}

fn scaling_down(control_plane: &ControlPlane) -> New {
    let (current, desired) = replicas(control_plane);
    if current <= desired {
        return New::no("ScalingDown", "NotScalingDown", "");
    }
    let mut blockers = preflight_messages(control_plane);
    blockers.extend(stale_machines(control_plane).map(|stale| format!("* {stale}")));
    let message = format!("Scaling down from {current} to {desired} replicas");
    New { message: blocked(message, &blockers), ..New::yes("ScalingDown", "ScalingDown") }
}

fn blocked(message: String, blockers: &[String]) -> String {
    if blockers.is_empty() {
        return message;
    }
    format!("{message} is blocked because:\n{}", blockers.join("\n"))
}

fn preflight_messages(control_plane: &ControlPlane) -> Vec<String> {
    let preflight = &control_plane.preflight;
    let mut messages = Vec::new();
    if preflight.topology_version_mismatch {
        let version = step::awaited_version(control_plane).unwrap_or_default();
        messages.push(format!("* waiting for a version upgrade to {version} to be propagated"));
    }
    for (is_blocking, message) in [
        (
            preflight.has_deleting_machine,
            "* waiting for a control plane Machine to complete deletion",
        ),
        (preflight.certificate_missing, "* cluster certificates are missing or unknown"),
        (
            preflight.components_not_healthy,
            "* waiting for control plane components to become healthy",
        ),
        (preflight.etcd_not_healthy, "* waiting for etcd cluster to become healthy"),
    ] {
        if is_blocking {
            messages.push(message.to_owned());
        }
    }
    messages
}

/// Machines whose deletion takes too long, and what may hold them up.
pub(super) fn stale_machines(control_plane: &ControlPlane) -> Option<String> {
    let mut names = Vec::new();
    let mut causes = BTreeSet::new();
    for owned in &control_plane.machines {
        let since = owned.machine.metadata.deletion_timestamp.as_ref();
        if since.is_none_or(|since| later(since.0, STALE_DELETION) >= control_plane.now) {
            continue;
        }
        names.push(owned.name().to_owned());
        let deletion = owned.machine.status.as_ref().and_then(|status| status.deletion.as_ref());
        let drained_since = deletion.and_then(|d| d.node_drain_start_time.as_ref());
        let is_slow = drained_since.is_some_and(|s| later(s.0, SLOW_DRAIN) < control_plane.now);
        let draining = conditions::get(owned.conditions(), "Deleting")
            .filter(|c| is_slow && c.status == "True" && c.reason == "DrainingNode");
        let message = draining.map_or("", |condition| &condition.message);
        for (order, (text, cause)) in [
            (
                "cannot evict pod as it would violate the pod's disruption budget.",
                "PodDisruptionBudgets",
            ),
            ("deletionTimestamp set, but still not removed from the Node", "Pods not terminating"),
            ("failed to evict Pod", "Pod eviction errors"),
            ("waiting for completion", "Pods not completed yet"),
        ]
        .into_iter()
        .enumerate()
        {
            if message.contains(text) {
                causes.insert((order, cause));
            }
        }
    }
    if names.is_empty() {
        return None;
    }
    names.sort();
    let (plural, verb) = if names.len() == 1 { ("", "is") } else { ("s", "are") };
    let mut message =
        format!("Machine{plural} {} {verb} in deletion since more than 15m", listed(&names, 3));
    if !causes.is_empty() {
        let causes: Vec<&str> = causes.into_iter().map(|(_, cause)| cause).collect();
        message.push_str(&format!(", delay likely due to {}", causes.join(", ")));
    }
    Some(message)
}

fn sources<'a>(machines: impl Iterator<Item = &'a OwnedMachine>) -> Vec<Source<'a>> {
    machines
        .map(|owned| Source {
            kind: "Machine",
            name: owned.name(),
            is_control_plane_machine: true,
            conditions: owned.conditions(),
        })
        .collect()
}

fn machines_ready(control_plane: &ControlPlane) -> New {
    let reasons = Reasons { issue: "NotReady", unknown: "ReadyUnknown", info: "Ready" };
    aggregate(&sources(control_plane.machines.iter()), "Ready", Polarity::Positive, reasons)
        .map_or_else(
            || New::yes("MachinesReady", "NoReplicas"),
            |merged| merged.named("MachinesReady"),
        )
}

fn machines_up_to_date(control_plane: &ControlPlane) -> New {
    let is_counted = |owned: &&OwnedMachine| {
        let created = owned.machine.metadata.creation_timestamp.as_ref();
        conditions::get(owned.conditions(), "UpToDate").is_some()
            || created.is_some_and(|created| later(created.0, UP_TO_DATE_GRACE) < control_plane.now)
    };
    let reasons = Reasons { issue: "NotUpToDate", unknown: "UpToDateUnknown", info: "UpToDate" };
    let counted = sources(control_plane.machines.iter().filter(is_counted));
    aggregate(&counted, "UpToDate", Polarity::Positive, reasons).map_or_else(
        || New::yes("MachinesUpToDate", "NoReplicas"),
        |merged| merged.named("MachinesUpToDate"),
    )
}

fn remediating(control_plane: &ControlPlane) -> New {
    let ours = |owned: &&OwnedMachine| machines::is_unhealthy_and_owner_remediated(&owned.machine);
    let marked = sources(control_plane.machines.iter().filter(ours));
    if let Some(merged) = aggregate(&marked, "OwnerRemediated", Polarity::Positive, GENERIC_REASONS)
    {
        return New { message: merged.message, ..New::yes("Remediating", "Remediating") };
    }
    let mut unhealthy: Vec<String> = control_plane
        .machines
        .iter()
        .filter(|owned| machines::is_unhealthy(&owned.machine))
        .map(|owned| owned.name().to_owned())
        .collect();
    unhealthy.sort();
    let message = match unhealthy.len() {
        0 => String::new(),
        count => {
            let (plural, verb) = if count == 1 { ("", "is") } else { ("s", "are") };
            format!(
                "Machine{plural} {} {verb} not healthy (not to be remediated by \
                 KubeadmControlPlane)",
                listed(&unhealthy, 3)
            )
        }
    };
    New::no("Remediating", "NotRemediating", message)
}

fn update_v1beta1(control_plane: &mut ControlPlane) {
    let ready_nodes = count(control_plane, |owned| {
        let workload = control_plane.workload.as_ref();
        let node = workload.and_then(|workload| workload.node(owned.node_name()));
        owned.has_node() && node.is_some_and(|node| inspect::is_node_ready(node))
    });
    let updated = count(control_plane, |owned| owned.outdated.is_empty());
    let all = count(control_plane, |_| true);
    let (ready_nodes, all) = (ready_nodes.unwrap_or(0), all.unwrap_or(0));
    let is_deleting = control_plane.is_deleting();
    let counters = control_plane.status().deprecated.get_or_insert_default();
    let counters = counters.v1beta1.get_or_insert_default();
    counters.updated_replicas = updated;
    // Upstream counts no Nodes once it deletes.
    counters.ready_replicas = Some(if is_deleting { 0 } else { ready_nodes });
    counters.unavailable_replicas = Some(if is_deleting { all } else { all - ready_nodes });
    if !is_deleting {
        set_resized(control_plane);
        if control_plane.has_kubeadm_config && !control_plane.is_v1beta1_true("Available") {
            control_plane.set_v1beta1(v1beta1::yes("Available"));
        }
    }
    let types = [
        "MachinesCreated",
        "MachinesSpecUpToDate",
        "Resized",
        "MachinesReady",
        "Available",
        "CertificatesAvailable",
    ];
    let options = v1beta1::SummaryOptions { types: &types, count_steps_of: None };
    if let Some(ready) = v1beta1::summary(control_plane.v1beta1_conditions(), options) {
        control_plane.set_v1beta1(ready);
    }
}

fn set_resized(control_plane: &mut ControlPlane) {
    let (current, desired) = replicas(control_plane);
    if current < desired {
        let message = format!("Scaling up control plane to {desired} replicas (actual {current})");
        control_plane.set_v1beta1(v1beta1::no("Resized", "ScalingUp", "Warning", &message));
        return;
    }
    if current > desired {
        let message =
            format!("Scaling down control plane to {desired} replicas (actual {current})");
        control_plane.set_v1beta1(v1beta1::no("Resized", "ScalingDown", "Warning", &message));
    } else if control_plane.machines.iter().all(|owned| owned.is_true("Ready")) {
        control_plane.set_v1beta1(v1beta1::yes("Resized"));
    }
    control_plane.set_v1beta1(v1beta1::yes("MachinesCreated"));
}

/// The v1beta1 `MachinesReady`, with the Machine in the reason.
pub(super) fn set_v1beta1_machines_ready(control_plane: &mut ControlPlane) {
    let sources: Vec<v1beta1::Source<'_>> = control_plane
        .machines
        .iter()
        .map(|owned| v1beta1::Source {
            kind: "Machine",
            name: owned.name(),
            conditions: owned.v1beta1_conditions(),
        })
        .collect();
    if let Some(ready) = v1beta1::aggregate(&sources, "MachinesReady") {
        control_plane.set_v1beta1(ready);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use serde_json::json;

    use super::super::etcd::tests::healthy;
    use super::super::scope::Preflight;
    use super::*;
    use crate::api::core::Cluster;

    fn named(mut control_plane: ControlPlane) -> ControlPlane {
        let mut cluster = Cluster::default();
        cluster.metadata.name = Some("bar".into());
        control_plane.cluster = Arc::new(cluster);
        control_plane.kcp.metadata.generation = Some(1);
        control_plane
    }

    fn state(control_plane: &ControlPlane, type_: &str) -> String {
        let c = conditions::get(control_plane.conditions(), type_).expect(type_);
        format!("{}/{}/{}", c.status, c.reason, c.message)
    }

    #[test]
    fn first_status_is_the_recorded_one() {
        let mut control_plane = named(ControlPlane::default());
        control_plane.kcp.spec.replicas = Some(1);
        let message = "Waiting for Cluster status.infrastructureReady to be true";
        inspect::set_unknown(&mut control_plane, message);
        update(&mut control_plane);
        for (type_, expected) in [
            ("Available", "False/NotAvailable/Control plane not yet initialized"),
            ("Initialized", "False/NotInitialized/"),
            ("EtcdClusterHealthy", &format!("Unknown/InspectionFailed/{message}")),
            ("RollingOut", "False/NotRollingOut/"),
            ("Remediating", "False/NotRemediating/"),
            ("ScalingDown", "False/NotScalingDown/"),
            ("ScalingUp", "True/ScalingUp/Scaling up from 0 to 1 replicas"),
            ("MachinesReady", "True/NoReplicas/"),
            ("MachinesUpToDate", "True/NoReplicas/"),
            ("Deleting", "False/NotDeleting/"),
        ] {
            assert_eq!(state(&control_plane, type_), expected, "{type_}");
        }
        let status = serde_json::to_value(control_plane.status()).unwrap();
        let old = &status["deprecated"]["v1beta1"];
        assert_eq!(old["readyReplicas"], 0);
        assert_eq!(old["conditions"][0]["reason"], "ScalingUp");
        assert_eq!(
            old["conditions"][0]["message"],
            "Scaling up control plane to 1 replicas (actual 0)"
        );
        assert_eq!(
            status["selector"],
            "cluster.x-k8s.io/cluster-name=bar,cluster.x-k8s.io/control-plane"
        );
        assert_eq!(status["replicas"], 0);
    }

    #[test]
    fn blocked_scale_up_says_why() {
        let mut control_plane = named(healthy(&["a", "b"]));
        control_plane.kcp.spec.replicas = Some(3);
        control_plane.preflight = Preflight {
            components_not_healthy: true,
            etcd_not_healthy: true,
            ..Preflight::default()
        };
        update(&mut control_plane);
        assert_eq!(
            state(&control_plane, "ScalingUp"),
            "True/ScalingUp/Scaling up from 2 to 3 replicas is blocked because:\n\
             * waiting for control plane components to become healthy\n\
             * waiting for etcd cluster to become healthy"
        );
    }

    #[test]
    fn rollout_names_the_version_first() {
        let mut control_plane = named(healthy(&["a", "b"]));
        for (owned, message) in control_plane.machines.iter_mut().zip([
            "* KubeadmConfig is not up-to-date",
            "* Version v1.33.0, v1.34.0 required\n* DevMachine is not up-to-date",
        ]) {
            owned.set(New::no("UpToDate", "NotUpToDate", message), Timestamp::UNIX_EPOCH);
        }
        assert_eq!(
            rolling_out(&control_plane).message,
            "Rolling out 2 not up-to-date replicas\n* Version v1.33.0, v1.34.0 required\n\
             * DevMachine is not up-to-date\n* KubeadmConfig is not up-to-date"
        );
    }

    #[test]
    fn counters_and_versions_follow_the_machines() {
        let mut control_plane = named(healthy(&["a", "b"]));
        control_plane.machines[0].machine.spec.version = "v1.34.0".into();
        control_plane.machines[1].machine.spec.version = "v1.9.0".into();
        control_plane.machines[0].set(New::yes("Ready", "Ready"), Timestamp::UNIX_EPOCH);
        update(&mut control_plane);
        let status = serde_json::to_value(control_plane.status()).unwrap();
        assert_eq!(status["version"], "v1.9.0");
        assert_eq!(
            status["versions"],
            json!([{"version": "v1.9.0", "replicas": 1}, {"version": "v1.34.0", "replicas": 1}])
        );
        assert_eq!((&status["readyReplicas"], &status["upToDateReplicas"]), (&json!(1), &json!(2)));
    }
}
