//! Names that a shell completes: of instances, clusters, objects, namespaces, classes, contexts.
//!
//! The shell starts capim at every press of the key, so that an answer has to come at once and
//! without a word on stderr: what does not answer in time has no names. Of a playground only the
//! lock is looked at before its server is asked; nothing waits for one that does not run.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::CommandFactory;
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use serde_json::Value;

use super::arguments::Arguments;
use super::codes::CODES;
use super::connection::client_of;
use super::instance::{DEFAULT, Instance, State, parse_name};
use crate::client::Client;
use crate::clock::Clock;
use crate::machinery::duration;
use crate::playground::Example;

/// Set by the script of the shell, with the shell's name.
pub(super) const VARIABLE: &str = "COMPLETE";
/// Says how long a server may take, for those far away.
const TIMEOUT_VARIABLE: &str = "CAPIM_COMPLETION_TIMEOUT";
/// How long it may take otherwise.
const TIMEOUT: Duration = Duration::from_millis(100);
/// Names that are offered at most.
const NAMES_MAX: usize = 500;
/// Lists without what is not needed for names.
const METADATA: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";

const CLUSTERS: &str = "cluster.x-k8s.io/v1beta2";

/// Kinds whose objects have names to complete: words for them, the first of which is offered.
const KINDS: &[(&[&str], &str, &str)] = &[
    (&["cluster", "clusters", "cl"], CLUSTERS, "clusters"),
    (&["machine", "machines", "ma"], CLUSTERS, "machines"),
    (&["machinedeployment", "machinedeployments", "md"], CLUSTERS, "machinedeployments"),
    (&["machineset", "machinesets", "ms"], CLUSTERS, "machinesets"),
    (&["machinepool", "machinepools", "mp"], CLUSTERS, "machinepools"),
    (&["machinehealthcheck", "machinehealthchecks", "mhc"], CLUSTERS, "machinehealthchecks"),
    (&["clusterclass", "clusterclasses", "cc"], CLUSTERS, "clusterclasses"),
    (
        &["kubeadmcontrolplane", "kubeadmcontrolplanes", "kcp"],
        "controlplane.cluster.x-k8s.io/v1beta2",
        "kubeadmcontrolplanes",
    ),
];

/// Answers a shell and ends the process, if a shell asks.
pub(super) fn answer() {
    CompleteEnv::with_factory(Arguments::command).var(VARIABLE).complete();
}

/// Instances that have a directory.
pub(super) fn instances() -> ArgValueCompleter {
    offered(|_| Instance::all().iter().map(|it| it.name().to_owned()).collect())
}

/// Clusters.
pub(super) fn clusters() -> ArgValueCompleter {
    offered(|_| Line::read().names(CLUSTERS, "clusters"))
}

/// MachineDeployments.
pub(super) fn deployments() -> ArgValueCompleter {
    offered(|_| Line::read().names(CLUSTERS, "machinedeployments"))
}

/// ClusterClasses.
pub(super) fn classes() -> ArgValueCompleter {
    offered(|_| Line::read().names(CLUSTERS, "clusterclasses"))
}

/// Namespaces.
pub(super) fn namespaces() -> ArgValueCompleter {
    offered(|_| Line::read().ask("/api/v1/namespaces"))
}

/// A cluster's name, or KIND/NAME.
pub(super) fn objects() -> ArgValueCompleter {
    offered(|typed| match typed.split_once('/') {
        Some((kind, _)) => of_kind(kind),
        None => {
            let kinds = KINDS.iter().map(|(words, ..)| format!("{}/", words[0]));
            Line::read().names(CLUSTERS, "clusters").into_iter().chain(kinds).collect()
        }
    })
}

/// A kind, or KIND/NAME.
pub(super) fn kinds() -> ArgValueCompleter {
    offered(|typed| match typed.split_once('/') {
        Some((kind, _)) => of_kind(kind),
        None => KINDS
            .iter()
            .flat_map(|(words, ..)| words[..2].iter())
            .map(|it| (*it).to_owned())
            .collect(),
    })
}

/// Names of the kind that is the word before them: `capim get KIND NAME...`.
pub(super) fn of_kind_before() -> ArgValueCompleter {
    offered(|_| {
        let line = Line::read();
        let kind = line.words.iter().find_map(|word| kind(word));
        kind.map(|(version, plural)| line.names(version, plural)).unwrap_or_default()
    })
}

/// Examples that come with the executable.
pub(super) fn examples() -> ArgValueCompleter {
    offered(|_| Example::all().map(|it| it.name.to_owned()).collect())
}

/// Error codes.
pub(super) fn codes() -> ArgValueCompleter {
    offered(|_| CODES.iter().map(|it| it.code.to_owned()).collect())
}

/// Contexts of the kubeconfig that the line names.
pub(super) fn contexts() -> ArgValueCompleter {
    offered(|_| {
        let path = Line::read().option(&["--kubeconfig"]).map(PathBuf::from);
        let read = |path: PathBuf| kube::config::Kubeconfig::read_from(path).ok();
        let config = path.map_or_else(|| kube::config::Kubeconfig::read().ok(), read);
        config.into_iter().flat_map(|it| it.contexts).map(|it| it.name).collect()
    })
}

/// Offers those names that begin with what is typed.
fn offered(names: fn(&str) -> Vec<String>) -> ArgValueCompleter {
    ArgValueCompleter::new(move |typed: &OsStr| -> Vec<CompletionCandidate> {
        let Some(typed) = typed.to_str() else { return Vec::new() };
        let mut names = names(typed);
        names.retain(|name| name.starts_with(typed));
        names.sort();
        names.dedup();
        names.truncate(NAMES_MAX);
        names.into_iter().map(CompletionCandidate::new).collect()
    })
}

/// Version and plural of a kind.
fn kind(word: &str) -> Option<(&'static str, &'static str)> {
    let known = KINDS.iter().find(|(words, ..)| words.contains(&word));
    known.map(|(_, version, plural)| (*version, *plural))
}

/// `KIND/NAME` for all objects of the kind, as it was typed.
fn of_kind(typed: &str) -> Vec<String> {
    let Some((version, plural)) = kind(typed) else { return Vec::new() };
    let names = Line::read().names(version, plural);
    names.into_iter().map(|name| format!("{typed}/{name}")).collect()
}

/// The line that is being typed.
struct Line {
    words: Vec<String>,
}

impl Line {
    /// The words behind the `--` with which the shell's script sets them off, up to a command's.
    fn read() -> Self {
        let words = std::env::args().skip_while(|word| word != "--").skip(1);
        Self { words: words.take_while(|word| word != "--").collect() }
    }

    /// What a flag was given.
    fn option(&self, names: &[&str]) -> Option<String> {
        let mut words = self.words.iter();
        while let Some(word) = words.next() {
            for name in names {
                if word == name {
                    return words.next().cloned();
                }
                let value = word.strip_prefix(name).filter(|_| word.len() > name.len());
                match value {
                    Some(value) if !name.starts_with("--") => {
                        return Some(value.trim_start_matches('=').to_owned());
                    }
                    Some(value) => {
                        if let Some(value) = value.strip_prefix('=') {
                            return Some(value.to_owned());
                        }
                    }
                    None => {}
                }
            }
        }
        None
    }

    /// What a flag was given, or else its variable.
    fn setting(&self, names: &[&str], variable: &str) -> Option<String> {
        self.option(names).or_else(|| std::env::var(variable).ok()).filter(|it| !it.is_empty())
    }

    /// The kubeconfig that the line means; `None` if that is one of a playground that does not run.
    fn kubeconfig(&self) -> Option<PathBuf> {
        if let Some(path) = self.setting(&["--kubeconfig"], "CAPIM_KUBECONFIG") {
            return Some(path.into());
        }
        let name = self.setting(&["-i", "--instance"], "CAPIM_INSTANCE");
        let name = name.unwrap_or_else(|| DEFAULT.to_owned());
        let instance = parse_name(&name).is_ok().then(|| Instance::named(&name))?;
        match instance.state() {
            State::Running(record) => Some(record.kubeconfig),
            State::Stopped | State::Starting | State::Stale(_) => None,
        }
    }

    /// Names of the objects of a kind in the namespace of the line.
    fn names(&self, version: &str, plural: &str) -> Vec<String> {
        let namespace = self.setting(&["-n", "--namespace"], "CAPIM_NAMESPACE");
        let namespace = namespace.unwrap_or_else(|| "default".to_owned());
        let is_all = self.words.iter().any(|word| word == "-A" || word == "--all-namespaces");
        let within = if is_all { String::new() } else { format!("namespaces/{namespace}/") };
        self.ask(&format!("/apis/{version}/{within}{plural}"))
    }

    /// Names of a list; none if there is no answer in time.
    fn ask(&self, path: &str) -> Vec<String> {
        let Some(kubeconfig) = self.kubeconfig() else { return Vec::new() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return Vec::new() };
        let limit = std::env::var(TIMEOUT_VARIABLE).ok();
        let limit = limit.and_then(|text| duration::parse(&text).ok()).unwrap_or(TIMEOUT);
        let context = self.option(&["--context"]);
        let asking = listed(&kubeconfig, context.as_deref(), path);
        let clock = Clock::wall();
        let names = runtime.block_on(async { clock.timeout(limit, asking).await });
        runtime.shutdown_background();
        names.ok().flatten().unwrap_or_default()
    }
}

async fn listed(kubeconfig: &Path, context: Option<&str>, path: &str) -> Option<Vec<String>> {
    let client: Client = client_of(kubeconfig, context).await.ok()?;
    let list = client.get_json_as(&format!("{path}?limit={NAMES_MAX}"), METADATA).await.ok()?;
    let name = |item: &Value| item["metadata"]["name"].as_str().map(str::to_owned);
    Some(list["items"].as_array()?.iter().filter_map(name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_found_in_a_line_that_is_not_finished() {
        let line = |text: &str| Line { words: text.split(' ').map(str::to_owned).collect() };
        let instance = |text| line(text).option(&["-i", "--instance"]);
        assert_eq!(instance("capim -i ci get").as_deref(), Some("ci"));
        assert_eq!(instance("capim get -ici").as_deref(), Some("ci"));
        assert_eq!(instance("capim get --instance=ci x").as_deref(), Some("ci"));
        assert_eq!(instance("capim get --instances=ci x"), None);
        assert_eq!(instance("capim get -i"), None);
        assert_eq!(kind("md"), Some((CLUSTERS, "machinedeployments")));
        assert_eq!(kind("secrets"), None);
    }
}
