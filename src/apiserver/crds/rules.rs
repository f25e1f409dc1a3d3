//! Defaults of definitions that depend on what is stored.

use serde_json::{Value, json};

use crate::machinery::crd;

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
