//! What is checked of services. (kubernetes 1.36: pkg/apis/core/validation/validation.go,
//! ValidateService)

use serde_json::Value;

use super::service_update::is_ipv6;
use super::services::{is_external, is_headless, needs_health_check};
use crate::apiserver::strategy::fields::{items, text};
use crate::apiserver::strategy::pod_spec::containers::PROTOCOLS;
use crate::apiserver::strategy::report::{Path, Report};
use crate::apiserver::strategy::{formats, labels};

const SPEC: Path<'_> = Path::Root("spec");
const TYPES: &[&str] = &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const AFFINITIES: &[&str] = &["ClientIP", "None"];
const POLICIES: &[&str] = &["Cluster", "Local"];
const FAMILIES: &[&str] = &["IPv4", "IPv6"];
const FAMILY_POLICIES: &[&str] = &["PreferDualStack", "RequireDualStack", "SingleStack"];
const DISTRIBUTIONS: &[&str] = &["PreferClose", "PreferSameNode", "PreferSameZone"];
const IP_MODES: &[&str] = &["Proxy", "VIP"];
const AFFINITY_SECONDS_MAX: i64 = 86_400;
const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
const BALANCED_ONLY: &str = "may only be used when `type` is 'LoadBalancer'";
const EXTERNAL_NAME: &str = "may not be set for ExternalName services";

/// Checks a service as it stands.
pub(super) fn check(report: &mut Report, service: &Value) {
    let (spec, kind) = (&service["spec"], text(&service["spec"], "type"));
    let headless = is_headless(spec);
    if items(&spec["ports"]).next().is_none() && !headless && kind != "ExternalName" {
        report.required(SPEC.field("ports"), "");
    }
    if headless && matches!(kind, "LoadBalancer" | "NodePort") {
        let why = format!("may not be set to 'None' for {kind} services");
        report.invalid_text(SPEC.field("clusterIPs").index(0), "None", &why);
    }
    if kind == "ExternalName" {
        external_name(report, spec);
    }
    ports(report, spec);
    labels::labels(report, &SPEC.field("selector"), &spec["selector"]);
    affinity(report, spec);
    if kind != "ExternalName" {
        addresses(report, spec, headless);
    }
    let list = SPEC.field("externalIPs");
    for (index, ip) in items(&spec["externalIPs"]).filter_map(Value::as_str).enumerate() {
        if formats::ip(report, &list.index(index), ip) {
            formats::ordinary_ip(report, &list.index(index), ip);
        }
    }
    report.must_be_one_of(SPEC.field("type"), &spec["type"], TYPES);
    repeated_ports(report, spec);
    balancing(report, service);
    traffic(report, spec);
}

fn external_name(report: &mut Report, spec: &Value) {
    for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        let is_set = match &spec[field] {
            Value::Null => false,
            Value::Array(list) => !list.is_empty(),
            _ => true,
        };
        if is_set {
            report.forbidden(SPEC.field(field), EXTERNAL_NAME);
        }
    }
    let name = text(spec, "externalName");
    let path = SPEC.field("externalName");
    match name.strip_suffix('.').unwrap_or(name) {
        "" => report.required(path, ""),
        name => formats::subdomain(report, &path, name),
    }
}

fn ports(report: &mut Report, spec: &Value) {
    let (list, mut names) = (SPEC.field("ports"), Vec::new());
    let several = items(&spec["ports"]).count() > 1;
    for (index, port) in items(&spec["ports"]).enumerate() {
        let path = list.index(index);
        let name = text(port, "name");
        if several && name.is_empty() {
            report.required(path.field("name"), "");
        } else if !name.is_empty() {
            formats::label(report, &path.field("name"), name);
            if names.contains(&name) {
                report.duplicate(path.field("name"), name);
            }
            names.push(name);
        }
        formats::port(report, &path.field("port"), port["port"].as_i64().unwrap_or(0));
        report.must_be_one_of(path.field("protocol"), &port["protocol"], PROTOCOLS);
        formats::port_or_name(report, &path.field("targetPort"), &port["targetPort"]);
        if let Some(protocol) = port["appProtocol"].as_str() {
            formats::qualified_name(report, &path.field("appProtocol"), protocol);
        }
    }
}

fn affinity(report: &mut Report, spec: &Value) {
    report.must_be_one_of(SPEC.field("sessionAffinity"), &spec["sessionAffinity"], AFFINITIES);
    let (config, path) = (&spec["sessionAffinityConfig"], SPEC.field("sessionAffinityConfig"));
    match text(spec, "sessionAffinity") {
        "ClientIP" => {
            let why = "when session affinity type is ClientIP";
            let client = path.field("clientIP");
            if config.is_null() {
                report.required(path, why);
            } else if config["clientIP"].is_null() {
                report.required(client, why);
            } else {
                match config["clientIP"]["timeoutSeconds"].as_i64() {
                    None => report.required(client.field("timeoutSeconds"), why),
                    Some(seconds) if !(1..=AFFINITY_SECONDS_MAX).contains(&seconds) => {
                        let why = "must be greater than 0 and less than 86400";
                        report.invalid_number(client.field("timeoutSeconds"), seconds, why);
                    }
                    Some(_) => {}
                }
            }
        }
        "None" if !config.is_null() => {
            report.forbidden(path, "must not be set when session affinity is None");
        }
        _ => {}
    }
}

fn addresses(report: &mut Report, spec: &Value, headless: bool) {
    let (one, list) = (text(spec, "clusterIP"), SPEC.field("clusterIPs"));
    let all: Vec<&str> = items(&spec["clusterIPs"]).filter_map(Value::as_str).collect();
    match (one, all.first()) {
        ("", None) => {}
        ("", Some(_)) => {
            let why = "must be empty when `clusterIP` is not specified";
            report.invalid(list, &spec["clusterIPs"], why);
        }
        (_, None) => report.required(list, ""),
        (one, Some(first)) if one != *first => {
            report.invalid(list, &spec["clusterIPs"], "first value must match `clusterIP`");
        }
        _ => {}
    }
    let (families, mut taken) = (SPEC.field("ipFamilies"), Vec::new());
    for (index, family) in items(&spec["ipFamilies"]).filter_map(Value::as_str).enumerate() {
        if !FAMILIES.contains(&family) {
            report.unsupported(families.index(index), family, FAMILIES);
        }
        if taken.contains(&family) {
            report.duplicate(families.index(index), family);
        }
        taken.push(family);
    }
    report.one_of(SPEC.field("ipFamilyPolicy"), &spec["ipFamilyPolicy"], FAMILY_POLICIES);
    let mut invalid = false;
    for (index, address) in all.iter().enumerate() {
        if index == 0 && *address == "None" {
            if all.len() > 1 {
                invalid = true;
                let why = "'None' must be the first and only value";
                report.invalid(list, &spec["clusterIPs"], why);
            }
            continue;
        }
        invalid |= !formats::ip(report, &list.index(index), address);
    }
    if all.len() > 2 {
        report.invalid(list, &spec["clusterIPs"], "may only hold up to 2 values");
    }
    if invalid {
        return;
    }
    if all.len() > 1 && !formats::is_dual_stack(all.iter().copied()) {
        let why = "may specify no more than one IP for each IP family";
        report.invalid(list, &spec["clusterIPs"], why);
    }
    if headless {
        return;
    }
    for (index, (address, family)) in all.iter().zip(&taken).enumerate() {
        if is_ipv6(address) != (*family == "IPv6") {
            let why = format!("expected an {family} value as indicated by `ipFamilies[{index}]`");
            report.invalid_text(list.index(index), address, &why);
        }
    }
}

fn repeated_ports(report: &mut Report, spec: &Value) {
    let list = SPEC.field("ports");
    let ports: Vec<&Value> = items(&spec["ports"]).collect();
    let number = |port: &Value, field: &str| port[field].as_i64().unwrap_or(0);
    for (index, port) in ports.iter().enumerate() {
        let path = list.index(index);
        let node_port = number(port, "nodePort");
        if node_port != 0 && spec["type"] == "ClusterIP" {
            let why = "may not be used when `type` is 'ClusterIP'";
            report.forbidden(path.field("nodePort"), why);
        }
        let before = |field: &str| {
            ports[..index].iter().any(|other| {
                number(other, field) == number(port, field) && other["protocol"] == port["protocol"]
            })
        };
        if node_port != 0 && before("nodePort") {
            report.duplicate_value(path.field("nodePort"), &node_port.into());
        }
        if before("port") {
            // The key that was found twice, as Go prints the struct.
            let shown = format!(
                "{{\"Name\":\"\",\"Protocol\":{},\"AppProtocol\":null,\"Port\":{},\"TargetPort\":0,\
                 \"NodePort\":0}}",
                port["protocol"], port["port"]
            );
            report.duplicate_shown(path, &shown);
        }
    }
}

fn balancing(report: &mut Report, service: &Value) {
    let (spec, balanced) = (&service["spec"], service["spec"]["type"] == "LoadBalancer");
    let ranges = SPEC.field("LoadBalancerSourceRanges");
    if items(&spec["loadBalancerSourceRanges"]).next().is_some() {
        if !balanced {
            report.forbidden(ranges, BALANCED_ONLY);
        }
        for (index, range) in items(&spec["loadBalancerSourceRanges"]).enumerate() {
            let range = range.as_str().unwrap_or_default().trim();
            formats::cidr(report, &ranges.index(index), range);
        }
    } else if let Some(list) = service["metadata"]["annotations"][SOURCE_RANGES].as_str() {
        let annotations = Path::Root("metadata.annotations");
        let path = annotations.key(SOURCE_RANGES);
        if !balanced {
            report.forbidden(path, BALANCED_ONLY);
        }
        for range in list.split(',').map(str::trim).filter(|_| !list.trim().is_empty()) {
            formats::cidr(report, &path, range);
        }
    }
    for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
        if !balanced && !spec[field].is_null() {
            report.forbidden(SPEC.field(field), BALANCED_ONLY);
        }
    }
    if let Some(class) = spec["loadBalancerClass"].as_str().filter(|_| balanced) {
        formats::qualified_name(report, &SPEC.field("loadBalancerClass"), class);
    }
}

fn traffic(report: &mut Report, spec: &Value) {
    let (policy, path) = (&spec["externalTrafficPolicy"], SPEC.field("externalTrafficPolicy"));
    if is_external(spec) {
        report.must_be_one_of(path, policy, POLICIES);
    } else if let Some(policy) = policy.as_str().filter(|policy| !policy.is_empty()) {
        report.invalid_text(path, policy, "may only be set for externally-accessible services");
    }
    let path = SPEC.field("healthCheckNodePort");
    match (needs_health_check(spec), spec["healthCheckNodePort"].as_i64().unwrap_or(0)) {
        (true, 0) => report.required(path, ""),
        (true, port) => formats::port(report, &path, port),
        (false, 0) => {}
        (false, port) => {
            let why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` \
                       is 'Local'";
            report.invalid_number(path, port, why);
        }
    }
    report.one_of(SPEC.field("internalTrafficPolicy"), &spec["internalTrafficPolicy"], POLICIES);
    let path = SPEC.field("trafficDistribution");
    report.one_of(path, &spec["trafficDistribution"], DISTRIBUTIONS);
}

/// Checks where a load balancer is reached.
pub(super) fn ingress(report: &mut Report, list: &Path<'_>, ingress: &Value, spec: &Value) {
    if spec["type"] != "LoadBalancer" && items(ingress).next().is_some() {
        report.forbidden(list, "may only be used when `spec.type` is 'LoadBalancer'");
        return;
    }
    for (index, point) in items(ingress).enumerate() {
        let path = list.index(index);
        let (ip, host) = (text(point, "ip"), text(point, "hostname"));
        if !ip.is_empty() {
            formats::ip(report, &path.field("ip"), ip);
        }
        match (&point["ipMode"], ip.is_empty()) {
            (Value::Null, true) => {}
            (Value::Null, false) => {
                report.required(path.field("ipMode"), "must be specified when `ip` is set");
            }
            (_, true) => {
                let why = "may not be specified when `ip` is not set";
                report.forbidden(path.field("ipMode"), why);
            }
            (mode, false) => report.one_of(path.field("ipMode"), mode, IP_MODES),
        }
        if !host.is_empty() {
            formats::subdomain(report, &path.field("hostname"), host);
            if formats::parse_ip(host).is_some() {
                let why = "must be a DNS name, not an IP address";
                report.invalid_text(path.field("hostname"), host, why);
            }
        }
    }
}
