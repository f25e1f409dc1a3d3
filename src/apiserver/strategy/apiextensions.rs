//! Kinds of the group `apiextensions.k8s.io`.

use super::{NONE, Rules};
use crate::apiserver::write::Target;
use crate::machinery::crd;

const DEFINITION: Rules = Rules {
    default: crd::set_defaults,
    validate: |change| match change.target {
        Target::Status => crd::validate_status(change.new),
        _ => crd::validate(change.new, change.old),
    },
    warnings: |change| crd::warnings(change.new, change.old),
    ..NONE
};

/// The rules of a kind.
pub(super) fn rules(kind: &str) -> &'static Rules {
    match kind {
        "CustomResourceDefinition" => &DEFINITION,
        _ => &NONE,
    }
}
