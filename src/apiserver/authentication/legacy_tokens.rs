//! Tokens in Secrets of type `kubernetes.io/service-account-token`: without an end, bound to their
//! Secret. (kubernetes 1.36: pkg/serviceaccount/legacy.go)

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::jwt::{self, Token};
use super::static_tokens::is_same;
use super::{Identity, objects, service_accounts};
use crate::apiserver::ApiServer;
use crate::pki::PkiError;

const ISSUER: &str = "kubernetes/serviceaccount";
const NAMESPACE: &str = "kubernetes.io/serviceaccount/namespace";
const SECRET: &str = "kubernetes.io/serviceaccount/secret.name";
const ACCOUNT: &str = "kubernetes.io/serviceaccount/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/serviceaccount/service-account.uid";

/// Makes the token of a Secret that belongs to a service account, given by name and uid.
///
/// # Errors
/// [`PkiError`] when there is no key or it does not sign.
pub fn legacy_token(
    server: &ApiServer,
    namespace: &str,
    secret: &str,
    (account, uid): (&str, &str),
) -> Result<String, PkiError> {
    let key = server.token_keys().signing(server.access())?;
    let claims = json!({
        "iss": ISSUER,
        NAMESPACE: namespace,
        SECRET: secret,
        ACCOUNT: account,
        ACCOUNT_UID: uid,
        "sub": service_accounts::user_name(namespace, account),
    });
    jwt::sign(&key, &claims)
}

/// Whether a token claims to be such a one.
pub(super) fn is_meant(token: &Token<'_>) -> bool {
    token.unverified()["iss"] == ISSUER
}

/// Decides whose a token is; `text` is the token as it was sent.
///
/// # Errors
/// Why it does not hold.
pub(super) fn authenticate(
    server: &ApiServer,
    text: &str,
    token: &Token<'_>,
) -> Result<Identity, &'static str> {
    let claims = token
        .verified(server.token_keys().verifying(server.access()))
        .ok_or("failed to verify signature")?;
    let claim = |name: &str| claims[name].as_str().unwrap_or_default();
    let (namespace, name, uid) = (claim(NAMESPACE), claim(ACCOUNT), claim(ACCOUNT_UID));
    if claim("sub") != service_accounts::user_name(namespace, name) {
        return Err("sub claim is invalid");
    }
    const INVALID: &str = "service account token has been invalidated";
    let secret = objects::find(server, "secrets", namespace, claim(SECRET)).ok_or(INVALID)?;
    if !secret["metadata"]["deletionTimestamp"].is_null() {
        return Err(INVALID);
    }
    let stored = STANDARD.decode(objects::text(&secret, "/data/token")).unwrap_or_default();
    if !is_same(&stored, text.as_bytes()) {
        return Err("token does not match server's copy");
    }
    let account = objects::find(server, "serviceaccounts", namespace, name).ok_or(INVALID)?;
    if objects::text(&account, "/metadata/uid") != uid
        || !account["metadata"]["deletionTimestamp"].is_null()
    {
        return Err(INVALID);
    }
    Ok(service_accounts::identity(namespace, name, uid))
}
