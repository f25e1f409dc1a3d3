//! The timer that HTTP connections run on: tokio's, so that paused time holds them, too.

pub use hyper_util::rt::TokioTimer as HyperTimer;
