//! Asking the etcd of a workload cluster as the dashboard does: with the Secrets of the management
//! cluster alone, over the network.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;

use super::sample::{SampleCluster, Startup};
use super::{Config, KUBERNETES_VERSION, Playground};
use crate::acts;
use crate::client::{Client, EtcdError, EtcdReader, EtcdReport, ObjectKey};
use crate::clock::{Clock, Seed};

const LIMIT: Duration = Duration::from_secs(120);

async fn start() -> Playground {
    let config = Config { seed: Seed(3), ..Config::new(Clock::wall()) };
    let playground = Playground::start(config).await.expect("started");
    playground.manager().started().await;
    let sample = SampleCluster {
        name: "demo".to_owned(),
        namespace: "default".to_owned(),
        control_planes: 3,
        workers: 0,
        version: KUBERNETES_VERSION.to_owned(),
        startup: Startup::instant(),
    };
    let batch = vec![(sample.name.clone(), sample.manifests())];
    acts::create(playground.client(), "default", batch, |_| Ok(())).await.expect("accepted");
    playground.readiness().expecting([demo()]).wait(LIMIT).await.expect("ready");
    playground
}

fn demo() -> ObjectKey {
    ObjectKey::new("default", "demo")
}

/// A client as its kubeconfig makes it.
async fn workload(management: &Client) -> Client {
    let key = ObjectKey::new("default", "demo-kubeconfig");
    let secret: Secret = management.get(&key).await.expect("readable").expect("there");
    let bytes = secret.data.expect("data")["value"].0.clone();
    let text = String::from_utf8(bytes).expect("text");
    Client::from_kubeconfig(&text, "capim").await.expect("a client")
}

#[tokio::test(flavor = "multi_thread")]
async fn members_tell_who_leads_over_forwarded_ports() {
    let playground = start().await;
    let management = playground.client();
    let workload = workload(management).await;
    let reader = EtcdReader::new(management, workload.clone(), &demo()).await.expect("a reader");
    let pods = reader.pods().await.expect("Pods");
    assert_eq!(pods.len(), 3);
    let mut answers = Vec::new();
    for pod in pods {
        let answer = reader.ask(&pod).await.map_err(|error| error.to_string());
        answers.push((pod, answer));
    }
    let report = EtcdReport::of(&answers);
    assert_eq!(report.members.len(), 3, "{report:?}");
    for member in &report.members {
        assert_eq!(member.silent, None, "{report:?}");
        assert!(!member.version.is_empty() && member.db_bytes > 0, "{report:?}");
    }
    let leaders = report.members.iter().filter(|member| member.is_leader).count();
    assert_eq!(leaders, 1, "{report:?}");

    let told = match reader.ask("etcd-nobody").await {
        Err(error) => error.to_string(),
        Ok(_) => panic!("there is no such Pod"),
    };
    assert!(told.contains("etcd-nobody") && told.contains("not found"), "{told}");
    let other = ObjectKey::new("default", "other");
    let missing = EtcdReader::new(management, workload, &other).await.err();
    assert!(matches!(missing, Some(EtcdError::NoAuthority(key)) if key.name == "other-etcd"));
    playground.stop().await;
}
