//! Conditions of a KubeadmConfig, both families side by side.

use jiff::Timestamp;

use crate::api::bootstrap::{KubeadmConfig, KubeadmConfigStatus};
use crate::api::conditions::{Deprecated, V1Beta1Condition, V1Beta1Status};
use crate::api::core::Cluster;
use crate::contract::conditions::merge::{Reasons, Summary};
use crate::contract::conditions::{self, New, v1beta1};

const DATA_SECRET: &str = "DataSecretAvailable";
const CERTIFICATES: &str = "CertificatesAvailable";

/// Severity of a v1beta1 condition that is False.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    Info,
    Warning,
    Error,
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Self::Info => "Info",
            Self::Warning => "Warning",
            Self::Error => "Error",
        }
    }
}

/// Writes conditions into a KubeadmConfig.
pub(super) struct Conditions<'a> {
    config: &'a mut KubeadmConfig,
    now: Timestamp,
}

impl<'a> Conditions<'a> {
    pub(super) fn of(config: &'a mut KubeadmConfig, now: Timestamp) -> Self {
        Self { config, now }
    }

    fn status(&mut self) -> &mut KubeadmConfigStatus {
        self.config.status.get_or_insert_default()
    }

    pub(super) fn set(&mut self, new: New) {
        let (generation, now) = (self.config.metadata.generation, self.now);
        conditions::set(&mut self.status().conditions, new, generation, now);
    }

    fn set_v1beta1(&mut self, new: V1Beta1Condition) {
        let now = self.now;
        conditions::set_v1beta1(self.v1beta1(), new, now);
    }

    fn v1beta1(&mut self) -> &mut Vec<V1Beta1Condition> {
        let deprecated: &mut Deprecated = self.status().deprecated.get_or_insert_default();
        let v1beta1: &mut V1Beta1Status = deprecated.v1beta1.get_or_insert_default();
        &mut v1beta1.conditions
    }

    /// Whether the data secret's condition was ever set.
    pub(super) fn has_data_secret(&mut self) -> bool {
        conditions::get(&self.status().conditions, DATA_SECRET).is_some()
    }

    pub(super) fn data_secret_waits(&mut self, v1beta1_reason: &str, message: &str) {
        self.set_v1beta1(v1beta1::no(DATA_SECRET, v1beta1_reason, Severity::Info.as_str(), ""));
        self.set(New::no(DATA_SECRET, "NotAvailable", message));
    }

    /// The data could not be made: `message` for the new family, `error` for the old one.
    pub(super) fn data_secret_failed(&mut self, message: &str, error: &str) {
        let reason = "DataSecretGenerationFailed";
        self.set_v1beta1(v1beta1::no(DATA_SECRET, reason, Severity::Warning.as_str(), error));
        self.set(New::no(DATA_SECRET, "NotAvailable", message));
    }

    pub(super) fn data_secret_available(&mut self) {
        self.set_v1beta1(v1beta1::yes(DATA_SECRET));
        self.set(New::yes(DATA_SECRET, "Available"));
    }

    pub(super) fn certificates_available(&mut self) {
        self.set_v1beta1(v1beta1::yes(CERTIFICATES));
        self.set(New::yes(CERTIFICATES, "Available"));
    }

    /// The same for data that was made before: only the metav1 family follows.
    pub(super) fn certificates_were_available(&mut self) {
        self.set(New::yes(CERTIFICATES, "Available"));
    }

    pub(super) fn certificates_failed(&mut self, reason: &str, severity: Severity, error: &str) {
        self.set_v1beta1(v1beta1::no(CERTIFICATES, reason, severity.as_str(), error));
        self.set(New::unknown(
            CERTIFICATES,
            "InternalError",
            "Please check controller logs for errors",
        ));
    }

    /// `Ready` of both families, out of the others.
    pub(super) fn summarise(&mut self) {
        let types = &[DATA_SECRET, CERTIFICATES];
        let options = v1beta1::SummaryOptions { types, count_steps_of: None };
        if let Some(ready) = v1beta1::summary(self.v1beta1(), options) {
            self.set_v1beta1(ready);
        }
        let reasons = Reasons { issue: "NotReady", unknown: "ReadyUnknown", info: "Ready" };
        let summary = Summary { types, reasons, ..Summary::default() };
        let ready = summary.of(&self.status().conditions).named("Ready");
        self.set(ready);
    }
}

/// Whether the bootstrap data exists.
pub(super) fn is_created(config: &KubeadmConfig) -> bool {
    config
        .status
        .as_ref()
        .and_then(|status| status.initialization.as_ref())
        .is_some_and(|milestones| milestones.data_secret_created == Some(true))
}

/// Marks the bootstrap data as made.
pub(super) fn mark_created(config: &mut KubeadmConfig, secret: &str) {
    let status = config.status.get_or_insert_default();
    status.initialization.get_or_insert_default().data_secret_created = Some(true);
    secret.clone_into(&mut status.data_secret_name);
}

/// Whether the infrastructure of a Cluster was provisioned.
pub(super) fn is_infrastructure_provisioned(cluster: &Cluster) -> bool {
    cluster
        .status
        .as_ref()
        .and_then(|status| status.initialization.as_ref())
        .is_some_and(|milestones| milestones.infrastructure_provisioned == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_config_reports_what_upstream_reports() {
        let mut config = KubeadmConfig::default();
        let mut conditions = Conditions::of(&mut config, Timestamp::UNIX_EPOCH);
        conditions.data_secret_waits(
            "WaitingForControlPlaneAvailable",
            "Waiting for Cluster control plane to be initialized",
        );
        conditions.summarise();
        let status = config.status.unwrap_or_default();
        let ready = conditions::get(&status.conditions, "Ready").expect("set");
        assert_eq!(
            (ready.status.as_str(), ready.reason.as_str(), ready.message.as_str()),
            (
                "False",
                "NotReady",
                "* DataSecretAvailable: Waiting for Cluster control plane to be initialized\n\
                 * CertificatesAvailable: Condition not yet reported"
            )
        );
        let old = status.deprecated.and_then(|d| d.v1beta1).unwrap_or_default().conditions;
        assert_eq!(old[0].type_, "Ready");
        assert_eq!(old[0].reason, "WaitingForControlPlaneAvailable");
        assert_eq!(old[0].severity, "Info");
    }
}
