//! Columns of the built-in kinds: headers, types, descriptions and the printer of each cell, as
//! kube-apiserver 1.36 serves them.

use super::core_columns::{
    CONFIG_MAP, ENDPOINTS, EVENT, NAMESPACE, NODE, PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, POD,
    SECRET, SERVICE, SERVICE_ACCOUNT,
};
use super::further_columns as further;
use super::group_columns::{
    API_SERVICE, CERTIFICATE_SIGNING_REQUEST, CLUSTER_ROLE_BINDING, CONTROLLER_REVISION, CRON_JOB,
    CSI_DRIVER, CSI_NODE, DAEMON_SET, DEPLOYMENT, ENDPOINT_SLICE, INGRESS, INGRESS_CLASS, JOB,
    LEASE, MUTATING_WEBHOOK_CONFIGURATION, NETWORK_POLICY, POD_DISRUPTION_BUDGET, PRIORITY_CLASS,
    REPLICA_SET, ROLE_BINDING, RUNTIME_CLASS, STATEFUL_SET, STORAGE_CLASS,
    VALIDATING_WEBHOOK_CONFIGURATION, VOLUME_ATTACHMENT,
};
use super::printers::{Print, meta, workloads};

/// A column of a built-in kind. A kind with a column of format `name` has no other Name column.
pub(super) struct BuiltIn {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) format: &'static str,
    pub(super) description: &'static str,
    pub(super) priority: i32,
    pub(super) print: Print,
}

/// A column without format.
pub(super) const fn column(
    name: &'static str,
    kind: &'static str,
    priority: i32,
    print: Print,
    description: &'static str,
) -> BuiltIn {
    BuiltIn { name, kind, format: "", description, priority, print }
}

/// Description of every Name column.
pub(super) const NAME: &str = "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";
/// Description of every Age and Created At column.
pub(super) const AGE: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";
/// The Name column of kinds that do not show it first or as it is.
pub(super) const NAME_COLUMN: BuiltIn = BuiltIn {
    name: "Name",
    kind: "string",
    format: "name",
    description: NAME,
    priority: 0,
    print: meta::name,
};
/// The Age column.
pub(super) const AGE_COLUMN: BuiltIn = column("Age", "string", 0, meta::age, AGE);
/// Containers of a template.
pub(super) const CONTAINERS_COLUMN: BuiltIn = column(
    "Containers",
    "string",
    1,
    workloads::containers,
    "Names of each container in the template.",
);
/// Images of a template's containers.
pub(super) const IMAGES_COLUMN: BuiltIn = column(
    "Images",
    "string",
    1,
    workloads::images,
    "Images referenced by each container in the template.",
);
/// Kinds without columns of their own show when they were created.
pub(super) static DEFAULT: &[BuiltIn] = &[column("Created At", "date", 0, meta::created_at, AGE)];

/// The columns of a kind; `None` for kinds with the default ones.
pub(super) fn of_kind(group: &str, kind: &str) -> Option<&'static [BuiltIn]> {
    Some(match (group, kind) {
        ("", "Pod") => POD,
        ("", "Node") => NODE,
        ("", "Namespace") => NAMESPACE,
        ("", "Secret") => SECRET,
        ("", "ConfigMap") => CONFIG_MAP,
        ("", "Service") => SERVICE,
        ("", "ServiceAccount") => SERVICE_ACCOUNT,
        ("", "Endpoints") => ENDPOINTS,
        ("", "Event") | ("events.k8s.io", "Event") => EVENT,
        ("", "PersistentVolumeClaim") => PERSISTENT_VOLUME_CLAIM,
        ("", "PersistentVolume") => PERSISTENT_VOLUME,
        ("apps", "Deployment") => DEPLOYMENT,
        ("apps", "StatefulSet") => STATEFUL_SET,
        ("apps", "DaemonSet") => DAEMON_SET,
        ("apps", "ReplicaSet") => REPLICA_SET,
        ("apps", "ControllerRevision") => CONTROLLER_REVISION,
        ("batch", "Job") => JOB,
        ("batch", "CronJob") => CRON_JOB,
        ("coordination.k8s.io", "Lease") => LEASE,
        ("rbac.authorization.k8s.io", "RoleBinding") => ROLE_BINDING,
        ("rbac.authorization.k8s.io", "ClusterRoleBinding") => CLUSTER_ROLE_BINDING,
        ("storage.k8s.io", "StorageClass") => STORAGE_CLASS,
        ("storage.k8s.io", "VolumeAttachment") => VOLUME_ATTACHMENT,
        ("storage.k8s.io", "CSIDriver") => CSI_DRIVER,
        ("storage.k8s.io", "CSINode") => CSI_NODE,
        ("policy", "PodDisruptionBudget") => POD_DISRUPTION_BUDGET,
        ("scheduling.k8s.io", "PriorityClass") => PRIORITY_CLASS,
        ("networking.k8s.io", "Ingress") => INGRESS,
        ("networking.k8s.io", "IngressClass") => INGRESS_CLASS,
        ("networking.k8s.io", "NetworkPolicy") => NETWORK_POLICY,
        ("discovery.k8s.io", "EndpointSlice") => ENDPOINT_SLICE,
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration") => {
            MUTATING_WEBHOOK_CONFIGURATION
        }
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration") => {
            VALIDATING_WEBHOOK_CONFIGURATION
        }
        ("certificates.k8s.io", "CertificateSigningRequest") => CERTIFICATE_SIGNING_REQUEST,
        ("node.k8s.io", "RuntimeClass") => RUNTIME_CLASS,
        ("apiregistration.k8s.io", "APIService") => API_SERVICE,
        _ => return further_kind(group, kind),
    })
}

fn further_kind(group: &str, kind: &str) -> Option<&'static [BuiltIn]> {
    Some(match (group, kind) {
        ("", "ReplicationController") => further::REPLICATION_CONTROLLER,
        ("", "PodTemplate") => further::POD_TEMPLATE,
        ("", "ResourceQuota") => further::RESOURCE_QUOTA,
        ("", "ComponentStatus") => further::COMPONENT_STATUS,
        ("autoscaling", "HorizontalPodAutoscaler") => further::AUTOSCALER,
        ("storage.k8s.io", "VolumeAttributesClass") => further::VOLUME_ATTRIBUTES_CLASS,
        ("storage.k8s.io", "CSIStorageCapacity") => further::STORAGE_CAPACITY,
        ("flowcontrol.apiserver.k8s.io", "FlowSchema") => further::FLOW_SCHEMA,
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration") => further::PRIORITY_LEVEL,
        ("networking.k8s.io", "IPAddress") => further::IP_ADDRESS,
        ("networking.k8s.io", "ServiceCIDR") => further::SERVICE_CIDR,
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy") => further::VALIDATING_POLICY,
        ("admissionregistration.k8s.io", "MutatingAdmissionPolicy") => further::MUTATING_POLICY,
        (
            "admissionregistration.k8s.io",
            "ValidatingAdmissionPolicyBinding" | "MutatingAdmissionPolicyBinding",
        ) => further::POLICY_BINDING,
        ("resource.k8s.io", "ResourceClaim") => further::RESOURCE_CLAIM,
        ("resource.k8s.io", "ResourceClaimTemplate" | "DeviceClass") => further::AGE_ONLY,
        ("resource.k8s.io", "ResourceSlice") => further::RESOURCE_SLICE,
        _ => return None,
    })
}
