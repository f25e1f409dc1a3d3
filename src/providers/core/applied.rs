//! Server-side apply that is left out where it would change nothing.
//! (CAPI v1.14: internal/util/ssa)
//!
//! An intent is applied again when it differs from the last one, or when the object no longer is
//! what that left behind. Labels and annotations of provider objects belong to a manager of their
//! own, as upstream; there it takes them over right after the creation, here when the first of
//! them changes, which is one write less for most objects.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use kube::core::ApiResource;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::externals::External;
use crate::client::{Client, ClientError, ObjectKey};
use crate::contract::labels;
use crate::runtime::ReconcileError;

/// Objects that are remembered; more than that, and all are applied once more.
const REMEMBERED_MAX: usize = 65_536;
/// Metadata that an intent may hold.
const METADATA: [&str; 7] =
    ["name", "namespace", "uid", "labels", "annotations", "finalizers", "ownerReferences"];
/// Annotations that tell where an object came from; they belong to who made it.
const ORIGIN: [&str; 2] = [labels::CLONED_FROM_NAME, labels::CLONED_FROM_GROUP_KIND];

/// One field manager and what it applied.
pub(super) struct Applied {
    client: Client,
    manager: &'static str,
    /// By uid: intent and state after the last apply. Written after an apply, read before the next
    /// one; never held across an await.
    seen: Mutex<HashMap<String, u64>>,
}

impl Applied {
    /// Applies as `manager`.
    pub(super) fn new(client: &Client, manager: &'static str) -> Self {
        let client = client.with_field_manager(manager);
        Self { client, manager, seen: Mutex::default() }
    }

    /// The client that applies.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Applies what is wanted of an object; `held` is the object as read, none to make it. Answers
    /// the object where something was sent. The status is no part of it.
    ///
    /// # Errors
    /// The request failed.
    pub(super) async fn apply<K>(
        &self,
        wanted: &K,
        held: Option<&K>,
    ) -> Result<Option<K>, ReconcileError>
    where
        K: kube::Resource<DynamicType = ()> + Serialize + DeserializeOwned,
    {
        let key = ObjectKey::of(wanted);
        let codec = |source| ClientError::Codec { what: format!("{} {key}", K::kind(&())), source };
        let mut intent = reduced(serde_json::to_value(wanted).map_err(codec)?);
        if let Some(held) = held {
            let state = reduced(serde_json::to_value(held).map_err(codec)?);
            let uid = held.meta().uid.clone().unwrap_or_default();
            intent["metadata"]["uid"] = uid.as_str().into();
            if self.seen.lock().get(&uid) == Some(&fingerprint(&intent, &state)) {
                return Ok(None);
            }
        }
        intent["apiVersion"] = K::api_version(&()).into();
        intent["kind"] = K::kind(&()).into();
        let answer = self.client.apply(&ApiResource::erase::<K>(&()), &intent).await?;
        self.remember(intent, answer.clone());
        Ok(Some(serde_json::from_value(answer).map_err(codec)?))
    }

    fn remember(&self, mut intent: Value, answer: Value) {
        let Some(uid) = answer["metadata"]["uid"].as_str().map(str::to_owned) else { return };
        if let Some(intent) = intent.as_object_mut() {
            intent.remove("apiVersion");
            intent.remove("kind");
        }
        intent["metadata"]["uid"] = uid.as_str().into();
        let print = fingerprint(&intent, &reduced(answer));
        let mut seen = self.seen.lock();
        if seen.len() >= REMEMBERED_MAX {
            seen.clear();
        }
        seen.insert(uid, print);
    }
}

/// What an intent is about: metadata that has a meaning, and the spec.
fn reduced(mut object: Value) -> Value {
    let mut kept = Map::new();
    for field in METADATA {
        let value = object["metadata"][field].take();
        if !value.is_null() {
            kept.insert(field.to_owned(), value);
        }
    }
    json!({ "metadata": kept, "spec": object["spec"].take() })
}

fn fingerprint(intent: &Value, state: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    intent.to_string().hash(&mut hasher);
    state.to_string().hash(&mut hasher);
    hasher.finish()
}

/// Labels and annotations that an object gets from its owner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct HandedOn {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

impl HandedOn {
    fn is_on(&self, external: &External) -> bool {
        let metadata = &external.object.metadata;
        let holds = |wanted: &BTreeMap<String, String>, held: &Option<BTreeMap<String, String>>| {
            wanted.iter().all(|(key, value)| held.as_ref().and_then(|h| h.get(key)) == Some(value))
        };
        holds(&self.labels, &metadata.labels) && holds(&self.annotations, &metadata.annotations)
    }

    fn print(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

impl Applied {
    /// Keeps labels and annotations of a provider object as they are wanted; those that are no
    /// longer wanted go. `maker` is the manager that made the object.
    ///
    /// # Errors
    /// A request failed.
    pub(super) async fn hand_on(
        &self,
        external: &External,
        wanted: &HandedOn,
        maker: &str,
    ) -> Result<(), ReconcileError> {
        let uid = external.object.metadata.uid.clone().unwrap_or_default();
        let print = wanted.print();
        let known = self.seen.lock().get(&uid).copied();
        if wanted.is_on(external) && known.is_none_or(|known| known == print) {
            if known.is_none() {
                self.note(uid, print);
            }
            return Ok(());
        }
        self.take_over(external, maker).await?;
        let resource = &external.kind.resource;
        let key = external.key();
        let intent = json!({
            "apiVersion": resource.api_version, "kind": resource.kind,
            "metadata": {"name": key.name, "namespace": key.namespace, "uid": uid,
                "labels": wanted.labels, "annotations": wanted.annotations},
        });
        self.client.apply(resource, &intent).await?;
        self.note(uid, print);
        Ok(())
    }

    fn note(&self, uid: String, print: u64) {
        let mut seen = self.seen.lock();
        if seen.len() >= REMEMBERED_MAX {
            seen.clear();
        }
        seen.insert(uid, print);
    }

    /// Makes this manager the owner of the labels and annotations that the object was made with.
    async fn take_over(&self, external: &External, maker: &str) -> Result<(), ReconcileError> {
        let resource = &external.kind.resource;
        let Some(object) = self.client.get_dynamic(resource, &external.key()).await? else {
            return Ok(());
        };
        let Some(entries) = object["metadata"]["managedFields"].as_array() else { return Ok(()) };
        let Some(entries) = moved(entries, maker, self.manager) else { return Ok(()) };
        let version = &object["metadata"]["resourceVersion"];
        let patch = json!({"metadata": {"managedFields": entries, "resourceVersion": version}});
        self.client.merge_patch_dynamic(resource, &external.key(), "", &patch).await?;
        Ok(())
    }
}

/// Managed fields where the labels and annotations of `maker` belong to `heir`; `None` if they do
/// already.
fn moved(entries: &[Value], maker: &str, heir: &str) -> Option<Vec<Value>> {
    let is_apply =
        |entry: &Value, manager: &str| entry["manager"] == manager && entry["operation"] == "Apply";
    if entries.iter().any(|entry| is_apply(entry, heir)) {
        return None;
    }
    let mut entries = entries.to_vec();
    let made = entries.iter_mut().find(|entry| is_apply(entry, maker))?;
    let mut taken = made.clone();
    let fields = made["fieldsV1"]["f:metadata"].as_object_mut()?;
    fields.remove("f:labels");
    let is_origin = |key: &str| ORIGIN.iter().any(|own| key == format!("f:{own}"));
    if let Some(annotations) = fields.get_mut("f:annotations").and_then(Value::as_object_mut) {
        annotations.retain(|key, _| is_origin(key));
    }
    let mut labels_and_annotations = Map::new();
    let held = taken["fieldsV1"]["f:metadata"].as_object_mut()?;
    for field in ["f:labels", "f:annotations"] {
        if let Some(mut keys) = held.remove(field) {
            if let Some(keys) = keys.as_object_mut() {
                keys.retain(|key, _| !is_origin(key));
            }
            labels_and_annotations.insert(field.to_owned(), keys);
        }
    }
    taken["manager"] = heir.into();
    taken["fieldsV1"] = json!({ "f:metadata": labels_and_annotations });
    entries.push(taken);
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_annotations_change_hands_but_the_origin_does_not() {
        let entries = [json!({"manager": "maker", "operation": "Apply", "apiVersion": "g/v1",
            "fieldsType": "FieldsV1", "fieldsV1": {
                "f:metadata": {"f:labels": {"f:a": {}}, "f:ownerReferences": {},
                    "f:annotations": {"f:b": {}, "f:cluster.x-k8s.io/cloned-from-name": {}}},
                "f:spec": {}}})];
        let moved = super::moved(&entries, "maker", "heir").unwrap();
        assert_eq!(
            moved[0]["fieldsV1"]["f:metadata"],
            json!({"f:annotations": {"f:cluster.x-k8s.io/cloned-from-name": {}},
                "f:ownerReferences": {}})
        );
        assert_eq!(
            moved[1]["fieldsV1"],
            json!({"f:metadata": {"f:labels": {"f:a": {}}, "f:annotations": {"f:b": {}}}})
        );
        assert_eq!(super::moved(&moved, "maker", "heir"), None);
        assert_eq!(super::moved(&[], "maker", "heir"), None);
    }
}
