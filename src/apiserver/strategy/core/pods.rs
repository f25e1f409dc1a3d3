//! Pods. (kubernetes 1.36: pkg/registry/core/pod/strategy.go, pkg/apis/core/v1/defaults.go)

use serde_json::{Value, json};

use crate::apiserver::strategy::fields::{list, one_of, put};
use crate::apiserver::strategy::pod_spec::{check_spec, default_pod_spec};
use crate::apiserver::strategy::{Change, NONE, Rules};
use crate::machinery::quantity::Quantity;
use crate::machinery::status::Cause;

/// Of Pods.
pub(super) const RULES: Rules = Rules {
    default,
    initial_status: || Some(json!({"phase": "Pending", "qosClass": "BestEffort"})),
    prepare_create: admit_pod,
    validate,
    ..NONE
};

const RESTART_POLICIES: &[&str] = &["Always", "OnFailure", "Never"];

fn default(pod: &mut Value) {
    default_pod_spec(&mut pod["spec"]);
    put(&mut pod["spec"], "enableServiceLinks", true);
    default_requests(&mut pod["spec"]);
    default_addresses(&mut pod["status"]);
}

/// Specs that do not change are not checked again.
fn validate(change: &Change<'_>) -> Vec<Cause> {
    let (new, mut causes) = (change.new, Vec::new());
    if change.old.is_some_and(|old| old["spec"] == new["spec"]) {
        return causes;
    }
    check_spec(&new["spec"], "spec", &[], &mut causes);
    one_of(&new["spec"]["restartPolicy"], "spec.restartPolicy", RESTART_POLICIES, &mut causes);
    let ephemeral = &new["spec"]["ephemeralContainers"];
    if change.old.is_none() && ephemeral.as_array().is_some_and(|list| !list.is_empty()) {
        causes.push(Cause::forbidden("spec.ephemeralContainers", "cannot be set on create"));
    }
    causes
}

/// What admission gives a new pod: priority and the tolerations of node troubles.
/// (kubernetes 1.36: plugin/pkg/admission/{priority,defaulttolerationseconds})
fn admit_pod(pod: &mut Value) {
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

/// A pod's first address is one of its addresses.
fn default_addresses(status: &mut Value) {
    for (one, all) in [("podIP", "podIPs"), ("hostIP", "hostIPs")] {
        let Some(address) = status.get(one).and_then(Value::as_str) else { continue };
        if !address.is_empty() && status.get(all).is_none_or(Value::is_null) {
            status[all] = json!([{ "ip": address }]);
        }
    }
}
