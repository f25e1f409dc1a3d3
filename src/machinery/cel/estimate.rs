//! The most an expression may cost, from the declared sizes of what it looks at (cel-go:
//! checker/cost.go, ext/lists.go, ext/sets.go; kubernetes 1.36: apiserver/pkg/cel/library/cost.go).
//!
//! The estimate decides which rules a CustomResourceDefinition may have, so it follows upstream's
//! arithmetic exactly, its peculiarities included.

mod functions;
mod range;

use std::collections::HashMap;

use super::ast::{ACCUMULATOR, Comprehension, Expr, Id, Kind};
use super::checker::Checked;
use super::cost::{LIST_CREATE, MAP_CREATE};
use super::declared::Declared;
use super::environment::Environment;
use super::types::Type;
use super::value::Val;
use range::Range;

/// The most an evaluation may cost; saturates.
pub(super) fn cost_max(environment: &Environment, checked: &Checked, expression: &Expr) -> u64 {
    let mut coster = Coster {
        // Upstream looks paths up below `self`, whatever they start with.
        root: environment.declared("self"),
        checked,
        paths: HashMap::new(),
        sizes: HashMap::new(),
        entries: HashMap::new(),
        locals: Vec::new(),
    };
    coster.cost(expression).max
}

/// Sizes of a container's entries.
#[derive(Clone, Copy, Debug)]
struct Entries {
    is_list: bool,
    key: Range,
    value: Range,
}

impl Entries {
    fn union(one: Option<Self>, two: Option<Self>) -> Option<Self> {
        let (one, two) = (one?, two?);
        let (key, value) = (one.key.union(two.key), one.value.union(two.value));
        Some(Self { is_list: one.is_list, key, value })
    }
}

struct Local {
    name: String,
    path: Vec<String>,
    size: Option<Range>,
    entries: Option<Entries>,
}

struct Coster<'e> {
    root: Option<&'e Declared>,
    checked: &'e Checked,
    paths: HashMap<Id, Vec<String>>,
    sizes: HashMap<Id, Range>,
    entries: HashMap<Id, Entries>,
    locals: Vec<Local>,
}

/// An argument of a call: what is known of its size.
#[derive(Clone, Debug)]
struct Argument<'e> {
    kind: Type,
    path: Vec<String>,
    size: Option<Range>,
    expression: Option<&'e Expr>,
}

/// Cost of a call, and the size of its result if it is known.
struct Estimate {
    cost: Range,
    size: Option<Range>,
}

impl<'e> Coster<'e> {
    fn local(&self, name: &str) -> Option<&Local> {
        self.locals.iter().rev().find(|local| local.name == name)
    }

    fn cost(&mut self, expression: &'e Expr) -> Range {
        match &expression.kind {
            Kind::Literal(_) => Range::fixed(0),
            Kind::Ident(name) => {
                let path = match self.local(name) {
                    Some(local) => local.path.clone(),
                    None => vec![name.clone()],
                };
                self.paths.insert(expression.id, path);
                Range::fixed(1)
            }
            Kind::Select { operand, field, test_only } => {
                let mut sum = self.cost(operand);
                if *test_only {
                    return sum;
                }
                if let Type::Map(_) | Type::Struct(_) | Type::Param(_) = self.checked.kind(operand)
                {
                    sum = sum.plus(Range::fixed(1));
                }
                self.extend_path(expression.id, operand, field);
                sum
            }
            Kind::Call { .. } => self.call(expression),
            Kind::List { elements } => {
                let mut sum = Range::fixed(LIST_CREATE);
                let mut size = Range::union_of_nothing(elements.is_empty());
                for element in elements {
                    sum = sum.plus(self.cost(&element.value));
                    size = size.union(self.size_or_unknown(&element.value));
                }
                let entries = Entries { is_list: true, key: Range::fixed(1), value: size };
                self.entries.insert(expression.id, entries);
                sum
            }
            Kind::Map { entries } => {
                let mut sum = Range::fixed(MAP_CREATE);
                let mut key = Range::union_of_nothing(entries.is_empty());
                let mut value = key;
                for entry in entries {
                    sum = sum.plus(self.cost(&entry.key)).plus(self.cost(&entry.value));
                    key = key.union(self.size_or_unknown(&entry.key));
                    value = value.union(self.size_or_unknown(&entry.value));
                }
                self.entries.insert(expression.id, Entries { is_list: false, key, value });
                sum
            }
            Kind::Struct { fields, .. } => {
                fields.iter().fold(Range::fixed(40), |sum, field| sum.plus(self.cost(field)))
            }
            Kind::Comprehension(fold) if is_bind(fold) => self.bind(expression, fold),
            Kind::Comprehension(fold) => self.comprehension(expression, fold),
        }
    }

    fn extend_path(&mut self, id: Id, operand: &Expr, step: &str) {
        let mut path = self.path(operand);
        path.push(step.to_owned());
        self.paths.insert(id, path);
    }

    fn path(&self, expression: &Expr) -> Vec<String> {
        if let Kind::Ident(name) = &expression.kind
            && let Some(local) = self.local(name)
        {
            return local.path.clone();
        }
        self.paths.get(&expression.id).cloned().unwrap_or_default()
    }

    /// A size that upstream's declared types give.
    fn declared_size(&self, path: &[String]) -> Option<Range> {
        let (_, below) = path.split_first()?;
        let declared = self.root?.at(below)?;
        Some(Range { min: 0, max: declared.elements_max })
    }

    fn size(&mut self, expression: &Expr) -> Option<Range> {
        if let Some(size) = self.sizes.get(&expression.id) {
            return Some(*size);
        }
        if let Some(size) = literal_size(expression) {
            return Some(size);
        }
        if let Some(size) = self.declared_size(&self.path(expression)) {
            self.sizes.insert(expression.id, size);
            return Some(size);
        }
        let scalar = matches!(
            self.checked.kind(expression),
            Type::Bool | Type::Double | Type::Duration | Type::Int | Type::Timestamp | Type::Uint
        );
        if scalar {
            return Some(Range::fixed(1));
        }
        match &expression.kind {
            Kind::Ident(name) => self.local(name)?.size,
            _ => None,
        }
    }

    fn size_or_unknown(&mut self, expression: &Expr) -> Range {
        self.size(expression).unwrap_or(Range::UNKNOWN)
    }

    fn entry_sizes(&self, expression: &Expr) -> Option<Entries> {
        if let Some(entries) = self.entries.get(&expression.id) {
            return Some(*entries);
        }
        match &expression.kind {
            Kind::Ident(name) => self.local(name)?.entries,
            _ => None,
        }
    }

    fn argument(&mut self, expression: &'e Expr) -> Argument<'e> {
        let mut path = self.path(expression);
        if path.first().is_some_and(|first| first == ACCUMULATOR) {
            path.clear();
        }
        let kind = self.checked.kind(expression).clone();
        Argument { kind, path, size: self.size(expression), expression: Some(expression) }
    }

    fn call(&mut self, expression: &'e Expr) -> Range {
        let Kind::Call { function, target, args } = &expression.kind else {
            return Range::fixed(0);
        };
        if let ("dyn", [arg]) = (function.as_str(), args.as_slice()) {
            let cost = self.cost(arg).plus(Range::fixed(1));
            self.copy_sizes(expression, arg);
            return cost;
        }
        let mut costs = Vec::with_capacity(args.len());
        let mut arguments = Vec::with_capacity(args.len());
        for arg in args {
            costs.push(self.cost(arg));
            arguments.push(self.argument(arg));
        }
        let overloads: Vec<&str> =
            self.checked.overloads(expression).iter().map(|overload| overload.id).collect();
        if overloads.is_empty() {
            return Range::fixed(0);
        }
        let (mut sum, mut receiver) = (Range::fixed(0), None);
        if let Some(target) = target {
            sum = self.cost(target);
            receiver = Some(self.argument(target));
        }
        let mut total = Range { min: u64::MAX, max: 0 };
        let mut size: Option<Range> = None;
        for overload in overloads {
            let made = self.function(
                expression,
                function,
                overload,
                receiver.as_ref(),
                &arguments,
                &costs,
            );
            total = total.union(made.cost);
            if let Some(made) = made.size {
                size = Some(size.map_or(made, |size| size.union(made)));
            }
            if let ("index_list" | "index_map", Some(container)) = (overload, args.first()) {
                size = self.entry_sizes(container).map(|entries| entries.value);
                let step = if overload == "index_list" { "@items" } else { "@values" };
                self.extend_path(expression.id, container, step);
            }
            if size.is_none() {
                size = self.size(expression);
            }
        }
        if let Some(size) = size {
            self.sizes.insert(expression.id, size);
        }
        sum.plus(total)
    }

    fn copy_sizes(&mut self, to: &Expr, from: &Expr) {
        if let Some(size) = self.size(from) {
            self.sizes.insert(to.id, size);
        }
        if let Some(entries) = self.entry_sizes(from) {
            self.entries.insert(to.id, entries);
        }
    }

    /// The cost of one overload, its arguments' costs included.
    fn function(
        &mut self,
        expression: &Expr,
        function: &str,
        overload: &str,
        receiver: Option<&Argument<'e>>,
        args: &[Argument<'e>],
        costs: &[Range],
    ) -> Estimate {
        let sum = costs.iter().fold(Range::fixed(0), |sum, cost| sum.plus(*cost));
        let library = functions::library(overload, receiver, args, self)
            .or_else(|| functions::kubernetes(function, overload, receiver, args, self))
            .or_else(|| functions::standard(overload, receiver, args));
        if let Some(estimate) = library {
            return Estimate { cost: estimate.cost.plus(sum), size: estimate.size };
        }
        match (overload, costs) {
            ("logical_or" | "logical_and", [one, two]) => {
                let cost = Range { min: one.min, max: one.plus(*two).max };
                Estimate { cost, size: None }
            }
            ("conditional", [condition, yes, no]) => {
                let size = args[1].size_or_unknown().union(args[2].size_or_unknown());
                self.unite_entries(expression, &args[1], &args[2]);
                Estimate { cost: condition.plus(yes.union(*no)), size: Some(size) }
            }
            ("add_string" | "add_bytes" | "add_list", [_, _]) => {
                let size = args[0].size_or_unknown().plus(args[1].size_or_unknown());
                self.unite_entries(expression, &args[0], &args[1]);
                let own = match overload {
                    "add_list" => Range::fixed(1),
                    _ => size.scaled(super::cost::TRAVERSAL),
                };
                Estimate { cost: own.plus(sum), size: Some(size) }
            }
            _ => Estimate { cost: Range::fixed(1).plus(sum), size: None },
        }
    }

    fn unite_entries(&mut self, expression: &Expr, one: &Argument<'e>, two: &Argument<'e>) {
        let of = |argument: &Argument<'e>| self.entry_sizes(argument.expression?);
        if let Some(entries) = Entries::union(of(one), of(two)) {
            self.entries.insert(expression.id, entries);
        }
    }

    fn push_local(&mut self, name: &str, value: &Expr) {
        let (path, size) = (self.path(value), self.size(value));
        let entries = self.entry_sizes(value);
        self.locals.push(Local { name: name.to_owned(), path, size, entries });
    }

    fn push_iterated(&mut self, name: &str, range: &Expr, role: Role) {
        let entries = self.entry_sizes(range);
        let is_list = match entries {
            Some(entries) => entries.is_list,
            None => matches!(self.checked.kind(range), Type::List(_)),
        };
        let is_value = role == Role::Value || (role == Role::Single && is_list);
        let step = match (is_value, is_list) {
            (true, true) => "@items",
            (true, false) => "@values",
            (false, true) => "@indices",
            (false, false) => "@keys",
        };
        let size = entries.map(|entries| if is_value { entries.value } else { entries.key });
        let mut path = self.path(range);
        path.push(step.to_owned());
        self.locals.push(Local { name: name.to_owned(), path, size, entries: None });
    }

    fn comprehension(&mut self, expression: &Expr, fold: &'e Comprehension) -> Range {
        let mut sum = self.cost(&fold.range).plus(self.cost(&fold.init));
        let depth = self.locals.len();
        self.push_local(&fold.accumulator, &fold.init);
        match &fold.variable2 {
            Some(second) => {
                self.push_iterated(&fold.variable, &fold.range, Role::Key);
                self.push_iterated(second, &fold.range, Role::Value);
            }
            None => self.push_iterated(&fold.variable, &fold.range, Role::Single),
        }
        let condition = self.cost(&fold.condition);
        let step = self.cost(&fold.step);
        self.locals.truncate(depth + 1);
        sum = sum.plus(self.cost(&fold.result));
        self.locals.truncate(depth);
        let count = self.size_or_unknown(&fold.range);
        sum = sum.plus(count.times(step.plus(condition)));
        match &fold.init.kind {
            Kind::Literal(_) => {
                if let Some(size) = self.size(&fold.init) {
                    self.sizes.insert(expression.id, size);
                }
            }
            Kind::List { .. } | Kind::Map { .. } => {
                self.sizes.insert(expression.id, count);
                if let Some(entries) = self.entry_sizes(&fold.step) {
                    self.entries.insert(expression.id, entries);
                }
            }
            _ => {}
        }
        sum
    }

    fn bind(&mut self, expression: &Expr, fold: &'e Comprehension) -> Range {
        let sum = self.cost(&fold.range).plus(self.cost(&fold.init));
        let depth = self.locals.len();
        self.push_local(&fold.accumulator, &fold.init);
        let result = self.cost(&fold.result);
        self.locals.truncate(depth);
        self.copy_sizes(expression, &fold.result);
        sum.plus(result)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Role {
    Key,
    Value,
    Single,
}

impl<'e> Argument<'e> {
    /// The size as cel-go's own functions see it.
    fn size_or_unknown(&self) -> Range {
        self.size.unwrap_or(Range::UNKNOWN)
    }

    /// The size as Kubernetes' functions see it.
    fn estimated(&self, coster: &Coster<'_>) -> Range {
        let declared = || coster.declared_size(&self.path);
        self.size.or_else(declared).unwrap_or(Range::UNKNOWN)
    }

    /// What is known of a list's items; `None` if this is no container.
    fn element(&self) -> Option<Argument<'e>> {
        let kind = match &self.kind {
            Type::List(items) => (**items).clone(),
            Type::Map(pair) => pair.0.clone(),
            Type::Opaque(_, parameters) => parameters.first()?.clone(),
            Type::Type(Some(parameter)) => (**parameter).clone(),
            _ => return None,
        };
        let mut path = self.path.clone();
        if !path.is_empty() {
            path.push("@items".to_owned());
        }
        Some(Argument { kind, path, size: None, expression: None })
    }

    /// The value of an integer literal.
    fn integer(&self) -> Option<u64> {
        match &self.expression?.kind {
            Kind::Literal(Val::Int(value)) => Some(u64::try_from(*value).unwrap_or_default()),
            _ => None,
        }
    }
}

fn literal_size(expression: &Expr) -> Option<Range> {
    let size = match &expression.kind {
        Kind::Literal(Val::String(text)) => text.chars().count() as u64,
        Kind::Literal(Val::Bytes(bytes)) => bytes.len() as u64,
        Kind::Literal(_) => 1,
        Kind::List { elements } => elements.len() as u64,
        Kind::Map { entries } => entries.len() as u64,
        _ => return None,
    };
    Some(Range::fixed(size))
}

fn is_bind(fold: &Comprehension) -> bool {
    let empty = matches!(&fold.range.kind, Kind::List { elements } if elements.is_empty());
    empty
        && matches!(fold.condition.kind, Kind::Literal(Val::Bool(false)))
        && fold.accumulator != ACCUMULATOR
}
