//! Rules of roles, and what they allow. (kubernetes 1.36: pkg/apis/rbac/v1/evaluation_helpers.go)

use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::Attributes;
use crate::machinery::status::quote;

/// `rbac.authorization.k8s.io/v1` PolicyRule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Rule {
    #[serde(deserialize_with = "list")]
    pub(crate) verbs: Vec<Box<str>>,
    #[serde(deserialize_with = "list")]
    pub(crate) api_groups: Vec<Box<str>>,
    #[serde(deserialize_with = "list")]
    pub(crate) resources: Vec<Box<str>>,
    #[serde(deserialize_with = "list")]
    pub(crate) resource_names: Vec<Box<str>>,
    #[serde(rename = "nonResourceURLs", deserialize_with = "list")]
    pub(crate) non_resource_urls: Vec<Box<str>>,
}

fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Box<str>>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Whether a list names `wanted`, or everything.
fn names(list: &[Box<str>], wanted: &str) -> bool {
    list.iter().any(|name| **name == *"*" || **name == *wanted)
}

impl Rule {
    /// Whether the rule allows a request.
    pub(super) fn allows(&self, request: &Attributes<'_>) -> bool {
        if !names(&self.verbs, request.verb) {
            return false;
        }
        if !request.is_resource {
            return self.non_resource_urls.iter().any(|url| covers_url(url, request.path));
        }
        names(&self.api_groups, request.group)
            && self.resources.iter().any(|name| covers(name, request.resource, request.subresource))
            && (self.resource_names.is_empty()
                || self.resource_names.iter().any(|name| **name == *request.name))
    }

    /// The rule as JSON, without what is empty.
    pub(crate) fn to_value(&self) -> Value {
        let mut rule = json!({});
        let lists = [
            ("verbs", &self.verbs),
            ("apiGroups", &self.api_groups),
            ("resources", &self.resources),
            ("resourceNames", &self.resource_names),
            ("nonResourceURLs", &self.non_resource_urls),
        ];
        for (name, list) in lists {
            if !list.is_empty() {
                rule[name] = list.iter().map(|text| Value::from(&**text)).collect();
            }
        }
        rule
    }

    /// The rule as error messages show it. (pkg/apis/rbac/v1/helpers.go, CompactString)
    pub(super) fn describe(&self) -> String {
        let lists = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.non_resource_urls),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ];
        let shown = lists.iter().filter(|(_, list)| !list.is_empty()).map(|(name, list)| {
            let quoted: Vec<String> = list.iter().map(|text| quote(text)).collect();
            format!("{name}:[{}]", quoted.join(" "))
        });
        format!("{{{}}}", shown.collect::<Vec<_>>().join(", "))
    }
}

/// Whether a rule's resource is the requested one: by name, `*`, or `*/subresource`.
fn covers(rule: &str, resource: &str, subresource: &str) -> bool {
    if rule == "*" {
        return true;
    }
    if subresource.is_empty() {
        return rule == resource;
    }
    match rule.strip_suffix(subresource).and_then(|rest| rest.strip_suffix('/')) {
        Some(name) => name == "*" || name == resource,
        None => false,
    }
}

/// Whether a rule's path is the requested one or, with a star at its end, its beginning.
pub(super) fn covers_url(rule: &str, path: &str) -> bool {
    rule == path || (rule.ends_with('*') && path.starts_with(rule.trim_end_matches('*')))
}
