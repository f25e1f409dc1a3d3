//! Names: how pods resolve them, and what they are called themselves.
//! (kubernetes 1.36: pkg/apis/core/validation/validation.go, validatePodDNSConfig)

use serde_json::Value;

use crate::apiserver::strategy::fields::{items, text};
use crate::apiserver::strategy::formats;
use crate::apiserver::strategy::report::{Path, Report};

/// How pods resolve names.
pub(super) const POLICIES: &[&str] =
    &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
const SERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_LENGTH_MAX: usize = 2048;
const OVERRIDE_MAX: usize = 64;

/// Checks `dnsConfig`.
pub(super) fn config(report: &mut Report, path: &Path<'_>, spec: &Value) {
    let config = &spec["dnsConfig"];
    let (servers, searches) = (&config["nameservers"], &config["searches"]);
    if spec["dnsPolicy"] == "None" {
        if config.is_null() {
            report.required(path, "must provide `dnsConfig` when `dnsPolicy` is None");
            return;
        }
        if items(servers).next().is_none() {
            let why = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            report.required(path.field("nameservers"), why);
            return;
        }
    }
    let list = path.field("nameservers");
    if items(servers).count() > SERVERS_MAX {
        report.invalid(list, servers, "must not have more than 3 nameservers");
    }
    for (index, server) in items(servers).enumerate() {
        formats::ip(report, &list.index(index), server.as_str().unwrap_or_default());
    }
    let list = path.field("searches");
    let (mut count, mut length) = (0, 0);
    for (index, search) in items(searches).filter_map(Value::as_str).enumerate() {
        count += 1;
        length += search.len() + 1;
        if search != "." {
            let search = search.strip_suffix('.').unwrap_or(search);
            let reasons = formats::subdomain_with_underscores(search);
            report.invalid_texts(list.index(index), search, reasons);
        }
    }
    if count > SEARCHES_MAX {
        report.invalid(list, searches, "must not have more than 32 search paths");
    }
    if length > SEARCH_LENGTH_MAX + 1 {
        let why = "must not have more than 2048 characters (including spaces) in the search list";
        report.invalid(list, searches, why);
    }
    let list = path.field("options");
    for (index, option) in items(&config["options"]).enumerate() {
        if text(option, "name").is_empty() {
            report.required(list.index(index), "must not be empty");
        }
    }
}

/// Checks names that a pod adds to its hosts file.
pub(super) fn host_aliases(report: &mut Report, list: &Path<'_>, spec: &Value) {
    for (index, alias) in items(&spec["hostAliases"]).enumerate() {
        let path = list.index(index);
        formats::ip(report, &path.field("ip"), text(alias, "ip"));
        let names = path.field("hostnames");
        for (index, name) in items(&alias["hostnames"]).enumerate() {
            formats::subdomain(report, &names.index(index), name.as_str().unwrap_or_default());
        }
    }
}

/// Checks what a pod is called.
pub(super) fn host_names(report: &mut Report, path: &Path<'_>, spec: &Value) {
    for field in ["hostname", "subdomain"] {
        let name = text(spec, field);
        if !name.is_empty() {
            formats::label(report, &path.field(field), name);
        }
    }
    let Some(name) = spec["hostnameOverride"].as_str() else { return };
    let place = path.field("hostnameOverride");
    if spec["setHostnameAsFQDN"] == true {
        report.forbidden(place, "may not be specified when setHostnameAsFQDN is true");
    }
    if spec["hostNetwork"] == true {
        report.forbidden(place, "may not be specified when hostNetwork is true");
    }
    if name.len() > OVERRIDE_MAX {
        report.invalid_text(place, name, "must be no more than 64 characters");
    }
    formats::subdomain(report, &place, name);
}
