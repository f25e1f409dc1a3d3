use kube::api::{DeleteParams, PropagationPolicy};

use crate::controllers::test_server::TestServer;

fn orphan() -> DeleteParams {
    DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..DeleteParams::default() }
}

#[tokio::test]
async fn dependents_follow_their_owner_in_background() {
    let test = TestServer::start().await;
    let owner = test.config_map("owner", &[], &[]).await;
    let child = test.config_map("child", &[("owner", &owner, false)], &[]).await;
    test.config_map("grandchild", &[("child", &child, false)], &[]).await;
    test.config_map("other", &[], &[]).await;
    test.delete("owner", &DeleteParams::background()).await;
    test.until("the grandchild goes", async |test| test.get("grandchild").await.is_none()).await;
    assert!(test.get("child").await.is_none());
    assert!(test.get("other").await.is_some());
}

#[tokio::test]
async fn foreground_owner_waits_for_blocking_dependents() {
    let test = TestServer::start().await;
    let owner = test.config_map("owner", &[], &[]).await;
    test.config_map("held", &[("owner", &owner, true)], &["example.com/hold"]).await;
    test.config_map("free", &[("owner", &owner, false)], &[]).await;
    test.delete("owner", &DeleteParams::foreground()).await;
    test.until("the dependents are asked to go", async |test| {
        let held = test.get("held").await.unwrap();
        held.deletion_timestamp.is_some() && test.get("free").await.is_none()
    })
    .await;
    assert!(test.get("owner").await.is_some());
    test.remove_finalizers("held").await;
    test.until("the owner goes", async |test| test.get("owner").await.is_none()).await;
}

#[tokio::test]
async fn foreground_owner_does_not_wait_for_others() {
    let test = TestServer::start().await;
    let owner = test.config_map("owner", &[], &[]).await;
    test.config_map("held", &[("owner", &owner, false)], &["example.com/hold"]).await;
    test.delete("owner", &DeleteParams::foreground()).await;
    test.until("the owner goes", async |test| test.get("owner").await.is_none()).await;
    assert!(test.get("held").await.unwrap().deletion_timestamp.is_some());
}

#[tokio::test]
async fn orphans_stay_without_their_owner_reference() {
    let test = TestServer::start().await;
    let owner = test.config_map("owner", &[], &[]).await;
    let second = test.config_map("second", &[], &[]).await;
    let owners = [("owner", owner.as_str(), true), ("second", second.as_str(), false)];
    test.config_map("child", &owners, &[]).await;
    test.delete("owner", &orphan()).await;
    test.until("the owner goes", async |test| test.get("owner").await.is_none()).await;
    let references = test.get("child").await.unwrap().owner_references.unwrap();
    assert_eq!(references.len(), 1);
    assert_eq!(references[0].uid, second);
}

#[tokio::test]
async fn reference_to_an_absent_owner_is_dropped_while_another_owner_stands() {
    let test = TestServer::start().await;
    let first = test.config_map("first", &[], &[]).await;
    let second = test.config_map("second", &[], &[]).await;
    let owners = [("first", first.as_str(), false), ("second", second.as_str(), false)];
    test.config_map("child", &owners, &[]).await;
    test.delete("first", &DeleteParams::background()).await;
    test.until("the reference goes", async |test| {
        test.get("child").await.unwrap().owner_references.is_some_and(|list| list.len() == 1)
    })
    .await;
    test.delete("second", &DeleteParams::background()).await;
    test.until("the child goes", async |test| test.get("child").await.is_none()).await;
}

#[tokio::test]
async fn object_born_with_an_absent_owner_is_deleted() {
    let test = TestServer::start().await;
    test.config_map("child", &[("nobody", "00000000-0000-4000-8000-000000000000", false)], &[])
        .await;
    test.until("the child goes", async |test| test.get("child").await.is_none()).await;
}

#[tokio::test]
async fn owner_that_has_the_uid_but_another_name_counts_as_absent() {
    let test = TestServer::start().await;
    let owner = test.config_map("owner", &[], &[]).await;
    test.config_map("child", &[("impostor", &owner, false)], &[]).await;
    test.until("the child goes", async |test| test.get("child").await.is_none()).await;
}
