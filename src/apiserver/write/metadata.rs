//! `metadata`: its normal form, what the system sets, what users may set and change.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::generation;
use crate::apiserver::garbage::{FOREGROUND_FINALIZER, ORPHAN_FINALIZER};
use crate::apiserver::options::check_field_manager;
use crate::apiserver::profile::Resource;
use crate::apiserver::random;
use crate::machinery::names;
use crate::machinery::status::Cause;

/// Largest sum of the sizes of all annotations. (apimachinery: api/validation/objectmeta.go)
const ANNOTATIONS_MAX: usize = 256 * 1024;

/// Finalizers of built-in kinds that are not qualified by a domain.
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", ORPHAN_FINALIZER, FOREGROUND_FINALIZER];

const STRINGS: [&str; 8] = [
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
];
const NUMBERS: [&str; 2] = ["generation", "deletionGracePeriodSeconds"];
const MAPS: [&str; 2] = ["labels", "annotations"];
const OWNER: [&str; 6] = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];
const MANAGER: [&str; 7] =
    ["manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1", "subresource"];
const LISTS: [&str; 3] = ["ownerReferences", "finalizers", "managedFields"];

/// A text field of metadata, `""` if absent.
pub(super) fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

/// The members of metadata, which [`normalise`] has put there.
pub(super) fn members(object: &mut Value) -> &mut Map<String, Value> {
    if !object["metadata"].is_object() {
        object["metadata"] = Value::Object(Map::new());
    }
    object["metadata"].as_object_mut().expect("metadata was made an object")
}

/// Finalizers of an object.
pub(super) fn finalizers(object: &Value) -> Vec<&str> {
    let list = object["metadata"]["finalizers"].as_array();
    list.map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

/// Brings metadata into the form in which Go writes it: nothing null, nothing empty.
///
/// # Errors
/// The message of Go's decoder for a value of the wrong type.
pub(super) fn normalise(object: &mut Value) -> Result<(), String> {
    if !object.is_object() {
        return Ok(());
    }
    match &object["metadata"] {
        Value::Object(_) | Value::Null => {}
        other => return Err(mismatch(other, "metadata", "v1.ObjectMeta")),
    }
    let metadata = members(object);
    metadata.retain(|_, value| !value.is_null());
    for (name, value) in &mut *metadata {
        check_type(name, value)?;
        if let (true, Value::Object(entries)) = (MAPS.contains(&name.as_str()), value) {
            for entry in entries.values_mut().filter(|entry| entry.is_null()) {
                *entry = "".into();
            }
        }
    }
    let is_empty = |value: &Value| match value {
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    // An empty list of managed fields is a wish: to forget all ownership.
    metadata.retain(|name, value| name == "managedFields" || !is_empty(value));
    Ok(())
}

fn check_type(name: &str, value: &Value) -> Result<(), String> {
    let path = || format!("metadata.{name}");
    match value {
        Value::String(text) if STRINGS.contains(&name) => {
            if name.ends_with("Timestamp") && !text.is_empty() && text.parse::<Timestamp>().is_err()
            {
                return Err(format!(
                    "parsing time \"{text}\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \
                     \"{text}\" as \"2006\""
                ));
            }
            Ok(())
        }
        Value::Object(entries) if MAPS.contains(&name) => {
            let wrong = entries.values().find(|entry| !entry.is_string() && !entry.is_null());
            wrong.map_or(Ok(()), |wrong| Err(mismatch(wrong, &path(), "string")))
        }
        Value::Array(list) if name == "finalizers" => {
            let wrong = list.iter().find(|item| !item.is_string());
            wrong.map_or(Ok(()), |wrong| Err(mismatch(wrong, &path(), "string")))
        }
        Value::Array(list) if LISTS.contains(&name) => {
            let wrong = list.iter().find(|item| !item.is_object());
            wrong.map_or(Ok(()), |wrong| Err(mismatch(wrong, &path(), "v1.OwnerReference")))
        }
        Value::Number(number) if NUMBERS.contains(&name) && number.is_i64() => Ok(()),
        other if STRINGS.contains(&name) => Err(mismatch(other, &path(), "string")),
        other if NUMBERS.contains(&name) => Err(mismatch(other, &path(), "int64")),
        other if MAPS.contains(&name) => Err(mismatch(other, &path(), "map[string]string")),
        other if LISTS.contains(&name) => Err(mismatch(other, &path(), "[]string")),
        _ => Ok(()),
    }
}

fn mismatch(value: &Value, path: &str, wanted: &str) -> String {
    let given = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    format!(
        "json: cannot unmarshal {given} into Go struct field ObjectMeta.{path} of type {wanted}"
    )
}

/// Removes fields that metadata does not have and returns their paths.
pub(super) fn prune(object: &mut Value) -> Vec<String> {
    let mut unknown = Vec::new();
    let Some(metadata) = object["metadata"].as_object_mut() else { return unknown };
    metadata.retain(|name, _| {
        let name = name.as_str();
        let known = STRINGS.contains(&name)
            || NUMBERS.contains(&name)
            || MAPS.contains(&name)
            || LISTS.contains(&name);
        if !known {
            unknown.push(format!("metadata.{name}"));
        }
        known
    });
    for (name, known) in [("ownerReferences", &OWNER[..]), ("managedFields", &MANAGER[..])] {
        let items = metadata.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten();
        for (index, item) in items.enumerate() {
            let Value::Object(item) = item else { continue };
            item.retain(|field, _| {
                let is_known = known.contains(&field.as_str());
                if !is_known {
                    unknown.push(format!("metadata.{name}[{index}].{field}"));
                }
                is_known
            });
        }
    }
    unknown
}

/// Removes what clients cannot say of a new object.
/// (kubernetes 1.36: apiserver/pkg/registry/rest/meta.go, WipeObjectMetaSystemFields)
pub(super) fn remove_system_fields(object: &mut Value) {
    let metadata = members(object);
    for field in [
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "resourceVersion",
        "selfLink",
        "uid",
    ] {
        metadata.remove(field);
    }
}

/// Sets what the system says of a new object.
pub(super) fn set_system_fields(resource: &Resource, object: &mut Value, now: Timestamp) {
    let generation = generation::is_kept(resource);
    let metadata = members(object);
    metadata.insert("uid".to_owned(), random::uid().into());
    metadata.insert("creationTimestamp".to_owned(), timestamp(now).into());
    // Kinds without a generation keep what a client says.
    if generation {
        metadata.insert("generation".to_owned(), 1.into());
    }
}

/// A time as metadata shows it.
pub(super) fn timestamp(time: Timestamp) -> String {
    format!("{time:.0}")
}

/// Carries over what an update cannot change. A uid or creation time that differs stays, to be
/// refused or, for the latter, ignored.
pub(super) fn carry_over(new: &mut Value, old: &Value) {
    let old = &old["metadata"];
    let metadata = members(new);
    for field in ["uid", "deletionGracePeriodSeconds"] {
        if !metadata.contains_key(field) && !old[field].is_null() {
            metadata.insert(field.to_owned(), old[field].clone());
        }
    }
    for field in ["creationTimestamp", "generation", "resourceVersion"] {
        match &old[field] {
            Value::Null => metadata.remove(field),
            value => metadata.insert(field.to_owned(), value.clone()),
        };
    }
    if !old["deletionTimestamp"].is_null() {
        metadata.insert("deletionTimestamp".to_owned(), old["deletionTimestamp"].clone());
    }
    metadata.remove("selfLink");
}

/// Checks metadata of a new (`old` is `None`) or changed object.
pub(super) fn validate(resource: &Resource, new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let Some(old) = old else {
        check_name(resource, new, &mut causes);
        check_whole(new, &mut causes);
        check_own_finalizers(resource, new, &mut causes);
        return causes;
    };
    // kube-apiserver checks metadata in the generic code, as those of an object and as those of a
    // changed one, and once more each way where the kind's own code does; it reports all.
    let Repeats { whole, changed } = repeats(resource);
    let (mut as_whole, mut as_changed) = (Vec::new(), Vec::new());
    check_whole(new, &mut as_whole);
    check_changes(new, old, &mut as_changed);
    check_contents(new, &mut as_changed);
    for round in 0..=whole {
        causes.extend(as_whole.iter().cloned());
        if round > 0 {
            check_own_finalizers(resource, new, &mut causes);
        }
    }
    for round in 0..=changed {
        causes.extend(as_changed.iter().cloned());
        if round > 0 {
            check_own_finalizers(resource, new, &mut causes);
        }
    }
    causes
}

/// How often the code of a kind checks metadata of a changed object after the generic code.
struct Repeats {
    /// As those of any object.
    whole: usize,
    /// As those of a changed object.
    changed: usize,
}

/// (kubernetes 1.36: ValidateUpdate of the strategies under pkg/registry, pkg/apis/*/validation)
fn repeats(resource: &Resource) -> Repeats {
    let counts = |whole, changed| Repeats { whole, changed };
    if !resource.is_built_in() {
        return counts(0, 1);
    }
    let definition = &resource.definition;
    match (&*definition.group, &*definition.kind) {
        ("", "LimitRange" | "PersistentVolume") => counts(1, 0),
        ("", "ResourceQuota" | "Endpoints" | "PodTemplate") => counts(0, 1),
        ("", _) | ("apps", "ReplicaSet" | "DaemonSet" | "ControllerRevision") => counts(1, 1),
        ("batch", "Job") | ("storage.k8s.io", _) | ("certificates.k8s.io", _) => counts(1, 1),
        ("rbac.authorization.k8s.io", _) => counts(2, 1),
        ("policy", _) => counts(0, 0),
        ("admissionregistration.k8s.io", _) => counts(1, 0),
        _ => counts(0, 1),
    }
}

/// What is checked of the metadata of any object.
pub(super) fn check_whole(object: &Value, causes: &mut Vec<Cause>) {
    if let Some(generation) = object["metadata"]["generation"].as_i64()
        && generation < 0
    {
        let why = "must be greater than or equal to 0";
        causes.push(Cause::invalid("metadata.generation", &generation.into(), why));
    }
    check_contents(object, causes);
    check_finalizers(object, causes);
}

/// What is checked of the metadata of new and of changed objects.
fn check_contents(object: &Value, causes: &mut Vec<Cause>) {
    check_labels(object, causes);
    check_annotations(object, causes);
    check_owners(object, causes);
    check_managers(object, causes);
}

/// Entries of `managedFields` that a client sent and that count may have odd names.
fn check_managers(object: &Value, causes: &mut Vec<Cause>) {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    for (index, entry) in entries.enumerate() {
        let text = |field: &str| entry[field].as_str().unwrap_or_default();
        let (manager, subresource) = (text("manager"), text("subresource"));
        let is_plain = |c: u8| (b' '..=b'~').contains(&c);
        if manager.len() > 128 || !manager.bytes().all(is_plain) {
            let field = format!("metadata.managedFields[{index}].manager");
            check_field_manager(manager, &field, causes);
        }
        if subresource.len() > 256 {
            let field = format!("metadata.managedFields[{index}].subresource");
            causes.push(Cause::too_long(field, 256));
        }
    }
}

fn check_name(resource: &Resource, object: &Value, causes: &mut Vec<Cause>) {
    let definition = &resource.definition;
    let check = |name: &str| match (&*definition.group, &*definition.kind) {
        ("rbac.authorization.k8s.io", _)
        | ("policy", "PodDisruptionBudget")
        | ("apiregistration.k8s.io", _) => names::check_path_segment(name),
        ("apps", "StatefulSet") => names::check_label(name),
        ("networking.k8s.io", "IPAddress") => crate::apiserver::strategy::check_ip(name),
        ("", "Namespace") => names::check_label(name),
        ("", "Service") => names::check_label_1035(name),
        _ => names::check_subdomain(name),
    };
    let (base, name) = (text(object, "generateName"), text(object, "name"));
    if !base.is_empty() {
        // A base may end where the suffix goes on.
        let masked = match base.strip_suffix('-') {
            Some(head) => format!("{head}a"),
            None => base.to_owned(),
        };
        for why in check(&masked) {
            causes.push(Cause::invalid("metadata.generateName", &base.into(), &why));
        }
    }
    if name.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
        return;
    }
    for why in check(name) {
        causes.push(Cause::invalid("metadata.name", &name.into(), &why));
    }
}

fn check_changes(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    if !old["metadata"]["deletionTimestamp"].is_null() {
        let before = finalizers(old);
        let added: Vec<_> =
            finalizers(new).into_iter().filter(|finalizer| !before.contains(finalizer)).collect();
        if !added.is_empty() {
            let added: Vec<String> = added.iter().map(|name| format!("{name:?}")).collect();
            let why = format!(
                "no new finalizers can be added if the object is being deleted, found new \
                 finalizers []string{{{}}}",
                added.join(", ")
            );
            causes.push(Cause::forbidden("metadata.finalizers", &why));
        }
    }
    for field in ["uid", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let (new, old) = (&new["metadata"][field], &old["metadata"][field]);
        if new != old {
            let path = format!("metadata.{field}");
            causes.push(Cause::invalid(path, new, "field is immutable"));
        }
    }
}

fn check_labels(object: &Value, causes: &mut Vec<Cause>) {
    let Some(labels) = object["metadata"]["labels"].as_object() else { return };
    for (key, value) in labels {
        for why in names::check_label_key(key) {
            causes.push(Cause::invalid("metadata.labels", &key.as_str().into(), &why));
        }
        for why in names::check_label_value(value.as_str().unwrap_or_default()) {
            causes.push(Cause::invalid("metadata.labels", value, &why));
        }
    }
}

fn check_annotations(object: &Value, causes: &mut Vec<Cause>) {
    let Some(annotations) = object["metadata"]["annotations"].as_object() else { return };
    let mut size = 0;
    for (key, value) in annotations {
        size += key.len() + value.as_str().map_or(0, str::len);
        for why in names::check_label_key(&key.to_lowercase()) {
            causes.push(Cause::invalid("metadata.annotations", &key.as_str().into(), &why));
        }
    }
    if size > ANNOTATIONS_MAX {
        causes.push(Cause::too_long("metadata.annotations", ANNOTATIONS_MAX));
    }
}

fn check_owners(object: &Value, causes: &mut Vec<Cause>) {
    let Some(owners) = object["metadata"]["ownerReferences"].as_array() else { return };
    let text = |owner: &Value, field: &str| owner[field].as_str().unwrap_or_default().to_owned();
    for owner in owners {
        let api_version = text(owner, "apiVersion");
        if api_version.is_empty() || api_version.matches('/').count() > 1 {
            let path = "metadata.ownerReferences.apiVersion";
            let shown = Value::from(api_version.as_str());
            causes.push(Cause::invalid(path, &shown, "version must not be empty"));
        }
        for field in ["kind", "name", "uid"] {
            if text(owner, field).is_empty() {
                let path = format!("metadata.ownerReferences.{field}");
                causes.push(Cause::invalid(path, &"".into(), "must not be empty"));
            }
        }
        if api_version == "v1" && owner["kind"] == "Event" {
            let why = "/v1, Kind=Event is disallowed from being an owner";
            causes.push(invalid_owner(&go_owner(owner), why));
        }
    }
    let controllers: Vec<_> = owners.iter().filter(|owner| owner["controller"] == true).collect();
    if let [first, second, ..] = controllers[..] {
        let name = |owner: &Value| format!("{}/{}", text(owner, "kind"), text(owner, "name"));
        let why = format!(
            "Only one reference can have Controller set to true. Found \"true\" in references for \
             {} and {}",
            name(first),
            name(second)
        );
        let shown: Vec<String> = owners.iter().map(go_owner).collect();
        causes.push(invalid_owner(&format!("[{}]", shown.join(",")), &why));
    }
}

fn invalid_owner(shown: &str, why: &str) -> Cause {
    Cause {
        reason: "FieldValueInvalid".to_owned(),
        message: format!("Invalid value: {shown}: {why}"),
        field: "metadata.ownerReferences".to_owned(),
    }
}

/// An owner reference as Go prints it: in the order of the struct's fields.
fn go_owner(owner: &Value) -> String {
    let fields = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];
    let present = fields.iter().filter(|field| !owner[**field].is_null());
    let members: Vec<String> =
        present.map(|field| format!("\"{field}\":{}", owner[*field])).collect();
    format!("{{{}}}", members.join(","))
}

/// Removes owner references that occur twice and returns their uids.
pub(super) fn remove_duplicate_owners(object: &mut Value) -> Vec<String> {
    let mut repeated = Vec::new();
    let owners = object.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut);
    let Some(owners) = owners else { return repeated };
    let mut known: Vec<Value> = Vec::with_capacity(owners.len());
    for owner in owners.drain(..) {
        if known.contains(&owner) {
            repeated.push(owner["uid"].as_str().unwrap_or_default().to_owned());
        } else {
            known.push(owner);
        }
    }
    *owners = known;
    repeated
}

fn check_finalizers(object: &Value, causes: &mut Vec<Cause>) {
    let finalizers = finalizers(object);
    for finalizer in &finalizers {
        for why in names::check_label_key(finalizer) {
            causes.push(Cause::invalid("metadata.finalizers", &(*finalizer).into(), &why));
        }
    }
    let has = |name: &str| finalizers.contains(&name);
    if has(ORPHAN_FINALIZER) && has(FOREGROUND_FINALIZER) {
        let shown = Value::from(finalizers.clone());
        let why = "finalizer orphan and foregroundDeletion cannot be both set";
        causes.push(Cause::invalid("metadata.finalizers", &shown, why));
    }
}

/// Whether a finalizer is one of Kubernetes' own, which have no domain.
pub(super) fn is_standard_finalizer(name: &str) -> bool {
    STANDARD_FINALIZERS.contains(&name)
}

/// Finalizers of Kubernetes' own kinds have a domain.
fn check_own_finalizers(resource: &Resource, object: &Value, causes: &mut Vec<Cause>) {
    let is_generic =
        matches!(&*resource.key.group, "apiextensions.k8s.io" | "apiregistration.k8s.io");
    if !resource.is_built_in() || is_generic {
        return;
    }
    for (index, finalizer) in finalizers(object).iter().enumerate() {
        if !finalizer.contains('/') && !is_standard_finalizer(finalizer) {
            let path = format!("metadata.finalizers[{index}]");
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            causes.push(Cause::invalid(path, &(*finalizer).into(), why));
        }
    }
}
