//! Who handles which hook. (CAPI v1.14: internal/runtime/registry/registry.go)

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::RwLock;
use serde_json::{Value, json};

use super::hook::{GROUP, Hook, VERSION};
use crate::api::runtime::ExtensionConfig;
use crate::machinery::selector::LabelSelector;
use crate::machinery::status::quote;

/// A handler.
#[derive(Debug)]
pub(super) struct Registration {
    /// `HANDLER.EXTENSIONCONFIG`.
    pub(super) name: String,
    /// Name of the ExtensionConfig.
    pub(super) config: String,
    /// Its resourceVersion when it was registered.
    pub(super) config_version: String,
    /// What it handles; `None` for a hook that does not exist.
    pub(super) hook: Option<Hook>,
    pub(super) namespaces: LabelSelector,
    /// `spec.clientConfig`.
    pub(super) client: Value,
    pub(super) timeout_seconds: i32,
    pub(super) is_failure_ignored: bool,
    pub(super) settings: BTreeMap<String, String>,
}

impl Registration {
    /// The handler's name without that of its ExtensionConfig.
    pub(super) fn handler(&self) -> &str {
        let suffix = self.name.strip_suffix(&self.config);
        suffix.and_then(|name| name.strip_suffix('.')).unwrap_or(&self.name)
    }
}

/// All handlers by name.
#[derive(Default)]
pub(super) struct Registry {
    /// Written by the ExtensionConfig controller, read by every question; held for a look only.
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    /// ExtensionConfigs that were there at the start and have not been discovered yet.
    awaited: BTreeSet<String>,
    /// Whether there was an ExtensionConfig once.
    in_use: bool,
    handlers: BTreeMap<String, Arc<Registration>>,
}

impl State {
    fn forget(&mut self, config: &str) {
        self.handlers.retain(|_, registration| registration.config != config);
        self.awaited.remove(config);
    }
}

impl Registry {
    /// Whether the handlers are known. Until then nothing may be asked: a hook that is not known
    /// yet would be skipped.
    pub(super) fn is_ready(&self) -> bool {
        self.state.read().awaited.is_empty()
    }

    /// Answers nothing until these ExtensionConfigs are registered or gone.
    pub(super) fn await_first(&self, configs: impl IntoIterator<Item = String>) {
        let mut state = self.state.write();
        state.awaited.extend(configs);
        state.in_use |= !state.awaited.is_empty();
    }

    /// Whether there was an ExtensionConfig once: what hooks then left on objects must be looked
    /// after, even when the last one has gone.
    pub(super) fn is_in_use(&self) -> bool {
        self.state.read().in_use
    }

    /// Notes that there is one.
    pub(super) fn set_in_use(&self) {
        if !self.is_in_use() {
            self.state.write().in_use = true;
        }
    }

    /// Registers the handlers of an ExtensionConfig in place of those that it had.
    ///
    /// # Errors
    /// Upstream's words for a selector that is none; nothing changes then.
    pub(super) fn add(&self, config: &ExtensionConfig) -> Result<(), String> {
        let name = config.metadata.name.as_deref().unwrap_or_default();
        let registrations = registrations(name, config).map_err(|why| {
            format!("failed to add ExtensionConfig {} to registry: {why}", quote(name))
        })?;
        let mut state = self.state.write();
        state.forget(name);
        for registration in registrations {
            state.handlers.insert(registration.name.clone(), Arc::new(registration));
        }
        Ok(())
    }

    /// Forgets the handlers of an ExtensionConfig.
    pub(super) fn remove(&self, config: &str) {
        self.state.write().forget(config);
    }

    /// The handlers of a hook, by name.
    ///
    /// # Errors
    /// The registry is not ready.
    pub(super) fn list(&self, hook: Hook) -> Result<Vec<Arc<Registration>>, String> {
        let state = self.state.read();
        if !state.awaited.is_empty() {
            return Err(format!(
                "failed to list extension handlers for GroupHook {}: invalid operation: List \
                 cannot be called on a registry which has not been warmed up",
                quote(&hook.group_hook())
            ));
        }
        let all = state.handlers.values();
        Ok(all.filter(|registration| registration.hook == Some(hook)).cloned().collect())
    }

    /// A handler by name.
    ///
    /// # Errors
    /// The registry is not ready, or there is no such handler.
    pub(super) fn get(&self, name: &str) -> Result<Arc<Registration>, String> {
        let state = self.state.read();
        let quoted = quote(name);
        if !state.awaited.is_empty() {
            return Err(format!(
                "failed to get extension handler {quoted} from registry: invalid operation: Get \
                 cannot be called on a registry not yet ready"
            ));
        }
        state.handlers.get(name).cloned().ok_or_else(|| {
            format!(
                "failed to get extension handler {quoted} from registry: handler with name \
                 {quoted} has not been registered"
            )
        })
    }
}

fn registrations(name: &str, config: &ExtensionConfig) -> Result<Vec<Registration>, String> {
    let selector = config.spec.namespace_selector.as_ref().map_or(Value::Null, |it| json!(it));
    let namespaces = LabelSelector::from_label_selector(&selector)
        .map_err(|why| format!("failed to create namespaceSelector: {why}"))?;
    let client = json!(config.spec.client_config);
    let handlers = config.status.iter().flat_map(|status| &status.handlers);
    let register = |handler: &crate::api::runtime::ExtensionHandler| {
        let version = handler.request_hook.api_version.split_once('/');
        let is_known = version == Some((GROUP, VERSION));
        Registration {
            name: handler.name.clone(),
            config: name.to_owned(),
            config_version: config.metadata.resource_version.clone().unwrap_or_default(),
            hook: Hook::parse(&handler.request_hook.hook).filter(|_| is_known),
            namespaces: namespaces.clone(),
            client: client.clone(),
            timeout_seconds: handler.timeout_seconds.unwrap_or_default(),
            is_failure_ignored: handler.failure_policy == "Ignore",
            settings: config.spec.settings.clone(),
        }
    };
    Ok(handlers.map(register).collect())
}
