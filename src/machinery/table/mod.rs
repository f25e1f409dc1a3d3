//! Server-side Tables (`meta.k8s.io` Table): what `kubectl get` shows.
//!
//! A [`Printer`] is compiled once per resource and writes rows straight into a byte buffer: an
//! object is parsed once for its cells, its metadata is copied from the encoded object. Cells
//! carry ages as kubectl prints them, so a Table is only right at the moment it is made.

mod builtin;
mod core_columns;
mod further_columns;
mod group_columns;
mod printers;
mod render;
#[cfg(test)]
mod tests;

pub use render::{
    Headers, IncludeObject, ListMeta, Options, Printer, builtin_columns, default_columns,
};
