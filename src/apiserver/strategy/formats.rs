//! Forms of texts that fields of built-in kinds take. (kubernetes 1.36: apimachinery
//! pkg/util/validation)

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use super::report::{Path, Report};
use crate::machinery::names;

/// Why a port is refused.
pub(super) const PORT_RANGE: &str = "must be between 1 and 65535, inclusive";
/// Why a user or group is refused.
const ID_RANGE: &str = "must be between 0 and 2147483647, inclusive";
/// Why an address is refused.
const IP_FORM: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
const CIDR_FORM: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
const NAME_MAX: usize = 253;

/// Refuses what is no port number.
pub(super) fn port(report: &mut Report, path: &Path<'_>, number: i64) {
    if !(1..=65535).contains(&number) {
        report.invalid_number(path, number, PORT_RANGE);
    }
}

/// Refuses what is neither a port's number nor its name.
pub(super) fn port_or_name(report: &mut Report, path: &Path<'_>, value: &Value) {
    match value {
        Value::String(name) => report.invalid_texts(path, name, port_name(name)),
        number => port(report, path, number.as_i64().unwrap_or(0)),
    }
}

/// What is wrong with the name of a port.
pub(super) fn port_name(name: &str) -> Vec<&'static str> {
    let bytes = name.as_bytes();
    let mut reasons = Vec::new();
    if name.len() > 15 {
        reasons.push("must be no more than 15 characters");
    }
    let legal = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    if name.is_empty() || !bytes.iter().all(legal) {
        reasons.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
    }
    if !bytes.iter().any(u8::is_ascii_lowercase) {
        reasons.push("must contain at least one letter (a-z)");
    }
    if name.contains("--") {
        reasons.push("must not contain consecutive hyphens");
    }
    if name.starts_with('-') || name.ends_with('-') {
        reasons.push("must not begin or end with a hyphen");
    }
    reasons
}

/// What is wrong with the name of an environment variable.
pub(super) fn variable_name(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("environment variable name must be non-empty");
    }
    let legal = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'=';
    (!name.bytes().all(legal)).then_some(
        "a valid environment variable name must consist only of printable ASCII characters other \
         than '='",
    )
}

/// What is wrong with a key of a ConfigMap or Secret.
pub(super) fn config_key(key: &str) -> Vec<&'static str> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let mut reasons = Vec::new();
    if key.len() > NAME_MAX {
        reasons.push("must be no more than 253 characters");
    }
    if key.is_empty() || !key.bytes().all(legal) {
        reasons.push(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. \
             'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is \
             '[-._a-zA-Z0-9]+')",
        );
    }
    match key {
        "." => reasons.push("must not be '.'"),
        ".." => reasons.push("must not be '..'"),
        _ if key.starts_with("..") => reasons.push("must not start with '..'"),
        _ => {}
    }
    reasons
}

/// What is wrong with the name of an HTTP header.
pub(super) fn header_name(name: &str) -> Option<&'static str> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (name.is_empty() || !name.bytes().all(legal)).then_some(
        "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. \
         'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')",
    )
}

/// What is wrong with a domain whose labels may have underscores.
pub(super) fn subdomain_with_underscores(name: &str) -> Vec<&'static str> {
    let mut reasons = Vec::new();
    if name.len() > NAME_MAX {
        reasons.push("must be no more than 253 characters");
    }
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_label = |label: &str| {
        let label = label.strip_prefix('_').unwrap_or(label);
        let ends =
            label.bytes().next().is_some_and(legal) && label.bytes().last().is_some_and(legal);
        ends && label.bytes().all(|byte| legal(byte) || matches!(byte, b'-' | b'_'))
    };
    if !name.split('.').all(is_label) {
        reasons.push(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
             '_', '-' or '.', and must start and end with an alphanumeric character (e.g. \
             'example.com', regex used for validation is \
             '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')",
        );
    }
    reasons
}

/// Refuses a number that is no user or group of POSIX.
pub(super) fn posix_id(report: &mut Report, path: &Path<'_>, value: &Value) {
    if let Some(id) = value.as_i64()
        && !(0..=i64::from(i32::MAX)).contains(&id)
    {
        report.invalid_number(path, id, ID_RANGE);
    }
}

/// Refuses a text that is no DNS label.
pub(super) fn label(report: &mut Report, path: &Path<'_>, text: &str) {
    report.invalid_texts(path, text, names::check_label(text));
}

/// Refuses a text that is no DNS subdomain.
pub(super) fn subdomain(report: &mut Report, path: &Path<'_>, text: &str) {
    report.invalid_texts(path, text, names::check_subdomain(text));
}

/// Refuses a text that is no qualified name, i.e. no label's key.
pub(super) fn qualified_name(report: &mut Report, path: &Path<'_>, text: &str) {
    report.invalid_texts(path, text, names::check_label_key(text));
}

/// Refuses a text that is no IP address; true if it is one.
pub(super) fn ip(report: &mut Report, path: &Path<'_>, text: &str) -> bool {
    let is_ip = parse_ip(text).is_some();
    if !is_ip {
        report.invalid_text(path, text, IP_FORM);
    }
    is_ip
}

/// Refuses a text that is no CIDR.
pub(super) fn cidr(report: &mut Report, path: &Path<'_>, text: &str) {
    if parse_cidr(text).is_none() {
        report.invalid_text(path, text, CIDR_FORM);
    }
}

/// Refuses addresses that no service or endpoint has. (pkg/apis/core/validation:
/// ValidateNonSpecialIP)
pub(super) fn ordinary_ip(report: &mut Report, path: &Path<'_>, text: &str) {
    let Some(address) = parse_ip(text) else {
        report.invalid_text(path, text, "must be a valid IP address");
        return;
    };
    if address.is_unspecified() {
        report.invalid_text(path, text, &format!("may not be unspecified ({text})"));
    }
    if address.is_loopback() {
        report.invalid_text(path, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
    }
    let (unicast, multicast) = match address {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(v6) => {
            let head = v6.segments()[0];
            (head & 0xffc0 == 0xfe80, head & 0xff0f == 0xff02)
        }
    };
    if unicast {
        let why = "may not be in the link-local range (169.254.0.0/16, fe80::/10)";
        report.invalid_text(path, text, why);
    }
    if multicast {
        let why = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)";
        report.invalid_text(path, text, why);
    }
}

/// Parses an address as Kubernetes' legacy fields do: zeros may lead, addresses of IPv4 within
/// IPv6 are of IPv4.
pub(super) fn parse_ip(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        let address: Ipv6Addr = text.parse().ok()?;
        return Some(address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4));
    }
    let mut octets = [0_u8; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *octet = part.parse::<u32>().ok()?.try_into().ok()?;
    }
    parts.next().is_none().then(|| IpAddr::V4(Ipv4Addr::from(octets)))
}

/// Parses a CIDR into its address and the length of its prefix.
pub(super) fn parse_cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let address = parse_ip(address)?;
    if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let length: u8 = length.parse().ok()?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    (length <= bits).then_some((address, length))
}

/// Whether addresses are of both families.
pub(super) fn is_dual_stack<'a>(addresses: impl Iterator<Item = &'a str>) -> bool {
    let (mut four, mut six) = (false, false);
    for address in addresses {
        match parse_ip(address.split('/').next().unwrap_or_default()) {
            Some(IpAddr::V4(_)) => four = true,
            Some(IpAddr::V6(_)) => six = true,
            None => return false,
        }
    }
    four && six
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_names_are_short_and_plain() {
        assert!(port_name("http-1").is_empty());
        assert_eq!(port_name("TOO_LONG_NAME_HERE").len(), 3);
        assert_eq!(
            port_name("1--2"),
            ["must contain at least one letter (a-z)", "must not contain consecutive hyphens"]
        );
        assert_eq!(port_name("-a"), ["must not begin or end with a hyphen"]);
    }

    #[test]
    fn addresses_are_parsed_sloppily() {
        assert_eq!(parse_ip("010.002.0.1"), Some(IpAddr::V4(Ipv4Addr::new(10, 2, 0, 1))));
        assert!(parse_ip("::ffff:1.2.3.4").is_some_and(|it| it.is_ipv4()));
        assert!(parse_ip("1.2.3").is_none());
        assert!(parse_ip("1.2.3.256").is_none());
        assert!(parse_ip("fe80::1%eth0").is_none());
        assert!(parse_cidr("10.0.0.0/33").is_none());
        assert_eq!(parse_cidr("10.0.0.0/8").map(|it| it.1), Some(8));
        assert!(is_dual_stack(["10.0.0.1", "fd00::1"].into_iter()));
        assert!(!is_dual_stack(["10.0.0.1", "10.0.0.2"].into_iter()));
    }

    #[test]
    fn variables_are_printable() {
        assert!(variable_name("a b.c").is_none());
        assert!(variable_name("a=b").is_some());
        assert!(variable_name("ü").is_some());
        assert!(subdomain_with_underscores("_srv.example.com").is_empty());
        assert_eq!(config_key("..a"), ["must not start with '..'"]);
    }
}
