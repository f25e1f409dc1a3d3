//! CertificateSigningRequests: who asks, who may approve and sign. (kubernetes 1.36:
//! pkg/registry/certificates/certificates/strategy.go, plugin/pkg/admission/certificates)

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use super::authentication::{Identity, MASTERS, extra_value};
use super::authorization::{self, Attributes};
use super::profile::Resource;
use super::write::Target;
use super::{ApiServer, RequestInfo};
use crate::machinery::gvk::GroupResource;
use crate::machinery::status::Status;
use crate::pki::SigningRequest;

const GROUP: &str = "certificates.k8s.io";
const PLURAL: &str = "certificatesigningrequests";
/// The signer of certificates by which clients are known to the API server.
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";

/// Whether the resource is that of the requests.
pub(super) fn is_meant(resource: &Resource) -> bool {
    resource.is(GROUP, PLURAL)
}

/// Says in a new request who sends it, and in changed conditions when they changed.
pub(super) fn prepare(identity: &Identity, now: Timestamp, new: &mut Value, old: Option<&Value>) {
    disown(new);
    let Some(old) = old else { return stamp(identity, new) };
    let now = format!("{now:.0}");
    let before = old["status"]["conditions"].as_array();
    let conditions = new.pointer_mut("/status/conditions").and_then(Value::as_array_mut);
    let conditions = conditions.into_iter().flatten();
    for condition in conditions.filter(|condition| condition.is_object()) {
        if condition["lastUpdateTime"].is_null() {
            condition["lastUpdateTime"] = now.as_str().into();
        }
        if condition["lastTransitionTime"].is_null() {
            let same = before.into_iter().flatten().find(|other| {
                other["type"] == condition["type"]
                    && other["status"] == condition["status"]
                    && !other["lastTransitionTime"].is_null()
            });
            let time = same.map(|other| other["lastTransitionTime"].clone());
            condition["lastTransitionTime"] = time.unwrap_or_else(|| now.as_str().into());
        }
    }
}

/// Nobody owns spec and status: what clients say of them is reset, save through subresources, whose
/// writers own nothing either. (strategy.go, GetResetFields)
fn disown(request: &mut Value) {
    let Some(Value::Object(metadata)) = request.get_mut("metadata") else { return };
    let Some(Value::Array(entries)) = metadata.get_mut("managedFields") else { return };
    for entry in entries.iter_mut() {
        if let Some(Value::Object(fields)) = entry.get_mut("fieldsV1") {
            fields.remove("f:spec");
            fields.remove("f:status");
        }
    }
    entries.retain(|entry| entry["fieldsV1"].as_object().is_none_or(|fields| !fields.is_empty()));
    if entries.is_empty() {
        metadata.remove("managedFields");
    }
}

fn stamp(identity: &Identity, request: &mut Value) {
    let Some(spec) = request["spec"].as_object_mut() else { return };
    for field in ["username", "uid", "groups", "extra"] {
        spec.remove(field);
    }
    spec.insert("username".to_owned(), (*identity.user).into());
    if !identity.uid.is_empty() {
        spec.insert("uid".to_owned(), (*identity.uid).into());
    }
    let groups: Vec<Value> = identity.groups.iter().map(|group| (**group).into()).collect();
    if !groups.is_empty() {
        spec.insert("groups".to_owned(), groups.into());
    }
    if !identity.extra.is_empty() {
        spec.insert("extra".to_owned(), extra_value(&identity.extra));
    }
}

/// Decides whether the sender may approve, sign or ask for what a write approves, signs or asks
/// for.
///
/// # Errors
/// 403.
pub(super) fn check(
    server: &ApiServer,
    identity: &Identity,
    target: Target,
    (new, old): (&Value, Option<&Value>),
) -> Result<(), Box<Status>> {
    let signer = new["spec"]["signerName"].as_str().unwrap_or_default();
    let refused = |verb: &str| {
        let why = format!("user not permitted to {verb} requests with signerName \"{signer}\"");
        forbidden(new, &why)
    };
    let Some(old) = old else { return check_subject(new, signer) };
    match target {
        Target::Approval if !may(server, identity, "approve", signer) => Err(refused("approve")),
        Target::Status => {
            let is_signed = ["certificate", "conditions"]
                .iter()
                .any(|field| new["status"][field] != old["status"][field]);
            if is_signed && !may(server, identity, "sign", signer) {
                return Err(refused("sign"));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Nobody becomes a member of `system:masters` by a certificate of this API.
fn check_subject(request: &Value, signer: &str) -> Result<(), Box<Status>> {
    if signer != CLIENT_SIGNER {
        return Ok(());
    }
    let encoded = request["spec"]["request"].as_str().unwrap_or_default();
    let decoded = STANDARD.decode(encoded).unwrap_or_default();
    // Validation refuses what cannot be read.
    let Ok(parsed) = SigningRequest::from_pem(&decoded) else { return Ok(()) };
    if !parsed.organizations.iter().any(|name| name == MASTERS) {
        return Ok(());
    }
    let why = format!("use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed");
    Err(forbidden(request, &why))
}

/// Whether a verb on a signer, or on all signers of its domain, is granted.
fn may(server: &ApiServer, identity: &Identity, verb: &str, signer: &str) -> bool {
    let attributes = |name| Attributes {
        is_resource: true,
        verb,
        group: GROUP,
        resource: "signers",
        name,
        ..Attributes::default()
    };
    let domain = signer.split('/').next().unwrap_or_default();
    authorization::decide(server, &attributes(signer), identity).is_allowed
        || authorization::decide(server, &attributes(&format!("{domain}/*")), identity).is_allowed
}

fn forbidden(request: &Value, why: &str) -> Box<Status> {
    let name = request["metadata"]["name"].as_str().unwrap_or_default();
    Status::forbidden(&GroupResource::new(GROUP, PLURAL), name, why)
}

/// Whether a request is for the subresource by which requests are approved.
pub(super) fn is_approval(resource: &Resource, info: &RequestInfo) -> bool {
    info.subresource == "approval" && is_meant(resource)
}
