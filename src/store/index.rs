//! Who owns whom: uids of existing objects and the dependents that name them.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::{Entry, ObjectRef, ResourceKey};

/// A uid as a number: a UUID's 128 bits, or a hash of any other text.
type Uid = u128;

/// Objects by uid, and dependents by their owners' uids. Kept up to date by commits.
#[derive(Debug, Default)]
pub(super) struct OwnerIndex {
    objects: HashMap<Uid, (Arc<ResourceKey>, Arc<Entry>)>,
    dependents: HashMap<Uid, SmallVec<[Uid; 2]>>,
}

impl OwnerIndex {
    /// Applies a write.
    pub(super) fn replace(
        &mut self,
        resource: &Arc<ResourceKey>,
        previous: Option<&Entry>,
        entry: Option<&Arc<Entry>>,
    ) {
        let before = previous.map(|entry| &entry.meta.owner_references[..]).unwrap_or_default();
        let after = entry.map(|entry| &entry.meta.owner_references[..]).unwrap_or_default();
        if before != after {
            if let Some(previous) = previous {
                let dependent = number(&previous.meta.uid);
                for owner in before {
                    self.remove(number(&owner.uid), dependent);
                }
            }
            if let Some(entry) = entry {
                let dependent = number(&entry.meta.uid);
                for owner in after {
                    let dependents = self.dependents.entry(number(&owner.uid)).or_default();
                    if !dependents.contains(&dependent) {
                        dependents.push(dependent);
                    }
                }
            }
        }
        match (entry, previous) {
            (Some(entry), _) => {
                self.objects.insert(number(&entry.meta.uid), (resource.clone(), entry.clone()));
            }
            (None, Some(previous)) => {
                self.objects.remove(&number(&previous.meta.uid));
            }
            (None, None) => {}
        }
    }

    fn remove(&mut self, owner: Uid, dependent: Uid) {
        let Some(dependents) = self.dependents.get_mut(&owner) else { return };
        dependents.retain(|known| *known != dependent);
        if dependents.is_empty() {
            self.dependents.remove(&owner);
        }
    }

    pub(super) fn has_dependents(&self, uid: &str) -> bool {
        self.dependents.contains_key(&number(uid))
    }

    pub(super) fn dependents(&self, uid: &str) -> Vec<ObjectRef> {
        let Some(dependents) = self.dependents.get(&number(uid)) else { return Vec::new() };
        let mut objects: Vec<_> = dependents.iter().filter_map(|uid| self.locate(*uid)).collect();
        objects.sort();
        objects
    }

    pub(super) fn object(&self, uid: &str) -> Option<ObjectRef> {
        self.locate(number(uid))
    }

    fn locate(&self, uid: Uid) -> Option<ObjectRef> {
        let (resource, entry) = self.objects.get(&uid)?;
        Some(ObjectRef {
            resource: resource.clone(),
            namespace: entry.meta.namespace.to_string(),
            name: entry.meta.name.to_string(),
        })
    }
}

/// Reads a UUID; other texts, which users may put into owner references, are hashed (FNV-1a).
fn number(uid: &str) -> Uid {
    let mut value: u128 = 0;
    let mut digits = 0;
    for byte in uid.bytes() {
        let Some(digit) = (byte as char).to_digit(16) else {
            if byte == b'-' {
                continue;
            }
            digits = 0;
            break;
        };
        value = (value << 4) | u128::from(digit);
        digits += 1;
    }
    if digits == 32 && uid.len() == 36 {
        return value;
    }
    uid.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    })
}
