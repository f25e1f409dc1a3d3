//! Which Pods leave a Node, in which order, and which may stay. Pure.
//! (CAPI v1.14: core/reconcilers/machine/drain/filters.go)

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::super::owned::elapsed;
use crate::api::core::{Cluster, Machine};
use crate::api::drain::MachineDrainRule;
use crate::client::ObjectKey;
use crate::contract::{owners, selector};

const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";
/// Label of a Pod that says how it is drained.
const DRAIN_LABEL: &str = "cluster.x-k8s.io/drain";
/// On a Node that is out of reach, Pods that were told to go this long ago are not waited for.
const LOST_AFTER_SECONDS: u64 = 1;

/// What happens to a Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behavior {
    /// It stays.
    Skip,
    /// It is evicted, those of lower orders first.
    Drain(i32),
    /// It is waited for until it is gone by itself.
    WaitCompleted,
}

/// What decides about the Pods of a Node.
pub(super) struct DrainRules {
    /// Rules for the Machine, by name.
    pub rules: Vec<Arc<MachineDrainRule>>,
    /// Labels of the workload cluster's Namespaces.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// DaemonSets of the workload cluster.
    pub daemon_sets: BTreeSet<ObjectKey>,
    /// The Node is out of reach.
    pub is_unreachable: bool,
    /// Now.
    pub now: Timestamp,
}

fn matches(wanted: Option<&LabelSelector>, labels: Option<&BTreeMap<String, String>>) -> bool {
    wanted.is_none_or(|wanted| selector::is_empty(wanted) || selector::matches(wanted, labels))
}

/// Rules that apply to a Machine, by name.
pub(super) fn of_machine(
    rules: impl IntoIterator<Item = Arc<MachineDrainRule>>,
    machine: &Machine,
    cluster: &Cluster,
) -> Vec<Arc<MachineDrainRule>> {
    let mut found: Vec<Arc<MachineDrainRule>> = rules
        .into_iter()
        .filter(|rule| rule.metadata.namespace == machine.metadata.namespace)
        .filter(|rule| {
            let machines = &rule.spec.machines;
            machines.is_empty()
                || machines.iter().any(|wanted| {
                    matches(wanted.selector.as_ref(), machine.metadata.labels.as_ref())
                        && matches(
                            wanted.cluster_selector.as_ref(),
                            cluster.metadata.labels.as_ref(),
                        )
                })
        })
        .collect();
    found.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    found
}

/// Whether the node controller has lost sight of a Node.
pub(super) fn is_unreachable(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref());
    let ready = conditions.unwrap_or_default().iter().find(|condition| condition.type_ == "Ready");
    ready.is_some_and(|ready| ready.status == "Unknown")
}

impl DrainRules {
    /// What happens to a Pod.
    ///
    /// # Errors
    /// A rule makes no sense, or the Pod's Namespace is unknown.
    pub(super) fn behavior(&self, pod: &Pod) -> Result<Behavior, String> {
        if self.is_lost(pod) || self.is_daemon(pod) || is_mirror(pod) {
            return Ok(Behavior::Skip);
        }
        if let Some(behavior) = by_label(pod) {
            return Ok(behavior);
        }
        self.by_rule(pod)
    }

    fn is_lost(&self, pod: &Pod) -> bool {
        let told = pod.metadata.deletion_timestamp.as_ref();
        let is_old =
            told.is_some_and(|told| elapsed(told.0, self.now).as_secs() > LOST_AFTER_SECONDS);
        self.is_unreachable && is_old
    }

    /// Pods of DaemonSets would come back at once; those of a DaemonSet that is gone would not.
    fn is_daemon(&self, pod: &Pod) -> bool {
        let Some(owner) = owners::controlling(&pod.metadata) else { return false };
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let is_over = matches!(phase, Some("Succeeded" | "Failed"));
        let key = ObjectKey::new(ObjectKey::of(pod).namespace, owner.name.as_str());
        owner.kind == "DaemonSet" && !is_over && self.daemon_sets.contains(&key)
    }

    fn by_rule(&self, pod: &Pod) -> Result<Behavior, String> {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let Some(namespace) = self.namespaces.get(namespace) else {
            return Err("Pod Namespace does not exist".to_owned());
        };
        let labels = pod.metadata.labels.as_ref();
        let rule = self.rules.iter().find(|rule| {
            let pods = &rule.spec.pods;
            pods.is_empty()
                || pods.iter().any(|wanted| {
                    matches(wanted.selector.as_ref(), labels)
                        && matches(wanted.namespace_selector.as_ref(), Some(namespace))
                })
        });
        let Some(rule) = rule else { return Ok(Behavior::Drain(0)) };
        let drain = rule.spec.drain.clone().unwrap_or_default();
        match drain.behavior.as_str() {
            "Drain" => Ok(Behavior::Drain(drain.order.unwrap_or(0))),
            "Skip" => Ok(Behavior::Skip),
            "WaitCompleted" => Ok(Behavior::WaitCompleted),
            other => {
                let name = rule.metadata.name.as_deref().unwrap_or_default();
                Err(format!("MachineDrainRule {name:?} has unknown spec.drain.behavior: {other:?}"))
            }
        }
    }
}

/// Mirror Pods are the kubelet's.
fn is_mirror(pod: &Pod) -> bool {
    let annotations = pod.metadata.annotations.as_ref();
    annotations.is_some_and(|held| held.contains_key(MIRROR_ANNOTATION))
        || owners::controller(&pod.metadata, "", "Node").is_some()
}

/// What a Pod's label asks for; an unknown value asks for nothing.
fn by_label(pod: &Pod) -> Option<Behavior> {
    let value = pod.metadata.labels.as_ref()?.get(DRAIN_LABEL)?;
    if value.eq_ignore_ascii_case("Skip") {
        return Some(Behavior::Skip);
    }
    value
        .replacen('-', "", 1)
        .eq_ignore_ascii_case("WaitCompleted")
        .then_some(Behavior::WaitCompleted)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(patch: Value) -> Pod {
        let mut pod = json!({ "metadata": {"name": "p", "namespace": "ns"},
            "spec": { "nodeName": "n", "containers": [] } });
        crate::machinery::patch::merge::apply(&mut pod, &patch);
        serde_json::from_value(pod).unwrap()
    }

    fn rule(name: &str, spec: Value) -> Arc<MachineDrainRule> {
        let rule = json!({"metadata": {"name": name, "namespace": "ns"}, "spec": spec});
        Arc::new(serde_json::from_value(rule).unwrap())
    }

    fn rules(rules: Vec<Arc<MachineDrainRule>>) -> DrainRules {
        DrainRules {
            rules,
            namespaces: [("ns".to_owned(), [("team".to_owned(), "a".to_owned())].into())].into(),
            daemon_sets: [ObjectKey::new("ns", "x")].into(),
            is_unreachable: false,
            now: Timestamp::from_second(100).unwrap(),
        }
    }

    fn owned(kind: &str, version: &str, name: &str) -> Value {
        json!({ "metadata": { "ownerReferences": [
            { "kind": kind, "apiVersion": version, "name": name, "uid": "u", "controller": true }
        ] } })
    }

    #[test]
    fn static_and_daemon_pods_stay() {
        let none = rules(Vec::new());
        let check = |patch: Value, expected: Behavior| {
            assert_eq!(none.behavior(&pod(patch.clone())), Ok(expected), "{patch}");
        };
        check(json!({}), Behavior::Drain(0));
        check(owned("ReplicaSet", "apps/v1", "x"), Behavior::Drain(0));
        check(owned("DaemonSet", "apps/v1", "x"), Behavior::Skip);
        check(owned("DaemonSet", "apps/v1", "gone"), Behavior::Drain(0));
        check(owned("Node", "v1", "n"), Behavior::Skip);
        check(json!({"metadata": {"annotations": {MIRROR_ANNOTATION: "x"}}}), Behavior::Skip);
        for (value, expected) in [
            ("skip", Behavior::Skip),
            ("wait-completed", Behavior::WaitCompleted),
            ("WaitCompleted", Behavior::WaitCompleted),
            ("other", Behavior::Drain(0)),
        ] {
            check(json!({"metadata": {"labels": {DRAIN_LABEL: value}}}), expected);
        }
        assert!(none.behavior(&pod(json!({"metadata": {"namespace": "gone"}}))).is_err());
    }

    #[test]
    fn the_first_rule_by_name_decides() {
        let all = vec![
            rule("b", json!({"drain": {"behavior": "Skip"}})),
            rule(
                "a",
                json!({"drain": {"behavior": "Drain", "order": 10}, "pods": [
                {"selector": {"matchLabels": {"app": "db"}},
                    "namespaceSelector": {"matchLabels": {"team": "a"}}}]}),
            ),
            rule(
                "c",
                json!({"drain": {"behavior": "Drain"}, "machines": [
                {"clusterSelector": {"matchLabels": {"no": "such"}}}]}),
            ),
        ];
        let machine = Machine {
            metadata: serde_json::from_value(json!({"namespace": "ns"})).unwrap(),
            ..Machine::default()
        };
        let found = of_machine(all, &machine, &Cluster::default());
        let names: Vec<&str> =
            found.iter().filter_map(|rule| rule.metadata.name.as_deref()).collect();
        assert_eq!(names, ["a", "b"]);
        let rules = rules(found);
        let database = pod(json!({"metadata": {"labels": {"app": "db"}}}));
        assert_eq!(rules.behavior(&database), Ok(Behavior::Drain(10)));
        assert_eq!(rules.behavior(&pod(json!({}))), Ok(Behavior::Skip));
        let bad = super::tests::rules(vec![rule("x", json!({"drain": {"behavior": "Y"}}))]);
        assert!(bad.behavior(&pod(json!({}))).unwrap_err().contains("unknown spec.drain.behavior"));
    }

    #[test]
    fn pods_of_a_lost_node_are_not_waited_for() {
        let mut rules = rules(Vec::new());
        let going = pod(json!({"metadata": {"deletionTimestamp": "1970-01-01T00:00:10Z"}}));
        assert_eq!(rules.behavior(&going), Ok(Behavior::Drain(0)));
        rules.is_unreachable = true;
        assert_eq!(rules.behavior(&going), Ok(Behavior::Skip));
    }
}
