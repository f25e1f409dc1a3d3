//! `capim up -d`: the same program again, in a session of its own, that tells its start line by
//! line through a pipe and then goes on alone.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{ExitCode, Stdio};

use clap::{Arg, CommandFactory};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::arguments::Arguments;
use super::error::{CliError, Exit};
use super::instance::{Instance, unusable};
use super::log_file::LogFile;
use super::output;
use super::signals::Signals;
use super::stop_when;

/// Set for the program that goes to the background.
const CHILD: &str = "CAPIM_BACKGROUND_CHILD";
/// Lines of its stderr that are shown when it ends without a word.
const LINES_SHOWN: usize = 5;

/// What it tells.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum News {
    /// A part is there.
    Step {
        /// Which part.
        what: String,
        /// What it is.
        detail: String,
        /// How long it took, in seconds.
        seconds: Option<f64>,
    },
    /// All that was asked for is there.
    Ready {
        /// Kubeconfig of the management API.
        kubeconfig: String,
    },
    /// It ends.
    Failed {
        /// The error as the user shall see it.
        text: String,
        /// Exit code.
        exit: u8,
    },
}

/// Whether this process is the one in the background.
pub(super) fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Whether it takes the place of one that was stopped for it.
pub(super) fn is_restart() -> bool {
    std::env::var_os(CHILD).is_some_and(|why| why == Start::Again.as_str())
}

/// Why a playground is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// By `up`.
    New,
    /// By `restart`.
    Again,
}

impl Start {
    fn as_str(self) -> &'static str {
        match self {
            Self::New => "up",
            Self::Again => "restart",
        }
    }
}

/// Leaves the terminal's session.
pub(super) fn leave_session() {
    // It fails for a leader only, which has nothing to leave.
    let _ = rustix::process::setsid();
}

/// Tells the one who waits; if nobody does, nobody needs to know.
pub(super) fn tell(news: &News) {
    let Ok(mut line) = serde_json::to_string(news) else { return };
    line.push('\n');
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush());
}

/// How the program is started.
pub(super) struct Launch<'a> {
    /// Arguments, without the program's name.
    pub(super) arguments: Vec<OsString>,
    /// Where it runs.
    pub(super) directory: &'a Path,
    /// What it reads.
    pub(super) stdin: Stdio,
    /// Its settings among the variables, in place of those of this process.
    pub(super) settings: Option<&'a BTreeMap<String, String>>,
    /// Why it is started.
    pub(super) why: Start,
}

/// Variables of this process that are settings of `capim up`, for a restart. The instance's name is
/// not among them: it is the place of the record.
pub(super) fn settings() -> BTreeMap<String, String> {
    let value = |name: String| std::env::var(&name).ok().map(|value| (name, value));
    setting_names().into_iter().filter_map(value).collect()
}

/// Names of the variables that change what `capim up` does.
fn setting_names() -> Vec<String> {
    let command = Arguments::command();
    let up = command.find_subcommand("up");
    let flags = up.into_iter().flat_map(clap::Command::get_arguments).filter_map(Arg::get_env);
    let flags = flags.map(|name| name.to_string_lossy().into_owned());
    flags.chain(["CAPIM_CONFIG", "CAPIM_LOG"].map(str::to_owned)).collect()
}

/// Starts the program in the background and shows its start.
///
/// # Errors
/// If it cannot be started or ends without a word. Its own errors are shown as they are and become
/// the exit code.
pub(super) async fn start(instance: &Instance, launch: Launch<'_>) -> Result<ExitCode, CliError> {
    let mut signals = Signals::listen()?;
    let program = std::env::current_exe().map_err(CliError::other)?;
    let mut command = tokio::process::Command::new(program);
    if let Some(settings) = launch.settings {
        for name in setting_names() {
            command.env_remove(name);
        }
        command.envs(settings);
    }
    if let Some(parent) = rustix::process::getppid() {
        command.env(stop_when::PARENT, parent.as_raw_nonzero().to_string());
    }
    let mut child = command
        .args(launch.arguments)
        .current_dir(launch.directory)
        .env(CHILD, launch.why.as_str())
        .env("CAPIM_INSTANCE", instance.name())
        .stdin(launch.stdin)
        .stdout(Stdio::piped())
        .stderr(stderr_of(instance)?)
        .spawn()
        .map_err(|error| CliError::other(format!("failed to start in the background: {error}")))?;
    let stdout = child.stdout.take().ok_or_else(|| CliError::other("no pipe to the child"))?;
    let mut lines = BufReader::new(stdout).lines();
    loop {
        let line = tokio::select! {
            line = lines.next_line() => line.map_err(CliError::other)?,
            code = signals.next() => {
                let pid = child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
                if let Some(pid) = pid {
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
                }
                tokio::select! {
                    _ = child.wait() => {}
                    _ = signals.next() => {}
                }
                return Ok(ExitCode::from(code));
            }
        };
        let Some(line) = line else { break };
        match serde_json::from_str(&line) {
            Ok(News::Step { what, detail, seconds }) => {
                let seconds = seconds.map(|it| format!("  {it:.2} s")).unwrap_or_default();
                let text = format!(" ✓ {what:<16} {detail:<36}{seconds}");
                eprintln!("{}", crate::tui::text::printable(text.trim_end()));
            }
            Ok(News::Ready { kubeconfig }) => return ready(instance, &kubeconfig),
            Ok(News::Failed { text, exit }) => {
                eprintln!("{text}");
                return Ok(ExitCode::from(exit));
            }
            Err(_) => {}
        }
    }
    let status = child.wait().await.map_err(CliError::other)?;
    Err(ended(instance, status))
}

fn ready(instance: &Instance, kubeconfig: &str) -> Result<ExitCode, CliError> {
    output::write(super::environment::export_line(kubeconfig))?;
    let command = instance.command();
    eprintln!(" {command} attach   dashboard        {command} down   stop");
    Ok(ExitCode::SUCCESS)
}

fn ended(instance: &Instance, status: std::process::ExitStatus) -> CliError {
    let message = format!("the playground ended while it started: {status}");
    let mut error = CliError::new("E015", Exit::Other, message);
    let text = std::fs::read_to_string(instance.stderr()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(LINES_SHOWN)..] {
        error = error.note(*line);
    }
    error.hint(format!("{} logs", instance.command()))
}

/// Its stderr: panics and little else, so a new file each time.
fn stderr_of(instance: &Instance) -> Result<std::fs::File, CliError> {
    // Makes the directory, too.
    LogFile::open(&instance.log()).map_err(|error| unusable(&instance.log(), &error))?;
    let path = instance.stderr();
    let mut options = OpenOptions::new();
    let file = options.create(true).write(true).truncate(true).mode(0o600).open(&path);
    file.map_err(|error| unusable(&path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_up_are_known_by_their_variables() {
        let names = setting_names();
        for name in ["CAPIM_CLUSTERS", "CAPIM_SEED", "CAPIM_LOG", "CAPIM_CONFIG"] {
            assert!(names.iter().any(|it| it == name), "{name}");
        }
        assert!(!names.iter().any(|it| it == "CAPIM_INSTANCE" || it == CHILD));
    }
}
