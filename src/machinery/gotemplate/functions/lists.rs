//! sprig's functions on lists. (sprig v3.3: list.go)

use std::rc::Rc;

use super::numbers::to_int;
use super::values::{is_deeply_equal, to_texts};
use super::{Answer, Entry, Type, any, int, text, within};
use crate::machinery::gotemplate::data::{Data, Elements, Items};

const ANY: &[Type] = &[Type::Any];
const TWO: &[Type] = &[Type::Any, Type::Any];

pub(super) const TABLE: &[Entry] = &[
    ("list", &[], Some(Type::Any), |args| Ok(Data::list(args.to_vec()))),
    ("tuple", &[], Some(Type::Any), |args| Ok(Data::list(args.to_vec()))),
    ("append", TWO, None, push),
    ("push", TWO, None, push),
    ("mustAppend", TWO, None, push),
    ("mustPush", TWO, None, push),
    ("prepend", TWO, None, prepend),
    ("mustPrepend", TWO, None, prepend),
    ("first", ANY, None, first),
    ("mustFirst", ANY, None, first),
    ("last", ANY, None, last),
    ("mustLast", ANY, None, last),
    ("rest", ANY, None, rest),
    ("mustRest", ANY, None, rest),
    ("initial", ANY, None, initial),
    ("mustInitial", ANY, None, initial),
    ("reverse", ANY, None, reverse),
    ("mustReverse", ANY, None, reverse),
    ("compact", ANY, None, compact),
    ("mustCompact", ANY, None, compact),
    ("uniq", ANY, None, uniq),
    ("mustUniq", ANY, None, uniq),
    ("without", ANY, Some(Type::Any), without),
    ("mustWithout", ANY, Some(Type::Any), without),
    ("has", TWO, None, has),
    ("mustHas", TWO, None, has),
    ("slice", ANY, Some(Type::Any), slice),
    ("mustSlice", ANY, Some(Type::Any), slice),
    ("concat", &[], Some(Type::Any), concat),
    ("chunk", &[Type::Int, Type::Any], None, chunk),
    ("mustChunk", &[Type::Int, Type::Any], None, chunk),
    ("join", &[Type::Text, Type::Any], None, join),
    ("sortAlpha", ANY, None, sort),
    ("toStrings", ANY, None, |args| to_texts(any(args, 0)).map(Data::texts)),
];

/// What Go's runtime says where a nil is asked for its type.
pub(super) const NIL: &str = "runtime error: invalid memory address or nil pointer dereference";

fn elements<'a>(data: &'a Data, wrong: &str) -> Result<&'a Rc<Items>, String> {
    match data {
        Data::List(_, list) => Ok(list),
        data if data.is_nil() => Err(NIL.to_owned()),
        other => Err(format!("{wrong} {}", other.kind_name())),
    }
}

fn push(args: &[Data]) -> Answer {
    let mut list = elements(any(args, 0), "Cannot push on type")?.to_vec();
    within(list.len() + 1)?;
    list.push(any(args, 1).clone());
    Ok(Data::list(list))
}

fn prepend(args: &[Data]) -> Answer {
    let mut list = elements(any(args, 0), "Cannot prepend on type")?.to_vec();
    within(list.len() + 1)?;
    list.insert(0, any(args, 1).clone());
    Ok(Data::list(list))
}

fn first(args: &[Data]) -> Answer {
    let list = elements(any(args, 0), "Cannot find first on type")?;
    Ok(list.first().cloned().unwrap_or(Data::Nil))
}

fn last(args: &[Data]) -> Answer {
    let list = elements(any(args, 0), "Cannot find last on type")?;
    Ok(list.last().cloned().unwrap_or(Data::Nil))
}

fn rest(args: &[Data]) -> Answer {
    let list = elements(any(args, 0), "Cannot find rest on type")?;
    Ok(Data::list(list.get(1..).unwrap_or_default().to_vec()))
}

fn initial(args: &[Data]) -> Answer {
    let list = elements(any(args, 0), "Cannot find initial on type")?;
    Ok(Data::list(list[..list.len().saturating_sub(1)].to_vec()))
}

fn reverse(args: &[Data]) -> Answer {
    let list = elements(any(args, 0), "Cannot find reverse on type")?;
    Ok(Data::list(list.iter().rev().cloned().collect()))
}

fn compact(args: &[Data]) -> Answer {
    let list = elements(any(args, 0), "Cannot compact on type")?;
    Ok(Data::list(list.iter().filter(|element| element.is_true()).cloned().collect()))
}

/// Lists that are compared pairwise are kept short.
fn comparable(list: &[Data]) -> Result<(), String> {
    within(list.len().saturating_mul(256))
}

fn uniq(args: &[Data]) -> Answer {
    let list = elements(any(args, 0), "Cannot find uniq on type")?;
    comparable(list)?;
    let mut found: Vec<Data> = Vec::new();
    for element in list.iter() {
        if !is_in(&found, element)? {
            found.push(element.clone());
        }
    }
    Ok(Data::list(found))
}

fn without(args: &[Data]) -> Answer {
    let list = elements(any(args, 0), "Cannot find without on type")?;
    comparable(list)?;
    let omitted = args.get(1..).unwrap_or_default();
    let mut found = Vec::new();
    for element in list.iter() {
        if !is_in(omitted, element)? {
            found.push(element.clone());
        }
    }
    Ok(Data::list(found))
}

fn has(args: &[Data]) -> Answer {
    let list = any(args, 1);
    if list.is_nil() {
        return Ok(Data::Bool(false));
    }
    let list = elements(list, "Cannot find has on type")?;
    Ok(Data::Bool(is_in(list, any(args, 0))?))
}

fn is_in(list: &[Data], needle: &Data) -> Result<bool, String> {
    for element in list {
        if is_deeply_equal(needle, element)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn slice(args: &[Data]) -> Answer {
    let list = elements(any(args, 0), "list should be type of slice or array but")?;
    if list.is_empty() {
        return Ok(Data::Nil);
    }
    let length = list.len();
    let bound = |at: usize, default: usize| match args.get(at) {
        None => Some(default),
        Some(number) => usize::try_from(to_int(number)).ok(),
    };
    let range = (bound(1, 0), bound(2, length));
    let (Some(start), Some(end)) = range else {
        return Err("reflect.Value.Slice: slice index out of bounds".to_owned());
    };
    let Some(part) = list.get(start..end) else {
        return Err("reflect.Value.Slice: slice index out of bounds".to_owned());
    };
    let held = match any(args, 0) {
        Data::List(held, _) => *held,
        _ => Elements::Any,
    };
    Ok(Data::List(held, Rc::new(part.iter().cloned().collect())))
}

fn concat(args: &[Data]) -> Answer {
    let mut all = Vec::new();
    for list in args {
        let list = match list {
            Data::List(_, list) => list,
            data if data.is_nil() => return Err(NIL.to_owned()),
            other => return Err(format!("Cannot concat type {} as list", other.kind_name())),
        };
        within(all.len() + list.len())?;
        all.extend(list.iter().cloned());
    }
    Ok(Data::list(all))
}

fn chunk(args: &[Data]) -> Answer {
    let list = elements(any(args, 1), "Cannot chunk type")?;
    let size = usize::try_from(int(args, 0)).ok().filter(|size| *size > 0);
    let Some(size) = size else { return Err("runtime error: makeslice: len out of range".into()) };
    let chunks = list.chunks(size).map(|chunk| Data::list(chunk.to_vec()));
    Ok(Data::list(chunks.collect()))
}

fn join(args: &[Data]) -> Answer {
    let (separator, parts) = (text(args, 0), to_texts(any(args, 1))?);
    let size: usize = parts.iter().map(|part| part.len() + separator.len()).sum();
    within(size)?;
    Ok(Data::text(parts.join(separator)))
}

fn sort(args: &[Data]) -> Answer {
    let mut parts = to_texts(any(args, 0))?;
    parts.sort();
    Ok(Data::texts(parts))
}
