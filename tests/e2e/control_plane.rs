//! A control plane from outside: scaling, rollouts, remediation, adoption, what changes in place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use capim::api::bootstrap::KubeadmConfig;
use capim::api::conditions::Condition;
use capim::api::controlplane::KubeadmControlPlane;
use capim::api::core::Machine;
use capim::api::infrastructure::DevMachine;
use capim::client::{Client, ObjectKey};
use capim::playground::sample::{SampleCluster, Startup};
use capim::playground::{Manifest, Playground, apply_manifests};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::core::ObjectMeta;
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};

use crate::support::virtual_playground;

const LIMIT: Duration = Duration::from_secs(900);
const FOR: &str = "controlplane.cluster.x-k8s.io/remediation-for";

fn cluster() -> ObjectKey {
    ObjectKey::new("default", "a")
}

fn control_plane() -> ObjectKey {
    ObjectKey::new("default", "a-cp")
}

/// Cluster `a` with so many control plane machines.
async fn create(seed: u64, control_planes: u32) -> Playground {
    let playground = virtual_playground(seed).await;
    let sample = SampleCluster {
        name: "a".to_owned(),
        namespace: "default".to_owned(),
        control_planes,
        workers: 0,
        version: "v1.34.0".to_owned(),
        startup: Startup::in_memory(),
    };
    let wrap = |object| Manifest::made(object, "sample");
    let manifests: Vec<Manifest> = sample.manifests().into_iter().map(wrap).collect();
    apply_manifests(playground.client(), "default", &manifests).await.unwrap();
    playground.readiness().expecting([cluster()]).wait(LIMIT).await.unwrap();
    until(&playground, "it is settled", |kcp| is_settled(kcp, control_planes)).await;
    playground
}

fn condition<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

fn has(kcp: &KubeadmControlPlane, type_: &str, status: &str) -> bool {
    let held = kcp.status.as_ref().and_then(|held| condition(&held.conditions, type_));
    held.is_some_and(|held| held.status == status)
}

fn is_settled(kcp: &KubeadmControlPlane, replicas: u32) -> bool {
    let Some(status) = &kcp.status else { return false };
    let all = i32::try_from(replicas).ok();
    status.observed_generation == kcp.metadata.generation
        && [status.replicas, status.ready_replicas, status.up_to_date_replicas] == [all; 3]
        && has(kcp, "Available", "True")
        && has(kcp, "EtcdClusterHealthy", "True")
        && ["RollingOut", "ScalingUp", "ScalingDown", "Remediating"]
            .iter()
            .all(|type_| has(kcp, type_, "False"))
}

/// Waits until the control plane is as `is_wanted` says.
async fn until(
    playground: &Playground,
    what: &str,
    is_wanted: impl Fn(&KubeadmControlPlane) -> bool,
) -> KubeadmControlPlane {
    let api =
        kube::Api::<KubeadmControlPlane>::namespaced(playground.client().kube().clone(), "default");
    let wanted = |kcp: Option<&KubeadmControlPlane>| kcp.is_some_and(&is_wanted);
    let found = async {
        loop {
            // A watch that lags begins anew.
            if let Ok(Some(kcp)) = await_condition(api.clone(), "a-cp", wanted).await {
                return kcp;
            }
        }
    };
    match playground.clock().timeout(LIMIT, found).await {
        Ok(kcp) => kcp,
        Err(_) => {
            let kcp: Option<KubeadmControlPlane> =
                playground.client().get(&control_plane()).await.unwrap();
            panic!("{what}: {:#?}", kcp.unwrap().status)
        }
    }
}

async fn patch(playground: &Playground, spec: Value) {
    let patch = json!({"spec": spec});
    let client = playground.client();
    client.merge_patch::<KubeadmControlPlane>(&control_plane(), "", &patch).await.unwrap();
}

/// Machines, oldest first.
async fn machines(playground: &Playground) -> Vec<Machine> {
    let mut machines: Vec<Machine> = playground.client().list("default", "").await.unwrap();
    machines.sort_by_key(|machine| {
        (machine.metadata.creation_timestamp.clone().map(|t| t.0), machine.metadata.name.clone())
    });
    machines
}

fn names(machines: &[Machine]) -> Vec<String> {
    machines.iter().map(|machine| machine.metadata.name.clone().unwrap()).collect()
}

fn member_names(playground: &Playground) -> Vec<String> {
    let etcd = playground.connections().get(&cluster()).unwrap().etcd();
    let mut names: Vec<String> = etcd.members.into_iter().map(|member| member.name).collect();
    names.sort();
    names
}

fn node_names(machines: &[Machine]) -> Vec<String> {
    let node = |machine: &Machine| {
        machine.status.as_ref().unwrap().node_ref.as_ref().unwrap().name.clone()
    };
    let mut names: Vec<String> = machines.iter().map(node).collect();
    names.sort();
    names
}

/// Gives a Machine up, as a MachineHealthCheck does.
async fn give_up(playground: &Playground, name: &str) {
    let key = ObjectKey::new("default", name);
    let machine: Machine = playground.client().get(&key).await.unwrap().unwrap();
    let mut conditions = serde_json::to_value(&machine.status.unwrap().conditions).unwrap();
    for (type_, reason) in
        [("HealthCheckSucceeded", "UnhealthyNode"), ("OwnerRemediated", "WaitingForRemediation")]
    {
        conditions.as_array_mut().unwrap().push(json!({
            "type": type_, "status": "False", "reason": reason, "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }));
    }
    let patch = json!({"status": {"conditions": conditions}});
    playground.client().merge_patch::<Machine>(&key, "status", &patch).await.unwrap();
}

/// Writes into the workload cluster ten times a second until it is told to stop; answers how often.
fn load(playground: &Playground, stop: Arc<AtomicBool>) -> tokio::task::JoinHandle<usize> {
    let client: Client = playground.connections().get(&cluster()).unwrap().client;
    let clock = playground.clock().clone();
    tokio::spawn(async move {
        let mut count = 0;
        while !stop.load(Ordering::SeqCst) {
            let map = ConfigMap {
                metadata: ObjectMeta {
                    name: Some(format!("load-{count}")),
                    namespace: Some("default".to_owned()),
                    ..ObjectMeta::default()
                },
                ..ConfigMap::default()
            };
            client.create(&map).await.expect("an API server answers all the time");
            count += 1;
            clock.sleep(Duration::from_millis(100)).await;
        }
        count
    })
}

#[tokio::test(start_paused = true)]
async fn replicas_go_from_one_to_five_and_back_under_load() {
    let playground = create(11, 1).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writes = load(&playground, stop.clone());
    for replicas in [3, 5, 3] {
        let before = machines(&playground).await;
        patch(&playground, json!({"replicas": replicas})).await;
        until(&playground, "scaled", |kcp| is_settled(kcp, replicas)).await;
        let after = machines(&playground).await;
        assert_eq!(member_names(&playground), node_names(&after));
        if before.len() > after.len() {
            assert_eq!(names(&after), names(&before)[2..], "the oldest go");
        } else {
            assert_eq!(names(&after)[..before.len()], names(&before), "nobody goes");
        }
    }
    stop.store(true, Ordering::SeqCst);
    assert!(writes.await.unwrap() > 50);
    playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_without_surge_never_has_a_fourth_machine() {
    let playground = create(12, 3).await;
    let rollout = json!({"strategy": {"rollingUpdate": {"maxSurge": 0}}});
    patch(&playground, json!({"rollout": rollout})).await;
    let before = names(&machines(&playground).await);
    let fewest = AtomicUsize::new(3);
    patch(&playground, json!({"version": "v1.35.1"})).await;
    until(&playground, "upgraded", |kcp| {
        let replicas = kcp.status.as_ref().and_then(|status| status.replicas).unwrap_or(0);
        let replicas = usize::try_from(replicas).unwrap();
        assert!(replicas <= 3, "{replicas} machines");
        fewest.fetch_min(replicas, Ordering::SeqCst);
        let version = kcp.status.as_ref().map(|status| status.version.clone());
        is_settled(kcp, 3) && version.as_deref() == Some("v1.35.1")
    })
    .await;
    assert_eq!(fewest.load(Ordering::SeqCst), 2, "one goes before the next one comes");
    let after = machines(&playground).await;
    assert!(names(&after).iter().all(|name| !before.contains(name)));
    assert_eq!(member_names(&playground), node_names(&after));
    playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_was_given_up_is_replaced_with_its_member() {
    let playground = create(13, 3).await;
    let before = machines(&playground).await;
    let etcd = playground.connections().get(&cluster()).unwrap().etcd();
    let leader = etcd.members.iter().find(|member| member.id == etcd.leader_id).unwrap();
    let is_leader = |machine: &&Machine| {
        machine.status.as_ref().unwrap().node_ref.as_ref().unwrap().name == leader.name
    };
    let broken = before.iter().find(is_leader).unwrap().metadata.name.clone().unwrap();
    give_up(&playground, &broken).await;
    let kcp = until(&playground, "remediated", |kcp| {
        let last = kcp.status.as_ref().and_then(|status| status.last_remediation.as_ref());
        is_settled(kcp, 3) && last.is_some_and(|last| last.machine == broken)
    })
    .await;
    let last = kcp.status.unwrap().last_remediation.unwrap();
    assert_eq!(last.retry_count, Some(0));
    let annotations = kcp.metadata.annotations.unwrap_or_default();
    assert!(!annotations.contains_key("controlplane.cluster.x-k8s.io/remediation-in-progress"));
    let after = machines(&playground).await;
    let new = after.last().unwrap().metadata.annotations.clone().unwrap();
    assert!(new[FOR].starts_with(&format!("{{\"machine\":\"{broken}\",")), "{}", new[FOR]);
    assert!(!names(&after).contains(&broken));
    assert_eq!(member_names(&playground), node_names(&after));
    playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_remediated_while_etcd_has_no_quorum() {
    let playground = create(14, 3).await;
    let before = machines(&playground).await;
    let all = names(&before);
    let stop = async |name: &str, what: Option<&str>| {
        let patch = json!({"metadata": {"annotations": {"capim.dev/stopped": what}}});
        let key = ObjectKey::new("default", name);
        playground.client().merge_patch::<DevMachine>(&key, "", &patch).await.unwrap();
    };
    stop(&all[1], Some("etcd")).await;
    stop(&all[2], Some("etcd")).await;
    until(&playground, "etcd is lost", |kcp| has(kcp, "EtcdClusterHealthy", "Unknown")).await;
    give_up(&playground, &all[0]).await;
    let refused = "Failed to check etcd cluster health before remediation";
    let kcp = until(&playground, "refused", |kcp| {
        let held = kcp.status.as_ref().and_then(|held| condition(&held.conditions, "Remediating"));
        held.is_some_and(|held| held.status == "True" && held.message.contains(refused))
    })
    .await;
    assert!(kcp.status.unwrap().last_remediation.is_none());
    assert_eq!(names(&machines(&playground).await), all);
    stop(&all[1], None).await;
    stop(&all[2], None).await;
    until(&playground, "remediated", |kcp| {
        is_settled(kcp, 3) && kcp.status.as_ref().unwrap().last_remediation.is_some()
    })
    .await;
    let after = machines(&playground).await;
    assert!(!names(&after).contains(&all[0]));
    assert_eq!(member_names(&playground), node_names(&after));
    playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn owners_and_finalizers_that_were_removed_come_back() {
    let playground = create(15, 1).await;
    let client = playground.client();
    let machine = ObjectKey::new("default", &names(&machines(&playground).await)[0]);
    let ca = ObjectKey::new("default", "a-ca");
    let bare = json!({"metadata": {"ownerReferences": null}});
    client.merge_patch::<Machine>(&machine, "", &bare).await.unwrap();
    client.merge_patch::<Secret>(&ca, "", &bare).await.unwrap();
    let bare = json!({"metadata": {"finalizers": null}});
    client.merge_patch::<KubeadmControlPlane>(&control_plane(), "", &bare).await.unwrap();
    let is_owned = |metadata: &ObjectMeta| {
        metadata.owner_references.iter().flatten().any(|owner| owner.kind == "KubeadmControlPlane")
    };
    let back = async {
        loop {
            let machine: Machine = client.get(&machine).await.unwrap().unwrap();
            let secret: Secret = client.get(&ca).await.unwrap().unwrap();
            let kcp: KubeadmControlPlane = client.get(&control_plane()).await.unwrap().unwrap();
            if is_owned(&machine.metadata)
                && is_owned(&secret.metadata)
                && kcp.metadata.finalizers.is_some_and(|held| !held.is_empty())
            {
                return;
            }
            playground.clock().sleep(Duration::from_millis(100)).await;
        }
    };
    playground.clock().timeout(LIMIT, back).await.expect("all come back");
    assert_eq!(machines(&playground).await.len(), 1, "the Machine was adopted, not replaced");
    playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn labels_of_the_template_change_without_a_rollout() {
    let playground = create(16, 1).await;
    let client = playground.client();
    let key = ObjectKey::new("default", &names(&machines(&playground).await)[0]);
    let labels = async || {
        let machine: Machine = client.get(&key).await.unwrap().unwrap();
        let config: KubeadmConfig = client.get(&key).await.unwrap().unwrap();
        let infrastructure: DevMachine = client.get(&key).await.unwrap().unwrap();
        [machine.metadata, config.metadata, infrastructure.metadata].map(|metadata| {
            let labels = metadata.labels.unwrap_or_default();
            ["a", "b"].map(|label| labels.get(label).cloned().unwrap_or_default())
        })
    };
    let wait = async |expected: [&str; 2]| {
        let seen = async {
            while labels().await
                != [
                    expected.map(str::to_owned),
                    expected.map(str::to_owned),
                    expected.map(str::to_owned),
                ]
            {
                playground.clock().sleep(Duration::from_millis(100)).await;
            }
        };
        let seen = playground.clock().timeout(LIMIT, seen).await;
        assert!(seen.is_ok(), "{:?}", labels().await);
    };
    let given = |labels: Value| json!({"machineTemplate": {"metadata": {"labels": labels}, "spec": {"deletion": {"nodeDrainTimeoutSeconds": 7}}}});
    patch(&playground, given(json!({"a": "1"}))).await;
    wait(["1", ""]).await;
    patch(&playground, given(json!({"a": null, "b": "2"}))).await;
    wait(["", "2"]).await;
    let machine: Machine = client.get(&key).await.unwrap().unwrap();
    assert_eq!(machine.spec.deletion.unwrap().node_drain_timeout_seconds, Some(7));
    assert_eq!(machines(&playground).await.len(), 1);
    playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_settled_control_plane_is_not_written_for_two_hours() {
    let playground = create(17, 3).await;
    let minutes =
        async |count: u64| playground.clock().sleep(Duration::from_secs(60 * count)).await;
    let versions = async || {
        let client = playground.client();
        let kcps = client.list::<KubeadmControlPlane>("default", "").await.unwrap();
        let configs = client.list::<KubeadmConfig>("default", "").await.unwrap();
        let secrets = client.list::<Secret>("default", "").await.unwrap();
        let mut all: Vec<ObjectMeta> = kcps.into_iter().map(|object| object.metadata).collect();
        all.extend(machines(&playground).await.into_iter().map(|object| object.metadata));
        all.extend(configs.into_iter().map(|object| object.metadata));
        all.extend(secrets.into_iter().map(|object| object.metadata));
        all.into_iter()
            .map(|metadata| (metadata.name, metadata.resource_version))
            .collect::<Vec<_>>()
    };
    minutes(5).await;
    let before = versions().await;
    minutes(120).await;
    assert_eq!(versions().await, before);
    playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn certificates_that_machines_use_are_not_made_anew() {
    let playground = create(18, 1).await;
    let key = ObjectKey::new("default", "a-sa");
    let propagation = capim::client::Propagation::Default;
    playground.client().delete::<Secret>(&key, propagation).await.unwrap();
    patch(&playground, json!({"replicas": 3})).await;
    let blocked = "Scaling up from 1 to 3 replicas is blocked because:\n* cluster certificates are \
                   missing or unknown";
    let kcp = until(&playground, "blocked", |kcp| {
        let held = kcp.status.as_ref().and_then(|held| condition(&held.conditions, "ScalingUp"));
        held.is_some_and(|held| held.message == blocked)
    })
    .await;
    let status = kcp.status.unwrap();
    let held = condition(&status.conditions, "CertificatesAvailable").unwrap();
    let expected =
        "Cluster certificate for sa is not available, please check cluster certificate secrets";
    assert_eq!((held.reason.as_str(), held.message.as_str()), ("NotAvailable", expected));
    assert_eq!(machines(&playground).await.len(), 1);
    playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn leadership_moves_before_the_leader_goes() {
    let playground = create(19, 3).await;
    let all = machines(&playground).await;
    let node = |machine: &Machine| node_names(std::slice::from_ref(machine)).remove(0);
    let [oldest, newest] = [&all[0], &all[2]].map(node);
    let remote = playground.connections().get(&cluster()).unwrap();
    let leader = || {
        let etcd = playground.connections().get(&cluster()).unwrap().etcd();
        let leader = etcd.members.iter().find(|member| member.id == etcd.leader_id);
        (leader.map(|leader| leader.name.clone()), etcd.members.len())
    };
    remote.move_etcd_leader(&oldest);
    assert_eq!(leader().0.as_deref(), Some(oldest.as_str()));
    patch(&playground, json!({"replicas": 1})).await;
    let seen = std::sync::Mutex::new(vec![leader()]);
    let settled = until(&playground, "scaled down", |kcp| {
        let (now, mut seen) = (leader(), seen.lock().unwrap());
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        is_settled(kcp, 1)
    });
    settled.await;
    let seen = seen.into_inner().unwrap();
    let moved = seen.iter().position(|(name, _)| name.as_deref() == Some(newest.as_str()));
    let left = seen.iter().position(|(_, members)| *members == 2);
    assert!(moved.is_some() && left.is_some() && moved <= left, "{seen:?}");
    assert!(
        seen.iter().all(|(name, _)| name.is_some()),
        "there is a leader all the time: {seen:?}"
    );
    playground.stop().await;
}
