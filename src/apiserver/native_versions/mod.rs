//! Built-in kinds that are served in several forms of one stored object.
//!
//! `events.k8s.io/v1` shows the core group's events under other names, `autoscaling/v1` shows
//! autoscalers of `autoscaling/v2` with the CPU target alone. Writes work on the form that is served,
//! so that managed fields, patches and defaults see what the client sees; managed fields keep the
//! names that their writers used.

mod autoscaling;
mod events;

use std::sync::Arc;

use serde_json::Value;

pub(super) use autoscaling::inward as newer_autoscaler;

use crate::machinery::definition::{ConvertObject, Origin, ResourceDefinition};
use crate::machinery::zeros;

const EVENTS: &str = "events.k8s.io";
const CORE_EVENT: &str = "io.k8s.api.core.v1.Event";
const NEWER_EVENT: &str = "io.k8s.api.events.v1.Event";
const OLDER_AUTOSCALER: &str = "io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler";
const NEWER_AUTOSCALER: &str = "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler";

/// The group under whose name a definition's objects are stored.
pub(super) fn stored_group(definition: &ResourceDefinition) -> Arc<str> {
    if &*definition.group == EVENTS && definition.origin == Origin::BuiltIn {
        return "".into();
    }
    definition.group.clone()
}

/// The definition with the conversion of its kind, if there is one.
pub(super) fn with_conversion(mut definition: ResourceDefinition) -> ResourceDefinition {
    if definition.origin == Origin::BuiltIn {
        let convert: Option<ConvertObject> = match &*definition.kind {
            "Event" => Some(convert_event),
            "HorizontalPodAutoscaler" => Some(convert_autoscaler),
            _ => definition.strategy.convert,
        };
        definition.strategy.convert = convert;
    }
    definition
}

/// Both groups call their version the same, so that the object has to say which it is of.
#[expect(clippy::unnecessary_wraps, reason = "the type of conversions")]
fn convert_event(event: &mut Value, _: &str, _: &str) -> Result<(), String> {
    let (api_version, component) = if event["apiVersion"] == "v1" {
        events::outward(event);
        ("events.k8s.io/v1", NEWER_EVENT)
    } else {
        events::inward(event);
        ("v1", CORE_EVENT)
    };
    event["apiVersion"] = api_version.into();
    zeros::fill(component, event);
    Ok(())
}

fn convert_autoscaler(scaler: &mut Value, from: &str, to: &str) -> Result<(), String> {
    let component = match (from, to) {
        ("v2", "v1") => {
            autoscaling::outward(scaler);
            OLDER_AUTOSCALER
        }
        ("v1", "v2") => {
            autoscaling::inward(scaler);
            NEWER_AUTOSCALER
        }
        _ => return Err(format!("autoscaling/{from} has no conversion to autoscaling/{to}")),
    };
    scaler["apiVersion"] = format!("autoscaling/{to}").into();
    zeros::fill(component, scaler);
    Ok(())
}
