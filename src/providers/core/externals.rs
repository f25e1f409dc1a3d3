//! Provider objects of any kind: their informers, looking them up by reference, and owning them.
//! (CAPI v1.14: controllers/external, internal/contract)

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{index, v1beta1_status};
use crate::api::conditions::Deprecated;
use crate::api::core::{Cluster, ContractRef};
use crate::client::{Client, ObjectKey, Propagation};
use crate::contract::conditions::{self, ConditionStatus, Mirrored, NO_REASON_REPORTED, New};
use crate::contract::object::ContractObject;
use crate::contract::versions::{ContractKind, ContractVersions};
use crate::contract::{labels, owners};
use crate::runtime::{Change, Controller, Informer, Manager, ReconcileError, patch_metadata};

/// Groups whose kinds no core object refers to through a contract.
const OWN_GROUPS: [&str; 4] = [
    "cluster.x-k8s.io",
    "addons.cluster.x-k8s.io",
    "ipam.cluster.x-k8s.io",
    "runtime.cluster.x-k8s.io",
];

/// Index of objects by uid of a MachineSet that owns them: those that no Machine has taken over.
const OWNING_SET: &str = "core/owning-set";

fn owning_sets(object: &ContractObject) -> Vec<String> {
    let set = owners::owner(&object.metadata, super::GROUP, "MachineSet");
    set.map(|owner| owner.uid.clone()).into_iter().collect()
}

/// Informers of all provider kinds that were known at the start.
pub(super) struct Externals {
    kinds: HashMap<(String, String), Known>,
}

struct Known {
    kind: Arc<ContractKind>,
    informer: Informer<ContractObject>,
}

/// A provider object with its kind.
#[derive(Clone, Debug)]
pub(super) struct External {
    /// The object.
    pub object: Arc<ContractObject>,
    /// How to talk about it.
    pub kind: Arc<ContractKind>,
}

/// What looking up a reference gave.
#[derive(Clone, Debug, Default)]
pub(super) enum Lookup {
    /// There is no reference.
    #[default]
    Undefined,
    /// The reference cannot be followed; the error is logged, conditions say so.
    Unreadable,
    /// The object does not exist.
    Missing,
    /// The object.
    Found(External),
}

impl Lookup {
    /// The object, if it exists.
    pub(super) fn found(&self) -> Option<&External> {
        match self {
            Self::Found(external) => Some(external),
            Self::Undefined | Self::Unreadable | Self::Missing => None,
        }
    }

    /// Whether the object is known not to exist.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }
}

impl Externals {
    /// Makes an informer of every provider kind in `versions`.
    pub(super) fn new(manager: &Manager, versions: &ContractVersions) -> Self {
        let kinds = versions
            .kinds()
            .into_iter()
            .filter(|kind| !OWN_GROUPS.contains(&kind.resource.group.as_str()))
            .map(|kind| {
                let informer = manager.dynamic_informer::<ContractObject>(&kind.resource);
                informer.add_index(index::POOL, |object| index::of_pool(&object.metadata));
                informer.add_index(OWNING_SET, owning_sets);
                let key = (kind.resource.group.clone(), kind.resource.kind.clone());
                (key, Known { kind, informer })
            })
            .collect();
        Self { kinds }
    }

    /// Watches all provider kinds; `map` gets an object's index value (see [`index::external`])
    /// and the change.
    pub(super) fn watch(
        &self,
        mut controller: Controller,
        map: impl Fn(&str, &Change<ContractObject>) -> Vec<ObjectKey> + Clone + Send + Sync + 'static,
    ) -> Controller {
        // HashMap order must not leak into the order of watches.
        let mut known: Vec<&Known> = self.kinds.values().collect();
        known.sort_by(|a, b| {
            let key = |known: &Known| {
                (known.kind.resource.group.clone(), known.kind.resource.kind.clone())
            };
            key(a).cmp(&key(b))
        });
        for Known { kind, informer } in known {
            let kind = kind.clone();
            let map = map.clone();
            controller = controller.watches(informer, move |change: &Change<ContractObject>| {
                let object = change.object();
                let resource = &kind.resource;
                let value = index::external(
                    object.namespace(),
                    &resource.group,
                    &resource.kind,
                    object.name(),
                );
                map(&value, change)
            });
        }
        controller
    }

    /// Follows a reference. Copies of different kinds are not in step: an object may be known that
    /// was made after those it refers to, which are not known yet. What the copy lacks is
    /// therefore asked of the server before it is called missing.
    ///
    /// # Errors
    /// The kind is not known, or the request failed.
    pub(super) async fn get(
        &self,
        client: &Client,
        reference: &ContractRef,
        namespace: &str,
    ) -> Result<Option<External>, ReconcileError> {
        let known = self.known(reference)?;
        let object = match known.informer.get(namespace, &reference.name) {
            Some(object) => Some(object),
            None => {
                let key = ObjectKey::new(namespace, reference.name.as_str());
                client.get_as(&known.kind.resource, &key).await?.map(Arc::new)
            }
        };
        Ok(object.map(|object| External { object, kind: known.kind.clone() }))
    }

    /// Follows a reference to an object that must exist.
    ///
    /// # Errors
    /// The object does not exist, the kind is not known, or the request failed.
    pub(super) async fn need(
        &self,
        client: &Client,
        reference: &ContractRef,
        namespace: &str,
    ) -> Result<External, ReconcileError> {
        match self.get(client, reference, namespace).await? {
            Some(external) => Ok(external),
            None => Err(ReconcileError::Other(self.missing(reference, namespace)?)),
        }
    }

    /// What upstream says of an object that does not exist.
    ///
    /// # Errors
    /// The kind is not known.
    pub(super) fn missing(
        &self,
        reference: &ContractRef,
        namespace: &str,
    ) -> Result<String, ReconcileError> {
        let resource = &self.known(reference)?.kind.resource;
        let (kind, name) = (&reference.kind, &reference.name);
        Ok(format!(
            "failed to retrieve {kind} {namespace}/{name}: {}.{} {name:?} not found",
            resource.plural, resource.group
        ))
    }

    /// Objects that a MachineSet has made of a template and that no Machine has taken over.
    ///
    /// # Errors
    /// The kind is not known.
    pub(super) fn left_with_set(
        &self,
        template: &ContractRef,
        set_uid: &str,
    ) -> Result<Vec<External>, ReconcileError> {
        let kind = template.kind.strip_suffix("Template").unwrap_or(&template.kind);
        let known = self.known(&ContractRef { kind: kind.to_owned(), ..template.clone() })?;
        let found = known.informer.by_index(OWNING_SET, set_uid);
        let external = |object| External { object, kind: known.kind.clone() };
        Ok(found.into_iter().map(external).collect())
    }

    /// Whether the copies hold the object that a reference names.
    pub(super) fn is_known(&self, reference: &ContractRef, namespace: &str) -> bool {
        let known = self.known(reference);
        known.is_ok_and(|known| known.informer.get(namespace, &reference.name).is_some())
    }

    /// Registers an index of the objects of all kinds; before the informers start.
    pub(super) fn add_index(
        &self,
        index: &'static str,
        extract: fn(&ContractObject) -> Vec<String>,
    ) {
        for known in self.kinds.values() {
            known.informer.add_index(index, extract);
        }
    }

    /// Objects of all kinds under a value of an index, by group, kind and name.
    pub(super) fn by_index(&self, index: &'static str, value: &str) -> Vec<Arc<ContractObject>> {
        let mut kinds: Vec<_> = self.kinds.iter().collect();
        kinds.sort_by_key(|(key, _)| *key);
        kinds.into_iter().flat_map(|(_, known)| known.informer.by_index(index, value)).collect()
    }

    /// resourceVersion of the object that a reference names, if the copies hold it.
    pub(super) fn version(&self, reference: &ContractRef, namespace: &str) -> Option<String> {
        let object = self.known(reference).ok()?.informer.get(namespace, &reference.name)?;
        object.metadata.resource_version.clone()
    }

    /// Makes the Cluster an owner of the template that is named, so that they are deleted
    /// together; answers whether it exists. What is no template is left alone.
    ///
    /// # Errors
    /// The kind is not known, or a request failed.
    pub(super) async fn own_template(
        &self,
        client: &Client,
        cluster: &Cluster,
        reference: &ContractRef,
    ) -> Result<bool, ReconcileError> {
        if !reference.kind.ends_with("Template") {
            return Ok(true);
        }
        let namespace = cluster.metadata.namespace.as_deref().unwrap_or_default();
        let found = self.get(client, reference, namespace).await?;
        let Some(external) = found else { return Ok(false) };
        let mut wanted = external.object.metadata.clone();
        let owner = owners::owner_of(cluster);
        if !owners::has(&wanted, &owner) {
            owners::ensure(&mut wanted, owner);
        }
        external.write_ownership(client, &wanted).await?;
        Ok(true)
    }

    /// Objects of a kind that carry the labels of a MachinePool, by name; `value` is that of
    /// [`index::in_pool`].
    ///
    /// # Errors
    /// The kind is not known.
    pub(super) fn of_pool(
        &self,
        group: &str,
        kind: &str,
        value: &str,
    ) -> Result<Vec<Arc<ContractObject>>, ReconcileError> {
        let reference = ContractRef {
            api_group: group.to_owned(),
            kind: kind.to_owned(),
            ..ContractRef::default()
        };
        Ok(self.known(&reference)?.informer.by_index(index::POOL, value))
    }

    /// The kind that a reference names.
    ///
    /// # Errors
    /// The kind is not known.
    pub(super) fn kind(
        &self,
        reference: &ContractRef,
    ) -> Result<Arc<ContractKind>, ReconcileError> {
        self.known(reference).map(|known| known.kind.clone())
    }

    fn known(&self, reference: &ContractRef) -> Result<&Known, ReconcileError> {
        let key = (reference.api_group.clone(), reference.kind.clone());
        self.kinds.get(&key).ok_or_else(|| {
            ReconcileError::Other(format!(
                "failed to get object from ref: no contract version is known for kind {}.{}",
                reference.kind, reference.api_group
            ))
        })
    }
}

impl External {
    /// Writes owner references and the cluster label, and nothing else.
    ///
    /// # Errors
    /// The request failed.
    pub(super) async fn write_ownership(
        &self,
        client: &Client,
        wanted: &ObjectMeta,
    ) -> Result<(), ReconcileError> {
        let held = &self.object.metadata;
        let after = ObjectMeta {
            owner_references: wanted.owner_references.clone(),
            labels: wanted.labels.clone(),
            ..held.clone()
        };
        patch_metadata(client, &self.kind.resource, held, &after).await?;
        Ok(())
    }

    /// Copies the object's terminal failure, if it has one, to the v1beta1 status of its owner.
    pub(super) fn take_over_failure(&self, deprecated: &mut Option<Deprecated>) {
        let status = &self.object.status;
        if !status.failure_reason.is_empty() {
            v1beta1_status(deprecated).failure_reason = Some(status.failure_reason.clone());
        }
        if !status.failure_message.is_empty() {
            let resource = &self.kind.resource;
            v1beta1_status(deprecated).failure_message = Some(format!(
                "Failure detected from referenced resource {}, Kind={} with name {:?}: {}",
                resource.api_version,
                resource.kind,
                self.object.name(),
                status.failure_message
            ));
        }
    }

    /// Deletes the object unless that was already asked for.
    ///
    /// # Errors
    /// The request failed.
    pub(super) async fn delete(&self, client: &Client) -> Result<(), ReconcileError> {
        if self.object.is_deleting() {
            return Ok(());
        }
        client.delete_dynamic(&self.kind.resource, &self.key(), Propagation::Default).await?;
        Ok(())
    }

    /// Metadata with the cluster label set.
    pub(super) fn labelled(&self, cluster: &str) -> ObjectMeta {
        let mut metadata = self.object.metadata.clone();
        super::set_label(&mut metadata, labels::CLUSTER_NAME, cluster);
        metadata
    }

    /// Namespace and name.
    pub(super) fn key(&self) -> ObjectKey {
        ObjectKey::new(self.object.namespace(), self.object.name())
    }
}

/// How a condition of a provider object is shown on the object that refers to it.
pub(super) struct MirrorRules<'a> {
    /// Type of the condition to set.
    pub target: &'static str,
    /// Type of the condition to read.
    pub source: &'a str,
    /// Kind in the reference.
    pub kind: &'a str,
    /// Whether the milestone was reached (`initialization.*` of the referring object).
    pub is_milestone_reached: bool,
    /// Name of the milestone in the provider object's `status.initialization`.
    pub milestone: &'a str,
    /// Reason when all is well.
    pub good: &'static str,
    /// Reason when the milestone is not reached.
    pub bad: &'static str,
    /// Whether the referring object is being deleted.
    pub is_deleting: bool,
    /// What still exists when a provider object went too early, e.g. `Machine`; `None` where that
    /// is not told apart from never having existed.
    pub outlived_by: Option<&'a str>,
}

/// The condition that shows a provider object's state. (CAPI v1.14: setInfrastructureReadyCondition
/// and its siblings)
pub(super) fn mirror(lookup: &Lookup, rules: &MirrorRules<'_>, now: Timestamp) -> Mirrored {
    let new = match lookup {
        Lookup::Found(external) => {
            let Some(condition) = external.object.condition(rules.source) else {
                return Mirrored { new: fallback(rules), since: now };
            };
            let mut mirrored =
                conditions::mirror(Some(&condition), rules.source, rules.target, now);
            if mirrored.new.reason == NO_REASON_REPORTED
                && mirrored.new.status == ConditionStatus::True
            {
                rules.good.clone_into(&mut mirrored.new.reason);
            }
            return mirrored;
        }
        Lookup::Undefined | Lookup::Unreadable => internal_error(rules.target),
        Lookup::Missing => missing(rules),
    };
    Mirrored { new, since: now }
}

/// The condition of something that could not be read.
pub(super) fn internal_error(target: &'static str) -> New {
    New::unknown(target, "InternalError", "Please check controller logs for errors")
}

fn fallback(rules: &MirrorRules<'_>) -> New {
    if rules.is_milestone_reached {
        return New::yes(rules.target, rules.good);
    }
    let message = format!("{} status.initialization.{} is false", rules.kind, rules.milestone);
    New::no(rules.target, rules.bad, message)
}

fn missing(rules: &MirrorRules<'_>) -> New {
    let kind = rules.kind;
    let (reason, message) = match (rules.is_deleting, rules.is_milestone_reached, rules.outlived_by)
    {
        (true, true, _) => ("ObjectDeleted", format!("{kind} has been deleted")),
        (false, true, Some(owner)) => {
            ("ObjectDeleted", format!("{kind} has been deleted while the {owner} still exists"))
        }
        (true | false, _, _) => ("ObjectDoesNotExist", format!("{kind} does not exist")),
    };
    New::no(rules.target, reason, message)
}
