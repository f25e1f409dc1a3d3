//! Strings and regular expressions (cel-go: common/types/string.go, ext/strings.go; kubernetes
//! 1.36: apiserver/pkg/cel/library/regex.go).

use std::cell::RefCell;

use regex::Regex;

use super::{Builtin, Called, unfit};
use crate::machinery::cel::error::EvalError;
use crate::machinery::cel::value::{List, Val};

pub(super) const FUNCTIONS: &[(&str, Builtin)] = &[
    ("contains", test),
    ("endsWith", test),
    ("startsWith", test),
    ("matches", matches),
    ("find", find),
    ("findAll", find_all),
    ("charAt", char_at),
    ("lowerAscii", ascii),
    ("upperAscii", ascii),
    ("trim", trim),
    ("replace", replace),
    ("split", split),
    ("substring", substring),
    ("join", join),
    ("strings.quote", quote),
];

/// Largest compiled regular expression.
const REGEX_SIZE_MAX: usize = 1 << 20;
/// Compiled expressions that are kept by a thread.
const REGEX_CACHE_MAX: usize = 64;

thread_local! {
    static REGEXES: RefCell<Vec<(Box<str>, Regex)>> = const { RefCell::new(Vec::new()) };
}

/// A compiled regular expression; its size is bounded, and recent ones are kept.
pub(in super::super) fn regex(pattern: &str) -> Result<Regex, EvalError> {
    let known = REGEXES.with_borrow(|cache| {
        cache.iter().find(|(known, _)| **known == *pattern).map(|(_, regex)| regex.clone())
    });
    if let Some(regex) = known {
        return Ok(regex);
    }
    let built = regex::RegexBuilder::new(pattern).size_limit(REGEX_SIZE_MAX).build();
    let regex = built.map_err(|error| {
        let detail = error.to_string();
        let detail = detail.lines().last().unwrap_or_default();
        let detail = detail.strip_prefix("error: ").unwrap_or(detail);
        EvalError::new(format!("error parsing regexp: {detail}: `{pattern}`"))
    })?;
    REGEXES.with_borrow_mut(|cache| {
        if cache.len() >= REGEX_CACHE_MAX {
            cache.remove(0);
        }
        cache.push((pattern.into(), regex.clone()));
    });
    Ok(regex)
}

fn test<'a>(name: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::String(text), Val::String(part)] = args else { return unfit() };
    let part: &str = part;
    Ok(Val::Bool(match name {
        "contains" => text.contains(part),
        "endsWith" => text.ends_with(part),
        _ => text.starts_with(part),
    }))
}

fn matches<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::String(text), Val::String(pattern)] = args else { return unfit() };
    Ok(Val::Bool(regex(pattern)?.is_match(text)))
}

fn find<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::String(text), Val::String(pattern)] = args else { return unfit() };
    let regex = illegal(pattern)?;
    Ok(Val::text(regex.find(text).map_or("", |found| found.as_str())))
}

fn find_all<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let (text, pattern, limit) = match args {
        [Val::String(text), Val::String(pattern)] => (text, pattern, usize::MAX),
        [Val::String(text), Val::String(pattern), Val::Int(limit)] => {
            (text, pattern, usize::try_from(*limit).unwrap_or(usize::MAX))
        }
        _ => return unfit(),
    };
    let regex = illegal(pattern)?;
    let found = regex.find_iter(text).take(limit).map(|found| Val::text(found.as_str()));
    Ok(Val::list(found.collect()))
}

fn illegal(pattern: &str) -> Result<Regex, EvalError> {
    regex(pattern).map_err(|error| error.map(|message| format!("Illegal regex: {message}")))
}

fn char_at<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::String(text), Val::Int(index)] = args else { return unfit() };
    let length = text.chars().count() as i64;
    if *index < 0 || *index > length {
        return Err(out_of_range(*index));
    }
    let found = text.chars().nth(*index as usize);
    Ok(Val::text(&found.map(String::from).unwrap_or_default()))
}

fn out_of_range(index: i64) -> EvalError {
    EvalError::new(format!("index out of range: {index}"))
}

/// `indexOf` and `lastIndexOf` of strings, in characters.
pub(super) fn index_of<'a>(name: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let (text, part, offset) = match args {
        [Val::String(text), Val::String(part)] => (text, part, None),
        [Val::String(text), Val::String(part), Val::Int(offset)] => (text, part, Some(*offset)),
        _ => return unfit(),
    };
    let text: Vec<char> = text.chars().collect();
    let part: Vec<char> = part.chars().collect();
    let last = name == "lastIndexOf";
    let end = text.len() as i64;
    let offset = match offset {
        Some(offset) if offset < 0 || offset > end || (offset == end && end > 0) => {
            return Err(out_of_range(offset));
        }
        Some(offset) => offset as usize,
        None if last => text.len(),
        None => 0,
    };
    if part.is_empty() {
        return Ok(Val::Int(offset as i64));
    }
    let begins = |at: &usize| text[*at..].starts_with(&part);
    let starts = text.len().saturating_sub(part.len().saturating_sub(1));
    let found = if last {
        (0..starts.min(offset + 1)).rev().find(begins)
    } else {
        (offset..starts.max(offset)).find(begins)
    };
    Ok(Val::Int(found.map_or(-1, |at| at as i64)))
}

fn ascii<'a>(name: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::String(text)] = args else { return unfit() };
    Ok(Val::text(&match name {
        "lowerAscii" => text.to_ascii_lowercase(),
        _ => text.to_ascii_uppercase(),
    }))
}

fn trim<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::String(text)] = args else { return unfit() };
    Ok(Val::text(text.trim()))
}

fn replace<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let (text, old, new, limit) = match args {
        [Val::String(text), Val::String(old), Val::String(new)] => (text, old, new, -1),
        [Val::String(text), Val::String(old), Val::String(new), Val::Int(limit)] => {
            (text, old, new, *limit)
        }
        _ => return unfit(),
    };
    let (old, new): (&str, &str) = (old, new);
    let longest = (text.len() + 1).saturating_mul(new.len()).saturating_add(text.len());
    if longest > MADE_MAX && old.is_empty() {
        return Err(too_long());
    }
    let replaced = match usize::try_from(limit) {
        Ok(limit) => text.replacen(old, new, limit),
        Err(_) => text.replace(old, new),
    };
    Ok(Val::text(&replaced))
}

/// Longest string that a function makes of shorter ones.
pub(super) const MADE_MAX: usize = 64 << 20;

pub(super) fn too_long() -> EvalError {
    EvalError::new("the string is too long")
}

fn split<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let (text, separator, limit) = match args {
        [Val::String(text), Val::String(separator)] => (text, separator, -1),
        [Val::String(text), Val::String(separator), Val::Int(limit)] => (text, separator, *limit),
        _ => return unfit(),
    };
    let separator: &str = separator;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let parts: Vec<&str> = match separator {
        _ if limit == 0 => Vec::new(),
        "" => characters(text, limit),
        separator => text.splitn(limit, separator).collect(),
    };
    Ok(Val::list(parts.into_iter().map(Val::text).collect()))
}

fn characters(text: &str, limit: usize) -> Vec<&str> {
    let mut starts: Vec<usize> = text.char_indices().map(|(at, _)| at).take(limit).collect();
    starts.push(text.len());
    starts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect()
}

fn substring<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let (text, start, end) = match args {
        [Val::String(text), Val::Int(start)] => (text, *start, None),
        [Val::String(text), Val::Int(start), Val::Int(end)] => (text, *start, Some(*end)),
        _ => return unfit(),
    };
    let length = text.chars().count() as i64;
    let last = end.unwrap_or(length);
    if end.is_some() && start > last {
        let message = format!("invalid substring range. start: {start}, end: {last}");
        return Err(EvalError::new(message));
    }
    if let Some(index) = [start, last].into_iter().find(|at| !(0..=length).contains(at)) {
        return Err(out_of_range(index));
    }
    let part: String = text.chars().skip(start as usize).take((last - start) as usize).collect();
    Ok(Val::text(&part))
}

fn join<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let (list, separator) = match args {
        [Val::List(list)] => (list, String::new()),
        [Val::List(list), Val::String(separator)] => (list, separator.to_string()),
        _ => return unfit(),
    };
    join_list(list, &separator).map(|joined| Val::text(&joined))
}

fn join_list(list: &List<'_>, separator: &str) -> Result<String, EvalError> {
    let mut joined = String::new();
    for (number, item) in list.iter().enumerate() {
        let item = item?;
        let Some(text) = item.as_str() else {
            return Err(EvalError::new(format!("join: invalid input: {}", item.type_name())));
        };
        if number > 0 {
            joined.push_str(separator);
        }
        joined.push_str(text);
        if joined.len() > MADE_MAX {
            return Err(too_long());
        }
    }
    Ok(joined)
}

fn quote<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::String(text)] = args else { return unfit() };
    let mut quoted = String::from("\"");
    for character in text.chars() {
        let escape = match character {
            '\u{7}' => "\\a",
            '\u{8}' => "\\b",
            '\u{c}' => "\\f",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\u{b}' => "\\v",
            '\\' => "\\\\",
            '"' => "\\\"",
            plain => {
                quoted.push(plain);
                continue;
            }
        };
        quoted.push_str(escape);
    }
    quoted.push('"');
    Ok(Val::text(&quoted))
}
