//! Events in protobuf, encoded once for all who watch.
//!
//! JSON watchers get the stored bytes. Protobuf has to be made of them, and whoever wakes up for a
//! commit wants the same frame: the first makes it, the others wait for it or find it. The newest
//! frames are kept, as few as are looked for at once; whoever comes later makes its own. They keep
//! no object alive, and go when nobody watches in protobuf any more.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use parking_lot::Mutex;

use super::negotiate::Shape;
use crate::store::Entry;

/// Frames that are kept.
const FRAMES_MAX: usize = 64;
/// Bytes of the frames that are kept, but for the newest, where the history is not smaller.
const BYTES_MAX: usize = 1024 * 1024;

/// What makes a frame what it is.
pub(super) struct FrameOf {
    /// The object that the event shows, or that it shows at another revision. Its address stays
    /// its own as long as this is held, even when the object is gone.
    pub(super) entry: Weak<Entry>,
    /// Revision of the event.
    pub(super) revision: u64,
    /// Type of the event, e.g. `ADDED`.
    pub(super) kind: &'static str,
    /// `Resource::serial` of what is watched: its version decides how the object is shown.
    pub(super) resource: u64,
    pub(super) shape: Shape,
}

impl FrameOf {
    fn is(&self, other: &Self) -> bool {
        self.revision == other.revision
            && self.kind == other.kind
            && self.shape == other.shape
            && Weak::ptr_eq(&self.entry, &other.entry)
            && self.resource == other.resource
    }
}

/// A frame that somebody has made or is making.
type Cell = Arc<OnceLock<Bytes>>;

/// The frames of a server, which belong to those who watch.
#[derive(Default)]
pub(super) struct Shared {
    current: Mutex<Weak<Frames>>,
}

impl Shared {
    /// The frames that all share who hold them now. No more than `history_bytes` are kept: a server
    /// with a small history is meant to be small.
    pub(super) fn join(&self, history_bytes: usize) -> Arc<Frames> {
        let mut current = self.current.lock();
        current.upgrade().unwrap_or_else(|| {
            let frames = Arc::new(Frames::new(history_bytes));
            *current = Arc::downgrade(&frames);
            frames
        })
    }
}

/// The newest frames of a server.
pub(super) struct Frames {
    /// Bytes that are kept, but for the newest frame.
    bytes_max: usize,
    /// Newest last. Watchers write and read; the lock is held to find a frame, not to make it.
    recent: Mutex<VecDeque<(FrameOf, Cell)>>,
}

impl Frames {
    fn new(history_bytes: usize) -> Self {
        Self { bytes_max: history_bytes.min(BYTES_MAX), recent: Mutex::default() }
    }

    /// The frame of an event; `make` is called if nobody made it.
    pub(super) fn get(&self, of: FrameOf, make: impl FnOnce() -> Vec<u8>) -> Bytes {
        let cell = self.cell(of);
        let mut is_new = false;
        let frame = cell.get_or_init(|| {
            is_new = true;
            // Nothing is kept of what the buffer has beyond its end.
            make().into_boxed_slice().into()
        });
        if is_new {
            self.trim();
        }
        frame.clone()
    }

    fn cell(&self, of: FrameOf) -> Cell {
        let mut recent = self.recent.lock();
        // What is looked for is most often the newest.
        if let Some((_, cell)) = recent.iter().rev().find(|(known, _)| known.is(&of)) {
            return cell.clone();
        }
        let cell = Cell::default();
        recent.push_back((of, cell.clone()));
        if recent.len() > FRAMES_MAX {
            recent.pop_front();
        }
        cell
    }

    /// Drops the oldest frames until the others are within bounds.
    fn trim(&self) {
        let mut recent = self.recent.lock();
        let weight = |(_, cell): &(FrameOf, Cell)| cell.get().map_or(0, Bytes::len);
        let mut bytes: usize = recent.iter().map(weight).sum();
        while bytes > self.bytes_max && recent.len() > 1 {
            bytes -= recent.pop_front().as_ref().map_or(0, weight);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::machinery::meta::Meta;
    use crate::store::Draft;

    fn entry(size: usize) -> Arc<Entry> {
        let draft = Draft {
            prefix: Bytes::from_static(b"{"),
            metadata: Vec::new(),
            body: vec![b' '; size],
            meta: Meta::default(),
            fields: Box::default(),
            definition: 0,
        };
        Arc::new(draft.at(1))
    }

    /// Frames, and how many were made.
    struct Counted {
        frames: Arc<Frames>,
        made: Cell<usize>,
    }

    impl Counted {
        fn with_history(bytes: usize) -> Self {
            Self { frames: Shared::default().join(bytes), made: Cell::default() }
        }

        fn get(&self, entry: &Arc<Entry>, revision: u64, kind: &'static str) -> Bytes {
            let entry_size = entry.raw.len();
            let entry = Arc::downgrade(entry);
            let of = FrameOf { entry, revision, kind, resource: 1, shape: Shape::Object };
            self.frames.get(of, || {
                self.made.set(self.made.get() + 1);
                format!("{kind} {revision}{}", " ".repeat(entry_size)).into_bytes()
            })
        }

        fn kept(&self) -> usize {
            self.frames.recent.lock().len()
        }
    }

    #[test]
    fn all_watchers_of_an_event_share_a_frame() {
        let counted = Counted::with_history(BYTES_MAX);
        let (one, other) = (entry(1), entry(1));
        let first = counted.get(&one, 1, "ADDED");
        for _ in 0..1_000 {
            assert_eq!(counted.get(&one, 1, "ADDED").as_ptr(), first.as_ptr());
        }
        assert_eq!(counted.made.get(), 1);
        // Another type, another revision, another object.
        assert!(counted.get(&one, 1, "MODIFIED").starts_with(b"MODIFIED 1"));
        assert!(counted.get(&one, 2, "ADDED").starts_with(b"ADDED 2"));
        assert!(counted.get(&other, 1, "ADDED").starts_with(b"ADDED 1"));
        assert_eq!(counted.made.get(), 4);
    }

    #[test]
    fn few_frames_are_kept() {
        let counted = Counted::with_history(usize::MAX);
        let (small, large) = (entry(1), entry(BYTES_MAX));
        for revision in 0..1_000 {
            counted.get(&small, revision, "ADDED");
        }
        assert_eq!(counted.kept(), FRAMES_MAX);
        counted.get(&large, 1_000, "ADDED");
        assert_eq!(counted.kept(), 1);
        counted.get(&large, 1_000, "ADDED");
        assert_eq!(counted.made.get(), 1_001);
    }

    #[test]
    fn small_histories_have_few_bytes_of_frames() {
        let counted = Counted::with_history(32 * 1024);
        let entry = entry(10 * 1024);
        for revision in 0..100 {
            counted.get(&entry, revision, "ADDED");
        }
        assert_eq!(counted.kept(), 3);
    }

    #[test]
    fn frames_go_with_the_last_watcher_and_keep_no_object() {
        let shared = Shared::default();
        let (one, other) = (shared.join(BYTES_MAX), shared.join(BYTES_MAX));
        assert!(Arc::ptr_eq(&one, &other));
        let entry = entry(1);
        let of = |entry: &Arc<Entry>| FrameOf {
            entry: Arc::downgrade(entry),
            revision: 1,
            kind: "ADDED",
            resource: 1,
            shape: Shape::Object,
        };
        one.get(of(&entry), || b"frame".to_vec());
        assert_eq!(Arc::strong_count(&entry), 1);
        drop(one);
        assert_eq!(Arc::weak_count(&entry), 1);
        drop(other);
        assert_eq!(Arc::weak_count(&entry), 0);
        assert!(shared.join(BYTES_MAX).recent.lock().is_empty());
    }
}
