//! How far an upgrade has come. (CAPI v1.14: exp/topology/scope/upgradetracker.go)

use std::collections::BTreeSet;

/// Upgrade of one Cluster, worked out anew in each reconcile.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct UpgradeTracker {
    /// Control plane.
    pub control_plane: ControlPlaneTracker,
    /// MachineDeployments, by name.
    pub machine_deployments: WorkerTracker,
    /// MachinePools, by name.
    pub machine_pools: WorkerTracker,
    /// Oldest version of any workers; empty without workers.
    pub min_workers_version: String,
    /// The plans are known, be they empty.
    pub is_planned: bool,
}

/// Upgrade of the control plane.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ControlPlaneTracker {
    /// It is not at the topology's version and does not go on in this reconcile.
    pub is_pending_upgrade: bool,
    /// It waits for workers, so that they do not fall too far behind.
    pub is_waiting_for_workers: bool,
    /// It has never run.
    pub is_provisioning: bool,
    /// It is in the middle of an upgrade.
    pub is_upgrading: bool,
    /// It gets its next version in this reconcile.
    pub is_starting_upgrade: bool,
    /// Versions to go through.
    pub plan: Vec<String>,
}

/// Upgrade of MachineDeployments or of MachinePools.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct WorkerTracker {
    /// Names within the topology of those that wait for a stable control plane to be made.
    pub pending_create: BTreeSet<String>,
    /// Names of those that do not get their next version in this reconcile.
    pub pending_upgrade: BTreeSet<String>,
    /// Names of those that the user holds back.
    pub deferred: BTreeSet<String>,
    /// Names of those that are upgrading, or will be after this reconcile.
    pub upgrading: BTreeSet<String>,
    /// Versions to go through.
    pub plan: Vec<String>,
    /// How many may be upgrading at a time.
    pub concurrency: usize,
}

impl UpgradeTracker {
    /// `concurrency` is for MachineDeployments; MachinePools have the same.
    /// (CAPI v1.14: exp/topology/scope/scope.go)
    pub(crate) fn new(concurrency: usize) -> Self {
        let workers = WorkerTracker { concurrency: concurrency.max(1), ..WorkerTracker::default() };
        Self { machine_deployments: workers.clone(), machine_pools: workers, ..Self::default() }
    }

    /// Whether the control plane or any workers are not at the topology's version.
    pub(super) fn is_anything_upgrading(&self) -> bool {
        let control_plane = &self.control_plane;
        control_plane.is_pending_upgrade
            || control_plane.is_starting_upgrade
            || control_plane.is_upgrading
            || self.machine_deployments.is_anything_open()
            || self.machine_pools.is_anything_open()
    }
}

impl ControlPlaneTracker {
    /// Whether nothing happens to it and nothing is about to.
    pub(super) fn is_stable(&self) -> bool {
        !self.is_provisioning
            && !self.is_upgrading
            && !self.is_starting_upgrade
            && !self.is_pending_upgrade
    }

    /// Whether nothing happens to it until the workers have followed.
    pub(super) fn is_stable_for_workers(&self) -> bool {
        !self.is_provisioning
            && !self.is_upgrading
            && !self.is_starting_upgrade
            && (!self.is_pending_upgrade || self.is_waiting_for_workers)
    }
}

impl WorkerTracker {
    /// Whether as many are upgrading as may.
    pub(super) fn is_full(&self) -> bool {
        self.upgrading.len() >= self.concurrency
    }

    /// Whether anything is upgrading, pending or deferred.
    pub(super) fn is_anything_open(&self) -> bool {
        !(self.upgrading.is_empty()
            && self.pending_upgrade.is_empty()
            && self.deferred.is_empty()
            && self.pending_create.is_empty())
    }
}
