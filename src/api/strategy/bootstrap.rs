//! Rules of the bootstrap kinds. (CAPI v1.14: bootstrap/kubeadm/webhooks/admission)
//!
//! Labels and annotations inside templates are left to the objects made of them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::machinery::definition::Strategy;
use crate::machinery::status::Cause;

/// The strategy of a kind.
pub(super) fn of(kind: &str) -> Strategy {
    match kind {
        "KubeadmConfig" => Strategy {
            default: None,
            validate: Some(|new, _| validate_spec(&new["spec"], "spec", Owner::Other)),
            ..Strategy::default()
        },
        "KubeadmConfigTemplate" => Strategy {
            default: None,
            validate: Some(|new, _| {
                let spec = &new["spec"]["template"]["spec"];
                validate_spec(spec, "spec.template.spec", Owner::Other)
            }),
            ..Strategy::default()
        },
        _ => Strategy::default(),
    }
}

/// Whose KubeadmConfigSpec it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// A control plane, which configures init and join alike.
    ControlPlane,
    /// A single machine or a template of workers.
    Other,
}

/// A value that must not be set or changed.
pub(super) fn forbidden(field: String, detail: &str) -> Cause {
    Cause {
        reason: "FieldValueForbidden".to_owned(),
        message: format!("Forbidden: {detail}"),
        field,
    }
}

/// A value that is missing.
pub(super) fn required(field: String, detail: &str) -> Cause {
    Cause {
        reason: "FieldValueRequired".to_owned(),
        message: format!("Required value: {detail}"),
        field,
    }
}

/// A value that is wrong; strings are quoted, other values are JSON.
pub(super) fn invalid(field: String, value: &Value, detail: &str) -> Cause {
    Cause {
        reason: "FieldValueInvalid".to_owned(),
        message: format!("Invalid value: {value}: {detail}"),
        field,
    }
}

/// Whether a value says something: not null, empty, or an object of such.
pub(super) fn is_defined(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => map.values().any(is_defined),
    }
}

fn items(value: &Value) -> impl Iterator<Item = (usize, &Value)> {
    value.as_array().into_iter().flatten().enumerate()
}

/// Checks a KubeadmConfigSpec at `path`.
pub(super) fn validate_spec(spec: &Value, path: &str, owner: Owner) -> Vec<Cause> {
    let mut causes = validate_files(spec, path);
    for (index, user) in items(&spec["users"]) {
        let at = format!("{path}.users[{index}]");
        let conflict = "only one of passwd or passwdFrom may be specified for a single user";
        causes.extend(validate_source(user, &at, ("passwd", "passwdFrom"), conflict));
    }
    // Upstream's feature gate KubeadmBootstrapFormatIgnition, which is off.
    const GATE: &str =
        "can be set only if the KubeadmBootstrapFormatIgnition feature gate is enabled";
    if spec["format"] == "ignition" {
        causes.push(forbidden(format!("{path}.format"), GATE));
    }
    if is_defined(&spec["ignition"]) {
        causes.push(forbidden(format!("{path}.ignition"), GATE));
    }
    for (index, partition) in items(&spec["diskSetup"]["partitions"]) {
        let total: i64 = items(&partition["diskLayout"])
            .filter_map(|(_, part)| part["percentage"].as_i64())
            .sum();
        if total > 100 {
            causes.push(invalid(
                format!("{path}.diskSetup.partitions[{index}].diskLayout"),
                &total.into(),
                "the sum of all partition percentages must not be greater than 100",
            ));
        }
    }
    let user = &spec["joinConfiguration"]["discovery"]["file"]["kubeConfig"]["user"];
    if is_defined(&user["authProvider"]) && is_defined(&user["exec"]) {
        causes.push(invalid(
            format!("{path}.joinConfiguration.discovery.file.kubeconfig.user"),
            user,
            "only one of authProvider or exec must be defined",
        ));
    }
    if owner == Owner::ControlPlane {
        causes.extend(validate_timeouts(spec, path));
    }
    causes
}

fn validate_files(spec: &Value, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut paths = BTreeSet::new();
    for (index, file) in items(&spec["files"]) {
        let at = format!("{path}.files[{index}]");
        let conflict = "only one of content or contentFrom may be specified for a single file";
        causes.extend(validate_source(file, &at, ("content", "contentFrom"), conflict));
        if !paths.insert(file["path"].as_str().unwrap_or_default()) {
            let detail = "path property must be unique among all files";
            causes.push(invalid(format!("{at}.path"), file, detail));
        }
    }
    causes
}

/// A text that is given directly or by reference to a Secret, but not both.
fn validate_source(
    object: &Value,
    at: &str,
    (direct, reference): (&str, &str),
    conflict: &str,
) -> Vec<Cause> {
    let mut causes = Vec::new();
    let source = &object[reference];
    if !is_defined(source) {
        return causes;
    }
    if is_defined(&object[direct]) {
        causes.push(invalid(at.to_owned(), object, conflict));
    }
    for field in ["name", "key"] {
        if !is_defined(&source["secret"][field]) {
            let detail = format!("secret file source must specify non-empty secret {field}");
            causes.push(required(format!("{at}.{reference}.secret.{field}"), &detail));
        }
    }
    causes
}

/// v1beta1 knows one timeout only for both configurations.
fn validate_timeouts(spec: &Value, path: &str) -> Vec<Cause> {
    const FIELD: &str = "controlPlaneComponentHealthCheckSeconds";
    let timeout = |configuration: &str| {
        let seconds = spec[configuration]["timeouts"][FIELD].as_i64();
        seconds.map_or_else(|| "unset".to_owned(), |seconds| seconds.to_string())
    };
    let (init, join) = (timeout("initConfiguration"), timeout("joinConfiguration"));
    if init == join {
        return Vec::new();
    }
    let detail = format!(
        "{FIELD} must be set to the same value both in initConfiguration.timeouts ({init}) and in \
         joinConfiguration.timeouts ({join})"
    );
    [("initConfiguration", init), ("joinConfiguration", join)]
        .into_iter()
        .map(|(configuration, value)| {
            invalid(format!("{path}.{configuration}.timeouts.{FIELD}"), &value.into(), &detail)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(spec: Value, owner: Owner, expected: &[&str]) {
        let causes: Vec<String> = validate_spec(&spec, "spec", owner)
            .into_iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect();
        assert_eq!(causes, expected, "{spec}");
    }

    #[test]
    fn file_has_one_source_and_a_path_of_its_own() {
        check(json!({"files": [{"path": "/a", "content": "x"}]}), Owner::Other, &[]);
        check(
            json!({"files": [{"path": "/a", "contentFrom": {"secret": {"name": "s"}}}, {"path": "/a"}]}),
            Owner::Other,
            &[
                "spec.files[0].contentFrom.secret.key: Required value: secret file source must \
                 specify non-empty secret key",
                "spec.files[1].path: Invalid value: {\"path\":\"/a\"}: path property must be \
                 unique among all files",
            ],
        );
    }

    #[test]
    fn ignition_is_behind_a_feature_gate() {
        check(
            json!({"format": "ignition"}),
            Owner::Other,
            &["spec.format: Forbidden: can be set only if the KubeadmBootstrapFormatIgnition \
               feature gate is enabled"],
        );
    }

    #[test]
    fn control_planes_have_one_health_check_timeout() {
        let spec = json!({"initConfiguration": {"timeouts": {"controlPlaneComponentHealthCheckSeconds": 9}}});
        assert_eq!(validate_spec(&spec, "spec", Owner::ControlPlane).len(), 2);
        check(spec, Owner::Other, &[]);
    }

    #[test]
    fn partitions_do_not_exceed_the_disk() {
        let layout = json!([{"percentage": 60}, {"percentage": 60}]);
        check(
            json!({"diskSetup": {"partitions": [{"device": "/d", "diskLayout": layout}]}}),
            Owner::Other,
            &["spec.diskSetup.partitions[0].diskLayout: Invalid value: 120: the sum of all \
               partition percentages must not be greater than 100"],
        );
    }
}
