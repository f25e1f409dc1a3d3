//! Defaults and validation of definitions, beyond the schema of the kind itself.

use serde_json::{Value, json};

use crate::machinery::crd;
use crate::machinery::status::Cause;

/// Fields that do not change once a definition is established.
const IMMUTABLE: &[&[&str]] = &[&["group"], &["scope"], &["names", "kind"], &["names", "plural"]];

/// Fills in names and conversion, and the parts of status that follow from the spec at once.
pub(super) fn default(new: &mut Value, old: Option<&Value>) {
    let spec_is_new = old.is_none_or(|old| old["spec"] != new["spec"]);
    if spec_is_new {
        crd::set_defaults(new);
    }
    if old.is_none() {
        new["status"] = json!({
            "acceptedNames": {"kind": "", "plural": ""},
            "conditions": null,
            "storedVersions": [],
        });
    }
    let Some(storage) = storage_version(&new["spec"]).map(Value::from) else { return };
    let Some(status) = new["status"].as_object_mut() else { return };
    let stored = status.entry("storedVersions").or_insert_with(|| json!([]));
    let Some(list) = stored.as_array_mut() else { return };
    // Status writes may say what they like of stored versions, but not that there are none.
    if list.is_empty() || (spec_is_new && !list.contains(&storage)) {
        list.push(storage);
    }
}

/// The version whose `storage` is true.
fn storage_version(spec: &Value) -> Option<&str> {
    let mut versions = spec["versions"].as_array()?.iter();
    versions.find(|version| version["storage"] == true)?["name"].as_str()
}

/// What is wrong with a definition.
pub(super) fn validate(new: &Value, old: Option<&Value>) -> Vec<Cause> {
    if old.is_some_and(|old| old["spec"] == new["spec"]) {
        return Vec::new();
    }
    let mut causes = crd::definitions_of(new).err().unwrap_or_default();
    if old.is_some() {
        // These are rules for new definitions; changes have the stricter ones below.
        let for_creation = ["metadata.name", "status.storedVersions"];
        causes.retain(|cause| !for_creation.contains(&cause.field.as_str()));
    }
    if let Some(old) = old.filter(|old| is_established(old)) {
        causes.extend(immutable(&new["spec"], &old["spec"]));
    }
    causes.extend(stored_versions(new));
    causes
}

fn is_established(object: &Value) -> bool {
    object["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Established" && condition["status"] == "True")
}

fn immutable(new: &Value, old: &Value) -> Vec<Cause> {
    let changed = IMMUTABLE.iter().filter_map(|path| {
        let at =
            |spec: &Value| -> Value { path.iter().fold(spec, |value, name| &value[*name]).clone() };
        let (new, old) = (at(new), at(old));
        let field = format!("spec.{}", path.join("."));
        (new != old).then(|| Cause::invalid(field, &new, "field is immutable"))
    });
    changed.collect()
}

/// Versions in which objects may still be stored must stay.
fn stored_versions(object: &Value) -> Vec<Cause> {
    let versions = object["spec"]["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let stored = object["status"]["storedVersions"].as_array().into_iter().flatten();
    let missing = stored.enumerate().filter_map(|(index, stored)| {
        let name = stored.as_str().unwrap_or_default();
        if versions.iter().any(|version| version["name"] == name) {
            return None;
        }
        let detail = format!(
            "missing from spec.versions; {name} was previously a storage version, and must remain \
             in spec.versions until a storage migration ensures no data remains persisted in \
             {name} and removes {name} from status.storedVersions"
        );
        Some(Cause::invalid(format!("status.storedVersions[{index}]"), stored, &detail))
    });
    missing.collect()
}
