//! The pure, synchronous part of a Kubernetes API: what an object, a selector, a patch, a schema
//! and an error are. No I/O, no clock.

pub mod builtin;
pub mod cel;
pub mod corefile;
pub mod crd;
pub mod definition;
pub mod duration;
pub mod envsubst;
pub mod field_path;
#[cfg(test)]
mod fuzz_tests;
pub mod gotemplate;
pub mod gvk;
pub mod jsonpath;
pub mod kubeadm;
pub mod managed_fields;
pub mod meta;
mod moment;
pub mod name_template;
pub mod names;
pub mod nearest;
pub mod omitted;
pub mod openapi;
pub mod patch;
pub mod printable;
pub mod protobuf;
pub mod quantity;
#[cfg(test)]
pub(crate) mod random_tests;
pub mod schema;
pub mod selector;
#[cfg(test)]
mod selector_model_tests;
pub mod semver;
pub mod spdy;
pub mod status;
pub mod table;
pub mod tables;
pub mod yaml;
pub mod yaml_position;
pub mod zeros;
