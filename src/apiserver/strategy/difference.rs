//! How two versions of an object differ, for people: kube-apiserver shows go-cmp's report, which
//! promises no form; this one has a line for each field, with go-cmp's marks.

use std::fmt::Write as _;

use serde_json::Value;

/// Lines `  - field: old` and `  + field: new`.
pub(super) fn difference(old: &Value, new: &Value) -> String {
    let mut lines = String::new();
    compare(&mut lines, String::new(), old, new);
    lines
}

fn compare(lines: &mut String, path: String, old: &Value, new: &Value) {
    match (old, new) {
        _ if old == new => {}
        (Value::Object(before), Value::Object(after)) => {
            let added = after.keys().filter(|name| !before.contains_key(*name));
            for name in before.keys().chain(added) {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                compare(lines, path, &old[name], &new[name]);
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            for index in 0..before.len().max(after.len()) {
                let item = |list: &[Value]| list.get(index).cloned().unwrap_or_default();
                compare(lines, format!("{path}[{index}]"), &item(before), &item(after));
            }
        }
        _ => {
            // Writing to a string cannot fail.
            if !old.is_null() {
                let _ = writeln!(lines, "- \t{path}: {old},");
            }
            if !new.is_null() {
                let _ = writeln!(lines, "+ \t{path}: {new},");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn every_change_has_its_lines() {
        let old = json!({"a": 1, "b": {"c": [1, 2]}});
        let new = json!({"a": 1, "b": {"c": [1, 3]}, "d": "x"});
        assert_eq!(
            super::difference(&old, &new),
            "- \tb.c[1]: 2,\n+ \tb.c[1]: 3,\n+ \td: \"x\",\n"
        );
    }
}
