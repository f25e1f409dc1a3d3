//! etcd's gRPC as KubeadmControlPlane speaks it, over a connection that is there already. (CAPI
//! v1.14: controlplane/kubeadm/pkg/etcd; etcd 3.6: api/etcdserverpb/rpc.proto)

use std::time::Duration;

use bytes::{BufMut, Bytes};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use rustls_pki_types::ServerName;
use tokio::io::DuplexStream;
use tokio_rustls::TlsConnector;

use super::rest;

/// Timeout of a call. (CAPI v1.14: --etcd-call-timeout-duration)
const CALL: Duration = Duration::from_secs(15);

#[derive(Clone, PartialEq, Message)]
pub struct Empty {}

#[derive(Clone, PartialEq, Message)]
pub struct Header {
    #[prost(uint64, tag = "1")]
    pub cluster_id: u64,
    #[prost(uint64, tag = "2")]
    pub member_id: u64,
    #[prost(uint64, tag = "4")]
    pub raft_term: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Status {
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    #[prost(string, tag = "2")]
    pub version: String,
    #[prost(uint64, tag = "4")]
    pub leader: u64,
    #[prost(string, repeated, tag = "8")]
    pub errors: Vec<String>,
    #[prost(bool, tag = "10")]
    pub is_learner: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct MemberListRequest {
    #[prost(bool, tag = "1")]
    pub linearizable: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct Member {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(string, repeated, tag = "3")]
    pub peer_urls: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    pub client_urls: Vec<String>,
    #[prost(bool, tag = "5")]
    pub is_learner: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct Members {
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    #[prost(message, repeated, tag = "2")]
    pub members: Vec<Member>,
}

#[derive(Clone, PartialEq, Message)]
pub struct AlarmRequest {
    /// 0 is GET.
    #[prost(int32, tag = "1")]
    pub action: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct AlarmMember {
    #[prost(uint64, tag = "1")]
    pub member_id: u64,
    #[prost(int32, tag = "2")]
    pub alarm: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct Alarms {
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    #[prost(message, repeated, tag = "2")]
    pub alarms: Vec<AlarmMember>,
}

#[derive(Clone, PartialEq, Message)]
pub struct MoveLeaderRequest {
    #[prost(uint64, tag = "1")]
    pub target_id: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct MoveLeader {
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
}

#[derive(Clone, PartialEq, Message)]
pub struct MemberRemoveRequest {
    #[prost(uint64, tag = "1")]
    pub id: u64,
}

/// A connection to one member.
pub struct Etcd {
    authority: String,
    sender: SendRequest<Full<Bytes>>,
}

impl Etcd {
    /// Speaks TLS to the member of a Node, asking for it by the name of its Pod.
    pub async fn connect(
        stream: DuplexStream,
        pod: &str,
        ca: &[u8],
        client: &(Vec<u8>, Vec<u8>),
    ) -> Self {
        let config = rest::tls(ca, Some(client), &["h2"]);
        let name = ServerName::try_from(pod.to_owned()).unwrap();
        let stream = TlsConnector::from(config).connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        tokio::spawn(connection);
        Self { authority: pod.to_owned(), sender }
    }

    /// One call: the answer, or code and message.
    pub async fn call<T: Message + Default>(
        &self,
        method: &str,
        message: &impl Message,
    ) -> Result<T, (String, String)> {
        let answer = tokio::time::timeout(CALL, self.unary(method, message));
        answer.await.unwrap_or_else(|_| panic!("{method}: timeout"))
    }

    async fn unary<T: Message + Default>(
        &self,
        method: &str,
        message: &impl Message,
    ) -> Result<T, (String, String)> {
        let mut body = vec![0];
        body.put_u32(message.encoded_len() as u32);
        message.encode(&mut body).unwrap();
        let request = Request::post(format!("https://{}/etcdserverpb.{method}", self.authority))
            .header("content-type", "application/grpc")
            .header("user-agent", "grpc-go/1.82.1")
            .header("te", "trailers")
            .header("grpc-timeout", "14999958u")
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let response = self.sender.clone().send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/grpc");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned().unwrap_or(parts.headers);
        let text = |name| trailers.get(name).map_or("", |it| it.to_str().unwrap()).to_owned();
        if text("grpc-status") != "0" {
            return Err((text("grpc-status"), percent_decoded(&text("grpc-message"))));
        }
        let bytes = body.to_bytes();
        assert_eq!(bytes[0], 0, "not compressed");
        Ok(T::decode(&bytes[5..]).unwrap())
    }
}

/// A message as gRPC puts it into a header.
fn percent_decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(code, 16).unwrap());
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).unwrap()
}
