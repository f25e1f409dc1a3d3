//! What is checked of update strategies. (kubernetes 1.36: pkg/apis/apps/validation)

use serde_json::Value;

use crate::apiserver::strategy::checks::int_or_percent_value;
use crate::apiserver::strategy::fields::text;
use crate::apiserver::strategy::internal;
use crate::apiserver::strategy::report::Report;

pub(super) fn deployment(strategy: &Value, path: &str, report: &mut Report) {
    let rolling = &strategy["rollingUpdate"];
    let field = format!("{path}.rollingUpdate");
    match text(strategy, "type") {
        "Recreate" if !rolling.is_null() => {
            report.forbidden(field, "may not be specified when strategy `type` is 'Recreate'");
        }
        "Recreate" => {}
        "RollingUpdate" => {
            let (unavailable, surge) = (&rolling["maxUnavailable"], &rolling["maxSurge"]);
            let unavailable_path = format!("{field}.maxUnavailable");
            report.int_or_percent(unavailable, &unavailable_path);
            report.int_or_percent(surge, &format!("{field}.maxSurge"));
            if int_or_percent_value(unavailable) == 0 && int_or_percent_value(surge) == 0 {
                let why = "may not be 0 when `maxSurge` is 0";
                report.invalid(unavailable_path.as_str(), unavailable, why);
            }
            report.at_most_all(unavailable, &unavailable_path);
        }
        _ => {
            let shown = internal::shown("Strategy", strategy);
            report.unsupported_shown(path, &shown, &["Recreate", "RollingUpdate"]);
        }
    }
}

pub(super) fn daemon_set(strategy: &Value, path: &str, report: &mut Report) {
    let rolling = &strategy["rollingUpdate"];
    let field = format!("{path}.rollingUpdate");
    match text(strategy, "type") {
        "OnDelete" => {}
        "RollingUpdate" => {
            let (unavailable, surge) = (&rolling["maxUnavailable"], &rolling["maxSurge"]);
            let [unavailable_path, surge_path] =
                ["maxUnavailable", "maxSurge"].map(|name| format!("{field}.{name}"));
            report.int_or_percent(unavailable, &unavailable_path);
            report.int_or_percent(surge, &surge_path);
            report.at_most_all(unavailable, &unavailable_path);
            report.at_most_all(surge, &surge_path);
            match (int_or_percent_value(unavailable) != 0, int_or_percent_value(surge) != 0) {
                (true, true) => {
                    let why = "may not be set when maxUnavailable is non-zero";
                    report.invalid(surge_path, surge, why);
                }
                (false, false) => {
                    report.required(unavailable_path, "cannot be 0 when maxSurge is 0");
                }
                _ => {}
            }
        }
        _ => {
            let shown = internal::shown("Strategy", strategy);
            report.unsupported_shown(path, &shown, &["RollingUpdate", "OnDelete"]);
        }
    }
}

pub(super) fn stateful_set(strategy: &Value, path: &str, report: &mut Report) {
    let rolling = &strategy["rollingUpdate"];
    let field = format!("{path}.rollingUpdate");
    match text(strategy, "type") {
        "OnDelete" if !rolling.is_null() => {
            let why = "only allowed for updateStrategy 'RollingUpdate'";
            report.shown(field, &internal::shown("StatefulSetRollingUpdate", rolling), why);
        }
        "OnDelete" => {}
        "RollingUpdate" => {
            report.field_not_negative(rolling, &field, "partition");
            let unavailable = &rolling["maxUnavailable"];
            if !unavailable.is_null() {
                let path = format!("{field}.maxUnavailable");
                report.int_or_percent(unavailable, &path);
                if int_or_percent_value(unavailable) == 0 {
                    report.invalid(path.as_str(), unavailable, "cannot be 0");
                }
                report.at_most_all(unavailable, &path);
            }
        }
        _ => {
            let shown = internal::shown("StatefulSetStrategy", strategy);
            report.shown(path, &shown, "must be 'RollingUpdate' or 'OnDelete'");
        }
    }
}
