//! Errors of commands: those of acts, under the name that commands use.

pub use crate::acts::{Exit, Failure as CliError};
