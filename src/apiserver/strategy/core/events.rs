//! Events. (kubernetes 1.36: pkg/apis/core/validation/events.go)

use serde_json::Value;

use crate::apiserver::strategy::fields::text;
use crate::apiserver::strategy::report::{Path, Report};
use crate::apiserver::strategy::{Change, NONE, Rules, formats};
use crate::machinery::status::Cause;

/// Of Events.
pub(super) const RULES: Rules = Rules { validate, ..NONE };

/// Most bytes of the fields that say who reports what.
const WORDS_MAX: usize = 128;
/// Most bytes of a message.
const MESSAGE_MAX: usize = 1024;

fn validate(change: &Change<'_>) -> Vec<Cause> {
    let mut report = Report::default();
    check_event(&mut report, change.new);
    report.into_causes()
}

/// Events with a time of their own, which the newer recorders write, say who reports them; those
/// of old only where they live.
fn check_event(report: &mut Report, event: &Value) {
    let about = text(&event["involvedObject"], "namespace");
    let own = text(&event["metadata"], "namespace");
    let timed = !event["eventTime"].is_null();
    let at_home = match (about.is_empty(), timed) {
        (true, true) => matches!(own, "default" | "kube-system"),
        // Old events about what has no namespace live in the default one.
        (true, false) => own == "default",
        (false, true) => true,
        (false, false) => about == own,
    };
    if !at_home {
        let path = Path::Root("involvedObject.namespace");
        report.invalid_text(path, about, "does not match event.namespace");
    }
    if !timed {
        return;
    }
    let (path, controller) = (Path::Root("reportingComponent"), text(event, "reportingComponent"));
    if controller.is_empty() {
        report.required(path, "");
    }
    formats::qualified_name(report, &path, controller);
    for field in ["reportingInstance", "action", "reason"] {
        let (path, value) = (Path::Root(field), text(event, field));
        if value.is_empty() {
            report.required(path, "");
        }
        if value.len() > WORDS_MAX {
            report.invalid_text(path, "", "can have at most 128 characters");
        }
    }
    if text(event, "message").len() > MESSAGE_MAX {
        report.invalid_text(Path::Root("message"), "", "can have at most 1024 characters");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(event: Value, expected: &[&str]) {
        let mut report = Report::default();
        check_event(&mut report, &event);
        let fields: Vec<_> = report.into_causes().into_iter().map(|cause| cause.field).collect();
        assert_eq!(fields, expected, "{event}");
    }

    #[test]
    fn old_events_live_where_their_object_does() {
        let event = |about: Value, own: &str| json!({"metadata": {"namespace": own}, "involvedObject": {"namespace": about}});
        check(event(json!("a"), "a"), &[]);
        check(event(json!("a"), "b"), &["involvedObject.namespace"]);
        check(event(Value::Null, "default"), &[]);
        check(event(Value::Null, "kube-system"), &["involvedObject.namespace"]);
    }

    #[test]
    fn timed_events_say_who_reports() {
        let mut event = json!({
            "metadata": {"namespace": "a"}, "involvedObject": {"namespace": "a"},
            "eventTime": "2020-01-01T00:00:00.000000Z",
            "reportingComponent": "c", "reportingInstance": "i", "action": "A", "reason": "R",
        });
        check(event.clone(), &[]);
        event["action"] = "".into();
        event["reportingComponent"] = "-".into();
        check(event, &["reportingComponent", "action"]);
    }
}
