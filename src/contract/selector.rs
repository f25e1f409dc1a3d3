//! Label selectors of machine collections: matching and the string form.
//! (apimachinery: LabelSelectorAsSelector, FormatLabelSelector)

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// Whether a selector says nothing, and therefore matches everything.
pub fn is_empty(selector: &LabelSelector) -> bool {
    selector.match_labels.as_ref().is_none_or(BTreeMap::is_empty)
        && selector.match_expressions.as_ref().is_none_or(Vec::is_empty)
}

/// Whether labels match a selector; an unknown operator matches nothing.
pub fn matches(selector: &LabelSelector, labels: Option<&BTreeMap<String, String>>) -> bool {
    let value = |key: &str| labels.and_then(|labels| labels.get(key)).map(String::as_str);
    let labels_match =
        selector.match_labels.iter().flatten().all(|(key, wanted)| value(key) == Some(wanted));
    labels_match
        && selector.match_expressions.iter().flatten().all(|requirement| {
            let found = value(&requirement.key);
            let listed = |found: &str| {
                requirement.values.iter().flatten().any(|wanted| wanted.as_str() == found)
            };
            match requirement.operator.as_str() {
                "In" => found.is_some_and(listed),
                "NotIn" => found.is_none_or(|found| !listed(found)),
                "Exists" => found.is_some(),
                "DoesNotExist" => found.is_none(),
                _ => false,
            }
        })
}

/// A selector as `status.selector` shows it, requirements ordered by key.
pub fn format(selector: &LabelSelector) -> String {
    let mut requirements: Vec<(&str, String)> = Vec::new();
    for (key, value) in selector.match_labels.iter().flatten() {
        requirements.push((key, format!("{key}={value}")));
    }
    for requirement in selector.match_expressions.iter().flatten() {
        let key = requirement.key.as_str();
        let mut values: Vec<&str> =
            requirement.values.iter().flatten().map(String::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        requirements.push((
            key,
            match requirement.operator.as_str() {
                "In" => format!("{key} in ({values})"),
                "NotIn" => format!("{key} notin ({values})"),
                "DoesNotExist" => format!("!{key}"),
                _ => key.to_owned(),
            },
        ));
    }
    requirements.sort_by(|a, b| a.0.cmp(b.0));
    requirements.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_match_and_print_like_kubernetes() {
        let selector: LabelSelector = serde_json::from_value(json!({
            "matchLabels": {"b": "1"},
            "matchExpressions": [{"key": "a", "operator": "In", "values": ["y", "x"]},
                                 {"key": "c", "operator": "DoesNotExist"}]
        }))
        .unwrap();
        assert_eq!(format(&selector), "a in (x,y),b=1,!c");
        let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        assert!(matches(&selector, Some(&labels(&[("a", "x"), ("b", "1")]))));
        assert!(!matches(&selector, Some(&labels(&[("a", "x"), ("b", "1"), ("c", "")]))));
        assert!(!matches(&selector, None));
        assert!(is_empty(&LabelSelector::default()));
    }
}
