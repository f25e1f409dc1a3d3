//! What an HTTP/2 connection does, so that one that does nothing, or serves nobody known, ends.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::Notify;

use crate::clock::Clock;

/// The requests of one connection.
#[derive(Debug, Default)]
pub(super) struct Activity {
    begun: AtomicU64,
    open: AtomicUsize,
    /// Rung when the connection shall take no more requests.
    enough: Notify,
}

/// A request that is not answered to its end.
#[derive(Debug)]
pub(super) struct Stream(Arc<Activity>);

impl Activity {
    /// Counts a request until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Stream {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        Stream(self.clone())
    }

    /// Ends the connection once its open requests are answered.
    pub(super) fn no_more(&self) {
        self.enough.notify_one();
    }

    /// Returns when the connection shall end: nobody known uses it, no request came in the first
    /// `first`, or none was open in all of `idle`.
    pub(super) async fn over(&self, clock: &Clock, first: Duration, idle: Duration) {
        let idles = async {
            let (mut seen, mut pause) = (0, first);
            loop {
                clock.sleep(pause).await;
                let begun = self.begun.load(Ordering::Relaxed);
                if begun == seen && self.open.load(Ordering::Relaxed) == 0 {
                    return;
                }
                (seen, pause) = (begun, idle);
            }
        };
        tokio::select! {
            () = self.enough.notified() => {}
            () = idles => {}
        }
    }
}

impl Stream {
    /// The answer, which keeps the request open until it is sent or given up.
    pub(super) fn hold(self, response: Response<Body>) -> Response<Body> {
        response.map(|body| Body::new(Held { body, _stream: self }))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Held {
    body: Body,
    _stream: Stream,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
