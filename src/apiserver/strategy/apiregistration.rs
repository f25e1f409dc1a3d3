//! Kinds of the group `apiregistration.k8s.io`. (kubernetes 1.36: kube-aggregator
//! pkg/apis/apiregistration/{v1/defaults.go,validation}, pkg/registry/apiservice)

use serde_json::{Value, json};

use super::checks::{PORT_RANGE, is_port};
use super::fields::{items, put, text};
use super::report::Report;
use super::{Change, NONE, Rules};
use crate::apiserver::bootstrap::Objects;
use crate::apiserver::write::Target;
use crate::machinery::names;
use crate::machinery::status::Cause;

const API_SERVICE: Rules =
    Rules { default, prepare_create, validate, bootstrap: Some(Objects::ApiServices), ..NONE };

/// The rules of a kind.
pub(super) fn rules(kind: &str) -> &'static Rules {
    match kind {
        "APIService" => &API_SERVICE,
        _ => &NONE,
    }
}

fn default(service: &mut Value) {
    if let Some(reference) = service["spec"].get_mut("service").filter(|it| it.is_object()) {
        put(reference, "port", 443);
    }
}

/// What the server serves itself is available at once.
pub(in crate::apiserver) fn prepare_create(service: &mut Value) {
    service["status"] = json!({});
    if service["spec"]["service"].is_null() {
        service["status"]["conditions"] = json!([{
            "type": "Available",
            "status": "True",
            "lastTransitionTime": service["metadata"]["creationTimestamp"],
            "reason": "Local",
            "message": "Local APIServices are always available",
        }]);
    }
}

fn validate(change: &Change<'_>) -> Vec<Cause> {
    let mut report = Report::default();
    let new = change.new;
    if change.target == Target::Status {
        for (index, condition) in items(&new["status"]["conditions"]).enumerate() {
            let of = ["True", "False", "Unknown"];
            report.field_one_of(condition, &format!("status.conditions[{index}]"), "status", &of);
        }
        return report.into_causes();
    }
    check_spec(new, &mut report);
    report.into_causes()
}

fn check_spec(object: &Value, report: &mut Report) {
    let spec = &object["spec"];
    let (group, version) = (text(spec, "group"), text(spec, "version"));
    let (name, wanted) = (text(&object["metadata"], "name"), format!("{version}.{group}"));
    if name != wanted && names::check_path_segment(name).is_empty() {
        let why = format!("must be `spec.version+\".\"+spec.group`: {wanted:?}");
        report.invalid("metadata.name", &name.into(), &why);
    }
    if group.is_empty() && version != "v1" {
        let why = "only v1 may have an empty group and it better be legacy kube";
        report.required("spec.group", why);
    }
    if !group.is_empty() {
        report.invalid_texts("spec.group", group, names::check_subdomain(group));
    }
    report.invalid_texts("spec.version", version, names::check_label_1035(version));
    for (field, max) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1000)] {
        let number = spec[field].as_i64().unwrap_or(0);
        if !(1..=max).contains(&number) {
            let why = format!("must be positive and less than {max}");
            report.invalid(format!("spec.{field}"), &number.into(), &why);
        }
    }
    let (insecure, bundle) = (spec["insecureSkipTLSVerify"] == true, text(spec, "caBundle"));
    let insecure_path = "spec.insecureSkipTLSVerify";
    let service = &spec["service"];
    if service.is_null() {
        if !bundle.is_empty() {
            let size = format!("{} bytes", bundle.trim_end_matches('=').len() * 3 / 4);
            let why = "local APIServices may not have a caBundle";
            report.invalid("spec.caBundle", &size.into(), why);
        }
        if insecure {
            let why = "local APIServices may not have insecureSkipTLSVerify";
            report.invalid(insecure_path, &true.into(), why);
        }
        return;
    }
    for field in ["namespace", "name"] {
        if text(service, field).is_empty() {
            report.required(format!("spec.service.{field}"), "");
        }
    }
    let port = service["port"].as_i64().unwrap_or(0);
    if !is_port(port) {
        let why = format!("port is not valid: {PORT_RANGE}");
        report.invalid("spec.service.port", &port.into(), &why);
    }
    if insecure && !bundle.is_empty() {
        report.invalid(insecure_path, &true.into(), "may not be true if caBundle is present");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_named_by_what_they_serve() {
        let mut service = json!({"metadata": {"name": "v1.a.io"}, "spec": {
            "group": "b.io", "version": "v1", "groupPriorityMinimum": 0, "versionPriority": 1}});
        default(&mut service);
        let change = Change { new: &service, old: None, target: Target::Main };
        let said: Vec<String> = validate(&change).iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "metadata.name: Invalid value: \"v1.a.io\": must be \
                 `spec.version+\".\"+spec.group`: \"v1.b.io\"",
                "spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000",
            ]
        );
    }

    #[test]
    fn local_services_are_available() {
        let mut service = json!({"metadata": {"creationTimestamp": "t"}, "spec": {}});
        prepare_create(&mut service);
        assert_eq!(service["status"]["conditions"][0]["reason"], "Local");
        let mut remote = json!({"metadata": {}, "spec": {"service": {"name": "s"}}});
        default(&mut remote);
        prepare_create(&mut remote);
        assert_eq!(remote["status"], json!({}));
        assert_eq!(remote["spec"]["service"]["port"], 443);
    }
}
