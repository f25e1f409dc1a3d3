//! Rules of the core kinds. (CAPI v1.14: core/webhooks/admission)
//!
//! ClusterTopology and MachineTaintPropagation are on. The other alpha features are off, as they are
//! by default upstream.
//! What a managed topology asks of Clusters is in [`topology`].

use std::net::IpAddr;

use serde_json::{Value, json};

use super::bootstrap::{forbidden, invalid, is_defined, required};
use super::controlplane::{Version, validate_taints};
use super::naming::validate_machine_naming;
use super::topology;
use crate::api::topology::variables::validate_metadata;
use crate::machinery::definition::{DefaultObject, Strategy, ValidateObject};
use crate::machinery::names;
use crate::machinery::selector::LabelSelector;
use crate::machinery::status::Cause;

const CLUSTER_NAME: &str = "cluster.x-k8s.io/cluster-name";
const DEPLOYMENT_NAME: &str = "cluster.x-k8s.io/deployment-name";
const POOL_NAME: &str = "cluster.x-k8s.io/pool-name";
const CONTROL_PLANE: &str = "cluster.x-k8s.io/control-plane";
const SET_NAME: &str = "cluster.x-k8s.io/set-name";
const AUTOSCALER_MIN: &str = "cluster.x-k8s.io/cluster-api-autoscaler-node-group-min-size";
const AUTOSCALER_MAX: &str = "cluster.x-k8s.io/cluster-api-autoscaler-node-group-max-size";
const SKIP_PREFLIGHT: &str = "machineset.cluster.x-k8s.io/skip-preflight-checks";
/// What [`SKIP_PREFLIGHT`] may name, sorted.
const PREFLIGHT_CHECKS: [&str; 5] = [
    "All",
    "ControlPlaneIsStable",
    "ControlPlaneVersionSkew",
    "KubeadmVersionSkew",
    "KubernetesVersionSkew",
];
/// How long a Machine's Node may take to go, by default.
const NODE_DELETION_SECONDS: i64 = 10;
/// How long a Node may take to start before a health check gives up, by default.
const NODE_STARTUP_SECONDS: i64 = 600;
const MIN_NODE_STARTUP_SECONDS: i64 = 30;

/// The strategy of a kind.
pub(super) fn of(kind: &str) -> Strategy {
    let (default, validate): (DefaultObject, ValidateObject) = match kind {
        "Cluster" => (|_, _| {}, validate_cluster),
        "Machine" => (default_machine, validate_machine),
        "MachineSet" => (default_set, validate_set),
        "MachineDeployment" => (default_deployment, validate_deployment),
        "MachinePool" => return super::pools::machine_pool(),
        "MachineHealthCheck" => (default_health_check, validate_health_check),
        "MachineDrainRule" => (|_, _| {}, validate_drain_rule),
        "ClusterClass" => {
            return Strategy { among: Some(&topology::CLUSTER_CLASS), ..Strategy::default() };
        }
        _ => return Strategy::default(),
    };
    let among = (kind == "Cluster").then_some(&topology::CLUSTER);
    Strategy { default: Some(default), validate: Some(validate), among, ..Strategy::default() }
}

/// The object at `path` (dotted), made where it is missing; `None` if something else is there.
fn object_at<'a>(
    root: &'a mut Value,
    path: &str,
) -> Option<&'a mut serde_json::Map<String, Value>> {
    let mut at = root;
    for field in path.split('.') {
        at = at.as_object_mut()?.entry(field).or_insert(Value::Null);
        if at.is_null() {
            *at = json!({});
        }
    }
    at.as_object_mut()
}

fn set_label(object: &mut Value, labels: &str, key: &str, value: &str) {
    if let Some(labels) = object_at(object, labels) {
        labels.insert(key.to_owned(), json!(value));
    }
}

/// Every object that names its cluster carries the name as a label.
pub(super) fn label_with_cluster(object: &mut Value) -> Option<String> {
    let cluster = object["spec"]["clusterName"].as_str()?.to_owned();
    set_label(object, "metadata.labels", CLUSTER_NAME, &cluster);
    Some(cluster)
}

/// Versions may be given without their `v`.
pub(super) fn prefix_version(object: &mut Value, pointer: &str) {
    if let Some(version) = object.pointer_mut(pointer)
        && let Some(text) = version.as_str().filter(|text| !text.is_empty())
        && !text.starts_with('v')
    {
        *version = json!(format!("v{text}"));
    }
}

/// Puts a default where nothing is.
pub(super) fn put_missing(object: &mut Value, path: &str, field: &str, value: Value) {
    if let Some(fields) = object_at(object, path)
        && fields.get(field).is_none_or(Value::is_null)
    {
        fields.insert(field.to_owned(), value);
    }
}

fn default_machine(new: &mut Value, _old: Option<&Value>) {
    label_with_cluster(new);
    prefix_version(new, "/spec/version");
    put_missing(new, "spec.deletion", "nodeDeletionTimeoutSeconds", json!(NODE_DELETION_SECONDS));
}

fn default_set(new: &mut Value, old: Option<&Value>) {
    label_with_cluster(new);
    default_replicas(new, old);
    default_selector(new, SET_NAME);
    prefix_version(new, "/spec/template/spec/version");
}

fn default_deployment(new: &mut Value, old: Option<&Value>) {
    let cluster = label_with_cluster(new);
    default_replicas(new, old);
    put_missing(new, "spec.rollout.strategy", "type", json!("RollingUpdate"));
    if new["spec"]["rollout"]["strategy"]["type"] == "RollingUpdate" {
        let path = "spec.rollout.strategy.rollingUpdate";
        put_missing(new, path, "maxSurge", json!(1));
        put_missing(new, path, "maxUnavailable", json!(0));
    }
    default_selector(new, DEPLOYMENT_NAME);
    if let Some(cluster) = cluster {
        set_label(new, "spec.selector.matchLabels", CLUSTER_NAME, &cluster);
        set_label(new, "spec.template.metadata.labels", CLUSTER_NAME, &cluster);
    }
    prefix_version(new, "/spec/template/spec/version");
}

fn default_health_check(new: &mut Value, _old: Option<&Value>) {
    label_with_cluster(new);
    put_missing(new, "spec.checks", "nodeStartupTimeoutSeconds", json!(NODE_STARTUP_SECONDS));
}

/// An empty selector becomes one for the object's own name.
fn default_selector(new: &mut Value, key: &str) {
    let selector = &new["spec"]["selector"];
    let has_labels = selector["matchLabels"].as_object().is_some_and(|labels| !labels.is_empty());
    if has_labels || is_defined(&selector["matchExpressions"]) {
        return;
    }
    let Some(name) = new["metadata"]["name"].as_str().map(names::label_value) else { return };
    set_label(new, "spec.selector.matchLabels", key, &name);
    set_label(new, "spec.template.metadata.labels", key, &name);
}

/// The autoscaler's bounds, if both are given.
fn autoscaler_bounds(object: &Value) -> Option<Result<(i64, i64), &'static str>> {
    let annotations = &object["metadata"]["annotations"];
    let (min, max) = (annotations[AUTOSCALER_MIN].as_str()?, annotations[AUTOSCALER_MAX].as_str()?);
    let read = |text: &str, key| text.parse::<i32>().map(i64::from).map_err(|_| key);
    Some(read(min, AUTOSCALER_MIN).and_then(|min| Ok((min, read(max, AUTOSCALER_MAX)?))))
}

/// Replicas that nobody asked for: within the autoscaler's bounds, otherwise one. Bounds that
/// cannot be read leave the field empty, which validation refuses.
pub(super) fn default_replicas(new: &mut Value, old: Option<&Value>) {
    if !new["spec"]["replicas"].is_null() {
        return;
    }
    let replicas = match autoscaler_bounds(new) {
        None => 1,
        Some(Err(_)) => return,
        Some(Ok((min, max))) => match old.and_then(|old| old["spec"]["replicas"].as_i64()) {
            None => min,
            Some(before) if before < min => min,
            Some(before) if before > max => max,
            Some(before) => before,
        },
    };
    put_missing(new, "spec", "replicas", json!(replicas));
}

pub(super) fn validate_replicas(new: &Value) -> Option<Cause> {
    let Some(Err(key)) = autoscaler_bounds(new) else { return None };
    let value = &new["metadata"]["annotations"][key];
    let detail = "could not parse the value of the annotation";
    new["spec"]["replicas"]
        .is_null()
        .then(|| invalid(format!("metadata.annotations.{key}"), value, detail))
}

fn validate_cluster(new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = label_value_name(new, "must be a valid label value ");
    let spec = &new["spec"];
    let had = |field: &str| old.is_some_and(|old| is_defined(&old["spec"][field]));
    let removed = |field: &str| {
        let lost = had(field) && !is_defined(&spec[field]);
        lost.then(|| forbidden(format!("spec.{field}"), "cannot be removed"))
    };
    causes.extend(removed("infrastructureRef"));
    if ["controlPlaneRef", "infrastructureRef", "topology"].iter().all(|f| !is_defined(&spec[f])) {
        let detail =
            "one of spec.controlPlaneRef, spec.infrastructureRef or spec.topology must be set";
        causes.push(forbidden("spec".to_owned(), detail));
    }
    causes.extend(removed("controlPlaneRef"));
    for network in ["pods", "services"] {
        let blocks = spec["clusterNetwork"][network]["cidrBlocks"].as_array();
        for (index, block) in blocks.into_iter().flatten().enumerate() {
            let text = block.as_str().unwrap_or_default();
            if !is_cidr(text) {
                let at = format!("spec.clusterNetwork.{network}.cidrBlocks[{index}]");
                causes.push(invalid(at, block, &format!("invalid CIDR address: {text}")));
            }
        }
    }
    if !is_defined(&spec["topology"]) && had("topology") {
        let detail = "cannot be removed from an existing Cluster";
        causes.push(forbidden("spec.topology".to_owned(), detail));
    }
    causes
}

/// Go's `net.ParseCIDR`: an address, a slash and a prefix length.
fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let is_plain = length.bytes().all(|byte| byte.is_ascii_digit());
    let limit = if address.is_ipv4() { 32 } else { 128 };
    is_plain && length.parse::<u32>().is_ok_and(|length| length <= limit)
}

fn label_value_name(new: &Value, prefix: &str) -> Vec<Cause> {
    let name = &new["metadata"]["name"];
    names::check_label_value(name.as_str().unwrap_or_default())
        .into_iter()
        .map(|error| invalid("metadata.name".to_owned(), name, &format!("{prefix}{error}")))
        .collect()
}

fn validate_machine(new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let spec = &new["spec"];
    let mut causes = Vec::new();
    let owners = new["metadata"]["ownerReferences"].as_array();
    let of_pool = new["metadata"]["labels"][POOL_NAME].is_string()
        || owners.into_iter().flatten().any(|owner| owner["kind"] == "MachinePool");
    if !of_pool {
        causes.extend(validate_bootstrap(spec, "spec"));
    }
    causes.extend(validate_cluster_name(new, old));
    causes.extend(validate_version(&spec["version"], "spec.version"));
    causes.extend(validate_taints(&spec["taints"], "spec.taints"));
    if !new["metadata"]["labels"][CONTROL_PLANE].is_string() {
        causes.extend(validate_worker_taints(&spec["taints"], "spec.taints"));
    }
    causes
}

/// The taint of control planes is not for workers.
fn validate_worker_taints(taints: &Value, path: &str) -> Vec<Cause> {
    let taints = taints.as_array().into_iter().flatten().enumerate();
    taints
        .filter(|(_, taint)| taint["key"] == "node-role.kubernetes.io/control-plane")
        .map(|(index, taint)| {
            let at = format!("{path}[{index}].key");
            invalid(at, &taint["key"], "taint is not allowed for worker Machines")
        })
        .collect()
}

pub(super) fn validate_bootstrap(machine_spec: &Value, path: &str) -> Option<Cause> {
    let bootstrap = &machine_spec["bootstrap"];
    let given = is_defined(&bootstrap["configRef"]) || !bootstrap["dataSecretName"].is_null();
    let detail = format!(
        "expected either {path}.bootstrap.dataSecretName or {path}.bootstrap.configRef to be \
         populated"
    );
    (!given).then(|| required(format!("{path}.bootstrap"), &detail))
}

pub(super) fn validate_cluster_name(new: &Value, old: Option<&Value>) -> Option<Cause> {
    old.filter(|old| old["spec"]["clusterName"] != new["spec"]["clusterName"])
        .map(|_| forbidden("spec.clusterName".to_owned(), "field is immutable"))
}

pub(super) fn validate_version(version: &Value, path: &str) -> Vec<Cause> {
    let Some(text) = version.as_str().filter(|text| !text.is_empty()) else { return Vec::new() };
    let mut causes = Vec::new();
    if !text.starts_with('v') {
        causes.push(invalid(path.to_owned(), version, "must start with v"));
    }
    if Version::parse(text).is_none() {
        causes.push(invalid(path.to_owned(), version, "must be a valid semantic version"));
    }
    causes
}

fn validate_set(new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let spec = &new["spec"];
    let mut causes = Vec::new();
    causes.extend(validate_replicas(new));
    causes.extend(validate_bootstrap(&spec["template"]["spec"], "spec.template.spec"));
    causes.extend(validate_selector(spec, |at, detail| {
        invalid(at, &spec["template"]["metadata"]["labels"], detail)
    }));
    causes.extend(validate_skipped_checks(new));
    causes.extend(validate_cluster_name(new, old));
    causes.extend(validate_template(spec));
    causes
}

fn validate_deployment(new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let spec = &new["spec"];
    let mut causes = label_value_name(new, "must be a valid label value: ");
    causes.extend(validate_replicas(new));
    causes.extend(validate_bootstrap(&spec["template"]["spec"], "spec.template.spec"));
    causes.extend(validate_selector(spec, forbidden));
    causes.extend(validate_skipped_checks(new));
    causes.extend(validate_cluster_name(new, old));
    causes.extend(validate_rollout(&spec["rollout"]["strategy"]["rollingUpdate"]));
    let limit = &spec["remediation"]["maxInFlight"];
    causes.extend(validate_count(limit, "spec.remediation.maxInFlight"));
    causes.extend(validate_template(spec));
    causes
}

/// The selector is well formed and selects what the template makes; `mismatch` words the refusal.
fn validate_selector(spec: &Value, mismatch: impl FnOnce(String, &str) -> Cause) -> Option<Cause> {
    match LabelSelector::from_label_selector(&spec["selector"]) {
        Err(error) => Some(invalid("spec.selector".to_owned(), &spec["selector"], &error)),
        Ok(selector) => {
            let labels = &spec["template"]["metadata"]["labels"];
            let at = || "spec.template.metadata.labels".to_owned();
            let detail = format!("must match spec.selector {:?}", selector.to_string());
            (!selector.matches_by(|key| labels[key].as_str())).then(|| mismatch(at(), &detail))
        }
    }
}

fn validate_skipped_checks(new: &Value) -> Option<Cause> {
    let skipped = new["metadata"]["annotations"][SKIP_PREFLIGHT].as_str()?;
    let unknown: Vec<&str> = skipped
        .split(',')
        .map(str::trim)
        .filter(|check| !skipped.is_empty() && !PREFLIGHT_CHECKS.contains(check))
        .collect();
    let known = PREFLIGHT_CHECKS.join(" ");
    let detail = format!("skipped preflight check(s) must be among: [{known}]");
    let at = format!("metadata.annotations.{SKIP_PREFLIGHT}");
    (!unknown.is_empty()).then(|| invalid(at, &json!(unknown), &detail))
}

/// What MachineSets and MachineDeployments ask of their Machine template.
fn validate_template(spec: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let template = &spec["template"];
    if spec["clusterName"] != template["spec"]["clusterName"] {
        let detail =
            "spec.clusterName and spec.template.spec.clusterName must be set to the same value";
        causes.push(invalid("spec.clusterName".to_owned(), &spec["clusterName"], detail));
    }
    let at = "spec.template.spec";
    causes.extend(validate_version(&template["spec"]["version"], &format!("{at}.version")));
    causes.extend(validate_taints(&template["spec"]["taints"], &format!("{at}.taints")));
    causes.extend(validate_worker_taints(&template["spec"]["taints"], &format!("{at}.taints")));
    let naming = &spec["machineNaming"]["template"];
    causes.extend(validate_machine_naming(naming, "spec.machineNaming.template", "machineSet"));
    causes.extend(validate_metadata(&template["metadata"], "spec.template.metadata"));
    causes
}

fn validate_rollout(limits: &Value) -> Vec<Cause> {
    let at = "spec.rollout.strategy.rollingUpdate";
    let (unavailable, surge) = (&limits["maxUnavailable"], &limits["maxSurge"]);
    let mut causes = Vec::new();
    causes.extend(validate_count(unavailable, &format!("{at}.maxUnavailable")));
    causes.extend(validate_count(surge, &format!("{at}.maxSurge")));
    if unavailable == 0 && surge == 0 {
        let detail = "maxUnavailable and maxSurge cannot both be 0";
        causes.push(invalid(at.to_owned(), &json!("0"), detail));
    }
    causes
}

/// A number or a percentage.
fn validate_count(count: &Value, path: &str) -> Option<Cause> {
    let text = count.as_str()?;
    let error = match text.strip_suffix('%') {
        None => "invalid type: string is not a percentage".to_owned(),
        Some(number) if number.parse::<i64>().is_ok() => return None,
        Some(number) => {
            format!("invalid value {text:?}: strconv.Atoi: parsing {number:?}: invalid syntax")
        }
    };
    let detail =
        format!("must be either an int or a percentage: invalid value for IntOrString: {error}");
    Some(invalid(path.to_owned(), count, &detail))
}

fn validate_health_check(new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let spec = &new["spec"];
    let mut causes = Vec::new();
    let at = || "spec.selector".to_owned();
    match LabelSelector::from_label_selector(&spec["selector"]) {
        Err(error) => causes.push(invalid(at(), &spec["selector"], &error)),
        Ok(selector) if selector.is_empty() => {
            causes.push(required(at(), "selector must not be empty"));
        }
        Ok(_) => {}
    }
    let cluster = &spec["selector"]["matchLabels"][CLUSTER_NAME];
    if !cluster.is_null() && *cluster != spec["clusterName"] {
        let detail =
            "cannot specify a cluster selector other than the one specified by ClusterName";
        causes.push(invalid(at(), &spec["selector"], detail));
    }
    causes.extend(validate_cluster_name(new, old));
    let timeout = &spec["checks"]["nodeStartupTimeoutSeconds"];
    if timeout.as_i64().is_some_and(|s| s != 0 && s < MIN_NODE_STARTUP_SECONDS) {
        let at = "spec.checks.nodeStartupTimeoutSeconds".to_owned();
        causes.push(invalid(at, timeout, "must be at least 30s"));
    }
    let limit = &spec["remediation"]["triggerIf"]["unhealthyLessThanOrEqualTo"];
    causes.extend(validate_count(limit, "spec.remediation.triggerIf.unhealthyLessThanOrEqualTo"));
    causes
}

fn validate_drain_rule(new: &Value, _old: Option<&Value>) -> Vec<Cause> {
    let spec = &new["spec"];
    let mut causes = Vec::new();
    let order = &spec["drain"]["order"];
    let takes_no_order = ["Skip", "WaitCompleted"].iter().any(|b| spec["drain"]["behavior"] == *b);
    if takes_no_order && !order.is_null() {
        let detail = "order must not be set if drain behavior is \"Skip\" or \"WaitCompleted\"";
        causes.push(invalid("spec.drain.order".to_owned(), order, detail));
    }
    for (list, selectors) in
        [("machines", ["selector", "clusterSelector"]), ("pods", ["selector", "namespaceSelector"])]
    {
        for (index, item) in spec[list].as_array().into_iter().flatten().enumerate() {
            for field in selectors {
                if let Err(error) = LabelSelector::from_label_selector(&item[field]) {
                    let at = format!("spec.{list}[{index}].{field}");
                    causes.push(invalid(at, &item[field], &error));
                }
            }
        }
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment() -> Value {
        json!({"metadata": {"name": "md"}, "spec": {"clusterName": "c", "selector": {},
            "template": {"spec": {"clusterName": "c", "version": "1.34.0",
                "bootstrap": {"dataSecretName": "s"}}}}})
    }

    fn told(causes: Vec<Cause>) -> Vec<String> {
        causes.into_iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
    }

    #[test]
    fn deployment_gets_a_strategy_a_selector_and_labels() {
        let mut new = deployment();
        default_deployment(&mut new, None);
        let labels = json!({CLUSTER_NAME: "c", DEPLOYMENT_NAME: "md"});
        let rolling = json!({"maxSurge": 1, "maxUnavailable": 0});
        let spec = &new["spec"];
        assert_eq!(spec["replicas"], 1);
        assert_eq!(spec["selector"]["matchLabels"], labels);
        assert_eq!(spec["template"]["metadata"]["labels"], labels);
        assert_eq!(spec["template"]["spec"]["version"], "v1.34.0");
        assert_eq!(
            spec["rollout"]["strategy"],
            json!({"type": "RollingUpdate", "rollingUpdate": rolling})
        );
        assert_eq!(new["metadata"]["labels"], json!({CLUSTER_NAME: "c"}));
        assert_eq!(told(validate_deployment(&new, None)), Vec::<String>::new());
        let before = new.clone();
        default_deployment(&mut new, Some(&before));
        assert_eq!(new, before);
    }

    #[test]
    fn on_delete_takes_no_rolling_update_limits() {
        let mut new = deployment();
        new["spec"]["rollout"] = json!({"strategy": {"type": "OnDelete"}});
        default_deployment(&mut new, None);
        assert_eq!(new["spec"]["rollout"]["strategy"], json!({"type": "OnDelete"}));
    }

    #[test]
    fn autoscaler_bounds_replicas_that_nobody_set() {
        for (before, expected) in [(None, 2), (Some(1), 2), (Some(3), 3), (Some(9), 5)] {
            let mut new = deployment();
            new["metadata"]["annotations"] = json!({AUTOSCALER_MIN: "2", AUTOSCALER_MAX: "5"});
            let old = before.map(|replicas| json!({"spec": {"replicas": replicas}}));
            default_set(&mut new, old.as_ref());
            assert_eq!(new["spec"]["replicas"], expected);
        }
        let mut new = deployment();
        new["metadata"]["annotations"] = json!({AUTOSCALER_MIN: "x", AUTOSCALER_MAX: "5"});
        default_set(&mut new, None);
        assert_eq!(told(validate_set(&new, None)).len(), 1);
    }

    #[test]
    fn template_must_match_the_selector() {
        let mut new = deployment();
        new["spec"]["selector"] = json!({"matchLabels": {"foo": "nope"}});
        default_deployment(&mut new, None);
        let expected = format!(
            "spec.template.metadata.labels: Forbidden: must match spec.selector \
             \"{CLUSTER_NAME}=c,foo=nope\""
        );
        assert_eq!(told(validate_deployment(&new, None)), [expected]);
    }

    #[test]
    fn rollout_must_be_able_to_move() {
        let refused = |surge: Value, unavailable: Value| {
            told(validate_rollout(&json!({"maxSurge": surge, "maxUnavailable": unavailable})))
        };
        assert!(refused(json!(0), json!(0))[0].ends_with("cannot both be 0"));
        assert_eq!(refused(json!("50%"), json!(0)), Vec::<String>::new());
        assert_eq!(refused(json!("5"), json!("x%")).len(), 2);
    }

    #[test]
    fn cluster_networks_are_cidr_blocks() {
        for (text, expected) in [
            ("192.168.0.0/16", true),
            ("fd00::/108", true),
            ("192.168.0.0/99", false),
            ("192.168.0.0", false),
            ("10.0.0.0/+8", false),
        ] {
            assert_eq!(is_cidr(text), expected, "{text}");
        }
    }

    #[test]
    fn references_of_a_cluster_cannot_be_removed() {
        let reference = json!({"kind": "K", "name": "n", "apiGroup": "g"});
        let old = json!({"metadata": {"name": "c"},
            "spec": {"controlPlaneRef": reference, "infrastructureRef": reference}});
        let mut new = old.clone();
        new["spec"]["controlPlaneRef"] = Value::Null;
        let expected = "spec.controlPlaneRef: Forbidden: cannot be removed";
        assert_eq!(told(validate_cluster(&new, Some(&old))), [expected]);
        assert_eq!(told(validate_cluster(&old, Some(&old))), Vec::<String>::new());
    }

    #[test]
    fn machine_needs_bootstrap_data_or_a_config() {
        let mut new = json!({"spec": {"clusterName": "c", "version": "latest"}});
        default_machine(&mut new, None);
        assert_eq!(
            told(validate_machine(&new, None)),
            [
                "spec.bootstrap: Required value: expected either spec.bootstrap.dataSecretName or \
                 spec.bootstrap.configRef to be populated",
                "spec.version: Invalid value: \"vlatest\": must be a valid semantic version",
            ]
        );
        assert_eq!(new["spec"]["deletion"]["nodeDeletionTimeoutSeconds"], 10);
    }

    #[test]
    fn health_check_waits_at_least_half_a_minute() {
        let mut new =
            json!({"spec": {"clusterName": "c", "selector": {"matchLabels": {"a": "b"}}}});
        default_health_check(&mut new, None);
        assert_eq!(told(validate_health_check(&new, None)), Vec::<String>::new());
        new["spec"]["checks"]["nodeStartupTimeoutSeconds"] = json!(10);
        let expected = "spec.checks.nodeStartupTimeoutSeconds: Invalid value: 10: must be at \
                        least 30s";
        assert_eq!(told(validate_health_check(&new, None)), [expected]);
    }

    #[test]
    fn drain_rules_that_evict_nothing_have_no_order() {
        let rule = |behavior: &str| {
            json!({"spec": {"drain": {"behavior": behavior, "order": 3},
                "pods": [{"namespaceSelector": {"matchExpressions": [
                    {"key": "a", "operator": "Nope"}]}}]}})
        };
        let told = told(validate_drain_rule(&rule("Skip"), None));
        assert_eq!(
            told[0],
            "spec.drain.order: Invalid value: 3: order must not be set if drain behavior is \
             \"Skip\" or \"WaitCompleted\""
        );
        assert!(told[1].starts_with("spec.pods[0].namespaceSelector: Invalid value"));
        assert_eq!(validate_drain_rule(&rule("Drain"), None).len(), 1);
    }

    #[test]
    fn workers_have_no_taint_of_control_planes() {
        let taints = json!([{"key": "node-role.kubernetes.io/control-plane"}]);
        let mut new = json!({"spec": {"clusterName": "c", "taints": taints,
            "bootstrap": {"dataSecretName": "s"}}});
        let expected = "spec.taints[0].key: Invalid value: \
                        \"node-role.kubernetes.io/control-plane\": taint is not allowed for \
                        worker Machines";
        assert_eq!(told(validate_machine(&new, None)), [expected]);
        set_label(&mut new, "metadata.labels", CONTROL_PLANE, "");
        assert_eq!(told(validate_machine(&new, None)), Vec::<String>::new());
    }
}
