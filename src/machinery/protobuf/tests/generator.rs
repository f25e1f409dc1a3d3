//! Random objects, by the schema of a kind, in the form in which Go writes them: no empty lists
//! and maps, no zeros where Go omits them, and every field that Go always writes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::encoder::field;
use crate::machinery::builtin;
use crate::machinery::schema::{Node, Schema};
use crate::machinery::tables::messages::{FieldShape, FieldType, MessageField, Zero};

/// Below this depth objects have only what Go always writes.
const DEPTH_MAX: u64 = 9;

/// As many values an object has before it gets nothing more that it can lack.
const VALUES_MAX: usize = 150;

/// Seeded randomness (SplitMix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(super) fn index(&mut self, length: usize) -> usize {
        self.next() as usize % length
    }

    pub(super) fn flip(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// The OpenAPI component of a message: their names differ in spelling only.
pub(super) fn shape(message: &str) -> Option<&'static Schema> {
    let path = message.strip_prefix("k8s.io.")?.replace('_', "-");
    builtin::shape(&format!("io.k8s.{path}"))
}

/// Makes one object.
pub(super) struct Generator {
    pub(super) random: Random,
    values: usize,
    /// The object itself, but not what is in it, has every field.
    is_full: bool,
}

impl Generator {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: Random(seed), values: 0, is_full: false }
    }

    pub(super) fn full(seed: u64) -> Self {
        Self { is_full: true, ..Self::new(seed) }
    }

    /// An object of a message with a schema of its own, without apiVersion and kind.
    pub(super) fn message(&mut self, name: &str, schema: &Schema) -> Value {
        self.object(name, schema.root(), 0)
    }

    fn object(&mut self, name: &str, node: Node<'_>, depth: u64) -> Value {
        let mut properties: Vec<(&str, Node<'_>)> = node.properties().collect();
        if !properties.is_empty() {
            // Whatever comes first gets most of the values.
            let first = self.random.index(properties.len());
            properties.rotate_left(first);
        }
        let mut members = Map::new();
        for (member, node) in properties {
            let Some(field) = field(name, member) else {
                // The types of objects in objects are not on the wire.
                assert!(matches!(member, "apiVersion" | "kind"), "{name} has no field {member}");
                continue;
            };
            if self.is_wanted(field, depth) {
                members.insert(member.to_owned(), self.field(field, node, depth + 1));
            }
        }
        Value::Object(members)
    }

    fn is_wanted(&mut self, field: &MessageField, depth: u64) -> bool {
        let is_full = self.is_full && depth == 0;
        let is_single = field.shape == FieldShape::Single;
        if is_full || is_single && field.zero == Zero::Written {
            return true;
        }
        self.values < VALUES_MAX && depth < DEPTH_MAX && self.random.below(depth + 2) == 0
    }

    fn field(&mut self, field: &MessageField, node: Node<'_>, depth: u64) -> Value {
        let count = 1 + self.random.below(3);
        match field.shape {
            FieldShape::Single => {
                let is_zero_kept = field.zero != Zero::Omitted;
                self.value(&field.value, Some(node), is_zero_kept, depth)
            }
            FieldShape::Repeated => {
                let item = node.items();
                (0..count).map(|_| self.value(&field.value, item, true, depth)).collect()
            }
            FieldShape::Map => {
                let value = node.additional();
                let entries =
                    (0..count).map(|_| (self.text(), self.value(&field.value, value, true, depth)));
                Value::Object(entries.collect())
            }
        }
    }

    fn value(
        &mut self,
        kind: &FieldType,
        node: Option<Node<'_>>,
        is_zero_kept: bool,
        depth: u64,
    ) -> Value {
        self.values += 1;
        let is_zero = is_zero_kept && self.random.below(4) == 0;
        match kind {
            FieldType::Message(name) => self.special(name, depth).unwrap_or_else(|| {
                let node = node.unwrap_or_else(|| panic!("no schema for {name}"));
                self.object(name, node, depth)
            }),
            FieldType::Scalar(kind) => match (&**kind, is_zero) {
                ("string" | "bytes", true) => "".into(),
                ("bool", zero) => (!zero).into(),
                ("double", _) => self.double(),
                (_, true) => 0.into(),
                ("string", _) => format!("{}.", self.text()).into(),
                ("bytes", _) => BASE64.encode(self.text() + "\0").into(),
                ("int32", _) => ((self.random.next() >> self.random.below(64)) as i32 | 1).into(),
                ("int64", _) => {
                    (self.random.next().cast_signed() >> self.random.below(64) | 1).into()
                }
                (other, _) => panic!("no scalar {other}"),
            },
        }
    }

    /// Messages whose JSON is not an object of their fields.
    fn special(&mut self, name: &str, depth: u64) -> Option<Value> {
        const SCHEMA: &str =
            "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";
        let schema = |this: &mut Self| {
            let shape = shape(SCHEMA).expect("definitions have schemas");
            this.object(SCHEMA, shape.root(), depth + 1)
        };
        let choice = self.random.below(3);
        let is_first = choice == 0;
        let value = match name.rsplit('.').next().unwrap_or_default() {
            "Time" => self.time().to_string().into(),
            "MicroTime" => {
                let second = self.time().strftime("%Y-%m-%dT%H:%M:%S").to_string();
                format!("{second}.{:06}Z", self.random.below(1_000_000)).into()
            }
            "Quantity" => {
                let unit = ["", "m", "k", "Mi", "Gi", "e3"][self.random.index(6)];
                format!("{}{unit}", self.random.below(1000)).into()
            }
            "IntOrString" if is_first => ((self.random.next() as i32) >> 8).into(),
            "IntOrString" => self.text().into(),
            "FieldsV1" => json!({ (format!("f:{}", self.text())): {".": {}} }),
            "RawExtension" if is_first => {
                let data = json!({"k": self.text()});
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}, "data": data})
            }
            "RawExtension" => json!({"kind": self.text(), "n": [self.random.below(9), 1.5, null]}),
            "JSON" => [json!(self.text()), json!([1, {}]), json!({"a": 0.5})][self.random.index(3)]
                .clone(),
            "ExtraValue" => json!([self.text(), self.text()]),
            "JSONSchemaPropsOrArray" if is_first => json!([schema(self), schema(self)]),
            "JSONSchemaPropsOrBool" if choice < 2 => is_first.into(),
            "JSONSchemaPropsOrStringArray" if is_first => json!([self.text()]),
            "JSONSchemaPropsOrArray" | "JSONSchemaPropsOrBool" | "JSONSchemaPropsOrStringArray" => {
                schema(self)
            }
            _ => return None,
        };
        Some(value)
    }

    fn text(&mut self) -> String {
        let length = if self.random.below(20) == 0 { 200 } else { self.random.below(12) };
        (0..length)
            .map(|_| ['a', 'Z', '0', '-', '/', '"', 'é', '→'][self.random.index(8)])
            .collect()
    }

    /// Every second after Go's zero time, the beginning of the year 1.
    fn time(&mut self) -> Timestamp {
        const FIRST: i64 = -62_135_596_799;
        let seconds = Timestamp::MAX.as_second().abs_diff(FIRST);
        let second = FIRST.saturating_add_unsigned(self.random.below(seconds));
        Timestamp::from_second(second).expect("a time of the years 1 to 9999")
    }

    /// Go writes whole numbers without a fraction.
    fn double(&mut self) -> Value {
        let whole = (self.random.next() as i32) >> self.random.below(31);
        if self.random.flip() { whole.into() } else { (f64::from(whole) + 0.25).into() }
    }
}
