//! Reading objects of any kind: names, owners, conditions of both families.

use jiff::Timestamp;
use serde_json::Value;

/// Conditions that are normal when they are False.
/// (CAPI v1.14: internal/util/tree/tree.go, addOtherConditions)
const NEGATIVE: [&str; 7] =
    ["Paused", "Deleting", "RollingOut", "ScalingUp", "ScalingDown", "Updating", "Remediating"];

/// A condition of either family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Type.
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Severity, in the v1beta1 family only.
    pub severity: String,
    /// Reason.
    pub reason: String,
    /// Message, possibly of several lines.
    pub message: String,
    /// Last transition.
    pub since: Option<Timestamp>,
}

impl Condition {
    /// Reads a condition of either family.
    fn of(value: &Value) -> Self {
        let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
        Self {
            type_: text("type"),
            status: text("status"),
            severity: text("severity"),
            reason: text("reason"),
            message: text("message"),
            since: value["lastTransitionTime"].as_str().and_then(|time| time.parse().ok()),
        }
    }

    /// Whether it says what is normal for its type.
    pub fn is_normal(&self) -> bool {
        self.status == if is_negative(&self.type_) { "False" } else { "True" }
    }
}

/// Whether False is the normal state of conditions of this type.
pub fn is_negative(type_: &str) -> bool {
    NEGATIVE.contains(&type_)
}

/// Conditions of the v1beta2 family, in the order in which they are stored.
pub fn conditions(object: &Value) -> Vec<Condition> {
    let status = &object["status"];
    let list =
        status["v1beta2"]["conditions"].as_array().or_else(|| status["conditions"].as_array());
    list.into_iter().flatten().map(Condition::of).collect()
}

/// Conditions of the deprecated v1beta1 family. Kinds that know nothing else have them in
/// `status.conditions`.
pub(super) fn v1beta1_conditions(object: &Value) -> Vec<Condition> {
    let status = &object["status"];
    let list = status["deprecated"]["v1beta1"]["conditions"].as_array();
    let list = list.or_else(|| {
        let has_both = status.get("deprecated").is_some();
        status["conditions"].as_array().filter(|_| !has_both)
    });
    list.into_iter().flatten().map(Condition::of).collect()
}

/// The condition that sums an object up: Available of clusters, control planes, MachineDeployments
/// and pools, else Ready.
pub fn headline(object: &Value) -> Option<Condition> {
    let all = conditions(object);
    let wanted = match kind(object) {
        "Cluster" | "MachineDeployment" | "MachinePool" => ["Available", "Ready"],
        "Machine" | "MachineSet" => ["Ready", "MachinesReady"],
        kind if kind.ends_with("ControlPlane") => ["Available", "Ready"],
        _ => ["Ready", "Available"],
    };
    wanted.iter().find_map(|type_| find(&all, type_).cloned())
}

pub(super) fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

pub(super) fn kind(object: &Value) -> &str {
    object["kind"].as_str().unwrap_or_default()
}

pub(super) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

pub(super) fn namespace(object: &Value) -> &str {
    object["metadata"]["namespace"].as_str().unwrap_or_default()
}

pub(super) fn is_deleted(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// Whether `owner` is the controller of `object`.
pub(super) fn is_controlled_by(object: &Value, owner: &Value) -> bool {
    let Some(uid) = owner["metadata"]["uid"].as_str() else { return false };
    let references = object["metadata"]["ownerReferences"].as_array();
    references.into_iter().flatten().any(|reference| {
        reference["controller"].as_bool() == Some(true)
            && reference["uid"].as_str() == Some(uid)
            && reference["kind"].as_str() == Some(kind(owner))
    })
}

pub(super) fn is_control_plane_machine(machine: &Value) -> bool {
    machine["metadata"]["labels"].get("cluster.x-k8s.io/control-plane").is_some()
}
