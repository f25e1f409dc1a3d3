//! Go's own functions but `and` and `or`, which do not evaluate all their arguments.

use super::{Answer, Entry, SIZE_MAX, Type, any, text};
use crate::machinery::gotemplate::data::{Data, Elements};
use crate::machinery::gotemplate::print::{self, Output};

pub(super) const TABLE: &[Entry] = &[
    // Evaluated where calls are; here for their names.
    ("and", &[Type::Any], Some(Type::Any), not_called),
    ("or", &[Type::Any], Some(Type::Any), not_called),
    ("call", &[Type::Any], Some(Type::Any), call),
    ("html", &[], Some(Type::Any), |args| Ok(Data::text(escape_html(&shown(args)?)))),
    ("index", &[Type::Any], Some(Type::Any), index),
    ("js", &[], Some(Type::Any), |args| Ok(Data::text(escape_js(&shown(args)?)))),
    ("len", &[Type::Any], None, length),
    ("not", &[Type::Any], None, |args| Ok(Data::Bool(!any(args, 0).is_true()))),
    ("print", &[], Some(Type::Any), |args| Ok(Data::text(shown(args)?))),
    ("printf", &[Type::Text], Some(Type::Any), printf),
    ("println", &[], Some(Type::Any), println),
    ("slice", &[Type::Any], Some(Type::Any), slice),
    ("urlquery", &[], Some(Type::Any), |args| Ok(Data::text(escape_query(&shown(args)?)))),
    ("eq", &[Type::Any], Some(Type::Any), |args| equal(args).map(Data::Bool)),
    ("ne", &[Type::Any, Type::Any], None, |args| equal(args).map(|is| Data::Bool(!is))),
    ("lt", &[Type::Any, Type::Any], None, |args| less(args).map(Data::Bool)),
    ("le", &[Type::Any, Type::Any], None, |args| at_most(args).map(Data::Bool)),
    ("gt", &[Type::Any, Type::Any], None, |args| at_most(args).map(|is| Data::Bool(!is))),
    ("ge", &[Type::Any, Type::Any], None, |args| less(args).map(|is| Data::Bool(!is))),
];

fn not_called(_: &[Data]) -> Answer {
    Ok(Data::Nil)
}

fn call(args: &[Data]) -> Answer {
    match any(args, 0) {
        data if data.is_nil() => Err("call of nil".to_owned()),
        data => Err(format!("non-function of type {}", data.type_name())),
    }
}

/// `fmt.Sprint` of the arguments.
fn shown(args: &[Data]) -> Result<String, String> {
    let mut out = Output::new(SIZE_MAX);
    print::sprint(&mut out, args);
    out.finish()
}

fn printf(args: &[Data]) -> Answer {
    let mut out = Output::new(SIZE_MAX);
    print::sprintf(&mut out, text(args, 0), args.get(1..).unwrap_or_default());
    out.finish().map(Data::text)
}

fn println(args: &[Data]) -> Answer {
    let mut out = Output::new(SIZE_MAX);
    print::sprintln(&mut out, args);
    out.finish().map(Data::text)
}

fn index(args: &[Data]) -> Answer {
    let Some((item, indices)) = args.split_first() else { return Ok(Data::Nil) };
    if item.is_nil() {
        return Err("index of untyped nil".to_owned());
    }
    let mut item = item.clone();
    for index in indices {
        item = element(&item, index)?;
    }
    Ok(item)
}

fn element(item: &Data, index: &Data) -> Answer {
    let position = |length: usize| match index {
        Data::Int(_) | Data::Int64(_) | Data::Uint(_) => {
            let number = whole(index);
            usize::try_from(number)
                .ok()
                .filter(|at| *at < length)
                .ok_or_else(|| format!("index out of range: {number}"))
        }
        index if index.is_nil() => Err("cannot index slice/array with nil".to_owned()),
        index => Err(format!("cannot index slice/array with type {}", index.type_name())),
    };
    match item {
        data if data.is_nil() => Err("index of nil pointer".to_owned()),
        Data::List(_, list) => Ok(list[position(list.len())?].clone()),
        Data::Text(text) => Ok(Data::Int(i64::from(text.as_bytes()[position(text.len())?]))),
        Data::Map(elements, map) => {
            let Data::Text(key) = index else {
                return Err(if index.is_nil() {
                    "value is nil; should be of type string".to_owned()
                } else {
                    format!("value has type {}; should be string", index.type_name())
                });
            };
            let zero = if *elements == Elements::Text { Data::text("") } else { Data::Nil };
            Ok(map.borrow().get(key).cloned().unwrap_or(zero))
        }
        other => Err(format!("can't index item of type {}", other.type_name())),
    }
}

/// Go's `slice`: of a text by bytes, of a list by elements; one to three indices.
fn slice(args: &[Data]) -> Answer {
    let Some((item, indices)) = args.split_first() else { return Ok(Data::Nil) };
    if item.is_nil() {
        return Err("slice of untyped nil".to_owned());
    }
    if indices.len() > 3 {
        return Err(format!("too many slice indexes: {}", indices.len()));
    }
    let length = match item {
        Data::Text(_) if indices.len() == 3 => {
            return Err("cannot 3-index slice a string".to_owned());
        }
        Data::Text(text) => text.len(),
        Data::List(_, list) => list.len(),
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    let mut bounds = [0, length, length];
    for (bound, index) in bounds.iter_mut().zip(indices) {
        *bound = match index {
            Data::Int(_) | Data::Int64(_) | Data::Uint(_) => {
                let number = whole(index);
                usize::try_from(number)
                    .ok()
                    .filter(|at| *at <= length)
                    .ok_or_else(|| format!("index out of range: {number}"))?
            }
            index if index.is_nil() => {
                return Err("cannot index slice/array with nil".to_owned());
            }
            index => {
                let type_name = index.type_name();
                return Err(format!("cannot index slice/array with type {type_name}"));
            }
        };
    }
    let [start, end, capacity] = bounds;
    for (low, high) in [(start, end), (end, capacity)] {
        if low > high {
            return Err(format!("invalid slice index: {low} > {high}"));
        }
    }
    Ok(match item {
        Data::Text(text) => {
            Data::text(String::from_utf8_lossy(&text.as_bytes()[start..end]).as_ref())
        }
        Data::List(of, list) => {
            Data::List(*of, std::rc::Rc::new(list[start..end].iter().cloned().collect()))
        }
        other => other.clone(),
    })
}

fn whole(data: &Data) -> i64 {
    match data {
        Data::Int(number) | Data::Int64(number) => *number,
        Data::Uint(number) => i64::try_from(*number).unwrap_or(i64::MAX),
        _ => 0,
    }
}

fn length(args: &[Data]) -> Answer {
    let length = match any(args, 0) {
        Data::Text(text) => text.len(),
        Data::List(_, list) => list.len(),
        Data::Map(_, map) => map.borrow().len(),
        data if data.is_nil() => return Err("len of nil pointer".to_owned()),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(Data::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

const INCOMPATIBLE: &str = "incompatible types for comparison";
const WRONG_TYPE: &str = "invalid type for comparison";

/// Types that can be compared.
#[derive(PartialEq)]
enum Basic<'a> {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text(&'a str),
}

fn basic(data: &Data) -> Option<Basic<'_>> {
    match data {
        Data::Bool(value) => Some(Basic::Bool(*value)),
        Data::Int(number) | Data::Int64(number) => Some(Basic::Int(*number)),
        Data::Uint(number) => Some(Basic::Uint(*number)),
        Data::Float(number) => Some(Basic::Float(*number)),
        Data::Text(text) => Some(Basic::Text(text)),
        _ => None,
    }
}

/// Whether the first argument equals one of the others.
fn equal(args: &[Data]) -> Result<bool, String> {
    let Some((first, others)) = args.split_first() else { return Ok(false) };
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        if equals(first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equals(first: &Data, other: &Data) -> Result<bool, String> {
    let one_is_nil = first.is_nil() || other.is_nil();
    match (basic(first), basic(other)) {
        (Some(Basic::Int(a)), Some(Basic::Uint(b))) => Ok(u64::try_from(a) == Ok(b)),
        (Some(Basic::Uint(a)), Some(Basic::Int(b))) => Ok(u64::try_from(b) == Ok(a)),
        (Some(a), Some(b)) if std::mem::discriminant(&a) == std::mem::discriminant(&b) => {
            Ok(a == b)
        }
        (None, None) if one_is_nil => Ok(first.is_nil() && other.is_nil()),
        (None, None) => {
            let described = |data: &Data| {
                let mut out = Output::new(SIZE_MAX);
                print::value(&mut out, data);
                out.finish().map(|text| format!("{text}: {}", data.type_name()))
            };
            if first.type_name() == other.type_name() {
                return Err(format!("non-comparable type {}", described(first)?));
            }
            let (first, other) = (described(first)?, described(other)?);
            Err(format!("non-comparable types {first}, {other}"))
        }
        _ if one_is_nil => Ok(false),
        _ => Err(INCOMPATIBLE.to_owned()),
    }
}

fn less(args: &[Data]) -> Result<bool, String> {
    let (Some(first), Some(second)) = (basic(any(args, 0)), basic(any(args, 1))) else {
        return Err(WRONG_TYPE.to_owned());
    };
    match (first, second) {
        (Basic::Int(a), Basic::Int(b)) => Ok(a < b),
        (Basic::Uint(a), Basic::Uint(b)) => Ok(a < b),
        (Basic::Int(a), Basic::Uint(b)) => Ok(u64::try_from(a).is_ok_and(|a| a < b) || a < 0),
        (Basic::Uint(a), Basic::Int(b)) => Ok(u64::try_from(b).is_ok_and(|b| a < b)),
        (Basic::Float(a), Basic::Float(b)) => Ok(a < b),
        (Basic::Text(a), Basic::Text(b)) => Ok(a < b),
        (Basic::Bool(_), Basic::Bool(_)) => Err(WRONG_TYPE.to_owned()),
        _ => Err(INCOMPATIBLE.to_owned()),
    }
}

fn at_most(args: &[Data]) -> Result<bool, String> {
    Ok(less(args)? || equal(args)?)
}

fn escape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\0' => out.push('\u{fffd}'),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    out
}

fn escape_js(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' => out.push_str("\\u003C"),
            '>' => out.push_str("\\u003E"),
            '&' => out.push_str("\\u0026"),
            '=' => out.push_str("\\u003D"),
            c if c < ' ' || (!c.is_ascii() && c.is_control()) => {
                out.push_str(&format!("\\u{:04X}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out
}

fn escape_query(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
