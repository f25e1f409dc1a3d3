//! Sets of resources: what servers have in common, and what one server serves now.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use indexmap::{Equivalent, IndexMap};

use super::crds;
use super::documents::Documents;
use super::native_versions;
use super::negotiate::Messages;
use super::strategy::{self, Rules};
use super::versions::Versions;
use crate::machinery::definition::{Origin, ResourceDefinition};
use crate::machinery::table::{self, Printer};
use crate::store::{Entry, ResourceKey};

/// What many API servers have in common: the resource definitions and everything derived from
/// them. Shared by `Arc`.
pub struct Profile {
    resources: Arc<ResourceSet>,
}

impl Profile {
    /// A profile that serves `definitions`.
    pub fn new(definitions: Vec<ResourceDefinition>) -> Arc<Self> {
        let definitions = definitions.into_iter().map(crds::with_strategy);
        let definitions = definitions.map(native_versions::with_conversion).collect();
        let empty = ResourceSet::of(IndexMap::new());
        Arc::new(Self { resources: Arc::new(empty.with(definitions)) })
    }

    /// The resources that a new server serves.
    pub fn resources(&self) -> Arc<ResourceSet> {
        self.resources.clone()
    }
}

/// The resources that a server serves at one moment.
pub struct ResourceSet {
    /// Differs between any two sets of the process: a key for caches of derived documents.
    pub generation: u64,
    /// Definitions, in the order in which they were given.
    pub definitions: Vec<Arc<ResourceDefinition>>,
    index: IndexMap<Name, Arc<Resource>>,
    /// Documents that follow from the set, made when first asked for.
    pub(crate) documents: Documents,
}

/// Source of [`ResourceSet::generation`] and [`Resource::serial`].
static GENERATION: AtomicU64 = AtomicU64::new(1);

impl ResourceSet {
    /// A set of definitions.
    pub(super) fn new(definitions: Vec<ResourceDefinition>) -> Self {
        Self::of(IndexMap::new()).with(definitions)
    }

    /// The set with more definitions; same names are replaced in place.
    pub(crate) fn with(&self, definitions: Vec<ResourceDefinition>) -> Self {
        let mut index = self.index.clone();
        for (key, definitions) in by_resource(definitions) {
            let of_resource = |resource: &&Arc<Resource>| resource.key == key;
            let before = index.values().find(of_resource).map(|it| it.versions.clone());
            let versions = Arc::new(Versions::new(before.as_deref(), definitions));
            let key = index.values().find(of_resource).map_or(key.clone(), |it| it.key.clone());
            for (position, version) in versions.all().iter().enumerate() {
                let name = Name::of(&version.definition);
                if !version.definition.serving.served {
                    index.shift_remove(&name);
                    continue;
                }
                let resource = Resource::new(key.clone(), versions.clone(), position);
                index.insert(name, Arc::new(resource));
            }
        }
        Self::of(index)
    }

    /// The set with the same resources, one of which can only be emptied. Watches go on.
    pub(crate) fn with_terminating(&self, group: &str, plural: &str) -> Self {
        let mut index = self.index.clone();
        let found = index.values().find(|it| it.is(group, plural)).cloned();
        if let Some(found) = found {
            let versions = Arc::new(found.versions.terminating());
            for resource in index.values_mut().filter(|it| it.is(group, plural)) {
                let position = resource.position;
                let key = resource.key.clone();
                *resource = Arc::new(Resource::new(key, versions.clone(), position));
            }
        }
        Self::of(index)
    }

    /// The set without any version of a resource.
    pub(crate) fn without(&self, group: &str, plural: &str) -> Self {
        let mut index = self.index.clone();
        index.retain(|name, _| &*name.group != group || &*name.plural != plural);
        Self::of(index)
    }

    fn of(index: IndexMap<Name, Arc<Resource>>) -> Self {
        Self {
            generation: GENERATION.fetch_add(1, Ordering::Relaxed),
            definitions: index.values().map(|resource| resource.definition.clone()).collect(),
            index,
            documents: Documents::default(),
        }
    }

    /// All resources, in the order in which they were given.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.index.values()
    }

    /// A resource in a version.
    pub(crate) fn resolve(
        &self,
        group: &str,
        version: &str,
        plural: &str,
    ) -> Option<Arc<Resource>> {
        self.index.get(&(group, version, plural)).cloned()
    }

    /// Whether Kubernetes' own resources of the group are served.
    pub(crate) fn has_built_in(&self, group: &str) -> bool {
        self.index.values().any(|it| *it.definition.group == *group && it.is_built_in())
    }
}

/// Definitions by resource, in the order in which resources come first.
fn by_resource(
    definitions: Vec<ResourceDefinition>,
) -> IndexMap<Arc<ResourceKey>, Vec<ResourceDefinition>> {
    let mut resources: IndexMap<Arc<ResourceKey>, Vec<ResourceDefinition>> = IndexMap::new();
    for definition in definitions {
        let group = native_versions::stored_group(&definition);
        let plural = definition.plural.clone();
        resources.entry(Arc::new(ResourceKey { group, plural })).or_default().push(definition);
    }
    resources
}

/// Group, version and plural name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Name {
    group: Arc<str>,
    version: Arc<str>,
    plural: Arc<str>,
}

impl Name {
    fn of(definition: &ResourceDefinition) -> Self {
        Self {
            group: definition.group.clone(),
            version: definition.version.clone(),
            plural: definition.plural.clone(),
        }
    }
}

impl Equivalent<Name> for (&str, &str, &str) {
    fn equivalent(&self, name: &Name) -> bool {
        self.0 == &*name.group && self.1 == &*name.version && self.2 == &*name.plural
    }
}

/// A resource definition and what the engine derives from it once.
pub(crate) struct Resource {
    /// The definition.
    pub(crate) definition: Arc<ResourceDefinition>,
    /// Its key in the store, shared by all its versions.
    pub(crate) key: Arc<ResourceKey>,
    /// `{"apiVersion":"v1","kind":"ConfigMap",`: how its objects begin.
    pub(crate) prefix: Bytes,
    /// `apiVersion` of its objects.
    pub(crate) api_version: Arc<str>,
    /// What its kind does beyond the schema.
    pub(super) rules: &'static Rules,
    /// Differs between any two resources of the process, and so between states of a definition.
    pub(crate) serial: u64,
    /// All versions of the resource.
    pub(crate) versions: Arc<Versions>,
    /// Which of the versions this is.
    pub(super) position: usize,
    /// Compiled columns of Tables, made when first asked for.
    printer: OnceLock<Printer>,
}

impl Resource {
    fn new(key: Arc<ResourceKey>, versions: Arc<Versions>, position: usize) -> Self {
        let own = &versions.all()[position];
        Self {
            rules: strategy::of(&own.definition),
            definition: own.definition.clone(),
            key,
            prefix: own.prefix.clone(),
            api_version: own.api_version.clone(),
            serial: GENERATION.fetch_add(1, Ordering::Relaxed),
            position,
            printer: OnceLock::new(),
            versions,
        }
    }

    /// This version among the others.
    pub(crate) fn version(&self) -> &super::versions::Version {
        &self.versions.all()[self.position]
    }

    /// Whether objects are stored in this version.
    pub(crate) fn is_stored(&self) -> bool {
        self.position == self.versions.storage_position()
    }

    /// Whether a stored object says what this version shows of it, apiVersion aside. Hardly ever
    /// false: costs two comparisons.
    pub(crate) fn shows(&self, entry: &Entry) -> bool {
        self.versions.shows(self.position, entry)
    }

    /// The columns of Tables: the definition's own, or those of its kind.
    pub(crate) fn printer(&self) -> &Printer {
        self.printer.get_or_init(|| {
            let definition = &self.definition;
            if !definition.columns.is_empty() {
                return Printer::new(&definition.kind, &definition.columns);
            }
            let columns = match definition.origin {
                Origin::BuiltIn => table::builtin_columns(&definition.group, &definition.kind),
                Origin::Custom => None,
            };
            Printer::new(&definition.kind, &columns.unwrap_or_else(table::default_columns))
        })
    }

    /// Whether the resource is Kubernetes' own and not defined by a CustomResourceDefinition.
    /// Whether whole objects have a protobuf form.
    pub(super) fn messages(&self) -> Messages {
        if self.is_built_in() { Messages::Served } else { Messages::Missing }
    }

    pub(crate) fn is_built_in(&self) -> bool {
        self.definition.origin == Origin::BuiltIn
    }

    /// Whether this is the resource `plural` of `group`.
    pub(crate) fn is(&self, group: &str, plural: &str) -> bool {
        &*self.key.group == group && &*self.key.plural == plural
    }
}
