//! The objects of an informer and its indexes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{name_of, namespace_of};

/// Objects by namespace and name, and by the values of the indexes. Everything shares one `Arc`.
pub(super) struct Copy<K> {
    namespaces: BTreeMap<Box<str>, BTreeMap<Box<str>, Arc<K>>>,
    len: usize,
    /// Few, so searched in line.
    indexes: Vec<Index<K>>,
}

struct Index<K> {
    name: &'static str,
    extract: fn(&K) -> Vec<String>,
    /// Objects under a value, ordered by namespace and name; never empty.
    values: HashMap<Box<str>, Vec<Arc<K>>>,
}

impl<K: kube::Resource> Copy<K> {
    pub(super) fn add_index(&mut self, name: &'static str, extract: fn(&K) -> Vec<String>) {
        if self.indexes.iter().any(|index| index.name == name) {
            return;
        }
        let mut index = Index { name, extract, values: HashMap::new() };
        for object in self.iter() {
            index.insert((index.extract)(object), object);
        }
        self.indexes.push(index);
    }

    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<&Arc<K>> {
        self.namespaces.get(namespace)?.get(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<K>> {
        self.namespaces.values().flat_map(BTreeMap::values)
    }

    pub(super) fn by_index(&self, index: &str, value: &str) -> &[Arc<K>] {
        self.indexes
            .iter()
            .find(|candidate| candidate.name == index)
            .and_then(|index| index.values.get(value))
            .map_or(&[], Vec::as_slice)
    }

    /// Stores an object and returns the one it replaces.
    pub(super) fn insert(&mut self, object: Arc<K>) -> Option<Arc<K>> {
        let meta = object.meta();
        let old = match self.namespaces.get_mut(namespace_of(meta)) {
            Some(names) => names.insert(name_of(meta).into(), object.clone()),
            None => {
                let names = BTreeMap::from([(name_of(meta).into(), object.clone())]);
                self.namespaces.insert(namespace_of(meta).into(), names);
                None
            }
        };
        self.len += usize::from(old.is_none());
        for index in &mut self.indexes {
            let values = (index.extract)(&object);
            if let Some(old) = &old {
                let stale = (index.extract)(old);
                index.remove(stale.iter().filter(|value| !values.contains(value)), old);
            }
            index.insert(values, &object);
        }
        old
    }

    pub(super) fn remove(&mut self, namespace: &str, name: &str) -> Option<Arc<K>> {
        let names = self.namespaces.get_mut(namespace)?;
        let old = names.remove(name)?;
        if names.is_empty() {
            self.namespaces.remove(namespace);
        }
        self.len -= 1;
        for index in &mut self.indexes {
            index.remove((index.extract)(&old).iter(), &old);
        }
        Some(old)
    }
}

impl<K> Copy<K> {
    pub(super) fn new() -> Self {
        Self { namespaces: BTreeMap::new(), len: 0, indexes: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}

impl<K: kube::Resource> Index<K> {
    /// Puts an object under each value, in place of an older state of it.
    fn insert(&mut self, values: Vec<String>, object: &Arc<K>) {
        for value in values {
            let objects = self.values.entry(value.into()).or_default();
            match position(objects, object) {
                Ok(found) => objects[found] = object.clone(),
                Err(free) => objects.insert(free, object.clone()),
            }
        }
    }

    fn remove<'a>(&mut self, values: impl Iterator<Item = &'a String>, object: &K) {
        for value in values {
            let Some(objects) = self.values.get_mut(value.as_str()) else { continue };
            if let Ok(found) = position(objects, object) {
                objects.remove(found);
            }
            if objects.is_empty() {
                self.values.remove(value.as_str());
            }
        }
    }
}

/// Where an object of this namespace and name is, or belongs.
fn position<K: kube::Resource>(objects: &[Arc<K>], object: &K) -> Result<usize, usize> {
    let meta = object.meta();
    let key = (namespace_of(meta), name_of(meta));
    objects.binary_search_by(|other| {
        let meta = other.meta();
        (namespace_of(meta), name_of(meta)).cmp(&key)
    })
}
