//! Services. (kubernetes 1.36: pkg/registry/core/service, pkg/apis/core/v1/defaults.go)

use serde_json::{Value, json};

use crate::apiserver::strategy::fields::{list, put};
use crate::apiserver::strategy::{NONE, Rules};
use crate::apiserver::write::Target;

/// Of Services.
pub(super) const RULES: Rules = Rules {
    default: default_service,
    initial_status: || Some(json!({"loadBalancer": {}})),
    prepare_create: admit_service,
    prepare_update,
    ..NONE
};

fn prepare_update(new: &mut Value, old: &Value, target: Target) {
    if !matches!(target, Target::Main | Target::Scale) {
        return;
    }
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if new["spec"][field].is_null() && !old["spec"][field].is_null() {
            new["spec"][field] = old["spec"][field].clone();
        }
    }
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

/// Gives a new service its address, derived from its name, and what follows from it.
fn admit_service(service: &mut Value) {
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
