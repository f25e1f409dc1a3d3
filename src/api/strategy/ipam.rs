//! Rules of the IPAM kinds. (CAPI v1.14: core/webhooks/admission/ipaddress.go, ipaddressclaim.go)
//!
//! That an address comes from the pool of its claim is not checked: these rules see one object.

use std::net::IpAddr;

use serde_json::Value;

use super::bootstrap::{forbidden, invalid, is_defined};
use crate::machinery::definition::Strategy;
use crate::machinery::patch::merge;
use crate::machinery::status::Cause;

/// The strategy of a kind.
pub(super) fn of(kind: &str) -> Strategy {
    match kind {
        "IPAddress" => Strategy {
            validate: Some(|new, old| match old {
                None => validate_address(&new["spec"]),
                Some(old) => immutable("IPAddress", new, old),
            }),
            ..Strategy::default()
        },
        "IPAddressClaim" => Strategy {
            validate: Some(|new, old| {
                old.map_or_else(Vec::new, |old| immutable("IPAddressClaim", new, old))
            }),
            ..Strategy::default()
        },
        _ => Strategy::default(),
    }
}

fn immutable(kind: &str, new: &Value, old: &Value) -> Vec<Cause> {
    let changed = merge::diff(&old["spec"], &new["spec"]);
    let refused = |diff: Value| {
        forbidden("spec".to_owned(), &format!("{kind} spec is immutable. Diff: {diff}"))
    };
    changed.map(refused).into_iter().collect()
}

fn validate_address(spec: &Value) -> Vec<Cause> {
    const NOT_AN_ADDRESS: &str = "not a valid IP address";
    let mut causes = Vec::new();
    let mut refuse = |field: &str, detail: &str| {
        causes.push(invalid(format!("spec.{field}"), &spec[field], detail));
    };
    let parsed = |field: &str| spec[field].as_str().and_then(parse);
    let address = parsed("address");
    if address.is_none() {
        refuse("address", NOT_AN_ADDRESS);
    }
    let prefix = spec["prefix"].as_i64().unwrap_or(0);
    if prefix < 0 {
        refuse("prefix", "prefix cannot be negative");
    }
    match address {
        Some(IpAddr::V4(_)) if prefix > 32 => {
            refuse("prefix", "prefix is too large for an IPv4 address");
        }
        Some(IpAddr::V6(_)) if prefix > 128 => {
            refuse("prefix", "prefix is too large for an IPv6 address");
        }
        Some(_) | None => {}
    }
    if is_defined(&spec["gateway"]) && parsed("gateway").is_none() {
        refuse("gateway", NOT_AN_ADDRESS);
    }
    causes
}

/// Go's `netip.ParseAddr`: as Rust's, and an IPv6 address may name a zone.
fn parse(text: &str) -> Option<IpAddr> {
    match text.split_once('%') {
        Some((_, "")) => None,
        Some((address, _)) => address.parse().ok().filter(IpAddr::is_ipv6),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn addresses_are_addresses_with_a_prefix_that_fits() {
        let check = |spec: Value, expected: &[&str]| {
            let seen: Vec<String> = validate_address(&spec)
                .into_iter()
                .map(|cause| format!("{}: {}", cause.field, cause.message))
                .collect();
            assert_eq!(seen, expected, "{spec}");
        };
        check(json!({"address": "10.0.0.1", "prefix": 32, "gateway": "10.0.0.254"}), &[]);
        check(json!({"address": "fe80::1%eth0", "prefix": 64}), &[]);
        check(
            json!({"address": "42", "prefix": -1, "gateway": "x"}),
            &[
                "spec.address: Invalid value: \"42\": not a valid IP address",
                "spec.prefix: Invalid value: -1: prefix cannot be negative",
                "spec.gateway: Invalid value: \"x\": not a valid IP address",
            ],
        );
        check(
            json!({"address": "10.0.0.1", "prefix": 64}),
            &["spec.prefix: Invalid value: 64: prefix is too large for an IPv4 address"],
        );
        check(
            json!({"address": "fd00::1", "prefix": 129}),
            &["spec.prefix: Invalid value: 129: prefix is too large for an IPv6 address"],
        );
    }

    #[test]
    fn specs_do_not_change() {
        let of = |address: &str| json!({"spec": {"address": address, "prefix": 24}});
        assert!(immutable("IPAddress", &of("10.0.0.1"), &of("10.0.0.1")).is_empty());
        let causes = immutable("IPAddress", &of("10.0.0.2"), &of("10.0.0.1"));
        assert!(causes[0].message.starts_with("Forbidden: IPAddress spec is immutable. Diff: "));
    }
}
