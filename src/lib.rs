//! capim: a developer playground for Cluster API in one executable.
//!
//! The crate is organised in rooms; `ARCHITECTURE.md` holds the map, the table of who may import
//! whom, and the invariants. Rooms appear here in build order: a room only knows rooms above it.

pub mod acts;
pub mod api;
pub mod apiserver;
pub mod cli;
pub mod client;
pub mod clock;
pub mod contract;
pub mod controllers;
pub mod describe;
pub mod embed;
pub mod extensions;
pub mod machinery;
pub mod metrics;
pub mod pki;
pub mod playground;
pub mod providers;
pub mod runtime;
pub mod store;
pub mod tui;
pub mod workload;
