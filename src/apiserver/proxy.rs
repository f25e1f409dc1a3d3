//! Requests that kube-apiserver would pass on: `nodes/proxy`, `pods/proxy`, `services/proxy`.
//!
//! They are authorized, pass admission, and their target is looked up as upstream does it. Then they
//! fail where the connection would: nobody listens at the addresses of Nodes and Pods that are not
//! there, and no connection is made to an address out of a request or an object.
//! (kubernetes 1.36: pkg/registry/core/{node,pod,service}, ResourceLocation;
//! apimachinery/pkg/util/proxy)

use std::net::IpAddr;

use axum::body::Body;
use http::header::{HeaderValue, LOCATION};
use http::{Response, StatusCode};
use serde_json::Value;

use super::admission::subresources;
use super::kubelet;
use super::request::{RequestInfo, unescape};
use super::route::Call;
use super::upgrade;
use crate::machinery::gvk::GroupResource;
use crate::machinery::status::Status;
use crate::store::ResourceKey;

/// Whether the objects of a resource can be reached through the server.
pub(super) fn is_served(call: &Call<'_>) -> bool {
    ["nodes", "pods", "services"].iter().any(|plural| call.resource.is("", plural))
}

/// Answers a request that is to be passed on.
///
/// # Errors
/// What admission refuses; 400 for a target that has no address; 404 without it; 503 because
/// nobody answers there, or 500 where the connection was to be upgraded.
pub(super) async fn respond(call: &Call<'_>) -> Result<Response<Body>, Box<Status>> {
    subresources::connected(call).await?;
    let address = match &*call.resource.key.plural {
        "nodes" => node(call)?,
        "pods" => pod(call)?,
        _ => service(call)?,
    };
    let refused = format!("dial tcp {address}: connect: connection refused");
    if upgrade::is_wanted(call.headers) {
        return Err(Status::unknown(format!("error dialing backend: {refused}")));
    }
    if path(call.info).is_empty() && call.is_read {
        return Ok(redirected(call));
    }
    Err(Status::service_unavailable(format!("error trying to reach service: {refused}")))
}

/// The path that the target would see, decoded; it begins with a slash unless it is empty.
pub(super) fn path(info: &RequestInfo) -> String {
    let decoded = unescape(&info.path).unwrap_or_default();
    let before = if info.namespace.is_empty() { 5 } else { 7 };
    let segments: Vec<&str> = decoded.trim_matches('/').split('/').collect();
    let mut path = segments.get(before..).unwrap_or_default().join("/");
    if !path.is_empty() {
        path.insert(0, '/');
    }
    if decoded.ends_with('/') && !path.ends_with('/') {
        path.push('/');
    }
    path
}

/// The root of a target has a slash.
fn redirected(call: &Call<'_>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    let query = call.raw_query.map_or_else(String::new, |query| format!("?{query}"));
    if let Ok(location) = HeaderValue::try_from(format!("{}/{query}", call.info.path)) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// `NAME`, `NAME:PORT` or `SCHEME:NAME:PORT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Target<'a> {
    is_tls: bool,
    name: &'a str,
    /// Number or name; may be empty.
    port: &'a str,
}

impl<'a> Target<'a> {
    /// (kubernetes 1.36: apimachinery/pkg/util/net/port_split.go)
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(':');
        let parts = [parts.next(), parts.next(), parts.next(), parts.next()];
        let (scheme, name, port) = match parts {
            [Some(name), None, ..] => ("", name, ""),
            [Some(name), Some(port), None, _] => ("", name, port),
            [Some(scheme), Some(name), Some(port), None] => (scheme, name, port),
            _ => return None,
        };
        let is_valid = !name.is_empty() && matches!(scheme, "" | "http" | "https");
        is_valid.then_some(Self { is_tls: scheme == "https", name, port })
    }

    fn of(call: &'a Call<'_>, kind: &str) -> Result<Self, Box<Status>> {
        let name = &call.info.name;
        let refused = || Status::bad_request(format!("invalid {kind} request {name:?}"));
        Self::parse(name).ok_or_else(refused)
    }

    /// The address to dial at a host.
    fn at(&self, host: &str, port: &str) -> String {
        let port = match (port, self.is_tls) {
            ("", true) => "443",
            ("", false) => "80",
            (port, _) => port,
        };
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

fn node(call: &Call<'_>) -> Result<String, Box<Status>> {
    let target = Target::of(call, "node")?;
    let kubelet = kubelet::address(call, target.name)?;
    let Some((host, port)) = kubelet.rsplit_once(':') else { return Ok(kubelet) };
    if target.port.is_empty() || target.port == port {
        return Ok(kubelet);
    }
    if host.parse::<IpAddr>().is_ok_and(|address| !is_global(address)) {
        return Err(Status::bad_request("address not allowed"));
    }
    Ok(target.at(host, target.port))
}

fn pod(call: &Call<'_>) -> Result<String, Box<Status>> {
    let target = Target::of(call, "pod")?;
    let pod = object(call, "pods", target.name)?;
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let mut ports = containers.filter_map(|container| container["ports"][0].get("containerPort"));
    let port = match target.port {
        "" => ports.next().map(Value::to_string).unwrap_or_default(),
        port => port.to_owned(),
    };
    let ip = addresses(&pod).next().filter(|ip| ip.parse().is_ok_and(is_global));
    let ip = ip.ok_or_else(|| Status::bad_request("address not allowed"))?;
    Ok(target.at(ip, &port))
}

fn service(call: &Call<'_>) -> Result<String, Box<Status>> {
    let target = Target::of(call, "service")?;
    let name = target.name;
    let mut port = target.port.to_owned();
    if let Ok(number) = target.port.parse::<i64>() {
        let service = object(call, "services", name)?;
        let ports = service["spec"]["ports"].as_array().into_iter().flatten();
        let found = ports.into_iter().find(|port| port["port"].as_i64() == Some(number));
        let Some(found) = found else {
            let why = format!("no service port {number} found for service {name:?}");
            return Err(Status::service_unavailable(why));
        };
        port = found["name"].as_str().unwrap_or_default().to_owned();
    }
    let nobody = |id: &str| {
        Status::service_unavailable(format!("no endpoints available for service {id:?}"))
    };
    let endpoints = match object(call, "endpoints", name) {
        Ok(endpoints) => endpoints,
        // kube-controller-manager has empty Endpoints for every Service that selects Pods.
        Err(status) => {
            let service = object(call, "services", name).unwrap_or_default();
            let selects = service["spec"]["selector"].as_object().is_some_and(|it| !it.is_empty());
            return Err(if selects { nobody(name) } else { status });
        }
    };
    let subsets = endpoints["subsets"].as_array().map(Vec::as_slice).unwrap_or_default();
    if subsets.is_empty() {
        return Err(nobody(name));
    }
    for subset in subsets {
        let addresses = subset["addresses"].as_array().into_iter().flatten();
        let Some(ip) = addresses.into_iter().find_map(|it| pod_address(call, it)) else { continue };
        let ports = subset["ports"].as_array().into_iter().flatten();
        let mut named =
            ports.into_iter().filter(|it| it["name"].as_str().unwrap_or_default() == port);
        if let Some(found) = named.next() {
            return Ok(target.at(ip, &found["port"].to_string()));
        }
    }
    Err(nobody(&call.info.name))
}

/// The address of an endpoint, if it is that of a Pod in the request's namespace.
/// (kubernetes 1.36: pkg/registry/core/service/storage/storage.go, isValidAddress)
fn pod_address<'a>(call: &Call<'_>, address: &'a Value) -> Option<&'a str> {
    let (ip, target) = (address["ip"].as_str()?, address.get("targetRef")?);
    if target["namespace"].as_str() != Some(call.namespace()) {
        return None;
    }
    let pod = object(call, "pods", target["name"].as_str()?).ok()?;
    addresses(&pod).any(|it| it == ip).then_some(ip)
}

/// The addresses of a Pod, the first one first.
fn addresses(pod: &Value) -> impl Iterator<Item = &str> {
    let status = &pod["status"];
    let all = status["podIPs"].as_array().filter(|it| !it.is_empty());
    let only = if all.is_none() { status["podIP"].as_str() } else { None };
    all.into_iter().flatten().filter_map(|it| it["ip"].as_str()).chain(only)
}

/// An object of the core group, in the request's namespace.
fn object(call: &Call<'_>, plural: &str, name: &str) -> Result<Value, Box<Status>> {
    let key = ResourceKey { group: "".into(), plural: plural.into() };
    let entry = call.server.store().get(&key, call.namespace(), name);
    let entry = entry.ok_or_else(|| Status::not_found(&GroupResource::new("", plural), name))?;
    super::write::decode(&entry)
}

/// (Go: net.IP.IsGlobalUnicast)
fn is_global(address: IpAddr) -> bool {
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !(is_link_local || address.is_unspecified() || address.is_loopback() || address.is_multicast())
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn targets_name_scheme_and_port() {
        let target = |is_tls, name, port| Some(Target { is_tls, name, port });
        assert_eq!(Target::parse("a"), target(false, "a", ""));
        assert_eq!(Target::parse("a:80"), target(false, "a", "80"));
        assert_eq!(Target::parse("https:a:"), target(true, "a", ""));
        assert_eq!(Target::parse("http:a:web"), target(false, "a", "web"));
        for refused in ["", ":80", "ftp:a:1", "a:b:c:d", "https::1"] {
            assert_eq!(Target::parse(refused), None, "{refused}");
        }
        assert_eq!(Target::parse("https:a:").unwrap().at("fd00::1", ""), "[fd00::1]:443");
    }

    #[test]
    fn paths_behind_the_proxy_keep_their_slashes() {
        let path_of =
            |uri: &str| path(&RequestInfo::parse(&Method::GET, &uri.parse().unwrap()).unwrap());
        let service = "/api/v1/namespaces/a/services/s/proxy";
        assert_eq!(path_of(service), "");
        assert_eq!(path_of(&format!("{service}/")), "/");
        assert_eq!(path_of(&format!("{service}/a/b%20c/")), "/a/b c/");
        assert_eq!(path_of("/api/v1/nodes/n/proxy/metrics"), "/metrics");
    }
}
