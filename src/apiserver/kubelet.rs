//! What kube-apiserver asks kubelets: logs, and streams into containers. Where a server has no
//! kubelets, requests fail where the connection to one would.
//! (kubernetes 1.36: pkg/registry/core/pod/strategy.go, LogLocation, streamLocation)

use axum::body::Body;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use serde_json::Value;

use super::admission::subresources;
use super::kubelets::{LogRequest, PodOnNode};
use super::route::Call;
use super::{answer, portforward};
use crate::machinery::gvk::GroupResource;
use crate::machinery::status::{Cause, Status};
use crate::store::ResourceKey;

const PORT: u16 = 10_250;

/// Answers a request for a pod's log.
///
/// # Errors
/// 404 without pod or node, 400 for a container that is not the pod's, 500 because nobody listens.
pub(super) fn log(call: &Call<'_>) -> Result<Response<Body>, Box<Status>> {
    check_log_options(call)?;
    let pod = pod(call)?;
    let container = container(call, &pod)?;
    let Some(node) = node_of(&pod) else {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        return Ok(response);
    };
    let (namespace, name) = (call.namespace(), &call.info.name);
    if let Some(kubelets) = &call.server.options().kubelets {
        let on_node = PodOnNode { namespace, name, node, object: &pod };
        let request = log_request(call, container);
        let body = kubelets.log(on_node, &request)?;
        let mut response = Response::new(body);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        return Ok(response);
    }
    let address = address(call, node)?;
    let url = format!("https://{address}/containerLogs/{namespace}/{name}/{container}");
    let message = format!("Get {url:?}: dial tcp {address}: connect: connection refused");
    Ok(answer::status_response(&Status::unknown(message)))
}

/// (kubernetes 1.36: pkg/apis/core/validation, ValidatePodLogOptions)
fn check_log_options(call: &Call<'_>) -> Result<(), Box<Status>> {
    let number = |name: &str| call.info.text(name).parse::<i64>().ok();
    let mut causes = Vec::new();
    if let Some(lines) = number("tailLines").filter(|lines| *lines < 0) {
        let why = "must be greater than or equal to 0";
        causes.push(Cause::invalid("tailLines", &lines.into(), why));
    }
    let positive = "must be greater than 0";
    if let Some(bytes) = number("limitBytes").filter(|bytes| *bytes < 1) {
        causes.push(Cause::invalid("limitBytes", &bytes.into(), positive));
    }
    if let Some(seconds) = number("sinceSeconds") {
        if !call.info.text("sinceTime").is_empty() {
            let why = "at most one of `sinceTime` or `sinceSeconds` may be specified";
            causes.push(Cause::forbidden("", why));
        } else if seconds < 1 {
            causes.push(Cause::invalid("sinceSeconds", &seconds.into(), positive));
        }
    }
    match causes.is_empty() {
        true => Ok(()),
        false => Err(Status::invalid("", "PodLogOptions", &call.info.name, causes)),
    }
}

fn log_request(call: &Call<'_>, container: &str) -> LogRequest {
    let number = |name: &str| call.info.text(name).parse().ok();
    let is_set = |name: &str| matches!(call.info.text(name), "true" | "1");
    let since_time = call.info.text("sinceTime");
    LogRequest {
        container: container.to_owned(),
        follow: is_set("follow"),
        previous: is_set("previous"),
        since_seconds: number("sinceSeconds"),
        since_time: (!since_time.is_empty()).then(|| since_time.to_owned()),
        timestamps: is_set("timestamps"),
        tail_lines: number("tailLines"),
        limit_bytes: number("limitBytes"),
    }
}

/// Answers a request for a stream: exec, attach, port forwarding. Only ports can be reached.
///
/// # Errors
/// As for logs; what admission refuses; 400 for a pod that runs nowhere.
pub(super) async fn stream(call: &Call<'_>) -> Result<Response<Body>, Box<Status>> {
    subresources::connected(call).await?;
    let pod = pod(call)?;
    if call.info.subresource != "portforward" {
        container(call, &pod)?;
    }
    let Some(node) = node_of(&pod) else {
        let name = &call.info.name;
        return Err(Status::bad_request(format!("pod {name} does not have a host assigned")));
    };
    if call.info.subresource == "portforward"
        && let Some(kubelets) = &call.server.options().kubelets
    {
        return portforward::respond(call, kubelets, node, &pod);
    }
    let address = address(call, node)?;
    let message = format!("error dialing backend: dial tcp {address}: connect: connection refused");
    Err(Status::unknown(message))
}

fn pod(call: &Call<'_>) -> Result<Value, Box<Status>> {
    let entry = call.find().ok_or_else(|| call.not_found())?;
    serde_json::from_slice(&entry.raw)
        .map_err(|error| Status::internal(format!("a stored object is malformed: {error}")))
}

fn node_of(pod: &Value) -> Option<&str> {
    pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty())
}

fn names<'a>(pod: &'a Value, list: &str) -> Vec<&'a str> {
    let list = pod["spec"][list].as_array().into_iter().flatten();
    list.filter_map(|container| container["name"].as_str()).collect()
}

/// The container that is meant.
fn container<'a>(call: &'a Call<'_>, pod: &'a Value) -> Result<&'a str, Box<Status>> {
    let wanted = call.info.text("container");
    let (regular, init) = (names(pod, "containers"), names(pod, "initContainers"));
    let name = &call.info.name;
    if wanted.is_empty() {
        if let [only] = regular[..]
            && init.is_empty()
        {
            return Ok(only);
        }
        if regular.len() == 1 {
            return Ok(regular[0]);
        }
        let mut message = format!(
            "a container name must be specified for pod {name}, choose one of: [{}]",
            regular.join(" ")
        );
        if !init.is_empty() {
            message.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
        }
        return Err(Status::bad_request(message));
    }
    let ephemeral = names(pod, "ephemeralContainers");
    if [&regular, &init, &ephemeral].iter().any(|list| list.contains(&wanted)) {
        return Ok(wanted);
    }
    Err(Status::bad_request(format!("container {wanted} is not valid for pod {name}")))
}

/// Where the kubelet of a node would listen.
///
/// # Errors
/// 404 without the node, 500 if it has no address.
pub(super) fn address(call: &Call<'_>, node: &str) -> Result<String, Box<Status>> {
    let nodes = ResourceKey { group: "".into(), plural: "nodes".into() };
    let Some(entry) = call.server.store().get(&nodes, "", node) else {
        return Err(Status::not_found(&GroupResource::new("", "nodes"), node));
    };
    let node: Value = serde_json::from_slice(&entry.raw).unwrap_or_default();
    let addresses = node["status"]["addresses"].as_array().into_iter().flatten();
    let addresses: Vec<&Value> = addresses.collect();
    let kinds = ["Hostname", "InternalDNS", "InternalIP", "ExternalDNS", "ExternalIP"];
    let preferred = kinds.iter().find_map(|kind| addresses.iter().find(|it| it["type"] == *kind));
    match preferred.and_then(|address| address["address"].as_str()) {
        Some(address) => Ok(format!("{address}:{PORT}")),
        None => Err(Status::unknown("no preferred addresses found; known addresses: []")),
    }
}
