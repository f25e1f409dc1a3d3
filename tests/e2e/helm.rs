//! Helm: a release's life with the helm on the PATH.

use serde_json::Value;

use crate::support::{Shell, repository};

async fn json(shell: &Shell, line: &str) -> Value {
    let text = shell.ok(line).await;
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{line}: {error}\n{text}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_is_installed_upgraded_rolled_back_and_removed() {
    let Some(shell) = Shell::start("helm").await else { return };
    let chart = repository("tests/e2e/chart").display().to_string();
    let greeting = "kubectl get cm demo-config -o jsonpath='{.data.greeting}'";
    let text = shell.ok(&format!("helm install demo {chart} --wait --timeout 30s")).await;
    assert!(text.contains("STATUS: deployed"), "{text}");
    shell.says(greeting, "hello").await;
    shell.says("kubectl get greeting demo -o jsonpath='{.spec.text}'", "hello").await;
    for hook in ["pre-install", "post-install"] {
        shell.ok(&format!("kubectl get cm demo-{hook}")).await;
    }
    shell.fails(&format!("helm install demo {chart}"), "a name that is still in use").await;

    shell.ok(&format!("helm upgrade demo {chart} --set greeting=bye --wait --timeout 30s")).await;
    shell.says(greeting, "bye").await;
    shell.ok(&format!("helm upgrade demo {chart} --set greeting=again")).await;
    let history = json(&shell, "helm history demo -o json").await;
    let statuses: Vec<&str> =
        history.as_array().unwrap().iter().map(|it| it["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["superseded", "superseded", "deployed"]);

    shell.ok("helm rollback demo 1 --wait --timeout 30s").await;
    shell.says(greeting, "hello").await;
    let list = json(&shell, "helm list -o json").await;
    assert_eq!((&list[0]["name"], &list[0]["revision"]), (&"demo".into(), &"4".into()), "{list}");
    let status = json(&shell, "helm status demo -o json").await;
    assert_eq!(status["info"]["status"], "deployed");
    let manifest = shell.ok("helm get manifest demo").await;
    assert!(manifest.contains("kind: Greeting"), "{manifest}");
    let values = json(&shell, "helm get values demo -o json --revision 2").await;
    assert_eq!(values["greeting"], "bye");

    shell.ok("helm uninstall demo --wait --timeout 30s").await;
    shell.fails("helm status demo", "not found").await;
    shell
        .says("kubectl get greetings,svc,cm -l app.kubernetes.io/managed-by=Helm -o name", "")
        .await;
    shell.ok("kubectl get cm demo-post-delete").await;
    // CRDs stay, as Helm wants it.
    shell.ok("kubectl get crd greetings.chart.example.com").await;
    shell.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_upgrade_can_be_taken_back() {
    let Some(shell) = Shell::start("helm").await else { return };
    let chart = repository("tests/e2e/chart").display().to_string();
    shell.ok(&format!("helm upgrade --install demo {chart} --create-namespace -n shop")).await;
    let broken = format!("helm upgrade demo {chart} -n shop --set-json greeting='{{\"a\":1}}'");
    let ran = shell.run(&broken).await;
    // A map is quoted by the template, so this works; an invalid name does not.
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    shell.fails(&format!("helm install Bad_Name {chart} -n shop"), "nvalid").await;
    shell.ok("helm rollback demo 1 -n shop").await;
    shell.says("kubectl get cm demo-config -n shop -o jsonpath='{.data.greeting}'", "hello").await;
    shell.ok("helm uninstall demo -n shop").await;
    shell.stop().await;
}
