//! What `clusterctl init` would have left behind: the inventory of providers, their namespaces, and
//! for each provider that runs here a Deployment that is Available and the Pod of its manager.
//! (CAPI v1.14: cmd/clusterctl/client/cluster/inventory.go, the providers' config/default)
//!
//! Written once, at the start, and only what is missing; nothing keeps it up. The Pods say that
//! they run on Node `capim`, which is this process: there is no Node object of that name, because
//! nothing can be scheduled here.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::ApiResource;
use serde_json::{Value, json};

use super::CLUSTER_API_VERSION;
use crate::client::{Client, ClientError, ObjectKey};
use crate::clock::Clock;
use crate::providers::{Provider, Selection};

/// clusterctl's group and the label of everything it manages.
const CLUSTERCTL: &str = "clusterctl.cluster.x-k8s.io";
/// The Node that Pods of this process name.
const NODE: &str = "capim";

/// Writes what is missing.
///
/// # Errors
/// Any answer but success and `AlreadyExists`.
pub(super) async fn seed(
    client: &Client,
    clock: &Clock,
    providers: &Selection,
) -> Result<(), ClientError> {
    let now = format!("{:.0}", clock.now());
    create(client, &ApiResource::erase::<CustomResourceDefinition>(&()), &definition()).await?;
    for provider in Provider::MANAGERS {
        let namespace = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": provider.namespace(), "labels": labels(provider)},
        });
        create(client, &ApiResource::erase::<Namespace>(&()), &namespace).await?;
        create(client, &resource(), &entry(provider)).await?;
        if providers.has(provider) {
            seed_manager(client, provider, &now).await?;
        }
    }
    Ok(())
}

/// The Deployment of a provider's manager and its Pod, with their status.
async fn seed_manager(client: &Client, provider: Provider, now: &str) -> Result<(), ClientError> {
    let deployments = ApiResource::erase::<Deployment>(&());
    let Some(made) = create(client, &deployments, &deployment(provider)).await? else {
        return Ok(());
    };
    let uid = made.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default();
    // Pods are refused whose account does not exist.
    create(client, &ApiResource::erase::<ServiceAccount>(&()), &account(provider)).await?;
    let key = ObjectKey::new(provider.namespace(), manager(provider));
    let status = json!({"status": deployment_status(now)});
    client.merge_patch_dynamic(&deployments, &key, "status", &status).await?;
    let pods = ApiResource::erase::<Pod>(&());
    create(client, &pods, &pod(provider, uid)).await?;
    let key = ObjectKey::new(provider.namespace(), pod_name(provider));
    let status = json!({"status": pod_status(now)});
    client.merge_patch_dynamic(&pods, &key, "status", &status).await?;
    Ok(())
}

/// Creates an object; `None` if it was there already.
async fn create(
    client: &Client,
    resource: &ApiResource,
    object: &Value,
) -> Result<Option<Value>, ClientError> {
    match client.create_dynamic(resource, object).await {
        Ok(created) => Ok(Some(created)),
        Err(error) if error.is_already_exists() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Labels of everything that belongs to a provider.
fn labels(provider: Provider) -> Value {
    json!({CLUSTERCTL: "", "cluster.x-k8s.io/provider": provider.label()})
}

/// The resource of inventory entries.
fn resource() -> ApiResource {
    ApiResource {
        group: CLUSTERCTL.to_owned(),
        version: "v1alpha3".to_owned(),
        api_version: format!("{CLUSTERCTL}/v1alpha3"),
        kind: "Provider".to_owned(),
        plural: "providers".to_owned(),
    }
}

/// The definition of inventory entries.
fn definition() -> Value {
    let text = || json!({"type": "string"});
    let column =
        |name: &str, kind: &str, path: &str| json!({"name": name, "type": kind, "jsonPath": path});
    let core = format!("{CLUSTERCTL}/core");
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("providers.{CLUSTERCTL}"),
            "labels": {CLUSTERCTL: "", core: "inventory"},
        },
        "spec": {
            "group": CLUSTERCTL,
            "names": {
                "categories": ["cluster-api"],
                "kind": "Provider",
                "listKind": "ProviderList",
                "plural": "providers",
                "singular": "provider",
            },
            "scope": "Namespaced",
            "versions": [{
                "name": "v1alpha3",
                "served": true,
                "storage": true,
                "additionalPrinterColumns": [
                    column("Age", "date", ".metadata.creationTimestamp"),
                    column("Type", "string", ".type"),
                    column("Provider", "string", ".providerName"),
                    column("Version", "string", ".version"),
                ],
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "properties": {
                        "apiVersion": text(),
                        "kind": text(),
                        "metadata": {"type": "object"},
                        "providerName": text(),
                        "type": text(),
                        "version": text(),
                        "watchedNamespace": text(),
                    },
                }},
                "subresources": {},
            }],
        },
    })
}

/// A provider's entry in the inventory.
fn entry(provider: Provider) -> Value {
    let (name, kind) = match provider {
        Provider::Core | Provider::Addons => ("cluster-api", "CoreProvider"),
        Provider::KubeadmBootstrap => ("kubeadm", "BootstrapProvider"),
        Provider::KubeadmControlPlane => ("kubeadm", "ControlPlaneProvider"),
        Provider::Infra => ("docker", "InfrastructureProvider"),
    };
    let mut labels = labels(provider);
    labels[format!("{CLUSTERCTL}/core")] = "inventory".into();
    json!({
        "apiVersion": format!("{CLUSTERCTL}/v1alpha3"),
        "kind": "Provider",
        "metadata": {
            "name": provider.label(),
            "namespace": provider.namespace(),
            "labels": labels,
        },
        "providerName": name,
        "type": kind,
        "version": CLUSTER_API_VERSION,
    })
}

/// Name of the Deployment: the namespace's, with another ending.
fn manager(provider: Provider) -> String {
    let namespace = provider.namespace();
    let name = namespace.strip_suffix("-system").unwrap_or(namespace);
    format!("{name}-controller-manager")
}

/// Name of the manager's account.
fn account_name(provider: Provider) -> String {
    let namespace = provider.namespace();
    format!("{}-manager", namespace.strip_suffix("-system").unwrap_or(namespace))
}

fn account(provider: Provider) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {
            "name": account_name(provider),
            "namespace": provider.namespace(),
            "labels": labels(provider),
        },
    })
}

fn pod_name(provider: Provider) -> String {
    // As a ReplicaSet's Pods are called, but the same in every run.
    format!("{}-6f7d8c9b54-capim", manager(provider))
}

fn pod_labels(provider: Provider) -> Value {
    let mut labels = labels(provider);
    labels["control-plane"] = "controller-manager".into();
    labels
}

fn containers() -> Value {
    let image = concat!("capim:v", env!("CARGO_PKG_VERSION"));
    json!([{"name": "manager", "image": image, "command": ["/capim"]}])
}

fn deployment(provider: Provider) -> Value {
    let labels = pod_labels(provider);
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": manager(provider),
            "namespace": provider.namespace(),
            "labels": labels,
        },
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {
                "cluster.x-k8s.io/provider": provider.label(),
                "control-plane": "controller-manager",
            }},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers()}},
        },
    })
}

fn deployment_status(now: &str) -> Value {
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({"type": kind, "status": "True", "reason": reason, "message": message,
            "lastUpdateTime": now, "lastTransitionTime": now})
    };
    let available = "Deployment has minimum availability.";
    let progressing = "Deployment has successfully progressed.";
    json!({
        "observedGeneration": 1,
        "replicas": 1,
        "updatedReplicas": 1,
        "readyReplicas": 1,
        "availableReplicas": 1,
        "conditions": [
            condition("Available", "MinimumReplicasAvailable", available),
            condition("Progressing", "NewReplicaSetAvailable", progressing),
        ],
    })
}

fn pod(provider: Provider, deployment_uid: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(provider),
            "namespace": provider.namespace(),
            "labels": pod_labels(provider),
            // Goes with the Deployment.
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment",
                "name": manager(provider), "uid": deployment_uid, "controller": true}],
        },
        "spec": {
            "nodeName": NODE,
            "containers": containers(),
            "automountServiceAccountToken": false,
            "serviceAccountName": account_name(provider),
        },
    })
}

fn pod_status(now: &str) -> Value {
    let condition = |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": now});
    let image = concat!("capim:v", env!("CARGO_PKG_VERSION"));
    json!({
        "phase": "Running",
        "startTime": now,
        "podIP": "127.0.0.1",
        "podIPs": [{"ip": "127.0.0.1"}],
        "hostIP": "127.0.0.1",
        "hostIPs": [{"ip": "127.0.0.1"}],
        "conditions": [
            condition("PodReadyToStartContainers"),
            condition("Initialized"),
            condition("Ready"),
            condition("ContainersReady"),
            condition("PodScheduled"),
        ],
        "containerStatuses": [{
            "name": "manager",
            "image": image,
            "imageID": "",
            "containerID": "capim://manager",
            "ready": true,
            "started": true,
            "restartCount": 0,
            "state": {"running": {"startedAt": now}},
        }],
    })
}
