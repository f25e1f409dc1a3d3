//! Defaults of pod specs.

use serde_json::{Value, json};

use crate::apiserver::strategy::fields::{list, put};

/// The spec of a kind with a pod template, whose defaults are filled in.
pub(in crate::apiserver::strategy) fn template_owner(object: &mut Value) -> &mut Value {
    default_pod_spec(&mut object["spec"]["template"]["spec"]);
    &mut object["spec"]
}

/// Fills in a pod spec.
pub(in crate::apiserver::strategy) fn default_pod_spec(spec: &mut Value) {
    put(spec, "restartPolicy", "Always");
    put(spec, "dnsPolicy", "ClusterFirst");
    put(spec, "schedulerName", "default-scheduler");
    put(spec, "securityContext", json!({}));
    put(spec, "terminationGracePeriodSeconds", 30);
    for containers in ["containers", "initContainers"] {
        for container in list(spec, containers) {
            default_container(container);
        }
    }
    for volume in list(spec, "volumes") {
        for source in ["secret", "configMap", "downwardAPI", "projected"] {
            if volume[source].is_object() {
                put(&mut volume[source], "defaultMode", 420);
            }
        }
        if volume["hostPath"].is_object() {
            put(&mut volume["hostPath"], "type", "");
        }
    }
}

fn default_container(container: &mut Value) {
    let image = container["image"].as_str().unwrap_or_default();
    let name = image.rsplit('/').next().unwrap_or_default();
    let latest = !image.contains('@') && (!name.contains(':') || name.ends_with(":latest"));
    put(container, "imagePullPolicy", if latest { "Always" } else { "IfNotPresent" });
    put(container, "resources", json!({}));
    put(container, "terminationMessagePath", "/dev/termination-log");
    put(container, "terminationMessagePolicy", "File");
    for port in list(container, "ports") {
        put(port, "protocol", "TCP");
    }
    for variable in list(container, "env") {
        if variable["valueFrom"]["fieldRef"].is_object() {
            put(&mut variable["valueFrom"]["fieldRef"], "apiVersion", "v1");
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = container.get_mut(probe).filter(|probe| probe.is_object()) else {
            continue;
        };
        put(probe, "timeoutSeconds", 1);
        put(probe, "periodSeconds", 10);
        put(probe, "successThreshold", 1);
        put(probe, "failureThreshold", 3);
        if probe["httpGet"].is_object() {
            put(&mut probe["httpGet"], "path", "/");
            put(&mut probe["httpGet"], "scheme", "HTTP");
        }
    }
}
