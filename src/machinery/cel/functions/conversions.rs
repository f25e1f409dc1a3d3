//! Conversions between types, and parts of times (cel-go: common/types).

use super::{Builtin, Called, unfit};
use crate::machinery::cel::error::EvalError;
use crate::machinery::cel::time;
use crate::machinery::cel::value::Val;

pub(super) const FUNCTIONS: &[(&str, Builtin)] = &[
    ("bool", to_bool),
    ("bytes", to_bytes),
    ("double", to_double),
    ("duration", to_duration),
    ("dyn", to_dyn),
    ("int", to_int),
    ("string", to_string),
    ("timestamp", to_timestamp),
    ("type", type_of),
    ("uint", to_uint),
    ("getFullYear", part),
    ("getMonth", part),
    ("getDayOfYear", part),
    ("getDayOfMonth", part),
    ("getDate", part),
    ("getDayOfWeek", part),
    ("getHours", part),
    ("getMinutes", part),
    ("getSeconds", part),
    ("getMilliseconds", part),
];

fn unconvertible<'a>(from: &str, to: &str) -> Called<'a> {
    Err(EvalError::new(format!("type conversion error from '{from}' to '{to}'")))
}

fn range<'a>(kind: &str) -> Called<'a> {
    Err(EvalError::new(format!("{kind} overflow")))
}

fn to_bool<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    match args {
        [Val::Bool(value)] => Ok(Val::Bool(*value)),
        [Val::String(text)] => match &**text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Val::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Val::Bool(false)),
            _ => unconvertible("string", "bool"),
        },
        _ => unfit(),
    }
}

fn to_bytes<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    match args {
        [Val::Bytes(bytes)] => Ok(Val::Bytes(bytes.clone())),
        [Val::String(text)] => Ok(Val::Bytes(text.as_bytes().into())),
        _ => unfit(),
    }
}

fn to_double<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    match args {
        [Val::Double(value)] => Ok(Val::Double(*value)),
        [Val::Int(value)] => Ok(Val::Double(*value as f64)),
        [Val::Uint(value)] => Ok(Val::Double(*value as f64)),
        [Val::String(text)] => match text.parse() {
            Ok(value) => Ok(Val::Double(value)),
            Err(_) => unconvertible("string", "double"),
        },
        _ => unfit(),
    }
}

fn to_duration<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    match args {
        [Val::Duration(value)] => Ok(Val::Duration(*value)),
        [Val::Int(value)] => Ok(Val::Duration(*value)),
        [Val::String(text)] => time::parse_duration(text).map(Val::Duration),
        _ => unfit(),
    }
}

fn to_dyn<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    match args {
        [value] => Ok(value.clone()),
        _ => unfit(),
    }
}

fn to_int<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    match args {
        [Val::Int(value)] => Ok(Val::Int(*value)),
        [Val::Uint(value)] => match i64::try_from(*value) {
            Ok(value) => Ok(Val::Int(value)),
            Err(_) => range("integer"),
        },
        [Val::Double(value)]
            if *value > -9.223_372_036_854_775e18 && *value < 9.223_372_036_854_775e18 =>
        {
            Ok(Val::Int(*value as i64))
        }
        [Val::Double(_)] => range("integer"),
        [Val::String(text)] => match text.parse() {
            Ok(value) => Ok(Val::Int(value)),
            Err(_) => unconvertible("string", "int"),
        },
        [Val::Timestamp(value)] => Ok(Val::Int(value.as_second())),
        [Val::Duration(value)] => Ok(Val::Int(*value)),
        _ => unfit(),
    }
}

fn to_uint<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    match args {
        [Val::Uint(value)] => Ok(Val::Uint(*value)),
        [Val::Int(value)] => match u64::try_from(*value) {
            Ok(value) => Ok(Val::Uint(value)),
            Err(_) => range("unsigned integer"),
        },
        [Val::Double(value)] if *value >= 0.0 && *value < 1.844_674_407_370_955e19 => {
            Ok(Val::Uint(*value as u64))
        }
        [Val::Double(_)] => range("unsigned integer"),
        [Val::String(text)] => match text.parse() {
            Ok(value) => Ok(Val::Uint(value)),
            Err(_) => unconvertible("string", "uint"),
        },
        _ => unfit(),
    }
}

fn to_string<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let text = match args {
        [Val::String(text)] => return Ok(Val::String(text.clone())),
        [Val::Bool(value)] => value.to_string(),
        [Val::Int(value)] => value.to_string(),
        [Val::Uint(value)] => value.to_string(),
        [Val::Double(value)] => super::format::shortest(*value),
        [Val::Duration(value)] => time::show_duration(*value),
        [Val::Timestamp(value)] => time::show_timestamp(*value),
        [Val::Bytes(bytes)] => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => {
                return Err(EvalError::new("invalid UTF-8 in bytes, cannot convert to string"));
            }
        },
        [Val::Object(object)] => match object.to_text() {
            Some(text) => text,
            None => return unfit(),
        },
        _ => return unfit(),
    };
    Ok(Val::text(&text))
}

fn to_timestamp<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    match args {
        [Val::Timestamp(value)] => Ok(Val::Timestamp(*value)),
        [Val::Int(seconds)] => time::from_seconds(*seconds).map(Val::Timestamp),
        [Val::String(text)] => time::parse_timestamp(text).map(Val::Timestamp),
        _ => unfit(),
    }
}

fn type_of<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    match args {
        [value] => Ok(Val::Type(value.type_name().into())),
        _ => unfit(),
    }
}

fn part<'a>(name: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    match args {
        [Val::Timestamp(at)] => time::part(*at, name, "UTC").map(Val::Int),
        [Val::Timestamp(at), Val::String(zone)] => time::part(*at, name, zone).map(Val::Int),
        [Val::Duration(value)] => time::duration_part(*value, name).map(Val::Int),
        _ => unfit(),
    }
}
