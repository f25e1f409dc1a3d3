//! Kinds that classes and references name, as the API serves them.
//! (CAPI v1.14: internal/contract/version.go)

use kube::core::ApiResource;
use serde_json::Value;

use super::tree;
use crate::api::core::ContractRef;
use crate::client::{Client, ObjectKey};
use crate::contract::versions::{Contract, ContractVersions};
use crate::machinery::gvk::split_api_version;
use crate::runtime::ReconcileError;

/// Reads objects by reference.
#[derive(Clone)]
pub(super) struct Kinds {
    client: Client,
    versions: ContractVersions,
}

impl Kinds {
    pub(super) fn new(client: &Client, versions: &ContractVersions) -> Self {
        Self { client: client.clone(), versions: versions.clone() }
    }

    /// A kind in the version that `api_version` names.
    ///
    /// # Errors
    /// The kind is not served under a contract.
    pub(super) fn resource(
        &self,
        api_version: &str,
        kind: &str,
    ) -> Result<ApiResource, ReconcileError> {
        let (group, version) = split_api_version(api_version);
        if group == "cluster.x-k8s.io" {
            return Ok(core_resource(kind));
        }
        let known = self.versions.get(group, kind).ok_or_else(|| {
            ReconcileError::Other(format!(
                "no matches for kind {kind:?} in version {api_version:?}"
            ))
        })?;
        let mut resource = known.resource.clone();
        version.clone_into(&mut resource.version);
        api_version.clone_into(&mut resource.api_version);
        Ok(resource)
    }

    /// The kind of an object.
    ///
    /// # Errors
    /// The kind is not served under a contract.
    pub(super) fn resource_of(&self, object: &Value) -> Result<ApiResource, ReconcileError> {
        self.resource(tree::text(object, "/apiVersion"), tree::kind(object))
    }

    /// The newest version of a kind under the newest contract.
    ///
    /// # Errors
    /// The kind is not served under a contract.
    pub(super) fn newest(&self, group: &str, kind: &str) -> Result<ApiResource, ReconcileError> {
        let known = self.versions.get(group, kind).ok_or_else(|| {
            ReconcileError::Other(format!("no contract version is known for kind {kind}.{group}"))
        })?;
        Ok(known.resource.clone())
    }

    /// The contract that an object's version speaks.
    pub(super) fn contract(&self, object: &Value) -> Contract {
        let (group, version) = split_api_version(tree::text(object, "/apiVersion"));
        self.versions.contract(group, tree::kind(object), version)
    }

    /// Reads an object that must exist.
    ///
    /// # Errors
    /// It does not exist, or the request failed; the text is upstream's.
    pub(super) async fn read(
        &self,
        resource: &ApiResource,
        key: &ObjectKey,
    ) -> Result<Value, ReconcileError> {
        let found = self.client.get_dynamic(resource, key).await?;
        let what = format!("failed to retrieve {} {key}", resource.kind);
        found.ok_or_else(|| {
            let (kind, group, name) = (&resource.kind, &resource.group, &key.name);
            ReconcileError::Other(format!("{what}: {what}: {kind}.{group} {name:?} not found"))
        })
    }

    /// Reads an object that may not exist.
    ///
    /// # Errors
    /// The request failed.
    pub(super) async fn find(
        &self,
        resource: &ApiResource,
        key: &ObjectKey,
    ) -> Result<Option<Value>, ReconcileError> {
        Ok(self.client.get_dynamic(resource, key).await?)
    }

    /// Reads the object that a reference names, in the version in which the class has its template:
    /// so that what is and what shall be are compared in one version. Another kind than the
    /// class's is read in its newest version.
    ///
    /// # Errors
    /// It does not exist, or the request failed.
    pub(super) async fn read_aligned(
        &self,
        reference: &ContractRef,
        namespace: &str,
        template: Option<&Value>,
        form: Form,
    ) -> Result<Value, ReconcileError> {
        let aligned = template.filter(|template| {
            let kind = tree::kind(template);
            let kind = match form {
                Form::Template => kind,
                Form::Object => kind.strip_suffix("Template").unwrap_or(kind),
            };
            tree::group(template) == reference.api_group && kind == reference.kind
        });
        let resource = match aligned {
            Some(template) => {
                self.resource(tree::text(template, "/apiVersion"), &reference.kind)?
            }
            None => self.newest(&reference.api_group, &reference.kind)?,
        };
        self.read(&resource, &ObjectKey::new(namespace, reference.name.as_str())).await
    }
}

/// Whether a reference names a template or what is made of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A template.
    Template,
    /// An object.
    Object,
}

/// Kinds of the core group that topologies make.
pub(super) fn core_resource(kind: &str) -> ApiResource {
    const GROUP: &str = "cluster.x-k8s.io";
    const VERSION: &str = "v1beta2";
    ApiResource {
        group: GROUP.to_owned(),
        version: VERSION.to_owned(),
        api_version: format!("{GROUP}/{VERSION}"),
        kind: kind.to_owned(),
        plural: format!("{}s", kind.to_lowercase()),
    }
}

/// A reference to an object.
pub(super) fn reference_to(object: &Value) -> ContractRef {
    ContractRef {
        api_group: tree::group(object).to_owned(),
        kind: tree::kind(object).to_owned(),
        name: tree::name(object).to_owned(),
    }
}

/// Puts an error into a context.
pub(super) fn wrap(what: impl std::fmt::Display, error: ReconcileError) -> ReconcileError {
    ReconcileError::Other(format!("{what}: {error}"))
}
