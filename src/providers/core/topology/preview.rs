//! What a pass over a topology would do, by a pass whose writes are only tried.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::controller::asks_extensions;
use super::engine::{Engine, Inputs, Parts};
use super::events::Events;
use super::hooks::Hooks;
use super::scope::WorkerMachines;
use super::state::owned_selector;
use crate::api::core::{Cluster, Machine, MachineDeployment, MachineSet};
use crate::api::pools::MachinePool;
use crate::api::topology::ClusterClass;
use crate::client::{Client, ClientError, ObjectKey, Preview, Tried};
use crate::clock::{Clock, Seed};
use crate::contract::versions::ContractVersions;
use crate::contract::{conditions, labels};
use crate::metrics::Registry;

/// What would happen to one Cluster.
#[derive(Clone, Debug)]
pub(crate) struct Outlook {
    /// Message of the TopologyReconciled condition; an error, or what an upgrade waits for.
    pub message: String,
    /// Whether the pass would go through.
    pub is_ok: bool,
    /// Writes, in order.
    pub tried: Vec<Tried>,
}

/// Tries a pass over a Cluster with its class as they would be. Changed templates are in the
/// preview.
///
/// # Errors
/// A request failed.
pub(crate) async fn try_pass(
    preview: &Arc<Preview>,
    versions: &ContractVersions,
    clock: &Clock,
    cluster: &Cluster,
    class: Option<ClusterClass>,
) -> Result<Outlook, ClientError> {
    let client = preview.client();
    if let Some(class) = class.as_ref().filter(|class| asks_extensions(class)) {
        let class = ObjectKey::of(class);
        let message = format!(
            "runtime extensions have a say in ClusterClass {class}, and what they would answer is not known"
        );
        return Ok(Outlook { message, is_ok: false, tried: Vec::new() });
    }
    let engine = Engine::new(Parts {
        client: &client,
        versions,
        metrics: &Registry::default(),
        events: Events(None),
        hooks: Hooks::new(&client, None),
        seed: Seed(0),
    });
    let inputs = inputs(&client, cluster, class.map(reconciled)).await?;
    preview.take();
    let pass = engine.run(cluster, inputs, clock.now()).await;
    let status = pass.cluster.status.as_ref();
    let held = status.map_or(&[][..], |status| &status.conditions);
    let condition = conditions::get(held, "TopologyReconciled");
    Ok(Outlook {
        message: condition.map(|condition| condition.message.clone()).unwrap_or_default(),
        is_ok: pass.outcome.is_ok(),
        tried: preview.take(),
    })
}

async fn inputs(
    client: &Client,
    cluster: &Cluster,
    class: Option<ClusterClass>,
) -> Result<Inputs, ClientError> {
    let key = ObjectKey::of(cluster);
    let owned = owned_selector(&key.name);
    let deployments = client.list::<MachineDeployment>(&key.namespace, &owned).await?;
    let of_cluster = format!("{}={}", labels::CLUSTER_NAME, key.name);
    let machines = client.list::<Machine>(&key.namespace, &of_cluster).await?;
    let pools = client.list::<MachinePool>(&key.namespace, &owned).await?;
    let sets = client.list::<MachineSet>(&key.namespace, &of_cluster).await?;
    Ok(Inputs {
        class: class.map(Arc::new),
        blueprint: None,
        machines: WorkerMachines {
            deployments: deployments.into_iter().map(Arc::new).collect(),
            pools: pools.into_iter().map(Arc::new).collect(),
            sets: sets.into_iter().map(Arc::new).collect(),
            machines: machines.into_iter().map(Arc::new).collect(),
        },
    })
}

/// The class as its controller would leave it.
fn reconciled(mut class: ClusterClass) -> ClusterClass {
    let variables = super::super::clusterclass::list_variables(&mut class);
    let generation = class.metadata.generation;
    let status = class.status.get_or_insert_default();
    status.observed_generation = generation;
    let new = match variables {
        Ok(()) => conditions::New::yes("VariablesReady", "VariablesReady"),
        Err(error) => conditions::New::no("VariablesReady", "VariableDiscoveryFailed", error),
    };
    conditions::set(&mut status.conditions, new, generation, Timestamp::UNIX_EPOCH);
    class
}

/// Whether a change of a MachineDeployment or control plane means new Machines.
pub(crate) fn is_rollout(before: &Value, after: &Value) -> bool {
    let deployment = |object: &Value| {
        let template = object.pointer("/spec/template").cloned().unwrap_or_default();
        let template = serde_json::from_value(template).unwrap_or_default();
        super::super::template::hash(&template)
    };
    let control_plane = |object: &Value| {
        let spec = &object["spec"];
        let machines = &spec["machineTemplate"];
        let reference = [&machines["spec"]["infrastructureRef"], &machines["infrastructureRef"]];
        let name = reference.iter().find_map(|reference| reference["name"].as_str());
        (
            spec["version"].clone(),
            spec["kubeadmConfigSpec"].clone(),
            spec["rollout"]["after"].clone(),
            name.map(str::to_owned),
        )
    };
    match before["kind"].as_str() {
        Some("MachineDeployment") => deployment(before) != deployment(after),
        Some("MachinePool") => before["spec"]["template"] != after["spec"]["template"],
        Some(_) if before["spec"].get("machineTemplate").is_some() => {
            control_plane(before) != control_plane(after)
        }
        Some(_) | None => false,
    }
}
