//! The Cluster API kinds that capim serves, from `assets/cluster-api.table`.
//!
//! The table has every kind of Cluster API v1.14's core, kubeadm and development providers in its
//! storage version, and the in-memory provider's kinds of v1.6.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::strategy;
use crate::machinery::definition::{Origin, ResourceDefinition};
use crate::machinery::tables::{self, Table};

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let text = include_str!("../../assets/cluster-api.table");
    tables::parse(text, Origin::Custom).expect("the table is tested to parse")
});

/// Kinds that are served, by group and plural. The others of the table have no controller here:
/// to accept an object that nobody reconciles would only look like a hang.
const SERVED: [(&str, &str); 16] = [
    ("cluster.x-k8s.io", "clusters"),
    ("cluster.x-k8s.io", "machinedeployments"),
    ("cluster.x-k8s.io", "machines"),
    ("cluster.x-k8s.io", "machinesets"),
    ("bootstrap.cluster.x-k8s.io", "kubeadmconfigs"),
    ("bootstrap.cluster.x-k8s.io", "kubeadmconfigtemplates"),
    ("controlplane.cluster.x-k8s.io", "kubeadmcontrolplanes"),
    ("controlplane.cluster.x-k8s.io", "kubeadmcontrolplanetemplates"),
    ("infrastructure.cluster.x-k8s.io", "devclusters"),
    ("infrastructure.cluster.x-k8s.io", "devclustertemplates"),
    ("infrastructure.cluster.x-k8s.io", "devmachines"),
    ("infrastructure.cluster.x-k8s.io", "devmachinetemplates"),
    ("infrastructure.cluster.x-k8s.io", "inmemoryclusters"),
    ("infrastructure.cluster.x-k8s.io", "inmemoryclustertemplates"),
    ("infrastructure.cluster.x-k8s.io", "inmemorymachines"),
    ("infrastructure.cluster.x-k8s.io", "inmemorymachinetemplates"),
];

/// Every served Cluster API resource with its strategy.
pub fn definitions() -> Vec<ResourceDefinition> {
    let served = TABLE
        .definitions
        .iter()
        .filter(|definition| SERVED.contains(&(&*definition.group, &*definition.plural)));
    let with_strategy = served.map(|definition| ResourceDefinition {
        strategy: strategy::of(&definition.group, &definition.kind),
        ..definition.clone()
    });
    with_strategy.collect()
}

/// Labels of a kind's CustomResourceDefinition: the provider, and for kinds that are referred to
/// by contract, the versions that fulfil each contract. (CAPI v1.14: config/crd and
/// config/default of the providers; v1.6 for the in-memory kinds)
pub fn labels(definition: &ResourceDefinition) -> BTreeMap<String, String> {
    let in_memory = definition.plural.starts_with("inmemory");
    let provider = match &*definition.group {
        "bootstrap.cluster.x-k8s.io" => "bootstrap-kubeadm",
        "controlplane.cluster.x-k8s.io" => "control-plane-kubeadm",
        "infrastructure.cluster.x-k8s.io" if in_memory => "infrastructure-in-memory",
        "infrastructure.cluster.x-k8s.io" => "infrastructure-docker",
        _ => "cluster-api",
    };
    let contracts: &[(&str, &str)] = match provider {
        "cluster-api" => &[],
        "infrastructure-in-memory" => &[("cluster.x-k8s.io/v1beta1", "v1alpha1")],
        _ => &[("cluster.x-k8s.io/v1beta1", "v1beta1"), ("cluster.x-k8s.io/v1beta2", "v1beta2")],
    };
    // The first one is on everything that clusterctl installs.
    let own = [("clusterctl.cluster.x-k8s.io", ""), ("cluster.x-k8s.io/provider", provider)];
    let all = own.iter().chain(contracts);
    all.map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machinery::schema::{ListType, NodeType};

    fn definition(plural: &str) -> ResourceDefinition {
        let mut found = definitions().into_iter().filter(|one| &*one.plural == plural);
        found.next().expect("served")
    }

    #[test]
    fn all_served_kinds_are_in_the_table() {
        assert_eq!(definitions().len(), SERVED.len());
        assert!(definitions().iter().all(|one| one.origin == Origin::Custom && one.namespaced));
        let versions: Vec<_> = definitions().iter().map(|one| one.version.clone()).collect();
        assert_eq!(versions.iter().filter(|version| &***version == "v1alpha1").count(), 4);
        assert_eq!(versions.iter().filter(|version| &***version == "v1beta2").count(), 12);
    }

    #[test]
    fn machine_has_names_columns_and_fields_of_upstream() {
        let machine = definition("machines");
        assert_eq!((&*machine.kind, &*machine.list_kind), ("Machine", "MachineList"));
        assert_eq!(&*machine.short_names[0], "ma");
        assert_eq!(&*machine.categories[0], "cluster-api");
        assert!(machine.subresources.status && machine.subresources.scale.is_none());
        let names: Vec<&str> = machine.columns.iter().map(|column| &*column.name).collect();
        assert_eq!(names[..4], ["Cluster", "Node Name", "Provider ID", "Failure domain"]);
        assert_eq!(machine.columns[2].priority, 10);
        let spec = machine.schema.root().property("spec").expect("spec");
        let version = spec.property("version").expect("version");
        assert_eq!(version.node_type(), NodeType::String);
        let gates = spec.property("readinessGates").expect("gates");
        assert_eq!(gates.list_type(), ListType::Map);
        assert_eq!(*gates.list_map_keys(), ["conditionType".into()]);
    }

    #[test]
    fn control_plane_scales_by_its_replicas_and_selector() {
        let scale = definition("kubeadmcontrolplanes").subresources.scale.expect("scale");
        assert_eq!(&*scale.spec_replicas, "spec.replicas");
        assert_eq!(&*scale.status_replicas, "status.replicas");
        assert_eq!(scale.label_selector.as_deref(), Some("status.selector"));
    }

    #[test]
    fn contract_labels_name_the_served_version() {
        let labels = labels(&definition("devmachines"));
        assert_eq!(labels["cluster.x-k8s.io/v1beta2"], "v1beta2");
        assert_eq!(labels["cluster.x-k8s.io/v1beta1"], "v1beta1");
        assert_eq!(labels["clusterctl.cluster.x-k8s.io"], "");
        assert_eq!(labels["cluster.x-k8s.io/provider"], "infrastructure-docker");
        let core = super::labels(&definition("clusters"));
        assert_eq!(core.len(), 2, "the core kinds fulfil no contract");
    }
}
