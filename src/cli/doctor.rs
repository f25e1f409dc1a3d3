//! `capim doctor`: whether this machine and this terminal are fit, line by line, each with a remedy.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::arguments::Target;
use super::connection::{connect, kubeconfig_path};
use super::error::{CliError, Exit};
use super::instance::Instance;
use super::output;
use super::table;
use super::up::FILES_MIN;
use crate::clock::Clock;
use crate::playground::{KUBERNETES_VERSION, make_private_directory, raise_file_limit};

/// `capim doctor`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  capim doctor

Exit code 8 if something fails.")]
pub struct Doctor {
    /// Which playground, and where in it.
    #[command(flatten)]
    pub target: Target,
}

/// How long another program may take to tell its version.
const VERSION_LIMIT: Duration = Duration::from_secs(5);
/// The first port that `capim up` tries.
const API_PORT: u16 = 7443;

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One line of the answer.
struct Finding {
    verdict: Verdict,
    what: &'static str,
    found: String,
    remedy: &'static str,
}

fn finding(verdict: Verdict, what: &'static str, found: impl Into<String>) -> Finding {
    Finding { verdict, what, found: found.into(), remedy: "" }
}

impl Finding {
    fn remedy(mut self, remedy: &'static str) -> Self {
        self.remedy = remedy;
        self
    }
}

pub(super) async fn run(doctor: Doctor) -> Result<ExitCode, CliError> {
    let playground = playground(&doctor.target).await;
    let running = playground.verdict == Verdict::Ok && playground.found.starts_with("running");
    let findings = [
        terminal(),
        encoding(),
        files(),
        state(),
        playground,
        port(running),
        lock(),
        kubectl().await,
    ];
    let rows: Vec<Vec<String>> = findings
        .iter()
        .map(|it| {
            let verdict = match it.verdict {
                Verdict::Ok => "ok",
                Verdict::Warn => "warn",
                Verdict::Fail => "fail",
            };
            let texts = [verdict, it.what, it.found.as_str(), it.remedy];
            texts.map(str::to_owned).to_vec()
        })
        .collect();
    output::write(table::plain(&[], &rows))?;
    match findings.iter().any(|it| it.verdict == Verdict::Fail) {
        true => Ok(ExitCode::from(Exit::Environment as u8)),
        false => Ok(ExitCode::SUCCESS),
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

fn terminal() -> Finding {
    let both = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    match (both, variable("TERM").as_str()) {
        (false, _) => finding(Verdict::Ok, "terminal", "none: no dashboard, lines instead"),
        (true, "" | "dumb") => finding(Verdict::Warn, "terminal", "TERM is dumb: no dashboard")
            .remedy("export TERM=xterm-256color"),
        (true, term) => {
            let size = crossterm::terminal::size().unwrap_or_default();
            finding(Verdict::Ok, "terminal", format!("{term}, {}x{}", size.0, size.1))
        }
    }
}

fn encoding() -> Finding {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].map(variable);
    let locale = set.iter().find(|value| !value.is_empty()).cloned().unwrap_or_default();
    let plain = locale.to_ascii_lowercase().replace('-', "");
    match plain.contains("utf8") {
        true => finding(Verdict::Ok, "encoding", locale),
        false => finding(Verdict::Warn, "encoding", format!("locale {locale:?} is not UTF-8"))
            .remedy("export LC_ALL=C.UTF-8"),
    }
}

fn files() -> Finding {
    match raise_file_limit() {
        None => finding(Verdict::Ok, "file limit", "none"),
        Some(limit) if limit < FILES_MIN => {
            finding(Verdict::Fail, "file limit", format!("{limit}, at least {FILES_MIN} needed"))
                .remedy("ulimit -Hn 8192   (systemd: LimitNOFILE=8192)")
        }
        Some(limit) if limit < 4096 => {
            let text = format!("{limit}: enough for about {} clusters", limit / 2);
            finding(Verdict::Warn, "file limit", text).remedy("ulimit -Hn 8192")
        }
        Some(limit) => finding(Verdict::Ok, "file limit", limit.to_string()),
    }
}

fn state() -> Finding {
    let directory = Instance::chosen().directory();
    let probe = directory.join(format!(".doctor.{}", std::process::id()));
    let tried = make_private_directory(&directory).and_then(|()| std::fs::write(&probe, ""));
    let _ = std::fs::remove_file(&probe);
    match tried {
        Ok(()) => finding(Verdict::Ok, "state directory", directory.display().to_string()),
        Err(error) => {
            let text = format!("{}: {error}", directory.display());
            finding(Verdict::Fail, "state directory", text).remedy("export XDG_STATE_HOME=DIR")
        }
    }
}

async fn playground(target: &Target) -> Finding {
    let path = kubeconfig_path(target);
    match connect(target).await {
        Ok(_) => finding(Verdict::Ok, "playground", format!("running, {}", path.display())),
        Err(error) if error.exit == Exit::NotRunning && !path.exists() => {
            finding(Verdict::Ok, "playground", "none is running")
        }
        Err(error) if error.exit == Exit::NotRunning => {
            let text = format!("{} is left over: nothing answers", path.display());
            finding(Verdict::Warn, "playground", text).remedy("capim up     writes it anew")
        }
        Err(error) => finding(Verdict::Warn, "playground", error.message),
    }
}

fn port(running: bool) -> Finding {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, API_PORT)) {
        Ok(_) => finding(Verdict::Ok, "port", format!("{API_PORT} is free")),
        Err(_) if running => finding(Verdict::Ok, "port", format!("{API_PORT} is in use")),
        Err(error) => {
            let text = format!("{API_PORT} cannot be used: {error}");
            finding(Verdict::Warn, "port", text).remedy("capim up takes the next free one")
        }
    }
}

/// A lock that a crashed program has left; kubectl fails as long as it is there.
fn lock() -> Finding {
    let home = std::env::home_dir().unwrap_or_else(|| PathBuf::from("."));
    let path = home.join(".kube").join("config.lock");
    match path.exists() {
        false => finding(Verdict::Ok, "kubeconfig lock", "none"),
        true => finding(Verdict::Warn, "kubeconfig lock", format!("{} exists", path.display()))
            .remedy("remove it, if no program is writing the file"),
    }
}

async fn kubectl() -> Finding {
    let program: OsString = "kubectl".into();
    let command = tokio::process::Command::new(program)
        .args(["version", "--client", "-o", "json"])
        .env_remove("KUBECONFIG")
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output();
    let Ok(Ok(output)) = Clock::wall().timeout(VERSION_LIMIT, command).await else {
        return finding(Verdict::Warn, "kubectl", "not found")
            .remedy("https://kubernetes.io/docs/tasks/tools");
    };
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let version = answer["clientVersion"]["gitVersion"].as_str().unwrap_or("of unknown version");
    let far = match (minor(version), minor(KUBERNETES_VERSION)) {
        (Some(own), Some(served)) => own.abs_diff(served) > 1,
        _ => true,
    };
    match far {
        false => finding(Verdict::Ok, "kubectl", version),
        true => {
            let text = format!("{version} beside an API of {KUBERNETES_VERSION}");
            finding(Verdict::Warn, "kubectl", text).remedy("supported: one minor version apart")
        }
    }
}

fn minor(version: &str) -> Option<u32> {
    version.split('.').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minor_versions_are_read() {
        assert_eq!(minor("v1.36.1"), Some(36));
        assert_eq!(minor("junk"), None);
    }
}
