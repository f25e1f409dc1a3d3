//! Well-known labels, annotations and finalizers. (CAPI v1.14: api/core/v1beta2)

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Whether an object has an annotation.
pub fn has_annotation(metadata: &ObjectMeta, annotation: &str) -> bool {
    metadata.annotations.as_ref().is_some_and(|held| held.contains_key(annotation))
}

/// Label: name of the Cluster.
pub const CLUSTER_NAME: &str = "cluster.x-k8s.io/cluster-name";
/// Label: the machine belongs to a control plane.
pub const CONTROL_PLANE: &str = "cluster.x-k8s.io/control-plane";
/// Label: name of the control plane object.
pub const CONTROL_PLANE_NAME: &str = "cluster.x-k8s.io/control-plane-name";
/// Label: name of the MachineDeployment.
pub const DEPLOYMENT_NAME: &str = "cluster.x-k8s.io/deployment-name";
/// Label: name of the MachineSet.
pub const SET_NAME: &str = "cluster.x-k8s.io/set-name";
/// Label: hash of the machine template.
pub const TEMPLATE_HASH: &str = "machine-template-hash";
/// Annotation: pauses the object.
pub const PAUSED: &str = "cluster.x-k8s.io/paused";
/// Annotation: template an object was cloned from.
pub const CLONED_FROM_NAME: &str = "cluster.x-k8s.io/cloned-from-name";
/// Annotation: group and kind of that template.
pub const CLONED_FROM_GROUP_KIND: &str = "cluster.x-k8s.io/cloned-from-groupkind";
/// Annotation: an autoscaler decides about the replicas.
pub const REPLICAS_MANAGED_BY: &str = "cluster.x-k8s.io/replicas-managed-by";
/// Finalizer of MachinePools.
pub const MACHINE_POOL_FINALIZER: &str = "machinepool.cluster.x-k8s.io";
/// Label: name of the MachinePool.
pub const POOL_NAME: &str = "cluster.x-k8s.io/pool-name";
/// Label: an external controller watches objects with this filter value.
pub const WATCH_FILTER: &str = "cluster.x-k8s.io/watch-filter";
/// Annotation: a MachineSet or control plane deletes this Machine first.
pub const DELETE_MACHINE: &str = "cluster.x-k8s.io/delete-machine";
/// Annotation: a Machine's Node is not drained.
pub const EXCLUDE_NODE_DRAINING: &str = "machine.cluster.x-k8s.io/exclude-node-draining";
/// Annotation: volumes of a Machine's Node are not waited for.
pub const EXCLUDE_WAIT_FOR_VOLUME_DETACH: &str =
    "machine.cluster.x-k8s.io/exclude-wait-for-node-volume-detach";
/// Annotation prefix: hooks that hold a Machine's deletion before the drain.
pub const PRE_DRAIN_HOOK_PREFIX: &str = "pre-drain.delete.hook.machine.cluster.x-k8s.io";
/// Annotation prefix: hooks that hold a Machine's deletion before its infrastructure goes.
pub const PRE_TERMINATE_HOOK_PREFIX: &str = "pre-terminate.delete.hook.machine.cluster.x-k8s.io";
/// Annotation: a Machine's certificates expire at this time.
pub const CERTIFICATES_EXPIRY: &str = "machine.cluster.x-k8s.io/certificates-expiry";
/// Annotation: the MachineSet makes no machines.
pub const DISABLE_MACHINE_CREATE: &str = "cluster.x-k8s.io/disable-machine-create";
/// Annotation: remediation of a Machine is wanted.
pub const REMEDIATE_MACHINE: &str = "cluster.x-k8s.io/remediate-machine";
/// Annotation: health checks leave a Machine alone.
pub const SKIP_REMEDIATION: &str = "cluster.x-k8s.io/skip-remediation";
/// Annotation: the Machine is being updated in place.
pub const UPDATE_IN_PROGRESS: &str =
    "in-place-updates.internal.cluster.x-k8s.io/update-in-progress";
/// Annotation: the Machine came from another MachineSet and is not counted by its new one yet.
pub const PENDING_ACKNOWLEDGE_MOVE: &str =
    "in-place-updates.internal.cluster.x-k8s.io/pending-acknowledge-move";
/// Annotation of a MachineSet: Machines that came and are counted.
pub const ACKNOWLEDGED_MOVE: &str = "in-place-updates.internal.cluster.x-k8s.io/acknowledged-move";
/// Annotation of a MachineSet: where its surplus goes instead of being deleted.
pub const MOVE_MACHINES_TO: &str =
    "in-place-updates.internal.cluster.x-k8s.io/move-machines-to-machineset";
/// Annotation of a MachineSet: MachineSets that it takes Machines from.
pub const RECEIVE_MACHINES_FROM: &str =
    "in-place-updates.internal.cluster.x-k8s.io/receive-machines-from-machinesets";
/// Annotation: preflight checks of a MachineSet that are skipped, separated by commas.
pub const SKIP_PREFLIGHT_CHECKS: &str = "machineset.cluster.x-k8s.io/skip-preflight-checks";
/// Annotation: revision of a MachineSet or MachineDeployment.
pub const REVISION: &str = "machinedeployment.clusters.x-k8s.io/revision";
/// Annotation: replicas that the MachineDeployment wants, on its MachineSets.
pub const DESIRED_REPLICAS: &str = "machinedeployment.clusters.x-k8s.io/desired-replicas";
/// Annotation: replicas that a rollout may reach, on its MachineSets.
pub const MAX_REPLICAS: &str = "machinedeployment.clusters.x-k8s.io/max-replicas";
/// Finalizer of Clusters.
pub const CLUSTER_FINALIZER: &str = "cluster.cluster.x-k8s.io";
/// Finalizer of Machines.
pub const MACHINE_FINALIZER: &str = "machine.cluster.x-k8s.io";
/// Finalizer of MachineSets.
pub const MACHINE_SET_FINALIZER: &str = "cluster.x-k8s.io/machineset";
/// Finalizer of MachineDeployments.
pub const MACHINE_DEPLOYMENT_FINALIZER: &str = "cluster.x-k8s.io/machinedeployment";
/// Node annotation: name of the Cluster.
pub const NODE_CLUSTER_NAME: &str = "cluster.x-k8s.io/cluster-name";
/// Node annotation: namespace of the Cluster.
pub const NODE_CLUSTER_NAMESPACE: &str = "cluster.x-k8s.io/cluster-namespace";
/// Node annotation: name of the Machine.
pub const NODE_MACHINE: &str = "cluster.x-k8s.io/machine";
/// Node annotation: kind of the Machine's owner.
pub const NODE_OWNER_KIND: &str = "cluster.x-k8s.io/owner-kind";
/// Node annotation: name of the Machine's owner.
pub const NODE_OWNER_NAME: &str = "cluster.x-k8s.io/owner-name";
/// Node annotation: labels that came from the Machine.
pub const NODE_LABELS_FROM_MACHINE: &str = "cluster.x-k8s.io/labels-from-machine";
/// Node annotation: annotations that came from the Machine.
pub const NODE_ANNOTATIONS_FROM_MACHINE: &str = "cluster.x-k8s.io/annotations-from-machine";
/// Node annotation: taints that came from the Machine.
pub const NODE_TAINTS_FROM_MACHINE: &str = "cluster.x-k8s.io/taints-from-machine";
/// Node taint until Cluster API has initialised the Node.
pub const NODE_UNINITIALIZED_TAINT: &str = "node.cluster.x-k8s.io/uninitialized";
/// Node taint of Machines that are not up to date.
pub const NODE_OUTDATED_TAINT: &str = "node.cluster.x-k8s.io/outdated-revision";

/// Annotation of a KubeadmControlPlane: CoreDNS is left as it is.
pub const SKIP_COREDNS: &str = "controlplane.cluster.x-k8s.io/skip-coredns";
/// Annotation of a KubeadmControlPlane: kube-proxy is left as it is.
pub const SKIP_KUBE_PROXY: &str = "controlplane.cluster.x-k8s.io/skip-kube-proxy";
