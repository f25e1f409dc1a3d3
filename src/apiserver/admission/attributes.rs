//! A request, as admission sees it.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::apiserver::profile::Resource;
use crate::apiserver::route::Call;
use crate::machinery::gvk::GroupVersionKind;

/// What is to be done with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// It is new.
    Create,
    /// It changes.
    Update,
    /// It goes.
    Delete,
    /// Somebody talks to it (`exec`, `proxy`).
    Connect,
}

impl Operation {
    /// As rules and reviews name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }

    /// Kind of the options that are sent along.
    fn options_kind(self) -> &'static str {
        match self {
            Self::Create => "CreateOptions",
            Self::Update => "UpdateOptions",
            Self::Delete => "DeleteOptions",
            // Connections have none.
            Self::Connect => "",
        }
    }
}

/// A request, as admission sees it: everything but the objects.
pub(crate) struct Attributes<'a> {
    /// The request.
    pub(crate) call: &'a Call<'a>,
    /// What is to be done.
    pub(crate) operation: Operation,
    /// Kind of the objects; of a subresource not always the resource's.
    pub(crate) kind: GroupVersionKind,
    /// Whether nothing is to be stored.
    pub(crate) dry_run: bool,
    /// Options of the verb, with kind and apiVersion.
    pub(crate) options: Value,
    /// Namespace of the object. Of the resource `namespaces`, the object's own name.
    pub(crate) namespace: String,
    /// Name of the object; empty while it is to be generated, and for each object of a collection.
    pub(crate) name: String,
}

impl<'a> Attributes<'a> {
    /// The attributes of a write to objects of the resource's own kind; `name` is the object's.
    pub(crate) fn new(call: &'a Call<'a>, operation: Operation, name: &str) -> Self {
        let definition = &call.resource.definition;
        let is_namespace = call.resource.is("", "namespaces");
        Self {
            call,
            operation,
            kind: GroupVersionKind {
                group: definition.group.clone(),
                version: definition.version.clone(),
                kind: definition.kind.clone(),
            },
            dry_run: operation != Operation::Connect && call.info.parameter("dryRun").is_some(),
            options: options(call, operation),
            namespace: if is_namespace { name } else { call.namespace() }.to_owned(),
            name: name.to_owned(),
        }
    }

    /// The same for objects of another kind, as subresources have them.
    pub(crate) fn of_kind(self, group: &str, version: &str, kind: &str) -> Self {
        Self { kind: GroupVersionKind::new(group, version, kind), ..self }
    }

    /// The same with the options of a deletion's body.
    pub(crate) fn with_options(mut self, options: &Map<String, Value>) -> Self {
        if let Some(members) = self.options.as_object_mut() {
            for (name, value) in options.iter().filter(|(_, value)| !value.is_null()) {
                members.insert(name.clone(), value.clone());
            }
        }
        self
    }

    /// The requested resource.
    pub(crate) fn resource(&self) -> &Arc<Resource> {
        &self.call.resource
    }

    /// The subresource, or nothing.
    pub(crate) fn subresource(&self) -> &'a str {
        &self.call.info.subresource
    }
}

/// What create, update and patch say in their query. A patch shows as the operation that it is;
/// connections have no options beside their object.
fn options(call: &Call<'_>, operation: Operation) -> Value {
    if operation == Operation::Connect {
        return Value::Null;
    }
    let mut options = json!({"apiVersion": "meta.k8s.io/v1", "kind": operation.options_kind()});
    if operation == Operation::Delete {
        return options;
    }
    let dry_runs = call.info.query.iter().filter(|(name, _)| name == "dryRun");
    let dry_runs: Vec<Value> = dry_runs.map(|(_, value)| value.as_str().into()).collect();
    if !dry_runs.is_empty() {
        options["dryRun"] = dry_runs.into();
    }
    for name in ["fieldManager", "fieldValidation"] {
        if let Some(value) = call.info.parameter(name).filter(|value| !value.is_empty()) {
            options[name] = value.into();
        }
    }
    options
}
