//! Kinds of the group `certificates.k8s.io`. (kubernetes 1.36: pkg/registry/certificates,
//! pkg/apis/certificates/validation)
//!
//! Who asks, who may approve and when something was approved is set and checked in
//! [`crate::apiserver::certificates`].

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::fields::{items, text};
use super::{Change, NONE, Rules};
use crate::apiserver::write::Target;
use crate::machinery::names;
use crate::machinery::status::{Cause, quote};
use crate::pki::{SigningRequest, check_certificates_pem};

const REQUEST: Rules =
    Rules { initial_status: || Some(json!({})), prepare_update, validate, ..NONE };

/// The rules of a kind.
pub(super) fn rules(kind: &str) -> &'static Rules {
    match kind {
        "CertificateSigningRequest" => &REQUEST,
        _ => &NONE,
    }
}

/// Usages that can be asked for, sorted.
const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

const LEGACY_SIGNER: &str = "kubernetes.io/legacy-unknown";
const LIFETIME_MIN: i64 = 600;
/// Longest part of a signer's name behind the slash: a label, a dot and a subdomain.
const PATH_MAX: usize = 63 + 1 + DOMAIN_MAX;
const DOMAIN_MAX: usize = 253;

/// The request itself never changes; approval and status each change their own conditions.
fn prepare_update(new: &mut Value, old: &Value, target: Target) {
    new["spec"] = old["spec"].clone();
    match target {
        Target::Approval => {
            let conditions = new["status"]["conditions"].take();
            new["status"] = old["status"].clone();
            set_conditions(new, conditions);
            keep_conditions(new, old, "Failed");
        }
        Target::Status => {
            keep_conditions(new, old, "Approved");
            keep_conditions(new, old, "Denied");
        }
        _ => {}
    }
}

fn set_conditions(request: &mut Value, conditions: Value) {
    match conditions {
        Value::Array(list) if !list.is_empty() => request["status"]["conditions"] = list.into(),
        _ => {
            if let Some(status) = request["status"].as_object_mut() {
                status.remove("conditions");
            }
        }
    }
}

/// Restores conditions of a type. Additions and removals are left for validation to refuse.
fn keep_conditions(new: &mut Value, old: &Value, wanted: &str) {
    let is_meant = |condition: &&Value| condition["type"] == wanted;
    let before: Vec<Value> =
        items(&old["status"]["conditions"]).filter(is_meant).cloned().collect();
    let conditions = new.pointer_mut("/status/conditions").and_then(Value::as_array_mut);
    let Some(conditions) = conditions else { return };
    let places = conditions.iter_mut().filter(|condition| condition["type"] == wanted);
    let places: Vec<&mut Value> = places.collect();
    if places.len() == before.len() {
        for (place, condition) in places.into_iter().zip(before) {
            *place = condition;
        }
    }
}

fn validate(change: &Change<'_>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let spec = &change.new["spec"];
    if change.old.is_none() {
        check_request(spec, &mut causes);
        check_usages(&spec["usages"], &mut causes);
        check_signer(text(spec, "signerName"), &mut causes);
        if let Some(seconds) = spec["expirationSeconds"].as_i64()
            && seconds < LIFETIME_MIN
        {
            let why = "may not specify a duration less than 600 seconds (10 minutes)";
            causes.push(Cause::invalid("spec.expirationSeconds", &seconds.into(), why));
        }
    }
    check_conditions(&change.new["status"]["conditions"], &mut causes);
    let certificate = text(&change.new["status"], "certificate");
    let decoded = STANDARD.decode(certificate).unwrap_or_default();
    if !certificate.is_empty()
        && let Err(why) = check_certificates_pem(&decoded)
    {
        let shown = Value::from("<certificate data>");
        causes.push(Cause::invalid("status.certificate", &shown, &why));
    }
    if let Some(old) = change.old {
        check_changes(change, old, &mut causes);
    }
    causes
}

fn check_request(spec: &Value, causes: &mut Vec<Cause>) {
    let encoded = text(spec, "request");
    let decoded = STANDARD.decode(encoded).unwrap_or_default();
    if let Err(why) = SigningRequest::from_pem(&decoded) {
        causes.push(Cause::invalid("spec.request", &encoded.into(), &why));
    }
}

fn check_usages(usages: &Value, causes: &mut Vec<Cause>) {
    if items(usages).next().is_none() {
        causes.push(Cause::required("spec.usages", ""));
    }
    let path = |at: usize| format!("spec.usages[{at}]");
    for (at, usage) in items(usages).enumerate() {
        if !usage.as_str().is_some_and(|usage| USAGES.contains(&usage)) {
            causes.push(Cause::not_supported(path(at), usage, &USAGES));
        }
    }
    let mut seen = BTreeSet::new();
    for (at, usage) in items(usages).enumerate() {
        if !seen.insert(usage.as_str().unwrap_or_default()) {
            causes.push(Cause::duplicate(path(at), usage));
        }
    }
}

fn check_signer(name: &str, causes: &mut Vec<Cause>) {
    const FIELD: &str = "spec.signerName";
    let mut refuse = |shown: &str, why: &str| {
        causes.push(Cause::invalid(FIELD, &shown.into(), why));
    };
    if name == LEGACY_SIGNER {
        return refuse(name, "the legacy signerName is not allowed via this API version");
    }
    if name.is_empty() {
        return causes.push(Cause::required(FIELD, ""));
    }
    let Some((domain, path)) = name.split_once('/').filter(|(_, path)| !path.contains('/')) else {
        let why = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        return refuse(name, why);
    };
    for label in domain.split('.') {
        for why in names::check_label(label) {
            refuse(domain, &format!("validating label {}: {why}", quote(label)));
        }
    }
    if !domain.contains('.') {
        refuse(domain, "should be a domain with at least two segments separated by dots");
    }
    for label in path.split('.') {
        for why in names::check_subdomain(label) {
            refuse(path, &format!("validating label {}: {why}", quote(label)));
        }
    }
    if domain.len() > DOMAIN_MAX {
        causes.push(Cause::too_long(FIELD, DOMAIN_MAX));
    }
    if name.len() > DOMAIN_MAX + 1 + PATH_MAX {
        causes.push(Cause::too_long(FIELD, DOMAIN_MAX + 1 + PATH_MAX));
    }
}

fn check_conditions(conditions: &Value, causes: &mut Vec<Cause>) {
    let mut seen: Vec<&str> = Vec::new();
    for (at, condition) in items(conditions).enumerate() {
        let path = format!("status.conditions[{at}]");
        let (kind, status) = (text(condition, "type"), text(condition, "status"));
        if kind.is_empty() {
            causes.push(Cause::required(format!("{path}.type"), ""));
        }
        let allowed: &[&str] = match kind {
            "Approved" | "Denied" | "Failed" => &["True"],
            _ => &["False", "True", "Unknown"],
        };
        if status.is_empty() {
            causes.push(Cause::required(format!("{path}.status"), ""));
        } else if !allowed.contains(&status) {
            causes.push(Cause::not_supported(format!("{path}.status"), &status.into(), allowed));
        }
        let rival = match kind {
            "Approved" => "Denied",
            "Denied" => "Approved",
            _ => "",
        };
        if !rival.is_empty() && seen.contains(&rival) {
            let why = "Approved and Denied conditions are mutually exclusive";
            causes.push(Cause::invalid(format!("{path}.type"), &kind.into(), why));
        }
        if seen.contains(&kind) {
            causes.push(Cause::duplicate(format!("{path}.type"), &kind.into()));
        }
        seen.push(kind);
    }
}

/// Decisions stay as they were made, and each is made through its own subresource.
fn check_changes(change: &Change<'_>, old: &Value, causes: &mut Vec<Cause>) {
    for kind in ["Approved", "Denied", "Failed"] {
        let of = |object: &Value| -> Vec<Value> {
            let conditions = items(&object["status"]["conditions"]);
            conditions.filter(|condition| condition["type"] == kind).cloned().collect()
        };
        let (new, old) = (of(change.new), of(old));
        let verb = match new.len().cmp(&old.len()) {
            std::cmp::Ordering::Less => "remove",
            std::cmp::Ordering::Greater if may_add(kind, change.target) => continue,
            std::cmp::Ordering::Greater => "add",
            std::cmp::Ordering::Equal if new == old => continue,
            std::cmp::Ordering::Equal => "modify",
        };
        let why = format!("updates may not {verb} a condition of type {}", quote(kind));
        causes.push(Cause::forbidden("status.conditions", &why));
    }
    let certificate = |object: &Value| text(&object["status"], "certificate").to_owned();
    let (new, old) = (certificate(change.new), certificate(old));
    if new != old {
        let why = match change.target {
            Target::Status if old.is_empty() => return,
            Target::Status => "updates may not modify existing certificate content",
            _ => "updates may not set certificate content",
        };
        causes.push(Cause::forbidden("status.certificate", why));
    }
}

fn may_add(kind: &str, target: Target) -> bool {
    match kind {
        "Failed" => target == Target::Status,
        _ => target == Target::Approval,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(old: &Value, status: &Value, target: Target) -> (Value, Vec<String>) {
        let mut new = old.clone();
        new["status"] = status.clone();
        prepare_update(&mut new, old, target);
        let change = Change { new: &new, old: Some(old), target };
        let causes = validate(&change).iter().map(ToString::to_string).collect();
        (new, causes)
    }

    fn condition(kind: &str, status: &str) -> Value {
        json!({"type": kind, "status": status, "reason": "r"})
    }

    #[test]
    fn decisions_are_made_once_and_by_approval() {
        let pending = json!({"spec": {"signerName": "a.b/c"}, "status": {}});
        let approved = json!({"conditions": [condition("Approved", "True")]});
        let (object, causes) = changed(&pending, &approved, Target::Approval);
        assert_eq!((causes, &object["status"]), (vec![], &approved));
        let (_, causes) = changed(&pending, &approved, Target::Status);
        let add =
            "status.conditions: Forbidden: updates may not add a condition of type \"Approved\"";
        assert_eq!(causes, [add]);
        let denied = json!({"conditions": [condition("Denied", "True")]});
        let (_, causes) = changed(&object, &denied, Target::Approval);
        let remove = "status.conditions: Forbidden: updates may not remove a condition of type \
                      \"Approved\"";
        assert_eq!(causes, [remove]);
        let both =
            json!({"conditions": [condition("Approved", "True"), condition("Denied", "True")]});
        let (_, causes) = changed(&pending, &both, Target::Approval);
        assert_eq!(causes.len(), 1);
        let doubtful = json!({"conditions": [condition("Approved", "Unknown")]});
        let (_, causes) = changed(&pending, &doubtful, Target::Approval);
        assert!(causes[0].contains("supported values: \"True\""), "{causes:?}");
    }

    #[test]
    fn certificates_come_through_status_and_stay() {
        let authority = crate::pki::CertificateAuthority::generate("x", Default::default());
        let certificate = STANDARD.encode(authority.unwrap().certificate_pem());
        let pending = json!({"spec": {}, "status": {}});
        let signed = json!({"certificate": certificate});
        let (object, causes) = changed(&pending, &signed, Target::Status);
        assert_eq!((causes, &object["status"]), (vec![], &signed));
        let (object_again, causes) = changed(&pending, &signed, Target::Approval);
        assert_eq!((causes, &object_again["status"]), (vec![], &json!({})));
        let (_, causes) = changed(&object, &json!({}), Target::Status);
        let modify = "status.certificate: Forbidden: updates may not modify existing certificate \
                      content";
        assert_eq!(causes, [modify]);
    }

    #[test]
    fn signers_are_domain_and_path() {
        let check = |name: &str, good: bool| {
            let mut causes = Vec::new();
            check_signer(name, &mut causes);
            assert_eq!(causes.is_empty(), good, "{name}: {causes:?}");
        };
        check("kubernetes.io/kube-apiserver-client", true);
        check("a.b/c.d-e", true);
        for bad in ["", "nodomain", "a/b", "a.b/c/d", "a.b/", "A.b/c", "a..b/c", LEGACY_SIGNER] {
            check(bad, false);
        }
    }
}
