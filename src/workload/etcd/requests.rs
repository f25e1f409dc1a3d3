//! How requests for keys are judged and answered, given a [`Store`].
//! (etcd v3.6: server/etcdserver/api/v3rpc/key.go, server/etcdserver/txn/txn.go)

use std::cmp::Ordering;

use bytes::Bytes;

use super::errors::EtcdError;
use super::kv::{KeyRange, Store, Write};
use super::messages::{
    DeleteRangeRequest, DeleteRangeResponse, KeyValue, PutRequest, PutResponse, RangeRequest,
    RangeResponse, ResponseHeader, SortOrder, SortTarget,
};

/// Refuses a range that makes no sense.
pub(super) fn check_range(request: &RangeRequest) -> Result<(), EtcdError> {
    if request.key.is_empty() {
        return Err(EtcdError::EmptyKey);
    }
    if SortOrder::try_from(request.sort_order).is_err()
        || SortTarget::try_from(request.sort_target).is_err()
    {
        return Err(EtcdError::InvalidSortOption);
    }
    Ok(())
}

/// Refuses a put that makes no sense.
pub(super) fn check_put(request: &PutRequest) -> Result<(), EtcdError> {
    if request.key.is_empty() {
        return Err(EtcdError::EmptyKey);
    }
    if request.ignore_value && !request.value.is_empty() {
        return Err(EtcdError::ValueProvided);
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(EtcdError::LeaseProvided);
    }
    Ok(())
}

/// Refuses a deletion that makes no sense.
pub(super) fn check_delete(request: &DeleteRangeRequest) -> Result<(), EtcdError> {
    if request.key.is_empty() { Err(EtcdError::EmptyKey) } else { Ok(()) }
}

/// Refuses a put that the present keys do not allow.
pub(super) fn check_put_in(store: &Store, request: &PutRequest) -> Result<(), EtcdError> {
    if (request.ignore_value || request.ignore_lease)
        && store.count(KeyRange { key: &request.key, end: &[] }, 0)? == 0
    {
        return Err(EtcdError::KeyNotFound);
    }
    if request.lease != 0 { Err(EtcdError::LeaseNotFound) } else { Ok(()) }
}

/// Answers a checked range.
pub(super) fn range(store: &Store, request: &RangeRequest) -> Result<RangeResponse, EtcdError> {
    let keys = KeyRange { key: &request.key, end: &request.range_end };
    let header = Some(ResponseHeader { revision: store.revision(), ..ResponseHeader::default() });
    if request.count_only {
        let count = to_i64(store.count(keys, request.revision)?);
        return Ok(RangeResponse { header, count, ..RangeResponse::default() });
    }
    let limit = usize::try_from(request.limit).unwrap_or(0);
    let order = SortOrder::try_from(request.sort_order).unwrap_or(SortOrder::None);
    let target = SortTarget::try_from(request.sort_target).unwrap_or(SortTarget::Key);
    // What is sorted or filtered must be there in full.
    let is_plain = order == SortOrder::None
        && request.min_mod_revision == 0
        && request.max_mod_revision == 0
        && request.min_create_revision == 0
        && request.max_create_revision == 0;
    let fetched = if is_plain && limit > 0 { limit.saturating_add(1) } else { 0 };
    let found = store.range(keys, request.revision, fetched)?;
    let mut kvs = found.pairs;
    kvs.retain(|pair| is_between(request, pair));
    sort(&mut kvs, order, target);
    let more = limit > 0 && kvs.len() > limit;
    if more {
        kvs.truncate(limit);
    }
    if request.keys_only {
        for pair in &mut kvs {
            pair.value = Bytes::new();
        }
    }
    Ok(RangeResponse { header, kvs, more, count: to_i64(found.count) })
}

fn is_between(request: &RangeRequest, pair: &KeyValue) -> bool {
    let is_in =
        |value: i64, min: i64, max: i64| (min == 0 || value >= min) && (max == 0 || value <= max);
    is_in(pair.mod_revision, request.min_mod_revision, request.max_mod_revision)
        && is_in(pair.create_revision, request.min_create_revision, request.max_create_revision)
}

/// Sorts what is in order of keys. By anything but the key, "no order" means ascending.
fn sort(pairs: &mut [KeyValue], order: SortOrder, target: SortTarget) {
    let compare = |a: &KeyValue, b: &KeyValue| -> Ordering {
        match target {
            SortTarget::Key => a.key.cmp(&b.key),
            SortTarget::Version => a.version.cmp(&b.version),
            SortTarget::Create => a.create_revision.cmp(&b.create_revision),
            SortTarget::Mod => a.mod_revision.cmp(&b.mod_revision),
            SortTarget::Value => a.value.cmp(&b.value),
        }
    };
    match (order, target) {
        (SortOrder::None | SortOrder::Ascend, SortTarget::Key) => {}
        (SortOrder::None | SortOrder::Ascend, _) => pairs.sort_by(compare),
        (SortOrder::Descend, _) => pairs.sort_by(|a, b| compare(b, a)),
    }
}

/// Carries out a put that was checked.
pub(super) fn put(write: &mut Write<'_>, request: &PutRequest) -> Result<PutResponse, EtcdError> {
    let key = KeyRange { key: &request.key, end: &[] };
    let before = write.store().range(key, 0, 1)?.pairs.pop();
    match &before {
        Some(before) if request.ignore_value => {
            let value = before.value.clone();
            write.put(&request.key, &value);
        }
        _ => write.put(&request.key, &request.value),
    }
    let header = Some(ResponseHeader { revision: write.revision(), ..ResponseHeader::default() });
    Ok(PutResponse { header, prev_kv: before.filter(|_| request.prev_kv) })
}

/// Carries out a deletion that was checked.
pub(super) fn delete(
    write: &mut Write<'_>,
    request: &DeleteRangeRequest,
) -> Result<DeleteRangeResponse, EtcdError> {
    let keys = KeyRange { key: &request.key, end: &request.range_end };
    let prev_kvs =
        if request.prev_kv { write.store().range(keys, 0, 0)?.pairs } else { Vec::new() };
    let deleted = to_i64(write.delete(keys));
    let header = Some(ResponseHeader { revision: write.revision(), ..ResponseHeader::default() });
    Ok(DeleteRangeResponse { header, deleted, prev_kvs })
}

fn to_i64(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
