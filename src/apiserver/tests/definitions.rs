//! CustomResourceDefinitions as clients meet them. Specs are those of Kubernetes' conformance
//! tests, [sig-api-machinery].

use super::*;

pub(super) const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const GADGETS: &str = "/apis/g.example.org/v1/namespaces/a/gadgets";

/// A definition of `gadgets.g.example.org` with one version.
pub(super) fn gadgets(spec: Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.g.example.org"},
        "spec": {
            "group": "g.example.org",
            "scope": "Namespaced",
            "names": {"plural": "gadgets", "kind": "Gadget"},
            "versions": [version_of("v1", spec)],
        },
    })
}

pub(super) fn version_of(name: &str, spec: Value) -> Value {
    json!({"name": name, "served": true, "storage": name == "v1", "schema": {"openAPIV3Schema": {
        "type": "object", "properties": {"spec": spec},
    }}})
}

pub(super) fn gadget(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "g.example.org/v1", "kind": "Gadget",
        "metadata": {"name": name}, "spec": spec})
}

fn path_of(definition: &Value) -> String {
    format!("{CRDS}/{}", definition["metadata"]["name"].as_str().unwrap())
}

fn condition<'a>(definition: &'a Value, kind: &str) -> (&'a str, &'a str, &'a str) {
    let conditions = definition["status"]["conditions"].as_array().unwrap();
    let found = conditions.iter().find(|it| it["type"] == kind).unwrap();
    let text = |field: &str| found[field].as_str().unwrap();
    (text("status"), text("reason"), text("message"))
}

fn open() -> Value {
    json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

#[tokio::test(start_paused = true)]
async fn spec_33_definitions_are_created_and_deleted() {
    let harness = Harness::new().await;
    let created = harness.post(CRDS, gadgets(open())).await.ok();
    assert_eq!(created["status"]["conditions"], Value::Null);
    let stored = harness.get(&path_of(&created)).await.ok();
    let accepted = ("True", "NoConflicts", "no conflicts found");
    assert_eq!(condition(&stored, "NamesAccepted"), accepted);
    let established = ("True", "InitialNamesAccepted", "the initial names have been accepted");
    assert_eq!(condition(&stored, "Established"), established);
    harness.post(GADGETS, gadget("x", json!({"any": 1}))).await.ok();
    harness.delete(&path_of(&created), Value::Null).await.ok();
    assert_eq!(harness.get(&path_of(&created)).await.code, 404);
    assert_eq!(harness.get(GADGETS).await.body, json!("404 page not found\n"));
    harness.post(CRDS, gadgets(open())).await.ok();
    assert_eq!(names(&harness.get(GADGETS).await.ok()), Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn status_is_written_in_upstreams_steps() {
    let harness = Harness::new().await;
    let mut watch = harness.watch(&format!("{CRDS}?watch=1&resourceVersion=1")).await;
    harness.post(CRDS, gadgets(open())).await.ok();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let object = watch.next().await.unwrap()["object"].take();
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let text = |it: &Value| format!("{}={}", it["type"], it["status"]).replace('"', "");
        seen.push(conditions.iter().map(text).collect::<Vec<_>>().join(" "));
    }
    assert_eq!(
        seen,
        ["", "NamesAccepted=True Established=False", "NamesAccepted=True Established=True",]
    );
}

#[tokio::test(start_paused = true)]
async fn spec_34_status_of_a_definition_is_a_subresource() {
    let harness = Harness::new().await;
    let created = harness.post(CRDS, gadgets(open())).await.ok();
    let path = format!("{}/status", path_of(&created));
    let status = harness.get(&path).await.ok();
    assert_eq!(status["status"]["storedVersions"], json!(["v1"]));
    let conditions = json!([{"type": "StatusUpdate", "status": "True", "reason": "E2E",
        "message": "Set from an e2e test", "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
    let mut changed = status;
    changed["status"]["conditions"] = conditions.clone();
    let changed = harness.put(&path, changed).await.ok();
    assert_eq!(condition(&changed, "StatusUpdate").1, "E2E");
    let patched = harness
        .merge(&path, json!({"status": {"conditions": conditions}, "spec": {"scope": "Cluster"}}))
        .await
        .ok();
    assert_eq!(patched["spec"]["scope"], "Namespaced");
}

#[tokio::test(start_paused = true)]
async fn spec_35_definitions_are_listed_and_deleted_as_a_collection() {
    let harness = Harness::new().await;
    for plural in ["as", "bs", "cs"] {
        let mut definition = gadgets(open());
        definition["metadata"] =
            json!({"name": format!("{plural}.g.example.org"), "labels": {"e2e": "yes"}});
        let names = json!({"plural": plural, "kind": plural.to_uppercase()});
        definition["spec"]["names"] = names;
        harness.post(CRDS, definition).await.ok();
    }
    let selected = format!("{CRDS}?labelSelector=e2e%3Dyes");
    assert_eq!(harness.get(&selected).await.ok()["items"].as_array().unwrap().len(), 3);
    harness.delete(&selected, Value::Null).await.ok();
    assert_eq!(harness.get(&selected).await.ok()["items"], json!([]));
    assert_eq!(harness.get("/apis/g.example.org").await.code, 404);
}

#[tokio::test(start_paused = true)]
async fn spec_36_defaults_come_and_go_for_requests_and_from_storage() {
    let harness = Harness::new().await;
    let with = |b: Value| {
        let a = json!({"type": "string", "default": "A"});
        let mut properties = json!({"a": a, "c": {"type": "string"}});
        if !b.is_null() {
            properties["b"] = b;
        }
        json!({"type": "object", "properties": properties})
    };
    let created = harness.post(CRDS, gadgets(with(json!({"type": "string"})))).await.ok();
    let one = harness.post(GADGETS, gadget("one", json!({"b": "b1"}))).await.ok();
    assert_eq!(one["spec"], json!({"a": "A", "b": "b1"}));
    harness.post(GADGETS, gadget("two", json!({}))).await.ok();
    let path = path_of(&created);
    let change = |spec: Value| {
        let versions = json!([version_of("v1", spec)]);
        harness.merge(&path, json!({"spec": {"versions": versions}}))
    };
    let mut watch = harness.watch(&format!("{GADGETS}?watch=1&resourceVersion=0")).await;
    watch.names(2).await;

    change(with(json!({"type": "string", "default": "B"}))).await.ok();
    let two = harness.get(&format!("{GADGETS}/two")).await.ok();
    assert_eq!(two["spec"], json!({"a": "A", "b": "B"}), "a default that was added");
    let list = harness.get(GADGETS).await.ok();
    assert_eq!(list["items"][0]["spec"]["b"], "b1");
    assert_eq!(list["items"][1]["spec"]["b"], "B");
    let version = two["metadata"]["resourceVersion"].clone();
    assert_eq!(list["items"][1]["metadata"]["resourceVersion"], version, "nothing is written");
    let mut again = harness.watch(&format!("{GADGETS}?watch=1&resourceVersion=0")).await;
    again.next().await.unwrap();
    assert_eq!(again.next().await.unwrap()["object"]["spec"]["b"], "B");

    change(with(Value::Null)).await.ok();
    let two = harness.get(&format!("{GADGETS}/two")).await.ok();
    assert_eq!(two["spec"], json!({"a": "A"}), "a default that was removed with its field");
    let one = harness.get(&format!("{GADGETS}/one")).await.ok();
    assert_eq!(one["spec"], json!({"a": "A"}), "a field that was removed");
    assert_eq!(watch.next().await, None, "watches of a changed definition end");
}

#[tokio::test(start_paused = true)]
async fn spec_37_definitions_are_in_discovery_documents() {
    let harness = Harness::new().await;
    let apis = harness.get("/apis").await.ok();
    assert!(
        apis["groups"].as_array().unwrap().iter().any(|it| it["name"] == "apiextensions.k8s.io")
    );
    let group = harness.get("/apis/apiextensions.k8s.io").await.ok();
    assert_eq!(group["preferredVersion"]["groupVersion"], "apiextensions.k8s.io/v1");
    let list = harness.get("/apis/apiextensions.k8s.io/v1").await.ok();
    let names: Vec<&str> = list["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["customresourcedefinitions", "customresourcedefinitions/status"]);
}

/// Names of definitions with kinds of the group in a document of either version.
async fn published(harness: &Harness, version: &str) -> (Value, Value) {
    let v2 = harness.get("/openapi/v2").await.ok();
    let v3 = harness.get(&format!("/openapi/v3/apis/g.example.org/{version}")).await;
    (v2["definitions"].clone(), v3.body["components"]["schemas"].clone())
}

#[tokio::test(start_paused = true)]
async fn spec_38_validation_schemas_are_published() {
    let harness = Harness::new().await;
    let schema = json!({"type": "object", "description": "Specification of Gadget",
    "properties": {"bars": {"type": "array", "description": "List of Bars", "items": {
        "type": "object", "required": ["name"], "properties": {
            "name": {"type": "string", "description": "Name of Bar."},
            "age": {"type": "string", "nullable": true},
        },
    }}}});
    harness.post(CRDS, gadgets(schema)).await.ok();
    let (v2, v3) = published(&harness, "v1").await;
    for schemas in [&v2, &v3] {
        let kind = &schemas["org.example.g.v1.Gadget"];
        let group_version_kind =
            json!({"group": "g.example.org", "kind": "Gadget", "version": "v1"});
        assert_eq!(kind["x-kubernetes-group-version-kind"], json!([group_version_kind]));
        let spec = &kind["properties"]["spec"];
        assert_eq!(spec["description"], "Specification of Gadget");
        let bar = &spec["properties"]["bars"]["items"]["properties"];
        assert_eq!(bar["name"]["description"], "Name of Bar.");
        assert!(schemas["org.example.g.v1.GadgetList"].is_object());
    }
    let age = |schemas: &Value| {
        let spec = &schemas["org.example.g.v1.Gadget"]["properties"]["spec"];
        spec["properties"]["bars"]["items"]["properties"]["age"].clone()
    };
    assert_eq!((age(&v2), age(&v3)["nullable"].clone()), (json!({}), json!(true)));
}

#[tokio::test(start_paused = true)]
async fn specs_39_to_41_open_schemas_are_published_without_closed_fields() {
    let harness = Harness::new().await;
    let mut definition = gadgets(json!({"type": "object", "x-kubernetes-embedded-resource": true,
        "x-kubernetes-preserve-unknown-fields": true}));
    let created = harness.post(CRDS, definition.clone()).await.ok();
    let (v2, v3) = published(&harness, "v1").await;
    let spec = &v2["org.example.g.v1.Gadget"]["properties"]["spec"];
    assert_eq!(spec["properties"], Value::Null, "clients of v2 would refuse other fields");
    let spec = &v3["org.example.g.v1.Gadget"]["properties"]["spec"];
    assert!(spec["properties"]["metadata"].is_object());
    assert_eq!(spec["required"], json!(["kind", "apiVersion"]));
    let root = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = root;
    let versions = definition["spec"]["versions"].clone();
    harness.merge(&path_of(&created), json!({"spec": {"versions": versions}})).await.ok();
    let (v2, _) = published(&harness, "v1").await;
    let kind = &v2["org.example.g.v1.Gadget"];
    assert_eq!((&kind["type"], &kind["properties"]), (&json!("object"), &Value::Null));
}

#[tokio::test(start_paused = true)]
async fn specs_42_to_46_documents_follow_versions() {
    let harness = Harness::new().await;
    let mut definition = gadgets(open());
    let second = version_of("v2", open());
    definition["spec"]["versions"].as_array_mut().unwrap().push(second);
    let created = harness.post(CRDS, definition.clone()).await.ok();
    let mut other = gadgets(open());
    other["metadata"]["name"] = json!("gizmos.h.example.org");
    other["spec"]["group"] = json!("h.example.org");
    other["spec"]["names"] = json!({"plural": "gizmos", "kind": "Gizmo"});
    harness.post(CRDS, other).await.ok();
    let v2 = harness.get("/openapi/v2").await.ok();
    for name in ["org.example.g.v1.Gadget", "org.example.g.v2.Gadget", "org.example.h.v1.Gizmo"] {
        assert!(v2["definitions"][name].is_object(), "{name}");
    }
    let versions =
        |definition: &Value| json!({"spec": {"versions": definition["spec"]["versions"]}});

    definition["spec"]["versions"][1]["name"] = json!("v3");
    harness.merge(&path_of(&created), versions(&definition)).await.ok();
    let (v2, v3) = published(&harness, "v3").await;
    assert!(v3["org.example.g.v3.Gadget"].is_object(), "the new name");
    assert!(v2["org.example.g.v2.Gadget"].is_null(), "the old name");
    assert_eq!(harness.get("/openapi/v3/apis/g.example.org/v2").await.code, 404);
    let resource = harness.get("/apis/g.example.org/v2/namespaces/a/gadgets").await;
    assert_eq!(resource.code, 404);

    definition["spec"]["versions"][1]["served"] = json!(false);
    harness.merge(&path_of(&created), versions(&definition)).await.ok();
    let (v2, _) = published(&harness, "v1").await;
    assert!(v2["org.example.g.v3.Gadget"].is_null(), "a version that is not served");
    assert!(v2["org.example.g.v1.Gadget"].is_object(), "the others are unchanged");
    let group = harness.get("/apis/g.example.org").await.ok();
    assert_eq!(group["versions"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn specs_49_to_54_fields_are_validated_as_asked() {
    let harness = Harness::new().await;
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"},
        "cron": {"type": "string", "pattern": "^x$"}, "open": open(),
        "embedded": {"type": "object", "x-kubernetes-embedded-resource": true,
            "x-kubernetes-preserve-unknown-fields": true}}});
    harness.post(CRDS, gadgets(schema)).await.ok();
    let strict = format!("{GADGETS}?fieldValidation=Strict");
    harness.post(&strict, gadget("valid", json!({"n": 1, "cron": "x"}))).await.ok();
    harness.post(&strict, gadget("open", json!({"open": {"any": {"thing": 1}}}))).await.ok();
    let answer = harness.post(&strict, gadget("extra", json!({"m": 1}))).await;
    let message = "Gadget in version \"v1\" cannot be handled as a Gadget: strict decoding error: \
                   unknown field \"spec.m\"";
    assert_eq!(answer.refused(), (400, "BadRequest", message));
    let warn = harness.post(GADGETS, gadget("warned", json!({"m": 1}))).await;
    assert_eq!(warn.warnings, ["299 - \"unknown field \\\"spec.m\\\"\""]);
    let ignored = format!("{GADGETS}?fieldValidation=Ignore");
    let answer = harness.post(&ignored, gadget("ignored", json!({"m": 1}))).await;
    assert_eq!((answer.warnings.len(), answer.ok()["spec"].clone()), (0, json!({})));
    let twice = r#"{"apiVersion":"g.example.org/v1","kind":"Gadget","metadata":{"name":"twice"},
        "spec":{"n":1,"n":2}}"#;
    let request = Request::post(&strict).header("content-type", "application/json");
    let answer = Answer::read(harness.raw(request, Body::from(twice)).await).await;
    assert!(answer.refused().2.ends_with("duplicate field \"spec.n\""), "{}", answer.body);
    let mut odd = gadget(
        "odd",
        json!({"embedded": {"apiVersion": "v1", "kind": "Pod",
        "metadata": {"unknownSub": 1, "name": "x"}}}),
    );
    odd["metadata"]["unknownMeta"] = json!(1);
    let answer = harness.post(&strict, odd).await;
    for field in ["metadata.unknownMeta", "spec.embedded.metadata.unknownSub"] {
        let unknown = format!("unknown field \"{field}\"");
        assert!(answer.refused().2.contains(&unknown), "{}", answer.body);
    }
}

#[tokio::test(start_paused = true)]
async fn names_are_accepted_once_their_rival_goes() {
    let harness = Harness::new().await;
    let first = harness.post(CRDS, gadgets(open())).await.ok();
    let mut rival = gadgets(open());
    rival["metadata"]["name"] = json!("rivals.g.example.org");
    rival["spec"]["names"] = json!({"plural": "rivals", "kind": "Gadget", "listKind": "RivalList", "shortNames": ["gadget"]});
    let rival = harness.post(CRDS, rival).await.ok();
    let stored = harness.get(&path_of(&rival)).await.ok();
    let refused = ("False", "KindConflict", "\"Gadget\" is already in use");
    assert_eq!(condition(&stored, "NamesAccepted"), refused);
    let waiting = ("False", "NotAccepted", "not all names are accepted");
    assert_eq!(condition(&stored, "Established"), waiting);
    assert_eq!(
        stored["status"]["acceptedNames"],
        json!({"kind": "", "plural": "rivals", "listKind": "RivalList"}),
        "what is free is accepted"
    );
    assert_eq!(harness.get("/apis/g.example.org/v1/rivals").await.code, 404);
    harness.delete(&path_of(&first), Value::Null).await.ok();
    let stored = harness.get(&path_of(&rival)).await.ok();
    assert_eq!(condition(&stored, "NamesAccepted").0, "True");
    assert_eq!(condition(&stored, "Established").0, "True");
    assert_eq!(harness.get("/apis/g.example.org/v1/rivals").await.code, 200);
}

#[tokio::test(start_paused = true)]
async fn established_definitions_are_served_under_their_accepted_names() {
    let harness = Harness::new().await;
    harness.post(CRDS, gadgets(open())).await.ok();
    let mut second = gadgets(open());
    second["metadata"]["name"] = json!("others.g.example.org");
    second["spec"]["names"] = json!({"plural": "others", "kind": "Other"});
    let second = harness.post(CRDS, second).await.ok();
    let names = json!({"spec": {"names": {"shortNames": ["gadgets"]}}});
    harness.merge(&path_of(&second), names).await.ok();
    let stored = harness.get(&path_of(&second)).await.ok();
    let refused = ("False", "ShortNamesConflict", "\"gadgets\" is already in use");
    assert_eq!(condition(&stored, "NamesAccepted"), refused);
    assert_eq!(condition(&stored, "Established").0, "True");
    let list = harness.get("/apis/g.example.org/v1").await.ok();
    let resources = list["resources"].as_array().unwrap();
    let other = resources.iter().find(|it| it["name"] == "others").unwrap();
    assert_eq!(other["shortNames"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn definitions_that_wait_for_instances_can_only_be_emptied() {
    let harness = Harness::new().await;
    let created = harness.post(CRDS, gadgets(open())).await.ok();
    let mut held = gadget("held", json!({}));
    held["metadata"]["finalizers"] = json!(["example.org/hold"]);
    harness.post(GADGETS, held).await.ok();
    harness.delete(&path_of(&created), Value::Null).await.ok();
    let stored = harness.get(&path_of(&created)).await.ok();
    let terminating =
        ("True", "InstanceDeletionInProgress", "CustomResource deletion is in progress");
    assert_eq!(condition(&stored, "Terminating"), terminating);
    let answer = harness.post(GADGETS, gadget("late", json!({}))).await;
    let why = "gadgets.g.example.org \"late\" is forbidden: create not allowed while custom \
               resource definition is terminating";
    assert_eq!(answer.refused(), (403, "Forbidden", why));
    let list = harness.get("/apis/g.example.org/v1").await.ok();
    let verbs = json!(["delete", "deletecollection", "get", "list", "watch"]);
    assert_eq!(list["resources"][0]["verbs"], verbs);
    let release = json!({"metadata": {"finalizers": null}});
    harness.merge(&format!("{GADGETS}/held"), release).await.ok();
    assert_eq!(harness.get(&path_of(&created)).await.code, 404);
}

#[tokio::test(start_paused = true)]
async fn groups_of_kubernetes_need_an_approval() {
    let harness = Harness::new().await;
    let mut definition = gadgets(open());
    definition["metadata"]["name"] = json!("gadgets.g.k8s.io");
    definition["spec"]["group"] = json!("g.k8s.io");
    assert_eq!(harness.post(CRDS, definition.clone()).await.code, 422);
    definition["metadata"]["annotations"] =
        json!({"api-approved.kubernetes.io": "unapproved, test"});
    let created = harness.post(CRDS, definition).await.ok();
    let stored = harness.get(&path_of(&created)).await.ok();
    let judged = ("False", "UnapprovedAnnotation", "not approved: \"unapproved, test\"");
    assert_eq!(condition(&stored, "KubernetesAPIApprovalPolicyConformant"), judged);
    let drop = json!({"metadata": {"annotations": {"api-approved.kubernetes.io": null}}});
    assert_eq!(harness.merge(&path_of(&created), drop).await.code, 422);
}

#[tokio::test(start_paused = true)]
async fn selectable_fields_follow_the_definition() {
    let harness = Harness::new().await;
    let text = json!({"type": "string"});
    let schema = json!({"type": "object", "properties": {"a": text, "b": text}});
    let mut definition = gadgets(schema);
    definition["spec"]["versions"][0]["selectableFields"] = json!([{"jsonPath": ".spec.a"}]);
    let created = harness.post(CRDS, definition.clone()).await.ok();
    for (name, a, b) in [("x", "1", "1"), ("y", "1", "2"), ("z", "2", "2")] {
        harness.post(GADGETS, gadget(name, json!({"a": a, "b": b}))).await.ok();
    }
    let by = |field: &str| format!("{GADGETS}?fieldSelector=spec.{field}");
    assert_eq!(names(&harness.get(&by("a%3D1")).await.ok()), ["x", "y"]);
    let message = "field label not supported: spec.b";
    assert_eq!(harness.get(&by("b%3D2")).await.refused(), (400, "BadRequest", message));
    definition["spec"]["versions"][0]["selectableFields"] = json!([{"jsonPath": ".spec.b"}]);
    let versions = json!({"spec": {"versions": definition["spec"]["versions"]}});
    harness.merge(&path_of(&created), versions).await.ok();
    assert_eq!(names(&harness.get(&by("b%3D2")).await.ok()), ["y", "z"]);
    let page = harness.get(&format!("{}&limit=1", by("b%3D2"))).await.ok();
    assert_eq!(names(&page), ["y"]);
    let next = page["metadata"]["continue"].as_str().unwrap();
    let rest = harness.get(&format!("{}&limit=1&continue={next}", by("b%3D2"))).await.ok();
    assert_eq!(names(&rest), ["z"]);
    assert_eq!(harness.get(&by("a%3D1")).await.code, 400);
}

#[tokio::test(start_paused = true)]
async fn deprecated_versions_warn_in_every_answer() {
    let harness = Harness::new().await;
    let mut definition = gadgets(open());
    definition["spec"]["versions"][0]["deprecated"] = json!(true);
    harness.post(CRDS, definition).await.ok();
    let warning = ["299 - \"g.example.org/v1 Gadget is deprecated\""];
    assert_eq!(harness.get(GADGETS).await.warnings, warning);
    assert_eq!(harness.get(&format!("{GADGETS}/none")).await.warnings, warning);
}

#[tokio::test(start_paused = true)]
async fn watches_end_when_their_definition_goes() {
    let harness = Harness::new().await;
    let created = harness.post(CRDS, gadgets(open())).await.ok();
    harness.post(GADGETS, gadget("x", json!({}))).await.ok();
    let mut watch = harness.watch(&format!("{GADGETS}?watch=1")).await;
    assert_eq!(watch.names(1).await, ["ADDED x"]);
    harness.delete(&path_of(&created), Value::Null).await.ok();
    assert_eq!(watch.names(1).await, ["DELETED x"]);
    assert_eq!(watch.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn unknown_subresources_and_scopes_are_not_found() {
    let harness = Harness::new().await;
    harness.post(CRDS, gadgets(open())).await.ok();
    harness.post(GADGETS, gadget("x", json!({}))).await.ok();
    let answer = harness.get(&format!("{GADGETS}/x/status")).await;
    let message = "gadgets.g.example.org \"x\" not found";
    assert_eq!(answer.refused(), (404, "NotFound", message));
    let everywhere = "/apis/g.example.org/v1/gadgets";
    let answer = harness.post(everywhere, gadget("y", json!({}))).await;
    assert_eq!((answer.code.as_u16(), answer.body), (404, json!("404 page not found\n")));
}
