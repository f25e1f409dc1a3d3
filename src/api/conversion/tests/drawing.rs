//! Random objects of a schema.

use serde_json::{Map, Value, json};

use crate::machinery::duration;
use crate::machinery::schema::{ListType, Node, NodeType};

/// Lists and maps have at most this many members.
const MEMBERS_MAX: u64 = 3;
/// Trees end here: some schemas hold schemas.
const DEPTH_MAX: usize = 14;

/// Texts that some pattern or format wants.
const TEXTS: [&str; 12] = [
    "a",
    "abcd",
    "v1.33.1",
    "example.com/v1",
    "Kind",
    "[1-3]",
    "abcdef.0123456789abcdef",
    "2026-01-02T03:04:05Z",
    "10.0.0.1",
    "https://example.com",
    "Ready",
    "a.b/c",
];

/// A sequence of numbers that a seed decides (splitmix64).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    /// An object of a kind, named and without anything else in its metadata.
    pub(super) fn object(&mut self, root: Node<'_>, api_version: &str, kind: &str) -> Value {
        let mut fields = Map::new();
        for (name, node) in root.properties() {
            if !matches!(name, "apiVersion" | "kind" | "metadata") && self.below(8) > 0 {
                fields.insert(name.to_owned(), self.value(node, name, 0));
            }
        }
        fields.insert("apiVersion".to_owned(), api_version.into());
        fields.insert("kind".to_owned(), kind.into());
        fields.insert("metadata".to_owned(), json!({"name": "a", "namespace": "foo"}));
        Value::Object(fields)
    }

    fn value(&mut self, node: Node<'_>, name: &str, depth: usize) -> Value {
        if !node.enumeration().is_empty() {
            let options = node.enumeration();
            return options[self.below(options.len() as u64) as usize].clone();
        }
        match node.node_type() {
            NodeType::Object => self.fields(node, depth),
            NodeType::Array => self.list(node, name, depth),
            NodeType::Boolean => self.coin().into(),
            NodeType::Integer | NodeType::Number => self.number(node),
            NodeType::IntOrString if self.coin() && node.accepts(&"20%".into()) => "20%".into(),
            NodeType::IntOrString => self.below(5).into(),
            NodeType::String => self.text(node, name),
            // Values of variables, and schemas in schemas.
            NodeType::Any => json!({"some": ["value", self.below(9)]}),
        }
    }

    fn fields(&mut self, node: Node<'_>, depth: usize) -> Value {
        let mut fields = Map::new();
        for (name, child) in node.properties() {
            let is_required = node.required().iter().any(|it| **it == *name);
            if is_required || (depth < DEPTH_MAX && self.below(5) > 1) {
                fields.insert(name.to_owned(), self.value(child, name, depth + 1));
            }
        }
        if let Some(child) = node.additional() {
            for number in 0..self.below(MEMBERS_MAX) {
                fields.insert(format!("key{number}"), self.value(child, "", depth + 1));
            }
        }
        if fields.is_empty()
            && let Some((name, child)) = node.properties().next()
        {
            fields.insert(name.to_owned(), self.value(child, name, depth + 1));
        }
        Value::Object(fields)
    }

    fn list(&mut self, node: Node<'_>, name: &str, depth: usize) -> Value {
        let Some(items) = node.items() else { return json!([]) };
        let count = 1 + self.below(MEMBERS_MAX);
        let mut list: Vec<Value> = Vec::new();
        for _ in 0..count {
            let item = self.value(items, name, depth + 1);
            let keys = node.list_map_keys();
            let is_known = list.iter().any(|other| match node.list_type() {
                ListType::Map => keys.iter().all(|key| other.get(&**key) == item.get(&**key)),
                ListType::Set => *other == item,
                ListType::Atomic => false,
            });
            if !is_known {
                list.push(item);
            }
        }
        list.into()
    }

    fn number(&mut self, node: Node<'_>) -> Value {
        let drawn = Value::from(self.below(100));
        let zero = json!(0);
        let options = [drawn, zero, json!(1), json!(60)];
        let start = self.below(4) as usize;
        let found = (0..4).map(|step| &options[(start + step) % 4]).find(|it| node.accepts(it));
        found.cloned().unwrap_or_else(|| json!(1))
    }

    fn text(&mut self, node: Node<'_>, name: &str) -> Value {
        let is_duration = ["Timeout", "Period", "Duration"].iter().any(|it| name.ends_with(it))
            || matches!(name, "timeout" | "ttl" | "timeoutForControlPlane");
        if is_duration {
            let seconds = self.below(100_000);
            return duration::format(std::time::Duration::from_secs(seconds)).into();
        }
        let own = format!("x{}", self.below(1_000_000));
        if node.accepts(&own.as_str().into()) {
            return own.into();
        }
        let start = self.below(TEXTS.len() as u64) as usize;
        let all = (0..TEXTS.len()).map(|step| TEXTS[(start + step) % TEXTS.len()]);
        let mut fitting = all.filter(|text| node.accepts(&Value::from(*text)));
        fitting.next().unwrap_or_else(|| panic!("no text for {name}")).into()
    }
}
