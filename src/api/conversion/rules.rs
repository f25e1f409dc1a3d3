//! The hub's rules around objects of spokes.
//!
//! Upstream's webhooks look at v1beta2 alone: kube-apiserver converts what was written in another
//! version for them, and back if they changed it.

use serde_json::Value;

use super::convert;
use crate::api::strategy;
use crate::machinery::definition::{
    Among, DeletionRefusal, ObjectKind, Objects, Strategy, Verdict,
};
use crate::machinery::gvk::split_api_version;
use crate::machinery::status::Cause;

const HUB: &str = "v1beta2";

/// The strategy of a spoke, if `hub` is that of the hub.
pub fn around(hub: Strategy) -> Strategy {
    Strategy {
        default: hub.default.map(|_| default as _),
        validate: hub.validate.map(|_| validate as _),
        default_dry_run: None,
        validate_dry_run: None,
        validate_scale: hub.validate_scale.map(|_| validate_scale as _),
        convert: hub.convert,
        among: hub.among.map(|_| &AMONG),
    }
}

/// Rules that look at other objects, around those of any hub.
static AMONG: Among = Among {
    awaits: Some(awaits),
    default: Some(default_among),
    validate: Some(validate_among),
    delete: Some(delete_among),
};

/// The hub's rules for an object, and the object as the hub has it.
fn hub_of(object: &Value) -> Option<(&'static Among, Value)> {
    let (group, version, kind) = names(object);
    Some((strategy::of(&group, &kind).among?, to_hub(object, &version).ok()?))
}

fn awaits(object: &Value, objects: &dyn Objects) -> Option<ObjectKind<'static>> {
    let (among, object) = hub_of(object)?;
    among.awaits?(&object, objects)
}

fn default_among(object: &mut Value, old: Option<&Value>, objects: &dyn Objects) -> Vec<Cause> {
    let Some((among, mut new)) = hub_of(object) else { return Vec::new() };
    let Some(default) = among.default else { return Vec::new() };
    let (_, version, _) = names(object);
    let old = old.and_then(|old| to_hub(old, &version).ok());
    let before = new.clone();
    let causes = default(&mut new, old.as_ref(), objects);
    if new != before && convert(&mut new, HUB, &version).is_ok() {
        *object = new;
    }
    causes
}

fn validate_among(object: &Value, old: Option<&Value>, objects: &dyn Objects) -> Verdict {
    let Some((among, new)) = hub_of(object) else { return Verdict::default() };
    let (_, version, _) = names(object);
    let old = old.and_then(|old| to_hub(old, &version).ok());
    among.validate.map(|validate| validate(&new, old.as_ref(), objects)).unwrap_or_default()
}

fn delete_among(object: &Value, objects: &dyn Objects) -> Option<DeletionRefusal> {
    let (among, object) = hub_of(object)?;
    among.delete?(&object, objects)
}

/// Sets the hub's defaults, if the object can be converted; if not, storing it says why.
fn default(object: &mut Value, old: Option<&Value>) {
    let (group, version, kind) = names(object);
    let Some(default) = strategy::of(&group, &kind).default else { return };
    let Ok(mut new) = to_hub(object, &version) else { return };
    let old = old.and_then(|old| to_hub(old, &version).ok());
    let before = new.clone();
    default(&mut new, old.as_ref());
    if new != before && convert(&mut new, HUB, &version).is_ok() {
        *object = new;
    }
}

/// What the hub's rules say; nothing of an object that cannot be converted.
fn validate(object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let (group, version, kind) = names(object);
    let Some(validate) = strategy::of(&group, &kind).validate else { return Vec::new() };
    let Ok(new) = to_hub(object, &version) else { return Vec::new() };
    let old = old.and_then(|old| to_hub(old, &version).ok());
    validate(&new, old.as_ref())
}

/// What the hub's rules say of a Scale.
fn validate_scale(scale: &Value, object: &Value) -> Result<(), String> {
    let (group, version, kind) = names(object);
    let Some(validate) = strategy::of(&group, &kind).validate_scale else { return Ok(()) };
    validate(scale, &to_hub(object, &version)?)
}

fn to_hub(object: &Value, version: &str) -> Result<Value, String> {
    let mut object = object.clone();
    convert(&mut object, version, HUB).map(|()| object)
}

fn names(object: &Value) -> (String, String, String) {
    let (group, version) = split_api_version(object["apiVersion"].as_str().unwrap_or_default());
    let kind = object["kind"].as_str().unwrap_or_default();
    (group.to_owned(), version.to_owned(), kind.to_owned())
}
