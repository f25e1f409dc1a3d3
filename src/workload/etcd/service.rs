//! The gRPC services of one member: `KV`, `Cluster` and `Maintenance` of `etcdserverpb`.
//! (etcd v3.6: server/etcdserver/api/v3rpc)

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use prost::Message;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

use super::cluster::EtcdCluster;
use super::errors::EtcdError;
use super::kv::{self, QUOTA_BYTES, Store};
use super::membership::{self, Etcd, alarm_name};
use super::messages::{
    AlarmAction, AlarmMember, AlarmRequest, AlarmResponse, AlarmType, CompactionRequest,
    CompactionResponse, DefragmentRequest, DefragmentResponse, DeleteRangeRequest,
    DeleteRangeResponse, DowngradeInfo, Member, MemberAddRequest, MemberAddResponse,
    MemberListRequest, MemberPromoteRequest, MemberRemoveRequest, MemberUpdateRequest,
    MembersResponse, MoveLeaderRequest, MoveLeaderResponse, PutRequest, PutResponse, RangeRequest,
    RangeResponse, ResponseHeader, StatusRequest, StatusResponse, TxnRequest, TxnResponse,
};
use super::{CLUSTER_VERSION, VERSION, requests, txn};
use crate::clock::Clock;

/// Bytes of a request that may go through raft. (etcd v3.6: embed.DefaultMaxRequestBytes)
const REQUEST_BYTES_MAX: usize = 3 * 512 * 1024;
/// Bytes of a message that is read at all: half a MiB more. (etcd v3.6: grpcOverheadBytes)
const RECEIVE_BYTES_MAX: usize = 4 * 512 * 1024;
/// What raft's envelope adds to a request: its header with the request's id.
const ENVELOPE_BYTES: usize = 16;
/// How long a call may take, the arrival of its body included, whatever its client allows.
const CALL_LIMIT: Duration = Duration::from_secs(60);

/// Metadata with which clients insist on a leader. (etcd v3.6: rpctypes.MetadataRequireLeaderKey)
const REQUIRE_LEADER: &str = "hasleader";

/// Methods of etcd that do not exist here.
const ABSENT: [(&str, &[&str]); 6] = [
    ("etcdserverpb.KV", &[]),
    ("etcdserverpb.Watch", &["Watch"]),
    (
        "etcdserverpb.Lease",
        &["LeaseGrant", "LeaseRevoke", "LeaseKeepAlive", "LeaseTimeToLive", "LeaseLeases"],
    ),
    ("etcdserverpb.Cluster", &[]),
    ("etcdserverpb.Maintenance", &["Hash", "HashKV", "Snapshot", "Downgrade"]),
    (
        "etcdserverpb.Auth",
        &[
            "AuthEnable",
            "AuthDisable",
            "AuthStatus",
            "Authenticate",
            "UserAdd",
            "UserGet",
            "UserList",
            "UserDelete",
            "UserChangePassword",
            "UserGrantRole",
            "UserRevokeRole",
            "RoleAdd",
            "RoleGet",
            "RoleList",
            "RoleDelete",
            "RoleGrantPermission",
            "RoleRevokePermission",
        ],
    ),
];

/// One member, as its clients see it.
#[derive(Clone)]
pub(super) struct Server {
    cluster: Arc<EtcdCluster>,
    id: u64,
}

/// Answers a gRPC request.
pub(super) async fn answer<B>(server: Server, request: Request<B>) -> Response<Body>
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    let limit = deadline(request.headers()).unwrap_or(CALL_LIMIT).min(CALL_LIMIT);
    let clock = server.clock().clone();
    match clock.timeout(limit, dispatch(server, request)).await {
        Ok(response) => in_words_of_grpc(response),
        Err(_) => Status::from(EtcdError::DeadlineExceeded).into_http(),
    }
}

async fn dispatch<B>(server: Server, request: Request<B>) -> Response<Body>
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    let path = request.uri().path().to_owned();
    match path.as_str() {
        "/etcdserverpb.KV/Range" => server.unary(request, Server::range).await,
        "/etcdserverpb.KV/Put" => server.unary(request, Server::put).await,
        "/etcdserverpb.KV/DeleteRange" => server.unary(request, Server::delete_range).await,
        "/etcdserverpb.KV/Txn" => server.unary(request, Server::txn).await,
        "/etcdserverpb.KV/Compact" => server.unary(request, Server::compact).await,
        "/etcdserverpb.Cluster/MemberAdd" => server.unary(request, Server::member_add).await,
        "/etcdserverpb.Cluster/MemberRemove" => server.unary(request, Server::member_remove).await,
        "/etcdserverpb.Cluster/MemberUpdate" => server.unary(request, Server::member_update).await,
        "/etcdserverpb.Cluster/MemberList" => server.unary(request, Server::member_list).await,
        "/etcdserverpb.Cluster/MemberPromote" => {
            server.unary(request, Server::member_promote).await
        }
        "/etcdserverpb.Maintenance/Alarm" => server.unary(request, Server::alarm).await,
        "/etcdserverpb.Maintenance/Status" => server.unary(request, Server::status).await,
        "/etcdserverpb.Maintenance/Defragment" => server.unary(request, Server::defragment).await,
        "/etcdserverpb.Maintenance/MoveLeader" => server.unary(request, Server::move_leader).await,
        absent => unimplemented(absent).into_http(),
    }
}

/// grpc's own words for methods that a server does not have. (grpc v1.71: server.go)
fn unimplemented(path: &str) -> Status {
    let Some((service, method)) = path.trim_start_matches('/').rsplit_once('/') else {
        return Status::unimplemented(format!("malformed method name: {path:?}"));
    };
    match ABSENT.iter().find(|(name, _)| *name == service) {
        Some((_, methods)) if methods.contains(&method) => {
            Status::unimplemented(format!("method {method} not implemented"))
        }
        Some(_) => Status::unimplemented(format!("unknown method {method} for service {service}")),
        None => Status::unimplemented(format!("unknown service {service}")),
    }
}

/// tonic and grpc word and number the refusal of a message that is too large differently.
fn in_words_of_grpc(response: Response<Body>) -> Response<Body> {
    const OURS: &str = "Error, decoded message length too large: found ";
    let Some(status) = Status::from_header_map(response.headers()) else { return response };
    let sizes = status.message().strip_prefix(OURS).and_then(|rest| {
        let (found, rest) = rest.split_once(" bytes, the limit is: ")?;
        Some((found.to_owned(), rest.strip_suffix(" bytes")?.to_owned()))
    });
    match sizes {
        Some((found, limit)) if status.code() == Code::OutOfRange => Status::resource_exhausted(
            format!("grpc: received message larger than max ({found} vs. {limit})"),
        )
        .into_http(),
        _ => response,
    }
}

/// The client's deadline. (gRPC over HTTP/2: at most eight digits and a unit)
fn deadline(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// What a learner may be asked: its state, and reads that need no agreement.
trait LearnerSupport {
    fn is_supported_by_learner(&self) -> bool {
        false
    }
}

impl LearnerSupport for StatusRequest {
    fn is_supported_by_learner(&self) -> bool {
        true
    }
}

impl LearnerSupport for RangeRequest {
    fn is_supported_by_learner(&self) -> bool {
        self.serializable
    }
}

impl LearnerSupport for PutRequest {}
impl LearnerSupport for DeleteRangeRequest {}
impl LearnerSupport for TxnRequest {}
impl LearnerSupport for CompactionRequest {}
impl LearnerSupport for MemberAddRequest {}
impl LearnerSupport for MemberRemoveRequest {}
impl LearnerSupport for MemberUpdateRequest {}
impl LearnerSupport for MemberListRequest {}
impl LearnerSupport for MemberPromoteRequest {}
impl LearnerSupport for AlarmRequest {}
impl LearnerSupport for DefragmentRequest {}
impl LearnerSupport for MoveLeaderRequest {}

impl Server {
    /// The member of an id.
    pub(super) fn new(cluster: Arc<EtcdCluster>, id: u64) -> Self {
        Self { cluster, id }
    }

    /// Its id.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// The clock that requests are measured by.
    pub(super) fn clock(&self) -> &Clock {
        self.cluster.clock()
    }

    /// The TLS configuration.
    ///
    /// # Errors
    /// A message when it cannot be made.
    pub(super) fn tls(&self) -> Result<Arc<rustls::ServerConfig>, String> {
        self.cluster.tls(self.id)
    }

    /// Ends when the member's process does.
    pub(super) async fn down(&self) {
        self.cluster.down(self.id).await;
    }

    /// Reads the cluster's state.
    pub(super) fn read<R>(&self, look: impl FnOnce(&Etcd) -> R) -> R {
        self.cluster.read(look)
    }

    async fn unary<B, Q, R, F>(
        self,
        request: Request<B>,
        call: impl Fn(Self, Q) -> F + Copy + Send + Sync + 'static,
    ) -> Response<Body>
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
        Q: Message + Default + LearnerSupport + 'static,
        R: Message + 'static,
        F: Future<Output = Result<R, EtcdError>> + Send,
    {
        let mut grpc =
            Grpc::new(ProstCodec::<R, Q>::default()).max_decoding_message_size(RECEIVE_BYTES_MAX);
        let service = tower::service_fn(move |request: tonic::Request<Q>| {
            let server = self.clone();
            async move {
                let requires_leader =
                    request.metadata().get(REQUIRE_LEADER).is_some_and(|value| value == "true");
                let message = request.into_inner();
                server.admit(message.is_supported_by_learner(), requires_leader)?;
                let answer = call(server, message).await?;
                Ok::<_, Status>(tonic::Response::new(answer))
            }
        });
        grpc.unary(service, request).await
    }

    /// (etcd v3.6: newUnaryInterceptor)
    fn admit(&self, is_for_learners: bool, requires_leader: bool) -> Result<(), EtcdError> {
        self.read(|etcd| {
            let member = etcd.member(self.id).filter(|_| etcd.is_up(self.id));
            let member = member.ok_or(EtcdError::Stopped)?;
            if member.is_learner && !is_for_learners {
                return Err(EtcdError::NotSupportedForLearner);
            }
            if requires_leader && etcd.leader() == 0 {
                return Err(EtcdError::NoLeader);
            }
            Ok(())
        })
    }

    fn header_of(&self, etcd: &Etcd) -> ResponseHeader {
        ResponseHeader {
            cluster_id: etcd.cluster_id(),
            member_id: self.id,
            revision: 0,
            raft_term: etcd.term(),
        }
    }

    /// Fills what a store's answer left open.
    fn fill(&self, etcd: &Etcd, header: &mut Option<ResponseHeader>) {
        let revision = header.as_ref().map_or(0, |header| header.revision);
        let revision = if revision == 0 { revision_of(etcd) } else { revision };
        *header = Some(ResponseHeader { revision, ..self.header_of(etcd) });
    }

    async fn range(self, request: RangeRequest) -> Result<RangeResponse, EtcdError> {
        requests::check_range(&request)?;
        if !request.serializable {
            self.cluster.agree_on_read(self.id).await?;
        }
        self.read(|etcd| {
            let mut response = match etcd.store() {
                Some(store) => requests::range(store, &request),
                None => requests::range(&Store::default(), &request),
            }?;
            self.fill(etcd, &mut response.header);
            Ok(response)
        })
    }

    async fn put(self, request: PutRequest) -> Result<PutResponse, EtcdError> {
        self.check_quota(kv::cost(&request.key, &request.value)).await?;
        requests::check_put(&request)?;
        self.propose(&request).await?;
        self.cluster.change(|etcd| {
            refuse_if_alarmed(etcd, Alarms::AnyOfWrites)?;
            requests::check_put_in(etcd.store_mut(), &request)?;
            etcd.commit();
            let mut response = requests::put(&mut etcd.store_mut().write(), &request)?;
            self.fill(etcd, &mut response.header);
            Ok(response)
        })
    }

    async fn delete_range(
        self,
        request: DeleteRangeRequest,
    ) -> Result<DeleteRangeResponse, EtcdError> {
        requests::check_delete(&request)?;
        self.propose(&request).await?;
        self.cluster.change(|etcd| {
            refuse_if_alarmed(etcd, Alarms::Corrupt)?;
            etcd.commit();
            let mut response = requests::delete(&mut etcd.store_mut().write(), &request)?;
            self.fill(etcd, &mut response.header);
            Ok(response)
        })
    }

    async fn txn(self, request: TxnRequest) -> Result<TxnResponse, EtcdError> {
        let cost = txn::cost(&request);
        if cost > 0 {
            self.check_quota(cost).await?;
        }
        txn::check(&request)?;
        let is_write = !txn::is_read_only(&request);
        if is_write {
            self.propose(&request).await?;
        } else if !txn::is_serializable(&request) {
            self.cluster.agree_on_read(self.id).await?;
        }
        self.cluster.change(|etcd| {
            if is_write {
                let alarms = if cost > 0 { Alarms::AnyOfWrites } else { Alarms::Corrupt };
                refuse_if_alarmed(etcd, alarms)?;
                etcd.commit();
            }
            let path = txn::judge(etcd.store_mut(), &request)?;
            let mut response = txn::execute(&mut etcd.store_mut().write(), &request, &path)?;
            self.fill(etcd, &mut response.header);
            Ok(response)
        })
    }

    async fn compact(self, request: CompactionRequest) -> Result<CompactionResponse, EtcdError> {
        self.propose(&request).await?;
        self.cluster.change(|etcd| {
            refuse_if_alarmed(etcd, Alarms::Corrupt)?;
            etcd.commit();
            etcd.store_mut().compact(request.revision)?;
            let mut header = None;
            self.fill(etcd, &mut header);
            Ok(CompactionResponse { header })
        })
    }

    /// Raises the alarm of a full database, as etcd does before it refuses.
    async fn check_quota(&self, cost: usize) -> Result<(), EtcdError> {
        let has_room = self.read(|etcd| etcd.store().is_none_or(|store| store.has_room(cost)));
        if has_room {
            return Ok(());
        }
        self.cluster.agree_on_write(self.id, EtcdError::NoSpace).await?;
        self.cluster.change(|etcd| etcd.raise(AlarmType::NoSpace, self.id))?;
        Err(EtcdError::NoSpace)
    }

    /// Waits for a leader that takes the request.
    async fn propose(&self, request: &impl Message) -> Result<(), EtcdError> {
        if request.encoded_len() + ENVELOPE_BYTES > REQUEST_BYTES_MAX {
            return Err(EtcdError::TooLarge);
        }
        self.cluster.agree_on_write(self.id, EtcdError::DeadlineExceeded).await
    }

    async fn member_add(self, request: MemberAddRequest) -> Result<MemberAddResponse, EtcdError> {
        // What is refused is refused at once; only a change needs the others.
        self.cluster.change(|etcd| {
            let id = etcd.add(&request.peer_urls, request.is_learner)?;
            let members = members(etcd);
            let member = members.iter().find(|member| member.id == id).cloned();
            Ok(MemberAddResponse { header: Some(self.header_of(etcd)), member, members })
        })
    }

    async fn member_remove(
        self,
        request: MemberRemoveRequest,
    ) -> Result<MembersResponse, EtcdError> {
        self.read(|etcd| etcd.may_remove(request.id, self.id))?;
        self.reconfigure(|etcd| etcd.remove(request.id)).await
    }

    async fn member_update(
        self,
        request: MemberUpdateRequest,
    ) -> Result<MembersResponse, EtcdError> {
        self.reconfigure(|etcd| etcd.update(request.id, &request.peer_urls)).await
    }

    async fn member_promote(
        self,
        request: MemberPromoteRequest,
    ) -> Result<MembersResponse, EtcdError> {
        // Only a leader knows how far a learner is.
        self.cluster.agree_on_write(self.id, EtcdError::NoLeader).await?;
        self.reconfigure(|etcd| etcd.promote(request.id)).await
    }

    async fn reconfigure(
        &self,
        act: impl FnOnce(&mut Etcd) -> Result<(), EtcdError>,
    ) -> Result<MembersResponse, EtcdError> {
        self.cluster.agree_on_write(self.id, EtcdError::DeadlineExceeded).await?;
        self.cluster.change(|etcd| {
            act(etcd)?;
            Ok(MembersResponse { header: Some(self.header_of(etcd)), members: members(etcd) })
        })
    }

    async fn member_list(self, request: MemberListRequest) -> Result<MembersResponse, EtcdError> {
        if request.linearizable {
            self.cluster.agree_on_read(self.id).await?;
        }
        Ok(self.read(|etcd| MembersResponse {
            header: Some(self.header_of(etcd)),
            members: members(etcd),
        }))
    }

    async fn alarm(self, request: AlarmRequest) -> Result<AlarmResponse, EtcdError> {
        self.propose(&request).await?;
        let action = AlarmAction::try_from(request.action);
        // Alarms that etcd does not know name nothing.
        let alarm = AlarmType::try_from(request.alarm).unwrap_or(AlarmType::None);
        self.cluster.change(|etcd| {
            let meant = AlarmMember { member_id: request.member_id, alarm: alarm.into() };
            let alarms = match action {
                Ok(AlarmAction::Get) => etcd
                    .alarms(alarm)
                    .map(|(alarm, member_id)| AlarmMember { member_id, alarm: alarm.into() })
                    .collect(),
                Ok(AlarmAction::Activate) if alarm != AlarmType::None => {
                    etcd.raise(alarm, request.member_id)?;
                    vec![meant]
                }
                Ok(AlarmAction::Deactivate) if etcd.disarm(alarm, request.member_id) => vec![meant],
                Ok(AlarmAction::Activate | AlarmAction::Deactivate) | Err(_) => Vec::new(),
            };
            let mut header = None;
            self.fill(etcd, &mut header);
            Ok(AlarmResponse { header, alarms })
        })
    }

    async fn status(self, _: StatusRequest) -> Result<StatusResponse, EtcdError> {
        Ok(self.read(|etcd| {
            let mut header = None;
            self.fill(etcd, &mut header);
            let empty = Store::default();
            let store = etcd.store().unwrap_or(&empty);
            let mut errors = Vec::new();
            if etcd.leader() == 0 {
                errors.push(EtcdError::NoLeader.to_string());
            }
            // As protobuf's text format has it, with the space at the end.
            errors.extend(
                etcd.alarms(AlarmType::None).map(|(alarm, member)| {
                    format!("memberID:{member} alarm:{} ", alarm_name(alarm))
                }),
            );
            StatusResponse {
                header,
                version: VERSION.to_owned(),
                db_size: to_i64(store.file_bytes()),
                leader: etcd.leader(),
                raft_index: etcd.index(),
                raft_term: etcd.term(),
                raft_applied_index: etcd.index(),
                errors,
                db_size_in_use: to_i64(store.used_bytes()),
                is_learner: etcd.member(self.id).is_some_and(|member| member.is_learner),
                storage_version: CLUSTER_VERSION.to_owned(),
                db_size_quota: to_i64(QUOTA_BYTES),
                downgrade_info: Some(DowngradeInfo::default()),
            }
        }))
    }

    async fn defragment(self, _: DefragmentRequest) -> Result<DefragmentResponse, EtcdError> {
        self.cluster.change(|etcd| {
            // A database that was never written to stays unmade.
            if etcd.store().is_some() {
                etcd.store_mut().defragment();
            }
        });
        Ok(DefragmentResponse::default())
    }

    async fn move_leader(
        self,
        request: MoveLeaderRequest,
    ) -> Result<MoveLeaderResponse, EtcdError> {
        let moved = self.cluster.change(|etcd| {
            if etcd.leader() != self.id {
                return Err(EtcdError::NotLeader);
            }
            etcd.move_leader(request.target_id)
        });
        if moved == Err(EtcdError::TimeoutLeaderTransfer) {
            self.cluster.exhaust_patience().await;
        }
        moved.map(|()| MoveLeaderResponse::default())
    }
}

/// Alarms that stand in the way of a change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alarms {
    /// Of what needs space: both.
    AnyOfWrites,
    /// Of what needs none.
    Corrupt,
}

/// (etcd v3.6: server/etcdserver/apply, applierV3Corrupt and applierV3Capped)
fn refuse_if_alarmed(etcd: &Etcd, alarms: Alarms) -> Result<(), EtcdError> {
    if etcd.is_alarmed(AlarmType::Corrupt) {
        return Err(EtcdError::Corrupt);
    }
    if alarms == Alarms::AnyOfWrites && etcd.is_alarmed(AlarmType::NoSpace) {
        return Err(EtcdError::NoSpace);
    }
    Ok(())
}

fn revision_of(etcd: &Etcd) -> i64 {
    etcd.store().map_or_else(|| Store::default().revision(), Store::revision)
}

/// All members, in order of ids as etcd lists them.
fn members(etcd: &Etcd) -> Vec<Member> {
    let mut members: Vec<Member> = etcd.members().iter().map(member).collect();
    members.sort_unstable_by_key(|member| member.id);
    members
}

fn member(member: &membership::Member) -> Member {
    Member {
        id: member.id,
        name: member.name.clone(),
        peer_urls: member.peer_urls.clone(),
        client_urls: member.client_urls.clone(),
        is_learner: member.is_learner,
    }
}

fn to_i64(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
