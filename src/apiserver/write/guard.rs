//! What a write may do that depends on who sends it: grants of roles, decisions about certificates.

use serde_json::Value;

use super::pipeline::Write;
use crate::apiserver::{authorization, certificates};
use crate::machinery::status::Status;

impl Write<'_> {
    /// Fills in what is known of the sender and refuses what he may not write. Custom resources
    /// pass untouched.
    ///
    /// # Errors
    /// 403, and 404 for bindings to roles that are not there.
    pub(super) fn guard(&self, new: &mut Value, old: Option<&Value>) -> Result<(), Box<Status>> {
        let call = self.call;
        if !call.resource.is_built_in() {
            return Ok(());
        }
        if certificates::is_meant(&call.resource) {
            certificates::prepare(call.identity, self.now, new, old);
            return certificates::check(call.server, call.identity, self.target, (new, old));
        }
        authorization::check_escalation(
            call.server,
            call.identity,
            &call.resource,
            (new, old),
            &call.info.name,
        )
    }
}
