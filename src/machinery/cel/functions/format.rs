//! `string.format` (cel-go: ext/formatting.go) and named formats (kubernetes 1.36:
//! apiserver/pkg/cel/library/format.go).

use std::fmt::Write as _;

use super::{Builtin, Called, unfit};
use crate::machinery::cel::error::EvalError;
use crate::machinery::cel::library::{Format, Object};
use crate::machinery::cel::time;
use crate::machinery::cel::value::{List, Map, Val};

pub(super) const FUNCTIONS: &[(&str, Builtin)] = &[
    ("format", format),
    ("validate", validate),
    ("format.named", named),
    ("format.dns1123Label", constant),
    ("format.dns1123Subdomain", constant),
    ("format.dns1035Label", constant),
    ("format.qualifiedName", constant),
    ("format.dns1123LabelPrefix", constant),
    ("format.dns1123SubdomainPrefix", constant),
    ("format.dns1035LabelPrefix", constant),
    ("format.labelValue", constant),
    ("format.uri", constant),
    ("format.uuid", constant),
    ("format.byte", constant),
    ("format.date", constant),
    ("format.datetime", constant),
];

const PRECISION: usize = 6;
/// cel-go's bound of later versions; without one a short expression makes a huge string.
const PRECISION_MAX: usize = 100;
/// Deepest value that is shown.
const DEPTH_MAX: u32 = 64;

/// The shortest text that reads back as the number, as Go's `%g` without an exponent for usual
/// sizes.
pub(super) fn shortest(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let exponent = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    if (-5..21).contains(&exponent) {
        return value.to_string();
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

fn format<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::String(pattern), Val::List(list)] = args else { return unfit() };
    let mut out = String::new();
    let mut next = 0;
    let mut rest = pattern.chars();
    while let Some(character) = rest.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        let mut clause = rest.next().ok_or_else(|| EvalError::new("unexpected end of string"))?;
        if clause == '%' {
            out.push('%');
            continue;
        }
        let mut precision = PRECISION;
        if clause == '.' {
            precision = 0;
            loop {
                clause = rest
                    .next()
                    .ok_or_else(|| EvalError::new("could not find end of precision specifier"))?;
                let Some(digit) = clause.to_digit(10) else { break };
                precision = precision * 10 + digit as usize;
                if precision > PRECISION_MAX {
                    let message = format!("precision exceeds maximum: {PRECISION_MAX}");
                    return Err(EvalError::new(message));
                }
            }
        }
        let value = list
            .get(next)
            .ok_or_else(|| EvalError::new(format!("index {next} out of range")))??;
        next += 1;
        write_clause(&mut out, clause, precision, &value)?;
    }
    Ok(Val::text(&out))
}

fn write_clause(
    out: &mut String,
    clause: char,
    precision: usize,
    value: &Val<'_>,
) -> Result<(), EvalError> {
    let text = match clause {
        's' => show(value, DEPTH_MAX)?,
        'd' => match value {
            Val::Int(value) => value.to_string(),
            Val::Uint(value) => value.to_string(),
            other => {
                return Err(unfit_clause("decimal clause can only be used on integers", other));
            }
        },
        'f' => fixed(value, precision)?,
        'e' => scientific(value, precision)?,
        'b' => match value {
            Val::Int(value) if *value < 0 => format!("-{:b}", value.unsigned_abs()),
            Val::Int(value) => format!("{value:b}"),
            Val::Uint(value) => format!("{value:b}"),
            Val::Bool(value) => u8::from(*value).to_string(),
            other => {
                let rule = "only integers and bools can be formatted as binary";
                return Err(unfit_clause(rule, other));
            }
        },
        'x' => hex(value)?,
        'X' => hex(value)?.to_uppercase(),
        'o' => match value {
            Val::Int(value) if *value < 0 => format!("-{:o}", value.unsigned_abs()),
            Val::Int(value) => format!("{value:o}"),
            Val::Uint(value) => format!("{value:o}"),
            other => return Err(unfit_clause("octal clause can only be used on integers", other)),
        },
        other => {
            let message = format!("unrecognized formatting clause \"{other}\"");
            return Err(EvalError::new(format!("could not parse formatting clause: {message}")));
        }
    };
    out.push_str(&text);
    Ok(())
}

fn unfit_clause(rule: &str, value: &Val<'_>) -> EvalError {
    EvalError::new(format!("error during formatting: {rule}, was given {}", value.type_name()))
}

fn number(value: &Val<'_>, rule: &str) -> Result<f64, EvalError> {
    match value {
        Val::Double(value) => Ok(*value),
        Val::String(text) if matches!(&**text, "NaN" | "Infinity" | "-Infinity") => {
            text.parse().map_err(|_| EvalError::no_such_overload())
        }
        other => Err(unfit_clause(rule, other)),
    }
}

/// With the separators of American English, which cel-go prints.
fn fixed(value: &Val<'_>, precision: usize) -> Result<String, EvalError> {
    let value = number(value, "fixed-point clause can only be used on doubles")?;
    if !value.is_finite() {
        return Ok(shown_special(value));
    }
    let text = format!("{value:.precision$}");
    let (whole, fraction) = text.split_once('.').map_or((&*text, None), |(w, f)| (w, Some(f)));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut out = String::from(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(fraction) = fraction {
        // Writing to a string cannot fail.
        let _ = write!(out, ".{fraction}");
    }
    Ok(out)
}

fn shown_special(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN",
        value if value > 0.0 => "∞",
        _ => "-∞",
    }
    .to_owned()
}

fn scientific(value: &Val<'_>, precision: usize) -> Result<String, EvalError> {
    let value = number(value, "scientific clause can only be used on doubles")?;
    if !value.is_finite() {
        return Ok(shown_special(value));
    }
    let text = format!("{value:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(("", exponent), |rest| ("⁻", rest));
    const RAISED: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let padded = format!("{digits:0>2}");
    let raised: String =
        padded.bytes().map(|digit| RAISED[usize::from(digit - b'0') % 10]).collect();
    Ok(format!("{mantissa}\u{202f}×\u{202f}10{sign}{raised}"))
}

fn hex(value: &Val<'_>) -> Result<String, EvalError> {
    let bytes = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(match value {
        Val::Int(value) if *value < 0 => format!("-{:x}", value.unsigned_abs()),
        Val::Int(value) => format!("{value:x}"),
        Val::Uint(value) => format!("{value:x}"),
        Val::String(text) => bytes(text.as_bytes()),
        Val::Bytes(value) => bytes(value),
        other => {
            let rule = "only integers, byte buffers, and strings can be formatted as hex";
            return Err(unfit_clause(rule, other));
        }
    })
}

/// A value as `%s` shows it.
fn show(value: &Val<'_>, depth: u32) -> Result<String, EvalError> {
    Ok(match value {
        Val::Null => "null".to_owned(),
        Val::Bool(value) => value.to_string(),
        Val::Int(value) => value.to_string(),
        Val::Uint(value) => value.to_string(),
        Val::Double(value) => shortest(*value),
        Val::String(text) => text.to_string(),
        Val::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Val::Duration(value) => time::show_duration(*value),
        Val::Timestamp(value) => time::show_timestamp(*value),
        Val::Type(name) => name.to_string(),
        Val::List(list) => show_list(list, depth)?,
        Val::Map(map) => show_map(map, depth)?,
        Val::Optional(_) | Val::Object(_) | Val::Unknown(_) => {
            let rule = "string clause can only be used on strings, bools, bytes, ints, doubles, \
                        maps, lists, types, durations, and timestamps";
            return Err(unfit_clause(rule, value));
        }
    })
}

/// A value inside a list or a map.
fn show_inner(value: &Val<'_>, depth: u32) -> Result<String, EvalError> {
    let depth =
        depth.checked_sub(1).ok_or_else(|| EvalError::new("values are nested too deeply"))?;
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    Ok(match value {
        Val::String(text) => quoted(text),
        Val::Bytes(bytes) => format!("b{}", quoted(&String::from_utf8_lossy(bytes))),
        Val::Duration(value) => format!("duration(\"{}\")", time::show_duration(*value)),
        Val::Timestamp(value) => format!("timestamp(\"{}\")", time::show_timestamp(*value)),
        Val::Double(value) => format!("{value:.PRECISION$}"),
        other => show(other, depth)?,
    })
}

fn show_list(list: &List<'_>, depth: u32) -> Result<String, EvalError> {
    let shown: Result<Vec<String>, EvalError> =
        list.iter().map(|item| show_inner(&item?, depth)).collect();
    Ok(format!("[{}]", shown?.join(", ")))
}

fn show_map(map: &Map<'_>, depth: u32) -> Result<String, EvalError> {
    let mut pairs = Vec::new();
    for key in map.keys() {
        let Some(value) = map.get(&key) else { continue };
        pairs.push((show_inner(&key.into(), depth)?, show_inner(&value?, depth)?));
    }
    pairs.sort();
    let shown: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}:{value}")).collect();
    Ok(format!("{{{}}}", shown.join(", ")))
}

fn constant<'a>(name: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let format = name.strip_prefix("format.").and_then(Format::named);
    match (format, args) {
        (Some(format), []) => Ok(Val::object(Object::Format(format))),
        _ => unfit(),
    }
}

fn named<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::String(name)] = args else { return unfit() };
    Ok(match Format::named(name) {
        Some(format) => Val::some(Val::object(Object::Format(format))),
        None => Val::Optional(None),
    })
}

fn validate<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::Object(object), Val::String(text)] = args else { return unfit() };
    let Object::Format(format) = &**object else { return unfit() };
    let errors = format.validate(text);
    if errors.is_empty() {
        return Ok(Val::Optional(None));
    }
    let errors = errors.iter().map(|error| Val::text(error)).collect();
    Ok(Val::some(Val::list(errors)))
}
