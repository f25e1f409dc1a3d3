//! One descriptor of the process that is kept for the day when there is no other: with it a
//! connection can be taken from the backlog and reset, so that its client hears that it comes in
//! vain and does not wait.

use std::fs::File;
use std::io;
use std::task::Poll;

use parking_lot::Mutex;
use rustix::io::Errno;
use tokio::net::TcpListener;

use super::reset;

/// The descriptor; one for all ports. Opened by the first port, given up for a moment by a port
/// whose accept failed. Locked for a moment only.
static KEPT: Mutex<Option<File>> = Mutex::new(None);

/// Sees to it that there is a descriptor to give up.
pub(super) fn keep() {
    let mut kept = KEPT.lock();
    if kept.is_none() {
        *kept = File::open("/dev/null").ok();
    }
}

/// Resets the connection that has waited longest, if an accept failed because the process, or the
/// system, is out of descriptors.
pub(super) async fn refuse_one(listener: &TcpListener, error: &io::Error) {
    let is_out = [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error).map(Some);
    if !is_out.contains(&error.raw_os_error()) {
        return;
    }
    drop(KEPT.lock().take());
    // Somebody else may have been faster: then the client waits on.
    let first = std::future::poll_fn(|context| match listener.poll_accept(context) {
        Poll::Ready(accepted) => Poll::Ready(accepted.ok()),
        Poll::Pending => Poll::Ready(None),
    });
    if let Some((stream, _)) = first.await {
        reset(stream);
    }
    keep();
}
