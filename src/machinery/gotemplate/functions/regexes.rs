//! sprig's functions on regular expressions. (sprig v3.3: regex.go)

use regex::{Regex, RegexBuilder};

use super::{Answer, Entry, Type, charge, int, text, within};
use crate::machinery::gotemplate::data::Data;
use crate::machinery::schema::go_regex;

/// Work of compiling an expression.
const COMPILATION: usize = 100_000;
/// Bytes of an expression.
const PATTERN_MAX: usize = 10_000;

const TWO: &[Type] = &[Type::Text, Type::Text];
const REPLACE: &[Type] = &[Type::Text, Type::Text, Type::Text];
const COUNT: &[Type] = &[Type::Text, Type::Text, Type::Int];

pub(super) const TABLE: &[Entry] = &[
    ("regexMatch", TWO, None, |args| {
        Ok(Data::Bool(compiled(args, false).is_ok_and(|regex| regex.is_match(text(args, 1)))))
    }),
    ("mustRegexMatch", TWO, None, |args| {
        Ok(Data::Bool(compiled(args, false)?.is_match(text(args, 1))))
    }),
    ("regexFind", TWO, None, |args| find(args, true)),
    ("mustRegexFind", TWO, None, |args| find(args, false)),
    ("regexFindAll", COUNT, None, |args| find_all(args, true)),
    ("mustRegexFindAll", COUNT, None, |args| find_all(args, false)),
    ("regexReplaceAll", REPLACE, None, |args| replace(args, true)),
    ("mustRegexReplaceAll", REPLACE, None, |args| replace(args, false)),
    ("regexReplaceAllLiteral", REPLACE, None, |args| replace_literally(args, true)),
    ("mustRegexReplaceAllLiteral", REPLACE, None, |args| replace_literally(args, false)),
    ("regexSplit", COUNT, None, |args| split(args, true)),
    ("mustRegexSplit", COUNT, None, |args| split(args, false)),
];

/// The first argument as an expression; functions that panic upstream say so in their error.
fn compiled(args: &[Data], panics: bool) -> Result<Regex, String> {
    let pattern = text(args, 0);
    charge(COMPILATION)?;
    if pattern.len() > PATTERN_MAX {
        return Err("error parsing regexp: expression too large".to_owned());
    }
    let fault = match go_regex::error(pattern) {
        Some(fault) => fault,
        None => {
            let built = RegexBuilder::new(&go_regex::to_rust(pattern)).size_limit(1 << 20).build();
            match built {
                Ok(regex) => return Ok(regex),
                Err(_) => format!("error parsing regexp: expression too large: `{pattern}`"),
            }
        }
    };
    Err(if panics { format!("regexp: Compile(`{pattern}`): {fault}") } else { fault })
}

fn find(args: &[Data], panics: bool) -> Answer {
    let regex = compiled(args, panics)?;
    Ok(Data::text(regex.find(text(args, 1)).map_or("", |found| found.as_str())))
}

fn find_all(args: &[Data], panics: bool) -> Answer {
    let regex = compiled(args, panics)?;
    let count = usize::try_from(int(args, 2)).unwrap_or(usize::MAX);
    let found = regex.find_iter(text(args, 1)).take(count);
    Ok(Data::texts(found.map(|found| found.as_str().to_owned())))
}

fn replace(args: &[Data], panics: bool) -> Answer {
    let regex = compiled(args, panics)?;
    let (held, template) = (text(args, 1), text(args, 2));
    let places = regex.find_iter(held).count();
    // What a replacement may grow to: its own text and every group that it names.
    let groups = template.matches('$').count().saturating_mul(held.len());
    within(places.saturating_mul(template.len() + groups).saturating_add(held.len()))?;
    Ok(Data::text(regex.replace_all(held, template)))
}

fn replace_literally(args: &[Data], panics: bool) -> Answer {
    let regex = compiled(args, panics)?;
    let (held, template) = (text(args, 1), text(args, 2));
    let places = regex.find_iter(held).count();
    within(places.saturating_mul(template.len()).saturating_add(held.len()))?;
    Ok(Data::text(regex.replace_all(held, regex::NoExpand(template))))
}

fn split(args: &[Data], panics: bool) -> Answer {
    let regex = compiled(args, panics)?;
    let held = text(args, 1);
    let count = int(args, 2);
    if count == 0 {
        return Ok(Data::texts([]));
    }
    let limit = usize::try_from(count).unwrap_or(usize::MAX);
    Ok(Data::texts(regex.splitn(held, limit).map(str::to_owned)))
}
