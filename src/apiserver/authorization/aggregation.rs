//! ClusterRoles that are the union of others. (kubernetes 1.36: pkg/controller/clusterroleaggregation)

use serde_json::Value;

use super::rules::Rule;
use crate::machinery::selector::LabelSelector;

/// The rules of an aggregated role: those of `others` (name and object, by name) that one of its
/// selectors selects, each rule once. `None` for a role that aggregates nothing.
pub(crate) fn aggregated_rules<'a>(
    role: &Value,
    others: impl Iterator<Item = &'a Value>,
) -> Option<Vec<Rule>> {
    let selectors = selectors(role)?;
    let own = role["metadata"]["name"].as_str().unwrap_or_default();
    let mut rules: Vec<Rule> = Vec::new();
    for other in others {
        let name = other["metadata"]["name"].as_str().unwrap_or_default();
        if name == own || !selectors.iter().any(|selector| matches(selector, other)) {
            continue;
        }
        let more = serde_json::from_value::<Option<Vec<Rule>>>(other["rules"].clone());
        for rule in more.ok().flatten().unwrap_or_default() {
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
    }
    Some(rules)
}

/// Whether a role aggregates others.
pub(crate) fn is_aggregated(role: &Value) -> bool {
    role["aggregationRule"].is_object()
}

fn selectors(role: &Value) -> Option<Vec<LabelSelector>> {
    let list = role["aggregationRule"]["clusterRoleSelectors"].as_array()?;
    Some(
        list.iter()
            .filter_map(|selector| LabelSelector::from_label_selector(selector).ok())
            .collect(),
    )
}

fn matches(selector: &LabelSelector, role: &Value) -> bool {
    let labels = &role["metadata"]["labels"];
    selector.matches_by(|key| labels[key].as_str())
}
