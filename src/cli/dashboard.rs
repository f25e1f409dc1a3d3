//! `capim dashboard`: the dashboard of any management cluster, and what all dashboards share.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use kube::config::Kubeconfig;

use super::connection;
use super::error::{CliError, Exit};
use super::settings;
use super::signals::Signals;
use crate::client::Client;
use crate::clock::Clock;
use crate::playground::KUBERNETES_VERSION;
use crate::tui::keymap::Keymap;
use crate::tui::theme::{ThemeName, Wishes};
use crate::tui::{self, ConnectError, ConnectOptions, Sources};

/// `capim dashboard`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  capim dashboard                                  the cluster that kubectl talks to
  capim dashboard --kubeconfig mgmt.yaml --context prod --read-only
  capim dashboard -n team-a                        where only one namespace may be read")]
pub struct Dashboard {
    /// Kubeconfig of the management cluster. Default: what kubectl would take.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig. Default: the current one.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Only this namespace.
    #[arg(short = 'n', long, value_name = "NAMESPACE", conflicts_with = "all_namespaces")]
    pub namespace: Option<String>,
    /// All namespaces, which is the default.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// How it looks.
    #[command(flatten)]
    pub look: Look,
}

/// How a dashboard looks and what it may do.
#[derive(Clone, Debug, Default, Args)]
pub struct Look {
    /// Look only: keys that change something do nothing.
    #[arg(long, env = "CAPIM_READ_ONLY", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub read_only: bool,
    /// basic, dark, light, high-contrast, colour-blind or mono. Default: basic, in the terminal's
    /// sixteen colours; mono if NO_COLOR is set.
    #[arg(long, env = "CAPIM_THEME", value_name = "THEME")]
    pub theme: Option<ThemeName>,
    /// Draw with ASCII alone. Default: where the locale or the terminal asks for it.
    #[arg(long)]
    pub ascii: bool,
    /// Leave the mouse to the terminal.
    #[arg(long)]
    pub no_mouse: bool,
}

/// The server that a dashboard shows.
pub(super) struct Place {
    /// Its URL.
    pub(super) url: String,
    /// Path of its kubeconfig.
    pub(super) kubeconfig: String,
    /// Only this namespace.
    pub(super) namespace: Option<String>,
    /// What a capim command needs to mean it.
    pub(super) flags: Vec<String>,
}

impl Look {
    /// What the dashboard is told; `flags` are what a capim command needs to mean its server.
    ///
    /// # Errors
    /// `E093` for a file of keys that cannot be meant.
    pub(super) fn options(&self, flags: Vec<String>) -> Result<tui::Options, CliError> {
        Ok(tui::Options {
            wishes: Wishes { theme: self.theme, ascii: self.ascii },
            mouse: !self.no_mouse,
            keymap: keymap()?,
            version: KUBERNETES_VERSION.to_owned(),
            flags,
            attached: false,
        })
    }
}

/// Keys of the user's file, beside the settings.
fn keymap() -> Result<Keymap, CliError> {
    let path = settings::user_file().with_file_name("keys.yaml");
    match std::fs::read_to_string(&path) {
        Ok(text) => Keymap::from_yaml(&path.display().to_string(), &text).map_err(|error| {
            CliError::new("E093", Exit::Usage, error.to_string())
                .hint(format!("mv {0} {0}.off     starts with the usual keys", path.display()))
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Keymap::default()),
        Err(error) => {
            let message = format!("failed to read {}: {error}", path.display());
            Err(CliError::new("E093", Exit::Environment, message))
        }
    }
}

/// Refuses to start a dashboard without a terminal; `instead` is what works without one.
///
/// # Errors
/// `E003`
pub(super) fn require_terminal(instead: &str) -> Result<(), CliError> {
    tui::require_terminal().map_err(|error| {
        let message = format!("a dashboard needs a terminal, but {error}");
        CliError::new("E003", Exit::Usage, message).hint(instead)
    })
}

pub(super) async fn run(dashboard: Dashboard) -> Result<ExitCode, CliError> {
    let path = dashboard.kubeconfig.as_deref();
    let (config, context) = connection::read(path, dashboard.context.as_deref()).await?;
    let flags = flags(&dashboard, &context);
    let quoted: Vec<String> = flags.iter().map(|flag| tui::quoted(flag)).collect();
    require_terminal(&format!("capim get clusters -A {}", quoted.join(" ")))?;
    let place = Place {
        url: config.cluster_url.to_string().trim_end_matches('/').to_owned(),
        kubeconfig: connection::shown_path(path),
        namespace: dashboard.namespace.clone(),
        flags,
    };
    let client =
        Client::from_config(config, "capim").map_err(|error| connection::unusable(path, &error))?;
    show(client, place, &dashboard.look).await
}

/// What a command needs to mean the same server, wherever it is run.
fn flags(dashboard: &Dashboard, context: &str) -> Vec<String> {
    let path = file_of(dashboard.kubeconfig.as_deref(), context);
    let path = std::path::absolute(&path).unwrap_or(path);
    let mut flags = vec!["--kubeconfig".to_owned(), path.display().to_string()];
    if dashboard.context.is_some() {
        flags.extend(["--context".to_owned(), context.to_owned()]);
    }
    flags
}

/// The file that a context is in: of several in KUBECONFIG the first that has it.
fn file_of(path: Option<&Path>, context: &str) -> PathBuf {
    if let Some(path) = path {
        return path.to_owned();
    }
    let named = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let mut files = std::env::split_paths(&named).filter(|path| !path.as_os_str().is_empty());
    let has = |path: &PathBuf| {
        Kubeconfig::read_from(path)
            .is_ok_and(|read| read.contexts.iter().any(|it| it.name == context))
    };
    let home = || std::env::home_dir().unwrap_or_default().join(".kube/config");
    files.find(has).unwrap_or_else(home)
}

/// Shows the dashboard of a server until it is quit or the process is told to end.
///
/// # Errors
/// Nothing can be shown of the server, or the terminal fails.
pub(super) async fn show(client: Client, place: Place, look: &Look) -> Result<ExitCode, CliError> {
    let mut signals = Signals::listen()?;
    let options = tui::Options { attached: true, ..look.options(place.flags)? };
    let connecting = tui::connect(
        client,
        ConnectOptions {
            clock: Clock::wall(),
            url: place.url,
            kubeconfig: place.kubeconfig.clone(),
            namespace: place.namespace,
            read_only: look.read_only,
        },
    );
    let sources: Sources = tokio::select! {
        connected = connecting => connected.map_err(|error| not_connected(&place.kubeconfig, error))?,
        code = signals.next() => return Ok(ExitCode::from(code)),
    };
    tokio::select! {
        shown = tui::run_with(sources, options) => match shown {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(error) => Err(CliError::other(format!("dashboard: {error}"))),
        },
        code = signals.next() => Ok(ExitCode::from(code)),
    }
}

/// Why nothing can be shown, with what to do next.
fn not_connected(kubeconfig: &str, error: ConnectError) -> CliError {
    let message = error.to_string();
    match error {
        ConnectError::Unreachable { .. } => {
            CliError::new("E034", Exit::NotRunning, message)
                .hint(format!("kubectl --kubeconfig {kubeconfig} cluster-info     is it up, is a tunnel needed?"))
                .hint("capim up                                  starts a playground here")
        }
        ConnectError::Foreign { .. } => CliError::new("E035", Exit::Other, message)
            .hint(format!("kubectl --kubeconfig {kubeconfig} config view --minify     which server it names")),
        ConnectError::Unauthorized { .. } => CliError::new("E036", Exit::Other, message)
            .hint(format!("kubectl --kubeconfig {kubeconfig} auth whoami     whether they are accepted elsewhere")),
        ConnectError::Forbidden { .. } => CliError::new("E039", Exit::Other, message)
            .hint("-n NAMESPACE                              if only one namespace may be read"),
        ConnectError::NoClusterApi { .. } => CliError::new("E037", Exit::NotFound, message)
            .hint("clusterctl init                           installs Cluster API there")
            .hint("capim up                                  starts a playground that has it"),
        ConnectError::OldClusterApi { .. } => CliError::new("E038", Exit::Other, message)
            .hint("clusterctl upgrade plan                   shows what to upgrade to"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_names_the_next_step() {
        let url = || "https://127.0.0.1:1".to_owned();
        let cause = || "why".to_owned();
        for (error, code) in [
            (ConnectError::Unreachable { url: url(), cause: cause() }, "E034"),
            (ConnectError::Foreign { url: url(), cause: cause() }, "E035"),
            (ConnectError::Unauthorized { url: url(), cause: cause() }, "E036"),
            (ConnectError::NoClusterApi { url: url() }, "E037"),
            (ConnectError::OldClusterApi { url: url(), served: cause() }, "E038"),
            (ConnectError::Forbidden { url: url(), cause: cause() }, "E039"),
        ] {
            let shown = not_connected("a.yaml", error);
            assert_eq!(shown.code, code);
            assert!(shown.to_string().contains("https://127.0.0.1:1"), "{shown}");
            assert!(!shown.hints.is_empty(), "{shown}");
        }
    }
}
