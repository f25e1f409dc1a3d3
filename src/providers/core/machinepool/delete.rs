//! Deletion of a MachinePool: bootstrap and infrastructure, then Nodes.
//! (CAPI v1.14: machinepool_controller.go, reconcileDelete)

use std::time::Duration;

use super::super::remove_finalizer;
use super::{MachinePoolReconciler, Scope};
use crate::contract::labels;
use crate::runtime::{Outcome, ReconcileError};

impl MachinePoolReconciler {
    /// Deletes what the pool refers to and lets it go when that is gone; every step but the last
    /// ends with a watch.
    pub(super) async fn reconcile_delete(
        &self,
        scope: &mut Scope,
    ) -> Result<Outcome, ReconcileError> {
        let machine = &scope.pool.spec.template.spec;
        let references = [machine.bootstrap.config_ref.as_ref(), Some(&machine.infrastructure_ref)];
        let mut is_clear = true;
        for reference in references.into_iter().flatten().filter(|it| !it.name.is_empty()) {
            if let Some(external) = self.context.find(reference, &scope.key.namespace).await? {
                is_clear = false;
                external.delete(&self.context.client).await?;
            }
        }
        if !is_clear {
            return Ok(Outcome::Done);
        }
        let rest = self.rest_of_node_deletion(scope);
        let has_nodes = scope.pool.status.iter().any(|status| !status.node_refs.is_empty());
        if has_nodes && rest != Some(Duration::ZERO) {
            let Some(remote) = self.context.remote.clusters().get(&scope.cluster_key) else {
                return Ok(rest.map_or(Outcome::Done, Outcome::RequeueAfter));
            };
            self.delete_retired(scope, &remote.client).await?;
        }
        remove_finalizer(&mut scope.pool.metadata, labels::MACHINE_POOL_FINALIZER);
        Ok(Outcome::Done)
    }

    /// How long Nodes may still take; `None` for as long as they need.
    fn rest_of_node_deletion(&self, scope: &Scope) -> Option<Duration> {
        let deletion = scope.pool.spec.template.spec.deletion.as_ref()?;
        let seconds = deletion.node_deletion_timeout_seconds.filter(|seconds| *seconds > 0)?;
        let began = scope.pool.metadata.deletion_timestamp.as_ref()?.0;
        let passed = self.context.clock.now().duration_since(began).unsigned_abs();
        Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).saturating_sub(passed))
    }
}
