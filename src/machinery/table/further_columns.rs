//! Columns of the kinds that controllers and administrators look at: autoscalers, quotas, flow
//! control, admission policies, devices. A data table.

use super::builtin::{AGE_COLUMN, BuiltIn, CONTAINERS_COLUMN, IMAGES_COLUMN, column};
use super::printers::{further, workloads};

pub(super) static AUTOSCALER: &[BuiltIn] = &[
    column(
        "Reference",
        "string",
        0,
        further::reference,
        "scaleTargetRef points to the target resource to scale, and is used to the pods for which metrics should be collected, as well as to actually change the replica count.",
    ),
    column(
        "Targets",
        "string",
        0,
        further::targets,
        "metrics contains the specifications for which to use to calculate the desired replica count (the maximum replica count across all metrics will be used).  The desired replica count is calculated multiplying the ratio between the target value and the current value by the current number of pods.  Ergo, metrics used must decrease as the pod count is increased, and vice-versa.  See the individual metric source types for more information about how each type of metric must respond.",
    ),
    column(
        "MinPods",
        "string",
        0,
        further::min_pods,
        "minReplicas is the lower limit for the number of replicas to which the autoscaler can scale down.  It defaults to 1 pod.  minReplicas is allowed to be 0 if the alpha feature gate HPAScaleToZero is enabled and at least one Object or External metric is configured.  Scaling is active as long as at least one metric value is available.",
    ),
    column(
        "MaxPods",
        "string",
        0,
        further::max_pods,
        "maxReplicas is the upper limit for the number of replicas to which the autoscaler can scale up. It cannot be less that minReplicas.",
    ),
    column(
        "Replicas",
        "string",
        0,
        further::current_pods,
        "currentReplicas is current number of replicas of pods managed by this autoscaler, as last seen by the autoscaler.",
    ),
    AGE_COLUMN,
];

pub(super) static REPLICATION_CONTROLLER: &[BuiltIn] = &[
    column(
        "Desired",
        "integer",
        0,
        workloads::replicas_desired,
        "Replicas is the number of desired replicas. This is a pointer to distinguish between explicit zero and unspecified. Defaults to 1. More info: https://kubernetes.io/docs/concepts/workloads/controllers/replicationcontroller#what-is-a-replicationcontroller",
    ),
    column(
        "Current",
        "integer",
        0,
        workloads::replicas_current,
        "Replicas is the most recently observed number of replicas. More info: https://kubernetes.io/docs/concepts/workloads/controllers/replicationcontroller#what-is-a-replicationcontroller",
    ),
    column(
        "Ready",
        "integer",
        0,
        workloads::replicas_ready,
        "The number of ready replicas for this replication controller.",
    ),
    AGE_COLUMN,
    CONTAINERS_COLUMN,
    IMAGES_COLUMN,
    column(
        "Selector",
        "string",
        1,
        further::plain_selector,
        "Selector is a label query over pods that should match the Replicas count. If Selector is empty, it is defaulted to the labels present on the Pod template. Label keys and values that must match in order to be controlled by this replication controller, if empty defaulted to labels on Pod template. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors",
    ),
];

pub(super) static POD_TEMPLATE: &[BuiltIn] = &[
    column(
        "Containers",
        "string",
        0,
        further::template_containers,
        "Names of each container in the template.",
    ),
    column(
        "Images",
        "string",
        0,
        further::template_images,
        "Images referenced by each container in the template.",
    ),
    column("Pod Labels", "string", 0, further::template_labels, "The labels for the pod template."),
];

pub(super) static COMPONENT_STATUS: &[BuiltIn] = &[
    column("Status", "string", 0, further::component_status, "Status of the component conditions"),
    column(
        "Message",
        "string",
        0,
        further::component_message,
        "Message of the component conditions",
    ),
    column("Error", "string", 0, further::component_error, "Error of the component conditions"),
];

pub(super) static RESOURCE_QUOTA: &[BuiltIn] = &[
    column(
        "Request",
        "string",
        0,
        further::quota_requests,
        "Request represents a minimum amount of cpu/memory that a container may consume.",
    ),
    column(
        "Limit",
        "string",
        0,
        further::quota_limits,
        "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node.",
    ),
    AGE_COLUMN,
];

pub(super) static VOLUME_ATTRIBUTES_CLASS: &[BuiltIn] = &[
    column(
        "DriverName",
        "string",
        0,
        further::driver_name,
        "Name of the CSI driver This field is immutable.",
    ),
    AGE_COLUMN,
];

pub(super) static STORAGE_CAPACITY: &[BuiltIn] = &[
    column(
        "StorageClassName",
        "string",
        0,
        further::capacity_class,
        "storageClassName represents the name of the StorageClass that the reported capacity applies to. It must meet the same requirements as the name of a StorageClass object (non-empty, DNS subdomain). If that object no longer exists, the CSIStorageCapacity object is obsolete and should be removed by its creator. This field is immutable.",
    ),
    column(
        "Capacity",
        "string",
        0,
        further::capacity,
        "capacity is the value reported by the CSI driver in its GetCapacityResponse for a GetCapacityRequest with topology and parameters that match the previous fields.\n\nThe semantic is currently (CSI spec 1.2) defined as: The available capacity, in bytes, of the storage that can be used to provision volumes. If not set, that information is currently unavailable.",
    ),
];

pub(super) static FLOW_SCHEMA: &[BuiltIn] = &[
    column(
        "PriorityLevel",
        "string",
        0,
        further::priority_level,
        "`priorityLevelConfiguration` should reference a PriorityLevelConfiguration in the cluster. If the reference cannot be resolved, the FlowSchema will be ignored and marked as invalid in its status. Required.",
    ),
    column(
        "MatchingPrecedence",
        "integer",
        0,
        further::precedence,
        "`matchingPrecedence` is used to choose among the FlowSchemas that match a given request. The chosen FlowSchema is among those with the numerically lowest (which we take to be logically highest) MatchingPrecedence.  Each MatchingPrecedence value must be ranged in [1,10000]. Note that if the precedence is not specified, it will be set to 1000 as default.",
    ),
    column(
        "DistinguisherMethod",
        "string",
        0,
        further::distinguisher,
        "`distinguisherMethod` defines how to compute the flow distinguisher for requests that match this schema. `nil` specifies that the distinguisher is disabled and thus will always be the empty string.",
    ),
    AGE_COLUMN,
    column(
        "MissingPL",
        "string",
        0,
        further::missing_level,
        "references a broken or non-existent PriorityLevelConfiguration",
    ),
];

pub(super) static PRIORITY_LEVEL: &[BuiltIn] = &[
    column(
        "Type",
        "string",
        0,
        further::level_type,
        "`type` indicates whether this priority level is subject to limitation on request execution.  A value of `\"Exempt\"` means that requests of this priority level are not subject to a limit (and thus are never queued) and do not detract from the capacity made available to other priority levels.  A value of `\"Limited\"` means that (a) requests of this priority level _are_ subject to limits and (b) some of the server's limited capacity is made available exclusively to this priority level. Required.",
    ),
    column(
        "NominalConcurrencyShares",
        "integer",
        0,
        further::shares,
        "`nominalConcurrencyShares` (NCS) contributes to the computation of the NominalConcurrencyLimit (NominalCL) of this level. This is the number of execution seats available at this priority level. This is used both for requests dispatched from this priority level as well as requests dispatched from other priority levels borrowing seats from this level. The server's concurrency limit (ServerCL) is divided among the Limited priority levels in proportion to their NCS values:\n\nNominalCL(i)  = ceil( ServerCL * NCS(i) / sum_ncs ) sum_ncs = sum[priority level k] NCS(k)\n\nBigger numbers mean a larger nominal concurrency limit, at the expense of every other priority level.\n\nIf not specified, this field defaults to a value of 30.\n\nSetting this field to zero supports the construction of a \"jail\" for this priority level that is used to hold some request(s)",
    ),
    column(
        "Queues",
        "integer",
        0,
        further::queues,
        "`queues` is the number of queues for this priority level. The queues exist independently at each apiserver. The value must be positive.  Setting it to 1 effectively precludes shufflesharding and thus makes the distinguisher method of associated flow schemas irrelevant.  This field has a default value of 64.",
    ),
    column(
        "HandSize",
        "integer",
        0,
        further::hand_size,
        "`handSize` is a small positive number that configures the shuffle sharding of requests into queues.  When enqueuing a request at this priority level the request's flow identifier (a string pair) is hashed and the hash value is used to shuffle the list of queues and deal a hand of the size specified here.  The request is put into one of the shortest queues in that hand. `handSize` must be no larger than `queues`, and should be significantly smaller (so that a few heavy flows do not saturate most of the queues).  See the user-facing documentation for more extensive guidance on setting this field.  This field has a default value of 8.",
    ),
    column(
        "QueueLengthLimit",
        "integer",
        0,
        further::queue_length,
        "`queueLengthLimit` is the maximum number of requests allowed to be waiting in a given queue of this priority level at a time; excess requests are rejected.  This value must be positive.  If not specified, it will be defaulted to 50.",
    ),
    AGE_COLUMN,
];

pub(super) static IP_ADDRESS: &[BuiltIn] = &[
    column(
        "ParentRef",
        "string",
        0,
        further::parent,
        "ParentRef references the resource that an IPAddress is attached to. An IPAddress must reference a parent object.",
    ),
    AGE_COLUMN,
];

pub(super) static SERVICE_CIDR: &[BuiltIn] = &[
    column(
        "CIDRs",
        "string",
        0,
        further::blocks,
        "CIDRs defines the IP blocks in CIDR notation (e.g. \"192.168.0.0/24\" or \"2001:db8::/64\") from which to assign service cluster IPs. Max of two CIDRs is allowed, one of each IP family. This field is immutable.",
    ),
    AGE_COLUMN,
];

pub(super) static VALIDATING_POLICY: &[BuiltIn] = &[
    column(
        "Validations",
        "integer",
        0,
        further::validations,
        "Validations indicates the number of validation rules defined in this configuration",
    ),
    column(
        "ParamKind",
        "string",
        0,
        further::parameter_kind,
        "ParamKind specifies the kind of resources used to parameterize this policy",
    ),
    AGE_COLUMN,
];

pub(super) static MUTATING_POLICY: &[BuiltIn] = &[
    column(
        "Mutations",
        "integer",
        0,
        further::mutations,
        "Mutation specifies the mutation configuration",
    ),
    column(
        "ParamKind",
        "string",
        0,
        further::parameter_kind,
        "ParamKind specifies the kind of resources used to parameterize this policy",
    ),
    AGE_COLUMN,
];

pub(super) static POLICY_BINDING: &[BuiltIn] = &[
    column(
        "PolicyName",
        "string",
        0,
        further::policy_name,
        "PolicyName indicates the policy definition which the policy binding binded to",
    ),
    column(
        "ParamRef",
        "string",
        0,
        further::parameter,
        "ParamRef indicates the param resource which sets the configration param",
    ),
    AGE_COLUMN,
];

pub(super) static RESOURCE_CLAIM: &[BuiltIn] = &[
    column(
        "State",
        "string",
        0,
        further::claim_state,
        "A summary of the current state (allocated, pending, reserved, etc.).",
    ),
    AGE_COLUMN,
];

pub(super) static AGE_ONLY: &[BuiltIn] = &[AGE_COLUMN];

pub(super) static RESOURCE_SLICE: &[BuiltIn] = &[
    column(
        "Node",
        "string",
        0,
        further::slice_node,
        "nodeName identifies the node which provides the resources in this pool. A field selector can be used to list only ResourceSlice objects belonging to a certain node.",
    ),
    column(
        "Driver",
        "string",
        0,
        further::slice_driver,
        "Driver identifies the DRA driver providing the capacity information. A field selector can be used to list only ResourceSlice objects with a certain driver name.",
    ),
    column(
        "Pool",
        "string",
        0,
        further::slice_pool,
        "Pool describes the pool that this ResourceSlice belongs to.",
    ),
    AGE_COLUMN,
];
