//! Checks of literals that would fail whenever they are evaluated (cel-go: cel/validator.go).

use super::ast::{Expr, Kind};
use super::functions;
use super::source::Issue;
use super::value::Val;

/// Reports durations, timestamps and regular expressions that are no such thing.
pub(super) fn check(expression: &Expr) -> Result<(), Vec<Issue>> {
    let mut issues = Vec::new();
    walk(expression, &mut issues);
    if issues.is_empty() { Ok(()) } else { Err(issues) }
}

fn walk(expression: &Expr, issues: &mut Vec<Issue>) {
    if let Kind::Call { function, args, .. } = &expression.kind
        && let Some(argument) = args.first()
        && let Kind::Literal(value) = &argument.kind
        && !is_valid(function, value)
    {
        issues.push(Issue::at(argument.at, format!("invalid {function} argument")));
    }
    for child in expression.children() {
        walk(child, issues);
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
