//! get, describe, events, wait, watch, top, logs.

use super::{CONFIG_MAPS, DEPLOYMENT};
use crate::support::Shell;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn get_prints_in_every_format() {
    let Some(shell) = Shell::start("kubectl").await else { return };
    shell.file("cms.yaml", CONFIG_MAPS);
    shell.ok("kubectl create -f cms.yaml").await;
    shell.says("kubectl get cm -o name -l set=one", "configmap/a\nconfigmap/b").await;
    shell.says("kubectl get cm a -o jsonpath='{.data.k}'", "va").await;
    shell
        .says(
            "kubectl get cm -l set=one -o custom-columns=N:.metadata.name,K:.data.k",
            "N     K\na     va\nb     vb",
        )
        .await;
    shell.says("kubectl get cm -l set=one -o go-template='{{len .items}}'", "2").await;
    let json = shell.ok("kubectl get cm a -o json").await;
    let object: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(object["data"]["k"], "va");
    assert!(object["metadata"].get("managedFields").is_none(), "{json}");
    let yaml = shell.ok("kubectl get cm a -o yaml --show-managed-fields").await;
    assert!(yaml.contains("manager: kubectl-create"), "{yaml}");
    let wide = shell.ok("kubectl get cm -o wide -L set --no-headers -l set").await;
    let words: Vec<Vec<&str>> =
        wide.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words.len(), 2);
    assert_eq!((words[0][0], words[0][1], words[0][3]), ("a", "1", "one"));
    let all = shell.ok("kubectl get cm -A --show-labels").await;
    assert!(all.starts_with("NAMESPACE"), "{all}");
    shell.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn get_selects_sorts_and_pages() {
    let Some(shell) = Shell::start("kubectl").await else { return };
    for (name, value) in [("a", "3"), ("b", "1"), ("c", "2")] {
        shell.ok(&format!("kubectl create cm {name} --from-literal=v={value}")).await;
    }
    shell.ok("kubectl label cm a b tier=x").await;
    let names = "-o custom-columns=:.metadata.name --no-headers";
    let mine = "--field-selector metadata.name!=kube-root-ca.crt";
    shell.says(&format!("kubectl get cm {mine} {names} --sort-by=.data.v"), "b\nc\na").await;
    shell.says(&format!("kubectl get cm -l tier=x {names}"), "a\nb").await;
    shell.says(&format!("kubectl get cm {mine} -l '!tier' {names}"), "c").await;
    shell.says(&format!("kubectl get cm -l 'tier in (x,y)' {names}"), "a\nb").await;
    shell.says(&format!("kubectl get cm --field-selector metadata.name=b {names}"), "b").await;
    shell.says(&format!("kubectl get cm {mine} --chunk-size=1 {names}"), "a\nb\nc").await;
    let first = shell.ok("kubectl get --raw '/api/v1/namespaces/default/configmaps?limit=1'").await;
    assert!(first.contains(r#""continue":""#), "{first}");
    shell
        .fails("kubectl get cm nope", "Error from server (NotFound): configmaps \"nope\" not found")
        .await;
    shell.says("kubectl get cm nope --ignore-not-found", "").await;
    shell
        .fails("kubectl get nosuch", "error: the server doesn't have a resource type \"nosuch\"")
        .await;
    shell
        .fails("kubectl get cm --field-selector data.k=x", "\"data.k\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
        .await;
    shell.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_and_wait_hear_of_changes() {
    let Some(shell) = Shell::start("kubectl").await else { return };
    shell.ok("kubectl create cm a --from-literal=k=v").await;
    let watch = ["get", "cm", "a", "-w", "--output-watch-events"];
    let change = shell.ok("kubectl patch cm a -p '{\"data\":{\"k\":\"w\",\"l\":\"x\"}}'");
    let seen = shell.follow("kubectl", &watch, (2, 1), change).await;
    let words: Vec<&str> = seen.iter().flat_map(|line| line.split_whitespace().take(3)).collect();
    assert_eq!(words, ["EVENT", "NAME", "DATA", "ADDED", "a", "1", "MODIFIED", "a", "2"]);
    shell.says("kubectl wait --for=jsonpath='{.data.k}'=w cm/a", "configmap/a condition met").await;
    let (waited, _) = tokio::join!(
        shell.ok("kubectl wait --for=create cm/late --timeout=30s"),
        shell.ok("kubectl create cm late"),
    );
    assert_eq!(waited.trim_end(), "configmap/late condition met");
    let (waited, _) = tokio::join!(
        shell.run("kubectl wait --for=delete cm/late --timeout=30s"),
        shell.ok("kubectl delete cm late"),
    );
    assert_eq!(waited.code, Some(0), "{}", waited.shown());
    shell
        .fails(
            "kubectl wait --for=jsonpath='{.data.k}'=z cm/a --timeout=1ms",
            "timed out waiting for the condition on configmaps/a",
        )
        .await;
    shell.file("web.yaml", &DEPLOYMENT.replace("IMAGE", "i"));
    shell.ok("kubectl create -f web.yaml").await;
    let status = r#"{"status":{"conditions":[{"type":"Available","status":"True"}]}}"#;
    shell.ok(&format!("kubectl patch deploy web --subresource=status -p '{status}'")).await;
    shell
        .says(
            "kubectl wait --for=condition=Available deploy/web",
            "deployment.apps/web condition met",
        )
        .await;
    shell.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn describe_and_events_tell_of_objects() {
    let Some(shell) = Shell::start("kubectl").await else { return };
    shell.file("web.yaml", &DEPLOYMENT.replace("IMAGE", "nginx:1"));
    shell.ok("kubectl create -f web.yaml").await;
    shell.ok("kubectl run pod --image=nginx --labels=app=web").await;
    shell.ok("kubectl create secret generic sec --from-literal=p=word").await;
    shell.ok("kubectl create service clusterip web --tcp=80:8080").await;
    let described = [
        ("deploy web", "Replicas:               2 desired | 0 updated | 0 total"),
        ("pod pod", "QoS Class:        BestEffort"),
        ("secret sec", "p:  4 bytes"),
        ("svc web", "Session Affinity:         None"),
        ("ns default", "Status:       Active"),
    ];
    for (what, expected) in described {
        let text = shell.ok(&format!("kubectl describe {what}")).await;
        assert!(text.contains(expected), "{what}:\n{text}");
    }
    shell.fails("kubectl describe cm nope", "configmaps \"nope\" not found").await;
    let uid = shell.ok("kubectl get pod pod -o jsonpath='{.metadata.uid}'").await;
    shell.file("event.yaml", &EVENT.replace("UID", &uid));
    shell.ok("kubectl create -f event.yaml").await;
    let events =
        shell.ok("kubectl get events -o custom-columns=R:.reason,O:.involvedObject.name").await;
    assert!(events.contains("Pulled   pod"), "{events}");
    let events = shell.ok("kubectl events --for pod/pod").await;
    assert!(events.contains("Pulled") && events.contains("image is here"), "{events}");
    let text = shell.ok("kubectl describe pod pod").await;
    assert!(text.contains("image is here"), "{text}");
    shell.fails("kubectl top nodes", "error: Metrics API not available").await;
    shell.fails("kubectl logs nope", "pods \"nope\" not found").await;
    shell.stop().await;
}

const EVENT: &str = "\
apiVersion: v1
kind: Event
metadata: {name: e, namespace: default}
involvedObject: {kind: Pod, name: pod, namespace: default, apiVersion: v1, uid: UID}
reason: Pulled
message: image is here
type: Normal
count: 1
source: {component: kubelet}
lastTimestamp: \"2026-01-01T00:00:00Z\"
firstTimestamp: \"2026-01-01T00:00:00Z\"
";
