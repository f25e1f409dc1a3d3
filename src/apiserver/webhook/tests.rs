//! The caller against servers in the test's process.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::test_server::{Reaction, TestWebhook};
use super::{Call, ClientConfig, ServiceUrl};
use crate::apiserver::{ApiServer, Identity, Options, Profile, ServiceUrls};
use crate::clock::Clock;
use crate::machinery::builtin;

fn server_with(webhooks: &[String]) -> ApiServer {
    let webhooks = webhooks.iter().map(|text| text.parse::<ServiceUrl>().unwrap()).collect();
    let options = Options { webhooks, ..Options::new(Clock::wall()) };
    ApiServer::new(&Profile::new(builtin::definitions()), options)
}

fn server() -> ApiServer {
    server_with(&[])
}

async fn call(server: &ApiServer, config: &Value) -> Result<Value, String> {
    call_within(server, config, Duration::from_secs(10)).await
}

async fn call_within(
    server: &ApiServer,
    config: &Value,
    timeout: Duration,
) -> Result<Value, String> {
    let call = Call {
        config: &ClientConfig::parse(config)?,
        timeout,
        agent: "test",
        response_max: 1000,
        body: Bytes::from_static(b"{\"a\":1}"),
    };
    server.call_webhook(call).await.map_err(|error| error.to_string())
}

async fn echo() -> TestWebhook {
    TestWebhook::named(&["hook.ns.svc"], |_, body| Reaction::Json(body)).await
}

async fn create(server: &ApiServer, path: &str, object: Value) {
    let mut request = http::Request::post(path)
        .header("content-type", "application/json")
        .body(axum::body::Body::from(object.to_string()))
        .unwrap();
    request.extensions_mut().insert(Identity::administrator("admin"));
    let response = server.handle(request).await;
    assert_eq!(response.status(), 201, "{path}");
}

/// Stores an object as it is: validation lets no endpoint have an address of this machine.
fn plant(server: &ApiServer, (group, plural): (&str, &str), object: &Value) {
    let resource = server.resolve(group, "v1", plural).unwrap();
    let draft = crate::apiserver::write::encode(resource.version(), object).unwrap();
    server.store().create(&resource.key, draft).unwrap();
}

#[tokio::test]
async fn posts_json_with_the_time_limit_and_reuses_connections() {
    let (server, webhook) = (server(), echo().await);
    for _ in 0..3 {
        assert_eq!(call(&server, &webhook.config("/x")).await, Ok(json!({"a": 1})));
    }
    let received = webhook.received();
    assert_eq!(received.len(), 3);
    assert_eq!(received[0].path_and_query, "/x?timeout=10s");
    assert_eq!(received[0].host, webhook.address.to_string());
    assert_eq!(received[0].body, json!({"a": 1}));
    assert_eq!(webhook.connections(), 1);
}

#[tokio::test]
async fn bundle_may_hold_the_serving_certificate_itself() {
    let (server, webhook) = (server(), echo().await);
    let bundle = STANDARD.encode(&webhook.certificate_pem);
    let config = json!({"url": webhook.url("/"), "caBundle": bundle});
    assert_eq!(call(&server, &config).await, Ok(json!({"a": 1})));
}

#[tokio::test]
async fn foreign_authorities_and_other_names_are_refused() {
    let (server, webhook, other) = (server(), echo().await, echo().await);
    let mut config = webhook.config("/");
    config["caBundle"] = other.config("/")["caBundle"].clone();
    let prefix = format!("Post \"{}?timeout=10s\": ", webhook.url("/"));
    let why = "tls: failed to verify certificate: x509: certificate signed by unknown authority \
               (possibly because of \"x509: ECDSA verification failure\" while trying to verify \
               candidate authority certificate \"webhooks\")";
    assert_eq!(call(&server, &config).await, Err(format!("{prefix}{why}")));
    let mut config = webhook.config("/");
    let url = format!("https://localhost:{}/", webhook.address.port());
    config["url"] = url.as_str().into();
    let why = "tls: failed to verify certificate: x509: certificate is valid for hook.ns.svc, not \
               localhost";
    assert_eq!(call(&server, &config).await, Err(format!("Post \"{url}?timeout=10s\": {why}")));
}

#[tokio::test]
async fn services_are_found_through_the_users_addresses() {
    let webhook = echo().await;
    let server = server_with(&[format!("ns/hook=https://{}", webhook.address)]);
    let bundle = STANDARD.encode(&webhook.authority_pem);
    let service = json!({"name": "hook", "namespace": "ns", "path": "/p", "port": 9443});
    let config = json!({"service": service, "caBundle": bundle});
    assert_eq!(call(&server, &config).await, Ok(json!({"a": 1})));
    assert_eq!(webhook.received()[0].host, "hook.ns.svc:9443");
    assert_eq!(webhook.received()[0].path_and_query, "/p?timeout=10s");
}

#[tokio::test]
async fn capims_own_authority_is_believed_where_a_configuration_has_none() {
    let webhook = echo().await;
    let urls: ServiceUrls =
        [format!("ns/hook=https://{}", webhook.address).parse::<ServiceUrl>().unwrap()]
            .into_iter()
            .collect();
    let webhooks = urls.with_authority(&webhook.authority_pem);
    let options = Options { webhooks, ..Options::new(Clock::wall()) };
    let server = ApiServer::new(&Profile::new(builtin::definitions()), options);
    let service = json!({"name": "hook", "namespace": "ns"});
    for bundle in [json!(null), json!(""), json!("Cg==")] {
        let config = json!({"service": service, "caBundle": bundle});
        assert_eq!(call(&server, &config).await, Ok(json!({"a": 1})), "{bundle}");
    }
    // A bundle of the configuration's own counts, and URLs are nobody's Service.
    let stranger = echo().await;
    let bundle = STANDARD.encode(&stranger.authority_pem);
    let config = json!({"service": service, "caBundle": bundle});
    assert!(call(&server, &config).await.is_err());
    assert!(call(&server, &json!({"url": webhook.url("/")})).await.is_err());
}

#[tokio::test]
async fn services_are_found_through_their_endpoints() {
    let (server, webhook) = (server(), echo().await);
    let bundle = STANDARD.encode(&webhook.authority_pem);
    let service = json!({"name": "hook", "namespace": "ns"});
    let config = json!({"service": service, "caBundle": bundle});
    let failure = |why: &str| Err(format!("Post \"https://hook.ns.svc:443/?timeout=10s\": {why}"));
    assert_eq!(call(&server, &config).await, failure("service \"hook\" not found"));
    create(&server, "/api/v1/namespaces", json!({"metadata": {"name": "ns"}})).await;
    let ports = json!([{"name": "https", "port": 443, "targetPort": 9443}]);
    let service = json!({"metadata": {"name": "hook"}, "spec": {"ports": ports}});
    create(&server, "/api/v1/namespaces/ns/services", service).await;
    let none = "no endpoints available for service \"hook\"";
    assert_eq!(call(&server, &config).await, failure(none));
    let mut other = config.clone();
    other["service"]["port"] = 8443.into();
    let why = "Post \"https://hook.ns.svc:8443/?timeout=10s\": no service port 8443 found for \
               service \"hook\"";
    assert_eq!(call(&server, &other).await, Err(why.to_owned()));
    let slice = json!({
        "metadata": {"name": "hook-1", "namespace": "ns",
            "labels": {"kubernetes.io/service-name": "hook"}},
        "addressType": "IPv4",
        "ports": [{"name": "https", "port": webhook.address.port()}],
        "endpoints": [
            {"addresses": ["192.0.2.1"], "conditions": {"ready": false}},
            {"addresses": ["127.0.0.1"], "conditions": {"ready": true}},
        ],
    });
    plant(&server, ("discovery.k8s.io", "endpointslices"), &slice);
    assert_eq!(call(&server, &config).await, Ok(json!({"a": 1})));
}

#[tokio::test]
async fn endpoints_without_slices_will_do() {
    let (server, webhook) = (server(), echo().await);
    let bundle = STANDARD.encode(&webhook.authority_pem);
    let config = json!({"service": {"name": "hook", "namespace": "ns"}, "caBundle": bundle});
    create(&server, "/api/v1/namespaces", json!({"metadata": {"name": "ns"}})).await;
    let service = json!({"metadata": {"name": "hook"}, "spec": {"ports": [{"port": 443}]}});
    create(&server, "/api/v1/namespaces/ns/services", service).await;
    let endpoints = json!({
        "metadata": {"name": "hook", "namespace": "ns"},
        "subsets": [{
            "addresses": [{"ip": "127.0.0.1"}],
            "ports": [{"port": webhook.address.port()}],
        }],
    });
    plant(&server, ("", "endpoints"), &endpoints);
    assert_eq!(call(&server, &config).await, Ok(json!({"a": 1})));
}

#[tokio::test]
async fn failures_read_as_upstream() {
    let server = server();
    let check = async |code: u16, media: &'static str, body: &'static str, expected: &str| {
        let reaction = Reaction::Bytes(code, media, Bytes::from_static(body.as_bytes()));
        let webhook = TestWebhook::start(move |_, _| reaction.clone()).await;
        let actual = call(&server, &webhook.config("/")).await;
        assert_eq!(actual, Err(expected.to_owned()), "{code} {body}");
    };
    let plain = "text/plain; charset=utf-8";
    let not_found = "the server could not find the requested resource";
    check(404, plain, "404 page not found\n", not_found).await;
    let broken = "an error on the server (\"boom\") has prevented the request from succeeding";
    check(500, plain, "boom\n", broken).await;
    let unknown = "an error on the server (\"unknown\") has prevented the request from succeeding";
    check(502, "application/json", "{}", unknown).await;
    let moved = "the server responded with the status code 307 but did not return more information";
    check(307, plain, "", moved).await;
    let status = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no"}"#;
    check(403, "application/json", status, "no").await;
    let empty = "0-length response with status code: 200 and content type: application/json";
    check(200, "application/json", "", empty).await;
    let garbage = "couldn't get version/kind; json parse error: invalid character 'g' looking for \
                   beginning of value";
    check(200, "application/json", "garbage", garbage).await;
}

#[tokio::test]
async fn huge_answers_are_cut_off() {
    let huge = Bytes::from(vec![b' '; 1_000_000]);
    let webhook =
        TestWebhook::start(move |_, _| Reaction::Bytes(200, "application/json", huge.clone()))
            .await;
    let error = call(&server(), &webhook.config("/")).await.unwrap_err();
    assert!(error.ends_with(": the response is larger than 1000 bytes"), "{error}");
}

#[tokio::test]
async fn silent_webhooks_are_given_up_in_time() {
    let webhook = TestWebhook::start(|_, _| Reaction::Silence).await;
    let limit = Duration::from_millis(300);
    let error = call_within(&server(), &webhook.config("/"), limit).await.unwrap_err();
    assert_eq!(
        error,
        format!("Post \"{}?timeout=1s\": context deadline exceeded", webhook.url("/"))
    );
}

#[tokio::test]
async fn closed_ports_and_plain_http_are_named() {
    let server = server();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let url = format!("https://{address}/");
    let config = json!({"url": url, "caBundle": echo().await.config("/")["caBundle"]});
    let plain = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut hello = [0; 64];
        assert!(stream.read(&mut hello).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    });
    let error = call(&server, &config).await.unwrap_err();
    let why = "http: server gave HTTP response to HTTPS client";
    assert_eq!(error, format!("Post \"{url}?timeout=10s\": {why}"));
    plain.await.unwrap();
    let error = call(&server, &config).await.unwrap_err();
    let why = format!("dial tcp {address}: connect: connection refused");
    assert_eq!(error, format!("Post \"{url}?timeout=10s\": {why}"));
}

#[tokio::test]
async fn connections_that_were_closed_meanwhile_are_replaced() {
    let (server, webhook) = (server(), echo().await);
    let config = webhook.config("/");
    assert_eq!(call(&server, &config).await, Ok(json!({"a": 1})));
    let webhook = webhook.restart().await;
    assert_eq!(call(&server, &config).await, Ok(json!({"a": 1})));
    assert_eq!(webhook.connections(), 1);
}
