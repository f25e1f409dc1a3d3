//! The stages of a machine's start and how long each takes: pure functions of times.
//!
//! VM, then Node, then etcd and API server side by side. A stage starts when the one before it
//! ended; its length is the configured duration plus a share of the jitter that is drawn once per
//! object and stage. (CAPI v1.14: backends/inmemory/inmemorymachine_backend.go, which draws again
//! at every reconcile and measures from times of whole seconds)

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;

use crate::api::conditions::V1Beta1Condition;
use crate::api::infrastructure::{Behaviour, StageBehaviour};
use crate::client::ObjectKey;
use crate::clock::Seed;
use crate::contract::conditions::v1beta1;

/// How late a timer may fire before the next stage is measured from the firing instead.
const TIMER_SLACK: Duration = Duration::from_secs(1);

/// A stage of a machine's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// The virtual machine.
    Vm,
    /// kubelet and Node.
    Node,
    /// The etcd member.
    Etcd,
    /// kube-apiserver.
    ApiServer,
}

impl Stage {
    /// Stages of a worker, in order.
    pub(super) const WORKER: &'static [Self] = &[Self::Vm, Self::Node];
    /// Stages of a control plane machine, in order.
    pub(super) const CONTROL_PLANE: &'static [Self] =
        &[Self::Vm, Self::Node, Self::Etcd, Self::ApiServer];

    /// Stages of a machine, in order.
    pub(super) fn of(is_control_plane: bool) -> &'static [Self] {
        if is_control_plane { Self::CONTROL_PLANE } else { Self::WORKER }
    }

    /// Type of the condition that reports the stage.
    pub(super) fn condition(self) -> &'static str {
        match self {
            Self::Vm => "VMProvisioned",
            Self::Node => "NodeProvisioned",
            Self::Etcd => "EtcdProvisioned",
            Self::ApiServer => "APIServerProvisioned",
        }
    }

    /// Name of the stage's field, also in the source of jitter.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Vm => "vm",
            Self::Node => "node",
            Self::Etcd => "etcd",
            Self::ApiServer => "apiServer",
        }
    }

    fn behaviour(self, behaviour: &Behaviour) -> Option<&StageBehaviour> {
        match self {
            Self::Vm => behaviour.vm.as_ref(),
            Self::Node => behaviour.node.as_ref(),
            Self::Etcd => behaviour.etcd.as_ref(),
            Self::ApiServer => behaviour.api_server.as_ref(),
        }
    }
}

/// Whose stages these are: the parts of the source of jitter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    pub(super) seed: Seed,
    pub(super) namespace: &'a str,
    pub(super) kind: &'a str,
    pub(super) name: &'a str,
}

/// How long a stage takes: startup plus `fraction * jitter * startup`.
///
/// # Errors
/// Names the field that cannot be read.
pub(super) fn duration(
    stage: Stage,
    behaviour: Option<&Behaviour>,
    subject: Subject<'_>,
) -> Result<Duration, String> {
    let Some(part) = behaviour.and_then(|behaviour| stage.behaviour(behaviour)) else {
        return Ok(Duration::ZERO);
    };
    let provisioning = &part.provisioning;
    let field = stage.field();
    let startup = provisioning
        .startup()
        .map_err(|detail| format!("{field}.provisioning.startupDuration: {detail}"))?;
    let jitter = provisioning
        .jitter()
        .map_err(|detail| format!("{field}.provisioning.startupJitter: {detail}"))?;
    if jitter == 0.0 {
        return Ok(startup);
    }
    let fraction = subject.seed.fraction(&[subject.namespace, subject.kind, subject.name, field]);
    let extra = startup.as_secs_f64() * jitter * fraction;
    let extra = Duration::try_from_secs_f64(extra).unwrap_or(Duration::MAX);
    Ok(startup.saturating_add(extra))
}

/// Where a stage stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Over; the next stage is measured from this time.
    Done(Timestamp),
    /// Not before this time.
    WaitUntil(Timestamp),
}

/// Where a stage stands that began at `start` and takes `duration`.
pub(super) fn stage(now: Timestamp, start: Timestamp, duration: Duration) -> Progress {
    let end = start.checked_add(duration).unwrap_or(Timestamp::MAX);
    if now < end {
        return Progress::WaitUntil(end);
    }
    // A timer that fires a little late must not push everything after it back; a reconcile that
    // comes much later (the object was paused) starts the next stage itself.
    let is_late = end.checked_add(TIMER_SLACK).is_ok_and(|latest| now > latest);
    Progress::Done(if is_late { now } else { end })
}

/// When the stages of one machine began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Timeline {
    /// Start of the VM.
    pub(super) vm_start: Option<Timestamp>,
    /// End of the VM's start, start of the Node's.
    pub(super) vm_end: Option<Timestamp>,
    /// End of the Node's start, start of etcd's and the API server's.
    pub(super) node_end: Option<Timestamp>,
}

impl Timeline {
    /// What conditions tell, in whole seconds, when nothing is remembered.
    fn from_conditions(conditions: &[V1Beta1Condition]) -> Self {
        let since = |stage: Stage, wanted: fn(&V1Beta1Condition) -> bool| {
            let condition = v1beta1::get(conditions, stage.condition())?;
            let time = condition.last_transition_time.as_ref()?;
            wanted(condition).then_some(time.0)
        };
        let is_true = |condition: &V1Beta1Condition| condition.status == "True";
        Self {
            vm_start: since(Stage::Vm, |condition| {
                condition.reason == super::status::WAITING_FOR_STARTUP_TIMEOUT
            }),
            vm_end: since(Stage::Vm, is_true),
            node_end: since(Stage::Node, is_true),
        }
    }
}

/// Timelines of the machines that are starting, with the uid that each belongs to. Written and
/// read by the reconciler of the machine only; the lock is held for a look-up.
#[derive(Debug, Default)]
pub(super) struct Timelines(Mutex<HashMap<ObjectKey, (String, Timeline)>>);

impl Timelines {
    /// The timeline of a machine: remembered, or read off its conditions after a restart.
    pub(super) fn get(
        &self,
        key: &ObjectKey,
        uid: &str,
        conditions: &[V1Beta1Condition],
    ) -> Timeline {
        match self.0.lock().get(key) {
            Some((known, timeline)) if known == uid => *timeline,
            _ => Timeline::from_conditions(conditions),
        }
    }

    /// Remembers a machine's timeline.
    pub(super) fn set(&self, key: &ObjectKey, uid: &str, timeline: Timeline) {
        self.0.lock().insert(key.clone(), (uid.to_owned(), timeline));
    }

    /// Forgets a machine that has started or is gone.
    pub(super) fn forget(&self, key: &ObjectKey) {
        self.0.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::api::infrastructure::StageProvisioning;

    fn part(duration: &str, jitter: &str) -> Option<StageBehaviour> {
        let provisioning = StageProvisioning {
            startup_duration: duration.to_owned(),
            startup_jitter: Some(jitter.to_owned()),
        };
        Some(StageBehaviour { provisioning })
    }

    fn subject(seed: u64, name: &str) -> Subject<'_> {
        Subject { seed: Seed(seed), namespace: "default", kind: "DevMachine", name }
    }

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + milliseconds).expect("in range")
    }

    #[test]
    fn stages_come_in_upstreams_order() {
        assert_eq!(Stage::of(false), [Stage::Vm, Stage::Node]);
        assert_eq!(
            Stage::of(true).iter().map(|stage| stage.condition()).collect::<Vec<_>>(),
            ["VMProvisioned", "NodeProvisioned", "EtcdProvisioned", "APIServerProvisioned"]
        );
    }

    #[test]
    fn durations_are_startup_plus_a_share_of_the_jitter() {
        let behaviour = Behaviour {
            vm: part("10s", "0.2"),
            node: part("2s", "0"),
            api_server: part("0s", "5"),
            etcd: None,
        };
        for seed in 0..50 {
            let subject = subject(seed, "a");
            let length = |stage| duration(stage, Some(&behaviour), subject).expect("valid");
            let vm = length(Stage::Vm).as_secs_f64();
            assert!((10.0..12.0).contains(&vm), "{vm}");
            assert_eq!(length(Stage::Vm), length(Stage::Vm), "drawn once per object and stage");
            assert_eq!(length(Stage::Node), Duration::from_secs(2));
            assert_eq!(length(Stage::ApiServer), Duration::ZERO);
            assert_eq!(length(Stage::Etcd), Duration::ZERO);
        }
        let vm = |name| duration(Stage::Vm, Some(&behaviour), subject(1, name)).expect("valid");
        assert_ne!(vm("a"), vm("b"));
        assert_eq!(duration(Stage::Vm, None, subject(1, "a")), Ok(Duration::ZERO));
    }

    #[test]
    fn an_unreadable_duration_is_named() {
        let behaviour = Behaviour { etcd: part("soon", "0"), ..Default::default() };
        assert_eq!(
            duration(Stage::Etcd, Some(&behaviour), subject(1, "a")),
            Err("etcd.provisioning.startupDuration: time: invalid duration \"soon\"".to_owned())
        );
    }

    #[test]
    fn a_stage_ends_when_its_time_is_over() {
        let second = Duration::from_secs(1);
        for (now, expected) in [
            (0, Progress::WaitUntil(at(1000))),
            (999, Progress::WaitUntil(at(1000))),
            (1000, Progress::Done(at(1000))),
            (1007, Progress::Done(at(1000))),
            (2001, Progress::Done(at(2001))),
        ] {
            assert_eq!(stage(at(now), at(0), second), expected, "{now} ms");
        }
        assert_eq!(stage(at(0), at(0), Duration::ZERO), Progress::Done(at(0)));
        assert_eq!(
            stage(at(0), at(0), Duration::MAX),
            Progress::WaitUntil(Timestamp::MAX),
            "for ever"
        );
    }

    #[test]
    fn late_timers_do_not_add_up() {
        // Every timer fires 9 ms late, yet four stages of 500 ms end 2009 ms after the start.
        let length = Duration::from_millis(500);
        let mut start = at(0);
        let mut now = at(0);
        for _ in 0..4 {
            now = start.checked_add(length + Duration::from_millis(9)).expect("in range");
            let Progress::Done(end) = stage(now, start, length) else { panic!("not over") };
            start = end;
        }
        assert_eq!((now, start), (at(2009), at(2000)));
    }

    #[test]
    fn after_a_restart_the_conditions_tell_when_stages_began() {
        let condition = |type_: &str, status: &str, reason: &str, time| V1Beta1Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            last_transition_time: Some(Time(time)),
            ..Default::default()
        };
        let timelines = Timelines::default();
        let key = ObjectKey::new("default", "a");
        let waiting = [condition("VMProvisioned", "False", "WaitingForStartupTimeout", at(0))];
        assert_eq!(timelines.get(&key, "u", &waiting).vm_start, Some(at(0)));
        let blocked = [condition("VMProvisioned", "False", "WaitingForBootstrapData", at(0))];
        assert_eq!(timelines.get(&key, "u", &blocked), Timeline::default());
        let node = [
            condition("VMProvisioned", "True", "", at(1000)),
            condition("NodeProvisioned", "False", "WaitingForStartupTimeout", at(1000)),
        ];
        let read = timelines.get(&key, "u", &node);
        assert_eq!((read.vm_end, read.node_end), (Some(at(1000)), None));
        timelines.set(&key, "u", Timeline { vm_end: Some(at(1234)), ..read });
        assert_eq!(
            timelines.get(&key, "u", &node).vm_end,
            Some(at(1234)),
            "memory is more precise"
        );
        assert_eq!(timelines.get(&key, "other", &node), read, "a namesake starts afresh");
        timelines.forget(&key);
        assert_eq!(timelines.get(&key, "u", &node), read);
    }
}
