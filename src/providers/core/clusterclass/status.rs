//! Conditions of a class in both families. (CAPI v1.14: clusterclass_controller_status.go)

use jiff::Timestamp;

use super::super::v1beta1_status;
use super::references::Outdated;
use crate::api::conditions::V1Beta1Condition;
use crate::api::topology::ClusterClass;
use crate::contract::conditions::{New, set, set_v1beta1, v1beta1};
use crate::runtime::ReconcileError;

const REFERENCES: &str = "RefVersionsUpToDate";
const VARIABLES: &str = "VariablesReady";
const V1BETA1_VARIABLES: &str = "VariablesReconciled";

fn set_both(class: &mut ClusterClass, new: New, older: V1Beta1Condition, now: Timestamp) {
    let generation = class.metadata.generation;
    let status = class.status.get_or_insert_default();
    set(&mut status.conditions, new, generation, now);
    set_v1beta1(&mut v1beta1_status(&mut status.deprecated).conditions, older, now);
}

/// Sets Paused, which the older family does not have.
pub(super) fn set_paused(class: &mut ClusterClass, new: New, now: Timestamp) {
    let generation = class.metadata.generation;
    set(&mut class.status.get_or_insert_default().conditions, new, generation, now);
}

/// Sets what is known of the templates' versions.
pub(super) fn set_references(
    class: &mut ClusterClass,
    references: &Result<Vec<Outdated>, ReconcileError>,
    now: Timestamp,
) {
    let (new, older) = match references {
        Err(_) => {
            let (reason, message) = ("InternalError", "Please check controller logs for errors");
            let older = v1beta1::unknown(REFERENCES, reason, message);
            (New::unknown(REFERENCES, reason, message), older)
        }
        Ok(outdated) if outdated.is_empty() => {
            (New::yes(REFERENCES, "RefVersionsUpToDate"), v1beta1::yes(REFERENCES))
        }
        Ok(outdated) => {
            let message = outdated_message(outdated);
            let older = v1beta1::no(REFERENCES, "OutdatedRefVersions", "Warning", &message);
            (New::no(REFERENCES, "RefVersionsNotUpToDate", message), older)
        }
    };
    set_both(class, new, older, now);
}

fn outdated_message(outdated: &[Outdated]) -> String {
    let mut message = "The following templateRefs are not using the latest apiVersion:".to_owned();
    for Outdated { kind, name, current, latest } in outdated {
        message.push_str(&format!("\n* {kind} {name}: current: {current}, latest: {latest}"));
    }
    message
}

/// Sets whether the variables are known.
pub(super) fn set_variables(class: &mut ClusterClass, error: Option<&String>, now: Timestamp) {
    let (new, older) = match error {
        None => (New::yes(VARIABLES, "VariablesReady"), v1beta1::yes(V1BETA1_VARIABLES)),
        Some(error) => {
            let reason = "VariableDiscoveryFailed";
            let older = v1beta1::no(V1BETA1_VARIABLES, reason, "Error", error);
            (New::no(VARIABLES, reason, error.as_str()), older)
        }
    };
    set_both(class, new, older, now);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outdated_templates_are_listed() {
        let mut class = ClusterClass::default();
        let outdated = Outdated {
            kind: "DevMachineTemplate".into(),
            name: "a".into(),
            current: "v1beta1".into(),
            latest: "v1beta2".into(),
        };
        set_references(&mut class, &Ok(vec![outdated]), Timestamp::UNIX_EPOCH);
        let status = class.status.unwrap();
        assert_eq!(status.conditions[0].reason, "RefVersionsNotUpToDate");
        assert_eq!(
            status.conditions[0].message,
            "The following templateRefs are not using the latest apiVersion:\n* DevMachineTemplate a: current: v1beta1, latest: v1beta2"
        );
    }
}
