//! Field ownership: `metadata.managedFields` and server-side apply.
//!
//! The algorithms are those of structured-merge-diff and of apimachinery's field manager chain,
//! on JSON values and our schema tree. Entries of other versions are settled by what a change is in
//! those versions, which the caller provides ([`Others`]). Differences: what an apply removes is
//! worked out in the version of the apply, and sets are not rewritten when a schema changes a field
//! from granular to atomic.
//!
//! [`update`] runs on every write, so it walks the old and the new object together, looks at
//! entries only if something changed, and edits their `fieldsV1` JSON in place.

mod apply;
mod compare;
mod entries;
mod field_set;
mod last_applied;
mod merge;
#[cfg(test)]
mod model_tests;
mod others;
mod remove;
mod scale;
mod shape;
#[cfg(test)]
mod tests;
mod typecheck;
mod update;

pub use apply::{Force, apply};
pub use compare::{Comparison, compare};
pub use entries::check;
pub use field_set::FieldSet;
pub use others::{Elsewhere, Others, other_versions};
pub use scale::{to_parent, to_scale};
pub use update::{reset_requested, update, update_across, update_held};

use super::field_path::PathElement;

/// Who writes, in which version and when.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// Field manager; empty counts as `unknown`.
    pub manager: &'a str,
    /// Subresource that is written through, empty for none.
    pub subresource: &'a str,
    /// apiVersion of the request.
    pub api_version: &'a str,
    /// RFC 3339 time in seconds; empty if the entry is to have none.
    pub now: &'a str,
    /// Fields that the write cannot set, with all below them: nobody owns them by it and it
    /// conflicts with nobody about them. (kubernetes 1.36: rest.ResetFieldsStrategy)
    pub reset: &'a [&'a [&'a str]],
}

impl<'a> Writer<'a> {
    fn manager(&self) -> &'a str {
        if self.manager.is_empty() { "unknown" } else { self.manager }
    }

    fn time(&self) -> Option<String> {
        (!self.now.is_empty()).then(|| self.now.to_owned())
    }

    /// The fields that the write cannot set.
    fn reset_fields(&self) -> FieldSet {
        let mut set = FieldSet::default();
        for path in self.reset {
            let path: Vec<PathElement> = path.iter().map(|name| PathElement::field(name)).collect();
            set.insert(&path);
        }
        set
    }
}
