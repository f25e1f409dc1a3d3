//! Who asks a server for what: requests, errors, open watches and latencies by client.
//!
//! A client is a program under a user: the first product of the `User-Agent` header and the name
//! of the authenticated user, before impersonation. What clients make up is bounded: the first
//! [`CLIENTS_MAX`] are told apart, [`STRANGERS_MAX`] of them without credentials that hold; the rest
//! counts as one. A request of a known client reads two locks that only new clients and resources
//! write, one of its shard and one of its own, adds to some atomic counters, and allocates nothing.
//!
//! Counts live as long as their server. Requests that are given up before they are answered are in
//! none of them.

mod counts;
mod report;

pub use report::{ClientErrors, ClientLatency, ClientRequests, ClientRequestsList, VerbCounts};

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::HeaderMap;
use http::header::USER_AGENT;
use parking_lot::RwLock;

use super::answer;
use super::request::RequestInfo;
use super::server::ApiServer;
use crate::machinery::status::Status;
use crate::store::ResourceKey;
use counts::ClientCounts;

/// Clients that are told apart.
const CLIENTS_MAX: usize = 200;
/// Those of them that were refused or are anonymous: who needs no credentials can take as many names
/// as they like.
const STRANGERS_MAX: usize = 40;
/// Parts of the map, each behind its own lock.
const SHARDS: usize = 16;
/// Where the counts are served.
pub(crate) const PATH: &str = "/debug/api_clients";
/// Bytes of a program's and of a user's name that are told apart.
const PROGRAM_BYTES_MAX: usize = 64;
const USER_BYTES_MAX: usize = 128;
/// What the rest is called.
const OTHERS: &str = "others";
/// Who sends no credentials.
const ANONYMOUS: &str = "system:anonymous";
/// A program that does not say what it is, or not in ASCII.
const UNNAMED: &str = "unknown";

/// The clients of one server.
pub(crate) struct Clients {
    /// By user and program, whose hash names the shard. Written once a client, read once a request.
    shards: [RwLock<Shard>; SHARDS],
    hasher: RandomState,
    /// Clients that are told apart, and those of them nobody vouches for. They only grow, under the
    /// lock of a shard.
    known: AtomicUsize,
    strangers: AtomicUsize,
    /// Everybody else.
    others: Arc<ClientCounts>,
}

/// Clients by user and program.
type Shard = HashMap<Box<str>, HashMap<Box<str>, Arc<ClientCounts>>>;

impl Default for Clients {
    fn default() -> Self {
        Self {
            shards: Default::default(),
            hasher: RandomState::new(),
            known: AtomicUsize::new(0),
            strangers: AtomicUsize::new(0),
            others: Arc::new(ClientCounts::new(OTHERS, "", false)),
        }
    }
}

impl Clients {
    fn of(&self, program: &str, user: &str, is_in_process: bool) -> Arc<ClientCounts> {
        let user = cut(user, USER_BYTES_MAX);
        let find = |shard: &Shard| shard.get(user)?.get(program).cloned();
        let shard = &self.shards[self.hasher.hash_one((user, program)) as usize % SHARDS];
        if let Some(client) = find(&shard.read()) {
            return client;
        }
        if !self.has_room(user) {
            return self.others.clone();
        }
        let mut shard = shard.write();
        if let Some(client) = find(&shard) {
            return client;
        }
        if !self.take_room(user) {
            return self.others.clone();
        }
        let client = Arc::new(ClientCounts::new(program, user, is_in_process));
        shard.entry(user.into()).or_default().insert(program.into(), client.clone());
        client
    }

    /// Whether one more may be told apart, without a lock.
    fn has_room(&self, user: &str) -> bool {
        self.known.load(Ordering::Relaxed) < CLIENTS_MAX
            && (!is_stranger(user) || self.strangers.load(Ordering::Relaxed) < STRANGERS_MAX)
    }

    fn take_room(&self, user: &str) -> bool {
        let take = |counter: &AtomicUsize, max| {
            let more = |count| (count < max).then_some(count + 1);
            counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
        };
        (!is_stranger(user) || take(&self.strangers, STRANGERS_MAX))
            && take(&self.known, CLIENTS_MAX)
    }

    /// All that were answered, those that are not told apart last.
    fn all(&self) -> Vec<Arc<ClientCounts>> {
        let mut all = Vec::new();
        for shard in &self.shards {
            all.extend(shard.read().values().flat_map(HashMap::values).cloned());
        }
        all.push(self.others.clone());
        all.retain(|client| client.total() > 0);
        all
    }
}

/// Whether nobody vouches for a user's name.
fn is_stranger(user: &str) -> bool {
    user.is_empty() || user == ANONYMOUS
}

/// The program that a request says it comes from: the first product of its `User-Agent`.
fn program(headers: &HeaderMap) -> &str {
    let text = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match text.split_ascii_whitespace().next() {
        Some(product) => cut(product, PROGRAM_BYTES_MAX),
        None => UNNAMED,
    }
}

/// The beginning of a text, in at most so many bytes.
fn cut(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// What a request turned out to be, noted on its way; without a client where nobody counts.
#[derive(Default)]
pub(super) struct Asked {
    /// When it came, by the server's clock.
    since: Duration,
    client: OnceLock<Arc<ClientCounts>>,
    resource: OnceLock<Arc<ResourceKey>>,
}

/// Whether an answer is complete when its head is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Complete,
    /// It goes on, as that of a watch does; how long that took says nothing.
    Open,
}

impl Asked {
    /// Nothing is noted yet of a request that came at this time.
    pub(super) fn since(since: Duration) -> Self {
        Self { since, ..Self::default() }
    }

    /// Notes who asks: the name of the user, empty for one who was refused. The first note holds.
    pub(super) fn note_client(
        &self,
        server: &ApiServer,
        headers: &HeaderMap,
        user: &str,
        info: &RequestInfo,
    ) {
        if let Some(clients) = server.clients() {
            self.client.get_or_init(|| clients.of(program(headers), user, info.is_in_process));
        }
    }

    /// Notes what is asked for; without, it was no served resource.
    pub(super) fn note_resource(&self, resource: &Arc<ResourceKey>) {
        self.resource.get_or_init(|| resource.clone());
    }

    /// Counts the answer.
    pub(super) fn answered(&self, info: &RequestInfo, code: u16, now: Duration, end: End) {
        if let Some(client) = self.client.get() {
            client.count(info.verb, self.resource.get(), now);
            let took = (end == End::Complete).then(|| now.saturating_sub(self.since));
            client.answered(code, took);
        }
    }

    /// Counts a watch until the guard is dropped.
    pub(super) fn watching(&self) -> Option<OpenWatch> {
        let client = self.client.get()?.clone();
        client.watch_begins();
        Some(OpenWatch(client))
    }
}

/// An open watch of a client.
pub(super) struct OpenWatch(Arc<ClientCounts>);

impl Drop for OpenWatch {
    fn drop(&mut self) {
        self.0.watch_ends();
    }
}

/// Answers a request for [`PATH`].
pub(super) fn respond(server: &ApiServer) -> http::Response<axum::body::Body> {
    let Some(clients) = server.clients() else { return answer::not_found_page() };
    let (now, elapsed) = (server.clock().now(), server.clock().elapsed());
    let items = clients.all().iter().map(|client| client.report(now, elapsed)).collect();
    let list = ClientRequestsList::of(items);
    match serde_json::to_vec(&list) {
        Ok(json) => answer::json_response(200, json),
        Err(error) => {
            let status = Status::internal(error);
            answer::status_response(&status)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(agent: &[u8]) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, http::HeaderValue::from_bytes(agent).unwrap());
        program(&headers).to_owned()
    }

    #[test]
    fn a_program_is_the_first_product_of_its_header() {
        assert_eq!(named(b"kubectl/v1.36.1 (linux/amd64) kubernetes/abc"), "kubectl/v1.36.1");
        assert_eq!(named(b"  "), UNNAMED);
        assert_eq!(named(b"m\xc3\xa4nager/v1"), UNNAMED, "not ASCII");
        assert_eq!(named(&[b'x'; 500]).len(), PROGRAM_BYTES_MAX);
        assert_eq!(program(&HeaderMap::new()), UNNAMED);
    }

    #[test]
    fn clients_beyond_the_bound_count_as_one() {
        let clients = Clients::default();
        for number in 0..CLIENTS_MAX + 50 {
            let client = clients.of(&format!("made-up/{number}"), "mallory", false);
            client.count("get", None, Duration::ZERO);
        }
        let known = clients.of("made-up/0", "mallory", false);
        assert_eq!(known.total(), 1, "known ones are told apart for ever");
        assert_eq!(clients.all().len(), CLIENTS_MAX + 1);
        assert_eq!(clients.others.total(), 50);
    }

    #[test]
    fn those_without_credentials_leave_room_for_others() {
        let clients = Clients::default();
        for number in 0..CLIENTS_MAX {
            let user = if number % 2 == 0 { "" } else { ANONYMOUS };
            clients.of(&format!("made-up/{number}"), user, false).count(
                "get",
                None,
                Duration::ZERO,
            );
        }
        assert_eq!(clients.all().len(), STRANGERS_MAX + 1);
        let bob = clients.of("kubectl/v1", "bob", false);
        assert!(!Arc::ptr_eq(&bob, &clients.others));
    }

    #[test]
    fn long_names_of_users_are_cut_between_letters() {
        let clients = Clients::default();
        let long = "ä".repeat(USER_BYTES_MAX);
        let client = clients.of("x", &long, false);
        assert!(Arc::ptr_eq(&client, &clients.of("x", &format!("{long}more"), false)));
        assert!(!Arc::ptr_eq(&client, &clients.of("x", "other", false)));
    }
}
