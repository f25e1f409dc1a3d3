//! sprig's functions on texts. (sprig v3.3: strings.go, functions.go)

use std::cell::RefCell;
use std::rc::Rc;

use super::values::to_text;
use super::{Answer, Entry, Type, any, int, text, within};
use crate::machinery::gotemplate::data::{Data, Elements};
use crate::machinery::status::quote as quoted;

const ONE: &[Type] = &[Type::Text];
const TWO: &[Type] = &[Type::Text, Type::Text];
const COUNT: &[Type] = &[Type::Int, Type::Text];

pub(super) const TABLE: &[Entry] = &[
    ("trim", ONE, None, |args| Ok(Data::text(text(args, 0).trim()))),
    ("upper", ONE, None, |args| Ok(Data::text(text(args, 0).to_uppercase()))),
    ("lower", ONE, None, |args| Ok(Data::text(text(args, 0).to_lowercase()))),
    ("trimAll", TWO, None, trim_all),
    ("trimall", TWO, None, trim_all),
    ("trimSuffix", TWO, None, |args| {
        let held = text(args, 1);
        Ok(Data::text(held.strip_suffix(text(args, 0)).unwrap_or(held)))
    }),
    ("trimPrefix", TWO, None, |args| {
        let held = text(args, 1);
        Ok(Data::text(held.strip_prefix(text(args, 0)).unwrap_or(held)))
    }),
    ("contains", TWO, None, |args| Ok(Data::Bool(text(args, 1).contains(text(args, 0))))),
    ("hasPrefix", TWO, None, |args| Ok(Data::Bool(text(args, 1).starts_with(text(args, 0))))),
    ("hasSuffix", TWO, None, |args| Ok(Data::Bool(text(args, 1).ends_with(text(args, 0))))),
    ("repeat", COUNT, None, repeat),
    ("substr", &[Type::Int, Type::Int, Type::Text], None, substring),
    ("trunc", COUNT, None, truncate),
    ("quote", &[], Some(Type::Any), |args| {
        listed(args, |arg| to_text(arg).map(|text| quoted(&text)))
    }),
    ("squote", &[], Some(Type::Any), |args| {
        listed(args, |arg| to_text(arg).map(|text| format!("'{text}'")))
    }),
    ("cat", &[], Some(Type::Any), |args| listed(args, to_text)),
    ("indent", COUNT, None, |args| indent(args).map(Data::text)),
    ("nindent", COUNT, None, |args| Ok(Data::text(format!("\n{}", indent(args)?)))),
    ("replace", &[Type::Text, Type::Text, Type::Text], None, replace),
    ("plural", &[Type::Text, Type::Text, Type::Int], None, |args| {
        Ok(Data::text(text(args, if int(args, 2) == 1 { 0 } else { 1 })))
    }),
    ("split", TWO, None, |args| Ok(numbered(split(text(args, 1), text(args, 0), -1)))),
    ("splitn", &[Type::Text, Type::Int, Type::Text], None, |args| {
        Ok(numbered(split(text(args, 2), text(args, 0), int(args, 1))))
    }),
    ("splitList", TWO, None, |args| Ok(Data::texts(split(text(args, 1), text(args, 0), -1)))),
    ("regexQuoteMeta", ONE, None, |args| Ok(Data::text(quote_meta(text(args, 0))))),
    ("duration", &[Type::Any], None, duration),
    ("durationRound", &[Type::Any], None, duration_round),
];

fn trim_all(args: &[Data]) -> Answer {
    let cut = text(args, 0);
    Ok(Data::text(text(args, 1).trim_matches(|c| cut.contains(c))))
}

fn repeat(args: &[Data]) -> Answer {
    let held = text(args, 1);
    let Ok(count) = usize::try_from(int(args, 0)) else {
        return Err("strings: negative Repeat count".to_owned());
    };
    within(held.len().saturating_mul(count))?;
    Ok(Data::text(held.repeat(count)))
}

/// Part of a text by bytes; half characters at its ends are lost.
fn bytes(held: &str, start: usize, end: usize) -> String {
    String::from_utf8_lossy(held.as_bytes().get(start..end).unwrap_or_default()).into_owned()
}

fn substring(args: &[Data]) -> Answer {
    let (start, end, held) = (int(args, 0), int(args, 1), text(args, 2));
    let length = i64::try_from(held.len()).unwrap_or(i64::MAX);
    let out_of_range = |what: String| format!("runtime error: slice bounds out of range {what}");
    let (start, end) = if start < 0 {
        if end < 0 {
            return Err(out_of_range(format!("[:{end}]")));
        }
        if end > length {
            return Err(out_of_range(format!("[:{end}] with length {length}")));
        }
        (0, end)
    } else if end < 0 || end > length {
        (start, length)
    } else {
        (start, end)
    };
    if start > end {
        return Err(out_of_range(format!("[{start}:{end}]")));
    }
    let at = |number: i64| usize::try_from(number).unwrap_or_default();
    Ok(Data::text(bytes(held, at(start), at(end))))
}

fn truncate(args: &[Data]) -> Answer {
    let (count, held) = (int(args, 0), text(args, 1));
    let size = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if size >= held.len() {
        return Ok(Data::text(held));
    }
    let (start, end) = if count < 0 { (held.len() - size, held.len()) } else { (0, size) };
    Ok(Data::text(bytes(held, start, end)))
}

/// Arguments that are not nil, with spaces between them.
fn listed(args: &[Data], show: fn(&Data) -> Result<String, String>) -> Answer {
    let mut size = 0;
    let mut shown = Vec::new();
    for arg in args.iter().filter(|arg| !arg.is_nil()) {
        let text = show(arg)?;
        size += text.len() + 1;
        within(size)?;
        shown.push(text);
    }
    Ok(Data::text(shown.join(" ")))
}

fn indent(args: &[Data]) -> Result<String, String> {
    let (count, held) = (int(args, 0), text(args, 1));
    let Ok(count) = usize::try_from(count) else {
        return Err("strings: negative Repeat count".to_owned());
    };
    let lines = held.matches('\n').count() + 1;
    within(count.saturating_mul(lines).saturating_add(held.len()))?;
    let pad = " ".repeat(count);
    Ok(format!("{pad}{}", held.replace('\n', &format!("\n{pad}"))))
}

fn replace(args: &[Data]) -> Answer {
    let (old, new, held) = (text(args, 0), text(args, 1), text(args, 2));
    let places = held.matches(old).count();
    within(places.saturating_mul(new.len()).saturating_add(held.len()))?;
    Ok(Data::text(held.replace(old, new)))
}

/// `strings.SplitN`: by an empty separator, single characters; at most `count` parts unless that
/// is negative.
fn split(held: &str, separator: &str, count: i64) -> Vec<String> {
    let limit = usize::try_from(count).unwrap_or(usize::MAX);
    if limit == 0 {
        return Vec::new();
    }
    if !separator.is_empty() {
        return held.splitn(limit, separator).map(str::to_owned).collect();
    }
    let mut parts = Vec::new();
    let mut rest = held;
    while let Some(c) = rest.chars().next() {
        if parts.len() + 1 == limit {
            parts.push(rest.to_owned());
            break;
        }
        parts.push(c.to_string());
        rest = &rest[c.len_utf8()..];
    }
    parts
}

/// `{_0: ..., _1: ...}`
fn numbered(parts: Vec<String>) -> Data {
    let entries = parts.into_iter().enumerate();
    let map = entries.map(|(at, part)| (format!("_{at}").into(), Data::text(part))).collect();
    Data::Map(Elements::Text, Rc::new(RefCell::new(map)))
}

fn quote_meta(held: &str) -> String {
    let mut out = String::with_capacity(held.len());
    for c in held.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Seconds as a Go duration.
fn duration(args: &[Data]) -> Answer {
    let seconds = match any(args, 0) {
        Data::Text(text) => text.parse().unwrap_or(0i64),
        Data::Int64(number) => *number,
        _ => 0,
    };
    let total = seconds.unsigned_abs();
    let sign = if seconds < 0 { "-" } else { "" };
    let (hours, minutes, rest) = (total / 3600, total / 60 % 60, total % 60);
    Ok(Data::text(match (hours, minutes) {
        (0, 0) => format!("{sign}{rest}s"),
        (0, minutes) => format!("{sign}{minutes}m{rest}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{rest}s"),
    }))
}

/// A duration in its largest unit.
fn duration_round(args: &[Data]) -> Answer {
    let nanoseconds = match any(args, 0) {
        Data::Text(text) => crate::machinery::duration::parse_nanoseconds(text).unwrap_or_default(),
        Data::Int64(number) => *number,
        _ => 0,
    };
    let seconds = nanoseconds.unsigned_abs() as f64 / 1e9;
    const UNITS: [(f64, &str); 6] = [
        (31_536_000.0, "y"),
        (2_592_000.0, "mo"),
        (86_400.0, "d"),
        (3600.0, "h"),
        (60.0, "m"),
        (1.0, "s"),
    ];
    let unit = UNITS.iter().find(|(length, _)| seconds > *length);
    Ok(Data::text(
        unit.map_or("0s".to_owned(), |(length, name)| {
            format!("{}{name}", (seconds / length).floor())
        }),
    ))
}
