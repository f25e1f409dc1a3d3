//! Clients of the management API as rows.

use std::sync::Arc;

use super::row::{Cell, Column, Object, Row, column};
use crate::client::{ClientRequests, ObjectKey};
use crate::tui::rows::{ClientRow, latency, rate};
use crate::tui::text::printable;

/// Columns of clients: those of `capim get requests`.
pub(in crate::tui) const COLUMNS: &[Column] = &[
    column(ClientRow::HEADERS[0], 0),
    column(ClientRow::HEADERS[1], 3),
    column(ClientRow::HEADERS[2], 0),
    column(ClientRow::HEADERS[3], 1),
    column(ClientRow::HEADERS[4], 2),
    column(ClientRow::HEADERS[5], 5),
    column(ClientRow::HEADERS[6], 6),
    column(ClientRow::HEADERS[7], 4),
    column(ClientRow::HEADERS[8], 7),
];

/// Rows of all clients.
pub(in crate::tui) fn rows(clients: &[Arc<ClientRequests>]) -> Vec<(ObjectKey, Row)> {
    let keyed = |client: &Arc<ClientRequests>| {
        let row = row(client);
        (row.key.clone(), row)
    };
    clients.iter().map(keyed).collect()
}

fn row(client: &Arc<ClientRequests>) -> Row {
    let shown = ClientRow::of(client);
    let number = |count: u64| Cell::Number(i64::try_from(count).unwrap_or(i64::MAX));
    // Casts of floats stay within the bounds of integers.
    let took = |seconds: Option<f64>| {
        let micros = seconds.map_or(-1, |seconds| (seconds * 1e6) as i64);
        Cell::Measure(latency(seconds), micros)
    };
    let per_second = client.requests_per_second;
    let cells = [
        Cell::Text(printable(&client.program)),
        Cell::Text(shown.user()),
        number(client.requests),
        Cell::Measure(rate(per_second), (per_second * 1e3) as i64),
        number(shown.errors()),
        number(client.open_watches as u64),
        took(client.latency.p50_seconds),
        took(client.latency.p99_seconds),
        Cell::Age(Some(client.last_seen)),
    ];
    let key = ObjectKey::new("", client.metadata.name.clone());
    Row::named(key, Object::Client(client.clone()), cells.into_iter())
}
