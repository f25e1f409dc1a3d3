//! TokenRequests: tokens of service accounts that end, for named audiences, bound to an object if
//! that is wanted. (kubernetes 1.36: pkg/registry/core/serviceaccount/storage/token.go)

use axum::body::Body;
use http::Response;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::service_accounts::{Grant, Reference};
use super::{jwt, objects};
use crate::apiserver::admission::subresources;
use crate::apiserver::options::WriteOptions;
use crate::apiserver::reviews::own;
use crate::apiserver::route::Call;
use crate::apiserver::{answer, body, random};
use crate::machinery::gvk::{GroupResource, GroupVersionKind};
use crate::machinery::status::{Cause, Status};

const GROUP: &str = "authentication.k8s.io";
const API_VERSION: &str = "authentication.k8s.io/v1";
const KIND: &str = "TokenRequest";

const LIFETIME_DEFAULT: i64 = 3600;
const LIFETIME_MIN: i64 = 600;
const LIFETIME_MAX: i64 = 1 << 32;
/// The lifetime that kubelets ask for: such tokens of Pods live for a year, and only use of them
/// after this time is frowned upon. (pkg/serviceaccount/claims.go)
const KUBELET_LIFETIME: i64 = 3607;
const EXTENDED_LIFETIME: i64 = 365 * 24 * 3600;

/// Answers the creation of a token for the named service account.
///
/// # Errors
/// 404 for an account or object that is not there, 422 for lifetimes that are too short or too
/// long, 400 for objects that no token can be bound to, 409 for one with another uid.
pub(in crate::apiserver) async fn create(
    call: &Call<'_>,
    body: Body,
) -> Result<Response<Body>, Box<Status>> {
    let bytes = body::read(body).await?;
    let mut request = body::decode(call.headers, &bytes, KIND)?.value;
    normalise(&mut request)?;
    let kind = GroupVersionKind::new(GROUP, "v1", KIND);
    let given = (request, WriteOptions::parse(call.info, "CreateOptions")?.dry_run);
    let mut warnings = Vec::new();
    let mut request = subresources::created(call, &kind, given, &mut warnings).await?;
    normalise(&mut request)?;
    check_place(call, &request)?;
    let account = objects::find(call.server, "serviceaccounts", call.namespace(), &call.info.name)
        .ok_or_else(|| call.not_found())?;
    let now = call.server.clock().now();
    complete(call, &mut request, now);
    check_lifetime(&request)?;
    let token = sign(call, &request, &account, now)?;
    let lifetime = SignedDuration::from_secs(lifetime(&request));
    let end = now.checked_add(lifetime).unwrap_or(Timestamp::MAX);
    request["status"] = json!({"token": token, "expirationTimestamp": format!("{end:.0}")});
    let mut response = answer::negotiable(201, request.to_string());
    answer::warn(&mut response, &warnings);
    Ok(response)
}

/// Fills in what decoding fills in.
fn normalise(request: &mut Value) -> Result<(), Box<Status>> {
    let wrong = || Status::bad_request(format!("the body must be a {KIND}"));
    let members = request.as_object_mut().ok_or_else(wrong)?;
    if members.get("kind").is_some_and(|kind| !kind.is_null() && kind != KIND) {
        return Err(wrong());
    }
    members.insert("kind".to_owned(), KIND.into());
    members.insert("apiVersion".to_owned(), API_VERSION.into());
    members.remove("status");
    for field in ["metadata", "spec"] {
        if !members.get(field).is_some_and(Value::is_object) {
            members.insert(field.to_owned(), json!({}));
        }
    }
    let spec = &mut request["spec"];
    if spec["expirationSeconds"].is_null() {
        spec["expirationSeconds"] = LIFETIME_DEFAULT.into();
    }
    Ok(())
}

/// Name and namespace in the body, if there are any, are those of the path.
fn check_place(call: &Call<'_>, request: &Value) -> Result<(), Box<Status>> {
    let places = [("name", call.info.name.as_str()), ("namespace", call.namespace())];
    for (field, wanted) in places {
        let given = objects::text(request, &format!("/metadata/{field}"));
        if !given.is_empty() && given != wanted {
            let why = format!("must match the service account {field} if specified");
            let cause = Cause::invalid(format!("metadata.{field}"), &given.into(), &why);
            return Err(Status::invalid(GROUP, KIND, &call.info.name, vec![cause]));
        }
    }
    Ok(())
}

/// Fills in what the server knows.
fn complete(call: &Call<'_>, request: &mut Value, now: Timestamp) {
    let time = format!("{now:.0}");
    own(request, call.info, call.headers, (API_VERSION, KIND, &time));
    request["metadata"]["name"] = call.info.name.as_str().into();
    request["metadata"]["namespace"] = call.namespace().into();
    request["metadata"]["creationTimestamp"] = time.into();
    let spec = &mut request["spec"];
    if spec["audiences"].as_array().is_none_or(Vec::is_empty) {
        spec["audiences"] = json!(call.server.access().audiences);
    }
    if spec["boundObjectRef"].is_null() {
        spec["boundObjectRef"] = Value::Null;
    }
}

fn lifetime(request: &Value) -> i64 {
    request["spec"]["expirationSeconds"].as_i64().unwrap_or(0)
}

fn check_lifetime(request: &Value) -> Result<(), Box<Status>> {
    let seconds = lifetime(request);
    let why = if seconds < LIFETIME_MIN {
        "may not specify a duration less than 10 minutes"
    } else if seconds > LIFETIME_MAX {
        "may not specify a duration larger than 2^32 seconds"
    } else {
        return Ok(());
    };
    let cause = Cause::invalid("spec.expirationSeconds", &seconds.into(), why);
    Err(Status::invalid(GROUP, KIND, "", vec![cause]))
}

/// Name and uid of an object.
#[derive(Debug)]
struct Owned(String, String);

impl Owned {
    fn borrow(&self) -> Reference<'_> {
        Reference { name: &self.0, uid: &self.1 }
    }
}

/// What a token is bound to.
#[derive(Debug, Default)]
struct Bound {
    pod: Option<Owned>,
    secret: Option<Owned>,
    node: Option<Owned>,
}

fn sign(
    call: &Call<'_>,
    request: &Value,
    account: &Value,
    now: Timestamp,
) -> Result<String, Box<Status>> {
    let access = call.server.access();
    let bound = bind(call, &request["spec"]["boundObjectRef"])?;
    let audiences = request["spec"]["audiences"].as_array().into_iter().flatten();
    let audiences: Vec<String> =
        audiences.filter_map(|name| name.as_str().map(str::to_owned)).collect();
    let asked = lifetime(request);
    let is_extended = bound.pod.is_some()
        && asked == KUBELET_LIFETIME
        && audiences.iter().all(|name| access.audiences.contains(name));
    let (lifetime_s, warn_after_s) =
        if is_extended { (EXTENDED_LIFETIME, Some(asked)) } else { (asked, None) };
    let id = random::uid();
    let grant = Grant {
        issuer: &access.issuer,
        audiences: &audiences,
        namespace: call.namespace(),
        account: Reference { name: &call.info.name, uid: objects::text(account, "/metadata/uid") },
        pod: bound.pod.as_ref().map(Owned::borrow),
        secret: bound.secret.as_ref().map(Owned::borrow),
        node: bound.node.as_ref().map(Owned::borrow),
        now: now.as_second(),
        lifetime_s,
        warn_after_s,
        id: &id,
    };
    let key = call.server.token_keys().signing(access).map_err(Status::internal)?;
    jwt::sign(&key, &grant.claims()).map_err(Status::internal)
}

/// Looks up the object that a token is to be bound to.
fn bind(call: &Call<'_>, reference: &Value) -> Result<Bound, Box<Status>> {
    if reference.is_null() {
        return Ok(Bound::default());
    }
    let text = |field: &str| reference[field].as_str().unwrap_or_default();
    let (kind, name) = (text("kind"), text("name"));
    let (plural, namespace) = match (text("apiVersion"), kind) {
        ("v1" | "", "Pod") => ("pods", call.namespace()),
        ("v1" | "", "Secret") => ("secrets", call.namespace()),
        ("v1" | "", "Node") => ("nodes", ""),
        (api_version, kind) => {
            return Err(Status::bad_request(format!(
                "cannot bind token to object of type {api_version}, Kind={kind}"
            )));
        }
    };
    let Some(object) = objects::find(call.server, plural, namespace, name) else {
        return Err(Status::not_found(&GroupResource::new("", plural), name));
    };
    let account = &call.info.name;
    if kind == "Pod" && objects::text(&object, "/spec/serviceAccountName") != account {
        return Err(Status::bad_request(format!(
            "cannot bind token for serviceaccount \"{account}\" to pod running with different \
             serviceaccount name."
        )));
    }
    let uid = objects::text(&object, "/metadata/uid").to_owned();
    if !text("uid").is_empty() && text("uid") != uid {
        let because = format!(
            "the UID in the bound object reference ({}) does not match the UID in record. The \
             object might have been deleted and then recreated",
            text("uid")
        );
        return Err(Status::conflict_because(&GroupResource::new("", kind), name, &because));
    }
    let mut bound = Bound::default();
    let found = Some(Owned(name.to_owned(), uid));
    match kind {
        "Pod" => {
            bound.pod = found;
            bound.node = node_of(call, objects::text(&object, "/spec/nodeName"));
        }
        "Secret" => bound.secret = found,
        _ => bound.node = found,
    }
    Ok(bound)
}

/// The Node that a Pod is on, by its name alone if it is not there.
fn node_of(call: &Call<'_>, name: &str) -> Option<Owned> {
    if name.is_empty() {
        return None;
    }
    let node = objects::find(call.server, "nodes", "", name);
    let uid = node.map(|node| objects::text(&node, "/metadata/uid").to_owned());
    Some(Owned(name.to_owned(), uid.unwrap_or_default()))
}
