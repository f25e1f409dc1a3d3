//! Restart policies of containers and the rules behind them.
//! (kubernetes 1.36: pkg/apis/core/validation/validation.go, ContainerRestartRules)

use serde_json::Value;

use crate::apiserver::strategy::fields::{items, text};
use crate::apiserver::strategy::report::{Path, Report};

const POLICIES: &[&str] = &["Always", "Never", "OnFailure"];
const ACTIONS: &[&str] = &["Restart"];
const OPERATORS: &[&str] = &["In", "NotIn"];
const RULES_MAX: usize = 20;
const VALUES_MAX: usize = 255;

/// Of a regular container.
pub(super) fn regular(report: &mut Report, path: &Path<'_>, container: &Value) {
    report.one_of(path.field("restartPolicy"), &container["restartPolicy"], POLICIES);
    rules(report, path, container);
}

/// Of an init container.
pub(super) fn init(report: &mut Report, path: &Path<'_>, container: &Value) {
    report.one_of(path.field("restartPolicy"), &container["restartPolicy"], POLICIES);
    rules(report, path, container);
}

fn rules(report: &mut Report, path: &Path<'_>, container: &Value) {
    let (list, count) = (path.field("restartPolicyRules"), items(&container["restartPolicyRules"]));
    let count = count.count();
    if count == 0 {
        return;
    }
    if container["restartPolicy"].is_null() {
        let why = "must specify restartPolicy when restart rules are used";
        report.required(path.field("restartPolicy"), why);
    }
    if count > RULES_MAX {
        let why = format!("must have at most {RULES_MAX} items");
        report.shown(list, &count.to_string(), &why);
    }
    for (index, rule) in items(&container["restartPolicyRules"]).enumerate() {
        let path = list.index(index);
        report.must_be_one_of(path.field("action"), &rule["action"], ACTIONS);
        let (codes, place) = (&rule["exitCodes"], path.field("exitCodes"));
        if codes.is_null() {
            report.required(place, "must be specified");
            continue;
        }
        match text(codes, "operator") {
            "" => report.required(place.field("operator"), ""),
            _ => report.one_of(place.field("operator"), &codes["operator"], OPERATORS),
        }
        if items(&codes["values"]).count() > VALUES_MAX {
            let why = format!("must have at most {VALUES_MAX} items");
            report.shown(place.field("values"), "[]", &why);
        }
    }
}
