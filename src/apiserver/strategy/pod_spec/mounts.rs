//! Where containers see volumes: mounts and devices.
//! (kubernetes 1.36: pkg/apis/core/validation/validation.go, ValidateVolumeMounts)

use serde_json::Value;

use super::paths::{descending, no_backsteps};
use super::volumes::Volumes;
use crate::apiserver::strategy::fields::{items, text};
use crate::apiserver::strategy::report::{Path, Report};

const PROPAGATIONS: &[&str] = &["Bidirectional", "HostToContainer", "None"];
const RECURSIVE: &[&str] = &["Disabled", "Enabled", "IfPossible"];

/// Checks the mounts of a container.
pub(super) fn volume_mounts(
    report: &mut Report,
    list: &Path<'_>,
    container: &Value,
    volumes: &Volumes<'_>,
) {
    let devices = &container["volumeDevices"];
    let mut taken = Vec::new();
    for (index, mount) in items(&container["volumeMounts"]).enumerate() {
        let path = list.index(index);
        let (name, place) = (text(mount, "name"), text(mount, "mountPath"));
        report.has_text(&path, mount, "name");
        let volume = volumes.get(name);
        if volume.is_none() {
            report.not_found(path.field("name"), name, "");
        }
        report.has_text(&path, mount, "mountPath");
        if taken.contains(&place) {
            report.invalid_text(path.field("mountPath"), place, "must be unique");
        }
        taken.push(place);
        if items(devices).any(|device| text(device, "name") == name) {
            let why = "must not already exist in volumeDevices";
            report.invalid_text(path.field("name"), name, why);
        }
        if items(devices).any(|device| text(device, "devicePath") == place) {
            let why = "must not already exist as a path in volumeDevices";
            report.invalid_text(path.field("mountPath"), place, why);
        }
        let is_image = volume.is_some_and(|volume| volume["image"].is_object());
        sub_paths(report, (list, &path), mount, is_image);
        propagation(report, list, mount, container);
    }
}

/// kube-apiserver names the list in most errors about sub-paths.
fn sub_paths(
    report: &mut Report,
    (list, path): (&Path<'_>, &Path<'_>),
    mount: &Value,
    is_image: bool,
) {
    let (plain, expression) = (text(mount, "subPath"), text(mount, "subPathExpr"));
    for (field, text) in [("subPath", plain), ("subPathExpr", expression)] {
        if is_image && !text.is_empty() {
            report.invalid_text(path.field(field), text, "not allowed in image volume sources");
        }
    }
    if !plain.is_empty() {
        descending(report, &list.field("subPath"), plain);
    }
    if !expression.is_empty() {
        if !plain.is_empty() {
            let why = "subPathExpr and subPath are mutually exclusive";
            report.invalid_text(path.field("subPathExpr"), expression, why);
        }
        descending(report, &list.field("subPathExpr"), expression);
    }
}

fn propagation(report: &mut Report, list: &Path<'_>, mount: &Value, container: &Value) {
    let place = list.field("mountPropagation");
    report.one_of(place, &mount["mountPropagation"], PROPAGATIONS);
    let privileged = container["securityContext"]["privileged"] == true;
    if mount["mountPropagation"] == "Bidirectional" && !privileged {
        let why = "Bidirectional mount propagation is available only to privileged containers";
        report.forbidden(place, why);
    }
    let place = list.field("recursiveReadOnly");
    match mount["recursiveReadOnly"].as_str() {
        None | Some("Disabled") => {}
        Some("Enabled" | "IfPossible") => {
            if mount["readOnly"] != true {
                report.forbidden(place, "may only be specified when readOnly is true");
            }
            if mount["mountPropagation"].as_str().is_some_and(|mode| mode != "None") {
                let why = "may only be specified when mountPropagation is None or not specified";
                report.forbidden(place, why);
            }
        }
        Some(other) => report.unsupported(place, other, RECURSIVE),
    }
}

/// Checks the block devices of a container.
pub(super) fn volume_devices(
    report: &mut Report,
    list: &Path<'_>,
    container: &Value,
    volumes: &Volumes<'_>,
) {
    let mounts = &container["volumeMounts"];
    let (mut names, mut places) = (Vec::new(), Vec::new());
    for (index, device) in items(&container["volumeDevices"]).enumerate() {
        let path = list.index(index);
        let (name, place) = (text(device, "name"), text(device, "devicePath"));
        let (name_path, place_path) = (path.field("name"), path.field("devicePath"));
        report.has_text(&path, device, "name");
        if names.contains(&name) {
            report.invalid_text(name_path, name, "must be unique");
        }
        match volumes.get(name) {
            None => report.not_found(name_path, name, ""),
            Some(volume) => {
                let claimed =
                    ["persistentVolumeClaim", "ephemeral"].iter().any(|it| volume[*it].is_object());
                if !claimed && !volume.is_null() {
                    let why = "can only use volume source type of PersistentVolumeClaim or \
                               Ephemeral for block mode";
                    report.invalid_text(name_path, name, why);
                }
            }
        }
        report.has_text(&path, device, "devicePath");
        if places.contains(&place) {
            report.invalid_text(place_path, place, "must be unique");
        }
        if place.is_empty() || no_backsteps(&mut Report::default(), &place_path, place) {
            places.push(place);
        } else {
            report.invalid_text(place_path, place, "can not contain backsteps ('..')");
        }
        if items(mounts).any(|mount| text(mount, "name") == name) {
            report.invalid_text(name_path, name, "must not already exist in volumeMounts");
        }
        if items(mounts).any(|mount| text(mount, "mountPath") == place) {
            let why = "must not already exist as a path in volumeMounts";
            report.invalid_text(place_path, place, why);
        }
        if !name.is_empty() {
            names.push(name);
        }
    }
}
