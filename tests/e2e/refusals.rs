//! What Cluster API's rules refuse, in upstream's words (recorded, or read in v1.14.0's webhooks).

use capim::client::ObjectKey;
use capim::playground::sample::{SampleCluster, Startup};
use capim::playground::{Manifest, Playground, apply_manifests};
use kube::core::ApiResource;
use serde_json::{Value, json};

use crate::support::virtual_playground;

const GROUPS: [(&str, &[&str]); 4] = [
    ("bootstrap.cluster.x-k8s.io", &["KubeadmConfig", "KubeadmConfigTemplate"]),
    ("controlplane.cluster.x-k8s.io", &["KubeadmControlPlane"]),
    ("infrastructure.cluster.x-k8s.io", &["DevMachineTemplate", "DevMachine"]),
    ("addons.cluster.x-k8s.io", &["ClusterResourceSet", "ClusterResourceSetBinding"]),
];

fn resource(kind: &str, version: &str) -> ApiResource {
    let group = GROUPS.iter().find(|(_, kinds)| kinds.contains(&kind));
    let group = group.map_or("cluster.x-k8s.io", |(group, _)| group);
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: format!("{group}/{version}"),
        kind: kind.to_owned(),
        plural: format!("{}s", kind.to_lowercase()),
    }
}

/// Cluster `a` as it is before anything has started, and a few objects beside it.
async fn create() -> Playground {
    let playground = virtual_playground(23).await;
    let sample = SampleCluster {
        name: "a".to_owned(),
        namespace: "default".to_owned(),
        control_planes: 1,
        workers: 1,
        version: "v1.34.0".to_owned(),
        startup: Startup::in_memory(),
    };
    let beside = [health_check(300), resource_set(), config(&["/a"])];
    let wrap = |object| Manifest::made(object, "sample");
    let manifests: Vec<Manifest> = sample.manifests().into_iter().chain(beside).map(wrap).collect();
    apply_manifests(playground.client(), "default", &manifests).await.unwrap();
    playground
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    let api_version = resource(kind, "v1beta2").api_version;
    let metadata = json!({"name": name, "namespace": "default"});
    json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec})
}

fn health_check(startup: u32) -> Value {
    let checks = json!({"nodeStartupTimeoutSeconds": startup, "unhealthyNodeConditions": [
        {"type": "Ready", "status": "Unknown", "timeoutSeconds": 300}]});
    let selector = json!({"matchLabels": {"a": "b"}});
    let spec = json!({"clusterName": "a", "selector": selector, "checks": checks});
    object("MachineHealthCheck", if startup < 30 { "short" } else { "check" }, spec)
}

fn resource_set() -> Value {
    let spec = json!({"strategy": "ApplyOnce", "clusterSelector": {"matchLabels": {"a": "b"}},
        "resources": [{"kind": "ConfigMap", "name": "x"}]});
    object("ClusterResourceSet", "set", spec)
}

fn config(paths: &[&str]) -> Value {
    let files: Vec<Value> =
        paths.iter().map(|path| json!({"path": path, "content": "x"})).collect();
    object(
        "KubeadmConfig",
        if paths.len() > 1 { "twice" } else { "config" },
        json!({"files": files}),
    )
}

async fn refused_patch(
    playground: &Playground,
    (kind, name): (&str, &str),
    patch: Value,
) -> String {
    let key = ObjectKey::new("default", name);
    let patch = json!({"spec": patch});
    let client = playground.client();
    let answer = client.merge_patch_dynamic(&resource(kind, "v1beta2"), &key, "", &patch).await;
    answer.map(|it| panic!("{kind} {patch}: {it}")).unwrap_err().to_string()
}

#[tokio::test(start_paused = true)]
async fn changes_are_refused_in_upstreams_words() {
    let playground = create().await;
    let kcp = ("KubeadmControlPlane", "a-cp");
    let deployment = ("MachineDeployment", "a-md-0");
    for (subject, patch, expected) in [
        (
            kcp,
            json!({"version": "v1.36.0"}),
            "spec.version: Forbidden: cannot update Kubernetes version from v1.34.0 to v1.36.0",
        ),
        (
            kcp,
            json!({"replicas": 2}),
            "spec.replicas: Forbidden: cannot be an even number when etcd is stacked",
        ),
        (
            kcp,
            json!({"rollout": {"strategy": {"rollingUpdate": {"maxSurge": 3}}}}),
            "spec.rollout.strategy.rollingUpdate.maxSurge: Required value: value must be 1 or 0",
        ),
        (
            kcp,
            json!({"kubeadmConfigSpec": {"clusterConfiguration": {"certificatesDir": "/x"}}}),
            "spec.kubeadmConfigSpec.clusterConfiguration.certificatesDir: Forbidden: cannot be modified",
        ),
        (
            ("Cluster", "a"),
            json!({"controlPlaneRef": null}),
            "spec.controlPlaneRef: Forbidden: cannot be removed",
        ),
        (
            ("Cluster", "a"),
            json!({"infrastructureRef": null}),
            "spec.infrastructureRef: Forbidden: cannot be removed",
        ),
        (
            deployment,
            json!({"clusterName": "b"}),
            "spec.clusterName: Forbidden: field is immutable",
        ),
        (
            deployment,
            json!({"selector": {"matchLabels": {"foo": "nope"}}}),
            "spec.template.metadata.labels: Forbidden: must match spec.selector",
        ),
        (
            ("MachineHealthCheck", "check"),
            json!({"clusterName": "b"}),
            "spec.clusterName: Forbidden: field is immutable",
        ),
        (
            ("ClusterResourceSet", "set"),
            json!({"strategy": "Reconcile"}),
            "spec.strategy: Invalid value: \"Reconcile\": field is immutable",
        ),
        (
            ("DevMachineTemplate", "a-md-0"),
            json!({"template": {"spec": {"backend": {"inMemory": {"vm": {"provisioning": {
                "startupDuration": "9s"}}}}}}}),
            "DevMachineTemplate spec.template.spec field is immutable. Please create a new resource instead.",
        ),
    ] {
        let told = refused_patch(&playground, subject, patch).await;
        assert!(told.contains(expected), "{subject:?}: {told}");
    }
    playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn objects_are_refused_in_upstreams_words() {
    let playground = create().await;
    let reference = |group: &str, kind: &str| json!({"apiGroup": format!("{group}.cluster.x-k8s.io"), "kind": kind, "name": "x"});
    let infrastructure = reference("infrastructure", "DevMachine");
    let network = json!({"pods": {"cidrBlocks": ["192.168.0.0/99"]}});
    let control_plane = reference("controlplane", "KubeadmControlPlane");
    for (object, expected) in [
        (
            object(
                "Cluster",
                "bad",
                json!({"clusterNetwork": network, "controlPlaneRef": control_plane}),
            ),
            "spec.clusterNetwork.pods.cidrBlocks[0]: Invalid value: \"192.168.0.0/99\": invalid CIDR \
             address: 192.168.0.0/99",
        ),
        (
            object("Cluster", "bad", json!({})),
            "spec: Invalid value: 0: spec in body should have at least 1 properties",
        ),
        (
            object(
                "Machine",
                "bad",
                json!({"clusterName": "a", "bootstrap": {},
                "infrastructureRef": infrastructure}),
            ),
            "spec.bootstrap: Required value: expected either spec.bootstrap.dataSecretName or \
             spec.bootstrap.configRef to be populated",
        ),
        (
            object(
                "Machine",
                "bad",
                json!({"clusterName": "a", "version": "latest",
                "bootstrap": {"dataSecretName": "x"}, "infrastructureRef": infrastructure}),
            ),
            "spec.version: Invalid value: \"vlatest\": must be a valid semantic version",
        ),
        (
            health_check(10),
            "spec.checks.nodeStartupTimeoutSeconds: Invalid value: 10: must be at least 30s",
        ),
        (config(&["/a", "/a"]), "path property must be unique among all files"),
        (
            object(
                "Machine",
                "bad",
                json!({"clusterName": "a", "bootstrap": {"dataSecretName": "x"},
                "infrastructureRef": infrastructure, "readinessGates": [
                    {"conditionType": "x"}, {"conditionType": "x"}]}),
            ),
            "spec.readinessGates[1]: Duplicate value: {\"conditionType\":\"x\"}",
        ),
    ] {
        let kind = object["kind"].as_str().unwrap().to_owned();
        let answer = playground.client().create_dynamic(&resource(&kind, "v1beta2"), &object).await;
        let told = answer.map(|it| panic!("{object}: {it}")).unwrap_err().to_string();
        assert!(told.contains(expected), "{kind}: {told}");
    }
    playground.stop().await;
}

/// References of v1beta2 have no namespace, so that those of v1beta1 cannot lead elsewhere.
#[tokio::test(start_paused = true)]
async fn references_of_v1beta1_stay_in_their_namespace() {
    let playground = create().await;
    let old = resource("MachineDeployment", "v1beta1");
    let mut object: Value = playground
        .client()
        .get_dynamic(&old, &ObjectKey::new("default", "a-md-0"))
        .await
        .unwrap()
        .unwrap();
    object["metadata"] = json!({"name": "b", "namespace": "default"});
    object["spec"]["template"]["spec"]["infrastructureRef"]["namespace"] = "elsewhere".into();
    let created = playground.client().create_dynamic(&old, &object).await.unwrap();
    let reference = &created["spec"]["template"]["spec"]["infrastructureRef"];
    assert_eq!(reference["namespace"], "default");
    playground.stop().await;
}
