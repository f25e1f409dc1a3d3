//! One reconcile of a ClusterResourceSet.
//! (CAPI v1.14: clusterresourceset_controller.go)

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::apply::{Applier, Strategy, aggregate};
use super::scope::{self, Found, Resources};
use super::status::{self, Verdict};
use super::{content::Content, record};
use crate::api::addons::{
    ClusterResourceSet, ClusterResourceSetBinding, ResourceRef, ResourceSetBinding,
};
use crate::api::core::Cluster;
use crate::client::{Client, ClientError, ClusterCache, ObjectKey, Propagation};
use crate::clock::Clock;
use crate::contract::{owners, paused};
use crate::runtime::{Informer, Outcome, ReconcileError, Reconciler, patch_object};

/// Keeps a set until no binding names it.
const FINALIZER: &str = "addons.cluster.x-k8s.io";

/// Sets of the same Cluster write the same binding; who comes second tries again soon.
const CONFLICT_RETRY: Duration = Duration::from_millis(100);

/// Reconciles ClusterResourceSets.
pub(super) struct SetReconciler {
    pub(super) client: Client,
    pub(super) clock: Clock,
    pub(super) sets: Informer<ClusterResourceSet>,
    pub(super) clusters: Informer<Cluster>,
    pub(super) bindings: Informer<ClusterResourceSetBinding>,
    pub(super) remotes: ClusterCache,
}

/// What applying came to, over all Clusters.
#[derive(Default)]
struct Course {
    /// What the last Cluster means for the condition.
    verdict: Option<Verdict>,
    /// What is worth another try.
    errors: Vec<String>,
    /// Whether something is wrong that only a change elsewhere can mend.
    is_stuck: bool,
    has_conflict: bool,
}

impl Reconciler for SetReconciler {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, ReconcileError> {
        let Some(before) = self.sets.get(&key.namespace, &key.name) else {
            return Ok(Outcome::Done);
        };
        let now = self.clock.now();
        let mut set = ClusterResourceSet::clone(&before);
        let is_deleting = before.metadata.deletion_timestamp.is_some();
        if !is_deleting {
            add_finalizer(&mut set);
        }
        status::set_paused(&mut set, now);
        let mut result = Ok(Outcome::Done);
        if !paused::is_paused(None, &before.metadata) {
            let course = self.course(&mut set, is_deleting).await;
            if let Some(verdict) = &course.verdict {
                status::report(&mut set, verdict, now);
            }
            if course.is_smooth() {
                set.status.get_or_insert_default().observed_generation = set.metadata.generation;
            }
            result = course.outcome();
        }
        patch_object(&self.client, &*before, &set).await?;
        result
    }
}

impl Course {
    fn is_smooth(&self) -> bool {
        self.errors.is_empty() && !self.is_stuck
    }

    fn outcome(self) -> Result<Outcome, ReconcileError> {
        if self.has_conflict {
            return Ok(Outcome::RequeueAfter(CONFLICT_RETRY));
        }
        match aggregate(&self.errors) {
            None => Ok(Outcome::Done),
            Some(error) => Err(ReconcileError::Other(error)),
        }
    }

    fn fail(&mut self, error: &ClientError) {
        self.has_conflict |= error.is_conflict();
        self.errors.push(error.to_string());
    }
}

impl SetReconciler {
    async fn course(&self, set: &mut ClusterResourceSet, is_deleting: bool) -> Course {
        let namespace = set.metadata.namespace.clone().unwrap_or_default();
        let neighbours = scope::neighbours(&self.clusters, &namespace);
        let mut course = Course::default();
        let clusters = match scope::clusters(set, &neighbours) {
            Ok(clusters) => clusters,
            Err(error) => {
                course.is_stuck = true;
                course.verdict = Some(Verdict::SelectorFailed(error));
                return course;
            }
        };
        if is_deleting {
            for cluster in &clusters {
                if let Err(error) = self.forget(set, cluster).await {
                    course.fail(&error);
                }
            }
            if course.errors.is_empty() {
                remove_finalizer(set);
            }
            return course;
        }
        if clusters.is_empty() {
            return course;
        }
        // Owners are set before any cluster answers, so that everything is deleted together.
        let resources = Resources::read(&self.client, set).await;
        course.verdict = resources.verdict.clone();
        course.errors.extend(resources.errors.iter().cloned());
        course.is_stuck = resources.has_wrong_type;
        if course.is_smooth() {
            for cluster in &clusters {
                if let Err(error) = self.apply(set, cluster, &resources, &mut course).await {
                    course.fail(&error);
                }
            }
        }
        course
    }

    /// Applies everything that is due to one Cluster and writes down what became of it.
    async fn apply(
        &self,
        set: &ClusterResourceSet,
        cluster: &Arc<Cluster>,
        resources: &Resources,
        course: &mut Course,
    ) -> Result<(), ClientError> {
        let key = ObjectKey::of(&**cluster);
        let before = self.binding(set, &key).await?;
        let mut binding = before.clone();
        let owner = owners::owner_of(set);
        if !owners::has(&binding.metadata, &owner) {
            owners::ensure(&mut binding.metadata, owner);
        }
        let name = set.metadata.name.as_deref().unwrap_or_default();
        let entry = record::entry(&mut binding, name);
        match self.remotes.get(&key) {
            None => {
                // Its first answer wakes us.
                course.is_stuck = true;
                course.verdict = Some(Verdict::NoConnection);
            }
            Some(remote) => {
                let errors = course.errors.len();
                let was_stuck = std::mem::take(&mut course.is_stuck);
                let now = self.clock.now();
                for (resource, found) in &resources.found {
                    let Found::Content(content) = found else { continue };
                    let task = Task { spec: &set.spec, resource, content, now };
                    task.run(&remote.client, entry, course).await;
                }
                if course.errors.len() == errors && !course.is_stuck {
                    course.verdict = Some(Verdict::Applied);
                }
                course.is_stuck |= was_stuck;
            }
        }
        self.write(&before, &binding).await
    }

    /// The binding of a Cluster, made if there is none.
    async fn binding(
        &self,
        set: &ClusterResourceSet,
        key: &ObjectKey,
    ) -> Result<ClusterResourceSetBinding, ClientError> {
        if let Some(binding) = self.bindings.get(&key.namespace, &key.name) {
            return Ok(ClusterResourceSetBinding::clone(&binding));
        }
        let mut binding = ClusterResourceSetBinding::default();
        binding.metadata.name = Some(key.name.clone());
        binding.metadata.namespace = Some(key.namespace.clone());
        binding.metadata.owner_references = Some(vec![owners::owner_of(set)]);
        binding.spec.cluster_name.clone_from(&key.name);
        match self.client.create(&binding).await {
            Err(error) if error.is_already_exists() => {
                let found = self.client.get(key).await?;
                // Gone again in between: a conflict, which is tried again.
                found.ok_or(error)
            }
            created => created,
        }
    }

    /// Writes a binding unless nothing changed; nobody else may have written it in between.
    async fn write(
        &self,
        before: &ClusterResourceSetBinding,
        after: &ClusterResourceSetBinding,
    ) -> Result<(), ClientError> {
        if before == after {
            return Ok(());
        }
        let patch = json!({
            "metadata": {
                "ownerReferences": after.metadata.owner_references,
                "resourceVersion": before.metadata.resource_version,
            },
            "spec": {"bindings": after.spec.bindings},
        });
        let key = ObjectKey::of(after);
        self.client.merge_patch::<ClusterResourceSetBinding>(&key, "", &patch).await?;
        Ok(())
    }

    /// Takes a set out of the binding of a Cluster; the binding goes with its last set.
    async fn forget(
        &self,
        set: &ClusterResourceSet,
        cluster: &Arc<Cluster>,
    ) -> Result<(), ClientError> {
        let key = ObjectKey::of(&**cluster);
        let Some(before) = self.bindings.get(&key.namespace, &key.name) else { return Ok(()) };
        let mut binding = ClusterResourceSetBinding::clone(&before);
        let name = set.metadata.name.as_deref().unwrap_or_default();
        record::remove(&mut binding, name);
        if let Some(references) = &mut binding.metadata.owner_references {
            references.retain(|owner| owner.kind != "ClusterResourceSet" || owner.name != name);
        }
        if binding.spec.bindings.is_empty() {
            return self
                .client
                .delete::<ClusterResourceSetBinding>(&key, Propagation::Default)
                .await;
        }
        self.write(&before, &binding).await
    }
}

/// One resource on its way into one workload cluster.
struct Task<'a> {
    spec: &'a crate::api::addons::ClusterResourceSetSpec,
    resource: &'a ResourceRef,
    content: &'a Result<Content, String>,
    now: Timestamp,
}

impl Task<'_> {
    async fn run(&self, remote: &Client, entry: &mut ResourceSetBinding, course: &mut Course) {
        let read =
            self.content.as_ref().map_err(Clone::clone).and_then(|content| {
                Ok((content.hash(), content.objects()?, Strategy::of(self.spec)?))
            });
        let (hash, objects, strategy) = match read {
            Ok(read) => read,
            Err(error) => {
                // Only a change of the resource mends that; its time stays the first one.
                tracing::warn!(resource = %self.resource.name, error, "unusable resource");
                course.is_stuck = true;
                let known = record::find(entry, self.resource);
                if known.is_none_or(|known| known.applied == Some(true) || !known.hash.is_empty()) {
                    record::note(entry, self.resource, (false, String::new()), self.now);
                }
                return;
            }
        };
        if !record::is_due(strategy, record::find(entry, self.resource), &hash) {
            return;
        }
        let applied = Applier::new(remote, strategy).apply(&objects).await;
        record::note(entry, self.resource, (applied.is_ok(), hash), self.now);
        if let Err(error) = applied {
            course.verdict = Some(Verdict::ApplyFailed(error.clone()));
            course.errors.push(error);
        }
    }
}

fn add_finalizer(set: &mut ClusterResourceSet) {
    let finalizers = set.metadata.finalizers.get_or_insert_default();
    if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
        finalizers.push(FINALIZER.to_owned());
    }
}

fn remove_finalizer(set: &mut ClusterResourceSet) {
    if let Some(finalizers) = &mut set.metadata.finalizers {
        finalizers.retain(|finalizer| finalizer != FINALIZER);
    }
}
