//! Which replicas of a pool come and go. Pure.
//! (CAPI v1.14: dockermachinepool_backend.go)

/// A replica as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Replica {
    pub(super) name: String,
    /// Kubernetes version that it was made for.
    pub(super) version: String,
    pub(super) is_ready: bool,
    pub(super) is_deleting: bool,
    /// Somebody, usually an autoscaler, wants this one to go before others.
    pub(super) goes_first: bool,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// How many to make.
    pub(super) create: usize,
    /// Which ones to delete.
    pub(super) delete: Vec<String>,
}

/// The next step: replicas of another version are replaced, surplus ones deleted, but only while
/// enough others are ready. What is being deleted already counts as surplus that goes.
pub(super) fn plan(replicas: &[Replica], wanted: usize, version: &str) -> Plan {
    let is_current = |replica: &&Replica| replica.version == version;
    let current = replicas.iter().filter(is_current).count();
    let ready = replicas.iter().filter(|replica| replica.is_ready);
    let surplus = ready.clone().count().saturating_sub(wanted);
    let going = ready.filter(|replica| replica.is_deleting).count();
    let mut staying: Vec<&Replica> =
        replicas.iter().filter(|replica| !replica.is_deleting).collect();
    staying.sort_by_key(|replica| !replica.goes_first);
    let outdated = staying.iter().filter(|replica| !is_current(replica));
    let surplus_ones = staying.iter().filter(|replica| is_current(replica) && replica.is_ready);
    Plan {
        create: wanted.saturating_sub(current),
        delete: outdated
            .chain(surplus_ones)
            .take(surplus.saturating_sub(going))
            .map(|replica| replica.name.clone())
            .collect(),
    }
}

/// The name of a replica, like upstream's: `worker-` and six characters.
pub(super) fn name(random: u64) -> String {
    const ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut left = random;
    let suffix = (0..6).map(|_| {
        let at = (left % 36) as usize;
        left /= 36;
        char::from(ALPHABET[at])
    });
    format!("worker-{}", suffix.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a` to `z`: r is ready, o of the old version, d is being deleted, f goes first.
    fn replicas(text: &[&str]) -> Vec<Replica> {
        let replica = |(index, facts): (usize, &&str)| Replica {
            name: char::from(b'a' + u8::try_from(index).unwrap()).to_string(),
            version: if facts.contains('o') { "v1" } else { "v2" }.to_owned(),
            is_ready: facts.contains('r'),
            is_deleting: facts.contains('d'),
            goes_first: facts.contains('f'),
        };
        text.iter().enumerate().map(replica).collect()
    }

    fn check(facts: &[&str], wanted: usize, create: usize, delete: &[&str]) {
        let plan = plan(&replicas(facts), wanted, "v2");
        assert_eq!(
            (plan.create, plan.delete),
            (create, delete.iter().map(|n| (*n).to_owned()).collect()),
            "{facts:?} {wanted}"
        );
    }

    #[test]
    fn replicas_come_and_go() {
        check(&[], 2, 2, &[]);
        check(&["", ""], 2, 0, &[]);
        check(&["r", "r"], 3, 1, &[]);
        check(&["r", "r", "r"], 2, 0, &["a"]);
        check(&["r", "r", "rf"], 2, 0, &["c"]);
        check(&["r", "r"], 0, 0, &["a", "b"]);
        // What starts does not count as surplus.
        check(&["r", ""], 1, 0, &[]);
        // What goes counts.
        check(&["rd", "r", "r"], 2, 0, &[]);
        check(&["rd", "r", "r"], 1, 0, &["b"]);
    }

    #[test]
    fn another_version_rolls_out_with_enough_ready_ones() {
        check(&["ro", "ro"], 2, 2, &[]);
        check(&["ro", "ro", "", ""], 2, 0, &[]);
        check(&["ro", "ro", "r", ""], 2, 0, &["a"]);
        check(&["rod", "ro", "r", ""], 2, 0, &[]);
        check(&["ro", "ro", "r", "r"], 2, 0, &["a", "b"]);
        // An old one that never became ready goes before surplus ones of the new version.
        check(&["o", "r", "r", "r"], 2, 0, &["a"]);
    }

    #[test]
    fn names_are_workers() {
        assert_eq!(name(0), "worker-000000");
        assert_eq!(name(u64::MAX).len(), 13);
        assert_ne!(name(1), name(2));
    }
}
