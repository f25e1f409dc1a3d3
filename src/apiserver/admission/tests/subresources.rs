//! What is sent to subresources passes admission as what it is.
//! (kubernetes 1.36: test/integration/apiserver/admissionwebhook)

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use super::harness::*;
use crate::apiserver::Identity;

const PODS: &str = "/api/v1/namespaces/a/pods";

fn rules(operation: &str, group: &str, resource: &str) -> Value {
    json!({"rules": [{
        "operations": [operation], "apiGroups": [group], "apiVersions": ["v1"],
        "resources": [resource],
    }]})
}

async fn with_pod() -> Engine {
    let engine = Engine::new().await;
    let pod =
        json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    engine.post(PODS, pod).await.ok();
    engine
}

#[tokio::test]
async fn spec_9_attaching_to_a_pod_is_denied() {
    let (engine, hook) = (with_pod().await, denying("attaching to pod 'p' is not allowed").await);
    let rules = rules("CONNECT", "", "pods/attach");
    engine.configure(VALIDATING, "c", webhook(hook.config("/"), rules)).await;
    let path = format!("{PODS}/p/attach?container=c&stdin=true&stdout=true&stderr=false&tty=0");
    let message = "admission webhook \"hook.example.com\" denied the request: attaching to pod 'p' \
                   is not allowed";
    assert_eq!(engine.post(&path, Value::Null).await.refused(), (400, "", message));
    let mut body = hook.received()[0].body.clone();
    let request = body["request"].as_object_mut().unwrap();
    assert_eq!(request.remove("uid").unwrap().as_str().unwrap().len(), 36);
    let kind = json!({"group": "", "version": "v1", "kind": "PodAttachOptions"});
    let resource = json!({"group": "", "version": "v1", "resource": "pods"});
    assert_eq!(
        body["request"],
        json!({
            "kind": kind, "resource": resource, "subResource": "attach",
            "requestKind": kind, "requestResource": resource, "requestSubResource": "attach",
            "name": "p", "namespace": "a", "operation": "CONNECT",
            "userInfo": {
                "username": "admin", "groups": ["system:masters", "system:authenticated"],
            },
            "object": {
                "kind": "PodAttachOptions", "apiVersion": "v1",
                "stdin": true, "stdout": true, "container": "c",
            },
            "oldObject": null, "dryRun": false, "options": null,
        })
    );
    // Another way in is another subresource.
    let other = engine.get(&format!("{PODS}/p/exec?command=sh")).await;
    assert_eq!(other.refused().2, "pod p does not have a host assigned");
    assert_eq!(hook.calls(), 1);
}

#[tokio::test]
async fn connections_show_what_their_query_says() {
    let (engine, hook) = (with_pod().await, denying("no").await);
    let rules = rules("CONNECT", "", "pods/*");
    engine.configure(VALIDATING, "c", webhook(hook.config("/"), rules)).await;
    for (query, object) in [
        (
            "exec?command=sh&command=-c&stdin&tty=true",
            json!({"kind": "PodExecOptions", "apiVersion": "v1", "stdin": true, "tty": true,
                   "command": ["sh", "-c"]}),
        ),
        ("exec", json!({"kind": "PodExecOptions", "apiVersion": "v1"})),
        (
            "portforward?ports=80&ports=443",
            json!({"kind": "PodPortForwardOptions", "apiVersion": "v1", "ports": [80, 443]}),
        ),
        ("portforward", json!({"kind": "PodPortForwardOptions", "apiVersion": "v1"})),
    ] {
        let seen = hook.calls();
        let answer = engine.get(&format!("{PODS}/p/{query}")).await;
        assert_eq!(answer.code, 400, "{query}");
        assert_eq!(hook.received()[seen].body["request"]["object"], object, "{query}");
    }
    // Nobody needs to be there to be denied: the pod is looked for later.
    assert!(engine.get(&format!("{PODS}/none/exec")).await.refused().2.ends_with(": no"));
    // Logs are read, not connected to.
    let calls = hook.calls();
    assert_eq!(engine.get(&format!("{PODS}/p/log")).await.code, 204);
    assert_eq!(hook.calls(), calls);
}

#[tokio::test]
async fn requests_that_are_to_be_passed_on_are_connections() {
    let (engine, hook) = (with_pod().await, denying("no").await);
    let rules = rules("CONNECT", "", "*/proxy");
    engine.configure(VALIDATING, "c", webhook(hook.config("/"), rules)).await;
    for (path, object) in [
        ("pods/p/proxy", json!({"kind": "PodProxyOptions", "apiVersion": "v1"})),
        (
            "services/https:s:/proxy/a/b%20c/",
            json!({"kind": "ServiceProxyOptions", "apiVersion": "v1", "path": "/a/b c/"}),
        ),
    ] {
        let seen = hook.calls();
        let refused = engine.post(&format!("/api/v1/namespaces/a/{path}"), Value::Null).await;
        assert!(refused.refused().2.ends_with(": no"), "{path}: {}", refused.body);
        let request = &hook.received()[seen].body["request"];
        assert_eq!((&request["object"], &request["subResource"]), (&object, &json!("proxy")));
    }
    engine.get("/api/v1/nodes/n/proxy/stats").await;
    let last = &hook.received()[hook.calls() - 1].body["request"];
    let object = json!({"kind": "NodeProxyOptions", "apiVersion": "v1", "path": "/stats"});
    assert_eq!((&last["object"], &last["operation"]), (&object, &json!("CONNECT")));
}

#[tokio::test]
async fn nobody_is_behind_the_proxy() {
    let engine = with_pod().await;
    let port = json!([{"port": 80, "name": "web"}]);
    for (name, spec) in
        [("s", json!({"ports": port, "selector": {"a": "b"}})), ("t", json!({"ports": port}))]
    {
        let service = json!({"metadata": {"name": name}, "spec": spec});
        engine.post("/api/v1/namespaces/a/services", service).await.ok();
    }
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "q"},
        "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let mut pod = engine.post(PODS, pod).await.ok();
    pod["status"] = json!({"podIP": "10.1.2.3", "podIPs": [{"ip": "10.1.2.3"}]});
    engine.put(&format!("{PODS}/q/status"), pod).await.ok();
    // Only addresses of Pods of the namespace are endpoints.
    let target =
        |namespace: &str, name: &str| json!({"kind": "Pod", "namespace": namespace, "name": name});
    let addresses = json!([
        {"ip": "10.1.2.1"}, {"ip": "10.1.2.3", "targetRef": target("b", "q")},
        {"ip": "10.1.2.4", "targetRef": target("a", "q")},
        {"ip": "10.1.2.3", "targetRef": target("a", "none")},
    ]);
    let mut passed = addresses.clone();
    passed.as_array_mut().unwrap().push(json!(
        {"ip": "10.1.2.3", "targetRef": target("a", "q")}
    ));
    for (name, addresses) in [("t", passed), ("u", addresses)] {
        let subset = json!({"addresses": addresses, "ports": [{"name": "web", "port": 8}]});
        let endpoints = json!({"metadata": {"name": name}, "subsets": [subset]});
        engine.post("/api/v1/namespaces/a/endpoints", endpoints).await.ok();
    }
    let unreachable = "error trying to reach service: dial tcp 10.1.2.3:8: connect: \
                       connection refused";
    for (path, code, message) in [
        ("pods/p", 400, "address not allowed"),
        ("pods/x:80", 404, "pods \"x\" not found"),
        ("pods/a:b:c:d", 400, "invalid pod request \"a:b:c:d\""),
        ("services/x", 404, "endpoints \"x\" not found"),
        ("services/x:80", 404, "services \"x\" not found"),
        ("services/s", 503, "no endpoints available for service \"s\""),
        ("services/t", 503, "no endpoints available for service \"t\""),
        ("services/u:web", 503, "no endpoints available for service \"u:web\""),
        ("services/t:81", 503, "no service port 81 found for service \"t\""),
        ("services/t:80", 503, unreachable),
        ("services/https:t:web", 503, unreachable),
    ] {
        let answer = engine.get(&format!("/api/v1/namespaces/a/{path}/proxy/")).await;
        assert_eq!((answer.refused().0, answer.refused().2), (code, message), "{path}");
    }
    let answer = engine.get("/api/v1/nodes/n/proxy/").await;
    assert_eq!(answer.refused().2, "nodes \"n\" not found");
    let moved = engine.get("/api/v1/namespaces/a/services/t:web/proxy").await;
    assert_eq!(moved.code, 301, "the root has a slash");
}

#[tokio::test]
async fn components_are_well() {
    let engine = Engine::new().await;
    let path = "/api/v1/componentstatuses";
    let list = engine.get(path).await.ok();
    let names: Vec<&Value> =
        list["items"].as_array().unwrap().iter().map(|item| &item["metadata"]["name"]).collect();
    assert_eq!(names, ["controller-manager", "scheduler", "etcd-0"]);
    let one = engine.get(&format!("{path}/scheduler")).await.ok();
    let healthy = json!([{"type": "Healthy", "status": "True", "message": "ok"}]);
    assert_eq!((&one["kind"], &one["conditions"]), (&json!("ComponentStatus"), &healthy));
    let unknown = engine.get(&format!("{path}/x")).await;
    assert_eq!(unknown.refused(), (500, "", "Component not found: x"));
    assert_eq!(engine.delete(&format!("{path}/scheduler")).await.code, 405);
    let accept = "application/yaml";
    for path in [path, "/api/v1/componentstatuses/scheduler"] {
        let mut request = Request::get(path).header("accept", accept).body(Body::empty()).unwrap();
        request.extensions_mut().insert(Identity::administrator("admin"));
        let answer = engine.server.handle(request).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path} {accept}");
        assert_eq!(answer.headers()["content-type"], accept, "{path}");
    }
}

#[tokio::test]
async fn policies_see_connections() {
    let engine = with_pod().await;
    let group = "/apis/admissionregistration.k8s.io/v1";
    let policy = json!({"metadata": {"name": "no-shells"}, "spec": {
        "matchConstraints": {"resourceRules": [{
            "operations": ["CONNECT"], "apiGroups": [""], "apiVersions": ["v1"],
            "resources": ["pods/exec"],
        }]},
        "validations": [{"expression": "!(\"sh\" in object.command)", "message": "no shells"}],
    }});
    engine.post(&format!("{group}/validatingadmissionpolicies"), policy).await.ok();
    let binding = json!({"metadata": {"name": "no-shells"}, "spec": {
        "policyName": "no-shells", "validationActions": ["Deny"],
    }});
    engine.post(&format!("{group}/validatingadmissionpolicybindings"), binding).await.ok();
    let refused = engine.get(&format!("{PODS}/p/exec?command=sh")).await;
    assert_eq!(refused.code, 422, "{}", refused.body);
    assert!(refused.refused().2.ends_with("denied request: no shells"), "{}", refused.body);
    let passed = engine.get(&format!("{PODS}/p/exec?command=ls")).await;
    assert_eq!(passed.refused().2, "pod p does not have a host assigned");
}

#[tokio::test]
async fn bindings_are_created_as_bindings() {
    let (engine, hook) = (with_pod().await, denying("no").await);
    let rules = rules("CREATE", "", "pods/binding");
    engine.configure(VALIDATING, "c", webhook(hook.config("/"), rules)).await;
    let path = format!("{PODS}/p/binding");
    let binding = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}});
    assert_eq!(engine.post(&path, binding.clone()).await.code, 400);
    let request = hook.received()[0].body["request"].clone();
    assert_eq!(request["kind"], json!({"group": "", "version": "v1", "kind": "Binding"}));
    assert_eq!(
        (&request["operation"], &request["subResource"]),
        (&json!("CREATE"), &json!("binding"))
    );
    assert_eq!(request["object"]["target"]["name"], "n");
    assert_eq!(request["object"]["kind"], "Binding");
    assert_eq!(request["options"]["kind"], "CreateOptions");
    let pod = engine.get(&format!("{PODS}/p")).await.ok();
    assert_eq!(pod["spec"]["nodeName"], Value::Null);
    engine.delete(&format!("{VALIDATING}/c")).await.ok();
    // A mutating webhook may send it elsewhere.
    let patch = json!([{"op": "replace", "path": "/target/name", "value": "elsewhere"}]);
    let hook = patching(patch).await;
    let rules = self::rules("CREATE", "", "pods/binding");
    engine.configure(MUTATING, "c", webhook(hook.config("/"), rules)).await;
    engine.post(&path, binding).await.ok();
    let pod = engine.get(&format!("{PODS}/p")).await.ok();
    assert_eq!(pod["spec"]["nodeName"], "elsewhere");
}

#[tokio::test]
async fn evictions_are_created_and_no_deletions() {
    let (engine, hook) = (with_pod().await, denying("no").await);
    let all = json!({"rules": [{
        "operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"],
        "resources": ["pods", "pods/*"],
    }]});
    engine.configure(VALIDATING, "c", webhook(hook.config("/"), all.clone())).await;
    let path = format!("{PODS}/p/eviction");
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"},
    });
    assert_eq!(engine.post(&format!("{path}?dryRun=All"), eviction.clone()).await.code, 400);
    let request = hook.received()[0].body["request"].clone();
    assert_eq!(request["kind"], json!({"group": "policy", "version": "v1", "kind": "Eviction"}));
    assert_eq!(request["resource"]["resource"], "pods");
    assert_eq!((&request["subResource"], &request["dryRun"]), (&json!("eviction"), &json!(true)));
    assert_eq!(engine.get(&format!("{PODS}/p")).await.code, 200);
    engine.delete(&format!("{VALIDATING}/c")).await.ok();
    let hook = allowing().await;
    engine.configure(VALIDATING, "c", webhook(hook.config("/"), all)).await;
    engine.post(&path, eviction).await.ok();
    assert_eq!(engine.get(&format!("{PODS}/p")).await.code, 404);
    let operations: Vec<Value> =
        hook.received().iter().map(|it| it.body["request"]["operation"].clone()).collect();
    assert_eq!(operations, ["CREATE"], "the deletion that follows is nobody's business");
}

#[tokio::test]
async fn token_requests_are_created() {
    let (engine, hook) = (Engine::new().await, denying("no").await);
    let accounts = "/api/v1/namespaces/a/serviceaccounts";
    engine.post(accounts, json!({"metadata": {"name": "s"}})).await.ok();
    let rules = rules("CREATE", "", "serviceaccounts/token");
    engine.configure(VALIDATING, "c", webhook(hook.config("/"), rules)).await;
    let path = format!("{accounts}/s/token");
    let wanted = json!({"spec": {"audiences": ["x"]}});
    assert_eq!(engine.post(&path, wanted).await.code, 400);
    let request = &hook.received()[0].body["request"];
    let kind = json!({"group": "authentication.k8s.io", "version": "v1", "kind": "TokenRequest"});
    assert_eq!(request["kind"], kind);
    assert_eq!(request["object"]["spec"]["audiences"], json!(["x"]));
    engine.delete(&format!("{VALIDATING}/c")).await.ok();
    engine.post(&path, json!({"spec": {}})).await.ok();
}

#[tokio::test]
async fn approvals_are_updates_of_requests() {
    let (engine, hook) = (Engine::new().await, denying("no").await);
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let key = rcgen::KeyPair::generate().unwrap();
    let pem = rcgen::CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
    let request = json!({"metadata": {"name": "r"}, "spec": {
        "request": STANDARD.encode(pem),
        "signerName": "example.com/signer", "usages": ["client auth"],
    }});
    let mut stored = engine.post(path, request).await.ok();
    let rules = rules("UPDATE", "certificates.k8s.io", "certificatesigningrequests/approval");
    engine.configure(VALIDATING, "c", webhook(hook.config("/"), rules)).await;
    stored["status"]["conditions"] =
        json!([{"type": "Approved", "status": "True", "reason": "r", "message": "m"}]);
    assert_eq!(engine.put(&format!("{path}/r/approval"), stored).await.code, 400);
    let request = &hook.received()[0].body["request"];
    assert_eq!(request["kind"]["kind"], "CertificateSigningRequest");
    assert_eq!(request["subResource"], "approval");
    assert_eq!(request["object"]["status"]["conditions"][0]["type"], "Approved");
    assert_eq!(request["oldObject"]["status"]["conditions"], Value::Null);
}
