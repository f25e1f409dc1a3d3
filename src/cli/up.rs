//! `capim up`: starts a playground, applies manifests, waits, and then runs a command, shows the
//! dashboard or reports in lines until it is told to stop.

use std::io::IsTerminal;
use std::net::IpAddr;
use std::process::ExitCode;

use super::arguments::{Up, WaitFor};
use super::error::{CliError, Exit};
use super::output::{line, warning};
use super::signals::Signals;
use super::{child, report};
use crate::clock::{Clock, Seed};
use crate::playground::{
    ApiPort, Config, Manifest, Playground, PlaygroundError, ServiceUrls, apply_manifests,
    certify_webhooks, default_kubeconfig_path, raise_file_limit, read_manifests, state_directory,
};
use crate::tui;

/// Open files without which not even an empty playground is useful.
pub(super) const FILES_MIN: u64 = 128;

/// Ports tried when none was asked for.
const API_PORTS: ApiPort = ApiPort::FirstFree(7443, 7499);

pub(super) async fn run(up: Up) -> Result<ExitCode, CliError> {
    // What can be refused is refused before anything starts.
    let manifests = read_manifests(&up.files)
        .map_err(|error| CliError::new("E080", Exit::Other, error.to_string()))?;
    check_file_limit()?;
    let mode = Mode::of(&up);
    let clock = Clock::wall();
    log_to(mode);
    let mut signals = Signals::listen()?;
    let seed = Seed(up.seed.unwrap_or_else(random_seed));
    warn_of_listening(&clock, up.network.listen);
    let config = Config {
        providers: up.selection(),
        address: up.network.listen,
        names: up.network.names(),
        api_port: up.api_port.map_or(API_PORTS, ApiPort::Exact),
        workload_ports: up.workload_ports.first..=up.workload_ports.last,
        seed,
        clock: clock.clone(),
        webhooks: webhooks(&up, &clock)?,
        watch_events: mode == Mode::Dashboard,
        kubeconfig: Some(up.kubeconfig.clone().unwrap_or_else(default_kubeconfig_path)),
    };
    let playground = Playground::start(config).await.map_err(start_failed)?;
    announce(&playground, mode, seed);
    let outcome = tokio::select! {
        outcome = session(&playground, &up, mode, &manifests) => outcome,
        code = signals.next() => Ok(ExitCode::from(code)),
    };
    playground.stop().await;
    outcome
}

/// Where webhooks of Services are, with a certificate for them.
fn webhooks(up: &Up, clock: &Clock) -> Result<ServiceUrls, CliError> {
    if up.webhooks.is_empty() {
        return Ok(ServiceUrls::default());
    }
    let default = || state_directory().join("webhook-certs");
    let directory = up.webhook_cert_dir.clone().unwrap_or_else(default);
    let urls = certify_webhooks(&up.webhooks, &directory)
        .map_err(|error| CliError::new("E062", Exit::Environment, error.to_string()))?;
    line(clock, &format!("webhooks use: --webhook-cert-dir={}", directory.display()));
    Ok(urls)
}

/// How the playground shows itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// The dashboard, until it is quit.
    Dashboard,
    /// Lines on stderr, until a signal.
    Lines,
    /// Lines on stderr, until the command ends.
    Command,
}

impl Mode {
    fn of(up: &Up) -> Self {
        let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if !up.command.is_empty() {
            Self::Command
        } else if up.headless || !terminal || dumb {
            Self::Lines
        } else {
            Self::Dashboard
        }
    }
}

async fn session(
    playground: &Playground,
    up: &Up,
    mode: Mode,
    manifests: &[Manifest],
) -> Result<ExitCode, CliError> {
    if !manifests.is_empty() {
        apply_manifests(playground.client(), "default", manifests)
            .await
            .map_err(|error| CliError::new("E080", Exit::Other, error.to_string()))?;
    }
    if mode == Mode::Dashboard {
        tui::run(playground.sources())
            .await
            .map_err(|error| CliError::other(format!("dashboard: {error}")))?;
        return Ok(ExitCode::SUCCESS);
    }
    if up.wait == WaitFor::Clusters {
        let started = playground.clock().elapsed();
        let applied = manifests.iter().filter_map(|manifest| manifest.cluster_key("default"));
        playground
            .readiness()
            .expecting(applied)
            .wait(up.timeout)
            .await
            .map_err(|error| with_external(report::timed_out(&error), playground.external()))?;
        let took = playground.clock().elapsed().saturating_sub(started).as_secs_f64();
        let count = playground.cluster_count();
        line(playground.clock(), &format!("ready clusters={count}/{count} took={took:.1}s"));
    }
    if mode == Mode::Command {
        return child::run(&up.command, playground.kubeconfig_path(), playground.url()).await;
    }
    std::future::pending().await
}

fn announce(playground: &Playground, mode: Mode, seed: Seed) {
    let (api, path) = (playground.url(), playground.kubeconfig_path().display().to_string());
    match mode {
        Mode::Dashboard => {}
        Mode::Lines | Mode::Command => {
            let external = match playground.external() {
                [] => String::new(),
                names => format!(" external={}", names.join(",")),
            };
            let text = format!("up api={api} kubeconfig={path} seed={}{external}", seed.0);
            line(playground.clock(), &text);
            if mode == Mode::Lines {
                line(playground.clock(), &format!("use: export KUBECONFIG={path}"));
            }
        }
    }
}

/// A timeout that may be due to providers that the user has not started.
fn with_external(error: CliError, external: &[&str]) -> CliError {
    match external {
        [] => error,
        names => error.note(format!(
            "external providers: {}; nothing of capim reconciles their objects",
            names.join(", ")
        )),
    }
}

/// Says so when ports are opened to more than this machine.
pub(super) fn warn_of_listening(clock: &Clock, address: IpAddr) {
    if !address.is_loopback() {
        let text = format!(
            "listening on {address}: whoever reaches this machine reaches all API servers; only \
             certificates and tokens keep them out"
        );
        warning(clock, &text);
    }
}

pub(super) fn check_file_limit() -> Result<(), CliError> {
    match raise_file_limit() {
        Some(limit) if limit < FILES_MIN => {
            let message =
                format!("file limit too low: need at least {FILES_MIN}, hard limit is {limit}");
            let hint = "ulimit -Hn 8192   (systemd: LimitNOFILE=8192); each cluster takes one";
            Err(CliError::new("E070", Exit::Environment, message).hint(hint))
        }
        _ => Ok(()),
    }
}

/// Logs go to stderr, or to a file while the dashboard owns the terminal. `CAPIM_LOG` filters.
fn log_to(mode: Mode) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("CAPIM_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
    let file = || {
        let directory = state_directory();
        std::fs::create_dir_all(&directory).ok()?;
        std::fs::File::create(directory.join("capim.log")).ok()
    };
    // A second subscriber is refused; then the first one goes on.
    let _ = match mode {
        Mode::Dashboard => match file() {
            Some(file) => builder.with_writer(std::sync::Mutex::new(file)).try_init(),
            None => Ok(()),
        },
        Mode::Lines | Mode::Command => builder.with_writer(std::io::stderr).try_init(),
    };
}

/// Logs go to stderr.
pub(super) fn log_to_stderr() {
    log_to(Mode::Lines);
}

/// A seed that nobody asked for, short enough to be typed.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish() % 1_000_000
}

fn start_failed(error: PlaygroundError) -> CliError {
    match &error {
        PlaygroundError::PortTaken { port } => {
            CliError::new("E012", Exit::Conflict, error.to_string())
                .hint("capim up --api-port 0        any free port")
                .hint(format!("capim up --api-port {}", port.saturating_add(57)))
        }
        PlaygroundError::Listen { .. } | PlaygroundError::Kubeconfig { .. } => {
            CliError::new("E013", Exit::Environment, error.to_string())
        }
        PlaygroundError::Pki(_) | PlaygroundError::Seed(_) => CliError::other(error),
    }
}
