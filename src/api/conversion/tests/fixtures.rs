//! What random objects must say so that they can come back.

use serde_json::{Map, Value, json};

/// Does something to every object of a tree, the innermost first.
pub(super) fn walk(value: &mut Value, act: &mut dyn FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(|value| walk(value, act));
            act(fields);
        }
        Value::Array(list) => list.iter_mut().for_each(|value| walk(value, act)),
        _ => {}
    }
}

/// What Go has no difference for: fields of the hub that are structs or lists, and empty.
pub(super) fn forget_blanks(value: &mut Value) {
    walk(value, &mut |fields| {
        fields.retain(|_, value| match value {
            Value::Object(fields) => !fields.is_empty(),
            Value::Array(list) => !list.is_empty(),
            value => !value.is_null(),
        });
    });
}

/// The like in spokes, where most fields are no pointers.
pub(super) fn forget_zeros(value: &mut Value) {
    walk(value, &mut |fields| {
        fields.retain(|_, value| match value {
            Value::Object(fields) => !fields.is_empty(),
            Value::Array(list) => !list.is_empty(),
            Value::String(text) => !text.is_empty() && text != "0s",
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::Bool(is_set) => *is_set,
            Value::Null => false,
        });
    });
}

/// Makes an object of the hub one that upstream's conversions bring back.
pub(super) fn settle_hub(object: &mut Value) {
    forget_blanks(object);
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    walk(object, &mut |fields| {
        if fields.contains_key("apiGroup") && fields.contains_key("kind") {
            fields.insert("apiGroup".to_owned(), "infrastructure.cluster.x-k8s.io".into());
            fields.insert("kind".to_owned(), "DevMachineTemplate".into());
        }
        for name in ["extraArgs", "kubeletExtraArgs"] {
            if let Some(Value::Array(list)) = fields.get_mut(name) {
                settle_arguments(list);
            }
        }
        if let Some(Value::Array(list)) = fields.get_mut("failureDomains") {
            settle_domains(list);
        }
        if let Some(Value::Array(list)) = fields.get_mut("partitions") {
            for partition in list.iter_mut().filter(|it| it["layout"].is_null()) {
                partition["layout"] = json!(false);
            }
        }
        settle_kubeadm(fields);
    });
    if object["status"]["deprecated"]["v1beta1"].is_null() {
        walk(object, &mut |fields| drop(fields.remove("deprecated")));
    }
    let counters: &[&str] = match kind.as_str() {
        "MachineSet" => &["availableReplicas", "fullyLabeledReplicas", "readyReplicas"],
        "MachineDeployment" => {
            &["availableReplicas", "unavailableReplicas", "updatedReplicas", "readyReplicas"]
        }
        "KubeadmControlPlane" => &["unavailableReplicas", "updatedReplicas", "readyReplicas"],
        _ => &[],
    };
    for counter in counters {
        if object["status"]["deprecated"]["v1beta1"][counter].is_null() {
            object["status"]["deprecated"]["v1beta1"][counter] = json!(0);
        }
    }
    if (!counters.is_empty() || kind == "MachinePool") && object["status"]["replicas"].is_null() {
        object["status"]["replicas"] = json!(0);
    }
    // MachineSets of v1beta1 cannot tell zero from nothing, and keep no annotation.
    let template = object.pointer_mut("/spec/template/spec").and_then(Value::as_object_mut);
    if kind == "MachineSet"
        && let Some(spec) = template
        && spec.get("minReadySeconds") == Some(&json!(0))
    {
        spec.remove("minReadySeconds");
    }
    forget_blanks(object);
}

fn settle_arguments(list: &mut Vec<Value>) {
    for argument in list.iter_mut() {
        if argument["value"].is_null() {
            argument["value"] = json!("");
        }
    }
    let name = |argument: &Value| argument["name"].as_str().unwrap_or_default().to_owned();
    list.sort_by_key(name);
    list.dedup_by_key(|argument| name(argument));
}

fn settle_domains(list: &mut Vec<Value>) {
    let is_domain = |item: &Value| item.get("name").is_some();
    if !list.iter().all(is_domain) {
        return;
    }
    for domain in list.iter_mut() {
        if domain["controlPlane"].is_null() {
            domain["controlPlane"] = json!(true);
        }
    }
    let name = |domain: &Value| domain["name"].as_str().unwrap_or_default().to_owned();
    list.sort_by_key(name);
    list.dedup_by_key(|domain| name(domain));
}

/// One timeout is in v1beta1 the same for the first control plane and those that join.
fn settle_kubeadm(fields: &mut Map<String, Value>) {
    const TIMEOUT: &str = "controlPlaneComponentHealthCheckSeconds";
    let init = fields.get("initConfiguration").map(|it| it["timeouts"][TIMEOUT].clone());
    let init = init.unwrap_or_default();
    let is_spec = fields.contains_key("joinConfiguration") || !init.is_null();
    if !is_spec {
        return;
    }
    let join = fields.entry("joinConfiguration").or_insert_with(|| json!({}));
    match init {
        Value::Null => {
            if let Some(timeouts) = join.get_mut("timeouts").and_then(Value::as_object_mut) {
                timeouts.remove(TIMEOUT);
            }
        }
        seconds => join["timeouts"][TIMEOUT] = seconds,
    }
}

/// Fields of spokes that the hub has not.
const FORGOTTEN: [&str; 6] = [
    "definitionFrom",
    "progressDeadlineSeconds",
    "revisionHistoryLimit",
    "useExperimentalRetryJoin",
    "networking",
    "kubernetesVersion",
];

/// Makes an object of a spoke one that upstream's conversions bring back.
pub(super) fn settle_spoke(object: &mut Value) {
    forget_zeros(object);
    let metadata = object["metadata"].take();
    let names = (object["apiVersion"].take(), object["kind"].take());
    walk(object, &mut |fields| {
        for name in FORGOTTEN {
            fields.remove(name);
        }
        for name in ["clusterConfiguration", "initConfiguration", "joinConfiguration"] {
            if let Some(Value::Object(document)) = fields.get_mut(name) {
                for name in ["apiVersion", "kind", "clusterName"] {
                    document.remove(name);
                }
            }
        }
        for name in ["infrastructureRef", "controlPlaneRef", "configRef"] {
            if let Some(reference) = fields.get_mut(name) {
                *reference = json!({
                    "apiVersion": "infrastructure.cluster.x-k8s.io/v1beta2",
                    "kind": "DevMachineTemplate", "name": "bar", "namespace": "foo",
                });
            }
        }
        for name in ["ref", "remediationTemplate"] {
            if let Some(reference) = fields.get_mut(name) {
                *reference = json!({
                    "apiVersion": "a.b/v1", "kind": "Kind", "name": "bar", "namespace": "foo",
                });
            }
        }
        if let Some(node) = fields.get_mut("nodeRef") {
            *node = json!({"apiVersion": "v1", "kind": "Node", "name": "bar"});
        }
    });
    (object["apiVersion"], object["kind"]) = names;
    object["metadata"] = metadata;
    if let Some(topology) = object.pointer_mut("/spec/topology").and_then(Value::as_object_mut) {
        topology.remove("rolloutAfter");
    }
    match object["kind"].as_str() {
        Some("KubeadmControlPlane") => {
            let is_ready = object["status"]["readyReplicas"].as_i64().unwrap_or_default() > 0;
            object["status"]["ready"] = is_ready.into();
        }
        Some("KubeadmControlPlaneTemplate") => {
            let strategy = object.pointer_mut("/spec/template/spec/rolloutStrategy");
            if let Some(strategy) = strategy {
                strategy["type"] = "RollingUpdate".into();
            }
        }
        _ => {}
    }
    forget_zeros(object);
}
