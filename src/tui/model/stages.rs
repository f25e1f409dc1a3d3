//! How long the stages of machines' starts took, and from that how long those that run will take.

use jiff::{SignedDuration, Timestamp};

use super::row::Object;
use super::table::Table;
use crate::api::conditions::Condition;
use crate::api::core::{Cluster, Machine};
use crate::contract::conditions;
use crate::describe::timeline::{self, STAGES, Stage};

/// Lengths of the stages of all machines that are ready.
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

impl Stages {
    /// Of all machines of a table.
    pub(in crate::tui) fn of(machines: &Table) -> Self {
        let mut lengths: [Vec<f64>; STAGES.len()] = Default::default();
        let mut total = Vec::new();
        for row in machines.all() {
            let Object::Machine(machine) = &row.object else { continue };
            let Some(start) = Start::of(machine) else { continue };
            let Some(ready) = start.ready() else { continue };
            total.push(seconds(start.created, ready));
            for (stage, lengths) in start.stages.iter().zip(&mut lengths) {
                lengths.extend(stage.end.map(|end| seconds(stage.start, end)));
            }
        }
        Self { lengths: lengths.map(Summary::of), total: Summary::of(total) }
    }
}

impl Summary {
    pub(in crate::tui) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let last = values.len().saturating_sub(1);
            values.get((share * last as f64).round() as usize).copied().unwrap_or(0.0)
        };
        Self { count: values.len(), p50: at(0.50), p95: at(0.95), p99: at(0.99) }
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
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let summary = Summary::of((1..=101).map(f64::from).collect());
        assert_eq!(
            (summary.count, summary.p50, summary.p95, summary.p99),
            (101, 51.0, 96.0, 100.0)
        );
        assert_eq!(Summary::of(Vec::new()), Summary::default());
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
