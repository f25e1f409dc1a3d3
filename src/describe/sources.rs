//! The objects that belong to one cluster.

use std::collections::BTreeMap;

use serde_json::Value;

use super::object;

/// Which object is meant, within the cluster's namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// API group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
}

impl Reference {
    /// Reads a reference with `apiGroup`, or with `apiVersion` as v1beta1 has it.
    pub fn of(value: &Value) -> Option<Self> {
        let text = |field: &str| value[field].as_str().filter(|text| !text.is_empty());
        let group = text("apiGroup").or_else(|| {
            text("apiVersion").and_then(|version| version.split_once('/')).map(|(group, _)| group)
        });
        Some(Self {
            group: group.unwrap_or_default().to_owned(),
            kind: text("kind")?.to_owned(),
            name: text("name")?.to_owned(),
        })
    }
}

/// The objects of one cluster, with apiVersion and kind.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The Cluster.
    pub cluster: Value,
    /// Machines, by name.
    pub machines: Vec<Value>,
    /// MachineSets.
    pub machine_sets: Vec<Value>,
    /// MachineDeployments.
    pub machine_deployments: Vec<Value>,
    /// MachinePools.
    pub machine_pools: Vec<Value>,
    /// The ClusterResourceSetBinding, named like the Cluster.
    pub resource_set_binding: Option<Value>,
    /// What Cluster, Machines and MachinePools refer to, as far as it exists.
    pub referenced: BTreeMap<Reference, Value>,
}

impl Sources {
    /// References of the Cluster, its machines and pools: what has to be read into `referenced`.
    pub fn references(&self) -> Vec<Reference> {
        let of_cluster = [Self::INFRASTRUCTURE, Self::CONTROL_PLANE]
            .map(|field| Reference::of(&self.cluster["spec"][field]));
        let specs = self.machines.iter().map(|machine| &machine["spec"]);
        let pools = self.machine_pools.iter().map(|pool| &pool["spec"]["template"]["spec"]);
        let of_machines = specs.chain(pools).flat_map(|spec| {
            [
                Reference::of(&spec["infrastructureRef"]),
                Reference::of(&spec["bootstrap"]["configRef"]),
            ]
        });
        let mut all: Vec<Reference> = of_cluster.into_iter().chain(of_machines).flatten().collect();
        all.sort();
        all.dedup();
        all
    }

    pub(super) const INFRASTRUCTURE: &'static str = "infrastructureRef";
    pub(super) const CONTROL_PLANE: &'static str = "controlPlaneRef";

    /// The object behind a reference.
    pub(super) fn resolve(&self, reference: &Value) -> Option<&Value> {
        self.referenced.get(&Reference::of(reference)?)
    }

    pub(super) fn infrastructure(&self) -> Option<&Value> {
        self.resolve(&self.cluster["spec"][Self::INFRASTRUCTURE])
    }

    pub(super) fn control_plane(&self) -> Option<&Value> {
        self.resolve(&self.cluster["spec"][Self::CONTROL_PLANE])
    }

    /// Any object of the cluster by kind and name; the kind in any case.
    pub fn find(&self, kind: &str, name: &str) -> Option<&Value> {
        let lists =
            [&self.machines, &self.machine_sets, &self.machine_deployments, &self.machine_pools];
        std::iter::once(&self.cluster)
            .chain(lists.into_iter().flatten())
            .chain(self.referenced.values())
            .find(|candidate| {
                object::kind(candidate).eq_ignore_ascii_case(kind)
                    && object::name(candidate) == name
            })
    }

    pub(super) fn machines_of(&self, owner: &Value) -> Vec<&Value> {
        self.machines.iter().filter(|it| object::is_controlled_by(it, owner)).collect()
    }

    pub(super) fn sets_of(&self, owner: &Value) -> Vec<&Value> {
        self.machine_sets.iter().filter(|it| object::is_controlled_by(it, owner)).collect()
    }
}
