//! Tokens of service accounts, as TokenRequests make them. (kubernetes 1.36:
//! pkg/serviceaccount/{jwt,claims}.go)

use serde_json::{Value, json};

use super::identity::CREDENTIAL_ID;
use super::jwt::Token;
use super::{Authenticated, Identity, objects};
use crate::apiserver::ApiServer;

/// Difference of clocks that is put up with. (go-jose's jwt.DefaultLeeway)
const LEEWAY: i64 = 60;

const PREFIX: &str = "system:serviceaccount:";
/// Group of all service accounts.
const GROUP: &str = "system:serviceaccounts";

const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
/// Key of extra that names the Node a token is bound to.
pub(super) const NODE_NAME: &str = "authentication.kubernetes.io/node-name";
const NODE_UID: &str = "authentication.kubernetes.io/node-uid";

/// User name of a service account.
pub(super) fn user_name(namespace: &str, name: &str) -> String {
    format!("{PREFIX}{namespace}:{name}")
}

/// Namespace and name of the service account that a user is.
pub(crate) fn split_user_name(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix(PREFIX)?.split_once(':')?;
    let is_label = !namespace.is_empty() && !namespace.contains('.');
    (is_label && !name.is_empty() && !name.contains(':')).then_some((namespace, name))
}

/// Groups of the service accounts of a namespace.
pub(super) fn groups(namespace: &str) -> [String; 2] {
    [GROUP.to_owned(), format!("{GROUP}:{namespace}")]
}

/// A service account as a user.
pub(super) fn identity(namespace: &str, name: &str, uid: &str) -> Identity {
    let groups = groups(namespace);
    let groups = groups.iter().map(String::as_str);
    let identity = Identity::new(&user_name(namespace, name), groups);
    Identity { uid: uid.into(), ..identity }.authenticated()
}

/// An object that a token names.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reference<'a> {
    pub(super) name: &'a str,
    pub(super) uid: &'a str,
}

impl<'a> Reference<'a> {
    fn of(claim: &'a Value) -> Option<Self> {
        let name = claim["name"].as_str()?;
        Some(Self { name, uid: claim["uid"].as_str().unwrap_or_default() })
    }

    fn to_claim(self) -> Value {
        match self.uid {
            // A Node that is not there is named only.
            "" => json!({"name": self.name}),
            uid => json!({"name": self.name, "uid": uid}),
        }
    }
}

/// What a new token says.
pub(super) struct Grant<'a> {
    pub(super) issuer: &'a str,
    pub(super) audiences: &'a [String],
    pub(super) namespace: &'a str,
    pub(super) account: Reference<'a>,
    pub(super) pod: Option<Reference<'a>>,
    pub(super) secret: Option<Reference<'a>>,
    pub(super) node: Option<Reference<'a>>,
    /// Seconds since 1970.
    pub(super) now: i64,
    pub(super) lifetime_s: i64,
    /// Seconds after which use of the token is frowned upon.
    pub(super) warn_after_s: Option<i64>,
    pub(super) id: &'a str,
}

impl Grant<'_> {
    /// The claims, in the order of their names.
    pub(super) fn claims(&self) -> Value {
        let mut private = json!({
            "namespace": self.namespace,
            "serviceaccount": self.account.to_claim(),
        });
        let bound = [("node", self.node), ("pod", self.pod), ("secret", self.secret)];
        for (name, reference) in bound {
            if let Some(reference) = reference {
                private[name] = reference.to_claim();
            }
        }
        if let Some(seconds) = self.warn_after_s {
            private["warnafter"] = (self.now + seconds).into();
        }
        json!({
            "aud": self.audiences,
            "exp": self.now + self.lifetime_s,
            "iat": self.now,
            "iss": self.issuer,
            "jti": self.id,
            "kubernetes.io": private,
            "nbf": self.now,
            "sub": user_name(self.namespace, self.account.name),
        })
    }
}

/// Decides whose a token is.
///
/// # Errors
/// Why it does not hold; nothing for a token that is not one of ours.
pub(super) fn authenticate(
    server: &ApiServer,
    token: &Token<'_>,
    audiences: &[String],
) -> Result<Authenticated, &'static str> {
    let access = server.access();
    if token.unverified()["iss"] != *access.issuer {
        return Err("");
    }
    let claims = token
        .verified(server.token_keys().verifying(access))
        .ok_or("failed to verify signature")?;
    let audiences = matching_audiences(claims, &access.audiences, audiences);
    if audiences.is_empty() {
        return Err("token audiences are invalid for the target audiences");
    }
    let now = server.clock().now().as_second();
    check_times(claims, now)?;
    let identity = check_objects(server, claims, now)?;
    Ok(Authenticated { identity, audiences })
}

/// The wanted audiences that the token is meant for.
fn matching_audiences(claims: &Value, implicit: &[String], wanted: &[String]) -> Vec<String> {
    let given: Vec<&str> = match &claims["aud"] {
        Value::String(one) => vec![one],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => implicit.iter().map(String::as_str).collect(),
    };
    wanted.iter().filter(|name| given.contains(&name.as_str())).cloned().collect()
}

fn check_times(claims: &Value, now: i64) -> Result<(), &'static str> {
    // Times are numbers, of which fractions are cut off.
    #[expect(clippy::cast_possible_truncation, reason = "saturates, and is compared only")]
    let time = |name: &str| claims[name].as_f64().map(|seconds| seconds as i64);
    if time("exp").is_none_or(|end| now.saturating_sub(LEEWAY) > end) {
        return Err("service account token has expired");
    }
    if time("nbf").is_some_and(|start| now.saturating_add(LEEWAY) < start) {
        return Err("service account token is not valid yet");
    }
    if time("iat").is_some_and(|made| now.saturating_add(LEEWAY) < made) {
        return Err("service account token is issued in the future");
    }
    Ok(())
}

/// The service account, and whatever else the token is bound to, must still be there.
fn check_objects(server: &ApiServer, claims: &Value, now: i64) -> Result<Identity, &'static str> {
    const INVALID: &str = "service account token has been invalidated";
    let private = &claims["kubernetes.io"];
    let namespace = private["namespace"].as_str().unwrap_or_default();
    let Some(account) = Reference::of(&private["serviceaccount"]) else { return Err(INVALID) };
    let lives = |plural: &str, namespace: &str, reference: Reference<'_>| {
        objects::lives(server, plural, namespace, (reference.name, reference.uid), now)
    };
    let bound = |name: &str| Reference::of(&private[name]);
    let (pod, secret, node) = (bound("pod"), bound("secret"), bound("node"));
    let holds = lives("serviceaccounts", namespace, account)
        && secret.is_none_or(|secret| lives("secrets", namespace, secret))
        && pod.is_none_or(|pod| lives("pods", namespace, pod))
        // The Node of a Pod is there for information.
        && (pod.is_some() || node.is_none_or(|node| lives("nodes", "", node)));
    if !holds {
        return Err(INVALID);
    }
    let mut identity = identity(namespace, account.name, account.uid);
    let mut add = |key: &str, value: String| {
        if !value.is_empty() {
            identity.extra.insert(key.into(), vec![value.into()]);
        }
    };
    if let Some(pod) = pod {
        add(POD_NAME, pod.name.to_owned());
        add(POD_UID, pod.uid.to_owned());
    }
    if let Some(node) = node {
        add(NODE_NAME, node.name.to_owned());
        add(NODE_UID, node.uid.to_owned());
    }
    if let Some(id) = claims["jti"].as_str() {
        add(CREDENTIAL_ID, format!("JTI={id}"));
    }
    Ok(identity)
}
