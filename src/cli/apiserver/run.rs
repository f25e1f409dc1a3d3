//! From flags to a running server.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::flags::{self, Flags};
use super::{access, certificates};
use crate::cli::error::{CliError, Exit};
use crate::cli::signals::Signals;
use crate::cli::{child, output};
use crate::embed::{AdmissionPlugins, ControlPlane, KUBERNETES_VERSION, ServiceRange};
use crate::playground::write_private;
use crate::tui::text::printable;

/// kube-apiserver's port.
const PORT: &str = "6443";

/// Runs the server until a signal or until the command after `--` has ended.
pub(in crate::cli) async fn run(arguments: &[String]) -> Result<ExitCode, CliError> {
    let flags = match Flags::parse(arguments) {
        Ok(flags) => flags,
        Err(message) => return Ok(refuse(&message)),
    };
    if flags.is_set("help") {
        output::write(flags::help())?;
        return Ok(ExitCode::SUCCESS);
    }
    if flags.is_set("version") {
        output::write(format!("Kubernetes {KUBERNETES_VERSION}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let plan = match Plan::of(&flags) {
        Ok(plan) => plan,
        Err(message) => return Ok(refuse(&message)),
    };
    log();
    let mut signals = Signals::listen()?;
    let server = plan.start().await?;
    let kubeconfig = KubeconfigFile::write(&flags, &server)?;
    announce(&flags, &server, kubeconfig.as_ref());
    let outcome = follow(&flags, &server, kubeconfig.as_ref(), &mut signals).await;
    server.stop().await;
    outcome
}

/// Says what is wrong with the command line, in kube-apiserver's form.
fn refuse(message: &str) -> ExitCode {
    eprintln!("Error: {}", printable(message));
    ExitCode::FAILURE
}

/// What the flags mean.
struct Plan {
    address: IpAddr,
    port: u16,
    builder: crate::embed::Builder,
}

impl Plan {
    fn of(flags: &Flags) -> Result<Self, String> {
        let address = address_of(flags, "bind-address")?.unwrap_or(Ipv4Addr::LOCALHOST.into());
        let advertised = address_of(flags, "advertise-address")?;
        let port = flags.last("secure-port").unwrap_or(PORT);
        let port = port.parse::<u16>().map_err(|_| {
            format!(
                "invalid argument \"{port}\" for \"--secure-port\" flag: strconv.ParseInt: parsing \
                 \"{port}\": invalid syntax"
            )
        })?;
        let mut builder = ControlPlane::builder()
            .address(address)
            .port(port)
            .access(access::of(flags)?)
            .admission_plugins(plugins(flags)?)
            .allow_privileged(flags.is_set("allow-privileged"))
            .without_controllers();
        if let Some(advertised) = advertised {
            builder = builder.advertise(advertised);
        }
        if let Some(serving) = certificates::serving(flags, advertised.unwrap_or(address))? {
            builder = builder.serving_certificate(serving);
        }
        if let Some(path) = flags.last("client-ca-file") {
            builder = builder.client_authorities(&certificates::read(path)?);
        }
        if let Some(range) = flags.last("service-cluster-ip-range") {
            let range = ServiceRange::parse(range).ok_or_else(|| {
                format!("specified --service-cluster-ip-range {range:?} is not an IPv4 block")
            })?;
            builder = builder.service_range(range);
        }
        Ok(Self { address, port, builder })
    }

    async fn start(self) -> Result<ControlPlane, CliError> {
        let (address, port) = (self.address, self.port);
        self.builder.start().await.map_err(|error| match error {
            crate::embed::EmbedError::Listen { .. } => {
                CliError::new("E013", Exit::Environment, error.to_string())
                    .note(format!("address {address}, port {port}"))
                    .hint("--secure-port=0        any free port")
            }
            error => CliError::other(error),
        })
    }
}

/// An address among the flags.
fn address_of(flags: &Flags, name: &str) -> Result<Option<IpAddr>, String> {
    let Some(text) = flags.last(name) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        format!("invalid argument \"{text}\" for \"--{name}\" flag: failed to parse IP: \"{text}\"")
    })
}

/// What the flags say about admission plug-ins.
fn plugins(flags: &Flags) -> Result<AdmissionPlugins, String> {
    let (enable, disable) =
        (flags.list("enable-admission-plugins"), flags.list("disable-admission-plugins"));
    AdmissionPlugins::parse(&enable, &disable)
}

/// The administrator's kubeconfig on disk.
struct KubeconfigFile {
    path: PathBuf,
    /// Whether it goes with the server.
    is_temporary: bool,
}

impl KubeconfigFile {
    /// Writes it where the flags say; for a command there is always one.
    fn write(flags: &Flags, server: &ControlPlane) -> Result<Option<Self>, CliError> {
        let file = match flags.last("write-kubeconfig") {
            Some(path) => Self { path: path.into(), is_temporary: false },
            None if flags.command.is_empty() => return Ok(None),
            None => {
                let name = format!("capim-apiserver-{}.kubeconfig", std::process::id());
                Self { path: std::env::temp_dir().join(name), is_temporary: true }
            }
        };
        write_private(&file.path, server.kubeconfig()).map_err(|error| {
            let path = file.path.display();
            CliError::new("E013", Exit::Environment, format!("failed to write {path}: {error}"))
        })?;
        Ok(Some(file))
    }
}

impl Drop for KubeconfigFile {
    fn drop(&mut self) {
        if self.is_temporary {
            // Somebody else may have removed it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn announce(flags: &Flags, server: &ControlPlane, kubeconfig: Option<&KubeconfigFile>) {
    let ignored = flags.ignored();
    if !ignored.is_empty() {
        let names: Vec<String> = ignored.iter().map(|name| format!("--{name}")).collect();
        eprintln!("no effect here: {}", printable(&names.join(" ")));
    }
    let plugins = plugins(flags).unwrap_or_default();
    let plugins: Vec<&str> = plugins.without_effect().collect();
    if !plugins.is_empty() {
        eprintln!("no effect here: admission plug-ins {}", printable(&plugins.join(" ")));
    }
    let kubeconfig = kubeconfig.map(|file| format!(" kubeconfig={}", file.path.display()));
    let kubeconfig = kubeconfig.unwrap_or_default();
    eprintln!("serving api={}{}", server.url(), printable(&kubeconfig));
}

/// Runs the command, if there is one; else waits for a signal.
async fn follow(
    flags: &Flags,
    server: &ControlPlane,
    kubeconfig: Option<&KubeconfigFile>,
    signals: &mut Signals,
) -> Result<ExitCode, CliError> {
    if flags.command.is_empty() {
        signals.next().await;
        // As of kube-apiserver, an orderly end is no failure.
        return Ok(ExitCode::SUCCESS);
    }
    let path = kubeconfig.map_or(Path::new(""), |file| &file.path);
    child::run(&flags.command, path, server.url(), signals).await
}

/// Logs go to stderr; `CAPIM_LOG` filters.
fn log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("CAPIM_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
    // A second subscriber is refused; then the first one goes on.
    let _ = builder.with_writer(std::io::stderr).try_init();
}
