//! Admission, driven through the engine, with webhooks in the test's process.

mod configurations;
mod harness;
mod hostile;
mod mutating;
mod validating;
