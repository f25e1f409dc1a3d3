//! An API server for programs and tests: a port, certificates, a kubeconfig and a ready client.
//!
//! [`ControlPlane::start`] is all that a test needs:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use capim::embed::ControlPlane;
//! use k8s_openapi::api::core::v1::Namespace;
//! use kube::Api;
//!
//! let control_plane = ControlPlane::start().await?;
//! let namespaces: Api<Namespace> = Api::all(control_plane.client());
//! assert_eq!(namespaces.get("default").await?.metadata.name.as_deref(), Some("default"));
//! control_plane.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! The client speaks to the engine without a socket. Other programs (kubectl, a controller in
//! another language) take the [`kubeconfig`](ControlPlane::kubeconfig). Everything that was started
//! ends with [`ControlPlane::stop`], or when the value is dropped; nothing is written to disk.

mod control_plane;
mod credentials;
#[cfg(test)]
mod tests;

pub use control_plane::{Builder, ControlPlane, EmbedError};
pub use credentials::{Credentials, KeptCredentials};

pub use crate::apiserver::{
    Access, AdmissionPlugins, AuthorizationMode, ServiceRange, StaticToken,
};
pub use crate::pki::{CertifiedKey, PublicKey, SigningKey, generate_key_pem};

/// Kubernetes version that API servers report.
pub const KUBERNETES_VERSION: &str = "v1.36.1";
