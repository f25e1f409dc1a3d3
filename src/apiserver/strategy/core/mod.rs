//! Kinds of the core group.

mod data;
mod events;
mod namespaces;
mod pods;
mod services;

use super::{NONE, Rules};

/// The rules of a kind.
pub(super) fn rules(kind: &str) -> &'static Rules {
    match kind {
        "ConfigMap" => &data::CONFIG_MAP,
        "Event" => &events::RULES,
        "Namespace" => &namespaces::RULES,
        "Pod" => &pods::RULES,
        "Secret" => &data::SECRET,
        "Service" => &services::RULES,
        _ => &NONE,
    }
}
