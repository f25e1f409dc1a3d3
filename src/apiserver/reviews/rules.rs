//! What somebody may do, as rules. (kubernetes 1.36:
//! pkg/registry/authorization/selfsubjectrulesreview, plugin/pkg/auth/authorizer/rbac RulesFor)

use serde_json::{Value, json};

use crate::apiserver::ApiServer;
use crate::apiserver::access::AuthorizationMode;
use crate::apiserver::authentication::Identity;
use crate::apiserver::authorization::{self, Rule};

/// The status of a review of what `identity` may do in a namespace.
pub(super) fn review(server: &ApiServer, identity: &Identity, namespace: &str) -> Value {
    if server.access().mode == AuthorizationMode::AlwaysAllow {
        return json!({
            "incomplete": false,
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        });
    }
    let (rules, errors) = authorization::rules_for(server, identity, namespace);
    let on_resources = rules
        .iter()
        .filter(|rule| !rule.resources.is_empty())
        .map(|rule| Rule { non_resource_urls: Vec::new(), ..rule.clone() }.to_value());
    let on_paths = rules.iter().filter(|rule| !rule.non_resource_urls.is_empty()).map(|rule| {
        let (verbs, non_resource_urls) = (rule.verbs.clone(), rule.non_resource_urls.clone());
        Rule { verbs, non_resource_urls, ..Rule::default() }.to_value()
    });
    let mut status = json!({
        "incomplete": false,
        "resourceRules": on_resources.collect::<Vec<_>>(),
        "nonResourceRules": on_paths.collect::<Vec<_>>(),
    });
    if !errors.is_empty() {
        status["incomplete"] = true.into();
        status["evaluationError"] = authorization::aggregate(errors).into();
    }
    status
}
