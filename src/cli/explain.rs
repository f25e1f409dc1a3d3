//! `capim explain`: what an error code means.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::codes::{self, CODES, Code};
use super::error::{CliError, Exit};
use super::output::{self, ListFormat};
use crate::machinery::nearest::near;

/// `capim explain`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  capim explain                        lists all codes
  capim explain E012")]
pub struct Explain {
    /// Which code; all are listed without it.
    #[arg(value_name = "CODE", add = super::complete::codes())]
    pub code: Option<String>,
    /// Output format.
    #[arg(short = 'o', long, value_enum, default_value_t = ExplainFormat::Text)]
    pub output: ExplainFormat,
}

/// Output of `capim explain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExplainFormat {
    /// Text for people.
    Text,
    /// JSON.
    Json,
}

pub(super) fn run(explain: &Explain) -> Result<ExitCode, CliError> {
    let chosen = match &explain.code {
        Some(name) => vec![codes::find(name).ok_or_else(|| unknown(name))?],
        None => CODES.iter().collect(),
    };
    match (explain.output, explain.code.is_some()) {
        (ExplainFormat::Json, _) => {
            let items = chosen.into_iter().map(as_value).collect();
            output::list("ErrorCodeList", items, ListFormat::Json)?;
        }
        (ExplainFormat::Text, true) => {
            output::write(chosen.into_iter().map(text).collect::<String>())?;
        }
        (ExplainFormat::Text, false) => {
            let line = |it: &Code| format!("{}  {}\n", it.code, it.title);
            output::write(chosen.into_iter().map(line).collect::<String>())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn unknown(name: &str) -> CliError {
    let error = CliError::new("E030", Exit::NotFound, format!("there is no error code {name:?}"));
    let typed = name.to_ascii_uppercase();
    match near(&typed, CODES.iter().map(|it| it.code.to_owned())) {
        Some(near) => error.help(format!("did you mean {near:?}?")),
        None => error,
    }
    .hint("capim explain                lists all codes")
}

fn text(code: &Code) -> String {
    let mut text = format!("{}: {}\n", code.code, code.title);
    for (title, lines) in [("causes", code.causes), ("next steps", code.next)] {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "\n{title}:");
        for line in lines {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

fn as_value(code: &Code) -> Value {
    json!({"code": code.code, "title": code.title, "causes": code.causes, "next": code.next})
}
