//! Resources: names of what is requested, limited and counted, and their amounts.
//! (kubernetes 1.36: pkg/apis/core/helper/helpers.go, pkg/apis/core/validation)

use serde_json::Value;

use super::fields::{items, text};
use super::formats;
use super::report::{NEGATIVE, Path, Report};
use crate::machinery::names;
use crate::machinery::quantity::Quantity;

const HUGE_PAGES: &str = "hugepages-";
const CONTAINER: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
/// Objects that quotas count.
const COUNTED: [&str; 9] = [
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];
const LIMITED: [&str; 7] = [
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
];

/// Whether a resource is huge pages.
pub(super) fn is_huge_pages(name: &str) -> bool {
    name.starts_with(HUGE_PAGES)
}

/// Whether a resource is Kubernetes' own.
pub(super) fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// Whether more of a resource may be allowed than is requested.
pub(super) fn may_be_overcommitted(name: &str) -> bool {
    is_native(name) && !is_huge_pages(name)
}

/// Whether a resource is a vendor's.
pub(super) fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with("requests.")
        && names::check_label_key(&format!("requests.{name}")).is_empty()
}

/// Whether quotas know a resource without a domain.
pub(super) fn is_quota_resource(name: &str) -> bool {
    CONTAINER.contains(&name)
        || LIMITED.contains(&name)
        || COUNTED.contains(&name)
        || is_huge_pages(name.strip_prefix("requests.").unwrap_or(name))
}

fn is_whole(name: &str) -> bool {
    COUNTED.contains(&name) || is_extended(name)
}

/// Refuses malformed names of resources, and plain ones that Kubernetes does not know.
pub(super) fn name(report: &mut Report, path: &Path<'_>, name: &str) {
    let before = report.len();
    formats::qualified_name(report, path, name);
    let known = name == "storage" || is_quota_resource(name);
    if report.len() == before && !name.contains('/') && !known {
        report.invalid_text(path, name, "must be a standard resource type or fully qualified");
    }
}

/// Refuses names of what containers cannot have.
pub(super) fn container_name(report: &mut Report, path: &Path<'_>, resource: &str) {
    name(report, path, resource);
    if !resource.contains('/') {
        if !CONTAINER.contains(&resource) && !is_huge_pages(resource) {
            report.invalid_text(path, resource, "must be a standard resource for containers");
        }
    } else if !is_native(resource) && !is_extended(resource) {
        report.invalid_text(path, resource, "doesn't follow extended resource name standard");
    }
}

/// Refuses names of what pods as a whole cannot have.
fn pod_name(report: &mut Report, path: &Path<'_>, resource: &str) {
    let before = report.len();
    name(report, path, resource);
    let supported = matches!(resource, "cpu" | "memory") || is_huge_pages(resource);
    if report.len() == before && !supported {
        report.unsupported(path, resource, &["cpu", "hugepages-", "memory"]);
    }
}

/// Refuses names of what quotas do not count.
pub(super) fn quota_name(report: &mut Report, path: &Path<'_>, resource: &str) {
    name(report, path, resource);
    if !resource.contains('/') && !is_quota_resource(resource) {
        report.invalid_text(path, resource, "must be a standard resource for quota");
    }
}

/// Refuses amounts that a resource cannot have.
pub(super) fn quantity(report: &mut Report, path: &Path<'_>, name: &str, amount: Quantity) {
    if amount.is_negative() {
        report.invalid_text(path, &amount.to_string(), NEGATIVE);
    }
    if amount.milli_value() % 1_000 != 0 && is_whole(name) {
        report.invalid_text(path, &amount.to_string(), "must be an integer");
    }
}

/// The amounts of a list; what is none has been refused when it was decoded.
pub(super) fn amounts(list: &Value) -> impl Iterator<Item = (&str, Quantity)> {
    let entries = list.as_object().into_iter().flatten();
    entries
        .filter_map(|(name, amount)| Some((name.as_str(), Quantity::parse(amount.as_str()?).ok()?)))
}

/// The amount of one resource.
pub(super) fn amount(list: &Value, name: &str) -> Option<Quantity> {
    Quantity::parse(list[name].as_str()?).ok()
}

/// Whose resources are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// A container's.
    Container,
    /// A pod's as a whole.
    Pod,
}

/// Checks requests, limits and claims; `claims` are the names of the pod's.
pub(super) fn requirements(
    report: &mut Report,
    path: &Path<'_>,
    resources: &Value,
    (holder, claims): (Holder, &[&str]),
) {
    let check = if holder == Holder::Pod { pod_name } else { container_name };
    let (requests, limits) = (&resources["requests"], &resources["limits"]);
    let (mut plain, mut huge) = (false, false);
    for (list_name, list) in [("limits", limits), ("requests", requests)] {
        let list_path = path.field(list_name);
        for (name, amount) in amounts(list) {
            let place = list_path.key(name);
            check(report, &place, name);
            quantity(report, &place, name, amount);
            if list_name == "requests" {
                within_limit(report, path, (name, amount), limits);
            }
            if is_huge_pages(name) {
                huge = true;
                pages(report, &place, name, amount);
            }
            plain |= matches!(name, "cpu" | "memory");
        }
    }
    if huge && !plain {
        report.forbidden(path, "HugePages require cpu or memory");
    }
    claim_names(report, &path.field("claims"), resources, claims);
}

/// What is requested is within the limit, or just the limit.
fn within_limit(
    report: &mut Report,
    path: &Path<'_>,
    (name, amount): (&str, Quantity),
    limits: &Value,
) {
    let flexible = may_be_overcommitted(name);
    let Some(limit) = self::amount(limits, name) else {
        if !flexible {
            let why = "Limit must be set for non overcommitable resources";
            report.required(path.field("limits"), why);
        }
        return;
    };
    let why = if amount != limit && !flexible {
        format!("must be equal to {name} limit of {limit}")
    } else if amount > limit {
        format!("must be less than or equal to {name} limit of {limit}")
    } else {
        return;
    };
    report.invalid_text(path.field("requests"), &amount.to_string(), &why);
}

/// Huge pages come in whole pages.
fn pages(report: &mut Report, path: &Path<'_>, name: &str, amount: Quantity) {
    let page = Quantity::parse(name.trim_start_matches(HUGE_PAGES)).map_or(0, |it| it.value());
    if page <= 0 || amount.value() % page != 0 {
        let shown = amount.to_string();
        let why = format!("{shown} is not positive integer multiple of {name}");
        report.invalid_text(path, &shown, &why);
    }
}

fn claim_names(report: &mut Report, list: &Path<'_>, resources: &Value, known: &[&str]) {
    let mut taken: Vec<(&str, &str)> = Vec::new();
    for (index, claim) in items(&resources["claims"]).enumerate() {
        let path = list.index(index);
        let (name, request) = (text(claim, "name"), text(claim, "request"));
        if name.is_empty() {
            report.required(path, "");
            continue;
        }
        if taken.contains(&(name, "")) {
            report.duplicate(path, name);
        } else if request.is_empty() {
            for _ in taken.iter().filter(|(other, _)| *other == name) {
                report.duplicate(path, name);
            }
        } else {
            formats::label(report, &path.field("request"), request);
            if taken.contains(&(name, request)) {
                report.duplicate(path, &format!("{name}/{request}"));
            }
        }
        taken.push((name, request));
        if !known.contains(&name) {
            let mut why = "must be one of the names in pod.spec.resourceClaims".to_owned();
            if known.is_empty() {
                why.push_str(" which is empty");
            } else {
                let mut known = known.to_vec();
                known.sort_unstable();
                why = format!("{why}: {}", known.join(", "));
            }
            report.not_found(path, name, &why);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(resources: Value, expected: &[&str]) {
        let mut report = Report::default();
        requirements(&mut report, &Path::Root("r"), &resources, (Holder::Container, &["c"]));
        let causes: Vec<_> = report.into_causes().iter().map(ToString::to_string).collect();
        assert_eq!(causes, expected, "{resources}");
    }

    #[test]
    fn requirements_are_checked() {
        check(json!({"limits": {"cpu": "1"}, "requests": {"cpu": "500m"}}), &[]);
        check(
            json!({"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}),
            &["r.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1"],
        );
        check(
            json!({"limits": {"bogus": "1"}}),
            &[
                "r.limits[bogus]: Invalid value: \"bogus\": must be a standard resource type or \
                 fully qualified",
                "r.limits[bogus]: Invalid value: \"bogus\": must be a standard resource for \
                 containers",
            ],
        );
        check(
            json!({"requests": {"example.com/gpu": "1"}}),
            &["r.limits: Required value: Limit must be set for non overcommitable resources"],
        );
        check(
            json!({"limits": {"example.com/gpu": "500m"}}),
            &["r.limits[example.com/gpu]: Invalid value: \"500m\": must be an integer"],
        );
        check(
            json!({"limits": {"hugepages-2Mi": "3Mi", "cpu": "1"}}),
            &["r.limits[hugepages-2Mi]: Invalid value: \"3Mi\": 3Mi is not positive integer \
               multiple of hugepages-2Mi"],
        );
        check(
            json!({"limits": {"hugepages-2Mi": "4Mi"}}),
            &["r: Forbidden: HugePages require cpu or memory"],
        );
        check(
            json!({"claims": [{"name": "c"}, {"name": "d"}]}),
            &["r.claims[1]: Not found: \"d\": must be one of the names in \
               pod.spec.resourceClaims: c"],
        );
    }
}
