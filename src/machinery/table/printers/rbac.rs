//! Role bindings.

use serde_json::Value;

use super::{items, text};

pub(in super::super) fn role(binding: &Value, _: i64) -> Value {
    format!("{}/{}", text(binding, "/roleRef/kind"), text(binding, "/roleRef/name")).into()
}

pub(in super::super) fn users(binding: &Value, _: i64) -> Value {
    subjects(binding, "User")
}

pub(in super::super) fn groups(binding: &Value, _: i64) -> Value {
    subjects(binding, "Group")
}

pub(in super::super) fn service_accounts(binding: &Value, _: i64) -> Value {
    subjects(binding, "ServiceAccount")
}

fn subjects(binding: &Value, kind: &str) -> Value {
    let of_kind = items(binding, "/subjects").iter().filter(|s| text(s, "/kind") == kind);
    let names: Vec<String> = of_kind
        .map(|subject| {
            let name = text(subject, "/name");
            match kind {
                "ServiceAccount" => format!("{}/{name}", text(subject, "/namespace")),
                _ => name.to_owned(),
            }
        })
        .collect();
    names.join(", ").into()
}
