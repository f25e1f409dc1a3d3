//! What MachineDeployments and MachinePools of a topology have in common.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::kinds::reference_to;
use super::super::labels;
use super::super::scope::{Scope, WorkersState};
use super::super::tree::{self, merged};
use super::{Generator, keep_or, name_error, template_or};
use crate::api::core::{Bootstrap, MachineSpec, TemplateMeta};
use crate::contract;
use crate::runtime::ReconcileError;

/// One kind of workers.
pub(super) struct WorkerKind {
    /// Kind.
    pub kind: &'static str,
    /// Label that names the workers within the topology.
    pub label: &'static str,
    /// The topology's name of the workers, as naming templates call it.
    pub named: &'static str,
    /// Naming template unless the class has one.
    pub naming: &'static str,
    /// Makes an object of a template of the class, with a name.
    pub object: fn(&Scope, &Value, &str) -> Value,
}

/// What Machines of some workers are made of.
pub(super) struct Parts {
    /// Name of the workers.
    pub name: String,
    /// Labels by which they are known.
    pub own_labels: BTreeMap<String, String>,
    /// Bootstrap template, or configuration.
    pub bootstrap: Value,
    /// Infrastructure template, or object.
    pub infrastructure: Value,
    /// Version and references of their Machines.
    pub machine: MachineSpec,
}

/// What [`Generator::parts`] takes.
pub(super) struct Input<'a> {
    pub kind: &'a WorkerKind,
    /// Name within the topology.
    pub topology_name: &'a str,
    /// Naming template of the class; may be empty.
    pub naming: &'a str,
    /// Templates of the class.
    pub templates: &'a super::super::blueprint::WorkerTemplates,
    /// The workers that exist.
    pub current: Option<&'a WorkersState>,
    /// Version of their Machines.
    pub version: String,
    /// Uids of what is left of workers that had this name before: new ones get other names.
    pub left: Vec<String>,
}

impl Generator<'_> {
    /// Name and parts of workers; those that exist keep their names.
    pub(super) fn parts(&self, scope: &Scope, input: Input<'_>) -> Result<Parts, ReconcileError> {
        let Input { kind, topology_name, current, .. } = input;
        let before: Vec<&str> = input.left.iter().map(String::as_str).collect();
        let own = |source: &Value, current: Option<&Value>| {
            let prefix = format!("{}-{topology_name}-", scope.name());
            let name = keep_or(current, || {
                let purpose = [&[tree::kind(source)][..], &before].concat();
                Ok(self.names(&scope.cluster).generate(&prefix, &purpose))
            })?;
            let mut own = (kind.object)(scope, source, &name);
            tree::set(&mut own, &["metadata", "labels", kind.label], json!(topology_name));
            Ok::<_, ReconcileError>(own)
        };
        let bootstrap = current.and_then(|current| current.bootstrap.as_ref());
        let bootstrap = own(&input.templates.bootstrap, bootstrap)?;
        let infrastructure = current.and_then(|current| current.infrastructure.as_ref());
        let infrastructure = own(&input.templates.infrastructure, infrastructure)?;
        let name = keep_or(current.map(|current| &current.object), || {
            let naming = template_or(input.naming, kind.naming);
            let names = self.names(&scope.cluster);
            let purpose = [&[kind.kind, topology_name][..], &before].concat();
            names
                .render(naming, &[(kind.named, topology_name)], &purpose)
                .map_err(|error| name_error(kind.kind, &error))
        })?;
        let machine = MachineSpec {
            cluster_name: scope.name().to_owned(),
            version: input.version,
            bootstrap: Bootstrap {
                config_ref: Some(reference_to(&bootstrap)),
                data_secret_name: None,
            },
            infrastructure_ref: reference_to(&infrastructure),
            ..MachineSpec::default()
        };
        let own_labels = [
            (contract::labels::CLUSTER_NAME, scope.name()),
            (labels::OWNED, ""),
            (kind.label, topology_name),
        ]
        .map(|(label, value)| (label.to_owned(), value.to_owned()))
        .into();
        Ok(Parts { name, own_labels, bootstrap, infrastructure, machine })
    }
}

/// Annotations of workers and of their Machines: those of topology and class, but for those that
/// speak of the upgrade.
pub(super) fn annotations(
    topology: &TemplateMeta,
    class: &TemplateMeta,
) -> BTreeMap<String, String> {
    let mut annotations = merged(&topology.annotations, &class.annotations);
    annotations.remove(labels::HOLD_UPGRADE_SEQUENCE);
    annotations.remove(labels::DEFER_UPGRADE);
    annotations
}
