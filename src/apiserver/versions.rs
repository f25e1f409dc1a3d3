//! The versions of one resource: which one is stored, and what each shows of what is stored.
//!
//! Objects are stored in one version, the storage version, as long as nobody changes it. A stored
//! object is shown as it is if it was written under the very schema that is asked for, and
//! conversion changes no more than apiVersion; [`super::conversion`] does the rest.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::machinery::definition::{Conversion, ConvertObject, Origin, ResourceDefinition};
use crate::machinery::gvk::join_api_version;
use crate::store::Entry;

/// Source of [`Versions::epoch`].
static EPOCH: AtomicU64 = AtomicU64::new(1);

/// One version of a resource, served or not.
#[derive(Clone)]
pub(crate) struct Version {
    pub(crate) definition: Arc<ResourceDefinition>,
    /// `apiVersion` of its objects.
    pub(crate) api_version: Arc<str>,
    /// `{"apiVersion":"v1","kind":"ConfigMap",`: how its objects begin.
    pub(crate) prefix: Bytes,
    /// Equal for definitions under which objects have the same fields, defaults and selectable
    /// fields.
    pub(crate) fingerprint: u64,
}

/// All versions of one resource.
pub(crate) struct Versions {
    all: Vec<Version>,
    storage: usize,
    /// Changes whenever watches of the resource have to start anew.
    pub(crate) epoch: u64,
    /// What stored objects need to be shown.
    kind: Kind,
    /// What was converted last, oldest first, so that all watchers of an event share one
    /// conversion. Read and written by conversions, for a moment.
    recent: Mutex<VecDeque<Converted>>,
}

/// A stored object as a version shows it.
struct Converted {
    stored: Weak<Entry>,
    position: usize,
    shown: Arc<Entry>,
}

/// Conversions that are remembered.
const RECENT_MAX: usize = 64;

/// What conversion between versions does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// One of Kubernetes' own: only apiVersion changes, and schemas never do.
    Fixed,
    /// apiVersion changes, and each version has its schema.
    Renames,
    /// Objects change.
    Converts,
}

impl Version {
    fn new(definition: ResourceDefinition) -> Self {
        let api_version = join_api_version(&definition.group, &definition.version);
        let prefix = format!(r#"{{"apiVersion":"{api_version}","kind":"{}","#, definition.kind);
        let mut hasher = DefaultHasher::new();
        definition.schema.fingerprint().hash(&mut hasher);
        definition.selectable_fields.hash(&mut hasher);
        Self {
            fingerprint: hasher.finish(),
            api_version: api_version.into(),
            prefix: prefix.into(),
            definition: Arc::new(definition),
        }
    }
}

impl Versions {
    /// The versions of a resource: `definitions`, and those that were there before and are not
    /// replaced.
    pub(crate) fn new(before: Option<&Self>, definitions: Vec<ResourceDefinition>) -> Self {
        let mut all: Vec<Version> = before.map(|before| before.all.clone()).unwrap_or_default();
        for definition in definitions {
            let version = Version::new(definition);
            match all.iter_mut().find(|it| it.api_version == version.api_version) {
                Some(place) => *place = version,
                None => all.push(version),
            }
        }
        let storage = all.iter().position(|it| it.definition.serving.stored).unwrap_or(0);
        let own = &all[storage].definition;
        let kind = match (&own.serving.conversion, own.strategy.convert, own.origin) {
            (Conversion::Webhook(_), ..) | (_, Some(_), _) => Kind::Converts,
            (Conversion::None, None, Origin::BuiltIn) => Kind::Fixed,
            (Conversion::None, None, Origin::Custom) => Kind::Renames,
        };
        let epoch = EPOCH.fetch_add(1, Ordering::Relaxed);
        Self { all, storage, epoch, kind, recent: Mutex::default() }
    }

    /// The same versions, of a resource that is about to go.
    pub(crate) fn terminating(&self) -> Self {
        let mut all = self.all.clone();
        for version in &mut all {
            let mut definition = version.definition.as_ref().clone();
            definition.serving.terminating = true;
            version.definition = Arc::new(definition);
        }
        let recent = Mutex::default();
        Self { all, storage: self.storage, epoch: self.epoch, kind: self.kind, recent }
    }

    /// In the order in which they were given.
    pub(crate) fn all(&self) -> &[Version] {
        &self.all
    }

    /// The version in which objects are stored.
    pub(crate) fn storage(&self) -> &Version {
        &self.all[self.storage]
    }

    pub(crate) fn storage_position(&self) -> usize {
        self.storage
    }

    /// The version with this apiVersion.
    pub(crate) fn named(&self, api_version: &str) -> Option<&Version> {
        self.all.iter().find(|it| &*it.api_version == api_version)
    }

    /// The version in which an object is stored; `None` for one that is no version any more.
    pub(crate) fn of(&self, entry: &Entry) -> Option<&Version> {
        self.all.iter().find(|it| entry.prefix() == &it.prefix[..])
    }

    /// How versions are converted, if not by kinds' own functions.
    pub(crate) fn conversion(&self) -> &Conversion {
        &self.storage().definition.serving.conversion
    }

    /// The kind's own conversion.
    pub(crate) fn native(&self) -> Option<ConvertObject> {
        self.storage().definition.strategy.convert
    }

    /// Whether an object says what a version shows of it, apiVersion aside.
    pub(crate) fn shows(&self, position: usize, entry: &Entry) -> bool {
        let version = &self.all[position];
        match self.kind {
            Kind::Fixed => true,
            Kind::Renames => entry.definition == version.fingerprint,
            Kind::Converts => {
                entry.definition == version.fingerprint && entry.prefix() == &version.prefix[..]
            }
        }
    }

    /// What a stored object was converted to a moment ago.
    pub(crate) fn recall(&self, position: usize, stored: &Arc<Entry>) -> Option<Arc<Entry>> {
        let recent = self.recent.lock();
        let same = |it: &&Converted| {
            it.position == position && std::ptr::eq(it.stored.as_ptr(), Arc::as_ptr(stored))
        };
        recent.iter().rev().find(same).map(|it| it.shown.clone())
    }

    /// Remembers a conversion.
    pub(crate) fn remember(&self, position: usize, stored: &Arc<Entry>, shown: Arc<Entry>) {
        let mut recent = self.recent.lock();
        if recent.len() == RECENT_MAX {
            recent.pop_front();
        }
        recent.push_back(Converted { stored: Arc::downgrade(stored), position, shown });
    }
}
