//! The compact text form in which capim carries the schemas and names of the kinds it serves.
//!
//! A table is made by `examples/generate-tables.rs`, is meant to be read in a diff, and is parsed
//! when the program starts. It has blocks that begin at the left margin, each followed by lines
//! that are indented by one space a level:
//!
//! ```text
//! shape io.k8s.api.core.v1.ContainerPort      a named OpenAPI component
//!  = object                                   its root node: type and facts
//!   .containerPort* integer format=int32      a property; * means required
//!   .labels object
//!    {} string                                values of a map
//!   .items array list=map keys=["name"]
//!    [] &io.k8s.api.core.v1.Container         items of a list; & refers to a shape or part
//! part Machine.spec.bootstrap                 a subtree that is used more than once, unnamed
//! kind apps v1 Deployment deployments deployment Namespaced
//!  short deploy
//!  status
//!  scale spec.replicas status.replicas spec.selector
//!  = &io.k8s.api.apps.v1.Deployment
//! messages                                    the rest: protobuf messages, see `messages`
//! ```
//!
//! Facts are `keyword=value`, where the value is a bare word or JSON; a keyword alone is true.
//! Branches are `|allOf`, `|anyOf`, `|oneOf` and `!` (not). Parts stand before their first use.

pub mod messages;
mod parser;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use super::definition::{Origin, ResourceDefinition};
use super::schema::Schema;

/// A parsed table.
#[derive(Debug)]
pub struct Table {
    /// Kinds in the order of the table.
    pub definitions: Vec<ResourceDefinition>,
    /// Named shapes by OpenAPI component name.
    pub shapes: HashMap<Box<str>, Schema>,
    /// Text of the protobuf messages, for `messages::parse`; empty if the table has none.
    pub messages: &'static str,
}

/// A line that a table may not have.
#[derive(Debug, thiserror::Error)]
#[error("line {line} of the table: {problem}: `{text}`")]
pub struct TableError {
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: &'static str,
    /// The line.
    pub text: String,
}

/// Short names of OpenAPI keywords in tables.
pub const KEYWORDS: [(&str, &str); 28] = [
    ("additional", "additionalProperties"),
    ("default", "default"),
    ("description", "description"),
    ("embedded", "x-kubernetes-embedded-resource"),
    ("enum", "enum"),
    ("format", "format"),
    ("keys", "x-kubernetes-list-map-keys"),
    ("list", "x-kubernetes-list-type"),
    ("map", "x-kubernetes-map-type"),
    ("max", "maximum"),
    ("max-items", "maxItems"),
    ("max-length", "maxLength"),
    ("max-properties", "maxProperties"),
    ("merge-key", "x-kubernetes-patch-merge-key"),
    ("min", "minimum"),
    ("min-items", "minItems"),
    ("min-length", "minLength"),
    ("min-properties", "minProperties"),
    ("multiple-of", "multipleOf"),
    ("nullable", "nullable"),
    ("over", "exclusiveMinimum"),
    ("patch", "x-kubernetes-patch-strategy"),
    ("pattern", "pattern"),
    ("preserve", "x-kubernetes-preserve-unknown-fields"),
    ("required", "required"),
    ("rules", "x-kubernetes-validations"),
    ("under", "exclusiveMaximum"),
    ("unique", "uniqueItems"),
];

/// Parses a table; its kinds get `origin` and no strategy.
pub fn parse(text: &'static str, origin: Origin) -> Result<Table, TableError> {
    parser::parse(text, origin)
}
