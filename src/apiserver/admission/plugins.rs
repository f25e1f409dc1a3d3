//! Which admission plug-ins run: `--enable-admission-plugins` and `--disable-admission-plugins`.

use std::collections::BTreeSet;

/// Every plug-in of kube-apiserver. (kubernetes 1.36: pkg/kubeapiserver/options/plugins.go)
const KNOWN: &str = "
    AlwaysAdmit AlwaysDeny AlwaysPullImages CertificateApproval CertificateSigning
    CertificateSubjectRestriction ClusterTrustBundleAttest DefaultIngressClass DefaultStorageClass
    DefaultTolerationSeconds DenyServiceExternalIPs EventRateLimit ExtendedResourceToleration
    ImagePolicyWebhook LimitPodHardAntiAffinityTopology LimitRanger MutatingAdmissionPolicy
    MutatingAdmissionWebhook NamespaceAutoProvision NamespaceExists NamespaceLifecycle
    NodeDeclaredFeatureValidator NodeRestriction OwnerReferencesPermissionEnforcement
    PersistentVolumeClaimResize PodNodeSelector PodSecurity PodTolerationRestriction
    PodTopologyLabels Priority ResourceQuota RuntimeClass ServiceAccount
    StorageObjectInUseProtection TaintNodesByCondition ValidatingAdmissionPolicy
    ValidatingAdmissionWebhook";

/// Those that can be switched here.
const SWITCHED: [&str; 12] = [
    "DefaultIngressClass",
    "DefaultStorageClass",
    "LimitRanger",
    MUTATING_WEBHOOKS,
    "OwnerReferencesPermissionEnforcement",
    "PersistentVolumeClaimResize",
    "Priority",
    "RuntimeClass",
    "ServiceAccount",
    "TaintNodesByCondition",
    POLICIES,
    VALIDATING_WEBHOOKS,
];

pub(super) const MUTATING_WEBHOOKS: &str = "MutatingAdmissionWebhook";
pub(super) const VALIDATING_WEBHOOKS: &str = "ValidatingAdmissionWebhook";
pub(super) const POLICIES: &str = "ValidatingAdmissionPolicy";

/// What was said about plug-ins; those of which nothing was said run as by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdmissionPlugins {
    enabled: BTreeSet<Box<str>>,
    disabled: BTreeSet<Box<str>>,
}

impl AdmissionPlugins {
    /// Reads the names of both flags.
    ///
    /// # Errors
    /// kube-apiserver's words for a name that it does not know, or that is in both lists.
    /// (kubernetes 1.36: apiserver/pkg/server/options/admission.go, Validate)
    pub fn parse(enable: &[&str], disable: &[&str]) -> Result<Self, String> {
        let check = |flag: &str, names: &[&str]| -> Result<BTreeSet<Box<str>>, String> {
            let is_known = |name: &&str| KNOWN.split_whitespace().any(|known| known == *name);
            match names.iter().find(|name| !is_known(name)) {
                Some(name) => Err(format!("{flag} plugin {name:?} is unknown")),
                None => Ok(names.iter().map(|name| Box::from(*name)).collect()),
            }
        };
        let enabled = check("enable-admission-plugins", enable)?;
        let disabled = check("disable-admission-plugins", disable)?;
        let both: Vec<&str> = enabled.intersection(&disabled).map(|name| &**name).collect();
        if both.is_empty() {
            return Ok(Self { enabled, disabled });
        }
        Err(format!(
            "[{}] in enable-admission-plugins and disable-admission-plugins overlapped",
            both.join(" ")
        ))
    }

    /// Whether a plug-in was switched on by name.
    pub fn is_enabled(&self, name: &str) -> bool {
        self.enabled.contains(name)
    }

    /// Whether a plug-in was switched off.
    pub fn is_disabled(&self, name: &str) -> bool {
        !self.disabled.is_empty() && self.disabled.contains(name)
    }

    /// Names that were given and change nothing here.
    pub fn without_effect(&self) -> impl Iterator<Item = &str> {
        let all = self.enabled.union(&self.disabled).map(|name| &**name);
        all.filter(|name| !SWITCHED.contains(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_and_in_one_list() {
        let plugins = AdmissionPlugins::parse(&["ServiceAccount"], &["LimitRanger"]).unwrap();
        assert!(plugins.is_enabled("ServiceAccount") && plugins.is_disabled("LimitRanger"));
        assert!(!plugins.is_disabled("Priority") && !plugins.is_enabled("Priority"));
        let refused = |enable: &[&str], disable: &[&str]| {
            AdmissionPlugins::parse(enable, disable).unwrap_err()
        };
        assert_eq!(refused(&["Nope"], &[]), "enable-admission-plugins plugin \"Nope\" is unknown");
        assert_eq!(refused(&[], &["x"]), "disable-admission-plugins plugin \"x\" is unknown");
        assert_eq!(
            refused(&["Priority", "LimitRanger"], &["LimitRanger", "Priority"]),
            "[LimitRanger Priority] in enable-admission-plugins and disable-admission-plugins \
             overlapped"
        );
        let plugins = AdmissionPlugins::parse(&["NodeRestriction"], &["Priority"]).unwrap();
        assert_eq!(plugins.without_effect().collect::<Vec<_>>(), ["NodeRestriction"]);
    }

    #[test]
    fn what_is_switched_is_known() {
        for name in SWITCHED {
            assert!(KNOWN.split_whitespace().any(|known| known == name), "{name}");
        }
    }
}
