//! The store against a model that keeps every state it ever had.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::machinery::meta::{Meta, OwnerReference};

type State = BTreeMap<(String, String), String>;

fn resource(plural: &str) -> Arc<ResourceKey> {
    Arc::new(ResourceKey { group: "g".into(), plural: plural.into() })
}

fn draft(namespace: &str, name: &str, value: &str) -> Draft {
    let meta = Meta {
        namespace: namespace.into(),
        name: name.into(),
        uid: format!("{namespace}/{name}").into(),
        ..Meta::default()
    };
    Draft {
        prefix: r#"{"apiVersion":"g/v1","kind":"K","#.into(),
        metadata: format!(r#""name":"{name}""#).into_bytes(),
        body: format!(r#""value":"{value}""#).into_bytes(),
        meta,
        fields: Box::default(),
        definition: 0,
    }
}

fn query(resource: &ResourceKey, at: Option<u64>) -> RangeQuery<'_> {
    RangeQuery { resource, namespace: None, after: None, at, limit: 0 }
}

/// What a page says: values by key. Checks that revisions in bytes and beside them agree.
fn state_of(entries: &[Arc<Entry>]) -> State {
    entries.iter().map(|entry| read(entry)).collect()
}

fn read(entry: &Entry) -> ((String, String), String) {
    let json: serde_json::Value = serde_json::from_slice(&entry.raw).unwrap();
    assert_eq!(json["metadata"]["resourceVersion"], entry.revision.to_string());
    let key = (entry.meta.namespace.to_string(), entry.meta.name.to_string());
    (key, json["value"].as_str().unwrap().to_owned())
}

#[derive(Clone, Debug)]
enum Operation {
    Put(u8, u8, u8),
    Delete(u8, u8),
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let operation = prop_oneof![
        3 => (0..3_u8, 0..5_u8, any::<u8>()).prop_map(|(ns, name, v)| Operation::Put(ns, name, v)),
        1 => (0..3_u8, 0..5_u8).prop_map(|(ns, name)| Operation::Delete(ns, name)),
    ];
    proptest::collection::vec(operation, 0..120)
}

/// Does an operation and tells whether it was a write.
fn perform(store: &Store, resource: &Arc<ResourceKey>, operation: &Operation) -> bool {
    let (Operation::Put(ns, name, _) | Operation::Delete(ns, name)) = operation;
    let (ns, name) = (format!("ns{ns}"), format!("o{name}"));
    let current = store.get(resource, &ns, &name);
    match (operation, current) {
        (Operation::Put(_, _, value), None) => {
            store.create(resource, draft(&ns, &name, &value.to_string())).unwrap();
        }
        (Operation::Put(_, _, value), Some(entry)) => {
            let draft = draft(&ns, &name, &value.to_string());
            store.update(resource, entry.revision, draft).unwrap();
        }
        (Operation::Delete(..), Some(entry)) => {
            store.delete(resource, (&ns, &name), entry.revision).unwrap();
        }
        (Operation::Delete(..), None) => return false,
    }
    true
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_revision_reads_as_it_was(operations in operations()) {
        let store = Store::new(1 << 20);
        let (resource, other) = (resource("ks"), resource("others"));
        let mut history: BTreeMap<u64, State> = BTreeMap::new();
        history.insert(store.revision(), State::new());
        for operation in &operations {
            if perform(&store, &resource, operation) {
                let page = store.range(query(&resource, None), |_| true).unwrap();
                prop_assert_eq!(page.revision, store.revision());
                history.insert(page.revision, state_of(&page.entries));
            } else {
                // Writes to another resource move the revision and change nothing here.
                let name = store.revision().to_string();
                store.create(&other, draft("", &name, "x")).unwrap();
                let last = history.values().next_back().unwrap().clone();
                history.insert(store.revision(), last);
            }
        }
        for (revision, state) in &history {
            let page = store.range(query(&resource, Some(*revision)), |_| true).unwrap();
            prop_assert_eq!(&state_of(&page.entries), state, "at {}", revision);
            // Paging, in one namespace, gives the same.
            let mut paged = State::new();
            let mut after: Option<(String, String)> = None;
            loop {
                let page = store.range(
                    RangeQuery {
                        namespace: Some("ns1"),
                        after: after.as_ref().map(|(ns, name)| (ns.as_str(), name.as_str())),
                        limit: 2,
                        ..query(&resource, Some(*revision))
                    },
                    |_| true,
                ).unwrap();
                paged.extend(state_of(&page.entries));
                let Some(last) = page.entries.last() else { break };
                after = Some(read(last).0);
                if page.remaining == 0 { break }
            }
            let wanted: State =
                state.iter().filter(|(key, _)| key.0 == "ns1").map(|(k, v)| (k.clone(), v.clone())).collect();
            prop_assert_eq!(paged, wanted);
        }
    }

    #[test]
    fn replaying_the_log_gives_the_present(operations in operations(), limit in 1..4_usize) {
        let store = Store::new(1 << 20);
        let resource = resource("ks");
        for operation in &operations {
            perform(&store, &resource, operation);
        }
        let mut state = State::new();
        let mut position = 1;
        loop {
            let events = store.events_after(&resource, position, limit).unwrap();
            let Some(last) = events.last() else { break };
            prop_assert!(events[0].revision > position);
            position = last.revision;
            for event in &events {
                let (key, value) = read(&event.entry);
                prop_assert_eq!(event.previous.is_some(), state.contains_key(&key));
                match event.kind {
                    EventKind::Created | EventKind::Updated => state.insert(key, value),
                    EventKind::Deleted => state.remove(&key),
                };
            }
        }
        let page = store.range(query(&resource, None), |_| true).unwrap();
        prop_assert_eq!(state, state_of(&page.entries));
    }

    #[test]
    fn a_small_log_forgets_but_never_lies(operations in operations(), bytes in 300..3000_usize) {
        let store = Store::new(bytes);
        let resource = resource("ks");
        let mut history = BTreeMap::new();
        for operation in &operations {
            perform(&store, &resource, operation);
            let page = store.range(query(&resource, None), |_| true).unwrap();
            history.insert(page.revision, state_of(&page.entries));
        }
        for (revision, state) in &history {
            match store.range(query(&resource, Some(*revision)), |_| true) {
                Ok(page) => prop_assert_eq!(&state_of(&page.entries), state),
                Err(compacted) => {
                    prop_assert!(*revision < compacted.compacted);
                    prop_assert!(store.events_after(&resource, *revision, 1).is_err());
                }
            }
        }
    }
}

#[test]
fn writes_expect_the_revision_that_was_read() {
    let store = Store::new(1 << 20);
    let resource = resource("ks");
    let first = store.create(&resource, draft("a", "x", "1")).unwrap();
    assert_eq!(first.revision, 2, "a new store is at revision 1");
    assert!(matches!(
        store.create(&resource, draft("a", "x", "2")),
        Err(WriteError::Exists(entry)) if entry.revision == 2
    ));
    let second = store.update(&resource, 2, draft("a", "x", "2")).unwrap();
    assert!(matches!(
        store.update(&resource, 2, draft("a", "x", "3")),
        Err(WriteError::Conflict(entry)) if entry.revision == second.revision
    ));
    assert!(matches!(store.delete(&resource, ("a", "x"), 2), Err(WriteError::Conflict(_))));
    assert!(matches!(store.update(&resource, 2, draft("a", "y", "3")), Err(WriteError::NotFound)));
    assert_eq!(store.revision(), 3, "refused writes take no revision");
}

#[test]
fn a_deletion_carries_its_own_revision() {
    let store = Store::new(1 << 20);
    let resource = resource("ks");
    let mut revision = 0;
    // Nine writes: the deletion's revision has more digits than the object's.
    for value in 0..8 {
        let draft = draft("a", "x", &value.to_string());
        revision = match revision {
            0 => store.create(&resource, draft).unwrap().revision,
            expected => store.update(&resource, expected, draft).unwrap().revision,
        };
    }
    assert_eq!(revision, 9);
    let event = store.delete(&resource, ("a", "x"), 9).unwrap();
    assert_eq!((event.kind, event.revision), (EventKind::Deleted, 10));
    assert_eq!(read(&event.entry), (("a".into(), "x".into()), "7".into()));
    assert_eq!(event.entry.metadata(), br#""metadata":{"resourceVersion":"10","name":"x"}"#);
    assert!(draft("a", "x", "7").equals(&event.entry));
    assert!(!draft("a", "x", "8").equals(&event.entry));
}

#[test]
fn dependents_follow_owner_references() {
    let store = Store::new(1 << 20);
    let resource = resource("ks");
    let owned = |owners: &[&str]| {
        let mut draft = draft("a", "child", "1");
        let owner = |uid: &&str| OwnerReference { uid: (*uid).into(), ..OwnerReference::default() };
        draft.meta.owner_references = owners.iter().map(owner).collect();
        draft
    };
    let names = |uid: &str| -> Vec<String> {
        store.dependents(uid).into_iter().map(|object| object.name).collect()
    };
    store.create(&resource, draft("a", "parent", "1")).unwrap();
    assert!(store.exists_uid("a/parent") && !store.exists_uid("a/child"));
    let event = store.create(&resource, owned(&["a/parent", "other"])).unwrap();
    assert_eq!((names("a/parent"), names("other")), (vec!["child".into()], vec!["child".into()]));
    let event = store.update(&resource, event.revision, owned(&["other"])).unwrap();
    assert_eq!((names("a/parent"), names("other")), (Vec::new(), vec!["child".to_owned()]));
    assert!(!store.has_dependents("a/parent"));
    store.delete(&resource, ("a", "child"), event.revision).unwrap();
    assert!(!store.has_dependents("other") && !store.exists_uid("a/child"));
}

#[test]
fn an_empty_store_is_small() {
    assert!(std::mem::size_of::<Shared>() < 512, "{}", std::mem::size_of::<Shared>());
}
