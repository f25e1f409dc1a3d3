//! ConfigMaps and Secrets. (kubernetes 1.36: pkg/registry/core/{configmap,secret}/strategy.go)

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::apiserver::strategy::fields::remove;
use crate::apiserver::strategy::{Change, NONE, Rules};
use crate::machinery::status::Cause;

/// Of ConfigMaps.
pub(super) const CONFIG_MAP: Rules = Rules { validate: check, ..NONE };

/// Of Secrets.
pub(super) const SECRET: Rules = Rules { default: default_secret, validate: check_secret, ..NONE };

/// Most bytes of a ConfigMap's or Secret's values.
const DATA_MAX: usize = 1024 * 1024;

fn default_secret(secret: &mut Value) {
    if let Some(texts) = secret["stringData"].as_object().cloned() {
        for (key, text) in texts {
            let encoded = STANDARD.encode(text.as_str().unwrap_or_default());
            secret["data"][key] = encoded.into();
        }
    }
    remove(secret, "stringData");
    if secret["type"].as_str().unwrap_or_default().is_empty() {
        secret["type"] = "Opaque".into();
    }
}

fn check_secret(change: &Change<'_>) -> Vec<Cause> {
    let mut causes = check(change);
    if let Some(old) = change.old
        && change.new["type"] != old["type"]
    {
        causes.push(Cause::invalid("type", &change.new["type"], "field is immutable"));
    }
    causes
}

fn check(change: &Change<'_>) -> Vec<Cause> {
    let mut causes = Vec::new();
    check_keys(change.new, &mut causes);
    if let Some(old) = change.old {
        check_immutable(change.new, old, &mut causes);
    }
    causes
}

/// Keys of ConfigMaps and Secrets are file names.
fn check_keys(object: &Value, causes: &mut Vec<Cause>) {
    let size = |field: &str| {
        let values = object[field].as_object().into_iter().flat_map(|map| map.values());
        values.filter_map(Value::as_str).map(str::len).sum::<usize>()
    };
    if size("data") + size("binaryData") > DATA_MAX {
        causes.push(Cause::too_long("[]", DATA_MAX));
    }
    let keys = |field: &str| object[field].as_object().into_iter().flat_map(|map| map.keys());
    for field in ["data", "binaryData"] {
        for key in keys(field) {
            let path = format!("{field}[{key}]");
            if let Some(why) = check_config_key(key) {
                causes.push(Cause::invalid(path.clone(), &key.as_str().into(), why));
            }
            if field == "data" && object["binaryData"].get(key).is_some() {
                let why = "duplicate of key present in binaryData";
                causes.push(Cause::invalid(path, &key.as_str().into(), why));
            }
        }
    }
}

fn check_config_key(key: &str) -> Option<&'static str> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if key.len() > 253 {
        return Some("must be no more than 253 bytes");
    }
    if key.is_empty() || !key.bytes().all(legal) {
        return Some(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. \
             'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is \
             '[-._a-zA-Z0-9]+')",
        );
    }
    match key {
        "." => Some("must not be '.'"),
        ".." => Some("must not be '..'"),
        _ if key.starts_with("..") => Some("must not start with '..'"),
        _ => None,
    }
}

fn check_immutable(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    if old["immutable"] != true {
        return;
    }
    let why = "field is immutable when `immutable` is set";
    if new["immutable"] != true {
        causes.push(Cause::forbidden("immutable", why));
    }
    for field in ["data", "binaryData"] {
        if new[field] != old[field] {
            causes.push(Cause::forbidden(field, why));
        }
    }
}
