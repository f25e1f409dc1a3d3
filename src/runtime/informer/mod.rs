//! A typed, indexed, live copy of one resource. Decoded once, shared as `Arc<K>`.
//!
//! `kube_runtime::watcher` is not used: its store has no indexes, it hides bookmarks (which tell
//! how far the copy has come), its back-off runs on another clock, and it decodes managed fields,
//! a third of the bytes, that nobody here reads. What it does on the wire is kept: a streaming
//! list where the server offers one (KEP-3157), list and watch elsewhere, resuming from the last
//! resourceVersion, listing anew after `410 Gone`. (client-go tools/cache/reflector.go)
//!
//! An object that cannot be decoded is left out, loudly: it must not keep the others from coming.
//! A change is seen in this order: copy and indexes, handlers, `wait_for`.

mod copy;
mod lines;
mod progress;
mod reflector;

use std::borrow::Cow;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::client::{Client, ObjectKey, Target};
use crate::clock::Clock;
use copy::Copy;
pub(crate) use progress::Progress;

/// What happened to an object. `old` and `new` are both set for an update.
pub struct Change<K> {
    /// State before; `None` when the object appeared.
    pub old: Option<Arc<K>>,
    /// State now; `None` when the object went.
    pub new: Option<Arc<K>>,
}

impl<K> Change<K> {
    /// The newest known state.
    pub fn object(&self) -> &Arc<K> {
        self.new.as_ref().or(self.old.as_ref()).expect("a change has an old or a new object")
    }
}

/// A live copy of one resource. Cheap to clone; all clones are one.
pub struct Informer<K> {
    shared: Arc<Shared<K>>,
}

type Handler<K> = Box<dyn Fn(&Change<K>) + Send + Sync>;

struct Shared<K> {
    source: Source,
    /// Takes out of an object what nobody reads.
    trim: fn(&mut K),
    /// Written by the reflector under `handlers`, read by everybody.
    copy: RwLock<Copy<K>>,
    /// Held while a change is applied and told, so that every handler sees every change once and
    /// in order. Taken before `copy`.
    handlers: Mutex<Vec<Handler<K>>>,
    progress: Arc<Progress>,
    /// Counts changes; made when somebody first asks, because most copies are never asked.
    version: OnceLock<watch::Sender<u64>>,
}

/// What an informer copies.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) target: Target<'static>,
    /// Namespace; all if empty.
    pub(crate) namespace: Cow<'static, str>,
    /// Label selector; all if empty.
    pub(crate) label_selector: &'static str,
}

impl<K> Clone for Informer<K> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<K> Informer<K> {
    /// An empty copy; [`Informer::run`] fills it.
    pub(crate) fn new(source: Source) -> Self {
        Self::trimmed(source, |_| {})
    }

    /// An empty copy of a kind in one namespace, in all if it is empty.
    pub(crate) fn of_namespace(namespace: &str) -> Self
    where
        K: kube::Resource<DynamicType = ()>,
    {
        let target = Target::of::<K>(&());
        Self::new(Source { target, namespace: namespace.to_owned().into(), label_selector: "" })
    }

    /// An empty copy of objects from which `trim` takes what nobody reads.
    pub(crate) fn trimmed(source: Source, trim: fn(&mut K)) -> Self {
        Self {
            shared: Arc::new(Shared {
                source,
                trim,
                copy: RwLock::new(Copy::new()),
                handlers: Mutex::default(),
                progress: Arc::default(),
                version: OnceLock::new(),
            }),
        }
    }

    /// How far the copy has come, without its type.
    pub(crate) fn progress(&self) -> &Arc<Progress> {
        &self.shared.progress
    }
}

impl<K: kube::Resource> Informer<K> {
    /// Registers an index. `extract` gives the values under which an object is found; it must
    /// depend on the object alone. Registering the same name again is a no-op.
    pub fn add_index(&self, name: &'static str, extract: fn(&K) -> Vec<String>) {
        self.shared.copy.write().add_index(name, extract);
    }

    /// An object by namespace and name.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.shared.copy.read().get(namespace, name).cloned()
    }

    /// All objects, ordered by namespace and name.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.shared.copy.read().iter().cloned().collect()
    }

    /// Objects under a value of an index, ordered by namespace and name. Index values that speak
    /// of one namespace must contain it (`ns/name`). An index that nobody registered is empty.
    pub fn by_index(&self, index: &'static str, value: &str) -> Vec<Arc<K>> {
        self.shared.copy.read().by_index(index, value).to_vec()
    }

    /// Number of objects.
    pub fn len(&self) -> usize {
        self.shared.copy.read().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until the informer has seen `resource_version` (through an event or a bookmark).
    pub async fn wait_for(&self, resource_version: u64) {
        self.shared.progress.wait_for(resource_version).await;
    }

    /// Waits for the first full list.
    pub async fn synced(&self) {
        self.shared.progress.synced().await;
    }

    /// A counter that moves with every change: the dashboard's dirty mark.
    pub fn version(&self) -> watch::Receiver<u64> {
        self.shared.version.get_or_init(|| watch::Sender::new(0)).subscribe()
    }

    /// Calls `handler` for every change, after the copy is updated, in order. Objects that are
    /// already there are told first, as appeared. `handler` runs in the informer's task: it must
    /// be quick and must not register handlers with the same informer.
    pub fn on_change(&self, handler: impl Fn(&Change<K>) + Send + Sync + 'static) {
        let mut handlers = self.shared.handlers.lock();
        for object in self.list() {
            handler(&Change { old: None, new: Some(object) });
        }
        handlers.push(Box::new(handler));
    }

    /// Fills the copy and keeps it current until `stop` is cancelled.
    pub(crate) async fn run(self, client: Client, clock: Clock, stop: CancellationToken)
    where
        K: DeserializeOwned,
    {
        stop.run_until_cancelled(reflector::follow(self, client, clock)).await;
    }

    /// Applies a new or changed object.
    fn upsert(&self, mut object: K) {
        (self.shared.trim)(&mut object);
        let handlers = self.shared.handlers.lock();
        self.store(Arc::new(object), &handlers);
    }

    fn store(&self, object: Arc<K>, handlers: &[Handler<K>]) {
        let version = &object.meta().resource_version;
        let old = {
            let mut copy = self.shared.copy.write();
            let meta = object.meta();
            let known = copy.get(namespace_of(meta), name_of(meta));
            // A resumed watch may repeat what is known.
            if version.is_some() && known.is_some_and(|old| old.meta().resource_version == *version)
            {
                return;
            }
            copy.insert(object.clone())
        };
        self.tell(&Change { old, new: Some(object) }, handlers);
    }

    /// Applies a deletion.
    fn remove(&self, object: &K) {
        let handlers = self.shared.handlers.lock();
        let meta = object.meta();
        self.forget(namespace_of(meta), name_of(meta), &handlers);
    }

    fn forget(&self, namespace: &str, name: &str, handlers: &[Handler<K>]) {
        let old = self.shared.copy.write().remove(namespace, name);
        if old.is_some() {
            self.tell(&Change { old, new: None }, handlers);
        }
    }

    /// Applies a full list: what is not in it is gone.
    fn replace(&self, objects: Vec<K>) {
        let handlers = self.shared.handlers.lock();
        let gone: Vec<Arc<K>> = {
            let key = |object: &K| {
                (namespace_of(object.meta()).to_owned(), name_of(object.meta()).to_owned())
            };
            let copy = self.shared.copy.read();
            let kept: HashSet<_> = match copy.len() {
                0 => HashSet::new(),
                _ => objects.iter().map(key).collect(),
            };
            copy.iter().filter(|old| !kept.contains(&key(old))).cloned().collect()
        };
        for old in gone {
            let meta = old.meta();
            self.forget(namespace_of(meta), name_of(meta), &handlers);
        }
        for mut object in objects {
            (self.shared.trim)(&mut object);
            self.store(Arc::new(object), &handlers);
        }
    }

    fn tell(&self, change: &Change<K>, handlers: &[Handler<K>]) {
        if let Some(version) = self.shared.version.get() {
            version.send_modify(|count| *count += 1);
        }
        for handler in handlers {
            // Handlers are others' code: a broken one must not stop the copy.
            let told = catch_unwind(AssertUnwindSafe(|| handler(change)));
            if told.is_err() {
                let object = ObjectKey::of(change.object().as_ref());
                error!(kind = %self.shared.source.target.kind, %object, "change handler panicked");
            }
        }
    }
}

type ObjectMeta = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

fn namespace_of(meta: &ObjectMeta) -> &str {
    meta.namespace.as_deref().unwrap_or_default()
}

fn name_of(meta: &ObjectMeta) -> &str {
    meta.name.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests;
