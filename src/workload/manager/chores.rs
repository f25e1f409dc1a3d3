//! The queue of what has to be looked at, now or at some time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::site::is_mirror_entry;
use crate::apiserver::OnCommit;
use crate::client::ObjectKey;
use crate::clock::Clock;
use crate::store::{Event, EventKind, ResourceKey};

/// Something to look at in a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::workload) enum Chore {
    /// A Node: its kubelet, its taints, its Pods.
    Node(String),
    /// The mirrors of a Node's static Pods.
    StaticPods(String),
    /// Pods of a Node that has been gone for a while.
    Orphans(String),
    /// A Pod, by namespace and name.
    Pod(String, String),
    /// All PodDisruptionBudgets of a namespace.
    Budgets(String),
    /// All DaemonSets.
    DaemonSets,
    /// All Deployments of a namespace.
    Deployments(String),
}

type Task = (ObjectKey, Chore);

/// The chores of all clusters of a host. Commits add, one task takes.
#[derive(Debug)]
pub(in crate::workload) struct Chores {
    clock: Clock,
    queue: Mutex<Queue>,
    /// Rung when something is added.
    added: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    ready: BTreeSet<Task>,
    /// What is to be done later, at most once a task, by `Clock::elapsed`.
    deadlines: BTreeMap<Task, Duration>,
    /// The same, in order of time.
    order: BTreeSet<(Duration, Task)>,
}

impl Queue {
    fn set_deadline(&mut self, task: Task, deadline: Option<Duration>) {
        let earlier = match deadline {
            Some(deadline) => {
                self.order.insert((deadline, task.clone()));
                self.deadlines.insert(task.clone(), deadline)
            }
            None => self.deadlines.remove(&task),
        };
        if earlier != deadline
            && let Some(earlier) = earlier
        {
            self.order.remove(&(earlier, task));
        }
    }

    /// The next task, if one is due; otherwise when one will be.
    fn take(&mut self, now: Duration) -> Result<Task, Option<Duration>> {
        while let Some((deadline, task)) = self.order.first().cloned()
            && deadline <= now
        {
            self.set_deadline(task.clone(), None);
            self.ready.insert(task);
        }
        self.ready.pop_first().ok_or_else(|| self.order.first().map(|(deadline, _)| *deadline))
    }
}

impl Chores {
    /// No chores yet.
    pub(in crate::workload) fn new(clock: Clock) -> Self {
        Self { clock, queue: Mutex::default(), added: Notify::new() }
    }

    /// Adds a chore, unless it waits already.
    pub(in crate::workload) fn add(&self, cluster: &ObjectKey, chore: Chore) {
        if self.queue.lock().ready.insert((cluster.clone(), chore)) {
            self.added.notify_one();
        }
    }

    /// Forgets the chores of a cluster that is gone.
    pub(in crate::workload) fn forget(&self, cluster: &ObjectKey) {
        let mut queue = self.queue.lock();
        queue.ready.retain(|(key, _)| key != cluster);
        queue.deadlines.retain(|(key, _), _| key != cluster);
        queue.order.retain(|(_, (key, _))| key != cluster);
    }

    /// Sets when a chore is to be done again, if nothing happens before.
    pub(super) fn plan(&self, cluster: ObjectKey, chore: Chore, wait: Option<Duration>) {
        let deadline = wait.map(|wait| self.clock.elapsed() + wait);
        self.queue.lock().set_deadline((cluster, chore), deadline);
    }

    /// Waits for the next chore.
    pub(super) async fn next(&self) -> Task {
        loop {
            let added = self.added.notified();
            tokio::pin!(added);
            added.as_mut().enable();
            let deadline = match self.queue.lock().take(self.clock.elapsed()) {
                Ok(task) => return task,
                Err(deadline) => deadline,
            };
            match deadline {
                Some(deadline) => tokio::select! {
                    () = added => {}
                    () = self.clock.sleep_until(deadline) => {}
                },
                None => added.await,
            }
        }
    }

    /// What a cluster's engine tells of its writes.
    pub(in crate::workload) fn feed(self: &Arc<Self>, cluster: &ObjectKey) -> OnCommit {
        let (chores, cluster) = (self.clone(), cluster.clone());
        Some(Arc::new(move |resource: &ResourceKey, event: &Event| {
            chores.committed(&cluster, resource, event);
        }))
    }

    fn committed(&self, cluster: &ObjectKey, resource: &ResourceKey, event: &Event) {
        let meta = &event.entry.meta;
        let namespace = || meta.namespace.to_string();
        match (&*resource.group, &*resource.plural) {
            ("", "nodes") => {
                self.add(cluster, Chore::Node(meta.name.to_string()));
                self.add(cluster, Chore::DaemonSets);
            }
            // The status of static Pods is looked after with their Node's.
            ("", "pods") if is_mirror_entry(&event.entry) => {
                let is_going = meta.deletion_timestamp.is_some();
                if event.kind == EventKind::Deleted || is_going {
                    let nodes = meta.owner_references.iter().filter(|it| &*it.kind == "Node");
                    nodes.for_each(|it| self.add(cluster, Chore::StaticPods(it.name.to_string())));
                }
            }
            ("", "pods") => {
                if event.kind != EventKind::Deleted {
                    self.add(cluster, Chore::Pod(namespace(), meta.name.to_string()));
                }
                self.add(cluster, Chore::Budgets(namespace()));
                self.add(cluster, Chore::Deployments(namespace()));
                if meta.owner_references.iter().any(|owner| &*owner.kind == "DaemonSet") {
                    self.add(cluster, Chore::DaemonSets);
                }
            }
            ("policy", "poddisruptionbudgets") => self.add(cluster, Chore::Budgets(namespace())),
            ("apps", "daemonsets") => self.add(cluster, Chore::DaemonSets),
            ("apps", "deployments") => {
                self.add(cluster, Chore::Deployments(namespace()));
                self.add(cluster, Chore::Budgets(namespace()));
            }
            ("apps", "replicasets" | "statefulsets") | ("", "replicationcontrollers") => {
                self.add(cluster, Chore::Budgets(namespace()));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(name: &str) -> Task {
        (ObjectKey::new("default", "bar"), Chore::Node(name.to_owned()))
    }

    #[test]
    fn a_chore_waits_once_and_comes_in_time() {
        let mut queue = Queue::default();
        let seconds = Duration::from_secs;
        queue.set_deadline(task("a"), Some(seconds(10)));
        queue.set_deadline(task("a"), Some(seconds(5)));
        queue.set_deadline(task("b"), Some(seconds(7)));
        assert_eq!(queue.take(seconds(1)), Err(Some(seconds(5))));
        assert_eq!(queue.take(seconds(6)), Ok(task("a")));
        assert_eq!(queue.take(seconds(6)), Err(Some(seconds(7))));
        queue.set_deadline(task("b"), None);
        assert_eq!(queue.take(seconds(60)), Err(None));
        queue.set_deadline(task("c"), Some(seconds(61)));
        queue.set_deadline(task("c"), Some(seconds(61)));
        assert_eq!(queue.take(seconds(61)), Ok(task("c")));
        assert!(queue.order.is_empty() && queue.deadlines.is_empty());
    }
}
