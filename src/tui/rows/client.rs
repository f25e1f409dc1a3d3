//! Rows of an API's clients.

use jiff::Timestamp;

use crate::client::ClientRequests;
use crate::tui::text::{age, printable};

/// What a row shows of a client.
#[derive(Clone, Copy, Debug)]
pub struct ClientRow<'a> {
    client: &'a ClientRequests,
}

impl<'a> ClientRow<'a> {
    /// Titles of the columns.
    pub const HEADERS: [&'static str; 9] =
        ["CLIENT", "USER", "REQUESTS", "RATE", "ERRORS", "WATCHES", "P50", "P99", "LAST SEEN"];
    /// Titles of further columns.
    pub const WIDE_HEADERS: [&'static str; 6] =
        ["4XX", "5XX", "IN PROCESS", "FIRST SEEN", "MOST FOR", "VERBS"];

    /// What is shown of a client.
    pub fn of(client: &'a ClientRequests) -> Self {
        Self { client }
    }

    /// Cells under [`Self::HEADERS`].
    pub fn cells(self, now: Timestamp) -> [String; 9] {
        let client = self.client;
        [
            printable(&client.program),
            self.user(),
            client.requests.to_string(),
            rate(client.requests_per_second),
            self.errors().to_string(),
            client.open_watches.to_string(),
            latency(client.latency.p50_seconds),
            latency(client.latency.p99_seconds),
            age(Some(client.last_seen), now),
        ]
    }

    /// Cells under [`Self::WIDE_HEADERS`].
    pub fn wide_cells(self, now: Timestamp) -> [String; 6] {
        let client = self.client;
        let most = client.resources.iter().max_by_key(|counts| counts.total());
        let mut verbs: Vec<(&str, u64)> = client.by_verb().into_iter().collect();
        verbs.sort_by_key(|(verb, count)| (std::cmp::Reverse(*count), *verb));
        let verbs: Vec<String> =
            verbs.iter().map(|(verb, count)| format!("{verb} {count}")).collect();
        [
            client.errors.client.to_string(),
            client.errors.server.to_string(),
            if client.in_process { "yes" } else { "no" }.to_owned(),
            age(Some(client.first_seen), now),
            most.map(|counts| printable(&counts.name())).unwrap_or_default(),
            printable(&verbs.join(", ")),
        ]
    }

    /// Whom the server knows it as; `-` where it knows nobody.
    pub fn user(self) -> String {
        match self.client.user.as_str() {
            "" => "-".to_owned(),
            user => printable(user),
        }
    }

    /// Answers that refused or failed.
    pub fn errors(self) -> u64 {
        self.client.errors.client.saturating_add(self.client.errors.server)
    }
}

/// Requests a second.
pub fn rate(per_second: f64) -> String {
    format!("{per_second:.1}/s")
}

/// A duration of two or three digits; `-` if there is none yet.
pub fn latency(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(seconds) if seconds < 1e-3 => format!("{:.2}ms", seconds * 1e3),
        Some(seconds) if seconds < 1e-2 => format!("{:.1}ms", seconds * 1e3),
        Some(seconds) if seconds < 1.0 => format!("{:.0}ms", seconds * 1e3),
        Some(seconds) => format!("{seconds:.1}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_as_many_digits_as_they_need() {
        let shown = [None, Some(0.000_05), Some(0.0012), Some(0.25), Some(61.24)].map(latency);
        assert_eq!(shown, ["-", "0.05ms", "1.2ms", "250ms", "61.2s"]);
    }

    #[test]
    fn a_row_tells_what_the_report_tells() {
        let report = serde_json::json!({
            "metadata": {"name": "kubectl/v1.36.1@admin"}, "program": "kubectl/v1.36.1",
            "user": "", "inProcess": false, "requests": 12, "requestsPerSecond": 0.25,
            "errors": {"client": 2, "server": 1}, "openWatches": 1,
            "latency": {"p50Seconds": 0.002, "p99Seconds": null},
            "firstSeen": "2026-01-01T00:00:00Z", "lastSeen": "2026-01-01T00:59:00Z",
            "resources": [
                {"group": "", "resource": "pods", "verbs": {"list": 3, "get": 1}},
                {"group": "cluster.x-k8s.io", "resource": "machines", "verbs": {"list": 8}},
            ],
        });
        let client: ClientRequests = serde_json::from_value(report).unwrap();
        let now: Timestamp = "2026-01-01T01:00:00Z".parse().unwrap();
        let row = ClientRow::of(&client);
        let cells = ["kubectl/v1.36.1", "-", "12", "0.2/s", "3", "1", "2.0ms", "-", "60s"];
        assert_eq!(row.cells(now), cells);
        let wide = ["2", "1", "no", "60m", "machines.cluster.x-k8s.io", "list 11, get 1"];
        assert_eq!(row.wide_cells(now), wide);
    }
}
