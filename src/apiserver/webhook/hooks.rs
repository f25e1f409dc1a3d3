//! Calls of Runtime SDK hooks, which leave this process on the way of webhooks.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::client_config::ClientConfig;
use super::service_urls::ServiceUrls;
use super::{Caller, connection, resolve};
use crate::apiserver::ApiServer;
use crate::clock::Clock;

/// Who calls.
const AGENT: &str = "Go-http-client/1.1";

/// The way to runtime extensions. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct HookCaller {
    directory: Directory,
    clock: Clock,
}

/// Where Services are looked up that an ExtensionConfig names.
#[derive(Clone)]
enum Directory {
    /// As a server's webhooks are; their connections are kept together.
    Server(ApiServer),
    /// Among the user's addresses, then by name, as anything in a Kubernetes cluster would.
    Names { urls: ServiceUrls, caller: Arc<Caller> },
}

/// One call.
pub(crate) struct HookRequest<'a> {
    /// `spec.clientConfig` of an ExtensionConfig: `{url | service, caBundle}`.
    pub(crate) config: &'a Value,
    /// Path below the one of the configuration.
    pub(crate) path: &'a str,
    /// The whole exchange takes no longer; sent along in whole seconds.
    pub(crate) timeout: Duration,
    /// Most bytes of the answer.
    pub(crate) response_max: usize,
    /// The request document, as JSON.
    pub(crate) body: Bytes,
}

/// What an extension answered.
pub(crate) struct HookAnswer {
    pub(crate) code: u16,
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HookCallError {
    /// The configuration allows no call.
    Config(String),
    /// The exchange failed; in the words of Go's HTTP client.
    Exchange(String),
}

impl HookCaller {
    /// Calls in a server's name.
    pub fn of_server(server: &ApiServer) -> Self {
        Self { directory: Directory::Server(server.clone()), clock: server.clock().clone() }
    }

    /// Calls of a process that has no API server.
    pub fn with_names(urls: ServiceUrls, clock: Clock) -> Self {
        Self { directory: Directory::Names { urls, caller: Arc::default() }, clock }
    }

    /// Posts a document.
    ///
    /// # Errors
    /// [`HookCallError`]; any code is an answer.
    pub(crate) async fn post(&self, call: HookRequest<'_>) -> Result<HookAnswer, HookCallError> {
        let config = ClientConfig::parse(call.config).map_err(HookCallError::Config)?;
        let config = config.below(call.path);
        let url = config.url(call.timeout);
        let exchange = self.exchange(&config, &call);
        let failed = |why: String| HookCallError::Exchange(format!("Post \"{url}\": {why}"));
        match self.clock.timeout(call.timeout, exchange).await {
            Err(_) => Err(failed("context deadline exceeded".to_owned())),
            Ok(Err(HookCallError::Exchange(why))) => Err(failed(why)),
            Ok(answer) => answer,
        }
    }

    async fn exchange(
        &self,
        config: &ClientConfig,
        call: &HookRequest<'_>,
    ) -> Result<HookAnswer, HookCallError> {
        let (caller, peer) = match &self.directory {
            Directory::Server(server) => (server.webhooks(), resolve::resolve(server, config)),
            Directory::Names { urls, caller } => (&**caller, resolve::find(urls, None, config)),
        };
        let peer = peer.map_err(HookCallError::Exchange)?;
        let tls =
            |why: String| HookCallError::Config(format!("failed to create tls config: {why}"));
        let pool = caller.pool(peer).map_err(tls)?;
        let request = connection::Request {
            authority: config.authority(),
            path_and_query: config.path_and_query(call.timeout),
            agent: AGENT,
            body: call.body.clone(),
        };
        let answer = pool.exchange(&request, call.response_max).await;
        let answer = answer.map_err(HookCallError::Exchange)?;
        Ok(HookAnswer { code: answer.code, body: answer.body })
    }
}
