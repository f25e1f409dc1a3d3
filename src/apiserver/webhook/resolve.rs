//! From a webhook's place to the address and the names of its server.

use std::net::IpAddr;

use serde_json::Value;

use super::client_config::{ClientConfig, Place};
use super::connection::Peer;
use super::service_urls::ServiceUrls;
use crate::apiserver::{ApiServer, random};
use crate::machinery::gvk::GroupResource;
use crate::machinery::status::Status;
use crate::store::{Entry, RangeQuery, ResourceKey};

/// Label of an EndpointSlice: the Service it belongs to.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// Finds out where to connect to.
///
/// # Errors
/// kube-apiserver's words for Services that do not exist, have no such port or no endpoints.
pub(super) fn resolve(server: &ApiServer, config: &ClientConfig) -> Result<Peer, String> {
    find(&server.options().webhooks, Some(server), config)
}

/// The same with the addresses that the user gave. A Service that is not among them is looked up
/// in a server's store, or by its name where there is none.
///
/// # Errors
/// As [`resolve`].
pub(super) fn find(
    urls: &ServiceUrls,
    server: Option<&ApiServer>,
    config: &ClientConfig,
) -> Result<Peer, String> {
    let ca_bundle = config.ca_bundle.clone();
    let (namespace, name, port) = match &config.place {
        Place::Url { host, port, .. } => {
            let names = vec![host.clone()];
            return Ok(Peer { host: host.clone(), port: *port, names, ca_bundle });
        }
        Place::Service { namespace, name, port } => (namespace, name, *port),
    };
    let service_name = format!("{name}.{namespace}.svc");
    if let Some((host, port)) = urls.get(namespace, name) {
        // Whoever runs a webhook outside may have a certificate for either name.
        let names = vec![service_name, host.clone()];
        // Manifests that wait for cert-manager have a placeholder: an encoded line break.
        let has_none = ca_bundle.iter().all(u8::is_ascii_whitespace);
        let own = urls.authority();
        let ca_bundle = if has_none { own.clone() } else { ca_bundle };
        return Ok(Peer { host: host.clone(), port: *port, names, ca_bundle });
    }
    let (host, port) = match server {
        Some(server) => Services { server, namespace, name }.address(port)?,
        None => (service_name.clone(), port),
    };
    Ok(Peer { host, port, names: vec![service_name], ca_bundle })
}

/// A Service and what is known of its endpoints.
struct Services<'a> {
    server: &'a ApiServer,
    namespace: &'a str,
    name: &'a str,
}

impl Services<'_> {
    fn address(&self, port: u16) -> Result<(String, u16), String> {
        let service = self.get("services").ok_or_else(|| {
            Status::not_found(&GroupResource::new("", "service"), self.name).message
        })?;
        let kind = service["spec"]["type"].as_str().unwrap_or_default();
        match kind {
            "" | "ClusterIP" | "NodePort" | "LoadBalancer" => {}
            "ExternalName" => {
                let host = service["spec"]["externalName"].as_str().unwrap_or_default();
                return Ok((host.to_owned(), port));
            }
            other => return Err(format!("unsupported service type \"{other}\"")),
        }
        let mut ports = service["spec"]["ports"].as_array().into_iter().flatten();
        let Some(service_port) = ports.find(|it| it["port"] == port) else {
            return Err(format!("no service port {port} found for service \"{}\"", self.name));
        };
        let port_name = service_port["name"].as_str().unwrap_or_default();
        let found = self.slices(port_name);
        let mut found = if found.is_empty() { self.endpoints(port_name) } else { found };
        // Endpoints of the Service's own family come first.
        let family = service["spec"]["ipFamilies"][0].as_str().unwrap_or("IPv4");
        if found.iter().any(|it| is_of_family(it, family)) {
            found.retain(|it| is_of_family(it, family));
        }
        let count = u64::try_from(found.len()).unwrap_or(u64::MAX);
        let Some(drawn) = random::number().checked_rem(count) else {
            return Err(format!("no endpoints available for service \"{}\"", self.name));
        };
        Ok(found.swap_remove(usize::try_from(drawn).unwrap_or(0)))
    }

    fn get(&self, plural: &str) -> Option<Value> {
        let key = ResourceKey { group: "".into(), plural: plural.into() };
        parse(&*self.server.store().get(&key, self.namespace, self.name)?)
    }

    /// Ready addresses of the Service's EndpointSlices.
    fn slices(&self, port_name: &str) -> Vec<(String, u16)> {
        let resource =
            ResourceKey { group: "discovery.k8s.io".into(), plural: "endpointslices".into() };
        let query = RangeQuery {
            resource: &resource,
            namespace: Some(self.namespace),
            after: None,
            at: None,
            limit: 0,
        };
        let is_own = |entry: &Entry| entry.meta.labels.get(SERVICE_LABEL) == Some(self.name);
        let Ok(page) = self.server.store().range(query, is_own) else { return Vec::new() };
        let mut found = Vec::new();
        for slice in page.entries.iter().filter_map(|entry| parse(entry)) {
            for port in items(&slice["ports"]).filter_map(|it| number_of(it, port_name)) {
                let ready = items(&slice["endpoints"])
                    .filter(|endpoint| endpoint["conditions"]["ready"] != false)
                    .filter_map(|endpoint| endpoint["addresses"][0].as_str());
                found.extend(ready.map(|address| (address.to_owned(), port)));
            }
        }
        found
    }

    /// Ready addresses of the Service's Endpoints, which nobody mirrors into slices here.
    fn endpoints(&self, port_name: &str) -> Vec<(String, u16)> {
        let Some(endpoints) = self.get("endpoints") else { return Vec::new() };
        let mut found = Vec::new();
        for subset in items(&endpoints["subsets"]) {
            for port in items(&subset["ports"]).filter_map(|it| number_of(it, port_name)) {
                let addresses = items(&subset["addresses"]).filter_map(|it| it["ip"].as_str());
                found.extend(addresses.map(|address| (address.to_owned(), port)));
            }
        }
        found
    }
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// The number of an endpoint's port, if it has this name.
fn number_of(port: &Value, name: &str) -> Option<u16> {
    let is_named = port["name"].as_str().unwrap_or_default() == name;
    port["port"].as_u64().filter(|_| is_named).and_then(|number| u16::try_from(number).ok())
}

fn is_of_family((address, _): &(String, u16), family: &str) -> bool {
    match address.parse::<IpAddr>() {
        Ok(address) => address.is_ipv6() == (family == "IPv6"),
        Err(_) => false,
    }
}

fn parse(entry: &Entry) -> Option<Value> {
    serde_json::from_slice(&entry.raw).ok()
}
