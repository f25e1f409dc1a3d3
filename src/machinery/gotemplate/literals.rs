//! Strings and numbers as Go writes them. (Go 1.26: strconv; text/template/parse/node.go)

use super::node::Number;
use crate::machinery::status::quote;

/// What a quoted or raw string means.
pub(super) fn unquote(text: &str) -> Option<String> {
    if let Some(raw) = text.strip_prefix('`') {
        return Some(raw.strip_suffix('`')?.replace('\r', ""));
    }
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut chars = inner.chars();
    let mut out = String::with_capacity(inner.len());
    while !chars.as_str().is_empty() {
        out.push(character(&mut chars, '"')?);
    }
    Some(out)
}

/// What a character constant means.
pub(super) fn unquote_char(text: &str) -> Option<char> {
    let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
    let mut chars = inner.chars();
    let c = character(&mut chars, '\'')?;
    chars.as_str().is_empty().then_some(c)
}

/// One character or escape sequence. Single bytes that are no text on their own become the
/// replacement character.
fn character(chars: &mut std::str::Chars<'_>, quote: char) -> Option<char> {
    let c = chars.next()?;
    if c != '\\' {
        return Some(c);
    }
    let escape = chars.next()?;
    let (digits, radix) = match escape {
        'a' => return Some('\x07'),
        'b' => return Some('\x08'),
        'f' => return Some('\x0c'),
        'n' => return Some('\n'),
        'r' => return Some('\r'),
        't' => return Some('\t'),
        'v' => return Some('\x0b'),
        '\\' => return Some('\\'),
        c @ ('\'' | '"') => return (c == quote).then_some(c),
        'x' => (2, 16),
        'u' => (4, 16),
        'U' => (8, 16),
        '0'..='7' => (2, 8),
        _ => return None,
    };
    let mut value = if radix == 8 { escape.to_digit(8)? } else { 0 };
    for _ in 0..digits {
        value = value.checked_mul(radix)?.checked_add(chars.next()?.to_digit(radix)?)?;
    }
    if digits == 2 && value > 0x7f {
        return (value <= 0xff).then_some(char::REPLACEMENT_CHARACTER);
    }
    char::from_u32(value)
}

/// What a number may be; complex ones are refused.
pub(super) fn number(text: &str) -> Result<Number, String> {
    let illegal = || format!("illegal number syntax: {}", quote(text));
    let mut integer = signed(text);
    let unsigned = magnitude(text);
    let looks_fractional = text.contains(['.', 'e', 'E', 'p', 'P']);
    let float = match (integer, unsigned) {
        (Some(integer), _) => integer as f64,
        (None, Some(unsigned)) => unsigned as f64,
        (None, None) => {
            let plain = text.replace('_', "");
            let float: f64 = plain
                .parse()
                .ok()
                .filter(|f: &f64| f.is_finite() && !plain.contains(['x', 'n', 'N']))
                .ok_or_else(illegal)?;
            if !looks_fractional {
                return Err(format!("integer overflow: {}", quote(text)));
            }
            integer = whole(float);
            float
        }
    };
    Ok(Number { text: text.to_owned(), integer, float: Some(float) })
}

/// A number without a fraction.
fn whole(float: f64) -> Option<i64> {
    (float.fract() == 0.0 && float.abs() < 9e18).then_some(float as i64)
}

fn signed(text: &str) -> Option<i64> {
    if let Some(rest) = text.strip_prefix('-') {
        let magnitude = i128::from(magnitude(rest)?);
        return i64::try_from(-magnitude).ok();
    }
    i64::try_from(magnitude(text.strip_prefix('+').unwrap_or(text))?).ok()
}

/// `strconv.ParseUint(text, 0, 64)`.
fn magnitude(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = match lower.as_bytes() {
        [b'0', b'x', ..] => (&lower[2..], 16),
        [b'0', b'b', ..] => (&lower[2..], 2),
        [b'0', b'o', ..] => (&lower[2..], 8),
        [b'0', _, ..] => (&lower[1..], 8),
        _ => (&lower[..], 10),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    u64::from_str_radix(&digits.replace('_', ""), radix).ok()
}
