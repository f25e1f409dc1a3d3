//! What is remembered between calls: answers that hold for a while, and objects that a hook holds.
//! (CAPI v1.14: util/cache/cache.go)

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;

use super::call::Response;
use super::hook::Hook;
use crate::client::ObjectKey;

/// How long an answer is given again.
const RESPONSE_AGE_MAX: Duration = Duration::from_secs(10 * 60);
/// Most answers that are kept.
const RESPONSES_MAX: usize = 1_000;
/// Most bytes that they have in all.
const BYTES_MAX: usize = 64 << 20;
/// Most objects that are known to be held; a hook is asked again early for those that are not.
const HOLDS_MAX: usize = 10_000;

/// Both memories. Times are those of [`crate::clock::Clock::elapsed`].
#[derive(Default)]
pub(super) struct Remembered {
    /// Answers with the time when they are forgotten. Locked for a look.
    responses: Mutex<BTreeMap<(Hook, String), Kept>>,
    /// Until when a hook holds an object, and what it said. Locked for a look.
    holds: Mutex<BTreeMap<(Hook, ObjectKey), (Duration, String)>>,
}

/// An answer that is kept.
struct Kept {
    until: Duration,
    response: Response,
    /// Bytes of its document.
    size: usize,
}

impl Remembered {
    /// An answer that still holds.
    pub(super) fn response(&self, hook: Hook, key: &str, now: Duration) -> Option<Response> {
        let responses = self.responses.lock();
        let kept = responses.get(&(hook, key.to_owned()))?;
        (kept.until > now).then(|| kept.response.clone())
    }

    /// Keeps an answer.
    pub(super) fn keep_response(&self, hook: Hook, key: String, response: Response, now: Duration) {
        let size = response.body.to_string().len();
        let mut responses = self.responses.lock();
        responses.retain(|_, kept| kept.until > now);
        let bytes: usize = responses.values().map(|kept| kept.size).sum();
        if responses.len() >= RESPONSES_MAX || bytes + size > BYTES_MAX {
            responses.clear();
        }
        if size <= BYTES_MAX {
            responses.insert((hook, key), Kept { until: now + RESPONSE_AGE_MAX, response, size });
        }
    }

    /// The answer of a hook that holds an object, with the seconds that are left of it.
    pub(super) fn held(&self, hook: Hook, object: &ObjectKey, now: Duration) -> Option<Response> {
        let holds = self.holds.lock();
        let (until, message) = holds.get(&(hook, object.clone()))?;
        let left = until.checked_sub(now).filter(|left| !left.is_zero())?;
        // Rounded to seconds, and never to none: the answer stays one that blocks.
        let seconds = left.as_secs() + u64::from(left.subsec_millis() >= 500);
        Some(Response {
            message: message.clone(),
            retry_after_seconds: i32::try_from(seconds.max(1)).unwrap_or(i32::MAX),
            ..Response::success()
        })
    }

    /// Remembers that a hook holds an object.
    pub(super) fn hold(&self, hook: Hook, object: &ObjectKey, response: &Response, now: Duration) {
        let seconds = u64::try_from(response.retry_after_seconds).unwrap_or_default();
        let until = now + Duration::from_secs(seconds);
        let mut holds = self.holds.lock();
        if holds.len() >= HOLDS_MAX {
            holds.retain(|_, (until, _)| *until > now);
        }
        if holds.len() < HOLDS_MAX {
            holds.insert((hook, object.clone()), (until, response.message.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_ends_and_counts_down_in_seconds() {
        let (memory, object) = (Remembered::default(), ObjectKey::new("a", "b"));
        let hook = Hook::BeforeClusterCreate;
        let response = Response { retry_after_seconds: 5, ..Response::success() };
        memory.hold(hook, &object, &response, Duration::ZERO);
        let left = |millis| {
            let held = memory.held(hook, &object, Duration::from_millis(millis));
            held.map(|response| response.retry_after_seconds)
        };
        assert_eq!(
            [left(0), left(1_400), left(4_900), left(5_000)],
            [Some(5), Some(4), Some(1), None]
        );
        assert_eq!(memory.held(Hook::UpdateMachine, &object, Duration::ZERO), None);
    }
}
