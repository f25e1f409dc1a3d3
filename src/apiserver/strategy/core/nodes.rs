//! Nodes. (kubernetes 1.36: pkg/registry/core/node/strategy.go, pkg/apis/core/validation)

use serde_json::Value;

use crate::apiserver::strategy::fields::{items, put, text};
use crate::apiserver::strategy::pod_spec::scheduling::EFFECTS;
use crate::apiserver::strategy::report::{Path, Report};
use crate::apiserver::strategy::resources::{amounts, quantity};
use crate::apiserver::strategy::{Change, NONE, Rules, formats};
use crate::machinery::names;
use crate::machinery::status::Cause;

/// Of Nodes.
pub(super) const RULES: Rules = Rules { default, validate, ..NONE };

const SPEC: Path<'_> = Path::Root("spec");
const CIDR_ONCE: &str = "node updates may not change podCIDR except from \"\" to valid";
const PROVIDER_ONCE: &str = "node updates may not change providerID except from \"\" to valid";

/// `podCIDR` and `podCIDRs` say the same, and what is there can be allocated.
fn default(node: &mut Value) {
    default_allocatable(node);
    let Some(spec) = node.get_mut("spec").filter(|spec| spec.is_object()) else { return };
    let one = text(spec, "podCIDR").to_owned();
    let first = items(&spec["podCIDRs"]).next().and_then(Value::as_str);
    match first.map(str::to_owned) {
        None if one.is_empty() => {}
        Some(first) if one.is_empty() => spec["podCIDR"] = first.into(),
        // The single one counts, for the sake of old clients.
        first if first.as_deref() != Some(&*one) => spec["podCIDRs"] = serde_json::json!([one]),
        _ => {}
    }
}

fn default_allocatable(node: &mut Value) {
    if node["status"]["capacity"].is_object() {
        let capacity = node["status"]["capacity"].clone();
        put(&mut node["status"], "allocatable", capacity);
    }
}

fn validate(change: &Change<'_>) -> Vec<Cause> {
    let mut report = Report::default();
    let (new, spec) = (change.new, &change.new["spec"]);
    for field in ["capacity", "allocatable"] {
        for (name, amount) in amounts(&new["status"][field]) {
            let status = Path::Root("status");
            let path = status.field(field);
            quantity(&mut report, &path.field(name), name, amount);
        }
    }
    // kube-apiserver names metadata here.
    taints(&mut report, &Path::Root("metadata.taints"), &spec["taints"]);
    match change.old {
        None => cidrs(&mut report, &spec["podCIDRs"]),
        Some(old) => check_change(&mut report, new, old),
    }
    report.into_causes()
}

fn check_change(report: &mut Report, new: &Value, old: &Value) {
    let list = Path::Root("status.addresses");
    let addresses: Vec<&Value> = items(&new["status"]["addresses"]).collect();
    for (index, address) in addresses.iter().enumerate() {
        if addresses[..index].contains(address) {
            let shown =
                format!("{{\"Type\":{},\"Address\":{}}}", address["type"], address["address"]);
            report.duplicate_shown(list.index(index), &shown);
        }
    }
    let (new, old) = (&new["spec"], &old["spec"]);
    let path = SPEC.field("podCIDRs");
    let (now, before) = (items(&new["podCIDRs"]).count(), items(&old["podCIDRs"]).count());
    if before > 0 && before != now {
        report.forbidden(path, CIDR_ONCE);
    } else if before > 0 {
        let changed = items(&old["podCIDRs"]).zip(items(&new["podCIDRs"]));
        for _ in changed.filter(|(old, new)| old != new) {
            report.forbidden(path, CIDR_ONCE);
        }
    }
    let provider = text(old, "providerID");
    if !provider.is_empty() && provider != text(new, "providerID") {
        report.forbidden(SPEC.field("providerID"), PROVIDER_ONCE);
    }
    if text(new, "externalID") != text(old, "externalID") {
        report.forbidden(SPEC.field("externalID"), "may not be updated");
    }
}

fn taints(report: &mut Report, list: &Path<'_>, taints: &Value) {
    let mut taken = Vec::new();
    for (index, taint) in items(taints).enumerate() {
        let path = list.index(index);
        let (key, value, effect) =
            (text(taint, "key"), text(taint, "value"), text(taint, "effect"));
        formats::qualified_name(report, &path.field("key"), key);
        let reasons = names::check_label_value(value);
        if !reasons.is_empty() {
            report.invalid_text(path.field("value"), value, &reasons.join(";"));
        }
        report.must_be_one_of(path.field("effect"), &taint["effect"], EFFECTS);
        if taken.contains(&(key, effect)) {
            let shown = format!(
                "{{\"Key\":{},\"Value\":{},\"Effect\":{},\"TimeAdded\":{}}}: taints must be unique \
                 by key and effect pair",
                Value::from(key),
                Value::from(value),
                Value::from(effect),
                taint["timeAdded"]
            );
            report.duplicate_shown(path, &shown);
        }
        taken.push((key, effect));
    }
}

fn cidrs(report: &mut Report, cidrs: &Value) {
    let list = SPEC.field("podCIDRs");
    let all: Vec<&str> = items(cidrs).filter_map(Value::as_str).collect();
    for (index, cidr) in all.iter().enumerate() {
        formats::cidr(report, &list.index(index), cidr);
    }
    if all.len() < 2 {
        return;
    }
    if all.len() > 2 || !formats::is_dual_stack(all.iter().copied()) {
        let why = "may specify no more than one CIDR for each IP family";
        report.invalid(list, cidrs, why);
    }
    for (index, cidr) in all.iter().enumerate() {
        if all[..index].contains(cidr) {
            report.duplicate(list.index(index), cidr);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::apiserver::write::Target;

    fn check(new: Value, old: Option<Value>, expected: &[&str]) {
        let mut new = new;
        default(&mut new);
        let old = old.map(|mut old| {
            default(&mut old);
            old
        });
        let change = Change { new: &new, old: old.as_ref(), target: Target::Main };
        let causes: Vec<_> = validate(&change).iter().map(ToString::to_string).collect();
        assert_eq!(causes, expected, "{new}");
    }

    #[test]
    fn nodes_are_checked() {
        let taint = json!({"key": "a", "effect": "NoSchedule"});
        check(json!({"spec": {"taints": [taint]}}), None, &[]);
        check(
            json!({"spec": {"taints": [{"key": "a", "effect": "X"}]}}),
            None,
            &["metadata.taints[0].effect: Unsupported value: \"X\": supported values: \
               \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\""],
        );
        check(
            json!({"spec": {"taints": [taint, taint]}}),
            None,
            &["metadata.taints[1]: Duplicate value: {\"Key\":\"a\",\"Value\":\"\",\
               \"Effect\":\"NoSchedule\",\"TimeAdded\":null}: taints must be unique by key and \
               effect pair"],
        );
        check(
            json!({"spec": {"podCIDR": "10.0.0.0/8"}}),
            Some(json!({"spec": {"podCIDR": "10.1.0.0/16"}})),
            &["spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to \
               valid"],
        );
        check(json!({"spec": {"providerID": "a"}}), Some(json!({"spec": {}})), &[]);
        check(
            json!({"spec": {}}),
            Some(json!({"spec": {"providerID": "a"}})),
            &["spec.providerID: Forbidden: node updates may not change providerID except from \
               \"\" to valid"],
        );
        check(
            json!({"status": {"capacity": {"pods": "1500m"}}}),
            None,
            &[
                "status.capacity.pods: Invalid value: \"1500m\": must be an integer",
                "status.allocatable.pods: Invalid value: \"1500m\": must be an integer",
            ],
        );
    }
}
