//! MachineDeployments and MachinePools: those that are missing are made, those that left the
//! topology are deleted. (CAPI v1.14: reconcileMachineDeployments, reconcileMachinePools)

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::desired::Desired;
use super::kinds::{core_resource, wrap};
use super::labels;
use super::references::{Compatible, Made, Writer, version_change};
use super::scope::{Scope, WorkersState};
use super::state::{health_check, owned_selector};
use super::tree;
use crate::client::Client;
use crate::runtime::ReconcileError;

const VERSION: &str = "/spec/template/spec/version";

/// Brings the MachineDeployments in line.
///
/// # Errors
/// A request failed, or a template would become another kind.
pub(super) async fn machine_deployments(
    writer: &Writer<'_>,
    client: &Client,
    scope: &Scope,
    desired: &mut Desired,
) -> Result<(), ReconcileError> {
    let current = &scope.current.machine_deployments;
    let wanted = &mut desired.state.machine_deployments;
    let is_missing = |name: &String| !current.contains_key(name);
    let pending = &scope.tracker.machine_deployments.pending_create;
    if wanted.keys().any(|name| is_missing(name) && !pending.contains(name)) {
        let existing =
            existing(client, scope, "MachineDeployment", labels::DEPLOYMENT_NAME).await?;
        for (name, workers) in wanted.iter_mut() {
            if is_missing(name) && !pending.contains(name) && !existing.contains(name) {
                create_deployment(writer, workers).await?;
            }
        }
    }
    for (name, workers) in wanted.iter_mut() {
        if let Some(current) = current.get(name) {
            update_deployment(writer, scope, name, current, workers).await?;
        }
    }
    for workers in current.iter().filter(|(name, _)| !wanted.contains_key(*name)) {
        delete_deployment(writer, workers.1).await?;
    }
    Ok(())
}

/// Names within the topology of workers that exist: copies may be behind, and a second set of
/// workers would be the worst of mistakes.
async fn existing(
    client: &Client,
    scope: &Scope,
    kind: &str,
    label: &str,
) -> Result<BTreeSet<String>, ReconcileError> {
    let resource = core_resource(kind);
    let selector = owned_selector(scope.name());
    let found = client.list_dynamic(&resource, scope.namespace(), &selector).await;
    let found = found.map_err(|error| {
        wrap(format!("failed to read {kind}s for managed topology"), error.into())
    })?;
    let names = found.iter().map(|object| object["metadata"]["labels"][label].as_str());
    Ok(names.flatten().map(str::to_owned).collect())
}

async fn create_deployment(
    writer: &Writer<'_>,
    workers: &mut WorkersState,
) -> Result<(), ReconcileError> {
    let in_context = |error| wrap("failed to create MachineDeployment", error);
    let (Some(infrastructure), Some(bootstrap)) =
        (&mut workers.infrastructure, &mut workers.bootstrap)
    else {
        return Ok(());
    };
    let strict = Compatible::KindAndNamespace;
    writer.template(None, infrastructure, "", strict).await.map_err(in_context)?;
    if let Err(error) = writer.template(None, bootstrap, "", strict).await {
        writer.clean_up(&[Some(&*infrastructure)]).await;
        return Err(in_context(error));
    }
    let object = &workers.object;
    if let Err(error) = writer.create(object, &[]).await {
        writer.clean_up(&[Some(&*infrastructure), Some(&*bootstrap)]).await;
        return Err(error);
    }
    let message = format!("Created MachineDeployment {:?}", tree::key(object));
    writer.events.created(writer.cluster, message);
    health_check(writer, None, workers.health_check.as_ref()).await
}

async fn update_deployment(
    writer: &Writer<'_>,
    scope: &Scope,
    name: &str,
    current: &WorkersState,
    workers: &mut WorkersState,
) -> Result<(), ReconcileError> {
    health_check(writer, current.health_check.as_ref(), workers.health_check.as_ref()).await?;
    let held = &current.object;
    // What waits for its next version gets everything with it, in one rollout.
    let pending = &scope.tracker.machine_deployments.pending_upgrade;
    if is_deleting(held) || pending.contains(tree::name(held)) {
        return Ok(());
    }
    let (Some(infrastructure), Some(bootstrap)) =
        (&mut workers.infrastructure, &mut workers.bootstrap)
    else {
        return Ok(());
    };
    let in_context = |error| wrap(format!("failed to reconcile {}", tree::describe(held)), error);
    let prefix = format!("{}-{name}-", scope.name());
    let strict = Compatible::KindAndNamespace;
    let template = current.infrastructure.as_ref();
    let made = writer.template(template, infrastructure, &prefix, strict).await;
    let made_infrastructure: Made<'_> = made.map_err(in_context)?.then_some(&*infrastructure);
    let template = current.bootstrap.as_ref();
    let made = writer.template(template, bootstrap, &prefix, Compatible::Namespace).await;
    let made_bootstrap: Made<'_> = match made {
        Ok(is_made) => is_made.then_some(&*bootstrap),
        Err(error) => {
            writer.clean_up(&[made_infrastructure]).await;
            return Err(in_context(error));
        }
    };
    let object = &mut workers.object;
    let spec = ["spec", "template", "spec"];
    let path = [&spec[..], &["infrastructureRef", "name"]].concat();
    tree::set(object, &path, json!(tree::name(infrastructure)));
    let path = [&spec[..], &["bootstrap", "configRef", "name"]].concat();
    tree::set(object, &path, json!(tree::name(bootstrap)));
    match writer.update(held, object, &[]).await {
        Ok(true) => {
            let change = version_change(held, object, VERSION);
            let message = format!("Updated MachineDeployment {:?}{change}", tree::key(held));
            writer.events.updated(writer.cluster, message);
            Ok(())
        }
        Ok(false) => Ok(()),
        Err(error) => {
            writer.clean_up(&[made_infrastructure, made_bootstrap]).await;
            Err(error)
        }
    }
}

fn is_deleting(object: &Value) -> bool {
    object["metadata"].get("deletionTimestamp").is_some()
}

async fn delete_deployment(
    writer: &Writer<'_>,
    workers: &WorkersState,
) -> Result<(), ReconcileError> {
    health_check(writer, workers.health_check.as_ref(), None).await?;
    if is_deleting(&workers.object) {
        return Ok(());
    }
    delete(writer, "MachineDeployment", &workers.object).await
}

async fn delete(writer: &Writer<'_>, kind: &str, object: &Value) -> Result<(), ReconcileError> {
    let key = tree::key(object);
    writer
        .applier
        .delete(&core_resource(kind), object)
        .await
        .map_err(|error| wrap(format!("failed to delete {kind} {key}"), error.into()))?;
    writer.events.deleted(writer.cluster, format!("Deleted {kind} {key:?}"));
    Ok(())
}

/// Brings the MachinePools in line.
///
/// # Errors
/// A request failed, or an object would become another one.
pub(super) async fn machine_pools(
    writer: &Writer<'_>,
    client: &Client,
    scope: &Scope,
    desired: &Desired,
) -> Result<(), ReconcileError> {
    let current = &scope.current.machine_pools;
    let wanted = &desired.state.machine_pools;
    let is_missing = |name: &String| !current.contains_key(name);
    let pending = &scope.tracker.machine_pools.pending_create;
    if wanted.keys().any(|name| is_missing(name) && !pending.contains(name)) {
        let existing = existing(client, scope, "MachinePool", labels::POOL_NAME).await?;
        for (name, workers) in wanted {
            if is_missing(name) && !pending.contains(name) && !existing.contains(name) {
                create_pool(writer, workers).await?;
            }
        }
    }
    for (name, workers) in wanted {
        if let Some(current) = current.get(name) {
            update_pool(writer, scope, current, workers).await?;
        }
    }
    for (_, workers) in current.iter().filter(|(name, _)| !wanted.contains_key(*name)) {
        if !is_deleting(&workers.object) {
            delete(writer, "MachinePool", &workers.object).await?;
        }
    }
    Ok(())
}

async fn create_pool(writer: &Writer<'_>, workers: &WorkersState) -> Result<(), ReconcileError> {
    let in_context = |error| wrap("failed to create MachinePool", error);
    let (Some(infrastructure), Some(bootstrap)) = (&workers.infrastructure, &workers.bootstrap)
    else {
        return Ok(());
    };
    writer.object(None, infrastructure, &[]).await.map_err(in_context)?;
    if let Err(error) = writer.object(None, bootstrap, &[]).await {
        writer.clean_up(&[Some(infrastructure)]).await;
        return Err(in_context(error));
    }
    if let Err(error) = writer.create(&workers.object, &[]).await {
        writer.clean_up(&[Some(infrastructure), Some(bootstrap)]).await;
        return Err(error);
    }
    let message = format!("Created MachinePool {:?}", tree::key(&workers.object));
    writer.events.created(writer.cluster, message);
    Ok(())
}

async fn update_pool(
    writer: &Writer<'_>,
    scope: &Scope,
    current: &WorkersState,
    workers: &WorkersState,
) -> Result<(), ReconcileError> {
    let held = &current.object;
    if scope.tracker.machine_pools.pending_upgrade.contains(tree::name(held)) {
        return Ok(());
    }
    let parts = [
        (&current.infrastructure, &workers.infrastructure),
        (&current.bootstrap, &workers.bootstrap),
    ];
    for (current, wanted) in parts {
        let Some(wanted) = wanted else { continue };
        writer.object(current.as_ref(), wanted, &[]).await.map_err(|error| {
            wrap(format!("failed to reconcile {}", tree::describe(held)), error)
        })?;
    }
    if writer.update(held, &workers.object, &[]).await? {
        let change = version_change(held, &workers.object, VERSION);
        let message = format!("Updated MachinePool {:?}{change}", tree::key(held));
        writer.events.updated(writer.cluster, message);
    }
    Ok(())
}
