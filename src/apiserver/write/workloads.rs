//! Defaults of pods, the kinds that make them, and services.
//! (kubernetes 1.36: pkg/apis/{core,apps}/v1/defaults.go)

use serde_json::{Value, json};

use crate::machinery::definition::ResourceDefinition;
use crate::machinery::quantity::Quantity;

/// Fills in what decoding a built-in workload kind fills in.
pub(super) fn default(definition: &ResourceDefinition, object: &mut Value) {
    match (&*definition.group, &*definition.kind) {
        ("", "Pod") => {
            default_pod_spec(&mut object["spec"]);
            put(&mut object["spec"], "enableServiceLinks", true);
            default_requests(&mut object["spec"]);
            default_addresses(&mut object["status"]);
        }
        ("", "Service") => default_service(object),
        ("apps", "Deployment") => {
            let spec = template_owner(object);
            put(spec, "replicas", 1);
            put(spec, "revisionHistoryLimit", 10);
            put(spec, "progressDeadlineSeconds", 600);
            let strategy = put(spec, "strategy", json!({}));
            put(strategy, "type", "RollingUpdate");
            if strategy["type"] == "RollingUpdate" {
                let rolling = put(strategy, "rollingUpdate", json!({}));
                put(rolling, "maxSurge", "25%");
                put(rolling, "maxUnavailable", "25%");
            }
        }
        ("apps", "DaemonSet") => {
            let spec = template_owner(object);
            put(spec, "revisionHistoryLimit", 10);
            let strategy = put(spec, "updateStrategy", json!({}));
            put(strategy, "type", "RollingUpdate");
            if strategy["type"] == "RollingUpdate" {
                let rolling = put(strategy, "rollingUpdate", json!({}));
                put(rolling, "maxSurge", 0);
                put(rolling, "maxUnavailable", 1);
            }
        }
        ("apps", "StatefulSet") => {
            let spec = template_owner(object);
            put(spec, "replicas", 1);
            put(spec, "revisionHistoryLimit", 10);
            put(spec, "podManagementPolicy", "OrderedReady");
            let strategy = put(spec, "updateStrategy", json!({}));
            put(strategy, "type", "RollingUpdate");
            if strategy["type"] == "RollingUpdate" {
                put(put(strategy, "rollingUpdate", json!({})), "partition", 0);
            }
        }
        ("apps", "ReplicaSet") => drop(put(template_owner(object), "replicas", 1)),
        ("batch", "Job") => drop(template_owner(object)),
        _ => {}
    }
}

/// The status that a new object of a workload kind starts with.
pub(super) fn initial_status(definition: &ResourceDefinition) -> Option<Value> {
    match (&*definition.group, &*definition.kind) {
        ("", "Pod") => Some(json!({"phase": "Pending", "qosClass": "BestEffort"})),
        ("", "Service") => Some(json!({"loadBalancer": {}})),
        ("apps", "Deployment") => Some(json!({})),
        ("apps", "ReplicaSet") => Some(json!({"replicas": 0})),
        ("apps", "StatefulSet") => Some(json!({"availableReplicas": 0, "replicas": 0})),
        ("apps", "DaemonSet") => Some(json!({
            "currentNumberScheduled": 0,
            "desiredNumberScheduled": 0,
            "numberMisscheduled": 0,
            "numberReady": 0,
        })),
        _ => None,
    }
}

/// What admission gives a new pod: priority and the tolerations of node troubles.
/// (kubernetes 1.36: plugin/pkg/admission/{priority,defaulttolerationseconds})
pub(super) fn admit_pod(pod: &mut Value) {
    pod["status"]["qosClass"] = quality_of_service(&pod["spec"]).into();
    let spec = &mut pod["spec"];
    put(spec, "priority", 0);
    put(spec, "preemptionPolicy", "PreemptLowerPriority");
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

/// How much a pod is promised: all it may use, some of it, or nothing.
/// (kubernetes 1.36: pkg/apis/core/helper/qos)
fn quality_of_service(spec: &Value) -> &'static str {
    let containers = || {
        let lists = [&spec["containers"], &spec["initContainers"]];
        lists.into_iter().filter_map(Value::as_array).flatten()
    };
    let amount = |container: &Value, list: &str, name: &str| {
        let text = container["resources"][list][name].as_str()?;
        Quantity::parse(text).ok().map(|quantity| quantity.milli_value()).filter(|it| *it > 0)
    };
    let names = ["cpu", "memory"];
    let is_guaranteed = |container: &Value| {
        names.iter().all(|name| {
            let limit = amount(container, "limits", name);
            limit.is_some() && limit == amount(container, "requests", name)
        })
    };
    let asks = |container: &Value| {
        names.iter().any(|name| {
            amount(container, "requests", name).or(amount(container, "limits", name)).is_some()
        })
    };
    if containers().all(is_guaranteed) {
        "Guaranteed"
    } else if containers().any(asks) {
        "Burstable"
    } else {
        "BestEffort"
    }
}

/// A pod's first address is one of its addresses.
fn default_addresses(status: &mut Value) {
    for (one, all) in [("podIP", "podIPs"), ("hostIP", "hostIPs")] {
        let Some(address) = status.get(one).and_then(Value::as_str) else { continue };
        if !address.is_empty() && status.get(all).is_none_or(Value::is_null) {
            status[all] = json!([{ "ip": address }]);
        }
    }
}

/// Gives a new service its address, derived from its name, and what follows from it.
pub(super) fn admit_service(service: &mut Value) {
    let kind = service["spec"]["type"].as_str().unwrap_or_default();
    if kind == "ExternalName" {
        return;
    }
    let metadata = &service["metadata"];
    let name = format!("{}/{}", metadata["namespace"], metadata["name"]);
    let spec = &mut service["spec"];
    let hash = name
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    // Within 10.96.0.0/12, above the addresses that clusters give away themselves.
    let [_, a, b, c] = hash.to_be_bytes();
    let address = format!("10.{}.{}.{}", 96 + a % 16, b, c.clamp(11, 254));
    let address = put(spec, "clusterIP", address).clone();
    put(spec, "clusterIPs", json!([address]));
    put(spec, "ipFamilies", json!(["IPv4"]));
    put(spec, "ipFamilyPolicy", "SingleStack");
}

/// The spec of a kind with a pod template, whose defaults are filled in.
fn template_owner(object: &mut Value) -> &mut Value {
    default_pod_spec(&mut object["spec"]["template"]["spec"]);
    &mut object["spec"]
}

fn default_service(service: &mut Value) {
    let spec = &mut service["spec"];
    put(spec, "sessionAffinity", "None");
    let kind = put(spec, "type", "ClusterIP").clone();
    if kind != "ExternalName" {
        put(spec, "internalTrafficPolicy", "Cluster");
    }
    for port in list(spec, "ports") {
        put(port, "protocol", "TCP");
        let number = port["port"].clone();
        put(port, "targetPort", number);
    }
}

fn default_pod_spec(spec: &mut Value) {
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

/// Sets a field that is absent and returns it. Values that hold no fields, which validation
/// refuses, are left alone.
fn put<'a>(object: &'a mut Value, field: &str, value: impl Into<Value>) -> &'a mut Value {
    if object.is_null() {
        *object = json!({});
    }
    if !object.is_object() {
        return object;
    }
    let place = &mut object[field];
    if place.is_null() {
        *place = value.into();
    }
    place
}

/// The items of a list field; none if it is absent.
fn list<'a>(object: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> {
    let list = object.get_mut(field).and_then(Value::as_array_mut);
    list.into_iter().flatten()
}
