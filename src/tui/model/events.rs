//! Events, equal ones folded into one row.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;

use super::row::{Cell, Column, Object, Row, column};
use crate::client::ObjectKey;
use crate::tui::rows::Severity;
use crate::tui::text::one_line;

/// Columns of events.
pub(in crate::tui) const COLUMNS: &[Column] = &[
    column("AGE", 1),
    column("TYPE", 3),
    column("OBJECT", 0),
    column("REASON", 0),
    column("×", 4),
    column("MESSAGE", 1),
];

/// Which Events are the same news, by the key of the row that shows them.
#[derive(Default)]
pub(in crate::tui) struct Folds {
    /// Event -> row.
    rows: HashMap<ObjectKey, ObjectKey>,
    /// Row -> Events.
    members: HashMap<ObjectKey, HashMap<ObjectKey, Arc<Event>>>,
}

impl Folds {
    /// Takes changed Events and answers the rows that changed with them.
    pub(in crate::tui) fn apply(
        &mut self,
        changes: Vec<(ObjectKey, Option<Arc<Event>>)>,
    ) -> Vec<(ObjectKey, Option<Row>)> {
        let mut touched = Vec::with_capacity(changes.len());
        for (key, event) in changes {
            if let Some(row) = self.rows.remove(&key) {
                if let Some(members) = self.members.get_mut(&row) {
                    members.remove(&key);
                }
                touched.push(row);
            }
            if let Some(event) = event {
                let row = row_key(&event);
                self.members.entry(row.clone()).or_default().insert(key.clone(), event);
                self.rows.insert(key, row.clone());
                touched.push(row);
            }
        }
        touched.sort_unstable();
        touched.dedup();
        let rows = touched.into_iter().map(|key| {
            let row = self.members.get(&key).and_then(|members| row(&key, members));
            if row.is_none() {
                self.members.remove(&key);
            }
            (key, row)
        });
        rows.collect()
    }
}

/// `Kind/name` in a namespace: the group of an object's events.
pub(in crate::tui) fn about(kind: &str, object: &ObjectKey) -> ObjectKey {
    ObjectKey::new(object.namespace.clone(), format!("{kind}/{}", object.name))
}

fn about_of(event: &Event) -> ObjectKey {
    let object = &event.involved_object;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    about(&text(&object.kind), &ObjectKey::new(text(&object.namespace), text(&object.name)))
}

fn row_key(event: &Event) -> ObjectKey {
    let about = about_of(event);
    let reason = event.reason.as_deref().unwrap_or_default();
    let message = event.message.as_deref().unwrap_or_default();
    ObjectKey::new(about.namespace, format!("{} {reason} {message}", about.name))
}

fn time(event: &Event) -> Option<Timestamp> {
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
    let series = series.map(|time| time.0).or(event.event_time.as_ref().map(|time| time.0));
    last.or(series).or(event.metadata.creation_timestamp.as_ref().map(|time| time.0))
}

fn row(key: &ObjectKey, members: &HashMap<ObjectKey, Arc<Event>>) -> Option<Row> {
    let newest =
        members.iter().max_by_key(|(key, event)| (time(event), *key)).map(|(_, event)| event)?;
    let count = |event: &Arc<Event>| {
        let series = event.series.as_ref().and_then(|series| series.count);
        i64::from(series.or(event.count).unwrap_or(1).max(1))
    };
    let warning = newest.type_.as_deref() == Some("Warning");
    let text = |text: &Option<String>| one_line(text.as_deref().unwrap_or_default());
    let about = about_of(newest);
    let (severity, state) = match warning {
        true => (Severity::Degraded, ("▲", "Warning")),
        false => (Severity::Calm, ("●", "Normal")),
    };
    let shown = match about.namespace.as_str() {
        "" | "default" => one_line(&about.name),
        namespace => one_line(&match about.name.split_once('/') {
            Some((kind, name)) => format!("{kind}/{namespace}/{name}"),
            None => about.name.clone(),
        }),
    };
    Some(Row {
        key: key.clone(),
        object: Object::Event(newest.clone()),
        severity,
        state,
        cells: vec![
            Cell::Age(time(newest)),
            Cell::text(state.1),
            Cell::Text(shown),
            Cell::Text(text(&newest.reason)),
            Cell::Number(members.values().map(count).sum()),
            Cell::Text(text(&newest.message)),
        ],
        group: Some(about),
        why: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(name: &str, second: u32, message: &str) -> (ObjectKey, Option<Arc<Event>>) {
        let event = json!({
            "metadata": {"name": name, "namespace": "default"}, "type": "Warning", "count": 2,
            "involvedObject": {"kind": "Machine", "name": "m", "namespace": "default"},
            "reason": "R", "message": message,
            "lastTimestamp": format!("2026-01-01T00:00:{second:02}Z"),
        });
        (ObjectKey::new("default", name), Some(Arc::new(serde_json::from_value(event).unwrap())))
    }

    #[test]
    fn equal_events_share_a_row_until_they_go() {
        let mut folds = Folds::default();
        let rows = folds.apply(vec![event("a", 1, "x"), event("b", 5, "x"), event("c", 3, "y")]);
        let counts = |rows: &[(ObjectKey, Option<Row>)]| -> Vec<Option<Cell>> {
            rows.iter().map(|(_, row)| row.as_ref().map(|row| row.cells[4].clone())).collect()
        };
        assert_eq!(counts(&rows), [Some(Cell::Number(4)), Some(Cell::Number(2))]);
        let first = rows[0].1.as_ref().unwrap();
        assert_eq!(first.cells[0], Cell::Age("2026-01-01T00:00:05Z".parse().ok()));
        assert_eq!(first.group, Some(about("Machine", &ObjectKey::new("default", "m"))));
        let rows = folds.apply(vec![(ObjectKey::new("default", "b"), None)]);
        assert_eq!(counts(&rows), [Some(Cell::Number(2))]);
        let rows = folds.apply(vec![(ObjectKey::new("default", "a"), None)]);
        assert_eq!(counts(&rows), [None]);
        assert!(folds.members.len() == 1 && folds.rows.len() == 1);
    }
}
