//! The log of a playground: a file in its directory that never grows beyond its bounds.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::playground::make_private_directory;

/// Size at which a file is put aside, in bytes.
const SIZE_MAX: u64 = 5 * 1024 * 1024;
/// Files that are kept beside the one that is written: `capim.log.1` is the newest.
const KEPT: usize = 3;

/// Appends to a file and puts it aside when it is full.
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    size: u64,
    size_max: u64,
}

impl LogFile {
    /// Opens a log, mode 0600, or goes on with it.
    ///
    /// # Errors
    /// If directory or file cannot be made.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::open_with(path, SIZE_MAX)
    }

    fn open_with(path: &Path, size_max: u64) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            make_private_directory(directory)?;
        }
        let file = append(path)?;
        let size = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, size, size_max })
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..KEPT).rev() {
            // Those that are not there yet are no error.
            let _ = std::fs::rename(aside(&self.path, number), aside(&self.path, number + 1));
        }
        std::fs::rename(&self.path, aside(&self.path, 1))?;
        self.file = append(&self.path)?;
        self.size = 0;
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Path of a file that was put aside.
pub(super) fn aside(path: &Path, number: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// All files of a log that are there, oldest first.
pub(super) fn all(path: &Path) -> Vec<PathBuf> {
    let older = (1..=KEPT).rev().map(|number| aside(path, number));
    older.chain([path.to_owned()]).filter(|path| path.is_file()).collect()
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.size > 0 && self.size + bytes.len() as u64 > self.size_max {
            self.rotate()?;
        }
        let written = self.file.write(bytes)?;
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_log_is_put_aside_and_the_oldest_goes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log").join("capim.log");
        let mut log = LogFile::open_with(&path, 10).unwrap();
        for line in ["first---\n", "second--\n", "third---\n", "fourth--\n", "fifth---\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }
        let texts: Vec<String> =
            all(&path).iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
        assert_eq!(texts, ["second--\n", "third---\n", "fourth--\n", "fifth---\n"]);
        let again = LogFile::open_with(&path, 10).unwrap();
        assert_eq!(again.size, 9);
    }
}
