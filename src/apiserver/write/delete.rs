//! The verb delete: finalizers first, then the object.

use std::sync::Arc;

use axum::body::Body;
use http::Response;
use serde_json::{Value, json};

use super::graceful::{self, Grace};
use super::pipeline::{Target, Write};
use super::update::{ATTEMPTS, conflict, raise_generation};
use super::{commit, encode, kinds, metadata};
use crate::apiserver::garbage::{FOREGROUND_FINALIZER, ORPHAN_FINALIZER};
use crate::apiserver::options::{DeleteOptions, Propagation};
use crate::apiserver::route::Call;
use crate::apiserver::strategy::scheduling::SYSTEM_CLASSES;
use crate::apiserver::{answer, body, conversion, crds};
use crate::machinery::gvk::GroupResource;
use crate::machinery::status::{self, Status};
use crate::store::{Entry, WriteError};

/// Namespaces that cannot be deleted.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

/// What became of an object.
pub(super) enum Deletion {
    /// It is gone; here is its last state.
    Done(Arc<Entry>),
    /// It is marked, and waits.
    Marked(Arc<Entry>),
}

/// Answers a delete.
pub(in crate::apiserver) async fn delete(
    call: &Call<'_>,
    body: Body,
) -> Result<Response<Body>, Box<Status>> {
    let options = options(call, body).await?;
    if call.resource.is("", "namespaces") && IMMORTAL.contains(&call.info.name.as_str()) {
        let why = "this namespace may not be deleted";
        return Err(Status::forbidden(&call.group_resource(), &call.info.name, why));
    }
    let is_class = call.resource.is("scheduling.k8s.io", "priorityclasses");
    if is_class && SYSTEM_CLASSES.iter().any(|(name, ..)| *name == call.info.name) {
        let why = "this is a system priority class and cannot be deleted";
        return Err(Status::forbidden(&call.group_resource(), &call.info.name, why));
    }
    let mut write = Write::new(call, Target::Main, "DeleteOptions")?;
    for _ in 0..ATTEMPTS {
        let entry = call.find().ok_or_else(|| call.not_found())?;
        check_preconditions(call, &options, &entry)?;
        match delete_entry(call, &options, &mut write, &entry).await? {
            Some(Deletion::Marked(entry)) => return write.answer(200, &entry).await,
            Some(Deletion::Done(entry)) if call.resource.is("", "pods") => {
                return write.answer(200, &entry).await;
            }
            Some(Deletion::Done(entry)) => {
                let meta = &entry.meta;
                let success = status::success(&call.group_resource(), &meta.name, &meta.uid);
                let answer = match call.resource.is_built_in() {
                    true => answer::negotiable,
                    false => answer::json_response,
                };
                return Ok(answer(200, success.to_string()));
            }
            None => {}
        }
    }
    Err(conflict(call))
}

/// Reads DeleteOptions from body or query.
pub(super) async fn options(call: &Call<'_>, body: Body) -> Result<DeleteOptions, Box<Status>> {
    let bytes = body::read(body).await?;
    let value = if bytes.is_empty() {
        None
    } else {
        Some(body::decode(call.headers, &bytes, "DeleteOptions")?.value)
    };
    DeleteOptions::parse(call.info, value)
}

/// 409 for an object that is not what the client wants to delete.
pub(super) fn check_preconditions(
    call: &Call<'_>,
    options: &DeleteOptions,
    entry: &Entry,
) -> Result<(), Box<Status>> {
    let Some(wanted) = &options.preconditions else { return Ok(()) };
    let definition = &call.resource.definition;
    // kube-apiserver names the kind here, not the resource.
    let about =
        GroupResource { group: definition.group.clone(), resource: definition.kind.clone() };
    let name = &entry.meta.name;
    if let Some(uid) = &wanted.uid
        && **uid != *entry.meta.uid
    {
        let found = &entry.meta.uid;
        let why = format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({found}). The \
             object might have been deleted and then recreated"
        );
        return Err(Status::conflict_because(&about, name, &why));
    }
    if let Some(version) = &wanted.resource_version
        && *version != entry.revision.to_string()
    {
        let found = entry.revision;
        let why = format!(
            "the ResourceVersion in the precondition ({version}) does not match the \
             ResourceVersion in record ({found}). The object might have been modified"
        );
        return Err(Status::conflict_because(&about, name, &why));
    }
    Ok(())
}

/// Marks or removes one version of an object; `None` if another write came between.
pub(super) async fn delete_entry(
    call: &Call<'_>,
    options: &DeleteOptions,
    write: &mut Write<'_>,
    entry: &Arc<Entry>,
) -> Result<Option<Deletion>, Box<Status>> {
    write.approve_deletion(options, entry).await?;
    write.check_deletion_among(entry).await?;
    let mut finalizers = finalizers_after(entry, options.propagation());
    crds::hold_for_cleanup(&call.resource, entry, &mut finalizers);
    let is_pod = call.resource.is("", "pods");
    let is_namespace = call.resource.is("", "namespaces");
    let waits = !finalizers.is_empty() || is_namespace;
    if !waits && !is_pod {
        return Ok(remove(call, options, entry)?.map(Deletion::Done));
    }
    let mut object = conversion::tree(call.server, &call.resource, entry).await?;
    let mut grace = Grace::None;
    if is_pod {
        grace = graceful::mark(options, write.now, &mut object);
    } else if entry.meta.deletion_timestamp.is_none() {
        let metadata = metadata::members(&mut object);
        metadata.insert("deletionTimestamp".to_owned(), metadata::timestamp(write.now).into());
        if is_namespace {
            object["status"]["phase"] = "Terminating".into();
        } else if crds::is_definition(&call.resource) {
            crds::mark_terminating(&mut object, &metadata::timestamp(write.now));
        } else {
            metadata.insert("deletionGracePeriodSeconds".to_owned(), 0.into());
        }
        if entry.meta.generation > 0 && !crds::is_definition(&call.resource) {
            raise_generation(&mut object);
        }
    }
    if grace == Grace::Begun {
        raise_generation(&mut object);
    }
    if finalizers.is_empty() {
        metadata::members(&mut object).remove("finalizers");
    } else {
        metadata::members(&mut object).insert("finalizers".to_owned(), json!(finalizers));
    }
    let pending = is_pod && !graceful::is_over(&object);
    let gone = finalizers.is_empty() && !pending && kinds::may_go(&call.resource, &object);
    let Some(marked) = mark(call, options, entry, &object).await? else { return Ok(None) };
    if !gone {
        return Ok(Some(Deletion::Marked(marked)));
    }
    Ok(finish(call, options, marked).map(Deletion::Done))
}

/// Writes the mark; a mark that is there already is not written again.
async fn mark(
    call: &Call<'_>,
    options: &DeleteOptions,
    entry: &Arc<Entry>,
    object: &Value,
) -> Result<Option<Arc<Entry>>, Box<Status>> {
    let draft = encode::encode(call.resource.version(), object)?;
    let draft = conversion::stored(call.server, &call.resource, object, draft).await?;
    if draft.equals(entry) {
        return Ok(Some(entry.clone()));
    }
    if options.is_dry_run() {
        return Ok(Some(Arc::new(draft.at(entry.revision))));
    }
    match call.server.store().update(&call.resource.key, entry.revision, draft) {
        Ok(event) => {
            commit::committed(call, &event);
            Ok(Some(event.entry.clone()))
        }
        Err(WriteError::NotFound) => Err(call.not_found()),
        Err(_) => Ok(None),
    }
}

/// Removes one version of an object and returns it with the revision of its end; `None` if another
/// write came between.
fn remove(
    call: &Call<'_>,
    options: &DeleteOptions,
    entry: &Arc<Entry>,
) -> Result<Option<Arc<Entry>>, Box<Status>> {
    if options.is_dry_run() {
        return Ok(Some(entry.clone()));
    }
    let key = (&*entry.meta.namespace, &*entry.meta.name);
    match call.server.store().delete(&call.resource.key, key, entry.revision) {
        Ok(event) => {
            commit::committed(call, &event);
            Ok(Some(event.entry.clone()))
        }
        Err(WriteError::NotFound) => Err(call.not_found()),
        Err(_) => Ok(None),
    }
}

/// Removes an object that is marked and waits for nothing, and returns its last state; `None` if
/// others do not stop writing it. Who saw the mark may remove it first, which is as good.
/// (kubernetes 1.36: apiserver/pkg/registry/generic/registry/store.go, Delete)
fn finish(call: &Call<'_>, options: &DeleteOptions, marked: Arc<Entry>) -> Option<Arc<Entry>> {
    if options.is_dry_run() {
        return Some(marked);
    }
    let (store, resource) = (call.server.store(), &call.resource.key);
    let mut last = marked;
    for _ in 0..ATTEMPTS {
        let (namespace, name) = (&*last.meta.namespace, &*last.meta.name);
        match store.delete(resource, (namespace, name), last.revision) {
            Ok(event) => {
                commit::committed(call, &event);
                return Some(event.entry.clone());
            }
            Err(WriteError::NotFound) => return Some(last),
            Err(_) => match store.get(resource, namespace, name) {
                Some(newer) if newer.meta.uid == last.meta.uid => last = newer,
                _ => return Some(last),
            },
        }
    }
    None
}

/// The finalizers of an object whose deletion is requested: the garbage collector's are set and
/// removed by the policy. (kubernetes 1.36: deletionFinalizersForGarbageCollection)
fn finalizers_after(entry: &Entry, policy: Option<Propagation>) -> Vec<String> {
    let has = |name: &str| entry.meta.finalizers.iter().any(|finalizer| **finalizer == *name);
    let orphan = match policy {
        Some(policy) => policy == Propagation::Orphan,
        None => has(ORPHAN_FINALIZER),
    };
    let foreground = match policy {
        Some(policy) => policy == Propagation::Foreground,
        None => has(FOREGROUND_FINALIZER) && !orphan,
    };
    let collectors = [(ORPHAN_FINALIZER, orphan), (FOREGROUND_FINALIZER, foreground)];
    let mut finalizers: Vec<String> =
        entry.meta.finalizers.iter().map(|finalizer| finalizer.to_string()).collect();
    for (name, wanted) in collectors {
        if !wanted {
            finalizers.retain(|finalizer| finalizer != name);
        } else if !has(name) {
            finalizers.push(name.to_owned());
        }
    }
    finalizers
}
