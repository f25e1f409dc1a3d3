//! The Cluster API kinds as reconcilers see them: typed, only what they read or write.
//!
//! The structs may lag behind the served schema without losing data, because reconcilers PATCH.

#[macro_use]
mod resource;
pub mod bootstrap;
pub mod conditions;
pub mod controlplane;
pub mod core;
pub mod definitions;
pub mod infrastructure;
pub mod strategy;
