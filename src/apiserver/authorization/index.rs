//! Roles by name and bindings by whom they bind, compiled from the objects of one server.
//!
//! A request looks up its user and groups and reads the rules of the roles that they are bound to,
//! however many bindings there are. What a server has not stored of the default roles comes from a
//! base that all servers share.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;

use super::bindings::{Binding, Holder, Role, RoleRef, Subject};
use super::rules::Rule;
use crate::apiserver::authentication::Identity;
use crate::store::{Entry, RangeQuery, ResourceKey, Store};

/// API group of roles and bindings.
pub(crate) const GROUP: &str = "rbac.authorization.k8s.io";

/// The kinds that grant something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Role,
    Binding,
}

/// The kind that a plural name stands for.
pub(super) fn kind_of(plural: &str) -> Option<Kind> {
    match plural {
        "roles" | "clusterroles" => Some(Kind::Role),
        "rolebindings" | "clusterrolebindings" => Some(Kind::Binding),
        _ => None,
    }
}

/// What grants access in one namespace or, under the empty name, everywhere.
#[derive(Debug, Default)]
struct Scope {
    roles: HashMap<Box<str>, Arc<[Rule]>>,
    bindings: BTreeMap<Box<str>, Arc<Binding>>,
    users: HashMap<Box<str>, Vec<Arc<Binding>>>,
    groups: HashMap<Box<str>, Vec<Arc<Binding>>>,
}

/// A binding of the user, and a rule of its role; or why the role cannot be read.
pub(super) enum Visit<'a> {
    Rule(&'a Binding, &'a Subject, &'a Rule),
    Missing(String),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Index {
    scopes: HashMap<Box<str>, Scope>,
    base: Option<&'static Index>,
}

impl Index {
    /// An index of nothing but what `base` grants.
    pub(super) fn over(base: Option<&'static Self>) -> Self {
        Self { scopes: HashMap::new(), base }
    }

    /// Reads all roles and bindings of a store.
    pub(super) fn read(store: &Store, base: Option<&'static Self>) -> Self {
        let mut index = Self::over(base);
        for plural in ["clusterroles", "roles", "clusterrolebindings", "rolebindings"] {
            let resource = ResourceKey { group: GROUP.into(), plural: plural.into() };
            let query = RangeQuery {
                resource: &resource,
                namespace: None,
                after: None,
                at: None,
                limit: 0,
            };
            // The latest state is always known.
            let Ok(page) = store.range(query, |_| true) else { continue };
            let Some(kind) = kind_of(plural) else { continue };
            for entry in page.entries {
                let place = (&*entry.meta.namespace, &*entry.meta.name);
                index.set(kind, place, Some(&entry));
            }
        }
        index
    }

    /// Takes over the present state of an object: its entry, or that there is none.
    pub(super) fn set(
        &mut self,
        kind: Kind,
        (namespace, name): (&str, &str),
        entry: Option<&Entry>,
    ) {
        match kind {
            Kind::Role => {
                let role = entry.and_then(decode::<Role>);
                self.set_role((namespace, name), role.map(|role| role.rules.unwrap_or_default()));
            }
            Kind::Binding => {
                let binding = entry.and_then(decode::<BindingObject>);
                let binding = binding.map(|object| Binding {
                    name: name.into(),
                    namespace: namespace.into(),
                    role: object.role_ref,
                    subjects: object.subjects.unwrap_or_default(),
                });
                self.set_binding((namespace, name), binding);
            }
        }
    }

    /// Sets the rules of a role.
    pub(super) fn set_role(&mut self, (namespace, name): (&str, &str), rules: Option<Vec<Rule>>) {
        let scope = self.scopes.entry(namespace.into()).or_default();
        match rules {
            Some(rules) => {
                scope.roles.insert(name.into(), rules.into());
            }
            None => {
                scope.roles.remove(name);
            }
        }
    }

    /// Sets a binding.
    pub(super) fn set_binding(
        &mut self,
        (namespace, name): (&str, &str),
        binding: Option<Binding>,
    ) {
        let scope = self.scopes.entry(namespace.into()).or_default();
        if let Some(before) = scope.bindings.remove(name) {
            scope.unlink(&before);
        }
        if let Some(binding) = binding {
            scope.link(Arc::new(binding));
        }
    }

    /// Visits every rule that applies to a user: those of cluster-wide bindings, then those of the
    /// namespace's, each by the bindings' names.
    pub(super) fn visit<B>(
        &self,
        identity: &Identity,
        namespace: &str,
        mut visitor: impl FnMut(Visit<'_>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let namespaces = ["", namespace];
        for scope in if namespace.is_empty() { &namespaces[..1] } else { &namespaces[..] } {
            for binding in self.bindings_of(identity, scope) {
                // Holders may be named more than once; the first says why.
                let is_meant = |subject: &&Subject| subject.means(&binding.namespace, identity);
                let Some(subject) = binding.subjects.iter().find(is_meant) else { continue };
                match self.rules_of(&binding.role, scope) {
                    Ok(rules) => {
                        for rule in rules {
                            visitor(Visit::Rule(binding, subject, rule))?;
                        }
                    }
                    Err(missing) => visitor(Visit::Missing(missing))?,
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// The bindings in a namespace that bind a user.
    fn bindings_of(&self, identity: &Identity, namespace: &str) -> SmallVec<[&Binding; 8]> {
        let own = self.scopes.get(namespace);
        let base = self.base.and_then(|base| base.scopes.get(namespace));
        let mut found: SmallVec<[&Binding; 8]> = SmallVec::new();
        for (scope, covering) in [(own, None), (base, own)] {
            let Some(scope) = scope else { continue };
            let users = scope.users.get(&*identity.user).into_iter().flatten();
            let groups = identity.groups.iter().filter_map(|group| scope.groups.get(&**group));
            for binding in users.chain(groups.flatten()) {
                let is_covered =
                    covering.is_some_and(|own: &Scope| own.bindings.contains_key(&*binding.name));
                if !is_covered {
                    found.push(binding);
                }
            }
        }
        found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        found.dedup_by(|a, b| a.name == b.name);
        found
    }

    /// The rules of a role that a binding in `namespace` names.
    ///
    /// # Errors
    /// The message of what is not there.
    pub(super) fn rules_of(&self, role: &RoleRef, namespace: &str) -> Result<&[Rule], String> {
        let (scope, resource) = match &*role.kind {
            "ClusterRole" => ("", "clusterrole"),
            "Role" => (namespace, "role"),
            kind => return Err(format!("unsupported role reference kind: {kind:?}")),
        };
        self.role(scope, &role.name)
            .ok_or_else(|| format!("{resource}.{GROUP} \"{}\" not found", role.name))
    }

    fn role(&self, namespace: &str, name: &str) -> Option<&[Rule]> {
        let own = self.scopes.get(namespace).and_then(|scope| scope.roles.get(name));
        own.map(|rules| &**rules).or_else(|| self.base?.role(namespace, name))
    }
}

impl Scope {
    fn link(&mut self, binding: Arc<Binding>) {
        for subject in &binding.subjects {
            let (map, holder) = match subject.holder(&binding.namespace) {
                Holder::User(user) => (&mut self.users, user),
                Holder::Group(group) => (&mut self.groups, group),
                Holder::Nobody => continue,
            };
            let held = map.entry(holder).or_default();
            if !held.iter().any(|other| Arc::ptr_eq(other, &binding)) {
                held.push(binding.clone());
            }
        }
        self.bindings.insert(binding.name.clone(), binding);
    }

    fn unlink(&mut self, binding: &Arc<Binding>) {
        for subject in &binding.subjects {
            let (map, holder) = match subject.holder(&binding.namespace) {
                Holder::User(user) => (&mut self.users, user),
                Holder::Group(group) => (&mut self.groups, group),
                Holder::Nobody => continue,
            };
            if let Some(held) = map.get_mut(&holder) {
                held.retain(|other| !Arc::ptr_eq(other, binding));
                if held.is_empty() {
                    map.remove(&holder);
                }
            }
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BindingObject {
    role_ref: RoleRef,
    subjects: Option<Vec<Subject>>,
}

/// An object that is stored was valid; one that was stored without validation grants nothing.
fn decode<T: DeserializeOwned>(entry: &Entry) -> Option<T> {
    serde_json::from_slice(&entry.raw).ok()
}
