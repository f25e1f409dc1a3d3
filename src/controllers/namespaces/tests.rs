use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{DeleteParams, ObjectMeta};

use super::*;
use crate::controllers::test_server::TestServer;

fn named(namespace: Option<&str>, name: &str, finalizers: &[&str]) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.into()),
        namespace: namespace.map(Into::into),
        finalizers: Some(finalizers.iter().map(|it| (*it).to_owned()).collect()),
        ..ObjectMeta::default()
    }
}

async fn create(test: &TestServer, name: &str) {
    let namespace = Namespace { metadata: named(None, name, &[]), ..Namespace::default() };
    test.client.create(&namespace).await.unwrap();
}

async fn delete(test: &TestServer, name: &str) {
    let api: Api<Namespace> = Api::all(test.client.kube().clone());
    api.delete(name, &DeleteParams::default()).await.unwrap();
}

#[tokio::test]
async fn usual_namespaces_are_there() {
    let test = TestServer::start().await;
    for name in SEEDS {
        assert!(test.namespace(name).await.is_some(), "{name}");
    }
}

#[tokio::test]
async fn deleted_namespace_goes_with_its_content() {
    let test = TestServer::start().await;
    create(&test, "a").await;
    create(&test, "b").await;
    for namespace in ["a", "b"] {
        let map = ConfigMap { metadata: named(Some(namespace), "m", &[]), ..ConfigMap::default() };
        test.client.create(&map).await.unwrap();
        let secret = Secret { metadata: named(Some(namespace), "s", &[]), ..Secret::default() };
        test.client.create(&secret).await.unwrap();
    }
    delete(&test, "a").await;
    test.until("the namespace goes", async |test| test.namespace("a").await.is_none()).await;
    assert!(content(&test.server, "a").is_empty());
    let kept = content(&test.server, "b");
    let plurals: Vec<&str> = kept.iter().map(|(resource, _)| &*resource.plural).collect();
    assert!(plurals.contains(&"configmaps") && plurals.contains(&"secrets"), "{plurals:?}");
}

#[tokio::test]
async fn namespace_waits_for_finalizers_and_says_so() {
    let test = TestServer::start().await;
    create(&test, "a").await;
    let metadata = named(Some("a"), "m", &["example.com/hold"]);
    let map = ConfigMap { metadata, ..ConfigMap::default() };
    test.client.create(&map).await.unwrap();
    delete(&test, "a").await;
    test.until("the namespace says what it waits for", async |test| {
        let namespace = test.namespace("a").await.unwrap();
        namespace.status.and_then(|status| status.conditions).is_some()
    })
    .await;
    let status = test.namespace("a").await.unwrap().status.unwrap();
    assert_eq!(status.phase.as_deref(), Some("Terminating"));
    let messages: Vec<_> = status
        .conditions
        .unwrap()
        .into_iter()
        .filter(|condition| condition.status == "True")
        .map(|condition| condition.message.unwrap())
        .collect();
    assert_eq!(
        messages,
        [
            "Some resources are remaining: configmaps. has 1 resource instances",
            "Some content in the namespace has finalizers remaining: example.com/hold in 1 \
             resource instances"
        ]
    );
    let patch = json!({"metadata": {"finalizers": null}});
    test.client.merge_patch::<ConfigMap>(&ObjectKey::new("a", "m"), "", &patch).await.unwrap();
    test.until("the namespace goes", async |test| test.namespace("a").await.is_none()).await;
}

/// Creates an object in a namespace, deletes the namespace and makes it anew: it is empty then.
async fn goes_with_its_namespace(resource: &kube::core::ApiResource, mut object: Value) {
    let test = TestServer::start().await;
    for namespace in ["a", "b"] {
        create(&test, namespace).await;
        object["metadata"] = json!({"name": "x", "namespace": namespace});
        test.client.create_dynamic(resource, &object).await.unwrap();
    }
    delete(&test, "a").await;
    test.until("the namespace goes", async |test| test.namespace("a").await.is_none()).await;
    create(&test, "a").await;
    let count = async |namespace: &str| {
        let kube = test.client.kube().clone();
        let api: Api<DynamicObject> = Api::namespaced_with(kube, namespace, resource);
        api.list(&ListParams::default()).await.unwrap().items.len()
    };
    assert_eq!((count("a").await, count("b").await), (0, 1));
}

#[tokio::test]
async fn spec_66_pods_go_with_their_namespace() {
    let resource = kube::core::ApiResource::erase::<k8s_openapi::api::core::v1::Pod>(&());
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "c", "image": "i"}]},
    });
    goes_with_its_namespace(&resource, pod).await;
}

#[tokio::test]
async fn spec_67_services_go_with_their_namespace() {
    let resource = kube::core::ApiResource::erase::<k8s_openapi::api::core::v1::Service>(&());
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "spec": {"selector": {"app": "x"}, "ports": [{"port": 80}]},
    });
    goes_with_its_namespace(&resource, service).await;
}
