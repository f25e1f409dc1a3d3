//! Native conversion of Cluster API's kinds between the versions that are served.
//!
//! Every kind is stored in its hub version (v1beta2); the others (v1beta1, v1alpha1) are spokes,
//! each of which is converted to and from the hub. Conversions work in place on JSON trees: what
//! both versions call the same stays where it is. What a spoke cannot say is kept in the annotation
//! `cluster.x-k8s.io/conversion-data`, as upstream does, so that a client of the old version that
//! reads and writes an object loses nothing of the new one.
//! (CAPI v1.14: api/**/conversion.go, */webhooks/conversion)

mod addons;
mod clusterclass;
mod controlplane;
mod convert;
mod core;
mod fields;
mod infrastructure;
mod ipam;
mod kubeadm;
mod machines;
mod rules;
mod runtime;
mod status;
mod topology;
mod values;
mod zeros;

#[cfg(test)]
mod tests;

pub use convert::{convert, of};
pub use rules::around;
