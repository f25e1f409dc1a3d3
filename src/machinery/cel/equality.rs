//! Equality and order of values (cel-go: common/types; kubernetes 1.36:
//! apiserver/pkg/cel/common/valuesunstructured.go for lists that are maps or sets).

use std::cmp::Ordering;

use serde_json::Value;

use super::error::EvalError;
use super::json::Shape;
use super::value::{List, Map, Val};
use crate::machinery::schema::ListType;

type Compared<T> = Result<T, EvalError>;

/// Deepest values that are compared. JSON is not deeper.
const DEPTH_MAX: u32 = 512;

/// Whether two values are equal. Values of different types are not; numbers are by value.
pub(super) fn equal(one: &Val<'_>, two: &Val<'_>) -> Compared<bool> {
    equal_below(one, two, DEPTH_MAX)
}

fn equal_below(one: &Val<'_>, two: &Val<'_>, depth: u32) -> Compared<bool> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(EvalError::new("values are nested too deeply"));
    };
    Ok(match (one, two) {
        (Val::Null, Val::Null) => true,
        (Val::Bool(one), Val::Bool(two)) => one == two,
        (Val::String(one), Val::String(two)) => **one == **two,
        (Val::Bytes(one), Val::Bytes(two)) => one == two,
        (Val::Duration(one), Val::Duration(two)) => one == two,
        (Val::Timestamp(one), Val::Timestamp(two)) => one == two,
        (Val::Type(one), Val::Type(two)) => one == two,
        (Val::Object(one), Val::Object(two)) => one == two,
        (Val::Unknown(one), Val::Unknown(two)) => one == two,
        (Val::Optional(one), Val::Optional(two)) => match (one, two) {
            (Some(one), Some(two)) => equal_below(one, two, depth)?,
            (one, two) => one.is_none() && two.is_none(),
        },
        (Val::List(one), Val::List(two)) => lists(one, two, depth)?,
        (Val::Map(one), Val::Map(two)) => maps(one, two, depth)?,
        _ => number_order(one, two) == Some(Ordering::Equal),
    })
}

fn lists(one: &List<'_>, two: &List<'_>, depth: u32) -> Compared<bool> {
    if one.len() != two.len() {
        return Ok(false);
    }
    match list_type(one) {
        ListType::Set => return sets(one, two, depth),
        ListType::Map => {
            if let (List::Json(ours, shape), List::Json(theirs, _)) = (one, two) {
                return keyed(ours, theirs, *shape, depth);
            }
        }
        ListType::Atomic => {}
    }
    for (one, two) in one.iter().zip(two.iter()) {
        if !equal_below(&one?, &two?, depth)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn list_type(list: &List<'_>) -> ListType {
    match list {
        List::Json(_, shape) => shape.node().map_or(ListType::Atomic, |node| node.list_type()),
        List::Values(_) => ListType::Atomic,
    }
}

/// Sets are equal in any order.
fn sets(one: &List<'_>, two: &List<'_>, depth: u32) -> Compared<bool> {
    let theirs = two.values()?;
    for ours in one.iter() {
        let ours = ours?;
        let mut found = false;
        for theirs in &theirs {
            found |= equal_below(&ours, theirs, depth)?;
        }
        if !found {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Lists that are maps are equal in any order.
fn keyed(ours: &[Value], theirs: &[Value], shape: Shape<'_>, depth: u32) -> Compared<bool> {
    let Some(node) = shape.node() else { return Ok(false) };
    let keys = node.list_map_keys();
    for item in ours {
        let same = |other: &&Value| keys.iter().all(|key| item.get(&**key) == other.get(&**key));
        let Some(other) = theirs.iter().find(same) else { return Ok(false) };
        let item = super::json::convert(item, shape.item())?;
        let other = super::json::convert(other, shape.item())?;
        if !equal_below(&item, &other, depth)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn maps(one: &Map<'_>, two: &Map<'_>, depth: u32) -> Compared<bool> {
    let keys = one.keys();
    if keys.len() != two.keys().len() {
        return Ok(false);
    }
    for key in keys {
        let (Some(one), Some(two)) = (one.get(&key), two.get(&key)) else { return Ok(false) };
        if !equal_below(&one?, &two?, depth)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Order of numbers of any types; `None` if one is no number or `NaN`.
pub(super) fn number_order(one: &Val<'_>, two: &Val<'_>) -> Option<Ordering> {
    let whole = |value: &Val<'_>| match value {
        Val::Int(number) => Some(i128::from(*number)),
        Val::Uint(number) => Some(i128::from(*number)),
        _ => None,
    };
    match (one, two) {
        (Val::Double(one), Val::Double(two)) => one.partial_cmp(two),
        (Val::Double(one), two) => Some(double_order(*one, whole(two)?)?),
        (one, Val::Double(two)) => Some(double_order(*two, whole(one)?)?.reverse()),
        _ => Some(whole(one)?.cmp(&whole(two)?)),
    }
}

fn double_order(one: f64, two: i128) -> Option<Ordering> {
    if one.is_nan() {
        return None;
    }
    // 64-bit integers are far inside the range of 128 bits; the cast saturates beyond.
    let floor = one.floor();
    let order = (floor as i128).cmp(&two);
    Some(if order == Ordering::Equal && one > floor { Ordering::Greater } else { order })
}

/// Order of two values of the same type that has one.
pub(super) fn order(one: &Val<'_>, two: &Val<'_>) -> Compared<Option<Ordering>> {
    Ok(match (one, two) {
        (Val::Bool(one), Val::Bool(two)) => Some(one.cmp(two)),
        (Val::String(one), Val::String(two)) => Some((**one).cmp(&**two)),
        (Val::Bytes(one), Val::Bytes(two)) => Some(one.cmp(two)),
        (Val::Duration(one), Val::Duration(two)) => Some(one.cmp(two)),
        (Val::Timestamp(one), Val::Timestamp(two)) => Some(one.cmp(two)),
        (
            Val::Int(_) | Val::Uint(_) | Val::Double(_),
            Val::Int(_) | Val::Uint(_) | Val::Double(_),
        ) => number_order(one, two),
        _ => return Err(EvalError::no_such_overload()),
    })
}
