//! The provider reconcilers, one folder a provider. Providers never import each other.

pub mod addons;
pub mod bootstrap;
pub mod connections;
pub mod controlplane;
pub mod core;
pub mod infrastructure;
mod selection;

pub use selection::{Provider, Selection};
