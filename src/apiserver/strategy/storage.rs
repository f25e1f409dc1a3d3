//! Kinds of the group `storage.k8s.io`.
//! (kubernetes 1.36: pkg/apis/storage/{v1/defaults.go,validation})

use serde_json::{Map, Value, json};

use super::checks::{quantity_sign, same};
use super::fields::{items, put, text};
use super::report::Report;
use super::{Change, NONE, Rules};
use crate::machinery::names;
use crate::machinery::status::Cause;

const STORAGE_CLASS: Rules =
    Rules { default: default_class, validate: |change| gather(change, class), ..NONE };
const ATTRIBUTES_CLASS: Rules =
    Rules { validate: |change| gather(change, attributes_class), ..NONE };
const VOLUME_ATTACHMENT: Rules = Rules {
    prepare_create: |attachment| attachment["status"] = json!({"attached": false}),
    validate: |change| gather(change, attachment),
    ..NONE
};
const CSI_DRIVER: Rules =
    Rules { default: default_driver, validate: |change| gather(change, driver), ..NONE };
const CSI_NODE: Rules = Rules { validate: |change| gather(change, node), ..NONE };
const CAPACITY: Rules = Rules { validate: |change| gather(change, capacity), ..NONE };

const PARAMETERS_MAX: usize = 512;
const PARAMETERS_SIZE_MAX: usize = 256 * 1024;
const ERROR_MAX: usize = 1024;
const NODE_ID_MAX: usize = 256;

/// The rules of a kind.
pub(super) fn rules(kind: &str) -> &'static Rules {
    match kind {
        "CSIDriver" => &CSI_DRIVER,
        "CSINode" => &CSI_NODE,
        "CSIStorageCapacity" => &CAPACITY,
        "StorageClass" => &STORAGE_CLASS,
        "VolumeAttachment" => &VOLUME_ATTACHMENT,
        "VolumeAttributesClass" => &ATTRIBUTES_CLASS,
        _ => &NONE,
    }
}

fn gather(change: &Change<'_>, check: fn(&Change<'_>, &mut Report)) -> Vec<Cause> {
    let mut report = Report::default();
    check(change, &mut report);
    report.into_causes()
}

fn default_class(class: &mut Value) {
    put(class, "reclaimPolicy", "Delete");
    put(class, "volumeBindingMode", "Immediate");
}

fn default_driver(driver: &mut Value) {
    let spec = &mut driver["spec"];
    put(spec, "attachRequired", true);
    put(spec, "podInfoOnMount", false);
    put(spec, "storageCapacity", false);
    put(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
    put(spec, "requiresRepublish", false);
    put(spec, "seLinuxMount", false);
    if items(&spec["volumeLifecycleModes"]).next().is_none() && spec.is_object() {
        spec["volumeLifecycleModes"] = json!(["Persistent"]);
    }
}

fn class(change: &Change<'_>, report: &mut Report) {
    let new = change.new;
    let Some(old) = change.old else {
        provisioner(text(new, "provisioner"), "provisioner", report);
        parameters(&new["parameters"], true, report);
        one_of(new, "reclaimPolicy", &["Delete", "Retain"], report);
        one_of(new, "volumeBindingMode", &["Immediate", "WaitForFirstConsumer"], report);
        topologies(&new["allowedTopologies"], report);
        return;
    };
    for field in ["parameters", "provisioner", "reclaimPolicy"] {
        if !same(&new[field], &old[field]) {
            report.forbidden(field, &format!("updates to {field} are forbidden."));
        }
    }
    report.immutable(&new["volumeBindingMode"], &old["volumeBindingMode"], "volumeBindingMode");
}

/// One of some values, at the top of an object.
fn one_of(object: &Value, field: &str, of: &[&str], report: &mut Report) {
    if let Some(given) = object[field].as_str()
        && !of.contains(&given)
    {
        report.unsupported_value(field, &object[field], of);
    }
}

fn topologies(topologies: &Value, report: &mut Report) {
    for (index, term) in items(topologies).enumerate() {
        let path = format!("allowedTopologies[{index}].matchLabelExpressions");
        let mut seen = Vec::new();
        for (index, expression) in items(&term["matchLabelExpressions"]).enumerate() {
            let path = format!("{path}[{index}]");
            let key = text(expression, "key");
            if items(&expression["values"]).next().is_none() {
                report.required(format!("{path}.values"), "");
            }
            if seen.contains(&key) {
                report.duplicate_value(format!("{path}.key"), &key.into());
            }
            seen.push(key);
            report.invalid_texts(format!("{path}.key"), key, names::check_label_key(key));
        }
    }
}

fn provisioner(name: &str, path: &str, report: &mut Report) {
    match name {
        "" => report.required(path, ""),
        name => {
            let lower = name.to_lowercase();
            report.invalid_texts(path, &lower, names::check_label_key(&lower));
        }
    }
}

fn parameters(given: &Value, may_be_empty: bool, report: &mut Report) {
    let path = "parameters";
    let empty = Map::new();
    let given = given.as_object().unwrap_or(&empty);
    if given.len() > PARAMETERS_MAX {
        return report.text_within(path, given.len(), PARAMETERS_MAX);
    }
    if given.contains_key("") {
        report.invalid(path, &"".into(), "field can not be empty.");
    }
    let size = given.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len));
    report.text_within(path, size.sum(), PARAMETERS_SIZE_MAX);
    if !may_be_empty && given.is_empty() {
        report.required(path, "must contain at least one key/value pair");
    }
}

fn attributes_class(change: &Change<'_>, report: &mut Report) {
    let new = change.new;
    if let Some(old) = change.old {
        for field in ["driverName", "parameters"] {
            if !same(&new[field], &old[field]) {
                report.forbidden(field, &format!("updates to {field} are forbidden."));
            }
        }
    }
    provisioner(text(new, "driverName"), "driverName", report);
    parameters(&new["parameters"], false, report);
}

fn attachment(change: &Change<'_>, report: &mut Report) {
    let (new, spec) = (change.new, &change.new["spec"]);
    let attacher = text(spec, "attacher");
    if attacher.is_empty() {
        report.required("spec.attacher", "");
    }
    let (source, path) = (&spec["source"], "spec.source");
    let name = source["persistentVolumeName"].as_str();
    let why = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    match (source["inlineVolumeSpec"].is_object(), name) {
        (false, None) => report.required(path, why),
        (true, Some(_)) => report.forbidden(path, why),
        (false, Some("")) => {
            let why = "must specify non empty persistentVolumeName";
            report.required(format!("{path}.persistentVolumeName"), why);
        }
        _ => {}
    }
    let node = text(spec, "nodeName");
    report.invalid_texts("spec.nodeName", node, names::check_subdomain(node));
    for field in ["attachError", "detachError"] {
        let error = &new["status"][field];
        let path = format!("status.{field}");
        report.text_within(&format!("{path}.message"), text(error, "message").len(), ERROR_MAX);
    }
    match change.old {
        None => driver_name(attacher, "spec.attacher", report),
        Some(old) if !same(spec, &old["spec"]) => {
            report.invalid("spec", spec, "field is immutable");
        }
        Some(_) => {}
    }
    if let (None, Some(name)) = (change.old, name) {
        let path = "spec.source.persistentVolumeName";
        report.invalid_texts(path, name, names::check_subdomain(name));
    }
}

/// A CSI driver's name. (kubernetes 1.36: pkg/apis/core/validation, ValidateCSIDriverName)
fn driver_name(name: &str, path: &str, report: &mut Report) {
    if name.is_empty() {
        return report.required(path, "");
    }
    report.text_within(path, name.len(), 63);
    let lower = name.to_lowercase();
    for why in names::check_subdomain(&lower) {
        report.invalid(path, &name.into(), &why);
    }
}

fn driver(change: &Change<'_>, report: &mut Report) {
    let spec = &change.new["spec"];
    for (field, path) in [
        ("attachRequired", "spec.attachedRequired"),
        ("podInfoOnMount", "spec.podInfoOnMount"),
        ("storageCapacity", "spec.storageCapacity"),
    ] {
        if spec[field].is_null() {
            report.required(path, "");
        }
    }
    let policies = ["File", "None", "ReadWriteOnceWithFSType"];
    report.field_one_of(spec, "spec", "fsGroupPolicy", &policies);
    token_requests(&spec["tokenRequests"], report);
    for mode in items(&spec["volumeLifecycleModes"]) {
        if *mode != "Persistent" && *mode != "Ephemeral" {
            let of = ["Persistent", "Ephemeral"];
            report.unsupported_value("spec.volumeLifecycleModes", mode, &of);
        }
    }
    let period = &spec["nodeAllocatableUpdatePeriodSeconds"];
    if period.as_i64().is_some_and(|seconds| seconds < 10) {
        let path = "spec.nodeAllocatableUpdatePeriodSeconds";
        report.invalid(path, period, "must be greater than or equal to 10 seconds");
    }
    if let Some(old) = change.old {
        for (field, path) in [
            ("attachRequired", "spec.attachedRequired"),
            ("volumeLifecycleModes", "spec.volumeLifecycleModes"),
        ] {
            report.immutable(&spec[field], &old["spec"][field], path);
        }
    }
}

fn token_requests(requests: &Value, report: &mut Report) {
    let mut audiences = Vec::new();
    for (index, request) in items(requests).enumerate() {
        let path = format!("spec.tokenRequests[{index}]");
        let audience = text(request, "audience");
        if audiences.contains(&audience) {
            report.duplicate_value(format!("{path}.audience"), &audience.into());
            continue;
        }
        audiences.push(audience);
        let seconds = &request["expirationSeconds"];
        let why = match seconds.as_i64() {
            Some(seconds) if seconds < 600 => "may not specify a duration less than 10 minutes",
            Some(seconds) if seconds > 1 << 32 => {
                "may not specify a duration larger than 2^32 seconds"
            }
            _ => continue,
        };
        report.invalid(format!("{path}.expirationSeconds"), seconds, why);
    }
}

fn node(change: &Change<'_>, report: &mut Report) {
    let drivers = &change.new["spec"]["drivers"];
    let mut seen = Vec::new();
    for (index, driver) in items(drivers).enumerate() {
        let path = format!("spec.drivers[{index}]");
        let (name, id) = (text(driver, "name"), text(driver, "nodeID"));
        driver_name(name, &format!("{path}.name"), report);
        if id.is_empty() {
            report.required(format!("{path}.nodeID"), "");
        }
        if id.len() > NODE_ID_MAX {
            let why = format!("must be {NODE_ID_MAX} characters or less");
            report.invalid(format!("{path}.nodeID"), &id.into(), &why);
        }
        report.field_not_negative(&driver["allocatable"], &format!("{path}.allocatable"), "count");
        if seen.contains(&name) {
            report.duplicate_value(format!("{path}.name"), &name.into());
        }
        seen.push(name);
        let keys: Vec<&str> = items(&driver["topologyKeys"]).filter_map(Value::as_str).collect();
        for (index, key) in keys.iter().enumerate() {
            if key.is_empty() {
                report.required(path.as_str(), "");
            }
            if keys[..index].contains(key) {
                report.duplicate_value(path.as_str(), &(*key).into());
            }
            report.invalid_texts(&path, key, names::check_label_key(key));
        }
    }
    let Some(old) = change.old else { return };
    // How many volumes a node takes may change, nothing else of a driver that is there.
    let fixed = |driver: &Value| {
        let mut driver = driver.clone();
        driver["allocatable"] = Value::Null;
        driver
    };
    for before in items(&old["spec"]["drivers"]) {
        for now in items(drivers).filter(|now| now["name"] == before["name"]) {
            if fixed(now) != fixed(before) {
                report.invalid("spec.drivers", now, "field is immutable");
            }
        }
    }
}

fn capacity(change: &Change<'_>, report: &mut Report) {
    let new = change.new;
    let class = text(new, "storageClassName");
    match change.old {
        None => {
            report.selector(&new["nodeTopology"], "nodeTopology");
            report.invalid_texts("storageClassName", class, names::check_subdomain(class));
            if quantity_sign(&new["capacity"]).is_some_and(|sign| sign < 0) {
                let why = "must be greater than or equal to 0";
                report.invalid("capacity", &new["capacity"], why);
            }
        }
        Some(old) => {
            for field in ["nodeTopology", "storageClassName"] {
                report.immutable(&new[field], &old[field], field);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::write::Target;

    fn said(kind: &str, new: &Value, old: Option<&Value>) -> Vec<String> {
        let change = Change { new, old, target: Target::Main };
        (rules(kind).validate)(&change).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn classes_keep_what_volumes_were_made_by() {
        let mut class = json!({"metadata": {"name": "c"}, "provisioner": "p.io/x"});
        (rules("StorageClass").default)(&mut class);
        assert_eq!(class["volumeBindingMode"], "Immediate");
        assert_eq!(said("StorageClass", &class, None), Vec::<String>::new());
        let mut new = class.clone();
        new["reclaimPolicy"] = "Retain".into();
        new["volumeBindingMode"] = "WaitForFirstConsumer".into();
        assert_eq!(
            said("StorageClass", &new, Some(&class)),
            [
                "reclaimPolicy: Forbidden: updates to reclaimPolicy are forbidden.",
                "volumeBindingMode: Invalid value: \"WaitForFirstConsumer\": field is immutable",
            ]
        );
        assert_eq!(
            said("VolumeAttributesClass", &json!({}), None),
            [
                "driverName: Required value",
                "parameters: Required value: must contain at least one key/value pair",
            ]
        );
    }

    #[test]
    fn drivers_and_their_nodes_are_checked() {
        let mut driver = json!({"metadata": {"name": "d"}, "spec": {"fsGroupPolicy": "Odd",
            "tokenRequests": [{"audience": "a"}, {"audience": "a"}]}});
        (rules("CSIDriver").default)(&mut driver);
        assert_eq!(driver["spec"]["volumeLifecycleModes"], json!(["Persistent"]));
        assert_eq!(said("CSIDriver", &driver, None).len(), 2);
        let node = json!({"spec": {"drivers": [{"name": "a.b", "nodeID": "n"}]}});
        assert_eq!(said("CSINode", &node, None), Vec::<String>::new());
        let mut new = node.clone();
        new["spec"]["drivers"][0]["allocatable"] = json!({"count": 3});
        assert_eq!(said("CSINode", &new, Some(&node)), Vec::<String>::new());
        new["spec"]["drivers"][0]["nodeID"] = "m".into();
        assert_eq!(said("CSINode", &new, Some(&node)).len(), 1);
    }

    #[test]
    fn attachments_name_one_volume() {
        let attachment = json!({"spec": {"attacher": "a.b", "nodeName": "n", "source": {}}});
        let why = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
        assert_eq!(
            said("VolumeAttachment", &attachment, None),
            [format!("spec.source: Required value: {why}")]
        );
    }
}
