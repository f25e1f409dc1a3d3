//! CertificateSigningRequests: approves what Nodes ask for themselves, signs what is approved,
//! deletes what is old. (kubernetes 1.36: pkg/controller/certificates/{approver,signer,cleaner})
//!
//! Requests to the signers of kubelets that do not fit are left alone, in case somebody else signs
//! for them; those of clients are marked as failed.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest as Request;
use serde_json::{Value, json};

use super::follow::{Follower, persist};
use crate::apiserver::ApiServer;
use crate::client::{Client, ClientError, ObjectKey, Propagation};
use crate::clock::Clock;
use crate::pki::{CertificateAuthority, SigningRequest};
use crate::store::Entry;

const GROUP: &str = "certificates.k8s.io";
const PLURAL: &str = "certificatesigningrequests";

const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";
const LEGACY: &str = "kubernetes.io/legacy-unknown";

const NODES: &str = "system:nodes";
const NODE_PREFIX: &str = "system:node:";

/// Lifetime of certificates at most. (`--cluster-signing-duration`)
const LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);
/// How long requests stay that were approved, denied or failed.
const DECIDED_FOR: SignedDuration = SignedDuration::from_hours(1);
/// How long requests stay that nobody decides about.
const PENDING_FOR: SignedDuration = SignedDuration::from_hours(24);

pub(super) struct CertificateRequests {
    pub(super) server: ApiServer,
    pub(super) client: Client,
    pub(super) clock: Clock,
    /// Signs; nothing is signed without it.
    pub(super) authority: Option<Arc<CertificateAuthority>>,
}

impl CertificateRequests {
    /// Works for ever. Sleeps until the next request is old only while there are any.
    pub(super) async fn run(self) {
        let mut requests = Follower::new(&self.server, GROUP, PLURAL);
        loop {
            let due = self.clean(&requests.all()).await;
            tokio::select! {
                changes = requests.next() => {
                    for change in changes.iter().filter(|change| !change.is_deleted) {
                        self.look_at(&change.entry).await;
                    }
                }
                () = self.sleep_until(due) => {}
            }
        }
    }

    async fn sleep_until(&self, due: Option<Timestamp>) {
        let Some(due) = due else { return std::future::pending().await };
        let left = due.duration_since(self.clock.now());
        self.clock.sleep(Duration::try_from(left).unwrap_or_default()).await;
    }

    /// Deletes what is old; the time at which the next one will be.
    async fn clean(&self, requests: &[Arc<Entry>]) -> Option<Timestamp> {
        let now = self.clock.now();
        let mut next = None;
        for entry in requests {
            let request: Value = serde_json::from_slice(&entry.raw).unwrap_or_default();
            let Some(due) = due(&request) else { continue };
            if due > now {
                next = Some(next.map_or(due, |next: Timestamp| next.min(due)));
                continue;
            }
            let key = ObjectKey::new("", &*entry.meta.name);
            persist(&self.clock, PLURAL, || self.delete(&key)).await;
        }
        next
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), ClientError> {
        self.client.delete::<Request>(key, Propagation::Background).await
    }

    async fn look_at(&self, entry: &Entry) {
        let request: Value = serde_json::from_slice(&entry.raw).unwrap_or_default();
        let encoded = request["spec"]["request"].as_str().unwrap_or_default();
        let decoded = STANDARD.decode(encoded).unwrap_or_default();
        let Ok(parsed) = SigningRequest::from_pem(&decoded) else { return };
        let key = ObjectKey::new("", &*entry.meta.name);
        if has(&request, "Failed") || has(&request, "Denied") {
            return;
        }
        if has(&request, "Approved") {
            if request["status"]["certificate"].as_str().unwrap_or_default().is_empty() {
                self.sign(&key, &request, &parsed).await;
            }
        } else if is_own_node(&request, &parsed) {
            let patch = json!({"status": {"conditions": [{
                "type": "Approved", "status": "True", "reason": "AutoApproved",
                "message": "Auto approving self kubelet client certificate after \
                            SubjectAccessReview.",
            }]}});
            persist(&self.clock, PLURAL, || self.patch(&key, "approval", &patch)).await;
        }
    }

    async fn sign(&self, key: &ObjectKey, request: &Value, parsed: &SigningRequest) {
        let Some(authority) = &self.authority else { return };
        let spec = &request["spec"];
        let signer = spec["signerName"].as_str().unwrap_or_default();
        let usages = spec["usages"].as_array().into_iter().flatten();
        let usages: Vec<&str> = usages.filter_map(Value::as_str).collect();
        let patch = match fits(signer, parsed, &usages) {
            Fit::Fits => {
                let lifetime = spec["expirationSeconds"].as_u64().map(Duration::from_secs);
                let lifetime = lifetime.map_or(LIFETIME, |wanted| wanted.min(LIFETIME));
                match authority.sign_request(parsed, &usages, lifetime) {
                    Ok(pem) => json!({"status": {"certificate": STANDARD.encode(pem)}}),
                    Err(error) => {
                        tracing::warn!(%error, "failed to sign a certificate");
                        return;
                    }
                }
            }
            Fit::Fails(why) => {
                let mut conditions =
                    request["status"]["conditions"].as_array().cloned().unwrap_or_default();
                conditions.push(json!({"type": "Failed", "status": "True",
                    "reason": "SignerValidationFailure", "message": why}));
                json!({"status": {"conditions": conditions}})
            }
            Fit::Foreign => return,
        };
        persist(&self.clock, PLURAL, || self.patch(key, "status", &patch)).await;
    }

    async fn patch(
        &self,
        key: &ObjectKey,
        subresource: &str,
        patch: &Value,
    ) -> Result<(), ClientError> {
        match self.client.merge_patch::<Request>(key, subresource, patch).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// When a request is deleted.
fn due(request: &Value) -> Option<Timestamp> {
    let time = |text: &Value| text.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let created = time(&request["metadata"]["creationTimestamp"])?;
    let decided = request["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|it| matches!(it["type"].as_str(), Some("Approved" | "Denied" | "Failed")));
    match decided {
        Some(condition) => {
            time(&condition["lastUpdateTime"]).unwrap_or(created).checked_add(DECIDED_FOR).ok()
        }
        None => created.checked_add(PENDING_FOR).ok(),
    }
}

fn has(request: &Value, condition: &str) -> bool {
    let conditions = request["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|it| it["type"] == condition)
}

/// Whether a Node asks for the client certificate that it has already.
fn is_own_node(request: &Value, parsed: &SigningRequest) -> bool {
    let usages = request["spec"]["usages"].as_array().into_iter().flatten();
    let usages: Vec<&str> = usages.filter_map(Value::as_str).collect();
    request["spec"]["signerName"] == KUBELET_CLIENT
        && request["spec"]["username"] == *parsed.common_name
        && matches!(fits(KUBELET_CLIENT, parsed, &usages), Fit::Fits)
}

/// What a signer says to a request.
enum Fit {
    Fits,
    Fails(String),
    /// Not one of ours.
    Foreign,
}

fn fits(signer: &str, request: &SigningRequest, usages: &[&str]) -> Fit {
    let only = |allowed: &[&str]| usages.iter().all(|usage| allowed.contains(usage));
    let has = |usage: &str| usages.contains(&usage);
    let is_node = request.organizations == [NODES] && request.common_name.starts_with(NODE_PREFIX);
    let has_names = !request.dns_names.is_empty() || !request.addresses.is_empty();
    let has_other_names = !request.emails.is_empty() || !request.uris.is_empty();
    const KEYS: [&str; 2] = ["digital signature", "key encipherment"];
    match signer {
        CLIENT => {
            if has("client auth") && only(&["client auth", KEYS[0], KEYS[1]]) {
                return Fit::Fits;
            }
            let shown = usages.iter().map(|usage| format!("{usage:?}")).collect::<Vec<_>>();
            Fit::Fails(format!("usages did not match: [{}]", shown.join(" ")))
        }
        KUBELET_CLIENT if is_node && !has_names && !has_other_names && has("client auth") => {
            if only(&["client auth", KEYS[0], KEYS[1]]) { Fit::Fits } else { Fit::Foreign }
        }
        KUBELET_SERVING if is_node && has_names && !has_other_names && has("server auth") => {
            if only(&["server auth", KEYS[0], KEYS[1]]) { Fit::Fits } else { Fit::Foreign }
        }
        LEGACY => Fit::Fits,
        _ => Fit::Foreign,
    }
}
