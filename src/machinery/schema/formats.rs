//! String and number formats that kube-apiserver checks. Unknown formats accept everything.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A format that is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Format {
    Int32,
    Int64,
    DateTime,
    Date,
    Duration,
    Uuid,
    Ipv4,
    Ipv6,
    Cidr,
    Mac,
    Uri,
    Email,
    Hostname,
    Byte,
    HexColor,
    BsonObjectId,
}

/// Formats of strings that kube-apiserver knows, without dashes.
/// (kubernetes 1.36: apiextensions-apiserver pkg/apiserver/validation/formats.go)
const STRING_FORMATS: [&str; 26] = [
    "bsonobjectid",
    "uri",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "cidr",
    "mac",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
    "isbn",
    "isbn10",
    "isbn13",
    "creditcard",
    "ssn",
    "hexcolor",
    "rgbcolor",
    "byte",
    "password",
    "date",
    "duration",
    "datetime",
    "k8sshortname",
    "k8slongname",
];

/// Whether kube-apiserver knows a format for values of a type.
pub(crate) fn is_known(kind: &str, format: &str) -> bool {
    match kind {
        "" | "string" => STRING_FORMATS.contains(&format.replace('-', "").as_str()),
        "integer" => matches!(format, "int32" | "int64"),
        "number" => matches!(format, "float" | "double"),
        _ => false,
    }
}

impl Format {
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "int32" => Self::Int32,
            "int64" => Self::Int64,
            "date-time" | "datetime" => Self::DateTime,
            "date" => Self::Date,
            "duration" => Self::Duration,
            "uuid" | "uuid3" | "uuid4" | "uuid5" => Self::Uuid,
            "ipv4" => Self::Ipv4,
            "ipv6" => Self::Ipv6,
            "cidr" => Self::Cidr,
            "mac" => Self::Mac,
            "uri" => Self::Uri,
            "email" => Self::Email,
            "hostname" => Self::Hostname,
            "byte" => Self::Byte,
            "hexcolor" => Self::HexColor,
            "bsonobjectid" => Self::BsonObjectId,
            _ => return None,
        })
    }

    /// Whether a string has the format; formats of numbers accept every string.
    pub(super) fn accepts(self, text: &str) -> bool {
        match self {
            Self::Int32 | Self::Int64 => true,
            Self::DateTime => is_date_time(text),
            Self::Date => is_date(text),
            Self::Duration => is_duration(text),
            Self::Uuid => is_uuid(text),
            Self::Ipv4 => text.parse::<Ipv4Addr>().is_ok(),
            Self::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
            Self::Cidr => is_cidr(text),
            Self::Mac => is_mac(text),
            Self::Uri => is_uri(text),
            Self::Email => is_email(text),
            Self::Hostname => is_hostname(text),
            Self::Byte => is_base64(text),
            Self::HexColor => is_hex_color(text),
            Self::BsonObjectId => text.len() == 24 && all_hex(text),
        }
    }
}

fn all_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn digits(text: &str, length: usize) -> Option<u32> {
    let valid = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    if valid { text.parse().ok() } else { None }
}

fn is_date(text: &str) -> bool {
    let parse = || {
        let (year, rest) = text.split_once('-')?;
        let (month, day) = rest.split_once('-')?;
        let (year, month, day) = (digits(year, 4)?, digits(month, 2)?, digits(day, 2)?);
        jiff::civil::Date::new(year as i16, month as i8, day as i8).ok()
    };
    parse().is_some()
}

fn is_date_time(text: &str) -> bool {
    let Some((date, time)) = text.split_once(['T', 't']) else { return false };
    is_date(date) && is_time_with_zone(time).is_some()
}

/// `hh:mm:ss[.fraction](Z|±hh:mm)`.
fn is_time_with_zone(text: &str) -> Option<()> {
    let zone_at = text.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = text.split_at(zone_at);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut parts = clock.split(':');
    let hours = digits(parts.next()?, 2)?;
    let minutes = digits(parts.next()?, 2)?;
    let seconds = digits(parts.next()?, 2)?;
    let in_range = parts.next().is_none() && hours < 24 && minutes < 60 && seconds < 61;
    let fraction_valid = !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit());
    let zone_valid = match zone.as_bytes() {
        [b'Z' | b'z'] => true,
        [_, _, _, b':', _, _] => digits(&zone[1..3], 2)? < 24 && digits(&zone[4..], 2)? < 60,
        _ => false,
    };
    (in_range && fraction_valid && zone_valid).then_some(())
}

/// Go's `time.ParseDuration`, or one number and a unit in words such as `3 weeks`.
fn is_duration(text: &str) -> bool {
    is_go_duration(text) || is_duration_in_words(text)
}

fn is_go_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(unit_at);
        let whole = number.bytes().filter(u8::is_ascii_digit).count();
        if whole == 0 || number.len() - whole > 1 {
            return false;
        }
        let units = ["ns", "us", "µs", "μs", "ms", "s", "m", "h"];
        let next = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        if !units.contains(&&tail[..next]) {
            return false;
        }
        rest = &tail[next..];
    }
    true
}

fn is_duration_in_words(text: &str) -> bool {
    let text = text.trim_start();
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = text[unit_at..].trim_start();
    let singular = unit.strip_suffix('s').unwrap_or(unit);
    let known = ["nano", "nanosecond", "micro", "microsecond", "milli", "millisecond", "sec"];
    let more = ["second", "min", "minute", "hr", "hour", "day", "d", "wk", "week", "w"];
    unit_at > 0 && (known.contains(&singular) || more.contains(&singular))
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let hyphens = groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]);
    (hyphens || text.len() == 32) && groups.iter().all(|group| all_hex(group))
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let Ok(bits) = bits.parse::<u8>() else { return false };
    let v4 = address.parse::<Ipv4Addr>().is_ok() && bits <= 32;
    v4 || (address.parse::<Ipv6Addr>().is_ok() && bits <= 128)
}

fn is_mac(text: &str) -> bool {
    let is_split = |separator: char, width: usize, counts: &[usize]| {
        let parts: Vec<&str> = text.split(separator).collect();
        counts.contains(&parts.len())
            && parts.iter().all(|part| part.len() == width && all_hex(part))
    };
    is_split(':', 2, &[6, 8, 20]) || is_split('-', 2, &[6, 8, 20]) || is_split('.', 4, &[3, 4, 10])
}

/// What Go's `url.ParseRequestURI` takes: an absolute URI or an absolute path.
fn is_uri(text: &str) -> bool {
    if text.is_empty() || text.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return false;
    }
    if text.starts_with('/') {
        return true;
    }
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let alphabetic = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    let scheme_valid = scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    alphabetic && scheme_valid && !rest.is_empty()
}

fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let plain = |part: &str| !part.is_empty() && !part.contains([' ', '@', ',', '<', '>']);
    plain(local) && plain(domain)
}

/// A single label, or labels that end in a top-level domain of letters.
fn is_hostname(text: &str) -> bool {
    if text.is_empty() || text.len() > 255 {
        return false;
    }
    let label = |part: &str| {
        let inner = part.chars().all(|c| c.is_alphanumeric() || c == '-');
        (1..=63).contains(&part.len()) && inner && !part.starts_with('-') && !part.ends_with('-')
    };
    let Some((_, top)) = text.rsplit_once('.') else { return label(text) };
    text.split('.').all(label) && top.chars().count() >= 2 && top.chars().all(char::is_alphabetic)
}

fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    text.len().is_multiple_of(4) && text.len() - body.len() <= 2 && body.bytes().all(alphabet)
}

fn is_hex_color(text: &str) -> bool {
    let body = text.strip_prefix('#').unwrap_or(text);
    matches!(body.len(), 3 | 6) && all_hex(body)
}
