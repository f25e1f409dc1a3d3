//! How kube-apiserver refuses what does not fit the kind: bodies with 400, what patches lead to
//! with 422. (kubernetes 1.36: apiserver/pkg/endpoints/handlers/patch.go)

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::apiserver::route::Call;
use crate::machinery::definition::ResourceDefinition;
use crate::machinery::gvk::split_api_version;
use crate::machinery::schema;
use crate::machinery::status::{Cause, Status};

/// Where an object that may not fit comes from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Misfit {
    /// From a body that is an object.
    Body,
    /// From a JSON patch or a merge patch; upstream encodes the outcome and decodes it again.
    Patched,
    /// From server-side apply of a configuration with this `namespace/name`; upstream converts the
    /// outcome without encoding it.
    Applied(String),
    /// From this strategic merge patch; upstream converts the outcome without encoding it.
    Merged(Value),
}

impl Misfit {
    /// The refusal of an object of the kind of `definition`.
    pub(super) fn refusal(
        &self,
        definition: &ResourceDefinition,
        why: &str,
        shown: &Value,
    ) -> Box<Status> {
        let (shown, why) = match self {
            Self::Body => {
                let (kind, version) = (&definition.kind, &definition.version);
                return Status::bad_request(format!(
                    "{kind} in version \"{version}\" cannot be handled as a {kind}: {why}"
                ));
            }
            Self::Applied(name) => {
                let (group, version) = (&definition.group, &definition.version);
                let of_kind = format!("{group}/{version}, Kind={}", definition.kind);
                return Status::unknown(format!(
                    "failed to convert new object ({name}; {of_kind}) to proper version: unable to \
                     convert unstructured object to {of_kind}: {}",
                    conversion_error(why)
                ));
            }
            Self::Patched => (shown.to_string(), why.to_owned()),
            Self::Merged(patch) => (go_value(patch), conversion_error(why)),
        };
        let cause = Cause::invalid("patch", &shown.into(), &why);
        Status::invalid("", "", "", vec![cause])
    }

    /// The refusal of an object that says it is of another kind.
    pub(super) fn wrong_kind(&self, call: &Call<'_>, object: &Map<String, Value>) -> Box<Status> {
        let text = |field| object.get(field).and_then(Value::as_str).unwrap_or_default();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let definition = &call.resource.definition;
        let (group, version) = split_api_version(api_version);
        let resources = call.server.resources();
        let other = resources.definitions.iter().find(|other| {
            &*other.group == group && &*other.version == version && &*other.kind == kind
        });
        let expected = &definition.kind;
        let Some(other) = other else {
            return self.other_kind(
                call,
                object,
                &format!(
                    "no kind \"{kind}\" is registered for version \"{api_version}\" in scheme \
                 \"pkg/api/legacyscheme/scheme.go:30\""
                ),
            );
        };
        // The object is decoded as what it says it is before it is converted.
        let value = Value::Object(object.clone());
        if *self != Self::Body
            && let Some(cause) = schema::validate(&other.schema, &value).first()
        {
            return self.refusal(definition, &cause.message, &value);
        }
        let internal = if definition.group.is_empty() { "core" } else { &definition.group };
        let package = if group.is_empty() { version } else { api_version };
        self.other_kind(
            call,
            object,
            &format!(
                "converting ({package}.{kind}) to ({internal}.{expected}): unknown conversion"
            ),
        )
    }

    fn other_kind(&self, call: &Call<'_>, object: &Map<String, Value>, why: &str) -> Box<Status> {
        let definition = &call.resource.definition;
        if *self != Self::Body {
            return self.refusal(definition, why, &Value::Object(object.clone()));
        }
        let text = |field| object.get(field).and_then(Value::as_str).unwrap_or_default();
        let (_, version) = split_api_version(text("apiVersion"));
        Status::bad_request(format!(
            "{} in version \"{version}\" cannot be handled as a {}: {why}",
            text("kind"),
            definition.kind
        ))
    }
}

/// What the converter of unstructured objects says in place of the JSON decoder. (kubernetes 1.36:
/// apimachinery/pkg/runtime/converter.go)
fn conversion_error(why: &str) -> String {
    let parts = why.strip_prefix("json: cannot unmarshal ").and_then(|rest| {
        let (given, rest) = rest.split_once(" into Go ")?;
        Some((given.split(' ').next()?, rest.split_once(" of type ")?.1))
    });
    let Some((given, wanted)) = parts else { return why.to_owned() };
    let given = match given {
        "number" => "int64",
        "object" => "map",
        "array" => "slice",
        other => other,
    };
    match wanted {
        _ if wanted.starts_with("[]") => format!("cannot restore slice from {given}"),
        _ if wanted.starts_with("map[") => format!("cannot restore map from {given}"),
        "string" if given == "int64" => format!("cannot convert {given} to {wanted}"),
        "string" | "bool" | "int32" | "int64" | "float64" | "uint32" => {
            format!("unrecognized type: {wanted}")
        }
        _ => format!("cannot restore struct from: {given}"),
    }
}

/// A value as Go's `%+v` prints it.
fn go_value(value: &Value) -> String {
    let mut text = String::new();
    print(value, &mut text);
    text
}

fn print(value: &Value, text: &mut String) {
    match value {
        Value::Null => text.push_str("<nil>"),
        Value::String(string) => text.push_str(string),
        Value::Bool(_) | Value::Number(_) => {
            // Writing into a String cannot fail.
            let _ = write!(text, "{value}");
        }
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(' ');
                }
                print(item, text);
            }
            text.push(']');
        }
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort_unstable();
            text.push_str("map[");
            for (index, name) in names.into_iter().enumerate() {
                if index > 0 {
                    text.push(' ');
                }
                let _ = write!(text, "{name}:");
                print(&members[name], text);
            }
            text.push(']');
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_look_as_go_prints_them() {
        let value = json!({"b": [1, "x", null], "a": {"c": true}, "d": {}});
        assert_eq!(go_value(&value), "map[a:map[c:true] b:[1 x <nil>] d:map[]]");
    }

    #[test]
    fn the_converter_has_its_own_words() {
        let check = |given: &str, wanted: &str, expected: &str| {
            let why =
                format!("json: cannot unmarshal {given} into Go struct field A.b of type {wanted}");
            assert_eq!(conversion_error(&why), expected);
        };
        check("string", "[]v1.Container", "cannot restore slice from string");
        check("array", "map[string]string", "cannot restore map from slice");
        check("string", "int32", "unrecognized type: int32");
        check("number", "string", "cannot convert int64 to string");
        check("bool", "v1.PodSpec", "cannot restore struct from: bool");
        assert_eq!(conversion_error("other"), "other");
    }
}
