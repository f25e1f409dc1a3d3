//! Addresses of Pods: the lowest free one of their Node's block.

use std::net::IpAddr;

use serde_json::Value;

use super::site::{Site, node_of};
use crate::workload::cluster::Kubelet;
use crate::workload::network;

/// The first number of a Node's block that a Pod gets: a bridge has the one before.
const FIRST: u128 = 2;
/// Pods of a Node that get addresses of their own.
const PODS_MAX: u128 = 4096;

/// The address of a Pod: its Node's for the host's network, a free one of the Node's Pod block
/// otherwise; `None` when that is used up.
pub(super) fn address_of(site: &Site<'_>, pod: &Value, kubelet: &Kubelet) -> Option<IpAddr> {
    if pod["spec"]["hostNetwork"] == true {
        return Some(kubelet.address);
    }
    let known = pod["status"]["podIP"].as_str().and_then(|known| known.parse().ok());
    if known.is_some() {
        return known;
    }
    let used: Vec<IpAddr> = site
        .pods_of(node_of(pod)?)
        .iter()
        .filter(|other| other["spec"]["hostNetwork"] != true && !has_ended(other))
        .filter_map(|other| other["status"]["podIP"].as_str()?.parse().ok())
        .collect();
    (FIRST..PODS_MAX)
        .map_while(|number| network::pod_address(&kubelet.pod_block, number))
        .find(|address| !used.contains(address))
}

fn has_ended(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}
