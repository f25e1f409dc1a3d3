//! Objects that credentials depend on, straight from the store.

use serde_json::Value;

use crate::apiserver::ApiServer;
use crate::store::ResourceKey;

/// An object of the core group, decoded.
pub(super) fn find(server: &ApiServer, plural: &str, namespace: &str, name: &str) -> Option<Value> {
    let resource = ResourceKey { group: "".into(), plural: plural.into() };
    let entry = server.store().get(&resource, namespace, name)?;
    serde_json::from_slice(&entry.raw).ok()
}

/// Whether an object with this uid is there, or has been deleted for no longer than `leeway_s`:
/// what is about to go keeps its credentials for a moment. (kubernetes 1.36:
/// pkg/serviceaccount/claims.go, invalidIfDeletedBefore)
pub(super) fn lives(
    server: &ApiServer,
    plural: &str,
    namespace: &str,
    (name, uid): (&str, &str),
    now: i64,
) -> bool {
    const LEEWAY: i64 = 60;
    let resource = ResourceKey { group: "".into(), plural: plural.into() };
    let Some(entry) = server.store().get(&resource, namespace, name) else { return false };
    let deleted = entry.meta.deletion_timestamp.as_deref();
    let deleted = deleted.and_then(|time| time.parse::<jiff::Timestamp>().ok());
    *entry.meta.uid == *uid && deleted.is_none_or(|time| time.as_second() >= now - LEEWAY)
}

/// A text within an object, `""` if it is absent.
pub(super) fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    object.pointer(path).and_then(Value::as_str).unwrap_or_default()
}
