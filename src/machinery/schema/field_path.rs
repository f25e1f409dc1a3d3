//! Simple JSON paths to fields that a CRD's schema declares (`.spec.a`, `.spec['b.c']`).
//!
//! (kubernetes 1.36: apiextensions-apiserver pkg/apiserver/schema/cel/validation.go,
//! ValidFieldPath)

use serde_json::Value;

use super::document::Document;

/// Whether names may stand in brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Brackets {
    Allowed,
    Refused,
}

/// The steps of a path and the schema of the field that it leads to.
///
/// # Errors
/// Upstream's text about a path that is malformed or leads nowhere.
pub(crate) fn resolve<'a>(
    path: &str,
    document: &'a Document,
    brackets: Brackets,
) -> Result<(Vec<String>, &'a Document), String> {
    let mut steps = Vec::new();
    let mut node = document;
    let mut tokens = tokens(path).into_iter();
    let end = || "unexpected end of JSON path".to_owned();
    while let Some(token) = tokens.next() {
        let name = match token {
            "." => tokens.next().ok_or_else(end)?.to_owned(),
            "[" if brackets == Brackets::Refused => {
                return Err("array notation is not allowed".to_owned());
            }
            "[" => {
                let quoted = tokens.next().ok_or_else(end)?;
                let inner = quoted.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
                let Some(inner) = inner.filter(|_| quoted.len() >= 2) else {
                    return Err(format!("expected single quoted string but got {quoted}"));
                };
                match tokens.next().ok_or_else(end)? {
                    "]" => inner.replace("\\'", "'").replace("\\\\", "\\"),
                    other => return Err(format!("expected ] but got {other}")),
                }
            }
            other => return Err(format!("expected [ or . but got: {other}")),
        };
        node = step(node, &name).ok_or_else(|| "does not refer to a valid field".to_owned())?;
        steps.push(name);
    }
    Ok((steps, node))
}

fn step<'a>(node: &'a Document, name: &str) -> Option<&'a Document> {
    match node.get("properties").and_then(Value::as_object).filter(|all| !all.is_empty()) {
        Some(properties) => properties.get(name)?.as_object(),
        None => node.get("additionalProperties")?.as_object(),
    }
}

/// Delimiters, and what stands between them; quotes hide delimiters.
fn tokens(path: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        let bytes = rest.as_bytes();
        let end = match bytes[0] {
            b'.' | b'[' | b']' => 1,
            b'\'' => {
                let close =
                    (1..bytes.len()).find(|at| bytes[*at] == b'\'' && bytes[at - 1] != b'\\');
                close.map_or(bytes.len(), |at| at + 1)
            }
            _ => rest.find(['.', '[', ']']).unwrap_or(rest.len()),
        };
        tokens.push(&rest[..end]);
        rest = &rest[end..];
    }
    tokens
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn error(path: &str, brackets: Brackets) -> Option<String> {
        let document = json!({"properties": {
            "a": {"properties": {"b.c": {"type": "string"}}},
            "m": {"additionalProperties": {"type": "string"}},
        }});
        let document = document.as_object().unwrap();
        resolve(path, document, brackets).err()
    }

    #[test]
    fn paths_lead_to_declared_fields() {
        assert_eq!(error(".a['b.c']", Brackets::Allowed), None);
        assert_eq!(error(".m.anything", Brackets::Refused), None);
        for (path, brackets, why) in [
            (".a.z", Brackets::Allowed, "does not refer to a valid field"),
            (".a['b.c']", Brackets::Refused, "array notation is not allowed"),
            ("a", Brackets::Allowed, "expected [ or . but got: a"),
            (".a.", Brackets::Allowed, "unexpected end of JSON path"),
            (".a[b]", Brackets::Allowed, "expected single quoted string but got b"),
        ] {
            assert_eq!(error(path, brackets).as_deref(), Some(why), "{path}");
        }
    }
}
