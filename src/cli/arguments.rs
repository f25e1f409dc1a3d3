//! The command line as typed.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::config::Config;
use super::dashboard::Look;
use super::get::Get;
use super::kubeconfig::KubeconfigArguments;
use super::stop_when::StopWhen;
use super::verbs::Verb;
pub(super) use crate::acts::parse_control_planes;
use crate::playground::{Provider, Selection, ServiceUrl};

/// A developer playground for Cluster API in one executable.
#[derive(Debug, Parser)]
#[command(name = "capim", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Try `capim up`, then in a second terminal `capim create cluster demo`.")]
pub struct Arguments {
    /// Which playground: several can run beside each other.
    #[arg(
        short = 'i',
        long,
        global = true,
        env = "CAPIM_INSTANCE",
        value_name = "NAME",
        default_value = super::instance::DEFAULT,
        value_parser = super::instance::parse_name,
        add = super::complete::instances()
    )]
    pub instance: String,
    /// File of settings, in place of the one in ~/.config/capim.
    #[arg(long, global = true, env = "CAPIM_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do; without it `capim attach` if exactly one playground runs, and else this help.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a playground: management API, providers, workload clusters and the dashboard.
    Up(Up),
    /// Create objects in the running playground.
    Create(Create),
    /// Show objects of the running playground.
    Get(Get),
    /// Delete objects of the running playground.
    Delete(Delete),
    /// Print a kubeconfig: of the management API, or of a workload cluster.
    Kubeconfig(KubeconfigArguments),
    /// Run some providers alone, against a management API that runs elsewhere.
    Provider(ProviderCommand),
    /// Run one API server in the place of kube-apiserver, with its flags (see `--help`).
    #[command(disable_help_flag = true)]
    Apiserver(Apiserver),
    /// Look ahead at what a change of ClusterClasses, templates or Clusters would do.
    Topology(Topology),
    /// List the manifests that come with capim, or print one: ClusterClasses and clusters.
    Examples(Examples),
    /// Verbs beyond starting a playground and filling it.
    #[command(flatten)]
    Verb(Verb),
    /// Show settings, where they come from, and where files are.
    Config(Config),
    /// Print the versions of capim and of what it emulates.
    Version,
}

/// `capim topology`.
#[derive(Debug, Args)]
pub struct Topology {
    /// What to do.
    #[command(subcommand)]
    pub verb: TopologyVerb,
}

/// `capim topology VERB`.
#[derive(Debug, Subcommand)]
pub enum TopologyVerb {
    /// Print what applying files would create, patch, delete and roll out, without doing it. Exits
    /// with 0 if nothing would happen, with 7 if something would.
    Plan(TopologyPlan),
}

/// `capim topology plan`.
#[derive(Debug, Args)]
pub struct TopologyPlan {
    /// Changed ClusterClasses, templates and Clusters: a file, a directory, or `-` (repeatable).
    #[arg(short = 'f', long = "file", value_name = "FILE|DIR|-", required = true)]
    pub files: Vec<PathBuf>,
    /// Output format.
    #[arg(short = 'o', long, value_enum, default_value_t = PlanFormat::Summary)]
    pub output: PlanFormat,
    /// From the files alone, without a running playground: everything in them is new.
    #[arg(long)]
    pub offline: bool,
    /// Which playground, and where in it.
    #[command(flatten)]
    pub target: Target,
}

/// How a plan is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// One line an object.
    Summary,
    /// With the fields that change.
    Diff,
    /// JSON.
    Json,
}

/// `capim examples`.
#[derive(Debug, Args)]
#[command(after_help = "Try `capim examples instant | kubectl apply -f -`.")]
pub struct Examples {
    /// Which example to print; all are listed without it.
    #[arg(value_name = "NAME", add = super::complete::examples())]
    pub name: Option<String>,
}

/// `capim up`.
#[derive(Debug, Args)]
#[command(after_help = UP_EXAMPLES)]
pub struct Up {
    /// Run in the background: return when it is ready. `capim attach` shows it, `capim down` ends it.
    #[arg(short = 'd', long, conflicts_with_all = ["headless", "command"])]
    pub detach: bool,
    /// No dashboard: report in lines on stderr, also on a terminal.
    #[arg(long, env = "CAPIM_HEADLESS", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub headless: bool,
    /// Sample clusters to create at start: demo-1, demo-2, ...
    #[arg(short = 'c', long, env = "CAPIM_CLUSTERS", value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=20_000))]
    pub clusters: u32,
    /// Control plane machines of each sample cluster.
    #[arg(long, env = "CAPIM_CP", value_name = "N", default_value_t = 1, value_parser = parse_control_planes)]
    pub cp: u32,
    /// Worker machines of each sample cluster.
    #[arg(long, env = "CAPIM_WORKERS", value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub workers: u32,
    /// Kubernetes version of the sample clusters' machines.
    #[arg(long, env = "CAPIM_K8S_VERSION", value_name = "VERSION", default_value = crate::playground::KUBERNETES_VERSION)]
    pub k8s_version: String,
    /// Machines of sample clusters start at once.
    #[arg(long)]
    pub instant: bool,
    /// Apply manifests when the API is ready: a file, a directory, or `-` for stdin (repeatable).
    #[arg(short = 'f', long = "file", value_name = "FILE|DIR|-")]
    pub files: Vec<PathBuf>,
    /// What to wait for before the command runs: the API, or every cluster Available with all its
    /// machines Running. Default: clusters with both --detach and --clusters, ready otherwise.
    #[arg(long, value_enum, env = "CAPIM_WAIT")]
    pub wait: Option<WaitFor>,
    /// How long to wait, e.g. 90s or 5m.
    #[arg(long, env = "CAPIM_TIMEOUT", default_value = "5m", value_parser = parse_duration)]
    pub timeout: Duration,
    /// Seed of all randomness; the same seed and inputs give the same run. Random if absent.
    #[arg(long, env = "CAPIM_SEED")]
    pub seed: Option<u64>,
    /// Port of the management API; 0 takes any free one. Default: the instance's last one; for a new
    /// instance 7443, or the next free one.
    #[arg(long, env = "CAPIM_API_PORT", value_name = "PORT")]
    pub api_port: Option<u16>,
    /// Take 7443 or the next free port, whatever it was last time.
    #[arg(long, conflicts_with = "api_port")]
    pub forget_ports: bool,
    /// Ports of the workload clusters' API servers.
    #[arg(long, env = "CAPIM_WORKLOAD_PORTS", default_value = "20000-29999", value_name = "A-B", value_parser = parse_ports)]
    pub workload_ports: PortRange,
    /// Providers that capim runs; the others are yours. Kinds of all of them are served.
    #[arg(
        long,
        value_enum,
        value_name = "LIST",
        value_delimiter = ',',
        conflicts_with = "external"
    )]
    pub providers: Option<Vec<ProviderName>>,
    /// Providers that you run yourself: nothing of capim writes their objects.
    #[arg(long, value_enum, value_name = "LIST", value_delimiter = ',')]
    pub external: Vec<ProviderName>,
    /// Where to listen, and under which names.
    #[command(flatten)]
    pub network: Network,
    /// Where the webhook of a Service listens that runs outside, e.g. `capi-system/capi-webhook-service=https://127.0.0.1:9443` (repeatable).
    #[arg(long = "webhook", value_name = "NAMESPACE/NAME=URL")]
    pub webhooks: Vec<ServiceUrl>,
    /// Where the certificate of those webhooks is written: tls.crt, tls.key and ca.crt, for your
    /// manager's --webhook-cert-dir. Default: webhook-certs in capim's state directory.
    #[arg(long, value_name = "DIR", requires = "webhooks")]
    pub webhook_cert_dir: Option<PathBuf>,
    /// Where the management kubeconfig is written (mode 0600), in place of the instance's directory.
    /// A file with other contexts is not replaced: see --merge.
    #[arg(long, value_name = "PATH")]
    pub kubeconfig: Option<PathBuf>,
    /// Write no kubeconfig: only the dashboard and what is applied at start can use the playground.
    #[arg(long, conflicts_with_all = ["kubeconfig", "merge", "detach", "command"])]
    pub no_kubeconfig: bool,
    /// Add it to ~/.kube/config for as long as the playground runs.
    #[arg(long)]
    pub merge: bool,
    /// Make its context the current one there.
    #[arg(long, requires = "merge")]
    pub switch: bool,
    /// Write this file (mode 0600) when all that was asked for is there, as JSON: api, kubeconfig,
    /// ports, pid. It is removed at the end.
    #[arg(long, value_name = "PATH")]
    pub ready_file: Option<PathBuf>,
    /// End by itself: `clients=0 for 10m` (nobody is connected to the management API), `parent-exits`
    /// (the process that started it has ended), `after 1h` (repeatable: whatever comes first).
    #[arg(long, value_name = "EXPR", conflicts_with = "command")]
    pub stop_when: Vec<StopWhen>,
    /// How the dashboard looks.
    #[command(flatten)]
    pub look: Look,
    /// Run this command with KUBECONFIG set, stop afterwards and exit with its code.
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// Examples at the end of `capim up --help`.
const UP_EXAMPLES: &str = "\
Examples:
  capim up                                     playground and dashboard
  capim up -d -c 3                             in the background, with three clusters
  capim up -f clusters/ --wait clusters -- ./test.sh
                                               run a command against it, in CI
  capim up -d --ready-file ready.json --stop-when 'clients=0 for 10m'
                                               nothing is left over in CI
  capim up --external kubeadm-control-plane    you run that controller, e.g. in a debugger
  capim up --external infra                    then: capim provider infra --kubeconfig FILE
  capim up --listen 0.0.0.0 --advertise host.docker.internal
                                               for controllers inside kind or a VM";

impl Up {
    /// Which providers run here.
    pub fn selection(&self) -> Selection {
        match &self.providers {
            Some(names) => names.iter().flat_map(|name| name.providers()).copied().collect(),
            None => {
                Selection::without(self.external.iter().flat_map(|name| name.providers()).copied())
            }
        }
    }
}

/// A provider by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProviderName {
    /// Clusters, Machines, MachineSets, MachineDeployments, MachinePools, and the add-ons.
    #[value(name = "core", alias = "cluster-api")]
    Core,
    /// ClusterResourceSets alone.
    #[value(name = "addons", alias = "cluster-resource-set")]
    Addons,
    /// KubeadmConfigs.
    #[value(name = "kubeadm-bootstrap", aliases = ["bootstrap-kubeadm", "cabpk"])]
    KubeadmBootstrap,
    /// KubeadmControlPlanes.
    #[value(name = "kubeadm-control-plane", aliases = ["control-plane-kubeadm", "kcp"])]
    KubeadmControlPlane,
    /// The in-memory infrastructure and the workload clusters.
    #[value(name = "infra", aliases = ["infrastructure", "in-memory", "infrastructure-docker"])]
    Infra,
    /// All of these.
    #[value(name = "all")]
    All,
}

impl ProviderName {
    /// What the name stands for.
    pub fn providers(self) -> &'static [Provider] {
        match self {
            // Upstream's core manager runs the add-ons, too: never both that one and ours.
            Self::Core => &[Provider::Core, Provider::Addons],
            Self::Addons => &[Provider::Addons],
            Self::KubeadmBootstrap => &[Provider::KubeadmBootstrap],
            Self::KubeadmControlPlane => &[Provider::KubeadmControlPlane],
            Self::Infra => &[Provider::Infra],
            Self::All => &Provider::ALL,
        }
    }
}

/// Where ports are opened and how clients reach them.
#[derive(Clone, Debug, Args)]
pub struct Network {
    /// Address of all ports. Beyond loopback, whoever reaches this machine reaches them.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1")]
    pub listen: IpAddr,
    /// Host name or address that kubeconfigs and endpoints name, for clients inside kind or a VM.
    #[arg(long, value_name = "HOST", value_parser = parse_host)]
    pub advertise: Option<String>,
    /// Further host name or address for the certificates (repeatable).
    #[arg(long = "san", value_name = "NAME", value_parser = parse_host)]
    pub sans: Vec<String>,
}

impl Network {
    /// All names, the advertised one first. A name for certificates alone needs one before it.
    pub fn names(&self) -> Vec<String> {
        let own = match (&self.advertise, self.sans.is_empty(), self.listen) {
            (Some(host), _, _) => vec![host.clone()],
            (None, true, _) => Vec::new(),
            (None, false, IpAddr::V4(address)) if address.is_unspecified() => {
                vec!["127.0.0.1".to_owned()]
            }
            (None, false, IpAddr::V6(address)) if address.is_unspecified() => {
                vec!["::1".to_owned()]
            }
            (None, false, address) => vec![address.to_string()],
        };
        own.into_iter().chain(self.sans.iter().cloned()).collect()
    }
}

/// `capim provider`.
#[derive(Debug, Args)]
#[command(after_help = PROVIDER_EXAMPLES)]
pub struct ProviderCommand {
    /// What to run.
    #[arg(value_enum, value_name = "LIST", value_delimiter = ',', default_value = "infra")]
    pub providers: Vec<ProviderName>,
    /// Kubeconfig of the management API. Default: the one `capim up` wrote.
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of that kubeconfig. Default: the current one.
    #[arg(long, value_name = "NAME", requires = "kubeconfig", add = super::complete::contexts())]
    pub context: Option<String>,
    /// Where workload API servers listen, and under which names.
    #[command(flatten)]
    pub network: Network,
    /// Ports of the workload clusters' API servers.
    #[arg(long, env = "CAPIM_WORKLOAD_PORTS", default_value = "20000-29999", value_name = "A-B", value_parser = parse_ports)]
    pub workload_ports: PortRange,
    /// Seed of ids and jitter. By default it follows from the management API, so that ids are the
    /// same after a restart.
    #[arg(long, env = "CAPIM_SEED")]
    pub seed: Option<u64>,
    /// Work only while holding the provider's Lease, so that of several processes one works.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub leader_elect: bool,
    /// Namespace of the Leases. Default: the provider's own, e.g. capd-system.
    #[arg(long, value_name = "NAMESPACE")]
    pub leader_elect_namespace: Option<String>,
}

/// Examples at the end of `capim provider --help`.
const PROVIDER_EXAMPLES: &str = "\
Examples:
  capim up --headless --external infra         the management API, in one terminal
  capim provider infra                         the provider, in another one
  capim provider infra --kubeconfig mgmt.yaml --listen 0.0.0.0 --advertise 192.168.5.2
                                               for a management cluster in kind or a VM
  capim provider core,kubeadm-bootstrap        other providers, too";

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
#[command(after_help = "\
Examples:
  capim create cluster demo --workers 3 --wait
  capim create cluster -c 200 --cp 3 --workers 10 --instant
  capim create cluster prod --class in-memory --set 'vmStartup=5s'
  capim create cluster demo --dry-run > demo.yaml")]
pub struct CreateCluster {
    /// Name of the cluster (default: demo); with --count the names are NAME-1, NAME-2, ... (default:
    /// scale-1, ...).
    pub name: Option<String>,
    /// Number of clusters.
    #[arg(short = 'c', long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub count: u32,
    /// A ClusterClass of the playground, e.g. one of `capim examples`.
    #[arg(long, value_name = "NAME", conflicts_with = "instant", add = super::complete::classes())]
    pub class: Option<String>,
    /// Value of one of the class's variables, as YAML; VARIABLE.FIELD for a part (repeatable).
    #[arg(long, value_name = "VARIABLE=VALUE", requires = "class")]
    pub set: Vec<String>,
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
    #[arg(long, env = "CAPIM_TIMEOUT", default_value = "5m", value_parser = parse_duration)]
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
    /// Context of that kubeconfig. Default: the current one.
    #[arg(long, value_name = "NAME", requires = "kubeconfig", add = super::complete::contexts())]
    pub context: Option<String>,
    /// Namespace.
    #[arg(short = 'n', long, env = "CAPIM_NAMESPACE", default_value = "default", add = super::complete::namespaces())]
    pub namespace: String,
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
    #[arg(required_unless_present = "all", add = super::complete::clusters())]
    pub names: Vec<String>,
    /// All clusters of the namespace.
    #[arg(long, conflicts_with = "names")]
    pub all: bool,
    /// Wait until they are gone.
    #[arg(long)]
    pub wait: bool,
    /// How long to wait, e.g. 90s or 5m.
    #[arg(long, env = "CAPIM_TIMEOUT", default_value = "5m", value_parser = parse_duration)]
    pub timeout: Duration,
    /// Do not ask.
    #[arg(short = 'y', long, env = "CAPIM_YES", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub yes: bool,
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

pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    crate::machinery::duration::parse(text)
}

/// A host name or an address, without scheme and port.
fn parse_host(text: &str) -> Result<String, String> {
    let is_name = |text: &str| {
        !text.is_empty()
            && text.len() <= 253
            && text.split('.').all(|label| {
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
                !label.is_empty() && label.len() <= 63 && label.bytes().all(is_plain)
            })
    };
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    match bare.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() => {
            Err("clients cannot connect to this address; name one that leads here".to_owned())
        }
        Ok(address) => Ok(address.to_string()),
        Err(_) if is_name(text) => Ok(text.to_ascii_lowercase()),
        Err(_) => Err("expected a host name or an address, without scheme and port".to_owned()),
    }
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
        let Some(Command::Up(up)) = arguments.command else { panic!("not up") };
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
    fn providers_are_switched_off_by_name_and_mistakes_name_the_near_miss() {
        let parse = |words: &[&str]| {
            let arguments = Arguments::try_parse_from(["capim", "up"].iter().chain(words));
            arguments.map(|arguments| match arguments.command {
                Some(Command::Up(up)) => up.selection().external(),
                other => panic!("{other:?}"),
            })
        };
        assert_eq!(parse(&[]).unwrap(), []);
        let external = parse(&["--external", "infra,kcp"]).unwrap();
        assert_eq!(external, [Provider::KubeadmControlPlane, Provider::Infra]);
        let external = parse(&["--providers", "core"]).unwrap();
        assert_eq!(external.len(), 3);
        assert_eq!(parse(&["--external", "addons"]).unwrap(), [Provider::Addons]);
        let external = parse(&["--external", "core"]).unwrap();
        assert_eq!(external, [Provider::Core, Provider::Addons]);
        assert_eq!(parse(&["--external", "all"]).unwrap().len(), 5);
        assert_eq!(parse(&["--providers", "all"]).unwrap(), []);
        let error = parse(&["--external", "kubeadm-controlplane"]).unwrap_err().to_string();
        assert!(error.contains("'kubeadm-control-plane'"), "{error}");
        assert!(error.contains("possible values: core, addons,"), "{error}");
        assert!(parse(&["--providers", "core", "--external", "infra"]).is_err());
    }

    #[test]
    fn advertised_hosts_are_names_or_addresses() {
        assert_eq!(parse_host("Host.docker.internal").unwrap(), "host.docker.internal");
        assert_eq!(parse_host("[fd00::1]").unwrap(), "fd00::1");
        for bad in ["", "https://a", "a:1", "0.0.0.0", "a..b", "a_b", "::"] {
            assert!(parse_host(bad).is_err(), "{bad}");
        }
    }
}
