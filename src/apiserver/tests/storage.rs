//! What every storage behind kube-apiserver has to do, through the API: the contract tests of
//! kubernetes 1.36 (apiserver/pkg/storage/testing/store_tests.go, watcher_tests.go) that no other
//! file has. `docs/conformance.md` says where each of them is.

use super::*;

async fn revision(harness: &Harness) -> u64 {
    version(&harness.get(MAPS).await.ok())
}

/// RunTestCreateWithKeyExist
#[tokio::test(start_paused = true)]
async fn a_second_creation_is_refused_and_changes_nothing() {
    let harness = Harness::new().await;
    let first = harness.map("x", "1").await;
    let body = json!({"metadata": {"name": "x"}, "data": {"k": "other"}});
    let answer = harness.post(MAPS, body).await;
    assert_eq!(answer.refused(), (409, "AlreadyExists", "configmaps \"x\" already exists"));
    assert_eq!(harness.get(&format!("{MAPS}/x")).await.ok(), first);
    assert_eq!(revision(&harness).await, version(&first));
}

/// RunTestUnconditionalDelete, RunTestDeleteWithSuggestionOfDeletedObject
#[tokio::test(start_paused = true)]
async fn a_deletion_takes_what_is_there_once() {
    let harness = Harness::new().await;
    harness.map("x", "1").await;
    let path = format!("{MAPS}/x");
    let status = harness.delete(&path, Value::Null).await.ok();
    assert_eq!((&status["status"], &status["details"]["name"]), (&json!("Success"), &json!("x")));
    let before = revision(&harness).await;
    let gone = harness.delete(&path, Value::Null).await;
    assert_eq!(gone.refused(), (404, "NotFound", "configmaps \"x\" not found"));
    assert_eq!(revision(&harness).await, before, "a deletion that failed is no write");
}

/// RunTestConditionalDelete, RunTestDeleteWithConflict, RunTestPreconditionalDeleteWithSuggestion
#[tokio::test(start_paused = true)]
async fn deletions_hold_to_their_preconditions() {
    let harness = Harness::new().await;
    let stale = harness.map("x", "1").await;
    let path = format!("{MAPS}/x");
    let fresh = harness.merge(&path, json!({"data": {"k": "new"}})).await.ok();
    let preconditions = |uid: &Value, version: &Value| json!({"preconditions": {"uid": uid, "resourceVersion": version}});
    let uid = &fresh["metadata"]["uid"];
    for (options, words) in [
        (preconditions(&json!("other"), &Value::Null), "the UID in the precondition (other)"),
        (preconditions(uid, &stale["metadata"]["resourceVersion"]), "the ResourceVersion in the"),
    ] {
        let answer = harness.delete(&path, options).await;
        assert_eq!((answer.refused().0, answer.refused().1), (409, "Conflict"));
        assert!(answer.refused().2.contains(words), "{}", answer.body);
    }
    harness.delete(&path, preconditions(uid, &fresh["metadata"]["resourceVersion"])).await.ok();
    assert_eq!(harness.get(&path).await.code, 404);
}

/// RunTestDeleteWithSuggestionAndConflict, RunTestValidateDeletionWithSuggestion: whoever deletes
/// while others write deletes the newest state, and his watchers see it.
#[tokio::test(start_paused = true)]
async fn a_deletion_among_writes_is_of_the_newest_state() {
    let harness = Harness::new().await;
    for round in 0..20 {
        let name = format!("x{round}");
        let created = harness.map(&name, "1").await;
        let path = format!("{MAPS}/{name}");
        let from = version(&created);
        let mut watch = harness.watch(&format!("{MAPS}?watch=1&resourceVersion={from}")).await;
        let patch = json!({"data": {"k": "new"}});
        let (changed, deleted) =
            tokio::join!(harness.merge(&path, patch), harness.delete(&path, Value::Null));
        deleted.ok();
        let was_changed = changed.code == 200;
        if was_changed {
            assert_eq!(watch.next().await.unwrap()["type"], "MODIFIED");
        }
        let last = watch.next().await.unwrap();
        assert_eq!(last["type"], "DELETED");
        let expected = if was_changed { "new" } else { "v" };
        assert_eq!(last["object"]["data"]["k"], expected);
    }
}

/// RunTestGetListRecursivePrefix, RunTestGetListNonRecursive, RunTestNamespaceScopedList
#[tokio::test(start_paused = true)]
async fn a_name_that_begins_like_another_is_another() {
    let harness = Harness::new().await;
    harness.post("/api/v1/namespaces", json!({"metadata": {"name": "ab"}})).await.ok();
    harness.map("x", "1").await;
    let others = "/api/v1/namespaces/ab/configmaps";
    for name in ["x", "xy"] {
        harness.post(others, json!({"metadata": {"name": name}})).await.ok();
    }
    assert_eq!(names(&harness.get(MAPS).await.ok()), ["x"]);
    assert_eq!(names(&harness.get(others).await.ok()), ["x", "xy"]);
    for (query, expected) in [
        ("fieldSelector=metadata.name%3Dx", &["x", "x"][..]),
        ("fieldSelector=metadata.namespace%3Da", &["x"]),
        ("fieldSelector=metadata.name%3Dx,metadata.namespace%3Dab", &["x"]),
        ("fieldSelector=metadata.name%3D", &[]),
    ] {
        let list = harness.get(&format!("/api/v1/configmaps?{query}")).await.ok();
        assert_eq!(names(&list), expected, "{query}");
    }
}

/// RunTestConsistentList: a list without a resourceVersion shows every write that was answered.
#[tokio::test(start_paused = true)]
async fn a_list_shows_every_write_that_was_answered() {
    let harness = Harness::new().await;
    let mut last = 0;
    for number in 0..50 {
        let written = version(&harness.map(&format!("m{number:02}"), "1").await);
        let list = harness.get(MAPS).await.ok();
        assert_eq!(names(&list).len(), number + 1);
        assert!(version(&list) >= written && version(&list) > last);
        last = version(&list);
    }
}

/// RunTestGuaranteedUpdate, RunTestGuaranteedUpdateChecksStoredData: an update that changes nothing
/// keeps the resourceVersion, and a different one gives a new one.
#[tokio::test(start_paused = true)]
async fn an_update_with_the_same_content_is_no_write() {
    let harness = Harness::new().await;
    let created = harness.map("x", "1").await;
    let path = format!("{MAPS}/x");
    assert_eq!(harness.put(&path, created.clone()).await.ok(), created);
    assert_eq!(revision(&harness).await, version(&created));
    let mut other = created.clone();
    other["data"]["k"] = "new".into();
    let updated = harness.put(&path, other).await.ok();
    assert!(version(&updated) > version(&created));
    assert_eq!(updated["metadata"]["uid"], created["metadata"]["uid"]);
}

/// RunTestGuaranteedUpdateWithConflict: of writers who all saw the same state one succeeds, and
/// writers who try again all do.
#[tokio::test(start_paused = true)]
async fn updates_of_the_same_state_conflict() {
    let harness = Harness::new().await;
    let seen = harness.map("x", "1").await;
    let path = format!("{MAPS}/x");
    let writes = (0..16).map(|writer| {
        let (harness, path, mut object) = (&harness, &path, seen.clone());
        async move {
            object["data"]["writer"] = writer.to_string().into();
            harness.put(path, object).await.code.as_u16()
        }
    });
    let codes = futures::future::join_all(writes).await;
    assert_eq!(codes.iter().filter(|code| **code == 200).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == 409).count(), 15, "{codes:?}");
    let counters = (0..16).map(|_| async {
        loop {
            let mut object = harness.get(&path).await.ok();
            let count: u32 = object["data"]["n"].as_str().unwrap_or("0").parse().unwrap();
            object["data"]["n"] = (count + 1).to_string().into();
            match harness.put(&path, object).await.code.as_u16() {
                200 => return,
                code => assert_eq!(code, 409),
            }
        }
    });
    futures::future::join_all(counters).await;
    assert_eq!(harness.get(&path).await.ok()["data"]["n"], "16", "no update is lost");
}

/// RunTestStats: the number of objects of a resource is known.
#[tokio::test(start_paused = true)]
async fn objects_are_counted() {
    let harness = Harness::new().await;
    for number in 0..7 {
        harness.map(&format!("m{number}"), "1").await;
    }
    harness.delete(&format!("{MAPS}/m0"), Value::Null).await.ok();
    let metrics = harness.get("/metrics").await;
    let line = "apiserver_storage_objects{resource=\"configmaps\"} 6";
    assert!(metrics.body.as_str().unwrap().lines().any(|it| it == line));
}

/// RunTestWatchError, RunTestWatchErrorIsBlockingFurtherEvents: after an ERROR event the stream
/// ends, whatever is written meanwhile.
#[tokio::test(start_paused = true)]
async fn an_error_event_is_the_last() {
    let harness = Harness::with_history(8_000).await;
    harness.map("x", "1").await;
    let path = format!("{MAPS}/x");
    for number in 0..40 {
        harness.merge(&path, json!({"data": {"n": number.to_string()}})).await.ok();
    }
    let mut watch = harness.watch(&format!("{MAPS}?watch=1&resourceVersion=1")).await;
    harness.merge(&path, json!({"data": {"n": "after"}})).await.ok();
    let error = watch.next().await.unwrap();
    assert_eq!((&error["type"], &error["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert_eq!(watch.next().await, None);
}

/// RunTestWatchDeleteEventObjectHaveLatestRV, RunTestDeleteTriggerWatch: a deletion is an event of
/// its own with a resourceVersion of its own.
#[tokio::test(start_paused = true)]
async fn a_deletion_has_a_version_of_its_own() {
    let harness = Harness::new().await;
    let created = harness.map("x", "1").await;
    let from = version(&created);
    let mut watch = harness.watch(&format!("{MAPS}?watch=1&resourceVersion={from}")).await;
    harness.delete(&format!("{MAPS}/x"), Value::Null).await.ok();
    let deleted = watch.next().await.unwrap();
    assert_eq!(deleted["type"], "DELETED");
    assert!(version(&deleted["object"]) > version(&created));
    // Whoever starts there does not see it again.
    let from = version(&deleted["object"]);
    let mut later = harness.watch(&format!("{MAPS}?watch=1&resourceVersion={from}")).await;
    harness.map("y", "1").await;
    assert_eq!(later.names(1).await, ["ADDED y"]);
}

/// RunTestDelayedWatchDelivery, TestCacherDontMissEventsOnReinitialization: nothing is missed
/// between a list and a watch that is opened later.
#[tokio::test(start_paused = true)]
async fn nothing_is_missed_between_list_and_watch() {
    let harness = Harness::new().await;
    let from = revision(&harness).await;
    for number in 0..10 {
        harness.map(&format!("m{number}"), "1").await;
    }
    harness.delete(&format!("{MAPS}/m3"), Value::Null).await.ok();
    let mut watch = harness.watch(&format!("{MAPS}?watch=1&resourceVersion={from}")).await;
    let mut expected: Vec<String> = (0..10).map(|number| format!("ADDED m{number}")).collect();
    expected.push("DELETED m3".to_owned());
    assert_eq!(watch.names(11).await, expected);
}

/// TestWatcherNotGoingBackInTime, TestStartingResourceVersion: versions of a watch only grow, and
/// none is older than where it began.
#[tokio::test(start_paused = true)]
async fn versions_of_a_watch_only_grow() {
    let harness = Harness::new().await;
    for number in 0..20 {
        harness.map(&format!("m{number}"), "1").await;
    }
    let middle = version(&harness.get(&format!("{MAPS}/m9")).await.ok());
    let path = format!("{MAPS}?watch=1&allowWatchBookmarks=true&resourceVersion={middle}");
    let mut watch = harness.watch(&path).await;
    harness.delete(&format!("{MAPS}/m0"), Value::Null).await.ok();
    let mut last = middle;
    for _ in 0..11 {
        let event = watch.next().await.unwrap();
        assert!(version(&event["object"]) > last, "{event}");
        last = version(&event["object"]);
    }
}

/// RunSendInitialEventsBackwardCompatibility: a watch without a version begins with what is there,
/// and has no bookmark at its end unless it asks for one.
#[tokio::test(start_paused = true)]
async fn a_watch_from_nowhere_begins_with_what_is_there() {
    let harness = Harness::new().await;
    harness.map("x", "1").await;
    for query in ["watch=1", "watch=1&resourceVersion=0"] {
        let mut watch = harness.watch(&format!("{MAPS}?{query}")).await;
        assert_eq!(watch.names(1).await, ["ADDED x"], "{query}");
        harness.merge(&format!("{MAPS}/x"), json!({"data": {"q": query}})).await.ok();
        assert_eq!(watch.names(1).await, ["MODIFIED x"], "{query}");
    }
}
