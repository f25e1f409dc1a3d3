//! The OpenAPI keywords of a single node: from JSON into a draft of a node.

use serde_json::{Number, Value};

use super::arena::{Facts, NodeData, Pattern};
use super::formats::Format;
use super::{Index, ListType, NodeType};

/// A node in the making. Children are set by index, single facts by OpenAPI keyword.
#[derive(Default)]
pub(crate) struct Draft {
    data: NodeData,
    facts: Facts,
    properties: Vec<(Box<str>, Index)>,
}

impl Draft {
    /// Sets the JSON type by its OpenAPI name or `int-or-string`; false for an unknown name.
    pub(crate) fn set_type(&mut self, name: &str) -> bool {
        self.data.kind = match name {
            "any" => NodeType::Any,
            "object" => NodeType::Object,
            "array" => NodeType::Array,
            "string" => NodeType::String,
            "integer" => NodeType::Integer,
            "number" => NodeType::Number,
            "boolean" => NodeType::Boolean,
            "int-or-string" => NodeType::IntOrString,
            _ => return false,
        };
        true
    }

    pub(crate) fn preserve_unknown(&mut self) {
        self.data.preserve_unknown = true;
    }

    pub(crate) fn property(&mut self, name: &str, child: Index) {
        self.properties.push((name.into(), child));
    }

    pub(crate) fn require(&mut self, name: &str) {
        let mut required = std::mem::take(&mut self.data.required).into_vec();
        required.push(name.into());
        self.data.required = required.into();
    }

    pub(crate) fn items(&mut self, child: Index) {
        self.data.items = Some(child);
    }

    pub(crate) fn additional(&mut self, child: Index) {
        self.data.additional = Some(child);
    }

    pub(crate) fn not(&mut self, child: Index) {
        self.facts.not = Some(child);
    }

    /// Adds a branch to `allOf`, `anyOf` or `oneOf`.
    pub(crate) fn branch(&mut self, keyword: &str, child: Index) {
        let list = match keyword {
            "allOf" => &mut self.facts.all_of,
            "anyOf" => &mut self.facts.any_of,
            _ => &mut self.facts.one_of,
        };
        let mut branches = std::mem::take(list).into_vec();
        branches.push(child);
        *list = branches.into();
    }

    /// Makes the node a copy of a named shape, with the further facts that are set.
    pub(crate) fn extend(&mut self, shape: Index) {
        self.facts.alias_of = Some(shape);
    }

    /// Sets one fact that is not a child. Returns false if the value has the wrong form.
    pub(crate) fn set(&mut self, keyword: &str, value: &Value) -> bool {
        self.set_structure(keyword, value)
            .or_else(|| self.set_limit(keyword, value))
            .or_else(|| self.set_annotation(keyword, value))
            .is_some()
    }

    fn set_structure(&mut self, keyword: &str, value: &Value) -> Option<()> {
        let (data, facts) = (&mut self.data, &mut self.facts);
        match keyword {
            "nullable" => data.nullable = value.as_bool()?,
            "x-kubernetes-preserve-unknown-fields" => data.preserve_unknown = value.as_bool()?,
            "x-kubernetes-embedded-resource" => data.embedded_resource = value.as_bool()?,
            "additionalProperties" => data.additional_bool = Some(value.as_bool()?),
            "required" => data.required = strings(value)?,
            "x-kubernetes-list-type" => {
                data.list_type = Some(match value.as_str()? {
                    "atomic" => ListType::Atomic,
                    "set" => ListType::Set,
                    "map" => ListType::Map,
                    _ => return None,
                });
            }
            "x-kubernetes-list-map-keys" => facts.list_map_keys = strings(value)?,
            "x-kubernetes-map-type" => match value.as_str()? {
                "atomic" => data.atomic_map = true,
                "granular" => facts.granular_map = true,
                _ => return None,
            },
            "x-kubernetes-patch-merge-key" => facts.patch_merge_key = Some(value.as_str()?.into()),
            "x-kubernetes-patch-strategy" => facts.patch_strategy = Some(value.as_str()?.into()),
            _ => return None,
        }
        Some(())
    }

    fn set_limit(&mut self, keyword: &str, value: &Value) -> Option<()> {
        let facts = &mut self.facts;
        match keyword {
            "format" => {
                facts.format = Some(value.as_str()?.into());
                facts.checked_format = Format::parse(value.as_str()?);
            }
            "enum" => facts.enumeration = value.as_array()?.clone().into(),
            "pattern" => facts.pattern = Some(Pattern::new(value.as_str()?)),
            "minimum" => facts.minimum = Some(number(value)?),
            "maximum" => facts.maximum = Some(number(value)?),
            "exclusiveMinimum" => facts.exclusive_minimum = value.as_bool()?,
            "exclusiveMaximum" => facts.exclusive_maximum = value.as_bool()?,
            "multipleOf" => facts.multiple_of = Some(number(value)?),
            "minLength" => facts.min_length = Some(value.as_u64()?),
            "maxLength" => facts.max_length = Some(value.as_u64()?),
            "minItems" => facts.min_items = Some(value.as_u64()?),
            "maxItems" => facts.max_items = Some(value.as_u64()?),
            "minProperties" => facts.min_properties = Some(value.as_u64()?),
            "maxProperties" => facts.max_properties = Some(value.as_u64()?),
            "uniqueItems" => facts.unique_items = value.as_bool()?,
            _ => return None,
        }
        Some(())
    }

    fn set_annotation(&mut self, keyword: &str, value: &Value) -> Option<()> {
        let facts = &mut self.facts;
        match keyword {
            "default" => facts.default = Some(value.clone()),
            "description" => facts.description = Some(value.as_str()?.into()),
            "x-kubernetes-validations" => facts.validations = Some(value.clone()),
            "title"
            | "example"
            | "externalDocs"
            | "x-kubernetes-unions"
            | "x-kubernetes-group-version-kind" => {
                facts.annotations.insert(keyword.into(), value.clone());
            }
            _ => return None,
        }
        Some(())
    }

    pub(super) fn into_data(self) -> NodeData {
        let Self { mut data, facts, mut properties } = self;
        properties.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        properties.dedup_by(|later, earlier| later.0 == earlier.0);
        data.properties = properties.into();
        data.facts = (facts != Facts::default()).then(|| Box::new(facts));
        data
    }
}

fn strings(value: &Value) -> Option<Box<[Box<str>]>> {
    value.as_array()?.iter().map(|one| Some(one.as_str()?.into())).collect()
}

/// A whole floating-point number counts as an integer, as it does for Go.
fn number(value: &Value) -> Option<Number> {
    let number = value.as_number()?;
    Some(super::defaulting::integral(number).unwrap_or_else(|| number.clone()))
}
