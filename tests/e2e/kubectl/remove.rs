//! delete and what happens to dependents.

use super::CONFIG_MAPS;
use crate::support::Shell;

/// Creates an owner and its dependent.
async fn family(shell: &Shell) {
    shell.ok("kubectl create cm owner").await;
    let uid = shell.ok("kubectl get cm owner -o jsonpath='{.metadata.uid}'").await;
    let owner = format!(
        r#"{{"metadata":{{"ownerReferences":[{{"apiVersion":"v1","kind":"ConfigMap","name":"owner","uid":"{uid}","blockOwnerDeletion":true}}]}}}}"#
    );
    shell.ok("kubectl create cm child").await;
    shell.ok(&format!("kubectl patch cm child -p '{owner}'")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delete_waits_and_tells_what_is_gone() {
    let Some(shell) = Shell::start("kubectl").await else { return };
    shell.file("cms.yaml", CONFIG_MAPS);
    shell.ok("kubectl create -f cms.yaml").await;
    let deleted = shell.ok("kubectl delete cm a").await;
    assert!(deleted.starts_with("configmap \"a\" deleted"), "{deleted}");
    shell
        .fails("kubectl delete cm a", "Error from server (NotFound): configmaps \"a\" not found")
        .await;
    shell.says("kubectl delete cm a --ignore-not-found", "").await;
    let deleted = shell.ok("kubectl delete -f cms.yaml --ignore-not-found").await;
    assert!(deleted.starts_with("configmap \"b\" deleted"), "{deleted}");
    shell.ok("kubectl create -f cms.yaml").await;
    shell.ok("kubectl delete cm -l set=one --dry-run=server").await;
    shell.says("kubectl get cm -l set=one -o name", "configmap/a\nconfigmap/b").await;
    shell.ok("kubectl delete cm -l set=one").await;
    shell.says("kubectl get cm -l set=one -o name", "").await;
    shell.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cascades_reach_dependents() {
    let Some(shell) = Shell::start("kubectl").await else { return };
    family(&shell).await;
    let gone = "kubectl wait --for=delete cm/child --timeout=30s";
    shell.ok("kubectl delete cm owner --cascade=background").await;
    shell.ok(gone).await;
    family(&shell).await;
    shell.ok("kubectl delete cm owner --cascade=foreground").await;
    shell.fails("kubectl get cm child", "not found").await;
    family(&shell).await;
    shell.ok("kubectl delete cm owner --cascade=orphan").await;
    shell.says("kubectl get cm child -o jsonpath='{.metadata.ownerReferences}'", "").await;
    shell.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn finalizers_hold_and_namespaces_take_all_with_them() {
    let Some(shell) = Shell::start("kubectl").await else { return };
    shell.ok("kubectl create ns tour").await;
    shell.ok("kubectl create cm held -n tour").await;
    let finalizers = |list: &str| {
        format!("kubectl patch cm held -n tour -p '{{\"metadata\":{{\"finalizers\":{list}}}}}'")
    };
    shell.ok(&finalizers("[\"example.com/hold\"]")).await;
    shell.ok("kubectl delete ns tour --wait=false").await;
    shell
        .fails(
            "kubectl create cm more -n tour",
            "unable to create new content in namespace tour because it is being terminated",
        )
        .await;
    let waiting = tokio::join!(
        shell.ok("kubectl wait --for=delete ns/tour --timeout=30s"),
        shell.ok(&finalizers("null")),
    );
    assert!(waiting.1.contains("patched"), "{}", waiting.1);
    shell.fails("kubectl get ns tour", "namespaces \"tour\" not found").await;
    shell.fails("kubectl delete ns default", "this namespace may not be deleted").await;
    shell.stop().await;
}
