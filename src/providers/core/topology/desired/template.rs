//! Objects and templates made of a class's templates.
//! (CAPI v1.14: templateToObject, templateToTemplate)

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value, json};

use super::super::kinds::reference_to;
use super::super::labels::{LAST_APPLIED, OWNED};
use super::super::scope::Scope;
use super::super::tree;
use crate::contract::template::{CloneInput, clone_template};
use crate::contract::{labels, owners};

/// What an object is made with beside its template.
#[derive(Clone, Debug, Default)]
pub(super) struct Extras {
    /// Labels on top of the template's.
    pub labels: BTreeMap<String, String>,
    /// Annotations on top of the template's.
    pub annotations: BTreeMap<String, String>,
    /// Owner.
    pub owner: Option<OwnerReference>,
}

/// The object that a class's template describes.
pub(super) fn object(scope: &Scope, template: &Value, name: &str, extras: Extras) -> Value {
    let mut all = extras.labels;
    all.insert(OWNED.to_owned(), String::new());
    clone_template(&CloneInput {
        template,
        reference: &reference_to(template),
        namespace: scope.namespace(),
        name,
        cluster_name: scope.name(),
        owner: extras.owner,
        labels: &all,
        annotations: &extras.annotations,
    })
}

/// The Cluster's own copy of a class's template, owned by the Cluster.
pub(super) fn template(scope: &Scope, template: &Value, name: &str) -> Value {
    let mut held = tree::strings(template, "/metadata/labels");
    held.insert(labels::CLUSTER_NAME.to_owned(), scope.name().to_owned());
    held.insert(OWNED.to_owned(), String::new());
    let mut annotations = tree::strings(template, "/metadata/annotations");
    annotations.remove(LAST_APPLIED);
    let reference = reference_to(template);
    let group_kind = format!("{}.{}", reference.kind, reference.api_group);
    annotations.insert(labels::CLONED_FROM_NAME.to_owned(), reference.name);
    annotations.insert(labels::CLONED_FROM_GROUP_KIND.to_owned(), group_kind);
    json!({
        "apiVersion": template.get("apiVersion"),
        "kind": template.get("kind"),
        "metadata": {
            "name": name,
            "namespace": scope.namespace(),
            "labels": held,
            "annotations": annotations,
            "ownerReferences": [owner(scope)],
        },
        "spec": template.get("spec"),
    })
}

/// The Cluster as owner of what would otherwise be left behind when making a Cluster fails.
pub(super) fn owner(scope: &Scope) -> OwnerReference {
    owners::owner_of(&scope.cluster)
}
