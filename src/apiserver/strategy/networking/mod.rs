//! Kinds of the group `networking.k8s.io`.
//! (kubernetes 1.36: pkg/apis/networking/{v1/defaults.go,validation})

mod addresses;
mod ingress;
mod policy;
#[cfg(test)]
mod tests;

use serde_json::Value;

use super::fields::{list, put};
use super::{NONE, Rules};
use crate::apiserver::bootstrap::Objects;

const INGRESS: Rules = Rules { validate: ingress::validate, warnings: ingress::warnings, ..NONE };

const INGRESS_CLASS: Rules =
    Rules { default: default_class, validate: ingress::validate_class, ..NONE };

const NETWORK_POLICY: Rules = Rules { default: default_policy, validate: policy::validate, ..NONE };

const IP_ADDRESS: Rules = Rules { validate: addresses::validate_address, ..NONE };

const SERVICE_CIDR: Rules =
    Rules { validate: addresses::validate_blocks, bootstrap: Some(Objects::ServiceCidrs), ..NONE };

/// The rules of a kind.
pub(super) fn rules(kind: &str) -> &'static Rules {
    match kind {
        "IPAddress" => &IP_ADDRESS,
        "Ingress" => &INGRESS,
        "IngressClass" => &INGRESS_CLASS,
        "NetworkPolicy" => &NETWORK_POLICY,
        "ServiceCIDR" => &SERVICE_CIDR,
        _ => &NONE,
    }
}

fn default_class(class: &mut Value) {
    let parameters = &mut class["spec"]["parameters"];
    if parameters.is_object() {
        put(parameters, "scope", "Cluster");
    } else if let Some(spec) = class["spec"].as_object_mut() {
        spec.retain(|name, value| name != "parameters" || !value.is_null());
    }
}

fn default_policy(policy: &mut Value) {
    let spec = &mut policy["spec"];
    if !spec.is_object() {
        return;
    }
    for rules in ["ingress", "egress"] {
        for rule in list(spec, rules) {
            for port in list(rule, "ports") {
                put(port, "protocol", "TCP");
            }
        }
    }
    let is_empty = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
    if is_empty(&spec["policyTypes"]) {
        let types: &[&str] =
            if is_empty(&spec["egress"]) { &["Ingress"] } else { &["Ingress", "Egress"] };
        spec["policyTypes"] = types.iter().copied().collect();
        if let Some(spec) = spec.as_object_mut() {
            spec.retain(|_, value| !value.is_null());
        }
    }
}
