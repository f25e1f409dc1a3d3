//! Paths within volumes: relative ones, and those that do not climb.

use crate::apiserver::strategy::report::{Path, Report};

/// Refuses paths that climb.
pub(super) fn no_backsteps(report: &mut Report, path: &Path<'_>, text: &str) -> bool {
    let climbs = text.split('/').any(|part| part == "..");
    if climbs {
        report.invalid_text(path, text, "must not contain '..'");
    }
    !climbs
}

/// Refuses absolute paths and those that climb.
pub(super) fn descending(report: &mut Report, path: &Path<'_>, text: &str) {
    if text.starts_with('/') {
        report.invalid_text(path, text, "must be a relative path");
    }
    no_backsteps(report, path, text);
}

/// Refuses what [`descending`] refuses, and names that kubelets keep for themselves.
pub(super) fn not_reserved(report: &mut Report, path: &Path<'_>, text: &str) {
    descending(report, path, text);
    // What climbs has been refused already.
    if text.starts_with("..") && text != ".." && !text.starts_with("../") {
        report.invalid_text(path, text, "must not start with '..'");
    }
}
