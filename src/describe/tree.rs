//! The tree of a cluster's objects, with echoes left out and like siblings in groups.

use jiff::Timestamp;
use serde_json::Value;

use super::discovery;
use super::object::{self, Condition, find};
use super::sources::Sources;

/// Which conditions are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// `metav1.Condition`s of the v1beta2 contract.
    #[default]
    V1Beta2,
    /// The deprecated ones.
    V1Beta1,
}

/// What the tree shows; the flags of `clusterctl describe cluster`.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Comma separated `all`, kinds or kind/name whose conditions are shown, with `+` at the end only
    /// those that are not normal.
    pub show_conditions: String,
    /// MachineSets between MachineDeployments and Machines.
    pub show_machine_sets: bool,
    /// ClusterResourceSets that are bound to the cluster.
    pub show_resource_sets: bool,
    /// Templates of control plane and MachineDeployments.
    pub show_templates: bool,
    /// Infrastructure and bootstrap objects that say nothing more than their Machine.
    pub echo: bool,
    /// Like machines in one row.
    pub grouping: bool,
    /// Which conditions.
    pub family: Family,
}

/// Which conditions of an object have rows of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Filter {
    #[default]
    None,
    All,
    /// Those that have a message or another status than the normal one.
    NonZero,
}

/// What a node stands for.
#[derive(Clone, Debug)]
pub(super) enum What<'a> {
    Object(&'a Value),
    /// Only the reference is known.
    Reference,
    Virtual,
    Group(Group),
}

/// Siblings in one row.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    /// Names, sorted.
    pub(super) items: Vec<String>,
    pub(super) available: usize,
    pub(super) ready: usize,
    pub(super) up_to_date: usize,
}

/// The conditions that decide about echoes and groups.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    pub(super) available: Option<Condition>,
    pub(super) ready: Option<Condition>,
    pub(super) up_to_date: Option<Condition>,
}

/// One row's object.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
    /// What it is to its parent, e.g. ControlPlane.
    pub(super) role: Option<&'static str>,
    pub(super) what: What<'a>,
    pub(super) marks: Marks,
    pub(super) filter: Filter,
    /// Whether like children are put into groups.
    pub(super) groups: bool,
    /// Higher ones come first.
    pub(super) order: i32,
    /// Whether it says nothing if it is ready or repeats its parent.
    pub(super) echoes: bool,
    pub(super) parent: Option<usize>,
    pub(super) children: Vec<usize>,
}

impl<'a> Node<'a> {
    pub(super) fn object(value: &'a Value) -> Self {
        Self {
            what: What::Object(value),
            ..Self::named(object::kind(value), object::namespace(value), object::name(value))
        }
    }

    pub(super) fn reference(kind: &str, namespace: &str, name: &str) -> Self {
        Self { what: What::Reference, ..Self::named(kind, namespace, name) }
    }

    pub(super) fn virtual_(kind: &str, namespace: &str, name: &str) -> Self {
        Self::named(kind, namespace, name)
    }

    fn named(kind: &str, namespace: &str, name: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            role: None,
            what: What::Virtual,
            marks: Marks::default(),
            filter: Filter::None,
            groups: false,
            order: 0,
            echoes: false,
            parent: None,
            children: Vec::new(),
        }
    }

    pub(super) fn role(mut self, role: &'static str) -> Self {
        self.role = Some(role);
        self
    }

    pub(super) fn grouping(mut self, groups: bool) -> Self {
        self.groups = groups;
        self
    }

    pub(super) fn echoing(mut self) -> Self {
        self.echoes = true;
        self
    }

    pub(super) fn order(mut self, order: i32) -> Self {
        self.order = order;
        self
    }
}

/// The tree of one cluster.
#[derive(Clone, Debug)]
pub struct Tree<'a> {
    /// Nodes by number; the root is the first. Those that went into groups have no parent.
    nodes: Vec<Node<'a>>,
    pub(super) options: Options,
}

impl<'a> Tree<'a> {
    /// The tree of a cluster.
    /// (CAPI v1.14: cmd/clusterctl/client/tree/discovery.go)
    pub fn of(sources: &'a Sources, options: Options) -> Self {
        discovery::discover(sources, options)
    }

    pub(super) const ROOT: usize = 0;

    pub(super) fn new(root: &'a Value, options: Options) -> Self {
        let mut tree = Self { nodes: Vec::new(), options };
        let mut root = Node::object(root);
        tree.prepare(&mut root);
        tree.nodes.push(root);
        tree
    }

    pub(super) fn node(&self, id: usize) -> &Node<'a> {
        &self.nodes[id]
    }

    fn prepare(&self, node: &mut Node<'a>) {
        if let What::Object(value) = node.what {
            node.marks = marks(value, self.options.family);
        }
        node.filter = filter(node, &self.options.show_conditions);
        node.groups &= self.options.grouping;
    }

    /// Adds a node; `None` if it went into a group or says nothing new.
    /// (CAPI v1.14: cmd/clusterctl/client/tree/tree.go, Add)
    pub(super) fn add(&mut self, parent: usize, mut node: Node<'a>) -> Option<usize> {
        self.prepare(&mut node);
        if node.echoes && !self.options.echo && self.is_echo(parent, &node) {
            return None;
        }
        if self.nodes[parent].groups && self.joins_group(parent, &node) {
            return None;
        }
        Some(self.attach(parent, node))
    }

    fn is_echo(&self, parent: usize, node: &Node<'a>) -> bool {
        let ready = node.marks.ready.as_ref();
        ready.is_some_and(|ready| ready.status == "True")
            || is_same(ready, self.nodes[parent].marks.ready.as_ref())
    }

    fn joins_group(&mut self, parent: usize, node: &Node<'a>) -> bool {
        let mut siblings = self.nodes[parent].children.clone();
        siblings.sort_by(|a, b| self.nodes[*a].kind.cmp(&self.nodes[*b].kind));
        let group_kind = format!("{}Group", node.kind);
        for id in siblings {
            let sibling = &mut self.nodes[id];
            if !sibling.marks.is_same(&node.marks) {
                continue;
            }
            if let What::Group(group) = &mut sibling.what
                && sibling.kind == group_kind
            {
                group.add(node);
                sibling.marks.merge(&node.marks);
                return true;
            }
            if sibling.kind != node.kind {
                continue;
            }
            let grouped = group_of(&self.nodes[id], node, group_kind);
            self.nodes[parent].children.retain(|child| *child != id);
            self.nodes[id].parent = None;
            self.attach(parent, grouped);
            return true;
        }
        false
    }

    fn attach(&mut self, parent: usize, mut node: Node<'a>) -> usize {
        let id = self.nodes.len();
        node.parent = Some(parent);
        self.nodes.push(node);
        self.nodes[parent].children.push(id);
        id
    }

    /// Children in the order in which they are shown.
    pub(super) fn children(&self, id: usize, row_name: impl Fn(&Node<'a>) -> String) -> Vec<usize> {
        let mut children = self.nodes[id].children.clone();
        children.sort_by_cached_key(|child| {
            let node = &self.nodes[*child];
            (std::cmp::Reverse(node.order), row_name(node))
        });
        children
    }
}

/// A group of two like siblings.
fn group_of<'a>(sibling: &Node<'a>, node: &Node<'a>, kind: String) -> Node<'a> {
    let mut group = Group::default();
    group.add(sibling);
    group.add(node);
    let mut marks = node.marks.clone();
    marks.merge(&sibling.marks);
    Node {
        kind,
        what: What::Group(group),
        marks,
        order: node.order,
        ..Node::virtual_("", &node.namespace, "")
    }
}

impl Group {
    fn add(&mut self, node: &Node<'_>) {
        let position = self.items.partition_point(|item| *item < node.name);
        self.items.insert(position, node.name.clone());
        let count = |condition: &Option<Condition>| {
            usize::from(condition.as_ref().is_some_and(|condition| condition.status == "True"))
        };
        self.available += count(&node.marks.available);
        self.ready += count(&node.marks.ready);
        self.up_to_date += count(&node.marks.up_to_date);
    }
}

impl Marks {
    fn is_same(&self, other: &Self) -> bool {
        is_same(self.available.as_ref(), other.available.as_ref())
            && is_same(self.ready.as_ref(), other.ready.as_ref())
            && is_same(self.up_to_date.as_ref(), other.up_to_date.as_ref())
    }

    /// Takes on the older transition; messages differ within a group.
    fn merge(&mut self, other: &Self) {
        let Some(ready) = &mut self.ready else { return };
        let since = other.ready.as_ref().and_then(|ready| ready.since);
        ready.since = older(ready.since, since);
        ready.message.clear();
    }
}

fn older(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Severities are empty in the family that has none.
fn is_same(one: Option<&Condition>, other: Option<&Condition>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => {
            (&one.status, &one.reason, &one.severity)
                == (&other.status, &other.reason, &other.severity)
        }
        _ => false,
    }
}

fn marks(value: &Value, family: Family) -> Marks {
    match family {
        Family::V1Beta2 => {
            let all = object::conditions(value);
            let get = |type_: &str| find(&all, type_).cloned();
            Marks { available: get("Available"), ready: get("Ready"), up_to_date: get("UpToDate") }
        }
        Family::V1Beta1 => {
            let all = object::v1beta1_conditions(value);
            Marks { ready: find(&all, "Ready").cloned(), ..Marks::default() }
        }
    }
}

/// Which conditions of a node the option asks for; the first part that fits decides.
fn filter(node: &Node<'_>, wanted: &str) -> Filter {
    for part in wanted.split(',').filter(|part| !part.is_empty()) {
        let (bare, filter) = match part.strip_suffix('+') {
            Some(bare) => (bare, Filter::NonZero),
            None => (part, Filter::All),
        };
        let fits = match bare.split_once('/') {
            _ if bare.eq_ignore_ascii_case("all") => true,
            Some((kind, name)) => {
                node.kind.eq_ignore_ascii_case(kind) && node.name.eq_ignore_ascii_case(name)
            }
            None => node.kind.eq_ignore_ascii_case(bare),
        };
        if fits {
            return filter;
        }
    }
    Filter::None
}
