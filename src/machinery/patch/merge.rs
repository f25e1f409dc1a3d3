//! JSON merge patch (RFC 7386): applying one and computing one.

use serde_json::{Map, Value};

/// Applies a merge patch: objects merge, null removes, everything else replaces. What is new carries
/// no null members, not even within lists, as with the Go library that kube-apiserver uses
/// (evanphx/json-patch, `merge.go`).
pub fn apply(target: &mut Value, patch: &Value) {
    match (&mut *target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                match (value, target.get_mut(key)) {
                    (Value::Null, _) => {
                        target.remove(key);
                    }
                    (value, Some(current)) => apply(current, value),
                    (value, None) => {
                        target.insert(key.clone(), without_nulls(value));
                    }
                }
            }
        }
        (Value::Object(_), patch) => *target = patch.clone(),
        (_, patch) => *target = without_nulls(patch),
    }
}

/// A value without members that are null.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(key, value)| (key.clone(), without_nulls(value))).collect())
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        scalar => scalar.clone(),
    }
}

/// The smallest merge patch that turns `before` into `after`, or `None` if they are equal. A null
/// inside `after` cannot be expressed and counts as absent.
pub fn diff(before: &Value, after: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        return (before != after).then(|| after.clone());
    };
    let mut patch = Map::new();
    for key in old.keys().filter(|key| new.get(*key).is_none_or(Value::is_null)) {
        if !old[key].is_null() {
            patch.insert(key.clone(), Value::Null);
        }
    }
    for (key, value) in new.iter().filter(|(_, value)| !value.is_null()) {
        match old.get(key) {
            Some(current) => {
                if let Some(changed) = diff(current, value) {
                    patch.insert(key.clone(), changed);
                }
            }
            None => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn rfc_7386_examples() {
        for (target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!(["a"]), json!(["c"]), json!(["c"])),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut value = target.clone();
            apply(&mut value, &patch);
            assert_eq!(value, result, "{target} {patch}");
        }
    }

    #[test]
    fn equal_values_need_no_patch() {
        assert_eq!(diff(&json!({"a": [1, {"b": 2}]}), &json!({"a": [1, {"b": 2}]})), None);
    }

    /// JSON without nulls, which merge patches cannot carry.
    pub(crate) fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            (0..5_i64).prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-d]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn applying_the_diff_gives_the_target(
            before in prop::collection::btree_map("[a-d]", json_value(), 0..4),
            after in prop::collection::btree_map("[a-d]", json_value(), 0..4),
        ) {
            let before = Value::Object(before.into_iter().collect());
            let after = Value::Object(after.into_iter().collect());
            let mut value = before.clone();
            if let Some(patch) = diff(&before, &after) {
                apply(&mut value, &patch);
            }
            // An object that replaces another keeps no leftovers; an emptied one stays as {}.
            prop_assert_eq!(value, after);
        }
    }
}
