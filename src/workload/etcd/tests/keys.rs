//! Keys and values, as clients see them.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;
use crate::workload::etcd::kv::{KeyRange, QUOTA_BYTES, Store};

fn keys(response: &RangeResponse) -> Vec<&str> {
    response.kvs.iter().map(|pair| std::str::from_utf8(&pair.key).expect("text")).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_put_can_be_read_by_every_member_and_deleted() {
    let fixture = three();
    let (mut writer, mut reader) = (fixture.client("a").await, fixture.client("c").await);
    let first = writer.put("k", "one").await.expect("written");
    let header = first.header.expect("a header");
    assert_eq!((header.revision, header.member_id), (2, fixture.id("a")));
    assert_eq!(first.prev_kv, None);
    writer.put("k", "two").await.expect("written");

    let read = reader.range(one("k")).await.expect("read");
    assert_eq!(read.count, 1);
    let pair = &read.kvs[0];
    assert_eq!(&pair.value[..], b"two");
    assert_eq!((pair.create_revision, pair.mod_revision, pair.version), (2, 3, 2));
    let past = reader.range(RangeRequest { revision: 2, ..one("k") }).await.expect("read");
    assert_eq!(&past.kvs[0].value[..], b"one");
    assert_eq!(past.header.expect("a header").revision, 3, "the header tells the present one");

    let kept =
        PutRequest { key: "k".into(), ignore_value: true, prev_kv: true, ..PutRequest::default() };
    let kept: PutResponse = writer.call("KV/Put", kept).await.expect("kept");
    assert_eq!(&kept.prev_kv.expect("the pair before").value[..], b"two");
    let delete =
        DeleteRangeRequest { key: "k".into(), prev_kv: true, ..DeleteRangeRequest::default() };
    let gone: DeleteRangeResponse =
        writer.call("KV/DeleteRange", delete.clone()).await.expect("gone");
    assert_eq!((gone.deleted, gone.prev_kvs.len()), (1, 1));
    assert_eq!(gone.prev_kvs[0].version, 3);
    assert_eq!(gone.header.expect("a header").revision, 5);
    let gone: DeleteRangeResponse = writer.call("KV/DeleteRange", delete).await.expect("nothing");
    assert_eq!((gone.deleted, gone.header.expect("a header").revision), (0, 5));
    assert_eq!(reader.range(one("k")).await.expect("read").count, 0);
}

#[tokio::test(start_paused = true)]
async fn ranges_are_limited_sorted_counted_and_filtered() {
    let fixture = three();
    let mut client = fixture.client("a").await;
    for (key, value) in [("a/2", "x"), ("a/1", "z"), ("a/3", "y"), ("b", "w")] {
        client.put(key, value).await.expect("written");
    }
    let all = client.range(prefix("a/", "a0")).await.expect("read");
    assert_eq!(keys(&all), ["a/1", "a/2", "a/3"]);
    let some = client.range(RangeRequest { limit: 2, ..prefix("a/", "a0") }).await.expect("read");
    assert_eq!(keys(&some), ["a/1", "a/2"]);
    assert!(some.more && some.count == 3);
    let descending = RangeRequest {
        sort_order: SortOrder::Descend.into(),
        sort_target: SortTarget::Value.into(),
        limit: 2,
        ..prefix("a/", "a0")
    };
    assert_eq!(keys(&client.range(descending).await.expect("read")), ["a/1", "a/3"]);
    let by_change = RangeRequest { sort_target: SortTarget::Mod.into(), ..prefix("a/", "a0") };
    assert_eq!(keys(&client.range(by_change).await.expect("read")), ["a/2", "a/1", "a/3"]);
    let young = RangeRequest { min_mod_revision: 4, ..prefix("a/", "a0") };
    let young = client.range(young).await.expect("read");
    assert_eq!((keys(&young), young.count), (vec!["a/3"], 3));
    let bare = RangeRequest { keys_only: true, ..prefix("a/3", "\0") };
    let bare = client.range(bare).await.expect("read");
    assert_eq!(keys(&bare), ["a/3", "b"]);
    assert!(bare.kvs.iter().all(|pair| pair.value.is_empty()));
    let counted = RangeRequest { count_only: true, ..prefix("\0", "\0") };
    let counted = client.range(counted).await.expect("read");
    assert_eq!((counted.count, counted.kvs.len()), (4, 0));
    let backwards = client.range(prefix("b", "a")).await.expect("read");
    assert_eq!(backwards.count, 0);
}

#[tokio::test(start_paused = true)]
async fn requests_that_make_no_sense_are_refused_in_etcds_words() {
    let fixture = three();
    let mut client = fixture.client("a").await;
    let invalid = |message| error(Code::InvalidArgument, message);
    let no_key = invalid("etcdserver: key is not provided");
    assert_eq!(client.refused("KV/Range", RangeRequest::default()).await, no_key);
    assert_eq!(client.refused("KV/Put", PutRequest::default()).await, no_key);
    assert_eq!(client.refused("KV/DeleteRange", DeleteRangeRequest::default()).await, no_key);
    let order = RangeRequest { sort_order: 9, ..one("k") };
    let no_order = invalid("etcdserver: invalid sort option");
    assert_eq!(client.refused("KV/Range", order).await, no_order);
    let put = PutRequest { key: "k".into(), value: "v".into(), ..PutRequest::default() };
    for (request, expected) in [
        (
            PutRequest { ignore_value: true, ..put.clone() },
            invalid("etcdserver: value is provided"),
        ),
        (
            PutRequest { ignore_lease: true, lease: 1, ..put.clone() },
            invalid("etcdserver: lease is provided"),
        ),
        (PutRequest { ignore_lease: true, ..put.clone() }, invalid("etcdserver: key not found")),
        (
            PutRequest { lease: 1, ..put.clone() },
            error(Code::NotFound, "etcdserver: requested lease not found"),
        ),
    ] {
        assert_eq!(client.refused("KV/Put", request).await, expected);
    }
    assert_eq!(
        client.refused("KV/Range", RangeRequest { revision: 9, ..one("k") }).await,
        error(Code::OutOfRange, "etcdserver: mvcc: required revision is a future revision")
    );
}

#[tokio::test(start_paused = true)]
async fn compaction_forgets_the_past_and_defragmentation_frees_space() {
    let fixture = three();
    let mut client = fixture.client("a").await;
    let value = "x".repeat(100_000).leak();
    for _ in 0..10 {
        client.put("k", value).await.expect("written");
    }
    let full = client.status().await;
    assert!(full.db_size > 1_000_000 && full.db_size == full.db_size_in_use);
    let compact = CompactionRequest { revision: 11, physical: true };
    let done: CompactionResponse = client.call("KV/Compact", compact.clone()).await.expect("done");
    assert_eq!(done.header.expect("a header").revision, 11);
    let compacted =
        error(Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted");
    assert_eq!(client.refused("KV/Compact", compact).await, compacted);
    let past = RangeRequest { revision: 5, ..one("k") };
    assert_eq!(client.refused("KV/Range", past).await, compacted);
    assert_eq!(client.range(one("k")).await.expect("read").kvs[0].version, 10);
    let compacted = client.status().await;
    assert_eq!(compacted.db_size, full.db_size, "the file keeps its size");
    assert!(compacted.db_size_in_use < 200_000);
    let _: DefragmentResponse =
        client.call("Maintenance/Defragment", DefragmentRequest {}).await.expect("done");
    assert_eq!(client.status().await.db_size, compacted.db_size_in_use);
}

#[tokio::test(start_paused = true)]
async fn a_full_database_raises_the_alarm() {
    let fixture = three();
    let mut client = fixture.client("a").await;
    let value = "x".repeat(1_500_000).leak();
    let mut puts = 0;
    let refused = loop {
        match client.put("k", value).await {
            Ok(_) => puts += 1,
            Err(status) => break status,
        }
    };
    assert_eq!(puts, QUOTA_BYTES / 1_500_000);
    assert_eq!(refused.message(), "etcdserver: mvcc: database space exceeded");
    let status = client.status().await;
    assert_eq!(status.errors, [format!("memberID:{} alarm:NOSPACE ", fixture.id("a"))]);
    assert!(status.db_size <= status.db_size_quota);
    assert!(client.put("k", "small").await.is_err(), "until it is disarmed");
}

fn op(request: RequestKind) -> RequestOp {
    RequestOp { request: Some(request) }
}

fn put_op(key: &'static str, value: &'static str) -> RequestOp {
    let put = PutRequest { key: key.into(), value: value.into(), ..PutRequest::default() };
    op(RequestKind::Put(put))
}

fn delete_op(key: &'static str) -> RequestOp {
    let delete = DeleteRangeRequest { key: key.into(), ..DeleteRangeRequest::default() };
    op(RequestKind::DeleteRange(delete))
}

#[tokio::test(start_paused = true)]
async fn a_transaction_goes_one_way_at_one_revision() {
    let fixture = three();
    let mut client = fixture.client("a").await;
    let is_absent = Compare {
        target: CompareTarget::Create.into(),
        key: "lock".into(),
        with: Some(CompareWith::CreateRevision(0)),
        ..Compare::default()
    };
    let inner = TxnRequest { success: vec![put_op("inner", "x")], ..TxnRequest::default() };
    let txn = TxnRequest {
        compare: vec![is_absent],
        success: vec![put_op("lock", "mine"), put_op("b", "v"), op(RequestKind::Txn(inner))],
        failure: vec![op(RequestKind::Range(one("lock"))), delete_op("b")],
    };
    let done: TxnResponse = client.call("KV/Txn", txn.clone()).await.expect("done");
    assert!(done.succeeded && done.responses.len() == 3);
    assert_eq!(done.header.expect("a header").revision, 2);
    let all = client.range(prefix("\0", "\0")).await.expect("read");
    assert_eq!(keys(&all), ["b", "inner", "lock"]);
    assert!(all.kvs.iter().all(|pair| pair.mod_revision == 2));

    let done: TxnResponse = client.call("KV/Txn", txn).await.expect("done");
    assert!(!done.succeeded);
    let Some(ResponseKind::Range(held)) = &done.responses[0].response else { panic!("a range") };
    assert_eq!(&held.kvs[0].value[..], b"mine");
    let Some(ResponseKind::DeleteRange(gone)) = &done.responses[1].response else { panic!() };
    assert_eq!(gone.deleted, 1);
}

#[tokio::test(start_paused = true)]
async fn transactions_that_contradict_themselves_are_refused() {
    let fixture = three();
    let mut client = fixture.client("a").await;
    let twice = error(Code::InvalidArgument, "etcdserver: duplicate key given in txn request");
    let nested = |then, otherwise| {
        op(RequestKind::Txn(TxnRequest { success: then, failure: otherwise, compare: Vec::new() }))
    };
    for (ops, is_refused) in [
        (vec![put_op("k", "1"), put_op("k", "2")], true),
        (vec![put_op("k", "1"), delete_op("k")], true),
        (vec![put_op("k", "1"), nested(vec![put_op("k", "2")], vec![])], true),
        (vec![nested(vec![delete_op("k")], vec![]), put_op("k", "1")], true),
        (vec![nested(vec![put_op("k", "1")], vec![put_op("k", "2")])], false),
        (vec![delete_op("k"), delete_op("k")], false),
    ] {
        let txn = TxnRequest { success: ops.clone(), ..TxnRequest::default() };
        if is_refused {
            assert_eq!(client.refused("KV/Txn", txn).await, twice, "{ops:?}");
        } else {
            client.call::<_, TxnResponse>("KV/Txn", txn).await.expect("done");
        }
    }
    let many = TxnRequest { success: vec![delete_op("k"); 129], ..TxnRequest::default() };
    assert_eq!(
        client.refused("KV/Txn", many).await,
        error(Code::InvalidArgument, "etcdserver: too many operations in txn request")
    );
    let empty = TxnRequest { success: vec![RequestOp::default()], ..TxnRequest::default() };
    assert_eq!(
        client.refused("KV/Txn", empty).await,
        error(Code::InvalidArgument, "etcdserver: key not found")
    );
}

/// A step of a random history.
#[derive(Clone, Debug)]
enum Step {
    Put(u8, u8),
    Delete(u8, u8),
    Compact(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6_u8, any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        2 => (0..6_u8, 0..7_u8).prop_map(|(from, to)| Step::Delete(from, to)),
        1 => (0..40_i64).prop_map(Step::Compact),
    ]
}

/// Every revision that was not compacted reads as a map kept for it would.
#[test]
fn the_store_reads_every_revision_as_a_model_does() {
    let config = ProptestConfig { cases: 256, failure_persistence: None, ..Default::default() };
    let mut runner = TestRunner::new(config);
    eprintln!("rng: {:?}", runner.rng());
    let histories = prop::collection::vec(step(), 1..60);
    let outcome = runner.run(&histories, |steps| {
        let mut store = Store::default();
        let mut model: Vec<BTreeMap<u8, u8>> = vec![BTreeMap::new(); 2];
        let mut compacted = 0;
        for step in steps {
            let mut next = model[model.len() - 1].clone();
            match step {
                Step::Put(key, value) => {
                    store.write().put(&[key], &[value]);
                    next.insert(key, value);
                    model.push(next);
                }
                Step::Delete(from, to) => {
                    let range = KeyRange { key: &[from], end: &[to] };
                    let deleted = store.write().delete(range);
                    next.retain(|key, _| !range.contains(&[*key]));
                    prop_assert_eq!(deleted, model[model.len() - 1].len() - next.len());
                    if deleted > 0 {
                        model.push(next);
                    }
                }
                Step::Compact(revision) => {
                    let is_due = revision > compacted && revision < model.len() as i64;
                    // A fresh store may be compacted at 0 once, which forgets nothing.
                    if revision > 0 {
                        prop_assert_eq!(store.compact(revision).is_ok(), is_due);
                    }
                    if is_due {
                        compacted = revision;
                    }
                }
            }
            prop_assert_eq!(store.revision(), model.len() as i64 - 1);
            for revision in 1..model.len() as i64 {
                let all = KeyRange { key: &[0], end: &[255] };
                let found = store.range(all, revision, 0);
                if revision < compacted {
                    prop_assert!(found.is_err());
                    continue;
                }
                let found = found.expect("readable");
                let pairs: Vec<(u8, u8)> =
                    found.pairs.iter().map(|pair| (pair.key[0], pair.value[0])).collect();
                let expected = &model[usize::try_from(revision).expect("small")];
                prop_assert_eq!(found.count, expected.len());
                prop_assert_eq!(pairs, expected.iter().map(|(k, v)| (*k, *v)).collect::<Vec<_>>());
            }
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
