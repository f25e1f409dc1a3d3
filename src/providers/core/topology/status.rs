//! The TopologyReconciled condition in both families, and the upgrade plans in the status.
//! (CAPI v1.14: core/reconcilers/topology/cluster/status.go)

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::hooks::is_pending;
use super::scope::Scope;
use super::tracker::{UpgradeTracker, WorkerTracker};
use super::tree;
use crate::api::conditions::V1Beta1Condition;
use crate::api::core::Cluster;
use crate::client::{Client, ClientError, ObjectKey};
use crate::contract::conditions::{self, New, set, set_v1beta1, v1beta1};
use crate::contract::paused;
use crate::extensions::Hook;

/// Type of the condition.
const TYPE: &str = "TopologyReconciled";

/// The condition in both families.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reconciled {
    /// metav1 family.
    pub new: New,
    /// v1beta1 family.
    pub v1beta1: V1Beta1Condition,
}

impl Reconciled {
    fn no(reason: &'static str, v1beta1_reason: &str, severity: &str, message: &str) -> Self {
        Self {
            new: New::no(TYPE, reason, message),
            v1beta1: v1beta1::no(TYPE, v1beta1_reason, severity, message),
        }
    }

    /// False for a reason that both families share.
    fn info(reason: &'static str, message: &str) -> Self {
        Self::no(reason, reason, "Info", message)
    }

    fn yes() -> Self {
        Self { new: New::yes(TYPE, "ReconcileSucceeded"), v1beta1: v1beta1::yes(TYPE) }
    }

    /// Sets the condition on a Cluster.
    pub(super) fn set_on(self, cluster: &mut Cluster, now: Timestamp) {
        let generation = cluster.metadata.generation;
        let status = cluster.status.get_or_insert_default();
        set(&mut status.conditions, self.new, generation, now);
        let v1beta1 = super::super::v1beta1_status(&mut status.deprecated);
        set_v1beta1(&mut v1beta1.conditions, self.v1beta1, now);
    }
}

/// Of a paused Cluster.
pub(super) fn of_paused(cluster: &Cluster) -> Reconciled {
    let message = paused::condition(Some(cluster), "Cluster", &cluster.metadata).message;
    Reconciled::info("Paused", &message)
}

/// Of a reconcile that failed.
pub(super) fn of_error(error: &str) -> Reconciled {
    Reconciled::no("ReconcileFailed", "TopologyReconcileFailed", "Error", error)
}

/// Of a Cluster that is being deleted. `blocking` is what hooks say, empty if none holds back.
pub(super) fn of_deletion(blocking: &str) -> Reconciled {
    let mut message = "Cluster is deleting".to_owned();
    if !blocking.is_empty() {
        message.push_str(&format!(". {blocking}"));
    }
    Reconciled::info("Deleting", &message)
}

/// Of a reconcile that went through. `version` is the control plane's desired one.
pub(super) fn of_scope(scope: &Scope, version: &str) -> Reconciled {
    if scope.is_being_created() && scope.answers.retry_after().is_some() {
        let message = scope.answers.message("Cluster topology creation");
        return Reconciled::info("ClusterCreating", &message);
    }
    let is_upgrading = scope.tracker.is_anything_upgrading()
        || is_pending(&scope.cluster, Hook::AfterClusterUpgrade);
    if scope.is_being_created() || !is_upgrading {
        return Reconciled::yes();
    }
    let control_plane = scope.current.control_plane.as_ref().map_or("", tree::kind);
    let progress = Progress {
        topology: &scope.topology.version,
        control_plane,
        version,
        tracker: &scope.tracker,
        blocking: &scope.answers.message("upgrade"),
    };
    let (reason, message) = progress.describe();
    Reconciled::info(reason, &message)
}

/// What is told about an upgrade.
struct Progress<'a> {
    /// Version of the topology.
    topology: &'a str,
    /// Kind of the control plane.
    control_plane: &'a str,
    /// Desired version of the control plane.
    version: &'a str,
    tracker: &'a UpgradeTracker,
    /// What hooks say that hold the upgrade back.
    blocking: &'a str,
}

/// Words for one kind of workers.
struct Words {
    one: &'static str,
    many: &'static str,
    annotations: &'static str,
    deferred: &'static str,
}

const DEPLOYMENTS: Words = Words {
    one: "MachineDeployment",
    many: "MachineDeployments",
    annotations: "defer-upgrade or hold-upgrade-sequence annotations",
    deferred: "MachineDeploymentsUpgradeDeferred",
};
const POOLS: Words = Words {
    one: "MachinePool",
    many: "MachinePools",
    annotations: "topology.cluster.x-k8s.io/defer-upgrade or hold-upgrade-sequence annotations",
    deferred: "MachinePoolsUpgradeDeferred",
};

impl Progress<'_> {
    /// Reason and message.
    fn describe(&self) -> (&'static str, String) {
        let mut lines = vec![format!("Cluster is upgrading to {}", self.topology)];
        if !self.blocking.is_empty() {
            lines.push(self.blocking.to_owned());
        }
        let control_plane = &self.tracker.control_plane;
        let (kind, version) = (self.control_plane, self.version);
        if self.is_control_plane_upgrading() {
            let left = left(&control_plane.plan, version);
            lines.push(format!("{kind} upgrading to version {version}{left}"));
        } else if !control_plane.plan.is_empty() {
            let plan = control_plane.plan.join(", ");
            lines.push(format!("{kind} pending upgrade to version {plan}"));
        }
        let mut reason = "ClusterUpgrading";
        let deployments = (&DEPLOYMENTS, &self.tracker.machine_deployments);
        for (words, workers) in [deployments, (&POOLS, &self.tracker.machine_pools)] {
            if self.describe_workers(words, workers, &mut lines) && reason == "ClusterUpgrading" {
                reason = words.deferred;
            }
        }
        (reason, lines.join("\n  * "))
    }

    fn is_control_plane_upgrading(&self) -> bool {
        let control_plane = &self.tracker.control_plane;
        control_plane.is_starting_upgrade || control_plane.is_upgrading
    }

    /// Adds lines about workers; answers whether the user alone holds the upgrade back.
    fn describe_workers(
        &self,
        words: &Words,
        workers: &WorkerTracker,
        lines: &mut Vec<String>,
    ) -> bool {
        let version = self.version;
        let upgrading = &workers.upgrading;
        let deferred: BTreeSet<&String> = workers.deferred.difference(upgrading).collect();
        let pending: Vec<&String> = workers
            .pending_upgrade
            .difference(upgrading)
            .filter(|name| !deferred.contains(name))
            .collect();
        if !upgrading.is_empty() {
            let names = words.list(&upgrading.iter().collect::<Vec<_>>());
            let left = left(&workers.plan, version);
            lines.push(format!("{names} upgrading to version {version}{left}"));
        }
        if !pending.is_empty() && !workers.plan.is_empty() {
            let plan = workers.plan.join(", ");
            lines.push(format!("{} pending upgrade to version {plan}", words.list(&pending)));
        }
        let mut is_held_back = false;
        if !deferred.is_empty() {
            let names = words.list(&deferred.into_iter().collect::<Vec<_>>());
            let annotations = words.annotations;
            lines
                .push(format!("{names} upgrade to version {version} deferred using {annotations}"));
            is_held_back = self.blocking.is_empty()
                && !self.is_control_plane_upgrading()
                && upgrading.is_empty()
                && pending.is_empty();
        }
        if !workers.pending_create.is_empty() {
            let names = words.list(&workers.pending_create.iter().collect::<Vec<_>>());
            lines.push(format!(
                "{names} creation deferred while control plane upgrade is in progress"
            ));
        }
        is_held_back
    }
}

impl Words {
    /// Names, at most three of them.
    fn list(&self, names: &[&String]) -> String {
        let shown: Vec<&str> = names.iter().take(3).map(|name| name.as_str()).collect();
        let shown = shown.join(", ");
        match names.len() {
            1 => format!("{} {shown}", self.one),
            0..=3 => format!("{} {shown}", self.many),
            count => format!("{} {shown}, ... ({} more)", self.many, count - 3),
        }
    }
}

/// Versions of a plan beside one, in brackets.
fn left(plan: &[String], version: &str) -> String {
    let left: Vec<&str> =
        plan.iter().map(String::as_str).filter(|planned| *planned != version).collect();
    if left.is_empty() { String::new() } else { format!(" ({} pending)", left.join(", ")) }
}

/// Writes the upgrade plans into the status, if they are known and not what is there. Outside
/// upgrades there are none, and nothing is asked.
///
/// # Errors
/// A request failed.
pub(super) async fn write_plans(
    client: &Client,
    before: &Cluster,
    tracker: &UpgradeTracker,
) -> Result<(), ClientError> {
    let workers = match tracker.machine_pools.plan.as_slice() {
        [] => &tracker.machine_deployments.plan,
        plan => plan,
    };
    let is_idle =
        tracker.control_plane.plan.is_empty() && workers.is_empty() && is_reconciled(before);
    if !tracker.is_planned || is_idle {
        return Ok(());
    }
    let key = ObjectKey::of(before);
    let resource = super::kinds::core_resource("Cluster");
    let Some(held) = client.get_dynamic(&resource, &key).await? else { return Ok(()) };
    let mut status = json!({});
    for (part, plan) in [("controlPlane", &tracker.control_plane.plan[..]), ("workers", workers)] {
        let wanted: Value = plan.iter().map(|version| json!({ "version": version })).collect();
        let shown = held["status"][part].get("upgradePlan");
        let is_same = match shown {
            Some(shown) => *shown == wanted,
            None => plan.is_empty(),
        };
        if !is_same {
            let wanted = if plan.is_empty() { Value::Null } else { wanted };
            tree::set(&mut status, &[part, "upgradePlan"], wanted);
        }
    }
    if status != json!({}) {
        let patch = json!({ "status": status });
        client.merge_patch_dynamic(&resource, &key, "status", &patch).await?;
    }
    Ok(())
}

/// Whether the last reconcile left nothing to do.
fn is_reconciled(cluster: &Cluster) -> bool {
    let status = cluster.status.as_ref();
    status.is_none_or(|status| {
        let condition = conditions::get(&status.conditions, TYPE);
        condition.is_none_or(|condition| condition.status == "True")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> BTreeSet<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn check(tracker: &UpgradeTracker, version: &str, blocking: &str, want: (&str, &[&str])) {
        let progress = Progress {
            topology: "v1.35.0",
            control_plane: "KubeadmControlPlane",
            version,
            tracker,
            blocking,
        };
        let (reason, message) = progress.describe();
        assert_eq!((reason, message), (want.0, want.1.join("\n  * ")));
    }

    #[test]
    fn the_message_follows_an_upgrade_over_two_minors() {
        let mut tracker = UpgradeTracker::new(1);
        tracker.control_plane.plan = vec!["v1.34.0".into(), "v1.35.0".into()];
        tracker.machine_deployments.plan = vec!["v1.35.0".into()];
        tracker.control_plane.is_starting_upgrade = true;
        tracker.machine_deployments.pending_upgrade = names("md-a md-b");
        let title = "Cluster is upgrading to v1.35.0";
        check(
            &tracker,
            "v1.34.0",
            "",
            (
                "ClusterUpgrading",
                &[
                    title,
                    "KubeadmControlPlane upgrading to version v1.34.0 (v1.35.0 pending)",
                    "MachineDeployments md-a, md-b pending upgrade to version v1.35.0",
                ],
            ),
        );
        tracker.control_plane = Default::default();
        tracker.machine_deployments.upgrading = names("md-a");
        check(
            &tracker,
            "v1.35.0",
            "",
            (
                "ClusterUpgrading",
                &[
                    title,
                    "MachineDeployment md-a upgrading to version v1.35.0",
                    "MachineDeployment md-b pending upgrade to version v1.35.0",
                ],
            ),
        );
    }

    #[test]
    fn a_deferred_upgrade_is_the_reason_if_nothing_else_is_under_way() {
        let mut tracker = UpgradeTracker::new(1);
        tracker.machine_deployments.plan = vec!["v1.35.0".into()];
        tracker.machine_deployments.pending_upgrade = names("a b c d");
        tracker.machine_deployments.deferred = names("a b c d");
        let line = "MachineDeployments a, b, c, ... (1 more) upgrade to version v1.35.0 deferred using defer-upgrade or hold-upgrade-sequence annotations";
        let title = "Cluster is upgrading to v1.35.0";
        check(&tracker, "v1.35.0", "", ("MachineDeploymentsUpgradeDeferred", &[title, line]));
        let blocking = "Following hooks are blocking upgrade: AfterClusterUpgrade";
        check(&tracker, "v1.35.0", blocking, ("ClusterUpgrading", &[title, blocking, line]));
        tracker.machine_deployments.pending_create = names("new");
        tracker.control_plane.is_upgrading = true;
        check(
            &tracker,
            "v1.35.0",
            "",
            (
                "ClusterUpgrading",
                &[
                    title,
                    "KubeadmControlPlane upgrading to version v1.35.0",
                    line,
                    "MachineDeployment new creation deferred while control plane upgrade is in progress",
                ],
            ),
        );
    }
}
