//! `cluster.x-k8s.io/v1beta2`: how Nodes are drained.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

/// Tells how Pods leave the Nodes of some Machines.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MachineDrainRule {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// The rule.
    pub spec: MachineDrainRuleSpec,
}

namespaced_kind!(MachineDrainRule, "cluster.x-k8s.io", "v1beta2", "machinedrainrules");

api_struct! {
    /// A rule of draining.
    MachineDrainRuleSpec {
        /// What happens to the Pods.
        drain: Option<DrainBehavior>,
        /// Machines that the rule is for; all if empty.
        machines: Vec<DrainMachineSelector>,
        /// Pods that the rule is for; all if empty.
        pods: Vec<DrainPodSelector>,
    }
}
api_struct! {
    /// What happens to Pods.
    DrainBehavior {
        /// Drain, Skip or WaitCompleted.
        behavior: String,
        /// Pods of lower orders go first.
        order: Option<i32>,
    }
}
api_struct! {
    /// Selects Machines; both selectors must match.
    DrainMachineSelector {
        /// By labels of the Machine.
        selector: Option<LabelSelector>,
        /// By labels of its Cluster.
        cluster_selector: Option<LabelSelector>,
    }
}
api_struct! {
    /// Selects Pods; both selectors must match.
    DrainPodSelector {
        /// By labels of the Pod.
        selector: Option<LabelSelector>,
        /// By labels of its Namespace.
        namespace_selector: Option<LabelSelector>,
    }
}
