//! Probes and lifecycle hooks of containers.
//! (kubernetes 1.36: pkg/apis/core/validation/validation.go, validateProbe)

use serde_json::Value;

use crate::apiserver::strategy::fields::{items, text};
use crate::apiserver::strategy::formats;
use crate::apiserver::strategy::report::{Path, Report};

const SCHEMES: &[&str] = &["HTTP", "HTTPS"];
const PROBE_HANDLERS: &[&str] = &["exec", "httpGet", "tcpSocket", "grpc"];
const HOOK_HANDLERS: &[&str] = &["exec", "httpGet", "tcpSocket", "sleep"];
const COUNTS: [&str; 5] = [
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
];

/// Checks all probes of a container.
pub(super) fn probes(report: &mut Report, path: &Path<'_>, container: &Value, spec: &Value) {
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let (probe, path) = (&container[name], path.field(name));
        if !probe.is_object() {
            continue;
        }
        handler(report, &path, probe, (PROBE_HANDLERS, spec));
        for count in COUNTS {
            report.not_negative(path.field(count), &probe[count]);
        }
        let grace = probe["terminationGracePeriodSeconds"].as_i64();
        let place = path.field("terminationGracePeriodSeconds");
        if let Some(seconds) = grace
            && seconds <= 0
        {
            report.invalid_number(place, seconds, "must be greater than 0");
        }
        if name == "readinessProbe" {
            if let Some(seconds) = grace {
                let why = "must not be set for readinessProbes";
                report.invalid_number(place, seconds, why);
            }
        } else if let Some(times) = probe["successThreshold"].as_i64()
            && times != 1
        {
            report.invalid_number(path.field("successThreshold"), times, "must be 1");
        }
    }
}

/// Checks the hooks of a container.
pub(super) fn lifecycle(report: &mut Report, path: &Path<'_>, container: &Value, spec: &Value) {
    let path = path.field("lifecycle");
    for name in ["postStart", "preStop"] {
        let hook = &container["lifecycle"][name];
        if hook.is_object() {
            handler(report, &path.field(name), hook, (HOOK_HANDLERS, spec));
        }
    }
    let signal = text(&container["lifecycle"], "stopSignal");
    if !signal.is_empty() && spec["os"]["name"].is_null() {
        let why = "may not be set for containers with empty `spec.os.name`";
        report.forbidden(path.field("stopSignal"), why);
    }
}

fn handler(report: &mut Report, path: &Path<'_>, object: &Value, (kinds, spec): (&[&str], &Value)) {
    let mut count = 0;
    for kind in kinds {
        let (action, path) = (&object[*kind], path.field(kind));
        if !action.is_object() {
            continue;
        }
        if count > 0 {
            report.forbidden(path, "may not specify more than 1 handler type");
            continue;
        }
        count += 1;
        match *kind {
            "exec" => {
                if items(&action["command"]).next().is_none() {
                    report.required(path.field("command"), "");
                }
            }
            "httpGet" => http_get(report, &path, action),
            "sleep" => sleep(report, &path, action, spec),
            _ => formats::port_or_name(report, &path.field("port"), &action["port"]),
        }
    }
    if count == 0 {
        report.required(path, "must specify a handler type");
    }
}

fn http_get(report: &mut Report, path: &Path<'_>, action: &Value) {
    report.has_text(path, action, "path");
    formats::port_or_name(report, &path.field("port"), &action["port"]);
    report.one_of(path.field("scheme"), &action["scheme"], SCHEMES);
    for header in items(&action["httpHeaders"]) {
        let name = text(header, "name");
        report.invalid_texts(path.field("httpHeaders"), name, formats::header_name(name));
    }
}

fn sleep(report: &mut Report, path: &Path<'_>, action: &Value, spec: &Value) {
    let seconds = action["seconds"].as_i64().unwrap_or(0);
    let Some(grace) = spec["terminationGracePeriodSeconds"].as_i64() else { return };
    if !(0..=grace).contains(&seconds) {
        let why =
            format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        report.invalid_number(path, seconds, &why);
    }
}
