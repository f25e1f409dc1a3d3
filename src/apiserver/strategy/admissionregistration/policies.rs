//! ValidatingAdmissionPolicies and ValidatingAdmissionPolicyBindings.

use std::collections::BTreeSet;

use serde_json::Value;

use super::checks::{
    FAILURE_POLICIES, MATCH_POLICIES, check_rule, check_selector, default_matching, items,
    refuse_all, supported, texts, unique,
};
use super::webhooks::check_match_conditions;
use crate::apiserver::admission::expressions::{Expected, PolicyCompiler};
use crate::apiserver::strategy::fields::put;
use crate::apiserver::strategy::{Change, NONE, Rules};
use crate::apiserver::write::Target;
use crate::machinery::status::Cause;
use crate::machinery::{cel, names};

/// Of ValidatingAdmissionPolicies.
pub(super) const POLICY: Rules =
    Rules { default: default_policy, validate: validate_policy, ..NONE };

/// Of ValidatingAdmissionPolicyBindings.
pub(super) const BINDING: Rules =
    Rules { default: default_binding, validate: validate_binding, ..NONE };

const RULE_LISTS: &[&str] = &["resourceRules", "excludeResourceRules"];
const REASONS: &[&str] = &["Forbidden", "Invalid", "RequestEntityTooLarge"];
const ACTIONS: &[&str] = &["Audit", "Deny", "Warn"];
/// Most audit annotations of a policy.
const ANNOTATIONS_MAX: usize = 20;
/// Most bytes of the expression of one.
const ANNOTATION_BYTES_MAX: usize = 5 * 1024;

fn default_policy(policy: &mut Value) {
    put(&mut policy["spec"], "failurePolicy", "Fail");
    if policy["spec"]["matchConstraints"].is_object() {
        default_matching(&mut policy["spec"]["matchConstraints"], RULE_LISTS);
    }
}

fn default_binding(binding: &mut Value) {
    if binding["spec"]["matchResources"].is_object() {
        default_matching(&mut binding["spec"]["matchResources"], RULE_LISTS);
    }
}

fn validate_policy(change: &Change<'_>) -> Vec<Cause> {
    let mut causes = Vec::new();
    if change.target == Target::Status {
        return causes;
    }
    let spec = &change.new["spec"];
    let has_params = !spec["paramKind"].is_null();
    supported(&spec["failurePolicy"], "spec.failurePolicy", FAILURE_POLICIES, &mut causes);
    if has_params {
        check_param_kind(&spec["paramKind"], &mut causes);
    }
    let matching = &spec["matchConstraints"];
    if matching.is_null() {
        causes.push(Cause::required("spec.matchConstraints", ""));
    } else {
        check_matching(matching, "spec.matchConstraints", &mut causes);
        if items(&matching["resourceRules"]).is_empty() {
            causes.push(Cause::required("spec.matchConstraints.resourceRules", ""));
        }
    }
    let old = change.old.map(|old| &old["spec"]);
    let is_same = |field: &str| old.is_some_and(|old| old[field] == spec[field]);
    if !is_same("paramKind") || !is_same("matchConditions") {
        let expected = Expected::CONDITION.with_params(has_params);
        let conditions = &spec["matchConditions"];
        check_match_conditions(conditions, "spec.matchConditions", expected, &mut causes);
    }
    let mut compiler = PolicyCompiler::new(has_params);
    check_variables(spec, &mut compiler, &mut causes);
    if items(&spec["validations"]).is_empty() && items(&spec["auditAnnotations"]).is_empty() {
        let why = "validations or auditAnnotations must contain at least one item";
        causes.push(Cause::required("spec.validations", why));
        causes.push(Cause::required("spec.auditAnnotations", why));
        return causes;
    }
    for (index, validation) in items(&spec["validations"]).iter().enumerate() {
        let at = format!("spec.validations[{index}]");
        check_validation(validation, &at, &compiler, &mut causes);
    }
    check_annotations(change.new, &compiler, &mut causes);
    causes
}

fn check_param_kind(kind: &Value, causes: &mut Vec<Cause>) {
    let at = "spec.paramKind.apiVersion";
    let text = kind["apiVersion"].as_str().unwrap_or_default();
    let value = Value::from(text);
    if text.is_empty() {
        causes.push(Cause::required(at, ""));
    } else if text.matches('/').count() > 1 {
        let why = format!("unexpected GroupVersion string: {text}");
        causes.push(Cause::invalid(at, &value, &why));
    } else {
        let (group, version) = crate::machinery::gvk::split_api_version(text);
        if !group.is_empty() {
            let why = names::check_subdomain(group);
            if !why.is_empty() {
                causes.push(Cause::invalid(at, &group.into(), &why.join(",")));
            }
        }
        let why = names::check_label_1035(version);
        if version.is_empty() {
            causes.push(Cause::invalid(at, &value, "version must be specified"));
        } else if !why.is_empty() {
            causes.push(Cause::invalid(at, &version.into(), &why.join(",")));
        }
    }
    let at = "spec.paramKind.kind";
    let name = kind["kind"].as_str().unwrap_or_default();
    let why = names::check_label_1035(&name.to_lowercase());
    if name.is_empty() {
        causes.push(Cause::required(at, ""));
    } else if !why.is_empty() {
        let why = format!("may have mixed case, but should otherwise match: {}", why.join(","));
        causes.push(Cause::invalid(at, &name.into(), &why));
    }
}

/// MatchResources.
fn check_matching(matching: &Value, path: &str, causes: &mut Vec<Cause>) {
    let at = |name: &str| format!("{path}.{name}");
    supported(&matching["matchPolicy"], &at("matchPolicy"), MATCH_POLICIES, causes);
    check_selector(&matching["namespaceSelector"], &at("namespaceSelector"), causes);
    check_selector(&matching["objectSelector"], &at("objectSelector"), causes);
    for list in RULE_LISTS {
        for (index, rule) in items(&matching[*list]).iter().enumerate() {
            let at = format!("{path}.{list}[{index}]");
            let mut seen = BTreeSet::new();
            for (index, name) in texts(&rule["resourceNames"]).into_iter().enumerate() {
                let at = format!("{at}.resourceNames[{index}]");
                refuse_all(names::check_path_segment(name), &at, name, causes);
                unique(&mut seen, name, at, causes);
            }
            check_rule(rule, &at, causes);
        }
    }
}

fn check_variables(spec: &Value, compiler: &mut PolicyCompiler, causes: &mut Vec<Cause>) {
    for (index, variable) in items(&spec["variables"]).iter().enumerate() {
        let at = format!("spec.variables[{index}]");
        let name = variable["name"].as_str().unwrap_or_default();
        if name.trim().is_empty() {
            causes.push(Cause::required(format!("{at}.name"), "name is not specified"));
        } else if !cel::is_identifier(name) {
            let why = "name is not a valid CEL identifier";
            causes.push(Cause::invalid(format!("{at}.name"), &name.into(), why));
        }
        let expression = variable["expression"].as_str().unwrap_or_default();
        let at = format!("{at}.expression");
        if expression.trim().is_empty() {
            causes.push(Cause::required(at, "expression is not specified"));
        } else if let Err(why) = compiler.add_variable(name, expression) {
            causes.push(Cause::invalid(at, &expression.into(), &why));
        }
    }
}

fn check_validation(
    validation: &Value,
    at: &str,
    compiler: &PolicyCompiler,
    causes: &mut Vec<Cause>,
) {
    let text = |name: &str| validation[name].as_str().unwrap_or_default();
    let field = |name: &str| format!("{at}.{name}");
    let expression = text("expression");
    if expression.trim().is_empty() {
        causes.push(Cause::required(field("expression"), "expression is not specified"));
    } else if let Err(why) = compiler.compile(expression, Expected::CONDITION) {
        causes.push(Cause::invalid(field("expression"), &expression.into(), &why));
    }
    let message = text("messageExpression");
    if !message.is_empty() && message.trim().is_empty() {
        let why = "must be non-empty if specified";
        causes.push(Cause::invalid(field("messageExpression"), &message.into(), why));
    } else if !message.is_empty()
        && let Err(why) = compiler.compile(message, Expected::MESSAGE)
    {
        causes.push(Cause::invalid(field("messageExpression"), &message.into(), &why));
    }
    let message = text("message");
    if !message.is_empty() && message.trim().is_empty() {
        let why = "message must be non-empty if specified";
        causes.push(Cause::invalid(field("message"), &message.into(), why));
    } else if message.trim().contains(['\n', '\r']) {
        let why = "message must not contain line breaks";
        causes.push(Cause::invalid(field("message"), &message.into(), why));
    }
    supported(&validation["reason"], &field("reason"), REASONS, causes);
}

fn check_annotations(policy: &Value, compiler: &PolicyCompiler, causes: &mut Vec<Cause>) {
    let list = &policy["spec"]["auditAnnotations"];
    let name = policy["metadata"]["name"].as_str().unwrap_or_default();
    if items(list).len() > ANNOTATIONS_MAX {
        let why = format!("must not have more than {ANNOTATIONS_MAX} auditAnnotations");
        causes.push(Cause::invalid("spec.auditAnnotations", list, &why));
    }
    let mut seen = BTreeSet::new();
    for (index, annotation) in items(list).iter().enumerate() {
        let at = format!("spec.auditAnnotations[{index}]");
        let key = annotation["key"].as_str().unwrap_or_default();
        let place = format!("{at}.key");
        if name.is_empty() {
            let why = "requires metadata.name be non-empty";
            causes.push(Cause::invalid(place.clone(), &key.into(), why));
        } else {
            let full = format!("{name}/{key}");
            refuse_all(names::check_label_key(&full), &place, &full, causes);
        }
        let expression = annotation["valueExpression"].as_str().unwrap_or_default();
        let trimmed = expression.trim();
        let value = format!("{at}.valueExpression");
        if trimmed.is_empty() {
            causes.push(Cause::required(value, "valueExpression is not specified"));
        } else if trimmed.len() > ANNOTATION_BYTES_MAX {
            let why = format!("must not exceed {ANNOTATION_BYTES_MAX} bytes in length");
            causes.push(Cause::required(value, &why));
        } else if let Err(why) = compiler.compile(trimmed, Expected::ANNOTATION) {
            causes.push(Cause::invalid(value, &expression.into(), &why));
        }
        if !seen.insert(key) {
            causes.push(Cause::duplicate(place, &key.into()));
        }
    }
}

fn validate_binding(change: &Change<'_>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let spec = &change.new["spec"];
    let policy = spec["policyName"].as_str().unwrap_or_default();
    if policy.is_empty() {
        causes.push(Cause::required("spec.policyName", ""));
    } else {
        refuse_all(names::check_subdomain(policy), "spec.policyName", policy, &mut causes);
    }
    if !spec["paramRef"].is_null() {
        check_param_ref(&spec["paramRef"], &mut causes);
    }
    if !spec["matchResources"].is_null() {
        // The typo is upstream's.
        check_matching(&spec["matchResources"], "spec.matchResouces", &mut causes);
    }
    check_actions(&spec["validationActions"], &mut causes);
    causes
}

fn check_param_ref(reference: &Value, causes: &mut Vec<Cause>) {
    let name = reference["name"].as_str().unwrap_or_default();
    let has_selector = !reference["selector"].is_null();
    let why = "name and selector are mutually exclusive";
    if !name.is_empty() {
        refuse_all(names::check_path_segment(name), "spec.paramRef.name", name, causes);
        if has_selector {
            causes.push(Cause::forbidden("spec.paramRef.name", why));
        }
    }
    if has_selector {
        check_selector(&reference["selector"], "spec.paramRef.selector", causes);
        if !name.is_empty() {
            causes.push(Cause::forbidden("spec.paramRef.selector", why));
        }
    }
    if name.is_empty() && !has_selector {
        let why = "one of name or selector must be specified";
        causes.push(Cause::required("spec.paramRef", why));
    }
    let at = "spec.paramRef.parameterNotFoundAction";
    match reference["parameterNotFoundAction"].as_str() {
        None | Some("") => causes.push(Cause::required(at, "")),
        Some("Allow" | "Deny") => {}
        Some(other) => {
            causes.push(Cause::not_supported(at, &other.into(), &["Deny", "Allow"]));
        }
    }
}

fn check_actions(list: &Value, causes: &mut Vec<Cause>) {
    let at = "spec.validationActions";
    let mut seen = BTreeSet::new();
    for (index, action) in texts(list).into_iter().enumerate() {
        let at = format!("{at}[{index}]");
        if !ACTIONS.contains(&action) {
            causes.push(Cause::not_supported(at.clone(), &action.into(), ACTIONS));
        }
        unique(&mut seen, action, at, causes);
    }
    if seen.contains("Deny") && seen.contains("Warn") {
        let why = "must not contain both Deny and Warn (repeating the same validation failure \
                   information in the API response and headers serves no purpose)";
        causes.push(Cause::invalid(at, list, why));
    }
    if seen.is_empty() {
        causes.push(Cause::required(at, "at least one validation action is required"));
    }
}
