//! Documents that follow from a set of resources, each encoded once.

use std::hash::{DefaultHasher, Hasher};
use std::sync::OnceLock;

use bytes::Bytes;
use http::HeaderValue;

use super::answer;
use super::negotiate::Encoding;
use super::profile::ResourceSet;
use super::{discovery, openapi};

/// The derived documents of one [`ResourceSet`], made when first asked for. Kept in the set itself,
/// so that servers that share the set share them, and they go when the set goes.
#[derive(Default)]
pub(crate) struct Documents {
    discovery: OnceLock<discovery::Documents>,
    openapi: OnceLock<openapi::Documents>,
}

impl Documents {
    /// Discovery documents of `resources`, the set that this belongs to.
    pub(crate) fn discovery(&self, resources: &ResourceSet) -> &discovery::Documents {
        self.discovery.get_or_init(|| discovery::Documents::new(resources))
    }

    /// OpenAPI documents of `resources`, the set that this belongs to.
    pub(crate) fn openapi(&self, resources: &ResourceSet) -> &openapi::Documents {
        self.openapi.get_or_init(|| openapi::Documents::new(resources))
    }
}

/// A JSON document that is served in other encodings, too.
pub(crate) struct Encodable {
    json: Bytes,
    /// What became of it in YAML and in protobuf, made when first asked for.
    yaml: OnceLock<(Encoding, Bytes)>,
    protobuf: OnceLock<(Encoding, Bytes)>,
}

impl Encodable {
    pub(crate) fn new(json: Bytes) -> Self {
        Self { json, yaml: OnceLock::new(), protobuf: OnceLock::new() }
    }

    /// The document in an encoding, or in JSON if it has no such form; says which it is.
    pub(super) fn in_encoding(&self, encoding: Encoding) -> (Encoding, Bytes) {
        let made = || answer::encode(encoding, self.json.clone());
        match encoding {
            Encoding::Json => (Encoding::Json, self.json.clone()),
            Encoding::Yaml => self.yaml.get_or_init(made).clone(),
            Encoding::Protobuf => self.protobuf.get_or_init(made).clone(),
        }
    }
}

/// A document with a tag that changes with it.
pub(crate) struct Tagged {
    pub(crate) bytes: Bytes,
    /// 32 upper-case hexadecimal digits.
    pub(crate) tag: String,
}

impl Tagged {
    pub(crate) fn new(bytes: Bytes) -> Self {
        let tag = fingerprint(&bytes);
        Self { bytes, tag }
    }
}

/// Two 64-bit hashes of the bytes: enough to tell one state of a document from the next.
pub(crate) fn fingerprint(bytes: &[u8]) -> String {
    let hash = |seed| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(seed);
        hasher.write(bytes);
        hasher.finish()
    };
    format!("{:016X}{:016X}", hash(0), hash(1))
}

/// A tag as an `ETag` header.
pub(crate) fn quoted(tag: &str) -> HeaderValue {
    HeaderValue::try_from(format!("\"{tag}\"")).expect("a tag has hexadecimal digits only")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_encoded_once_and_say_what_they_became() {
        let document = Encodable::new(r#"{"kind":"APIVersions","versions":["v1"]}"#.into());
        let (encoding, yaml) = document.in_encoding(Encoding::Yaml);
        assert_eq!(
            (encoding, &*yaml),
            (Encoding::Yaml, &b"kind: APIVersions\nversions:\n- v1\n"[..])
        );
        assert_eq!(document.in_encoding(Encoding::Yaml).1.as_ptr(), yaml.as_ptr());
        // Of what Kubernetes does not know there is no protobuf form.
        let unknown = Encodable::new(r#"{"kind":"Set","apiVersion":"x.example.com/v1"}"#.into());
        let (encoding, json) = unknown.in_encoding(Encoding::Protobuf);
        assert_eq!((encoding, json), unknown.in_encoding(Encoding::Json));
    }
}
