//! LimitRanges. (kubernetes 1.36: pkg/apis/core/validation/validation.go, ValidateLimitRange)

use std::collections::BTreeSet;

use serde_json::Value;

use crate::apiserver::strategy::fields::{items, list, put, text};
use crate::apiserver::strategy::report::{Path, Report};
use crate::apiserver::strategy::resources::{
    self, amount, amounts, container_name, may_be_overcommitted,
};
use crate::apiserver::strategy::{Change, NONE, Rules, formats};
use crate::machinery::quantity::Quantity;
use crate::machinery::status::Cause;

/// Of LimitRanges.
pub(super) const RULES: Rules = Rules { default, validate, ..NONE };

const LISTS: [&str; 5] = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];

/// What a container may have at most it gets, and what it gets it asks for.
fn default(range: &mut Value) {
    for limit in list(&mut range["spec"], "limits") {
        if limit["type"] != "Container" {
            continue;
        }
        for (from, to) in
            [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")]
        {
            for (name, amount) in limit[from].as_object().cloned().into_iter().flatten() {
                put(&mut limit[to], &name, amount);
            }
        }
    }
}

fn validate(change: &Change<'_>) -> Vec<Cause> {
    let mut report = Report::default();
    let (list, mut taken) = (Path::Root("spec.limits"), Vec::new());
    for (index, limit) in items(&change.new["spec"]["limits"]).enumerate() {
        let path = list.index(index);
        let kind = text(limit, "type");
        check_kind(&mut report, &path.field("type"), kind);
        if taken.contains(&kind) {
            report.duplicate(path.field("type"), kind);
        }
        taken.push(kind);
        check_names(&mut report, &path, limit, kind);
        let has_storage = |list: &str| !limit[list]["storage"].is_null();
        if kind == "PersistentVolumeClaim" && !has_storage("min") && !has_storage("max") {
            let why = "either minimum or maximum storage value is required, but neither was \
                       provided";
            report.required(path.field("limits"), why);
        }
        let names: BTreeSet<&str> =
            LISTS.iter().flat_map(|list| amounts(&limit[*list])).map(|(name, _)| name).collect();
        for name in names {
            check_amounts(&mut report, &path, limit, name);
        }
    }
    report.into_causes()
}

fn check_kind(report: &mut Report, path: &Path<'_>, kind: &str) {
    let before = report.len();
    formats::qualified_name(report, path, kind);
    let standard = matches!(kind, "Pod" | "Container" | "PersistentVolumeClaim");
    if report.len() == before && !kind.contains('/') && !standard {
        report.invalid_text(path, kind, "must be a standard limit type or fully qualified");
    }
}

fn check_names(report: &mut Report, path: &Path<'_>, limit: &Value, kind: &str) {
    for list in LISTS {
        let place = path.field(list);
        if kind == "Pod" && matches!(list, "default" | "defaultRequest") {
            if limit[list].as_object().is_some_and(|list| !list.is_empty()) {
                report.forbidden(place, "may not be specified when `type` is 'Pod'");
            }
            continue;
        }
        for (name, _) in amounts(&limit[list]) {
            match kind {
                "Pod" | "Container" => container_name(report, &place.key(name), name),
                _ => resources::name(report, &place.key(name), name),
            }
        }
    }
}

fn check_amounts(report: &mut Report, path: &Path<'_>, limit: &Value, name: &str) {
    let of = |list: &str| amount(&limit[list], name);
    let is_pod = limit["type"] == "Pod";
    let (min, max) = (of("min"), of("max"));
    let default = of("default").filter(|_| !is_pod);
    let request = of("defaultRequest").filter(|_| !is_pod);
    let ordered = [
        ("min", "min", min, min, max, "min value", "max value"),
        ("defaultRequest", "request", request, min, request, "min value", "default request value"),
        ("defaultRequest", "request", request, request, max, "default request value", "max value"),
        (
            "defaultRequest",
            "request",
            request,
            request,
            default,
            "default request value",
            "default limit value",
        ),
        ("default", "min", min, min, default, "min value", "default value"),
        ("default", "max", max, default, max, "default value", "max value"),
    ];
    for (list, _, shown, low, high, low_name, high_name) in ordered {
        if let (Some(shown), Some(low), Some(high)) = (shown, low, high)
            && low > high
        {
            let why = format!("{low_name} {low} is greater than {high_name} {high}");
            report.invalid_text(path.field(list).key(name), &shown.to_string(), &why);
        }
    }
    if let Some(ratio) = of("maxLimitRequestRatio") {
        check_ratio(report, &path.field("maxLimitRequestRatio").key(name), ratio, (min, max));
    }
    if let (Some(default), Some(request)) = (default, request)
        && default != request
        && !may_be_overcommitted(name)
    {
        let why = format!(
            "default value {default} must equal to defaultRequest value {request} in {name}"
        );
        report.invalid_text(path.field("defaultRequest").key(name), &request.to_string(), &why);
    }
}

fn check_ratio(
    report: &mut Report,
    path: &Path<'_>,
    ratio: Quantity,
    (min, max): (Option<Quantity>, Option<Quantity>),
) {
    let shown = ratio.to_string();
    if ratio.milli_value() < 1_000 {
        report.invalid_text(path, &shown, &format!("ratio {shown} is less than 1"));
    }
    if let (Some(min), Some(max)) = (min, max) {
        let most = max.milli_value() as f64 / min.milli_value() as f64;
        if ratio.milli_value() as f64 / 1_000.0 > most {
            let why = format!("ratio {shown} is greater than max/min = {most:.6}");
            report.invalid_text(path, &shown, &why);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::apiserver::write::Target;

    fn check(limit: Value, expected: &[&str]) {
        let mut range = json!({"spec": {"limits": [limit]}});
        default(&mut range);
        let change = Change { new: &range, old: None, target: Target::Main };
        let causes: Vec<_> = validate(&change).iter().map(ToString::to_string).collect();
        assert_eq!(causes, expected, "{range}");
    }

    #[test]
    fn limits_are_checked() {
        check(json!({"type": "Container", "max": {"cpu": "1"}, "min": {"cpu": "100m"}}), &[]);
        check(
            json!({"type": "Pod", "max": {"cpu": "1"}, "min": {"cpu": "2"}}),
            &["spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max \
               value 1"],
        );
        check(
            json!({"type": "Pod", "default": {"cpu": "1"}}),
            &["spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'"],
        );
        check(
            json!({"type": "X"}),
            &["spec.limits[0].type: Invalid value: \"X\": must be a standard limit type or fully \
               qualified"],
        );
    }

    #[test]
    fn what_is_at_most_is_the_default() {
        let mut range = json!({"spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}});
        default(&mut range);
        let limit = &range["spec"]["limits"][0];
        assert_eq!(limit["default"], json!({"cpu": "1"}));
        assert_eq!(limit["defaultRequest"], json!({"cpu": "1"}));
    }
}
