//! Server-side apply of what the topology wants, and finding out whether it would change anything.
//! (CAPI v1.14: core/reconcilers/topology/cluster/structuredmerge, internal/util/ssa)
//!
//! Most of the time nothing changes. That is told here without asking the server: if the object has
//! every wanted value and `capi-topology` owns just the wanted fields, an apply would change
//! nothing. Only otherwise, and only where the difference must be known before it is made
//! (templates), is there a dry run. Upstream remembers the outcomes of dry runs instead.

use serde_json::{Map, Value, json};

use super::labels::{CONVERSION_DATA, DRY_RUN};
use super::tree;
use crate::client::{Client, ClientError, ObjectKey};
use crate::metrics::{Counter, Registry};
use kube::core::ApiResource;

/// Field manager of everything that topologies own.
pub(crate) const MANAGER: &str = "capi-topology";

/// Parts of metadata about which the topology has an opinion.
const METADATA: [&str; 3] = ["labels", "annotations", "ownerReferences"];

/// What an apply changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// Labels, annotations, owners, or who owns fields.
    Metadata,
    /// The spec, and maybe more.
    Spec,
}

/// Applies objects and counts.
#[derive(Clone)]
pub(crate) struct Applier {
    client: Client,
    applies: Counter,
    dry_runs: Counter,
}

impl Applier {
    /// Applies through `client`, whatever its field manager is.
    pub(crate) fn new(client: &Client, metrics: &Registry) -> Self {
        let counter = |name, help| metrics.counter(name, help, &[]);
        Self {
            client: client.with_field_manager(MANAGER),
            applies: counter("capim_topology_applies_total", "Server-side applies of topologies"),
            dry_runs: counter(
                "capim_topology_dry_runs_total",
                "Dry runs of server-side applies of topologies",
            ),
        }
    }

    /// Applies an intent; answers the object.
    ///
    /// # Errors
    /// The request failed.
    pub(super) async fn apply(
        &self,
        resource: &ApiResource,
        intent: &Value,
    ) -> Result<Value, ClientError> {
        self.applies.inc();
        self.client.apply(resource, intent).await
    }

    /// What applying an intent to an object would change.
    ///
    /// # Errors
    /// The dry run failed.
    pub(super) async fn preview(
        &self,
        resource: &ApiResource,
        current: &Value,
        intent: &Value,
    ) -> Result<Change, ClientError> {
        if is_settled(current, intent) {
            return Ok(Change::None);
        }
        let result = self.dry_run(resource, intent).await?;
        if changes(current, &result, &[]) == Change::None {
            return Ok(Change::None);
        }
        // Defaults may be others in dry runs than they were when the object was written: what is
        // there is tried, too, and only who owns what is told from the object itself.
        let mut before = self.dry_run(resource, &self::intent(current, Some(current), &[])).await?;
        let owned = current["metadata"]["managedFields"].clone();
        tree::set(&mut before, &["metadata", "managedFields"], owned);
        Ok(changes(&before, &result, &[]))
    }

    /// What an object would be after an apply.
    async fn dry_run(&self, resource: &ApiResource, intent: &Value) -> Result<Value, ClientError> {
        let mut tried = intent.clone();
        // Rules about what must not change, and defaults of older versions, look at this.
        tree::set(&mut tried, &["metadata", "annotations", DRY_RUN], json!(""));
        self.dry_runs.inc();
        self.client.apply_dry_run(resource, &tried).await
    }

    /// Deletes an object; an absent one is no error.
    ///
    /// # Errors
    /// The request failed.
    pub(super) async fn delete(
        &self,
        resource: &ApiResource,
        object: &Value,
    ) -> Result<(), ClientError> {
        let key = ObjectKey::new(tree::namespace(object), tree::name(object));
        self.client.delete_dynamic(resource, &key, crate::client::Propagation::Default).await
    }
}

/// The part of a wanted object about which the topology has an opinion, as an apply sends it.
/// `current` is the object it is for, if that exists: then only that very object is changed.
/// `ignored` are fields that belong to others.
pub(super) fn intent(wanted: &Value, current: Option<&Value>, ignored: &[&[&str]]) -> Value {
    let mut metadata = Map::new();
    let held = wanted["metadata"].as_object();
    for field in ["name", "namespace"].iter().chain(&METADATA) {
        if let Some(value) = held.and_then(|held| held.get(*field)).filter(|it| !is_empty(it)) {
            metadata.insert((*field).to_owned(), value.clone());
        }
    }
    if let Some(uid) = current.map(|current| tree::text(current, "/metadata/uid")) {
        metadata.insert("uid".to_owned(), uid.into());
    }
    let mut object = Map::new();
    for field in ["apiVersion", "kind", "spec"] {
        if let Some(value) = wanted.get(field) {
            object.insert(field.to_owned(), value.clone());
        }
    }
    object.insert("metadata".to_owned(), Value::Object(metadata));
    let mut object = Value::Object(object);
    for path in ignored {
        remove_with_empty_parents(&mut object, path);
    }
    object
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn remove_with_empty_parents(object: &mut Value, path: &[&str]) {
    let Some((first, rest)) = path.split_first() else { return };
    let Some(fields) = object.as_object_mut() else { return };
    if rest.is_empty() {
        fields.remove(*first);
        return;
    }
    if let Some(next) = fields.get_mut(*first) {
        remove_with_empty_parents(next, rest);
        if next.as_object().is_some_and(Map::is_empty) {
            fields.remove(*first);
        }
    }
}

/// Fields of an endpoint that stand for "not set" and would overwrite what providers fill in.
/// (CAPI v1.14: internal/contract, IgnorePaths)
pub(super) fn ignored_endpoint(wanted: &Value) -> Vec<&'static [&'static str]> {
    let endpoint = &wanted["spec"]["controlPlaneEndpoint"];
    let mut ignored: Vec<&'static [&'static str]> = Vec::new();
    if endpoint["host"] == "" {
        ignored.push(&["spec", "controlPlaneEndpoint", "host"]);
    }
    if endpoint["port"] == 0 {
        ignored.push(&["spec", "controlPlaneEndpoint", "port"]);
    }
    ignored
}

/// What differs between two states of an object, as far as the topology cares.
pub(super) fn changes(before: &Value, after: &Value, ignored: &[&[&str]]) -> Change {
    let spec = |object: &Value| {
        let mut spec = json!({ "spec": object.get("spec") });
        for path in ignored {
            remove_with_empty_parents(&mut spec, path);
        }
        spec
    };
    if spec(before) != spec(after) {
        return Change::Spec;
    }
    let is_same = METADATA.iter().all(|field| metadata(before, field) == metadata(after, field))
        && owned_fields(before) == owned_fields(after);
    if is_same { Change::None } else { Change::Metadata }
}

/// A part of the metadata without what dry runs and conversions leave behind.
fn metadata(object: &Value, field: &str) -> Option<Value> {
    let mut value = object["metadata"].get(field)?.clone();
    if let Some(fields) = value.as_object_mut().filter(|_| field == "annotations") {
        fields.remove(DRY_RUN);
        fields.remove(CONVERSION_DATA);
    }
    (!is_empty(&value)).then_some(value)
}

/// Our entry of `managedFields`: its version and its fields.
fn owned_fields(object: &Value) -> Option<(String, Value)> {
    let entries = object["metadata"]["managedFields"].as_array()?;
    let entry = entries.iter().find(|entry| {
        entry["manager"] == MANAGER
            && entry["operation"] == "Apply"
            && entry.get("subresource").is_none_or(|part| part == "")
    })?;
    let mut fields = entry["fieldsV1"].clone();
    for annotation in [DRY_RUN, CONVERSION_DATA] {
        let field = format!("f:{annotation}");
        remove_with_empty_parents(&mut fields, &["f:metadata", "f:annotations", &field]);
    }
    Some((tree::text(entry, "/apiVersion").to_owned(), fields))
}

/// Whether applying an intent would change nothing. May say no where it would not, never yes where
/// it would.
pub(super) fn is_settled(current: &Value, intent: &Value) -> bool {
    let Some((version, owned)) = owned_fields(current) else { return false };
    if version != tree::text(intent, "/apiVersion") {
        return false;
    }
    let mut wanted = intent.clone();
    if let Some(fields) = wanted.as_object_mut() {
        fields.remove("apiVersion");
        fields.remove("kind");
    }
    if let Some(metadata) = wanted["metadata"].as_object_mut() {
        for field in ["name", "namespace", "uid"] {
            metadata.remove(field);
        }
        // What an older version cannot show is kept by conversions, not by us.
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(CONVERSION_DATA);
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
        if metadata.is_empty() {
            tree::remove(&mut wanted, &["metadata"]);
        }
    }
    is_held(&wanted, current) && is_owned(&wanted, &owned)
}

/// Whether an object has every value of an intent. Lists must be equal, except that those with
/// owners of their own may have more items: there the items are found by their keys, see
/// [`is_owned`].
fn is_held(wanted: &Value, current: &Value) -> bool {
    match (wanted, current) {
        (Value::Object(wanted), Value::Object(current)) => wanted
            .iter()
            .all(|(field, value)| current.get(field).is_some_and(|held| is_held(value, held))),
        (Value::Array(wanted), Value::Array(current)) => {
            // A subsequence; each pair of items is compared once at most.
            let mut left = current.iter();
            wanted.iter().all(|item| left.any(|held| is_held(item, held)))
        }
        (wanted, current) => wanted == current,
    }
}

/// Whether a manager owns just the fields of an intent. `owned` is `fieldsV1`.
fn is_owned(wanted: &Value, owned: &Value) -> bool {
    let Some(owned) = owned.as_object() else { return false };
    match wanted {
        Value::Object(fields) if !fields.is_empty() => {
            if owned.is_empty() {
                // Atomic: owned as a whole.
                return true;
            }
            let children = owned.iter().filter(|(name, _)| name.as_str() != ".");
            fields.len() == children.count()
                && fields.iter().all(|(field, value)| {
                    owned.get(&format!("f:{field}")).is_some_and(|below| is_owned(value, below))
                })
        }
        Value::Array(items) if !items.is_empty() => {
            if owned.is_empty() {
                return true;
            }
            let children: Vec<(Item, &Value)> = owned
                .iter()
                .filter(|(name, _)| name.as_str() != ".")
                .map(|(name, below)| (Item::parse(name), below))
                .collect();
            items.len() == children.len()
                && items.iter().all(|item| children.iter().any(|(it, below)| it.owns(item, below)))
        }
        _ => owned.is_empty(),
    }
}

/// An item of a list in `fieldsV1`.
enum Item {
    /// Found by these keys.
    Keys(Map<String, Value>),
    /// Found by its value.
    Value(Value),
    /// Something else.
    Unknown,
}

impl Item {
    fn parse(name: &str) -> Self {
        if let Some(keys) = name.strip_prefix("k:") {
            return serde_json::from_str(keys).map_or(Self::Unknown, Self::Keys);
        }
        let value = name.strip_prefix("v:").and_then(|text| serde_json::from_str(text).ok());
        value.map_or(Self::Unknown, Self::Value)
    }

    /// Whether it stands for an item, with just the item's fields below it.
    fn owns(&self, item: &Value, below: &Value) -> bool {
        match self {
            Self::Keys(keys) => {
                keys.iter().all(|(key, value)| &item[key] == value) && is_owned(item, below)
            }
            Self::Value(value) => value == item,
            Self::Unknown => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Value {
        json!({
            "apiVersion": "g/v1", "kind": "K",
            "metadata": {"name": "a", "namespace": "n", "uid": "old", "labels": {"l": ""},
                         "resourceVersion": "7", "annotations": {}},
            "spec": {"a": 1, "items": [{"name": "x", "value": "y"}], "list": [1, 2], "empty": {},
                     "controlPlaneEndpoint": {"host": "", "port": 0}},
            "status": {"s": 1}
        })
    }

    fn applied() -> Value {
        json!({
            "apiVersion": "g/v1", "kind": "K",
            "metadata": {
                "name": "a", "namespace": "n", "uid": "u", "labels": {"l": "", "theirs": ""},
                "managedFields": [
                    {"manager": "other", "operation": "Update", "fieldsV1": {"f:spec": {"f:b": {}}}},
                    {"manager": MANAGER, "operation": "Apply", "apiVersion": "g/v1", "fieldsV1": {
                        "f:metadata": {"f:labels": {"f:l": {}}},
                        "f:spec": {
                            "f:a": {}, "f:empty": {}, "f:list": {},
                            "f:items": {"k:{\"name\":\"x\"}": {".": {}, "f:name": {}, "f:value": {}}}
                        }
                    }}
                ]
            },
            "spec": {"a": 1, "b": 2, "list": [1, 2], "empty": {},
                     "items": [{"name": "w"}, {"name": "x", "value": "y"}]}
        })
    }

    #[test]
    fn an_intent_has_only_what_the_topology_cares_about() {
        let intent = intent(&wanted(), Some(&applied()), &ignored_endpoint(&wanted()));
        assert_eq!(
            intent,
            json!({
                "apiVersion": "g/v1", "kind": "K",
                "metadata": {"name": "a", "namespace": "n", "uid": "u", "labels": {"l": ""}},
                "spec": {"a": 1, "items": [{"name": "x", "value": "y"}], "list": [1, 2], "empty": {}}
            })
        );
    }

    /// Changes the intent or the object and tells whether an apply is known to change nothing.
    fn settled(change: impl Fn(&mut Value, &mut Value)) -> bool {
        let mut intent = intent(&wanted(), None, &ignored_endpoint(&wanted()));
        let mut current = applied();
        change(&mut intent, &mut current);
        is_settled(&current, &intent)
    }

    #[test]
    fn equal_values_and_equal_ownership_are_settled() {
        assert!(settled(|_, _| {}));
        assert!(settled(|_, current| current["spec"]["b"] = json!(3)), "others' fields");
        assert!(!settled(|_, current| current["spec"]["a"] = json!(2)), "overwritten");
        assert!(!settled(|intent, _| intent["spec"]["c"] = json!(2)), "a new field");
        assert!(!settled(|intent, _| tree::remove(intent, &["spec", "a"])), "a field given up");
        assert!(!settled(|intent, _| intent["spec"]["list"] = json!([2, 1])), "another order");
        assert!(!settled(|intent, _| intent["spec"]["items"] = json!([])), "items given up");
        assert!(!settled(|intent, _| intent["apiVersion"] = json!("g/v2")), "another version");
        let converted = json!({ CONVERSION_DATA: "of the class's template" });
        assert!(
            settled(|intent, _| intent["metadata"]["annotations"] = converted.clone()),
            "what conversions keep"
        );
        assert!(!settled(|_, current| tree::remove(current, &["metadata", "managedFields"])));
        let lost = |current: &mut Value| {
            let fields = &mut current["metadata"]["managedFields"][1]["fieldsV1"];
            tree::remove(fields, &["f:spec", "f:a"]);
        };
        assert!(!settled(|_, current| lost(current)), "ownership lost");
    }

    #[test]
    fn changes_tell_the_spec_from_the_rest() {
        let change = |with: &dyn Fn(&mut Value)| {
            let mut after = applied();
            with(&mut after);
            changes(&applied(), &after, &[])
        };
        assert_eq!(change(&|_| {}), Change::None);
        assert_eq!(change(&|after| after["status"] = json!({"x": 1})), Change::None);
        assert_eq!(change(&|after| after["spec"]["a"] = json!(9)), Change::Spec);
        assert_eq!(
            change(&|after| after["metadata"]["labels"]["l"] = json!("x")),
            Change::Metadata
        );
        let tried = |after: &mut Value| {
            after["metadata"]["annotations"] = json!({ DRY_RUN: "" });
            let fields = &mut after["metadata"]["managedFields"][1]["fieldsV1"]["f:metadata"];
            let annotation = format!("f:{DRY_RUN}");
            fields["f:annotations"] = json!({ annotation: {} });
        };
        assert_eq!(change(&tried), Change::None, "traces of the dry run itself");
    }
}
