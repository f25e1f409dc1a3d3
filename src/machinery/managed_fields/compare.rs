//! What changed between two objects, as sets of paths (structured-merge-diff `typed/compare.go`).

use std::collections::BTreeMap;

use serde_json::Value;

use super::field_set::FieldSet;
use super::shape::{Ownership, Shape};
use crate::machinery::field_path::PathElement;
use crate::machinery::schema::Node;

/// Paths that differ between two objects; no path is in two of the sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Only in the old object.
    pub removed: FieldSet,
    /// In both, with different values.
    pub modified: FieldSet,
    /// Only in the new object.
    pub added: FieldSet,
}

impl Comparison {
    /// Whether the objects are equal.
    pub fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.modified.is_empty() && self.added.is_empty()
    }

    /// Forgets what happened to some fields and below them.
    pub(super) fn exclude(&mut self, fields: &FieldSet) {
        for set in [&mut self.removed, &mut self.modified, &mut self.added] {
            *set = set.recursive_difference(fields);
        }
    }
}

/// Compares two objects of one kind; either may be null or lack anything. `metadata.managedFields`
/// is compared like any other field, so take it out first.
pub fn compare(before: &Value, after: &Value, schema: Node<'_>) -> Comparison {
    let is_built_in = schema.component_name().is_some();
    let mut walker = Walker { out: Comparison::default(), path: Vec::new(), is_built_in };
    walker.walk(Some(before), Some(after), Shape::Object(schema));
    walker.out
}

struct Walker {
    out: Comparison,
    path: Vec<PathElement>,
    is_built_in: bool,
}

const NULL: Value = Value::Null;

/// Levels at which maps are compared as a whole before they are walked.
const COMPARED_DEPTH: usize = 2;

impl Walker {
    fn walk(&mut self, before: Option<&Value>, after: Option<&Value>, shape: Shape<'_>) {
        let ownership = match (before, after) {
            (None, None) => return,
            (Some(only), None) | (None, Some(only)) => shape.ownership(only),
            (Some(before), Some(after)) => {
                let (old, new) = (shape.ownership(before), shape.ownership(after));
                // Maps are walked field by field anyway: comparing them as a whole as well would
                // cost once more at every level.
                if (old, new) != (Ownership::Map, Ownership::Map) && before == after {
                    return;
                }
                if before.is_null() {
                    new
                } else if after.is_null() || old == new {
                    old
                } else {
                    return self.changed_type((before, old), (after, new), shape);
                }
            }
        };
        // Two empty containers differ as leaves do: an empty one is not the same as none.
        if ownership == Ownership::Leaf || (is_bare(before) && is_bare(after)) {
            self.leaf(before, after);
            return;
        }
        self.contents(before, after, ownership, shape);
        if before.is_none() {
            self.out.added.insert(&self.path);
        } else if after.is_none() {
            self.out.removed.insert(&self.path);
        }
    }

    fn leaf(&mut self, before: Option<&Value>, after: Option<&Value>) {
        match (before, after) {
            (None, _) => self.out.added.insert(&self.path),
            (_, None) => self.out.removed.insert(&self.path),
            (Some(before), Some(after)) if !same_leaf(before, after) => {
                self.out.modified.insert(&self.path);
            }
            _ => {}
        }
    }

    /// A value that is owned differently now (only where the schema leaves the type open).
    fn changed_type(
        &mut self,
        old: (&Value, Ownership),
        new: (&Value, Ownership),
        shape: Shape<'_>,
    ) {
        for (value, ownership, is_old) in [(old.0, old.1, true), (new.0, new.1, false)] {
            match (ownership, is_old) {
                (Ownership::Leaf, _) => self.out.modified.insert(&self.path),
                (_, true) => self.contents(Some(value), None, ownership, shape),
                (_, false) => self.contents(None, Some(value), ownership, shape),
            }
        }
    }

    fn contents(
        &mut self,
        before: Option<&Value>,
        after: Option<&Value>,
        ownership: Ownership,
        shape: Shape<'_>,
    ) {
        match ownership {
            Ownership::Leaf => {}
            Ownership::Map => self.fields(before, after, shape),
            Ownership::List => self.items(before, after, shape),
        }
    }

    fn fields(&mut self, before: Option<&Value>, after: Option<&Value>, shape: Shape<'_>) {
        let old = before.and_then(Value::as_object);
        let new = after.and_then(Value::as_object);
        let only_new = new
            .into_iter()
            .flatten()
            .filter(|(name, _)| !old.is_some_and(|old| old.contains_key(*name)));
        let pairs = old
            .into_iter()
            .flatten()
            .map(|(name, value)| (name, Some(value), new.and_then(|new| new.get(name))))
            .chain(only_new.map(|(name, value)| (name, None, Some(value))));
        for (name, mut was, mut is) in pairs {
            // Most fields are equal; they should not cost a path element. Maps are left to the walk,
            // but for those near the root: most writes leave all of a spec or of a status alone.
            let is_compared = self.path.len() < COMPARED_DEPTH;
            if was.is_some_and(|was| is_compared || !was.is_object()) && was == is {
                continue;
            }
            // What Go always writes is there even if our JSON leaves it out, provided that what
            // holds it is there; a null is then as good as nothing.
            let holders = before.is_some() && after.is_some();
            if self.is_built_in && holders && (was.is_none() || is.is_none()) {
                if was.is_none_or(Value::is_null) && is.is_none_or(Value::is_null) {
                    continue;
                }
                if shape.is_always_present(name) {
                    if is_zero(was) && is_zero(is) {
                        continue;
                    }
                    was = was.or(Some(&NULL));
                    is = is.or(Some(&NULL));
                }
            }
            self.path.push(PathElement::field(name));
            self.walk(was, is, shape.child(name));
            self.path.pop();
        }
    }

    fn items(&mut self, before: Option<&Value>, after: Option<&Value>, shape: Shape<'_>) {
        let mut items: BTreeMap<PathElement, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
        for item in before.and_then(Value::as_array).into_iter().flatten() {
            if let Ok(element) = shape.element(item) {
                items.entry(element).or_default().0.push(item);
            }
        }
        for item in after.and_then(Value::as_array).into_iter().flatten() {
            if let Ok(element) = shape.element(item) {
                items.entry(element).or_default().1.push(item);
            }
        }
        for (element, (old, new)) in items {
            self.path.push(element);
            match (&old[..], &new[..]) {
                ([] | [_], [] | [_]) => {
                    self.walk(old.first().copied(), new.first().copied(), shape.item());
                }
                ([_, _, ..], [_, _, ..]) => {
                    if old != new {
                        self.out.modified.insert(&self.path);
                    }
                }
                // Duplicates are owned as one item: what is under them counts for the single one.
                ([_, _, ..], new) => {
                    self.walk(None, new.first().copied(), shape.item());
                    self.out.removed.insert(&self.path);
                }
                (old, _) => {
                    self.walk(old.first().copied(), None, shape.item());
                    self.out.added.insert(&self.path);
                }
            }
            self.path.pop();
        }
    }
}

fn is_bare(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        Some(_) => false,
    }
}

/// Go's zero value. An empty list is not: nil and empty slices are told apart.
fn is_zero(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::String(text)) => text.is_empty(),
        Some(_) => false,
    }
}

/// Equality that does not tell 1 from 1.0.
fn same_leaf(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        _ => before == after,
    }
}
