use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::apiserver::{Options, Profile};
use crate::clock::Clock;
use crate::machinery::builtin;

fn definition(name: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{name}s.example.com"), "generation": 1, "uid": "u"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": format!("{name}s"), "kind": capital(name)},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {
                "openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {"n": {"type": "integer"}}},
                }},
            }}],
        },
    })
}

fn capital(name: &str) -> String {
    name[..1].to_uppercase() + &name[1..]
}

fn server() -> ApiServer {
    let definitions = builtin::definitions().into_iter().filter(|it| &*it.group == GROUP).collect();
    let options = Options::new(Clock::wall());
    ApiServer::new(&Profile::new(definitions), options)
}

/// Stores a definition as the engine would.
fn create(server: &ApiServer, mut object: Value) {
    rules::default(&mut object, None);
    assert_eq!(crd::validate(&object, None), []);
    let key = key(server).unwrap();
    let event = server.store().create(&key, draft(object, Box::default(), 0).unwrap()).unwrap();
    committed(server, &event);
}

fn update(server: &ApiServer, name: &str, change: impl FnOnce(&mut Value)) {
    let (entry, mut object) = stored(server, name).unwrap();
    change(&mut object);
    let draft = rewrite(&entry, object).unwrap();
    let event = server.store().update(&key(server).unwrap(), entry.revision, draft).unwrap();
    committed(server, &event);
}

fn stored(server: &ApiServer, name: &str) -> Option<(Arc<Entry>, Value)> {
    let entry = server.store().get(&key(server).unwrap(), "", name)?;
    let object = serde_json::from_slice(&entry.raw).unwrap();
    Some((entry, object))
}

fn instance(server: &ApiServer, name: &str, finalizers: &[&str]) {
    let object = json!({
        "apiVersion": "example.com/v1", "kind": "Widget",
        "metadata": {"name": name, "namespace": "a", "uid": name, "finalizers": finalizers},
    });
    let key = server.resolve("example.com", "v1", "widgets").unwrap().key.clone();
    server.store().create(&key, draft(object, Box::default(), 0).unwrap()).unwrap();
}

fn request_deletion(server: &ApiServer) {
    update(server, "widgets.example.com", |object| {
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        object["metadata"]["finalizers"] = json!([CLEANUP_FINALIZER]);
    });
}

#[tokio::test]
async fn definition_is_served_and_established_at_once() {
    let server = server();
    create(&server, definition("widget"));
    assert!(server.resolve("example.com", "v1", "widgets").is_some());
    let (_, object) = stored(&server, "widgets.example.com").unwrap();
    assert_eq!(
        object["spec"]["names"],
        json!({"plural": "widgets", "kind": "Widget", "singular": "widget",
            "listKind": "WidgetList"})
    );
    assert_eq!(object["spec"]["conversion"], json!({"strategy": "None"}));
    let status = &object["status"];
    assert_eq!(status["acceptedNames"], object["spec"]["names"]);
    assert_eq!(status["storedVersions"], json!(["v1"]));
    let conditions: Vec<_> = status["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["type"].as_str().unwrap(), it["status"].as_str().unwrap()))
        .collect();
    assert_eq!(conditions, [("NamesAccepted", "True"), ("Established", "True")]);
}

#[tokio::test]
async fn taken_names_are_not_accepted_and_not_served() {
    let server = server();
    create(&server, definition("widget"));
    let mut other = definition("gadget");
    other["spec"]["names"]["shortNames"] = json!(["widget"]);
    create(&server, other);
    assert!(server.resolve("example.com", "v1", "gadgets").is_none());
    let (_, object) = stored(&server, "gadgets.example.com").unwrap();
    let condition = &object["status"]["conditions"][0];
    assert_eq!(
        (&condition["type"], &condition["status"], &condition["reason"], &condition["message"]),
        (
            &json!("NamesAccepted"),
            &json!("False"),
            &json!("ShortNamesConflict"),
            &json!("\"widget\" is already in use")
        )
    );
    assert_eq!(object["status"]["conditions"][1]["status"], "False");
}

#[tokio::test]
async fn another_version_replaces_the_first_and_is_recorded() {
    let server = server();
    create(&server, definition("widget"));
    let before = server.resources().generation;
    update(&server, "widgets.example.com", |object| {
        let old = object.clone();
        let mut second = object["spec"]["versions"][0].clone();
        second["name"] = json!("v2");
        object["spec"]["versions"][0]["storage"] = json!(false);
        object["spec"]["versions"].as_array_mut().unwrap().push(second);
        object["metadata"]["generation"] = json!(2);
        rules::default(object, Some(&old));
        assert_eq!(crd::validate(object, Some(&old)), []);
    });
    assert_ne!(server.resources().generation, before);
    assert!(server.resolve("example.com", "v2", "widgets").is_some());
    let (_, object) = stored(&server, "widgets.example.com").unwrap();
    assert_eq!(object["status"]["storedVersions"], json!(["v1", "v2"]));
    // A write of status alone changes nothing of what is served.
    let before = server.resources().generation;
    update(&server, "widgets.example.com", |object| {
        object["status"]["storedVersions"] = json!(["v2"]);
    });
    assert_eq!(server.resources().generation, before);
}

#[tokio::test]
async fn established_definitions_keep_group_scope_kind_and_stored_versions() {
    let server = server();
    create(&server, definition("widget"));
    let (_, old) = stored(&server, "widgets.example.com").unwrap();
    let check = |change: fn(&mut Value), field: &str, message: &str| {
        let mut new = old.clone();
        change(&mut new);
        let causes = crd::validate(&new, Some(&old));
        let found = causes.iter().any(|it| it.field == field && it.message == message);
        assert!(found, "{field}: {causes:?}");
    };
    check(
        |new| new["spec"]["scope"] = json!("Cluster"),
        "spec.scope",
        "Invalid value: \"Cluster\": field is immutable",
    );
    check(
        |new| new["spec"]["names"]["kind"] = json!("Widgetx"),
        "spec.names.kind",
        "Invalid value: \"Widgetx\": field is immutable",
    );
    check(
        |new| new["spec"]["versions"][0]["name"] = json!("v2"),
        "status.storedVersions[0]",
        "Invalid value: \"v1\": missing from spec.versions; v1 was previously a storage version, \
         and must remain in spec.versions until a storage migration ensures no data remains \
         persisted in v1 and removes v1 from status.storedVersions",
    );
}

#[tokio::test]
async fn deleted_definition_takes_its_instances_along() {
    let server = server();
    create(&server, definition("widget"));
    instance(&server, "a", &[]);
    request_deletion(&server);
    assert!(stored(&server, "widgets.example.com").is_none());
    assert!(server.resolve("example.com", "v1", "widgets").is_none());
    assert!(server.store().resources().iter().all(|key| &*key.plural != "widgets"));
}

#[tokio::test]
async fn deleted_definition_waits_for_finalizers_of_its_instances() {
    let server = server();
    create(&server, definition("widget"));
    instance(&server, "a", &["x.example.com/hold"]);
    request_deletion(&server);
    assert!(stored(&server, "widgets.example.com").is_some());
    let key = server.resolve("example.com", "v1", "widgets").unwrap().key.clone();
    let held = server.store().get(&key, "a", "a").unwrap();
    assert!(held.meta.deletion_timestamp.is_some());
    server.store().delete(&key, ("a", "a"), held.revision).unwrap();
    instance_deleted(&server, &key);
    assert!(stored(&server, "widgets.example.com").is_none());
    assert!(server.resolve("example.com", "v1", "widgets").is_none());
}

#[tokio::test]
async fn own_kinds_appear_as_established_definitions_with_labels() {
    let server = server();
    let mut object = definition("widget");
    rules::default(&mut object, None);
    let definitions = crd::definitions_of(&object).unwrap();
    let labels = |_: &ResourceDefinition| BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    for _ in 0..2 {
        install_builtin_crds(&server, &definitions, labels);
    }
    assert!(server.resolve("example.com", "v1", "widgets").is_some());
    let (entry, object) = stored(&server, "widgets.example.com").unwrap();
    assert_eq!(entry.meta.labels.get("a"), Some("b"));
    assert_eq!(object["status"]["conditions"][1]["reason"], "InitialNamesAccepted");
    assert_eq!(object["status"]["storedVersions"], json!(["v1"]));
    assert_eq!(crd::validate(&object, None), []);
    assert!(object["metadata"]["creationTimestamp"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test]
async fn rules_of_own_kinds_survive_a_new_definition() {
    let server = server();
    let mut object = definition("widget");
    rules::default(&mut object, None);
    let mut definitions = crd::definitions_of(&object).unwrap();
    definitions[0].strategy.default = Some(|_, _| {});
    install_builtin_crds(&server, &definitions, |_| BTreeMap::new());
    update(&server, "widgets.example.com", |object| {
        object["metadata"]["generation"] = json!(2);
        object["spec"]["names"]["shortNames"] = json!(["wd"]);
    });
    let resource = server.resolve("example.com", "v1", "widgets").unwrap();
    assert_eq!(&*resource.definition.short_names[0], "wd");
    assert!(resource.definition.strategy.default.is_some());
}
