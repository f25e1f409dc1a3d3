//! One write, or two, for all that a reconcile has changed. (CAPI v1.14: util/patch/patch.go)
//!
//! Lists that have several owners (conditions of both families, finalizers, owner references) are
//! merged three ways with the newest state and sent with its resourceVersion, because a merge patch
//! replaces a list as a whole. All patches of an object take turns in this process, and the client
//! knows the last version that this process wrote: so the newest state is asked for only when the
//! caller's copy is known to be behind, and a conflict can come from outside only. Any other list
//! is replaced when it differs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::marker::PhantomData;
use std::sync::LazyLock;

use bytes::Bytes;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::ApiResource;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use crate::client::{Client, ClientError, ObjectKey, Target, newest};

/// What a patch did.
#[derive(Clone, Debug, PartialEq)]
pub enum Patched<K> {
    /// `before` and `after` were equal: nothing was sent.
    Unchanged,
    /// The object as the server has it now.
    Changed(Answer<K>),
}

/// What the server answered to the last write. Still text, because hardly any caller looks at it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer<K> {
    text: Bytes,
    kind: PhantomData<fn() -> K>,
}

impl<K: kube::Resource<DynamicType = ()> + DeserializeOwned> Answer<K> {
    /// The object.
    ///
    /// # Errors
    /// [`ClientError::Codec`] when it is not what the type expects.
    pub fn decode(&self) -> Result<K, ClientError> {
        let what = || Target::of::<K>(&()).kind.into_owned();
        serde_json::from_slice(&self.text)
            .map_err(|source| ClientError::Codec { what: what(), source })
    }
}

/// Writes the difference between `before` (as read) and `after` (as wanted): metadata and spec in
/// one merge patch, `status` in another one if it differs. Only what differs is sent.
///
/// `status.conditions` and `status.deprecated.v1beta1.conditions` are merged by type with the
/// newest state, under a per-object lock of this process, so that two controllers that own
/// different conditions of an object never undo each other and never conflict. An object that is
/// gone is no error: `Unchanged`. The status goes second, unless the first patch would let a
/// deleted object go.
///
/// # Errors
/// [`ClientError`]; a conflict only if somebody outside this process keeps changing the object.
pub async fn patch_object<K>(
    client: &Client,
    before: &K,
    after: &K,
) -> Result<Patched<K>, ClientError>
where
    K: kube::Resource<DynamicType = ()> + Serialize + DeserializeOwned + PartialEq,
{
    let target = Target::of::<K>(&());
    let key = ObjectKey::of(after);
    let codec = |source| ClientError::Codec { what: target.describe(&key), source };
    // The usual case, told without building trees.
    if before == after {
        return Ok(Patched::Unchanged);
    }
    let (before, after) = differing(before, after).map_err(codec)?;
    match write(client, &target, &key, &before, &after).await? {
        Some(text) => Ok(Patched::Changed(Answer { text, kind: PhantomData })),
        None => Ok(Patched::Unchanged),
    }
}

/// Two objects as trees of their metadata and of what differs between them: building trees of all
/// the rest would cost more than to write and skim the text.
fn differing<K: Serialize>(before: &K, after: &K) -> serde_json::Result<(Value, Value)> {
    let (before, after) = (serde_json::to_string(before)?, serde_json::to_string(after)?);
    let (old, new): (Members<'_>, Members<'_>) =
        (serde_json::from_str(&before)?, serde_json::from_str(&after)?);
    let mut trees = reduced(&old, &new)?;
    for (members, tree) in [(&old, &mut trees.0), (&new, &mut trees.1)] {
        if let Some(metadata) = members.get("metadata") {
            tree.insert("metadata".to_owned(), serde_json::from_str(metadata.get())?);
        }
    }
    Ok((Value::Object(trees.0), Value::Object(trees.1)))
}

/// Members of an object, as text. Names in JSON may be escaped.
type Members<'t> = BTreeMap<Cow<'t, str>, &'t RawValue>;

/// The members that differ between two objects, and of these again only what differs.
fn reduced(
    before: &Members<'_>,
    after: &Members<'_>,
) -> serde_json::Result<(Map<String, Value>, Map<String, Value>)> {
    let mut trees = (Map::new(), Map::new());
    for (name, old) in before {
        let Some(new) = after.get(name) else {
            trees.0.insert(name.to_string(), serde_json::from_str(old.get())?);
            continue;
        };
        let (old, new) = (old.get(), new.get());
        if old == new {
            continue;
        }
        if old.starts_with('{') && new.starts_with('{') {
            let (old, new) = reduced(&serde_json::from_str(old)?, &serde_json::from_str(new)?)?;
            trees.0.insert(name.to_string(), Value::Object(old));
            trees.1.insert(name.to_string(), Value::Object(new));
        } else {
            trees.0.insert(name.to_string(), serde_json::from_str(old)?);
            trees.1.insert(name.to_string(), serde_json::from_str(new)?);
        }
    }
    for (name, new) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
        trees.1.insert(name.to_string(), serde_json::from_str(new.get())?);
    }
    Ok(trees)
}

/// The same for the metadata of an object whose kind is known only at run time; answers whether
/// anything was written.
///
/// # Errors
/// As [`patch_object`].
pub async fn patch_metadata(
    client: &Client,
    resource: &ApiResource,
    before: &ObjectMeta,
    after: &ObjectMeta,
) -> Result<bool, ClientError> {
    if before == after {
        return Ok(false);
    }
    let name = |part: &Option<String>| part.clone().unwrap_or_default();
    let key = ObjectKey::new(name(&after.namespace), name(&after.name));
    let target = Target::from_resource(resource);
    let (before, after) = (json!({ "metadata": before }), json!({ "metadata": after }));
    Ok(write(client, &target, &key, &before, &after).await?.is_some())
}

/// Tries after conflicts with writers outside this process.
const ATTEMPTS: usize = 5;

/// Sends what differs and returns the last answer; `None` if nothing was sent or nobody was there.
async fn write(
    client: &Client,
    target: &Target<'_>,
    key: &ObjectKey,
    before: &Value,
    after: &Value,
) -> Result<Option<Bytes>, ClientError> {
    let main = main_difference(before, after);
    let status = status_difference(before, after);
    if main.is_none() && status.is_none() {
        return Ok(None);
    }
    let uid = text(before, "/metadata/uid");
    let _turn = turn(if uid.is_empty() { &key.name } else { uid }).lock().await;
    let mut writer = Writer { client, target, key, before, after, newest: None, answer: None };
    let main = main.map(|patch| (Part::Main, patch));
    let status = status.map(|patch| (Part::Status, patch));
    let parts = if lets_go(before, after) { [status, main] } else { [main, status] };
    for (part, patch) in parts.into_iter().flatten() {
        match writer.send(part, patch).await {
            Ok(()) => {}
            Err(error) if error.is_not_found() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(writer.answer)
}

/// The two halves of an object, as the API splits them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Main,
    Status,
}

impl Part {
    fn subresource(self) -> &'static str {
        match self {
            Self::Main => "",
            Self::Status => "status",
        }
    }

    /// Lists that have several owners, and the field that tells their items apart (an item itself
    /// if empty).
    fn shared_lists(self) -> [(&'static str, &'static str); 2] {
        match self {
            Self::Main => [("/metadata/finalizers", ""), ("/metadata/ownerReferences", "uid")],
            Self::Status => {
                [("/status/conditions", "type"), ("/status/deprecated/v1beta1/conditions", "type")]
            }
        }
    }
}

struct Writer<'a> {
    client: &'a Client,
    target: &'a Target<'a>,
    key: &'a ObjectKey,
    before: &'a Value,
    after: &'a Value,
    /// The server's state, as far as it was asked.
    newest: Option<Value>,
    /// The last write's answer, which is newer than `newest`.
    answer: Option<Bytes>,
}

impl Writer<'_> {
    async fn send(&mut self, part: Part, difference: Value) -> Result<(), ClientError> {
        if let Some(answer) = &self.answer {
            self.newest = Some(serde_json::from_slice(answer).map_err(|source| {
                ClientError::Codec { what: self.target.describe(self.key), source }
            })?);
        }
        let is_shared =
            part.shared_lists().iter().any(|(list, _)| difference.pointer(list).is_some());
        if self.newest.is_none() && self.is_behind() {
            self.ask().await?;
        }
        let mut attempt = 1;
        loop {
            let mut patch = difference.clone();
            self.merge_lists(part, &mut patch);
            if self.newest.as_ref().is_some_and(|newest| !changes(newest, &patch)) {
                return Ok(());
            }
            if is_shared {
                let known = self.newest.as_ref().unwrap_or(self.before);
                patch["metadata"]["resourceVersion"] = known["metadata"]["resourceVersion"].clone();
            }
            let sent = self
                .client
                .merge_patch_text(self.target, self.key, part.subresource(), &patch)
                .await;
            match sent {
                Ok(answer) => {
                    self.answer = Some(answer);
                    return Ok(());
                }
                Err(error) if is_shared && error.is_conflict() && attempt < ATTEMPTS => {
                    attempt += 1;
                    self.ask().await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether this process has written the object since `before` was read.
    fn is_behind(&self) -> bool {
        let version = text(self.before, "/metadata/resourceVersion").parse::<u64>();
        match (newest(text(self.before, "/metadata/uid")), version) {
            (Some(written), Ok(read)) => written > read,
            (None, Ok(_)) => false,
            (_, Err(_)) => true,
        }
    }

    /// Reads the newest state. An object of the same name but another uid is another object.
    async fn ask(&mut self) -> Result<(), ClientError> {
        let found = self.client.get_value(self.target, self.key).await?;
        let uid = text(self.before, "/metadata/uid");
        match found.filter(|found| uid.is_empty() || text(found, "/metadata/uid") == uid) {
            Some(found) => {
                self.newest = Some(found);
                Ok(())
            }
            None => Err(gone(self.target, self.key)),
        }
    }

    fn merge_lists(&self, part: Part, patch: &mut Value) {
        let newest = self.newest.as_ref().unwrap_or(self.before);
        for (list, identity) in part.shared_lists() {
            let Some(value) = patch.pointer_mut(list) else { continue };
            let sides = Sides {
                before: items(self.before, list),
                after: items(self.after, list),
                newest: items(newest, list),
                identity,
            };
            let merged = sides.merge();
            *value = if merged.is_empty() { Value::Null } else { Value::Array(merged) };
        }
    }
}

/// A list in three states.
struct Sides<'a> {
    before: &'a [Value],
    after: &'a [Value],
    newest: &'a [Value],
    identity: &'static str,
}

impl Sides<'_> {
    /// The newest list with our changes; where both changed an item, ours wins.
    fn merge(&self) -> Vec<Value> {
        if self.newest == self.before {
            return self.after.to_vec();
        }
        let mut merged: Vec<Value> = Vec::with_capacity(self.newest.len() + 1);
        for item in self.newest {
            let (before, after) = (self.find(self.before, item), self.find(self.after, item));
            match (before, after) {
                // Ours only in name: somebody else's, or not changed by us.
                (None, None) => merged.push(item.clone()),
                (Some(before), Some(after)) if before == after => merged.push(item.clone()),
                // We removed it.
                (Some(_), None) => {}
                (_, Some(after)) => {
                    merged.push(if is_same_state(after, item) { item } else { after }.clone());
                }
            }
        }
        for (index, item) in self.after.iter().enumerate() {
            let is_new_or_changed = self.find(self.before, item) != Some(item);
            if is_new_or_changed && self.find(&merged, item).is_none() {
                // Behind its predecessor, so that sorted lists stay sorted.
                let predecessor = index.checked_sub(1).map(|index| &self.after[index]);
                let position = predecessor
                    .and_then(|before| merged.iter().position(|item| self.is_same(item, before)));
                merged.insert(position.map_or(0, |position| position + 1), item.clone());
            }
        }
        merged
    }

    fn find<'b>(&self, list: &'b [Value], item: &Value) -> Option<&'b Value> {
        list.iter().find(|candidate| self.is_same(candidate, item))
    }

    fn is_same(&self, one: &Value, two: &Value) -> bool {
        if self.identity.is_empty() {
            one == two
        } else {
            one.get(self.identity) == two.get(self.identity)
        }
    }
}

/// Whether two conditions differ in their transition time at most.
fn is_same_state(one: &Value, two: &Value) -> bool {
    let (Some(one), Some(two)) = (one.as_object(), two.as_object()) else { return one == two };
    let is_state = |(name, _): &(&String, &Value)| name.as_str() != "lastTransitionTime";
    one.iter().filter(is_state).eq(two.iter().filter(is_state))
}

fn main_difference(before: &Value, after: &Value) -> Option<Value> {
    let nothing = Map::new();
    let (old, new) =
        (before.as_object().unwrap_or(&nothing), after.as_object().unwrap_or(&nothing));
    let mut patch = Map::new();
    for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))) {
        if !matches!(name.as_str(), "apiVersion" | "kind" | "metadata" | "status")
            && let Some(value) = section_difference(old.get(name), new.get(name))
        {
            patch.insert(name.clone(), value);
        }
    }
    let mut metadata = Map::new();
    for name in ["labels", "annotations", "finalizers", "ownerReferences"] {
        let difference = difference(before["metadata"].get(name), after["metadata"].get(name));
        if let Some(value) = difference {
            metadata.insert(name.to_owned(), value);
        }
    }
    if !metadata.is_empty() {
        patch.insert("metadata".to_owned(), Value::Object(metadata));
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

fn status_difference(before: &Value, after: &Value) -> Option<Value> {
    let status = section_difference(before.get("status"), after.get("status"))?;
    Some(json!({ "status": status }))
}

/// Difference of two top-level sections. One that is missing counts as empty, so that fields which
/// a struct does not know stay on the server.
fn section_difference(before: Option<&Value>, after: Option<&Value>) -> Option<Value> {
    let empty = Value::Object(Map::new());
    match (before, after) {
        (Some(Value::Object(_)), None | Some(Value::Null)) => difference(before, Some(&empty)),
        (None | Some(Value::Null), Some(Value::Object(fields))) if fields.is_empty() => None,
        _ => difference(before, after),
    }
}

/// RFC 7386 patch from `before` to `after`; `None` if there is no difference.
fn difference(before: Option<&Value>, after: Option<&Value>) -> Option<Value> {
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let mut patch = Map::new();
            for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))) {
                if let Some(value) = difference(old.get(name), new.get(name)) {
                    patch.insert(name.clone(), value);
                }
            }
            (!patch.is_empty()).then_some(Value::Object(patch))
        }
        (None | Some(Value::Null), None | Some(Value::Null)) => None,
        (Some(_), None) => Some(Value::Null),
        (old, Some(new)) => (old != Some(new)).then(|| new.clone()),
    }
}

/// Whether a merge patch would change a document.
fn changes(document: &Value, patch: &Value) -> bool {
    match patch {
        Value::Object(fields) => fields.iter().any(|(name, value)| match document.get(name) {
            Some(present) if value.is_object() => !present.is_object() || changes(present, value),
            Some(present) => present != value,
            None => !value.is_null(),
        }),
        _ => document != patch,
    }
}

/// Whether the main patch takes a finalizer from an object that is being deleted, after which it
/// may be gone.
fn lets_go(before: &Value, after: &Value) -> bool {
    const FINALIZERS: &str = "/metadata/finalizers";
    !text(before, "/metadata/deletionTimestamp").is_empty()
        && items(before, FINALIZERS).iter().any(|item| !items(after, FINALIZERS).contains(item))
}

fn items<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn gone(target: &Target<'_>, key: &ObjectKey) -> ClientError {
    let message = format!("{} {:?} not found", target.plural, key.name);
    let mut status = kube::core::Status::failure(&message, "NotFound");
    status.code = 404;
    ClientError::Status(Box::new(status))
}

/// Locks by hash of the uid. Two objects that share one wait for each other now and then; that is
/// cheaper than to keep a lock for each object.
static TURNS: LazyLock<(RandomState, Box<[Mutex<()>]>)> =
    LazyLock::new(|| (RandomState::new(), (0..1024).map(|_| Mutex::default()).collect()));

fn turn(uid: &str) -> &'static Mutex<()> {
    let (hasher, turns) = &*TURNS;
    &turns[hasher.hash_one(uid) as usize % turns.len()]
}

#[cfg(test)]
mod tests;
