//! Membership of a workload cluster's etcd: who is in, and who leads.

use crate::client::{EtcdMember, EtcdStatus, ObjectKey};
use crate::clock::Seed;

/// The members of one etcd cluster. Ids derive from the seed, so that a run can be repeated.
#[derive(Debug)]
pub(super) struct Etcd {
    seed: Seed,
    cluster: ObjectKey,
    status: EtcdStatus,
}

impl Etcd {
    /// An etcd without members.
    pub(super) fn new(seed: Seed, cluster: ObjectKey) -> Self {
        Self { seed, cluster, status: EtcdStatus::default() }
    }

    /// Members and leader.
    pub(super) fn status(&self) -> EtcdStatus {
        self.status.clone()
    }

    /// Id of the etcd cluster.
    pub(super) fn cluster_id(&self) -> u64 {
        self.draw("", 0)
    }

    /// Lets a member join; the first one leads. Answers its id; a member that is in already keeps
    /// its id.
    pub(super) fn add(&mut self, name: &str) -> u64 {
        if let Some(member) = self.status.members.iter().find(|member| member.name == name) {
            return member.id;
        }
        let id = (0..)
            .map(|attempt| self.draw(name, attempt))
            .find(|id| self.status.members.iter().all(|member| member.id != *id))
            .expect("there are more ids than members");
        let member =
            EtcdMember { id, name: name.to_owned(), is_learner: false, alarms: Vec::new() };
        self.status.members.push(member);
        if self.status.leader_id == 0 {
            self.status.leader_id = id;
        }
        id
    }

    /// Removes a member. If it led, the member that joined first takes over. Answers whether it
    /// was in.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        let Some(at) = self.status.members.iter().position(|member| member.name == name) else {
            return false;
        };
        let gone = self.status.members.remove(at);
        if self.status.leader_id == gone.id {
            self.status.leader_id = self.status.members.first().map_or(0, |member| member.id);
        }
        true
    }

    /// Makes a member the leader. Answers whether that changed anything.
    pub(super) fn move_leader(&mut self, name: &str) -> bool {
        match self.status.members.iter().find(|member| member.name == name) {
            Some(member) if member.id != self.status.leader_id => {
                self.status.leader_id = member.id;
                true
            }
            _ => false,
        }
    }

    /// A 32-bit id other than 0, as upstream draws them.
    fn draw(&self, member: &str, attempt: u64) -> u64 {
        let (namespace, name) = (&self.cluster.namespace, &self.cluster.name);
        let number =
            self.seed.number(&[namespace, "etcd", name, member, &attempt.to_string()]) >> 32;
        number.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn etcd() -> Etcd {
        Etcd::new(Seed(1), ObjectKey::new("default", "bar"))
    }

    #[test]
    fn the_first_member_leads_and_ids_are_stable() {
        let mut etcd = etcd();
        let first = etcd.add("a");
        let second = etcd.add("b");
        assert_ne!(first, second);
        assert_eq!(etcd.status().leader_id, first);
        assert_eq!(etcd.add("a"), first, "joining twice changes nothing");
        assert_eq!(etcd.status().members.len(), 2);
    }

    #[test]
    fn leadership_moves_when_the_leader_is_removed() {
        let mut etcd = etcd();
        etcd.add("a");
        let second = etcd.add("b");
        etcd.add("c");
        assert!(etcd.remove("a"));
        assert_eq!(etcd.status().leader_id, second);
        assert!(!etcd.remove("a"));
        assert!(etcd.remove("b") && etcd.remove("c"));
        assert_eq!(etcd.status(), EtcdStatus::default(), "no member, no leader");
    }

    #[test]
    fn leadership_can_be_handed_over() {
        let mut etcd = etcd();
        etcd.add("a");
        let second = etcd.add("b");
        assert!(etcd.move_leader("b"));
        assert_eq!(etcd.status().leader_id, second);
        assert!(!etcd.move_leader("b") && !etcd.move_leader("nobody"));
    }

    #[test]
    fn the_same_seed_gives_the_same_ids() {
        assert_eq!(etcd().add("a"), etcd().add("a"));
        let other = Etcd::new(Seed(2), ObjectKey::new("default", "bar")).add("a");
        assert_ne!(etcd().add("a"), other);
    }
}
