//! How far a rolling update may stray from the wanted number of Machines.
//! (CAPI v1.14: machinedeployment/mdutil, MaxSurge and MaxUnavailable)

use super::super::scaled::{Rounding, scaled};
use crate::api::core::{MachineDeployment, RolloutStrategy};

/// Limits of a rolling update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Machines above the wanted number.
    pub surge: i32,
    /// Machines that may be missing.
    pub unavailable: i32,
}

/// Rollout strategy of a deployment, if its spec has one.
pub(super) fn strategy(deployment: &MachineDeployment) -> Option<&RolloutStrategy> {
    deployment.spec.rollout.as_ref().and_then(|rollout| rollout.strategy.as_ref())
}

impl Limits {
    /// Limits of a deployment; both zero unless its strategy is RollingUpdate.
    pub(super) fn of(deployment: &MachineDeployment) -> Self {
        let Some(strategy) =
            strategy(deployment).filter(|strategy| strategy.type_ == "RollingUpdate")
        else {
            return Self { surge: 0, unavailable: 0 };
        };
        let replicas = deployment.spec.replicas.unwrap_or(0);
        let limits = strategy.rolling_update.clone().unwrap_or_default();
        // The webhook refuses what cannot be read.
        let surge = limits.max_surge.as_ref();
        let surge =
            surge.map_or(0, |limit| scaled(limit, replicas, Rounding::Up).unwrap_or_default());
        let unavailable = limits.max_unavailable.as_ref();
        let unavailable = unavailable
            .map_or(0, |limit| scaled(limit, replicas, Rounding::Down).unwrap_or_default());
        let unavailable = if surge == 0 && unavailable == 0 { 1 } else { unavailable };
        let unavailable = if replicas == 0 { 0 } else { unavailable.min(replicas) };
        Self { surge, unavailable }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rollout_can_always_move_and_nothing_is_missing_of_nothing() {
        let limits = |type_: &str, replicas: i32, surge: &str, unavailable: &str| {
            let rolling = json!({"maxSurge": surge, "maxUnavailable": unavailable});
            let deployment = serde_json::from_value(json!({"spec": {"replicas": replicas,
                "rollout": {"strategy": {"type": type_, "rollingUpdate": rolling}}}}));
            let limits = Limits::of(&deployment.unwrap());
            (limits.surge, limits.unavailable)
        };
        assert_eq!(limits("RollingUpdate", 3, "50%", "50%"), (2, 1));
        assert_eq!(limits("RollingUpdate", 3, "0%", "10%"), (0, 1));
        assert_eq!(limits("RollingUpdate", 3, "0%", "200%"), (0, 3));
        assert_eq!(limits("RollingUpdate", 0, "0%", "50%"), (0, 0));
        assert_eq!(limits("OnDelete", 3, "50%", "50%"), (0, 0));
    }
}
