//! The functions of the environment. A function looks at the values it is given; what fits no
//! overload is "no such overload".

mod authorization;
mod conversions;
mod format;
mod lists;
mod network;
mod numbers;
mod operators;
mod strings;

use std::collections::HashMap;
use std::sync::LazyLock;

use super::error::EvalError;
use super::value::Val;

pub(super) use operators::contains;
pub(super) use strings::regex;

/// Takes the function's name and its arguments, the receiver first.
pub(super) type Builtin = for<'a> fn(&'static str, &mut [Val<'a>]) -> Result<Val<'a>, EvalError>;

type Called<'a> = Result<Val<'a>, EvalError>;

/// A function by name.
pub(super) fn builtin(name: &str) -> Option<(&'static str, Builtin)> {
    BUILTINS.get_key_value(name).map(|(name, builtin)| (*name, *builtin))
}

static BUILTINS: LazyLock<HashMap<&'static str, Builtin>> = LazyLock::new(|| {
    let tables = [
        operators::FUNCTIONS,
        conversions::FUNCTIONS,
        strings::FUNCTIONS,
        format::FUNCTIONS,
        lists::FUNCTIONS,
        network::FUNCTIONS,
        numbers::FUNCTIONS,
        authorization::FUNCTIONS,
    ];
    tables.into_iter().flatten().copied().collect()
});

fn unfit<'a>() -> Called<'a> {
    Err(EvalError::no_such_overload())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machinery::cel::declarations;

    #[test]
    fn every_function_is_declared_and_the_other_way_round() {
        for name in BUILTINS.keys() {
            assert!(declarations::function(name).is_some(), "{name} is not declared");
        }
        // These are steps of their own.
        let steps = [
            "_&&_",
            "_||_",
            "_?_:_",
            "_==_",
            "_!=_",
            "_[_]",
            "_[?_]",
            "_?._",
            "or",
            "orValue",
            "@not_strictly_false",
        ];
        for line in include_str!("../declarations.txt").lines() {
            let name = line.split(' ').nth(1).expect("a name");
            assert!(steps.contains(&name) || builtin(name).is_some(), "{name} is not there");
        }
    }
}
