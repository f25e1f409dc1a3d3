//! Rows of KubeadmControlPlanes.

use jiff::Timestamp;

use super::{Severity, created, display_name, is_moving, is_true, was_true_before, why_not};
use crate::api::controlplane::{KubeadmControlPlane, KubeadmControlPlaneStatus};
use crate::contract::labels;
use crate::tui::text::age;

/// State of a control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KcpState {
    /// Was available and is not any more.
    Degraded,
    /// Being deleted.
    Deleting,
    /// The first machine is not up yet.
    Initializing,
    /// Machines come or go.
    Scaling,
    /// Nothing is reconciled.
    Paused,
    /// Available.
    Available,
}

impl KcpState {
    /// Sign and word.
    pub fn label(self) -> (&'static str, &'static str) {
        match self {
            Self::Degraded => ("▲", "Degraded"),
            Self::Deleting => ("◌", "Deleting"),
            Self::Initializing => ("◐", "Initializing"),
            Self::Scaling => ("◔", "Scaling"),
            Self::Paused => ("‖", "Paused"),
            Self::Available => ("●", "Available"),
        }
    }

    /// How bad it is.
    pub fn severity(self) -> Severity {
        match self {
            Self::Degraded => Severity::Degraded,
            Self::Deleting | Self::Initializing | Self::Scaling => Severity::Busy,
            Self::Available | Self::Paused => Severity::Calm,
        }
    }
}

/// What a row shows of a KubeadmControlPlane.
#[derive(Clone, Debug, PartialEq)]
pub struct KcpRow {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Name as shown.
    pub shown_name: String,
    /// Cluster.
    pub cluster: String,
    /// State.
    pub state: KcpState,
    /// Ready and desired machines.
    pub replicas: String,
    /// Up-to-date machines.
    pub up_to_date: String,
    /// Kubernetes version.
    pub version: String,
    /// Creation.
    pub created: Option<Timestamp>,
    /// Why it is not available.
    pub why: String,
}

impl KcpRow {
    /// Column headers.
    pub const HEADERS: [&'static str; 8] =
        ["NAME", "CLUSTER", "STATE", "READY", "UP-TO-DATE", "VERSION", "AGE", "WHY"];

    /// Row of an object.
    pub fn of(kcp: &KubeadmControlPlane) -> Self {
        let unknown = KubeadmControlPlaneStatus::default();
        let status = kcp.status.as_ref().unwrap_or(&unknown);
        let desired = kcp.spec.replicas.unwrap_or(1);
        let cluster = kcp.metadata.labels.as_ref().and_then(|all| all.get(labels::CLUSTER_NAME));
        let state = state(kcp);
        Self {
            namespace: kcp.metadata.namespace.clone().unwrap_or_default(),
            name: kcp.metadata.name.clone().unwrap_or_default(),
            shown_name: display_name(&kcp.metadata),
            cluster: cluster.cloned().unwrap_or_default(),
            state,
            replicas: format!("{}/{desired}", status.ready_replicas.unwrap_or(0)),
            up_to_date: status.up_to_date_replicas.unwrap_or(0).to_string(),
            version: status.version.clone(),
            created: created(&kcp.metadata),
            why: match state {
                KcpState::Available => String::new(),
                _ => why_not(&status.conditions, "Available"),
            },
        }
    }

    /// Cells in the order of [`Self::HEADERS`].
    pub fn cells(&self, now: Timestamp) -> [String; 8] {
        let (sign, word) = self.state.label();
        [
            self.shown_name.clone(),
            self.cluster.clone(),
            format!("{sign} {word}"),
            self.replicas.clone(),
            self.up_to_date.clone(),
            self.version.clone(),
            age(self.created, now),
            self.why.clone(),
        ]
    }
}

fn state(kcp: &KubeadmControlPlane) -> KcpState {
    let Some(status) = &kcp.status else { return KcpState::Initializing };
    let conditions = status.conditions.as_slice();
    let initialized =
        status.initialization.as_ref().and_then(|all| all.control_plane_initialized) == Some(true);
    if kcp.metadata.deletion_timestamp.is_some() {
        KcpState::Deleting
    } else if is_true(conditions, "Paused") {
        KcpState::Paused
    } else if !initialized {
        KcpState::Initializing
    } else if is_true(conditions, "Available") {
        if is_moving(conditions) { KcpState::Scaling } else { KcpState::Available }
    } else if was_true_before(conditions, "Available", &kcp.metadata) {
        KcpState::Degraded
    } else if is_moving(conditions) {
        KcpState::Scaling
    } else {
        KcpState::Initializing
    }
}
