//! Which objects a list or watch selects, by labels and fields, decided without parsing them.

use std::sync::Arc;

use super::options::ListOptions;
use super::profile::Resource;
use crate::machinery::definition::{Origin, ResourceDefinition};
use crate::machinery::selector::{FieldSelector, LabelSelector};
use crate::machinery::status::Status;
use crate::store::Entry;

/// Label and field selectors of a request.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    labels: LabelSelector,
    fields: Vec<FieldTerm>,
}

/// One requirement of a field selector, its path resolved.
#[derive(Clone, Debug)]
struct FieldTerm {
    field: Field,
    equals: bool,
    value: String,
}

#[derive(Clone, Copy, Debug)]
enum Field {
    Name,
    Namespace,
    /// Index into the definition's selectable fields.
    Selectable(usize),
}

impl FieldTerm {
    fn accepts(&self, value: &str) -> bool {
        (value == self.value) == self.equals
    }
}

impl Selection {
    /// Parses the selectors of a request.
    ///
    /// # Errors
    /// 400 for a selector that cannot be parsed or names a field that is not selectable.
    pub(super) fn parse(
        resource: &Resource,
        options: &ListOptions<'_>,
    ) -> Result<Self, Box<Status>> {
        let labels = LabelSelector::parse(options.label_selector).map_err(Status::bad_request)?;
        let selector = FieldSelector::parse(options.field_selector).map_err(Status::bad_request)?;
        let mut fields = Vec::new();
        for requirement in selector.iter() {
            let field = resolve(&resource.definition, &requirement.path)?;
            let (equals, value) = (requirement.equals, requirement.value.clone());
            fields.push(FieldTerm { field, equals, value });
        }
        Ok(Self { labels, fields })
    }

    /// Selects one object only, which a watch path names.
    ///
    /// # Errors
    /// 400 for a field selector that does not name the same object.
    /// (kubernetes 1.36: endpoints/handlers/get.go, listOpts)
    pub(super) fn named(mut self, name: &str) -> Result<Self, Box<Status>> {
        if name.is_empty() || self.exact_name() == Some(name) {
            return Ok(self);
        }
        if !self.fields.is_empty() {
            let message = "fieldSelector metadata.name doesn't match requested name";
            return Err(Status::bad_request(message));
        }
        self.fields.push(FieldTerm { field: Field::Name, equals: true, value: name.to_owned() });
        Ok(self)
    }

    /// Whether everything is selected.
    pub(super) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// The only name that can be selected, if the selector says so.
    pub(super) fn exact_name(&self) -> Option<&str> {
        let named = |term: &&FieldTerm| term.equals && matches!(term.field, Field::Name);
        self.fields.iter().find(named).map(|term| term.value.as_str())
    }

    /// Whether fields other than metadata select.
    pub(super) fn has_fields(&self) -> bool {
        self.fields.iter().any(|term| matches!(term.field, Field::Selectable(_)))
    }

    /// Whether an object is selected that is as the requested version shows it.
    pub(super) fn matches(&self, entry: &Entry) -> bool {
        self.matches_metadata(entry)
            && self.fields.iter().all(|term| match term.field {
                Field::Name | Field::Namespace => true,
                Field::Selectable(index) => {
                    term.accepts(entry.fields.get(index).map_or("", |value| value))
                }
            })
    }

    /// Whether an object's metadata does not speak against it.
    pub(super) fn matches_metadata(&self, entry: &Entry) -> bool {
        if !self.labels.is_empty() && !self.labels.matches_by(|key| entry.meta.labels.get(key)) {
            return false;
        }
        self.fields.iter().all(|term| match term.field {
            Field::Name => term.accepts(&entry.meta.name),
            Field::Namespace => term.accepts(&entry.meta.namespace),
            Field::Selectable(_) => true,
        })
    }
}

fn resolve(definition: &ResourceDefinition, path: &str) -> Result<Field, Box<Status>> {
    let is_custom = definition.origin == Origin::Custom;
    match path {
        "metadata.name" => return Ok(Field::Name),
        "metadata.namespace" if definition.namespaced || !is_custom => return Ok(Field::Namespace),
        _ => {}
    }
    let selectable: &[Arc<str>] = &definition.selectable_fields;
    if let Some(index) = selectable.iter().position(|known| &**known == path) {
        return Ok(Field::Selectable(index));
    }
    Err(Status::bad_request(if selectable.is_empty() && !is_custom {
        format!(
            "\"{path}\" is not a known field selector: only \"metadata.name\", \
             \"metadata.namespace\""
        )
    } else {
        format!("field label not supported: {path}")
    }))
}
