//! Templates and MachineSets of a MachineDeployment: owning, adopting, and the shape that a
//! MachineSet shall have. (CAPI v1.14: machinedeployment_controller.go, rollout_planner.go)

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::super::{index, template};
use super::limits::Limits;
use super::{MachineDeploymentReconciler, Scope};
use crate::api::core::MachineSet;
use crate::contract::{labels, names, owners, selector};
use crate::runtime::{EventType, ReconcileError, patch_object};

/// Annotations of a MachineDeployment that its MachineSets do not inherit.
const NOT_INHERITED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    labels::REVISION,
    REVISION_HISTORY,
    labels::DESIRED_REPLICAS,
    labels::MAX_REPLICAS,
    "cluster.x-k8s.io/conversion-data",
];
/// Annotation: former revisions of a MachineSet.
pub(super) const REVISION_HISTORY: &str = "machinedeployment.clusters.x-k8s.io/revision-history";

impl MachineDeploymentReconciler {
    /// Makes the Cluster own the templates, and notes those that do not exist.
    pub(super) async fn own_templates(&self, scope: &mut Scope) -> Result<(), ReconcileError> {
        let spec = scope.deployment.spec.template.spec.clone();
        scope.is_infrastructure_template_missing = !self
            .context
            .externals
            .own_template(&self.context.client, &scope.cluster, &spec.infrastructure_ref)
            .await?;
        if let Some(reference) = &spec.bootstrap.config_ref {
            scope.is_bootstrap_template_missing = !self
                .context
                .externals
                .own_template(&self.context.client, &scope.cluster, reference)
                .await?;
        }
        Ok(())
    }

    /// Reads the MachineSets of the deployment and adopts those that match and have no controller.
    pub(super) async fn adopt_sets(&self, scope: &mut Scope) -> Result<(), ReconcileError> {
        let wanted = scope.deployment.spec.selector.clone();
        if selector::is_empty(&wanted) {
            return Err(ReconcileError::Other(
                "failed to get MachineSets: label selector computed from MachineDeployment.spec.selector is empty"
                    .to_owned(),
            ));
        }
        let sets = &self.context.sets;
        let mut found = sets.by_index(index::CONTROLLER, scope.uid());
        let orphans = sets.by_index(index::CONTROLLER, &index::orphans_of(&scope.cluster_key));
        for set in orphans {
            if !selector::matches(&wanted, set.metadata.labels.as_ref()) {
                continue;
            }
            let name = set.metadata.name.as_deref().unwrap_or_default();
            let mut adopted = (*set).clone();
            owners::ensure(&mut adopted.metadata, owners::controller_of(&scope.deployment));
            super::super::set_label(
                &mut adopted.metadata,
                labels::DEPLOYMENT_NAME,
                &scope.key.name,
            );
            let about = &scope.deployment;
            match patch_object(&self.context.client, &*set, &adopted).await {
                Ok(_) => {
                    let message = format!("Adopted MachineSet {name:?}");
                    self.recorder.event(about, EventType::Normal, "SuccessfulAdopt", message);
                    found.push(Arc::new(adopted));
                }
                Err(error) => {
                    let message = format!("Failed to adopt MachineSet {name:?}: {error}");
                    self.recorder.event(about, EventType::Warning, "FailedAdopt", message);
                }
            }
        }
        found.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        scope.sets = Some(found);
        Ok(())
    }
}

/// Name of a new MachineSet of a deployment.
pub(super) fn new_name(deployment: &str, random: &str) -> String {
    let base: String = format!("{deployment}-").chars().take(58).collect();
    format!("{base}{random}")
}

/// What sets the name of a new MachineSet apart from those of the same template. `random` is part
/// of both its name and its label.
pub(super) fn new_set(scope: &Scope, random: &str) -> MachineSet {
    let mut set = MachineSet::default();
    set.metadata.name = Some(new_name(&scope.key.name, random));
    set.metadata.namespace = Some(scope.key.namespace.clone());
    set.metadata.finalizers = Some(vec![labels::MACHINE_SET_FINALIZER.to_owned()]);
    set.spec.replicas = Some(0);
    set.spec.template.spec = scope.deployment.spec.template.spec.clone();
    let hash = template::hash(&scope.deployment.spec.template);
    shaped(scope, set, &format!("{hash}-{random}"))
}

/// A MachineSet that exists as the deployment wants it, but for revision and replicas.
///
/// # Errors
/// It lacks the label that tells it from others.
pub(super) fn existing_set(scope: &Scope, held: &MachineSet) -> Result<MachineSet, String> {
    let unique = held.metadata.labels.as_ref().and_then(|held| held.get(labels::TEMPLATE_HASH));
    let Some(unique) = unique.cloned() else {
        return Err(format!(
            "failed to compute desired MachineSet: failed to get unique identifier from {:?} \
             annotation",
            labels::TEMPLATE_HASH
        ));
    };
    let mut set = MachineSet::default();
    let metadata = &mut set.metadata;
    metadata.name.clone_from(&held.metadata.name);
    metadata.namespace.clone_from(&held.metadata.namespace);
    metadata.uid.clone_from(&held.metadata.uid);
    metadata.finalizers.clone_from(&held.metadata.finalizers);
    metadata.creation_timestamp.clone_from(&held.metadata.creation_timestamp);
    set.spec.replicas = held.spec.replicas;
    set.spec.template.spec = held.spec.template.spec.clone();
    set.status.clone_from(&held.status);
    let mut set = shaped(scope, set, &unique);
    let held = held.metadata.annotations.iter().flatten();
    let own = held.filter(|(key, _)| [labels::REVISION, REVISION_HISTORY].contains(&key.as_str()));
    let annotations = set.metadata.annotations.get_or_insert_with(Default::default);
    annotations.extend(own.map(|(key, value)| (key.clone(), value.clone())));
    Ok(set)
}

/// Gives a MachineSet what changes in place: owner, labels, annotations, selector, naming,
/// deletion order and the fields of Machines that need no new Machine.
fn shaped(scope: &Scope, mut set: MachineSet, unique: &str) -> MachineSet {
    let deployment = &scope.deployment;
    let unique = (labels::TEMPLATE_HASH.to_owned(), unique.to_owned());
    let mut template_labels = deployment.spec.template.metadata.labels.clone();
    template_labels.insert(unique.0.clone(), unique.1.clone());
    let mut own_labels = template_labels.clone();
    own_labels.insert(labels::DEPLOYMENT_NAME.to_owned(), scope.key.name.clone());
    let mut selector = deployment.spec.selector.clone();
    selector.match_labels.get_or_insert_with(Default::default).insert(unique.0, unique.1);
    set.metadata.owner_references = Some(vec![owners::controller_of(deployment)]);
    set.metadata.labels = Some(own_labels);
    set.metadata.annotations = Some(inherited_annotations(scope));
    let spec = &mut set.spec;
    spec.cluster_name.clone_from(&deployment.spec.cluster_name);
    spec.selector = selector;
    spec.deletion.clone_from(&deployment.spec.deletion);
    spec.machine_naming.clone_from(&deployment.spec.machine_naming);
    let template = &deployment.spec.template;
    spec.template.metadata.labels = template_labels;
    spec.template.metadata.annotations.clone_from(&template.metadata.annotations);
    let machine = &mut spec.template.spec;
    machine.min_ready_seconds = template.spec.min_ready_seconds;
    machine.readiness_gates.clone_from(&template.spec.readiness_gates);
    machine.deletion.clone_from(&template.spec.deletion);
    machine.taints.clone_from(&template.spec.taints);
    set
}

fn inherited_annotations(scope: &Scope) -> BTreeMap<String, String> {
    let replicas = scope.replicas();
    let mut inherited: BTreeMap<String, String> = scope
        .deployment
        .metadata
        .annotations
        .iter()
        .flatten()
        .filter(|(key, _)| !NOT_INHERITED.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let max = replicas + Limits::of(&scope.deployment).surge;
    inherited.insert(labels::DESIRED_REPLICAS.to_owned(), replicas.to_string());
    inherited.insert(labels::MAX_REPLICAS.to_owned(), max.to_string());
    inherited
}

/// Revision of a MachineSet or MachineDeployment; 0 without one.
pub(super) fn revision(metadata: &ObjectMeta) -> i64 {
    let held = metadata.annotations.as_ref().and_then(|held| held.get(labels::REVISION));
    held.and_then(|revision| revision.parse().ok()).unwrap_or(0)
}

/// The random suffix of a new MachineSet.
pub(super) fn suffix(random: u64) -> String {
    names::suffix(random)
}
