//! ConfigMaps and Secrets. (kubernetes 1.36: pkg/registry/core/{configmap,secret}/strategy.go)

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::apiserver::strategy::fields::{fill, remove, text};
use crate::apiserver::strategy::report::{IMMUTABLE, Path, Report};
use crate::apiserver::strategy::{Change, NONE, Rules, formats};
use crate::machinery::patch::json::go_error;
use crate::machinery::status::Cause;

/// Of ConfigMaps.
pub(super) const CONFIG_MAP: Rules = Rules { validate: check_config_map, ..NONE };

/// Of Secrets.
pub(super) const SECRET: Rules = Rules { default: default_secret, validate: check_secret, ..NONE };

/// Most bytes of a ConfigMap's or Secret's values.
const DATA_MAX: usize = 1024 * 1024;
const FIXED: &str = "field is immutable when `immutable` is set";
const ACCOUNT: &str = "kubernetes.io/service-account.name";

fn default_secret(secret: &mut Value) {
    if let Some(texts) = secret["stringData"].as_object().cloned() {
        for (key, text) in texts {
            let encoded = STANDARD.encode(text.as_str().unwrap_or_default());
            secret["data"][key] = encoded.into();
        }
    }
    remove(secret, "stringData");
    fill(secret, "type", "Opaque");
}

fn check_config_map(change: &Change<'_>) -> Vec<Cause> {
    let mut report = Report::default();
    if let Some(old) = change.old {
        check_immutable(&mut report, change.new, old);
    }
    for field in ["data", "binaryData"] {
        check_keys(&mut report, change.new, field);
    }
    let size = size(change.new, "data", str::len) + size(change.new, "binaryData", decoded_length);
    if size > DATA_MAX {
        // kube-apiserver means the whole object.
        report.too_long(Path::Root("[]"), DATA_MAX);
    }
    report.into_causes()
}

fn check_secret(change: &Change<'_>) -> Vec<Cause> {
    let mut report = Report::default();
    let secret = change.new;
    if let Some(old) = change.old {
        if secret["type"] != old["type"] {
            report.invalid(Path::Root("type"), &secret["type"], IMMUTABLE);
        }
        check_immutable(&mut report, secret, old);
    }
    check_keys(&mut report, secret, "data");
    if size(secret, "data", decoded_length) > DATA_MAX {
        report.too_long(Path::Root("data"), DATA_MAX);
    }
    check_type(&mut report, secret);
    report.into_causes()
}

/// What a type promises is there.
fn check_type(report: &mut Report, secret: &Value) {
    let (data, path) = (&secret["data"], Path::Root("data"));
    let mut needs = |key: &str| {
        if data.get(key).is_none() {
            report.required(path.key(key), "");
        }
    };
    match text(secret, "type") {
        "kubernetes.io/service-account-token"
            if text(&secret["metadata"]["annotations"], ACCOUNT).is_empty() =>
        {
            let annotations = Path::Root("metadata.annotations");
            report.required(annotations.key(ACCOUNT), "");
        }
        "kubernetes.io/dockercfg" => check_json(report, data, ".dockercfg"),
        "kubernetes.io/dockerconfigjson" => check_json(report, data, ".dockerconfigjson"),
        "kubernetes.io/basic-auth"
            if data.get("username").is_none() && data.get("password").is_none() =>
        {
            needs("username");
            needs("password");
        }
        "kubernetes.io/ssh-auth" if text(data, "ssh-privatekey").is_empty() => {
            report.required(path.key("ssh-privatekey"), "");
        }
        "kubernetes.io/tls" => {
            needs("tls.crt");
            needs("tls.key");
        }
        _ => {}
    }
}

fn check_json(report: &mut Report, data: &Value, key: &str) {
    let data_path = Path::Root("data");
    let path = data_path.key(key);
    let Some(encoded) = data[key].as_str() else {
        report.required(path, "");
        return;
    };
    let content = STANDARD.decode(encoded).unwrap_or_default();
    let why = match serde_json::from_slice::<Value>(&content) {
        Ok(Value::Object(_) | Value::Null) => return,
        Ok(other) => {
            let kind = match other {
                Value::Bool(_) => "bool",
                Value::Number(_) => "number",
                Value::String(_) => "string",
                _ => "array",
            };
            format!("json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}")
        }
        Err(error) => go_error(&content, &error),
    };
    report.invalid_text(path, "<secret contents redacted>", &why);
}

fn size(object: &Value, field: &str, length: fn(&str) -> usize) -> usize {
    let values = object[field].as_object().into_iter().flat_map(|map| map.values());
    values.filter_map(Value::as_str).map(length).sum()
}

/// Bytes behind a text of base64.
fn decoded_length(encoded: &str) -> usize {
    let padding = encoded.bytes().rev().take_while(|byte| *byte == b'=').count();
    (encoded.len() / 4 * 3).saturating_sub(padding)
}

/// Keys are names of files, and stand in one of the maps only.
fn check_keys(report: &mut Report, object: &Value, field: &str) {
    let path = Path::Root(field);
    for key in object[field].as_object().into_iter().flat_map(|map| map.keys()) {
        report.invalid_texts(path.key(key), key, formats::config_key(key));
        if field == "data" && object["binaryData"].get(key).is_some() {
            let why = "duplicate of key present in binaryData";
            report.invalid_text(path.key(key), key, why);
        }
    }
}

fn check_immutable(report: &mut Report, new: &Value, old: &Value) {
    if old["immutable"] != true {
        return;
    }
    if new["immutable"] != true {
        report.forbidden(Path::Root("immutable"), FIXED);
    }
    for field in ["data", "binaryData"] {
        if new[field] != old[field] {
            report.forbidden(Path::Root(field), FIXED);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::apiserver::write::Target;

    fn check(secret: Value, expected: &[&str]) {
        let mut secret = secret;
        default_secret(&mut secret);
        let change = Change { new: &secret, old: None, target: Target::Main };
        let causes: Vec<_> = check_secret(&change).iter().map(ToString::to_string).collect();
        assert_eq!(causes, expected, "{secret}");
    }

    #[test]
    fn types_of_secrets_ask_for_keys() {
        check(json!({"stringData": {"a": "b"}}), &[]);
        check(
            json!({"type": "kubernetes.io/tls"}),
            &["data[tls.crt]: Required value", "data[tls.key]: Required value"],
        );
        check(
            json!({"type": "kubernetes.io/basic-auth"}),
            &["data[username]: Required value", "data[password]: Required value"],
        );
        check(
            json!({"type": "kubernetes.io/ssh-auth", "data": {"ssh-privatekey": ""}}),
            &["data[ssh-privatekey]: Required value"],
        );
        check(
            json!({"type": "kubernetes.io/service-account-token"}),
            &["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
        );
        check(
            json!({"type": "kubernetes.io/dockerconfigjson",
                   "stringData": {".dockerconfigjson": "[]"}}),
            &["data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": json: \
               cannot unmarshal array into Go value of type map[string]interface {}"],
        );
    }

    #[test]
    fn sizes_are_those_of_the_bytes() {
        let exact = STANDARD.encode(vec![0; DATA_MAX]);
        check(json!({"data": {"a": exact}}), &[]);
        let more = STANDARD.encode(vec![0; DATA_MAX + 1]);
        check(
            json!({"data": {"a": more}}),
            &["data: Too long: may not be more than 1048576 bytes"],
        );
    }
}
