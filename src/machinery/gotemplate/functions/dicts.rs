//! sprig's functions on dictionaries. (sprig v3.3: dict.go)

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::values::{deep_copy, to_text};
use super::{Answer, Entry, Type, any, text};
use crate::machinery::gotemplate::data::{self, Data, Elements};

type Entries = BTreeMap<Rc<str>, Data>;

/// Deepest nesting that is looked into.
const DEPTH_MAX: usize = 200;

pub(super) const TABLE: &[Entry] = &[
    ("dict", &[], Some(Type::Any), dict),
    ("get", &[Type::Dict, Type::Text], None, |args| {
        Ok(entry(any(args, 0), text(args, 1)).unwrap_or_else(|| Data::text("")))
    }),
    ("set", &[Type::Dict, Type::Text, Type::Any], None, set),
    ("unset", &[Type::Dict, Type::Text], None, unset),
    ("hasKey", &[Type::Dict, Type::Text], None, |args| {
        Ok(Data::Bool(entry(any(args, 0), text(args, 1)).is_some()))
    }),
    ("pluck", &[Type::Text], Some(Type::Dict), |args| {
        let dicts = args.iter().skip(1);
        Ok(Data::list(dicts.filter_map(|dict| entry(dict, text(args, 0))).collect()))
    }),
    ("keys", &[], Some(Type::Dict), |args| {
        let keys = args.iter().flat_map(|dict| entries(dict).into_keys());
        Ok(Data::texts(keys.map(|key| key.to_string())))
    }),
    ("values", &[Type::Dict], None, |args| {
        Ok(Data::list(entries(any(args, 0)).into_values().collect()))
    }),
    ("pick", &[Type::Dict], Some(Type::Text), |args| Ok(filtered(args, true))),
    ("omit", &[Type::Dict], Some(Type::Text), |args| Ok(filtered(args, false))),
    ("merge", &[Type::Dict], Some(Type::Dict), |args| merge(args, false)),
    ("mustMerge", &[Type::Dict], Some(Type::Dict), |args| merge(args, false)),
    ("mergeOverwrite", &[Type::Dict], Some(Type::Dict), |args| merge(args, true)),
    ("mustMergeOverwrite", &[Type::Dict], Some(Type::Dict), |args| merge(args, true)),
    ("dig", &[], Some(Type::Any), dig),
    ("deepCopy", &[Type::Any], None, |args| deep_copy(any(args, 0))),
    ("mustDeepCopy", &[Type::Any], None, |args| deep_copy(any(args, 0))),
];

fn entry(dict: &Data, key: &str) -> Option<Data> {
    match dict {
        Data::Map(_, map) => map.borrow().get(key).cloned(),
        _ => None,
    }
}

fn entries(dict: &Data) -> Entries {
    match dict {
        Data::Map(_, map) => BTreeMap::clone(&map.borrow()),
        _ => Entries::new(),
    }
}

fn dict(args: &[Data]) -> Answer {
    let mut made = Entries::new();
    for pair in args.chunks(2) {
        let key = to_text(any(pair, 0))?;
        made.insert(key.into(), pair.get(1).cloned().unwrap_or_else(|| Data::text("")));
    }
    Ok(Data::map(made))
}

fn set(args: &[Data]) -> Answer {
    let dict = any(args, 0);
    if let Data::Map(_, map) = dict {
        let value = any(args, 2);
        let mut budget = super::SIZE_MAX;
        if holds(value, map, &mut budget, 0) {
            return Err("a dictionary cannot hold itself".to_owned());
        }
        map.borrow_mut().insert(text(args, 1).into(), value.clone());
    }
    Ok(dict.clone())
}

/// Whether a value is or contains a dictionary. Values that are too large or deep to tell count as if they
/// did: a cycle would never be printed to its end.
fn holds(
    value: &Data,
    dict: &Rc<RefCell<data::Entries>>,
    budget: &mut usize,
    depth: usize,
) -> bool {
    if *budget == 0 || depth > DEPTH_MAX {
        return true;
    }
    *budget -= 1;
    match value {
        Data::List(_, list) => list.iter().any(|element| holds(element, dict, budget, depth + 1)),
        Data::Map(_, map) => {
            Rc::ptr_eq(map, dict)
                || map.borrow().values().any(|value| holds(value, dict, budget, depth + 1))
        }
        _ => false,
    }
}

fn unset(args: &[Data]) -> Answer {
    if let Data::Map(_, map) = any(args, 0) {
        map.borrow_mut().remove(text(args, 1));
    }
    Ok(any(args, 0).clone())
}

fn filtered(args: &[Data], keeps: bool) -> Data {
    let names: Vec<&str> = (1..args.len()).map(|at| text(args, at)).collect();
    let mut found = entries(any(args, 0));
    found.retain(|key, _| names.contains(&&**key) == keeps);
    Data::map(found)
}

/// Merges further dictionaries into the first. (mergo v1: fills what is empty, or overwrites with
/// what is not)
fn merge(args: &[Data], overwrites: bool) -> Answer {
    let target = any(args, 0);
    for source in args.iter().skip(1) {
        let mut budget = super::SIZE_MAX;
        if let Data::Map(_, map) = target
            && entries(source).values().any(|value| holds(value, map, &mut budget, 0))
        {
            return Err("a dictionary cannot hold itself".to_owned());
        }
        merge_into(target, source, overwrites, 0)?;
    }
    Ok(target.clone())
}

fn merge_into(target: &Data, source: &Data, overwrites: bool, depth: usize) -> Result<(), String> {
    let (Data::Map(_, into), Data::Map(_, from)) = (target, source) else { return Ok(()) };
    if depth > 100 || Rc::ptr_eq(into, from) {
        return Ok(());
    }
    let found: Vec<(Rc<str>, Data)> =
        from.borrow().iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    for (key, value) in found {
        let held = into.borrow().get(&key).cloned();
        match (&held, &value) {
            (Some(held @ Data::Map(..)), Data::Map(..)) => {
                merge_into(held, &value, overwrites, depth + 1)?;
            }
            (Some(held), value) if held.is_true() && !(overwrites && value.is_true()) => {}
            (Some(_), value) if !value.is_true() => {}
            _ => {
                into.borrow_mut().insert(key, value);
            }
        }
    }
    Ok(())
}

fn dig(args: &[Data]) -> Answer {
    let [keys @ .., default, dict] = args else {
        return Err("dig needs at least three arguments".to_owned());
    };
    if keys.is_empty() {
        return Err("dig needs at least three arguments".to_owned());
    }
    let mut found = dict.clone();
    for key in keys {
        if !matches!(found, Data::Map(Elements::Any, _)) {
            return Err(format!(
                "interface conversion: interface {{}} is {}, not map[string]interface {{}}",
                if found.is_nil() { "nil" } else { found.type_name() }
            ));
        }
        let Data::Text(key) = key else {
            return Err(format!(
                "interface conversion: interface {{}} is {}, not string",
                key.type_name()
            ));
        };
        match entry(&found, key) {
            Some(value) => found = value,
            None => return Ok(default.clone()),
        }
    }
    Ok(found)
}
