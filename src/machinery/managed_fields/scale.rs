//! Field ownership across an object and its scale subresource: whoever owns the replicas of one
//! owns those of the other (kubernetes 1.36: apimachinery managedfields/scalehandler.go).

use serde_json::{Map, Value, json};

use super::entries::{self, Entry, Operation};
use super::field_set::FieldSet;
use crate::machinery::field_path::PathElement;

/// The version of a Scale, and of its managers.
const SCALE_VERSION: &str = "autoscaling/v1";

/// The `managedFields` of an object's Scale: the entries that own the object's replicas, which are
/// at `replicas`, e.g. `spec.replicas`.
pub fn to_scale(list: &Value, replicas: &str) -> Value {
    let path = path_of(replicas);
    let mut entries = decoded(list);
    entries.retain(|entry| fields_of(entry).contains(&path));
    for entry in &mut entries {
        entry.fields = only(&path_of("spec.replicas"));
        SCALE_VERSION.clone_into(&mut entry.api_version);
    }
    entries::encode(entries).unwrap_or_default()
}

/// The `managedFields` of an object, of which `list` are those so far, after a write of its Scale
/// in which `scale` are the Scale's. Who takes the replicas by the Scale has no time.
pub fn to_parent(list: &Value, scale: &Value, replicas: &str, api_version: &str) -> Value {
    let path = path_of(replicas);
    let mut taken = FieldSet::default();
    taken.insert(&path);
    let mut owners = decoded(scale);
    let mut entries = Vec::new();
    for mut entry in decoded(list) {
        let set = fields_of(&entry);
        match owners.iter().position(|owner| owner.is_same_manager(&entry)) {
            Some(position) if set.contains(&path) => drop(owners.remove(position)),
            None if set.contains(&path) => entry.fields = map_of(&set.difference(&taken)),
            _ => {}
        }
        entries.push(entry);
    }
    for owner in owners {
        if !fields_of(&owner).contains(&path_of("spec.replicas")) {
            continue;
        }
        let owner =
            Entry { api_version: api_version.to_owned(), time: None, fields: only(&path), ..owner };
        // A manager of updates is another one of a Scale than of the object.
        let is_update = owner.operation == Operation::Update;
        entries.retain(|entry| is_update || !entry.is_same_manager(&owner));
        entries.push(owner);
    }
    entries::encode(entries).unwrap_or_else(|| json!([]))
}

fn decoded(list: &Value) -> Vec<Entry> {
    entries::decode(list.clone()).unwrap_or_default()
}

fn path_of(text: &str) -> Vec<PathElement> {
    text.split('.').map(PathElement::field).collect()
}

fn fields_of(entry: &Entry) -> FieldSet {
    FieldSet::from_json(&Value::Object(entry.fields.clone()))
}

fn only(path: &[PathElement]) -> Map<String, Value> {
    let mut set = FieldSet::default();
    set.insert(path);
    map_of(&set)
}

fn map_of(set: &FieldSet) -> Map<String, Value> {
    match set.to_json() {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(manager: &str, subresource: &str, fields: Value) -> Value {
        let mut entry = json!({
            "manager": manager, "operation": "Apply", "apiVersion": "apps/v1",
            "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": fields,
        });
        if !subresource.is_empty() {
            entry["subresource"] = subresource.into();
        }
        entry
    }

    #[test]
    fn owners_of_replicas_own_those_of_the_scale_and_back() {
        let both = json!({"f:spec": {"f:replicas": {}, "f:paused": {}}});
        let replicas = json!({"f:spec": {"f:replicas": {}}});
        let list =
            json!([entry("a", "", both.clone()), entry("b", "", json!({"f:metadata": {}})),]);
        let scale = to_scale(&list, "spec.replicas");
        let mut of_scale = entry("a", "", replicas.clone());
        of_scale["apiVersion"] = SCALE_VERSION.into();
        assert_eq!(scale, json!([of_scale]));
        // Nothing changes hands.
        assert_eq!(to_parent(&list, &scale, "spec.replicas", "apps/v1"), list);
        // Another takes the field and leaves the rest.
        let taken = json!([entry("hpa", "scale", replicas.clone())]);
        let mut owner = entry("hpa", "scale", replicas);
        owner.as_object_mut().expect("an entry").remove("time");
        let expected = json!([
            owner,
            entry("a", "", json!({"f:spec": {"f:paused": {}}})),
            entry("b", "", json!({"f:metadata": {}})),
        ]);
        assert_eq!(to_parent(&list, &taken, "spec.replicas", "apps/v1"), expected);
        // The field is at another place.
        let elsewhere = to_parent(&json!([]), &taken, "spec.n", "g/v1");
        assert_eq!(elsewhere[0]["fieldsV1"], json!({"f:spec": {"f:n": {}}}));
        assert_eq!(elsewhere[0]["apiVersion"], "g/v1");
    }
}
