//! Where kubeconfigs are kept, and writing them so that nobody else can read them.

use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The directory of all instances: `$XDG_STATE_HOME/capim`, by default `~/.local/state/capim`.
pub fn state_root() -> PathBuf {
    let base =
        std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = base.unwrap_or_else(|| {
        std::env::home_dir().unwrap_or_else(|| PathBuf::from(".")).join(".local").join("state")
    });
    base.join("capim")
}

/// Makes a directory, and those above it, that only its owner can enter.
///
/// # Errors
/// When it cannot be made.
pub fn make_private_directory(directory: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Writes a file that only its owner can read, at once: a reader sees the old or the new content,
/// also after a crash of the machine.
///
/// # Errors
/// When the directory cannot be made or the file not be written.
pub fn write_private(path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_private_directory(directory)?;
    }
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    // Of a process with this number that crashed, or a trap: made anew, so that no link is followed.
    let _ = std::fs::remove_file(&temporary);
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&temporary)?;
    let written = file
        .write_all(content.as_ref())
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn file_is_private_and_replaced_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a").join("kubeconfig");
        write_private(&path, "one").unwrap();
        write_private(&path, "two").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn what_lies_at_the_temporary_name_is_neither_followed_nor_kept() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("kubeconfig"), directory.path().join("other"));
        std::fs::write(&other, "not ours").unwrap();
        let name = format!("kubeconfig.{}.tmp", std::process::id());
        std::os::unix::fs::symlink(&other, directory.path().join(name)).unwrap();
        write_private(&path, "one").unwrap();
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "not ours");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
        assert!(!std::fs::symlink_metadata(&path).unwrap().is_symlink());
    }
}
