//! Clusters, MachineHealthChecks and MachineDrainRules.
//! (CAPI v1.14: api/core/v1beta1/conversion.go, core/webhooks/conversion)

use serde_json::{Value, json};

use super::convert::Converter;
use super::fields::{Fields, always, ensure, object, text};
use super::status::{CONDITIONS, FAILURES, Families, initialization_down, initialization_up};
use super::topology;
use super::values::{
    Outcome, domains_down, domains_up, intend_bool, intend_number, reference_down, reference_up,
};

pub(super) const CLUSTER: Converter = Converter { up: cluster_up, down: cluster_down, keeps: true };
pub(super) const MACHINE_HEALTH_CHECK: Converter =
    Converter { up: health_check_up, down: health_check_down, keeps: true };
/// Both versions are the same.
pub(super) const MACHINE_DRAIN_RULE: Converter =
    Converter { up: |_, _| Ok(()), down: |_| (), keeps: false };

const CLUSTER_REFERENCES: [&str; 2] = ["infrastructureRef", "controlPlaneRef"];
const CLUSTER_STATUS: Families = Families { new: &["controlPlane", "workers"], ..FAILURES };
const CLUSTER_INITIALIZATION: [(&str, &str); 2] = [
    ("controlPlaneReady", "controlPlaneInitialized"),
    ("infrastructureReady", "infrastructureProvisioned"),
];

fn cluster_up(cluster: &mut Fields, restored: Option<&Value>) -> Outcome {
    if let Some(spec) = object(cluster, "spec") {
        for reference in CLUSTER_REFERENCES {
            reference_up(spec, reference)?;
        }
        intend_bool(spec, "paused", restored.and_then(|it| it.pointer("/spec/paused")));
        if let Some(endpoint) = spec.get("controlPlaneEndpoint")
            && endpoint["host"].as_str().is_none_or(str::is_empty)
            && endpoint["port"].as_i64().unwrap_or_default() == 0
        {
            spec.remove("controlPlaneEndpoint");
        }
        if let Some(topology) = object(spec, "topology") {
            topology::up(topology)?;
        }
    }
    initialization_up(cluster, &CLUSTER_INITIALIZATION, restored);
    CLUSTER_STATUS.up(cluster);
    if let Some(status) = object(cluster, "status") {
        domains_up(status, "failureDomains");
    }
    Ok(())
}

fn cluster_down(cluster: &mut Fields) {
    let namespace = text(cluster, "metadata.namespace").to_owned();
    let spec = ensure(cluster, "spec");
    for reference in CLUSTER_REFERENCES {
        reference_down(spec, reference, &namespace);
    }
    let endpoint = ensure(spec, "controlPlaneEndpoint");
    always(endpoint, &["host"], &json!(""));
    always(endpoint, &["port"], &json!(0));
    if let Some(topology) = object(spec, "topology") {
        topology::down(topology, &namespace);
    }
    CLUSTER_STATUS.down(cluster);
    initialization_down(cluster, &CLUSTER_INITIALIZATION);
    if let Some(status) = object(cluster, "status") {
        domains_down(status, "failureDomains");
    }
}

const HEALTH_CHECK_COUNTERS: [&str; 3] =
    ["expectedMachines", "currentHealthy", "remediationsAllowed"];

fn health_check_up(check: &mut Fields, restored: Option<&Value>) -> Outcome {
    if let Some(spec) = object(check, "spec") {
        topology::health_up(spec)?;
    }
    if let Some(status) = object(check, "status") {
        for counter in HEALTH_CHECK_COUNTERS {
            let restored = restored.and_then(|it| it.pointer(&format!("/status/{counter}")));
            intend_number(status, counter, restored);
        }
    }
    CONDITIONS.up(check);
    Ok(())
}

fn health_check_down(check: &mut Fields) {
    let namespace = text(check, "metadata.namespace").to_owned();
    if let Some(spec) = object(check, "spec") {
        topology::health_down(spec, &namespace);
    }
    CONDITIONS.down(check);
    always(ensure(check, "status"), &HEALTH_CHECK_COUNTERS, &json!(0));
}
