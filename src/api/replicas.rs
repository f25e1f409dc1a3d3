//! What MachineSets, MachineDeployments and MachinePools have in common: so many machines of one
//! template, and how many of them are how far.

use super::conditions::Condition;
use super::core::{MachineDeployment, MachineSet, MachineTemplateSpec, ReplicaCounts};
use super::pools::MachinePool;

/// A kind that keeps a number of equal machines.
pub trait Replicated: kube::Resource {
    /// The Cluster it belongs to.
    fn cluster_name(&self) -> &str;

    /// What its machines are made of.
    fn template(&self) -> &MachineTemplateSpec;

    /// How many machines there shall be and are.
    fn counts(&self) -> ReplicaCounts;

    /// Conditions; none before the first status.
    fn conditions(&self) -> &[Condition];
}

macro_rules! replicated {
    ($($kind:ty),+) => {$(
        impl Replicated for $kind {
            fn cluster_name(&self) -> &str {
                &self.spec.cluster_name
            }

            fn template(&self) -> &MachineTemplateSpec {
                &self.spec.template
            }

            fn counts(&self) -> ReplicaCounts {
                let status = self.status.as_ref();
                ReplicaCounts {
                    desired_replicas: self.spec.replicas,
                    replicas: status.and_then(|status| status.replicas),
                    up_to_date_replicas: status.and_then(|status| status.up_to_date_replicas),
                    ready_replicas: status.and_then(|status| status.ready_replicas),
                    available_replicas: status.and_then(|status| status.available_replicas),
                    versions: status.map(|status| status.versions.clone()).unwrap_or_default(),
                }
            }

            fn conditions(&self) -> &[Condition] {
                self.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()
            }
        }
    )+};
}

replicated!(MachineSet, MachineDeployment, MachinePool);
