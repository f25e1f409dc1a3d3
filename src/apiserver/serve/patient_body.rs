//! A request body whose sender is given so much time between two of its parts, and no more.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use crate::apiserver::body::BodyStalled;
use crate::clock::Clock;

/// The body. A timer exists only while a part is waited for.
pub(super) struct PatientBody {
    inner: Incoming,
    clock: Clock,
    limit: Duration,
    timer: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl PatientBody {
    pub(super) fn new(inner: Incoming, clock: Clock, limit: Duration) -> Self {
        Self { inner, clock, limit, timer: None }
    }
}

impl HttpBody for PatientBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(context) {
            this.timer = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let (clock, limit) = (&this.clock, this.limit);
        let timer = this.timer.get_or_insert_with(|| {
            let clock = clock.clone();
            Box::pin(async move { clock.sleep(limit).await })
        });
        timer.as_mut().poll(context).map(|()| Some(Err(BodyStalled(limit).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
