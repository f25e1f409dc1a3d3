//! What configurations and policies have in common: rules, selectors, names of values.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::apiserver::strategy::fields::put;
use crate::machinery::names;
use crate::machinery::status::Cause;

const OPERATIONS: &[&str] = &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const SCOPES: &[&str] = &["*", "Cluster", "Namespaced"];
/// Values of `failurePolicy`.
pub(super) const FAILURE_POLICIES: &[&str] = &["Fail", "Ignore"];
/// Values of `matchPolicy`.
pub(super) const MATCH_POLICIES: &[&str] = &["Equivalent", "Exact"];

/// The strings of a list.
pub(super) fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The items of a list.
pub(super) fn items(list: &Value) -> &[Value] {
    list.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Refuses values but these; an absent one is fine.
pub(super) fn supported(value: &Value, path: &str, known: &[&str], causes: &mut Vec<Cause>) {
    let Some(text) = value.as_str() else { return };
    if !known.contains(&text) {
        causes.push(Cause::not_supported(path, value, known));
    }
}

/// Fills in what rules and selectors mean by nothing.
pub(super) fn default_matching(matching: &mut Value, lists: &[&str]) {
    put(matching, "matchPolicy", "Equivalent");
    put(matching, "namespaceSelector", json!({}));
    put(matching, "objectSelector", json!({}));
    for list in lists {
        for rule in matching[*list].as_array_mut().into_iter().flatten() {
            put(rule, "scope", "*");
        }
    }
}

/// A RuleWithOperations.
pub(super) fn check_rule(rule: &Value, path: &str, causes: &mut Vec<Cause>) {
    let operations = texts(&rule["operations"]);
    let at = format!("{path}.operations");
    check_wildcard(&rule["operations"], &at, "operations", causes);
    for (index, operation) in operations.iter().enumerate() {
        if !OPERATIONS.contains(operation) {
            let at = format!("{at}[{index}]");
            causes.push(Cause::not_supported(at, &(*operation).into(), OPERATIONS));
        }
    }
    check_wildcard(&rule["apiGroups"], &format!("{path}.apiGroups"), "API groups", causes);
    let at = format!("{path}.apiVersions");
    check_wildcard(&rule["apiVersions"], &at, "API versions", causes);
    for (index, version) in texts(&rule["apiVersions"]).iter().enumerate() {
        if version.is_empty() {
            causes.push(Cause::required(format!("{at}[{index}]"), ""));
        }
    }
    check_resources(&rule["resources"], &format!("{path}.resources"), causes);
    supported(&rule["scope"], &format!("{path}.scope"), SCOPES, causes);
}

/// A list must not be empty, and a `*` in it must be alone.
fn check_wildcard(list: &Value, path: &str, what: &str, causes: &mut Vec<Cause>) {
    let texts = texts(list);
    if texts.is_empty() {
        causes.push(Cause::required(path, ""));
    }
    if texts.len() > 1 && texts.contains(&"*") {
        let why = format!("if '*' is present, must not specify other {what}");
        causes.push(Cause::invalid(path, list, &why));
    }
}

fn check_resources(list: &Value, path: &str, causes: &mut Vec<Cause>) {
    let resources = texts(list);
    if resources.is_empty() {
        causes.push(Cause::required(path, ""));
    }
    let (mut of_any, mut all_of) = (BTreeSet::new(), BTreeSet::new());
    let mut has_plain = false;
    for (index, text) in resources.iter().enumerate() {
        let at = format!("{path}[{index}]");
        if text.is_empty() {
            causes.push(Cause::required(at, ""));
            continue;
        }
        let Some((resource, subresource)) = text.split_once('/') else {
            // As upstream, the last one decides.
            has_plain = *text != "*";
            continue;
        };
        if all_of.contains(resource) {
            let why = format!("if '{resource}/*' is present, must not specify {text}");
            causes.push(Cause::invalid(at.clone(), &(*text).into(), &why));
        }
        if of_any.contains(subresource) {
            let why = format!("if '*/{subresource}' is present, must not specify {text}");
            causes.push(Cause::invalid(at, &(*text).into(), &why));
        }
        if subresource == "*" {
            all_of.insert(resource);
        }
        if resource == "*" {
            of_any.insert(subresource);
        }
    }
    if resources.len() > 1 && resources.contains(&"*/*") {
        let why = "if '*/*' is present, must not specify other resources";
        causes.push(Cause::invalid(path, list, why));
    }
    if resources.contains(&"*") && has_plain {
        let why = "if '*' is present, must not specify other resources without subresources";
        causes.push(Cause::invalid(path, list, why));
    }
}

/// A `metav1.LabelSelector`. (apimachinery: pkg/apis/meta/v1/validation)
pub(super) fn check_selector(selector: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
        let at = format!("{path}.matchLabels");
        refuse_all(names::check_label_key(key), &at, key, causes);
        let value = value.as_str().unwrap_or_default();
        refuse_all(names::check_label_value(value), &at, value, causes);
    }
    for (index, requirement) in items(&selector["matchExpressions"]).iter().enumerate() {
        let at = format!("{path}.matchExpressions[{index}]");
        let values = texts(&requirement["values"]);
        match requirement["operator"].as_str().unwrap_or_default() {
            "In" | "NotIn" if values.is_empty() => {
                let why = "must be specified when `operator` is 'In' or 'NotIn'";
                causes.push(Cause::required(format!("{at}.values"), why));
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                causes.push(Cause::forbidden(format!("{at}.values"), why));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => {
                let why = "not a valid selector operator";
                causes.push(Cause::invalid(format!("{at}.operator"), &other.into(), why));
            }
        }
        let key = requirement["key"].as_str().unwrap_or_default();
        refuse_all(names::check_label_key(key), &format!("{at}.key"), key, causes);
        for (index, value) in values.iter().enumerate() {
            let at = format!("{at}.values[{index}]");
            refuse_all(names::check_label_value(value), &at, value, causes);
        }
    }
}

/// One cause for each reason why a text is refused.
pub(super) fn refuse_all(why: Vec<String>, path: &str, text: &str, causes: &mut Vec<Cause>) {
    causes.extend(why.iter().map(|why| Cause::invalid(path, &text.into(), why)));
}

/// Refuses a text that is in `seen` already.
pub(super) fn unique<'a>(
    seen: &mut BTreeSet<&'a str>,
    text: &'a str,
    path: String,
    causes: &mut Vec<Cause>,
) {
    if !text.is_empty() && !seen.insert(text) {
        causes.push(Cause::duplicate(path, &text.into()));
    }
}
