//! Fields that capim adds to upstream's schemas.
//!
//! Upstream's DevMachinePool has a docker backend only, so `spec.backend.inMemory` is ours: the
//! same fields as a DevMachine's, of which every machine of the pool gets a copy.

use serde_json::{Value, json};

use crate::machinery::definition::ResourceDefinition;
use crate::machinery::schema::Schema;

/// Where the addition stands, by kind.
const POOLS: [(&str, &str); 2] = [
    ("DevMachinePool", "/properties/spec/properties/backend/properties"),
    (
        "DevMachinePoolTemplate",
        "/properties/spec/properties/template/properties/spec/properties/backend/properties",
    ),
];

/// Adds the fields.
pub(super) fn add(definitions: &mut [ResourceDefinition]) {
    for definition in definitions {
        let place = POOLS.iter().find(|(kind, _)| *kind == &*definition.kind);
        let Some((_, place)) = place else { continue };
        let mut document = definition.schema.to_openapi();
        if let Some(backends) = document.pointer_mut(place).and_then(Value::as_object_mut) {
            backends.insert("inMemory".to_owned(), behaviour());
            definition.schema =
                Schema::from_openapi(&document).expect("the addition is tested to be a schema");
        }
    }
}

/// The schema of a DevMachine's `spec.backend.inMemory`.
fn behaviour() -> Value {
    let text = json!({"type": "string"});
    let provisioning = json!({
        "type": "object",
        "required": ["startupDuration"],
        "properties": {"startupDuration": text.clone(), "startupJitter": text},
    });
    let part = json!({"type": "object", "properties": {"provisioning": provisioning}});
    let parts = ["apiServer", "etcd", "node", "vm"].map(|name| (name.to_owned(), part.clone()));
    let parts: serde_json::Map<String, Value> = parts.into_iter().collect();
    json!({"type": "object", "properties": parts})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::definitions::definitions;

    fn schema(kind: &str) -> Value {
        let all = definitions();
        let found = all.iter().find(|one| &*one.kind == kind && &*one.version == "v1beta2");
        found.expect("served").schema.to_openapi()
    }

    #[test]
    fn pools_and_their_templates_have_the_backend_of_machines() {
        let machine = schema("DevMachine");
        let wanted = machine.pointer("/properties/spec/properties/backend/properties/inMemory");
        assert!(wanted.is_some());
        for (kind, place) in POOLS {
            let pool = schema(kind);
            assert_eq!(pool.pointer(&format!("{place}/inMemory")), wanted, "{kind}");
            assert!(pool.pointer(&format!("{place}/docker")).is_some(), "{kind}");
        }
    }
}
