//! Roles and bindings as objects, reduced to what decides.

use serde::Deserialize;

use super::rules::Rule;
use crate::apiserver::authentication::Identity;
use crate::machinery::status::quote;

/// A Role or ClusterRole.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Role {
    pub(super) rules: Option<Vec<Rule>>,
}

/// The role that a binding grants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RoleRef {
    pub(super) api_group: Box<str>,
    pub(super) kind: Box<str>,
    pub(super) name: Box<str>,
}

/// Whom a binding grants it to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Subject {
    pub(super) kind: Box<str>,
    pub(super) name: Box<str>,
    pub(super) namespace: Box<str>,
}

/// What the subject of a binding is to the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    User(Box<str>),
    Group(Box<str>),
    /// A service account without a namespace, or a kind that does not exist.
    Nobody,
}

impl Subject {
    /// Whom a subject of a binding in `namespace` means.
    pub(super) fn holder(&self, namespace: &str) -> Holder {
        match &*self.kind {
            "User" => Holder::User(self.name.clone()),
            "Group" => Holder::Group(self.name.clone()),
            "ServiceAccount" => {
                let namespace = if self.namespace.is_empty() { namespace } else { &self.namespace };
                if namespace.is_empty() {
                    return Holder::Nobody;
                }
                Holder::User(format!("system:serviceaccount:{namespace}:{}", self.name).into())
            }
            _ => Holder::Nobody,
        }
    }

    /// Whether a subject of a binding in `namespace` means a user, or a group of his. Says what
    /// [`Subject::holder`] says, without making texts on the way of every request.
    pub(super) fn means(&self, namespace: &str, identity: &Identity) -> bool {
        match &*self.kind {
            "User" => *self.name == *identity.user,
            "Group" => identity.is_member(&self.name),
            "ServiceAccount" => {
                let namespace = if self.namespace.is_empty() { namespace } else { &self.namespace };
                let name = identity
                    .user
                    .strip_prefix("system:serviceaccount:")
                    .and_then(|rest| rest.strip_prefix(namespace))
                    .and_then(|rest| rest.strip_prefix(':'));
                !namespace.is_empty() && name == Some(&*self.name)
            }
            _ => false,
        }
    }

    fn describe(&self, namespace: &str) -> String {
        if &*self.kind != "ServiceAccount" {
            return format!("{} {}", self.kind, quote(&self.name));
        }
        let namespace = if self.namespace.is_empty() { namespace } else { &self.namespace };
        format!("{} {}", self.kind, quote(&format!("{}/{namespace}", self.name)))
    }
}

/// A RoleBinding or, without a namespace, a ClusterRoleBinding.
#[derive(Clone, Debug, Default)]
pub(super) struct Binding {
    pub(super) name: Box<str>,
    pub(super) namespace: Box<str>,
    pub(super) role: RoleRef,
    pub(super) subjects: Vec<Subject>,
}

impl Binding {
    /// Why something is allowed, as kube-apiserver says it. (plugin/pkg/auth/authorizer/rbac)
    pub(super) fn describe(&self, subject: &Subject) -> String {
        let (kind, name) = if self.namespace.is_empty() {
            ("ClusterRoleBinding", self.name.to_string())
        } else {
            ("RoleBinding", format!("{}/{}", self.name, self.namespace))
        };
        format!(
            "{kind} {} of {} {} to {}",
            quote(&name),
            self.role.kind,
            quote(&self.role.name),
            subject.describe(&self.namespace)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_means_whom_it_is_indexed_under() {
        let subject = |kind: &str, namespace: &str, name: &str| Subject {
            kind: kind.into(),
            name: name.into(),
            namespace: namespace.into(),
        };
        let users = ["a", "system:serviceaccount:n:a", "system:serviceaccount:n:b"];
        let mut meant = 0;
        for user in users {
            let identity = Identity::new(user, ["g"]);
            for (kind, own) in [("User", ""), ("Group", ""), ("ServiceAccount", "n"), ("X", "")] {
                for (name, place) in [("a", ""), ("a", "n"), ("g", ""), (user, "")] {
                    for own in [own, ""] {
                        let subject = subject(kind, own, name);
                        let indexed = match subject.holder(place) {
                            Holder::User(holder) => *holder == *identity.user,
                            Holder::Group(holder) => identity.is_member(&holder),
                            Holder::Nobody => false,
                        };
                        assert_eq!(subject.means(place, &identity), indexed, "{subject:?} {user}");
                        meant += usize::from(indexed);
                    }
                }
            }
        }
        assert!(meant > 5, "{meant}");
    }
}
