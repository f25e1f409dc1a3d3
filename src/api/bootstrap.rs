//! `bootstrap.cluster.x-k8s.io/v1beta2`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::conditions::{Condition, Deprecated, is_absent};
use super::core::TemplateMeta;

/// Bootstrap data of a machine.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KubeadmConfig {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// Desired state.
    pub spec: KubeadmConfigSpec,
    /// Observed state.
    #[serde(skip_serializing_if = "is_absent")]
    pub status: Option<KubeadmConfigStatus>,
}

namespaced_kind!(KubeadmConfig, "bootstrap.cluster.x-k8s.io", "v1beta2", "kubeadmconfigs");

api_struct! {
    /// Input of the bootstrap data. kubeadm's own documents are kept as JSON, so that every field of theirs passes through.
    KubeadmConfigSpec {
        /// kubeadm ClusterConfiguration (v1beta2 shape of Cluster API).
        cluster_configuration: Option<Value>,
        /// kubeadm InitConfiguration.
        init_configuration: Option<Value>,
        /// kubeadm JoinConfiguration.
        join_configuration: Option<Value>,
        /// Extra files.
        files: Vec<Value>,
        /// Partitions and file systems.
        disk_setup: Option<Value>,
        /// Mounts.
        mounts: Vec<Vec<String>>,
        /// Commands at boot.
        boot_commands: Vec<String>,
        /// Commands before kubeadm.
        pre_kubeadm_commands: Vec<String>,
        /// Commands after kubeadm.
        post_kubeadm_commands: Vec<String>,
        /// Users.
        users: Vec<Value>,
        /// Time servers.
        ntp: Option<Value>,
        /// `cloud-config` (default) or `ignition`.
        format: String,
        /// kubeadm verbosity.
        verbosity: Option<i32>,
        /// Ignition options.
        ignition: Option<Value>,
    }
}
api_struct! {
    /// Observed state of a KubeadmConfig.
    KubeadmConfigStatus {
        /// metav1 conditions.
        conditions: Vec<Condition>,
        /// Milestones.
        initialization: Option<KubeadmConfigInitialization>,
        /// Secret with the data.
        data_secret_name: String,
        /// Generation that the status speaks of.
        observed_generation: Option<i64>,
        /// The v1beta1 conditions and counters.
        deprecated: Option<Deprecated>,
    }
}
api_struct! {
    /// Milestones of a KubeadmConfig.
    KubeadmConfigInitialization {
        /// The data secret exists.
        data_secret_created: Option<bool>,
    }
}
/// Template of KubeadmConfigs.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KubeadmConfigTemplate {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// Desired state.
    pub spec: KubeadmConfigTemplateSpec,
}

namespaced_kind!(
    KubeadmConfigTemplate,
    "bootstrap.cluster.x-k8s.io",
    "v1beta2",
    "kubeadmconfigtemplates"
);

api_struct! {
    /// Holds the template.
    KubeadmConfigTemplateSpec {
        /// Template.
        template: KubeadmConfigTemplateResource,
    }
}
api_struct! {
    /// The template.
    KubeadmConfigTemplateResource {
        /// Labels and annotations.
        metadata: TemplateMeta,
        /// Spec.
        spec: KubeadmConfigSpec,
    }
}
