//! Contexts in a kubeconfig that is not ours, `~/.kube/config` as a rule.
//!
//! A file is changed under client-go's lock (`FILE.lock`, made exclusively), in one step (rename),
//! with all its other fields kept in their order; comments are lost, as they are with kubectl. What
//! was added is remembered in the instance's directory and goes with the instance. (client-go
//! v0.36: tools/clientcmd/loader.go)

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::error::{CliError, Exit};
use super::instance::{Instance, unusable};
use crate::clock::Clock;
use crate::playground::{make_private_directory, write_private};
use crate::tui::text::age;

/// How long a locked file is waited for, and how often it is tried.
const LOCK_MAX: Duration = Duration::from_secs(2);
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// Lists of a kubeconfig whose entries have names.
const LISTS: [&str; 3] = ["clusters", "contexts", "users"];
const CURRENT: &str = "current-context";

/// YAML with the order of its keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Tree {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Tree>),
    Map(IndexMap<String, Tree>),
}

impl Tree {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Map(fields) => fields.get("name")?.text(),
            _ => None,
        }
    }
}

/// What was added to a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Added {
    file: PathBuf,
    /// Names by list.
    names: IndexMap<String, Vec<String>>,
    /// The context that was current before ours was made so.
    #[serde(default)]
    before: Option<String>,
}

/// Whether the merged context becomes the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Current {
    /// It does.
    Switch,
    /// The present one stays.
    Keep,
}

/// `~/.kube/config`.
pub(super) fn default_file() -> PathBuf {
    let home = std::env::home_dir().unwrap_or_else(|| PathBuf::from("."));
    home.join(".kube").join("config")
}

/// Adds all of a kubeconfig to a file and gives the name of its context. Entries of the same names
/// that this instance has added before are replaced.
///
/// # Errors
/// `E050` if the file stays locked, `E051` if it has such entries from somebody else, `E052` if it
/// cannot be read or written.
pub(super) async fn add(
    instance: &Instance,
    (kubeconfig, file): (&str, &Path),
    current: Current,
    clock: &Clock,
) -> Result<String, CliError> {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let incoming = parse(kubeconfig).map_err(CliError::other)?;
    let lock = Lock::take(&file, clock).await?;
    let memory = lock_memory(instance, clock).await?;
    let mut remembered = remembered(instance);
    let mut document = read(&file)?;
    let own = remembered.iter().find(|it| it.file == file).cloned();
    let mut added =
        own.unwrap_or(Added { file: file.clone(), names: IndexMap::new(), before: None });
    for list in LISTS {
        let Some(Tree::List(entries)) = incoming.get(list) else { continue };
        for entry in entries {
            let name = entry.name().unwrap_or_default().to_owned();
            put(&mut document, list, entry.clone(), &mut added)
                .map_err(|()| taken(&file, list, &name))?;
        }
    }
    let context = incoming.get(CURRENT).and_then(Tree::text).unwrap_or_default().to_owned();
    if current == Current::Switch {
        let before = document.get(CURRENT).and_then(Tree::text).map(str::to_owned);
        if before.as_ref() != Some(&context) && added.before.is_none() {
            added.before = Some(before.unwrap_or_default());
        }
        document.insert(CURRENT.to_owned(), Tree::Text(context.clone()));
    }
    // Remembered first: what is remembered and not there is no harm, the other way round is.
    remembered.retain(|it| it.file != file);
    remembered.push(added);
    remember(instance, &remembered)?;
    drop(memory);
    write(&file, &document)?;
    drop(lock);
    Ok(context)
}

/// Puts an entry into a list; refuses to replace somebody else's.
fn put(
    document: &mut IndexMap<String, Tree>,
    list: &str,
    entry: Tree,
    added: &mut Added,
) -> Result<(), ()> {
    let name = entry.name().unwrap_or_default().to_owned();
    let entries = document.entry(list.to_owned()).or_insert_with(|| Tree::List(Vec::new()));
    if !matches!(entries, Tree::List(_)) {
        // `clusters: null` is what kubectl writes for none.
        *entries = Tree::List(Vec::new());
    }
    let Tree::List(entries) = entries else { return Ok(()) };
    let own = added.names.entry(list.to_owned()).or_default();
    match entries.iter_mut().find(|it| it.name() == Some(&name)) {
        Some(present) if own.contains(&name) => *present = entry,
        Some(present) if *present == entry => own.push(name),
        Some(_) => return Err(()),
        None => {
            entries.push(entry);
            own.push(name);
        }
    }
    Ok(())
}

/// Refuses to replace a kubeconfig that holds more than a playground's own context.
///
/// # Errors
/// `E051`
pub(super) fn refuse_others(file: &Path, context: &str) -> Result<(), CliError> {
    let Ok(text) = std::fs::read_to_string(file) else { return Ok(()) };
    let found = parse(&text).map(|document| match document.get("contexts") {
        Some(Tree::List(entries)) => {
            entries.iter().map(|it| it.name().unwrap_or_default().to_owned()).collect()
        }
        _ => Vec::new(),
    });
    let what = match found {
        Ok(names) if names.iter().all(|name| name == context) => return Ok(()),
        Ok(names) => format!("holds other contexts: {}", names.join(", ")),
        Err(_) => "is no kubeconfig".to_owned(),
    };
    let message = format!("{} {what}; it is not replaced", file.display());
    Err(CliError::new("E051", Exit::Conflict, message)
        .hint("--merge                      adds the context to ~/.kube/config")
        .hint("--kubeconfig PATH            a file that does not exist"))
}

/// Removes all that this instance has added, from whichever files.
///
/// # Errors
/// As [`add`]; what could not be removed stays remembered.
pub(super) async fn remove(instance: &Instance, clock: &Clock) -> Result<(), CliError> {
    for Added { file, .. } in remembered(instance) {
        let exists = file.exists();
        let lock = if exists { Some(Lock::take(&file, clock).await?) } else { None };
        let memory = lock_memory(instance, clock).await?;
        // More may have been added, or all removed, while the locks were waited for.
        let (of_file, left): (Vec<Added>, Vec<Added>) =
            remembered(instance).into_iter().partition(|it| it.file == file);
        if exists {
            let mut document = read(&file)?;
            of_file.iter().for_each(|added| take_out(&mut document, added));
            write(&file, &document)?;
        }
        remember(instance, &left)?;
        drop((memory, lock));
    }
    Ok(())
}

fn take_out(document: &mut IndexMap<String, Tree>, added: &Added) {
    for (list, names) in &added.names {
        if let Some(Tree::List(entries)) = document.get_mut(list.as_str()) {
            entries.retain(|entry| {
                entry.name().is_none_or(|name| !names.iter().any(|own| own == name))
            });
        }
    }
    let current = document.get(CURRENT).and_then(Tree::text).unwrap_or_default();
    let is_own = added.names.get("contexts").is_some_and(|own| own.iter().any(|it| it == current));
    if is_own {
        let before = added.before.clone().unwrap_or_default();
        document.insert(CURRENT.to_owned(), Tree::Text(before));
    }
}

fn state_path(instance: &Instance) -> PathBuf {
    instance.directory().join("merged.json")
}

fn remembered(instance: &Instance) -> Vec<Added> {
    let text = std::fs::read_to_string(state_path(instance)).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn remember(instance: &Instance, added: &[Added]) -> Result<(), CliError> {
    let path = state_path(instance);
    if added.is_empty() {
        let _ = std::fs::remove_file(path);
        return Ok(());
    }
    let text = serde_json::to_string_pretty(added).map_err(CliError::other)?;
    write_private(&path, &text).map_err(|error| unusable(&path, &error))
}

/// The file behind links, so that a link stays one. Locked is what the links are called: client-go
/// does so.
fn resolved(file: &Path) -> PathBuf {
    std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned())
}

/// The lock of what is remembered, whichever files it is about: given back when the file is closed.
async fn lock_memory(instance: &Instance, clock: &Clock) -> Result<File, CliError> {
    let path = instance.directory().join("merged.lock");
    let failed = |error: std::io::Error| unusable(&path, &error);
    make_private_directory(&instance.directory()).map_err(failed)?;
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600);
    let file = options.open(&path).map_err(failed)?;
    let locked = async {
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::WouldBlock) => clock.sleep(LOCK_PAUSE).await,
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
    };
    match clock.timeout(LOCK_MAX, locked).await {
        Ok(locked) => locked.map(|()| file),
        Err(_) => Err(CliError::new(
            "E050",
            Exit::Conflict,
            format!("{} is locked by another capim", path.display()),
        )),
    }
}

fn parse(text: &str) -> Result<IndexMap<String, Tree>, String> {
    if text.trim().is_empty() {
        return Ok(IndexMap::new());
    }
    match serde_saphyr::from_str(text).map_err(|error| error.to_string())? {
        Tree::Map(fields) => Ok(fields),
        Tree::Null => Ok(IndexMap::new()),
        _ => Err("it is no YAML mapping".to_owned()),
    }
}

fn read(file: &Path) -> Result<IndexMap<String, Tree>, CliError> {
    match std::fs::read_to_string(file) {
        Ok(text) => parse(&text).map_err(|error| failed(file, &format!("read: {error}"))),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let head = [("apiVersion", "v1"), ("kind", "Config")];
            Ok(head.map(|(key, value)| (key.to_owned(), Tree::Text(value.to_owned()))).into())
        }
        Err(error) => Err(failed(file, &format!("read: {error}"))),
    }
}

/// Writes the file in one step, with the mode that it had.
fn write(file: &Path, document: &IndexMap<String, Tree>) -> Result<(), CliError> {
    let text = serde_saphyr::to_string(document).map_err(CliError::other)?;
    let file = &resolved(file);
    let mode = std::fs::metadata(file).map(|it| it.permissions().mode() & 0o777).ok();
    write_private(file, &text).map_err(|error| failed(file, &format!("written: {error}")))?;
    if let Some(mode) = mode {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(file, permissions)
            .map_err(|error| failed(file, &error.to_string()))?;
    }
    Ok(())
}

fn failed(file: &Path, why: &str) -> CliError {
    let message = format!("kubeconfig {} cannot be {why}", file.display());
    CliError::new("E052", Exit::Environment, message)
        .hint("leave out --merge: export KUBECONFIG instead")
}

fn taken(file: &Path, list: &str, name: &str) -> CliError {
    let kind = list.trim_end_matches('s');
    let message = format!("kubeconfig {} has another {kind} {name:?}", file.display());
    CliError::new("E051", Exit::Conflict, message)
        .hint(format!("kubectl config delete-{kind} {name}     if it is not needed"))
        .hint("leave out --merge: export KUBECONFIG instead")
}

/// The lock of a kubeconfig; given back when dropped.
struct Lock {
    path: PathBuf,
}

impl Lock {
    async fn take(file: &Path, clock: &Clock) -> Result<Self, CliError> {
        let mut path = file.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)
                .map_err(|error| failed(file, &format!("locked: {error}")))?;
        }
        let deadline = clock.elapsed() + LOCK_MAX;
        loop {
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(_) => return Ok(Self { path }),
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(failed(file, &format!("locked: {error}")));
                }
                Err(_) if clock.elapsed() >= deadline => return Err(locked(file, &path, clock)),
                Err(_) => clock.sleep(LOCK_PAUSE).await,
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn locked(file: &Path, lock: &Path, clock: &Clock) -> CliError {
    let made = std::fs::metadata(lock).and_then(|it| it.modified()).ok();
    let made = made.and_then(|made| jiff::Timestamp::try_from(made).ok());
    let since = made.map(|made| format!(" since {}", age(Some(made), clock.now())));
    let since = since.unwrap_or_default();
    let name = lock.file_name().unwrap_or_default().to_string_lossy();
    let message = format!("kubeconfig {} is locked{since} ({name})", file.display());
    CliError::new("E050", Exit::Conflict, message)
        .note("cause: another program is writing it, or a crashed kubectl, kind or capim left the lock")
        .hint(format!("rm {}    or leave out --merge", lock.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "apiVersion: v1\nkind: Config\npreferences:\n  colors: true\nclusters:\n\
        - name: prod\n  cluster:\n    server: https://prod\n    zzz: 1\n    aaa: 2\n\
        contexts:\n- name: prod\n  context:\n    cluster: prod\n    user: me\n    \
        extensions:\n    - name: x\n      extension: [1, null, 1.5]\n\
        current-context: prod\nusers:\n- name: me\n  user:\n    token: \"0123\"\n";

    fn own() -> Tree {
        Tree::Map([("name".to_owned(), Tree::Text("capim".to_owned()))].into())
    }

    #[test]
    fn what_was_added_goes_and_all_else_stays() {
        let before = parse(FILE).unwrap();
        let mut document = before.clone();
        let mut added =
            Added { file: "f".into(), names: IndexMap::new(), before: Some("prod".into()) };
        for list in LISTS {
            put(&mut document, list, own(), &mut added).unwrap();
            put(&mut document, list, own(), &mut added).unwrap();
        }
        document.insert(CURRENT.to_owned(), Tree::Text("capim".to_owned()));
        let text = serde_saphyr::to_string(&document).unwrap();
        let mut again = parse(&text).unwrap();
        assert_eq!(again, document);
        take_out(&mut again, &added);
        assert_eq!(again, before);
        assert!(again.keys().eq(before.keys()));
        assert!(
            put(
                &mut again,
                "users",
                Tree::Map([("name".to_owned(), Tree::Text("me".into()))].into()),
                &mut added
            )
            .is_err()
        );
    }

    #[test]
    fn a_kubeconfig_of_others_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config");
        let refused = || refuse_others(&file, "capim").map_err(|error| error.to_string());
        assert_eq!(refused(), Ok(()), "there is none");
        for own in ["", "contexts: []\n", "contexts:\n- name: capim\n"] {
            std::fs::write(&file, own).unwrap();
            assert_eq!(refused(), Ok(()), "{own}");
        }
        std::fs::write(&file, FILE).unwrap();
        let error = refused().unwrap_err();
        assert!(error.contains("holds other contexts: prod; it is not replaced"), "{error}");
        for other in ["- 1\n", "contexts:\n- name: capim\n- name: capim-ci\n", "a: ["] {
            std::fs::write(&file, other).unwrap();
            assert!(refused().is_err(), "{other}");
        }
    }
}
