//! A client that speaks to a workload cluster what Cluster API's own controllers speak: connection
//! and probe of the cluster cache, informers, the Machine controller's patches and drain,
//! KubeadmControlPlane's objects, certificates and etcd. (CAPI v1.14, client-go v0.36,
//! controller-runtime v0.24, etcd client v3.6)

mod etcd;
mod protobuf;
mod rest;
mod tunnel;

use std::time::Duration;

use capim::pki::{CertificateAuthority, KeyAlgorithm, LeafRequest, Usage};
use http::Method;
use rustls_pki_types::ServerName;
use serde_json::{Value, json};
use tokio_rustls::TlsConnector;

use crate::workload::WorkloadClusters;
use etcd::Etcd;
use protobuf::{encode, metadata};
use rest::{Answer, Credentials, MERGE, Rest, STRATEGIC};
use tunnel::Way;

const BOTH: [Way; 2] = [Way::WebSocket, Way::Spdy];
/// What discovery asks for first. (client-go v0.36: discovery/discovery_client.go)
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                          application/json;g=apidiscovery.k8s.io;v=v2beta1;\
                          as=APIGroupDiscoveryList,application/json";

async fn credentials(clusters: &WorkloadClusters, cluster: &str) -> Credentials {
    let kubeconfig = clusters.secret(&format!("{cluster}-kubeconfig"), "value").await;
    Credentials::from_kubeconfig(&kubeconfig)
}

/// Names of the Nodes of the control plane, sorted.
async fn control_planes(api: &Rest) -> Vec<String> {
    let selector = "labelSelector=node-role.kubernetes.io%2Fcontrol-plane";
    let nodes = api.get(&format!("/api/v1/nodes?{selector}")).await.of(200);
    let mut names: Vec<String> = items(&nodes).map(name_of).collect();
    names.sort();
    names
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    // An empty list has no members in protobuf.
    list["items"].as_array().into_iter().flatten()
}

fn name_of(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_cache_connects_probes_and_syncs() {
    let clusters = WorkloadClusters::start(&[("a", 1)]).await;
    let api = Rest::connect(&credentials(&clusters, "a").await).await;
    let probe = api.send(Method::GET, "/", &[("accept", "application/json, */*")], Vec::new());
    tokio::time::timeout(Duration::from_secs(5), probe).await.unwrap().of(200);
    for (accept, has) in
        [(AGGREGATED, has_nodes as fn(&Value) -> bool), ("application/json, */*", has_core)]
    {
        let core = api.send(Method::GET, "/api", &[("accept", accept)], Vec::new()).await.of(200);
        assert!(has(&core), "{core}");
        api.send(Method::GET, "/apis", &[("accept", accept)], Vec::new()).await.of(200);
    }
    let json = [("accept", "application/json, */*")];
    let legacy = api.send(Method::GET, "/api/v1", &json, Vec::new()).await.of(200);
    let mut resources = legacy["resources"].as_array().unwrap().iter();
    assert!(resources.any(|it| it["name"] == "nodes" && it["kind"] == "Node"), "{legacy}");
    // Whether this is the cluster that the controller itself runs in.
    api.get("/api/v1/namespaces/capi-system/pods/capi-controller-manager-0").await.of(404);
    let mut informer = api.watch_list("/api/v1/nodes").await;
    let nodes = informer.initial().await;
    assert_eq!(nodes.len(), 2);
    for node in &nodes {
        assert!(node["spec"]["providerID"].as_str().unwrap().starts_with("in-memory://"), "{node}");
        let conditions = node["status"]["conditions"].as_array().unwrap();
        assert!(conditions.iter().any(|it| it["type"] == "Ready" && it["status"] == "True"));
    }
    for collection in ["/api/v1/namespaces", "/api/v1/pods"] {
        assert!(!api.watch_list(collection).await.initial().await.is_empty(), "{collection}");
    }
    clusters.playground.stop().await;
}

/// Whether aggregated discovery has Nodes.
fn has_nodes(discovery: &Value) -> bool {
    items(discovery)
        .flat_map(|group| group["versions"].as_array().unwrap())
        .flat_map(|version| version["resources"].as_array().unwrap())
        .any(|it| it["resource"] == "nodes" && it["responseKind"]["kind"] == "Node")
}

fn has_core(versions: &Value) -> bool {
    versions["versions"] == json!(["v1"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_machine_controller_patches_cordons_and_drains() {
    let clusters = WorkloadClusters::start(&[("a", 1)]).await;
    let api = Rest::connect(&credentials(&clusters, "a").await).await;
    let mut informer = api.watch_list("/api/v1/nodes").await;
    let nodes = informer.initial().await;
    let is_worker = |node: &&Value| {
        node["metadata"]["labels"].get("node-role.kubernetes.io/control-plane").is_none()
    };
    let worker = nodes.iter().find(is_worker).unwrap();
    let name = name_of(worker);
    let path = format!("/api/v1/nodes/{name}");
    let (patch, patched) = patch_latest(&api, &path, json!({
        "metadata": {
            "labels": {"node.cluster.x-k8s.io/pool": "a"},
            "annotations": {"cluster.x-k8s.io/labels-from-machine": "node.cluster.x-k8s.io/pool"},
        },
        "spec": {"taints": [
            {"effect": "PreferNoSchedule", "key": "node.cluster.x-k8s.io/outdated-revision"},
        ]},
    }))
    .await;
    assert_eq!(patched["metadata"]["labels"]["node.cluster.x-k8s.io/pool"], "a");
    assert_eq!(patched["spec"]["taints"][0]["key"], "node.cluster.x-k8s.io/outdated-revision");
    assert!(patched["spec"]["providerID"].is_string(), "{patched}");
    let seen = loop {
        let (kind, node) = informer.next().await;
        let is_it = name_of(&node) == name
            && node["metadata"]["resourceVersion"] == patched["metadata"]["resourceVersion"];
        if is_it {
            break (kind, node);
        }
    };
    assert_eq!((seen.0.as_str(), &seen.1["spec"]), ("MODIFIED", &patched["spec"]));
    let conflict = api.patch(&path, STRATEGIC, &patch).await.of(409);
    assert_eq!(conflict["reason"], "Conflict");
    let (_, untainted) =
        patch_latest(&api, &path, json!({"metadata": {}, "spec": {"taints": null}})).await;
    assert_eq!(untainted["spec"].get("taints"), None);
    let cordoned = api.patch(&path, MERGE, &json!({"spec": {"unschedulable": true}})).await;
    assert_eq!(cordoned.of(200)["spec"]["unschedulable"], true);
    drain(&api, &name).await;
    a_budget_refuses(&api, &name).await;
    no_volume_is_attached(&api).await;
    let options = encode("v1", "DeleteOptions", &protobuf::DeleteOptions::default());
    assert_eq!(api.write(Method::DELETE, &path, options).await.of(200)["status"], "Success");
    api.get(&path).await.of(404);
    clusters.playground.stop().await;
}

/// A strategic merge with the resource version that was read, read again while others write, too.
/// Answers the patch that took effect and what came of it.
async fn patch_latest(api: &Rest, path: &str, mut patch: Value) -> (Value, Value) {
    for _ in 0..20 {
        let read = api.get(path).await.of(200);
        patch["metadata"]["resourceVersion"] = read["metadata"]["resourceVersion"].clone();
        let answer = api.patch(path, STRATEGIC, &patch).await;
        if answer.code != 409 {
            return (patch, answer.of(200));
        }
    }
    panic!("{path} does not come to rest");
}

/// Evicts the Pods of a Node as CAPI does: lists of 100, protobuf bodies, and what the answers
/// mean.
async fn drain(api: &Rest, node: &str) {
    let pod = json!({"metadata": {"name": "web"}, "spec": {"nodeName": node,
        "containers": [{"name": "web", "image": "web"}]}});
    post(api, PODS, &pod).await;
    let listed = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{node}&limit=100");
    let on_node = api.get(&listed).await.of(200);
    assert!(items(&on_node).any(|pod| name_of(pod) == "web"), "{on_node}");
    assert_eq!(evict(api, "web").await.of(201)["status"], "Success");
    assert_eq!(evict(api, "web").await.of(404)["reason"], "NotFound");
    let on_node = api.get(&listed).await.of(200);
    assert!(!items(&on_node).any(|pod| name_of(pod) == "web"), "{on_node}");
    // Page by page, and whom the Pods of a Node belong to.
    let whole = api.get("/api/v1/pods").await.of(200);
    let (mut names, mut next) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("/api/v1/pods?limit=2&continue={next}")).await.of(200);
        names.extend(items(&page).map(name_of));
        match page["metadata"]["continue"].as_str() {
            Some(token) if !token.is_empty() => next = token.to_owned(),
            _ => break,
        }
    }
    assert_eq!(names, items(&whole).map(name_of).collect::<Vec<_>>());
    let daemon_sets = "/apis/apps/v1/namespaces/kube-system/daemonsets";
    api.get(&format!("{daemon_sets}/kube-proxy")).await.of(200);
    api.get(&format!("{daemon_sets}/none")).await.of(404);
}

const PODS: &str = "/api/v1/namespaces/default/pods";

/// Creates an object as a user does.
async fn post(api: &Rest, path: &str, object: &Value) {
    let headers = [("accept", "application/json"), ("content-type", "application/json")];
    api.send(Method::POST, path, &headers, object.to_string().into_bytes()).await.of(201);
}

async fn evict(api: &Rest, name: &str) -> Answer {
    let eviction = protobuf::Eviction {
        metadata: metadata("default", name),
        delete_options: Some(protobuf::DeleteOptions { grace_period_seconds: Some(0) }),
    };
    let body = encode("policy/v1", "Eviction", &eviction);
    api.write(Method::POST, &format!("{PODS}/{name}/eviction"), body).await
}

/// What a drain quotes of a refusal: code, message and causes. (CAPI v1.14:
/// core/reconcilers/machine/drain/drain.go, EvictPods)
async fn a_budget_refuses(api: &Rest, node: &str) {
    let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    let mut informer = api.watch_list(budgets).await;
    assert_eq!(informer.initial().await.len(), 0);
    let selector = json!({"matchLabels": {"app": "a"}});
    let budget =
        json!({"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": selector}});
    post(api, budgets, &budget).await;
    let pod = json!({"metadata": {"name": "kept", "labels": {"app": "a"}},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "c"}]}});
    post(api, PODS, &pod).await;
    while informer.next().await.1["status"]["currentHealthy"] != 1 {}
    let refused = evict(api, "kept").await.of(429);
    assert_eq!(refused["reason"], "TooManyRequests");
    let message = "Cannot evict pod as it would violate the pod's disruption budget.";
    assert_eq!(refused["message"], message);
    let cause = &refused["details"]["causes"][0];
    assert_eq!(cause["reason"], "DisruptionBudget");
    let message = "The disruption budget b needs 1 healthy pods and has 1 currently";
    assert_eq!(cause["message"], message);
    let options = encode("v1", "DeleteOptions", &protobuf::DeleteOptions::default());
    api.write(Method::DELETE, &format!("{budgets}/b"), options).await.of(200);
    evict(api, "kept").await.of(201);
}

/// What is asked before the Node of a Machine goes.
async fn no_volume_is_attached(api: &Rest) {
    for collection in [
        "/apis/storage.k8s.io/v1/volumeattachments",
        "/api/v1/persistentvolumes",
        "/api/v1/persistentvolumeclaims",
    ] {
        let list = api.get(&format!("{collection}?limit=100")).await.of(200);
        assert_eq!(items(&list).count(), 0, "{list}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubeadm_objects_are_read_and_written_in_protobuf() {
    let clusters = WorkloadClusters::start(&[("a", 1)]).await;
    let api = Rest::connect(&credentials(&clusters, "a").await).await;
    let path = "/api/v1/namespaces/kube-system/configmaps/kubeadm-config";
    let found = api.get(path).await.of(200);
    let mut update = protobuf::ConfigMap {
        metadata: metadata("kube-system", "kubeadm-config"),
        ..Default::default()
    };
    let version = found["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    update.metadata.as_mut().unwrap().resource_version = Some(version);
    let configuration = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n\
                         kubernetesVersion: v1.36.2\n";
    update.data.insert("ClusterConfiguration".to_owned(), configuration.to_owned());
    let body = encode("v1", "ConfigMap", &update);
    let written = api.write(Method::PUT, path, body.clone()).await.of(200);
    assert_eq!(written["data"]["ClusterConfiguration"], configuration);
    assert_eq!(api.get(path).await.of(200)["data"], written["data"]);
    assert_eq!(api.write(Method::PUT, path, body).await.of(409)["reason"], "Conflict");

    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    let binding = |name: &str| protobuf::ClusterRoleBinding {
        metadata: metadata("", name),
        subjects: vec![protobuf::Subject {
            kind: Some("Group".to_owned()),
            api_group: Some("rbac.authorization.k8s.io".to_owned()),
            name: Some(name.to_owned()),
        }],
        role_ref: Some(protobuf::RoleRef {
            api_group: Some("rbac.authorization.k8s.io".to_owned()),
            kind: Some("ClusterRole".to_owned()),
            name: Some("cluster-admin".to_owned()),
        }),
    };
    for name in ["kubeadm:cluster-admins", "kubeadm:apiserver-kubelet-client"] {
        let kind = ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding");
        let body = encode(kind.0, kind.1, &binding(name));
        match api.get(&format!("{bindings}/{name}")).await.code {
            404 => assert_eq!(api.write(Method::POST, bindings, body.clone()).await.code, 201),
            code => assert_eq!(code, 200),
        }
        let again = api.write(Method::POST, bindings, body).await.of(409);
        assert_eq!(again["reason"], "AlreadyExists");
    }

    let token = protobuf::Secret {
        metadata: metadata("kube-system", "bootstrap-token-abcdef"),
        data: [("token-id", "abcdef"), ("token-secret", "0123456789abcdef")]
            .map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()))
            .into(),
        r#type: Some("bootstrap.kubernetes.io/token".to_owned()),
    };
    let secrets = "/api/v1/namespaces/kube-system/secrets";
    let made = api.write(Method::POST, secrets, encode("v1", "Secret", &token)).await.of(201);
    assert_eq!(made["type"], "bootstrap.kubernetes.io/token");
    assert_eq!(made["data"]["token-id"], "YWJjZGVm");
    let options = encode("v1", "DeleteOptions", &protobuf::DeleteOptions::default());
    let path = format!("{secrets}/bootstrap-token-abcdef");
    assert_eq!(api.write(Method::DELETE, &path, options).await.of(200)["status"], "Success");
    for (kind, name) in [("deployments", "coredns"), ("daemonsets", "kube-proxy")] {
        let path = format!("/apis/apps/v1/namespaces/kube-system/{kind}/{name}");
        let found = api.get(&path).await.of(200);
        let image = &found["spec"]["template"]["spec"]["containers"][0]["image"];
        let patch = json!({"metadata": {"annotations": {"seen": image}}});
        assert_eq!(
            &api.patch(&path, MERGE, &patch).await.of(200)["metadata"]["annotations"]["seen"],
            image
        );
    }
    clusters.playground.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_servers_certificate_shows_through_a_tunnel_without_sni() {
    let clusters = WorkloadClusters::start(&[("a", 1)]).await;
    let credentials = credentials(&clusters, "a").await;
    let api = Rest::connect(&credentials).await;
    for way in BOTH {
        for node in control_planes(&api).await {
            let pod = format!("kube-apiserver-{node}");
            let stream = tunnel::dial(&credentials, way, &pod, 6443).await;
            let mut config = (*rest::tls(&credentials.ca_pem, None, &[])).clone();
            config.enable_sni = false;
            let name = ServerName::try_from("kubernetes").unwrap();
            let stream = TlsConnector::from(std::sync::Arc::new(config))
                .connect(name, stream)
                .await
                .unwrap();
            let certificates = stream.get_ref().1.peer_certificates().unwrap();
            let subject = |der: &rustls_pki_types::CertificateDer<'_>| {
                let (_, certificate) = x509_parser::parse_x509_certificate(der).unwrap();
                let expires = certificate.validity().not_after.timestamp();
                (certificate.subject().to_string(), expires)
            };
            let now = jiff::Timestamp::now().as_second();
            let found = certificates.iter().map(subject).find(|it| it.0 == "CN=kube-apiserver");
            let days = (found.unwrap().1 - now) / (24 * 3600);
            assert!((360..=366).contains(&days), "{way:?}: {days} days");
        }
    }
    clusters.playground.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_of_one_cluster_open_no_other() {
    let clusters = WorkloadClusters::start(&[("a", 1), ("b", 1)]).await;
    let (a, b) = (credentials(&clusters, "a").await, credentials(&clusters, "b").await);
    // The certificate of A at B.
    let stranger = Credentials { client: a.client.clone(), ..b.clone() };
    let refused = Rest::connect(&stranger).await.get("/api/v1/nodes").await.of(401);
    assert_eq!(refused["reason"], "Unauthorized");
    // None at all.
    let nobody = Credentials { client: None, ..b.clone() };
    let refused = Rest::connect(&nobody).await.get("/api/v1/nodes").await.of(403);
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("User \"system:anonymous\" cannot list resource"), "{message}");
    // A name of B sent to A changes nothing.
    let mut api = Rest::connect(&a).await;
    let own = api.get("/api/v1/nodes").await.of(200);
    api.authority = b.authority();
    let claimed = api.get("/api/v1/nodes").await.of(200);
    let names = |list: &Value| items(list).map(name_of).collect::<Vec<_>>();
    assert_eq!(names(&claimed), names(&own));
    assert!(names(&own).iter().all(|name| name.starts_with("a-")), "{own}");
    // Nor does one in a request for a tunnel, whose end is A's.
    let node = control_planes(&api).await.remove(0);
    let (pod, claim) = (format!("kube-apiserver-{node}"), a.clone());
    let stream = tunnel::dial(&claim, Way::Spdy, &pod, 6443).await;
    let config = rest::tls(&b.ca_pem, None, &[]);
    let name = ServerName::try_from("kubernetes").unwrap();
    let refused = TlsConnector::from(config).connect(name, stream).await;
    assert!(refused.is_err(), "the certificate is not of B's authority");
    clusters.playground.stop().await;
}

/// A client certificate as KubeadmControlPlane issues itself one.
pub async fn etcd_client(
    clusters: &WorkloadClusters,
    cluster: &str,
) -> (Vec<u8>, (Vec<u8>, Vec<u8>)) {
    let text = async |key| {
        String::from_utf8(clusters.secret(&format!("{cluster}-etcd"), key).await).unwrap()
    };
    let (certificate, key) = (text("tls.crt").await, text("tls.key").await);
    let authority = CertificateAuthority::from_pem(&certificate, &key).unwrap();
    let request = LeafRequest {
        common_name: "cluster-api.x-k8s.io".to_owned(),
        organizations: Vec::new(),
        dns_names: Vec::new(),
        addresses: Vec::new(),
        usage: Usage::Client,
        validity: Duration::from_secs(3600),
    };
    let leaf = authority.issue(&request, KeyAlgorithm::Rsa2048).unwrap();
    (certificate.into_bytes(), (leaf.certificate_pem.into_bytes(), leaf.key_pem.into_bytes()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_members_are_managed_through_tunnels() {
    let clusters = WorkloadClusters::start(&[("a", 3)]).await;
    let credentials = credentials(&clusters, "a").await;
    let api = Rest::connect(&credentials).await;
    let (ca, client) = etcd_client(&clusters, "a").await;
    let nodes = control_planes(&api).await;
    assert_eq!(nodes.len(), 3);
    let mut members = Vec::new();
    for (node, way) in nodes.iter().zip(BOTH.into_iter().cycle()) {
        let pod = format!("etcd-{node}");
        let stream = tunnel::dial(&credentials, way, &pod, 2379).await;
        members.push(Etcd::connect(stream, &pod, &ca, &client).await);
    }
    let list = async |etcd: &Etcd| -> Vec<etcd::Member> {
        let request = etcd::MemberListRequest { linearizable: true };
        let answer: etcd::Members = etcd.call("Cluster/MemberList", &request).await.unwrap();
        assert_ne!(answer.header.unwrap().cluster_id, 0);
        answer.members
    };
    let mut leaders = Vec::new();
    for (etcd, node) in members.iter().zip(&nodes) {
        let status: etcd::Status = etcd.call("Maintenance/Status", &etcd::Empty {}).await.unwrap();
        assert_eq!((status.errors.len(), status.is_learner), (0, false));
        leaders.push(status.leader);
        let listed = list(etcd).await;
        let mut names: Vec<&str> = listed.iter().map(|member| &*member.name).collect();
        names.sort_unstable();
        assert_eq!(names, nodes, "every member has the name of a Node");
        let own = listed.iter().find(|member| member.name == *node).unwrap();
        assert_eq!(status.header.unwrap().member_id, own.id);
        let alarms: etcd::Alarms =
            etcd.call("Maintenance/Alarm", &etcd::AlarmRequest { action: 0 }).await.unwrap();
        assert_eq!(alarms.alarms, []);
    }
    assert!(leaders.iter().all(|leader| *leader == leaders[0] && *leader != 0), "{leaders:?}");
    // The member to be removed hands its lead over, which only the leader can do.
    let listed = list(&members[0]).await;
    let at = |id| {
        let name = &listed.iter().find(|member| member.id == id).unwrap().name;
        nodes.iter().position(|node| node == name).unwrap()
    };
    let leader = at(leaders[0]);
    let target = listed.iter().find(|member| member.id != leaders[0]).unwrap().id;
    let request = etcd::MoveLeaderRequest { target_id: target };
    let other = (leader + 1) % 3;
    let refused = members[other].call::<etcd::MoveLeader>("Maintenance/MoveLeader", &request).await;
    assert_eq!(refused.unwrap_err().1, "etcdserver: not leader");
    members[leader].call::<etcd::MoveLeader>("Maintenance/MoveLeader", &request).await.unwrap();
    let status: etcd::Status =
        members[other].call("Maintenance/Status", &etcd::Empty {}).await.unwrap();
    assert_eq!(status.leader, target);
    let request = etcd::MemberRemoveRequest { id: leaders[0] };
    let left: etcd::Members =
        members[at(target)].call("Cluster/MemberRemove", &request).await.unwrap();
    assert_eq!(left.members.len(), 2);
    assert!(left.members.iter().all(|member| member.id != leaders[0]));
    assert_eq!(list(&members[at(target)]).await, left.members);
    let unknown = members[at(target)].call::<etcd::Members>("Cluster/MemberRemove", &request).await;
    assert_eq!(unknown.unwrap_err().1, "etcdserver: member not found");
    clusters.playground.stop().await;
}
