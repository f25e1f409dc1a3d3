//! Kinds of the group `scheduling.k8s.io`. (kubernetes 1.36: pkg/apis/scheduling)

use serde_json::Value;

use super::fields::{put, text};
use super::report::Report;
use super::{Change, NONE, Rules};
use crate::apiserver::bootstrap::Objects;
use crate::machinery::status::Cause;

const PRIORITY_CLASS: Rules =
    Rules { default, validate, bootstrap: Some(Objects::PriorityClasses), ..NONE };

/// Highest priority that is not the system's.
const HIGHEST: i64 = 1_000_000_000;
const SYSTEM_PREFIX: &str = "system-";

/// The classes of the system itself.
pub(in crate::apiserver) const SYSTEM_CLASSES: [(&str, i64, &str); 2] = [
    (
        "system-node-critical",
        2 * HIGHEST + 1000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
    (
        "system-cluster-critical",
        2 * HIGHEST,
        "Used for system critical pods that must run in the cluster, but can be moved to another \
         node if necessary.",
    ),
];

/// The rules of a kind.
pub(super) fn rules(kind: &str) -> &'static Rules {
    match kind {
        "PriorityClass" => &PRIORITY_CLASS,
        _ => &NONE,
    }
}

fn default(class: &mut Value) {
    put(class, "preemptionPolicy", "PreemptLowerPriority");
}

fn validate(change: &Change<'_>) -> Vec<Cause> {
    let mut report = Report::default();
    let new = change.new;
    if let Some(old) = change.old {
        if new["value"] != old["value"] {
            report.forbidden("value", "may not be changed in an update.");
        }
        report.immutable(&new["preemptionPolicy"], &old["preemptionPolicy"], "preemptionPolicy");
        return report.into_causes();
    }
    let (name, value) = (text(&new["metadata"], "name"), new["value"].as_i64().unwrap_or(0));
    if name.starts_with(SYSTEM_PREFIX) {
        if let Some(why) = unlike_system(name, value, new["globalDefault"] == true) {
            let why = format!(
                "priority class names with '{SYSTEM_PREFIX}' prefix are reserved for system use \
                 only. error: {why}"
            );
            report.forbidden("metadata.name", &why);
        }
    } else if value > HIGHEST {
        let why = format!("maximum allowed value of a user defined priority is {HIGHEST}");
        report.forbidden("value", &why);
    }
    let policies = ["PreemptLowerPriority", "Never"];
    if !policies.contains(&text(new, "preemptionPolicy")) {
        report.unsupported_value("preemptionPolicy", &new["preemptionPolicy"], &policies);
    }
    report.into_causes()
}

/// Why a class with the system's prefix is none of the system's.
fn unlike_system(name: &str, value: i64, is_default: bool) -> Option<String> {
    let Some((_, known, _)) = SYSTEM_CLASSES.iter().find(|(known, _, _)| *known == name) else {
        return Some(format!("{name} is not a known system priority class"));
    };
    if value != *known {
        return Some(format!("value of {name} PriorityClass must be {known}"));
    }
    is_default.then(|| format!("globalDefault of {name} PriorityClass must be false"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::apiserver::write::Target;

    fn check(name: &str, value: i64, expected: &[&str]) {
        let mut class = json!({"metadata": {"name": name}, "value": value});
        default(&mut class);
        let change = Change { new: &class, old: None, target: Target::Main };
        let said: Vec<String> = validate(&change).iter().map(ToString::to_string).collect();
        assert_eq!(said, expected);
    }

    #[test]
    fn the_highest_priorities_are_the_systems() {
        check("mine", HIGHEST, &[]);
        check(
            "mine",
            HIGHEST + 1,
            &["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"],
        );
        check(
            "system-mine",
            1,
            &["metadata.name: Forbidden: priority class names with 'system-' prefix are reserved \
               for system use only. error: system-mine is not a known system priority class"],
        );
        check("system-cluster-critical", 2 * HIGHEST, &[]);
    }
}
