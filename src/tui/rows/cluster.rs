//! Rows of Clusters.

use jiff::Timestamp;

use super::{
    Severity, created, display_name, is_moving, is_true, moving_why, sentence, was_true_before,
    why_not,
};
use crate::api::core::{Cluster, ClusterStatus, ReplicaCounts};
use crate::contract::conditions;
use crate::tui::text::age;

/// State of a cluster in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterState {
    /// Failed.
    Failed,
    /// Was available and is not any more.
    Degraded,
    /// Being deleted.
    Deleting,
    /// Not available yet.
    Provisioning,
    /// Available while machines come or go.
    Scaling,
    /// Reconciliation is paused.
    Paused,
    /// Not reconciled yet.
    New,
    /// Available.
    Available,
}

impl ClusterState {
    /// Sign and word.
    pub fn label(self) -> (&'static str, &'static str) {
        match self {
            Self::Failed => ("✖", "Failed"),
            Self::Degraded => ("▲", "Degraded"),
            Self::Deleting => ("◌", "Deleting"),
            Self::Provisioning => ("◐", "Provision"),
            Self::Scaling => ("◔", "Scaling"),
            Self::Paused => ("‖", "Paused"),
            Self::New => ("○", "New"),
            Self::Available => ("●", "Available"),
        }
    }

    /// How bad it is.
    pub fn severity(self) -> Severity {
        match self {
            Self::Failed => Severity::Failed,
            Self::Degraded => Severity::Degraded,
            Self::Deleting | Self::Provisioning | Self::Scaling | Self::New => Severity::Busy,
            Self::Paused | Self::Available => Severity::Calm,
        }
    }
}

/// What a row shows of a Cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterRow {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Name as shown.
    pub shown_name: String,
    /// State.
    pub state: ClusterState,
    /// Ready and desired control plane machines.
    pub control_plane: String,
    /// Ready and desired workers.
    pub workers: String,
    /// Kubernetes version, empty if unknown.
    pub version: String,
    /// Creation.
    pub created: Option<Timestamp>,
    /// Why it is not available.
    pub why: String,
}

impl ClusterRow {
    /// Column headers.
    pub const HEADERS: [&'static str; 7] =
        ["NAME", "STATE", "CP", "WORKERS", "VERSION", "AGE", "WHY"];

    /// Row of an object.
    pub fn of(cluster: &Cluster) -> Self {
        let unknown = ClusterStatus::default();
        let status = cluster.status.as_ref().unwrap_or(&unknown);
        let state = state(cluster);
        let version = status.control_plane.as_ref().and_then(|counts| counts.versions.first());
        let deleting = conditions::get(&status.conditions, "Deleting");
        let deleting = deleting.map(|it| sentence(&it.message)).unwrap_or_default();
        Self {
            namespace: cluster.metadata.namespace.clone().unwrap_or_default(),
            name: cluster.metadata.name.clone().unwrap_or_default(),
            shown_name: display_name(&cluster.metadata),
            state,
            control_plane: counts(status.control_plane.as_ref()),
            workers: counts(status.workers.as_ref()),
            version: version.map(|version| version.version.clone()).unwrap_or_default(),
            created: created(&cluster.metadata),
            why: match state {
                ClusterState::Available | ClusterState::Paused | ClusterState::New => String::new(),
                ClusterState::Scaling => scaling_why(&status.conditions),
                ClusterState::Deleting if !deleting.is_empty() => deleting,
                _ => why_not(&status.conditions, "Available"),
            },
        }
    }

    /// Cells in the order of [`Self::HEADERS`].
    pub fn cells(&self, now: Timestamp) -> [String; 7] {
        let (sign, word) = self.state.label();
        [
            self.shown_name.clone(),
            format!("{sign} {word}"),
            self.control_plane.clone(),
            self.workers.clone(),
            self.version.clone(),
            age(self.created, now),
            self.why.clone(),
        ]
    }
}

fn state(cluster: &Cluster) -> ClusterState {
    let Some(status) = &cluster.status else { return ClusterState::New };
    let conditions = status.conditions.as_slice();
    if cluster.metadata.deletion_timestamp.is_some() {
        ClusterState::Deleting
    } else if status.phase == "Failed" {
        ClusterState::Failed
    } else if is_true(conditions, "Paused") {
        ClusterState::Paused
    } else if is_true(conditions, "Available") {
        if is_moving(conditions) { ClusterState::Scaling } else { ClusterState::Available }
    } else if was_true_before(conditions, "Available", &cluster.metadata) {
        ClusterState::Degraded
    } else {
        ClusterState::Provisioning
    }
}

fn scaling_why(conditions: &[crate::api::conditions::Condition]) -> String {
    moving_why(conditions)
}

fn counts(counts: Option<&ReplicaCounts>) -> String {
    let Some(counts) = counts else { return "-".to_owned() };
    format!("{}/{}", counts.ready_replicas.unwrap_or(0), counts.desired_replicas.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cluster(available: &str, changed: &str, more: serde_json::Value) -> Cluster {
        let mut object = json!({
            "metadata": {"name": "a", "namespace": "default", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "status": {
                "conditions": [{
                    "type": "Available", "status": available, "reason": "R", "message": "* X: y\n",
                    "lastTransitionTime": changed,
                }],
                "controlPlane": {"readyReplicas": 1, "desiredReplicas": 3},
            },
        });
        crate::machinery::patch::merge::apply(&mut object, &more);
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn states_follow_conditions() {
        let state = |cluster: &Cluster| ClusterRow::of(cluster).state;
        let start = "2026-01-01T00:00:01Z";
        let later = "2026-01-01T00:01:00Z";
        assert_eq!(state(&cluster("True", later, json!({}))), ClusterState::Available);
        assert_eq!(state(&cluster("False", start, json!({}))), ClusterState::Provisioning);
        assert_eq!(state(&cluster("False", later, json!({}))), ClusterState::Degraded);
        let deleting = json!({"metadata": {"deletionTimestamp": later}});
        assert_eq!(state(&cluster("True", later, deleting)), ClusterState::Deleting);
        assert_eq!(state(&Cluster::default()), ClusterState::New);
    }

    #[test]
    fn cells_show_counts_and_reason() {
        let row = ClusterRow::of(&cluster("False", "2026-01-01T00:00:01Z", json!({})));
        let cells = row.cells("2026-01-01T00:00:42Z".parse().unwrap());
        assert_eq!(cells, ["a", "◐ Provision", "1/3", "-", "", "42s", "X: y"]);
    }
}
