//! ClusterResourceSets and their bindings. (CAPI v1.14: api/addons/v1beta1/conversion.go)

use serde_json::json;

use super::convert::Converter;
use super::fields::{Fields, always, each};
use super::status::CONDITIONS;

/// The converter of a kind of this group.
pub(super) fn converter(kind: &str) -> Option<Converter> {
    Some(match kind {
        "ClusterResourceSet" => Converter {
            up: |set, _| {
                CONDITIONS.up(set);
                Ok(())
            },
            down: |set| CONDITIONS.down(set),
            keeps: false,
        },
        "ClusterResourceSetBinding" => Converter {
            up: |binding, _| {
                say_applied(binding);
                Ok(())
            },
            down: say_applied,
            keeps: false,
        },
        _ => return None,
    })
}

/// Whether a resource was applied is said in both versions, whatever it is.
fn say_applied(binding: &mut Fields) {
    each(binding, "spec.bindings", |set| {
        each(set, "resources", |resource| always(resource, &["applied"], &json!(false)));
    });
}
