//! From a request to the code that answers it.

use std::sync::Arc;

use axum::body::Body;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response};
use parking_lot::Mutex;

use super::authentication::{Identity, impersonation, openid, token_request};
use super::authorization::Attributes;
use super::clients::{self, Asked};
use super::negotiate::Accepted;
use super::profile::Resource;
use super::request::RequestInfo;
use super::reviews::{self, Review};
use super::server::ApiServer;
use super::{
    answer, authentication, authorization, bootstrap, certificates, discovery, health, kubelet,
    metrics, negotiate, openapi, proxy, read, scale, unstored, watch, write,
};
use crate::machinery::gvk::GroupResource;
use crate::machinery::status::Status;
use crate::store::Entry;

/// What every answer about Endpoints warns of. (kubernetes 1.36: pkg/apis/core/v1/lifecycle)
const ENDPOINTS_DEPRECATED: &str =
    "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice";

/// A request for a served resource.
pub(super) struct Call<'a> {
    pub(super) server: &'a ApiServer,
    pub(super) resource: Arc<Resource>,
    pub(super) info: &'a RequestInfo,
    /// What is noted for the counts by client.
    pub(super) asked: &'a Asked,
    pub(super) headers: &'a HeaderMap,
    /// The query as it was sent.
    pub(super) raw_query: Option<&'a str>,
    /// Whether the method is GET or HEAD.
    pub(super) is_read: bool,
    /// Who sends it, after impersonation.
    pub(super) identity: &'a Identity,
    /// Texts of `Warning` headers for a refusal; admission adds to them.
    pub(super) refusal_warnings: Mutex<Vec<String>>,
}

impl Call<'_> {
    /// Namespace of the object in the store; empty for cluster-scoped resources.
    pub(super) fn namespace(&self) -> &str {
        if self.resource.definition.namespaced { &self.info.namespace } else { "" }
    }

    /// The namespace that a collection request is limited to.
    pub(super) fn scope(&self) -> Option<&str> {
        Some(self.namespace()).filter(|namespace| !namespace.is_empty())
    }

    /// The only "namespace" of a cluster-scoped resource.
    pub(super) fn cluster_scope(&self) -> Option<&'static str> {
        (!self.resource.definition.namespaced).then_some("")
    }

    /// The named object.
    pub(super) fn find(&self) -> Option<Arc<Entry>> {
        self.server.store().get(&self.resource.key, self.namespace(), &self.info.name)
    }

    /// How Status errors name the resource.
    pub(super) fn group_resource(&self) -> GroupResource {
        GroupResource {
            group: self.resource.key.group.clone(),
            resource: self.resource.key.plural.clone(),
        }
    }

    /// The form of the answer.
    ///
    /// # Errors
    /// 406 when there is none that the client accepts.
    pub(super) fn accepted(&self) -> Result<Accepted, Box<Status>> {
        negotiate::negotiate(self.headers, self.resource.messages())
    }

    /// 404 for the named object.
    pub(super) fn not_found(&self) -> Box<Status> {
        Status::not_found(&self.group_resource(), &self.info.name)
    }
}

/// Answers a request.
pub(super) async fn handle(
    server: &ApiServer,
    info: &RequestInfo,
    asked: &Asked,
    request: Request<Body>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let identity = match admitted(server, &parts, info, asked) {
        Ok(identity) => identity,
        Err(status) if status.code == 403 => {
            return answer::unsniffed(answer::status_response(&status));
        }
        Err(status) => return answer::status_response(&status),
    };
    if !info.is_resource {
        return other(server, info, &parts);
    }
    let headers = &parts.headers;
    if let Some(review) = Review::of(info) {
        let answer = match negotiate::negotiate_whole(headers) {
            Ok(()) => reviews::respond(server, review, info, &identity, headers, body).await,
            Err(status) => Err(status),
        };
        return answer.unwrap_or_else(|status| answer::status_response(&status));
    }
    let is_read = matches!(parts.method, Method::GET | Method::HEAD);
    let (identity, raw_query) = (&identity, parts.uri.query());
    let call = |resource| {
        let refusal_warnings = Mutex::default();
        Call {
            server,
            resource,
            info,
            asked,
            headers,
            raw_query,
            is_read,
            identity,
            refusal_warnings,
        }
    };
    let pods = write::is_bindings(info).then(|| server.resolve("", "v1", "pods")).flatten();
    if let Some(resource) = pods {
        let answer = write::bind(&call(resource), body).await;
        return answer.unwrap_or_else(|status| answer::status_response(&status));
    }
    let resource = server.resolve(&info.group, &info.version, &info.resource);
    let unstored = || unstored::component_statuses(&server.resources(), info);
    let Some(resource) = resource.or_else(unstored) else {
        return unknown(server, info);
    };
    asked.note_resource(&resource.key);
    if let Some(objects) = resource.rules.bootstrap {
        bootstrap::ensure(server, &resource, objects);
    }
    let call = call(resource);
    let mut response = match dispatch(&call, body).await {
        Ok(response) => response,
        Err(status) => {
            let mut response = answer::status_response(&status);
            answer::warn(&mut response, &call.refusal_warnings.lock());
            response
        }
    };
    warn_of_age(&mut response, &call.resource);
    server.counters().answered(info, &call.resource, response.status().as_u16());
    response
}

/// Warns of a version that will go.
fn warn_of_age(response: &mut Response<Body>, resource: &Resource) {
    if resource.is("", "endpoints") {
        answer::warn(response, &[ENDPOINTS_DEPRECATED.to_owned()]);
    }
    if let Some(warning) = &resource.definition.serving.deprecation {
        answer::warn(response, &[warning.to_string()]);
    }
}

/// 404 for a resource that is not served. Groups of custom resources are unknown where they do not
/// serve the very resource.
fn unknown(server: &ApiServer, info: &RequestInfo) -> Response<Body> {
    if server.resources().has_built_in(&info.group) {
        answer::status_response(&Status::resource_not_served())
    } else {
        answer::not_found_page()
    }
}

/// Who sends a request, or is spoken for, and may. The sender is noted.
fn admitted(
    server: &ApiServer,
    parts: &Parts,
    info: &RequestInfo,
    asked: &Asked,
) -> Result<Identity, Box<Status>> {
    let attributes = Attributes::of(info);
    let sender = authentication::identify(server, parts);
    let user = sender.as_ref().map_or("", |sender| &sender.user);
    asked.note_client(server, &parts.headers, user, info);
    let sender = sender?;
    let identity = impersonation::effective(server, &parts.headers, &attributes, sender)?;
    authorization::require(server, &attributes, &identity)?;
    Ok(identity)
}

/// Answers what names no resource.
fn other(server: &ApiServer, info: &RequestInfo, parts: &Parts) -> Response<Body> {
    let headers = &parts.headers;
    let mut segments = info.path.trim_start_matches('/').split('/');
    match segments.next().unwrap_or_default() {
        "" | "api" | "apis" | "version" => discovery::respond(server, info, headers),
        "openapi" => openapi::respond(server, info, headers),
        "healthz" | "livez" | "readyz" => health::respond(server, info, headers),
        "debug" if info.path == clients::PATH => clients::respond(server),
        "metrics" if info.path == "/metrics" => metrics::respond(server),
        ".well-known" | "openid" => openid::respond(server, parts),
        _ => answer::not_found_page(),
    }
}

/// Answers a request for a resource.
pub(super) async fn dispatch(call: &Call<'_>, body: Body) -> Result<Response<Body>, Box<Status>> {
    let info = call.info;
    let definition = &call.resource.definition;
    let in_namespace = !info.namespace.is_empty();
    // A namespace is its own scope.
    let is_own_scope = call.resource.is("", "namespaces") && info.namespace == info.name;
    if definition.namespaced != in_namespace && !is_own_scope {
        // Collections of namespaced kinds can be read across namespaces, nothing else.
        let across = definition.namespaced && info.name.is_empty();
        match info.verb {
            "list" | "watch" if across => {}
            _ if !call.resource.is_built_in() => return Ok(answer::not_found_page()),
            _ if across => return Err(Status::method_not_allowed()),
            _ => return Err(Status::resource_not_served()),
        }
    }
    match info.subresource.as_str() {
        "" => Box::pin(main(call, body)).await,
        "status" if definition.subresources.status => match info.verb {
            "get" => read::get(call).await,
            "update" => Box::pin(write::update(call, write::Target::Status, body)).await,
            "patch" => Box::pin(write::patch(call, write::Target::Status, body)).await,
            verb => Err(unsupported(call, verb)),
        },
        "binding" if call.resource.is("", "pods") => match info.verb {
            "create" => Box::pin(write::bind(call, body)).await,
            verb => Err(unsupported(call, verb)),
        },
        "eviction" if call.resource.is("", "pods") => match info.verb {
            "create" => Box::pin(write::evict(call, body)).await,
            verb => Err(unsupported(call, verb)),
        },
        "log" if call.resource.is("", "pods") => match info.verb {
            "get" => kubelet::log(call),
            verb => Err(unsupported(call, verb)),
        },
        "proxy" if proxy::is_served(call) => proxy::respond(call).await,
        "attach" | "exec" | "portforward" if call.resource.is("", "pods") => match info.verb {
            "create" | "get" => Box::pin(kubelet::stream(call)).await,
            verb => Err(unsupported(call, verb)),
        },
        "ephemeralcontainers" if call.resource.is("", "pods") => {
            part(call, write::Target::EphemeralContainers, body).await
        }
        "resize" if call.resource.is("", "pods") => part(call, write::Target::Resize, body).await,
        "finalize" if call.resource.is("", "namespaces") => match info.verb {
            "update" => Box::pin(write::update(call, write::Target::Finalize, body)).await,
            verb => Err(unsupported(call, verb)),
        },
        "token" if call.resource.is("", "serviceaccounts") => match info.verb {
            "create" => Box::pin(token_request::create(call, body)).await,
            _ => Err(Status::method_not_allowed()),
        },
        "approval" if certificates::is_approval(&call.resource, info) => match info.verb {
            "get" => read::get(call).await,
            "update" => Box::pin(write::update(call, write::Target::Approval, body)).await,
            "patch" => Box::pin(write::patch(call, write::Target::Approval, body)).await,
            _ => Err(Status::method_not_allowed()),
        },
        "scale" if definition.subresources.scale.is_some() => match info.verb {
            "get" => scale::get(call).await,
            "update" => scale::update(call, body).await,
            "patch" => scale::patch(call, body).await,
            verb => Err(unsupported(call, verb)),
        },
        _ if !call.resource.is_built_in() => Err(call.not_found()),
        _ => Err(Status::resource_not_served()),
    }
}

/// Answers a request for a part of an object that is written as the object is.
async fn part(
    call: &Call<'_>,
    target: write::Target,
    body: Body,
) -> Result<Response<Body>, Box<Status>> {
    match call.info.verb {
        "get" => read::get(call).await,
        "update" => Box::pin(write::update(call, target, body)).await,
        "patch" => Box::pin(write::patch(call, target, body)).await,
        verb => Err(unsupported(call, verb)),
    }
}

/// Answers a request for objects themselves.
async fn main(call: &Call<'_>, body: Body) -> Result<Response<Body>, Box<Status>> {
    let named = !call.info.name.is_empty();
    if let Some(why) = unusable_segment(&call.info.name) {
        let name = &call.info.name;
        return Err(Status::bad_request(format!("Name parameter invalid: \"{name}\": {why}")));
    }
    if unstored::is_component_statuses(call) {
        return unstored::respond(call);
    }
    match (call.info.verb, named) {
        ("get", true) => read::get(call).await,
        ("list", false) => read::list(call).await.map_err(negotiate::offering_streams),
        ("watch", _) => watch::watch(call).await.map_err(negotiate::offering_streams),
        ("create", false) => Box::pin(write::create(call, body)).await,
        ("update", true) => Box::pin(write::update(call, write::Target::Main, body)).await,
        ("patch", true) => Box::pin(write::patch(call, write::Target::Main, body)).await,
        ("delete", true) => Box::pin(write::delete(call, body)).await,
        ("deletecollection", false) if !call.resource.is("", "namespaces") => {
            write::delete_collection(call, body).await
        }
        _ => Err(Status::method_not_allowed()),
    }
}

/// Why a name can stand in no path. (kubernetes 1.36: apimachinery/pkg/api/validation/path)
fn unusable_segment(name: &str) -> Option<&'static str> {
    match name {
        "." => Some("may not be '.'"),
        ".." => Some("may not be '..'"),
        _ if name.contains('%') => Some("may not contain '%'"),
        _ => None,
    }
}

/// 405 of a subresource: custom resources name the verb, built-in ones have no such route.
fn unsupported(call: &Call<'_>, verb: &str) -> Box<Status> {
    if call.resource.is_built_in() || verb.is_empty() {
        return Status::method_not_allowed();
    }
    Status::method_not_supported(&call.group_resource(), verb)
}
