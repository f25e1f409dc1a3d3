//! One version of one object: encoded JSON and what the engine knows of it without parsing.
//!
//! Stored objects always begin with `{"apiVersion":…,"kind":…,"metadata":{"resourceVersion":"…"`,
//! so that a list of built-in objects leaves out the first two fields, another version of the kind
//! replaces them, and metadata alone is cut out, each by copying a slice.

use std::fmt::Write as _;

use bytes::Bytes;

use crate::machinery::meta::Meta;

/// What precedes the digits of the resourceVersion within metadata.
const REVISION_FIELD: &str = "\"metadata\":{\"resourceVersion\":\"";

/// An encoded object that has no revision yet.
#[derive(Clone, Debug)]
pub struct Draft {
    /// `{"apiVersion":"v1","kind":"ConfigMap",`
    pub prefix: Bytes,
    /// The rest of metadata's fields, without braces and without resourceVersion; may be empty.
    pub metadata: Vec<u8>,
    /// All other fields, without braces; may be empty.
    pub body: Vec<u8>,
    /// Metadata that is indexed.
    pub meta: Meta,
    /// Values of the resource's selectable fields, in the order of its definition.
    pub fields: Box<[Box<str>]>,
    /// Fingerprint of the definition under which the object is written.
    pub definition: u64,
}

/// One version of one object.
#[derive(Debug)]
pub struct Entry {
    /// The object as JSON.
    pub raw: Bytes,
    /// Revision that wrote it; also in `raw` as metadata.resourceVersion.
    pub revision: u64,
    /// Indexed metadata.
    pub meta: Meta,
    /// Values of the resource's selectable fields, in the order of its definition.
    pub fields: Box<[Box<str>]>,
    /// Fingerprint of the definition under which it was written. Under another one it may have
    /// other fields and defaults.
    pub definition: u64,
    /// Where `"metadata":` begins in `raw`.
    metadata_at: u32,
    /// End of the metadata object in `raw`.
    metadata_end: u32,
}

impl Draft {
    /// The object as it is at a revision.
    pub fn at(self, revision: u64) -> Entry {
        let mut raw = Vec::with_capacity(
            self.prefix.len() + self.metadata.len() + self.body.len() + REVISION_FIELD.len() + 28,
        );
        raw.extend_from_slice(&self.prefix);
        let metadata_at = raw.len();
        raw.extend_from_slice(REVISION_FIELD.as_bytes());
        let mut digits = DecimalBuffer::default();
        raw.extend_from_slice(digits.format(revision));
        raw.push(b'"');
        if !self.metadata.is_empty() {
            raw.push(b',');
            raw.extend_from_slice(&self.metadata);
        }
        raw.push(b'}');
        let metadata_end = raw.len();
        if !self.body.is_empty() {
            raw.push(b',');
            raw.extend_from_slice(&self.body);
        }
        raw.push(b'}');
        Entry {
            raw: raw.into(),
            revision,
            meta: self.meta,
            fields: self.fields,
            definition: self.definition,
            metadata_at: offset(metadata_at),
            metadata_end: offset(metadata_end),
        }
    }

    /// The object as JSON without a resourceVersion, as a dry run answers a creation.
    pub fn unversioned(&self) -> Vec<u8> {
        let mut raw = self.prefix.to_vec();
        raw.extend_from_slice(b"\"metadata\":{");
        raw.extend_from_slice(&self.metadata);
        raw.push(b'}');
        if !self.body.is_empty() {
            raw.push(b',');
            raw.extend_from_slice(&self.body);
        }
        raw.push(b'}');
        raw
    }

    /// Whether storing the draft would change nothing of `entry`.
    pub fn equals(&self, entry: &Entry) -> bool {
        entry.raw[..entry.metadata_at as usize] == self.prefix[..]
            && entry.metadata_fields() == self.metadata
            && entry.body_fields() == self.body
    }
}

impl Entry {
    /// The object from `"metadata":` on: all but the opening brace, apiVersion and kind.
    pub fn without_kind(&self) -> &[u8] {
        &self.raw[self.metadata_at as usize..]
    }

    /// `{"apiVersion":…,"kind":…,`
    pub fn prefix(&self) -> &[u8] {
        &self.raw[..self.metadata_at as usize]
    }

    /// `"metadata":{…}`
    pub fn metadata(&self) -> &[u8] {
        &self.raw[self.metadata_at as usize..self.metadata_end as usize]
    }

    /// The object with another resourceVersion.
    pub fn with_revision(&self, revision: u64) -> Self {
        let start = self.metadata_at as usize + REVISION_FIELD.len();
        let end = start + self.digits();
        let mut digits = DecimalBuffer::default();
        let digits = digits.format(revision);
        let mut raw = Vec::with_capacity(self.raw.len() + digits.len());
        raw.extend_from_slice(&self.raw[..start]);
        raw.extend_from_slice(digits);
        raw.extend_from_slice(&self.raw[end..]);
        let grown = self.metadata_end as usize + digits.len() - (end - start);
        Self {
            raw: raw.into(),
            revision,
            meta: self.meta.clone(),
            fields: self.fields.clone(),
            definition: self.definition,
            metadata_at: self.metadata_at,
            metadata_end: offset(grown),
        }
    }

    /// A draft of an object that differs from this one in its metadata only; `metadata` are the
    /// fields of [`Draft::metadata`].
    pub fn with_metadata(&self, metadata: Vec<u8>, meta: Meta) -> Draft {
        Draft {
            prefix: self.raw.slice(..self.metadata_at as usize),
            metadata,
            body: self.body_fields().to_vec(),
            meta,
            fields: self.fields.clone(),
            definition: self.definition,
        }
    }

    /// Length of the resourceVersion.
    fn digits(&self) -> usize {
        let start = self.metadata_at as usize + REVISION_FIELD.len();
        self.raw[start..].iter().take_while(|byte| byte.is_ascii_digit()).count()
    }

    /// What [`Draft::metadata`] was.
    fn metadata_fields(&self) -> &[u8] {
        let end = self.metadata_end as usize - 1;
        // The digits are followed by a quote and, if there are more fields, a comma.
        let start = self.metadata_at as usize + REVISION_FIELD.len() + self.digits() + 2;
        self.raw.get(start..end).unwrap_or_default()
    }

    /// What [`Draft::body`] was.
    fn body_fields(&self) -> &[u8] {
        let end = self.raw.len() - 1;
        self.raw.get(self.metadata_end as usize + 1..end).unwrap_or_default()
    }
}

/// An offset within an object; objects are limited to a few megabytes.
fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("an encoded object is smaller than 4 GiB")
}

/// Room for a decimal number on the stack.
#[derive(Default)]
struct DecimalBuffer {
    text: smallvec::SmallVec<[u8; 20]>,
}

impl DecimalBuffer {
    fn format(&mut self, number: u64) -> &[u8] {
        struct Writer<'a>(&'a mut smallvec::SmallVec<[u8; 20]>);
        impl std::fmt::Write for Writer<'_> {
            fn write_str(&mut self, text: &str) -> std::fmt::Result {
                self.0.extend_from_slice(text.as_bytes());
                Ok(())
            }
        }
        self.text.clear();
        write!(Writer(&mut self.text), "{number}").expect("writing to memory does not fail");
        &self.text
    }
}
