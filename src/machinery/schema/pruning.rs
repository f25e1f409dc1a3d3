//! Removal of fields that a schema does not know.

use serde_json::{Map, Value};

use super::arena::{Arena, Index, NodeData};
use super::path::Path;

/// Fields of `metav1.ObjectMeta`, sorted; a custom resource's schema does not list them.
const OBJECT_META: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

pub(super) fn prune(arena: &Arena, root: Index, object: &mut Value) -> Vec<String> {
    let mut removed = Vec::new();
    let walk = Walk { arena, removed: &mut removed };
    walk.resource(root, object);
    removed
}

/// Removes what a node does not know from a value of it, which is no whole object by nature.
pub(super) fn prune_value(arena: &Arena, index: Index, value: &mut Value) {
    let mut removed = Vec::new();
    let node = arena.node(index);
    Walk { arena, removed: &mut removed }.value(node, value, &Path::Root, Level::of(node));
}

struct Walk<'a> {
    arena: &'a Arena,
    removed: &'a mut Vec<String>,
}

impl Walk<'_> {
    fn resource(mut self, root: Index, object: &mut Value) {
        self.value(self.arena.node(root), object, &Path::Root, Level::Resource);
    }

    fn value(&mut self, node: &NodeData, value: &mut Value, path: &Path<'_>, level: Level) {
        match value {
            Value::Object(map) => self.object(node, map, path, level),
            Value::Array(list) => {
                let Some(items) = node.items else { return };
                let items = self.arena.node(items);
                let level = Level::of(items);
                for (index, item) in list.iter_mut().enumerate() {
                    self.value(items, item, &path.item(index), level);
                }
            }
            _ => {}
        }
    }

    fn object(
        &mut self,
        node: &NodeData,
        map: &mut Map<String, Value>,
        path: &Path<'_>,
        level: Level,
    ) {
        let arena = self.arena;
        let mut unknown = false;
        for (name, value) in map.iter_mut() {
            if level == Level::Resource && is_type_meta(name) {
                if name == "metadata" {
                    self.metadata(node, value, &path.field(name));
                }
                continue;
            }
            match node.child(name) {
                Some(child) => {
                    let child = arena.node(child);
                    if value.is_object() || value.is_array() {
                        self.value(child, value, &path.field(name), Level::of(child));
                    }
                }
                None => unknown |= !node.keeps_unknown(),
            }
        }
        if unknown {
            self.remove(map, path, |name| {
                node.child(name).is_some() || (level == Level::Resource && is_type_meta(name))
            });
        }
    }

    fn metadata(&mut self, owner: &NodeData, value: &mut Value, path: &Path<'_>) {
        let node = owner.property("metadata").map(|index| self.arena.node(index));
        // A custom resource's schema only restricts names, if it says anything about metadata.
        if let Some(node) = node.filter(|node| node.property("managedFields").is_some()) {
            return self.value(node, value, path, Level::Nested);
        }
        let Value::Object(map) = value else { return };
        let known = |name: &str| OBJECT_META.binary_search(&name).is_ok();
        if map.keys().any(|name| !known(name)) {
            self.remove(map, path, known);
        }
    }

    fn remove(
        &mut self,
        map: &mut Map<String, Value>,
        path: &Path<'_>,
        is_known: impl Fn(&str) -> bool,
    ) {
        map.retain(|name, _| {
            let keep = is_known(name);
            if !keep {
                self.removed.push(path.field(name).to_string());
            }
            keep
        });
    }
}

/// Whether apiVersion, kind and metadata are there by nature.
#[derive(Clone, Copy, PartialEq)]
enum Level {
    Resource,
    Nested,
}

impl Level {
    fn of(node: &NodeData) -> Self {
        if node.embedded_resource { Self::Resource } else { Self::Nested }
    }
}

fn is_type_meta(name: &str) -> bool {
    matches!(name, "apiVersion" | "kind" | "metadata")
}
