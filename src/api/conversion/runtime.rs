//! ExtensionConfigs. (CAPI v1.14: api/runtime/v1alpha1/conversion.go)

use super::convert::Converter;
use super::fields::{each, get, is_zero, object, take};
use super::status::CONDITIONS;

pub(super) const EXTENSION_CONFIG: Converter = Converter {
    up: |config, _| {
        CONDITIONS.up(config);
        Ok(())
    },
    down: |config| {
        CONDITIONS.down(config);
        if let Some(status) = object(config, "status") {
            each(status, "handlers", |handler| {
                if get(handler, "timeoutSeconds").is_some_and(is_zero) {
                    take(handler, "timeoutSeconds");
                }
            });
        }
    },
    keeps: false,
};
