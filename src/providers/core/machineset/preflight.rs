//! Checks that hold the making of Machines. (CAPI v1.14: machineset_preflight.go)
//!
//! No timer retries them: a change of the control plane wakes the MachineSet.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::super::externals::External;
use super::{MachineSetReconciler, Scope};
use crate::api::conditions::Absent;
use crate::api::core::{Cluster, ContractRef, MachineSet};
use crate::client::ObjectKey;
use crate::contract::labels;
use crate::contract::version::Version;
use crate::runtime::ReconcileError;

/// The control plane has a version and is not on its way to another one.
const STABLE: &str = "ControlPlaneIsStable";
/// Workers follow the control plane within three minor versions.
const VERSION_SKEW: &str = "KubernetesVersionSkew";
/// kubeadm joins its own minor version only.
const KUBEADM_SKEW: &str = "KubeadmVersionSkew";
/// With a topology, workers wait for the control plane's version to reach them.
const CONTROL_PLANE_SKEW: &str = "ControlPlaneVersionSkew";
/// Annotation of a Cluster: the version of the present step of an upgrade plan.
const UPGRADE_STEP: &str = "topology.internal.cluster.x-k8s.io/upgrade-step";
/// How many minor versions a worker may be behind.
const MINOR_SKEW_MAX: u64 = 3;

/// What the checks look at.
struct Checked<'a> {
    set: &'a MachineSet,
    cluster: &'a Cluster,
    control_plane: &'a External,
    skipped: &'a [String],
}

impl MachineSetReconciler {
    /// Why no Machine may be made now; empty to go ahead. `action` is what waits, for messages.
    ///
    /// # Errors
    /// An object cannot be read, or a version cannot be parsed.
    pub(super) async fn preflight(
        &self,
        scope: &Scope,
        action: &str,
    ) -> Result<Vec<String>, ReconcileError> {
        let skipped = self.skipped(scope).await?;
        if skipped.iter().any(|check| check == "All") {
            return Ok(Vec::new());
        }
        let Some(reference) = &scope.cluster.spec.control_plane_ref else { return Ok(Vec::new()) };
        let context = &self.context;
        let namespace = &scope.key.namespace;
        let failed = |error: String| {
            ReconcileError::Other(format!(
                "failed to perform {action:?}: failed to perform preflight checks: {error}"
            ))
        };
        let control_plane = context.externals.need(&context.client, reference, namespace).await;
        let control_plane = control_plane.map_err(|error| {
            failed(format!("failed to get ControlPlane {namespace}/{}: {error}", reference.name))
        })?;
        let checked = Checked {
            set: &scope.set,
            cluster: &scope.cluster,
            control_plane: &control_plane,
            skipped: &skipped,
        };
        checked.failures().map_err(failed)
    }

    /// Checks that are left out: by annotation of the set, or else of its bootstrap template.
    async fn skipped(&self, scope: &Scope) -> Result<Vec<String>, ReconcileError> {
        let listed = |metadata: &ObjectMeta| {
            let list = metadata.annotations.as_ref()?.get(labels::SKIP_PREFLIGHT_CHECKS)?;
            Some(list.clone()).filter(|list| !list.is_empty())
        };
        let mut list = listed(&scope.set.metadata);
        let bootstrap = scope.set.spec.template.spec.bootstrap.config_ref.as_ref();
        if let (None, Some(reference)) = (&list, bootstrap) {
            let context = &self.context;
            let namespace = &scope.key.namespace;
            let template = context.externals.need(&context.client, reference, namespace).await;
            let template = template.map_err(|error| {
                let annotation = labels::SKIP_PREFLIGHT_CHECKS;
                ReconcileError::Other(format!("failed to read {annotation} annotation: {error}"))
            })?;
            list = listed(&template.object.metadata);
        }
        let list = list.unwrap_or_default();
        Ok(list.split(',').map(|check| check.trim().to_owned()).collect())
    }
}

impl Checked<'_> {
    fn runs(&self, check: &str) -> bool {
        !self.skipped.iter().any(|skip| skip == check || skip == "All")
    }

    fn failures(&self) -> Result<Vec<String>, String> {
        let object = &self.control_plane.object;
        if object.spec.version.is_empty() {
            return Ok(Vec::new());
        }
        let version = parse("ControlPlane", &self.control_plane.key(), &object.spec.version)?;
        let mut failures = Vec::new();
        if self.runs(STABLE)
            && let Some(state) = self.instability(&version)
        {
            let kind = &self.control_plane.kind.resource.kind;
            let key = self.control_plane.key();
            failures.push(format!("{kind} {key} {state} ({STABLE:?} preflight check failed)"));
        }
        let text = &self.set.spec.template.spec.version;
        if text.is_empty() {
            return Ok(failures);
        }
        let wanted = parse("MachineSet", &ObjectKey::of(self.set), text)?;
        let subject = format!("MachineSet version ({wanted}) and ControlPlane version ({version})");
        if self.runs(VERSION_SKEW)
            && let Some(skew) = skew(&wanted, &version)
        {
            failures.push(format!(
                "{subject} do not conform to the kubernetes version skew policy as {skew} \
                 ({VERSION_SKEW:?} preflight check failed)"
            ));
        }
        let config = self.set.spec.template.spec.bootstrap.config_ref.as_ref();
        if self.runs(KUBEADM_SKEW)
            && config.is_some_and(is_kubeadm)
            && version.minor != wanted.minor
        {
            failures.push(format!(
                "{subject} do not conform to kubeadm version skew policy as kubeadm only supports \
                 joining with the same major+minor version as the control plane \
                 ({KUBEADM_SKEW:?} preflight check failed)"
            ));
        }
        if self.runs(CONTROL_PLANE_SKEW) && self.is_classy() && object.spec.version != *text {
            failures.push(format!(
                "MachineSet version ({text}) is not yet the same as the ControlPlane version ({}), \
                 waiting for version to be propagated to the MachineSet \
                 ({CONTROL_PLANE_SKEW:?} preflight check failed)",
                object.spec.version
            ));
        }
        Ok(failures)
    }

    fn is_classy(&self) -> bool {
        !self.cluster.spec.topology.absent()
    }

    /// Why the control plane is not stable, if it is not.
    fn instability(&self, wanted: &Version) -> Option<String> {
        if let Some(version) = self.pending_upgrade() {
            return Some(format!("has a pending version upgrade to {version}"));
        }
        let status = &self.control_plane.object.status;
        let first = status.versions.first().map(|version| version.version.as_str());
        if first.unwrap_or(&status.version).is_empty() {
            return Some("is provisioning".to_owned());
        }
        let in_use = status.versions.iter().map(|version| version.version.as_str());
        let in_use: Vec<&str> =
            if status.versions.is_empty() { vec![&status.version] } else { in_use.collect() };
        let is_upgrading = in_use
            .into_iter()
            .filter_map(Version::parse)
            .any(|version| wanted.compare_with_build(&version).is_gt());
        is_upgrading.then(|| "is upgrading".to_owned())
    }

    /// The version that the Cluster's topology goes to, if its control plane does not know it yet.
    fn pending_upgrade(&self) -> Option<&str> {
        if !self.is_classy() {
            return None;
        }
        let held = self.cluster.metadata.annotations.as_ref();
        let step = held.and_then(|held| held.get(UPGRADE_STEP)).filter(|step| !step.is_empty());
        let (goal, now) =
            (&self.cluster.spec.topology.version, &self.control_plane.object.spec.version);
        (goal != now && step != Some(now)).then(|| step.unwrap_or(goal).as_str())
    }
}

fn parse(what: &str, key: &ObjectKey, version: &str) -> Result<Version, String> {
    Version::parse(version)
        .ok_or_else(|| format!("failed to parse version {version:?} of {what} {key}"))
}

/// What is wrong with a set's version, if anything is.
fn skew(set: &Version, control_plane: &Version) -> Option<String> {
    if set.minor > control_plane.minor {
        return Some("MachineSet version is higher than ControlPlane version".to_owned());
    }
    (set.minor + MINOR_SKEW_MAX < control_plane.minor).then(|| {
        format!(
            "MachineSet version is more than {MINOR_SKEW_MAX} minor versions older than the \
             ControlPlane version"
        )
    })
}

fn is_kubeadm(reference: &ContractRef) -> bool {
    reference.kind == "KubeadmConfigTemplate" && reference.api_group == "bootstrap.cluster.x-k8s.io"
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::contract::versions::{Contract, ContractKind};

    fn control_plane(object: Value) -> External {
        External {
            object: Arc::new(serde_json::from_value(object).unwrap()),
            kind: Arc::new(ContractKind {
                resource: kube::core::ApiResource {
                    group: "g".into(),
                    version: "v1".into(),
                    api_version: "g/v1".into(),
                    kind: "KubeadmControlPlane".into(),
                    plural: "kubeadmcontrolplanes".into(),
                },
                contract: Contract::V1Beta2,
            }),
        }
    }

    fn set(version: &str) -> MachineSet {
        let mut set = MachineSet::default();
        set.spec.template.spec.version = version.into();
        set
    }

    fn failures(
        version: &str,
        control_plane: &External,
        skipped: &[&str],
        cluster: Value,
    ) -> Result<Vec<String>, String> {
        let cluster: Cluster = serde_json::from_value(cluster).unwrap();
        let skipped: Vec<String> = skipped.iter().map(|check| (*check).to_owned()).collect();
        let set = &set(version);
        Checked { set, cluster: &cluster, control_plane, skipped: &skipped }.failures()
    }

    #[test]
    fn a_provisioning_control_plane_holds_machines() {
        let object = json!({
            "metadata": {"namespace": "NS", "name": "bar-cp"}, "spec": {"version": "v1.34.0"}
        });
        let failures = failures("v1.34.0", &control_plane(object), &[], json!({})).unwrap();
        assert_eq!(
            failures,
            [
                "KubeadmControlPlane NS/bar-cp is provisioning (\"ControlPlaneIsStable\" preflight check failed)"
            ]
        );
    }

    #[test]
    fn an_upgrade_and_a_version_skew_hold_machines_unless_skipped() {
        let object = json!({
            "metadata": {"namespace": "NS", "name": "bar-cp"}, "spec": {"version": "v1.35.0"},
            "status": {"version": "v1.34.0"}
        });
        let control_plane = control_plane(object);
        let cluster = || json!({});
        assert_eq!(failures("v1.36.0", &control_plane, &[], cluster()).unwrap().len(), 2);
        assert_eq!(failures("v1.31.0", &control_plane, &[STABLE], cluster()).unwrap().len(), 1);
        assert!(failures("v1.36.0", &control_plane, &["All"], cluster()).unwrap().is_empty());
        assert!(failures("nonsense", &control_plane, &[], cluster()).is_err());
    }

    #[test]
    fn workers_of_a_topology_wait_for_its_version() {
        let object = json!({
            "metadata": {"namespace": "NS", "name": "bar-cp"}, "spec": {"version": "v1.34.0"},
            "status": {"version": "v1.34.0"}
        });
        let control_plane = control_plane(object);
        let topology = |step: &str| {
            json!({"metadata": {"annotations": {UPGRADE_STEP: step}},
                "spec": {"topology": {"version": "v1.36.0"}}})
        };
        let told = |version, step| failures(version, &control_plane, &[], topology(step)).unwrap();
        assert_eq!(
            told("v1.34.0", "v1.35.0"),
            ["KubeadmControlPlane NS/bar-cp has a pending version upgrade to v1.35.0 \
              (\"ControlPlaneIsStable\" preflight check failed)"]
        );
        assert!(told("v1.34.0", "v1.34.0").is_empty());
        assert_eq!(
            told("v1.33.0", "v1.34.0"),
            ["MachineSet version (v1.33.0) is not yet the same as the ControlPlane version \
              (v1.34.0), waiting for version to be propagated to the MachineSet \
              (\"ControlPlaneVersionSkew\" preflight check failed)"]
        );
    }
}
