//! Errors of commands: those of acts, under the name that commands use, and how they are told.
//!
//! People get lines; who asked for JSON gets one JSON object on stderr, whatever failed.

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use serde_json::{Value, json};

pub use crate::acts::{Exit, Failure as CliError};

use super::output;

/// How errors are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorFormat {
    /// Lines for people.
    Text,
    /// One JSON object on one line.
    Json,
}

impl ErrorFormat {
    /// What the output that was asked for means for errors. The arguments are looked at as they
    /// were typed, because an error may be that they cannot be read.
    pub(super) fn of(arguments: &[String], variable: Option<&str>) -> Self {
        let mut own = arguments.iter().take_while(|word| *word != "--");
        let mut format = variable.map(str::to_owned);
        while let Some(word) = own.next() {
            let long = word.strip_prefix("--output");
            let short = word.strip_prefix("-o").filter(|_| !word.starts_with("--"));
            match long.or(short) {
                Some("") => format = own.next().cloned(),
                Some(value) if long.is_none() || value.starts_with('=') => {
                    format = Some(value.trim_start_matches('=').to_owned());
                }
                Some(_) | None => {}
            }
        }
        match format.as_deref() {
            Some("json" | "ndjson") => Self::Json,
            _ => Self::Text,
        }
    }

    /// What this process was asked for.
    pub(super) fn chosen() -> Self {
        let arguments: Vec<String> =
            std::env::args_os().map(|it| it.to_string_lossy().into_owned()).collect();
        Self::of(&arguments, std::env::var("CAPIM_OUTPUT").ok().as_deref())
    }

    /// An error as it is told, without the line's end.
    pub(super) fn text(self, error: &CliError) -> String {
        match self {
            Self::Text => error.to_string(),
            Self::Json => output::json_line(&as_value(error)).trim_end().to_owned(),
        }
    }

    /// Tells an error on stderr; answers the exit code.
    pub(super) fn tell(self, error: &CliError) -> ExitCode {
        output::tell(&self.text(error));
        ExitCode::from(error.exit as u8)
    }
}

/// An error as a document. Details that are no notes are what led to it.
fn as_value(error: &CliError) -> Value {
    let note = |text: &str| text.strip_prefix("note: ").map(str::to_owned);
    let cause = |text: &str| text.strip_prefix("cause: ").unwrap_or(text).to_owned();
    let notes: Vec<String> = error.notes.iter().filter_map(|text| note(text)).collect();
    let causes = error.notes.iter().filter(|text| note(text).is_none());
    let causes: Vec<String> = causes.map(|text| cause(text)).collect();
    let mut value = json!({
        "apiVersion": output::API_VERSION,
        "kind": "Error",
        "code": error.code,
        "message": error.message,
        "causes": causes,
        "notes": notes,
        "hints": error.hints,
        "exitCode": error.exit as u8,
    });
    if let Some(help) = &error.help {
        value["help"] = (**help).into();
    }
    if let Some(place) = &error.place {
        value["place"] = json!({"file": place.file, "line": place.line, "column": place.column});
    }
    value
}

/// What clap says of arguments that it cannot read, for those who want JSON.
pub(super) fn usage_error(error: &clap::Error) -> CliError {
    let text = error.render().to_string();
    let mut lines = text.lines();
    let message = lines.next().unwrap_or_default().trim_start_matches("error: ");
    let mut shown = CliError::new("E002", Exit::Usage, message);
    // A message that ends with a colon goes on in the next lines.
    let rest = lines.map(str::trim).take_while(|line| !line.is_empty());
    for line in rest.filter(|line| !line.starts_with("tip: ")) {
        shown = shown.note(line);
    }
    for (kind, value) in error.context() {
        let is_suggestion = matches!(
            kind,
            ContextKind::SuggestedArg
                | ContextKind::SuggestedSubcommand
                | ContextKind::SuggestedValue
        );
        if is_suggestion && let Some(name) = first(value) {
            shown = shown.help(format!("did you mean {name:?}?"));
        }
    }
    shown.hint("--help")
}

fn first(value: &ContextValue) -> Option<String> {
    match value {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => texts.first().cloned(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acts::Place;

    #[test]
    fn the_output_that_was_asked_for_is_that_of_errors() {
        let of = |line: &str, variable| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            ErrorFormat::of(&words, variable)
        };
        for line in [
            "capim get a -o json",
            "capim get a -ojson",
            "capim get a -o=ndjson",
            "capim get a --output json",
            "capim get -o yaml a --output=json",
        ] {
            assert_eq!(of(line, None), ErrorFormat::Json, "{line}");
        }
        for line in ["capim get a", "capim get a -o yaml", "capim exec -- x -o json", "capim a -o"]
        {
            assert_eq!(of(line, None), ErrorFormat::Text, "{line}");
        }
        assert_eq!(of("capim get a", Some("json")), ErrorFormat::Json);
        assert_eq!(of("capim get a -o table", Some("json")), ErrorFormat::Text);
    }

    #[test]
    fn an_error_is_one_document() {
        let place = Place { file: "a.yaml".to_owned(), line: 3, column: 7 };
        let error = CliError::new("E030", Exit::NotFound, "cluster \"a\" not found")
            .at(Some(place))
            .note("cause: it was deleted")
            .note("note: b is there")
            .note("c is there, too")
            .help("did you mean \"b\"?")
            .hint("capim get clusters");
        assert_eq!(
            as_value(&error),
            json!({"apiVersion": "cli.capim.dev/v1alpha1", "kind": "Error", "code": "E030",
                "message": "cluster \"a\" not found", "causes": ["it was deleted", "c is there, too"],
                "notes": ["b is there"], "help": "did you mean \"b\"?",
                "hints": ["capim get clusters"], "exitCode": 4,
                "place": {"file": "a.yaml", "line": 3, "column": 7}})
        );
    }
}
