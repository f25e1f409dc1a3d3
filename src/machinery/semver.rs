//! Semantic versions and what Go's parser says of texts that are none.
//! (blang/semver v4: Parse, ParseTolerant)

use std::fmt;

/// A version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Semver {
    /// First number.
    pub major: u64,
    /// Second number.
    pub minor: u64,
    /// Third number.
    pub patch: u64,
    /// What follows a dash, as written.
    pub pre: String,
    /// What follows a plus, as written.
    pub build: String,
}

impl Semver {
    /// Reads `1.2.3-pre+build`.
    ///
    /// # Errors
    /// The parser's message.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("Version string empty".to_owned());
        }
        let mut parts = text.splitn(3, '.');
        let (Some(major), Some(minor), Some(rest)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err("No Major.Minor.Patch elements found".to_owned());
        };
        let (major, minor) = (number("major", major)?, number("minor", minor)?);
        let (rest, build) = rest.split_once('+').map_or((rest, None), |(a, b)| (a, Some(b)));
        let (patch, pre) = rest.split_once('-').map_or((rest, None), |(a, b)| (a, Some(b)));
        let patch = number("patch", patch)?;
        for word in pre.into_iter().flat_map(|pre| pre.split('.')) {
            check_pre(word)?;
        }
        for word in build.into_iter().flat_map(|build| build.split('.')) {
            if word.is_empty() {
                return Err("Build meta data is empty".to_owned());
            }
            if !word.bytes().all(is_word) {
                return Err(format!("Invalid character(s) found in build meta data {word:?}"));
            }
        }
        let own = |text: Option<&str>| text.unwrap_or_default().to_owned();
        Ok(Self { major, minor, patch, pre: own(pre), build: own(build) })
    }

    /// Reads what people write too: a `v` in front, leading zeros, one or two numbers.
    ///
    /// # Errors
    /// The parser's message.
    pub fn parse_tolerant(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let text = text.strip_prefix('v').unwrap_or(text);
        let mut parts: Vec<String> = text
            .splitn(3, '.')
            .map(|part| match part.len() {
                0 | 1 => part.to_owned(),
                _ => {
                    let rest = part.trim_start_matches('0');
                    let starts = rest.starts_with(|c: char| c.is_ascii_digit());
                    if starts { rest.to_owned() } else { format!("0{rest}") }
                }
            })
            .collect();
        if parts.len() < 3 {
            if parts.last().is_some_and(|last| last.contains(['+', '-'])) {
                let message = "Short version cannot contain PreRelease/Build meta data";
                return Err(message.to_owned());
            }
            parts.resize(3, "0".to_owned());
        }
        Self::parse(&parts.join("."))
    }

    /// Major, minor and patch.
    pub fn numbers(&self) -> (u64, u64, u64) {
        (self.major, self.minor, self.patch)
    }
}

impl fmt::Display for Semver {
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

fn number(which: &str, text: &str) -> Result<u64, String> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("Invalid character(s) found in {which} number {text:?}"));
    }
    if text.len() > 1 && text.starts_with('0') {
        let mut which = which.to_owned();
        which[..1].make_ascii_uppercase();
        return Err(format!("{which} number must not contain leading zeroes {text:?}"));
    }
    integer(text)
}

fn integer(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| {
        let why = if text.is_empty() { "invalid syntax" } else { "value out of range" };
        format!("strconv.ParseUint: parsing {text:?}: {why}")
    })
}

fn check_pre(word: &str) -> Result<(), String> {
    if word.is_empty() {
        return Err("Prerelease is empty".to_owned());
    }
    if word.bytes().all(|byte| byte.is_ascii_digit()) {
        if word.len() > 1 && word.starts_with('0') {
            return Err(format!(
                "Numeric PreRelease version must not contain leading zeroes {word:?}"
            ));
        }
        return integer(word).map(drop);
    }
    if word.bytes().all(is_word) {
        return Ok(());
    }
    Err(format!("Invalid character(s) found in prerelease {word:?}"))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_strict() {
        for (text, expected) in [
            ("1.34.0", Ok("1.34.0")),
            ("1.34.0-rc.1+build.5", Ok("1.34.0-rc.1+build.5")),
            ("", Err("Version string empty")),
            ("1.34", Err("No Major.Minor.Patch elements found")),
            ("v1.2.3", Err("Invalid character(s) found in major number \"v1\"")),
            ("01.2.3", Err("Major number must not contain leading zeroes \"01\"")),
            ("1.2.3.4", Err("Invalid character(s) found in patch number \"3.4\"")),
            ("1.2.3-", Err("Prerelease is empty")),
            ("1.2.3-x_y", Err("Invalid character(s) found in prerelease \"x_y\"")),
            ("1..3", Err("strconv.ParseUint: parsing \"\": invalid syntax")),
        ] {
            let parsed = Semver::parse(text).map(|version| version.to_string());
            assert_eq!(parsed, expected.map(str::to_owned).map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn people_may_write_less() {
        for (text, expected) in [
            ("v1.34", Ok("1.34.0")),
            (" v01.2.3 ", Ok("1.2.3")),
            ("vnonsense", Err("Invalid character(s) found in major number \"0nonsense\"")),
            ("v1.2-x", Err("Short version cannot contain PreRelease/Build meta data")),
            ("v", Err("strconv.ParseUint: parsing \"\": invalid syntax")),
        ] {
            let parsed = Semver::parse_tolerant(text).map(|version| version.to_string());
            assert_eq!(parsed, expected.map(str::to_owned).map_err(str::to_owned), "{text}");
        }
    }
}
