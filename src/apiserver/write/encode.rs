//! From a tree to the bytes that are stored.

use serde::Deserialize;
use serde_json::Value;

use crate::apiserver::versions::Version;
use crate::machinery::meta::Meta;
use crate::machinery::status::Status;
use crate::store::{Draft, Entry};

/// Largest object that is stored. (etcd 3.6: server/embed/config.go, DefaultMaxRequestBytes)
const OBJECT_MAX: usize = 3 * 512 * 1024;

/// Encodes an object of a version whose metadata is normalised; resourceVersion is left to the
/// store.
///
/// # Errors
/// 400 for metadata that does not fit its type, 413 for more than etcd takes, which kube-apiserver
/// answers with 500.
pub(in crate::apiserver) fn encode(
    version: &Version,
    object: &Value,
) -> Result<Draft, Box<Status>> {
    let metadata = object.get("metadata").unwrap_or(&Value::Null);
    let meta = Meta::deserialize(metadata)
        .map_err(|error| Status::bad_request(format!("metadata is malformed: {error}")))?;
    let fields = version.definition.selectable_fields.iter();
    let metadata = members(metadata, &["resourceVersion"]);
    let body = members(object, &["apiVersion", "kind", "metadata"]);
    if metadata.len() + body.len() > OBJECT_MAX {
        let why = format!("the object has more than {OBJECT_MAX} bytes");
        return Err(Status::request_entity_too_large(&why));
    }
    Ok(Draft {
        prefix: version.prefix.clone(),
        metadata,
        body,
        meta,
        fields: fields.map(|path| field(object, path).into_boxed_str()).collect(),
        definition: version.fingerprint,
    })
}

/// Parses a stored object, in the version in which it is stored.
pub(in crate::apiserver) fn decode(entry: &Entry) -> Result<Value, Box<Status>> {
    let malformed = |why: &dyn std::fmt::Display| {
        Status::internal(format!("a stored object is malformed: {why}"))
    };
    // Looking at all bytes at once is cheaper than looking at those of each string.
    let text = std::str::from_utf8(&entry.raw).map_err(|error| malformed(&error))?;
    serde_json::from_str(text).map_err(|error| malformed(&error))
}

/// Members of an object as JSON, without braces and without some of them.
fn members(object: &Value, without: &[&str]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    let Value::Object(object) = object else { return out };
    for (name, value) in object {
        if without.contains(&name.as_str()) {
            continue;
        }
        if !out.is_empty() {
            out.push(b',');
        }
        write(&mut out, name);
        out.push(b':');
        write(&mut out, value);
    }
    out
}

fn write(out: &mut Vec<u8>, value: &(impl serde::Serialize + ?Sized)) {
    serde_json::to_writer(out, value).expect("a JSON value is written to memory without failure");
}

/// The text of a selectable field. Booleans that kube-apiserver does not omit read `false`.
fn field(object: &Value, path: &str) -> String {
    if path == "source" {
        return reporter(object).to_owned();
    }
    let mut value = object;
    for name in path.split('.') {
        value = value.get(name).unwrap_or(&Value::Null);
    }
    match value {
        Value::String(text) => text.clone(),
        Value::Null if matches!(path, "spec.hostNetwork" | "spec.unschedulable") => "false".into(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Who reported an event: the source's component, or the controller.
/// (kubernetes 1.36: pkg/registry/core/event/strategy.go, ToSelectableFields)
fn reporter(event: &Value) -> &str {
    let component = |field: &str| event[field]["component"].as_str();
    let controller = |field: &str| event[field].as_str();
    let known = [
        component("source"),
        component("deprecatedSource"),
        controller("reportingComponent"),
        controller("reportingController"),
    ];
    known.into_iter().flatten().find(|name| !name.is_empty()).unwrap_or_default()
}
