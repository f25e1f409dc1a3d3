//! What the person at the keyboard has chosen: a stack of screens, each with its own cursor, filter
//! and order, and a window on top. Pure: commands in, new state out.

use std::collections::BTreeSet;

use ratatui::layout::Rect;

use super::fetch::Want;
use super::model::row::Sort;
use super::model::table::{Look, Table};
use crate::client::ObjectKey;

/// Lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Clusters,
    Machines,
    ControlPlanes,
    Workers,
    Timeline,
    Events,
    Problems,
    Classes,
    /// Who asks the management API.
    Requests,
    /// Objects of a kind that the dashboard has no list of its own for.
    Objects,
}

impl View {
    /// Those with tabs, in the order of their number keys.
    pub(super) const TABS: [(Self, &'static str); 8] = [
        (Self::Clusters, "Clusters"),
        (Self::Machines, "Machines"),
        (Self::ControlPlanes, "KCP"),
        (Self::Workers, "Workers"),
        (Self::Timeline, "Timeline"),
        (Self::Events, "Events"),
        (Self::Problems, "Problems"),
        (Self::Classes, "Classes"),
    ];

    pub(super) fn name(self) -> &'static str {
        if self == Self::Requests {
            return "Requests";
        }
        Self::TABS.iter().find(|(view, _)| *view == self).map_or("Objects", |(_, name)| name)
    }

    /// How it is sorted until somebody chooses: events the newest first, clients the busiest first,
    /// else problems first.
    pub(super) fn sort(self) -> Sort {
        match self {
            Self::Events => Sort { column: Some(0), descending: false },
            Self::Requests => Sort { column: Some(2), descending: true },
            _ => Sort::default(),
        }
    }
}

/// An object by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ObjectRef {
    /// The workload cluster it is in; none for the management cluster.
    pub(super) within: Option<ObjectKey>,
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) key: ObjectKey,
}

/// What a screen shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Page {
    List(View),
    /// Objects of a kind, in a workload cluster or the management cluster.
    Kind {
        within: Option<ObjectKey>,
        word: String,
    },
    /// A cluster as a tree.
    Cluster(ObjectKey),
    /// Machines of a cluster along time.
    Timeline(ObjectKey),
    /// An object of a cluster, e.g. a machine.
    Part {
        object: ObjectRef,
        cluster: ObjectKey,
    },
    /// A ClusterClass with its variables and users.
    Class(ObjectKey),
    /// An object as YAML.
    Yaml(ObjectRef),
}

/// What a line of a page without a table is, e.g. of a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LineName {
    /// Kind and name of the object that it tells of; none in lines that stand for several.
    pub(super) object: Option<(String, String)>,
    /// What tells it from other lines that tell of the same.
    pub(super) part: String,
}

/// Where one is in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Selected object; the selection follows it when rows move.
    pub(super) selected: Option<ObjectKey>,
    /// Whether it was chosen by hand. Otherwise the selection stays on the first row.
    pub(super) chosen: bool,
    /// Its position when it was last seen: the selection stays there when the object goes.
    pub(super) position: usize,
    /// First row in sight.
    pub(super) offset: usize,
    /// Where the rows are on the screen, for the mouse; empty where there are none.
    pub(super) area: Rect,
    /// Lines that were drawn last, on pages without a table.
    lines: Vec<LineName>,
    /// Rows there were, and in sight, when the screen was last drawn.
    rows: usize,
    page: usize,
}

/// A step of the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Down,
    Up,
    PageDown,
    PageUp,
    First,
    Last,
}

impl Cursor {
    pub(super) fn go(&mut self, step: Step) {
        let page = self.page.max(1);
        let to = match step {
            Step::Down => self.position.saturating_add(1),
            Step::Up => self.position.saturating_sub(1),
            Step::PageDown => self.position.saturating_add(page),
            Step::PageUp => self.position.saturating_sub(page),
            Step::First => 0,
            Step::Last => usize::MAX,
        };
        self.go_to(to);
    }

    /// Half a page down or up.
    pub(super) fn go_half(&mut self, down: bool) {
        let half = (self.page / 2).max(1);
        match down {
            true => self.go_to(self.position.saturating_add(half)),
            false => self.go_to(self.position.saturating_sub(half)),
        }
    }

    pub(super) fn go_to(&mut self, position: usize) {
        self.position = position.min(self.rows.saturating_sub(1));
        self.selected = None;
        self.chosen = true;
    }

    /// Finds its row among those of a table, of which so many are in sight.
    pub(super) fn settle(&mut self, table: &Table, page: usize) {
        if !self.chosen {
            self.selected = None;
            self.position = 0;
        }
        let found = self.selected.as_ref().and_then(|key| table.position(key));
        self.settle_lines_at(found.unwrap_or(self.position), table.len(), page);
        self.selected = table.at(self.position).map(|row| row.key.clone());
    }

    /// The same among lines, of which so many are in sight.
    pub(super) fn settle_lines(&mut self, lines: Vec<LineName>, page: usize) {
        let found = self.line().and_then(|old| lines.iter().position(|line| line == old));
        self.settle_lines_at(found.unwrap_or(self.position), lines.len(), page);
        self.lines = lines;
    }

    /// The line it is on, of those that were drawn last.
    pub(super) fn line(&self) -> Option<&LineName> {
        self.lines.get(self.position)
    }

    /// Lines without a selection: the position is the first line in sight.
    pub(super) fn scroll(&mut self, lines: usize, page: usize) {
        (self.rows, self.page) = (lines.saturating_sub(page) + 1, page);
        self.position = self.position.min(lines.saturating_sub(page));
        self.offset = self.position;
    }

    fn settle_lines_at(&mut self, position: usize, lines: usize, page: usize) {
        (self.rows, self.page) = (lines, page);
        self.position = position.min(lines.saturating_sub(1));
        let page = page.max(1);
        self.offset = self.offset.clamp((self.position + 1).saturating_sub(page), self.position);
        self.offset = self.offset.min(lines.saturating_sub(page));
    }
}

/// One screen of the stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Screen {
    pub(super) page: Page,
    pub(super) cursor: Cursor,
    /// Filter and order.
    pub(super) look: Look,
    /// Rows that acts apply to.
    pub(super) marked: BTreeSet<ObjectKey>,
    /// Folded branches of a tree, `Kind/name`.
    pub(super) folded: BTreeSet<String>,
}

impl Screen {
    fn new(page: Page) -> Self {
        let sort = match page {
            Page::List(view) => view.sort(),
            _ => Sort::default(),
        };
        Self {
            page,
            look: Look { sort, ..Look::default() },
            cursor: Cursor::default(),
            marked: BTreeSet::new(),
            folded: BTreeSet::new(),
        }
    }

    /// The list that it shows, if it shows one.
    pub(super) fn view(&self) -> Option<View> {
        match &self.page {
            Page::List(view) => Some(*view),
            Page::Kind { .. } => Some(View::Objects),
            Page::Cluster(_)
            | Page::Timeline(_)
            | Page::Part { .. }
            | Page::Class(_)
            | Page::Yaml(_) => None,
        }
    }

    /// Shows only rows that are not calm, or all.
    pub(super) fn toggle_problems(&mut self) {
        self.look.problems_only = !self.look.problems_only;
    }

    /// Marks a row, or takes its mark, and goes to the next.
    pub(super) fn mark(&mut self, key: ObjectKey) {
        if !self.marked.remove(&key) {
            self.marked.insert(key);
        }
        self.cursor.go(Step::Down);
    }

    /// What it is called in the trail of screens.
    pub(super) fn title(&self) -> String {
        match &self.page {
            Page::List(view) => view.name().to_owned(),
            Page::Kind { within: None, word } => word.clone(),
            Page::Kind { within: Some(_), word } => format!("{word} inside"),
            Page::Cluster(key) => key.to_string(),
            Page::Timeline(key) => format!("{key} timeline"),
            Page::Part { object, .. } => format!("{} {}", object.kind, object.key.name),
            Page::Class(key) => key.to_string(),
            Page::Yaml(object) => format!("{} {} YAML", object.kind, object.key.name),
        }
    }
}

/// A window on top of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overlay {
    /// Keys, from this line on.
    Help(usize),
    Quit,
}

/// Which conditions a tree shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Conditions {
    #[default]
    None,
    /// Those that are not normal.
    NotNormal,
    All,
}

impl Conditions {
    pub(super) fn next(self) -> Self {
        match self {
            Self::None => Self::NotNormal,
            Self::NotNormal => Self::All,
            Self::All => Self::None,
        }
    }
}

/// State of the dashboard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// Never empty; the last one is in sight.
    screens: Vec<Screen>,
    /// The list before the last change of lists.
    previous: Option<View>,
    pub(super) overlay: Option<Overlay>,
    /// Where the tabs are on the screen, for the mouse.
    pub(super) tabs: Vec<(Rect, View)>,
    /// Whether keys go into the filter.
    pub(super) editing_filter: bool,
    /// Fewer columns, more calm: for an audience.
    pub(super) presenter: bool,
    /// Host names and paths are not shown.
    pub(super) hidden: bool,
    /// In a tree.
    pub(super) conditions: Conditions,
    /// Like machines of a tree in one row.
    pub(super) grouping: bool,
    /// Infrastructure and bootstrap objects that say nothing new.
    pub(super) echo: bool,
    /// MachineSets in a tree.
    pub(super) sets: bool,
    /// Whether "why" takes the whole screen.
    pub(super) why: bool,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            screens: vec![Screen::new(Page::List(View::Clusters))],
            previous: None,
            overlay: None,
            tabs: Vec::new(),
            editing_filter: false,
            presenter: false,
            hidden: false,
            conditions: Conditions::default(),
            grouping: true,
            echo: false,
            sets: false,
            why: false,
        }
    }

    /// The screen in sight.
    pub(super) fn screen(&self) -> &Screen {
        self.screens.last().expect("the stack of screens is never empty")
    }

    pub(super) fn screen_mut(&mut self) -> &mut Screen {
        self.screens.last_mut().expect("the stack of screens is never empty")
    }

    /// Screens from the first to the one in sight.
    pub(super) fn trail(&self) -> &[Screen] {
        &self.screens
    }

    /// Shows a list, from which everything else is reached.
    pub(super) fn show(&mut self, view: View) {
        let now = self.screens.first().and_then(Screen::view);
        if self.screens.len() == 1 && now == Some(view) {
            return;
        }
        if now != Some(view) {
            self.previous = now;
        }
        self.why = false;
        self.screens = vec![Screen::new(Page::List(view))];
    }

    /// The list with the next number key.
    pub(super) fn show_next(&mut self) {
        self.show_tab(1);
    }

    /// The list with the number key before.
    pub(super) fn show_before(&mut self) {
        self.show_tab(View::TABS.len() - 1);
    }

    fn show_tab(&mut self, further: usize) {
        let now = self.screens.first().and_then(Screen::view);
        let index = View::TABS.iter().position(|(view, _)| Some(*view) == now).unwrap_or(0);
        self.show(View::TABS[(index + further) % View::TABS.len()].0);
    }

    /// The list before this one.
    pub(super) fn show_previous(&mut self) {
        if let Some(view) = self.previous {
            self.show(view);
        }
    }

    /// Goes one screen deeper.
    pub(super) fn open(&mut self, page: Page) {
        const DEPTH_MAX: usize = 16;
        if self.screen().page == page || self.screens.len() >= DEPTH_MAX {
            return;
        }
        self.screen_mut().cursor.chosen = true;
        self.screens.push(Screen::new(page));
    }

    /// Takes back, in this order: "why", the filter, the screen. False at the first list.
    pub(super) fn back(&mut self) -> bool {
        if std::mem::take(&mut self.why) {
            return true;
        }
        if !self.screen().look.filter.is_empty() {
            self.screen_mut().look.filter.clear();
            return true;
        }
        if self.screens.len() > 1 {
            self.screens.pop();
            return true;
        }
        false
    }

    /// Sorts by a column of the list in sight, the other way round if it is that already.
    pub(super) fn sort_by(&mut self, column: usize) {
        let sort = &mut self.screen_mut().look.sort;
        *sort = match sort.column == Some(column) {
            true => Sort { column: Some(column), descending: !sort.descending },
            false => Sort { column: Some(column), descending: false },
        };
    }

    /// The next column, after the last one problems first.
    pub(super) fn sort_next(&mut self, columns: usize) {
        let sort = &mut self.screen_mut().look.sort;
        let next = sort.column.map_or(0, |column| column + 1);
        *sort = Sort { column: Some(next).filter(|next| *next < columns), descending: false };
    }

    /// What has to be asked of the server for the screen in sight.
    pub(super) fn want(&self) -> Option<Want> {
        match &self.screen().page {
            Page::Cluster(key) => Some(Want::Cluster(key.clone())),
            Page::Part { object, cluster } if object.kind == "KubeadmControlPlane" => {
                Some(Want::ControlPlane(cluster.clone()))
            }
            Page::Part { cluster, .. } => Some(Want::Cluster(cluster.clone())),
            Page::Kind { within, word } => {
                Some(Want::Table { cluster: within.clone(), word: word.clone() })
            }
            Page::Yaml(object) => Some(Want::Object {
                cluster: object.within.clone(),
                api_version: object.api_version.clone(),
                kind: object.kind.clone(),
                key: object.key.clone(),
            }),
            Page::List(View::Requests) => Some(Want::Requests),
            Page::List(_) | Page::Timeline(_) | Page::Class(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn movement_stays_within_the_rows() {
        let lines = |count: usize| {
            let line = |index: usize| LineName { part: index.to_string(), object: None };
            (0..count).map(line).collect::<Vec<_>>()
        };
        let mut cursor = Cursor::default();
        cursor.go(Step::Up);
        cursor.settle_lines(lines(30), 10);
        assert_eq!(cursor.position, 0);
        cursor.go(Step::PageDown);
        cursor.go(Step::Down);
        cursor.settle_lines(lines(30), 10);
        assert_eq!((cursor.position, cursor.offset), (11, 2));
        cursor.go(Step::Last);
        cursor.go(Step::Down);
        cursor.settle_lines(lines(30), 10);
        assert_eq!((cursor.position, cursor.offset), (29, 20));
        cursor.settle_lines(lines(5), 10);
        assert_eq!((cursor.position, cursor.offset), (4, 0));
        cursor.settle_lines(lines(0), 0);
        assert_eq!((cursor.position, cursor.offset), (0, 0));
    }

    #[test]
    fn the_cursor_stays_on_its_line_when_others_come() {
        let lines = |names: &[&str]| {
            let line = |name: &&str| LineName { part: (*name).to_owned(), object: None };
            names.iter().map(line).collect::<Vec<_>>()
        };
        let mut cursor = Cursor::default();
        cursor.settle_lines(lines(&["a", "b", "c"]), 10);
        cursor.go(Step::Down);
        cursor.settle_lines(lines(&["a", "new", "b", "c"]), 10);
        assert_eq!((cursor.position, cursor.line().unwrap().part.as_str()), (2, "b"));
        // The place of a line that went is taken by the next one.
        cursor.settle_lines(lines(&["a", "new", "c"]), 10);
        assert_eq!((cursor.position, cursor.line().unwrap().part.as_str()), (2, "c"));
    }

    #[test]
    fn back_takes_back_one_thing_at_a_time() {
        let mut state = State::new();
        state.screen_mut().look.filter = "x".into();
        state.open(Page::Cluster(ObjectKey::new("default", "a")));
        state.why = true;
        assert!(state.back() && !state.why && state.trail().len() == 2);
        assert!(state.back() && state.trail().len() == 1 && state.screen().look.filter == "x");
        assert!(state.back() && state.screen().look.filter.is_empty());
        assert!(!state.back());
    }

    #[test]
    fn lists_are_changed_from_anywhere() {
        let mut state = State::new();
        state.open(Page::Cluster(ObjectKey::new("default", "a")));
        state.show(View::Events);
        assert_eq!((state.trail().len(), state.screen().look.sort.column), (1, Some(0)));
        state.show_previous();
        assert_eq!(state.screen().view(), Some(View::Clusters));
        for _ in View::TABS {
            state.show_next();
        }
        assert_eq!(state.screen().view(), Some(View::Clusters));
    }

    #[test]
    fn sorting_again_turns_round_and_the_columns_go_round() {
        let mut state = State::new();
        state.sort_by(2);
        state.sort_by(2);
        assert_eq!(state.screen().look.sort, Sort { column: Some(2), descending: true });
        state.sort_next(4);
        assert_eq!(state.screen().look.sort, Sort { column: Some(3), descending: false });
        state.sort_next(4);
        assert_eq!(state.screen().look.sort, Sort::default());
    }
}
