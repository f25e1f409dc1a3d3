//! Addresses of Services and the blocks that they come from.

use serde_json::Value;

use crate::apiserver::strategy::Change;
use crate::apiserver::strategy::checks::{CIDR_FORM, cidr, masked};
use crate::apiserver::strategy::fields::{items, text};
use crate::apiserver::strategy::report::Report;
use crate::apiserver::write::Target;
use crate::machinery::names;
use crate::machinery::status::Cause;

pub(super) fn validate_address(change: &Change<'_>) -> Vec<Cause> {
    let mut report = Report::default();
    let parent = &change.new["spec"]["parentRef"];
    if parent.is_null() {
        report.required("spec.parentRef", "");
    } else {
        let path = |field: &str| format!("spec.parentRef.{field}");
        let (group, namespace) = (text(parent, "group"), text(parent, "namespace"));
        if !group.is_empty() {
            report.invalid_texts(path("group"), group, names::check_subdomain(group));
        }
        for field in ["resource", "name"] {
            report.name(&path(field), text(parent, field), names::check_path_segment);
        }
        if !namespace.is_empty() {
            report.invalid_texts(
                path("namespace"),
                namespace,
                names::check_path_segment(namespace),
            );
        }
    }
    if let Some(old) = change.old {
        report.immutable(parent, &old["spec"]["parentRef"], "spec.parentRef");
    }
    report.into_causes()
}

pub(super) fn validate_blocks(change: &Change<'_>) -> Vec<Cause> {
    let mut report = Report::default();
    if change.target == Target::Status {
        return report.into_causes();
    }
    let (spec, path) = (&change.new["spec"], "spec.cidrs");
    let blocks: Vec<&str> = items(&spec["cidrs"]).filter_map(Value::as_str).collect();
    match blocks[..] {
        [] => report.required(path, "at least one CIDR required"),
        [_] => each_block(&blocks, path, &mut report),
        [first, second] => {
            let family = |block| cidr(block).map(|(address, _)| address.is_ipv4());
            match (family(first), family(second)) {
                (Some(first), Some(second)) if first != second => {
                    each_block(&blocks, path, &mut report);
                }
                _ => {
                    let why = "may specify no more than one IP for each IP family, i.e \
                               192.168.0.0/24 and 2001:db8::/64";
                    report.invalid(path, spec, why);
                }
            }
        }
        _ => report.invalid(path, spec, "may only hold up to 2 values"),
    }
    if let Some(old) = change.old {
        report.immutable(&spec["cidrs"], &old["spec"]["cidrs"], path);
    }
    report.into_causes()
}

fn each_block(blocks: &[&str], path: &str, report: &mut Report) {
    for (index, block) in blocks.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some((address, bits)) = cidr(block) else {
            report.invalid(path, &(*block).into(), CIDR_FORM);
            continue;
        };
        let first = masked(address, bits);
        let form = format!("{first}/{bits}");
        if address != first {
            let why = "must not have bits set beyond the prefix length";
            report.invalid(path, &(*block).into(), why);
        } else if form != *block {
            let why = format!("must be in canonical form (\"{form}\")");
            report.invalid(path, &(*block).into(), &why);
        }
    }
}
