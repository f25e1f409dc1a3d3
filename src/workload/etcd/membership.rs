//! Who is a member of an etcd, who has a vote, who leads, and what is wrong: pure and synchronous.
//! (etcd v3.6: server/etcdserver/server.go, server/etcdserver/api/membership/cluster.go)
//!
//! A member is up or down; all that are up are connected. While a majority of the voters is up
//! there is a leader, and when the leader goes, the voter that joined first takes over at once.

use std::collections::BTreeSet;

use super::errors::EtcdError;
use super::kv::Store;
use super::messages::AlarmType;
use crate::client::{EtcdMember, EtcdStatus, ObjectKey};
use crate::clock::Seed;

/// Learners that a cluster may have. (etcd v3.6: membership.DefaultMaxLearners)
const LEARNERS_MAX: usize = 1;
/// Alarms that may be raised, because any number may be named as a member's id.
const ALARMS_MAX: usize = 64;
/// Raft's log when the first member has elected itself: its own entry, its attributes, the
/// cluster's version.
const FIRST_INDEX: u64 = 4;

/// The members of one etcd cluster. Ids derive from the seed, so that a run can be repeated.
#[derive(Debug)]
pub(super) struct Etcd {
    seed: Seed,
    cluster: ObjectKey,
    /// In order of joining.
    members: Vec<Member>,
    /// 0 for none.
    leader: u64,
    term: u64,
    index: u64,
    alarms: BTreeSet<(AlarmType, u64)>,
    /// Made by the first write.
    store: Option<Box<Store>>,
    /// Counts changes of members, leader and alarms.
    generation: u64,
}

/// A member as the others know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Id.
    pub(super) id: u64,
    /// Name, that of its Node; empty until it has started.
    pub(super) name: String,
    /// Where other members reach it.
    pub(super) peer_urls: Vec<String>,
    /// Where clients reach it.
    pub(super) client_urls: Vec<String>,
    /// Has no vote yet.
    pub(super) is_learner: bool,
    /// Its process runs.
    is_up: bool,
    /// The log as far as it has it. That of a member that is up is complete.
    matched: u64,
}

/// What a Pod shows of its member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::workload) struct MemberState {
    /// Id of the cluster.
    pub(in crate::workload) cluster_id: u64,
    /// Id of the member.
    pub(in crate::workload) member_id: u64,
    /// Whether it leads.
    pub(in crate::workload) is_leader: bool,
}

impl Etcd {
    /// An etcd without members.
    pub(super) fn new(seed: Seed, cluster: ObjectKey) -> Self {
        Self {
            seed,
            cluster,
            members: Vec::new(),
            leader: 0,
            term: 1,
            index: FIRST_INDEX,
            alarms: BTreeSet::new(),
            store: None,
            generation: 0,
        }
    }

    /// Members and leader, as controllers of this process see them.
    pub(super) fn status(&self) -> EtcdStatus {
        let members = self.members.iter().map(|member| EtcdMember {
            id: member.id,
            name: member.name.clone(),
            is_learner: member.is_learner,
            alarms: self.alarms_of(member.id).map(|alarm| alarm_name(alarm).to_owned()).collect(),
        });
        EtcdStatus { members: members.collect(), leader_id: self.leader }
    }

    /// Counts changes of members, leader and alarms.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Id of the etcd cluster.
    pub(super) fn cluster_id(&self) -> u64 {
        self.draw("", 0)
    }

    /// Id of the leader; 0 for none.
    pub(super) fn leader(&self) -> u64 {
        self.leader
    }

    /// Raft's term.
    pub(super) fn term(&self) -> u64 {
        self.term
    }

    /// Raft's committed index.
    pub(super) fn index(&self) -> u64 {
        self.index
    }

    /// All members, in order of joining.
    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member of an id.
    pub(super) fn member(&self, id: u64) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }

    /// The member of a name.
    pub(super) fn named(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }

    /// Whether a member's process runs.
    pub(super) fn is_up(&self, id: u64) -> bool {
        self.member(id).is_some_and(|member| member.is_up)
    }

    /// The keys, if anything was ever written.
    pub(super) fn store(&self) -> Option<&Store> {
        self.store.as_deref()
    }

    /// The keys, to be changed by a committed entry.
    pub(super) fn store_mut(&mut self) -> &mut Store {
        self.store.get_or_insert_default()
    }

    /// Takes note of a committed entry.
    pub(super) fn commit(&mut self) {
        self.index += 1;
    }

    /// Starts a machine's member at an address: one that was announced by its peer URL, one that
    /// was down, or a new voter. Answers its id.
    ///
    /// A new voter needs a leader that lets it in, unless it is the first.
    pub(super) fn start(&mut self, name: &str, address: &str) -> Result<u64, EtcdError> {
        let peer_url = format!("https://{address}:2380");
        let client_urls = vec![format!("https://{address}:2379")];
        let announced = self.members.iter().position(|member| {
            member.name == name || (member.name.is_empty() && member.peer_urls.contains(&peer_url))
        });
        let at = match announced {
            Some(at) => at,
            None if !self.members.is_empty() && self.leader == 0 => {
                return Err(EtcdError::NoLeader);
            }
            None => {
                self.announce(name, vec![peer_url], false);
                self.members.len() - 1
            }
        };
        let member = &mut self.members[at];
        let id = member.id;
        if !member.is_up || member.name != name {
            name.clone_into(&mut member.name);
            member.client_urls = client_urls;
            member.is_up = true;
            self.commit();
            self.settle();
        }
        Ok(id)
    }

    /// Stops the process of a machine's member, which stays a member. Answers whether it ran.
    pub(super) fn stop(&mut self, name: &str) -> bool {
        let index = self.index;
        let found = self.members.iter_mut().find(|member| member.name == name && member.is_up);
        let Some(member) = found else { return false };
        member.is_up = false;
        member.matched = index;
        self.settle();
        true
    }

    /// Adds a member that is yet to start.
    pub(super) fn add(&mut self, urls: &[String], is_learner: bool) -> Result<u64, EtcdError> {
        let peer_urls = valid_urls(urls)?;
        if !is_learner && !self.is_ready_to_add() {
            return Err(EtcdError::NotEnoughStarted);
        }
        if self.voters().any(|member| !member.is_up) {
            return Err(EtcdError::Unhealthy);
        }
        if self.members.iter().any(|member| has_any(&member.peer_urls, &peer_urls)) {
            return Err(EtcdError::PeerUrlExists);
        }
        let learners = self.members.iter().filter(|member| member.is_learner).count();
        if is_learner && learners >= LEARNERS_MAX {
            return Err(EtcdError::TooManyLearners);
        }
        let id = self.announce(&peer_urls.join(","), peer_urls.clone(), is_learner);
        self.settle();
        Ok(id)
    }

    /// Whether a member may be removed, as the member `local` sees it.
    pub(super) fn may_remove(&self, id: u64, local: u64) -> Result<(), EtcdError> {
        if self.member(id).is_some_and(|member| member.is_learner) {
            return Ok(());
        }
        let rest = || self.voters().filter(|member| member.id != id);
        let started = rest().filter(|member| !member.name.is_empty()).count();
        if started < rest().count() / 2 + 1 {
            return Err(EtcdError::NotEnoughStarted);
        }
        // One that is down is no part of the quorum that must not be lost.
        if id != local && !self.is_up(id) {
            return Ok(());
        }
        let (voters, up) = self.quorum();
        if up.saturating_sub(1) < 1 + voters.saturating_sub(1) / 2 {
            return Err(EtcdError::Unhealthy);
        }
        Ok(())
    }

    /// Removes a member; its process ends.
    pub(super) fn remove(&mut self, id: u64) -> Result<(), EtcdError> {
        let at = self.members.iter().position(|member| member.id == id);
        self.members.remove(at.ok_or(EtcdError::MemberNotFound)?);
        self.commit();
        self.settle();
        Ok(())
    }

    /// Changes where other members reach one.
    pub(super) fn update(&mut self, id: u64, urls: &[String]) -> Result<(), EtcdError> {
        if self.member(id).is_none() {
            return Err(EtcdError::MemberNotFound);
        }
        let mut others = self.members.iter().filter(|member| member.id != id);
        if others.any(|member| has_any(&member.peer_urls, urls)) {
            return Err(EtcdError::PeerUrlExists);
        }
        if let Some(member) = self.members.iter_mut().find(|member| member.id == id) {
            member.peer_urls = urls.to_vec();
        }
        self.commit();
        self.generation += 1;
        Ok(())
    }

    /// Gives a learner its vote, once it has nine tenths of the log.
    pub(super) fn promote(&mut self, id: u64) -> Result<(), EtcdError> {
        let member = self.member(id).ok_or(EtcdError::MemberNotFound)?;
        let matched = if member.is_up { self.index } else { member.matched };
        if u128::from(matched) * 10 < u128::from(self.index) * 9 {
            return Err(EtcdError::LearnerNotReady);
        }
        let is_learner = member.is_learner;
        let started = 1 + self.voters().filter(|member| !member.name.is_empty()).count();
        if started < self.voters().count().div_ceil(2) + 1 {
            return Err(EtcdError::NotEnoughStarted);
        }
        if !is_learner {
            return Err(EtcdError::NotLearner);
        }
        if let Some(member) = self.members.iter_mut().find(|member| member.id == id) {
            member.is_learner = false;
        }
        self.commit();
        self.settle();
        Ok(())
    }

    /// Hands leadership to a voter. One that is down never takes it.
    pub(super) fn move_leader(&mut self, id: u64) -> Result<(), EtcdError> {
        let member = self.member(id).filter(|member| !member.is_learner);
        let member = member.ok_or(EtcdError::BadLeaderTransferee)?;
        if !member.is_up {
            return Err(EtcdError::TimeoutLeaderTransfer);
        }
        if self.leader != id {
            self.elect(id);
        }
        Ok(())
    }

    /// Raised alarms of a kind, or all, with the members they name.
    pub(super) fn alarms(
        &self,
        kind: AlarmType,
    ) -> impl Iterator<Item = (AlarmType, u64)> + use<'_> {
        let is_meant = move |alarm| kind == AlarmType::None || alarm == kind;
        self.alarms.iter().copied().filter(move |(alarm, _)| is_meant(*alarm))
    }

    /// Whether an alarm of a kind is raised, by any member.
    pub(super) fn is_alarmed(&self, kind: AlarmType) -> bool {
        self.alarms.iter().any(|(alarm, _)| *alarm == kind)
    }

    /// Raises an alarm.
    pub(super) fn raise(&mut self, alarm: AlarmType, member: u64) -> Result<(), EtcdError> {
        if self.alarms.len() >= ALARMS_MAX && !self.alarms.contains(&(alarm, member)) {
            return Err(EtcdError::TooManyRequests);
        }
        self.commit();
        self.generation += u64::from(self.alarms.insert((alarm, member)));
        Ok(())
    }

    /// Takes an alarm back; answers whether it was raised.
    pub(super) fn disarm(&mut self, alarm: AlarmType, member: u64) -> bool {
        self.commit();
        let was_raised = self.alarms.remove(&(alarm, member));
        self.generation += u64::from(was_raised);
        was_raised
    }

    /// Adds a member that has not started; `seed` is what its id is drawn from.
    fn announce(&mut self, seed: &str, peer_urls: Vec<String>, is_learner: bool) -> u64 {
        let id = self.free_id(seed);
        self.members.push(Member {
            id,
            name: String::new(),
            peer_urls,
            client_urls: Vec::new(),
            is_learner,
            is_up: false,
            matched: 0,
        });
        self.commit();
        id
    }

    fn alarms_of(&self, member: u64) -> impl Iterator<Item = AlarmType> + '_ {
        self.alarms.iter().filter(move |(_, id)| *id == member).map(|(alarm, _)| *alarm)
    }

    fn voters(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| !member.is_learner)
    }

    /// Voters, and those of them that are up.
    fn quorum(&self) -> (usize, usize) {
        let up = self.voters().filter(|member| member.is_up).count();
        (self.voters().count(), up)
    }

    /// A second member may always be announced; otherwise a majority must have started.
    fn is_ready_to_add(&self) -> bool {
        let voters = self.voters().count();
        let started = self.voters().filter(|member| !member.name.is_empty()).count();
        (started == 1 && voters == 1) || started > voters.div_ceil(2)
    }

    /// Sees to it that there is a leader exactly while there is a quorum.
    fn settle(&mut self) {
        self.generation += 1;
        let (voters, up) = self.quorum();
        if up < voters / 2 + 1 {
            self.leader = 0;
            return;
        }
        let leads = |member: &Member| member.id == self.leader && member.is_up;
        if self.voters().any(leads) {
            return;
        }
        let next = self.voters().find(|member| member.is_up).map(|member| member.id);
        if let Some(next) = next {
            self.elect(next);
        }
    }

    fn elect(&mut self, id: u64) {
        self.leader = id;
        self.term += 1;
        self.commit();
        self.generation += 1;
    }

    fn free_id(&self, name: &str) -> u64 {
        (0..)
            .map(|attempt| self.draw(name, attempt))
            .find(|id| self.member(*id).is_none())
            .expect("there are more ids than members")
    }

    /// A 32-bit id other than 0, as upstream's in-memory provider draws them.
    fn draw(&self, member: &str, attempt: u64) -> u64 {
        let (namespace, name) = (&self.cluster.namespace, &self.cluster.name);
        let number =
            self.seed.number(&[namespace, "etcd", name, member, &attempt.to_string()]) >> 32;
        number.max(1)
    }
}

/// etcd's name of an alarm.
pub(super) fn alarm_name(alarm: AlarmType) -> &'static str {
    match alarm {
        AlarmType::None => "NONE",
        AlarmType::NoSpace => "NOSPACE",
        AlarmType::Corrupt => "CORRUPT",
    }
}

fn has_any(urls: &[String], of: &[String]) -> bool {
    of.iter().any(|url| urls.contains(url))
}

/// Peer URLs, trimmed and sorted. (etcd v3.6: client/pkg/types/urls.go)
fn valid_urls(urls: &[String]) -> Result<Vec<String>, EtcdError> {
    let is_valid = |url: &str| match url.split_once("://") {
        Some(("http" | "https", rest)) => rest.rsplit_once(':').is_some_and(|(host, port)| {
            let is_host = !host.contains('/') && (host.starts_with('[') || !host.contains(':'));
            is_host && port.parse::<u16>().is_ok()
        }),
        Some(("unix" | "unixs", _)) => true,
        _ => false,
    };
    let mut urls: Vec<String> = urls.iter().map(|url| url.trim().to_owned()).collect();
    if urls.is_empty() || !urls.iter().all(|url| is_valid(url)) {
        return Err(EtcdError::BadUrls);
    }
    urls.sort_unstable();
    Ok(urls)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;

    use super::*;

    fn etcd() -> Etcd {
        Etcd::new(Seed(1), ObjectKey::new("default", "bar"))
    }

    fn start(etcd: &mut Etcd, name: &str) -> u64 {
        etcd.start(name, &format!("host-{name}")).expect("a member")
    }

    fn remove(etcd: &mut Etcd, name: &str) -> Result<(), EtcdError> {
        let id = etcd.named(name).map_or(0, |member| member.id);
        etcd.may_remove(id, etcd.leader())?;
        etcd.remove(id)
    }

    #[test]
    fn the_first_member_leads_and_ids_are_stable() {
        let mut etcd = etcd();
        let first = start(&mut etcd, "a");
        let second = start(&mut etcd, "b");
        assert_ne!(first, second);
        assert_eq!(etcd.leader(), first);
        let generation = etcd.generation();
        assert_eq!(start(&mut etcd, "a"), first, "joining twice changes nothing");
        assert_eq!((etcd.members().len(), etcd.generation()), (2, generation));
    }

    #[test]
    fn leadership_moves_when_the_leader_is_removed() {
        let mut etcd = etcd();
        start(&mut etcd, "a");
        let second = start(&mut etcd, "b");
        start(&mut etcd, "c");
        let term = etcd.term();
        assert_eq!(remove(&mut etcd, "a"), Ok(()));
        assert_eq!((etcd.leader(), etcd.term()), (second, term + 1));
        assert_eq!(remove(&mut etcd, "a"), Err(EtcdError::MemberNotFound));
        assert_eq!(remove(&mut etcd, "b"), Ok(()));
        assert_eq!(remove(&mut etcd, "c"), Err(EtcdError::NotEnoughStarted), "the last one stays");
    }

    #[test]
    fn the_same_seed_gives_the_same_ids() {
        assert_eq!(start(&mut etcd(), "a"), start(&mut etcd(), "a"));
        let mut other = Etcd::new(Seed(2), ObjectKey::new("default", "bar"));
        assert_ne!(start(&mut etcd(), "a"), start(&mut other, "a"));
    }

    #[test]
    fn a_second_voter_that_never_starts_costs_the_quorum() {
        let mut etcd = etcd();
        let first = start(&mut etcd, "a");
        let announced = etcd.add(&["https://host-b:2380".to_owned()], false).expect("announced");
        assert_eq!(etcd.leader(), 0);
        assert_eq!(
            etcd.add(&["https://host-c:2380".to_owned()], false),
            Err(EtcdError::NotEnoughStarted)
        );
        assert_eq!(start(&mut etcd, "b"), announced, "told by its peer URL");
        assert_eq!(etcd.leader(), first);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Start(u8),
        Stop(u8),
        Add(u8, bool),
        Remove(u8),
        Promote(u8),
        MoveLeader(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..7_u8).prop_map(Step::Start),
            2 => (0..7_u8).prop_map(Step::Stop),
            2 => (0..7_u8, any::<bool>()).prop_map(|(n, learner)| Step::Add(n, learner)),
            2 => (0..7_u8).prop_map(Step::Remove),
            1 => (0..7_u8).prop_map(Step::Promote),
            1 => (0..7_u8).prop_map(Step::MoveLeader),
        ]
    }

    fn apply(etcd: &mut Etcd, step: &Step) {
        let url = |n: &u8| format!("https://host-{n}:2380");
        let id = |etcd: &Etcd, n: &u8| {
            etcd.members().iter().find(|m| m.peer_urls.contains(&url(n))).map_or(0, |m| m.id)
        };
        match step {
            Step::Start(n) => drop(etcd.start(&n.to_string(), &format!("host-{n}"))),
            Step::Stop(n) => drop(etcd.stop(&n.to_string())),
            Step::Add(n, is_learner) => drop(etcd.add(&[url(n)], *is_learner)),
            Step::Remove(n) if etcd.leader() != 0 => {
                let (id, leader) = (id(etcd, n), etcd.leader());
                let _ = etcd.may_remove(id, leader).and_then(|()| etcd.remove(id));
            }
            Step::Promote(n) if etcd.leader() != 0 => drop(etcd.promote(id(etcd, n))),
            Step::MoveLeader(n) if etcd.leader() != 0 => drop(etcd.move_leader(id(etcd, n))),
            Step::Remove(_) | Step::Promote(_) | Step::MoveLeader(_) => {}
        }
    }

    /// Whatever happens: a leader exactly while a majority of the voters is up, the leader is one
    /// of them, term and index never fall, ids and URLs are unique, a removal never costs the
    /// quorum, and nothing changes without the generation.
    #[test]
    fn quorum_and_leadership_hold_in_random_histories() {
        let config = ProptestConfig { cases: 512, failure_persistence: None, ..Default::default() };
        let mut runner = TestRunner::new(config);
        eprintln!("rng: {:?}", runner.rng());
        let outcome = runner.run(&prop::collection::vec(step(), 1..60), |steps| {
            let mut etcd = etcd();
            for step in &steps {
                let (term, index, generation) = (etcd.term(), etcd.index(), etcd.generation());
                let (members, leader) = (etcd.members().to_vec(), etcd.leader());
                apply(&mut etcd, step);
                let (voters, up) = etcd.quorum();
                prop_assert_eq!(etcd.leader() != 0, voters > 0 && up > voters / 2);
                if etcd.leader() != 0 {
                    let leads = etcd.member(etcd.leader()).expect("a member");
                    prop_assert!(leads.is_up && !leads.is_learner);
                }
                prop_assert!(etcd.term() >= term && etcd.index() >= index);
                if etcd.leader() != leader && etcd.leader() != 0 {
                    prop_assert_eq!(etcd.term(), term + 1);
                }
                if matches!(step, Step::Remove(_)) && leader != 0 {
                    prop_assert!(etcd.leader() != 0, "a removal cost the quorum");
                }
                let ids: BTreeSet<u64> = etcd.members().iter().map(|m| m.id).collect();
                let urls: BTreeSet<_> = etcd.members().iter().map(|m| &m.peer_urls).collect();
                prop_assert_eq!(ids.len(), etcd.members().len());
                prop_assert_eq!(urls.len(), etcd.members().len());
                prop_assert!(etcd.members().iter().filter(|m| m.is_learner).count() <= 1);
                if etcd.members() != members || etcd.leader() != leader {
                    prop_assert!(etcd.generation() > generation);
                }
            }
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{error}"));
    }
}
