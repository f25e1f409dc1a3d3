//! The Cluster API kinds as reconcilers see them: typed, only what they read or write.
//!
//! The structs may lag behind the served schema without losing data, because reconcilers PATCH.

#[macro_use]
mod resource;
mod additions;
pub mod addons;
pub mod bootstrap;
pub mod conditions;
pub mod controlplane;
pub mod conversion;
pub mod core;
pub mod definitions;
pub mod drain;
pub mod health_check;
pub mod infrastructure;
pub mod pools;
pub mod replicas;
pub mod runtime;
pub mod strategy;
pub mod topology;
