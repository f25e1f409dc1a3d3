//! `capim down` and `capim restart`.

use std::ffi::OsString;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use clap::{Args, Parser};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::arguments::{Arguments, Command};
use super::background::{self, Launch, Start};
use super::error::{CliError, Exit};
use super::instance::{Instance, Record, State};
use super::merged;
use super::output;
use crate::api::core::Cluster;
use crate::client::Client;
use crate::clock::Clock;

/// How long a playground may take to end, and then once more after a second signal.
const END_MAX: Duration = Duration::from_secs(10);
/// How often its lock is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long the count of what is lost may take.
const COUNT_MAX: Duration = Duration::from_secs(10);

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
  capim restart                        with the flags and CAPIM_* variables of its `capim up -d`

All objects are lost, as with `capim down`; an exported KUBECONFIG stays valid.")]
pub struct Restart {}

pub(super) async fn run(down: Down) -> Result<ExitCode, CliError> {
    let clock = Clock::wall();
    let chosen = if down.all { Instance::all() } else { vec![Instance::chosen()] };
    let mut failed: Option<CliError> = None;
    for instance in &chosen {
        // One that does not end is no reason to leave the others running.
        if let Err(error) = end(instance, &down, &clock).await
            && let Some(earlier) = failed.replace(error)
        {
            output::tell(&earlier.to_string());
        }
    }
    failed.map_or(Ok(ExitCode::SUCCESS), Err)
}

async fn end(instance: &Instance, down: &Down, clock: &Clock) -> Result<(), CliError> {
    let (state, name) = (instance.state(), instance.name());
    match &state {
        State::Starting => return Err(starting(instance)),
        State::Running(record) => {
            let lost = stop(instance, record, clock).await?;
            output::write(format!("instance {name:?} stopped; {lost}\n"))?;
            if !down.forget {
                output::tell(
                    "certificates and port are kept: an exported KUBECONFIG is valid again after `capim up`",
                );
                return Ok(());
            }
        }
        State::Stopped | State::Stale(_) => {}
    }
    let exists = instance.directory().is_dir();
    if exists && (down.forget || !down.all || matches!(state, State::Stale(_))) {
        // Nobody starts it while it is cleaned up. Taking it forgets what it said of itself.
        let hold = instance.hold(clock).await?;
        merged::remove(instance, clock).await?;
        if down.forget {
            remove(&instance.directory())?;
        }
        drop(hold);
    }
    match state {
        State::Stale(_) => output::tell(&format!(
            "instance {name:?} had ended without cleaning up; it is cleaned up now"
        )),
        State::Stopped if !down.all => output::tell(&format!("instance {name:?} is not running")),
        State::Stopped | State::Running(_) | State::Starting => {}
    }
    Ok(())
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

/// Stops a playground; answers what is lost.
async fn stop(instance: &Instance, record: &Record, clock: &Clock) -> Result<String, CliError> {
    let lost = match clock.timeout(COUNT_MAX, clusters(record)).await {
        Ok(Some(0)) => "it had no clusters".to_owned(),
        Ok(Some(1)) => "its cluster is lost".to_owned(),
        Ok(Some(count)) => format!("its {count} clusters are lost"),
        Ok(None) | Err(_) => "its objects are lost".to_owned(),
    };
    let pid = Pid::from_raw(record.pid.cast_signed());
    let pid = pid.ok_or_else(|| CliError::other("the instance does not say who runs it"))?;
    for _ in 0..2 {
        // The number may be another process's by now.
        if has_ended(instance, record, pid) {
            return Ok(lost);
        }
        match kill_process(pid, Signal::TERM) {
            Ok(()) => {}
            Err(Errno::SRCH) => return Ok(lost),
            Err(error) => {
                let message = format!("failed to stop process {}: {error}", record.pid);
                return Err(CliError::new("E016", Exit::Environment, message));
            }
        }
        let ended = clock.timeout(END_MAX, async {
            while !has_ended(instance, record, pid) {
                clock.sleep(LOOK).await;
            }
        });
        if ended.await.is_ok() {
            return Ok(lost);
        }
    }
    let message = format!("process {} does not end", record.pid);
    Err(CliError::new("E016", Exit::Other, message).hint(format!("kill -9 {}", record.pid)))
}

/// Whether the process that described itself so has ended; somebody else may have the instance.
fn has_ended(instance: &Instance, record: &Record, pid: Pid) -> bool {
    match instance.state() {
        State::Stopped | State::Stale(_) => true,
        State::Running(now) => (now.pid, &now.started) != (record.pid, &record.started),
        // It takes its description along before it ends; the next one has none at first.
        State::Starting => test_kill_process(pid) == Err(Errno::SRCH),
    }
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
            refuse_again(&instance, &record)?;
            let lost = stop(&instance, &record, &clock).await?;
            output::tell(&format!("instance {:?} stopped; {lost}", instance.name()));
            record
        }
        State::Stale(record) if record.detached => {
            refuse_again(&instance, &record)?;
            record
        }
        State::Starting => return Err(starting(&instance)),
        State::Stale(_) | State::Stopped => return Err(super::connection::none_runs(&instance)),
    };
    let launch = Launch {
        arguments: record.arguments.iter().map(OsString::from).collect(),
        directory: &record.directory,
        stdin: Stdio::null(),
        settings: record.settings.as_ref(),
        why: Start::Again,
    };
    background::start(&instance, launch).await
}

/// Refuses what could not be started again, as long as it runs.
fn refuse_again(instance: &Instance, record: &Record) -> Result<(), CliError> {
    let up = format!("{} up -d", instance.command());
    if !record.directory.is_dir() {
        let message = format!("{} is gone, where it was started", record.directory.display());
        return Err(CliError::new("E013", Exit::Environment, message)
            .hint(format!("{} down && {up}", instance.command())));
    }
    let words = ["capim"].into_iter().chain(record.arguments.iter().map(String::as_str));
    let files = match Arguments::try_parse_from(words).map(|arguments| arguments.command) {
        Ok(Some(Command::Up(up))) => up.files,
        _ => Vec::new(),
    };
    if files.iter().any(|file| file.as_os_str() == "-") {
        return Err(CliError::new("E002", Exit::Usage, "what was read from stdin is gone")
            .hint(format!("{up} -f FILE")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_started_again_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let refused = |directory: &Path, arguments: &[&str]| {
            let record = serde_json::json!({"pid": 1, "api": "", "kubeconfig": "", "started": "",
                "seed": 1, "version": "", "detached": true, "options": {}, "arguments": arguments,
                "directory": directory});
            let record: Record = serde_json::from_value(record).unwrap();
            refuse_again(&Instance::named("x"), &record).err().map(|error| error.code)
        };
        let here = directory.path();
        assert_eq!(refused(here, &["-i", "x", "up", "-d", "-f", "-"]), Some("E002"));
        assert_eq!(refused(here, &["up", "-d", "--file=-"]), Some("E002"));
        assert_eq!(refused(here, &["up", "-d", "-f", "a - b.yaml"]), None);
        assert_eq!(refused(&here.join("gone"), &["up", "-d"]), Some("E013"));
    }
}
