//! Containers of pods: regular, init and ephemeral ones.
//! (kubernetes 1.36: pkg/apis/core/validation/validation.go, validateContainerCommon)

use serde_json::Value;

use super::mounts::{volume_devices, volume_mounts};
use super::probes::{lifecycle, probes};
use super::volumes::Volumes;
use super::{env, restarts, security};
use crate::apiserver::strategy::fields::{items, text};
use crate::apiserver::strategy::formats;
use crate::apiserver::strategy::report::{Path, Report};
use crate::apiserver::strategy::resources::{Holder, requirements};

/// When images are pulled.
pub(super) const PULL_POLICIES: &[&str] = &["Always", "IfNotPresent", "Never"];
/// Protocols of ports.
pub(in crate::apiserver::strategy) const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];
const MESSAGE_POLICIES: &[&str] = &["File", "FallbackToLogsOnError"];
const RESIZED: &[&str] = &["cpu", "memory"];
const RESIZE_POLICIES: &[&str] = &["NotRequired", "RestartContainer"];
/// Fields that ephemeral containers do not have.
const NOT_EPHEMERAL: &[&str] = &[
    "ports",
    "resources",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
];

/// What the containers of a pod have in common.
pub(super) struct Pod<'a> {
    /// The pod's spec.
    pub(super) spec: &'a Value,
    /// Its volumes.
    pub(super) volumes: Volumes<'a>,
    /// Names of its device claims.
    pub(super) claims: Vec<&'a str>,
    /// Whether it is a pod and no template.
    pub(super) is_pod: bool,
}

/// Checks all containers.
pub(super) fn containers(report: &mut Report, path: &Path<'_>, pod: &Pod<'_>) {
    regular(report, &path.field("containers"), pod);
    init(report, &path.field("initContainers"), pod);
    ephemeral(report, &path.field("ephemeralContainers"), pod);
}

fn regular(report: &mut Report, list: &Path<'_>, pod: &Pod<'_>) {
    let containers = &pod.spec["containers"];
    if items(containers).next().is_none() {
        report.required(list, "");
        return;
    }
    let mut taken = Vec::new();
    for (index, container) in items(containers).enumerate() {
        let path = list.index(index);
        common(report, &path, container, pod);
        let name = text(container, "name");
        if taken.contains(&name) {
            report.duplicate(path.field("name"), name);
        } else {
            taken.push(name);
        }
        lifecycle(report, &path, container, pod.spec);
        probes(report, &path, container, pod.spec);
        restarts::regular(report, &path, container);
    }
    let mut ports = Vec::new();
    for (index, container) in items(containers).enumerate() {
        host_ports(report, &list.index(index), container, &mut ports);
    }
}

fn init(report: &mut Report, list: &Path<'_>, pod: &Pod<'_>) {
    let mut taken: Vec<&str> =
        items(&pod.spec["containers"]).map(|container| text(container, "name")).collect();
    for (index, container) in items(&pod.spec["initContainers"]).enumerate() {
        let path = list.index(index);
        common(report, &path, container, pod);
        restarts::init(report, &path, container);
        let name = text(container, "name");
        if taken.contains(&name) {
            report.duplicate(path.field("name"), name);
        } else if !name.is_empty() {
            taken.push(name);
        }
        // Init containers run one by one: ports of each are looked at alone, and upstream counts
        // that one as the first.
        host_ports(report, &list.index(0), container, &mut Vec::new());
        if text(container, "restartPolicy") == "Always" {
            lifecycle(report, &path, container, pod.spec);
            probes(report, &path, container, pod.spec);
            continue;
        }
        for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if !container[field].is_null() {
                let why = "may not be set for init containers without restartPolicy=Always";
                report.forbidden(path.field(field), why);
            }
        }
    }
}

fn ephemeral(report: &mut Report, list: &Path<'_>, pod: &Pod<'_>) {
    let others: Vec<&str> = ["containers", "initContainers"]
        .iter()
        .flat_map(|field| items(&pod.spec[*field]))
        .map(|container| text(container, "name"))
        .collect();
    let mut taken = others.clone();
    for (index, container) in items(&pod.spec["ephemeralContainers"]).enumerate() {
        let path = list.index(index);
        common(report, &path, container, pod);
        image_without_space(report, &path, container);
        let (name, target) = (text(container, "name"), text(container, "targetContainerName"));
        if taken.contains(&name) {
            report.duplicate(path.field("name"), name);
        } else {
            taken.push(name);
        }
        if !target.is_empty() && !others.contains(&target) {
            report.not_found(path.field("targetContainerName"), target, "");
        }
        let why = "cannot be set for an Ephemeral Container";
        let is_set = |value: &Value| match value {
            Value::Null => false,
            Value::Object(map) => !map.is_empty(),
            Value::Array(list) => !list.is_empty(),
            _ => true,
        };
        for field in NOT_EPHEMERAL.iter().filter(|field| is_set(&container[**field])) {
            report.forbidden(path.field(field), why);
        }
        let mounts = path.field("volumeMounts");
        for (index, mount) in items(&container["volumeMounts"]).enumerate() {
            for field in ["subPath", "subPathExpr"] {
                if !text(mount, field).is_empty() {
                    report.forbidden(mounts.index(index).field(field), why);
                }
            }
        }
    }
}

/// Checks what all kinds of containers have.
fn common(report: &mut Report, path: &Path<'_>, container: &Value, pod: &Pod<'_>) {
    if report.has_text(path, container, "name") {
        formats::label(report, &path.field("name"), text(container, "name"));
    }
    report.has_text(path, container, "image");
    let place = path.field("terminationMessagePolicy");
    report.must_be_one_of(place, &container["terminationMessagePolicy"], MESSAGE_POLICIES);
    ports(report, &path.field("ports"), container);
    env::env(report, path, container, &pod.volumes);
    volume_mounts(report, &path.field("volumeMounts"), container, &pod.volumes);
    volume_devices(report, &path.field("volumeDevices"), container, &pod.volumes);
    let place = path.field("imagePullPolicy");
    report.must_be_one_of(place, &container["imagePullPolicy"], PULL_POLICIES);
    let place = path.field("resources");
    requirements(report, &place, &container["resources"], (Holder::Container, &pod.claims));
    resize_policies(report, &path.field("resizePolicy"), container, pod.spec);
    security::container(report, &path.field("securityContext"), container, pod.spec);
}

fn ports(report: &mut Report, list: &Path<'_>, container: &Value) {
    let mut taken = Vec::new();
    for (index, port) in items(&container["ports"]).enumerate() {
        let path = list.index(index);
        let name = text(port, "name");
        if !name.is_empty() {
            let wrong = formats::port_name(name);
            if wrong.is_empty() && taken.contains(&name) {
                report.duplicate(path.field("name"), name);
            }
            report.invalid_texts(path.field("name"), name, wrong);
            taken.push(name);
        }
        match port["containerPort"].as_i64().unwrap_or(0) {
            0 => report.required(path.field("containerPort"), ""),
            number => formats::port(report, &path.field("containerPort"), number),
        }
        match port["hostPort"].as_i64().unwrap_or(0) {
            0 => {}
            number => formats::port(report, &path.field("hostPort"), number),
        }
        report.must_be_one_of(path.field("protocol"), &port["protocol"], PROTOCOLS);
    }
}

fn host_ports(report: &mut Report, path: &Path<'_>, container: &Value, taken: &mut Vec<String>) {
    let list = path.field("ports");
    for (index, port) in items(&container["ports"]).enumerate() {
        let number = port["hostPort"].as_i64().unwrap_or(0);
        if number == 0 {
            continue;
        }
        let shown = format!("{}/{}/{number}", text(port, "protocol"), text(port, "hostIP"));
        if taken.contains(&shown) {
            report.duplicate(list.index(index).field("hostPort"), &shown);
        } else {
            taken.push(shown);
        }
    }
}

fn resize_policies(report: &mut Report, list: &Path<'_>, container: &Value, spec: &Value) {
    let mut taken = Vec::new();
    for (index, policy) in items(&container["resizePolicy"]).enumerate() {
        let (resource, restart) = (text(policy, "resourceName"), text(policy, "restartPolicy"));
        if taken.contains(&resource) {
            report.duplicate(list.index(index), resource);
        }
        taken.push(resource);
        report.must_be_one_of(list, &policy["resourceName"], RESIZED);
        report.must_be_one_of(list, &policy["restartPolicy"], RESIZE_POLICIES);
        if text(spec, "restartPolicy") == "Never" && restart != "NotRequired" {
            let why = "must be 'NotRequired' when `restartPolicy` is 'Never'";
            report.invalid_text(list, restart, why);
        }
    }
}

/// Pods' images have no space around them; templates' may.
pub(super) fn image_without_space(report: &mut Report, path: &Path<'_>, container: &Value) {
    let image = text(container, "image");
    if image.trim().len() != image.len() {
        let why = "must not have leading or trailing whitespace";
        report.invalid_text(path.field("image"), image, why);
    }
}
