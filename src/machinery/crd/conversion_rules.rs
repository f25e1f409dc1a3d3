//! Rules for `spec.conversion`.
//!
//! (kubernetes 1.36: apiextensions-apiserver pkg/apis/apiextensions/validation/validation.go,
//! validateCustomResourceConversion; apiserver pkg/util/webhook/validation.go)

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::report::Report;
use super::validation::is_established;
use super::{array, text};
use crate::machinery::names;

/// Versions of ConversionReview that are understood.
const REVIEW_VERSIONS: [&str; 2] = ["v1", "v1beta1"];

/// Checks how versions are converted.
pub(super) fn check(spec: &Value, old: Option<&Value>, report: &mut Report) {
    let conversion = &spec["conversion"];
    if !conversion.is_object() {
        return;
    }
    let strategy = text(conversion, "strategy");
    if strategy != "None" && spec["preserveUnknownFields"] == true {
        let why = "must be None if spec.preserveUnknownFields is true";
        report.invalid("spec.conversion.strategy", &Value::from(strategy).to_string(), why);
    }
    match strategy {
        "None" | "Webhook" => {}
        "" => report.required("spec.conversion.strategy", ""),
        other => report.unsupported("spec.conversion.strategy", other, &["None", "Webhook"]),
    }
    let webhook = &conversion["webhook"];
    let config = "spec.conversion.webhookClientConfig";
    let versions = "spec.conversion.conversionReviewVersions";
    if strategy == "Webhook" {
        client_config(&webhook["clientConfig"], old, config, report);
        review_versions(webhook, old, versions, report);
        return;
    }
    let why = "should not be set when strategy is not set to Webhook";
    if webhook["clientConfig"].is_object() {
        report.forbidden(config, why);
    }
    if !array(webhook, "conversionReviewVersions").is_empty() {
        report.forbidden(versions, why);
    }
}

fn review_versions(webhook: &Value, old: Option<&Value>, path: &str, report: &mut Report) {
    let versions = array(webhook, "conversionReviewVersions");
    let is_known = |version: &Value| REVIEW_VERSIONS.iter().any(|known| version == known);
    if versions.is_empty() {
        return report.required(path, "");
    }
    for (number, version) in versions.iter().enumerate() {
        let field = format!("{path}[{number}]");
        if versions[..number].contains(version) {
            report.invalid(&field, &version.to_string(), "duplicate version");
            continue;
        }
        let name = version.as_str().unwrap_or_default();
        for why in names::check_label_1035(name) {
            report.invalid(&field, &version.to_string(), &why);
        }
    }
    let before =
        old.map(|old| array(&old["spec"]["conversion"]["webhook"], "conversionReviewVersions"));
    let was_unknown =
        before.is_some_and(|before| !before.is_empty() && !before.iter().any(is_known));
    if !versions.iter().any(is_known) && !was_unknown {
        let given = Value::from(versions.to_vec()).to_string();
        let why = format!("must include at least one of {}", REVIEW_VERSIONS.join(", "));
        report.invalid(path, &given, &why);
    }
}

fn client_config(config: &Value, old: Option<&Value>, path: &str, report: &mut Report) {
    if !config.is_object() {
        return report.required(path, "required when strategy is set to Webhook");
    }
    match (config["url"].as_str(), config["service"].is_object()) {
        (Some(_), true) | (None, false) => {
            report.required(path, "exactly one of url or service is required");
        }
        (Some(url), false) => check_url(url, &format!("{path}.url"), report),
        (None, true) => check_service(&config["service"], &format!("{path}.service"), report),
    }
    let bundle = text(config, "caBundle");
    if !bundle.is_empty() && !may_have_bad_bundle(old) && !is_certificates(bundle) {
        let why = "unable to load root certificates: unable to parse bytes as PEM block";
        let field = format!("{path}.caBundle");
        report.invalid(&field, &Value::from(bundle).to_string(), why);
    }
}

/// Until a definition is established, and as long as a bundle was bad before, it may be.
fn may_have_bad_bundle(old: Option<&Value>) -> bool {
    let Some(old) = old.filter(|old| is_established(old)) else { return true };
    let before = text(&old["spec"]["conversion"]["webhook"]["clientConfig"], "caBundle");
    !before.is_empty() && !is_certificates(before)
}

fn is_certificates(bundle: &str) -> bool {
    let bytes = STANDARD.decode(bundle).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.contains("-----BEGIN CERTIFICATE-----") && text.contains("-----END CERTIFICATE-----")
}

fn check_url(url: &str, field: &str, report: &mut Report) {
    const FORM: &str = "; desired format: https://host[/path]";
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = match scheme {
        "" => "",
        _ => rest.split('/').next().unwrap_or_default(),
    };
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let quoted = |text: &str| Value::from(text).to_string();
    if scheme != "https" {
        let why = format!("'https' is the only allowed URL scheme{FORM}");
        report.invalid(field, &quoted(scheme), &why);
    }
    if host.is_empty() {
        report.invalid(field, &quoted(host), &format!("host must be specified{FORM}"));
    }
    if !user.is_empty() {
        let why = "user information is not permitted in the URL";
        report.invalid(field, &quoted(user), why);
    }
    if !fragment.is_empty() {
        report.invalid(field, &quoted(fragment), "fragments are not permitted in the URL");
    }
    if !query.is_empty() {
        report.invalid(field, &quoted(query), "query parameters are not permitted in the URL");
    }
}

fn check_service(service: &Value, path: &str, report: &mut Report) {
    // Upstream passes name and namespace in each other's place.
    if text(service, "namespace").is_empty() {
        report.required(&format!("{path}.name"), "");
    }
    if text(service, "name").is_empty() {
        report.required(&format!("{path}.namespace"), "");
    }
    let port = service["port"].as_i64().unwrap_or(443);
    if !(1..=65535).contains(&port) {
        let why = "port is not valid: must be between 1 and 65535, inclusive";
        report.invalid(&format!("{path}.port"), &port.to_string(), why);
    }
    let field = format!("{path}.path");
    let given = text(service, "path");
    let quoted = Value::from(given).to_string();
    match given {
        "" | "/" => return,
        "//" => return report.invalid(&field, &quoted, "segment[0] may not be empty"),
        _ => {}
    }
    if !given.starts_with('/') {
        report.invalid(&field, &quoted, "must start with a '/'");
    }
    let inner = given.get(1..).unwrap_or_default();
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    for (number, step) in inner.split('/').enumerate() {
        if step.is_empty() {
            let why = format!("segment[{number}] may not be empty");
            report.invalid(&field, &quoted, &why);
            continue;
        }
        for wrong in names::check_subdomain(step) {
            report.invalid(&field, &quoted, &format!("segment[{number}]: {wrong}"));
        }
    }
}
