//! Rules of CustomResourceDefinitions: `x-kubernetes-validations` (kubernetes 1.36:
//! apiextensions-apiserver/pkg/apiserver/schema/cel).
//!
//! A schema's rules are found once and compiled when they are first evaluated; a schema without
//! rules costs a look at a flag. `check` compiles all rules of a definition and says what is wrong.

mod check;
mod compile;
mod evaluate;
mod field_path;

#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use crate::machinery::schema::{Node, Schema};

pub use check::check;
pub use evaluate::{Outcome, evaluate};

use compile::Compiled;

/// Where a schema keeps what was found of its rules.
#[derive(Debug, Default)]
pub struct RuleCell(OnceLock<Option<Box<Rules>>>);

/// The rules of a node and below it. Nodes without any are not there.
#[derive(Debug)]
struct Rules {
    compiled: OnceLock<Vec<Compiled>>,
    is_resource: bool,
    properties: Vec<(Box<str>, Rules)>,
    items: Option<Box<Rules>>,
    additional: Option<Box<Rules>>,
}

/// Deepest schema that is looked at; definitions cannot be larger than a request.
const DEPTH_MAX: u32 = 256;

impl RuleCell {
    fn get(&self, schema: &Schema) -> Option<&Rules> {
        self.0.get_or_init(|| find(schema.root(), true, DEPTH_MAX).map(Box::new)).as_deref()
    }
}

fn find(node: Node<'_>, is_resource: bool, depth: u32) -> Option<Rules> {
    let depth = depth.checked_sub(1)?;
    let below = |node: Node<'_>| find(node, node.is_embedded_resource(), depth);
    let properties: Vec<(Box<str>, Rules)> =
        node.properties().filter_map(|(name, child)| Some((name.into(), below(child)?))).collect();
    let items = node.items().and_then(below).map(Box::new);
    let additional = node.additional().and_then(below).map(Box::new);
    let own = node.validations().and_then(|rules| rules.as_array()).is_some_and(|r| !r.is_empty());
    let any = own || !properties.is_empty() || items.is_some() || additional.is_some();
    any.then(|| Rules { compiled: OnceLock::new(), is_resource, properties, items, additional })
}
