//! Flow schemas. (kubernetes 1.36: pkg/apis/flowcontrol/validation)

use serde_json::Value;

use super::{bootstrap, conditions};
use crate::apiserver::strategy::Change;
use crate::apiserver::strategy::fields::{items, text};
use crate::apiserver::strategy::report::Report;
use crate::apiserver::write::Target;
use crate::machinery::names;
use crate::machinery::status::Cause;

const PRECEDENCE_MAX: i64 = 10_000;
const VERBS: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];
/// Kinds of subjects, the fields that name them, and what errors call these.
const SUBJECTS: [(&str, &str); 3] =
    [("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group")];

pub(super) fn validate(change: &Change<'_>) -> Vec<Cause> {
    let mut report = Report::default();
    let new = change.new;
    if change.target != Target::Status {
        check_spec(new, &mut report);
    }
    conditions(&new["status"], &mut report);
    report.into_causes()
}

fn check_spec(schema: &Value, report: &mut Report) {
    let (spec, name) = (&schema["spec"], text(&schema["metadata"], "name"));
    let precedence = spec["matchingPrecedence"].as_i64().unwrap_or(0);
    let mut precedence_is = |why: &str| {
        report.invalid("spec.matchingPrecedence", &precedence.into(), why);
    };
    if precedence <= 0 {
        precedence_is("must be a positive value");
    }
    if precedence > PRECEDENCE_MAX {
        precedence_is(&format!("must not be greater than {PRECEDENCE_MAX}"));
    }
    if precedence == 1 && name != "exempt" {
        precedence_is("only the schema named 'exempt' may have matchingPrecedence 1");
    }
    let method = &spec["distinguisherMethod"];
    let methods = ["ByNamespace", "ByUser"];
    if !method.is_null() && !methods.contains(&text(method, "type")) {
        report.unsupported_value("spec.distinguisherMethod.type", method, &methods);
    }
    let (level, path) =
        (text(&spec["priorityLevelConfiguration"], "name"), "spec.priorityLevelConfiguration.name");
    match level {
        "" => report.required(path, "must reference a priority level"),
        level => report.invalid_texts(path, level, names::check_subdomain(level)),
    }
    for (index, rule) in items(&spec["rules"]).enumerate() {
        check_rule(rule, &format!("spec.rules[{index}]"), report);
    }
    if bootstrap::mandatory_schema(name).is_some_and(|fixed| fixed != *spec) {
        report.invalid("spec", spec, &format!("spec of '{name}' must equal the fixed value"));
    }
}

fn check_rule(rule: &Value, path: &str, report: &mut Report) {
    if items(&rule["subjects"]).next().is_none() {
        report.required(format!("{path}.subjects"), "subjects must contain at least one value");
    }
    for (index, subject) in items(&rule["subjects"]).enumerate() {
        check_subject(subject, &format!("{path}.subjects[{index}]"), report);
    }
    let (resources, others) = (&rule["resourceRules"], &rule["nonResourceRules"]);
    if items(resources).chain(items(others)).next().is_none() {
        let why = "at least one of resourceRules and nonResourceRules has to be non-empty";
        report.required(path, why);
    }
    for (index, rule) in items(resources).enumerate() {
        resource_rule(rule, &format!("{path}.resourceRules[{index}]"), report);
    }
    for (index, rule) in items(others).enumerate() {
        other_rule(rule, &format!("{path}.nonResourceRules[{index}]"), report);
    }
}

fn check_subject(subject: &Value, path: &str, report: &mut Report) {
    let kind = text(subject, "kind");
    if !SUBJECTS.iter().any(|(known, _)| *known == kind) {
        let of = ["Group", "ServiceAccount", "User"];
        return report.unsupported_value(format!("{path}.kind"), &kind.into(), &of);
    }
    for (known, field) in SUBJECTS {
        let (value, path) = (&subject[field], format!("{path}.{field}"));
        if known != kind {
            if !value.is_null() {
                let why = format!("{field} is forbidden when subject kind is not '{known}'");
                report.forbidden(path, &why);
            }
            continue;
        }
        if value.is_null() {
            report.required(path, &format!("{field} is required when subject kind is '{known}'"));
            continue;
        }
        let name = text(value, "name");
        if name.is_empty() {
            report.required(format!("{path}.name"), "");
        }
        if known != "ServiceAccount" {
            continue;
        }
        if !name.is_empty() && name != "*" {
            report.invalid_texts(format!("{path}.name"), name, names::check_subdomain(name));
        }
        let (namespace, path) = (text(value, "namespace"), format!("{path}.namespace"));
        match namespace {
            "" => report.required(path, "must specify namespace for service account"),
            namespace => report.invalid_texts(&path, namespace, names::check_label(namespace)),
        }
    }
}

/// A list that names at least one thing, and `*` alone or not at all; says whether it has none.
fn wildcard_list(rule: &Value, path: &str, field: &str, missing: &str, others: &str) -> Vec<Cause> {
    let mut report = Report::default();
    let (list, path) = (&rule[field], format!("{path}.{field}"));
    let count = items(list).count();
    if count == 0 {
        report.required(path, missing);
    } else if count > 1 && items(list).any(|item| item == "*") {
        report.invalid(path, list, &format!("if '*' is present, must not specify other {others}"));
    }
    report.into_causes()
}

fn verbs(rule: &Value, path: &str, report: &mut Report) {
    let missing = "verbs must contain at least one value";
    report.extend(wildcard_list(rule, path, "verbs", missing, "verbs"));
    let known = |verb: &Value| *verb == "*" || VERBS.contains(&verb.as_str().unwrap_or_default());
    if !items(&rule["verbs"]).all(known) && !items(&rule["verbs"]).any(|verb| verb == "*") {
        report.unsupported_value(format!("{path}.verbs"), &rule["verbs"], VERBS);
    }
}

fn resource_rule(rule: &Value, path: &str, report: &mut Report) {
    verbs(rule, path, report);
    for (field, missing, others) in [
        ("apiGroups", "resource rules must supply at least one api group", "api groups"),
        ("resources", "resource rules must supply at least one resource", "resources"),
    ] {
        report.extend(wildcard_list(rule, path, field, missing, others));
    }
    let namespaces: Vec<&str> = items(&rule["namespaces"]).filter_map(Value::as_str).collect();
    let field = format!("{path}.namespaces");
    if namespaces.is_empty() && rule["clusterScope"] != true {
        let why = "resource rules that are not cluster scoped must supply at least one namespace";
        report.required(field, why);
    } else if namespaces.contains(&"*") {
        if namespaces.len() > 1 {
            let why = "if '*' is present, must not specify other namespaces";
            report.invalid(field, &rule["namespaces"], why);
        }
    } else {
        for (index, name) in namespaces.iter().enumerate() {
            for why in names::check_label(name) {
                let why =
                    format!("each member of this list must be '*' or a DNS-1123 label; {why}");
                report.invalid(format!("{field}[{index}]"), &(*name).into(), &why);
            }
        }
    }
}

fn other_rule(rule: &Value, path: &str, report: &mut Report) {
    verbs(rule, path, report);
    let field = "nonResourceURLs";
    let missing = "nonResourceURLs must contain at least one value";
    report.extend(wildcard_list(rule, path, field, missing, "non-resource URLs"));
    if items(&rule[field]).any(|url| url == "*") {
        return;
    }
    for (index, url) in items(&rule[field]).enumerate() {
        let text = url.as_str().unwrap_or_default();
        let stars = text.matches('*').count();
        let why = match text {
            "" => "must not be empty",
            "/" => continue,
            _ if !text.starts_with('/') => "must start with slash",
            _ if text.contains(' ') => "must not contain white-space",
            _ if text.contains("//") => "must not contain double slash",
            _ if stars > 1 || (stars == 1 && !text.ends_with("/*")) => {
                "wildcard can only do suffix matching"
            }
            _ => continue,
        };
        report.invalid(format!("{path}.{field}[{index}]"), url, why);
    }
}
