//! Ingresses and their classes. (kubernetes 1.36: pkg/apis/networking/validation,
//! pkg/registry/networking/ingress)

use std::net::IpAddr;

use serde_json::Value;

use crate::apiserver::strategy::Change;
use crate::apiserver::strategy::checks::{PORT_RANGE, check_host, check_port_name, is_port};
use crate::apiserver::strategy::fields::{items, text};
use crate::apiserver::strategy::report::Report;
use crate::apiserver::write::Target;
use crate::machinery::names;
use crate::machinery::status::Cause;

const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
const CONTROLLER_MAX: usize = 250;
const SEQUENCES: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];
const SUFFIXES: [&str; 2] = ["/..", "/."];
const PATH_TYPES: &[&str] = &["Exact", "ImplementationSpecific", "Prefix"];
const NO_ADDRESS: &str = "must be a DNS name, not an IP address";

pub(super) fn warnings(change: &Change<'_>) -> Vec<String> {
    let annotation = change.new["metadata"]["annotations"].get(CLASS_ANNOTATION);
    if change.old.is_some() || annotation.is_none() {
        return Vec::new();
    }
    vec![format!(
        "annotation {CLASS_ANNOTATION:?} is deprecated, please use 'spec.ingressClassName' instead"
    )]
}

pub(super) fn validate(change: &Change<'_>) -> Vec<Cause> {
    let mut report = Report::default();
    let new = change.new;
    if change.target == Target::Status {
        load_balancer(&new["status"]["loadBalancer"], &mut report);
        return report.into_causes();
    }
    spec(&new["spec"], &mut report);
    let class = new["spec"]["ingressClassName"].as_str();
    let annotation = new["metadata"]["annotations"][CLASS_ANNOTATION].as_str();
    if let (None, Some(class), Some(annotation)) = (change.old, class, annotation)
        && class != annotation
    {
        let why = "must match `ingressClassName` when both are specified";
        report.invalid(format!("annotations.{CLASS_ANNOTATION}"), &annotation.into(), why);
    }
    report.into_causes()
}

fn spec(spec: &Value, report: &mut Report) {
    let (default, rules) = (&spec["defaultBackend"], &spec["rules"]);
    if items(rules).next().is_none() && default.is_null() {
        let why = "either `defaultBackend` or `rules` must be specified";
        report.invalid("spec", rules, why);
    }
    if !default.is_null() {
        backend(default, "spec.defaultBackend", report);
    }
    for (index, rule) in items(rules).enumerate() {
        let path = format!("spec.rules[{index}]");
        let host = text(rule, "host");
        if !host.is_empty() {
            let path = format!("{path}.host");
            if host.parse::<IpAddr>().is_ok() {
                report.invalid(path.as_str(), &host.into(), NO_ADDRESS);
            }
            report.invalid_texts(&path, host, check_host(host));
        }
        if !rule["http"].is_null() {
            let path = format!("{path}.http.paths");
            if items(&rule["http"]["paths"]).next().is_none() {
                report.required(path.as_str(), "");
            }
            for (index, http) in items(&rule["http"]["paths"]).enumerate() {
                http_path(http, &format!("{path}[{index}]"), report);
            }
        }
    }
    for (index, tls) in items(&spec["tls"]).enumerate() {
        let path = format!("spec.tls[{index}]");
        for (index, host) in items(&tls["hosts"]).enumerate() {
            let host = host.as_str().unwrap_or_default();
            report.invalid_texts(format!("{path}.hosts[{index}]"), host, check_host(host));
        }
        let secret = text(tls, "secretName");
        if !secret.is_empty() {
            report.invalid_texts(
                format!("{path}.secretName"),
                secret,
                names::check_subdomain(secret),
            );
        }
    }
    if let Some(class) = spec["ingressClassName"].as_str() {
        report.invalid_texts("spec.ingressClassName", class, names::check_subdomain(class));
    }
}

fn http_path(http: &Value, path: &str, report: &mut Report) {
    let Some(kind) = http["pathType"].as_str() else {
        return report.required(format!("{path}.pathType"), "pathType must be specified");
    };
    let (given, field) = (text(http, "path"), format!("{path}.path"));
    let shown = Value::from(given);
    let is_strict = matches!(kind, "Exact" | "Prefix");
    if !PATH_TYPES.contains(&kind) {
        report.unsupported_value(format!("{path}.pathType"), &kind.into(), PATH_TYPES);
    } else if !given.starts_with('/') && (is_strict || !given.is_empty()) {
        report.invalid(field.as_str(), &shown, "must be an absolute path");
    }
    if is_strict {
        for sequence in SEQUENCES.iter().filter(|sequence| given.contains(**sequence)) {
            let why = format!("must not contain '{sequence}'");
            report.invalid(field.as_str(), &shown, &why);
        }
        for suffix in SUFFIXES.iter().filter(|suffix| given.ends_with(**suffix)) {
            report.invalid(field.as_str(), &shown, &format!("cannot end with '{suffix}'"));
        }
    }
    backend(&http["backend"], &format!("{path}.backend"), report);
}

fn backend(backend: &Value, path: &str, report: &mut Report) {
    let (resource, service) = (&backend["resource"], &backend["service"]);
    match (resource.is_null(), service.is_null()) {
        (false, false) => {
            let why = "cannot set both resource and service backends";
            report.invalid(path, &"".into(), why);
        }
        (false, true) => reference(resource, &format!("{path}.resource"), report),
        (true, false) => service_backend(service, path, report),
        (true, true) => report.invalid(path, &"".into(), "resource or service backend is required"),
    }
}

fn service_backend(service: &Value, path: &str, report: &mut Report) {
    let field = |name: &str| format!("{path}.service.{name}");
    report.name(&field("name"), text(service, "name"), names::check_label_1035);
    let (name, number) = (text(&service["port"], "name"), service["port"]["number"].as_i64());
    match (name, number.unwrap_or(0)) {
        ("", 0) => report.required(path, "port name or number is required"),
        ("", number) if !is_port(number) => {
            report.invalid(field("port.number"), &number.into(), PORT_RANGE);
        }
        ("", _) => {}
        (name, 0) => report.invalid_texts(field("port.name"), name, check_port_name(name)),
        _ => report.invalid(path, &"".into(), "cannot set both port name & port number"),
    }
}

fn reference(reference: &Value, path: &str, report: &mut Report) {
    if let Some(group) = reference["apiGroup"].as_str() {
        report.invalid_texts(format!("{path}.apiGroup"), group, names::check_subdomain(group));
    }
    for field in ["kind", "name"] {
        let (value, path) = (text(reference, field), format!("{path}.{field}"));
        match value {
            "" => report.required(path, &format!("{field} is required")),
            value => report.invalid_texts(&path, value, names::check_path_segment(value)),
        }
    }
}

fn load_balancer(status: &Value, report: &mut Report) {
    for (index, point) in items(&status["ingress"]).enumerate() {
        let path = format!("status.loadBalancer.ingress[{index}]");
        let (ip, host) = (text(point, "ip"), text(point, "hostname"));
        if !ip.is_empty() && ip.parse::<IpAddr>().is_err() {
            let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            report.invalid(format!("{path}.ip"), &ip.into(), why);
        }
        if !host.is_empty() {
            let path = format!("{path}.hostname");
            report.invalid_texts(&path, host, names::check_subdomain(host));
            if host.parse::<IpAddr>().is_ok() {
                report.invalid(path, &host.into(), NO_ADDRESS);
            }
        }
    }
}

pub(super) fn validate_class(change: &Change<'_>) -> Vec<Cause> {
    let mut report = Report::default();
    let spec = &change.new["spec"];
    if let Some(old) = change.old {
        report.immutable(&spec["controller"], &old["spec"]["controller"], "spec.controller");
    }
    let controller = text(spec, "controller");
    report.text_within("spec.controller", controller.len(), CONTROLLER_MAX);
    report.domain_prefixed_path("spec.controller", controller);
    let parameters = &spec["parameters"];
    if !parameters.is_null() {
        reference(parameters, "spec.parameters", &mut report);
        let namespace = parameters["namespace"].as_str();
        let path = "spec.parameters.namespace";
        match (text(parameters, "scope"), namespace) {
            ("", _) => report.required("spec.parameters.scope", ""),
            ("Namespace", None) => {
                report.required(path, "`parameters.scope` is set to 'Namespace'");
            }
            ("Namespace", Some(name)) => report.invalid_texts(path, name, names::check_label(name)),
            ("Cluster", Some(_)) => {
                report.forbidden(path, "`parameters.scope` is set to 'Cluster'");
            }
            ("Cluster", None) => {}
            (other, _) => {
                let of = ["Cluster", "Namespace"];
                report.unsupported_value("spec.parameters.scope", &other.into(), &of);
            }
        }
    }
    report.into_causes()
}
