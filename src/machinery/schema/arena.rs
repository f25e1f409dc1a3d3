//! The arena of schema nodes, and its builder, which makes equal subtrees one node.

use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use serde_json::{Number, Value};

use super::canonical;
use super::formats::Format;
use super::{Draft, ListType, NodeType};

/// Position of a node in its arena.
pub(crate) type Index = u32;

/// All nodes of one or many schemas. Immutable once built.
#[derive(Debug)]
pub(crate) struct Arena {
    nodes: Vec<NodeData>,
    /// Whether any node is an embedded object; lets those who look for them skip the rest.
    pub(super) has_embedded_resources: bool,
}

/// What every node has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct NodeData {
    /// JSON type.
    pub(super) kind: NodeType,
    /// `x-kubernetes-list-type`, if given.
    pub(super) list_type: Option<ListType>,
    /// `nullable`.
    pub(super) nullable: bool,
    /// `x-kubernetes-preserve-unknown-fields`.
    pub(super) preserve_unknown: bool,
    /// `x-kubernetes-embedded-resource`.
    pub(super) embedded_resource: bool,
    /// `x-kubernetes-map-type: atomic`.
    pub(super) atomic_map: bool,
    /// `additionalProperties` is a bool.
    pub(super) additional_bool: Option<bool>,
    /// Whether a property or the map's value has a default; lets defaulting skip the rest.
    pub(super) child_defaults: bool,
    /// Whether something here or below has a form of its own in Go (built-in kinds only); lets
    /// canonicalising skip the rest.
    pub(super) canonical: bool,
    /// Whether the schema leaves something here or below open, so that values can have fields that
    /// it does not know.
    pub(super) unknown_below: bool,
    /// Sorted by name.
    pub(super) properties: Box<[(Box<str>, Index)]>,
    /// Values of a map.
    pub(super) additional: Option<Index>,
    /// Items of an array.
    pub(super) items: Option<Index>,
    /// Names of required properties.
    pub(super) required: Box<[Box<str>]>,
    /// OpenAPI component name; two nodes with different names are never one.
    pub(super) name: Option<Box<str>>,
    /// Facts that few nodes have.
    pub(super) facts: Option<Box<Facts>>,
}

/// What few nodes have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Facts {
    pub(super) format: Option<Box<str>>,
    /// `format`, if it is one that is checked.
    pub(super) checked_format: Option<Format>,
    pub(super) enumeration: Box<[Value]>,
    pub(super) pattern: Option<Pattern>,
    pub(super) minimum: Option<Number>,
    pub(super) maximum: Option<Number>,
    pub(super) exclusive_minimum: bool,
    pub(super) exclusive_maximum: bool,
    pub(super) multiple_of: Option<Number>,
    pub(super) min_length: Option<u64>,
    pub(super) max_length: Option<u64>,
    pub(super) min_items: Option<u64>,
    pub(super) max_items: Option<u64>,
    pub(super) min_properties: Option<u64>,
    pub(super) max_properties: Option<u64>,
    pub(super) unique_items: bool,
    pub(super) default: Option<Value>,
    pub(super) description: Option<Box<str>>,
    pub(super) list_map_keys: Box<[Box<str>]>,
    /// `x-kubernetes-map-type: granular` is given; means the same as no map type.
    pub(super) granular_map: bool,
    pub(super) patch_merge_key: Option<Box<str>>,
    pub(super) patch_strategy: Option<Box<str>>,
    pub(super) validations: Option<Value>,
    pub(super) all_of: Box<[Index]>,
    pub(super) any_of: Box<[Index]>,
    pub(super) one_of: Box<[Index]>,
    pub(super) not: Option<Index>,
    /// The named shape of which this node is a copy with further facts.
    pub(super) alias_of: Option<Index>,
    /// Keywords that mean nothing here but belong into the document (`title`, `example`).
    pub(super) annotations: BTreeMap<Box<str>, Value>,
}

/// A regular expression, compiled when first used.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    source: Box<str>,
    compiled: Arc<OnceLock<Option<regex::Regex>>>,
}

impl Pattern {
    pub(super) fn new(source: &str) -> Self {
        Self { source: source.into(), compiled: Arc::default() }
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// Whether `text` matches; a pattern that does not compile matches everything.
    pub(super) fn is_match(&self, text: &str) -> bool {
        let regex = self
            .compiled
            .get_or_init(|| regex::Regex::new(&super::go_regex::to_rust(&self.source)).ok());
        regex.as_ref().is_none_or(|regex| regex.is_match(text))
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}
impl Eq for Pattern {}
impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.source.hash(state);
    }
}

impl NodeData {
    pub(super) fn property(&self, name: &str) -> Option<Index> {
        let found = self.properties.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        Some(self.properties[found].1)
    }

    /// Property or map value: what lies under `name`.
    pub(super) fn child(&self, name: &str) -> Option<Index> {
        self.property(name).or(self.additional)
    }

    /// Whether a field of any name is kept.
    pub(super) fn keeps_unknown(&self) -> bool {
        self.preserve_unknown || self.additional_bool == Some(true) || self.kind == NodeType::Any
    }

    fn children(&self) -> impl Iterator<Item = Index> {
        let facts = self.facts.iter().flat_map(|facts| {
            let branches = facts.all_of.iter().chain(&facts.any_of).chain(&facts.one_of).copied();
            branches.chain(facts.not)
        });
        let properties = self.properties.iter().map(|(_, index)| *index);
        properties.chain(self.additional).chain(self.items).chain(facts)
    }
}

impl Arena {
    pub(crate) fn node(&self, index: Index) -> &NodeData {
        &self.nodes[index as usize]
    }

    /// Number of nodes.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Named nodes reachable from `root`, itself included, sorted by name.
    pub(super) fn named_below(&self, root: Index) -> Vec<Index> {
        let mut seen = vec![false; self.nodes.len()];
        let mut pending = vec![root];
        let mut found = BTreeMap::new();
        while let Some(index) = pending.pop() {
            if std::mem::replace(&mut seen[index as usize], true) {
                continue;
            }
            let node = self.node(index);
            if let Some(name) = &node.name {
                found.insert(&**name, index);
            }
            pending.extend(node.children());
            pending.extend(node.facts.as_ref().and_then(|facts| facts.alias_of));
        }
        found.into_values().collect()
    }
}

/// Builds an arena. Named nodes are declared before they are defined, so that they may refer to
/// each other in circles; all others are interned bottom-up.
#[derive(Default)]
pub(crate) struct Builder {
    nodes: Vec<NodeData>,
    known: HashMap<NodeData, Index>,
    patterns: HashMap<Box<str>, Pattern>,
}

impl Builder {
    /// The node with these facts.
    pub(crate) fn intern(&mut self, draft: Draft) -> Index {
        let data = self.complete(draft);
        if let Some(index) = self.known.get(&data) {
            return *index;
        }
        let index = self.nodes.len() as Index;
        self.nodes.push(data.clone());
        self.known.insert(data, index);
        index
    }

    /// Reserves a node for the component `name`.
    pub(crate) fn declare(&mut self, name: &str) -> Index {
        let index = self.nodes.len() as Index;
        self.nodes.push(NodeData { name: Some(name.into()), ..NodeData::default() });
        index
    }

    /// Fills in a declared node; its name stays.
    pub(crate) fn define(&mut self, index: Index, draft: Draft) {
        let mut data = self.complete(draft);
        let slot = &mut self.nodes[index as usize];
        data.name = slot.name.take();
        *slot = data;
    }

    /// The arena. Nodes that extend a named shape get a copy of what it has.
    pub(crate) fn finish(mut self) -> Arena {
        for index in 0..self.nodes.len() {
            let facts = self.nodes[index].facts.as_deref();
            let Some(target) = facts.and_then(|facts| facts.alias_of) else { continue };
            let shape = self.nodes[target as usize].clone();
            let node = &mut self.nodes[index];
            node.kind = shape.kind;
            node.properties = shape.properties;
            node.required = shape.required;
            node.additional = shape.additional;
            node.additional_bool = shape.additional_bool;
            node.items = shape.items;
            node.atomic_map |= shape.atomic_map;
            node.preserve_unknown |= shape.preserve_unknown;
            node.list_type = node.list_type.or(shape.list_type);
        }
        let defaulted: Vec<bool> = self.nodes.iter().map(has_default).collect();
        for node in &mut self.nodes {
            let mut children = node.properties.iter().map(|(_, index)| *index);
            node.child_defaults = children.any(|child| defaulted[child as usize])
                || node.additional.is_some_and(|child| defaulted[child as usize]);
        }
        mark_canonical(&mut self.nodes);
        mark_unknown(&mut self.nodes);
        let has_embedded_resources = self.nodes.iter().any(|node| node.embedded_resource);
        Arena { nodes: self.nodes, has_embedded_resources }
    }

    fn complete(&mut self, draft: Draft) -> NodeData {
        let mut data = draft.into_data();
        let facts = data.facts.as_deref_mut();
        if let Some(pattern) = facts.and_then(|facts| facts.pattern.as_mut()) {
            let shared = self.patterns.entry(pattern.source.clone());
            *pattern = shared.or_insert_with(|| pattern.clone()).clone();
        }
        data
    }
}

/// Marks nodes above those with a canonical form. Named shapes may refer to each other in circles,
/// so that it takes rounds.
fn mark_canonical(nodes: &mut [NodeData]) {
    // Only built-in kinds have named shapes; what users define stays as they write it.
    if nodes.iter().all(|node| node.name.is_none()) {
        return;
    }
    for node in &mut *nodes {
        node.canonical = canonical::is_canonical(node);
    }
    loop {
        let marked: Vec<bool> = nodes.iter().map(|node| node.canonical).collect();
        let mut changed = false;
        for node in nodes.iter_mut().filter(|node| !node.canonical) {
            let mut below = node.properties.iter().map(|(_, index)| *index);
            let found = below.any(|index| marked[index as usize])
                || node.additional.is_some_and(|index| marked[index as usize])
                || node.items.is_some_and(|index| marked[index as usize]);
            node.canonical = found;
            changed |= found;
        }
        if !changed {
            return;
        }
    }
}

/// Marks nodes whose values can have fields that the schema does not know, and those above them.
fn mark_unknown(nodes: &mut [NodeData]) {
    for node in &mut *nodes {
        node.unknown_below = node.keeps_unknown() || node.embedded_resource;
    }
    // Most nodes lie behind those below them: one round, and one that finds nothing.
    let mut changed = true;
    while changed {
        changed = false;
        for index in 0..nodes.len() {
            let node = &nodes[index];
            let properties = node.properties.iter().map(|(_, index)| *index);
            let mut below = properties.chain(node.additional).chain(node.items);
            let found =
                !node.unknown_below && below.any(|index| nodes[index as usize].unknown_below);
            nodes[index].unknown_below |= found;
            changed |= found;
        }
    }
}

fn has_default(node: &NodeData) -> bool {
    node.facts.as_ref().is_some_and(|facts| facts.default.is_some())
}
