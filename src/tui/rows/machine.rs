//! Rows of Machines.

use jiff::Timestamp;

use super::{Severity, created, display_name, is_true, was_true_before, why_not};
use crate::api::core::{Machine, MachineStatus};
use crate::contract::labels;
use crate::tui::text::age;

/// State of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineState {
    /// Failed.
    Failed,
    /// Was ready and is not any more.
    Degraded,
    /// Being deleted.
    Deleting,
    /// On its way.
    Provisioning,
    /// Ready.
    Ready,
}

impl MachineState {
    /// Sign.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Failed => "✖",
            Self::Degraded => "▲",
            Self::Deleting => "◌",
            Self::Provisioning => "◐",
            Self::Ready => "●",
        }
    }

    /// How bad it is.
    pub fn severity(self) -> Severity {
        match self {
            Self::Failed => Severity::Failed,
            Self::Degraded => Severity::Degraded,
            Self::Deleting | Self::Provisioning => Severity::Busy,
            Self::Ready => Severity::Calm,
        }
    }
}

/// What a row shows of a Machine.
#[derive(Clone, Debug, PartialEq)]
pub struct MachineRow {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Name as shown.
    pub shown_name: String,
    /// Cluster.
    pub cluster: String,
    /// `cp` or `worker`.
    pub role: &'static str,
    /// State.
    pub state: MachineState,
    /// Phase as upstream names it.
    pub phase: String,
    /// Node, empty if there is none yet.
    pub node: String,
    /// Kubernetes version.
    pub version: String,
    /// Creation.
    pub created: Option<Timestamp>,
    /// Why it is not ready.
    pub why: String,
}

impl MachineRow {
    /// Column headers.
    pub const HEADERS: [&'static str; 7] =
        ["NAME", "CLUSTER", "ROLE", "PHASE", "VERSION", "AGE", "WHY"];

    /// Row of an object.
    pub fn of(machine: &Machine) -> Self {
        let unknown = MachineStatus::default();
        let status = machine.status.as_ref().unwrap_or(&unknown);
        let in_control_plane = machine
            .metadata
            .labels
            .as_ref()
            .is_some_and(|all| all.contains_key(labels::CONTROL_PLANE));
        let state = state(machine);
        Self {
            namespace: machine.metadata.namespace.clone().unwrap_or_default(),
            name: machine.metadata.name.clone().unwrap_or_default(),
            shown_name: display_name(&machine.metadata),
            cluster: machine.spec.cluster_name.clone(),
            role: if in_control_plane { "cp" } else { "worker" },
            state,
            phase: if status.phase.is_empty() {
                "Pending".to_owned()
            } else {
                status.phase.clone()
            },
            node: status.node_ref.as_ref().map(|node| node.name.clone()).unwrap_or_default(),
            version: machine.spec.version.clone(),
            created: created(&machine.metadata),
            why: if state == MachineState::Ready {
                String::new()
            } else {
                why_not(&status.conditions, "Ready")
            },
        }
    }

    /// How bad its state is.
    pub fn severity(&self) -> Severity {
        self.state.severity()
    }

    /// Cells in the order of [`Self::HEADERS`].
    pub fn cells(&self, now: Timestamp) -> [String; 7] {
        [
            self.shown_name.clone(),
            self.cluster.clone(),
            self.role.to_owned(),
            format!("{} {}", self.state.sign(), self.phase),
            self.version.clone(),
            age(self.created, now),
            self.why.clone(),
        ]
    }
}

fn state(machine: &Machine) -> MachineState {
    let Some(status) = &machine.status else { return MachineState::Provisioning };
    if machine.metadata.deletion_timestamp.is_some() {
        MachineState::Deleting
    } else if status.phase == "Failed" {
        MachineState::Failed
    } else if is_true(&status.conditions, "Ready") {
        MachineState::Ready
    } else if status.node_ref.is_some()
        && was_true_before(&status.conditions, "Ready", &machine.metadata)
    {
        MachineState::Degraded
    } else {
        MachineState::Provisioning
    }
}
