//! Admission, driven through the engine, with webhooks in the test's process.

mod configurations;
mod harness;
mod hostile;
mod match_conditions;
mod mutating;
mod native;
mod policies;
mod replaced;
mod services;
mod subresources;
mod validating;
