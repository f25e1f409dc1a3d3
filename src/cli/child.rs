//! A command that runs beside a server and ends it, or in the place of this process.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::error::{CliError, Exit};
use super::signals::Signals;
use crate::clock::Clock;

/// How long a command may take to end after a signal that was passed on to it.
const END_MAX: Duration = Duration::from_secs(10);

/// Runs the command with KUBECONFIG set and gives back its exit code (128 + n for signal n).
/// Signals are passed on to it; one that does not end by it is killed after ten seconds, or by the
/// second signal.
pub(super) async fn run(
    command: &[impl AsRef<OsStr>],
    kubeconfig: &Path,
    url: &str,
    signals: &mut Signals,
) -> Result<ExitCode, CliError> {
    use std::os::unix::process::ExitStatusExt;

    let instance = super::instance::Instance::chosen().name().to_owned();
    let (program, arguments) = split(command)?;
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .env("KUBECONFIG", kubeconfig)
        .env("CAPIM_API", url)
        .env("CAPIM_INSTANCE", instance)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| not_run(program, &error))?;
    let (clock, pid) = (Clock::wall(), child.id());
    let mut deadline = None;
    let status = loop {
        let left = deadline.map(|end: Duration| end.saturating_sub(clock.elapsed()));
        tokio::select! {
            status = child.wait() => break status.map_err(CliError::other)?,
            code = signals.next() => {
                // A terminal has sent its own signals to the command, too.
                if code == Signals::TERMINATE || !std::io::stdin().is_terminal() {
                    let signal = if deadline.is_some() { Signal::KILL } else { signal(code) };
                    send(pid, signal);
                    deadline = Some(clock.elapsed() + END_MAX);
                }
            }
            () = clock.sleep(left.unwrap_or_default()), if left.is_some() => {
                send(pid, Signal::KILL);
                break child.wait().await.map_err(CliError::other)?;
            }
        }
    };
    let code = status.code().or_else(|| status.signal().map(|number| 128 + number)).unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// Goes on as the command, with KUBECONFIG and other variables set: signals, the terminal and the
/// exit code are the command's own.
///
/// # Errors
/// `E004` if it cannot be started; else this does not come back.
pub(super) fn become_command(
    command: &[impl AsRef<OsStr>],
    kubeconfig: &Path,
    variables: &[(&str, String)],
) -> Result<ExitCode, CliError> {
    use std::os::unix::process::CommandExt;

    let (program, arguments) = split(command)?;
    let error = std::process::Command::new(program)
        .args(arguments)
        .env("KUBECONFIG", kubeconfig)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .exec();
    Err(not_run(program, &error))
}

fn split<T: AsRef<OsStr>>(command: &[T]) -> Result<(&OsStr, &[T]), CliError> {
    let (program, arguments) =
        command.split_first().ok_or_else(|| CliError::other("no command given"))?;
    Ok((program.as_ref(), arguments))
}

fn not_run(program: &OsStr, error: &std::io::Error) -> CliError {
    CliError::new("E004", Exit::Other, format!("failed to run {program:?}: {error}"))
        .hint(format!("command -v {}", program.display()))
}

/// The signal of an exit code.
fn signal(code: u8) -> Signal {
    Signal::from_named_raw(i32::from(code) - 128).unwrap_or(Signal::TERM)
}

/// Sends a signal to a child that was not waited for yet.
fn send(pid: Option<u32>, signal: Signal) {
    if let Some(pid) = pid.and_then(|pid| Pid::from_raw(pid.cast_signed())) {
        let _ = kill_process(pid, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_name_signals() {
        assert_eq!(signal(Signals::TERMINATE), Signal::TERM);
        assert_eq!(signal(Signals::HANGUP), Signal::HUP);
        assert_eq!(signal(130), Signal::INT);
    }
}
