//! Transactions: comparisons, then one of two lists of operations, all at one revision.
//! (etcd v3.6: server/etcdserver/api/v3rpc/key.go, server/etcdserver/txn/txn.go)

use std::cmp::Ordering;
use std::collections::BTreeSet;

use bytes::Bytes;

use super::errors::EtcdError;
use super::kv::{self, KeyRange, Store, Write};
use super::messages::{
    Compare, CompareResult, CompareTarget, CompareWith, KeyValue, RequestKind, RequestOp,
    ResponseHeader, ResponseKind, ResponseOp, TxnRequest, TxnResponse,
};
use super::requests;

/// Operations of a transaction, and of those inside it less its own. (etcd v3.6:
/// embed.DefaultMaxTxnOps)
const OPS_MAX: usize = 128;
/// Comparisons and operations of a transaction with all that are inside it. etcd has no such
/// limit, but an index of intervals that makes it do without.
const TOTAL_MAX: usize = 1024;

/// Refuses a transaction that makes no sense.
pub(super) fn check(request: &TxnRequest) -> Result<(), EtcdError> {
    check_ops(request, OPS_MAX)?;
    if total(request) > TOTAL_MAX {
        return Err(EtcdError::TooManyOps);
    }
    check_overlaps(&request.success)?;
    check_overlaps(&request.failure)?;
    Ok(())
}

fn check_ops(request: &TxnRequest, ops_max: usize) -> Result<(), EtcdError> {
    let ops = request.compare.len().max(request.success.len()).max(request.failure.len());
    let left = ops_max.checked_sub(ops).ok_or(EtcdError::TooManyOps)?;
    if request.compare.iter().any(|compare| compare.key.is_empty()) {
        return Err(EtcdError::EmptyKey);
    }
    for op in request.success.iter().chain(&request.failure) {
        match &op.request {
            Some(RequestKind::Range(range)) => requests::check_range(range)?,
            Some(RequestKind::Put(put)) => requests::check_put(put)?,
            Some(RequestKind::DeleteRange(delete)) => requests::check_delete(delete)?,
            Some(RequestKind::Txn(txn)) => check_ops(txn, left)?,
            None => return Err(EtcdError::KeyNotFound),
        }
    }
    Ok(())
}

fn total(request: &TxnRequest) -> usize {
    let inner = |op: &RequestOp| match &op.request {
        Some(RequestKind::Txn(txn)) => 1 + total(txn),
        _ => 1,
    };
    let ops = request.success.iter().chain(&request.failure).map(inner);
    request.compare.len() + ops.sum::<usize>()
}

/// What a list of operations puts and deletes.
#[derive(Default)]
struct Touched<'a> {
    puts: BTreeSet<&'a Bytes>,
    deletes: Vec<KeyRange<'a>>,
}

impl Touched<'_> {
    fn deletes(&self, key: &Bytes) -> bool {
        self.deletes.iter().any(|range| range.contains(key))
    }
}

/// No key is put twice, or put and deleted; then and else of one transaction exclude each other.
fn check_overlaps(ops: &[RequestOp]) -> Result<Touched<'_>, EtcdError> {
    let mut touched = Touched::default();
    for op in ops {
        if let Some(RequestKind::DeleteRange(delete)) = &op.request {
            touched.deletes.push(KeyRange { key: &delete.key, end: &delete.range_end });
        }
    }
    for op in ops {
        let Some(RequestKind::Txn(txn)) = &op.request else { continue };
        let (then, otherwise) = (check_overlaps(&txn.success)?, check_overlaps(&txn.failure)?);
        for key in &then.puts {
            if touched.puts.contains(key) || touched.deletes(key) {
                return Err(EtcdError::DuplicateKey);
            }
        }
        for key in &otherwise.puts {
            if touched.puts.contains(key) || touched.deletes(key) {
                return Err(EtcdError::DuplicateKey);
            }
        }
        touched.puts.extend(then.puts);
        touched.puts.extend(otherwise.puts);
        touched.deletes.extend(then.deletes);
        touched.deletes.extend(otherwise.deletes);
    }
    for op in ops {
        let Some(RequestKind::Put(put)) = &op.request else { continue };
        if touched.deletes(&put.key) || !touched.puts.insert(&put.key) {
            return Err(EtcdError::DuplicateKey);
        }
    }
    Ok(touched)
}

/// Whether a transaction only reads.
pub(super) fn is_read_only(request: &TxnRequest) -> bool {
    let mut ops = request.success.iter().chain(&request.failure);
    ops.all(|op| matches!(op.request, Some(RequestKind::Range(_))))
}

/// Whether a member may answer a transaction without the others.
pub(super) fn is_serializable(request: &TxnRequest) -> bool {
    let mut ops = request.success.iter().chain(&request.failure);
    ops.all(|op| matches!(&op.request, Some(RequestKind::Range(range)) if range.serializable))
}

/// Bytes that a transaction may add, whichever way it goes. (etcd v3.6: server/storage/quota.go)
pub(super) fn cost(request: &TxnRequest) -> usize {
    let of = |ops: &[RequestOp]| {
        let cost = |op: &RequestOp| match &op.request {
            Some(RequestKind::Put(put)) => kv::cost(&put.key, &put.value),
            Some(RequestKind::Txn(txn)) => cost(txn),
            _ => 0,
        };
        ops.iter().map(cost).sum::<usize>()
    };
    of(&request.success).max(of(&request.failure))
}

/// Which way a transaction and those inside it go, judged before anything is written.
pub(super) struct Path {
    succeeded: bool,
    /// Of the transactions among the operations that are done, in order.
    inner: Vec<Path>,
}

impl Path {
    /// The operations that are done.
    fn ops<'a>(&self, request: &'a TxnRequest) -> &'a [RequestOp] {
        if self.succeeded { &request.success } else { &request.failure }
    }
}

/// Judges the comparisons, and whether what follows can be done.
pub(super) fn judge(store: &Store, request: &TxnRequest) -> Result<Path, EtcdError> {
    let succeeded = request.compare.iter().all(|compare| holds(store, compare));
    let mut path = Path { succeeded, inner: Vec::new() };
    for op in path.ops(request) {
        match &op.request {
            Some(RequestKind::Range(range)) => drop(store.readable(range.revision)?),
            Some(RequestKind::Put(put)) => requests::check_put_in(store, put)?,
            Some(RequestKind::Txn(txn)) => path.inner.push(judge(store, txn)?),
            Some(RequestKind::DeleteRange(_)) | None => {}
        }
    }
    Ok(path)
}

/// Carries out what was judged.
pub(super) fn execute(
    write: &mut Write<'_>,
    request: &TxnRequest,
    path: &Path,
) -> Result<TxnResponse, EtcdError> {
    let mut inner = path.inner.iter();
    let mut responses = Vec::new();
    for op in path.ops(request) {
        let response = match (&op.request, inner.as_slice().first()) {
            (Some(RequestKind::Range(range)), _) => {
                Some(ResponseKind::Range(requests::range(write.store(), range)?))
            }
            (Some(RequestKind::Put(put)), _) => Some(ResponseKind::Put(requests::put(write, put)?)),
            (Some(RequestKind::DeleteRange(delete)), _) => {
                Some(ResponseKind::DeleteRange(requests::delete(write, delete)?))
            }
            (Some(RequestKind::Txn(txn)), Some(path)) => {
                inner.next();
                let response = execute(write, txn, path)?;
                // Only the outermost answer tells where it comes from.
                let header = Some(ResponseHeader::default());
                Some(ResponseKind::Txn(TxnResponse { header, ..response }))
            }
            (Some(RequestKind::Txn(_)) | None, _) => None,
        };
        responses.push(ResponseOp { response });
    }
    let header = Some(ResponseHeader { revision: write.revision(), ..ResponseHeader::default() });
    Ok(TxnResponse { header, succeeded: path.succeeded, responses })
}

fn holds(store: &Store, compare: &Compare) -> bool {
    let range = KeyRange { key: &compare.key, end: &compare.range_end };
    let Ok(found) = store.range(range, 0, 0) else { return false };
    if found.pairs.is_empty() {
        // A value that is not there is not even the empty one.
        return compare.target() != CompareTarget::Value
            && holds_for(compare, &KeyValue::default());
    }
    found.pairs.iter().all(|pair| holds_for(compare, pair))
}

fn holds_for(compare: &Compare, pair: &KeyValue) -> bool {
    let number = |present: i64, given: Option<i64>| present.cmp(&given.unwrap_or(0));
    let order = match (compare.target(), &compare.with) {
        (CompareTarget::Value, with) => {
            let given: &[u8] = match with {
                Some(CompareWith::Value(value)) => value,
                _ => &[],
            };
            pair.value[..].cmp(given)
        }
        (CompareTarget::Create, Some(CompareWith::CreateRevision(given))) => {
            number(pair.create_revision, Some(*given))
        }
        (CompareTarget::Create, _) => number(pair.create_revision, None),
        (CompareTarget::Mod, Some(CompareWith::ModRevision(given))) => {
            number(pair.mod_revision, Some(*given))
        }
        (CompareTarget::Mod, _) => number(pair.mod_revision, None),
        (CompareTarget::Version, Some(CompareWith::Version(given))) => {
            number(pair.version, Some(*given))
        }
        (CompareTarget::Version, _) => number(pair.version, None),
        (CompareTarget::Lease, Some(CompareWith::Lease(given))) => number(pair.lease, Some(*given)),
        (CompareTarget::Lease, _) => number(pair.lease, None),
    };
    match compare.result() {
        CompareResult::Equal => order == Ordering::Equal,
        CompareResult::NotEqual => order != Ordering::Equal,
        CompareResult::Greater => order == Ordering::Greater,
        CompareResult::Less => order == Ordering::Less,
    }
}
