//! Bearer tokens in requests. (kubernetes 1.36:
//! apiserver/pkg/authentication/request/{bearertoken,websocket})

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONNECTION, SEC_WEBSOCKET_PROTOCOL, UPGRADE};

/// How browsers, which cannot set headers of WebSockets, send a token: as a protocol's name.
const PROTOCOL_PREFIX: &str = "base64url.bearer.authorization.k8s.io.";

/// The token of a request. Other schemes and empty tokens count as none.
pub(super) fn token(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    value.and_then(of_header).map(Cow::Borrowed).or_else(|| of_websocket(headers).map(Cow::Owned))
}

fn of_header(value: &str) -> Option<&str> {
    let mut parts = value.trim().splitn(3, ' ');
    let scheme = parts.next()?;
    let token = parts.next()?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn of_websocket(headers: &HeaderMap) -> Option<String> {
    let says = |name, word: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        value.to_ascii_lowercase().split(',').any(|part| part.trim() == word)
    };
    if !says(UPGRADE, "websocket") || !says(CONNECTION, "upgrade") {
        return None;
    }
    headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|protocol| protocol.trim().strip_prefix(PROTOCOL_PREFIX))
        .and_then(|encoded| URL_SAFE_NO_PAD.decode(encoded).ok())
        .and_then(|token| String::from_utf8(token).ok())
        .filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, value.parse().unwrap());
        assert_eq!(token(&headers).as_deref(), expected, "{value:?}");
    }

    #[test]
    fn only_bearer_with_something_behind_it_counts() {
        check("Bearer abc", Some("abc"));
        check("bearer abc", Some("abc"));
        check(" BEARER abc def", Some("abc"));
        check("Bearer ", None);
        check("Bearer", None);
        check("Bearer  abc", None);
        check("Basic YTpi", None);
        check("", None);
    }

    #[test]
    fn websockets_name_a_token_as_protocol() {
        let mut headers = HeaderMap::new();
        let protocol =
            format!("{PROTOCOL_PREFIX}{}, v5.channel.k8s.io", URL_SAFE_NO_PAD.encode("abc"));
        headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol.parse().unwrap());
        assert_eq!(token(&headers), None, "no upgrade is asked for");
        headers.insert(UPGRADE, "websocket".parse().unwrap());
        headers.insert(CONNECTION, "keep-alive, Upgrade".parse().unwrap());
        assert_eq!(token(&headers).as_deref(), Some("abc"));
    }
}
