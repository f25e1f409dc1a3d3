//! The Kubernetes kinds that capim serves, from `assets/kubernetes.table`.

use std::sync::LazyLock;

use super::definition::{Origin, ResourceDefinition};
use super::schema::Schema;
use super::tables::messages::Messages;
use super::tables::{self, Table};

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let text = include_str!("../../assets/kubernetes.table");
    tables::parse(text, Origin::BuiltIn).expect("the table is tested to parse")
});

static MESSAGES: LazyLock<Messages> = LazyLock::new(|| tables::messages::parse(TABLE.messages));

/// Every served Kubernetes resource in its one version, without columns and strategies.
pub fn definitions() -> Vec<ResourceDefinition> {
    TABLE.definitions.clone()
}

/// A named shape by OpenAPI component name, e.g.
/// `io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions`. There are shapes of kinds that are not
/// stored, too: reviews, token requests, evictions, bindings, scales.
pub fn shape(component: &str) -> Option<&'static Schema> {
    TABLE.shapes.get(component)
}

/// Every protobuf message that a built-in kind reaches.
pub(super) fn messages() -> &'static Messages {
    &MESSAGES
}

/// Fields of a protobuf message by its full name, e.g. `k8s.io.api.core.v1.Pod`.
pub fn message(name: &str) -> Option<&'static [tables::messages::MessageField]> {
    MESSAGES.get(name).map(Vec::as_slice)
}
