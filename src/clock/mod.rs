//! Time and randomness, injected: the only room that reads a clock.
//!
//! A clock is either the wall clock or a virtual one. The virtual clock is tokio's paused time: in
//! a current-thread runtime it jumps to the next timer as soon as no task can run, so a test of
//! minutes takes milliseconds and never races.

#![expect(clippy::disallowed_methods, reason = "this room is where time comes from")]

mod hyper_timer;
mod seeded;

pub use hyper_timer::HyperTimer;
pub use seeded::Seed;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tokio::time::Instant;

/// A source of time. Cheap to clone; all clones agree.
#[derive(Clone, Debug)]
pub struct Clock {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    mode: Mode,
    /// Where `elapsed` counts from.
    origin: Instant,
}

#[derive(Debug)]
enum Mode {
    Wall,
    Virtual { start: Timestamp },
}

/// A future that did not end in time.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("deadline exceeded after {0:?}")]
pub struct DeadlineExceeded(pub Duration);

impl Clock {
    /// The machine's clock. Call inside a tokio runtime.
    pub fn wall() -> Self {
        Self { inner: Arc::new(Inner { mode: Mode::Wall, origin: Instant::now() }) }
    }

    /// A clock that starts at `start` and follows tokio's (paused) time.
    pub fn virtual_from(start: Timestamp) -> Self {
        Self { inner: Arc::new(Inner { mode: Mode::Virtual { start }, origin: Instant::now() }) }
    }

    /// Now, as written into objects.
    pub fn now(&self) -> Timestamp {
        match self.inner.mode {
            Mode::Wall => Timestamp::try_from(SystemTime::now())
                .expect("the system's time is after year -9999"),
            Mode::Virtual { start } => start + self.elapsed(),
        }
    }

    /// Monotonic time since the clock was made.
    pub fn elapsed(&self) -> Duration {
        Instant::now().saturating_duration_since(self.inner.origin)
    }

    /// Waits.
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// Waits until `elapsed()` has reached `deadline`.
    pub async fn sleep_until(&self, deadline: Duration) {
        tokio::time::sleep_until(self.inner.origin + deadline).await;
    }

    /// Gives a future at most `limit`.
    ///
    /// # Errors
    /// [`DeadlineExceeded`] when the future has not ended by then; it is dropped.
    pub async fn timeout<F: Future>(
        &self,
        limit: Duration,
        future: F,
    ) -> Result<F::Output, DeadlineExceeded> {
        tokio::time::timeout(limit, future).await.map_err(|_| DeadlineExceeded(limit))
    }
}
