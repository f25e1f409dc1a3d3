//! The templates of a class: owning them, and which of them are named in an old version.

use std::collections::BTreeSet;

use super::super::topology::template_refs;
use super::ClusterClassReconciler;
use crate::api::core::ContractRef;
use crate::api::topology::{ClusterClass, TemplateRef};
use crate::contract::owners;
use crate::runtime::ReconcileError;

/// A template that is named in an older version than the newest of the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outdated {
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Version that the class names.
    pub current: String,
    /// Newest version.
    pub latest: String,
}

/// The reference without its version.
pub(super) fn without_version(reference: &TemplateRef) -> ContractRef {
    ContractRef {
        api_group: reference.group_version().0.to_owned(),
        kind: reference.kind.clone(),
        name: reference.name.clone(),
    }
}

impl ClusterClassReconciler {
    /// Makes the class an owner of its templates, so that they move and are deleted with it;
    /// answers those that are named in an old version.
    pub(super) async fn own_templates(
        &self,
        class: &ClusterClass,
    ) -> Result<Vec<Outdated>, ReconcileError> {
        let (mut outdated, mut errors) = (Vec::new(), Vec::new());
        let mut seen = BTreeSet::new();
        for reference in template_refs(class) {
            if !seen.insert((&reference.api_version, &reference.kind, &reference.name)) {
                continue;
            }
            if let Err(error) = self.own(class, reference).await {
                errors.push(error.to_string());
                continue;
            }
            let (group, version) = reference.group_version();
            let newest = self.versions.get(group, &reference.kind);
            let latest = newest.map(|kind| kind.resource.version.clone());
            if let Some(latest) = latest.filter(|latest| latest != version) {
                outdated.push(Outdated {
                    kind: reference.kind.clone(),
                    name: reference.name.clone(),
                    current: version.to_owned(),
                    latest,
                });
            }
        }
        match errors.len() {
            0 => Ok(outdated),
            1 => Err(ReconcileError::Other(errors.remove(0))),
            _ => Err(ReconcileError::Other(format!("[{}]", errors.join(", ")))),
        }
    }

    async fn own(&self, class: &ClusterClass, named: &TemplateRef) -> Result<(), ReconcileError> {
        let context = &self.context;
        let namespace = class.metadata.namespace.as_deref().unwrap_or_default();
        let found =
            context.externals.get(&context.client, &without_version(named), namespace).await;
        let described = || {
            let (group, version) = named.group_version();
            format!(
                "refGroupVersionKind: {group}/{version}, Kind={}, refName: {}, refNamespace: {namespace}",
                named.kind, named.name
            )
        };
        let external = match found {
            Ok(Some(external)) => external,
            Ok(None) => {
                return Err(ReconcileError::Other(format!(
                    "Could not find external object for the ClusterClass. {}",
                    described()
                )));
            }
            Err(error) => {
                return Err(ReconcileError::Other(format!(
                    "failed to get the external object for the ClusterClass. {}: {error}",
                    described()
                )));
            }
        };
        let owner = owners::owner_of(class);
        let mut wanted = external.object.metadata.clone();
        if owners::has(&wanted, &owner) {
            return Ok(());
        }
        owners::ensure(&mut wanted, owner);
        external.write_ownership(&context.client, &wanted).await
    }
}
