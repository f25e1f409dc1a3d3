//! Emptying a Machine's Node before it goes. (CAPI v1.14: core/reconcilers/machine/drain)
//!
//! Pods are evicted in the order that MachineDrainRules give them; those of a higher order wait
//! until all others are gone.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::api::{DeleteParams, EvictParams};
use serde_json::json;

use super::super::owned::shortened;
use super::drain_rules::{Behavior, DrainRules, is_unreachable, of_machine};
use super::{MachineReconciler, Scope};
use crate::client::{Client, ClientError, ObjectKey};
use crate::runtime::ReconcileError;

const BUDGET: &str = "annot evict pod as it would violate the pod's disruption budget.";
/// Lines of a message that name failures of evictions.
const FAILURES_MAX: usize = 5;

/// What is still on a Node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Remaining {
    /// Pods that are being deleted.
    deleting: Vec<String>,
    /// Pods that could not be evicted, by message.
    failed: BTreeMap<String, Vec<String>>,
    /// Pods that are waited for now.
    waiting: Vec<String>,
    /// Pods that are evicted when all of the above are gone.
    later: Vec<String>,
    /// Pods that are waited for when all of the above are gone.
    waiting_later: Vec<String>,
    /// Whether Pods were told to go just now.
    is_new: bool,
}

impl Remaining {
    /// Whether the Node is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.failed.is_empty()
            && [&self.deleting, &self.waiting, &self.later, &self.waiting_later]
                .iter()
                .all(|names| names.is_empty())
    }

    /// Whether Pods were told to go just now and nothing holds them.
    pub(super) fn was_just_evicted(&self) -> bool {
        self.is_new && self.failed.is_empty()
    }

    /// The Deleting condition's message.
    pub(super) fn message(&self, started: Timestamp) -> String {
        let started = started.round(jiff::Unit::Second).unwrap_or(started);
        let mut message = format!("Drain not completed yet (started at {started}):");
        if !self.deleting.is_empty() {
            message.push_str(&format!(
                "\n* {}: deletionTimestamp set, but still not removed from the Node",
                pods(&self.deleting)
            ));
        }
        self.add_failures(&mut message);
        if !self.waiting.is_empty() {
            message.push_str(&format!("\n* {}: waiting for completion", pods(&self.waiting)));
        }
        let after = "After above Pods have been removed from the Node,";
        if !self.later.is_empty() {
            message.push_str(&format!(
                "\n{after} the following Pods will be evicted: {}",
                listed(&self.later)
            ));
        }
        if !self.waiting_later.is_empty() {
            message.push_str(&format!(
                "\n{after} waiting for the following Pods to complete without eviction: {}",
                listed(&self.waiting_later)
            ));
        }
        message
    }

    fn add_failures(&self, message: &mut String) {
        for (failure, names) in self.failed.iter().take(FAILURES_MAX) {
            let failure = if failure.get(1..).is_some_and(|rest| rest.starts_with(BUDGET)) {
                format!("c{}", &failure[1..])
            } else {
                format!("failed to evict Pod, {failure}")
            };
            message.push_str(&format!("\n* {}: {failure}", pods(names)));
        }
        match self.failed.values().skip(FAILURES_MAX).map(Vec::len).sum::<usize>() {
            0 => {}
            1 => message.push_str("\n* 1 Pod with other issues"),
            count => message.push_str(&format!("\n* {count} Pods with other issues")),
        }
    }
}

fn listed(names: &[String]) -> String {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    shortened(&names, 3)
}

fn pods(names: &[String]) -> String {
    let noun = if names.len() == 1 { "Pod" } else { "Pods" };
    format!("{noun} {}", listed(names))
}

/// The Pods of a Node and what happens to each.
pub(super) struct Sorted {
    /// Pods that leave or are waited for, by name.
    going: Vec<(Pod, Behavior)>,
    /// Pods that stay.
    pub staying: Vec<Pod>,
}

impl MachineReconciler {
    /// Cordons a Node and evicts the Pods whose turn it is; answers what is left.
    ///
    /// # Errors
    /// A request other than an eviction failed, or a rule makes no sense.
    pub(super) async fn drain(
        &self,
        scope: &Scope,
        client: &Client,
        node: &Node,
    ) -> Result<Remaining, ReconcileError> {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        let is_cordoned =
            node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or_default();
        if !is_cordoned {
            let patch = json!({ "spec": { "unschedulable": true } });
            client.merge_patch::<Node>(&ObjectKey::new("", name), "", &patch).await?;
        }
        let grace = is_unreachable(node).then_some(1);
        let sorted = self.sort_pods(scope, client, node).await?;
        let mut remaining = Remaining::default();
        let mut evicted = BTreeSet::new();
        let first = sorted.going.iter().map(|(_, behavior)| order_of(*behavior)).min();
        for (pod, behavior) in &sorted.going {
            let key = ObjectKey::of(pod);
            let is_turn = Some(order_of(*behavior)) == first;
            let list = match (behavior, pod.metadata.deletion_timestamp.is_some(), is_turn) {
                (Behavior::WaitCompleted, _, true) => &mut remaining.waiting,
                (Behavior::WaitCompleted, _, false) => &mut remaining.waiting_later,
                (_, true, _) => &mut remaining.deleting,
                (_, false, false) => &mut remaining.later,
                (_, false, true) => {
                    if evict(client, &key, grace, &mut remaining).await {
                        evicted.insert(key);
                    }
                    continue;
                }
            };
            list.push(key.to_string());
        }
        remaining.is_new = !evicted.is_empty();
        if remaining.is_new {
            // Pods that never ran are gone at once; what is still there takes its time.
            let left = client.list::<Pod>("", "").await?;
            let left = left.iter().map(ObjectKey::of).filter(|key| evicted.contains(key));
            remaining.deleting.extend(left.map(|key| key.to_string()));
            remaining.deleting.sort_unstable();
        }
        Ok(remaining)
    }

    /// Sorts the Pods of a Node into those that leave and those that stay.
    ///
    /// # Errors
    /// A request failed, or a rule makes no sense.
    pub(super) async fn sort_pods(
        &self,
        scope: &Scope,
        client: &Client,
        node: &Node,
    ) -> Result<Sorted, ReconcileError> {
        let name = node.metadata.name.as_deref();
        let mut all = client.list::<Pod>("", "").await?;
        all.retain(|pod| pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == name);
        let mut sorted = Sorted { going: Vec::new(), staying: Vec::new() };
        if all.is_empty() {
            return Ok(sorted);
        }
        let rules = self.drain_rules(scope, client, node).await?;
        let mut errors: BTreeMap<String, Vec<String>> = BTreeMap::new();
        all.sort_by_key(|pod| ObjectKey::of(pod).to_string());
        for pod in all {
            match rules.behavior(&pod) {
                Ok(Behavior::Skip) => sorted.staying.push(pod),
                Ok(behavior) => sorted.going.push((pod, behavior)),
                Err(error) => {
                    errors.entry(error).or_default().push(ObjectKey::of(&pod).to_string());
                }
            }
        }
        if errors.is_empty() {
            return Ok(sorted);
        }
        let errors: Vec<String> = errors
            .iter()
            .map(|(error, names)| format!("Pods with error {error:?}: {}", names.join(", ")))
            .collect();
        let errors = errors.join(", ");
        Err(ReconcileError::Other(format!("failed to get Pods for eviction: {errors}")))
    }

    async fn drain_rules(
        &self,
        scope: &Scope,
        client: &Client,
        node: &Node,
    ) -> Result<DrainRules, ReconcileError> {
        let labels = |namespace: Namespace| {
            let metadata = namespace.metadata;
            (metadata.name.unwrap_or_default(), metadata.labels.unwrap_or_default())
        };
        let namespaces = client.list::<Namespace>("", "").await?;
        let daemon_sets = client.list::<DaemonSet>("", "").await?;
        let rules = self.context.drain_rules.list();
        Ok(DrainRules {
            rules: of_machine(rules, &scope.machine, &scope.cluster),
            namespaces: namespaces.into_iter().map(labels).collect(),
            daemon_sets: daemon_sets.iter().map(ObjectKey::of).collect(),
            is_unreachable: is_unreachable(node),
            now: self.context.clock.now(),
        })
    }
}

fn order_of(behavior: Behavior) -> i32 {
    match behavior {
        Behavior::Drain(order) => order,
        Behavior::Skip | Behavior::WaitCompleted => 0,
    }
}

/// Evicts a Pod and notes a failure; answers whether the Pod was told to go.
async fn evict(
    client: &Client,
    key: &ObjectKey,
    grace_seconds: Option<u32>,
    remaining: &mut Remaining,
) -> bool {
    let pods = kube::Api::<Pod>::namespaced(client.kube().clone(), &key.namespace);
    let delete = DeleteParams { grace_period_seconds: grace_seconds, ..DeleteParams::default() };
    let options =
        EvictParams { delete_options: grace_seconds.map(|_| delete), ..EvictParams::default() };
    let error = match pods.evict(&key.name, &options).await {
        Ok(_) => return true,
        Err(error) => ClientError::from(error),
    };
    if !error.is_not_found() {
        remaining.failed.entry(refusal(&error)).or_default().push(key.to_string());
    }
    false
}

/// Why an eviction was refused, in the words of the Machine's conditions.
fn refusal(error: &ClientError) -> String {
    let ClientError::Status(status) = error else { return error.to_string() };
    let causes = status.details.as_ref().map(|details| details.causes.as_slice());
    let causes = causes.unwrap_or_default();
    match status.code {
        429 if status.details.is_some() => {
            let causes: Vec<&str> = causes.iter().map(|cause| cause.message.as_str()).collect();
            format!("{} {}", status.message, causes.join(","))
        }
        403 if causes.iter().any(|cause| cause.reason == "NamespaceTerminating") => {
            "Cannot evict pod from terminating namespace: unable to create eviction \
             (kube-controller-manager should set deletionTimestamp)"
                .to_owned()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_tells_what_holds_a_drain() {
        let mut remaining = Remaining::default();
        assert!(remaining.is_empty());
        remaining.deleting.push("ns/a".into());
        let budget = "Cannot evict pod as it would violate the pod's disruption budget.";
        remaining.failed.insert(budget.into(), vec!["ns/b".into(), "ns/c".into()]);
        remaining.waiting.push("ns/d".into());
        remaining.later = ["e", "f", "g", "h"].map(str::to_owned).to_vec();
        remaining.waiting_later.push("ns/i".into());
        assert_eq!(
            remaining.message(Timestamp::UNIX_EPOCH),
            "Drain not completed yet (started at 1970-01-01T00:00:00Z):\n\
             * Pod ns/a: deletionTimestamp set, but still not removed from the Node\n\
             * Pods ns/b, ns/c: cannot evict pod as it would violate the pod's disruption budget.\n\
             * Pod ns/d: waiting for completion\n\
             After above Pods have been removed from the Node, the following Pods will be evicted: \
             e, f, g, ... (1 more)\n\
             After above Pods have been removed from the Node, waiting for the following Pods to \
             complete without eviction: ns/i"
        );
    }
}
