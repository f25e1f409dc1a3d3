//! Kinds of the group `rbac.authorization.k8s.io`. (kubernetes 1.36: pkg/apis/rbac/{v1/defaults.go,
//! validation}, pkg/registry/rbac)
//!
//! Who may grant what is not decided here but in [`crate::apiserver::authorization`].

use serde_json::{Value, json};

use super::fields::{items, list, put, remove, text};
use super::{Change, NONE, Rules};
use crate::machinery::names;
use crate::machinery::selector::LabelSelector;
use crate::machinery::status::Cause;

const GROUP: &str = "rbac.authorization.k8s.io";

const ROLE: Rules = Rules { drop_disabled: tidy_role, validate: check_role, ..NONE };
const CLUSTER_ROLE: Rules =
    Rules { drop_disabled: tidy_role, validate: check_cluster_role, ..NONE };
const ROLE_BINDING: Rules = Rules {
    default: default_binding,
    drop_disabled: tidy_binding,
    validate: check_role_binding,
    ..NONE
};
const CLUSTER_ROLE_BINDING: Rules = Rules {
    default: default_binding,
    drop_disabled: tidy_binding,
    validate: check_cluster_role_binding,
    ..NONE
};

/// The rules of a kind.
pub(super) fn rules(kind: &str) -> &'static Rules {
    match kind {
        "Role" => &ROLE,
        "ClusterRole" => &CLUSTER_ROLE,
        "RoleBinding" => &ROLE_BINDING,
        "ClusterRoleBinding" => &CLUSTER_ROLE_BINDING,
        _ => &NONE,
    }
}

/// Users and groups, and roles, are of this API's group.
fn default_binding(binding: &mut Value) {
    let fill = |reference: &mut Value| {
        if text(reference, "apiGroup").is_empty() {
            remove(reference, "apiGroup");
            put(reference, "apiGroup", GROUP);
        }
    };
    if binding["roleRef"].is_object() {
        fill(&mut binding["roleRef"]);
    }
    for subject in list(binding, "subjects") {
        if matches!(text(subject, "kind"), "User" | "Group") {
            fill(subject);
        }
    }
    remove_empty_subjects(binding);
}

/// No subjects are as none that were sent.
fn remove_empty_subjects(binding: &mut Value) {
    if items(&binding["subjects"]).next().is_none() {
        remove(binding, "subjects");
    }
}

/// Storage knows no empty lists: rules that are absent read null, other lists are left out.
fn tidy_role(role: &mut Value) {
    for rule in list(role, "rules") {
        if let Some(rule) = rule.as_object_mut() {
            rule.retain(|name, value| name == "verbs" || *value != json!([]));
        }
    }
    if items(&role["rules"]).next().is_none() && role.is_object() {
        role["rules"] = Value::Null;
    }
}

fn tidy_binding(binding: &mut Value) {
    for subject in list(binding, "subjects") {
        for field in ["apiGroup", "namespace"] {
            if text(subject, field).is_empty() {
                remove(subject, field);
            }
        }
    }
    remove_empty_subjects(binding);
}

/// Where the rules of a role apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Namespace,
    Cluster,
}

fn check_role(change: &Change<'_>) -> Vec<Cause> {
    let mut causes = Vec::new();
    check_rules(change.new, Scope::Namespace, &mut causes);
    causes
}

fn check_cluster_role(change: &Change<'_>) -> Vec<Cause> {
    let mut causes = Vec::new();
    check_rules(change.new, Scope::Cluster, &mut causes);
    let aggregation = &change.new["aggregationRule"];
    if !aggregation.is_object() {
        return causes;
    }
    let path = "aggregationRule.clusterRoleSelectors";
    if items(&aggregation["clusterRoleSelectors"]).next().is_none() {
        let why = "at least one clusterRoleSelector required if aggregationRule is non-nil";
        causes.push(Cause::required(path, why));
    }
    for (at, selector) in items(&aggregation["clusterRoleSelectors"]).enumerate() {
        if LabelSelector::from_label_selector(selector).is_err() {
            let path = format!("{path}[{at}]");
            causes.push(Cause::invalid(path, selector, "invalid label selector."));
        }
    }
    causes
}

fn check_rules(role: &Value, scope: Scope, causes: &mut Vec<Cause>) {
    for (at, rule) in items(&role["rules"]).enumerate() {
        check_rule(rule, scope, &format!("rules[{at}]"), causes);
    }
}

fn check_rule(rule: &Value, scope: Scope, path: &str, causes: &mut Vec<Cause>) {
    let has = |field: &str| items(&rule[field]).next().is_some();
    let mut require = |field: &str, why: &str| {
        if !has(field) {
            causes.push(Cause::required(format!("{path}.{field}"), why));
        }
    };
    require("verbs", "verbs must contain at least one value");
    if !has("nonResourceURLs") {
        require("apiGroups", "resource rules must supply at least one api group");
        require("resources", "resource rules must supply at least one resource");
        return;
    }
    let urls = &rule["nonResourceURLs"];
    let mut refuse = |why: &str| {
        causes.push(Cause::invalid(format!("{path}.nonResourceURLs"), urls, why));
    };
    if scope == Scope::Namespace {
        refuse("namespaced rules cannot apply to non-resource URLs");
    }
    if has("apiGroups") || has("resources") || has("resourceNames") {
        refuse("rules cannot apply to both regular resources and non-resource URLs");
    }
}

fn check_role_binding(change: &Change<'_>) -> Vec<Cause> {
    check_binding(change, Scope::Namespace)
}

fn check_cluster_role_binding(change: &Change<'_>) -> Vec<Cause> {
    check_binding(change, Scope::Cluster)
}

fn check_binding(change: &Change<'_>, scope: Scope) -> Vec<Cause> {
    let mut causes = Vec::new();
    let binding = change.new;
    let role = &binding["roleRef"];
    if text(role, "apiGroup") != GROUP {
        let given = Value::from(text(role, "apiGroup"));
        causes.push(Cause::not_supported("roleRef.apiGroup", &given, &[GROUP]));
    }
    let kinds: &[&str] = match scope {
        Scope::Namespace => &["Role", "ClusterRole"],
        Scope::Cluster => &["ClusterRole"],
    };
    if !kinds.contains(&text(role, "kind")) {
        let given = Value::from(text(role, "kind"));
        causes.push(Cause::not_supported("roleRef.kind", &given, kinds));
    }
    if text(role, "name").is_empty() {
        causes.push(Cause::required("roleRef.name", ""));
    }
    for why in names::check_path_segment(text(role, "name")) {
        causes.push(Cause::invalid("roleRef.name", &role["name"], &why));
    }
    for (at, subject) in items(&binding["subjects"]).enumerate() {
        check_subject(subject, scope, &format!("subjects[{at}]"), &mut causes);
    }
    if let Some(old) = change.old
        && role != &old["roleRef"]
    {
        let shown = json!({"APIGroup": text(role, "apiGroup"), "Kind": text(role, "kind"),
            "Name": text(role, "name")});
        causes.push(Cause::invalid("roleRef", &shown, "cannot change roleRef"));
    }
    causes
}

fn check_subject(subject: &Value, scope: Scope, path: &str, causes: &mut Vec<Cause>) {
    let (name, group) = (text(subject, "name"), text(subject, "apiGroup"));
    if name.is_empty() {
        causes.push(Cause::required(format!("{path}.name"), ""));
    }
    match text(subject, "kind") {
        "ServiceAccount" => {
            if !name.is_empty() {
                for why in names::check_subdomain(name) {
                    causes.push(Cause::invalid(format!("{path}.name"), &name.into(), &why));
                }
            }
            if !group.is_empty() {
                let path = format!("{path}.apiGroup");
                causes.push(Cause::not_supported(path, &group.into(), &[""]));
            }
            if scope == Scope::Cluster && text(subject, "namespace").is_empty() {
                causes.push(Cause::required(format!("{path}.namespace"), ""));
            }
        }
        "User" | "Group" => {
            if group != GROUP {
                let path = format!("{path}.apiGroup");
                causes.push(Cause::not_supported(path, &group.into(), &[GROUP]));
            }
        }
        kind => {
            let kinds = ["ServiceAccount", "User", "Group"];
            causes.push(Cause::not_supported(format!("{path}.kind"), &kind.into(), &kinds));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::write::Target;

    fn check(kind: &str, new: Value, old: Option<Value>, expected: &[&str]) {
        let rules = rules(kind);
        let mut new = new;
        (rules.default)(&mut new);
        (rules.drop_disabled)(&mut new);
        let change = Change { new: &new, old: old.as_ref(), target: Target::Main };
        let causes: Vec<String> =
            (rules.validate)(&change).iter().map(ToString::to_string).collect();
        assert_eq!(causes, expected, "{kind} {new}");
    }

    #[test]
    fn rules_apply_to_something() {
        let role = |rule: Value| json!({"rules": [rule]});
        let pods = json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]});
        check("Role", role(pods), None, &[]);
        check(
            "ClusterRole",
            role(json!({})),
            None,
            &[
                "rules[0].verbs: Required value: verbs must contain at least one value",
                "rules[0].apiGroups: Required value: resource rules must supply at least one api \
                 group",
                "rules[0].resources: Required value: resource rules must supply at least one \
                 resource",
            ],
        );
        let url = json!({"verbs": ["get"], "nonResourceURLs": ["/x"]});
        check("ClusterRole", role(url.clone()), None, &[]);
        let why = "namespaced rules cannot apply to non-resource URLs";
        let text = format!("rules[0].nonResourceURLs: Invalid value: [\"/x\"]: {why}");
        check("Role", role(url), None, &[&text]);
    }

    #[test]
    fn bindings_name_a_role_and_keep_it() {
        let binding = |kind: &str, name: &str, subject: Value| json!({"roleRef": {"kind": kind, "name": name}, "subjects": [subject]});
        let account = json!({"kind": "ServiceAccount", "name": "a"});
        check("RoleBinding", binding("Role", "r", account.clone()), None, &[]);
        check(
            "ClusterRoleBinding",
            binding("ClusterRole", "r", account),
            None,
            &["subjects[0].namespace: Required value"],
        );
        let user = json!({"kind": "User", "name": "u"});
        let mut old = binding("Role", "r", user.clone());
        default_binding(&mut old);
        assert_eq!(old["subjects"][0]["apiGroup"], GROUP);
        check("RoleBinding", old.clone(), Some(old.clone()), &[]);
        check(
            "RoleBinding",
            binding("Role", "other", user),
            Some(old),
            &["roleRef: Invalid value: {\"APIGroup\":\"rbac.authorization.k8s.io\",\
               \"Kind\":\"Role\",\"Name\":\"other\"}: cannot change roleRef"],
        );
    }

    #[test]
    fn odd_values_are_refused_without_a_panic() {
        for kind in ["Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"] {
            for odd in [json!({}), json!({"rules": 1}), json!({"roleRef": [], "subjects": {}})] {
                let mut object = odd;
                let rules = rules(kind);
                (rules.default)(&mut object);
                (rules.drop_disabled)(&mut object);
                let change = Change { new: &object, old: None, target: Target::Main };
                let causes = (rules.validate)(&change);
                assert_eq!(causes.is_empty(), kind.ends_with("Role"), "{kind}: {object}");
            }
        }
    }
}
