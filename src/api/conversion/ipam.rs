//! Claims of IP addresses, and addresses.
//! (CAPI v1.14: api/ipam, core/webhooks/conversion/ipaddressclaim.go)

use serde_json::{Value, json};

use super::convert::Converter;
use super::fields::{Fields, always, ensure, get, object, put, take};
use super::status::CONDITIONS;
use super::values::Outcome;

const CLUSTER_NAME: &str = "cluster.x-k8s.io/cluster-name";
/// Says in an object of v1alpha1 whether its label was there before conversion.
const LABEL_WAS_SET: &str = "conversion.cluster.x-k8s.io/cluster-name-label-set";

/// The converter of a kind of this group.
pub(super) fn converter(kind: &str, spoke: &str) -> Option<Converter> {
    Some(match (kind, spoke) {
        ("IPAddressClaim", "v1alpha1") => Converter { up: claim_up, down: claim_down, keeps: true },
        ("IPAddressClaim", _) => Converter {
            up: |claim, _| {
                CONDITIONS.up(claim);
                Ok(())
            },
            down: |claim| CONDITIONS.down(claim),
            keeps: false,
        },
        ("IPAddress", _) => Converter {
            up: |address, _| {
                say_prefix(address);
                Ok(())
            },
            down: say_prefix,
            keeps: false,
        },
        _ => return None,
    })
}

fn say_prefix(address: &mut Fields) {
    if let Some(spec) = object(address, "spec") {
        always(spec, &["prefix"], &json!(0));
    }
}

fn claim_up(claim: &mut Fields, restored: Option<&Value>) -> Outcome {
    if let Some(status) = object(claim, "status")
        && let Some(conditions) = take(status, "conditions")
    {
        put(status, "deprecated.v1beta1.conditions", conditions);
    }
    let label =
        object(claim, "metadata.labels").and_then(|labels| labels.get(CLUSTER_NAME)).cloned();
    if let Some(name) = label {
        put(claim, "spec.clusterName", name);
    }
    if let Some(annotations) = object(claim, "metadata.annotations")
        && let Some(was_set) = annotations.remove(LABEL_WAS_SET)
    {
        if annotations.is_empty() {
            take(claim, "metadata.annotations");
        }
        if was_set == "false"
            && let Some(labels) = object(claim, "metadata.labels")
        {
            labels.remove(CLUSTER_NAME);
            if labels.is_empty() {
                take(claim, "metadata.labels");
            }
        }
    }
    let restored = restored.and_then(Value::as_object);
    if let Some(conditions) = restored.and_then(|it| get(it, "status.conditions")) {
        put(claim, "status.conditions", conditions.clone());
    }
    Ok(())
}

fn claim_down(claim: &mut Fields) {
    if let Some(status) = object(claim, "status") {
        take(status, "conditions");
        let old =
            take(status, "deprecated").and_then(|it| it.pointer("/v1beta1/conditions").cloned());
        if let Some(conditions) = old {
            put(status, "conditions", conditions);
        }
    }
    let name = object(claim, "spec").and_then(|spec| take(spec, "clusterName"));
    let Some(name) = name else { return };
    let metadata = ensure(claim, "metadata");
    if !ensure(metadata, "labels").contains_key(CLUSTER_NAME) {
        ensure(metadata, "annotations").insert(LABEL_WAS_SET.to_owned(), "false".into());
    }
    ensure(metadata, "labels").insert(CLUSTER_NAME.to_owned(), name);
}
