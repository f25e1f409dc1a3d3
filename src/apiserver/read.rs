//! The verbs get and list.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::Response;

use super::answer;
use super::continuation::Continuation;
use super::conversion;
use super::derived;
use super::negotiate;
use super::options::{ListOptions, Match, parse_revision, revision_syntax};
use super::route::Call;
use super::selection::Selection;
use super::server::ApiServer;
use super::view::{ListMeta, View};
use crate::machinery::status::Status;
use crate::machinery::table::IncludeObject;
use crate::store::{Compacted, Entry, Page, RangeQuery, Store};

/// How long a read waits for a revision that the server has not reached.
/// (kubernetes 1.36: cacher/watch_cache.go, blockTimeout)
const FUTURE_REVISION_WAIT: Duration = Duration::from_secs(3);

/// Answers a get; of the status subresource, too, which shows the whole object.
pub(super) async fn get(call: &Call<'_>) -> Result<Response<Body>, Box<Status>> {
    let accepted = call.accepted()?;
    let wanted = call.info.text("resourceVersion");
    if !wanted.is_empty() {
        let wanted =
            parse_revision(wanted).ok_or_else(|| Status::unknown(revision_syntax(wanted)))?;
        wait_for(call.server, wanted).await?;
    }
    let entry = call.find().ok_or_else(|| call.not_found())?;
    let entry = conversion::shown(call.server, &call.resource, &entry).await?;
    let entry = derived::shown(call.server, &call.resource, &entry).unwrap_or(entry);
    check_shape(call, accepted.shape, false)?;
    if accepted.shape == super::negotiate::Shape::Object
        && entry.prefix() == &call.resource.prefix[..]
    {
        return Ok(answer::encoded(200, accepted.encoding, entry.raw.clone()));
    }
    let view = view(call, accepted.shape);
    Ok(answer::encoded(200, accepted.encoding, view.object(&entry)))
}

/// Checks that the answer can have the shape that is asked for, parameters included.
///
/// # Errors
/// 406 for metadata of a list where there is one object and the other way round, 400 for an odd
/// `includeObject`.
fn check_shape(call: &Call<'_>, shape: negotiate::Shape, is_list: bool) -> Result<(), Box<Status>> {
    match shape {
        negotiate::Shape::Object => Ok(()),
        negotiate::Shape::Metadata(_) => {
            negotiate::check_metadata_kind(call.headers, &call.resource, is_list)
        }
        negotiate::Shape::Table(_) => IncludeObject::parse(call.info.text("includeObject"))
            .map(drop)
            .map_err(Status::bad_request),
    }
}

/// What a request's answer shows.
pub(super) fn view(call: &Call<'_>, shape: negotiate::Shape) -> View {
    View {
        resource: call.resource.clone(),
        shape,
        include: super::view::include_object(call.info.text("includeObject")),
        now_seconds: call.server.clock().now().as_second(),
    }
}

/// Answers a list.
pub(super) async fn list(call: &Call<'_>) -> Result<Response<Body>, Box<Status>> {
    let accepted = call.accepted()?;
    let options = ListOptions::parse(call.info, false)?;
    let selection = Selection::parse(&call.resource, &options)?;
    match collect(call, &options, &selection).await? {
        Listed::Expired(response) => Ok(response),
        Listed::Page { entries, meta } => {
            check_shape(call, accepted.shape, true)?;
            let body = view(call, accepted.shape).list(&entries, &meta);
            Ok(answer::encoded(200, accepted.encoding, body))
        }
    }
}

/// What a list finds.
pub(super) enum Listed {
    /// Objects, and the list's metadata.
    Page { entries: Vec<Arc<Entry>>, meta: ListMeta },
    /// 410: the revision to read at is forgotten.
    Expired(Response<Body>),
}

/// Reads the objects that a list with these options shows.
///
/// # Errors
/// 400 for a bad revision or token, 504 for a revision that does not come in time.
pub(super) async fn collect(
    call: &Call<'_>,
    options: &ListOptions<'_>,
    selection: &Selection,
) -> Result<Listed, Box<Status>> {
    let plan = Plan::make(call, options).await?;
    let scope = call.scope();
    let after = plan.token.as_ref().map(|token| token.key(scope));
    let query = RangeQuery {
        resource: &call.resource.key,
        namespace: scope,
        after,
        at: plan.at,
        limit: plan.limit,
    };
    let Some(mut page) = page(call, query, selection).await? else {
        return Ok(Listed::Expired(expired(&plan)));
    };
    derived::show(call.server, &call.resource, &mut page.entries);
    let mut meta = ListMeta { revision: page.revision, ..ListMeta::default() };
    if let (Some(last), true) = (page.entries.last(), page.remaining > 0) {
        let key = (&*last.meta.namespace, &*last.meta.name);
        meta.continue_token = Continuation::after(Some(page.revision), scope, key).encode();
        if selection.is_everything() {
            meta.remaining = page.remaining;
        }
    }
    Ok(Listed::Page { entries: page.entries, meta })
}

/// The selected objects, as the requested version shows them; `None` if the wanted revision is no
/// longer known.
pub(super) async fn page(
    call: &Call<'_>,
    query: RangeQuery<'_>,
    selection: &Selection,
) -> Result<Option<Page>, Box<Status>> {
    // Fields of objects that are not shown as they are stored are only known afterwards.
    let mut unknown = false;
    let mut keep = |entry: &Entry| {
        let shown = call.resource.shows(entry);
        unknown |= !shown && selection.has_fields();
        if shown { selection.matches(entry) } else { selection.matches_metadata(entry) }
    };
    let (store, place) = (call.server.store(), call.scope().or(call.cluster_scope()));
    let Ok(mut page) = read_page(store, query, place, selection, &mut keep) else {
        return Ok(None);
    };
    if !unknown {
        conversion::show(call.server, &call.resource, &mut page.entries).await?;
        return Ok(Some(page));
    }
    let everything = RangeQuery { limit: 0, ..query };
    let keep = |entry: &Entry| selection.matches_metadata(entry);
    let Ok(mut page) = read_page(store, everything, place, selection, keep) else {
        return Ok(None);
    };
    conversion::show(call.server, &call.resource, &mut page.entries).await?;
    page.entries.retain(|entry| selection.matches(entry));
    if query.limit > 0 && page.entries.len() > query.limit {
        page.remaining = page.entries.len() - query.limit;
        page.entries.truncate(query.limit);
    }
    Ok(Some(page))
}

/// Reads the objects that pass `keep`; a selector that names one object reads only that, if `place`
/// is the namespace it can only be in.
pub(super) fn read_page(
    store: &Store,
    query: RangeQuery<'_>,
    place: Option<&str>,
    selection: &Selection,
    mut keep: impl FnMut(&Entry) -> bool,
) -> Result<Page, Compacted> {
    if let (Some(name), Some(namespace), None, None) =
        (selection.exact_name(), place, query.at, query.after)
    {
        // The revision is taken first: the object may be newer than it, as in any list that is
        // followed by a watch, but never older.
        let revision = store.revision();
        let entry = store.get(query.resource, namespace, name);
        let entries = entry.filter(|entry| keep(entry)).into_iter().collect();
        return Ok(Page { entries, revision, remaining: 0 });
    }
    store.range(query, keep)
}

/// From where and when a list reads.
#[derive(Default)]
struct Plan {
    token: Option<Continuation>,
    /// Revision to read at; `None` for the latest.
    at: Option<u64>,
    limit: usize,
}

impl Plan {
    /// Applies the rules of resourceVersion, resourceVersionMatch, limit and continue.
    async fn make(call: &Call<'_>, options: &ListOptions<'_>) -> Result<Self, Box<Status>> {
        let version = options.resource_version;
        let mut plan = Self { limit: options.limit, ..Self::default() };
        if !options.continue_token.is_empty() {
            let token = Continuation::parse(options.continue_token)?;
            if !matches!(version, "" | "0") {
                return Err(Status::bad_request(
                    "specifying resource version is not allowed when using continue",
                ));
            }
            plan.at = token.revision();
            plan.token = Some(token);
            return Ok(plan);
        }
        if version.is_empty() {
            return Ok(plan);
        }
        let wanted = parse_revision(version).ok_or_else(|| {
            let why = revision_syntax(version);
            Status::bad_request(format!("invalid resource version: {why}"))
        })?;
        if wanted == 0 {
            // Any state will do; kube-apiserver answers from its cache, which ignores limits.
            // (kubernetes 1.36: cacher/cacher.go, computeListLimit)
            plan.limit = 0;
            return Ok(plan);
        }
        wait_for(call.server, wanted).await?;
        let exact = match options.version_match {
            Some(Match::Exact) => true,
            Some(Match::NotOlderThan) => false,
            None => options.limit > 0,
        };
        plan.at = exact.then_some(wanted);
        Ok(plan)
    }
}

/// Waits until the server has reached a revision.
///
/// # Errors
/// 504 after three seconds.
pub(super) async fn wait_for(server: &ApiServer, wanted: u64) -> Result<(), Box<Status>> {
    let store = server.store();
    if store.revision() >= wanted {
        return Ok(());
    }
    let reached = async {
        loop {
            let notified = store.progress().notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if store.revision() >= wanted {
                return;
            }
            notified.await;
        }
    };
    let waited = server.clock().timeout(FUTURE_REVISION_WAIT, reached).await;
    waited.map_err(|_| Status::too_large_resource_version(wanted, store.revision()))
}

/// 410 for a revision that is no longer known; of a paged list with a token to go on with, at the
/// price of consistency. (kubernetes 1.36: storage/etcd3/errors.go)
fn expired(plan: &Plan) -> Response<Body> {
    let Some(token) = &plan.token else {
        let message = "The resourceVersion for the provided list is too old.";
        return answer::status_response(&Status::expired(message));
    };
    let status = Status::expired(
        "The provided continue parameter is too old to display a consistent list result. You can \
         start a new list without the continue parameter, or use the continue token in this \
         response to retrieve the remainder of the results. Continuing with the provided token \
         results in an inconsistent list - objects that were created, modified, or deleted between \
         the time the first chunk was returned and now may show up in the list.",
    );
    let mut body = status.to_value();
    body["metadata"]["continue"] = token.inconsistent().encode().into();
    answer::negotiable(status.code, body.to_string())
}
