//! The feed that the garbage collector lives on: which owners went, which deletions wait for
//! dependents, which objects were born with owners.
//!
//! Events are hints, not truth: a collector that reads one looks at the store's indexes
//! ([`crate::store::Store::dependents`], [`crate::store::Store::exists_uid`]) and decides there.
//! One subscriber per server; without a subscriber nothing is kept. A feed that grows past its
//! bound is emptied and replaced by one [`GcEvent::Resync`].

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::store::{Entry, ObjectRef};

/// Events a feed holds before it falls back to [`GcEvent::Resync`].
const CAPACITY: usize = 65_536;

/// How the dependents of an object whose deletion was requested are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DependentPolicy {
    /// The object carries the `foregroundDeletion` finalizer: dependents go first.
    Foreground,
    /// The object carries the `orphan` finalizer: dependents lose their owner reference.
    Orphan,
}

/// Something the garbage collector may have to act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GcEvent {
    /// An object is gone; dependents that name its uid may have to go, too.
    Deleted {
        /// What it was.
        object: ObjectRef,
        /// Its uid.
        uid: String,
    },
    /// An object waits for its dependents: its deletion was requested with a policy that put a
    /// garbage collector's finalizer on it.
    DeletionRequested {
        /// Which object.
        object: ObjectRef,
        /// Its uid.
        uid: String,
        /// What to do with its dependents.
        policy: DependentPolicy,
    },
    /// An object was created with owner references, or got other ones; its owners may be absent.
    CreatedWithOwners {
        /// Which object.
        object: ObjectRef,
    },
    /// Events were lost because the collector was too slow: look at everything.
    Resync,
}

/// Sending half, kept by the server.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    shared: Mutex<Option<Arc<Shared>>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Written by the server's commits, drained by the subscriber.
    queue: Mutex<Queue>,
    notify: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<GcEvent>,
    closed: bool,
}

/// Receiving half, held by the garbage collector.
#[derive(Debug)]
pub struct GcReceiver {
    shared: Arc<Shared>,
}

impl Feed {
    /// Starts a subscription; an earlier one ends.
    pub(crate) fn subscribe(&self) -> GcReceiver {
        let shared = Arc::new(Shared::default());
        if let Some(earlier) = self.shared.lock().replace(shared.clone()) {
            earlier.close();
        }
        GcReceiver { shared }
    }

    /// Tells the subscriber, if there is one.
    pub(crate) fn push(&self, event: GcEvent) {
        let guard = self.shared.lock();
        let Some(shared) = guard.as_ref() else { return };
        let mut queue = shared.queue.lock();
        if queue.events.len() >= CAPACITY {
            queue.events.clear();
            queue.events.push_back(GcEvent::Resync);
        } else {
            queue.events.push_back(event);
        }
        drop(queue);
        shared.notify.notify_one();
    }

    /// Ends the subscription.
    pub(crate) fn close(&self) {
        if let Some(shared) = self.shared.lock().take() {
            shared.close();
        }
    }

    /// Reports what a write means for the garbage collector.
    pub(crate) fn written(&self, object: &ObjectRef, entry: &Entry, previous: Option<&Entry>) {
        if self.shared.lock().is_none() {
            return;
        }
        let meta = &entry.meta;
        let owners_changed = match previous {
            Some(before) => before.meta.owner_references != meta.owner_references,
            None => true,
        };
        if owners_changed && !meta.owner_references.is_empty() {
            self.push(GcEvent::CreatedWithOwners { object: object.clone() });
        }
        if let (Some(_), Some(policy)) = (&meta.deletion_timestamp, policy_of(entry)) {
            self.push(GcEvent::DeletionRequested {
                object: object.clone(),
                uid: meta.uid.to_string(),
                policy,
            });
        }
    }
}

/// The policy that an object's finalizers ask for.
fn policy_of(entry: &Entry) -> Option<DependentPolicy> {
    let has = |name: &str| entry.meta.finalizers.iter().any(|finalizer| **finalizer == *name);
    if has(ORPHAN_FINALIZER) {
        Some(DependentPolicy::Orphan)
    } else if has(FOREGROUND_FINALIZER) {
        Some(DependentPolicy::Foreground)
    } else {
        None
    }
}

/// Finalizer of an object that waits until its dependents have lost their owner reference.
pub const ORPHAN_FINALIZER: &str = "orphan";
/// Finalizer of an object that waits until its blocking dependents are gone.
pub const FOREGROUND_FINALIZER: &str = "foregroundDeletion";

impl Shared {
    fn close(&self) {
        self.queue.lock().closed = true;
        self.notify.notify_one();
    }
}

impl GcReceiver {
    /// The next event; `None` once the server shut down or somebody else subscribed.
    pub async fn recv(&mut self) -> Option<GcEvent> {
        loop {
            let notified = self.shared.notify.notified();
            {
                let mut queue = self.shared.queue.lock();
                if let Some(event) = queue.events.pop_front() {
                    return Some(event);
                }
                if queue.closed {
                    return None;
                }
            }
            notified.await;
        }
    }
}
