//! The Cluster API kinds that capim serves, from `assets/cluster-api.table`.
//!
//! The table has every kind of Cluster API v1.14's core, kubeadm and development providers in all
//! versions that upstream serves, the storage version first, and the in-memory provider's kinds of
//! v1.6. Versions are converted natively ([`super::conversion`]); the conversion webhooks that the
//! CustomResourceDefinitions name, as upstream's do, are asked only if a provider that runs
//! elsewhere answers for them.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::json;

use super::strategy;
use crate::machinery::definition::{Conversion, Origin, ResourceDefinition, WebhookConversion};
use crate::machinery::schema::Schema;
use crate::machinery::tables::{self, Table};

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let text = include_str!("../../assets/cluster-api.table");
    let mut table = tables::parse(text, Origin::Custom).expect("the table is tested to parse");
    super::additions::add(&mut table.definitions);
    table
});

/// Every served Cluster API resource in every version, with its strategy.
pub fn definitions() -> Vec<ResourceDefinition> {
    TABLE.definitions.iter().cloned().map(with_strategy).collect()
}

fn with_strategy(mut definition: ResourceDefinition) -> ResourceDefinition {
    definition.strategy =
        strategy::of_version(&definition.group, &definition.kind, definition.serving.stored);
    definition.serving.conversion = conversion(&definition);
    definition
}

/// The schema of one version of a kind.
pub fn schema(group: &str, kind: &str, version: &str) -> Option<&'static Schema> {
    let mut all = TABLE.definitions.iter();
    all.find(|it| *it.group == *group && *it.kind == *kind && *it.version == *version)
        .map(|it| &it.schema)
}

/// The version of a kind that fulfils the newest contract: of each kind the one that is stored.
pub fn contract_version(group: &str, kind: &str) -> Option<&'static str> {
    let mut all = TABLE.definitions.iter();
    all.find(|it| *it.group == *group && *it.kind == *kind && it.serving.stored)
        .map(|it| &*it.version)
}

/// The conversion webhook of a kind's provider. (CAPI v1.14: config/crd/patches of the providers)
fn conversion(definition: &ResourceDefinition) -> Conversion {
    let prefix = match provider(definition) {
        "cluster-api" => "capi",
        "bootstrap-kubeadm" => "capi-kubeadm-bootstrap",
        "control-plane-kubeadm" => "capi-kubeadm-control-plane",
        "infrastructure-docker" => "capd",
        // Has one version only.
        _ => return Conversion::None,
    };
    Conversion::Webhook(Arc::new(WebhookConversion {
        definition: format!("{}.{}", definition.plural, definition.group).into(),
        review_versions: vec!["v1".into()],
        client_config: json!({"service": {
            "name": format!("{prefix}-webhook-service"),
            "namespace": format!("{prefix}-system"),
            "path": "/convert",
            "port": 443,
        }}),
    }))
}

/// The value of the label `cluster.x-k8s.io/provider`.
fn provider(definition: &ResourceDefinition) -> &'static str {
    match &*definition.group {
        "bootstrap.cluster.x-k8s.io" => "bootstrap-kubeadm",
        "controlplane.cluster.x-k8s.io" => "control-plane-kubeadm",
        "infrastructure.cluster.x-k8s.io" if definition.plural.starts_with("inmemory") => {
            "infrastructure-in-memory"
        }
        "infrastructure.cluster.x-k8s.io" => "infrastructure-docker",
        _ => "cluster-api",
    }
}

/// Labels of a kind's CustomResourceDefinition: the provider, and for kinds that are referred to
/// by contract, the versions that fulfil each contract. (CAPI v1.14: config/crd and
/// config/default of the providers; v1.6 for the in-memory kinds)
pub fn labels(definition: &ResourceDefinition) -> BTreeMap<String, String> {
    let provider = provider(definition);
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
    use serde_json::Value;

    use super::*;
    use crate::machinery::crd;
    use crate::machinery::schema::{ListType, NodeType};

    fn definition(plural: &str) -> ResourceDefinition {
        let mut found = definitions().into_iter().filter(|one| &*one.plural == plural);
        found.next().expect("served")
    }

    #[test]
    fn every_kind_is_served_in_every_version() {
        let all = definitions();
        assert!(all.iter().all(|one| one.origin == Origin::Custom && one.serving.served));
        assert!(all.iter().all(|one| one.namespaced != (&*one.kind == "ExtensionConfig")));
        let count = |version: &str| all.iter().filter(|one| &*one.version == version).count();
        assert_eq!([count("v1alpha1"), count("v1beta1"), count("v1beta2")], [7, 20, 23]);
        for one in all.iter().filter(|one| one.serving.stored) {
            let stored = if one.plural.starts_with("inmemory") { "v1alpha1" } else { "v1beta2" };
            assert_eq!(&*one.version, stored, "{}", one.kind);
        }
        let spokes = all.iter().filter(|one| !one.serving.stored);
        assert!(spokes.clone().all(|one| one.strategy.convert.is_some()));
        let spared: Vec<&str> =
            spokes.filter(|one| one.serving.deprecation.is_none()).map(|one| &*one.kind).collect();
        assert_eq!(spared, ["IPAddressClaim", "IPAddress"], "v1alpha1 is not called deprecated");
    }

    #[test]
    fn definitions_list_all_versions_as_upstreams_do() {
        let all = definitions();
        let clusters: Vec<_> = all.iter().filter(|one| &*one.plural == "clusters").collect();
        let mut crd = crd::manifest(&clusters, &labels(clusters[0]));
        crd["status"]["storedVersions"] = json!(["v1beta2"]);
        let versions = crd["spec"]["versions"].as_array().expect("versions");
        let facts: Vec<_> = versions
            .iter()
            .map(|it| (&it["name"], &it["served"], &it["storage"], &it["deprecated"]))
            .collect();
        let (yes, no, none) = (&json!(true), &json!(false), &Value::Null);
        let names = (&json!("v1beta1"), &json!("v1beta2"));
        assert_eq!(facts, [(names.0, yes, no, yes), (names.1, yes, yes, none)]);
        assert_eq!(versions[0]["deprecationWarning"], Value::Null, "kube's own words do");
        assert_eq!(
            clusters[1].serving.deprecation.as_deref(),
            Some(
                "cluster.x-k8s.io/v1beta1 Cluster is deprecated; use cluster.x-k8s.io/v1beta2 \
                  Cluster"
            )
        );
        let service = &crd["spec"]["conversion"]["webhook"]["clientConfig"]["service"];
        assert_eq!(service["name"], "capi-webhook-service");
        assert_eq!(crd::validate(&crd, None), []);
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
