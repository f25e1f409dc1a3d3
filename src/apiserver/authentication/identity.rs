//! Who sends a request.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

/// Group of everyone with credentials.
pub(crate) const AUTHENTICATED: &str = "system:authenticated";
/// Group of everyone without.
pub(crate) const UNAUTHENTICATED: &str = "system:unauthenticated";
/// Name of everyone without credentials.
pub(crate) const ANONYMOUS: &str = "system:anonymous";
/// The group that bypasses authorization.
pub(crate) const MASTERS: &str = "system:masters";
/// Key of [`Identity::extra`] that names the credential: a certificate's hash, a token's id.
/// (kubernetes 1.36: apiserver/pkg/authentication/user)
pub(crate) const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// Who sends a request; put into the request's extensions by the transport (TLS listener or
/// in-process client). A request without one is known by its bearer token, or anonymous.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// User name.
    pub user: Arc<str>,
    /// Uid; empty where there is none.
    pub uid: Arc<str>,
    /// Groups.
    pub groups: Vec<Arc<str>>,
    /// More about the user, for admission and for users of reviews.
    pub extra: BTreeMap<Arc<str>, Vec<Arc<str>>>,
}

impl Identity {
    /// A user without uid and extra, in these groups and no others.
    pub fn new<'a>(user: &str, groups: impl IntoIterator<Item = &'a str>) -> Self {
        let groups = groups.into_iter().map(Arc::from).collect();
        Self { user: user.into(), groups, ..Self::default() }
    }

    /// A member of `system:masters`, who may do everything.
    pub fn administrator(user: &str) -> Self {
        Self::new(user, [MASTERS, AUTHENTICATED])
    }

    /// Whoever sends no credentials.
    pub fn anonymous() -> Self {
        Self::new(ANONYMOUS, [UNAUTHENTICATED])
    }

    /// Whether the user is in a group.
    pub fn is_member(&self, group: &str) -> bool {
        self.groups.iter().any(|name| **name == *group)
    }

    /// Adds `system:authenticated`, as every authenticator's users get it. (kubernetes 1.36:
    /// apiserver/pkg/authentication/group)
    pub(crate) fn authenticated(mut self) -> Self {
        if !self.is_member(AUTHENTICATED) && !self.is_member(UNAUTHENTICATED) {
            self.groups.push(AUTHENTICATED.into());
        }
        self
    }

    /// The only value under a key of [`Self::extra`].
    pub(crate) fn extra_value(&self, key: &str) -> Option<&str> {
        match self.extra.get(key).map(Vec::as_slice) {
            Some([only]) => Some(only),
            _ => None,
        }
    }

    /// `authentication.k8s.io/v1` UserInfo; what is empty is left out.
    pub(crate) fn to_user_info(&self) -> Value {
        let mut info = json!({});
        if !self.user.is_empty() {
            info["username"] = (*self.user).into();
        }
        if !self.uid.is_empty() {
            info["uid"] = (*self.uid).into();
        }
        if !self.groups.is_empty() {
            info["groups"] = self.groups.iter().map(|group| Value::from(&**group)).collect();
        }
        if !self.extra.is_empty() {
            info["extra"] = extra_value(&self.extra);
        }
        info
    }
}

/// Extra as JSON.
pub(crate) fn extra_value(extra: &BTreeMap<Arc<str>, Vec<Arc<str>>>) -> Value {
    let entry = |(key, values): (&Arc<str>, &Vec<Arc<str>>)| {
        let values: Vec<Value> = values.iter().map(|value| (**value).into()).collect();
        (key.to_string(), Value::from(values))
    };
    Value::Object(extra.iter().map(entry).collect())
}
