//! Requests by client.

use super::*;
use crate::apiserver::{ClientRequests, ClientRequestsList};
use crate::client::Client;

const CLIENTS: &str = "/debug/api_clients";

async fn told(harness: &Harness) -> Vec<ClientRequests> {
    let answer = harness.get(CLIENTS).await;
    let list: ClientRequestsList = serde_json::from_value(answer.ok()).unwrap();
    assert_eq!(
        (&*list.api_version, &*list.kind),
        ("debug.capim.dev/v1alpha1", "ClientRequestsList")
    );
    list.items
}

fn named<'a>(clients: &'a [ClientRequests], name: &str) -> &'a ClientRequests {
    let names: Vec<&str> = clients.iter().map(|client| &*client.metadata.name).collect();
    let found = clients.iter().find(|client| client.metadata.name == name);
    found.unwrap_or_else(|| panic!("no {name} in {names:?}"))
}

#[tokio::test(start_paused = true)]
async fn requests_errors_and_watches_are_counted_by_client() {
    let harness = Harness::new().await;
    harness.server.tell_clients_apart();
    harness.map("x", "1").await;
    harness.get(&format!("{MAPS}/x")).await.ok();
    assert_eq!(harness.get(&format!("{MAPS}/none")).await.code, 404);
    let watch = harness.watch(&format!("{MAPS}?watch=1")).await;
    let clients = told(&harness).await;
    let tests = named(&clients, "tests/1.0@admin");
    let requests: u64 = clients.iter().map(|client| client.requests).sum();
    let watches: usize = clients.iter().map(|client| client.open_watches).sum();
    assert_eq!((requests, watches), (4, 1), "{clients:?}");
    assert_eq!((tests.errors.client, tests.errors.server, tests.in_process), (1, 0, false));
    assert_eq!((tests.resources.len(), tests.resources[0].name()), (1, "configmaps".to_owned()));
    assert_eq!((tests.by_verb()["create"], tests.by_verb()["get"]), (1, 2));
    assert!(tests.latency.p50_seconds.is_some());
    drop(watch);
    let clients = told(&harness).await;
    assert_eq!(clients.iter().map(|client| client.open_watches).sum::<usize>(), 0);
    assert_eq!(clients.iter().map(|client| client.requests).sum::<u64>(), 4, "looking is free");
}

#[tokio::test(start_paused = true)]
async fn clients_of_the_process_count_under_their_field_managers() {
    let harness = Harness::new().await;
    harness.server.tell_clients_apart();
    let client = Client::in_process(&harness.server, Identity::administrator("system:x"), "one");
    client.get_json("/version").await.unwrap();
    client.with_field_manager("two").get_json(MAPS).await.unwrap();
    client.with_field_manager("two").get_json_as(MAPS, "application/json").await.unwrap();
    let clients = told(&harness).await;
    let version = env!("CARGO_PKG_VERSION");
    let one = named(&clients, &format!("one/v{version}@system:x"));
    let two = named(&clients, &format!("two/v{version}@system:x"));
    assert_eq!((one.requests, two.requests, clients.len()), (1, 2, 2));
    assert!(one.in_process && two.in_process);
    let list = client.api_clients().await.unwrap().unwrap();
    assert_eq!(list.items.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn only_servers_that_count_tell_and_only_whom_rbac_lets() {
    let harness = Harness::new().await;
    assert_eq!(harness.get(CLIENTS).await.code, 404);
    let client = Client::in_process(&harness.server, Identity::administrator("x"), "x");
    assert!(client.api_clients().await.unwrap().is_none());
    harness.server.tell_clients_apart();
    let anonymous = || Request::get(CLIENTS).body(Body::empty()).unwrap();
    assert_eq!(harness.server.handle(anonymous()).await.status(), 403);
    harness
        .post(
            "/apis/rbac.authorization.k8s.io/v1/clusterroles",
            json!({"metadata": {"name": "look"},
                "rules": [{"nonResourceURLs": [CLIENTS], "verbs": ["get"]}]}),
        )
        .await
        .ok();
    harness
        .post(
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            json!({"metadata": {"name": "look"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                    "name": "look"},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User",
                    "name": "system:anonymous"}]}),
        )
        .await
        .ok();
    assert_eq!(harness.server.handle(anonymous()).await.status(), 200);
}
