//! The roles and bindings that every cluster starts with, from `assets/default-roles.table`.
//! (kubernetes 1.36: plugin/pkg/auth/authorizer/rbac/bootstrappolicy)
//!
//! A server either stores them as objects, or lets them lie below its own objects as an index that
//! all such servers share and that costs none of them anything.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::bindings::{Binding, RoleRef, Subject};
use super::index::{GROUP, Index};
use super::rules::Rule;
use crate::apiserver::{ApiServer, random, write};

const AUTO_UPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";
const BOOTSTRAPPING: &str = "kubernetes.io/bootstrapping";

static DEFAULTS: LazyLock<Defaults> =
    LazyLock::new(|| parse(include_str!("../../../assets/default-roles.table")));

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let mut index = Index::default();
    for role in &DEFAULTS.roles {
        index.set_role((role.namespace, &role.name), Some(role.rules.clone()));
    }
    for binding in &DEFAULTS.bindings {
        index.set_binding((&binding.namespace, &binding.name), Some(binding.clone()));
    }
    index
});

/// The default roles and bindings, compiled; shared by all servers that do not store them.
pub(super) fn index() -> &'static Index {
    &INDEX
}

#[derive(Debug, Default)]
struct Defaults {
    roles: Vec<DefaultRole>,
    bindings: Vec<Binding>,
}

#[derive(Debug, Default)]
struct DefaultRole {
    /// Empty for a ClusterRole.
    namespace: &'static str,
    name: String,
    labels: Vec<&'static str>,
    /// Label of the roles that this one is the union of.
    aggregates: Option<&'static str>,
    rules: Vec<Rule>,
}

/// Stores the default roles and bindings in a server that has none yet. Those that exist are left
/// alone.
pub fn install(server: &ApiServer) {
    server.policy().defaults_are_stored();
    let now = format!("{:.0}", server.clock().now());
    for role in &DEFAULTS.roles {
        let plural = if role.namespace.is_empty() { "clusterroles" } else { "roles" };
        store(server, plural, role.to_object(), (role.namespace, &role.name), &now);
    }
    for binding in &DEFAULTS.bindings {
        let (namespace, name) = (&*binding.namespace, &*binding.name);
        let plural = if namespace.is_empty() { "clusterrolebindings" } else { "rolebindings" };
        store(server, plural, binding_object(binding), (namespace, name), &now);
    }
}

fn store(
    server: &ApiServer,
    plural: &str,
    mut object: Map<String, Value>,
    (namespace, name): (&str, &str),
    now: &str,
) {
    let Some(resource) = server.resolve(GROUP, "v1", plural) else { return };
    if let Some(metadata) = object.get_mut("metadata") {
        metadata["name"] = name.into();
        metadata["uid"] = random::uid().into();
        metadata["creationTimestamp"] = now.into();
        metadata["annotations"] = json!({AUTO_UPDATE: "true"});
        metadata["labels"][BOOTSTRAPPING] = "rbac-defaults".into();
        if !namespace.is_empty() {
            metadata["namespace"] = namespace.into();
        }
    }
    if let Ok(draft) = write::encode(resource.version(), &Value::Object(object)) {
        // Whoever was faster with this name keeps it.
        let _ = server.store().create(&resource.key, draft);
    }
}

impl DefaultRole {
    fn to_object(&self) -> Map<String, Value> {
        let mut object = Map::new();
        let mut labels = json!({});
        for label in &self.labels {
            labels[format!("{GROUP}/{label}")] = "true".into();
        }
        object.insert("metadata".to_owned(), json!({"labels": labels}));
        if let Some(label) = self.aggregates {
            let selector = json!({"matchLabels": {format!("{GROUP}/{label}"): "true"}});
            object
                .insert("aggregationRule".to_owned(), json!({"clusterRoleSelectors": [selector]}));
        }
        object.insert("rules".to_owned(), self.rules.iter().map(Rule::to_value).collect());
        object
    }
}

fn binding_object(binding: &Binding) -> Map<String, Value> {
    let subject = |subject: &Subject| match &*subject.kind {
        "ServiceAccount" => json!({"kind": "ServiceAccount", "name": subject.name,
            "namespace": subject.namespace}),
        kind => json!({"apiGroup": GROUP, "kind": kind, "name": subject.name}),
    };
    let RoleRef { kind, name, .. } = &binding.role;
    let mut object = Map::new();
    object.insert("metadata".to_owned(), json!({"labels": {}}));
    object.insert("roleRef".to_owned(), json!({"apiGroup": GROUP, "kind": kind, "name": name}));
    if !binding.subjects.is_empty() {
        object.insert("subjects".to_owned(), binding.subjects.iter().map(subject).collect());
    }
    object
}

/// Reads the table, whose head explains it.
fn parse(text: &'static str) -> Defaults {
    let mut defaults = Defaults::default();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&'static str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["role", name] => defaults.roles.push(role(name)),
            ["controller", name] => {
                let full = format!("system:controller:{name}");
                let account = Subject {
                    kind: "ServiceAccount".into(),
                    name: (*name).into(),
                    namespace: "kube-system".into(),
                };
                let (cluster, kind) = ("".into(), "ClusterRole".into());
                let role = RoleRef { api_group: GROUP.into(), kind, name: full.as_str().into() };
                let name = full.as_str().into();
                let subjects = vec![account];
                defaults.bindings.push(Binding { name, namespace: cluster, role, subjects });
                defaults.roles.push(DefaultRole { name: full, ..DefaultRole::default() });
            }
            ["bind", name, role, subjects @ ..] => {
                defaults.bindings.push(binding(name, role, subjects));
            }
            [word, rest @ ..] => {
                let Some(role) = defaults.roles.last_mut() else { continue };
                match (*word, rest) {
                    ("label", [label]) => role.labels.push(label),
                    ("aggregate", [label]) => role.aggregates = Some(label),
                    ("events", []) => {
                        let words = ["create,patch,update", "core,events.k8s.io", "events"];
                        role.rules.push(rule(words[0], &words[1..]));
                    }
                    (verbs, rest) => role.rules.push(rule(verbs, rest)),
                }
            }
            [] => {}
        }
    }
    aggregate(&mut defaults.roles);
    defaults
}

/// Fills the roles that are unions. One may aggregate another, whence the rounds.
fn aggregate(roles: &mut [DefaultRole]) {
    roles.sort_by(|a, b| (a.namespace, &a.name).cmp(&(b.namespace, &b.name)));
    for _ in 0..3 {
        for at in 0..roles.len() {
            let Some(label) = roles[at].aggregates else { continue };
            let mut rules: Vec<Rule> = Vec::new();
            for other in roles.iter().filter(|other| other.labels.contains(&label)) {
                for rule in &other.rules {
                    if !rules.contains(rule) {
                        rules.push(rule.clone());
                    }
                }
            }
            roles[at].rules = rules;
        }
    }
}

/// Namespace, empty if there is none, and name.
fn place(text: &'static str) -> (&'static str, &'static str) {
    text.split_once('/').unwrap_or(("", text))
}

fn role(name: &'static str) -> DefaultRole {
    let (namespace, name) = place(name);
    DefaultRole { namespace, name: name.to_owned(), ..DefaultRole::default() }
}

fn binding(name: &'static str, role: &str, subjects: &[&'static str]) -> Binding {
    let (namespace, name) = place(name);
    let subjects = subjects.iter().filter_map(|subject| {
        let (kind, name) = subject.split_once(':')?;
        let (namespace, name) = if kind == "account" { place(name) } else { ("", name) };
        let kind = match kind {
            "account" => "ServiceAccount",
            "user" => "User",
            _ => "Group",
        };
        Some(Subject { kind: kind.into(), name: name.into(), namespace: namespace.into() })
    });
    let kind = if namespace.is_empty() { "ClusterRole" } else { "Role" };
    Binding {
        name: name.into(),
        namespace: namespace.into(),
        role: RoleRef { api_group: GROUP.into(), kind: kind.into(), name: role.into() },
        subjects: subjects.collect(),
    }
}

/// A rule; its lists are sorted, as upstream's are.
fn rule(verbs: &str, rest: &[&str]) -> Rule {
    let list = |text: &str| {
        let mut list: Vec<Box<str>> = text.split(',').map(Box::from).collect();
        list.sort();
        list
    };
    let verbs = verbs
        .replace('R', "get,list,watch")
        .replace('W', "create,delete,deletecollection,patch,update");
    let verbs = list(&verbs);
    match rest {
        ["url", paths] => Rule { verbs, non_resource_urls: list(paths), ..Rule::default() },
        [groups, resources, names @ ..] => Rule {
            verbs,
            api_groups: list(&groups.replace("core", "")),
            resources: list(resources),
            resource_names: names.first().map(|names| list(names)).unwrap_or_default(),
            ..Rule::default()
        },
        _ => Rule::default(),
    }
}
