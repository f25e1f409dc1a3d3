//! `capim down` and `capim restart`.

use std::ffi::OsString;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use clap::Args;
use rustix::process::{Pid, Signal, kill_process};

use super::background::{self, Start};
use super::error::{CliError, Exit};
use super::instance::{Instance, Record, State};
use super::merged;
use super::output;
use crate::api::core::Cluster;
use crate::client::Client;
use crate::clock::Clock;

/// How long a playground may take to end, and then once more after a second signal.
const END_MAX: Duration = Duration::from_secs(5);
/// How often its lock is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long the count of what is lost may take.
const COUNT_MAX: Duration = Duration::from_secs(2);

/// `capim down`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  capim down                           what does not run is no error
  capim down --all

All objects are lost: capim keeps them in memory. Certificates and the port are kept, so that an
exported KUBECONFIG is valid again after the next `capim up`; --forget removes them, too.")]
pub struct Down {
    /// All instances.
    #[arg(long)]
    pub all: bool,
    /// Remove the instance's directory, too: certificates, port, kubeconfig and logs.
    #[arg(long)]
    pub forget: bool,
}

/// `capim restart`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  capim restart                        with the flags of its `capim up -d`

All objects are lost, as with `capim down`; an exported KUBECONFIG stays valid.")]
pub struct Restart {}

pub(super) async fn run(down: Down) -> Result<ExitCode, CliError> {
    let clock = Clock::wall();
    let chosen = if down.all { Instance::all() } else { vec![Instance::chosen()] };
    for instance in &chosen {
        match instance.state() {
            State::Running(record) => stop(instance, &record, &clock).await?,
            State::Starting => return Err(starting(instance)),
            State::Stale(_) => {
                merged::remove(instance, &clock).await?;
                instance.forget_record();
                let text = format!("instance {:?} had ended without cleaning up", instance.name());
                eprintln!("{text}; it is cleaned up now");
            }
            State::Stopped if !down.all => {
                merged::remove(instance, &clock).await?;
                eprintln!("instance {:?} is not running", instance.name());
            }
            State::Stopped => {}
        }
        if down.forget {
            remove(&instance.directory())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn remove(directory: &Path) -> Result<(), CliError> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(super::instance::unusable(directory, &error))
        }
        _ => Ok(()),
    }
}

fn starting(instance: &Instance) -> CliError {
    let message = format!("instance {:?} is just starting", instance.name());
    CliError::new("E014", Exit::Conflict, message).hint("try again in a second")
}

/// Stops a playground and says what is lost.
async fn stop(instance: &Instance, record: &Record, clock: &Clock) -> Result<(), CliError> {
    let lost = match clock.timeout(COUNT_MAX, clusters(record)).await {
        Ok(Some(0)) => "it had no clusters".to_owned(),
        Ok(Some(1)) => "its cluster is lost".to_owned(),
        Ok(Some(count)) => format!("its {count} clusters are lost"),
        Ok(None) | Err(_) => "its objects are lost".to_owned(),
    };
    let pid = Pid::from_raw(record.pid.cast_signed());
    let pid = pid.ok_or_else(|| CliError::other("the instance does not say who runs it"))?;
    for _ in 0..2 {
        kill_process(pid, Signal::TERM).map_err(|error| {
            let message = format!("failed to stop process {}: {error}", record.pid);
            CliError::new("E016", Exit::Environment, message)
        })?;
        let ended = clock.timeout(END_MAX, async {
            while matches!(instance.state(), State::Running(_) | State::Starting) {
                clock.sleep(LOOK).await;
            }
        });
        if ended.await.is_ok() {
            let name = instance.name();
            output::write(format!("instance {name:?} stopped; {lost}\n"))?;
            eprintln!(
                "certificates and port are kept: an exported KUBECONFIG is valid again after `capim up`"
            );
            return Ok(());
        }
    }
    let message = format!("process {} does not end", record.pid);
    Err(CliError::new("E016", Exit::Other, message).hint(format!("kill -9 {}", record.pid)))
}

async fn clusters(record: &Record) -> Option<usize> {
    let client = Client::from_kubeconfig_file(&record.kubeconfig, "capim").await.ok()?;
    Some(client.list::<Cluster>("", "").await.ok()?.len())
}

pub(super) async fn restart(_: Restart) -> Result<ExitCode, CliError> {
    let (instance, clock) = (Instance::chosen(), Clock::wall());
    let record = match instance.state() {
        State::Running(record) if !record.detached => {
            let message = format!(
                "instance {:?} runs in a terminal, as process {}",
                instance.name(),
                record.pid
            );
            return Err(CliError::new("E014", Exit::Conflict, message)
                .hint("quit it there and start it again")
                .hint(format!("{} down && {0} up -d", instance.command())));
        }
        State::Running(record) => {
            stop(&instance, &record, &clock).await?;
            record
        }
        State::Stale(record) if record.detached => record,
        State::Starting => return Err(starting(&instance)),
        State::Stale(_) | State::Stopped => return Err(super::connection::none_runs(&instance)),
    };
    if record.options.get("file").is_some_and(|files| files.split(' ').any(|file| file == "-")) {
        return Err(CliError::new("E002", Exit::Usage, "what was read from stdin is gone")
            .hint(format!("{} up -d -f FILE", instance.command())));
    }
    let arguments = record.arguments.iter().map(OsString::from);
    let place = (record.directory.as_path(), Stdio::null());
    background::start(&instance, arguments, place, Start::Again).await
}
