//! Copying fields between objects. (CAPI v1.14: internal/util/patch/patch.go; patches/patch.go)

use serde_json::{Map, Value};

/// Path of a field.
pub(super) type Path<'a> = &'a [&'a str];

/// A field to copy.
pub(super) struct Copy<'a> {
    /// Where it is in the source.
    pub(super) from: Path<'a>,
    /// Where it goes.
    pub(super) to: Path<'a>,
}

const OBJECT_METADATA: [Copy<'_>; 2] = [
    Copy { from: &["metadata", "labels"], to: &["metadata", "labels"] },
    Copy { from: &["metadata", "annotations"], to: &["metadata", "annotations"] },
];

/// From a desired object into the template that it was made of, where both are templates.
pub(super) const TEMPLATE_METADATA: &[Copy<'_>] = &OBJECT_METADATA;

/// From a desired object into the template that it was made of.
pub(super) const METADATA_INTO_TEMPLATE: &[Copy<'_>] = &[
    Copy { from: &["metadata", "labels"], to: &["spec", "template", "metadata", "labels"] },
    Copy {
        from: &["metadata", "annotations"],
        to: &["spec", "template", "metadata", "annotations"],
    },
];

/// From a patched template into the object that is made of it.
pub(super) const TEMPLATE_INTO_OBJECT: &[Copy<'_>] = &[
    Copy { from: &["spec", "template", "spec"], to: &["spec"] },
    Copy { from: &["spec", "template", "metadata", "labels"], to: &["metadata", "labels"] },
    Copy {
        from: &["spec", "template", "metadata", "annotations"],
        to: &["metadata", "annotations"],
    },
];

/// From a patched template into the template that is made of it.
pub(super) const TEMPLATE_INTO_TEMPLATE: &[Copy<'_>] = &[
    Copy { from: &["metadata", "labels"], to: &["metadata", "labels"] },
    Copy { from: &["metadata", "annotations"], to: &["metadata", "annotations"] },
    Copy { from: &["spec", "template", "spec"], to: &["spec", "template", "spec"] },
    Copy {
        from: &["spec", "template", "metadata", "labels"],
        to: &["spec", "template", "metadata", "labels"],
    },
    Copy {
        from: &["spec", "template", "metadata", "annotations"],
        to: &["spec", "template", "metadata", "annotations"],
    },
];

/// From what a patch made of a template into the template: all that patches may change.
pub(super) const PATCHABLE: &[Copy<'_>] = &[
    Copy { from: &["spec"], to: &["spec"] },
    Copy { from: &["metadata", "labels"], to: &["metadata", "labels"] },
    Copy { from: &["metadata", "annotations"], to: &["metadata", "annotations"] },
];

/// Copies fields that the source has; `kept` fields of the target survive. The error says which
/// field could not be set, in upstream's words.
pub(super) fn copy(
    source: &Value,
    target: &mut Value,
    copies: &[Copy<'_>],
    kept: &[Path<'_>],
) -> Result<(), String> {
    let mut backup = Vec::new();
    for path in kept {
        backup.extend(get(target, path).map(|value| (*path, value.clone())));
    }
    for field in copies {
        if let Some(value) = get(source, field.from) {
            set(target, field.to, value.clone())?;
        }
    }
    for (path, value) in backup {
        set(target, path, value)?;
    }
    Ok(())
}

/// The value at a path.
pub(super) fn get<'a>(object: &'a Value, path: Path<'_>) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, part| value.as_object()?.get(*part))
}

fn set(object: &mut Value, path: Path<'_>, value: Value) -> Result<(), String> {
    let refused = |at: usize| {
        let name = object_name(object);
        let (field, parent) = (path.join("."), path[..at].join("."));
        format!(
            "failed to set field {field:?} on {name}: value cannot be set because .{parent} is \
             not a map[string]interface{{}}"
        )
    };
    let Some((last, parents)) = path.split_last() else { return Ok(()) };
    for at in 0..=parents.len() {
        if get(object, &path[..at]).is_some_and(|held| !held.is_object()) {
            return Err(refused(at));
        }
    }
    let mut map = object.as_object_mut();
    for part in parents {
        let Some(held) = map else { break };
        map = held
            .entry((*part).to_owned())
            .or_insert_with(|| Value::Object(Map::new()))
            .as_object_mut();
    }
    if let Some(map) = map {
        map.insert((*last).to_owned(), value);
    }
    Ok(())
}

/// Kind, namespace and name, as upstream's messages have them.
pub(super) fn object_name(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    let (kind, namespace, name) =
        (text(&object["kind"]), text(&metadata["namespace"]), text(&metadata["name"]));
    let slash = if namespace.is_empty() { "" } else { "/" };
    format!("{kind} {namespace}{slash}{name}")
}
