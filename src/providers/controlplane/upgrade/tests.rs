use std::net::{IpAddr, Ipv4Addr};

use k8s_openapi::api::core::v1::ConfigMap;

use super::*;
use crate::apiserver::Profile;
use crate::client::{ClusterCache, Propagation};
use crate::clock::{Clock, Seed};
use crate::machinery::builtin;
use crate::pki::{CertificateAuthority, KeyAlgorithm};
use crate::workload::{
    ApiServerRequest, CertificateFiles, ClusterNetwork, Host, HostOptions, NodeRequest,
};

/// A workload cluster with one machine, as kubeadm 1.34 leaves it.
struct Fixture {
    host: Host,
    client: Client,
}

impl Fixture {
    async fn start() -> Self {
        let clusters = ClusterCache::new();
        let host = Host::new(HostOptions {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            names: Vec::new(),
            ports: 43100..=43199,
            profile: Profile::new(builtin::definitions()),
            clock: Clock::wall(),
            seed: Seed(1),
            clusters: clusters.clone(),
            git_version: "v1.34.0".to_owned(),
        });
        let key = ObjectKey::new("default", "bar");
        host.add_cluster(&key, "", None, ClusterNetwork::default()).unwrap();
        let node = NodeRequest {
            name: "cp",
            provider_id: "cp",
            version: "v1.34.0",
            is_control_plane: true,
        };
        host.add_node(&key, &node).await.unwrap();
        let ca = CertificateAuthority::generate("kubernetes", KeyAlgorithm::EcdsaP256).unwrap();
        let ca = CertificateFiles {
            certificate_pem: ca.certificate_pem().to_owned(),
            key_pem: ca.key_pem().to_owned(),
        };
        let configuration = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n\
            apiServer:\n  certSANs:\n  - localhost\n";
        let request = ApiServerRequest { name: "cp", ca: &ca, configuration: Some(configuration) };
        host.add_api_server(&key, &request).await.unwrap();
        let client = clusters.get(&key).unwrap().client;
        Self { host, client }
    }

    async fn map(&self, name: &str) -> ConfigMap {
        self.client.get(&ObjectKey::new(SYSTEM, name)).await.unwrap().unwrap()
    }

    async fn text(&self, name: &str, key: &str) -> String {
        self.map(name).await.data.unwrap().remove(key).unwrap()
    }

    async fn deployment(&self) -> Value {
        let resource = ApiResource::erase::<Deployment>(&());
        let key = ObjectKey::new(SYSTEM, COREDNS);
        self.client.get_dynamic(&resource, &key).await.unwrap().unwrap()
    }
}

fn control_plane(version: &str, configuration: Value) -> KubeadmControlPlane {
    let mut kcp = KubeadmControlPlane::default();
    kcp.spec.version = version.to_owned();
    kcp.spec.kubeadm_config_spec.cluster_configuration = Some(configuration);
    kcp
}

#[tokio::test]
async fn kubeadm_config_is_written_once() {
    let fixture = Fixture::start().await;
    let before = fixture.text("kubeadm-config", CLUSTER_CONFIGURATION).await;
    assert!(before.contains("certSANs:\n  - localhost\n"), "{before}");
    assert!(before.contains("kubernetesVersion: v1.34.0\n"), "{before}");
    let update = || update_kubeadm_config(&fixture.client, "v1.35.1", |_| {});
    update().await.unwrap();
    let after = fixture.map("kubeadm-config").await;
    let expected = before.replace("v1.34.0", "v1.35.1");
    assert_eq!(after.data.as_ref().unwrap()[CLUSTER_CONFIGURATION], expected);
    update().await.unwrap();
    let again = fixture.map("kubeadm-config").await;
    assert_eq!(again.metadata.resource_version, after.metadata.resource_version);
    fixture.host.shutdown().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_told_in_upstreams_words() {
    let fixture = Fixture::start().await;
    let key = ObjectKey::new(SYSTEM, "kubeadm-config");
    let patch = json!({"data": {CLUSTER_CONFIGURATION: null, "other": "x"}});
    fixture.client.merge_patch::<ConfigMap>(&key, "", &patch).await.unwrap();
    let error = update_kubeadm_config(&fixture.client, "v1.35.1", |_| {}).await.unwrap_err();
    assert_eq!(error, "unable to find \"ClusterConfiguration\" in the kubeadm-config ConfigMap");
    fixture.client.delete::<ConfigMap>(&key, Propagation::Default).await.unwrap();
    let error = update_kubeadm_config(&fixture.client, "v1.35.1", |_| {}).await.unwrap_err();
    assert_eq!(
        error,
        "failed to get kubeadmConfigMap: error getting kube-system/kubeadm-config configmap from \
         target cluster: configmaps \"kubeadm-config\" not found"
    );
    fixture.host.shutdown().await;
}

#[tokio::test]
async fn permissions_are_added_below_138() {
    let fixture = Fixture::start().await;
    let name = ObjectKey::new("", "kubeadm:apiserver-kubelet-client");
    let get = || fixture.client.get::<ClusterRoleBinding>(&name);
    ensure_permissions(&fixture.client, "v1.38.0-alpha.1").await.unwrap();
    assert!(get().await.unwrap().is_none(), "kubeadm 1.38 does that itself");
    for _ in 0..2 {
        ensure_permissions(&fixture.client, "v1.37.4").await.unwrap();
    }
    let binding = get().await.unwrap().unwrap();
    assert_eq!(binding.role_ref.name, "system:kubelet-api-admin");
    assert_eq!(binding.subjects.unwrap()[0].kind, "User");
    fixture.host.shutdown().await;
}

#[tokio::test]
async fn kube_proxy_is_left_alone_where_that_is_asked() {
    let fixture = Fixture::start().await;
    let resource = ApiResource::erase::<DaemonSet>(&());
    let key = ObjectKey::new(SYSTEM, KUBE_PROXY);
    let image = async || {
        let set = fixture.client.get_dynamic(&resource, &key).await.unwrap().unwrap();
        addons::image_of(&set, KUBE_PROXY).unwrap().to_owned()
    };
    let mut kcp = control_plane("v1.35.1", json!({"imageRepository": "a.b/c"}));
    kcp.metadata.annotations = Some([(labels::SKIP_KUBE_PROXY.to_owned(), String::new())].into());
    update_kube_proxy(&fixture.client, &kcp).await.unwrap();
    assert_eq!(image().await, "registry.k8s.io/kube-proxy:v1.34.0");
    kcp.metadata.annotations = None;
    update_kube_proxy(&fixture.client, &kcp).await.unwrap();
    assert_eq!(image().await, "a.b/c/kube-proxy:v1.35.1");
    fixture.client.delete::<DaemonSet>(&key, Propagation::Background).await.unwrap();
    update_kube_proxy(&fixture.client, &kcp).await.unwrap();
    fixture.host.shutdown().await;
}

#[tokio::test]
async fn coredns_is_migrated_with_a_backup() {
    let fixture = Fixture::start().await;
    let before = fixture.text(COREDNS, COREFILE).await;
    let mut kcp = control_plane("v1.34.0", json!({"dns": {"imageTag": "v1.14.2"}}));
    kcp.metadata.annotations = Some([(labels::SKIP_COREDNS.to_owned(), String::new())].into());
    update_coredns(&fixture.client, &kcp).await.unwrap();
    assert_eq!(fixture.deployment().await["metadata"]["generation"], 1);
    kcp.metadata.annotations = None;
    update_coredns(&fixture.client, &kcp).await.unwrap();
    let deployment = fixture.deployment().await;
    let image = "registry.k8s.io/coredns/coredns:v1.14.2";
    assert_eq!(addons::image_of(&deployment, COREDNS), Some(image));
    let items = &deployment["spec"]["template"]["spec"]["volumes"][0]["configMap"]["items"];
    assert_eq!(items[0]["key"], COREFILE);
    assert_eq!(fixture.text(COREDNS, COREFILE_BACKUP).await, before);
    let after = fixture.text(COREDNS, COREFILE).await;
    assert!(after.contains("disable success cluster.local\n"), "{after}");
    let configuration = fixture.text("kubeadm-config", CLUSTER_CONFIGURATION).await;
    assert!(configuration.contains("dns:\n  imageTag: v1.14.2\n"), "{configuration}");
    update_coredns(&fixture.client, &kcp).await.unwrap();
    let again = fixture.deployment().await;
    assert_eq!(again["metadata"]["resourceVersion"], deployment["metadata"]["resourceVersion"]);
    fixture.host.shutdown().await;
}

#[tokio::test]
async fn coredns_never_goes_back_and_needs_its_corefile() {
    let fixture = Fixture::start().await;
    let kcp = control_plane("v1.34.0", json!({"dns": {"imageTag": "v1.9.3"}}));
    let error = update_coredns(&fixture.client, &kcp).await.unwrap_err();
    assert_eq!(
        error,
        "failed to validate CoreDNS: toVersion \"v1.9.3\" must be greater than or equal to \
         fromVersion \"v1.12.1\""
    );
    let kcp = control_plane("v1.34.0", json!({"dns": {"imageTag": "v9.0.0"}}));
    let error = update_coredns(&fixture.client, &kcp).await.unwrap_err();
    assert_eq!(
        error,
        "unable to migrate CoreDNS corefile: cannot migrate up to '9.0.0' from '1.12.1'"
    );
    let key = ObjectKey::new(SYSTEM, COREDNS);
    let patch = json!({"data": {COREFILE: null, "other": "x"}});
    fixture.client.merge_patch::<ConfigMap>(&key, "", &patch).await.unwrap();
    let error = update_coredns(&fixture.client, &kcp).await.unwrap_err();
    assert_eq!(error, "unable to find the CoreDNS Corefile data");
    fixture.client.delete::<ConfigMap>(&key, Propagation::Default).await.unwrap();
    update_coredns(&fixture.client, &kcp).await.unwrap();
    fixture.host.shutdown().await;
}

#[test]
fn a_settled_cluster_is_asked_again_after_a_change_or_a_minute() {
    let settled = Settled::default();
    let mut control_plane = ControlPlane::default();
    control_plane.kcp.metadata.generation = Some(1);
    assert!(!settled.is(&control_plane, Part::Addons));
    settled.note(&control_plane, Part::Addons);
    assert!(settled.is(&control_plane, Part::Addons));
    assert!(!settled.is(&control_plane, Part::Rollout));
    control_plane.now = Timestamp::from_second(59).unwrap();
    assert!(settled.is(&control_plane, Part::Addons));
    control_plane.now = Timestamp::from_second(60).unwrap();
    assert!(!settled.is(&control_plane, Part::Addons));
    settled.note(&control_plane, Part::Addons);
    control_plane.kcp.metadata.generation = Some(2);
    assert!(!settled.is(&control_plane, Part::Addons));
    settled.note(&control_plane, Part::Addons);
    settled.forget(&control_plane.key());
    assert!(!settled.is(&control_plane, Part::Addons));
}
