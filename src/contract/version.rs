//! Kubernetes versions: parsing and order. (CAPI v1.14: util/version; semver.org)

use std::cmp::Ordering;
use std::fmt;

/// A semantic version, with or without a leading `v`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version {
    /// Major number.
    pub major: u64,
    /// Minor number.
    pub minor: u64,
    /// Patch number.
    pub patch: u64,
    /// Pre-release identifiers, without the hyphen.
    pub pre: String,
    /// Build identifiers, without the plus sign.
    pub build: String,
}

impl Version {
    /// Parses a strict semantic version (three numbers without leading zeros) after an optional
    /// `v`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (text, build) = match text.split_once('+') {
            Some((text, build)) if are_identifiers(build, false) => (text, build),
            Some(_) => return None,
            None => (text, ""),
        };
        let (numbers, pre) = match text.split_once('-') {
            Some((numbers, pre)) if are_identifiers(pre, true) => (numbers, pre),
            Some(_) => return None,
            None => (text, ""),
        };
        let mut numbers = numbers.split('.').map(number);
        let version = Self {
            major: numbers.next()??,
            minor: numbers.next()??,
            patch: numbers.next()??,
            pre: pre.to_owned(),
            build: build.to_owned(),
        };
        numbers.next().is_none().then_some(version)
    }

    /// Order by precedence, then by build identifiers (Cluster API's rule for build tags).
    pub fn compare_with_build(&self, other: &Self) -> Ordering {
        self.compare(other).then_with(|| compare_identifiers(&self.build, &other.build))
    }

    /// Order by semantic version precedence; build identifiers do not count.
    pub fn compare(&self, other: &Self) -> Ordering {
        (self.major, self.minor, self.patch)
            .cmp(&(other.major, other.minor, other.patch))
            .then_with(|| match (self.pre.is_empty(), other.pre.is_empty()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => compare_identifiers(&self.pre, &other.pre),
            })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if !self.pre.is_empty() {
            write!(f, "-{}", self.pre)?;
        }
        if !self.build.is_empty() {
            write!(f, "+{}", self.build)?;
        }
        Ok(())
    }
}

fn number(text: &str) -> Option<u64> {
    let is_canonical = text == "0" || !text.starts_with('0');
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_canonical && is_digits).then(|| text.parse().ok()).flatten()
}

fn are_identifiers(text: &str, numbers_are_canonical: bool) -> bool {
    text.split('.').all(|part| {
        let is_digits = part.bytes().all(|byte| byte.is_ascii_digit());
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !(numbers_are_canonical && is_digits && number(part).is_none())
    })
}

fn compare_identifiers(a: &str, b: &str) -> Ordering {
    let parts = |text: &str| -> Vec<String> {
        text.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let (a, b) = (parts(a), parts(b));
    for (a, b) in a.iter().zip(&b) {
        let order = match (number(a), number(b)) {
            (Some(a), Some(b)) => a.cmp(&b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => a.cmp(b),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_semantic_versions_parse() {
        assert!(Version::parse("v1.34.0").is_some());
        assert!(Version::parse("1.34.0-rc.1+build.5").is_some());
        for bad in ["v1.34", "v1.34.0-x_y", "1.034.0", "", "v1.34.0.1", "v1.34.0-01"] {
            assert!(Version::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn versions_order_by_precedence_then_build() {
        let version = |text| Version::parse(text).unwrap();
        assert_eq!(version("1.9.0").compare(&version("1.10.0")), Ordering::Less);
        assert_eq!(version("1.9.0-rc.2").compare(&version("1.9.0-rc.10")), Ordering::Less);
        assert_eq!(version("1.9.0-rc.2").compare(&version("1.9.0")), Ordering::Less);
        assert_eq!(version("1.9.0+a").compare(&version("1.9.0+b")), Ordering::Equal);
        assert_eq!(version("1.9.0+2").compare_with_build(&version("1.9.0+10")), Ordering::Less);
    }
}
