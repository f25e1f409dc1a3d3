//! Condition `ResourcesApplied` of a ClusterResourceSet, in both families. Pure.

use jiff::Timestamp;

use crate::api::addons::ClusterResourceSet;
use crate::contract::conditions::{self, New, v1beta1};
use crate::contract::paused;

/// Type of the condition.
pub(super) const RESOURCES_APPLIED: &str = "ResourcesApplied";

const CHECK_LOGS: &str = "Please check controller logs for errors";

/// What a reconcile came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Everything is where it belongs.
    Applied,
    /// The selector cannot be read.
    SelectorFailed(String),
    /// A resource is missing or could not be read.
    RetrievingFailed(String),
    /// A Secret is of another type; its name.
    WrongSecretType(String),
    /// A workload cluster does not answer.
    NoConnection,
    /// A workload cluster refused an object.
    ApplyFailed(String),
}

impl Verdict {
    fn condition(&self) -> New {
        let (reason, message) = match self {
            Self::Applied => return New::yes(RESOURCES_APPLIED, "Applied"),
            Self::SelectorFailed(_) | Self::RetrievingFailed(_) | Self::NoConnection => {
                ("InternalError", CHECK_LOGS.to_owned())
            }
            Self::WrongSecretType(name) => {
                ("WrongSecretType", format!("Secret type of resource {name} is not supported"))
            }
            Self::ApplyFailed(_) => {
                ("NotApplied", "Failed to apply ClusterResourceSet resources to Cluster".to_owned())
            }
        };
        New::no(RESOURCES_APPLIED, reason, message)
    }

    /// Reason, severity and message of the v1beta1 condition; `None` if it is True.
    fn v1beta1(&self) -> Option<(&'static str, &'static str, &str)> {
        match self {
            Self::Applied => None,
            Self::SelectorFailed(error) => Some(("ClusterMatchFailed", "Warning", error)),
            Self::RetrievingFailed(error) => Some(("RetrievingResourceFailed", "Warning", error)),
            Self::WrongSecretType(_) => {
                Some(("WrongSecretType", "Warning", "unsupported secret type"))
            }
            Self::NoConnection => Some((
                "RemoteClusterClientFailed",
                "Error",
                "error getting client: connection to the workload cluster is down",
            )),
            Self::ApplyFailed(error) => Some(("ApplyFailed", "Warning", error)),
        }
    }
}

/// Sets condition `Paused`.
pub(super) fn set_paused(set: &mut ClusterResourceSet, now: Timestamp) {
    let condition = paused::condition(None, "ClusterResourceSet", &set.metadata);
    let generation = set.metadata.generation;
    let status = set.status.get_or_insert_default();
    conditions::set(&mut status.conditions, condition, generation, now);
}

/// Sets the condition in both families.
pub(super) fn report(set: &mut ClusterResourceSet, verdict: &Verdict, now: Timestamp) {
    let generation = set.metadata.generation;
    let status = set.status.get_or_insert_default();
    conditions::set(&mut status.conditions, verdict.condition(), generation, now);
    let deprecated = status.deprecated.get_or_insert_default();
    let old = &mut deprecated.v1beta1.get_or_insert_default().conditions;
    let new = match verdict.v1beta1() {
        None => v1beta1::yes(RESOURCES_APPLIED),
        Some((reason, severity, message)) => {
            v1beta1::no(RESOURCES_APPLIED, reason, severity, message)
        }
    };
    conditions::set_v1beta1(old, new, now);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(verdict: &Verdict, new: (&str, &str, &str), old: (&str, &str, &str)) {
        let mut set = ClusterResourceSet::default();
        report(&mut set, verdict, Timestamp::UNIX_EPOCH);
        let status = set.status.unwrap();
        let seen = &status.conditions[0];
        assert_eq!((seen.status.as_str(), seen.reason.as_str(), seen.message.as_str()), new);
        let seen = &status.deprecated.unwrap().v1beta1.unwrap().conditions[0];
        assert_eq!((seen.reason.as_str(), seen.severity.as_str(), seen.message.as_str()), old);
    }

    #[test]
    fn verdicts_have_upstreams_reasons() {
        let internal = ("False", "InternalError", CHECK_LOGS);
        check(&Verdict::Applied, ("True", "Applied", ""), ("", "", ""));
        check(
            &Verdict::SelectorFailed("e".to_owned()),
            internal,
            ("ClusterMatchFailed", "Warning", "e"),
        );
        check(
            &Verdict::RetrievingFailed("e".to_owned()),
            internal,
            ("RetrievingResourceFailed", "Warning", "e"),
        );
        check(
            &Verdict::WrongSecretType("s".to_owned()),
            ("False", "WrongSecretType", "Secret type of resource s is not supported"),
            ("WrongSecretType", "Warning", "unsupported secret type"),
        );
        check(
            &Verdict::NoConnection,
            internal,
            (
                "RemoteClusterClientFailed",
                "Error",
                "error getting client: connection to the workload cluster is down",
            ),
        );
        check(
            &Verdict::ApplyFailed("e".to_owned()),
            ("False", "NotApplied", "Failed to apply ClusterResourceSet resources to Cluster"),
            ("ApplyFailed", "Warning", "e"),
        );
    }
}
