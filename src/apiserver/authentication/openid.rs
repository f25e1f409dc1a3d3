//! The documents by which others verify service account tokens. (kubernetes 1.36:
//! pkg/serviceaccount/openidmetadata.go)

use axum::body::Body;
use http::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue};
use http::request::Parts;
use serde_json::{Value, json};

use crate::apiserver::{ApiServer, answer};
use crate::machinery::status::Status;
use crate::pki::PublicKey;

/// Path of the discovery document.
const CONFIGURATION: &str = "/.well-known/openid-configuration";
/// Path of the keys.
const KEYS: &str = "/openid/v1/jwks";

/// Answers a request for one of the documents; 404 for other paths.
pub(in crate::apiserver) fn respond(server: &ApiServer, request: &Parts) -> Response<Body> {
    let access = server.access();
    // The key that later tokens will be signed with has to be known before.
    if let Err(error) = server.token_keys().signing(access) {
        return answer::status_response(&Status::internal(error));
    }
    let keys = || server.token_keys().verifying(access);
    let (document, media_type) = match request.uri.path() {
        CONFIGURATION => {
            let host = host(request);
            let uri = access.jwks_uri.clone().unwrap_or_else(|| format!("https://{host}{KEYS}"));
            let mut algorithms: Vec<&str> = keys().map(|key| key.algorithm().name()).collect();
            algorithms.sort_unstable();
            algorithms.dedup();
            let document = json!({
                "issuer": access.issuer,
                "jwks_uri": uri,
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": algorithms,
            });
            (document, "application/json")
        }
        KEYS => {
            let keys: Vec<Value> = keys().map(web_key).collect();
            (json!({"keys": keys}), "application/jwk-set+json")
        }
        _ => return answer::not_found_page(),
    };
    let mut response = answer::json_response(200, document.to_string());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}

/// The server, as the client calls it: HTTP/2 has no header for that.
fn host(request: &Parts) -> &str {
    let header = request.headers.get(HOST).and_then(|host| host.to_str().ok());
    header.or_else(|| Some(request.uri.authority()?.as_str())).unwrap_or_default()
}

fn web_key(key: &PublicKey) -> Value {
    let mut document = json!({"use": "sig", "kid": key.id(), "alg": key.algorithm().name()});
    for (name, value) in key.web_key() {
        document[name] = value.into();
    }
    document
}
