//! One server's policy: the index of its roles and bindings, made when somebody outside
//! `system:masters` first asks for something, and kept up to date by commits from then on.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;

use super::defaults;
use super::index::{GROUP, Index, kind_of};
use crate::store::{Event, ResourceKey, Store};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Policy {
    /// Written when the index is made and by commits of roles and bindings, read by requests.
    index: RwLock<Option<Index>>,
    /// Whether the default roles are stored as objects; otherwise they lie below the objects.
    has_defaults: AtomicBool,
}

impl Policy {
    /// Says that the default roles and bindings are stored, so that their objects decide.
    pub(super) fn defaults_are_stored(&self) {
        self.has_defaults.store(true, Ordering::Relaxed);
        *self.index.write() = None;
    }

    /// Looks at the index.
    pub(super) fn with<T>(&self, store: &Store, look: impl FnOnce(&Index) -> T) -> T {
        if let Some(index) = &*self.index.read() {
            return look(index);
        }
        let mut index = self.index.write();
        let index = index.get_or_insert_with(|| {
            let has_defaults = self.has_defaults.load(Ordering::Relaxed);
            Index::read(store, (!has_defaults).then(defaults::index))
        });
        look(index)
    }

    /// Takes a commit into account. The object's present state is read and not the event's: of two
    /// commits the later one may come here first.
    pub(crate) fn committed(&self, store: &Store, resource: &ResourceKey, event: &Event) {
        if *resource.group != *GROUP {
            return;
        }
        let Some(kind) = kind_of(&resource.plural) else { return };
        let mut index = self.index.write();
        let Some(index) = &mut *index else { return };
        let place = (&*event.entry.meta.namespace, &*event.entry.meta.name);
        let entry = store.get(resource, place.0, place.1);
        index.set(kind, place, entry.as_deref());
    }
}
