//! PersistentVolumes. (kubernetes 1.36: pkg/registry/core/persistentvolume/strategy.go,
//! pkg/apis/core/validation/validation.go, ValidatePersistentVolume)

use serde_json::{Value, json};

use crate::apiserver::strategy::difference::difference;
use crate::apiserver::strategy::fields::{fill, items, put, remove, text};
use crate::apiserver::strategy::pod_spec::claims::{VOLUME_MODES, access_modes, class_name};
use crate::apiserver::strategy::pod_spec::scheduling::node_selector;
use crate::apiserver::strategy::pod_spec::volume_sources as sources;
use crate::apiserver::strategy::report::{IMMUTABLE, NOT_POSITIVE, Path, Report};
use crate::apiserver::strategy::resources::amounts;
use crate::apiserver::strategy::{Change, NONE, Rules, formats};
use crate::apiserver::write::Target;
use crate::machinery::status::Cause;

/// Of PersistentVolumes.
pub(super) const RULES: Rules = Rules {
    default,
    initial_status: || Some(json!({"phase": "Pending"})),
    prepare_update,
    validate,
    ..NONE
};

const SPEC: Path<'_> = Path::Root("spec");
const RECLAIMS: &[&str] = &["Delete", "Recycle", "Retain"];

type Check = fn(&mut Report, &Path<'_>, &Value);

/// Sources in the order in which they are looked at: field, name in the error about several
/// sources, name in the source's own errors.
const SOURCES: &[(&str, &str, &str, Check)] = &[
    ("hostPath", "hostPath", "hostPath", sources::host_path),
    ("gcePersistentDisk", "gcePersistentDisk", "persistentDisk", sources::gce_disk),
    ("awsElasticBlockStore", "awsElasticBlockStore", "awsElasticBlockStore", sources::aws_store),
    ("glusterfs", "glusterfs", "glusterfs", sources::glusterfs),
    ("flocker", "flocker", "flocker", sources::flocker),
    ("nfs", "nfs", "nfs", sources::nfs),
    ("rbd", "rbd", "rbd", sources::rbd),
    ("quobyte", "quobyte", "quobyte", sources::quobyte),
    ("cephfs", "cephFS", "cephfs", sources::ceph_fs),
    ("iscsi", "iscsi", "iscsi", sources::iscsi),
    ("cinder", "cinder", "cinder", cinder),
    ("fc", "fc", "fc", sources::fibre_channel),
    ("flexVolume", "flexVolume", "flexVolume", sources::flex_volume),
    ("azureFile", "azureFile", "azureFile", sources::azure_file),
    ("vsphereVolume", "vsphereVolume", "vsphereVolume", sources::vsphere),
    ("photonPersistentDisk", "photonPersistentDisk", "photonPersistentDisk", sources::photon),
    ("portworxVolume", "portworxVolume", "portworxVolume", sources::portworx),
    ("azureDisk", "azureDisk", "azureDisk", sources::azure_disk),
    ("scaleIO", "scaleIO", "scaleIO", sources::scale_io),
    ("local", "local", "local", local),
    ("storageos", "storageos", "storageos", sources::storage_os),
    ("csi", "csi", "csi", csi),
];

fn default(volume: &mut Value) {
    fill(&mut volume["status"], "phase", "Pending");
    let spec = &mut volume["spec"];
    fill(spec, "persistentVolumeReclaimPolicy", "Retain");
    put(spec, "volumeMode", "Filesystem");
    if spec["hostPath"].is_object() {
        put(&mut spec["hostPath"], "type", "");
    }
}

fn prepare_update(new: &mut Value, old: &Value, target: Target) {
    if target == Target::Status && new["status"]["phase"] != old["status"]["phase"] {
        remove(&mut new["status"], "lastPhaseTransitionTime");
    }
}

fn validate(change: &Change<'_>) -> Vec<Cause> {
    let mut report = Report::default();
    if change.target == Target::Status {
        return report.into_causes();
    }
    let spec = &change.new["spec"];
    check_spec(&mut report, spec);
    if let Some(old) = change.old {
        check_change(&mut report, spec, &old["spec"]);
    }
    report.into_causes()
}

fn check_spec(report: &mut Report, spec: &Value) {
    let modes = SPEC.field("accessModes");
    if items(&spec["accessModes"]).next().is_none() {
        report.required(modes, "");
    }
    access_modes(report, &modes, &spec["accessModes"]);
    capacity(report, &spec["capacity"]);
    let path = SPEC.field("persistentVolumeReclaimPolicy");
    report.one_of(path, &spec["persistentVolumeReclaimPolicy"], RECLAIMS);
    let affinity = SPEC.field("nodeAffinity");
    if spec["nodeAffinity"].is_object() {
        let required = &spec["nodeAffinity"]["required"];
        match required.is_object() {
            true => node_selector(report, &affinity.field("required"), required),
            false => {
                let why = "must specify required node constraints";
                report.required(affinity.field("required"), why);
            }
        }
    }
    source(report, spec);
    if spec["local"].is_object() && !spec["nodeAffinity"].is_object() {
        report.required(affinity, "Local volume requires node affinity");
    }
    let is_root = text(&spec["hostPath"], "path").split('/').all(|part| matches!(part, "" | "."));
    if spec["hostPath"].is_object() && is_root && spec["persistentVolumeReclaimPolicy"] == "Recycle"
    {
        report.forbidden(path, "may not be 'recycle' for a hostPath mount of '/'");
    }
    class_name(report, &SPEC.field("storageClassName"), &spec["storageClassName"]);
    report.one_of(SPEC.field("volumeMode"), &spec["volumeMode"], VOLUME_MODES);
    if let Some(class) = spec["volumeAttributesClassName"].as_str() {
        let path = SPEC.field("volumeAttributesClassName");
        match class {
            "" => report.required(path, "an empty string is disallowed"),
            class => formats::subdomain(report, &path, class),
        }
        if !spec["csi"].is_object() {
            let why = "has to be specified when using volumeAttributesClassName";
            report.required(SPEC.field("csi"), why);
        }
    }
}

fn capacity(report: &mut Report, capacity: &Value) {
    let path = SPEC.field("capacity");
    let count = capacity.as_object().map_or(0, serde_json::Map::len);
    if count == 0 {
        report.required(path, "");
    }
    if capacity["storage"].is_null() || count > 1 {
        let shown = if count == 0 { "null".to_owned() } else { capacity.to_string() };
        report.unsupported_shown(path, &shown, &["storage"]);
    }
    for (name, amount) in amounts(capacity) {
        let path = path.key(name);
        if amount.value() < 0 {
            let why = "must be a valid resource quantity";
            report.shown(path, &amount.value().to_string(), why);
        }
        if !amount.is_positive() {
            report.invalid_text(path, &amount.to_string(), NOT_POSITIVE);
        }
    }
}

fn source(report: &mut Report, spec: &Value) {
    let mut count = 0;
    for (field, counted_as, shown_as, check) in SOURCES {
        let source = &spec[*field];
        if source.is_null() {
            continue;
        }
        if count > 0 && *field != "flexVolume" {
            let why = "may not specify more than 1 volume type";
            report.forbidden(SPEC.field(counted_as), why);
            continue;
        }
        count += 1;
        check(report, &SPEC.field(shown_as), source);
    }
    if count == 0 {
        report.required(SPEC, "must specify a volume type");
    }
}

fn cinder(report: &mut Report, path: &Path<'_>, source: &Value) {
    report.has_text(path, source, "volumeID");
    sources::secret_reference(report, path, source, &["name", "namespace"]);
}

fn local(report: &mut Report, path: &Path<'_>, source: &Value) {
    if report.has_text(path, source, "path") && text(source, "path").split('/').any(|it| it == "..")
    {
        let place = path.field("path");
        report.invalid_text(place, text(source, "path"), "must not contain '..'");
    }
}

fn csi(report: &mut Report, path: &Path<'_>, source: &Value) {
    sources::csi_driver(report, &path.field("driver"), text(source, "driver"));
    report.has_text(path, source, "volumeHandle");
    for field in [
        "controllerPublishSecretRef",
        "controllerExpandSecretRef",
        "nodePublishSecretRef",
        "nodeExpandSecretRef",
    ] {
        let (secret, path) = (&source[field], path.field(field));
        if !secret.is_object() {
            continue;
        }
        if report.has_text(&path, secret, "name") {
            formats::subdomain(report, &path.field("name"), text(secret, "name"));
        }
        if report.has_text(&path, secret, "namespace") {
            formats::label(report, &path.field("namespace"), text(secret, "namespace"));
        }
    }
}

fn check_change(report: &mut Report, new: &Value, old: &Value) {
    let source_of = |spec: &Value| {
        let mut source = json!({});
        for (field, ..) in SOURCES {
            if !spec[*field].is_null() {
                source[*field] = spec[*field].clone();
            }
        }
        source
    };
    let (mut now, before) = (source_of(new), source_of(old));
    // A secret for growing a volume can be named later.
    if before["csi"].is_object() && before["csi"]["controllerExpandSecretRef"].is_null() {
        remove(&mut now["csi"], "controllerExpandSecretRef");
    }
    if now != before {
        let why = format!(
            "spec.persistentvolumesource is immutable after creation\n{}",
            difference(&before, &now)
        );
        report.forbidden(SPEC.field("persistentvolumesource"), &why);
    }
    if new["volumeMode"] != old["volumeMode"] {
        report.invalid(Path::Root("volumeMode"), &new["volumeMode"], IMMUTABLE);
    }
    if old["nodeAffinity"].is_object() && new["nodeAffinity"] != old["nodeAffinity"] {
        let why = "field is immutable, except for updating from beta label to GA";
        report.invalid(Path::Root("nodeAffinity"), &new["nodeAffinity"], why);
    }
    let class = "volumeAttributesClassName";
    if !old[class].is_null() && new[class].is_null() {
        report.forbidden(SPEC.field(class), "update from non-nil value to nil is forbidden");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valid() -> Value {
        let mut volume = json!({"spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
            "hostPath": {"path": "/a"},
        }});
        default(&mut volume);
        volume
    }

    fn check(field: &str, value: Value, expected: &[&str]) {
        let mut volume = valid();
        volume["spec"][field] = value;
        let change = Change { new: &volume, old: None, target: Target::Main };
        let causes: Vec<_> = validate(&change).iter().map(ToString::to_string).collect();
        assert_eq!(causes, expected, "{volume}");
    }

    #[test]
    fn volumes_are_checked() {
        check("storageClassName", json!("a"), &[]);
        check("accessModes", json!([]), &["spec.accessModes: Required value"]);
        check(
            "capacity",
            json!({"storage": "0"}),
            &["spec.capacity[storage]: Invalid value: \"0\": must be greater than zero"],
        );
        check("hostPath", json!({"path": ""}), &["spec.hostPath.path: Required value"]);
        check("hostPath", Value::Null, &["spec: Required value: must specify a volume type"]);
        check(
            "nfs",
            json!({"server": "s", "path": "/p"}),
            &["spec.nfs: Forbidden: may not specify more than 1 volume type"],
        );
    }

    #[test]
    fn sources_stay() {
        let (old, mut new) = (valid(), valid());
        new["spec"]["hostPath"]["path"] = "/b".into();
        let change = Change { new: &new, old: Some(&old), target: Target::Main };
        let causes = validate(&change);
        assert_eq!(causes[0].field, "spec.persistentvolumesource");
        assert!(
            causes[0].message.starts_with(
                "Forbidden: spec.persistentvolumesource is immutable after creation\n"
            )
        );
    }
}
