//! Order of Kubernetes versions where build tags count. (CAPI v1.14: util/version/version.go;
//! blang/semver ParseTolerant)

use std::cmp::Ordering;

use crate::contract::version::Version;

/// How one version stands to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Older.
    Less,
    /// The same.
    Equal,
    /// Newer.
    Greater,
    /// The same but for build tags that have no order.
    Different,
}

impl Order {
    fn of(order: Ordering) -> Self {
        match order {
            Ordering::Less => Self::Less,
            Ordering::Equal => Self::Equal,
            Ordering::Greater => Self::Greater,
        }
    }
}

/// Parses a version that may lack its minor or patch number, or have leading zeros.
///
/// # Errors
/// The text, said to be no version.
pub(super) fn parse(text: &str) -> Result<Version, String> {
    let tolerant = || {
        let text = text.trim();
        let text = text.strip_prefix('v').unwrap_or(text);
        let end = text.find(['-', '+']).unwrap_or(text.len());
        let (numbers, rest) = text.split_at(end);
        let mut parts: Vec<&str> = numbers.splitn(3, '.').collect();
        for part in &mut parts {
            let stripped = part.trim_start_matches('0');
            *part = if stripped.is_empty() && !part.is_empty() { "0" } else { stripped };
        }
        if parts.len() < 3 && !rest.is_empty() {
            return None;
        }
        parts.resize(3, "0");
        Version::parse(&format!("{}{rest}", parts.join(".")))
    };
    tolerant().ok_or_else(|| format!("{text:?} is no semantic version"))
}

/// Order with build tags: numbers by value and before words, words only for equality.
pub(super) fn compare(a: &Version, b: &Version) -> Order {
    match a.compare(b) {
        Ordering::Equal => compare_builds(&a.build, &b.build),
        order => Order::of(order),
    }
}

fn compare_builds(a: &str, b: &str) -> Order {
    let parts = |text: &str| -> Vec<String> {
        text.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (a, b) = (parts(a), parts(b));
    for (a, b) in a.iter().zip(&b) {
        let order = match (is_number(a), is_number(b)) {
            (true, false) => Order::Less,
            (false, true) => Order::Greater,
            (true, true) => {
                let number = |part: &str| part.parse::<u64>().unwrap_or(0);
                Order::of(number(a).cmp(&number(b)))
            }
            (false, false) if a == b => Order::Equal,
            (false, false) => Order::Different,
        };
        if order != Order::Equal {
            return order;
        }
    }
    Order::of(a.len().cmp(&b.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_without_an_order_are_different() {
        let order = |a, b| compare(&parse(a).unwrap(), &parse(b).unwrap());
        assert_eq!(order("v1.34.0+1", "v1.34.0+2"), Order::Less);
        assert_eq!(order("v1.34.0+a", "v1.34.0+b"), Order::Different);
        assert_eq!(order("v1.34.0+a", "v1.34.0+a"), Order::Equal);
        assert_eq!(order("v1.34.0+a", "v1.34.0+7"), Order::Greater);
        assert_eq!(order("v1.34.0+a.1", "v1.34.0+a"), Order::Greater);
        assert_eq!(order("v1.35.0+a", "v1.34.9+b"), Order::Greater);
    }

    #[test]
    fn short_versions_are_filled_up() {
        assert_eq!(parse("v1.34").unwrap().to_string(), "1.34.0");
        assert_eq!(parse(" 1.04.0").unwrap().to_string(), "1.4.0");
        for bad in ["", "v", "1.34-rc.1", "1.x.0", "1.2.3.4"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
