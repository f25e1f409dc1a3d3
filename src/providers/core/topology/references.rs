//! Objects and templates that a topology refers to: making, changing, rotating them.
//! (CAPI v1.14: reconcileReferencedObject, reconcileReferencedTemplate, internal/topology/check)

use serde_json::{Value, json};

use super::apply::{Applier, Change, changes, intent, is_settled};
use super::events::Events;
use super::kinds::{Kinds, wrap};
use super::names::Names;
use super::tree;
use crate::api::core::Cluster;
use crate::client::ClientError;
use crate::runtime::ReconcileError;

/// What is needed to write.
pub(super) struct Writer<'a> {
    pub(super) kinds: &'a Kinds,
    pub(super) applier: &'a Applier,
    pub(super) events: &'a Events,
    pub(super) names: Names<'a>,
    /// The Cluster, which most Events are about.
    pub(super) cluster: &'a Cluster,
}

/// What must not change about a template when another one takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compatible {
    /// Group, kind and namespace.
    KindAndNamespace,
    /// The namespace.
    Namespace,
}

/// A template that was rotated or made in this reconcile, to be deleted if what refers to it cannot
/// be written.
pub(super) type Made<'a> = Option<&'a Value>;

impl Writer<'_> {
    /// Makes an object, or applies what has changed; answers whether it was made.
    ///
    /// # Errors
    /// The object would become another one, or a request failed.
    pub(super) async fn object(
        &self,
        current: Option<&Value>,
        desired: &Value,
        ignored: &[&[&str]],
    ) -> Result<bool, ReconcileError> {
        let Some(current) = current else {
            self.create(desired, ignored).await?;
            let kind = tree::kind(desired);
            let message = format!("Created {kind} {:?}", tree::key(desired));
            self.events.created(self.cluster, message);
            return Ok(true);
        };
        let mut errors = Vec::new();
        if tree::name(current) != tree::name(desired) {
            errors.push(name_changed(current, desired));
        }
        errors.extend(incompatible(current, desired, Compatible::KindAndNamespace));
        aggregate(&errors)?;
        if self.update(current, desired, ignored).await? {
            let version = version_change(current, desired, "/spec/version");
            let kind = tree::kind(desired);
            let message = format!("Updated {kind} {:?}{version}", tree::key(desired));
            self.events.updated(self.cluster, message);
        }
        Ok(false)
    }

    /// Applies an object that exists; answers whether that changed it.
    ///
    /// # Errors
    /// The request failed.
    pub(super) async fn update(
        &self,
        current: &Value,
        desired: &Value,
        ignored: &[&[&str]],
    ) -> Result<bool, ReconcileError> {
        let wanted = intent(desired, Some(current), ignored);
        if is_settled(current, &wanted) {
            return Ok(false);
        }
        let resource = self.kinds.resource_of(desired)?;
        let applied = self.applier.apply(&resource, &wanted).await;
        let applied = applied.map_err(|error| {
            wrap(format!("failed to patch {}", tree::describe(current)), error.into())
        })?;
        Ok(changes(current, &applied, &[]) != Change::None)
    }

    /// Makes an object.
    ///
    /// # Errors
    /// The request failed; the text does not have the generated name, which is another one each
    /// time.
    pub(super) async fn create(
        &self,
        desired: &Value,
        ignored: &[&[&str]],
    ) -> Result<Value, ReconcileError> {
        let resource = self.kinds.resource_of(desired)?;
        let wanted = intent(desired, None, ignored);
        self.applier.apply(&resource, &wanted).await.map_err(|error| create_error(&error, desired))
    }

    /// Makes a template, changes its metadata, or makes another one that takes its place, whose
    /// name `desired` then has. Answers whether a template was made.
    ///
    /// # Errors
    /// The template would become one of another kind, or a request failed.
    pub(super) async fn template(
        &self,
        current: Option<&Value>,
        desired: &mut Value,
        prefix: &str,
        compatible: Compatible,
    ) -> Result<bool, ReconcileError> {
        let kind = tree::kind(desired).to_owned();
        let Some(current) = current else {
            self.create(desired, &[]).await?;
            let message = format!("Created {kind} {:?}", tree::key(desired));
            self.events.created(self.cluster, message);
            return Ok(true);
        };
        aggregate(&incompatible(current, desired, compatible))?;
        let resource = self.kinds.resource_of(desired)?;
        let wanted = intent(desired, Some(current), &[]);
        // Another kind or version is another template.
        let change = match tree::kind(current) == kind {
            true => self.applier.preview(&resource, current, &wanted).await.map_err(|error| {
                let what = format!("failed to create patch helper for {}", tree::describe(current));
                wrap(
                    format!("{what}: server side apply dry-run failed for modified object"),
                    error.into(),
                )
            })?,
            false => Change::Spec,
        };
        match change {
            Change::None => Ok(false),
            Change::Metadata => {
                self.applier.apply(&resource, &wanted).await.map_err(|error| {
                    wrap(format!("failed to patch {}", tree::describe(desired)), error.into())
                })?;
                let message = format!("Updated {kind} {:?} (metadata changes)", tree::key(desired));
                self.events.updated(self.cluster, message);
                Ok(false)
            }
            Change::Spec => {
                self.rotate(current, desired, prefix).await?;
                Ok(true)
            }
        }
    }

    async fn rotate(
        &self,
        current: &Value,
        desired: &mut Value,
        prefix: &str,
    ) -> Result<(), ReconcileError> {
        let replaced = tree::name(current);
        let kind = tree::kind(desired).to_owned();
        // Another spec has another name: what an earlier attempt left behind is immutable.
        let spec = desired["spec"].to_string();
        let name = self.names.generate(prefix, &[&kind, replaced, &spec]);
        tree::set(desired, &["metadata", "name"], json!(name));
        self.create(desired, &[]).await?;
        let message = format!(
            "Created {kind} {:?} as a replacement for {replaced:?} (template rotation)",
            tree::key(desired)
        );
        self.events.created(self.cluster, message);
        Ok(())
    }

    /// Deletes templates that were made for an object that could then not be written; as well as it
    /// goes, since they are deleted with the Cluster anyway.
    pub(super) async fn clean_up(&self, made: &[Made<'_>]) {
        for template in made.iter().flatten() {
            let deleted = match self.kinds.resource_of(template) {
                Ok(resource) => {
                    self.applier.delete(&resource, template).await.map_err(ReconcileError::from)
                }
                Err(error) => Err(error),
            };
            if let Err(error) = deleted {
                let template = tree::describe(template);
                tracing::warn!(%error, template, "failed to clean up a template");
            }
        }
    }
}

/// ` with version change from a to b`, if the version changes.
pub(super) fn version_change(current: &Value, desired: &Value, pointer: &str) -> String {
    let (from, to) = (tree::text(current, pointer), tree::text(desired, pointer));
    if from.is_empty() || to.is_empty() || from == to {
        return String::new();
    }
    format!(" with version change from {from} to {to}")
}

fn group_kind(object: &Value) -> String {
    format!("{}.{}", tree::kind(object), tree::group(object))
}

fn name_changed(current: &Value, desired: &Value) -> String {
    let (from, to) = (tree::name(current), tree::name(desired));
    format!(
        "metadata.name: Forbidden: metadata.name of {}/{from} cannot be changed from {from:?} to {to:?} to prevent incompatible changes in the Cluster",
        group_kind(current)
    )
}

fn incompatible(current: &Value, desired: &Value, compatible: Compatible) -> Vec<String> {
    let named = format!("{}/{}", group_kind(current), tree::name(current));
    let mut errors = Vec::new();
    let mut check = |field: &str, what: &str, from: &str, to: &str, why: &str| {
        if from != to {
            errors.push(format!(
                "{field}: Forbidden: {what} of {named} cannot be changed from {from:?} to {to:?} {why}"
            ));
        }
    };
    if compatible == Compatible::KindAndNamespace {
        let why = "to prevent incompatible changes in the Cluster";
        let (from, to) = (tree::group(current), tree::group(desired));
        check("metadata.apiVersion", "apiVersion.group", from, to, why);
        let (from, to) = (tree::kind(current), tree::kind(desired));
        check("metadata.kind", "apiVersion.kind", from, to, why);
    }
    let why = "because templates must be in the same namespace as the Cluster";
    let (from, to) = (tree::namespace(current), tree::namespace(desired));
    check("metadata.namespace", "metadata.namespace", from, to, why);
    errors
}

/// Several errors as one, as Go's aggregates are written.
fn aggregate(errors: &[String]) -> Result<(), ReconcileError> {
    match errors {
        [] => Ok(()),
        [one] => Err(ReconcileError::Other(one.clone())),
        all => Err(ReconcileError::Other(format!("[{}]", all.join(", ")))),
    }
}

/// (CAPI v1.14: createErrorWithoutObjectName)
fn create_error(error: &ClientError, desired: &Value) -> ReconcileError {
    tracing::warn!(%error, object = tree::describe(desired), "failed to create object");
    let mut message = format!("failed to create {}", group_kind(desired));
    if let ClientError::Status(status) = error
        && let Some(details) = &status.details
    {
        message = format!("failed to create {}.{}", details.kind, details.group);
        let causes: Vec<String> = details
            .causes
            .iter()
            .map(|cause| format!("{}: {}: {}", cause.reason, cause.field, cause.message))
            .collect();
        if !causes.is_empty() {
            message.push_str(&format!(": {}", causes.join(" ")));
        }
    }
    ReconcileError::Other(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_not_change_is_named() {
        let object = |api_version: &str, kind: &str, namespace: &str| {
            json!({
                "apiVersion": api_version, "kind": kind,
                "metadata": {"name": "a", "namespace": namespace}
            })
        };
        let old = object("g/v1", "K", "n");
        let check = |new: &Value, compatible| aggregate(&incompatible(&old, new, compatible));
        let strict = Compatible::KindAndNamespace;
        assert!(check(&object("g/v2", "K", "n"), strict).is_ok());
        assert!(check(&object("h/v2", "L", "n"), Compatible::Namespace).is_ok());
        assert_eq!(
            check(&object("g/v1", "L", "n"), strict).unwrap_err().to_string(),
            "metadata.kind: Forbidden: apiVersion.kind of K.g/a cannot be changed from \"K\" to \"L\" to prevent incompatible changes in the Cluster"
        );
        let text = check(&object("h/v1", "L", "n"), strict).unwrap_err().to_string();
        assert!(text.starts_with("[metadata.apiVersion: Forbidden:"), "{text}");
    }
}
