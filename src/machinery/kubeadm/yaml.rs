//! YAML as Go's `sigs.k8s.io/yaml` prints it: sorted keys, two spaces, sequences flush with their
//! key, long plain scalars folded at 80 columns.
//!
//! kubeadm documents inside bootstrap data are compared byte for byte by users' tools and by the
//! recordings, so a general YAML writer with other quoting habits will not do.

use serde_json::{Map, Value};

const BEST_WIDTH: usize = 80;

/// Renders a JSON value as a YAML document that ends with a newline.
pub fn to_string(value: &Value) -> String {
    let mut out = String::with_capacity(512);
    match value {
        Value::Object(map) if !map.is_empty() => mapping(&mut out, map, 0),
        Value::Array(items) if !items.is_empty() => sequence(&mut out, items, 0),
        other => {
            scalar(&mut out, other, 0);
            out.push('\n');
        }
    }
    out
}

fn mapping(out: &mut String, map: &Map<String, Value>, indent: usize) {
    let mut keys: Vec<&String> = map.keys().collect();
    keys.sort();
    for (index, key) in keys.into_iter().enumerate() {
        // The first key of a mapping inside a sequence stands behind the dash.
        if index > 0 || out.is_empty() || out.ends_with('\n') {
            pad(out, indent);
        }
        string(out, key, indent);
        out.push(':');
        entry(out, &map[key], indent);
    }
}

/// What follows `key:`.
fn entry(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            mapping(out, map, indent + 2);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            sequence(out, items, indent);
        }
        other => {
            out.push(' ');
            scalar(out, other, indent);
            out.push('\n');
        }
    }
}

fn sequence(out: &mut String, items: &[Value], indent: usize) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 || out.is_empty() || out.ends_with('\n') {
            pad(out, indent);
        }
        out.push_str("- ");
        match item {
            Value::Object(map) if !map.is_empty() => mapping(out, map, indent + 2),
            Value::Array(nested) if !nested.is_empty() => sequence(out, nested, indent + 2),
            other => {
                scalar(out, other, indent);
                out.push('\n');
            }
        }
    }
}

fn scalar(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => string(out, text, indent),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
    }
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn string(out: &mut String, text: &str, indent: usize) {
    let printable = text.chars().all(|c| c == '\n' || is_printable(c));
    if !printable || has_space_before_break(text) {
        double_quoted(out, text);
    } else if text.contains('\n') {
        literal(out, text, indent + 2);
    } else if resolves_to_other_type(text) {
        double_quoted(out, text);
    } else if plain_is_allowed(text) {
        folded(out, text, indent + 2);
    } else {
        single_quoted(out, text, indent + 2);
    }
}

fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}') && c != '\u{feff}'
}

fn has_space_before_break(text: &str) -> bool {
    text.contains(" \n") || (text.contains('\n') && text.ends_with(' '))
}

/// Whether YAML 1.1 would read the plain text as something else than a string.
fn resolves_to_other_type(text: &str) -> bool {
    const WORDS: [&str; 34] = [
        "", "~", "null", "Null", "NULL", "true", "True", "TRUE", "false", "False", "FALSE", "y",
        "Y", "yes", "Yes", "YES", "n", "N", "no", "No", "NO", "on", "On", "ON", "off", "Off",
        "OFF", "<<", ".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF",
    ];
    if WORDS.contains(&text) {
        return true;
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return true;
    }
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return false;
    }
    is_number(unsigned) || is_base_60(unsigned) || is_timestamp(text)
}

fn is_number(unsigned: &str) -> bool {
    let digits = unsigned.replace('_', "");
    let radix = |prefix: &str, ok: fn(char) -> bool| {
        digits.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && rest.chars().all(ok))
    };
    radix("0x", |c| c.is_ascii_hexdigit())
        || radix("0b", |c| matches!(c, '0' | '1'))
        || radix("0o", |c| matches!(c, '0'..='7'))
        || (digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            && digits
                .chars()
                .all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'))
            && digits.parse::<f64>().is_ok())
}

fn is_base_60(unsigned: &str) -> bool {
    let mut parts = unsigned.split(':');
    let first = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    !rest.is_empty()
        && !first.is_empty()
        && first.chars().all(|c| c.is_ascii_digit() || c == '_')
        && rest.iter().enumerate().all(|(index, part)| {
            let whole = part.split('.').next().unwrap_or_default();
            let fraction_ok = index + 1 == rest.len() || !part.contains('.');
            fraction_ok
                && matches!(whole.len(), 1 | 2)
                && part.chars().all(|c| c.is_ascii_digit() || c == '.')
                && whole.parse::<u8>().is_ok_and(|number| number < 60)
        })
}

fn is_timestamp(text: &str) -> bool {
    let Some((date, _)) = text.split_at_checked(10) else { return false };
    date.parse::<jiff::civil::Date>().is_ok()
        && (text.len() == 10 || text.parse::<jiff::civil::DateTime>().is_ok())
        || text.parse::<jiff::Timestamp>().is_ok()
}

/// The emitter's analysis of a single-line scalar in block context (go-yaml emitterc.go).
fn plain_is_allowed(text: &str) -> bool {
    if text.starts_with(' ')
        || text.ends_with(' ')
        || text.starts_with("---")
        || text.starts_with("...")
    {
        return false;
    }
    let characters: Vec<char> = text.chars().collect();
    for (index, c) in characters.iter().enumerate() {
        let next_is_blank = characters.get(index + 1).is_none_or(|next| *next == ' ');
        let forbidden = if index == 0 {
            match c {
                '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"'
                | '%' | '@' | '`' => true,
                '?' | ':' | '-' => next_is_blank,
                _ => false,
            }
        } else {
            match c {
                ':' => next_is_blank,
                '#' => characters[index - 1] == ' ',
                _ => false,
            }
        };
        if forbidden {
            return false;
        }
    }
    true
}

/// Writes a plain scalar, broken at single spaces beyond the best width.
fn folded(out: &mut String, text: &str, indent: usize) {
    let mut column = out.len() - out.rfind('\n').map_or(0, |newline| newline + 1);
    let mut previous_was_space = false;
    let characters: Vec<char> = text.chars().collect();
    for (index, c) in characters.iter().enumerate() {
        if *c == ' ' {
            let next_is_space = characters.get(index + 1) == Some(&' ');
            if !previous_was_space && column > BEST_WIDTH && !next_is_space {
                out.push('\n');
                pad(out, indent);
                column = indent;
            } else {
                out.push(' ');
                column += 1;
            }
            previous_was_space = true;
        } else {
            out.push(*c);
            column += 1;
            previous_was_space = false;
        }
    }
}

fn single_quoted(out: &mut String, text: &str, indent: usize) {
    out.push('\'');
    folded(out, &text.replace('\'', "''"), indent);
    out.push('\'');
}

fn double_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_printable(c) => out.push(c),
            c if (c as u32) <= 0xff => out.push_str(&format!("\\x{:02X}", c as u32)),
            c if (c as u32) <= 0xffff => out.push_str(&format!("\\u{:04X}", c as u32)),
            c => out.push_str(&format!("\\U{:08X}", c as u32)),
        }
    }
    out.push('"');
}

fn literal(out: &mut String, text: &str, indent: usize) {
    out.push('|');
    if text.starts_with([' ', '\n']) {
        out.push('2');
    }
    let body = match text.strip_suffix('\n') {
        None => {
            out.push('-');
            text
        }
        Some(body) if body.is_empty() || body.ends_with('\n') => {
            out.push('+');
            body
        }
        Some(body) => body,
    };
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            pad(out, indent);
            out.push_str(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(value: Value, expected: &str) {
        assert_eq!(to_string(&value), expected, "{value}");
    }

    #[test]
    fn keys_are_sorted_and_sequences_stand_under_their_key() {
        check(
            json!({"b": {"z": 1, "a": []}, "a": [{"name": "x", "value": "w"}, "s"], "c": null}),
            "a:\n- name: x\n  value: w\n- s\nb:\n  a: []\n  z: 1\nc: null\n",
        );
    }

    #[test]
    fn strings_that_look_like_other_types_are_double_quoted() {
        for text in ["true", "off", "", "1", "0x1F", "1.5", "1e3", "10:30", "2001-01-01", "~"] {
            check(json!({"k": text}), &format!("k: \"{text}\"\n"));
        }
        for text in
            ["v1.34.0", "127.0.0.1", "0.0.0.0:8080", "10.128.0.0/12", "nodefs.available<0%", "-x"]
        {
            check(json!({"k": text}), &format!("k: {text}\n"));
        }
    }

    #[test]
    fn indicators_are_single_quoted_and_breaks_make_literals() {
        check(json!({"k": "{{ ds.meta_data }}"}), "k: '{{ ds.meta_data }}'\n");
        check(json!({"k": "a: b"}), "k: 'a: b'\n");
        check(json!({"k": "a\nb\n"}), "k: |\n  a\n  b\n");
        check(json!({"k": "a\nb"}), "k: |-\n  a\n  b\n");
        check(json!({"k": "a\tb"}), "k: \"a\\tb\"\n");
    }

    #[test]
    fn long_plain_scalars_are_folded_behind_column_80() {
        let word = "a".repeat(45);
        check(json!({"k": format!("{word} {word} tail")}), &format!("k: {word} {word}\n  tail\n"));
    }
}
