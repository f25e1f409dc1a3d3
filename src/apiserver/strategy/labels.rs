//! Labels, annotations and selectors of labels. (kubernetes 1.36: apimachinery
//! pkg/apis/meta/v1/validation, pkg/api/validation)

use serde_json::Value;

use super::fields::{items, text};
use super::report::{Path, Report};
use crate::machinery::names;

/// Largest sum of the sizes of all annotations.
const ANNOTATIONS_MAX: usize = 256 * 1024;

/// Refuses malformed keys and values of labels.
pub(super) fn labels(report: &mut Report, path: &Path<'_>, labels: &Value) {
    for (key, value) in labels.as_object().into_iter().flatten() {
        report.invalid_texts(path, key, names::check_label_key(key));
        let value = value.as_str().unwrap_or_default();
        report.invalid_texts(path, value, names::check_label_value(value));
    }
}

/// Refuses malformed keys of annotations, and too many of them.
pub(super) fn annotations(report: &mut Report, path: &Path<'_>, annotations: &Value) {
    let mut size = 0;
    for (key, value) in annotations.as_object().into_iter().flatten() {
        size += key.len() + value.as_str().map_or(0, str::len);
        report.invalid_texts(path, key, names::check_label_key(&key.to_lowercase()));
    }
    if size > ANNOTATIONS_MAX {
        report.too_long(path, ANNOTATIONS_MAX);
    }
}

/// Refuses malformed selectors; one that is absent is fine.
pub(super) fn selector(report: &mut Report, path: &Path<'_>, selector: &Value) {
    labels(report, &path.field("matchLabels"), &selector["matchLabels"]);
    let list = path.field("matchExpressions");
    for (index, requirement) in items(&selector["matchExpressions"]).enumerate() {
        let path = list.index(index);
        let has_values = items(&requirement["values"]).next().is_some();
        match text(requirement, "operator") {
            "In" | "NotIn" if !has_values => {
                let why = "must be specified when `operator` is 'In' or 'NotIn'";
                report.required(path.field("values"), why);
            }
            "Exists" | "DoesNotExist" if has_values => {
                let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                report.forbidden(path.field("values"), why);
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => {
                report.invalid_text(path.field("operator"), other, "not a valid selector operator");
            }
        }
        let key = text(requirement, "key");
        report.invalid_texts(path.field("key"), key, names::check_label_key(key));
        for (index, value) in items(&requirement["values"]).enumerate() {
            let value = value.as_str().unwrap_or_default();
            let path = path.field("values");
            report.invalid_texts(path.index(index), value, names::check_label_value(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_need_values_as_their_operators_say() {
        let mut report = Report::default();
        let expressions = json!([
            {"key": "a", "operator": "In"},
            {"key": "a", "operator": "Exists", "values": ["x"]},
            {"key": "a", "operator": "X"},
            {"key": "", "operator": "Exists"},
            {"key": "a", "operator": "In", "values": ["-"]},
        ]);
        let path = Path::Root("s");
        selector(&mut report, &path, &json!({"matchExpressions": expressions}));
        let fields: Vec<_> = report.into_causes().into_iter().map(|it| it.field).collect();
        assert_eq!(
            fields,
            [
                "s.matchExpressions[0].values",
                "s.matchExpressions[1].values",
                "s.matchExpressions[2].operator",
                "s.matchExpressions[3].key",
                "s.matchExpressions[3].key",
                "s.matchExpressions[4].values[0]",
            ]
        );
    }
}
