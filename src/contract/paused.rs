//! Pausing. (CAPI v1.14: util/paused)

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::labels;
use crate::api::core::Cluster;
use crate::contract::conditions::New;

/// Type of the condition.
pub const PAUSED_CONDITION: &str = "Paused";

/// Whether an object is paused, by its Cluster or by its own annotation.
pub fn is_paused(cluster: Option<&Cluster>, metadata: &ObjectMeta) -> bool {
    is_cluster_paused(cluster) || labels::has_annotation(metadata, labels::PAUSED)
}

/// The `Paused` condition of an object.
pub fn condition(cluster: Option<&Cluster>, kind: &str, metadata: &ObjectMeta) -> New {
    let mut messages = Vec::new();
    if is_cluster_paused(cluster) {
        messages.push("Cluster spec.paused is set to true".to_owned());
    }
    if labels::has_annotation(metadata, labels::PAUSED) {
        messages.push(format!("{kind} has the {} annotation", labels::PAUSED));
    }
    if messages.is_empty() {
        return New::no(PAUSED_CONDITION, "NotPaused", "");
    }
    New { message: messages.join(", "), ..New::yes(PAUSED_CONDITION, "Paused") }
}

fn is_cluster_paused(cluster: Option<&Cluster>) -> bool {
    cluster.is_some_and(|cluster| cluster.spec.paused == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::conditions::ConditionStatus;

    #[test]
    fn both_causes_of_a_pause_are_named() {
        let mut cluster = Cluster::default();
        cluster.spec.paused = Some(true);
        let annotations = Some([(labels::PAUSED.to_owned(), String::new())].into());
        let metadata = ObjectMeta { annotations, ..ObjectMeta::default() };
        let paused = condition(Some(&cluster), "Machine", &metadata);
        assert_eq!(paused.status, ConditionStatus::True);
        assert_eq!(
            paused.message,
            "Cluster spec.paused is set to true, Machine has the cluster.x-k8s.io/paused annotation"
        );
        assert_eq!(condition(None, "Machine", &ObjectMeta::default()).reason, "NotPaused");
    }
}
