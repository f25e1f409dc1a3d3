//! Reviews: questions that are asked by a create and stored nowhere. Who am I, may I, may they,
//! whose token is this. (kubernetes 1.36: pkg/registry/{authentication,authorization})

mod access;
mod rules;

use axum::body::Body;
use http::{HeaderMap, Response};
use serde_json::{Value, json};

use super::authentication::{self, Identity};
use super::{ApiServer, RequestInfo, answer, body};
use crate::machinery::builtin;
use crate::machinery::gvk;
use crate::machinery::managed_fields::{self, Writer};
use crate::machinery::schema;
use crate::machinery::status::Status;

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
            json!({"userInfo": identity.to_user_info()})
        }
        Review::Token => token(server, &object["spec"])?,
        Review::MyAccess => {
            access::check(&object)?;
            access::review(server, &object["spec"], identity)
        }
        Review::Access => {
            access::check(&object)?;
            access::review(server, &object["spec"], &access::subject(&object["spec"]))
        }
        Review::MyRules => {
            let namespace = object["spec"]["namespace"].as_str().unwrap_or_default().to_owned();
            if namespace.is_empty() {
                return Err(Status::bad_request("no namespace on request"));
            }
            object["spec"] = json!({});
            if let Some(metadata) = object["metadata"].as_object_mut() {
                metadata.remove("managedFields");
            }
            rules::review(server, identity, &namespace)
        }
    };
    object["status"] = status;
    Ok(answer::negotiable(201, object.to_string()))
}

/// Drops what the kind does not have, and records the owner as any create does.
pub(super) fn own(
    object: &mut Value,
    info: &RequestInfo,
    headers: &HeaderMap,
    (api_version, kind, now): (&str, &str, &str),
) {
    let (group, _) = gvk::split_api_version(api_version);
    let package = group.split('.').next().unwrap_or_default();
    let Some(shape) = builtin::shape(&format!("io.k8s.api.{package}.v1.{kind}")) else { return };
    schema::prune(shape, object);
    let agent = headers.get(http::header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let program = agent.and_then(|agent| agent.split('/').next()).unwrap_or_default();
    let manager = Some(info.text("fieldManager")).filter(|manager| !manager.is_empty());
    let writer = Writer {
        manager: manager.unwrap_or(program),
        subresource: &info.subresource,
        api_version,
        now,
        reset: &[],
    };
    managed_fields::update(&Value::Null, object, &writer, shape.root());
    if let Some(metadata) = object["metadata"].as_object_mut()
        && metadata.get("managedFields").is_some_and(|list| *list == json!([]))
    {
        metadata.remove("managedFields");
    }
}

/// Whose token a review is about.
fn token(server: &ApiServer, spec: &Value) -> Result<Value, Box<Status>> {
    let token = spec["token"].as_str().unwrap_or_default();
    if token.is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    let audiences = spec["audiences"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut audiences: Vec<String> = audiences.map(str::to_owned).collect();
    if audiences.is_empty() {
        audiences.clone_from(&server.access().audiences);
    }
    match authentication::authenticate_token(server, token, &audiences) {
        Ok(known) if known.audiences.is_empty() => {
            Err(Status::internal("token authenticator did not return a valid audience"))
        }
        Ok(known) => Ok(json!({
            "authenticated": true,
            "user": known.identity.to_user_info(),
            "audiences": known.audiences,
        })),
        Err(reason) => Ok(json!({"user": {}, "error": reason})),
    }
}
