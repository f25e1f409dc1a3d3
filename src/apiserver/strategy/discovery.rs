//! Kinds of the group `discovery.k8s.io`.
//! (kubernetes 1.36: pkg/apis/discovery/{v1/defaults.go,validation})

use std::net::IpAddr;

use serde_json::Value;

use super::fields::{items, list, put, text};
use super::report::Report;
use super::{Change, NONE, Rules};
use crate::machinery::names;
use crate::machinery::status::Cause;

const SLICE: Rules = Rules { default, validate, ..NONE };

const ENDPOINTS_MAX: usize = 1000;
const ADDRESSES_MAX: usize = 100;
const PORTS_MAX: usize = 20_000;
const TOPOLOGY_MAX: usize = 16;
const HINTS_MAX: usize = 8;

/// The rules of a kind.
pub(super) fn rules(kind: &str) -> &'static Rules {
    match kind {
        "EndpointSlice" => &SLICE,
        _ => &NONE,
    }
}

fn default(slice: &mut Value) {
    for port in list(slice, "ports") {
        put(port, "name", "");
        put(port, "protocol", "TCP");
    }
}

fn validate(change: &Change<'_>) -> Vec<Cause> {
    let mut report = Report::default();
    let new = change.new;
    let family = text(new, "addressType");
    let families = ["FQDN", "IPv4", "IPv6"];
    if family.is_empty() {
        report.required("addressType", "");
    } else if !families.contains(&family) {
        report.unsupported_value("addressType", &family.into(), &families);
    }
    if !report.too_many("endpoints", items(&new["endpoints"]).count(), ENDPOINTS_MAX) {
        for (index, endpoint) in items(&new["endpoints"]).enumerate() {
            check_endpoint(endpoint, family, &format!("endpoints[{index}]"), &mut report);
        }
    }
    ports(&new["ports"], &mut report);
    if let Some(old) = change.old {
        report.immutable(&new["addressType"], &old["addressType"], "addressType");
    }
    report.into_causes()
}

fn check_endpoint(endpoint: &Value, family: &str, path: &str, report: &mut Report) {
    let field = format!("{path}.addresses");
    let addresses = &endpoint["addresses"];
    if items(addresses).next().is_none() {
        report.required(field.as_str(), "must contain at least 1 address");
    }
    report.too_many(&field, items(addresses).count(), ADDRESSES_MAX);
    for (index, address) in items(addresses).enumerate() {
        let address = address.as_str().unwrap_or_default();
        check_address(address, family, &format!("{field}[{index}]"), report);
    }
    if let Some(node) = endpoint["nodeName"].as_str() {
        report.invalid_texts(format!("{path}.nodeName"), node, names::check_subdomain(node));
    }
    let topology = format!("{path}.deprecatedTopology");
    let labels = &endpoint["deprecatedTopology"];
    report.too_many(&topology, labels.as_object().map_or(0, serde_json::Map::len), TOPOLOGY_MAX);
    report.labels(labels, &topology);
    if let Some(host) = endpoint["hostname"].as_str() {
        report.invalid_texts(format!("{path}.hostname"), host, names::check_label(host));
    }
    for hints in ["forZones", "forNodes"] {
        let path = format!("{path}.hints.{hints}");
        let all = &endpoint["hints"][hints];
        if report.too_many(&path, items(all).count(), HINTS_MAX) {
            continue;
        }
        let mut seen = Vec::new();
        for (index, hint) in items(all).enumerate() {
            let (name, path) = (text(hint, "name"), format!("{path}[{index}].name"));
            if seen.contains(&name) {
                report.duplicate_value(path.as_str(), &name.into());
            }
            seen.push(name);
            let wrong = match hints {
                "forZones" => names::check_label_value(name),
                _ => names::check_subdomain(name),
            };
            report.invalid_texts(&path, name, wrong);
        }
    }
}

fn check_address(address: &str, family: &str, path: &str, report: &mut Report) {
    match (family, address.parse::<IpAddr>()) {
        ("IPv4", Ok(IpAddr::V4(_))) | ("IPv6", Ok(IpAddr::V6(_))) => {
            report.endpoint_address(path, address);
        }
        ("IPv4" | "IPv6", parsed) => {
            let article = if family == "IPv4" { "an IPv4" } else { "an IPv6" };
            report.invalid(path, &address.into(), &format!("must be {article} address"));
            if parsed.is_err() || address.is_empty() {
                report.endpoint_address(path, address);
            }
        }
        ("FQDN", _) => domain(address, path, report),
        _ => {}
    }
}

/// A domain with at least two parts. (apimachinery: IsFullyQualifiedDomainName)
fn domain(name: &str, path: &str, report: &mut Report) {
    if name.is_empty() {
        return report.required(path, "");
    }
    let bare = name.strip_suffix('.').unwrap_or(name);
    let wrong = names::check_subdomain(bare);
    if !wrong.is_empty() {
        return report.invalid_texts(path, bare, wrong);
    }
    if !bare.contains('.') {
        let why = "should be a domain with at least two segments separated by dots";
        report.invalid(path, &bare.into(), why);
    }
}

fn ports(ports: &Value, report: &mut Report) {
    if report.too_many("ports", items(ports).count(), PORTS_MAX) {
        return;
    }
    let mut seen = Vec::new();
    for (index, port) in items(ports).enumerate() {
        let path = format!("ports[{index}]");
        let name = text(port, "name");
        if !name.is_empty() {
            report.invalid_texts(format!("{path}.name"), name, names::check_label(name));
        }
        if seen.contains(&name) {
            report.duplicate_value(format!("{path}.name"), &name.into());
        }
        seen.push(name);
        report.field_one_of(port, &path, "protocol", &["SCTP", "TCP", "UDP"]);
        if let Some(protocol) = port["appProtocol"].as_str() {
            let path = format!("{path}.appProtocol");
            report.invalid_texts(&path, protocol, names::check_label_key(protocol));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::apiserver::write::Target;

    fn check(slice: Value, expected: &[&str]) {
        let mut slice = slice;
        default(&mut slice);
        let change = Change { new: &slice, old: None, target: Target::Main };
        let said: Vec<String> = validate(&change).iter().map(ToString::to_string).collect();
        assert_eq!(said, expected);
    }

    #[test]
    fn addresses_are_of_the_slices_family() {
        check(
            json!({"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}],
                "ports": [{"port": 80}]}),
            &[],
        );
        check(
            json!({"addressType": "IPv4", "endpoints": [{"addresses": ["fd00::1", "127.0.0.1"]}]}),
            &[
                "endpoints[0].addresses[0]: Invalid value: \"fd00::1\": must be an IPv4 address",
                "endpoints[0].addresses[1]: Invalid value: \"127.0.0.1\": may not be in the \
                 loopback range (127.0.0.0/8, ::1/128)",
            ],
        );
        check(
            json!({"addressType": "FQDN", "endpoints": [{"addresses": ["host"]}, {}]}),
            &[
                "endpoints[0].addresses[0]: Invalid value: \"host\": should be a domain with at \
                 least two segments separated by dots",
                "endpoints[1].addresses: Required value: must contain at least 1 address",
            ],
        );
    }

    #[test]
    fn ports_are_told_apart_by_name() {
        check(
            json!({"addressType": "IPv6", "ports": [{"port": 1}, {"port": 2, "protocol": "X"}]}),
            &[
                "ports[1].name: Duplicate value: \"\"",
                "ports[1].protocol: Unsupported value: \"X\": supported values: \"SCTP\", \"TCP\", \
                 \"UDP\"",
            ],
        );
        check(json!({}), &["addressType: Required value"]);
    }
}
