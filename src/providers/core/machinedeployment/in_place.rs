//! Rollouts in place: which old MachineSets hand their Machines to the current one instead of
//! deleting them.
//! (CAPI v1.14: machinedeployment_canupdatemachineset.go, machinedeployment_rollout_rollingupdate.go)
//!
//! An extension is shown an old and the current MachineSet with their templates and says which
//! differences it can bring to a running Machine. Only if that covers all of them are Machines
//! updated in place.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::super::template;
use super::limits::strategy;
use super::planner::{name_of, present_of, wanted_of};
use super::rollout::Plan;
use super::{MachineDeploymentReconciler, Scope};
use crate::api::core::{ContractRef, MachineSet};
use crate::client::ObjectKey;
use crate::contract::{labels, machines, owners};
use crate::extensions::documents::{self, MachineSetPatches, Patch};
use crate::extensions::{Hook, Request, pending};
use crate::runtime::ReconcileError;

/// What a change of alone is no reason for a new Machine, and what an extension is not asked about.
const NOT_COMPARED: [&str; 7] = [
    "clusterName",
    "bootstrap",
    "infrastructureRef",
    "providerID",
    "minReadySeconds",
    "readinessGates",
    "taints",
];
const DELETION_TIMEOUTS: [&str; 3] =
    ["nodeDrainTimeoutSeconds", "nodeVolumeDetachTimeoutSeconds", "nodeDeletionTimeoutSeconds"];

/// Counts Machines that came from old sets, and lists them for the current one, which only then
/// starts their update.
pub(super) fn acknowledge(scope: &Scope, plan: &mut Plan) {
    let Some(current) = &mut plan.current else { return };
    let uid = current.metadata.uid.clone().unwrap_or_default();
    let moved: BTreeSet<String> = scope
        .machines
        .iter()
        .filter(|machine| owners::is_controlled_by(&machine.metadata, &uid))
        .filter(|it| labels::has_annotation(&it.metadata, labels::PENDING_ACKNOWLEDGE_MOVE))
        .map(|machine| machines::name(machine).to_owned())
        .collect();
    if moved.is_empty() {
        return;
    }
    let held = scope.sets().iter().find(|set| set.metadata.name == current.metadata.name);
    let annotations = held.and_then(|set| set.metadata.annotations.as_ref());
    let known = annotations.and_then(|held| held.get(labels::ACKNOWLEDGED_MOVE));
    let known: BTreeSet<&str> = known.map(|list| list.split(',').collect()).unwrap_or_default();
    let new = moved.iter().filter(|name| !known.contains(name.as_str())).count();
    let wanted = wanted_of(current) + i32::try_from(new).unwrap_or(0);
    current.spec.replicas = Some(wanted);
    annotate(current, labels::ACKNOWLEDGED_MOVE, moved);
}

/// Tells old sets where their surplus goes, and the current one whom it takes Machines from.
pub(super) fn mark(plan: &mut Plan, candidates: BTreeSet<String>) {
    let Some(current) = plan.current.as_mut().filter(|_| !candidates.is_empty()) else { return };
    let target = name_of(current).to_owned();
    for set in plan.old.iter_mut().filter(|set| candidates.contains(name_of(set))) {
        annotate(set, labels::MOVE_MACHINES_TO, [target.clone()].into());
    }
    annotate(current, labels::RECEIVE_MACHINES_FROM, candidates);
}

fn annotate(set: &mut MachineSet, annotation: &str, names: BTreeSet<String>) {
    let list: Vec<String> = names.into_iter().collect();
    let annotations = set.metadata.annotations.get_or_insert_with(Default::default);
    annotations.insert(annotation.to_owned(), list.join(","));
}

/// Whether a Machine of the deployment is being updated.
pub(super) fn is_any_updating(scope: &Scope) -> bool {
    scope.machines.iter().any(|machine| pending::is_update_in_progress(&machine.metadata))
}

impl MachineDeploymentReconciler {
    /// Names of old sets whose Machines an extension can bring to the current template.
    pub(super) async fn in_place_candidates(
        &self,
        scope: &Scope,
        plan: &Plan,
    ) -> Result<BTreeSet<String>, ReconcileError> {
        let mut found = BTreeSet::new();
        let is_rolling =
            strategy(&scope.deployment).is_some_and(|strategy| strategy.type_ == "RollingUpdate");
        let Some(current) = plan.current.as_ref().filter(|_| is_rolling) else { return Ok(found) };
        if wanted_of(current) >= scope.replicas() {
            return Ok(found);
        }
        let now = self.context.clock.now();
        for old in &plan.old {
            let wanted = &scope.deployment.spec.template;
            let is_eligible = present_of(old) > 0
                && !template::differences(&old.spec.template, wanted).is_empty()
                && !template::is_rollout_due(&scope.deployment, old, now);
            if is_eligible
                && self.can_update(old, current).await.map_err(|error| {
                    let name = name_of(old);
                    ReconcileError::Other(format!(
                        "failed to determine if MachineSet {name} can be updated in-place: {error}"
                    ))
                })?
            {
                found.insert(name_of(old).to_owned());
            }
        }
        Ok(found)
    }

    async fn can_update(&self, old: &MachineSet, new: &MachineSet) -> Result<bool, ReconcileError> {
        let other = ReconcileError::Other;
        let (hook, object) = (Hook::CanUpdateMachineSet, ObjectKey::of(old));
        let extensions = &self.context.extensions;
        let handlers = extensions.handlers(hook, &object.namespace).await;
        let handlers = handlers.map_err(|error| other(error.to_string()))?;
        let name = match handlers.as_slice() {
            [] => return Ok(false),
            [name] => name,
            several => {
                return Err(other(format!(
                    "found multiple CanUpdateMachineSet hooks ({}): only one hook is supported",
                    several.join(",")
                )));
            }
        };
        let Some(mut current) = self.side(old).await? else { return Ok(false) };
        let Some(desired) = self.side(new).await? else { return Ok(false) };
        let (bootstrap, infrastructure) =
            ("bootstrapConfigTemplate", "infrastructureMachineTemplate");
        if current.contains_key(bootstrap) != desired.contains_key(bootstrap) {
            return Ok(false);
        }
        let mut request = Request::new();
        request.insert("current".to_owned(), Value::Object(current.clone()));
        request.insert("desired".to_owned(), Value::Object(desired.clone()));
        let key = format!("{object} => {}", ObjectKey::of(new));
        let response = extensions.call_once_for(hook, &object, name, key, &request).await;
        let response = response.map_err(|error| other(error.to_string()))?;
        let patches: MachineSetPatches = response.decode().map_err(|why| {
            other(format!(
                "failed to call extension handler {name:?}: http call failed: failed to decode \
                 response: {why}"
            ))
        })?;
        for (part, patch) in [
            ("machineSet", &patches.machine_set_patch),
            (bootstrap, &patches.bootstrap_config_template_patch),
            (infrastructure, &patches.infrastructure_machine_template_patch),
        ] {
            apply(&mut current, part, patch).map_err(|why| {
                other(format!(
                    "failed to apply patches from extension {name} to the CanUpdateMachineSet \
                     request: {why}"
                ))
            })?;
        }
        let is_same = |part: &str| spec_of(&current, part) == spec_of(&desired, part);
        Ok(is_same("machineSet") && is_same(bootstrap) && is_same(infrastructure))
    }

    /// A set with its templates; `None` if a template is not there.
    async fn side(&self, set: &MachineSet) -> Result<Option<Map<String, Value>>, ReconcileError> {
        let mut object = json!(set);
        object["apiVersion"] = json!("cluster.x-k8s.io/v1beta2");
        object["kind"] = json!("MachineSet");
        let mut side = Map::new();
        side.insert("machineSet".to_owned(), documents::shown(object));
        let spec = &set.spec.template.spec;
        let parts = [
            ("infrastructureMachineTemplate", Some(&spec.infrastructure_ref)),
            ("bootstrapConfigTemplate", spec.bootstrap.config_ref.as_ref()),
        ];
        for (part, reference) in parts {
            let Some(reference) = reference else { continue };
            let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
            let Some(template) = self.template_object(reference, namespace).await? else {
                return Ok(None);
            };
            side.insert(part.to_owned(), documents::shown(template));
        }
        Ok(Some(side))
    }

    async fn template_object(
        &self,
        reference: &ContractRef,
        namespace: &str,
    ) -> Result<Option<Value>, ReconcileError> {
        let kind = self.context.externals.kind(reference)?;
        let key = ObjectKey::new(namespace, reference.name.as_str());
        Ok(self.context.client.get_dynamic(&kind.resource, &key).await?)
    }
}

/// Applies a patch to an object of a side; only its `spec.template.spec` counts.
fn apply(side: &mut Map<String, Value>, part: &str, patch: &Patch) -> Result<(), String> {
    let Some(object) = side.get_mut(part).filter(|_| patch.is_defined()) else { return Ok(()) };
    let mut patched = patch.apply(object)?;
    if let Some(spec) = patched.pointer_mut("/spec/template/spec") {
        object["spec"]["template"]["spec"] = spec.take();
    }
    Ok(())
}

/// `spec.template.spec` of an object of a side, as far as it is compared.
fn spec_of(side: &Map<String, Value>, part: &str) -> Value {
    let spec = side.get(part).and_then(|object| object.pointer("/spec/template/spec"));
    let mut spec = spec.cloned().unwrap_or_default();
    if let Some(fields) = spec.as_object_mut().filter(|_| part == "machineSet") {
        fields.retain(|name, _| !NOT_COMPARED.contains(&name.as_str()));
        if let Some(deletion) = fields.get_mut("deletion").and_then(Value::as_object_mut) {
            deletion.retain(|name, _| !DELETION_TIMEOUTS.contains(&name.as_str()));
            if deletion.is_empty() {
                fields.remove("deletion");
            }
        }
    }
    spec
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(spec: Value) -> Map<String, Value> {
        let object = json!({"machineSet": {"spec": {"template": {"spec": spec}}}});
        object.as_object().unwrap().clone()
    }

    #[test]
    fn a_patch_counts_for_the_machines_spec_only() {
        use base64::Engine as _;
        let text = json!([
            {"op": "replace", "path": "/spec/template/spec/version", "value": "v1.35.0"},
            {"op": "add", "path": "/spec/replicas", "value": 7},
        ]);
        let patch = base64::engine::general_purpose::STANDARD.encode(text.to_string());
        let patch = Patch { patch_type: "JSONPatch".to_owned(), patch };
        let mut old = side(json!({"version": "v1.34.0", "minReadySeconds": 5}));
        let new = side(json!({"version": "v1.35.0",
            "deletion": {"nodeDrainTimeoutSeconds": 1}}));
        assert_ne!(spec_of(&old, "machineSet"), spec_of(&new, "machineSet"));
        apply(&mut old, "machineSet", &patch).unwrap();
        assert_eq!(spec_of(&old, "machineSet"), spec_of(&new, "machineSet"));
        assert_eq!(old["machineSet"]["spec"].get("replicas"), None);
    }
}
