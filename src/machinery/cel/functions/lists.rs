//! Lists and sets (cel-go: ext/lists.go, ext/sets.go; kubernetes 1.36:
//! apiserver/pkg/cel/library/lists.go).

use std::cmp::Ordering;

use super::{Builtin, Called, strings, unfit};
use crate::machinery::cel::equality;
use crate::machinery::cel::error::EvalError;
use crate::machinery::cel::value::{List, Val};

pub(super) const FUNCTIONS: &[(&str, Builtin)] = &[
    ("isSorted", is_sorted),
    ("sum", sum),
    ("min", extreme),
    ("max", extreme),
    ("indexOf", index_of),
    ("lastIndexOf", index_of),
    ("first", end),
    ("last", end),
    ("slice", slice),
    ("flatten", flatten),
    ("sort", sort),
    ("@sortByAssociatedKeys", sort),
    ("lists.range", range),
    ("reverse", reverse),
    ("distinct", distinct),
    ("sets.contains", sets),
    ("sets.equivalent", sets),
    ("sets.intersects", sets),
];

/// Longest list that `lists.range` makes.
const RANGE_MAX: i64 = 1_000_000;

fn is_sorted<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::List(list)] = args else { return unfit() };
    let values = list.values()?;
    for pair in values.windows(2) {
        if equality::order(&pair[0], &pair[1])? == Some(Ordering::Greater) {
            return Ok(Val::Bool(false));
        }
    }
    Ok(Val::Bool(true))
}

fn sum<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::List(list)] = args else { return unfit() };
    let Some((_, add)) = super::builtin("_+_") else { return unfit() };
    let mut total: Option<Val<'a>> = None;
    for item in list.iter() {
        let item = item?;
        total = Some(match total {
            None => item,
            Some(total) => add("_+_", &mut [total, item])?,
        });
    }
    // The checker says what the items are; here an empty list's sum is an integer.
    Ok(total.unwrap_or(Val::Int(0)))
}

fn extreme<'a>(name: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::List(list)] = args else { return unfit() };
    let wanted = if name == "min" { Ordering::Less } else { Ordering::Greater };
    let mut best: Option<Val<'a>> = None;
    for item in list.iter() {
        let item = item?;
        let better = match &best {
            None => true,
            Some(best) => equality::order(&item, best)? == Some(wanted),
        };
        if better {
            best = Some(item);
        }
    }
    best.ok_or_else(|| EvalError::new(format!("{name} called on empty list")))
}

fn index_of<'a>(name: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::List(list), wanted] = &*args else { return strings::index_of(name, args) };
    let mut found = -1;
    for (index, item) in list.iter().enumerate() {
        if equality::equal(&item?, wanted)? {
            found = index as i64;
            if name == "indexOf" {
                break;
            }
        }
    }
    Ok(Val::Int(found))
}

fn end<'a>(name: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::List(list)] = args else { return unfit() };
    let at = if name == "first" { Some(0) } else { list.len().checked_sub(1) };
    match at.and_then(|at| list.get(at)) {
        Some(value) => Ok(Val::some(value?)),
        None => Ok(Val::Optional(None)),
    }
}

fn slice<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::List(list), Val::Int(start), Val::Int(end)] = &*args else { return unfit() };
    let refuse = |why: String| Err(EvalError::new(format!("cannot slice({start}, {end}), {why}")));
    if *start < 0 || *end < 0 {
        return refuse("negative indexes not supported".to_owned());
    }
    if start > end {
        return refuse("start index must be less than or equal to end index".to_owned());
    }
    if (list.len() as i64) < *end {
        return refuse(format!("list is length {}", list.len()));
    }
    let values: Result<Vec<Val<'a>>, EvalError> =
        (*start as usize..*end as usize).filter_map(|index| list.get(index)).collect();
    values.map(Val::list)
}

fn flatten<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let (list, depth) = match args {
        [Val::List(list)] => (list, 1),
        [Val::List(list), Val::Int(depth)] => (list, *depth),
        _ => return unfit(),
    };
    if depth < 0 {
        return Err(EvalError::new("level must be non-negative"));
    }
    let mut values = Vec::new();
    // Items and how many levels below them are to be flattened, in reverse order.
    let mut pending: Vec<(Val<'a>, i64)> = Vec::new();
    let push = |pending: &mut Vec<(Val<'a>, i64)>, list: &List<'a>, depth: i64| {
        let items: Result<Vec<Val<'a>>, EvalError> = list.values();
        items.map(|items| pending.extend(items.into_iter().rev().map(|item| (item, depth))))
    };
    push(&mut pending, list, depth)?;
    while let Some((value, depth)) = pending.pop() {
        match value {
            Val::List(inner) if depth > 0 => push(&mut pending, &inner, depth - 1)?,
            other => values.push(other),
        }
    }
    Ok(Val::list(values))
}

fn sort<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let (list, keys) = match args {
        [Val::List(list)] => (&*list, &*list),
        [Val::List(list), Val::List(keys)] => (&*list, &*keys),
        _ => return unfit(),
    };
    let (values, keys) = (list.values()?, keys.values()?);
    if let Some(pair) = keys.windows(2).find(|pair| pair[0].type_name() != pair[1].type_name()) {
        debug_assert_ne!(pair[0].type_name(), pair[1].type_name());
        return Err(EvalError::new("list elements must have the same type"));
    }
    let mut order: Vec<usize> = (0..values.len().min(keys.len())).collect();
    let mut failure = None;
    order.sort_by(|one, two| match equality::order(&keys[*one], &keys[*two]) {
        Ok(order) => order.unwrap_or(Ordering::Equal),
        Err(error) => {
            failure.get_or_insert(error);
            Ordering::Equal
        }
    });
    match failure {
        Some(_) => Err(EvalError::new("list elements must be comparable")),
        None => Ok(Val::list(order.into_iter().map(|index| values[index].clone()).collect())),
    }
}

fn range<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::Int(count)] = args else { return unfit() };
    if *count > RANGE_MAX {
        // It would cost more than an evaluation may.
        return Err(EvalError::call_limit());
    }
    Ok(Val::list((0..*count).map(Val::Int).collect()))
}

fn reverse<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::List(list)] = args else { return unfit() };
    let mut values = list.values()?;
    values.reverse();
    Ok(Val::list(values))
}

fn distinct<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::List(list)] = args else { return unfit() };
    let mut values: Vec<Val<'a>> = Vec::new();
    for item in list.iter() {
        let item = item?;
        if !holds(&values, &item)? {
            values.push(item);
        }
    }
    Ok(Val::list(values))
}

fn holds(values: &[Val<'_>], wanted: &Val<'_>) -> Result<bool, EvalError> {
    for value in values {
        if equality::equal(value, wanted)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn sets<'a>(name: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::List(one), Val::List(two)] = args else { return unfit() };
    let (one, two) = (one.values()?, two.values()?);
    let within = |inner: &[Val<'a>], outer: &[Val<'a>]| {
        inner.iter().try_fold(true, |all, value| Ok(all && holds(outer, value)?))
    };
    let found: Result<bool, EvalError> = match name {
        "sets.contains" => within(&two, &one),
        "sets.equivalent" => Ok(within(&two, &one)? && within(&one, &two)?),
        _ => one.iter().try_fold(false, |any, value| Ok(any || holds(&two, value)?)),
    };
    found.map(Val::Bool)
}
