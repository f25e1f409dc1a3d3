//! Values of Kubernetes' own types: quantities, versions, URLs, addresses, formats and
//! authorization checks (kubernetes 1.36: apiserver/pkg/cel).

use std::cmp::Ordering;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::machinery::names;
use crate::machinery::quantity::Quantity;
use crate::machinery::schema::is_format;

pub use authorization::{Authorizer, Check, Decision};

mod authorization;

/// A value of a library type.
#[derive(Clone, Debug)]
pub enum Object {
    /// `kubernetes.Quantity`.
    Quantity(Quantity),
    /// `kubernetes.Semver`.
    Semver(Semver),
    /// `kubernetes.URL`.
    Url(Url),
    /// `net.IP`.
    Ip(IpAddr),
    /// `net.CIDR`.
    Cidr(Cidr),
    /// `kubernetes.NamedFormat`.
    Format(Format),
    /// `kubernetes.authorization.Authorizer`: who decides, and for which service account if not
    /// for the one who asks.
    Authorizer(Arc<dyn Authorizer>, Option<(String, String)>),
    /// `kubernetes.authorization.PathCheck`, `GroupCheck` and `ResourceCheck`.
    Check(Arc<dyn Authorizer>, Check),
    /// `kubernetes.authorization.Decision`.
    Decision(Decision),
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Quantity(one), Self::Quantity(two)) => one == two,
            (Self::Semver(one), Self::Semver(two)) => one.cmp(two) == Ordering::Equal,
            (Self::Url(one), Self::Url(two)) => one == two,
            (Self::Ip(one), Self::Ip(two)) => one == two,
            (Self::Cidr(one), Self::Cidr(two)) => one == two,
            (Self::Format(one), Self::Format(two)) => one == two,
            (Self::Authorizer(one, ours), Self::Authorizer(two, theirs)) => {
                Arc::ptr_eq(one, two) && ours == theirs
            }
            (Self::Check(_, one), Self::Check(_, two)) => one == two,
            (Self::Decision(one), Self::Decision(two)) => one == two,
            _ => false,
        }
    }
}

impl Object {
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Quantity(_) => "kubernetes.Quantity",
            Self::Semver(_) => "kubernetes.Semver",
            Self::Url(_) => "kubernetes.URL",
            Self::Ip(_) => "net.IP",
            Self::Cidr(_) => "net.CIDR",
            Self::Format(_) => "kubernetes.NamedFormat",
            Self::Authorizer(..) => "kubernetes.authorization.Authorizer",
            Self::Check(_, check) if check.path.is_some() => "kubernetes.authorization.PathCheck",
            Self::Check(_, check) if check.resource.is_empty() => {
                "kubernetes.authorization.GroupCheck"
            }
            Self::Check(..) => "kubernetes.authorization.ResourceCheck",
            Self::Decision(_) => "kubernetes.authorization.Decision",
        }
    }

    /// Size for costs: bytes of addresses, one for everything else.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Ip(IpAddr::V4(_)) => 4,
            Self::Ip(IpAddr::V6(_)) => 16,
            Self::Cidr(cidr) => u64::from(cidr.bits.div_ceil(8)),
            _ => 1,
        }
    }

    /// The text that `string(x)` gives, for types that have one.
    pub(super) fn to_text(&self) -> Option<String> {
        match self {
            Self::Ip(address) => Some(address.to_string()),
            Self::Cidr(cidr) => Some(cidr.to_string()),
            _ => None,
        }
    }
}

/// A network: an address and the number of its leading bits that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    pub(super) address: IpAddr,
    pub(super) bits: u32,
}

impl Cidr {
    /// Reads `10.0.0.0/8`; strict about leading zeros, without zones and mapped addresses.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let address = parse_ip(address)?;
        let plain = bits.bytes().all(|byte| byte.is_ascii_digit())
            && (bits == "0" || !bits.starts_with('0'));
        let bits = bits.parse().ok().filter(|_| plain)?;
        (bits <= Self::width(address)).then_some(Self { address, bits })
    }

    fn width(address: IpAddr) -> u32 {
        if address.is_ipv4() { 32 } else { 128 }
    }

    fn number(address: IpAddr) -> u128 {
        match address {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => u128::from(address),
        }
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let width = Self::width(self.address);
        let dropped = width - self.bits;
        let prefix = |address| Self::number(address).checked_shr(dropped).unwrap_or_default();
        width == Self::width(address) && prefix(self.address) == prefix(address)
    }

    /// The first address of the network.
    pub(super) fn masked(&self) -> Self {
        let dropped = Self::width(self.address) - self.bits;
        let shifted = Self::number(self.address).checked_shr(dropped).unwrap_or_default();
        let number = shifted.checked_shl(dropped).unwrap_or_default();
        let address = match self.address {
            // The upper bits are zero.
            IpAddr::V4(_) => IpAddr::V4((number as u32).into()),
            IpAddr::V6(_) => IpAddr::V6(number.into()),
        };
        Self { address, bits: self.bits }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// An address as Kubernetes takes it: without a zone, not IPv4 mapped into IPv6.
pub(super) fn parse_ip(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text.parse().ok()?;
    match address {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => None,
        address => Some(address),
    }
}

/// A semantic version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Semver {
    pub(super) numbers: [u64; 3],
    prerelease: Vec<String>,
}

impl Semver {
    /// Reads `1.2.3-rc.1+build`.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("Version string empty");
        }
        let (text, build) = text.split_once('+').map_or((text, None), |(t, b)| (t, Some(b)));
        let (core, prerelease) = text.split_once('-').map_or((text, None), |(c, p)| (c, Some(p)));
        let parts: Vec<&str> = core.split('.').collect();
        let [major, minor, patch] = parts.as_slice() else {
            return Err("No Major.Minor.Patch elements found");
        };
        let mut numbers = [0; 3];
        for (number, part) in numbers.iter_mut().zip([major, minor, patch]) {
            if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err("Invalid character(s) found in version number");
            }
            if part.len() > 1 && part.starts_with('0') {
                return Err("Version number must not contain leading zeroes");
            }
            *number = part.parse().map_err(|_| "Version number out of range")?;
        }
        let identifier = |part: &&str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        let prerelease: Vec<&str> = prerelease.map_or(Vec::new(), |text| text.split('.').collect());
        let leading_zero = |part: &&str| {
            part.len() > 1 && part.starts_with('0') && part.bytes().all(|b| b.is_ascii_digit())
        };
        let build_fits = build.is_none_or(|build| build.split('.').all(|part| identifier(&part)));
        if !prerelease.iter().all(identifier) || prerelease.iter().any(leading_zero) || !build_fits
        {
            return Err("Invalid character(s) found in prerelease or build meta data");
        }
        Ok(Self { numbers, prerelease: prerelease.into_iter().map(str::to_owned).collect() })
    }

    /// Reads `v1.02`: a prefix, missing numbers and leading zeros are taken.
    pub(super) fn parse_tolerant(text: &str) -> Result<Self, &'static str> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let mut parts: Vec<String> = text
            .splitn(3, '.')
            .map(|part| {
                let digits = part.trim_start_matches('0');
                let keeps = digits.starts_with(|c: char| c.is_ascii_digit()) || part.len() < 2;
                match keeps {
                    true if part.len() < 2 => part.to_owned(),
                    true => digits.to_owned(),
                    false => format!("0{digits}"),
                }
            })
            .collect();
        if parts.len() < 3 && parts.last().is_some_and(|last| last.contains(['+', '-'])) {
            return Err("Short version cannot contain PreRelease/Build meta data");
        }
        parts.resize(3, "0".to_owned());
        Self::parse(&parts.join("."))
    }

    pub(super) fn cmp(&self, other: &Self) -> Ordering {
        let numeric = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let identifier = |one: &String, two: &String| match (numeric(one), numeric(two)) {
            (true, true) => one.len().cmp(&two.len()).then_with(|| one.cmp(two)),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => one.cmp(two),
        };
        let prerelease = || match (self.prerelease.is_empty(), other.prerelease.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => {
                let pairs = self.prerelease.iter().zip(&other.prerelease);
                let differs = pairs.map(|(one, two)| identifier(one, two));
                let first = differs.into_iter().find(|order| order.is_ne());
                first.unwrap_or_else(|| self.prerelease.len().cmp(&other.prerelease.len()))
            }
        };
        self.numbers.cmp(&other.numbers).then_with(prerelease)
    }
}

/// An absolute URL or path, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    pub(super) scheme: String,
    /// With the port.
    pub(super) host: String,
    pub(super) path: String,
    pub(super) query: String,
}

impl Url {
    /// What Go's `url.ParseRequestURI` takes, in its parts.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let plain = !text.bytes().any(|byte| byte <= b' ' || byte == 0x7f);
        if text.is_empty() || !plain {
            return None;
        }
        let (scheme, rest) = match text.split_once(':') {
            Some((scheme, rest)) if !text.starts_with('/') => (scheme, rest),
            _ => ("", text),
        };
        let alphabetic = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
        let letters = scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        let is_path = scheme.is_empty() && rest.starts_with('/');
        let is_absolute = alphabetic && letters;
        if !(is_path || is_absolute) {
            return None;
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        if !rest.starts_with('/') {
            return None;
        }
        let authority = rest.strip_prefix("//").filter(|_| !scheme.is_empty());
        let (host, path) = match authority {
            Some(authority) => {
                let end = authority.find('/').unwrap_or(authority.len());
                authority.split_at(end)
            }
            None => ("", rest),
        };
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        if !Self::is_host(host) {
            return None;
        }
        let own = |text: &str| text.to_owned();
        Some(Self {
            scheme: scheme.to_ascii_lowercase(),
            host: own(host),
            path: own(path),
            query: own(query),
        })
    }

    fn is_host(host: &str) -> bool {
        let (name, port) = Self::split_port(host);
        let brackets = name.starts_with('[') == name.ends_with(']');
        let colons = name.starts_with('[') || !name.contains(':');
        brackets && colons && port.bytes().all(|byte| byte.is_ascii_digit())
    }

    fn split_port(host: &str) -> (&str, &str) {
        match host.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, port),
            _ => (host, ""),
        }
    }

    /// The host without port and brackets.
    pub(super) fn hostname(&self) -> &str {
        let name = Self::split_port(&self.host).0;
        name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name)
    }

    pub(super) fn port(&self) -> &str {
        Self::split_port(&self.host).1
    }

    /// The path with what needs it escaped.
    pub(super) fn escaped_path(&self) -> String {
        let mut escaped = String::with_capacity(self.path.len());
        for byte in self.path.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@%!'()*".contains(&byte) {
                escaped.push(char::from(byte));
            } else {
                escaped.push_str(&format!("%{byte:02X}"));
            }
        }
        escaped
    }

    /// Parameters of the query, decoded, in order of their first occurrence.
    pub(super) fn parameters(&self) -> Vec<(String, Vec<String>)> {
        let mut found: Vec<(String, Vec<String>)> = Vec::new();
        for pair in self.query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decode(name), decode(value)) else { continue };
            match found.iter_mut().find(|(known, _)| *known == name) {
                Some((_, values)) => values.push(value),
                None => found.push((name, vec![value])),
            }
        }
        found
    }
}

fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                out.push((digit()? * 16 + digit()?) as u8);
            }
            other => out.push(other),
        }
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

/// A format that strings can be checked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    name: &'static str,
    regex_size: u64,
}

const FORMATS: [Format; 13] = [
    Format { name: "dns1123Label", regex_size: 30 },
    Format { name: "dns1123Subdomain", regex_size: 60 },
    Format { name: "dns1035Label", regex_size: 30 },
    Format { name: "qualifiedName", regex_size: 60 },
    Format { name: "dns1123LabelPrefix", regex_size: 30 },
    Format { name: "dns1123SubdomainPrefix", regex_size: 60 },
    Format { name: "dns1035LabelPrefix", regex_size: 30 },
    Format { name: "labelValue", regex_size: 40 },
    Format { name: "uri", regex_size: 1_103 },
    Format { name: "uuid", regex_size: 69 },
    Format { name: "byte", regex_size: 84 },
    Format { name: "date", regex_size: 125 },
    Format { name: "datetime", regex_size: 125 },
];

impl Format {
    pub(super) fn named(name: &str) -> Option<Self> {
        FORMATS.into_iter().find(|format| format.name == name)
    }

    pub(super) fn regex_size(self) -> u64 {
        self.regex_size
    }

    /// Messages of what is wrong; none if nothing is.
    pub(super) fn validate(self, text: &str) -> Vec<String> {
        // A prefix may end in a dash, because something follows it.
        let masked = |text: &str| match text.strip_suffix('-') {
            Some(before) if !before.is_empty() => format!("{before}a"),
            _ => text.to_owned(),
        };
        let of_format = |format: &str, message: &str| match is_format(format, text) {
            true => Vec::new(),
            false => vec![message.to_owned()],
        };
        match self.name {
            "dns1123Label" => names::check_label(text),
            "dns1123Subdomain" => names::check_subdomain(text),
            "dns1035Label" => names::check_label_1035(text),
            "qualifiedName" => names::check_label_key(text),
            "dns1123LabelPrefix" => names::check_label(&masked(text)),
            "dns1123SubdomainPrefix" => names::check_subdomain(&masked(text)),
            "dns1035LabelPrefix" => names::check_label_1035(&masked(text)),
            "labelValue" => names::check_label_value(text),
            "uri" => match Url::parse(text) {
                Some(_) => Vec::new(),
                None => vec![format!(
                    "parse {}: invalid URI for request",
                    serde_json::Value::from(text)
                )],
            },
            "uuid" => of_format("uuid", "does not match the UUID format"),
            "byte" => of_format("byte", "invalid base64"),
            "date" => of_format("date", "invalid date"),
            _ => of_format("datetime", "invalid datetime"),
        }
    }
}
