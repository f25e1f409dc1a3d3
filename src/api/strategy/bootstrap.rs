//! Rules of the bootstrap kinds. (CAPI v1.14: bootstrap/kubeadm/webhooks/admission)
//!
//! Labels and annotations inside templates are left to the objects made of them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::api::topology::variables::validate_metadata;
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
            default_dry_run: Some(default_template),
            validate: Some(|new, _| {
                let template = &new["spec"]["template"];
                let mut causes =
                    validate_spec(&template["spec"], "spec.template.spec", Owner::Other);
                causes.extend(validate_metadata(&template["metadata"], "spec.template.metadata"));
                causes
            }),
            ..Strategy::default()
        },
        _ => Strategy::default(),
    }
}

/// The topology controller's dry runs see what older versions of Cluster API had as defaults, so
/// that templates of that time are not rolled out again.
fn default_template(new: &mut Value, _old: Option<&Value>) {
    if !is_topology_dry_run(new) {
        return;
    }
    if let Some(spec) = new.pointer_mut("/spec/template/spec").filter(|spec| spec.is_object()) {
        put_previous_defaults(spec);
    }
}

/// Whether a dry run is one of the topology controller's. (CAPI v1.14: util/topology/topology.go)
pub(super) fn is_topology_dry_run(new: &Value) -> bool {
    !new["metadata"]["annotations"]["topology.cluster.x-k8s.io/dry-run"].is_null()
}

/// What older versions of Cluster API had as defaults of a KubeadmConfigSpec.
pub(super) fn put_previous_defaults(spec: &mut Value) {
    put_text(spec, &[], "format", "cloud-config");
    for configuration in ["initConfiguration", "joinConfiguration"] {
        let at = [configuration, "nodeRegistration"];
        put_text(spec, &at, "imagePullPolicy", "IfNotPresent");
    }
    let exec = ["joinConfiguration", "discovery", "file", "kubeConfig", "user", "exec"];
    if is_defined(&spec["joinConfiguration"]["discovery"]["file"]["kubeConfig"]["user"]["exec"]) {
        put_text(spec, &exec, "apiVersion", "client.authentication.k8s.io/v1");
    }
}

/// Puts a text below `path` where nothing is.
fn put_text(root: &mut Value, path: &[&str], field: &str, text: &str) {
    let mut at = root;
    for step in path {
        let Some(fields) = at.as_object_mut() else { return };
        at = fields.entry(*step).or_insert_with(|| json!({}));
    }
    if let Some(fields) = at.as_object_mut()
        && fields.get(field).is_none_or(|value| !is_defined(value))
    {
        fields.insert(field.to_owned(), json!(text));
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
    causes.extend(validate_ignition(spec, path));
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

/// What the other format asks for. Upstream's feature gate KubeadmBootstrapFormatIgnition counts as
/// switched on.
fn validate_ignition(spec: &Value, path: &str) -> Vec<Cause> {
    const UNSUPPORTED: &str = "not supported when spec.format is set to: \"ignition\"";
    let mut causes = Vec::new();
    if spec["format"] != "ignition" {
        if is_defined(&spec["ignition"]) {
            let format = json!(spec["format"].as_str().unwrap_or_default());
            let detail = "must be set to \"ignition\" if spec.ignition is set";
            causes.push(invalid(format!("{path}.format"), &format, detail));
        }
        return causes;
    }
    let mut forbid = |field: String| causes.push(forbidden(format!("{path}.{field}"), UNSUPPORTED));
    for (index, user) in items(&spec["users"]) {
        if user["inactive"] == true {
            forbid(format!("users[{index}].inactive"));
        }
    }
    for (index, file) in items(&spec["files"]) {
        if file["encoding"] == "gzip" || file["encoding"] == "gzip+base64" {
            forbid(format!("files[{index}].encoding"));
        }
    }
    if is_defined(&spec["bootCommands"]) {
        forbid("bootCommands".to_owned());
    }
    let setup = &spec["diskSetup"];
    for (index, filesystem) in items(&setup["filesystems"]) {
        for field in ["replaceFS", "partition"] {
            if is_defined(&filesystem[field]) {
                forbid(format!("diskSetup.filesystems[{index}].{field}"));
            }
        }
    }
    for (index, partition) in items(&setup["partitions"]) {
        let table = &partition["tableType"];
        if is_defined(table) && table != "gpt" {
            let detail =
                "only partition type \"gpt\" is supported when spec.format is set to \"ignition\"";
            let at = format!("{path}.diskSetup.partitions[{index}].tableType");
            causes.push(invalid(at, table, detail));
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
    fn ignition_has_no_place_for_some_fields() {
        check(json!({"format": "ignition"}), Owner::Other, &[]);
        check(
            json!({"ignition": {"containerLinuxConfig": {"strict": true}}}),
            Owner::Other,
            &[
                "spec.format: Invalid value: \"\": must be set to \"ignition\" if spec.ignition is set",
            ],
        );
        let unsupported = "Forbidden: not supported when spec.format is set to: \"ignition\"";
        let at = |field: &str| format!("spec.{field}: {unsupported}");
        check(
            json!({"format": "ignition", "bootCommands": ["a"], "users": [{"name": "u", "inactive": true}],
                "files": [{"path": "/a", "encoding": "gzip"}],
                "diskSetup": {"filesystems": [{"replaceFS": "x"}], "partitions": [{"tableType": "mbr"}]}}),
            Owner::Other,
            &[
                &at("users[0].inactive"),
                &at("files[0].encoding"),
                &at("bootCommands"),
                &at("diskSetup.filesystems[0].replaceFS"),
                "spec.diskSetup.partitions[0].tableType: Invalid value: \"mbr\": only partition type \
                 \"gpt\" is supported when spec.format is set to \"ignition\"",
            ],
        );
    }

    #[test]
    fn dry_runs_of_the_topology_controller_see_the_old_defaults() {
        let mut plain = json!({"metadata": {}, "spec": {"template": {"spec": {}}}});
        default_template(&mut plain, None);
        assert_eq!(plain["spec"]["template"]["spec"], json!({}));
        let mut dry = plain.clone();
        dry["metadata"] = json!({"annotations": {"topology.cluster.x-k8s.io/dry-run": ""}});
        default_template(&mut dry, None);
        let node = json!({"nodeRegistration": {"imagePullPolicy": "IfNotPresent"}});
        assert_eq!(
            dry["spec"]["template"]["spec"],
            json!({"format": "cloud-config", "initConfiguration": node, "joinConfiguration": node})
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
