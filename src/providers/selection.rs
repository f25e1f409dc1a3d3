//! The providers by name: what each is called by its user, by clusterctl and in its Lease, and a
//! set of them.

use std::collections::BTreeSet;
use std::fmt;

/// A provider that capim plays and that can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provider {
    /// Clusters, Machines, MachineSets, MachineDeployments and MachinePools.
    Core,
    /// ClusterResourceSets. Upstream's core manager runs them; they are apart here, so that another
    /// add-on provider can be tried without them.
    Addons,
    /// KubeadmConfigs.
    KubeadmBootstrap,
    /// KubeadmControlPlanes.
    KubeadmControlPlane,
    /// The `Dev*` and `InMemory*` kinds and the workload clusters behind them.
    Infra,
}

impl Provider {
    /// All of them, in the order in which lists name them.
    pub const ALL: [Self; 5] =
        [Self::Core, Self::Addons, Self::KubeadmBootstrap, Self::KubeadmControlPlane, Self::Infra];

    /// Those that upstream installs as managers of their own, with an entry in clusterctl's
    /// inventory.
    pub const MANAGERS: [Self; 4] =
        [Self::Core, Self::KubeadmBootstrap, Self::KubeadmControlPlane, Self::Infra];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Addons => "addons",
            Self::KubeadmBootstrap => "kubeadm-bootstrap",
            Self::KubeadmControlPlane => "kubeadm-control-plane",
            Self::Infra => "infra",
        }
    }

    /// The value of label `cluster.x-k8s.io/provider`, which is also the name of clusterctl's
    /// Provider object. (CAPI v1.14: cmd/clusterctl/api/v1alpha3/labels.go)
    pub fn label(self) -> &'static str {
        match self {
            Self::Core | Self::Addons => "cluster-api",
            Self::KubeadmBootstrap => "bootstrap-kubeadm",
            Self::KubeadmControlPlane => "control-plane-kubeadm",
            Self::Infra => "infrastructure-docker",
        }
    }

    /// The namespace that upstream's manifests install it into.
    pub fn namespace(self) -> &'static str {
        match self {
            Self::Core | Self::Addons => "capi-system",
            Self::KubeadmBootstrap => "capi-kubeadm-bootstrap-system",
            Self::KubeadmControlPlane => "capi-kubeadm-control-plane-system",
            Self::Infra => "capd-system",
        }
    }

    /// The Lease of its leader. (CAPI v1.14: LeaderElectionID in each provider's main.go; that of
    /// the add-ons is ours)
    pub fn lease(self) -> &'static str {
        match self {
            Self::Core => "controller-leader-election-capi",
            Self::Addons => "controller-leader-election-capi-addons",
            Self::KubeadmBootstrap => "kubeadm-bootstrap-manager-leader-election-capi",
            Self::KubeadmControlPlane => "kubeadm-control-plane-manager-leader-election-capi",
            Self::Infra => "controller-leader-election-capd",
        }
    }

    /// The API group of its kinds.
    pub fn group(self) -> &'static str {
        match self {
            Self::Core => "cluster.x-k8s.io",
            Self::Addons => "addons.cluster.x-k8s.io",
            Self::KubeadmBootstrap => "bootstrap.cluster.x-k8s.io",
            Self::KubeadmControlPlane => "controlplane.cluster.x-k8s.io",
            Self::Infra => "infrastructure.cluster.x-k8s.io",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which providers run here. The others are somebody else's: their kinds are served, and nothing
/// of ours writes their objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection(BTreeSet<Provider>);

impl Selection {
    /// All of them.
    pub fn all() -> Self {
        Provider::ALL.into_iter().collect()
    }

    /// All but these.
    pub fn without(external: impl IntoIterator<Item = Provider>) -> Self {
        let external: BTreeSet<Provider> = external.into_iter().collect();
        Provider::ALL.into_iter().filter(|provider| !external.contains(provider)).collect()
    }

    /// Whether a provider runs here.
    pub fn has(&self, provider: Provider) -> bool {
        self.0.contains(&provider)
    }

    /// Those that run here.
    pub fn iter(&self) -> impl Iterator<Item = Provider> {
        self.0.iter().copied()
    }

    /// Those that do not.
    pub fn external(&self) -> Vec<Provider> {
        Provider::ALL.into_iter().filter(|provider| !self.has(*provider)).collect()
    }

    /// Whether one of them looks into workload clusters.
    pub fn reads_workloads(&self) -> bool {
        self.iter().any(|provider| provider != Provider::Infra)
    }
}

impl Default for Selection {
    fn default() -> Self {
        Self::all()
    }
}

impl FromIterator<Provider> for Selection {
    fn from_iter<I: IntoIterator<Item = Provider>>(providers: I) -> Self {
        Self(providers.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_run_here_is_external() {
        let selection = Selection::without([Provider::Infra, Provider::Core]);
        assert_eq!(selection.external(), [Provider::Core, Provider::Infra]);
        assert!(selection.has(Provider::KubeadmBootstrap) && !selection.has(Provider::Core));
        assert!(selection.reads_workloads());
        assert!(!Selection::from_iter([Provider::Infra]).reads_workloads());
        assert_eq!(Selection::default().external(), []);
    }
}
