//! What Clusters with a topology and ClusterClasses have in common, and `Cluster.spec.topology`.

use serde_json::Value;

use super::fields::{
    self, Fields, drop_blank, each, is_blank, items, object, put, shift, shift_set, take,
    take_object,
};
use super::values::{
    Outcome, duration_at, seconds, seconds_at, template_down, template_up, timeouts_down,
    timeouts_up,
};

/// Turns `spec.topology` of a spoke into the hub's.
pub(super) fn up(topology: &mut Fields) -> Outcome {
    shift_set(topology, "class", "classRef.name");
    shift_set(topology, "classNamespace", "classRef.namespace");
    // Nothing ever read it.
    take(topology, "rolloutAfter");
    forget_sources(topology, "variables");
    if let Some(control_plane) = object(topology, "controlPlane") {
        forget_sources(control_plane, "variables.overrides");
        timeouts_up(control_plane, "")?;
        health_check_up(control_plane)?;
    }
    for machines in items(topology, "workers.machineDeployments") {
        forget_sources(machines, "variables.overrides");
        strategy_up(machines, "healthCheck.remediation.maxInFlight");
        timeouts_up(machines, "")?;
        health_check_up(machines)?;
    }
    for machines in items(topology, "workers.machinePools") {
        forget_sources(machines, "variables.overrides");
        timeouts_up(machines, "")?;
    }
    Ok(())
}

/// Turns `spec.topology` of the hub into a spoke's.
pub(super) fn down(topology: &mut Fields, namespace: &str) {
    shift(topology, "classRef.name", "class");
    shift(topology, "classRef.namespace", "classNamespace");
    take(topology, "classRef");
    if let Some(control_plane) = object(topology, "controlPlane") {
        timeouts_down(control_plane, "");
        health_check_down(control_plane, namespace);
    }
    each(topology, "workers.machineDeployments", |machines| {
        strategy_down(machines, "healthCheck.remediation.maxInFlight");
        timeouts_down(machines, "");
        health_check_down(machines, namespace);
    });
    each(topology, "workers.machinePools", |machines| timeouts_down(machines, ""));
}

/// Variables of v1beta2 do not say where their definition comes from.
fn forget_sources(fields: &mut Fields, path: &str) {
    each(fields, path, |variable| drop(take(variable, "definitionFrom")));
}

/// Moves `strategy` of a MachineDeployment to `rollout.strategy`, `deletion.order` and
/// `max_in_flight`.
pub(super) fn strategy_up(fields: &mut Fields, max_in_flight: &str) {
    let Some(mut strategy) = take_object(fields, "strategy") else { return };
    let moves = [
        ("rollingUpdate.deletePolicy", "deletion.order"),
        ("remediation.maxInFlight", max_in_flight),
        ("rollingUpdate.maxUnavailable", "rollout.strategy.rollingUpdate.maxUnavailable"),
        ("rollingUpdate.maxSurge", "rollout.strategy.rollingUpdate.maxSurge"),
    ];
    for (from, to) in moves {
        if let Some(value) = take(&mut strategy, from) {
            put(fields, to, value);
        }
    }
    if let Some(kind) = take(&mut strategy, "type").filter(|kind| !fields::is_zero(kind)) {
        put(fields, "rollout.strategy.type", kind);
    }
}

/// The way back of [`strategy_up`].
pub(super) fn strategy_down(fields: &mut Fields, max_in_flight: &str) {
    let moves = [
        ("rollout.strategy.type", "strategy.type"),
        ("rollout.strategy.rollingUpdate.maxUnavailable", "strategy.rollingUpdate.maxUnavailable"),
        ("rollout.strategy.rollingUpdate.maxSurge", "strategy.rollingUpdate.maxSurge"),
        ("deletion.order", "strategy.rollingUpdate.deletePolicy"),
        (max_in_flight, "strategy.remediation.maxInFlight"),
    ];
    for (from, to) in moves {
        shift(fields, from, to);
    }
    take(fields, "rollout.strategy");
    drop_blank(fields, "rollout");
    drop_blank(fields, "deletion");
    if let Some((parent, _)) = max_in_flight.rsplit_once('.') {
        drop_blank(fields, parent);
    }
}

/// Moves `machineHealthCheck` of a topology or class to `healthCheck`.
pub(super) fn health_check_up(fields: &mut Fields) -> Outcome {
    let Some(mut check) = take_object(fields, "machineHealthCheck") else { return Ok(()) };
    shift(&mut check, "enable", "enabled");
    health_up(&mut check)?;
    if is_blank(&Value::Object(check.clone())) {
        return Ok(());
    }
    // What the strategy said of remediation is there already.
    let in_flight = fields::get(fields, "healthCheck.remediation.maxInFlight").cloned();
    if let Some(in_flight) = in_flight {
        put(&mut check, "remediation.maxInFlight", in_flight);
    }
    put(fields, "healthCheck", check.into());
    Ok(())
}

/// The way back of [`health_check_up`].
pub(super) fn health_check_down(fields: &mut Fields, namespace: &str) {
    let Some(mut check) = take_object(fields, "healthCheck") else { return };
    if is_blank(&Value::Object(check.clone())) {
        return;
    }
    shift(&mut check, "enabled", "enable");
    health_down(&mut check, namespace);
    put(fields, "machineHealthCheck", check.into());
}

/// Lists of conditions that make a machine unhealthy.
const UNHEALTHY: [(&str, &str); 2] = [
    ("unhealthyConditions", "checks.unhealthyNodeConditions"),
    ("unhealthyMachineConditions", "checks.unhealthyMachineConditions"),
];

/// Turns what is checked and how it is remedied into the hub's form.
pub(super) fn health_up(check: &mut Fields) -> Outcome {
    for (from, to) in UNHEALTHY {
        for condition in items(check, from) {
            let timeout = take(condition, "timeout").unwrap_or_else(|| "0s".into());
            put(condition, "timeoutSeconds", seconds(&timeout)?);
        }
        if let Some(list) = take(check, from).filter(|list| !fields::is_zero(list)) {
            put(check, to, list);
        }
    }
    seconds_at(check, "nodeStartupTimeout", "checks.nodeStartupTimeoutSeconds")?;
    shift(check, "maxUnhealthy", "remediation.triggerIf.unhealthyLessThanOrEqualTo");
    shift_set(check, "unhealthyRange", "remediation.triggerIf.unhealthyInRange");
    template_up(check, "remediationTemplate", "remediation.templateRef");
    Ok(())
}

/// The way back of [`health_up`].
pub(super) fn health_down(check: &mut Fields, namespace: &str) {
    for (to, from) in UNHEALTHY {
        each(check, from, |condition| {
            duration_at(condition, "timeoutSeconds", "timeout");
        });
        shift(check, from, to);
        each(check, to, |condition| fields::always(condition, &["timeout"], &"0s".into()));
    }
    duration_at(check, "checks.nodeStartupTimeoutSeconds", "nodeStartupTimeout");
    shift(check, "remediation.triggerIf.unhealthyLessThanOrEqualTo", "maxUnhealthy");
    shift_set(check, "remediation.triggerIf.unhealthyInRange", "unhealthyRange");
    template_down(check, "remediation.templateRef", "remediationTemplate", namespace);
    take(check, "checks");
    take(check, "remediation");
}
