//! Where pods may run: affinity, tolerations, spreading, gates.
//! (kubernetes 1.36: pkg/apis/core/validation/validation.go)

use serde_json::Value;

use crate::apiserver::strategy::fields::{items, text};
use crate::apiserver::strategy::report::{NOT_POSITIVE, Path, Report};
use crate::apiserver::strategy::{formats, labels};
use crate::machinery::names;

/// What taints do.
pub(in crate::apiserver::strategy) const EFFECTS: &[&str] =
    &["NoSchedule", "PreferNoSchedule", "NoExecute"];
const ACTIONS: &[&str] = &["DoNotSchedule", "ScheduleAnyway"];
const INCLUSIONS: &[&str] = &["Honor", "Ignore"];
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
const NOT_EMPTY: &str = "can not be empty";
const WEIGHTS: &str = "must be in the range 1-100";
const NO_OPERATOR: &str = "not a valid selector operator";

/// Checks affinity to nodes and pods.
pub(super) fn affinity(report: &mut Report, path: &Path<'_>, affinity: &Value) {
    let (nodes, place) = (&affinity["nodeAffinity"], path.field("nodeAffinity"));
    if nodes[REQUIRED].is_object() {
        node_selector(report, &place.field(REQUIRED), &nodes[REQUIRED]);
    }
    let list = place.field(PREFERRED);
    for (index, term) in items(&nodes[PREFERRED]).enumerate() {
        let path = list.index(index);
        weight(report, &path, term);
        // Values that no label has are allowed here.
        node_term(report, &path.field("preference"), &term["preference"], false);
    }
    for name in ["podAffinity", "podAntiAffinity"] {
        let (pods, place) = (&affinity[name], path.field(name));
        let list = place.field(REQUIRED);
        for (index, term) in items(&pods[REQUIRED]).enumerate() {
            pod_term(report, &list.index(index), term);
        }
        let list = place.field(PREFERRED);
        for (index, term) in items(&pods[PREFERRED]).enumerate() {
            let path = list.index(index);
            weight(report, &path, term);
            pod_term(report, &path.field("podAffinityTerm"), &term["podAffinityTerm"]);
        }
    }
}

fn weight(report: &mut Report, path: &Path<'_>, term: &Value) {
    let weight = term["weight"].as_i64().unwrap_or(0);
    if !(1..=100).contains(&weight) {
        report.invalid_number(path.field("weight"), weight, WEIGHTS);
    }
}

/// Checks what nodes are selected by.
pub(in crate::apiserver::strategy) fn node_selector(
    report: &mut Report,
    path: &Path<'_>,
    selector: &Value,
) {
    let list = path.field("nodeSelectorTerms");
    if items(&selector["nodeSelectorTerms"]).next().is_none() {
        report.required(list, "must have at least one node selector term");
    }
    for (index, term) in items(&selector["nodeSelectorTerms"]).enumerate() {
        node_term(report, &list.index(index), term, true);
    }
}

fn node_term(report: &mut Report, path: &Path<'_>, term: &Value, strict_values: bool) {
    let list = path.field("matchExpressions");
    for (index, requirement) in items(&term["matchExpressions"]).enumerate() {
        node_requirement(report, &list.index(index), requirement, strict_values);
    }
    let list = path.field("matchFields");
    for (index, requirement) in items(&term["matchFields"]).enumerate() {
        let path = list.index(index);
        match text(requirement, "operator") {
            "In" | "NotIn" => {
                if items(&requirement["values"]).count() != 1 {
                    let why = "must be only one value when `operator` is 'In' or 'NotIn' for node \
                               field selector";
                    report.required(path.field("values"), why);
                }
            }
            other => report.invalid_text(path.field("operator"), other, NO_OPERATOR),
        }
        match text(requirement, "key") {
            "metadata.name" => {
                let values = path.field("values");
                for (index, value) in items(&requirement["values"]).enumerate() {
                    let name = value.as_str().unwrap_or_default();
                    formats::subdomain(report, &values.index(index), name);
                }
            }
            key => {
                report.invalid_text(path.field("key"), key, "not a valid field selector key");
            }
        }
    }
}

fn node_requirement(
    report: &mut Report,
    path: &Path<'_>,
    requirement: &Value,
    strict_values: bool,
) {
    let values = path.field("values");
    let count = items(&requirement["values"]).count();
    match text(requirement, "operator") {
        "In" | "NotIn" if count == 0 => {
            report.required(values, "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "Exists" | "DoesNotExist" if count > 0 => {
            let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            report.forbidden(values, why);
        }
        "Gt" | "Lt" if count != 1 => {
            let why = "must be specified single value when `operator` is 'Lt' or 'Gt'";
            report.required(values, why);
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => report.invalid_text(path.field("operator"), other, NO_OPERATOR),
    }
    formats::qualified_name(report, &path.field("key"), text(requirement, "key"));
    if strict_values {
        for (index, value) in items(&requirement["values"]).enumerate() {
            let value = value.as_str().unwrap_or_default();
            report.invalid_texts(values.index(index), value, names::check_label_value(value));
        }
    }
}

fn pod_term(report: &mut Report, path: &Path<'_>, term: &Value) {
    labels::selector(report, &path.field("labelSelector"), &term["labelSelector"]);
    labels::selector(report, &path.field("namespaceSelector"), &term["namespaceSelector"]);
    for name in items(&term["namespaces"]).filter_map(Value::as_str) {
        formats::label(report, &path.field("namespace"), name);
    }
    for field in ["matchLabelKeys", "mismatchLabelKeys"] {
        let list = path.field(field);
        if items(&term[field]).next().is_some() && term["labelSelector"].is_null() {
            report.forbidden(list, "must not be specified when labelSelector is not set");
            continue;
        }
        for (index, key) in items(&term[field]).enumerate() {
            let key = key.as_str().unwrap_or_default();
            formats::qualified_name(report, &list.index(index), key);
        }
    }
    let list = path.field("matchLabelKeys");
    for (index, key) in items(&term["matchLabelKeys"]).enumerate() {
        if items(&term["mismatchLabelKeys"]).any(|other| other == key) {
            let why = "exists in both matchLabelKeys and mismatchLabelKeys";
            report.invalid(list.index(index), key, why);
        }
    }
    let (key, place) = (text(term, "topologyKey"), path.field("topologyKey"));
    if key.is_empty() {
        report.required(place, NOT_EMPTY);
    }
    formats::qualified_name(report, &place, key);
}

/// Checks tolerations.
pub(in crate::apiserver::strategy) fn tolerations(
    report: &mut Report,
    list: &Path<'_>,
    tolerations: &Value,
) {
    for (index, toleration) in items(tolerations).enumerate() {
        let path = list.index(index);
        let (key, operator) = (text(toleration, "key"), text(toleration, "operator"));
        let (value, effect) = (text(toleration, "value"), text(toleration, "effect"));
        let place = path.field("operator");
        if !key.is_empty() {
            formats::qualified_name(report, &path.field("key"), key);
        } else if operator != "Exists" {
            let why = "operator must be Exists when `key` is empty, which means \"match all \
                       values and all keys\"";
            report.invalid_text(place, operator, why);
        }
        if !toleration["tolerationSeconds"].is_null() && effect != "NoExecute" {
            let why = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            report.invalid_text(path.field("effect"), effect, why);
        }
        match operator {
            "" | "Equal" => {
                let reasons = names::check_label_value(value);
                if !reasons.is_empty() {
                    report.invalid_text(place, value, &reasons.join(";"));
                }
            }
            "Exists" if value.is_empty() => {}
            "Exists" => {
                let why = "value must be empty when `operator` is 'Exists'";
                report.invalid_text(place, value, why);
            }
            other => report.unsupported(place, other, &["Equal", "Exists"]),
        }
        if !effect.is_empty() {
            report.one_of(path.field("effect"), &toleration["effect"], EFFECTS);
        }
    }
}

/// Checks how pods spread.
pub(super) fn spread(report: &mut Report, list: &Path<'_>, spec: &Value) {
    let constraints: Vec<&Value> = items(&spec["topologySpreadConstraints"]).collect();
    for (index, constraint) in constraints.iter().enumerate() {
        let path = list.index(index);
        let skew = constraint["maxSkew"].as_i64().unwrap_or(0);
        if skew <= 0 {
            report.invalid_number(path.field("maxSkew"), skew, NOT_POSITIVE);
        }
        let (key, action) =
            (text(constraint, "topologyKey"), text(constraint, "whenUnsatisfiable"));
        if key.is_empty() {
            report.required(path.field("topologyKey"), NOT_EMPTY);
        }
        if !ACTIONS.contains(&action) {
            report.unsupported(path.field("whenUnsatisfiable"), action, ACTIONS);
        }
        let repeated = constraints[index + 1..].iter().any(|other| {
            text(other, "topologyKey") == key && text(other, "whenUnsatisfiable") == action
        });
        if repeated {
            let place = path.field("{topologyKey, whenUnsatisfiable}");
            report.duplicate(place, &format!("{{{key}, {action}}}"));
        }
        if let Some(domains) = constraint["minDomains"].as_i64() {
            let place = path.field("minDomains");
            if domains <= 0 {
                report.invalid_number(place, domains, NOT_POSITIVE);
            }
            if action != "DoNotSchedule" {
                let why = format!(
                    "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
                );
                report.invalid_number(place, domains, &why);
            }
        }
        for name in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            report.one_of(path.field(name), &constraint[name], INCLUSIONS);
        }
        match_label_keys(report, &path.field("matchLabelKeys"), constraint);
        labels::selector(report, &path.field("labelSelector"), &constraint["labelSelector"]);
    }
}

fn match_label_keys(report: &mut Report, list: &Path<'_>, constraint: &Value) {
    let selector = &constraint["labelSelector"];
    let keys = || items(&constraint["matchLabelKeys"]).filter_map(Value::as_str);
    if keys().next().is_some() && selector.is_null() {
        report.forbidden(list, "must not be specified when labelSelector is not set");
    }
    for (index, key) in keys().enumerate() {
        formats::qualified_name(report, &list.index(index), key);
        let selected = selector["matchLabels"].get(key).is_some()
            || items(&selector["matchExpressions"]).any(|it| text(it, "key") == key);
        if selected {
            let why = "exists in both matchLabelKeys and labelSelector";
            report.invalid_text(list.index(index), key, why);
        }
    }
}

/// Checks what holds up scheduling and readiness.
pub(super) fn gates(report: &mut Report, path: &Path<'_>, spec: &Value) {
    let list = path.field("readinessGates");
    for (index, gate) in items(&spec["readinessGates"]).enumerate() {
        let place = list.index(index);
        formats::qualified_name(report, &place.field("conditionType"), text(gate, "conditionType"));
    }
    let (list, mut taken) = (path.field("schedulingGates"), Vec::new());
    for (index, gate) in items(&spec["schedulingGates"]).enumerate() {
        let (name, place) = (text(gate, "name"), list.index(index));
        formats::qualified_name(report, &place, name);
        if taken.contains(&name) {
            report.duplicate(place, name);
        }
        taken.push(name);
    }
}
