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
    Protobuf,
}

/// Whether whole objects have a protobuf form; their metadata always have one, Tables never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Messages {
    /// Built-in kinds.
    Served,
    /// Custom resources. (kubernetes 1.36: apiextensions-apiserver
    /// pkg/apiserver/customresource_handler.go, StandardSerializers)
    Missing,
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
/// 406 when nothing in it can be served.
pub(super) fn negotiate(headers: &HeaderMap, messages: Messages) -> Result<Accepted, Box<Status>> {
    let plain = Accepted { shape: Shape::Object, encoding: Encoding::Json };
    let (mut asked, mut transformed) = (false, false);
    for header in headers.get_all(ACCEPT) {
        let Ok(header) = header.to_str() else { continue };
        for choice in header.split(',').map(str::trim).filter(|choice| !choice.is_empty()) {
            asked = true;
            transformed |= choice.contains(";as=");
            if let Some(accepted) = read_choice(choice, messages) {
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

/// The media types that a client accepts.
pub(super) fn choices(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let headers = headers.get_all(ACCEPT).iter().filter_map(|header| header.to_str().ok());
    headers.flat_map(|header| header.split(',')).map(str::trim).filter(|choice| !choice.is_empty())
}

/// How an answer is encoded that is neither an object of a resource nor a list: a Status, a review.
pub(super) fn encoding_of_others(headers: &HeaderMap) -> Encoding {
    let mut whole = choices(headers)
        .filter_map(|choice| read_choice(choice, Messages::Served))
        .filter(|accepted| accepted.shape == Shape::Object);
    whole.next().map_or(Encoding::Json, |accepted| accepted.encoding)
}

/// Whether metadata are asked for as a list; `None` if something else is asked for.
fn asks_for_list(headers: &HeaderMap, messages: Messages) -> Option<bool> {
    let chosen = choices(headers).find(|choice| read_choice(choice, messages).is_some())?;
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
    let asked = asks_for_list(headers, resource.messages());
    let Some(wants_list) = asked.filter(|wants_list| *wants_list != is_list) else {
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
    let mut choices = choices(headers).peekable();
    let is_whole = |choice: &str| {
        read_choice(choice, Messages::Served)
            .is_some_and(|accepted| accepted.shape == Shape::Object)
    };
    if choices.peek().is_none() || choices.any(is_whole) {
        return Ok(());
    }
    Err(Status::not_acceptable(&SERVED_TYPES))
}

/// Reads the Accept header for a document that is shown as a whole only.
///
/// # Errors
/// 406 that names the media types: as those of a route if none of them is accepted, and as those
/// of the encoder if they are, but transformed. (kubernetes 1.36: endpoints/discovery)
pub(super) fn negotiate_document(headers: &HeaderMap) -> Result<Encoding, Box<Status>> {
    let mut whole = choices(headers)
        .filter_map(|choice| read_choice(choice, Messages::Served))
        .filter(|accepted| accepted.shape == Shape::Object);
    if let Some(accepted) = whole.next() {
        return Ok(accepted.encoding);
    }
    if choices(headers).next().is_none() {
        return Ok(Encoding::Json);
    }
    if choices(headers).any(|choice| encoding_of(choice).is_some()) {
        return Err(Status::not_acceptable(&SERVED_TYPES));
    }
    let mut status = Status::not_acceptable_because(SERVED);
    status.details = Some(Default::default());
    Err(status)
}

/// How a media range asks to be answered, whatever its parameters.
pub(super) fn encoding_of(choice: &str) -> Option<Encoding> {
    match choice.split(';').next()?.trim() {
        "application/json" | "*/*" | "application/*" => Some(Encoding::Json),
        "application/yaml" => Some(Encoding::Yaml),
        "application/vnd.kubernetes.protobuf" => Some(Encoding::Protobuf),
        _ => None,
    }
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

fn read_choice(choice: &str, messages: Messages) -> Option<Accepted> {
    let encoding = encoding_of(choice)?;
    let (mut kind, mut version, mut group) = ("", "", "");
    for part in choice.split(';').skip(1).map(str::trim) {
        match part.split_once('=') {
            Some(("as", value)) => kind = value,
            Some(("v", value)) => version = value,
            Some(("g", value)) => group = value,
            _ => {}
        }
    }
    let is_protobuf = encoding == Encoding::Protobuf;
    if kind.is_empty() {
        let is_served = !is_protobuf || messages == Messages::Served;
        return is_served.then_some(Accepted { shape: Shape::Object, encoding });
    }
    let version = match version {
        "v1" => MetaVersion::V1,
        "v1beta1" => MetaVersion::V1beta1,
        _ => return None,
    };
    let shape = match (group, kind) {
        ("meta.k8s.io", "Table") if !is_protobuf => Shape::Table(version),
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

    fn negotiate_text(accept: &str, messages: Messages) -> Result<Accepted, Box<Status>> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        negotiate(&headers, messages)
    }

    const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

    #[test]
    fn first_servable_choice_wins() {
        let check = |accept, messages, shape, encoding| {
            let accepted = Accepted { shape, encoding };
            assert_eq!(negotiate_text(accept, messages).unwrap(), accepted, "{accept}");
        };
        let whole = |accept, messages, encoding| check(accept, messages, Shape::Object, encoding);
        let either = "application/vnd.kubernetes.protobuf, */*";
        whole(either, Messages::Served, Encoding::Protobuf);
        whole(either, Messages::Missing, Encoding::Json);
        whole(PROTOBUF, Messages::Served, Encoding::Protobuf);
        whole(
            "application/json, application/vnd.kubernetes.protobuf",
            Messages::Served,
            Encoding::Json,
        );
        whole("application/json;q=0.9", Messages::Served, Encoding::Json);
        whole("application/yaml", Messages::Missing, Encoding::Yaml);
        let table = "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,\
                     application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
        check(table, Messages::Served, Shape::Table(MetaVersion::V1), Encoding::Json);
        let unknown = "application/json;as=Table;v=v2;g=meta.k8s.io,application/json";
        whole(unknown, Messages::Served, Encoding::Json);
        let metadata = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,\
                        application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
        check(metadata, Messages::Missing, Shape::Metadata(MetaVersion::V1), Encoding::Protobuf);
    }

    #[test]
    fn protobuf_alone_is_not_acceptable_for_custom_resources() {
        assert_eq!(negotiate_text(PROTOBUF, Messages::Missing).unwrap_err().code, 406);
    }

    #[test]
    fn statuses_are_encoded_by_the_first_choice_that_asks_for_whole_objects() {
        let encoding = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().unwrap());
            encoding_of_others(&headers)
        };
        assert_eq!(
            encoding("application/vnd.kubernetes.protobuf,application/json"),
            Encoding::Protobuf
        );
        assert_eq!(
            encoding("application/json, application/vnd.kubernetes.protobuf"),
            Encoding::Json
        );
        let metadata =
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
        assert_eq!(encoding(&format!("{metadata},application/json")), Encoding::Json);
        assert_eq!(encoding("text/html"), Encoding::Json);
    }
}
