//! JSON Web Tokens in the compact form (RFC 7515, RFC 7519): reading, verifying, signing.
//!
//! A token's `alg` never chooses how it is verified: a key verifies by its own algorithm, and only
//! tokens that name that one. So `none`, and `HS256` with a public key as its secret, cannot hold.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::pki::{PkiError, PublicKey, SigningKey};

/// A token, read but not verified.
#[derive(Debug)]
pub(super) struct Token<'a> {
    algorithm: String,
    key_id: String,
    /// Header and claims, as they are signed.
    signed: &'a str,
    signature: Vec<u8>,
    claims: Value,
}

impl<'a> Token<'a> {
    /// Reads a token; `None` for anything that is none.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let header: Value = serde_json::from_slice(&decode(header)?).ok()?;
        let claims: Value = serde_json::from_slice(&decode(claims)?).ok()?;
        // Extensions that have to be understood are not.
        if !claims.is_object() || header.get("crit").is_some() {
            return None;
        }
        let text = |name: &str| header[name].as_str().unwrap_or_default().to_owned();
        Some(Self {
            algorithm: text("alg"),
            key_id: text("kid"),
            signed,
            signature: decode(signature)?,
            claims,
        })
    }

    /// The claims, whoever made them.
    pub(super) fn unverified(&self) -> &Value {
        &self.claims
    }

    /// The claims, if one of the keys signed them. A key that the token names is the only one that
    /// is tried.
    pub(super) fn verified<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k PublicKey>,
    ) -> Option<&Value> {
        let signed_by = |key: &PublicKey| {
            (self.key_id.is_empty() || self.key_id == key.id())
                && self.algorithm == key.algorithm().name()
                && key.verifies(self.signed.as_bytes(), &self.signature)
        };
        keys.into_iter().any(signed_by).then_some(&self.claims)
    }
}

/// Signs claims.
///
/// # Errors
/// [`PkiError`] when the key does not sign.
pub(super) fn sign(key: &SigningKey, claims: &Value) -> Result<String, PkiError> {
    let header = json!({"alg": key.public().algorithm().name(), "kid": key.public().id()});
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&header), encode(claims));
    let signature = key.sign(signed.as_bytes())?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
