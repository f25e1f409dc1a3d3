//! What a namespace says of itself while its content does not go, in upstream's words.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Content;

/// One condition before it is rendered.
struct Condition {
    kind: &'static str,
    is_true: bool,
    reason: &'static str,
    message: String,
}

/// The conditions of a namespace with `remaining` content. Times of conditions whose status is the
/// same in `before` stay.
pub(super) fn of(before: &Value, remaining: &Content, now: Timestamp) -> Value {
    let quiet = |kind, reason, message: &str| Condition {
        kind,
        is_true: false,
        reason,
        message: message.to_owned(),
    };
    let conditions = [
        quiet(
            "NamespaceDeletionDiscoveryFailure",
            "ResourcesDiscovered",
            "All resources successfully discovered",
        ),
        quiet(
            "NamespaceDeletionGroupVersionParsingFailure",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        quiet(
            "NamespaceDeletionContentFailure",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        content(remaining),
        finalizers(remaining),
    ];
    conditions.into_iter().map(|condition| render(condition, before, now)).collect()
}

fn content(remaining: &Content) -> Condition {
    let mut resources: Vec<String> = remaining
        .iter()
        .map(|(key, objects)| {
            format!("{}.{} has {} resource instances", key.plural, key.group, objects.len())
        })
        .collect();
    resources.sort();
    Condition {
        kind: "NamespaceContentRemaining",
        is_true: true,
        reason: "SomeResourcesRemain",
        message: format!("Some resources are remaining: {}", resources.join(", ")),
    }
}

fn finalizers(remaining: &Content) -> Condition {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for object in remaining.iter().flat_map(|(_, objects)| objects) {
        for finalizer in &object.meta.finalizers {
            *counts.entry(finalizer).or_default() += 1;
        }
    }
    let kind = "NamespaceFinalizersRemaining";
    if counts.is_empty() {
        let message = "All content-preserving finalizers finished".to_owned();
        return Condition { kind, is_true: false, reason: "ContentHasNoFinalizers", message };
    }
    let list: Vec<String> = counts
        .iter()
        .map(|(name, count)| format!("{name} in {count} resource instances"))
        .collect();
    Condition {
        kind,
        is_true: true,
        reason: "SomeFinalizersRemain",
        message: format!(
            "Some content in the namespace has finalizers remaining: {}",
            list.join(", ")
        ),
    }
}

fn render(condition: Condition, before: &Value, now: Timestamp) -> Value {
    let Condition { kind, is_true, reason, message } = condition;
    let status = if is_true { "True" } else { "False" };
    let since = before
        .as_array()
        .into_iter()
        .flatten()
        .find(|old| old["type"] == kind && old["status"] == status)
        .and_then(|old| old["lastTransitionTime"].as_str())
        .map_or_else(|| format!("{now:.0}"), str::to_owned);
    json!({
        "type": kind,
        "status": status,
        "lastTransitionTime": since,
        "reason": reason,
        "message": message,
    })
}
