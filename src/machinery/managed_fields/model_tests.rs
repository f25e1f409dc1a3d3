//! Ownership of fields against a naive model: objects as maps from paths to leaves, managers as
//! sets of paths.
//!
//! The model knows nothing of order (two checks of their own look at that) and of empty maps and
//! lists, which the random objects do not have.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::field_set::FieldSet;
use super::{Force, Others, Writer, apply, update};
use crate::machinery::field_path::{PathElement, display};
use crate::machinery::random_tests::{Draw, cases, multiplied};
use crate::machinery::schema::Schema;
use crate::machinery::status::Status;

type Path = Vec<PathElement>;
type Paths = BTreeSet<Path>;

/// A random schema.
#[derive(Clone, Debug)]
enum Kind {
    Number,
    Struct(Vec<(&'static str, Kind)>),
    /// A map from any key, item by item.
    Granular(Box<Kind>),
    AtomicMap,
    AtomicList,
    Set,
    /// A list of structs with one or two keys, the second of which has a default.
    Keyed {
        has_port: bool,
        fields: Vec<(&'static str, Kind)>,
    },
}

const NAMES: [&str; 3] = ["a", "b", "c"];
const DEFAULT_PORT: i64 = 80;
/// Few, because a case is six requests and their models; `CAPIM_FUZZ=10` makes it 12,000 requests.
const CASES: u64 = 200;

fn kind(draw: &mut Draw, depth: usize) -> Kind {
    match draw.below(if depth == 0 { 4 } else { 8 }) {
        0 => Kind::Number,
        1 => Kind::AtomicMap,
        2 => Kind::AtomicList,
        3 => Kind::Set,
        4 => Kind::Granular(Box::new(kind(draw, depth - 1))),
        5 | 6 => Kind::Keyed { has_port: draw.flip(), fields: fields(draw, depth - 1) },
        _ => Kind::Struct(fields(draw, depth - 1)),
    }
}

fn fields(draw: &mut Draw, depth: usize) -> Vec<(&'static str, Kind)> {
    ["x", "y", "z"][..=draw.below(3)].iter().map(|name| (*name, kind(draw, depth))).collect()
}

fn openapi(kind: &Kind) -> Value {
    let object = |fields: &[(&'static str, Kind)]| {
        let fields: Map<String, Value> =
            fields.iter().map(|(name, kind)| ((*name).to_owned(), openapi(kind))).collect();
        json!({"type": "object", "properties": fields})
    };
    let text = json!({"type": "string"});
    match kind {
        Kind::Number => json!({"type": "integer"}),
        Kind::Struct(fields) => object(fields),
        Kind::Granular(below) => json!({"type": "object", "additionalProperties": openapi(below)}),
        Kind::AtomicMap => {
            json!({"type": "object", "additionalProperties": text, "x-kubernetes-map-type": "atomic"})
        }
        Kind::AtomicList => {
            json!({"type": "array", "items": text, "x-kubernetes-list-type": "atomic"})
        }
        Kind::Set => json!({"type": "array", "items": text, "x-kubernetes-list-type": "set"}),
        Kind::Keyed { has_port, fields } => {
            let mut item = object(fields);
            item["properties"]["name"] = text;
            item["required"] = json!(["name"]);
            let mut keys = vec!["name"];
            if *has_port {
                item["properties"]["port"] = json!({"type": "integer", "default": DEFAULT_PORT});
                keys.push("port");
            }
            json!({"type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys})
        }
    }
}

/// A random value that is not empty; `None` if there is none.
fn value(draw: &mut Draw, kind: &Kind) -> Option<Value> {
    let texts = |draw: &mut Draw| {
        let names = draw.some(&NAMES);
        draw.shuffled(names)
    };
    let value = match kind {
        Kind::Number => json!(draw.below(3)),
        Kind::Struct(fields) => Value::Object(members(draw, fields)),
        Kind::Granular(below) => {
            let names = texts(draw);
            let values =
                names.iter().filter_map(|name| Some(((*name).into(), value(draw, below)?)));
            Value::Object(values.collect())
        }
        Kind::AtomicMap => {
            let names = texts(draw);
            Value::Object(
                names.iter().map(|name| ((*name).into(), json!(draw.of(&NAMES)))).collect(),
            )
        }
        Kind::AtomicList | Kind::Set => json!(texts(draw)),
        Kind::Keyed { has_port, fields } => {
            let mut items: BTreeMap<Path, Value> = BTreeMap::new();
            for name in texts(draw) {
                let mut item = members(draw, fields);
                item.insert("name".to_owned(), name.into());
                if *has_port && draw.flip() {
                    item.insert("port".to_owned(), (*draw.of(&[&DEFAULT_PORT, &81])).into());
                }
                items.insert(vec![element(*has_port, &item)], item.into());
            }
            let items: Vec<Value> = items.into_values().collect();
            draw.shuffled(items).into()
        }
    };
    let is_empty =
        value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty);
    (!is_empty).then_some(value)
}

fn members(draw: &mut Draw, fields: &[(&'static str, Kind)]) -> Map<String, Value> {
    let fields = draw.some(fields);
    let values =
        fields.iter().filter_map(|(name, kind)| Some(((*name).into(), value(draw, kind)?)));
    values.collect()
}

/// The path element of a keyed item.
fn element(has_port: bool, item: &Map<String, Value>) -> PathElement {
    let mut keys = Map::from_iter([("name".to_owned(), item["name"].clone())]);
    if has_port {
        let port = item.get("port").cloned().unwrap_or(DEFAULT_PORT.into());
        keys.insert("port".to_owned(), port);
    }
    PathElement::key(keys)
}

/// An object as its leaves.
type Leaves = BTreeMap<Path, Value>;

fn flatten(kind: &Kind, value: &Value, path: &mut Path, out: &mut Leaves) {
    let mut below = |element: PathElement, kind: &Kind, value: &Value| {
        path.push(element);
        flatten(kind, value, path, out);
        path.pop();
    };
    match (kind, value) {
        (Kind::Struct(fields), Value::Object(values)) => {
            for (name, value) in values {
                let kind = &fields.iter().find(|(other, _)| other == name).unwrap().1;
                below(PathElement::field(name), kind, value);
            }
        }
        (Kind::Granular(kind), Value::Object(values)) => {
            values.iter().for_each(|(name, value)| below(PathElement::field(name), kind, value));
        }
        (Kind::Set, Value::Array(items)) => {
            items.iter().for_each(|item| below(PathElement::value(item), &Kind::Number, item));
        }
        (Kind::Keyed { has_port, fields }, Value::Array(items)) => {
            let keys = [("name", Kind::Number), ("port", Kind::Number)];
            let kind = Kind::Struct(fields.iter().cloned().chain(keys).collect());
            for item in items {
                below(element(*has_port, item.as_object().unwrap()), &kind, item);
            }
        }
        _ => drop(out.insert(path.clone(), value.clone())),
    }
}

fn leaves(kind: &Kind, object: Option<&Value>) -> Leaves {
    let mut out = Leaves::new();
    if let Some(spec) = object.and_then(|object| object.get("spec")) {
        flatten(kind, spec, &mut vec![PathElement::field("spec")], &mut out);
    }
    out
}

/// Every leaf and everything on the way to it.
fn present(leaves: &Leaves) -> Paths {
    leaves.keys().flat_map(|path| (1..=path.len()).map(|end| path[..end].to_vec())).collect()
}

/// What an applied configuration owns: leaves, items, and keys of maps, but no struct, map or list.
fn applied(kind: &Kind, leaves: &Leaves) -> Paths {
    let owns = |path: &Path| {
        leaves.contains_key(path)
            || path.last().is_some_and(PathElement::is_item)
            || is_key_of_map(kind, path)
    };
    present(leaves).into_iter().filter(owns).collect()
}

/// Whether the last step is a key of a granular map.
fn is_key_of_map(kind: &Kind, path: &[PathElement]) -> bool {
    let (mut kind, mut is_key) = (kind.clone(), false);
    for step in &path[1..] {
        (kind, is_key) = match (kind, step.field_name()) {
            (Kind::Granular(below), _) => (*below, true),
            (Kind::Keyed { fields, .. }, _) => (Kind::Struct(fields), false),
            (Kind::Struct(fields), Some(name)) => {
                let field = fields.into_iter().find(|(other, _)| *other == name);
                (field.map_or(Kind::Number, |(_, kind)| kind), false)
            }
            _ => (Kind::Number, false),
        };
    }
    is_key
}

#[derive(Debug, Default, PartialEq)]
struct Difference {
    /// In the old object only.
    removed: Paths,
    /// In the new object only, or with another value.
    taken: Paths,
}

fn difference(before: &Leaves, after: &Leaves) -> Difference {
    let (was, is) = (present(before), present(after));
    let changed =
        after.iter().filter(|(path, value)| before.get(*path).is_some_and(|v| v != *value));
    let changed = changed.map(|(path, _)| path.clone());
    Difference { removed: &was - &is, taken: (&is - &was).into_iter().chain(changed).collect() }
}

/// A manager and whether it applied.
type Manager = (&'static str, bool);

#[derive(Clone, Debug, Default)]
struct Model {
    leaves: Leaves,
    owners: BTreeMap<Manager, Paths>,
    exists: bool,
}

impl Model {
    fn update(&mut self, manager: &'static str, after: Leaves) {
        let is_tracked = !self.exists || !self.owners.is_empty();
        let difference = difference(&self.leaves, &after);
        self.leaves = after;
        self.exists = true;
        if is_tracked {
            self.own((manager, false), &difference);
        }
    }

    fn own(&mut self, manager: Manager, difference: &Difference) {
        self.lose(difference);
        self.owners.entry(manager).or_default().extend(difference.taken.iter().cloned());
        self.owners.retain(|_, paths| !paths.is_empty());
    }

    fn lose(&mut self, difference: &Difference) {
        for paths in self.owners.values_mut() {
            paths.retain(|path| {
                !difference.removed.contains(path) && !difference.taken.contains(path)
            });
        }
    }

    /// The conflicts: who owns what.
    fn apply(
        &mut self,
        manager: &'static str,
        kind: &Kind,
        config: &Leaves,
        force: Force,
    ) -> Result<(), BTreeSet<(Manager, Path)>> {
        let mut next = self.clone();
        if next.exists && next.owners.is_empty() {
            let all = difference(&Leaves::new(), &next.leaves);
            next.own(("before-first-apply", false), &all);
        }
        let own = applied(kind, config);
        let last = next.owners.remove(&(manager, true)).unwrap_or_default();
        let mut owned: Paths = next.owners.values().flatten().cloned().collect();
        owned.extend(own.iter().cloned());
        let gone: Paths = &last - &owned;
        let mut leaves = next.leaves.clone();
        leaves.retain(|path, _| !(1..=path.len()).any(|end| gone.contains(&path[..end])));
        leaves.extend(config.clone());
        let difference = difference(&next.leaves, &leaves);
        if force == Force::No {
            let of = |(manager, paths): (&Manager, &Paths)| -> Vec<(Manager, Path)> {
                (paths & &difference.taken).into_iter().map(|path| (*manager, path)).collect()
            };
            let conflicts: BTreeSet<(Manager, Path)> = next.owners.iter().flat_map(of).collect();
            if !conflicts.is_empty() {
                return Err(conflicts);
            }
        }
        next.lose(&difference);
        next.owners.retain(|_, paths| !paths.is_empty());
        if !own.is_empty() {
            next.owners.insert((manager, true), own);
        }
        next.leaves = leaves;
        next.exists = true;
        *self = next;
        Ok(())
    }
}

/// The implementation's owners in the model's form.
fn owners(object: &Value) -> BTreeMap<Manager, Paths> {
    let list = object["metadata"]["managedFields"].as_array();
    let entry = |entry: &Value| {
        let manager = MANAGERS.iter().find(|name| entry["manager"] == **name).unwrap();
        let paths = FieldSet::from_json(&entry["fieldsV1"]).paths();
        ((*manager, entry["operation"] == "Apply"), paths.into_iter().collect())
    };
    list.into_iter().flatten().map(entry).collect()
}

const MANAGERS: [&str; 4] = ["kim", "lou", "mia", "before-first-apply"];
const API_VERSION: &str = "g/v1";

fn object(spec: Option<Value>) -> Value {
    let mut object = json!({"apiVersion": API_VERSION, "kind": "K", "metadata": {"name": "w"}});
    if let Some(spec) = spec {
        object["spec"] = spec;
    }
    object
}

fn conflicts(error: &Status) -> BTreeSet<(String, String)> {
    assert_eq!(error.code, 409, "{}", error.message);
    let causes = &error.details.as_ref().unwrap().causes;
    causes.iter().map(|cause| (cause.message.clone(), cause.field.clone())).collect()
}

/// The same conflicts as the model sees them.
fn described(conflicts: &BTreeSet<(Manager, Path)>) -> BTreeSet<(String, String)> {
    let describe = |((manager, is_apply), path): &(Manager, Path)| {
        let using = if *is_apply { String::new() } else { format!(" using {API_VERSION}") };
        (format!("conflict with \"{manager}\"{using}"), display(path))
    };
    conflicts.iter().map(describe).collect()
}

/// Checks that items that both lists have stand in the same order, in all lists of two values.
fn check_order(kind: &Kind, config: &Value, after: &Value) {
    match (kind, config, after) {
        (Kind::Struct(fields), Value::Object(config), Value::Object(after)) => {
            for (name, kind) in fields {
                if let (Some(config), Some(after)) = (config.get(*name), after.get(*name)) {
                    check_order(kind, config, after);
                }
            }
        }
        (Kind::Granular(kind), Value::Object(config), Value::Object(after)) => {
            config.iter().for_each(|(name, config)| check_order(kind, config, &after[name]));
        }
        (Kind::Set, Value::Array(config), Value::Array(after)) => {
            let kept: Vec<&Value> = after.iter().filter(|item| config.contains(item)).collect();
            assert_eq!(kept, config.iter().collect::<Vec<_>>());
        }
        (Kind::Keyed { has_port, .. }, Value::Array(config), Value::Array(after)) => {
            let of = |list: &[Value]| -> Vec<PathElement> {
                list.iter().map(|item| element(*has_port, item.as_object().unwrap())).collect()
            };
            let (config, after) = (of(config), of(after));
            let kept: Vec<PathElement> =
                after.into_iter().filter(|element| config.contains(element)).collect();
            assert_eq!(kept, config);
        }
        _ => {}
    }
}

/// A random change of a value.
fn edited(draw: &mut Draw, kind: &Kind, old: &Value) -> Option<Value> {
    if draw.one_in(6) {
        return value(draw, kind);
    }
    let edited = match (kind, old) {
        (Kind::Struct(fields), Value::Object(values)) => {
            let mut out = Map::new();
            for (name, kind) in fields {
                let new = match values.get(*name) {
                    None if draw.one_in(3) => value(draw, kind),
                    None => None,
                    Some(_) if draw.one_in(6) => None,
                    Some(old) => edited(draw, kind, old),
                };
                out.extend(new.map(|new| ((*name).to_owned(), new)));
            }
            Value::Object(out)
        }
        (Kind::Granular(kind), Value::Object(values)) => {
            let kept = values.iter().filter_map(|(name, old)| {
                if draw.one_in(5) { None } else { Some((name.clone(), edited(draw, kind, old)?)) }
            });
            Value::Object(kept.collect())
        }
        (Kind::Keyed { fields, .. }, Value::Array(items)) => {
            let kept = items.iter().filter_map(|item| {
                let Value::Object(old) = item else { return None };
                let keys = old.iter().filter(|(key, _)| matches!(key.as_str(), "name" | "port"));
                let keys: Map<String, Value> = keys.map(|(k, v)| (k.clone(), v.clone())).collect();
                let new = edited(draw, &Kind::Struct(fields.clone()), item);
                let mut new = new.and_then(|new| new.as_object().cloned()).unwrap_or_default();
                new.extend(keys);
                (!draw.one_in(5)).then_some(Value::Object(new))
            });
            kept.collect()
        }
        _ if draw.flip() => old.clone(),
        _ => return value(draw, kind),
    };
    let is_empty = edited.as_array().is_some_and(Vec::is_empty)
        || edited.as_object().is_some_and(Map::is_empty);
    (!is_empty).then_some(edited)
}

/// One request to both.
fn step(
    draw: &mut Draw,
    kind: &Kind,
    schema: &Schema,
    live: &mut Option<Value>,
    model: &mut Model,
) {
    let manager = draw.of(&MANAGERS[..3]);
    let writer = Writer {
        manager,
        subresource: "",
        api_version: API_VERSION,
        now: "2026-01-01T00:00:00Z",
        reset: &[],
    };
    let spec = live.as_ref().and_then(|live| live.get("spec")).cloned();
    let new = match &spec {
        Some(old) if draw.flip() => edited(draw, kind, old),
        _ => value(draw, kind),
    };
    let new = object(new);
    let config = leaves(kind, Some(&new));
    if draw.one_in(3) {
        let before = live.clone().unwrap_or_default();
        let mut after = new;
        if live.is_some() {
            after["metadata"] = before["metadata"].clone();
        }
        update(&before, &mut after, &writer, schema.root());
        after["metadata"]["uid"] = "u".into();
        *live = Some(after);
        model.update(manager, config);
        return;
    }
    let force = if draw.one_in(3) { Force::Yes } else { Force::No };
    let result = apply(live.as_ref(), &new, &writer, force, (schema.root(), &Others::new()));
    match (result, model.apply(manager, kind, &config, force)) {
        (Ok(mut after), Ok(())) => {
            if let (Some(config), Some(after)) = (new.get("spec"), after.get("spec")) {
                check_order(kind, config, after);
            }
            after["metadata"]["uid"] = "u".into();
            let again =
                apply(Some(&after), &new, &writer, Force::No, (schema.root(), &Others::new()));
            assert_eq!(again.unwrap(), after, "applied twice");
            *live = Some(after);
        }
        (Err(error), Err(expected)) => assert_eq!(conflicts(&error), described(&expected)),
        (Ok(after), Err(expected)) => panic!("no conflict {:?} in {after}", described(&expected)),
        (Err(error), Ok(())) => panic!("{} {:?}", error.message, error.details),
    }
}

#[test]
fn ownership_is_its_model() {
    let busy = cases("managed fields", CASES, |draw| {
        let kind = Kind::Struct(fields(draw, 2));
        let spec = json!({"type": "object", "properties": {"spec": openapi(&kind)}});
        let schema = Schema::from_openapi(&spec).unwrap();
        let (mut live, mut model) = (None, Model::default());
        let mut shared = false;
        for _ in 0..6 {
            let before = live.clone();
            step(draw, &kind, &schema, &mut live, &mut model);
            let Some(live) = &live else { continue };
            let shown =
                || format!("{spec}\nfrom {}\nto {live}", before.clone().unwrap_or_default());
            assert_eq!(leaves(&kind, Some(live)), model.leaves, "{}", shown());
            assert_eq!(owners(live), model.owners, "{}", shown());
            shared |= model.owners.len() > 1;
        }
        shared
    });
    assert!(busy > multiplied(CASES) / 3, "{busy}");
}
