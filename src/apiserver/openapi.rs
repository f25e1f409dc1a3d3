//! `/openapi/v3`: the index, and one document a group and version; `/openapi/v2`: one document of
//! everything, which old Go clients read as protobuf only.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, OnceLock};

use axum::body::Body;
use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION, VARY};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use super::answer::not_found_page;
use super::documents::{Tagged, fingerprint, quoted};
use super::profile::ResourceSet;
use super::{ApiServer, RequestInfo, json_response, status_response};
use crate::machinery::definition::ResourceDefinition;
use crate::machinery::openapi;
use crate::machinery::status::Status;

/// A document that is named by its hash never changes.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, immutable");

/// Keeps hashes of different processes apart, for clients that keep documents on disk.
static PROCESS: LazyLock<u64> = LazyLock::new(super::random::number);

/// The documents of one set of resources.
pub(crate) struct Documents {
    /// By path below `/openapi/v3/`: `api/v1`, `apis/apps/v1`.
    documents: BTreeMap<String, Document>,
    /// `/openapi/v3`.
    index: Tagged,
    /// `/openapi/v2`, encoded when first asked for.
    whole: OnceLock<Tagged>,
    /// The same as protobuf.
    protobuf: OnceLock<Tagged>,
}

/// The document of one group and version.
struct Document {
    definitions: Vec<Arc<ResourceDefinition>>,
    /// Changes when any of the definitions does; known without encoding the document.
    hash: String,
    /// Encoded when first asked for, because kubectl asks for one or two of some twenty.
    bytes: OnceLock<Bytes>,
}

impl Documents {
    /// Names the documents.
    pub(crate) fn new(resources: &ResourceSet) -> Self {
        let mut groups: BTreeMap<String, (Vec<Arc<ResourceDefinition>>, Vec<u64>)> =
            BTreeMap::new();
        for resource in resources.iter() {
            let definition = &resource.definition;
            let path = match &*definition.group {
                "" => format!("api/{}", definition.version),
                group => format!("apis/{group}/{}", definition.version),
            };
            let (definitions, serials) = groups.entry(path).or_default();
            definitions.push(definition.clone());
            serials.push(resource.serial);
        }
        let documents: BTreeMap<String, Document> = groups
            .into_iter()
            .map(|(path, (definitions, serials))| {
                let hash = fingerprint(format!("{} {serials:?}", *PROCESS).as_bytes());
                (path, Document { definitions, hash, bytes: OnceLock::new() })
            })
            .collect();
        let index = Tagged::new(index(&documents));
        Self { documents, index, whole: OnceLock::new(), protobuf: OnceLock::new() }
    }

    /// The document of everything, in a form.
    fn whole(&self, form: Form) -> &Tagged {
        match form {
            Form::Json => {
                self.whole.get_or_init(|| Tagged::new(self.document().to_string().into()))
            }
            Form::Protobuf => self
                .protobuf
                .get_or_init(|| Tagged::new(openapi::v2_protobuf::encode(&self.document()).into())),
        }
    }

    fn document(&self) -> Value {
        let documents = self.documents.values();
        let definitions = documents.flat_map(|document| &document.definitions);
        let definitions: Vec<&ResourceDefinition> =
            definitions.map(|definition| &**definition).collect();
        openapi::v2::document(&definitions)
    }
}

/// How the document of everything is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Protobuf,
}

fn index(documents: &BTreeMap<String, Document>) -> Bytes {
    let paths: serde_json::Map<String, Value> = documents
        .iter()
        .map(|(path, document)| {
            let url = format!("/openapi/v3/{path}?hash={}", document.hash);
            (path.clone(), json!({ "serverRelativeURL": url }))
        })
        .collect();
    json!({ "paths": paths }).to_string().into()
}

impl Document {
    fn bytes(&self) -> Bytes {
        let bytes = self.bytes.get_or_init(|| {
            let definitions: Vec<&ResourceDefinition> =
                self.definitions.iter().map(|definition| &**definition).collect();
            let Some(first) = definitions.first() else { return Bytes::new() };
            openapi::group_version_document(&first.group, &first.version, &definitions)
                .to_string()
                .into()
        });
        bytes.clone()
    }
}

/// Answers a request for `/openapi…`.
pub(crate) fn respond(
    server: &ApiServer,
    info: &RequestInfo,
    headers: &HeaderMap,
) -> Response<Body> {
    if !matches!(info.verb, "get" | "head") {
        return status_response(&Status::method_not_allowed());
    }
    let resources = server.resources();
    let documents = resources.documents.openapi(&resources);
    if info.path.trim_end_matches('/') == "/openapi/v2" {
        return whole(documents, headers);
    }
    let Some(rest) = info.path.strip_prefix("/openapi/v3") else { return not_found_page() };
    let path = rest.trim_matches('/');
    if path.is_empty() {
        let mut response = tagged(&documents.index.tag, headers, || documents.index.bytes.clone());
        // kube-apiserver says so, and clients do not look.
        let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        return response;
    }
    let Some(document) = documents.documents.get(path) else { return not_found_page() };
    match info.parameter("hash") {
        Some(hash) if hash != document.hash => moved(path, &document.hash),
        hash => {
            let mut response = tagged(&document.hash, headers, || document.bytes());
            if hash.is_some() {
                response.headers_mut().insert(CACHE_CONTROL, IMMUTABLE);
            }
            response
        }
    }
}

/// How clients ask for protobuf: by an older name, which is no valid media type, or by the newer
/// one, which answers always have.
const PROTOBUF: [&str; 2] = [
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
];

/// Answers a request for the document of everything.
/// (kubernetes 1.36: kube-openapi pkg/handler/handler.go)
fn whole(documents: &Documents, headers: &HeaderMap) -> Response<Body> {
    let Some((form, media)) = wanted_form(headers) else {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_ACCEPTABLE;
        response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
        return response;
    };
    let document = documents.whole(form);
    let mut response = tagged(&document.tag, headers, || document.bytes.clone());
    if response.status() == StatusCode::OK {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    }
    response
}

/// The first form that a client accepts, and how it is named to it. Clients list what they like
/// best first.
fn wanted_form(headers: &HeaderMap) -> Option<(Form, &'static str)> {
    const JSON: (Form, &str) = (Form::Json, "application/json");
    let mut ranges = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|range| range.split(';').next().unwrap_or_default().trim())
        .peekable();
    if ranges.peek().is_none() {
        return Some(JSON);
    }
    ranges.find_map(|range| match range {
        "" | "*/*" | "application/*" | "application/json" => Some(JSON),
        other => PROTOBUF.contains(&other).then_some((Form::Protobuf, PROTOBUF[1])),
    })
}

/// Leads a client with an outdated hash to the present document, as kube-apiserver does.
fn moved(path: &str, hash: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    if let Ok(location) = HeaderValue::try_from(format!("/openapi/v3/{path}?hash={hash}")) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// A document, or 304 if the client has it.
fn tagged(tag: &str, headers: &HeaderMap, bytes: impl FnOnce() -> Bytes) -> Response<Body> {
    let tag = quoted(tag);
    let mut response = if headers.get(IF_NONE_MATCH) == Some(&tag) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        json_response(200, bytes())
    };
    response.headers_mut().insert(ETAG, tag);
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    response
}

#[cfg(test)]
mod tests {
    use http::Method;
    use http_body_util::BodyExt;

    use super::*;
    use crate::apiserver::{Options, Profile};
    use crate::clock::Clock;
    use crate::machinery::builtin;

    fn server() -> ApiServer {
        let options = Options::new(Clock::wall());
        ApiServer::new(&Profile::new(builtin::definitions()), options)
    }

    fn get(server: &ApiServer, path: &str, tag: Option<&HeaderValue>) -> Response<Body> {
        let info = RequestInfo::parse(&Method::GET, &path.parse().unwrap()).unwrap();
        let mut headers = HeaderMap::new();
        if let Some(tag) = tag {
            headers.insert(IF_NONE_MATCH, tag.clone());
        }
        respond(server, &info, &headers)
    }

    async fn json_of(response: Response<Body>) -> Value {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&bytes).unwrap()
    }

    fn url(index: &Value, path: &str) -> String {
        index["paths"][path]["serverRelativeURL"].as_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn index_leads_to_documents_that_never_change() {
        let server = server();
        let index = json_of(get(&server, "/openapi/v3?timeout=32s", None)).await;
        let url = url(&index, "apis/apps/v1");
        let response = get(&server, &format!("{url}&timeout=32s"), None);
        assert_eq!(response.headers()[CACHE_CONTROL], "public, immutable");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        let tag = response.headers()[ETAG].clone();
        let document = json_of(response).await;
        assert_eq!(document["openapi"], "3.0.0");
        assert!(document["components"]["schemas"]["io.k8s.api.apps.v1.Deployment"].is_object());
        assert_eq!(get(&server, &url, Some(&tag)).status(), 304);
        let core = get(&server, "/openapi/v3/api/v1", None);
        assert_eq!(core.headers()[CACHE_CONTROL], "no-cache, private");
        let outdated = get(&server, "/openapi/v3/apis/apps/v1?hash=OLD", None);
        assert_eq!(outdated.status(), 301);
        assert_eq!(outdated.headers()[LOCATION], url.as_str());
    }

    #[tokio::test]
    async fn only_changed_groups_get_another_hash() {
        let server = server();
        let before = json_of(get(&server, "/openapi/v3", None)).await;
        let mut other = server.resolve("batch", "v1", "jobs").unwrap().definition.as_ref().clone();
        other.short_names = vec!["j".into()];
        server.install(vec![other]);
        let after = json_of(get(&server, "/openapi/v3", None)).await;
        assert_eq!(url(&before, "apis/apps/v1"), url(&after, "apis/apps/v1"));
        assert_ne!(url(&before, "apis/batch/v1"), url(&after, "apis/batch/v1"));
    }

    #[tokio::test]
    async fn unknown_groups_are_not_served() {
        let server = server();
        for path in ["/openapi", "/openapi/v3/apis/nope/v1", "/openapi/v3/api"] {
            assert_eq!(get(&server, path, None).status(), 404, "{path}");
        }
    }

    #[tokio::test]
    async fn version_2_is_one_document_in_json_and_protobuf() {
        let server = server();
        let response = get(&server, "/openapi/v2?timeout=32s", None);
        let tag = response.headers()[ETAG].clone();
        let document = json_of(response).await;
        assert_eq!(document["swagger"], "2.0");
        assert!(document["definitions"]["io.k8s.api.apps.v1.Deployment"].is_object());
        assert_eq!(get(&server, "/openapi/v2", Some(&tag)).status(), 304);
        let info = RequestInfo::parse(&Method::GET, &"/openapi/v2".parse().unwrap()).unwrap();
        let accepting = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            respond(&server, &info, &headers)
        };
        let response = accepting(PROTOBUF[0]);
        assert_eq!(response.headers()[CONTENT_TYPE], PROTOBUF[1]);
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        assert!(bytes.starts_with(b"\x0a\x032.0"));
        assert_eq!(accepting("text/html").status(), 406);
        assert_eq!(accepting("text/html, application/json;q=0.5").status(), 200);
    }
}
