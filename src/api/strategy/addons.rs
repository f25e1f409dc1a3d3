//! Rules of the add-on kinds. (CAPI v1.14: core/webhooks/admission/clusterresourceset.go,
//! clusterresourcesetbinding.go)

use serde_json::{Value, json};

use super::bootstrap::{invalid, is_defined};
use crate::machinery::definition::Strategy;
use crate::machinery::selector::LabelSelector;
use crate::machinery::status::Cause;

/// The strategy of a kind.
pub(super) fn of(kind: &str) -> Strategy {
    match kind {
        "ClusterResourceSet" => Strategy {
            default: Some(default_set),
            validate: Some(validate_set),
            ..Strategy::default()
        },
        "ClusterResourceSetBinding" => {
            Strategy { validate: Some(validate_binding), ..Strategy::default() }
        }
        _ => Strategy::default(),
    }
}

fn default_set(new: &mut Value, _old: Option<&Value>) {
    if let Some(spec) = new["spec"].as_object_mut()
        && spec.get("strategy").is_none_or(|strategy| !is_defined(strategy))
    {
        spec.insert("strategy".to_owned(), json!("ApplyOnce"));
    }
}

fn validate_set(new: &Value, old: Option<&Value>) -> Vec<Cause> {
    const SELECTOR: &str = "spec.clusterSelector";
    let selector = &new["spec"]["clusterSelector"];
    let refused = |detail: &str| invalid(SELECTOR.to_owned(), selector, detail);
    let mut causes = Vec::new();
    match LabelSelector::from_label_selector(selector) {
        Err(error) => causes.push(refused(&error)),
        Ok(parsed) if parsed.is_empty() || selector.is_null() => {
            causes.push(refused("selector must not be empty"));
        }
        Ok(_) => {}
    }
    let Some(old) = old else { return causes };
    let strategy = &new["spec"]["strategy"];
    if is_defined(&old["spec"]["strategy"]) && old["spec"]["strategy"] != *strategy {
        causes.push(invalid("spec.strategy".to_owned(), strategy, "field is immutable"));
    }
    if old["spec"]["clusterSelector"] != *selector {
        causes.push(refused("field is immutable"));
    }
    causes
}

fn validate_binding(new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let cluster = |binding: &Value| binding["spec"]["clusterName"].clone();
    let changed = old.map(cluster).filter(|before| is_defined(before) && *before != cluster(new));
    let refused = |_| invalid("spec.clusterName".to_owned(), &cluster(new), "field is immutable");
    changed.map(refused).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(selector: Value, strategy: &str) -> Value {
        json!({"spec": {"clusterSelector": selector, "strategy": strategy, "resources": []}})
    }

    fn check(new: &Value, old: Option<&Value>, expected: &[&str]) {
        let causes: Vec<String> = validate_set(new, old)
            .into_iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect();
        assert_eq!(causes, expected, "{new}");
    }

    #[test]
    fn a_set_selects_something_for_ever() {
        let good = set(json!({"matchLabels": {"cni": "x"}}), "ApplyOnce");
        check(&good, None, &[]);
        check(&good, Some(&good), &[]);
        check(
            &set(json!({}), "ApplyOnce"),
            None,
            &["spec.clusterSelector: Invalid value: {}: selector must not be empty"],
        );
        check(
            &set(json!({"matchLabels": {"cni": "y"}}), "Reconcile"),
            Some(&good),
            &[
                "spec.strategy: Invalid value: \"Reconcile\": field is immutable",
                "spec.clusterSelector: Invalid value: {\"matchLabels\":{\"cni\":\"y\"}}: field is \
                 immutable",
            ],
        );
    }

    #[test]
    fn a_selector_must_parse() {
        let bad = json!({"matchExpressions": [{"key": "a", "operator": "Like"}]});
        assert_eq!(validate_set(&set(bad, "ApplyOnce"), None).len(), 1);
    }

    #[test]
    fn strategy_is_apply_once_by_default() {
        let mut new = json!({"spec": {"resources": []}});
        default_set(&mut new, None);
        assert_eq!(new["spec"]["strategy"], "ApplyOnce");
        let mut new = json!({"spec": {"strategy": "Reconcile"}});
        default_set(&mut new, None);
        assert_eq!(new["spec"]["strategy"], "Reconcile");
    }

    #[test]
    fn a_binding_keeps_its_cluster() {
        let of = |name: &str| json!({"spec": {"clusterName": name}});
        assert!(validate_binding(&of("a"), None).is_empty());
        assert!(validate_binding(&of("a"), Some(&of("a"))).is_empty());
        assert!(validate_binding(&of("a"), Some(&json!({"spec": {}}))).is_empty());
        assert_eq!(validate_binding(&of("b"), Some(&of("a")))[0].field, "spec.clusterName");
    }
}
