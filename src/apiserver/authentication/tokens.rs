//! Whose a bearer token is: asked of every kind of token in turn.

use super::jwt::Token;
use super::{Identity, bootstrap_tokens, legacy_tokens, service_accounts, static_tokens};
use crate::apiserver::ApiServer;

/// A token that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authenticated {
    pub(crate) identity: Identity,
    /// The audiences that were asked for and that the token is meant for.
    pub(crate) audiences: Vec<String>,
}

/// What TokenReviews say of a token that nobody knows.
const UNKNOWN: &str = "invalid bearer token";

/// Decides whose a token is. `audiences` are those of which one must be the token's.
///
/// # Errors
/// Why the token does not hold, for the log and for those who may review tokens.
pub(crate) fn authenticate(
    server: &ApiServer,
    token: &str,
    audiences: &[String],
) -> Result<Authenticated, String> {
    let access = server.access();
    // Tokens without audiences are meant for the API itself.
    let implicit = || access.audiences.iter().filter(|name| audiences.contains(name)).cloned();
    let known = |identity| Ok(Authenticated { identity, audiences: implicit().collect() });
    if !access.tokens.is_empty()
        && let Some(identity) = static_tokens::find(&access.tokens, token)
    {
        return known(identity);
    }
    if let Some(parsed) = Token::parse(token) {
        let found = if legacy_tokens::is_meant(&parsed) {
            let checked = legacy_tokens::authenticate(server, token, &parsed);
            checked.map(|identity| Authenticated { identity, audiences: implicit().collect() })
        } else {
            service_accounts::authenticate(server, &parsed, audiences)
        };
        return found.map_err(|reason| match reason {
            "" => UNKNOWN.to_owned(),
            reason => format!("[{UNKNOWN}, {reason}]"),
        });
    }
    match bootstrap_tokens::authenticate(server, token) {
        Some(identity) if access.bootstrap_tokens => known(identity),
        _ => Err(UNKNOWN.to_owned()),
    }
}
