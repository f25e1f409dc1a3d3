//! Impersonation: who may may speak as somebody else.
//!
//! Besides the verb `impersonate` there are modes that are limited to what is done under another
//! name: `impersonate-on:MODE:VERB` for the request itself and `impersonate:MODE` for the user.
//! They are asked first; the refusal of the first one that applies is the answer if none allows.
//! (kubernetes 1.36: apiserver/pkg/endpoints/filters/impersonation, KEP-5284)

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;

use super::identity::{ANONYMOUS, AUTHENTICATED, Identity, MASTERS, UNAUTHENTICATED};
use super::service_accounts::{self, NODE_NAME};
use crate::apiserver::ApiServer;
use crate::apiserver::authorization::{self, Attributes};
use crate::machinery::names;
use crate::machinery::status::{Status, quote};

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";

/// API group of the users of the limited modes.
const AUTHENTICATION: &str = "authentication.k8s.io";
const NODE_PREFIX: &str = "system:node:";
/// Group of Nodes.
const NODES: &str = "system:nodes";
/// Values from which on it is tried whether all are allowed at once.
const MANY: usize = 4;

/// A way of speaking as somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// A Pod as the Node it is on.
    AssociatedNode,
    /// Anybody as a Node.
    ArbitraryNode,
    /// As a service account.
    ServiceAccount,
    /// As anybody else.
    UserInfo,
    /// As anybody, for whatever purpose.
    Legacy,
}

const MODES: [Mode; 5] =
    [Mode::AssociatedNode, Mode::ArbitraryNode, Mode::ServiceAccount, Mode::UserInfo, Mode::Legacy];

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::AssociatedNode => "associated-node",
            Self::ArbitraryNode => "arbitrary-node",
            Self::ServiceAccount => "serviceaccount",
            Self::UserInfo => "user-info",
            Self::Legacy => "",
        }
    }

    fn is_limited(self) -> bool {
        self != Self::Legacy
    }

    /// The verb on users, groups and so on.
    fn verb(self) -> String {
        if self.is_limited() {
            format!("impersonate:{}", self.name())
        } else {
            "impersonate".into()
        }
    }

    /// API group of users and groups.
    fn group(self) -> &'static str {
        if self.is_limited() { AUTHENTICATION } else { "" }
    }

    /// Whether `sender` can speak as `wanted` in this mode at all.
    fn applies(self, wanted: &Identity, sender: &Identity) -> bool {
        let account = service_accounts::split_user_name(&wanted.user).is_some();
        let node = node_name(&wanted.user);
        let is_plain = wanted.uid.is_empty() && wanted.groups.is_empty() && wanted.extra.is_empty();
        match self {
            Self::AssociatedNode => {
                let sends_account = service_accounts::split_user_name(&sender.user).is_some();
                is_plain && sends_account && node.is_some() && sender.extra_value(NODE_NAME) == node
            }
            Self::ArbitraryNode => is_plain && node.is_some(),
            Self::ServiceAccount => is_plain && account,
            Self::UserInfo => node.is_none() && !account,
            Self::Legacy => true,
        }
    }
}

/// The identity that a request is to be judged by: the sender's, or the one that its headers name.
///
/// # Errors
/// 400 for groups, uid or extra without a user, 403 for senders that may not impersonate.
pub(in crate::apiserver) fn effective(
    server: &ApiServer,
    headers: &HeaderMap,
    request: &Attributes<'_>,
    sender: Identity,
) -> Result<Identity, Box<Status>> {
    let Some(wanted) = wanted(headers)? else { return Ok(sender) };
    let mut first_error = None;
    for mode in MODES {
        if !mode.applies(&wanted, &sender) {
            continue;
        }
        let check = Check { server, sender: &sender, mode, verb: &mode.verb() };
        match check.allow(request, &wanted) {
            Ok(identity) => return Ok(identity),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or_else(Status::unauthorized))
}

/// Who is to be impersonated; nobody in most requests.
fn wanted(headers: &HeaderMap) -> Result<Option<Identity>, Box<Status>> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (user, uid) = (text(USER).unwrap_or_default(), text(UID).unwrap_or_default());
    let groups = headers.get_all(GROUP).iter().filter_map(|value| value.to_str().ok());
    let wanted = Identity { uid: uid.into(), extra: extra(headers), ..Identity::new(user, groups) };
    if !user.is_empty() {
        return Ok(Some(wanted));
    }
    if wanted == Identity::default() {
        return Ok(None);
    }
    Err(Status::bad_request(format!(
        "requested &user.DefaultInfo{{Name:\"\", UID:{}, Groups:{}, Extra:{}}} without \
         impersonating a user name",
        quote(uid),
        go_strings(&wanted.groups),
        go_map(&wanted.extra),
    )))
}

/// Values of `Impersonate-Extra-KEY` headers by key.
fn extra(headers: &HeaderMap) -> BTreeMap<Arc<str>, Vec<Arc<str>>> {
    let mut extra = BTreeMap::<Arc<str>, Vec<Arc<str>>>::new();
    for (name, value) in headers {
        let Some(key) = name.as_str().strip_prefix(EXTRA) else { continue };
        let Ok(value) = value.to_str() else { continue };
        let key = crate::apiserver::request::unescape(key).unwrap_or_else(|| key.to_owned());
        extra.entry(key.into()).or_default().push(value.into());
    }
    extra
}

/// A list as Go's `%#v` shows it.
fn go_strings(list: &[Arc<str>]) -> String {
    if list.is_empty() {
        return "[]string(nil)".to_owned();
    }
    let shown: Vec<String> = list.iter().map(|text| quote(text)).collect();
    format!("[]string{{{}}}", shown.join(", "))
}

fn go_map(map: &BTreeMap<Arc<str>, Vec<Arc<str>>>) -> String {
    if map.is_empty() {
        return "map[string][]string(nil)".to_owned();
    }
    let shown = map.iter().map(|(key, values)| format!("{}:{}", quote(key), go_strings(values)));
    format!("map[string][]string{{{}}}", shown.collect::<Vec<_>>().join(", "))
}

/// The Node that a user is.
fn node_name(user: &str) -> Option<&str> {
    user.strip_prefix(NODE_PREFIX).filter(|name| names::check_subdomain(name).is_empty())
}

/// One mode's questions about one sender.
struct Check<'a> {
    server: &'a ApiServer,
    sender: &'a Identity,
    mode: Mode,
    verb: &'a str,
}

impl Check<'_> {
    /// The identity that is spoken as.
    fn allow(&self, request: &Attributes<'_>, wanted: &Identity) -> Result<Identity, Box<Status>> {
        if self.mode.is_limited() {
            let verb = format!("impersonate-on:{}:{}", self.mode.name(), request.verb);
            self.ask(&Attributes { verb: &verb, ..*request })?;
        }
        let mut actual = wanted.clone();
        self.allow_user(wanted, &mut actual)?;
        if !wanted.uid.is_empty() {
            self.ask(&self.about(AUTHENTICATION, "uids", &wanted.uid))?;
        }
        self.allow_groups(&wanted.groups)?;
        self.allow_extra(&wanted.extra)?;
        let everyone = if &*actual.user == ANONYMOUS { UNAUTHENTICATED } else { AUTHENTICATED };
        if !actual.is_member(everyone) && !actual.is_member(UNAUTHENTICATED) {
            actual.groups.push(everyone.into());
        }
        Ok(actual)
    }

    fn allow_user(&self, wanted: &Identity, actual: &mut Identity) -> Result<(), Box<Status>> {
        let mut attributes = self.about(self.mode.group(), "users", &wanted.user);
        let of_groups = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect();
        if let (true, Some(node)) = (self.mode.is_limited(), node_name(&wanted.user)) {
            attributes.resource = "nodes";
            // Which Node is spoken as was checked with the sender's own.
            attributes.name = if self.mode == Mode::AssociatedNode { "*" } else { node };
            actual.groups = of_groups(&[NODES]);
        }
        if let Some((namespace, name)) = service_accounts::split_user_name(&wanted.user) {
            attributes.resource = "serviceaccounts";
            attributes.namespace = namespace;
            attributes.name = name;
            if wanted.groups.is_empty() {
                let [all, own] = service_accounts::groups(namespace);
                actual.groups = of_groups(&[&all, &own]);
            }
        }
        self.ask(&attributes)
    }

    fn allow_groups(&self, groups: &[Arc<str>]) -> Result<(), Box<Status>> {
        let about = |name| self.about(self.mode.group(), "groups", name);
        if self.mode.is_limited() {
            if groups.iter().any(|group| group.is_empty()) {
                let why = "impersonating the empty string group is not allowed";
                return Err(authorization::forbidden(&about(""), self.sender, why));
            }
            if groups.iter().any(|group| **group == *MASTERS) {
                let why = "impersonating the system:masters group is not allowed";
                return Err(authorization::forbidden(&about(MASTERS), self.sender, why));
            }
            if groups.len() >= MANY && self.ask(&about("*")).is_ok() {
                return Ok(());
            }
        }
        groups.iter().try_for_each(|group| self.ask(&about(group)))
    }

    fn allow_extra(&self, extra: &BTreeMap<Arc<str>, Vec<Arc<str>>>) -> Result<(), Box<Status>> {
        let about = |key, value| Attributes {
            subresource: key,
            ..self.about(AUTHENTICATION, "userextras", value)
        };
        if self.mode.is_limited() {
            if let Some(why) = extra.iter().find_map(|(key, values)| odd_extra(key, values)) {
                return Err(authorization::forbidden(&about("", ""), self.sender, &why));
            }
            let values: usize = extra.values().map(Vec::len).sum();
            if values >= MANY && self.ask(&about("*", "*")).is_ok() {
                return Ok(());
            }
        }
        for (key, values) in extra {
            values.iter().try_for_each(|value| self.ask(&about(key, value)))?;
        }
        Ok(())
    }

    fn about<'b>(&'b self, group: &'b str, resource: &'b str, name: &'b str) -> Attributes<'b> {
        Attributes {
            is_resource: true,
            verb: self.verb,
            group,
            resource,
            name,
            ..Attributes::default()
        }
    }

    fn ask(&self, attributes: &Attributes<'_>) -> Result<(), Box<Status>> {
        authorization::require(self.server, attributes, self.sender)
    }
}

/// Why a key and its values cannot be impersonated in a limited mode.
fn odd_extra(key: &str, values: &[Arc<str>]) -> Option<String> {
    if key.is_empty() {
        return Some("impersonating the empty string key in extra is not allowed".to_owned());
    }
    if key != key.to_lowercase() {
        let key = quote(key);
        return Some(format!("impersonating a non-lowercase key in extra is not allowed: {key}"));
    }
    if values.iter().any(|value| value.is_empty()) {
        return Some("impersonating the empty string value in extra is not allowed".to_owned());
    }
    let is_prefixed = key.split_once('/').is_some_and(|(domain, path)| {
        names::check_subdomain(domain).is_empty() && !path.is_empty()
    });
    (!is_prefixed).then(|| {
        format!(
            "impersonating an invalid key in extra is not allowed: extra.key: Invalid value: {}: \
             must be a domain-prefixed path (such as \"acme.io/foo\")",
            quote(key)
        )
    })
}
