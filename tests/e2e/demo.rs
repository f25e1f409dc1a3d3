//! The talk's demo on the virtual clock: twenty clusters with its durations.

use std::time::Duration;

use capim::clock::Seed;
use capim::playground::{Manifest, apply_manifests, read_manifests};

use crate::support::{repository, virtual_playground};

const SEED: u64 = 42;
const CLUSTERS: usize = 20;
/// What a cluster may take beyond its critical path.
const SLACK: Duration = Duration::from_secs(2);

fn manifests(number: usize) -> Vec<Manifest> {
    let original = std::fs::read_to_string(repository("examples/in-memory-v1alpha1.yaml")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cluster.yaml");
    std::fs::write(&file, original.replace("test-1", &format!("test-{number}"))).unwrap();
    read_manifests(&[file]).unwrap()
}

/// Duration of a stage as the provider draws it.
fn stage(machine: &str, stage: &str, seconds: f64) -> f64 {
    seconds * (1.0 + 0.2 * Seed(SEED).fraction(&["default", "InMemoryMachine", machine, stage]))
}

#[tokio::test(start_paused = true)]
async fn twenty_clusters_take_the_time_of_their_critical_path() {
    let playground = virtual_playground(SEED).await;
    playground.manager().started().await;
    let start = playground.clock().elapsed();
    let mut applied = Vec::new();
    for number in 1..=CLUSTERS {
        let manifests = manifests(number);
        applied.extend(manifests.iter().filter_map(|manifest| manifest.cluster_key("default")));
        apply_manifests(playground.client(), "default", &manifests).await.unwrap();
    }
    playground.readiness().expecting(applied).wait(Duration::from_secs(300)).await.unwrap();
    let took = playground.clock().elapsed() - start;
    let machines = playground.sources().machines.list();
    assert_eq!(machines.len(), 2 * CLUSTERS);
    let path = |cluster: usize| {
        let name = format!("test-{cluster}");
        let mut of_cluster = machines.iter().filter(|machine| machine.spec.cluster_name == name);
        let is_worker = |name: &str| name.contains("-md-0-");
        let names: Vec<String> =
            of_cluster.by_ref().map(|machine| machine.metadata.name.clone().unwrap()).collect();
        let control_plane = names.iter().find(|name| !is_worker(name)).unwrap();
        let worker = names.iter().find(|name| is_worker(name)).unwrap();
        let node_up = stage(control_plane, "vm", 30.0) + stage(control_plane, "node", 10.0);
        let (etcd, api) =
            (stage(control_plane, "etcd", 10.0), stage(control_plane, "apiServer", 10.0));
        let worker_up = stage(worker, "vm", 30.0) + stage(worker, "node", 10.0);
        // As upstream, a control plane counts as initialized when its API server answers, which
        // may be before its etcd member is done.
        let least = (node_up + api + worker_up).max(node_up + etcd);
        (least, node_up + etcd.max(api) + worker_up)
    };
    let paths: Vec<(f64, f64)> = (1..=CLUSTERS).map(path).collect();
    let longest =
        |paths: &mut dyn Iterator<Item = f64>| Duration::from_secs_f64(paths.fold(0.0, f64::max));
    let least = longest(&mut paths.iter().map(|(least, _)| *least));
    let critical = longest(&mut paths.iter().map(|(_, critical)| *critical));
    assert!(took >= least, "took {took:?}, which is less than the machines' own {least:?}");
    assert!(took <= critical + SLACK, "took {took:?}, the critical path is {critical:?}");
    playground.stop().await;
}
