//! What a task has written: the other half of the "have the caches seen it?" check.
//!
//! Two memories. A task that runs inside [`recording`] learns what its own calls wrote. Process
//! wide, [`newest`] tells the highest resourceVersion that any client of this process has written
//! for an object lately, so that a patch can tell a stale copy without asking the server.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use parking_lot::Mutex;

/// One successful write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// API group of the object.
    pub group: String,
    /// Kind of the object.
    pub kind: String,
    /// resourceVersion that the write returned.
    pub resource_version: u64,
}

tokio::task_local! {
    static WRITTEN: RefCell<Vec<Written>>;
}

/// Runs a future and returns, beside its output, the highest resourceVersion that `Client` calls
/// inside it have written for each group and kind. Tasks that it spawns are not part of it.
pub async fn recording<F: Future>(future: F) -> (F::Output, Vec<Written>) {
    WRITTEN
        .scope(RefCell::default(), async {
            let output = future.await;
            (output, WRITTEN.with(RefCell::take))
        })
        .await
}

/// Notes a successful write: for the task that made it and for [`newest`].
pub(super) fn record(group: &str, kind: &str, uid: &str, resource_version: u64) {
    // Outside `recording` nobody wants to know.
    let _ = WRITTEN.try_with(|written| {
        let mut written = written.borrow_mut();
        match written.iter_mut().find(|entry| entry.kind == kind && entry.group == group) {
            Some(entry) => entry.resource_version = entry.resource_version.max(resource_version),
            None => written.push(Written {
                group: group.to_owned(),
                kind: kind.to_owned(),
                resource_version,
            }),
        }
    });
    if !uid.is_empty() {
        let hash = NEWEST.hasher.hash_one(uid);
        let mut shard = NEWEST.shard(hash).lock();
        if shard.len() >= SHARD_ENTRIES_MAX {
            shard.clear();
        }
        let newest = shard.entry(hash).or_default();
        *newest = (*newest).max(resource_version);
    }
}

/// The highest resourceVersion that this process wrote for the object with this uid. `None` if it
/// wrote none, or has forgotten: a hint that saves a read, never a proof.
pub(crate) fn newest(uid: &str) -> Option<u64> {
    let hash = NEWEST.hasher.hash_one(uid);
    NEWEST.shard(hash).lock().get(&hash).copied()
}

const SHARDS: usize = 32;
/// A full shard forgets everything, which costs each of its objects one read.
const SHARD_ENTRIES_MAX: usize = 8192;

struct Newest {
    hasher: RandomState,
    /// Hash of a uid -> resourceVersion. Written by `record`, read by `newest`. Two uids of one
    /// hash cost a needless read.
    shards: [Mutex<HashMap<u64, u64>>; SHARDS],
}

impl Newest {
    fn shard(&self, hash: u64) -> &Mutex<HashMap<u64, u64>> {
        &self.shards[(hash >> 32) as usize % SHARDS]
    }
}

static NEWEST: LazyLock<Newest> = LazyLock::new(|| Newest {
    hasher: RandomState::new(),
    shards: std::array::from_fn(|_| Mutex::default()),
});

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn recording_keeps_the_highest_version_of_each_kind() {
        let ((), written) = recording(async {
            record("g", "A", "u1", 5);
            record("g", "A", "u2", 4);
            record("", "A", "", 9);
        })
        .await;
        let found: Vec<_> =
            written.iter().map(|w| (w.group.as_str(), w.resource_version)).collect();
        assert_eq!(found, [("g", 5), ("", 9)]);
        assert_eq!((newest("u1"), newest("u2"), newest("u3")), (Some(5), Some(4), None));
    }

    #[tokio::test]
    async fn writes_outside_of_recording_are_not_kept() {
        record("g", "A", "", 5);
        let ((), written) = recording(async {}).await;
        assert!(written.is_empty());
    }
}
