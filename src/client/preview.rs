//! A client whose writes are only tried: every write is a dry run, and remembered.
//!
//! Objects that are put into it stand before those of the server, so that readers see a change that
//! nobody has made. Writes to such objects change them here and nowhere else. Deletions are
//! remembered, not sent.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use kube::core::ApiResource;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::transport::Call;
use super::{Client, ClientError, ObjectKey, Target};
use crate::machinery::patch::merge;

/// A write that was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    /// The object before, as it was last read; `None` if it would be created.
    pub before: Option<Value>,
    /// The object after; `None` if it would be deleted.
    pub after: Option<Value>,
}

/// What is tried instead of done. Shared by all clients made of it.
pub struct Preview {
    server: Client,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Objects that stand before the server's, by path.
    instead: HashMap<String, Value>,
    /// Objects of the server as last read, by path.
    read: HashMap<String, Value>,
    tried: Vec<Tried>,
}

impl Preview {
    /// Tries writes on the server of `server`.
    pub fn new(server: &Client) -> Arc<Self> {
        Arc::new(Self { server: server.clone(), state: Mutex::default() })
    }

    /// A client whose writes are tried.
    pub fn client(self: &Arc<Self>) -> Client {
        Client::previewing(self)
    }

    /// The client of the server itself.
    pub(super) fn server(&self) -> &Client {
        &self.server
    }

    /// Puts an object in the place of the server's, of any version that it may be read in.
    pub fn put(&self, resource: &ApiResource, object: &Value) {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
        let key = ObjectKey::new(text("namespace"), text("name"));
        let path = Target::from_resource(resource).object_path(&key, "");
        self.state.lock().instead.insert(path, object.clone());
    }

    /// What was tried since the last time this was asked.
    pub fn take(&self) -> Vec<Tried> {
        std::mem::take(&mut self.state.lock().tried)
    }

    pub(super) async fn send(&self, call: Call) -> Result<Bytes, ClientError> {
        let path = call.uri.split('?').next().unwrap_or_default().to_owned();
        let is_dry_run = call.uri.contains("dryRun=");
        match call.method {
            Method::GET => self.read(path, call).await,
            Method::DELETE => Ok(self.delete(&path)),
            _ if is_dry_run => self.server.send(call).await,
            _ => self.write(&path, call).await,
        }
    }

    async fn read(&self, path: String, call: Call) -> Result<Bytes, ClientError> {
        if let Some(object) = self.state.lock().instead.get(&path) {
            return Ok(object.to_string().into());
        }
        let bytes = self.server.send(call).await?;
        if let Ok(object) = serde_json::from_slice::<Value>(&bytes)
            && object["metadata"]["name"].is_string()
        {
            self.state.lock().read.insert(path, object);
        }
        Ok(bytes)
    }

    fn delete(&self, path: &str) -> Bytes {
        let mut state = self.state.lock();
        let before = state.instead.remove(path).or_else(|| state.read.get(path).cloned());
        if before.is_some() {
            state.tried.push(Tried { before, after: None });
        }
        json!({ "kind": "Status", "status": "Success" }).to_string().into()
    }

    async fn write(&self, path: &str, mut call: Call) -> Result<Bytes, ClientError> {
        let object_path = path.strip_suffix("/status").unwrap_or(path);
        {
            let mut state = self.state.lock();
            if let Some(object) = state.instead.get_mut(object_path) {
                if let Ok(patch) = serde_json::from_slice::<Value>(&call.body) {
                    merge::apply(object, &patch);
                }
                return Ok(object.to_string().into());
            }
        }
        call.uri.push_str(if call.uri.contains('?') { "&dryRun=All" } else { "?dryRun=All" });
        let bytes = self.server.send(call).await?;
        if let Ok(after) = serde_json::from_slice::<Value>(&bytes) {
            let mut state = self.state.lock();
            let before = state.read.get(object_path).cloned();
            state.tried.push(Tried { before, after: Some(after) });
        }
        Ok(bytes)
    }
}
