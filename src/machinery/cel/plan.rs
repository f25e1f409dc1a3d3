//! From a checked expression to steps that are quick to run: names become slots, calls become
//! functions, what is constant is computed once. Costs are attached as cel-go counts them
//! (cel-go: interpreter/planner.go, optimizations.go, runtimecost.go).

use std::sync::Arc;

use super::ast::{ACCUMULATOR, Comprehension, Expr, Kind, operator};
use super::checker::Checked;
use super::cost::CostRule;
use super::environment::Environment;
use super::error::EvalError;
use super::functions::{self, Builtin};
use super::value::{Entries, Key, Val};

/// One step of a program.
pub(super) enum Step {
    Constant(Val<'static>),
    /// A variable of the environment.
    Variable(Arc<str>),
    /// A field of the lazy variable.
    Lazy(Arc<str>),
    /// A local variable.
    Local(usize),
    /// The accumulator, moved out, so that it can be changed in place.
    TakeLocal(usize),
    Select {
        operand: Box<Step>,
        key: Key<'static>,
        optional: bool,
    },
    Test {
        operand: Box<Step>,
        key: Key<'static>,
    },
    Index {
        operand: Box<Step>,
        index: Box<Step>,
        optional: bool,
    },
    And(Box<(Step, Step)>),
    Or(Box<(Step, Step)>),
    Conditional(Box<(Step, Step, Step)>),
    /// `or` and `orValue` of optionals.
    OptionalOr {
        parts: Box<(Step, Step)>,
        unwrap: bool,
    },
    NotStrictlyFalse(Box<Step>),
    Equal {
        parts: Box<(Step, Step)>,
        negated: bool,
        cost: CostRule,
    },
    /// `in` with a list of constants.
    InConstants {
        value: Box<Step>,
        constants: Val<'static>,
    },
    Call {
        function: Builtin,
        name: &'static str,
        cost: CostRule,
        args: Box<[Step]>,
    },
    List {
        elements: Box<[(Step, bool)]>,
    },
    Map {
        entries: Box<[(Step, Step, bool)]>,
    },
    Fold(Box<Fold>),
    /// Costs something besides what is inside.
    Charged(u64, Box<Step>),
}

/// A fold. Its variables are the slots from `base`: accumulator, first, second.
pub(super) struct Fold {
    pub(super) range: Step,
    pub(super) init: Step,
    pub(super) condition: Step,
    pub(super) step: Step,
    pub(super) result: Step,
    pub(super) two_variables: bool,
}

/// Plans an expression. An error is one of a constant part that has no value.
pub(super) fn plan(
    environment: &Environment,
    checked: &Checked,
    expression: &Expr,
) -> Result<Step, EvalError> {
    let mut planner = Planner { environment, checked, scopes: Vec::new() };
    planner.step(expression)
}

struct Planner<'e> {
    environment: &'e Environment,
    checked: &'e Checked,
    /// Names of local variables; their index is their slot.
    scopes: Vec<String>,
}

type Planned = Result<Step, EvalError>;

impl Planner<'_> {
    fn step(&mut self, expression: &Expr) -> Planned {
        Ok(match &expression.kind {
            Kind::Literal(value) => Step::Constant(value.clone()),
            Kind::Ident(name) => charged_root(self.ident(name), true),
            Kind::Select { .. } => return self.attribute(expression, true),
            Kind::Call { function, .. }
                if matches!(
                    function.as_str(),
                    operator::INDEX | operator::OPTIONAL_INDEX | operator::OPTIONAL_SELECT
                ) =>
            {
                return self.attribute(expression, true);
            }
            Kind::Call { function, target, args } => {
                return self.call(expression, function, target.as_deref(), args);
            }
            Kind::List { elements } => {
                let mut steps = Vec::with_capacity(elements.len());
                for element in elements {
                    steps.push((self.step(&element.value)?, element.optional));
                }
                list(steps)
            }
            Kind::Map { entries } => {
                let mut steps = Vec::with_capacity(entries.len());
                for entry in entries {
                    let key = self.step(&entry.key)?;
                    steps.push((key, self.step(&entry.value)?, entry.optional));
                }
                map(steps)
            }
            Kind::Struct { name, .. } => {
                return Err(EvalError::new(format!("unknown type: {name}")));
            }
            Kind::Comprehension(fold) => return self.fold(fold),
        })
    }

    fn ident(&self, name: &str) -> Step {
        if let Some(slot) = self.scopes.iter().rposition(|local| local == name) {
            return Step::Local(slot);
        }
        let name = name.strip_prefix('.').unwrap_or(name);
        match self.environment.variable(name) {
            Some(_) => Step::Variable(name.into()),
            None => Step::Constant(Val::Type(runtime_type_name(name).into())),
        }
    }

    /// A variable or value with what is selected from it. cel-go counts one for the root, and one
    /// for every further part.
    fn attribute(&mut self, expression: &Expr, charge_root: bool) -> Planned {
        match &expression.kind {
            Kind::Ident(name) => Ok(charged_root(self.ident(name), charge_root)),
            Kind::Select { operand, field, test_only } => {
                if let Kind::Ident(name) = &operand.kind
                    && self.environment.is_lazy(name)
                    && !self.scopes.contains(name)
                {
                    let lazy = Step::Lazy(field.as_str().into());
                    return Ok(charged(1 + u64::from(charge_root), lazy));
                }
                let operand = Box::new(self.operand(operand, charge_root)?);
                let key = Key::String(super::value::Text::Shared(field.as_str().into()));
                Ok(match test_only {
                    // kube-apiserver does not count a presence test.
                    true => Step::Test { operand, key },
                    false => charged(1, Step::Select { operand, key, optional: false }),
                })
            }
            Kind::Call { function, args, .. } => {
                let [operand, index] = args.as_slice() else {
                    return Err(EvalError::no_such_overload());
                };
                let optional = function != operator::INDEX;
                let operand = Box::new(self.operand(operand, charge_root)?);
                if let Kind::Literal(Val::String(text)) = &index.kind {
                    let key = Key::String(text.clone());
                    return Ok(charged(1, Step::Select { operand, key, optional }));
                }
                let index = Box::new(match self.is_attribute(index) {
                    true => self.attribute(index, false)?,
                    false => self.step(index)?,
                });
                Ok(charged(1, Step::Index { operand, index, optional }))
            }
            _ => self.step(expression),
        }
    }

    fn operand(&mut self, operand: &Expr, charge_root: bool) -> Planned {
        if self.is_attribute(operand) {
            return self.attribute(operand, charge_root);
        }
        let step = self.step(operand)?;
        let conditional = matches!(step, Step::Conditional(_));
        Ok(charged(u64::from(charge_root && !conditional), step))
    }

    fn is_attribute(&self, expression: &Expr) -> bool {
        match &expression.kind {
            Kind::Ident(_) => true,
            Kind::Select { test_only, .. } => !test_only,
            Kind::Call { function, .. } => matches!(
                function.as_str(),
                operator::INDEX | operator::OPTIONAL_INDEX | operator::OPTIONAL_SELECT
            ),
            _ => false,
        }
    }

    fn pair(&mut self, args: &[Expr]) -> Result<Box<(Step, Step)>, EvalError> {
        match args {
            [one, two] => Ok(Box::new((self.step(one)?, self.step(two)?))),
            _ => Err(EvalError::no_such_overload()),
        }
    }

    fn call(
        &mut self,
        expression: &Expr,
        function: &str,
        target: Option<&Expr>,
        args: &[Expr],
    ) -> Planned {
        let overloads = self.checked.overloads(expression);
        let overload = match overloads {
            [overload] => overload.id,
            _ => "",
        };
        match function {
            operator::AND => return Ok(Step::And(self.pair(args)?)),
            operator::OR => return Ok(Step::Or(self.pair(args)?)),
            operator::CONDITIONAL => return self.conditional(args),
            operator::NOT_STRICTLY_FALSE => {
                let [arg] = args else { return Err(EvalError::no_such_overload()) };
                return Ok(charged(1, Step::NotStrictlyFalse(Box::new(self.step(arg)?))));
            }
            operator::EQUALS | operator::NOT_EQUALS => {
                let negated = function == operator::NOT_EQUALS;
                let cost = if negated { CostRule::Shorter } else { CostRule::Equal };
                return Ok(Step::Equal { parts: self.pair(args)?, negated, cost });
            }
            "or" | "orValue" => {
                if let (Some(target), [arg]) = (target, args) {
                    let parts = Box::new((self.step(target)?, self.step(arg)?));
                    return Ok(Step::OptionalOr { parts, unwrap: function == "orValue" });
                }
            }
            _ => {}
        }
        let mut steps = Vec::with_capacity(args.len() + 1);
        for (number, arg) in target.into_iter().chain(args).enumerate() {
            let accumulates = number == 0 && matches!(function, operator::ADD | "cel.@mapInsert");
            match &arg.kind {
                Kind::Ident(name) if accumulates && name == ACCUMULATOR => {
                    let taken = self.scopes.iter().rposition(|local| local == name);
                    let slot = taken.ok_or_else(EvalError::no_such_overload)?;
                    steps.push(charged(1, Step::TakeLocal(slot)));
                }
                _ => steps.push(self.step(arg)?),
            }
        }
        self.plain_call(function, overload, steps)
    }

    fn plain_call(
        &mut self,
        function: &str,
        overload: &'static str,
        mut steps: Vec<Step>,
    ) -> Planned {
        if overload == "in_list"
            && let [_, Step::Constant(constants)] = steps.as_slice()
        {
            let constants = constants.clone();
            let value = Box::new(steps.remove(0));
            return Ok(Step::InConstants { value, constants });
        }
        let (name, builtin) = functions::builtin(function)
            .ok_or_else(|| EvalError::new(format!("no such overload: {function}")))?;
        let conversion = matches!(
            name,
            "bool"
                | "bytes"
                | "double"
                | "duration"
                | "dyn"
                | "int"
                | "string"
                | "timestamp"
                | "type"
                | "uint"
        );
        if conversion && let [Step::Constant(value)] = steps.as_slice() {
            return builtin(name, &mut [value.clone()]).map(Step::Constant);
        }
        let cost = CostRule::of(name, overload);
        Ok(Step::Call { function: builtin, name, cost, args: steps.into() })
    }

    /// The branches of a condition are attributes whose root cel-go does not count.
    fn conditional(&mut self, args: &[Expr]) -> Planned {
        let [condition, yes, no] = args else { return Err(EvalError::no_such_overload()) };
        let condition = self.step(condition)?;
        let mut branch = |expression: &Expr| match self.is_attribute(expression) {
            true => self.attribute(expression, false),
            false => self.step(expression),
        };
        let (yes, no) = (branch(yes)?, branch(no)?);
        Ok(Step::Conditional(Box::new((condition, yes, no))))
    }

    fn fold(&mut self, fold: &Comprehension) -> Planned {
        let init = self.step(&fold.init)?;
        let range = self.step(&fold.range)?;
        let base = self.scopes.len();
        self.scopes.push(fold.accumulator.clone());
        self.scopes.push(fold.variable.clone());
        // The second variable's slot is there even if it has no name.
        self.scopes.push(fold.variable2.clone().unwrap_or_default());
        let condition = self.step(&fold.condition)?;
        let step = self.step(&fold.step)?;
        // The result does not see the variables, but their slots are still taken.
        self.scopes[base + 1].clear();
        self.scopes[base + 2].clear();
        let result = self.step(&fold.result)?;
        self.scopes.truncate(base);
        let two_variables = fold.variable2.is_some();
        Ok(Step::Fold(Box::new(Fold { range, init, condition, step, result, two_variables })))
    }
}

/// A variable costs one, a type nothing.
fn charged_root(root: Step, is_charged: bool) -> Step {
    let is_constant = matches!(root, Step::Constant(_));
    charged(u64::from(is_charged && !is_constant), root)
}

fn charged(cost: u64, step: Step) -> Step {
    match (cost, step) {
        (0, step) => step,
        (cost, Step::Charged(more, inner)) => Step::Charged(cost + more, inner),
        (cost, step) => Step::Charged(cost, Box::new(step)),
    }
}

fn list(steps: Vec<(Step, bool)>) -> Step {
    let constants: Option<Vec<Val<'static>>> = steps
        .iter()
        .map(|(step, optional)| match step {
            Step::Constant(value) if !optional => Some(value.clone()),
            _ => None,
        })
        .collect();
    match constants {
        Some(values) => Step::Constant(Val::list(values)),
        None => Step::List { elements: steps.into() },
    }
}

fn map(steps: Vec<(Step, Step, bool)>) -> Step {
    let mut constants = Entries::new();
    for (key, value, optional) in &steps {
        match (key, value) {
            (Step::Constant(key), Step::Constant(value)) if !optional => {
                let Some(key) = key.key().filter(|key| !constants.contains_key(key)) else {
                    return Step::Map { entries: steps.into() };
                };
                constants.insert(key, value.clone());
            }
            _ => return Step::Map { entries: steps.into() },
        }
    }
    Step::Constant(Val::map(constants))
}

/// The name that `type(x)` gives for what is written as an identifier.
fn runtime_type_name(name: &str) -> &str {
    match name {
        "duration" => "google.protobuf.Duration",
        "timestamp" => "google.protobuf.Timestamp",
        other => other,
    }
}
