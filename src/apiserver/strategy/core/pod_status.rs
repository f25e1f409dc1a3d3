//! What may change of a pod's status. (kubernetes 1.36: pkg/apis/core/validation/validation.go,
//! ValidatePodStatusUpdate)

use serde_json::Value;

use super::pod_update;
use crate::apiserver::strategy::fields::{items, text};
use crate::apiserver::strategy::formats;
use crate::apiserver::strategy::report::{IMMUTABLE, Path, Report};

const STATUS: Path<'_> = Path::Root("status");
const SYSTEM_CONDITIONS: [&str; 3] = ["PodScheduled", "Ready", "Initialized"];

/// Checks a changed status.
pub(super) fn check(report: &mut Report, new: &Value, old: &Value) {
    pod_update::annotations(report, new, old);
    let (new_status, old_status) = (&new["status"], &old["status"]);
    // kube-apiserver looks for conditions below metadata.
    let list = Path::Root("metadata.conditions");
    for (index, condition) in items(&new_status["conditions"]).enumerate() {
        let kind = text(condition, "type");
        if !SYSTEM_CONDITIONS.contains(&kind) {
            formats::qualified_name(report, &list.index(index).field("Type"), kind);
        }
    }
    let nominated = text(new_status, "nominatedNodeName");
    if !nominated.is_empty() && new_status["nominatedNodeName"] != old_status["nominatedNodeName"] {
        formats::subdomain(report, &STATUS.field("nominatedNodeName"), nominated);
    }
    if new_status["qosClass"] != old_status["qosClass"] {
        let class = text(new_status, "qosClass");
        report.invalid_text(STATUS.field("qosClass"), class, IMMUTABLE);
    }
    let policy = text(&old["spec"], "restartPolicy");
    for (field, policy) in [
        ("containerStatuses", policy),
        ("initContainerStatuses", policy),
        ("ephemeralContainerStatuses", "Never"),
    ] {
        transitions(report, field, (new, old), policy);
    }
    claims(report, new);
    addresses(report, &STATUS.field("podIPs"), &new_status["podIPs"]);
    let hosts = STATUS.field("hostIPs");
    if let Some(first) = items(&new_status["hostIPs"]).next()
        && first["ip"] != new_status["hostIP"]
    {
        let path = hosts.index(0);
        report.invalid_text(path.field("ip"), text(first, "ip"), "must be equal to `hostIP`");
    }
    addresses(report, &hosts, &new_status["hostIPs"]);
}

/// Containers that are not to start again stay ended.
fn transitions(report: &mut Report, field: &str, (new, old): (&Value, &Value), policy: &str) {
    if policy == "Always" {
        return;
    }
    let list = STATUS.field(field);
    let restarts = |name: &Value| {
        let lists = [&old["spec"]["initContainers"], &old["spec"]["containers"]];
        lists.into_iter().flat_map(items).any(|container| {
            container["name"] == *name
                && (container["restartPolicy"] == "Always"
                    || items(&container["restartPolicyRules"]).next().is_some())
        })
    };
    for (index, before) in items(&old["status"][field]).enumerate() {
        let ended = &before["state"]["terminated"];
        let failed = ended["exitCode"].as_i64().unwrap_or(0) != 0;
        if ended.is_null() || failed && policy == "OnFailure" || restarts(&before["name"]) {
            continue;
        }
        let runs = items(&new["status"][field])
            .any(|now| now["name"] == before["name"] && now["state"]["terminated"].is_null());
        if runs {
            let why = "may not be transitioned to non-terminated state";
            report.forbidden(list.index(index).field("state"), why);
        }
    }
}

fn claims(report: &mut Report, pod: &Value) {
    let (list, mut taken) = (STATUS.field("resourceClaimStatuses"), Vec::new());
    for (index, status) in items(&pod["status"]["resourceClaimStatuses"]).enumerate() {
        let (path, name) = (list.index(index), text(status, "name"));
        let path = path.field("name");
        if !items(&pod["spec"]["resourceClaims"]).any(|claim| text(claim, "name") == name) {
            let why = "must match the name of an entry in `spec.resourceClaims`";
            report.invalid_text(path, name, why);
        }
        if taken.contains(&name) {
            report.duplicate(path, name);
        }
        taken.push(name);
        if let Some(claim) = status["resourceClaimName"].as_str() {
            formats::subdomain(report, &path, claim);
        }
    }
}

/// Addresses are valid, and at most one of each family.
fn addresses(report: &mut Report, list: &Path<'_>, addresses: &Value) {
    let mut taken = Vec::new();
    for (index, address) in items(addresses).enumerate() {
        let ip = text(address, "ip");
        formats::ip(report, &list.index(index).field("ip"), ip);
        if taken.contains(&ip) {
            let shown = serde_json::json!({ "IP": ip });
            report.duplicate_value(list.index(index), &shown);
        }
        taken.push(ip);
    }
    if taken.len() > 1 && (taken.len() > 2 || !formats::is_dual_stack(taken.iter().copied())) {
        let why = "may specify no more than one IP for each IP family";
        let shown: Vec<Value> = taken.iter().map(|ip| serde_json::json!({ "IP": ip })).collect();
        report.invalid(list, &shown.into(), why);
    }
}
