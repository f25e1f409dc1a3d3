//! `metadata.managedFields` entries: reading, writing, order and the bound on their number.

use serde_json::{Map, Value};

use super::Writer;
use crate::machinery::field_path::PathElement;

/// Update entries beyond this are folded into `ancient-changes`.
const UPDATES_MAX: usize = 10;
const ANCIENT: &str = "ancient-changes";

/// What an entry records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        }
    }
}

/// One entry; `fields` is `fieldsV1` as JSON.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) manager: String,
    pub(super) operation: Operation,
    pub(super) api_version: String,
    pub(super) subresource: String,
    pub(super) time: Option<String>,
    pub(super) fields: Map<String, Value>,
}

impl Entry {
    /// An entry of the writer without fields and time.
    pub(super) fn of(writer: &Writer<'_>, operation: Operation) -> Self {
        Self {
            manager: writer.manager().to_owned(),
            operation,
            api_version: writer.api_version.to_owned(),
            subresource: writer.subresource.to_owned(),
            time: None,
            fields: Map::new(),
        }
    }

    /// Whether two entries are one manager's. Appliers are identified without the version.
    pub(super) fn is_same_manager(&self, other: &Self) -> bool {
        self.manager == other.manager
            && self.operation == other.operation
            && self.subresource == other.subresource
            && (self.operation == Operation::Apply || self.api_version == other.api_version)
    }

    fn seconds(&self) -> i64 {
        let time = self.time.as_deref().and_then(|time| time.parse::<jiff::Timestamp>().ok());
        time.map_or(0, jiff::Timestamp::as_second)
    }

    /// How conflict messages name the manager.
    pub(super) fn describe(&self) -> String {
        let mut text = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == Operation::Update {
            text.push_str(&format!(" using {}", self.api_version));
        }
        text
    }
}

/// Checks a list of entries; nothing is no list.
///
/// # Errors
/// What is malformed.
pub fn check(list: &Value) -> Result<(), String> {
    if list.is_null() {
        return Ok(());
    }
    decode(list.clone()).map(|_| ())
}

/// Whether the fields of all entries of a list are paths; elements of a kind that is not known are.
/// (structured-merge-diff: fieldpath/serialize-pe.go)
pub(super) fn has_paths(list: &Value) -> bool {
    fn are_paths(fields: &Value) -> bool {
        let Value::Object(fields) = fields else { return true };
        fields.iter().all(|(key, below)| {
            let known = match key.split_at_checked(2) {
                Some(("f:", _)) => true,
                Some(("v:" | "k:" | "i:", _)) => PathElement::parse(key).is_some(),
                Some((kind, _)) => kind.ends_with(':'),
                None => key == ".",
            };
            known && are_paths(below)
        })
    }
    let entries = list.as_array().into_iter().flatten();
    entries.map(|entry| &entry["fieldsV1"]).all(are_paths)
}

/// Reads a list of entries. The error says what is malformed.
pub(super) fn decode(list: Value) -> Result<Vec<Entry>, String> {
    let Value::Array(list) = list else { return Ok(Vec::new()) };
    let mut entries: Vec<Entry> = Vec::with_capacity(list.len());
    for (index, value) in list.into_iter().enumerate() {
        let entry = decode_entry(index, value)?;
        match entries.iter_mut().find(|other| other.is_same_manager(&entry)) {
            Some(other) => *other = entry,
            None => entries.push(entry),
        }
    }
    Ok(entries)
}

fn decode_entry(index: usize, value: Value) -> Result<Entry, String> {
    let Value::Object(mut map) = value else { return Err("entry must be an object".to_owned()) };
    let mut text = |key: &str| match map.remove(key) {
        Some(Value::String(text)) => text,
        _ => String::new(),
    };
    let operation = match text("operation").as_str() {
        "Apply" => Operation::Apply,
        "Update" => Operation::Update,
        _ => return Err("operation must be `Apply` or `Update`".to_owned()),
    };
    let api_version = text("apiVersion");
    if api_version.is_empty() {
        return Err("apiVersion must not be empty".to_owned());
    }
    match text("fieldsType").as_str() {
        "FieldsV1" => {}
        "" => return Err(format!("missing fieldsType in managed fields entry {index}")),
        other => {
            return Err(format!("invalid fieldsType {other:?} in managed fields entry {index}"));
        }
    }
    let (manager, subresource, time) = (text("manager"), text("subresource"), text("time"));
    let fields = match map.remove("fieldsV1") {
        Some(Value::Object(fields)) => fields,
        None | Some(Value::Null) => Map::new(),
        Some(_) => return Err("error decoding set".to_owned()),
    };
    let time = (!time.is_empty()).then_some(time);
    Ok(Entry { manager, operation, api_version, subresource, time, fields })
}

/// Writes entries that own something, sorted as kube-apiserver sorts them; `None` if none does.
pub(super) fn encode(mut entries: Vec<Entry>) -> Option<Value> {
    entries.retain(|entry| !entry.fields.is_empty());
    if entries.is_empty() {
        return None;
    }
    entries.sort_by(|a, b| {
        let rank = |entry: &Entry| (entry.operation, entry.seconds());
        let name = |a: &Entry, b: &Entry| {
            (&a.manager, &a.api_version, &a.subresource).cmp(&(
                &b.manager,
                &b.api_version,
                &b.subresource,
            ))
        };
        rank(a).cmp(&rank(b)).then_with(|| name(a, b))
    });
    Some(entries.into_iter().map(encode_entry).collect())
}

fn encode_entry(entry: Entry) -> Value {
    let mut map = Map::new();
    let mut text = |key: &str, value: String| {
        if !value.is_empty() {
            map.insert(key.to_owned(), Value::String(value));
        }
    };
    text("manager", entry.manager);
    text("operation", entry.operation.as_str().to_owned());
    text("apiVersion", entry.api_version);
    text("subresource", entry.subresource);
    text("time", entry.time.unwrap_or_default());
    text("fieldsType", "FieldsV1".to_owned());
    map.insert("fieldsV1".to_owned(), Value::Object(entry.fields));
    Value::Object(map)
}

/// Folds the oldest update entries of one version together until at most ten are left
/// (apimachinery `capmanagers.go`).
pub(super) fn cap_updates(entries: &mut Vec<Entry>) {
    entries.retain(|entry| !entry.fields.is_empty());
    let mut oldest: Vec<(i64, Entry)> = entries
        .iter()
        .filter(|entry| entry.operation == Operation::Update)
        .map(|entry| (entry.seconds(), Entry { fields: Map::new(), ..entry.clone() }))
        .collect();
    let mut count = oldest.len();
    if count <= UPDATES_MAX {
        return;
    }
    oldest.sort_by(|(a_time, a), (b_time, b)| {
        a_time.cmp(b_time).then_with(|| a.manager.cmp(&b.manager))
    });
    let mut first_of_version: Vec<Entry> = Vec::new();
    for (_, old) in oldest {
        if count <= UPDATES_MAX {
            break;
        }
        let same_version = |other: &&Entry| other.api_version == old.api_version;
        let Some(first) = first_of_version.iter().find(same_version).cloned() else {
            first_of_version.push(old);
            continue;
        };
        let Some(position) = entries.iter().position(|entry| entry.is_same_manager(&old)) else {
            continue;
        };
        let folded = entries.remove(position);
        let is_bucket = |entry: &Entry| {
            entry.manager == ANCIENT
                && entry.operation == Operation::Update
                && entry.api_version == old.api_version
                && entry.subresource.is_empty()
        };
        if !entries.iter().any(is_bucket)
            && let Some(entry) = entries.iter_mut().find(|entry| entry.is_same_manager(&first))
        {
            entry.manager = ANCIENT.to_owned();
            entry.subresource = String::new();
        }
        if let Some(bucket) = entries.iter_mut().find(|entry| is_bucket(entry)) {
            let set = super::FieldSet::from_json(&Value::Object(folded.fields));
            set.add_to(&mut bucket.fields);
            bucket.time = folded.time;
            count -= 1;
        }
    }
}
