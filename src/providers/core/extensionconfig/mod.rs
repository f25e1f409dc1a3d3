//! Reconciles ExtensionConfigs: asks each server what it handles, and registers that.
//! (CAPI v1.14: core/reconcilers/extensionconfig)
//!
//! There is no finalizer: who is gone or about to go is unregistered. A discovery that fails leaves
//! what was registered in use.

mod ca_bundle;
mod status;
#[cfg(test)]
pub(super) mod tests;

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;

use super::Context;
use crate::api::runtime::{ExtensionConfig, INJECT_CA_FROM_SECRET};
use crate::client::ObjectKey;
use crate::contract::paused;
use crate::runtime::{
    Controller, DeferredInformer, Informer, Manager, Outcome, Patched, ReconcileError, Reconciler,
    Trigger, patch_object,
};

/// Adds the ExtensionConfig controller with its watches.
pub(super) fn add(manager: &Manager, context: &Arc<Context>) {
    let configs = manager.informer::<ExtensionConfig>();
    let secrets = manager.deferred_informer();
    let trigger = Arc::default();
    let reconciler = Arc::new(ExtensionConfigReconciler {
        context: context.clone(),
        configs: configs.clone(),
        secrets,
        trigger,
    });
    let controller =
        Controller::new("extensionconfig", reconciler.clone()).for_kind(&reconciler.configs);
    // Cannot be set: it is nobody's yet.
    let _ = reconciler.trigger.set(controller.trigger());
    manager.add(controller);
}

struct ExtensionConfigReconciler {
    context: Arc<Context>,
    configs: Informer<ExtensionConfig>,
    /// Metadata of Secrets, watched once an ExtensionConfig takes its authority from one.
    secrets: DeferredInformer<PartialObjectMeta<Secret>>,
    /// The controller's own queue. Set when the controller is made.
    trigger: Arc<std::sync::OnceLock<Trigger>>,
}

impl Reconciler for ExtensionConfigReconciler {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, ReconcileError> {
        let context = &self.context;
        let found = self.configs.get("", &key.name);
        let Some(before) = found.filter(|it| it.metadata.deletion_timestamp.is_none()) else {
            context.extensions.unregister(&key.name);
            return Ok(Outcome::Done);
        };
        context.extensions.set_in_use();
        let now = context.clock.now();
        if paused::is_paused(None, &before.metadata) {
            let mut config = (*before).clone();
            status::set_paused(&mut config, now);
            patch_object(&context.client, &*before, &config).await?;
            if !context.extensions.is_ready() {
                self.register(&config)?;
            }
            return Ok(Outcome::Done);
        }
        let before = self.inject_ca_bundle(before).await?;
        let discovered = context.extensions.discover(&before).await;
        let mut config = (*before).clone();
        status::set_paused(&mut config, now);
        let failure = status::set_discovered(&mut config, discovered, now);
        let patched = patch_object(&context.client, &*before, &config).await?;
        if let Some(failure) = failure {
            return Err(ReconcileError::Other(format!(
                "failed to reconcile ExtensionConfig: failed to discover ExtensionConfig {}: \
                 {failure}",
                key.name
            )));
        }
        let registered = match patched {
            Patched::Unchanged => config,
            Patched::Changed(answer) => answer.decode()?,
        };
        self.register(&registered)?;
        Ok(Outcome::Done)
    }
}

impl ExtensionConfigReconciler {
    fn register(&self, config: &ExtensionConfig) -> Result<(), ReconcileError> {
        let registered = self.context.extensions.register(config);
        registered.map_err(|error| ReconcileError::Other(error.to_string()))
    }

    /// Reconciles the ExtensionConfigs that take their authority from a Secret when it changes.
    fn watch_secrets(&self) {
        let (configs, trigger) = (self.configs.clone(), self.trigger.clone());
        self.secrets.get(move |secrets| {
            secrets.on_change(move |change| {
                let Some(trigger) = trigger.get() else { return };
                let secret = ObjectKey::of(&**change.object()).to_string();
                for config in configs.list() {
                    let annotations = config.metadata.annotations.as_ref();
                    if annotations.and_then(|it| it.get(INJECT_CA_FROM_SECRET)) == Some(&secret) {
                        trigger.enqueue(ObjectKey::of(&*config));
                    }
                }
            });
        });
    }
}
