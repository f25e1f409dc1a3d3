//! What acts are about: an object by kind, namespace and name.

use crate::client::ObjectKey;
use crate::tui::keymap::Command;

/// An object that a row stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// Plural and group, e.g. `machines.cluster.x-k8s.io`; the plural alone for the core group.
    pub resource: String,
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The workload cluster that it belongs to, if it is not one itself.
    pub owner_cluster: Option<String>,
}

const CLUSTERS: &str = "clusters.cluster.x-k8s.io";
const DEPLOYMENTS: &str = "machinedeployments.cluster.x-k8s.io";
/// Group of control planes; which kind it is depends on the provider.
const CONTROL_PLANE_GROUP: &str = ".controlplane.cluster.x-k8s.io";

impl Subject {
    /// An object of any kind.
    pub fn new(resource: &str, namespace: &str, name: &str) -> Self {
        Self {
            resource: resource.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            owner_cluster: None,
        }
    }

    /// An object by apiVersion and kind. Plurals follow Kubernetes' guess, which is right for all
    /// kinds of Cluster API, and kubectl takes singulars, too.
    pub fn of_kind(api_version: &str, kind: &str, key: &ObjectKey) -> Self {
        let kind = kind.to_ascii_lowercase();
        let plural = match kind.strip_suffix('y') {
            Some(stem) => format!("{stem}ies"),
            None if kind.ends_with('s') => format!("{kind}es"),
            None => format!("{kind}s"),
        };
        let resource = match api_version.split_once('/') {
            Some((group, _)) => format!("{plural}.{group}"),
            None => plural,
        };
        Self::new(&resource, &key.namespace, &key.name)
    }

    /// A workload cluster.
    pub fn cluster(namespace: &str, name: &str) -> Self {
        Self::new(CLUSTERS, namespace, name)
    }

    /// The same, as a part of a workload cluster.
    #[must_use]
    pub fn of_cluster(mut self, cluster: &str) -> Self {
        self.owner_cluster = Some(cluster.to_owned()).filter(|name| !name.is_empty());
        self
    }

    /// Whether it is a workload cluster.
    pub fn is_cluster(&self) -> bool {
        self.resource == CLUSTERS
    }

    /// Whether it is a MachineDeployment.
    pub fn is_deployment(&self) -> bool {
        self.resource == DEPLOYMENTS
    }

    /// Whether it is a control plane.
    pub fn is_control_plane(&self) -> bool {
        self.resource.ends_with(CONTROL_PLANE_GROUP)
    }

    /// The workload cluster that it is or belongs to.
    pub fn workload_cluster(&self) -> Option<ObjectKey> {
        let name = match self.is_cluster() {
            true => Some(&self.name),
            false => self.owner_cluster.as_ref(),
        };
        name.map(|name| ObjectKey::new(&*self.namespace, &**name))
    }

    /// As kubectl takes it: `machines.cluster.x-k8s.io/a`.
    pub fn path(&self) -> String {
        format!("{}/{}", self.resource, self.name)
    }

    /// As capim's commands take it: the name of a cluster, `machine/a` for the rest.
    pub fn typed(&self) -> String {
        if self.is_cluster() {
            return self.name.clone();
        }
        let plural = self.resource.split('.').next().unwrap_or_default();
        let singular = match plural.strip_suffix("ies") {
            Some(stem) => format!("{stem}y"),
            None => plural.strip_suffix('s').unwrap_or(plural).to_owned(),
        };
        format!("{singular}/{}", self.name)
    }

    /// Whether a command makes sense for it.
    pub fn allows(&self, command: Command) -> bool {
        let has_cluster = self.workload_cluster().is_some();
        let is_cluster_api = self.resource.contains("cluster.x-k8s.io");
        match command {
            Command::Scale | Command::Restart => {
                has_cluster
                    && (self.is_cluster() || self.is_deployment() || self.is_control_plane())
            }
            Command::Upgrade => self.is_cluster(),
            Command::Pause => is_cluster_api,
            Command::Kubeconfig | Command::Objects => has_cluster,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_allow_what_makes_sense() {
        let machine = Subject::new("machines.cluster.x-k8s.io", "ns", "m").of_cluster("c");
        assert!(!machine.allows(Command::Scale));
        assert!(machine.allows(Command::Delete));
        assert!(machine.allows(Command::Kubeconfig));
        assert_eq!(machine.typed(), "machine/m");
        assert_eq!(machine.workload_cluster(), Some(ObjectKey::new("ns", "c")));
        let kcp = "kubeadmcontrolplanes.controlplane.cluster.x-k8s.io";
        assert!(Subject::new(kcp, "ns", "k").of_cluster("c").allows(Command::Scale));
        assert!(!Subject::new(kcp, "ns", "k").allows(Command::Scale));
        let policy = Subject::of_kind("a.io/v1", "Policy", &ObjectKey::new("ns", "p"));
        assert_eq!(
            (policy.path().as_str(), policy.typed().as_str()),
            ("policies.a.io/p", "policy/p")
        );
        let pod = Subject::of_kind("v1", "Pod", &ObjectKey::new("ns", "p"));
        assert!(!pod.allows(Command::Pause));
        assert_eq!(pod.typed(), "pod/p");
    }
}
