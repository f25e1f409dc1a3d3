//! Follows a resource of a server and feeds an informer. (client-go tools/cache/reflector.go)

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tracing::{debug, error, warn};

use super::lines::{self, Event, LineTooLong, Lines};
use super::{Informer, ObjectMeta, Source};
use crate::client::{AnswerBody, Call, Client, ClientError, ObjectKey, percent_encode};
use crate::clock::Clock;

/// First delay after a failure, doubled up to [`DELAY_MAX`]; client-go's figures.
const DELAY_MIN: Duration = Duration::from_millis(800);
const DELAY_MAX: Duration = Duration::from_secs(30);
/// Seconds after which a server over the network is asked to end a watch, and the time after which
/// a silent connection is given up.
const WATCH_SECONDS: u32 = 290;
const SILENCE_MAX: Duration = Duration::from_secs(310);
/// Objects in a page of a plain list.
const PAGE: u32 = 500;

/// Why a watch ended.
#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("failed to decode a watch event: {0}")]
    Decode(#[from] serde_json::Error),
    #[error(transparent)]
    Line(#[from] LineTooLong),
    #[error("failed to decode a watch event: {0}")]
    Text(#[from] std::str::Utf8Error),
    #[error("failed to watch: no event for {0:?}")]
    Silent(Duration),
    #[error("failed to list: no resourceVersion in the answer")]
    NoVersion,
}

impl WatchError {
    /// The server no longer knows our resourceVersion.
    fn is_expired(&self) -> bool {
        matches!(self, Self::Client(error) if error.code() == Some(410))
    }

    /// The server knows no streaming lists.
    fn refuses_streaming(&self) -> bool {
        matches!(self, Self::Client(error) if matches!(error.code(), Some(400 | 422)))
    }
}

/// Feeds `informer` from `client` for ever.
pub(super) async fn follow<K>(informer: Informer<K>, client: Client, clock: Clock)
where
    K: kube::Resource + DeserializeOwned,
{
    let mut reflector = Reflector {
        informer,
        client,
        clock,
        position: None,
        list_mode: ListMode::Streaming,
        alive: false,
    };
    let mut delay = DELAY_MIN;
    loop {
        reflector.alive = false;
        let ended = reflector.session().await;
        if reflector.alive {
            delay = DELAY_MIN;
        }
        match ended {
            // An ordinary end after news: go on at once.
            Ok(()) if reflector.alive => continue,
            Ok(()) => {}
            Err(error) if error.is_expired() => {
                debug!(source = %reflector.name(), "watch expired, listing anew");
                reflector.position = None;
                if reflector.alive {
                    continue;
                }
            }
            Err(error) if reflector.position.is_none() && error.refuses_streaming() => {
                match reflector.list_mode {
                    ListMode::Streaming => {
                        reflector.list_mode = ListMode::Pages;
                        continue;
                    }
                    ListMode::Pages => warn!(source = %reflector.name(), %error, "list refused"),
                }
            }
            Err(error) => warn!(source = %reflector.name(), %error, ?delay, "watch failed"),
        }
        reflector.clock.sleep(delay).await;
        delay = (delay * 2).min(DELAY_MAX);
    }
}

/// How the first state is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ListMode {
    /// As the start of a watch.
    Streaming,
    /// Page by page.
    Pages,
}

struct Reflector<K> {
    informer: Informer<K>,
    client: Client,
    clock: Clock,
    /// resourceVersion to resume from; `None` lists first.
    position: Option<u64>,
    list_mode: ListMode,
    /// Whether this session has brought anything.
    alive: bool,
}

impl<K: kube::Resource + DeserializeOwned> Reflector<K> {
    fn source(&self) -> &Source {
        &self.informer.shared.source
    }

    fn name(&self) -> String {
        self.source().target.collection_path(&self.source().namespace)
    }

    /// One watch, from the present position to its end; lists first if there is none.
    async fn session(&mut self) -> Result<(), WatchError> {
        if self.position.is_none() && self.list_mode == ListMode::Pages {
            // Boxed, so that the long quiet time of a watch does not hold the list's state.
            Box::pin(self.list()).await?;
        }
        let call = Call::read(self.watch_uri());
        let mut body = Box::pin(self.client.open(call)).await?;
        let mut lines = Lines::default();
        let mut initial = self.position.is_none().then(Vec::new);
        while let Some(piece) = self.next_piece(&mut body).await? {
            let complete = lines.push(piece)?;
            for line in std::str::from_utf8(&complete)?.lines().filter(|line| !line.is_empty()) {
                self.take(line, &mut initial)?;
                tokio::task::coop::consume_budget().await;
            }
        }
        Ok(())
    }

    async fn next_piece(&self, body: &mut AnswerBody) -> Result<Option<bytes::Bytes>, WatchError> {
        if !self.client.is_remote() {
            return Ok(body.next().await.transpose()?);
        }
        match self.clock.timeout(SILENCE_MAX, body.next()).await {
            Ok(piece) => Ok(piece.transpose()?),
            Err(_) => Err(WatchError::Silent(SILENCE_MAX)),
        }
    }

    /// Takes one event in. `initial` collects a streaming list until its end.
    fn take(&mut self, line: &str, initial: &mut Option<Vec<K>>) -> Result<(), WatchError> {
        let event = lines::parse(line)?;
        if let Event::Error(status) = event {
            return Err(ClientError::Status(status).into());
        }
        self.alive = true;
        match event {
            Event::Applied(text) => match (decode::<K>(&text), initial) {
                (Ok(object), Some(objects)) => objects.push(object),
                (Ok(object), None) => {
                    let version = version_of(&object);
                    self.informer.upsert(object);
                    self.advance(version);
                }
                (Err(error), initial) => self.skip(&text, error, initial.is_none())?,
            },
            Event::Deleted(text) => match decode::<K>(&text) {
                Ok(object) => {
                    self.informer.remove(&object);
                    self.advance(version_of(&object));
                }
                Err(error) => self.skip(&text, error, true)?,
            },
            Event::Bookmark { resource_version, ends_list } => {
                if !ends_list {
                    if initial.is_none() {
                        self.advance(resource_version);
                    }
                } else if let Some(objects) = initial.take() {
                    let version = resource_version.ok_or(WatchError::NoVersion)?;
                    self.informer.replace(objects);
                    self.listed(version);
                }
            }
            Event::Error(_) => {}
        }
        Ok(())
    }

    /// Leaves an object out that cannot be decoded, if at least its metadata can.
    fn skip(
        &mut self,
        text: &str,
        error: serde_json::Error,
        is_news: bool,
    ) -> Result<(), WatchError> {
        let Ok(Outline { metadata }) = serde_json::from_str::<Outline>(text) else {
            return Err(error.into());
        };
        let object = ObjectKey {
            namespace: metadata.namespace.unwrap_or_default(),
            name: metadata.name.unwrap_or_default(),
        };
        error!(kind = %self.source().target.kind, %object, %error, "failed to decode an object");
        if is_news {
            self.advance(metadata.resource_version.and_then(|version| version.parse().ok()));
        }
        Ok(())
    }

    fn advance(&mut self, version: Option<u64>) {
        if let Some(version) = version {
            self.position = Some(version);
            self.informer.shared.progress.advance(version);
        }
    }

    fn listed(&mut self, version: u64) {
        self.position = Some(version);
        self.informer.shared.progress.listed(version);
    }

    /// Reads everything page by page.
    async fn list(&mut self) -> Result<(), WatchError> {
        let (mut objects, mut next) = (Vec::new(), String::new());
        let version = loop {
            let mut uri = format!("{}?limit={PAGE}", self.name());
            self.push_selector(&mut uri);
            if !next.is_empty() {
                uri.push_str("&continue=");
                uri.push_str(&percent_encode(&next));
            }
            let bytes = self.client.send(Call::read(uri)).await?;
            let page: Page<K> = serde_json::from_slice(&bytes)?;
            objects.extend(page.items.into_iter().map(without_managed_fields));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => next = token,
                None => break page.metadata.resource_version,
            }
        };
        let version =
            version.and_then(|version| version.parse().ok()).ok_or(WatchError::NoVersion)?;
        self.informer.replace(objects);
        self.listed(version);
        self.alive = true;
        Ok(())
    }

    fn watch_uri(&self) -> String {
        let mut uri = format!("{}?watch=true&allowWatchBookmarks=true", self.name());
        match self.position {
            Some(version) => uri.push_str(&format!("&resourceVersion={version}")),
            None => uri.push_str("&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"),
        }
        if self.client.is_remote() {
            uri.push_str(&format!("&timeoutSeconds={WATCH_SECONDS}"));
        }
        self.push_selector(&mut uri);
        uri
    }

    fn push_selector(&self, uri: &mut String) {
        let selector = self.source().label_selector;
        if !selector.is_empty() {
            uri.push_str("&labelSelector=");
            uri.push_str(&percent_encode(selector));
        }
    }
}

#[derive(Deserialize)]
struct Page<K> {
    metadata: PageMeta,
    #[serde(default = "Vec::new")]
    items: Vec<K>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMeta {
    resource_version: Option<String>,
    #[serde(rename = "continue")]
    continue_: Option<String>,
}

/// What every object has.
#[derive(Deserialize)]
struct Outline {
    metadata: ObjectMeta,
}

fn decode<K: kube::Resource + DeserializeOwned>(text: &str) -> serde_json::Result<K> {
    serde_json::from_str(text).map(without_managed_fields)
}

fn without_managed_fields<K: kube::Resource>(mut object: K) -> K {
    object.meta_mut().managed_fields = None;
    object
}

fn version_of<K: kube::Resource>(object: &K) -> Option<u64> {
    object.meta().resource_version.as_deref()?.parse().ok()
}
