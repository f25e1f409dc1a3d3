//! Kinds of the group `node.k8s.io`. (kubernetes 1.36: pkg/apis/node/validation)

use serde_json::Value;

use super::checks::quantity_sign;
use super::fields::{items, text};
use super::report::Report;
use super::{Change, NONE, Rules};
use crate::machinery::names;
use crate::machinery::status::Cause;

const RUNTIME_CLASS: Rules = Rules { validate, ..NONE };

/// The rules of a kind.
pub(super) fn rules(kind: &str) -> &'static Rules {
    match kind {
        "RuntimeClass" => &RUNTIME_CLASS,
        _ => &NONE,
    }
}

fn validate(change: &Change<'_>) -> Vec<Cause> {
    let mut report = Report::default();
    let new = change.new;
    let handler = text(new, "handler");
    report.invalid_texts("handler", handler, names::check_label(handler));
    for (name, amount) in new["overhead"]["podFixed"].as_object().into_iter().flatten() {
        if quantity_sign(amount).is_some_and(|sign| sign < 0) {
            let path = format!("overhead.podFixed.limits[{name}]");
            report.invalid(path, amount, "must be greater than or equal to 0");
        }
    }
    let scheduling = &new["scheduling"];
    report.labels(&scheduling["nodeSelector"], "scheduling.nodeSelector");
    tolerations(&scheduling["tolerations"], "scheduling.tolerations", &mut report);
    if let Some(old) = change.old {
        report.immutable(&new["handler"], &old["handler"], "handler");
    }
    report.into_causes()
}

fn tolerations(tolerations: &Value, path: &str, report: &mut Report) {
    for (index, toleration) in items(tolerations).enumerate() {
        let path = format!("{path}[{index}]");
        let (key, operator) = (text(toleration, "key"), text(toleration, "operator"));
        if !key.is_empty() {
            report.invalid_texts(format!("{path}.key"), key, names::check_label_key(key));
        } else if operator != "Exists" {
            let why = "operator must be Exists when `key` is empty, which means \"match all values \
                       and all keys\"";
            report.invalid(format!("{path}.operator"), &operator.into(), why);
        }
        let seconds = &toleration["tolerationSeconds"];
        if !seconds.is_null() && toleration["effect"] != "NoExecute" {
            let why = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            report.invalid(format!("{path}.effect"), &text(toleration, "effect").into(), why);
        }
        let value = text(toleration, "value");
        if operator == "Exists" && !value.is_empty() {
            let why = "value must be empty when `operator` is 'Exists'";
            report.invalid(format!("{path}.operator"), toleration, why);
        }
        if !matches!(operator, "" | "Equal" | "Exists") {
            let of = ["Equal", "Exists"];
            report.unsupported_value(format!("{path}.operator"), &operator.into(), &of);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::apiserver::write::Target;

    #[test]
    fn handlers_are_labels_and_stay() {
        let old = json!({"metadata": {"name": "c"}, "handler": "runc"});
        let new = json!({"metadata": {"name": "c"}, "handler": "a.b"});
        let said = |new: &Value, old: Option<&Value>| -> Vec<String> {
            let change = Change { new, old, target: Target::Main };
            validate(&change).iter().map(ToString::to_string).collect()
        };
        assert_eq!(said(&old, None), Vec::<String>::new());
        assert_eq!(
            said(&new, Some(&old)),
            [
                "handler: Invalid value: \"a.b\": must not contain dots",
                "handler: Invalid value: \"a.b\": field is immutable",
            ]
        );
    }
}
