//! The order of groups and versions.

use std::cmp::Ordering;

pub(super) use crate::machinery::gvk::compare_versions;

/// Kubernetes' own groups in kube-apiserver's order of priority (1.36); others follow by name.
const GROUPS: &[&str] = &[
    "",
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "resource.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
    "storagemigration.k8s.io",
];

pub(super) fn compare_groups(a: &str, b: &str) -> Ordering {
    let rank = |name| GROUPS.iter().position(|group| *group == name).unwrap_or(GROUPS.len());
    rank(a).cmp(&rank(b)).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stable_versions_come_first_and_newer_before_older() {
        let mut versions = ["foo", "v1alpha1", "v1beta1", "v2", "v10", "v1beta2", "v1", "bar"];
        versions.sort_by(|a, b| compare_versions(a, b));
        assert_eq!(versions, ["v10", "v2", "v1", "v1beta2", "v1beta1", "v1alpha1", "bar", "foo"]);
    }

    #[test]
    fn own_groups_come_before_custom_ones() {
        let mut groups = ["b.example.com", "apps", "a.example.com", "", "batch"];
        groups.sort_by(|a, b| compare_groups(a, b));
        assert_eq!(groups, ["", "apps", "batch", "a.example.com", "b.example.com"]);
    }
}
