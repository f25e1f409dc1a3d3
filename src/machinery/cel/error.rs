//! What can go wrong when an expression is compiled or evaluated.

use std::fmt;
use std::sync::Arc;

/// Why an expression cannot be used: all errors as cel-go shows them, one or more lines each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CompileError(pub String);

/// Why an evaluation has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvalError {
    kind: EvalErrorKind,
    message: Arc<str>,
}

/// What a caller may do differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvalErrorKind {
    /// A function does not take what it was given.
    NoSuchOverload,
    /// One evaluation costs more than is allowed.
    CallLimit,
    /// All evaluations together cost more than is allowed.
    Budget,
    /// Anything else: a missing key, an overflow.
    Other,
}

impl EvalError {
    /// Any other error, with cel-go's message.
    pub fn new(message: impl AsRef<str>) -> Self {
        Self { kind: EvalErrorKind::Other, message: message.as_ref().into() }
    }

    pub(super) fn no_such_overload() -> Self {
        Self { kind: EvalErrorKind::NoSuchOverload, message: "no such overload".into() }
    }

    pub(super) fn no_such_key(key: &str) -> Self {
        Self::new(format!("no such key: {key}"))
    }

    pub(super) fn call_limit() -> Self {
        let message = "operation cancelled: actual cost limit exceeded".into();
        Self { kind: EvalErrorKind::CallLimit, message }
    }

    pub(super) fn budget() -> Self {
        let message = "running out of cost budget".into();
        Self { kind: EvalErrorKind::Budget, message }
    }

    /// The same error about something else.
    pub(super) fn map(&self, message: impl FnOnce(&str) -> String) -> Self {
        Self { kind: self.kind, message: message(&self.message).into() }
    }

    /// What kind of error it is.
    pub fn kind(&self) -> EvalErrorKind {
        self.kind
    }

    /// Whether no further evaluation may absorb the error.
    pub(super) fn is_fatal(&self) -> bool {
        matches!(self.kind, EvalErrorKind::CallLimit | EvalErrorKind::Budget)
    }
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for EvalError {}
