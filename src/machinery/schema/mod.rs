//! Structural schemas: one compact tree serves validation, pruning, defaulting, strategic merge,
//! server-side apply and OpenAPI.
//!
//! A schema is a root in an arena of nodes. Equal subtrees are one node, so that kinds which embed
//! each other share their schemas, and nodes refer to each other by index, so that recursive
//! types are finite. Facts that few nodes have (patterns, defaults, limits) are boxed apart.
//!
//! `prune`, `default` and `validate` walk an object once each and allocate nothing unless they
//! change or refuse something.

mod arena;
mod canonical;
mod compile;
mod decode;
mod defaulting;
mod document;
mod field_path;
mod fingerprint;
mod formats;
mod go_errors;
pub(crate) mod go_regex;
mod keywords;
mod openapi_rules;
mod path;
mod pruning;
mod ratcheting;
mod render;
mod restore;
mod structural;
mod validation;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::Value;

use super::cel::rules::RuleCell;
use super::status::Cause;

pub(crate) use arena::{Arena, Builder, Index};
pub(crate) use compile::{check, compile, defaults};
pub(crate) use field_path::{Brackets, resolve};
pub(crate) use formats::is_known as is_known_format;
pub(crate) use keywords::Draft;
pub(crate) use ratcheting::{correlated, is_unchanged};
pub(crate) use render::component_reference;

/// A compiled schema: a root node in a shared arena. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Schema {
    arena: Arc<Arena>,
    root: Index,
    /// Differs between schemas of one kind that prune or default differently.
    fingerprint: u64,
    /// Rules of `x-kubernetes-validations`, found and compiled when they are first needed.
    rules: Arc<RuleCell>,
}

/// One node of a schema. `Copy`; borrows the schema.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    arena: &'a Arena,
    index: Index,
}

/// JSON type of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NodeType {
    /// Anything (no type given).
    #[default]
    Any,
    /// Object or map.
    Object,
    /// Array.
    Array,
    /// String.
    String,
    /// Integer.
    Integer,
    /// Number.
    Number,
    /// Boolean.
    Boolean,
    /// `x-kubernetes-int-or-string`.
    IntOrString,
}

/// `x-kubernetes-list-type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ListType {
    /// The whole list has one owner (the default).
    #[default]
    Atomic,
    /// Scalars, each with its owner.
    Set,
    /// Objects, identified by `list_map_keys`.
    Map,
}

/// Limits of the sizes of a node's values.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// `maxLength`.
    pub max_length: Option<u64>,
    /// `maxItems`.
    pub max_items: Option<u64>,
    /// `maxProperties`.
    pub max_properties: Option<u64>,
}

impl Schema {
    /// A schema that accepts anything.
    pub fn any() -> Self {
        let mut builder = Builder::default();
        let mut draft = Draft::default();
        draft.preserve_unknown();
        let root = builder.intern(draft);
        Self::new(Arc::new(builder.finish()), root)
    }

    /// Compiles `openAPIV3Schema` of a CRD; causes name what is not structural, with paths below
    /// `spec.validation.openAPIV3Schema`.
    pub fn from_openapi(document: &Value) -> Result<Self, Vec<Cause>> {
        let Value::Object(keywords) = document else {
            let message = "Invalid value: must be a schema object".to_owned();
            let field = "spec.validation.openAPIV3Schema";
            return Err(vec![document::cause("FieldValueInvalid", message, field)]);
        };
        let causes = check(keywords, "spec.validation.openAPIV3Schema");
        if causes.is_empty() { Ok(compile(document)) } else { Err(causes) }
    }

    /// The schema as OpenAPI v3 JSON, `x-kubernetes-*` extensions included. Below the root, named
    /// shapes of the built-in kinds are references to `#/components/schemas/<name>`.
    pub fn to_openapi(&self) -> Value {
        render::to_openapi(&self.arena, self.root)
    }

    /// The root node.
    pub fn root(&self) -> Node<'_> {
        Node { arena: &self.arena, index: self.root }
    }

    /// Whether objects of the schema may have objects embedded in them
    /// (`x-kubernetes-embedded-resource`).
    pub fn has_embedded_resources(&self) -> bool {
        self.arena.has_embedded_resources
    }

    /// The OpenAPI component name of the root (`io.k8s.api.core.v1.Pod`), for built-in kinds.
    pub fn component_name(&self) -> Option<&str> {
        self.arena.node(self.root).name.as_deref()
    }

    /// Whether this is the shape of a Go type of Kubernetes itself: unknown types of values are
    /// decoding errors, and presence is checked by code instead of by the schema.
    pub fn is_built_in(&self) -> bool {
        self.component_name().is_some()
    }

    /// Every named shape that the schema refers to, itself included, by component name.
    pub fn components(&self) -> Vec<Schema> {
        let indices = self.arena.named_below(self.root);
        indices.into_iter().map(|root| Self::new(self.arena.clone(), root)).collect()
    }

    /// Differs between schemas of one kind that prune or default objects differently. Equal schemas
    /// have equal fingerprints within a process.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Where the rules are kept.
    pub(crate) fn rules(&self) -> &RuleCell {
        &self.rules
    }

    /// A schema in an arena whose nodes are known by their place: equal ones are the same node.
    pub(crate) fn new(arena: Arc<Arena>, root: Index) -> Self {
        Self { arena, root, fingerprint: u64::from(root) + 1, rules: Arc::default() }
    }

    /// The same with a fingerprint that holds beyond the arena.
    pub(super) fn with_fingerprint(self, fingerprint: u64) -> Self {
        Self { fingerprint, ..self }
    }
}

impl<'a> Node<'a> {
    /// The OpenAPI component name, for shapes of Go types of Kubernetes itself.
    pub fn component_name(self) -> Option<&'a str> {
        self.arena.node(self.index).name.as_deref()
    }
    /// JSON type.
    pub fn node_type(self) -> NodeType {
        self.data().kind
    }
    /// A declared property.
    pub fn property(self, name: &str) -> Option<Node<'a>> {
        self.data().property(name).map(|index| self.at(index))
    }
    /// All declared properties, by name.
    pub fn properties(self) -> impl Iterator<Item = (&'a str, Node<'a>)> {
        self.data().properties.iter().map(move |(name, index)| (&**name, self.at(*index)))
    }
    /// Names of the properties that must be there.
    pub fn required(self) -> &'a [Box<str>] {
        &self.data().required
    }
    /// Values of a map (`additionalProperties` with a schema).
    pub fn additional(self) -> Option<Node<'a>> {
        self.data().additional.map(|index| self.at(index))
    }
    /// Property or map value: what lies under `name`.
    pub fn child(self, name: &str) -> Option<Node<'a>> {
        self.property(name).or_else(|| self.additional())
    }
    /// Items of an array.
    pub fn items(self) -> Option<Node<'a>> {
        self.data().items.map(|index| self.at(index))
    }
    /// How a list is owned and merged by apply.
    pub fn list_type(self) -> ListType {
        self.data().list_type.unwrap_or_default()
    }
    /// Keys of a `Map` list.
    pub fn list_map_keys(self) -> &'a [Box<str>] {
        self.data().facts.as_deref().map_or(&[], |facts| &facts.list_map_keys)
    }
    /// `x-kubernetes-map-type: atomic` (or a list-less atomic struct).
    pub fn is_atomic_map(self) -> bool {
        self.data().atomic_map
    }
    /// `x-kubernetes-patch-merge-key` of a built-in list.
    pub fn patch_merge_key(self) -> Option<&'a str> {
        self.data().facts.as_deref()?.patch_merge_key.as_deref()
    }
    /// `x-kubernetes-patch-strategy` contains `merge`.
    pub fn patch_merges(self) -> bool {
        self.has_patch_strategy("merge")
    }
    /// `x-kubernetes-patch-strategy` contains `retainKeys`.
    pub fn patch_retains_keys(self) -> bool {
        self.has_patch_strategy("retainKeys")
    }
    /// `x-kubernetes-preserve-unknown-fields`.
    pub fn preserves_unknown(self) -> bool {
        self.data().preserve_unknown
    }
    /// `x-kubernetes-embedded-resource`.
    pub fn is_embedded_resource(self) -> bool {
        self.data().embedded_resource
    }
    /// `nullable`.
    pub fn is_nullable(self) -> bool {
        self.data().nullable
    }
    /// `default`.
    pub fn default_value(self) -> Option<&'a Value> {
        self.data().facts.as_deref()?.default.as_ref()
    }
    /// `format`, e.g. `int32` or `date-time`.
    pub fn format(self) -> Option<&'a str> {
        self.data().facts.as_deref()?.format.as_deref()
    }
    /// `enum`; empty if anything is allowed.
    pub fn enumeration(self) -> &'a [Value] {
        self.data().facts.as_deref().map_or(&[], |facts| &facts.enumeration)
    }
    /// Limits of sizes.
    pub fn bounds(self) -> Bounds {
        self.data().facts.as_deref().map_or(Bounds::default(), |facts| Bounds {
            max_length: facts.max_length,
            max_items: facts.max_items,
            max_properties: facts.max_properties,
        })
    }
    /// Whether a value has the type of the node and keeps its limits, rules aside.
    pub fn accepts(self, value: &Value) -> bool {
        validation::validate(self.arena, self.index, value).is_empty()
    }
    /// `x-kubernetes-validations`: an array of rules in OpenAPI form.
    pub fn validations(self) -> Option<&'a Value> {
        self.data().facts.as_deref()?.validations.as_ref()
    }

    fn data(self) -> &'a arena::NodeData {
        self.arena.node(self.index)
    }
    fn at(self, index: Index) -> Node<'a> {
        Node { arena: self.arena, index }
    }
    fn has_patch_strategy(self, wanted: &str) -> bool {
        let strategy = self.data().facts.as_deref().and_then(|f| f.patch_strategy.as_deref());
        strategy.is_some_and(|all| all.split(',').any(|one| one.trim() == wanted))
    }
}

/// Removes fields that the schema does not know (apiVersion, kind and metadata of the root are
/// always kept) and returns their paths in kube-apiserver's notation (`spec.foo`,
/// `spec.containers[0].bar`).
pub fn prune(schema: &Schema, object: &mut Value) -> Vec<String> {
    pruning::prune(&schema.arena, schema.root, object)
}

/// Fills in defaults, as structural defaulting does: a null of a field that may not be null is
/// removed, or replaced by the field's default. Whole floating-point numbers become integers.
pub fn default(schema: &Schema, object: &mut Value) {
    defaulting::default(&schema.arena, schema.root, object);
}

/// Checks types, required fields, enums, patterns, formats, limits, list sets and map keys. Causes
/// carry kube-apiserver's reasons, paths and wording.
///
/// For a built-in kind (`Schema::is_built_in`) only what Go's decoder would refuse is reported:
/// reason `FieldValueTypeInvalid` and the decoder's message (`json: cannot unmarshal ...`), which
/// kube-apiserver answers as BadRequest.
pub fn validate(schema: &Schema, object: &Value) -> Vec<Cause> {
    if schema.is_built_in() {
        return decode::validate(&schema.arena, schema.root, object);
    }
    validation::validate(&schema.arena, schema.root, object)
}

/// As `validate`, for an update of a custom resource: what was not changed is not reported.
pub fn validate_update(schema: &Schema, new: &Value, old: &Value) -> Vec<Cause> {
    let causes = validate(schema, new);
    if causes.is_empty() || schema.is_built_in() {
        return causes;
    }
    validation::validate_update(&schema.arena, schema.root, new, old)
}

/// Brings quantities, times and bytes of a built-in kind's object, which [`validate`] accepts, into
/// the form in which Go writes them; metadata is left alone.
pub fn canonicalise(schema: &Schema, object: &mut Value) {
    canonical::canonicalise(&schema.arena, schema.root, object);
}

/// What Go's converter from maps to structs says of an object of a built-in kind that
/// [`validate`] refuses; strategic merges are decoded by it.
pub fn restore_error(schema: &Schema, object: &Value) -> Option<String> {
    restore::error(&schema.arena, schema.root, object)
}

/// Whether a string has a format; formats that are not known accept everything.
pub(crate) fn is_format(name: &str, text: &str) -> bool {
    formats::Format::parse(name).is_none_or(|format| format.accepts(text))
}
