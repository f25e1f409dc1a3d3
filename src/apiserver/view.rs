//! How objects appear in answers: whole, as metadata only, or as rows of a Table. Whole objects
//! and metadata are copied out of the stored bytes; Tables alone have to parse them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::negotiate::{MetaVersion, Shape};
use super::profile::Resource;
use crate::machinery::table::{self, Headers, IncludeObject};
use crate::store::Entry;

/// Reads the `includeObject` parameter: which object a Table row carries.
pub(super) fn include_object(text: &str) -> IncludeObject {
    match text {
        "Object" => IncludeObject::Object,
        "None" => IncludeObject::None,
        _ => IncludeObject::Metadata,
    }
}

/// One resource in one shape.
#[derive(Clone)]
pub(super) struct View {
    pub(super) resource: Arc<Resource>,
    pub(super) shape: Shape,
    pub(super) include: IncludeObject,
    /// Now, for columns that show an age.
    pub(super) now_seconds: i64,
}

/// The metadata of a list.
#[derive(Clone, Debug, Default)]
pub(super) struct ListMeta {
    pub(super) revision: u64,
    pub(super) continue_token: String,
    pub(super) remaining: usize,
}

/// Where an object stands; list items of built-in kinds carry no apiVersion and kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Alone,
    Item,
}

impl View {
    /// One object.
    pub(super) fn object(&self, entry: &Entry) -> Vec<u8> {
        let mut out = Vec::with_capacity(entry.raw.len() + 64);
        self.write_event_object(&mut out, entry, Headers::Included);
        out
    }

    /// One object as the answer or event carries it.
    pub(super) fn write_event_object(&self, out: &mut Vec<u8>, entry: &Entry, headers: Headers) {
        match self.shape {
            Shape::Object => self.write_whole(out, entry, Place::Alone),
            Shape::Metadata(version) => write_metadata(out, entry, version),
            Shape::Table(version) => {
                let meta = ListMeta { revision: entry.revision, ..ListMeta::default() };
                out.extend(self.table(version, [entry].into_iter(), &meta, headers));
            }
        }
    }

    /// A list.
    pub(super) fn list(&self, entries: &[Arc<Entry>], meta: &ListMeta) -> Vec<u8> {
        let size: usize = entries.iter().map(|entry| entry.raw.len() + 1).sum();
        let mut out = Vec::with_capacity(size + 256);
        let (kind, api_version) = match self.shape {
            Shape::Object => (&*self.resource.definition.list_kind, &*self.resource.api_version),
            Shape::Metadata(version) => ("PartialObjectMetadataList", version.api_version()),
            Shape::Table(version) => {
                let entries = entries.iter().map(|entry| &**entry);
                return self.table(version, entries, meta, Headers::Included);
            }
        };
        let head = format!(r#"{{"kind":"{kind}","apiVersion":"{api_version}","metadata":"#);
        out.extend_from_slice(head.as_bytes());
        write_list_meta(&mut out, meta);
        out.extend_from_slice(br#","items":["#);
        for (index, entry) in entries.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            match self.shape {
                Shape::Metadata(version) => write_metadata(&mut out, entry, version),
                Shape::Object | Shape::Table(_) => self.write_whole(&mut out, entry, Place::Item),
            }
        }
        out.extend_from_slice(b"]}");
        out
    }

    fn write_whole(&self, out: &mut Vec<u8>, entry: &Entry, place: Place) {
        if place == Place::Item && self.resource.is_built_in() {
            out.push(b'{');
        } else {
            // The object may have been stored in another version of its kind.
            out.extend_from_slice(&self.resource.prefix);
        }
        out.extend_from_slice(entry.without_kind());
    }

    fn table<'a>(
        &self,
        version: MetaVersion,
        entries: impl Iterator<Item = &'a Entry>,
        meta: &ListMeta,
        headers: Headers,
    ) -> Vec<u8> {
        let revision = meta.revision.to_string();
        let meta = table::ListMeta {
            resource_version: &revision,
            continue_token: &meta.continue_token,
            remaining: i64::try_from(meta.remaining).ok().filter(|remaining| *remaining > 0),
        };
        let options = table::Options {
            version: version.version(),
            headers,
            include: self.include,
            now_seconds: self.now_seconds,
        };
        let objects = entries.map(|entry| &entry.raw[..]);
        self.resource.printer().render(meta, objects, &options)
    }

    /// A bookmark's object: nothing but a revision, and the mark that ends initial events.
    pub(super) fn bookmark(&self, revision: u64, ends_initial: bool) -> Value {
        let (kind, api_version) = match self.shape {
            Shape::Object => (&*self.resource.definition.kind, &*self.resource.api_version),
            Shape::Metadata(version) => ("PartialObjectMetadata", version.api_version()),
            Shape::Table(version) => {
                let object = bookmark_object("PartialObjectMetadata", version.api_version());
                let object = with_bookmark_meta(object, revision, ends_initial);
                return json!({
                    "kind": "Table",
                    "apiVersion": version.api_version(),
                    "metadata": {"resourceVersion": revision.to_string()},
                    "columnDefinitions": null,
                    "rows": [{"cells": [], "object": object}],
                });
            }
        };
        with_bookmark_meta(bookmark_object(kind, api_version), revision, ends_initial)
    }
}

fn bookmark_object(kind: &str, api_version: &str) -> Value {
    json!({"kind": kind, "apiVersion": api_version})
}

fn with_bookmark_meta(mut object: Value, revision: u64, ends_initial: bool) -> Value {
    object["metadata"] =
        json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
    if ends_initial {
        object["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    object
}

fn write_metadata(out: &mut Vec<u8>, entry: &Entry, version: MetaVersion) {
    let head =
        format!(r#"{{"kind":"PartialObjectMetadata","apiVersion":"{}","#, version.api_version());
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(entry.metadata());
    out.push(b'}');
}

fn write_list_meta(out: &mut Vec<u8>, meta: &ListMeta) {
    let mut value = json!({"resourceVersion": meta.revision.to_string()});
    if !meta.continue_token.is_empty() {
        value["continue"] = meta.continue_token.as_str().into();
        if meta.remaining > 0 {
            value["remainingItemCount"] = meta.remaining.into();
        }
    }
    write_json(out, &value);
}

fn write_json(out: &mut Vec<u8>, value: &Value) {
    serde_json::to_writer(out, value).expect("a JSON value is written to memory without failure");
}
