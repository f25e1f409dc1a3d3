//! Environments of containers, and references to fields of pods.
//! (kubernetes 1.36: pkg/apis/core/validation/validation.go, ValidateEnv)

use serde_json::Value;

use super::paths::not_reserved;
use super::volumes::Volumes;
use crate::apiserver::strategy::fields::{items, text};
use crate::apiserver::strategy::formats;
use crate::apiserver::strategy::report::{Path, Report};
use crate::machinery::quantity::Quantity;

const SOURCES: [&str; 5] =
    ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];
const VARIABLE_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
const VOLUME_FIELDS: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
];
const RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const SIZE_DIVISORS: &[&str] =
    &["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
const SEVERAL: &str = "may not have more than one field specified at a time";

/// What a reference to a field is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldUse {
    /// A variable of a container.
    Variable,
    /// A file of a volume.
    Volume,
}

/// Checks the variables of a container.
pub(super) fn env(report: &mut Report, path: &Path<'_>, container: &Value, volumes: &Volumes<'_>) {
    let list = path.field("env");
    for (index, variable) in items(&container["env"]).enumerate() {
        let path = list.index(index);
        let name = text(variable, "name");
        match name {
            "" => report.required(path.field("name"), ""),
            _ => report.invalid_texts(path.field("name"), name, formats::variable_name(name)),
        }
        if variable["valueFrom"].is_object() {
            value_from(report, &path.field("valueFrom"), variable, volumes);
        }
    }
    env_from(report, &path.field("envFrom"), container);
}

fn value_from(report: &mut Report, path: &Path<'_>, variable: &Value, volumes: &Volumes<'_>) {
    let from = &variable["valueFrom"];
    let count = SOURCES.iter().filter(|name| from[**name].is_object()).count();
    if from["fieldRef"].is_object() {
        let place = path.field("fieldRef");
        field_reference(report, &place, &from["fieldRef"], FieldUse::Variable);
    }
    if from["resourceFieldRef"].is_object() {
        let place = path.field("resourceFieldRef");
        resource_reference(report, &place, &from["resourceFieldRef"], FieldUse::Variable);
    }
    for name in ["configMapKeyRef", "secretKeyRef"] {
        if from[name].is_object() {
            key_reference(report, &path.field(name), &from[name]);
        }
    }
    if from["fileKeyRef"].is_object() {
        file_reference(report, &path.field("fileKeyRef"), &from["fileKeyRef"], volumes);
    }
    if count == 0 {
        let why = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, \
                   `secretKeyRef` or `fileKeyRef`";
        report.invalid_text(path, "", why);
    } else if !text(variable, "value").is_empty() {
        report.invalid_text(path, "", "may not be specified when `value` is not empty");
    } else if count > 1 {
        report.invalid_text(path, "", SEVERAL);
    }
}

/// Checks a reference to a field of the pod.
pub(super) fn field_reference(
    report: &mut Report,
    path: &Path<'_>,
    reference: &Value,
    purpose: FieldUse,
) {
    if !report.has_text(path, reference, "apiVersion")
        || !report.has_text(path, reference, "fieldPath")
    {
        return;
    }
    let (version, field) = (text(reference, "apiVersion"), text(reference, "fieldPath"));
    let place = path.field("fieldPath");
    if version != "v1" {
        let why = format!("error converting fieldPath: unsupported pod version: {version}");
        report.invalid_text(place, field, &why);
        return;
    }
    let subscripted = field.strip_suffix("']").and_then(|field| field.split_once("['"));
    if let Some((object, key)) = subscripted {
        match object {
            "metadata.annotations" => formats::qualified_name(report, path, &key.to_lowercase()),
            "metadata.labels" => formats::qualified_name(report, path, key),
            _ => {
                let why = format!(
                    "error converting fieldPath: field label does not support subscript: {field}"
                );
                report.invalid_text(place, field, &why);
            }
        }
        return;
    }
    let field = if field == "spec.host" { "spec.nodeName" } else { field };
    let known = [VARIABLE_FIELDS, VOLUME_FIELDS].iter().any(|fields| fields.contains(&field))
        || matches!(field, "spec.restartPolicy" | "spec.schedulerName" | "status.phase");
    if !known {
        let why = format!("error converting fieldPath: field label not supported: {field}");
        report.invalid_text(place, field, &why);
        return;
    }
    let usable = match purpose {
        FieldUse::Variable => VARIABLE_FIELDS,
        FieldUse::Volume => VOLUME_FIELDS,
    };
    if !usable.contains(&field) {
        report.unsupported(place, field, usable);
    }
}

/// Checks a reference to a container's resources.
pub(super) fn resource_reference(
    report: &mut Report,
    path: &Path<'_>,
    reference: &Value,
    purpose: FieldUse,
) {
    let resource = text(reference, "resource");
    let is_huge = ["requests.hugepages-", "limits.hugepages-"]
        .iter()
        .any(|prefix| resource.starts_with(prefix));
    if purpose == FieldUse::Volume && text(reference, "containerName").is_empty() {
        report.required(path.field("containerName"), "");
    } else if resource.is_empty() {
        report.required(path.field("resource"), "");
    } else if !RESOURCES.contains(&resource) && !is_huge {
        report.unsupported(path.field("resource"), resource, RESOURCES);
    }
    divisor(report, &path.field("divisor"), resource, text(reference, "divisor"));
}

fn divisor(report: &mut Report, path: &Path<'_>, resource: &str, divisor: &str) {
    let Ok(divisor) = Quantity::parse(divisor) else { return };
    if !divisor.is_positive() && !divisor.is_negative() {
        return;
    }
    let shown = divisor.to_string();
    let kind = match resource.split_once('.').map_or("", |(_, name)| name) {
        "cpu" => {
            if !["1m", "1"].contains(&shown.as_str()) {
                let why = "only divisor's values 1m and 1 are supported with the cpu resource";
                report.invalid_text(path, resource, why);
            }
            return;
        }
        "memory" => "memory",
        "ephemeral-storage" => "local ephemeral storage",
        name if name.starts_with("hugepages-") => "hugepages",
        _ => return,
    };
    if !SIZE_DIVISORS.contains(&shown.as_str()) {
        let why = format!(
            "only divisor's values {} are supported with the {kind} resource",
            SIZE_DIVISORS.join(", ")
        );
        report.invalid_text(path, resource, &why);
    }
}

fn key_reference(report: &mut Report, path: &Path<'_>, reference: &Value) {
    formats::subdomain(report, &path.field("name"), text(reference, "name"));
    match text(reference, "key") {
        "" => report.required(path.field("key"), ""),
        key => report.invalid_texts(path.field("key"), key, formats::config_key(key)),
    }
}

fn file_reference(report: &mut Report, path: &Path<'_>, reference: &Value, volumes: &Volumes<'_>) {
    match text(reference, "key") {
        "" => report.required(path.field("key"), ""),
        key => report.invalid_texts(path.field("key"), key, formats::variable_name(key)),
    }
    let place = path.field("volumeName");
    match text(reference, "volumeName") {
        "" => report.required(place, ""),
        name => match volumes.get(name) {
            None => report.not_found(place, name, ""),
            Some(volume) if !volume["emptyDir"].is_object() => {
                report.invalid_text(place, name, "referenced volume must be of type emptyDir");
            }
            Some(_) => {}
        },
    }
    match text(reference, "path") {
        "" => report.required(path.field("path"), ""),
        file => not_reserved(report, &path.field("path"), file),
    }
}

fn env_from(report: &mut Report, list: &Path<'_>, container: &Value) {
    for (index, source) in items(&container["envFrom"]).enumerate() {
        let path = list.index(index);
        let prefix = text(source, "prefix");
        if !prefix.is_empty() {
            let place = path.field("prefix");
            report.invalid_texts(place, prefix, formats::variable_name(prefix));
        }
        let mut count = 0;
        for name in ["configMapRef", "secretRef"] {
            if source[name].is_object() {
                count += 1;
                let place = path.field(name);
                if report.has_text(&place, &source[name], "name") {
                    formats::subdomain(report, &place.field("name"), text(&source[name], "name"));
                }
            }
        }
        match count {
            0 => {
                let why = "must specify one of: `configMapRef` or `secretRef`";
                report.invalid_text(list, "", why);
            }
            1 => {}
            _ => report.invalid_text(list, "", SEVERAL),
        }
    }
}
