//! Lists and gets, after the contract tests of kubernetes 1.36: apiserver/pkg/storage/testing/
//! store_tests.go, and the rules for resourceVersion.

use super::*;

/// A list's names, its revision, and whether it goes on.
async fn listed(harness: &Harness, query: &str) -> (Vec<String>, u64, Option<String>) {
    let list = harness.get(&format!("{MAPS}?{query}")).await.ok();
    let names = names(&list).into_iter().map(str::to_owned).collect();
    (names, version(&list), list["metadata"]["continue"].as_str().map(str::to_owned))
}

/// Writes until the history before now is forgotten.
async fn compact(harness: &Harness) {
    harness.post(MAPS, json!({"metadata": {"name": "zz-filler"}})).await;
    for number in 0..20 {
        let patch = json!({"data": {"filler": number.to_string()}});
        harness.merge(&format!("{MAPS}/zz-filler"), patch).await.ok();
    }
}

async fn small_history() -> Harness {
    Harness::with_history(2000).await
}

#[tokio::test(start_paused = true)]
async fn every_combination_of_version_match_and_limit_reads_the_right_state() {
    let harness = Harness::new().await;
    for name in ["a", "b", "c"] {
        harness.map(name, "1").await;
    }
    let then = harness.server.store().revision();
    harness.map("d", "1").await;
    harness.delete(&format!("{MAPS}/a"), Value::Null).await.ok();
    let now = harness.server.store().revision();
    let old: &[&str] = &["a", "b", "c"];
    let new: &[&str] = &["b", "c", "d"];
    let exact = format!("resourceVersion={then}&resourceVersionMatch=Exact");
    let not_older = format!("resourceVersion={then}&resourceVersionMatch=NotOlderThan");
    let cases: &[(String, &[&str], u64, bool)] = &[
        (String::new(), new, now, false),
        ("limit=2".into(), &new[..2], now, true),
        ("limit=3".into(), new, now, false),
        ("limit=-1".into(), new, now, false),
        ("resourceVersion=0".into(), new, now, false),
        ("resourceVersion=0&limit=1".into(), new, now, false),
        ("resourceVersion=0&resourceVersionMatch=NotOlderThan&limit=1".into(), new, now, false),
        (format!("resourceVersion={then}"), new, now, false),
        (format!("resourceVersion={then}&limit=2"), &old[..2], then, true),
        (exact.clone(), old, then, false),
        (format!("{exact}&limit=2"), &old[..2], then, true),
        (not_older.clone(), new, now, false),
        (format!("{not_older}&limit=2"), &new[..2], now, true),
        (format!("{exact}&labelSelector=l%3D2"), &[], then, false),
        (format!("{exact}&fieldSelector=metadata.name%3Da"), &["a"], then, false),
        ("fieldSelector=metadata.name%3Da".into(), &[], now, false),
        ("fieldSelector=metadata.name%21%3Db".into(), &["c", "d"], now, false),
    ];
    for (query, wanted, revision, goes_on) in cases {
        let (names, read_at, token) = listed(&harness, query).await;
        assert_eq!(names, *wanted, "{query}");
        assert_eq!((read_at, token.is_some()), (*revision, *goes_on), "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn forbidden_combinations_are_refused_in_upstreams_words() {
    let harness = Harness::new().await;
    let cases = [
        (
            "resourceVersionMatch=Exact",
            "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
        (
            "resourceVersionMatch=Exact&resourceVersion=1&continue=x",
            "Forbidden: resourceVersionMatch is forbidden when continue is provided",
        ),
        (
            "resourceVersionMatch=Foo&resourceVersion=1",
            "Unsupported value: \"Foo\": supported values: \"Exact\", \"NotOlderThan\", \"\"",
        ),
        (
            "resourceVersionMatch=Exact&resourceVersion=0",
            "Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
        ),
        ("sendInitialEvents=true", "Forbidden: sendInitialEvents is forbidden for list"),
        (
            "watch=1&sendInitialEvents=true",
            "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
        (
            "watch=1&resourceVersionMatch=NotOlderThan",
            "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is \
             provided",
        ),
        (
            "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&continue=x",
            "Forbidden: resourceVersionMatch is forbidden when continue is provided",
        ),
    ];
    for (query, message) in cases {
        let answer = harness.get(&format!("{MAPS}?{query}")).await;
        assert_eq!((answer.refused().0, answer.refused().1), (422, "Invalid"), "{query}");
        let causes = answer.body["details"]["causes"].as_array().unwrap();
        let found = causes.iter().any(|cause| cause["message"] == message);
        assert!(found, "{query}: {}", answer.body);
    }
    for (query, code, message) in [
        (
            "resourceVersion=abc",
            400,
            "invalid resource version: resourceVersion: Invalid value: \
            \"abc\": strconv.ParseUint: parsing \"abc\": invalid syntax",
        ),
        (
            "resourceVersion=-1",
            400,
            "invalid resource version: resourceVersion: Invalid value: \
            \"-1\": strconv.ParseUint: parsing \"-1\": invalid syntax",
        ),
        (
            "resourceVersion=99999999999999999999",
            400,
            "invalid resource version: resourceVersion: \
            Invalid value: \"99999999999999999999\": strconv.ParseUint: parsing \
            \"99999999999999999999\": value out of range",
        ),
        ("limit=abc", 400, "strconv.ParseInt: parsing \"abc\": invalid syntax"),
        ("limit=", 400, "strconv.ParseInt: parsing \"\": invalid syntax"),
        (
            "limit=9223372036854775808",
            400,
            "strconv.ParseInt: parsing \"9223372036854775808\": \
            value out of range",
        ),
        ("timeoutSeconds=1s", 400, "strconv.ParseInt: parsing \"1s\": invalid syntax"),
        (
            "watch=1&resourceVersion=abc",
            500,
            "resourceVersion: Invalid value: \"abc\": \
            strconv.ParseUint: parsing \"abc\": invalid syntax",
        ),
        (
            "continue=garbage&resourceVersion=5",
            400,
            "invalid continue token: continue key is not \
            valid: invalid character '\\x81' looking for beginning of value",
        ),
    ] {
        let answer = harness.get(&format!("{MAPS}?{query}")).await;
        assert_eq!((answer.refused().0, answer.refused().2), (code, message), "{query}");
    }
    let token = Continuation::after(Some(1), Some("a"), ("a", "x")).encode();
    let answer = harness.get(&format!("{MAPS}?continue={token}&resourceVersion=5")).await;
    let message = "specifying resource version is not allowed when using continue";
    assert_eq!(answer.refused(), (400, "BadRequest", message));
}

#[tokio::test(start_paused = true)]
async fn versions_of_the_future_are_waited_for_three_seconds_by_get_and_list() {
    let harness = Harness::new().await;
    harness.map("x", "1").await;
    let now = harness.server.store().revision();
    for query in [
        format!("?resourceVersion={}", now + 5),
        format!("?resourceVersion={}&resourceVersionMatch=Exact", now + 5),
        format!("?resourceVersion={}&resourceVersionMatch=NotOlderThan", now + 5),
        format!("?resourceVersion={}&limit=1", now + 5),
        format!("/x?resourceVersion={}", now + 5),
    ] {
        let before = harness.server.clock().elapsed();
        let answer = harness.get(&format!("{MAPS}{query}")).await;
        let message = format!("Timeout: Too large resource version: {}, current: {now}", now + 5);
        assert_eq!(answer.refused(), (504, "Timeout", &*message), "{query}");
        assert_eq!(answer.body["details"]["retryAfterSeconds"], 1, "{query}");
        let waited = harness.server.clock().elapsed() - before;
        assert!((3..4).contains(&waited.as_secs()), "{query}: {waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn exact_reads_of_forgotten_revisions_are_expired() {
    let harness = small_history().await;
    harness.map("x", "1").await;
    let then = harness.server.store().revision();
    compact(&harness).await;
    for query in ["&resourceVersionMatch=Exact", "&limit=1"] {
        let answer = harness.get(&format!("{MAPS}?resourceVersion={then}{query}")).await;
        let message = "The resourceVersion for the provided list is too old.";
        assert_eq!(answer.refused(), (410, "Expired", message));
        assert_eq!(answer.body["metadata"], json!({}));
    }
    for query in ["", "&resourceVersionMatch=NotOlderThan"] {
        let (names, at, _) = listed(&harness, &format!("resourceVersion={then}{query}")).await;
        assert_eq!((names, at), (vec!["x".into(), "zz-filler".into()], then + 21), "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn pages_of_a_filtered_list_go_on_while_anything_follows() {
    let harness = Harness::new().await;
    for (name, label) in [("a", "1"), ("b", "2"), ("c", "1"), ("d", "1"), ("e", "2")] {
        harness.map(name, label).await;
    }
    let first = harness.get(&format!("{MAPS}?limit=2&labelSelector=l%3D1")).await.ok();
    assert_eq!(names(&first), ["a", "c"]);
    assert_eq!(first["metadata"]["remainingItemCount"], Value::Null, "nobody counted");
    let token = first["metadata"]["continue"].as_str().unwrap();
    let next = format!("limit=1&labelSelector=l%3D1&continue={token}");
    let (names, _, token) = listed(&harness, &next).await;
    assert_eq!(names, ["d"]);
    // Something follows, though it is not selected: only the next page tells.
    let next = format!("limit=1&labelSelector=l%3D1&continue={}", token.unwrap());
    let (names, _, token) = listed(&harness, &next).await;
    assert_eq!((names.len(), token), (0, None));
}

#[tokio::test(start_paused = true)]
async fn a_page_after_compaction_is_expired_and_can_be_gone_on_from() {
    let harness = small_history().await;
    for name in ["a", "b", "c"] {
        harness.map(name, "1").await;
    }
    let (_, then, token) = listed(&harness, "limit=1").await;
    harness.delete(&format!("{MAPS}/b"), Value::Null).await.ok();
    compact(&harness).await;
    let answer = harness.get(&format!("{MAPS}?limit=1&continue={}", token.unwrap())).await;
    let (code, reason, message) = answer.refused();
    assert_eq!((code, reason), (410, "Expired"));
    assert!(message.starts_with("The provided continue parameter is too old to display"));
    let token = answer.body["metadata"]["continue"].as_str().unwrap();
    let (names, at, token) = listed(&harness, &format!("limit=1&continue={token}")).await;
    assert_eq!(names, ["c"], "what was deleted in between is not shown");
    assert!(at > then, "the rest is as new as it gets");
    let (names, again, token) =
        listed(&harness, &format!("limit=1&continue={}", token.unwrap())).await;
    assert_eq!((names, again, token), (vec!["zz-filler".into()], at, None));
}

#[tokio::test(start_paused = true)]
async fn lists_across_namespaces_come_in_the_order_of_etcds_keys() {
    let harness = Harness::new().await;
    harness.post("/api/v1/namespaces", json!({"metadata": {"name": "a-b"}})).await.ok();
    harness.map("x", "1").await;
    let path = "/api/v1/namespaces/a-b/configmaps";
    harness.post(path, json!({"metadata": {"name": "y"}})).await.ok();
    let all = "/api/v1/configmaps";
    // The key a-b/y sorts before a/x.
    assert_eq!(names(&harness.get(all).await.ok()), ["y", "x"]);
    let first = harness.get(&format!("{all}?limit=1")).await.ok();
    let token = first["metadata"]["continue"].as_str().unwrap();
    let rest = harness.get(&format!("{all}?limit=1&continue={token}")).await.ok();
    assert_eq!((names(&first), names(&rest)), (vec!["y"], vec!["x"]));
    // A namespace's list has nothing of one whose name begins alike.
    assert_eq!(names(&harness.get(MAPS).await.ok()), ["x"]);
    let exact = format!("{all}?resourceVersion={}&limit=9", version(&first) - 1);
    assert_eq!(names(&harness.get(&exact).await.ok()), ["x"]);
}

#[tokio::test(start_paused = true)]
async fn a_list_in_pages_is_one_state_whatever_is_written_meanwhile() {
    let harness = Harness::new().await;
    for number in 0..40 {
        harness.map(&format!("m{number:02}"), "1").await;
    }
    let mut seen = Vec::new();
    let (mut query, mut remaining) = ("limit=17".to_owned(), Vec::new());
    loop {
        let page = harness.get(&format!("{MAPS}?{query}")).await.ok();
        seen.extend(names(&page).into_iter().map(str::to_owned));
        remaining.push(page["metadata"]["remainingItemCount"].as_u64());
        harness.delete(&format!("{MAPS}/m39"), Value::Null).await;
        harness.map(&format!("new-{}", seen.len()), "1").await;
        let Some(token) = page["metadata"]["continue"].as_str() else { break };
        query = format!("limit=17&continue={token}");
    }
    let wanted: Vec<String> = (0..40).map(|number| format!("m{number:02}")).collect();
    assert_eq!((seen, remaining), (wanted, vec![Some(23), Some(6), None]));
}

#[tokio::test(start_paused = true)]
async fn deleted_collections_answer_what_was_selected() {
    let harness = Harness::new().await;
    for name in ["a", "b", "c", "d"] {
        harness.map(name, if name == "b" { "2" } else { "1" }).await;
    }
    let before = harness.server.store().revision();
    let first = harness.delete(&format!("{MAPS}?limit=2"), Value::Null).await.ok();
    assert_eq!((names(&first), version(&first)), (vec!["a", "b"], before));
    assert!(first["metadata"]["continue"].is_string(), "a limit deletes one page");
    assert_eq!(names(&harness.get(MAPS).await.ok()), ["c", "d"]);
    let dry = harness.delete(&format!("{MAPS}?dryRun=All"), Value::Null).await.ok();
    assert_eq!(names(&dry), ["c", "d"]);
    let stale = json!({"preconditions": {"uid": "other"}});
    assert_eq!(harness.delete(MAPS, stale).await.refused().1, "Conflict");
    let field = "fieldSelector=metadata.name%3Dc&resourceVersion=0";
    let one = harness.delete(&format!("{MAPS}?{field}"), Value::Null).await.ok();
    assert_eq!(names(&one), ["c"]);
    let wrong = harness.delete(&format!("{MAPS}?propagationPolicy=Foo"), Value::Null).await;
    assert_eq!(wrong.refused().0, 422);
    let held = json!({"metadata": {"name": "held", "finalizers": ["x.y/z"]}});
    harness.post(MAPS, held).await.ok();
    harness.delete(MAPS, json!({"propagationPolicy": "Foreground"})).await.ok();
    let left = harness.get(MAPS).await.ok();
    assert_eq!(names(&left), ["d", "held"], "both wait for their finalizers");
    assert_eq!(left["items"][0]["metadata"]["finalizers"], json!(["foregroundDeletion"]));
}

#[tokio::test(start_paused = true)]
async fn partial_metadata_and_tables_page_like_objects() {
    let harness = Harness::new().await;
    for name in ["a", "b", "c"] {
        harness.map(name, "1").await;
    }
    for kind in ["Table", "PartialObjectMetadataList"] {
        let accept = format!("application/json;as={kind};v=v1;g=meta.k8s.io");
        let request = Request::get(format!("{MAPS}?limit=2")).header("accept", accept);
        let page = Answer::read(harness.raw(request, Body::empty()).await).await.ok();
        assert_eq!(page["metadata"]["remainingItemCount"], 1, "{kind}");
        assert!(page["metadata"]["continue"].is_string(), "{kind}");
    }
}
