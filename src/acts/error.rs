//! Errors as the person at the terminal sees them: what failed, why, and what to type next.

use std::fmt;

use crate::client::ClientError;
use crate::machinery::printable::printable;

/// Exit codes of the executable, beside 0, a wrapped command's own code and 128 + signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Any other error.
    Other = 1,
    /// Wrong usage.
    Usage = 2,
    /// Timed out waiting.
    Timeout = 3,
    /// Something that was named does not exist.
    NotFound = 4,
    /// A port is taken or a name exists.
    Conflict = 5,
    /// No playground is running.
    NotRunning = 6,
    /// The environment does not allow it (file limit, permission).
    Environment = 8,
}

/// A place in a file, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// File name, or `stdin`.
    pub file: String,
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A failed act or command.
#[derive(Debug)]
pub struct Failure {
    /// Stable code, e.g. `E012`.
    pub code: &'static str,
    /// Exit code of the process.
    pub exit: Exit,
    /// What failed, on one line, without a trailing dot.
    pub message: String,
    /// Where it is written, if it is in a file.
    pub place: Option<Box<Place>>,
    /// Further lines: causes and details.
    pub notes: Vec<String>,
    /// What was probably meant.
    pub help: Option<Box<str>>,
    /// Commands or settings that help.
    pub hints: Vec<String>,
}

impl Failure {
    /// An error without notes and hints.
    pub fn new(code: &'static str, exit: Exit, message: impl Into<String>) -> Self {
        Self {
            code,
            exit,
            message: message.into(),
            place: None,
            notes: Vec::new(),
            help: None,
            hints: Vec::new(),
        }
    }

    /// An error that has no code of its own.
    pub fn other(message: impl fmt::Display) -> Self {
        Self::new("E001", Exit::Other, message.to_string())
    }

    /// A failed request; `what` completes "failed to".
    pub fn request(what: &str, error: &ClientError) -> Self {
        let message = format!("failed to {what}: {error}");
        if error.is_not_found() {
            Self::new("E030", Exit::NotFound, message)
        } else if error.is_already_exists() {
            Self::new("E031", Exit::Conflict, message)
        } else {
            Self::other(message)
        }
    }

    /// Says where it is written.
    #[must_use]
    pub fn at(mut self, place: Option<Place>) -> Self {
        self.place = place.map(Box::new);
        self
    }

    /// Adds a detail.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Says what was probably meant.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into().into_boxed_str());
        self
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}", self.code, indented(&self.message))?;
        if let Some(place) = &self.place {
            write!(f, "\n  --> {}", printable(&place.to_string()))?;
        }
        for note in &self.notes {
            write!(f, "\n  {}", indented(note))?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {}", indented(help))?;
        }
        for hint in &self.hints {
            write!(f, "\n  hint: {}", indented(hint))?;
        }
        Ok(())
    }
}

/// Text for a terminal; further lines are set off, so that none looks like a hint of capim's own.
fn indented(text: &str) -> String {
    printable(text).replace('\n', "\n    | ")
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_shows_code_notes_and_hints() {
        let error = Failure::new("E012", Exit::Conflict, "port 7443 is in use")
            .note("by another program")
            .hint("capim up --api-port 0        any free port");
        assert_eq!(
            error.to_string(),
            "error[E012]: port 7443 is in use\n  by another program\n  hint: capim up --api-port 0        any free port"
        );
    }
}
