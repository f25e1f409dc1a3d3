//! Which API version of a provider's kind speaks which contract.
//! (CAPI v1.14: internal/contract/version.go)
//!
//! References name group and kind only; the version comes from the contract labels of the kind's
//! CustomResourceDefinition (`cluster.x-k8s.io/v1beta2: v1beta2_v1beta3`). The composition root
//! fills the table and may go on filling it while controllers run.

use std::collections::HashMap;
use std::sync::Arc;

use kube::core::ApiResource;
use parking_lot::RwLock;

use crate::api::core::ContractRef;

/// A contract version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Contract {
    /// The contract of CAPI v1.0 to v1.10.
    V1Beta1,
    /// The contract since CAPI v1.11.
    V1Beta2,
}

/// A provider's kind as references resolve it.
#[derive(Clone, Debug, PartialEq)]
pub struct ContractKind {
    /// Group, version, kind and plural name to talk to the API.
    pub resource: ApiResource,
    /// Contract that this version speaks.
    pub contract: Contract,
}

/// A reference to a kind that no CustomResourceDefinition serves under a known contract.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "failed to get object from ref: failed to get CustomResourceDefinition metadata: no contract version is known for {kind}.{group}"
)]
pub struct UnknownKind {
    /// API group.
    pub group: String,
    /// Kind.
    pub kind: String,
}

/// The table of known kinds. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct ContractVersions {
    /// By group and kind. Written by the composition root, read by every reconciler.
    kinds: Arc<RwLock<Kinds>>,
    /// Contract of each version that labels name, by group, kind and version. Written and read as
    /// `kinds` are.
    contracts: Arc<RwLock<Contracts>>,
}

/// Contracts by group, kind and version.
type Contracts = HashMap<(String, String, String), Contract>;

/// Kinds by group and kind.
type Kinds = HashMap<(String, String), Arc<ContractKind>>;

impl ContractVersions {
    /// Adds or replaces a kind.
    pub fn insert(&self, kind: ContractKind) {
        let key = (kind.resource.group.clone(), kind.resource.kind.clone());
        self.kinds.write().insert(key, Arc::new(kind));
    }

    /// Adds a kind by the labels of its CustomResourceDefinition; answers whether they name a
    /// known contract.
    pub fn insert_labelled<'a>(
        &self,
        group: &str,
        kind: &str,
        plural: &str,
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> bool {
        let labels: Vec<(&str, &str)> = labels.into_iter().collect();
        let mut contracts = self.contracts.write();
        for (contract, versions) in labels.iter().filter_map(|label| contract_of(*label)) {
            for version in versions.split('_') {
                let key = (group.to_owned(), kind.to_owned(), version.to_owned());
                let held = contracts.entry(key).or_insert(contract);
                *held = contract.max(*held);
            }
        }
        drop(contracts);
        let Some((contract, version)) = latest(labels) else { return false };
        self.insert(ContractKind {
            resource: ApiResource {
                group: group.to_owned(),
                version: version.clone(),
                api_version: format!("{group}/{version}"),
                kind: kind.to_owned(),
                plural: plural.to_owned(),
            },
            contract,
        });
        true
    }

    /// A kind by group and kind.
    pub fn get(&self, group: &str, kind: &str) -> Option<Arc<ContractKind>> {
        self.kinds.read().get(&(group.to_owned(), kind.to_owned())).cloned()
    }

    /// The contract that a version of a kind speaks; the oldest one for a version that no label
    /// names.
    pub fn contract(&self, group: &str, kind: &str, version: &str) -> Contract {
        let key = (group.to_owned(), kind.to_owned(), version.to_owned());
        if let Some(contract) = self.contracts.read().get(&key) {
            return *contract;
        }
        match self.get(group, kind) {
            Some(known) if known.resource.version == version => known.contract,
            Some(_) | None => Contract::V1Beta1,
        }
    }

    /// All kinds, ordered by group and kind.
    pub fn kinds(&self) -> Vec<Arc<ContractKind>> {
        let mut kinds: Vec<Arc<ContractKind>> = self.kinds.read().values().cloned().collect();
        kinds.sort_by(|a, b| {
            (&a.resource.group, &a.resource.kind).cmp(&(&b.resource.group, &b.resource.kind))
        });
        kinds
    }

    /// The kind that a reference names.
    ///
    /// # Errors
    /// [`UnknownKind`] if it was never inserted.
    pub fn resolve(&self, reference: &ContractRef) -> Result<Arc<ContractKind>, UnknownKind> {
        self.get(&reference.api_group, &reference.kind).ok_or_else(|| UnknownKind {
            group: reference.api_group.clone(),
            kind: reference.kind.clone(),
        })
    }
}

/// The newest contract that labels name, with the newest API version under it.
pub fn latest<'a>(
    labels: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Option<(Contract, String)> {
    labels
        .into_iter()
        .filter_map(|label| {
            let (contract, versions) = contract_of(label)?;
            let newest = versions.split('_').max_by_key(|version| version_rank(version))?;
            Some((contract, newest.to_owned()))
        })
        .max_by_key(|(contract, _)| *contract)
}

/// What a label says: a contract and the versions under it, joined by `_`.
fn contract_of<'a>((label, versions): (&str, &'a str)) -> Option<(Contract, &'a str)> {
    let contract = match label.strip_prefix("cluster.x-k8s.io/")? {
        "v1beta1" => Contract::V1Beta1,
        "v1beta2" => Contract::V1Beta2,
        _ => return None,
    };
    (!versions.is_empty()).then_some((contract, versions))
}

/// Kubernetes' order of API versions: stable over beta over alpha, then by number.
fn version_rank(version: &str) -> (u8, u32, u32) {
    let number = |text: &str| text.parse::<u32>().unwrap_or(0);
    let Some(rest) = version.strip_prefix('v') else { return (0, 0, 0) };
    for (stage, name) in [(2, "beta"), (1, "alpha")] {
        if let Some((major, minor)) = rest.split_once(name) {
            return (stage, number(major), number(minor));
        }
    }
    (3, number(rest), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_contract_and_version_win() {
        let labels = [
            ("cluster.x-k8s.io/v1beta1", "v1alpha4_v1beta1"),
            ("cluster.x-k8s.io/v1beta2", "v1beta2_v1"),
            ("other", "v9"),
        ];
        assert_eq!(latest(labels), Some((Contract::V1Beta2, "v1".to_owned())));
        assert_eq!(
            latest([("cluster.x-k8s.io/v1beta1", "v1alpha1")]),
            Some((Contract::V1Beta1, "v1alpha1".to_owned()))
        );
    }

    #[test]
    fn references_resolve_to_a_served_version() {
        let versions = ContractVersions::default();
        let labels = [("cluster.x-k8s.io/v1beta1", "v1alpha1")];
        assert!(versions.insert_labelled("g", "InMemoryMachine", "inmemorymachines", labels));
        let reference =
            ContractRef { api_group: "g".into(), kind: "InMemoryMachine".into(), name: "a".into() };
        assert_eq!(versions.resolve(&reference).unwrap().resource.api_version, "g/v1alpha1");
        assert!(versions.resolve(&ContractRef::default()).is_err());
    }
}
