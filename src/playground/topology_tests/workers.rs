//! MachinePools of a topology, and workers that somebody deletes.

use super::*;
use crate::api::pools::MachinePool;

/// The class `instant` with a class of MachinePools, and a Cluster with one.
fn with_pool(version: &'static str, pools: Value) -> Vec<Manifest> {
    let mut all = manifests(INSTANT, |object| match object["kind"].as_str() {
        Some("ClusterClass") => {
            let reference = |api_version: &str, kind: &str, name: &str| {
                let api_version = format!("{api_version}.cluster.x-k8s.io/v1beta2");
                json!({"templateRef": {"apiVersion": api_version, "kind": kind, "name": name}})
            };
            object["spec"]["workers"]["machinePools"] = json!([{
                "class": "pool",
                "bootstrap": reference(
                    "bootstrap", "KubeadmConfigTemplate", "instant-default-worker-bootstraptemplate",
                ),
                "infrastructure": reference(
                    "infrastructure", "DevMachinePoolTemplate", "instant-pool",
                ),
            }]);
        }
        Some("Cluster") => {
            object["spec"]["topology"]["version"] = json!(version);
            object["spec"]["topology"]["workers"]["machinePools"] = pools.clone();
        }
        _ => {}
    });
    let template = json!({
        "apiVersion": "infrastructure.cluster.x-k8s.io/v1beta2", "kind": "DevMachinePoolTemplate",
        "metadata": {"name": "instant-pool"},
        "spec": {"template": {"spec": {"backend": {"inMemory": {}}}}},
    });
    all.insert(0, Manifest::made(template, ""));
    all
}

fn one_pool() -> Value {
    json!([{"class": "pool", "name": "mp-0", "replicas": 2}])
}

async fn pools(test: &Test) -> Vec<MachinePool> {
    test.client().list::<MachinePool>("default", "").await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn machine_pools_are_made_upgraded_planned_and_deleted() {
    let test = Test::start().await;
    let clock = test.playground.clock().clone();
    test.apply(&with_pool("v1.35.0", one_pool())).await;
    test.available(1).await;
    test.until("the pool is there", async || test.machines().await.len() == 4).await;
    let name = pools(&test).await[0].metadata.name.clone().unwrap();
    // A plan shows pools as they are.
    let planned = async |manifests: &[Manifest]| {
        let plan = plan::plan(test.client(), &clock, "default", manifests).await.unwrap();
        let steps = plan.clusters[0].steps.iter();
        let steps = steps.map(|step| (step.action.as_str(), step.kind.clone(), step.name.clone()));
        steps.collect::<Vec<_>>()
    };
    let cluster = |all: Vec<Manifest>| vec![all.into_iter().last().unwrap()];
    let scaled = json!([{"class": "pool", "name": "mp-0", "replicas": 3}]);
    let steps = planned(&cluster(with_pool("v1.35.0", scaled))).await;
    assert_eq!(steps, [("patch", "MachinePool".to_owned(), name.clone())]);
    let steps = planned(&cluster(with_pool("v1.35.0", Value::Null))).await;
    assert_eq!(steps, [("delete", "MachinePool".to_owned(), name.clone())]);
    // The versions that a pool reports end its upgrade.
    test.apply(&cluster(with_pool("v1.36.1", one_pool()))).await;
    test.until("all is at v1.36.1", async || {
        test.reconciled("instant-1").await.0 == "ReconcileSucceeded"
            && pools(&test).await.iter().all(|pool| pool.spec.template.spec.version == "v1.36.1")
            && test.machines().await.iter().all(|machine| machine.spec.version == "v1.36.1")
    })
    .await;
    // A pool that somebody deletes comes back, one that leaves the topology goes.
    let key = ObjectKey::new("default", name.as_str());
    test.client().delete::<MachinePool>(&key, crate::client::Propagation::Default).await.unwrap();
    test.until("the pool is made again", async || {
        let all = pools(&test).await;
        all.len() == 1 && all[0].metadata.deletion_timestamp.is_none()
    })
    .await;
    let workers = json!({"machineDeployments": [
        {"class": "default-worker", "name": "md-0", "replicas": 1}], "machinePools": null});
    test.patch_cluster("instant-1", json!({"spec": {"topology": {"workers": workers}}})).await;
    test.until("the pool goes", async || pools(&test).await.is_empty()).await;
    test.until("and its machines", async || test.machines().await.len() == 2).await;
    test.playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn workers_that_somebody_deletes_are_made_again_under_another_name() {
    let test = Test::start().await;
    test.apply(&manifests(INSTANT, |_| {})).await;
    test.available(1).await;
    let before = test.deployments().await.remove(0);
    let key = ObjectKey::of(&before);
    let propagation = crate::client::Propagation::Default;
    test.client().delete::<MachineDeployment>(&key, propagation).await.unwrap();
    test.until("the workers are made again", async || {
        let all = test.deployments().await;
        all.len() == 1
            && all[0].metadata.uid != before.metadata.uid
            && all[0].status.as_ref().is_some_and(|status| status.available_replicas == Some(1))
            && test.machines().await.len() == 2
    })
    .await;
    let now = test.deployments().await.remove(0);
    assert_ne!(now.metadata.name, before.metadata.name);
    let templates = |deployment: &MachineDeployment| {
        let spec = &deployment.spec.template.spec;
        (spec.bootstrap.config_ref.clone(), spec.infrastructure_ref.clone())
    };
    assert_ne!(templates(&now), templates(&before));
    test.pass(30).await;
    assert_eq!(test.reconciled("instant-1").await.0, "ReconcileSucceeded");
    test.playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_plan_takes_objects_in_v1beta1() {
    const TALK: &str = "assets/classes/in-memory-quick-start.yaml";
    let test = Test::start().await;
    let clock = test.playground.clock().clone();
    let written = manifests(TALK, |_| {});
    assert!(written.iter().any(|it| it.object["apiVersion"] == "cluster.x-k8s.io/v1beta1"));
    test.apply(&written).await;
    test.available(1).await;
    test.pass(10).await;
    let same = plan::plan(test.client(), &clock, "default", &written).await.unwrap();
    assert!(same.is_empty(), "{same:#?}");
    let changed = manifests(TALK, |object| {
        if object["kind"] == "KubeadmConfigTemplate" {
            object["spec"]["template"]["spec"]["preKubeadmCommands"] = json!(["true"]);
        }
    });
    let plan = plan::plan(test.client(), &clock, "default", &changed).await.unwrap();
    let steps = plan.clusters.iter().flat_map(|cluster| &cluster.steps);
    let steps: Vec<(&str, &str)> =
        steps.map(|step| (step.action.as_str(), step.kind.as_str())).collect();
    assert_eq!(
        steps,
        [("create", "KubeadmConfigTemplate"), ("patch", "MachineDeployment")],
        "{plan:#?}"
    );
    let api = plan::empty_api(&clock).await.unwrap();
    let offline = plan::plan(&api, &clock, "default", &written).await.unwrap();
    assert!(offline.clusters[0].is_ok, "{offline:#?}");
    test.playground.stop().await;
}
