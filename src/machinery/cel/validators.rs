//! Checks of literals: ones that would fail whenever they are evaluated, and lists and maps of
//! mixed types (cel-go: cel/validator.go).

use super::ast::{Element, Entry, Expr, Kind};
use super::checker::Checked;
use super::functions;
use super::source::Issue;
use super::types::Type;
use super::value::Val;

/// Reports durations, timestamps and regular expressions that are no such thing, and literals
/// whose parts have several types, unless they are arguments of `format`.
pub(super) fn check(checked: &Checked, expression: &Expr) -> Result<(), Vec<Issue>> {
    let mut validator = Validator { checked, issues: Vec::new() };
    validator.walk(expression, false);
    if validator.issues.is_empty() { Ok(()) } else { Err(validator.issues) }
}

struct Validator<'c> {
    checked: &'c Checked,
    issues: Vec<Issue>,
}

impl Validator<'_> {
    fn walk(&mut self, expression: &Expr, formatted: bool) {
        let mut formatted = formatted;
        match &expression.kind {
            Kind::Call { function, args, .. } => {
                self.argument(function, args);
                formatted |= function == "format";
            }
            Kind::List { elements } if !formatted => self.list(elements),
            Kind::Map { entries } if !formatted => self.map(entries),
            _ => {}
        }
        for child in expression.children() {
            self.walk(child, formatted);
        }
    }

    fn argument(&mut self, function: &str, args: &[Expr]) {
        if let Some(argument) = args.first()
            && let Kind::Literal(value) = &argument.kind
            && !is_valid(function, value)
        {
            self.issues.push(Issue::at(argument.at, format!("invalid {function} argument")));
        }
    }

    fn kind(&self, part: &Expr, optional: bool) -> Type {
        let kind = self.checked.kind(part);
        let inner = kind.optional_value().filter(|_| optional);
        inner.unwrap_or(kind).clone()
    }

    /// Whether a part has the type of those before it.
    fn same(&mut self, first: &mut Option<Type>, kind: Type, at: u32) -> bool {
        let wanted = first.get_or_insert_with(|| kind.clone());
        if *wanted == kind {
            return true;
        }
        self.issues.push(Issue::at(at, format!("expected type '{wanted}' but found '{kind}'")));
        false
    }

    fn list(&mut self, elements: &[Element]) {
        let mut first = None;
        for element in elements {
            let kind = self.kind(&element.value, element.optional);
            if !self.same(&mut first, kind, element.value.at) {
                return;
            }
        }
    }

    fn map(&mut self, entries: &[Entry]) {
        let (mut keys, mut values) = (None, None);
        for entry in entries {
            let (key, value) =
                (self.kind(&entry.key, false), self.kind(&entry.value, entry.optional));
            self.same(&mut keys, key, entry.key.at);
            self.same(&mut values, value, entry.value.at);
        }
    }
}

fn is_valid(function: &str, value: &Val<'static>) -> bool {
    match (function, value) {
        ("duration" | "timestamp", value) => functions::builtin(function)
            .is_none_or(|(name, builtin)| builtin(name, &mut [value.clone()]).is_ok()),
        ("matches", Val::String(pattern)) => functions::regex(pattern).is_ok(),
        _ => true,
    }
}
