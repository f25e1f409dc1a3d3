//! Continue tokens of paged lists: where a list goes on, and at which revision.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::machinery::status::Status;

/// What a continue token says, in kube-apiserver's format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Continuation {
    /// Format version.
    v: String,
    /// Revision of the first page, or -1 to go on at the latest one.
    rv: i64,
    /// First key of the next page, relative to the listed collection.
    start: String,
}

const FORMAT: &str = "meta.k8s.io/v1";

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
        let bytes = URL_SAFE_NO_PAD
            .decode(token.trim_end_matches('='))
            .map_err(|error| refuse(format!("continue key is not valid: {error}")))?;
        let parsed: Self = serde_json::from_slice(&bytes)
            .map_err(|error| refuse(format!("continue key is not valid: {error}")))?;
        if parsed.v != FORMAT {
            return Err(refuse(format!(
                "continue key is not valid: server does not recognize this encoded version \"{}\"",
                parsed.v
            )));
        }
        if parsed.start.is_empty() {
            return Err(refuse(
                "continue key is not valid: encoded start key empty (version meta.k8s.io/v1)"
                    .to_owned(),
            ));
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
        let start = self.start.trim_end_matches('\0');
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
}
