//! Volumes of pods. (kubernetes 1.36: pkg/apis/core/validation/validation.go, ValidateVolumes)

use serde_json::Value;

use super::paths::not_reserved;
use super::projected::{downward_api, projected};
use super::{Owner, volume_sources as sources};
use crate::apiserver::strategy::fields::{items, text};
use crate::apiserver::strategy::formats;
use crate::apiserver::strategy::report::{Path, Report};
use crate::machinery::names;
use crate::machinery::quantity::Quantity;

/// Why modes of files are refused.
pub(super) const MODE_RANGE: &str = "must be a number between 0 and 0777 (octal), both inclusive";
pub(super) const MORE_THAN_ONE: &str = "may not specify more than 1 volume type";

/// Checks a source at its path.
type Check = fn(&mut Report, &Path<'_>, &Value);

/// Sources in the order in which they are looked at: field, name in the error about several
/// sources, name in the source's own errors.
const SOURCES: &[(&str, &str, &str, Check)] = &[
    ("emptyDir", "emptyDir", "emptyDir", empty_dir),
    ("hostPath", "hostPath", "hostPath", sources::host_path),
    ("gitRepo", "gitRepo", "gitRepo", sources::git_repo),
    ("gcePersistentDisk", "gcePersistentDisk", "persistentDisk", sources::gce_disk),
    ("awsElasticBlockStore", "awsElasticBlockStore", "awsElasticBlockStore", sources::aws_store),
    ("secret", "secret", "secret", secret),
    ("nfs", "nfs", "nfs", sources::nfs),
    ("iscsi", "iscsi", "iscsi", sources::iscsi),
    ("glusterfs", "glusterfs", "glusterfs", sources::glusterfs),
    ("flocker", "flocker", "flocker", sources::flocker),
    ("persistentVolumeClaim", "persistentVolumeClaim", "persistentVolumeClaim", sources::claim),
    ("rbd", "rbd", "rbd", sources::rbd),
    ("cinder", "cinder", "cinder", sources::cinder),
    ("cephfs", "cephFS", "cephfs", sources::ceph_fs),
    ("quobyte", "quobyte", "quobyte", sources::quobyte),
    ("downwardAPI", "downwarAPI", "downwardAPI", downward_api),
    ("fc", "fc", "fc", sources::fibre_channel),
    ("flexVolume", "flexVolume", "flexVolume", sources::flex_volume),
    ("configMap", "configMap", "configMap", config_map),
    ("azureFile", "azureFile", "azureFile", sources::azure_file),
    ("vsphereVolume", "vsphereVolume", "vsphereVolume", sources::vsphere),
    ("photonPersistentDisk", "photonPersistentDisk", "photonPersistentDisk", sources::photon),
    ("portworxVolume", "portworxVolume", "portworxVolume", sources::portworx),
    ("azureDisk", "azureDisk", "azureDisk", sources::azure_disk),
    ("storageos", "storageos", "storageos", sources::storage_os),
    ("projected", "projected", "projected", projected),
    ("scaleIO", "scaleIO", "scaleIO", sources::scale_io),
    ("csi", "csi", "csi", sources::csi),
    ("ephemeral", "ephemeral", "ephemeral", ephemeral),
    ("image", "image", "image", image),
];

/// Volumes by name, as mounts refer to them.
#[derive(Default)]
pub(super) struct Volumes<'a> {
    known: Vec<(&'a str, &'a Value)>,
}

impl<'a> Volumes<'a> {
    /// The volume of a name.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.known.iter().find(|(known, _)| *known == name).map(|(_, volume)| *volume)
    }
}

/// Checks all volumes; those that are fine can be mounted.
pub(super) fn volumes<'a>(
    report: &mut Report,
    path: &Path<'_>,
    spec: &'a Value,
    owner: &Owner<'a>,
) -> Volumes<'a> {
    let mut found = Volumes::default();
    let pod = owner.pod_name();
    for (index, volume) in items(&spec["volumes"]).enumerate() {
        let path = path.index(index);
        let (name, before) = (text(volume, "name"), report.len());
        source(report, &path, volume, name, owner);
        let place = path.field("name");
        match name {
            "" => report.required(place, ""),
            _ => formats::label(report, &place, name),
        }
        if found.get(name).is_some() {
            report.duplicate(place, name);
        }
        if report.len() == before {
            found.known.push((name, volume));
        }
        let claim = text(&volume["persistentVolumeClaim"], "claimName");
        let created = || {
            items(&spec["volumes"])
                .filter(|other| other["ephemeral"].is_object())
                .any(|other| claim == format!("{pod}-{}", text(other, "name")))
        };
        if !claim.is_empty() && !pod.is_empty() && created() {
            let why = "must not reference a PVC that gets created for an ephemeral volume";
            let place = path.field("persistentVolumeClaim");
            report.invalid_text(place.field("claimName"), claim, why);
        }
    }
    found
}

fn source(report: &mut Report, path: &Path<'_>, volume: &Value, name: &str, owner: &Owner<'_>) {
    let mut count = 0;
    for (field, counted_as, shown_as, check) in SOURCES {
        let source = &volume[*field];
        if source.is_null() {
            continue;
        }
        if count > 0 {
            report.forbidden(path.field(counted_as), MORE_THAN_ONE);
            continue;
        }
        count += 1;
        check(report, &path.field(shown_as), source);
    }
    if count == 0 {
        report.required(path, "must specify a volume type");
    }
    let portal = text(&volume["iscsi"], "targetPortal");
    if volume["iscsi"]["initiatorName"].is_string() && name.len() + 1 + portal.len() > 64 {
        let why = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters \
                   if iscsi.initiatorName is specified.";
        report.invalid_text(path.field("name"), name, why);
    }
    let pod = owner.pod_name();
    if volume["ephemeral"].is_object() && !pod.is_empty() && !name.is_empty() {
        let claim = format!("{pod}-{name}");
        for why in names::check_subdomain(&claim) {
            let why = format!("PVC name {claim:?}: {why}");
            report.invalid_text(path.field("name"), name, &why);
        }
    }
    if owner.is_pod() && volume["image"].is_object() {
        report.has_text(&path.field("image"), &volume["image"], "reference");
    }
}

fn empty_dir(report: &mut Report, path: &Path<'_>, source: &Value) {
    let limit = source["sizeLimit"].as_str().and_then(|text| Quantity::parse(text).ok());
    if limit.is_some_and(|limit| limit.is_negative()) {
        let why = "SizeLimit field must be a valid resource quantity";
        report.forbidden(path.field("sizeLimit"), why);
    }
}

fn secret(report: &mut Report, path: &Path<'_>, source: &Value) {
    report.has_text(path, source, "secretName");
    mode(report, &path.field("defaultMode"), &source["defaultMode"]);
    keys_to_paths(report, path, source);
}

fn config_map(report: &mut Report, path: &Path<'_>, source: &Value) {
    report.has_text(path, source, "name");
    mode(report, &path.field("defaultMode"), &source["defaultMode"]);
    keys_to_paths(report, path, source);
}

/// Refuses modes that are none.
pub(super) fn mode(report: &mut Report, path: &Path<'_>, value: &Value) {
    if let Some(mode) = value.as_i64()
        && !(0..=0o777).contains(&mode)
    {
        report.invalid_number(path, mode, MODE_RANGE);
    }
}

fn keys_to_paths(report: &mut Report, path: &Path<'_>, source: &Value) {
    let list = path.field("items");
    for (index, item) in items(&source["items"]).enumerate() {
        key_to_path(report, &list.index(index), item);
    }
}

/// Where a key of a ConfigMap or Secret goes.
pub(super) fn key_to_path(report: &mut Report, path: &Path<'_>, item: &Value) {
    report.has_text(path, item, "key");
    report.has_text(path, item, "path");
    not_reserved(report, &path.field("path"), text(item, "path"));
    mode(report, &path.field("mode"), &item["mode"]);
}

fn ephemeral(report: &mut Report, path: &Path<'_>, source: &Value) {
    let (template, path) = (&source["volumeClaimTemplate"], path.field("volumeClaimTemplate"));
    if template.is_null() {
        report.required(path, "");
        return;
    }
    super::claims::claim_template(report, &path, template);
}

fn image(report: &mut Report, path: &Path<'_>, source: &Value) {
    let policies = super::containers::PULL_POLICIES;
    report.must_be_one_of(path.field("pullPolicy"), &source["pullPolicy"], policies);
}
