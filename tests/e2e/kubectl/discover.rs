//! api-resources, api-versions, explain, cluster-info, version, proxy, raw paths.

use crate::support::Shell;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn discovery_lists_what_is_served() {
    let Some(shell) = Shell::start("kubectl").await else { return };
    let versions = shell.ok("kubectl api-versions").await;
    for version in ["v1", "apps/v1", "batch/v1", "apiextensions.k8s.io/v1"] {
        assert!(versions.lines().any(|line| line == version), "{version}:\n{versions}");
    }
    let resources = shell.ok("kubectl api-resources -o wide --api-group=apps --no-headers").await;
    let line = resources.lines().find(|line| line.starts_with("deployments ")).unwrap();
    assert_eq!(
        line.split_whitespace().collect::<Vec<_>>(),
        [
            "deployments",
            "deploy",
            "apps/v1",
            "true",
            "Deployment",
            "create,delete,deletecollection,get,list,patch,update,watch",
            "all"
        ]
    );
    let all = shell.ok("kubectl api-resources --categories=all -o name").await;
    assert!(all.lines().any(|line| line == "pods"), "{all}");
    let global = shell.ok("kubectl api-resources --namespaced=false -o name").await;
    assert!(global.lines().any(|line| line == "nodes") && !global.contains("pods"), "{global}");
    let review = "apiVersion: authorization.k8s.io/v1\nkind: SelfSubjectAccessReview\n\
                  spec: {resourceAttributes: {verb: get, resource: pods}}\n";
    shell.file("review.yaml", review);
    shell.says("kubectl create -f review.yaml -o jsonpath={.status.allowed}", "true").await;
    let healthy = "jsonpath={.conditions[0].status}";
    shell.says(&format!("kubectl get componentstatus scheduler -o {healthy}"), "True").await;
    let version = shell.ok("kubectl version -o json").await;
    let version: serde_json::Value = serde_json::from_str(&version).unwrap();
    assert_eq!(version["serverVersion"]["major"], "1");
    assert_eq!(version["serverVersion"]["minor"], "36");
    let info = shell.ok("kubectl cluster-info").await;
    let url = shell.control_plane.url();
    assert!(info.contains("control plane") && info.contains(url), "{info}");
    shell.says("kubectl get --raw /readyz", "ok").await;
    shell
        .fails("kubectl get --raw /nope", "the server could not find the requested resource")
        .await;
    shell.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_reads_the_openapi_documents() {
    let Some(shell) = Shell::start("kubectl").await else { return };
    let text = shell.ok("kubectl explain deploy.spec.strategy.rollingUpdate").await;
    assert!(text.contains("FIELD: rollingUpdate <RollingUpdateDeployment>"), "{text}");
    assert!(text.contains("maxSurge\t<IntOrString>"), "{text}");
    let text = shell.ok("kubectl explain cm --recursive").await;
    assert!(text.contains("binaryData\t<map[string]string>"), "{text}");
    assert!(text.contains("      uid\t<string> -required-"), "{text}");
    shell.fails("kubectl explain pods.nope", "field \"nope\" does not exist").await;
    shell.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proxy_passes_requests_on() {
    let Some(shell) = Shell::start("kubectl").await else { return };
    let script = "mkfifo out; kubectl proxy --port=0 >out & \
                  read -r line <out; address=${line##* }; \
                  KUBECONFIG=/dev/null kubectl --server=http://$address get --raw /version; \
                  kill $!";
    let version = shell.ok(script).await;
    assert!(version.contains("\"gitVersion\""), "{version}");
    shell.stop().await;
}
