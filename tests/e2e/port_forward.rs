//! `kubectl port-forward` to what a workload cluster runs, and what it may not reach.

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::kcp_client::etcd_client;
use crate::support::tool;
use crate::workload::{LIMIT, WorkloadClusters};

/// What makes kubectl leave out WebSocket.
const SPDY: [(&str, &str); 1] = [("KUBECTL_PORT_FORWARD_WEBSOCKETS", "false")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_reaches_the_api_server_of_a_pod_by_websocket_and_by_spdy() {
    let Some(_) = tool("kubectl") else { return };
    let clusters = WorkloadClusters::start(&[("a", 1)]).await;
    let pod = clusters.static_pod("a", "kube-apiserver").await;
    for environment in [&[][..], &SPDY] {
        let forward = clusters.forward("a", ("kube-system", &pod), 6443, environment).await;
        let server = format!("--server https://127.0.0.1:{}", forward.port);
        // Several connections at once, each with the client's certificate inside.
        let gets = (0..8).map(|_| async {
            let line = format!("kubectl {server} get nodes -o name");
            clusters.ok("a", &line).await
        });
        for nodes in futures::future::join_all(gets).await {
            assert_eq!(nodes.lines().count(), 2, "{nodes}");
        }
        let who = clusters.ok("a", &format!("kubectl {server} auth whoami")).await;
        assert!(who.contains("kubernetes-admin"), "{who}");
        // More bytes than any window or buffer on the way.
        let openapi = clusters.ok("a", &format!("kubectl {server} get --raw /openapi/v2")).await;
        assert!(openapi.len() > 500_000, "{} bytes", openapi.len());
    }
    clusters.playground.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_on_which_nothing_listens_fails_as_the_kubelet_says() {
    let Some(_) = tool("kubectl") else { return };
    let clusters = WorkloadClusters::start(&[("a", 1)]).await;
    let pod = clusters.static_pod("a", "kube-apiserver").await;
    for environment in [&[][..], &SPDY] {
        let forward = clusters.forward("a", ("kube-system", &pod), 99, environment).await;
        let mut connection = TcpStream::connect(("127.0.0.1", forward.port)).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(LIMIT, connection.read_to_end(&mut answer)).await.unwrap();
        assert!(read.is_err() || answer.is_empty(), "{answer:?}");
        let complaint = forward.complaint().await;
        assert!(complaint.contains("n error occurred forwarding"), "{complaint}");
        assert!(complaint.contains("error forwarding port 99 to pod "), "{complaint}");
        assert!(complaint.contains(", uid : failed to execute portforward in"), "{complaint}");
        assert!(complaint.contains("127.0.0.1:99: connect: connection refused"), "{complaint}");
        assert!(complaint.contains("error: lost connection to pod"), "{complaint}");
    }
    clusters.playground.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_providers_pod_has_the_workload_clusters_ports() {
    let Some(_) = tool("kubectl") else { return };
    let clusters = WorkloadClusters::start(&[("a", 1), ("b", 1)]).await;
    let label = "control-plane=controller-manager";
    let script = format!(
        "kubectl get pods -n capd-system -l {label} -o name | grep -q . || {{
           kubectl get namespace capd-system || kubectl create namespace capd-system
           kubectl run provider -n capd-system --image=provider -l {label} \
             --overrides='{{\"spec\":{{\"nodeName\":\"here\"}}}}'
           kubectl patch pod provider -n capd-system --subresource=status \
             -p '{{\"status\":{{\"phase\":\"Running\"}}}}'
           kubectl run other -n capd-system --image=other \
             --overrides='{{\"spec\":{{\"nodeName\":\"here\"}}}}'
         }} >&2; kubectl get pods -n capd-system -l {label} -o name"
    );
    let pod = clusters.ok("management", &script).await;
    let pod = pod.trim().trim_start_matches("pod/");
    for cluster in ["a", "b"] {
        let server = clusters.ok(cluster, "kubectl config view --minify -o jsonpath='{..server}'");
        let port = server.await.rsplit_once(':').unwrap().1.parse().unwrap();
        for environment in [&[][..], &SPDY] {
            let pod = ("capd-system", pod);
            let forward = clusters.forward("management", pod, port, environment).await;
            let line =
                format!("kubectl --server https://127.0.0.1:{} get nodes -o name", forward.port);
            let nodes = clusters.ok(cluster, &line).await;
            assert!(nodes.contains(&format!("node/{cluster}-")), "{nodes}");
        }
    }
    clusters.playground.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcdctl_speaks_to_a_member_through_kubectl() {
    let (Some(_), Some(_)) = (tool("kubectl"), tool("etcdctl")) else { return };
    let clusters = WorkloadClusters::start(&[("a", 3)]).await;
    let (ca, (certificate, key)) = etcd_client(&clusters, "a").await;
    for (file, bytes) in [("ca.crt", ca), ("client.crt", certificate), ("client.key", key)] {
        clusters.file(file, &bytes);
    }
    let pod = clusters.static_pod("a", "etcd").await;
    let forward = clusters.forward("a", ("kube-system", &pod), 2379, &[]).await;
    let endpoint = format!("--endpoints https://127.0.0.1:{} --cacert ca.crt", forward.port);
    let etcdctl = async |arguments: &str| {
        let certificate = "--cert client.crt --key client.key";
        let line = format!("ETCDCTL_API=3 etcdctl {endpoint} {certificate} {arguments}");
        clusters.ok("a", &line).await
    };
    let status = etcdctl("endpoint status -w fields").await;
    assert!(status.contains("\"Version\" : \"3."), "{status}");
    let members = etcdctl("member list").await;
    assert_eq!(members.matches(", started, a-").count(), 3, "{members}");
    assert_eq!(etcdctl("put greeting hello").await.trim(), "OK");
    assert_eq!(etcdctl("get greeting --print-value-only").await.trim(), "hello");
    let health = clusters.run("a", &format!("ETCDCTL_API=3 etcdctl {endpoint} member list")).await;
    assert_ne!(health.0, Some(0), "without a client certificate: {health:?}");
    clusters.playground.stop().await;
}
