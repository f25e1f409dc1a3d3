//! Namespaces. (kubernetes 1.36: pkg/registry/core/namespace/strategy.go)

use serde_json::{Value, json};

use crate::apiserver::strategy::fields::{items, text};
use crate::apiserver::strategy::report::{Path, Report};
use crate::apiserver::strategy::{Change, NONE, Rules, formats};
use crate::apiserver::write::Target;
use crate::machinery::status::Cause;

/// Of Namespaces.
pub(super) const RULES: Rules =
    Rules { default: label_namespace, prepare_create, prepare_update, validate, ..NONE };

/// The label that names a namespace.
const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";

fn prepare_create(namespace: &mut Value) {
    let finalizers = &mut namespace["spec"]["finalizers"];
    let kept = finalizers.as_array().is_some_and(|list| list.contains(&json!("kubernetes")));
    if !kept {
        let mut list = finalizers.take().as_array().cloned().unwrap_or_default();
        list.push("kubernetes".into());
        *finalizers = list.into();
    }
    namespace["status"] = json!({"phase": "Active"});
}

fn prepare_update(new: &mut Value, old: &Value, target: Target) {
    let kept = matches!(target, Target::Main | Target::Scale);
    if kept && new["spec"]["finalizers"] != old["spec"]["finalizers"] {
        new["spec"]["finalizers"] = old["spec"]["finalizers"].clone();
    }
    label_namespace(new);
}

fn label_namespace(namespace: &mut Value) {
    let name = namespace["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if !name.is_empty() {
        namespace["metadata"]["labels"][NAMESPACE_LABEL] = name.into();
    }
}

fn validate(change: &Change<'_>) -> Vec<Cause> {
    let mut report = Report::default();
    match (change.old, change.target) {
        (None, _) => finalizers(&mut report, change.new),
        (Some(_), Target::Finalize) => finalizers(&mut report, change.new),
        (Some(_), Target::Status) => phase(&mut report, change.new),
        (Some(_), _) => {}
    }
    report.into_causes()
}

/// Finalizers of the spec have a domain, or are Kubernetes' own.
fn finalizers(report: &mut Report, namespace: &Value) {
    let list = Path::Root("spec.finalizers");
    for (index, finalizer) in items(&namespace["spec"]["finalizers"]).enumerate() {
        let (path, name) = (list.index(index), finalizer.as_str().unwrap_or_default());
        formats::qualified_name(report, &path, name);
        let standard = matches!(name, "kubernetes" | "orphan" | "foregroundDeletion");
        if !name.contains('/') && !standard {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            report.invalid_text(path, name, why);
        }
    }
}

/// The phase says whether the namespace is being deleted.
fn phase(report: &mut Report, namespace: &Value) {
    let phase = text(&namespace["status"], "phase");
    let (wanted, why) = match namespace["metadata"]["deletionTimestamp"].is_null() {
        true => ("Active", "may only be 'Active' if `deletionTimestamp` is empty"),
        false => ("Terminating", "may only be 'Terminating' if `deletionTimestamp` is not empty"),
    };
    if phase != wanted {
        report.invalid_text(Path::Root("status.Phase"), phase, why);
    }
}
