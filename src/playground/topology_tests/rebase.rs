//! Another class for a Cluster, and classes of other namespaces.

use super::*;

/// The class `instant` with its templates under another name and in a namespace.
fn renamed(name: &str, namespace: &str, change: impl Fn(&mut Value)) -> Vec<Manifest> {
    manifests(INSTANT, |object| {
        let text = object.to_string().replace("\"instant", &format!("\"{name}"));
        *object = serde_json::from_str(&text).unwrap();
        if object["kind"] == "Cluster" {
            object["metadata"]["name"] = json!(format!("{name}-1"));
        } else {
            object["metadata"]["namespace"] = json!(namespace);
        }
        change(object);
    })
}

#[tokio::test(start_paused = true)]
async fn a_rebase_rolls_what_differs_and_nothing_else() {
    let test = Test::start().await;
    test.apply(&manifests(INSTANT, |_| {})).await;
    test.available(1).await;
    let mut other = renamed("other", "default", |object| {
        if object["kind"] == "KubeadmConfigTemplate" {
            object["spec"]["template"]["spec"]["preKubeadmCommands"] = json!(["true"]);
        }
    });
    other.pop();
    test.apply(&other).await;
    test.pass(5).await;
    let before = test.machines().await;
    let to_other = json!({"spec": {"topology": {"classRef": {"name": "other"}}}});
    test.patch_cluster("instant-1", to_other).await;
    test.until("the worker is replaced", async || {
        let now = names(&test.machines().await, "");
        let old = names(&before, "-md-0-");
        now.len() == 2 && old.iter().all(|name| !now.contains(name))
    })
    .await;
    let control_plane = |machines: &[Machine]| -> Vec<String> {
        let all = names(machines, "").into_iter();
        all.filter(|name| !name.contains("-md-0-")).collect()
    };
    assert_eq!(control_plane(&test.machines().await), control_plane(&before));
    assert_eq!(test.reconciled("instant-1").await.0, "ReconcileSucceeded");
    let deployment = &test.deployments().await[0];
    let reference = deployment.spec.template.spec.bootstrap.config_ref.clone().unwrap();
    let resource = kube::core::ApiResource {
        group: "bootstrap.cluster.x-k8s.io".into(),
        version: "v1beta2".into(),
        api_version: "bootstrap.cluster.x-k8s.io/v1beta2".into(),
        kind: "KubeadmConfigTemplate".into(),
        plural: "kubeadmconfigtemplates".into(),
    };
    let key = ObjectKey::new("default", reference.name.as_str());
    let template = test.client().get_dynamic(&resource, &key).await.unwrap().unwrap();
    assert_eq!(
        template["metadata"]["annotations"]["cluster.x-k8s.io/cloned-from-name"],
        "other-default-worker-bootstraptemplate"
    );
    test.playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_rebase_to_other_kinds_or_without_used_classes_is_refused() {
    let test = Test::start().await;
    test.apply(&manifests(INSTANT, |_| {})).await;
    test.available(1).await;
    let mut other = renamed("other", "default", |object| {
        if object["kind"] == "ClusterClass" {
            let machines = &mut object["spec"]["controlPlane"]["machineInfrastructure"];
            machines["templateRef"]["kind"] = json!("OtherMachineTemplate");
        }
    });
    other.pop();
    test.apply(&other).await;
    let mut bare = renamed("bare", "default", |object| {
        if object["kind"] == "ClusterClass" {
            object["spec"]["workers"] = Value::Null;
        }
    });
    bare.pop();
    test.apply(&bare).await;
    test.pass(5).await;
    let key = ObjectKey::new("default", "instant-1");
    let refused = async |class: &str| {
        let patch = json!({"spec": {"topology": {"classRef": {"name": class}}}});
        let answer = test.client().merge_patch::<Cluster>(&key, "", &patch).await;
        answer.map(drop).unwrap_err().to_string()
    };
    let kinds = refused("other").await;
    let expected = "spec.controlPlane.machineInfrastructure.templateRef.kind: Forbidden: kind \
                    cannot be changed from \"DevMachineTemplate\" to \"OtherMachineTemplate\" to \
                    prevent incompatible changes in the Clusters";
    assert!(kinds.contains(expected), "{kinds}");
    let classes = refused("bare").await;
    assert!(classes.contains("default-worker"), "{classes}");
    test.playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_class_of_another_namespace_makes_objects_in_the_clusters() {
    let test = Test::start().await;
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "classes"}});
    let wrap = |object| Manifest::made(object, "");
    test.apply(&[wrap(namespace)]).await;
    let all = renamed("far", "classes", |object| {
        if object["kind"] == "Cluster" {
            object["spec"]["topology"]["classRef"]["namespace"] = json!("classes");
        }
    });
    test.apply(&all).await;
    test.available(1).await;
    assert_eq!(test.deployments().await.len(), 1);
    let elsewhere = test.client().list::<Machine>("classes", "").await.unwrap();
    assert_eq!(elsewhere.len(), 0);
    // A change of a template there reaches the Cluster here.
    let before = test.machines().await;
    let changed = renamed("far", "classes", |object| {
        if object["kind"] == "KubeadmConfigTemplate" {
            object["spec"]["template"]["spec"]["preKubeadmCommands"] = json!(["true"]);
        }
    });
    let templates = changed.into_iter().filter(|it| it.object["kind"] == "KubeadmConfigTemplate");
    test.apply(&templates.collect::<Vec<_>>()).await;
    test.until("the worker is replaced", async || {
        let now = names(&test.machines().await, "");
        now.len() == 2 && names(&before, "-md-0-").iter().all(|name| !now.contains(name))
    })
    .await;
    let missing = json!({"spec": {"topology": {"classRef": {"name": "nope"}}}});
    let key = ObjectKey::new("default", "far-1");
    let answer = test.client().merge_patch::<Cluster>(&key, "", &missing).await;
    let answer = answer.map(drop).unwrap_err().to_string();
    assert!(answer.contains("ClusterClass classes/nope not found"), "{answer}");
    test.playground.stop().await;
}
