//! Clusters and machines of the development provider.
//! (CAPI v1.14: test/infrastructure/docker/api/v1beta1/conversion.go)

use serde_json::{Value, json};

use super::convert::Converter;
use super::fields::{Fields, always, ensure, get, object, put, take};
use super::status::{CONDITIONS, initialization_down, initialization_up};
use super::values::{Outcome, domains_down, domains_up};

const READY: [(&str, &str); 1] = [("ready", "provisioned")];

/// The converter of a kind of this group.
pub(super) fn converter(kind: &str) -> Option<Converter> {
    Some(match kind {
        "DevCluster" => Converter { up: cluster_up, down: cluster_down, keeps: true },
        "DevClusterTemplate" => Converter {
            up: |template, _| {
                spec_domains(template, "spec.template.spec", domains_up);
                Ok(())
            },
            down: |template| spec_domains(template, "spec.template.spec", domains_down),
            keeps: false,
        },
        "DevMachine" => Converter { up: machine_up, down: machine_down, keeps: true },
        "DevMachineTemplate" => Converter {
            up: machine_template_up,
            down: |template| drop(take(template, "status")),
            keeps: true,
        },
        _ => return None,
    })
}

fn cluster_up(cluster: &mut Fields, restored: Option<&Value>) -> Outcome {
    spec_domains(cluster, "spec", domains_up);
    if let Some(spec) = object(cluster, "spec")
        && let Some(endpoint) = spec.get("controlPlaneEndpoint")
        && endpoint["host"].as_str().is_none_or(str::is_empty)
        && endpoint["port"].as_i64().unwrap_or_default() == 0
    {
        spec.remove("controlPlaneEndpoint");
    }
    initialization_up(cluster, &READY, restored);
    CONDITIONS.up(cluster);
    if let Some(status) = object(cluster, "status") {
        domains_up(status, "failureDomains");
    }
    Ok(())
}

fn cluster_down(cluster: &mut Fields) {
    spec_domains(cluster, "spec", domains_down);
    let endpoint = ensure(cluster, "spec.controlPlaneEndpoint");
    always(endpoint, &["host"], &json!(""));
    always(endpoint, &["port"], &json!(0));
    CONDITIONS.down(cluster);
    initialization_down(cluster, &READY);
    if let Some(status) = object(cluster, "status") {
        domains_down(status, "failureDomains");
    }
}

fn spec_domains(owner: &mut Fields, spec: &str, act: fn(&mut Fields, &str)) {
    if let Some(docker) = object(owner, &format!("{spec}.backend.docker")) {
        act(docker, "failureDomains");
    }
}

fn machine_up(machine: &mut Fields, restored: Option<&Value>) -> Outcome {
    initialization_up(machine, &READY, restored);
    CONDITIONS.up(machine);
    let restored = restored.and_then(Value::as_object);
    if let Some(domain) = restored.and_then(|it| get(it, "status.failureDomain")) {
        put(machine, "status.failureDomain", domain.clone());
    }
    Ok(())
}

fn machine_down(machine: &mut Fields) {
    CONDITIONS.down(machine);
    take(machine, "status.failureDomain");
    initialization_down(machine, &READY);
}

fn machine_template_up(template: &mut Fields, restored: Option<&Value>) -> Outcome {
    if let Some(status) = restored.and_then(|it| it.get("status")) {
        put(template, "status", status.clone());
    }
    Ok(())
}
