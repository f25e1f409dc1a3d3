//! Variables of ClusterClasses and their values in Clusters: checks and defaults.
//! (CAPI v1.14: internal/topology/variables)
//!
//! Pure: definitions and values go in, causes with upstream's wording and paths come out. Values of
//! variables are checked as values of custom resources are.

mod cluster;
mod definitions;
mod schema;
mod values;

#[cfg(test)]
mod tests;

pub use cluster::{default_all, default_and_validate};
pub use definitions::validate_definitions;
pub(crate) use definitions::validate_metadata;
pub use values::{
    default_overrides, default_values, validate_overrides, validate_value, validate_values,
};

/// Name of the variable that is always there and cannot be defined.
pub const BUILTIN: &str = "builtin";
