//! What webhooks and policies have in common: rules, selectors, and the version they want to see.

use std::sync::Arc;

use serde_json::Value;

use super::attributes::{Attributes, Operation};
use super::rules::{Rule, Subject};
use crate::apiserver::profile::Resource;
use crate::machinery::gvk::GroupResource;
use crate::machinery::selector::LabelSelector;
use crate::machinery::status::Status;
use crate::store::ResourceKey;

/// Which requests a webhook or policy is about.
#[derive(Debug)]
pub(super) struct Matching {
    rules: Vec<Rule>,
    /// Whether it is about everything, for want of rules. Policies only.
    is_open: bool,
    /// Requests that it is not about all the same. Policies only.
    excluded: Vec<Rule>,
    /// Whether a request for another version of a resource in the rules counts.
    equivalent: bool,
    namespaces: Result<LabelSelector, String>,
    objects: Result<LabelSelector, String>,
}

/// The objects of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Objects<'a> {
    pub(super) object: Option<&'a Value>,
    pub(super) old: Option<&'a Value>,
}

impl Matching {
    /// Reads a webhook; one without rules is about nothing.
    pub(super) fn of_webhook(webhook: &Value) -> Self {
        Self::parse(webhook, "rules", false)
    }

    /// Reads the MatchResources of a policy or binding; without rules they are about everything.
    pub(super) fn of_policy(matching: &Value) -> Self {
        Self::parse(matching, "resourceRules", true)
    }

    fn parse(configuration: &Value, rules: &str, is_open: bool) -> Self {
        let list = |name: &str| -> Vec<Rule> {
            let list = configuration[name].as_array().into_iter().flatten();
            list.map(Rule::parse).collect()
        };
        let selector = |name: &str| match &configuration[name] {
            Value::Null => LabelSelector::from_label_selector(&Value::Object(Default::default())),
            selector => LabelSelector::from_label_selector(selector),
        };
        let rules = list(rules);
        Self {
            is_open: is_open && rules.is_empty(),
            rules,
            excluded: list("excludeResourceRules"),
            equivalent: configuration["matchPolicy"] != "Exact",
            namespaces: selector("namespaceSelector"),
            objects: selector("objectSelector"),
        }
    }

    /// The resource in the version that is to be shown, or `None` if this is not about the request.
    ///
    /// # Errors
    /// 404 for a namespace that does not exist, 500 for selectors that cannot be read.
    pub(super) fn resource(
        &self,
        attributes: &Attributes<'_>,
        objects: Objects<'_>,
    ) -> Result<Option<Arc<Resource>>, Box<Status>> {
        // A selector that fails counts only if the rules match.
        let by_namespace = self.selects_namespace(attributes, objects);
        if matches!(by_namespace, Ok(false)) {
            return Ok(None);
        }
        let by_object = self.selects_object(objects);
        if matches!(by_object, Ok(false)) {
            return Ok(None);
        }
        if self.by_rules(&self.excluded, attributes).is_some() {
            return Ok(None);
        }
        let resource = match self.is_open {
            true => Some(attributes.resource().clone()),
            false => self.by_rules(&self.rules, attributes),
        };
        let Some(resource) = resource else { return Ok(None) };
        by_namespace?;
        by_object?;
        Ok(Some(resource))
    }

    /// Whether a rule names a resource's objects in so many words, whatever the selectors say.
    pub(super) fn names(&self, resource: &Resource, operation: Operation) -> bool {
        let definition = &resource.definition;
        let version = (!self.equivalent).then_some(&*definition.version);
        self.rules
            .iter()
            .any(|rule| rule.names(operation, (&definition.group, &definition.plural), version))
    }

    /// The resource in the version that a rule names, the requested one first.
    fn by_rules(&self, rules: &[Rule], attributes: &Attributes<'_>) -> Option<Arc<Resource>> {
        let own = attributes.resource();
        if rules.iter().any(|rule| matches(rule, attributes, own)) {
            return Some(own.clone());
        }
        if !self.equivalent {
            return None;
        }
        let resources = attributes.call.server.resources();
        let others: Vec<_> = resources
            .iter()
            .filter(|other| other.key == own.key && other.api_version != own.api_version)
            .collect();
        let mut rules = rules.iter();
        rules.find_map(|rule| {
            let found = others.iter().find(|other| matches(rule, attributes, other));
            found.map(|found| (*found).clone())
        })
    }

    fn selects_namespace(
        &self,
        attributes: &Attributes<'_>,
        objects: Objects<'_>,
    ) -> Result<bool, Box<Status>> {
        let is_namespace = attributes.resource().is("", "namespaces");
        if attributes.namespace.is_empty() && !is_namespace {
            return Ok(true);
        }
        let selector = self.namespaces.as_ref().map_err(Status::internal)?;
        if selector.is_empty() {
            return Ok(true);
        }
        let changes = matches!(attributes.operation, Operation::Create | Operation::Update);
        if is_namespace && attributes.subresource().is_empty() && changes {
            return Ok(objects.object.is_some_and(|object| has_labels(selector, object)));
        }
        let key = ResourceKey { group: "".into(), plural: "namespaces".into() };
        let namespace = attributes.call.server.store().get(&key, "", &attributes.namespace);
        let namespace = namespace.ok_or_else(|| {
            Status::not_found(&GroupResource::new("", "namespaces"), &attributes.namespace)
        })?;
        Ok(selector.matches_by(|key| namespace.meta.labels.get(key)))
    }

    fn selects_object(&self, objects: Objects<'_>) -> Result<bool, Box<Status>> {
        let selector = self.objects.as_ref().map_err(Status::internal)?;
        if selector.is_empty() {
            return Ok(true);
        }
        let both = [objects.object, objects.old];
        Ok(both.into_iter().flatten().any(|object| has_labels(selector, object)))
    }
}

fn has_labels(selector: &LabelSelector, object: &Value) -> bool {
    let labels = &object["metadata"]["labels"];
    selector.matches_by(|key| labels.get(key).and_then(Value::as_str))
}

/// Whether a rule is about the request, were it for `resource`.
fn matches(rule: &Rule, attributes: &Attributes<'_>, resource: &Resource) -> bool {
    rule.matches(&Subject {
        operation: attributes.operation,
        group: &resource.definition.group,
        version: &resource.definition.version,
        resource: &resource.definition.plural,
        subresource: attributes.subresource(),
        namespace: &attributes.namespace,
        name: &attributes.name,
    })
}
