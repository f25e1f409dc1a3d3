//! Making Machines of a MachineSet: bootstrap object, infrastructure object, Machine.
//! (CAPI v1.14: machineset_controller.go, createMachines)

use std::collections::BTreeMap;

use kube::core::ApiResource;
use serde_json::Value;

use super::machines::machine_labels;
use super::{MachineSetReconciler, Scope, preflight};
use crate::api::core::{ContractRef, Machine};
use crate::client::{ObjectKey, Propagation};
use crate::contract::template::{CloneInput, clone_template};
use crate::contract::{conditions, labels, machines, names, owners};
use crate::machinery::gvk::split_api_version;
use crate::runtime::{EventType, ReconcileError};

/// A template as read for this reconcile.
struct Template {
    reference: ContractRef,
    object: Value,
}

/// An object made from a template.
struct Cloned {
    resource: ApiResource,
    reference: ContractRef,
}

impl MachineSetReconciler {
    /// Makes Machines if the preflight checks pass.
    pub(super) async fn create_machines(
        &self,
        scope: &mut Scope,
        count: usize,
    ) -> Result<(), ReconcileError> {
        scope.preflight = self.preflight(scope).await?;
        if !scope.preflight.is_empty() {
            scope.creation_failure = Some(("PreflightCheckFailed", scope.preflight.join("; ")));
            return Ok(());
        }
        let spec = scope.set.spec.template.spec.clone();
        let cloning_failed = "BootstrapTemplateCloningFailed";
        let bootstrap = match &spec.bootstrap.config_ref {
            Some(reference) => {
                let template = self.template(scope, reference).await;
                Some(note(scope, cloning_failed, template)?)
            }
            None => None,
        };
        let infrastructure = self.template(scope, &spec.infrastructure_ref).await;
        let infrastructure = note(scope, "InfrastructureTemplateCloningFailed", infrastructure)?;
        for number in 0..count {
            let machine = self.desired_machine(scope, number);
            let machine = note(scope, "MachineCreationFailed", machine)?;
            let made = self.create(scope, machine, bootstrap.as_ref(), &infrastructure).await?;
            let name = machines::name(&made);
            let message = format!("Created Machine {name:?}");
            self.recorder.event(&scope.set, EventType::Normal, "SuccessfulCreate", message);
        }
        Ok(())
    }

    async fn preflight(&self, scope: &Scope) -> Result<Vec<String>, ReconcileError> {
        let Some(reference) = &scope.cluster.spec.control_plane_ref else { return Ok(Vec::new()) };
        let namespace = &scope.key.namespace;
        let Some(control_plane) = self.context.find(reference, namespace).await? else {
            return Err(ReconcileError::Other(format!(
                "failed to perform \"Scale up\": failed to perform preflight checks: failed to get ControlPlane {namespace}/{}",
                reference.name
            )));
        };
        let template = match &scope.set.spec.template.spec.bootstrap.config_ref {
            Some(reference) => self.context.find(reference, namespace).await?,
            None => None,
        };
        let annotations =
            template.as_ref().and_then(|template| template.object.metadata.annotations.as_ref());
        preflight::failures(&scope.set, &control_plane, annotations).map_err(ReconcileError::Other)
    }

    async fn template(
        &self,
        scope: &Scope,
        reference: &ContractRef,
    ) -> Result<Template, ReconcileError> {
        let kind = self.context.externals.kind(reference)?;
        let key = ObjectKey::new(scope.key.namespace.as_str(), reference.name.as_str());
        let object = self.context.client.get_dynamic(&kind.resource, &key).await?;
        let object = object.ok_or_else(|| {
            ReconcileError::Other(format!("failed to retrieve {} {key}: not found", reference.kind))
        })?;
        Ok(Template { reference: reference.clone(), object })
    }

    /// The Machine to make, without references to its objects.
    fn desired_machine(&self, scope: &Scope, number: usize) -> Result<Machine, ReconcileError> {
        let set = &scope.set;
        let mut machine = Machine::default();
        let metadata = &mut machine.metadata;
        metadata.name = Some(self.free_name(scope, number)?);
        metadata.namespace = Some(scope.key.namespace.clone());
        metadata.owner_references = Some(vec![owners::controller_of(set)]);
        metadata.finalizers = Some(vec![labels::MACHINE_FINALIZER.to_owned()]);
        metadata.labels = Some(machine_labels(scope));
        let annotations = &set.spec.template.metadata.annotations;
        metadata.annotations = (!annotations.is_empty()).then(|| annotations.clone());
        machine.spec = set.spec.template.spec.clone();
        machine.spec.cluster_name.clone_from(&set.spec.cluster_name);
        machine.spec.infrastructure_ref = ContractRef::default();
        machine.spec.bootstrap.config_ref = None;
        Ok(machine)
    }

    /// A name that no Machine, nor any object named like one, has.
    fn free_name(&self, scope: &Scope, number: usize) -> Result<String, ReconcileError> {
        let template = scope
            .set
            .spec
            .machine_naming
            .as_ref()
            .map(|naming| naming.template.as_str())
            .filter(|template| !template.is_empty())
            .unwrap_or("{{ .machineSet.name }}-{{ .random }}");
        let values = [
            ("cluster.name", scope.set.spec.cluster_name.as_str()),
            ("machineSet.name", scope.key.name.as_str()),
        ];
        let generation = generation_of_names(scope);
        let number = number.to_string();
        for attempt in 0_u32.. {
            let random = self.context.seed.number(&[
                &scope.key.namespace,
                "MachineSet",
                &scope.key.name,
                &generation,
                &number,
                &attempt.to_string(),
            ]);
            let name = names::from_template(template, &values, random).map_err(|error| {
                ReconcileError::Other(format!("failed to generate Machine name: {error}"))
            })?;
            if !self.is_taken(scope, &name) || attempt > 100 {
                return Ok(name);
            }
        }
        Err(ReconcileError::Other("failed to generate Machine name".to_owned()))
    }

    fn is_taken(&self, scope: &Scope, name: &str) -> bool {
        let namespace = &scope.key.namespace;
        let spec = &scope.set.spec.template.spec;
        let references =
            std::iter::once(&spec.infrastructure_ref).chain(&spec.bootstrap.config_ref);
        let is_object = |reference: &ContractRef| {
            let kind = reference.kind.strip_suffix("Template").unwrap_or(&reference.kind);
            let reference = ContractRef {
                api_group: reference.api_group.clone(),
                kind: kind.to_owned(),
                name: name.to_owned(),
            };
            self.context.externals.is_known(&reference, namespace)
        };
        self.context.machines.get(namespace, name).is_some()
            || scope.machines().iter().any(|machine| machines::name(machine) == name)
            || references.into_iter().any(is_object)
    }

    /// Makes the three objects; what was made goes again if a later one cannot be.
    async fn create(
        &self,
        scope: &mut Scope,
        mut machine: Machine,
        bootstrap: Option<&Template>,
        infrastructure: &Template,
    ) -> Result<Machine, ReconcileError> {
        let mut made: Vec<Cloned> = Vec::new();
        if let Some(template) = bootstrap {
            let cloned = self.clone_of(scope, &machine, template).await;
            let cloned = note(scope, "BootstrapTemplateCloningFailed", cloned)?;
            machine.spec.bootstrap.config_ref = Some(cloned.reference.clone());
            made.push(cloned);
        }
        let cloned = self.clone_of(scope, &machine, infrastructure).await;
        let cloned = match note(scope, "InfrastructureTemplateCloningFailed", cloned) {
            Ok(cloned) => cloned,
            Err(error) => {
                self.take_back(scope, &made).await;
                return Err(error);
            }
        };
        machine.spec.infrastructure_ref = cloned.reference.clone();
        made.push(cloned);
        let created = self.context.client.create(&machine).await.map_err(ReconcileError::from);
        if created.is_err() {
            self.take_back(scope, &made).await;
        }
        note(scope, "MachineCreationFailed", created)
    }

    async fn clone_of(
        &self,
        scope: &Scope,
        machine: &Machine,
        template: &Template,
    ) -> Result<Cloned, ReconcileError> {
        let empty = BTreeMap::new();
        let object = clone_template(&CloneInput {
            template: &template.object,
            reference: &template.reference,
            namespace: &scope.key.namespace,
            name: machines::name(machine),
            cluster_name: &machine.spec.cluster_name,
            owner: Some(owners::owner_of(&scope.set)),
            labels: machine.metadata.labels.as_ref().unwrap_or(&empty),
            annotations: machine.metadata.annotations.as_ref().unwrap_or(&empty),
        });
        let text =
            |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let reference = ContractRef {
            api_group: split_api_version(&text("apiVersion")).0.to_owned(),
            kind: text("kind"),
            name: machines::name(machine).to_owned(),
        };
        let resource = self.context.externals.kind(&reference)?.resource.clone();
        self.context.client.create_dynamic(&resource, &object).await?;
        Ok(Cloned { resource, reference })
    }

    async fn take_back(&self, scope: &Scope, made: &[Cloned]) {
        for Cloned { resource, reference } in made {
            let key = ObjectKey::new(scope.key.namespace.as_str(), reference.name.as_str());
            let client = &self.context.client;
            if let Err(error) = client.delete_dynamic(resource, &key, Propagation::Default).await {
                tracing::warn!(kind = reference.kind, %key, %error, "failed to clean up");
            }
        }
    }
}

/// Notes a failure for the v1beta1 condition.
fn note<T>(
    scope: &mut Scope,
    reason: &'static str,
    result: Result<T, ReconcileError>,
) -> Result<T, ReconcileError> {
    if let Err(error) = &result {
        scope.creation_failure = Some((reason, error.to_string()));
    }
    result
}

/// Sets names of different times apart: the first Machines of a set always get the same names for
/// the same seed; later ones do not get a name again that a Machine had before.
fn generation_of_names(scope: &Scope) -> String {
    let status = scope.set.status.as_ref();
    let had_machines = status.is_some_and(|status| {
        conditions::get(&status.conditions, "MachinesReady")
            .is_some_and(|condition| condition.reason != "NoReplicas")
            || status.replicas.unwrap_or(0) > 0
    });
    let version = scope.set.metadata.resource_version.as_ref();
    version.filter(|_| had_machines).cloned().unwrap_or_default()
}
