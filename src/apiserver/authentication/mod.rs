//! Who sends a request.
//!
//! A client certificate that holds decides; then a bearer token that holds. Whoever presents
//! credentials of which none holds is answered 401, whoever presents none is anonymous.
//! (kubernetes 1.36: pkg/kubeapiserver/authenticator)

mod bearer;
mod bootstrap_tokens;
mod certificates;
mod identity;
pub(super) mod impersonation;
mod jwt;
mod keys;
mod legacy_tokens;
mod objects;
pub(super) mod openid;
mod service_accounts;
mod static_tokens;
pub(super) mod token_request;
mod tokens;

#[cfg(test)]
mod tests;

pub(crate) use certificates::{AcceptAnyClient, ClientAuthority, Peer};
pub use identity::Identity;
pub(crate) use identity::{MASTERS, extra_value};
pub(crate) use keys::TokenKeys;
pub use legacy_tokens::legacy_token;
pub use static_tokens::StaticToken;
pub(super) use tokens::{Authenticated, authenticate as authenticate_token};

use http::request::Parts;

use super::ApiServer;
use crate::machinery::status::Status;

/// Decides who sends a request. The transport has put an [`Identity`] into its extensions if it
/// knows one, or [`Peer::Refused`] if a certificate does not hold.
///
/// # Errors
/// 401 when there are credentials and none of them holds.
pub(super) fn identify(server: &ApiServer, parts: &Parts) -> Result<Identity, Box<Status>> {
    if let Some(identity) = parts.extensions.get::<Identity>() {
        return Ok(identity.clone());
    }
    if let Some(token) = bearer::token(&parts.headers) {
        let audiences = &server.access().audiences;
        return match tokens::authenticate(server, &token, audiences) {
            Ok(known) => Ok(known.identity),
            Err(reason) => {
                tracing::debug!(reason, "refused a bearer token");
                Err(Status::unauthorized())
            }
        };
    }
    let is_refused = parts.extensions.get::<Peer>().is_some_and(|peer| *peer == Peer::Refused);
    if is_refused || !server.access().anonymous {
        return Err(Status::unauthorized());
    }
    Ok(Identity::anonymous())
}
