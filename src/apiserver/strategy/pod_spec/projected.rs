//! Volumes made of several sources, and files of the downward API.
//! (kubernetes 1.36: pkg/apis/core/validation/validation.go, validateProjectedVolumeSource)

use serde_json::Value;

use super::env::{FieldUse, field_reference, resource_reference};
use super::paths::not_reserved;
use super::volumes::{key_to_path, mode};
use crate::apiserver::strategy::fields::{items, text};
use crate::apiserver::strategy::formats;
use crate::apiserver::strategy::labels;
use crate::apiserver::strategy::report::{Path, Report};

const TOKEN_SECONDS_MIN: i64 = 10 * 60;
const TOKEN_SECONDS_MAX: i64 = 1 << 32;
const CONFLICT: &str = "conflicting duplicate paths";

/// A volume of the downward API.
pub(super) fn downward_api(report: &mut Report, path: &Path<'_>, source: &Value) {
    mode(report, &path.field("defaultMode"), &source["defaultMode"]);
    for file in items(&source["items"]) {
        // kube-apiserver names the volume here, not the item.
        downward_file(report, path, file);
    }
}

fn downward_file(report: &mut Report, path: &Path<'_>, file: &Value) {
    report.has_text(path, file, "path");
    not_reserved(report, &path.field("path"), text(file, "path"));
    if file["fieldRef"].is_object() {
        let place = path.field("fieldRef");
        field_reference(report, &place, &file["fieldRef"], FieldUse::Volume);
        if file["resourceFieldRef"].is_object() {
            let why = "fieldRef and resourceFieldRef can not be specified simultaneously";
            report.invalid_text(path, "resource", why);
        }
    } else if file["resourceFieldRef"].is_object() {
        let place = path.field("resourceFieldRef");
        resource_reference(report, &place, &file["resourceFieldRef"], FieldUse::Volume);
    } else {
        report.required(path, "one of fieldRef and resourceFieldRef is required");
    }
    mode(report, &path.field("mode"), &file["mode"]);
}

/// A volume made of several sources.
pub(super) fn projected(report: &mut Report, path: &Path<'_>, volume: &Value) {
    mode(report, &path.field("defaultMode"), &volume["defaultMode"]);
    let mut taken = Vec::new();
    let list = path.field("sources");
    for (index, source) in items(&volume["sources"]).enumerate() {
        let place = list.index(index);
        let mut count = 0;
        for name in ["secret", "configMap"] {
            if source[name].is_object() {
                count += 1;
                keyed(report, (path, &place.field(name)), &source[name], &mut taken);
            }
        }
        if source["downwardAPI"].is_object() {
            count += 1;
            for file in items(&source["downwardAPI"]["items"]) {
                downward_file(report, &place.field("downwardAPI"), file);
                take(report, path, text(file, "path"), text(file, "path"), &mut taken);
            }
        }
        if source["serviceAccountToken"].is_object() {
            count += 1;
            let place = place.field("serviceAccountToken");
            token(report, (path, &place), &source["serviceAccountToken"]);
        }
        if source["clusterTrustBundle"].is_object() {
            count += 1;
            let (bundle, place) =
                (&source["clusterTrustBundle"], place.field("clusterTrustBundle"));
            trust_bundle(report, &place, bundle);
            take(report, path, text(bundle, "path"), text(bundle, "path"), &mut taken);
        }
        if source["podCertificate"].is_object() {
            count += 1;
        }
        if count > 1 {
            report.forbidden(place, "may not specify more than 1 volume type per source");
        }
    }
}

fn keyed<'a>(
    report: &mut Report,
    (volume, path): (&Path<'_>, &Path<'_>),
    source: &'a Value,
    taken: &mut Vec<&'a str>,
) {
    report.has_text(path, source, "name");
    let list = path.field("items");
    for (index, item) in items(&source["items"]).enumerate() {
        key_to_path(report, &list.index(index), item);
        take(report, volume, text(item, "path"), text(source, "name"), taken);
    }
}

/// Notes a path, which may be used once.
fn take<'a>(
    report: &mut Report,
    volume: &Path<'_>,
    path: &'a str,
    shown: &str,
    taken: &mut Vec<&'a str>,
) {
    if path.is_empty() {
        return;
    }
    if taken.contains(&path) {
        report.invalid_text(volume, shown, CONFLICT);
    } else {
        taken.push(path);
    }
}

fn token(report: &mut Report, (volume, path): (&Path<'_>, &Path<'_>), source: &Value) {
    let seconds = source["expirationSeconds"].as_i64().unwrap_or(0);
    let place = path.field("expirationSeconds");
    if seconds < TOKEN_SECONDS_MIN {
        let why = "may not specify a duration less than 10 minutes";
        report.invalid_number(place, seconds, why);
    }
    if seconds > TOKEN_SECONDS_MAX {
        let why = "may not specify a duration larger than 2^32 seconds";
        report.invalid_number(place, seconds, why);
    }
    // kube-apiserver names the volume's path here, not the source's.
    match text(source, "path") {
        "" => report.required(volume.field("path"), ""),
        path => not_reserved(report, &volume.field("path"), path),
    }
}

fn trust_bundle(report: &mut Report, path: &Path<'_>, source: &Value) {
    match (source["name"].as_str(), source["signerName"].as_str()) {
        (Some(_), Some(_)) => {
            report.invalid(path, source, "only one of name and signerName may be used");
        }
        (Some(name), None) => {
            let place = path.field("name");
            if name.is_empty() {
                report.required(place, "must be a valid object name");
            }
            let plain = name.rsplit(':').next().unwrap_or_default();
            for why in crate::machinery::names::check_subdomain(plain) {
                let why = format!("not a valid clustertrustbundlename: {why}");
                report.invalid_text(place, name, &why);
            }
            if !source["labelSelector"].is_null() {
                let why = "labelSelector must be unset if name is specified";
                report.invalid(path.field("labelSelector"), &source["labelSelector"], why);
            }
        }
        (None, Some(signer)) => {
            let place = path.field("signerName");
            if signer.is_empty() {
                report.required(place, "must be a valid signer name");
            }
            let domain = signer.split('/').next().unwrap_or_default();
            if !signer.contains('/') {
                let why = "must be a fully qualified domain and path of the form \
                           'example.com/signer-name'";
                report.invalid_text(place, signer, why);
            } else {
                formats::subdomain(report, &place, domain);
            }
            labels::selector(report, &path.field("labelSelector"), &source["labelSelector"]);
        }
        (None, None) => report.required(path, "either name or signerName must be specified"),
    }
    report.has_text(path, source, "path");
    not_reserved(report, &path.field("path"), text(source, "path"));
}
