//! Strategic merge patch against a model, and against patches that a naive kubectl makes.
//!
//! The model knows an edit before it is written down as a patch. Lists are compared in two steps:
//! what is in them, whatever the order; and the order, of which the rules are that items that the
//! patch orders follow its order, and that items of the server keep theirs.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::strategic;
use crate::machinery::random_tests::{Draw, cases, multiplied};
use crate::machinery::schema::Schema;

/// How a value merges.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Scalar,
    /// A list that is replaced.
    Atomic,
    /// A map from any key to text.
    Texts,
    /// A struct with these fields.
    Struct(&'static [(&'static str, Kind)]),
    /// The same with `patchStrategy: retainKeys`.
    Retaining(&'static [(&'static str, Kind)]),
    /// A list of structs that merges by a key.
    Keyed(&'static str, &'static [(&'static str, Kind)]),
    /// A list of texts that merges.
    Merging,
}

const PORT: &[(&str, Kind)] = &[("port", Kind::Scalar), ("at", Kind::Texts)];
const ITEM: &[(&str, Kind)] = &[
    ("name", Kind::Scalar),
    ("image", Kind::Scalar),
    ("args", Kind::Atomic),
    ("env", Kind::Texts),
    ("groups", Kind::Merging),
    ("ports", Kind::Keyed("port", PORT)),
];
const SOURCE: &[(&str, Kind)] =
    &[("type", Kind::Scalar), ("a", Kind::Texts), ("b", Kind::Scalar), ("c", Kind::Merging)];
const SPEC: &[(&str, Kind)] = &[
    ("n", Kind::Scalar),
    ("selector", Kind::Texts),
    ("args", Kind::Atomic),
    ("items", Kind::Keyed("name", ITEM)),
    ("finalizers", Kind::Merging),
    ("source", Kind::Retaining(SOURCE)),
];
const ROOT: &[(&str, Kind)] = &[("spec", Kind::Struct(SPEC))];

/// The OpenAPI schema of a kind.
fn openapi(kind: Kind) -> Value {
    let object = |fields: &[(&str, Kind)]| {
        let fields: Map<String, Value> =
            fields.iter().map(|(name, kind)| ((*name).to_owned(), openapi(*kind))).collect();
        json!({"type": "object", "properties": fields})
    };
    match kind {
        Kind::Scalar => json!({"type": "string"}),
        Kind::Atomic => json!({"type": "array", "items": {"type": "string"}}),
        Kind::Texts => json!({"type": "object", "additionalProperties": {"type": "string"}}),
        Kind::Struct(fields) => object(fields),
        Kind::Retaining(fields) => {
            let mut schema = object(fields);
            schema["x-kubernetes-patch-strategy"] = json!("retainKeys");
            schema
        }
        Kind::Keyed(key, fields) => json!({
            "type": "array", "items": object(fields),
            "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": key,
        }),
        Kind::Merging => json!({
            "type": "array", "items": {"type": "string"}, "x-kubernetes-patch-strategy": "merge",
        }),
    }
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

fn text(draw: &mut Draw) -> Value {
    draw.of(&["1", "2", "3"]).into()
}

fn names(draw: &mut Draw) -> Vec<&'static str> {
    let some = draw.some(&NAMES);
    draw.shuffled(some)
}

/// A random value of a kind.
fn value(draw: &mut Draw, kind: Kind) -> Value {
    match kind {
        Kind::Scalar => text(draw),
        Kind::Atomic => (0..draw.below(3)).map(|_| text(draw)).collect(),
        Kind::Texts => {
            Value::Object(names(draw).iter().map(|name| ((*name).into(), text(draw))).collect())
        }
        Kind::Struct(fields) | Kind::Retaining(fields) => {
            let fields = draw.some(fields);
            let values = fields.iter().map(|(name, kind)| ((*name).into(), value(draw, *kind)));
            Value::Object(values.collect())
        }
        Kind::Keyed(key, fields) => names(draw)
            .iter()
            .map(|name| {
                let mut item = value(draw, Kind::Struct(fields));
                item[key] = (*name).into();
                item
            })
            .collect(),
        Kind::Merging => names(draw).into(),
    }
}

/// What a patch means to do to a value.
#[derive(Clone, Debug)]
enum Edit {
    /// Puts the value in place of what there is.
    Put(Value),
    /// Removes the value.
    Remove,
    /// `$patch: replace` of a map.
    Replace(Map<String, Value>),
    /// `$patch: delete` of a map.
    Clear,
    /// Changes some fields; the others go if they are not among those retained.
    Fields { edits: BTreeMap<String, Edit>, retained: Option<Vec<String>> },
    /// Changes a keyed list.
    Items {
        key: &'static str,
        edits: Vec<(String, Edit)>,
        deleted: Vec<String>,
        replaces: bool,
        order: Option<Vec<String>>,
    },
    /// Changes a list of texts.
    Texts { added: Vec<String>, deleted: Vec<String>, order: Option<Vec<String>> },
}

/// The keys of a list's items.
fn keys(list: Option<&Value>, key: &str) -> Vec<String> {
    let items = list.and_then(Value::as_array).into_iter().flatten();
    let keys = items.map(|item| if item.is_object() { &item[key] } else { item });
    keys.map(|key| key.as_str().unwrap().to_owned()).collect()
}

/// A random order of the items of a list and of those that a patch names.
fn order(draw: &mut Draw, live: Vec<String>, named: &[String]) -> Option<Vec<String>> {
    if draw.flip() {
        return None;
    }
    let mut all = named.to_vec();
    let live = draw.some(&live);
    all.extend(live.into_iter().filter(|name| !named.contains(name)));
    Some(draw.shuffled(all))
}

/// In the order of a list, which has them all.
fn ordered(mut names: Vec<String>, order: Option<&Vec<String>>) -> Vec<String> {
    if let Some(order) = order {
        names.sort_by_key(|name| order.iter().position(|other| other == name));
    }
    names
}

/// A random edit of a value.
fn edit(draw: &mut Draw, kind: Kind, live: Option<&Value>) -> Edit {
    if draw.one_in(8) {
        return Edit::Remove;
    }
    let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
    match kind {
        Kind::Scalar | Kind::Atomic => Edit::Put(value(draw, kind)),
        Kind::Texts | Kind::Struct(_) | Kind::Retaining(_) => edit_of_map(draw, kind, live),
        Kind::Keyed(key, fields) => {
            let mut named = owned(names(draw));
            let deleted = named.split_off(draw.below(named.len() + 1));
            let order = order(draw, keys(live, key), &named);
            let named = ordered(named, order.as_ref());
            let items = live.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let edits = named.into_iter().map(|name| {
                let item = items.iter().find(|item| item[key] == name.as_str());
                let mut edit = edit_of_fields(draw, Kind::Struct(fields), item);
                if let Edit::Fields { edits, .. } = &mut edit {
                    edits.insert(key.to_owned(), Edit::Put(name.as_str().into()));
                }
                (name, edit)
            });
            let edits = edits.collect();
            Edit::Items { key, edits, deleted, replaces: draw.one_in(6), order }
        }
        Kind::Merging => {
            let mut added = owned(names(draw));
            let deleted = added.split_off(draw.below(added.len() + 1));
            let order = order(draw, keys(live, ""), &added);
            Edit::Texts { added: ordered(added, order.as_ref()), deleted, order }
        }
    }
}

fn edit_of_map(draw: &mut Draw, kind: Kind, live: Option<&Value>) -> Edit {
    match draw.below(8) {
        0 => Edit::Clear,
        1 => Edit::Replace(value(draw, kind).as_object().cloned().unwrap()),
        _ => edit_of_fields(draw, kind, live),
    }
}

fn edit_of_fields(draw: &mut Draw, kind: Kind, live: Option<&Value>) -> Edit {
    let named: Vec<(&str, Kind)> = match kind {
        Kind::Struct(fields) | Kind::Retaining(fields) => draw.some(fields),
        _ => names(draw).into_iter().map(|name| (name, Kind::Scalar)).collect(),
    };
    let mut edits = BTreeMap::new();
    for (name, kind) in named {
        edits.insert(name.to_owned(), edit(draw, kind, live.and_then(|live| live.get(name))));
    }
    let retained = (matches!(kind, Kind::Retaining(_)) && draw.flip()).then(|| {
        let kept = edits.iter().filter(|(_, edit)| !matches!(edit, Edit::Remove));
        let mut kept: Vec<String> = kept.map(|(name, _)| name.clone()).collect();
        kept.extend(draw.some(&NAMES).into_iter().map(str::to_owned));
        kept
    });
    Edit::Fields { edits, retained }
}

/// The edit as a patch, put into the patch of what holds it.
fn write(edit: &Edit, name: &str, patch: &mut Map<String, Value>) {
    let value = match edit {
        Edit::Put(value) => value.clone(),
        Edit::Remove => Value::Null,
        Edit::Clear => json!({"$patch": "delete"}),
        Edit::Replace(map) => {
            let mut map = map.clone();
            map.insert("$patch".to_owned(), "replace".into());
            map.into()
        }
        Edit::Fields { .. } => fields(edit),
        Edit::Items { key, edits, deleted, replaces, order } => {
            let gone = deleted.iter().map(|name| json!({*key: name, "$patch": "delete"}));
            let replace = replaces.then(|| json!({"$patch": "replace"}));
            let list: Vec<Value> = replace
                .into_iter()
                .chain(edits.iter().map(|(_, e)| fields(e)))
                .chain(gone)
                .collect();
            if let Some(order) = order {
                let order = order.iter().map(|name| json!({*key: name})).collect();
                patch.insert(format!("$setElementOrder/{name}"), order);
            }
            if list.is_empty() {
                return;
            }
            list.into()
        }
        Edit::Texts { added, deleted, order } => {
            if let Some(order) = order {
                patch.insert(format!("$setElementOrder/{name}"), json!(order));
            }
            if !deleted.is_empty() {
                patch.insert(format!("$deleteFromPrimitiveList/{name}"), json!(deleted));
            }
            if added.is_empty() {
                return;
            }
            json!(added)
        }
    };
    patch.insert(name.to_owned(), value);
}

fn fields(edit: &Edit) -> Value {
    let Edit::Fields { edits, retained } = edit else { panic!("fields are edited") };
    let mut patch = Map::new();
    for (name, edit) in edits {
        write(edit, name, &mut patch);
    }
    if let Some(retained) = retained {
        patch.insert("$retainKeys".to_owned(), json!(retained));
    }
    patch.into()
}

/// What the edit makes of a value, lists in no order.
fn model(edit: &Edit, live: Option<&Value>) -> Option<Value> {
    match (edit, live) {
        (Edit::Put(value), _) => Some(value.clone()),
        (Edit::Remove, _) => None,
        // A directive that finds nothing leaves nothing.
        (Edit::Clear | Edit::Replace(_), None) => None,
        (Edit::Clear, Some(_)) => Some(json!({})),
        (Edit::Replace(map), Some(_)) => Some(map.clone().into()),
        (Edit::Fields { edits, retained }, live) => {
            let live = live.and_then(Value::as_object).cloned().unwrap_or_default();
            let is_kept = |name: &String| retained.as_ref().is_none_or(|kept| kept.contains(name));
            let mut fields: Map<String, Value> =
                live.clone().into_iter().filter(|(name, _)| is_kept(name)).collect();
            for (name, edit) in edits {
                match model(edit, fields.get(name)) {
                    Some(value) => drop(fields.insert(name.clone(), value)),
                    None => drop(fields.remove(name)),
                }
            }
            Some(fields.into())
        }
        (Edit::Items { key, edits, deleted, replaces, .. }, live) => {
            if edits.is_empty() && deleted.is_empty() && !replaces {
                return live.cloned();
            }
            let mut items: BTreeMap<String, Value> = BTreeMap::new();
            for item in live.and_then(Value::as_array).into_iter().flatten() {
                items.insert(item[*key].as_str().unwrap().to_owned(), item.clone());
            }
            items.retain(|name, _| !replaces && !deleted.contains(name));
            for (name, edit) in edits {
                let item = model(edit, items.get(name)).unwrap();
                items.insert(name.clone(), item);
            }
            Some(items.into_values().collect())
        }
        (Edit::Texts { added, deleted, .. }, live) => {
            if live.is_none() && added.is_empty() {
                return None;
            }
            let mut items = keys(live, "");
            items.extend(added.iter().cloned());
            items.retain(|item| !deleted.contains(item));
            items.sort();
            items.dedup();
            Some(json!(items))
        }
    }
}

/// The value with merging lists sorted, so that equal contents are equal values.
fn sorted(value: &Value, kind: Kind) -> Value {
    match (kind, value) {
        (Kind::Struct(kinds) | Kind::Retaining(kinds), Value::Object(fields)) => {
            let kind = |name: &str| kinds.iter().find(|(other, _)| *other == name).unwrap().1;
            let sorted =
                fields.iter().map(|(name, value)| (name.clone(), sorted(value, kind(name))));
            Value::Object(sorted.collect())
        }
        (Kind::Keyed(key, kinds), Value::Array(items)) => {
            let mut items: Vec<Value> =
                items.iter().map(|item| sorted(item, Kind::Struct(kinds))).collect();
            items.sort_by_key(|item| item[key].to_string());
            items.into()
        }
        (Kind::Merging, Value::Array(items)) => {
            let mut items = items.clone();
            items.sort_by_key(Value::to_string);
            items.into()
        }
        _ => value.clone(),
    }
}

/// Checks the order of all lists that an edit touches.
fn check_order(edit: &Edit, live: Option<&Value>, after: Option<&Value>) {
    let of = |list: &[String], other: &[String]| -> Vec<String> {
        list.iter().filter(|name| other.contains(name)).cloned().collect()
    };
    let check = |key: &str, order: &[String], named: &[String]| {
        let (live, after) = (keys(live, key), keys(after, key));
        assert_eq!(of(&after, order), of(order, &after), "items of the patch");
        // What the patch neither names nor orders stands as it stood.
        let own = |list: Vec<String>| -> Vec<String> {
            let is_own = |name: &String| !order.contains(name) && !named.contains(name);
            list.into_iter().filter(|name| is_own(name)).collect()
        };
        let (live, after) = (own(live), own(after));
        let left: Vec<String> = live.into_iter().filter(|name| after.contains(name)).collect();
        assert_eq!(after, left, "items of the server");
    };
    match edit {
        Edit::Fields { edits, .. } => {
            for (name, edit) in edits {
                let below = |value: Option<&Value>| value.and_then(|it| it.get(name)).cloned();
                check_order(edit, below(live).as_ref(), below(after).as_ref());
            }
        }
        Edit::Items { key, edits, order, .. } => {
            let named: Vec<String> = edits.iter().map(|(name, _)| name.clone()).collect();
            check(key, order.as_ref().unwrap_or(&named), &named);
            for (name, edit) in edits {
                let item = |list: Option<&Value>| {
                    let mut items = list.and_then(Value::as_array).into_iter().flatten();
                    items.find(|item| item[*key] == name.as_str()).cloned()
                };
                check_order(edit, item(live).as_ref(), item(after).as_ref());
            }
        }
        Edit::Texts { added, order, .. } => check("", order.as_ref().unwrap_or(added), added),
        Edit::Put(_) | Edit::Remove | Edit::Clear | Edit::Replace(_) => {}
    }
}

#[test]
fn strategic_merge_patch_is_its_model() {
    let schema = Schema::from_openapi(&openapi(Kind::Struct(ROOT))).unwrap();
    let changed = cases("strategic merge patch", 12_000, move |draw| {
        let live = value(draw, Kind::Struct(ROOT));
        let edit = edit_of_fields(draw, Kind::Struct(ROOT), Some(&live));
        let patch = fields(&edit);
        let mut after = live.clone();
        strategic::apply(&mut after, &patch, schema.root())
            .unwrap_or_else(|error| panic!("{}: {patch} on {live}", error.message));
        let expected = model(&edit, Some(&live)).unwrap();
        let sorted = |value: &Value| sorted(value, Kind::Struct(ROOT));
        assert_eq!(sorted(&after), sorted(&expected), "{patch} on {live}");
        check_order(&edit, Some(&live), Some(&after));
        after != live
    });
    assert!(changed > multiplied(12_000) / 3, "{changed}");
}

/// The patch that leads from one value to another, as kubectl would make it; `None` if they are
/// equal.
fn difference(before: &Value, after: &Value, kinds: &[(&str, Kind)]) -> Option<Value> {
    let mut patch = Map::new();
    let (old, new) = (before.as_object().unwrap(), after.as_object().unwrap());
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, value) in new.iter().filter(|(name, value)| old.get(*name) != Some(*value)) {
        let kind = kinds.iter().find(|(other, _)| other == name).map(|(_, kind)| *kind);
        let Some(was) = old.get(name) else {
            patch.insert(name.clone(), value.clone());
            continue;
        };
        match kind.unwrap_or(Kind::Scalar) {
            Kind::Scalar | Kind::Atomic => drop(patch.insert(name.clone(), value.clone())),
            Kind::Texts => drop(patch.insert(name.clone(), difference(was, value, &[]).unwrap())),
            Kind::Struct(kinds) => {
                patch.insert(name.clone(), difference(was, value, kinds).unwrap());
            }
            Kind::Retaining(kinds) => {
                let mut below = difference(was, value, kinds).unwrap();
                let names: Vec<&String> = value.as_object().unwrap().keys().collect();
                below["$retainKeys"] = json!(names);
                patch.insert(name.clone(), below);
            }
            Kind::Merging => {
                let (was, is) = (keys(Some(was), ""), keys(Some(value), ""));
                let only = |list: &[String], other: &[String]| -> Vec<String> {
                    list.iter().filter(|item| !other.contains(item)).cloned().collect()
                };
                let (added, deleted) = (only(&is, &was), only(&was, &is));
                if !added.is_empty() {
                    patch.insert(name.clone(), json!(added));
                }
                if !deleted.is_empty() {
                    patch.insert(format!("$deleteFromPrimitiveList/{name}"), json!(deleted));
                }
                patch.insert(format!("$setElementOrder/{name}"), json!(is));
            }
            Kind::Keyed(key, kinds) => {
                let (was, is) = (was.as_array().unwrap(), value.as_array().unwrap());
                let same = |item: &Value, list: &[Value]| {
                    list.iter().find(|other| other[key] == item[key]).cloned()
                };
                let mut list = Vec::new();
                for item in is {
                    match same(item, was) {
                        None => list.push(item.clone()),
                        Some(old) => {
                            list.extend(difference(&old, item, kinds).map(|mut change| {
                                change[key] = item[key].clone();
                                change
                            }))
                        }
                    }
                }
                let gone = was.iter().filter(|item| same(item, is).is_none());
                list.extend(gone.map(|item| json!({key: item[key], "$patch": "delete"})));
                if !list.is_empty() {
                    patch.insert(name.clone(), list.into());
                }
                let order = is.iter().map(|item| json!({key: item[key]})).collect();
                patch.insert(format!("$setElementOrder/{name}"), order);
            }
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

#[test]
fn a_patch_made_from_two_objects_leads_from_one_to_the_other() {
    let schema = Schema::from_openapi(&openapi(Kind::Struct(ROOT))).unwrap();
    let made = cases("strategic merge patch round trip", 12_000, move |draw| {
        let before = value(draw, Kind::Struct(ROOT));
        let after = value(draw, Kind::Struct(ROOT));
        let patch = difference(&before, &after, ROOT);
        let mut result = before.clone();
        if let Some(patch) = &patch {
            strategic::apply(&mut result, patch, schema.root())
                .unwrap_or_else(|error| panic!("{}: {patch} on {before}", error.message));
        }
        assert_eq!(result, after, "{patch:?} on {before}");
        patch.is_some()
    });
    assert!(made > multiplied(12_000) / 2, "{made}");
}
