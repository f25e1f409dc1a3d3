//! Namespaces. (kubernetes 1.36: pkg/registry/core/namespace/strategy.go)

use serde_json::{Value, json};

use crate::apiserver::strategy::{NONE, Rules};
use crate::apiserver::write::Target;

/// Of Namespaces.
pub(super) const RULES: Rules =
    Rules { default: label_namespace, prepare_create, prepare_update, ..NONE };

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
