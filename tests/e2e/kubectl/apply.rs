//! apply in both ways, diff, dry runs, validation, prune.

use super::{CONFIG_MAPS, DEPLOYMENT};
use crate::support::Shell;

const MANAGERS: &str = "kubectl get deploy web --show-managed-fields -o \
    jsonpath='{range .metadata.managedFields[*]}{.manager}/{.operation}{\" \"}{end}'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_side_apply_creates_changes_and_rests() {
    let Some(shell) = Shell::start("kubectl").await else { return };
    shell.file("web.yaml", &DEPLOYMENT.replace("IMAGE", "nginx:1"));
    shell.file("web2.yaml", &DEPLOYMENT.replace("IMAGE", "nginx:2"));
    shell.says("kubectl apply -f web.yaml", "deployment.apps/web created").await;
    shell.says("kubectl apply -f web.yaml", "deployment.apps/web unchanged").await;
    shell.says("kubectl diff -f web.yaml", "").await;
    let diff = shell.run("kubectl diff -f web2.yaml").await;
    assert_eq!(diff.code, Some(1), "{}", diff.shown());
    let changed = diff.stdout.contains("-      - image: nginx:1\n+      - image: nginx:2");
    assert!(
        changed && diff.stdout.contains("-  generation: 1\n+  generation: 2"),
        "{}",
        diff.stdout
    );
    shell
        .says(
            "kubectl apply -f web2.yaml --dry-run=server",
            "deployment.apps/web configured (server dry run)",
        )
        .await;
    shell
        .says(
            "kubectl apply -f web2.yaml --dry-run=client",
            "deployment.apps/web configured (dry run)",
        )
        .await;
    let image = "kubectl get deploy web -o jsonpath='{.spec.template.spec.containers[0].image}'";
    shell.says(image, "nginx:1").await;
    shell.says("kubectl apply -f web2.yaml", "deployment.apps/web configured").await;
    shell.says(image, "nginx:2").await;
    let last = shell.ok("kubectl apply view-last-applied deploy/web -o json").await;
    assert!(last.contains(r#""image": "nginx:2""#), "{last}");
    shell.ok("kubectl apply set-last-applied -f web.yaml").await;
    // What was in the last configuration and is no longer there goes.
    shell.file("web.yaml", &DEPLOYMENT.replace("IMAGE", "nginx:2").replace("  replicas: 2\n", ""));
    shell.ok("kubectl apply -f web.yaml").await;
    shell.says("kubectl get deploy web -o jsonpath='{.spec.replicas}'", "1").await;
    shell.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_side_apply_names_conflicts_and_forces() {
    let Some(shell) = Shell::start("kubectl").await else { return };
    shell.file("web.yaml", &DEPLOYMENT.replace("IMAGE", "nginx:1"));
    shell.file("web2.yaml", &DEPLOYMENT.replace("IMAGE", "nginx:2"));
    let applied = "deployment.apps/web serverside-applied";
    shell.says("kubectl apply --server-side -f web.yaml", applied).await;
    shell.says("kubectl apply --server-side -f web.yaml", applied).await;
    shell.says("kubectl get deploy web -o jsonpath='{.metadata.generation}'", "1").await;
    shell
        .fails(
            "kubectl apply --server-side -f web2.yaml --field-manager=other",
            "error: Apply failed with 1 conflict: conflict with \"kubectl\": \
             .spec.template.spec.containers[name=\"c\"].image",
        )
        .await;
    shell
        .says(
            "kubectl apply --server-side -f web2.yaml --field-manager=other --force-conflicts",
            applied,
        )
        .await;
    shell.says(MANAGERS, "kubectl/Apply other/Apply").await;
    // Fields that nobody claims any more go.
    let bare = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n";
    shell.file("bare.yaml", bare);
    shell.ok("kubectl apply --server-side -f bare.yaml").await;
    shell.says("kubectl get deploy web -o jsonpath='{.metadata.labels.app}'", "web").await;
    let diff = shell.run("kubectl diff --server-side --field-manager=other -f web.yaml").await;
    assert_eq!(diff.code, Some(1), "{}", diff.shown());
    shell.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_side_apply_takes_over_from_client_side_apply() {
    let Some(shell) = Shell::start("kubectl").await else { return };
    shell.file("web.yaml", &DEPLOYMENT.replace("IMAGE", "nginx:1"));
    shell.ok("kubectl apply -f web.yaml").await;
    shell.says(MANAGERS, "kubectl-client-side-apply/Update").await;
    shell.file(
        "web.yaml",
        &DEPLOYMENT.replace("IMAGE", "nginx:1").replace("replicas: 2", "replicas: 3"),
    );
    shell
        .says(
            "kubectl apply --server-side --force-conflicts -f web.yaml",
            "deployment.apps/web serverside-applied",
        )
        .await;
    let managers = shell.ok(MANAGERS).await;
    let mut managers: Vec<&str> = managers.split_whitespace().collect();
    managers.sort_unstable();
    assert_eq!(managers, ["kubectl-last-applied/Apply", "kubectl/Apply"]);
    shell
        .says("kubectl apply --server-side -f web.yaml", "deployment.apps/web serverside-applied")
        .await;
    // And back again.
    shell.ok("kubectl apply -f web.yaml").await;
    shell.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_fields_are_refused_mentioned_or_ignored() {
    let Some(shell) = Shell::start("kubectl").await else { return };
    let bad = DEPLOYMENT.replace("IMAGE", "i").replace("replicas", "replicaz");
    shell.file("bad.yaml", &bad);
    shell
        .fails(
            "kubectl create -f bad.yaml",
            "Error from server (BadRequest): error when creating \"bad.yaml\": Deployment in \
             version \"v1\" cannot be handled as a Deployment: strict decoding error: unknown \
             field \"spec.replicaz\"",
        )
        .await;
    shell
        .fails(
            "kubectl apply --server-side -f bad.yaml",
            "failed to create typed patch object (default/web; apps/v1, Kind=Deployment): \
             .spec.replicaz: field not declared in schema",
        )
        .await;
    let warned = shell.run("kubectl apply -f bad.yaml --validate=warn").await;
    assert!(
        warned.stderr.contains("Warning: unknown field \"spec.replicaz\""),
        "{}",
        warned.shown()
    );
    let quiet = shell.run("kubectl apply -f bad.yaml --validate=ignore").await;
    assert_eq!((quiet.code, &*quiet.stderr), (Some(0), ""), "{}", quiet.shown());
    shell
        .fails("kubectl apply -f bad.yaml --validate=strict", "unknown field \"spec.replicaz\"")
        .await;
    shell.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prune_removes_what_is_left_out() {
    let Some(shell) = Shell::start("kubectl").await else { return };
    shell.file("cms.yaml", CONFIG_MAPS);
    shell.ok("kubectl apply -f cms.yaml").await;
    let (one, _) = CONFIG_MAPS.split_once("---").unwrap();
    shell.file("one.yaml", one);
    let prune = "kubectl apply -f one.yaml --prune -l set=one --prune-allowlist=core/v1/ConfigMap";
    shell.says(prune, "configmap/a unchanged\nconfigmap/b pruned").await;
    shell.says("kubectl get cm -l set=one -o name", "configmap/a").await;
    shell.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn custom_resources_are_applied_as_well() {
    let Some(shell) = Shell::start("kubectl").await else { return };
    shell.file("crd.yaml", CRD);
    shell.ok("kubectl apply -f crd.yaml").await;
    shell.ok("kubectl wait --for=condition=Established crd/widgets.tour.example.com").await;
    shell.file("w.yaml", WIDGET);
    shell.says("kubectl apply -f w.yaml", "widget.tour.example.com/w created").await;
    shell.says("kubectl apply -f w.yaml", "widget.tour.example.com/w unchanged").await;
    shell
        .says(
            "kubectl get wd w -o custom-columns=S:.spec.size,R:.spec.replicas --no-headers",
            "3     1",
        )
        .await;
    let table = shell.ok("kubectl get wd").await;
    assert!(table.starts_with("NAME   SIZE   AGE\nw      3 "), "{table}");
    shell.says("kubectl scale wd w --replicas=4", "widget.tour.example.com/w scaled").await;
    shell.says("kubectl get wd w -o jsonpath='{.spec.replicas}'", "4").await;
    shell
        .fails(
            "kubectl patch wd w --type=merge -p '{\"spec\":{\"size\":\"x\"}}'",
            "The Widget \"w\" is invalid: spec.size: Invalid value: \"string\": spec.size in body must \
             be of type integer: \"string\"",
        )
        .await;
    let explained = shell.ok("kubectl explain wd.spec").await;
    assert!(explained.contains("how big it is"), "{explained}");
    shell.says("kubectl get all -o name -l none=none", "").await;
    shell.ok("kubectl delete crd widgets.tour.example.com").await;
    shell.fails("kubectl get wd", "the server").await;
    shell.stop().await;
}

const WIDGET: &str = "\
apiVersion: tour.example.com/v1
kind: Widget
metadata: {name: w, namespace: default}
spec: {size: 3}
";

const CRD: &str = "\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.tour.example.com}
spec:
  group: tour.example.com
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, shortNames: [wd], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    additionalPrinterColumns:
    - {name: Size, type: integer, jsonPath: .spec.size}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              size: {type: integer, description: how big it is}
              replicas: {type: integer, default: 1}
          status:
            type: object
            properties: {replicas: {type: integer}}
";
