//! End to end: the real binary with kubectl, and whole playgrounds in process on the virtual clock.

#![allow(clippy::unwrap_used, reason = "a test says no more than that it failed here")]
#![allow(clippy::disallowed_methods, reason = "wall time limits other programs here")]

mod addons;
mod bad_input;
mod command_line;
mod commands;
mod completion;
mod control_plane;
mod conversion;
mod core;
mod dashboard;
mod deletion;
mod demo;
mod envtest;
mod errors;
mod helm;
mod instances;
mod kcp_client;
mod kube_rs;
mod kubectl;
mod looking;
mod nodes;
mod old_versions;
mod port_forward;
mod providers;
mod pty;
mod python;
mod readme;
mod recorded;
mod refusals;
mod resilience;
mod standalone;
mod support;
mod terminal;
mod topology;
mod up;
mod upgrade;
mod wire;
mod workload;
