//! The order of groups and versions.

use std::cmp::Ordering;

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

/// Stable versions first, then beta, then alpha, each the highest first; what is no Kubernetes
/// version comes last, by name. (apimachinery/pkg/version/helpers.go)
pub(super) fn compare_versions(a: &str, b: &str) -> Ordering {
    match (parse(a), parse(b)) {
        (Some(a), Some(b)) => b.cmp(&a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// Stability (2 stable, 1 beta, 0 alpha), major version, version within the stability.
fn parse(version: &str) -> Option<(u8, u32, u32)> {
    let rest = version.strip_prefix('v')?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (major, rest) = rest.split_at(digits);
    let major = major.parse().ok()?;
    if rest.is_empty() {
        return Some((2, major, 0));
    }
    let (stability, minor) = match (rest.strip_prefix("beta"), rest.strip_prefix("alpha")) {
        (Some(minor), _) => (1, minor),
        (_, Some(minor)) => (0, minor),
        (None, None) => return None,
    };
    Some((stability, major, minor.parse().ok()?))
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
