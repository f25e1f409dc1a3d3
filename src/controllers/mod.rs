//! kube-controller-manager's share: garbage collection and the end of namespaces.
//!
//! Both controllers of a server live on its commits: they look at the store's indexes and event
//! log, and write through the client like everybody else. With nothing to do they hold two
//! suspended futures and no timer.

mod garbage_collector;
mod namespaces;
mod objects;
#[cfg(test)]
mod test_server;

pub use namespaces::seed_namespaces;

use tokio_util::sync::CancellationToken;

use crate::apiserver::ApiServer;
use crate::client::Client;
use crate::clock::Clock;

/// Runs the controllers of `server` until `stop` is cancelled or the server shuts down. `client`
/// must reach `server` as an administrator.
pub async fn run(server: ApiServer, client: Client, clock: Clock, stop: CancellationToken) {
    let garbage = garbage_collector::GarbageCollector::new(
        server.clone(),
        client.with_field_manager("garbage-collector"),
        clock.clone(),
    );
    let namespaces = namespaces::NamespaceController::new(
        server,
        client.with_field_manager("namespace-controller"),
        clock,
    );
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        ((), ()) = async { tokio::join!(garbage.run(), namespaces.run()) } => {}
    }
}
