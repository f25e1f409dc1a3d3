//! Results on stdout, news on stderr. A reader of stdout that stops reading (`capim get ... | head`)
//! is no error.

use std::fmt::Write as _;
use std::io::{ErrorKind, Write};

use clap::ValueEnum;
use serde_json::{Value, json};

use super::error::CliError;
use crate::clock::Clock;
use crate::tui::text::printable;

/// Version of the documents that commands print as JSON and YAML.
pub(super) const API_VERSION: &str = "cli.capim.dev/v1alpha1";

/// Output of commands that list things of capim's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// A table for people.
    Table,
    /// One name a line.
    Name,
    /// One JSON document.
    Json,
    /// The same as YAML.
    Yaml,
    /// An item a line.
    Ndjson,
}

/// Writes items as one document with apiVersion and kind, or one a line.
pub(super) fn list(kind: &str, items: Vec<Value>, format: ListFormat) -> Result<(), CliError> {
    if format == ListFormat::Ndjson {
        return write(items.iter().map(json_line).collect::<String>());
    }
    let document = json!({"apiVersion": API_VERSION, "kind": kind, "items": items});
    match format {
        ListFormat::Yaml => yaml(&document),
        _ => json(&document),
    }
}

/// Writes text to stdout.
///
/// # Errors
/// If stdout can not be written for another reason than a closed pipe.
pub(super) fn write(text: impl AsRef<[u8]>) -> Result<(), CliError> {
    is_read(text).map(|_| ())
}

/// Writes text to stdout; false if nobody reads it any more.
///
/// # Errors
/// As [`write`].
pub(super) fn is_read(text: impl AsRef<[u8]>) -> Result<bool, CliError> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_ref()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(CliError::other(format!("failed to write to stdout: {error}"))),
    }
}

/// Tells news on stderr, as one line with the time.
pub(super) fn line(clock: &Clock, text: &str) {
    tell(&format!("{:.0} INFO {}", clock.now(), printable(text)));
}

/// The same for what somebody should look at.
pub(super) fn warning(clock: &Clock, text: &str) {
    tell(&format!("{:.0} WARN {}", clock.now(), printable(text)));
}

/// Writes a line to stderr, if somebody reads it.
pub(super) fn tell(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Writes a part of a line to stderr, e.g. a question, if somebody reads it.
pub(super) fn tell_part(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "{text}").and_then(|()| stderr.flush());
}

/// Writes a value as JSON to stdout.
pub(super) fn json(value: &Value) -> Result<(), CliError> {
    write(json_text(value)?)
}

/// A value as JSON, with the line's end.
pub(super) fn json_text(value: &Value) -> Result<String, CliError> {
    let text = serde_json::to_string_pretty(value).map_err(CliError::other)?;
    Ok(harmless(text) + "\n")
}

/// A value as JSON on one line, with the line's end.
pub(super) fn json_line(value: &Value) -> String {
    harmless(value.to_string()) + "\n"
}

/// The same JSON without characters that could steer or deceive a terminal: it has them in strings
/// only, where they can be written as escapes.
fn harmless(json: String) -> String {
    if printable(&json) == json {
        return json;
    }
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if printable(c.encode_utf8(&mut [0; 4])).starts_with(c) {
            text.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text
}

/// Writes a value as YAML to stdout.
pub(super) fn yaml(value: &Value) -> Result<(), CliError> {
    write(yaml_text(value)?)
}

/// A value as YAML, with the line's end.
pub(super) fn yaml_text(value: &Value) -> Result<String, CliError> {
    let text = serde_saphyr::to_string(value).map_err(CliError::other)?;
    Ok(text.trim_end().to_owned() + "\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_harmless_and_means_the_same() {
        let value = json!({"a": "\u{9b}2J \u{202e}x \u{e0041} \u{7f} ok \u{1b} \u{fc}"});
        let text = json_line(&value);
        assert_eq!(printable(&text), text);
        assert!(text.contains("\\u009b2J") && text.contains('\u{fc}'), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), value);
    }
}
