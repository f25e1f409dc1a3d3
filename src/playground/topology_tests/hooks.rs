//! Runtime extensions in the life of a topology, on the wall clock: the calls are real ones.

use super::*;
use crate::api::runtime::ExtensionConfig;
use crate::extensions::Hook;
use crate::extensions::test_extension::{TestExtension, success};

const LIMIT: Duration = Duration::from_secs(120);

async fn start(ports: std::ops::RangeInclusive<u16>) -> Test {
    let config = Config { workload_ports: ports, ..Config::new(Clock::wall()) };
    Test { playground: Playground::start(config).await.unwrap() }
}

impl Test {
    /// Waits on the wall clock.
    async fn soon(&self, what: &str, mut done: impl AsyncFnMut() -> bool) {
        let waiting = async {
            while !done().await {
                self.playground.clock().sleep(Duration::from_millis(50)).await;
            }
        };
        let in_time = self.playground.clock().timeout(LIMIT, waiting).await;
        if in_time.is_err() {
            let clusters = self.client().list::<Cluster>("", "").await.unwrap();
            panic!("not reached: {what}: {clusters:#?}");
        }
    }

    async fn is_available(&self, name: &str) -> bool {
        let conditions = self.cluster(name).await.status.unwrap_or_default().conditions;
        conditions::is_true(&conditions, "Available") && self.is_reconciled(name).await
    }

    async fn is_reconciled(&self, name: &str) -> bool {
        let conditions = self.cluster(name).await.status.unwrap_or_default().conditions;
        conditions::is_true(&conditions, "TopologyReconciled")
    }

    /// Registers an extension.
    async fn register(&self, extension: &TestExtension) {
        self.client().create(&extension.config("ext")).await.unwrap();
        let key = ObjectKey::new("", "ext");
        self.soon("the extension is discovered", async || {
            let config = self.client().get::<ExtensionConfig>(&key).await.unwrap().unwrap();
            config.status.is_some_and(|status| !status.handlers.is_empty())
        })
        .await;
    }
}

/// Hooks of a Cluster's life, in the order in which they were asked, with the version that they
/// are about.
fn asked(extension: &TestExtension) -> Vec<String> {
    let all = extension.server.received();
    let shown = all.iter().filter_map(|request| {
        let path = request.path_and_query.split('?').next()?;
        let (_, handler) = path.rsplit_once('/')?;
        let hook = Hook::ALL.into_iter().find(|hook| hook.name().to_lowercase() == handler)?;
        let version = ["toKubernetesVersion", "kubernetesVersion"];
        let version = version.iter().find_map(|field| request.body[field].as_str());
        (hook != Hook::Discovery)
            .then(|| format!("{hook} {}", version.unwrap_or_default()).trim().to_owned())
    });
    shown.collect()
}

fn with_plan(object: &mut Value) {
    match object["kind"].as_str() {
        Some("ClusterClass") => {
            object["spec"]["upgrade"] = json!({"external": {
                "generateUpgradePlanExtension": "generateupgradeplan.ext"}});
        }
        Some("Cluster") => object["spec"]["topology"]["version"] = json!("v1.33.0"),
        _ => {}
    }
}

/// Handles every hook of a Cluster's life; workers wait once, before their first step.
fn handle_all(extension: &TestExtension) {
    for hook in [
        Hook::BeforeClusterCreate,
        Hook::AfterControlPlaneInitialized,
        Hook::BeforeClusterUpgrade,
        Hook::BeforeControlPlaneUpgrade,
        Hook::AfterControlPlaneUpgrade,
        Hook::AfterWorkersUpgrade,
        Hook::AfterClusterUpgrade,
        Hook::BeforeClusterDelete,
    ] {
        extension.on(hook, |_| success(json!({})));
    }
    let is_first = std::sync::atomic::AtomicBool::new(true);
    extension.on(Hook::BeforeWorkersUpgrade, move |_| {
        match is_first.swap(false, std::sync::atomic::Ordering::Relaxed) {
            true => success(json!({"retryAfterSeconds": 2, "message": "not yet"})),
            false => success(json!({})),
        }
    });
    extension.on(Hook::GenerateUpgradePlan, |body| {
        let steps = json!([{"version": "v1.34.0"}, {"version": "v1.35.0"}]);
        let left = |from: &str| -> Value {
            let all = steps.as_array().unwrap().iter();
            all.filter(|step| step["version"].as_str().unwrap() > from).cloned().collect()
        };
        let from = |field: &str| body[field].as_str().unwrap_or_default();
        success(json!({
            "controlPlaneUpgrades": left(from("fromControlPlaneKubernetesVersion")),
            "workersUpgrades": left(from("fromWorkersKubernetesVersion")),
        }))
    });
}

#[tokio::test]
async fn hooks_are_asked_in_order_through_a_planned_upgrade_and_hold_it() {
    let test = start(42_600..=42_649).await;
    let extension = TestExtension::start().await;
    handle_all(&extension);
    test.register(&extension).await;
    test.apply(&manifests(INSTANT, with_plan)).await;
    test.soon("the cluster is there", async || test.is_available("instant-1").await).await;
    let version = json!({"spec": {"topology": {"version": "v1.35.0"}}});
    test.patch_cluster("instant-1", version).await;
    let mut messages: Vec<String> = Vec::new();
    test.soon("all is at v1.35.0", async || {
        let (_, message) = test.reconciled("instant-1").await;
        if messages.last() != Some(&message) {
            messages.push(message);
        }
        let machines = test.machines().await;
        test.is_reconciled("instant-1").await
            && machines.iter().all(|machine| machine.spec.version == "v1.35.0")
    })
    .await;
    let held = "Following hooks are blocking upgrade: BeforeWorkersUpgrade: not yet";
    assert!(messages.iter().any(|message| message.contains(held)), "{messages:#?}");
    let key = ObjectKey::new("default", "instant-1");
    test.client().delete::<Cluster>(&key, crate::client::Propagation::Default).await.unwrap();
    test.soon("the cluster is gone", async || {
        test.client().get::<Cluster>(&key).await.unwrap().is_none()
    })
    .await;
    let mut hooks = asked(&extension);
    let plans = hooks.iter().filter(|hook| hook.starts_with("GenerateUpgradePlan")).count();
    assert!(plans > 0);
    hooks.retain(|hook| !hook.starts_with("GenerateUpgradePlan"));
    assert_eq!(
        hooks,
        [
            "BeforeClusterCreate",
            "AfterControlPlaneInitialized",
            "BeforeClusterUpgrade v1.35.0",
            "BeforeControlPlaneUpgrade v1.34.0",
            "AfterControlPlaneUpgrade v1.34.0",
            "BeforeWorkersUpgrade v1.34.0",
            "BeforeWorkersUpgrade v1.34.0",
            "AfterWorkersUpgrade v1.34.0",
            "BeforeControlPlaneUpgrade v1.35.0",
            "AfterControlPlaneUpgrade v1.35.0",
            "BeforeWorkersUpgrade v1.35.0",
            "AfterWorkersUpgrade v1.35.0",
            "AfterClusterUpgrade v1.35.0",
            "BeforeClusterDelete",
        ]
    );
    test.playground.stop().await;
}

#[tokio::test]
async fn an_extension_without_an_answer_stops_the_clusters_of_its_class_alone() {
    let test = start(42_650..=42_699).await;
    test.apply(&manifests(INSTANT, |_| {})).await;
    let extension = TestExtension::with_timeout(1).await;
    extension.on(Hook::GeneratePatches, |_| crate::apiserver::test_server::Reaction::Silence);
    test.register(&extension).await;
    let slow = manifests(INSTANT, |object| {
        let text = object.to_string().replace("\"instant", "\"slow");
        *object = serde_json::from_str(&text).unwrap();
        if object["kind"] == "ClusterClass" {
            object["spec"]["patches"] = json!([{
                "name": "remote", "external": {"generatePatchesExtension": "generatepatches.ext"}}]);
        }
    });
    test.apply(&slow).await;
    test.soon("the failure is told", async || {
        let conditions = test.cluster("slow-1").await.status.unwrap_or_default().conditions;
        conditions::get(&conditions, "TopologyReconciled").is_some()
    })
    .await;
    let (reason, message) = test.reconciled("slow-1").await;
    let expected = "error computing the desired state of the Cluster topology: failed to apply \
                    patches: failed to generate patches for patch \"remote\": failed to call \
                    extension handler \"generatepatches.ext\": http call failed: Post \"https://";
    assert_eq!(reason, "ReconcileFailed");
    assert!(message.starts_with(expected), "{message}");
    assert!(message.ends_with("context deadline exceeded"), "{message}");
    test.soon("the other cluster is there", async || test.is_available("instant-1").await).await;
    assert!(test.is_reconciled("instant-1").await);
    test.playground.stop().await;
}
