//! Remediation of Machines that a health check gave up: which goes first, whether it may go, and
//! what is kept of it for its successor. Pure.
//! (CAPI v1.14: remediation.go of controlplane/kubeadm)

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Serialize};

use super::etcd::{self, Change};
use super::scope::{
    ControlPlane, ETCD_MEMBER, NODE_MARKS, OwnedMachine, REMEDIATION_FOR, REMEDIATION_IN_PROGRESS,
};
use super::step;
use crate::api::controlplane::KcpLastRemediation;
use crate::contract::conditions::{self, New, v1beta1};
use crate::contract::{labels, machines};
use crate::machinery::duration;

const HEALTHY: &str = "HealthCheckSucceeded";
pub(super) const REMEDIATED: &str = "OwnerRemediated";
/// `remediation.minHealthyPeriodSeconds` where none is given.
const MIN_HEALTHY_PERIOD: Duration = Duration::from_secs(3600);

/// What annotations keep of a remediation, on the control plane until there is a successor and on
/// the successor from then on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    /// The Machine that went.
    #[serde(default)]
    pub(super) machine: String,
    /// When.
    #[serde(default)]
    pub(super) timestamp: Option<Time>,
    /// How often successors failed in a row.
    #[serde(default)]
    pub(super) retry_count: i32,
}

impl Record {
    fn read(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| {
            format!(
                "failed to unmarshal value {text} for RemediationInProgress annotation: {error}"
            )
        })
    }

    /// The annotation's value.
    pub(super) fn text(&self) -> String {
        // A struct of strings and numbers always encodes.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What the status may say of it: annotations hold whatever somebody wrote there.
    fn status(self) -> Option<KcpLastRemediation> {
        let is_whole = !self.machine.is_empty() && self.machine.len() <= 253;
        let time = self.timestamp.filter(|_| is_whole && self.retry_count >= 0)?;
        Some(KcpLastRemediation {
            machine: self.machine,
            time: Some(time),
            retry_count: Some(self.retry_count),
        })
    }
}

/// Why a Machine is not remediated now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Name of the Machine.
    pub(super) machine: String,
    /// Reason of its condition.
    pub(super) reason: &'static str,
    /// Message of its condition.
    pub(super) message: String,
    /// Where the older family says it otherwise.
    v1beta1_message: Option<&'static str>,
    /// When another look is worth while, if time alone changes something.
    pub(super) again: Option<Timestamp>,
}

/// What remediation does in this reconcile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Nothing.
    None,
    /// It refuses; other operations go on.
    Refuse(Refusal),
    /// A Machine is deleted.
    Delete {
        /// Its name.
        machine: String,
        /// Members that may take over etcd's leadership.
        successors: Vec<String>,
        /// What to keep.
        record: Record,
    },
    /// A Machine would be deleted, but etcd's leadership cannot be moved away from it.
    Fail {
        /// Its name.
        machine: String,
        /// Why.
        error: &'static str,
    },
}

/// Takes back what is out of date: the request to remediate a Machine that is healthy again, and the
/// mark of a remediation whose successor exists.
///
/// # Errors
/// A message about an annotation that cannot be read.
pub(super) fn clean_up(control_plane: &mut ControlPlane) -> Result<(), String> {
    for owned in control_plane.machines.iter_mut().filter(|owned| !owned.is_deleting()) {
        let is_old_over = v1beta1::is_true(owned.v1beta1_conditions(), HEALTHY)
            && v1beta1::get(owned.v1beta1_conditions(), REMEDIATED)
                .is_some_and(|condition| condition.status == "False");
        let is_over =
            owned.is_true(HEALTHY) && conditions::is_false(owned.conditions(), REMEDIATED);
        if !is_old_over && !is_over {
            continue;
        }
        let status = owned.machine.status.get_or_insert_default();
        if is_over {
            conditions::remove(&mut status.conditions, REMEDIATED);
        }
        let deprecated = status.deprecated.as_mut().and_then(|d| d.v1beta1.as_mut());
        if let (true, Some(deprecated)) = (is_old_over, deprecated) {
            deprecated.conditions.retain(|condition| condition.type_ != REMEDIATED);
        }
    }
    let Some(text) = control_plane.annotation(REMEDIATION_IN_PROGRESS) else { return Ok(()) };
    let record = Record::read(text)?;
    let since = record.timestamp.map(|time| time.0);
    let is_newer = |owned: &OwnedMachine| {
        let created = owned.machine.metadata.creation_timestamp.as_ref();
        created.is_some_and(|created| since.is_none_or(|since| created.0 > since))
    };
    if control_plane.machines.iter().any(is_newer) {
        end(control_plane);
    }
    Ok(())
}

/// Notes on the control plane that a Machine was deleted.
pub(super) fn begin(control_plane: &mut ControlPlane, record: &Record) {
    let annotations = control_plane.kcp.metadata.annotations.get_or_insert_default();
    annotations.insert(REMEDIATION_IN_PROGRESS.to_owned(), record.text());
}

/// Takes the note back.
pub(super) fn end(control_plane: &mut ControlPlane) {
    if let Some(annotations) = &mut control_plane.kcp.metadata.annotations {
        annotations.remove(REMEDIATION_IN_PROGRESS);
    }
}

/// `status.lastRemediation`: the one in progress, or the last one that a Machine remembers.
pub(super) fn last(control_plane: &ControlPlane) -> Option<KcpLastRemediation> {
    if let Some(text) = control_plane.annotation(REMEDIATION_IN_PROGRESS) {
        return Record::read(text).ok().and_then(Record::status);
    }
    let notes = control_plane.machines.iter().filter_map(|o| o.annotation(REMEDIATION_FOR));
    let records = notes.filter_map(|text| Record::read(text).ok());
    records.max_by_key(|record| record.timestamp.as_ref().map(|t| t.0)).and_then(Record::status)
}

/// Decides what to do about Machines that a health check gave up. No Machine is being deleted.
///
/// # Errors
/// A message about an annotation that cannot be read.
pub(super) fn decide(control_plane: &ControlPlane) -> Result<Decision, String> {
    let ours = |owned: &&OwnedMachine| machines::is_unhealthy_and_owner_remediated(&owned.machine);
    let marked: Vec<&OwnedMachine> = control_plane.machines.iter().filter(ours).collect();
    let Some(owned) = most_broken(control_plane, &marked) else { return Ok(Decision::None) };
    if owned.is_deleting() || control_plane.is_remediating() {
        return Ok(Decision::None);
    }
    if let Some(version) = step::awaited_version(control_plane) {
        let message = format!(
            "KubeadmControlPlane can't remediate while waiting for a version upgrade to {version} to \
             be propagated from Cluster.spec.topology"
        );
        return Ok(deferred(owned, message, None));
    }
    let record = match next_record(control_plane, owned)? {
        Ok(record) => record,
        Err(refusal) => return Ok(Decision::Refuse(refusal)),
    };
    let mut successors = Vec::new();
    if control_plane.is_initialized() {
        if let Some(refused) = unsafe_to_delete(control_plane, owned) {
            return Ok(refused);
        }
        if control_plane.is_etcd_managed() {
            match etcd::successors(control_plane, owned) {
                Ok(found) => successors = found,
                Err(error) => {
                    return Ok(Decision::Fail { machine: owned.name().to_owned(), error });
                }
            }
        }
    }
    Ok(Decision::Delete { machine: owned.name().to_owned(), successors, record })
}

/// The Machine with the gravest trouble: what the user named, what never had a Node, etcd, then the
/// other components; the oldest of equals.
fn most_broken<'a>(
    control_plane: &ControlPlane,
    marked: &[&'a OwnedMachine],
) -> Option<&'a OwnedMachine> {
    let mut types = Vec::new();
    if control_plane.is_etcd_managed() {
        types.extend([ETCD_MEMBER, "EtcdPodHealthy"]);
    }
    types.extend([
        "APIServerPodHealthy",
        "ControllerManagerPodHealthy",
        "SchedulerPodHealthy",
        NODE_MARKS,
    ]);
    marked.iter().copied().min_by_key(|owned| {
        let metadata = &owned.machine.metadata;
        let is_named = labels::has_annotation(metadata, labels::REMEDIATE_MACHINE);
        let health: Vec<bool> = types.iter().map(|type_| owned.is_true(type_)).collect();
        let created = metadata.creation_timestamp.as_ref().map(|time| time.0);
        (!is_named, owned.has_node(), health, created, owned.name())
    })
}

fn refused(
    owned: &OwnedMachine,
    reason: &'static str,
    message: impl Into<String>,
    v1beta1_message: Option<&'static str>,
) -> Decision {
    Decision::Refuse(Refusal {
        machine: owned.name().to_owned(),
        reason,
        message: message.into(),
        v1beta1_message,
        again: None,
    })
}

fn deferred(
    owned: &OwnedMachine,
    message: impl Into<String>,
    v1beta1_message: Option<&'static str>,
) -> Decision {
    refused(owned, "RemediationDeferred", message, v1beta1_message)
}

/// Rules of a control plane that works: nothing may get worse.
fn unsafe_to_delete(control_plane: &ControlPlane, owned: &OwnedMachine) -> Option<Decision> {
    const CANNOT: &str = "CannotBeRemediated";
    if control_plane.machines.len() <= 1 {
        let message =
            "KubeadmControlPlane can't remediate if current replicas are less or equal to 1";
        return Some(refused(owned, CANNOT, message, None));
    }
    let is_provisioning =
        |owned: &OwnedMachine| !machines::is_unhealthy(&owned.machine) && !owned.has_node();
    if control_plane.machines.iter().any(is_provisioning) {
        let message = "KubeadmControlPlane waiting for control plane Machine provisioning to \
                       complete before triggering remediation";
        let old = "KubeadmControlPlane waiting for control plane machine provisioning to complete \
                   before triggering remediation";
        return Some(deferred(owned, message, Some(old)));
    }
    // An external etcd has no members that we know, and upstream asks all the same: with it nothing
    // is ever remediated.
    if control_plane.members().is_none_or(|etcd| etcd.members.is_empty()) {
        let message = "Failed to check etcd cluster health before remediation";
        return Some(deferred(owned, message, None));
    }
    let keeps_etcd = !control_plane.is_etcd_managed()
        || etcd::member_name(control_plane, owned)
            .is_none_or(|name| etcd::keeps_quorum(control_plane, Change::Remove(&name)));
    if !step::leaves_healthy_components(control_plane, owned.name()) || !keeps_etcd {
        let message = "KubeadmControlPlane can't remediate this Machine because this could result in \
                       loosing Kubernetes control plane components or in etcd quorum loss";
        return Some(refused(owned, CANNOT, message, None));
    }
    None
}

/// What to keep of the next remediation, or why the limits forbid it.
/// (CAPI v1.14: checkRetryLimits)
fn next_record(
    control_plane: &ControlPlane,
    owned: &OwnedMachine,
) -> Result<Result<Record, Refusal>, String> {
    let now = control_plane.now;
    // Times in annotations have seconds, like all of Kubernetes'.
    let timestamp = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let mut record = Record {
        machine: owned.name().to_owned(),
        timestamp: Some(Time(timestamp)),
        retry_count: 0,
    };
    let Some(text) = owned.annotation(REMEDIATION_FOR) else { return Ok(Ok(record)) };
    let before = Record::read(text)?;
    let limits = control_plane.kcp.spec.remediation.clone().unwrap_or_default();
    let seconds = |seconds: Option<i32>| {
        seconds.map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    };
    let min_healthy = seconds(limits.min_healthy_period_seconds).unwrap_or(MIN_HEALTHY_PERIOD);
    let period = seconds(limits.retry_period_seconds).unwrap_or_default();
    let Some(since) = before.timestamp.map(|time| time.0) else { return Ok(Ok(record)) };
    let ends = |period: Duration| since.checked_add(period).unwrap_or(Timestamp::MAX);
    if ends(min_healthy) <= now {
        return Ok(Ok(record));
    }
    record.retry_count = before.retry_count;
    let refuse = |reason, message, again| {
        Ok(Err(Refusal {
            machine: owned.name().to_owned(),
            reason,
            message,
            v1beta1_message: None,
            again: Some(again),
        }))
    };
    if ends(period) > now {
        let message = format!(
            "KubeadmControlPlane can't remediate this machine because the operation already failed \
             in the latest {} (RetryPeriodSeconds)",
            duration::format(period)
        );
        return refuse("RemediationDeferred", message, ends(period));
    }
    if let Some(limit) = limits.max_retry.filter(|limit| record.retry_count >= *limit) {
        let message = format!(
            "KubeadmControlPlane can't remediate this machine because the operation already failed \
             {limit} times (MaxRetry)"
        );
        return refuse("CannotBeRemediated", message, ends(min_healthy));
    }
    record.retry_count = record.retry_count.saturating_add(1);
    Ok(Ok(record))
}

/// Says on the Machine why it is not remediated.
pub(super) fn mark_refused(control_plane: &mut ControlPlane, refusal: &Refusal) {
    let now = control_plane.now;
    let Some(owned) = control_plane.machine_mut(&refusal.machine) else { return };
    let old = refusal.v1beta1_message.unwrap_or(&refusal.message);
    owned.set_v1beta1(v1beta1::no(REMEDIATED, "WaitingForRemediation", "Warning", old), now);
    owned.set(New::no(REMEDIATED, refusal.reason, refusal.message.clone()), now);
}

/// Says on the Machine that it goes.
pub(super) fn mark_deleting(owned: &mut OwnedMachine, now: Timestamp) {
    owned.set_v1beta1(v1beta1::no(REMEDIATED, "RemediationInProgress", "Warning", ""), now);
    owned.set(New::no(REMEDIATED, "MachineDeleting", "Machine is deleting"), now);
}

/// Says on the Machine that it should go and cannot.
pub(super) fn mark_failed(
    owned: &mut OwnedMachine,
    (reason, message): (&'static str, &str),
    error: &str,
    now: Timestamp,
) {
    owned.set_v1beta1(v1beta1::no(REMEDIATED, "RemediationFailed", "Error", error), now);
    owned.set(New::no(REMEDIATED, reason, message), now);
}
