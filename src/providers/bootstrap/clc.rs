//! Container Linux Config, which users may add to the Ignition data, converted to Ignition 2.3.
//! (CAPI v1.14: pkg/ignition/clc; flatcar/container-linux-config-transpiler)
//!
//! Sections that the transpiler turns into units of its own (`etcd`, `flannel`, `docker`, `locksmith`,
//! `update`) depend on the platform that a machine runs on; they are refused.

use serde_json::{Map, Value, json};

use super::ignition::{data_url, file_value};
use crate::machinery::yaml;

/// Sections that are converted, with the members that they may have.
const SECTIONS: [(&str, &[&str]); 4] = [
    ("networkd", &["units"]),
    ("passwd", &["groups", "users"]),
    ("storage", &["directories", "disks", "files", "filesystems", "links", "raid"]),
    ("systemd", &["units"]),
];

/// How deep documents are followed.
const DEPTH_MAX: usize = 32;

/// Converts a configuration. `strict` makes errors of what would only be warned of.
///
/// # Errors
/// What is wrong with it.
pub(super) fn convert(text: &str, strict: bool) -> Result<Value, String> {
    let failed = |error: String| format!("error parsing Container Linux Config: {error}");
    let document = yaml::parse(text).map_err(failed)?.value;
    let Value::Object(document) = document else {
        return if document.is_null() {
            Ok(json!({}))
        } else {
            Err(failed("the document is not a mapping".to_owned()))
        };
    };
    let mut warnings = Vec::new();
    let mut out = Map::new();
    for (section, value) in document {
        if section == "ignition" {
            out.insert(section, camel(value, 0));
            continue;
        }
        let Some((_, known)) = SECTIONS.iter().find(|(name, _)| *name == section) else {
            let is_unit_maker =
                ["docker", "etcd", "flannel", "locksmith", "update"].contains(&section.as_str());
            if is_unit_maker {
                return Err(failed(format!("section {section:?} is not supported")));
            }
            warnings.push(format!("Config has unrecognized key: {section}"));
            continue;
        };
        let mut members = Map::new();
        for (name, value) in value.as_object().cloned().unwrap_or_default() {
            if known.contains(&name.as_str()) {
                let value = if section == "storage" && name == "files" {
                    files(&value, &mut warnings).map_err(failed)?
                } else {
                    camel(value, 0)
                };
                members.insert(name, value);
            } else {
                warnings.push(format!("Config has unrecognized key: {section}.{name}"));
            }
        }
        out.insert(section, Value::Object(members));
    }
    match warnings.first() {
        Some(first) if strict => Err(failed(format!("warning: {first}"))),
        _ => Ok(Value::Object(out)),
    }
}

fn files(value: &Value, warnings: &mut Vec<String>) -> Result<Value, String> {
    let Some(files) = value.as_array() else { return Ok(json!([])) };
    files.iter().map(|file| convert_file(file, warnings)).collect()
}

fn convert_file(file: &Value, warnings: &mut Vec<String>) -> Result<Value, String> {
    let path = file["path"].as_str().unwrap_or_default();
    if !path.starts_with('/') {
        return Err(format!("path not absolute: {path:?}"));
    }
    let mode = match &file["mode"] {
        Value::Null => {
            warnings.push("mode unspecified for file, defaulting to 0644".to_owned());
            0o644
        }
        Value::Number(mode) => mode.as_i64().ok_or("mode is no whole number")?,
        Value::String(text) => mode(text).ok_or("mode is no number")?,
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            return Err("mode is no number".to_owned());
        }
    };
    let owner = |field: &str| {
        let owner = &file[field];
        owner.is_object().then(|| camel(owner.clone(), 0))
    };
    let contents = &file["contents"];
    let inline = contents["inline"].as_str().unwrap_or_default();
    let mut out = file_value(path, mode, inline.as_bytes(), (owner("user"), owner("group")));
    if let Some(filesystem) = file["filesystem"].as_str().filter(|name| !name.is_empty()) {
        out["filesystem"] = filesystem.into();
    }
    if let Some(url) = contents["remote"]["url"].as_str() {
        out["contents"]["source"] = url.into();
    } else if contents["local"].is_string() {
        return Err("local files are not supported".to_owned());
    } else if contents.is_null() {
        out["contents"]["source"] = data_url(b"").into();
    }
    for field in ["append", "overwrite"] {
        if let Some(flag) = file[field].as_bool() {
            out[field] = flag.into();
        }
    }
    Ok(out)
}

/// A number as YAML 1.1 reads it: a leading zero means octal.
pub(super) fn mode(text: &str) -> Option<i64> {
    let (digits, radix) = match text.strip_prefix('0') {
        Some("") => ("0", 10),
        Some(rest) => (rest.strip_prefix('o').unwrap_or(rest), 8),
        None => (text, 10),
    };
    i64::from_str_radix(digits, radix).ok().filter(|mode| (0..=0o7777).contains(mode))
}

/// The same value with the names of members in camel case.
fn camel(value: Value, depth: usize) -> Value {
    if depth > DEPTH_MAX {
        return Value::Null;
    }
    match value {
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (camel_name(&name), camel(value, depth + 1)))
            .collect::<Map<String, Value>>()
            .into(),
        Value::Array(items) => items.into_iter().map(|item| camel(item, depth + 1)).collect(),
        scalar => scalar,
    }
}

fn camel_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut is_start = false;
    for letter in name.chars() {
        if letter == '_' {
            is_start = true;
        } else if is_start {
            out.extend(letter.to_uppercase());
            is_start = false;
        } else {
            out.push(letter);
        }
    }
    match out.as_str() {
        "sizeMib" => "sizeMiB".to_owned(),
        "startMib" => "startMiB".to_owned(),
        _ => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As in upstream's tests.
    const WITH_WARNING: &str =
        "---\nstorage:\n  files:\n  - path: /foo\n    contents:\n      inline: foo\n";

    #[test]
    fn warnings_are_errors_in_strict_mode_only() {
        let error = convert(WITH_WARNING, true).unwrap_err();
        assert!(error.starts_with("error parsing Container Linux Config: "), "{error}");
        let files = &convert(WITH_WARNING, false).unwrap()["storage"]["files"];
        assert_eq!(files[0]["contents"]["source"], "data:,foo");
        assert_eq!(files[0]["mode"], 0o644);
    }

    #[test]
    fn names_are_ignitions() {
        let text = "passwd:\n  users:\n  - name: a\n    ssh_authorized_keys: [k]\nnonsense: 1\n";
        let config = convert(text, false).unwrap();
        assert_eq!(
            config,
            json!({"passwd": {"users": [{"name": "a", "sshAuthorizedKeys": ["k"]}]}})
        );
        assert!(convert(text, true).is_err());
        assert!(convert("etcd: {}\n", false).is_err());
        assert!(convert("- a\n", false).is_err());
        assert_eq!(convert("", true).unwrap(), json!({}));
    }

    #[test]
    fn modes_are_octal_behind_a_zero() {
        assert_eq!(mode("0600"), Some(0o600));
        assert_eq!(mode("0"), Some(0));
        assert_eq!(mode("420"), Some(0o644));
        for bad in ["", "rw", "099", "-1", "077777"] {
            assert_eq!(mode(bad), None, "{bad}");
        }
    }
}
