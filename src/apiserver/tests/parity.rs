//! Details in which kube-apiserver's answers are recognised: who owns what through subresources,
//! how often a cause is reported, the words of refusals.

use http::Method;
use serde_json::{Value, json};

use super::*;

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/a/deployments";
const PODS: &str = "/api/v1/namespaces/a/pods";
const STRATEGIC: &str = "application/strategic-merge-patch+json";

fn deployment(spec: Value) -> Value {
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"selector": {"matchLabels": {"app": "d"}}, "template": {
            "metadata": {"labels": {"app": "d"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]}}},
    });
    for (name, value) in spec.as_object().into_iter().flatten() {
        object["spec"][name] = value.clone();
    }
    object
}

fn scale(spec: Value) -> Value {
    json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "d"}, "spec": spec})
}

/// Who owns what: `manager/operation/subresource`, whether the entry has a time, the fields.
fn owners(object: &Value) -> Vec<(String, bool, Value)> {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    entries
        .map(|entry| {
            let names = ["manager", "operation", "subresource"].map(|field| text(entry, field));
            (names.join("/"), !entry["time"].is_null(), entry["fieldsV1"].clone())
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn replicas_are_owned_through_the_scale() {
    let harness = Harness::new().await;
    let path = format!("{DEPLOYMENTS}/d");
    let body = deployment(json!({"replicas": 2}));
    harness.apply(&format!("{path}?fieldManager=m"), body.clone()).await.ok();
    let by = |manager: &str, force: bool| {
        format!("{path}/scale?fieldManager={manager}{}", if force { "&force=true" } else { "" })
    };
    let refused = harness.apply(&by("hpa", false), scale(json!({"replicas": 3}))).await;
    assert_eq!(
        refused.refused(),
        (409, "Conflict", "Apply failed with 1 conflict: conflict with \"m\": .spec.replicas")
    );
    // Those who update are known by the version of the Scale.
    let other = format!("{DEPLOYMENTS}/e");
    let mut body_of_other = deployment(json!({"replicas": 2}));
    body_of_other["metadata"]["name"] = "e".into();
    harness.post(&format!("{DEPLOYMENTS}?fieldManager=u"), body_of_other).await.ok();
    let mut scale_of_other = scale(json!({"replicas": 3}));
    scale_of_other["metadata"]["name"] = "e".into();
    let refused = harness.apply(&format!("{other}/scale?fieldManager=hpa"), scale_of_other).await;
    let why =
        "Apply failed with 1 conflict: conflict with \"u\" using autoscaling/v1: .spec.replicas";
    assert_eq!(refused.refused().2, why);
    let taken = harness.apply(&by("hpa", true), scale(json!({"replicas": 3}))).await.ok();
    assert_eq!(taken["spec"]["replicas"], 3);
    let replicas = json!({"f:spec": {"f:replicas": {}}});
    let object = harness.get(&path).await.ok();
    let found = owners(&object);
    assert_eq!(found[0], ("hpa/Apply/scale".to_owned(), false, replicas.clone()));
    assert!(found[1].2["f:spec"].get("f:replicas").is_none(), "{found:?}");
    // A patch of the Scale takes them the same way.
    harness.merge(&format!("{path}/scale"), json!({"spec": {"replicas": 4}})).await.ok();
    let object = harness.get(&path).await.ok();
    assert!(owners(&object).contains(&("tests/Update/scale".to_owned(), false, replicas)));
    // What is applied no more is gone: a Scale without replicas has none.
    harness.apply(&by("hpa", true), scale(json!({"replicas": 5}))).await.ok();
    let none = harness.apply(&by("hpa", false), scale(json!({}))).await.ok();
    assert_eq!(
        (&none["spec"], &harness.get(&path).await.ok()["spec"]["replicas"]),
        (&json!({}), &json!(0))
    );
    let wrong = harness.apply(&by("hpa", true), body).await;
    assert_eq!(
        wrong.refused(),
        (400, "BadRequest", "invalid object type: apps/v1, Kind=Deployment")
    );
}

#[tokio::test(start_paused = true)]
async fn nobody_owns_what_a_write_cannot_set() {
    let harness = Harness::new().await;
    let path = format!("{DEPLOYMENTS}/d");
    let mut body = deployment(json!({}));
    body["status"] = json!({"replicas": 7});
    let object = harness.apply(&format!("{path}?fieldManager=m"), body).await.ok();
    assert!(owners(&object).iter().all(|(.., fields)| fields.get("f:status").is_none()));
    let body = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "d", "labels": {"l": "1"}, "annotations": {"a": "1"}},
        "spec": {"replicas": 9}, "status": {"replicas": 1}});
    let object = harness.apply(&format!("{path}/status?fieldManager=s"), body).await.ok();
    assert_eq!(
        (&object["spec"]["replicas"], &object["status"]["replicas"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(object["metadata"]["labels"], Value::Null, "labels of Deployments are not status'");
    let fields =
        json!({"f:metadata": {"f:annotations": {"f:a": {}}}, "f:status": {"f:replicas": {}}});
    assert!(owners(&object).contains(&("s/Apply/status".to_owned(), true, fields)));
}

#[tokio::test(start_paused = true)]
async fn metadata_of_changes_are_refused_as_often_as_they_are_checked() {
    let harness = Harness::new().await;
    harness.map("x", "1").await;
    harness.post(DEPLOYMENTS, deployment(json!({}))).await.ok();
    let widget =
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}});
    harness.post(WIDGETS, widget).await.ok();
    for (path, times) in
        [(format!("{MAPS}/x"), 4), (format!("{DEPLOYMENTS}/d"), 3), (format!("{WIDGETS}/w"), 3)]
    {
        let refused = harness.merge(&path, json!({"metadata": {"labels": {"l": "-"}}})).await;
        let causes = refused.body["details"]["causes"].as_array().unwrap();
        assert_eq!((causes.len(), refused.code.as_u16()), (times, 422), "{path}");
        assert_eq!(refused.refused().2.matches("metadata.labels").count(), 1, "{path}");
    }
    let entry = json!([{"manager": "m".repeat(129), "operation": "Update", "apiVersion": "v1",
        "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:k": {}}}}]);
    let refused =
        harness.merge(&format!("{MAPS}/x"), json!({"metadata": {"managedFields": entry}})).await;
    assert_eq!(refused.body["details"]["causes"][0]["field"], "metadata.managedFields[0].manager");
    // Entries whose fields are no paths are taken for none.
    let odd = json!([{"manager": "m", "operation": "Update", "apiVersion": "v1",
        "fieldsType": "FieldsV1", "fieldsV1": {"data": {}}}]);
    let kept =
        harness.merge(&format!("{MAPS}/x"), json!({"metadata": {"managedFields": odd}})).await.ok();
    assert_eq!(kept["metadata"]["managedFields"][0]["manager"], "tests");
}

#[tokio::test(start_paused = true)]
async fn odd_patches_are_refused_in_gos_words() {
    let harness = Harness::new().await;
    harness.map("x", "1").await;
    let map = "json: cannot unmarshal array into Go value of type map[string]interface {}";
    let decoding = format!("error decoding patch: {map}");
    let yaml = format!("error decoding YAML: error unmarshaling JSON: while decoding JSON: {map}");
    let apply = "application/apply-patch+yaml";
    let cases: [(&str, &str, &str, u16, &str); 9] = [
        ("", MERGE, "[1]", 400, &decoding),
        ("", MERGE, "null", 400, "Invalid JSON Patch"),
        ("", STRATEGIC, "[1]", 400, map),
        ("?fieldManager=m", apply, "[1]", 400, &yaml),
        ("?fieldManager=m", apply, "null", 400, "invalid object type: /, Kind="),
        (
            "?force=true",
            MERGE,
            "{}",
            422,
            "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for \
             non-apply patch",
        ),
        (
            "?fieldManager=a%09b",
            MERGE,
            "{}",
            422,
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Invalid value: \"a\\tb\": \
             invalid character U+0009 (at position 1)",
        ),
        (
            "",
            MERGE,
            r#"{"metadata": {"resourceVersion": "x"}}"#,
            500,
            "strconv.ParseUint: parsing \"x\": invalid syntax",
        ),
        (
            "?fieldManager=m&force=true&fieldValidation=Strict",
            apply,
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: x}, data: {k: a, k: b}}",
            400,
            "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  \
             line 1: key \"k\" already set in map",
        ),
    ];
    for (query, media, body, code, message) in cases {
        let request = Request::builder()
            .method(Method::PATCH)
            .uri(format!("{MAPS}/x{query}"))
            .header("content-type", media);
        let answer = harness.raw(request, Body::from(body)).await;
        let answer = Answer::read(answer).await;
        assert_eq!((answer.code.as_u16(), answer.refused().2), (code, message), "{body}");
    }
    let nothing = harness.send(Method::PATCH, &format!("{MAPS}/x"), STRATEGIC, json!({})).await;
    assert_eq!(nothing.code, 200);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_a_pod_is_shown_in_gos_form() {
    let harness = Harness::new().await;
    let pod =
        json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    harness.post(PODS, pod).await.ok();
    let patch = json!({"spec": {"terminationGracePeriodSeconds": 5}});
    let refused = harness.merge(&format!("{PODS}/p"), patch).await;
    let (code, _, message) = refused.refused();
    let shown = "@@ -36,7 +36,7 @@\n  ],\n  \"EphemeralContainers\": null,\n  \
        \"RestartPolicy\": \"Always\",\n- \"TerminationGracePeriodSeconds\": 30,\n+ \
        \"TerminationGracePeriodSeconds\": 5,\n  \"ActiveDeadlineSeconds\": null,\n  \
        \"DNSPolicy\": \"ClusterFirst\",\n  \"NodeSelector\": null,\n";
    assert_eq!(code, 422);
    assert!(message.contains(shown), "{message}");
}

#[tokio::test(start_paused = true)]
async fn workloads_take_their_pods_as_upstream_does() {
    let harness = Harness::new().await;
    let mut set = deployment(json!({"serviceName": "s"}));
    set["kind"] = json!("StatefulSet");
    set["spec"]["template"]["spec"]["containers"] = json!([{"name": "", "image": ""}]);
    harness.post("/apis/apps/v1/namespaces/a/statefulsets", set).await.ok();
    let secrets = json!([{"name": ""}]);
    let mut object = deployment(json!({}));
    object["spec"]["template"]["spec"]["imagePullSecrets"] = secrets;
    let answer = harness.post(DEPLOYMENTS, object).await;
    let expected =
        "299 - \"spec.template.spec.imagePullSecrets[0].name: invalid empty name \\\"\\\"\"";
    assert_eq!(answer.warnings, [expected]);
    let mut without = deployment(json!({}));
    without["spec"]["selector"] = Value::Null;
    let refused = harness.post(DEPLOYMENTS, without).await;
    let fields: Vec<&str> = refused.body["details"]["causes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cause| cause["field"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["spec.selector", "spec.template.metadata.labels"]);
}

#[tokio::test(start_paused = true)]
async fn services_ask_for_families_that_there_are() {
    let harness = Harness::new().await;
    let post = async |spec: Value| {
        let mut object = json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 1}]}});
        for (name, value) in spec.as_object().into_iter().flatten() {
            object["spec"][name] = value.clone();
        }
        harness.post("/api/v1/namespaces/a/services?dryRun=All", object).await
    };
    for (spec, message) in [
        (
            json!({"ipFamilyPolicy": "RequireDualStack"}),
            "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not \
             configured for dual-stack services",
        ),
        (
            json!({"ipFamilies": ["IPv6"]}),
            "spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster",
        ),
        (
            json!({"clusterIPs": ["10.0.0.9"]}),
            "spec.clusterIPs: Invalid value: [\"10.0.0.9\"]: must be empty when `clusterIP` is not \
             specified",
        ),
    ] {
        let refused = post(spec).await;
        let whole = format!("Service \"s\" is invalid: {message}");
        assert_eq!(refused.refused(), (422, "Invalid", &*whole));
    }
    post(json!({"clusterIP": "None"})).await.ok();
}

#[tokio::test(start_paused = true)]
async fn reviews_say_all_that_is_wrong() {
    let harness = Harness::new().await;
    let ask = async |resource: &str, review: Value| {
        let path = format!("/apis/authorization.k8s.io/v1/{resource}");
        let refused = harness.post(&path, review).await;
        assert_eq!(refused.code, 422);
        refused.body["details"]["causes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|cause| {
                format!(
                    "{}: {}",
                    cause["field"].as_str().unwrap(),
                    cause["message"].as_str().unwrap()
                )
            })
            .collect::<Vec<_>>()
    };
    let both = json!({"resourceAttributes": {"verb": "get"},
        "nonResourceAttributes": {"path": "/", "verb": "get"}});
    let not_both = "spec.nonResourceAttributes: Invalid value: {\"Path\":\"/\",\"Verb\":\"get\"}: \
        cannot be specified in combination with resourceAttributes";
    assert_eq!(ask("selfsubjectaccessreviews", json!({"spec": both})).await, [not_both]);
    let found = ask("subjectaccessreviews", json!({"metadata": {"name": "x"}, "spec": both})).await;
    assert_eq!(
        found[..2],
        [
            not_both,
            "spec.user: Invalid value: \"\": at least one of user or group must be specified",
        ]
    );
    assert!(found[2].starts_with("metadata: Invalid value: {\"name\":\"x\""), "{found:?}");
    assert!(found[2].ends_with("}: must be empty"), "{found:?}");
    let found = ask(
        "namespaces/a/localsubjectaccessreviews",
        json!({"spec": {"user": "u", "resourceAttributes": {"verb": "get"}}}),
    )
    .await;
    assert_eq!(
        found,
        ["spec.resourceAttributes.namespace: Invalid value: \"\": must match \
        metadata.namespace"]
    );
}

#[tokio::test(start_paused = true)]
async fn creations_that_are_only_tried_are_shown_as_asked_for() {
    let harness = Harness::new().await;
    let send = async |accept: &str| {
        let request = Request::post(format!("{MAPS}?dryRun=All"))
            .header("accept", format!("application/json;as={accept};v=v1;g=meta.k8s.io"))
            .header("content-type", "application/json");
        let body = json!({"metadata": {"name": "tried"}}).to_string();
        Answer::read(harness.raw(request, Body::from(body)).await).await.ok()
    };
    let revision = harness.server.store().revision();
    let table = send("Table").await;
    assert_eq!(table["kind"], "Table");
    let row = &table["rows"][0];
    assert_eq!(row["cells"][0], "tried");
    let metadata = send("PartialObjectMetadata").await;
    assert_eq!(metadata["kind"], "PartialObjectMetadata");
    for shown in [&table, &row["object"], &metadata] {
        assert_eq!(shown["metadata"].get("resourceVersion"), None, "{shown}");
    }
    assert_eq!(harness.server.store().revision(), revision);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_patch_of_nothing_is_not_found() {
    let harness = Harness::new().await;
    harness.map("there", "1").await;
    let send = async |name: &str, media: &str, body: &str| {
        let request = Request::patch(format!("{MAPS}/{name}?fieldManager=m"))
            .header("content-type", media.to_owned());
        Answer::read(harness.raw(request, Body::from(body.to_owned())).await).await
    };
    for media in ["application/json-patch+json", "application/merge-patch+json", STRATEGIC] {
        for body in ["{", "7", ""] {
            assert_eq!(send("none", media, body).await.refused().0, 404, "{media} {body}");
            assert_eq!(send("there", media, body).await.refused().0, 400, "{media} {body}");
        }
    }
    // An apply would make it, and the media type is looked at before anything.
    assert_eq!(send("none", "application/apply-patch+yaml", "a: [").await.refused().0, 400);
    assert_eq!(send("none", "application/cbor", "{}").await.refused().0, 415);
}
