//! The work queue of a controller. (client-go util/workqueue; controller-runtime's priority queue)
//!
//! A key is in the queue at most once. A key that is in hand is not given out again; what is asked
//! for it meanwhile is given out when it is done. Each key has one date at which it is wanted, the
//! earliest that anybody asked for: a key that is wanted now forgets a later date, because the
//! reconcile that it gets now asks again for what it still needs.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::client::ObjectKey;
use crate::clock::Clock;
use crate::metrics::Histogram;

/// First delay after an error, doubled by every further one up to [`BACKOFF_MAX`]: client-go's
/// default controller rate limiter.
const BACKOFF_MIN: Duration = Duration::from_millis(5);
const BACKOFF_MAX: Duration = Duration::from_secs(1000);

/// Keys to be reconciled. Shared by those who ask and the one controller that takes.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    /// Tells the taker that there is something new to look at.
    changed: Notify,
    /// Measures how long keys wait; set before the first is taken, read by all.
    waiting: OnceLock<Waiting>,
}

/// Measures how long keys wait from the time they are wanted until they are taken.
struct Waiting {
    clock: Clock,
    seconds: Histogram,
}

#[derive(Default)]
struct State {
    /// Every key that is wanted, in hand or has failed.
    keys: HashMap<Arc<ObjectKey>, Entry>,
    /// Keys that are wanted now, in order of asking.
    ready: VecDeque<Arc<ObjectKey>>,
    /// Keys that are wanted when no other key is ready, in order of asking. May hold keys whose
    /// place has changed since; those are skipped.
    spare: VecDeque<Arc<ObjectKey>>,
    /// Keys that are wanted later, by date. Holds exactly the entries that are `Place::Later`.
    later: BTreeSet<(Duration, Arc<ObjectKey>)>,
    /// Keys that were put in so far.
    added: u64,
}

#[derive(Default)]
struct Entry {
    place: Place,
    /// While it waits: since when it is wanted, if that is measured.
    since: Option<Duration>,
    /// While in hand: when it is wanted again, if at all.
    wanted_again: Option<Duration>,
    /// While in hand: whether it is wanted again as soon as no other key is.
    wanted_spare: bool,
    /// Failures in a row.
    failures: u32,
}

#[derive(Default)]
enum Place {
    /// Only failures are remembered.
    #[default]
    Nowhere,
    Ready,
    Spare,
    Later(Duration),
    InHand,
}

impl Queue {
    /// Measures how long keys wait from now on, by the clock that [`Queue::next`] is given. Keys that
    /// wait already are not measured.
    pub(crate) fn measure(&self, clock: &Clock, seconds: Histogram) {
        // A controller runs once.
        let _ = self.waiting.set(Waiting { clock: clock.clone(), seconds });
    }

    /// The time, where waiting is measured.
    fn now(&self) -> Option<Duration> {
        self.waiting.get().map(|waiting| waiting.clock.elapsed())
    }

    /// Wants a key now.
    pub(crate) fn add(&self, key: ObjectKey) {
        self.add_at(Arc::new(key), Duration::ZERO);
    }

    /// Wants a key as soon as none is wanted now.
    pub(crate) fn add_spare(&self, key: ObjectKey) {
        let now = self.now();
        if self.state.lock().want_spare(Arc::new(key), now) {
            self.changed.notify_one();
        }
    }

    /// Wants a key at `date` of the clock that [`Queue::next`] is given, or earlier if it already
    /// is wanted earlier. Any date that has passed means now.
    pub(crate) fn add_at(&self, key: Arc<ObjectKey>, date: Duration) {
        let now = self.now();
        if self.state.lock().want(key, date, now) {
            self.changed.notify_one();
        }
    }

    /// Takes the next key in hand; waits until there is one. Give it back with [`Queue::done`].
    /// Dropping the future loses nothing.
    pub(crate) async fn next(&self, clock: &Clock) -> Arc<ObjectKey> {
        loop {
            let date = {
                let mut state = self.state.lock();
                let now = clock.elapsed();
                state.promote(now);
                if let Some((key, since)) = state.take() {
                    if let (Some(waiting), Some(since)) = (self.waiting.get(), since) {
                        waiting.seconds.observe(now.saturating_sub(since).as_secs_f64());
                    }
                    return key;
                }
                state.later.first().map(|(date, _)| *date)
            };
            match date {
                Some(date) => either(self.changed.notified(), clock.sleep_until(date)).await,
                None => self.changed.notified().await,
            }
        }
    }

    /// Gives a key back. It is given out again if it was wanted meanwhile.
    pub(crate) fn done(&self, key: &Arc<ObjectKey>) {
        let now = self.now();
        if self.state.lock().put_back(key, now) {
            self.changed.notify_one();
        }
    }

    /// Forgets the failures of a key.
    pub(crate) fn succeeded(&self, key: &ObjectKey) {
        if let Some(entry) = self.state.lock().keys.get_mut(key) {
            entry.failures = 0;
        }
    }

    /// Counts a failure of a key and returns the delay before the next try.
    pub(crate) fn failed(&self, key: &Arc<ObjectKey>) -> Duration {
        let mut state = self.state.lock();
        let entry = state.keys.entry(key.clone()).or_default();
        let delay = backoff(entry.failures);
        entry.failures = entry.failures.saturating_add(1);
        delay
    }

    /// How often a key was put in.
    pub(crate) fn added(&self) -> u64 {
        self.state.lock().added
    }

    /// Keys that are wanted, now or later.
    pub(crate) fn len(&self) -> usize {
        let state = self.state.lock();
        state.ready.len() + state.spare.len() + state.later.len()
    }
}

impl State {
    /// Returns whether the taker has to look again. `now` is known where waiting is measured.
    fn want(&mut self, key: Arc<ObjectKey>, date: Duration, now: Option<Duration>) -> bool {
        let entry = self.keys.entry(key.clone()).or_default();
        match entry.place {
            Place::Ready => return false,
            Place::InHand => {
                let earlier = entry.wanted_again.is_none_or(|wanted| date < wanted);
                if earlier {
                    entry.wanted_again = Some(date);
                }
                return false;
            }
            Place::Later(planned) if planned <= date => return false,
            Place::Later(planned) => {
                self.later.remove(&(planned, key.clone()));
            }
            Place::Spare if !date.is_zero() => return false,
            Place::Spare | Place::Nowhere => {}
        }
        self.added += 1;
        if date.is_zero() {
            entry.place = Place::Ready;
            entry.since = now;
            self.ready.push_back(key);
        } else {
            entry.place = Place::Later(date);
            // What is wanted later begins to wait when it is due.
            entry.since = now.map(|_| date);
            self.later.insert((date, key));
        }
        true
    }

    /// Returns whether the taker has to look again.
    fn want_spare(&mut self, key: Arc<ObjectKey>, now: Option<Duration>) -> bool {
        let entry = self.keys.entry(key.clone()).or_default();
        match entry.place {
            Place::Ready | Place::Spare => return false,
            Place::InHand => {
                entry.wanted_spare = true;
                return false;
            }
            Place::Later(planned) => {
                self.later.remove(&(planned, key.clone()));
            }
            Place::Nowhere => {}
        }
        entry.place = Place::Spare;
        entry.since = now;
        self.added += 1;
        self.spare.push_back(key);
        true
    }

    /// Makes ready what is due.
    fn promote(&mut self, now: Duration) {
        while self.later.first().is_some_and(|(date, _)| *date <= now)
            && let Some((_, key)) = self.later.pop_first()
        {
            self.keys.entry(key.clone()).or_default().place = Place::Ready;
            self.ready.push_back(key);
        }
    }

    /// The next key, and since when it was wanted.
    fn take(&mut self) -> Option<(Arc<ObjectKey>, Option<Duration>)> {
        if let Some(key) = self.ready.pop_front() {
            let entry = self.keys.entry(key.clone()).or_default();
            entry.place = Place::InHand;
            let since = entry.since.take();
            return Some((key, since));
        }
        while let Some(key) = self.spare.pop_front() {
            if let Some(entry) = self.keys.get_mut(&key)
                && matches!(entry.place, Place::Spare)
            {
                entry.place = Place::InHand;
                let since = entry.since.take();
                return Some((key, since));
            }
        }
        None
    }

    fn put_back(&mut self, key: &Arc<ObjectKey>, now: Option<Duration>) -> bool {
        let Some(entry) = self.keys.get_mut(key) else { return false };
        entry.place = Place::Nowhere;
        let is_spare = std::mem::take(&mut entry.wanted_spare);
        match entry.wanted_again.take() {
            Some(date) if date.is_zero() || !is_spare => self.want(key.clone(), date, now),
            _ if is_spare => self.want_spare(key.clone(), now),
            _ => {
                if entry.failures == 0 {
                    self.keys.remove(key);
                }
                false
            }
        }
    }
}

fn backoff(failures: u32) -> Duration {
    BACKOFF_MIN.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(BACKOFF_MAX)
}

/// Ends with the first of two futures.
async fn either(one: impl Future<Output = ()>, two: impl Future<Output = ()>) {
    tokio::select! {
        () = one => {}
        () = two => {}
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::metrics::Registry;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("ns", name)
    }

    fn clock() -> Clock {
        Clock::virtual_from(Timestamp::UNIX_EPOCH)
    }

    /// The next key, and the time at which it came, or `None` after a long time without one.
    async fn next(queue: &Queue, clock: &Clock) -> Option<(String, Duration)> {
        let taken = clock.timeout(Duration::from_secs(100_000), queue.next(clock)).await.ok()?;
        Some((taken.name.clone(), clock.elapsed()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_queued_once() {
        let (queue, clock) = (Queue::default(), clock());
        for name in ["a", "b", "a"] {
            queue.add(key(name));
        }
        assert_eq!(queue.len(), 2);
        assert_eq!(next(&queue, &clock).await.unwrap().0, "a");
        assert_eq!(next(&queue, &clock).await.unwrap().0, "b");
        assert!(next(&queue, &clock).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_in_hand_is_given_out_again_only_when_done() {
        let (queue, clock) = (Queue::default(), clock());
        queue.add(key("a"));
        let taken = queue.next(&clock).await;
        queue.add(key("a"));
        queue.add(key("a"));
        assert!(next(&queue, &clock).await.is_none());
        queue.done(&taken);
        assert_eq!(next(&queue, &clock).await.unwrap().0, "a");
        queue.done(&taken);
        assert!(next(&queue, &clock).await.is_none());
        assert!(queue.state.lock().keys.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn spare_keys_come_last_and_once() {
        let (queue, clock) = (Queue::default(), clock());
        queue.add_spare(key("a"));
        queue.add_spare(key("b"));
        queue.add(key("c"));
        queue.add(key("b"));
        let taken = queue.next(&clock).await;
        assert_eq!(taken.name, "c");
        queue.add_spare(key("c"));
        queue.done(&taken);
        queue.add(key("d"));
        for name in ["b", "d", "a", "c"] {
            assert_eq!(queue.next(&clock).await.name, name);
        }
        assert_eq!(next(&queue, &clock).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_date_wins_and_a_change_beats_any_date() {
        let (queue, clock) = (Queue::default(), clock());
        let a = Arc::new(key("a"));
        queue.add_at(a.clone(), Duration::from_secs(30));
        queue.add_at(a.clone(), Duration::from_secs(10));
        queue.add_at(a.clone(), Duration::from_secs(20));
        let due = next(&queue, &clock).await.unwrap();
        assert_eq!(due.1.as_secs(), 10);
        queue.done(&a);
        queue.add_at(a.clone(), Duration::from_secs(40));
        queue.add(key("a"));
        assert_eq!(next(&queue, &clock).await.unwrap().1.as_secs(), 10);
        queue.done(&a);
        assert!(next(&queue, &clock).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_date_asked_for_while_in_hand_counts_from_the_asking() {
        let (queue, clock) = (Queue::default(), clock());
        queue.add(key("a"));
        let a = queue.next(&clock).await;
        queue.add_at(a.clone(), Duration::from_secs(5));
        clock.sleep(Duration::from_secs(2)).await;
        queue.done(&a);
        assert_eq!(next(&queue, &clock).await.unwrap().1.as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_early_date_wakes_a_taker_that_sleeps() {
        let (queue, clock) = (Arc::new(Queue::default()), clock());
        queue.add_at(Arc::new(key("late")), Duration::from_secs(60));
        let taker = tokio::spawn({
            let (queue, clock) = (queue.clone(), clock.clone());
            async move { next(&queue, &clock).await }
        });
        clock.sleep(Duration::from_secs(1)).await;
        queue.add_at(Arc::new(key("early")), Duration::from_secs(2));
        let (name, when) = taker.await.unwrap().unwrap();
        assert_eq!((name.as_str(), when.as_secs()), ("early", 2));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_is_measured_from_the_time_at_which_a_key_is_wanted() {
        let (queue, clock, registry) = (Queue::default(), clock(), Registry::default());
        let seconds = registry.histogram(("waited_seconds", "Waited."), &[], &[0.5, 5.0]);
        queue.add(key("before"));
        queue.measure(&clock, seconds);
        let take = || async {
            let key = queue.next(&clock).await;
            queue.done(&key);
        };
        take().await;
        queue.add(key("now"));
        queue.add_spare(key("spare"));
        queue.add_at(Arc::new(key("later")), Duration::from_secs(60));
        clock.sleep(Duration::from_secs(2)).await;
        for _ in 0..3 {
            take().await;
        }
        assert_eq!(clock.elapsed().as_secs(), 60, "the last one was wanted no earlier");
        let text = registry.render();
        for line in [
            "waited_seconds_bucket{le=\"0.5\"} 1\n",
            "waited_seconds_sum 4",
            "waited_seconds_count 3\n",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn failures_double_the_delay_until_success() {
        let queue = Queue::default();
        let a = Arc::new(key("a"));
        let delays: Vec<u128> = (0..4).map(|_| queue.failed(&a).as_millis()).collect();
        assert_eq!(delays, [5, 10, 20, 40]);
        for _ in 0..60 {
            queue.failed(&a);
        }
        assert_eq!(queue.failed(&a), BACKOFF_MAX);
        queue.succeeded(&a);
        assert_eq!(queue.failed(&a), BACKOFF_MIN);
    }
}
