//! Admission: what looks at a request before it is stored, beyond the kind's own rules.
//!
//! A write passes two steps. [`Chain::admit`] may change the object: the server's own plug-ins in
//! kube-apiserver's order, then mutating webhooks; if one of them changed something, plug-ins run
//! again, and those webhooks that ask for it. After the kind's rules have accepted the outcome,
//! [`Chain::approve`] may only refuse: plug-ins, validating policies, validating webhooks. A write
//! that starts over after a conflict passes both steps again.
//!
//! Webhook configurations and policies are compiled when they are written ([`Snapshot`]); a server
//! without any pays for a look at an empty pointer. They are never asked about themselves, so
//! that nobody can lock himself out. (kubernetes 1.36: apiserver/pkg/admission,
//! pkg/kubeapiserver/options/plugins.go)

mod attributes;
mod chain;
mod conditions;
mod configuration;
pub(crate) mod expressions;
mod inputs;
mod native;
mod plugins;
mod policies;
mod replaced;
mod request;
mod rules;
mod service_ip;
mod snapshot;
pub(crate) mod subresources;
#[cfg(test)]
mod tests;
mod versions;
mod webhooks;

pub(crate) use attributes::Operation;
pub(crate) use chain::Chain;
pub use plugins::AdmissionPlugins;
pub(crate) use replaced::{are_checks_replaced, are_defaults_replaced};
pub(crate) use service_ip::Reservation;
pub use service_ip::ServiceRange;
pub(crate) use snapshot::{Admission, is_configuration};
