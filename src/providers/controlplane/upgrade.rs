//! What a control plane writes into its workload cluster: permissions and `kubeadm-config` before
//! machines are rolled out, kube-proxy and CoreDNS when nothing is left to roll out.
//! (CAPI v1.14: controlplane/kubeadm/pkg/workload_cluster.go, workload_cluster_coredns.go,
//! workload_cluster_rbac.go)

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleRef, Subject};
use kube::core::ApiResource;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use super::addons::{
    self, CLUSTER_CONFIGURATION, COREDNS, COREFILE, COREFILE_BACKUP, CoreDnsUpgrade, KUBE_PROXY,
};
use super::reconcile::KcpReconciler;
use super::scope::ControlPlane;
use crate::api::controlplane::KubeadmControlPlane;
use crate::client::{Client, ClientError, ObjectKey};
use crate::contract::{labels, version::Version};
use crate::runtime::ReconcileError;

const SYSTEM: &str = "kube-system";
const RBAC_GROUP: &str = "rbac.authorization.k8s.io";
/// Attempts to write `kubeadm-config` against other writers.
const ATTEMPTS_MAX: u32 = 5;
/// A workload cluster that was found to be as wanted is not asked again within this time, unless
/// the control plane has changed. Upstream asks in every reconcile; ours come with every event.
const SETTLED: Duration = Duration::from_secs(60);

/// What is written when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    /// Permissions and `kubeadm-config`.
    Rollout,
    /// kube-proxy and CoreDNS.
    Addons,
}

/// Which workload clusters were found to be as their control planes want them.
#[derive(Default)]
pub(super) struct Settled {
    /// Since when, and for which state of the control plane. Written and read by reconciles;
    /// entries go with the object.
    known: Mutex<HashMap<(ObjectKey, Part), (Timestamp, u64)>>,
}

impl Settled {
    fn is(&self, control_plane: &ControlPlane, part: Part) -> bool {
        let known = self.known.lock();
        let Some((since, state)) = known.get(&(control_plane.key(), part)) else { return false };
        let age = Duration::try_from(control_plane.now.duration_since(*since));
        *state == state_of(&control_plane.kcp) && age.is_ok_and(|age| age < SETTLED)
    }

    fn note(&self, control_plane: &ControlPlane, part: Part) {
        let entry = (control_plane.now, state_of(&control_plane.kcp));
        self.known.lock().insert((control_plane.key(), part), entry);
    }

    /// Forgets a control plane that is gone.
    pub(super) fn forget(&self, key: &ObjectKey) {
        let mut known = self.known.lock();
        for part in [Part::Rollout, Part::Addons] {
            known.remove(&(key.clone(), part));
        }
    }
}

/// A number that differs with what a user can change.
fn state_of(kcp: &KubeadmControlPlane) -> u64 {
    let mut hasher = DefaultHasher::new();
    let metadata = &kcp.metadata;
    (&metadata.uid, metadata.generation, &metadata.annotations).hash(&mut hasher);
    hasher.finish()
}

impl KcpReconciler {
    /// Before machines are rolled out: permissions that new versions of kubeadm bring, and the
    /// configuration that joining machines read. Answers whether the workload cluster could be
    /// asked at all; its return wakes us.
    ///
    /// # Errors
    /// Upstream's messages about what the workload cluster refused.
    pub(super) async fn prepare_rollout(
        &self,
        control_plane: &ControlPlane,
    ) -> Result<bool, ReconcileError> {
        let remote = self.remote.clusters().get(&control_plane.cluster_key());
        let Some(remote) = remote else { return Ok(false) };
        if self.settled.is(control_plane, Part::Rollout) {
            return Ok(true);
        }
        let failed =
            |error| ReconcileError::Other(format!("failed to update control plane: {error}"));
        let kcp = &control_plane.kcp;
        let client = self.writer(&remote.client);
        ensure_permissions(&client, &kcp.spec.version).await.map_err(|error| {
            failed(format!("failed to set cluster-admin ClusterRoleBinding for kubeadm: {error}"))
        })?;
        let is_etcd_managed = control_plane.is_etcd_managed();
        let change = |config: &mut Value| addons::for_rollout(kcp, is_etcd_managed, config);
        update_kubeadm_config(&client, &kcp.spec.version, change).await.map_err(failed)?;
        self.settled.note(control_plane, Part::Rollout);
        Ok(true)
    }

    /// When all machines are as wanted: the images of kube-proxy and CoreDNS.
    ///
    /// # Errors
    /// Upstream's messages about what the workload cluster refused or what cannot be upgraded.
    pub(super) async fn update_addons(
        &self,
        control_plane: &ControlPlane,
    ) -> Result<(), ReconcileError> {
        let remote = self.remote.clusters().get(&control_plane.cluster_key());
        let Some(remote) = remote else { return Ok(()) };
        if self.settled.is(control_plane, Part::Addons) {
            return Ok(());
        }
        let client = self.writer(&remote.client);
        update_kube_proxy(&client, &control_plane.kcp).await.map_err(|error| {
            tracing::error!(object = %control_plane.key(), %error, "failed to update kube-proxy daemonset");
            ReconcileError::Other(error)
        })?;
        update_coredns(&client, &control_plane.kcp).await.map_err(|error| {
            ReconcileError::Other(format!("failed to update CoreDNS deployment: {error}"))
        })?;
        self.settled.note(control_plane, Part::Addons);
        Ok(())
    }

    /// The client that writes as this provider.
    fn writer(&self, client: &Client) -> Client {
        client.with_field_manager("capi-kubeadmcontrolplane")
    }
}

/// The bindings that `kubeadm upgrade` would add.
async fn ensure_permissions(client: &Client, version: &str) -> Result<(), String> {
    let parsed = Version::parse(version)
        .ok_or_else(|| format!("failed to parse Kubernetes version {version:?}"))?;
    if (parsed.major, parsed.minor) >= (1, 38) {
        return Ok(());
    }
    for (name, role, kind, subject) in [
        ("kubeadm:cluster-admins", "cluster-admin", "Group", "kubeadm:cluster-admins"),
        (
            "kubeadm:apiserver-kubelet-client",
            "system:kubelet-api-admin",
            "User",
            "kube-apiserver-kubelet-client",
        ),
    ] {
        let known = client.get::<ClusterRoleBinding>(&ObjectKey::new("", name)).await;
        let known = known.map_err(|error| {
            format!("failed to determine if resource /{name} already exists: {error}")
        })?;
        if known.is_some() {
            continue;
        }
        let mut binding = ClusterRoleBinding {
            role_ref: RoleRef {
                api_group: Some(RBAC_GROUP.to_owned()),
                kind: "ClusterRole".to_owned(),
                name: role.to_owned(),
            },
            subjects: Some(vec![Subject {
                api_group: Some(RBAC_GROUP.to_owned()),
                kind: kind.to_owned(),
                name: subject.to_owned(),
                namespace: None,
            }]),
            ..ClusterRoleBinding::default()
        };
        binding.metadata.name = Some(name.to_owned());
        match client.create(&binding).await {
            Ok(_) => {}
            Err(error) if error.is_already_exists() => {}
            Err(error) => {
                return Err(format!(
                    "unable to create resource /{name} on workload cluster: {error}"
                ));
            }
        }
    }
    Ok(())
}

/// Changes `kubeadm-config`, if that makes a difference; tries again after a conflict.
async fn update_kubeadm_config(
    client: &Client,
    version: &str,
    change: impl Fn(&mut Value),
) -> Result<(), String> {
    let key = ObjectKey::new(SYSTEM, "kubeadm-config");
    let mut attempt = 0;
    loop {
        attempt += 1;
        let map = client.get::<ConfigMap>(&key).await.map_err(|error| error.to_string());
        let map = map.and_then(|map| map.ok_or_else(|| missing("configmaps", &key)));
        let map = map.map_err(|error| {
            format!(
                "failed to get kubeadmConfigMap: error getting {key} configmap from target \
                 cluster: {error}"
            )
        })?;
        let text = map.data.as_ref().and_then(|data| data.get(CLUSTER_CONFIGURATION));
        let text = text.ok_or_else(|| {
            format!("unable to find {CLUSTER_CONFIGURATION:?} in the kubeadm-config ConfigMap")
        })?;
        let Some(updated) = addons::updated_kubeadm_config(text, version, &change)? else {
            return Ok(());
        };
        let patch = json!({
            "metadata": {"resourceVersion": map.metadata.resource_version},
            "data": {CLUSTER_CONFIGURATION: updated},
        });
        match client.merge_patch::<ConfigMap>(&key, "", &patch).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_conflict() && attempt < ATTEMPTS_MAX => {}
            Err(error) => {
                let message = "failed to upgrade cluster configuration in the kubeadmConfigMap";
                return Err(format!("{message}: {error}"));
            }
        }
    }
}

async fn update_kube_proxy(client: &Client, kcp: &KubeadmControlPlane) -> Result<(), String> {
    if labels::has_annotation(&kcp.metadata, labels::SKIP_KUBE_PROXY) {
        return Ok(());
    }
    let resource = ApiResource::erase::<DaemonSet>(&());
    let key = ObjectKey::new(SYSTEM, KUBE_PROXY);
    let found = client.get_dynamic(&resource, &key).await.map_err(|error| {
        format!("failed to determine if {KUBE_PROXY} daemonset already exists: {error}")
    })?;
    let Some(mut daemon_set) = found else { return Ok(()) };
    let Some(image) = addons::image_of(&daemon_set, KUBE_PROXY) else { return Ok(()) };
    let wanted = addons::kube_proxy_image(kcp, image)?;
    if image == wanted {
        return Ok(());
    }
    let patch = addons::set_image(&mut daemon_set, KUBE_PROXY, &wanted);
    write(client, &resource, &key, &patch).await.map_err(|error| error.to_string())
}

async fn update_coredns(client: &Client, kcp: &KubeadmControlPlane) -> Result<(), String> {
    if labels::has_annotation(&kcp.metadata, labels::SKIP_COREDNS) {
        return Ok(());
    }
    let Some(wanted) = addons::configuration(kcp) else { return Ok(()) };
    let key = ObjectKey::new(SYSTEM, COREDNS);
    let map = client.get::<ConfigMap>(&key).await.map_err(|error| {
        format!(
            "error getting {key} config map from target cluster: error getting {key} configmap \
             from target cluster: {error}"
        )
    })?;
    let Some(map) = map else { return Ok(()) };
    let corefile = map.data.as_ref().and_then(|data| data.get(COREFILE));
    let corefile = corefile.ok_or("unable to find the CoreDNS Corefile data")?;
    let resource = ApiResource::erase::<Deployment>(&());
    let found = client
        .get_dynamic(&resource, &key)
        .await
        .map_err(|error| format!("unable to get {key} deployment from target cluster: {error}"))?;
    let Some(mut deployment) = found else { return Ok(()) };
    let image = addons::image_of(&deployment, COREDNS).ok_or_else(|| {
        format!("failed to update coredns deployment: deployment spec has no {COREDNS:?} container")
    })?;
    let Some(upgrade) = CoreDnsUpgrade::plan(wanted, image)? else { return Ok(()) };
    update_kubeadm_config(client, &kcp.spec.version, |config| addons::for_dns(kcp, config)).await?;
    let migrated = upgrade.migrate(corefile)?;
    // CoreDNS reads the copy until the new image is there.
    let backup = only_corefile(&map, corefile, corefile);
    client.merge_patch::<ConfigMap>(&key, "", &backup).await.map_err(|error| {
        format!("unable to update CoreDNS config map with backup Corefile: {error}")
    })?;
    if let Some(patch) = addons::set_corefile_key(&mut deployment, COREFILE_BACKUP) {
        write(client, &resource, &key, &patch).await.map_err(|error| error.to_string())?;
    }
    let data = only_corefile(&map, &migrated, corefile);
    client
        .merge_patch::<ConfigMap>(&key, "", &data)
        .await
        .map_err(|error| format!("unable to update CoreDNS config map: {error}"))?;
    let mut patch = addons::set_image(&mut deployment, COREDNS, &upgrade.image);
    if let Some(mut volumes) = addons::set_corefile_key(&mut deployment, COREFILE) {
        let pointer = "/spec/template/spec/volumes";
        let volumes = volumes.pointer_mut(pointer).map(Value::take).unwrap_or_default();
        patch["spec"]["template"]["spec"]["volumes"] = volumes;
    }
    write(client, &resource, &key, &patch)
        .await
        .map_err(|error| format!("unable to update coredns deployment: {error}"))
}

/// The patch after which CoreDNS' ConfigMap holds these two Corefiles and nothing else.
fn only_corefile(map: &ConfigMap, corefile: &str, backup: &str) -> Value {
    let others = map.data.iter().flatten().map(|(key, _)| (key.clone(), Value::Null));
    let mut data: Map<String, Value> = others.collect();
    data.insert(COREFILE.to_owned(), corefile.into());
    data.insert(COREFILE_BACKUP.to_owned(), backup.into());
    json!({"data": data})
}

async fn write(
    client: &Client,
    resource: &ApiResource,
    key: &ObjectKey,
    patch: &Value,
) -> Result<(), ClientError> {
    client.merge_patch_dynamic(resource, key, "", patch).await.map(drop)
}

fn missing(resource: &str, key: &ObjectKey) -> String {
    format!("{resource} {:?} not found", key.name)
}

#[cfg(test)]
mod tests;
