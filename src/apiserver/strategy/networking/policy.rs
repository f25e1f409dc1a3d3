//! Network policies. (kubernetes 1.36: pkg/apis/networking/validation)

use serde_json::Value;

use crate::apiserver::strategy::Change;
use crate::apiserver::strategy::checks::{
    CIDR_FORM, PORT_RANGE, check_port_name, cidr, is_port, masked,
};
use crate::apiserver::strategy::fields::{items, text};
use crate::apiserver::strategy::report::Report;
use crate::machinery::status::Cause;

pub(super) fn validate(change: &Change<'_>) -> Vec<Cause> {
    let mut report = Report::default();
    let spec = &change.new["spec"];
    report.selector(&spec["podSelector"], "spec.podSelector");
    for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
        for (index, rule) in items(&spec[rules]).enumerate() {
            let path = format!("spec.{rules}[{index}]");
            for (index, port) in items(&rule["ports"]).enumerate() {
                check_port(port, &format!("{path}.ports[{index}]"), &mut report);
            }
            for (index, peer) in items(&rule[peers]).enumerate() {
                check_peer(peer, &format!("{path}.{peers}[{index}]"), &mut report);
            }
        }
    }
    let types = &spec["policyTypes"];
    if items(types).count() > 2 {
        let why = "may not specify more than two policyTypes";
        report.invalid("spec.policyTypes", types, why);
        return report.into_causes();
    }
    let known = ["Ingress", "Egress"];
    for (index, kind) in items(types).enumerate() {
        if !known.contains(&kind.as_str().unwrap_or_default()) {
            report.unsupported_value(format!("spec.policyTypes[{index}]"), kind, &known);
        }
    }
    report.into_causes()
}

fn check_port(port: &Value, path: &str, report: &mut Report) {
    report.field_one_of(port, path, "protocol", &["TCP", "UDP", "SCTP"]);
    let (field, end_field) = (format!("{path}.port"), format!("{path}.endPort"));
    let end = &port["endPort"];
    match &port["port"] {
        Value::Null if !end.is_null() => {
            report.invalid(end_field, end, "may not be specified when `port` is not specified");
        }
        Value::Null => {}
        Value::String(name) => {
            if !end.is_null() {
                report.invalid(end_field, end, "may not be specified when `port` is non-numeric");
            }
            report.invalid_texts(&field, name, check_port_name(name));
        }
        number => {
            let start = number.as_i64().unwrap_or(0);
            if !is_port(start) {
                report.invalid(field, number, PORT_RANGE);
            }
            let Some(last) = end.as_i64() else { return };
            if last < start {
                let why = "must be greater than or equal to `port`";
                report.invalid(end_field.as_str(), number, why);
            }
            if !is_port(last) {
                report.invalid(end_field, end, PORT_RANGE);
            }
        }
    }
}

fn check_peer(peer: &Value, path: &str, report: &mut Report) {
    let mut count = 0;
    for field in ["podSelector", "namespaceSelector"] {
        if !peer[field].is_null() {
            count += 1;
            report.selector(&peer[field], &format!("{path}.{field}"));
        }
    }
    let block = &peer["ipBlock"];
    if !block.is_null() {
        count += 1;
        check_block(block, &format!("{path}.ipBlock"), report);
    }
    if count == 0 {
        report.required(path, "must specify a peer");
    } else if count > 1 && !block.is_null() {
        report.forbidden(path, "may not specify both ipBlock and another peer");
    }
}

fn check_block(block: &Value, path: &str, report: &mut Report) {
    let whole = text(block, "cidr");
    if whole.is_empty() {
        return report.required(format!("{path}.cidr"), "");
    }
    let Some((address, bits)) = cidr(whole) else {
        return report.invalid(format!("{path}.cidr"), &whole.into(), CIDR_FORM);
    };
    for (index, except) in items(&block["except"]).enumerate() {
        let path = format!("{path}.except[{index}]");
        let Some((inner, inner_bits)) = cidr(except.as_str().unwrap_or_default()) else {
            report.invalid(path, except, CIDR_FORM);
            continue;
        };
        let within = inner.is_ipv4() == address.is_ipv4()
            && masked(inner, bits) == masked(address, bits)
            && bits < inner_bits;
        if !within {
            report.invalid(path, except, "must be a strict subset of `cidr`");
        }
    }
}
