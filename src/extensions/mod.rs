//! The Runtime SDK: calls from Cluster API's controllers to runtime extensions.
//! (CAPI v1.14: internal/runtime, exp/runtime, api/runtime/hooks/v1alpha1)
//!
//! [`Extensions`] is the one handle: it knows the handlers that ExtensionConfigs have announced
//! (the core provider registers them), asks them by HTTPS and puts their answers together. Errors
//! have upstream's texts, because conditions show them. While there is no ExtensionConfig, a
//! question costs the look at an empty map: requests are made only for handlers that exist.
//!
//! `hook` is the catalog, `registry` who handles what, `call` one exchange, `discovery` the call
//! that asks a server what it handles, `pending` the annotation that remembers hooks, `remembered`
//! what needs not be asked again, `documents` the parts of requests and responses. Documents have
//! one version, so nothing is converted.

mod call;
mod discovery;
pub mod documents;
mod handle;
mod hook;
pub mod pending;
mod registry;
mod remembered;

#[cfg(test)]
pub(crate) mod test_extension;
#[cfg(test)]
mod tests;

pub use call::Response;
pub use handle::{ExtensionError, Extensions, Request};
pub use hook::Hook;
