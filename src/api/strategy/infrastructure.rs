//! Rules of the infrastructure kinds.
//!
//! capim simulates machines in memory only, so the default backend is `inMemory` where upstream's
//! is `docker`; a docker backend is stored and reported by the controllers. Durations and jitters
//! are checked here because their schema is a plain string: upstream refuses a bad duration when
//! it decodes the object, and finds out about a bad jitter only when a machine starts.
//! (CAPI v1.14: test/infrastructure/docker/internal/webhooks; the v1alpha1 kinds had no rules)

use serde_json::{Value, json};

use super::bootstrap::is_topology_dry_run;
use crate::api::infrastructure::{parse_go_duration, parse_jitter};
use crate::machinery::definition::Strategy;
use crate::machinery::status::Cause;

/// Where a kind keeps the machine's or cluster's spec.
const SPEC: &str = "spec";
const TEMPLATE_SPEC: &str = "spec.template.spec";

/// The parts of a machine that take time to start.
const PARTS: [&str; 4] = ["vm", "node", "apiServer", "etcd"];

/// The strategy of a kind.
pub(super) fn of(kind: &str) -> Strategy {
    match kind {
        "DevCluster" => {
            Strategy { default: Some(default_spec), validate: None, ..Strategy::default() }
        }
        "DevClusterTemplate" => Strategy {
            default: Some(default_template),
            validate: Some(|new, old| immutable("DevClusterTemplate", new, old)),
            ..Strategy::default()
        },
        "DevMachine" => Strategy {
            default: Some(default_spec),
            validate: Some(|new, _| startup_times(new, SPEC, "backend.inMemory")),
            ..Strategy::default()
        },
        "DevMachineTemplate" => Strategy {
            default: Some(default_template),
            validate: Some(|new, old| {
                let mut causes = startup_times(new, TEMPLATE_SPEC, "backend.inMemory");
                causes.extend(immutable("DevMachineTemplate", new, old));
                causes
            }),
            // The topology controller finds out with dry runs what a changed template would be.
            validate_dry_run: Some(|new, old| {
                let mut causes = startup_times(new, TEMPLATE_SPEC, "backend.inMemory");
                let old = old.filter(|_| !is_topology_dry_run(new));
                causes.extend(immutable("DevMachineTemplate", new, old));
                causes
            }),
            ..Strategy::default()
        },
        // Upstream has no rules for pools; these are the ones of their machines.
        "DevMachinePool" => Strategy {
            default: Some(default_spec),
            validate: Some(|new, _| startup_times(new, SPEC, "backend.inMemory")),
            ..Strategy::default()
        },
        "DevMachinePoolTemplate" => Strategy {
            default: Some(default_template),
            validate: Some(|new, _| startup_times(new, TEMPLATE_SPEC, "backend.inMemory")),
            ..Strategy::default()
        },
        "InMemoryMachine" => Strategy {
            default: None,
            validate: Some(|new, _| startup_times(new, SPEC, "behaviour")),
            ..Strategy::default()
        },
        "InMemoryMachineTemplate" => Strategy {
            default: None,
            validate: Some(|new, _| startup_times(new, TEMPLATE_SPEC, "behaviour")),
            ..Strategy::default()
        },
        _ => Strategy::default(),
    }
}

fn default_spec(new: &mut Value, _old: Option<&Value>) {
    default_backend(new, SPEC);
}

fn default_template(new: &mut Value, _old: Option<&Value>) {
    default_backend(new, TEMPLATE_SPEC);
}

/// Sets `backend.inMemory` when no backend is chosen.
fn default_backend(object: &mut Value, spec: &str) {
    let mut at = object;
    for field in spec.split('.').chain(["backend"]) {
        let Some(fields) = at.as_object_mut() else { return };
        at = fields.entry(field).or_insert_with(|| json!({}));
    }
    if let Some(backend) = at.as_object_mut()
        && !["inMemory", "docker"].iter().any(|name| is_set(backend.get(*name)))
    {
        backend.insert("inMemory".to_owned(), json!({}));
    }
}

fn is_set(value: Option<&Value>) -> bool {
    value.is_some_and(|value| !value.is_null())
}

/// Checks every `provisioning` below `<spec>.<behaviour>`.
fn startup_times(object: &Value, spec: &str, behaviour: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let Some(parts) = lookup(object, spec).and_then(|spec| lookup(spec, behaviour)) else {
        return causes;
    };
    for part in PARTS {
        let Some(provisioning) = parts.get(part).and_then(|part| part.get("provisioning")) else {
            continue;
        };
        let mut check = |field: &str, read: fn(&str) -> Result<(), String>| {
            if let Some(text) = provisioning.get(field).and_then(Value::as_str)
                && let Err(detail) = read(text)
            {
                causes.push(Cause {
                    reason: "FieldValueInvalid".to_owned(),
                    message: format!("Invalid value: {text:?}: {detail}"),
                    field: format!("{spec}.{behaviour}.{part}.provisioning.{field}"),
                });
            }
        };
        check("startupDuration", |text| {
            parse_go_duration(text)
                .map(|_| ())
                .map_err(|detail| format!("{detail}; expected a duration such as 500ms or 1m30s"))
        });
        check("startupJitter", |text| parse_jitter(text).map(|_| ()));
    }
    causes
}

/// Refuses a change of `spec.template.spec`. Objects stored before a default existed are compared
/// as if they had it.
fn immutable(kind: &str, new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let Some(old) = old else { return Vec::new() };
    let mut old = old.clone();
    default_template(&mut old, None);
    let (before, after) = (lookup(&old, TEMPLATE_SPEC), lookup(new, TEMPLATE_SPEC));
    let mut changes = Vec::new();
    differences("", before, after, &mut changes);
    if changes.is_empty() {
        return Vec::new();
    }
    vec![Cause {
        reason: "FieldValueInvalid".to_owned(),
        message: format!(
            "Invalid value: {}: {kind} spec.template.spec field is immutable. Please create a new \
             resource instead. Diff: {}",
            after.unwrap_or(&Value::Null),
            changes.join(", ")
        ),
        field: TEMPLATE_SPEC.to_owned(),
    }]
}

/// Lists the leaves that differ as `path: before -> after`. Durations are compared by value.
fn differences(path: &str, before: Option<&Value>, after: Option<&Value>, out: &mut Vec<String>) {
    if before == after {
        return;
    }
    if let (Some(Value::Object(before)), Some(Value::Object(after))) = (before, after) {
        let mut fields: Vec<&String> = before.keys().chain(after.keys()).collect();
        fields.sort();
        fields.dedup();
        for field in fields {
            let path = if path.is_empty() { field.clone() } else { format!("{path}.{field}") };
            differences(&path, before.get(field), after.get(field), out);
        }
        return;
    }
    if path.ends_with("startupDuration") {
        let nanoseconds = |value: Option<&Value>| {
            value.and_then(Value::as_str).and_then(|text| parse_go_duration(text).ok())
        };
        if nanoseconds(before).is_some() && nanoseconds(before) == nanoseconds(after) {
            return;
        }
    }
    let show = |value: Option<&Value>| value.map_or("unset".to_owned(), Value::to_string);
    out.push(format!("{path}: {} -> {}", show(before), show(after)));
}

fn lookup<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(object, |at, field| at.get(field))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn causes(kind: &str, new: &Value, old: Option<&Value>) -> Vec<Cause> {
        of(kind).validate.map(|validate| validate(new, old)).unwrap_or_default()
    }

    fn template(duration: &str) -> Value {
        json!({"spec": {"template": {"spec": {"backend": {"inMemory": {
            "vm": {"provisioning": {"startupDuration": duration}}}}}}}})
    }

    #[test]
    fn the_default_backend_is_in_memory() {
        for (kind, given, expected) in [
            ("DevCluster", json!({}), json!({"spec": {"backend": {"inMemory": {}}}})),
            (
                "DevMachineTemplate",
                json!({"spec": {"template": {"spec": {"backend": {"inMemory": null}}}}}),
                json!({"spec": {"template": {"spec": {"backend": {"inMemory": {}}}}}}),
            ),
            (
                "DevMachine",
                json!({"spec": {"backend": {"docker": {}}}}),
                json!({"spec": {"backend": {"docker": {}}}}),
            ),
        ] {
            let mut object = given;
            of(kind).default.expect("has defaults")(&mut object, None);
            assert_eq!(object, expected, "{kind}");
        }
    }

    #[test]
    fn a_bad_duration_is_refused_and_the_field_named() {
        let machine = json!({"spec": {"backend": {"inMemory": {
            "node": {"provisioning": {"startupDuration": "10 parsecs"}}}}}});
        let found = causes("DevMachine", &machine, None);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].field, "spec.backend.inMemory.node.provisioning.startupDuration");
        assert_eq!(found[0].reason, "FieldValueInvalid");
        assert_eq!(
            found[0].message,
            "Invalid value: \"10 parsecs\": time: unknown unit \" parsecs\" in duration \
             \"10 parsecs\"; expected a duration such as 500ms or 1m30s"
        );
    }

    #[test]
    fn a_jitter_in_percent_is_refused_with_a_hint() {
        let machine = json!({"spec": {"template": {"spec": {"behaviour": {
            "etcd": {"provisioning": {"startupDuration": "1s", "startupJitter": "20%"}}}}}}});
        let found = causes("InMemoryMachineTemplate", &machine, None);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].field, "spec.template.spec.behaviour.etcd.provisioning.startupJitter");
        assert!(found[0].message.ends_with("write 20% as \"0.2\""), "{}", found[0].message);
    }

    #[test]
    fn templates_cannot_be_changed() {
        let found = causes("DevMachineTemplate", &template("9s"), Some(&template("1500ms")));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].field, "spec.template.spec");
        assert!(
            found[0].message.ends_with(
                "DevMachineTemplate spec.template.spec field is immutable. Please create a new \
                 resource instead. Diff: backend.inMemory.vm.provisioning.startupDuration: \
                 \"1500ms\" -> \"9s\""
            ),
            "{}",
            found[0].message
        );
    }

    #[test]
    fn the_same_template_written_differently_is_no_change() {
        assert!(
            causes("DevMachineTemplate", &template("1.5s"), Some(&template("1500ms"))).is_empty()
        );
        let old = json!({"spec": {"template": {"spec": {}}}});
        let new = json!({"spec": {"template": {"spec": {"backend": {"inMemory": {}}}}}});
        assert!(causes("DevClusterTemplate", &new, Some(&old)).is_empty());
    }

    #[test]
    fn dry_runs_of_the_topology_controller_may_change_a_template() {
        let mut new = template("9s");
        let (kind, old) = ("DevMachineTemplate", template("1s"));
        let rules = of(kind);
        let refused = |new: &Value, is_dry_run| {
            let validate = rules.validation(is_dry_run).expect("rules");
            !validate(new, Some(&old)).is_empty()
        };
        assert!(refused(&new, true), "another dry run");
        new["metadata"] = json!({"annotations": {"topology.cluster.x-k8s.io/dry-run": ""}});
        assert!(!refused(&new, true));
        assert!(refused(&new, false), "no dry run");
    }
}
