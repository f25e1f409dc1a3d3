//! Leader election by a Lease: of several processes with the same controllers one works.
//! (client-go v0.36: tools/leaderelection; KEP-589)
//!
//! Whoever holds the Lease renews it; the others wait until it has not changed for its whole
//! duration, measured on their own clock, so that clocks need not agree. Every change is made
//! against the resourceVersion that was read. A holder that stops in good order gives the Lease
//! back, so that the next one need not wait.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use serde_json::json;
use tracing::{debug, info};

use crate::client::{Client, ClientError, ObjectKey};
use crate::clock::Clock;

/// How long a Lease holds without being renewed; controller-runtime's figure, as are the others.
const LEASE_DURATION: Duration = Duration::from_secs(15);
/// How long the holder may try to renew before it must stop working.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Time between two tries.
const RETRY_PERIOD: Duration = Duration::from_secs(2);

/// Why somebody no longer leads.
#[derive(Debug, thiserror::Error)]
pub enum LeaderError {
    /// Somebody else holds the Lease.
    #[error("lease {lease} was taken over by {holder}")]
    TakenOver {
        /// The Lease.
        lease: ObjectKey,
        /// Who holds it now.
        holder: String,
    },
    /// The Lease could not be renewed in time.
    #[error("lease {lease} could not be renewed within {RENEW_DEADLINE:?}: {cause}")]
    Lost {
        /// The Lease.
        lease: ObjectKey,
        /// The last failure.
        cause: String,
    },
    /// The server refuses for good: bad credentials, or no permission.
    #[error("failed to use lease {lease}: {source}")]
    Refused {
        /// The Lease.
        lease: ObjectKey,
        /// The refusal.
        source: ClientError,
    },
}

/// One candidate for one Lease.
pub struct LeaderElection {
    client: Client,
    clock: Clock,
    lease: ObjectKey,
    /// This candidate's name; unique among all.
    identity: String,
    /// What was last seen of the Lease, and when it last changed (`Clock::elapsed`).
    seen: Option<(Observed, Duration)>,
}

/// What decides about a Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Observed {
    resource_version: String,
    holder: String,
    duration: Duration,
    transitions: i32,
}

/// Outcome of one try.
enum Try {
    /// This candidate holds the Lease.
    Held,
    /// Somebody else does.
    HeldBy(String),
}

impl LeaderElection {
    /// A candidate that does not hold the Lease yet.
    pub fn new(client: Client, clock: Clock, lease: ObjectKey, identity: String) -> Self {
        Self { client, clock, lease, identity, seen: None }
    }

    /// Waits until the Lease is ours. A server that cannot be reached is asked again.
    ///
    /// # Errors
    /// [`LeaderError::Refused`].
    pub async fn acquire(&mut self) -> Result<(), LeaderError> {
        let mut told = String::new();
        loop {
            match self.attempt().await {
                Ok(Try::Held) => {
                    info!(lease = %self.lease, identity = %self.identity, "became leader");
                    return Ok(());
                }
                Ok(Try::HeldBy(holder)) => {
                    if told != holder {
                        info!(lease = %self.lease, %holder, "waiting for the lease");
                        told = holder;
                    }
                }
                Err(source) if is_final(&source) => {
                    return Err(LeaderError::Refused { lease: self.lease.clone(), source });
                }
                Err(error) => debug!(lease = %self.lease, %error, "failed to acquire the lease"),
            }
            self.clock.sleep(RETRY_PERIOD).await;
        }
    }

    /// Whom the Lease is held by, as far as is known.
    pub fn holder(&self) -> Option<&str> {
        self.seen.as_ref().map(|(seen, _)| seen.holder.as_str())
    }

    /// Keeps the Lease for as long as that works. Whatever goes wrong is tried again until the
    /// deadline, as by controller-runtime.
    pub async fn keep(&mut self) -> LeaderError {
        let mut renewed = self.clock.elapsed();
        loop {
            self.clock.sleep(RETRY_PERIOD).await;
            let left = (renewed + RENEW_DEADLINE).saturating_sub(self.clock.elapsed());
            let clock = self.clock.clone();
            let cause = match clock.timeout(left, self.attempt()).await {
                Ok(Ok(Try::Held)) => {
                    renewed = self.clock.elapsed();
                    continue;
                }
                Ok(Ok(Try::HeldBy(holder))) => {
                    return LeaderError::TakenOver { lease: self.lease.clone(), holder };
                }
                // A server that has just come back may know nobody yet: time decides.
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer".to_owned(),
            };
            debug!(lease = %self.lease, cause, "failed to renew the lease");
            if self.clock.elapsed() >= renewed + RENEW_DEADLINE {
                return LeaderError::Lost { lease: self.lease.clone(), cause };
            }
        }
    }

    /// Gives the Lease back, if it is ours.
    pub async fn release(&mut self) {
        let Some((seen, _)) = self.seen.take().filter(|(seen, _)| seen.holder == self.identity)
        else {
            return;
        };
        // As client-go does it: a Lease that nobody holds, for a second.
        let free = Observed { holder: String::new(), duration: Duration::from_secs(1), ..seen };
        if let Err(error) = self.write(&free, false).await {
            debug!(lease = %self.lease, %error, "failed to release the lease");
        }
    }

    /// Reads the Lease and takes or renews it if that is allowed.
    async fn attempt(&mut self) -> Result<Try, ClientError> {
        let Some(lease) = self.client.get::<Lease>(&self.lease).await? else {
            return match self.create().await {
                // Somebody else was quicker: look again next time.
                Err(error) if error.is_already_exists() => Ok(Try::HeldBy(String::new())),
                Err(error) => Err(error),
                Ok(()) => Ok(Try::Held),
            };
        };
        let found = Observed::of(&lease);
        let now = self.clock.elapsed();
        let since = match &self.seen {
            Some((seen, since)) if *seen == found => *since,
            _ => now,
        };
        self.seen = Some((found.clone(), since));
        let is_ours = found.holder == self.identity;
        if !is_ours && !found.holder.is_empty() && now < since + found.duration {
            return Ok(Try::HeldBy(found.holder));
        }
        let transitions = found.transitions.saturating_add(i32::from(!is_ours));
        let wanted = Observed {
            holder: self.identity.clone(),
            duration: LEASE_DURATION,
            transitions,
            ..found.clone()
        };
        match self.write(&wanted, !is_ours).await {
            Ok(()) => Ok(Try::Held),
            // Of two that want it the other one was quicker.
            Err(error) if error.is_conflict() && !is_ours => Ok(Try::HeldBy(found.holder)),
            Err(error) => Err(error),
        }
    }

    async fn create(&mut self) -> Result<(), ClientError> {
        let now = self.now();
        let lease = json!({
            "metadata": {"name": self.lease.name, "namespace": self.lease.namespace},
            "spec": {
                "holderIdentity": self.identity,
                "leaseDurationSeconds": LEASE_DURATION.as_secs(),
                "acquireTime": now,
                "renewTime": now,
                "leaseTransitions": 0,
            },
        });
        let lease: Lease = serde_json::from_value(lease).map_err(|source| ClientError::Codec {
            what: format!("Lease {}", self.lease),
            source,
        })?;
        let written = self.client.create(&lease).await?;
        self.seen = Some((Observed::of(&written), self.clock.elapsed()));
        Ok(())
    }

    /// Writes a state over the version it was read in.
    async fn write(&mut self, wanted: &Observed, is_new: bool) -> Result<(), ClientError> {
        let now = self.now();
        let mut spec = json!({
            "holderIdentity": wanted.holder,
            "leaseDurationSeconds": wanted.duration.as_secs(),
            "renewTime": now,
            "leaseTransitions": wanted.transitions,
        });
        if is_new || wanted.holder.is_empty() {
            spec["acquireTime"] = now.into();
        }
        let patch = json!({"metadata": {"resourceVersion": wanted.resource_version}, "spec": spec});
        let written = self.client.merge_patch::<Lease>(&self.lease, "", &patch).await?;
        self.seen = Some((Observed::of(&written), self.clock.elapsed()));
        Ok(())
    }

    /// The present time as `MicroTime` has it.
    fn now(&self) -> String {
        format!("{:.6}", self.clock.now())
    }
}

impl Observed {
    fn of(lease: &Lease) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        let seconds = spec.lease_duration_seconds.unwrap_or_default();
        Self {
            resource_version: lease.metadata.resource_version.clone().unwrap_or_default(),
            holder: spec.holder_identity.unwrap_or_default(),
            duration: Duration::from_secs(u64::try_from(seconds).unwrap_or_default()),
            transitions: spec.lease_transitions.unwrap_or_default(),
        }
    }
}

/// Whether trying again cannot help: who we are or what we may is not what it has to be, or there
/// is no such namespace.
fn is_final(error: &ClientError) -> bool {
    matches!(error.code(), Some(401 | 403 | 404))
}

#[cfg(test)]
mod tests;
