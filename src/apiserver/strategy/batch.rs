//! Kinds of the group `batch`.

use serde_json::Value;

use super::pod_spec::template_owner;
use super::{NONE, Rules};

const JOB: Rules = Rules { default: default_job, ..NONE };

/// The rules of a kind.
pub(super) fn rules(kind: &str) -> &'static Rules {
    match kind {
        "Job" => &JOB,
        _ => &NONE,
    }
}

fn default_job(job: &mut Value) {
    template_owner(job);
}
