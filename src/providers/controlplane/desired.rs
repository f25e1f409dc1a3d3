//! The objects that a control plane makes for a machine.
//! (CAPI v1.14: controlplane/kubeadm/pkg/desiredstate)

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::scope::{
    ControlPlane, NODE_MARKS, POD_CONDITIONS, PRE_TERMINATE_HOOK, REMEDIATION_FOR,
    REMEDIATION_IN_PROGRESS,
};
use crate::api::bootstrap::KubeadmConfig;
use crate::api::controlplane::KubeadmControlPlane;
use crate::api::core::{Bootstrap, ConditionGate, ContractRef, Machine, MachineDeletion};
use crate::contract::template::{CloneInput, clone_template};
use crate::contract::version::Version;
use crate::contract::{labels, names, owners};

const LOCAL_MODE: &str = "ControlPlaneKubeletLocalMode";
/// The Machine webhook's default, set here so that an update does not look like a change.
const NODE_DELETION_TIMEOUT_SECONDS: i32 = 10;

/// Whether a machine initialises the cluster or joins it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// `kubeadm init`.
    Init,
    /// `kubeadm join`.
    Join,
}

/// Labels of all that belongs to a machine.
pub(super) fn machine_labels(control_plane: &ControlPlane) -> BTreeMap<String, String> {
    let mut all = control_plane.kcp.spec.machine_template.metadata.labels.clone();
    let cluster = control_plane.cluster.metadata.name.clone().unwrap_or_default();
    let name = control_plane.kcp.metadata.name.as_deref().unwrap_or_default();
    all.insert(labels::CLUSTER_NAME.to_owned(), cluster);
    all.insert(labels::CONTROL_PLANE.to_owned(), String::new());
    all.insert(labels::CONTROL_PLANE_NAME.to_owned(), names::label_value(name));
    all
}

/// Annotations of all that belongs to a machine.
pub(super) fn machine_annotations(kcp: &KubeadmControlPlane) -> BTreeMap<String, String> {
    kcp.spec.machine_template.metadata.annotations.clone()
}

/// A name for a new machine.
///
/// # Errors
/// What is wrong with `machineNaming.template`.
pub(super) fn machine_name(control_plane: &ControlPlane, random: u64) -> Result<String, String> {
    let naming = control_plane.kcp.spec.machine_naming.as_ref();
    let template = naming
        .map(|naming| naming.template.as_str())
        .filter(|template| !template.is_empty())
        .unwrap_or("{{ .kubeadmControlPlane.name }}-{{ .random }}");
    let cluster = control_plane.cluster.metadata.name.as_deref().unwrap_or_default();
    let name = control_plane.kcp.metadata.name.as_deref().unwrap_or_default();
    let values = [("cluster.name", cluster), ("kubeadmControlPlane.name", name)];
    names::from_template(template, &values, random)
}

/// The infrastructure machine, cloned from its template.
pub(super) fn infrastructure_machine(
    control_plane: &ControlPlane,
    template: &Value,
    name: &str,
) -> Value {
    clone_template(&CloneInput {
        template,
        reference: &control_plane.kcp.spec.machine_template.spec.infrastructure_ref,
        namespace: control_plane.kcp.metadata.namespace.as_deref().unwrap_or_default(),
        name,
        cluster_name: control_plane.cluster.metadata.name.as_deref().unwrap_or_default(),
        owner: Some(owners::owner_of(&control_plane.kcp)),
        labels: &machine_labels(control_plane),
        annotations: &machine_annotations(&control_plane.kcp),
    })
}

/// The KubeadmConfig. The Machine becomes its controller later.
pub(super) fn kubeadm_config(
    control_plane: &ControlPlane,
    mode: Mode,
    name: &str,
) -> KubeadmConfig {
    let kcp = &control_plane.kcp;
    let mut config =
        KubeadmConfig { spec: kcp.spec.kubeadm_config_spec.clone(), ..KubeadmConfig::default() };
    config.metadata.name = Some(name.to_owned());
    config.metadata.namespace = kcp.metadata.namespace.clone();
    config.metadata.labels = Some(machine_labels(control_plane));
    let annotations = machine_annotations(kcp);
    config.metadata.annotations = (!annotations.is_empty()).then_some(annotations);
    config.metadata.owner_references = Some(vec![owners::owner_of(kcp)]);
    match mode {
        Mode::Init => config.spec.join_configuration = None,
        Mode::Join => {
            // The mark of a joining config; the bootstrap provider and `up_to_date` read it.
            config.spec.init_configuration = None;
            let join = config.spec.join_configuration.get_or_insert_with(|| json!({}));
            if !join["controlPlane"].is_object() {
                join["controlPlane"] = json!({});
            }
        }
    }
    if has_default_gates(&kcp.spec.version) {
        let configuration = config.spec.cluster_configuration.get_or_insert_with(|| json!({}));
        default_gates(configuration, &kcp.spec.version);
    }
    config
}

/// kubeadm's local mode of control plane kubelets is a feature gate from 1.31 to 1.35.
fn has_default_gates(version: &str) -> bool {
    Version::parse(version)
        .is_some_and(|version| ((1, 31)..(1, 36)).contains(&(version.major, version.minor)))
}

/// Adds the feature gates to a ClusterConfiguration that a version wants by default.
pub(super) fn default_gates(configuration: &mut Value, version: &str) {
    if has_default_gates(version) && configuration["featureGates"][LOCAL_MODE].is_null() {
        configuration["featureGates"][LOCAL_MODE] = json!(true);
    }
}

/// A new Machine for an infrastructure machine and a KubeadmConfig of the same name.
pub(super) fn machine(
    control_plane: &ControlPlane,
    infrastructure: &Value,
    name: &str,
    failure_domain: &str,
) -> Machine {
    let kcp = &control_plane.kcp;
    let text = |field: &str| infrastructure[field].as_str().unwrap_or_default();
    let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
    let mut machine = Machine::default();
    machine.metadata.name = Some(name.to_owned());
    machine.metadata.namespace = kcp.metadata.namespace.clone();
    machine.metadata.owner_references = Some(vec![owners::controller_of(kcp)]);
    machine.spec.cluster_name = control_plane.cluster.metadata.name.clone().unwrap_or_default();
    machine.spec.version = kcp.spec.version.clone();
    machine.spec.failure_domain = failure_domain.to_owned();
    machine.spec.infrastructure_ref = ContractRef {
        api_group: group.to_owned(),
        kind: text("kind").to_owned(),
        name: name.to_owned(),
    };
    machine.spec.bootstrap = Bootstrap {
        config_ref: Some(ContractRef {
            api_group: "bootstrap.cluster.x-k8s.io".to_owned(),
            kind: "KubeadmConfig".to_owned(),
            name: name.to_owned(),
        }),
        data_secret_name: None,
    };
    sync_machine(control_plane, &mut machine);
    if let Some(record) = control_plane.annotation(REMEDIATION_IN_PROGRESS) {
        let annotations = machine.metadata.annotations.get_or_insert_default();
        annotations.insert(REMEDIATION_FOR.to_owned(), record.to_owned());
    }
    machine
}

/// Brings over what may change without a new machine: labels, annotations, timeouts, taints and
/// readiness gates. A machine in deletion gets the timeouts and taints only.
pub(super) fn sync_machine(control_plane: &ControlPlane, machine: &mut Machine) {
    let template = &control_plane.kcp.spec.machine_template.spec;
    let deletion = template.deletion.clone().unwrap_or_default();
    machine.spec.deletion = Some(MachineDeletion {
        node_deletion_timeout_seconds: deletion
            .node_deletion_timeout_seconds
            .or(Some(NODE_DELETION_TIMEOUT_SECONDS)),
        ..deletion
    });
    machine.spec.taints.clone_from(&template.taints);
    if machine.metadata.deletion_timestamp.is_some() {
        return;
    }
    machine.metadata.labels.get_or_insert_default().extend(machine_labels(control_plane));
    let annotations = machine.metadata.annotations.get_or_insert_default();
    annotations.extend(machine_annotations(&control_plane.kcp));
    annotations.insert(PRE_TERMINATE_HOOK.to_owned(), String::new());
    machine.spec.readiness_gates = readiness_gates(control_plane);
}

fn readiness_gates(control_plane: &ControlPlane) -> Vec<ConditionGate> {
    let mut types = vec![NODE_MARKS];
    types.extend(POD_CONDITIONS[..3].iter().map(|(type_, _)| *type_));
    if control_plane.is_etcd_managed() {
        types.extend(["EtcdPodHealthy", "EtcdMemberHealthy"]);
    }
    let mut gates: Vec<ConditionGate> = types
        .into_iter()
        .map(|type_| ConditionGate { condition_type: type_.to_owned(), polarity: String::new() })
        .collect();
    for gate in &control_plane.kcp.spec.machine_template.spec.readiness_gates {
        if !gates.iter().any(|known| known.condition_type == gate.condition_type) {
            gates.push(gate.clone());
        }
    }
    gates
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::api::core::Cluster;

    pub(super) fn control_plane(version: &str) -> ControlPlane {
        let mut control_plane = ControlPlane::default();
        control_plane.kcp.metadata.name = Some("bar-cp".into());
        control_plane.kcp.metadata.namespace = Some("ns".into());
        control_plane.kcp.metadata.uid = Some("u".into());
        control_plane.kcp.spec.version = version.into();
        control_plane.kcp.spec.kubeadm_config_spec.cluster_configuration =
            Some(json!({"apiServer": {"certSANs": ["localhost"]}}));
        let mut cluster = Cluster::default();
        cluster.metadata.name = Some("bar".into());
        control_plane.cluster = Arc::new(cluster);
        control_plane
    }

    #[test]
    fn machine_is_as_recorded() {
        let infrastructure =
            json!({"apiVersion": "infrastructure.cluster.x-k8s.io/v1beta2", "kind": "DevMachine"});
        let machine = machine(&control_plane("v1.34.0"), &infrastructure, "bar-cp-x", "");
        let value = serde_json::to_value(&machine).unwrap();
        assert_eq!(
            value["spec"],
            json!({
                "bootstrap": {"configRef": {"apiGroup": "bootstrap.cluster.x-k8s.io",
                    "kind": "KubeadmConfig", "name": "bar-cp-x"}},
                "clusterName": "bar",
                "deletion": {"nodeDeletionTimeoutSeconds": 10},
                "infrastructureRef": {"apiGroup": "infrastructure.cluster.x-k8s.io",
                    "kind": "DevMachine", "name": "bar-cp-x"},
                "readinessGates": [
                    {"conditionType": "NodeKubeadmLabelsAndTaintsSet"},
                    {"conditionType": "APIServerPodHealthy"},
                    {"conditionType": "ControllerManagerPodHealthy"},
                    {"conditionType": "SchedulerPodHealthy"},
                    {"conditionType": "EtcdPodHealthy"},
                    {"conditionType": "EtcdMemberHealthy"}],
                "version": "v1.34.0"
            })
        );
        let annotations = &value["metadata"]["annotations"];
        assert_eq!(*annotations, json!({PRE_TERMINATE_HOOK: ""}));
        assert_eq!(
            value["metadata"]["labels"],
            json!({"cluster.x-k8s.io/cluster-name": "bar", "cluster.x-k8s.io/control-plane": "",
                "cluster.x-k8s.io/control-plane-name": "bar-cp"})
        );
    }

    #[test]
    fn kubeadm_config_is_as_recorded() {
        let control_plane = control_plane("v1.34.0");
        let spec = |mode| {
            let config = kubeadm_config(&control_plane, mode, "m");
            assert_eq!(config.metadata.owner_references.unwrap()[0].controller, None);
            serde_json::to_value(config.spec).unwrap()
        };
        let configuration = json!({"apiServer": {"certSANs": ["localhost"]},
            "featureGates": {"ControlPlaneKubeletLocalMode": true}});
        assert_eq!(spec(Mode::Init), json!({"clusterConfiguration": configuration}));
        assert_eq!(
            spec(Mode::Join),
            json!({"clusterConfiguration": configuration, "joinConfiguration": {"controlPlane": {}}})
        );
    }

    #[test]
    fn feature_gate_exists_from_131_to_135() {
        for (version, expected) in
            [("v1.30.9", false), ("v1.31.0", true), ("v1.35.1", true), ("v1.36.0", false)]
        {
            let config = kubeadm_config(&control_plane(version), Mode::Init, "m");
            let configuration = config.spec.cluster_configuration.unwrap();
            assert_eq!(configuration["featureGates"].is_object(), expected, "{version}");
        }
    }
}
