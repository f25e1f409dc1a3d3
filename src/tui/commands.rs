//! What commands do to the state. Commands that change objects are answered to the caller.

use super::keymap::Command;
use super::model::Model;
use super::model::row::{Cell, Object, Row};
use super::state::{ObjectRef, Overlay, Page, State, Step, View};
use super::views::{Scene, cluster};
use crate::client::ObjectKey;

/// What a command asks for beyond the new state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    None,
    /// Ends the dashboard, if whoever owns the quit dialog agrees.
    Quit,
    /// Draws everything again.
    Redraw,
    /// Something that is not the state's business.
    Other(Command),
}

/// Carries out what a key of a view means.
pub(super) fn carry_out(command: Command, state: &mut State, scene: &Scene) -> Act {
    if let Some(step) = step_of(command) {
        match step {
            Ok(step) => state.screen_mut().cursor.go(step),
            Err(down) => state.screen_mut().cursor.go_half(down),
        }
        return Act::None;
    }
    if let Some(view) = view_of(command) {
        // Of a cluster in sight the same is shown for it alone.
        match (view, cluster_in_sight(state, scene)) {
            (View::Timeline, Some(key)) => state.open(Page::Timeline(key)),
            _ => state.show(view),
        }
        return Act::None;
    }
    match command {
        Command::NextView => state.show_next(),
        Command::PreviousView => state.show_before(),
        Command::LastView => state.show_previous(),
        Command::Open | Command::Describe => open(state, scene),
        Command::Why => why(state, scene),
        Command::Back => {
            state.back();
        }
        Command::Quit => {
            if !state.back() {
                state.overlay = Some(Overlay::Quit);
            }
        }
        Command::Exit => state.overlay = Some(Overlay::Quit),
        Command::Help => state.overlay = Some(Overlay::Help(0)),
        Command::Filter => state.editing_filter = true,
        Command::Yaml => open_with(state, scene, Page::Yaml),
        Command::Objects => objects(state, scene),
        Command::Owner => owner(state, scene),
        Command::Logs => events(state, scene),
        Command::Presenter => state.presenter = !state.presenter,
        Command::HideHosts => state.hidden = !state.hidden,
        Command::Redraw => return Act::Redraw,
        _ => return list_or_tree(command, state, scene),
    }
    Act::None
}

/// Commands about what a list or a tree shows.
fn list_or_tree(command: Command, state: &mut State, scene: &Scene) -> Act {
    match command {
        Command::Left => cluster::fold(state, true),
        Command::Right => cluster::fold(state, false),
        Command::FoldAll => cluster::fold_all(scene, state),
        Command::Conditions => state.conditions = state.conditions.next(),
        Command::Grouping => state.grouping = !state.grouping,
        Command::Echo => state.echo = !state.echo,
        Command::MachineSets => state.sets = !state.sets,
        Command::ProblemsOnly => state.screen_mut().toggle_problems(),
        Command::SortName => sort_by(state, scene.model, &["NAME", "OBJECT", "CLIENT"]),
        Command::SortAge => sort_by(state, scene.model, &["AGE", "LAST SEEN"]),
        Command::SortState => {
            sort_by(state, scene.model, &["STATE", "PHASE", "TYPE", "STATUS", "ERRORS"])
        }
        Command::SortColumn => {
            if let Some(view) = state.screen().view() {
                state.sort_next(scene.model.table(view).columns.len());
            }
        }
        Command::Mark => {
            if let Some(row) = row(state, scene.model) {
                let key = row.key.clone();
                state.screen_mut().mark(key);
            }
        }
        Command::ClearMarks => state.screen_mut().marked.clear(),
        _ => return Act::Other(command),
    }
    Act::None
}

/// A step, or half a page down or up.
fn step_of(command: Command) -> Option<Result<Step, bool>> {
    Some(match command {
        Command::Down => Ok(Step::Down),
        Command::Up => Ok(Step::Up),
        Command::Top => Ok(Step::First),
        Command::Bottom => Ok(Step::Last),
        Command::PageDown => Ok(Step::PageDown),
        Command::PageUp => Ok(Step::PageUp),
        Command::HalfPageDown => Err(true),
        Command::HalfPageUp => Err(false),
        _ => return None,
    })
}

fn view_of(command: Command) -> Option<View> {
    Some(match command {
        Command::ViewClusters => View::Clusters,
        Command::ViewMachines => View::Machines,
        Command::ViewControlPlanes => View::ControlPlanes,
        Command::ViewDeployments => View::Workers,
        Command::ViewTimeline => View::Timeline,
        Command::ViewEvents => View::Events,
        Command::ViewProblems => View::Problems,
        Command::ViewClasses => View::Classes,
        Command::ViewRequests => View::Requests,
        _ => return None,
    })
}

fn sort_by(state: &mut State, model: &Model, headers: &[&str]) {
    let Some(view) = state.screen().view() else { return };
    let columns = &model.table(view).columns;
    let found = columns
        .iter()
        .position(|column| headers.iter().any(|header| column.header.eq_ignore_ascii_case(header)));
    if let Some(column) = found {
        state.sort_by(column);
    }
}

/// The selected row of the list in sight.
pub(super) fn row<'a>(state: &State, model: &'a Model) -> Option<&'a Row> {
    let table = model.table(state.screen().view()?);
    let cursor = &state.screen().cursor;
    // Right after a step the position is newer than the selection.
    match &cursor.selected {
        Some(key) => table.get(key),
        None => table.at(cursor.position),
    }
}

/// The object that commands are about: the selected row's, else the one in sight.
pub(super) fn object(state: &State, scene: &Scene) -> Option<ObjectRef> {
    if let Some(row) = row(state, scene.model) {
        return object_of(state, row);
    }
    match &state.screen().page {
        Page::Cluster(_) => cluster::selected_object(scene, state),
        Page::Timeline(key) => {
            let (kind, name) = state.screen().cursor.line()?.object.clone()?;
            let machine = ObjectKey::new(key.namespace.clone(), name);
            Some(management("cluster.x-k8s.io/v1beta2", &kind, machine))
        }
        Page::Part { object, .. } | Page::Yaml(object) => Some(object.clone()),
        Page::Class(key) => {
            Some(management("cluster.x-k8s.io/v1beta2", "ClusterClass", key.clone()))
        }
        Page::List(_) | Page::Kind { .. } => None,
    }
}

fn management(api_version: &str, kind: &str, key: ObjectKey) -> ObjectRef {
    let (api_version, kind) = (api_version.to_owned(), kind.to_owned());
    ObjectRef { within: None, api_version, kind, key }
}

pub(super) fn object_of(state: &State, row: &Row) -> Option<ObjectRef> {
    let (api_version, kind) = row.object.kind();
    let within = match &state.screen().page {
        Page::Kind { within, .. } => within.clone(),
        _ => None,
    };
    let key = match (&row.object, row.object.metadata()) {
        (Object::Named { .. }, _) => row.key.clone(),
        (_, metadata) => {
            let metadata = metadata?;
            ObjectKey::new(
                metadata.namespace.clone().unwrap_or_default(),
                metadata.name.clone().unwrap_or_default(),
            )
        }
    };
    Some(ObjectRef { within, api_version: api_version.to_owned(), kind: kind.to_owned(), key })
}

/// The cluster that the screen or its selected row is or belongs to.
pub(super) fn cluster_in_sight(state: &State, scene: &Scene) -> Option<ObjectKey> {
    match &state.screen().page {
        Page::Cluster(key) | Page::Timeline(key) => return Some(key.clone()),
        Page::Part { cluster, .. } => return Some(cluster.clone()),
        Page::Kind { within, .. } => return within.clone(),
        Page::Yaml(_) | Page::Class(_) => return None,
        Page::List(_) => {}
    }
    let row = row(state, scene.model)?;
    match &row.object {
        Object::Cluster(_) => Some(ObjectKey::new(row.key.namespace.clone(), cluster_name(row)?)),
        Object::Machine(_)
        | Object::ControlPlane(_)
        | Object::Deployment(_)
        | Object::Set(_)
        | Object::Pool(_) => {
            let metadata = row.object.metadata()?;
            let label = metadata.labels.as_ref()?.get(crate::contract::labels::CLUSTER_NAME)?;
            Some(ObjectKey::new(metadata.namespace.clone()?, label.clone()))
        }
        Object::Class(_) | Object::Event(_) | Object::Client(_) | Object::Named { .. } => None,
    }
}

fn cluster_name(row: &Row) -> Option<String> {
    row.object.metadata()?.name.clone()
}

/// Opens the selected row's object, each kind in its own way.
fn open(state: &mut State, scene: &Scene) {
    if state.screen().view() == Some(View::Timeline)
        && let Some(cluster) = cluster_in_sight(state, scene)
    {
        state.open(Page::Timeline(cluster));
        return;
    }
    if state.screen().view() == Some(View::Problems) {
        open_problem(state, scene);
        return;
    }
    if let Some(Row { object: Object::Event(event), .. }) = row(state, scene.model) {
        let about = &event.involved_object;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let key = ObjectKey::new(text(&about.namespace), text(&about.name));
        let object = ObjectRef {
            within: None,
            api_version: text(&about.api_version),
            kind: text(&about.kind),
            key,
        };
        open_object(state, scene, object, None);
        return;
    }
    let cluster = cluster_in_sight(state, scene);
    if let Some(object) = object(state, scene) {
        open_object(state, scene, object, cluster);
    }
}

/// The list that a problem is of, with only those rows.
fn open_problem(state: &mut State, scene: &Scene) {
    let Some(row) = row(state, scene.model) else { return };
    let Some(Cell::Text(kind)) = row.cells.get(2) else { return };
    let view = match kind.as_str() {
        "Cluster" => View::Clusters,
        "Machine" => View::Machines,
        "KubeadmControlPlane" => View::ControlPlanes,
        _ => View::Workers,
    };
    // What differs from row to row was left out of the cause.
    let longest = row.why.split('…').max_by_key(|part| part.len()).unwrap_or_default();
    let filter = regex::escape(longest.trim());
    state.open(Page::List(view));
    state.screen_mut().look.filter = filter;
}

fn open_object(state: &mut State, scene: &Scene, object: ObjectRef, cluster: Option<ObjectKey>) {
    let own = object.within.is_none();
    let cluster =
        cluster.or_else(|| scene.model.machines.get(&object.key).and_then(|row| row.group.clone()));
    let page = match (object.kind.as_str(), cluster) {
        ("Cluster", _) if own => Page::Cluster(object.key),
        ("ClusterClass", _) if own => Page::Class(object.key),
        (
            "Machine" | "KubeadmControlPlane" | "MachineDeployment" | "MachineSet" | "MachinePool",
            Some(cluster),
        ) if own => Page::Part { object, cluster },
        _ => Page::Yaml(object),
    };
    // The root of a cluster's own tree is the screen that is shown.
    if page == state.screen().page {
        return;
    }
    state.open(page);
}

fn open_with(state: &mut State, scene: &Scene, page: impl Fn(ObjectRef) -> Page) {
    if let Some(object) = object(state, scene) {
        state.open(page(object));
    }
}

/// Why the object in sight is as it is; of a row its own screen is opened.
fn why(state: &mut State, scene: &Scene) {
    let is_detail =
        |state: &State| matches!(state.screen().page, Page::Cluster(_) | Page::Part { .. });
    if is_detail(state) {
        state.why = !state.why;
        return;
    }
    if let Some(object) = object(state, scene) {
        let cluster = cluster_in_sight(state, scene);
        open_object(state, scene, object, cluster);
        state.why = is_detail(state);
    }
}

/// Objects inside the workload cluster: Nodes, then Pods.
fn objects(state: &mut State, scene: &Scene) {
    let word = match &state.screen().page {
        Page::Kind { within: Some(_), word } if word == "nodes" => "pods",
        _ => "nodes",
    };
    let Some(cluster) = cluster_in_sight(state, scene) else { return };
    if matches!(&state.screen().page, Page::Kind { within: Some(_), .. }) {
        state.back();
    }
    state.open(Page::Kind { within: Some(cluster), word: word.to_owned() });
}

/// The object that controls the one in sight.
fn owner(state: &mut State, scene: &Scene) {
    let found = row(state, scene.model).map(|row| row.object.clone()).or_else(|| {
        let object = object(state, scene)?;
        Some(scene.model.machines.get(&object.key)?.object.clone())
    });
    let Some(metadata) = found.as_ref().and_then(Object::metadata) else { return };
    let owners = metadata.owner_references.iter().flatten();
    let Some(owner) = owners.max_by_key(|owner| owner.controller == Some(true)) else { return };
    let key = ObjectKey::new(metadata.namespace.clone().unwrap_or_default(), owner.name.clone());
    let cluster = cluster_in_sight(state, scene);
    let object = management(&owner.api_version, &owner.kind, key);
    open_object(state, scene, object, cluster);
}

/// Events about the object in sight.
fn events(state: &mut State, scene: &Scene) {
    let object = object(state, scene);
    state.open(Page::List(View::Events));
    if let Some(object) = object {
        state.screen_mut().look.filter = regex::escape(&object.key.name);
    }
}
