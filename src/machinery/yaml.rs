//! YAML as kube-apiserver reads it: converted to JSON by the rules of YAML 1.1.
//!
//! kube-apiserver uses sigs.k8s.io/yaml, a fork of Go's yaml.v2. Clients see its ways: `yes`, `on`
//! and even `n` are booleans, also as keys; `010` is eight; underscores in numbers do not count;
//! `<<` merges; of a key that occurs twice the last wins, and strict decoding names its line. Aliases
//! that would blow a document up are refused before anything is copied.

use std::collections::HashMap;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, StrInput};
use serde_json::{Map, Number, Value};

/// Nested collections, as Go's decoder allows them.
const DEPTH_MAX: usize = 10_000;
/// Own limit below that, because values are walked recursively.
const OWN_DEPTH_MAX: usize = 120;

/// A document and its keys that occur twice, as `line 3: key "a" already set in map`.
#[derive(Debug, PartialEq)]
pub struct Document {
    /// The document as JSON.
    pub value: Value,
    /// Keys that were set again.
    pub repeated: Vec<String>,
}

/// Parses the first document of a text; an empty text is null.
///
/// # Errors
/// The message that Go's library has for the fault, as far as its parser and this one agree on
/// what is at fault.
pub fn parse(text: &str) -> Result<Document, String> {
    let mut builder = Builder {
        events: Parser::new_from_str(text),
        anchors: HashMap::new(),
        repeated: Vec::new(),
        nodes: 0,
        copied: 0,
    };
    let value = loop {
        match builder.next()? {
            (Event::StreamStart | Event::DocumentStart(..), _) => {}
            (Event::StreamEnd | Event::DocumentEnd, _) => break Value::Null,
            (event, span) => break builder.node(event, span, 0)?.value,
        }
    };
    Ok(Document { value, repeated: builder.repeated })
}

/// The message of strict decoding for keys that were set again.
pub fn strict_error(repeated: &[String]) -> String {
    format!("yaml: unmarshal errors:\n  {}", repeated.join("\n  "))
}

/// A value and how many nodes it has.
#[derive(Clone)]
struct Counted {
    value: Value,
    nodes: usize,
}

struct Builder<'a> {
    events: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Counted>,
    repeated: Vec<String>,
    /// Nodes of the result so far.
    nodes: usize,
    /// Those of them that aliases brought.
    copied: usize,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), String> {
        loop {
            match self.events.next() {
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok(event)) => return Ok(event),
                Some(Err(error)) => return Err(go_error(&error)),
                None => return Err("yaml: unexpected end of stream".to_owned()),
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Counted, String> {
        if depth > OWN_DEPTH_MAX.min(DEPTH_MAX) {
            return Err("yaml: exceeded max depth".to_owned());
        }
        self.nodes += 1;
        let (made, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.map(|tag| tag.suffix().to_owned());
                (Counted { value: scalar(&text, style, tag.as_deref())?, nodes: 1 }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => (self.sequence(depth)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.mapping(depth)?, anchor),
            Event::Alias(id) => return self.alias(id),
            other => {
                let line = span.start.line();
                return Err(format!("yaml: line {line}: did not expect {other:?}"));
            }
        };
        if anchor != 0 {
            self.anchors.insert(anchor, made.clone());
        }
        Ok(made)
    }

    fn alias(&mut self, id: usize) -> Result<Counted, String> {
        let Some(anchored) = self.anchors.get(&id) else {
            return Err("yaml: anchor value contains itself".to_owned());
        };
        self.nodes += anchored.nodes;
        self.copied += anchored.nodes;
        // The bounds of Go's yaml.v2: decode.go, allowedAliasRatio.
        let ratio = match self.nodes {
            0..=400_000 => 0.99,
            400_001..=4_000_000 => 0.99 - 0.89 * (self.nodes as f64 - 400_000.0) / 3_600_000.0,
            _ => 0.10,
        };
        if self.copied > 100 && self.nodes > 1000 && self.copied as f64 / self.nodes as f64 > ratio
        {
            return Err("yaml: document contains excessive aliasing".to_owned());
        }
        Ok(anchored.clone())
    }

    fn sequence(&mut self, depth: usize) -> Result<Counted, String> {
        let (mut items, mut nodes) = (Vec::new(), 1);
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => {
                    return Ok(Counted { value: Value::Array(items), nodes });
                }
                (event, span) => {
                    let item = self.node(event, span, depth + 1)?;
                    nodes += item.nodes;
                    items.push(item.value);
                }
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Counted, String> {
        let (mut members, mut nodes) = (Map::new(), 1);
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(Counted { value: Value::Object(members), nodes });
            }
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None)
                if text.as_ref() == "<<");
            let key = self.node(event, span, depth + 1)?;
            let (event, value_span) = self.next()?;
            let value = self.node(event, value_span, depth + 1)?;
            nodes += key.nodes + value.nodes;
            if is_merge {
                merge(&mut members, value.value)?;
                continue;
            }
            let (name, shown) = member_name(key.value)?;
            if members.insert(name, value.value).is_some() {
                let line = span.start.line();
                self.repeated.push(format!("line {line}: key {shown} already set in map"));
            }
        }
    }
}

/// What `<<` names: a mapping or a list of mappings.
fn merge(members: &mut Map<String, Value>, merged: Value) -> Result<(), String> {
    match merged {
        Value::Object(more) => members.extend(more),
        Value::Array(list) => {
            // The first mapping wins.
            for item in list.into_iter().rev() {
                match item {
                    Value::Object(more) => members.extend(more),
                    _ => return Err(NO_MERGE.to_owned()),
                }
            }
        }
        _ => return Err(NO_MERGE.to_owned()),
    }
    Ok(())
}

const NO_MERGE: &str = "yaml: map merge requires map or sequence of maps as the value";

/// A key as JSON has it, and as Go shows it (`%#v`).
fn member_name(key: Value) -> Result<(String, String), String> {
    match key {
        Value::String(name) => {
            let shown = Value::from(name.as_str()).to_string();
            Ok((name, shown))
        }
        Value::Bool(_) | Value::Number(_) => Ok((key.to_string(), key.to_string())),
        Value::Null => Err("unsupported map key of type: <nil>".to_owned()),
        Value::Array(_) | Value::Object(_) => Err(format!("yaml: invalid map key: {key}")),
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&str>) -> Result<Value, String> {
    match tag {
        Some("str") => return Ok(text.into()),
        Some("binary") => return binary(text),
        _ => {}
    }
    if style == ScalarStyle::Plain || matches!(tag, Some("int" | "float" | "bool" | "null")) {
        return resolve(text);
    }
    Ok(text.into())
}

fn binary(text: &str) -> Result<Value, String> {
    use base64::Engine as _;
    let compact: String = text.split_whitespace().collect();
    let bytes = base64::engine::general_purpose::STANDARD.decode(compact);
    match bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok()) {
        Some(text) => Ok(text.into()),
        None => Err("yaml: !!binary value contains invalid base64 data".to_owned()),
    }
}

/// The value of a plain scalar. (yaml.v2: resolve.go)
fn resolve(text: &str) -> Result<Value, String> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            true.into()
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            false.into()
        }
        ".nan" | ".NaN" | ".NAN" => return Err("json: unsupported value: NaN".to_owned()),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Err("json: unsupported value: +Inf".to_owned());
        }
        "-.inf" | "-.Inf" | "-.INF" => return Err("json: unsupported value: -Inf".to_owned()),
        _ => number(text).map_or_else(|| text.into(), Value::Number),
    })
}

fn number(text: &str) -> Option<Number> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return None;
    }
    let compact = text.replace('_', "");
    integer(&compact).or_else(|| float(&compact))
}

/// An integer with Go's prefixes; a leading zero means octal.
fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (digits, radix) = if let Some(rest) = lower.strip_prefix("0x") {
        (rest, 16)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (rest, 2)
    } else if let Some(rest) = lower.strip_prefix("0o") {
        (rest, 8)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (&lower[1..], 8)
    } else {
        (&*lower, 10)
    };
    if !digits.bytes().next()?.is_ascii_alphanumeric() {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        let value = 0_i64.checked_sub_unsigned(magnitude)?;
        return Some(value.into());
    }
    Some(magnitude.into())
}

/// A decimal fraction or a number with an exponent; whole ones are written without a point.
fn float(text: &str) -> Option<Number> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    let value: f64 = text.parse().ok().filter(|_| plain)?;
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return Some((value as i64).into());
    }
    Number::from_f64(value)
}

/// A parser's error in the words of Go's library.
fn go_error(error: &ScanError) -> String {
    let line = error.marker().line();
    let what = match error.kind() {
        ErrorKind::UnknownAnchor => return "yaml: unknown anchor referenced".to_owned(),
        ErrorKind::RecursionLimitExceeded => return "yaml: exceeded max depth".to_owned(),
        ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping
        | ErrorKind::UnexpectedEof
        | ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::ExpectedNodeContent => "did not find expected node content",
        ErrorKind::ExpectedFlowSequenceSeparator => "did not find expected ',' or ']'",
        ErrorKind::ExpectedFlowMappingSeparator => "did not find expected ',' or '}'",
        ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::UnexpectedEofBlockMapping
        | ErrorKind::InvalidIndentation => "did not find expected key",
        ErrorKind::ExpectedBlockSequenceEntry | ErrorKind::UnexpectedEofBlockSequence => {
            "did not find expected '-' indicator"
        }
        ErrorKind::ExpectedDocumentStart => "did not find expected <document start>",
        ErrorKind::UnclosedQuotedScalar => "found unexpected end of stream",
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => "could not find expected ':'",
        ErrorKind::BlockSequenceEntryNotAllowed => {
            "block sequence entries are not allowed in this context"
        }
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation => "found character that cannot start any token",
        ErrorKind::UnknownQuotedScalarEscape => "found unknown escape character",
        ErrorKind::UndeclaredTagHandle => "found undefined tag handle",
        other => return format!("yaml: line {line}: {other}"),
    };
    format!("yaml: line {line}: {what}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Value) {
        assert_eq!(parse(text).unwrap().value, expected, "{text}");
    }

    #[test]
    fn plain_scalars_are_yaml_1_1() {
        check("[yes, On, n, OFF, true]", json!([true, true, false, false, true]));
        check("[~, null, '', \"null\", 'yes']", json!([null, null, "", "null", "yes"]));
        check("[010, 0x1F, 0b11, 1_000, +5, -3]", json!([8, 31, 3, 1000, 5, -3]));
        check("[1e3, 1.5, .5, 09, 1.0]", json!([1000, 1.5, 0.5, 9, 1]));
        check(
            "[1.2.3, 10Mi, 100m, 2001-01-01, 12:30, 0x]",
            json!(["1.2.3", "10Mi", "100m", "2001-01-01", "12:30", "0x"]),
        );
        check("!!str 5", json!("5"));
        check("a: |\n  x\n  y\n", json!({"a": "x\ny\n"}));
        check("", Value::Null);
    }

    #[test]
    fn keys_are_resolved_and_become_text() {
        check("{n: 1, 1: a, 'y': b}", json!({"false": 1, "1": "a", "y": "b"}));
    }

    #[test]
    fn the_last_of_equal_keys_wins_and_is_named() {
        let document = parse("a:\n  n: 1\n  n: 2\n  b: 1\n  b: 2\n").unwrap();
        assert_eq!(document.value, json!({"a": {"false": 2, "b": 2}}));
        assert_eq!(
            document.repeated,
            ["line 3: key false already set in map", "line 5: key \"b\" already set in map"]
        );
    }

    #[test]
    fn aliases_and_merges_are_followed() {
        check(
            "a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}\n",
            json!({
            "a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}}),
        );
        assert!(parse("a: *x").is_err());
        assert!(parse("a: &x [*x]").is_err());
    }

    #[test]
    fn bombs_are_refused_before_they_are_copied() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..20 {
            let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        assert_eq!(parse(&text).unwrap_err(), "yaml: document contains excessive aliasing");
    }

    #[test]
    fn faults_have_gos_words() {
        assert_eq!(parse("a: [").unwrap_err(), "yaml: line 1: did not find expected node content");
        for text in ["a: b: c", "a: 'x", "- a\nb", "{", "a: \"\\q\"", "a: @b"] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with("yaml: "), "{text}: {error}");
        }
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        assert_eq!(parse(&deep).unwrap_err(), "yaml: exceeded max depth");
    }
}
