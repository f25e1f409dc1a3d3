//! A playground with a runtime extension.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::sample::{SampleCluster, Startup};
use super::{Config, KUBERNETES_VERSION, Manifest, Playground, apply_manifests};
use crate::api::core::{Machine, MachineDeployment};
use crate::api::runtime::ExtensionConfig;
use crate::client::ObjectKey;
use crate::clock::Clock;
use crate::extensions::Hook;
use crate::extensions::test_extension::{TestExtension, success};

const LIMIT: Duration = Duration::from_secs(90);

/// A patch that makes the `spec` of an object that of another one.
fn patch_to(desired: &Value) -> Value {
    let patch = json!({"spec": {"template": {"spec": desired["spec"]["template"]["spec"]}}});
    json!({"patchType": "JSONMergePatch", "patch": STANDARD.encode(patch.to_string())})
}

/// Names of the workers, by their MachineDeployment.
async fn workers(playground: &Playground) -> Vec<Machine> {
    let label = "cluster.x-k8s.io/deployment-name";
    playground.client().list::<Machine>("default", label).await.unwrap()
}

fn names(machines: &[Machine]) -> BTreeSet<String> {
    machines.iter().filter_map(|machine| machine.metadata.name.clone()).collect()
}

/// Waits until the MachineDeployment has two Machines of the wanted kind that are available.
async fn until_rolled_out(playground: &Playground, failure_domain: &str) -> Vec<Machine> {
    let mut last = Vec::new();
    let settled = async {
        loop {
            last = workers(playground).await;
            let is_wanted = |machine: &Machine| {
                machine.spec.failure_domain == failure_domain
                    && crate::contract::machines::is_available(machine)
                    && crate::contract::machines::is_up_to_date(machine)
                    && !crate::extensions::pending::is_update_in_progress(&machine.metadata)
            };
            let deployments =
                playground.client().list::<MachineDeployment>("default", "").await.unwrap();
            let status = deployments[0].status.clone().unwrap_or_default();
            let is_counted = status.up_to_date_replicas == Some(2) && status.replicas == Some(2);
            if last.len() == 2 && last.iter().all(is_wanted) && is_counted {
                return;
            }
            playground.clock().sleep(Duration::from_millis(50)).await;
        }
    };
    let in_time = playground.clock().timeout(LIMIT, settled).await;
    assert!(in_time.is_ok(), "{:#}", json!(last));
    last
}

#[tokio::test]
async fn a_rollout_updates_machines_in_place() {
    let config = Config { workload_ports: 42_500..=42_599, ..Config::new(Clock::wall()) };
    let playground = Playground::start(config).await.unwrap();
    let client = playground.client().clone();
    let sample = SampleCluster {
        name: "c".to_owned(),
        namespace: "default".to_owned(),
        control_planes: 1,
        workers: 2,
        version: KUBERNETES_VERSION.to_owned(),
        startup: Startup::instant(),
    };
    let wrap = |object| Manifest::made(object, "");
    let manifests: Vec<_> = sample.manifests().into_iter().map(wrap).collect();
    apply_manifests(&client, "default", &manifests).await.expect("applied");
    let before = until_rolled_out(&playground, "").await;
    let extension = TestExtension::start().await;
    extension.on(Hook::CanUpdateMachineSet, |body| {
        let desired = &body["desired"];
        success(json!({
            "machineSetPatch": patch_to(&desired["machineSet"]),
            "infrastructureMachineTemplatePatch":
                patch_to(&desired["infrastructureMachineTemplate"]),
            "bootstrapConfigTemplatePatch": patch_to(&desired["bootstrapConfigTemplate"]),
        }))
    });
    extension.on(Hook::UpdateMachine, |_| success(json!({})));
    client.create(&extension.config("ext")).await.unwrap();
    let key = ObjectKey::new("", "ext");
    let discovered = async {
        while client.get::<ExtensionConfig>(&key).await.unwrap().unwrap().status.is_none() {
            playground.clock().sleep(Duration::from_millis(20)).await;
        }
        // The handlers are registered right after they are shown.
        playground.clock().sleep(Duration::from_millis(200)).await;
    };
    playground.clock().timeout(LIMIT, discovered).await.unwrap();
    let deployments = client.list::<MachineDeployment>("default", "").await.unwrap();
    let key = ObjectKey::of(&deployments[0]);
    let change = json!({"spec": {
        "rollout": {"strategy": {"type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}},
        "template": {"spec": {"failureDomain": "fd1"}}}});
    client.merge_patch::<MachineDeployment>(&key, "", &change).await.unwrap();
    let after = until_rolled_out(&playground, "fd1").await;
    assert_eq!(names(&after), names(&before), "the same Machines, changed");
    assert_eq!(extension.received(Hook::UpdateMachine).len(), 2);
    let request = &extension.received(Hook::CanUpdateMachineSet)[0].body;
    assert_eq!(request["current"]["machineSet"]["kind"], "MachineSet");
    assert_eq!(
        request["desired"]["machineSet"]["spec"]["template"]["spec"]["failureDomain"],
        "fd1"
    );
    playground.stop().await;
}
