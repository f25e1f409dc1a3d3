//! Watches, after the contract tests of kubernetes 1.36: apiserver/pkg/storage/testing/
//! watcher_tests.go and pkg/storage/cacher.

use super::*;

const BOOKMARKS: &str = "watch=1&allowWatchBookmarks=true";

/// The rest of a watch as `TYPE name`.
async fn rest(watch: &mut Watch) -> Vec<String> {
    let mut seen = Vec::new();
    while let Some(event) = watch.next().await {
        let name = event["object"]["metadata"]["name"].as_str().unwrap_or_default();
        seen.push(format!("{} {name}", event["type"].as_str().unwrap()).trim_end().to_owned());
    }
    seen
}

async fn relabel(harness: &Harness, name: &str, label: &str) -> Value {
    let patch = json!({"metadata": {"labels": {"l": label}}});
    harness.merge(&format!("{MAPS}/{name}"), patch).await.ok()
}

#[tokio::test(start_paused = true)]
async fn selectors_turn_changes_into_additions_and_deletions() {
    let harness = Harness::new().await;
    let from = harness.server.store().revision();
    harness.map("x", "1").await;
    relabel(&harness, "x", "2").await;
    relabel(&harness, "x", "1").await;
    harness.merge(&format!("{MAPS}/x"), json!({"data": {"k": "new"}})).await.ok();
    harness.delete(&format!("{MAPS}/x"), Value::Null).await.ok();
    let end = harness.server.store().revision();
    let cases: [(&str, &[&str]); 5] = [
        ("labelSelector=l%3D1", &["ADDED", "DELETED", "ADDED", "MODIFIED", "DELETED"]),
        ("labelSelector=l%3D2", &["ADDED", "DELETED"]),
        ("labelSelector=l", &["ADDED", "MODIFIED", "MODIFIED", "MODIFIED", "DELETED"]),
        ("labelSelector=!l", &[]),
        ("fieldSelector=metadata.name%21%3Dx", &[]),
    ];
    for (selector, wanted) in cases {
        let path = format!("{MAPS}?watch=1&resourceVersion={from}&{selector}&timeoutSeconds=5");
        let mut watch = harness.watch(&path).await;
        let mut events = Vec::new();
        while let Some(event) = watch.next().await {
            events.push(event);
        }
        let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, wanted, "{selector}");
        let mut last = from;
        for event in &events {
            assert!(version(&event["object"]) > last, "versions only grow");
            last = version(&event["object"]);
        }
        if let Some(gone) = events.last().filter(|_| selector.ends_with("%3D1")) {
            assert_eq!(version(&gone["object"]), end, "a deletion has the deletion's version");
            assert_eq!(gone["object"]["data"]["k"], "new", "and the last state");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_leaves_is_shown_as_it_was_and_one_that_enters_as_it_is() {
    let harness = Harness::new().await;
    harness.map("x", "1").await;
    let from = harness.server.store().revision();
    let path =
        |label: &str| format!("{MAPS}?watch=1&resourceVersion={from}&labelSelector=l%3D{label}");
    let mut left = harness.watch(&path("1")).await;
    let mut entered = harness.watch(&path("2")).await;
    let now = relabel(&harness, "x", "2").await;
    let (left, entered) = (left.next().await.unwrap(), entered.next().await.unwrap());
    assert_eq!((&left["type"], &entered["type"]), (&json!("DELETED"), &json!("ADDED")));
    assert_eq!(left["object"]["metadata"]["labels"]["l"], "1");
    assert_eq!(version(&left["object"]), version(&now));
    assert_eq!(entered["object"], now);
}

#[tokio::test(start_paused = true)]
async fn watches_start_where_they_are_told() {
    let harness = Harness::new().await;
    harness.map("x", "1").await;
    let then = harness.server.store().revision();
    harness.map("y", "1").await;
    let now = harness.server.store().revision();
    let cases: &[(String, &[&str])] = &[
        (String::new(), &["ADDED x", "ADDED y"]),
        ("&resourceVersion=0".into(), &["ADDED x", "ADDED y"]),
        (format!("&resourceVersion={then}"), &["ADDED y"]),
        (format!("&resourceVersion={now}"), &[]),
        (format!("&resourceVersion={}", now + 100), &[]),
        ("&sendInitialEvents=false&resourceVersionMatch=NotOlderThan".into(), &[]),
        (
            "&sendInitialEvents=false&resourceVersionMatch=NotOlderThan&resourceVersion=0".into(),
            &[],
        ),
        (
            format!(
                "&sendInitialEvents=false&resourceVersionMatch=NotOlderThan&resourceVersion={then}"
            ),
            &["ADDED y"],
        ),
        (
            "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan".into(),
            &["ADDED x", "ADDED y"],
        ),
        (
            "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=1"
                .into(),
            &["ADDED x", "ADDED y", "BOOKMARK"],
        ),
        (
            format!(
                "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion={then}\
                 &allowWatchBookmarks=1&labelSelector=l%3D9"
            ),
            &["BOOKMARK"],
        ),
        // Without a version initial events are meant, and with bookmarks their end is told.
        ("&allowWatchBookmarks=true".into(), &["ADDED x", "ADDED y", "BOOKMARK"]),
        ("&allowWatchBookmarks=true&resourceVersion=0".into(), &["ADDED x", "ADDED y", "BOOKMARK"]),
        (format!("&allowWatchBookmarks=true&resourceVersion={now}"), &[]),
    ];
    for (query, wanted) in cases {
        let path = format!("{MAPS}?watch=1&timeoutSeconds=2{query}");
        assert_eq!(rest(&mut harness.watch(&path).await).await, *wanted, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_streamed_list_of_the_future_fails_with_an_error_event() {
    let harness = Harness::new().await;
    let future = harness.server.store().revision() + 7;
    let path = format!(
        "{MAPS}?{BOOKMARKS}&sendInitialEvents=true&resourceVersionMatch=NotOlderThan\
         &resourceVersion={future}"
    );
    let mut watch = harness.watch(&path).await;
    let event = watch.next().await.unwrap();
    assert_eq!(event["type"], "ERROR");
    assert_eq!(
        (&event["object"]["code"], &event["object"]["reason"]),
        (&json!(504), &json!("Timeout"))
    );
    let cause = &event["object"]["details"]["causes"][0]["reason"];
    assert_eq!(cause, "ResourceVersionTooLarge");
    assert_eq!(watch.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_the_future_sends_nothing_before_it() {
    let harness = Harness::new().await;
    let future = harness.server.store().revision() + 2;
    let path = format!("{MAPS}?watch=1&resourceVersion={future}&timeoutSeconds=9");
    let mut watch = harness.watch(&path).await;
    for name in ["x", "y", "z"] {
        harness.map(name, "1").await;
    }
    assert_eq!(rest(&mut watch).await, ["ADDED z"]);
}

#[tokio::test(start_paused = true)]
async fn versions_that_are_forgotten_are_told_as_an_event_and_end_the_watch() {
    let harness = Harness::with_history(2000).await;
    let first = harness.map("x", "1").await;
    for number in 0..20 {
        harness.merge(&format!("{MAPS}/x"), json!({"data": {"n": number.to_string()}})).await.ok();
    }
    let path = format!("{MAPS}?watch=1&resourceVersion={}", version(&first));
    let response = harness.raw(Request::get(&path), Body::empty()).await;
    assert_eq!(response.status(), 200, "the answer is a stream all the same");
    let mut watch = harness.watch(&path).await;
    let event = watch.next().await.unwrap();
    let status = &event["object"];
    assert_eq!(event["type"], "ERROR");
    assert_eq!((&status["kind"], &status["apiVersion"]), (&json!("Status"), &json!("v1")));
    assert_eq!((&status["code"], &status["reason"]), (&json!(410), &json!("Expired")));
    assert_eq!((&status["status"], &status["metadata"]), (&json!("Failure"), &json!({})));
    let message = status["message"].as_str().unwrap();
    let wanted = format!("too old resource version: {} (", version(&first));
    assert!(message.starts_with(&wanted), "{message}");
    assert_eq!(watch.next().await, None, "an error is the last event");
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_every_minute_and_before_the_end() {
    let harness = Harness::new().await;
    let from = harness.server.store().revision();
    let start = harness.server.clock().elapsed();
    let path =
        format!("{MAPS}?{BOOKMARKS}&resourceVersion={from}&timeoutSeconds=150&labelSelector=no");
    let mut watch = harness.watch(&path).await;
    let last = version(&harness.map("x", "1").await);
    let mut times = Vec::new();
    while let Some(event) = watch.next().await {
        assert_eq!(event["type"], "BOOKMARK");
        let object = json!({
            "kind": "ConfigMap", "apiVersion": "v1",
            "metadata": {"resourceVersion": last.to_string(), "creationTimestamp": null},
        });
        assert_eq!(event["object"], object, "nothing but a version, and no annotation");
        times.push((harness.server.clock().elapsed() - start).as_secs());
    }
    assert_eq!(times, [60, 120, 148]);
    let end = (harness.server.clock().elapsed() - start).as_secs();
    assert_eq!(end, 150);
}

#[tokio::test(start_paused = true)]
async fn bookmarks_say_nothing_where_nothing_is_new() {
    let harness = Harness::new().await;
    let mut watch = harness.watch(&format!("{MAPS}?{BOOKMARKS}&timeoutSeconds=200")).await;
    assert_eq!(rest(&mut watch).await, ["BOOKMARK"], "the end of the initial events only");
    harness.map("x", "1").await;
    let without = format!("{MAPS}?watch=1&resourceVersion=1&labelSelector=no&timeoutSeconds=200");
    assert!(rest(&mut harness.watch(&without).await).await.is_empty(), "nobody asked for them");
}

#[tokio::test(start_paused = true)]
async fn a_bookmark_is_never_ahead_of_the_events() {
    let harness = Harness::new().await;
    let path = format!("{MAPS}?{BOOKMARKS}&resourceVersion=1&timeoutSeconds=65");
    let mut watch = harness.watch(&path).await;
    let mut newest = 0;
    for name in ["a", "b", "c"] {
        newest = version(&harness.map(name, "1").await);
    }
    assert_eq!(rest(&mut watch).await, ["ADDED a", "ADDED b", "ADDED c", "BOOKMARK", "BOOKMARK"]);
    let resumed = format!("{MAPS}?watch=1&resourceVersion={newest}&timeoutSeconds=1");
    assert!(rest(&mut harness.watch(&resumed).await).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn watches_end_when_their_time_is_over() {
    let harness = Harness::new().await;
    for (query, least, most) in [
        ("timeoutSeconds=7", 7, 7),
        ("timeoutSeconds=-5", 0, 0),
        ("timeoutSeconds=0", 1800, 3600),
        ("", 1800, 3600),
    ] {
        let start = harness.server.clock().elapsed();
        let mut watch = harness.watch(&format!("{MAPS}?watch=1&{query}")).await;
        assert!(rest(&mut watch).await.is_empty());
        let lived = (harness.server.clock().elapsed() - start).as_secs();
        assert!((least..=most).contains(&lived), "{query}: {lived}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_object_can_be_watched_by_path_and_by_field() {
    let harness = Harness::new().await;
    for name in ["x", "y"] {
        harness.map(name, "1").await;
    }
    let by_path = "/api/v1/watch/namespaces/a/configmaps/x?timeoutSeconds=5";
    let by_field = format!("{MAPS}?watch=1&fieldSelector=metadata.name%3Dx&timeoutSeconds=5");
    let cluster = "/api/v1/watch/namespaces/a?timeoutSeconds=5";
    harness.post("/api/v1/namespaces", json!({"metadata": {"name": "b"}})).await.ok();
    let mut namespace = harness.watch(cluster).await;
    assert_eq!(rest(&mut namespace).await, ["ADDED a"]);
    for path in [by_path, &by_field] {
        let mut watch = harness.watch(path).await;
        relabel(&harness, "x", "2").await;
        relabel(&harness, "y", "2").await;
        relabel(&harness, "x", "1").await;
        relabel(&harness, "y", "1").await;
        assert_eq!(rest(&mut watch).await, ["ADDED x", "MODIFIED x", "MODIFIED x"], "{path}");
    }
    let both = format!("{by_path}&fieldSelector=metadata.name%3Dy");
    let answer = harness.get(&both).await;
    let message = "fieldSelector metadata.name doesn't match requested name";
    assert_eq!(answer.refused(), (400, "BadRequest", message));
    let object = harness.get(&format!("{MAPS}/x?watch=1")).await.ok();
    assert_eq!(object["kind"], "ConfigMap", "a named path is read, not watched");
}

#[tokio::test(start_paused = true)]
async fn scopes_of_watches_do_not_mix() {
    let harness = Harness::new().await;
    harness.post("/api/v1/namespaces", json!({"metadata": {"name": "a-b"}})).await.ok();
    let from = harness.server.store().revision();
    let query = format!("watch=1&resourceVersion={from}&timeoutSeconds=5");
    let mut one = harness.watch(&format!("{MAPS}?{query}")).await;
    let mut all = harness.watch(&format!("/api/v1/configmaps?{query}")).await;
    let mut other = harness.watch(&format!("/api/v1/namespaces/a/secrets?{query}")).await;
    harness.map("x", "1").await;
    let path = "/api/v1/namespaces/a-b/configmaps";
    harness.post(path, json!({"metadata": {"name": "y"}})).await.ok();
    assert_eq!(rest(&mut one).await, ["ADDED x"]);
    assert_eq!(rest(&mut all).await, ["ADDED x", "ADDED y"]);
    assert!(rest(&mut other).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_nobody_reads_holds_up_nobody() {
    let harness = Harness::with_history(100_000).await;
    let from = harness.server.store().revision();
    let query = format!("watch=1&resourceVersion={from}&timeoutSeconds=500");
    let mut stuck = harness.watch(&format!("{MAPS}?{query}")).await;
    let mut good = harness.watch(&format!("{MAPS}?{query}")).await;
    harness.map("x", "1").await;
    assert_eq!(good.names(1).await, ["ADDED x"]);
    for number in 0..200 {
        let patch = json!({"data": {"n": number.to_string()}});
        harness.merge(&format!("{MAPS}/x"), patch).await.ok();
        let event = good.next().await.unwrap();
        assert_eq!(event["object"]["data"]["n"], number.to_string());
    }
    let mut last = stuck.next().await.unwrap();
    while let Some(event) = stuck.next().await {
        last = event;
    }
    assert_eq!((&last["type"], &last["object"]["code"]), (&json!("ERROR"), &json!(410)));
}

#[tokio::test(start_paused = true)]
async fn watches_of_metadata_and_tables_show_their_shape_in_every_event() {
    let harness = Harness::new().await;
    let ask = |kind: &str| {
        let accept = format!("application/json;as={kind};v=v1;g=meta.k8s.io;stream=watch");
        let path = format!("{MAPS}?{BOOKMARKS}&timeoutSeconds=5");
        harness.raw(Request::get(path).header("accept", accept), Body::empty())
    };
    harness.map("x", "1").await;
    let open = |response: Response<Body>| Watch {
        stream: response.into_body().into_data_stream(),
        buffer: Vec::new(),
    };
    let mut metadata = open(ask("PartialObjectMetadata").await);
    let mut table = open(ask("Table").await);
    harness.delete(&format!("{MAPS}/x"), Value::Null).await.ok();
    for (kind, has_end) in [("ADDED", false), ("BOOKMARK", true), ("DELETED", false)] {
        let event = metadata.next().await.unwrap();
        let object = &event["object"];
        assert_eq!(
            (&event["type"], &object["kind"]),
            (&json!(kind), &json!("PartialObjectMetadata"))
        );
        assert_eq!(object["apiVersion"], "meta.k8s.io/v1");
        assert_eq!(object["data"], Value::Null);
        let annotations = &object["metadata"]["annotations"];
        assert_eq!(annotations.is_object(), has_end);
        let event = table.next().await.unwrap();
        let object = &event["object"];
        assert_eq!((&event["type"], &object["kind"]), (&json!(kind), &json!("Table")));
        assert_eq!(object["rows"].as_array().unwrap().len(), 1);
        let annotations = &object["rows"][0]["object"]["metadata"]["annotations"];
        assert_eq!(annotations.is_object(), has_end, "{object}");
    }
    let yaml = Request::get(format!("{MAPS}?watch=1")).header("accept", "application/yaml");
    let answer = Answer::read(harness.raw(yaml, Body::empty()).await).await;
    let message = "only the following media types are accepted: application/json;stream=watch, \
                   application/vnd.kubernetes.protobuf;stream=watch";
    assert_eq!(answer.refused(), (406, "NotAcceptable", message));
}

#[tokio::test(start_paused = true)]
async fn dropped_watches_are_forgotten() {
    let harness = Harness::new().await;
    let mut open = Vec::new();
    for _ in 0..50 {
        open.push(harness.watch(&format!("{MAPS}?watch=1")).await);
    }
    let count =
        || harness.server.counters().watches().iter().map(|(_, count)| count).sum::<usize>();
    assert_eq!(count(), 50);
    open.truncate(20);
    assert_eq!(count(), 20);
    harness.server.shutdown();
    for watch in &mut open {
        assert_eq!(watch.next().await, None);
    }
    drop(open);
    assert_eq!(count(), 0);
}
