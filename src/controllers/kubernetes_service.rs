//! The Service `kubernetes` of the namespace `default`, behind which Pods find the API server, with
//! its Endpoints and EndpointSlice. (kubernetes 1.36: pkg/controlplane/controller/kubernetesservice,
//! pkg/controlplane/reconcilers)
//!
//! It is looked after once, at the start: nothing runs, and nothing is written that is there
//! already. Endpoints cannot be loopback addresses; a server that listens there alone has none.

use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::core::v1::{Endpoints, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::client::{Client, ClientError, ObjectKey};

const NAMESPACE: &str = "default";
const NAME: &str = "kubernetes";
/// Port of the Service.
const PORT: u16 = 443;

/// Creates what is missing of the Service for a server that is reached at `address`;
/// `service_address` is the first one of the server's Services.
///
/// # Errors
/// Any answer but success and `AlreadyExists`.
pub async fn publish_kubernetes_service(
    client: &Client,
    address: SocketAddr,
    service_address: IpAddr,
) -> Result<(), ClientError> {
    let port = address.port();
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": NAME, "namespace": NAMESPACE,
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "clusterIP": service_address.to_string(),
            "ports": [{"name": "https", "port": PORT, "protocol": "TCP", "targetPort": port}],
            "sessionAffinity": "None", "type": "ClusterIP",
        },
    });
    create::<Service>(client, service).await?;
    let ip = address.ip();
    if ip.is_loopback() || ip.is_unspecified() {
        return Ok(());
    }
    let endpoints = json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {
            "name": NAME, "namespace": NAMESPACE,
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
        },
        "subsets": [{
            "addresses": [{"ip": ip.to_string()}],
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        }],
    });
    create::<Endpoints>(client, endpoints).await?;
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": NAME, "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": NAME},
        },
        "addressType": if ip.is_ipv4() { "IPv4" } else { "IPv6" },
        "endpoints": [{"addresses": [ip.to_string()], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    });
    create::<EndpointSlice>(client, slice).await
}

async fn create<K>(client: &Client, object: Value) -> Result<(), ClientError>
where
    K: kube::Resource<DynamicType = ()> + DeserializeOwned + Clone + std::fmt::Debug,
{
    if client.get::<K>(&ObjectKey::new(NAMESPACE, NAME)).await?.is_some() {
        return Ok(());
    }
    let resource = kube::core::ApiResource::erase::<K>(&());
    match client.create_dynamic(&resource, &object).await {
        Err(error) if !error.is_already_exists() => Err(error),
        _ => Ok(()),
    }
}
