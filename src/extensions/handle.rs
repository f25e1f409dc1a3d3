//! The handle that reconcilers hold. (CAPI v1.14: internal/runtime/client/client.go)

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use serde_json::{Map, Value, json};

use super::call::{Exchange, Failure, Response, check_status};
use super::discovery;
use super::hook::{GROUP, Hook, VERSION};
use super::registry::{Registration, Registry};
use super::remembered::Remembered;
use crate::api::runtime::{ExtensionConfig, ExtensionHandler};
use crate::apiserver::HookCaller;
use crate::client::{Client, ObjectKey};
use crate::clock::Clock;
use crate::machinery::status::quote;
use crate::metrics;

/// Time of a handler whose registration says nothing.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The fields of a request document but for `apiVersion`, `kind`, and the settings of the
/// ExtensionConfig; `settings` of its own win over those.
pub type Request = Map<String, Value>;

/// Why a hook gave no answer; the text is upstream's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ExtensionError(pub String);

/// The runtime extensions of a management cluster. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Extensions {
    shared: Arc<Shared>,
}

struct Shared {
    /// Reads the labels of namespaces.
    client: Client,
    caller: HookCaller,
    clock: Clock,
    metrics: metrics::Registry,
    registry: Registry,
    remembered: Remembered,
}

impl Extensions {
    /// Without any extension.
    pub fn new(
        client: Client,
        caller: HookCaller,
        clock: Clock,
        metrics: metrics::Registry,
    ) -> Self {
        let (registry, remembered) = (Registry::default(), Remembered::default());
        Self { shared: Arc::new(Shared { client, caller, clock, metrics, registry, remembered }) }
    }

    /// Whether the ExtensionConfigs that were there at the start have all been discovered.
    pub fn is_ready(&self) -> bool {
        self.shared.registry.is_ready()
    }

    /// Names ExtensionConfigs that are there at the start: until they are registered or gone, no
    /// question is answered, because a hook of theirs would be skipped. (CAPI v1.14:
    /// core/reconcilers/extensionconfig/warmup.go)
    pub fn await_first(&self, configs: impl IntoIterator<Item = String>) {
        self.shared.registry.await_first(configs);
    }

    /// Whether there was an ExtensionConfig once. Until the first one, hooks leave no traces on
    /// objects: the feature gate RuntimeSDK, which is off by default upstream, is on from then on.
    pub fn is_in_use(&self) -> bool {
        self.shared.registry.is_in_use()
    }

    /// Says that there is an ExtensionConfig, whatever it handles.
    pub fn set_in_use(&self) {
        self.shared.registry.set_in_use();
    }

    /// Asks the server of an ExtensionConfig what it handles.
    ///
    /// # Errors
    /// Why there is no answer that can be used.
    pub async fn discover(
        &self,
        config: &ExtensionConfig,
    ) -> Result<Vec<ExtensionHandler>, ExtensionError> {
        let found = discovery::discover(&self.shared.caller, config).await;
        let status = if found.is_ok() { "Success" } else { "Unknown" };
        self.count(Hook::Discovery, None, status);
        found.map_err(ExtensionError)
    }

    /// Takes the handlers in an ExtensionConfig's status into use, in place of those that it had.
    ///
    /// # Errors
    /// The selector of namespaces is none.
    pub fn register(&self, config: &ExtensionConfig) -> Result<(), ExtensionError> {
        let name = config.metadata.name.as_deref().unwrap_or_default();
        self.shared.registry.add(config).map_err(|why| {
            ExtensionError(format!("failed to register ExtensionConfig {}: {why}", quote(name)))
        })
    }

    /// Calls no handler of an ExtensionConfig any longer.
    pub fn unregister(&self, config: &str) {
        self.shared.registry.remove(config);
    }

    /// Names of the handlers of a hook that are called for objects of a namespace.
    ///
    /// # Errors
    /// The registry is not ready, or the namespace cannot be read.
    pub async fn handlers(
        &self,
        hook: Hook,
        namespace: &str,
    ) -> Result<Vec<String>, ExtensionError> {
        let group_hook = quote(&hook.group_hook());
        let failed = |why: String| {
            ExtensionError(format!("failed to get extension handlers for hook {group_hook}: {why}"))
        };
        let mut names = Vec::new();
        for registration in self.shared.registry.list(hook).map_err(failed)? {
            let matches = self.selects(&registration, namespace).await.map_err(|why| {
                let name = quote(&registration.name);
                failed(format!("failed to get extension handler {name}: {why}"))
            })?;
            if matches {
                names.push(registration.name.clone());
            }
        }
        Ok(names)
    }

    /// Calls all handlers of a hook for an object, one after the other, until one fails. The
    /// answer has the messages of all and the shortest wait that one of them asks for.
    ///
    /// # Errors
    /// The first failure.
    pub async fn call_all(
        &self,
        hook: Hook,
        object: &ObjectKey,
        request: &Request,
    ) -> Result<Response, ExtensionError> {
        let group_hook = quote(&hook.group_hook());
        let failed = |error: ExtensionError| {
            ExtensionError(format!(
                "failed to call extension handlers for hook {group_hook}: {error}"
            ))
        };
        let mut aggregated = Response::success();
        let mut messages = Vec::new();
        for name in self.handlers(hook, &object.namespace).await.map_err(failed)? {
            let response = self.call(hook, object, &name, request).await.map_err(failed)?;
            aggregated.retry_after_seconds =
                lowest_non_zero(aggregated.retry_after_seconds, response.retry_after_seconds);
            if !response.message.is_empty() {
                messages.push(response.message);
            }
        }
        aggregated.message = messages.join(", ");
        Ok(aggregated)
    }

    /// Calls one handler for an object.
    ///
    /// # Errors
    /// The handler is not registered, is not for the hook or the object, cannot be called (unless
    /// its failures are ignored) or answers with a failure.
    pub async fn call(
        &self,
        hook: Hook,
        object: &ObjectKey,
        name: &str,
        request: &Request,
    ) -> Result<Response, ExtensionError> {
        let registration = self.registration(hook, object, name).await?;
        self.ask(hook, &registration, request).await
    }

    /// The same for answers that hold for a while: one that was given to the same handler, in the
    /// same version of its ExtensionConfig and with the same settings, is given again.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn call_remembered(
        &self,
        hook: Hook,
        object: &ObjectKey,
        name: &str,
        request: &Request,
    ) -> Result<Response, ExtensionError> {
        let registration = self.registration(hook, object, name).await?;
        let settings = settings(&registration, request);
        let key = format!("{name}-{}-{}", registration.config_version, json!(settings));
        self.call_once_for(hook, object, name, key, request).await
    }

    /// The same for answers that hold for a while in a case that `key` describes.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn call_once_for(
        &self,
        hook: Hook,
        object: &ObjectKey,
        name: &str,
        key: String,
        request: &Request,
    ) -> Result<Response, ExtensionError> {
        let (remembered, now) = (&self.shared.remembered, self.shared.clock.elapsed());
        if let Some(response) = remembered.response(hook, &key, now) {
            return Ok(response);
        }
        let response = self.call(hook, object, name, request).await?;
        remembered.keep_response(hook, key, response.clone(), self.shared.clock.elapsed());
        Ok(response)
    }

    /// Calls all handlers of a hook for an object, but not before the time that they asked for:
    /// until then the answer is what they said, with the seconds that are left.
    ///
    /// # Errors
    /// As [`Self::call_all`].
    pub async fn call_all_in_time(
        &self,
        hook: Hook,
        object: &ObjectKey,
        request: &Request,
    ) -> Result<Response, ExtensionError> {
        let (remembered, clock) = (&self.shared.remembered, &self.shared.clock);
        if let Some(held) = remembered.held(hook, object, clock.elapsed()) {
            return Ok(held);
        }
        let response = self.call_all(hook, object, request).await?;
        if response.retry_after_seconds != 0 {
            remembered.hold(hook, object, &response, clock.elapsed());
            let seconds = response.retry_after_seconds;
            tracing::info!(%hook, %object, seconds, "a hook holds an operation");
        }
        Ok(response)
    }

    async fn registration(
        &self,
        hook: Hook,
        object: &ObjectKey,
        name: &str,
    ) -> Result<Arc<Registration>, ExtensionError> {
        let quoted = quote(name);
        let failed =
            |why: String| ExtensionError(format!("failed to call extension handler {quoted}{why}"));
        let registration =
            self.shared.registry.get(name).map_err(|why| failed(format!(": {why}")))?;
        if registration.hook != Some(hook) {
            let group_hook = quote(&hook.group_hook());
            return Err(failed(format!(": handler does not match GroupHook {group_hook}")));
        }
        match self.selects(&registration, &object.namespace).await {
            Ok(true) => Ok(registration),
            Ok(false) => Err(failed(format!(": namespaceSelector did not match object {object}"))),
            Err(why) => {
                tracing::debug!(%why, "a namespace cannot be matched");
                Err(failed(String::new()))
            }
        }
    }

    async fn ask(
        &self,
        hook: Hook,
        registration: &Registration,
        request: &Request,
    ) -> Result<Response, ExtensionError> {
        let quoted = quote(&registration.name);
        let failed = |why: String| {
            ExtensionError(format!("failed to call extension handler {quoted}: {why}"))
        };
        let seconds = u64::try_from(registration.timeout_seconds).unwrap_or_default();
        let timeout = if seconds == 0 { TIMEOUT } else { Duration::from_secs(seconds) };
        let exchange = Exchange {
            hook,
            handler: registration.handler(),
            client: &registration.client,
            timeout,
        };
        let mut request = request.clone();
        match settings(registration, &request) {
            settings if settings.is_empty() => request.remove("settings"),
            settings => request.insert("settings".to_owned(), json!(settings)),
        };
        let response = match exchange.send(&self.shared.caller, request).await {
            Ok(response) => {
                self.count(hook, Some(200), &response.status);
                response
            }
            Err(Failure::Client(why)) => {
                return Err(failed(format!("failed to get http client: {why}")));
            }
            Err(Failure::Call { why, code }) => {
                self.count(hook, code, "");
                if registration.is_failure_ignored {
                    tracing::info!(handler = registration.name, why, "a failed call is ignored");
                    return Ok(Response::success());
                }
                return Err(failed(why));
            }
        };
        let checked = check_status(&response, "call extension handler", &registration.name);
        checked.map_err(ExtensionError)?;
        Ok(response)
    }

    /// Whether a handler is for objects of a namespace.
    async fn selects(&self, registration: &Registration, namespace: &str) -> Result<bool, String> {
        if registration.namespaces.is_empty() {
            return Ok(true);
        }
        let failed = |why: String| {
            format!("failed to match namespace: failed to get namespace {namespace}: {why}")
        };
        let found = self.shared.client.get::<Namespace>(&ObjectKey::new("", namespace)).await;
        let found = found
            .map_err(|error| failed(error.to_string()))?
            .ok_or_else(|| failed(format!("Namespace {} not found", quote(namespace))))?;
        Ok(registration.namespaces.matches(&found.metadata.labels.unwrap_or_default()))
    }

    /// (CAPI v1.14: internal/runtime/metrics/metrics.go; the host is left out)
    fn count(&self, hook: Hook, code: Option<u16>, status: &str) {
        let code = code.map_or_else(|| "<error>".to_owned(), |code| code.to_string());
        let status = if status.is_empty() { "Unknown" } else { status };
        let labels = [
            ("code", code.as_str()),
            ("group", GROUP),
            ("version", VERSION),
            ("hook", hook.name()),
            ("status", status),
        ];
        let help = "Number of HTTP requests, partitioned by status code, hook and response status.";
        self.shared.metrics.counter("capi_runtime_sdk_requests_total", help, &labels).inc();
    }
}

/// Settings of a registration under those of a request.
fn settings(registration: &Registration, request: &Request) -> Map<String, Value> {
    let own = registration.settings.iter().map(|(name, value)| (name.clone(), json!(value)));
    let mut settings: Map<String, Value> = own.collect();
    let wanted = request.get("settings").and_then(Value::as_object);
    settings.extend(wanted.into_iter().flatten().map(|(name, it)| (name.clone(), it.clone())));
    settings
}

/// (CAPI v1.14: util/util.go)
fn lowest_non_zero(a: i32, b: i32) -> i32 {
    match (a, b) {
        (0, other) | (other, 0) => other,
        (a, b) => a.min(b),
    }
}

/// Joins errors as Go's error aggregate does: duplicates once, several in brackets.
pub(super) fn aggregate(errors: Vec<String>) -> String {
    let mut listed: Vec<String> = Vec::with_capacity(errors.len());
    for error in errors {
        if !listed.contains(&error) {
            listed.push(error);
        }
    }
    match listed.len() {
        1 => listed.remove(0),
        _ => format!("[{}]", listed.join(", ")),
    }
}
