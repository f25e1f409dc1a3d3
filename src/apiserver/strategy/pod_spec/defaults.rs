//! Defaults of pod specs. (kubernetes 1.36: pkg/apis/core/v1/{defaults,conversion}.go)

use serde_json::{Value, json};

use crate::apiserver::strategy::fields::{fill, list, put};

const FILE_MODE: i32 = 0o644;
const TOKEN_SECONDS: i32 = 3600;

/// The spec of a kind with a pod template, whose defaults are filled in.
pub(in crate::apiserver::strategy) fn template_owner(object: &mut Value) -> &mut Value {
    default_pod_spec(&mut object["spec"]["template"]["spec"]);
    &mut object["spec"]
}

/// Fills in a pod spec.
pub(in crate::apiserver::strategy) fn default_pod_spec(spec: &mut Value) {
    fill(spec, "restartPolicy", "Always");
    fill(spec, "dnsPolicy", "ClusterFirst");
    fill(spec, "schedulerName", "default-scheduler");
    put(spec, "securityContext", json!({}));
    put(spec, "terminationGracePeriodSeconds", 30);
    account(spec);
    for containers in ["containers", "initContainers", "ephemeralContainers"] {
        for container in list(spec, containers) {
            default_container(container);
        }
    }
    for volume in list(spec, "volumes") {
        default_volume(volume);
    }
    for constraint in list(spec, "topologySpreadConstraints") {
        if constraint["matchLabelKeys"].as_array().is_some_and(Vec::is_empty) {
            super::super::fields::remove(constraint, "matchLabelKeys");
        }
    }
}

/// The service account has two names, of which the newer one counts.
fn account(spec: &mut Value) {
    let name = |field: &str| spec[field].as_str().filter(|name| !name.is_empty());
    let Some(name) = name("serviceAccountName").or(name("serviceAccount")) else { return };
    let name = Value::from(name);
    if spec["serviceAccountName"] != name || spec["serviceAccount"] != name {
        spec["serviceAccountName"] = name.clone();
        spec["serviceAccount"] = name;
    }
}

fn default_container(container: &mut Value) {
    let image = container["image"].as_str().unwrap_or_default();
    let policy = pull_policy(image);
    fill(container, "imagePullPolicy", policy);
    put(container, "resources", json!({}));
    fill(container, "terminationMessagePath", "/dev/termination-log");
    fill(container, "terminationMessagePolicy", "File");
    for port in list(container, "ports") {
        fill(port, "protocol", "TCP");
    }
    for variable in list(container, "env") {
        let Some(from) = variable.get_mut("valueFrom") else { continue };
        if from["fieldRef"].is_object() {
            fill(&mut from["fieldRef"], "apiVersion", "v1");
        }
        if from["fileKeyRef"].is_object() {
            put(&mut from["fileKeyRef"], "optional", false);
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(name).filter(|probe| probe.is_object()) {
            default_probe(probe);
        }
    }
    for hook in ["postStart", "preStop"] {
        if container["lifecycle"][hook]["httpGet"].is_object() {
            default_http_get(&mut container["lifecycle"][hook]["httpGet"]);
        }
    }
}

/// Images that may change behind their names are pulled always.
pub(super) fn pull_policy(image: &str) -> &'static str {
    let name = image.rsplit('/').next().unwrap_or_default();
    let latest = !image.contains('@') && (!name.contains(':') || name.ends_with(":latest"));
    if latest { "Always" } else { "IfNotPresent" }
}

fn default_probe(probe: &mut Value) {
    fill(probe, "timeoutSeconds", 1);
    fill(probe, "periodSeconds", 10);
    fill(probe, "successThreshold", 1);
    fill(probe, "failureThreshold", 3);
    if probe["httpGet"].is_object() {
        default_http_get(&mut probe["httpGet"]);
    }
    if probe["grpc"].is_object() {
        put(&mut probe["grpc"], "service", "");
    }
}

fn default_http_get(action: &mut Value) {
    fill(action, "path", "/");
    fill(action, "scheme", "HTTP");
}

fn default_volume(volume: &mut Value) {
    let has_source = volume
        .as_object()
        .is_some_and(|it| it.iter().any(|(name, value)| name != "name" && !value.is_null()));
    if !has_source {
        put(volume, "emptyDir", json!({}));
        return;
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if volume[source].is_object() {
            put(&mut volume[source], "defaultMode", FILE_MODE);
        }
    }
    let defaults: [(&str, &[(&str, Value)]); 5] = [
        ("hostPath", &[("type", "".into())]),
        ("iscsi", &[("iscsiInterface", "default".into())]),
        (
            "rbd",
            &[
                ("pool", "rbd".into()),
                ("user", "admin".into()),
                ("keyring", "/etc/ceph/keyring".into()),
            ],
        ),
        (
            "azureDisk",
            &[
                ("cachingMode", "ReadWrite".into()),
                ("kind", "Shared".into()),
                ("fsType", "ext4".into()),
                ("readOnly", false.into()),
            ],
        ),
        ("scaleIO", &[("storageMode", "ThinProvisioned".into()), ("fsType", "xfs".into())]),
    ];
    for (source, fields) in defaults {
        if volume[source].is_object() {
            for (field, value) in fields {
                put(&mut volume[source], field, value.clone());
            }
        }
    }
    default_composed(volume);
}

fn default_composed(volume: &mut Value) {
    let reference = |file: &mut Value| {
        if file["fieldRef"].is_object() {
            fill(&mut file["fieldRef"], "apiVersion", "v1");
        }
    };
    if volume["downwardAPI"].is_object() {
        list(&mut volume["downwardAPI"], "items").for_each(reference);
    }
    if volume["projected"].is_object() {
        for source in list(&mut volume["projected"], "sources") {
            if source["serviceAccountToken"].is_object() {
                put(&mut source["serviceAccountToken"], "expirationSeconds", TOKEN_SECONDS);
            }
            if source["downwardAPI"].is_object() {
                list(&mut source["downwardAPI"], "items").for_each(reference);
            }
        }
    }
    if volume["ephemeral"]["volumeClaimTemplate"].is_object() {
        let spec = &mut volume["ephemeral"]["volumeClaimTemplate"]["spec"];
        put(spec, "volumeMode", "Filesystem");
    }
    if volume["image"].is_object() {
        let policy = pull_policy(volume["image"]["reference"].as_str().unwrap_or_default());
        fill(&mut volume["image"], "pullPolicy", policy);
    }
}
