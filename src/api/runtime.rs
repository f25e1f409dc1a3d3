//! `runtime.cluster.x-k8s.io/v1beta2`.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::conditions::{Condition, Deprecated, is_absent};

/// Annotation: `NAMESPACE/NAME` of the Secret whose `ca.crt` becomes `spec.clientConfig.caBundle`.
pub const INJECT_CA_FROM_SECRET: &str = "runtime.cluster.x-k8s.io/inject-ca-from-secret";
/// Annotation: hooks that are to be called once an operation has ended, separated by commas.
pub const PENDING_HOOKS: &str = "runtime.cluster.x-k8s.io/pending-hooks";
/// Annotation: nothing holds the deletion of a Cluster with a managed topology any longer.
pub const OK_TO_DELETE: &str = "runtime.cluster.x-k8s.io/ok-to-delete";

/// A server that implements hooks of the Runtime SDK.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExtensionConfig {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// Desired state.
    pub spec: ExtensionConfigSpec,
    /// Observed state.
    #[serde(skip_serializing_if = "is_absent")]
    pub status: Option<ExtensionConfigStatus>,
}

cluster_kind!(ExtensionConfig, "runtime.cluster.x-k8s.io", "v1beta2", "extensionconfigs");

api_struct! {
    /// Desired state of an ExtensionConfig.
    ExtensionConfigSpec {
        /// Where the server is.
        client_config: ExtensionClientConfig,
        /// Namespaces whose objects it is called for.
        namespace_selector: Option<LabelSelector>,
        /// What every request carries along.
        settings: BTreeMap<String, String>,
    }
}
api_struct! {
    /// Where an extension is: a URL or a Service.
    ExtensionClientConfig {
        /// `https://HOST[:PORT][/PATH]`.
        url: String,
        /// A Service.
        service: Option<ExtensionService>,
        /// PEM in base64; the system's roots if it is absent.
        ca_bundle: String,
    }
}
api_struct! {
    /// A Service.
    ExtensionService {
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
        /// Path in front of the hooks' own.
        path: String,
        /// Port, 443 by default.
        port: Option<i32>,
    }
}
api_struct! {
    /// Observed state of an ExtensionConfig.
    ExtensionConfigStatus {
        /// metav1 conditions.
        conditions: Vec<Condition>,
        /// What the server said that it handles.
        handlers: Vec<ExtensionHandler>,
        /// The v1beta1 conditions.
        deprecated: Option<Deprecated>,
    }
}
api_struct! {
    /// One handler.
    ExtensionHandler {
        /// `HANDLER.EXTENSIONCONFIG`.
        name: String,
        /// What it handles.
        request_hook: GroupVersionHook,
        /// Time that a call may take.
        timeout_seconds: Option<i32>,
        /// `Fail` or `Ignore`: what becomes of calls that fail.
        failure_policy: String,
    }
}
api_struct! {
    /// A hook and the version of its documents.
    GroupVersionHook {
        /// `hooks.runtime.cluster.x-k8s.io/v1alpha1`.
        api_version: String,
        /// Name of the hook.
        hook: String,
    }
}
