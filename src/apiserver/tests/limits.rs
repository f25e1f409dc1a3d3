//! Limits and flow control, after reliability notes on what kube-apiserver refuses and how.

use std::sync::atomic::Ordering;

use super::*;

fn outside(method: &str, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(path).header("content-type", "application/json")
}

/// Sends a request as nobody in particular, who may do all the same.
async fn send_as(
    harness: &Harness,
    groups: &[&str],
    request: http::request::Builder,
    body: Body,
) -> Response<Body> {
    let mut request = request.body(body).unwrap();
    let mut identity = Identity::administrator("somebody");
    identity.groups = groups.iter().map(|group| (*group).into()).collect();
    request.extensions_mut().insert(identity);
    harness.server.handle(request).await
}

#[tokio::test(start_paused = true)]
async fn bodies_have_three_megabytes_and_not_one_byte_more() {
    let harness = Harness::new().await;
    let at_limit = 3 * 1024 * 1024;
    for (size, code) in [(at_limit, 400), (at_limit + 1, 413)] {
        let chunks: Vec<Result<Vec<u8>, std::io::Error>> =
            vec![Ok(vec![b' '; size - 10]), Ok(vec![b' '; 10])];
        let streamed = Body::from_stream(futures::stream::iter(chunks));
        for body in [Body::from(vec![b' '; size]), streamed] {
            let answer = Answer::read(harness.raw(outside("POST", MAPS), body).await).await;
            assert_eq!(answer.code.as_u16(), code, "{size}");
        }
    }
    let body = Body::from(vec![b' '; at_limit + 1]);
    let answer = Answer::read(harness.raw(outside("POST", MAPS), body).await).await;
    let wanted = (413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728");
    assert_eq!(answer.refused(), wanted);
}

#[tokio::test(start_paused = true)]
async fn large_objects_are_refused_and_leave_no_trace() {
    let harness = Harness::new().await;
    let revision = harness.server.store().revision();
    let widget = |bytes: usize| {
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"},
            "status": {}, "spec": {"size": 1}, "x": "", "metadata_": "",
            "padding": "", "data": "x".repeat(bytes)})
    };
    // Pruned before it is stored: the size that counts is the stored one.
    harness.post(WIDGETS, widget(2_000_000)).await.ok();
    let path = format!("{WIDGETS}/w/status");
    let status = |bytes: usize| json!({"status": {"text": "x".repeat(bytes)}});
    harness.merge(&path, status(1_400_000)).await.ok();
    let answer = harness.merge(&path, status(1_600_000)).await;
    assert_eq!(answer.refused(), (413, "RequestEntityTooLarge", OBJECT_TOO_LARGE));
    let map = |bytes: usize| json!({"metadata": {"name": "m"}, "data": {"k": "x".repeat(bytes)}});
    assert_eq!(harness.post(MAPS, map(1024 * 1024 + 1)).await.code, 422);
    assert_eq!(harness.server.store().revision(), revision + 2);
}

const OBJECT_TOO_LARGE: &str = "Request entity too large: the object has more than 1572864 bytes";

#[tokio::test]
async fn bodies_that_hang_parsers_are_refused_at_once() {
    let harness = Harness::new().await;
    let size = 3 * 1024 * 1024 - 10;
    let nested = |open: &str| open.repeat(size / open.len());
    let bomb: String = std::iter::once("a: &a [lol]\n".to_owned())
        .chain(('b'..='z').map(|name| {
            let before = char::from(name as u8 - 1);
            format!("{name}: &{name} [{}]\n", vec![format!("*{before}"); 9].join(","))
        }))
        .collect();
    let cases = [
        ("application/json", nested("[")),
        ("application/json", nested("{\"a\":")),
        ("application/json", format!("{{\"metadata\":{}1{}}}", "[".repeat(9000), "]".repeat(9000))),
        ("application/yaml", nested("[")),
        ("application/yaml", nested("{")),
        ("application/yaml", nested("- ")),
        ("application/yaml", bomb.clone()),
    ];
    for (media, body) in cases {
        let wall = Clock::wall();
        for (method, path, media) in
            [("POST", MAPS.to_owned(), media), ("PATCH", format!("{MAPS}/x?fieldManager=m"), media)]
        {
            let media = if method == "PATCH" { "application/apply-patch+yaml" } else { media };
            let request = Request::builder().method(method).uri(path).header("content-type", media);
            let answer = Answer::read(harness.raw(request, Body::from(body.clone())).await).await;
            let start = &body[..body.len().min(20)];
            assert_eq!(answer.code.as_u16(), 400, "{method} {media} {start}: {}", answer.body);
        }
        let took = wall.elapsed();
        assert!(took < Duration::from_secs(20), "{media} took {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn json_patches_are_bounded_in_operations_and_copies() {
    let harness = Harness::new().await;
    harness.map("x", "1").await;
    let path = format!("{MAPS}/x");
    let media = "application/json-patch+json";
    let operation = json!({"op": "add", "path": "/data/k", "value": "v"});
    let patch = |count: usize| Value::from(vec![operation.clone(); count]);
    harness.send(Method::PATCH, &path, media, patch(10_000)).await.ok();
    let answer = harness.send(Method::PATCH, &path, media, patch(10_001)).await;
    assert_eq!((answer.refused().0, answer.refused().1), (413, "RequestEntityTooLarge"));
    assert!(answer.refused().2.contains("10000"), "{}", answer.body);
    let mut bomb = vec![json!({"op": "add", "path": "/data/k0", "value": "x".repeat(100_000)})];
    for n in 0..40 {
        bomb.push(json!({"op": "copy", "from": "/data/k0", "path": format!("/data/c{n}")}));
    }
    let answer = harness.send(Method::PATCH, &path, media, Value::from(bomb)).await;
    assert_eq!(answer.refused().0, 422, "{}", answer.body["message"]);
}

#[tokio::test(start_paused = true)]
async fn compressed_bodies_are_not_inflated() {
    use std::io::Write;
    let harness = Harness::new().await;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&vec![b' '; 10 << 20]).unwrap();
    let bomb = encoder.finish().unwrap();
    let request = outside("POST", MAPS).header("content-encoding", "gzip");
    let answer = Answer::read(harness.raw(request, Body::from(bomb)).await).await;
    assert_eq!((answer.refused().0, answer.refused().1), (400, "BadRequest"));
}

#[tokio::test(start_paused = true)]
async fn answers_are_compressed_when_large_and_asked_for() {
    let harness = Harness::new().await;
    let body = |name: &str| json!({"metadata": {"name": name}, "data": {"k": "v".repeat(70_000)}});
    harness.post(MAPS, body("one")).await.ok();
    let ask = |accepted: Option<&'static str>, path: &str| {
        let mut request = Request::get(path);
        if let Some(accepted) = accepted {
            request = request.header("accept-encoding", accepted);
        }
        harness.raw(request, Body::empty())
    };
    let encoding = |response: &Response<Body>| response.headers().get("content-encoding").is_some();
    assert!(!encoding(&ask(Some("gzip"), MAPS).await), "70 kB are not worth it");
    harness.post(MAPS, body("two")).await.ok();
    for (accepted, path, wanted) in [
        (Some("gzip"), MAPS, true),
        (Some("deflate, gzip"), MAPS, true),
        (None, MAPS, false),
        (Some("deflate"), MAPS, false),
        (Some("gzip"), &*format!("{MAPS}?watch=1"), false),
    ] {
        assert_eq!(encoding(&ask(accepted, path).await), wanted, "{accepted:?} {path}");
    }
    let small = ask(Some("gzip"), MAPS).await.into_body().collect().await.unwrap().to_bytes();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&small[..]), &mut text)
        .unwrap();
    let list: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(names(&list), ["one", "two"]);
    assert!(small.len() * 20 < text.len());
}

#[tokio::test(start_paused = true)]
async fn requests_over_the_bound_come_again_in_a_second() {
    let harness = Harness::new().await;
    let counters = harness.server.counters();
    for (counter, method, path) in
        [(&counters.reading, "GET", MAPS), (&counters.writing, "POST", MAPS)]
    {
        let full = if method == "GET" { 400 } else { 200 };
        counter.store(full, Ordering::Relaxed);
        let people = ["system:authenticated"];
        let response = send_as(&harness, &people, outside(method, path), Body::empty()).await;
        assert_eq!(
            (response.status(), &response.headers()["retry-after"]),
            (StatusCode::TOO_MANY_REQUESTS, &"1".parse().unwrap())
        );
        let answer = Answer::read(response).await;
        assert_eq!(answer.body, json!("Too many requests, please try again later.\n"));
        let masters = ["system:masters"];
        let response = send_as(&harness, &masters, outside(method, path), Body::empty()).await;
        assert_ne!(response.status(), 429, "administrators always get an answer");
        for exempt in ["/healthz", "/livez/ping", "/readyz"] {
            let response = send_as(&harness, &people, outside("GET", exempt), Body::empty()).await;
            assert_ne!(response.status(), 429, "{exempt}");
        }
        let watch = format!("{MAPS}?watch=1");
        let response = send_as(&harness, &people, outside("GET", &watch), Body::empty()).await;
        assert_ne!(response.status(), 429, "watches have their own bound");
        assert_eq!(counter.load(Ordering::Relaxed), full, "all places are given back");
        counter.store(full - 1, Ordering::Relaxed);
        let response = send_as(&harness, &people, outside(method, path), Body::empty()).await;
        assert_ne!(response.status(), 429);
        counter.store(0, Ordering::Relaxed);
    }
    assert_eq!(counters.dropped.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn requests_take_a_minute_at_most_or_as_long_as_they_say() {
    let harness = Harness::new().await;
    let forever =
        || Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    for (query, seconds) in [("", 60), ("?timeout=2s", 2), ("?timeout=0s", 60), ("?timeout=1h", 60)]
    {
        let before = harness.server.clock().elapsed();
        let request = outside("POST", &format!("{MAPS}{query}"));
        let answer = Answer::read(harness.raw(request, forever()).await).await;
        let message = "Timeout: request did not complete within the allotted timeout";
        assert_eq!(answer.refused(), (504, "Timeout", message), "{query}");
        let waited = (harness.server.clock().elapsed() - before).as_secs();
        assert_eq!(waited, seconds, "{query}");
    }
    let answer = harness.get(&format!("{MAPS}?timeout=abc")).await;
    let message = "invalid timeout specified in the request URL - time: invalid duration \"abc\"";
    assert_eq!(answer.refused(), (400, "BadRequest", message));
}

fn explode(_: &Value, _: Option<&Value>) -> Vec<crate::machinery::status::Cause> {
    panic!("this handler is made to panic")
}

#[tokio::test(start_paused = true)]
async fn a_panic_costs_its_own_request_only() {
    let harness = Harness::new().await;
    let mut bad = widget("v1");
    bad.plural = "bombs".into();
    bad.kind = "Bomb".into();
    bad.strategy.validate = Some(explode);
    harness.server.install(vec![bad]);
    let path = "/apis/example.com/v1/namespaces/a/bombs";
    let body = json!({"apiVersion": "example.com/v1", "kind": "Bomb", "metadata": {"name": "b"}});
    let revision = harness.server.store().revision();
    for _ in 0..3 {
        let answer = harness.post(path, body.clone()).await;
        let text = "This request caused apiserver to panic. Look in the logs for details.\n";
        assert_eq!((answer.code.as_u16(), answer.body), (500, json!(text)));
    }
    assert_eq!(harness.server.store().revision(), revision);
    harness.map("x", "1").await;
    assert!(names(&harness.get(path).await.ok()).is_empty());
}

#[tokio::test(start_paused = true)]
async fn every_answer_has_an_audit_id_and_is_not_cached() {
    let harness = Harness::new().await;
    let paths = [
        MAPS,
        "/api",
        "/apis",
        "/version",
        "/none",
        "/healthz",
        "/metrics",
        "/api/v1/none",
        "/openapi/v3",
    ];
    for path in paths {
        let response = harness.raw(Request::get(path), Body::empty()).await;
        let id = response.headers()["audit-id"].to_str().unwrap();
        assert_eq!(id.len(), 36, "{path}");
        let cached = response.headers()["cache-control"].to_str().unwrap();
        assert!(cached.contains("no-cache"), "{path}: {cached}");
        assert!(!response.headers().contains_key("access-control-allow-origin"));
    }
    let request = Request::get(MAPS).header("audit-id", "mine").header("origin", "https://x.y");
    let response = harness.raw(request, Body::empty()).await;
    assert_eq!(response.headers()["audit-id"], "mine");
    assert!(!response.headers().contains_key("access-control-allow-origin"), "no CORS");
}

#[tokio::test(start_paused = true)]
async fn metrics_count_what_is_served_and_nothing_clients_make_up() {
    let harness = Harness::new().await;
    harness.map("x", "1").await;
    harness.get(MAPS).await.ok();
    let _watch = harness.watch(&format!("{MAPS}?watch=1")).await;
    for n in 0..100 {
        harness.get(&format!("/apis/made-up-{n}/v1/things")).await;
        harness.get(&format!("{MAPS}/x-{n}/sub-{n}")).await;
    }
    let registry = crate::metrics::Registry::default();
    registry.counter("workqueue_adds_total", "Adds.", &[("name", "machine")]).inc();
    harness.server.publish(&registry);
    let text = harness.get("/metrics").await;
    let text = text.body.as_str().unwrap();
    let labels = "component=\"apiserver\",dry_run=\"\",group=\"\",resource=\"configmaps\"";
    for line in [
        format!("apiserver_request_total{{code=\"201\",{labels},scope=\"namespace\",subresource=\"\",verb=\"POST\",version=\"v1\"}} 1"),
        format!("apiserver_request_total{{code=\"200\",{labels},scope=\"namespace\",subresource=\"\",verb=\"LIST\",version=\"v1\"}} 1"),
        format!("apiserver_request_duration_seconds_count{{{labels},scope=\"namespace\",subresource=\"\",verb=\"LIST\",version=\"v1\"}} 1"),
        format!("apiserver_request_duration_seconds_bucket{{{labels},scope=\"namespace\",subresource=\"\",verb=\"LIST\",version=\"v1\",le=\"+Inf\"}} 1"),
        "apiserver_longrunning_requests{component=\"apiserver\",group=\"\",resource=\"configmaps\",scope=\"cluster\",subresource=\"\",verb=\"WATCH\",version=\"v1\"} 1".into(),
        "apiserver_storage_objects{resource=\"configmaps\"} 1".into(),
        "apiserver_storage_objects{resource=\"widgets.example.com\"} 0".into(),
        "apiserver_resource_objects{group=\"\",resource=\"namespaces\"} 1".into(),
        "apiserver_current_inflight_requests{request_kind=\"readOnly\"} 1".into(),
        "workqueue_adds_total{name=\"machine\"} 1".into(),
    ] {
        assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("made-up") && !text.contains("sub-"), "labels are bounded");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(series.starts_with(|c: char| c.is_ascii_lowercase()), "{line}");
    }
    let anonymous = Request::get("/metrics").body(Body::empty()).unwrap();
    assert_eq!(harness.server.handle(anonymous).await.status(), 403);
}

#[tokio::test(start_paused = true)]
async fn health_is_told_check_by_check() {
    let harness = Harness::new().await;
    let get = async |path: &str| {
        let answer = harness.get(path).await;
        (answer.code.as_u16(), answer.body.as_str().unwrap_or_default().to_owned())
    };
    for path in ["/healthz", "/livez", "/readyz", "/livez/ping", "/readyz/etcd", "/healthz/log"] {
        assert_eq!(get(path).await, (200, "ok".into()), "{path}");
    }
    let (code, text) = get("/livez?verbose").await;
    assert_eq!(code, 200);
    assert!(text.starts_with("[+]ping ok\n[+]log ok\n[+]etcd ok\n"), "{text}");
    assert!(text.ends_with("livez check passed\n"), "{text}");
    let (_, text) = get("/readyz?verbose&exclude=etcd").await;
    assert!(text.contains("[+]etcd excluded: ok\n"), "{text}");
    let (_, text) = get("/readyz?verbose&exclude=foo&exclude=bar").await;
    let warning = "warn: some health checks cannot be excluded: no matches for \"bar\",\"foo\"\n";
    assert!(text.contains(warning), "{text}");
    assert_eq!(get("/livez/none").await.0, 404);
    harness.server.shutdown();
    let (code, text) = get("/readyz").await;
    assert_eq!(code, 500);
    assert!(text.contains("[-]shutdown failed: reason withheld\n"), "{text}");
    assert!(text.ends_with("readyz check failed\n"), "{text}");
    assert_eq!(get("/readyz?exclude=shutdown").await, (200, "ok".into()));
    assert_eq!(get("/livez").await, (200, "ok".into()));
}
