//! Addresses and node ports of Services: no two Services of a server have the same.
//!
//! The kind's rules propose what a Service lacks, from its name; here a proposal that is taken
//! moves on to the next free value, and one that the client made is refused. Values are held from
//! before the write until its Service is stored, and given back when it changes or goes. What is
//! taken is read from the store once, when the first Service is written.
//! (kubernetes 1.36: pkg/registry/core/service/{ipallocator,portallocator}, storage/alloc.go)

use std::collections::HashMap;
use std::net::Ipv4Addr;

use parking_lot::Mutex;
use serde_json::Value;

use crate::apiserver::ApiServer;
use crate::machinery::status::{Cause, Status};
use crate::store::{Entry, RangeQuery, ResourceKey, Store};

/// `--service-node-port-range`
const FIRST_PORT: u32 = 30_000;
const LAST_PORT: u32 = 32_767;

/// The block of addresses that Services of a server get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRange {
    cidr: Box<str>,
    /// The first address after the network's own.
    first: u32,
    /// The last one before the broadcast address.
    last: u32,
}

impl Default for ServiceRange {
    /// 10.0.0.0/24, kube-apiserver's default.
    fn default() -> Self {
        Self::parse("10.0.0.0/24").expect("the default is a block")
    }
}

impl ServiceRange {
    /// Reads `10.96.0.0/12`; of several blocks, separated by commas, the first counts. `None` for
    /// what is no IPv4 block with at least two addresses for Services.
    pub fn parse(cidr: &str) -> Option<Self> {
        let block = cidr.split(',').next()?.trim();
        let (address, bits) = block.split_once('/')?;
        let bits: u32 = bits.parse().ok().filter(|bits| (1..=30).contains(bits))?;
        let mask = u32::MAX << (32 - bits);
        let network = u32::from(address.parse::<Ipv4Addr>().ok()?) & mask;
        Some(Self { cidr: block.into(), first: network + 1, last: (network | !mask) - 1 })
    }

    /// The block as it was written.
    pub fn cidr(&self) -> &str {
        &self.cidr
    }

    /// The first address, which is the Service `kubernetes`'.
    pub fn first(&self) -> Ipv4Addr {
        self.first.into()
    }

    fn contains(&self, address: u32) -> bool {
        (self.first..=self.last).contains(&address)
    }

    /// The address that many places after another one, beginning again after the last.
    fn after(&self, address: u32, steps: u32) -> u32 {
        let (count, offset) = (u64::from(self.count()), address.wrapping_sub(self.first));
        let place = (u64::from(offset) + u64::from(steps)) % count;
        self.first + u32::try_from(place).unwrap_or(0)
    }

    fn count(&self) -> u32 {
        self.last - self.first + 1
    }
}

/// Namespace and name of a Service.
type Owner = (String, String);

/// What Services of one server have.
#[derive(Default)]
pub(crate) struct ServiceAddresses {
    /// `None` until the first Service is written. Locked by writes of Services, for a moment.
    taken: Mutex<Option<Taken>>,
}

/// Who has what.
#[derive(Default)]
struct Taken {
    addresses: HashMap<u32, Owner>,
    ports: HashMap<u32, Owner>,
    /// What each stored Service has, so that a commit costs what its Service has and no more.
    stored: HashMap<Owner, Values>,
}

/// What one Service has.
#[derive(Default)]
struct Values {
    address: Option<u32>,
    ports: Vec<u32>,
}

/// Values that a write holds. Dropped without [`Reservation::keep`] it gives them back.
pub(crate) struct Reservation<'a> {
    addresses: &'a ServiceAddresses,
    /// What was free before.
    new_addresses: Vec<u32>,
    new_ports: Vec<u32>,
}

impl Reservation<'_> {
    /// The Service is stored.
    pub(crate) fn keep(mut self) {
        self.new_addresses.clear();
        self.new_ports.clear();
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if self.new_addresses.is_empty() && self.new_ports.is_empty() {
            return;
        }
        if let Some(taken) = &mut *self.addresses.taken.lock() {
            for address in &self.new_addresses {
                taken.addresses.remove(address);
            }
            for port in &self.new_ports {
                taken.ports.remove(port);
            }
        }
    }
}

impl ServiceAddresses {
    /// Takes what a Service is going to have. `given` is its spec as the client sent it: what is
    /// not in it was proposed and may be replaced.
    ///
    /// # Errors
    /// 422 for values that are taken or out of range.
    pub(crate) fn reserve(
        &self,
        server: &ApiServer,
        service: &mut Value,
        given: &Value,
    ) -> Result<Reservation<'_>, Box<Status>> {
        let text = |field: &str| service["metadata"][field].as_str().unwrap_or_default().to_owned();
        let owner = (text("namespace"), text("name"));
        let mut reservation =
            Reservation { addresses: self, new_addresses: Vec::new(), new_ports: Vec::new() };
        let mut causes = unserved_families(given);
        if !causes.is_empty() {
            return Err(Status::invalid("", "Service", &owner.1, causes));
        }
        let mut guard = self.taken.lock();
        let taken = guard.get_or_insert_with(|| Taken::read(server));
        let spec = &mut service["spec"];
        let range = &server.options().service_range;
        taken.reserve_address((spec, given), &owner, range, (&mut reservation, &mut causes));
        if causes.is_empty() {
            taken.reserve_ports(spec, given, &owner, (&mut reservation, &mut causes));
        }
        drop(guard);
        if causes.is_empty() {
            return Ok(reservation);
        }
        Err(Status::invalid("", "Service", &owner.1, causes))
    }

    /// Gives back what the written Service `entry` had and has no more. Commits may be told of in
    /// any order: what counts is the Service as the store has it now.
    pub(crate) fn committed(&self, store: &Store, entry: &Entry) {
        let mut guard = self.taken.lock();
        let Some(taken) = &mut *guard else { return };
        let (namespace, name) = (&*entry.meta.namespace, &*entry.meta.name);
        taken.forget(&(namespace.to_owned(), name.to_owned()));
        if let Some(now) = store.get(&services(), namespace, name) {
            taken.add(&now);
        }
    }
}

/// What a Service asks of a server whose Services have IPv4 addresses alone. (kubernetes 1.36:
/// pkg/registry/core/service/storage/alloc.go, initIPFamilyFields)
fn unserved_families(given: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let list = |field: &str| given[field].as_array().map_or(&[][..], Vec::as_slice);
    let has_selector = given["selector"].as_object().is_some_and(|labels| !labels.is_empty());
    let address = given["clusterIP"].as_str().unwrap_or_default();
    if address.is_empty() && !list("clusterIPs").is_empty() {
        let why = "must be empty when `clusterIP` is not specified";
        causes.push(Cause::invalid("spec.clusterIPs", &given["clusterIPs"], why));
        return causes;
    }
    if given["type"] == "ExternalName" || (address == "None" && !has_selector) {
        return causes;
    }
    if given["ipFamilyPolicy"] == "RequireDualStack" {
        let why = "this cluster is not configured for dual-stack services";
        let policy = &given["ipFamilyPolicy"];
        causes.push(Cause::invalid("spec.ipFamilyPolicy", policy, why));
    }
    for (index, family) in list("ipFamilies").iter().enumerate().filter(|(_, it)| *it == "IPv6") {
        let field = format!("spec.ipFamilies[{index}]");
        causes.push(Cause::invalid(field, family, "not configured on this cluster"));
    }
    causes
}

fn services() -> ResourceKey {
    ResourceKey { group: "".into(), plural: "services".into() }
}

impl Taken {
    fn read(server: &ApiServer) -> Self {
        let resource = services();
        let query =
            RangeQuery { resource: &resource, namespace: None, after: None, at: None, limit: 0 };
        let mut taken = Self::default();
        if let Ok(page) = server.store().range(query, |_| true) {
            page.entries.iter().for_each(|entry| taken.add(entry));
        }
        taken
    }

    fn add(&mut self, entry: &Entry) {
        let Ok(service) = serde_json::from_slice::<Value>(&entry.raw) else { return };
        let owner = (entry.meta.namespace.to_string(), entry.meta.name.to_string());
        let spec = &service["spec"];
        let values =
            Values { address: address(&spec["clusterIP"]), ports: node_ports(spec).collect() };
        if let Some(address) = values.address {
            self.addresses.insert(address, owner.clone());
        }
        for port in &values.ports {
            self.ports.insert(*port, owner.clone());
        }
        self.stored.insert(owner, values);
    }

    /// Frees what a stored Service has.
    fn forget(&mut self, owner: &Owner) {
        let Some(values) = self.stored.remove(owner) else { return };
        if let Some(address) = values.address {
            free(&mut self.addresses, address, owner);
        }
        for port in values.ports {
            free(&mut self.ports, port, owner);
        }
    }

    fn reserve_address(
        &mut self,
        (spec, given): (&mut Value, &Value),
        owner: &Owner,
        range: &ServiceRange,
        (reservation, causes): (&mut Reservation<'_>, &mut Vec<Cause>),
    ) {
        if spec["type"] == "ExternalName" {
            return;
        }
        let Some(mut wanted) = address(&spec["clusterIP"]) else { return };
        let is_given = address(&given["clusterIP"]).is_some()
            || given["clusterIPs"].get(0).is_some_and(|first| address(first).is_some());
        let refuse = |wanted: u32, why: &str| {
            let shown = Ipv4Addr::from(wanted);
            let why = format!("failed to allocate IP {shown}: {why}");
            Cause::invalid("spec.clusterIPs", &serde_json::json!([shown.to_string()]), &why)
        };
        if !range.contains(wanted) && is_given {
            causes.push(refuse(wanted, "the provided network does not match the current range"));
            return;
        }
        if !range.contains(wanted) {
            // The kind's rules do not know the range: their proposal is as good as a hash.
            wanted = range.after(range.first, wanted);
            put(spec, wanted);
        }
        let found = match self.addresses.get(&wanted) {
            None => wanted,
            Some(of) if of == owner => return,
            Some(_) if is_given => {
                causes.push(refuse(wanted, "provided IP is already allocated"));
                return;
            }
            Some(_) => {
                let mut others = (1..range.count()).map(|steps| range.after(wanted, steps));
                let Some(free) = others.find(|it| !self.addresses.contains_key(it)) else {
                    causes.push(refuse(wanted, "range is full"));
                    return;
                };
                put(spec, free);
                free
            }
        };
        self.addresses.insert(found, owner.clone());
        reservation.new_addresses.push(found);
    }

    fn reserve_ports(
        &mut self,
        spec: &mut Value,
        given: &Value,
        owner: &Owner,
        (reservation, causes): (&mut Reservation<'_>, &mut Vec<Cause>),
    ) {
        let given = |index: usize| number(&given["ports"][index]["nodePort"]).is_some();
        let count = spec["ports"].as_array().map_or(0, Vec::len);
        for index in 0..count {
            let Some(wanted) = number(&spec["ports"][index]["nodePort"]) else { continue };
            let refuse = |why: &str| {
                let path = format!("spec.ports[{index}].nodePort");
                Cause::invalid(path, &wanted.into(), why)
            };
            if !(FIRST_PORT..=LAST_PORT).contains(&wanted) {
                causes.push(refuse(
                    "provided port is not in the valid range. The range of valid ports is \
                     30000-32767",
                ));
                continue;
            }
            match self.ports.get(&wanted) {
                None => {
                    self.ports.insert(wanted, owner.clone());
                    reservation.new_ports.push(wanted);
                }
                Some(of) if of == owner => {}
                Some(_) if given(index) => {
                    causes.push(refuse("provided port is already allocated"))
                }
                Some(_) => {
                    let size = LAST_PORT - FIRST_PORT + 1;
                    let offset = wanted - FIRST_PORT;
                    let mut others = (1..size).map(|step| FIRST_PORT + (offset + step) % size);
                    let Some(free) = others.find(|it| !self.ports.contains_key(it)) else {
                        causes.push(refuse("range is full"));
                        continue;
                    };
                    self.ports.insert(free, owner.clone());
                    reservation.new_ports.push(free);
                    // Ports that share a number go on sharing it.
                    for port in spec["ports"].as_array_mut().into_iter().flatten() {
                        if port["nodePort"] == wanted {
                            port["nodePort"] = free.into();
                        }
                    }
                }
            }
        }
    }
}

/// Frees a value, unless somebody else has it.
fn free(values: &mut HashMap<u32, Owner>, value: u32, owner: &Owner) {
    if values.get(&value) == Some(owner) {
        values.remove(&value);
    }
}

fn put(spec: &mut Value, address: u32) {
    let shown = Ipv4Addr::from(address).to_string();
    spec["clusterIPs"] = serde_json::json!([shown]);
    spec["clusterIP"] = shown.into();
}

fn address(value: &Value) -> Option<u32> {
    value.as_str()?.parse::<Ipv4Addr>().ok().map(u32::from)
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0)
}

fn node_ports(spec: &Value) -> impl Iterator<Item = u32> {
    spec["ports"].as_array().into_iter().flatten().filter_map(|port| number(&port["nodePort"]))
}
