//! Content negotiation: which shape and encoding of an answer a client accepts.

use http::HeaderMap;
use http::header::ACCEPT;

use super::profile::Resource;
use crate::machinery::status::Status;

/// How an answer is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Json,
    Yaml,
}

/// What an answer shows of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// The objects.
    Object,
    /// A server-side Table, in `meta.k8s.io/v1` or the version given.
    Table(MetaVersion),
    /// PartialObjectMetadata.
    Metadata(MetaVersion),
}

/// Version of `meta.k8s.io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetaVersion {
    V1,
    V1beta1,
}

impl MetaVersion {
    /// The version alone.
    pub(super) fn version(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V1beta1 => "v1beta1",
        }
    }

    /// The `apiVersion`.
    pub(super) fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "meta.k8s.io/v1",
            Self::V1beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

/// The first representation of the Accept header that can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) shape: Shape,
    pub(super) encoding: Encoding,
}

/// Media types in the order in which kube-apiserver names them.
const SERVED: &str = "406: Not Acceptable\n\nAvailable representations: application/json, \
                      application/yaml, application/vnd.kubernetes.protobuf";

/// The same, as refusals of transformed objects name them.
const SERVED_TYPES: [&str; 3] =
    ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// Reads the Accept header.
///
/// # Errors
/// 406 when nothing in it can be served; protobuf is never served.
pub(super) fn negotiate(headers: &HeaderMap) -> Result<Accepted, Box<Status>> {
    let plain = Accepted { shape: Shape::Object, encoding: Encoding::Json };
    let (mut asked, mut transformed) = (false, false);
    for header in headers.get_all(ACCEPT) {
        let Ok(header) = header.to_str() else { continue };
        for choice in header.split(',').map(str::trim).filter(|choice| !choice.is_empty()) {
            asked = true;
            transformed |= choice.contains(";as=");
            if let Some(accepted) = read_choice(choice) {
                return Ok(accepted);
            }
        }
    }
    if transformed {
        return Err(Status::not_acceptable(&SERVED_TYPES));
    }
    if asked {
        let mut status = Status::not_acceptable_because(SERVED);
        status.details = Some(Default::default());
        return Err(status);
    }
    Ok(plain)
}

/// Whether metadata are asked for as a list; `None` if something else is asked for.
fn asks_for_list(headers: &HeaderMap) -> Option<bool> {
    let headers = headers.get_all(ACCEPT).iter().filter_map(|header| header.to_str().ok());
    let mut choices = headers.flat_map(|header| header.split(',')).map(str::trim);
    let chosen = choices.find(|choice| read_choice(choice).is_some())?;
    let kind = chosen.split(';').find_map(|part| part.trim().strip_prefix("as="))?;
    match kind {
        "PartialObjectMetadata" => Some(false),
        "PartialObjectMetadataList" => Some(true),
        _ => None,
    }
}

/// Checks that metadata of one object are asked for of one object, and those of a list of a list.
///
/// # Errors
/// 406 that names the Go type of what is there. (kubernetes 1.36: endpoints/handlers/response.go)
pub(super) fn check_metadata_kind(
    headers: &HeaderMap,
    resource: &Resource,
    is_list: bool,
) -> Result<(), Box<Status>> {
    let Some(wants_list) = asks_for_list(headers).filter(|wants_list| *wants_list != is_list)
    else {
        return Ok(());
    };
    let package = match resource.key.group.split('.').next() {
        Some("") | None => "core",
        Some(package) => package,
    };
    let suffix = if is_list { "List" } else { "" };
    let go_type = match resource.is_built_in() {
        true => format!("{package}.{}{suffix}", resource.definition.kind),
        false => format!("unstructured.Unstructured{suffix}"),
    };
    let asked = if wants_list { "PartialObjectMetadataList" } else { "PartialObjectMetadata" };
    let is = if is_list { "is" } else { "is not" };
    Err(Status::not_acceptable_because(format!(
        "you requested {asked}, but the requested object {is} a list (*{go_type})"
    )))
}

/// Reads the Accept header for an answer that has neither metadata nor columns.
///
/// # Errors
/// 406 when only transformations of objects are accepted.
pub(super) fn negotiate_whole(headers: &HeaderMap) -> Result<(), Box<Status>> {
    let mut choices = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(','))
        .map(str::trim)
        .filter(|choice| !choice.is_empty())
        .peekable();
    let is_whole =
        |choice: &str| read_choice(choice).is_some_and(|accepted| accepted.shape == Shape::Object);
    if choices.peek().is_none() || choices.any(is_whole) {
        return Ok(());
    }
    Err(Status::not_acceptable(&SERVED_TYPES))
}

/// Completes a refusal: where there are watches, their media types are on offer, too.
pub(super) fn offering_streams(mut status: Box<Status>) -> Box<Status> {
    if status.message == SERVED {
        status.message.push_str(
            ", application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch",
        );
    }
    status
}

fn read_choice(choice: &str) -> Option<Accepted> {
    let mut parts = choice.split(';').map(str::trim);
    let encoding = match parts.next()? {
        "application/json" | "*/*" | "application/*" => Encoding::Json,
        "application/yaml" => Encoding::Yaml,
        _ => return None,
    };
    let (mut kind, mut version, mut group) = ("", "", "");
    for part in parts {
        match part.split_once('=') {
            Some(("as", value)) => kind = value,
            Some(("v", value)) => version = value,
            Some(("g", value)) => group = value,
            _ => {}
        }
    }
    if kind.is_empty() {
        return Some(Accepted { shape: Shape::Object, encoding });
    }
    let version = match version {
        "v1" => MetaVersion::V1,
        "v1beta1" => MetaVersion::V1beta1,
        _ => return None,
    };
    let shape = match (group, kind) {
        ("meta.k8s.io", "Table") => Shape::Table(version),
        ("meta.k8s.io", "PartialObjectMetadata" | "PartialObjectMetadataList") => {
            Shape::Metadata(version)
        }
        _ => return None,
    };
    Some(Accepted { shape, encoding })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiate_text(accept: &str) -> Result<Accepted, Box<Status>> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        negotiate(&headers)
    }

    #[test]
    fn first_servable_choice_wins() {
        let check = |accept, shape, encoding| {
            assert_eq!(negotiate_text(accept).unwrap(), Accepted { shape, encoding }, "{accept}");
        };
        check("application/vnd.kubernetes.protobuf, */*", Shape::Object, Encoding::Json);
        check("application/json;q=0.9", Shape::Object, Encoding::Json);
        check("application/yaml", Shape::Object, Encoding::Yaml);
        check(
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
            Shape::Table(MetaVersion::V1),
            Encoding::Json,
        );
        check(
            "application/json;as=Table;v=v2;g=meta.k8s.io,application/json",
            Shape::Object,
            Encoding::Json,
        );
        check(
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,\
             application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
            Shape::Metadata(MetaVersion::V1),
            Encoding::Json,
        );
    }

    #[test]
    fn protobuf_alone_is_not_acceptable() {
        assert_eq!(negotiate_text("application/vnd.kubernetes.protobuf").unwrap_err().code, 406);
    }
}
