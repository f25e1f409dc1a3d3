//! The number of Machines of a MachineSet, and which of them go first.
//! (CAPI v1.14: machineset_controller.go, machineset_deletion_order.go)

use std::sync::Arc;

use super::{MachineSetReconciler, Scope, in_place};
use crate::api::core::Machine;
use crate::client::{ObjectKey, Propagation};
use crate::contract::conditions;
use crate::contract::{labels, machines};
use crate::extensions::pending;
use crate::runtime::{EventType, ReconcileError};

impl MachineSetReconciler {
    /// Makes or deletes Machines until their number is right.
    pub(super) async fn reconcile_replicas(&self, scope: &mut Scope) -> Result<(), ReconcileError> {
        self.clean_up(scope).await?;
        let Some(wanted) = scope.set.spec.replicas else {
            return Err(ReconcileError::Other(format!(
                "the Replicas field in Spec for MachineSet {} is nil, this should not be allowed",
                scope.key.name
            )));
        };
        let wanted = usize::try_from(wanted).unwrap_or(0);
        let present = scope.machines().len();
        if present < wanted {
            let annotations = scope.set.metadata.annotations.as_ref();
            let disabled = annotations.and_then(|held| held.get(labels::DISABLE_MACHINE_CREATE));
            if disabled.is_some_and(|disabled| disabled == "true") {
                return Ok(());
            }
            return self.create_machines(scope, wanted - present).await;
        }
        let uncounted = in_place::unacknowledged(scope);
        let surplus = present.saturating_sub(uncounted + wanted);
        if surplus == 0 {
            return Ok(());
        }
        let targets = in_place::listed(scope, labels::MOVE_MACHINES_TO);
        match targets.first() {
            Some(target) => self.move_machines(scope, target, surplus).await,
            None => self.delete_machines(scope, surplus).await,
        }
    }

    /// Deletes objects that were made for a Machine which could not be made.
    async fn clean_up(&self, scope: &Scope) -> Result<(), ReconcileError> {
        let spec = &scope.set.spec.template.spec;
        let templates = std::iter::once(&spec.infrastructure_ref).chain(&spec.bootstrap.config_ref);
        for template in templates.filter(|template| !template.name.is_empty()) {
            for external in self.context.externals.left_with_set(template, scope.uid())? {
                let name = external.object.name();
                let is_used = scope.machines().iter().any(|machine| {
                    let spec = &machine.spec;
                    let references =
                        std::iter::once(&spec.infrastructure_ref).chain(&spec.bootstrap.config_ref);
                    references.into_iter().any(|reference| reference.name == name)
                });
                if !is_used {
                    external.delete(&self.context.client).await.map_err(|error| {
                        ReconcileError::Other(format!(
                            "failed to cleanup orphaned objects: {error}"
                        ))
                    })?;
                }
            }
        }
        Ok(())
    }

    async fn delete_machines(&self, scope: &Scope, count: usize) -> Result<(), ReconcileError> {
        let order = Order::of(scope.set.spec.deletion.as_ref().map_or("", |limits| &limits.order))?;
        for machine in deletion_order(scope.machines(), order).into_iter().take(count) {
            if machines::is_deleting(&machine) {
                continue;
            }
            let key = ObjectKey::of(&*machine);
            self.context.client.delete::<Machine>(&key, Propagation::Default).await?;
            let message = format!("Deleted Machine {:?}", machines::name(&machine));
            self.recorder.event(&scope.set, EventType::Normal, "SuccessfulDelete", message);
        }
        Ok(())
    }
}

/// `spec.deletion.order`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Random,
    Newest,
    Oldest,
}

impl Order {
    pub(super) fn of(text: &str) -> Result<Self, ReconcileError> {
        match text {
            "" | "Random" => Ok(Self::Random),
            "Newest" => Ok(Self::Newest),
            "Oldest" => Ok(Self::Oldest),
            other => Err(ReconcileError::Other(format!(
                "Unsupported deletion order {other}. Must be one of 'Random', 'Newest', or 'Oldest'"
            ))),
        }
    }
}

/// Machines in the order in which they go: those already going, those marked for it, those being
/// updated in place, unhealthy ones, the others in the asked order; equal ones by name.
pub(super) fn deletion_order(machines: &[Arc<Machine>], order: Order) -> Vec<Arc<Machine>> {
    let rank = |machine: &Machine| {
        if machines::is_deleting(machine) {
            0
        } else if labels::has_annotation(&machine.metadata, labels::DELETE_MACHINE) {
            1
        } else if pending::is_update_in_progress(&machine.metadata) {
            2
        } else if !is_healthy(machine) {
            3
        } else {
            4
        }
    };
    let created = |machine: &Machine| {
        let time = machine.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let second = time.map_or(0, jiff::Timestamp::as_second);
        match order {
            _ if rank(machine) < 4 => 0,
            Order::Random => 0,
            Order::Oldest => second,
            Order::Newest => second.saturating_neg(),
        }
    };
    let mut ordered = machines.to_vec();
    ordered.sort_by(|a, b| {
        (rank(a), created(a), machines::name(a)).cmp(&(rank(b), created(b), machines::name(b)))
    });
    ordered
}

fn is_healthy(machine: &Machine) -> bool {
    machines::has_node(machine)
        && !conditions::is_false(machines::conditions_of(machine), "NodeHealthy")
        && !machines::is_unhealthy(machine)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::core::NodeRef;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    fn machine(name: &str, created: i64, change: impl FnOnce(&mut Machine)) -> Arc<Machine> {
        let mut machine = Machine::default();
        let time = Time(jiff::Timestamp::from_second(created).unwrap());
        machine.metadata.name = Some(name.into());
        machine.metadata.creation_timestamp = Some(time);
        machine.status.get_or_insert_default().node_ref = Some(NodeRef { name: name.into() });
        change(&mut machine);
        Arc::new(machine)
    }

    fn check(order: &str, expected: &[&str]) {
        let machines = [
            machine("d-old", 1, |_| {}),
            machine("c-new", 9, |_| {}),
            machine("z-no-node", 5, |machine| machine.status = None),
            machine("y-marked", 5, |machine| {
                let annotations = [(labels::DELETE_MACHINE.to_owned(), String::new())];
                machine.metadata.annotations = Some(annotations.into());
            }),
            machine("x-going", 5, |machine| {
                machine.metadata.deletion_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
            }),
        ];
        let ordered = deletion_order(&machines, Order::of(order).unwrap());
        let names: Vec<&str> = ordered.iter().map(|machine| machines::name(machine)).collect();
        assert_eq!(names, expected, "{order}");
    }

    #[test]
    fn machines_go_in_the_asked_order_after_those_marked_or_unhealthy() {
        check("", &["x-going", "y-marked", "z-no-node", "c-new", "d-old"]);
        check("Oldest", &["x-going", "y-marked", "z-no-node", "d-old", "c-new"]);
        check("Newest", &["x-going", "y-marked", "z-no-node", "c-new", "d-old"]);
        assert!(Order::of("Sideways").is_err());
    }
}
