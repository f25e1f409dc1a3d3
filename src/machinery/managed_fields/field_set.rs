//! A set of field paths as a trie, and the same operations on `fieldsV1` JSON in place.
//!
//! Members and children are separate facts, as in structured-merge-diff: `f:data: {".": {}, "f:a":
//! {}}` holds the two paths `.data` and `.data.a`, `f:data: {"f:a": {}}` only the second. Set
//! operations are per path; no path implies another.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::shape::Shape;
use crate::machinery::field_path::PathElement;

/// A set of field paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    nodes: BTreeMap<PathElement, Node>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    member: bool,
    children: FieldSet,
}

impl Node {
    fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }

    fn to_json(&self) -> Value {
        let mut map = self.children.to_map();
        if self.member && !map.is_empty() {
            map.insert(".".to_owned(), Value::Object(Map::new()));
        }
        Value::Object(map)
    }
}

impl FieldSet {
    /// Whether the set has no path.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Adds a path. The empty path is no member of any set.
    pub fn insert(&mut self, path: &[PathElement]) {
        let Some((last, parents)) = path.split_last() else { return };
        let mut set = self;
        for element in parents {
            set = &mut set.nodes.entry(element.clone()).or_default().children;
        }
        set.nodes.entry(last.clone()).or_default().member = true;
    }

    /// Whether the set has this path.
    pub fn contains(&self, path: &[PathElement]) -> bool {
        let Some((last, parents)) = path.split_last() else { return false };
        let mut set = self;
        for element in parents {
            let Some(node) = set.nodes.get(element) else { return false };
            set = &node.children;
        }
        set.nodes.get(last).is_some_and(|node| node.member)
    }

    /// Whether the single step is a path of the set.
    pub(super) fn has_member(&self, element: &PathElement) -> bool {
        self.nodes.get(element).is_some_and(|node| node.member)
    }

    /// The paths below a step.
    pub(super) fn below(&self, element: &PathElement) -> Option<&FieldSet> {
        self.nodes.get(element).map(|node| &node.children).filter(|set| !set.is_empty())
    }

    /// Adds all paths of another set.
    pub fn extend(&mut self, other: &Self) {
        for (element, theirs) in &other.nodes {
            let ours = self.nodes.entry(element.clone()).or_default();
            ours.member |= theirs.member;
            ours.children.extend(&theirs.children);
        }
    }

    /// The paths of both sets together.
    pub fn union(&self, other: &Self) -> Self {
        let mut out = self.clone();
        out.extend(other);
        out
    }

    /// The paths that are in both sets.
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(|element, node| {
            let theirs = other.nodes.get(element)?;
            Some(Node {
                member: node.member && theirs.member,
                children: node.children.intersection(&theirs.children),
            })
        })
    }

    /// The paths that are not in the other set.
    pub fn difference(&self, other: &Self) -> Self {
        self.combine(|element, node| match other.nodes.get(element) {
            None => Some(node.clone()),
            Some(theirs) => Some(Node {
                member: node.member && !theirs.member,
                children: node.children.difference(&theirs.children),
            }),
        })
    }

    /// The paths that are neither in the other set nor below one of its paths.
    pub fn recursive_difference(&self, other: &Self) -> Self {
        self.combine(|element, node| match other.nodes.get(element) {
            None => Some(node.clone()),
            Some(theirs) if theirs.member => None,
            Some(theirs) => Some(Node {
                member: node.member,
                children: node.children.recursive_difference(&theirs.children),
            }),
        })
    }

    /// The paths that have no path of the set below them.
    pub fn leaves(&self) -> Self {
        self.combine(|_, node| {
            let children = node.children.leaves();
            Some(Node { member: node.member && children.is_empty(), children })
        })
    }

    fn combine(&self, pick: impl Fn(&PathElement, &Node) -> Option<Node>) -> Self {
        let picked = self.nodes.iter().filter_map(|(element, node)| {
            let node = pick(element, node).filter(|node| !node.is_empty())?;
            Some((element.clone(), node))
        });
        Self { nodes: picked.collect() }
    }

    /// Adds the named fields on the way to each path as paths of their own, so that removing a
    /// set also removes the structs that it empties. Only fields that the schema declares count.
    pub(super) fn with_named_parents(&self, shape: Shape<'_>) -> Self {
        let nodes = self.nodes.iter().map(|(element, node)| {
            let (declared, below) = match element.field_name() {
                Some(name) => (shape.declares(name), shape.child(name)),
                None => (false, shape.item()),
            };
            let member = node.member || (declared && !node.children.is_empty());
            let children = node.children.with_named_parents(below);
            (element.clone(), Node { member, children })
        });
        Self { nodes: nodes.collect() }
    }

    /// All paths, members of a level before what lies below them.
    pub fn paths(&self) -> Vec<Vec<PathElement>> {
        let mut out = Vec::new();
        self.collect_paths(&mut Vec::new(), &mut out);
        out
    }

    fn collect_paths(&self, prefix: &mut Vec<PathElement>, out: &mut Vec<Vec<PathElement>>) {
        for (element, _) in self.nodes.iter().filter(|(_, node)| node.member) {
            let mut path = prefix.clone();
            path.push(element.clone());
            out.push(path);
        }
        for (element, node) in &self.nodes {
            prefix.push(element.clone());
            node.children.collect_paths(prefix, out);
            prefix.pop();
        }
    }

    /// Reads `fieldsV1`; elements of unknown form are dropped, as upstream does.
    pub fn from_json(fields: &Value) -> Self {
        let Some(map) = fields.as_object() else { return Self::default() };
        let mut out = Self::default();
        for (key, below) in map {
            let Some(element) = PathElement::parse(key) else { continue };
            let node = out.nodes.entry(element).or_default();
            let children = Self::from_json(below);
            // Nothing but unknown elements is as good as nothing.
            node.member |= is_member(below) || children.is_empty();
            node.children.extend(&children);
        }
        out
    }

    /// Writes `fieldsV1`.
    pub fn to_json(&self) -> Value {
        Value::Object(self.to_map())
    }

    fn to_map(&self) -> Map<String, Value> {
        self.nodes
            .iter()
            .map(|(element, node)| (element.as_str().to_owned(), node.to_json()))
            .collect()
    }

    /// Takes this set's paths out of `fieldsV1` JSON.
    pub(super) fn subtract_from(&self, fields: &mut Map<String, Value>) {
        for (element, node) in &self.nodes {
            let Some(Value::Object(below)) = fields.get_mut(element.as_str()) else { continue };
            let member = is_member_map(below) && !node.member;
            below.remove(".");
            node.children.subtract_from(below);
            if below.is_empty() {
                if !member {
                    fields.remove(element.as_str());
                }
            } else if member {
                below.insert(".".to_owned(), Value::Object(Map::new()));
            }
        }
    }

    /// Adds this set's paths to `fieldsV1` JSON.
    pub(super) fn add_to(&self, fields: &mut Map<String, Value>) {
        for (element, node) in &self.nodes {
            match fields.get_mut(element.as_str()) {
                Some(Value::Object(below)) => {
                    let member = node.member || is_member_map(below);
                    below.remove(".");
                    node.children.add_to(below);
                    if member && !below.is_empty() {
                        below.insert(".".to_owned(), Value::Object(Map::new()));
                    }
                }
                _ => drop(fields.insert(element.as_str().to_owned(), node.to_json())),
            }
        }
    }

    /// The paths of a value: leaves, items of lists, and keys of maps.
    pub(super) fn from_value(value: &Value, shape: Shape<'_>) -> Self {
        let mut out = Self::default();
        collect_value(&mut out, &mut Vec::new(), value, shape);
        out
    }

    /// The paths of an object of the given schema, as apply would own them.
    pub fn from_object(object: &Value, schema: crate::machinery::schema::Node<'_>) -> Self {
        Self::from_value(object, Shape::Object(schema))
    }
}

fn is_member(below: &Value) -> bool {
    below.as_object().is_none_or(is_member_map)
}

fn is_member_map(below: &Map<String, Value>) -> bool {
    below.is_empty() || below.contains_key(".")
}

/// structured-merge-diff `typed/tofieldset.go`.
fn collect_value(set: &mut FieldSet, path: &mut Vec<PathElement>, value: &Value, shape: Shape<'_>) {
    use super::shape::Ownership;
    match shape.ownership(value) {
        Ownership::Leaf => set.insert(path),
        Ownership::Map => {
            for (name, child) in value.as_object().into_iter().flatten() {
                path.push(PathElement::field(name));
                collect_value(set, path, child, shape.child(name));
                let bare = child.is_null() || child.as_object().is_some_and(Map::is_empty);
                if bare || !shape.declares(name) {
                    set.insert(path);
                }
                path.pop();
            }
        }
        Ownership::List => {
            let items = value.as_array().map_or(&[][..], Vec::as_slice);
            let mut elements: BTreeMap<PathElement, (usize, &Value)> = BTreeMap::new();
            for item in items {
                let Ok(element) = shape.element(item) else { continue };
                elements.entry(element).or_insert((0, item)).0 += 1;
            }
            for (element, (count, item)) in elements {
                path.push(element);
                if count == 1 {
                    collect_value(set, path, item, shape.item());
                }
                set.insert(path);
                path.pop();
            }
        }
    }
}
