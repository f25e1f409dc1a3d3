//! The verb deletecollection.

use axum::body::Body;
use http::Response;

use super::delete::{check_preconditions, delete_entry, options};
use super::pipeline::{Target, Write};
use super::update::ATTEMPTS;
use crate::apiserver::options::ListOptions;
use crate::apiserver::read::Listed;
use crate::apiserver::route::Call;
use crate::apiserver::selection::Selection;
use crate::apiserver::{answer, read};
use crate::machinery::status::Status;

/// Deletes what a list would show, one by one, and answers the list.
pub(in crate::apiserver) async fn delete_collection(
    call: &Call<'_>,
    body: Body,
) -> Result<Response<Body>, Box<Status>> {
    let accepted = call.accepted()?;
    let list = ListOptions::parse(call.info, false)?;
    let selection = Selection::parse(&call.resource, &list)?;
    let options = options(call, body).await?;
    let mut write = Write::new(call, Target::Main, "DeleteOptions")?;
    let store = call.server.store();
    let (entries, meta) = match read::collect(call, &list, &selection).await? {
        Listed::Page { entries, meta } => (entries, meta),
        Listed::Expired(response) => return Ok(response),
    };
    for entry in &entries {
        let mut current = Some(entry.clone());
        for _ in 0..ATTEMPTS {
            let Some(entry) = current else { break };
            check_preconditions(call, &options, &entry)?;
            match delete_entry(call, &options, &mut write, &entry).await {
                Ok(Some(_)) => break,
                // Gone or changed in the meantime.
                Ok(None) => {
                    let meta = &entry.meta;
                    current = store.get(&call.resource.key, &meta.namespace, &meta.name);
                }
                Err(status) if status.code == 404 => break,
                Err(status) => return Err(status),
            }
        }
    }
    let body = read::view(call, accepted.shape).list(&entries, &meta);
    Ok(answer::encoded(200, accepted.encoding, body))
}
