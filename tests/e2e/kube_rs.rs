//! kube-rs against the engine in this process: watcher, reflector, Controller, wait, discovery,
//! apply. What such tests use is all of kube's; nothing here knows which server it talks to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use capim::embed::ControlPlane;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, ObjectMeta, Patch, PatchParams,
    PostParams,
};
use kube::core::GroupVersionKind;
use kube::discovery::{Discovery, Scope, verbs};
use kube::runtime::controller::Action;
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::{Controller, WatchStreamExt, finalizer, reflector, watcher};
use kube::{Client, ResourceExt};
use serde_json::json;

/// Longest wait for what must come to pass.
const PATIENCE: Duration = Duration::from_secs(20);

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("never: {what}"))
}

fn config_map(name: &str, key: &str, value: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        data: Some(BTreeMap::from([(key.to_owned(), value.to_owned())])),
        ..ConfigMap::default()
    }
}

/// A client over the network, as other processes have one.
async fn over_the_network(control_plane: &ControlPlane) -> Client {
    let kubeconfig = kube::config::Kubeconfig::from_yaml(&control_plane.kubeconfig()).unwrap();
    let options = Default::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    Client::try_from(config).unwrap()
}

#[tokio::test]
async fn watchers_see_every_change_in_both_ways_of_listing() {
    let control_plane = ControlPlane::start().await.unwrap();
    for client in [control_plane.client(), over_the_network(&control_plane).await] {
        for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
            let api: Api<ConfigMap> = Api::namespaced(client.clone(), "kube-public");
            let config = config.labels("watched=yes");
            let mut events = watcher(api.clone(), config).applied_objects().boxed();
            let mut object = config_map("w", "k", "1");
            object.labels_mut().insert("watched".to_owned(), "yes".to_owned());
            let created = api.create(&PostParams::default(), &object).await.unwrap();
            let seen = soon("creation", events.try_next()).await.unwrap().unwrap();
            assert_eq!(seen.resource_version(), created.resource_version());
            let patch = Patch::Merge(json!({"data": {"k": "2"}}));
            let patched = api.patch("w", &PatchParams::default(), &patch).await.unwrap();
            let seen = soon("change", events.try_next()).await.unwrap().unwrap();
            assert_eq!(seen.data, patched.data);
            api.delete("w", &DeleteParams::default()).await.unwrap();
        }
    }
    control_plane.stop().await;
}

#[tokio::test]
async fn reflectors_hold_a_copy() {
    let control_plane = ControlPlane::start().await.unwrap();
    let api: Api<ConfigMap> = Api::namespaced(control_plane.client(), "kube-public");
    for index in 0..20 {
        let object = config_map(&format!("c{index}"), "k", "v");
        api.create(&PostParams::default(), &object).await.unwrap();
    }
    let (reader, writer) = reflector::store();
    let config = watcher::Config::default().page_size(7);
    let copying = reflector(writer, watcher(api.clone(), config)).touched_objects();
    let copying = tokio::spawn(copying.for_each(|_| std::future::ready(())));
    soon("the first list", reader.wait_until_ready()).await.unwrap();
    assert_eq!(reader.state().iter().filter(|it| it.name_any().starts_with('c')).count(), 20);
    let absent = |name: &str| {
        let reader = reader.clone();
        let key = reflector::ObjectRef::new(name).within("kube-public");
        async move {
            while reader.get(&key).is_some() {
                tokio::task::yield_now().await;
            }
        }
    };
    api.delete("c7", &DeleteParams::default()).await.unwrap();
    soon("the deletion", absent("c7")).await;
    copying.abort();
    control_plane.stop().await;
}

fn widgets() -> (CustomResourceDefinition, ApiResource) {
    let definition = json!({
        "metadata": {"name": "widgets.rs.example.com"},
        "spec": {
            "group": "rs.example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {
                        "size": {"type": "integer"},
                        "ports": {"type": "array", "x-kubernetes-list-type": "map",
                            "x-kubernetes-list-map-keys": ["name"], "items": {"type": "object",
                                "required": ["name"],
                                "properties": {"name": {"type": "string"}, "port": {"type": "integer"}}}},
                    }},
                    "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
                }}}}],
        },
    });
    let gvk = GroupVersionKind::gvk("rs.example.com", "v1", "Widget");
    (
        serde_json::from_value(definition).unwrap(),
        ApiResource::from_gvk_with_plural(&gvk, "widgets"),
    )
}

async fn install_widgets(client: &Client) -> ApiResource {
    let (definition, resource) = widgets();
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    definitions.create(&PostParams::default(), &definition).await.unwrap();
    let established =
        await_condition(definitions, "widgets.rs.example.com", conditions::is_crd_established());
    soon("the definition", established).await.unwrap();
    resource
}

struct Context {
    client: Client,
    resource: ApiResource,
}

/// Gives each Widget a ConfigMap and reports it in the status.
async fn reconcile(widget: Arc<DynamicObject>, context: Arc<Context>) -> kube::Result<Action> {
    let namespace = widget.namespace().unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(context.client.clone(), &namespace);
    let name = widget.name_any();
    let owner = json!({"apiVersion": "rs.example.com/v1", "kind": "Widget", "name": name,
        "uid": widget.uid(), "controller": true});
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "ownerReferences": [owner]},
        "data": {"size": widget.data["spec"]["size"].to_string()}});
    let parameters = PatchParams::apply("widget-controller").force();
    maps.patch(&name, &parameters, &Patch::Apply(&map)).await?;
    let widgets: Api<DynamicObject> =
        Api::namespaced_with(context.client.clone(), &namespace, &context.resource);
    let status = json!({"status": {"phase": "Ready"}});
    widgets.patch_status(&name, &PatchParams::default(), &Patch::Merge(&status)).await?;
    Ok(Action::await_change())
}

#[tokio::test]
async fn controllers_reconcile_and_their_objects_are_collected() {
    let control_plane = ControlPlane::start().await.unwrap();
    let client = control_plane.client();
    let resource = install_widgets(&client).await;
    let widgets: Api<DynamicObject> = Api::namespaced_with(client.clone(), "default", &resource);
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let context = Arc::new(Context { client: client.clone(), resource: resource.clone() });
    let controller =
        Controller::new_with(widgets.clone(), watcher::Config::default(), resource.clone())
            .owns(maps.clone(), watcher::Config::default())
            .run(reconcile, |_, _, _| Action::requeue(Duration::from_millis(50)), context);
    let controller = tokio::spawn(controller.for_each(|_| std::future::ready(())));
    let widget = DynamicObject::new("w", &resource).data(json!({"spec": {"size": 3}}));
    widgets.create(&PostParams::default(), &widget).await.unwrap();
    let ready = |widget: Option<&DynamicObject>| {
        widget.is_some_and(|it| it.data["status"]["phase"] == "Ready")
    };
    soon("ready", await_condition(widgets.clone(), "w", ready)).await.unwrap();
    let map = maps.get("w").await.unwrap();
    assert_eq!(map.data.unwrap()["size"], "3");
    // The controller puts back what somebody else takes away.
    maps.delete("w", &DeleteParams::default()).await.unwrap();
    let back = await_condition(maps.clone(), "w", |map: Option<&ConfigMap>| map.is_some());
    soon("the map's return", back).await.unwrap();
    controller.abort();
    let uid = maps.get("w").await.unwrap().uid().unwrap();
    widgets.delete("w", &DeleteParams::default()).await.unwrap();
    let gone = await_condition(maps, "w", conditions::is_deleted(&uid));
    soon("garbage collection", gone).await.unwrap();
    control_plane.stop().await;
}

#[tokio::test]
async fn finalizers_are_added_run_and_removed() {
    let control_plane = ControlPlane::start().await.unwrap();
    let api: Api<ConfigMap> = Api::namespaced(control_plane.client(), "default");
    api.create(&PostParams::default(), &config_map("f", "k", "v")).await.unwrap();
    let step = async |api: &Api<ConfigMap>| {
        let object = Arc::new(api.get("f").await.unwrap());
        let outcome = finalizer(api, "rs.example.com/cleanup", object, |event| async move {
            match event {
                finalizer::Event::Apply(_) | finalizer::Event::Cleanup(_) => {
                    Ok::<_, std::convert::Infallible>(Action::await_change())
                }
            }
        });
        outcome.await.unwrap();
    };
    step(&api).await;
    assert_eq!(api.get("f").await.unwrap().finalizers(), ["rs.example.com/cleanup"]);
    let deleted = api.delete("f", &DeleteParams::default()).await.unwrap();
    assert!(deleted.left().is_some_and(|it| it.metadata.deletion_timestamp.is_some()));
    step(&api).await;
    assert!(api.get_opt("f").await.unwrap().is_none());
    control_plane.stop().await;
}

#[tokio::test]
async fn discovery_finds_built_in_and_custom_kinds() {
    let control_plane = ControlPlane::start().await.unwrap();
    let client = control_plane.client();
    install_widgets(&client).await;
    for discovery in [
        Discovery::new(client.clone()).run().await.unwrap(),
        Discovery::new(client.clone()).run_aggregated().await.unwrap(),
    ] {
        let (resource, capabilities) = discovery
            .resolve_gvk(&GroupVersionKind::gvk("rs.example.com", "v1", "Widget"))
            .unwrap();
        assert_eq!((&*resource.plural, &capabilities.scope), ("widgets", &Scope::Namespaced));
        assert!(capabilities.supports_operation(verbs::WATCH));
        let deployment = GroupVersionKind::gvk("apps", "v1", "Deployment");
        let (_, capabilities) = discovery.resolve_gvk(&deployment).unwrap();
        let subresources: Vec<&str> =
            capabilities.subresources.iter().map(|(it, _)| &*it.plural).collect();
        assert!(subresources.iter().any(|name| name.ends_with("scale")), "{subresources:?}");
    }
    let version = client.apiserver_version().await.unwrap();
    assert_eq!((&*version.major, &*version.minor), ("1", "36"));
    control_plane.stop().await;
}

#[tokio::test]
async fn apply_conflicts_until_forced() {
    let control_plane = ControlPlane::start().await.unwrap();
    let client = control_plane.client();
    let resource = install_widgets(&client).await;
    let api: Api<DynamicObject> = Api::namespaced_with(client, "default", &resource);
    let widget = |size: i64, port: i64| {
        json!({"apiVersion": "rs.example.com/v1", "kind": "Widget", "metadata": {"name": "w"},
            "spec": {"size": size, "ports": [{"name": "a", "port": port}]}})
    };
    let apply = async |manager: &str, force: bool, object: serde_json::Value| {
        let mut parameters = PatchParams::apply(manager);
        parameters.force = force;
        api.patch("w", &parameters, &Patch::Apply(&object)).await
    };
    let created = apply("one", false, widget(1, 80)).await.unwrap();
    let same = apply("one", false, widget(1, 80)).await.unwrap();
    assert_eq!(same.resource_version(), created.resource_version());
    let conflict = apply("two", false, widget(1, 81)).await.unwrap_err();
    let kube::Error::Api(status) = conflict else { panic!("{conflict}") };
    assert_eq!((status.code, &*status.reason), (409, "Conflict"));
    assert!(status.message.contains(r#".spec.ports[name="a"].port"#), "{}", status.message);
    let forced = apply("two", true, widget(1, 81)).await.unwrap();
    assert_eq!(forced.data["spec"]["ports"][0]["port"], 81);
    assert_eq!(forced.managed_fields().len(), 2);
    // What the first owner alone had goes when it lets go.
    let bare = json!({"apiVersion": "rs.example.com/v1", "kind": "Widget",
        "metadata": {"name": "w"}});
    apply("two", true, bare.clone()).await.unwrap();
    let left = apply("one", false, bare).await.unwrap();
    assert!(left.data.get("spec").is_none_or(|spec| spec == &json!({})), "{}", left.data);
    control_plane.stop().await;
}

#[tokio::test]
async fn lists_are_paged_and_errors_typed() {
    let control_plane = ControlPlane::start().await.unwrap();
    let api: Api<ConfigMap> = Api::namespaced(control_plane.client(), "kube-public");
    for index in 0..5 {
        let object = config_map(&format!("p{index}"), "k", "v");
        api.create(&PostParams::default(), &object).await.unwrap();
    }
    let (mut names, mut token) = (Vec::new(), None);
    loop {
        let mut parameters =
            ListParams::default().limit(2).fields("metadata.name!=kube-root-ca.crt");
        parameters.continue_token = token;
        let page = api.list(&parameters).await.unwrap();
        names.extend(page.items.iter().map(ResourceExt::name_any));
        token = page.metadata.continue_.filter(|token| !token.is_empty());
        if token.is_none() {
            break;
        }
    }
    assert_eq!(names, ["p0", "p1", "p2", "p3", "p4"]);
    let code = |error: kube::Error| match error {
        kube::Error::Api(status) => (status.code, status.reason.clone()),
        other => panic!("{other}"),
    };
    let exists = api.create(&PostParams::default(), &config_map("p0", "k", "v")).await;
    assert_eq!(code(exists.unwrap_err()), (409, "AlreadyExists".to_owned()));
    let mut stale = api.get("p0").await.unwrap();
    stale.metadata.resource_version = Some("1".to_owned());
    let stale = api.replace("p0", &PostParams::default(), &stale).await;
    assert_eq!(code(stale.unwrap_err()), (409, "Conflict".to_owned()));
    let pod: Pod =
        serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": {"containers": []}}))
            .unwrap();
    let pods: Api<Pod> = Api::namespaced(control_plane.client(), "default");
    let invalid = pods.create(&PostParams::default(), &pod).await;
    assert_eq!(code(invalid.unwrap_err()), (422, "Invalid".to_owned()));
    let metadata = api.list_metadata(&ListParams::default()).await.unwrap();
    assert!(metadata.items.iter().any(|it| it.name_any() == "p3"));
    control_plane.stop().await;
}
