//! Counts of requests by answer, under client-go's name.

use std::collections::HashMap;

use http::{Method, StatusCode};
use parking_lot::Mutex;

use crate::metrics::{Counter, Registry};

/// What a client has asked.
pub(super) struct Requests {
    metrics: Registry,
    /// Where requests go to.
    host: &'static str,
    /// Locked to count; methods and codes are few.
    counters: Mutex<HashMap<(Method, StatusCode), Counter>>,
}

impl Requests {
    pub(super) fn new(metrics: Registry, host: &'static str) -> Self {
        Self { metrics, host, counters: Mutex::default() }
    }

    /// Counts an answer. (client-go v0.36: tools/metrics/metrics.go)
    pub(super) fn count(&self, method: &Method, code: StatusCode) {
        let mut counters = self.counters.lock();
        let counter = counters.entry((method.clone(), code)).or_insert_with(|| {
            self.metrics.counter(
                "rest_client_requests_total",
                "Number of HTTP requests, partitioned by status code, method, and host.",
                &[("code", code.as_str()), ("host", self.host), ("method", method.as_str())],
            )
        });
        counter.inc();
    }
}
