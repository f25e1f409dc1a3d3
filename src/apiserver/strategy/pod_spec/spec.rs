//! The spec of a pod as a whole. (kubernetes 1.36: pkg/apis/core/validation/validation.go,
//! ValidatePodSpec, ValidatePodTemplateSpec)

use serde_json::Value;

use super::containers::{Pod, containers};
use super::volumes::volumes;
use super::{Owner, annotations, claims, dns, pod_resources, scheduling, security, windows};
use crate::apiserver::strategy::fields::{items, text};
use crate::apiserver::strategy::report::{Path, Report};
use crate::apiserver::strategy::resources::{Holder, requirements};
use crate::apiserver::strategy::{formats, labels};

const RESTART_POLICIES: &[&str] = &["Always", "OnFailure", "Never"];
const PREEMPTIONS: &[&str] = &["PreemptLowerPriority", "Never"];
const USERS: &str = "when `pod.Spec.HostUsers` is false";

/// Checks the spec of a pod or a template.
pub(in crate::apiserver::strategy) fn pod_spec(
    report: &mut Report,
    path: &Path<'_>,
    spec: &Value,
    owner: &Owner<'_>,
) {
    if spec["terminationGracePeriodSeconds"].is_null() {
        report.required(path.field("terminationGracePeriodSeconds"), "");
    }
    let names = items(&spec["resourceClaims"]).map(|claim| text(claim, "name"));
    let pod = Pod {
        spec,
        volumes: volumes(report, &path.field("volumes"), spec, owner),
        claims: names.filter(|name| !name.is_empty()).collect(),
        is_pod: owner.is_pod(),
    };
    claims::resource_claims(report, &path.field("resourceClaims"), spec);
    containers(report, path, &pod);
    pod_resources::check(report, &path.field("resources"), spec);
    host_network(report, &path.field("containers"), &pod);
    report.must_be_one_of(path.field("restartPolicy"), &spec["restartPolicy"], RESTART_POLICIES);
    report.must_be_one_of(path.field("dnsPolicy"), &spec["dnsPolicy"], dns::POLICIES);
    labels::labels(report, &path.field("nodeSelector"), &spec["nodeSelector"]);
    security::pod(report, &path.field("securityContext"), spec);
    scheduling::affinity(report, &path.field("affinity"), &spec["affinity"]);
    dns::config(report, &path.field("dnsConfig"), spec);
    scheduling::gates(report, path, spec);
    scheduling::spread(report, &path.field("topologySpreadConstraints"), spec);
    windows::host_processes(report, path, spec);
    host_users(report, path, spec);
    for field in ["serviceAccountName", "nodeName", "priorityClassName"] {
        let name = text(spec, field);
        if !name.is_empty() {
            formats::subdomain(report, &path.field(field), name);
        }
    }
    active_deadline(report, path, spec);
    dns::host_names(report, path, spec);
    scheduling::tolerations(report, &path.field("tolerations"), &spec["tolerations"]);
    dns::host_aliases(report, &path.field("hostAliases"), spec);
    if let Some(name) = spec["runtimeClassName"].as_str() {
        formats::subdomain(report, &path.field("runtimeClassName"), name);
    }
    if !spec["preemptionPolicy"].is_null() {
        let place = path.field("preemptionPolicy");
        report.must_be_one_of(place, &spec["preemptionPolicy"], PREEMPTIONS);
    }
    overhead(report, &path.field("overhead"), spec);
    windows::system(report, path, spec);
}

/// Checks the metadata of a template at `path`.
pub(in crate::apiserver::strategy) fn template_metadata(
    report: &mut Report,
    path: &Path<'_>,
    template: &Value,
) {
    let (metadata, spec) = (&template["metadata"], &template["spec"]);
    labels::labels(report, &path.field("labels"), &metadata["labels"]);
    let place = path.field("annotations");
    labels::annotations(report, &place, &metadata["annotations"]);
    annotations::annotations(report, &place, metadata, spec);
}

/// Checks the metadata and spec of a template at `path`.
pub(in crate::apiserver::strategy) fn template(
    report: &mut Report,
    path: &Path<'_>,
    template: &Value,
) {
    let spec = &template["spec"];
    template_metadata(report, path, template);
    pod_spec(report, &path.field("spec"), spec, &Owner::Template);
    if items(&spec["ephemeralContainers"]).next().is_some() {
        let why = "ephemeral containers not allowed in pod template";
        report.forbidden(path.field("spec").field("ephemeralContainers"), why);
    }
}

fn active_deadline(report: &mut Report, path: &Path<'_>, spec: &Value) {
    if let Some(seconds) = spec["activeDeadlineSeconds"].as_i64()
        && !(1..=i64::from(i32::MAX)).contains(&seconds)
    {
        let why = "must be between 1 and 2147483647, inclusive";
        report.invalid_number(path.field("activeDeadlineSeconds"), seconds, why);
    }
}

/// On the host's network a container's port is the host's.
fn host_network(report: &mut Report, list: &Path<'_>, pod: &Pod<'_>) {
    if pod.spec["hostNetwork"] != true {
        return;
    }
    for (index, container) in items(&pod.spec["containers"]).enumerate() {
        let path = list.index(index);
        let ports = path.field("ports");
        for (index, port) in items(&container["ports"]).enumerate() {
            let number = |field: &str| port[field].as_i64().unwrap_or(0);
            let (host, container) = (number("hostPort"), number("containerPort"));
            if (pod.is_pod || host != 0) && host != container {
                let why = "must match `containerPort` when `hostNetwork` is true";
                report.invalid_number(ports.index(index).field("hostPort"), host, why);
            }
        }
    }
}

fn host_users(report: &mut Report, path: &Path<'_>, spec: &Value) {
    if spec["hostUsers"] != false {
        return;
    }
    for (field, shown) in
        [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")]
    {
        if spec[field] == true {
            report.forbidden(path.field(shown), USERS);
        }
    }
}

/// What a runtime costs is checked like limits.
fn overhead(report: &mut Report, path: &Path<'_>, spec: &Value) {
    if spec["overhead"].is_object() {
        let limits = serde_json::json!({ "limits": spec["overhead"] });
        requirements(report, path, &limits, (Holder::Container, &[]));
    }
}
