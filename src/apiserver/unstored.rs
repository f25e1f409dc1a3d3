//! Resources of Kubernetes of which nothing is stored: clients find them in discovery as any other.
//! Bindings and reviews are answered where they are understood (`write`, `reviews`); the statuses of
//! components are made here.

use std::sync::{Arc, LazyLock};

use axum::body::Body;
use http::Response;
use serde_json::{Value, json};

use super::answer;
use super::negotiate::Shape;
use super::options::ListOptions;
use super::profile::{Resource, ResourceSet};
use super::read;
use super::request::RequestInfo;
use super::route::Call;
use super::selection::Selection;
use super::view::ListMeta;
use super::write::encode;
use crate::machinery::builtin;
use crate::machinery::definition::{Origin, ResourceDefinition, Serving, Strategy, Subresources};
use crate::machinery::schema::Schema;
use crate::machinery::status::Status;
use crate::store::Entry;

/// Group, plural, singular, kind, and whether it belongs to a namespace.
type Names = (&'static str, &'static str, &'static str, &'static str, bool);

const NAMES: [Names; 8] = [
    ("", "bindings", "binding", "Binding", true),
    ("", COMPONENT_STATUSES, "componentstatus", "ComponentStatus", false),
    (
        "authentication.k8s.io",
        "selfsubjectreviews",
        "selfsubjectreview",
        "SelfSubjectReview",
        false,
    ),
    ("authentication.k8s.io", "tokenreviews", "tokenreview", "TokenReview", false),
    (
        "authorization.k8s.io",
        "localsubjectaccessreviews",
        "localsubjectaccessreview",
        "LocalSubjectAccessReview",
        true,
    ),
    (
        "authorization.k8s.io",
        "selfsubjectaccessreviews",
        "selfsubjectaccessreview",
        "SelfSubjectAccessReview",
        false,
    ),
    (
        "authorization.k8s.io",
        "selfsubjectrulesreviews",
        "selfsubjectrulesreview",
        "SelfSubjectRulesReview",
        false,
    ),
    (
        "authorization.k8s.io",
        "subjectaccessreviews",
        "subjectaccessreview",
        "SubjectAccessReview",
        false,
    ),
];

const COMPONENT_STATUSES: &str = "componentstatuses";
/// (kubernetes 1.36: pkg/controlplane/apiserver, componentStatusStorage)
const COMPONENTS: [&str; 3] = ["controller-manager", "scheduler", "etcd-0"];
/// (kubernetes 1.36: pkg/api/legacyscheme of core/v1, APILifecycleDeprecated)
const DEPRECATED: &str = "v1 ComponentStatus is deprecated in v1.19+";

static RESOURCES: LazyLock<ResourceSet> =
    LazyLock::new(|| ResourceSet::new(NAMES.iter().map(definition).collect()));

fn definition(names: &Names) -> ResourceDefinition {
    let (group, plural, singular, kind, namespaced) = *names;
    let package = if group.is_empty() { "core" } else { group.split('.').next().unwrap_or(group) };
    let schema = builtin::shape(&format!("io.k8s.api.{package}.v1.{kind}")).cloned();
    let is_status = plural == COMPONENT_STATUSES;
    ResourceDefinition {
        group: group.into(),
        version: "v1".into(),
        kind: kind.into(),
        list_kind: format!("{kind}List").into(),
        plural: plural.into(),
        singular: singular.into(),
        short_names: if is_status { vec!["cs".into()] } else { Vec::new() },
        categories: Vec::new(),
        namespaced,
        origin: Origin::BuiltIn,
        schema: schema.unwrap_or_else(Schema::any),
        columns: Vec::new(),
        subresources: Subresources::default(),
        selectable_fields: Vec::new(),
        strategy: Strategy::default(),
        serving: Serving {
            deprecation: is_status.then(|| DEPRECATED.into()),
            ..Serving::default()
        },
    }
}

/// What discovery lists beside what is stored: nothing where Kubernetes' own kinds are not served.
pub(super) fn definitions(stored: &ResourceSet) -> &'static [Arc<ResourceDefinition>] {
    if stored.has_built_in("") { &RESOURCES.definitions } else { &[] }
}

/// The resource that a request for statuses of components names, where discovery lists it.
pub(super) fn component_statuses(
    stored: &ResourceSet,
    info: &RequestInfo,
) -> Option<Arc<Resource>> {
    let is_meant = info.resource == COMPONENT_STATUSES && stored.has_built_in("");
    is_meant.then(|| RESOURCES.resolve(&info.group, &info.version, COMPONENT_STATUSES)).flatten()
}

/// Whether a call is for statuses of components.
pub(super) fn is_component_statuses(call: &Call<'_>) -> bool {
    call.resource.is("", COMPONENT_STATUSES)
}

/// Answers a read of statuses of components. All are well: there is but one process.
/// (kubernetes 1.36: pkg/registry/core/componentstatus/rest.go)
///
/// # Errors
/// 405 for everything but reads, 500 for another component, as upstream.
pub(super) fn respond(call: &Call<'_>) -> Result<Response<Body>, Box<Status>> {
    let name = call.info.name.as_str();
    match call.info.verb {
        "list" => list(call),
        "get" if COMPONENTS.contains(&name) => {
            let accepted = call.accepted()?;
            if accepted.shape == Shape::Object {
                let mut object = component(name);
                object["kind"] = "ComponentStatus".into();
                object["apiVersion"] = "v1".into();
                return Ok(answer::encoded(200, accepted.encoding, object.to_string()));
            }
            let view = read::view(call, accepted.shape);
            Ok(answer::encoded(200, accepted.encoding, view.object(&*entry(call, name)?)))
        }
        "get" => Err(Status::unknown(format!("Component not found: {name}"))),
        _ => Err(Status::method_not_allowed()),
    }
}

fn list(call: &Call<'_>) -> Result<Response<Body>, Box<Status>> {
    let accepted = call.accepted()?;
    let options = ListOptions::parse(call.info, false)?;
    let selection = Selection::parse(&call.resource, &options)?;
    let entries: Result<Vec<Arc<Entry>>, _> =
        COMPONENTS.iter().map(|name| entry(call, name)).collect();
    let mut entries = entries?;
    entries.retain(|entry| selection.matches(entry));
    if accepted.shape == Shape::Object {
        let items: Vec<Value> = entries.iter().map(|entry| component(&entry.meta.name)).collect();
        let list = json!({
            "kind": "ComponentStatusList", "apiVersion": "v1", "metadata": {}, "items": items,
        });
        return Ok(answer::encoded(200, accepted.encoding, list.to_string()));
    }
    let list = read::view(call, accepted.shape).list(&entries, &ListMeta::default());
    Ok(answer::encoded(200, accepted.encoding, list))
}

fn component(name: &str) -> Value {
    let condition = json!({"type": "Healthy", "status": "True", "message": "ok"});
    json!({"metadata": {"name": name}, "conditions": [condition]})
}

fn entry(call: &Call<'_>, name: &str) -> Result<Arc<Entry>, Box<Status>> {
    Ok(Arc::new(encode(call.resource.version(), &component(name))?.at(0)))
}
