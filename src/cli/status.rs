//! `capim status`: what a running instance is and holds.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::connection::{client_of, none_runs, request_failed};
use super::error::CliError;
use super::instance::{Instance, Record, State};
use super::ls::word;
use super::output::{self, ListFormat};
use super::table;
use crate::api::core::{Cluster, Machine};
use crate::clock::Clock;
use crate::contract::conditions;
use crate::tui::text::age;

/// `capim status`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  capim status
  capim -i ci status -o json

Exit code 6 if it does not run.")]
pub struct Status {
    /// Output format.
    #[arg(short = 'o', long, value_enum, default_value_t = ListFormat::Table)]
    pub output: ListFormat,
}

pub(super) async fn run(status: Status) -> Result<ExitCode, CliError> {
    let instance = Instance::chosen();
    let state = instance.state();
    let State::Running(record) = &state else {
        let error = none_runs(&instance);
        return Err(match state {
            State::Stale(record) => {
                error.note(format!("note: process {} ended without cleaning up", record.pid))
            }
            State::Starting => error.note("note: it is just starting"),
            State::Stopped | State::Running(_) => error,
        });
    };
    let counts = Counts::ask(record).await?;
    match status.output {
        ListFormat::Table => output::write(table::plain(&[], &rows(&instance, record, &counts)))?,
        ListFormat::Name => output::write(format!("{}\n", instance.name()))?,
        ListFormat::Json => output::json(&document(&instance, record, &counts))?,
        ListFormat::Yaml => output::yaml(&document(&instance, record, &counts))?,
        ListFormat::Ndjson => {
            output::write(format!("{}\n", document(&instance, record, &counts)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What the playground holds.
struct Counts {
    clusters: usize,
    available: usize,
    /// Phase -> machines.
    machines: BTreeMap<String, usize>,
}

impl Counts {
    async fn ask(record: &Record) -> Result<Self, CliError> {
        if record.kubeconfig.as_os_str().is_empty() {
            return Err(Instance::chosen().has_no_kubeconfig());
        }
        let client = client_of(&record.kubeconfig, None).await?;
        let failed = |error| request_failed("list clusters and machines", &error);
        let clusters: Vec<Cluster> = client.list("", "").await.map_err(failed)?;
        let all: Vec<Machine> = client.list("", "").await.map_err(failed)?;
        let is_available = |cluster: &&Cluster| {
            let status = cluster.status.as_ref();
            let conditions = status.map_or(&[][..], |status| status.conditions.as_slice());
            conditions::get(conditions, "Available").is_some_and(|it| it.status == "True")
        };
        let mut machines = BTreeMap::new();
        for machine in &all {
            let phase = machine.status.as_ref().map_or("", |status| status.phase.as_str());
            let phase = if phase.is_empty() { "Pending" } else { phase };
            *machines.entry(phase.to_owned()).or_default() += 1;
        }
        let available = clusters.iter().filter(is_available).count();
        Ok(Self { clusters: clusters.len(), available, machines })
    }
}

fn rows(instance: &Instance, record: &Record, counts: &Counts) -> Vec<Vec<String>> {
    let state = word(&State::Running(Box::new(record.clone()))).to_owned();
    let since = age(record.started.parse().ok(), Clock::wall().now());
    let phases: Vec<String> =
        counts.machines.iter().map(|(phase, count)| format!("{count} {phase}")).collect();
    let machines = if phases.is_empty() { "none".to_owned() } else { phases.join(", ") };
    let options: Vec<String> =
        record.options.iter().map(|(flag, value)| format!("--{flag} {value}")).collect();
    let options = options.iter().map(|option| option.trim_end()).collect::<Vec<_>>();
    [
        ("instance", instance.name().to_owned()),
        ("state", format!("{state}, process {}, for {}", record.pid, since)),
        ("api", record.api.clone()),
        ("kubeconfig", record.kubeconfig.display().to_string()),
        ("log", instance.log().display().to_string()),
        ("seed", record.seed.to_string()),
        ("flags", options.join(" ")),
        ("clusters", format!("{}/{} Available", counts.available, counts.clusters)),
        ("machines", machines),
    ]
    .into_iter()
    .map(|(name, value)| vec![name.to_owned(), value])
    .collect()
}

fn document(instance: &Instance, record: &Record, counts: &Counts) -> Value {
    json!({
        "apiVersion": output::API_VERSION,
        "kind": "InstanceStatus",
        "name": instance.name(),
        "state": "running",
        "pid": record.pid,
        "detached": record.detached,
        "started": record.started,
        "api": record.api,
        "kubeconfig": record.kubeconfig,
        "log": instance.log(),
        "seed": record.seed,
        "version": record.version,
        "options": record.options,
        "clusters": {"total": counts.clusters, "available": counts.available},
        "machines": counts.machines,
    })
}
