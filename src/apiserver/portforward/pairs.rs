//! Which error stream belongs to which data stream.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::PAIR_LIMIT;

/// What a stream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The server writes what went wrong.
    Error,
    /// The port's bytes.
    Data,
}

/// The two streams of a connection to a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) error: u32,
    pub(super) data: u32,
}

/// What became of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// The other stream is not there yet.
    Waiting,
    /// Both are there.
    Complete(Pair),
    /// There is one of its kind. Names the error stream, which is told, if that is there.
    Duplicate(Option<u32>),
}

/// A pair of which one stream is missing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Half {
    pub(super) request: String,
    pub(super) error: Option<u32>,
    pub(super) data: Option<u32>,
    /// Its place in `Pairs::deadlines`.
    deadline: (Duration, u64),
}

/// The pairs of which one stream is missing, by the client's request id.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    halves: HashMap<String, Half>,
    deadlines: BTreeMap<(Duration, u64), String>,
    added: u64,
}

impl Pairs {
    /// Adds a stream.
    pub(super) fn add(&mut self, request: &str, kind: Kind, stream: u32, now: Duration) -> Added {
        let Some(half) = self.halves.get_mut(request) else {
            self.added += 1;
            let deadline = (now + PAIR_LIMIT, self.added);
            let (error, data) = match kind {
                Kind::Error => (Some(stream), None),
                Kind::Data => (None, Some(stream)),
            };
            self.deadlines.insert(deadline, request.to_owned());
            let half = Half { request: request.to_owned(), error, data, deadline };
            self.halves.insert(request.to_owned(), half);
            return Added::Waiting;
        };
        let pair = match (kind, half.error, half.data) {
            (Kind::Error, None, Some(data)) => Pair { error: stream, data },
            (Kind::Data, Some(error), None) => Pair { error, data: stream },
            (Kind::Error | Kind::Data, ..) => return Added::Duplicate(half.error),
        };
        self.remove(request);
        Added::Complete(pair)
    }

    /// Forgets a pair.
    pub(super) fn remove(&mut self, request: &str) {
        if let Some(half) = self.halves.remove(request) {
            self.deadlines.remove(&half.deadline);
        }
    }

    /// When the next pair has waited long enough.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.deadlines.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    /// Takes a pair that has.
    pub(super) fn expired(&mut self, now: Duration) -> Option<Half> {
        let entry = self.deadlines.first_entry().filter(|entry| entry.key().0 <= now)?;
        let request = entry.remove();
        self.halves.remove(&request)
    }
}
