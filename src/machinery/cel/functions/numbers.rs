//! Quantities and semantic versions (kubernetes 1.36: apiserver/pkg/cel/library/quantity.go,
//! semverlib.go).

use std::cmp::Ordering;

use super::{Builtin, Called, unfit};
use crate::machinery::cel::error::EvalError;
use crate::machinery::cel::library::{Object, Semver};
use crate::machinery::cel::value::Val;
use crate::machinery::quantity::Quantity;

pub(super) const FUNCTIONS: &[(&str, Builtin)] = &[
    ("quantity", quantity),
    ("isQuantity", quantity),
    ("sign", part),
    ("asApproximateFloat", part),
    ("asInteger", part),
    ("isInteger", part),
    ("add", sum),
    ("sub", sum),
    ("semver", semver),
    ("isSemver", semver),
    ("major", part),
    ("minor", part),
    ("patch", part),
    ("isGreaterThan", compare),
    ("isLessThan", compare),
    ("compareTo", compare),
];

fn quantity<'a>(name: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::String(text)] = args else { return unfit() };
    match Quantity::parse(text) {
        Ok(_) if name == "isQuantity" => Ok(Val::Bool(true)),
        Ok(quantity) => Ok(Val::object(Object::Quantity(quantity))),
        Err(_) if name == "isQuantity" => Ok(Val::Bool(false)),
        Err(error) => Err(EvalError::new(error.to_string())),
    }
}

fn semver<'a>(name: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let parsed = match args {
        [Val::String(text)] | [Val::String(text), Val::Bool(false)] => Semver::parse(text),
        [Val::String(text), Val::Bool(true)] => Semver::parse_tolerant(text),
        _ => return unfit(),
    };
    if name == "isSemver" {
        return Ok(Val::Bool(parsed.is_ok()));
    }
    parsed.map(|version| Val::object(Object::Semver(version))).map_err(EvalError::new)
}

fn part<'a>(name: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::Object(object)] = args else { return unfit() };
    match (&**object, name) {
        (Object::Quantity(quantity), "sign") => Ok(Val::Int(quantity.sign().into())),
        (Object::Quantity(quantity), "asApproximateFloat") => {
            Ok(Val::Double(quantity.approximate_float()))
        }
        (Object::Quantity(quantity), "asInteger") => match quantity.as_integer() {
            Some(value) => Ok(Val::Int(value)),
            None => Err(EvalError::new("cannot convert value to integer")),
        },
        (Object::Quantity(quantity), "isInteger") => Ok(Val::Bool(quantity.as_integer().is_some())),
        (Object::Semver(version), "major" | "minor" | "patch") => {
            let index = ["major", "minor", "patch"].iter().position(|part| *part == name);
            Ok(Val::Int(version.numbers[index.unwrap_or_default()] as i64))
        }
        _ => unfit(),
    }
}

fn sum<'a>(name: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::Object(object), other] = args else { return unfit() };
    let Object::Quantity(one) = &**object else { return unfit() };
    let two = match &*other {
        Val::Int(value) => Quantity::from_integer(*value),
        Val::Object(object) => match &**object {
            Object::Quantity(two) => *two,
            _ => return unfit(),
        },
        _ => return unfit(),
    };
    let sum = if name == "add" { one.checked_add(two) } else { one.checked_sub(two) };
    let overflow = || EvalError::new("quantity overflow");
    Ok(Val::object(Object::Quantity(sum.ok_or_else(overflow)?)))
}

fn compare<'a>(name: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::Object(one), Val::Object(two)] = args else { return unfit() };
    let order = match (&**one, &**two) {
        (Object::Quantity(one), Object::Quantity(two)) => one.cmp(two),
        (Object::Semver(one), Object::Semver(two)) => one.cmp(two),
        _ => return unfit(),
    };
    Ok(match name {
        "isGreaterThan" => Val::Bool(order == Ordering::Greater),
        "isLessThan" => Val::Bool(order == Ordering::Less),
        _ => Val::Int(order as i64),
    })
}
