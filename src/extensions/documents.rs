//! Parts of requests and responses. (CAPI v1.14: api/runtime/hooks/v1alpha1)

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::handle::Request;
use crate::machinery::patch::{json as json_patch, merge};

/// Annotations that no request carries.
const INTERNAL: [&str; 2] =
    ["kubectl.kubernetes.io/last-applied-configuration", "cluster.x-k8s.io/conversion-data"];

/// A request that names a Cluster and nothing else yet.
pub fn with_cluster(cluster: &impl Serialize) -> Request {
    let mut request = Request::new();
    request.insert("cluster".to_owned(), cleaned(cluster));
    request
}

/// An object as requests carry it: without its status, managed fields, and annotations that are
/// somebody's memory. Null if it cannot be written as JSON.
pub fn cleaned(object: &impl Serialize) -> Value {
    let mut object = json!(object);
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.retain(|name, _| !INTERNAL.contains(&name.as_str()));
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
    }
    object
}

/// An object as in-place hooks are shown it: names, labels, annotations and spec.
pub fn shown(mut object: Value) -> Value {
    const SHOWN: [&str; 4] = ["name", "namespace", "labels", "annotations"];
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|field, _| SHOWN.contains(&field.as_str()));
    }
    object
}

/// A patch in a response.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Patch {
    /// `JSONPatch` or `JSONMergePatch`.
    pub patch_type: String,
    /// The patch as JSON, in base64.
    pub patch: String,
}

impl Patch {
    /// Whether there is a patch.
    pub fn is_defined(&self) -> bool {
        !self.patch_type.is_empty() || !self.patch.is_empty()
    }

    /// The patch as JSON text.
    ///
    /// # Errors
    /// It is no base64.
    pub fn text(&self) -> Result<Vec<u8>, String> {
        let mut text = self.patch.clone();
        // Some encoders break lines.
        text.retain(|c| !matches!(c, '\r' | '\n'));
        STANDARD.decode(&text).map_err(|error| error.to_string())
    }

    /// The object with the patch.
    ///
    /// # Errors
    /// What is wrong with the patch.
    pub fn apply(&self, object: &Value) -> Result<Value, String> {
        let text = self.text()?;
        let mut patched = object.clone();
        match self.patch_type.as_str() {
            "JSONPatch" => {
                let patch = json_patch::JsonPatch::parse(&text).map_err(|e| e.to_string())?;
                patch.apply(&mut patched).map_err(|e| e.to_string())?;
            }
            "JSONMergePatch" => {
                let patch: Value = serde_json::from_slice(&text).map_err(|e| e.to_string())?;
                merge::apply(&mut patched, &patch);
            }
            other => return Err(format!("unknown patchType {other}")),
        }
        Ok(patched)
    }
}

/// `items` of a GeneratePatchesResponse.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct GeneratedPatches {
    /// One patch an item of the request.
    #[serde(default)]
    pub items: Option<Vec<GeneratedPatch>>,
}

/// A patch for an item of the request.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct GeneratedPatch {
    /// The item's id.
    pub uid: String,
    /// The patch.
    #[serde(flatten)]
    pub patch: Patch,
}

/// The steps of a GenerateUpgradePlanResponse.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UpgradePlan {
    /// Versions of the control plane.
    pub control_plane_upgrades: Option<Vec<UpgradeStep>>,
    /// Versions of the workers.
    pub workers_upgrades: Option<Vec<UpgradeStep>>,
}

/// One step.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct UpgradeStep {
    /// The version.
    pub version: String,
}

/// The patches of a CanUpdateMachineResponse.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MachinePatches {
    /// Of the Machine.
    pub machine_patch: Patch,
    /// Of its infrastructure machine.
    pub infrastructure_machine_patch: Patch,
    /// Of its bootstrap configuration.
    pub bootstrap_config_patch: Patch,
}

/// The patches of a CanUpdateMachineSetResponse.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MachineSetPatches {
    /// Of the MachineSet.
    pub machine_set_patch: Patch,
    /// Of its infrastructure machine template.
    pub infrastructure_machine_template_patch: Patch,
    /// Of its bootstrap configuration template.
    pub bootstrap_config_template_patch: Patch,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_carry_no_status_and_no_memories() {
        let object = json!({
            "metadata": {"name": "a", "managedFields": [{}], "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": "{}",
                "cluster.x-k8s.io/conversion-data": "{}", "b": "c"}},
            "spec": {"d": 1}, "status": {"e": 2},
        });
        let expected =
            json!({"metadata": {"name": "a", "annotations": {"b": "c"}}, "spec": {"d": 1}});
        assert_eq!(Value::Object(with_cluster(&object)), json!({ "cluster": expected }));
    }

    #[test]
    fn line_breaks_in_base64_are_nothing() {
        let patch = Patch { patch: "eyJh\r\nIjoxfQ==\n".to_owned(), ..Patch::default() };
        assert_eq!(patch.text().as_deref(), Ok(&b"{\"a\":1}"[..]));
    }

    #[test]
    fn patches_of_both_types_are_applied() {
        let check = |type_: &str, patch: Value| {
            let patch =
                Patch { patch_type: type_.to_owned(), patch: STANDARD.encode(patch.to_string()) };
            patch.apply(&json!({"spec": {"a": 1}}))
        };
        let add = json!([{"op": "add", "path": "/spec/b", "value": 2}]);
        assert_eq!(check("JSONPatch", add), Ok(json!({"spec": {"a": 1, "b": 2}})));
        let merge = json!({"spec": {"a": null}});
        assert_eq!(check("JSONMergePatch", merge), Ok(json!({"spec": {}})));
        assert_eq!(check("Other", json!([])), Err("unknown patchType Other".to_owned()));
    }
}
