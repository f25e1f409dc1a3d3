//! Servers for this room's tests: one that answers by script, and a small one with a memory.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt;
use futures::channel::mpsc;
use http::{Method, Request, Response, StatusCode};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::client::Client;
use crate::clock::Clock;

/// A virtual clock that starts at a round date.
pub(super) fn clock() -> Clock {
    Clock::virtual_from("2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap())
}

/// One answer of a [`Script`].
pub(super) enum Step {
    /// Code and body.
    Answer(u16, Value),
    /// Pieces of a stream that then ends.
    Ends(Vec<String>),
    /// Pieces of a stream that then stays open.
    Stays(Vec<String>),
}

/// Answers requests in order, whatever they ask; then refuses with 503.
#[derive(Clone, Default)]
pub(super) struct Script {
    steps: Arc<Mutex<VecDeque<Step>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Script {
    pub(super) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let script = Self::default();
        script.steps.lock().extend(steps);
        script
    }

    /// URIs of the requests so far.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }

    pub(super) fn client(&self) -> Client {
        let script = self.clone();
        client_of(move |_, uri, _| {
            script.asked.lock().push(uri.to_owned());
            match script.steps.lock().pop_front() {
                Some(Step::Answer(code, body)) => answer(code, &body),
                Some(Step::Ends(pieces)) => {
                    let pieces = pieces.into_iter().map(Ok::<_, Infallible>);
                    Response::new(Body::from_stream(futures::stream::iter(pieces)))
                }
                Some(Step::Stays(pieces)) => {
                    let pieces = futures::stream::iter(pieces.into_iter().map(Ok::<_, Infallible>));
                    Response::new(Body::from_stream(pieces.chain(futures::stream::pending())))
                }
                None => failure(503, "ServiceUnavailable"),
            }
        })
    }
}

/// Keeps objects, counts versions, streams watches, honours preconditions. No schema, no
/// deletion beyond finalizers.
#[derive(Clone, Default)]
pub(super) struct Memory {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    version: u64,
    objects: BTreeMap<String, Value>,
    watchers: Vec<(String, mpsc::UnboundedSender<Bytes>)>,
    /// Events that are kept back from watchers.
    held: Option<Vec<(String, Bytes)>>,
    requests: Vec<String>,
}

impl Memory {
    pub(super) fn client(&self) -> Client {
        let memory = self.clone();
        client_of(move |method, uri, body| memory.state.lock().handle(&method, uri, body))
    }

    /// Requests so far that were no watches: method and path.
    pub(super) fn requests(&self) -> Vec<String> {
        self.state.lock().requests.clone()
    }

    pub(super) fn forget_requests(&self) {
        self.state.lock().requests.clear();
    }

    /// Changes an object behind everybody's back.
    pub(super) fn put(&self, path: &str, object: Value) -> Value {
        self.state.lock().store(path, object, "MODIFIED")
    }

    pub(super) fn object(&self, path: &str) -> Option<Value> {
        self.state.lock().objects.get(path).cloned()
    }

    pub(super) fn objects(&self, prefix: &str) -> Vec<Value> {
        let state = self.state.lock();
        let found = state.objects.iter().filter(|(path, _)| path.starts_with(prefix));
        found.map(|(_, object)| object.clone()).collect()
    }

    pub(super) fn hold_watches(&self) {
        self.state.lock().held = Some(Vec::new());
    }

    pub(super) fn release_watches(&self) {
        let mut state = self.state.lock();
        for (path, line) in state.held.take().unwrap_or_default() {
            state.send(&path, line);
        }
    }
}

impl State {
    fn handle(&mut self, method: &Method, uri: &str, body: Value) -> Response<Body> {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        if query.contains("watch=true") {
            return self.watch(path);
        }
        self.requests.push(format!("{method} {path}"));
        let object_path = path.strip_suffix("/status").unwrap_or(path);
        match *method {
            Method::POST => {
                let name = body["metadata"]["name"].as_str().unwrap().to_owned();
                let path = format!("{path}/{name}");
                if self.objects.contains_key(&path) {
                    return failure(409, "AlreadyExists");
                }
                answer(201, &self.store(&path, body, "ADDED"))
            }
            Method::GET => match self.objects.get(path) {
                Some(object) => answer(200, object),
                None => failure(404, "NotFound"),
            },
            Method::PATCH => {
                let Some(object) = self.objects.get(object_path) else {
                    return failure(404, "NotFound");
                };
                let mut object = object.clone();
                let wanted = &body["metadata"]["resourceVersion"];
                if !wanted.is_null() && *wanted != object["metadata"]["resourceVersion"] {
                    return failure(409, "Conflict");
                }
                crate::machinery::patch::merge::apply(&mut object, &body);
                answer(200, &self.store(object_path, object, "MODIFIED"))
            }
            _ => failure(405, "MethodNotAllowed"),
        }
    }

    fn store(&mut self, path: &str, mut object: Value, event: &str) -> Value {
        self.version += 1;
        let meta = &mut object["metadata"];
        meta["resourceVersion"] = self.version.to_string().into();
        if meta["uid"].is_null() {
            meta["uid"] = format!("{path}#{:p}", self).into();
        }
        let gone = !meta["deletionTimestamp"].is_null() && meta["finalizers"].is_null();
        let event = if gone { "DELETED" } else { event };
        if gone {
            self.objects.remove(path);
        } else {
            self.objects.insert(path.to_owned(), object.clone());
        }
        let line = Bytes::from(format!("{}\n", json!({"type": event, "object": object})));
        match &mut self.held {
            Some(held) => held.push((path.to_owned(), line)),
            None => self.send(path, line),
        }
        object
    }

    fn send(&self, path: &str, line: Bytes) {
        for (collection, watcher) in &self.watchers {
            if path.starts_with(collection) {
                let _ = watcher.unbounded_send(line.clone());
            }
        }
    }

    fn watch(&mut self, path: &str) -> Response<Body> {
        let collection = format!("{path}/");
        let (sender, receiver) = mpsc::unbounded();
        for (_, object) in self.objects.iter().filter(|(path, _)| path.starts_with(&collection)) {
            let line = format!("{}\n", json!({"type": "ADDED", "object": object}));
            sender.unbounded_send(line.into()).unwrap();
        }
        let end = end_of_list(self.version);
        sender.unbounded_send(end.into()).unwrap();
        self.watchers.push((collection, sender));
        Response::new(Body::from_stream(receiver.map(Ok::<_, Infallible>)))
    }
}

/// The bookmark that closes a streaming list.
pub(super) fn end_of_list(version: u64) -> String {
    let object = json!({"metadata": {"resourceVersion": version.to_string(),
        "annotations": {"k8s.io/initial-events-end": "true"}}});
    format!("{}\n", json!({"type": "BOOKMARK", "object": object}))
}

fn client_of(
    handle: impl Fn(Method, &str, Value) -> Response<Body> + Clone + Send + 'static,
) -> Client {
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let handle = handle.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect_bytes().await.unwrap();
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            Ok::<_, Infallible>(handle(parts.method, &parts.uri.to_string(), body))
        }
    });
    Client::new(kube::Client::new(service, "default"), "test")
}

fn answer(code: u16, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}

fn failure(code: u16, reason: &str) -> Response<Body> {
    let status = json!({"kind": "Status", "status": "Failure", "reason": reason, "code": code,
        "message": reason});
    answer(code, &status)
}
