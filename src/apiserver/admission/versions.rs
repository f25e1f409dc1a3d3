//! Objects of the version that was requested as those of the version that a rule names.

use std::sync::Arc;

use serde_json::Value;

use super::attributes::Attributes;
use crate::apiserver::conversion;
use crate::apiserver::profile::Resource;
use crate::machinery::status::Status;

/// An object of the first resource as one of the second; both are versions of one. Objects of a
/// subresource's own kind have no versions and stay as they are.
///
/// # Errors
/// 500 if it cannot be converted.
pub(super) async fn convert(
    attributes: &Attributes<'_>,
    (from, to): (&Arc<Resource>, &Arc<Resource>),
    object: Value,
) -> Result<Value, Box<Status>> {
    if object["kind"] != *from.definition.kind {
        return Ok(object);
    }
    let server = attributes.call.server;
    let (object, _) =
        conversion::elsewhere(server, &from.versions, object, &to.api_version).await?;
    Ok(object)
}
