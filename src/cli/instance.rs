//! Instances: playgrounds of this user by name, each with a directory of its own.
//!
//! Whoever runs an instance holds a lock on `server.lock` in its directory for as long as it lives
//! and describes itself in `server.json`. The lock goes with the process, however that ends, so
//! that a description without a lock is known to be left over.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::{CliError, Exit};
use crate::clock::Clock;
use crate::playground::{make_private_directory, state_root, write_private};

/// Name of the instance that commands mean unless told otherwise.
pub(super) const DEFAULT: &str = "default";
/// Longest name: that of a DNS label.
const NAME_MAX: usize = 63;
/// How long a look at the lock may stand in the way of taking it, and how often it is tried.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// The name of the command line; written once, before any verb runs.
static CHOSEN: OnceLock<Instance> = OnceLock::new();

/// One playground of this user, running or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Instance {
    name: String,
}

/// What whoever runs an instance says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    /// Process id.
    pub(super) pid: u32,
    /// URL of the management API.
    pub(super) api: String,
    /// Its kubeconfig.
    pub(super) kubeconfig: PathBuf,
    /// Since when, RFC 3339.
    pub(super) started: String,
    /// Seed of all randomness.
    pub(super) seed: u64,
    /// Version of capim.
    pub(super) version: String,
    /// Whether it runs in the background.
    pub(super) detached: bool,
    /// What it was asked for, by the names of the flags.
    pub(super) options: BTreeMap<String, String>,
    /// Arguments as typed, for a restart.
    pub(super) arguments: Vec<String>,
    /// Its settings among the variables, for a restart; `None` in records of earlier versions.
    #[serde(default)]
    pub(super) settings: Option<BTreeMap<String, String>>,
    /// Directory in which they were typed.
    pub(super) directory: PathBuf,
}

/// What is known of an instance.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// Nothing runs.
    Stopped,
    /// Nothing runs, but what was there did not clean up.
    Stale(Box<Record>),
    /// A process is about to serve it and has not described itself yet.
    Starting,
    /// It runs.
    Running(Box<Record>),
}

/// Holds an instance for this process.
pub(super) struct Hold {
    instance: Instance,
    /// The lock is given back when the file is closed.
    _lock: File,
}

impl Instance {
    /// An instance by name; [`parse_name`] has accepted it.
    pub(super) fn named(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    /// Makes this the instance that all commands mean.
    pub(super) fn choose(self) {
        // There is one command line in a process.
        let _ = CHOSEN.set(self);
    }

    /// The instance of the command line.
    pub(super) fn chosen() -> Self {
        CHOSEN.get().cloned().unwrap_or_else(|| Self::named(DEFAULT))
    }

    /// All instances that have a directory, by name.
    pub(super) fn all() -> Vec<Self> {
        let entries = std::fs::read_dir(state_root()).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| parse_name(name).is_ok()).collect();
        names.sort();
        names.iter().map(|name| Self::named(name)).collect()
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Name of its context in kubeconfigs.
    pub(super) fn context(&self) -> String {
        if self.name == DEFAULT { "capim".to_owned() } else { format!("capim-{}", self.name) }
    }

    /// `capim`, with the flag that names the instance if that is needed.
    pub(super) fn command(&self) -> String {
        if self.name == DEFAULT { "capim".to_owned() } else { format!("capim -i {}", self.name) }
    }

    /// The flags that name the instance, if that is needed.
    pub(super) fn flags(&self) -> Vec<String> {
        if self.name == DEFAULT { Vec::new() } else { vec!["-i".to_owned(), self.name.clone()] }
    }

    /// Its directory.
    pub(super) fn directory(&self) -> PathBuf {
        state_root().join(&self.name)
    }

    /// The kubeconfig that it writes unless told otherwise.
    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.directory().join("kubeconfig")
    }

    /// The kubeconfig that it has written, wherever that is.
    pub(super) fn kubeconfig_now(&self) -> PathBuf {
        match self.state() {
            State::Running(record) => record.kubeconfig,
            State::Stopped | State::Starting | State::Stale(_) => self.kubeconfig(),
        }
    }

    /// Directory of its certificates.
    pub(super) fn identity(&self) -> PathBuf {
        self.directory().join("identity")
    }

    /// Its log.
    pub(super) fn log(&self) -> PathBuf {
        self.directory().join("log").join("capim.log")
    }

    /// What it shall say on stderr while nobody looks: messages of panics.
    pub(super) fn stderr(&self) -> PathBuf {
        self.directory().join("log").join("stderr.log")
    }

    fn record_path(&self) -> PathBuf {
        self.directory().join("server.json")
    }

    fn lock_path(&self) -> PathBuf {
        self.directory().join("server.lock")
    }

    fn ports_path(&self) -> PathBuf {
        self.directory().join("ports.json")
    }

    fn read_record(&self) -> Option<Box<Record>> {
        let text = std::fs::read_to_string(self.record_path()).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Whether a process holds it now.
    fn is_held(&self) -> bool {
        let Ok(lock) = File::open(self.lock_path()) else { return false };
        matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    /// What is known of it.
    pub(super) fn state(&self) -> State {
        match (self.is_held(), self.read_record()) {
            (true, Some(record)) => State::Running(record),
            (true, None) => State::Starting,
            (false, Some(record)) => State::Stale(record),
            (false, None) => State::Stopped,
        }
    }

    /// Takes it for this process.
    ///
    /// # Errors
    /// `E014` if another process has it, `E013` if its directory cannot be used.
    pub(super) async fn hold(&self, clock: &Clock) -> Result<Hold, CliError> {
        let directory = self.directory();
        make_private_directory(&directory).map_err(|error| unusable(&directory, &error))?;
        let path = self.lock_path();
        let mut options = OpenOptions::new();
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.create(true).truncate(false).write(true);
        for _ in 0..LOCK_TRIES {
            let lock = options.open(&path).map_err(|error| unusable(&path, &error))?;
            match lock.try_lock() {
                // Removed while it was waited for: the lock is worth nothing.
                Ok(()) if !is_at(&lock, &path) => {
                    make_private_directory(&directory)
                        .map_err(|error| unusable(&directory, &error))?;
                }
                Ok(()) => {
                    self.forget_record();
                    return Ok(Hold { instance: self.clone(), _lock: lock });
                }
                Err(TryLockError::WouldBlock) => clock.sleep(LOCK_PAUSE).await,
                Err(TryLockError::Error(error)) => return Err(unusable(&path, &error)),
            }
        }
        Err(self.is_running())
    }

    /// Says that it runs, though something else was wanted.
    pub(super) fn is_running(&self) -> CliError {
        let message = format!("instance {:?} is running already", self.name);
        let command = self.command();
        CliError::new("E014", Exit::Conflict, message)
            .hint(format!("{command} exec -- CMD         runs a command against it"))
            .hint("capim -i NAME up ...          starts another one beside it")
            .hint(format!("{command} down                stops it; its objects are lost"))
    }

    /// Says (`E022`) that it runs, but that there is no kubeconfig to reach it with.
    pub(super) fn has_no_kubeconfig(&self) -> CliError {
        let message = format!("instance {:?} runs without a kubeconfig", self.name);
        CliError::new("E022", Exit::Conflict, message)
            .note("cause: it was started with --no-kubeconfig")
            .hint(format!("{0} down && {0} up -d", self.command()))
    }

    /// Removes a description that is left over.
    fn forget_record(&self) {
        let _ = std::fs::remove_file(self.record_path());
    }

    /// The port that it had last.
    pub(super) fn remembered_port(&self) -> Option<u16> {
        let text = std::fs::read_to_string(self.ports_path()).ok()?;
        let ports: Ports = serde_json::from_str(&text).ok()?;
        (ports.api > 0).then_some(ports.api)
    }
}

/// `ports.json`.
#[derive(Serialize, Deserialize)]
struct Ports {
    api: u16,
}

impl Hold {
    /// Describes this process to others, and remembers its port.
    ///
    /// # Errors
    /// `E013` if the files cannot be written.
    pub(super) fn describe(&self, record: &Record) -> Result<(), CliError> {
        let path = self.instance.record_path();
        let text = serde_json::to_string_pretty(record).map_err(CliError::other)?;
        write_private(&path, &text).map_err(|error| unusable(&path, &error))?;
        let port = record.api.rsplit(':').next().and_then(|port| port.parse().ok());
        if let Some(api) = port {
            let path = self.instance.ports_path();
            let text = serde_json::to_string(&Ports { api }).map_err(CliError::other)?;
            write_private(&path, &text).map_err(|error| unusable(&path, &error))?;
        }
        Ok(())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.instance.forget_record();
    }
}

/// Whether a path still leads to an open file.
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let place = |it: std::fs::Metadata| (it.dev(), it.ino());
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(there)) => place(open) == place(there),
        _ => false,
    }
}

/// A file or directory that cannot be used, as the user sees it.
pub(super) fn unusable(path: &Path, error: &io::Error) -> CliError {
    let message = format!("failed to use {}: {error}", path.display());
    let shown = CliError::new("E013", Exit::Environment, message);
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            shown.hint("export XDG_STATE_HOME=DIR     a directory that you may write to")
        }
        _ => shown,
    }
}

/// A name as typed: a DNS label, so that it can be a directory and part of a context.
pub(super) fn parse_name(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = !text.is_empty()
        && text.len() <= NAME_MAX
        && text.bytes().all(fits)
        && !text.starts_with('-')
        && !text.ends_with('-');
    match is_label {
        true => Ok(text.to_owned()),
        false => Err("expected lower-case letters, digits and -, at most 63".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels() {
        for good in ["default", "ci", "a-1"] {
            assert_eq!(parse_name(good).as_deref(), Ok(good));
        }
        for bad in ["", "../x", "A", "-a", "a-", "a/b", "a b", &"x".repeat(64)] {
            assert!(parse_name(bad).is_err(), "{bad}");
        }
        assert_eq!(Instance::named("default").context(), "capim");
        assert_eq!(Instance::named("ci").context(), "capim-ci");
    }
}
