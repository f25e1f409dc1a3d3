//! The authority of an extension, taken from a Secret as cert-manager would.
//! (CAPI v1.14: core/reconcilers/extensionconfig/extensionconfig_controller.go, reconcileCABundle)

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;

use super::ExtensionConfigReconciler;
use crate::api::runtime::{ExtensionConfig, INJECT_CA_FROM_SECRET};
use crate::client::ObjectKey;
use crate::machinery::status::quote;
use crate::runtime::{Patched, ReconcileError, patch_object};

/// Key of a Secret's certificate authority.
const AUTHORITY: &str = "ca.crt";

impl ExtensionConfigReconciler {
    /// Writes the authority that the annotation names, if it is another one, and returns the
    /// ExtensionConfig as it then is: conditions speak of the generation after.
    ///
    /// # Errors
    /// There is no such Secret, or nothing in it.
    pub(super) async fn inject_ca_bundle(
        &self,
        before: Arc<ExtensionConfig>,
    ) -> Result<Arc<ExtensionConfig>, ReconcileError> {
        let annotations = before.metadata.annotations.as_ref();
        let Some(source) = annotations.and_then(|it| it.get(INJECT_CA_FROM_SECRET)) else {
            return Ok(before);
        };
        self.watch_secrets();
        let ca_bundle = self.authority(source).await.map_err(|why| {
            ReconcileError::Other(format!(
                "failed to reconcile ExtensionConfig: failed to reconcile caBundle: {why}"
            ))
        })?;
        if before.spec.client_config.ca_bundle == ca_bundle {
            return Ok(before);
        }
        let mut config = (*before).clone();
        config.spec.client_config.ca_bundle = ca_bundle;
        match patch_object(&self.context.client, &*before, &config).await? {
            Patched::Unchanged => Ok(before),
            Patched::Changed(answer) => Ok(Arc::new(answer.decode()?)),
        }
    }

    /// The authority in a Secret, in base64.
    async fn authority(&self, source: &str) -> Result<String, String> {
        let (namespace, name) = source.split_once('/').unwrap_or(("", source));
        let quoted = quote(source);
        if namespace.is_empty() || name.is_empty() {
            return Err(format!("secret name {quoted} must be in the form <namespace>/<name>"));
        }
        let key = ObjectKey::new(namespace, name);
        let failed = |why: String| format!("failed to get secret {quoted}: {why}");
        let secret = self.context.client.get::<Secret>(&key).await;
        let secret = secret
            .map_err(|error| failed(error.to_string()))?
            .ok_or_else(|| failed(format!("secrets {} not found", quote(name))))?;
        let data = secret.data.unwrap_or_default();
        let authority = data.get(AUTHORITY).ok_or_else(|| {
            format!("secret {source} does not contain a {} entry", quote(AUTHORITY))
        })?;
        Ok(STANDARD.encode(&authority.0))
    }
}
