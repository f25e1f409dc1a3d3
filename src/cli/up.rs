//! `capim up`: starts a playground, applies manifests, waits, and then runs a command, shows the
//! dashboard or reports in lines until it is told to stop.
//!
//! With a terminal it stays one process with its dashboard, which reads the caches that the
//! providers read; `capim up -d` and `capim attach` are two.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::net::IpAddr;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use clap::ValueEnum;

use super::arguments::{Up, WaitFor};
use super::background::{self, Launch, News, Start};
use super::error::{CliError, ErrorFormat, Exit};
use super::instance::{Instance, Record, State, unusable};
use super::log_file::LogFile;
use super::merged::{self, Current};
use super::output::{line, warning};
use super::progress::Progress;
use super::ready_file::ReadyFile;
use super::signals::Signals;
use super::stop_when::Watched;
use super::{attach, child, dashboard, output, port_owner, refused, report};
use crate::acts;
use crate::client::Client;
use crate::clock::{Clock, Seed};
use crate::playground::sample::{SampleCluster, Startup};
use crate::playground::{
    ApiPort, Config, Manifest, Playground, PlaygroundError, ServiceUrls, apply_manifests,
    certify_webhooks, raise_file_limit,
};
use crate::tui;

/// Open files without which not even an empty playground is useful.
pub(super) const FILES_MIN: u64 = 128;

/// Open files of a cluster: a listener and the connections that come and go.
const FILES_PER_CLUSTER: u64 = 2;

/// How long the playground may take to stop in order; a second signal ends it at once.
const END_MAX: Duration = Duration::from_secs(5);

/// Ports tried when none was asked for.
const API_PORTS: (u16, u16) = (7443, 7499);

pub(super) async fn run(up: Up) -> Result<ExitCode, CliError> {
    let instance = Instance::chosen();
    if background::is_child() {
        background::leave_session();
        let served = serve(&up, &instance).await;
        if let Err(error) = &served {
            let text = ErrorFormat::chosen().text(error);
            background::tell(&News::Failed { text, exit: error.exit as u8 });
        }
        return served;
    }
    if let State::Running(record) = instance.state() {
        return already_running(&up, &instance, &record).await;
    }
    if up.detach {
        let reads_stdin = up.files.iter().any(|file| file.as_os_str() == "-");
        let stdin = if reads_stdin { Stdio::inherit() } else { Stdio::null() };
        let directory = std::env::current_dir().map_err(CliError::other)?;
        let arguments = std::env::args_os().skip(1).collect();
        let (directory, why) = (directory.as_path(), Start::New);
        let launch = Launch { arguments, directory, stdin, settings: None, why };
        return background::start(&instance, launch).await;
    }
    serve(&up, &instance).await
}

/// What was asked for runs already: a terminal gets its dashboard, a script goes on.
async fn already_running(
    up: &Up,
    instance: &Instance,
    record: &Record,
) -> Result<ExitCode, CliError> {
    if !up.command.is_empty() {
        return Err(instance.is_running());
    }
    let asked = up.options();
    let differs = |(flag, value): &(&String, &String)| match flag.as_str() {
        "kubeconfig" => Path::new(value) != record.kubeconfig,
        // Those are done now.
        "merge" | "switch" => false,
        flag => record.options.get(flag) != Some(value),
    };
    let differences: Vec<(&String, &String)> = asked.iter().filter(differs).collect();
    if differences.is_empty() && record.kubeconfig.as_os_str().is_empty() {
        return Err(instance.has_no_kubeconfig());
    }
    if !differences.is_empty() {
        let message = format!("instance {:?} is running with other flags", instance.name());
        let mut error = CliError::new("E014", Exit::Conflict, message);
        for (flag, value) in differences {
            let present = record.options.get(flag).map_or("its default", String::as_str);
            let asked = format!("--{flag} {value}");
            error = error.note(format!("{}: it runs with {present}", asked.trim_end()));
        }
        let command = instance.command();
        return Err(error
            .hint(format!("{command} down                stops it; its objects are lost"))
            .hint("capim -i NAME up ...          starts another one beside it"));
    }
    if up.merge {
        let kubeconfig = std::fs::read_to_string(&record.kubeconfig)
            .map_err(|error| unusable(&record.kubeconfig, &error))?;
        merge(up, instance, &kubeconfig, &Clock::wall()).await?;
    }
    if Mode::of(up) == Mode::Dashboard && !up.detach {
        let client = Client::from_kubeconfig_file(&record.kubeconfig, "capim").await;
        let place = attach::place(&record.kubeconfig, Instance::chosen().flags());
        return dashboard::show(client.map_err(CliError::other)?, place, &up.look).await;
    }
    if up.wait() == WaitFor::Clusters {
        let client = Client::from_kubeconfig_file(&record.kubeconfig, "capim").await;
        report::wait_for_all(client.map_err(CliError::other)?, up.timeout).await?;
    }
    let (name, api) = (instance.name(), &record.api);
    output::tell(&format!("instance {name:?} is already running: {api}"));
    output::write(super::environment::export_line(&record.kubeconfig.to_string_lossy()))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(up: &Up, instance: &Instance) -> Result<ExitCode, CliError> {
    // What can be refused is refused before anything starts.
    let manifests = refused::read(&up.files)?;
    check_file_limit(up.clusters)?;
    if let Some(file) = &up.kubeconfig {
        merged::refuse_others(file, &instance.context())?;
    }
    let mode = Mode::of(up);
    let clock = Clock::wall();
    let hold = instance.hold(&clock).await?;
    log_to(mode, instance);
    let mut signals = Signals::listen()?;
    let seed = Seed(up.seed.unwrap_or_else(random_seed));
    warn_of_listening(&clock, up.network.listen);
    let config = config(up, instance, mode, seed, &clock)?;
    let watched = Watched::new(&up.stop_when)?;
    let ready = up.ready_file.as_deref().map(ReadyFile::prepare).transpose()?;
    let api_port = config.api_port;
    let started = Playground::start(config).await;
    let playground = started.map_err(|error| start_failed(error, up, instance))?;
    hold.describe(&record(up, &playground, seed, mode))?;
    let met = watched.met(&clock, playground.clients());
    tokio::pin!(met);
    let stopped = |why: String| {
        say(&clock, mode, &format!("stopping: {why}"));
        ExitCode::SUCCESS
    };
    let begun = tokio::select! {
        begun = begun(&playground, up, mode, &manifests, (seed, api_port), ready.as_ref()) => begun,
        why = &mut met => Ok(Some(stopped(why))),
        code = next_signal(&mut signals, mode) => Ok(Some(ExitCode::from(code))),
    };
    let outcome = match begun {
        Ok(None) => {
            let (kubeconfig, url) = (playground.kubeconfig_path(), playground.url());
            tokio::select! {
                code = child::run(&up.command, kubeconfig, url, &mut signals) => code,
                why = &mut met => Ok(stopped(why)),
            }
        }
        Ok(Some(code)) => Ok(code),
        Err(error) => Err(error),
    };
    drop(ready);
    // Whoever waits shall not wait for the end.
    let ending = async {
        let unmerged = merged::remove(instance, &clock).await;
        playground.stop().await;
        unmerged
    };
    // What is not stopped in order ends with the process: there is nothing to be kept.
    let unmerged = tokio::select! {
        unmerged = ending => unmerged,
        _ = next_signal(&mut signals, mode) => Ok(()),
        () = clock.sleep(END_MAX) => Ok(()),
    };
    // Lets others see that the instance has ended.
    drop(hold);
    outcome.and_then(|code| unmerged.map(|()| code))
}

/// Nobody hangs up on what runs in the background.
async fn next_signal(signals: &mut Signals, mode: Mode) -> u8 {
    loop {
        let code = signals.next().await;
        if mode != Mode::Background || code != Signals::HANGUP {
            return code;
        }
    }
}

fn config(
    up: &Up,
    instance: &Instance,
    mode: Mode,
    seed: Seed,
    clock: &Clock,
) -> Result<Config, CliError> {
    let (first, last) = API_PORTS;
    let remembered =
        instance.remembered_port().filter(|_| !up.forget_ports || background::is_restart());
    let asked = up.api_port.filter(|port| *port > 0 || !background::is_restart());
    let api_port = asked.or(remembered);
    Ok(Config {
        providers: up.selection(),
        address: up.network.listen,
        names: up.network.names(),
        api_port: api_port.map_or(ApiPort::FirstFree(first, last), ApiPort::Exact),
        workload_ports: up.workload_ports.first..=up.workload_ports.last,
        seed,
        clock: clock.clone(),
        webhooks: webhooks(up, instance, clock)?,
        watch_events: mode == Mode::Dashboard,
        kubeconfig: (!up.no_kubeconfig)
            .then(|| up.kubeconfig.clone().unwrap_or_else(|| instance.kubeconfig())),
        context: instance.context(),
        identity: Some(instance.identity()),
    })
}

fn record(up: &Up, playground: &Playground, seed: Seed, mode: Mode) -> Record {
    let path = playground.kubeconfig_path();
    Record {
        pid: std::process::id(),
        api: playground.url().to_owned(),
        kubeconfig: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
        started: playground.clock().now().to_string(),
        seed: seed.0,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        detached: mode == Mode::Background,
        options: up.options(),
        arguments: std::env::args_os()
            .skip(1)
            .map(|it| it.to_string_lossy().into_owned())
            .collect(),
        settings: Some(background::settings()),
        directory: std::env::current_dir().unwrap_or_default(),
    }
}

impl Up {
    /// What was asked for beyond the defaults, by the names of the flags; those that are there or not
    /// have no value.
    fn options(&self) -> BTreeMap<String, String> {
        let joined = |values: Vec<String>| (!values.is_empty()).then(|| values.join(" "));
        let provider = |it: &super::arguments::ProviderName| {
            it.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
        };
        let ports = (self.workload_ports.first, self.workload_ports.last);
        let clusters = (self.clusters > 0).then_some(self.clusters);
        let sized = |value: String| clusters.map(|_| value);
        let absolute = |path: &Path| {
            std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
        };
        [
            ("seed", self.seed.map(|seed| seed.to_string())),
            ("api-port", self.api_port.filter(|port| *port > 0).map(|port| port.to_string())),
            (
                "workload-ports",
                (ports != (20_000, 29_999)).then(|| format!("{}-{}", ports.0, ports.1)),
            ),
            ("providers", joined(self.providers.iter().flatten().map(provider).collect())),
            ("external", joined(self.external.iter().map(provider).collect())),
            (
                "listen",
                (!self.network.listen.is_loopback()).then(|| self.network.listen.to_string()),
            ),
            ("advertise", self.network.advertise.clone()),
            ("san", joined(self.network.sans.clone())),
            ("file", joined(self.files.iter().map(|it| it.display().to_string()).collect())),
            ("ready-file", self.ready_file.as_ref().map(|path| path.display().to_string())),
            ("stop-when", joined(self.stop_when.iter().map(ToString::to_string).collect())),
            ("clusters", clusters.map(|count| count.to_string())),
            ("cp", sized(self.cp.to_string())),
            ("workers", sized(self.workers.to_string())),
            ("k8s-version", sized(self.k8s_version.clone())),
            ("instant", sized(String::new()).filter(|_| self.instant)),
            ("webhook", joined(self.webhooks.iter().map(ToString::to_string).collect())),
            ("webhook-cert-dir", self.webhook_cert_dir.as_deref().map(absolute)),
            ("kubeconfig", self.kubeconfig.as_deref().map(absolute)),
            ("merge", self.merge.then(String::new)),
            ("switch", self.switch.then(String::new)),
        ]
        .into_iter()
        .filter_map(|(flag, value)| Some((flag.to_owned(), value?)))
        .collect()
    }

    /// The clusters that are made at start.
    fn samples(&self) -> Vec<SampleCluster> {
        let startup = if self.instant { Startup::instant() } else { Startup::in_memory() };
        let sample = |number: u32| SampleCluster {
            name: format!("demo-{number}"),
            namespace: "default".to_owned(),
            control_planes: self.cp,
            workers: self.workers,
            version: self.k8s_version.clone(),
            startup: startup.clone(),
        };
        (1..=self.clusters).map(sample).collect()
    }

    /// What is waited for.
    fn wait(&self) -> WaitFor {
        let default = match self.detach && self.clusters > 0 {
            true => WaitFor::Clusters,
            false => WaitFor::Ready,
        };
        self.wait.unwrap_or(default)
    }
}

/// Where webhooks of Services are, with a certificate for them.
fn webhooks(up: &Up, instance: &Instance, clock: &Clock) -> Result<ServiceUrls, CliError> {
    if up.webhooks.is_empty() {
        return Ok(ServiceUrls::default());
    }
    let default = || instance.directory().join("webhook-certs");
    let directory = up.webhook_cert_dir.clone().unwrap_or_else(default);
    let urls = certify_webhooks(&up.webhooks, &directory)
        .map_err(|error| CliError::new("E062", Exit::Environment, error.to_string()))
        .map_err(|error| {
            error.hint("--webhook-cert-dir DIR     a directory that you may write to")
        })?;
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
    /// News to the one who waits for the start, then a log, until a signal.
    Background,
}

impl Mode {
    fn of(up: &Up) -> Self {
        let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if background::is_child() {
            Self::Background
        } else if !up.command.is_empty() {
            Self::Command
        } else if up.headless || !terminal || dumb {
            Self::Lines
        } else {
            Self::Dashboard
        }
    }
}

/// All that happens between start and end; `None` if the command is to be run now.
async fn begun(
    playground: &Playground,
    up: &Up,
    mode: Mode,
    manifests: &[Manifest],
    (seed, api_port): (Seed, ApiPort),
    ready: Option<&ReadyFile>,
) -> Result<Option<ExitCode>, CliError> {
    let group = Group::begin(mode);
    announce(playground, mode, seed, api_port);
    if up.merge {
        merge(up, &Instance::chosen(), playground.kubeconfig(), playground.clock()).await?;
    }
    fill(playground, up, mode, manifests).await?;
    drop(group);
    if let Some(ready) = ready {
        ready.write(playground, (up.workload_ports.first, up.workload_ports.last))?;
    }
    match mode {
        Mode::Dashboard => {
            let options = up.look.options(Instance::chosen().flags())?;
            let sources = tui::Sources { read_only: up.look.read_only, ..playground.sources() };
            tui::run_with(sources, options)
                .await
                .map_err(|error| CliError::other(format!("dashboard: {error}")))?;
            Ok(Some(ExitCode::SUCCESS))
        }
        Mode::Command => Ok(None),
        Mode::Background => {
            let kubeconfig = playground.kubeconfig_path().display().to_string();
            background::tell(&News::Ready { kubeconfig });
            std::future::pending().await
        }
        Mode::Lines => std::future::pending().await,
    }
}

/// Adds the playground's context to `~/.kube/config`.
async fn merge(
    up: &Up,
    instance: &Instance,
    kubeconfig: &str,
    clock: &Clock,
) -> Result<(), CliError> {
    let file = merged::default_file();
    let current = if up.switch { Current::Switch } else { Current::Keep };
    merged::add(instance, (kubeconfig, &file), current, clock).await.map(|_| ())
}

/// Applies manifests and sample clusters, and waits for them if that was asked for.
async fn fill(
    playground: &Playground,
    up: &Up,
    mode: Mode,
    manifests: &[Manifest],
) -> Result<(), CliError> {
    let (client, clock) = (playground.client(), playground.clock());
    let begun = clock.elapsed();
    if !manifests.is_empty() {
        apply_manifests(client, "default", manifests)
            .await
            .map_err(|error| refused::error(&error))?;
    }
    let samples = up.samples();
    let mut progress = match mode {
        Mode::Lines | Mode::Command => Progress::new("clusters", clock.clone()),
        Mode::Dashboard | Mode::Background => Progress::silent(clock.clone()),
    };
    if !samples.is_empty() {
        let batch = samples.iter().map(|it| (it.name.clone(), it.manifests())).collect();
        acts::create(client, "default", batch, |_| Ok(())).await?;
    }
    if up.wait() != WaitFor::Clusters || mode == Mode::Dashboard {
        return Ok(());
    }
    let applied = manifests.iter().filter_map(|manifest| manifest.cluster_key("default"));
    let made = samples.iter().map(|it| crate::client::ObjectKey::new(&*it.namespace, &*it.name));
    let readiness = playground.readiness().expecting(applied.chain(made));
    let deadline = report::Deadline::after(up.timeout, clock.clone());
    report::wait(&readiness, &deadline, &mut progress)
        .await
        .map_err(|error| with_external(report::timed_out(&error), playground.external()))?;
    drop(progress);
    let took = clock.elapsed().saturating_sub(begun).as_secs_f64();
    let count = playground.cluster_count();
    if mode == Mode::Background {
        let detail = format!("{count}/{count} Available");
        background::tell(&News::Step { what: "clusters".to_owned(), detail, seconds: Some(took) });
    }
    say(clock, mode, &format!("ready clusters={count}/{count} took={took:.1}s"));
    Ok(())
}

/// Tells news where this way of running has a place for them.
fn say(clock: &Clock, mode: Mode, text: &str) {
    match mode {
        Mode::Lines | Mode::Command => line(clock, text),
        Mode::Dashboard | Mode::Background => tracing::info!("{text}"),
    }
}

/// A group of lines in GitHub's view of a run, for the start.
struct Group(bool);

impl Group {
    fn begin(mode: Mode) -> Self {
        let shows = matches!(mode, Mode::Lines | Mode::Command)
            && std::env::var_os("GITHUB_ACTIONS").is_some();
        if shows {
            output::tell("::group::capim up");
        }
        Self(shows)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.0 {
            output::tell("::endgroup::");
        }
    }
}

fn announce(playground: &Playground, mode: Mode, seed: Seed, api_port: ApiPort) {
    let (api, path) = (playground.url(), playground.kubeconfig_path().display().to_string());
    let written = if path.is_empty() { "none" } else { path.as_str() };
    let clock = playground.clock();
    if let ApiPort::FirstFree(first, _) = api_port
        && !api.ends_with(&format!(":{first}"))
    {
        let text =
            format!("port {first} is in use, so the API listens on {api}; that is remembered");
        say(clock, mode, &text);
    }
    let external = match playground.external() {
        [] => String::new(),
        names => format!(" external={}", names.join(",")),
    };
    say(clock, mode, &format!("up api={api} kubeconfig={written} seed={}{external}", seed.0));
    match mode {
        Mode::Lines if path.is_empty() => {}
        Mode::Lines => line(clock, &format!("use: export KUBECONFIG={path}")),
        Mode::Background => {
            let seconds = Some(clock.elapsed().as_secs_f64());
            let what = "management API".to_owned();
            background::tell(&News::Step { what, detail: api.to_owned(), seconds });
            let running =
                crate::playground::Provider::ALL.into_iter().map(crate::playground::Provider::name);
            let running: Vec<&str> =
                running.filter(|name| !playground.external().contains(name)).collect();
            let (what, detail) = ("providers".to_owned(), running.join(" "));
            background::tell(&News::Step { what, detail, seconds: None });
        }
        Mode::Dashboard | Mode::Command => {}
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

/// Raises the limit of open files; refuses one that is too low for so many clusters.
pub(super) fn check_file_limit(clusters: u32) -> Result<(), CliError> {
    let needed = FILES_MIN + FILES_PER_CLUSTER * u64::from(clusters);
    match raise_file_limit() {
        Some(limit) if limit < needed => {
            let message = format!("file limit too low: need about {needed}, hard limit is {limit}");
            let enough = needed.max(FILES_MIN * 64);
            let hint = format!("ulimit -Hn {enough}   (systemd: LimitNOFILE={enough})");
            Err(CliError::new("E070", Exit::Environment, message).hint(hint))
        }
        _ => Ok(()),
    }
}

/// Logs go to stderr, or to the instance's log where nobody reads that. `CAPIM_LOG` filters.
fn log_to(mode: Mode, instance: &Instance) {
    let default = match mode {
        Mode::Dashboard | Mode::Background => "warn,capim::cli=info",
        Mode::Lines | Mode::Command => "warn",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("CAPIM_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
    // A second subscriber is refused; then the first one goes on.
    let _ = match mode {
        Mode::Dashboard | Mode::Background => match LogFile::open(&instance.log()) {
            Ok(file) => builder.with_writer(std::sync::Mutex::new(file)).try_init(),
            Err(_) => Ok(()),
        },
        Mode::Lines | Mode::Command => builder.with_writer(std::io::stderr).try_init(),
    };
}

/// Logs go to stderr.
pub(super) fn log_to_stderr() {
    log_to(Mode::Lines, &Instance::chosen());
}

/// A seed that nobody asked for, short enough to be typed.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish() % 1_000_000
}

fn start_failed(error: PlaygroundError, up: &Up, instance: &Instance) -> CliError {
    match &error {
        PlaygroundError::PortTaken { port } => {
            let by =
                port_owner::owner(*port).map(|(pid, name)| format!(" by process {pid} ({name})"));
            let message = format!("port {port} is in use{}", by.unwrap_or_default());
            let shown = CliError::new("E012", Exit::Conflict, message);
            let command = instance.command();
            let shown = shown.hint(format!("{command} up --api-port 0        any free port"));
            if up.api_port.is_none() && instance.remembered_port() != Some(*port) {
                let (first, last) = API_PORTS;
                return shown.note(format!("note: all ports from {first} to {last} were tried"));
            }
            if up.api_port.is_none() {
                let text = "note: it is this instance's port, which exported kubeconfigs name";
                return shown
                    .note(text)
                    .hint(format!("{command} up --forget-ports      7443 or the next free one"));
            }
            shown.hint(format!("{command} up --api-port {}", port.saturating_add(57)))
        }
        PlaygroundError::Listen { .. } | PlaygroundError::Kubeconfig { .. } => {
            CliError::new("E013", Exit::Environment, error.to_string())
        }
        PlaygroundError::Identity { .. } => {
            CliError::new("E013", Exit::Environment, error.to_string()).hint(format!(
                "{} down --forget    makes new ones at the next start",
                instance.command()
            ))
        }
        PlaygroundError::Pki(_) | PlaygroundError::Seed(_) => CliError::other(error),
    }
}
