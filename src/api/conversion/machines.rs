//! Machines, and what has a template of Machines.
//! (CAPI v1.14: api/core/v1beta1/conversion.go, core/webhooks/conversion)

use serde_json::{Value, json};

use super::convert::Converter;
use super::fields::{
    Fields, always, drop_blank, ensure, get, is_zero, object, put, shift, shift_set, take, text,
};
use super::status::{FAILURES, Families, initialization_down, initialization_up};
use super::topology::{strategy_down, strategy_up};
use super::values::{
    Outcome, intend_bool, naming, reference_down, reference_up, timeouts_down, timeouts_up,
};

/// The converter of a kind of this family.
pub(super) fn converter(kind: &str) -> Option<Converter> {
    Some(match kind {
        "Machine" => Converter { up: machine_up, down: machine_down, keeps: true },
        "MachineSet" => Converter { up: set_up, down: set_down, keeps: false },
        "MachineDeployment" => Converter { up: deployment_up, down: deployment_down, keeps: true },
        "MachinePool" => Converter { up: pool_up, down: pool_down, keeps: true },
        _ => return None,
    })
}

const READY: [(&str, &str); 2] = [
    ("bootstrapReady", "bootstrapDataSecretCreated"),
    ("infrastructureReady", "infrastructureProvisioned"),
];
/// Counters of the newer family.
const COUNTERS: [&str; 3] = ["readyReplicas", "availableReplicas", "upToDateReplicas"];
const SET_STATUS: Families = Families {
    old: &[
        "availableReplicas",
        "fullyLabeledReplicas",
        "readyReplicas",
        "failureReason",
        "failureMessage",
    ],
    old_counters: &["availableReplicas", "fullyLabeledReplicas", "readyReplicas"],
    new: &COUNTERS,
    is_always_there: true,
};
const DEPLOYMENT_COUNTERS: [&str; 4] =
    ["availableReplicas", "unavailableReplicas", "updatedReplicas", "readyReplicas"];
const DEPLOYMENT_STATUS: Families = Families {
    old: &DEPLOYMENT_COUNTERS,
    old_counters: &DEPLOYMENT_COUNTERS,
    new: &COUNTERS,
    is_always_there: true,
};
const POOL_STATUS: Families = Families {
    old: &[
        "failureReason",
        "failureMessage",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
    ],
    old_counters: &[],
    new: &COUNTERS,
    is_always_there: true,
};

fn machine_up(machine: &mut Fields, restored: Option<&Value>) -> Outcome {
    if let Some(spec) = object(machine, "spec") {
        spec_up(spec)?;
    }
    if let Some(status) = object(machine, "status") {
        let name = take(status, "nodeRef").and_then(|node| node.get("name").cloned());
        if let Some(name) = name.filter(|name| !is_zero(name)) {
            put(status, "nodeRef.name", name);
        }
    }
    initialization_up(machine, &READY, restored);
    FAILURES.up(machine);
    // What v1beta1 has no field for, or cannot tell apart.
    let Some(restored) = restored.and_then(Value::as_object) else { return Ok(()) };
    for path in ["spec.minReadySeconds", "status.phase", "status.failureDomain"] {
        match get(restored, path) {
            Some(value) => put(machine, path, value.clone()),
            None => drop(take(machine, path)),
        }
    }
    Ok(())
}

fn machine_down(machine: &mut Fields) {
    let namespace = text(machine, "metadata.namespace").to_owned();
    if let Some(spec) = object(machine, "spec") {
        spec_down(spec, &namespace);
        take(spec, "minReadySeconds");
    }
    if let Some(status) = object(machine, "status") {
        if status.get("phase").is_some_and(|phase| phase == "Updating") {
            put(status, "phase", "Running".into());
        }
        if let Some(node) = object(status, "nodeRef") {
            put(node, "apiVersion", "v1".into());
            put(node, "kind", "Node".into());
        }
        take(status, "failureDomain");
    }
    FAILURES.down(machine);
    initialization_down(machine, &READY);
}

/// The spec of a Machine, or of a template of Machines.
fn spec_up(spec: &mut Fields) -> Outcome {
    timeouts_up(spec, "")?;
    reference_up(spec, "infrastructureRef")?;
    reference_up(spec, "bootstrap.configRef")
}

fn spec_down(spec: &mut Fields, namespace: &str) {
    timeouts_down(spec, "");
    reference_down(spec, "infrastructureRef", namespace);
    reference_down(spec, "bootstrap.configRef", namespace);
}

fn template_up(object_fields: &mut Fields) -> Outcome {
    match object(object_fields, "spec.template.spec") {
        Some(spec) => spec_up(spec),
        None => Ok(()),
    }
}

fn template_down(object_fields: &mut Fields) {
    let namespace = text(object_fields, "metadata.namespace").to_owned();
    if let Some(spec) = object(object_fields, "spec.template.spec") {
        spec_down(spec, &namespace);
    }
}

/// Sets the number of replicas of a status that is always there; in the hub it is a pointer, which
/// upstream sets whatever the number.
fn count(owner: &mut Fields) {
    always(ensure(owner, "status"), &["replicas"], &json!(0));
}

fn set_up(set: &mut Fields, _: Option<&Value>) -> Outcome {
    template_up(set)?;
    if let Some(spec) = object(set, "spec") {
        shift_set(spec, "minReadySeconds", "template.spec.minReadySeconds");
        shift_set(spec, "deletePolicy", "deletion.order");
        naming(spec, "machineNamingStrategy", "machineNaming");
    }
    SET_STATUS.up(set);
    count(set);
    Ok(())
}

fn set_down(set: &mut Fields) {
    template_down(set);
    if let Some(spec) = object(set, "spec") {
        shift_set(spec, "template.spec.minReadySeconds", "minReadySeconds");
        take(spec, "template.spec.minReadySeconds");
        shift(spec, "deletion.order", "deletePolicy");
        drop_blank(spec, "deletion");
        naming(spec, "machineNaming", "machineNamingStrategy");
    }
    SET_STATUS.down(set);
    let status = ensure(set, "status");
    always(status, SET_STATUS.old_counters, &json!(0));
    count(set);
}

fn deployment_up(deployment: &mut Fields, restored: Option<&Value>) -> Outcome {
    template_up(deployment)?;
    if let Some(spec) = object(deployment, "spec") {
        shift(spec, "minReadySeconds", "template.spec.minReadySeconds");
        intend_bool(spec, "paused", restored.and_then(|it| it.pointer("/spec/paused")));
        strategy_up(spec, "remediation.maxInFlight");
        shift(spec, "rolloutAfter", "rollout.after");
        naming(spec, "machineNamingStrategy", "machineNaming");
        // v1beta2 has no fields for what nothing reads.
        take(spec, "progressDeadlineSeconds");
        take(spec, "revisionHistoryLimit");
    }
    DEPLOYMENT_STATUS.up(deployment);
    count(deployment);
    Ok(())
}

fn deployment_down(deployment: &mut Fields) {
    template_down(deployment);
    if let Some(spec) = object(deployment, "spec") {
        shift(spec, "template.spec.minReadySeconds", "minReadySeconds");
        shift(spec, "rollout.after", "rolloutAfter");
        strategy_down(spec, "remediation.maxInFlight");
        naming(spec, "machineNaming", "machineNamingStrategy");
    }
    DEPLOYMENT_STATUS.down(deployment);
    let status = ensure(deployment, "status");
    always(status, &DEPLOYMENT_COUNTERS, &json!(0));
    count(deployment);
}

fn pool_up(pool: &mut Fields, restored: Option<&Value>) -> Outcome {
    template_up(pool)?;
    if let Some(spec) = object(pool, "spec") {
        shift(spec, "minReadySeconds", "template.spec.minReadySeconds");
    }
    initialization_up(pool, &READY, restored);
    POOL_STATUS.up(pool);
    count(pool);
    Ok(())
}

fn pool_down(pool: &mut Fields) {
    template_down(pool);
    if let Some(spec) = object(pool, "spec") {
        shift(spec, "template.spec.minReadySeconds", "minReadySeconds");
    }
    POOL_STATUS.down(pool);
    initialization_down(pool, &READY);
    count(pool);
}
