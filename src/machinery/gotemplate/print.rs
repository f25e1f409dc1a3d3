//! Go's `fmt` for the values of templates. (Go 1.26: fmt/print.go, fmt/format.go)

use std::fmt::Write;

use super::data::Data;
use crate::machinery::status::quote;

/// Deepest nesting that is printed.
const DEPTH_MAX: usize = 200;

/// Most digits after the point that are not zeros: no double has more.
const DIGITS_MAX: usize = 1_100;

/// Text that may not grow beyond a limit.
pub(super) struct Output {
    text: String,
    max: usize,
    /// Whether something did not fit.
    overflows: bool,
}

impl Output {
    pub(super) fn new(max: usize) -> Self {
        Self { text: String::new(), max, overflows: false }
    }

    pub(super) fn push(&mut self, text: &str) {
        if self.text.len() + text.len() > self.max {
            self.overflows = true;
        } else {
            self.text.push_str(text);
        }
    }

    /// The text, unless something did not fit.
    pub(super) fn finish(self) -> Result<String, String> {
        if self.overflows { Err(too_large()) } else { Ok(self.text) }
    }
}

/// What is said of results that are too large.
pub(super) fn too_large() -> String {
    "the result is too large".to_owned()
}

/// `%v`.
pub(super) fn value(out: &mut Output, data: &Data) {
    nested(out, data, 0);
}

fn nested(out: &mut Output, data: &Data, depth: usize) {
    if depth > DEPTH_MAX {
        out.overflows = true;
    }
    if out.overflows {
        return;
    }
    match data {
        Data::Absent | Data::Nil => out.push("<nil>"),
        Data::Bool(value) => out.push(if *value { "true" } else { "false" }),
        Data::Int(number) | Data::Int64(number) => out.push(&number.to_string()),
        Data::Uint(number) => out.push(&number.to_string()),
        Data::Float(number) => out.push(&float(*number)),
        Data::Text(text) => out.push(text),
        Data::List(_, list) => {
            out.push("[");
            for (index, element) in list.iter().enumerate() {
                out.push(if index > 0 { " " } else { "" });
                nested(out, element, depth + 1);
            }
            out.push("]");
        }
        Data::Map(_, map) => {
            out.push("map[");
            for (index, (key, element)) in map.borrow().iter().enumerate() {
                out.push(if index > 0 { " " } else { "" });
                out.push(key);
                out.push(":");
                nested(out, element, depth + 1);
            }
            out.push("]");
        }
        Data::Version(version) => out.push(&version.to_string()),
    }
}

/// A float as `%v` has it.
pub(super) fn float(number: f64) -> String {
    general(number, None)
}

/// `%g` with an optional precision.
fn general(number: f64, precision: Option<usize>) -> String {
    if !number.is_finite() {
        return special(number);
    }
    let written = match precision {
        None => format!("{number:e}"),
        Some(precision) => format!("{number:.*e}", (precision.max(1) - 1).min(DIGITS_MAX)),
    };
    let Some((mantissa, exponent)) = written.split_once('e') else { return written };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let sign = if mantissa.starts_with('-') { "-" } else { "" };
    let mut digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    if precision.is_some() {
        let kept = digits.trim_end_matches('0').len().max(1);
        digits.truncate(kept);
    }
    let shown = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    // From which exponent on it is written as such.
    let limit = match precision.map(|p| i32::try_from(p.max(1)).unwrap_or(i32::MAX)) {
        None => 6,
        Some(precision) if precision > shown && shown > exponent => shown,
        Some(precision) => precision,
    };
    if exponent < -4 || exponent >= limit {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{first}{point}{rest}e{exponent_sign}{:02}", exponent.abs());
    }
    let Ok(whole) = usize::try_from(exponent + 1) else {
        let zeros = "0".repeat(usize::try_from(-exponent - 1).unwrap_or_default());
        return format!("{sign}0.{zeros}{digits}");
    };
    if whole == 0 {
        return format!("{sign}0.{digits}");
    }
    if digits.len() <= whole {
        return format!("{sign}{digits}{}", "0".repeat(whole - digits.len()));
    }
    let (before, after) = digits.split_at(whole);
    format!("{sign}{before}.{after}")
}

fn special(number: f64) -> String {
    if number.is_nan() {
        "NaN".to_owned()
    } else if number > 0.0 {
        "+Inf".to_owned()
    } else {
        "-Inf".to_owned()
    }
}

/// `fmt.Sprint`: a space between neighbours of which neither is a text.
pub(super) fn sprint(out: &mut Output, args: &[Data]) {
    for (index, arg) in args.iter().enumerate() {
        let is_text = |data: &Data| matches!(data, Data::Text(_));
        if index > 0 && !is_text(arg) && !is_text(&args[index - 1]) {
            out.push(" ");
        }
        value(out, arg);
    }
}

/// `fmt.Sprintln`.
pub(super) fn sprintln(out: &mut Output, args: &[Data]) {
    for (index, arg) in args.iter().enumerate() {
        out.push(if index > 0 { " " } else { "" });
        value(out, arg);
    }
    out.push("\n");
}

/// A verb's flags.
#[derive(Clone, Copy, Default)]
struct Flags {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// `fmt.Sprintf`.
pub(super) fn sprintf(out: &mut Output, format: &str, args: &[Data]) {
    let mut args = args.iter();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push(&rest[..at]);
        let mut chars = rest[at + 1..].chars();
        let flags = read_flags(&mut chars, &mut args, out);
        let verb = chars.next();
        rest = chars.as_str();
        match verb {
            None => out.push("%!(NOVERB)"),
            Some('%') => out.push("%"),
            Some(verb) => match args.next() {
                None => out.push(&format!("%!{verb}(MISSING)")),
                Some(arg) => one(out, verb, flags, arg),
            },
        }
        if out.overflows {
            return;
        }
    }
    out.push(rest);
    let extra: Vec<&Data> = args.collect();
    if !extra.is_empty() {
        out.push("%!(EXTRA ");
        for (index, arg) in extra.iter().enumerate() {
            out.push(if index > 0 { ", " } else { "" });
            if arg.is_nil() {
                out.push("<nil>");
            } else {
                out.push(arg.type_name());
                out.push("=");
                value(out, arg);
            }
        }
        out.push(")");
    }
}

fn read_flags<'a>(
    chars: &mut std::str::Chars<'_>,
    args: &mut impl Iterator<Item = &'a Data>,
    out: &mut Output,
) -> Flags {
    let mut flags = Flags::default();
    loop {
        match chars.clone().next() {
            Some('+') => flags.plus = true,
            Some('-') => flags.minus = true,
            Some('#') => flags.sharp = true,
            Some(' ') => flags.space = true,
            Some('0') => flags.zero = true,
            _ => break,
        }
        chars.next();
    }
    flags.width = read_number(chars, args, out, "WIDTH");
    if chars.clone().next() == Some('.') {
        chars.next();
        flags.precision = Some(read_number(chars, args, out, "PREC").unwrap_or(0));
    }
    // Wider than a million is a mistake to Go too.
    let is_sane = |number: &usize| *number <= 1_000_000;
    flags.width = flags.width.filter(is_sane);
    flags.precision = flags.precision.filter(is_sane);
    flags
}

fn read_number<'a>(
    chars: &mut std::str::Chars<'_>,
    args: &mut impl Iterator<Item = &'a Data>,
    out: &mut Output,
    what: &str,
) -> Option<usize> {
    if chars.clone().next() == Some('*') {
        chars.next();
        return match args.next() {
            Some(Data::Int(number)) => usize::try_from(*number).ok(),
            _ => {
                out.push(&format!("%!(BAD{what})"));
                None
            }
        };
    }
    let text = chars.as_str();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    *chars = text[digits..].chars();
    text[..digits].parse().ok()
}

fn one(out: &mut Output, verb: char, flags: Flags, arg: &Data) {
    let body = match (verb, arg) {
        ('T', arg) if arg.is_nil() => "<nil>".to_owned(),
        ('T', arg) => arg.type_name().to_owned(),
        ('v' | 'd' | 's', Data::List(..) | Data::Map(..)) => {
            return collection(out, verb, flags, arg);
        }
        ('v', Data::Text(text)) if flags.sharp => quote(text),
        ('v', Data::Int(number) | Data::Int64(number)) => integer(*number, flags),
        ('v', Data::Float(number)) => signed(general(*number, flags.precision), flags),
        ('v', arg) => {
            let mut text = Output::new(out.max);
            value(&mut text, arg);
            text.text
        }
        ('t', Data::Bool(value)) => value.to_string(),
        ('d', Data::Int(number) | Data::Int64(number)) => integer(*number, flags),
        ('d', Data::Uint(number)) => number.to_string(),
        ('b' | 'o' | 'O' | 'x' | 'X', Data::Int(n) | Data::Int64(n)) => radix(verb, flags, *n),
        ('c', Data::Int(number) | Data::Int64(number)) => character(*number).to_string(),
        ('q', Data::Int(number) | Data::Int64(number)) => format!("'{}'", character(*number)),
        ('U', Data::Int(number) | Data::Int64(number)) => format!("U+{number:04X}"),
        ('f' | 'F' | 'e' | 'E' | 'g' | 'G', Data::Float(n)) => {
            signed(floating(verb, flags, *n), flags)
        }
        ('s', Data::Text(text)) => truncated(text, flags),
        ('s', Data::Version(version)) => version.to_string(),
        ('q', Data::Text(text)) => quote(&truncated(text, flags)),
        ('x' | 'X', Data::Text(text)) => hexadecimal(verb, text),
        (verb, arg) if arg.is_nil() => format!("%!{verb}(<nil>)"),
        (verb, arg) => {
            let mut text = Output::new(out.max);
            value(&mut text, arg);
            format!("%!{verb}({}={})", arg.type_name(), text.text)
        }
    };
    pad(out, &body, verb, flags);
}

/// Verbs go to the elements of lists and maps.
fn collection(out: &mut Output, verb: char, flags: Flags, arg: &Data) {
    match arg {
        Data::List(_, list) => {
            out.push("[");
            for (index, element) in list.iter().enumerate() {
                out.push(if index > 0 { " " } else { "" });
                element_of(out, verb, flags, element);
            }
            out.push("]");
        }
        Data::Map(_, map) => {
            out.push("map[");
            for (index, (key, element)) in map.borrow().iter().enumerate() {
                out.push(if index > 0 { " " } else { "" });
                one(out, verb, flags, &Data::Text(key.clone()));
                out.push(":");
                element_of(out, verb, flags, element);
            }
            out.push("]");
        }
        _ => value(out, arg),
    }
}

fn element_of(out: &mut Output, verb: char, flags: Flags, element: &Data) {
    if out.overflows {
        return;
    }
    match element {
        // Deeper ones are printed plainly, so that this is no deep recursion.
        Data::List(..) | Data::Map(..) => value(out, element),
        element => one(out, verb, flags, element),
    }
}

fn integer(number: i64, flags: Flags) -> String {
    let digits = number.unsigned_abs().to_string();
    let zeros = flags.precision.unwrap_or(0).saturating_sub(digits.len());
    let sign = if number < 0 { "-" } else { plus(flags) };
    format!("{sign}{}{digits}", "0".repeat(zeros))
}

fn plus(flags: Flags) -> &'static str {
    if flags.plus {
        "+"
    } else if flags.space {
        " "
    } else {
        ""
    }
}

fn signed(text: String, flags: Flags) -> String {
    if text.starts_with(['-', '+']) { text } else { format!("{}{text}", plus(flags)) }
}

fn radix(verb: char, flags: Flags, number: i64) -> String {
    let magnitude = number.unsigned_abs();
    let sign = if number < 0 { "-" } else { plus(flags) };
    let (prefix, digits) = match verb {
        'b' => ("0b", format!("{magnitude:b}")),
        'o' => ("0", format!("{magnitude:o}")),
        'O' => ("0o", format!("{magnitude:o}")),
        'x' => ("0x", format!("{magnitude:x}")),
        _ => ("0X", format!("{magnitude:X}")),
    };
    let prefix = if flags.sharp || verb == 'O' { prefix } else { "" };
    format!("{sign}{prefix}{digits}")
}

fn character(code: i64) -> char {
    let code = u32::try_from(code).ok();
    code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn floating(verb: char, flags: Flags, number: f64) -> String {
    if !number.is_finite() {
        return special(number);
    }
    match verb {
        'f' | 'F' => {
            let (precision, zeros) = digits(flags);
            format!("{number:.precision$}{zeros}")
        }
        'e' | 'E' => {
            let (precision, zeros) = digits(flags);
            let written = format!("{number:.precision$e}");
            let (mantissa, exponent) = written.split_once('e').unwrap_or((&written, "0"));
            let exponent: i32 = exponent.parse().unwrap_or_default();
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}{zeros}{verb}{sign}{:02}", exponent.abs())
        }
        _ => general(number, flags.precision),
    }
}

/// Digits after the point, and zeros after those: Rust refuses to write more than 65,535 digits.
fn digits(flags: Flags) -> (usize, String) {
    let precision = flags.precision.unwrap_or(6);
    (precision.min(DIGITS_MAX), "0".repeat(precision.saturating_sub(DIGITS_MAX)))
}

fn truncated(text: &str, flags: Flags) -> String {
    match flags.precision {
        Some(precision) => text.chars().take(precision).collect(),
        None => text.to_owned(),
    }
}

fn hexadecimal(verb: char, text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        // Writing to a String cannot fail.
        let _ = if verb == 'x' { write!(out, "{byte:02x}") } else { write!(out, "{byte:02X}") };
    }
    out
}

fn pad(out: &mut Output, body: &str, verb: char, flags: Flags) {
    let missing = flags.width.unwrap_or(0).saturating_sub(body.chars().count());
    if missing == 0 {
        return out.push(body);
    }
    if flags.minus {
        out.push(body);
        return out.push(&" ".repeat(missing));
    }
    if !flags.zero || matches!(verb, 'T' | 'c' | 't') {
        out.push(&" ".repeat(missing));
        return out.push(body);
    }
    let signed = body.starts_with(['-', '+', ' ']);
    let (sign, digits) = body.split_at(usize::from(signed));
    out.push(sign);
    out.push(&"0".repeat(missing));
    out.push(digits);
}
