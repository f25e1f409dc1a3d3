//! Making Machines of a MachineSet: bootstrap object, infrastructure object, Machine.
//! (CAPI v1.14: machineset_controller.go, createMachines)

use std::collections::BTreeMap;

use kube::core::ApiResource;
use serde_json::Value;

use super::machines::{desired_machine, handed_on};
use super::{MachineSetReconciler, Scope};
use crate::api::core::{ContractRef, Machine};
use crate::client::{ObjectKey, Propagation};
use crate::contract::template::{CloneInput, clone_template};
use crate::contract::{conditions, machines, names, owners};
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
        match self.preflight(scope, "Scale up").await {
            Ok(failures) => scope.preflight = failures,
            Err(error) => {
                scope.preflight = vec![error.to_string()];
                scope.creation_failure = Some(("PreflightCheckFailed", error.to_string()));
                return Err(error);
            }
        }
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
            let name = self.free_name(scope, number);
            let name = note(scope, "MachineCreationFailed", name)?;
            let mut machine = desired_machine(scope, &handed_on(scope));
            machine.metadata.name = Some(name);
            let made = self.create(scope, machine, bootstrap.as_ref(), &infrastructure).await?;
            let name = machines::name(&made);
            let message = format!("Created Machine {name:?}");
            self.recorder.event(&scope.set, EventType::Normal, "SuccessfulCreate", message);
        }
        Ok(())
    }

    async fn template(
        &self,
        scope: &Scope,
        reference: &ContractRef,
    ) -> Result<Template, ReconcileError> {
        let kind = self.context.externals.kind(reference)?;
        let key = ObjectKey::new(scope.key.namespace.as_str(), reference.name.as_str());
        let object = self.context.client.get_dynamic(&kind.resource, &key).await?;
        match object {
            Some(object) => Ok(Template { reference: reference.clone(), object }),
            None => {
                let missing = self.context.externals.missing(reference, &key.namespace)?;
                Err(ReconcileError::Other(missing))
            }
        }
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
        let created = self.context.set_applied.apply(&machine, None).await;
        if created.is_err() {
            self.take_back(scope, &made).await;
        }
        Ok(note(scope, "MachineCreationFailed", created)?.unwrap_or(machine))
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
        self.context.set_applied.client().apply(&resource, &object).await?;
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
