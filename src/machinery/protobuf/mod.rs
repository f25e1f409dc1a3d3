//! Kubernetes' protobuf: request bodies decoded to Kubernetes' JSON, and JSON encoded for answers.
//!
//! A body is the four bytes `k8s\0` and a `runtime.Unknown`: the object's apiVersion and kind, and
//! its message. The fields of messages come from the table of the built-in kinds. What results is
//! what Go's encoding/json would have written for the same object: zeros only where Go writes them,
//! times as text, embedded structs as members of their parent, quantities, raw extensions and
//! either-or types in their JSON form.
//!
//! Decoding is bounded in depth and in the number of values, and never panics. Fields that the table
//! does not know are skipped, as every protobuf decoder does.

mod encode;
mod message;
mod plan;
mod special;
mod wire;

#[cfg(test)]
mod tests;

use serde_json::Value;

use super::gvk;

pub use encode::{EncodeError, encode, write_event};

/// First bytes of every protobuf body.
/// (kubernetes 1.36: apimachinery/pkg/runtime/serializer/protobuf, protoEncodingPrefix)
const MAGIC: &[u8] = b"k8s\0";

/// Why a body is no object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The body lacks the four bytes that Kubernetes' protobuf begins with.
    #[error("provided data does not appear to be a protobuf message, expected prefix {MAGIC:?}")]
    NoEnvelope,
    /// The envelope does not say what is in it.
    #[error("Object 'Kind' is missing")]
    NoKind,
    /// There is no message for the kind: it is a custom resource, or unknown.
    #[error("no kind \"{kind}\" is registered for version \"{api_version}\"")]
    UnknownKind {
        /// The envelope's apiVersion.
        api_version: String,
        /// The envelope's kind.
        kind: String,
    },
    /// The bytes are no message of the kind.
    #[error("proto: {0}")]
    Malformed(&'static str),
    /// Messages are nested too deeply.
    #[error("proto: messages are nested more than {} deep", message::DEPTH_MAX)]
    TooDeep,
    /// There are too many values.
    #[error("proto: more than {} values", message::VALUES_MAX)]
    TooLarge,
}

/// Decodes a body with its envelope to an object with apiVersion and kind.
///
/// # Errors
/// Whatever keeps the body from being an object of a built-in kind.
pub fn decode(body: &[u8]) -> Result<Value, Error> {
    message::Walk::default().envelope(body, 0)
}

/// Full name of the message of a kind: of the group's package, or of meta/v1, whose options and
/// statuses travel under any group.
fn message_name(api_version: &str, kind: &str) -> Option<String> {
    let (group, version) = gvk::split_api_version(api_version);
    let of_group = match group {
        "" => format!("k8s.io.api.core.{version}.{kind}"),
        "apiextensions.k8s.io" => {
            format!("k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.{version}.{kind}")
        }
        "apiregistration.k8s.io" => {
            format!("k8s.io.kube_aggregator.pkg.apis.apiregistration.{version}.{kind}")
        }
        _ => {
            let package = group.split('.').next().unwrap_or_default();
            format!("k8s.io.api.{package}.{version}.{kind}")
        }
    };
    [of_group, format!("k8s.io.apimachinery.pkg.apis.meta.v1.{kind}")]
        .into_iter()
        .find(|name| super::builtin::message(name).is_some())
}
