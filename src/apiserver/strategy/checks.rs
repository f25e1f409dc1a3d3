//! Checks that many kinds share, with kube-apiserver's messages.
//! (kubernetes 1.36: apimachinery/pkg/util/validation, pkg/apis/core/validation)

use std::net::IpAddr;

use serde_json::Value;

use super::fields::{items, text};
use super::report::{IMMUTABLE, NEGATIVE, Report};
use crate::machinery::names;
use crate::machinery::quantity::Quantity;
use crate::machinery::selector::LabelSelector;

/// What is wrong with a port number.
pub(super) const PORT_RANGE: &str = "must be between 1 and 65535, inclusive";
const SUBDOMAIN: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";

/// Checks with their messages; a `path` is the text of one.
impl Report {
    /// A text is longer than it may be.
    pub(super) fn text_within(&mut self, path: &str, length: usize, max: usize) {
        if length > max {
            self.too_long(path, max);
        }
    }

    /// An integer field is at least zero, if it is there.
    pub(super) fn field_not_negative(&mut self, object: &Value, path: &str, field: &str) {
        if let Some(number) = object[field].as_i64()
            && number < 0
        {
            self.invalid_number(format!("{path}.{field}"), number, NEGATIVE);
        }
    }

    /// Several integer fields are at least zero.
    pub(super) fn fields_not_negative(&mut self, object: &Value, path: &str, fields: &[&str]) {
        for field in fields {
            self.field_not_negative(object, path, field);
        }
    }

    /// A text field is one of some values; absent ones pass.
    pub(super) fn field_one_of(&mut self, object: &Value, path: &str, field: &str, of: &[&str]) {
        if let Some(given) = object[field].as_str()
            && !of.contains(&given)
        {
            self.unsupported_value(format!("{path}.{field}"), &object[field], of);
        }
    }

    /// A field has not changed.
    pub(super) fn immutable(&mut self, new: &Value, old: &Value, path: &str) {
        if !same(new, old) {
            self.invalid(path, new, IMMUTABLE);
        }
    }

    /// A name that must be there and pass a check.
    pub(super) fn name(&mut self, path: &str, name: &str, check: fn(&str) -> Vec<String>) {
        match name {
            "" => self.required(path, ""),
            name => self.invalid_texts(path, name, check(name)),
        }
    }

    /// Labels of an object or a selector.
    pub(super) fn labels(&mut self, labels: &Value, path: &str) {
        for (key, value) in labels.as_object().into_iter().flatten() {
            self.invalid_texts(path, key, names::check_label_key(key));
            let value = value.as_str().unwrap_or_default();
            self.invalid_texts(path, value, names::check_label_value(value));
        }
    }

    /// A label selector's terms. (apimachinery/pkg/apis/meta/v1/validation)
    pub(super) fn selector(&mut self, selector: &Value, path: &str) {
        self.labels(&selector["matchLabels"], &format!("{path}.matchLabels"));
        for (index, term) in items(&selector["matchExpressions"]).enumerate() {
            let path = format!("{path}.matchExpressions[{index}]");
            let values = term["values"].as_array().map_or(0, Vec::len);
            match text(term, "operator") {
                "In" | "NotIn" if values == 0 => self.required(
                    format!("{path}.values"),
                    "must be specified when `operator` is 'In' or 'NotIn'",
                ),
                "Exists" | "DoesNotExist" if values > 0 => self.forbidden(
                    format!("{path}.values"),
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                ),
                "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
                other => {
                    let why = "not a valid selector operator";
                    self.invalid(format!("{path}.operator"), &other.into(), why);
                }
            }
            let key = text(term, "key");
            self.invalid_texts(format!("{path}.key"), key, names::check_label_key(key));
            for (at, value) in items(&term["values"]).enumerate() {
                let value = value.as_str().unwrap_or_default();
                let checked = names::check_label_value(value);
                self.invalid_texts(format!("{path}.values[{at}]"), value, checked);
            }
        }
    }

    /// A whole number that is not negative, or a percentage.
    pub(super) fn int_or_percent(&mut self, value: &Value, path: &str) {
        match value {
            Value::String(text) if percent(text).is_none() => {
                let why = "a valid percent string must be a numeric string followed by an ending \
                           '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
                self.invalid(path, value, why);
            }
            Value::Number(number) if number.as_i64().is_some_and(|number| number < 0) => {
                self.invalid(path, value, NEGATIVE);
            }
            _ => {}
        }
    }

    /// A percentage is at most a hundred.
    pub(super) fn at_most_all(&mut self, value: &Value, path: &str) {
        if value.as_str().and_then(percent).is_some_and(|percent| percent > 100) {
            self.invalid(path, value, "must not be greater than 100%");
        }
    }

    /// A path whose first part is a domain.
    pub(super) fn domain_prefixed_path(&mut self, path: &str, value: &str) {
        if value.is_empty() {
            return self.required(path, "");
        }
        match value.split_once('/') {
            Some((domain, rest)) if !domain.is_empty() && !rest.is_empty() => {
                self.invalid_texts(path, domain, names::check_subdomain(domain));
            }
            _ => {
                let why = "must be a domain-prefixed path (such as \"acme.io/foo\")";
                self.invalid(path, &value.into(), why);
            }
        }
    }

    /// An address that endpoints may have.
    pub(super) fn endpoint_address(&mut self, path: &str, address: &str) {
        let Ok(ip) = address.parse::<IpAddr>() else {
            let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            return self.invalid(path, &address.into(), why);
        };
        let link_local = match ip {
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.segments()[0] & 0xffc0 == 0xfe80,
        };
        let link_local_multicast = match ip {
            IpAddr::V4(ip) => ip.octets()[..3] == [224, 0, 0],
            IpAddr::V6(ip) => ip.segments()[0] & 0xff0f == 0xff02,
        };
        let wrong = [
            (ip.is_unspecified(), "may not be unspecified (0.0.0.0 or ::)"),
            (ip.is_loopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
            (link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
            (
                link_local_multicast,
                "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)",
            ),
        ];
        for (_, why) in wrong.iter().filter(|(wrong, _)| *wrong) {
            self.invalid(path, &address.into(), why);
        }
    }
}

/// Whether two values mean the same: what is absent is empty.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    a == b || (is_empty(a) && is_empty(b))
}

/// The number of a percentage such as `25%`.
pub(super) fn percent(text: &str) -> Option<i64> {
    let digits = text.strip_suffix('%')?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(i64::MAX))
}

/// The number of an int-or-percentage; 0 for anything else.
pub(super) fn int_or_percent_value(value: &Value) -> i64 {
    match value {
        Value::String(text) => percent(text).or_else(|| text.parse().ok()).unwrap_or(0),
        other => other.as_i64().unwrap_or(0),
    }
}

/// The sign of a quantity's text, if it is one.
pub(super) fn quantity_sign(value: &Value) -> Option<i128> {
    let quantity = Quantity::parse(value.as_str()?).ok()?;
    // Rounded away from zero, so that the smallest amounts keep their sign.
    let milli = quantity.milli_value();
    Some(if milli == 0 { quantity.value().signum() } else { milli.signum() })
}

/// Whether a label selector selects labels; `None` if it is malformed.
pub(super) fn selects(selector: &Value, labels: &Value) -> Option<bool> {
    let selector = LabelSelector::from_label_selector(selector).ok()?;
    Some(selector.matches_by(|key| labels.get(key).and_then(Value::as_str)))
}

/// Whether a label selector has no terms.
pub(super) fn is_empty_selector(selector: &Value) -> bool {
    let labels = selector["matchLabels"].as_object().map_or(0, serde_json::Map::len);
    labels + selector["matchExpressions"].as_array().map_or(0, Vec::len) == 0
}

/// Whether a number is a port's.
pub(super) fn is_port(number: i64) -> bool {
    (1..=65535).contains(&number)
}

/// Checks a port's name. (apimachinery/pkg/util/validation, IsValidPortName)
pub(super) fn check_port_name(name: &str) -> Vec<String> {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let wrong = [
        (name.len() > 15, "must be no more than 15 characters"),
        (
            !name.bytes().all(legal),
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (
            !name.bytes().any(|byte| byte.is_ascii_lowercase()),
            "must contain at least one letter (a-z)",
        ),
        (name.contains("--"), "must not contain consecutive hyphens"),
        (name.starts_with('-') || name.ends_with('-'), "must not begin or end with a hyphen"),
    ];
    wrong.iter().filter(|(wrong, _)| *wrong).map(|(_, why)| (*why).to_owned()).collect()
}

/// Checks a host that may begin with `*.`.
pub(super) fn check_host(host: &str) -> Vec<String> {
    if !host.contains('*') {
        return names::check_subdomain(host);
    }
    let rest = host.strip_prefix("*.").unwrap_or_default();
    let mut wrong = Vec::new();
    if host.len() > names::SUBDOMAIN_MAX {
        wrong.push("must be no more than 253 characters".to_owned());
    }
    if !names::check_subdomain(rest).is_empty() {
        wrong.push(format!(
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS \
             subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and \
             end with an alphanumeric character (e.g. '*.example.com', regex used for validation \
             is '\\*\\.{SUBDOMAIN}')"
        ));
    }
    wrong
}

/// Checks an IP address in its canonical form.
pub(in crate::apiserver) fn check_ip(address: &str) -> Vec<String> {
    match address.parse::<IpAddr>() {
        Ok(ip) if ip.to_string() == address => Vec::new(),
        Ok(ip) => vec![format!("must be in canonical form (\"{ip}\")")],
        Err(_) => vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned()],
    }
}

/// A block of addresses: the first one and the length of the prefix.
pub(super) fn cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let (address, bits) = (address.parse::<IpAddr>().ok()?, length.parse::<u8>().ok()?);
    let max = if address.is_ipv4() { 32 } else { 128 };
    (bits <= max && length == bits.to_string()).then_some((address, bits))
}

/// The address with only the first bits left.
pub(super) fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            IpAddr::V4((u32::from(ip) & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            IpAddr::V6((u128::from(ip) & mask).into())
        }
    }
}

/// What is wrong with a text that is no block of addresses.
pub(super) const CIDR_FORM: &str =
    "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_are_checked_term_by_term() {
        let mut report = Report::default();
        let selector = json!({
            "matchLabels": {"a": "-"},
            "matchExpressions": [
                {"key": "k", "operator": "In"},
                {"key": "k", "operator": "Exists", "values": ["x"]},
                {"key": "", "operator": "Is"},
            ],
        });
        report.selector(&selector, "s");
        let causes = report.into_causes();
        let fields: Vec<&str> = causes.iter().map(|cause| cause.field.as_str()).collect();
        let expected = [
            "s.matchLabels",
            "s.matchExpressions[0].values",
            "s.matchExpressions[1].values",
            "s.matchExpressions[2].operator",
            "s.matchExpressions[2].key",
            "s.matchExpressions[2].key",
        ];
        assert_eq!(fields, expected);
    }

    #[test]
    fn percentages_and_addresses_are_read() {
        assert_eq!(percent("25%"), Some(25));
        assert_eq!((percent("%"), percent("-1%"), percent("5")), (None, None, None));
        assert_eq!(check_ip("10.0.0.1"), Vec::<String>::new());
        assert_eq!(check_ip("2001:DB8::1"), ["must be in canonical form (\"2001:db8::1\")"]);
        let (address, bits) = cidr("10.9.8.7/24").expect("a block");
        assert_eq!(masked(address, bits).to_string(), "10.9.8.0");
        assert_eq!(masked("::1".parse().expect("an address"), 0).to_string(), "::");
        assert_eq!((cidr("10.0.0.0/33"), cidr("10.0.0.0/08")), (None, None));
    }

    #[test]
    fn port_names_and_wildcard_hosts_have_their_rules() {
        assert!(check_port_name("http-2").is_empty());
        assert_eq!(check_port_name("-8-").len(), 2);
        assert!(check_host("*.example.com").is_empty());
        assert_eq!(check_host("a.*.com").len(), 1);
    }
}
