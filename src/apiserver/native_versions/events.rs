//! Events of `events.k8s.io/v1`: the core group's under other names.
//! (kubernetes 1.36: pkg/apis/events/v1/conversion.go)

use serde_json::{Map, Value};

/// Names of fields in the core group and here.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

/// To the core group's names.
pub(super) fn inward(event: &mut Value) {
    let Some(event) = event.as_object_mut() else { return };
    for (core, newer) in NAMES {
        rename(event, newer, core);
    }
}

/// To the newer names, where empty reporters are left out.
pub(super) fn outward(event: &mut Value) {
    let Some(event) = event.as_object_mut() else { return };
    for (core, newer) in NAMES {
        rename(event, core, newer);
    }
    for name in ["reportingController", "reportingInstance"] {
        if event.get(name).is_some_and(|value| value == "") {
            event.remove(name);
        }
    }
}

fn rename(event: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(value) = event.remove(from) {
        event.insert(to.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_field_has_a_name_in_both_groups() {
        let newer = json!({
            "regarding": {"name": "p"}, "note": "n", "reportingController": "c",
            "deprecatedSource": {"component": "s"}, "deprecatedCount": 3,
            "deprecatedFirstTimestamp": null, "deprecatedLastTimestamp": null, "reason": "r",
        });
        let mut core = newer.clone();
        inward(&mut core);
        assert_eq!((&core["message"], &core["count"]), (&json!("n"), &json!(3)));
        assert_eq!(core["involvedObject"], json!({"name": "p"}));
        outward(&mut core);
        assert_eq!(core, newer);
    }
}
