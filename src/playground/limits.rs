//! The limit of open files, which bounds the number of workload clusters.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one and returns what holds now; `None` means
/// there is no limit. Failing to raise it leaves the limit as it is.
pub fn raise_file_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        Err(_) => limit.current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_limit_becomes_the_hard_limit() {
        assert_eq!(raise_file_limit(), getrlimit(Resource::Nofile).maximum);
    }
}
