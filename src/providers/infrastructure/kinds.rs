//! The four kinds behind two small traits: what the reconcilers need of either API shape.

use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::conditions::V1Beta1Condition;
use crate::api::core::ApiEndpoint;
use crate::api::infrastructure::{
    Behaviour, DevCluster, DevMachine, InMemoryCluster, InMemoryMachine,
};

/// API group of all four kinds.
pub(super) const GROUP: &str = "infrastructure.cluster.x-k8s.io";

/// What every kind of this provider is.
pub(super) trait Kind:
    kube::Resource<DynamicType = ()>
    + Serialize
    + DeserializeOwned
    + Clone
    + PartialEq
    + Debug
    + Send
    + Sync
    + 'static
{
    /// Kind.
    const KIND: &'static str;
    /// Name of the controller.
    const CONTROLLER: &'static str;
    /// Finalizer.
    const FINALIZER: &'static str;

    /// Why objects like this one cannot be simulated, if they cannot.
    fn unsupported(&self) -> Option<String>;

    /// The metav1 conditions; `None` if the kind has none.
    fn conditions_mut(&mut self) -> Option<&mut Vec<Condition>>;

    /// The v1beta1 conditions.
    fn v1beta1(&self) -> &[V1Beta1Condition];

    /// The v1beta1 conditions, made if absent.
    fn v1beta1_mut(&mut self) -> &mut Vec<V1Beta1Condition>;
}

/// Infrastructure of a cluster.
pub(super) trait InfraCluster: Kind {
    /// Annotation that names the simulated resources of the cluster.
    const ANNOTATION: &'static str;
    /// Component that events come from.
    const EVENT_SOURCE: &'static str;

    /// The control plane endpoint.
    fn endpoint(&self) -> Option<&ApiEndpoint>;

    /// Sets the control plane endpoint.
    fn set_endpoint(&mut self, endpoint: ApiEndpoint);

    /// Says that the infrastructure exists.
    fn set_provisioned(&mut self);
}

/// Infrastructure of a machine.
pub(super) trait InfraMachine: Kind {
    /// Kind of the infrastructure of the machine's cluster.
    const CLUSTER_KIND: &'static str;

    /// How long the machine's parts take to start.
    fn behaviour(&self) -> Option<&Behaviour>;

    /// Where `behaviour` is found in the object, for messages.
    const BEHAVIOUR_PATH: &'static str;

    /// The provider id, empty until the virtual machine exists.
    fn provider_id(&self) -> &str;

    /// Says that the virtual machine exists.
    fn set_provisioned(&mut self, provider_id: String, failure_domain: &str);
}

/// The reason why a docker backend is not simulated.
fn docker_unsupported(in_memory: bool, docker: bool) -> Option<String> {
    (docker && !in_memory).then(|| {
        "spec.backend.docker is set, but capim simulates machines in memory only; \
         use spec.backend.inMemory"
            .to_owned()
    })
}

impl Kind for DevCluster {
    const KIND: &'static str = "DevCluster";
    const CONTROLLER: &'static str = "devcluster";
    const FINALIZER: &'static str = "dockercluster.infrastructure.cluster.x-k8s.io";

    fn unsupported(&self) -> Option<String> {
        let backend = &self.spec.backend;
        docker_unsupported(backend.in_memory.is_some(), backend.docker.is_some())
    }

    fn conditions_mut(&mut self) -> Option<&mut Vec<Condition>> {
        Some(&mut self.status.get_or_insert_default().conditions)
    }

    fn v1beta1(&self) -> &[V1Beta1Condition] {
        let deprecated = self.status.as_ref().and_then(|status| status.deprecated.as_ref());
        deprecated.and_then(|old| old.v1beta1.as_ref()).map_or(&[], |old| &old.conditions)
    }

    fn v1beta1_mut(&mut self) -> &mut Vec<V1Beta1Condition> {
        let status = self.status.get_or_insert_default();
        let deprecated = status.deprecated.get_or_insert_default();
        &mut deprecated.v1beta1.get_or_insert_default().conditions
    }
}

impl InfraCluster for DevCluster {
    const ANNOTATION: &'static str = "inmemorycluster.infrastructure.cluster.x-k8s.io/listener";
    const EVENT_SOURCE: &'static str = "devcluster-controller";

    fn endpoint(&self) -> Option<&ApiEndpoint> {
        self.spec.control_plane_endpoint.as_ref()
    }

    fn set_endpoint(&mut self, endpoint: ApiEndpoint) {
        self.spec.control_plane_endpoint = Some(endpoint);
    }

    fn set_provisioned(&mut self) {
        let status = self.status.get_or_insert_default();
        status.initialization.get_or_insert_default().provisioned = Some(true);
    }
}

impl Kind for InMemoryCluster {
    const KIND: &'static str = "InMemoryCluster";
    const CONTROLLER: &'static str = "inmemorycluster";
    const FINALIZER: &'static str = "inmemorycluster.infrastructure.cluster.x-k8s.io";

    fn unsupported(&self) -> Option<String> {
        None
    }

    fn conditions_mut(&mut self) -> Option<&mut Vec<Condition>> {
        None
    }

    fn v1beta1(&self) -> &[V1Beta1Condition] {
        self.status.as_ref().map_or(&[], |status| &status.conditions)
    }

    fn v1beta1_mut(&mut self) -> &mut Vec<V1Beta1Condition> {
        &mut self.status.get_or_insert_default().conditions
    }
}

impl InfraCluster for InMemoryCluster {
    const ANNOTATION: &'static str =
        "inmemorycluster.infrastructure.cluster.x-k8s.io/resource-group";
    const EVENT_SOURCE: &'static str = "inmemorycluster-controller";

    fn endpoint(&self) -> Option<&ApiEndpoint> {
        self.spec.control_plane_endpoint.as_ref()
    }

    fn set_endpoint(&mut self, endpoint: ApiEndpoint) {
        self.spec.control_plane_endpoint = Some(endpoint);
    }

    fn set_provisioned(&mut self) {
        self.status.get_or_insert_default().ready = Some(true);
    }
}

impl Kind for DevMachine {
    const KIND: &'static str = "DevMachine";
    const CONTROLLER: &'static str = "devmachine";
    const FINALIZER: &'static str = "dockermachine.infrastructure.cluster.x-k8s.io";

    fn unsupported(&self) -> Option<String> {
        let backend = &self.spec.backend;
        docker_unsupported(backend.in_memory.is_some(), backend.docker.is_some())
    }

    fn conditions_mut(&mut self) -> Option<&mut Vec<Condition>> {
        Some(&mut self.status.get_or_insert_default().conditions)
    }

    fn v1beta1(&self) -> &[V1Beta1Condition] {
        let deprecated = self.status.as_ref().and_then(|status| status.deprecated.as_ref());
        deprecated.and_then(|old| old.v1beta1.as_ref()).map_or(&[], |old| &old.conditions)
    }

    fn v1beta1_mut(&mut self) -> &mut Vec<V1Beta1Condition> {
        let status = self.status.get_or_insert_default();
        let deprecated = status.deprecated.get_or_insert_default();
        &mut deprecated.v1beta1.get_or_insert_default().conditions
    }
}

impl InfraMachine for DevMachine {
    const CLUSTER_KIND: &'static str = DevCluster::KIND;
    const BEHAVIOUR_PATH: &'static str = "spec.backend.inMemory";

    fn behaviour(&self) -> Option<&Behaviour> {
        self.spec.backend.in_memory.as_ref()
    }

    fn provider_id(&self) -> &str {
        &self.spec.provider_id
    }

    fn set_provisioned(&mut self, provider_id: String, failure_domain: &str) {
        self.spec.provider_id = provider_id;
        let status = self.status.get_or_insert_default();
        status.initialization.get_or_insert_default().provisioned = Some(true);
        failure_domain.clone_into(&mut status.failure_domain);
    }
}

impl Kind for InMemoryMachine {
    const KIND: &'static str = "InMemoryMachine";
    const CONTROLLER: &'static str = "inmemorymachine";
    const FINALIZER: &'static str = "inmemorymachine.infrastructure.cluster.x-k8s.io";

    fn unsupported(&self) -> Option<String> {
        None
    }

    fn conditions_mut(&mut self) -> Option<&mut Vec<Condition>> {
        None
    }

    fn v1beta1(&self) -> &[V1Beta1Condition] {
        self.status.as_ref().map_or(&[], |status| &status.conditions)
    }

    fn v1beta1_mut(&mut self) -> &mut Vec<V1Beta1Condition> {
        &mut self.status.get_or_insert_default().conditions
    }
}

impl InfraMachine for InMemoryMachine {
    const CLUSTER_KIND: &'static str = InMemoryCluster::KIND;
    const BEHAVIOUR_PATH: &'static str = "spec.behaviour";

    fn behaviour(&self) -> Option<&Behaviour> {
        self.spec.behaviour.as_ref()
    }

    fn provider_id(&self) -> &str {
        &self.spec.provider_id
    }

    fn set_provisioned(&mut self, provider_id: String, _failure_domain: &str) {
        self.spec.provider_id = provider_id;
        self.status.get_or_insert_default().ready = Some(true);
    }
}

/// Whether an object has the finalizer of its kind.
pub(super) fn has_finalizer<K: Kind>(object: &K) -> bool {
    let finalizers = object.meta().finalizers.as_deref().unwrap_or_default();
    finalizers.iter().any(|finalizer| finalizer == K::FINALIZER)
}

/// Adds the finalizer of the kind.
pub(super) fn add_finalizer<K: Kind>(object: &mut K) {
    if !has_finalizer(object) {
        let finalizers = object.meta_mut().finalizers.get_or_insert_default();
        finalizers.push(K::FINALIZER.to_owned());
    }
}

/// Removes the finalizer of the kind.
pub(super) fn remove_finalizer<K: Kind>(object: &mut K) {
    let finalizers = &mut object.meta_mut().finalizers;
    if let Some(list) = finalizers {
        list.retain(|finalizer| finalizer != K::FINALIZER);
        if list.is_empty() {
            *finalizers = None;
        }
    }
}
