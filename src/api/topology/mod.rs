//! ClusterClass and `Cluster.spec.topology`, `cluster.x-k8s.io/v1beta2`.
//! (CAPI v1.14: api/core/v1beta2/{clusterclass_types,cluster_types}.go)
//!
//! Where upstream has several Go types of one shape, there is one struct here.

mod class;
mod cluster;
mod shared;
pub mod variables;
pub(crate) mod version;

pub use class::INLINE;
pub use class::{
    ClusterClass, ClusterClassPatch, ClusterClassSpec, ClusterClassStatus, ClusterClassUpgrade,
    ClusterClassVariable, ControlPlaneClass, ExternalPatch, ExternalUpgrade, InfrastructureClass,
    JsonPatchDefinition, JsonPatchSource, MachineDeploymentClass, MachineDeploymentClassRollout,
    MachinePoolClass, PatchDefinition, PatchSelector, PatchSelectorMatch, SelectorNames,
    StatusVariable, StatusVariableDefinition, TemplateHolder, TemplateRef, VariableMetadata,
    VariableSchema, WorkersClass,
};
pub use cluster::{
    ClassRef, ClusterVariable, ControlPlaneRollout, ControlPlaneTopology,
    MachineDeploymentTopology, MachineDeploymentTopologyRollout, MachinePoolTopology, Topology,
    VariableOverrides, WorkersTopology,
};
pub use shared::{
    HealthCheckClass, HealthCheckRemediation, HealthCheckTopology, MachineDeploymentDeletion,
    NamingTemplate,
};
