use http::Method;
use http_body_util::BodyExt;
use serde_json::Value;

use super::*;
use crate::apiserver::{Options, Profile, health};
use crate::clock::Clock;
use crate::machinery::definition::{ScalePaths, Serving, Strategy, Subresources};
use crate::machinery::schema::Schema;

fn definition(
    group: &str,
    version: &str,
    kind: &str,
    plural: &str,
    origin: Origin,
) -> ResourceDefinition {
    ResourceDefinition {
        group: group.into(),
        version: version.into(),
        kind: kind.into(),
        list_kind: format!("{kind}List").into(),
        plural: plural.into(),
        singular: kind.to_lowercase().into(),
        short_names: vec![],
        categories: vec![],
        namespaced: plural != "namespaces",
        origin,
        schema: Schema::any(),
        columns: vec![],
        subresources: Subresources { status: true, scale: None },
        selectable_fields: vec![],
        strategy: Strategy::default(),
        serving: Serving::default(),
    }
}

fn server() -> ApiServer {
    let mut deployment = definition("apps", "v1", "Deployment", "deployments", Origin::BuiltIn);
    deployment.subresources.scale = Some(ScalePaths {
        spec_replicas: "spec.replicas".into(),
        status_replicas: "status.replicas".into(),
        label_selector: None,
    });
    deployment.short_names = vec!["deploy".into()];
    deployment.categories = vec!["all".into()];
    let mut sets = definition("x.example.com", "v1beta1", "Set", "sets", Origin::Custom);
    sets.subresources = deployment.subresources.clone();
    let profile = Profile::new(vec![
        sets.clone(),
        ResourceDefinition { version: "v1".into(), ..sets },
        deployment,
        definition("", "v1", "Pod", "pods", Origin::BuiltIn),
        definition("", "v1", "Namespace", "namespaces", Origin::BuiltIn),
    ]);
    let options = Options::new(Clock::wall());
    ApiServer::new(&profile, options)
}

async fn get(server: &ApiServer, path: &str, headers: &[(&'static str, &str)]) -> Response<Body> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, value.parse().unwrap());
    }
    let info = RequestInfo::parse(&Method::GET, &path.parse().unwrap()).unwrap();
    match path.split(['/', '?']).nth(1) {
        Some("healthz" | "livez" | "readyz" | "version") => health::respond(server, &info, &map),
        _ => respond(server, &info, &map),
    }
}

async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn json(server: &ApiServer, path: &str) -> Value {
    serde_json::from_str(&text(get(server, path, &[]).await).await).unwrap()
}

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                          application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,\
                          application/json";

#[tokio::test]
async fn legacy_documents_list_groups_by_preference() {
    let server = server();
    let group = json(&server, "/apis/x.example.com").await;
    assert_eq!(
        group,
        json!({"kind": "APIGroup", "apiVersion": "v1", "name": "x.example.com",
            "preferredVersion": {"groupVersion": "x.example.com/v1", "version": "v1"},
            "versions": [{"groupVersion": "x.example.com/v1", "version": "v1"},
                {"groupVersion": "x.example.com/v1beta1", "version": "v1beta1"}]})
    );
    let groups = json(&server, "/apis").await;
    assert_eq!(groups["kind"], "APIGroupList");
    assert_eq!(groups["groups"][0]["name"], "apps");
    assert!(groups["groups"][0].get("kind").is_none());
    let core = json(&server, "/api").await;
    assert_eq!(core["versions"], json!(["v1"]));
}

#[tokio::test]
async fn clients_find_out_that_pods_can_be_evicted() {
    let core = json(&server(), "/api/v1").await;
    let find = |name: &str| {
        let resources = core["resources"].as_array().unwrap();
        resources.iter().find(|resource| resource["name"] == name).cloned()
    };
    assert_eq!(
        find("pods/eviction"),
        Some(json!({"name": "pods/eviction", "singularName": "", "namespaced": true,
            "group": "policy", "version": "v1", "kind": "Eviction", "verbs": ["create"]}))
    );
    assert_eq!(
        find("pods/exec"),
        Some(json!({"name": "pods/exec", "singularName": "", "namespaced": true,
            "kind": "PodExecOptions", "verbs": ["create", "get"]}))
    );
}

#[tokio::test]
async fn legacy_resources_list_subresources_with_their_kinds() {
    let server = server();
    let mut apps = json(&server, "/apis/apps/v1").await;
    apps["resources"][0].as_object_mut().unwrap().remove("storageVersionHash").unwrap();
    assert_eq!(
        apps,
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "apps/v1",
        "resources": [
            {"name": "deployments", "singularName": "deployment", "namespaced": true,
                "kind": "Deployment", "verbs": ALL_VERBS, "shortNames": ["deploy"],
                "categories": ["all"]},
            {"name": "deployments/scale", "singularName": "", "namespaced": true,
                "group": "autoscaling", "version": "v1", "kind": "Scale",
                "verbs": ["get", "patch", "update"]},
            {"name": "deployments/status", "singularName": "", "namespaced": true,
                "kind": "Deployment", "verbs": ["get", "patch", "update"]},
        ]})
    );
    let core = json(&server, "/api/v1").await;
    let names: Vec<&str> = core["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "bindings",
            "componentstatuses",
            "namespaces",
            "namespaces/finalize",
            "namespaces/status",
            "pods",
            "pods/attach",
            "pods/binding",
            "pods/ephemeralcontainers",
            "pods/eviction",
            "pods/exec",
            "pods/log",
            "pods/portforward",
            "pods/proxy",
            "pods/resize",
            "pods/status"
        ]
    );
    assert!(core.get("apiVersion").is_none());
    let custom = json(&server, "/apis/x.example.com/v1").await;
    assert_eq!(custom["resources"][0]["verbs"], json!(CUSTOM_VERBS));
    assert_eq!(custom["resources"][1]["name"], "sets/status");
}

#[tokio::test]
async fn aggregated_answer_repeats_group_version_and_kind() {
    let server = server();
    let response = get(&server, "/apis", &[("accept", AGGREGATED)]).await;
    assert_eq!(
        response.headers()[CONTENT_TYPE],
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    );
    let tag = response.headers()[ETAG].to_str().unwrap().to_owned();
    let document: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(document["apiVersion"], "apidiscovery.k8s.io/v2");
    assert_eq!(
        *document["items"].as_array().unwrap().last().unwrap(),
        json!({"metadata": {"name": "x.example.com"}, "versions": [
            {"version": "v1", "freshness": "Current", "resources": [custom("v1")]},
            {"version": "v1beta1", "freshness": "Current", "resources": [custom("v1beta1")]},
        ]})
    );
    let again = [("accept", AGGREGATED), ("if-none-match", tag.as_str())];
    let response = get(&server, "/apis", &again).await;
    assert_eq!(response.status(), 304);
    assert_eq!(text(response).await, "");
}

fn custom(version: &str) -> Value {
    let kind = json!({"group": "x.example.com", "version": version, "kind": "Set"});
    let scale = json!({"group": "autoscaling", "version": "v1", "kind": "Scale"});
    json!({"resource": "sets", "responseKind": kind, "scope": "Namespaced",
    "singularResource": "set", "verbs": CUSTOM_VERBS, "subresources": [
        {"subresource": "status", "responseKind": kind, "verbs": SUBRESOURCE_VERBS},
        {"subresource": "scale", "responseKind": scale, "verbs": SUBRESOURCE_VERBS},
    ]})
}

#[tokio::test]
async fn formats_and_encodings_are_chosen_by_accept() {
    const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
    const YAML: &str = "application/yaml";
    let server = server();
    let check = async |path: &str, accept: &str, code: u16, content_type: &str, part: &str| {
        let response = get(&server, path, &[("accept", accept), ("host", "h:1")]).await;
        assert_eq!(response.status(), code, "{path} {accept}");
        assert_eq!(response.headers()[CONTENT_TYPE], content_type, "{path} {accept}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body = String::from_utf8_lossy(&body);
        assert!(body.contains(part), "{path} {accept}: {body}");
    };
    let json = "application/json";
    let as_list = ";g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let beta = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
    for path in ["/api", "/apis"] {
        for media in [json, YAML, PROTOBUF] {
            let accept = format!("{media}{as_list}");
            check(path, &accept, 200, &accept, "APIGroupDiscoveryList").await;
        }
    }
    check(
        "/apis",
        &format!("{PROTOBUF}{as_list}"),
        200,
        &format!("{PROTOBUF}{as_list}"),
        "\x0bautoscaling",
    )
    .await;
    for accept in [json, "*/*", &format!("{json}, {beta}"), &format!("{beta}, {json}")] {
        check("/api", accept, 200, json, "\"APIVersions\"").await;
    }
    check("/api", beta, 406, json, "only the following media types are accepted").await;
    check("/apis", "text/html", 406, json, "406: Not Acceptable").await;
    for (path, kind, part) in [
        ("/api", "APIVersions", "h:1"),
        ("/apis", "APIGroupList", "x.example.com/v1beta1"),
        ("/apis/x.example.com", "APIGroup", "x.example.com/v1beta1"),
        ("/apis/x.example.com/v1", "APIResourceList", "sets/status"),
        ("/api/v1", "APIResourceList", "deletecollection"),
    ] {
        check(path, YAML, 200, YAML, &format!("kind: {kind}")).await;
        check(path, PROTOBUF, 200, PROTOBUF, kind).await;
        check(path, PROTOBUF, 200, PROTOBUF, part).await;
    }
}

#[tokio::test]
async fn unknown_groups_are_a_plain_404() {
    let server = server();
    for path in ["/apis/nope", "/apis/nope/v1", "/apis/x.example.com/v9", "/nope"] {
        let response = get(&server, path, &[]).await;
        assert_eq!(response.status(), 404, "{path}");
        assert_eq!(text(response).await, "404 page not found\n");
    }
}

#[tokio::test]
async fn unknown_versions_of_own_groups_are_a_status() {
    let server = server();
    for path in ["/apis/apps/v9", "/api/v2"] {
        let document = json(&server, path).await;
        assert_eq!(document["code"], 404, "{path}");
        assert_eq!(document["message"], "the server could not find the requested resource");
    }
}

#[tokio::test]
async fn installed_resources_show_at_once() {
    let server = server();
    assert_eq!(get(&server, "/apis/new.example.com", &[]).await.status(), 404);
    let kind = definition("new.example.com", "v1", "New", "news", Origin::Custom);
    server.install(vec![kind]);
    assert_eq!(get(&server, "/apis/new.example.com", &[]).await.status(), 200);
    server.uninstall("new.example.com", "news");
    assert_eq!(get(&server, "/apis/new.example.com", &[]).await.status(), 404);
}

#[tokio::test]
async fn root_lists_paths() {
    let paths = json(&server(), "/").await;
    let paths = paths["paths"].as_array().unwrap();
    for path in ["/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1", "/version"] {
        assert!(paths.contains(&json!(path)), "{path}");
    }
}

#[tokio::test]
async fn health_answers_ok_and_lists_checks_when_asked() {
    let server = server();
    for path in ["/healthz", "/livez", "/readyz", "/readyz/ping", "/livez/ping"] {
        assert_eq!(text(get(&server, path, &[]).await).await, "ok", "{path}");
    }
    assert_eq!(
        text(get(&server, "/readyz?verbose", &[]).await).await,
        "[+]ping ok\n[+]log ok\n[+]etcd ok\n[+]etcd-readiness ok\n[+]informer-sync ok\n\
         [+]shutdown ok\nreadyz check passed\n"
    );
    assert_eq!(get(&server, "/livez/nope", &[]).await.status(), 404);
    server.shutdown();
    assert_eq!(text(get(&server, "/livez", &[]).await).await, "ok");
    let response = get(&server, "/readyz", &[]).await;
    assert_eq!(response.status(), 500);
    assert_eq!(
        text(response).await,
        "[+]ping ok\n[+]log ok\n[+]etcd ok\n[+]etcd-readiness ok\n[+]informer-sync ok\n\
         [-]shutdown failed: reason withheld\nreadyz check failed\n"
    );
    assert_eq!(text(get(&server, "/readyz?exclude=shutdown", &[]).await).await, "ok");
}

#[tokio::test]
async fn version_says_which_kubernetes_is_spoken() {
    let version = json(&server(), "/version").await;
    assert_eq!(version["gitVersion"], "v1.36.2");
    assert_eq!((&version["major"], &version["minor"]), (&json!("1"), &json!("36")));
    assert_eq!(version["platform"], "linux/amd64");
}
