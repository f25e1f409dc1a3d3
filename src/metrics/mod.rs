//! Numbers about the running process, and their Prometheus text.

mod registry;

pub use registry::{Counter, Gauge, Histogram, Registry};
