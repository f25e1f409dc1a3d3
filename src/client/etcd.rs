//! What the members of a workload cluster's etcd say of themselves, asked as KubeadmControlPlane
//! asks them: over a forwarded port of each member's Pod, with a certificate that the cluster's
//! authority for etcd has signed. (CAPI v1.14: controlplane/kubeadm/pkg/{etcd,proxy}; etcd v3.6:
//! api/etcdserverpb/rpc.proto)
//!
//! Only questions: nothing here changes a cluster. TLS asks for localhost, which kubeadm names in
//! the certificate of every member and which is where a forwarded port ends.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Api;
use kube::api::Portforwarder;
use prost::Message;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::TlsConnector;

use super::{Client, ClientError, ObjectKey};
use crate::pki::{CertificateAuthority, KeyAlgorithm, LeafRequest, PkiError, Usage};

/// Where members listen for clients.
const PORT: u16 = 2379;
/// Name in every member's certificate.
const HOST: &str = "localhost";
const NAMESPACE: &str = "kube-system";
/// The Pods of kubeadm's etcd, `etcd-NODE`.
const SELECTOR: &str = "component=etcd,tier=control-plane";
const POD_PREFIX: &str = "etcd-";
/// Longest answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// How long the certificate of one reader is good.
const VALIDITY: Duration = Duration::from_secs(24 * 60 * 60);

/// An etcd as its members tell of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EtcdReport {
    /// By name.
    pub(crate) members: Vec<MemberReport>,
}

/// One member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemberReport {
    /// Name: the Node's.
    pub(crate) name: String,
    pub(crate) is_leader: bool,
    /// Not yet voting.
    pub(crate) is_learner: bool,
    /// etcd's version; empty if the member does not answer.
    pub(crate) version: String,
    /// Size of the database.
    pub(crate) db_bytes: i64,
    /// Raised alarms.
    pub(crate) alarms: Vec<&'static str>,
    /// Why it does not answer; none if it does.
    pub(crate) silent: Option<String>,
}

/// Why etcd or a member cannot be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EtcdError {
    /// An API server refused.
    #[error("{0}")]
    Client(#[from] ClientError),
    /// etcd is not Cluster API's own, or not there yet.
    #[error("Secret {0} with the authority of etcd is not there")]
    NoAuthority(ObjectKey),
    /// The authority cannot sign.
    #[error("failed to make a certificate for etcd: {0}")]
    Certificate(#[from] PkiError),
    /// No connection.
    #[error("{0}")]
    Connection(#[source] tower::BoxError),
    /// The member refused.
    #[error("{message}")]
    Refused {
        /// Message of gRPC.
        message: String,
    },
}

/// What one member has answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    status: StatusResponse,
    members: Vec<Member>,
    alarms: Vec<AlarmMember>,
}

/// Asks the members of one cluster's etcd.
pub(crate) struct EtcdReader {
    workload: Client,
    tls: Arc<ClientConfig>,
}

impl EtcdReader {
    /// A reader with a certificate of its own.
    ///
    /// # Errors
    /// When the authority's Secret is missing, may not be read or cannot sign.
    pub(crate) async fn new(
        management: &Client,
        workload: Client,
        cluster: &ObjectKey,
    ) -> Result<Self, EtcdError> {
        let key = ObjectKey::new(cluster.namespace.clone(), format!("{}-etcd", cluster.name));
        let secret: Option<Secret> = management.get(&key).await?;
        let data = secret.and_then(|secret| secret.data).unwrap_or_default();
        let text = |name: &str| {
            let bytes = data.get(name).map(|bytes| bytes.0.clone())?;
            String::from_utf8(bytes).ok()
        };
        let Some((certificate, private)) = text("tls.crt").zip(text("tls.key")) else {
            return Err(EtcdError::NoAuthority(key));
        };
        let authority = CertificateAuthority::from_pem(&certificate, &private)?;
        Ok(Self { workload, tls: tls(&authority)? })
    }

    /// Names of the members' Pods.
    ///
    /// # Errors
    /// [`EtcdError::Client`]
    pub(crate) async fn pods(&self) -> Result<Vec<String>, EtcdError> {
        let pods: Vec<Pod> = self.workload.list(NAMESPACE, SELECTOR).await?;
        let mut names: Vec<String> = pods.into_iter().filter_map(|pod| pod.metadata.name).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Asks one member for its state, and for what it knows of the others.
    ///
    /// # Errors
    /// Whatever keeps it from answering.
    pub(crate) async fn ask(&self, pod: &str) -> Result<Answer, EtcdError> {
        let pods: Api<Pod> = Api::namespaced(self.workload.kube().clone(), NAMESPACE);
        let forwarder = pods.portforward(pod, &[PORT]).await.map_err(ClientError::from)?;
        let mut forwarded = Forwarded(forwarder);
        let refused = forwarded.0.take_error(PORT);
        let refused = async {
            match refused {
                Some(refused) => refused.await,
                None => None,
            }
        };
        tokio::select! {
            answer = self.ask_over(&mut forwarded) => answer,
            // The end without a message is that of an orderly connection.
            Some(message) = refused => Err(EtcdError::Refused { message }),
        }
    }

    async fn ask_over(&self, forwarded: &mut Forwarded) -> Result<Answer, EtcdError> {
        let stream = forwarded.0.take_stream(PORT).ok_or_else(|| connection("no stream"))?;
        let host = ServerName::try_from(HOST).map_err(connection)?;
        let stream = TlsConnector::from(self.tls.clone()).connect(host, stream).await;
        let stream = TokioIo::new(stream.map_err(connection)?);
        let handshake = http2::handshake(TokioExecutor::new(), stream).await;
        let (sender, driver) = handshake.map_err(connection)?;
        let asked = async {
            let status = call(&sender, "Maintenance/Status", &Empty {});
            let members = call(&sender, "Cluster/MemberList", &Empty {});
            let alarms = call(&sender, "Maintenance/Alarm", &Empty {});
            let (status, members, alarms): (StatusResponse, MembersResponse, AlarmResponse) =
                futures::try_join!(status, members, alarms)?;
            Ok(Answer { status, members: members.members, alarms: alarms.alarms })
        };
        tokio::select! {
            answer = asked => answer,
            ended = driver => Err(match ended {
                Ok(()) => connection("the member has hung up"),
                Err(error) => connection(error),
            }),
        }
    }
}

/// A forwarded port, which ends with this.
struct Forwarded(Portforwarder);

impl Drop for Forwarded {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl EtcdReport {
    /// Puts together what the members behind these Pods have answered. The list of members is the
    /// leader's, or anybody's while there is none.
    pub(crate) fn of(answers: &[(String, Result<Answer, String>)]) -> Self {
        let answered = || answers.iter().filter_map(|(_, answer)| answer.as_ref().ok());
        // Who has been cut off still names the leader of an older term.
        let newest = answered().max_by_key(|answer| (answer.status.raft_term, answer.member_id()));
        let leader = newest.map_or(0, |answer| answer.status.leader);
        let Some(teller) = answered().find(|answer| answer.member_id() == leader).or(newest) else {
            return Self { members: answers.iter().filter_map(silent).collect() };
        };
        let mut members: Vec<MemberReport> = Vec::new();
        for member in &teller.members {
            let pod = answers.iter().find(|(pod, _)| node_of(pod) == member.name);
            let own = answered().find(|answer| answer.member_id() == member.id);
            let mut report = match (own, pod) {
                (Some(own), _) => own.report(),
                (None, Some(pod)) => silent(pod).unwrap_or_default(),
                (None, None) => {
                    MemberReport { silent: Some("has no Pod".to_owned()), ..Default::default() }
                }
            };
            report.name = match member.name.as_str() {
                "" => "not started".to_owned(),
                name => name.to_owned(),
            };
            report.is_leader = member.id == leader;
            report.is_learner = member.is_learner;
            let raised = teller.alarms.iter().filter(|alarm| alarm.member_id == member.id);
            report.alarms = raised.filter_map(|alarm| alarm_name(alarm.alarm)).collect();
            members.push(report);
        }
        members.sort_by(|a, b| a.name.cmp(&b.name));
        Self { members }
    }

    /// The leader, if there is one.
    pub(crate) fn leader(&self) -> Option<&MemberReport> {
        self.members.iter().find(|member| member.is_leader)
    }
}

impl Answer {
    fn member_id(&self) -> u64 {
        self.status.header.map_or(0, |header| header.member_id)
    }

    fn report(&self) -> MemberReport {
        MemberReport {
            version: self.status.version.clone(),
            db_bytes: self.status.db_size,
            ..MemberReport::default()
        }
    }
}

fn node_of(pod: &str) -> &str {
    pod.strip_prefix(POD_PREFIX).unwrap_or(pod)
}

fn silent((pod, answer): &(String, Result<Answer, String>)) -> Option<MemberReport> {
    let silent = Some(answer.as_ref().err()?.clone());
    Some(MemberReport { name: node_of(pod).to_owned(), silent, ..MemberReport::default() })
}

/// (etcd v3.6: api/etcdserverpb/rpc.proto, AlarmType)
fn alarm_name(alarm: i32) -> Option<&'static str> {
    match alarm {
        0 => None,
        1 => Some("NOSPACE"),
        2 => Some("CORRUPT"),
        _ => Some("unknown alarm"),
    }
}

fn connection(error: impl Into<tower::BoxError>) -> EtcdError {
    EtcdError::Connection(error.into())
}

/// TLS with a new certificate of an authority, which signs the members', too.
fn tls(authority: &CertificateAuthority) -> Result<Arc<ClientConfig>, EtcdError> {
    let request = LeafRequest {
        common_name: "cluster-api.x-k8s.io".to_owned(),
        organizations: Vec::new(),
        dns_names: Vec::new(),
        addresses: Vec::new(),
        usage: Usage::Client,
        validity: VALIDITY,
    };
    let leaf = authority.issue(&request, KeyAlgorithm::EcdsaP256)?;
    let mut roots = RootCertStore::empty();
    let mut chain = Vec::new();
    for root in CertificateDer::pem_slice_iter(authority.certificate_pem().as_bytes()) {
        roots.add(root.map_err(connection)?).map_err(connection)?;
    }
    for certificate in CertificateDer::pem_slice_iter(leaf.certificate_pem.as_bytes()) {
        chain.push(certificate.map_err(connection)?);
    }
    let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes()).map_err(connection)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(connection)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(connection)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// One unary call of gRPC.
async fn call<T: Message + Default>(
    sender: &SendRequest<Full<Bytes>>,
    method: &str,
    message: &impl Message,
) -> Result<T, EtcdError> {
    let mut body = BytesMut::new();
    body.put_u8(0);
    body.put_u32(u32::try_from(message.encoded_len()).map_err(connection)?);
    message.encode(&mut body).map_err(connection)?;
    let request = Request::post(format!("https://{HOST}:{PORT}/etcdserverpb.{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(body.freeze()))
        .map_err(connection)?;
    let response = sender.clone().send_request(request).await.map_err(connection)?;
    T::decode(payload(response).await?).map_err(connection)
}

/// The message of an answer whose status is OK.
async fn payload(response: Response<Incoming>) -> Result<Bytes, EtcdError> {
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(connection)?;
    // An answer without a body has its status in the headers.
    let status = body.trailers().cloned().unwrap_or(parts.headers);
    let text = |name| status.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if text("grpc-status") != "0" {
        let code = text("grpc-status");
        let message = match text("grpc-message") {
            "" => format!("gRPC status {code:?}, HTTP status {}", parts.status),
            message => message.to_owned(),
        };
        return Err(EtcdError::Refused { message });
    }
    let mut bytes = body.to_bytes();
    if bytes.len() < 5 || bytes[0] != 0 {
        return Err(connection("an answer that is no message of gRPC"));
    }
    Ok(bytes.split_off(5))
}

/// Any question that has no parameters worth setting: their defaults mean all members, all alarms,
/// and an answer without asking the others.
#[derive(Clone, Copy, PartialEq, Message)]
struct Empty {}

#[derive(Clone, Copy, PartialEq, Message)]
struct Header {
    #[prost(uint64, tag = "2")]
    member_id: u64,
}

#[derive(Clone, PartialEq, Message)]
struct StatusResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<Header>,
    #[prost(string, tag = "2")]
    version: String,
    #[prost(int64, tag = "3")]
    db_size: i64,
    #[prost(uint64, tag = "4")]
    leader: u64,
    #[prost(uint64, tag = "6")]
    raft_term: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Member {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(bool, tag = "5")]
    is_learner: bool,
}

#[derive(Clone, PartialEq, Message)]
struct MembersResponse {
    #[prost(message, repeated, tag = "2")]
    members: Vec<Member>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct AlarmMember {
    #[prost(uint64, tag = "1")]
    member_id: u64,
    #[prost(int32, tag = "2")]
    alarm: i32,
}

#[derive(Clone, PartialEq, Message)]
struct AlarmResponse {
    #[prost(message, repeated, tag = "2")]
    alarms: Vec<AlarmMember>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: u64) -> Member {
        Member { id, name: format!("node-{id}"), is_learner: id == 3 }
    }

    fn answer(id: u64, leader: u64, raft_term: u64) -> (String, Result<Answer, String>) {
        let header = Some(Header { member_id: id });
        let version = "3.6.6".to_owned();
        let status = StatusResponse { header, version, db_size: 4096, leader, raft_term };
        let alarms = vec![AlarmMember { member_id: 2, alarm: 1 }];
        let members = vec![member(3), member(1), member(2)];
        (format!("etcd-node-{id}"), Ok(Answer { status, members, alarms }))
    }

    #[test]
    fn the_newest_term_names_the_leader() {
        let down = ("etcd-node-3".to_owned(), Err("connection refused".to_owned()));
        let report = EtcdReport::of(&[answer(1, 3, 7), answer(2, 2, 8), down]);
        let names: Vec<&str> = report.members.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["node-1", "node-2", "node-3"]);
        assert_eq!(report.leader().map(|it| it.name.as_str()), Some("node-2"));
        let [first, second, third] = &report.members[..] else { panic!("{report:?}") };
        assert_eq!((first.db_bytes, first.version.as_str()), (4096, "3.6.6"));
        assert_eq!((first.alarms.len(), &second.alarms[..]), (0, &["NOSPACE"][..]));
        assert_eq!(third.silent.as_deref(), Some("connection refused"));
        assert!(third.is_learner);
    }

    #[test]
    fn without_an_answer_every_pod_is_silent() {
        let down = ("etcd-a".to_owned(), Err("no route".to_owned()));
        let report = EtcdReport::of(&[down]);
        assert_eq!(report.leader(), None);
        assert_eq!(report.members[0].name, "a");
        assert_eq!(report.members[0].silent.as_deref(), Some("no route"));
    }
}
