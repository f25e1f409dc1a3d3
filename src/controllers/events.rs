//! Expiry of Events: one that nobody writes for an hour goes.
//! (kubernetes 1.36: `--event-ttl`; there etcd's leases do it)
//!
//! With no Events there is no timer. With some, one timer waits for the oldest; when it rings, all
//! Events are looked at once.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::apiserver::ApiServer;
use crate::clock::Clock;
use crate::store::{Entry, RangeQuery, ResourceKey};

/// How long an Event is kept after its last write.
const LIFETIME: SignedDuration = SignedDuration::from_secs(60 * 60);

pub(super) struct EventExpiry {
    server: ApiServer,
    clock: Clock,
    events: Arc<ResourceKey>,
}

impl EventExpiry {
    pub(super) fn new(server: ApiServer, clock: Clock) -> Self {
        let events = Arc::new(ResourceKey { group: "".into(), plural: "events".into() });
        Self { server, clock, events }
    }

    /// Works for ever.
    pub(super) async fn run(self) {
        let changed = self.server.store().changed(&self.events);
        loop {
            let written = changed.notified();
            tokio::pin!(written);
            written.as_mut().enable();
            match self.expire(self.clock.now()) {
                Some(wait) => self.clock.sleep(wait).await,
                None => written.await,
            }
        }
    }

    /// Removes what is too old and says how long to wait for the next; `None` if nothing is left.
    fn expire(&self, now: Timestamp) -> Option<Duration> {
        let store = self.server.store();
        let query =
            RangeQuery { resource: &self.events, namespace: None, after: None, at: None, limit: 0 };
        let page = store.range(query, |_| true).ok()?;
        let mut next: Option<SignedDuration> = None;
        for entry in page.entries {
            let left = LIFETIME - now.duration_since(last_write(&entry).unwrap_or(now));
            if left > SignedDuration::ZERO {
                next = Some(next.map_or(left, |next| next.min(left)));
                continue;
            }
            let key = (&*entry.meta.namespace, &*entry.meta.name);
            // Who wrote it in between keeps it alive.
            if store.delete(&self.events, key, entry.revision).is_err() {
                next = Some(next.map_or(LIFETIME, |next| next.min(LIFETIME)));
            }
        }
        next.map(|next| Duration::try_from(next).unwrap_or_default() + Duration::from_secs(1))
    }
}

/// The latest time that an Event knows; every recorder sets one when it writes.
fn last_write(entry: &Entry) -> Option<Timestamp> {
    let event: Value = serde_json::from_slice(&entry.raw).ok()?;
    let written = event["metadata"]["managedFields"].as_array().into_iter().flatten();
    let times = written.map(|fields| &fields["time"]);
    let own = [
        &event["metadata"]["creationTimestamp"],
        &event["lastTimestamp"],
        &event["series"]["lastObservedTime"],
    ];
    times.chain(own).filter_map(|time| time.as_str()?.parse().ok()).max()
}

#[cfg(test)]
mod tests {
    use kube::core::ApiResource;
    use serde_json::json;

    use super::*;
    use crate::apiserver::{Identity, Options, Profile};
    use crate::client::Client;
    use crate::machinery::builtin;

    #[tokio::test]
    async fn events_go_after_an_hour() {
        let clock = Clock::wall();
        let options = Options::new(clock.clone());
        let server = ApiServer::new(&Profile::new(builtin::definitions()), options);
        let client = Client::in_process(&server, Identity::administrator("test"), "test");
        crate::controllers::seed_namespaces(&client).await.unwrap();
        let expiry = EventExpiry::new(server.clone(), clock.clone());
        assert_eq!(expiry.expire(clock.now()), None);
        let event = json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"name": "e", "namespace": "default"},
            "involvedObject": {"namespace": "default"},
        });
        let resource = ApiResource::erase::<k8s_openapi::api::core::v1::Event>(&());
        client.create_dynamic(&resource, &event).await.unwrap();
        let wait = expiry.expire(clock.now()).unwrap();
        assert!(wait > Duration::from_secs(3_590) && wait <= Duration::from_secs(3_602));
        assert_eq!(server.store().count(&expiry.events), 1);
        assert_eq!(expiry.expire(clock.now() + LIFETIME), None);
        assert_eq!(server.store().count(&expiry.events), 0);
    }
}
