//! `Priority`: pods get the number of their class, and there is one default class.
//! (kubernetes 1.36: plugin/pkg/admission/priority)

use serde_json::Value;

use super::{NOTHING, Plugin, all, forbidden, get, has_any};
use crate::apiserver::admission::attributes::Attributes;
use crate::machinery::status::Status;

/// Of new pods.
pub(super) const POD: Plugin = Plugin {
    name: "Priority",
    needed: |call, pod| {
        let spec = &pod["spec"];
        !spec["priorityClassName"].is_null()
            || spec["priority"].as_i64().is_some_and(|it| it != 0)
            || has_any(call.server, CLASSES.0, CLASSES.1)
    },
    admit: admit_pod,
    ..NOTHING
};

/// Of changed pods: what was decided when they were made stays.
pub(super) const CHANGED_POD: Plugin = Plugin {
    name: "Priority",
    needed: |_, pod| pod["spec"]["priority"].is_null(),
    admit: keep_priority,
    ..NOTHING
};

/// Of classes.
pub(super) const CLASS: Plugin = Plugin {
    name: "Priority",
    needed: |_, class| class["globalDefault"] == true,
    approve: approve_class,
    ..NOTHING
};

const CLASSES: (&str, &str) = ("scheduling.k8s.io", "priorityclasses");
/// Classes that every kube-apiserver has, with their numbers.
const SYSTEM: [(&str, i64); 2] =
    [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];

fn admit_pod(
    attributes: &Attributes<'_>,
    pod: &mut Value,
    _old: Option<&Value>,
) -> Result<(), Box<Status>> {
    let server = attributes.call.server;
    let name = pod["spec"]["priorityClassName"].as_str().unwrap_or_default().to_owned();
    let class = match name.as_str() {
        "" => default(all(server, CLASSES, "")),
        name => {
            let stored = get(server, CLASSES, name);
            let system = SYSTEM.into_iter().find(|(system, _)| *system == name);
            let built_in =
                system.map(|(name, value)| class_of(name, value, "PreemptLowerPriority"));
            let found = stored.or(built_in).ok_or_else(|| {
                let why = format!("no PriorityClass with name {name} was found");
                forbidden(attributes, pod, &why)
            })?;
            Some(found)
        }
    };
    let none = class_of("", 0, "PreemptLowerPriority");
    let class = class.unwrap_or(none);
    let number = class["value"].as_i64().unwrap_or(0);
    let policy = class["preemptionPolicy"].as_str().unwrap_or("PreemptLowerPriority");
    let given = &pod["spec"]["priority"];
    if given.as_i64().is_some_and(|given| given != number) {
        let why = format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority \
             admission controller computed {number} from the given PriorityClass name"
        );
        return Err(forbidden(attributes, pod, &why));
    }
    let given = &pod["spec"]["preemptionPolicy"];
    if given.as_str().is_some_and(|given| given != policy) {
        let given = given.as_str().unwrap_or_default();
        let why = format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; \
             priority admission controller computed {policy} from the given PriorityClass name"
        );
        return Err(forbidden(attributes, pod, &why));
    }
    pod["spec"]["priority"] = number.into();
    pod["spec"]["preemptionPolicy"] = policy.into();
    if let Some(name) = class["metadata"]["name"].as_str().filter(|name| !name.is_empty()) {
        pod["spec"]["priorityClassName"] = name.into();
    }
    Ok(())
}

fn class_of(name: &str, value: i64, policy: &str) -> Value {
    serde_json::json!({"metadata": {"name": name}, "value": value, "preemptionPolicy": policy})
}

/// The default class with the lowest number.
fn default(classes: Vec<Value>) -> Option<Value> {
    let defaults = classes.into_iter().filter(|class| class["globalDefault"] == true);
    defaults.min_by_key(|class| class["value"].as_i64().unwrap_or(0))
}

fn keep_priority(
    _attributes: &Attributes<'_>,
    pod: &mut Value,
    old: Option<&Value>,
) -> Result<(), Box<Status>> {
    let Some(old) = old else { return Ok(()) };
    for field in ["priority", "preemptionPolicy"] {
        if pod["spec"].get(field).is_none() && !old["spec"][field].is_null() {
            pod["spec"][field] = old["spec"][field].clone();
        }
    }
    Ok(())
}

fn approve_class(
    attributes: &Attributes<'_>,
    class: &Value,
    _old: Option<&Value>,
) -> Result<(), Box<Status>> {
    let others = all(attributes.call.server, CLASSES, "");
    let Some(default) = default(others) else { return Ok(()) };
    if default["metadata"]["name"] == class["metadata"]["name"] {
        return Ok(());
    }
    let name = default["metadata"]["name"].as_str().unwrap_or_default();
    let why =
        format!("PriorityClass {name} is already marked as default. Only one default can exist");
    Err(forbidden(attributes, class, &why))
}
