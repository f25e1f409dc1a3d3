//! Kinds of the group `resource.k8s.io`: devices, claims to them, and who has which.
//! (kubernetes 1.36: pkg/apis/resource/{v1/defaults.go,validation})

use serde_json::Value;

use super::checks::same;
use super::fields::{items, list, put, text};
use super::report::Report;
use super::{Change, NONE, Rules};
use crate::apiserver::write::Target;
use crate::machinery::names;
use crate::machinery::status::Cause;

const CLAIM: Rules = Rules {
    default: |claim| default_devices(&mut claim["spec"]),
    validate: |change| gather(change, claim),
    ..NONE
};
const TEMPLATE: Rules = Rules {
    default: |template| default_devices(&mut template["spec"]["spec"]),
    validate: |change| gather(change, template),
    ..NONE
};
const DEVICE_CLASS: Rules = Rules { validate: |change| gather(change, class), ..NONE };
const SLICE: Rules =
    Rules { default: default_slice, validate: |change| gather(change, slice), ..NONE };

const REQUESTS_MAX: usize = 32;
const SELECTORS_MAX: usize = 32;
const DEVICES_MAX: usize = 128;
const ALTERNATIVES_MAX: usize = 8;
const CONSUMERS_MAX: usize = 256;
const DRIVER_MAX: usize = 63;

/// The rules of a kind.
pub(super) fn rules(kind: &str) -> &'static Rules {
    match kind {
        "DeviceClass" => &DEVICE_CLASS,
        "ResourceClaim" => &CLAIM,
        "ResourceClaimTemplate" => &TEMPLATE,
        "ResourceSlice" => &SLICE,
        _ => &NONE,
    }
}

fn gather(change: &Change<'_>, check: fn(&Change<'_>, &mut Report)) -> Vec<Cause> {
    let mut report = Report::default();
    check(change, &mut report);
    report.into_causes()
}

/// A request is for one device, unless it says more.
fn default_devices(spec: &mut Value) {
    let Some(devices) = spec.get_mut("devices") else { return };
    for request in list(devices, "requests") {
        if let Some(exactly) = request.get_mut("exactly").filter(|it| it.is_object()) {
            default_request(exactly);
        }
        list(request, "firstAvailable").for_each(default_request);
    }
}

fn default_request(request: &mut Value) {
    let mode = put(request, "allocationMode", "ExactCount").clone();
    if mode == "ExactCount" {
        put(request, "count", 1);
    }
    for toleration in list(request, "tolerations") {
        put(toleration, "operator", "Equal");
    }
}

fn default_slice(slice: &mut Value) {
    let added = slice["metadata"]["creationTimestamp"].clone();
    for device in list(&mut slice["spec"], "devices") {
        for taint in list(device, "taints") {
            if !added.is_null() {
                put(taint, "timeAdded", added.clone());
            }
        }
    }
}

fn claim(change: &Change<'_>, report: &mut Report) {
    let (new, path) = (change.new, "spec");
    match change.old {
        _ if change.target == Target::Status => status(change, report),
        Some(old) if !same(&new["spec"], &old["spec"]) => {
            report.invalid(path, &new["spec"], "field is immutable");
        }
        Some(_) => {}
        None => devices(&new["spec"]["devices"], "spec.devices", report),
    }
}

fn template(change: &Change<'_>, report: &mut Report) {
    let new = change.new;
    match change.old {
        Some(old) => report.immutable(&new["spec"], &old["spec"], "spec"),
        None => devices(&new["spec"]["spec"]["devices"], "spec.spec.devices", report),
    }
}

fn devices(devices: &Value, path: &str, report: &mut Report) {
    let field = format!("{path}.requests");
    let mut names_seen: Vec<&str> = Vec::new();
    report.too_many(&field, items(&devices["requests"]).count(), REQUESTS_MAX);
    for (index, request) in items(&devices["requests"]).enumerate() {
        let path = format!("{field}[{index}]");
        let name = text(request, "name");
        if names_seen.contains(&name) {
            report.duplicate_value(format!("{path}.name"), &name.into());
        }
        names_seen.push(name);
        check_request(request, &path, report);
    }
    for (index, constraint) in items(&devices["constraints"]).enumerate() {
        let path = format!("{path}.constraints[{index}]");
        for (index, name) in items(&constraint["requests"]).enumerate() {
            let name = name.as_str().unwrap_or_default();
            let parent = name.split('/').next().unwrap_or_default();
            if !names_seen.contains(&parent) {
                let why = "must be the name of a request in the claim or the name of a request and \
                           a subrequest separated by '/'";
                report.invalid(format!("{path}.requests[{index}]"), &name.into(), why);
            }
        }
        if constraint["matchAttribute"].is_null() && constraint["distinctAttribute"].is_null() {
            report
                .required(path, "exactly one of `matchAttribute`, `distinctAttribute` is required");
        }
    }
    for (index, config) in items(&devices["config"]).enumerate() {
        let path = format!("{path}.config[{index}].opaque");
        match &config["opaque"] {
            Value::Null => report.required(path, ""),
            opaque => {
                driver_name(text(opaque, "driver"), &format!("{path}.driver"), report);
                if opaque["parameters"].is_null() {
                    report.required(format!("{path}.parameters"), "");
                }
            }
        }
    }
}

fn check_request(request: &Value, path: &str, report: &mut Report) {
    report.name(&format!("{path}.name"), text(request, "name"), names::check_label);
    let (exactly, first) = (&request["exactly"], &request["firstAvailable"]);
    let choices = items(first).count();
    match (exactly.is_null(), choices) {
        (true, 0) => {
            report.required(path, "exactly one of `exactly` or `firstAvailable` is required");
        }
        (false, 1..) => {
            let why = "exactly one of `exactly` or `firstAvailable` is required, but multiple \
                       fields are set";
            report.invalid_whole(path, why);
        }
        (false, 0) => exact_request(exactly, &format!("{path}.exactly"), report),
        (true, _) => {
            let path = format!("{path}.firstAvailable");
            report.too_many(&path, choices, ALTERNATIVES_MAX);
            for (index, request) in items(first).enumerate() {
                let path = format!("{path}[{index}]");
                report.name(&format!("{path}.name"), text(request, "name"), names::check_label);
                exact_request(request, &path, report);
            }
        }
    }
}

fn exact_request(request: &Value, path: &str, report: &mut Report) {
    let class = text(request, "deviceClassName");
    report.name(&format!("{path}.deviceClassName"), class, names::check_subdomain);
    selectors(&request["selectors"], path, report);
    let (count, field) = (request["count"].as_i64().unwrap_or(0), format!("{path}.count"));
    match text(request, "allocationMode") {
        "All" if count != 0 => {
            let why = "must not be specified when allocationMode is 'All'";
            report.invalid(field, &count.into(), why);
        }
        "ExactCount" if count <= 0 => {
            report.invalid(field, &count.into(), "must be greater than zero");
        }
        "All" | "ExactCount" => {}
        other => {
            let of = ["All", "ExactCount"];
            report.unsupported_value(format!("{path}.allocationMode"), &other.into(), &of);
        }
    }
}

fn selectors(selectors: &Value, path: &str, report: &mut Report) {
    let path = format!("{path}.selectors");
    report.too_many(&path, items(selectors).count(), SELECTORS_MAX);
    for (index, selector) in items(selectors).enumerate() {
        if text(&selector["cel"], "expression").is_empty() {
            report.required(format!("{path}[{index}].cel"), "");
        }
    }
}

fn driver_name(name: &str, path: &str, report: &mut Report) {
    report.name(path, name, names::check_subdomain);
    report.text_within(path, name.len(), DRIVER_MAX);
}

fn status(change: &Change<'_>, report: &mut Report) {
    let status = &change.new["status"];
    let old = change.old.map(|old| &old["status"]);
    let reserved = &status["reservedFor"];
    let path = "status.reservedFor";
    report.too_many(path, items(reserved).count(), CONSUMERS_MAX);
    let mut seen = Vec::new();
    for (index, consumer) in items(reserved).enumerate() {
        let path = format!("{path}[{index}]");
        for field in ["resource", "name", "uid"] {
            if text(consumer, field).is_empty() {
                report.required(format!("{path}.{field}"), "");
            }
        }
        if seen.contains(&&consumer["uid"]) {
            report.duplicate_value(format!("{path}.uid"), &consumer["uid"]);
        }
        seen.push(&consumer["uid"]);
    }
    let allocation = &status["allocation"];
    if !seen.is_empty() && allocation.is_null() {
        report.forbidden(path, "may not be specified when `allocated` is not set");
    }
    let before = old.map_or(&Value::Null, |old| &old["allocation"]);
    if !before.is_null() && !allocation.is_null() && allocation != before {
        report.invalid("status.allocation", allocation, "field is immutable");
    }
}

fn class(change: &Change<'_>, report: &mut Report) {
    let spec = &change.new["spec"];
    selectors(&spec["selectors"], "spec", report);
    for (index, config) in items(&spec["config"]).enumerate() {
        let path = format!("spec.config[{index}].opaque");
        match &config["opaque"] {
            Value::Null => report.required(path, ""),
            opaque => driver_name(text(opaque, "driver"), &format!("{path}.driver"), report),
        }
    }
}

fn slice(change: &Change<'_>, report: &mut Report) {
    let spec = &change.new["spec"];
    driver_name(text(spec, "driver"), "spec.driver", report);
    let node = text(spec, "nodeName");
    let chosen = [
        !node.is_empty(),
        !spec["nodeSelector"].is_null(),
        spec["allNodes"] == true,
        spec["perDeviceNodeSelection"] == true,
    ];
    let fields = "`nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection`";
    match chosen.iter().filter(|chosen| **chosen).count() {
        0 if items(&spec["sharedCounters"]).next().is_none() => {
            report.required("spec", &format!("exactly one of {fields} is required"));
        }
        0 | 1 => {}
        _ => {
            let why = format!("exactly one of {fields} is required, but multiple fields are set");
            report.invalid_whole("spec", &why);
        }
    }
    if !node.is_empty() {
        report.invalid_texts("spec.nodeName", node, names::check_subdomain(node));
    }
    let pool = &spec["pool"];
    if text(pool, "name").is_empty() {
        report.required("spec.pool.name", "");
    }
    let count = pool["resourceSliceCount"].as_i64().unwrap_or(0);
    if count <= 0 {
        let path = "spec.pool.resourceSliceCount";
        report.invalid(path, &count.into(), "must be greater than zero");
    }
    report.field_not_negative(pool, "spec.pool", "generation");
    slice_devices(&spec["devices"], report);
    if let Some(old) = change.old {
        for field in ["nodeName", "driver"] {
            report.immutable(&spec[field], &old["spec"][field], &format!("spec.{field}"));
        }
        report.immutable(&pool["name"], &old["spec"]["pool"]["name"], "spec.pool.name");
    }
}

fn slice_devices(devices: &Value, report: &mut Report) {
    report.too_many("spec.devices", items(devices).count(), DEVICES_MAX);
    let mut seen = Vec::new();
    for (index, device) in items(devices).enumerate() {
        let (name, path) = (text(device, "name"), format!("spec.devices[{index}]"));
        report.name(&format!("{path}.name"), name, names::check_label);
        if seen.contains(&name) {
            report.duplicate_value(format!("{path}.name"), &name.into());
        }
        seen.push(name);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(kind: &str, object: &Value, old: Option<&Value>) -> Vec<String> {
        let change = Change { new: object, old, target: Target::Main };
        (rules(kind).validate)(&change).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn claims_are_for_devices_of_a_class_and_stay() {
        let request = json!({"name": "r", "exactly": {"deviceClassName": "c"}});
        let mut claim = json!({"spec": {"devices": {"requests": [request, {"name": "s"}]}}});
        (rules("ResourceClaim").default)(&mut claim);
        let exactly = &claim["spec"]["devices"]["requests"][0]["exactly"];
        assert_eq!(
            (&exactly["allocationMode"], &exactly["count"]),
            (&json!("ExactCount"), &json!(1))
        );
        assert_eq!(
            said("ResourceClaim", &claim, None),
            ["spec.devices.requests[1]: Required value: exactly one of `exactly` or \
              `firstAvailable` is required"]
        );
        let mut new = claim.clone();
        new["spec"]["devices"]["requests"][0]["name"] = "t".into();
        assert_eq!(said("ResourceClaim", &new, Some(&claim)).len(), 1);
    }

    #[test]
    fn slices_belong_to_a_driver_and_somewhere() {
        let pool = json!({"name": "p", "resourceSliceCount": 1});
        let slice = json!({"spec": {"driver": "d.io", "nodeName": "n", "pool": pool}});
        assert_eq!(said("ResourceSlice", &slice, None), Vec::<String>::new());
        let slice = json!({"spec": {"driver": "", "pool": {}}});
        let fields: Vec<String> = said("ResourceSlice", &slice, None)
            .iter()
            .map(|it| it.split(':').next().unwrap().to_owned())
            .collect();
        assert_eq!(
            fields,
            ["spec.driver", "spec", "spec.pool.name", "spec.pool.resourceSliceCount"]
        );
    }
}
