//! Kinds that this server has rules for itself, and whose rules step aside for webhooks.
//!
//! Cluster API's defaults and checks are compiled in. Whoever runs a provider elsewhere may bring
//! its webhooks; both at once would hide what the user's do. A kind's own defaults therefore do not
//! run for an operation that a mutating webhook names, its own checks not for one that a validating
//! webhook names. It counts what names the kind's group and resource in so many words (webhooks for
//! `*` belong to policy engines) and leads somewhere. When the configuration goes, the kind's own
//! rules are back.

use super::attributes::Operation;
use super::webhooks::Phase;
use crate::apiserver::route::Call;

/// Whether a mutating webhook stands in for the kind's own defaults.
pub(crate) fn are_defaults_replaced(call: &Call<'_>, operation: Operation) -> bool {
    is_replaced(call, operation, Phase::Mutating)
}

/// Whether a validating webhook stands in for the kind's own checks.
pub(crate) fn are_checks_replaced(call: &Call<'_>, operation: Operation) -> bool {
    is_replaced(call, operation, Phase::Validating)
}

fn is_replaced(call: &Call<'_>, operation: Operation, phase: Phase) -> bool {
    if call.resource.is_built_in() {
        return false;
    }
    let Some(snapshot) = call.server.admission().snapshot() else { return false };
    snapshot.hooks(phase).iter().any(|hook| hook.stands_in(call, operation))
}
