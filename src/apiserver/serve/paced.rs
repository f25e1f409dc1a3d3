//! A connection's stream that gives up on a peer who dawdles: one who begins a request and does
//! not finish its head, and one who takes nothing of an answer.
//!
//! A timer exists only while the peer keeps the server waiting.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::refusal;
use crate::clock::Clock;

/// Whether a request's head is being waited for. Shared by the stream, which sets it when bytes
/// arrive, and the service, which clears it when a request is complete enough to be answered.
#[derive(Debug)]
pub(super) struct Head {
    is_awaited: AtomicBool,
    /// Set for good when the connection goes on with another protocol, whose pace is its own.
    is_over: AtomicBool,
}

impl Head {
    /// The first request is waited for from the start.
    pub(super) fn awaited() -> Arc<Self> {
        Arc::new(Self { is_awaited: AtomicBool::new(true), is_over: AtomicBool::new(false) })
    }

    /// A head is complete.
    pub(super) fn is_complete(&self) {
        self.is_awaited.store(false, Ordering::Relaxed);
    }

    /// There will be no more heads, nor answers: nobody is hurried any longer.
    pub(super) fn is_over(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// How long a peer may keep the server waiting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// For the rest of a request's head.
    pub(super) head: Duration,
    /// For taking some bytes of an answer.
    pub(super) stall: Duration,
}

type Timer = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The stream.
pub(super) struct Paced<S> {
    inner: S,
    clock: Clock,
    pace: Pace,
    /// `None` where heads are not waited for one by one.
    head: Option<Arc<Head>>,
    head_timer: Option<Timer>,
    stall_timer: Option<Timer>,
    /// What is still to be written in place of hyper's refusal of a head.
    refusal: &'static [u8],
}

impl<S> Paced<S> {
    pub(super) fn new(inner: S, clock: Clock, pace: Pace, head: Option<Arc<Head>>) -> Self {
        Self { inner, clock, pace, head, head_timer: None, stall_timer: None, refusal: b"" }
    }

    /// Waits on a timer, which is made now if there is none.
    fn poll_timer(
        timer: &mut Option<Timer>,
        (clock, limit): (&Clock, Duration),
        context: &mut Context<'_>,
    ) -> Poll<io::Error> {
        let timer = timer.get_or_insert_with(|| {
            let clock = clock.clone();
            Box::pin(async move { clock.sleep(limit).await })
        });
        ready!(timer.as_mut().poll(context));
        Poll::Ready(io::Error::from(io::ErrorKind::TimedOut))
    }

    /// The words for a refusal of a head, if that is all of `buffer`: nobody was asked for an answer
    /// to what was read last, so no answer begins like this.
    fn refusal_of(&self, buffer: &[u8]) -> Option<&'static [u8]> {
        let head = self.head.as_ref()?;
        head.is_awaited.load(Ordering::Relaxed).then(|| refusal::in_words(buffer)).flatten()
    }

    /// What a write comes to: pending ones run against the clock.
    fn paced<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        let is_over = |head: &Arc<Head>| head.is_over.load(Ordering::Relaxed);
        if written.is_ready() || self.head.as_ref().is_some_and(is_over) {
            self.stall_timer = None;
            return written;
        }
        let limit = (&self.clock, self.pace.stall);
        Self::poll_timer(&mut self.stall_timer, limit, context).map(Err)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.inner).poll_read(context, buffer);
        let Some(head) = &this.head else { return read };
        if read.is_ready() {
            // The limit is one for the whole head: a byte now and then does not extend it.
            head.is_awaited.store(true, Ordering::Relaxed);
            return read;
        }
        if !head.is_awaited.load(Ordering::Relaxed) || head.is_over.load(Ordering::Relaxed) {
            this.head_timer = None;
            return Poll::Pending;
        }
        let limit = (&this.clock, this.pace.head);
        Self::poll_timer(&mut this.head_timer, limit, context).map(Err)
    }
}

impl<S: AsyncWrite + Unpin> Paced<S> {
    /// Writes the words of a refusal.
    fn poll_refusal(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.refusal.is_empty() {
            let written = Pin::new(&mut self.inner).poll_write(context, self.refusal);
            let written = ready!(self.paced(written, context))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.refusal = &self.refusal[written..];
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(words) = this.refusal_of(buffer) {
            this.refusal = words;
            return Poll::Ready(Ok(buffer.len()));
        }
        let written = Pin::new(&mut this.inner).poll_write(context, buffer);
        this.paced(written, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let [only] = buffers
            && let Some(words) = this.refusal_of(only)
        {
            this.refusal = words;
            return Poll::Ready(Ok(only.len()));
        }
        let written = Pin::new(&mut this.inner).poll_write_vectored(context, buffers);
        this.paced(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_refusal(context))?;
        let flushed = Pin::new(&mut this.inner).poll_flush(context);
        this.paced(flushed, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_refusal(context))?;
        let ended = Pin::new(&mut this.inner).poll_shutdown(context);
        this.paced(ended, context)
    }
}
