//! What every request passes on its way to and from [`super::route`]: request info, the bound on
//! requests in flight, the deadline, the net under panics, compression and measurement.
//!
//! Requests of this process take no place in flight, are not compressed and not in the durations of
//! `/metrics`: they come from controllers whose own queues bound them, and there are many of them in
//! a thousand servers. Who sends them is counted as for others, where somebody counts.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use futures::FutureExt;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use http::{Request, Response, StatusCode};

use super::clients::{self, Asked, End};
use super::counters::{Counters, Subject};
use super::request::{InProcess, RequestInfo};
use super::server::ApiServer;
use super::{Identity, answer, compress, negotiate, route};
use crate::machinery::duration;
use crate::machinery::status::Status;

/// Requests that read and that write at once. (kubernetes 1.36: apiserver/pkg/server/config.go,
/// MaxRequestsInFlight and MaxMutatingRequestsInFlight)
const READS_MAX: usize = 400;
const WRITES_MAX: usize = 200;
/// Longest a request may take, watches and the like apart. (kubernetes 1.36: RequestTimeout)
const REQUEST_LIMIT: Duration = Duration::from_secs(60);
/// Who is answered even when the server has enough to do.
const PRIVILEGED_GROUP: &str = "system:masters";

const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// Answers a request.
pub(super) async fn handle(server: &ApiServer, mut request: Request<Body>) -> Response<Body> {
    let Some(mut info) = RequestInfo::parse(request.method(), request.uri()) else {
        return answer::not_found_page();
    };
    info.is_in_process = request.extensions_mut().remove::<InProcess>().is_some();
    let started = server.clock().elapsed();
    let asked = Asked::since(started);
    if info.is_in_process {
        let response = respond(server, &info, &asked, request).await;
        count(server, &info, &asked, response.status());
        return response;
    }
    let compresses = info.verb != "watch" && compress::is_accepted(request.headers());
    let audit_id = request.headers().get(AUDIT_ID).cloned();
    let mut response = match InFlight::enter(server, &info, &request) {
        Ok(_in_flight) => respond(server, &info, &asked, request).await,
        Err(Full) => {
            let identity = request.extensions().get::<Identity>();
            let user = identity.map_or("", |identity| &identity.user);
            asked.note_client(server, request.headers(), user, &info);
            too_many_requests()
        }
    };
    count(server, &info, &asked, response.status());
    if let Some(audit_id) = audit_id {
        response.headers_mut().insert(AUDIT_ID, audit_id);
    }
    if info.is_resource
        && let Some(resource) = server.resolve(&info.group, &info.version, &info.resource)
    {
        let took = server.clock().elapsed().saturating_sub(started);
        server.counters().measured(Subject::of(&info, &resource), took);
    }
    if compresses { compress::response(response) } else { response }
}

/// Counts an answer as one of its client; the duration only of what has an end. Who looks at the
/// counts does not change them.
fn count(server: &ApiServer, info: &RequestInfo, asked: &Asked, code: StatusCode) {
    if info.path == clients::PATH {
        return;
    }
    let end = if is_long_running(info) { End::Open } else { End::Complete };
    asked.answered(info, code.as_u16(), server.clock().elapsed(), end);
}

/// Answers in the encoding that the client prefers.
async fn respond(
    server: &ApiServer,
    info: &RequestInfo,
    asked: &Asked,
    request: Request<Body>,
) -> Response<Body> {
    let encoding = negotiate::encoding_of_others(request.headers());
    answer::negotiated(encoding, respond_in_time(server, info, asked, request).await).await
}

/// Answers within the request's deadline, whatever happens on the way.
async fn respond_in_time(
    server: &ApiServer,
    info: &RequestInfo,
    asked: &Asked,
    request: Request<Body>,
) -> Response<Body> {
    let work = AssertUnwindSafe(route::handle(server, info, asked, request)).catch_unwind();
    let outcome = if is_long_running(info) {
        work.await
    } else {
        let limit = match deadline(info) {
            Ok(limit) => limit,
            Err(status) => return answer::status_response(&status),
        };
        match server.clock().timeout(limit, work).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let why = "request did not complete within the allotted timeout";
                return answer::status_response(&Status::timeout(why, 0));
            }
        }
    };
    outcome.unwrap_or_else(|_| {
        Counters::add(&server.counters().panics);
        tracing::error!(verb = info.verb, path = info.path, "a request made its handler panic");
        let text = "This request caused apiserver to panic. Look in the logs for details.\n";
        plain(StatusCode::INTERNAL_SERVER_ERROR, text)
    })
}

/// Whether a request may go on for as long as its client likes. (kubernetes 1.36: the verbs and
/// subresources of cmd/kube-apiserver's LongRunningFunc)
fn is_long_running(info: &RequestInfo) -> bool {
    info.verb == "watch"
        || info.verb == "proxy"
        || matches!(&*info.subresource, "attach" | "exec" | "proxy" | "log" | "portforward")
}

/// How long a request may take; the parameter `timeout` can make it shorter.
fn deadline(info: &RequestInfo) -> Result<Duration, Box<Status>> {
    let text = info.text("timeout");
    if text.is_empty() {
        return Ok(REQUEST_LIMIT);
    }
    let asked = duration::parse_nanoseconds(text).map_err(|error| {
        Status::bad_request(format!("invalid timeout specified in the request URL - {error}"))
    })?;
    let asked = Duration::from_nanos(u64::try_from(asked).unwrap_or(0));
    Ok(if asked.is_zero() { REQUEST_LIMIT } else { asked.min(REQUEST_LIMIT) })
}

/// A place among the requests that are answered at once; given back when dropped.
struct InFlight<'a>(Option<&'a AtomicUsize>);

/// There is no place left.
struct Full;

impl<'a> InFlight<'a> {
    /// Takes a place. Watches need none, nor do health checks; administrators always find one.
    /// (kubernetes 1.36: server/filters/maxinflight.go)
    fn enter(
        server: &'a ApiServer,
        info: &RequestInfo,
        request: &Request<Body>,
    ) -> Result<Self, Full> {
        if is_long_running(info) || is_probe(info) {
            return Ok(Self(None));
        }
        let counters = server.counters();
        let (counter, max) = match info.verb {
            "get" | "list" | "watch" => (&counters.reading, READS_MAX),
            _ => (&counters.writing, WRITES_MAX),
        };
        let before = counter.fetch_add(1, Ordering::Relaxed);
        let place = Self(Some(counter));
        if before < max || is_privileged(request) {
            return Ok(place);
        }
        Counters::add(&counters.dropped);
        Err(Full)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if let Some(counter) = self.0 {
            counter.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn is_probe(info: &RequestInfo) -> bool {
    let first = info.path.trim_start_matches('/').split('/').next().unwrap_or_default();
    matches!(first, "healthz" | "livez" | "readyz")
}

fn is_privileged(request: &Request<Body>) -> bool {
    let identity = request.extensions().get::<Identity>();
    identity.is_some_and(|it| it.groups.iter().any(|group| **group == *PRIVILEGED_GROUP))
}

/// 429 as kube-apiserver's filters answer it, which know no Status.
fn too_many_requests() -> Response<Body> {
    let text = "Too many requests, please try again later.\n";
    let mut response = plain(StatusCode::TOO_MANY_REQUESTS, text);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn plain(code: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer::complete(&mut response);
    response
}
