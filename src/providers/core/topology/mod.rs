//! Managed topologies: Clusters that are made from a class. (CAPI v1.14:
//! core/reconcilers/topology)
//!
//! [`engine`] makes one pass over a Cluster: class and templates ([`blueprint`]), what exists
//! ([`current`]), what shall exist ([`desired`], with the class's [`patches`]), and the difference
//! ([`state`]), by server-side apply as `capi-topology`. [`controller`] runs it when something has
//! changed that it depends on. [`templates`] deletes templates that no workers use any more.

mod apply;
mod blueprint;
mod controller;
mod current;
mod desired;
mod engine;
mod events;
mod extensions;
pub(crate) mod hooks;
mod kinds;
mod labels;
mod names;
pub mod patches;
pub(crate) mod preview;
mod references;
mod scope;
mod shim;
mod state;
mod status;
mod templates;
mod tracker;
mod tree;
mod upgrade_plan;
mod version;
mod workers;

pub(crate) use blueprint::template_refs;
pub(super) use controller::{TEMPLATE as CLASS_TEMPLATE, add};
