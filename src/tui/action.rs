//! What the dashboard can do to objects, as values: each knows the shell command that does the same,
//! can be typed into the palette, and is carried out through the client.

mod carry_out;
mod edit;
mod line;
mod subject;

pub use carry_out::Done;
pub(super) use edit::{Edited, Editing, save_kubeconfig};
pub use line::parse;
pub use subject::Subject;

use crate::acts::{Count, Part, PauseState};
use crate::client::ObjectKey;

/// Sample clusters to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewClusters {
    /// Name; with a count above one, the names are NAME-1, NAME-2, ...
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// How many.
    pub count: u32,
    /// Control plane machines of each; odd.
    pub control_planes: u32,
    /// Workers of each.
    pub workers: u32,
    /// Kubernetes version.
    pub version: String,
    /// Whether their machines start at once.
    pub instant: bool,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Create clusters.
    Create(NewClusters),
    /// Change numbers of machines of a cluster.
    Scale {
        /// The cluster.
        cluster: ObjectKey,
        /// Workers.
        workers: Option<Count>,
        /// Of which MachineDeployment; of the only one if `None`.
        deployment: Option<String>,
        /// Control plane machines.
        control_planes: Option<u32>,
    },
    /// Change the Kubernetes version of a cluster.
    Upgrade {
        /// The cluster.
        cluster: ObjectKey,
        /// The version.
        version: String,
    },
    /// Replace machines by new ones.
    Restart {
        /// The cluster.
        cluster: ObjectKey,
        /// Which of its machines.
        part: RestartPart,
    },
    /// Stop reconciling, or go on.
    Pause {
        /// What.
        subject: Subject,
        /// Whether it stops.
        paused: bool,
    },
    /// Delete.
    Delete {
        /// What.
        subject: Subject,
    },
}

/// Which machines of a cluster are replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RestartPart {
    /// All.
    #[default]
    All,
    /// Those of the control plane.
    ControlPlane,
    /// Those of a MachineDeployment.
    Deployment(String),
}

impl RestartPart {
    fn to_part(&self) -> Part {
        match self {
            Self::All => Part::All,
            Self::ControlPlane => Part::ControlPlane,
            Self::Deployment(name) => Part::Deployment(name.clone()),
        }
    }
}

impl Action {
    /// The shell command that does the same; `flags` say which server is meant, as capim's and
    /// kubectl's commands both take them.
    pub fn command(&self, flags: &[String]) -> String {
        let mut words: Vec<String> = Vec::new();
        let mut push = |texts: &[&str]| words.extend(texts.iter().map(|text| quoted(text)));
        let namespace = match self {
            Self::Create(new) => {
                push(&["capim", "create", "cluster", &new.name]);
                if new.count != 1 {
                    push(&["--count", &new.count.to_string()]);
                }
                push(&["--cp", &new.control_planes.to_string()]);
                push(&["--workers", &new.workers.to_string()]);
                push(&["--k8s-version", &new.version]);
                if new.instant {
                    push(&["--instant"]);
                }
                &new.namespace
            }
            Self::Scale { cluster, workers, deployment, control_planes } => {
                push(&["capim", "scale", &cluster.name]);
                if let Some(workers) = workers {
                    push(&["--workers", &workers.to_string()]);
                }
                if let Some(deployment) = deployment {
                    push(&["--md", deployment]);
                }
                if let Some(count) = control_planes {
                    push(&["--cp", &count.to_string()]);
                }
                &cluster.namespace
            }
            Self::Upgrade { cluster, version } => {
                push(&["capim", "upgrade", &cluster.name, "--to", version]);
                &cluster.namespace
            }
            Self::Restart { cluster, part } => {
                push(&["capim", "rollout", "restart", &cluster.name]);
                match part {
                    RestartPart::All => {}
                    RestartPart::ControlPlane => push(&["--kcp"]),
                    RestartPart::Deployment(name) => push(&["--md", name]),
                }
                &cluster.namespace
            }
            Self::Pause { subject, paused } => {
                push(&["capim", if *paused { "pause" } else { "resume" }, &subject.typed()]);
                &subject.namespace
            }
            Self::Delete { subject } if subject.is_cluster() => {
                push(&["capim", "delete", "cluster", &subject.name, "--yes"]);
                &subject.namespace
            }
            Self::Delete { subject } => {
                push(&["kubectl", "delete", &subject.path()]);
                &subject.namespace
            }
        };
        let flags = if words[0] == "kubectl" { kubectl_flags(flags) } else { flags };
        place(&mut words, namespace, flags);
        words.join(" ")
    }

    /// What it does, as a title: `Scale demo`.
    pub fn title(&self) -> String {
        match self {
            Self::Create(new) if new.count == 1 => format!("Create cluster {}", new.name),
            Self::Create(new) => format!("Create {} clusters {}-1, ...", new.count, new.name),
            Self::Scale { cluster, .. } => format!("Scale {}", cluster.name),
            Self::Upgrade { cluster, version } => format!("Upgrade {} to {version}", cluster.name),
            Self::Restart { cluster, .. } => format!("Restart machines of {}", cluster.name),
            Self::Pause { subject, paused: true } => format!("Pause {}", subject.typed()),
            Self::Pause { subject, paused: false } => format!("Resume {}", subject.typed()),
            Self::Delete { subject } => format!("Delete {}", subject.typed()),
        }
    }
}

/// Appends namespace and server to a command.
fn place(words: &mut Vec<String>, namespace: &str, flags: &[String]) {
    if !namespace.is_empty() && namespace != "default" {
        words.extend(["-n".to_owned(), quoted(namespace)]);
    }
    words.extend(flags.iter().map(|flag| quoted(flag)));
}

/// Of capim's flags those that kubectl has, too; an instance's name is capim's own, and whoever uses
/// kubectl has set KUBECONFIG.
fn kubectl_flags(flags: &[String]) -> &[String] {
    match flags.first().map(String::as_str) {
        Some("--kubeconfig") => flags,
        _ => &[],
    }
}

/// The command that edits an object.
pub fn edit_command(subject: &Subject, flags: &[String]) -> String {
    let mut words = vec!["kubectl".to_owned(), "edit".to_owned(), quoted(&subject.path())];
    place(&mut words, &subject.namespace, kubectl_flags(flags));
    words.join(" ")
}

/// The command that prints a cluster's kubeconfig with one of capim's verbs (`kubeconfig`, `env`,
/// `shell`); that of the management API without a cluster.
pub fn kubeconfig_command(verb: &str, cluster: Option<&ObjectKey>, flags: &[String]) -> String {
    let mut words = vec!["capim".to_owned(), verb.to_owned()];
    words.extend(cluster.map(|cluster| quoted(&cluster.name)));
    place(&mut words, cluster.map_or("", |cluster| &cluster.namespace), flags);
    words.join(" ")
}

/// A word as a POSIX shell reads it.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=+,@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

impl From<bool> for PauseState {
    fn from(paused: bool) -> Self {
        if paused { Self::Paused } else { Self::Running }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(namespace: &str, name: &str) -> ObjectKey {
        ObjectKey::new(namespace, name)
    }

    #[test]
    fn every_act_has_an_equal_command() {
        let new = NewClusters {
            name: "demo".into(),
            namespace: "default".into(),
            count: 1,
            control_planes: 3,
            workers: 2,
            version: "v1.36.1".into(),
            instant: false,
        };
        let many =
            NewClusters { count: 20, instant: true, namespace: "team".into(), ..new.clone() };
        let machine = Subject::new("machines.cluster.x-k8s.io", "default", "m");
        for (action, command) in [
            (
                Action::Create(new),
                "capim create cluster demo --cp 3 --workers 2 --k8s-version v1.36.1",
            ),
            (
                Action::Create(many),
                "capim create cluster demo --count 20 --cp 3 --workers 2 --k8s-version v1.36.1 --instant -n team",
            ),
            (
                Action::Scale {
                    cluster: cluster("default", "demo"),
                    workers: Some(Count::Change(2)),
                    deployment: Some("demo-md-0".into()),
                    control_planes: None,
                },
                "capim scale demo --workers +2 --md demo-md-0",
            ),
            (
                Action::Upgrade { cluster: cluster("a", "demo"), version: "v1.37.0".into() },
                "capim upgrade demo --to v1.37.0 -n a",
            ),
            (
                Action::Restart {
                    cluster: cluster("default", "demo"),
                    part: RestartPart::ControlPlane,
                },
                "capim rollout restart demo --kcp",
            ),
            (
                Action::Pause { subject: Subject::cluster("default", "demo"), paused: true },
                "capim pause demo",
            ),
            (Action::Pause { subject: machine.clone(), paused: false }, "capim resume machine/m"),
            (
                Action::Delete { subject: Subject::cluster("default", "demo") },
                "capim delete cluster demo --yes",
            ),
            (Action::Delete { subject: machine }, "kubectl delete machines.cluster.x-k8s.io/m"),
        ] {
            assert_eq!(action.command(&[]), command);
        }
    }

    #[test]
    fn the_server_is_named_where_it_is_not_the_usual_one() {
        let action = Action::Delete { subject: Subject::cluster("team", "demo") };
        let flags = ["--kubeconfig".to_owned(), "/a b/it's".to_owned()];
        assert_eq!(
            action.command(&flags),
            r"capim delete cluster demo --yes -n team --kubeconfig '/a b/it'\''s'"
        );
    }
}
