//! What may change of a service. (kubernetes 1.36: pkg/registry/core/service/{strategy,storage},
//! patchAllocatedValues, dropTypeDependentFields; validateUpgradeDowngradeClusterIPs)

use serde_json::Value;

use super::services::{is_external, is_headless, needs_health_check};
use crate::apiserver::strategy::fields::{items, list, remove, text};
use crate::apiserver::strategy::formats;
use crate::apiserver::strategy::report::{IMMUTABLE, Path, Report};

const SPEC: Path<'_> = Path::Root("spec");
const ONCE: &str = "may not change once set";

/// Takes over what the stored service was given and the client does not say.
pub(super) fn carry_over(new: &mut Value, old: &Value) {
    let has_address = |spec: &Value| spec["type"] != "ExternalName";
    if has_address(new)
        && has_address(old)
        && text(new, "clusterIP").is_empty()
        && items(&new["clusterIPs"]).next().is_none()
    {
        for field in ["clusterIP", "clusterIPs"] {
            if !old[field].is_null() {
                new[field] = old[field].clone();
            }
        }
    }
    if has_address(new) && has_address(old) {
        for field in ["ipFamilies", "ipFamilyPolicy"] {
            if new[field].is_null() && !old[field].is_null() {
                new[field] = old[field].clone();
            }
        }
    }
    let ports = |spec: &Value| matches!(text(spec, "type"), "NodePort" | "LoadBalancer");
    if ports(new) && ports(old) {
        for port in list(new, "ports") {
            if port["nodePort"].as_i64().unwrap_or(0) != 0 {
                continue;
            }
            let before = items(&old["ports"])
                .find(|old| old["port"] == port["port"] && old["protocol"] == port["protocol"]);
            if let Some(number) = before.map(|old| &old["nodePort"])
                && !number.is_null()
            {
                port["nodePort"] = number.clone();
            }
        }
    }
    if needs_health_check(new)
        && needs_health_check(old)
        && new["healthCheckNodePort"].as_i64().unwrap_or(0) == 0
    {
        new["healthCheckNodePort"] = old["healthCheckNodePort"].clone();
    }
}

/// Drops what the old type had and the new one cannot have, if the client left it as it was.
pub(super) fn drop_what_went(new: &mut Value, old: &Value) {
    let (before, now) = (text(old, "type").to_owned(), text(new, "type").to_owned());
    if before == now && is_external(new) == is_external(old) {
        return;
    }
    if now == "ExternalName" && before != "ExternalName" {
        if new["clusterIPs"] == old["clusterIPs"] {
            remove(new, "clusterIP");
            remove(new, "clusterIPs");
        }
        for field in ["ipFamilies", "ipFamilyPolicy"] {
            if new[field] == old[field] {
                remove(new, field);
            }
        }
    }
    let has_ports = |kind: &str| matches!(kind, "NodePort" | "LoadBalancer");
    if has_ports(&before) && !has_ports(&now) {
        let unchanged = items(&new["ports"])
            .all(|port| items(&old["ports"]).any(|old| old["nodePort"] == port["nodePort"]));
        if unchanged {
            list(new, "ports").for_each(|port| remove(port, "nodePort"));
        }
    }
    if needs_health_check(old)
        && !needs_health_check(new)
        && new["healthCheckNodePort"] == old["healthCheckNodePort"]
    {
        remove(new, "healthCheckNodePort");
    }
    if before == "LoadBalancer" && now != "LoadBalancer" {
        for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
            if new[field] == old[field] {
                remove(new, field);
            }
        }
    }
    if is_external(old)
        && !is_external(new)
        && new["externalTrafficPolicy"] == old["externalTrafficPolicy"]
    {
        remove(new, "externalTrafficPolicy");
    }
}

/// Checks a changed spec against the stored one.
pub(super) fn check(report: &mut Report, new: &Value, old: &Value) {
    let external = new["type"] == "ExternalName" || old["type"] == "ExternalName";
    if !external {
        addresses(report, new, old);
        families(report, new, old);
    }
    let balanced = |spec: &Value| spec["type"] == "LoadBalancer";
    if balanced(new) && balanced(old) && new["loadBalancerClass"] != old["loadBalancerClass"] {
        report.invalid(SPEC.field("loadBalancerClass"), &new["loadBalancerClass"], ONCE);
    }
    if needs_health_check(old)
        && needs_health_check(new)
        && new["healthCheckNodePort"] != old["healthCheckNodePort"]
    {
        report.forbidden(SPEC.field("healthCheckNodePort"), IMMUTABLE);
    }
}

fn addresses(report: &mut Report, new: &Value, old: &Value) {
    if is_headless(old) && is_headless(new) {
        return;
    }
    let list = SPEC.field("clusterIPs");
    let shown = &new["clusterIPs"];
    let (count, before) = (items(shown).count(), items(&old["clusterIPs"]).count());
    let first = list.index(0);
    if count == before {
        for (index, (new, old)) in items(shown).zip(items(&old["clusterIPs"])).enumerate() {
            if new != old {
                report.invalid(list.index(index), shown, ONCE);
            }
        }
        return;
    }
    if before > count && count == 0 {
        report.shown(first, "null", "primary clusterIP can not be unset");
    }
    if before > 0 && count > 0 && shown[0] != old["clusterIPs"][0] {
        report.invalid(first, shown, ONCE);
    }
    if before > count && count == 1 && new["ipFamilyPolicy"] != "SingleStack" {
        let why = "must be set to 'SingleStack' when releasing the secondary clusterIP";
        report.invalid(SPEC.field("ipFamilyPolicy"), &new["ipFamilyPolicy"], why);
    }
}

fn families(report: &mut Report, new: &Value, old: &Value) {
    if is_headless(new) || is_headless(old) {
        return;
    }
    let list = SPEC.field("ipFamilies");
    let first = list.index(0);
    let (count, before) = (items(&new["ipFamilies"]).count(), items(&old["ipFamilies"]).count());
    if count == before {
        let changed = items(&new["ipFamilies"]).zip(items(&old["ipFamilies"]));
        for _ in changed.filter(|(new, old)| new != old) {
            report.invalid(first, &new["ipFamilies"], ONCE);
        }
        return;
    }
    if count > 0 && before > 0 && new["ipFamilies"][0] != old["ipFamilies"][0] {
        report.invalid(first, &new["clusterIPs"], ONCE);
    }
    if before > count && count == 1 && new["ipFamilyPolicy"] != "SingleStack" {
        let why = "must be set to 'SingleStack' when releasing the secondary ipFamily";
        report.invalid(SPEC.field("ipFamilyPolicy"), &new["ipFamilyPolicy"], why);
    }
}

/// Whether an address is of IPv6.
pub(super) fn is_ipv6(address: &str) -> bool {
    formats::parse_ip(address).is_some_and(|address| address.is_ipv6())
}
