//! Errors as Kubernetes `Status` objects, with kube-apiserver's reasons, codes and wording.
//!
//! Each constructor returns a boxed [`Status`], so that it can be used as the error of
//! [`Result`]. `details: Some(StatusDetails::default())` is not the same as `None`: kube-apiserver
//! writes `"details":{}` for some errors and nothing for others, and so do we.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::gvk::GroupResource;

/// A failed request's answer (`metav1.Status` with `status: Failure`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// HTTP status code.
    pub code: u16,
    /// Machine-readable reason, e.g. `NotFound`; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Human-readable message.
    #[serde(default)]
    pub message: String,
    /// What the error is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<StatusDetails>,
}

/// `metav1.StatusDetails`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StatusDetails {
    /// Object name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// API group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Kind, or plural resource where kube-apiserver gives that.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Object uid.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Field by field causes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// Seconds after which a retry is reasonable; 0 for none.
    #[serde(skip_serializing_if = "is_zero")]
    pub retry_after_seconds: u32,
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// `metav1.StatusCause`: one reason why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cause {
    /// E.g. `FieldValueInvalid`, `FieldValueRequired`, `FieldValueForbidden`, `FieldManagerConflict`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Message without the field prefix.
    pub message: String,
    /// Path such as `spec.template.spec.version`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// Result of an API operation. The error is boxed because it is large and rare.
pub type Result<T> = std::result::Result<T, Box<Status>>;

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

/// Who asked for what, in an authorization failure.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// User name.
    pub user: &'a str,
    /// Verb such as `list`.
    pub verb: &'a str,
    /// Resource that was asked for.
    pub resource: &'a GroupResource,
    /// Subresource, empty for none.
    pub subresource: &'a str,
    /// Object name, empty for none.
    pub name: &'a str,
    /// Namespace, empty at the cluster scope.
    pub namespace: &'a str,
}

/// The precondition of a request that the stored object does not fulfil.
#[derive(Clone, Copy, Debug)]
pub enum Precondition {
    /// `metadata.uid`.
    Uid,
    /// `metadata.resourceVersion`.
    ResourceVersion,
}

impl Status {
    fn plain(code: u16, reason: &str, message: String) -> Box<Self> {
        Box::new(Self { code, reason: reason.to_owned(), message, details: None })
    }

    fn about(code: u16, reason: &str, about: (&GroupResource, &str), message: String) -> Box<Self> {
        let (resource, name) = about;
        let details = StatusDetails {
            name: name.to_owned(),
            group: resource.group.to_string(),
            kind: resource.resource.to_string(),
            ..StatusDetails::default()
        };
        Box::new(Self { code, reason: reason.to_owned(), message, details: Some(details) })
    }

    fn generic(code: u16, reason: &str, message: &str) -> Box<Self> {
        let details = Some(StatusDetails::default());
        Box::new(Self { code, reason: reason.to_owned(), message: message.to_owned(), details })
    }

    fn retry(mut self: Box<Self>, seconds: u32) -> Box<Self> {
        self.details.get_or_insert_default().retry_after_seconds = seconds;
        self
    }

    /// 404: no object of that name.
    pub fn not_found(resource: &GroupResource, name: &str) -> Box<Self> {
        let message = format!("{resource} {} not found", quote(name));
        Self::about(404, "NotFound", (resource, name), message)
    }

    /// 404: no resource is served at the path.
    pub fn resource_not_served() -> Box<Self> {
        Self::generic(404, "NotFound", "the server could not find the requested resource")
    }

    /// 409: an object of that name exists.
    pub fn already_exists(resource: &GroupResource, name: &str) -> Box<Self> {
        let message = format!("{resource} {} already exists", quote(name));
        Self::about(409, "AlreadyExists", (resource, name), message)
    }

    /// 409: no free name was found for a `generateName`.
    pub fn generate_name_conflict(resource: &GroupResource, name: &str) -> Box<Self> {
        let message = format!(
            "{resource} {} already exists, the server was not able to generate a unique name for the object",
            quote(name)
        );
        Self::about(409, "AlreadyExists", (resource, name), message).retry(1)
    }

    /// 409: the request carries an old resourceVersion.
    pub fn conflict(resource: &GroupResource, name: &str) -> Box<Self> {
        let because = "the object has been modified; please apply your changes to the latest \
                       version and try again";
        Self::conflict_because(resource, name, because)
    }

    /// 409 with a reason of the caller's own, which completes `Operation cannot be fulfilled on x: `.
    pub fn conflict_because(resource: &GroupResource, name: &str, because: &str) -> Box<Self> {
        let message =
            format!("Operation cannot be fulfilled on {resource} {}: {because}", quote(name));
        Self::about(409, "Conflict", (resource, name), message)
    }

    /// 409: a precondition does not hold. `key` is the storage key in kube-apiserver's notation
    /// (`/registry/configmaps/ns/name`), `wanted` the precondition, `found` the object's value.
    pub fn precondition_failed(
        about: (&GroupResource, &str),
        key: &str,
        which: Precondition,
        (wanted, found): (&str, &str),
    ) -> Box<Self> {
        let field = match which {
            Precondition::Uid => "UID",
            Precondition::ResourceVersion => "ResourceVersion",
        };
        let because = format!(
            "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: \
             Precondition failed: {field} in precondition: {wanted}, {field} in object meta: {found}"
        );
        Self::conflict_because(about.0, about.1, &because)
    }

    /// 409: server-side apply conflicts with other field managers.
    pub fn apply_conflict(causes: Vec<Cause>, message: String) -> Box<Self> {
        let details = StatusDetails { causes, ..StatusDetails::default() };
        Box::new(Self { code: 409, reason: "Conflict".to_owned(), message, details: Some(details) })
    }

    /// 422: the object is refused field by field. `group` and `kind` name the kind (kube-apiserver
    /// leaves both empty for patches that cannot be decoded).
    pub fn invalid(group: &str, kind: &str, name: &str, causes: Vec<Cause>) -> Box<Self> {
        let dot = if group.is_empty() { "" } else { "." };
        let mut message = format!("{kind}{dot}{group} {} is invalid", quote(name));
        let listed = aggregate(&causes);
        if !listed.is_empty() {
            message.push_str(": ");
            message.push_str(&listed);
        }
        let details = StatusDetails {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: kind.to_owned(),
            causes,
            ..StatusDetails::default()
        };
        Box::new(Self { code: 422, reason: "Invalid".to_owned(), message, details: Some(details) })
    }

    /// 422 without details, as kube-apiserver answers a JSON patch that does not apply.
    pub fn unprocessable() -> Box<Self> {
        let message = "the server rejected our request due to an error in our request";
        Self::generic(422, "Invalid", message)
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Box<Self> {
        Self::plain(400, "BadRequest", message.into())
    }

    /// 401: unknown or invalid credentials.
    pub fn unauthorized() -> Box<Self> {
        Self::plain(401, "Unauthorized", "Unauthorized".to_owned())
    }

    /// 403 for a reason of the caller's own (admission); an empty `name` names the resource only.
    pub fn forbidden(resource: &GroupResource, name: &str, because: &str) -> Box<Self> {
        let message = match (resource.resource.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {because}"),
            (false, true) => format!("{resource} is forbidden: {because}"),
            (false, false) => format!("{resource} {} is forbidden: {because}", quote(name)),
        };
        Self::about(403, "Forbidden", (resource, name), message)
    }

    /// 403: the authorizer says no to a resource request.
    pub fn forbidden_access(access: Access<'_>) -> Box<Self> {
        let Access { user, verb, resource, subresource, name, namespace } = access;
        let slash = if subresource.is_empty() { "" } else { "/" };
        let mut because = format!(
            "User {} cannot {verb} resource \"{}{slash}{subresource}\" in API group {} ",
            quote(user),
            resource.resource,
            quote(&resource.group),
        );
        if namespace.is_empty() {
            because.push_str("at the cluster scope");
        } else {
            because.push_str(&format!("in the namespace {}", quote(namespace)));
        }
        Self::forbidden(resource, name, &because)
    }

    /// 403: the authorizer says no to a path that is no resource.
    pub fn forbidden_path(user: &str, verb: &str, path: &str) -> Box<Self> {
        let because = format!("User {} cannot {verb} path {}", quote(user), quote(path));
        Self::forbidden(&GroupResource::new("", ""), "", &because)
    }

    /// 403: nothing can be created in a namespace that is being deleted.
    pub fn namespace_terminating(
        resource: &GroupResource,
        name: &str,
        namespace: &str,
    ) -> Box<Self> {
        let because = format!(
            "unable to create new content in namespace {namespace} because it is being terminated"
        );
        let mut status = Self::forbidden(resource, name, &because);
        status.details.get_or_insert_default().causes.push(Cause {
            reason: "NamespaceTerminating".to_owned(),
            message: format!("namespace {namespace} is being terminated"),
            field: "metadata.namespace".to_owned(),
        });
        status
    }

    /// 410 `Expired`: a resourceVersion or continue token is too old.
    pub fn expired(message: impl Into<String>) -> Box<Self> {
        Self::plain(410, "Expired", message.into())
    }

    /// 410 `Gone`.
    pub fn gone(message: impl Into<String>) -> Box<Self> {
        Self::plain(410, "Gone", message.into())
    }

    /// 504: a resourceVersion that the server has not reached yet.
    pub fn too_large_resource_version(wanted: u64, current: u64) -> Box<Self> {
        let message = format!("Too large resource version: {wanted}, current: {current}");
        let mut status = Self::timeout(&message, 1);
        status.details.get_or_insert_default().causes.push(Cause {
            reason: "ResourceVersionTooLarge".to_owned(),
            message: "Too large resource version".to_owned(),
            field: String::new(),
        });
        status
    }

    /// 504: the request took too long; `retry_after_seconds` 0 gives no hint.
    pub fn timeout(message: &str, retry_after_seconds: u32) -> Box<Self> {
        Self::plain(504, "Timeout", format!("Timeout: {message}")).retry(retry_after_seconds)
    }

    /// 415: the body's media type is unknown.
    pub fn unsupported_media_type(accepted: &[&str]) -> Box<Self> {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::plain(415, "UnsupportedMediaType", message)
    }

    /// 406: no media type that the client accepts can be served.
    pub fn not_acceptable(accepted: &[&str]) -> Box<Self> {
        let message =
            format!("only the following media types are accepted: {}", accepted.join(", "));
        Self::plain(406, "NotAcceptable", message)
    }

    /// 406 with a message of the caller's own.
    pub fn not_acceptable_because(message: impl Into<String>) -> Box<Self> {
        Self::plain(406, "NotAcceptable", message.into())
    }

    /// 405: the path does not take the HTTP method.
    pub fn method_not_allowed() -> Box<Self> {
        let message = "the server does not allow this method on the requested resource";
        Self::generic(405, "MethodNotAllowed", message)
    }

    /// 405: the resource does not support the verb.
    pub fn method_not_supported(resource: &GroupResource, verb: &str) -> Box<Self> {
        let quoted = quote(&resource.to_string());
        let message = format!("{verb} is not supported on resources of kind {quoted}");
        Self::about(405, "MethodNotAllowed", (resource, ""), message)
    }

    /// 500 `InternalError`.
    pub fn internal(message: impl fmt::Display) -> Box<Self> {
        let cause =
            Cause { reason: String::new(), message: message.to_string(), field: String::new() };
        let details = StatusDetails { causes: vec![cause], ..StatusDetails::default() };
        let message = format!("Internal error occurred: {message}");
        let reason = "InternalError".to_owned();
        Box::new(Self { code: 500, reason, message, details: Some(details) })
    }

    /// 500 without reason or details, as kube-apiserver answers errors that are no API errors
    /// (a strategic merge patch or applied configuration that does not fit the type).
    pub fn unknown(message: impl Into<String>) -> Box<Self> {
        Self::plain(500, "", message.into())
    }

    /// 429: the server sheds load.
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Box<Self> {
        Self::plain(429, "TooManyRequests", message.into()).retry(retry_after_seconds)
    }

    /// 413; `message` completes `Request entity too large: `.
    pub fn request_entity_too_large(message: &str) -> Box<Self> {
        let message = format!("Request entity too large: {message}");
        Self::plain(413, "RequestEntityTooLarge", message)
    }

    /// 503.
    pub fn service_unavailable(message: impl Into<String>) -> Box<Self> {
        Self::plain(503, "ServiceUnavailable", message.into())
    }

    /// The full `v1` Status object with `status: Failure`.
    pub fn to_value(&self) -> Value {
        let mut value = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "code": self.code,
        });
        if !self.message.is_empty() {
            value["message"] = Value::from(self.message.as_str());
        }
        if !self.reason.is_empty() {
            value["reason"] = Value::from(self.reason.as_str());
        }
        if let Some(details) = &self.details {
            value["details"] = serde_json::to_value(details).unwrap_or_default();
        }
        value
    }

    /// [`Self::to_value`], encoded.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_value().to_string().into_bytes()
    }
}

/// The answer to a delete that removed the object (`status: Success`).
pub fn success(resource: &GroupResource, name: &str, uid: &str) -> Value {
    let details = StatusDetails {
        name: name.to_owned(),
        group: resource.group.to_string(),
        kind: resource.resource.to_string(),
        uid: uid.to_owned(),
        ..StatusDetails::default()
    };
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": details,
    })
}

impl Cause {
    fn new(reason: &str, field: impl Into<String>, message: String) -> Self {
        Self { reason: reason.to_owned(), message, field: field.into() }
    }

    /// `FieldValueRequired`; `detail` may be empty.
    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        Self::new("FieldValueRequired", field, with_detail("Required value", detail))
    }

    /// `FieldValueInvalid`; the value is shown as Go shows it: strings quoted, the rest as JSON.
    pub fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        let shown = match value {
            Value::String(text) => quote(text),
            other => other.to_string(),
        };
        Self::new(
            "FieldValueInvalid",
            field,
            with_detail(&format!("Invalid value: {shown}"), detail),
        )
    }

    /// `FieldValueForbidden`.
    pub fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self::new("FieldValueForbidden", field, with_detail("Forbidden", detail))
    }

    /// `FieldValueNotSupported`, with the values that are.
    pub fn not_supported(field: impl Into<String>, value: &Value, supported: &[&str]) -> Self {
        let shown = match value {
            Value::String(text) => quote(text),
            other => other.to_string(),
        };
        let quoted: Vec<String> = supported.iter().map(|value| quote(value)).collect();
        let detail = format!("supported values: {}", quoted.join(", "));
        Self::new(
            "FieldValueNotSupported",
            field,
            with_detail(&format!("Unsupported value: {shown}"), &detail),
        )
    }

    /// `FieldValueDuplicate`.
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self::new("FieldValueDuplicate", field, format!("Duplicate value: {value}"))
    }

    /// `FieldValueTooMany`: `given` items.
    pub fn too_many(field: impl Into<String>, given: usize, items_max: usize) -> Self {
        let message = format!("Too many: {given}: must have at most {items_max} items");
        Self::new("FieldValueTooMany", field, message)
    }

    /// `FieldValueTooLong`, in bytes.
    pub fn too_long(field: impl Into<String>, bytes_max: usize) -> Self {
        let message = format!("Too long: may not be more than {bytes_max} bytes");
        Self::new("FieldValueTooLong", field, message)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

fn with_detail(body: &str, detail: &str) -> String {
    if detail.is_empty() { body.to_owned() } else { format!("{body}: {detail}") }
}

/// Joins causes as Go's error aggregate does: duplicates once, several in brackets.
fn aggregate(causes: &[Cause]) -> String {
    let mut listed: Vec<String> = Vec::with_capacity(causes.len());
    for cause in causes {
        let text = cause.to_string();
        if !listed.contains(&text) {
            listed.push(text);
        }
    }
    match listed.len() {
        0 => String::new(),
        1 => listed.remove(0),
        _ => format!("[{}]", listed.join(", ")),
    }
}

/// Quotes a string as Go's `%q` does for printable text.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                out.push_str(&format!("\\x{:02x}", c as u32));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machines() -> GroupResource {
        GroupResource::new("cluster.x-k8s.io", "machines")
    }

    #[test]
    fn not_found_names_resource_and_group() {
        assert_eq!(
            Status::not_found(&machines(), "a").to_value(),
            json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "machines.cluster.x-k8s.io \"a\" not found", "reason": "NotFound",
                "details": {"name": "a", "group": "cluster.x-k8s.io", "kind": "machines"},
                "code": 404,
            })
        );
    }

    #[test]
    fn invalid_lists_each_distinct_cause_once() {
        let uid = || Cause::invalid("metadata.uid", &json!("b"), "field is immutable");
        let one = Status::invalid("", "ConfigMap", "a", vec![uid(), uid()]);
        assert_eq!(
            one.message,
            "ConfigMap \"a\" is invalid: metadata.uid: Invalid value: \"b\": field is immutable"
        );
        assert_eq!(one.details.as_ref().map(|d| d.causes.len()), Some(2));
        let two = Status::invalid(
            "g",
            "K",
            "a",
            vec![Cause::required("x", ""), Cause::forbidden("y", "no")],
        );
        assert_eq!(two.message, "K.g \"a\" is invalid: [x: Required value, y: Forbidden: no]");
    }

    #[test]
    fn forbidden_access_says_scope() {
        let nodes = GroupResource::new("", "nodes");
        let at = |namespace| {
            Status::forbidden_access(Access {
                user: "bob",
                verb: "list",
                resource: &nodes,
                subresource: "",
                name: "",
                namespace,
            })
            .message
        };
        assert_eq!(
            at(""),
            "nodes is forbidden: User \"bob\" cannot list resource \"nodes\" in API group \"\" at the cluster scope"
        );
        assert!(at("ns").ends_with("in API group \"\" in the namespace \"ns\""));
        assert_eq!(
            Status::forbidden_path("bob", "get", "/metrics").message,
            "forbidden: User \"bob\" cannot get path \"/metrics\""
        );
    }

    #[test]
    fn too_large_resource_version_asks_to_retry() {
        let value = Status::too_large_resource_version(9, 3).to_value();
        assert_eq!(value["message"], "Timeout: Too large resource version: 9, current: 3");
        assert_eq!(
            value["details"],
            json!({"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
                   "retryAfterSeconds": 1})
        );
    }

    #[test]
    fn internal_error_cause_has_only_a_message() {
        let value = Status::internal("boom").to_value();
        assert_eq!(value["details"], json!({"causes": [{"message": "boom"}]}));
        assert_eq!(value["message"], "Internal error occurred: boom");
    }

    #[test]
    fn success_of_a_delete_has_no_code() {
        assert_eq!(
            success(&GroupResource::new("", "configmaps"), "a", "u"),
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                   "details": {"name": "a", "kind": "configmaps", "uid": "u"}})
        );
    }
}
