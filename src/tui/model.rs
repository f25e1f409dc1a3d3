//! What the screen shows of the caches: totals, the rows of one view, the detail of one object.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;

use super::Sources;
use super::rows::{ClusterRow, ClusterState, KcpRow, MachineRow, MachineState, Severity};
use super::state::{Detail, State, View};
use super::text::{age, natural, one_line};
use crate::api::conditions::Condition;

/// Events kept on screen.
const EVENTS_MAX: usize = 1_000;

/// A snapshot of the caches, made for one state of the screen.
pub(super) struct Model {
    pub(super) totals: Totals,
    pub(super) rows: Rows,
    pub(super) detail: Option<DetailModel>,
    /// Control plane and machines of the selected cluster, in the clusters view.
    pub(super) machines_of_selected: Vec<MachineRow>,
    /// The newest event, on one line.
    pub(super) last_event: Option<EventRow>,
}

/// Counts over everything.
#[derive(Default)]
pub(super) struct Totals {
    pub(super) clusters: usize,
    pub(super) by_state: Vec<(ClusterState, usize)>,
    pub(super) machines: usize,
    pub(super) machines_ready: usize,
}

/// Rows of the current view, filtered and sorted.
pub(super) enum Rows {
    Clusters(Vec<ClusterRow>),
    Machines(Vec<MachineRow>),
    ControlPlanes(Vec<KcpRow>),
    Events(Vec<EventRow>),
}

/// A row of the events view.
#[derive(Clone)]
pub(super) struct EventRow {
    pub(super) at: Option<Timestamp>,
    pub(super) warning: bool,
    pub(super) about: String,
    pub(super) reason: String,
    pub(super) message: String,
    key: (String, String),
}

/// Everything about one object.
pub(super) struct DetailModel {
    pub(super) title: String,
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) conditions: Vec<Condition>,
    pub(super) machines: Vec<MachineRow>,
    pub(super) events: Vec<EventRow>,
}

impl Model {
    pub(super) fn read(sources: &Sources, state: &State) -> Self {
        let clusters: Vec<ClusterRow> =
            sources.clusters.list().iter().map(|c| ClusterRow::of(c)).collect();
        let machines: Vec<MachineRow> =
            sources.machines.list().iter().map(|m| MachineRow::of(m)).collect();
        let totals = Totals::of(&clusters, &machines);
        let selected_cluster = match (state.view, &state.selected) {
            (View::Clusters, Some(key)) => Some(key.clone()),
            (View::Clusters, None) => {
                clusters.first().map(|row| (row.namespace.clone(), row.name.clone()))
            }
            _ => None,
        };
        let machines_of_selected =
            selected_cluster.map(|key| machines_of(&machines, &key)).unwrap_or_default();
        let events = || events(sources);
        let detail = state.detail.as_ref().and_then(|detail| detail_of(sources, detail, &machines));
        let last_event = events().into_iter().next();
        let mut rows = match state.view {
            View::Clusters => Rows::Clusters(clusters),
            View::Machines => Rows::Machines(machines),
            View::ControlPlanes => Rows::ControlPlanes(
                sources.control_planes.list().iter().map(|kcp| KcpRow::of(kcp)).collect(),
            ),
            View::Events => Rows::Events(events()),
        };
        rows.filter(&state.filter);
        rows.sort();
        Self { totals, rows, detail, machines_of_selected, last_event }
    }
}

impl Totals {
    fn of(clusters: &[ClusterRow], machines: &[MachineRow]) -> Self {
        let states = [
            ClusterState::Available,
            ClusterState::Provisioning,
            ClusterState::Scaling,
            ClusterState::Degraded,
            ClusterState::Failed,
            ClusterState::Deleting,
            ClusterState::Paused,
            ClusterState::New,
        ];
        let count = |state| clusters.iter().filter(|row| row.state == state).count();
        Self {
            clusters: clusters.len(),
            by_state: states
                .map(|state| (state, count(state)))
                .into_iter()
                .filter(|(_, n)| *n > 0)
                .collect(),
            machines: machines.len(),
            machines_ready: machines.iter().filter(|row| row.state == MachineState::Ready).count(),
        }
    }
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Clusters(rows) => rows.len(),
            Self::Machines(rows) => rows.len(),
            Self::ControlPlanes(rows) => rows.len(),
            Self::Events(rows) => rows.len(),
        }
    }

    /// Namespace and name of a row's object; the selection follows it.
    pub(super) fn key(&self, index: usize) -> Option<(String, String)> {
        let key = |namespace: &String, name: &String| (namespace.clone(), name.clone());
        match self {
            Self::Clusters(rows) => rows.get(index).map(|row| key(&row.namespace, &row.name)),
            Self::Machines(rows) => rows.get(index).map(|row| key(&row.namespace, &row.name)),
            Self::ControlPlanes(rows) => rows.get(index).map(|row| key(&row.namespace, &row.name)),
            Self::Events(rows) => rows.get(index).map(|row| row.key.clone()),
        }
    }

    /// Where a key stands.
    pub(super) fn position(&self, key: &(String, String)) -> Option<usize> {
        (0..self.len()).find(|index| self.key(*index).as_ref() == Some(key))
    }

    pub(super) fn headers(&self) -> Vec<&'static str> {
        match self {
            Self::Clusters(_) => ClusterRow::HEADERS.to_vec(),
            Self::Machines(_) => MachineRow::HEADERS.to_vec(),
            Self::ControlPlanes(_) => KcpRow::HEADERS.to_vec(),
            Self::Events(_) => vec!["AGE", "TYPE", "OBJECT", "REASON", "MESSAGE"],
        }
    }

    /// Cells of a row; made only for rows in sight.
    pub(super) fn cells(&self, index: usize, now: Timestamp) -> Vec<String> {
        match self {
            Self::Clusters(rows) => rows[index].cells(now).to_vec(),
            Self::Machines(rows) => rows[index].cells(now).to_vec(),
            Self::ControlPlanes(rows) => rows[index].cells(now).to_vec(),
            Self::Events(rows) => rows[index].cells(now).to_vec(),
        }
    }

    pub(super) fn severity(&self, index: usize) -> Severity {
        match self {
            Self::Clusters(rows) => rows[index].state.severity(),
            Self::Machines(rows) => rows[index].state.severity(),
            Self::ControlPlanes(rows) => rows[index].state.severity(),
            Self::Events(rows) => rows[index].severity(),
        }
    }

    fn filter(&mut self, filter: &str) {
        if filter.is_empty() {
            return;
        }
        let keep = |texts: &[&str]| texts.iter().any(|text| text.contains(filter));
        match self {
            Self::Clusters(rows) => {
                rows.retain(|row| keep(&[&row.shown_name, row.state.label().1, &row.why]))
            }
            Self::Machines(rows) => {
                rows.retain(|row| keep(&[&row.shown_name, &row.phase, row.role, &row.why]))
            }
            Self::ControlPlanes(rows) => {
                rows.retain(|row| {
                    keep(&[&row.shown_name, &row.cluster, row.state.label().1, &row.why])
                });
            }
            Self::Events(rows) => rows.retain(|row| keep(&[&row.about, &row.reason, &row.message])),
        }
    }

    /// Problems first, then by name; events are newest first already.
    fn sort(&mut self) {
        match self {
            Self::Clusters(rows) => rows.sort_by(|a, b| {
                (a.state.severity(), natural(&a.shown_name))
                    .cmp(&(b.state.severity(), natural(&b.shown_name)))
            }),
            Self::Machines(rows) => rows.sort_by(|a, b| {
                (a.state.severity(), natural(&a.shown_name))
                    .cmp(&(b.state.severity(), natural(&b.shown_name)))
            }),
            Self::ControlPlanes(rows) => rows.sort_by(|a, b| {
                (a.state.severity(), natural(&a.shown_name))
                    .cmp(&(b.state.severity(), natural(&b.shown_name)))
            }),
            Self::Events(_) => {}
        }
    }
}

impl EventRow {
    fn of(event: &Event) -> Self {
        let about = &event.involved_object;
        let text = |text: &Option<String>| one_line(text.as_deref().unwrap_or_default());
        let time = event.last_timestamp.as_ref().or(event.metadata.creation_timestamp.as_ref());
        Self {
            at: time.map(|time| time.0),
            warning: event.type_.as_deref() == Some("Warning"),
            about: format!("{}/{}", text(&about.kind), text(&about.name)),
            reason: text(&event.reason),
            message: text(&event.message),
            key: (
                event.metadata.namespace.clone().unwrap_or_default(),
                event.metadata.name.clone().unwrap_or_default(),
            ),
        }
    }

    fn cells(&self, now: Timestamp) -> [String; 5] {
        [
            age(self.at, now),
            if self.warning { "Warning" } else { "Normal" }.to_owned(),
            self.about.clone(),
            self.reason.clone(),
            self.message.clone(),
        ]
    }

    fn severity(&self) -> Severity {
        if self.warning { Severity::Degraded } else { Severity::Calm }
    }
}

/// The newest events, newest first.
fn events(sources: &Sources) -> Vec<EventRow> {
    let Some(informer) = &sources.events else { return Vec::new() };
    let mut rows: Vec<EventRow> = informer.list().iter().map(|event| EventRow::of(event)).collect();
    rows.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| b.key.cmp(&a.key)));
    rows.truncate(EVENTS_MAX);
    rows
}

fn machines_of(
    machines: &[MachineRow],
    (namespace, cluster): &(String, String),
) -> Vec<MachineRow> {
    machines
        .iter()
        .filter(|row| row.namespace == *namespace && row.cluster == *cluster)
        .cloned()
        .collect()
}

fn detail_of(sources: &Sources, detail: &Detail, machines: &[MachineRow]) -> Option<DetailModel> {
    match detail.view {
        View::Clusters => cluster_detail(sources, &detail.key, machines),
        View::Machines => machine_detail(sources, &detail.key),
        View::ControlPlanes => kcp_detail(sources, &detail.key, machines),
        View::Events => None,
    }
}

fn cluster_detail(
    sources: &Sources,
    key: &(String, String),
    machines: &[MachineRow],
) -> Option<DetailModel> {
    let (namespace, name) = key;
    let cluster = sources.clusters.get(namespace, name)?;
    let status = cluster.status.clone().unwrap_or_default();
    let row = ClusterRow::of(&cluster);
    let endpoint = cluster.spec.control_plane_endpoint.as_ref();
    let endpoint =
        endpoint.map(|endpoint| format!("{}:{}", endpoint.host, endpoint.port.unwrap_or(0)));
    Some(DetailModel {
        title: format!("Cluster {}", row.shown_name),
        facts: vec![
            ("State", format!("{} {}", row.state.label().0, row.state.label().1)),
            ("Phase", status.phase),
            ("Endpoint", endpoint.unwrap_or_default()),
            ("Control plane", format!("{} ready", row.control_plane)),
            ("Workers", format!("{} ready", row.workers)),
            ("kubeconfig", format!("capim kubeconfig {name} -n {namespace}")),
        ],
        conditions: status.conditions,
        machines: machines_of(machines, key),
        events: events_about(sources, "Cluster", key),
    })
}

fn machine_detail(sources: &Sources, key: &(String, String)) -> Option<DetailModel> {
    let machine = sources.machines.get(&key.0, &key.1)?;
    let row = MachineRow::of(&machine);
    Some(DetailModel {
        title: format!("Machine {}", row.shown_name),
        facts: vec![
            ("Cluster", row.cluster),
            ("Role", row.role.to_owned()),
            ("Phase", row.phase),
            ("Node", row.node),
            ("Version", row.version),
            ("Provider id", machine.spec.provider_id.clone()),
        ],
        conditions: machine.status.clone().unwrap_or_default().conditions,
        machines: Vec::new(),
        events: events_about(sources, "Machine", key),
    })
}

fn kcp_detail(
    sources: &Sources,
    key: &(String, String),
    machines: &[MachineRow],
) -> Option<DetailModel> {
    let kcp = sources.control_planes.get(&key.0, &key.1)?;
    let row = KcpRow::of(&kcp);
    let mut machines = machines_of(machines, &(key.0.clone(), row.cluster.clone()));
    machines.retain(|row| row.role == "cp");
    Some(DetailModel {
        title: format!("KubeadmControlPlane {}", row.shown_name),
        facts: vec![
            ("Cluster", row.cluster),
            ("State", format!("{} {}", row.state.label().0, row.state.label().1)),
            ("Ready", row.replicas),
            ("Up to date", row.up_to_date),
            ("Version", row.version),
        ],
        conditions: kcp.status.clone().unwrap_or_default().conditions,
        machines,
        events: events_about(sources, "KubeadmControlPlane", key),
    })
}

fn events_about(sources: &Sources, kind: &str, key: &(String, String)) -> Vec<EventRow> {
    let about = format!("{kind}/{}", key.1);
    let mut events = events(sources);
    events.retain(|event| event.about == about && event.key.0 == key.0);
    events
}
