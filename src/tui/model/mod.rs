//! What the dashboard knows: one sorted list a kind, kept up to date change by change.
//!
//! Nothing here walks over all objects for a frame. What follows from many objects (problems by
//! cause, lengths of stages) is counted change by change; what views show of it, and users of
//! classes, is made at most once a second, so that it can be read.

pub(super) mod events;
pub(super) mod feed;
pub(super) mod filter;
pub(super) mod lists;
pub(super) mod problems;
pub(super) mod requests;
pub(super) mod row;
pub(super) mod stages;
pub(super) mod table;
#[cfg(test)]
pub(super) mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::api::topology::ClusterClass;
use crate::client::ObjectKey;
use events::Folds;
use feed::Changes;
use problems::Causes;
use row::{Row, Sort};
use stages::{Lengths, Stages};
use table::{Look, Table};

use super::state::View;

/// All lists.
pub(super) struct Model {
    pub(super) clusters: Table,
    pub(super) machines: Table,
    pub(super) control_planes: Table,
    pub(super) workers: Table,
    pub(super) events: Table,
    pub(super) classes: Table,
    pub(super) problems: Table,
    /// Objects of any kind, as the server tabulates them.
    pub(super) objects: Table,
    /// Clients of the management API, as the server last told of them.
    pub(super) requests: Table,
    /// How long the stages of machines take.
    pub(super) stages: Stages,
    lengths: Lengths,
    causes: Causes,
    folds: Folds,
    held_classes: BTreeMap<ObjectKey, Arc<ClusterClass>>,
    /// What is made from several lists has to be made again.
    stale: bool,
    /// For which view it was made, and when.
    derived: Option<(View, Duration)>,
}

/// The order in which events are shown before anybody sorts them.
fn newest_first() -> Table {
    let mut table = Table::new(events::COLUMNS);
    let sort = Sort { column: Some(0), descending: false };
    table.look(&Look { sort, ..Look::default() });
    table
}

/// What is made from several lists is made at most this often.
const DERIVED_EVERY: Duration = Duration::from_secs(1);

impl Model {
    pub(super) fn new() -> Self {
        Self {
            clusters: Table::new(lists::CLUSTERS),
            machines: Table::new(lists::MACHINES),
            control_planes: Table::new(lists::CONTROL_PLANES),
            workers: Table::new(lists::WORKERS),
            events: newest_first(),
            classes: Table::new(lists::CLASSES),
            problems: Table::new(problems::COLUMNS),
            objects: Table::new(&[]),
            requests: Table::new(requests::COLUMNS),
            stages: Stages::default(),
            lengths: Lengths::default(),
            causes: Causes::default(),
            folds: Folds::default(),
            held_classes: BTreeMap::new(),
            stale: true,
            derived: None,
        }
    }

    /// Takes what changed.
    pub(super) fn apply(&mut self, changes: Changes) {
        fn rows<K>(
            changes: Vec<(ObjectKey, Option<Arc<K>>)>,
            row: impl Fn(&Arc<K>) -> Row,
        ) -> Vec<(ObjectKey, Option<Row>)> {
            changes.into_iter().map(|(key, object)| (key, object.as_ref().map(&row))).collect()
        }
        /// The key under which rows of several kinds lie in one table.
        fn kinded<K>(
            changes: Vec<(ObjectKey, Option<Arc<K>>)>,
            kind: &str,
            row: impl Fn(&Arc<K>) -> Row,
        ) -> Vec<(ObjectKey, Option<Row>)> {
            let key =
                |key: ObjectKey| ObjectKey::new(key.namespace, format!("{} {kind}", key.name));
            changes
                .into_iter()
                .map(|(name, object)| (key(name), object.as_ref().map(&row)))
                .collect()
        }
        self.stale |= !changes.clusters.is_empty()
            || !changes.machines.is_empty()
            || !changes.classes.is_empty();
        self.events.apply(self.folds.apply(changes.events));
        let Self { causes, lengths, .. } = self;
        let mut tell = |old: Option<&Arc<Row>>, new: Option<&Arc<Row>>| causes.change(old, new);
        self.clusters.apply_telling(rows(changes.clusters, lists::cluster), &mut tell);
        self.control_planes
            .apply_telling(rows(changes.control_planes, lists::control_plane), &mut tell);
        for workers in [
            kinded(changes.deployments, "MachineDeployment", lists::deployment),
            kinded(changes.sets, "MachineSet", lists::set),
            kinded(changes.pools, "MachinePool", lists::pool),
        ] {
            self.workers.apply_telling(workers, &mut tell);
        }
        self.machines.apply_telling(rows(changes.machines, lists::machine), |old, new| {
            lengths.change(old.map(Arc::as_ref), new.map(Arc::as_ref));
            tell(old, new);
        });
        self.stale |= self.causes.changed();
        for (key, class) in changes.classes {
            match class {
                Some(class) => self.held_classes.insert(key, class),
                None => self.held_classes.remove(&key),
            };
        }
    }

    /// Makes ready what a view shows, sorted and filtered as asked, at a monotonic time.
    pub(super) fn show(&mut self, view: View, look: &Look, elapsed: Duration) {
        self.refresh(view, elapsed);
        // Other views show the newest events and the gravest problems, whatever their own view was
        // looked at with.
        for other in [View::Events, View::Problems].into_iter().filter(|other| *other != view) {
            self.table_mut(other).look(&Look { sort: other.sort(), ..Look::default() });
        }
        self.table_mut(view).look(look);
    }

    /// Makes what a view needs from several lists, unless it is new enough.
    pub(super) fn refresh(&mut self, view: View, elapsed: Duration) {
        let due = self.derived.is_none_or(|(shown, at)| {
            shown != view || self.stale && elapsed.saturating_sub(at) >= DERIVED_EVERY
        });
        if due {
            self.derive(view);
            self.stale = false;
            self.derived = Some((view, elapsed));
        }
    }

    fn derive(&mut self, view: View) {
        self.problems.apply(self.causes.take());
        self.stages = self.lengths.percentiles();
        if view == View::Classes {
            let row = |(key, class): (&ObjectKey, &Arc<ClusterClass>)| {
                (key.clone(), lists::class(class, self.clusters.group(key).count()))
            };
            let rows = self.held_classes.iter().map(row).collect();
            self.classes.replace(rows);
        }
    }

    /// The list of a view.
    pub(super) fn table(&self, view: View) -> &Table {
        match view {
            View::Clusters | View::Timeline => &self.clusters,
            View::Machines => &self.machines,
            View::ControlPlanes => &self.control_planes,
            View::Workers => &self.workers,
            View::Events => &self.events,
            View::Problems => &self.problems,
            View::Classes => &self.classes,
            View::Requests => &self.requests,
            View::Objects => &self.objects,
        }
    }

    fn table_mut(&mut self, view: View) -> &mut Table {
        match view {
            View::Clusters | View::Timeline => &mut self.clusters,
            View::Machines => &mut self.machines,
            View::ControlPlanes => &mut self.control_planes,
            View::Workers => &mut self.workers,
            View::Events => &mut self.events,
            View::Problems => &mut self.problems,
            View::Classes => &mut self.classes,
            View::Requests => &mut self.requests,
            View::Objects => &mut self.objects,
        }
    }
}
