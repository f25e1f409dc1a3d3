//! The messages of `etcdserverpb` that members understand, with the field numbers of etcd's own
//! definitions; fields that are newer than a client are skipped by it.
//! (etcd v3.6: api/etcdserverpb/rpc.proto, api/mvccpb/kv.proto)

use bytes::Bytes;

/// Which member answered, and from which state.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct ResponseHeader {
    /// Id of the cluster.
    #[prost(uint64, tag = "1")]
    pub(super) cluster_id: u64,
    /// Id of the member that answers.
    #[prost(uint64, tag = "2")]
    pub(super) member_id: u64,
    /// Revision of the store; 0 in answers about membership.
    #[prost(int64, tag = "3")]
    pub(super) revision: i64,
    /// Raft's term.
    #[prost(uint64, tag = "4")]
    pub(super) raft_term: u64,
}

/// A key with its value (`mvccpb.KeyValue`, kv.proto).
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct KeyValue {
    /// Key.
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) key: Bytes,
    /// Revision of its creation.
    #[prost(int64, tag = "2")]
    pub(super) create_revision: i64,
    /// Revision of its last change.
    #[prost(int64, tag = "3")]
    pub(super) mod_revision: i64,
    /// Changes since its creation.
    #[prost(int64, tag = "4")]
    pub(super) version: i64,
    /// Value.
    #[prost(bytes = "bytes", tag = "5")]
    pub(super) value: Bytes,
    /// Lease; always 0 here.
    #[prost(int64, tag = "6")]
    pub(super) lease: i64,
}

/// `KV.Range`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct RangeRequest {
    /// First key.
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) key: Bytes,
    /// Key after the last; empty for one key, `\0` for all that follow.
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) range_end: Bytes,
    /// Most keys in the answer; 0 for all.
    #[prost(int64, tag = "3")]
    pub(super) limit: i64,
    /// Revision to read at; 0 for the present one.
    #[prost(int64, tag = "4")]
    pub(super) revision: i64,
    /// Order.
    #[prost(enumeration = "SortOrder", tag = "5")]
    pub(super) sort_order: i32,
    /// What is ordered by.
    #[prost(enumeration = "SortTarget", tag = "6")]
    pub(super) sort_target: i32,
    /// Whether the member may answer without the others.
    #[prost(bool, tag = "7")]
    pub(super) serializable: bool,
    /// Leaves values out.
    #[prost(bool, tag = "8")]
    pub(super) keys_only: bool,
    /// Leaves everything but the count out.
    #[prost(bool, tag = "9")]
    pub(super) count_only: bool,
    /// Lower bound of `mod_revision`; 0 for none.
    #[prost(int64, tag = "10")]
    pub(super) min_mod_revision: i64,
    /// Upper bound of `mod_revision`; 0 for none.
    #[prost(int64, tag = "11")]
    pub(super) max_mod_revision: i64,
    /// Lower bound of `create_revision`; 0 for none.
    #[prost(int64, tag = "12")]
    pub(super) min_create_revision: i64,
    /// Upper bound of `create_revision`; 0 for none.
    #[prost(int64, tag = "13")]
    pub(super) max_create_revision: i64,
}

/// Answer of `KV.Range`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct RangeResponse {
    /// Header.
    #[prost(message, optional, tag = "1")]
    pub(super) header: Option<ResponseHeader>,
    /// What was found.
    #[prost(message, repeated, tag = "2")]
    pub(super) kvs: Vec<KeyValue>,
    /// Whether the limit left keys out.
    #[prost(bool, tag = "3")]
    pub(super) more: bool,
    /// Keys in the range, limit or not.
    #[prost(int64, tag = "4")]
    pub(super) count: i64,
}

/// `KV.Put`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct PutRequest {
    /// Key.
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) key: Bytes,
    /// Value.
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) value: Bytes,
    /// Lease; there are none here.
    #[prost(int64, tag = "3")]
    pub(super) lease: i64,
    /// Whether the answer shows what was there before.
    #[prost(bool, tag = "4")]
    pub(super) prev_kv: bool,
    /// Keeps the present value.
    #[prost(bool, tag = "5")]
    pub(super) ignore_value: bool,
    /// Keeps the present lease.
    #[prost(bool, tag = "6")]
    pub(super) ignore_lease: bool,
}

/// Answer of `KV.Put`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct PutResponse {
    /// Header.
    #[prost(message, optional, tag = "1")]
    pub(super) header: Option<ResponseHeader>,
    /// What was there before, if asked for.
    #[prost(message, optional, tag = "2")]
    pub(super) prev_kv: Option<KeyValue>,
}

/// `KV.DeleteRange`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct DeleteRangeRequest {
    /// First key.
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) key: Bytes,
    /// Key after the last, as in a range.
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) range_end: Bytes,
    /// Whether the answer shows what was there before.
    #[prost(bool, tag = "3")]
    pub(super) prev_kv: bool,
}

/// Answer of `KV.DeleteRange`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct DeleteRangeResponse {
    /// Header.
    #[prost(message, optional, tag = "1")]
    pub(super) header: Option<ResponseHeader>,
    /// Number of keys that went.
    #[prost(int64, tag = "2")]
    pub(super) deleted: i64,
    /// What they held, if asked for.
    #[prost(message, repeated, tag = "3")]
    pub(super) prev_kvs: Vec<KeyValue>,
}

/// `KV.Compact`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct CompactionRequest {
    /// Last revision that can no longer be read in full.
    #[prost(int64, tag = "1")]
    pub(super) revision: i64,
    /// Waits until space is free; it always is here.
    #[prost(bool, tag = "2")]
    pub(super) physical: bool,
}

/// Answer of `KV.Compact`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct CompactionResponse {
    /// Header.
    #[prost(message, optional, tag = "1")]
    pub(super) header: Option<ResponseHeader>,
}

/// A member of the cluster.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Member {
    /// Id (`ID`).
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    /// Name; empty until it has started.
    #[prost(string, tag = "2")]
    pub(super) name: String,
    /// Where other members reach it (`peerURLs`).
    #[prost(string, repeated, tag = "3")]
    pub(super) peer_urls: Vec<String>,
    /// Where clients reach it; none until it has started (`clientURLs`).
    #[prost(string, repeated, tag = "4")]
    pub(super) client_urls: Vec<String>,
    /// Whether it has no vote yet (`isLearner`).
    #[prost(bool, tag = "5")]
    pub(super) is_learner: bool,
}

/// `Cluster.MemberAdd`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct MemberAddRequest {
    /// Where it will be reached (`peerURLs`).
    #[prost(string, repeated, tag = "1")]
    pub(super) peer_urls: Vec<String>,
    /// Whether it starts without a vote (`isLearner`).
    #[prost(bool, tag = "2")]
    pub(super) is_learner: bool,
}

/// Answer of `Cluster.MemberAdd`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct MemberAddResponse {
    /// Header.
    #[prost(message, optional, tag = "1")]
    pub(super) header: Option<ResponseHeader>,
    /// The new member.
    #[prost(message, optional, tag = "2")]
    pub(super) member: Option<Member>,
    /// All members.
    #[prost(message, repeated, tag = "3")]
    pub(super) members: Vec<Member>,
}

/// `Cluster.MemberRemove`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct MemberRemoveRequest {
    /// Id (`ID`).
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
}

/// `Cluster.MemberUpdate`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct MemberUpdateRequest {
    /// Id (`ID`).
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    /// New URLs (`peerURLs`).
    #[prost(string, repeated, tag = "2")]
    pub(super) peer_urls: Vec<String>,
}

/// `Cluster.MemberPromote`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct MemberPromoteRequest {
    /// Id (`ID`).
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
}

/// `Cluster.MemberList`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct MemberListRequest {
    /// Whether the cluster must agree on the answer.
    #[prost(bool, tag = "1")]
    pub(super) linearizable: bool,
}

/// Answer of `Cluster.MemberRemove`, `MemberUpdate`, `MemberPromote` and `MemberList`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct MembersResponse {
    /// Header.
    #[prost(message, optional, tag = "1")]
    pub(super) header: Option<ResponseHeader>,
    /// All members.
    #[prost(message, repeated, tag = "2")]
    pub(super) members: Vec<Member>,
}

/// `Maintenance.Alarm`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct AlarmRequest {
    /// What to do.
    #[prost(enumeration = "AlarmAction", tag = "1")]
    pub(super) action: i32,
    /// Id of the member (`memberID`).
    #[prost(uint64, tag = "2")]
    pub(super) member_id: u64,
    /// Which alarm.
    #[prost(enumeration = "AlarmType", tag = "3")]
    pub(super) alarm: i32,
}

/// A raised alarm.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct AlarmMember {
    /// Id of the member (`memberID`).
    #[prost(uint64, tag = "1")]
    pub(super) member_id: u64,
    /// Which alarm.
    #[prost(enumeration = "AlarmType", tag = "2")]
    pub(super) alarm: i32,
}

/// Answer of `Maintenance.Alarm`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct AlarmResponse {
    /// Header.
    #[prost(message, optional, tag = "1")]
    pub(super) header: Option<ResponseHeader>,
    /// The alarms that are meant.
    #[prost(message, repeated, tag = "2")]
    pub(super) alarms: Vec<AlarmMember>,
}

/// `Maintenance.Status`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct StatusRequest {}

/// Answer of `Maintenance.Status`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct StatusResponse {
    /// Header.
    #[prost(message, optional, tag = "1")]
    pub(super) header: Option<ResponseHeader>,
    /// Version of the member.
    #[prost(string, tag = "2")]
    pub(super) version: String,
    /// Bytes of the database file (`dbSize`).
    #[prost(int64, tag = "3")]
    pub(super) db_size: i64,
    /// Id of the leader; 0 for none.
    #[prost(uint64, tag = "4")]
    pub(super) leader: u64,
    /// Raft's committed index (`raftIndex`).
    #[prost(uint64, tag = "5")]
    pub(super) raft_index: u64,
    /// Raft's term (`raftTerm`).
    #[prost(uint64, tag = "6")]
    pub(super) raft_term: u64,
    /// Raft's applied index (`raftAppliedIndex`).
    #[prost(uint64, tag = "7")]
    pub(super) raft_applied_index: u64,
    /// What is wrong: no leader, alarms.
    #[prost(string, repeated, tag = "8")]
    pub(super) errors: Vec<String>,
    /// Bytes of the database in use (`dbSizeInUse`).
    #[prost(int64, tag = "9")]
    pub(super) db_size_in_use: i64,
    /// Whether the member has no vote (`isLearner`).
    #[prost(bool, tag = "10")]
    pub(super) is_learner: bool,
    /// Version of the storage (`storageVersion`).
    #[prost(string, tag = "11")]
    pub(super) storage_version: String,
    /// Bytes the database may have (`dbSizeQuota`).
    #[prost(int64, tag = "12")]
    pub(super) db_size_quota: i64,
    /// Whether a downgrade is under way (`downgradeInfo`).
    #[prost(message, optional, tag = "13")]
    pub(super) downgrade_info: Option<DowngradeInfo>,
}

/// Whether a downgrade is under way.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct DowngradeInfo {
    /// Whether it is.
    #[prost(bool, tag = "1")]
    pub(super) enabled: bool,
    /// To which version (`targetVersion`).
    #[prost(string, tag = "2")]
    pub(super) target_version: String,
}

/// `Maintenance.Defragment`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct DefragmentRequest {}

/// Answer of `Maintenance.Defragment`; etcd leaves the header out.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct DefragmentResponse {
    /// Header.
    #[prost(message, optional, tag = "1")]
    pub(super) header: Option<ResponseHeader>,
}

/// `Maintenance.MoveLeader`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct MoveLeaderRequest {
    /// Id of the member that shall lead (`targetID`).
    #[prost(uint64, tag = "1")]
    pub(super) target_id: u64,
}

/// Answer of `Maintenance.MoveLeader`; etcd leaves the header out.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct MoveLeaderResponse {
    /// Header.
    #[prost(message, optional, tag = "1")]
    pub(super) header: Option<ResponseHeader>,
}

/// Order of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(super) enum SortOrder {
    None = 0,
    Ascend = 1,
    Descend = 2,
}

/// What a range is ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(super) enum SortTarget {
    Key = 0,
    Version = 1,
    Create = 2,
    Mod = 3,
    Value = 4,
}

/// An alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(super) enum AlarmType {
    None = 0,
    NoSpace = 1,
    Corrupt = 2,
}

/// What to do with alarms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(super) enum AlarmAction {
    Get = 0,
    Activate = 1,
    Deactivate = 2,
}

/// `KV.Txn`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct TxnRequest {
    /// What must hold.
    #[prost(message, repeated, tag = "1")]
    pub(super) compare: Vec<Compare>,
    /// What is done if all of it holds.
    #[prost(message, repeated, tag = "2")]
    pub(super) success: Vec<RequestOp>,
    /// What is done otherwise.
    #[prost(message, repeated, tag = "3")]
    pub(super) failure: Vec<RequestOp>,
}

/// Answer of `KV.Txn`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct TxnResponse {
    /// Header.
    #[prost(message, optional, tag = "1")]
    pub(super) header: Option<ResponseHeader>,
    /// Whether all comparisons held.
    #[prost(bool, tag = "2")]
    pub(super) succeeded: bool,
    /// Answers of what was done, in order.
    #[prost(message, repeated, tag = "3")]
    pub(super) responses: Vec<ResponseOp>,
}

/// An operation of a transaction.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct RequestOp {
    /// Which.
    #[prost(oneof = "RequestKind", tags = "1, 2, 3, 4")]
    pub(super) request: Option<RequestKind>,
}

/// Kinds of operations.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub(super) enum RequestKind {
    #[prost(message, tag = "1")]
    Range(RangeRequest),
    #[prost(message, tag = "2")]
    Put(PutRequest),
    #[prost(message, tag = "3")]
    DeleteRange(DeleteRangeRequest),
    #[prost(message, tag = "4")]
    Txn(TxnRequest),
}

/// Answer of an operation.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct ResponseOp {
    /// Which.
    #[prost(oneof = "ResponseKind", tags = "1, 2, 3, 4")]
    pub(super) response: Option<ResponseKind>,
}

/// Kinds of answers.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub(super) enum ResponseKind {
    #[prost(message, tag = "1")]
    Range(RangeResponse),
    #[prost(message, tag = "2")]
    Put(PutResponse),
    #[prost(message, tag = "3")]
    DeleteRange(DeleteRangeResponse),
    #[prost(message, tag = "4")]
    Txn(TxnResponse),
}

/// A comparison with every key of a range.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Compare {
    /// How.
    #[prost(enumeration = "CompareResult", tag = "1")]
    pub(super) result: i32,
    /// What.
    #[prost(enumeration = "CompareTarget", tag = "2")]
    pub(super) target: i32,
    /// First key.
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) key: Bytes,
    /// With what.
    #[prost(oneof = "CompareWith", tags = "4, 5, 6, 7, 8")]
    pub(super) with: Option<CompareWith>,
    /// Key after the last, as in a range.
    #[prost(bytes = "bytes", tag = "64")]
    pub(super) range_end: Bytes,
}

/// What keys are compared with.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub(super) enum CompareWith {
    #[prost(int64, tag = "4")]
    Version(i64),
    #[prost(int64, tag = "5")]
    CreateRevision(i64),
    #[prost(int64, tag = "6")]
    ModRevision(i64),
    #[prost(bytes = "bytes", tag = "7")]
    Value(Bytes),
    #[prost(int64, tag = "8")]
    Lease(i64),
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(super) enum CompareResult {
    Equal = 0,
    Greater = 1,
    Less = 2,
    NotEqual = 3,
}

/// What of a key is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(super) enum CompareTarget {
    Version = 0,
    Create = 1,
    Mod = 2,
    Value = 3,
    Lease = 4,
}
