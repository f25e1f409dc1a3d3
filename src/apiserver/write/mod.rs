//! The verbs that write: decode, default, prune, validate, own, commit.
//!
//! Objects are trees only here. A stored object is parsed once a write, changed, encoded once, and
//! compared with what is stored: a write that changes nothing stores nothing. Commits expect the
//! revision that was read and start over when another write came between.

mod admission;
mod among;
mod binding;
mod collection;
mod commit;
mod create;
mod custom;
mod delete;
mod encode;
mod eviction;
mod generation;
mod graceful;
mod guard;
mod kinds;
mod metadata;
mod misfit;
mod ownership;
mod patch;
mod pipeline;
mod template;
mod update;

pub(super) use binding::{bind, is_bindings};
pub(super) use collection::delete_collection;
pub(super) use create::{Owner, create};
pub(super) use delete::delete;
pub(super) use encode::{decode, encode};
pub(super) use eviction::evict;
pub(super) use generation::is_kept as has_generation;
pub(super) use patch::{PatchBody, check_force, patch};
pub(super) use pipeline::{Target, Write, settle};
pub use template::Template;
pub(super) use update::{check_name, update};
