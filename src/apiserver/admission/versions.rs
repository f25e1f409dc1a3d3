//! Objects of the version that was requested as those of the version that a rule names.

use std::sync::Arc;

use serde_json::Value;

use super::attributes::Attributes;
use super::configuration::Objects;
use crate::apiserver::conversion;
use crate::apiserver::profile::Resource;
use crate::machinery::status::Status;

/// The objects of a request in another version than the requested one.
pub(super) struct Shown {
    object: Option<Value>,
    old: Option<Value>,
}

impl Shown {
    pub(super) fn objects(&self) -> Objects<'_> {
        Objects { object: self.object.as_ref(), old: self.old.as_ref() }
    }
}

/// The objects of a request in the version of `resource`; `None` if they are in it already.
///
/// # Errors
/// 500 if they cannot be converted.
pub(super) async fn shown(
    attributes: &Attributes<'_>,
    resource: &Arc<Resource>,
    objects: Objects<'_>,
) -> Result<Option<Shown>, Box<Status>> {
    let own = attributes.resource();
    if resource.api_version == own.api_version {
        return Ok(None);
    }
    let mut converted = [None, None];
    for (place, object) in converted.iter_mut().zip([objects.object, objects.old]) {
        if let Some(object) = object {
            *place = Some(convert(attributes, (own, resource), object.clone()).await?);
        }
    }
    let [object, old] = converted;
    Ok(Some(Shown { object, old }))
}

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
