//! The flow schemas and priority levels of a fresh cluster.
//! (kubernetes 1.36: apiserver/pkg/apis/flowcontrol/bootstrap/default.go)

use serde_json::{Value, json};

const EVERYBODY: [&str; 2] = ["system:unauthenticated", "system:authenticated"];
const LEASES: (&[&str], &[&str]) = (&["coordination.k8s.io"], &["leases"]);

/// Names and specs of the priority levels.
pub(in crate::apiserver) fn levels() -> Vec<(&'static str, Value)> {
    let mut levels = vec![("exempt", exempt()), ("catch-all", limited(5, 0, None))];
    for (name, shares, lendable, queues, hand) in [
        ("system", 30, 33, 64, 6),
        ("node-high", 40, 25, 64, 6),
        ("leader-election", 10, 0, 16, 4),
        ("workload-high", 40, 50, 128, 6),
        ("workload-low", 100, 90, 128, 6),
        ("global-default", 20, 50, 128, 6),
    ] {
        levels.push((name, limited(shares, lendable, Some((queues, hand)))));
    }
    levels
}

/// The spec that a level must have, if its name is one of those that must be there.
pub(super) fn mandatory_level(name: &str) -> Option<Value> {
    match name {
        "exempt" => Some(exempt()),
        "catch-all" => Some(limited(5, 0, None)),
        _ => None,
    }
}

fn exempt() -> Value {
    let exempt = json!({"nominalConcurrencyShares": 0, "lendablePercent": 0});
    json!({"type": "Exempt", "exempt": exempt})
}

fn limited(shares: i64, lendable: i64, queues: Option<(i64, i64)>) -> Value {
    let response = match queues {
        None => json!({"type": "Reject"}),
        Some((queues, hand)) => {
            let queuing = json!({"queues": queues, "handSize": hand, "queueLengthLimit": 50});
            json!({"type": "Queue", "queuing": queuing})
        }
    };
    let limited = json!({
        "nominalConcurrencyShares": shares,
        "lendablePercent": lendable,
        "limitResponse": response,
    });
    json!({"type": "Limited", "limited": limited})
}

/// Names and specs of the flow schemas.
pub(in crate::apiserver) fn schemas() -> Vec<(&'static str, Value)> {
    let all = |subjects| rule(subjects, vec![any_resource()], vec![any_path()]);
    let leases = |verbs: &[&str]| resource(verbs, LEASES, false);
    let probes = json!({"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]});
    let mut leaders = users(&["system:kube-controller-manager", "system:kube-scheduler"]);
    leaders.extend(kube_system());
    let nodes = resource(&["*"], (&[""], &["nodes", "nodes/status"]), true);
    let by_user = Some("ByUser");
    let by_namespace = Some("ByNamespace");
    vec![
        ("exempt", exempt_schema()),
        ("catch-all", catch_all_schema()),
        ("system-nodes", spec("system", 500, by_user, all(groups(&["system:nodes"])))),
        (
            "system-node-high",
            spec(
                "node-high",
                400,
                by_user,
                rule(groups(&["system:nodes"]), vec![nodes, leases(&["*"])], vec![]),
            ),
        ),
        ("probes", spec("exempt", 2, None, rule(groups(&EVERYBODY), vec![], vec![probes]))),
        (
            "system-leader-election",
            spec(
                "leader-election",
                100,
                by_user,
                rule(leaders, vec![leases(&["get", "create", "update"])], vec![]),
            ),
        ),
        (
            "kube-controller-manager",
            spec(
                "workload-high",
                800,
                by_namespace,
                all(users(&["system:kube-controller-manager"])),
            ),
        ),
        (
            "kube-scheduler",
            spec("workload-high", 800, by_namespace, all(users(&["system:kube-scheduler"]))),
        ),
        (
            "kube-system-service-accounts",
            spec("workload-high", 900, by_namespace, all(kube_system())),
        ),
        (
            "service-accounts",
            spec("workload-low", 9000, by_user, all(groups(&["system:serviceaccounts"]))),
        ),
        ("global-default", spec("global-default", 9900, by_user, all(groups(&EVERYBODY)))),
    ]
}

/// The spec that a schema must have, if its name is one of those that must be there.
pub(super) fn mandatory_schema(name: &str) -> Option<Value> {
    match name {
        "exempt" => Some(exempt_schema()),
        "catch-all" => Some(catch_all_schema()),
        _ => None,
    }
}

fn exempt_schema() -> Value {
    let masters = groups(&["system:masters"]);
    spec("exempt", 1, None, rule(masters, vec![any_resource()], vec![any_path()]))
}

fn catch_all_schema() -> Value {
    let everything = rule(groups(&EVERYBODY), vec![any_resource()], vec![any_path()]);
    spec("catch-all", 10_000, Some("ByUser"), everything)
}

fn spec(level: &str, precedence: i64, method: Option<&str>, rule: Value) -> Value {
    let mut spec = json!({
        "priorityLevelConfiguration": {"name": level},
        "matchingPrecedence": precedence,
        "rules": [rule],
    });
    if let Some(method) = method {
        spec["distinguisherMethod"] = json!({"type": method});
    }
    spec
}

fn rule(subjects: Vec<Value>, resources: Vec<Value>, paths: Vec<Value>) -> Value {
    let mut rule = json!({"subjects": subjects});
    for (field, rules) in [("resourceRules", resources), ("nonResourceRules", paths)] {
        if !rules.is_empty() {
            rule[field] = rules.into();
        }
    }
    rule
}

fn resource(verbs: &[&str], (groups, resources): (&[&str], &[&str]), in_cluster: bool) -> Value {
    let mut rule = json!({
        "verbs": verbs, "apiGroups": groups, "resources": resources, "namespaces": ["*"],
    });
    if in_cluster {
        rule["clusterScope"] = true.into();
    }
    rule
}

fn any_resource() -> Value {
    resource(&["*"], (&["*"], &["*"]), true)
}

fn any_path() -> Value {
    json!({"verbs": ["*"], "nonResourceURLs": ["*"]})
}

fn groups(names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| json!({"kind": "Group", "group": {"name": name}})).collect()
}

fn users(names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| json!({"kind": "User", "user": {"name": name}})).collect()
}

fn kube_system() -> Vec<Value> {
    let account = json!({"name": "*", "namespace": "kube-system"});
    vec![json!({"kind": "ServiceAccount", "serviceAccount": account})]
}
