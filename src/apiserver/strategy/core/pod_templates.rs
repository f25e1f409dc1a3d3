//! PodTemplates. (kubernetes 1.36: pkg/registry/core/podtemplate/strategy.go)

use serde_json::Value;

use crate::apiserver::strategy::pod_spec::{default_pod_spec, template, warnings};
use crate::apiserver::strategy::report::{Path, Report};
use crate::apiserver::strategy::{NONE, Rules};

/// Of PodTemplates.
pub(super) const RULES: Rules = Rules {
    default: |object: &mut Value| default_pod_spec(&mut object["template"]["spec"]),
    validate: |change| {
        let mut report = Report::default();
        template(&mut report, &Path::Root("template"), &change.new["template"]);
        report.into_causes()
    },
    warnings: |change| {
        let old = change.old.map(|old| &old["template"]);
        warnings::of_template(&change.new["template"], "template", old)
    },
    ..NONE
};
