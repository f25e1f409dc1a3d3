//! sprig's functions on semantic versions. (sprig v3.3: semver.go; Masterminds/semver v3.4)

use std::cmp::Ordering;
use std::fmt::{self, Display, Formatter};
use std::rc::Rc;

use super::{Entry, Type, text};
use crate::machinery::gotemplate::data::{Data, Version};

pub(super) const TABLE: &[Entry] = &[
    ("semver", &[Type::Text], None, |args| {
        parse_version(text(args, 0)).map(|version| Data::Version(Rc::new(version)))
    }),
    ("semverCompare", &[Type::Text, Type::Text], None, |args| {
        let alternatives = constraints(text(args, 0))?;
        let version = parse_version(text(args, 1))?;
        let holds = |all: &Vec<Constraint>| {
            // One constraint that names a prerelease lets them in for all.
            let takes_prereleases = all.iter().any(|one| !one.version.prerelease.is_empty());
            (version.prerelease.is_empty() || takes_prereleases)
                && all.iter().all(|one| one.holds(&version))
        };
        Ok(Data::Bool(alternatives.iter().any(holds)))
    }),
];

/// A version with or without `v`, with one to three numbers.
pub(super) fn parse_version(written: &str) -> Result<Version, String> {
    let invalid = || "invalid semantic version".to_owned();
    let rest = written.strip_prefix('v').unwrap_or(written);
    let (rest, metadata) = rest.split_once('+').unwrap_or((rest, ""));
    let (numbers, prerelease) = rest.split_once('-').unwrap_or((rest, ""));
    if rest.ends_with('-') || written.ends_with('+') {
        return Err(invalid());
    }
    let parts: Vec<&str> = numbers.split('.').collect();
    if parts.len() > 3 {
        return Err(invalid());
    }
    let mut found = [0u64; 3];
    for (part, number) in parts.iter().zip(&mut found) {
        let is_number = !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit());
        *number = is_number.then(|| part.parse().ok()).flatten().ok_or_else(invalid)?;
    }
    let is_identifier = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let is_list = |text: &str| text.is_empty() || text.split('.').all(is_identifier);
    if !is_list(prerelease) || !is_list(metadata) {
        return Err(invalid());
    }
    let [major, minor, patch] = found;
    Ok(Version {
        original: written.to_owned(),
        major,
        minor,
        patch,
        prerelease: prerelease.to_owned(),
        metadata: metadata.to_owned(),
    })
}

impl Version {
    /// Whether its numbers are all 0.
    fn is_zero(&self) -> bool {
        (self.major, self.minor, self.patch) == (0, 0, 0)
    }
}

impl Display for Version {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if !self.prerelease.is_empty() {
            write!(f, "-{}", self.prerelease)?;
        }
        if !self.metadata.is_empty() {
            write!(f, "+{}", self.metadata)?;
        }
        Ok(())
    }
}

fn compare(a: &Version, b: &Version) -> Ordering {
    let numbers = |v: &Version| (v.major, v.minor, v.patch);
    numbers(a).cmp(&numbers(b)).then_with(|| match (&*a.prerelease, &*b.prerelease) {
        ("", "") => Ordering::Equal,
        ("", _) => Ordering::Greater,
        (_, "") => Ordering::Less,
        (a, b) => compare_prereleases(a, b),
    })
}

fn compare_prereleases(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => match (a.parse::<u64>(), b.parse::<u64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => a.cmp(b),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// One comparison.
struct Constraint {
    operator: Operator,
    version: Version,
    /// How many numbers were given: of `1.x` one, of `*` none.
    given: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    Less,
    AtLeast,
    AtMost,
    Tilde,
    Caret,
}

/// Constraints of which one list must hold entirely.
fn constraints(written: &str) -> Result<Vec<Vec<Constraint>>, String> {
    let improper = || format!("improper constraint: {written}");
    let mut alternatives = Vec::new();
    for part in written.split("||") {
        let mut all = Vec::new();
        let words = spaced(part);
        let mut words = words.iter().map(String::as_str).peekable();
        while let Some(word) = words.next() {
            if words.peek() == Some(&"-") {
                words.next();
                let upper = words.next().ok_or_else(improper)?;
                all.push(constraint(&format!(">={word}"), &improper)?);
                all.push(constraint(&format!("<={upper}"), &improper)?);
            } else {
                all.push(constraint(word, &improper)?);
            }
        }
        if all.is_empty() {
            return Err(improper());
        }
        alternatives.push(all);
    }
    Ok(alternatives)
}

/// Words of a constraint; operators stand with their versions.
fn spaced(part: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in part.split(|c: char| c.is_whitespace() || c == ',').filter(|w| !w.is_empty()) {
        let is_operator =
            |text: &str| !text.is_empty() && text.chars().all(|c| "=!<>~^".contains(c));
        match words.last_mut() {
            Some(last) if is_operator(last) => last.push_str(word),
            _ => words.push(word.to_owned()),
        }
    }
    words
}

fn constraint(word: &str, improper: &dyn Fn() -> String) -> Result<Constraint, String> {
    let at = word.find(|c: char| !"=!<>~^".contains(c)).unwrap_or(word.len());
    let (operator, written) = word.split_at(at);
    let operator = match operator {
        "" | "=" => Operator::Equal,
        "!=" => Operator::NotEqual,
        ">" => Operator::Greater,
        "<" => Operator::Less,
        ">=" | "=>" => Operator::AtLeast,
        "<=" | "=<" => Operator::AtMost,
        "~" | "~>" => Operator::Tilde,
        "^" => Operator::Caret,
        _ => return Err(improper()),
    };
    let plain = written.strip_prefix('v').unwrap_or(written);
    let end = plain.find(['-', '+']).unwrap_or(plain.len());
    let (numbers, suffix) = plain.split_at(end);
    let parts: Vec<&str> = numbers.split('.').collect();
    let is_wild = |part: &&str| matches!(*part, "x" | "X" | "*");
    let given = parts.iter().position(is_wild).unwrap_or(parts.len()).min(3);
    let kept = if given == 0 { "0".to_owned() } else { parts[..given].join(".") };
    let suffix = if given == 3 || parts.len() == given { suffix } else { "" };
    let version = parse_version(&format!("{kept}{suffix}")).map_err(|_| improper())?;
    Ok(Constraint { operator, version, given })
}

impl Constraint {
    fn holds(&self, version: &Version) -> bool {
        let order = compare(version, &self.version);
        let shares = |numbers: usize| {
            let (a, b) = (version, &self.version);
            let pairs = [(a.major, b.major), (a.minor, b.minor), (a.patch, b.patch)];
            pairs.iter().take(numbers).all(|(a, b)| a == b)
        };
        let is_wild = self.given < 3;
        match self.operator {
            Operator::Equal if is_wild => shares(self.given),
            Operator::Equal => order == Ordering::Equal,
            Operator::NotEqual if is_wild => !shares(self.given),
            Operator::NotEqual => order != Ordering::Equal,
            // More than 1.2 is 1.3, not 1.2.1.
            Operator::Greater if self.given == 0 => order == Ordering::Greater,
            Operator::Greater => order == Ordering::Greater && !(is_wild && shares(self.given)),
            Operator::Less => order == Ordering::Less,
            Operator::AtLeast => order != Ordering::Less,
            Operator::AtMost if self.given == 0 => shares(2),
            Operator::AtMost => order != Ordering::Greater || (is_wild && shares(self.given)),
            Operator::Tilde if self.given == 3 && self.version.is_zero() => order != Ordering::Less,
            Operator::Tilde => order != Ordering::Less && shares(self.given.min(2)),
            Operator::Caret => order != Ordering::Less && self.caret(&shares),
        }
    }

    /// The leftmost number that is not zero stays.
    fn caret(&self, shares: &dyn Fn(usize) -> bool) -> bool {
        match (self.version.major, self.version.minor, self.given) {
            (_, _, 0) => true,
            (major, _, given) if major > 0 || given == 1 => shares(1),
            (_, minor, given) if minor > 0 || given == 2 => shares(2),
            _ => shares(3),
        }
    }
}

/// A field or method of a version in a template.
pub(in crate::machinery::gotemplate) fn member(version: &Version, name: &str) -> Option<Data> {
    Some(match name {
        "Major" => Data::Uint(version.major),
        "Minor" => Data::Uint(version.minor),
        "Patch" => Data::Uint(version.patch),
        "Prerelease" => Data::text(&version.prerelease),
        "Metadata" => Data::text(&version.metadata),
        "Original" => Data::text(&version.original),
        "String" => Data::text(version.to_string()),
        _ => return None,
    })
}
