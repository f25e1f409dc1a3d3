//! What clients notice of the built-in kinds' own strategies.
//! (kubernetes 1.36: pkg/registry/core/{namespace,secret,configmap,pod}/strategy.go)

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::pipeline::Target;
use super::{metadata, pods, workloads};
use crate::apiserver::profile::Resource;
use crate::machinery::status::Cause;
use crate::machinery::{crd, zeros};

/// The label that names a namespace.
const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";

/// The annotation of a Pod that mirrors a static one.
const MIRROR_POD: &str = "kubernetes.io/config.mirror";

/// Most bytes of a ConfigMap's or Secret's values.
const DATA_MAX: usize = 1024 * 1024;

/// Fills in what a decoded object lacks.
pub(super) fn default(resource: &Resource, object: &mut Value) {
    if resource.is("apiextensions.k8s.io", "customresourcedefinitions") {
        crd::set_defaults(object);
        return;
    }
    match core_kind(resource) {
        "Namespace" => label_namespace(object),
        "Secret" => default_secret(object),
        _ if resource.is_built_in() => workloads::default(&resource.definition, object),
        _ => {}
    }
}

/// Removes what a client cannot set in a new object: status is the system's.
pub(super) fn reset(resource: &Resource, object: &mut Value) {
    if resource.definition.subresources.status && !comes_with_status(resource, object) {
        remove(object, "status");
    }
}

/// Kubelets register Nodes together with their status. Where Machines are simulated, the mirror of
/// a static Pod comes with its status, too: a kubelet's second write would show for a moment a
/// control plane that is down.
fn comes_with_status(resource: &Resource, object: &Value) -> bool {
    match core_kind(resource) {
        "Node" => true,
        "Pod" => {
            let mirror = &object["metadata"]["annotations"][MIRROR_POD];
            mirror.is_string() && object["status"]["conditions"].is_array()
        }
        _ => false,
    }
}

/// Adds the zeros that Go writes.
pub(super) fn fill_zeros(resource: &Resource, object: &mut Value) {
    if let Some(component) = resource.definition.schema.component_name() {
        zeros::fill(component, object);
    }
}

/// A new object of a kind before anything is set: nobody owns its zeros.
pub(super) fn zero_object(resource: &Resource) -> Value {
    resource.definition.schema.component_name().map_or(Value::Null, zeros::object)
}

/// The kind, if it is one of the core group's.
fn core_kind(resource: &Resource) -> &str {
    let core = resource.is_built_in() && resource.key.group.is_empty();
    if core { &resource.definition.kind } else { "" }
}

/// Sets what the system says of a new object.
pub(super) fn prepare_create(resource: &Resource, object: &mut Value) {
    if resource.is_built_in()
        && !comes_with_status(resource, object)
        && let Some(status) = workloads::initial_status(&resource.definition)
    {
        object["status"] = status;
    }
    match core_kind(resource) {
        "Namespace" => {
            let finalizers = &mut object["spec"]["finalizers"];
            let kept =
                finalizers.as_array().is_some_and(|list| list.contains(&json!("kubernetes")));
            if !kept {
                let mut list = finalizers.take().as_array().cloned().unwrap_or_default();
                list.push("kubernetes".into());
                *finalizers = list.into();
            }
            object["status"] = json!({"phase": "Active"});
        }
        "Pod" => workloads::admit_pod(object),
        "Service" => workloads::admit_service(object),
        _ => {}
    }
}

/// Prepares a changed object: a write of one part leaves the others as they are.
pub(super) fn prepare_update(resource: &Resource, target: Target, new: &mut Value, old: &Value) {
    let is_namespace = resource.is("", "namespaces");
    match target {
        Target::Main | Target::Scale => {
            if resource.definition.subresources.status {
                restore(new, old, "status");
            }
            if resource.is("", "services") {
                for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                    if new["spec"][field].is_null() && !old["spec"][field].is_null() {
                        new["spec"][field] = old["spec"][field].clone();
                    }
                }
            }
            if is_namespace && new["spec"]["finalizers"] != old["spec"]["finalizers"] {
                new["spec"]["finalizers"] = old["spec"]["finalizers"].clone();
            }
        }
        Target::Status => keep_all_but_status(resource, new, old),
        Target::Finalize => {
            let finalizers = new["spec"]["finalizers"].take();
            let version = metadata::text(new, "resourceVersion").to_owned();
            *new = old.clone();
            new["metadata"]["resourceVersion"] = version.into();
            match finalizers.as_array().map_or(0, Vec::len) {
                0 => new["spec"] = json!({}),
                _ => new["spec"]["finalizers"] = finalizers,
            }
        }
    }
    if is_namespace {
        label_namespace(new);
    }
}

/// The status subresource changes status alone; of built-in kinds it may change metadata, too.
fn keep_all_but_status(resource: &Resource, new: &mut Value, old: &Value) {
    let Some(members) = new.as_object_mut() else { return };
    let kept = ["apiVersion", "kind", "metadata", "status"];
    members.retain(|name, _| kept.contains(&name.as_str()));
    let Some(before) = old.as_object() else { return };
    for (name, value) in before {
        // Hardly ever different: comparing is cheaper than copying.
        if !kept.contains(&name.as_str()) && members.get(name) != Some(value) {
            members.insert(name.clone(), value.clone());
        }
    }
    let owned = metadata::members(new).remove("managedFields");
    let given: Vec<_> = ["resourceVersion", "uid", "name", "namespace"]
        .map(|field| (field, metadata::members(new).remove(field)))
        .into();
    if !resource.is_built_in() && !has_same_metadata(new, old) {
        new["metadata"] = old["metadata"].clone();
    }
    let members = metadata::members(new);
    for (field, value) in given {
        if let Some(value) = value {
            members.insert(field.to_owned(), value);
        }
    }
    match owned {
        Some(owned) => members.insert("managedFields".to_owned(), owned),
        None => members.remove("managedFields"),
    };
}

/// Whether a changed object, whose identity is taken aside, has the metadata of the old one.
fn has_same_metadata(new: &Value, old: &Value) -> bool {
    let taken = ["resourceVersion", "uid", "name", "namespace", "managedFields"];
    match (&new["metadata"], &old["metadata"]) {
        (Value::Object(new), Value::Object(old)) => {
            let old = old.iter().filter(|(name, _)| !taken.contains(&name.as_str()));
            new.iter().eq(old)
        }
        _ => false,
    }
}

/// Checks rules of single kinds.
pub(super) fn validate(resource: &Resource, new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    if resource.is("coordination.k8s.io", "leases") {
        check_lease(new, &mut causes);
    }
    if resource.is("apps", "deployments") {
        let strategy = &new["spec"]["strategy"];
        if strategy["type"] == "Recreate" && !strategy["rollingUpdate"].is_null() {
            let why = "may not be specified when strategy `type` is 'Recreate'";
            causes.push(Cause::forbidden("spec.strategy.rollingUpdate", why));
        }
    }
    causes.extend(pods::validate(resource, new, old));
    let kind = core_kind(resource);
    if kind == "Event" && old.is_none() {
        check_event(new, &mut causes);
    }
    if matches!(kind, "Secret" | "ConfigMap") {
        check_keys(new, &mut causes);
        if let Some(old) = old {
            check_immutable(kind, new, old, &mut causes);
        }
    }
    causes
}

/// An event lives in the namespace of what it is about.
fn check_event(event: &Value, causes: &mut Vec<Cause>) {
    let about = event["involvedObject"]["namespace"].as_str().unwrap_or_default();
    // Events about what has no namespace live in the default one.
    let wanted = if about.is_empty() { "default" } else { about };
    let given = metadata::text(event, "namespace");
    let elsewhere = about.is_empty() && given == "kube-system";
    if given != wanted && !elsewhere {
        let why = "does not match event.namespace";
        causes.push(Cause::invalid("involvedObject.namespace", &about.into(), why));
    }
}

/// Removes fields of features that are switched off.
pub(super) fn drop_disabled(resource: &Resource, object: &mut Value) {
    if resource.is("coordination.k8s.io", "leases")
        && let Some(spec) = object["spec"].as_object_mut()
    {
        for field in ["strategy", "preferredHolder"] {
            spec.remove(field);
        }
    }
}

fn check_lease(lease: &Value, causes: &mut Vec<Cause>) {
    let spec = &lease["spec"];
    if let Some(seconds) = spec["leaseDurationSeconds"].as_i64()
        && seconds <= 0
    {
        let field = "spec.leaseDurationSeconds";
        causes.push(Cause::invalid(field, &seconds.into(), "must be greater than 0"));
    }
    if let Some(transitions) = spec["leaseTransitions"].as_i64()
        && transitions < 0
    {
        let why = "must be greater than or equal to 0";
        causes.push(Cause::invalid("spec.leaseTransitions", &transitions.into(), why));
    }
}

/// Keys of ConfigMaps and Secrets are file names.
fn check_keys(object: &Value, causes: &mut Vec<Cause>) {
    let size = |field: &str| {
        let values = object[field].as_object().into_iter().flat_map(|map| map.values());
        values.filter_map(Value::as_str).map(str::len).sum::<usize>()
    };
    if size("data") + size("binaryData") > DATA_MAX {
        causes.push(Cause::too_long("[]", DATA_MAX));
    }
    let keys = |field: &str| object[field].as_object().into_iter().flat_map(|map| map.keys());
    for field in ["data", "binaryData"] {
        for key in keys(field) {
            let path = format!("{field}[{key}]");
            if let Some(why) = check_config_key(key) {
                causes.push(Cause::invalid(path.clone(), &key.as_str().into(), why));
            }
            if field == "data" && object["binaryData"].get(key).is_some() {
                let why = "duplicate of key present in binaryData";
                causes.push(Cause::invalid(path, &key.as_str().into(), why));
            }
        }
    }
}

fn check_config_key(key: &str) -> Option<&'static str> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if key.len() > 253 {
        return Some("must be no more than 253 bytes");
    }
    if key.is_empty() || !key.bytes().all(legal) {
        return Some(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. \
             'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is \
             '[-._a-zA-Z0-9]+')",
        );
    }
    match key {
        "." => Some("must not be '.'"),
        ".." => Some("must not be '..'"),
        _ if key.starts_with("..") => Some("must not start with '..'"),
        _ => None,
    }
}

fn check_immutable(kind: &str, new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    if kind == "Secret" && new["type"] != old["type"] {
        causes.push(Cause::invalid("type", &new["type"], "field is immutable"));
    }
    if old["immutable"] != true {
        return;
    }
    let why = "field is immutable when `immutable` is set";
    if new["immutable"] != true {
        causes.push(Cause::forbidden("immutable", why));
    }
    for field in ["data", "binaryData"] {
        if new[field] != old[field] {
            causes.push(Cause::forbidden(field, why));
        }
    }
}

/// Whether nothing of the kind's own holds up the removal of an object without finalizers.
pub(super) fn may_go(resource: &Resource, object: &Value) -> bool {
    if !resource.is("", "namespaces") {
        return true;
    }
    object["spec"]["finalizers"].as_array().is_none_or(Vec::is_empty)
}

fn default_secret(secret: &mut Value) {
    if let Some(texts) = secret["stringData"].as_object().cloned() {
        for (key, text) in texts {
            let encoded = STANDARD.encode(text.as_str().unwrap_or_default());
            secret["data"][key] = encoded.into();
        }
    }
    remove(secret, "stringData");
    if secret["type"].as_str().unwrap_or_default().is_empty() {
        secret["type"] = "Opaque".into();
    }
}

fn label_namespace(namespace: &mut Value) {
    let name = metadata::text(namespace, "name").to_owned();
    if !name.is_empty() {
        namespace["metadata"]["labels"][NAMESPACE_LABEL] = name.into();
    }
}

fn restore(new: &mut Value, old: &Value, field: &str) {
    match old.get(field) {
        Some(value) if new.get(field) == Some(value) => {}
        Some(value) => new[field] = value.clone(),
        None => remove(new, field),
    }
}

fn remove(object: &mut Value, field: &str) {
    if let Some(members) = object.as_object_mut() {
        members.remove(field);
    }
}
