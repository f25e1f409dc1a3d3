//! What is wrong with the rules of a definition (kubernetes 1.36:
//! apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go, cel_validation.go).

use std::sync::Arc;

use serde_json::{Value, json};

use super::compile::{self, Compiled};
use crate::machinery::cel::declared::Declared;
use crate::machinery::schema::{ListType, Node, NodeType, Schema};
use crate::machinery::status::Cause;

/// Most that one expression may cost, for all values it is evaluated for.
const RULE_COST_MAX: u64 = 10_000_000;
/// Most that all expressions of a schema may cost together.
const TOTAL_COST_MAX: u64 = 100_000_000;
/// How many expensive rules are named.
const EXPENSIVE_MAX: usize = 4;

/// Compiles all rules of a schema whose structure is right. Causes have paths below `prefix`.
pub fn check(schema: &Schema, prefix: &str) -> Vec<Cause> {
    let mut checker = Checker { causes: Vec::new(), total: 0, expensive: Vec::new() };
    let place = Place { path: prefix.to_owned(), cardinality: Some(1), uncorrelatable: None };
    checker.node(schema.root(), &place, true);
    let Checker { mut causes, total, expensive } = checker;
    if total > TOTAL_COST_MAX {
        let contributed = "contributed to estimated rule cost total exceeding cost limit for \
                           entire OpenAPIv3 schema";
        causes.extend(expensive.into_iter().map(|(_, path)| Cause::forbidden(path, contributed)));
        let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        causes.push(Cause::forbidden(prefix, &too_expensive(what, total, TOTAL_COST_MAX)));
    }
    causes
}

/// Where a node is.
struct Place {
    path: String,
    /// How many values there may be; `None` if nothing bounds them.
    cardinality: Option<u64>,
    /// The list above whose items cannot be told from each other.
    uncorrelatable: Option<String>,
}

impl Place {
    fn below(&self, step: &str, count: Option<u64>) -> Self {
        let product = |cardinality: u64| count.map(|count| cardinality.saturating_mul(count));
        Self {
            path: format!("{}.{step}", self.path),
            cardinality: self.cardinality.and_then(product),
            uncorrelatable: self.uncorrelatable.clone(),
        }
    }
}

struct Checker {
    causes: Vec<Cause>,
    total: u64,
    /// The most expensive rules, the worst first.
    expensive: Vec<(u64, String)>,
}

impl Checker {
    fn node(&mut self, node: Node<'_>, place: &Place, is_resource: bool) {
        let bounds = node.bounds();
        if let Some(child) = node.additional() {
            let below = place.below("additionalProperties", bounds.max_properties);
            self.node(child, &below, child.is_embedded_resource());
        }
        for (name, child) in node.properties() {
            let below = place.below(&format!("properties[{name}]"), Some(1));
            self.node(child, &below, child.is_embedded_resource());
        }
        if let Some(child) = node.items() {
            let mut below = place.below("items", bounds.max_items);
            if node.list_type() != ListType::Map {
                below.uncorrelatable = Some(place.path.clone());
            }
            self.node(child, &below, child.is_embedded_resource());
        }
        let Some(rules) = node.validations().and_then(Value::as_array) else { return };
        if !rules.is_empty() {
            self.rules(node, place, rules, is_resource);
        }
    }

    fn rules(&mut self, node: Node<'_>, place: &Place, rules: &[Value], is_resource: bool) {
        let at = |number: usize, name: &str| {
            format!("{}.x-kubernetes-validations[{number}].{name}", place.path)
        };
        let Some(declared) = compile::declared(node, is_resource) else {
            self.causes.push(Cause {
                reason: "InternalError".into(),
                message:
                    "Internal error: internal error: failed to construct type information for \
                          x-kubernetes-validations rules: unable to convert structural schema to \
                          CEL declarations"
                        .into(),
                field: format!("{}.x-kubernetes-validations", place.path),
            });
            return;
        };
        for (number, compiled) in compile::compile(node, &declared).into_iter().enumerate() {
            let rule = &rules[number];
            self.expression(rule, &compiled, &declared, place, |name| at(number, name));
            if let (Some(list), true) = (&place.uncorrelatable, compiled.uses_old_self) {
                let why = format!(
                    "oldSelf cannot be used on the uncorrelatable portion of the schema within {list}"
                );
                let cause = Cause::invalid(at(number, "rule"), &rule["rule"], &why);
                self.causes.push(cause);
            } else if !compiled.uses_old_self
                && let Some(optional) = rule.get("optionalOldSelf")
            {
                let why = "may not be set if oldSelf is not used in rule";
                self.causes.push(Cause::invalid(at(number, "optionalOldSelf"), optional, why));
            }
        }
    }

    fn expression(
        &mut self,
        rule: &Value,
        compiled: &Compiled,
        declared: &Arc<Declared>,
        place: &Place,
        at: impl Fn(&str) -> String,
    ) {
        let count = place.cardinality.unwrap_or_else(|| declared.cardinality_max());
        match &compiled.program {
            Some(Ok(program)) => {
                let cost = program.cost_max().saturating_mul(count);
                self.cost("estimated rule cost", cost, at("rule"));
            }
            Some(Err(detail)) => self.causes.push(invalid(at("rule"), rule, detail)),
            None => {}
        }
        match &compiled.message_expression {
            Some(Ok(program)) => {
                let what = "estimated messageExpression cost";
                self.cost(what, program.cost_max(), at("messageExpression"));
            }
            Some(Err(detail)) => self.causes.push(invalid(at("messageExpression"), rule, detail)),
            None => {}
        }
    }

    fn cost(&mut self, what: &str, cost: u64, path: String) {
        if cost > RULE_COST_MAX {
            let message = too_expensive(what, cost, RULE_COST_MAX);
            self.causes.push(Cause::forbidden(path.clone(), &message));
        }
        self.total = self.total.saturating_add(cost);
        if cost >= TOTAL_COST_MAX / 100 {
            self.expensive.push((cost, path));
            self.expensive.sort_by_key(|(cost, _)| std::cmp::Reverse(*cost));
            self.expensive.truncate(EXPENSIVE_MAX);
        }
    }
}

/// An error that shows the rule as Go shows its struct.
fn invalid(field: String, rule: &Value, detail: &str) -> Cause {
    let text = |name: &str| rule.get(name).and_then(Value::as_str).unwrap_or_default();
    let or_null = |name: &str| rule.get(name).unwrap_or(&Value::Null).to_string();
    let quoted = |name: &str| json!(text(name)).to_string();
    let shown = format!(
        "{{\"Rule\":{},\"Message\":{},\"MessageExpression\":{},\"Reason\":{},\"FieldPath\":{},\
         \"OptionalOldSelf\":{}}}",
        quoted("rule"),
        quoted("message"),
        quoted("messageExpression"),
        or_null("reason"),
        quoted("fieldPath"),
        or_null("optionalOldSelf"),
    );
    let shown = shown.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    let message = format!("Invalid value: {shown}: {detail}");
    Cause { reason: "FieldValueInvalid".into(), message, field }
}

fn too_expensive(what: &str, cost: u64, limit: u64) -> String {
    let factor = cost as f64 / limit as f64;
    let factor = match factor {
        factor if factor > 100.0 => "more than 100x".to_owned(),
        factor if factor < 1.5 => format!("{factor:.6}x"),
        factor => format!("{factor:.1}x"),
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, \
         maxProperties, and maxLength where arrays, maps, and strings are declared)"
    )
}

/// The name of a node's type in OpenAPI.
pub(super) fn type_name(node: Node<'_>) -> &'static str {
    match node.node_type() {
        NodeType::Any | NodeType::IntOrString => "",
        NodeType::Object => "object",
        NodeType::Array => "array",
        NodeType::String => "string",
        NodeType::Integer => "integer",
        NodeType::Number => "number",
        NodeType::Boolean => "boolean",
    }
}
