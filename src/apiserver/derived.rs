//! Objects of which a part is made when they are read, so that nothing is written while nothing
//! happens: Leases that kubelets renew, and the signatures of `cluster-info`. Watches show them as
//! they are stored.

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::ApiServer;
use super::profile::Resource;
use super::write::{decode, encode};
use crate::store::{Entry, RangeQuery, ResourceKey};

/// Namespace of the Leases that kubelets renew.
const LEASES: &str = "kube-node-lease";
/// Type of the Secrets by which Nodes join.
const TOKEN: &str = "bootstrap.kubernetes.io/token";

/// An object with its derived part; `None` for those that have none. Servers without kubelets have
/// no such objects.
pub(super) fn shown(
    server: &ApiServer,
    resource: &Resource,
    entry: &Arc<Entry>,
) -> Option<Arc<Entry>> {
    server.options().kubelets.as_ref()?;
    let object = if is_lease(resource) {
        renewed(server, entry)
    } else if is_map(resource) {
        signed(server, entry)
    } else {
        None
    };
    let draft = encode(resource.version(), &object?).ok()?;
    Some(Arc::new(draft.at(entry.revision)))
}

/// Shows the objects of a list with their derived parts.
pub(super) fn show(server: &ApiServer, resource: &Resource, entries: &mut [Arc<Entry>]) {
    if server.options().kubelets.is_none() || !(is_lease(resource) || is_map(resource)) {
        return;
    }
    for entry in entries {
        if let Some(shown) = shown(server, resource, entry) {
            *entry = shown;
        }
    }
}

fn is_lease(resource: &Resource) -> bool {
    resource.is("coordination.k8s.io", "leases")
}

fn is_map(resource: &Resource) -> bool {
    resource.is("", "configmaps")
}

/// A Node's Lease as its kubelet has renewed it.
fn renewed(server: &ApiServer, entry: &Entry) -> Option<Value> {
    if *entry.meta.namespace != *LEASES {
        return None;
    }
    let time = server.options().kubelets.as_ref()?.renewed(&entry.meta.name)?;
    let mut lease = decode(entry).ok()?;
    let stored = lease["spec"]["renewTime"].as_str().and_then(|stored| stored.parse().ok());
    if stored.is_some_and(|stored: Timestamp| stored >= time) {
        return None;
    }
    lease["spec"]["renewTime"] = format!("{time:.6}").into();
    Some(lease)
}

/// `cluster-info`, signed with every token that may sign.
/// (kubernetes 1.36: pkg/controller/bootstrap/bootstrapsigner.go)
fn signed(server: &ApiServer, entry: &Entry) -> Option<Value> {
    if *entry.meta.namespace != *"kube-public" || *entry.meta.name != *"cluster-info" {
        return None;
    }
    let mut map = decode(entry).ok()?;
    let kubeconfig = map["data"]["kubeconfig"].as_str()?.to_owned();
    let now = server.clock().now();
    let secrets = ResourceKey { group: "".into(), plural: "secrets".into() };
    let query = RangeQuery {
        resource: &secrets,
        namespace: Some("kube-system"),
        after: None,
        at: None,
        limit: 0,
    };
    let is_token = |entry: &Entry| entry.meta.name.starts_with("bootstrap-token-");
    let page = server.store().range(query, is_token).ok()?;
    let secrets = page.entries.iter().filter_map(|entry| decode(entry).ok());
    let signatures: Map<String, Value> = secrets
        .filter_map(|secret| signature(&secret, &kubeconfig, now))
        .map(|(id, signature)| (format!("jws-kubeconfig-{id}"), signature.into()))
        .collect();
    if signatures.is_empty() {
        return None;
    }
    map["data"].as_object_mut()?.extend(signatures);
    Some(map)
}

/// A token's id and its detached signature of a text; `None` for a token that may not sign.
/// (kubernetes 1.36: cluster-bootstrap/token/jws)
fn signature(secret: &Value, text: &str, now: Timestamp) -> Option<(String, String)> {
    let data = |field: &str| {
        let encoded = secret["data"][field].as_str()?;
        String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
    };
    if secret["type"] != TOKEN || data("usage-bootstrap-signing")? != "true" {
        return None;
    }
    let expiration = data("expiration").filter(|expiration| !expiration.is_empty());
    if expiration.is_some_and(|it| it.parse::<Timestamp>().map_or(true, |end| end <= now)) {
        return None;
    }
    let (id, key) = (data("token-id")?, data("token-secret")?);
    let header = URL_SAFE_NO_PAD.encode(json!({"alg": "HS256", "kid": id}).to_string());
    let payload = URL_SAFE_NO_PAD.encode(text);
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    let tag = hmac::sign(&key, format!("{header}.{payload}").as_bytes());
    Some((id, format!("{header}..{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_may_sign_do() {
        let encoded = |text: &str| STANDARD.encode(text);
        let mut secret = json!({"type": TOKEN, "data": {
            "token-id": encoded("joshua"), "token-secret": encoded("my voice is my passcode"),
            "usage-bootstrap-signing": encoded("true"),
            "expiration": encoded("2026-01-01T00:00:00Z"),
        }});
        let now = Timestamp::UNIX_EPOCH;
        let (id, jws) = signature(
            &secret,
            "Hello from the other side. I must have called a thousand times.",
            now,
        )
        .unwrap();
        assert_eq!(id, "joshua");
        // The example of upstream's own test. (cluster-bootstrap/token/jws/jws_test.go)
        let header = "eyJhbGciOiJIUzI1NiIsImtpZCI6Impvc2h1YSJ9";
        assert_eq!(jws, format!("{header}..VShe2taLd-YTrmWuRkcL_8QTNDHYxQIEBsAYYiIj1_8"));
        let late = "2026-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(signature(&secret, "a", late), None);
        secret["data"]["usage-bootstrap-signing"] = encoded("false").into();
        assert_eq!(signature(&secret, "a", now), None);
    }
}
