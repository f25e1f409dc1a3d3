//! What all writes share: the request's options, the checks every object passes.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::misfit::Misfit;
use super::{custom, metadata};
use crate::apiserver::admission::{self, Operation};
use crate::apiserver::body::Decoded;
use crate::apiserver::duplicates;
use crate::apiserver::negotiate::Accepted;
use crate::apiserver::options::{FieldValidation, WriteOptions};
use crate::apiserver::profile::Resource;
use crate::apiserver::route::Call;
use crate::apiserver::strategy::{self, Change};
use crate::machinery::cel;
use crate::machinery::omitted;
use crate::machinery::schema::{self, Node, NodeType, Schema};
use crate::machinery::status::{Cause, Status};
use crate::machinery::yaml;

/// Which part of an object a write may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::apiserver) enum Target {
    /// All but status, if that is a subresource.
    Main,
    /// The status subresource.
    Status,
    /// A namespace's `spec.finalizers`.
    Finalize,
    /// The decision about a CertificateSigningRequest.
    Approval,
    /// The number of replicas; the object is written as a whole, the owner is named `scale`.
    Scale,
    /// A pod's ephemeral containers.
    EphemeralContainers,
    /// Resources of a pod's containers.
    Resize,
}

impl Target {
    /// Name of the subresource, as managed fields record it.
    pub(super) fn subresource(self) -> &'static str {
        match self {
            // Namespace finalization records no subresource upstream either.
            Self::Main | Self::Finalize => "",
            Self::Status => "status",
            Self::Approval => "approval",
            Self::Scale => "scale",
            Self::EphemeralContainers => "ephemeralcontainers",
            Self::Resize => "resize",
        }
    }
}

/// One write in the making.
pub(in crate::apiserver) struct Write<'a> {
    pub(super) call: &'a Call<'a>,
    pub(super) options: WriteOptions,
    pub(super) target: Target,
    pub(super) now: Timestamp,
    /// How the answer is to look; settled before anything is written.
    pub(super) accepted: Accepted,
    /// What a body that does not fit the kind is answered with.
    pub(super) misfit: Misfit,
    /// The body, if it is a JSON text: complaints about it come in its order.
    pub(super) text: Option<Bytes>,
    /// Texts of `Warning` headers.
    pub(super) warnings: Vec<String>,
    /// The stored object's `managedFields`, if a patch that leaves them alone took them out of it:
    /// they are a third of an object, and need not be copied with the rest.
    pub(super) ownership: Option<Value>,
}

impl<'a> Write<'a> {
    /// Reads the request's options; `options_kind` is the kind that errors name.
    pub(in crate::apiserver) fn new(
        call: &'a Call<'a>,
        target: Target,
        options_kind: &str,
    ) -> Result<Self, Box<Status>> {
        Ok(Self {
            call,
            options: WriteOptions::parse(call.info, options_kind)?,
            target,
            now: call.server.clock().now(),
            accepted: call.accepted()?,
            misfit: Misfit::Body,
            text: None,
            warnings: Vec::new(),
            ownership: None,
        })
    }

    /// Name under which fields are recorded: the client's choice, or its program's name.
    pub(super) fn manager(&self) -> String {
        if let Some(manager) = &self.options.field_manager {
            return manager.clone();
        }
        let agent = self.call.headers.get(http::header::USER_AGENT);
        let agent = agent.and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        match agent.split('/').next() {
            Some(program) if !program.is_empty() => program.chars().take(128).collect(),
            _ => "unknown".to_owned(),
        }
    }

    /// Checks that a decoded body is an object of the requested kind, and normalises it: nothing
    /// the schema does not know, defaults filled in.
    pub(in crate::apiserver) fn admit(&mut self, decoded: Decoded) -> Result<Value, Box<Status>> {
        let Decoded { mut value, duplicates, is_cut } = decoded;
        check_kind(self.call, &self.misfit, &mut value)?;
        self.normalise(&mut value, duplicates)?;
        if is_cut {
            return Err(self.undecodable("exceeded max depth", &value));
        }
        Ok(value)
    }

    /// Prunes, reports what was pruned, checks the types of built-in kinds, fills in defaults.
    pub(super) fn normalise(
        &mut self,
        object: &mut Value,
        repeated: Vec<String>,
    ) -> Result<(), Box<Status>> {
        let definition = &self.call.resource.definition;
        let mut unknown = metadata::prune(object);
        unknown.extend(schema::prune(&definition.schema, object));
        unknown.sort();
        self.coerce(object).map_err(|why| self.undecodable(&why, object))?;
        let mut odd = repeated;
        odd.extend(unknown.iter().map(|path| format!("unknown field \"{path}\"")));
        // Custom resources are pruned after they were decoded, which sorts.
        if let Some(text) = &self.text
            && self.call.resource.is_built_in()
            && odd.len() > 1
        {
            odd = duplicates::in_text_order(text, odd);
        }
        self.report(odd, object)?;
        let repeated = metadata::remove_duplicate_owners(object);
        if !repeated.is_empty() {
            self.warnings.push(format!(
                ".metadata.ownerReferences contains duplicate entries; API server dedups owner \
                 references in 1.20+, and may reject such requests as early as 1.24; please fix \
                 your requests; duplicate UID(s) observed: {}",
                repeated.join(", ")
            ));
        }
        if self.call.resource.is_built_in() {
            decode_as_go(&definition.schema, object)
                .map_err(|why| self.undecodable(&why, object))?;
        }
        schema::default(&definition.schema, object);
        (self.call.resource.rules.default)(object);
        Ok(())
    }

    /// Brings metadata into form, the object's own and those of objects embedded in it.
    fn coerce(&self, object: &mut Value) -> Result<(), String> {
        let definition = &self.call.resource.definition;
        let own = metadata::normalise(object);
        if self.call.resource.is_built_in() {
            let (theirs, kind) = ("field ObjectMeta.metadata of", &definition.kind);
            return own.map_err(|why| why.replace(theirs, &format!("field {kind}.metadata of")));
        }
        own.map_err(|why| custom::metadata_error(&why))?;
        custom::coerce(&definition.schema, object)
    }

    /// Refuses, mentions or ignores odd fields, as the client wants.
    fn report(&mut self, odd: Vec<String>, shown: &Value) -> Result<(), Box<Status>> {
        if odd.is_empty() {
            return Ok(());
        }
        match self.options.validation {
            FieldValidation::Ignore => {}
            FieldValidation::Warn => {
                for text in odd {
                    if !self.warnings.contains(&text) {
                        self.warnings.push(text);
                    }
                }
            }
            FieldValidation::Strict => {
                let (repeated, mut rest): (Vec<_>, Vec<_>) =
                    odd.into_iter().partition(|text| text.starts_with("line "));
                if !repeated.is_empty() {
                    rest.insert(0, yaml::strict_error(&repeated));
                }
                let why = format!("strict decoding error: {}", rest.join(", "));
                return Err(self.undecodable(&why, shown));
            }
        }
        Ok(())
    }

    /// 400 for a body that does not fit the kind, 422 for the outcome of a patch.
    fn undecodable(&self, why: &str, shown: &Value) -> Box<Status> {
        self.misfit.refusal(&self.call.resource.definition, why, shown)
    }

    /// Runs all validation of an object.
    pub(super) fn validate(&mut self, new: &Value, old: Option<&Value>) -> Result<(), Box<Status>> {
        let definition = &self.call.resource.definition;
        let mut causes = metadata::validate(&self.call.resource, new, old);
        if !self.call.resource.is_built_in() {
            self.validate_custom(new, old, &mut causes);
        }
        let change = Change { new, old, target: self.target };
        let validate = self.call.resource.rules.validate;
        let found = validate(&change);
        if old.is_some() && !found.is_empty() && is_checked_twice(&self.call.resource, self.target)
        {
            causes.extend(validate(&Change { old: None, ..change }));
        }
        causes.extend(found);
        if !self.call.server.options().allow_privileged {
            causes.extend(strategy::privileged::check(&self.call.resource, &change));
        }
        // Rules beyond the schema take it for granted, as webhooks do: they come after it.
        let operation = if old.is_some() { Operation::Update } else { Operation::Create };
        if causes.is_empty() && !admission::are_checks_replaced(self.call, operation) {
            let validate = definition.strategy.validation(self.options.dry_run);
            if let Some(validate) = validate.filter(|_| self.target == Target::Main) {
                causes.extend(validate(new, old));
            }
            causes.extend(self.validate_among(new, old));
        }
        self.refuse(new, causes)?;
        self.warnings.extend((self.call.resource.rules.warnings)(&change));
        if !self.call.resource.is_built_in() && self.target != Target::Status {
            self.warnings.extend(custom::finalizer_warnings(new, old));
        }
        Ok(())
    }

    /// What the schema and its rules say.
    fn validate_custom(&mut self, new: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
        let schema = &self.call.resource.definition.schema;
        causes.extend(match old {
            Some(old) => schema::validate_update(schema, new, old),
            None => schema::validate(schema, new),
        });
        if let Some(paths) = &self.call.resource.definition.subresources.scale {
            causes.extend(custom::validate_scale(paths, new, self.target));
        }
        if self.target != Target::Status {
            causes.extend(custom::validate_embedded(schema, new));
        }
        let outcome = cel::rules::evaluate(schema, new, old, causes);
        causes.extend(outcome.causes);
        self.warnings.extend(outcome.warnings);
    }

    /// 422 if there are causes.
    pub(super) fn refuse(&self, object: &Value, causes: Vec<Cause>) -> Result<(), Box<Status>> {
        if causes.is_empty() {
            return Ok(());
        }
        let definition = &self.call.resource.definition;
        let name = metadata::text(object, "name");
        // Events are the core group's in whatever group they are written.
        Err(Status::invalid(&self.call.resource.key.group, &definition.kind, name, causes))
    }
}

/// Whether upstream checks a changed object of the kind as a new one and as a changed one, and
/// reports both. (kubernetes 1.36: ValidateUpdate of the strategies under pkg/registry)
fn is_checked_twice(resource: &Resource, target: Target) -> bool {
    if target != Target::Main || !resource.is_built_in() {
        return false;
    }
    let definition = &resource.definition;
    matches!(
        (&*definition.group, &*definition.kind),
        ("", "ReplicationController")
            | ("apps", "DaemonSet" | "ReplicaSet")
            | ("rbac.authorization.k8s.io", _)
    )
}

/// Brings an object that admission changed into the form of one that was just decoded.
///
/// # Errors
/// The message of Go's decoder for what does not fit the kind.
pub(in crate::apiserver) fn settle(resource: &Resource, object: &mut Value) -> Result<(), String> {
    let definition = &resource.definition;
    metadata::prune(object);
    schema::prune(&definition.schema, object);
    metadata::normalise(object)?;
    if resource.is_built_in() {
        decode_as_go(&definition.schema, object)?;
    }
    schema::default(&definition.schema, object);
    (resource.rules.default)(object);
    Ok(())
}

/// Brings an object of a built-in kind into the form that is left of it when Go has decoded and
/// encoded it.
///
/// # Errors
/// The message of Go's decoder for what does not fit the kind.
fn decode_as_go(schema: &Schema, object: &mut Value) -> Result<(), String> {
    remove_nulls(object, Some(schema.root()));
    if let Some(cause) = schema::validate(schema, object).first() {
        return Err(cause.message.clone());
    }
    schema::canonicalise(schema, object);
    if let Some(component) = schema.component_name() {
        omitted::remove(component, object);
    }
    Ok(())
}

/// Checks apiVersion and kind; a built-in kind's may be absent and are filled in.
fn check_kind(call: &Call<'_>, misfit: &Misfit, value: &mut Value) -> Result<(), Box<Status>> {
    let definition = &call.resource.definition;
    let api_version = &*call.resource.api_version;
    if value.is_null() && call.resource.is_built_in() {
        // Go reads null into a struct as nothing at all.
        *value = Value::Object(Map::new());
    }
    let Value::Object(object) = value else {
        let shown = value.to_string();
        return Err(Status::bad_request(format!("Object 'Kind' is missing in '{shown}'")));
    };
    let given_kind = text(object, "kind");
    let given_version = text(object, "apiVersion");
    if call.resource.is_built_in() {
        if !given_kind.is_empty() && given_kind != &*definition.kind
            || !given_version.is_empty() && given_version != api_version
        {
            return Err(misfit.wrong_kind(call, object));
        }
    } else {
        check_custom_kind(call, misfit, object)?;
    }
    object.insert("kind".to_owned(), (*definition.kind).into());
    object.insert("apiVersion".to_owned(), api_version.into());
    Ok(())
}

/// Custom resources are of one Go type: bodies are held to their version, the rest is validation's.
fn check_custom_kind(
    call: &Call<'_>,
    misfit: &Misfit,
    object: &Map<String, Value>,
) -> Result<(), Box<Status>> {
    let (definition, api_version) = (&call.resource.definition, &*call.resource.api_version);
    let (kind, version) = (text(object, "kind"), text(object, "apiVersion"));
    for (field, given) in [("Kind", kind), ("apiVersion", version)] {
        if !given.is_empty() {
            continue;
        }
        let shown = Value::Object(object.clone());
        let why = format!("Object '{field}' is missing in '{shown}'");
        return Err(match misfit {
            Misfit::Body => Status::bad_request(why),
            _ => misfit.refusal(definition, &why, &shown),
        });
    }
    if version != api_version && *misfit == Misfit::Body {
        return Err(Status::bad_request(format!(
            "the API version in the data ({version}) does not match the expected API version \
             ({api_version})"
        )));
    }
    let wanted = [("kind", kind, &*definition.kind), ("apiVersion", version, api_version)];
    let wrong = wanted.into_iter().filter(|(_, given, wanted)| given != wanted);
    let causes: Vec<Cause> = wrong
        .map(|(field, given, wanted)| {
            Cause::invalid(field, &given.into(), &format!("must be {wanted}"))
        })
        .collect();
    if causes.is_empty() {
        return Ok(());
    }
    let name = object.get("metadata").and_then(|metadata| metadata["name"].as_str());
    Err(Status::invalid(&definition.group, kind, name.unwrap_or_default(), causes))
}

fn text<'a>(object: &'a Map<String, Value>, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Go's decoder reads null as absent for the built-in kinds, and as zero within maps and lists.
fn remove_nulls(value: &mut Value, node: Option<Node<'_>>) {
    match value {
        Value::Object(object) => {
            let entries = node.and_then(Node::additional);
            if let Some(entry) = entries.filter(|entry| zero(*entry).is_some()) {
                for value in object.values_mut().filter(|value| value.is_null()) {
                    *value = zero(entry).unwrap_or_default();
                }
            } else {
                object.retain(|_, value| !value.is_null());
            }
            for (name, value) in object {
                remove_nulls(value, node.and_then(|node| node.child(name)));
            }
        }
        Value::Array(list) => {
            let items = node.and_then(Node::items);
            for item in list {
                if item.is_null()
                    && let Some(zero) = items.and_then(zero)
                {
                    *item = zero;
                }
                remove_nulls(item, items);
            }
        }
        _ => {}
    }
}

/// The zero value of what a map or list holds.
fn zero(node: Node<'_>) -> Option<Value> {
    match node.node_type() {
        NodeType::String => Some("".into()),
        NodeType::Integer => Some(0.into()),
        NodeType::Boolean => Some(false.into()),
        NodeType::Object => Some(Value::Object(Map::new())),
        NodeType::Any if node.component_name().is_some_and(|name| name.ends_with(".Quantity")) => {
            Some("0".into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::machinery::builtin;

    fn pod() -> Schema {
        let mut definitions = builtin::definitions().into_iter();
        definitions.find(|definition| &*definition.kind == "Pod").unwrap().schema
    }

    /// What a webhook's patch may leave behind.
    #[test]
    fn changed_objects_are_left_as_go_would_write_them() {
        let mut object = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "p", "annotations": {"a": ""}, "creationTimestamp": null},
            "spec": {
                "nodeName": "", "priority": 0, "nodeSelector": null, "tolerations": [],
                "containers": [{"name": "c", "image": "", "args": [], "resources": {
                    "limits": {"cpu": "1000m", "memory": "1024Ki"}, "requests": {"cpu": "0.5"},
                }}],
            },
            "status": {"startTime": "2026-01-01T02:00:00.5+02:00"},
        });
        decode_as_go(&pod(), &mut object).unwrap();
        let expected = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "p", "annotations": {"a": ""}},
            "spec": {
                "priority": 0,
                "containers": [{"name": "c", "resources": {
                    "limits": {"cpu": "1", "memory": "1Mi"}, "requests": {"cpu": "500m"},
                }}],
            },
            "status": {"startTime": "2026-01-01T00:00:00Z"},
        });
        assert_eq!(object, expected);
        let once = object.clone();
        decode_as_go(&pod(), &mut object).unwrap();
        assert_eq!(object, once);
    }

    #[test]
    fn changed_objects_that_do_not_fit_are_refused_in_the_words_of_gos_decoder() {
        let mut object = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"priority": "high"}});
        let why = decode_as_go(&pod(), &mut object).unwrap_err();
        assert!(why.contains("json: cannot unmarshal string into Go"), "{why}");
    }
}
