//! Sources of volumes, in pods and in PersistentVolumes: one check a source.
//! (kubernetes 1.36: pkg/apis/core/validation/validation.go, validateVolumeSource)

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::paths::{descending, no_backsteps};
use crate::apiserver::strategy::fields::{items, text};
use crate::apiserver::strategy::formats;
use crate::apiserver::strategy::report::{Path, Report};
use crate::machinery::names;

const HOST_PATH_TYPES: &[&str] = &[
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
];
const PARTITION_RANGE: &str = "must be between 1 and 255, inclusive";
const LUN_RANGE: &str = "must be between 0 and 255, inclusive";
const CACHING_MODES: &[&str] = &["None", "ReadOnly", "ReadWrite"];
const DISK_KINDS: &[&str] = &["Dedicated", "Managed", "Shared"];
const MANAGED_DISK: &str = "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/\
                            microsoft.compute/disks/{disk-id}";
const BLOB_DISK: &str =
    "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd";
/// Longest name of a CSI driver.
const DRIVER_MAX: usize = 63;

static IQN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"iqn\.\d{4}-\d{2}\.([[:alnum:]\-.]+)(:[^,;*&$|\s]+)$").expect("a constant")
});

/// Text fields that a source must have.
fn required(report: &mut Report, path: &Path<'_>, source: &Value, names: &[&str]) {
    for name in names {
        report.has_text(path, source, name);
    }
}

pub(in crate::apiserver::strategy) fn host_path(
    report: &mut Report,
    path: &Path<'_>,
    source: &Value,
) {
    if !report.has_text(path, source, "path") {
        return;
    }
    no_backsteps(report, &path.field("path"), text(source, "path"));
    report.one_of(path.field("type"), &source["type"], HOST_PATH_TYPES);
}

pub(super) fn git_repo(report: &mut Report, path: &Path<'_>, source: &Value) {
    required(report, path, source, &["repository"]);
    descending(report, &path.field("directory"), text(source, "directory"));
}

pub(in crate::apiserver::strategy) fn gce_disk(
    report: &mut Report,
    path: &Path<'_>,
    source: &Value,
) {
    required(report, path, source, &["pdName"]);
    partition(report, path, source);
}

pub(in crate::apiserver::strategy) fn aws_store(
    report: &mut Report,
    path: &Path<'_>,
    source: &Value,
) {
    required(report, path, source, &["volumeID"]);
    partition(report, path, source);
}

fn partition(report: &mut Report, path: &Path<'_>, source: &Value) {
    let number = source["partition"].as_i64().unwrap_or(0);
    if !(0..=255).contains(&number) {
        report.invalid_number(path.field("partition"), number, PARTITION_RANGE);
    }
}

pub(in crate::apiserver::strategy) fn nfs(report: &mut Report, path: &Path<'_>, source: &Value) {
    required(report, path, source, &["server", "path"]);
    let exported = text(source, "path");
    if !exported.starts_with('/') {
        report.invalid_text(path.field("path"), exported, "must be an absolute path");
    }
}

/// `volume` names the volume, `strict_prefix` whether the message says how a name begins.
pub(in crate::apiserver::strategy) fn iscsi(report: &mut Report, path: &Path<'_>, source: &Value) {
    required(report, path, source, &["targetPortal"]);
    if report.has_text(path, source, "iqn") {
        qualified(report, &path.field("iqn"), text(source, "iqn"));
    }
    let lun = source["lun"].as_i64().unwrap_or(0);
    if !(0..=255).contains(&lun) {
        report.invalid_number(path.field("lun"), lun, LUN_RANGE);
    }
    let authenticates = source["chapAuthDiscovery"] == true || source["chapAuthSession"] == true;
    if authenticates && source["secretRef"].is_null() {
        report.required(path.field("secretRef"), "");
    }
    if let Some(initiator) = source["initiatorName"].as_str() {
        qualified(report, &path.field("initiatorname"), initiator);
    }
}

/// Refuses malformed names of iSCSI targets and initiators.
fn qualified(report: &mut Report, path: &Path<'_>, name: &str) {
    let coded = |prefix: &str, length: usize| {
        let rest = name.strip_prefix(prefix).unwrap_or_default();
        rest.len() == length + 1 && rest[1..].bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let valid = match name.get(..3) {
        Some("iqn") => IQN.is_match(name),
        Some("eui") => coded("eui", 16),
        Some("naa") => coded("naa", 32),
        _ => {
            let why = "must be valid format starting with iqn, eui, or naa";
            report.invalid_text(path, name, why);
            return;
        }
    };
    if !valid {
        report.invalid_text(path, name, "must be valid format");
    }
}

pub(in crate::apiserver::strategy) fn glusterfs(
    report: &mut Report,
    path: &Path<'_>,
    source: &Value,
) {
    required(report, path, source, &["endpoints", "path"]);
}

pub(in crate::apiserver::strategy) fn flocker(
    report: &mut Report,
    path: &Path<'_>,
    source: &Value,
) {
    let (name, uuid) = (text(source, "datasetName"), text(source, "datasetUUID"));
    match (name.is_empty(), uuid.is_empty()) {
        (true, true) => report.required(path, "one of datasetName and datasetUUID is required"),
        (false, false) => {
            let why = "datasetName and datasetUUID can not be specified simultaneously";
            report.invalid_text(path, "resource", why);
        }
        _ => {}
    }
    if name.contains('/') {
        report.invalid_text(path.field("datasetName"), name, "must not contain '/'");
    }
}

pub(super) fn claim(report: &mut Report, path: &Path<'_>, source: &Value) {
    required(report, path, source, &["claimName"]);
}

pub(in crate::apiserver::strategy) fn rbd(report: &mut Report, path: &Path<'_>, source: &Value) {
    ceph_fs(report, path, source);
    required(report, path, source, &["image"]);
}

pub(in crate::apiserver::strategy) fn ceph_fs(
    report: &mut Report,
    path: &Path<'_>,
    source: &Value,
) {
    if items(&source["monitors"]).next().is_none() {
        report.required(path.field("monitors"), "");
    }
}

pub(super) fn cinder(report: &mut Report, path: &Path<'_>, source: &Value) {
    required(report, path, source, &["volumeID"]);
    secret_reference(report, path, source, &["name"]);
}

/// The `secretRef` of a source, if it has one, must have some text fields.
pub(in crate::apiserver::strategy) fn secret_reference(
    report: &mut Report,
    path: &Path<'_>,
    source: &Value,
    names: &[&str],
) {
    if source["secretRef"].is_object() {
        required(report, &path.field("secretRef"), &source["secretRef"], names);
    }
}

pub(in crate::apiserver::strategy) fn quobyte(
    report: &mut Report,
    path: &Path<'_>,
    source: &Value,
) {
    let why = "must be a host:port pair or multiple pairs separated by commas";
    let registry = text(source, "registry");
    if registry.is_empty() {
        report.required(path.field("registry"), why);
    } else if text(source, "tenant").len() >= 65 {
        let why = "must be a UUID and may not exceed a length of 64 characters";
        report.required(path.field("tenant"), why);
    } else {
        for _ in registry.split(',').filter(|pair| pair.rsplit_once(':').is_none()) {
            report.invalid_text(path.field("registry"), registry, why);
        }
    }
    required(report, path, source, &["volume"]);
}

pub(in crate::apiserver::strategy) fn fibre_channel(
    report: &mut Report,
    path: &Path<'_>,
    source: &Value,
) {
    let has = |name: &str| items(&source[name]).next().is_some();
    let (names, ids) = (has("targetWWNs"), has("wwids"));
    let place = path.field("targetWWNs");
    if !names && !ids {
        report.required(place, "must specify either targetWWNs or wwids, but not both");
    }
    if names && ids {
        let why = "targetWWNs and wwids can not be specified simultaneously";
        report.invalid(place, &source["targetWWNs"], why);
    }
    if names {
        match source["lun"].as_i64() {
            None => {
                let why = "lun is required if targetWWNs is specified";
                report.required(path.field("lun"), why);
            }
            Some(lun) if !(0..=255).contains(&lun) => {
                report.invalid_number(path.field("lun"), lun, LUN_RANGE);
            }
            Some(_) => {}
        }
    }
}

pub(in crate::apiserver::strategy) fn flex_volume(
    report: &mut Report,
    path: &Path<'_>,
    source: &Value,
) {
    required(report, path, source, &["driver"]);
    let options = path.field("options");
    for key in source["options"].as_object().into_iter().flat_map(|it| it.keys()) {
        let domain = key.split_once('/').map_or(key.as_str(), |(domain, _)| domain);
        let domain = format!(".{}", domain.to_lowercase());
        if domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io") {
            let why = "kubernetes.io and k8s.io namespaces are reserved";
            report.invalid_text(options.key(key), key, why);
        }
    }
}

pub(in crate::apiserver::strategy) fn azure_file(
    report: &mut Report,
    path: &Path<'_>,
    source: &Value,
) {
    required(report, path, source, &["secretName", "shareName"]);
}

pub(in crate::apiserver::strategy) fn azure_disk(
    report: &mut Report,
    path: &Path<'_>,
    source: &Value,
) {
    required(report, path, source, &["diskName", "diskURI"]);
    report.one_of(path.field("cachingMode"), &source["cachingMode"], CACHING_MODES);
    report.one_of(path.field("kind"), &source["kind"], DISK_KINDS);
    let uri = text(source, "diskURI");
    let wanted = match source["kind"].as_str() {
        Some("Managed") if !uri.starts_with("/subscriptions/") => MANAGED_DISK,
        Some("Managed") | None => return,
        Some(_) if !uri.starts_with("https://") => BLOB_DISK,
        Some(_) => return,
    };
    report.unsupported(path.field("diskURI"), uri, &[wanted]);
}

pub(in crate::apiserver::strategy) fn vsphere(
    report: &mut Report,
    path: &Path<'_>,
    source: &Value,
) {
    required(report, path, source, &["volumePath"]);
}

pub(in crate::apiserver::strategy) fn photon(report: &mut Report, path: &Path<'_>, source: &Value) {
    required(report, path, source, &["pdID"]);
}

pub(in crate::apiserver::strategy) fn portworx(
    report: &mut Report,
    path: &Path<'_>,
    source: &Value,
) {
    required(report, path, source, &["volumeID"]);
}

pub(in crate::apiserver::strategy) fn scale_io(
    report: &mut Report,
    path: &Path<'_>,
    source: &Value,
) {
    required(report, path, source, &["gateway", "system", "volumeName"]);
}

pub(in crate::apiserver::strategy) fn storage_os(
    report: &mut Report,
    path: &Path<'_>,
    source: &Value,
) {
    if report.has_text(path, source, "volumeName") {
        formats::label(report, &path.field("volumeName"), text(source, "volumeName"));
    }
    let namespace = text(source, "volumeNamespace");
    if !namespace.is_empty() {
        formats::label(report, &path.field("volumeNamespace"), namespace);
    }
    secret_reference(report, path, source, &["name"]);
}

pub(super) fn csi(report: &mut Report, path: &Path<'_>, source: &Value) {
    csi_driver(report, &path.field("driver"), text(source, "driver"));
    let secret = &source["nodePublishSecretRef"];
    if secret.is_object() && report.has_text(&path.field("nodePublishSecretRef"), secret, "name") {
        formats::subdomain(report, &path.field("name"), text(secret, "name"));
    }
}

/// Refuses malformed names of CSI drivers.
pub(in crate::apiserver::strategy) fn csi_driver(
    report: &mut Report,
    path: &Path<'_>,
    driver: &str,
) {
    if driver.is_empty() {
        report.required(path, "");
    }
    if driver.len() > DRIVER_MAX {
        report.too_long(path, DRIVER_MAX);
    }
    report.invalid_texts(path, driver, names::check_subdomain(&driver.to_lowercase()));
}
