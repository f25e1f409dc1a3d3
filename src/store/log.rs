//! Bounds the history of a store: forgets the oldest events, of whatever resource, when the bytes
//! that they keep alive pass a limit.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::table::Table;
use super::{Entry, Event, EventKind, ResourceKey};

/// Bytes that an object costs beside its text.
const OVERHEAD: usize = 768;
/// Bytes that an event costs beside its objects.
const EVENT: usize = 128;

/// The order in which events of all resources came, and what they weigh.
#[derive(Debug)]
pub(super) struct Log {
    limit: usize,
    bytes: usize,
    /// One resource an event, oldest first.
    order: VecDeque<Arc<ResourceKey>>,
}

impl Log {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, bytes: 0, order: VecDeque::new() }
    }

    /// Appends an event to its table and forgets old ones if need be. The newest event stays,
    /// whatever its size.
    pub(super) fn append(
        &mut self,
        tables: &mut HashMap<Arc<ResourceKey>, Table>,
        resource: &Arc<ResourceKey>,
        event: Arc<Event>,
    ) {
        self.bytes += weight(&event);
        self.order.push_back(resource.clone());
        tables.entry(resource.clone()).or_default().append(event);
        while self.bytes > self.limit && self.order.len() > 1 {
            let Some(oldest) = self.order.pop_front() else { break };
            let forgotten = tables.get_mut(&oldest).and_then(Table::forget_oldest);
            debug_assert!(forgotten.is_some(), "every event of the order is in its table");
            self.bytes -= forgotten.map_or(0, |event| weight(&event));
        }
    }
}

/// What an event alone keeps alive: the object before the write and, of a deletion, its last state.
/// What was created or updated is alive until the next write anyway, whose event counts it.
fn weight(event: &Event) -> usize {
    let size = |entry: &Entry| entry.raw.len() + OVERHEAD;
    let last = if event.kind == EventKind::Deleted { size(&event.entry) } else { 0 };
    EVENT + last + event.previous.as_deref().map_or(0, size)
}
