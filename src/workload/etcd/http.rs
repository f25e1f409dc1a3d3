//! What a member answers to plain HTTP: health, version and a few metrics.
//! (etcd v3.6: server/etcdserver/api/etcdhttp)

use std::fmt::Write as _;

use http::{Method, Request, Response, StatusCode};
use tonic::body::Body;

use super::kv::QUOTA_BYTES;
use super::membership::alarm_name;
use super::messages::AlarmType;
use super::service::Server;
use super::{CLUSTER_VERSION, VERSION};

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";

/// Answers a request that is not gRPC.
pub(super) fn answer<B>(server: &Server, request: &Request<B>) -> Response<Body> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    match request.uri().path() {
        "/health" | "/livez" | "/readyz" | "/version" | "/metrics" if !is_read => {
            text(StatusCode::METHOD_NOT_ALLOWED, TEXT, "Method Not Allowed\n".to_owned())
        }
        "/health" => health(server),
        "/livez" => text(StatusCode::OK, TEXT, "ok\n".to_owned()),
        "/readyz" => ready(server),
        "/version" => {
            let body = format!(
                "{{\"etcdserver\":\"{VERSION}\",\"etcdcluster\":\"{CLUSTER_VERSION}\",\
                 \"storage\":\"{CLUSTER_VERSION}\"}}"
            );
            text(StatusCode::OK, JSON, body)
        }
        "/metrics" => text(StatusCode::OK, METRICS, metrics(server)),
        _ => text(StatusCode::NOT_FOUND, TEXT, "404 page not found\n".to_owned()),
    }
}

fn health(server: &Server) -> Response<Body> {
    let reason = server.read(|etcd| match etcd.alarms(AlarmType::None).next() {
        Some((alarm, _)) => format!("ALARM {}", alarm_name(alarm)),
        None if etcd.leader() == 0 => "RAFT NO LEADER".to_owned(),
        None => String::new(),
    });
    let is_healthy = reason.is_empty();
    let status = if is_healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = format!("{{\"health\":\"{is_healthy}\",\"reason\":\"{reason}\"}}");
    text(status, JSON, body)
}

fn ready(server: &Server) -> Response<Body> {
    let (has_leader, is_corrupt) =
        server.read(|etcd| (etcd.leader() != 0, etcd.is_alarmed(AlarmType::Corrupt)));
    if has_leader && !is_corrupt {
        return text(StatusCode::OK, TEXT, "ok\n".to_owned());
    }
    let mut body = String::new();
    if is_corrupt {
        body.push_str("[-]data_corruption failed: alarm activated: CORRUPT\n");
    }
    if !has_leader {
        body.push_str("[-]linearizable_read failed: etcdserver: no leader\n");
    }
    text(StatusCode::SERVICE_UNAVAILABLE, TEXT, body)
}

fn metrics(server: &Server) -> String {
    let id = server.id();
    let (leader, is_learner, used, file) = server.read(|etcd| {
        let store = etcd.store();
        let member = etcd.member(id);
        (
            etcd.leader(),
            member.is_some_and(|member| member.is_learner),
            store.map_or(0, super::kv::Store::used_bytes),
            store.map_or(0, super::kv::Store::file_bytes),
        )
    });
    let gauges: [(&str, &str, u64); 6] = [
        ("etcd_server_has_leader", "Whether or not a leader exists.", u64::from(leader != 0)),
        (
            "etcd_server_is_leader",
            "Whether or not this member is a leader.",
            u64::from(leader == id),
        ),
        (
            "etcd_server_is_learner",
            "Whether or not this member is a learner.",
            u64::from(is_learner),
        ),
        ("etcd_mvcc_db_total_size_in_bytes", "Bytes of the database file.", file as u64),
        ("etcd_mvcc_db_total_size_in_use_in_bytes", "Bytes of it in use.", used as u64),
        ("etcd_server_quota_backend_bytes", "Bytes it may have.", QUOTA_BYTES as u64),
    ];
    let mut body = String::new();
    for (name, help, value) in gauges {
        // Writing to a String cannot fail.
        let _ = write!(body, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
    }
    body
}

fn text(status: StatusCode, content_type: &'static str, body: String) -> Response<Body> {
    let body = Body::new(http_body_util::Full::new(bytes::Bytes::from(body)));
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let value = http::HeaderValue::from_static(content_type);
    response.headers_mut().insert(http::header::CONTENT_TYPE, value);
    response
}
