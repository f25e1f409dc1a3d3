//! A class with its templates, shared by all Clusters of the class.
//! (CAPI v1.14: blueprint.go, exp/topology/scope/blueprint.go)

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::kinds::{Kinds, wrap};
use crate::api::health_check::HealthChecks;
use crate::api::topology::{
    ClusterClass, HealthCheckRemediation, HealthCheckTopology, MachineDeploymentClass,
    MachinePoolClass, TemplateRef, Topology,
};
use crate::client::ObjectKey;
use crate::runtime::ReconcileError;

/// A class and the templates that it names.
#[derive(Debug)]
pub(super) struct Blueprint {
    /// The class.
    pub class: Arc<ClusterClass>,
    /// Template of the infrastructure cluster.
    pub infrastructure: Value,
    /// Template of the control plane.
    pub control_plane: Value,
    /// Template of the control plane's infrastructure machines, where it has Machines.
    pub control_plane_machines: Option<Value>,
    /// Templates of MachineDeployments by class.
    pub machine_deployments: BTreeMap<String, WorkerTemplates>,
    /// Templates of MachinePools by class.
    pub machine_pools: BTreeMap<String, WorkerTemplates>,
}

/// Templates of one class of workers.
#[derive(Debug)]
pub(super) struct WorkerTemplates {
    /// Bootstrap template.
    pub bootstrap: Value,
    /// Infrastructure template.
    pub infrastructure: Value,
}

impl Blueprint {
    /// A blueprint of nothing, for what needs none.
    pub(super) fn empty() -> Self {
        Self {
            class: Arc::default(),
            infrastructure: Value::Null,
            control_plane: Value::Null,
            control_plane_machines: None,
            machine_deployments: BTreeMap::new(),
            machine_pools: BTreeMap::new(),
        }
    }

    /// Reads all templates of a class.
    ///
    /// # Errors
    /// One does not exist, or a request failed.
    pub(super) async fn read(
        kinds: &Kinds,
        class: &Arc<ClusterClass>,
    ) -> Result<Self, ReconcileError> {
        let spec = &class.spec;
        let of_class = format!("for ClusterClass {}", ObjectKey::of(&**class));
        let namespace = class.metadata.namespace.as_deref().unwrap_or_default();
        let read = async |reference: &TemplateRef, what: String| {
            read_template(kinds, reference, namespace).await.map_err(|error| wrap(what, error))
        };
        let infrastructure = read(
            &spec.infrastructure.template_ref,
            format!("failed to get infrastructure cluster template {of_class}"),
        );
        let infrastructure = infrastructure.await?;
        let control_plane = &spec.control_plane;
        let what = format!("failed to get control plane template {of_class}");
        let template = read(&control_plane.template_ref, what).await?;
        let machines = &control_plane.machine_infrastructure.template_ref;
        let what = format!("failed to get control plane's machine template {of_class}");
        let control_plane_machines = match machines.is_defined() {
            true => Some(read(machines, what).await?),
            false => None,
        };
        let mut machine_deployments = BTreeMap::new();
        for workers in &spec.workers.machine_deployments {
            let of_class = format!("{of_class}, MachineDeployment class {:?}", workers.class);
            let what = format!("failed to get infrastructure machine template {of_class}");
            let infrastructure = read(&workers.infrastructure.template_ref, what).await?;
            let what = format!("failed to get bootstrap config template {of_class}");
            let bootstrap = read(&workers.bootstrap.template_ref, what).await?;
            let templates = WorkerTemplates { bootstrap, infrastructure };
            machine_deployments.insert(workers.class.clone(), templates);
        }
        let mut machine_pools = BTreeMap::new();
        for workers in &spec.workers.machine_pools {
            let of_class = format!("{of_class}, MachinePool class {:?}", workers.class);
            let what = format!("failed to get InfrastructureMachinePoolTemplate {of_class}");
            let infrastructure = read(&workers.infrastructure.template_ref, what).await?;
            let what = format!("failed to get bootstrap config {of_class}");
            let bootstrap = read(&workers.bootstrap.template_ref, what).await?;
            let templates = WorkerTemplates { bootstrap, infrastructure };
            machine_pools.insert(workers.class.clone(), templates);
        }
        Ok(Self {
            class: class.clone(),
            infrastructure,
            control_plane: template,
            control_plane_machines,
            machine_deployments,
            machine_pools,
        })
    }

    /// `namespace/name` of the class.
    pub(super) fn key(&self) -> ObjectKey {
        ObjectKey::of(&*self.class)
    }

    /// Whether the control plane has infrastructure machines.
    pub(super) fn has_control_plane_machines(&self) -> bool {
        self.control_plane_machines.is_some()
    }

    /// A class of MachineDeployments with its templates.
    ///
    /// # Errors
    /// There is no such class.
    pub(super) fn machine_deployment(
        &self,
        class: &str,
    ) -> Result<(&MachineDeploymentClass, &WorkerTemplates), ReconcileError> {
        let all = &self.class.spec.workers.machine_deployments;
        let found = all.iter().find(|workers| workers.class == class);
        found.zip(self.machine_deployments.get(class)).ok_or_else(|| {
            let key = self.key();
            ReconcileError::Other(format!(
                "MachineDeployment class {class} not found in ClusterClass {key}"
            ))
        })
    }

    /// A class of MachinePools with its templates.
    ///
    /// # Errors
    /// There is no such class.
    pub(super) fn machine_pool(
        &self,
        class: &str,
    ) -> Result<(&MachinePoolClass, &WorkerTemplates), ReconcileError> {
        let all = &self.class.spec.workers.machine_pools;
        let found = all.iter().find(|workers| workers.class == class);
        found.zip(self.machine_pools.get(class)).ok_or_else(|| {
            let key = self.key();
            ReconcileError::Other(format!(
                "MachinePool class {class} not found in ClusterClass {key}"
            ))
        })
    }

    /// The health check of the control plane's Machines, if there shall be one.
    pub(super) fn control_plane_health_check(&self, topology: &Topology) -> Option<HealthCheck> {
        if !self.has_control_plane_machines() {
            return None;
        }
        let class = &self.class.spec.control_plane.health_check;
        let class = class.is_defined().then(|| (class.checks.clone(), class.remediation.clone()));
        health_check(&topology.control_plane.health_check, class)
    }
}

/// What makes a Machine unhealthy, and what happens then.
pub(super) type HealthCheck = (HealthChecks, HealthCheckRemediation);

/// The health check that topology and class give together, if it is enabled.
pub(super) fn health_check(
    topology: &HealthCheckTopology,
    class: Option<HealthCheck>,
) -> Option<HealthCheck> {
    let own =
        topology.is_defined().then(|| (topology.checks.clone(), topology.remediation.clone()));
    own.or(class).filter(|_| topology.enabled.unwrap_or(true))
}

async fn read_template(
    kinds: &Kinds,
    reference: &TemplateRef,
    namespace: &str,
) -> Result<Value, ReconcileError> {
    if !reference.is_defined() {
        return Err(ReconcileError::Other("reference is not set".to_owned()));
    }
    let resource = kinds.resource(&reference.api_version, &reference.kind)?;
    kinds.read(&resource, &ObjectKey::new(namespace, reference.name.as_str())).await
}

/// All templates that a class names, in upstream's order; one may be named more than once.
/// (CAPI v1.14: clusterclass_controller.go)
pub(crate) fn template_refs(class: &ClusterClass) -> Vec<&TemplateRef> {
    let spec = &class.spec;
    let mut all = vec![
        &spec.infrastructure.template_ref,
        &spec.control_plane.template_ref,
        &spec.control_plane.machine_infrastructure.template_ref,
    ];
    for workers in &spec.workers.machine_deployments {
        all.extend([&workers.bootstrap.template_ref, &workers.infrastructure.template_ref]);
    }
    for workers in &spec.workers.machine_pools {
        all.extend([&workers.bootstrap.template_ref, &workers.infrastructure.template_ref]);
    }
    all.retain(|reference| reference.is_defined());
    all
}
