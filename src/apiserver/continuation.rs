//! Continue tokens of paged lists: where a list goes on, and at which revision.

use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{NO_PAD, URL_SAFE_NO_PAD};
use base64::{DecodeError, Engine as _, alphabet};
use serde::{Deserialize, Serialize};

use crate::machinery::patch::json::go_error;
use crate::machinery::status::Status;

/// What a continue token says, in kube-apiserver's format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Continuation {
    /// Format version.
    #[serde(default)]
    v: String,
    /// Revision of the first page, or -1 to go on at the latest one.
    #[serde(default)]
    rv: i64,
    /// First key of the next page, relative to the listed collection.
    #[serde(default)]
    start: String,
}

const FORMAT: &str = "meta.k8s.io/v1";

/// Go's `base64.RawURLEncoding`, which overlooks the last bits.
const TOKENS: GeneralPurpose =
    GeneralPurpose::new(&alphabet::URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));

impl Continuation {
    /// Goes on behind `namespace`/`name`; `scope` is the namespace that is listed, if any.
    pub(super) fn after(revision: Option<u64>, scope: Option<&str>, key: (&str, &str)) -> Self {
        let (namespace, name) = key;
        let start = if scope.is_some() || namespace.is_empty() {
            format!("{name}\0")
        } else {
            format!("{namespace}/{name}\0")
        };
        let rv = revision.and_then(|revision| i64::try_from(revision).ok()).unwrap_or(-1);
        Self { v: FORMAT.to_owned(), rv, start }
    }

    /// Reads a token.
    ///
    /// # Errors
    /// 400 for a text that is no token.
    pub(super) fn parse(token: &str) -> Result<Self, Box<Status>> {
        let refuse = |why: String| Status::bad_request(format!("invalid continue token: {why}"));
        let bytes = TOKENS.decode(token).map_err(|error| {
            refuse(format!("continue key is not valid: {}", base64_error(error)))
        })?;
        let parsed: Self = serde_json::from_slice(&bytes).map_err(|error| {
            refuse(format!("continue key is not valid: {}", go_error(&bytes, &error)))
        })?;
        if parsed.v != FORMAT {
            return Err(refuse(format!(
                "continue key is not valid: server does not recognize this encoded version {}",
                parsed.v
            )));
        }
        if parsed.rv == 0 {
            return Err(refuse(
                "continue key is not valid: incorrect encoded start resourceVersion (version \
                 meta.k8s.io/v1)"
                    .to_owned(),
            ));
        }
        if parsed.start.is_empty() {
            return Err(refuse(
                "continue key is not valid: encoded start key empty (version meta.k8s.io/v1)"
                    .to_owned(),
            ));
        }
        let mut parts = parsed.start.strip_prefix('/').unwrap_or(&parsed.start).split('/');
        if parts.any(|part| matches!(part, "" | "." | "..")) {
            return Err(refuse(format!("continue key is not valid: {}", parsed.start)));
        }
        Ok(parsed)
    }

    /// The token.
    pub(super) fn encode(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(json)
    }

    /// Revision to go on at; `None` for the latest.
    pub(super) fn revision(&self) -> Option<u64> {
        u64::try_from(self.rv).ok()
    }

    /// The key behind which the next page begins.
    pub(super) fn key<'a>(&'a self, scope: Option<&'a str>) -> (&'a str, &'a str) {
        let start = self.start.strip_prefix('/').unwrap_or(&self.start);
        let start = start.trim_end_matches('\0');
        match (scope, start.split_once('/')) {
            (Some(namespace), _) => (namespace, start),
            (None, Some((namespace, name))) => (namespace, name),
            (None, None) => ("", start),
        }
    }

    /// The same place, at the latest revision.
    pub(super) fn inconsistent(&self) -> Self {
        Self { rv: -1, ..self.clone() }
    }
}

/// Go's words for text that is not base64.
fn base64_error(error: DecodeError) -> String {
    let at = match error {
        DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => at,
        // One character is left behind the last group of four.
        DecodeError::InvalidLength(length) => length.saturating_sub(1),
        DecodeError::InvalidPadding => 0,
    };
    format!("illegal base64 data at input byte {at}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_encoding() {
        for (scope, key) in [(Some("a"), ("a", "x")), (None, ("b", "y")), (None, ("", "z"))] {
            let token = Continuation::after(Some(7), scope, key);
            let read = Continuation::parse(&token.encode()).unwrap();
            assert_eq!((read.revision(), read.key(scope)), (Some(7), key));
            assert_eq!(read.inconsistent().revision(), None);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for token in ["x", "!!", "e30", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiIifQ"] {
            let status = Continuation::parse(token).unwrap_err();
            assert_eq!(status.code, 400);
            assert!(status.message.starts_with("invalid continue token: "), "{}", status.message);
        }
    }

    #[test]
    fn refusals_have_the_words_of_go() {
        let check = |token: &str, why: &str| {
            let status = Continuation::parse(token).unwrap_err();
            assert_eq!(
                status.message,
                format!("invalid continue token: continue key is not valid: {why}")
            );
        };
        let encode = |json: &str| URL_SAFE_NO_PAD.encode(json);
        check("garbage", r"invalid character '\x81' looking for beginning of value");
        check("ab!d", "illegal base64 data at input byte 2");
        check(&encode("{"), "unexpected end of JSON input");
        check(&encode("{}"), "server does not recognize this encoded version ");
        check(
            &encode(r#"{"v":"meta.k8s.io/v1","start":"a"}"#),
            "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
        );
        check(
            &encode(r#"{"v":"meta.k8s.io/v1","rv":5}"#),
            "encoded start key empty (version meta.k8s.io/v1)",
        );
        for start in ["../x", "a/../b", "a//b", "./a", "/../../x"] {
            let json = serde_json::json!({"v": "meta.k8s.io/v1", "rv": 5, "start": start});
            check(&encode(&json.to_string()), start);
        }
    }
}
