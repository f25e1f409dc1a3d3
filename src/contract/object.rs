//! A provider object seen through Cluster API's contracts, whatever its kind.
//! (CAPI v1.14: internal/contract)
//!
//! A lens for informers of kinds known only at run time: it decodes only the fields that the
//! contracts of InfraCluster, InfraMachine, BootstrapConfig and ControlPlane name. Where contract
//! versions differ, accessors take the [`Contract`] that [`super::versions::ContractVersions`]
//! gives for the kind.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::core::ApiResource;
use serde::{Deserialize, Deserializer};

use super::conditions::v1beta1;
use super::versions::Contract;
use crate::api::conditions::{Condition, V1Beta1Condition};
use crate::api::core::{ApiEndpoint, FailureDomain, MachineAddress, StatusVersion};

/// The fields that the contracts of InfraCluster, InfraMachine, BootstrapConfig and ControlPlane
/// name, of any kind and contract version.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContractObject {
    /// apiVersion as read.
    pub api_version: String,
    /// Kind as read.
    pub kind: String,
    /// Metadata, without managed fields.
    #[serde(deserialize_with = "lean_metadata")]
    pub metadata: ObjectMeta,
    /// Contract fields of the spec.
    pub spec: ContractSpec,
    /// Contract fields of the status.
    pub status: ContractStatus,
}

/// Contract fields of a spec.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContractSpec {
    /// Machine: provider id.
    #[serde(rename = "providerID")]
    pub provider_id: String,
    /// Machine pool: provider ids of its machines.
    #[serde(rename = "providerIDList")]
    pub provider_id_list: Vec<String>,
    /// Machine: failure domain where the older contract keeps it.
    pub failure_domain: String,
    /// Cluster and control plane: where the API server answers.
    pub control_plane_endpoint: Option<ApiEndpoint>,
    /// Control plane: desired machines.
    pub replicas: Option<i32>,
    /// Control plane: Kubernetes version.
    pub version: String,
}

/// Milestones of the v1beta2 contract, of any role.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContractInitialization {
    /// Infrastructure exists.
    pub provisioned: Option<bool>,
    /// Bootstrap data exists.
    pub data_secret_created: Option<bool>,
    /// The first API server answered.
    pub control_plane_initialized: Option<bool>,
}

/// Contract fields of a status.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContractStatus {
    /// Conditions of either family; the metav1 one has no severity.
    pub conditions: Vec<V1Beta1Condition>,
    /// Milestones (v1beta2).
    pub initialization: Option<ContractInitialization>,
    /// Milestone of infrastructure and bootstrap (v1beta1).
    pub ready: Option<bool>,
    /// Milestone of a control plane (v1beta1).
    pub initialized: Option<bool>,
    /// Bootstrap: Secret with the data.
    pub data_secret_name: String,
    /// Machine: failure domain.
    pub failure_domain: String,
    /// Machine: addresses.
    pub addresses: Vec<MachineAddress>,
    /// Cluster: failure domains (a list in v1beta2, a map by name in v1beta1).
    #[serde(deserialize_with = "failure_domains")]
    pub failure_domains: Vec<FailureDomain>,
    /// Terminal failure, machine readable (v1beta1).
    pub failure_reason: String,
    /// Terminal failure, for people (v1beta1).
    pub failure_message: String,
    /// Control plane: existing machines.
    pub replicas: Option<i32>,
    /// Control plane: ready machines.
    pub ready_replicas: Option<i32>,
    /// Control plane: available machines (v1beta2).
    pub available_replicas: Option<i32>,
    /// Control plane: up-to-date machines (v1beta2).
    pub up_to_date_replicas: Option<i32>,
    /// Control plane: up-to-date machines (v1beta1).
    pub updated_replicas: Option<i32>,
    /// Control plane: unavailable machines (v1beta1).
    pub unavailable_replicas: Option<i32>,
    /// Control plane: lowest version in use.
    pub version: String,
    /// Control plane: versions in use.
    pub versions: Vec<StatusVersion>,
    /// Control plane: selector in string form.
    pub selector: String,
    /// Machine: the provider may take it back at any time.
    pub interruptible: Option<bool>,
    /// Machine pool: kind of the infrastructure of its machines.
    pub infrastructure_machine_kind: String,
    /// Control plane: managed elsewhere.
    pub external_managed_control_plane: Option<bool>,
}

impl kube::Resource for ContractObject {
    type DynamicType = ApiResource;
    type Scope = kube::core::DynamicResourceScope;

    fn group(dt: &ApiResource) -> Cow<'_, str> {
        dt.group.as_str().into()
    }
    fn version(dt: &ApiResource) -> Cow<'_, str> {
        dt.version.as_str().into()
    }
    fn kind(dt: &ApiResource) -> Cow<'_, str> {
        dt.kind.as_str().into()
    }
    fn api_version(dt: &ApiResource) -> Cow<'_, str> {
        dt.api_version.as_str().into()
    }
    fn plural(dt: &ApiResource) -> Cow<'_, str> {
        dt.plural.as_str().into()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl ContractObject {
    /// Name, empty if unset.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// Namespace, empty if unset.
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// Whether deletion was asked for.
    pub fn is_deleting(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// Infrastructure: whether it exists.
    pub fn is_provisioned(&self, contract: Contract) -> bool {
        self.milestone(contract, self.status.ready, |milestones| milestones.provisioned)
    }

    /// Bootstrap: whether the data secret exists.
    pub fn is_data_secret_created(&self, contract: Contract) -> bool {
        self.milestone(contract, self.status.ready, |milestones| milestones.data_secret_created)
    }

    /// Control plane: whether it answered once.
    pub fn is_initialized(&self, contract: Contract) -> bool {
        self.milestone(contract, self.status.initialized, |milestones| {
            milestones.control_plane_initialized
        })
    }

    fn milestone(
        &self,
        contract: Contract,
        older: Option<bool>,
        newer: impl FnOnce(&ContractInitialization) -> Option<bool>,
    ) -> bool {
        match contract {
            Contract::V1Beta1 => older.unwrap_or(false),
            Contract::V1Beta2 => {
                self.status.initialization.as_ref().and_then(newer).unwrap_or(false)
            }
        }
    }

    /// Control plane: up-to-date machines.
    pub fn up_to_date_replicas(&self, contract: Contract) -> Option<i32> {
        match contract {
            Contract::V1Beta1 => self.status.updated_replicas,
            Contract::V1Beta2 => self.status.up_to_date_replicas,
        }
    }

    /// Control plane: available machines; the older contract counts the unavailable ones.
    pub fn available_replicas(&self, contract: Contract) -> Option<i32> {
        match contract {
            Contract::V1Beta1 => self
                .status
                .replicas
                .map(|replicas| replicas - self.status.unavailable_replicas.unwrap_or(0)),
            Contract::V1Beta2 => self.status.available_replicas,
        }
    }

    /// Control plane: where the API server answers, if host and port are both known.
    pub fn control_plane_endpoint(&self) -> Option<&ApiEndpoint> {
        self.spec
            .control_plane_endpoint
            .as_ref()
            .filter(|endpoint| !endpoint.host.is_empty() && endpoint.port.unwrap_or(0) > 0)
    }

    /// Machine: failure domain, from the status or, as older providers do, from the spec.
    pub fn failure_domain(&self) -> &str {
        if self.status.failure_domain.is_empty() {
            &self.spec.failure_domain
        } else {
            &self.status.failure_domain
        }
    }

    /// A condition by type, seen as a metav1 one.
    pub fn condition(&self, type_: &str) -> Option<Condition> {
        let condition = v1beta1::get(&self.status.conditions, type_)?;
        Some(Condition {
            type_: condition.type_.clone(),
            status: condition.status.clone(),
            reason: condition.reason.clone(),
            message: condition.message.clone(),
            observed_generation: None,
            last_transition_time: condition
                .last_transition_time
                .clone()
                .unwrap_or(Time(jiff::Timestamp::UNIX_EPOCH)),
        })
    }

    /// A condition by type, seen as a v1beta1 one.
    pub fn v1beta1_condition(&self, type_: &str) -> Option<&V1Beta1Condition> {
        v1beta1::get(&self.status.conditions, type_)
    }
}

fn lean_metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let mut metadata = ObjectMeta::deserialize(deserializer)?;
    metadata.managed_fields = None;
    Ok(metadata)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum FailureDomains {
    List(Vec<FailureDomain>),
    Map(BTreeMap<String, FailureDomain>),
}

fn failure_domains<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<FailureDomain>, D::Error> {
    Ok(match Option::<FailureDomains>::deserialize(deserializer)? {
        Some(FailureDomains::List(domains)) => domains,
        Some(FailureDomains::Map(domains)) => {
            domains.into_iter().map(|(name, domain)| FailureDomain { name, ..domain }).collect()
        }
        None => Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_contract_versions_are_understood() {
        let older: ContractObject = serde_json::from_value(json!({
            "apiVersion": "infrastructure.cluster.x-k8s.io/v1alpha1", "kind": "InMemoryCluster",
            "metadata": {"name": "a", "managedFields": [{"manager": "m"}]},
            "status": {"ready": true, "failureDomains": {"fd1": {"controlPlane": true}},
                       "conditions": [{"type": "Ready", "status": "True"}]}
        }))
        .unwrap();
        assert!(older.is_provisioned(Contract::V1Beta1));
        assert!(!older.is_provisioned(Contract::V1Beta2));
        assert_eq!(older.status.failure_domains[0].name, "fd1");
        assert!(older.metadata.managed_fields.is_none());
        let newer: ContractObject = serde_json::from_value(json!({
            "metadata": {"name": "a"},
            "spec": {"providerID": "x://a", "controlPlaneEndpoint": {"host": "h", "port": 0}},
            "status": {"initialization": {"provisioned": true}, "failureDomains": [{"name": "b"}]}
        }))
        .unwrap();
        assert!(newer.is_provisioned(Contract::V1Beta2));
        assert_eq!(newer.spec.provider_id, "x://a");
        assert!(newer.control_plane_endpoint().is_none());
    }
}
