//! Runs a program's steps and counts what they cost.

use std::cell::RefCell;
use std::sync::Arc;

use super::cost::Meter;
use super::equality;
use super::error::EvalError;
use super::functions;
use super::plan::{Fold, Step};
use super::program::Activation;
use super::value::{Entries, Key, List, Map, Val};

type Evaluated<'a> = Result<Val<'a>, EvalError>;

/// The state of an evaluation.
pub(super) struct Machine<'m, 'a> {
    pub(super) activation: &'m Activation<'a>,
    pub(super) meter: &'m RefCell<Meter>,
    /// Local variables by slot. An accumulator may hold an error.
    locals: Vec<Evaluated<'a>>,
}

impl<'m, 'a> Machine<'m, 'a> {
    pub(super) fn new(activation: &'m Activation<'a>, meter: &'m RefCell<Meter>) -> Self {
        Self { activation, meter, locals: Vec::new() }
    }

    fn charge(&self, cost: u64) -> Result<(), EvalError> {
        self.meter.borrow_mut().charge(cost)
    }

    pub(super) fn run(&mut self, step: &Step) -> Evaluated<'a> {
        match step {
            Step::Constant(value) => Ok(value.clone()),
            Step::Variable(name) => self.activation.variable(name),
            Step::Lazy(name) => self.activation.lazy(name, self.meter),
            Step::Local(slot) => self.local(*slot).clone(),
            Step::TakeLocal(slot) => match self.locals.get_mut(*slot) {
                Some(local) => std::mem::replace(local, Ok(Val::Null)),
                None => Err(EvalError::no_such_overload()),
            },
            Step::Charged(cost, inner) => {
                let value = self.run(inner);
                self.charge(*cost)?;
                value
            }
            Step::Select { operand, key, optional } => {
                let operand = self.run(operand)?;
                select(&operand, &key.clone().into(), *optional)
            }
            Step::Test { operand, key } => {
                let operand = self.run(operand)?;
                test(&operand, key).map(Val::Bool)
            }
            Step::Index { operand, index, optional } => {
                let operand = self.run(operand)?;
                let index = self.run(index)?;
                select(&operand, &index, *optional)
            }
            Step::And(parts) => self.logic(parts, false),
            Step::Or(parts) => self.logic(parts, true),
            Step::Conditional(parts) => match self.run(&parts.0)? {
                Val::Bool(true) => self.run(&parts.1),
                Val::Bool(false) => self.run(&parts.2),
                _ => Err(EvalError::no_such_overload()),
            },
            _ => self.call(step),
        }
    }

    fn call(&mut self, step: &Step) -> Evaluated<'a> {
        match step {
            Step::OptionalOr { parts, unwrap } => match self.run(&parts.0)? {
                Val::Optional(Some(value)) if *unwrap => Ok((*value).clone()),
                Val::Optional(None) => self.run(&parts.1),
                some @ Val::Optional(Some(_)) => Ok(some),
                _ => Err(EvalError::no_such_overload()),
            },
            Step::NotStrictlyFalse(inner) => match self.run(inner) {
                Err(error) if error.is_fatal() => Err(error),
                Ok(Val::Bool(value)) => Ok(Val::Bool(value)),
                _ => Ok(Val::Bool(true)),
            },
            Step::Equal { parts, negated, cost } => {
                let mut failure = None;
                let args = [&parts.0, &parts.1].map(|part| self.argument(part, &mut failure));
                let equal = match failure {
                    Some(error) => Err(error),
                    None => equality::equal(&args[0], &args[1]),
                };
                self.charge(cost.before(&args))?;
                equal.map(|equal| Val::Bool(equal != *negated))
            }
            Step::InConstants { value, constants } => {
                let mut args = [self.run(value)?, constants.clone()];
                functions::contains(&mut args)
            }
            Step::Call { function, name, cost, args } => {
                let mut values = smallvec::SmallVec::<[Val<'a>; 3]>::new();
                let mut failure = None;
                for (number, arg) in args.iter().enumerate() {
                    values.push(self.argument(arg, &mut failure));
                    // cel-go evaluates up to two arguments whatever comes of them.
                    if let Some(error) = &failure
                        && (error.is_fatal() || (args.len() > 2 && number + 1 < args.len()))
                    {
                        return Err(error.clone());
                    }
                }
                // What is too expensive is not begun.
                self.charge(cost.before(&values))?;
                if let Some(error) = failure {
                    return Err(error);
                }
                let value = function(name, &mut values)?;
                self.charge(cost.after(&value))?;
                Ok(value)
            }
            Step::List { elements } => self.list(elements),
            Step::Map { entries } => self.map(entries),
            Step::Fold(fold) => self.fold(fold),
            other => self.run(other),
        }
    }

    /// An argument's value; null stands for the first error's.
    fn argument(&mut self, step: &Step, failure: &mut Option<EvalError>) -> Val<'a> {
        match self.run(step) {
            Ok(value) => value,
            Err(error) => {
                let fatal = error.is_fatal();
                if fatal || failure.is_none() {
                    *failure = Some(error);
                }
                Val::Null
            }
        }
    }

    fn local(&self, slot: usize) -> &Evaluated<'a> {
        static MISSING: Evaluated<'static> = Ok(Val::Null);
        self.locals.get(slot).unwrap_or(&MISSING)
    }

    /// `&&` and `||`: a decisive side wins over an error of the other.
    fn logic(&mut self, parts: &(Step, Step), decisive: bool) -> Evaluated<'a> {
        let mut failure = None;
        for part in [&parts.0, &parts.1] {
            match self.run(part) {
                Ok(Val::Bool(value)) if value == decisive => return Ok(Val::Bool(value)),
                Ok(Val::Bool(_)) => {}
                Ok(_) => failure = failure.or_else(|| Some(EvalError::no_such_overload())),
                Err(error) if error.is_fatal() => return Err(error),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(Val::Bool(!decisive)), Err)
    }

    fn list(&mut self, elements: &[(Step, bool)]) -> Evaluated<'a> {
        let values = self.items(elements);
        self.charge(super::cost::LIST_CREATE)?;
        values.map(Val::list)
    }

    fn items(&mut self, elements: &[(Step, bool)]) -> Result<Vec<Val<'a>>, EvalError> {
        let mut values = Vec::with_capacity(elements.len());
        for (element, optional) in elements {
            match (self.run(element)?, optional) {
                (Val::Optional(Some(value)), true) => values.push((*value).clone()),
                (Val::Optional(None), true) => {}
                (value, false) => values.push(value),
                (value, true) => return Err(not_optional(&value)),
            }
        }
        Ok(values)
    }

    fn map(&mut self, entries: &[(Step, Step, bool)]) -> Evaluated<'a> {
        let made = self.entries(entries);
        self.charge(super::cost::MAP_CREATE)?;
        made.map(Val::map)
    }

    fn entries(&mut self, entries: &[(Step, Step, bool)]) -> Result<Entries<'a>, EvalError> {
        let mut made = Entries::with_capacity(entries.len());
        for (key, value, optional) in entries {
            let key = self.run(key)?;
            let value = match (self.run(value)?, optional) {
                (Val::Optional(Some(value)), true) => (*value).clone(),
                (Val::Optional(None), true) => continue,
                (value, false) => value,
                (value, true) => return Err(not_optional(&value)),
            };
            let key = key.key().ok_or_else(|| {
                EvalError::new(format!("unsupported key type: {}", key.type_name()))
            })?;
            let shown = show_key(&key);
            if made.insert(key, value).is_some() {
                return Err(EvalError::new(format!("Failed with repeated key {shown}")));
            }
        }
        Ok(made)
    }

    fn fold(&mut self, fold: &Fold) -> Evaluated<'a> {
        let range = self.run(&fold.range)?;
        let init = self.run(&fold.init);
        let base = self.locals.len();
        self.locals.push(init);
        self.locals.push(Ok(Val::Null));
        self.locals.push(Ok(Val::Null));
        let done = match &range {
            Val::List(list) => self.over_list(fold, base, list),
            Val::Map(map) => self.over_map(fold, base, map),
            _ => Err(EvalError::no_such_overload()),
        };
        let result = match done {
            Ok(()) => self.run(&fold.result),
            Err(error) => Err(error),
        };
        self.locals.truncate(base);
        result
    }

    fn over_list(&mut self, fold: &Fold, base: usize, list: &List<'a>) -> Result<(), EvalError> {
        for index in 0..list.len() {
            let Some(item) = list.get(index) else { break };
            if fold.two_variables {
                self.locals[base + 1] = Ok(Val::Int(index as i64));
                self.locals[base + 2] = item;
            } else {
                self.locals[base + 1] = item;
            }
            if !self.again(fold, base)? {
                break;
            }
        }
        Ok(())
    }

    fn over_map(&mut self, fold: &Fold, base: usize, map: &Map<'a>) -> Result<(), EvalError> {
        for key in map.keys() {
            if fold.two_variables {
                self.locals[base + 2] = map.get(&key).unwrap_or(Ok(Val::Null));
            }
            self.locals[base + 1] = Ok(key.into());
            if !self.again(fold, base)? {
                break;
            }
        }
        Ok(())
    }

    /// One round; whether there is to be another.
    fn again(&mut self, fold: &Fold, base: usize) -> Result<bool, EvalError> {
        if !matches!(self.run(&fold.condition), Ok(Val::Bool(true))) {
            return Ok(false);
        }
        let value = self.run(&fold.step);
        if let Err(error) = &value
            && error.is_fatal()
        {
            return Err(error.clone());
        }
        self.locals[base] = value;
        Ok(true)
    }
}

fn not_optional(value: &Val<'_>) -> EvalError {
    let name = value.type_name();
    EvalError::new(format!(
        "cannot initialize optional list element from non-optional value {name}"
    ))
}

pub(super) fn show_key(key: &Key<'_>) -> String {
    match key {
        Key::Bool(value) => value.to_string(),
        Key::Int(value) => value.to_string(),
        Key::Uint(value) => value.to_string(),
        Key::String(text) => text.to_string(),
    }
}

/// A field, an entry or an item. Through an optional it stays optional.
fn select<'a>(operand: &Val<'a>, index: &Val<'_>, optional: bool) -> Evaluated<'a> {
    let found = match operand {
        Val::Optional(None) => return Ok(Val::Optional(None)),
        Val::Optional(Some(inner)) => {
            let found = lookup(inner, index)?;
            return found.transpose().map(|found| Val::Optional(found.map(Arc::new)));
        }
        operand => lookup(operand, index)?,
    };
    if optional {
        return found.transpose().map(|found| Val::Optional(found.map(Arc::new)));
    }
    found.unwrap_or_else(|| Err(missing(operand, index)))
}

fn lookup<'a>(operand: &Val<'a>, index: &Val<'_>) -> Result<Option<Evaluated<'a>>, EvalError> {
    match operand {
        Val::Map(map) => {
            let key = index.key().ok_or_else(EvalError::no_such_overload)?;
            Ok(map.get(&key))
        }
        Val::List(list) => {
            let at = match index.key() {
                Some(Key::Int(at)) => usize::try_from(at).ok(),
                Some(Key::Uint(at)) => usize::try_from(at).ok(),
                _ => return Err(EvalError::no_such_overload()),
            };
            Ok(at.and_then(|at| list.get(at)))
        }
        _ => Err(EvalError::no_such_overload()),
    }
}

fn missing(operand: &Val<'_>, index: &Val<'_>) -> EvalError {
    let shown = index.key().map(|key| show_key(&key)).unwrap_or_default();
    match operand {
        Val::List(_) => EvalError::new(format!("index out of bounds: {shown}")),
        _ => EvalError::no_such_key(&shown),
    }
}

/// `has(operand.key)`.
fn test(operand: &Val<'_>, key: &Key<'_>) -> Result<bool, EvalError> {
    match operand {
        Val::Map(map) => match map.get(key) {
            Some(Err(error)) => Err(error),
            found => Ok(found.is_some()),
        },
        Val::Optional(None) => Ok(false),
        Val::Optional(Some(inner)) => test(inner, key),
        _ => Err(EvalError::no_such_overload()),
    }
}
