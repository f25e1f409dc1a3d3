//! Columns of the other groups. A data table.

use super::builtin::{AGE_COLUMN, BuiltIn, CONTAINERS_COLUMN, IMAGES_COLUMN, NAME_COLUMN, column};
use super::printers::{core, jobs, network, rbac, storage, workloads};

pub(super) static DEPLOYMENT: &[BuiltIn] = &[
    column("Ready", "string", 0, workloads::ready_replicas, "Number of the pod with ready state"),
    column(
        "Up-to-date",
        "string",
        0,
        workloads::updated_replicas,
        "Total number of non-terminating pods targeted by this deployment that have the desired template spec.",
    ),
    column(
        "Available",
        "string",
        0,
        workloads::available_replicas,
        "Total number of available non-terminating pods (ready for at least minReadySeconds) targeted by this deployment.",
    ),
    AGE_COLUMN,
    CONTAINERS_COLUMN,
    IMAGES_COLUMN,
    column(
        "Selector",
        "string",
        1,
        workloads::selector,
        "Label selector for pods. Existing ReplicaSets whose pods are selected by this will be the ones affected by this deployment. It must match the pod template's labels.",
    ),
];

pub(super) static STATEFUL_SET: &[BuiltIn] = &[
    column("Ready", "string", 0, workloads::ready_replicas, "Number of the pod with ready state"),
    AGE_COLUMN,
    CONTAINERS_COLUMN,
    IMAGES_COLUMN,
];

pub(super) static DAEMON_SET: &[BuiltIn] = &[
    column(
        "Desired",
        "integer",
        0,
        workloads::scheduled_desired,
        "The total number of nodes that should be running the daemon pod (including nodes correctly running the daemon pod). More info: https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/",
    ),
    column(
        "Current",
        "integer",
        0,
        workloads::scheduled_current,
        "The number of nodes that are running at least 1 daemon pod and are supposed to run the daemon pod. More info: https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/",
    ),
    column(
        "Ready",
        "integer",
        0,
        workloads::daemons_ready,
        "numberReady is the number of nodes that should be running the daemon pod and have one or more of the daemon pod running with a Ready Condition.",
    ),
    column(
        "Up-to-date",
        "integer",
        0,
        workloads::daemons_updated,
        "The total number of nodes that are running updated daemon pod",
    ),
    column(
        "Available",
        "integer",
        0,
        workloads::daemons_available,
        "The number of nodes that should be running the daemon pod and have one or more of the daemon pod running and available (ready for at least spec.minReadySeconds)",
    ),
    column(
        "Node Selector",
        "string",
        0,
        workloads::node_selector,
        "NodeSelector is a selector which must be true for the pod to fit on a node. Selector which must match a node's labels for the pod to be scheduled on that node. More info: https://kubernetes.io/docs/concepts/configuration/assign-pod-node/",
    ),
    AGE_COLUMN,
    CONTAINERS_COLUMN,
    IMAGES_COLUMN,
    column(
        "Selector",
        "string",
        1,
        workloads::formatted_selector,
        "A label query over pods that are managed by the daemon set. Must match in order to be controlled. It must match the pod template's labels. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors",
    ),
];

pub(super) static REPLICA_SET: &[BuiltIn] = &[
    column(
        "Desired",
        "integer",
        0,
        workloads::replicas_desired,
        "Replicas is the number of desired pods. This is a pointer to distinguish between explicit zero and unspecified. Defaults to 1. More info: https://kubernetes.io/docs/concepts/workloads/controllers/replicaset",
    ),
    column(
        "Current",
        "integer",
        0,
        workloads::replicas_current,
        "Replicas is the most recently observed number of non-terminating pods. More info: https://kubernetes.io/docs/concepts/workloads/controllers/replicaset",
    ),
    column(
        "Ready",
        "integer",
        0,
        workloads::replicas_ready,
        "The number of non-terminating pods targeted by this ReplicaSet with a Ready Condition.",
    ),
    AGE_COLUMN,
    CONTAINERS_COLUMN,
    IMAGES_COLUMN,
    column(
        "Selector",
        "string",
        1,
        workloads::formatted_selector,
        "Selector is a label query over pods that should match the replica count. Label keys and values that must match in order to be controlled by this replica set. It must match the pod template's labels. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors",
    ),
];

pub(super) static CONTROLLER_REVISION: &[BuiltIn] = &[
    column("Controller", "string", 0, workloads::revision_controller, "Controller of the object"),
    column(
        "Revision",
        "string",
        0,
        workloads::revision,
        "Revision indicates the revision of the state represented by Data.",
    ),
    AGE_COLUMN,
];

pub(super) static JOB: &[BuiltIn] = &[
    column("Status", "string", 0, jobs::status, "Status of the job."),
    column(
        "Completions",
        "string",
        0,
        jobs::completions,
        "The number of pods which reached phase Succeeded. The value increases monotonically for a given spec. However, it may decrease in reaction to scale down of elastic indexed jobs.",
    ),
    column("Duration", "string", 0, jobs::duration, "Time required to complete the job."),
    AGE_COLUMN,
    CONTAINERS_COLUMN,
    IMAGES_COLUMN,
    column(
        "Selector",
        "string",
        1,
        workloads::formatted_selector,
        "A label query over pods that should match the pod count. Normally, the system sets this field for you. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors",
    ),
];

pub(super) static CRON_JOB: &[BuiltIn] = &[
    column(
        "Schedule",
        "string",
        0,
        jobs::schedule,
        "The schedule in Cron format, see https://en.wikipedia.org/wiki/Cron.",
    ),
    column(
        "Timezone",
        "string",
        0,
        jobs::time_zone,
        "The time zone name for the given schedule, see https://en.wikipedia.org/wiki/List_of_tz_database_time_zones. If not specified, this will default to the time zone of the kube-controller-manager process. The set of valid time zone names and the time zone offset is loaded from the system-wide time zone database by the API server during CronJob validation and the controller manager during execution. If no system-wide time zone database can be found a bundled version of the database is used instead. If the time zone name becomes invalid during the lifetime of a CronJob or due to a change in host configuration, the controller will stop creating new new Jobs and will create a system event with the reason UnknownTimeZone. More information can be found in https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#time-zones",
    ),
    column(
        "Suspend",
        "boolean",
        0,
        jobs::suspend,
        "This flag tells the controller to suspend subsequent executions, it does not apply to already started executions.  Defaults to false.",
    ),
    column("Active", "integer", 0, jobs::active, "A list of pointers to currently running jobs."),
    column(
        "Last Schedule",
        "string",
        0,
        jobs::last_schedule,
        "Information when was the last time the job was successfully scheduled.",
    ),
    AGE_COLUMN,
    column(
        "Containers",
        "string",
        1,
        jobs::cron_containers,
        "Names of each container in the template.",
    ),
    column(
        "Images",
        "string",
        1,
        jobs::cron_images,
        "Images referenced by each container in the template.",
    ),
    column(
        "Selector",
        "string",
        1,
        jobs::cron_selector,
        "A label query over pods that should match the pod count. Normally, the system sets this field for you. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors",
    ),
];

pub(super) static LEASE: &[BuiltIn] = &[
    column(
        "Holder",
        "string",
        0,
        core::lease_holder,
        "holderIdentity contains the identity of the holder of a current lease. If Coordinated Leader Election is used, the holder identity must be equal to the elected LeaseCandidate.metadata.name field.",
    ),
    AGE_COLUMN,
];

pub(super) static ROLE_BINDING: &[BuiltIn] = &[
    column(
        "Role",
        "string",
        0,
        rbac::role,
        "RoleRef can reference a Role in the current namespace or a ClusterRole in the global namespace. If the RoleRef cannot be resolved, the Authorizer must return an error.",
    ),
    AGE_COLUMN,
    column("Users", "string", 1, rbac::users, "Users in the roleBinding"),
    column("Groups", "string", 1, rbac::groups, "Groups in the roleBinding"),
    column(
        "ServiceAccounts",
        "string",
        1,
        rbac::service_accounts,
        "ServiceAccounts in the roleBinding",
    ),
];

pub(super) static CLUSTER_ROLE_BINDING: &[BuiltIn] = &[
    column(
        "Role",
        "string",
        0,
        rbac::role,
        "RoleRef can only reference a ClusterRole in the global namespace. If the RoleRef cannot be resolved, the Authorizer must return an error. This field is immutable.",
    ),
    AGE_COLUMN,
    column("Users", "string", 1, rbac::users, "Users in the roleBinding"),
    column("Groups", "string", 1, rbac::groups, "Groups in the roleBinding"),
    column(
        "ServiceAccounts",
        "string",
        1,
        rbac::service_accounts,
        "ServiceAccounts in the roleBinding",
    ),
];

pub(super) static STORAGE_CLASS: &[BuiltIn] = &[
    BuiltIn { print: storage::class_name, ..NAME_COLUMN },
    column(
        "Provisioner",
        "string",
        0,
        storage::provisioner,
        "provisioner indicates the type of the provisioner.",
    ),
    column(
        "ReclaimPolicy",
        "string",
        0,
        storage::class_reclaim_policy,
        "reclaimPolicy controls the reclaimPolicy for dynamically provisioned PersistentVolumes of this storage class. Defaults to Delete.",
    ),
    column(
        "VolumeBindingMode",
        "string",
        0,
        storage::binding_mode,
        "volumeBindingMode indicates how PersistentVolumeClaims should be provisioned and bound.  When unset, VolumeBindingImmediate is used. This field is only honored by servers that enable the VolumeScheduling feature.",
    ),
    column(
        "AllowVolumeExpansion",
        "string",
        0,
        storage::expansion,
        "allowVolumeExpansion shows whether the storage class allow volume expand.",
    ),
    AGE_COLUMN,
];

pub(super) static VOLUME_ATTACHMENT: &[BuiltIn] = &[
    column(
        "Attacher",
        "string",
        0,
        storage::attacher,
        "attacher indicates the name of the volume driver that MUST handle this request. This is the name returned by GetPluginName().",
    ),
    column(
        "PV",
        "string",
        0,
        storage::attached_volume,
        "persistentVolumeName represents the name of the persistent volume to attach.",
    ),
    column(
        "Node",
        "string",
        0,
        storage::attached_node,
        "nodeName represents the node that the volume should be attached to.",
    ),
    column(
        "Attached",
        "boolean",
        0,
        storage::is_attached,
        "attached indicates the volume is successfully attached. This field must only be set by the entity completing the attach operation, i.e. the external-attacher.",
    ),
    AGE_COLUMN,
];

pub(super) static CSI_DRIVER: &[BuiltIn] = &[
    column(
        "AttachRequired",
        "boolean",
        0,
        storage::attach_required,
        "attachRequired indicates this CSI volume driver requires an attach operation (because it implements the CSI ControllerPublishVolume() method), and that the Kubernetes attach detach controller should call the attach volume interface which checks the volumeattachment status and waits until the volume is attached before proceeding to mounting. The CSI external-attacher coordinates with CSI volume driver and updates the volumeattachment status when the attach operation is complete. If the value is specified to false, the attach operation will be skipped. Otherwise the attach operation will be called.\n\nThis field is immutable.",
    ),
    column(
        "PodInfoOnMount",
        "boolean",
        0,
        storage::pod_info_on_mount,
        "podInfoOnMount indicates this CSI volume driver requires additional pod information (like podName, podUID, etc.) during mount operations, if set to true. If set to false, pod information will not be passed on mount. Default is false.\n\nThe CSI driver specifies podInfoOnMount as part of driver deployment. If true, Kubelet will pass pod information as VolumeContext in the CSI NodePublishVolume() calls. The CSI driver is responsible for parsing and validating the information passed in as VolumeContext.\n\nThe following VolumeContext will be passed if podInfoOnMount is set to true. This list might grow, but the prefix will be used. \"csi.storage.k8s.io/pod.name\": pod.Name \"csi.storage.k8s.io/pod.namespace\": pod.Namespace \"csi.storage.k8s.io/pod.uid\": string(pod.UID) \"csi.storage.k8s.io/ephemeral\": \"true\" if the volume is an ephemeral inline volume\n                                defined by a CSIVolumeSource, otherwise \"false\"\n\n\"csi.storage.k8s.io/ephemeral\" is a new feature in Kubernetes 1.16. It is only required for drivers which support both the \"Persistent\" and \"Ephemeral\" VolumeLifecycleMode. Other drivers can leave pod info disabled and/or ignore this field. As Kubernetes 1.15 doesn't support this field, drivers can only support one mode when deployed on such a cluster and the deployment determines which mode that is, for example via a command line parameter of the driver.\n\nThis field was immutable in Kubernetes \\< 1.29 and now is mutable.",
    ),
    column(
        "StorageCapacity",
        "boolean",
        0,
        storage::storage_capacity,
        "storageCapacity indicates that the CSI volume driver wants pod scheduling to consider the storage capacity that the driver deployment will report by creating CSIStorageCapacity objects with capacity information, if set to true.\n\nThe check can be enabled immediately when deploying a driver. In that case, provisioning new volumes with late binding will pause until the driver deployment has published some suitable CSIStorageCapacity object.\n\nAlternatively, the driver can be deployed with the field unset or false and it can be flipped later when storage capacity information has been published.\n\nThis field was immutable in Kubernetes \\<= 1.22 and now is mutable.",
    ),
    column(
        "TokenRequests",
        "string",
        0,
        storage::token_requests,
        "tokenRequests indicates the CSI driver needs pods' service account tokens it is mounting volume for to do necessary authentication. Kubelet will pass the tokens in VolumeContext in the CSI NodePublishVolume calls. The CSI driver should parse and validate the following VolumeContext: \"csi.storage.k8s.io/serviceAccount.tokens\": {\n  \"\\<audience\\>\": {\n    \"token\": \\<token\\>,\n    \"expirationTimestamp\": \\<expiration timestamp in RFC3339\\>,\n  },\n  ...\n}\n\nNote: Audience in each TokenRequest should be different and at most one token is empty string. To receive a new token after expiry, RequiresRepublish can be used to trigger NodePublishVolume periodically.",
    ),
    column(
        "RequiresRepublish",
        "boolean",
        0,
        storage::requires_republish,
        "requiresRepublish indicates the CSI driver wants `NodePublishVolume` being periodically called to reflect any possible change in the mounted volume. This field defaults to false.\n\nNote: After a successful initial NodePublishVolume call, subsequent calls to NodePublishVolume should only update the contents of the volume. New mount points will not be seen by a running container.",
    ),
    column(
        "Modes",
        "string",
        0,
        storage::lifecycle_modes,
        "volumeLifecycleModes defines what kind of volumes this CSI volume driver supports. The default if the list is empty is \"Persistent\", which is the usage defined by the CSI specification and implemented in Kubernetes via the usual PV/PVC mechanism.\n\nThe other mode is \"Ephemeral\". In this mode, volumes are defined inline inside the pod spec with CSIVolumeSource and their lifecycle is tied to the lifecycle of that pod. A driver has to be aware of this because it is only going to get a NodePublishVolume call for such a volume.\n\nFor more information about implementing this mode, see https://kubernetes-csi.github.io/docs/ephemeral-local-volumes.html A driver can support one or more of these modes and more modes may be added in the future.\n\nThis field is beta. This field is immutable.",
    ),
    AGE_COLUMN,
];

pub(super) static CSI_NODE: &[BuiltIn] = &[
    column(
        "Drivers",
        "integer",
        0,
        storage::drivers,
        "Drivers indicates the number of CSI drivers registered on the node",
    ),
    AGE_COLUMN,
];

pub(super) static POD_DISRUPTION_BUDGET: &[BuiltIn] = &[
    column(
        "Min Available",
        "string",
        0,
        core::min_available,
        "The minimum number of pods that must be available.",
    ),
    column(
        "Max Unavailable",
        "string",
        0,
        core::max_unavailable,
        "The maximum number of pods that may be unavailable.",
    ),
    column(
        "Allowed Disruptions",
        "integer",
        0,
        core::disruptions_allowed,
        "Calculated number of pods that may be disrupted at this time.",
    ),
    AGE_COLUMN,
];

pub(super) static PRIORITY_CLASS: &[BuiltIn] = &[
    column(
        "Value",
        "integer",
        0,
        core::priority,
        "value represents the integer value of this priority class. This is the actual priority that pods receive when they have the name of this class in their pod spec.",
    ),
    column(
        "Global-Default",
        "boolean",
        0,
        core::global_default,
        "globalDefault specifies whether this PriorityClass should be considered as the default priority for pods that do not have any priority class. Only one PriorityClass can be marked as `globalDefault`. However, if more than one PriorityClasses exists with their `globalDefault` field set to true, the smallest value of such global default PriorityClasses will be used as the default priority.",
    ),
    AGE_COLUMN,
    column(
        "PreemptionPolicy",
        "string",
        0,
        core::preemption_policy,
        "preemptionPolicy is the Policy for preempting pods with lower priority. One of Never, PreemptLowerPriority. Defaults to PreemptLowerPriority if unset.",
    ),
];

pub(super) static INGRESS: &[BuiltIn] = &[
    column(
        "Class",
        "string",
        0,
        network::ingress_class,
        "The name of the IngressClass resource that should be used for additional configuration",
    ),
    column(
        "Hosts",
        "string",
        0,
        network::ingress_hosts,
        "Hosts that incoming requests are matched against before the ingress rule",
    ),
    column(
        "Address",
        "string",
        0,
        network::ingress_address,
        "Address is a list containing ingress points for the load-balancer",
    ),
    column("Ports", "string", 0, network::ingress_ports, "Ports of TLS configurations that open"),
    AGE_COLUMN,
];

pub(super) static INGRESS_CLASS: &[BuiltIn] = &[
    column(
        "Controller",
        "string",
        0,
        network::class_controller,
        "Controller that is responsible for handling matching Ingress resources",
    ),
    column(
        "Parameters",
        "string",
        0,
        network::class_parameters,
        "A reference to a resource with additional parameters",
    ),
    AGE_COLUMN,
];

pub(super) static NETWORK_POLICY: &[BuiltIn] = &[
    column(
        "Pod-Selector",
        "string",
        0,
        network::policy_selector,
        "podSelector selects the pods to which this NetworkPolicy object applies. The array of rules is applied to any pods selected by this field. An empty selector matches all pods in the policy's namespace. Multiple network policies can select the same set of pods. In this case, the ingress rules for each are combined additively. This field is optional. If it is not specified, it defaults to an empty selector.",
    ),
    AGE_COLUMN,
];

pub(super) static ENDPOINT_SLICE: &[BuiltIn] = &[
    column(
        "AddressType",
        "string",
        0,
        network::address_type,
        "addressType specifies the type of address carried by this EndpointSlice. All addresses in this slice must be the same type. This field is immutable after creation. The following address types are currently supported: * IPv4: Represents an IPv4 Address. * IPv6: Represents an IPv6 Address. * FQDN: Represents a Fully Qualified Domain Name. (Deprecated) The EndpointSlice controller only generates, and kube-proxy only processes, slices of addressType \"IPv4\" and \"IPv6\". No semantics are defined for the \"FQDN\" type.",
    ),
    column(
        "Ports",
        "string",
        0,
        network::slice_ports,
        "ports specifies the list of network ports exposed by each endpoint in this slice. Each port must have a unique name. Each slice may include a maximum of 100 ports. Services always have at least 1 port, so EndpointSlices generated by the EndpointSlice controller will likewise always have at least 1 port. EndpointSlices used for other purposes may have an empty ports list.",
    ),
    column(
        "Endpoints",
        "string",
        0,
        network::slice_endpoints,
        "endpoints is a list of unique endpoints in this slice. Each slice may include a maximum of 1000 endpoints.",
    ),
    AGE_COLUMN,
];

pub(super) static MUTATING_WEBHOOK_CONFIGURATION: &[BuiltIn] = &[
    column(
        "Webhooks",
        "integer",
        0,
        core::webhooks,
        "Webhooks indicates the number of webhooks registered in this configuration",
    ),
    AGE_COLUMN,
];

pub(super) static VALIDATING_WEBHOOK_CONFIGURATION: &[BuiltIn] = &[
    column(
        "Webhooks",
        "integer",
        0,
        core::webhooks,
        "Webhooks indicates the number of webhooks registered in this configuration",
    ),
    AGE_COLUMN,
];

pub(super) static CERTIFICATE_SIGNING_REQUEST: &[BuiltIn] = &[
    AGE_COLUMN,
    column(
        "SignerName",
        "string",
        0,
        core::signer,
        "signerName indicates the requested signer, and is a qualified name.\n\nList/watch requests for CertificateSigningRequests can filter on this field using a \"spec.signerName=NAME\" fieldSelector.\n\nWell-known Kubernetes signers are:\n 1. \"kubernetes.io/kube-apiserver-client\": issues client certificates that can be used to authenticate to kube-apiserver.\n  Requests for this signer are never auto-approved by kube-controller-manager, can be issued by the \"csrsigning\" controller in kube-controller-manager.\n 2. \"kubernetes.io/kube-apiserver-client-kubelet\": issues client certificates that kubelets use to authenticate to kube-apiserver.\n  Requests for this signer can be auto-approved by the \"csrapproving\" controller in kube-controller-manager, and can be issued by the \"csrsigning\" controller in kube-controller-manager.\n 3. \"kubernetes.io/kubelet-serving\" issues serving certificates that kubelets use to serve TLS endpoints, which kube-apiserver can connect to securely.\n  Requests for this signer are never auto-approved by kube-controller-manager, and can be issued by the \"csrsigning\" controller in kube-controller-manager.\n\nMore details are available at https://k8s.io/docs/reference/access-authn-authz/certificate-signing-requests/#kubernetes-signers\n\nCustom signerNames can also be specified. The signer defines:\n 1. Trust distribution: how trust (CA bundles) are distributed.\n 2. Permitted subjects: and behavior when a disallowed subject is requested.\n 3. Required, permitted, or forbidden x509 extensions in the request (including whether subjectAltNames are allowed, which types, restrictions on allowed values) and behavior when a disallowed extension is requested.\n 4. Required, permitted, or forbidden key usages / extended key usages.\n 5. Expiration/certificate lifetime: whether it is fixed by the signer, configurable by the admin.\n 6. Whether or not requests for CA certificates are allowed.",
    ),
    column(
        "Requestor",
        "string",
        0,
        core::requestor,
        "request contains an x509 certificate signing request encoded in a \"CERTIFICATE REQUEST\" PEM block. When serialized as JSON or YAML, the data is additionally base64-encoded.",
    ),
    column(
        "RequestedDuration",
        "string",
        0,
        core::requested_duration,
        "expirationSeconds is the requested duration of validity of the issued certificate. The certificate signer may issue a certificate with a different validity duration so a client must check the delta between the notBefore and and notAfter fields in the issued certificate to determine the actual duration.\n\nThe v1.22+ in-tree implementations of the well-known Kubernetes signers will honor this field as long as the requested duration is not greater than the maximum duration they will honor per the --cluster-signing-duration CLI flag to the Kubernetes controller manager.\n\nCertificate signers may not honor this field for various reasons:\n\n  1. Old signer that is unaware of the field (such as the in-tree\n     implementations prior to v1.22)\n  2. Signer whose configured maximum is shorter than the requested duration\n  3. Signer whose configured minimum is longer than the requested duration\n\nThe minimum valid value for expirationSeconds is 600, i.e. 10 minutes.",
    ),
    column(
        "Condition",
        "string",
        0,
        core::request_condition,
        "conditions applied to the request. Known conditions are \"Approved\", \"Denied\", and \"Failed\".",
    ),
];

pub(super) static RUNTIME_CLASS: &[BuiltIn] = &[
    column(
        "Handler",
        "string",
        0,
        core::handler,
        "handler specifies the underlying runtime and configuration that the CRI implementation will use to handle pods of this class. The possible values are specific to the node & CRI configuration.  It is assumed that all handlers are available on every node, and handlers of the same name are equivalent on every node. For example, a handler called \"runc\" might specify that the runc OCI runtime (using native Linux containers) will be used to run the containers in a pod. The Handler must be lowercase, conform to the DNS Label (RFC 1123) requirements, and is immutable.",
    ),
    AGE_COLUMN,
];

pub(super) static API_SERVICE: &[BuiltIn] = &[
    column(
        "Service",
        "string",
        0,
        core::api_service,
        "The reference to the service that hosts this API endpoint.",
    ),
    column("Available", "string", 0, core::api_available, "Whether this service is available."),
    AGE_COLUMN,
];
