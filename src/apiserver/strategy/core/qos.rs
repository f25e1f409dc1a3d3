//! How much a pod is promised: all that it may use, some of it, or nothing.
//! (kubernetes 1.36: pkg/apis/core/v1/helper/qos/qos.go)

use serde_json::Value;

use crate::apiserver::strategy::fields::items;
use crate::apiserver::strategy::resources::amount;
use crate::machinery::quantity::Quantity;

const COUNTED: [&str; 2] = ["cpu", "memory"];

/// The class of a pod with this spec.
pub(super) fn class(spec: &Value) -> &'static str {
    let own = &spec["resources"];
    if own.is_object() && (own["requests"].is_object() || own["limits"].is_object()) {
        return match (is_guaranteed(own), asks(own)) {
            (true, _) => "Guaranteed",
            (false, true) => "Burstable",
            (false, false) => "BestEffort",
        };
    }
    let resources = || {
        let lists = [&spec["containers"], &spec["initContainers"]];
        lists.into_iter().flat_map(items).map(|container| &container["resources"])
    };
    if resources().all(is_guaranteed) {
        "Guaranteed"
    } else if resources().any(asks) {
        "Burstable"
    } else {
        "BestEffort"
    }
}

fn positive(list: &Value, name: &str) -> Option<Quantity> {
    amount(list, name).filter(Quantity::is_positive)
}

fn is_guaranteed(resources: &Value) -> bool {
    COUNTED.iter().all(|name| {
        let limit = positive(&resources["limits"], name);
        limit.is_some() && limit == positive(&resources["requests"], name)
    })
}

fn asks(resources: &Value) -> bool {
    COUNTED.iter().any(|name| {
        positive(&resources["requests"], name).or(positive(&resources["limits"], name)).is_some()
    })
}
