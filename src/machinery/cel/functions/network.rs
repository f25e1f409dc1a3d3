//! URLs, addresses and networks (kubernetes 1.36: apiserver/pkg/cel/library/urls.go, ip.go,
//! cidr.go).

use std::net::{IpAddr, Ipv6Addr};

use super::{Builtin, Called, unfit};
use crate::machinery::cel::error::EvalError;
use crate::machinery::cel::library::{Cidr, Object, Url, parse_ip};
use crate::machinery::cel::value::{Entries, Key, Text, Val};

pub(super) const FUNCTIONS: &[(&str, Builtin)] = &[
    ("url", url),
    ("isURL", url),
    ("getScheme", url_part),
    ("getHost", url_part),
    ("getHostname", url_part),
    ("getPort", url_part),
    ("getEscapedPath", url_part),
    ("getQuery", query),
    ("ip", ip),
    ("isIP", ip),
    ("ip.isCanonical", is_canonical),
    ("family", ip_fact),
    ("isUnspecified", ip_fact),
    ("isLoopback", ip_fact),
    ("isLinkLocalMulticast", ip_fact),
    ("isLinkLocalUnicast", ip_fact),
    ("isGlobalUnicast", ip_fact),
    ("cidr", cidr),
    ("isCIDR", cidr),
    ("containsIP", contains),
    ("containsCIDR", contains),
    ("prefixLength", cidr_part),
    ("masked", cidr_part),
];

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn url<'a>(name: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::String(text)] = args else { return unfit() };
    let parsed = Url::parse(text);
    if name == "isURL" {
        return Ok(Val::Bool(parsed.is_some()));
    }
    parsed.map(|url| Val::object(Object::Url(url))).ok_or_else(|| {
        EvalError::new(format!(
            "URL parse error during conversion from string: parse {}: invalid URI for request",
            quoted(text)
        ))
    })
}

fn url_part<'a>(name: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::Object(object)] = args else { return unfit() };
    let Object::Url(url) = &**object else { return unfit() };
    Ok(match name {
        "getScheme" => Val::text(&url.scheme),
        "getHost" => Val::text(&url.host),
        "getHostname" => Val::text(url.hostname()),
        "getPort" => Val::text(url.port()),
        _ => Val::text(&url.escaped_path()),
    })
}

fn query<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::Object(object)] = args else { return unfit() };
    let Object::Url(url) = &**object else { return unfit() };
    let entries: Entries<'a> = url
        .parameters()
        .into_iter()
        .map(|(name, values)| {
            let values = values.iter().map(|value| Val::text(value)).collect();
            (Key::String(Text::Shared(name.into())), Val::list(values))
        })
        .collect();
    Ok(Val::map(entries))
}

fn ip<'a>(name: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let text = match args {
        [Val::String(text)] => text,
        [Val::Object(object)] => match &**object {
            Object::Cidr(cidr) => return Ok(Val::object(Object::Ip(cidr.address))),
            _ => return unfit(),
        },
        _ => return unfit(),
    };
    let parsed = parse_ip(text);
    if name == "isIP" {
        return Ok(Val::Bool(parsed.is_some()));
    }
    parsed.map(|address| Val::object(Object::Ip(address))).ok_or_else(|| ip_error(text))
}

fn ip_error(text: &str) -> EvalError {
    let text = quoted(text);
    EvalError::new(format!(
        "IP Address {text} parse error during conversion from string: ParseAddr({text}): unable \
         to parse IP"
    ))
}

fn is_canonical<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::String(text)] = args else { return unfit() };
    let address = parse_ip(text).ok_or_else(|| ip_error(text))?;
    Ok(Val::Bool(address.to_string() == **text))
}

fn ip_fact<'a>(name: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::Object(object)] = args else { return unfit() };
    let Object::Ip(address) = &**object else { return unfit() };
    Ok(match name {
        "family" => Val::Int(if address.is_ipv4() { 4 } else { 6 }),
        "isUnspecified" => Val::Bool(address.is_unspecified()),
        "isLoopback" => Val::Bool(address.is_loopback()),
        "isLinkLocalMulticast" => Val::Bool(match address {
            IpAddr::V4(address) => address.octets()[..3] == [224, 0, 0],
            IpAddr::V6(address) => address.segments()[0] & 0xff0f == 0xff02,
        }),
        "isLinkLocalUnicast" => Val::Bool(is_link_local(address)),
        _ => {
            let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
            let special = address.is_unspecified()
                || address.is_loopback()
                || address.is_multicast()
                || is_link_local(address);
            Val::Bool(!broadcast && !special)
        }
    })
}

fn is_link_local(address: &IpAddr) -> bool {
    let v6 = |address: &Ipv6Addr| address.segments()[0] & 0xffc0 == 0xfe80;
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => v6(address),
    }
}

fn cidr<'a>(name: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::String(text)] = args else { return unfit() };
    let parsed = Cidr::parse(text);
    if name == "isCIDR" {
        return Ok(Val::Bool(parsed.is_some()));
    }
    parsed.map(|cidr| Val::object(Object::Cidr(cidr))).ok_or_else(|| cidr_error(text))
}

fn cidr_error(text: &str) -> EvalError {
    EvalError::new(format!(
        "network address parse error during conversion from string: netip.ParsePrefix({}): no '/'",
        quoted(text)
    ))
}

fn contains<'a>(name: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::Object(object), other] = args else { return unfit() };
    let Object::Cidr(network) = &**object else { return unfit() };
    let inner = match (name, &*other) {
        ("containsIP", Val::String(text)) => {
            let address = parse_ip(text).ok_or_else(|| ip_error(text))?;
            return Ok(Val::Bool(network.contains(address)));
        }
        (_, Val::String(text)) => Cidr::parse(text).ok_or_else(|| cidr_error(text))?,
        (_, Val::Object(object)) => match &**object {
            Object::Ip(address) if name == "containsIP" => {
                return Ok(Val::Bool(network.contains(*address)));
            }
            Object::Cidr(cidr) if name == "containsCIDR" => *cidr,
            _ => return unfit(),
        },
        _ => return unfit(),
    };
    let within = inner.bits >= network.bits && network.contains(inner.address);
    Ok(Val::Bool(within))
}

fn cidr_part<'a>(name: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::Object(object)] = args else { return unfit() };
    let Object::Cidr(cidr) = &**object else { return unfit() };
    Ok(match name {
        "masked" => Val::object(Object::Cidr(cidr.masked())),
        _ => Val::Int(cidr.bits.into()),
    })
}
