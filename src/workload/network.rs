//! Addresses of a workload cluster: what its Cluster object asks for, and what each Node gets.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::apiserver::ServiceRange;

/// Network settings of a workload cluster, from `Cluster.spec.clusterNetwork`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterNetwork {
    /// Pod CIDR blocks; may be empty.
    pub pods: Vec<String>,
    /// Service CIDR blocks; may be empty.
    pub services: Vec<String>,
    /// DNS domain.
    pub domain: String,
}

/// kubeadm's default service block.
const DEFAULT_SERVICES: &str = "10.96.0.0/12";

/// Where Pods get addresses in a cluster that names no Pod block.
const DEFAULT_PODS: &str = "10.244.0.0/16";

/// Address of the Node in slot 0.
const FIRST_NODE_ADDRESS: Ipv4Addr = Ipv4Addr::new(172, 18, 0, 2);

impl Default for ClusterNetwork {
    fn default() -> Self {
        Self { pods: Vec::new(), services: Vec::new(), domain: "cluster.local".to_owned() }
    }
}

impl ClusterNetwork {
    /// Address of Service `default/kubernetes`: the first of the service block.
    pub(super) fn api_service(&self) -> IpAddr {
        self.service(1)
    }

    /// Address of Service `kube-system/kube-dns`: the tenth of the service block.
    pub(super) fn dns_service(&self) -> IpAddr {
        self.service(10)
    }

    fn service(&self, offset: u128) -> IpAddr {
        let block = self.services.first().map_or(DEFAULT_SERVICES, String::as_str);
        Block::parse(block)
            .or_else(|| Block::parse(DEFAULT_SERVICES))
            .and_then(|block| block.address(offset))
            .expect("the default service block has more than ten addresses")
    }

    /// Pod CIDRs of the Node in a slot: a /24 (IPv6: /64) of each pod block. Empty when the blocks
    /// are used up.
    pub(super) fn node_pods(&self, slot: u32) -> Vec<String> {
        self.pods.iter().filter_map(|block| Block::parse(block)?.subnet(u128::from(slot))).collect()
    }

    /// The addresses that Services get; of IPv6 blocks the default ones.
    pub(super) fn service_range(&self) -> ServiceRange {
        let block = self.services.first().map_or(DEFAULT_SERVICES, String::as_str);
        ServiceRange::parse(block)
            .or_else(|| ServiceRange::parse(DEFAULT_SERVICES))
            .unwrap_or_default()
    }

    /// The service block as kubeadm would configure it.
    pub(super) fn service_block(&self) -> String {
        if self.services.is_empty() { DEFAULT_SERVICES.to_owned() } else { self.services.join(",") }
    }
}

/// The address that the Node in a slot has inside its cluster. Clusters are separate networks, so
/// the same addresses occur in each.
pub(super) fn node_address(slot: u32) -> IpAddr {
    Ipv4Addr::from_bits(FIRST_NODE_ADDRESS.to_bits().wrapping_add(slot)).into()
}

/// The Pod block of the Node in a slot when its Cluster names none.
pub(super) fn default_pod_block(slot: u32) -> String {
    Block::parse(DEFAULT_PODS)
        .and_then(|block| block.subnet(u128::from(slot % 256)))
        .expect("the default Pod block has 256 parts")
}

/// The address with a number within a block, if it is in there.
pub(super) fn pod_address(block: &str, number: u128) -> Option<IpAddr> {
    Block::parse(block)?.address(number)
}

/// Slots of the Nodes of one cluster: the lowest free one is given to a new Node.
#[derive(Debug, Default)]
pub(super) struct Slots(BTreeSet<u32>);

impl Slots {
    /// Takes the lowest free slot.
    pub(super) fn take(&mut self) -> u32 {
        let free = (0..).find(|slot| !self.0.contains(slot)).expect("fewer Nodes than numbers");
        self.0.insert(free);
        free
    }

    /// Gives a slot back.
    pub(super) fn release(&mut self, slot: u32) {
        self.0.remove(&slot);
    }
}

/// A CIDR block, as a number of `width` bits.
struct Block {
    base: u128,
    prefix: u32,
    width: u32,
}

impl Block {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.trim().split_once('/')?;
        let prefix: u32 = prefix.parse().ok()?;
        let (bits, width) = match address.parse().ok()? {
            IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        if prefix > width {
            return None;
        }
        let host_bits = width - prefix;
        let base = bits.checked_shr(host_bits).unwrap_or(0).checked_shl(host_bits).unwrap_or(0);
        Some(Self { base, prefix, width })
    }

    fn address(&self, offset: u128) -> Option<IpAddr> {
        let host_bits = self.width - self.prefix;
        if host_bits < 128 && offset >> host_bits != 0 {
            return None;
        }
        self.render(self.base + offset)
    }

    fn subnet(&self, number: u128) -> Option<String> {
        let length = if self.width == 32 { 24 } else { 64 }.max(self.prefix);
        let free_bits = length - self.prefix;
        if number.checked_shr(free_bits).unwrap_or(0) != 0 {
            return None;
        }
        let offset = number.checked_shl(self.width - length).unwrap_or(0);
        Some(format!("{}/{length}", self.render(self.base + offset)?))
    }

    fn render(&self, bits: u128) -> Option<IpAddr> {
        match self.width {
            32 => Some(Ipv4Addr::from_bits(u32::try_from(bits).ok()?).into()),
            _ => Some(Ipv6Addr::from_bits(bits).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(pods: &[&str], services: &[&str]) -> ClusterNetwork {
        let owned = |blocks: &[&str]| blocks.iter().map(|block| (*block).to_owned()).collect();
        ClusterNetwork { pods: owned(pods), services: owned(services), ..Default::default() }
    }

    #[test]
    fn each_node_gets_a_part_of_every_pod_block() {
        let network = network(&["192.168.0.0/16", "fd00:10::/56"], &[]);
        assert_eq!(network.node_pods(0), ["192.168.0.0/24", "fd00:10::/64"]);
        assert_eq!(network.node_pods(255), ["192.168.255.0/24", "fd00:10:0:ff::/64"]);
        assert!(network.node_pods(256).is_empty(), "both blocks are used up");
    }

    #[test]
    fn small_or_broken_pod_blocks_do_no_harm() {
        assert_eq!(network(&["10.0.0.0/26"], &[]).node_pods(0), ["10.0.0.0/26"]);
        assert!(network(&["10.0.0.0/26"], &[]).node_pods(1).is_empty());
        assert!(network(&["nonsense", "10.0.0.0/99"], &[]).node_pods(0).is_empty());
    }

    #[test]
    fn services_have_the_first_and_tenth_address() {
        let network = network(&[], &["10.128.0.0/12"]);
        assert_eq!(network.api_service().to_string(), "10.128.0.1");
        assert_eq!(network.dns_service().to_string(), "10.128.0.10");
        assert_eq!(ClusterNetwork::default().api_service().to_string(), "10.96.0.1");
    }

    #[test]
    fn slots_are_used_again() {
        let mut slots = Slots::default();
        assert_eq!((slots.take(), slots.take(), slots.take()), (0, 1, 2));
        slots.release(1);
        assert_eq!((slots.take(), slots.take()), (1, 3));
        assert_eq!(node_address(1).to_string(), "172.18.0.3");
    }

    #[test]
    fn pods_have_addresses_of_their_nodes_block() {
        assert_eq!(default_pod_block(3), "10.244.3.0/24");
        let text = |number| pod_address("10.244.3.0/24", number).map(|it| it.to_string());
        assert_eq!(text(2).as_deref(), Some("10.244.3.2"));
        assert_eq!(text(256), None);
    }
}
