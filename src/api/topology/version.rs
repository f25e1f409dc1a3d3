//! Kubernetes versions as the rules of topologies read and order them.
//! (blang/semver v4; CAPI v1.14: util/version)

use std::cmp::Ordering;
use std::fmt;

/// A semantic version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) major: u64,
    pub(crate) minor: u64,
    pub(crate) patch: u64,
    pre: String,
    build: String,
}

impl Version {
    /// Numbers alone.
    pub(crate) fn of(major: u64, minor: u64, patch: u64) -> Self {
        Self { major, minor, patch, ..Self::default() }
    }

    /// Three numbers without leading zeros, and what may follow them.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (text, build) = text.split_once('+').map_or((text, None), |(a, b)| (a, Some(b)));
        let (numbers, pre) = text.split_once('-').map_or((text, None), |(a, b)| (a, Some(b)));
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        let is_list = |list: Option<&str>| list.is_none_or(|list| list.split('.').all(is_word));
        if !is_list(pre) || !is_list(build) {
            return None;
        }
        let number = |word: &str| {
            let is_number = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
            let is_plain = word.len() == 1 || !word.starts_with('0');
            (is_number && is_plain).then(|| word.parse::<u64>().ok()).flatten()
        };
        let mut parts = numbers.split('.').map(number);
        let version = Self {
            major: parts.next()??,
            minor: parts.next()??,
            patch: parts.next()??,
            pre: pre.unwrap_or_default().to_owned(),
            build: build.unwrap_or_default().to_owned(),
        };
        parts.next().is_none().then_some(version)
    }

    /// As [`Version::parse`], with spaces around, a `v` in front, leading zeros and missing numbers.
    pub(crate) fn parse_tolerant(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix('v').unwrap_or(text);
        let end = text.find(['-', '+']).unwrap_or(text.len());
        let (numbers, rest) = text.split_at(end);
        let mut parts: Vec<&str> = numbers
            .split('.')
            .map(|part| {
                let trimmed = part.trim_start_matches('0');
                if trimmed.is_empty() && !part.is_empty() { "0" } else { trimmed }
            })
            .collect();
        if parts.len() < 3 {
            if !rest.is_empty() {
                return None;
            }
            parts.resize(3, "0");
        }
        Self::parse(&format!("{}{rest}", parts.join(".")))
    }

    /// Order of the three numbers.
    pub(crate) fn compare_numbers(&self, other: &Self) -> Ordering {
        let numbers = |v: &Self| (v.major, v.minor, v.patch);
        numbers(self).cmp(&numbers(other))
    }

    /// Whether it is behind `other`, or differs from it in a build that cannot be ordered, which
    /// counts as a change, too.
    pub(crate) fn is_older_or_other_build(&self, other: &Self) -> bool {
        match self.compare(other) {
            Ordering::Equal => {
                self.build != other.build
                    && compare_lists(&self.build, &other.build) != Some(Ordering::Greater)
            }
            order => order == Ordering::Less,
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.compare_numbers(other).then_with(|| match (&*self.pre, &*other.pre) {
            ("", "") => Ordering::Equal,
            ("", _) => Ordering::Greater,
            (_, "") => Ordering::Less,
            (a, b) => compare_lists(a, b).unwrap_or_else(|| a.cmp(b)),
        })
    }
}

/// Order of identifiers, numbers before words; `None` where words differ.
fn compare_lists(a: &str, b: &str) -> Option<Ordering> {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Some(Ordering::Equal),
            (None, Some(_)) => return Some(Ordering::Less),
            (Some(_), None) => return Some(Ordering::Greater),
            (Some(a), Some(b)) if a == b => continue,
            (Some(a), Some(b)) => match (a.parse::<u64>(), b.parse::<u64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => return None,
            },
        };
        if order != Ordering::Equal {
            return Some(order);
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        for (mark, part) in [('-', &self.pre), ('+', &self.build)] {
            if !part.is_empty() {
                write!(f, "{mark}{part}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerant_versions_have_a_v_zeros_and_fewer_numbers() {
        for (text, expected) in [
            ("v1.34.0", Some("1.34.0")),
            ("1.34", Some("1.34.0")),
            (" v01.34.00-rc.1+x ", Some("1.34.0-rc.1+x")),
            ("v", None),
            ("1.34-rc", None),
            ("latest", None),
        ] {
            let found = Version::parse_tolerant(text).map(|version| version.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
        assert_eq!(Version::parse("v1.2.3"), None);
        assert_eq!(Version::parse("1.02.3"), None);
    }

    #[test]
    fn builds_are_ordered_by_number_or_just_differ() {
        let older = |a: &str, b: &str| {
            let parse = |text| Version::parse_tolerant(text).expect("a version");
            parse(a).is_older_or_other_build(&parse(b))
        };
        assert!(older("1.2.3", "1.2.4") && !older("1.2.4", "1.2.3") && !older("1.2.3", "1.2.3"));
        assert!(older("1.2.3+1", "1.2.3+2") && !older("1.2.3+2", "1.2.3+1"));
        assert!(older("1.2.3+a", "1.2.3+b") && older("1.2.3+b", "1.2.3+a"));
        assert!(older("1.2.3+1", "1.2.3+a") && !older("1.2.3+a", "1.2.3+1"));
        assert!(older("1.2.3-rc.1", "1.2.3"));
    }
}
