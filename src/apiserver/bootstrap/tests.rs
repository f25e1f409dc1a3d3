//! What a fresh server has.

use axum::body::Body;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::apiserver::{ApiServer, Identity, Options, Profile};
use crate::clock::Clock;
use crate::machinery::builtin;

fn server() -> ApiServer {
    ApiServer::new(&Profile::new(builtin::definitions()), Options::new(Clock::wall()))
}

async fn send(server: &ApiServer, method: &str, path: &str, body: Option<Value>) -> Value {
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let request = http::Request::builder().method(method).uri(path);
    let mut request = request.header("content-type", "application/json").body(body).unwrap();
    request.extensions_mut().insert(Identity::administrator("admin"));
    let response = server.handle(request).await;
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&bytes).unwrap()
}

async fn names(server: &ApiServer, path: &str) -> Vec<String> {
    let list = send(server, "GET", path, None).await;
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_fresh_server_has_what_a_fresh_cluster_has() {
    let server = server();
    assert_eq!(server.store().revision(), self::server().store().revision());
    let before = server.store().revision();
    let classes = names(&server, "/apis/scheduling.k8s.io/v1/priorityclasses").await;
    assert_eq!(classes, ["system-cluster-critical", "system-node-critical"]);
    assert!(server.store().revision() > before);
    let group = "/apis/flowcontrol.apiserver.k8s.io/v1";
    assert_eq!(names(&server, &format!("{group}/flowschemas")).await.len(), 11);
    assert_eq!(names(&server, &format!("{group}/prioritylevelconfigurations")).await.len(), 8);
    let block = send(&server, "GET", "/apis/networking.k8s.io/v1/servicecidrs/kubernetes", None);
    assert_eq!(block.await["spec"]["cidrs"], json!(["10.0.0.0/24"]));
}

#[tokio::test]
async fn what_was_deleted_stays_away_and_the_systems_classes_cannot_be() {
    let server = server();
    let path = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas/probes";
    assert_eq!(send(&server, "DELETE", path, None).await["status"], "Success");
    assert_eq!(send(&server, "GET", path, None).await["code"], 404);
    let path = "/apis/scheduling.k8s.io/v1/priorityclasses/system-node-critical";
    let refused = send(&server, "DELETE", path, None).await;
    assert_eq!(
        refused["message"],
        "priorityclasses.scheduling.k8s.io \"system-node-critical\" is forbidden: this is a system \
         priority class and cannot be deleted"
    );
}

#[tokio::test]
async fn api_services_follow_what_is_served() {
    let server = server();
    let path = "/apis/apiregistration.k8s.io/v1/apiservices";
    let all = names(&server, path).await;
    assert!(all.contains(&"v1.apps".to_owned()) && all.contains(&"v2.autoscaling".to_owned()));
    assert!(
        all.contains(&"v1.".to_owned()) && !all.contains(&"v1.apiregistration.k8s.io".to_owned())
    );
    let apps = send(&server, "GET", &format!("{path}/v1.apps"), None).await;
    assert_eq!(apps["status"]["conditions"][0]["reason"], "Local");
    let schema = json!({"openAPIV3Schema": {"type": "object"}});
    let version = json!({"name": "v1", "served": true, "storage": true, "schema": schema});
    let names_of = json!({"plural": "widgets", "kind": "Widget"});
    let definition = json!({
        "metadata": {"name": "widgets.x.io"},
        "spec": {"group": "x.io", "scope": "Cluster", "names": names_of, "versions": [version]},
    });
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    send(&server, "POST", crds, Some(definition)).await;
    let mine = send(&server, "GET", &format!("{path}/v1.x.io"), None).await;
    assert_eq!(mine["spec"]["groupPriorityMinimum"], 1000);
    send(&server, "DELETE", &format!("{crds}/widgets.x.io"), None).await;
    assert!(!names(&server, path).await.contains(&"v1.x.io".to_owned()));
}
