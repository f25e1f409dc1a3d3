//! `capim scale` of topologies that change meanwhile.

use super::*;
use crate::acts::{Count, Members, Resize, Served};

#[tokio::test(start_paused = true)]
async fn changes_of_the_cluster_in_between_do_not_stop_a_scale() {
    let test = Test::start().await;
    test.apply(&manifests(INSTANT, |_| {})).await;
    test.available(1).await;
    let client = test.client();
    let cluster = client.list::<Cluster>("default", "").await.unwrap().remove(0);
    let name = cluster.metadata.name.unwrap();
    let served = Served::discover(client).await.unwrap();
    let members = Members::read(client, &served, "default", &name).await.unwrap();
    test.patch_cluster(&name, json!({"metadata": {"annotations": {"meanwhile": "changed"}}})).await;
    let workers = Some(Count::Exactly(4));
    let resize = Resize { workers, control_planes: Some(3), ..Resize::default() };
    members.resize(client, &resize).await.unwrap();
    let cluster = test.cluster(&name).await;
    let cluster = serde_json::to_value(cluster).unwrap();
    let topology = &cluster["spec"]["topology"];
    assert_eq!(topology["workers"]["machineDeployments"][0]["replicas"], 4);
    assert_eq!(topology["controlPlane"]["replicas"], 3);
    assert_eq!(cluster["metadata"]["annotations"]["meanwhile"], "changed");
    test.playground.stop().await;
}
