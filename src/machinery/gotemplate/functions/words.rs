//! sprig's functions on words and letter case. (sprig v3.3: strings.go; Masterminds/goutils v1.1;
//! huandu/xstrings v1.5)

use super::{Answer, Entry, Type, int, text, within};
use crate::machinery::gotemplate::data::Data;

const ONE: &[Type] = &[Type::Text];

pub(super) const TABLE: &[Entry] = &[
    ("title", ONE, None, |args| Ok(Data::text(per_word(text(args, 0), upper)))),
    ("untitle", ONE, None, |args| Ok(Data::text(per_word(text(args, 0), lower)))),
    ("swapcase", ONE, None, |args| Ok(Data::text(swapped(text(args, 0))))),
    ("nospace", ONE, None, |args| {
        Ok(Data::text(text(args, 0).split_whitespace().collect::<String>()))
    }),
    ("initials", ONE, None, |args| {
        let words = text(args, 0).split_whitespace();
        Ok(Data::text(words.filter_map(|word| word.chars().next()).collect::<String>()))
    }),
    ("snakecase", ONE, None, |args| Ok(Data::text(words(text(args, 0)).join("_")))),
    ("kebabcase", ONE, None, |args| Ok(Data::text(words(text(args, 0)).join("-")))),
    ("camelcase", ONE, None, |args| Ok(Data::text(pascal(text(args, 0))))),
    ("abbrev", &[Type::Int, Type::Text], None, |args| {
        Ok(Data::text(abbreviated(text(args, 1), 0, int(args, 0))))
    }),
    ("abbrevboth", &[Type::Int, Type::Int, Type::Text], None, |args| {
        Ok(Data::text(abbreviated(text(args, 2), int(args, 0), int(args, 1))))
    }),
    ("wrap", &[Type::Int, Type::Text], None, |args| {
        wrapped(text(args, 1), int(args, 0), "\n", false)
    }),
    ("wrapWith", &[Type::Int, Type::Text, Type::Text], None, |args| {
        wrapped(text(args, 2), int(args, 0), text(args, 1), true)
    }),
];

fn upper(c: char) -> String {
    c.to_uppercase().collect()
}

fn lower(c: char) -> String {
    c.to_lowercase().collect()
}

/// Changes the first letter of every word.
fn per_word(held: &str, change: fn(char) -> String) -> String {
    let mut starts = true;
    let mut out = String::with_capacity(held.len());
    for c in held.chars() {
        if starts && c.is_alphabetic() {
            out.push_str(&change(c))
        } else {
            out.push(c)
        }
        starts = c.is_whitespace() || (c.is_ascii_punctuation() && !matches!(c, '_' | '\''));
    }
    out
}

/// Upper to lower; lower to upper, which at the beginning of a word is title case.
fn swapped(held: &str) -> String {
    held.chars().map(|c| if c.is_uppercase() { lower(c) } else { upper(c) }).collect()
}

/// Words in lower case: parted by punctuation and where case changes; a number goes with the
/// letters in lower case that follow it, or else with the word before.
fn words(held: &str) -> Vec<String> {
    let chars: Vec<char> = held.chars().collect();
    let mut words: Vec<String> = vec![String::new()];
    let mut previous: Option<char> = None;
    for (at, &c) in chars.iter().enumerate() {
        if !c.is_alphanumeric() {
            if words.last().is_some_and(|word| !word.is_empty()) {
                words.push(String::new());
            }
            previous = None;
            continue;
        }
        let after = chars.get(at + 1).copied();
        let begins = previous.is_some_and(|p| {
            if c.is_numeric() {
                let rest = chars[at..].iter().find(|c| !c.is_numeric());
                !p.is_numeric()
                    && rest.is_some_and(|c| c.is_lowercase())
                    && !inside_number(&chars, at)
            } else if c.is_uppercase() {
                !p.is_uppercase() || after.is_some_and(char::is_lowercase)
            } else {
                false
            }
        });
        if begins {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push_str(&lower(c));
        }
        previous = Some(c);
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether the word before a number has begun with a number itself, as in `2m3s`.
fn inside_number(chars: &[char], at: usize) -> bool {
    let before = &chars[..at];
    let start =
        before.iter().rposition(|c| !(c.is_lowercase() || c.is_numeric())).map_or(0, |i| i + 1);
    before[start..].iter().any(|c| c.is_numeric())
}

fn pascal(held: &str) -> String {
    let parts = held.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let mut chars = part.chars();
            let first = chars.next().map(upper).unwrap_or_default();
            format!("{first}{}", chars.as_str())
        })
        .collect()
}

/// A window of a text with dots where something was left out.
fn abbreviated(held: &str, offset: i64, width: i64) -> String {
    let chars: Vec<char> = held.chars().collect();
    let length = i64::try_from(chars.len()).unwrap_or(i64::MAX);
    if width < 4 || (offset > 0 && width < 7) || width >= length {
        return held.to_owned();
    }
    let part = |start: i64, end: i64| -> String {
        let at = |number: i64| usize::try_from(number.clamp(0, length)).unwrap_or_default();
        chars.get(at(start)..at(end)).unwrap_or_default().iter().collect()
    };
    let mut offset = offset.clamp(0, length);
    if length - offset < width - 3 {
        offset = length - (width - 3);
    }
    if offset <= 4 {
        return format!("{}...", part(0, width - 3));
    }
    if offset + width - 3 < length {
        return format!("...{}", abbreviated(&part(offset, length), 0, width - 3));
    }
    format!("...{}", part(length - (width - 3), length))
}

/// Breaks lines at spaces; words that are too long only if that is wanted.
fn wrapped(held: &str, width: i64, line_break: &str, breaks_words: bool) -> Answer {
    let width = usize::try_from(width.max(1)).unwrap_or(usize::MAX);
    let chars: Vec<char> = held.chars().collect();
    within(chars.len().div_ceil(width).saturating_mul(line_break.len()) + held.len())?;
    let mut out = String::with_capacity(held.len());
    let mut at = 0;
    while chars.len() - at > width {
        if chars[at] == ' ' {
            at += 1;
            continue;
        }
        let window_end = (at + width + 1).min(chars.len());
        let space = chars[at..window_end].iter().rposition(|c| *c == ' ');
        let (end, next) = match space {
            Some(space) => (at + space, at + space + 1),
            None if breaks_words => (at + width, at + width),
            None => match chars[at + width..].iter().position(|c| *c == ' ') {
                Some(space) => (at + width + space, at + width + space + 1),
                None => break,
            },
        };
        out.extend(&chars[at..end]);
        out.push_str(line_break);
        at = next;
    }
    out.extend(&chars[at..]);
    Ok(Data::text(out))
}
