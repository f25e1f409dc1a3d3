//! `capim examples`: manifests that come with the executable.

use std::process::ExitCode;

use super::arguments::Examples;
use super::error::{CliError, Exit};
use super::output;
use crate::playground::Example;

pub(super) fn run(arguments: &Examples) -> Result<ExitCode, CliError> {
    let Some(name) = &arguments.name else {
        let width = Example::all().map(|example| example.name.len()).max().unwrap_or(0);
        let lines = Example::all()
            .map(|example| format!("{:width$}  {}\n", example.name, example.summary()));
        output::write(lines.collect::<String>())?;
        return Ok(ExitCode::SUCCESS);
    };
    let Some(example) = Example::all().find(|example| example.name == name) else {
        let error = CliError::new("E026", Exit::NotFound, format!("there is no example {name:?}"));
        return Err(error.hint("capim examples"));
    };
    output::write(example.content)?;
    Ok(ExitCode::SUCCESS)
}
