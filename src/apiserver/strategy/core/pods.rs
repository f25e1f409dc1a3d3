//! Pods. (kubernetes 1.36: pkg/registry/core/pod/strategy.go, pkg/apis/core/v1/defaults.go)

use serde_json::{Value, json};

use super::{pod_status, pod_update, qos};
use crate::apiserver::strategy::fields::{items, list, put, remove, text};
use crate::apiserver::strategy::pod_spec::{
    Owner, annotations, containers_of, default_pod_spec, pod_resources, pod_spec, warnings,
};
use crate::apiserver::strategy::report::{Path, Report};
use crate::apiserver::strategy::{Change, NONE, Rules};
use crate::apiserver::write::Target;
use crate::machinery::status::Cause;

/// Of Pods.
pub(super) const RULES: Rules = Rules {
    default,
    initial_status: || Some(json!({"phase": "Pending"})),
    prepare_create,
    prepare_update,
    validate,
    warnings: |change| match change.target {
        Target::Status => Vec::new(),
        _ => warnings::of_pod(change.new, change.old),
    },
    ..NONE
};

fn default(pod: &mut Value) {
    let spec = &mut pod["spec"];
    default_pod_spec(spec);
    put(spec, "enableServiceLinks", true);
    if spec["terminationGracePeriodSeconds"].as_i64().is_some_and(|seconds| seconds < 0) {
        spec["terminationGracePeriodSeconds"] = 1.into();
    }
    default_requests(spec);
    pod_resources::default(spec);
    if spec["hostNetwork"] == true {
        default_host_ports(spec);
    }
    if let Some(status) = pod.get_mut("status") {
        default_addresses(status);
    }
}

fn prepare_create(pod: &mut Value) {
    let class = qos::class(&pod["spec"]);
    // Mirrors of static pods come with the status that their kubelet reports.
    put(&mut pod["status"], "qosClass", class);
    if items(&pod["spec"]["schedulingGates"]).next().is_some() {
        let condition = json!({
            "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
            "lastProbeTime": null, "lastTransitionTime": null,
        });
        put(&mut pod["status"], "conditions", json!([condition]));
    }
    admit(pod);
}

/// A write of a subresource changes what that is about, and nothing else.
fn prepare_update(new: &mut Value, old: &Value, target: Target) {
    match target {
        Target::Status => {
            // Old kubelets spoil owner references.
            match old["metadata"].get("ownerReferences") {
                Some(owners) => new["metadata"]["ownerReferences"] = owners.clone(),
                None => remove(&mut new["metadata"], "ownerReferences"),
            }
            if text(&new["status"], "qosClass").is_empty() && old["status"]["qosClass"].is_string()
            {
                new["status"]["qosClass"] = old["status"]["qosClass"].clone();
            }
        }
        Target::EphemeralContainers => {
            let added = new["spec"]["ephemeralContainers"].take();
            keep(new, old);
            if !added.is_null() {
                new["spec"]["ephemeralContainers"] = added;
            }
        }
        Target::Resize => {
            let wanted = new["spec"].take();
            keep(new, old);
            for field in ["containers", "initContainers"] {
                for container in list(&mut new["spec"], field) {
                    resize(container, &wanted[field]);
                }
            }
        }
        Target::Main => admit_change(new, old),
        Target::Finalize | Target::Scale | Target::Approval => {}
    }
}

/// Replaces a pod by the stored one, but for who owns its fields.
fn keep(new: &mut Value, old: &Value) {
    let owned = new["metadata"]["managedFields"].take();
    *new = old.clone();
    match owned {
        Value::Null => remove(&mut new["metadata"], "managedFields"),
        owned => new["metadata"]["managedFields"] = owned,
    }
}

/// Takes over what a resize may change.
fn resize(container: &mut Value, wanted: &Value) {
    let Some(wanted) = items(wanted).find(|other| other["name"] == container["name"]) else {
        return;
    };
    for field in ["resources", "resizePolicy"] {
        match wanted.get(field) {
            Some(value) => container[field] = value.clone(),
            None => remove(container, field),
        }
    }
}

fn validate(change: &Change<'_>) -> Vec<Cause> {
    let mut report = Report::default();
    match (change.old, change.target) {
        (None, _) => check_new(&mut report, change.new),
        (Some(old), Target::Status) => pod_status::check(&mut report, change.new, old),
        (Some(old), Target::EphemeralContainers) => {
            check_pod(&mut report, change.new);
            pod_update::ephemeral_containers(&mut report, change.new, old);
        }
        (Some(old), Target::Resize) => {
            check_pod(&mut report, change.new);
            pod_update::resize(&mut report, change.new, old);
        }
        (Some(old), Target::Main | Target::Finalize | Target::Scale | Target::Approval) => {
            // What did not change was checked when it was written.
            if change.new["spec"] != old["spec"] {
                check_pod(&mut report, change.new);
                pod_update::spec(&mut report, &change.new["spec"], &old["spec"]);
            }
            pod_update::annotations(&mut report, change.new, old);
        }
    }
    report.into_causes()
}

fn check_new(report: &mut Report, pod: &Value) {
    check_pod(report, pod);
    let (spec, path) = (&pod["spec"], Path::Root("spec"));
    let has = |field: &str| items(&spec[field]).next().is_some();
    if has("ephemeralContainers") {
        report.forbidden(path.field("ephemeralContainers"), "cannot be set on create");
    }
    if !text(spec, "nodeName").is_empty() && has("schedulingGates") {
        let why = "cannot be set until all schedulingGates have been cleared";
        report.forbidden(path.field("nodeName"), why);
    }
}

/// Checks a pod as it stands. (kubernetes 1.36: validatePodMetadataAndSpec)
fn check_pod(report: &mut Report, pod: &Value) {
    let (metadata, spec) = (&pod["metadata"], &pod["spec"]);
    let (place, path) = (Path::Root("metadata.annotations"), Path::Root("spec"));
    annotations::annotations(report, &place, metadata, spec);
    pod_spec(report, &path, spec, &Owner::Pod(metadata));
    if text(spec, "serviceAccountName").is_empty() {
        let volumes = path.field("volumes");
        for (index, volume) in items(&spec["volumes"]).enumerate() {
            let path = volumes.index(index);
            let path = path.field("projected");
            let sources = path.field("sources");
            for (index, source) in items(&volume["projected"]["sources"]).enumerate() {
                if source["serviceAccountToken"].is_object() {
                    let why = "must not be specified when serviceAccountName is not set";
                    report.forbidden(sources.index(index).field("serviceAccountToken"), why);
                }
            }
        }
    }
    for (field, index, container) in containers_of(spec) {
        let image = text(container, "image");
        if field != "ephemeralContainers" && image.trim().len() != image.len() {
            let why = "must not have leading or trailing whitespace";
            report.invalid_text(path.field(field).index(index).field("image"), image, why);
        }
    }
}

/// What admission gives a new pod: priority and the tolerations of node troubles.
/// (kubernetes 1.36: plugin/pkg/admission/{priority,defaulttolerationseconds})
fn admit(pod: &mut Value) {
    let spec = &mut pod["spec"];
    put(spec, "priority", 0);
    put(spec, "preemptionPolicy", "PreemptLowerPriority");
    tolerate(spec);
}

/// What admission gives a changed pod again that its writer left out.
fn admit_change(pod: &mut Value, old: &Value) {
    let spec = &mut pod["spec"];
    for field in ["priority", "preemptionPolicy"] {
        if let Some(value) = old["spec"].get(field) {
            put(spec, field, value.clone());
        }
    }
    tolerate(spec);
}

/// Pods stay for a while on nodes that are lost. (plugin/pkg/admission/defaulttolerationseconds)
fn tolerate(spec: &mut Value) {
    let tolerations = put(spec, "tolerations", json!([]));
    let Some(tolerations) = tolerations.as_array_mut() else { return };
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerated = tolerations.iter().any(|toleration| {
            let (known, effect) = (&toleration["key"], &toleration["effect"]);
            (known == key || known.is_null()) && (effect == "NoExecute" || effect.is_null())
        });
        if !tolerated {
            tolerations.push(json!({
                "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
            }));
        }
    }
}

/// What is limited is requested, unless the pod says otherwise.
fn default_requests(spec: &mut Value) {
    for containers in ["containers", "initContainers"] {
        for container in list(spec, containers) {
            let Some(limits) = container["resources"]["limits"].as_object().cloned() else {
                continue;
            };
            let requests = put(&mut container["resources"], "requests", json!({}));
            for (name, limit) in limits {
                put(requests, &name, limit);
            }
        }
    }
}

/// On the host's network a container's port is the host's.
fn default_host_ports(spec: &mut Value) {
    for containers in ["containers", "initContainers"] {
        for container in list(spec, containers) {
            for port in list(container, "ports") {
                let number = port["containerPort"].clone();
                if port["hostPort"].as_i64().unwrap_or(0) == 0 && !number.is_null() {
                    port["hostPort"] = number;
                }
            }
        }
    }
}

/// The address and the list of addresses say the same. Of a pod's, Go knows the list alone; the
/// single one counts where they differ, for the sake of old kubelets.
fn default_addresses(status: &mut Value) {
    for (one, all) in [("podIP", "podIPs"), ("hostIP", "hostIPs")] {
        let address = text(status, one).to_owned();
        let first = text(&status[all][0], "ip").to_owned();
        if first.is_empty() && !address.is_empty() {
            status[all] = json!([{ "ip": address }]);
        } else if one == "podIP" && address.is_empty() && !first.is_empty() {
            status[one] = first.into();
        } else if one == "podIP" && address != first {
            status[all] = json!([{ "ip": address }]);
        }
    }
}
