//! What is wrong with a class or a Cluster, and how it is told.

use super::*;

const TEMPLATE: &str = "bootstrap.cluster.x-k8s.io/v1beta2";

/// A patch of the workers' bootstrap template.
fn patch(operation: Value) -> Value {
    json!([{
        "name": "broken",
        "definitions": [{
            "selector": {
                "apiVersion": TEMPLATE,
                "kind": "KubeadmConfigTemplate",
                "matchResources": {"machineDeploymentClass": {"names": ["default-worker"]}},
            },
            "jsonPatches": [operation],
        }],
    }])
}

fn enabled_if(text: &str) -> Value {
    let mut patches = patch(json!({"op": "add", "path": "/spec/template/spec/files", "value": []}));
    patches[0]["enabledIf"] = json!(text);
    patches
}

fn from_template(text: &str) -> Value {
    patch(json!({
        "op": "add", "path": "/spec/template/spec/files", "valueFrom": {"template": text},
    }))
}

/// Condition types of a Cluster, and messages of its Events.
async fn told(test: &Test, name: &str) -> (Vec<String>, Vec<String>) {
    let conditions = test.cluster(name).await.status.unwrap_or_default().conditions;
    let mut types: Vec<String> = conditions.into_iter().map(|one| one.type_).collect();
    types.sort();
    let events = test.client().list::<k8s_openapi::api::core::v1::Event>("default", "").await;
    let events = events.unwrap().into_iter();
    let events = events.filter(|event| event.involved_object.name.as_deref() == Some(name));
    (types, events.filter_map(|event| event.message).collect())
}

#[tokio::test(start_paused = true)]
async fn a_cluster_without_its_class_says_so_and_nothing_else() {
    let test = Test::start().await;
    let mut all = manifests(INSTANT, |object| {
        if object["kind"] == "Cluster" {
            object["spec"]["topology"]["classRef"]["name"] = json!("missing");
        }
    });
    let cluster = all.pop().unwrap();
    test.apply(&[cluster]).await;
    test.pass(60).await;
    assert_eq!(
        test.reconciled("instant-1").await,
        (
            "ReconcileFailed".to_owned(),
            "failed to retrieve ClusterClass default/missing: ClusterClass.cluster.x-k8s.io \
             \"missing\" not found"
                .to_owned()
        )
    );
    let (types, events) = told(&test, "instant-1").await;
    // As upstream: without its class the Cluster cannot be changed, and so gets no finalizer.
    assert_eq!(types, ["TopologyReconciled"]);
    assert_eq!(events, Vec::<String>::new());
    let cluster = test.cluster("instant-1").await;
    assert_eq!((cluster.metadata.finalizers, cluster.status.unwrap().phase), (None, String::new()));
    // The class comes late.
    all.iter_mut().filter(|one| one.object["kind"] == "ClusterClass").for_each(|class| {
        class.object["metadata"]["name"] = json!("missing");
    });
    test.apply(&all).await;
    test.available(1).await;
    test.playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn faults_of_patches_are_told_in_upstreams_words() {
    let test = Test::start().await;
    test.apply(&manifests(INSTANT, |_| {})).await;
    test.available(1).await;
    let patches = "error computing the desired state of the Cluster topology: failed to apply \
                   patches: failed to generate patches for patch \"broken\": ";
    let missing = patch(json!({"op": "remove", "path": "/spec/template/spec/nowhere"}));
    let faults = [
        (
            missing,
            "error computing the desired state of the Cluster topology: failed to apply patches: \
             failed to apply patches for patch \"broken\": "
                .to_owned(),
            "error applying json patch (RFC6902): error in remove for path: \
             '/spec/template/spec/nowhere': unable to remove nonexistent key: nowhere: missing value",
        ),
        (
            from_template("{{ .builtin.cluster.name.first }}"),
            patches.to_owned(),
            "can't evaluate field first in type interface {}",
        ),
        (from_template("a: b: c"), patches.to_owned(), "failed to unmarshal rendered template"),
        (enabled_if("{{ .builtin.cluster.name.first }}"), patches.to_owned(), "enabledIf"),
    ];
    for (patches, start, part) in faults {
        test.patch_class("instant", json!({ "patches": patches })).await;
        test.pass(5).await;
        let (reason, message) = test.reconciled("instant-1").await;
        assert_eq!(reason, "ReconcileFailed", "{message}");
        assert!(message.starts_with(&start) && message.contains(part), "{message}");
    }
    test.patch_class("instant", json!({ "patches": null })).await;
    test.pass(5).await;
    assert_eq!(test.reconciled("instant-1").await.0, "ReconcileSucceeded");
    test.playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_missing_template_stops_the_clusters_of_its_class_alone() {
    let test = Test::start().await;
    test.apply(&manifests(INSTANT, |_| {})).await;
    test.apply(&manifests(CLOUD, |_| {})).await;
    test.available(2).await;
    let mut class = manifests(INSTANT, |_| {})
        .into_iter()
        .find(|manifest| manifest.object["kind"] == "ClusterClass")
        .unwrap();
    let workers = &mut class.object["spec"]["workers"];
    workers["machineDeployments"][0]["bootstrap"]["templateRef"]["name"] = json!("nope");
    test.apply(&[class]).await;
    test.pass(5).await;
    assert_eq!(
        test.reconciled("instant-1").await,
        (
            "ReconcileFailed".to_owned(),
            "ClusterClass is not successfully reconciled: ClusterClass.status.observedGeneration \
             must be 2, but is 1"
                .to_owned()
        )
    );
    let before = test.machines().await.len();
    let scaled = json!({"spec": {"topology": {"workers": {"machineDeployments": [
        {"class": "default-worker", "name": "md-0", "replicas": 3},
        {"class": "spot-worker", "name": "spot", "replicas": 1}]}}}});
    test.patch_cluster("cloud-1", scaled).await;
    test.until("the other class's Cluster scales", async || {
        test.machines().await.len() == before + 1
    })
    .await;
    assert_eq!(test.reconciled("cloud-1").await.0, "ReconcileSucceeded");
    test.playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn values_that_do_not_fit_are_refused_in_upstreams_words() {
    let test = Test::start().await;
    test.apply(&manifests(CLOUD, |object| {
        if object["kind"] == "Cluster" {
            object["spec"]["paused"] = json!(true);
        }
    }))
    .await;
    let key = ObjectKey::new("default", "cloud-1");
    let refused = async |topology: Value| {
        let patch = json!({"spec": {"topology": topology}});
        let answer = test.client().merge_patch::<Cluster>(&key, "", &patch).await;
        answer.map(drop).unwrap_err().to_string()
    };
    let unknown = refused(json!({"variables": [{"name": "nope", "value": 1}]})).await;
    let path = "spec.topology.variables[nope]: Invalid value: \"1\": variable is not defined";
    assert!(unknown.contains(path), "{unknown}");
    let ill_typed = refused(json!({"variables": [{"name": "workerTaints", "value": "yes"}]})).await;
    let path = "spec.topology.variables[workerTaints].value: Invalid value: \"\\\"yes\\\"\": must \
                be of type boolean: \"string\"";
    assert!(ill_typed.contains(path), "{ill_typed}");
    let twice =
        json!([{"name": "workerTaints", "value": true}, {"name": "workerTaints", "value": true}]);
    let twice = refused(json!({ "variables": twice })).await;
    assert!(twice.contains("Duplicate value") || twice.contains("more than once"), "{twice}");
    let version = refused(json!({"version": "v1.37.0"})).await;
    let path = "spec.topology.version: Invalid value: \"v1.37.0\": version must match one of the \
                versions defined in the ClusterClass";
    assert!(version.contains(path), "{version}");
    let class = refused(json!({"workers": {"machineDeployments": [
        {"class": "nope", "name": "md-0", "replicas": 1}]}}))
    .await;
    let path = "spec.topology.workers.machineDeployments[md-0].class: Invalid value: \"nope\": \
                MachineDeploymentClass with name \"nope\" does not exist in ClusterClass \
                \"default/cloud\"";
    assert!(class.contains("MachineDeploymentClass") && class.contains("nope"), "{path}: {class}");
    test.playground.stop().await;
}
