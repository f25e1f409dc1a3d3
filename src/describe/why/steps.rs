//! What is wrong with one object, and which object that leads to.

use serde_json::Value;

use super::super::object::{self, Condition, conditions, find};
use super::super::sources::Sources;
use super::remaining::{STAGES, length};

/// The condition that says best what keeps an object from being as it should be; one without a type
/// if the object says nothing at all. `None` if it is as it should be.
pub(super) fn trouble(object: &Value) -> Option<Condition> {
    let all = conditions(object);
    let is_true =
        |type_: &str| find(&all, type_).filter(|condition| condition.status == "True").cloned();
    if let Some(paused) = is_true("Paused") {
        return Some(paused);
    }
    if object::is_deleted(object) {
        return Some(is_true("Deleting").unwrap_or_default());
    }
    let headline = object::headline(object);
    let fine = headline.as_ref().is_some_and(|headline| headline.status == "True");
    let moving = ["Remediating", "RollingOut", "ScalingUp", "ScalingDown", "Updating"];
    if fine {
        let broken = |type_: &str| find(&all, type_).filter(|it| it.status == "False").cloned();
        return broken("TopologyReconciled").or_else(|| moving.iter().find_map(|it| is_true(it)));
    }
    let order = parts(object::kind(object));
    let part = order.iter().find_map(|type_| find(&all, type_).filter(|it| !it.is_normal()));
    let any = || {
        let is_part = |condition: &&Condition| {
            !["Ready", "Available"].contains(&condition.type_.as_str()) && !condition.is_normal()
        };
        all.iter().find(is_part).filter(|_| headline.is_some())
    };
    part.or_else(any).cloned().or_else(|| headline.clone()).or_else(|| {
        // A kind that has conditions and none of them: nobody has looked at it yet.
        let known = !all.is_empty() || !order.is_empty();
        known.then(Condition::default)
    })
}

/// Conditions that lead to causes, the first ones first: what the others wait for.
fn parts(kind: &str) -> &'static [&'static str] {
    match kind {
        "Cluster" => &[
            "TopologyReconciled",
            "InfrastructureReady",
            "ControlPlaneInitialized",
            "ControlPlaneAvailable",
            "RemoteConnectionProbe",
            "WorkersAvailable",
            "ControlPlaneMachinesReady",
            "WorkerMachinesReady",
        ],
        "MachineDeployment" | "MachinePool" => &["ScalingUp", "MachinesReady", "Available"],
        "MachineSet" => &["ScalingUp", "MachinesReady"],
        "Machine" => &[
            "BootstrapConfigReady",
            "InfrastructureReady",
            "HealthCheckSucceeded",
            "OwnerRemediated",
            "NodeHealthy",
            "NodeReady",
        ],
        "KubeadmConfig" => &["DataSecretAvailable", "CertificatesAvailable"],
        "DevMachine" | "InMemoryMachine" => {
            &["VMProvisioned", "NodeProvisioned", "EtcdProvisioned", "APIServerProvisioned"]
        }
        kind if kind.ends_with("ControlPlane") => &[
            "CertificatesAvailable",
            "Initialized",
            "EtcdClusterHealthy",
            "ControlPlaneComponentsHealthy",
            "MachinesReady",
        ],
        _ => &[],
    }
}

/// The object that a condition of an object leads to.
pub(super) fn next<'a>(
    sources: &'a Sources,
    object: &'a Value,
    condition: &Condition,
) -> Option<&'a Value> {
    if condition.type_ == "Paused" {
        let paused = |it: &&Value| it["spec"]["paused"].as_bool() == Some(true);
        return Some(&sources.cluster).filter(paused);
    }
    // Reasons name what is waited for, across the tree.
    match condition.reason.as_str() {
        "WaitingForClusterInfrastructureReady" => return sources.infrastructure(),
        "WaitingForControlPlaneInitialized" | "WaitingForControlPlaneAvailable" => {
            return sources.control_plane();
        }
        "WaitingForBootstrapData" => return config_of(sources, object),
        _ => {}
    }
    // Bootstrap configurations say it in the message alone.
    // (CAPI v1.14: kubeadmconfig_controller.go)
    if object::kind(object).ends_with("Config") {
        let message = condition.message.as_str();
        if message.contains("control plane to be initialized") {
            return sources.control_plane();
        }
        if message.starts_with("Waiting for Cluster") && message.contains("nfrastructure") {
            return sources.infrastructure();
        }
    }
    let unwell = |candidates: Vec<&'a Value>| worst(&candidates);
    match object::kind(object) {
        "Cluster" => of_cluster(sources, condition),
        "MachineDeployment" => unwell(sources.sets_of(object)).or_else(|| {
            let sets = sources.sets_of(object);
            unwell(sets.iter().flat_map(|set| sources.machines_of(set)).collect())
        }),
        "MachineSet" | "MachinePool" => unwell(sources.machines_of(object)),
        "Machine" => match condition.type_.as_str() {
            "BootstrapConfigReady" => sources.resolve(&object["spec"]["bootstrap"]["configRef"]),
            "InfrastructureReady" | "NodeHealthy" | "NodeReady" => {
                sources.resolve(&object["spec"]["infrastructureRef"])
            }
            _ => None,
        },
        kind if kind.ends_with("ControlPlane") => {
            let machines = sources.machines.iter();
            unwell(machines.filter(|it| object::is_control_plane_machine(it)).collect())
        }
        _ => None,
    }
}

fn of_cluster<'a>(sources: &'a Sources, condition: &Condition) -> Option<&'a Value> {
    let workers = || -> Vec<&'a Value> {
        sources.machine_deployments.iter().chain(&sources.machine_pools).collect()
    };
    match condition.type_.as_str() {
        "InfrastructureReady" => sources.infrastructure(),
        "ControlPlaneInitialized"
        | "ControlPlaneAvailable"
        | "ControlPlaneMachinesReady"
        | "RemoteConnectionProbe" => sources.control_plane(),
        "WorkersAvailable" | "WorkerMachinesReady" => worst(&workers()),
        "Deleting" => worst(&workers())
            .or_else(|| sources.control_plane())
            .or_else(|| worst(&sources.machines.iter().collect::<Vec<_>>())),
        "ScalingUp" | "ScalingDown" | "RollingOut" | "Remediating" | "Updating" => {
            let control_plane = sources.control_plane();
            worst(&control_plane.into_iter().chain(workers()).collect::<Vec<_>>())
        }
        _ => None,
    }
}

/// The object with trouble that has come furthest, so that its cause is the next thing that
/// happens; failures and deletions first.
fn worst<'a>(candidates: &[&'a Value]) -> Option<&'a Value> {
    let rank = |object: &Value| match trouble(object) {
        None => None,
        Some(condition) => Some(match condition.type_.as_str() {
            "HealthCheckSucceeded" | "OwnerRemediated" => 0,
            "Deleting" => 1,
            "NodeHealthy" | "NodeReady" => 2,
            "InfrastructureReady" => 3,
            "" => 5,
            _ => 4,
        }),
    };
    let ranked = candidates.iter().filter_map(|it| rank(it).map(|rank| (rank, *it)));
    ranked.min_by_key(|(rank, object)| (*rank, object::name(object))).map(|(_, object)| object)
}

/// The bootstrap configuration of the Machine whose infrastructure this is.
fn config_of<'a>(sources: &'a Sources, infrastructure: &Value) -> Option<&'a Value> {
    let machine = sources.machines.iter().find(|machine| {
        let reference = &machine["spec"]["infrastructureRef"];
        reference["kind"].as_str() == Some(object::kind(infrastructure))
            && reference["name"].as_str() == Some(object::name(infrastructure))
    })?;
    sources.resolve(&machine["spec"]["bootstrap"]["configRef"])
}

/// What comes after the condition of an object has changed.
pub(super) fn outlook(object: &Value, condition: &Condition) -> Vec<String> {
    let name = object::name(object);
    if condition.type_ == "Paused" {
        return vec![format!("nothing, until {} {name} is resumed", object::kind(object))];
    }
    match object::kind(object) {
        "DevMachine" | "InMemoryMachine" => stages_after(object, condition),
        "Machine" if object::is_deleted(object) => vec![format!("Machine {name} is gone")],
        "Machine" => match condition.type_.as_str() {
            "BootstrapConfigReady" => vec![
                format!("the infrastructure of Machine {name} starts"),
                format!("Machine {name} gets its Node and becomes Ready"),
            ],
            "InfrastructureReady" | "NodeHealthy" | "NodeReady" => {
                vec![format!("Machine {name} becomes Ready")]
            }
            "HealthCheckSucceeded" | "OwnerRemediated" => {
                vec![format!("Machine {name} is replaced")]
            }
            _ => Vec::new(),
        },
        "MachineDeployment" | "MachinePool" => replicas(object, "has"),
        "Cluster" if object::is_deleted(object) => vec![format!("Cluster {name} is gone")],
        "Cluster" if condition.type_ == "InfrastructureReady" => {
            vec!["the control plane starts".to_owned()]
        }
        kind if kind.ends_with("ControlPlane") => replicas(object, "has"),
        _ => Vec::new(),
    }
}

fn replicas(object: &Value, has: &str) -> Vec<String> {
    let ready = object["status"]["readyReplicas"].as_i64().unwrap_or_default();
    let Some(desired) = object["spec"]["replicas"].as_i64().filter(|it| *it > ready) else {
        return Vec::new();
    };
    let (kind, name) = (object::kind(object), object::name(object));
    vec![format!("{kind} {name} {has} {} of {desired} machines ready", ready.saturating_add(1))]
}

/// The stages that a machine still has before it, with their lengths.
fn stages_after(object: &Value, condition: &Condition) -> Vec<String> {
    let all = conditions(object);
    let current = STAGES.iter().position(|(type_, ..)| *type_ == condition.type_);
    let after = current.map_or(0, |current| current + 1);
    let pending = STAGES.iter().skip(after).filter(|(type_, ..)| {
        find(&all, type_).is_some_and(|condition| condition.status != "True")
    });
    let line = |(_, field, what): &(&str, &str, &str)| match length(object, field) {
        Some(length) if length.most > length.least => {
            let (least, most) = (length.least.as_secs_f64(), length.most.as_secs_f64());
            format!("the {what} starts in {least:.1}s to {most:.1}s")
        }
        Some(length) => format!("the {what} starts in {:.1}s", length.least.as_secs_f64()),
        None => format!("the {what} starts"),
    };
    pending.map(line).collect()
}
