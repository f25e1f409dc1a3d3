//! Pod specs, in pods and in the templates of the kinds that make them.
//! (kubernetes 1.36: pkg/apis/core/v1/defaults.go, pkg/apis/core/validation)

mod defaults;
mod validation;

pub(super) use defaults::{default_pod_spec, template_owner};
pub(super) use validation::{check_selector, check_spec};
