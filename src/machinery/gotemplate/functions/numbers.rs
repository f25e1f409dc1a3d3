//! sprig's arithmetic. (sprig v3.3: numeric.go; spf13/cast v1)

use std::rc::Rc;

use super::values::to_text;
use super::{Answer, Entry, Type, any, int, text, within};
use crate::machinery::gotemplate::data::{Data, Elements};

const ANY: &[Type] = &[Type::Any];
const TWO: &[Type] = &[Type::Any, Type::Any];

pub(super) const TABLE: &[Entry] = &[
    ("atoi", &[Type::Text], None, |args| Ok(Data::Int(text(args, 0).parse().unwrap_or(0)))),
    ("int", ANY, None, |args| Ok(Data::Int(to_int(any(args, 0))))),
    ("int64", ANY, None, |args| Ok(Data::Int64(to_int(any(args, 0))))),
    ("float64", ANY, None, |args| Ok(Data::Float(to_float(any(args, 0))))),
    ("toDecimal", ANY, None, |args| {
        Ok(Data::Int64(i64::from_str_radix(&to_text(any(args, 0))?, 8).unwrap_or(0)))
    }),
    ("add1", ANY, None, |args| Ok(Data::Int64(to_int(any(args, 0)).wrapping_add(1)))),
    ("add", &[], Some(Type::Any), |args| {
        Ok(Data::Int64(args.iter().fold(0, |sum, arg| sum.wrapping_add(to_int(arg)))))
    }),
    ("sub", TWO, None, |args| {
        Ok(Data::Int64(to_int(any(args, 0)).wrapping_sub(to_int(any(args, 1)))))
    }),
    ("mul", ANY, Some(Type::Any), |args| {
        Ok(Data::Int64(args.iter().fold(1, |product, arg| product.wrapping_mul(to_int(arg)))))
    }),
    ("div", TWO, None, |args| divide(args, i64::checked_div, i64::wrapping_div)),
    ("mod", TWO, None, |args| divide(args, i64::checked_rem, i64::wrapping_rem)),
    ("max", ANY, Some(Type::Any), |args| extreme(args, i64::max)),
    ("biggest", ANY, Some(Type::Any), |args| extreme(args, i64::max)),
    ("min", ANY, Some(Type::Any), |args| extreme(args, i64::min)),
    ("maxf", ANY, Some(Type::Any), |args| float_fold(args, f64::max)),
    ("minf", ANY, Some(Type::Any), |args| float_fold(args, f64::min)),
    ("add1f", ANY, None, |args| decimal(args, |a, _| a + 1.0)),
    ("addf", &[], Some(Type::Any), |args| {
        Ok(Data::Float(rounded(args.iter().map(to_float).sum())))
    }),
    ("subf", ANY, Some(Type::Any), |args| decimal(args, |a, b| a - b)),
    ("mulf", ANY, Some(Type::Any), |args| decimal(args, |a, b| a * b)),
    ("divf", ANY, Some(Type::Any), divf),
    ("floor", ANY, None, |args| Ok(Data::Float(to_float(any(args, 0)).floor()))),
    ("ceil", ANY, None, |args| Ok(Data::Float(to_float(any(args, 0)).ceil()))),
    ("round", &[Type::Any, Type::Int], Some(Type::Float), round),
    ("until", &[Type::Int], None, |args| {
        let count = int(args, 0);
        Ok(ints(steps(0, count, if count < 0 { -1 } else { 1 })?))
    }),
    ("untilStep", &[Type::Int, Type::Int, Type::Int], None, |args| {
        Ok(ints(steps(int(args, 0), int(args, 1), int(args, 2))?))
    }),
    ("seq", &[], Some(Type::Int), sequence),
];

/// A number as sprig casts it: of texts only those count that are integers.
pub(super) fn to_int(data: &Data) -> i64 {
    match data {
        Data::Int(number) | Data::Int64(number) => *number,
        Data::Uint(number) => i64::try_from(*number).unwrap_or(i64::MAX),
        Data::Float(number) => *number as i64,
        Data::Bool(value) => i64::from(*value),
        Data::Text(text) => {
            // `3.0` counts as 3.
            let whole = text.split_once('.').map_or(&**text, |(whole, fraction)| {
                if fraction.bytes().all(|digit| digit == b'0') { whole } else { text }
            });
            let digits = whole.trim_start_matches('0');
            let digits = if digits.is_empty() && !whole.is_empty() { "0" } else { digits };
            digits.parse().unwrap_or(0)
        }
        _ => 0,
    }
}

fn to_float(data: &Data) -> f64 {
    match data {
        Data::Float(number) => *number,
        Data::Text(text) => text.parse().unwrap_or(0.0),
        Data::Uint(number) => *number as f64,
        other => to_int(other) as f64,
    }
}

fn divide(
    args: &[Data],
    checked: fn(i64, i64) -> Option<i64>,
    wrapping: fn(i64, i64) -> i64,
) -> Answer {
    let (a, b) = (to_int(any(args, 0)), to_int(any(args, 1)));
    if b == 0 {
        return Err("runtime error: integer divide by zero".to_owned());
    }
    Ok(Data::Int64(checked(a, b).unwrap_or_else(|| wrapping(a, b))))
}

fn extreme(args: &[Data], choose: fn(i64, i64) -> i64) -> Answer {
    Ok(Data::Int64(args.iter().map(to_int).reduce(choose).unwrap_or(0)))
}

fn float_fold(args: &[Data], choose: fn(f64, f64) -> f64) -> Answer {
    Ok(Data::Float(args.iter().map(to_float).reduce(choose).unwrap_or(0.0)))
}

/// sprig computes in decimals; doubles rounded to fifteen digits give the same for what templates
/// compute.
fn decimal(args: &[Data], compute: fn(f64, f64) -> f64) -> Answer {
    if let [only] = args {
        return Ok(Data::Float(rounded(compute(to_float(only), 0.0))));
    }
    let result = args.iter().map(to_float).reduce(compute);
    Ok(Data::Float(rounded(result.unwrap_or(0.0))))
}

fn divf(args: &[Data]) -> Answer {
    let mut numbers = args.iter().map(to_float);
    let mut result = numbers.next().unwrap_or(0.0);
    for divisor in numbers {
        if divisor == 0.0 {
            return Err("decimal division by 0".to_owned());
        }
        result /= divisor;
    }
    Ok(Data::Float(rounded(result)))
}

fn rounded(number: f64) -> f64 {
    format!("{number:.14e}").parse().unwrap_or(number)
}

fn round(args: &[Data]) -> Answer {
    let on = args.get(2).map_or(0.5, to_float);
    let power = 10f64.powi(i32::try_from(int(args, 1)).unwrap_or(0));
    let digits = power * to_float(any(args, 0));
    let whole = if digits.fract() >= on { digits.ceil() } else { digits.floor() };
    Ok(Data::Float(whole / power))
}

fn ints(numbers: Vec<i64>) -> Data {
    Data::List(Elements::Int, Rc::new(numbers.into_iter().map(Data::Int).collect()))
}

fn steps(start: i64, stop: i64, step: i64) -> Result<Vec<i64>, String> {
    if step == 0 || (stop < start) != (step < 0) {
        return Ok(Vec::new());
    }
    let count = stop.abs_diff(start).div_ceil(step.unsigned_abs());
    within(usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(16))?;
    let mut numbers = Vec::new();
    let mut number = start;
    while if step > 0 { number < stop } else { number > stop } {
        numbers.push(number);
        let Some(next) = number.checked_add(step) else { break };
        number = next;
    }
    Ok(numbers)
}

fn sequence(args: &[Data]) -> Answer {
    let number = |at: usize| int(args, at);
    let towards = |start: i64, end: i64| if end < start { -1i64 } else { 1 };
    let numbers = match args.len() {
        1 => {
            let step = towards(1, number(0));
            steps(1, number(0).saturating_add(step), step)?
        }
        2 => {
            let step = towards(number(0), number(1));
            steps(number(0), number(1).saturating_add(step), step)?
        }
        3 => {
            let (start, step, end) = (number(0), number(1), number(2));
            if end < start && step > 0 {
                return Ok(Data::text(""));
            }
            steps(start, end.saturating_add(towards(start, end)), step)?
        }
        _ => Vec::new(),
    };
    let shown: Vec<String> = numbers.iter().map(i64::to_string).collect();
    Ok(Data::text(shown.join(" ")))
}
