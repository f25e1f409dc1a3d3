//! The form in which Go writes what it read: quantities, times and bytes of built-in kinds.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use super::NodeType;
use super::arena::{Arena, Index, NodeData};
use super::formats::Format;
use crate::machinery::moment::Moment;
use crate::machinery::quantity::Quantity;

/// Go takes bits that no byte has.
const BYTES: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

pub(super) fn canonicalise(arena: &Arena, root: Index, object: &mut Value) {
    let node = arena.node(root);
    let Value::Object(map) = object else { return };
    if !node.canonical {
        return;
    }
    for (name, value) in map {
        // Metadata has a normal form of its own.
        if name != "metadata"
            && let Some(child) = node.child(name)
        {
            walk(arena, arena.node(child), value);
        }
    }
}

fn walk(arena: &Arena, node: &NodeData, value: &mut Value) {
    if !node.canonical {
        return;
    }
    match value {
        Value::Object(map) => object(arena, node, map),
        Value::Array(list) => {
            let Some(items) = node.items else { return };
            let items = arena.node(items);
            list.iter_mut().for_each(|item| walk(arena, items, item));
        }
        Value::String(text) => match kind(node) {
            Some(Kind::Quantity) => quantity(value, false),
            Some(Kind::Time) => {
                if let Some(time) = time(text) {
                    *text = time;
                }
            }
            Some(Kind::MicroTime) => {
                if let Some(time) = micro_time(text) {
                    *text = time;
                }
            }
            Some(Kind::Bytes) => {
                if let Some(encoded) = bytes(text) {
                    *text = encoded;
                }
            }
            None => {}
        },
        Value::Number(_) if kind(node) == Some(Kind::Quantity) => quantity(value, false),
        _ => {}
    }
}

fn object(arena: &Arena, node: &NodeData, map: &mut Map<String, Value>) {
    let entries = node.additional.map(|index| arena.node(index));
    if let Some(entries) = entries.filter(|entries| kind(entries) == Some(Kind::Quantity)) {
        debug_assert!(entries.canonical);
        map.values_mut().for_each(|value| quantity(value, true));
        return;
    }
    for (name, value) in map {
        if let Some(child) = node.child(name) {
            walk(arena, arena.node(child), value);
        }
    }
}

/// What has a canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Quantity,
    Time,
    MicroTime,
    Bytes,
}

fn kind(node: &NodeData) -> Option<Kind> {
    if let Some(name) = node.name.as_deref() {
        return match name.rsplit('.').next() {
            Some("Quantity") => Some(Kind::Quantity),
            Some("Time") => Some(Kind::Time),
            Some("MicroTime") => Some(Kind::MicroTime),
            _ => None,
        };
    }
    let format = node.facts.as_deref().and_then(|facts| facts.checked_format);
    (node.kind == NodeType::String && format == Some(Format::Byte)).then_some(Kind::Bytes)
}

/// Whether a node itself has a canonical form.
pub(super) fn is_canonical(node: &NodeData) -> bool {
    kind(node).is_some()
}

/// Amounts in lists of resources have no digits below thousandths.
fn quantity(value: &mut Value, in_list: bool) {
    let parsed = match &*value {
        Value::String(text) => Quantity::parse(text),
        Value::Number(number) => Quantity::parse(&number.to_string()),
        Value::Null => Quantity::parse("0"),
        _ => return,
    };
    let Ok(parsed) = parsed else { return };
    let amount = if in_list { parsed.rounded_to_milli() } else { parsed };
    let canonical = amount.to_string();
    if *value != canonical {
        *value = canonical.into();
    }
}

/// A time in UTC without fractions; `None` if it is so already.
fn time(text: &str) -> Option<String> {
    if text.len() == 20 && text.ends_with('Z') {
        return None;
    }
    Moment::parse(text)?.in_seconds()
}

/// A time in UTC with six digits of a second; `None` if it is so already.
fn micro_time(text: &str) -> Option<String> {
    // Go reads a comma, too.
    if text.len() == 27 && text.ends_with('Z') && text.as_bytes()[19] == b'.' {
        return None;
    }
    Moment::parse(text)?.in_microseconds()
}

/// Base64 without line breaks and without bits that no byte has; `None` if it is so already.
fn bytes(text: &str) -> Option<String> {
    let has_breaks = text.contains(['\n', '\r']);
    if !has_breaks && !text.ends_with('=') {
        return None;
    }
    let plain: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    let encoded = BYTES.encode(BYTES.decode(plain).ok()?);
    (encoded != text).then_some(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_utc() {
        assert_eq!(time("2020-01-02T03:04:05Z"), None);
        assert_eq!(time("2020-01-02T03:04:05.9Z").as_deref(), Some("2020-01-02T03:04:05Z"));
        assert_eq!(time("2020-01-02T03:04:05+01:00").as_deref(), Some("2020-01-02T02:04:05Z"));
        assert_eq!(
            micro_time("2020-01-02T03:04:05.000001+01:00").as_deref(),
            Some("2020-01-02T02:04:05.000001Z")
        );
    }

    #[test]
    fn bytes_have_one_form() {
        assert_eq!(bytes("YWI="), None);
        assert_eq!(bytes("YW\nI=").as_deref(), Some("YWI="));
        assert_eq!(bytes("YR==").as_deref(), Some("YQ=="));
    }

    #[test]
    fn quantities_have_one_form() {
        let check = |value: Value, in_list: bool, expected: &str| {
            let mut value = value;
            quantity(&mut value, in_list);
            assert_eq!(value, expected);
        };
        check("1000m".into(), true, "1");
        check(1.into(), true, "1");
        check("0.5".into(), true, "500m");
        check("1024Mi".into(), true, "1Gi");
        check("100u".into(), true, "1m");
        check("100u".into(), false, "100u");
    }
}
