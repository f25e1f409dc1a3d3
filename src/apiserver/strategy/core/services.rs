//! Services. (kubernetes 1.36: pkg/registry/core/service, pkg/apis/core/v1/defaults.go)

use serde_json::{Value, json};

use super::service_update;
use super::service_validation;
use crate::apiserver::strategy::fields::{fill, items, list, put, remove, text};
use crate::apiserver::strategy::report::{Path, Report};
use crate::apiserver::strategy::{Change, NONE, Rules};
use crate::apiserver::write::Target;
use crate::machinery::status::Cause;

/// Of Services.
pub(super) const RULES: Rules = Rules {
    default,
    initial_status: || Some(json!({"loadBalancer": {}})),
    prepare_create,
    prepare_update,
    validate,
    warnings,
    ..NONE
};

/// Ports that nodes give to services, above those that people choose.
const NODE_PORTS: std::ops::Range<u32> = 30_086..32_768;
/// Seconds for which a client stays with its pod.
const AFFINITY_SECONDS: i32 = 10_800;

fn default(service: &mut Value) {
    let spec = &mut service["spec"];
    fill(spec, "sessionAffinity", "None");
    if spec["sessionAffinity"] == "None" {
        remove(spec, "sessionAffinityConfig");
    }
    if spec["sessionAffinity"] == "ClientIP"
        && spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"].is_null()
    {
        spec["sessionAffinityConfig"] = json!({"clientIP": {"timeoutSeconds": AFFINITY_SECONDS}});
    }
    fill(spec, "type", "ClusterIP");
    for port in list(spec, "ports") {
        fill(port, "protocol", "TCP");
        if matches!(&port["targetPort"], Value::Null)
            || port["targetPort"] == 0
            || port["targetPort"] == ""
        {
            let number = port["port"].clone();
            if !number.is_null() {
                port["targetPort"] = number;
            }
        }
    }
    if is_external(spec) {
        fill(spec, "externalTrafficPolicy", "Cluster");
    }
    if matches!(text(spec, "type"), "NodePort" | "LoadBalancer" | "ClusterIP") {
        put(spec, "internalTrafficPolicy", "Cluster");
    }
    if spec["type"] == "LoadBalancer" {
        put(spec, "allocateLoadBalancerNodePorts", true);
        let balancer = service.get_mut("status").and_then(|status| status.get_mut("loadBalancer"));
        for ingress in balancer.into_iter().flat_map(|balancer| list(balancer, "ingress")) {
            if !text(ingress, "ip").is_empty() {
                put(ingress, "ipMode", "VIP");
            }
        }
    }
}

/// Whether the service is reached from outside. (kubernetes 1.36: pkg/api/service/util.go,
/// ExternallyAccessible)
pub(super) fn is_external(spec: &Value) -> bool {
    match text(spec, "type") {
        "LoadBalancer" | "NodePort" => true,
        "ClusterIP" => items(&spec["externalIPs"]).next().is_some(),
        _ => false,
    }
}

/// Whether nodes say whether they have pods of the service.
pub(super) fn needs_health_check(spec: &Value) -> bool {
    spec["type"] == "LoadBalancer" && spec["externalTrafficPolicy"] == "Local"
}

/// Whether the service has no address.
pub(super) fn is_headless(spec: &Value) -> bool {
    let mut addresses = items(&spec["clusterIPs"]);
    addresses.next().is_some_and(|address| *address == "None") && addresses.next().is_none()
}

/// Whether nodes have ports for the service.
fn needs_node_ports(spec: &Value) -> bool {
    spec["type"] == "NodePort"
        || spec["type"] == "LoadBalancer" && spec["allocateLoadBalancerNodePorts"] != false
}

fn prepare_create(service: &mut Value) {
    let name = format!("{}/{}", service["metadata"]["namespace"], service["metadata"]["name"]);
    let spec = &mut service["spec"];
    normalise_addresses(spec, None);
    allocate(spec, &name);
}

/// Gives a service what it lacks: an address, families, ports. All follow from its name, so that
/// a run can be repeated; where addresses are taken, admission refuses.
fn allocate(spec: &mut Value, name: &str) {
    if spec["type"] == "ExternalName" || !text(spec, "type").is_ascii() {
        return;
    }
    let hash = name
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    // A proposal: admission moves it into the range of the server.
    let [_, a, b, c] = hash.to_be_bytes();
    let address = format!("10.{}.{}.{}", 96 + a % 16, b, c.clamp(11, 254));
    let selects = spec["selector"].as_object().is_some_and(|selector| !selector.is_empty());
    if is_headless(spec) {
        let dual = !selects && spec["ipFamilies"].is_null();
        if spec["ipFamilyPolicy"].is_null() {
            spec["ipFamilyPolicy"] = if dual { "RequireDualStack" } else { "SingleStack" }.into();
        }
        put(spec, "ipFamilies", if dual { json!(["IPv4", "IPv6"]) } else { json!(["IPv4"]) });
    } else {
        fill(spec, "clusterIP", address);
        let address = spec["clusterIP"].clone();
        put(spec, "clusterIPs", json!([address]));
        put(spec, "ipFamilies", json!(["IPv4"]));
        put(spec, "ipFamilyPolicy", "SingleStack");
    }
    if needs_node_ports(spec) {
        allocate_ports(spec, hash);
    }
    if needs_health_check(spec) && spec["healthCheckNodePort"].as_i64().unwrap_or(0) == 0 {
        spec["healthCheckNodePort"] = free_port(spec, hash ^ 0x5555).into();
    }
}

fn allocate_ports(spec: &mut Value, hash: u32) {
    let count = items(&spec["ports"]).count();
    for index in 0..count {
        let port = &spec["ports"][index];
        if port["nodePort"].as_i64().unwrap_or(0) != 0 {
            continue;
        }
        let (number, protocol) = (port["port"].clone(), port["protocol"].clone());
        // The same port in another protocol shares the node's.
        let twin = items(&spec["ports"]).find(|other| {
            other["port"] == number
                && other["protocol"] != protocol
                && other["nodePort"].as_i64().unwrap_or(0) != 0
        });
        let given = match twin {
            Some(twin) => twin["nodePort"].clone(),
            None => free_port(spec, hash.rotate_left(7).wrapping_add(index as u32)).into(),
        };
        spec["ports"][index]["nodePort"] = given;
    }
}

/// A port that the service itself does not use yet.
fn free_port(spec: &Value, seed: u32) -> u32 {
    let count = NODE_PORTS.end - NODE_PORTS.start;
    let used = |port: u32| {
        spec["healthCheckNodePort"] == port
            || items(&spec["ports"]).any(|other| other["nodePort"] == port)
    };
    let candidates = (0..count).map(|step| NODE_PORTS.start + seed.wrapping_add(step) % count);
    candidates.into_iter().find(|port| !used(*port)).unwrap_or(NODE_PORTS.start)
}

/// Keeps `clusterIP` and `clusterIPs` in step. (kubernetes 1.36: normalizeClusterIPs)
fn normalise_addresses(spec: &mut Value, old: Option<&Value>) {
    let one = |spec: &Value| text(spec, "clusterIP").to_owned();
    let has_list = items(&spec["clusterIPs"]).next().is_some();
    let Some(old) = old else {
        let address = one(spec);
        if !address.is_empty() && !has_list {
            spec["clusterIPs"] = json!([address]);
        }
        return;
    };
    let (new_one, old_one) = (one(spec), one(old));
    if new_one == old_one {
        return;
    }
    if new_one.is_empty() && spec["clusterIPs"] == old["clusterIPs"] {
        remove(spec, "clusterIPs");
    } else if !new_one.is_empty()
        && (old_one.is_empty() && !has_list || spec["clusterIPs"] == old["clusterIPs"])
    {
        spec["clusterIPs"] = json!([new_one]);
    }
}

fn prepare_update(new: &mut Value, old: &Value, target: Target) {
    if !matches!(target, Target::Main | Target::Scale) {
        return;
    }
    let name = format!("{}/{}", new["metadata"]["namespace"], new["metadata"]["name"]);
    let spec = &mut new["spec"];
    service_update::carry_over(spec, &old["spec"]);
    normalise_addresses(spec, Some(&old["spec"]));
    service_update::drop_what_went(spec, &old["spec"]);
    if text(&old["spec"], "type") == "ExternalName" || spec["clusterIPs"].is_array() {
        allocate(spec, &name);
    }
}

fn validate(change: &Change<'_>) -> Vec<Cause> {
    let mut report = Report::default();
    match (change.old, change.target) {
        (Some(_), Target::Status) => {
            let path = Path::Root("status.loadBalancer.ingress");
            let ingress = &change.new["status"]["loadBalancer"]["ingress"];
            service_validation::ingress(&mut report, &path, ingress, &change.new["spec"]);
        }
        (old, _) => {
            if let Some(old) = old {
                service_update::check(&mut report, &change.new["spec"], &old["spec"]);
            }
            service_validation::check(&mut report, change.new);
        }
    }
    report.into_causes()
}

/// (kubernetes 1.36: pkg/api/service/warnings.go)
fn warnings(change: &Change<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    let (service, spec) = (change.new, &change.new["spec"]);
    if change.old.is_some_and(|old| old["spec"] == *spec) || change.target == Target::Status {
        return warnings;
    }
    if service["metadata"]["annotations"]["service.kubernetes.io/topology-aware-hints"].is_string()
    {
        warnings.push(
            "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use \
             service.kubernetes.io/topology-mode instead"
                .to_owned(),
        );
    }
    if is_headless(spec) {
        if !text(spec, "loadBalancerIP").is_empty() {
            warnings.push("spec.loadBalancerIP is ignored for headless services".to_owned());
        }
        if items(&spec["externalIPs"]).next().is_some() {
            warnings.push("spec.externalIPs is ignored when spec.clusterIP is \"None\"".to_owned());
        }
        if spec["sessionAffinity"].is_string() && spec["sessionAffinity"] != "None" {
            warnings.push("spec.SessionAffinity is ignored for headless services".to_owned());
        }
    }
    if spec["type"] != "ExternalName" && !text(spec, "externalName").is_empty() {
        let what = "spec.externalName is ignored when spec.type is not \"ExternalName\"";
        warnings.push(what.to_owned());
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valid() -> Value {
        let mut service = json!({
            "metadata": {"name": "s", "namespace": "d"},
            "spec": {"ports": [{"port": 80}]},
        });
        default(&mut service);
        prepare_create(&mut service);
        service
    }

    fn check_new(spec: Value, expected: &[&str]) {
        let mut service = json!({"metadata": {"name": "s", "namespace": "d"}, "spec": spec});
        default(&mut service);
        prepare_create(&mut service);
        let change = Change { new: &service, old: None, target: Target::Main };
        let causes: Vec<_> = validate(&change).iter().map(ToString::to_string).collect();
        assert_eq!(causes, expected, "{service}");
    }

    #[test]
    fn new_services_are_checked() {
        check_new(json!({"ports": [{"port": 80}]}), &[]);
        check_new(json!({}), &["spec.ports: Required value"]);
        check_new(json!({"clusterIP": "None"}), &[]);
        check_new(
            json!({"ports": [{"port": 0}]}),
            &[
                "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, \
                 inclusive",
            ],
        );
        check_new(
            json!({"ports": [{"port": 1}, {"port": 2}]}),
            &["spec.ports[0].name: Required value", "spec.ports[1].name: Required value"],
        );
        check_new(json!({"type": "ExternalName"}), &["spec.externalName: Required value"]);
        check_new(json!({"type": "ExternalName", "externalName": "a.b."}), &[]);
        check_new(
            json!({"type": "X", "ports": [{"port": 1}]}),
            &["spec.type: Unsupported value: \"X\": supported values: \"ClusterIP\", \
               \"ExternalName\", \"LoadBalancer\", \"NodePort\""],
        );
        check_new(
            json!({"ports": [{"port": 1, "nodePort": 30001}]}),
            &["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
        );
        check_new(
            json!({"ports": [{"port": 1}], "externalIPs": ["127.0.0.1"]}),
            &["spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback \
               range (127.0.0.0/8, ::1/128)"],
        );
        check_new(
            json!({"ports": [{"port": 1}], "externalTrafficPolicy": "Local"}),
            &["spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for \
               externally-accessible services"],
        );
    }

    #[test]
    fn node_ports_and_health_checks_are_given() {
        let mut service = json!({
            "metadata": {"name": "s", "namespace": "d"},
            "spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Local",
                     "ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "b", "protocol": "UDP"}]},
        });
        default(&mut service);
        prepare_create(&mut service);
        let ports = &service["spec"]["ports"];
        assert!(ports[0]["nodePort"].as_i64().is_some_and(|port| (30086..32768).contains(&port)));
        assert_eq!(ports[0]["nodePort"], ports[1]["nodePort"]);
        assert_ne!(service["spec"]["healthCheckNodePort"], ports[0]["nodePort"]);
        assert_eq!(service["spec"]["allocateLoadBalancerNodePorts"], true);
    }

    #[test]
    fn addresses_stay() {
        let old = valid();
        let mut new = old.clone();
        new["spec"]["clusterIP"] = "10.96.9.9".into();
        prepare_update(&mut new, &old, Target::Main);
        let change = Change { new: &new, old: Some(&old), target: Target::Main };
        let causes: Vec<_> = validate(&change).iter().map(ToString::to_string).collect();
        assert_eq!(
            causes,
            ["spec.clusterIPs[0]: Invalid value: [\"10.96.9.9\"]: may not change once set"]
        );
        let mut new = old.clone();
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            remove(&mut new["spec"], field);
        }
        prepare_update(&mut new, &old, Target::Main);
        assert_eq!(new, old);
    }

    #[test]
    fn services_become_external_names_and_back() {
        let old = valid();
        let mut new = old.clone();
        new["spec"]["type"] = "ExternalName".into();
        new["spec"]["externalName"] = "example.com".into();
        prepare_update(&mut new, &old, Target::Main);
        assert!(new["spec"]["clusterIP"].is_null() && new["spec"]["ipFamilies"].is_null());
        let change = Change { new: &new, old: Some(&old), target: Target::Main };
        assert_eq!(validate(&change), []);
    }
}
