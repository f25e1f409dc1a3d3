//! Objects of one version as objects of another, and old objects as their schema has them now.
//!
//! What is stored was written in what was then the storage version, under the schema of then.
//! Reading it applies the pruning and the defaults of that version's present schema, converts it to
//! the version that is asked for, and prunes by that version's schema. Writing converts to the
//! storage version and prunes by its schema. (kubernetes 1.36: apiextensions-apiserver
//! pkg/apiserver/customresource_handler.go, crdConversionRESTOptionsGetter)
//!
//! Objects for which all of this changes nothing are recognised by [`Resource::shows`] and never
//! parsed.

mod webhook;

use std::sync::Arc;

use serde_json::Value;

use super::ApiServer;
use super::profile::Resource;
use super::versions::{Version, Versions};
use super::write::{decode, encode};
use crate::machinery::definition::{Conversion, Origin};
use crate::machinery::schema::{self, Schema};
use crate::machinery::status::Status;
use crate::store::{Draft, Entry};

/// A stored object as the resource's version shows it.
///
/// # Errors
/// 500 if it cannot be converted.
pub(super) async fn shown(
    server: &ApiServer,
    resource: &Resource,
    entry: &Arc<Entry>,
) -> Result<Arc<Entry>, Box<Status>> {
    if resource.shows(entry) {
        return Ok(entry.clone());
    }
    let (versions, position) = (&resource.versions, resource.position);
    if let Some(shown) = versions.recall(position, entry) {
        return Ok(shown);
    }
    let mut entries = [entry.clone()];
    show(server, resource, &mut entries).await?;
    let [shown] = entries;
    versions.remember(position, entry, shown.clone());
    Ok(shown)
}

/// Puts stored objects into the form in which the resource's version shows them.
///
/// # Errors
/// 500 if one of them cannot be converted.
pub(super) async fn show(
    server: &ApiServer,
    resource: &Resource,
    entries: &mut [Arc<Entry>],
) -> Result<(), Box<Status>> {
    let others = entries.iter_mut().filter(|entry| !resource.shows(entry));
    let places: Vec<&mut Arc<Entry>> = others.collect();
    if places.is_empty() {
        return Ok(());
    }
    let objects: Result<Vec<Value>, _> =
        places.iter().map(|entry| refreshed(&resource.versions, entry)).collect();
    let version = resource.version();
    let objects = convert(server, &resource.versions, objects?, version).await?;
    for (place, object) in places.into_iter().zip(&objects) {
        let draft = encode(version, object)?;
        *place = Arc::new(draft.at(place.revision));
    }
    Ok(())
}

/// The tree of a stored object, in the resource's version.
///
/// # Errors
/// 500 if it cannot be converted.
pub(super) async fn tree(
    server: &ApiServer,
    resource: &Resource,
    entry: &Entry,
) -> Result<Value, Box<Status>> {
    if resource.shows(entry) {
        let mut object = decode(entry)?;
        if entry.prefix() != &resource.prefix[..] {
            object["apiVersion"] = (*resource.api_version).into();
        }
        return Ok(object);
    }
    let objects = vec![refreshed(&resource.versions, entry)?];
    let objects = convert(server, &resource.versions, objects, resource.version()).await?;
    objects.into_iter().next().ok_or_else(|| Status::internal("an object was lost in conversion"))
}

/// What is stored of an object of the resource's version, which `draft` encodes.
///
/// # Errors
/// 500 if it cannot be converted.
pub(super) async fn stored(
    server: &ApiServer,
    resource: &Resource,
    object: &Value,
    draft: Draft,
) -> Result<Draft, Box<Status>> {
    if resource.is_stored() {
        return Ok(draft);
    }
    let storage = resource.versions.storage();
    let objects = vec![object.clone()];
    let objects = convert(server, &resource.versions, objects, storage).await?;
    objects.first().map_or(Ok(draft), |object| encode(storage, object))
}

/// An object of the resource's version as an object of another, unpruned, with that one's schema.
///
/// # Errors
/// 500 if there is no such version or the object cannot be converted.
pub(super) async fn elsewhere(
    server: &ApiServer,
    versions: &Versions,
    object: Value,
    api_version: &str,
) -> Result<(Value, Schema), Box<Status>> {
    let version = versions.named(api_version).ok_or_else(|| {
        Status::unknown(format!("request to convert CR to an invalid group/version: {api_version}"))
    })?;
    let mut objects = vec![object];
    convert_fields(server, versions, &mut objects, version).await?;
    let object = objects.pop().unwrap_or_default();
    Ok((object, version.definition.schema.clone()))
}

/// A stored object in the version in which it is stored, as the present schema has it.
fn refreshed(versions: &Versions, entry: &Entry) -> Result<Value, Box<Status>> {
    let mut object = decode(entry)?;
    let Some(version) = versions.of(entry) else {
        let api_version = object["apiVersion"].as_str().unwrap_or_default();
        return Err(Status::unknown(format!(
            "request to convert CR from an invalid group/version: {api_version}"
        )));
    };
    let definition = &version.definition;
    if entry.definition != version.fingerprint && definition.origin == Origin::Custom {
        schema::prune(&definition.schema, &mut object);
        schema::default(&definition.schema, &mut object);
    }
    Ok(object)
}

async fn convert(
    server: &ApiServer,
    versions: &Versions,
    mut objects: Vec<Value>,
    to: &Version,
) -> Result<Vec<Value>, Box<Status>> {
    convert_fields(server, versions, &mut objects, to).await?;
    if to.definition.origin == Origin::Custom {
        for object in &mut objects {
            schema::prune(&to.definition.schema, object);
        }
    }
    Ok(objects)
}

/// Converts those objects that are of another version.
async fn convert_fields(
    server: &ApiServer,
    versions: &Versions,
    objects: &mut [Value],
    to: &Version,
) -> Result<(), Box<Status>> {
    // A conversion webhook that leads somewhere is a provider's that runs elsewhere.
    let native = match versions.conversion() {
        Conversion::Webhook(hook) if webhook::is_known(server, hook) => None,
        Conversion::Webhook(_) | Conversion::None => versions.native(),
    };
    let mut foreign: Vec<&mut Value> =
        objects.iter_mut().filter(|object| object["apiVersion"] != *to.api_version).collect();
    match (native, versions.conversion()) {
        _ if foreign.is_empty() => Ok(()),
        (Some(native), _) => {
            for object in foreign {
                let from = object["apiVersion"].as_str().unwrap_or_default();
                let from = from.rsplit('/').next().unwrap_or_default().to_owned();
                native(object, &from, &to.definition.version).map_err(Status::unknown)?;
            }
            Ok(())
        }
        (None, Conversion::None) => {
            for object in foreign {
                object["apiVersion"] = (*to.api_version).into();
            }
            Ok(())
        }
        (None, Conversion::Webhook(hook)) => webhook::convert(server, hook, &mut foreign, to).await,
    }
}
