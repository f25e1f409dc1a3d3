//! `capim up --stop-when`: what ends a playground by itself, so that nothing is left over in CI.

use std::fmt;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::str::FromStr;
use std::time::Duration;

use futures::future::select_all;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use super::error::{CliError, Exit};
use crate::clock::Clock;
use crate::machinery::duration;

/// Names the process whose end is awaited, for a playground in the background.
pub(super) const PARENT: &str = "CAPIM_BACKGROUND_PARENT";

/// What ends a playground.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopWhen {
    /// No client has been connected for so long.
    Idle(Duration),
    /// The process that started it has ended.
    ParentExits,
    /// So much time is over.
    After(Duration),
}

impl fmt::Display for StopWhen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle(time) => write!(f, "clients=0 for {time:?}"),
            Self::ParentExits => f.write_str("parent-exits"),
            Self::After(time) => write!(f, "after {time:?}"),
        }
    }
}

impl FromStr for StopWhen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.as_slice() {
            ["clients=0", "for", time] => duration::parse(time).map(Self::Idle),
            ["parent-exits"] if cfg!(target_os = "linux") => Ok(Self::ParentExits),
            ["parent-exits"] => Err("parent-exits works on Linux only".to_owned()),
            ["after", time] => duration::parse(time).map(Self::After),
            _ => Err("expected `clients=0 for 10m`, `parent-exits` or `after 1h`".to_owned()),
        }
    }
}

/// The process that started this one.
pub(super) struct Parent(Option<AsyncFd<OwnedFd>>);

impl Parent {
    /// Finds it. Call before it may end.
    ///
    /// # Errors
    /// When the system has no way to wait for it.
    #[cfg(target_os = "linux")]
    #[expect(
        deprecated,
        reason = "only descriptors that are closed while they are registered are unsound; an OwnedFd is not"
    )]
    pub(super) fn find() -> Result<Self, CliError> {
        use rustix::process::{Pid, PidfdFlags, getppid, pidfd_open};

        let failed = |error: std::io::Error| {
            let message = format!("failed to watch the parent process: {error}");
            CliError::new("E013", Exit::Environment, message)
        };
        let named = std::env::var(PARENT).ok().and_then(|pid| pid.parse().ok());
        let Some(pid) = named.and_then(Pid::from_raw).or_else(getppid) else {
            return Ok(Self(None));
        };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => {
                let handle = AsyncFd::with_interest(handle, Interest::READABLE);
                Ok(Self(Some(handle.map_err(failed)?)))
            }
            Err(rustix::io::Errno::SRCH) => Ok(Self(None)),
            Err(error) => Err(failed(error.into())),
        }
    }

    /// Finds it. Nothing asks for it on this system.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn find() -> Result<Self, CliError> {
        let message = "the parent process can be watched on Linux only";
        Err(CliError::new("E002", Exit::Usage, message))
    }

    /// Returns when it has ended.
    async fn ended(self) {
        if let Some(handle) = self.0 {
            // An error would mean that the handle is gone, and with it the process.
            let _ = handle.readable().await;
        }
    }
}

/// Conditions that are watched.
pub(super) struct Watched {
    conditions: Vec<StopWhen>,
    parent: Option<Parent>,
}

impl Watched {
    /// Prepares to watch.
    ///
    /// # Errors
    /// As [`Parent::find`].
    pub(super) fn new(conditions: &[StopWhen]) -> Result<Self, CliError> {
        let parent = match conditions.contains(&StopWhen::ParentExits) {
            true => Some(Parent::find()?),
            false => None,
        };
        Ok(Self { conditions: conditions.to_vec(), parent })
    }

    /// Returns when the first condition is met, with what to tell; never without any.
    pub(super) async fn met(mut self, clock: &Clock, clients: watch::Receiver<usize>) -> String {
        let mut all: Vec<Pin<Box<dyn Future<Output = String> + Send + '_>>> = Vec::new();
        for condition in self.conditions {
            match condition {
                StopWhen::After(time) => all.push(Box::pin(async move {
                    clock.sleep(time).await;
                    format!("{time:?} are over")
                })),
                StopWhen::Idle(time) => all.push(Box::pin(idle(clock, clients.clone(), time))),
                StopWhen::ParentExits => {
                    if let Some(parent) = self.parent.take() {
                        all.push(Box::pin(async move {
                            parent.ended().await;
                            "the parent process has ended".to_owned()
                        }));
                    }
                }
            }
        }
        match all.is_empty() {
            true => std::future::pending().await,
            false => select_all(all).await.0,
        }
    }
}

/// Returns when nobody has been connected for so long.
async fn idle(clock: &Clock, mut clients: watch::Receiver<usize>, time: Duration) -> String {
    let server_is_there = "the server outlives those who watch it";
    loop {
        if clients.wait_for(|count| *count == 0).await.is_err() {
            return server_is_there.to_owned();
        }
        let comes = clients.wait_for(|count| *count > 0);
        match clock.timeout(time, async { comes.await.is_ok() }).await {
            Ok(true) => {}
            Ok(false) => return server_is_there.to_owned(),
            Err(_) => return format!("no client has been connected for {time:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn conditions_are_words() {
        let parse = |text: &str| text.parse::<StopWhen>();
        assert_eq!(parse("clients=0 for 10m"), Ok(StopWhen::Idle(10 * MINUTE)));
        assert_eq!(parse("after 1h"), Ok(StopWhen::After(60 * MINUTE)));
        assert_eq!(parse("parent-exits").is_ok(), cfg!(target_os = "linux"));
        for bad in ["", "clients=1 for 10m", "clients=0", "after", "after x", "after 1h 2m"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    /// When it stops, with clients that come and go: (minute, number of clients).
    async fn stopped(conditions: &[&str], changes: &[(u32, usize)]) -> (Duration, String) {
        let clock = Clock::virtual_from("2026-01-01T00:00:00Z".parse().unwrap());
        let sender = watch::Sender::new(0);
        let conditions: Vec<StopWhen> = conditions.iter().map(|it| it.parse().unwrap()).collect();
        let met = Watched::new(&conditions).unwrap().met(&clock, sender.subscribe());
        let driving = async {
            for (minute, count) in changes {
                clock.sleep_until(*minute * MINUTE).await;
                sender.send_replace(*count);
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            why = met => (clock.elapsed(), why),
            () = driving => unreachable!("it never ends"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_stops_when_nobody_was_there_for_long_enough() {
        let (when, why) = stopped(&["clients=0 for 10m"], &[]).await;
        assert_eq!(when, 10 * MINUTE);
        assert_eq!(why, "no client has been connected for 600s");
        let changes = [(5, 1), (6, 2), (7, 0), (16, 1), (20, 0)];
        assert_eq!(stopped(&["clients=0 for 10m"], &changes).await.0, 30 * MINUTE);
        let both = ["clients=0 for 10m", "after 25m"];
        let (when, why) = stopped(&both, &changes).await;
        assert_eq!((when, why.as_str()), (25 * MINUTE, "1500s are over"));
    }
}
