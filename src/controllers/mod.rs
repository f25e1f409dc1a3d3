//! kube-controller-manager's share: garbage collection, the end of namespaces, what namespaces
//! contain from the start, tokens in Secrets, aggregated roles, certificates, the expiry of Events.
//!
//! The controllers of a server live on its commits: they look at the store's indexes and event
//! logs, and write through the client like everybody else. With nothing to do they hold suspended
//! futures and no timer.

mod certificate_requests;
mod events;
mod follow;
mod garbage_collector;
mod kubernetes_service;
mod namespace_content;
mod namespaces;
mod objects;
mod role_aggregation;
#[cfg(test)]
mod test_server;
#[cfg(test)]
mod tests;
mod token_secrets;

pub use kubernetes_service::publish_kubernetes_service;
pub use namespaces::seed_namespaces;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::apiserver::ApiServer;
use crate::client::Client;
use crate::clock::Clock;
use crate::pki::CertificateAuthority;

/// What the controllers of a server are to know.
#[derive(Clone, Default)]
pub struct Settings {
    /// Signs the certificates of clients; without it nothing is signed.
    pub authority: Option<Arc<CertificateAuthority>>,
    /// Certificates, PEM, by which Pods know the server: `kube-root-ca.crt` of every namespace.
    /// Nothing is published if empty.
    pub root_ca_pem: String,
}

/// Runs the controllers of `server` until `stop` is cancelled or the server shuts down. `client`
/// must reach `server` as an administrator.
pub async fn run(
    server: ApiServer,
    client: Client,
    clock: Clock,
    settings: Settings,
    stop: CancellationToken,
) {
    let as_manager = |name: &str| client.with_field_manager(name);
    let garbage = garbage_collector::GarbageCollector::new(
        server.clone(),
        as_manager("garbage-collector"),
        clock.clone(),
    );
    let events = events::EventExpiry::new(server.clone(), clock.clone());
    let namespaces = namespaces::NamespaceController::new(
        server.clone(),
        as_manager("namespace-controller"),
        clock.clone(),
    );
    let content = namespace_content::NamespaceContent {
        server: server.clone(),
        accounts: as_manager("service-account-controller"),
        publisher: as_manager("root-ca-cert-publisher"),
        clock: clock.clone(),
        root_ca_pem: settings.root_ca_pem.clone(),
    };
    let tokens = token_secrets::TokenSecrets {
        server: server.clone(),
        client: as_manager("tokens-controller"),
        clock: clock.clone(),
        root_ca_pem: settings.root_ca_pem,
    };
    let aggregation = role_aggregation::RoleAggregation {
        server: server.clone(),
        client: as_manager("clusterrole-aggregation-controller"),
        clock: clock.clone(),
    };
    let requests = certificate_requests::CertificateRequests {
        server,
        client: as_manager("certificate-controller"),
        clock,
        authority: settings.authority,
    };
    let work = async {
        tokio::join!(
            events.run(),
            garbage.run(),
            namespaces.run(),
            content.run(),
            tokens.run(),
            aggregation.run(),
            requests.run(),
        )
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        _ = work => {}
    }
}
