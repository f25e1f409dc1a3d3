//! What kubelets and kube-controller-manager do in the workload clusters: Pods of Nodes start and
//! stop, silent Nodes are tainted and emptied, disruption budgets and workloads are counted.
//!
//! One task serves all clusters of a host. The commits of a cluster's engine put chores into one
//! queue; a chore looks at the objects as they are then and brings them one step further, so it may
//! be done at any time and any number of times. A cluster in which nothing happens has no task, no
//! timer and no chore.
//!
//! Nothing is scheduled, and no Pod is made from a template: Pods run once a client has bound them
//! to a Node. Nodes that no machine stands for have no kubelet, and are left as clients make them.

mod addresses;
mod budgets;
mod chores;
mod containers;
mod daemon_sets;
mod deployments;
mod eviction;
mod nodes;
mod pod_life;
mod pods;
mod site;
mod taints;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub(super) use chores::{Chore, Chores};
use site::Site;

use super::cluster::Cluster;
use crate::client::{ClientError, ObjectKey};

/// Pause before a chore that failed is done again.
const RETRY: Duration = Duration::from_secs(1);

/// Does the chores of all clusters until `stop` is cancelled.
pub(super) async fn run(
    chores: Arc<Chores>,
    cluster: impl Fn(&ObjectKey) -> Option<Arc<Cluster>>,
    stop: CancellationToken,
) {
    let work = async {
        loop {
            let (key, chore) = chores.next().await;
            let Some(cluster) = cluster(&key) else { continue };
            let Some(site) = Site::of(&cluster, &chores) else { continue };
            let wait = match perform(&site, &chore).await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::debug!(%error, cluster = %key, ?chore, "a chore failed");
                    is_worth_retrying(&error).then_some(RETRY)
                }
            };
            chores.plan(key, chore, wait);
            // Other tasks of this thread get their turn: a chore may never have to wait.
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = work => {}
    }
}

/// Does one chore; answers after what time it is to be done again though nothing changes.
async fn perform(site: &Site<'_>, chore: &Chore) -> Result<Option<Duration>, ClientError> {
    match chore {
        Chore::Node(name) => nodes::look_after(site, name).await,
        Chore::StaticPods(name) => site.restore_mirrors(name).await,
        Chore::Orphans(name) => nodes::remove_orphans(site, name).await,
        Chore::Pod(namespace, name) => pods::look_after(site, namespace, name).await,
        Chore::Budgets(namespace) => budgets::count(site, namespace).await,
        Chore::DaemonSets => daemon_sets::count(site).await,
        Chore::Deployments(namespace) => deployments::count(site, namespace).await,
    }
}

/// What the server refuses for good is not tried again; the next change will.
fn is_worth_retrying(error: &ClientError) -> bool {
    error.code().is_none_or(|code| code == 409 || code == 429 || code >= 500)
}
