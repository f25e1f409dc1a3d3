//! Arithmetic, order, membership, sizes and optionals (cel-go: common/types).

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Builtin, Called, unfit};
use crate::machinery::cel::equality;
use crate::machinery::cel::error::EvalError;
use crate::machinery::cel::time;
use crate::machinery::cel::value::{List, Map, Val};
use crate::machinery::schema::ListType;

pub(super) const FUNCTIONS: &[(&str, Builtin)] = &[
    ("_+_", add),
    ("_-_", arithmetic),
    ("_*_", arithmetic),
    ("_/_", arithmetic),
    ("_%_", arithmetic),
    ("-_", negate),
    ("!_", not),
    ("_<_", ordered),
    ("_<=_", ordered),
    ("_>_", ordered),
    ("_>=_", ordered),
    ("@in", membership),
    ("size", size),
    ("cel.@mapInsert", map_insert),
    ("optional.of", optional),
    ("optional.ofNonZeroValue", optional),
    ("optional.none", optional),
    ("value", optional_value),
    ("hasValue", optional_value),
    ("optional.unwrap", unwrap),
    ("unwrapOpt", unwrap),
];

fn overflow(kind: &str) -> EvalError {
    EvalError::new(format!("{kind} overflow"))
}

fn add<'a>(name: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [one, two] = args else { return unfit() };
    match (&mut *one, &*two) {
        (Val::String(one), Val::String(two)) => {
            let mut joined = String::with_capacity(one.len() + two.len());
            joined.push_str(one);
            joined.push_str(two);
            Ok(Val::text(&joined))
        }
        (Val::Bytes(one), Val::Bytes(two)) => Ok(Val::Bytes([&**one, two].concat().into())),
        (Val::List(List::Values(values)), Val::List(more)) => {
            // The accumulator of a fold is not shared: this appends in place.
            let mut values = std::mem::take(values);
            let all = Arc::make_mut(&mut values);
            for value in more.iter() {
                all.push(value?);
            }
            Ok(Val::List(List::Values(values)))
        }
        (Val::List(one), Val::List(two)) => concatenate(one, two),
        (Val::Timestamp(at), Val::Duration(by)) => time::add(*at, *by).map(Val::Timestamp),
        (Val::Duration(by), Val::Timestamp(at)) => time::add(*at, *by).map(Val::Timestamp),
        _ => arithmetic(name, args),
    }
}

/// Lists that are sets or maps are merged (kubernetes 1.36:
/// apiserver/pkg/cel/common/valuesunstructured.go).
fn concatenate<'a>(one: &List<'a>, two: &List<'a>) -> Called<'a> {
    let mut values = one.values()?;
    let List::Json(items, shape) = one else { return unfit() };
    let node = shape.node();
    match node.map(|node| node.list_type()).unwrap_or_default() {
        ListType::Atomic => values.extend(two.values()?),
        ListType::Set => {
            for value in two.values()? {
                let mut known = false;
                for ours in &values {
                    known |= equality::equal(ours, &value)?;
                }
                if !known {
                    values.push(value);
                }
            }
        }
        ListType::Map => {
            let keys = node.map_or(&[][..], |node| node.list_map_keys());
            let key_of = |value: &Val<'a>| -> Vec<serde_json::Value> {
                match value {
                    Val::Map(Map::Json(map, _)) => keys
                        .iter()
                        .map(|key| map.get(&**key).cloned().unwrap_or_default())
                        .collect(),
                    _ => Vec::new(),
                }
            };
            debug_assert_eq!(items.len(), values.len(), "every item was converted");
            for value in two.values()? {
                let key = key_of(&value);
                match values.iter_mut().find(|ours| key_of(ours) == key) {
                    Some(ours) => *ours = value,
                    None => values.push(value),
                }
            }
        }
    }
    Ok(Val::list(values))
}

fn arithmetic<'a>(name: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [one, two] = args else { return unfit() };
    match (&*one, &*two) {
        (Val::Int(one), Val::Int(two)) => integers(name, *one, *two).map(Val::Int),
        (Val::Uint(one), Val::Uint(two)) => unsigned(name, *one, *two).map(Val::Uint),
        (Val::Double(one), Val::Double(two)) => match name {
            "_+_" => Ok(Val::Double(one + two)),
            "_-_" => Ok(Val::Double(one - two)),
            "_*_" => Ok(Val::Double(one * two)),
            "_/_" => Ok(Val::Double(one / two)),
            _ => unfit(),
        },
        (Val::Duration(one), Val::Duration(two)) => match name {
            "_+_" => one.checked_add(*two),
            "_-_" => one.checked_sub(*two),
            _ => return unfit(),
        }
        .map(Val::Duration)
        .ok_or_else(|| overflow("duration")),
        (Val::Timestamp(at), Val::Duration(by)) if name == "_-_" => {
            let by = by.checked_neg().ok_or_else(|| overflow("timestamp"))?;
            time::add(*at, by).map(Val::Timestamp)
        }
        (Val::Timestamp(one), Val::Timestamp(two)) if name == "_-_" => {
            time::between(*one, *two).map(Val::Duration)
        }
        _ => unfit(),
    }
}

fn integers(name: &str, one: i64, two: i64) -> Result<i64, EvalError> {
    let result = match name {
        "_+_" => one.checked_add(two),
        "_-_" => one.checked_sub(two),
        "_*_" => one.checked_mul(two),
        "_/_" if two == 0 => return Err(EvalError::new("division by zero")),
        "_/_" => one.checked_div(two),
        "_%_" if two == 0 => return Err(EvalError::new("modulus by zero")),
        _ => one.checked_rem(two),
    };
    result.ok_or_else(|| overflow("integer"))
}

fn unsigned(name: &str, one: u64, two: u64) -> Result<u64, EvalError> {
    let result = match name {
        "_+_" => one.checked_add(two),
        "_-_" => one.checked_sub(two),
        "_*_" => one.checked_mul(two),
        "_/_" if two == 0 => return Err(EvalError::new("division by zero")),
        "_/_" => one.checked_div(two),
        "_%_" if two == 0 => return Err(EvalError::new("modulus by zero")),
        _ => one.checked_rem(two),
    };
    result.ok_or_else(|| overflow("unsigned integer"))
}

fn negate<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    match args {
        [Val::Int(value)] => value.checked_neg().map(Val::Int).ok_or_else(|| overflow("integer")),
        [Val::Double(value)] => Ok(Val::Double(-*value)),
        [Val::Duration(value)] => {
            value.checked_neg().map(Val::Duration).ok_or_else(|| overflow("duration"))
        }
        _ => unfit(),
    }
}

fn not<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    match args {
        [Val::Bool(value)] => Ok(Val::Bool(!*value)),
        _ => unfit(),
    }
}

fn ordered<'a>(name: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [one, two] = args else { return unfit() };
    let Some(order) = equality::order(one, two)? else {
        return Err(EvalError::new("NaN values cannot be ordered"));
    };
    Ok(Val::Bool(match name {
        "_<_" => order == Ordering::Less,
        "_<=_" => order != Ordering::Greater,
        "_>_" => order == Ordering::Greater,
        _ => order != Ordering::Less,
    }))
}

fn membership<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    contains(args)
}

/// Whether the first argument is an item or a key of the second.
pub(in super::super) fn contains<'a>(args: &mut [Val<'a>]) -> Called<'a> {
    let [value, container] = args else { return unfit() };
    match container {
        Val::List(list) => {
            for item in list.iter() {
                if equality::equal(value, &item?)? {
                    return Ok(Val::Bool(true));
                }
            }
            Ok(Val::Bool(false))
        }
        Val::Map(map) => {
            let found = value.key().and_then(|key| map.get(&key));
            Ok(Val::Bool(found.transpose()?.is_some()))
        }
        _ => unfit(),
    }
}

fn size<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    match args {
        [value @ (Val::String(_) | Val::Bytes(_) | Val::List(_) | Val::Map(_))] => {
            Ok(Val::Int(i64::try_from(value.size()).unwrap_or(i64::MAX)))
        }
        _ => unfit(),
    }
}

fn map_insert<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let entries = match args.first_mut() {
        Some(Val::Map(Map::Values(entries))) => std::mem::take(entries),
        _ => return unfit(),
    };
    let mut entries = entries;
    let made = Arc::make_mut(&mut entries);
    let new: Vec<(Val<'a>, Val<'a>)> = match &args[1..] {
        [key, value] => vec![(key.clone(), value.clone())],
        [Val::Map(map)] => {
            let mut pairs = Vec::new();
            for key in map.keys() {
                let Some(value) = map.get(&key) else { continue };
                pairs.push((key.into(), value?));
            }
            pairs
        }
        _ => return unfit(),
    };
    for (key, value) in new {
        let Some(key) = key.key() else { return unfit() };
        let shown = crate::machinery::cel::eval::show_key(&key);
        if made.insert(key, value).is_some() {
            return Err(EvalError::new(format!("insert failed: key {shown} already exists")));
        }
    }
    Ok(Val::Map(Map::Values(entries)))
}

fn optional<'a>(name: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    match (name, args) {
        ("optional.none", []) => Ok(Val::Optional(None)),
        ("optional.ofNonZeroValue", [value]) if value.is_zero() => Ok(Val::Optional(None)),
        (_, [value]) => Ok(Val::some(value.clone())),
        _ => unfit(),
    }
}

fn optional_value<'a>(name: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    match (name, args) {
        ("hasValue", [Val::Optional(value)]) => Ok(Val::Bool(value.is_some())),
        (_, [Val::Optional(Some(value))]) => Ok((**value).clone()),
        (_, [Val::Optional(None)]) => Err(EvalError::new("optional.none() dereference")),
        _ => unfit(),
    }
}

fn unwrap<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::List(list)] = args else { return unfit() };
    let mut values = Vec::new();
    for item in list.iter() {
        match item? {
            Val::Optional(Some(value)) => values.push((*value).clone()),
            Val::Optional(None) => {}
            _ => return unfit(),
        }
    }
    Ok(Val::list(values))
}
