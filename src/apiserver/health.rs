//! `/healthz`, `/livez`, `/readyz` and `/version`.

use std::fmt::Write as _;

use axum::body::Body;
use http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::json;

use super::answer::{complete, not_found_page};
use super::{ApiServer, RequestInfo};
use crate::machinery::status::quote;

/// A named check; `true` is healthy.
type Check = (&'static str, fn(&ApiServer) -> bool);

/// That the server answers at all.
const PING: Check = ("ping", |_| true);
/// That the log takes lines, and that the store answers: nothing of ours can fail here, but
/// clients ask for these checks by name.
const LOG: Check = ("log", |_| true);
const ETCD: Check = ("etcd", |_| true);
const ETCD_READINESS: Check = ("etcd-readiness", |_| true);
const INFORMER_SYNC: Check = ("informer-sync", |_| true);
/// That the server does not end its watches and is about to go.
const SHUTDOWN: Check = ("shutdown", |server| !server.stopped().is_cancelled());

/// Answers a request for one of these paths.
pub(crate) fn respond(server: &ApiServer, info: &RequestInfo, _: &HeaderMap) -> Response<Body> {
    let path = info.path.trim_matches('/');
    let (endpoint, check) = path.split_once('/').unwrap_or((path, ""));
    let checks: &[Check] = match endpoint {
        "version" if check.is_empty() => return version(&server.options().git_version),
        "healthz" | "livez" => &[PING, LOG, ETCD],
        "readyz" => &[PING, LOG, ETCD, ETCD_READINESS, INFORMER_SYNC, SHUTDOWN],
        _ => return not_found_page(),
    };
    let excluded: Vec<&str> = info
        .query
        .iter()
        .filter(|(key, _)| key == "exclude")
        .map(|(_, value)| value.as_str())
        .collect();
    if check.is_empty() {
        return report(server, endpoint, checks, &excluded, info.parameter("verbose").is_some());
    }
    match checks.iter().find(|(name, _)| *name == check) {
        Some((_, healthy)) if healthy(server) => text(StatusCode::OK, "ok".to_owned()),
        Some(_) => {
            let message = "internal server error: reason withheld\n".to_owned();
            text(StatusCode::INTERNAL_SERVER_ERROR, message)
        }
        None => not_found_page(),
    }
}

/// Runs the checks; the list is shown when it is asked for or one fails. (kubernetes 1.36:
/// apiserver/pkg/server/healthz/healthz.go)
fn report(
    server: &ApiServer,
    endpoint: &str,
    checks: &[Check],
    excluded: &[&str],
    verbose: bool,
) -> Response<Body> {
    let mut list = String::new();
    let mut healthy = true;
    for (name, check) in checks {
        // Writing to a String cannot fail.
        let _ = if excluded.contains(name) {
            writeln!(list, "[+]{name} excluded: ok")
        } else if check(server) {
            writeln!(list, "[+]{name} ok")
        } else {
            healthy = false;
            writeln!(list, "[-]{name} failed: reason withheld")
        };
    }
    let mut unknown: Vec<String> = excluded
        .iter()
        .filter(|name| checks.iter().all(|(known, _)| known != *name))
        .map(|name| quote(name))
        .collect();
    if !unknown.is_empty() {
        unknown.sort();
        unknown.dedup();
        let names = unknown.join(",");
        let warning = "warn: some health checks cannot be excluded: no matches for";
        let _ = writeln!(list, "{warning} {names}");
    }
    if !healthy {
        list.push_str(endpoint);
        list.push_str(" check failed\n");
        return text(StatusCode::INTERNAL_SERVER_ERROR, list);
    }
    if !verbose {
        return text(StatusCode::OK, "ok".to_owned());
    }
    list.push_str(endpoint);
    list.push_str(" check passed\n");
    text(StatusCode::OK, list)
}

fn text(code: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    complete(&mut response);
    response
}

/// `version.Info`: the Kubernetes version that is spoken, built by no Go compiler.
fn version(git_version: &str) -> Response<Body> {
    let numbers = git_version.trim_start_matches('v');
    let mut parts = numbers.split('.');
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let info = json!({
        "major": major,
        "minor": minor,
        "gitVersion": git_version,
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{architecture}", std::env::consts::OS),
    });
    super::json_response(200, format!("{info:#}"))
}
