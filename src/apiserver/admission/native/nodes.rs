//! `TaintNodesByCondition`: a new Node takes no pods before somebody has seen it ready.
//! (kubernetes 1.36: plugin/pkg/admission/nodetaint)

use serde_json::{Value, json};

use super::{NOTHING, Plugin};
use crate::apiserver::admission::attributes::Attributes;
use crate::machinery::status::Status;

/// Of new nodes, unless the server's nodes come up ready.
pub(super) const TAINT: Plugin = Plugin {
    name: "TaintNodesByCondition",
    needed: |call, _| call.server.options().node_taint_admission,
    admit,
    ..NOTHING
};

const NOT_READY: &str = "node.kubernetes.io/not-ready";

fn admit(
    _attributes: &Attributes<'_>,
    node: &mut Value,
    _old: Option<&Value>,
) -> Result<(), Box<Status>> {
    let taints = &mut node["spec"]["taints"];
    if taints.is_null() {
        *taints = json!([]);
    }
    let Some(taints) = taints.as_array_mut() else { return Ok(()) };
    let is_there = |taint: &Value| taint["key"] == NOT_READY && taint["effect"] == "NoSchedule";
    if !taints.iter().any(is_there) {
        taints.push(json!({"effect": "NoSchedule", "key": NOT_READY}));
    }
    Ok(())
}
