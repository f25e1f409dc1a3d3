//! `capim logs`: what a playground has written to its log.

use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::error::{CliError, Exit};
use super::instance::{Instance, unusable};
use super::log_file;
use super::output;
use crate::clock::Clock;

/// How often a followed log is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// `capim logs`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  capim logs
  capim logs -f --tail 20

Playgrounds in the background or with a dashboard write it; CAPIM_LOG at their start says how much,
e.g. CAPIM_LOG=debug.")]
pub struct Logs {
    /// Go on with what is written from now on.
    #[arg(short = 'f', long)]
    pub follow: bool,
    /// Only so many of the last lines.
    #[arg(long, value_name = "LINES")]
    pub tail: Option<usize>,
}

pub(super) async fn run(logs: Logs) -> Result<ExitCode, CliError> {
    let instance = Instance::chosen();
    let path = instance.log();
    let files = log_file::all(&path);
    if files.is_empty() && !logs.follow {
        let message = format!("instance {:?} has no log", instance.name());
        return Err(CliError::new("E030", Exit::NotFound, message)
            .note(format!("{} does not exist", path.display())));
    }
    let mut text = String::new();
    for file in &files {
        text += &std::fs::read_to_string(file).map_err(|error| unusable(file, &error))?;
    }
    let mut position = position(&path);
    let shown = match logs.tail {
        Some(count) => last_lines(&text, count),
        None => &text,
    };
    if !output::is_read(shown)? || !logs.follow {
        return Ok(ExitCode::SUCCESS);
    }
    let clock = Clock::wall();
    loop {
        clock.sleep(LOOK).await;
        let text = more(&path, &mut position).map_err(|error| unusable(&path, &error))?;
        if !text.is_empty() && !output::is_read(text)? {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// A place in a file that may be put aside: its number and an offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Position {
    inode: u64,
    offset: u64,
}

fn position(path: &Path) -> Position {
    std::fs::metadata(path)
        .map(|file| Position { inode: file.ino(), offset: file.len() })
        .unwrap_or_default()
}

/// What was written after a position; of the file that was put aside meanwhile, too.
fn more(path: &Path, position: &mut Position) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let now = self::position(path);
    if now.inode == 0 {
        return Ok(text);
    }
    if now.inode != position.inode {
        let aside = log_file::aside(path, 1);
        if self::position(&aside).inode == position.inode && position.inode != 0 {
            read_from(&aside, position.offset, &mut text)?;
        }
        *position = Position { inode: now.inode, offset: 0 };
    }
    position.offset += read_from(path, position.offset, &mut text)?;
    Ok(text)
}

fn read_from(path: &Path, offset: u64, text: &mut Vec<u8>) -> std::io::Result<u64> {
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    Ok(file.read_to_end(text)? as u64)
}

fn last_lines(text: &str, count: usize) -> &str {
    let lines = text.lines().count();
    let skipped: usize =
        text.split_inclusive('\n').take(lines.saturating_sub(count)).map(str::len).sum();
    &text[skipped..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_followed_into_the_next_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("capim.log");
        std::fs::write(&path, "one\n").unwrap();
        let mut place = position(&path);
        std::fs::write(&path, "one\ntwo\n").unwrap();
        std::fs::rename(&path, log_file::aside(&path, 1)).unwrap();
        std::fs::write(&path, "three\n").unwrap();
        assert_eq!(more(&path, &mut place).unwrap(), b"two\nthree\n");
        assert_eq!(more(&path, &mut place).unwrap(), b"");
    }

    #[test]
    fn tail_takes_the_last_lines() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc\n");
        assert_eq!(last_lines("a\nb", 5), "a\nb");
        assert_eq!(last_lines("", 2), "");
    }
}
