//! One HTTP request to an API server, in process or over the network.
//!
//! An in-process client hands its requests to the engine without a queue or a task in between. Its
//! `kube::Client` (a buffer, a task, about 12 kB) is made when somebody asks for it, which the
//! thousands of workload clusters' clients never do.

use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::BodyExt;

use super::requests::Requests;
use super::target::percent_encode;
use super::{ClientError, Preview};
use crate::apiserver::serve::in_process;
use crate::apiserver::{ApiServer, Identity, InProcess};
use crate::metrics::Registry;

/// A client of one API server. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    lane: Lane,
    field_manager: Arc<str>,
    /// Counts answers, if somebody wants to know.
    requests: Option<Arc<Requests>>,
}

/// The way to the server.
#[derive(Clone)]
enum Lane {
    Local(Arc<Local>),
    Kube(Arc<kube::Client>),
    /// Writes are tried, not done.
    Preview(Arc<Preview>, Box<Client>),
}

/// An engine of this process and who speaks to it.
struct Local {
    server: ApiServer,
    identity: Identity,
    /// Made by the first call of [`Client::kube`].
    kube: OnceLock<kube::Client>,
}

/// Body of an answer.
pub(crate) enum AnswerBody {
    Local(Body),
    Kube(kube::client::Body),
}

/// One request.
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) uri: String,
    /// Media type of the body.
    pub(crate) content_type: Option<&'static str>,
    pub(crate) body: Bytes,
}

impl Client {
    /// Wraps an existing client; writes carry `field_manager`.
    pub fn new(kube: kube::Client, field_manager: &str) -> Self {
        Self {
            lane: Lane::Kube(Arc::new(kube)),
            field_manager: field_manager.into(),
            requests: None,
        }
    }

    /// A client of an engine in this process, speaking as `identity`.
    pub fn in_process(server: &ApiServer, identity: Identity, field_manager: &str) -> Self {
        let local = Local { server: server.clone(), identity, kube: OnceLock::new() };
        Self {
            lane: Lane::Local(Arc::new(local)),
            field_manager: field_manager.into(),
            requests: None,
        }
    }

    /// A client whose writes go through a preview.
    pub(super) fn previewing(preview: &Arc<Preview>) -> Self {
        let server = preview.server().clone();
        let field_manager = server.field_manager.clone();
        let lane = Lane::Preview(preview.clone(), Box::new(server));
        Self { lane, field_manager, requests: None }
    }

    /// A client of the current context of a kubeconfig file, over the network.
    ///
    /// # Errors
    /// When the file cannot be read or names no usable server or credentials.
    pub async fn from_kubeconfig_file(
        path: &Path,
        field_manager: &str,
    ) -> Result<Self, ClientError> {
        let kubeconfig =
            kube::config::Kubeconfig::read_from(path).map_err(kube::Error::InferKubeconfig)?;
        Self::of_kubeconfig(kubeconfig, field_manager).await
    }

    /// A client of the current context of a kubeconfig's text, over the network.
    ///
    /// # Errors
    /// When it cannot be read or names no usable server or credentials.
    pub async fn from_kubeconfig(text: &str, field_manager: &str) -> Result<Self, ClientError> {
        let kubeconfig =
            kube::config::Kubeconfig::from_yaml(text).map_err(kube::Error::InferKubeconfig)?;
        Self::of_kubeconfig(kubeconfig, field_manager).await
    }

    async fn of_kubeconfig(
        kubeconfig: kube::config::Kubeconfig,
        field_manager: &str,
    ) -> Result<Self, ClientError> {
        let options = kube::config::KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .map_err(kube::Error::InferKubeconfig)?;
        Self::from_config(config, field_manager)
    }

    /// A client for a configuration that was read already.
    ///
    /// # Errors
    /// When it names no usable credentials.
    pub fn from_config(config: kube::Config, field_manager: &str) -> Result<Self, ClientError> {
        Ok(Self::new(kube::Client::try_from(config)?, field_manager))
    }

    /// The same client, whose requests are counted as client-go counts them.
    pub fn counted(mut self, metrics: &Registry) -> Self {
        let host = if self.is_remote() { "remote" } else { "in-process" };
        self.requests = Some(Arc::new(Requests::new(metrics.clone(), host)));
        self
    }

    /// Same connection, other field manager.
    pub fn with_field_manager(&self, field_manager: &str) -> Self {
        let requests = self.requests.clone();
        Self { lane: self.lane.clone(), field_manager: field_manager.into(), requests }
    }

    /// The kube client inside. Call inside a tokio runtime.
    pub fn kube(&self) -> &kube::Client {
        match &self.lane {
            Lane::Kube(kube) => kube,
            Lane::Local(local) => local.kube.get_or_init(|| local.to_kube()),
            Lane::Preview(_, server) => server.kube(),
        }
    }

    /// Whether both use the same connection, so that one may stand in for the other.
    pub fn is_same_connection(&self, other: &Self) -> bool {
        match (&self.lane, &other.lane) {
            (Lane::Local(one), Lane::Local(two)) => Arc::ptr_eq(one, two),
            (Lane::Kube(one), Lane::Kube(two)) => Arc::ptr_eq(one, two),
            (Lane::Preview(one, _), Lane::Preview(two, _)) => Arc::ptr_eq(one, two),
            (Lane::Local(_) | Lane::Kube(_) | Lane::Preview(..), _) => false,
        }
    }

    /// Whether requests leave the process, so that a connection may die unnoticed.
    pub(crate) fn is_remote(&self) -> bool {
        match &self.lane {
            Lane::Kube(_) => true,
            Lane::Local(_) => false,
            Lane::Preview(_, server) => server.is_remote(),
        }
    }

    /// The `fieldManager` query parameter of this client's writes.
    pub(crate) fn field_manager_parameter(&self) -> String {
        format!("fieldManager={}", percent_encode(&self.field_manager))
    }

    /// Sends a request and returns the answer's body before it is read.
    ///
    /// # Errors
    /// `Status` for any code of 400 and above.
    pub(crate) async fn open(&self, call: Call) -> Result<AnswerBody, ClientError> {
        let method = self.requests.as_ref().map(|_| call.method.clone());
        let answer = match &self.lane {
            Lane::Local(local) => {
                let mut request = call.into_request(Body::from)?;
                request.extensions_mut().insert(local.identity.clone());
                request.extensions_mut().insert(InProcess);
                Box::pin(local.server.handle(request)).await.map(AnswerBody::Local)
            }
            Lane::Preview(preview, _) => {
                let bytes = Box::pin(preview.send(call)).await?;
                return Ok(AnswerBody::Local(Body::from(bytes)));
            }
            Lane::Kube(kube) => {
                let request = call.into_request(kube::client::Body::from)?;
                kube.send(request).await?.map(AnswerBody::Kube)
            }
        };
        let (parts, body) = answer.into_parts();
        if let (Some(requests), Some(method)) = (&self.requests, method) {
            requests.count(&method, parts.status);
        }
        if parts.status.is_client_error() || parts.status.is_server_error() {
            return Err(ClientError::from_answer(parts.status, &body.collect().await?));
        }
        Ok(body)
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(&self, call: Call) -> Result<Bytes, ClientError> {
        self.open(call).await?.collect().await
    }
}

impl Local {
    /// The same way as a tower service under a `kube::Client`. Bodies are streamed, not copied.
    /// Only upgrades need a connection, which is in memory.
    fn to_kube(&self) -> kube::Client {
        let (server, identity) = (self.server.clone(), self.identity.clone());
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let server = server.clone();
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(identity.clone());
            request.extensions_mut().insert(InProcess);
            async move {
                let response = match request.headers().contains_key(header::UPGRADE) {
                    true => in_process::upgrade(&server, request).await,
                    false => server.handle(request).await,
                };
                Ok::<Response<Body>, Infallible>(response)
            }
        });
        kube::Client::new(service, "default")
    }
}

impl Call {
    /// A request without a body.
    pub(crate) fn read(uri: String) -> Self {
        Self { method: Method::GET, uri, content_type: None, body: Bytes::new() }
    }

    fn into_request<B>(self, body: impl FnOnce(Bytes) -> B) -> Result<Request<B>, ClientError> {
        let mut builder = Request::builder()
            .method(self.method)
            .uri(self.uri)
            .header(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(content_type) = self.content_type {
            builder = builder.header(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        builder
            .body(body(self.body))
            .map_err(|error| ClientError::Transport(Box::new(kube::Error::HttpError(error))))
    }
}

impl AnswerBody {
    /// The next piece; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, ClientError>> {
        loop {
            let data = match self {
                Self::Local(body) => body
                    .frame()
                    .await?
                    .map(http_body::Frame::into_data)
                    .map_err(ClientError::transport),
                Self::Kube(body) => {
                    body.frame().await?.map(http_body::Frame::into_data).map_err(ClientError::from)
                }
            };
            match data {
                Ok(Ok(bytes)) => return Some(Ok(bytes)),
                // Trailers carry nothing for us.
                Ok(Err(_)) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }

    async fn collect(self) -> Result<Bytes, ClientError> {
        match self {
            Self::Local(body) => {
                Ok(body.collect().await.map_err(ClientError::transport)?.to_bytes())
            }
            Self::Kube(body) => Ok(body.collect().await?.to_bytes()),
        }
    }
}
