//! What real clients send, request by request, with the status and media type that a kube-apiserver
//! 1.36 answered: kubectl 1.32, helm 3.17, controller-runtime. The bodies are our own.

use axum::body::Body;
use capim::apiserver::Identity;
use capim::embed::ControlPlane;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};

const JSON: &str = "application/json";
const JSON_OR_ANY: &str = "application/json, */*";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const PROTOBUF_OR_JSON: &str = "application/vnd.kubernetes.protobuf,application/json";
const PROTOBUF_OR_ANY: &str = "application/vnd.kubernetes.protobuf, */*";
const DISCOVERY: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                         application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,\
                         application/json";
const DISCOVERED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,\
                     application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
const METADATA_LIST: &str = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,\
     application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
const METADATA: &str = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,\
     application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
const STREAM: &str = "application/vnd.kubernetes.protobuf;stream=watch";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";
const JSON_PATCH: &str = "application/json-patch+json";

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const SECRETS: &str = "/api/v1/namespaces/default/secrets";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const EVENTS: &str = "/api/v1/namespaces/default/events";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
const PODS: &str = "/api/v1/namespaces/default/pods";

/// A request: method, path and query, Accept.
struct Sent<'a>(&'a str, String, &'a str);

struct Client {
    control_plane: ControlPlane,
}

impl Client {
    async fn start() -> Self {
        Self { control_plane: ControlPlane::start().await.unwrap() }
    }

    async fn send(&self, sent: &Sent<'_>, body: (&str, Vec<u8>)) -> Response<Body> {
        let Sent(method, path, accept) = sent;
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(path)
            .header("user-agent", "wire/1");
        if !accept.is_empty() {
            request = request.header("accept", *accept);
        }
        if !body.0.is_empty() {
            request = request.header("content-type", body.0);
        }
        let mut request = request.body(Body::from(body.1)).unwrap();
        request.extensions_mut().insert(Identity::administrator("test"));
        Box::pin(self.control_plane.server().handle(request)).await
    }

    /// Sends a request and holds status and media type of the answer to what was recorded.
    async fn check(&self, sent: Sent<'_>, body: (&str, Vec<u8>), recorded: (u16, &str)) {
        let response = self.send(&sent, body).await;
        let about = format!("{} {} accepting {}", sent.0, sent.1, sent.2);
        let media = response.headers().get("content-type");
        let media = media.map_or("", |value| value.to_str().unwrap()).to_owned();
        let code = response.status().as_u16();
        let is_stream = sent.1.contains("watch=true");
        let text = if is_stream {
            String::new()
        } else {
            let bytes = response.into_body().collect().await.unwrap().to_bytes();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        assert_eq!(code, recorded.0, "{about}: {text}");
        assert_eq!(media, recorded.1, "{about}");
    }

    async fn get(&self, path: &str, accept: &str, recorded: (u16, &str)) {
        self.check(Sent("GET", path.to_owned(), accept), ("", Vec::new()), recorded).await;
    }

    async fn write(
        &self,
        method: &str,
        path: String,
        accept: &str,
        (media, body): (&str, Value),
        recorded: (u16, &str),
    ) {
        let body = (media, body.to_string().into_bytes());
        self.check(Sent(method, path, accept), body, recorded).await;
    }

    async fn protobuf(&self, sent: Sent<'_>, body: Vec<u8>, recorded: (u16, &str)) {
        self.check(sent, (PROTOBUF, body), recorded).await;
    }

    /// The present version of an object, for what has to begin there.
    async fn version(&self, path: &str) -> String {
        let sent = Sent("GET", path.to_owned(), JSON);
        let response = self.send(&sent, ("", Vec::new())).await;
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let object: Value = serde_json::from_slice(&bytes).unwrap();
        object["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
    }
}

/// A field of a protobuf message: number, and bytes of a length below 128.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).unwrap();
    assert!(length < 128);
    [&[number << 3 | 2, length], bytes].concat()
}

/// An object in the envelope of Kubernetes.
fn envelope(api_version: &str, kind: &str, object: &[u8]) -> Vec<u8> {
    let kind = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
    [b"k8s\0".to_vec(), field(1, &kind), field(2, object)].concat()
}

/// An object with nothing but a name.
fn named(api_version: &str, kind: &str, name: &str) -> Vec<u8> {
    envelope(api_version, kind, &field(1, &field(1, name.as_bytes())))
}

fn delete_options() -> Vec<u8> {
    envelope("v1", "DeleteOptions", &[])
}

fn map(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default"}, "data": {"a": "b"},
    })
}

fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "c", "image": "i"}]},
            },
        },
    })
}

async fn kubectl_reads(client: &Client) {
    client.get("/version?timeout=32s", JSON_OR_ANY, (200, JSON)).await;
    client.get("/readyz", JSON_OR_ANY, (200, "text/plain; charset=utf-8")).await;
    client.get("/MARK/version", "*/*", (404, "text/plain; charset=utf-8")).await;
    for path in ["/api?timeout=32s", "/apis?timeout=32s"] {
        client.get(path, DISCOVERY, (200, DISCOVERED)).await;
    }
    client.get("/api/v1", JSON_OR_ANY, (200, JSON)).await;
    for path in [
        "/api/v1/namespaces?limit=500",
        "/api/v1/configmaps?limit=500",
        "/api/v1/pods?limit=500",
        "/api/v1/replicationcontrollers?limit=500",
        "/api/v1/services?limit=500",
        "/apis/apps/v1/daemonsets?limit=500",
        "/apis/apps/v1/deployments?limit=500",
        "/apis/apps/v1/replicasets?limit=500",
        "/apis/apps/v1/statefulsets?limit=500",
        "/apis/autoscaling/v2/horizontalpodautoscalers?limit=500",
        "/apis/batch/v1/cronjobs?limit=500",
        "/apis/batch/v1/jobs?limit=500",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?limit=500",
        "/apis/certificates.k8s.io/v1/certificatesigningrequests?limit=500",
        &format!("{EVENTS}?limit=500"),
        &format!("{DEPLOYMENTS}/web"),
        &format!("{DEPLOYMENTS}?fieldSelector=metadata.name%3Dweb&resourceVersion=0&watch=true"),
    ] {
        client.get(path, TABLE, (200, JSON)).await;
    }
    let services = "/api/v1/namespaces/kube-system/services";
    let query = "labelSelector=kubernetes.io%2Fcluster-service%3Dtrue";
    client.get(&format!("{services}?{query}"), JSON_OR_ANY, (200, JSON)).await;
    for (path, name) in [(MAPS, "cm1"), (DEPLOYMENTS, "web")] {
        let version = client.version(&format!("{path}/{name}")).await;
        let one = format!("{path}?fieldSelector=metadata.name%3D{name}");
        client.get(&format!("{one}&limit=500&resourceVersion=0"), JSON, (200, JSON)).await;
        let watch = format!(
            "{path}?allowWatchBookmarks=true&fieldSelector=metadata.name%3D{name}\
             &resourceVersion={version}&timeoutSeconds=300&watch=true"
        );
        client.get(&watch, JSON, (200, JSON)).await;
        client.get(&format!("{path}/{name}"), JSON, (200, JSON)).await;
        client.get(&format!("{path}/{name}"), JSON_OR_ANY, (200, JSON)).await;
    }
    client.get(&format!("{MAPS}?limit=500"), JSON, (200, JSON)).await;
    // describe
    for path in [
        format!("{DEPLOYMENTS}/web"),
        format!(
            "{EVENTS}?fieldSelector=involvedObject.name%3Dweb%2CinvolvedObject.kind%3DDeployment"
        ),
        "/apis/apps/v1/namespaces/default/replicasets?labelSelector=app%3Dweb&limit=500".to_owned(),
        format!("{PODS}?labelSelector=app%3Dweb"),
    ] {
        client.get(&path, PROTOBUF_OR_JSON, (200, PROTOBUF)).await;
    }
    let version = client.version(&format!("{DEPLOYMENTS}/web")).await;
    let watch = format!("{PODS}?labelSelector=app%3Dweb&resourceVersion={version}&watch=true");
    client.get(&watch, PROTOBUF_OR_JSON, (200, STREAM)).await;
}

async fn kubectl_writes(client: &Client) {
    let ok = (200, JSON);
    for (path, name, object, api) in [
        (DEPLOYMENTS, "web", deployment("web"), "kubectl-client-side-apply"),
        (MAPS, "cm1", map("cm1"), "kubectl-client-side-apply"),
    ] {
        let place = format!("{path}/{name}");
        let query = |query: &str| format!("{place}?{query}");
        let labels = json!({"metadata": {"annotations": {"x": "y"}}});
        let client_side = query(&format!("fieldManager={api}&fieldValidation=Strict"));
        client.write("PATCH", client_side, JSON, (STRATEGIC, labels.clone()), ok).await;
        for options in [
            "fieldManager=kubectl&fieldValidation=Strict&force=true",
            "fieldManager=kubectl-last-applied&fieldValidation=Strict&force=true",
            "dryRun=All&fieldManager=kubectl&force=true",
        ] {
            client.write("PATCH", query(options), JSON, (APPLY, object.clone()), ok).await;
        }
        let dry = query(&format!("dryRun=All&fieldManager={api}"));
        client.write("PATCH", dry, JSON, (STRATEGIC, labels.clone()), ok).await;
        for manager in ["kubectl-label", "kubectl-annotate"] {
            let path = query(&format!("fieldManager={manager}"));
            client.write("PATCH", path, JSON, (MERGE, labels.clone()), ok).await;
        }
        let patch = json!([{"op": "add", "path": "/metadata/labels", "value": {"z": "1"}}]);
        for options in ["fieldManager=kubectl&fieldValidation=Strict", "fieldManager=kubectl-patch"]
        {
            client.write("PATCH", query(options), JSON, (JSON_PATCH, patch.clone()), ok).await;
        }
        let create =
            format!("{path}?dryRun=All&fieldManager=kubectl-create&fieldValidation=Strict");
        client.write("POST", create, JSON, (JSON, object), (409, JSON)).await;
    }
    let replicas = json!({"spec": {"replicas": 3}});
    let scale = format!("{DEPLOYMENTS}/web/scale");
    client.write("PATCH", scale, JSON_OR_ANY, (MERGE, replicas.clone()), ok).await;
    let set = format!("{DEPLOYMENTS}/web?fieldManager=kubectl-set");
    client.write("PATCH", set, JSON_OR_ANY, (STRATEGIC, replicas), ok).await;
    let account = "/api/v1/namespaces/default/serviceaccounts";
    let strict = "fieldManager=kubectl-create&fieldValidation=Strict";
    for (path, kind, name) in
        [(account, "ServiceAccount", "default"), ("/api/v1/namespaces", "Namespace", "default")]
    {
        let sent = Sent("POST", format!("{path}?{strict}"), PROTOBUF_OR_JSON);
        client.protobuf(sent, named("v1", kind, name), (409, PROTOBUF)).await;
    }
    for (path, api_version, kind) in [
        (
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            "authorization.k8s.io/v1",
            "SelfSubjectAccessReview",
        ),
        (
            "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
            "authorization.k8s.io/v1",
            "SelfSubjectRulesReview",
        ),
        (
            "/apis/authentication.k8s.io/v1/selfsubjectreviews",
            "authentication.k8s.io/v1",
            "SelfSubjectReview",
        ),
        (
            "/api/v1/namespaces/default/serviceaccounts/default/token",
            "authentication.k8s.io/v1",
            "TokenRequest",
        ),
    ] {
        let spec = match kind {
            // A spec with attributes that name a path and a verb; a namespace; nothing.
            "SelfSubjectAccessReview" => {
                let attributes = [field(1, b"/"), field(2, b"get")].concat();
                field(2, &field(2, &attributes))
            }
            "SelfSubjectRulesReview" => field(2, &field(1, b"default")),
            "TokenRequest" => field(2, &[0x20, 0x90, 0x1c]),
            _ => Vec::new(),
        };
        let sent = Sent("POST", path.to_owned(), PROTOBUF_OR_JSON);
        client.protobuf(sent, envelope(api_version, kind, &spec), (201, PROTOBUF)).await;
    }
}

async fn kubectl_deletes(client: &Client) {
    let policy = |policy: &str| (JSON, json!({"propagationPolicy": policy}));
    let (web, cm1) = (format!("{DEPLOYMENTS}/web"), format!("{MAPS}/cm1"));
    client.write("DELETE", web.clone(), JSON, policy("Background"), (200, JSON)).await;
    client.write("DELETE", cm1.clone(), JSON, policy("Background"), (200, JSON)).await;
    client.write("DELETE", cm1.clone(), JSON, policy("Background"), (404, JSON)).await;
    client.get(&cm1, JSON, (404, JSON)).await;
    client.get(&web, JSON, (404, JSON)).await;
    let replace = "fieldManager=kubectl-replace&fieldValidation=Strict";
    let path = format!("{DEPLOYMENTS}?{replace}");
    client.write("POST", path, JSON, (JSON, deployment("web")), (201, JSON)).await;
    let path = format!("{MAPS}?{replace}");
    client.write("POST", path, JSON, (JSON, map("cm1")), (201, JSON)).await;
}

#[tokio::test]
async fn what_kubectl_sends_is_answered_as_recorded() {
    let client = Client::start().await;
    let manager = "fieldManager=kubectl-client-side-apply&fieldValidation=Strict";
    for (path, object) in [(MAPS, map("cm1")), (DEPLOYMENTS, deployment("web"))] {
        let path = format!("{path}?{manager}");
        client.write("POST", path, JSON, (JSON, object), (201, JSON)).await;
    }
    // The account of the namespace comes from a controller, in its own time.
    let account = "/api/v1/namespaces/default/serviceaccounts";
    let sent = Sent("POST", account.to_owned(), JSON);
    let body = json!({"metadata": {"name": "default"}}).to_string().into_bytes();
    let made = client.send(&sent, (JSON, body)).await.status().as_u16();
    assert!(matches!(made, 201 | 409), "{made}");
    kubectl_reads(&client).await;
    kubectl_writes(&client).await;
    kubectl_deletes(&client).await;
    client.control_plane.stop().await;
}

#[tokio::test]
async fn what_helm_sends_is_answered_as_recorded() {
    let client = Client::start().await;
    let select = |labels: &str| format!("{SECRETS}?labelSelector={labels}");
    client.get(&select("name%3Dr1%2Cowner%3Dhelm"), PROTOBUF_OR_JSON, (200, PROTOBUF)).await;
    client.get(&format!("{MAPS}/cmh"), JSON, (404, JSON)).await;
    client.get(&format!("{DEPLOYMENTS}/webh"), JSON, (404, JSON)).await;
    let release = |version: u8| named("v1", "Secret", &format!("sh.helm.release.v1.r1.v{version}"));
    let place = |version: u8| format!("{SECRETS}/sh.helm.release.v1.r1.v{version}");
    for version in 1..=2 {
        let sent = Sent("POST", SECRETS.to_owned(), PROTOBUF_OR_JSON);
        client.protobuf(sent, release(version), (201, PROTOBUF)).await;
    }
    for (path, object) in [(MAPS, map("cmh")), (DEPLOYMENTS, deployment("webh"))] {
        let path = format!("{path}?fieldManager=helm");
        client.write("POST", path, JSON, (JSON, object), (201, JSON)).await;
    }
    let sent = Sent("PUT", place(1), PROTOBUF_OR_JSON);
    client.protobuf(sent, release(1), (200, PROTOBUF)).await;
    client.get(&select("owner%3Dhelm"), PROTOBUF_OR_JSON, (200, PROTOBUF)).await;
    client.get(&format!("{MAPS}/cmh"), JSON, (200, JSON)).await;
    client.get(&format!("{DEPLOYMENTS}/webh"), JSON, (200, JSON)).await;
    client.get(&format!("{DEPLOYMENTS}/webh"), PROTOBUF_OR_JSON, (200, PROTOBUF)).await;
    let replicas = "/apis/apps/v1/namespaces/default/replicasets?labelSelector=app%3Dweb";
    client.get(replicas, PROTOBUF_OR_JSON, (200, PROTOBUF)).await;
    let background = json!({"propagationPolicy": "Background"});
    for path in [format!("{DEPLOYMENTS}/webh"), format!("{MAPS}/cmh")] {
        client.write("DELETE", path, JSON, (JSON, background.clone()), (200, JSON)).await;
    }
    for version in 1..=2 {
        client.get(&place(version), PROTOBUF_OR_JSON, (200, PROTOBUF)).await;
        let sent = Sent("DELETE", place(version), PROTOBUF_OR_JSON);
        client.protobuf(sent, delete_options(), (200, PROTOBUF)).await;
    }
    client.control_plane.stop().await;
}

async fn controller_writes(client: &Client) {
    for path in ["/api", "/apis"] {
        client.get(path, DISCOVERY, (200, DISCOVERED)).await;
    }
    let sent = |method, path: String| Sent(method, path, PROTOBUF_OR_ANY);
    let (secret, one) = (named("v1", "Secret", "zz-a"), format!("{SECRETS}/zz-a"));
    client.protobuf(sent("POST", SECRETS.to_owned()), secret.clone(), (201, PROTOBUF)).await;
    client.protobuf(sent("PUT", one.clone()), secret, (200, PROTOBUF)).await;
    let labels = json!({"metadata": {"labels": {"c": "d"}}});
    for media in [MERGE, STRATEGIC] {
        let body = (media, labels.clone());
        client.write("PATCH", one.clone(), PROTOBUF_OR_ANY, body, (200, PROTOBUF)).await;
    }
    let applied = format!("{MAPS}/zz-cm?fieldManager=zz&force=true");
    client.write("PATCH", applied, JSON, (APPLY, map("zz-cm")), (201, JSON)).await;
    let mut owned = map("zz-cm");
    owned["metadata"]["managedFields"] = json!([{"manager": "x", "operation": "Apply"}]);
    let applied = format!("{MAPS}/zz-cm?dryRun=All&fieldManager=zz&force=true");
    client.write("PATCH", applied, JSON, (APPLY, owned), (400, JSON)).await;
    let some = format!("{SECRETS}?labelSelector=a%3Db&limit=5");
    client.get(&some, PROTOBUF_OR_ANY, (200, PROTOBUF)).await;
    client.get(SECRETS, METADATA_LIST, (200, PROTOBUF)).await;
    for path in [one, format!("{MAPS}/zz-cm"), format!("{SECRETS}?labelSelector=zz%3Dnone")] {
        client.protobuf(sent("DELETE", path), delete_options(), (200, PROTOBUF)).await;
    }
}

async fn controller_streams(client: &Client) {
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    client.get(definitions, JSON_OR_ANY, (200, JSON)).await;
    let stream = "allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&sendInitialEvents=true\
                  &timeoutSeconds=320&watch=true";
    for (path, accept, media) in [
        ("/api/v1/secrets", PROTOBUF_OR_ANY, STREAM),
        ("/api/v1/namespaces", PROTOBUF_OR_ANY, STREAM),
        ("/api/v1/configmaps", METADATA, STREAM),
        (definitions, JSON, JSON),
    ] {
        client.get(&format!("{path}?{stream}"), accept, (200, media)).await;
    }
}

async fn controller_elections_and_events(client: &Client) {
    let lease = format!("{LEASES}/zz-leader");
    client.get(&lease, PROTOBUF_OR_JSON, (404, PROTOBUF)).await;
    let body = named("coordination.k8s.io/v1", "Lease", "zz-leader");
    let sent = Sent("POST", LEASES.to_owned(), PROTOBUF_OR_JSON);
    client.protobuf(sent, body, (201, PROTOBUF)).await;
    // Leases are updated from a version.
    let version = client.version(&lease).await;
    let meta = [field(1, b"zz-leader"), field(6, version.as_bytes())].concat();
    let body = envelope("coordination.k8s.io/v1", "Lease", &field(1, &meta));
    client.protobuf(Sent("PUT", lease, PROTOBUF_OR_JSON), body, (200, PROTOBUF)).await;
    let event = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e.1", "namespace": "default"},
        "involvedObject": {"kind": "Lease", "namespace": "default", "name": "zz-leader"},
        "reason": "r", "message": "m", "type": "Normal",
    });
    client.write("POST", EVENTS.to_owned(), JSON_OR_ANY, (JSON, event), (201, JSON)).await;
    let again = json!({"count": 2, "message": "hello"});
    let path = format!("{EVENTS}/e.1");
    client.write("PATCH", path, JSON_OR_ANY, (STRATEGIC, again), (200, JSON)).await;
}

async fn controller_reviews(client: &Client) {
    let token = field(2, &field(1, b"none"));
    let access = field(
        2,
        &[field(2, &[field(1, b"/"), field(2, b"get")].concat()), field(3, b"u")].concat(),
    );
    for (path, api_version, kind, object) in [
        (
            "/apis/authentication.k8s.io/v1/tokenreviews",
            "authentication.k8s.io/v1",
            "TokenReview",
            token,
        ),
        (
            "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            "authorization.k8s.io/v1",
            "SubjectAccessReview",
            access,
        ),
    ] {
        let sent = Sent("POST", path.to_owned(), PROTOBUF_OR_JSON);
        client.protobuf(sent, envelope(api_version, kind, &object), (201, PROTOBUF)).await;
    }
    let generated = envelope("v1", "ConfigMap", &field(1, &field(2, b"zz-")));
    let sent = Sent("POST", MAPS.to_owned(), PROTOBUF_OR_JSON);
    client.protobuf(sent, generated, (201, PROTOBUF)).await;
    client.get("/api/v1/nodes", PROTOBUF_OR_JSON, (200, PROTOBUF)).await;
    let sent = Sent("DELETE", format!("{MAPS}/nope"), PROTOBUF_OR_JSON);
    client.protobuf(sent, delete_options(), (404, PROTOBUF)).await;
}

#[tokio::test]
async fn what_controller_runtime_sends_is_answered_as_recorded() {
    let client = Client::start().await;
    controller_writes(&client).await;
    controller_streams(&client).await;
    controller_elections_and_events(&client).await;
    controller_reviews(&client).await;
    client.control_plane.stop().await;
}

#[tokio::test]
async fn requests_for_a_pod_whose_kubelet_is_away_fail_as_recorded() {
    let client = Client::start().await;
    let node = json!({
        "metadata": {"name": "n1"},
        "status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]},
    });
    let nodes = "/api/v1/nodes".to_owned();
    client.write("POST", nodes, JSON, (JSON, node.clone()), (201, JSON)).await;
    let status = "/api/v1/nodes/n1/status".to_owned();
    client
        .write("PATCH", status, JSON, (MERGE, json!({"status": node["status"]})), (200, JSON))
        .await;
    let pod = json!({
        "metadata": {"name": "p1"},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]},
    });
    client.write("POST", PODS.to_owned(), JSON, (JSON, pod), (201, JSON)).await;
    let pod = format!("{PODS}/p1");
    client.get(&pod, JSON_OR_ANY, (200, JSON)).await;
    client.get(&pod, PROTOBUF_OR_JSON, (200, PROTOBUF)).await;
    let exec = format!("{pod}/exec?command=ls&container=c&stderr=true&stdout=true");
    for method in ["GET", "POST"] {
        let sent = Sent(method, exec.clone(), "");
        client.check(sent, ("", Vec::new()), (500, JSON)).await;
    }
    client.get(&format!("{pod}/log?container=c"), JSON_OR_ANY, (500, JSON)).await;
    client.control_plane.stop().await;
}
