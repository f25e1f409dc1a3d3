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
mod others;
mod remove;
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
pub use update::{reset_requested, update, update_across, update_held};

/// Who writes, in which version and when.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// Field manager; empty counts as `unknown`.
    pub manager: &'a str,
    /// Subresource that is written through, empty for none.
    pub subresource: &'a str,
    /// apiVersion of the request.
    pub api_version: &'a str,
    /// RFC 3339 time in seconds.
    pub now: &'a str,
}

impl<'a> Writer<'a> {
    fn manager(&self) -> &'a str {
        if self.manager.is_empty() { "unknown" } else { self.manager }
    }
}
