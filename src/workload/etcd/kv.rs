//! The keys of an etcd: every revision since the last compaction.
//! (etcd v3.6: server/storage/mvcc)
//!
//! The store is pure and synchronous. It never forgets on its own: callers compact, or run into
//! the [`QUOTA_BYTES`].

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use super::errors::EtcdError;
use super::messages::KeyValue;

/// Bytes that a database may have. etcd's own default is 2 GiB, for one database a machine.
pub(super) const QUOTA_BYTES: usize = 16 * 1024 * 1024;
/// What etcd charges for a key and value besides their bytes.
/// (etcd v3.6: server/storage/quota.go)
const OVERHEAD_BYTES: usize = 256;
/// Bytes of an empty database file, and its page.
const EMPTY_BYTES: usize = 20 * 1024;
const PAGE_BYTES: usize = 4096;

/// Keys and their versions.
#[derive(Debug)]
pub(super) struct Store {
    /// Versions by key, oldest first, none empty.
    keys: BTreeMap<Bytes, Vec<Version>>,
    revision: i64,
    /// Revision of the last compaction; reads below fail.
    compacted: i64,
    /// Bytes of all versions.
    used_bytes: usize,
    /// Bytes of the database file: grows with use, shrinks by defragmentation only.
    file_bytes: usize,
}

#[derive(Clone, Debug)]
struct Version {
    modified: i64,
    created: i64,
    /// Changes since the creation; 0 for a deletion.
    version: i64,
    value: Bytes,
}

/// The keys of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyRange<'a> {
    /// First key.
    pub(super) key: &'a [u8],
    /// Empty for one key, `\0` for all from `key` on, else the key after the last.
    pub(super) end: &'a [u8],
}

/// Bounds of an ordered map.
type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

impl KeyRange<'_> {
    /// Bounds for an ordered map; `None` if nothing can lie between them.
    fn bounds(&self) -> Option<Bounds<'_>> {
        match self.end {
            [] => Some((Bound::Included(self.key), Bound::Included(self.key))),
            [0] => Some((Bound::Included(self.key), Bound::Unbounded)),
            end if self.key < end => Some((Bound::Included(self.key), Bound::Excluded(end))),
            _ => None,
        }
    }

    /// Whether a key is among them.
    pub(super) fn contains(&self, key: &[u8]) -> bool {
        match self.end {
            [] => key == self.key,
            [0] => key >= self.key,
            end => key >= self.key && key < end,
        }
    }
}

/// What a read found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Keys and values in order of keys, as many as were wanted.
    pub(super) pairs: Vec<KeyValue>,
    /// Number of keys there are.
    pub(super) count: usize,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            keys: BTreeMap::new(),
            revision: 1,
            compacted: -1,
            used_bytes: 0,
            file_bytes: EMPTY_BYTES,
        }
    }
}

impl Store {
    /// Present revision; a fresh store is at 1.
    pub(super) fn revision(&self) -> i64 {
        self.revision
    }

    /// Bytes of the database file.
    pub(super) fn file_bytes(&self) -> usize {
        self.file_bytes
    }

    /// Bytes of the file that are in use.
    pub(super) fn used_bytes(&self) -> usize {
        pages(self.used_bytes)
    }

    /// Whether a write of so many bytes has room, by etcd's reckoning.
    pub(super) fn has_room(&self, cost: usize) -> bool {
        self.file_bytes + cost < QUOTA_BYTES
    }

    /// Reads at a revision, 0 for the present one. At most `limit` pairs are answered, 0 for all.
    pub(super) fn range(
        &self,
        range: KeyRange<'_>,
        revision: i64,
        limit: usize,
    ) -> Result<Found, EtcdError> {
        let revision = self.readable(revision)?;
        let mut found = Found::default();
        self.each(range, revision, |key, version| {
            found.count += 1;
            if limit == 0 || found.pairs.len() < limit {
                found.pairs.push(pair(key, version));
            }
        });
        Ok(found)
    }

    /// Number of keys at a revision, 0 for the present one.
    pub(super) fn count(&self, range: KeyRange<'_>, revision: i64) -> Result<usize, EtcdError> {
        let revision = self.readable(revision)?;
        let mut count = 0;
        self.each(range, revision, |_, _| count += 1);
        Ok(count)
    }

    /// Whether a revision can be read.
    pub(super) fn readable(&self, revision: i64) -> Result<i64, EtcdError> {
        match revision {
            ..=0 => Ok(self.revision),
            future if future > self.revision => Err(EtcdError::FutureRevision),
            past if past < self.compacted => Err(EtcdError::Compacted),
            known => Ok(known),
        }
    }

    /// Starts a change. What it writes shares one revision, and is visible to its own reads.
    pub(super) fn write(&mut self) -> Write<'_> {
        Write { revision: self.revision + 1, store: self, is_changed: false }
    }

    /// Forgets what no read at or after `revision` can see.
    pub(super) fn compact(&mut self, revision: i64) -> Result<(), EtcdError> {
        if revision <= self.compacted {
            return Err(EtcdError::Compacted);
        }
        if revision > self.revision {
            return Err(EtcdError::FutureRevision);
        }
        self.compacted = revision;
        self.keys.retain(|_, versions| {
            let seen = versions.partition_point(|version| version.modified <= revision);
            let keep = match seen.checked_sub(1) {
                Some(last) if versions[last].version == 0 => seen,
                Some(last) => last,
                None => 0,
            };
            versions.drain(..keep);
            !versions.is_empty()
        });
        self.used_bytes = self
            .keys
            .iter()
            .flat_map(|(key, versions)| versions.iter().map(|version| cost(key, &version.value)))
            .sum();
        Ok(())
    }

    /// Gives the file's free space back.
    pub(super) fn defragment(&mut self) {
        self.file_bytes = pages(self.used_bytes);
    }

    fn each(&self, range: KeyRange<'_>, revision: i64, mut visit: impl FnMut(&Bytes, &Version)) {
        let Some(bounds) = range.bounds() else { return };
        for (key, versions) in self.keys.range::<[u8], _>(bounds) {
            let seen = versions.partition_point(|version| version.modified <= revision);
            match seen.checked_sub(1).map(|last| &versions[last]) {
                Some(version) if version.version > 0 => visit(key, version),
                _ => {}
            }
        }
    }

    fn push(&mut self, key: &[u8], version: Version) {
        self.used_bytes += cost(key, &version.value);
        self.file_bytes = self.file_bytes.max(pages(self.used_bytes));
        match self.keys.get_mut(key) {
            Some(versions) => versions.push(version),
            None => {
                self.keys.insert(Bytes::copy_from_slice(key), vec![version]);
            }
        }
    }
}

/// A change in the making. It is complete at every moment: there is nothing to roll back, because
/// callers check before they write.
pub(super) struct Write<'a> {
    store: &'a mut Store,
    /// Revision of everything written.
    revision: i64,
    is_changed: bool,
}

impl Write<'_> {
    /// Revision after the change.
    pub(super) fn revision(&self) -> i64 {
        if self.is_changed { self.revision } else { self.store.revision }
    }

    /// The store as the change sees it.
    pub(super) fn store(&self) -> &Store {
        self.store
    }

    /// Sets a key.
    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) {
        let last = self.store.keys.get(key).and_then(|versions| versions.last());
        let last = last.filter(|last| last.version > 0);
        let version = Version {
            modified: self.revision,
            created: last.map_or(self.revision, |last| last.created),
            version: last.map_or(1, |last| last.version + 1),
            value: Bytes::copy_from_slice(value),
        };
        self.push(key, version);
    }

    /// Deletes keys; answers how many there were.
    pub(super) fn delete(&mut self, range: KeyRange<'_>) -> usize {
        let mut doomed = Vec::new();
        self.store.each(range, self.revision(), |key, _| doomed.push(key.clone()));
        for key in &doomed {
            let tombstone =
                Version { modified: self.revision, created: 0, version: 0, value: Bytes::new() };
            self.push(key, tombstone);
        }
        doomed.len()
    }

    fn push(&mut self, key: &[u8], version: Version) {
        self.store.push(key, version);
        self.store.revision = self.revision;
        self.is_changed = true;
    }
}

/// What a write of this key and value costs.
pub(super) fn cost(key: &[u8], value: &[u8]) -> usize {
    OVERHEAD_BYTES + key.len() + value.len()
}

/// Whole pages, and those that an empty file has.
fn pages(bytes: usize) -> usize {
    EMPTY_BYTES + bytes.div_ceil(PAGE_BYTES) * PAGE_BYTES
}

fn pair(key: &Bytes, version: &Version) -> KeyValue {
    KeyValue {
        key: key.clone(),
        create_revision: version.created,
        mod_revision: version.modified,
        version: version.version,
        value: version.value.clone(),
        lease: 0,
    }
}
