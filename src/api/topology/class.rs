//! ClusterClass.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::shared::{HealthCheckClass, MachineDeploymentDeletion, NamingTemplate};
use crate::api::conditions::{Condition, Deprecated, is_absent};
use crate::api::core::{
    ConditionGate, MachineDeletion, MachineTaint, RolloutStrategy, TemplateMeta,
};

/// From which Clusters are made.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterClass {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// Desired state.
    pub spec: ClusterClassSpec,
    /// Observed state.
    #[serde(skip_serializing_if = "is_absent")]
    pub status: Option<ClusterClassStatus>,
}

namespaced_kind!(ClusterClass, "cluster.x-k8s.io", "v1beta2", "clusterclasses");

api_struct! {
    /// Desired state of a ClusterClass.
    ClusterClassSpec {
        /// Extra conditions for a Cluster's Available.
        availability_gates: Vec<ConditionGate>,
        /// Infrastructure cluster.
        infrastructure: InfrastructureClass,
        /// Control plane.
        control_plane: ControlPlaneClass,
        /// Workers.
        workers: WorkersClass,
        /// Variables that Clusters may set.
        variables: Vec<ClusterClassVariable>,
        /// Patches of the templates, in order.
        patches: Vec<ClusterClassPatch>,
        /// How upgrades are planned.
        upgrade: ClusterClassUpgrade,
        /// Versions that Clusters may have, ascending.
        kubernetes_versions: Vec<String>,
    }
}
api_struct! {
    /// Names a template of the class.
    TemplateRef {
        /// Kind.
        kind: String,
        /// Name; same namespace as the class.
        name: String,
        /// API version.
        api_version: String,
    }
}
api_struct! {
    /// Holds the reference to one template.
    TemplateHolder {
        /// The template.
        template_ref: TemplateRef,
    }
}
api_struct! {
    /// Infrastructure cluster of a class.
    InfrastructureClass {
        /// The template.
        template_ref: TemplateRef,
        /// Naming.
        naming: NamingTemplate,
    }
}
api_struct! {
    /// Control plane of a class.
    ControlPlaneClass {
        /// Labels and annotations on the control plane and its Machines.
        metadata: TemplateMeta,
        /// The template.
        template_ref: TemplateRef,
        /// Infrastructure machines, where the control plane has Machines.
        machine_infrastructure: TemplateHolder,
        /// Health check.
        health_check: HealthCheckClass,
        /// Naming.
        naming: NamingTemplate,
        /// Deletion timeouts.
        deletion: MachineDeletion,
        /// Taints for the Nodes.
        taints: Vec<MachineTaint>,
        /// Extra conditions for a Machine's Ready.
        readiness_gates: Vec<ConditionGate>,
    }
}
api_struct! {
    /// Workers of a class.
    WorkersClass {
        /// Classes of MachineDeployments.
        machine_deployments: Vec<MachineDeploymentClass>,
        /// Classes of MachinePools.
        machine_pools: Vec<MachinePoolClass>,
    }
}
api_struct! {
    /// A class of MachineDeployments.
    MachineDeploymentClass {
        /// Labels and annotations on the MachineDeployment and its Machines.
        metadata: TemplateMeta,
        /// Name of the class.
        class: String,
        /// Bootstrap template.
        bootstrap: TemplateHolder,
        /// Infrastructure machine template.
        infrastructure: TemplateHolder,
        /// Health check.
        health_check: HealthCheckClass,
        /// Failure domain.
        failure_domain: String,
        /// Naming.
        naming: NamingTemplate,
        /// Deletion order and timeouts.
        deletion: MachineDeploymentDeletion,
        /// Taints for the Nodes.
        taints: Vec<MachineTaint>,
        /// Seconds of readiness until available.
        min_ready_seconds: Option<i32>,
        /// Extra conditions for a Machine's Ready.
        readiness_gates: Vec<ConditionGate>,
        /// Rollout.
        rollout: MachineDeploymentClassRollout,
    }
}
api_struct! {
    /// Rollout of a MachineDeployment class.
    MachineDeploymentClassRollout {
        /// Strategy; unset if its type is empty.
        strategy: RolloutStrategy,
    }
}
api_struct! {
    /// A class of MachinePools.
    MachinePoolClass {
        /// Labels and annotations on the MachinePool and its Machines.
        metadata: TemplateMeta,
        /// Name of the class.
        class: String,
        /// Bootstrap template.
        bootstrap: TemplateHolder,
        /// Infrastructure machine pool template.
        infrastructure: TemplateHolder,
        /// Failure domains.
        failure_domains: Vec<String>,
        /// Naming.
        naming: NamingTemplate,
        /// Deletion timeouts.
        deletion: MachineDeletion,
        /// Taints for the Nodes.
        taints: Vec<MachineTaint>,
        /// Seconds of readiness until available.
        min_ready_seconds: Option<i32>,
    }
}
api_struct! {
    /// A variable of a class.
    ClusterClassVariable {
        /// Name.
        name: String,
        /// Whether Clusters must have a value.
        required: Option<bool>,
        /// Labels and annotations of v1beta1.
        #[serde(rename = "deprecatedV1Beta1Metadata")]
        deprecated_v1beta1_metadata: VariableMetadata,
        /// Schema of the value.
        schema: VariableSchema,
    }
}
api_struct! {
    /// Labels and annotations of a variable.
    VariableMetadata {
        /// Labels.
        labels: BTreeMap<String, String>,
        /// Annotations.
        annotations: BTreeMap<String, String>,
    }
}
api_struct! {
    /// Schema of a variable.
    VariableSchema {
        /// `JSONSchemaProps`, kept as it is.
        #[serde(rename = "openAPIV3Schema")]
        open_api_v3_schema: Value,
    }
}
api_struct! {
    /// A patch: inline definitions or an external one.
    ClusterClassPatch {
        /// Name.
        name: String,
        /// Description.
        description: String,
        /// Go template; the patch applies where it renders to `true`, or if it is empty.
        enabled_if: String,
        /// Inline patches.
        definitions: Vec<PatchDefinition>,
        /// Patches made by a runtime extension.
        external: Option<ExternalPatch>,
    }
}
api_struct! {
    /// Patches for one group of templates.
    PatchDefinition {
        /// Which templates.
        selector: PatchSelector,
        /// What happens to them.
        json_patches: Vec<JsonPatchDefinition>,
    }
}
api_struct! {
    /// Selects templates.
    PatchSelector {
        /// API version of the template.
        api_version: String,
        /// Kind of the template.
        kind: String,
        /// What the template is used for; uses are ORed.
        match_resources: PatchSelectorMatch,
    }
}
api_struct! {
    /// What a template is used for.
    PatchSelectorMatch {
        /// The control plane and its infrastructure machines.
        control_plane: Option<bool>,
        /// The infrastructure cluster.
        infrastructure_cluster: Option<bool>,
        /// MachineDeployments of these classes.
        machine_deployment_class: Option<SelectorNames>,
        /// MachinePools of these classes.
        machine_pool_class: Option<SelectorNames>,
    }
}
api_struct! {
    /// Names of classes; a name may begin or end with `*`.
    SelectorNames {
        /// Names.
        names: Vec<String>,
    }
}
api_struct! {
    /// One operation of a JSON patch.
    JsonPatchDefinition {
        /// add, replace or remove.
        op: String,
        /// JSON pointer.
        path: String,
        /// Value; null counts as no value.
        value: Option<Value>,
        /// Where the value comes from.
        value_from: Option<JsonPatchSource>,
    }
}
api_struct! {
    /// Where a patch's value comes from.
    JsonPatchSource {
        /// Path of a variable.
        variable: String,
        /// Go template that renders YAML.
        template: String,
    }
}
api_struct! {
    /// Runtime extensions of a patch.
    ExternalPatch {
        /// Makes patches.
        generate_patches_extension: String,
        /// Checks the patched topology.
        validate_topology_extension: String,
        /// Defines variables.
        discover_variables_extension: String,
        /// Settings for the extensions.
        settings: BTreeMap<String, String>,
    }
}
api_struct! {
    /// How upgrades are planned.
    ClusterClassUpgrade {
        /// By a runtime extension.
        external: ExternalUpgrade,
    }
}
api_struct! {
    /// Upgrade plans by a runtime extension.
    ExternalUpgrade {
        /// Makes upgrade plans.
        generate_upgrade_plan_extension: String,
    }
}
api_struct! {
    /// Observed state of a ClusterClass.
    ClusterClassStatus {
        /// metav1 conditions.
        conditions: Vec<Condition>,
        /// Variables with all their definitions.
        variables: Vec<StatusVariable>,
        /// Generation that the status speaks of.
        observed_generation: Option<i64>,
        /// The v1beta1 conditions.
        deprecated: Option<Deprecated>,
    }
}
api_struct! {
    /// A variable with all its definitions.
    StatusVariable {
        /// Name.
        name: String,
        /// Whether the definitions differ.
        definitions_conflict: Option<bool>,
        /// Definitions.
        definitions: Vec<StatusVariableDefinition>,
    }
}
api_struct! {
    /// A definition of a variable.
    StatusVariableDefinition {
        /// `inline`, or the name of the patch whose extension defines it.
        from: String,
        /// Whether Clusters must have a value.
        required: Option<bool>,
        /// Labels and annotations of v1beta1.
        #[serde(rename = "deprecatedV1Beta1Metadata")]
        deprecated_v1beta1_metadata: VariableMetadata,
        /// Schema of the value.
        schema: VariableSchema,
    }
}

/// `from` of the definitions in the class itself. (CAPI v1.14: VariableDefinitionFromInline)
pub const INLINE: &str = "inline";

impl TemplateRef {
    /// Whether it names anything.
    pub fn is_defined(&self) -> bool {
        *self != Self::default()
    }

    /// Group and version of the template; the group of `v1` is empty.
    pub fn group_version(&self) -> (&str, &str) {
        self.api_version.split_once('/').unwrap_or(("", &self.api_version))
    }
}
