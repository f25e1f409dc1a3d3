//! Takes in control plane Machines that nobody controls, with the Secrets that their KubeadmConfigs
//! made. (CAPI v1.14: adoptMachines, adoptOwnedSecrets of controlplane/kubeadm)

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;

use super::reconcile::KcpReconciler;
use super::scope::ControlPlane;
use crate::api::bootstrap::KubeadmConfig;
use crate::api::controlplane::KubeadmControlPlane;
use crate::api::core::Machine;
use crate::contract::version::Version;
use crate::contract::{labels, machines, owners};
use crate::runtime::{EventType, ReconcileError, patch_object};

/// What may be said about a set of Machines before any of them is touched.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// All can be adopted.
    Adopt,
    /// This Event tells why none is.
    Decline(String),
}

impl KcpReconciler {
    /// Makes the control plane the controller of these Machines. Its next reconcile sees them.
    ///
    /// # Errors
    /// The requests', or upstream's message about a Machine that cannot be taken in.
    pub(super) async fn adopt(
        &self,
        control_plane: &ControlPlane,
        found: &[Arc<Machine>],
    ) -> Result<(), ReconcileError> {
        let key = control_plane.key();
        // The cache may be behind a deletion that orphaned these Machines on purpose.
        let newest = self.client.get::<KubeadmControlPlane>(&key).await?;
        match newest.map(|newest| newest.metadata.deletion_timestamp) {
            None => return Ok(()),
            Some(Some(time)) => {
                let message = format!("{key} has just been deleted at {}", time.0);
                return Err(ReconcileError::Other(message));
            }
            Some(None) => {}
        }
        match verdict(&control_plane.kcp.spec.version, found).map_err(ReconcileError::Other)? {
            Verdict::Adopt => {}
            Verdict::Decline(message) => {
                let warning = EventType::Warning;
                self.recorder.event(&control_plane.kcp, warning, "AdoptionFailed", message);
                return Ok(());
            }
        }
        for machine in found {
            let reference = machine.spec.bootstrap.config_ref.as_ref();
            let name = reference.map_or("", |reference| reference.name.as_str());
            let config = self.caches.configs.get(&key.namespace, name);
            let config = config.ok_or_else(|| {
                ReconcileError::Other(format!("KubeadmConfig {}/{name} not found", key.namespace))
            })?;
            self.adopt_secrets(control_plane, &config).await?;
            let mut adopted = Machine::clone(machine);
            owners::ensure(&mut adopted.metadata, owners::controller_of(&control_plane.kcp));
            patch_object(&self.client, &**machine, &adopted).await?;
        }
        Ok(())
    }

    /// Takes over what a KubeadmConfig made, but for its own bootstrap data.
    async fn adopt_secrets(
        &self,
        control_plane: &ControlPlane,
        config: &KubeadmConfig,
    ) -> Result<(), ReconcileError> {
        let cluster = control_plane.cluster_key();
        let selector = format!("{}={}", labels::CLUSTER_NAME, cluster.name);
        let secrets = self.client.list::<Secret>(&cluster.namespace, &selector).await?;
        let uid = config.metadata.uid.as_deref().unwrap_or_default();
        let data = config.status.as_ref().map_or("", |status| status.data_secret_name.as_str());
        let reference = owners::controller_of(&control_plane.kcp);
        for secret in secrets {
            let is_made = owners::is_owned_by(&secret.metadata, uid);
            let is_data = secret.metadata.name.as_deref() == Some(data);
            if !is_made || is_data || owners::has(&secret.metadata, &reference) {
                continue;
            }
            let mut adopted = secret.clone();
            let held = adopted.metadata.owner_references.get_or_insert_default();
            held.retain(|owner| owner.uid != uid);
            held.push(reference.clone());
            patch_object(&self.client, &secret, &adopted).await?;
        }
        Ok(())
    }
}

/// Looks at the Machines before any is touched.
fn verdict(version: &str, found: &[Arc<Machine>]) -> Result<Verdict, String> {
    let parse = |text: &str| {
        Version::parse(text).ok_or_else(|| format!("failed to parse kubernetes version {text:?}"))
    };
    let ours = parse(version)?;
    for machine in found {
        let namespace = machine.metadata.namespace.as_deref().unwrap_or_default();
        let name = machines::name(machine);
        let reference = machine.spec.bootstrap.config_ref.clone().unwrap_or_default();
        if reference.kind != "KubeadmConfig" {
            return Err(format!(
                "unable to adopt Machine {namespace}/{name}: expected a ConfigRef of kind \
                 KubeadmConfig but instead found {{{} {} {}}}",
                reference.kind, reference.name, reference.api_group
            ));
        }
        let theirs = machine.spec.version.as_str();
        // Without a version the user is expected to know.
        if theirs.is_empty() {
            continue;
        }
        let parsed = parse(theirs)?;
        if parsed.major != ours.major || parsed.minor.abs_diff(ours.minor) > 1 {
            return Ok(Verdict::Decline(format!(
                "Could not adopt Machine {namespace}/{name}: its version ({theirs:?}) is outside \
                 supported +/- one minor version skew from KCP's ({version:?})"
            )));
        }
    }
    Ok(Verdict::Adopt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::core::ContractRef;

    fn machine(kind: &str, version: &str) -> Arc<Machine> {
        let mut machine = Machine::default();
        machine.metadata.namespace = Some("ns".into());
        machine.metadata.name = Some("m".into());
        machine.spec.version = version.into();
        machine.spec.bootstrap.config_ref =
            Some(ContractRef { api_group: "g".into(), kind: kind.into(), name: "c".into() });
        Arc::new(machine)
    }

    #[test]
    fn machines_of_other_bootstrap_providers_or_far_versions_are_not_adopted() {
        let of = |kind, version| verdict("v1.34.0", &[machine(kind, version)]);
        for version in ["", "v1.33.9", "v1.34.2", "1.35.0"] {
            assert_eq!(of("KubeadmConfig", version), Ok(Verdict::Adopt), "{version}");
        }
        let expected = "Could not adopt Machine ns/m: its version (\"v1.32.0\") is outside \
                        supported +/- one minor version skew from KCP's (\"v1.34.0\")";
        assert_eq!(of("KubeadmConfig", "v1.32.0"), Ok(Verdict::Decline(expected.to_owned())));
        let expected = "unable to adopt Machine ns/m: expected a ConfigRef of kind KubeadmConfig \
                        but instead found {OtherConfig c g}";
        assert_eq!(of("OtherConfig", "v1.34.0"), Err(expected.to_owned()));
        assert!(of("KubeadmConfig", "latest").is_err());
    }
}
