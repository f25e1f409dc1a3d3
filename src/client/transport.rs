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
    name: Arc<Name>,
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

/// What a client calls itself.
struct Name {
    field_manager: Box<str>,
    /// `User-Agent` of its requests: the same as a program with its version.
    agent: HeaderValue,
}

/// An engine of this process and who speaks to it.
struct Local {
    server: ApiServer,
    identity: Identity,
    /// `User-Agent` of what `kube` sends for nobody in particular.
    agent: HeaderValue,
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
        Self { lane: Lane::Kube(Arc::new(kube)), name: Name::new(field_manager), requests: None }
    }

    /// A client of an engine in this process, speaking as `identity`.
    pub fn in_process(server: &ApiServer, identity: Identity, field_manager: &str) -> Self {
        let name = Name::new(field_manager);
        let agent = name.agent.clone();
        let local = Local { server: server.clone(), identity, agent, kube: OnceLock::new() };
        Self { lane: Lane::Local(Arc::new(local)), name, requests: None }
    }

    /// A client whose writes go through a preview.
    pub(super) fn previewing(preview: &Arc<Preview>) -> Self {
        let server = preview.server().clone();
        let name = server.name.clone();
        let lane = Lane::Preview(preview.clone(), Box::new(server));
        Self { lane, name, requests: None }
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

    /// A client of the current context of a kubeconfig's text, e.g. of a Secret, over the network.
    /// Whoever wrote it does not get at this machine: programs and files that it names are refused.
    ///
    /// # Errors
    /// When it cannot be read, names no usable server or credentials, or names a program or a file.
    pub async fn from_kubeconfig(text: &str, field_manager: &str) -> Result<Self, ClientError> {
        let kubeconfig =
            kube::config::Kubeconfig::from_yaml(text).map_err(kube::Error::InferKubeconfig)?;
        match reach(&kubeconfig) {
            Some(what) => Err(ClientError::Reach(what)),
            None => Self::of_kubeconfig(kubeconfig, field_manager).await,
        }
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
    pub fn from_config(mut config: kube::Config, field_manager: &str) -> Result<Self, ClientError> {
        // kube itself says nothing.
        if !config.headers.iter().any(|(name, _)| name == header::USER_AGENT) {
            config.headers.push((header::USER_AGENT, Name::agent(field_manager)));
        }
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
        Self { lane: self.lane.clone(), name: Name::new(field_manager), requests }
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
        format!("fieldManager={}", percent_encode(&self.name.field_manager))
    }

    /// `User-Agent` of its requests that stay in the process; over the network the connection has
    /// one.
    pub(super) fn agent(&self) -> Option<HeaderValue> {
        (!self.is_remote()).then(|| self.name.agent.clone())
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
                request.headers_mut().insert(header::USER_AGENT, self.name.agent.clone());
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

impl Name {
    fn new(field_manager: &str) -> Arc<Self> {
        Arc::new(Self { field_manager: field_manager.into(), agent: Self::agent(field_manager) })
    }

    /// `capi/v0.1.0`; only the program's own for managers that fit in no header.
    fn agent(field_manager: &str) -> HeaderValue {
        const OWN: &str = concat!("capim/v", env!("CARGO_PKG_VERSION"));
        let agent = format!("{field_manager}/v{}", env!("CARGO_PKG_VERSION"));
        HeaderValue::try_from(agent).unwrap_or(HeaderValue::from_static(OWN))
    }
}

impl Local {
    /// The same way as a tower service under a `kube::Client`. Bodies are streamed, not copied.
    /// Only upgrades need a connection, which is in memory.
    fn to_kube(&self) -> kube::Client {
        let (server, identity) = (self.server.clone(), self.identity.clone());
        let agent = self.agent.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let server = server.clone();
            let mut request = request.map(Body::new);
            request.headers_mut().entry(header::USER_AGENT).or_insert_with(|| agent.clone());
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

/// What a kubeconfig would have this machine run or read.
fn reach(kubeconfig: &kube::config::Kubeconfig) -> Option<&'static str> {
    let clusters = kubeconfig.clusters.iter().filter_map(|it| it.cluster.as_ref());
    let users = kubeconfig.auth_infos.iter().filter_map(|it| it.auth_info.as_ref());
    let of_clusters =
        clusters.map(|it| it.certificate_authority.as_ref().map(|_| "certificate-authority file"));
    let of_users = users.flat_map(|it| {
        [
            it.exec.as_ref().map(|_| "program (exec)"),
            it.auth_provider.as_ref().map(|_| "program (auth-provider)"),
            it.token_file.as_ref().map(|_| "tokenFile"),
            it.client_certificate.as_ref().map(|_| "client-certificate file"),
            it.client_key.as_ref().map(|_| "client-key file"),
        ]
    });
    of_clusters.chain(of_users).flatten().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn kubeconfigs_from_elsewhere_run_and_read_nothing_here() {
        let text = |user: &str| {
            format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
                 clusters: [{{name: a, cluster: {{server: 'https://127.0.0.1:1'}}}}]\n\
                 contexts: [{{name: a, context: {{cluster: a, user: a}}}}]\n\
                 users: [{{name: a, user: {{{user}}}}}]\n"
            )
        };
        for (user, what) in [
            ("exec: {apiVersion: client.authentication.k8s.io/v1, command: 'true'}", "exec"),
            ("auth-provider: {name: gcp, config: {}}", "auth-provider"),
            ("tokenFile: /etc/hostname", "tokenFile"),
            ("client-certificate: /etc/hostname", "client-certificate"),
        ] {
            let error = Client::from_kubeconfig(&text(user), "test").await.err().unwrap();
            assert!(error.to_string().contains(what), "{error}");
        }
        Client::from_kubeconfig(&text("token: a"), "test").await.unwrap();
    }
}
