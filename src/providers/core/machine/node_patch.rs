//! The one patch that hands a Machine's labels, annotations and taints on to its Node.
//! (CAPI v1.14: machine_controller_noderef.go, util/labels, util/annotations)

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Node, Taint};
use serde_json::{Map, Value, json};

use crate::api::core::{Machine, MachineDeployment, MachineSet, MachineTaint};
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
    taints: Vec<MachineTaint>,
    is_outdated: bool,
}

impl Wanted {
    /// Labels, annotations and taints that a Machine hands on.
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
        let taints = machine.spec.taints.clone();
        Self { labels: handed_on, annotations, taints, is_outdated: false }
    }

    /// Whether the Node shall carry the taint of an outdated revision.
    pub(super) fn outdated(self, is_outdated: bool) -> Self {
        Self { is_outdated, ..self }
    }
}

/// Whether a Node says that its machine may go at any time.
pub(super) fn is_interruptible(node: &Node) -> bool {
    node.metadata.labels.as_ref().is_some_and(|held| held.contains_key(INTERRUPTIBLE))
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
    let from_machine = held_annotations.get(labels::NODE_TAINTS_FROM_MACHINE);
    let (taints, owned) = taints(node, wanted, from_machine);
    if from_machine != Some(&owned) {
        annotations.insert(labels::NODE_TAINTS_FROM_MACHINE.to_owned(), owned.into());
    }
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

/// The Node's taints as they shall be (`None` if they are right), and the list of those that belong
/// to the Machine for good. `listed` is that list as it was: without it the Node is new, and gets
/// also the taints that belong to it once it has them.
fn taints(node: &Node, wanted: &Wanted, listed: Option<&String>) -> (Option<Vec<Taint>>, String) {
    let held = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
    let mut taints = held.clone();
    remove(&mut taints, labels::NODE_UNINITIALIZED_TAINT, "NoSchedule");
    let (always, once): (Vec<&MachineTaint>, Vec<&MachineTaint>) =
        wanted.taints.iter().partition(|taint| taint.propagation == "Always");
    let id = |taint: &&MachineTaint| format!("{}:{}", taint.key, taint.effect);
    let owned: BTreeSet<String> = always.iter().map(id).collect();
    let kept: BTreeSet<String> = once.iter().map(id).collect();
    let is_new = listed.is_none();
    for taint in always.iter().chain(once.iter().filter(|_| is_new)) {
        ensure(&mut taints, taint);
    }
    let previous = listed.map_or("", String::as_str).split(',');
    for gone in previous.filter(|id| !owned.contains(*id) && !kept.contains(*id)) {
        if let Some((key, effect)) = gone.split_once(':') {
            remove(&mut taints, key, effect);
        }
    }
    let (key, effect) = (labels::NODE_OUTDATED_TAINT, "PreferNoSchedule");
    if !wanted.is_outdated {
        remove(&mut taints, key, effect);
    } else if !taints.iter().any(|taint| taint.key == key && taint.effect == effect) {
        taints.push(Taint { key: key.to_owned(), effect: effect.to_owned(), ..Taint::default() });
    }
    let owned: Vec<String> = owned.into_iter().collect();
    ((taints != held).then_some(taints), owned.join(","))
}

fn remove(taints: &mut Vec<Taint>, key: &str, effect: &str) {
    taints.retain(|taint| taint.key != key || taint.effect != effect);
}

/// Adds a taint or gives it its value.
fn ensure(taints: &mut Vec<Taint>, wanted: &MachineTaint) {
    let value = wanted.value.clone().filter(|value| !value.is_empty());
    let held =
        taints.iter_mut().find(|taint| taint.key == wanted.key && taint.effect == wanted.effect);
    match held {
        Some(taint)
            if taint.value.clone().unwrap_or_default() != value.clone().unwrap_or_default() =>
        {
            taint.value = value;
        }
        Some(_) => {}
        None => taints.push(Taint {
            key: wanted.key.clone(),
            effect: wanted.effect.clone(),
            value,
            ..Taint::default()
        }),
    }
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
        annotations.insert(labels::NODE_TAINTS_FROM_MACHINE.into(), String::new());
        node.metadata.annotations = Some(annotations);
        assert_eq!(patch(&node, &wanted), None);
        node.metadata.labels.get_or_insert_default().insert("gone".into(), "x".into());
        let patch = patch(&node, &wanted).unwrap();
        assert_eq!(patch["metadata"]["labels"]["gone"], Value::Null);
    }

    #[test]
    fn taints_of_the_machine_come_and_go() {
        let taint = |key: &str, value: &str, propagation: &str| MachineTaint {
            key: key.into(),
            value: Some(value.into()),
            effect: "NoExecute".into(),
            propagation: propagation.into(),
        };
        let check = |held: &[(&str, &str)], listed: Option<&str>, wanted: Vec<MachineTaint>| {
            let held = held.iter().map(|(key, value)| Taint {
                key: (*key).to_owned(),
                value: Some((*value).to_owned()),
                effect: "NoExecute".into(),
                ..Taint::default()
            });
            let spec = NodeSpec { taints: Some(held.collect()), ..NodeSpec::default() };
            let node = Node { spec: Some(spec), ..Node::default() };
            let wanted = Wanted { taints: wanted, ..Wanted::default() };
            let (taints, owned) = taints(&node, &wanted, listed.map(str::to_owned).as_ref());
            let taints = taints.unwrap_or_default();
            let shown: Vec<String> = taints
                .iter()
                .map(|taint| format!("{}={}", taint.key, taint.value.as_deref().unwrap_or("")))
                .collect();
            (shown.join(" "), owned)
        };
        let both = || vec![taint("a", "1", "Always"), taint("b", "2", "OnInitialization")];
        let told = |taints: &str, owned: &str| (taints.to_owned(), owned.to_owned());
        assert_eq!(check(&[("x", "0")], None, both()), told("x=0 a=1 b=2", "a:NoExecute"));
        // A Node that was initialised does not get the second kind again.
        assert_eq!(check(&[], Some(""), both()), told("a=1", "a:NoExecute"));
        assert_eq!(check(&[("a", "0")], Some("a:NoExecute"), both()), told("a=1", "a:NoExecute"));
        assert_eq!(check(&[("x", "0"), ("a", "1")], Some("a:NoExecute"), vec![]), told("x=0", ""));
        // One that changes its kind stays.
        let once = vec![taint("a", "1", "OnInitialization")];
        assert_eq!(check(&[("a", "1")], Some("a:NoExecute"), once), told("", ""));
    }
}
