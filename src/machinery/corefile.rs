//! Corefiles, and what becomes of one when CoreDNS is upgraded. Pure.
//! (corefile-migration 1.0.34: migration; coredns/caddy: caddyfile)
//!
//! The rules are those of the library that upstream asks, without the migration of what is only
//! deprecated. Comments are lost, as they are there.

use std::ops::RangeInclusive;

/// Versions that the library knows, oldest first. 1.8.1 and 1.8.2 were never to be had.
const VERSIONS: [CoreDnsVersion; 56] = [
    (1, 1, 3),
    (1, 1, 4),
    (1, 2, 0),
    (1, 2, 1),
    (1, 2, 2),
    (1, 2, 3),
    (1, 2, 4),
    (1, 2, 5),
    (1, 2, 6),
    (1, 3, 0),
    (1, 3, 1),
    (1, 4, 0),
    (1, 5, 0),
    (1, 5, 1),
    (1, 5, 2),
    (1, 6, 0),
    (1, 6, 1),
    (1, 6, 2),
    (1, 6, 3),
    (1, 6, 4),
    (1, 6, 5),
    (1, 6, 6),
    (1, 6, 7),
    (1, 6, 9),
    (1, 7, 0),
    (1, 7, 1),
    (1, 8, 0),
    (1, 8, 3),
    (1, 8, 4),
    (1, 8, 5),
    (1, 8, 6),
    (1, 8, 7),
    (1, 9, 0),
    (1, 9, 1),
    (1, 9, 2),
    (1, 9, 3),
    (1, 9, 4),
    (1, 10, 0),
    (1, 10, 1),
    (1, 11, 0),
    (1, 11, 1),
    (1, 11, 3),
    (1, 11, 4),
    (1, 12, 0),
    (1, 12, 1),
    (1, 12, 2),
    (1, 12, 3),
    (1, 12, 4),
    (1, 13, 0),
    (1, 13, 1),
    (1, 13, 2),
    (1, 14, 0),
    (1, 14, 1),
    (1, 14, 2),
    (1, 14, 3),
    (1, 14, 4),
];

/// Major, minor and patch.
pub type CoreDnsVersion = (u64, u64, u64);

/// Whether a Corefile of this version can be migrated at all.
pub fn is_known(version: CoreDnsVersion) -> bool {
    VERSIONS.contains(&version)
}

/// Whether there is a way from one version up to another.
///
/// # Errors
/// The library's messages: an unknown version, a way back. (corefile-migration: ValidUpMigration)
pub fn check_way(from: CoreDnsVersion, to: CoreDnsVersion) -> Result<(), String> {
    way(from, to).map(drop)
}

fn way(from: CoreDnsVersion, to: CoreDnsVersion) -> Result<(usize, usize), String> {
    let show = |(major, minor, patch): CoreDnsVersion| format!("{major}.{minor}.{patch}");
    let Some(start) = VERSIONS.iter().position(|version| *version == from) else {
        return Err(format!("start version '{}' not supported", show(from)));
    };
    let end = VERSIONS.iter().position(|version| *version == to).filter(|end| *end > start);
    match end {
        Some(end) => Ok((start, end)),
        None => Err(format!("cannot migrate up to '{}' from '{}'", show(to), show(from))),
    }
}

/// The Corefile for version `to` made from one for version `from`.
///
/// # Errors
/// The library's messages: an unknown version, a way back, a Corefile that cannot be migrated.
pub fn migrate(from: CoreDnsVersion, to: CoreDnsVersion, text: &str) -> Result<String, String> {
    if from == to {
        return Ok(text.to_owned());
    }
    let (start, end) = way(from, to)?;
    let mut servers = parse(text)?;
    for version in &VERSIONS[start + 1..=end] {
        step(*version, &mut servers)?;
    }
    Ok(servers.iter().map(print_server).collect::<Vec<_>>().join("\n"))
}

/// A server block.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Server {
    keys: Vec<String>,
    plugins: Vec<Plugin>,
}

/// A plugin of a server block.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plugin {
    name: String,
    arguments: Vec<String>,
    options: Vec<Setting>,
}

/// An option of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    name: String,
    arguments: Vec<String>,
}

impl Plugin {
    fn new(name: &str, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self { name: name.to_owned(), arguments, options: Vec::new() }
    }
}

impl Setting {
    fn new(name: &str, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self { name: name.to_owned(), arguments }
    }
}

impl Server {
    fn has(&self, names: &[&str]) -> bool {
        self.plugins.iter().any(|plugin| names.contains(&plugin.name.as_str()))
    }
}

/// Brings a Corefile from the version before to this one.
fn step(version: CoreDnsVersion, servers: &mut Vec<Server>) -> Result<(), String> {
    if version == (1, 8, 0) {
        servers.iter_mut().for_each(add_transfer);
    }
    for server in servers.iter_mut() {
        for plugin in &mut server.plugins {
            let before = std::mem::take(&mut plugin.options);
            let names: Vec<String> = before.iter().map(|option| option.name.clone()).collect();
            plugin.options = before
                .into_iter()
                .filter_map(|o| migrate_option(version, &plugin.name, o))
                .collect();
            if version == (1, 5, 0) && plugin.name == "proxy" {
                plugin.name = "forward".to_owned();
            }
            let default = match (version, plugin.name.as_str()) {
                ((1, 6, 5), "health") => Setting::new("lameduck", &["5s"]),
                ((1, 7, 0), "forward") => Setting::new("max_concurrent", &["1000"]),
                _ => continue,
            };
            if !names.contains(&default.name) {
                plugin.options.push(default);
            }
        }
        let (default, beside): (&str, &[&str]) = match version {
            (1, 2, 1) => ("loop", &["forward", "proxy"]),
            (1, 5, 0) => ("ready", &["kubernetes"]),
            _ => continue,
        };
        if server.has(beside) && !server.has(&[default]) {
            server.plugins.push(Plugin::new(default, &[]));
        }
    }
    if matches!(version, (1, 4 | 5, 0)) { split_stub_domains(servers) } else { Ok(()) }
}

/// What becomes of an option of a plugin, if it stays.
fn migrate_option(version: CoreDnsVersion, plugin: &str, mut option: Setting) -> Option<Setting> {
    let within = |range: RangeInclusive<CoreDnsVersion>| range.contains(&version);
    match (plugin, option.name.as_str()) {
        ("kubernetes", "endpoint") if version >= (1, 4, 0) => option.arguments.truncate(1),
        ("kubernetes", "upstream") if within((1, 5, 0)..=(1, 7, 1)) => return None,
        ("kubernetes", "resyncperiod") if within((1, 6, 0)..=(1, 7, 1)) => return None,
        ("kubernetes", "transfer") if version == (1, 8, 0) => return None,
        ("proxy", "protocol")
            if version < (1, 4, 0)
                && option.arguments.first().is_some_and(|argument| argument == "https_google") =>
        {
            return None;
        }
        ("proxy", name) if version == (1, 5, 0) => match name {
            "fail_timeout" | "max_fails" | "health_check" | "spray" => return None,
            "policy" if option.arguments == ["least_conn"] => {
                return Some(Setting::new("force_tcp", &[]));
            }
            "protocol" => {
                let is_tcp = option.arguments.len() >= 2 && option.arguments[0] == "force_tcp";
                return is_tcp.then(|| Setting::new("force_tcp", &[]));
            }
            _ => {}
        },
        _ => {}
    }
    Some(option)
}

/// Zone transfers were an option of `kubernetes` and became a plugin.
fn add_transfer(server: &mut Server) {
    let mut zone = None;
    let mut to: &[String] = &[];
    for plugin in server.plugins.iter().filter(|plugin| plugin.name == "kubernetes") {
        zone = plugin.arguments.first();
        for option in plugin.options.iter().filter(|option| option.name == "transfer") {
            to = &option.arguments;
        }
    }
    let (Some(zone), [_, to @ ..]) = (zone, to) else { return };
    if to.is_empty() {
        return;
    }
    let options = vec![Setting { name: "to".to_owned(), arguments: to.to_vec() }];
    let transfer = Plugin { name: "transfer".to_owned(), arguments: vec![zone.clone()], options };
    server.plugins.push(transfer);
}

/// `forward` stands once in a server block; each further domain gets a block of its own.
fn split_stub_domains(servers: &mut Vec<Server>) -> Result<(), String> {
    let mut split = Vec::new();
    for server in servers.iter_mut() {
        let mut kept = Vec::with_capacity(server.plugins.len());
        for mut plugin in std::mem::take(&mut server.plugins) {
            if plugin.name != "forward" {
                kept.push(plugin);
                continue;
            }
            let Some(domain) = plugin.arguments.first_mut() else {
                return Err("found invalid forward plugin declaration".to_owned());
            };
            if domain == "." {
                kept.push(plugin);
                continue;
            }
            if server.keys.len() != 1 {
                let message = "unhandled migration of multi-domain/port server block";
                return Err(message.to_owned());
            }
            if ![".", ".:53"].contains(&server.keys[0].as_str()) {
                let message = "unhandled migration of non-default domain/port server block";
                return Err(message.to_owned());
            }
            let keys = vec![std::mem::replace(domain, ".".to_owned())];
            let others = [("loop", None), ("errors", None), ("cache", Some("30"))];
            let others = others.map(|(name, argument)| Plugin::new(name, argument.as_slice()));
            let plugins = [plugin].into_iter().chain(others).collect();
            split.push(Server { keys, plugins });
        }
        server.plugins = kept;
    }
    servers.extend(split);
    Ok(())
}

/// A word with the lines on which it starts and ends.
struct Token {
    text: String,
    start: usize,
    end: usize,
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let (mut line, mut chars) = (0, text.trim_start_matches('\u{feff}').chars().peekable());
    while let Some(first) = chars.next() {
        match first {
            '\n' => line += 1,
            c if c.is_whitespace() => {}
            '#' => while chars.next_if(|c| *c != '\n').is_some() {},
            '"' => {
                let (start, mut word) = (line, String::new());
                while let Some(c) = chars.next() {
                    match c {
                        '"' => break,
                        '\\' if chars.peek() == Some(&'"') => word.extend(chars.next()),
                        c => {
                            line += usize::from(c == '\n');
                            word.push(c);
                        }
                    }
                }
                tokens.push(Token { text: word, start, end: line });
            }
            first => {
                let mut word = String::from(first);
                while let Some(c) = chars.next_if(|c| !c.is_whitespace()) {
                    word.push(c);
                }
                tokens.push(Token { text: word, start: line, end: line });
            }
        }
    }
    tokens
}

fn parse(text: &str) -> Result<Vec<Server>, String> {
    let misplaced = || "Corefile has an option outside of a plugin".to_owned();
    let mut servers: Vec<Server> = Vec::new();
    let mut depth = 0_usize;
    let mut tokens = tokens(text).into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token.text.as_str() {
            "{" => {
                depth += 1;
                continue;
            }
            "}" => {
                depth = depth.saturating_sub(1);
                continue;
            }
            _ => {}
        }
        let (mut line, mut arguments) = (token.end, Vec::new());
        while let Some(next) = tokens.next_if(|next| next.start == line && next.text != "{") {
            line = next.end;
            arguments.push(next.text);
        }
        match depth {
            0 => {
                arguments.insert(0, token.text);
                servers.push(Server { keys: arguments, plugins: Vec::new() });
            }
            1 => {
                let server = servers.last_mut().ok_or_else(misplaced)?;
                server.plugins.push(Plugin { name: token.text, arguments, options: Vec::new() });
            }
            2 => {
                let server = servers.last_mut().ok_or_else(misplaced)?;
                let plugin = server.plugins.last_mut().ok_or_else(misplaced)?;
                plugin.options.push(Setting { name: token.text, arguments });
            }
            _ => {}
        }
    }
    Ok(servers)
}

fn print_server(server: &Server) -> String {
    let mut out = words(&server.keys);
    if server.plugins.is_empty() {
        return out;
    }
    out.push_str(" {\n");
    for plugin in &server.plugins {
        out.push_str(&format!("    {}", line(&plugin.name, &plugin.arguments)));
        if !plugin.options.is_empty() {
            out.push_str(" {\n");
            for option in &plugin.options {
                out.push_str(&format!("        {}\n", line(&option.name, &option.arguments)));
            }
            out.push_str("    }");
        }
        out.push('\n');
    }
    out.push_str("}\n");
    out
}

fn line(name: &str, arguments: &[String]) -> String {
    if arguments.is_empty() { name.to_owned() } else { format!("{name} {}", words(arguments)) }
}

fn words(words: &[String]) -> String {
    let quoted = words.iter().map(|word| {
        if word.split_whitespace().count() > 1 {
            format!("\"{}\"", word.replace('"', "\\\""))
        } else {
            word.clone()
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "# ours\n.:53 {\n    errors\n    health\n    kubernetes cluster.local \
        in-addr.arpa ip6.arpa {\n        pods insecure\n        upstream\n        fallthrough \
        in-addr.arpa ip6.arpa\n        transfer to * 10.0.0.1\n    }\n    prometheus :9153\n    \
        proxy . /etc/resolv.conf {\n        policy least_conn\n        spray\n    }\n    \
        forward example.org 10.0.0.2\n    cache 30\n}\n";

    #[test]
    fn an_old_corefile_passes_through_all_versions() {
        let expected = ".:53 {\n    errors\n    health {\n        lameduck 5s\n    }\n    \
            kubernetes cluster.local in-addr.arpa ip6.arpa {\n        pods insecure\n        \
            fallthrough in-addr.arpa ip6.arpa\n    }\n    prometheus :9153\n    \
            forward . /etc/resolv.conf {\n        force_tcp\n        max_concurrent 1000\n    }\n    \
            cache 30\n    loop\n    ready\n    transfer cluster.local {\n        \
            to * 10.0.0.1\n    }\n}\n\nexample.org {\n    forward . 10.0.0.2 {\n        \
            max_concurrent 1000\n    }\n    loop\n    errors\n    cache 30\n}\n";
        assert_eq!(migrate((1, 1, 3), (1, 14, 2), OLD).as_deref(), Ok(expected));
    }

    #[test]
    fn versions_without_rules_only_lay_the_text_out_anew() {
        let text = "a b:53 { \n  log \"two words\"\n  rewrite name \"say \\\"x\\\" now\" \
                    { # why\n one two\n}\n}\n";
        let expected = "a b:53 {\n    log \"two words\"\n    \
                        rewrite name \"say \\\"x\\\" now\" {\n        one two\n    }\n}\n";
        assert_eq!(migrate((1, 11, 1), (1, 11, 3), text).as_deref(), Ok(expected));
        assert_eq!(migrate((1, 11, 1), (1, 11, 1), text).as_deref(), Ok(text));
    }

    #[test]
    fn what_cannot_be_migrated_is_refused_in_the_librarys_words() {
        let cases = [
            ((1, 1, 2), (1, 12, 0), ". {\n}\n", "start version '1.1.2' not supported"),
            ((1, 12, 0), (1, 11, 1), ". {\n}\n", "cannot migrate up to '1.11.1' from '1.12.0'"),
            ((1, 12, 0), (9, 0, 0), ". {\n}\n", "cannot migrate up to '9.0.0' from '1.12.0'"),
            (
                (1, 3, 1),
                (1, 4, 0),
                "a b {\n forward c d\n}\n",
                "unhandled migration of multi-domain/port server block",
            ),
            (
                (1, 3, 1),
                (1, 4, 0),
                "a {\n forward c d\n}\n",
                "unhandled migration of non-default domain/port server block",
            ),
            (
                (1, 3, 1),
                (1, 4, 0),
                ". {\n forward\n}\n",
                "found invalid forward plugin declaration",
            ),
        ];
        for (from, to, text, message) in cases {
            assert_eq!(migrate(from, to, text), Err(message.to_owned()), "{text}");
        }
    }

    #[test]
    fn versions_are_in_order_and_known() {
        assert!(VERSIONS.is_sorted());
        assert!(is_known((1, 14, 2)) && !is_known((1, 8, 2)) && !is_known((1, 11, 2)));
    }
}
