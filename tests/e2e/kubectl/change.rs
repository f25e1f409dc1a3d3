//! edit, patch, label, annotate, scale, set, rollout, replace, taint, cordon.

use super::{CONFIG_MAPS, DEPLOYMENT};
use crate::support::Shell;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patch_knows_its_dialects() {
    let Some(shell) = Shell::start("kubectl").await else { return };
    shell.file("web.yaml", &DEPLOYMENT.replace("IMAGE", "i"));
    shell.ok("kubectl create -f web.yaml").await;
    let patched = "deployment.apps/web patched";
    let containers = r#"{"spec":{"template":{"spec":{"containers":[{"name":"s","image":"j"}]}}}}"#;
    let names = "kubectl get deploy web -o jsonpath='{.spec.template.spec.containers[*].name}'";
    shell.says(&format!("kubectl patch deploy web -p '{containers}'"), patched).await;
    shell.says(names, "s c").await;
    shell
        .says(
            &format!("kubectl patch deploy web -p '{containers}'"),
            "deployment.apps/web patched (no change)",
        )
        .await;
    shell.says(&format!("kubectl patch deploy web --type=merge -p '{containers}'"), patched).await;
    shell.says(names, "s").await;
    let json = r#"[{"op":"replace","path":"/spec/replicas","value":7}]"#;
    shell.says(&format!("kubectl patch deploy web --type=json -p '{json}'"), patched).await;
    shell.says("kubectl get deploy web -o jsonpath='{.spec.replicas}'", "7").await;
    let test = r#"[{"op":"test","path":"/spec/replicas","value":8}]"#;
    shell
        .fails(
            &format!("kubectl patch deploy web --type=json -p '{test}'"),
            "the server rejected our request due to an error in our request",
        )
        .await;
    let status = r#"{"status":{"replicas":3}}"#;
    shell
        .says(&format!("kubectl patch deploy web --subresource=status -p '{status}'"), patched)
        .await;
    shell.says("kubectl get deploy web -o jsonpath='{.status.replicas}'", "3").await;
    let scale = r#"{"spec":{"replicas":2}}"#;
    shell
        .ok(&format!("kubectl patch deploy web --subresource=scale --type=merge -p '{scale}'"))
        .await;
    shell.says("kubectl get deploy web -o jsonpath='{.spec.replicas}'", "2").await;
    shell.fails("kubectl patch deploy nope -p '{}'", "deployments.apps \"nope\" not found").await;
    shell.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edit_writes_what_the_editor_left() {
    let Some(shell) = Shell::start("kubectl").await else { return };
    shell.ok("kubectl create cm a --from-literal=k=old").await;
    let edit = |editor: &str| format!("KUBE_EDITOR='{editor}' kubectl edit cm a");
    shell.says(&edit("sed -i s/old/new/"), "configmap/a edited").await;
    shell.says("kubectl get cm a -o jsonpath='{.data.k}'", "new").await;
    let unchanged = shell.run(&edit("true")).await;
    let text = format!("{}{}", unchanged.stdout, unchanged.stderr);
    assert!(text.contains("Edit cancelled, no changes made."), "{}", unchanged.shown());
    shell.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_annotations_and_replicas_are_set() {
    let Some(shell) = Shell::start("kubectl").await else { return };
    shell.file("web.yaml", &DEPLOYMENT.replace("IMAGE", "i"));
    shell.ok("kubectl create -f web.yaml").await;
    shell.says("kubectl label deploy web tier=front", "deployment.apps/web labeled").await;
    shell
        .fails(
            "kubectl label deploy web tier=back",
            "error: 'tier' already has a value (front), and --overwrite is false",
        )
        .await;
    shell
        .says("kubectl label deploy web tier=back --overwrite", "deployment.apps/web labeled")
        .await;
    shell.says("kubectl label deploy web tier-", "deployment.apps/web unlabeled").await;
    shell.says("kubectl annotate deploy web note=x", "deployment.apps/web annotated").await;
    shell.says("kubectl annotate deploy web note-", "deployment.apps/web annotated").await;
    shell.says("kubectl scale deploy web --replicas=5", "deployment.apps/web scaled").await;
    shell
        .fails(
            "kubectl scale deploy web --replicas=2 --current-replicas=7",
            "error: Expected replicas to be 7, was 5",
        )
        .await;
    shell.says("kubectl set image deploy/web c=j:2", "deployment.apps/web image updated").await;
    shell.says("kubectl set env deploy/web A=B", "deployment.apps/web env updated").await;
    shell
        .says(
            "kubectl set resources deploy/web --limits=cpu=200m",
            "deployment.apps/web resource requirements updated",
        )
        .await;
    shell
        .says(
            "kubectl get deploy web -o jsonpath='{.spec.replicas} {.spec.template.spec.containers[0].image} \
             {.spec.template.spec.containers[0].env[0].name} \
             {.spec.template.spec.containers[0].resources.limits.cpu}'",
            "5 j:2 A 200m",
        )
        .await;
    shell.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rollouts_are_followed_as_far_as_there_are_no_pods() {
    let Some(shell) = Shell::start("kubectl").await else { return };
    shell.file("web.yaml", &DEPLOYMENT.replace("IMAGE", "i"));
    shell.ok("kubectl create -f web.yaml").await;
    shell.says("kubectl rollout restart deploy web", "deployment.apps/web restarted").await;
    shell.says("kubectl rollout pause deploy web", "deployment.apps/web paused").await;
    shell.fails("kubectl rollout pause deploy web", "is already paused").await;
    shell.says("kubectl rollout resume deploy web", "deployment.apps/web resumed").await;
    shell.fails("kubectl rollout undo deploy web", "no rollout history found").await;
    let history = shell.ok("kubectl rollout history deploy web").await;
    assert!(history.contains("No rollout history found."), "{history}");
    // What a deployment controller would report.
    let generation = shell.ok("kubectl get deploy web -o jsonpath='{.metadata.generation}'").await;
    let status = format!(
        r#"{{"status":{{"observedGeneration":{generation},"replicas":2,"updatedReplicas":2,"readyReplicas":2,"availableReplicas":2}}}}"#
    );
    let (status, _) = tokio::join!(
        shell.ok("kubectl rollout status deploy web --timeout=30s"),
        shell.ok(&format!("kubectl patch deploy web --subresource=status -p '{status}'")),
    );
    assert!(status.ends_with("deployment \"web\" successfully rolled out\n"), "{status}");
    shell.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replace_puts_and_force_recreates() {
    let Some(shell) = Shell::start("kubectl").await else { return };
    let (one, _) = CONFIG_MAPS.split_once("---").unwrap();
    shell.file("a.yaml", one);
    shell.fails("kubectl replace -f a.yaml", "configmaps \"a\" not found").await;
    shell.ok("kubectl create -f a.yaml").await;
    shell
        .fails(
            "kubectl create -f a.yaml",
            "Error from server (AlreadyExists): error when creating \"a.yaml\": configmaps \"a\" \
             already exists",
        )
        .await;
    let uid = "kubectl get cm a -o jsonpath='{.metadata.uid}'";
    let before = shell.ok(uid).await;
    shell.says("kubectl replace -f a.yaml", "configmap/a replaced").await;
    assert_eq!(shell.ok(uid).await, before);
    let forced = shell.ok("kubectl replace --force -f a.yaml").await;
    assert!(
        forced.contains("configmap \"a\" deleted") && forced.ends_with("configmap/a replaced\n")
    );
    assert_ne!(shell.ok(uid).await, before);
    let stale = one.replace("name: a,", "name: a, resourceVersion: \"1\",");
    shell.file("stale.yaml", &stale);
    shell.fails("kubectl replace -f stale.yaml", "the object has been modified").await;
    shell.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_tainted_cordoned_and_drained() {
    let Some(shell) = Shell::start("kubectl").await else { return };
    shell.file("node.yaml", "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\n");
    shell.ok("kubectl create -f node.yaml").await;
    shell.says("kubectl taint nodes n1 a=b:NoSchedule", "node/n1 tainted").await;
    shell.says("kubectl taint nodes n1 a-", "node/n1 untainted").await;
    shell.says("kubectl cordon n1", "node/n1 cordoned").await;
    let nodes = shell.ok("kubectl get nodes").await;
    assert!(nodes.contains("SchedulingDisabled"), "{nodes}");
    shell.says("kubectl uncordon n1", "node/n1 uncordoned").await;
    shell.says("kubectl drain n1", "node/n1 cordoned\nnode/n1 drained").await;
    shell.stop().await;
}
