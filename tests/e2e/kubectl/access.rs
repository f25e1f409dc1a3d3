//! auth, certificate, create token, config.

use crate::support::Shell;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn auth_tells_who_one_is_and_what_one_may() {
    let Some(shell) = Shell::start("kubectl").await else { return };
    let who = shell.ok("kubectl auth whoami -o json").await;
    let who: serde_json::Value = serde_json::from_str(&who).unwrap();
    assert_eq!(who["status"]["userInfo"]["username"], "kubernetes-admin");
    shell.says("kubectl auth can-i create pods", "yes").await;
    let no = shell.run("kubectl auth can-i create pods --as=jane").await;
    assert_eq!((no.code, no.stdout.trim_end()), (Some(1), "no"), "{}", no.shown());
    let list = shell.ok("kubectl auth can-i --list").await;
    assert!(list.contains("*.*"), "{list}");
    shell
        .fails(
            "kubectl get pods --as=jane",
            "Error from server (Forbidden): pods is forbidden: User \"jane\" cannot list resource \
             \"pods\" in API group \"\" in the namespace \"default\"",
        )
        .await;
    shell.file("role.yaml", ROLE);
    let text = shell.ok("kubectl auth reconcile -f role.yaml").await;
    assert!(text.contains("role.rbac.authorization.k8s.io/reader reconciled"), "{text}");
    shell.stop().await;
}

const ROLE: &str = "\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: default}
rules: [{apiGroups: [\"\"], resources: [pods], verbs: [get, list]}]
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_service_accounts_hold() {
    let Some(shell) = Shell::start("kubectl").await else { return };
    shell.ok("kubectl create sa robot").await;
    shell.file("role.yaml", ROLE);
    shell.ok("kubectl create -f role.yaml").await;
    shell.ok("kubectl create rolebinding robot --role=reader --serviceaccount=default:robot").await;
    let token = shell.ok("kubectl create token robot --duration=1h").await;
    let token = token.trim_end();
    assert_eq!(token.split('.').count(), 3, "{token}");
    // Without a certificate, the token alone says who it is.
    let cluster = "kubectl config view --raw -o jsonpath='{.clusters[0].cluster.server}'";
    let server = shell.ok(cluster).await;
    let ca = "kubectl config view --raw -o \
              jsonpath='{.clusters[0].cluster.certificate-authority-data}' | base64 -d > ca.crt";
    shell.ok(ca).await;
    let robot = format!(
        "kubectl --kubeconfig=/dev/null --server={server} --certificate-authority=ca.crt \
         --token={token}"
    );
    let who = shell.ok(&format!("{robot} auth whoami -o jsonpath='{{.status.userInfo.username}}'"));
    assert_eq!(who.await, "system:serviceaccount:default:robot");
    shell.says(&format!("{robot} get pods -n default -o name"), "").await;
    shell.fails(&format!("{robot} get cm -n default"), "cannot list resource \"configmaps\"").await;
    let list = shell.ok(&format!("{robot} auth can-i --list -n default")).await;
    assert!(list.lines().any(|line| line.starts_with("pods ") && line.contains("[get list]")));
    shell.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_requests_are_approved_and_denied() {
    let Some(shell) = Shell::start("kubectl").await else { return };
    if crate::support::tool("openssl").is_none() {
        return;
    }
    let request = |name: &str| {
        format!(
            "openssl req -new -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr \
             -subj /CN={name}/O=devs 2>/dev/null && kubectl create -f - <<EOF\n\
             apiVersion: certificates.k8s.io/v1\n\
             kind: CertificateSigningRequest\n\
             metadata: {{name: {name}}}\n\
             spec:\n  request: $(base64 -w0 {name}.csr)\n  \
             signerName: kubernetes.io/kube-apiserver-client\n  usages: [client auth]\nEOF"
        )
    };
    shell.ok(&request("ann")).await;
    shell.ok(&request("bob")).await;
    shell
        .says(
            "kubectl certificate approve ann",
            "certificatesigningrequest.certificates.k8s.io/ann approved",
        )
        .await;
    shell
        .says(
            "kubectl certificate deny bob",
            "certificatesigningrequest.certificates.k8s.io/bob denied",
        )
        .await;
    let denied = "kubectl get csr bob -o jsonpath='{.status.conditions[*].type}'";
    shell.says(denied, "Denied").await;
    let issued = "kubectl wait csr/ann --for=jsonpath='{.status.certificate}' --timeout=30s && \
                  kubectl get csr ann -o jsonpath='{.status.certificate}' | base64 -d > ann.crt";
    shell.ok(issued).await;
    shell
        .fails(
            "kubectl config set-credentials ann --client-certificate=ann.crt --client-key=ann.key \
             >/dev/null && kubectl --user=ann get secrets",
            "User \"ann\" cannot list resource \"secrets\"",
        )
        .await;
    shell.stop().await;
}
