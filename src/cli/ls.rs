//! `capim ls`: the instances of this user.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::error::CliError;
use super::instance::{Instance, State};
use super::output::{self, ListFormat};
use super::table;
use crate::clock::Clock;
use crate::tui::text::age;

/// `capim ls`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  capim ls
  capim ls --all                       also those that are stopped
  capim ls -o json")]
pub struct Ls {
    /// Also instances that do not run, whose certificates and ports are kept.
    #[arg(short = 'a', long)]
    pub all: bool,
    /// Output format.
    #[arg(short = 'o', long, value_enum, default_value_t = ListFormat::Table)]
    pub output: ListFormat,
}

pub(super) fn run(ls: &Ls) -> Result<ExitCode, CliError> {
    let found = Instance::all().into_iter().map(|instance| {
        let state = instance.state();
        (instance, state)
    });
    let found: Vec<(Instance, State)> =
        found.filter(|(_, state)| ls.all || !matches!(state, State::Stopped)).collect();
    if found.is_empty() && matches!(ls.output, ListFormat::Table) {
        eprintln!("No playground is running.");
        return Ok(ExitCode::SUCCESS);
    }
    match ls.output {
        ListFormat::Table => {
            let headers = ["NAME", "STATE", "PID", "API", "AGE"].map(str::to_owned);
            let rows: Vec<Vec<String>> = found.iter().map(row).collect();
            output::write(table::plain(&headers, &rows))?;
        }
        ListFormat::Name => {
            let names: String = found.iter().map(|(it, _)| format!("{}\n", it.name())).collect();
            output::write(names)?;
        }
        ListFormat::Json | ListFormat::Yaml | ListFormat::Ndjson => {
            output::list("InstanceList", found.iter().map(document).collect(), ls.output)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn row((instance, state): &(Instance, State)) -> Vec<String> {
    let name = instance.name().to_owned();
    let word = word(state).to_owned();
    match state {
        State::Running(record) => {
            let age = age(record.started.parse().ok(), Clock::wall().now());
            vec![name, word, record.pid.to_string(), record.api.clone(), age]
        }
        State::Stale(record) => vec![name, word, "-".into(), record.api.clone(), "-".into()],
        State::Starting | State::Stopped => vec![name, word, "-".into(), "-".into(), "-".into()],
    }
}

/// One word for a state.
pub(super) fn word(state: &State) -> &'static str {
    match state {
        State::Stopped => "stopped",
        State::Stale(_) => "stale",
        State::Starting => "starting",
        State::Running(record) if record.detached => "running",
        State::Running(_) => "running, in a terminal",
    }
}

fn document((instance, state): &(Instance, State)) -> Value {
    let record = match state {
        State::Running(record) | State::Stale(record) => Some(record),
        State::Starting | State::Stopped => None,
    };
    let running = matches!(state, State::Running(_));
    json!({
        "name": instance.name(),
        "state": word(state).split(',').next(),
        "pid": record.filter(|_| running).map(|it| it.pid),
        "api": record.map(|it| &it.api),
        "kubeconfig": record.map(|it| &it.kubeconfig),
        "detached": record.map(|it| it.detached),
        "started": record.filter(|_| running).map(|it| &it.started),
        "seed": record.map(|it| it.seed),
    })
}
