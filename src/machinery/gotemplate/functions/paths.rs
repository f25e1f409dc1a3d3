//! sprig's functions on paths and URLs. (sprig v3.3: functions.go, url.go; Go 1.26: path)

use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Answer, Entry, Type, any, text};
use crate::machinery::gotemplate::data::Data;

const ONE: &[Type] = &[Type::Text];

pub(super) const TABLE: &[Entry] = &[
    ("base", ONE, None, |args| Ok(Data::text(base(text(args, 0))))),
    ("osBase", ONE, None, |args| Ok(Data::text(base(text(args, 0))))),
    ("dir", ONE, None, |args| Ok(Data::text(dir(text(args, 0))))),
    ("osDir", ONE, None, |args| Ok(Data::text(dir(text(args, 0))))),
    ("clean", ONE, None, |args| Ok(Data::text(clean(text(args, 0))))),
    ("osClean", ONE, None, |args| Ok(Data::text(clean(text(args, 0))))),
    ("ext", ONE, None, |args| Ok(Data::text(ext(text(args, 0))))),
    ("osExt", ONE, None, |args| Ok(Data::text(ext(text(args, 0))))),
    ("isAbs", ONE, None, |args| Ok(Data::Bool(text(args, 0).starts_with('/')))),
    ("osIsAbs", ONE, None, |args| Ok(Data::Bool(text(args, 0).starts_with('/')))),
    ("urlParse", ONE, None, url_parse),
    ("urlJoin", &[Type::Dict], None, url_join),
];

fn base(path: &str) -> String {
    if path.is_empty() {
        return ".".to_owned();
    }
    let trimmed = path.trim_end_matches('/');
    let name = trimmed.rsplit('/').next().unwrap_or_default();
    if name.is_empty() { "/".to_owned() } else { name.to_owned() }
}

fn dir(path: &str) -> String {
    let end = path.rfind('/').map_or(0, |at| at + 1);
    clean(&path[..end])
}

fn ext(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.rfind('.').map_or("", |at| &name[at..])
}

fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match kept.last() {
                Some(last) if *last != ".." => {
                    kept.pop();
                }
                _ if rooted => {}
                _ => kept.push(".."),
            },
            part => kept.push(part),
        }
    }
    let joined = kept.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

fn url_parse(args: &[Data]) -> Answer {
    let url = text(args, 0);
    if url.chars().any(char::is_control) {
        return Err(format!(
            "unable to parse url: parse {url:?}: invalid control character in URL"
        ));
    }
    let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
    let is_scheme = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    let (scheme, rest) = match rest.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
        _ => (String::new(), rest),
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let is_opaque = !scheme.is_empty() && !rest.starts_with('/');
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|digit| digit.is_ascii_digit()) { name } else { host }
    });
    let parts = [
        ("scheme", scheme.as_str()),
        ("host", host),
        ("hostname", name.trim_start_matches('[').trim_end_matches(']')),
        ("path", if is_opaque { "" } else { path }),
        ("query", query),
        ("opaque", if is_opaque { rest } else { "" }),
        ("fragment", fragment),
        ("userinfo", user),
    ];
    let entries: BTreeMap<Rc<str>, Data> =
        parts.into_iter().map(|(name, part)| (name.into(), Data::text(part))).collect();
    Ok(Data::map(entries))
}

fn url_join(args: &[Data]) -> Answer {
    let Data::Map(_, map) = any(args, 0) else { return Ok(Data::text("")) };
    let map = map.borrow();
    let part = |name: &str| match map.get(name) {
        None => Ok(String::new()),
        Some(Data::Text(text)) => Ok(text.to_string()),
        Some(other) => Err(format!(
            "unable to parse {name} key, must be of type string, but {} found",
            other.kind_name()
        )),
    };
    let (scheme, host, path) = (part("scheme")?, part("host")?, part("path")?);
    let (query, opaque, fragment) = (part("query")?, part("opaque")?, part("fragment")?);
    let user = part("userinfo")?;
    let mut url = String::new();
    if !scheme.is_empty() {
        url.push_str(&format!("{scheme}:"));
    }
    if !opaque.is_empty() {
        url.push_str(&opaque);
    } else {
        if !host.is_empty() || !user.is_empty() {
            url.push_str("//");
            if !user.is_empty() {
                url.push_str(&format!("{user}@"));
            }
            url.push_str(&host);
            if !path.is_empty() && !path.starts_with('/') {
                url.push('/');
            }
        }
        url.push_str(&path);
    }
    for (mark, part) in [('?', query), ('#', fragment)] {
        if !part.is_empty() {
            url.push(mark);
            url.push_str(&part);
        }
    }
    Ok(Data::text(url))
}
