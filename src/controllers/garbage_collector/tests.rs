//! The garbage collector at work. Specs are those of Kubernetes' conformance tests,
//! [sig-api-machinery] Garbage collector.

use kube::api::{Api, DeleteParams, DynamicObject, PropagationPolicy};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use crate::controllers::test_server::TestServer;

fn orphan() -> DeleteParams {
    DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..DeleteParams::default() }
}

#[tokio::test]
async fn dependents_follow_their_owner_in_background() {
    let test = TestServer::start().await;
    let owner = test.config_map("owner", &[], &[]).await;
    let child = test.config_map("child", &[("owner", &owner, false)], &[]).await;
    test.config_map("grandchild", &[("child", &child, false)], &[]).await;
    test.config_map("other", &[], &[]).await;
    test.delete("owner", &DeleteParams::background()).await;
    test.until("the grandchild goes", async |test| test.get("grandchild").await.is_none()).await;
    assert!(test.get("child").await.is_none());
    assert!(test.get("other").await.is_some());
}

#[tokio::test]
async fn foreground_owner_waits_for_blocking_dependents() {
    let test = TestServer::start().await;
    let owner = test.config_map("owner", &[], &[]).await;
    test.config_map("held", &[("owner", &owner, true)], &["example.com/hold"]).await;
    test.config_map("free", &[("owner", &owner, false)], &[]).await;
    test.delete("owner", &DeleteParams::foreground()).await;
    test.until("the dependents are asked to go", async |test| {
        let held = test.get("held").await.unwrap();
        held.deletion_timestamp.is_some() && test.get("free").await.is_none()
    })
    .await;
    assert!(test.get("owner").await.is_some());
    test.remove_finalizers("held").await;
    test.until("the owner goes", async |test| test.get("owner").await.is_none()).await;
}

#[tokio::test]
async fn foreground_owner_does_not_wait_for_others() {
    let test = TestServer::start().await;
    let owner = test.config_map("owner", &[], &[]).await;
    test.config_map("held", &[("owner", &owner, false)], &["example.com/hold"]).await;
    test.delete("owner", &DeleteParams::foreground()).await;
    test.until("the owner goes", async |test| test.get("owner").await.is_none()).await;
    assert!(test.get("held").await.unwrap().deletion_timestamp.is_some());
}

#[tokio::test]
async fn orphans_stay_without_their_owner_reference() {
    let test = TestServer::start().await;
    let owner = test.config_map("owner", &[], &[]).await;
    let second = test.config_map("second", &[], &[]).await;
    let owners = [("owner", owner.as_str(), true), ("second", second.as_str(), false)];
    test.config_map("child", &owners, &[]).await;
    test.delete("owner", &orphan()).await;
    test.until("the owner goes", async |test| test.get("owner").await.is_none()).await;
    let references = test.get("child").await.unwrap().owner_references.unwrap();
    assert_eq!(references.len(), 1);
    assert_eq!(references[0].uid, second);
}

#[tokio::test]
async fn reference_to_an_absent_owner_is_dropped_while_another_owner_stands() {
    let test = TestServer::start().await;
    let first = test.config_map("first", &[], &[]).await;
    let second = test.config_map("second", &[], &[]).await;
    let owners = [("first", first.as_str(), false), ("second", second.as_str(), false)];
    test.config_map("child", &owners, &[]).await;
    test.delete("first", &DeleteParams::background()).await;
    test.until("the reference goes", async |test| {
        test.get("child").await.unwrap().owner_references.is_some_and(|list| list.len() == 1)
    })
    .await;
    test.delete("second", &DeleteParams::background()).await;
    test.until("the child goes", async |test| test.get("child").await.is_none()).await;
}

#[tokio::test]
async fn object_born_with_an_absent_owner_is_deleted() {
    let test = TestServer::start().await;
    test.config_map("child", &[("nobody", "00000000-0000-4000-8000-000000000000", false)], &[])
        .await;
    test.until("the child goes", async |test| test.get("child").await.is_none()).await;
}

#[tokio::test]
async fn owner_that_has_the_uid_but_another_name_counts_as_absent() {
    let test = TestServer::start().await;
    let owner = test.config_map("owner", &[], &[]).await;
    test.config_map("child", &[("impostor", &owner, false)], &[]).await;
    test.until("the child goes", async |test| test.get("child").await.is_none()).await;
}

fn api(test: &TestServer, group: &str, kind: &str) -> (ApiResource, Api<DynamicObject>) {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
    let api = Api::namespaced_with(test.client.kube().clone(), "default", &resource);
    (resource, api)
}

/// Creates an object and answers the reference to it, which blocks its deletion.
async fn create(test: &TestServer, object: Value) -> Value {
    let api_version = object["apiVersion"].as_str().unwrap();
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let (resource, _) = api(test, group, object["kind"].as_str().unwrap());
    let created = test.client.create_dynamic(&resource, &object).await.unwrap();
    json!({
        "apiVersion": created["apiVersion"], "kind": created["kind"],
        "name": created["metadata"]["name"], "uid": created["metadata"]["uid"],
        "blockOwnerDeletion": true,
    })
}

fn metadata(name: &str, owners: &[&Value]) -> Value {
    json!({"name": name, "namespace": "default", "labels": {"app": "x"}, "ownerReferences": owners})
}

fn template() -> Value {
    json!({
        "metadata": {"labels": {"app": "x"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    })
}

async fn pod(test: &TestServer, name: &str, owners: &[&Value]) -> Value {
    let spec = template()["spec"].clone();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata(name, owners), "spec": spec,
    });
    create(test, pod).await
}

async fn replication_controller(test: &TestServer, name: &str) -> Value {
    let spec = json!({"replicas": 2, "selector": {"app": "x"}, "template": template()});
    let controller = json!({
        "apiVersion": "v1", "kind": "ReplicationController", "metadata": metadata(name, &[]),
        "spec": spec,
    });
    create(test, controller).await
}

/// A Deployment `d` with the ReplicaSet `r` of it.
async fn deployment(test: &TestServer) {
    let spec =
        json!({"replicas": 2, "selector": {"matchLabels": {"app": "x"}}, "template": template()});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata("d", &[]), "spec": spec,
    });
    let owner = create(test, deployment).await;
    let set = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata("r", &[&owner]),
        "spec": spec,
    });
    create(test, set).await;
}

async fn find(test: &TestServer, group: &str, kind: &str, name: &str) -> Option<DynamicObject> {
    api(test, group, kind).1.get_opt(name).await.unwrap()
}

async fn delete(test: &TestServer, (group, kind): (&str, &str), name: &str, how: &DeleteParams) {
    api(test, group, kind).1.delete(name, how).await.unwrap();
}

#[tokio::test]
async fn spec_56_replica_sets_go_with_their_deployment() {
    let test = TestServer::start().await;
    deployment(&test).await;
    delete(&test, ("apps", "Deployment"), "d", &DeleteParams::background()).await;
    test.until("the replica set goes", async |test| {
        find(test, "apps", "ReplicaSet", "r").await.is_none()
    })
    .await;
    assert!(find(&test, "apps", "Deployment", "d").await.is_none());
}

#[tokio::test]
async fn spec_57_pods_go_with_their_replication_controller() {
    let test = TestServer::start().await;
    let owner = replication_controller(&test, "c").await;
    for name in ["p", "q"] {
        pod(&test, name, &[&owner]).await;
    }
    delete(&test, ("", "ReplicationController"), "c", &DeleteParams::background()).await;
    for name in ["p", "q"] {
        test.until("the pods go", async |test| find(test, "", "Pod", name).await.is_none()).await;
    }
    assert!(find(&test, "", "ReplicationController", "c").await.is_none());
}

#[tokio::test]
async fn spec_58_a_replication_controller_stays_until_its_pods_are_gone() {
    let test = TestServer::start().await;
    let owner = replication_controller(&test, "c").await;
    let mut held = metadata("p", &[&owner]);
    held["finalizers"] = json!(["example.com/hold"]);
    let object = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": held, "spec": template()["spec"],
    });
    create(&test, object).await;
    delete(&test, ("", "ReplicationController"), "c", &DeleteParams::foreground()).await;
    test.until("the pod is asked to go", async |test| {
        let pod = find(test, "", "Pod", "p").await.unwrap();
        pod.metadata.deletion_timestamp.is_some()
    })
    .await;
    let waiting = find(&test, "", "ReplicationController", "c").await.unwrap().metadata;
    assert!(waiting.deletion_timestamp.is_some());
    assert_eq!(waiting.finalizers.unwrap(), ["foregroundDeletion"]);
    let patch = json!({"metadata": {"finalizers": null}});
    let parameters = kube::api::PatchParams::default();
    let patch = kube::api::Patch::Merge(&patch);
    api(&test, "", "Pod").1.patch("p", &parameters, &patch).await.unwrap();
    test.until("the controller goes", async |test| {
        find(test, "", "ReplicationController", "c").await.is_none()
    })
    .await;
}

#[tokio::test]
async fn spec_59_a_circle_of_dependents_goes_with_any_of_them() {
    let test = TestServer::start().await;
    let first = pod(&test, "p1", &[]).await;
    let second = pod(&test, "p2", &[&first]).await;
    let third = pod(&test, "p3", &[&second]).await;
    let patch = json!({"metadata": {"ownerReferences": [third]}});
    let patch = kube::api::Patch::Merge(&patch);
    let pods = api(&test, "", "Pod").1;
    pods.patch("p1", &kube::api::PatchParams::default(), &patch).await.unwrap();
    delete(&test, ("", "Pod"), "p1", &DeleteParams::foreground()).await;
    for name in ["p1", "p2", "p3"] {
        test.until("all go", async |test| find(test, "", "Pod", name).await.is_none()).await;
    }
}

#[tokio::test]
async fn spec_60_dependents_of_an_owner_that_stays_stay() {
    let test = TestServer::start().await;
    let goes = replication_controller(&test, "goes").await;
    let stays = replication_controller(&test, "stays").await;
    pod(&test, "only", &[&goes]).await;
    pod(&test, "both", &[&goes, &stays]).await;
    delete(&test, ("", "ReplicationController"), "goes", &DeleteParams::foreground()).await;
    test.until("the owner goes", async |test| {
        find(test, "", "ReplicationController", "goes").await.is_none()
    })
    .await;
    assert!(find(&test, "", "Pod", "only").await.is_none());
    let both = find(&test, "", "Pod", "both").await.unwrap().metadata;
    assert!(both.deletion_timestamp.is_none());
    let owners = both.owner_references.unwrap();
    assert_eq!(owners.len(), 1);
    assert_eq!(owners[0].name, "stays");
}

#[tokio::test]
async fn spec_61_replica_sets_are_orphaned_by_their_deployment() {
    let test = TestServer::start().await;
    deployment(&test).await;
    delete(&test, ("apps", "Deployment"), "d", &orphan()).await;
    test.until("the deployment goes", async |test| {
        find(test, "apps", "Deployment", "d").await.is_none()
    })
    .await;
    let set = find(&test, "apps", "ReplicaSet", "r").await.unwrap().metadata;
    assert_eq!(set.owner_references.unwrap_or_default(), []);
    assert!(set.deletion_timestamp.is_none());
}

#[tokio::test]
async fn spec_62_pods_are_orphaned_by_their_replication_controller() {
    let test = TestServer::start().await;
    let owner = replication_controller(&test, "c").await;
    for name in ["p", "q"] {
        pod(&test, name, &[&owner]).await;
    }
    delete(&test, ("", "ReplicationController"), "c", &orphan()).await;
    test.until("the controller goes", async |test| {
        find(test, "", "ReplicationController", "c").await.is_none()
    })
    .await;
    for name in ["p", "q"] {
        let pod = find(&test, "", "Pod", name).await.unwrap().metadata;
        assert_eq!(pod.owner_references.unwrap_or_default(), []);
    }
}
