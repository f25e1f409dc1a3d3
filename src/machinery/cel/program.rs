//! Compiled expressions and what they are evaluated with.

use std::cell::{OnceCell, RefCell};

use super::checker;
use super::cost::Meter;
pub use super::cost::{CALL_LIMIT, CostBudget};
use super::environment::Environment;
use super::error::{CompileError, EvalError};
use super::eval::Machine;
use super::parser;
use super::plan::{self, Step};
use super::source::Source;
use super::types::Type;
use super::validators;
use super::value::Val;

/// A compiled expression. It has no state: share it by reference.
pub struct Program {
    step: Step,
    output: Type,
    references: Vec<String>,
    cost_max: u64,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("output", &self.output).finish_non_exhaustive()
    }
}

impl Program {
    /// Parses and checks an expression. The error is cel-go's text of all issues, without a
    /// prefix; kube-apiserver writes `compilation failed: ` before it.
    pub fn compile(environment: &Environment, expression: &str) -> Result<Self, CompileError> {
        let source = Source::new(expression);
        let shown = |issues| CompileError(source.show(issues));
        let mut tree = parser::parse(&source).map_err(shown)?;
        let checked = checker::check(environment, &mut tree).map_err(shown)?;
        validators::check(&checked, &tree).map_err(shown)?;
        let step = plan::plan(environment, &checked, &tree)
            .map_err(|error| CompileError(format!("program instantiation failed: {error}")))?;
        let cost_max = super::estimate::cost_max(environment, &checked, &tree);
        let output = checked.kind(&tree).clone();
        let mut references = checked.references;
        references.sort_unstable();
        references.dedup();
        Ok(Self { step, output, references, cost_max })
    }

    /// Type of the value.
    pub fn output_type(&self) -> &Type {
        &self.output
    }

    /// Whether a variable of the environment is referred to.
    pub fn refers_to(&self, variable: &str) -> bool {
        self.references.iter().any(|name| name == variable)
    }

    /// Most that an evaluation may cost, by the declared sizes; saturates at `u64::MAX`.
    pub fn cost_max(&self) -> u64 {
        self.cost_max
    }

    /// Evaluates the expression and takes the cost from the budget. An evaluation that costs more
    /// than `CALL_LIMIT` is stopped; one that costs more than what is left fails with
    /// `EvalErrorKind::Budget` and uses the budget up.
    pub fn evaluate<'a>(
        &self,
        activation: &Activation<'a>,
        budget: &mut CostBudget,
    ) -> Result<Val<'a>, EvalError> {
        let meter = RefCell::new(Meter::new(CALL_LIMIT));
        let value = Machine::new(activation, &meter).run(&self.step);
        let spent = meter.into_inner().total();
        budget.spend(spent)?;
        value
    }

    /// Evaluates as part of another evaluation, with a limit of its own.
    fn evaluate_within<'a>(
        &self,
        activation: &Activation<'a>,
        outer: &RefCell<Meter>,
    ) -> Result<Val<'a>, EvalError> {
        let meter = RefCell::new(Meter::new(CALL_LIMIT));
        let value = Machine::new(activation, &meter).run(&self.step);
        outer.borrow_mut().add_foreign(meter.into_inner().total());
        value
    }
}

/// Values of variables.
#[derive(Default)]
pub struct Activation<'a> {
    variables: Vec<(&'a str, Val<'a>)>,
    lazy: Vec<Lazy<'a>>,
}

/// A field of the lazy variable: evaluated at most once.
struct Lazy<'a> {
    name: &'a str,
    program: &'a Program,
    value: OnceCell<Result<Val<'a>, EvalError>>,
}

impl<'a> Activation<'a> {
    /// Without variables.
    pub fn new() -> Self {
        Self { variables: Vec::new(), lazy: Vec::new() }
    }

    /// Adds a variable's value.
    #[must_use]
    pub fn with(mut self, name: &'a str, value: Val<'a>) -> Self {
        self.variables.push((name, value));
        self
    }

    /// Adds a field of the environment's lazy variable. It may refer to fields that were added
    /// before it.
    #[must_use]
    pub fn with_lazy(mut self, name: &'a str, program: &'a Program) -> Self {
        self.lazy.push(Lazy { name, program, value: OnceCell::new() });
        self
    }

    pub(super) fn variable(&self, name: &str) -> Result<Val<'a>, EvalError> {
        let found = self.variables.iter().find(|(known, _)| *known == name);
        let missing = || EvalError::new(format!("no such attribute(s): {name}"));
        found.map(|(_, value)| value.clone()).ok_or_else(missing)
    }

    pub(super) fn lazy(&self, name: &str, meter: &RefCell<Meter>) -> Result<Val<'a>, EvalError> {
        let Some(lazy) = self.lazy.iter().find(|lazy| lazy.name == name) else {
            return Err(EvalError::no_such_key(name));
        };
        if let Some(value) = lazy.value.get() {
            return value.clone();
        }
        let value = lazy.program.evaluate_within(self, meter).map_err(|error| {
            error.map(|error| format!("composited variable \"{name}\" fails to evaluate: {error}"))
        });
        lazy.value.get_or_init(|| value).clone()
    }
}
