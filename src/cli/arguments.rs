//! The command line as typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::playground::ServiceUrl;

/// A developer playground for Cluster API in one executable.
#[derive(Debug, Parser)]
#[command(name = "capim", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Try `capim up`, then in a second terminal `capim create cluster demo`.")]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a playground: management API, providers, workload clusters and the dashboard.
    Up(Up),
    /// Create objects in the running playground.
    Create(Create),
    /// Show clusters, machines or control planes of the running playground.
    Get(Get),
    /// Delete objects of the running playground.
    Delete(Delete),
    /// Print a kubeconfig: of the management API, or of a workload cluster.
    Kubeconfig(KubeconfigArguments),
    /// Run one API server in the place of kube-apiserver, with its flags (see `--help`).
    #[command(disable_help_flag = true)]
    Apiserver(Apiserver),
    /// Print the versions of capim and of what it emulates.
    Version,
}

/// `capim up`.
#[derive(Debug, Args)]
pub struct Up {
    /// No dashboard: report in lines on stderr, also on a terminal.
    #[arg(long)]
    pub headless: bool,
    /// Apply manifests when the API is ready: a file, a directory, or `-` for stdin (repeatable).
    #[arg(short = 'f', long = "file", value_name = "FILE|DIR|-")]
    pub files: Vec<PathBuf>,
    /// What to wait for before the command runs: the API, or every cluster Available with all its
    /// machines Running.
    #[arg(long, value_enum, default_value_t = WaitFor::Ready)]
    pub wait: WaitFor,
    /// How long to wait, e.g. 90s or 5m.
    #[arg(long, default_value = "5m", value_parser = parse_duration)]
    pub timeout: Duration,
    /// Seed of all randomness; the same seed and inputs give the same run. Random if absent.
    #[arg(long, env = "CAPIM_SEED")]
    pub seed: Option<u64>,
    /// Port of the management API; 0 takes any free one. Default: 7443, or the next free one.
    #[arg(long, env = "CAPIM_API_PORT", value_name = "PORT")]
    pub api_port: Option<u16>,
    /// Ports of the workload clusters' API servers.
    #[arg(long, env = "CAPIM_WORKLOAD_PORTS", default_value = "20000-29999", value_name = "A-B", value_parser = parse_ports)]
    pub workload_ports: PortRange,
    /// Where the webhook of a Service listens that runs outside, e.g. `capi-system/capi-webhook-service=https://127.0.0.1:9443` (repeatable).
    #[arg(long = "webhook", value_name = "NAMESPACE/NAME=URL")]
    pub webhooks: Vec<ServiceUrl>,
    /// Where the management kubeconfig is written (mode 0600). Default: capim's state directory.
    #[arg(long, env = "CAPIM_KUBECONFIG", value_name = "PATH")]
    pub kubeconfig: Option<PathBuf>,
    /// Run this command with KUBECONFIG set, stop afterwards and exit with its code.
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<String>,
}

/// An inclusive range of TCP ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// Lowest port.
    pub first: u16,
    /// Highest port.
    pub last: u16,
}

/// What `capim up` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WaitFor {
    /// The management API answers.
    Ready,
    /// Every cluster is Available and all its machines are Running.
    Clusters,
    /// Nothing.
    None,
}

/// `capim create`.
#[derive(Debug, Args)]
pub struct Create {
    /// What to create.
    #[command(subcommand)]
    pub kind: CreateKind,
}

/// What can be created.
#[derive(Debug, Subcommand)]
pub enum CreateKind {
    /// Create sample clusters on the in-memory backend.
    Cluster(CreateCluster),
}

/// `capim create cluster`.
#[derive(Debug, Args)]
pub struct CreateCluster {
    /// Name of the cluster; with --count the names are NAME-1, NAME-2, ...
    pub name: String,
    /// Number of clusters.
    #[arg(short = 'c', long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub count: u32,
    /// Control plane machines of each cluster.
    #[arg(long, default_value_t = 1, value_parser = parse_control_planes)]
    pub cp: u32,
    /// Worker machines of each cluster.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub workers: u32,
    /// Kubernetes version of the machines.
    #[arg(long, default_value = crate::playground::KUBERNETES_VERSION)]
    pub k8s_version: String,
    /// Machines start at once; without it they take upstream's 10s for the VM and 2s for each of
    /// node, API server and etcd, each up to 20 % longer.
    #[arg(long)]
    pub instant: bool,
    /// Wait until the clusters are Available and their machines Running.
    #[arg(long)]
    pub wait: bool,
    /// How long to wait, e.g. 90s or 5m.
    #[arg(long, default_value = "5m", value_parser = parse_duration)]
    pub timeout: Duration,
    /// Create nothing; print what would be created.
    #[arg(long)]
    pub dry_run: bool,
    /// Output of --dry-run.
    #[arg(short = 'o', long, value_enum, default_value_t = ManifestFormat::Yaml, requires = "dry_run")]
    pub output: ManifestFormat,
    /// Which playground, and where in it.
    #[command(flatten)]
    pub target: Target,
}

/// Format of printed manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ManifestFormat {
    /// YAML documents.
    Yaml,
    /// One JSON List.
    Json,
}

/// Which playground a command talks to.
#[derive(Clone, Debug, Args)]
pub struct Target {
    /// Kubeconfig of the management API. Default: the one `capim up` wrote.
    #[arg(long, env = "CAPIM_KUBECONFIG", value_name = "PATH")]
    pub kubeconfig: Option<PathBuf>,
    /// Namespace.
    #[arg(short = 'n', long, env = "CAPIM_NAMESPACE", default_value = "default")]
    pub namespace: String,
}

/// `capim get`.
#[derive(Debug, Args)]
pub struct Get {
    /// What to show.
    #[arg(value_enum)]
    pub kind: GetKind,
    /// Only the object of this name.
    pub name: Option<String>,
    /// All namespaces.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Output format.
    #[arg(short = 'o', long, value_enum, default_value_t = GetFormat::Table)]
    pub output: GetFormat,
    /// Which playground, and where in it.
    #[command(flatten)]
    pub target: Target,
}

/// Kinds that `capim get` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GetKind {
    /// Clusters.
    #[value(name = "clusters", aliases = ["cluster", "cl"])]
    Clusters,
    /// Machines.
    #[value(name = "machines", aliases = ["machine", "ma"])]
    Machines,
    /// Control planes.
    #[value(name = "kcp", aliases = ["kubeadmcontrolplanes", "kubeadmcontrolplane"])]
    Kcp,
}

/// Output of `capim get`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GetFormat {
    /// A table for people.
    Table,
    /// One name a line, as kind/name.
    Name,
    /// The objects as a JSON List.
    Json,
}

/// `capim delete`.
#[derive(Debug, Args)]
pub struct Delete {
    /// What to delete.
    #[command(subcommand)]
    pub kind: DeleteKind,
}

/// What can be deleted.
#[derive(Debug, Subcommand)]
pub enum DeleteKind {
    /// Delete clusters with all they own. An absent one is no error.
    Cluster(DeleteCluster),
}

/// `capim delete cluster`.
#[derive(Debug, Args)]
pub struct DeleteCluster {
    /// Names of clusters.
    #[arg(required_unless_present = "all")]
    pub names: Vec<String>,
    /// All clusters of the namespace.
    #[arg(long, conflicts_with = "names")]
    pub all: bool,
    /// Wait until they are gone.
    #[arg(long)]
    pub wait: bool,
    /// How long to wait, e.g. 90s or 5m.
    #[arg(long, default_value = "5m", value_parser = parse_duration)]
    pub timeout: Duration,
    /// Do not ask.
    #[arg(short = 'y', long, env = "CAPIM_YES")]
    pub yes: bool,
    /// Which playground, and where in it.
    #[command(flatten)]
    pub target: Target,
}

/// `capim kubeconfig`.
#[derive(Debug, Args)]
pub struct KubeconfigArguments {
    /// Workload cluster; without it the management API.
    pub cluster: Option<String>,
    /// Which playground, and where in it.
    #[command(flatten)]
    pub target: Target,
}

/// `capim apiserver`.
#[derive(Debug, Args)]
pub struct Apiserver {
    /// Flags of kube-apiserver, then `--` and a command that runs with KUBECONFIG set.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FLAGS")]
    pub arguments: Vec<String>,
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    crate::machinery::duration::parse(text)
}

fn parse_ports(text: &str) -> Result<PortRange, String> {
    let (first, last) = text.split_once('-').ok_or("expected FIRST-LAST, e.g. 20000-29999")?;
    let port = |text: &str| text.parse::<u16>().map_err(|error| format!("{text:?}: {error}"));
    let range = PortRange { first: port(first)?, last: port(last)? };
    if range.first == 0 || range.first > range.last {
        return Err("the first port must be at least 1 and not above the last".to_owned());
    }
    Ok(range)
}

fn parse_control_planes(text: &str) -> Result<u32, String> {
    let count: u32 = text.parse().map_err(|error| format!("{error}"))?;
    if count.is_multiple_of(2) || count > 9 {
        return Err(
            "etcd needs an odd number of control plane machines: 1, 3, 5, 7 or 9".to_owned()
        );
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_tree_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn command_after_dashes_is_kept_whole() {
        let arguments = Arguments::parse_from([
            "capim",
            "up",
            "--headless",
            "-f",
            "a.yaml",
            "--",
            "kubectl",
            "get",
            "-A",
        ]);
        let Command::Up(up) = arguments.command else { panic!("not up") };
        assert_eq!(up.command, ["kubectl", "get", "-A"]);
        assert_eq!(up.files, [PathBuf::from("a.yaml")]);
    }

    #[test]
    fn port_ranges_are_checked() {
        assert_eq!(parse_ports("1-2"), Ok(PortRange { first: 1, last: 2 }));
        for bad in ["", "5", "9-3", "0-3", "a-b", "1-99999"] {
            assert!(parse_ports(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn control_plane_counts_are_odd() {
        assert_eq!(parse_control_planes("3"), Ok(3));
        assert!(parse_control_planes("2").is_err());
    }
}
