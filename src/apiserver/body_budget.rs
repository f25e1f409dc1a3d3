//! The bound on request bodies that are in memory at once, in the whole process.
//!
//! A decoded body can take many times the room of its text; two hundred writers with three
//! megabytes each would be too much. Small bodies are not worth counting.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// Bytes of large bodies that may be in memory at once.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bodies up to this size are not counted.
const SMALL: usize = 16 * 1024;

/// What is in memory now, of all servers of the process.
pub(super) static BUDGET: Budget = Budget::new(BYTES_MAX);

/// A number of bytes that large bodies share.
#[derive(Debug)]
pub(super) struct Budget {
    used: AtomicUsize,
    max: usize,
}

/// The bytes that one body takes of a budget; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: &'static Budget,
    bytes: usize,
}

/// The budget is used up.
#[derive(Debug)]
pub(super) struct Exhausted;

impl Budget {
    pub(super) const fn new(max: usize) -> Self {
        Self { used: AtomicUsize::new(0), max }
    }

    /// A share of nothing yet.
    pub(super) fn share(&'static self) -> Share {
        Share { budget: self, bytes: 0 }
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

impl Share {
    /// Makes the share as large as a body that has `total` bytes by now.
    ///
    /// # Errors
    /// [`Exhausted`] when the budget has no room for it; the share stays as it is.
    pub(super) fn grow(&mut self, total: usize) -> Result<(), Exhausted> {
        if total <= SMALL || total <= self.bytes {
            return Ok(());
        }
        let more = total - self.bytes;
        let budget = self.budget;
        let taken = budget.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(more).filter(|sum| *sum <= budget.max)
        });
        taken.map_err(|_| Exhausted)?;
        self.bytes = total;
        Ok(())
    }

    /// The body, which gives its share back when its last copy is dropped.
    pub(super) fn hold(self, body: Bytes) -> Bytes {
        if self.bytes == 0 { body } else { Bytes::from_owner(Held { body, _share: self }) }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

struct Held {
    body: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_share_a_budget_while_they_live() {
        static BUDGET: Budget = Budget::new(100_000);
        let mut small = BUDGET.share();
        small.grow(SMALL).unwrap();
        assert_eq!(BUDGET.used(), 0);
        let mut first = BUDGET.share();
        first.grow(20_000).unwrap();
        first.grow(60_000).unwrap();
        let body = first.hold(Bytes::from(vec![1; 60_000]));
        let mut second = BUDGET.share();
        second.grow(50_000).unwrap_err();
        second.grow(40_000).unwrap();
        assert_eq!((BUDGET.used(), body.len()), (100_000, 60_000));
        drop(second);
        let part = body.slice(1..2);
        drop(body);
        assert_eq!((BUDGET.used(), part[0]), (60_000, 1));
        drop(part);
        assert_eq!(BUDGET.used(), 0);
    }
}
