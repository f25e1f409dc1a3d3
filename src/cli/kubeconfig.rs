//! `capim kubeconfig`: of the management API and of workload clusters, printed, written or merged.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::arguments::Target;
use super::connection::{connect, kubeconfig_path, kubeconfig_text, request_failed};
use super::error::{CliError, Exit};
use super::instance::{Instance, unusable};
use super::merged::{self, Current};
use super::output;
use crate::acts::kubeconfig_of;
use crate::api::core::Cluster;
use crate::client::Client;
use crate::clock::Clock;
use crate::pki::sha256_hex;
use crate::playground::write_private;

/// Digits of the hash that tells servers apart.
const HASH_DIGITS: usize = 8;
/// From so many contexts on, kubectl becomes slow.
const CONTEXTS_MANY: usize = 50;

/// `capim kubeconfig`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  capim kubeconfig demo > demo.kubeconfig
  go run . --kubeconfig \"$(capim kubeconfig --path)\"
  capim kubeconfig --merge --switch    adds context capim to ~/.kube/config; `capim down` removes it
  capim kubeconfig --all --dir kubeconfigs/")]
pub struct KubeconfigArguments {
    /// Workload cluster; without it the management API.
    #[arg(add = super::complete::clusters())]
    pub cluster: Option<String>,
    /// Print the path of the file instead of its content.
    #[arg(long, conflicts_with_all = ["merge", "write"])]
    pub path: bool,
    /// Write it to a file (mode 0600).
    #[arg(long, value_name = "FILE", conflicts_with = "merge")]
    pub write: Option<PathBuf>,
    /// Add it to ~/.kube/config; `capim down` removes what was added.
    #[arg(long)]
    pub merge: bool,
    /// Make its context the current one there.
    #[arg(long, requires = "merge")]
    pub switch: bool,
    /// Remove all that was added.
    #[arg(long, conflicts_with_all = ["merge", "write", "path", "cluster", "all"])]
    pub unmerge: bool,
    /// Another file than ~/.kube/config.
    #[arg(long, value_name = "FILE", requires = "merge")]
    pub into: Option<PathBuf>,
    /// All workload clusters of the namespace.
    #[arg(long, conflicts_with_all = ["cluster", "path", "write", "switch"])]
    pub all: bool,
    /// Where --all writes a file for each cluster.
    #[arg(long, value_name = "DIR", requires = "all")]
    pub dir: Option<PathBuf>,
    /// Which playground, and where in it.
    #[command(flatten)]
    pub target: Target,
}

pub(super) async fn run(arguments: KubeconfigArguments) -> Result<ExitCode, CliError> {
    let (instance, clock) = (Instance::chosen(), Clock::wall());
    if arguments.unmerge {
        merged::remove(&instance, &clock).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let client = connect(&arguments.target).await?;
    if arguments.all {
        return all(&arguments, &client, &clock).await;
    }
    let text = match &arguments.cluster {
        None => kubeconfig_text(&arguments.target)?,
        Some(cluster) => kubeconfig_of(&client, &arguments.target.namespace, cluster).await?,
    };
    if arguments.path {
        let path = match &arguments.cluster {
            None => management_path(&arguments.target)?,
            Some(cluster) => keep(&arguments.target, cluster, &text)?,
        };
        output::write(format!("{}\n", path.display()))?;
    } else if let Some(file) = &arguments.write {
        write_private(file, &text).map_err(|error| unusable(file, &error))?;
    } else if arguments.merge {
        merge(&arguments, &text, &clock).await?;
    } else {
        output::write(text)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn merge(arguments: &KubeconfigArguments, text: &str, clock: &Clock) -> Result<(), CliError> {
    let file = arguments.into.clone().unwrap_or_else(merged::default_file);
    let current = if arguments.switch { Current::Switch } else { Current::Keep };
    let context = merged::add(&Instance::chosen(), (text, &file), current, clock).await?;
    let text = match current {
        Current::Switch => format!("context {context:?} is now current in {}", file.display()),
        Current::Keep => format!("context {context:?} added to {}", file.display()),
    };
    output::tell(&crate::tui::text::printable(&text));
    Ok(())
}

/// One file for each cluster, or all of them in `~/.kube/config`.
async fn all(
    arguments: &KubeconfigArguments,
    client: &Client,
    clock: &Clock,
) -> Result<ExitCode, CliError> {
    let directory = match (&arguments.dir, arguments.merge) {
        (Some(directory), false) => Some(directory),
        (None, true) => None,
        _ => {
            let message = "--all needs either --dir DIR or --merge";
            return Err(CliError::new("E002", Exit::Usage, message));
        }
    };
    let namespace = &arguments.target.namespace;
    let clusters: Vec<Cluster> = client
        .list(namespace, "")
        .await
        .map_err(|error| request_failed("list clusters", &error))?;
    if directory.is_none() && clusters.len() > CONTEXTS_MANY {
        let count = clusters.len();
        output::warning(
            clock,
            &format!(
                "{count} contexts in one file make kubectl slow: --dir DIR writes a file for each cluster"
            ),
        );
    }
    let (mut written, mut skipped) = (0, 0);
    for name in clusters.into_iter().filter_map(|cluster| cluster.metadata.name) {
        // A cluster whose control plane was not begun has none yet.
        let text = match kubeconfig_of(client, namespace, &name).await {
            Err(error) if error.exit == Exit::NotFound => {
                skipped += 1;
                continue;
            }
            text => text?,
        };
        match directory {
            Some(directory) => {
                let path = directory.join(format!("{name}.kubeconfig"));
                write_private(&path, &text).map_err(|error| unusable(&path, &error))?;
            }
            None => merge(arguments, &text, clock).await?,
        }
        written += 1;
    }
    let skipped = match skipped {
        0 => String::new(),
        count => format!("; {count} clusters have none yet"),
    };
    output::tell(&format!("{written} kubeconfigs written{skipped}"));
    Ok(ExitCode::SUCCESS)
}

/// A file whose current context is the management API that the arguments name: their own file, or a
/// private copy with their context.
///
/// # Errors
/// As [`kubeconfig_text`] and [`keep`].
pub(super) fn management_path(target: &Target) -> Result<PathBuf, CliError> {
    if target.context.is_none() {
        let path = kubeconfig_path(target);
        return Ok(std::path::absolute(&path).unwrap_or(path));
    }
    // No cluster has this name.
    keep(target, "_management", &kubeconfig_text(target)?)
}

/// A private copy of a cluster's kubeconfig in the instance's directory.
///
/// # Errors
/// `E013` if it cannot be written.
pub(super) fn keep(target: &Target, cluster: &str, text: &str) -> Result<PathBuf, CliError> {
    let path = Instance::chosen().directory().join("workload").join(kept_name(target, cluster));
    write_private(&path, text).map_err(|error| unusable(&path, &error))?;
    Ok(path)
}

/// Its name. A cluster of another management server is another one, whatever its name: a shell that
/// has the file's path in KUBECONFIG must not find another server in it later.
fn kept_name(target: &Target, cluster: &str) -> String {
    // The names have passed the server, so they are no paths.
    let namespace = &target.namespace;
    if target.kubeconfig.is_none() && target.context.is_none() {
        return format!("{namespace}.{cluster}.kubeconfig");
    }
    let path = kubeconfig_path(target);
    let path = std::path::absolute(&path).unwrap_or(path);
    let server = super::attach::server(&path);
    let context = target.context.as_deref().unwrap_or_default();
    let of =
        sha256_hex([path.as_os_str().as_encoded_bytes(), server.as_bytes(), context.as_bytes()]);
    format!("{namespace}.{cluster}.{}.kubeconfig", &of[..HASH_DIGITS])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_kubeconfigs_of_different_servers_are_different_files() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("prod.yaml");
        let server = |url: &str| {
            let context = "current-context: a\ncontexts: [{name: a, context: {cluster: a}}]\n";
            let cluster = format!("clusters: [{{name: a, cluster: {{server: {url}}}}}]\n");
            std::fs::write(&file, context.to_owned() + &cluster).unwrap();
        };
        let of_context = |kubeconfig: Option<&std::path::Path>, context: Option<&str>| {
            let (kubeconfig, context) =
                (kubeconfig.map(std::path::Path::to_owned), context.map(str::to_owned));
            let target = Target { kubeconfig, context, namespace: "default".to_owned() };
            kept_name(&target, "demo")
        };
        let name = |kubeconfig| of_context(kubeconfig, None);
        assert_ne!(of_context(Some(&file), Some("b")), of_context(Some(&file), Some("c")));
        assert_eq!(name(None), "default.demo.kubeconfig");
        server("https://one");
        let one = name(Some(&file));
        assert_ne!(one, name(None));
        assert_eq!(one, name(Some(&file)));
        server("https://two");
        assert_ne!(one, name(Some(&file)));
    }
}
