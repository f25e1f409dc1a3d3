//! sprig's functions on values of any kind: defaults, JSON, types.
//! (sprig v3.3: defaults.go, reflect.go)

use std::rc::Rc;

use serde_json::{Map, Number, Value};

use super::{Answer, Entry, SIZE_MAX, Type, any, text};
use crate::machinery::gotemplate::data::Data;
use crate::machinery::gotemplate::print::{self, Output, too_large};

const ANY: &[Type] = &[Type::Any];

pub(super) const TABLE: &[Entry] = &[
    ("default", ANY, Some(Type::Any), |args| {
        let given = args.get(1).filter(|given| given.is_true());
        Ok(given.unwrap_or(any(args, 0)).clone())
    }),
    ("empty", ANY, None, |args| Ok(Data::Bool(!any(args, 0).is_true()))),
    ("coalesce", &[], Some(Type::Any), |args| {
        Ok(args.iter().find(|value| value.is_true()).cloned().unwrap_or(Data::Nil))
    }),
    ("all", &[], Some(Type::Any), |args| Ok(Data::Bool(args.iter().all(Data::is_true)))),
    ("any", &[], Some(Type::Any), |args| Ok(Data::Bool(args.iter().any(Data::is_true)))),
    ("ternary", &[Type::Any, Type::Any, Type::Bool], None, |args| {
        let is = any(args, 2).is_true();
        Ok(any(args, if is { 0 } else { 1 }).clone())
    }),
    ("fail", &[Type::Text], None, |args| Err(text(args, 0).to_owned())),
    ("hello", &[], None, |_| Ok(Data::text("Hello!"))),
    ("toString", ANY, None, |args| to_text(any(args, 0)).map(Data::text)),
    ("fromJson", &[Type::Text], None, |args| Ok(from_json(args).unwrap_or(Data::Nil))),
    ("mustFromJson", &[Type::Text], None, from_json),
    ("toJson", ANY, None, |args| json(args, Style::Escaped)),
    ("mustToJson", ANY, None, |args| json(args, Style::Escaped)),
    ("toRawJson", ANY, None, |args| json(args, Style::Raw)),
    ("mustToRawJson", ANY, None, |args| json(args, Style::Raw)),
    ("toPrettyJson", ANY, None, |args| json(args, Style::Pretty)),
    ("mustToPrettyJson", ANY, None, |args| json(args, Style::Pretty)),
    ("typeOf", ANY, None, |args| Ok(Data::text(type_of(any(args, 0))))),
    ("typeIs", &[Type::Text, Type::Any], None, |args| {
        Ok(Data::Bool(text(args, 0) == type_of(any(args, 1))))
    }),
    ("typeIsLike", &[Type::Text, Type::Any], None, |args| {
        let found = type_of(any(args, 1));
        Ok(Data::Bool(text(args, 0) == found || found.strip_prefix('*') == Some(text(args, 0))))
    }),
    ("kindOf", ANY, None, |args| Ok(Data::text(any(args, 0).kind_name()))),
    ("kindIs", &[Type::Text, Type::Any], None, |args| {
        Ok(Data::Bool(text(args, 0) == any(args, 1).kind_name()))
    }),
    ("deepEqual", &[Type::Any, Type::Any], None, |args| {
        is_deeply_equal(any(args, 0), any(args, 1)).map(Data::Bool)
    }),
];

fn type_of(data: &Data) -> &'static str {
    if data.is_nil() { "<nil>" } else { data.type_name() }
}

/// sprig's `strval`: a text as it is, everything else printed.
pub(super) fn to_text(data: &Data) -> Result<String, String> {
    let mut out = Output::new(SIZE_MAX);
    print::value(&mut out, data);
    out.finish()
}

/// sprig's `strslice`: elements without nils as texts; of anything else, itself alone.
pub(super) fn to_texts(data: &Data) -> Result<Vec<String>, String> {
    match data {
        Data::List(_, list) => {
            let mut size = 0;
            let mut texts = Vec::with_capacity(list.len());
            for element in list.iter().filter(|element| !element.is_nil()) {
                let text = to_text(element)?;
                size += text.len() + 1;
                super::within(size)?;
                texts.push(text);
            }
            Ok(texts)
        }
        data if data.is_nil() => Ok(Vec::new()),
        data => Ok(vec![to_text(data)?]),
    }
}

/// Visits of one walk through a value, so that values that share parts end as well.
struct Budget(usize);

impl Budget {
    fn step(&mut self, depth: usize) -> Result<(), String> {
        if self.0 == 0 || depth > 200 {
            return Err(too_large());
        }
        self.0 -= 1;
        super::charge(1)
    }
}

/// `reflect.DeepEqual`: types count.
pub(super) fn is_deeply_equal(a: &Data, b: &Data) -> Result<bool, String> {
    equal(a, b, &mut Budget(SIZE_MAX), 0)
}

fn equal(a: &Data, b: &Data, budget: &mut Budget, depth: usize) -> Result<bool, String> {
    budget.step(depth)?;
    Ok(match (a, b) {
        (Data::Absent | Data::Nil, Data::Absent | Data::Nil) => true,
        (Data::Bool(a), Data::Bool(b)) => a == b,
        (Data::Int(a), Data::Int(b)) | (Data::Int64(a), Data::Int64(b)) => a == b,
        (Data::Uint(a), Data::Uint(b)) => a == b,
        (Data::Float(a), Data::Float(b)) => a == b,
        (Data::Text(a), Data::Text(b)) => a == b,
        (Data::Version(a), Data::Version(b)) => a == b,
        (Data::List(of, a), Data::List(other, b)) => {
            if of != other || a.len() != b.len() {
                return Ok(false);
            }
            for (a, b) in a.iter().zip(b.iter()) {
                if !equal(a, b, budget, depth + 1)? {
                    return Ok(false);
                }
            }
            true
        }
        (Data::Map(of, a), Data::Map(other, b)) => {
            let (a, b) = (a.borrow(), b.borrow());
            if of != other || a.len() != b.len() {
                return Ok(false);
            }
            for (key, value) in a.iter() {
                let Some(found) = b.get(key) else { return Ok(false) };
                if !equal(value, found, budget, depth + 1)? {
                    return Ok(false);
                }
            }
            true
        }
        _ => false,
    })
}

/// A copy that shares nothing with the original.
pub(super) fn deep_copy(data: &Data) -> Answer {
    copied(data, &mut Budget(SIZE_MAX), 0)
}

fn copied(data: &Data, budget: &mut Budget, depth: usize) -> Answer {
    budget.step(depth)?;
    Ok(match data {
        Data::List(of, list) => {
            let copies = list.iter().map(|element| copied(element, budget, depth + 1));
            Data::List(*of, Rc::new(copies.collect::<Result<_, _>>()?))
        }
        Data::Map(of, map) => {
            let map = map.borrow();
            let copies = map.iter().map(|(k, v)| Ok((k.clone(), copied(v, budget, depth + 1)?)));
            let copies = copies.collect::<Result<_, String>>()?;
            Data::Map(*of, Rc::new(std::cell::RefCell::new(copies)))
        }
        other => other.clone(),
    })
}

fn from_json(args: &[Data]) -> Answer {
    let value: Value = serde_json::from_str(text(args, 0)).map_err(|error| error.to_string())?;
    Ok(Data::from_json(&value))
}

#[derive(Clone, Copy, PartialEq)]
enum Style {
    Escaped,
    Raw,
    Pretty,
}

fn json(args: &[Data], style: Style) -> Answer {
    let value = to_json(any(args, 0), &mut Budget(SIZE_MAX / 16), 0)?;
    let written = match style {
        Style::Pretty => serde_json::to_string_pretty(&value),
        _ => serde_json::to_string(&value),
    };
    let mut written = written.map_err(|error| error.to_string())?;
    if style != Style::Raw {
        for (plain, escaped) in [("&", "\\u0026"), ("<", "\\u003c"), (">", "\\u003e")] {
            written = written.replace(plain, escaped);
        }
    }
    super::within(written.len())?;
    Ok(Data::text(written))
}

/// A value as JSON, numbers as Go encodes them.
fn to_json(data: &Data, budget: &mut Budget, depth: usize) -> Result<Value, String> {
    budget.step(depth)?;
    Ok(match data {
        Data::Absent | Data::Nil => Value::Null,
        Data::Bool(value) => Value::Bool(*value),
        Data::Int(number) | Data::Int64(number) => Value::from(*number),
        Data::Uint(number) => Value::from(*number),
        Data::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
            Value::from(*number as i64)
        }
        Data::Float(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
        Data::Text(text) => Value::from(&**text),
        Data::List(_, list) => {
            let values = list.iter().map(|element| to_json(element, budget, depth + 1));
            Value::Array(values.collect::<Result<_, _>>()?)
        }
        Data::Map(_, map) => {
            let mut object = Map::new();
            for (key, value) in map.borrow().iter() {
                object.insert(key.to_string(), to_json(value, budget, depth + 1)?);
            }
            Value::Object(object)
        }
        Data::Version(version) => Value::from(version.to_string()),
    })
}
