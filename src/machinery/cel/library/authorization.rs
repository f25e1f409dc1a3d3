//! Authorization checks in expressions (kubernetes 1.36: apiserver/pkg/cel/library/authz.go).

use std::fmt::Debug;

/// Decides for the `authorizer` variable. A caller gives its own; it must not wait.
pub trait Authorizer: Debug + Send + Sync {
    /// Decides one check.
    fn decide(&self, check: &Check) -> Decision;
}

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Check {
    /// Namespace and name of the service account that is asked for, instead of the one who asks.
    pub service_account: Option<(String, String)>,
    /// A path that is no resource.
    pub path: Option<String>,
    /// Group of the resource.
    pub group: String,
    /// Resource in plural.
    pub resource: String,
    /// Subresource.
    pub subresource: String,
    /// Namespace, empty for all.
    pub namespace: String,
    /// Name, empty for all.
    pub name: String,
    /// Field selector as written.
    pub field_selector: Option<String>,
    /// Label selector as written.
    pub label_selector: Option<String>,
    /// Verb.
    pub verb: String,
}

/// What was decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is allowed.
    pub allowed: bool,
    /// Why.
    pub reason: String,
    /// Why no decision could be made.
    pub error: Option<String>,
}
