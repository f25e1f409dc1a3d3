//! Events. (kubernetes 1.36: pkg/apis/core/validation/events.go)

use serde_json::Value;

use crate::apiserver::strategy::{Change, NONE, Rules};
use crate::machinery::status::Cause;

/// Of Events.
pub(super) const RULES: Rules = Rules { validate, ..NONE };

fn validate(change: &Change<'_>) -> Vec<Cause> {
    let mut causes = Vec::new();
    if change.old.is_none() {
        check_event(change.new, &mut causes);
    }
    causes
}

/// An event lives in the namespace of what it is about.
fn check_event(event: &Value, causes: &mut Vec<Cause>) {
    let about = event["involvedObject"]["namespace"].as_str().unwrap_or_default();
    // Events about what has no namespace live in the default one.
    let wanted = if about.is_empty() { "default" } else { about };
    let given = event["metadata"]["namespace"].as_str().unwrap_or_default();
    let elsewhere = about.is_empty() && given == "kube-system";
    if given != wanted && !elsewhere {
        let why = "does not match event.namespace";
        causes.push(Cause::invalid("involvedObject.namespace", &about.into(), why));
    }
}
