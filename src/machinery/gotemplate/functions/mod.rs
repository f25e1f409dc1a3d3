//! The functions of templates: Go's own and sprig's hermetic ones.
//! (Go 1.26: text/template/funcs.go; Masterminds/sprig v3.3: functions.go)
//!
//! Left out of sprig's are functions that make keys, certificates and password hashes, encrypt,
//! shuffle or draw random numbers, and those on points in time: a template that uses them is
//! refused as using an unknown function.

mod builtin;
mod dicts;
mod encoding;
mod lists;
mod numbers;
mod paths;
mod regexes;
mod strings;
mod values;
mod versions;
mod words;

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::LazyLock;

use super::data::{Data, Elements};

pub(super) use versions::member as version_member;

/// Bytes of a text and elements of a list that a function may make.
pub(super) const SIZE_MAX: usize = 1 << 20;

/// Work that one execution may do.
const WORK_MAX: usize = 64 << 20;
/// Work of making an element of a list or map, where that of a byte is 1.
const ELEMENT: usize = 32;

thread_local! {
    /// Work that the execution of this thread may still do. An execution never leaves its thread.
    static WORK: Cell<usize> = const { Cell::new(0) };
}

/// Begins an execution.
pub(super) fn begin_work() {
    WORK.set(WORK_MAX);
}

/// Counts work: bytes and elements that are looked at or made.
///
/// # Errors
/// The execution has done enough.
pub(super) fn charge(work: usize) -> Result<(), String> {
    let left = WORK.get().checked_sub(work).ok_or("the template takes too long")?;
    WORK.set(left);
    Ok(())
}

/// Calls a function and counts its work.
///
/// # Errors
/// What Go says after `error calling NAME: `.
pub(super) fn call(function: &Function, args: &[Data]) -> Answer {
    charge(args.iter().map(Data::size).sum())?;
    let made = (function.call)(args)?;
    charge(match &made {
        Data::List(..) | Data::Map(..) => made.size().saturating_mul(ELEMENT),
        other => other.size(),
    })?;
    Ok(made)
}

/// Type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Any,
    Bool,
    Int,
    Float,
    Text,
    /// map[string]interface{}
    Dict,
}

impl Type {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Float => "float64",
            Self::Text => "string",
            Self::Dict => "map[string]interface {}",
        }
    }

    /// Whether a value can be passed as it is.
    pub(super) fn takes(self, data: &Data) -> bool {
        match (self, data) {
            (Self::Any, _) => true,
            (Self::Dict, Data::Map(elements, _)) => *elements == Elements::Any,
            (Self::Bool, Data::Bool(_))
            | (Self::Int, Data::Int(_))
            | (Self::Float, Data::Float(_))
            | (Self::Text, Data::Text(_)) => true,
            _ => false,
        }
    }
}

/// A function's answer; the error is what Go says after `error calling NAME: `.
pub(super) type Answer = Result<Data, String>;

/// A function.
pub(super) struct Function {
    pub(super) params: &'static [Type],
    /// Type of further arguments.
    pub(super) rest: Option<Type>,
    pub(super) call: fn(&[Data]) -> Answer,
}

/// A table's line.
type Entry = (&'static str, &'static [Type], Option<Type>, fn(&[Data]) -> Answer);

static FUNCTIONS: LazyLock<HashMap<&'static str, Function>> = LazyLock::new(|| {
    by_name([
        builtin::TABLE,
        dicts::TABLE,
        encoding::TABLE,
        lists::TABLE,
        numbers::TABLE,
        paths::TABLE,
        regexes::TABLE,
        strings::TABLE,
        values::TABLE,
        versions::TABLE,
        words::TABLE,
    ])
});

/// Go's functions alone.
static BUILTINS: LazyLock<HashMap<&'static str, Function>> =
    LazyLock::new(|| by_name([builtin::TABLE]));

fn by_name(tables: impl IntoIterator<Item = &'static [Entry]>) -> HashMap<&'static str, Function> {
    // Later ones replace earlier ones, as sprig's `slice` does Go's.
    let entries = tables.into_iter().flatten();
    entries.map(|&(name, params, rest, call)| (name, Function { params, rest, call })).collect()
}

/// Whether there is a function of that name, of Go's or also of sprig's.
pub(super) fn exists(name: &str, has_sprig: bool) -> bool {
    find(name, has_sprig).is_some()
}

/// All names, for tests.
#[cfg(test)]
pub(super) fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = FUNCTIONS.keys().copied().collect();
    names.sort_unstable();
    names
}

/// The function of that name, where templates have sprig's and where they have not.
pub(super) fn find(name: &str, has_sprig: bool) -> Option<&'static Function> {
    if has_sprig { FUNCTIONS.get(name) } else { BUILTINS.get(name) }
}

/// An argument that the table says is a text.
fn text(args: &[Data], at: usize) -> &str {
    match args.get(at) {
        Some(Data::Text(text)) => text,
        _ => "",
    }
}

/// An argument that the table says is an int.
fn int(args: &[Data], at: usize) -> i64 {
    match args.get(at) {
        Some(Data::Int(number)) => *number,
        _ => 0,
    }
}

/// An argument of any type.
fn any(args: &[Data], at: usize) -> &Data {
    args.get(at).unwrap_or(&Data::Nil)
}

/// Refuses results that would be too large before they are made.
fn within(size: usize) -> Result<(), String> {
    if size > SIZE_MAX { Err(super::print::too_large()) } else { Ok(()) }
}
