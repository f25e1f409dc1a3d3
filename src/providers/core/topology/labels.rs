//! Labels and annotations of managed topologies. (CAPI v1.14: api/core/v1beta2/common_types.go)

/// Label: the object belongs to a managed topology.
pub(crate) const OWNED: &str = "topology.cluster.x-k8s.io/owned";
/// Label: name of the MachineDeployment within its topology.
pub(crate) const DEPLOYMENT_NAME: &str = "topology.cluster.x-k8s.io/deployment-name";
/// Label: name of the MachinePool within its topology.
pub(crate) const POOL_NAME: &str = "topology.cluster.x-k8s.io/pool-name";
/// Annotation of a Cluster: version that an upgrade has come to.
pub(super) const UPGRADE_STEP: &str = "topology.internal.cluster.x-k8s.io/upgrade-step";
/// Annotation of workers of a topology: they and those after them are not upgraded.
pub(super) const HOLD_UPGRADE_SEQUENCE: &str = "topology.cluster.x-k8s.io/hold-upgrade-sequence";
/// Annotation of workers of a topology: they are not upgraded.
pub(super) const DEFER_UPGRADE: &str = "topology.cluster.x-k8s.io/defer-upgrade";
/// Annotation of a Cluster: how many MachineDeployments are upgraded at a time.
pub(super) const UPGRADE_CONCURRENCY: &str = "topology.cluster.x-k8s.io/upgrade-concurrency";
/// Annotation of objects in a dry run: they may change where they are immutable.
pub(super) const DRY_RUN: &str = "topology.cluster.x-k8s.io/dry-run";
/// Annotation that holds what an older version cannot show.
pub(super) const CONVERSION_DATA: &str = "cluster.x-k8s.io/conversion-data";
/// Annotation that kubectl keeps.
pub(super) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Annotation of a Cluster: its deletion may go on.
pub(super) const OK_TO_DELETE: &str = "runtime.cluster.x-k8s.io/ok-to-delete";
/// Prefix of annotations of a Cluster that hold back its upgrade.
pub(super) const BEFORE_UPGRADE_PREFIX: &str = "before-upgrade.hook.cluster.cluster.x-k8s.io";
/// Finalizer of MachineDeployments until their templates are gone.
pub(super) const DEPLOYMENT_FINALIZER: &str = "machinedeployment.topology.cluster.x-k8s.io";
/// Finalizer of MachineSets until their templates are gone.
pub(super) const SET_FINALIZER: &str = "machineset.topology.cluster.x-k8s.io";
