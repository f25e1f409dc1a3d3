//! The one patch that hands a Machine's labels, annotations and taints on to its Node.
//! (CAPI v1.14: machine_controller_noderef.go, util/labels, util/annotations)

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Taint};
use serde_json::{Map, Value, json};

use crate::api::core::{Machine, MachineDeployment, MachineSet};
use crate::contract::{labels, owners};

/// Annotations that every Node carries; they are not listed as coming from the Machine.
const COMMON: [&str; 5] = [
    labels::NODE_CLUSTER_NAME,
    labels::NODE_CLUSTER_NAMESPACE,
    labels::NODE_MACHINE,
    labels::NODE_OWNER_KIND,
    labels::NODE_OWNER_NAME,
];
const INTERRUPTIBLE: &str = "cluster.x-k8s.io/interruptible";
const MANAGED_DOMAIN: &str = "node.cluster.x-k8s.io";
const RESTRICTION_DOMAIN: &str = "node-restriction.kubernetes.io";
const ROLE_DOMAIN: &str = "node-role.kubernetes.io";

/// What a Node shall have from its Machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Wanted {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    is_outdated: bool,
}

impl Wanted {
    /// Labels and annotations that a Machine hands on.
    pub(super) fn of(machine: &Machine, is_interruptible: bool) -> Self {
        let metadata = &machine.metadata;
        let mut annotations: BTreeMap<String, String> = metadata
            .annotations
            .iter()
            .flatten()
            .filter(|(key, _)| is_in(key, MANAGED_DOMAIN))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        annotations.insert(COMMON[0].to_owned(), machine.spec.cluster_name.clone());
        annotations.insert(COMMON[1].to_owned(), text(&metadata.namespace));
        annotations.insert(COMMON[2].to_owned(), text(&metadata.name));
        if let Some(owner) = owners::controlling(metadata) {
            annotations.insert(COMMON[3].to_owned(), owner.kind.clone());
            annotations.insert(COMMON[4].to_owned(), owner.name.clone());
        }
        let mut handed_on: BTreeMap<String, String> = metadata
            .labels
            .iter()
            .flatten()
            .filter(|(key, _)| {
                domain(key) == ROLE_DOMAIN
                    || is_in(key, RESTRICTION_DOMAIN)
                    || is_in(key, MANAGED_DOMAIN)
            })
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if is_interruptible {
            handed_on.insert(INTERRUPTIBLE.to_owned(), String::new());
        }
        Self { labels: handed_on, annotations, is_outdated: false }
    }

    /// Whether the Node shall carry the taint of an outdated revision.
    pub(super) fn outdated(self, is_outdated: bool) -> Self {
        Self { is_outdated, ..self }
    }
}

fn domain(key: &str) -> &str {
    key.split('/').next().unwrap_or_default()
}

fn is_in(key: &str, parent: &str) -> bool {
    let domain = domain(key);
    domain == parent || domain.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'))
}

/// Whether a newer revision than the MachineSet's is rolled out.
pub(super) fn is_outdated(
    set: Option<&MachineSet>,
    deployment: Option<&MachineDeployment>,
) -> bool {
    let (Some(set), Some(deployment)) = (set, deployment) else { return false };
    let revision = |annotations: &Option<BTreeMap<String, String>>| {
        let held = annotations.as_ref().and_then(|held| held.get(labels::REVISION));
        held.and_then(|revision| revision.parse::<i64>().ok()).unwrap_or(0)
    };
    revision(&set.metadata.annotations) < revision(&deployment.metadata.annotations)
}

/// The merge patch that brings a Node to what is wanted; `None` if nothing but bookkeeping would
/// change.
pub(super) fn patch(node: &Node, wanted: &Wanted) -> Option<Value> {
    let empty = BTreeMap::new();
    let held_annotations = node.metadata.annotations.as_ref().unwrap_or(&empty);
    let held_labels = node.metadata.labels.as_ref().unwrap_or(&empty);
    let listed = |annotation: &str| -> Vec<String> {
        let list = held_annotations.get(annotation).map(String::as_str).unwrap_or_default();
        list.split(',').filter(|key| !key.is_empty()).map(str::to_owned).collect()
    };
    let mut previous = listed(labels::NODE_ANNOTATIONS_FROM_MACHINE);
    previous.extend(COMMON.map(str::to_owned));
    let mut annotations = difference(held_annotations, &wanted.annotations, &previous);
    let previous = listed(labels::NODE_LABELS_FROM_MACHINE);
    let labels_patch = difference(held_labels, &wanted.labels, &previous);
    let taints = taints(node, wanted.is_outdated);
    if annotations.is_empty() && labels_patch.is_empty() && taints.is_none() {
        return None;
    }
    let own: Vec<&str> =
        wanted.annotations.keys().map(String::as_str).filter(|key| !COMMON.contains(key)).collect();
    let handed_on: Vec<&str> = wanted.labels.keys().map(String::as_str).collect();
    for (annotation, list) in [
        (labels::NODE_LABELS_FROM_MACHINE, handed_on.join(",")),
        (labels::NODE_ANNOTATIONS_FROM_MACHINE, own.join(",")),
    ] {
        if held_annotations.get(annotation) != Some(&list) {
            annotations.insert(annotation.to_owned(), list.into());
        }
    }
    let mut metadata = Map::new();
    if !annotations.is_empty() {
        metadata.insert("annotations".into(), annotations.into());
    }
    if !labels_patch.is_empty() {
        metadata.insert("labels".into(), labels_patch.into());
    }
    let mut patch = Map::new();
    if let Some(taints) = taints {
        // The list is replaced as a whole: a concurrent change must not get lost.
        metadata.insert("resourceVersion".into(), json!(node.metadata.resource_version));
        patch.insert("spec".into(), json!({ "taints": taints }));
    }
    patch.insert("metadata".into(), metadata.into());
    Some(Value::Object(patch))
}

/// Entries to set, and `null` for those that came from the Machine and are no longer wanted.
fn difference(
    held: &BTreeMap<String, String>,
    wanted: &BTreeMap<String, String>,
    previous: &[String],
) -> Map<String, Value> {
    let mut patch = Map::new();
    for (key, value) in wanted {
        if held.get(key) != Some(value) {
            patch.insert(key.clone(), value.clone().into());
        }
    }
    for key in previous {
        if !wanted.contains_key(key) && held.contains_key(key) {
            patch.insert(key.clone(), Value::Null);
        }
    }
    patch
}

/// The Node's taints as they shall be; `None` if they are right.
fn taints(node: &Node, is_outdated: bool) -> Option<Vec<Taint>> {
    let held = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
    let is = |taint: &Taint, key: &str, effect: &str| taint.key == key && taint.effect == effect;
    let outdated = (labels::NODE_OUTDATED_TAINT, "PreferNoSchedule");
    let mut wanted: Vec<Taint> = held
        .iter()
        .filter(|taint| !is(taint, labels::NODE_UNINITIALIZED_TAINT, "NoSchedule"))
        .filter(|taint| is_outdated || !is(taint, outdated.0, outdated.1))
        .cloned()
        .collect();
    if is_outdated && !wanted.iter().any(|taint| is(taint, outdated.0, outdated.1)) {
        wanted.push(Taint {
            key: outdated.0.to_owned(),
            effect: outdated.1.to_owned(),
            ..Taint::default()
        });
    }
    (wanted != held).then_some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::NodeSpec;

    fn machine() -> Machine {
        let mut machine = Machine::default();
        machine.metadata.name = Some("m".into());
        machine.metadata.namespace = Some("ns".into());
        machine.spec.cluster_name = "c".into();
        let labels = [
            ("node-role.kubernetes.io/worker", ""),
            ("x.node.cluster.x-k8s.io/a", "1"),
            ("other", "2"),
        ];
        machine.metadata.labels =
            Some(labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
        machine
    }

    fn node() -> Node {
        let taint = Taint {
            key: labels::NODE_UNINITIALIZED_TAINT.into(),
            effect: "NoSchedule".into(),
            ..Taint::default()
        };
        Node {
            spec: Some(NodeSpec { taints: Some(vec![taint]), ..NodeSpec::default() }),
            ..Node::default()
        }
    }

    #[test]
    fn a_new_node_gets_everything_in_one_patch() {
        let patch = patch(&node(), &Wanted::of(&machine(), false)).unwrap();
        assert_eq!(patch["spec"]["taints"], json!([]));
        let metadata = &patch["metadata"];
        assert_eq!(metadata["labels"].as_object().map(Map::len), Some(2));
        assert_eq!(metadata["annotations"]["cluster.x-k8s.io/machine"], "m");
        assert_eq!(
            metadata["annotations"]["cluster.x-k8s.io/labels-from-machine"],
            "node-role.kubernetes.io/worker,x.node.cluster.x-k8s.io/a"
        );
        assert_eq!(metadata["annotations"]["cluster.x-k8s.io/annotations-from-machine"], "");
    }

    #[test]
    fn a_node_in_order_is_left_alone_and_lost_labels_go() {
        let wanted = Wanted::of(&machine(), false);
        let mut node = Node::default();
        node.metadata.labels = Some(wanted.labels.clone());
        let mut annotations = wanted.annotations.clone();
        annotations.insert(
            labels::NODE_LABELS_FROM_MACHINE.into(),
            "gone,node-role.kubernetes.io/worker".into(),
        );
        node.metadata.annotations = Some(annotations);
        assert_eq!(patch(&node, &wanted), None);
        node.metadata.labels.get_or_insert_default().insert("gone".into(), "x".into());
        let patch = patch(&node, &wanted).unwrap();
        assert_eq!(patch["metadata"]["labels"]["gone"], Value::Null);
    }
}
