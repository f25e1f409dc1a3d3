//! What an update need not answer for: errors of values that it left alone (kubernetes 1.36:
//! apiserver/pkg/cel/common/equality.go, apiextensions-apiserver/pkg/apiserver/validation/
//! ratcheting.go).

use serde_json::Value;

use super::{ListType, Node};

/// Whether a value is what it was. Items of keyed lists are compared by their keys; what the schema
/// does not know is never unchanged.
pub(crate) fn is_unchanged(node: Node<'_>, new: &Value, old: &Value) -> bool {
    match (new, old) {
        (Value::Object(new), Value::Object(old)) => {
            new.len() == old.len()
                && new.iter().all(|(name, value)| {
                    let (Some(child), Some(old)) = (node.child(name), old.get(name)) else {
                        return false;
                    };
                    is_unchanged(child, value, old)
                })
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            if node.list_type() != ListType::Map {
                return new == old;
            }
            let Some(items) = node.items() else { return false };
            ours.len() == theirs.len()
                && ours.iter().enumerate().all(|(index, item)| {
                    let old = correlated(node, theirs, item, index);
                    old.is_some_and(|old| is_unchanged(items, item, old))
                })
        }
        (new, old) => new == old,
    }
}

/// The item of a keyed list that has the same keys as one of another; `index` is where it is
/// looked for first.
pub(crate) fn correlated<'v>(
    node: Node<'_>,
    list: &'v [Value],
    item: &Value,
    index: usize,
) -> Option<&'v Value> {
    let keys = node.list_map_keys();
    let same = |other: &&Value| keys.iter().all(|key| other.get(&**key) == item.get(&**key));
    list.get(index).filter(same).or_else(|| list.iter().find(same))
}
