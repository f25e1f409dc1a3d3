//! Macros: calls that become other expressions while parsing (cel-go: parser/macro.go,
//! ext/comprehensions.go, ext/lists.go, cel/library.go).

use super::ast::{ACCUMULATOR, Comprehension, Element, Expr, Kind, operator};
use super::parser::Parser;
use super::source::Issue;
use super::value::Val;

type Expanded = Result<Expr, Issue>;

/// A call of a global function, expanded if it is a macro.
pub(super) fn global(
    parser: &mut Parser<'_>,
    at: u32,
    name: &str,
    mut args: Vec<Expr>,
) -> Expanded {
    if name != "has" || args.len() != 1 {
        return Ok(parser.call(at, name, args));
    }
    let argument = args.remove(0);
    match argument.kind {
        Kind::Select { operand, field, test_only: false } => {
            Ok(parser.make(at, Kind::Select { operand, field, test_only: true }))
        }
        _ => Err(Issue::at(argument.at, "invalid argument to has() macro")),
    }
}

/// A call of a member function, expanded if it is a macro.
pub(super) fn member(
    parser: &mut Parser<'_>,
    at: u32,
    target: Expr,
    name: &str,
    args: Vec<Expr>,
) -> Expanded {
    match (name, args.len()) {
        ("all" | "exists" | "exists_one" | "existsOne", 2) => {
            let variable = variable(&args[0], "argument must be a simple name")?;
            quantifier(parser, at, name, target, (variable, None), args)
        }
        ("all" | "exists" | "existsOne", 3) => {
            let (first, second) = two_variables(&args)?;
            quantifier(parser, at, name, target, (first, Some(second)), args)
        }
        ("map", 2 | 3) | ("filter", 2) => {
            let variable = variable(&args[0], "argument is not an identifier")?;
            Ok(collect(parser, at, name, target, variable, args))
        }
        ("transformList" | "transformMap" | "transformMapEntry", 3 | 4) => {
            let variables = two_variables(&args)?;
            Ok(transform(parser, at, name, target, variables, args))
        }
        ("optMap" | "optFlatMap", 2) => optional(parser, at, name, target, args),
        ("sortBy", 2) => sort_by(parser, at, target, args),
        _ => {
            let target = Some(Box::new(target));
            Ok(parser.make(at, Kind::Call { function: name.to_owned(), target, args }))
        }
    }
}

fn variable(expression: &Expr, message: &str) -> Result<String, Issue> {
    match &expression.kind {
        Kind::Ident(name) if name == "__result__" => {
            let message = "iteration variable overwrites accumulator variable";
            Err(Issue::at(expression.at, message))
        }
        Kind::Ident(name) => Ok(name.clone()),
        _ => Err(Issue::at(expression.at, message)),
    }
}

fn two_variables(args: &[Expr]) -> Result<(String, String), Issue> {
    let message = "argument must be a simple name";
    let (first, second) = (variable(&args[0], message)?, variable(&args[1], message)?);
    if first == second {
        let message = format!("duplicate variable name: {first}");
        return Err(Issue::at(args[1].at, message));
    }
    Ok((first, second))
}

/// What a fold does, without its range.
struct Fold {
    variables: (String, Option<String>),
    init: Expr,
    condition: Expr,
    step: Expr,
    result: Expr,
}

fn fold(parser: &mut Parser<'_>, at: u32, range: Expr, fold: Fold) -> Expr {
    let comprehension = Comprehension {
        range,
        variable: fold.variables.0,
        variable2: fold.variables.1,
        accumulator: ACCUMULATOR.to_owned(),
        init: fold.init,
        condition: fold.condition,
        step: fold.step,
        result: fold.result,
    };
    parser.make(at, Kind::Comprehension(Box::new(comprehension)))
}

fn accumulator(parser: &mut Parser<'_>, at: u32) -> Expr {
    parser.make(at, Kind::Ident(ACCUMULATOR.to_owned()))
}

fn literal(parser: &mut Parser<'_>, at: u32, value: Val<'static>) -> Expr {
    parser.make(at, Kind::Literal(value))
}

fn quantifier(
    parser: &mut Parser<'_>,
    at: u32,
    name: &str,
    target: Expr,
    variables: (String, Option<String>),
    mut args: Vec<Expr>,
) -> Expanded {
    let predicate = args.pop().expect("the macro was matched by its number of arguments");
    let accu = accumulator(parser, at);
    let made = match name {
        "all" => {
            let init = literal(parser, at, Val::Bool(true));
            let condition = parser.call(at, operator::NOT_STRICTLY_FALSE, vec![accu]);
            let accu = accumulator(parser, at);
            let step = parser.call(at, operator::AND, vec![accu, predicate]);
            Fold { variables, init, condition, step, result: accumulator(parser, at) }
        }
        "exists" => {
            let init = literal(parser, at, Val::Bool(false));
            let not = parser.call(at, operator::NOT, vec![accu]);
            let condition = parser.call(at, operator::NOT_STRICTLY_FALSE, vec![not]);
            let accu = accumulator(parser, at);
            let step = parser.call(at, operator::OR, vec![accu, predicate]);
            Fold { variables, init, condition, step, result: accumulator(parser, at) }
        }
        _ => {
            let init = literal(parser, at, Val::Int(0));
            let condition = literal(parser, at, Val::Bool(true));
            let one = literal(parser, at, Val::Int(1));
            let more = parser.call(at, operator::ADD, vec![accu, one]);
            let same = accumulator(parser, at);
            let step = parser.call(at, operator::CONDITIONAL, vec![predicate, more, same]);
            let (accu, one) = (accumulator(parser, at), literal(parser, at, Val::Int(1)));
            let result = parser.call(at, operator::EQUALS, vec![accu, one]);
            Fold { variables, init, condition, step, result }
        }
    };
    Ok(fold(parser, at, target, made))
}

fn append(parser: &mut Parser<'_>, at: u32, value: Expr, filter: Option<Expr>) -> Expr {
    let accu = accumulator(parser, at);
    let list = Kind::List { elements: vec![Element { value, optional: false }] };
    let list = parser.make(at, list);
    let step = parser.call(at, operator::ADD, vec![accu, list]);
    only_if(parser, at, filter, step)
}

fn only_if(parser: &mut Parser<'_>, at: u32, filter: Option<Expr>, step: Expr) -> Expr {
    let Some(filter) = filter else { return step };
    let accu = accumulator(parser, at);
    parser.call(at, operator::CONDITIONAL, vec![filter, step, accu])
}

fn collect(
    parser: &mut Parser<'_>,
    at: u32,
    name: &str,
    target: Expr,
    variable: String,
    mut args: Vec<Expr>,
) -> Expr {
    let last = args.pop().expect("the macro was matched by its number of arguments");
    let (value, filter) = match name {
        "filter" => (args.remove(0), Some(last)),
        _ => (last, (args.len() == 2).then(|| args.remove(1))),
    };
    let init = parser.make(at, Kind::List { elements: Vec::new() });
    let condition = literal(parser, at, Val::Bool(true));
    let step = append(parser, at, value, filter);
    let result = accumulator(parser, at);
    let variables = (variable, None);
    fold(parser, at, target, Fold { variables, init, condition, step, result })
}

fn transform(
    parser: &mut Parser<'_>,
    at: u32,
    name: &str,
    target: Expr,
    (first, second): (String, String),
    mut args: Vec<Expr>,
) -> Expr {
    let value = args.pop().expect("the macro was matched by its number of arguments");
    let filter = (args.len() == 3).then(|| args.remove(2));
    let is_list = name == "transformList";
    let init = match is_list {
        true => parser.make(at, Kind::List { elements: Vec::new() }),
        false => parser.make(at, Kind::Map { entries: Vec::new() }),
    };
    let condition = literal(parser, at, Val::Bool(true));
    let step = if is_list {
        append(parser, at, value, filter)
    } else {
        let accu = accumulator(parser, at);
        let mut inserted = vec![accu];
        if name == "transformMap" {
            inserted.push(parser.make(at, Kind::Ident(first.clone())));
        }
        inserted.push(value);
        let step = parser.call(at, "cel.@mapInsert", inserted);
        only_if(parser, at, filter, step)
    };
    let result = accumulator(parser, at);
    let variables = (first, Some(second));
    fold(parser, at, target, Fold { variables, init, condition, step, result })
}

/// A local name for a value: a fold over nothing.
fn bind(parser: &mut Parser<'_>, at: u32, name: String, value: Expr, result: Expr) -> Expr {
    let range = parser.make(at, Kind::List { elements: Vec::new() });
    let condition = literal(parser, at, Val::Bool(false));
    let step = parser.make(at, Kind::Ident(name.clone()));
    let comprehension = Comprehension {
        range,
        variable: "#unused".to_owned(),
        variable2: None,
        accumulator: name,
        init: value,
        condition,
        step,
        result,
    };
    parser.make(at, Kind::Comprehension(Box::new(comprehension)))
}

fn member_call(parser: &mut Parser<'_>, at: u32, target: Expr, name: &str) -> Expr {
    let (function, target) = (name.to_owned(), Some(Box::new(target)));
    parser.make(at, Kind::Call { function, target, args: Vec::new() })
}

fn optional(
    parser: &mut Parser<'_>,
    at: u32,
    name: &str,
    target: Expr,
    mut args: Vec<Expr>,
) -> Expanded {
    let result = args.pop().expect("the macro was matched by its number of arguments");
    let Kind::Ident(variable) = args[0].kind.clone() else {
        let message = format!("{name}() variable name must be a simple identifier");
        return Err(Issue::at(args[0].at, message));
    };
    let copied = parser.copy(&target);
    let has_value = member_call(parser, at, target, "hasValue");
    let value = member_call(parser, at, copied, "value");
    let mut bound = bind(parser, at, variable, value, result);
    if name == "optMap" {
        bound = parser.call(at, "optional.of", vec![bound]);
    }
    let none = parser.call(at, "optional.none", Vec::new());
    Ok(parser.call(at, operator::CONDITIONAL, vec![has_value, bound, none]))
}

fn sort_by(parser: &mut Parser<'_>, at: u32, target: Expr, args: Vec<Expr>) -> Expanded {
    let simple = matches!(
        target.kind,
        Kind::Select { .. }
            | Kind::List { .. }
            | Kind::Ident(_)
            | Kind::Comprehension(_)
            | Kind::Call { .. }
    );
    if !simple {
        let message = "sortBy can only be applied to a list, identifier, comprehension, call or \
                       select expression";
        return Err(Issue::at(target.at, message));
    }
    let variable = variable(&args[0], "argument is not an identifier")?;
    let name = "@__sortBy_input__".to_owned();
    let input = parser.make(at, Kind::Ident(name.clone()));
    let keys = collect(parser, at, "map", input, variable, args);
    let receiver = Some(Box::new(parser.make(at, Kind::Ident(name.clone()))));
    let function = "@sortByAssociatedKeys".to_owned();
    let sorted = parser.make(at, Kind::Call { function, target: receiver, args: vec![keys] });
    Ok(bind(parser, at, name, target, sorted))
}
