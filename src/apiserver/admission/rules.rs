//! Which requests a webhook or policy is about: operations, groups, versions, resources, scope.
//! (kubernetes 1.36: apiserver/pkg/admission/plugin/webhook/predicates/rules)

use serde_json::Value;

use super::attributes::Operation;

/// A rule of `rules` or `resourceRules`.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    operations: Vec<Box<str>>,
    groups: Vec<Box<str>>,
    versions: Vec<Box<str>>,
    /// Resource and subresource.
    resources: Vec<(Box<str>, Box<str>)>,
    scope: Scope,
    /// Names of objects; empty for any. Policies only.
    names: Vec<Box<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Any,
    Cluster,
    Namespaced,
}

/// What a rule is compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    pub(super) operation: Operation,
    pub(super) group: &'a str,
    pub(super) version: &'a str,
    pub(super) resource: &'a str,
    pub(super) subresource: &'a str,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
}

impl Rule {
    /// Reads a RuleWithOperations or NamedRuleWithOperations.
    pub(super) fn parse(rule: &Value) -> Self {
        let texts = |name: &str| -> Vec<Box<str>> {
            let list = rule[name].as_array().into_iter().flatten();
            list.filter_map(Value::as_str).map(Box::from).collect()
        };
        let resources = texts("resources");
        let resources = resources.iter().map(|text| {
            let (resource, subresource) = text.split_once('/').unwrap_or((text, ""));
            (Box::from(resource), Box::from(subresource))
        });
        Self {
            resources: resources.collect(),
            operations: texts("operations"),
            groups: texts("apiGroups"),
            versions: texts("apiVersions"),
            scope: match rule["scope"].as_str() {
                Some("Cluster") => Scope::Cluster,
                Some("Namespaced") => Scope::Namespaced,
                _ => Scope::Any,
            },
            names: texts("resourceNames"),
        }
    }

    /// Whether the rule is about a request.
    pub(super) fn matches(&self, subject: &Subject<'_>) -> bool {
        let any = |list: &[Box<str>], wanted: &str| {
            list.iter().any(|item| &**item == "*" || &**item == wanted)
        };
        self.is_in_scope(subject)
            && any(&self.operations, subject.operation.name())
            && any(&self.groups, subject.group)
            && any(&self.versions, subject.version)
            && self.names_resource(subject)
            && (self.names.is_empty() || self.names.iter().any(|name| **name == *subject.name))
    }

    /// Whether the rule names a group and a resource themselves, not by a wildcard; `version` of
    /// `None` is any.
    pub(super) fn names(
        &self,
        operation: Operation,
        (group, resource): (&str, &str),
        version: Option<&str>,
    ) -> bool {
        let has = |list: &[Box<str>], wanted: &str| list.iter().any(|item| **item == *wanted);
        let has_or_any = |list: &[Box<str>], wanted: &str| has(list, wanted) || has(list, "*");
        has(&self.groups, group)
            && self.resources.iter().any(|(it, sub)| **it == *resource && sub.is_empty())
            && has_or_any(&self.operations, operation.name())
            && version.is_none_or(|version| has_or_any(&self.versions, version))
    }

    fn is_in_scope(&self, subject: &Subject<'_>) -> bool {
        let is_namespace = subject.group.is_empty() && subject.resource == "namespaces";
        let cluster_scoped = is_namespace || subject.namespace.is_empty();
        match self.scope {
            Scope::Any => true,
            Scope::Cluster => cluster_scoped,
            Scope::Namespaced => !cluster_scoped,
        }
    }

    fn names_resource(&self, subject: &Subject<'_>) -> bool {
        let fits = |pattern: &str, wanted: &str| pattern == "*" || pattern == wanted;
        self.resources.iter().any(|(resource, subresource)| {
            fits(resource, subject.resource) && fits(subresource, subject.subresource)
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PODS: Subject<'static> = Subject {
        operation: Operation::Create,
        group: "",
        version: "v1",
        resource: "pods",
        subresource: "",
        namespace: "a",
        name: "p",
    };

    fn check(change: Value, subject: Subject<'_>, expected: bool) {
        let mut rule = json!({
            "operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"],
            "resources": ["pods"],
        });
        for (name, value) in change.as_object().unwrap() {
            rule[name] = value.clone();
        }
        assert_eq!(Rule::parse(&rule).matches(&subject), expected, "{rule} {subject:?}");
    }

    #[test]
    fn every_part_must_match() {
        check(json!({}), PODS, true);
        check(json!({"operations": ["*"]}), PODS, true);
        check(json!({"operations": ["UPDATE", "DELETE"]}), PODS, false);
        check(json!({"apiGroups": ["apps"]}), PODS, false);
        check(json!({"apiVersions": ["*"], "apiGroups": ["*"]}), PODS, true);
        check(json!({"resourceNames": ["q"]}), PODS, false);
        check(json!({"resourceNames": ["p"]}), PODS, true);
    }

    #[test]
    fn a_rule_names_what_it_spells_out() {
        let rule = Rule::parse(&json!({
            "operations": ["CREATE"], "apiGroups": ["g"], "apiVersions": ["v1"],
            "resources": ["things", "others/status"],
        }));
        let names = |resource, version| rule.names(Operation::Create, ("g", resource), version);
        assert!(names("things", None) && names("things", Some("v1")));
        assert!(!names("others", None) && !names("things", Some("v2")));
        assert!(!rule.names(Operation::Update, ("g", "things"), None));
        let all = Rule::parse(&json!({"operations": ["*"], "apiGroups": ["*"],
            "apiVersions": ["*"], "resources": ["*"]}));
        assert!(!all.names(Operation::Create, ("g", "things"), None));
    }

    #[test]
    fn wildcards_stop_at_the_slash() {
        let status = Subject { subresource: "status", ..PODS };
        check(json!({"resources": ["*"]}), PODS, true);
        check(json!({"resources": ["*"]}), status, false);
        check(json!({"resources": ["*/*"]}), status, true);
        check(json!({"resources": ["*/*"]}), PODS, true);
        check(json!({"resources": ["pods/*"]}), status, true);
        check(json!({"resources": ["pods/status"]}), PODS, false);
        check(json!({"resources": ["*/status"]}), status, true);
    }

    #[test]
    fn namespaces_are_cluster_scoped() {
        let namespace = Subject { resource: "namespaces", ..PODS };
        let rule = |scope: &str| json!({"scope": scope, "resources": ["*"]});
        check(rule("Namespaced"), PODS, true);
        check(rule("Cluster"), PODS, false);
        check(rule("Namespaced"), namespace, false);
        check(rule("Cluster"), namespace, true);
        check(rule("Cluster"), Subject { namespace: "", ..PODS }, true);
        check(rule("*"), namespace, true);
    }
}
