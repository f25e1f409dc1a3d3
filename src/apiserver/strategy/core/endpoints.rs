//! Endpoints. (kubernetes 1.36: pkg/apis/core/validation/validation.go, ValidateEndpoints)

use serde_json::Value;

use crate::apiserver::strategy::fields::{fill, items, list, text};
use crate::apiserver::strategy::formats;
use crate::apiserver::strategy::pod_spec::containers::PROTOCOLS;
use crate::apiserver::strategy::report::{Path, Report};
use crate::apiserver::strategy::{Change, NONE, Rules};
use crate::machinery::status::Cause;

/// Of Endpoints.
pub(super) const RULES: Rules = Rules { default, validate, ..NONE };

fn default(endpoints: &mut Value) {
    for subset in list(endpoints, "subsets") {
        for port in list(subset, "ports") {
            fill(port, "protocol", "TCP");
        }
    }
}

fn validate(change: &Change<'_>) -> Vec<Cause> {
    let mut report = Report::default();
    let list = Path::Root("subsets");
    for (index, subset) in items(&change.new["subsets"]).enumerate() {
        let path = list.index(index);
        let fields = ["addresses", "notReadyAddresses"];
        if fields.iter().all(|field| items(&subset[*field]).next().is_none()) {
            report.required(path, "must specify `addresses` or `notReadyAddresses`");
        }
        for field in fields {
            let list = path.field(field);
            for (index, address) in items(&subset[field]).enumerate() {
                check_address(&mut report, &list.index(index), address);
            }
        }
        let list = path.field("ports");
        let several = items(&subset["ports"]).count() > 1;
        for (index, port) in items(&subset["ports"]).enumerate() {
            check_port(&mut report, &list.index(index), port, several);
        }
    }
    report.into_causes()
}

fn check_address(report: &mut Report, path: &Path<'_>, address: &Value) {
    let (ip, host) = (text(address, "ip"), text(address, "hostname"));
    formats::ip(report, &path.field("ip"), ip);
    if !host.is_empty() {
        formats::label(report, &path.field("hostname"), host);
    }
    if let Some(node) = address["nodeName"].as_str() {
        formats::subdomain(report, &path.field("nodeName"), node);
    }
    // kube-apiserver refuses loopback addresses, too. Here webhooks run on the user's machine.
    if !formats::parse_ip(ip).is_some_and(|ip| ip.is_loopback()) {
        formats::ordinary_ip(report, &path.field("ip"), ip);
    }
}

fn check_port(report: &mut Report, path: &Path<'_>, port: &Value, several: bool) {
    let name = text(port, "name");
    if several && name.is_empty() {
        report.required(path.field("name"), "");
    } else if !name.is_empty() {
        formats::label(report, &path.field("name"), name);
    }
    formats::port(report, &path.field("port"), port["port"].as_i64().unwrap_or(0));
    report.must_be_one_of(path.field("protocol"), &port["protocol"], PROTOCOLS);
    if let Some(protocol) = port["appProtocol"].as_str() {
        formats::qualified_name(report, &path.field("appProtocol"), protocol);
    }
}
