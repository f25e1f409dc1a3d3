//! The plug-ins that kube-apiserver has switched on by default, as far as they show.
//! (kubernetes 1.36: pkg/kubeapiserver/options/plugins.go)

use serde_json::Value;

use super::attributes::{Attributes, Operation};
use crate::apiserver::route::Call;
use crate::machinery::status::Status;

/// Changes an object, or refuses the request. The second object is the stored one.
type Admit = fn(
    &Attributes<'_>,
    &mut Option<Value>,
    Option<&Value>,
    &mut Vec<String>,
) -> Result<(), Box<Status>>;

/// Refuses a request.
type Approve = fn(
    &Attributes<'_>,
    Option<&Value>,
    Option<&Value>,
    &mut Vec<String>,
) -> Result<(), Box<Status>>;

/// A plug-in, for one kind.
pub(super) struct Plugin {
    pub(super) admit: Admit,
    pub(super) approve: Approve,
}

/// The plug-ins that have a say about a request, in their order.
pub(super) fn plugins(call: &Call<'_>, _operation: Operation) -> &'static [Plugin] {
    if !call.resource.is_built_in() {
        return &[];
    }
    &[]
}
