//! The catalog of hooks. (CAPI v1.14: api/runtime/hooks/v1alpha1, api/runtime/catalog)

use std::fmt;

/// Group of the hooks' documents.
pub(super) const GROUP: &str = "hooks.runtime.cluster.x-k8s.io";
/// The one version of the hooks' documents.
pub(super) const VERSION: &str = "v1alpha1";

/// A hook of the Runtime SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// What an extension handles.
    Discovery,
    /// Before the objects of a topology are made.
    BeforeClusterCreate,
    /// Once a control plane answers for the first time.
    AfterControlPlaneInitialized,
    /// Before the first step of an upgrade.
    BeforeClusterUpgrade,
    /// Before a control plane takes up a version.
    BeforeControlPlaneUpgrade,
    /// After a control plane has taken up a version.
    AfterControlPlaneUpgrade,
    /// Before workers take up a version.
    BeforeWorkersUpgrade,
    /// After workers have taken up a version.
    AfterWorkersUpgrade,
    /// After the last step of an upgrade.
    AfterClusterUpgrade,
    /// Before the objects of a topology are deleted.
    BeforeClusterDelete,
    /// The versions that an upgrade goes through.
    GenerateUpgradePlan,
    /// Variables that an external patch brings along.
    DiscoverVariables,
    /// Patches of templates.
    GeneratePatches,
    /// Judges patched templates.
    ValidateTopology,
    /// Which changes of a Machine can be made in place.
    CanUpdateMachine,
    /// Which changes of a MachineSet can be made in place.
    CanUpdateMachineSet,
    /// Makes the changes of a Machine in place.
    UpdateMachine,
}

impl Hook {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Discovery,
        Self::BeforeClusterCreate,
        Self::AfterControlPlaneInitialized,
        Self::BeforeClusterUpgrade,
        Self::BeforeControlPlaneUpgrade,
        Self::AfterControlPlaneUpgrade,
        Self::BeforeWorkersUpgrade,
        Self::AfterWorkersUpgrade,
        Self::AfterClusterUpgrade,
        Self::BeforeClusterDelete,
        Self::GenerateUpgradePlan,
        Self::DiscoverVariables,
        Self::GeneratePatches,
        Self::ValidateTopology,
        Self::CanUpdateMachine,
        Self::CanUpdateMachineSet,
        Self::UpdateMachine,
    ];

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Discovery => "Discovery",
            Self::BeforeClusterCreate => "BeforeClusterCreate",
            Self::AfterControlPlaneInitialized => "AfterControlPlaneInitialized",
            Self::BeforeClusterUpgrade => "BeforeClusterUpgrade",
            Self::BeforeControlPlaneUpgrade => "BeforeControlPlaneUpgrade",
            Self::AfterControlPlaneUpgrade => "AfterControlPlaneUpgrade",
            Self::BeforeWorkersUpgrade => "BeforeWorkersUpgrade",
            Self::AfterWorkersUpgrade => "AfterWorkersUpgrade",
            Self::AfterClusterUpgrade => "AfterClusterUpgrade",
            Self::BeforeClusterDelete => "BeforeClusterDelete",
            Self::GenerateUpgradePlan => "GenerateUpgradePlan",
            Self::DiscoverVariables => "DiscoverVariables",
            Self::GeneratePatches => "GeneratePatches",
            Self::ValidateTopology => "ValidateTopology",
            Self::CanUpdateMachine => "CanUpdateMachine",
            Self::CanUpdateMachineSet => "CanUpdateMachineSet",
            Self::UpdateMachine => "UpdateMachine",
        }
    }

    /// The hook of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hook| hook.name() == name)
    }

    /// `NAME.GROUP`, as errors show it.
    pub(super) fn group_hook(self) -> String {
        format!("{}.{GROUP}", self.name())
    }

    /// Path of a handler below the one of its ExtensionConfig; without a handler that of the hook.
    pub(super) fn path(self, handler: &str) -> String {
        let hook = self.name().to_lowercase();
        if handler.is_empty() {
            return format!("/{GROUP}/{VERSION}/{hook}");
        }
        format!("/{GROUP}/{VERSION}/{hook}/{}", handler.to_lowercase())
    }

    /// Whether an answer may ask to be called again (`retryAfterSeconds`).
    pub(super) fn may_ask_for_retry(self) -> bool {
        !matches!(
            self,
            Self::Discovery
                | Self::AfterControlPlaneInitialized
                | Self::GenerateUpgradePlan
                | Self::DiscoverVariables
                | Self::GeneratePatches
                | Self::ValidateTopology
                | Self::CanUpdateMachine
                | Self::CanUpdateMachineSet
        )
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
