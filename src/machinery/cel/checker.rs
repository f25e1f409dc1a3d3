//! The type checker (cel-go: checker/checker.go).
//!
//! It gives every expression a type and every call the overloads it may mean, replaces qualified
//! function names, and reports what does not fit.

use super::ast::{ACCUMULATOR, Comprehension, Expr, Id, Kind, operator};
use super::declarations::{self, Overload};
use super::environment::Environment;
use super::source::Issue;
use super::types::{Mapping, Type, instantiate, most_general};
use super::value::Val;

/// What is known of an expression after checking, beside its tree.
#[derive(Debug, Default)]
pub(super) struct Checked {
    types: Vec<Type>,
    overloads: Vec<Vec<&'static Overload>>,
    /// Names of variables of the environment that are referred to.
    pub(super) references: Vec<String>,
}

impl Checked {
    /// The type of an expression.
    pub(super) fn kind(&self, expression: &Expr) -> &Type {
        self.types.get(expression.id as usize).unwrap_or(&Type::Dyn)
    }

    /// The overloads of a call; none for what is no call.
    pub(super) fn overloads(&self, expression: &Expr) -> &[&'static Overload] {
        self.overloads.get(expression.id as usize).map_or(&[], Vec::as_slice)
    }

    fn set_type(&mut self, id: Id, kind: Type) {
        let at = id as usize;
        if self.types.len() <= at {
            self.types.resize(at + 1, Type::Dyn);
        }
        self.types[at] = kind;
    }

    fn set_overloads(&mut self, id: Id, overloads: Vec<&'static Overload>) {
        let at = id as usize;
        if self.overloads.len() <= at {
            self.overloads.resize(at + 1, Vec::new());
        }
        self.overloads[at] = overloads;
    }
}

/// Checks an expression; qualified function names in it become plain ones.
pub(super) fn check(
    environment: &Environment,
    expression: &mut Expr,
) -> Result<Checked, Vec<Issue>> {
    let mut checker = Checker {
        environment,
        checked: Checked::default(),
        mapping: Mapping::default(),
        scopes: Vec::new(),
        issues: Vec::new(),
    };
    checker.check(expression);
    if !checker.issues.is_empty() {
        return Err(checker.issues);
    }
    let Checker { mut checked, mapping, .. } = checker;
    for kind in &mut checked.types {
        *kind = mapping.substitute(kind, true);
    }
    Ok(checked)
}

struct Checker<'e> {
    environment: &'e Environment,
    checked: Checked,
    mapping: Mapping,
    /// Local variables, innermost last.
    scopes: Vec<(String, Type)>,
    issues: Vec<Issue>,
}

impl Checker<'_> {
    fn report(&mut self, at: u32, message: String) {
        self.issues.push(Issue::at(at, message));
    }

    fn kind(&self, expression: &Expr) -> Type {
        self.checked.kind(expression).clone()
    }

    fn check(&mut self, expression: &mut Expr) {
        let kind = match &mut expression.kind {
            Kind::Literal(value) => literal_type(value),
            Kind::Ident(_) => self.ident(expression),
            Kind::Select { .. } => self.select(expression),
            Kind::Call { .. } => self.call(expression),
            Kind::List { .. } => self.list(expression),
            Kind::Map { .. } => self.map(expression),
            Kind::Struct { name, fields } => {
                for field in fields {
                    self.check(field);
                }
                let message = format!("undeclared reference to '{name}' (in container '')");
                self.report(expression.at, message);
                Type::Error
            }
            Kind::Comprehension(fold) => self.comprehension(fold),
        };
        self.checked.set_type(expression.id, kind);
    }

    fn lookup(&mut self, name: &str) -> Option<Type> {
        let plain = name.strip_prefix('.');
        if plain.is_none()
            && let Some((_, kind)) = self.scopes.iter().rev().find(|(local, _)| local == name)
        {
            return Some(kind.clone());
        }
        let name = plain.unwrap_or(name);
        if let Some(kind) = self.environment.variable(name) {
            self.checked.references.push(name.to_owned());
            return Some(kind.clone());
        }
        declarations::type_name(name).map(|kind| Type::Type(Some(kind.into())))
    }

    fn ident(&mut self, expression: &Expr) -> Type {
        let Kind::Ident(name) = &expression.kind else { return Type::Error };
        if let Some(kind) = self.lookup(name) {
            return kind;
        }
        self.report(expression.at, format!("undeclared reference to '{name}' (in container '')"));
        Type::Error
    }

    fn select(&mut self, expression: &mut Expr) -> Type {
        if let Some(name) = qualified(expression) {
            if let Some(kind) = self.environment.variable(&name) {
                self.checked.references.push(name.clone());
                expression.kind = Kind::Ident(name);
                return kind.clone();
            }
            if let Some(kind) = declarations::type_name(&name) {
                expression.kind = Kind::Ident(name);
                return Type::Type(Some(kind.into()));
            }
        }
        let at = expression.at;
        let Kind::Select { operand, field, test_only } = &mut expression.kind else {
            return Type::Error;
        };
        self.check(operand);
        let (operand, test_only) = (self.kind(operand), *test_only);
        let kind = self.field(at, &operand, field, false);
        if test_only { Type::Bool } else { self.mapping.substitute(&kind, false) }
    }

    fn field(&mut self, at: u32, operand: &Type, field: &str, optional: bool) -> Type {
        let operand = self.mapping.substitute(operand, false);
        let (target, wrapped) = match operand.optional_value() {
            Some(value) => (value.clone(), true),
            None => (operand, false),
        };
        let kind = match &target {
            Type::Map(pair) => pair.1.clone(),
            Type::Struct(object) => match object.fields.get(field) {
                Some(kind) => kind.clone(),
                None => {
                    self.report(at, format!("undefined field '{field}'"));
                    Type::Error
                }
            },
            Type::Param(_) => {
                self.mapping.assign(&Type::Dyn, &target);
                Type::Dyn
            }
            other => {
                if !other.is_dyn_or_error() {
                    let message = format!("type '{other}' does not support field selection");
                    self.report(at, message);
                }
                Type::Dyn
            }
        };
        if wrapped || optional { Type::optional(kind) } else { kind }
    }

    fn call(&mut self, expression: &mut Expr) -> Type {
        let (id, at) = (expression.id, expression.at);
        let Kind::Call { function, target, args } = &mut expression.kind else {
            return Type::Error;
        };
        if function == operator::OPTIONAL_SELECT {
            return self.optional_select(at, id, args);
        }
        for arg in args.iter_mut() {
            self.check(arg);
        }
        let mut types: Vec<Type> = args.iter().map(|arg| self.kind(arg)).collect();
        if let operator::AND | operator::OR = function.as_str() {
            let places: Vec<u32> = args.iter().map(|arg| arg.at).collect();
            return self.logic(id, function, &places, &types);
        }
        let name = match target.as_ref().and_then(|target| qualified(target)) {
            Some(prefix) => format!("{prefix}.{function}"),
            None => function.clone(),
        };
        if target.is_some()
            && name != *function
            && let Some((name, overloads)) = declarations::function(name.trim_start_matches('.'))
        {
            name.clone_into(function);
            *target = None;
            return self.resolve(at, id, name, overloads, &types, false);
        }
        if let Some(target) = target {
            self.check(target);
            types.insert(0, self.kind(target));
        }
        let member = target.is_some();
        let Some((name, overloads)) = declarations::function(function.trim_start_matches('.'))
        else {
            let message = format!("undeclared reference to '{function}' (in container '')");
            self.report(at, message);
            return Type::Error;
        };
        name.clone_into(function);
        self.resolve(at, id, name, overloads, &types, member)
    }

    fn optional_select(&mut self, at: u32, id: Id, args: &mut [Expr]) -> Type {
        let [operand, field] = args else { return Type::Error };
        self.check(operand);
        self.check(field);
        let operand = self.kind(operand);
        let Kind::Literal(Val::String(name)) = &field.kind else { return Type::Error };
        let kind = self.field(at, &operand, name, true);
        if let Some((_, overloads)) = declarations::function(operator::OPTIONAL_SELECT) {
            self.checked.set_overloads(id, overloads.iter().collect());
        }
        self.mapping.substitute(&kind, false)
    }

    fn resolve(
        &mut self,
        at: u32,
        id: Id,
        name: &str,
        overloads: &'static [Overload],
        args: &[Type],
        member: bool,
    ) -> Type {
        let mut found: Vec<&'static Overload> = Vec::new();
        let mut result: Option<Type> = None;
        for overload in overloads.iter().filter(|overload| overload.member == member) {
            let base = self.mapping.fresh_many(overload.parameters);
            let wanted: Vec<Type> =
                overload.args.iter().map(|kind| instantiate(kind, base)).collect();
            if !self.mapping.assign_all(args, &wanted) {
                continue;
            }
            found.push(overload);
            let kind = self.mapping.substitute(&instantiate(&overload.result, base), false);
            result = Some(match result {
                Some(result) if result != Type::Dyn && result != kind => Type::Dyn,
                Some(result) => result,
                None => kind,
            });
        }
        let Some(result) = result else {
            let mut shown: Vec<String> =
                args.iter().map(|kind| self.mapping.substitute(kind, true).to_string()).collect();
            let receiver = if member { format!("{}.", shown.remove(0)) } else { String::new() };
            let signature = format!("{receiver}({})", shown.join(", "));
            let message =
                format!("found no matching overload for '{name}' applied to '{signature}'");
            self.report(at, message);
            return Type::Error;
        };
        self.checked.set_overloads(id, found);
        result
    }

    /// `&&` and `||`, whose arguments are reported one by one.
    fn logic(&mut self, id: Id, function: &str, places: &[u32], args: &[Type]) -> Type {
        let mut fits = true;
        for (at, kind) in places.iter().zip(args) {
            if !self.mapping.assign(kind, &Type::Bool) {
                self.report(*at, format!("expected type 'bool' but found '{kind}'"));
                fits = false;
            }
        }
        if let Some((_, overloads)) = declarations::function(function) {
            self.checked.set_overloads(id, overloads.iter().collect());
        }
        if fits { Type::Bool } else { Type::Error }
    }

    /// The type that takes both. `validators` refuses literals of mixed types.
    fn join(&mut self, previous: Option<Type>, current: Type) -> Type {
        match previous {
            None => current,
            Some(previous) if self.mapping.assign(&previous, &current) => {
                most_general(&previous, &current)
            }
            Some(_) => Type::Dyn,
        }
    }

    /// The type of a part that may be written `?part`.
    fn part(&mut self, part: &mut Expr, optional: bool) -> Type {
        self.check(part);
        let kind = self.kind(part);
        if !optional {
            return kind;
        }
        match kind.optional_value() {
            Some(value) => value.clone(),
            None => {
                if kind != Type::Dyn {
                    let wanted = Type::optional(kind.clone());
                    self.report(part.at, format!("expected type '{wanted}' but found '{kind}'"));
                }
                kind
            }
        }
    }

    fn list(&mut self, expression: &mut Expr) -> Type {
        let Kind::List { elements } = &mut expression.kind else { return Type::Error };
        let mut joined = None;
        for element in elements {
            let kind = self.part(&mut element.value, element.optional);
            joined = Some(self.join(joined, kind));
        }
        Type::list(joined.unwrap_or_else(|| self.mapping.fresh()))
    }

    fn map(&mut self, expression: &mut Expr) -> Type {
        let Kind::Map { entries } = &mut expression.kind else { return Type::Error };
        let (mut keys, mut values) = (None, None);
        for entry in entries {
            let key = self.part(&mut entry.key, false);
            keys = Some(self.join(keys, key));
            let value = self.part(&mut entry.value, entry.optional);
            values = Some(self.join(values, value));
        }
        let keys = keys.unwrap_or_else(|| self.mapping.fresh());
        Type::map(keys, values.unwrap_or_else(|| self.mapping.fresh()))
    }

    fn comprehension(&mut self, fold: &mut Comprehension) -> Type {
        self.check(&mut fold.range);
        self.check(&mut fold.init);
        let range = self.mapping.substitute(&self.kind(&fold.range), false);
        let accumulator = self.kind(&fold.init);
        let depth = self.scopes.len();
        self.scopes.push((fold.accumulator.clone(), accumulator.clone()));
        let (first, second) = self.variables(fold, &range);
        self.scopes.push((fold.variable.clone(), first));
        if let Some(variable) = &fold.variable2 {
            self.scopes.push((variable.clone(), second));
        }
        self.check(&mut fold.condition);
        self.expect(&fold.condition, &Type::Bool);
        self.check(&mut fold.step);
        self.expect(&fold.step, &accumulator);
        self.scopes.truncate(depth + 1);
        self.check(&mut fold.result);
        self.scopes.truncate(depth);
        self.mapping.substitute(&self.kind(&fold.result), false)
    }

    fn variables(&mut self, fold: &Comprehension, range: &Type) -> (Type, Type) {
        let two = fold.variable2.is_some();
        match range {
            Type::List(items) if two => (Type::Int, (**items).clone()),
            Type::List(items) => ((**items).clone(), Type::Dyn),
            Type::Map(pair) => (pair.0.clone(), pair.1.clone()),
            Type::Dyn | Type::Error | Type::Param(_) => {
                self.mapping.assign(&Type::Dyn, range);
                (Type::Dyn, Type::Dyn)
            }
            other => {
                self.report(
                    fold.range.at,
                    format!(
                        "expression of type '{other}' cannot be range of a comprehension (must be \
                         list, map, or dynamic)"
                    ),
                );
                (Type::Error, Type::Error)
            }
        }
    }

    fn expect(&mut self, expression: &Expr, wanted: &Type) {
        let found = self.kind(expression);
        if !self.mapping.assign(wanted, &found) {
            let message = format!("expected type '{wanted}' but found '{found}'");
            self.report(expression.at, message);
        }
    }
}

fn literal_type(value: &Val<'_>) -> Type {
    match value {
        Val::Null => Type::Null,
        Val::Bool(_) => Type::Bool,
        Val::Int(_) => Type::Int,
        Val::Uint(_) => Type::Uint,
        Val::Double(_) => Type::Double,
        Val::Bytes(_) => Type::Bytes,
        _ => Type::String,
    }
}

/// `a.b.c` as one name, if the expression is nothing but identifiers.
fn qualified(expression: &Expr) -> Option<String> {
    match &expression.kind {
        Kind::Ident(name) if name != ACCUMULATOR => Some(name.clone()),
        Kind::Select { operand, field, test_only: false } => {
            Some(format!("{}.{field}", qualified(operand)?))
        }
        _ => None,
    }
}
