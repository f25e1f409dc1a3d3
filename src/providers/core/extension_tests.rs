//! Managed topologies with a runtime extension: a real HTTPS server, the core controllers and
//! nobody who builds infrastructure.

use std::time::Duration;

use serde_json::{Value, json};

use super::extensionconfig::tests::{Fixture, condition};
use crate::api::controlplane::KubeadmControlPlane;
use crate::api::core::{Cluster, Machine};
use crate::apiserver::test_server::Reaction;
use crate::client::{ObjectKey, Propagation};
use crate::extensions::Hook;
use crate::extensions::test_extension::{TestExtension, success};

const CLASS: &str = "/apis/cluster.x-k8s.io/v1beta2/namespaces/default/clusterclasses";
const CLUSTERS: &str = "/apis/cluster.x-k8s.io/v1beta2/namespaces/default/clusters";
const INFRASTRUCTURE: &str = "/apis/infrastructure.cluster.x-k8s.io/v1beta2/namespaces/default";
const CONTROL_PLANES: &str = "/apis/controlplane.cluster.x-k8s.io/v1beta2/namespaces/default";
const FAMILY: &str = "/status/conditions";

fn template_ref(group: &str, kind: &str) -> Value {
    json!({"templateRef":
        {"apiVersion": format!("{group}.cluster.x-k8s.io/v1beta2"), "kind": kind, "name": "class"}})
}

/// A class without workers, with these patches.
async fn create_class(fixture: &Fixture, patches: Value) {
    let metadata = json!({"name": "class", "namespace": "default"});
    let templates = [
        (INFRASTRUCTURE, "devclustertemplates", "DevClusterTemplate", json!({})),
        (INFRASTRUCTURE, "devmachinetemplates", "DevMachineTemplate", json!({})),
        (
            CONTROL_PLANES,
            "kubeadmcontrolplanetemplates",
            "KubeadmControlPlaneTemplate",
            json!({"kubeadmConfigSpec": {"preKubeadmCommands": ["true"]}}),
        ),
    ];
    for (path, plural, kind, spec) in templates {
        let group = path.split('/').nth(2).unwrap();
        let template = json!({"apiVersion": format!("{group}/v1beta2"), "kind": kind,
            "metadata": metadata, "spec": {"template": {"spec": spec}}});
        fixture.client.create_json(&format!("{path}/{plural}"), &template).await.unwrap();
    }
    let mut control_plane = template_ref("controlplane", "KubeadmControlPlaneTemplate");
    control_plane["machineInfrastructure"] = template_ref("infrastructure", "DevMachineTemplate");
    let mut class = json!({"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "ClusterClass",
        "metadata": metadata, "spec": {
            "infrastructure": template_ref("infrastructure", "DevClusterTemplate"),
            "controlPlane": control_plane, "workers": {}}});
    class["spec"].as_object_mut().unwrap().remove("workers");
    if patches != json!([]) {
        class["spec"]["patches"] = patches;
    }
    fixture.client.create_json(CLASS, &class).await.unwrap();
}

async fn create_cluster(fixture: &Fixture) {
    let cluster = json!({"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster",
        "metadata": {"name": "c", "namespace": "default"},
        "spec": {"topology": {"classRef": {"name": "class"}, "version": "v1.34.0",
            "controlPlane": {"replicas": 1}}}});
    fixture.client.create_json(CLUSTERS, &cluster).await.unwrap();
}

/// An extension that is registered with these hooks.
async fn register(fixture: &Fixture, extension: &TestExtension, hook: Hook) {
    fixture.client.create(&extension.config("ext")).await.unwrap();
    fixture.until_handled(hook, 1).await;
}

/// Waits until an object shows something.
async fn until(fixture: &Fixture, path: &str, what: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    let shown = async {
        loop {
            if let Ok(object) = fixture.client.get_json(path).await {
                last = object;
                if what(&last) {
                    return;
                }
            }
            fixture.clock.sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = fixture.clock.timeout(Duration::from_secs(20), shown).await;
    assert!(in_time.is_ok(), "{last:#}");
    last
}

/// Waits until the Cluster says this about its topology.
async fn until_reconciled(fixture: &Fixture, status: &str, reason: &str) -> String {
    let is_so = |cluster: &Value| {
        let conditions = cluster.pointer(FAMILY).and_then(Value::as_array);
        let mut found = conditions.into_iter().flatten();
        found.any(|it| {
            it["type"] == "TopologyReconciled" && it["status"] == status && it["reason"] == reason
        })
    };
    let cluster = until(fixture, &format!("{CLUSTERS}/c"), is_so).await;
    condition(&cluster, FAMILY, "TopologyReconciled")["message"].as_str().unwrap().to_owned()
}

async fn list(fixture: &Fixture, path: &str) -> Vec<Value> {
    fixture.client.get_json(path).await.unwrap()["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_hook_holds_the_creation_of_a_cluster() {
    let (fixture, extension) = (Fixture::start().await, TestExtension::start().await);
    extension.on(Hook::BeforeClusterCreate, |_| {
        success(json!({"message": "not yet", "retryAfterSeconds": 1}))
    });
    register(&fixture, &extension, Hook::BeforeClusterCreate).await;
    create_class(&fixture, json!([])).await;
    create_cluster(&fixture).await;
    let message = until_reconciled(&fixture, "False", "ClusterCreating").await;
    assert_eq!(
        message,
        "Following hooks are blocking Cluster topology creation: BeforeClusterCreate: not yet"
    );
    assert_eq!(list(&fixture, &format!("{INFRASTRUCTURE}/devclusters")).await, Vec::<Value>::new());
    let request = &extension.received(Hook::BeforeClusterCreate)[0].body;
    assert_eq!(request["kind"], "BeforeClusterCreateRequest");
    assert_eq!(request["cluster"]["metadata"]["name"], "c");
    assert_eq!(request["cluster"]["spec"]["topology"]["version"], "v1.34.0");
    assert_eq!(request["cluster"].get("status"), None);
    extension.on(Hook::BeforeClusterCreate, |_| success(json!({})));
    until_reconciled(&fixture, "True", "ReconcileSucceeded").await;
    let made = list(&fixture, &format!("{INFRASTRUCTURE}/devclusters")).await;
    assert_eq!(made.len(), 1);
    let cluster = fixture.client.get_json(&format!("{CLUSTERS}/c")).await.unwrap();
    assert_eq!(
        cluster["metadata"]["annotations"]["runtime.cluster.x-k8s.io/pending-hooks"],
        "AfterControlPlaneInitialized"
    );
    fixture.stop().await;
}

#[tokio::test]
async fn a_hook_that_fails_is_told_and_changes_nothing() {
    let (fixture, extension) = (Fixture::start().await, TestExtension::with_timeout(1).await);
    extension.on(Hook::BeforeClusterCreate, |_| Reaction::Silence);
    register(&fixture, &extension, Hook::BeforeClusterCreate).await;
    create_class(&fixture, json!([])).await;
    create_cluster(&fixture).await;
    let message = until_reconciled(&fixture, "False", "ReconcileFailed").await;
    let url = extension
        .server
        .url("/hooks.runtime.cluster.x-k8s.io/v1alpha1/beforeclustercreate/beforeclustercreate");
    assert_eq!(
        message,
        format!(
            "failed to call extension handlers for hook \
             \"BeforeClusterCreate.hooks.runtime.cluster.x-k8s.io\": failed to call extension \
             handler \"beforeclustercreate.ext\": http call failed: Post \"{url}?timeout=1s\": \
             context deadline exceeded"
        )
    );
    assert_eq!(list(&fixture, &format!("{INFRASTRUCTURE}/devclusters")).await, Vec::<Value>::new());
    fixture.stop().await;
}

#[tokio::test]
async fn a_hook_holds_the_deletion_of_a_cluster() {
    let (fixture, extension) = (Fixture::start().await, TestExtension::start().await);
    extension.on(Hook::BeforeClusterDelete, |_| {
        success(json!({"message": "backup first", "retryAfterSeconds": 1}))
    });
    register(&fixture, &extension, Hook::BeforeClusterDelete).await;
    create_class(&fixture, json!([])).await;
    create_cluster(&fixture).await;
    until_reconciled(&fixture, "True", "ReconcileSucceeded").await;
    let key = ObjectKey::new("default", "c");
    fixture.client.delete::<Cluster>(&key, Propagation::Default).await.unwrap();
    let is_waiting = |cluster: &Value| {
        let conditions = cluster.pointer(FAMILY).and_then(Value::as_array);
        let mut found = conditions.into_iter().flatten();
        found.any(|it| it["reason"] == "WaitingForBeforeDeleteHook")
    };
    let cluster = until(&fixture, &format!("{CLUSTERS}/c"), is_waiting).await;
    let deleting = condition(&cluster, FAMILY, "Deleting");
    assert_eq!(deleting["message"], "Waiting for BeforeClusterDelete hook");
    let message = until_reconciled(&fixture, "False", "Deleting").await;
    assert_eq!(
        message,
        "Cluster is deleting. Following hooks are blocking delete: BeforeClusterDelete: backup first"
    );
    let made = list(&fixture, &format!("{INFRASTRUCTURE}/devclusters")).await;
    assert_eq!(made[0]["metadata"].get("deletionTimestamp"), None);
    extension.on(Hook::BeforeClusterDelete, |_| success(json!({})));
    let is_going = |list: &Value| list["items"] == json!([]);
    until(&fixture, &format!("{INFRASTRUCTURE}/devclusters"), is_going).await;
    fixture.stop().await;
}

#[tokio::test]
async fn hooks_go_along_with_an_upgrade() {
    let (fixture, extension) = (Fixture::start().await, TestExtension::start().await);
    extension.on(Hook::BeforeClusterUpgrade, |_| {
        success(json!({"message": "not now", "retryAfterSeconds": 1}))
    });
    extension.on(Hook::BeforeControlPlaneUpgrade, |_| success(json!({})));
    extension.on(Hook::AfterControlPlaneUpgrade, |_| success(json!({})));
    register(&fixture, &extension, Hook::BeforeClusterUpgrade).await;
    create_class(&fixture, json!([])).await;
    create_cluster(&fixture).await;
    until_reconciled(&fixture, "True", "ReconcileSucceeded").await;
    let path = format!("{CONTROL_PLANES}/kubeadmcontrolplanes");
    let control_plane = list(&fixture, &path).await[0].clone();
    let name = control_plane["metadata"]["name"].as_str().unwrap().to_owned();
    let key = ObjectKey::new("default", name.as_str());
    let run = async |version: &str| {
        let status = json!({"status": {"version": version, "replicas": 1, "readyReplicas": 1,
            "availableReplicas": 1, "upToDateReplicas": 1,
            "initialization": {"controlPlaneInitialized": true}}});
        let client = &fixture.client;
        client.merge_patch::<KubeadmControlPlane>(&key, "status", &status).await.unwrap();
    };
    run("v1.34.0").await;
    let change = json!({"spec": {"topology": {"version": "v1.35.0"}}});
    let cluster = ObjectKey::new("default", "c");
    fixture.client.merge_patch::<Cluster>(&cluster, "", &change).await.unwrap();
    let message = until_reconciled(&fixture, "False", "ClusterUpgrading").await;
    assert!(
        message.contains("Following hooks are blocking upgrade: BeforeClusterUpgrade: not now"),
        "{message}"
    );
    let request = &extension.received(Hook::BeforeClusterUpgrade)[0].body;
    assert_eq!(request["fromKubernetesVersion"], "v1.34.0");
    assert_eq!(request["toKubernetesVersion"], "v1.35.0");
    assert_eq!(request["controlPlaneUpgrades"], json!([{"version": "v1.35.0"}]));
    assert_eq!(request.get("workersUpgrades"), None);
    extension.on(Hook::BeforeClusterUpgrade, |_| success(json!({})));
    let path = format!("{path}/{name}");
    until(&fixture, &path, |it| it["spec"]["version"] == "v1.35.0").await;
    assert_eq!(extension.received(Hook::BeforeControlPlaneUpgrade).len(), 1);
    run("v1.35.0").await;
    // Once the control plane runs and is upgraded, no hook is left to be called.
    let is_done = |cluster: &Value| {
        let annotations = &cluster["metadata"]["annotations"];
        annotations.get("runtime.cluster.x-k8s.io/pending-hooks").is_none()
    };
    until(&fixture, &format!("{CLUSTERS}/c"), is_done).await;
    assert_eq!(extension.received(Hook::AfterControlPlaneUpgrade).len(), 1);
    fixture.stop().await;
}

#[tokio::test]
async fn an_external_patch_changes_templates() {
    let (fixture, extension) = (Fixture::start().await, TestExtension::start().await);
    extension.on(Hook::GeneratePatches, |body| {
        let items = body["items"].as_array().unwrap();
        let of_cluster = |item: &&Value| item["object"]["kind"] == "DevClusterTemplate";
        let uid = items.iter().find(of_cluster).unwrap()["uid"].clone();
        let host = body["settings"]["host"].clone();
        let patch = json!({"spec": {"template": {"spec":
            {"controlPlaneEndpoint": {"host": host, "port": 6443}}}}});
        let patch = base64(&patch.to_string());
        success(json!({"items": [{"uid": uid, "patchType": "JSONMergePatch", "patch": patch}]}))
    });
    extension.on(Hook::ValidateTopology, |body| {
        let items = body["items"].as_array().unwrap();
        assert!(items.iter().all(|item| item.get("uid").is_none()));
        success(json!({}))
    });
    register(&fixture, &extension, Hook::GeneratePatches).await;
    let patch = json!([{"name": "endpoint", "external": {
        "generatePatchesExtension": "generatepatches.ext",
        "validateTopologyExtension": "validatetopology.ext",
        "settings": {"host": "10.0.0.1"}}}]);
    create_class(&fixture, patch).await;
    create_cluster(&fixture).await;
    until_reconciled(&fixture, "True", "ReconcileSucceeded").await;
    let made = list(&fixture, &format!("{INFRASTRUCTURE}/devclusters")).await;
    assert_eq!(made[0]["spec"]["controlPlaneEndpoint"]["host"], "10.0.0.1");
    let request = &extension.received(Hook::GeneratePatches)[0].body;
    assert_eq!(request["settings"], json!({"from": "config", "host": "10.0.0.1"}));
    assert!(!extension.received(Hook::ValidateTopology).is_empty());
    // What an extension refuses does not get into the cluster.
    extension.on(Hook::ValidateTopology, |_| {
        Reaction::Json(json!({"status": "Failure", "message": "too small"}))
    });
    let change = json!({"metadata": {"labels": {"a": "b"}}});
    let key = ObjectKey::new("default", "c");
    fixture.client.merge_patch::<Cluster>(&key, "", &change).await.unwrap();
    let message = until_reconciled(&fixture, "False", "ReconcileFailed").await;
    assert!(
        message.ends_with(
            "validation of patch \"endpoint\" failed: failed to call extension handler \
             \"validatetopology.ext\": got failure response with message: too small"
        ),
        "{message}"
    );
    fixture.stop().await;
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[tokio::test]
async fn variables_of_external_patches_are_discovered() {
    let (fixture, extension) = (Fixture::start().await, TestExtension::start().await);
    extension.on(Hook::DiscoverVariables, |_| {
        success(json!({"variables": [{"name": "size", "required": true,
            "schema": {"openAPIV3Schema": {"type": "integer"}}}]}))
    });
    register(&fixture, &extension, Hook::DiscoverVariables).await;
    let patch = json!([{"name": "sizes",
        "external": {"generatePatchesExtension": "generatepatches.ext",
            "discoverVariablesExtension": "discovervariables.ext"}}]);
    create_class(&fixture, patch).await;
    let path = format!("{CLASS}/class");
    let class = until(&fixture, &path, |class| class["status"]["variables"].is_array()).await;
    assert_eq!(
        class["status"]["variables"],
        json!([{"name": "size", "definitionsConflict": false, "definitions": [{"from": "sizes",
            "required": true, "schema": {"openAPIV3Schema": {"type": "integer"}}}]}])
    );
    fixture.stop().await;
}

#[tokio::test]
async fn a_machine_is_updated_in_place_by_an_extension() {
    const MARK: &str = "in-place-updates.internal.cluster.x-k8s.io/update-in-progress";
    let (fixture, extension) = (Fixture::start().await, TestExtension::start().await);
    extension.on(Hook::UpdateMachine, |_| {
        success(json!({"message": "half way", "retryAfterSeconds": 1}))
    });
    register(&fixture, &extension, Hook::UpdateMachine).await;
    let cluster = json!({"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster",
        "metadata": {"name": "c", "namespace": "default"}, "spec": {"infrastructureRef":
            {"apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "DevCluster", "name": "c"}}});
    fixture.client.create_json(CLUSTERS, &cluster).await.unwrap();
    let infra_machine = json!({"apiVersion": "infrastructure.cluster.x-k8s.io/v1beta2",
        "kind": "DevMachine", "metadata": {"name": "m", "namespace": "default",
            "annotations": {MARK: ""}}, "spec": {"providerID": "dev://m"}});
    let path = format!("{INFRASTRUCTURE}/devmachines");
    fixture.client.create_json(&path, &infra_machine).await.unwrap();
    let machine: Machine = serde_json::from_value(json!({
        "metadata": {"name": "m", "namespace": "default", "annotations": {MARK: "",
            "runtime.cluster.x-k8s.io/pending-hooks": "UpdateMachine"}},
        "spec": {"clusterName": "c", "bootstrap": {"dataSecretName": "data"}, "infrastructureRef":
            {"apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "DevMachine", "name": "m"}}}))
    .unwrap();
    fixture.client.create(&machine).await.unwrap();
    let status = json!({"status": {"initialization": {"infrastructureProvisioned": true,
        "bootstrapDataSecretCreated": true}, "nodeRef": {"name": "m"}}});
    let key = ObjectKey::new("default", "m");
    fixture.client.merge_patch::<Machine>(&key, "status", &status).await.unwrap();
    let path = "/apis/cluster.x-k8s.io/v1beta2/namespaces/default/machines/m";
    let has = |status: &'static str, message: &'static str| {
        move |machine: &Value| {
            let conditions = machine.pointer(FAMILY).and_then(Value::as_array);
            let mut found = conditions.into_iter().flatten();
            found.any(|it| {
                it["type"] == "Updating" && it["status"] == status && it["message"] == message
            })
        }
    };
    until(&fixture, path, has("True", "In-place update in progress: half way")).await;
    let request = &extension.received(Hook::UpdateMachine)[0].body;
    assert_eq!(request["desired"]["machine"]["kind"], "Machine");
    assert_eq!(request["desired"]["infrastructureMachine"]["spec"]["providerID"], "dev://m");
    assert_eq!(request["desired"].get("bootstrapConfig"), None);
    extension.on(Hook::UpdateMachine, |_| success(json!({})));
    let machine = until(&fixture, path, has("False", "")).await;
    let annotations = &machine["metadata"]["annotations"];
    assert_eq!(annotations.get("runtime.cluster.x-k8s.io/pending-hooks"), None);
    let is_clean = |object: &Value| object["metadata"]["annotations"].get(MARK).is_none();
    until(&fixture, path, is_clean).await;
    until(&fixture, &format!("{INFRASTRUCTURE}/devmachines/m"), is_clean).await;
    fixture.stop().await;
}
