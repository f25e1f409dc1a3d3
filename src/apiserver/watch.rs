//! The verb watch: a stream of JSON lines, or of protobuf's frames, over the store's log.
//!
//! A watcher is a position in the log of its resource. It sleeps until a commit rings, copies the
//! events since its position into one chunk, and goes on from there; nothing is queued for it, so
//! that a slow one holds up nobody. Events in protobuf are made once for all (`frames`). One that
//! falls behind the bounded log is told so (410) and has to list again; one whose client takes
//! nothing at all is cut off with its connection.
//!
//! A watcher that asked for bookmarks gets one a minute and one shortly before its end, as long as
//! they say something new since its start. A watcher of this very process hears of the server's
//! revision about a second after a write that it did not see; without writes nothing happens.
//! (kubernetes 1.36: storage/cacher/cache_watcher.go)

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use http::Response;
use serde_json::Value;

use super::answer;
use super::clients::OpenWatch;
use super::conversion;
use super::counters::WatchGuard;
use super::frames::{FrameOf, Frames};
use super::negotiate::Encoding;
use super::options::{ListOptions, parse_revision, revision_syntax};
use super::read;
use super::route::Call;
use super::selection::Selection;
use super::server::ApiServer;
use super::view::View;
use super::{negotiate::Shape, random};
use crate::machinery::protobuf;
use crate::machinery::status::Status;
use crate::machinery::table::Headers;
use crate::store::{Compacted, Entry, Event, EventKind, RangeQuery};

/// Time between two bookmarks. (kubernetes 1.36: cacher/cacher.go, defaultBookmarkFrequency)
const BOOKMARK_PERIOD: Duration = Duration::from_secs(60);
/// How long before its end a watch gets its last bookmark. (kubernetes 1.36: nextBookmarkTime)
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);
/// Delay of a bookmark after a write that a watcher in this process did not see.
const PROMPT_BOOKMARK_DELAY: Duration = Duration::from_secs(1);
/// Shortest life of a watch whose client sets no limit; the longest is twice that.
/// (kubernetes 1.36: endpoints/handlers/get.go, minRequestTimeout)
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1800);
/// Longest life of a watch whose client sets a limit: what timers can count.
const TIMEOUT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
/// Life of a watch whose resource has another definition, or none any more.
/// (kubernetes 1.36: apiextensions-apiserver pkg/apiserver/customresource_handler.go, tearDown)
const RETIREMENT: Duration = Duration::from_secs(1);
/// Events read from the log at once.
const BATCH: usize = 256;
/// Bytes after which a chunk of initial events is sent.
const CHUNK: usize = 256 * 1024;
/// Media types that can be streamed, as refusals name them.
const STREAMED_TYPES: [&str; 2] =
    ["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"];

/// Answers a watch.
pub(super) async fn watch(call: &Call<'_>) -> Result<Response<Body>, Box<Status>> {
    let accepted = call.accepted()?;
    if accepted.encoding == Encoding::Yaml {
        return Err(Status::not_acceptable(&STREAMED_TYPES));
    }
    let options = ListOptions::parse(call.info, true)?;
    let selection = Selection::parse(&call.resource, &options)?.named(&call.info.name)?;
    let start = Start::read(&options)?;
    let guard = WatchGuard::begin(call.server, &call.resource).ok_or_else(too_many)?;
    let now = call.server.clock().elapsed();
    let deadline = now + lifetime(options.timeout_seconds);
    let mut watcher = Watcher {
        server: call.server.clone(),
        view: read::view(call, accepted.shape),
        encoding: accepted.encoding,
        frames: (accepted.encoding == Encoding::Protobuf).then(|| call.server.frames()),
        selection,
        namespace: call.scope().map(str::to_owned),
        place: call.scope().or(call.cluster_scope()).map(str::to_owned),
        initial: Vec::new().into_iter(),
        phase: Phase::Live,
        position: 0,
        reported: 0,
        started: 0,
        bookmarks: match (options.allow_bookmarks, call.info.is_in_process) {
            (false, _) => Bookmarks::Never,
            (true, false) => Bookmarks::Periodic,
            (true, true) => Bookmarks::Prompt,
        },
        bookmark_at: None,
        headers: Headers::Included,
        is_retired: false,
        seen_changes: None,
        deadline,
        timer: None,
        _guard: guard,
        _open: call.asked.watching(),
    };
    watcher.begin(start).await;
    let chunks = stream::unfold(watcher, |mut watcher| async move {
        let chunk = watcher.next_chunk().await?;
        Some((Ok::<_, Infallible>(chunk), watcher))
    });
    Ok(answer::stream(accepted.encoding, Body::from_stream(chunks)))
}

fn too_many() -> Box<Status> {
    Status::too_many_requests("too many watches, please try again later", 1)
}

/// How long a watch goes on: as its client says, or half an hour to an hour.
fn lifetime(seconds: Option<i64>) -> Duration {
    match seconds {
        None | Some(0) => DEFAULT_TIMEOUT + Duration::from_millis(random::number() % 1_800_000),
        Some(seconds) => Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).min(TIMEOUT_MAX),
    }
}

/// Where a watch starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// With the state of now, which must not be older than `at_least`, as ADDED events, and a
    /// bookmark behind them if wanted.
    Initial { at_least: u64, bookmark: bool },
    /// Behind a revision.
    After(u64),
    /// Behind the latest revision.
    Latest,
}

impl Start {
    fn read(options: &ListOptions<'_>) -> Result<Self, Box<Status>> {
        let version = options.resource_version;
        let revision: u64 = match version {
            "" => 0,
            text => parse_revision(text).ok_or_else(|| Status::unknown(revision_syntax(text)))?,
        };
        Ok(match options.send_initial_events {
            Some(true) => Self::Initial { at_least: revision, bookmark: options.allow_bookmarks },
            Some(false) if revision == 0 => Self::Latest,
            None if revision == 0 => Self::Initial { at_least: 0, bookmark: false },
            Some(false) | None => Self::After(revision),
        })
    }
}

/// What the stream does next.
#[derive(Clone, Debug)]
enum Phase {
    /// Sends initial events, then a bookmark if `bookmark`.
    Initial { bookmark: bool },
    /// Follows the log.
    Live,
    /// Sends an ERROR event and ends.
    Failed(Box<Status>),
    /// Ends.
    Over,
}

/// When a watcher hears of the server's revision without an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bookmarks {
    /// The client did not ask for bookmarks.
    Never,
    /// Every minute, and shortly before the end.
    Periodic,
    /// A second after a write that it did not see.
    Prompt,
}

type Timer = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One watch. Times are those of the server's clock since its start.
struct Watcher {
    server: ApiServer,
    view: View,
    /// JSON lines, or frames of protobuf.
    encoding: Encoding,
    /// Shared with the others that watch in protobuf; `None` in JSON.
    frames: Option<Arc<Frames>>,
    selection: Selection,
    namespace: Option<String>,
    /// The only namespace that objects can be in, empty for cluster-scoped ones.
    place: Option<String>,
    /// Objects that are still to be sent as initial events.
    initial: std::vec::IntoIter<Arc<Entry>>,
    phase: Phase,
    /// Events up to this revision are done with.
    position: u64,
    /// The revision that the client knows of.
    reported: u64,
    /// The revision that the client knew of when the watch began.
    started: u64,
    bookmarks: Bookmarks,
    /// When the next bookmark is due.
    bookmark_at: Option<Duration>,
    /// Only the first Table of a watch says what its columns are.
    headers: Headers,
    /// Whether the watch ends soon, because its resource was replaced.
    is_retired: bool,
    /// Changes of what is served that have been looked at.
    seen_changes: Option<u64>,
    /// When the watch ends.
    deadline: Duration,
    /// Rings at the time beside it; kept between two waits for the same time.
    timer: Option<(Duration, Timer)>,
    /// Counts the watch while it lives.
    _guard: WatchGuard,
    /// The same for the client that watches, where somebody counts.
    _open: Option<OpenWatch>,
}

/// An event before it is written.
enum Shown {
    /// What is stored is what is shown.
    AsStored,
    Converted(Event),
    /// The watch is over.
    Failed,
}

type Bell<'a, 'b> = Pin<&'a mut tokio::sync::futures::Notified<'b>>;

/// What a watcher waits for.
struct News<'a, 'b> {
    /// The resource changed.
    notified: Bell<'a, 'b>,
    /// Anything changed.
    progress: Bell<'a, 'b>,
    /// What is served changed.
    replaced: Bell<'a, 'b>,
}

/// Why a waiting watcher woke up.
enum Wake {
    /// The resource changed, or anything did.
    Changed,
    /// What is served changed.
    Replaced,
    /// A bookmark is due.
    Bookmark,
    /// The watch ends.
    End,
}

impl Watcher {
    async fn begin(&mut self, start: Start) {
        match start {
            Start::After(revision) => self.position = revision,
            Start::Latest => self.position = self.server.store().revision(),
            Start::Initial { at_least, bookmark } => {
                if let Err(status) = read::wait_for(&self.server, at_least).await {
                    self.phase = Phase::Failed(status);
                    return;
                }
                let query = RangeQuery {
                    resource: &self.view.resource.key,
                    namespace: self.namespace.as_deref(),
                    after: None,
                    at: None,
                    limit: 0,
                };
                let (store, place) = (self.server.store(), self.place.as_deref());
                let resource = &self.view.resource;
                let keep = |entry: &Entry| match resource.shows(entry) {
                    true => self.selection.matches(entry),
                    false => self.selection.matches_metadata(entry),
                };
                // The latest state is never compacted.
                if let Ok(page) = read::read_page(store, query, place, &self.selection, keep) {
                    self.position = page.revision;
                    self.initial = page.entries.into_iter();
                }
                self.phase = Phase::Initial { bookmark };
            }
        }
        self.reported = self.position;
        self.started = self.position;
    }

    /// The next piece of the stream; `None` at its end.
    async fn next_chunk(&mut self) -> Option<Bytes> {
        loop {
            match &self.phase {
                Phase::Over => return None,
                Phase::Failed(status) => {
                    let status = status.to_value();
                    let mut chunk = Vec::new();
                    self.write_line(&mut chunk, "ERROR", &status);
                    self.phase = Phase::Over;
                    return Some(chunk.into());
                }
                Phase::Initial { bookmark } => {
                    let bookmark = *bookmark;
                    let chunk = self.initial_chunk(bookmark).await;
                    if !chunk.is_empty() {
                        return Some(chunk.into());
                    }
                }
                Phase::Live => {
                    let server = self.server.clone();
                    let store = self.server.store().clone();
                    let changed = store.changed(&self.view.resource.key);
                    let notified = changed.notified();
                    tokio::pin!(notified);
                    notified.as_mut().enable();
                    let progress = store.progress().notified();
                    tokio::pin!(progress);
                    if self.bookmarks == Bookmarks::Prompt {
                        progress.as_mut().enable();
                    }
                    let replaced = server.resources_changed().notified();
                    tokio::pin!(replaced);
                    replaced.as_mut().enable();
                    self.retire_if_replaced();
                    // Read before the log: all events up to it will have been seen.
                    let revision = store.revision();
                    let chunk = self.log_chunk().await;
                    if !chunk.is_empty() {
                        return Some(chunk.into());
                    }
                    if self.position < revision && self.caught_up() {
                        self.position = revision;
                    }
                    let news = News { notified, progress, replaced };
                    match self.wait(news, revision).await {
                        Wake::Changed | Wake::Replaced => {}
                        Wake::End => return None,
                        Wake::Bookmark => {
                            if let Some(chunk) = self.bookmark() {
                                return Some(chunk);
                            }
                        }
                    }
                }
            }
        }
    }

    /// Lets the watch end soon if its resource is another one now.
    fn retire_if_replaced(&mut self) {
        let resource = &self.view.resource;
        let changes = self.server.resources_changes();
        if self.is_retired || resource.is_built_in() || self.seen_changes == Some(changes) {
            return;
        }
        self.seen_changes = Some(changes);
        let definition = &resource.definition;
        let (group, version, plural) = (&definition.group, &definition.version, &definition.plural);
        let now = self.server.resolve(group, version, plural);
        if now.is_none_or(|now| now.versions.epoch != resource.versions.epoch) {
            self.is_retired = true;
            self.deadline = self.deadline.min(self.server.clock().elapsed() + RETIREMENT);
        }
    }

    /// Whether no event of the resource lies behind the position.
    fn caught_up(&self) -> bool {
        let store = self.server.store();
        let events = store.events_after(&self.view.resource.key, self.position, 1);
        events.is_ok_and(|events| events.is_empty())
    }

    /// Waits for news.
    async fn wait(
        &mut self,
        News { notified, progress, replaced }: News<'_, '_>,
        revision: u64,
    ) -> Wake {
        let now = self.server.clock().elapsed();
        if now >= self.deadline {
            return Wake::End;
        }
        if self.bookmark_at.is_none() {
            self.bookmark_at = self.next_bookmark(now, revision);
        }
        let waits_for_progress = self.bookmarks == Bookmarks::Prompt && self.bookmark_at.is_none();
        let at = self.bookmark_at.map_or(self.deadline, |at| at.min(self.deadline));
        let woken = if at < self.deadline { Wake::Bookmark } else { Wake::End };
        if self.timer.as_ref().is_none_or(|(set, _)| *set != at) {
            let clock = self.server.clock().clone();
            self.timer = Some((at, Box::pin(async move { clock.sleep_until(at).await })));
        }
        let timer = &mut self.timer;
        let rings = async {
            match timer {
                Some((_, timer)) => timer.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.server.stopped().cancelled() => Wake::End,
            () = notified => Wake::Changed,
            () = replaced, if !self.is_retired => Wake::Replaced,
            () = progress, if waits_for_progress => Wake::Changed,
            () = rings => {
                self.timer = None;
                woken
            }
        }
    }

    /// When the next bookmark is due, if there is to be one.
    fn next_bookmark(&self, now: Duration, revision: u64) -> Option<Duration> {
        match self.bookmarks {
            Bookmarks::Never => None,
            Bookmarks::Periodic => {
                let last = self.deadline.saturating_sub(BOOKMARK_BEFORE_END);
                let next = (now + BOOKMARK_PERIOD).min(last);
                (next > now).then_some(next)
            }
            Bookmarks::Prompt => (revision > self.reported).then_some(now + PROMPT_BOOKMARK_DELAY),
        }
    }

    /// The bookmark that is due, unless events made it pointless or are waiting to be sent.
    fn bookmark(&mut self) -> Option<Bytes> {
        self.bookmark_at = None;
        let revision = self.server.store().revision();
        let known = match self.bookmarks {
            Bookmarks::Periodic => self.started,
            Bookmarks::Prompt | Bookmarks::Never => self.reported,
        };
        if revision <= known || !self.caught_up() {
            return None;
        }
        // Events that came in between are newer than `revision` only if they were not there when
        // the log was looked at, hence the position stays what it was proven to be.
        let mut chunk = Vec::new();
        self.write_line(&mut chunk, "BOOKMARK", &self.view.bookmark(revision, false));
        self.position = self.position.max(revision);
        self.reported = revision;
        Some(chunk.into())
    }

    /// Initial events, as many as fit a chunk, and what follows the last.
    async fn initial_chunk(&mut self, bookmark: bool) -> Vec<u8> {
        let mut chunk = Vec::new();
        while let Some(entry) = self.initial.next() {
            let Some(entry) = self.shown(&mut chunk, &entry).await else { return chunk };
            if self.selection.matches(&entry) {
                self.write_object(&mut chunk, "ADDED", &entry);
            }
            if chunk.len() >= CHUNK {
                return chunk;
            }
        }
        if bookmark {
            self.write_line(&mut chunk, "BOOKMARK", &self.view.bookmark(self.position, true));
        }
        self.phase = Phase::Live;
        chunk
    }

    /// The selected events behind the position; an ERROR event if they are gone.
    async fn log_chunk(&mut self) -> Vec<u8> {
        let mut chunk = Vec::new();
        loop {
            let store = self.server.store();
            match store.events_after(&self.view.resource.key, self.position, BATCH) {
                Err(compacted) => {
                    self.fail(&mut chunk, compacted);
                    return chunk;
                }
                Ok(events) => {
                    for event in &events {
                        match self.as_shown(&mut chunk, event).await {
                            Shown::AsStored => self.write_event(&mut chunk, event),
                            Shown::Converted(event) => self.write_event(&mut chunk, &event),
                            Shown::Failed => return chunk,
                        }
                        self.position = event.revision;
                    }
                    if events.len() < BATCH || chunk.len() >= CHUNK {
                        return chunk;
                    }
                }
            }
        }
    }

    /// The event with its objects as the watched version shows them.
    async fn as_shown(&mut self, chunk: &mut Vec<u8>, event: &Event) -> Shown {
        let resource = &self.view.resource;
        let as_stored = |entry: &Arc<Entry>| resource.shows(entry);
        let elsewhere =
            self.namespace.as_deref().is_some_and(|it| *event.entry.meta.namespace != *it);
        if elsewhere || (as_stored(&event.entry) && event.previous.as_ref().is_none_or(as_stored)) {
            return Shown::AsStored;
        }
        let Some(entry) = self.shown(chunk, &event.entry).await else { return Shown::Failed };
        let previous = match &event.previous {
            None => None,
            Some(previous) => match self.shown(chunk, previous).await {
                None => return Shown::Failed,
                previous => previous,
            },
        };
        Shown::Converted(Event { kind: event.kind, revision: event.revision, entry, previous })
    }

    /// An object as the watched version shows it; an ERROR event ends the watch if that fails.
    async fn shown(&mut self, chunk: &mut Vec<u8>, entry: &Arc<Entry>) -> Option<Arc<Entry>> {
        match conversion::shown(&self.server, &self.view.resource, entry).await {
            Ok(entry) => Some(entry),
            Err(status) => {
                self.write_line(chunk, "ERROR", &status.to_value());
                self.phase = Phase::Over;
                None
            }
        }
    }

    fn fail(&mut self, chunk: &mut Vec<u8>, compacted: Compacted) {
        let Compacted { requested, compacted } = compacted;
        let status =
            Status::expired(format!("too old resource version: {requested} ({compacted})"));
        self.write_line(chunk, "ERROR", &status.to_value());
        self.phase = Phase::Over;
    }

    /// An event as this watcher sees it: a change that makes an object enter or leave the
    /// selection is an addition or a deletion.
    fn write_event(&mut self, chunk: &mut Vec<u8>, event: &Event) {
        if let Some(namespace) = &self.namespace
            && *event.entry.meta.namespace != **namespace
        {
            return;
        }
        let selects =
            |entry: Option<&Arc<Entry>>| entry.is_some_and(|entry| self.selection.matches(entry));
        let before = selects(event.previous.as_ref());
        let after = event.kind != EventKind::Deleted && selects(Some(&event.entry));
        match (before, after) {
            (false, false) => return,
            (false, true) => self.write_news(chunk, "ADDED", &event.entry, event.revision),
            (true, true) => self.write_news(chunk, "MODIFIED", &event.entry, event.revision),
            (true, false) if event.kind == EventKind::Deleted => {
                self.write_news(chunk, "DELETED", &event.entry, event.revision);
            }
            (true, false) => {
                if let Some(previous) = &event.previous {
                    self.write_news(chunk, "DELETED", previous, event.revision);
                }
            }
        }
        self.reported = event.revision;
    }

    /// Writes an object of the log, which others are about to write, too.
    fn write_news(
        &mut self,
        chunk: &mut Vec<u8>,
        kind: &'static str,
        entry: &Arc<Entry>,
        revision: u64,
    ) {
        let shown = |entry: &Arc<Entry>| match entry.revision == revision {
            true => entry.clone(),
            false => Arc::new(entry.with_revision(revision)),
        };
        let Some(frames) = self.frames.clone() else {
            return self.write_object(chunk, kind, &shown(entry));
        };
        let (resource, shape) = (self.view.resource.serial, self.view.shape);
        let of = FrameOf { entry: Arc::downgrade(entry), revision, kind, resource, shape };
        let frame = frames.get(of, || {
            let mut frame = Vec::new();
            self.write_object(&mut frame, kind, &shown(entry));
            frame
        });
        chunk.extend_from_slice(&frame);
    }

    fn write_object(&mut self, chunk: &mut Vec<u8>, kind: &str, entry: &Entry) {
        self.view.now_seconds = match self.view.shape {
            Shape::Table(_) => self.server.clock().now().as_second(),
            Shape::Object | Shape::Metadata(_) => 0,
        };
        if self.encoding == Encoding::Protobuf {
            let mut object = Vec::with_capacity(entry.raw.len() + 64);
            self.view.write_event_object(&mut object, entry, self.headers);
            write_frame(chunk, kind, &object);
            return;
        }
        begin_line(chunk, kind);
        self.view.write_event_object(chunk, entry, self.headers);
        self.headers = Headers::Omitted;
        chunk.extend_from_slice(b"}\n");
    }

    fn write_line(&self, chunk: &mut Vec<u8>, kind: &str, object: &Value) {
        if self.encoding == Encoding::Protobuf {
            return write_frame(chunk, kind, object.to_string().as_bytes());
        }
        begin_line(chunk, kind);
        chunk.extend_from_slice(object.to_string().as_bytes());
        chunk.extend_from_slice(b"}\n");
    }
}

/// An event in protobuf. Only what has a protobuf form is negotiated to be streamed in it.
fn write_frame(chunk: &mut Vec<u8>, kind: &str, object: &[u8]) {
    if let Err(error) = protobuf::write_event(chunk, kind, object) {
        tracing::error!(%error, "an event has no protobuf form");
    }
}

fn begin_line(chunk: &mut Vec<u8>, kind: &str) {
    chunk.extend_from_slice(br#"{"type":""#);
    chunk.extend_from_slice(kind.as_bytes());
    chunk.extend_from_slice(br#"","object":"#);
}
