//! Kinds of the group `apiextensions.k8s.io`.

use super::{NONE, Rules};
use crate::machinery::crd;

const DEFINITION: Rules = Rules { default: crd::set_defaults, ..NONE };

/// The rules of a kind.
pub(super) fn rules(kind: &str) -> &'static Rules {
    match kind {
        "CustomResourceDefinition" => &DEFINITION,
        _ => &NONE,
    }
}
