//! The lines of a watch stream: from bytes to events, each object decoded once.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use kube::core::Status;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Largest line that is accepted.
const LINE_BYTES_MAX: usize = 64 << 20;

/// Splits a stream of pieces into lines. A piece that ends with its line, as the in-process engine
/// sends them, is not copied.
#[derive(Default)]
pub(super) struct Lines {
    rest: BytesMut,
}

/// A line is longer than any object may be.
#[derive(Debug, thiserror::Error)]
#[error("failed to read a watch event: line exceeds {LINE_BYTES_MAX} bytes")]
pub(super) struct LineTooLong;

impl Lines {
    /// Takes in a piece and returns the bytes of all lines that are now complete.
    pub(super) fn push(&mut self, piece: Bytes) -> Result<Bytes, LineTooLong> {
        let Some(end) = piece.iter().rposition(|&byte| byte == b'\n') else {
            if self.rest.len() + piece.len() > LINE_BYTES_MAX {
                return Err(LineTooLong);
            }
            self.rest.extend_from_slice(&piece);
            return Ok(Bytes::new());
        };
        let complete = if self.rest.is_empty() {
            piece.slice(..=end)
        } else {
            self.rest.extend_from_slice(&piece[..=end]);
            self.rest.split().freeze()
        };
        self.rest.extend_from_slice(&piece[end + 1..]);
        Ok(complete)
    }
}

/// A watch event whose object is still text.
#[derive(Debug, PartialEq)]
pub(super) enum Event<'a> {
    /// ADDED or MODIFIED.
    Applied(Cow<'a, str>),
    /// DELETED.
    Deleted(Cow<'a, str>),
    /// BOOKMARK at a resourceVersion; `ends_list` closes a streaming list.
    Bookmark { resource_version: Option<u64>, ends_list: bool },
    /// ERROR.
    Error(Box<Status>),
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    type_: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Bookmark {
    metadata: BookmarkMeta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BookmarkMeta {
    resource_version: Option<String>,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

/// Reads one line.
pub(super) fn parse(line: &str) -> serde_json::Result<Event<'_>> {
    let (type_, object) = match split_compact(line) {
        Some(parts) => parts,
        None => {
            let envelope: Envelope<'_> = serde_json::from_str(line)?;
            return event(&envelope.type_, envelope.object.get());
        }
    };
    event(type_, object)
}

/// Splits an event as Go and the engine write it, without a look at the object.
fn split_compact(line: &str) -> Option<(&str, &str)> {
    let (type_, rest) = line.strip_prefix("{\"type\":\"")?.split_once('"')?;
    let object = rest.strip_prefix(",\"object\":")?.strip_suffix('}')?;
    // Anything after the object would be another field of the envelope.
    (object.starts_with('{') && object.ends_with('}')).then_some((type_, object))
}

fn event<'a>(type_: &str, object: &'a str) -> serde_json::Result<Event<'a>> {
    match type_ {
        "ADDED" | "MODIFIED" => Ok(Event::Applied(without_managed_fields(object))),
        "DELETED" => Ok(Event::Deleted(without_managed_fields(object))),
        "BOOKMARK" => {
            let meta = serde_json::from_str::<Bookmark>(object)?.metadata;
            Ok(Event::Bookmark {
                resource_version: meta.resource_version.and_then(|version| version.parse().ok()),
                ends_list: meta
                    .annotations
                    .get("k8s.io/initial-events-end")
                    .is_some_and(|value| value == "true"),
            })
        }
        "ERROR" => Ok(Event::Error(serde_json::from_str(object)?)),
        other => Err(serde::de::Error::custom(format!("unknown watch event type {other:?}"))),
    }
}

/// Cuts the managed fields out of an object's text: decoding them would cost more than the rest.
/// Where the text is not as Go writes it (spaces), they stay; the decoder's caller drops them.
fn without_managed_fields(object: &str) -> Cow<'_, str> {
    const FIELD: &str = "\"managedFields\":[";
    let Some(start) = object.find(FIELD) else { return Cow::Borrowed(object) };
    let bytes = object.as_bytes();
    // An unescaped quote that opens a key follows a brace or a comma; a match after anything else
    // lies in a string.
    let before = bytes[..start].last();
    let Some(length) = array_length(&bytes[start + FIELD.len() - 1..]) else {
        return Cow::Borrowed(object);
    };
    let mut end = start + FIELD.len() - 1 + length;
    let start = match (before, bytes.get(end)) {
        (Some(b'{' | b','), Some(b',')) => {
            end += 1;
            start
        }
        (Some(b','), Some(b'}')) => start - 1,
        (Some(b'{'), Some(b'}')) => start,
        _ => return Cow::Borrowed(object),
    };
    Cow::Owned([&object[..start], &object[end..]].concat())
}

/// Bytes of the array that the text starts with, brackets included.
fn array_length(bytes: &[u8]) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (index, &byte) in bytes.iter().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' => depth += 1,
            b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(index + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_lines_wherever_they_are_cut() {
        let text = b"one\ntwo\nthree\n";
        for cut in 0..=text.len() {
            let mut lines = Lines::default();
            let mut all = Vec::new();
            for piece in [&text[..cut], &text[cut..]] {
                all.extend_from_slice(&lines.push(Bytes::copy_from_slice(piece)).unwrap());
                assert!(all.is_empty() || all.ends_with(b"\n"));
            }
            assert_eq!(all, text);
        }
    }

    #[test]
    fn managed_fields_are_cut_wherever_they_stand() {
        let check = |from: &str, to: &str| {
            let line = format!("{{\"type\":\"ADDED\",\"object\":{from}}}");
            assert_eq!(parse(&line).unwrap(), Event::Applied(Cow::Borrowed(to)), "{from}");
        };
        check(r#"{"m":{"managedFields":[{"f":"]"}],"n":1}}"#, r#"{"m":{"n":1}}"#);
        check(r#"{"m":{"n":1,"managedFields":[[]]}}"#, r#"{"m":{"n":1}}"#);
        check(r#"{"m":{"managedFields":[]}}"#, r#"{"m":{}}"#);
        check(r#"{"m":"\"managedFields\":["}"#, r#"{"m":"\"managedFields\":["}"#);
    }

    #[test]
    fn events_with_spaces_are_read_too() {
        let event = parse(r#"{ "object": {"a": 1}, "type": "DELETED" }"#).unwrap();
        assert_eq!(event, Event::Deleted(Cow::Borrowed(r#"{"a": 1}"#)));
        assert!(parse(r#"{"type":"ODD","object":{}}"#).is_err());
        assert!(parse(r#"{"type":"ADDED""#).is_err());
    }

    #[test]
    fn bookmarks_tell_the_end_of_the_list() {
        let line = r#"{"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"12","annotations":{"k8s.io/initial-events-end":"true"}}}}"#;
        let expected = Event::Bookmark { resource_version: Some(12), ends_list: true };
        assert_eq!(parse(line).unwrap(), expected);
    }
}
