//! Parses JSON and notes members that occur twice, which kube-apiserver reports; the last wins.
//! What else is odd about members is put in the order in which the text has them.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Parses a text into a value and the list of its duplicate fields.
///
/// # Errors
/// The parser's.
pub(super) fn parse(text: &[u8]) -> serde_json::Result<(Value, Vec<String>)> {
    // Text that is known to be text is parsed faster.
    match std::str::from_utf8(text) {
        Ok(text) => read(serde_json::Deserializer::from_str(text)),
        Err(_) => read(serde_json::Deserializer::from_slice(text)),
    }
}

fn read<'de>(
    mut deserializer: serde_json::Deserializer<impl serde_json::de::Read<'de>>,
) -> serde_json::Result<(Value, Vec<String>)> {
    let mut found = Vec::new();
    let root = Seed { place: Place::Root, found: &mut found };
    let value = root.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok((value, found))
}

/// Puts complaints about members (`unknown field "…"`, `duplicate field "…"`) in the order in which
/// Go's decoder meets them in a JSON text. What the text does not show keeps its place behind them.
/// (kubernetes 1.36: sigs.k8s.io/json, saveStrictError)
pub(super) fn in_text_order(text: &[u8], complaints: Vec<String>) -> Vec<String> {
    let mut order = Order::default();
    for (index, complaint) in complaints.iter().enumerate() {
        let Some((kind, path)) = complaint.split_once(" field \"") else { continue };
        let expected = order.expected.entry(path.trim_end_matches('"').to_owned()).or_default();
        match kind {
            "unknown" => expected.unknown = Some(index),
            _ => expected.repeated.push_back(index),
        }
    }
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    // A text that breaks off shows what comes before its end.
    let _ = Ordering { place: Place::Root, order: &mut order }.deserialize(&mut deserializer);
    let rest: Vec<usize> = (0..complaints.len()).filter(|it| !order.met.contains(it)).collect();
    let mut complaints: Vec<Option<String>> = complaints.into_iter().map(Some).collect();
    order.met.into_iter().chain(rest).filter_map(|index| complaints[index].take()).collect()
}

/// Complaints by path, and those that the text has shown so far.
#[derive(Default)]
struct Order {
    expected: BTreeMap<String, Expected>,
    met: Vec<usize>,
}

/// Complaints about one member: about its first occurrence and about each further one.
#[derive(Default)]
struct Expected {
    is_met: bool,
    unknown: Option<usize>,
    repeated: VecDeque<usize>,
}

/// Walks a text for [`Order`].
struct Ordering<'a> {
    place: Place<'a>,
    order: &'a mut Order,
}

impl<'de> DeserializeSeed<'de> for Ordering<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Ordering<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }
    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut index = 0;
        loop {
            let place = Place::Item(&self.place, index);
            if items.next_element_seed(Ordering { place, order: self.order })?.is_none() {
                return Ok(());
            }
            index += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            let place = Place::Member(&self.place, &name);
            if let Some(expected) = self.order.expected.get_mut(&place.to_string()) {
                let met = match expected.is_met {
                    false => expected.unknown,
                    true => expected.repeated.pop_front(),
                };
                expected.is_met = true;
                self.order.met.extend(met);
            }
            members.next_value_seed(Ordering { place, order: self.order })?;
        }
        Ok(())
    }
}

/// Where a value stands; rendered only when a duplicate is found.
#[derive(Clone, Copy)]
enum Place<'a> {
    Root,
    Member(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Member(Place::Root, name) => f.write_str(name),
            Self::Member(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

struct Seed<'a> {
    place: Place<'a>,
    found: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }
    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }
    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let place = Place::Item(&self.place, list.len());
            match items.next_element_seed(Seed { place, found: self.found })? {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let place = Place::Member(&self.place, &name);
            if map.contains_key(&name) {
                self.found.push(format!("duplicate field \"{place}\""));
            }
            let value = members.next_value_seed(Seed { place, found: self.found })?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn duplicates_are_found_and_the_last_wins() {
        let text = br#"{"a":1,"b":[{"c":1,"c":2,"c":3}],"a":{"x":null}}"#;
        let (value, found) = super::parse(text).unwrap();
        assert_eq!(value, json!({"a": {"x": null}, "b": [{"c": 3}]}));
        let name = |path: &str| format!("duplicate field \"{path}\"");
        assert_eq!(found, [name("b[0].c"), name("b[0].c"), name("a")]);
    }

    #[test]
    fn complaints_come_as_the_text_has_them() {
        let text =
            br#"{"z":1,"m":{"zz":1,"a":[{},{"q":1}]},"D":1,"D":2,"d":{"k":1,"k":2,"k":3},"b":0}"#;
        let duplicate = |path: &str| format!("duplicate field \"{path}\"");
        let unknown = |path: &str| format!("unknown field \"{path}\"");
        let complaints = vec![
            duplicate("d.k"),
            duplicate("d.k"),
            duplicate("D"),
            unknown("D"),
            unknown("b"),
            unknown("elsewhere"),
            unknown("m.a[1].q"),
            unknown("m.zz"),
        ];
        let expected = [
            unknown("m.zz"),
            unknown("m.a[1].q"),
            unknown("D"),
            duplicate("D"),
            duplicate("d.k"),
            duplicate("d.k"),
            unknown("b"),
            unknown("elsewhere"),
        ];
        assert_eq!(super::in_text_order(text, complaints.clone()), expected);
        assert_eq!(super::in_text_order(b"a: yaml", complaints.clone()), complaints);
    }

    #[test]
    fn text_behind_the_value_is_refused() {
        assert!(super::parse(b"{} x").is_err());
    }
}
