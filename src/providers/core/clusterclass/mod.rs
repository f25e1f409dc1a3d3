//! Reconciles ClusterClasses: owns their templates, lists their variables.
//! (CAPI v1.14: core/reconcilers/clusterclass)

mod references;
mod status;
mod variables;

use std::sync::Arc;

use super::topology::{CLASS_TEMPLATE, template_refs};
use super::{Context, settling};
use crate::api::runtime::ExtensionConfig;
use crate::api::topology::ClusterClass;
use crate::client::ObjectKey;
use crate::contract::versions::ContractVersions;
use crate::contract::{labels, paused};
use crate::runtime::{
    Change, Controller, Informer, Manager, Outcome, ReconcileError, Reconciler, patch_object,
};

pub(super) use variables::list_known as list_variables;

/// Adds the ClusterClass controller. `versions` tells the newest version of each kind.
pub(super) fn add(manager: &Manager, context: &Arc<Context>, versions: &ContractVersions) {
    let classes = manager.informer::<ClusterClass>();
    let reconciler = Arc::new(ClusterClassReconciler {
        context: context.clone(),
        classes: classes.clone(),
        versions: versions.clone(),
    });
    let (of_template, of_extension) = (classes.clone(), classes.clone());
    let mut controller = Controller::new("clusterclass", reconciler)
        .for_kind(&classes)
        .watches(&manager.informer::<ExtensionConfig>(), move |change| {
            extension_to_classes(&of_extension, change)
        });
    controller = context.externals.watch(controller, move |object, change| {
        // Templates appear, go, and lose their owner.
        let is_owner_change = match (&change.old, &change.new) {
            (Some(old), Some(new)) => {
                old.metadata.owner_references != new.metadata.owner_references
            }
            (None, _) | (_, None) => true,
        };
        if !is_owner_change {
            return Vec::new();
        }
        let classes = of_template.by_index(CLASS_TEMPLATE, object);
        classes.iter().map(|class| ObjectKey::of(&**class)).collect()
    });
    manager.add(controller);
}

/// Classes with a patch whose variables an extension defines.
fn extension_to_classes(
    classes: &Informer<ClusterClass>,
    change: &Change<ExtensionConfig>,
) -> Vec<ObjectKey> {
    let extension = change.object().metadata.name.as_deref().unwrap_or_default();
    let is_of_extension =
        |handler: &str| handler.split_once('.').is_some_and(|(_, config)| config == extension);
    let all = classes.list();
    let asking = all.iter().filter(|class| {
        let externals = class.spec.patches.iter().flat_map(|patch| &patch.external);
        externals.into_iter().any(|it| is_of_extension(&it.discover_variables_extension))
    });
    asking.map(|class| ObjectKey::of(&**class)).collect()
}

struct ClusterClassReconciler {
    context: Arc<Context>,
    classes: Informer<ClusterClass>,
    versions: ContractVersions,
}

impl Reconciler for ClusterClassReconciler {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, ReconcileError> {
        let context = &self.context;
        let Some(before) = self.classes.get(&key.namespace, &key.name) else {
            return Ok(Outcome::Done);
        };
        let now = context.clock.now();
        let is_paused = labels::has_annotation(&before.metadata, labels::PAUSED);
        let is_deleting = before.metadata.deletion_timestamp.is_some();
        if !is_paused
            && !is_deleting
            && let Some(left) = settling(&before.metadata, now)
            && self.awaits_templates(&before)
        {
            return Ok(Outcome::RequeueAfter(left));
        }
        let mut after = (*before).clone();
        let pause = paused::condition(None, "ClusterClass", &before.metadata);
        status::set_paused(&mut after, pause, now);
        let mut outcome = Ok(Outcome::Done);
        if !is_paused && !is_deleting {
            let references = self.own_templates(&before).await;
            let variables = variables::reconcile(&context.extensions, &mut after).await;
            status::set_references(&mut after, &references, now);
            status::set_variables(&mut after, variables.as_ref().err(), now);
            outcome = match (references, variables) {
                (Ok(_), Ok(())) => Ok(Outcome::Done),
                (Err(error), Ok(()) | Err(_)) => Err(error),
                (Ok(_), Err(error)) => Err(ReconcileError::Other(error)),
            };
            if outcome.is_ok() {
                let generation = before.metadata.generation;
                after.status.get_or_insert_default().observed_generation = generation;
            }
        }
        patch_object(&context.client, &*before, &after).await?;
        outcome
    }
}

impl ClusterClassReconciler {
    /// Whether a template is not there; its appearance wakes the class.
    fn awaits_templates(&self, class: &ClusterClass) -> bool {
        let namespace = class.metadata.namespace.as_deref().unwrap_or_default();
        let all = template_refs(class);
        all.into_iter().any(|reference| {
            let reference = references::without_version(reference);
            !self.context.externals.is_known(&reference, namespace)
        })
    }
}
