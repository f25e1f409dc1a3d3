//! Pod specs, in pods and in the templates of the kinds that make them.
//! (kubernetes 1.36: pkg/apis/core/v1/defaults.go, pkg/apis/core/validation)

pub(super) mod annotations;
pub(super) mod claims;
pub(super) mod containers;
mod defaults;
mod dns;
mod env;
mod mounts;
mod owner;
mod paths;
pub(super) mod pod_resources;
mod probes;
mod projected;
mod restarts;
pub(super) mod scheduling;
mod security;
mod spec;
pub(super) mod volume_sources;
mod volumes;
pub(super) mod warnings;
mod windows;

#[cfg(test)]
mod tests;

pub(super) use defaults::{default_pod_spec, template_owner};
pub(super) use owner::{Owner, containers_of};
pub(super) use spec::{pod_spec, template, template_metadata};
