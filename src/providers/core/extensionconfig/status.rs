//! What an ExtensionConfig shows of its discovery.

use jiff::Timestamp;

use crate::api::runtime::{ExtensionConfig, ExtensionHandler};
use crate::contract::conditions::{self, New};
use crate::contract::paused;
use crate::extensions::ExtensionError;
use crate::providers::core::v1beta1_status;

/// The type in both families.
const DISCOVERED: &str = "Discovered";

/// Sets `Paused`.
pub(super) fn set_paused(config: &mut ExtensionConfig, now: Timestamp) {
    let condition = paused::condition(None, "ExtensionConfig", &config.metadata);
    let generation = config.metadata.generation;
    let status = config.status.get_or_insert_default();
    conditions::set(&mut status.conditions, condition, generation, now);
}

/// Sets `Discovered`, and the handlers if there was an answer; returns why there was none.
pub(super) fn set_discovered(
    config: &mut ExtensionConfig,
    discovered: Result<Vec<ExtensionHandler>, ExtensionError>,
    now: Timestamp,
) -> Option<ExtensionError> {
    let generation = config.metadata.generation;
    let status = config.status.get_or_insert_default();
    let v1beta1 = v1beta1_status(&mut status.deprecated);
    match discovered {
        Ok(handlers) => {
            status.handlers = handlers;
            let condition = New::yes(DISCOVERED, "Discovered");
            conditions::set(&mut status.conditions, condition, generation, now);
            conditions::set_v1beta1_true(&mut v1beta1.conditions, DISCOVERED, now);
            None
        }
        Err(error) => {
            let message = format!("Error in discovery: {error}");
            let condition = New::no(DISCOVERED, "NotDiscovered", message.as_str());
            conditions::set(&mut status.conditions, condition, generation, now);
            conditions::set_v1beta1_false(
                &mut v1beta1.conditions,
                DISCOVERED,
                "DiscoveryFailed",
                "Error",
                &message,
                now,
            );
            Some(error)
        }
    }
}
