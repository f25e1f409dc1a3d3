//! Says on every `DevMachineTemplate` what its machines can hold, so that the cluster autoscaler can
//! scale from zero. (CAPI v1.14: devmachinetemplate_controller.go, which asks the container runtime)

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::infrastructure::DevMachineTemplate;
use crate::client::{Client, ObjectKey};
use crate::runtime::{
    Controller, Informer, Manager, Outcome, ReconcileError, Reconciler, patch_object,
};
use crate::workload::{NODE_CPU, NODE_MEMORY};

/// Adds the controller.
pub(super) fn add(manager: &Manager) {
    let templates = manager.informer::<DevMachineTemplate>();
    let client = manager.client().with_field_manager("capim");
    let reconciler = TemplateReconciler { client, templates: templates.clone() };
    let controller = Controller::new("devmachinetemplate", Arc::new(reconciler));
    manager.add(controller.for_kind(&templates));
}

struct TemplateReconciler {
    client: Client,
    templates: Informer<DevMachineTemplate>,
}

impl Reconciler for TemplateReconciler {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, ReconcileError> {
        let Some(before) = self.templates.get(&key.namespace, &key.name) else {
            return Ok(Outcome::Done);
        };
        let mut after = (*before).clone();
        let capacity = [("cpu", NODE_CPU), ("memory", NODE_MEMORY)];
        let capacity: BTreeMap<String, String> =
            capacity.map(|(name, amount)| (name.to_owned(), amount.to_owned())).into();
        after.status.get_or_insert_default().capacity = capacity;
        patch_object(&self.client, &*before, &after).await?;
        Ok(Outcome::Done)
    }
}
