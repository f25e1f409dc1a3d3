//! How long the stages of machines' starts took, and from that how long those that run will take.
//! Lengths are counted machine by machine as they change, so that nobody walks over all of them.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::row::{Object, Row};
use crate::api::conditions::Condition;
use crate::api::core::{Cluster, Machine};
use crate::contract::conditions;
use crate::describe::timeline::{self, STAGES, Stage};

/// Lengths of the stages of all machines that are ready, in the order of the stages.
#[derive(Default)]
pub(in crate::tui) struct Lengths {
    stages: [Tally; STAGES.len()],
    total: Tally,
}

/// How often each length occurred, by milliseconds.
#[derive(Default)]
struct Tally {
    counts: BTreeMap<i64, usize>,
    total: usize,
}

/// Percentiles of the lengths.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::tui) struct Stages {
    /// In the order of the stages.
    pub(in crate::tui) lengths: [Summary; STAGES.len()],
    /// From creation to Ready.
    pub(in crate::tui) total: Summary,
}

/// Percentiles, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::tui) struct Summary {
    pub(in crate::tui) count: usize,
    pub(in crate::tui) p50: f64,
    pub(in crate::tui) p95: f64,
    pub(in crate::tui) p99: f64,
}

impl Lengths {
    /// A machine that was so is now so.
    pub(in crate::tui) fn change(&mut self, old: Option<&Row>, new: Option<&Row>) {
        for (row, count) in [(old, Tally::forget as fn(&mut Tally, i64)), (new, Tally::count)] {
            let Some((stages, total)) = row.and_then(milliseconds_of) else { continue };
            count(&mut self.total, total);
            for (tally, length) in self.stages.iter_mut().zip(stages) {
                count(tally, length);
            }
        }
    }

    pub(in crate::tui) fn percentiles(&self) -> Stages {
        Stages { lengths: self.stages.each_ref().map(Tally::summary), total: self.total.summary() }
    }
}

/// How long the stages of a machine that is ready took, and all together.
fn milliseconds_of(row: &Row) -> Option<(Vec<i64>, i64)> {
    let Object::Machine(machine) = &row.object else { return None };
    let start = Start::of(machine)?;
    let length = |from: Timestamp, to: Timestamp| {
        i64::try_from(to.duration_since(from).as_millis()).unwrap_or(i64::MAX).max(0)
    };
    let ready = start.ready()?;
    let ends = start.stages.iter().filter_map(|stage| Some((stage.start, stage.end?)));
    let stages = ends.map(|(from, to)| length(from, to)).collect();
    Some((stages, length(start.created, ready)))
}

impl Tally {
    fn count(&mut self, length: i64) {
        *self.counts.entry(length).or_default() += 1;
        self.total += 1;
    }

    fn forget(&mut self, length: i64) {
        let Some(count) = self.counts.get_mut(&length) else { return };
        *count -= 1;
        self.total -= 1;
        if *count == 0 {
            self.counts.remove(&length);
        }
    }

    /// Percentiles of the nearest rank.
    fn summary(&self) -> Summary {
        let last = self.total.saturating_sub(1) as f64;
        let wanted = [0.50, 0.95, 0.99].map(|share| (share * last).round() as usize);
        let mut values = [0.0; 3];
        let (mut seen, mut next) = (0, 0);
        for (length, count) in &self.counts {
            seen += count;
            while wanted.get(next).is_some_and(|rank| *rank < seen) {
                values[next] = *length as f64 / 1e3;
                next += 1;
            }
        }
        let [p50, p95, p99] = values;
        Summary { count: self.total, p50, p95, p99 }
    }
}

/// The start of a machine.
#[derive(Clone, Debug)]
pub(in crate::tui) struct Start {
    pub(in crate::tui) created: Timestamp,
    pub(in crate::tui) stages: Vec<Stage>,
    /// Whether it is on its way; a machine that was up and is not any more has no end in sight.
    starting: bool,
}

impl Start {
    /// Of a machine; none if it has no time of creation.
    pub(in crate::tui) fn of(machine: &Machine) -> Option<Self> {
        #[cfg(test)]
        super::work::count();
        let created = machine.metadata.creation_timestamp.as_ref()?.0;
        let all = machine.status.as_ref().map(|status| status.conditions.as_slice());
        let stages = timeline::stages(created, |type_| since_true(all.unwrap_or_default(), type_));
        let phase = machine.status.as_ref().map_or("", |status| status.phase.as_str());
        let starting = machine.metadata.deletion_timestamp.is_none()
            && matches!(phase, "" | "Pending" | "Provisioning" | "Provisioned");
        Some(Self { created, stages, starting })
    }

    pub(in crate::tui) fn ready(&self) -> Option<Timestamp> {
        self.stages.get(STAGES.len() - 1)?.end
    }

    /// When it will be ready if every stage takes as long as the middle one of those that ended;
    /// the time itself if it is; none if nothing has ended yet or it is not on its way.
    pub(in crate::tui) fn expected(&self, stages: &Stages, now: Timestamp) -> Option<Timestamp> {
        if let Some(ready) = self.ready() {
            return Some(ready);
        }
        if stages.total.count == 0 || !self.starting {
            return None;
        }
        let running = self.stages.len().checked_sub(1)?;
        let end = after(self.stages[running].start, stages.lengths[running].p50).max(now);
        let rest: f64 = stages.lengths[running + 1..].iter().map(|summary| summary.p50).sum();
        Some(after(end, rest))
    }
}

/// Since when a condition is True.
pub(in crate::tui) fn since_true(all: &[Condition], type_: &str) -> Option<Timestamp> {
    conditions::get(all, type_)
        .filter(|condition| condition.status == "True")
        .map(|condition| condition.last_transition_time.0)
}

/// When a cluster became available; it may have been otherwise in between.
pub(in crate::tui) fn available_since(cluster: &Cluster) -> Option<Timestamp> {
    since_true(&cluster.status.as_ref()?.conditions, "Available")
}

pub(in crate::tui) fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

fn after(time: Timestamp, seconds: f64) -> Timestamp {
    SignedDuration::try_from_secs_f64(seconds)
        .ok()
        .and_then(|length| time.checked_add(length).ok())
        .unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let mut tally = Tally::default();
        (1..=101).for_each(|second| tally.count(second * 1000));
        let summary = tally.summary();
        assert_eq!(
            (summary.count, summary.p50, summary.p95, summary.p99),
            (101, 51.0, 96.0, 100.0)
        );
        (1..=101).for_each(|second| tally.forget(second * 1000));
        assert_eq!(tally.summary(), Summary::default());
    }

    proptest! {
        /// However lengths come and go, the percentiles are those of the sorted lengths.
        #[test]
        fn counted_percentiles_equal_sorted_ones(
            lengths in prop::collection::vec((0i64..200, prop::bool::weighted(0.7)), 0..200),
        ) {
            let mut tally = Tally::default();
            for (length, _) in &lengths {
                tally.count(*length);
            }
            let (stay, go): (Vec<_>, Vec<_>) = lengths.into_iter().partition(|(_, stays)| *stays);
            go.iter().for_each(|(length, _)| tally.forget(*length));
            let mut sorted: Vec<i64> = stay.into_iter().map(|(length, _)| length).collect();
            sorted.sort_unstable();
            let at = |share: f64| {
                let rank = (share * sorted.len().saturating_sub(1) as f64).round() as usize;
                sorted.get(rank).map_or(0.0, |length| *length as f64 / 1e3)
            };
            let expected =
                Summary { count: sorted.len(), p50: at(0.50), p95: at(0.95), p99: at(0.99) };
            prop_assert_eq!(tally.summary(), expected);
        }
    }

    #[test]
    fn the_end_is_expected_from_the_middle_lengths() {
        let mut stages = Stages::default();
        let start = |ended: i64| Start {
            starting: true,
            created: at(0),
            stages: timeline::stages(at(0), |type_| {
                STAGES
                    .iter()
                    .position(|(_, other)| *other == type_)
                    .filter(|index| (*index as i64) < ended)
                    .map(|index| at(index as i64 + 1))
            }),
        };
        assert_eq!(start(0).expected(&stages, at(1)), None);
        stages.total.count = 1;
        for (length, seconds) in stages.lengths.iter_mut().zip([1.0, 10.0, 2.0, 3.0]) {
            length.p50 = seconds;
        }
        assert_eq!(start(1).expected(&stages, at(2)), Some(at(16)));
        assert_eq!(start(1).expected(&stages, at(30)), Some(at(35)), "late: the stage ends now");
        assert_eq!(start(4).expected(&stages, at(30)), Some(at(4)));
    }
}
