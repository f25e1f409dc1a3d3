//! The way from client-side to server-side apply: what `kubectl apply` left in an annotation.
//!
//! Both rules hold for the manager `kubectl` only. (kubernetes 1.36:
//! apimachinery/pkg/util/managedfields/internal: lastappliedmanager.go, lastappliedupdater.go)

use serde_json::{Map, Value};

use super::compare::compare;
use super::field_set::FieldSet;
use super::shape::Shape;
use super::typecheck;
use crate::machinery::schema::Node;

/// The manager of `kubectl apply --server-side`.
pub(super) const KUBECTL: &str = "kubectl";
const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Bytes of all annotations of an object.
const ANNOTATIONS_MAX: usize = 256 * 1024;

/// Fields that kubectl may take without force: it set them by client-side apply, and nobody has
/// changed them since. `None` if the object was never applied that way in this version.
pub(super) fn uncontested(live: &Value, api_version: &str, schema: Node<'_>) -> Option<FieldSet> {
    let text = annotation(live)?;
    let applied: Value = serde_json::from_str(text).ok()?;
    let shape = Shape::Object(schema);
    if applied["apiVersion"] != api_version || typecheck::complaints(&applied, shape).is_some() {
        return None;
    }
    let comparison = compare(&applied, live, schema);
    let set = FieldSet::from_value(&applied, shape)
        .difference(&comparison.modified)
        .difference(&comparison.added)
        .difference(&comparison.removed);
    Some(set)
}

/// Brings the annotation of an object that has one up to date with what is applied now. If that
/// makes annotations too long, the annotation goes.
pub(super) fn refresh(object: &mut Value, config: &Value) {
    if annotation(object).is_none() {
        return;
    }
    let mut config = config.clone();
    if let Some(annotations) = annotations_of(&mut config) {
        annotations.remove(ANNOTATION);
    }
    let Some(annotations) = annotations_of(object) else { return };
    annotations.insert(ANNOTATION.to_owned(), go_json(&config).into());
    let length = |(name, value): (&String, &Value)| name.len() + value.as_str().map_or(0, str::len);
    if annotations.iter().map(length).sum::<usize>() > ANNOTATIONS_MAX {
        annotations.remove(ANNOTATION);
    }
}

fn annotation(object: &Value) -> Option<&str> {
    let text = object.get("metadata")?.get("annotations")?.get(ANNOTATION)?.as_str()?;
    (!text.is_empty()).then_some(text)
}

fn annotations_of(object: &mut Value) -> Option<&mut Map<String, Value>> {
    object.get_mut("metadata")?.get_mut("annotations")?.as_object_mut()
}

/// A line of JSON as Go's encoder writes it.
fn go_json(value: &Value) -> String {
    let mut text = String::new();
    for character in value.to_string().chars() {
        match character {
            '<' => text.push_str("\\u003c"),
            '>' => text.push_str("\\u003e"),
            '&' => text.push_str("\\u0026"),
            '\u{2028}' => text.push_str("\\u2028"),
            '\u{2029}' => text.push_str("\\u2029"),
            other => text.push(other),
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Force, Writer, apply, update};
    use super::*;
    use crate::machinery::builtin;
    use crate::machinery::schema::Schema;

    const CLIENT_SIDE: &str = "kubectl-client-side-apply";

    fn schema() -> &'static Schema {
        builtin::shape("io.k8s.api.core.v1.ConfigMap").unwrap()
    }

    fn writer(manager: &str) -> Writer<'_> {
        Writer {
            manager,
            subresource: "",
            api_version: "v1",
            now: "2026-01-01T00:00:00Z",
            reset: &[],
        }
    }

    fn map(data: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data})
    }

    /// What client-side apply of `data` leaves.
    fn applied_by_client(data: &Value) -> Value {
        let mut object = map(data);
        object["metadata"]["annotations"][ANNOTATION] = map(data).to_string().into();
        update(&Value::Null, &mut object, &writer(CLIENT_SIDE), schema().root());
        object["metadata"]["uid"] = "u".into();
        object
    }

    fn serverside(live: &Value, manager: &str, data: &Value) -> Result<Value, String> {
        let schema = schema();
        let around = (schema.root(), &Default::default());
        let outcome = apply(Some(live), &map(data), &writer(manager), Force::No, around);
        outcome.map_err(|status| status.message)
    }

    #[test]
    fn kubectl_takes_over_what_it_applied_and_nobody_changed() {
        let live = applied_by_client(&json!({"k": "1"}));
        let new = serverside(&live, "kubectl", &json!({"k": "2"})).unwrap();
        assert_eq!(new["data"]["k"], "2");
        let other = serverside(&live, "other", &json!({"k": "2"})).unwrap_err();
        assert!(other.contains("conflict with \"kubectl-client-side-apply\""), "{other}");
    }

    #[test]
    fn what_somebody_changed_since_is_a_conflict() {
        let live = applied_by_client(&json!({"k": "1", "l": "1"}));
        let mut changed = live.clone();
        changed["data"]["k"] = "9".into();
        update(&live, &mut changed, &writer("edit"), schema().root());
        let refused = serverside(&changed, "kubectl", &json!({"k": "2", "l": "2"})).unwrap_err();
        assert_eq!(
            refused,
            "Apply failed with 1 conflict: conflict with \"edit\" using v1: .data.k"
        );
    }

    #[test]
    fn the_annotation_follows_kubectl_only() {
        let live = applied_by_client(&json!({"k": "1"}));
        let text = |object: &Value| annotation(object).unwrap().to_owned();
        let new = serverside(&live, "kubectl", &json!({"k": "<1>"})).unwrap();
        assert!(text(&new).ends_with("\"metadata\":{\"name\":\"a\"}}\n"), "{}", text(&new));
        assert!(text(&new).contains(r#""k":"\u003c1\u003e""#), "{}", text(&new));
        let other = serverside(&live, "other", &json!({"l": "2"})).unwrap();
        assert_eq!(text(&other), text(&live));
    }

    #[test]
    fn an_annotation_that_got_too_long_goes() {
        let live = applied_by_client(&json!({"k": "1"}));
        let new = serverside(&live, "kubectl", &json!({"k": "x".repeat(300_000)})).unwrap();
        assert_eq!(annotation(&new), None);
    }
}
