//! Reviews: questions that are asked by a create and stored nowhere. Who am I, may I, may they,
//! whose token is this. (kubernetes 1.36: pkg/registry/{authentication,authorization})

use axum::body::Body;
use http::{HeaderMap, Response};
use serde_json::{Map, Value, json};

use super::authentication::AUTHENTICATED;
use super::authorization::{self, SELF_REVIEWS};
use super::{ApiServer, Identity, RequestInfo, answer, body};
use crate::machinery::builtin;
use crate::machinery::managed_fields::{self, Writer};
use crate::machinery::schema;
use crate::machinery::status::{Cause, Status};

const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";

/// A kind of review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Review {
    /// SelfSubjectReview: who sends this.
    Myself,
    /// TokenReview: whose token this is.
    Token,
    /// SelfSubjectAccessReview: whether the sender may do something.
    MyAccess,
    /// SubjectAccessReview and its namespaced form: whether somebody may do something.
    Access,
    /// SelfSubjectRulesReview: what the sender may do.
    MyRules,
}

impl Review {
    /// The review that a request's resource is.
    pub(super) fn of(info: &RequestInfo) -> Option<Self> {
        if info.version != "v1" || !info.name.is_empty() {
            return None;
        }
        Some(match (info.group.as_str(), info.resource.as_str()) {
            (AUTHENTICATION, "selfsubjectreviews") => Self::Myself,
            (AUTHENTICATION, "tokenreviews") => Self::Token,
            (AUTHORIZATION, "selfsubjectaccessreviews") => Self::MyAccess,
            (AUTHORIZATION, "subjectaccessreviews" | "localsubjectaccessreviews") => Self::Access,
            (AUTHORIZATION, "selfsubjectrulesreviews") => Self::MyRules,
            _ => return None,
        })
    }

    fn kind(self, info: &RequestInfo) -> &'static str {
        match self {
            Self::Myself => "SelfSubjectReview",
            Self::Token => "TokenReview",
            Self::MyAccess => "SelfSubjectAccessReview",
            Self::Access if info.resource.starts_with("local") => "LocalSubjectAccessReview",
            Self::Access => "SubjectAccessReview",
            Self::MyRules => "SelfSubjectRulesReview",
        }
    }
}

/// Answers a review.
///
/// # Errors
/// 405 for other verbs than create, 400 for a body that is no review, 422 for questions that lack
/// what they are about.
pub(super) async fn respond(
    server: &ApiServer,
    review: Review,
    info: &RequestInfo,
    identity: &Identity,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response<Body>, Box<Status>> {
    if info.verb != "create" {
        return Err(Status::method_not_allowed());
    }
    let kind = review.kind(info);
    let bytes = body::read(body).await?;
    let mut object = body::decode(headers, &bytes, kind)?.value;
    let Some(members) = object.as_object_mut() else {
        return Err(Status::bad_request(format!("the body must be a {kind}")));
    };
    if members.get("kind").is_some_and(|given| !given.is_null() && given != kind) {
        return Err(Status::bad_request(format!("the body must be a {kind}")));
    }
    let api_version = format!("{}/{}", info.group, info.version);
    members.insert("kind".to_owned(), kind.into());
    members.insert("apiVersion".to_owned(), api_version.as_str().into());
    members.remove("status");
    let now = format!("{:.0}", server.clock().now());
    let metadata = members.entry("metadata").or_insert_with(|| json!({}));
    if !metadata.is_object() {
        *metadata = json!({});
    }
    if !info.namespace.is_empty() {
        metadata["namespace"] = info.namespace.as_str().into();
    }
    own(&mut object, info, headers, (&api_version, kind, &now));
    let status = match review {
        Review::Myself => {
            object["metadata"]["creationTimestamp"] = now.into();
            json!({"userInfo": user_info(identity)})
        }
        Review::Token => token(&object["spec"])?,
        Review::MyAccess => access(&object["spec"], identity)?,
        Review::Access => {
            let asked = subject(&object["spec"], info)?;
            access(&object["spec"], &asked)?
        }
        Review::MyRules => {
            if object["spec"]["namespace"].as_str().unwrap_or_default().is_empty() {
                return Err(Status::bad_request("no namespace on request"));
            }
            object["spec"] = json!({});
            if let Some(metadata) = object["metadata"].as_object_mut() {
                metadata.remove("managedFields");
            }
            rules(identity)
        }
    };
    object["status"] = status;
    Ok(answer::json_response(201, object.to_string()))
}

/// Drops what the kind does not have, and records the owner as any create does.
fn own(
    object: &mut Value,
    info: &RequestInfo,
    headers: &HeaderMap,
    (api_version, kind, now): (&str, &str, &str),
) {
    let package = info.group.split('.').next().unwrap_or_default();
    let Some(shape) = builtin::shape(&format!("io.k8s.api.{package}.v1.{kind}")) else { return };
    schema::prune(shape, object);
    let agent = headers.get(http::header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let program = agent.and_then(|agent| agent.split('/').next()).unwrap_or_default();
    let manager = Some(info.text("fieldManager")).filter(|manager| !manager.is_empty());
    let writer = Writer { manager: manager.unwrap_or(program), subresource: "", api_version, now };
    managed_fields::update(&Value::Null, object, &writer, shape.root());
    if let Some(metadata) = object["metadata"].as_object_mut()
        && metadata.get("managedFields").is_some_and(|list| *list == json!([]))
    {
        metadata.remove("managedFields");
    }
}

fn user_info(identity: &Identity) -> Value {
    let groups: Vec<&str> = identity.groups.iter().map(|group| &**group).collect();
    json!({"username": &*identity.user, "groups": groups})
}

/// There are no tokens that hold.
fn token(spec: &Value) -> Result<Value, Box<Status>> {
    if spec["token"].as_str().unwrap_or_default().is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    Ok(json!({"user": {}, "error": "invalid bearer token"}))
}

/// The identity that an access review asks about.
fn subject(spec: &Value, info: &RequestInfo) -> Result<Identity, Box<Status>> {
    let user = spec["user"].as_str().unwrap_or_default();
    let groups = spec["groups"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let groups: Vec<_> = groups.map(Into::into).collect();
    if user.is_empty() && groups.is_empty() {
        let why = "at least one of user or group must be specified";
        return Err(invalid(Cause::invalid("spec.user", &"".into(), why)));
    }
    let asked = spec["resourceAttributes"]["namespace"].as_str().unwrap_or_default();
    if !info.namespace.is_empty() && asked != info.namespace {
        let field = "spec.resourceAttributes.namespace";
        return Err(invalid(Cause::invalid(field, &asked.into(), "must match metadata.namespace")));
    }
    Ok(Identity { user: user.into(), groups })
}

fn invalid(cause: Cause) -> Box<Status> {
    let mut status = Status::invalid(AUTHORIZATION, "", "", vec![cause]);
    // The kind is empty here, which kube-apiserver shows as a leading dot.
    let text = status.message.find(" \"\" is invalid").map(|at| status.message.split_off(at));
    if let Some(text) = text {
        status.message = format!(".{AUTHORIZATION}{text}");
    }
    status
}

/// Whether an identity may do what the spec describes.
fn access(spec: &Value, identity: &Identity) -> Result<Value, Box<Status>> {
    let (resource, other) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    if resource.is_null() == other.is_null() {
        let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        let shown = if resource.is_null() { Value::Null } else { other.clone() };
        return Err(invalid(Cause::invalid("spec.resourceAttributes", &shown, why)));
    }
    let text =
        |attributes: &Value, name: &str| attributes[name].as_str().unwrap_or_default().to_owned();
    let attributes = if resource.is_null() { other } else { resource };
    let info = RequestInfo {
        is_resource: other.is_null(),
        path: text(other, "path"),
        // Verbs that no request has are granted to nobody but those who may do everything.
        verb: VERBS.iter().find(|verb| attributes["verb"] == **verb).copied().unwrap_or(""),
        group: text(resource, "group"),
        version: text(resource, "version"),
        resource: text(resource, "resource"),
        subresource: text(resource, "subresource"),
        namespace: text(resource, "namespace"),
        name: text(resource, "name"),
        query: Vec::new(),
    };
    Ok(json!({"allowed": authorization::authorize(&info, identity).is_ok()}))
}

const VERBS: [&str; 9] =
    ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "post"];

/// What an identity may do, as rules.
fn rules(identity: &Identity) -> Value {
    let is_member = |name: &str| identity.groups.iter().any(|group| &**group == name);
    if is_member(authorization::MASTERS) {
        return json!({
            "incomplete": false,
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        });
    }
    let mut paths: Vec<String> =
        authorization::PUBLIC_PATHS.iter().map(|path| (*path).to_owned()).collect();
    let mut resources = Vec::new();
    if is_member(AUTHENTICATED) {
        for path in authorization::DISCOVERY_PATHS {
            paths.extend([(*path).to_owned(), format!("{path}/*")]);
        }
        for (group, resource) in SELF_REVIEWS {
            let mut rule = Map::new();
            rule.insert("verbs".to_owned(), json!(["create"]));
            rule.insert("apiGroups".to_owned(), json!([group]));
            rule.insert("resources".to_owned(), json!([resource]));
            resources.push(Value::Object(rule));
        }
    }
    json!({
        "incomplete": false,
        "resourceRules": resources,
        "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": paths}],
    })
}
