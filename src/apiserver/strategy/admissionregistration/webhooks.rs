//! MutatingWebhookConfigurations and ValidatingWebhookConfigurations.

use std::collections::BTreeSet;

use serde_json::Value;

use super::checks::{
    FAILURE_POLICIES, MATCH_POLICIES, check_rule, check_selector, default_matching, items,
    refuse_all, supported, texts, unique,
};
use crate::apiserver::admission::expressions::{self, Expected};
use crate::apiserver::strategy::fields::put;
use crate::apiserver::strategy::{Change, NONE, Rules};
use crate::machinery::names;
use crate::machinery::status::Cause;

/// Of MutatingWebhookConfigurations.
pub(super) const MUTATING: Rules =
    Rules { default: default_mutating, validate: validate_mutating, ..NONE };

/// Of ValidatingWebhookConfigurations.
pub(super) const VALIDATING: Rules =
    Rules { default: default_webhooks, validate: validate_webhooks, ..NONE };

const SIDE_EFFECTS: &[&str] = &["None", "NoneOnDryRun", "Some", "Unknown"];
const NO_SIDE_EFFECTS: &[&str] = &["None", "NoneOnDryRun"];
const REINVOCATION_POLICIES: &[&str] = &["IfNeeded", "Never"];
const REVIEW_VERSIONS: &[&str] = &["v1", "v1beta1"];
const URL_FORM: &str = "; desired format: https://host[/path]";
/// Most match conditions of a webhook or policy.
const CONDITIONS_MAX: usize = 64;

fn default_mutating(configuration: &mut Value) {
    default_webhooks(configuration);
    for webhook in configuration["webhooks"].as_array_mut().into_iter().flatten() {
        put(webhook, "reinvocationPolicy", "Never");
    }
}

fn default_webhooks(configuration: &mut Value) {
    for webhook in configuration["webhooks"].as_array_mut().into_iter().flatten() {
        put(webhook, "failurePolicy", "Fail");
        put(webhook, "timeoutSeconds", 10);
        default_matching(webhook, &["rules"]);
        if webhook["clientConfig"]["service"].is_object() {
            put(&mut webhook["clientConfig"]["service"], "port", 443);
        }
    }
}

fn validate_mutating(change: &Change<'_>) -> Vec<Cause> {
    let mut causes = validate_webhooks(change);
    for (index, webhook) in items(&change.new["webhooks"]).iter().enumerate() {
        let at = format!("webhooks[{index}].reinvocationPolicy");
        supported(&webhook["reinvocationPolicy"], &at, REINVOCATION_POLICIES, &mut causes);
    }
    causes
}

/// What older objects may go on being, because they were when they were stored.
struct Leniency {
    side_effects: bool,
    review_versions: bool,
    names: bool,
    match_conditions: bool,
}

impl Leniency {
    fn of(change: &Change<'_>) -> Self {
        let Some(old) = change.old else {
            return Self {
                side_effects: false,
                review_versions: false,
                names: false,
                match_conditions: false,
            };
        };
        let (before, after) = (items(&old["webhooks"]), items(&change.new["webhooks"]));
        let has_side_effects = |webhook: &Value| {
            !webhook["sideEffects"].as_str().is_some_and(|it| NO_SIDE_EFFECTS.contains(&it))
        };
        let is_unknown = |webhook: &Value| {
            let versions = texts(&webhook["admissionReviewVersions"]);
            !versions.is_empty() && !versions.iter().any(|it| REVIEW_VERSIONS.contains(it))
        };
        let mut seen = BTreeSet::new();
        let repeated =
            |webhook: &Value| !seen.insert(webhook["name"].as_str().unwrap_or_default().to_owned());
        let same = |(before, after): (&Value, &Value)| {
            before["matchConditions"] == after["matchConditions"]
        };
        Self {
            side_effects: before.iter().any(has_side_effects),
            review_versions: before.iter().any(is_unknown),
            names: before.iter().any(repeated),
            match_conditions: before.len() == after.len() && before.iter().zip(after).all(same),
        }
    }
}

fn validate_webhooks(change: &Change<'_>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let leniency = Leniency::of(change);
    let mut seen = BTreeSet::new();
    for (index, webhook) in items(&change.new["webhooks"]).iter().enumerate() {
        let at = format!("webhooks[{index}]");
        check_webhook(webhook, &at, &leniency, &mut causes);
        let versions = format!("{at}.admissionReviewVersions");
        check_review_versions(webhook, &versions, &leniency, &mut causes);
        if !leniency.names {
            let name = webhook["name"].as_str().unwrap_or_default();
            unique(&mut seen, name, format!("{at}.name"), &mut causes);
        }
    }
    causes
}

fn check_webhook(webhook: &Value, at: &str, leniency: &Leniency, causes: &mut Vec<Cause>) {
    check_qualified(webhook["name"].as_str().unwrap_or_default(), &format!("{at}.name"), causes);
    for (index, rule) in items(&webhook["rules"]).iter().enumerate() {
        check_rule(rule, &format!("{at}.rules[{index}]"), causes);
    }
    let field = |name: &str| format!("{at}.{name}");
    supported(&webhook["failurePolicy"], &field("failurePolicy"), FAILURE_POLICIES, causes);
    supported(&webhook["matchPolicy"], &field("matchPolicy"), MATCH_POLICIES, causes);
    let allowed = if leniency.side_effects { SIDE_EFFECTS } else { NO_SIDE_EFFECTS };
    if webhook["sideEffects"].is_null() {
        let why = format!("must specify one of {}", allowed.join(", "));
        causes.push(Cause::required(field("sideEffects"), &why));
    }
    supported(&webhook["sideEffects"], &field("sideEffects"), allowed, causes);
    if let Some(seconds) = webhook["timeoutSeconds"].as_i64()
        && !(1..=30).contains(&seconds)
    {
        let why = "the timeout value must be between 1 and 30 seconds";
        causes.push(Cause::invalid(field("timeoutSeconds"), &seconds.into(), why));
    }
    check_selector(&webhook["namespaceSelector"], &field("namespaceSelector"), causes);
    check_selector(&webhook["objectSelector"], &field("objectSelector"), causes);
    check_client_config(&webhook["clientConfig"], &field("clientConfig"), causes);
    if !leniency.match_conditions {
        let at = field("matchConditions");
        check_match_conditions(&webhook["matchConditions"], &at, Expected::CONDITION, causes);
    }
}

/// A name with at least three labels. (apimachinery: util/validation, IsFullyQualifiedName)
fn check_qualified(name: &str, path: &str, causes: &mut Vec<Cause>) {
    if name.is_empty() {
        causes.push(Cause::required(path, ""));
        return;
    }
    let why = names::check_subdomain(name);
    if !why.is_empty() {
        causes.push(Cause::invalid(path, &name.into(), &why.join(",")));
        return;
    }
    if name.split('.').count() < 3 {
        let why = "should be a domain with at least three segments separated by dots";
        causes.push(Cause::invalid(path, &name.into(), why));
    }
}

fn check_review_versions(
    webhook: &Value,
    path: &str,
    leniency: &Leniency,
    causes: &mut Vec<Cause>,
) {
    let list = &webhook["admissionReviewVersions"];
    let versions = texts(list);
    let known = REVIEW_VERSIONS.join(", ");
    if versions.is_empty() {
        causes.push(Cause::required(path, &format!("must specify one of {known}")));
        return;
    }
    let mut seen = BTreeSet::new();
    for (index, version) in versions.iter().enumerate() {
        let at = format!("{path}[{index}]");
        if !seen.insert(*version) {
            causes.push(Cause::invalid(at, &(*version).into(), "duplicate version"));
            continue;
        }
        refuse_all(names::check_label_1035(version), &at, version, causes);
    }
    if !leniency.review_versions && !versions.iter().any(|it| REVIEW_VERSIONS.contains(it)) {
        let why = format!("must include at least one of {known}");
        causes.push(Cause::invalid(path, list, &why));
    }
}

fn check_client_config(config: &Value, path: &str, causes: &mut Vec<Cause>) {
    let (url, service) = (&config["url"], &config["service"]);
    if url.is_null() == service.is_null() {
        causes.push(Cause::required(path, "exactly one of url or service is required"));
    } else if let Some(url) = url.as_str() {
        check_url(url, &format!("{path}.url"), causes);
    } else {
        check_service(service, &format!("{path}.service"), causes);
    }
}

/// (kubernetes 1.36: apiserver/pkg/util/webhook/validation.go)
fn check_url(url: &str, path: &str, causes: &mut Vec<Cause>) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    if scheme != "https" {
        let why = format!("'https' is the only allowed URL scheme{URL_FORM}");
        causes.push(Cause::invalid(path, &scheme.into(), &why));
    }
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = if scheme.is_empty() { "" } else { rest.split('/').next().unwrap_or("") };
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    if host.is_empty() {
        let why = format!("host must be specified{URL_FORM}");
        causes.push(Cause::invalid(path, &"".into(), &why));
    }
    if let Some(user) = user {
        let why = "user information is not permitted in the URL";
        causes.push(Cause::invalid(path, &user.into(), why));
    }
    if !fragment.is_empty() {
        let why = "fragments are not permitted in the URL";
        causes.push(Cause::invalid(path, &fragment.into(), why));
    }
    if !query.is_empty() {
        let why = "query parameters are not permitted in the URL";
        causes.push(Cause::invalid(path, &query.into(), why));
    }
}

fn check_service(service: &Value, path: &str, causes: &mut Vec<Cause>) {
    for field in ["name", "namespace"] {
        if service[field].as_str().unwrap_or_default().is_empty() {
            causes.push(Cause::required(format!("{path}.{field}"), ""));
        }
    }
    let port = service["port"].as_i64().unwrap_or_default();
    if !(1..=65535).contains(&port) {
        let why = "port is not valid: must be between 1 and 65535, inclusive";
        causes.push(Cause::invalid(format!("{path}.port"), &port.into(), why));
    }
    if let Some(url_path) = service["path"].as_str() {
        check_service_path(url_path, &format!("{path}.path"), causes);
    }
}

fn check_service_path(text: &str, path: &str, causes: &mut Vec<Cause>) {
    let value = Value::from(text);
    if matches!(text, "" | "/") {
        return;
    }
    if text == "//" {
        causes.push(Cause::invalid(path, &value, "segment[0] may not be empty"));
        return;
    }
    if !text.starts_with('/') {
        causes.push(Cause::invalid(path, &value, "must start with a '/'"));
    }
    // As upstream, the first character is taken for the slash.
    let mut characters = text.chars();
    characters.next();
    let rest = characters.as_str();
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    for (index, segment) in rest.split('/').enumerate() {
        if segment.is_empty() {
            let why = format!("segment[{index}] may not be empty");
            causes.push(Cause::invalid(path, &value, &why));
            continue;
        }
        for why in names::check_subdomain(segment) {
            causes.push(Cause::invalid(path, &value, &format!("segment[{index}]: {why}")));
        }
    }
}

/// `matchConditions` of a webhook or policy.
pub(super) fn check_match_conditions(
    conditions: &Value,
    path: &str,
    expected: Expected,
    causes: &mut Vec<Cause>,
) {
    let conditions = items(conditions);
    if conditions.len() > CONDITIONS_MAX {
        causes.push(Cause::too_many(path, conditions.len(), CONDITIONS_MAX));
    }
    let mut seen = BTreeSet::new();
    for (index, condition) in conditions.iter().enumerate() {
        let at = format!("{path}[{index}]");
        let expression = condition["expression"].as_str().unwrap_or_default().trim();
        let place = format!("{at}.expression");
        if expression.is_empty() {
            causes.push(Cause::required(place, ""));
        } else if let Err(why) = expressions::compile(expression, expected) {
            causes.push(Cause::invalid(place, &expression.into(), &why));
        }
        let name = condition["name"].as_str().unwrap_or_default();
        let place = format!("{at}.name");
        if name.is_empty() {
            causes.push(Cause::required(place.clone(), ""));
        } else {
            refuse_all(names::check_label_key(name), &place, name, causes);
        }
        unique(&mut seen, name, place, causes);
    }
}
