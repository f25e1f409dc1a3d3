//! What a control plane wants of kubeadm-config, kube-proxy and CoreDNS. Pure.
//! (CAPI v1.14: controlplane/kubeadm/pkg/workload_cluster.go, workload_cluster_coredns.go)

use serde_json::{Value, json};

use super::desired;
use super::image::{self, Image};
use crate::api::controlplane::KubeadmControlPlane;
use crate::contract::version::Version;
use crate::machinery::corefile::{self, CoreDnsVersion};
use crate::machinery::kubeadm::{KubeadmApi, is_empty, read_cluster_configuration};

/// Name of CoreDNS' Deployment, ConfigMap and container.
pub(super) const COREDNS: &str = "coredns";
/// Name of kube-proxy's DaemonSet and container.
pub(super) const KUBE_PROXY: &str = "kube-proxy";
/// Key of the Corefile in its ConfigMap.
pub(super) const COREFILE: &str = "Corefile";
/// Key under which the Corefile before a migration is kept.
pub(super) const COREFILE_BACKUP: &str = "Corefile-backup";
/// Key of the ClusterConfiguration in `kubeadm-config`.
pub(super) const CLUSTER_CONFIGURATION: &str = "ClusterConfiguration";
const COREDNS_VOLUME: &str = "config-volume";

/// The `clusterConfiguration` of a control plane, if it has one.
pub(super) fn configuration(kcp: &KubeadmControlPlane) -> Option<&Value> {
    let configuration = kcp.spec.kubeadm_config_spec.cluster_configuration.as_ref();
    configuration.filter(|configuration| !is_empty(configuration))
}

/// The text of `kubeadm-config` for a Kubernetes version after a change; `None` if it says so
/// already.
///
/// # Errors
/// Upstream's message for a text that is not kubeadm's, and for a version that kubeadm has not.
pub(super) fn updated_kubeadm_config(
    text: &str,
    version: &str,
    change: impl FnOnce(&mut Value),
) -> Result<Option<String>, String> {
    let (before, data) = read_cluster_configuration(text).map_err(|error| {
        format!(
            "unable to decode {CLUSTER_CONFIGURATION:?} in the kubeadm-config ConfigMap's from \
             YAML: {error}"
        )
    })?;
    let mut after = before.clone();
    change(&mut after);
    let mut wanted = data.clone();
    wanted.kubernetes_version = format!("v{}", version.strip_prefix('v').unwrap_or(version));
    let api = KubeadmApi::for_version(version).map_err(|error| {
        format!(
            "unable to encode {CLUSTER_CONFIGURATION:?} kubeadm-config ConfigMap's to YAML: {error}"
        )
    })?;
    // Both in the form of one version, in which what is empty does not count.
    let updated = api.cluster_configuration(&after, &wanted);
    Ok((api.cluster_configuration(&before, &data) != updated).then_some(updated))
}

/// Brings over into kubeadm's configuration what new machines of a control plane shall read.
pub(super) fn for_rollout(kcp: &KubeadmControlPlane, is_etcd_managed: bool, config: &mut Value) {
    let Some(wanted) = configuration(kcp) else { return };
    if let Some(repository) = text(&wanted["imageRepository"]) {
        config["imageRepository"] = repository.into();
    }
    let mut gates = json!({"featureGates": wanted["featureGates"]});
    desired::default_gates(&mut gates, &kcp.spec.version);
    config["featureGates"] = gates["featureGates"].take();
    for field in [
        "apiServer",
        "controllerManager",
        "scheduler",
        "certificateValidityPeriodDays",
        "encryptionAlgorithm",
    ] {
        config[field] = wanted[field].clone();
    }
    let kind = if is_etcd_managed { "local" } else { "external" };
    config["etcd"] = json!({kind: wanted["etcd"][kind]});
}

/// Brings over the image of CoreDNS.
pub(super) fn for_dns(kcp: &KubeadmControlPlane, config: &mut Value) {
    let dns = configuration(kcp).map_or(&Value::Null, |wanted| &wanted["dns"]);
    config["dns"] = json!({"imageRepository": dns["imageRepository"], "imageTag": dns["imageTag"]});
}

/// The image of a workload's container, if it has that container.
pub(super) fn image_of<'a>(workload: &'a Value, container: &str) -> Option<&'a str> {
    let containers = workload["spec"]["template"]["spec"]["containers"].as_array()?;
    let container = containers.iter().find(|known| known["name"] == container)?;
    Some(container["image"].as_str().unwrap_or_default())
}

/// Sets the image of a workload's container; answers the patch.
pub(super) fn set_image(workload: &mut Value, container: &str, image: &str) -> Value {
    let containers = &mut workload["spec"]["template"]["spec"]["containers"];
    for known in containers.as_array_mut().into_iter().flatten() {
        if known["name"] == container {
            known["image"] = image.into();
        }
    }
    json!({"spec": {"template": {"spec": {"containers": containers}}}})
}

/// Lets CoreDNS read this key of its ConfigMap; answers the patch, if there is anything to patch.
pub(super) fn set_corefile_key(deployment: &mut Value, key: &str) -> Option<Value> {
    let volumes = &mut deployment["spec"]["template"]["spec"]["volumes"];
    let mut is_changed = false;
    for volume in volumes.as_array_mut().into_iter().flatten() {
        if volume["name"] != COREDNS_VOLUME || volume["configMap"]["name"] != COREDNS {
            continue;
        }
        for item in volume["configMap"]["items"].as_array_mut().into_iter().flatten() {
            if (item["key"] == COREFILE || item["key"] == COREFILE_BACKUP) && item["key"] != key {
                item["key"] = key.into();
                is_changed = true;
            }
        }
    }
    is_changed.then(|| json!({"spec": {"template": {"spec": {"volumes": volumes}}}}))
}

/// The image that kube-proxy should have.
///
/// # Errors
/// Upstream's message for an image that has no tag to change.
pub(super) fn kube_proxy_image(kcp: &KubeadmControlPlane, image: &str) -> Result<String, String> {
    let image = image::with_tag(image, &kcp.spec.version)?;
    match configuration(kcp).and_then(|wanted| text(&wanted["imageRepository"])) {
        Some(repository) => image::with_repository(&image, repository),
        None => Ok(image),
    }
}

/// An upgrade of CoreDNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CoreDnsUpgrade {
    /// New image.
    pub(super) image: String,
    from: CoreDnsVersion,
    to: CoreDnsVersion,
}

impl CoreDnsUpgrade {
    /// The upgrade from an image to what the control plane wants, if they differ.
    ///
    /// # Errors
    /// Upstream's messages: images and tags that cannot be read, a way back, an unknown version.
    pub(super) fn plan(wanted: &Value, from_image: &str) -> Result<Option<Self>, String> {
        let image = Image::parse(from_image)
            .map_err(|error| format!("unable to parse {from_image:?} deployment image: {error}"))?;
        if image.tag.is_empty() {
            let message = "failed to update coredns deployment: does not have a valid image tag";
            return Err(format!("{message}: {from_image:?}"));
        }
        let dns = &wanted["dns"];
        let repository = text(&dns["imageRepository"]).or(text(&wanted["imageRepository"]));
        let repository = repository
            .map_or(image.repository.as_str(), |given| given.strip_suffix('/').unwrap_or(given));
        let tag = text(&dns["imageTag"]).unwrap_or(&image.tag);
        let (from, to) = (version_of(&image.tag)?, version_of(tag)?);
        // The project's own image moved one folder down with 1.8.0.
        let has_moved = ["k8s.gcr.io", "registry.k8s.io"].contains(&repository)
            && image.name == COREDNS
            && numbers(&to) >= (1, 8, 0);
        let name = if has_moved { "coredns/coredns" } else { &image.name };
        let to_image = format!("{repository}/{name}:{tag}");
        if to_image == from_image {
            return Ok(None);
        }
        let invalid = |message: String| Err(format!("failed to validate CoreDNS: {message}"));
        if numbers(&from) > numbers(&to) {
            let order = "must be greater than or equal to fromVersion";
            return invalid(format!("toVersion {tag:?} {order} {:?}", image.tag));
        }
        if !corefile::is_known(numbers(&from)) {
            let shown = from.to_string();
            return invalid(format!("fromVersion {shown:?} is not a compatible coredns version"));
        }
        Ok(Some(Self { image: to_image, from: numbers(&from), to: numbers(&to) }))
    }

    /// The Corefile for the new version.
    ///
    /// # Errors
    /// Upstream's message.
    pub(super) fn migrate(&self, text: &str) -> Result<String, String> {
        corefile::migrate(self.from, self.to, text)
            .map_err(|error| format!("unable to migrate CoreDNS corefile: {error}"))
    }
}

fn version_of(tag: &str) -> Result<Version, String> {
    image::version_of_tag(tag).ok_or_else(|| format!("error parsing semver from {tag:?}"))
}

fn numbers(version: &Version) -> CoreDnsVersion {
    (version.major, version.minor, version.patch)
}

fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "apiServer: {}\napiVersion: kubeadm.k8s.io/v1beta4\n\
        certificateValidityPeriod: 8760h0m0s\ncertificatesDir: /etc/kubernetes/pki\n\
        clusterName: bar\ncontrolPlaneEndpoint: 127.0.0.1:20000\ncontrollerManager: {}\ndns: {}\n\
        etcd:\n  local:\n    dataDir: /var/lib/etcd\nimageRepository: registry.k8s.io\n\
        kind: ClusterConfiguration\nkubernetesVersion: v1.34.0\nnetworking:\n  \
        dnsDomain: cluster.local\n  serviceSubnet: 10.128.0.0/12\nproxy: {}\nscheduler: {}\n";

    fn control_plane(version: &str, configuration: Value) -> KubeadmControlPlane {
        let mut kcp = KubeadmControlPlane::default();
        kcp.spec.version = version.to_owned();
        kcp.spec.kubeadm_config_spec.cluster_configuration = Some(configuration);
        kcp
    }

    fn rolled_out(kcp: &KubeadmControlPlane, text: &str) -> Option<String> {
        let change = |config: &mut Value| for_rollout(kcp, true, config);
        updated_kubeadm_config(text, &kcp.spec.version, change).unwrap()
    }

    #[test]
    fn a_rollout_writes_what_the_control_plane_says() {
        let kcp = control_plane(
            "v1.35.1",
            json!({
                "apiServer": {"extraArgs": [{"name": "v", "value": "4"}]},
                "etcd": {"local": {"imageTag": "3.6.6-0"}},
                "imageRepository": "example.com/k8s",
            }),
        );
        let expected = "apiServer:\n  extraArgs:\n  - name: v\n    value: \"4\"\n\
            apiVersion: kubeadm.k8s.io/v1beta4\ncertificatesDir: /etc/kubernetes/pki\n\
            clusterName: bar\ncontrolPlaneEndpoint: 127.0.0.1:20000\ncontrollerManager: {}\n\
            dns: {}\netcd:\n  local:\n    dataDir: \"\"\n    imageTag: 3.6.6-0\nfeatureGates:\n  \
            ControlPlaneKubeletLocalMode: true\nimageRepository: example.com/k8s\n\
            kind: ClusterConfiguration\nkubernetesVersion: v1.35.1\nnetworking:\n  \
            dnsDomain: cluster.local\n  serviceSubnet: 10.128.0.0/12\nproxy: {}\nscheduler: {}\n";
        let updated = rolled_out(&kcp, CONFIG).unwrap();
        assert_eq!(updated, expected);
        assert_eq!(rolled_out(&kcp, &updated), None, "what is said already is not written again");
    }

    #[test]
    fn without_a_configuration_only_the_version_is_written() {
        let kcp = control_plane("v1.36.1", json!({}));
        let expected = CONFIG.replace("v1.34.0", "v1.36.1");
        assert_eq!(rolled_out(&kcp, CONFIG), Some(expected));
    }

    #[test]
    fn the_form_is_that_of_the_new_version() {
        let old = "apiServer:\n  extraArgs:\n    v: \"2\"\n  timeoutForControlPlane: 4m0s\n\
            apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\n\
            kubernetesVersion: v1.30.0\n";
        let updated = updated_kubeadm_config(old, "v1.31.0", |_| {}).unwrap().unwrap();
        assert!(updated.contains("apiVersion: kubeadm.k8s.io/v1beta4\n"), "{updated}");
        assert!(updated.contains("  - name: v\n    value: \"2\"\n"), "{updated}");
        let error = updated_kubeadm_config("a: b\n", "v1.31.0", |_| {}).unwrap_err();
        assert!(error.ends_with("from YAML: unknown kubeadm types"), "{error}");
    }

    #[test]
    fn coredns_is_upgraded_to_what_the_control_plane_names() {
        let plan = |wanted: Value, from: &str| {
            CoreDnsUpgrade::plan(&wanted, from).map(|plan| plan.map(|upgrade| upgrade.image))
        };
        let image = "registry.k8s.io/coredns/coredns:v1.12.1";
        assert_eq!(plan(json!({}), image), Ok(None));
        assert_eq!(plan(json!({"imageRepository": "registry.k8s.io"}), image), Ok(None));
        let tagged = json!({"dns": {"imageTag": "v1.14.2"}});
        let expected = "registry.k8s.io/coredns/coredns:v1.14.2".to_owned();
        assert_eq!(plan(tagged, image), Ok(Some(expected)));
        let moved = json!({"imageRepository": "a.b/c", "dns": {"imageRepository": "d.e/"}});
        assert_eq!(plan(moved, image), Ok(Some("d.e/coredns:v1.12.1".to_owned())));
        let back = json!({"dns": {"imageTag": "v1.11.1"}});
        let message = "failed to validate CoreDNS: toVersion \"v1.11.1\" must be greater than or \
                       equal to fromVersion \"v1.12.1\"";
        assert_eq!(plan(back, image), Err(message.to_owned()));
        let unknown = json!({"dns": {"imageTag": "v1.14.2"}});
        let message = "failed to validate CoreDNS: fromVersion \"1.11.2\" is not a compatible coredns version";
        assert_eq!(plan(unknown, "registry.k8s.io/coredns:v1.11.2"), Err(message.to_owned()));
        let message = "error parsing semver from \"latest\"";
        assert_eq!(plan(json!({}), "a.b/coredns:latest"), Err(message.to_owned()));
        assert!(plan(json!({}), "a.b/coredns").is_err());
    }

    #[test]
    fn patches_carry_whole_lists() {
        let mut deployment = json!({"spec": {"template": {"spec": {
            "containers": [{"name": "other", "image": "o"}, {"name": "coredns", "image": "a"}],
            "volumes": [{"name": "config-volume", "configMap": {"name": "coredns",
                "items": [{"key": "Corefile", "path": "Corefile"}]}}],
        }}}});
        let patch = set_image(&mut deployment, COREDNS, "b");
        let containers =
            json!([{"name": "other", "image": "o"}, {"name": "coredns", "image": "b"}]);
        assert_eq!(patch["spec"]["template"]["spec"]["containers"], containers);
        assert_eq!(image_of(&deployment, COREDNS), Some("b"));
        assert_eq!(set_corefile_key(&mut deployment, COREFILE), None);
        let patch = set_corefile_key(&mut deployment, COREFILE_BACKUP).unwrap();
        let items = &patch["spec"]["template"]["spec"]["volumes"][0]["configMap"]["items"];
        assert_eq!(*items, json!([{"key": "Corefile-backup", "path": "Corefile"}]));
    }

    #[test]
    fn kube_proxy_follows_version_and_repository() {
        let image = "registry.k8s.io/kube-proxy:v1.34.0";
        let kcp = control_plane("v1.35.1", json!({}));
        let expected = "registry.k8s.io/kube-proxy:v1.35.1";
        assert_eq!(kube_proxy_image(&kcp, image).as_deref(), Ok(expected));
        let kcp = control_plane("v1.35.1", json!({"imageRepository": "a.b/c"}));
        assert_eq!(kube_proxy_image(&kcp, image).as_deref(), Ok("a.b/c/kube-proxy:v1.35.1"));
    }
}
