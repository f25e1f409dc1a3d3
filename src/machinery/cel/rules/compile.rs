//! Compiles the rules of one node (kubernetes 1.36:
//! apiextensions-apiserver/pkg/apiserver/schema/cel/compilation.go).

use std::sync::Arc;

use serde_json::Value;

use super::field_path;
use crate::machinery::cel::declared::Declared;
use crate::machinery::cel::environment::Environment;
use crate::machinery::cel::program::Program;
use crate::machinery::cel::types::Type;
use crate::machinery::schema::Node;

/// A rule with its programs.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) rule: Box<str>,
    pub(super) message: Box<str>,
    pub(super) message_source: Box<str>,
    pub(super) reason: Option<Box<str>>,
    /// Normalised; empty for the node itself.
    pub(super) field_path: String,
    pub(super) optional_old_self: bool,
    /// `None` for an empty rule.
    pub(super) program: Option<Result<Program, String>>,
    pub(super) message_expression: Option<Result<Program, String>>,
    pub(super) uses_old_self: bool,
}

impl Compiled {
    /// What errors call the rule.
    pub(super) fn shown(&self) -> &str {
        if self.message.is_empty() { self.rule.trim() } else { self.message.trim() }
    }
}

/// The declared type of a node's values; `None` if rules cannot see them.
pub(super) fn declared(node: Node<'_>, is_resource: bool) -> Option<Arc<Declared>> {
    // Upstream's name has the time in it, so that nobody relies on it.
    Declared::of(node, is_resource, "selfType")
}

/// All rules of a node, in their order.
pub(super) fn compile(node: Node<'_>, declared: &Arc<Declared>) -> Vec<Compiled> {
    let rules = node.validations().and_then(Value::as_array);
    rules.into_iter().flatten().map(|rule| compile_rule(node, declared, rule)).collect()
}

fn compile_rule(node: Node<'_>, declared: &Arc<Declared>, rule: &Value) -> Compiled {
    let text = |name: &str| rule.get(name).and_then(Value::as_str).unwrap_or_default();
    let optional = rule.get("optionalOldSelf") == Some(&Value::Bool(true));
    let environment = Environment::new().with_declared("self", declared);
    let environment = match optional {
        true => environment.with_optional("oldSelf", declared),
        false => environment.with_declared("oldSelf", declared),
    };
    let program = (!text("rule").trim().is_empty())
        .then(|| typed(&environment, text("rule"), Type::Bool, ["", "cel expression", "bool"]));
    let uses_old_self = matches!(&program, Some(Ok(program)) if program.refers_to("oldSelf"));
    let message = text("messageExpression");
    let message_expression = (!message.is_empty() && matches!(program, Some(Ok(_)))).then(|| {
        let words = ["messageExpression ", "messageExpression", "string"];
        typed(&environment, message, Type::String, words)
    });
    Compiled {
        rule: text("rule").into(),
        message: text("message").into(),
        message_source: message.into(),
        reason: rule.get("reason").and_then(Value::as_str).map(Into::into),
        field_path: field_path::normalise(text("fieldPath"), node).unwrap_or_default(),
        optional_old_self: optional,
        program,
        message_expression,
        uses_old_self,
    }
}

fn typed(
    environment: &Environment,
    source: &str,
    wanted: Type,
    [prefix, noun, kind]: [&str; 3],
) -> Result<Program, String> {
    let program = Program::compile(environment, source).map_err(|error| match error.0 {
        // Such an error is none of compilation.
        text if text.starts_with("program instantiation failed") => text,
        text => format!("{prefix}compilation failed: {text}"),
    })?;
    if *program.output_type() != wanted {
        let article = if kind == "bool" { "a bool" } else { "a string" };
        return Err(format!("{noun} must evaluate to {article}"));
    }
    Ok(program)
}
