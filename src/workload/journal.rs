//! What happened to a control plane and when: the facts that its components' logs tell of.

use std::collections::VecDeque;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::client::EtcdStatus;

/// Facts that are kept; older ones are forgotten.
const FACTS_MAX: usize = 64;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    /// An etcd member joined.
    Joined {
        /// Its Node.
        name: String,
        /// Its id.
        id: u64,
    },
    /// An etcd member was removed.
    Left {
        /// Its Node.
        name: String,
        /// Its id.
        id: u64,
    },
    /// An etcd member leads from now on.
    Leads {
        /// Its id.
        id: u64,
        /// Number of the election.
        term: u64,
    },
    /// API server, scheduler and controller manager of a Node started.
    Started {
        /// The Node.
        node: String,
    },
    /// They stopped.
    Stopped {
        /// The Node.
        node: String,
    },
}

/// The facts of one cluster.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// Written with what is told, read by logs.
    state: Mutex<State>,
    /// Rung after every new fact, for logs that are followed.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    facts: VecDeque<(Timestamp, Fact)>,
    /// etcd's members and leader as they were last.
    etcd: EtcdStatus,
    term: u64,
}

impl State {
    fn push(&mut self, at: Timestamp, fact: Fact) {
        if self.facts.len() == FACTS_MAX {
            self.facts.pop_front();
        }
        self.facts.push_back((at, fact));
    }
}

impl Journal {
    /// Tells of something.
    pub(super) fn add(&self, at: Timestamp, fact: Fact) {
        self.state.lock().push(at, fact);
        self.changed.notify_waiters();
    }

    /// Tells how etcd's membership differs from what it was last.
    pub(super) fn observe(&self, etcd: &EtcdStatus, at: Timestamp) {
        let mut state = self.state.lock();
        let before = std::mem::replace(&mut state.etcd, etcd.clone());
        let is_in = |status: &EtcdStatus, id: u64| status.members.iter().any(|it| it.id == id);
        for member in before.members.iter().filter(|member| !is_in(etcd, member.id)) {
            state.push(at, Fact::Left { name: member.name.clone(), id: member.id });
        }
        for member in etcd.members.iter().filter(|member| !is_in(&before, member.id)) {
            state.push(at, Fact::Joined { name: member.name.clone(), id: member.id });
        }
        if etcd.leader_id != before.leader_id && etcd.leader_id != 0 {
            state.term += 1;
            let term = state.term + 1;
            state.push(at, Fact::Leads { id: etcd.leader_id, term });
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// All facts that are known, in order.
    pub(super) fn facts(&self) -> Vec<(Timestamp, Fact)> {
        self.state.lock().facts.iter().cloned().collect()
    }

    /// Rung after every new fact.
    pub(super) fn changed(&self) -> &Notify {
        &self.changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::EtcdMember;

    fn status(ids: &[u64], leader_id: u64) -> EtcdStatus {
        let member =
            |id: &u64| EtcdMember { id: *id, name: format!("n{id}"), ..Default::default() };
        EtcdStatus { members: ids.iter().map(member).collect(), leader_id }
    }

    #[test]
    fn membership_is_told_by_its_changes() {
        let journal = Journal::default();
        let at = Timestamp::UNIX_EPOCH;
        journal.observe(&status(&[1], 1), at);
        journal.observe(&status(&[1, 2], 1), at);
        journal.observe(&status(&[2], 2), at);
        journal.observe(&status(&[2], 2), at);
        let facts: Vec<Fact> = journal.facts().into_iter().map(|(_, fact)| fact).collect();
        let named = |id: u64| format!("n{id}");
        assert_eq!(
            facts,
            [
                Fact::Joined { name: named(1), id: 1 },
                Fact::Leads { id: 1, term: 2 },
                Fact::Joined { name: named(2), id: 2 },
                Fact::Left { name: named(1), id: 1 },
                Fact::Leads { id: 2, term: 3 },
            ]
        );
    }

    #[test]
    fn only_the_latest_facts_are_kept() {
        let journal = Journal::default();
        for number in 0..100 {
            journal.add(Timestamp::UNIX_EPOCH, Fact::Started { node: number.to_string() });
        }
        let facts = journal.facts();
        assert_eq!(facts.len(), FACTS_MAX);
        assert_eq!(facts[0].1, Fact::Started { node: "36".to_owned() });
    }
}
