//! The patch engine: what a class's patches make of the desired state of a topology.
//! (CAPI v1.14: core/reconcilers/topology/cluster/patches)
//!
//! [`apply`] takes the blueprint's templates with the objects that were computed from them, runs
//! all patches of the class in order over the templates, and copies what came out into the desired
//! objects. Inline patches are computed here, external ones are asked from an [`External`].
//!
//! Fields that the topology controller computes itself (names, versions, replicas, references, its
//! own labels) keep their values whatever patches say.

mod engine;
mod fields;
mod inline;
mod json_patch;
mod request;
mod value;
mod variables;

#[cfg(test)]
mod tests;

use futures::future::BoxFuture;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use crate::api::core::Cluster;
use crate::api::topology::{ClusterClass, ClusterClassPatch};
use crate::contract::versions::Contract;

pub use engine::apply;
pub use request::{Holder, Item, Request, Variable};
pub use value::{VariableError, variable_value};

/// The desired state of a topology and the templates that it was computed from.
pub struct Desired<'a> {
    /// The class: its patches, and in its status the definitions of variables.
    pub class: &'a ClusterClass,
    /// The desired Cluster.
    pub cluster: &'a Cluster,
    /// InfrastructureClusterTemplate and infrastructure cluster.
    pub infrastructure_cluster: Part<'a>,
    /// ControlPlaneTemplate and control plane.
    pub control_plane: Part<'a>,
    /// Contract that the control plane speaks.
    pub control_plane_contract: Contract,
    /// The class's InfrastructureMachineTemplate for control planes and the Cluster's own, where
    /// the class has one.
    pub control_plane_machines: Option<Part<'a>>,
    /// One entry a MachineDeployment; its parts are templates on both sides.
    pub machine_deployments: Vec<Workers<'a>>,
    /// One entry a MachinePool; its desired parts are a bootstrap configuration and an
    /// infrastructure machine pool.
    pub machine_pools: Vec<Workers<'a>>,
}

/// A template of the blueprint and the desired object that was made of it.
pub struct Part<'a> {
    /// Template of the class.
    pub template: &'a Value,
    /// Desired object, which [`apply`] changes.
    pub desired: &'a mut Value,
}

/// A desired MachineDeployment or MachinePool with its parts.
pub struct Workers<'a> {
    /// Name within the topology.
    pub topology_name: &'a str,
    /// Metadata of the MachineDeployment or MachinePool.
    pub metadata: &'a ObjectMeta,
    /// Its `spec.template.spec.version`.
    pub version: &'a str,
    /// Its `spec.replicas`.
    pub replicas: Option<i32>,
    /// Bootstrap template.
    pub bootstrap: Part<'a>,
    /// Infrastructure template.
    pub infrastructure: Part<'a>,
}

/// Why patches could not be applied, in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatchError(pub String);

/// How a generated patch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchType {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    JsonMerge,
}

/// A patch of one [`Item`].
#[derive(Clone, Debug, PartialEq)]
pub struct GeneratedPatch {
    /// Uid of the item.
    pub uid: String,
    /// How the patch is written.
    pub patch_type: PatchType,
    /// The patch, JSON text.
    pub patch: Vec<u8>,
}

/// Whoever calls runtime extensions. The settings of `patch.external` are the implementation's to
/// send along. Errors are texts for people.
pub trait External: Sync {
    /// Calls GeneratePatches of the patch's extension.
    fn generate<'a>(
        &'a self,
        patch: &'a ClusterClassPatch,
        cluster: &'a Cluster,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Vec<GeneratedPatch>, String>>;

    /// Calls ValidateTopology of the patch's extension with the patched templates. The request of
    /// that hook is the same but for the uids of its items.
    fn validate<'a>(
        &'a self,
        patch: &'a ClusterClassPatch,
        cluster: &'a Cluster,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<(), String>>;
}
