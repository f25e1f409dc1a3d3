//! Core v1 Events about objects, aggregated as client-go does. (client-go tools/record)
//!
//! Recorders put events into one bounded queue; one task writes them. An event that says the same
//! about the same object as one of the last ten minutes raises that one's count.

use std::collections::HashMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Resource;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::client::{Client, ClientError, ObjectKey};
use crate::clock::Clock;
use crate::metrics::{Counter, Registry};

/// Severity of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    /// Business as usual.
    Normal,
    /// Worth a look.
    Warning,
}

impl EventType {
    fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// Records events in the background; a full queue drops the newest. Cheap to clone.
#[derive(Clone)]
pub struct EventRecorder {
    sink: Sink,
    component: &'static str,
}

impl EventRecorder {
    /// Records one event about an object. Never waits.
    pub fn event<K>(
        &self,
        about: &K,
        event_type: EventType,
        reason: &str,
        message: impl Into<String>,
    ) where
        K: Resource<DynamicType = ()>,
    {
        let meta = about.meta();
        let about = ObjectReference {
            api_version: Some(K::api_version(&()).into_owned()),
            kind: Some(K::kind(&()).into_owned()),
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
            uid: meta.uid.clone(),
            resource_version: meta.resource_version.clone(),
            field_path: None,
        };
        self.event_about(about, event_type, reason, message);
    }

    /// The same about an object of a kind known only at run time.
    pub fn event_about(
        &self,
        about: ObjectReference,
        event_type: EventType,
        reason: &str,
        message: impl Into<String>,
    ) {
        self.sink.push(Occurrence {
            about,
            component: self.component,
            event_type,
            reason: reason.to_owned(),
            message: message.into(),
        });
    }
}

/// Events that wait to be written.
const QUEUE_MAX: usize = 1000;
/// How long an event is counted up instead of repeated.
const AGGREGATION: Duration = Duration::from_secs(600);
/// Events that are remembered for that; client-go's cache size.
const REMEMBERED_MAX: usize = 4096;
/// How long events that wait when the manager stops may take.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// Something that happened, before it is an API object.
struct Occurrence {
    about: ObjectReference,
    component: &'static str,
    event_type: EventType,
    reason: String,
    message: String,
}

/// The recorders' end of the queue.
#[derive(Clone)]
pub(super) struct Sink {
    queue: mpsc::Sender<Occurrence>,
    dropped: Counter,
}

/// The writer's end of the queue.
pub(super) struct Worker {
    queue: mpsc::Receiver<Occurrence>,
    clock: Clock,
    remembered: HashMap<Fingerprint, Remembered>,
    /// Last number used in a name.
    last_name: i128,
}

/// What makes two events the same.
#[derive(PartialEq, Eq, Hash)]
struct Fingerprint {
    uid: Option<String>,
    kind: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    component: &'static str,
    event_type: EventType,
    reason: String,
    message: String,
}

/// An event that was written.
struct Remembered {
    key: ObjectKey,
    count: i32,
    last: Duration,
}

/// A queue for events and its writer.
pub(super) fn channel(clock: Clock, metrics: &Registry) -> (Sink, Worker) {
    let (sender, receiver) = mpsc::channel(QUEUE_MAX);
    let dropped = metrics.counter(
        "capim_events_dropped_total",
        "Events that were not recorded because the queue was full",
        &[],
    );
    let sink = Sink { queue: sender, dropped };
    let worker =
        Worker { queue: receiver, clock, remembered: HashMap::new(), last_name: i128::MIN };
    (sink, worker)
}

impl Sink {
    pub(super) fn recorder(&self, component: &'static str) -> EventRecorder {
        EventRecorder { sink: self.clone(), component }
    }

    fn push(&self, occurrence: Occurrence) {
        if let Err(error) = self.queue.try_send(occurrence) {
            self.dropped.inc();
            debug!(%error, "event dropped");
        }
    }
}

impl Worker {
    /// Writes events until `stop` is cancelled, then those that wait.
    pub(super) async fn run(mut self, client: Client, stop: CancellationToken) {
        let forever = async {
            while let Some(occurrence) = self.queue.recv().await {
                self.write(&client, occurrence).await;
            }
        };
        stop.run_until_cancelled(forever).await;
        let clock = self.clock.clone();
        let flush = async {
            while let Ok(occurrence) = self.queue.try_recv() {
                self.write(&client, occurrence).await;
            }
        };
        if clock.timeout(FLUSH_MAX, flush).await.is_err() {
            debug!("events were left unwritten at the end");
        }
    }

    async fn write(&mut self, client: &Client, occurrence: Occurrence) {
        let fingerprint = Fingerprint {
            uid: occurrence.about.uid.clone(),
            kind: occurrence.about.kind.clone(),
            namespace: occurrence.about.namespace.clone(),
            name: occurrence.about.name.clone(),
            component: occurrence.component,
            event_type: occurrence.event_type,
            reason: occurrence.reason.clone(),
            message: occurrence.message.clone(),
        };
        let now = self.clock.elapsed();
        if let Some(known) = self.remembered.get_mut(&fingerprint)
            && now.saturating_sub(known.last) <= AGGREGATION
        {
            known.last = now;
            match count_up(client, known, &self.clock).await {
                Ok(()) => return,
                // Events expire: then this one is the first again.
                Err(error) if error.is_not_found() => {}
                Err(error) => return debug!(%error, "event not counted"),
            }
        }
        let event = self.make_event(occurrence);
        match client.create(&event).await {
            Ok(_) => self.remember(fingerprint, ObjectKey::of(&event)),
            // Such as in a namespace that is on its way out.
            Err(error) => debug!(%error, "event not recorded"),
        }
    }

    fn remember(&mut self, fingerprint: Fingerprint, key: ObjectKey) {
        let now = self.clock.elapsed();
        if self.remembered.len() >= REMEMBERED_MAX {
            self.remembered.retain(|_, known| now.saturating_sub(known.last) <= AGGREGATION);
        }
        if self.remembered.len() >= REMEMBERED_MAX {
            self.remembered.clear();
        }
        self.remembered.insert(fingerprint, Remembered { key, count: 1, last: now });
    }

    fn make_event(&mut self, occurrence: Occurrence) -> Event {
        let now = self.clock.now();
        // As client-go: the object's name and the time in hexadecimal, here without repetition.
        self.last_name = now.as_nanosecond().max(self.last_name.saturating_add(1));
        let about = occurrence.about;
        let object = about.name.as_deref().unwrap_or_default();
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{object}.{:x}", self.last_name)),
                namespace: Some(about.namespace.clone().unwrap_or_else(|| "default".to_owned())),
                ..ObjectMeta::default()
            },
            source: Some(EventSource {
                component: Some(occurrence.component.to_owned()),
                host: None,
            }),
            reporting_component: Some(occurrence.component.to_owned()),
            reporting_instance: Some(String::new()),
            involved_object: about,
            first_timestamp: Some(Time(now)),
            last_timestamp: Some(Time(now)),
            count: Some(1),
            type_: Some(occurrence.event_type.as_str().to_owned()),
            reason: Some(occurrence.reason),
            message: Some(occurrence.message),
            ..Event::default()
        }
    }
}

async fn count_up(
    client: &Client,
    known: &mut Remembered,
    clock: &Clock,
) -> Result<(), ClientError> {
    let patch = json!({"count": known.count + 1, "lastTimestamp": Time(clock.now())});
    client.merge_patch::<Event>(&known.key, "", &patch).await?;
    known.count += 1;
    Ok(())
}
