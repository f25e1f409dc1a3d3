//! Rules of ExtensionConfig. (CAPI v1.14: core/webhooks/admission/extensionconfig.go)
//!
//! The feature gate RuntimeSDK is on.

use http::Uri;
use serde_json::{Value, json};

use super::bootstrap::is_defined;
use crate::machinery::definition::Strategy;
use crate::machinery::names;
use crate::machinery::selector::LabelSelector;
use crate::machinery::status::Cause;

/// Port of a Service reference that names none.
const PORT: u16 = 443;

/// The strategy of a kind.
pub(super) fn of(kind: &str) -> Strategy {
    match kind {
        "ExtensionConfig" => Strategy {
            default: Some(default_config),
            validate: Some(|new, _| validate_config(new)),
            ..Strategy::default()
        },
        _ => Strategy::default(),
    }
}

fn default_config(new: &mut Value, _old: Option<&Value>) {
    let Some(spec) = new.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let selector = spec.entry("namespaceSelector").or_insert(Value::Null);
    if selector.is_null() {
        *selector = json!({});
    }
    let service = spec.get_mut("clientConfig").and_then(|config| config.get_mut("service"));
    if let Some(Value::Object(service)) = service
        && service.values().any(is_defined)
        && service.get("port").is_none_or(Value::is_null)
    {
        service.insert("port".to_owned(), json!(PORT));
    }
}

fn validate_config(config: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let name = config["metadata"]["name"].as_str().unwrap_or_default();
    let errors = names::check_label(name);
    if !errors.is_empty() {
        let detail = format!(
            "ExtensionConfig name should be a valid DNS1123 label name: [{}]",
            errors.join(" ")
        );
        causes.push(Cause::invalid("metadata.name", &json!(name), &detail));
    }
    let client = &config["spec"]["clientConfig"];
    let url = client["url"].as_str().unwrap_or_default();
    let has_service = is_defined(&client["service"]);
    if url.is_empty() && !has_service {
        let detail = "either url or service must be defined";
        causes.push(Cause::required("spec.clientConfig", detail));
    }
    if !url.is_empty() && has_service {
        let detail = "only one of url or service can be defined";
        causes.push(Cause::forbidden("spec.clientConfig", detail));
    }
    if !url.is_empty() {
        causes.extend(validate_url(url));
    }
    if has_service {
        validate_service(&client["service"], &mut causes);
    }
    let selector = &config["spec"]["namespaceSelector"];
    if selector.is_null() {
        causes.push(Cause::required("spec.namespaceSelector", "must be defined"));
    }
    if let Err(detail) = LabelSelector::from_label_selector(selector) {
        causes.push(Cause::invalid("spec.namespaceSelector", selector, &detail));
    }
    causes
}

fn validate_url(url: &str) -> Option<Cause> {
    let field = "spec.clientConfig.url";
    let invalid = |detail: &str| Some(Cause::invalid(field, &json!(url), detail));
    match unparsable(url) {
        Some(why) => invalid(&format!("must be a valid URL, e.g. https://example.com: {why}")),
        None if !url.to_ascii_lowercase().starts_with("https:") => {
            invalid("'https' is the only allowed URL scheme, e.g. https://example.com")
        }
        None => None,
    }
}

/// What Go's `url.ParseRequestURI` says of a text that is neither a URL nor a path.
fn unparsable(url: &str) -> Option<String> {
    let refuse = |why: &str| Some(format!("parse {}: {why}", json!(url)));
    let has_scheme = url.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    });
    if !has_scheme && !url.starts_with('/') {
        return refuse("invalid URI for request");
    }
    if url.chars().any(|c| c.is_ascii_control()) {
        return refuse("net/url: invalid control character in URL");
    }
    if url.parse::<Uri>().is_err() && has_scheme {
        return refuse("invalid URI for request");
    }
    None
}

fn validate_service(service: &Value, causes: &mut Vec<Cause>) {
    let path = "spec.clientConfig.service";
    for (field, is_name) in [("name", true), ("namespace", false)] {
        let text = service[field].as_str().unwrap_or_default();
        let at = format!("{path}.{field}");
        if text.is_empty() {
            causes.push(Cause::required(at.as_str(), "must not be empty"));
        }
        let check = if is_name { names::check_label_1035 } else { names::check_label };
        for message in check(text) {
            causes.push(Cause::invalid(at.as_str(), &json!(text), &message));
        }
    }
    let at = format!("{path}.path");
    if let Some(text) = service["path"].as_str().filter(|text| !text.is_empty()) {
        if let Some(why) = unparsable(text) {
            let detail = format!("must be a valid URL path e.g. /path/to/hook: {why}");
            causes.push(Cause::invalid(at.as_str(), &json!(text), &detail));
        }
        if !text.starts_with('/') {
            let detail = "must start with \"/\" to be a valid URL path";
            causes.push(Cause::invalid(at.as_str(), &json!(text), detail));
        }
    }
    if let Some(port) = service["port"].as_i64()
        && !(1..=65_535).contains(&port)
    {
        let detail = "must be between 1 and 65535, inclusive";
        causes.push(Cause::invalid(format!("{path}.port"), &json!(port), detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Causes of an ExtensionConfig with this `clientConfig`, after defaulting.
    fn check(client: Value, expected: &[(&str, &str)]) {
        let mut config = json!({"metadata": {"name": "a"}, "spec": {"clientConfig": client}});
        default_config(&mut config, None);
        let found: Vec<(String, String)> =
            validate_config(&config).into_iter().map(|it| (it.field, it.message)).collect();
        let expected: Vec<(String, String)> =
            expected.iter().map(|(f, m)| ((*f).to_owned(), (*m).to_owned())).collect();
        assert_eq!(found, expected, "{client}", client = config["spec"]["clientConfig"]);
    }

    #[test]
    fn selector_and_port_have_defaults() {
        let mut config = json!({"spec": {"clientConfig": {"service": {"name": "a"}}}});
        default_config(&mut config, None);
        assert_eq!(
            config["spec"],
            json!({"clientConfig": {"service": {"name": "a", "port": 443}},
                "namespaceSelector": {}})
        );
    }

    #[test]
    fn a_url_or_a_service_is_needed() {
        let at = "spec.clientConfig";
        check(json!({}), &[(at, "Required value: either url or service must be defined")]);
        check(
            json!({"url": "https://a", "service": {"name": "a", "namespace": "b"}}),
            &[(at, "Forbidden: only one of url or service can be defined")],
        );
        check(json!({"url": "https://a:9443/x"}), &[]);
        check(json!({"service": {"name": "a", "namespace": "b", "path": "/c"}}), &[]);
    }

    #[test]
    fn urls_are_https() {
        let at = "spec.clientConfig.url";
        check(
            json!({"url": "http://a"}),
            &[(
                at,
                "Invalid value: \"http://a\": 'https' is the only allowed URL scheme, e.g. \
                 https://example.com",
            )],
        );
        check(
            json!({"url": "a.b"}),
            &[(
                at,
                "Invalid value: \"a.b\": must be a valid URL, e.g. https://example.com: parse \
                 \"a.b\": invalid URI for request",
            )],
        );
    }

    #[test]
    fn services_are_named_in_full() {
        check(
            json!({"service": {"name": "a", "namespace": "b", "path": "c", "port": 70_000}}),
            &[
                (
                    "spec.clientConfig.service.path",
                    "Invalid value: \"c\": must be a valid URL path e.g. /path/to/hook: parse \
                     \"c\": invalid URI for request",
                ),
                (
                    "spec.clientConfig.service.path",
                    "Invalid value: \"c\": must start with \"/\" to be a valid URL path",
                ),
                (
                    "spec.clientConfig.service.port",
                    "Invalid value: 70000: must be between 1 and 65535, inclusive",
                ),
            ],
        );
    }

    #[test]
    fn names_are_labels() {
        let mut config =
            json!({"metadata": {"name": "a.b"}, "spec": {"clientConfig": {"url": "https://a"}}});
        default_config(&mut config, None);
        let causes = validate_config(&config);
        assert_eq!(
            causes[0].message,
            "Invalid value: \"a.b\": ExtensionConfig name should be a valid DNS1123 label name: \
             [must not contain dots]"
        );
    }
}
