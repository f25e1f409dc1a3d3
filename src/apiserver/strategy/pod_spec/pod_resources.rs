//! Resources of pods as a whole. (kubernetes 1.36: PodLevelResources,
//! pkg/apis/core/validation/validation.go, component-helpers resource)

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::apiserver::strategy::fields::{items, text};
use crate::apiserver::strategy::report::{Path, Report};
use crate::apiserver::strategy::resources::{self, Holder, amounts, requirements};
use crate::machinery::quantity::Quantity;

type Amounts<'a> = BTreeMap<&'a str, Quantity>;

/// Checks a pod's resources, also against those of its containers.
pub(super) fn check(report: &mut Report, path: &Path<'_>, spec: &Value) {
    let own = &spec["resources"];
    if !own.is_object() {
        return;
    }
    if !own["claims"].is_null() {
        let why = "claims cannot be set for Resources at pod-level";
        report.forbidden(path.field("claims"), why);
    }
    requirements(report, path, own, (Holder::Pod, &[]));
    let requests = path.field("requests");
    for (name, wanted) in requested(spec) {
        let zero = Quantity::parse("0").unwrap_or(wanted);
        let given = resources::amount(&own["requests"], name).unwrap_or(zero);
        if wanted > given {
            let why = format!(
                "must be greater than or equal to aggregate container requests of {wanted}"
            );
            report.invalid_text(requests.key(name), &given.to_string(), &why);
        }
    }
    for (index, container) in items(&spec["containers"]).enumerate() {
        for (name, limit) in amounts(&container["resources"]["limits"]) {
            let Some(most) = resources::amount(&own["limits"], name) else { continue };
            if limit > most {
                let place = path.field("containers");
                let place = place.index(index);
                let place = place.key(name);
                let why = format!("must be less than or equal to pod limits of {most}");
                report.invalid_text(place.field("limits"), &limit.to_string(), &why);
            }
        }
    }
}

/// What the containers of a pod request together: regular ones at once with sidecars, init
/// containers one after the other.
fn requested(spec: &Value) -> Amounts<'_> {
    let mut total = Amounts::new();
    for container in items(&spec["containers"]) {
        add(&mut total, &container["resources"]["requests"]);
    }
    let (mut sidecars, mut peak) = (Amounts::new(), Amounts::new());
    for container in items(&spec["initContainers"]) {
        let requests = &container["resources"]["requests"];
        let mut now = sidecars.clone();
        add(&mut now, requests);
        if text(container, "restartPolicy") == "Always" {
            add(&mut total, requests);
            sidecars = now.clone();
        }
        raise(&mut peak, now);
    }
    raise(&mut total, peak);
    total
}

fn add<'a>(total: &mut Amounts<'a>, list: &'a Value) {
    for (name, amount) in amounts(list) {
        let sum = total.get(name).map_or(amount, |sum| sum.plus(&amount));
        total.insert(name, sum);
    }
}

fn raise<'a>(total: &mut Amounts<'a>, other: Amounts<'a>) {
    for (name, amount) in other {
        let most = total.entry(name).or_insert(amount);
        if amount > *most {
            *most = amount;
        }
    }
}

/// Fills in requests that follow from the pod's limits and its containers.
pub(in crate::apiserver::strategy) fn default(spec: &mut Value) {
    if spec["resources"]["limits"].as_object().is_none_or(|limits| limits.is_empty()) {
        return;
    }
    let supported = |name: &str| matches!(name, "cpu" | "memory");
    let mut requests = spec["resources"]["requests"].as_object().cloned().unwrap_or_default();
    for (name, amount) in requested(spec) {
        if supported(name) && !requests.contains_key(name) {
            requests.insert(name.to_owned(), amount.to_string().into());
        }
    }
    for (name, limit) in spec["resources"]["limits"].as_object().into_iter().flatten() {
        let supported = supported(name) || resources::is_huge_pages(name);
        if supported && !requests.contains_key(name) {
            requests.insert(name.clone(), limit.clone());
        }
    }
    if !requests.is_empty() {
        spec["resources"]["requests"] = json!(requests);
    }
}
