//! Claims of volumes (PersistentVolumeClaims and templates of them) and claims of devices.
//! (kubernetes 1.36: pkg/apis/core/validation/validation.go)

use serde_json::Value;

use crate::apiserver::strategy::fields::{items, text};
use crate::apiserver::strategy::report::{NOT_POSITIVE, Path, Report};
use crate::apiserver::strategy::{formats, labels, resources};
use crate::machinery::meta::OBJECT_META_FIELDS;
use crate::machinery::names;
use crate::machinery::quantity::Quantity;

/// Modes in which volumes are mounted.
pub(in crate::apiserver::strategy) const ACCESS_MODES: &[&str] =
    &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
/// Forms of volumes.
pub(in crate::apiserver::strategy) const VOLUME_MODES: &[&str] = &["Block", "Filesystem"];

/// Metadata that templates within other objects may have.
const TEMPLATE_ALLOWED: [&str; 2] = ["labels", "annotations"];

/// A template of a PersistentVolumeClaim in an ephemeral volume.
pub(super) fn claim_template(report: &mut Report, path: &Path<'_>, template: &Value) {
    let (metadata, place) = (&template["metadata"], path.field("metadata"));
    labels::annotations(report, &place.field("annotations"), &metadata["annotations"]);
    labels::labels(report, &place.field("labels"), &metadata["labels"]);
    for name in OBJECT_META_FIELDS.into_iter().filter(|name| !TEMPLATE_ALLOWED.contains(name)) {
        if !metadata[name].is_null() && metadata[name] != "" {
            report.forbidden(place.field(name), "cannot be set");
        }
    }
    claim_spec(report, &path.field("spec"), &template["spec"]);
}

/// The spec of a PersistentVolumeClaim.
pub(in crate::apiserver::strategy) fn claim_spec(
    report: &mut Report,
    path: &Path<'_>,
    spec: &Value,
) {
    if items(&spec["accessModes"]).next().is_none() {
        report.required(path.field("accessModes"), "at least 1 access mode is required");
    }
    labels::selector(report, &path.field("selector"), &spec["selector"]);
    access_modes(report, &path.field("accessModes"), &spec["accessModes"]);
    let requested = spec["resources"]["requests"]["storage"].as_str();
    let place = path.field("resources");
    let place = place.key("storage");
    match requested.and_then(|text| Quantity::parse(text).ok()) {
        None => report.required(place, ""),
        Some(size) if size.value() <= 0 && !size.is_positive() => {
            report.invalid_text(place, &size.to_string(), NOT_POSITIVE);
        }
        Some(size) => resources::quantity(report, &place, "storage", size),
    }
    class_name(report, &path.field("storageClassName"), &spec["storageClassName"]);
    report.one_of(path.field("volumeMode"), &spec["volumeMode"], VOLUME_MODES);
    data_sources(report, path, spec);
    class_name(
        report,
        &path.field("volumeAttributesClassName"),
        &spec["volumeAttributesClassName"],
    );
}

/// Refuses modes that are unknown or do not go together.
pub(in crate::apiserver::strategy) fn access_modes(
    report: &mut Report,
    path: &Path<'_>,
    modes: &Value,
) {
    let (mut alone, mut others) = (false, false);
    for mode in items(modes) {
        report.one_of(path, mode, ACCESS_MODES);
        match mode.as_str() {
            Some("ReadWriteOncePod") => alone = true,
            Some(mode) if ACCESS_MODES.contains(&mode) => others = true,
            _ => {}
        }
    }
    if alone && others {
        report.forbidden(path, "may not use ReadWriteOncePod with other access modes");
    }
}

/// Refuses malformed names of classes; an empty one is fine.
pub(in crate::apiserver::strategy) fn class_name(
    report: &mut Report,
    path: &Path<'_>,
    name: &Value,
) {
    if let Some(name) = name.as_str().filter(|name| !name.is_empty()) {
        formats::subdomain(report, path, name);
    }
}

fn data_sources(report: &mut Report, path: &Path<'_>, spec: &Value) {
    let (source, reference) = (&spec["dataSource"], &spec["dataSourceRef"]);
    if source.is_object() {
        data_source(report, &path.field("dataSource"), source);
    }
    if reference.is_object() {
        data_source(report, &path.field("dataSourceRef"), reference);
        let namespace = text(reference, "namespace");
        if !namespace.is_empty() {
            let place = path.field("dataSourceRef");
            formats::label(report, &place.field("namespace"), namespace);
        }
    }
    if !source.is_object() || !reference.is_object() {
        return;
    }
    let shown = path.field("dataSource").to_string();
    if !text(reference, "namespace").is_empty() {
        let why = "may not be specified when dataSourceRef.namespace is specified";
        report.invalid_text(path, &shown, why);
    } else if ["apiGroup", "kind", "name"].iter().any(|name| source[*name] != reference[*name]) {
        report.invalid_text(path, &shown, "must match dataSourceRef");
    }
}

fn data_source(report: &mut Report, path: &Path<'_>, source: &Value) {
    report.has_text(path, source, "name");
    report.has_text(path, source, "kind");
    let (group, kind) = (text(source, "apiGroup"), text(source, "kind"));
    if group.is_empty() && kind != "PersistentVolumeClaim" {
        let why = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
        report.invalid_text(path, kind, why);
    }
    if !group.is_empty() {
        formats::subdomain(report, &path.field("apiGroup"), group);
    }
}

/// The device claims of a pod.
pub(super) fn resource_claims(report: &mut Report, path: &Path<'_>, spec: &Value) {
    let mut taken: Vec<&str> = Vec::new();
    for (index, claim) in items(&spec["resourceClaims"]).enumerate() {
        let path = path.index(index);
        let (name, place) = (text(claim, "name"), path.field("name"));
        if name.is_empty() {
            report.required(place, "");
        } else if taken.contains(&name) {
            report.duplicate(place, name);
        } else {
            formats::label(report, &place, name);
            taken.push(name);
        }
        let named = claim["resourceClaimName"].as_str();
        let template = claim["resourceClaimTemplateName"].as_str();
        let shown = || {
            let quoted = |text: Option<&str>| Value::from(text).to_string();
            format!(
                "{{\"Name\":{},\"ResourceClaimName\":{},\"ResourceClaimTemplateName\":{}}}",
                Value::from(name),
                quoted(named),
                quoted(template)
            )
        };
        match (named, template) {
            (Some(_), Some(_)) => {
                let why = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may \
                           be specified";
                report.shown(path, &shown(), why);
            }
            (None, None) => {
                let why = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
                report.shown(path, &shown(), why);
            }
            _ => {}
        }
        for (field, name) in [("resourceClaimName", named), ("resourceClaimTemplateName", template)]
        {
            if let Some(name) = name {
                report.invalid_texts(path.field(field), name, names::check_subdomain(name));
            }
        }
    }
}
