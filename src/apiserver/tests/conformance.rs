//! The conformance specs of sig-api-machinery about lists, watches, discovery and Tables, each as
//! a test of the same name. (kubernetes 1.36: test/e2e/apimachinery)

use super::*;

async fn kinds(watch: &mut Watch, count: usize) -> Vec<(String, u64)> {
    let mut seen = Vec::new();
    for _ in 0..count {
        let event = watch.next().await.expect("the watch goes on");
        seen.push((event["type"].as_str().unwrap().to_owned(), version(&event["object"])));
    }
    seen
}

async fn accept(harness: &Harness, path: &str, accept: &str) -> (String, Answer) {
    let request = Request::get(path).header("accept", accept);
    let response = harness.raw(request, Body::empty()).await;
    let media = response.headers()["content-type"].to_str().unwrap().to_owned();
    (media, Answer::read(response).await)
}

/// Aggregated discovery: a client finds every group and resource in two documents.
#[tokio::test(start_paused = true)]
async fn aggregated_discovery_shows_built_in_kinds_and_custom_resources() {
    let harness = Harness::new().await;
    let media = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    for (path, group, version, resource) in [
        ("/api", "", "v1", "pods"),
        ("/apis", "apps", "v1", "deployments"),
        ("/apis", "admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations"),
        ("/apis", "example.com", "v2", "widgets"),
    ] {
        let (answered, answer) = accept(&harness, path, media).await;
        assert_eq!(answered, media);
        let list = answer.ok();
        assert_eq!(list["kind"], "APIGroupDiscoveryList");
        let groups = list["items"].as_array().unwrap();
        let found = groups
            .iter()
            .filter(|it| it["metadata"]["name"].as_str().unwrap_or_default() == group)
            .flat_map(|it| it["versions"].as_array().unwrap())
            .filter(|it| it["version"] == version)
            .flat_map(|it| it["resources"].as_array().unwrap())
            .any(|it| it["resource"] == resource);
        assert!(found, "{group}/{version} {resource}");
    }
    // Raw: what a client accepts decides which document it gets.
    let (media, answer) = accept(&harness, "/apis", "application/json").await;
    assert_eq!((&*media, &answer.ok()["kind"]), ("application/json", &json!("APIGroupList")));
    let beta =
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let (media, _) = accept(&harness, "/apis", beta).await;
    assert!(media.contains("as=APIGroupDiscoveryList"), "{media}");
    // A resource that comes is found at once.
    harness.server.install(vec![widget("v9")]);
    let (_, answer) = accept(&harness, "/apis", beta).await;
    assert!(answer.ok().to_string().contains("\"version\":\"v9\""));
}

/// Discovery should locate the groupVersion and a resource within each APIGroup; and should
/// validate PreferredVersion for each APIGroup.
#[tokio::test(start_paused = true)]
async fn each_group_has_a_preferred_version_and_resources() {
    let harness = Harness::new().await;
    let groups = harness.get("/apis").await.ok();
    let groups = groups["groups"].as_array().unwrap();
    assert!(groups.len() > 10);
    for group in groups {
        let name = group["name"].as_str().unwrap();
        let preferred = &group["preferredVersion"];
        let versions = group["versions"].as_array().unwrap();
        assert!(versions.contains(preferred), "{name}");
        assert_eq!(
            harness.get(&format!("/apis/{name}")).await.ok()["preferredVersion"],
            *preferred
        );
        for version in versions {
            let group_version = version["groupVersion"].as_str().unwrap();
            assert_eq!(group_version.split('/').next(), Some(name));
            let list = harness.get(&format!("/apis/{group_version}")).await.ok();
            assert_eq!(list["groupVersion"], group_version);
            assert!(!list["resources"].as_array().unwrap().is_empty(), "{group_version}");
        }
    }
}

/// Servers with support for API chunking should return chunks of results for list calls.
#[tokio::test(start_paused = true)]
async fn chunks_cover_a_list_once_and_count_down() {
    let harness = Harness::new().await;
    const TOTAL: usize = 400;
    for number in 0..TOTAL {
        harness.map(&format!("template-{number:04}"), "1").await;
    }
    for limit in [7, 100, 399, 400, 401] {
        let (mut found, mut last, mut token) = (0, None, String::new());
        loop {
            let page = harness.get(&format!("{MAPS}?limit={limit}&continue={token}")).await.ok();
            let count = names(&page).len();
            for (index, name) in names(&page).into_iter().enumerate() {
                assert_eq!(name, format!("template-{:04}", found + index));
            }
            found += count;
            assert!(last.is_none_or(|last| last == version(&page)), "one revision");
            last = Some(version(&page));
            match page["metadata"]["continue"].as_str() {
                None => break,
                Some(next) => {
                    assert_eq!(count, limit);
                    assert_eq!(page["metadata"]["remainingItemCount"], TOTAL - found);
                    token = next.to_owned();
                }
            }
        }
        assert_eq!(found, TOTAL);
    }
}

/// Servers with support for API chunking should support continue listing from the last key if the
/// original version has been compacted away, though the list is inconsistent.
#[tokio::test(start_paused = true)]
async fn a_compacted_list_continues_from_the_last_key() {
    let harness = Harness::with_history(8_000).await;
    for number in 0..40 {
        harness.map(&format!("template-{number:04}"), "1").await;
    }
    let first = harness.get(&format!("{MAPS}?limit=10")).await.ok();
    for number in 0..20 {
        let patch = json!({"data": {"n": number.to_string()}});
        harness.merge(&format!("{MAPS}/template-0039"), patch).await.ok();
    }
    let token = first["metadata"]["continue"].as_str().unwrap();
    let answer = harness.get(&format!("{MAPS}?limit=10&continue={token}")).await;
    assert_eq!((answer.refused().0, answer.refused().1), (410, "Expired"));
    let token = answer.body["metadata"]["continue"].as_str().unwrap();
    let second = harness.get(&format!("{MAPS}?limit=10&continue={token}")).await.ok();
    assert_ne!(version(&second), version(&first));
    assert_eq!(names(&second)[0], "template-0010");
    assert_eq!(second["metadata"]["remainingItemCount"], 20);
    let token = second["metadata"]["continue"].as_str().unwrap();
    let third = harness.get(&format!("{MAPS}?limit=100&continue={token}")).await.ok();
    assert_eq!((names(&third).len(), version(&third)), (20, version(&second)));
}

/// Servers with support for Table transformation should return a 406 for a backend which does not
/// implement metadata.
#[tokio::test(start_paused = true)]
async fn tables_of_what_has_no_metadata_are_not_acceptable() {
    let harness = Harness::new().await;
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let request = Request::post(path)
        .header("content-type", "application/json")
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
    let body = json!({"spec": {"nonResourceAttributes": {"verb": "get", "path": "/"}}});
    let answer = Answer::read(harness.raw(request, Body::from(body.to_string())).await).await;
    assert_eq!((answer.refused().0, answer.refused().1), (406, "NotAcceptable"));
}

/// Watchers should be able to restart watching from the last resource version observed by the
/// previous watch.
#[tokio::test(start_paused = true)]
async fn a_watch_restarts_from_the_last_version_seen() {
    let harness = Harness::new().await;
    let label = "labelSelector=l%3Dwatched";
    let from = harness.server.store().revision();
    let mut watch = harness.watch(&format!("{MAPS}?watch=1&resourceVersion={from}&{label}")).await;
    harness.map("x", "watched").await;
    harness.merge(&format!("{MAPS}/x"), json!({"data": {"mutation": "1"}})).await.ok();
    let seen = kinds(&mut watch, 2).await;
    drop(watch);
    harness.merge(&format!("{MAPS}/x"), json!({"data": {"mutation": "2"}})).await.ok();
    harness.delete(&format!("{MAPS}/x"), Value::Null).await.ok();
    let path = format!("{MAPS}?watch=1&resourceVersion={}&{label}", seen[1].1);
    let mut watch = harness.watch(&path).await;
    let seen: Vec<String> = kinds(&mut watch, 2).await.into_iter().map(|it| it.0).collect();
    assert_eq!(seen, ["MODIFIED", "DELETED"], "nothing is lost");
}

/// Watchers should be able to start watching from a specific resource version.
#[tokio::test(start_paused = true)]
async fn a_watch_starts_from_a_specific_version() {
    let harness = Harness::new().await;
    harness.map("x", "1").await;
    let first = harness.merge(&format!("{MAPS}/x"), json!({"data": {"n": "1"}})).await.ok();
    harness.merge(&format!("{MAPS}/x"), json!({"data": {"n": "2"}})).await.ok();
    harness.delete(&format!("{MAPS}/x"), Value::Null).await.ok();
    let path = format!("{MAPS}?watch=1&resourceVersion={}", version(&first));
    let mut watch = harness.watch(&path).await;
    let modified = watch.next().await.unwrap();
    assert_eq!(
        (&modified["type"], &modified["object"]["data"]["n"]),
        (&json!("MODIFIED"), &json!("2"))
    );
    assert_eq!(watch.next().await.unwrap()["type"], "DELETED");
}

/// Watchers should observe add, update, and delete watch notifications on configmaps.
#[tokio::test(start_paused = true)]
async fn watchers_of_several_selectors_see_additions_updates_and_deletions() {
    let harness = Harness::new().await;
    let open = async |selector: &str| {
        let from = harness.server.store().revision();
        harness
            .watch(&format!("{MAPS}?watch=1&resourceVersion={from}&labelSelector={selector}"))
            .await
    };
    let mut a = open("l%3Da").await;
    let mut b = open("l%3Db").await;
    let mut either = open("l+in+(a,b)").await;
    harness.map("ca", "a").await;
    harness.merge(&format!("{MAPS}/ca"), json!({"data": {"n": "1"}})).await.ok();
    harness.delete(&format!("{MAPS}/ca"), Value::Null).await.ok();
    harness.map("cb", "b").await;
    harness.delete(&format!("{MAPS}/cb"), Value::Null).await.ok();
    let first = ["ADDED ca", "MODIFIED ca", "DELETED ca"];
    let second = ["ADDED cb", "DELETED cb"];
    assert_eq!(a.names(3).await, first);
    assert_eq!(b.names(2).await, second);
    assert_eq!(either.names(5).await, [&first[..], &second].concat());
}

/// Watchers should observe an object deletion if it stops meeting the requirements of the selector.
#[tokio::test(start_paused = true)]
async fn an_object_that_stops_meeting_the_selector_is_deleted_for_its_watchers() {
    let harness = Harness::new().await;
    let from = harness.server.store().revision();
    let path = format!("{MAPS}?watch=1&resourceVersion={from}&labelSelector=l%3Dsame");
    let mut watch = harness.watch(&path).await;
    let relabel = async |label: &str| {
        let patch = json!({"metadata": {"labels": {"l": label}}});
        harness.merge(&format!("{MAPS}/x"), patch).await.ok();
    };
    harness.map("x", "same").await;
    relabel("other").await;
    harness.merge(&format!("{MAPS}/x"), json!({"data": {"n": "unseen"}})).await.ok();
    relabel("same").await;
    harness.merge(&format!("{MAPS}/x"), json!({"data": {"n": "seen"}})).await.ok();
    harness.delete(&format!("{MAPS}/x"), Value::Null).await.ok();
    let seen = ["ADDED x", "DELETED x", "ADDED x", "MODIFIED x", "DELETED x"];
    assert_eq!(watch.names(5).await, seen);
}

/// Watchers should receive events on concurrent watches in same order.
#[tokio::test(start_paused = true)]
async fn concurrent_watches_see_the_same_order() {
    let harness = Harness::new().await;
    let mut first = harness.watch(&format!("{MAPS}?watch=1&resourceVersion=1")).await;
    let writes = async {
        for number in 0..100 {
            let name = format!("m{}", number % 7);
            let body = json!({"metadata": {"name": name}, "data": {"n": number.to_string()}});
            if harness.post(MAPS, body.clone()).await.code == 409 {
                if number % 3 == 0 {
                    harness.delete(&format!("{MAPS}/{name}"), Value::Null).await.ok();
                } else {
                    harness.merge(&format!("{MAPS}/{name}"), body).await.ok();
                }
            }
            tokio::task::yield_now().await;
        }
    };
    let watches = async {
        let mut seen = Vec::new();
        let mut later = Vec::new();
        for number in 0..100 {
            let event = kinds(&mut first, 1).await.remove(0);
            if number % 10 == 0 {
                let path = format!("{MAPS}?watch=1&resourceVersion={}", event.1);
                later.push((number, harness.watch(&path).await));
            }
            seen.push(event);
        }
        for (number, mut watch) in later {
            assert_eq!(kinds(&mut watch, 99 - number).await, seen[number + 1..], "from {number}");
        }
    };
    tokio::join!(writes, watches);
}

/// Server version should find the server version: the numbers are numbers.
#[tokio::test(start_paused = true)]
async fn the_server_version_has_a_major_and_a_minor_number() {
    let version = Harness::new().await.get("/version").await.ok();
    for field in ["major", "minor"] {
        assert!(version[field].as_str().unwrap().parse::<u32>().is_ok(), "{version}");
    }
}

/// Webhooks should include webhook resources in discovery documents.
#[tokio::test(start_paused = true)]
async fn spec_14_webhook_configurations_are_in_discovery_documents() {
    let harness = Harness::new().await;
    let groups = harness.get("/apis").await.ok();
    let groups = groups["groups"].as_array().unwrap();
    let group = groups.iter().find(|it| it["name"] == "admissionregistration.k8s.io").unwrap();
    let v1 = json!({"groupVersion": "admissionregistration.k8s.io/v1", "version": "v1"});
    assert!(group["versions"].as_array().unwrap().contains(&v1), "{group}");
    assert_eq!(
        harness.get("/apis/admissionregistration.k8s.io").await.ok()["versions"],
        group["versions"]
    );
    let list = harness.get("/apis/admissionregistration.k8s.io/v1").await.ok();
    let resources = list["resources"].as_array().unwrap();
    for (name, kind) in [
        ("mutatingwebhookconfigurations", "MutatingWebhookConfiguration"),
        ("validatingwebhookconfigurations", "ValidatingWebhookConfiguration"),
    ] {
        let found = resources.iter().find(|it| it["name"] == name).unwrap();
        assert_eq!((&found["kind"], &found["namespaced"]), (&json!(kind), &json!(false)));
        let verbs =
            ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
        assert_eq!(found["verbs"], json!(verbs));
    }
}

/// CustomResourceDefinition Watch: watch on custom resource definition objects.
#[tokio::test(start_paused = true)]
async fn spec_32_custom_resources_are_watched() {
    let harness = Harness::new().await;
    let definition = definitions::gadgets(json!({"type": "object", "properties": {
        "n": {"type": "integer"},
    }}));
    harness.post(definitions::CRDS, definition).await.ok();
    let path = "/apis/g.example.org/v1/namespaces/a/gadgets";
    let from = version(&harness.get(path).await.ok());
    let mut watch = harness.watch(&format!("{path}?watch=1&resourceVersion={from}")).await;
    for name in ["first", "second"] {
        harness.post(path, definitions::gadget(name, json!({"n": 1}))).await.ok();
        harness.merge(&format!("{path}/{name}"), json!({"spec": {"n": 2}})).await.ok();
        harness.delete(&format!("{path}/{name}"), Value::Null).await.ok();
    }
    let seen = [
        "ADDED first",
        "MODIFIED first",
        "DELETED first",
        "ADDED second",
        "MODIFIED second",
        "DELETED second",
    ];
    assert_eq!(watch.names(6).await, seen);
}

/// FieldValidation should detect unknown and duplicate fields of a typed object, and unknown
/// metadata fields of a typed object.
#[tokio::test(start_paused = true)]
async fn specs_53_and_55_fields_of_typed_objects_are_validated() {
    let harness = Harness::new().await;
    let path = "/apis/apps/v1/namespaces/a/deployments";
    let deployment = |more: &str, metadata: &str| {
        format!(
            r#"{{"apiVersion":"apps/v1","kind":"Deployment",
            "metadata":{{"name":"d","labels":{{"app":"x"}}{metadata}}},
            "spec":{{{more}"replicas":1,"selector":{{"matchLabels":{{"app":"x"}}}},
            "template":{{"metadata":{{"labels":{{"app":"x"}}}},
            "spec":{{"containers":[{{"name":"c","image":"i","imagePullPolicy":"Always",
            "imagePullPolicy":"Never"}}]}}}}}}}}"#
        )
    };
    let send = async |validation: &str, body: String| {
        let request = Request::post(format!("{path}?fieldValidation={validation}&dryRun=All"))
            .header("content-type", "application/json");
        Answer::read(harness.raw(request, Body::from(body)).await).await
    };
    let twice = "duplicate field \"spec.template.spec.containers[0].imagePullPolicy\"";
    let unknown = "unknown field \"spec.unknown1\"";
    let answer = send("Strict", deployment(r#""unknown1":"v","#, "")).await;
    let (code, reason, message) = answer.refused();
    assert_eq!((code, reason), (400, "BadRequest"));
    assert!(message.starts_with("Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: "), "{message}");
    assert!(message.contains(unknown) && message.contains(twice), "{message}");
    let answer = send("Warn", deployment(r#""unknown1":"v","#, "")).await;
    let quoted = |text: &str| format!("299 - \"{}\"", text.replace('"', "\\\""));
    assert!(answer.warnings.contains(&quoted(unknown)), "{:?}", answer.warnings);
    assert!(answer.warnings.contains(&quoted(twice)), "{:?}", answer.warnings);
    let made = answer.ok();
    assert_eq!(made["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"], "Never");
    let answer = send("Ignore", deployment(r#""unknown1":"v","#, "")).await;
    assert_eq!(answer.warnings.len(), 0);
    answer.ok();
    let unknown = "unknown field \"metadata.unknownMeta\"";
    let answer = send("Strict", deployment("", r#","unknownMeta":"v""#)).await;
    assert!(answer.refused().2.contains(unknown), "{}", answer.body);
    let answer = send("Warn", deployment("", r#","unknownMeta":"v""#)).await;
    assert!(answer.warnings.contains(&quoted(unknown)), "{:?}", answer.warnings);
}

/// Namespaces should apply a finalizer to a Namespace.
#[tokio::test(start_paused = true)]
async fn spec_63_finalizers_of_a_namespace_are_written_by_finalize_alone() {
    let harness = Harness::new().await;
    let path = "/api/v1/namespaces/a";
    let mut namespace = harness.get(path).await.ok();
    let both = json!(["kubernetes", "e2e.example.com/fakeFinalizer"]);
    namespace["spec"]["finalizers"] = both.clone();
    let updated = harness.put(path, namespace.clone()).await.ok();
    assert_eq!(updated["spec"]["finalizers"], json!(["kubernetes"]), "an update cannot");
    namespace["metadata"]["resourceVersion"] = updated["metadata"]["resourceVersion"].clone();
    let finalized = harness.put(&format!("{path}/finalize"), namespace).await.ok();
    assert_eq!(finalized["spec"]["finalizers"], both);
    let mut namespace = harness.get(path).await.ok();
    assert_eq!(namespace["spec"]["finalizers"], both);
    namespace["spec"]["finalizers"] = json!(["kubernetes"]);
    harness.put(&format!("{path}/finalize"), namespace).await.ok();
    let namespace = harness.get(path).await.ok();
    assert_eq!(namespace["spec"]["finalizers"], json!(["kubernetes"]));
    assert_eq!(namespace["status"]["phase"], "Active");
}

/// Namespaces should apply an update to a Namespace.
#[tokio::test(start_paused = true)]
async fn spec_64_a_namespace_is_updated() {
    let harness = Harness::new().await;
    let path = "/api/v1/namespaces/a";
    let stale = harness.get(path).await.ok();
    let mut namespace = stale.clone();
    namespace["metadata"]["labels"]["a"] = "updated".into();
    assert_eq!(harness.put(path, namespace).await.ok()["metadata"]["labels"]["a"], "updated");
    assert_eq!(harness.get(path).await.ok()["metadata"]["labels"]["a"], "updated");
    let mut late = stale;
    late["metadata"]["labels"]["b"] = "late".into();
    assert_eq!(harness.put(path, late).await.refused().0, 409, "an update starts from the latest");
}

/// Namespaces should apply changes to a namespace status.
#[tokio::test(start_paused = true)]
async fn spec_65_the_status_of_a_namespace_is_patched_and_updated() {
    let harness = Harness::new().await;
    let status = "/api/v1/namespaces/a/status";
    let condition = |kind: &str| json!({"type": kind, "status": "False", "reason": "E2E", "message": "set by a test"});
    let patch = json!({
        "metadata": {"annotations": {"e2e": "patched"}},
        "status": {"conditions": [condition("StatusPatch")]},
    });
    let patched = harness.merge(status, patch).await.ok();
    assert_eq!(patched["status"]["conditions"][0]["type"], "StatusPatch");
    assert_eq!(patched["status"]["phase"], "Active", "the rest of the status stays");
    let mut namespace = harness.get(status).await.ok();
    let conditions = namespace["status"]["conditions"].as_array_mut().unwrap();
    conditions.push(condition("StatusUpdate"));
    namespace["spec"]["finalizers"] = json!([]);
    let updated = harness.put(status, namespace).await.ok();
    assert_eq!(updated["status"]["conditions"][1]["type"], "StatusUpdate");
    assert_eq!(updated["spec"]["finalizers"], json!(["kubernetes"]), "only the status is written");
}

/// Namespaces should patch a Namespace.
#[tokio::test(start_paused = true)]
async fn spec_68_a_namespace_is_patched() {
    let harness = Harness::new().await;
    let path = "/api/v1/namespaces/a";
    let patch = json!({"metadata": {"labels": {"testLabel": "testValue"}}});
    let media = "application/strategic-merge-patch+json";
    harness.send(Method::PATCH, path, media, patch).await.ok();
    let labels = harness.get(path).await.ok()["metadata"]["labels"].clone();
    let both = json!({"kubernetes.io/metadata.name": "a", "testLabel": "testValue"});
    assert_eq!(labels, both);
}
