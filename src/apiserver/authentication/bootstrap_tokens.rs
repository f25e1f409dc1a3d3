//! Tokens by which Nodes join. (kubernetes 1.36: plugin/pkg/auth/authenticator/token/bootstrap)

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::static_tokens::is_same;
use super::{Identity, objects};
use crate::apiserver::ApiServer;

const SECRET_TYPE: &str = "bootstrap.kubernetes.io/token";
const GROUP: &str = "system:bootstrappers";

/// The user of a token of the form `ID.SECRET`; `None` if there is no such token that holds.
pub(super) fn authenticate(server: &ApiServer, token: &str) -> Option<Identity> {
    let (id, secret) = split(token)?;
    let name = format!("bootstrap-token-{id}");
    let object = objects::find(server, "secrets", "kube-system", &name)?;
    if object["type"] != SECRET_TYPE || !object["metadata"]["deletionTimestamp"].is_null() {
        return None;
    }
    let is_expired = match data(&object, "expiration") {
        expiration if expiration.is_empty() => false,
        expiration => {
            let expiration = expiration.parse::<jiff::Timestamp>();
            expiration.map_or(true, |time| time <= server.clock().now())
        }
    };
    let holds = is_same(data(&object, "token-secret").as_bytes(), secret.as_bytes())
        && data(&object, "token-id") == id
        && data(&object, "usage-bootstrap-authentication") == "true"
        && !is_expired;
    if !holds {
        return None;
    }
    let extra = data(&object, "auth-extra-groups");
    let extra: Vec<&str> = extra.split(',').filter(|group| !group.is_empty()).collect();
    if !extra.iter().all(|group| is_bootstrap_group(group)) {
        return None;
    }
    let groups = std::iter::once(GROUP).chain(extra);
    Some(Identity::new(&format!("system:bootstrap:{id}"), groups).authenticated())
}

fn split(token: &str) -> Option<(&str, &str)> {
    let (id, secret) = token.split_once('.')?;
    let legal = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    (id.len() == 6 && secret.len() == 16 && legal(id) && legal(secret)).then_some((id, secret))
}

/// Extra groups are below `system:bootstrappers:`.
fn is_bootstrap_group(group: &str) -> bool {
    let Some(rest) = group.strip_prefix("system:bootstrappers:") else { return false };
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = rest.as_bytes();
    bytes.len() <= 256
        && bytes.last().is_some_and(|last| letter(*last))
        && bytes.iter().all(|byte| letter(*byte) || matches!(byte, b':' | b'-'))
}

fn data(secret: &Value, key: &str) -> String {
    let encoded = secret["data"][key].as_str().unwrap_or_default();
    STANDARD.decode(encoded).ok().and_then(|data| String::from_utf8(data).ok()).unwrap_or_default()
}
