//! Admission of what is sent to subresources and stored nowhere: Bindings, Evictions,
//! TokenRequests, and the options of those who want to talk to a pod.

use serde_json::{Map, Value, json};

use super::attributes::Operation;
use super::chain::Chain;
use crate::apiserver::proxy;
use crate::apiserver::route::Call;
use crate::machinery::gvk::GroupVersionKind;
use crate::machinery::status::Status;

/// Both steps for the object that is created in a subresource; answers what became of it.
/// What is to be told to the client is added to `warnings`.
///
/// # Errors
/// The first refusal.
pub(crate) async fn created(
    call: &Call<'_>,
    kind: &GroupVersionKind,
    (mut object, dry_run): (Value, bool),
    warnings: &mut Vec<String>,
) -> Result<Value, Box<Status>> {
    let chain = Chain::new(call, Operation::Create);
    if chain.is_idle(&object) {
        return Ok(object);
    }
    object["kind"] = (*kind.kind).into();
    object["apiVersion"] = kind.api_version().into();
    let mut attributes = chain.attributes(&call.info.name);
    attributes = attributes.of_kind(&kind.group, &kind.version, &kind.kind);
    attributes.dry_run = dry_run;
    let passed = chain.pass(&attributes, object, None, warnings).await;
    if passed.is_err() {
        call.refusal_warnings.lock().clone_from(warnings);
    }
    passed
}

/// Both steps for a connection to a pod, or through the server to something else: the object is what
/// the query says, of the kind that the subresource has. Changes of it are without effect.
/// (kubernetes 1.36: apiserver/pkg/endpoints/handlers/rest.go, ConnectResource)
///
/// # Errors
/// 400 for a query that cannot be read, or the first refusal.
pub(crate) async fn connected(call: &Call<'_>) -> Result<(), Box<Status>> {
    let (kind, object) = options(call)?;
    let chain = Chain::new(call, Operation::Connect);
    if chain.is_idle(&Value::Null) {
        return Ok(());
    }
    let attributes = chain.attributes(&call.info.name).of_kind("", "v1", kind);
    let mut warnings = Vec::new();
    let passed = chain.pass(&attributes, object, None, &mut warnings).await;
    *call.refusal_warnings.lock() = warnings;
    passed.map(drop)
}

/// What the query of a connection says, as an object with its kind.
fn options(call: &Call<'_>) -> Result<(&'static str, Value), Box<Status>> {
    let info = call.info;
    let values = |wanted: &str| -> Vec<&str> {
        let found = info.query.iter().filter(|(name, _)| *name == *wanted);
        found.map(|(_, value)| value.as_str()).collect()
    };
    let mut members = Map::new();
    let kind = match &*info.subresource {
        "proxy" => return Ok(proxied(call)),
        "exec" => "PodExecOptions",
        "attach" => "PodAttachOptions",
        _ => "PodPortForwardOptions",
    };
    members.insert("kind".to_owned(), kind.into());
    members.insert("apiVersion".to_owned(), "v1".into());
    if kind == "PodPortForwardOptions" {
        let texts = values("ports").into_iter().flat_map(|text| text.split(','));
        let ports: Result<Vec<u16>, _> = texts.map(port).collect();
        let ports = ports.map_err(Status::bad_request)?;
        if !ports.is_empty() {
            members.insert("ports".to_owned(), json!(ports));
        }
        return Ok((kind, Value::Object(members)));
    }
    for name in ["stdin", "stdout", "stderr", "tty"] {
        if values(name).first().is_some_and(|text| !is_false(text)) {
            members.insert(name.to_owned(), true.into());
        }
    }
    if let Some(container) = values("container").first().filter(|name| !name.is_empty()) {
        members.insert("container".to_owned(), (*container).into());
    }
    let command = values("command");
    if kind == "PodExecOptions" && !command.is_empty() {
        members.insert("command".to_owned(), json!(command));
    }
    Ok((kind, Value::Object(members)))
}

/// What somebody wants who talks to a node, a pod or a service through the server.
fn proxied(call: &Call<'_>) -> (&'static str, Value) {
    let kind = match &*call.resource.key.plural {
        "nodes" => "NodeProxyOptions",
        "pods" => "PodProxyOptions",
        _ => "ServiceProxyOptions",
    };
    let mut object = json!({"kind": kind, "apiVersion": "v1"});
    let path = proxy::path(call.info);
    if !path.is_empty() {
        object["path"] = path.into();
    }
    (kind, object)
}

/// Whether a parameter that is there means no. (kubernetes 1.36: apimachinery/pkg/runtime/
/// conversion.go, Convert_Slice_string_To_bool)
fn is_false(text: &str) -> bool {
    text == "0" || text.eq_ignore_ascii_case("false")
}

/// A port to forward. (kubernetes 1.36: apimachinery/pkg/apis/meta/v1/conversion.go,
/// Convert_Slice_string_To_Slice_int32)
fn port(text: &str) -> Result<u16, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number).ok_or_else(|| {
        let why = if is_number { "value out of range" } else { "invalid syntax" };
        format!("cannot convert to []int32: strconv.ParseUint: parsing {text:?}: {why}")
    })
}
