//! Evaluates the rules of a schema for an object (kubernetes 1.36:
//! apiextensions-apiserver/pkg/apiserver/schema/cel/validation.go).

use std::fmt;

use serde_json::{Map, Value};

use super::Rules;
use super::check::type_name;
use super::compile::{self, Compiled};
use crate::machinery::cel::cost::{CostBudget, RUNTIME_BUDGET};
use crate::machinery::cel::error::{EvalError, EvalErrorKind};
use crate::machinery::cel::json::{self, Shape};
use crate::machinery::cel::program::{Activation, Program};
use crate::machinery::cel::value::Val;
use crate::machinery::schema::{ListType, Node, NodeType, Schema, correlated, is_unchanged};
use crate::machinery::status::Cause;

/// Longest message that an expression may make.
const MESSAGE_MAX: usize = 5 * 1024;

/// What the rules say.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Why the object is refused.
    pub causes: Vec<Cause>,
    /// Texts of `Warning` headers: what is wrong, but was wrong before in the same way.
    pub warnings: Vec<String>,
}

/// Evaluates all rules. `causes` are what the schema has against the object: with some kinds of
/// them rules are not evaluated, and the outcome says so.
pub fn evaluate(schema: &Schema, new: &Value, old: Option<&Value>, causes: &[Cause]) -> Outcome {
    let Some(rules) = schema.rules().get(schema) else { return Outcome::default() };
    if causes.iter().any(is_blocking) {
        let why = "some validation rules were not checked because the object was invalid; correct \
                   the existing errors to complete validation";
        let cause = Cause::invalid("<nil>", &Value::Null, why);
        return Outcome { causes: vec![cause], warnings: Vec::new() };
    }
    let mut walk = Walk { outcome: Outcome::default(), budget: CostBudget::new(RUNTIME_BUDGET) };
    // An exhausted budget has left its cause.
    let _ = walk.node(rules, schema.root(), new, Old { value: old, ancestor: None }, &Path::Root);
    walk.outcome
}

fn is_blocking(cause: &Cause) -> bool {
    matches!(
        cause.reason.as_str(),
        "FieldValueNotSupported"
            | "FieldValueRequired"
            | "FieldValueTooLong"
            | "FieldValueTooMany"
            | "FieldValueTypeInvalid"
    )
}

/// Nothing more is evaluated.
struct Stopped;

struct Walk {
    outcome: Outcome,
    budget: CostBudget,
}

/// What a value was before.
#[derive(Clone, Copy)]
struct Old<'v> {
    /// The value that corresponds to it.
    value: Option<&'v Value>,
    /// The nearest value above that corresponds to another, which it follows.
    ancestor: Option<(Node<'v>, &'v Value, &'v Value)>,
}

impl<'v> Old<'v> {
    fn below(self, node: Node<'v>, new: &'v Value, value: Option<&'v Value>) -> Self {
        match self.value {
            Some(old) => Self { value, ancestor: Some((node, new, old)) },
            None => self,
        }
    }

    /// Whether the value is as it was.
    fn is_unchanged(self, node: Node<'_>, new: &Value) -> bool {
        match (self.value, self.ancestor) {
            (Some(old), _) => is_unchanged(node, new, old),
            (None, Some((node, new, old))) => is_unchanged(node, new, old),
            (None, None) => false,
        }
    }
}

impl Walk {
    fn node<'v>(
        &mut self,
        rules: &Rules,
        node: Node<'v>,
        value: &'v Value,
        old: Old<'v>,
        path: &Path<'_>,
    ) -> Result<(), Stopped> {
        if value.is_null() {
            return Ok(());
        }
        let site = Site { node, value, old, path, is_resource: rules.is_resource };
        self.rules(rules, &site)?;
        match value {
            Value::Array(list) => self.items(rules, &site, list),
            Value::Object(map) => self.fields(rules, &site, map),
            _ => Ok(()),
        }
    }

    fn items<'v>(
        &mut self,
        rules: &Rules,
        site: &Site<'v, '_>,
        list: &'v [Value],
    ) -> Result<(), Stopped> {
        let (Some(below), Some(items)) = (&rules.items, site.node.items()) else { return Ok(()) };
        let old = site.old.value.and_then(Value::as_array);
        let old = old.filter(|_| site.node.list_type() == ListType::Map);
        for (index, item) in list.iter().enumerate() {
            let before = old.and_then(|old| correlated(site.node, old, item, index));
            let before = site.old.below(site.node, site.value, before);
            self.node(below, items, item, before, &Path::Item(site.path, index))?;
        }
        Ok(())
    }

    fn fields<'v>(
        &mut self,
        rules: &Rules,
        site: &Site<'v, '_>,
        map: &'v Map<String, Value>,
    ) -> Result<(), Stopped> {
        let before = |name: &str| {
            let value = site.old.value.and_then(|old| old.get(name));
            site.old.below(site.node, site.value, value)
        };
        if let (Some(below), Some(values)) = (&rules.additional, site.node.additional()) {
            for (key, value) in map {
                self.node(below, values, value, before(key), &Path::Key(site.path, key))?;
            }
        }
        for (name, below) in &rules.properties {
            let (Some(value), Some(child)) = (map.get(&**name), site.node.property(name)) else {
                continue;
            };
            self.node(below, child, value, before(name), &Path::Field(site.path, name))?;
        }
        Ok(())
    }

    /// The rules of one node.
    fn rules(&mut self, rules: &Rules, site: &Site<'_, '_>) -> Result<(), Stopped> {
        let compiled = rules.compiled.get_or_init(|| {
            let declared = compile::declared(site.node, rules.is_resource);
            declared.map_or_else(Vec::new, |declared| compile::compile(site.node, &declared))
        });
        for rule in compiled {
            if self.budget.remaining().is_none_or(|remaining| remaining == 0) {
                return self.out_of_budget(site);
            }
            self.rule(rule, site)?;
        }
        Ok(())
    }

    fn out_of_budget(&mut self, site: &Site<'_, '_>) -> Result<(), Stopped> {
        self.fail(
            site,
            "validation failed due to running out of cost budget, no further validation rules will \
             be run",
        );
        Err(Stopped)
    }

    /// An error of the rule, not of the value.
    fn fail(&mut self, site: &Site<'_, '_>, detail: &str) {
        let shown = Value::from(type_name(site.node));
        self.outcome.causes.push(Cause::invalid(site.path.to_string(), &shown, detail));
    }

    fn rule(&mut self, rule: &Compiled, site: &Site<'_, '_>) -> Result<(), Stopped> {
        let program = match &rule.program {
            None => return Ok(()),
            Some(Ok(program)) => program,
            Some(Err(error)) => {
                self.fail(site, &format!("rule compile error: {error}"));
                return Ok(());
            }
        };
        let old = site.old.value.filter(|old| !old.is_null());
        if rule.uses_old_self && old.is_none() && !rule.optional_old_self {
            return Ok(());
        }
        let result = site
            .activation(rule, old)
            .map(|activation| (program.evaluate(&activation, &mut self.budget), activation));
        let activation = match result {
            Ok((Ok(Val::Bool(true)), _)) => return Ok(()),
            Ok((Ok(_), activation)) => activation,
            Ok((Err(error), _)) | Err(error) => return self.evaluation_error(rule, site, &error),
        };
        let detail = self.detail(rule, site, &activation)?;
        let cause = site.cause(rule, &detail);
        if !rule.uses_old_self && site.old.is_unchanged(site.node, site.value) {
            self.outcome.warnings.push(format!("{}: {}", cause.field, cause.message));
        } else {
            self.outcome.causes.push(cause);
        }
        Ok(())
    }

    fn evaluation_error(
        &mut self,
        rule: &Compiled,
        site: &Site<'_, '_>,
        error: &EvalError,
    ) -> Result<(), Stopped> {
        let shown = rule.shown();
        match error.kind() {
            EvalErrorKind::Budget => return self.out_of_budget(site),
            EvalErrorKind::CallLimit => {
                self.fail(
                    site,
                    &format!(
                        "'{error}': no further validation rules will be run due to call cost \
                         exceeds limit for rule: {shown}"
                    ),
                );
                return Err(Stopped);
            }
            EvalErrorKind::NoSuchOverload => self.fail(
                site,
                &format!(
                    "'{error}': call arguments did not match a supported operator, function or \
                     macro signature for rule: {shown}"
                ),
            ),
            EvalErrorKind::Other => self.fail(site, &format!("{error} evaluating rule: {shown}")),
        }
        Ok(())
    }

    /// What a rule that does not hold says.
    fn detail<'v>(
        &mut self,
        rule: &Compiled,
        site: &Site<'_, '_>,
        activation: &Activation<'v>,
    ) -> Result<String, Stopped> {
        if let Some(Ok(program)) = &rule.message_expression {
            match self.message(program, activation) {
                Ok(Some(message)) => return Ok(message),
                Ok(None) => {}
                Err(error) => {
                    let why = match error.kind() {
                        EvalErrorKind::CallLimit => format!(
                            "no further validation rules will be run due to call cost exceeds limit \
                             for messageExpression: {}",
                            Value::from(&*rule.message_source)
                        ),
                        _ => "messageExpression evaluation failed due to running out of cost \
                              budget, no further validation rules will be run"
                            .to_owned(),
                    };
                    self.fail(site, &why);
                    return Err(Stopped);
                }
            }
        }
        Ok(match rule.message.is_empty() {
            true => format!("failed rule: {}", rule.shown()),
            false => rule.message.trim().to_owned(),
        })
    }

    /// The message that an expression makes; `None` if it is of no use. Errors are of costs only.
    fn message(
        &mut self,
        program: &Program,
        activation: &Activation<'_>,
    ) -> Result<Option<String>, EvalError> {
        let made = match program.evaluate(activation, &mut self.budget) {
            Err(error) if error.is_fatal() => return Err(error),
            made => made.ok(),
        };
        let message = made.as_ref().and_then(Val::as_str).map(str::trim);
        let usable = |message: &&str| {
            !message.is_empty() && message.len() <= MESSAGE_MAX && !message.contains('\n')
        };
        Ok(message.filter(usable).map(str::to_owned))
    }
}

/// A value and where it is.
struct Site<'v, 'p> {
    node: Node<'v>,
    value: &'v Value,
    old: Old<'v>,
    path: &'p Path<'p>,
    is_resource: bool,
}

impl<'v> Site<'v, '_> {
    fn activation(
        &self,
        rule: &Compiled,
        old: Option<&'v Value>,
    ) -> Result<Activation<'v>, EvalError> {
        let shape = match self.is_resource {
            true => Shape::Resource(self.node),
            false => Shape::of(self.node),
        };
        let activation = Activation::new().with("self", json::convert(self.value, shape)?);
        if !rule.uses_old_self {
            return Ok(activation);
        }
        let old = old.map(|old| json::convert(old, shape)).transpose()?;
        Ok(match (old, rule.optional_old_self) {
            (Some(old), true) => activation.with("oldSelf", Val::some(old)),
            (None, true) => activation.with("oldSelf", Val::Optional(None)),
            (Some(old), false) => activation.with("oldSelf", old),
            (None, false) => activation,
        })
    }

    fn cause(&self, rule: &Compiled, detail: &str) -> Cause {
        let field = match rule.field_path.as_str() {
            "" => self.path.to_string(),
            path => Path::Field(self.path, path).to_string(),
        };
        let container = matches!(self.node.node_type(), NodeType::Object | NodeType::Array);
        let named = |reason: &str, message: String| Cause {
            reason: reason.into(),
            message,
            field: field.clone(),
        };
        match rule.reason.as_deref() {
            Some("FieldValueForbidden") => Cause::forbidden(field, detail),
            Some("FieldValueRequired") => Cause::required(field, detail),
            Some("FieldValueDuplicate") if container => {
                named("FieldValueDuplicate", "Duplicate value".to_owned())
            }
            Some("FieldValueDuplicate") => Cause::duplicate(field, self.value),
            _ if container => named("FieldValueInvalid", format!("Invalid value: {detail}")),
            _ => Cause::invalid(field, self.value, detail),
        }
    }
}

/// A path in the form of field errors.
enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Key(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("<nil>"),
            Self::Field(Path::Root, name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Key(Path::Root, key) => write!(f, "[{key}]"),
            Self::Key(parent, key) => write!(f, "{parent}[{key}]"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}
