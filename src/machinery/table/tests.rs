use serde_json::{Value, json};

use super::*;
use crate::machinery::definition::{Cell, Column};

const NOW: i64 = 1_700_000_000;

fn options() -> Options {
    Options { now_seconds: NOW, ..Options::default() }
}

fn rows(group: &str, object: &Value) -> Value {
    let kind = object["kind"].as_str().unwrap();
    let printer = Printer::new(kind, &builtin_columns(group, kind).unwrap());
    let bytes = object.to_string();
    let table = printer.render(ListMeta::default(), [bytes.as_bytes()], &options());
    let table: Value = serde_json::from_slice(&table).unwrap();
    let (cells, columns) = (&table["rows"][0]["cells"], &table["columnDefinitions"]);
    assert_eq!(cells.as_array().unwrap().len(), columns.as_array().unwrap().len());
    table["rows"].clone()
}

fn check(group: &str, object: Value, cells: Value) {
    assert_eq!(rows(group, &object)[0]["cells"], cells, "{object}");
}

fn pod(status: Value) -> Value {
    json!({"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}]}, "status": status})
}

fn pod_cells(ready: &str, status: &str, restarts: &str) -> Value {
    json!(["p", ready, status, restarts, "<unknown>", "<none>", "<none>", "<none>", "<none>"])
}

#[test]
fn running_pod_shows_ready_containers() {
    let mut running = pod(json!({"phase": "Running", "podIP": "1.2.3.4", "containerStatuses": [
        {"name": "c", "ready": true, "restartCount": 2, "state": {"running": {}},
         "lastState": {"terminated": {"finishedAt": "2023-11-14T22:08:20Z"}}}]}));
    running["metadata"]["creationTimestamp"] = json!("2023-11-14T22:13:15Z");
    check(
        "",
        running,
        json!(["p", "1/1", "Running", "2 (5m ago)", "5s", "1.2.3.4", "<none>", "<none>", "<none>"]),
    );
}

#[test]
fn pod_status_follows_upstream() {
    let state = |state: Value| json!({"phase": "Running", "containerStatuses": [{"name": "c", "restartCount": 0, "state": state}]});
    let waiting = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    check("", pod(state(waiting)), pod_cells("0/1", "CrashLoopBackOff", "0"));
    let signal = json!({"terminated": {"signal": 9, "exitCode": 137}});
    check("", pod(state(signal)), pod_cells("0/1", "Signal:9", "0"));
    let exit = json!({"terminated": {"exitCode": 3}});
    check("", pod(state(exit)), pod_cells("0/1", "ExitCode:3", "0"));
    let gated = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]});
    check("", pod(gated), pod_cells("0/1", "SchedulingGated", "0"));
    let mut deleting = pod(json!({"phase": "Running"}));
    deleting["metadata"]["deletionTimestamp"] = json!("2023-11-14T22:13:15Z");
    check("", deleting, pod_cells("0/1", "Terminating", "0"));
}

#[test]
fn initializing_pod_counts_init_containers() {
    let mut value = pod(json!({"phase": "Pending", "initContainerStatuses": [
        {"name": "a", "restartCount": 0, "state": {"terminated": {"exitCode": 0}}},
        {"name": "b", "restartCount": 1, "state": {"running": {}}}]}));
    value["spec"]["initContainers"] = json!([{"name": "a"}, {"name": "b"}]);
    check("", value.clone(), pod_cells("0/1", "Init:1/2", "1"));
    // A sidecar that has started does not hold up initialization and counts as a container.
    value["spec"]["initContainers"][1]["restartPolicy"] = json!("Always");
    value["status"]["initContainerStatuses"][1]["started"] = json!(true);
    value["status"]["initContainerStatuses"][1]["ready"] = json!(true);
    check("", value, pod_cells("1/2", "Pending", "1"));
}

#[test]
fn completed_pods_carry_row_conditions() {
    let rows = rows("", &pod(json!({"phase": "Succeeded"})));
    assert_eq!(rows[0]["conditions"][0]["type"], "Completed");
    assert_eq!(rows[0]["conditions"][0]["reason"], "Succeeded");
}

#[test]
fn node_shows_roles_and_scheduling() {
    check(
        "",
        json!({"kind": "Node", "metadata": {"name": "n", "labels": {"node-role.kubernetes.io/control-plane": "", "run": "x"}},
               "spec": {"unschedulable": true},
               "status": {"nodeInfo": {"kubeletVersion": "v1.30.0", "kernelVersion": "k", "osImage": "os",
                                       "containerRuntimeVersion": "cr", "architecture": "amd64"},
                          "conditions": [{"type": "Ready", "status": "True"}],
                          "addresses": [{"type": "InternalIP", "address": "1.1.1.1"}]}}),
        json!([
            "n",
            "Ready,SchedulingDisabled",
            "control-plane",
            "<unknown>",
            "v1.30.0",
            "1.1.1.1",
            "<none>",
            "os",
            "k (amd64)",
            "cr"
        ]),
    );
}

#[test]
fn workload_and_network_kinds_match_the_recorded_server() {
    check(
        "apps",
        json!({"kind": "Deployment", "metadata": {"name": "d"},
               "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "d"}},
                        "template": {"spec": {"containers": [{"name": "c", "image": "i:1"}]}}},
               "status": {"readyReplicas": 1, "updatedReplicas": 2, "availableReplicas": 1}}),
        json!(["d", "1/2", 2, 1, "<unknown>", "c", "i:1", "app=d"]),
    );
    check(
        "",
        json!({"kind": "Service", "metadata": {"name": "s"},
               "spec": {"type": "ClusterIP", "clusterIP": "10.0.0.1", "selector": {"a": "b"},
                        "ports": [{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]}}),
        json!(["s", "ClusterIP", "10.0.0.1", "<none>", "80/TCP,53/UDP", "<unknown>", "a=b"]),
    );
    check(
        "coordination.k8s.io",
        json!({"kind": "Lease", "metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}}),
        json!(["l", "me", "<unknown>"]),
    );
    check(
        "",
        json!({"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"x": "1", "y": "2"}}),
        json!(["c", 2, "<unknown>"]),
    );
    check(
        "",
        json!({"kind": "Endpoints", "metadata": {"name": "e"}, "subsets": [
            {"addresses": [{"ip": "1.1.1.1"}, {"ip": "1.1.1.2"}, {"ip": "1.1.1.3"}, {"ip": "1.1.1.4"}], "ports": [{"port": 6443}]}]}),
        json!(["e", "1.1.1.1:6443,1.1.1.2:6443,1.1.1.3:6443 + 1 more...", "<unknown>"]),
    );
}

#[test]
fn events_show_their_name_last() {
    check(
        "",
        json!({"kind": "Event", "metadata": {"name": "e"}, "type": "Normal", "reason": "R", "message": " m ",
               "involvedObject": {"kind": "Machine", "name": "m"}, "source": {"component": "c"},
               "firstTimestamp": "2023-11-14T22:12:20Z", "lastTimestamp": "2023-11-14T22:13:10Z", "count": 3}),
        json!(["10s", "Normal", "R", "machine/m", "", "c", "m", "60s", 3, "e"]),
    );
}

#[test]
fn kinds_without_printers_show_their_creation_time() {
    check(
        "rbac.authorization.k8s.io",
        json!({"kind": "ClusterRole", "metadata": {"name": "r", "creationTimestamp": "2023-11-14T22:12:20Z"}}),
        json!(["r", "2023-11-14T22:12:20Z"]),
    );
    assert!(builtin_columns("cluster.x-k8s.io", "Cluster").is_none());
}

fn custom(kind: &str, path: &str) -> Column {
    Column {
        name: "C".into(),
        kind: kind.into(),
        format: "".into(),
        description: "".into(),
        priority: 0,
        cell: Cell::JsonPath(path.into()),
    }
}

#[test]
fn custom_cells_follow_the_column_type() {
    let object = json!({
        "metadata": {"name": "x", "creationTimestamp": "2023-11-14T22:12:20Z"},
        "spec": {"n": 3, "f": 1.5, "s": "t", "b": true, "o": {"a": 1}, "bad": "no time"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    });
    for (kind, path, cell) in [
        ("string", ".spec.s", json!("t")),
        ("string", ".spec.n", json!("3")),
        ("string", ".spec.o", json!(r#"{"a":1}"#)),
        ("string", ".spec.none", json!(null)),
        ("integer", ".spec.n", json!(3)),
        ("integer", ".spec.f", json!(1)),
        ("integer", ".spec.s", json!(null)),
        ("number", ".spec.f", json!(1.5)),
        ("boolean", ".spec.b", json!(true)),
        ("date", ".metadata.creationTimestamp", json!("60s")),
        ("date", ".spec.bad", json!("<invalid>")),
        ("date", ".spec.none", json!(null)),
        ("string", r#".status.conditions[?(@.type=="Ready")].status"#, json!("True")),
    ] {
        let printer = Printer::new("X", &[custom(kind, path)]);
        let bytes = object.to_string();
        let table = printer.render(ListMeta::default(), [bytes.as_bytes()], &options());
        let table: Value = serde_json::from_slice(&table).unwrap();
        assert_eq!(table["rows"][0]["cells"], json!(["x", cell]), "{kind} {path}");
        let description = format!("Custom resource definition column (in JSONPath format): {path}");
        assert_eq!(table["columnDefinitions"][1]["description"], *description);
    }
}

#[test]
fn rows_carry_what_the_request_asks_for() {
    let object = json!({"kind": "X", "apiVersion": "g/v1", "metadata": {"name": "x"}, "spec": {}});
    let bytes = object.to_string();
    let printer = Printer::new("X", &default_columns());
    let object_of = |include| {
        let options = Options { include, headers: Headers::Omitted, ..options() };
        let meta = ListMeta { resource_version: "7", remaining: Some(2), ..ListMeta::default() };
        let table = printer.render(meta, [bytes.as_bytes()], &options);
        let table: Value = serde_json::from_slice(&table).unwrap();
        assert_eq!(table["metadata"], json!({"resourceVersion": "7", "remainingItemCount": 2}));
        assert_eq!(table["columnDefinitions"], Value::Null);
        table["rows"][0]["object"].clone()
    };
    assert_eq!(object_of(IncludeObject::None), Value::Null);
    assert_eq!(object_of(IncludeObject::Object), object);
    assert_eq!(
        object_of(IncludeObject::Metadata),
        json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "x"}})
    );
    assert!(IncludeObject::parse("Bogus").unwrap_err().contains("Invalid value: \"Bogus\""));
}
