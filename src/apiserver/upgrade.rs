//! Connections that speak another protocol once a request was answered with 101.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use http::header::{CONNECTION, HeaderName, HeaderValue, UPGRADE};
use http::{HeaderMap, Response, StatusCode};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;

/// Whether a request asks for another protocol; which one is up to who answers.
/// (kubernetes 1.36: streaming/pkg/httpstream/httpstream.go, IsUpgradeRequest)
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONNECTION).into_iter().filter_map(|it| it.to_str().ok());
    values.any(|it| it.to_ascii_lowercase().contains("upgrade"))
}

/// What is left of a connection when HTTP is over.
pub(super) type Connection = TokioIo<Upgraded>;

type Done = Pin<Box<dyn Future<Output = ()> + Send>>;
type Work = Box<dyn FnOnce(Connection) -> Done + Send>;

/// What shall happen on a connection. Travels in the extensions of the answer, to whoever owns the
/// connection: that task does the work and ends it with the port.
#[derive(Clone)]
pub(super) struct Takeover(Arc<Mutex<Option<Work>>>);

impl Takeover {
    /// Does the work. A clone that comes second finds none.
    pub(super) async fn run(self, connection: Connection) {
        let work = self.0.lock().take();
        if let Some(work) = work {
            work(connection).await;
        }
    }
}

impl fmt::Debug for Takeover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Takeover")
    }
}

/// The answer 101, with `work` to follow on the connection.
pub(super) fn switch<F>(
    protocol: &'static str,
    headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
    work: impl FnOnce(Connection) -> F + Send + 'static,
) -> Response<Body>
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static(protocol));
    response.headers_mut().extend(headers);
    let work: Work = Box::new(move |connection| Box::pin(work(connection)));
    response.extensions_mut().insert(Takeover(Arc::new(Mutex::new(Some(work)))));
    response
}
