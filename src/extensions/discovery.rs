//! Asking an extension what it handles. (CAPI v1.14: internal/runtime/client/client.go, Discover)

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, json};

use super::call::{Exchange, Failure, Response, check_status};
use super::handle::aggregate;
use super::hook::{GROUP, Hook, VERSION};
use crate::api::runtime::{ExtensionConfig, ExtensionHandler, GroupVersionHook};
use crate::apiserver::HookCaller;
use crate::machinery::names;
use crate::machinery::status::quote;

/// How long a discovery may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Time of a handler that names none.
const TIMEOUT_SECONDS: i32 = 10;
/// Longest time that a handler may ask for.
const TIMEOUT_SECONDS_MAX: i32 = 30;

/// `handlers` of a DiscoveryResponse.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Announced {
    #[serde(default)]
    handlers: Option<Vec<Handler>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Handler {
    name: String,
    request_hook: RequestHook,
    timeout_seconds: Option<i32>,
    failure_policy: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RequestHook {
    api_version: String,
    hook: String,
}

/// Asks the server of an ExtensionConfig for its handlers, as `status.handlers` shows them.
///
/// # Errors
/// Upstream's text, which begins with `failed to discover extension`.
pub(super) async fn discover(
    caller: &HookCaller,
    config: &ExtensionConfig,
) -> Result<Vec<ExtensionHandler>, String> {
    let name = config.metadata.name.as_deref().unwrap_or_default();
    let failed = |why: String| format!("failed to discover extension {}: {why}", quote(name));
    let exchange = Exchange {
        hook: Hook::Discovery,
        handler: "",
        client: &json!(config.spec.client_config),
        timeout: TIMEOUT,
    };
    let response = exchange.send(caller, Map::new()).await.map_err(|failure| match failure {
        Failure::Client(why) => failed(format!("failed to get http client: {why}")),
        Failure::Call { why, .. } => failed(why),
    })?;
    check_status(&response, "discover extension", name)?;
    handlers(&response, name).map_err(failed)
}

fn handlers(response: &Response, config: &str) -> Result<Vec<ExtensionHandler>, String> {
    let announced: Announced = response
        .decode()
        .map_err(|why| format!("http call failed: failed to decode response: {why}"))?;
    let mut errors = Vec::new();
    let mut seen = BTreeSet::new();
    let mut handlers = Vec::new();
    for handler in announced.handlers.unwrap_or_default() {
        let timeout_seconds = handler.timeout_seconds.unwrap_or(TIMEOUT_SECONDS);
        let failure_policy = handler.failure_policy.clone().unwrap_or_else(|| "Fail".to_owned());
        if !seen.insert(handler.name.clone()) {
            errors.push(format!("duplicate name for handler {} found", handler.name));
        }
        check(&handler, timeout_seconds, &failure_policy, &mut errors);
        handlers.push(ExtensionHandler {
            name: format!("{}.{config}", handler.name),
            request_hook: GroupVersionHook {
                api_version: handler.request_hook.api_version,
                hook: handler.request_hook.hook,
            },
            // Go leaves zero out.
            timeout_seconds: (timeout_seconds != 0).then_some(timeout_seconds),
            failure_policy,
        });
    }
    if errors.is_empty() {
        return Ok(handlers);
    }
    Err(format!("failed to validate discovery response: {}", aggregate(errors)))
}

fn check(handler: &Handler, timeout_seconds: i32, policy: &str, errors: &mut Vec<String>) {
    let name = &handler.name;
    let misfits = names::check_label(name);
    if !misfits.is_empty() {
        errors.push(format!("handler name {name} is not valid: [{}]", misfits.join(" ")));
    }
    if !(0..=TIMEOUT_SECONDS_MAX).contains(&timeout_seconds) {
        errors.push(format!(
            "handler {name} timeoutSeconds {timeout_seconds} must be between 0 and \
             {TIMEOUT_SECONDS_MAX}"
        ));
    }
    if !["Fail", "Ignore"].contains(&policy) {
        errors.push(format!(
            "handler {name} failurePolicy {policy} must equal \"Ignore\" or \"Fail\""
        ));
    }
    let RequestHook { api_version, hook } = &handler.request_hook;
    if api_version.matches('/').count() > 1 {
        errors.push(format!(
            "handler {name} requestHook APIVersion {api_version} is not valid: unexpected \
             GroupVersion string: {api_version}"
        ));
    } else if api_version.split_once('/') != Some((GROUP, VERSION)) || Hook::parse(hook).is_none() {
        errors.push(format!(
            "handler {name} requestHook {api_version}/{hook} is not in the Runtime SDK catalog"
        ));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn read(announced: Value) -> Result<Vec<ExtensionHandler>, String> {
        let response = Response { body: json!({"handlers": announced}), ..Response::default() };
        handlers(&response, "ext")
    }

    #[test]
    fn what_is_not_said_has_defaults() {
        let hook = json!({"apiVersion": "hooks.runtime.cluster.x-k8s.io/v1alpha1",
            "hook": "BeforeClusterCreate"});
        let found = read(json!([{"name": "a", "requestHook": hook},
            {"name": "b", "requestHook": hook, "timeoutSeconds": 5, "failurePolicy": "Ignore"}]))
        .unwrap();
        assert_eq!(
            serde_json::to_value(&found).unwrap(),
            json!([
                {"name": "a.ext", "requestHook": hook, "timeoutSeconds": 10,
                    "failurePolicy": "Fail"},
                {"name": "b.ext", "requestHook": hook, "timeoutSeconds": 5,
                    "failurePolicy": "Ignore"},
            ])
        );
    }

    #[test]
    fn all_that_is_wrong_is_named() {
        let error = read(json!([
            {"name": "A", "requestHook": {"apiVersion": "x/y/z"}, "timeoutSeconds": 31},
            {"name": "b", "requestHook": {"apiVersion": "v1", "hook": "Pod"}, "failurePolicy": "F"},
            {"name": "b", "requestHook": {"apiVersion": "v1", "hook": "Pod"}, "failurePolicy": "F"},
        ]))
        .unwrap_err();
        assert_eq!(
            error,
            "failed to validate discovery response: [handler name A is not valid: [a lowercase RFC \
             1123 label must consist of lower case alphanumeric characters or '-', and must start \
             and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for \
             validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')], handler A timeoutSeconds 31 must be \
             between 0 and 30, handler A requestHook APIVersion x/y/z is not valid: unexpected \
             GroupVersion string: x/y/z, handler b failurePolicy F must equal \"Ignore\" or \
             \"Fail\", handler b requestHook v1/Pod is not in the Runtime SDK catalog, duplicate \
             name for handler b found]"
        );
    }
}
