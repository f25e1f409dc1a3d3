//! Calls from the server to webhooks, for admission and for the conversion of custom resources,
//! and from Cluster API's controllers to their extensions ([`HookCaller`]).
//!
//! A webhook is named by a URL or by a Service. A Service is looked up among the addresses that the
//! user gave ([`ServiceUrls`]) and then among Services with their EndpointSlices or Endpoints; it
//! must present a certificate for `NAME.NAMESPACE.svc`. TLS is verified against `caBundle`, which
//! may hold an authority or the serving certificate itself, and against the system's roots if it
//! is empty, as upstream. Connections are HTTP/1.1, kept and used again per address and bundle.
//! There are no redirects, no proxies, no plain HTTP, and answers are limited in size and time.
//! (kubernetes 1.36: apiserver/pkg/util/webhook/client.go, apiserver/pkg/util/proxy/proxy.go,
//! client-go/rest/request.go)

mod answer;
mod client_config;
mod connection;
mod hooks;
mod resolve;
mod service_urls;
#[cfg(test)]
pub(crate) mod test_server;
#[cfg(test)]
mod tests;
mod tls;
mod verifier;

pub(crate) use client_config::ClientConfig;
pub use hooks::HookCaller;
pub(crate) use hooks::{HookAnswer, HookCallError, HookRequest};
pub use service_urls::{ServiceUrl, ServiceUrls, ServiceUrlsError};

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value;

use super::ApiServer;
use connection::{Peer, Pool};

/// Peers whose connections are kept; upstream keeps as many clients.
const PEERS_MAX: usize = 200;

/// One request to a webhook.
pub(crate) struct Call<'a> {
    /// Where to.
    pub(crate) config: &'a ClientConfig,
    /// The whole exchange takes no longer; sent along in whole seconds.
    pub(crate) timeout: Duration,
    /// `User-Agent`.
    pub(crate) agent: &'static str,
    /// Most bytes of the answer.
    pub(crate) response_max: usize,
    /// The review, as JSON.
    pub(crate) body: Bytes,
}

/// Why a webhook gave no answer that can be used. The text is what client-go's REST client says,
/// e.g. `Post "https://hook.ns.svc:443/?timeout=10s": context deadline exceeded`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct CallError(pub(crate) String);

/// A server's connections to webhooks. Empty until the first call.
#[derive(Default)]
pub(crate) struct Caller {
    /// The peers that were called last, the latest last. Read and written by every call, for a
    /// moment.
    peers: Mutex<Vec<(Peer, Arc<Pool>)>>,
}

impl ApiServer {
    /// Whether there is an address for a webhook; nobody is called.
    pub(crate) fn knows_webhook(&self, config: &ClientConfig) -> bool {
        resolve::resolve(self, config).is_ok()
    }

    /// Posts a review to a webhook and returns the decoded answer.
    ///
    /// # Errors
    /// [`CallError`] when the webhook cannot be reached, is too late or answers anything but JSON
    /// with a code of success.
    pub(crate) async fn call_webhook(&self, call: Call<'_>) -> Result<Value, CallError> {
        let url = call.config.url(call.timeout);
        let exchange = self.webhooks().exchange(self, &call);
        let failed = |why: String| CallError(format!("Post \"{url}\": {why}"));
        match self.clock().timeout(call.timeout, exchange).await {
            Err(_) => Err(failed("context deadline exceeded".to_owned())),
            Ok(Err(why)) => Err(failed(why)),
            Ok(Ok(answer)) => answer::decode(answer),
        }
    }
}

impl Caller {
    async fn exchange(
        &self,
        server: &ApiServer,
        call: &Call<'_>,
    ) -> Result<answer::Answer, String> {
        let pool = self.pool(resolve::resolve(server, call.config)?)?;
        let request = connection::Request {
            authority: call.config.authority(),
            path_and_query: call.config.path_and_query(call.timeout),
            agent: call.agent,
            body: call.body.clone(),
        };
        pool.exchange(&request, call.response_max).await
    }

    /// The connections to a peer.
    fn pool(&self, peer: Peer) -> Result<Arc<Pool>, String> {
        let mut peers = self.peers.lock();
        if let Some(known) = peers.iter().position(|(known, _)| *known == peer) {
            let last = peers.remove(known);
            let pool = last.1.clone();
            peers.push(last);
            return Ok(pool);
        }
        let pool = Arc::new(Pool::new(&peer)?);
        if peers.len() == PEERS_MAX {
            peers.remove(0);
        }
        peers.push((peer, pool.clone()));
        Ok(pool)
    }
}
