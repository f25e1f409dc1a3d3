//! Rules of MachinePools. (CAPI v1.14: core/webhooks/admission/machinepool.go)

use serde_json::{Value, json};

use super::bootstrap::{forbidden, invalid, is_defined};
use super::core::{
    default_replicas, label_with_cluster, prefix_version, put_missing, validate_bootstrap,
    validate_cluster_name, validate_replicas, validate_version,
};
use crate::api::topology::variables::validate_metadata;
use crate::machinery::definition::Strategy;
use crate::machinery::status::Cause;

/// How long a Node may take to go, by default.
const NODE_DELETION_SECONDS: i64 = 10;

/// The strategy of MachinePools.
pub(super) fn machine_pool() -> Strategy {
    Strategy { default: Some(default), validate: Some(validate), ..Strategy::default() }
}

fn default(new: &mut Value, old: Option<&Value>) {
    label_with_cluster(new);
    default_replicas(new, old);
    let seconds = json!(NODE_DELETION_SECONDS);
    put_missing(new, "spec.template.spec.deletion", "nodeDeletionTimeoutSeconds", seconds);
    prefix_version(new, "/spec/template/spec/version");
}

fn validate(new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let spec = &new["spec"];
    let machine = &spec["template"]["spec"];
    let mut causes = Vec::new();
    causes.extend(validate_replicas(new));
    causes.extend(validate_bootstrap(machine, "spec.template.spec"));
    causes.extend(validate_cluster_name(new, old));
    if spec["clusterName"] != machine["clusterName"] {
        let detail =
            "spec.clusterName and spec.template.spec.clusterName must be set to the same value";
        causes.push(invalid("spec.clusterName".to_owned(), &spec["clusterName"], detail));
    }
    causes.extend(validate_version(&machine["version"], "spec.template.spec.version"));
    if is_defined(&machine["taints"]) {
        let detail = "taints feature for MachinePools is not yet implemented";
        causes.push(forbidden("spec.taints".to_owned(), detail));
    }
    causes.extend(validate_metadata(&spec["template"]["metadata"], "spec.template.metadata"));
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(spec: &Value) -> Value {
        let mut pool = json!({"metadata": {"name": "mp"}, "spec": {
            "clusterName": "bar", "template": {"spec": {
                "clusterName": "bar", "bootstrap": {"dataSecretName": "data"}}}}});
        crate::machinery::patch::merge::apply(&mut pool["spec"], spec);
        pool
    }

    fn check(spec: &Value, old: Option<&Value>, expected: &[&str]) {
        let causes: Vec<String> = validate(&pool(spec), old)
            .into_iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect();
        assert_eq!(causes, expected, "{spec}");
    }

    #[test]
    fn defaults_fill_in_what_upstream_fills_in() {
        let mut new = pool(&json!({"template": {"spec": {"version": "1.35.0"}}}));
        default(&mut new, None);
        assert_eq!(new["metadata"]["labels"]["cluster.x-k8s.io/cluster-name"], "bar");
        assert_eq!(new["spec"]["replicas"], 1);
        let machine = &new["spec"]["template"]["spec"];
        assert_eq!(machine["deletion"]["nodeDeletionTimeoutSeconds"], 10);
        assert_eq!(machine["version"], "v1.35.0");
    }

    #[test]
    fn the_autoscaler_bounds_decide_about_replicas_nobody_asked_for() {
        let key = |end: &str| format!("cluster.x-k8s.io/cluster-api-autoscaler-node-group-{end}");
        let bounded = |before: Option<i64>| {
            let mut new = pool(&json!({}));
            new["metadata"]["annotations"] = json!({key("min-size"): "3", key("max-size"): "7"});
            let old = before.map(|replicas| pool(&json!({"replicas": replicas})));
            default(&mut new, old.as_ref());
            new["spec"]["replicas"].as_i64()
        };
        for (before, after) in [(None, 3), (Some(1), 3), (Some(5), 5), (Some(9), 7)] {
            assert_eq!(bounded(before), Some(after), "{before:?}");
        }
    }

    #[test]
    fn what_upstream_refuses_is_refused() {
        check(&json!({}), None, &[]);
        check(
            &json!({"template": {"spec": {"bootstrap": null}}}),
            None,
            &["spec.template.spec.bootstrap: Required value: expected either \
               spec.template.spec.bootstrap.dataSecretName or spec.template.spec.bootstrap.configRef \
               to be populated"],
        );
        check(
            &json!({"clusterName": "foo"}),
            Some(&pool(&json!({}))),
            &[
                "spec.clusterName: Forbidden: field is immutable",
                "spec.clusterName: Invalid value: \"foo\": spec.clusterName and \
                 spec.template.spec.clusterName must be set to the same value",
            ],
        );
        check(
            &json!({"template": {"spec": {"version": "v1.35"}}}),
            None,
            &["spec.template.spec.version: Invalid value: \"v1.35\": must be a valid semantic \
               version"],
        );
        check(
            &json!({"template": {"spec": {"taints": [{"key": "a"}]}}}),
            None,
            &["spec.taints: Forbidden: taints feature for MachinePools is not yet implemented"],
        );
    }
}
